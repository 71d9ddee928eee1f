"""What `inspect` says of recordings: nothing about a sound one, and each defect by its name, with a suggestion."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import balancecore as bc
from balancecore import cli
from balancecore.markup import harmless

_spec = importlib.util.spec_from_file_location("c3d_bytes", Path(__file__).with_name("c3d_bytes.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
c3d_bytes = _module.c3d_bytes

RATE = 1000.0
DEPTH_M = 0.040
#: In C3D's order, so that the plate's z points down: x as the lab's, y and z opposite.
CORNERS_M = np.array([(0.25, -0.3, 0), (-0.25, -0.3, 0), (-0.25, 0.3, 0), (0.25, 0.3, 0)])
TO_PLATE = np.diag([1.0, -1.0, -1.0])
#: What float32 and three decimals leave of an offset, N.
STORED_N = 0.01
#: SD of the mean of 0.2 s of 1 N noise, four times.
OFFSET_N = 0.3


def footfalls(*, offset_n=0.0, mass_kg=70.0, seconds=6.0, noise_n=0.5, seed=1, rate_hz=RATE):
    """Reaction about the centre of a plate: flights, then contacts of 0.25 s every 0.36 s whose mean is the weight."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = (t % 0.36 - 0.11) / 0.25
    push = np.where(phase > 0, np.sin(np.pi * np.clip(phase, 0, 1)), 0.0)
    peak = mass_kg * 9.80665 * 0.36 * np.pi / (2 * 0.25)
    fz = peak * push
    fx, fy = 0.05 * fz * np.sin(7 * t), 0.2 * fz * -np.cos(np.pi * np.clip(phase, 0, 1))
    px, py = 0.05 * np.sin(3 * t), 0.1 * (phase - 0.5)
    mx, my = py * fz, -px * fz
    wrench = np.column_stack((fx, fy, fz, mx, my, px * fy - py * fx + 0.01 * fz))
    rng = np.random.default_rng(seed)
    wrench += noise_n * np.array([1, 1, 1, 0.02, 0.02, 0.02]) * rng.standard_normal(wrench.shape)
    wrench[:, 2] += offset_n
    return wrench


def save_csv(path, wrench, *, header="time,Fx,Fy,Fz,Mx,My,Mz", rate_hz=RATE, time=None):
    time = np.arange(len(wrench)) / rate_hz if time is None else time
    np.savetxt(path, np.column_stack((time, wrench)), delimiter=",", header=header, comments="", fmt="%.6f")
    return path


def plate_channels(wrench, depth_m=DEPTH_M):
    """Type 2, mm: the same wrench about the sensors' origin, in the plate's axes."""
    force, moment = wrench[:, :3] @ TO_PLATE, wrench[:, 3:] @ TO_PLATE
    moment = moment - np.cross(force, [0.0, 0.0, -depth_m])
    return np.hstack((force, 1000.0 * moment))


def parameters(plates=1, **changed):
    count = 6 * plates
    every = {
        "USED": np.int64(plates),
        "TYPE": np.full(plates, 2),
        "CHANNEL": np.arange(1, count + 1).reshape(plates, 6).T,
        "ORIGIN": np.tile([[0.0], [0.0], [-1000 * DEPTH_M]], (1, plates)),
        "CORNERS": np.stack(
            [1000 * (CORNERS_M + np.array([0, 0.7 * k, 0])) for k in range(plates)]
        ).transpose(2, 1, 0),
        "ZERO": np.array([1, 10]),
        **{name: value for name, value in changed.items() if ":" not in name},
    }
    units = ["N"] * 3 + ["Nmm"] * 3
    names = [f"{c}{k + 1}" for k in range(plates) for c in ("Fx", "Fy", "Fz", "Mx", "My", "Mz")]
    return {
        ("POINT", "UNITS"): ["mm"],
        ("ANALOG", "UNITS"): units * plates,
        ("ANALOG", "LABELS"): names,
        **{("FORCE_PLATFORM", name): value for name, value in every.items()},
        **{tuple(name.split(":")): value for name, value in changed.items() if ":" in name},
    }


def save_c3d(path, analog=None, plates=1, **changed):
    """Like `parameters`; two plates carry different footfalls."""
    if analog is None:
        analog = np.hstack([plate_channels(footfalls(seed=k + 1, mass_kg=70 + k)) for k in range(plates)])
    path.write_bytes(c3d_bytes(parameters(plates, **changed), analog))
    return path


def codes(*args, **options):
    return sorted({finding.code for finding in bc.inspect(*args, **options).findings})


# ---------------------------------------------------------------------------------------------------------------
# Sound recordings, and what is shown of them


def test_a_sound_table_has_no_findings_and_its_facts_are_right(tmp_path):
    found = bc.inspect(save_csv(tmp_path / "run.csv", footfalls(offset_n=3.0)), mass_kg=70.0)
    assert found.findings == ()
    (file,) = found.files
    assert (file.format, file.rate_hz, file.frames, file.duration_s) == ("delimited text", RATE, 6000, 6.0)
    fz = file.plates[0].channels[2]
    assert fz.offset == pytest.approx(3.0, abs=OFFSET_N)
    assert fz.noise_sd == pytest.approx(0.5, rel=0.15)  # 800 samples and more
    assert fz.drift < 4 * OFFSET_N
    assert (file.plates[0].load, fz.measured, fz.not_finite, fz.saturated) == ("up", True, 0, 0)
    assert found.weight["measured_n"] == pytest.approx(70 * 9.80665, rel=0.01)


def test_a_sound_c3d_file_has_no_findings_and_its_facts_are_right(tmp_path):
    pytest.importorskip("ezc3d")
    found = bc.inspect(save_c3d(tmp_path / "walk.c3d", plates=2))
    assert found.findings == ()
    (file,) = found.files
    assert file.format == "C3D"
    assert len(file.plates) == 2
    assert file.plates[0].depth_m == pytest.approx(DEPTH_M)
    assert file.plates[0].size_m == pytest.approx((0.5, 0.6))
    assert [(a.name, a.unit, a.plate) for a in file.analog][5:7] == [("Mz1", "Nmm", 1), ("Fx2", "N", 2)]


def test_a_record_that_is_never_unloaded_says_so(tmp_path):
    rng = np.random.default_rng(1)
    wrench = np.tile([1.0, 2.0, 700.0, 5.0, 6.0, 0.5], (5000, 1)) + 0.1 * rng.standard_normal((5000, 6))
    found = bc.inspect(save_csv(tmp_path / "stand.csv", wrench))
    plate = found.files[0].plates[0]
    assert plate.unloaded.startswith("none was found")
    assert np.isnan(plate.channels[2].offset)
    assert "none was found" in str(found)


# ---------------------------------------------------------------------------------------------------------------
# One defect each: tables


def negated(wrench):
    return -wrench


def sideways(wrench):
    return wrench[:, [0, 2, 1, 3, 5, 4]] * [1, 1, -1, 1, 1, -1]


def kilonewtons(wrench):
    return wrench / 1000.0


def newton_millimetres(wrench):
    return wrench * [1, 1, 1, 1000, 1000, 1000]


def moments_a_thousandth(wrench):
    return wrench / [1, 1, 1, 1000, 1000, 1000]


def offset(wrench):
    return wrench + np.array([0, 0, 12.0, 0, 0, 0])


def drift(wrench):
    return wrench + np.linspace(-45.0, 45.0, len(wrench))[:, None] * [0, 0, 1, 0, 0, 0]


def constant(wrench):
    return np.where(np.arange(6) == 1, 0.25, wrench)


def copied(wrench):
    return wrench[:, [0, 0, 2, 3, 4, 5]]


def with_gap(wrench):
    wrench = wrench.copy()
    wrench[1000:1020, 0] = np.nan
    return wrench


def clipped(wrench):
    return np.minimum(wrench, [np.inf, np.inf, 700.0, np.inf, np.inf, np.inf])


def empty(wrench):
    return np.where(np.arange(6) == 5, np.nan, wrench)


@pytest.mark.parametrize(
    ("damage", "code", "hint"),
    [
        (negated, "fz_negative", "convention='action'"),
        (sideways, "vertical_not_z", "axes=('z', 'x', 'y')"),
        (kilonewtons, "no_load", "units={'force': 'kN'}"),
        (newton_millimetres, "moment_unit", "units={'moment': 'N.mm'}"),
        (moments_a_thousandth, "moment_unit", "units={'moment': 'N.m'}"),
        (offset, "offset", "zero"),
        (drift, "drift", "aerial_pchip"),
        (constant, "constant", "cable"),
        (copied, "channels_equal", "columns="),
        (empty, "no_numbers", "columns= if another column is meant"),
        (with_gap, "gaps", "without gaps"),
        (clipped, "saturated", "larger range"),
    ],
)
def test_each_defect_of_a_table_is_found_alone_and_has_a_suggestion(tmp_path, damage, code, hint):
    path = save_csv(tmp_path / "run.csv", damage(footfalls()))
    found = {finding.code: finding for finding in bc.inspect(path).findings}
    # A drift shows in the mean offset, too, unless it is symmetric, as here.
    assert set(found) == {code}
    assert hint in found[code].suggestion
    assert found[code].where.startswith("run.csv")


def test_the_suggested_options_settle_the_finding(tmp_path):
    assert codes(save_csv(tmp_path / "a.csv", negated(footfalls())), convention="action") == []
    assert (
        codes(save_csv(tmp_path / "b.csv", kilonewtons(footfalls())), units={"force": "kN", "moment": "kN.m"})
        == []
    )
    assert (
        codes(save_csv(tmp_path / "c.csv", newton_millimetres(footfalls())), units={"moment": "N.mm"}) == []
    )
    assert codes(save_csv(tmp_path / "d.csv", sideways(footfalls())), axes=("x", "-z", "y")) == []


def test_each_channel_that_holds_nothing_is_named_once(tmp_path):
    wrench = footfalls() * [1, 1, np.nan, 1, np.nan, 1]
    found = bc.inspect(save_csv(tmp_path / "run.csv", wrench)).findings
    named = [finding.where for finding in found if finding.code == "no_numbers"]
    assert named == ["run.csv, plate 1, Fz", "run.csv, plate 1, My"]
    # The column that was meant settles it.
    columns = {"Fz": "force of the scale", **{name: name for name in ("Fx", "Fy", "Mx", "Mz")}}
    other = np.column_stack((wrench, footfalls()[:, 2]))
    path = save_csv(tmp_path / "two.csv", other, header="time,Fx,Fy,Fz,Mx,My,Mz,force of the scale")
    assert codes(path) == ["no_load", "no_numbers"]
    assert codes(path, columns=columns) == []


def test_a_plate_without_vertical_force_is_reported(tmp_path):
    trial = bc.Trial.from_wrenches([footfalls()[:2000]], rate_hz=RATE)
    plate = dataclasses.replace(trial.plates[0], missing=frozenset({"Fz"}))
    bc.write(dataclasses.replace(trial, plates=(plate,)), tmp_path / "run.csv")
    found = [f for f in bc.inspect(tmp_path / "run.csv").findings if f.code == "no_numbers"]
    assert [(f.where, f.message) for f in found] == [("run.csv, plate 1, Fz", "there is no vertical force")]
    assert "columns=" in found[0].suggestion


def test_uneven_times_are_reported_where_reading_refuses_them(tmp_path):
    time = np.arange(12000) / 2000.0
    time[1::2] += 0.0002
    path = save_csv(tmp_path / "uneven.csv", footfalls(rate_hz=2000.0), time=time)
    with pytest.raises(bc.errors.DataError):
        bc.read(path)
    (finding,) = bc.inspect(path).findings
    assert finding.code == "time_uneven"
    assert "resample=True" in finding.suggestion


@pytest.mark.parametrize(
    ("rate", "words"), [(800.0, "loading rates"), (200.0, "contact times"), (1000.0, None)]
)
def test_a_low_rate_is_reported_with_what_suffers(tmp_path, rate, words):
    found = bc.inspect(save_csv(tmp_path / "slow.csv", footfalls(rate_hz=rate), rate_hz=rate)).findings
    assert [f.code for f in found] == (["rate_low"] if words else [])
    assert words is None or words in found[0].message


def test_sides_by_name_are_reported_until_they_are_told(tmp_path):
    path = save_csv(
        tmp_path / "belts.csv",
        np.hstack([footfalls(), footfalls(seed=2, mass_kg=71)]),
        header="time,"
        + ",".join(f"{s} {c}" for s in ("Left", "Right") for c in ("Fx", "Fy", "Fz", "Mx", "My", "Mz")),
    )
    assert codes(path) == ["side_by_name"]
    assert codes(path, sides=["L", "R"]) == []


def test_plates_that_hold_the_same_numbers_are_reported(tmp_path):
    one = footfalls()
    header = "time," + ",".join(f"{c}{k}" for k in (1, 2) for c in ("Fx", "Fy", "Fz", "Mx", "My", "Mz"))
    assert codes(save_csv(tmp_path / "same.csv", np.hstack([one, one]), header=header)) == ["plates_equal"]


@pytest.mark.parametrize(
    ("mass_kg", "scale", "expected"), [(70.0, 1.0, []), (70.0, 1.1, ["weight"]), (50.0, 1.0, ["weight"])]
)
def test_a_weight_that_the_force_contradicts_is_reported(tmp_path, mass_kg, scale, expected):
    path = save_csv(tmp_path / "run.csv", scale * footfalls())
    found = bc.inspect(path, mass_kg=mass_kg)
    assert [f.code for f in found.findings] == expected
    assert found.weight["measured_n"] == pytest.approx(scale * 70 * 9.80665, rel=0.01)


@pytest.mark.parametrize("mass", [0, -3.0, float("nan"), "70", 5000])
def test_a_mass_that_is_none_is_refused(tmp_path, mass):
    with pytest.raises(bc.errors.DataError, match="mass_kg"):
        bc.inspect(save_csv(tmp_path / "run.csv", footfalls()), mass_kg=mass)


# ---------------------------------------------------------------------------------------------------------------
# One defect each: C3D

SMALL = np.array([2.0, 2.0, 8.0, 400.0, 400.0, 200.0])


def crosstalk():
    """Calibration in N and N·mm a unit, as makers give it: what the forces add to the moments is large in mm."""
    matrix = np.diag(SMALL)
    matrix[3:, :3] += [[1.0, 2.0, 3.0], [-2.0, 1.5, 2.0], [0.5, -1.0, 1.0]]
    matrix[:3, 3:] += 1e-3
    return matrix


def type_4(path, stored):
    """`stored` is what CAL_MATRIX says; the channels follow from the true one."""
    raw = plate_channels(footfalls()) @ np.linalg.inv(crosstalk()).T
    return save_c3d(
        path, raw, TYPE=np.array([4]), CAL_MATRIX=stored[:, :, None], **{"ANALOG:UNITS": ["V"] * 6}
    )


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"ORIGIN": np.array([[0.0], [0.0], [1000 * DEPTH_M]])}, ["origin_sign"]),
        ({"ORIGIN": np.zeros((3, 1))}, ["origin_zero"]),
        ({"ORIGIN": np.array([[0.0], [0.0], [-400.0]])}, ["origin_deep"]),
        ({"CORNERS": np.zeros((3, 4, 1))}, ["no_corners"]),
        ({"CORNERS": 1000 * CORNERS_M[::-1].T[:, :, None]}, ["corners_order"]),
        ({"ORIGIN": np.array([[400.0], [0.0], [-40.0]])}, ["pressure_outside"]),
        ({"ZERO": np.array([200, 300])}, ["zero_loaded"]),
        ({"ZERO": np.array([6001, 6500])}, ["zero_outside"]),
        ({"ANALOG:UNITS": ["N"] * 3 + ["Nm"] * 3}, ["moment_unit"]),
    ],
)
def test_each_defect_of_a_c3d_header_is_found(tmp_path, changed, expected):
    pytest.importorskip("ezc3d")
    found = codes(save_c3d(tmp_path / "run.c3d", **changed))
    assert [code for code in found if code in expected] == expected
    # Corners of another order also turn the force; a depth that is wrong may move the pressure off the plate.
    consequences = {"fz_negative", "pressure_outside"}
    assert set(found) - set(expected) <= consequences


@pytest.mark.parametrize(
    ("zero", "helps"),
    # The last window is unloaded, but goes on where the record has ended.
    [([1, 10], True), ([1, 0], False), ([200, 300], False), ([6201, 6500], False), ([6150, 6500], False)],
)
def test_frames_of_zero_are_suggested_for_an_offset_where_they_hold_it(tmp_path, zero, helps):
    pytest.importorskip("ezc3d")
    wrench = footfalls(offset_n=12.0, seconds=6.2)
    path = save_c3d(tmp_path / "run.c3d", plate_channels(wrench), ZERO=np.array(zero))
    found = {finding.code: finding for finding in bc.inspect(path).findings}
    assert found["offset"].suggestion.endswith("plate_zero=True does") == helps
    if helps:
        assert codes(path, plate_zero=True) == []


def test_a_calibration_that_is_stored_by_rows_or_is_none_is_reported(tmp_path):
    pytest.importorskip("ezc3d")
    assert codes(type_4(tmp_path / "right.c3d", crosstalk())) == []
    assert "matrix_transposed" in codes(type_4(tmp_path / "rows.c3d", crosstalk().T))
    raw = plate_channels(footfalls())
    path = save_c3d(tmp_path / "none.c3d", raw, TYPE=np.array([4]), CAL_MATRIX=np.eye(6)[:, :, None])
    assert codes(path) == ["matrix_identity"]


def test_gains_of_another_range_are_reported(tmp_path):
    pytest.importorskip("ezc3d")
    raw = plate_channels(footfalls())
    gains = np.array([0.1, 0.1, 0.4, 50, 50, 20])
    right = save_c3d(tmp_path / "right.c3d", raw / gains, **{"ANALOG:SCALE": gains})
    assert codes(right) == []
    gains[1] = 0.2
    assert codes(save_c3d(tmp_path / "wrong.c3d", raw / gains, **{"ANALOG:SCALE": gains})) == ["gains_differ"]


def test_events_outside_the_record_are_reported(tmp_path):
    pytest.importorskip("ezc3d")

    def events(*times):
        return {
            "EVENT:USED": np.int64(len(times)),
            "EVENT:TIMES": np.array([[0.0] * len(times), times]),
            "EVENT:LABELS": ["Foot Strike"] * len(times),
            "EVENT:CONTEXTS": ["Left"] * len(times),
        }

    inside = bc.inspect(save_c3d(tmp_path / "in.c3d", **events(0.5, 1.5)))
    assert inside.findings == ()
    assert len(inside.files[0].events) == 2
    assert codes(save_c3d(tmp_path / "out.c3d", **events(0.5, 7.5))) == ["events_outside"]


def test_plates_in_one_place_are_reported(tmp_path):
    pytest.importorskip("ezc3d")
    corners = np.repeat(1000 * CORNERS_M.T[:, :, None], 2, axis=2)
    assert codes(save_c3d(tmp_path / "two.c3d", plates=2, CORNERS=corners)) == ["plates_same_place"]


def test_sensors_beyond_the_corners_contradict_them(tmp_path):
    pytest.importorskip("ezc3d")
    quarter = footfalls()[:, 2:3] / 4
    raw = np.hstack([np.tile(0.02 * quarter, (1, 4)) * [1, 0.9, 1.1, 0.8], -quarter * [1, 1.01, 0.99, 1.02]])

    def kistler(name, a_mm):
        return save_c3d(
            tmp_path / name,
            raw,
            TYPE=np.array([3]),
            CHANNEL=np.arange(1, 9)[:, None],
            ORIGIN=np.array([[a_mm], [200.0], [-52.0]]),
            **{"ANALOG:UNITS": ["N"] * 8, "ANALOG:LABELS": [f"ch{k}" for k in range(8)]},
        )

    assert "origin_beyond_corners" not in codes(kistler("right.c3d", 210.0))
    assert "origin_beyond_corners" in codes(kistler("wrong.c3d", 350.0))


# ---------------------------------------------------------------------------------------------------------------
# Several files


def test_a_table_of_the_same_trial_tells_the_depth_that_the_header_should_have(tmp_path):
    pytest.importorskip("ezc3d")
    wrench = footfalls()
    text = save_csv(tmp_path / "export.csv", wrench)
    wrong = save_c3d(tmp_path / "wrong.c3d", plate_channels(wrench, 0.052))
    right = save_c3d(tmp_path / "right.c3d", plate_channels(wrench))
    assert codes([right, text]) == []
    for order in ([wrong, text], [text, wrong]):
        (finding,) = bc.inspect(order).findings
        assert finding.code == "depth_disagrees"
        assert "states that the sensors are 40.0 mm" in finding.message
        assert "need 52.0 mm" in finding.message
        assert "-0.0520" in finding.suggestion
    # The number in the suggestion settles it; it reaches the C3D file only.
    assert codes([wrong, text], plate_origin_m=(0, 0, -0.052)) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda w: -w, "files_sign"),
        (lambda w: 1.05 * w, "files_scale"),
        (lambda w: w[:, [1, 0, 2, 4, 3, 5]] * [-1, 1, 1, -1, 1, 1], "files_turned"),
        (lambda w: w * [-1, 1, 1, -1, 1, 1], "files_mirrored"),
        (lambda w: w + np.hstack((0 * w[:, :3], np.cross(w[:, :3], [0, 0, 0.01]))), "moments_disagree"),
    ],
)
def test_files_of_one_trial_that_contradict_each_other_are_reported(tmp_path, change, code):
    one = save_csv(tmp_path / "one.csv", footfalls())
    found = codes([one, save_csv(tmp_path / "two.csv", change(footfalls()))])
    assert code in found
    assert set(found) - {code} <= {"fz_negative"}


def test_the_plates_of_one_trial_and_files_of_two_trials_are_told_apart(tmp_path):
    left = save_csv(tmp_path / "left.csv", footfalls())
    right = save_csv(tmp_path / "right.csv", footfalls(seed=2, mass_kg=75.0)[::-1])
    other = save_csv(tmp_path / "other.csv", footfalls(seed=3, seconds=4.0))
    assert codes([left, right]) == []
    assert codes([left, other]) == ["not_one_trial"]


def test_a_format_is_asked_of_text_only_beside_a_c3d_file(tmp_path):
    pytest.importorskip("ezc3d")
    wrench = footfalls()
    c3d, text = save_c3d(tmp_path / "run.c3d", plate_channels(wrench)), tmp_path / "run.txt"
    np.savetxt(text, wrench, delimiter=",", fmt="%.18g")
    with pytest.raises(bc.errors.DataError, match=r"run\.txt: 6 columns without names .* format='netforce'"):
        bc.inspect([c3d, text], rate_hz=RATE)
    files = bc.inspect([c3d, text], rate_hz=RATE, format="netforce").files
    assert [f.format for f in files] == ["C3D", "AMTI NetForce text"]
    with pytest.raises(bc.errors.DataError, match="is for text"):
        bc.inspect(c3d, format="netforce")


def test_sides_name_the_plates_of_all_files(tmp_path):
    paths = [save_csv(tmp_path / f"{k}.csv", footfalls(seed=k, mass_kg=70 + k)) for k in (1, 2)]
    assert [f.plates[0].side for f in bc.inspect(paths, sides=["R", "L"]).files] == ["R", "L"]
    with pytest.raises(bc.errors.DataError, match="sides"):
        bc.inspect(paths, sides=["L"])


# ---------------------------------------------------------------------------------------------------------------
# What a file says is harmless


def test_texts_of_a_file_can_do_nothing_to_a_terminal_and_subjects_stay_unnamed(tmp_path, capsys):
    pytest.importorskip("ezc3d")
    nasty = "\x1b[2J\x07" + 80 * "x"
    path = save_c3d(
        tmp_path / "bad.c3d",
        np.hstack([plate_channels(footfalls()), np.zeros((6000, 1))]),
        **{
            "ANALOG:LABELS": ["Fx1", "Fy1", "Fz1", "Mx1", "My1", "Mz1", nasty],
            "ANALOG:UNITS": ["N"] * 3 + ["Nmm"] * 3 + ["\x1b]0;x"],
            "FORCE_PLATFORM:LABELS": ["left\x1b[31m"],
            "SUBJECTS:NAMES": ["Jane Doe"],
        },
    )
    assert cli.main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert all(c == "\n" or c.isprintable() for c in out)
    assert "\\x1b[2J" in out
    assert 70 * "x" not in out
    assert harmless("a\u202eb") == "a\\u202eb"
    assert "Jane" not in out
    assert str(tmp_path) not in out
    assert "side_by_name" in codes(path)
    assert cli.main(["inspect", str(path), "--json"]) == 0
    assert all(c == "\n" or c.isprintable() for c in capsys.readouterr().out)


def test_the_command_prints_text_or_json_with_the_options_of_reading(tmp_path, capsys):
    path = save_csv(tmp_path / "run.csv", negated(footfalls()))
    assert cli.main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "LOAD IS DOWN" in out
    assert "1 thing to check" in out
    assert "-> convention='action'" in out
    assert cli.main(["inspect", str(path), "--json", "--convention", "action", "--mass", "70"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["findings"] == []
    assert told["files"][0]["convention"] == "action"
    assert told == bc.inspect(path, convention="action", mass_kg=70.0).to_dict()
    assert cli.main(["inspect", str(path), "--convention", "action"]) == 0
    assert "Nothing looks wrong" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_ends_in_one_line(tmp_path, capsys):
    (tmp_path / "words.csv").write_text("no table\nat all\n")
    assert cli.main(["inspect", str(tmp_path / "words.csv")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("balancecore: words.csv")
    assert err.count("\n") == 1


# ---------------------------------------------------------------------------------------------------------------
# Real recordings


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "depth_mm"), [("kistler_CMJ_1plate", "52.0"), ("kistler_COP", "57.0")], ids=["jump", "standing"]
)
@pytest.mark.parametrize("first", [".c3d", ".txt"])
def test_kistler_header_and_text_disagree_on_the_depth(data_dir, name, depth_mm, first):
    pytest.importorskip("ezc3d")
    paths = sorted((data_dir / "kistler_raw").glob(f"{name}.*"), key=lambda path: path.suffix != first)
    found = {finding.code: finding for finding in bc.inspect(paths).findings}
    message = found["depth_disagrees"].message
    assert f"{name}.c3d states that the sensors are 58.0 mm" in message
    assert f"{name}.txt need {depth_mm} mm" in message
    # The file's corners turn the plate upside down; and the frames of ZERO hold a standing person.
    assert {"files_mirrored", "corners_order", "zero_loaded", "origin_sign"} <= set(found)


@pytest.mark.realdata
def test_the_wrong_depth_of_the_kistler_header_is_overridable(data_dir):
    pytest.importorskip("ezc3d")
    paths = [data_dir / "kistler_raw" / f"kistler_CMJ_1plate.{kind}" for kind in ("c3d", "txt")]
    assert "depth_disagrees" not in codes(paths, plate_origin_m=(0.21, 0.35, -0.052))


@pytest.mark.realdata
def test_the_treadmill_shows_its_offsets_and_weight(data_dir):
    folder = data_dir / "treadmill_run_bertec"
    paths = [folder / f"JDX_S999_run_0021_f_{k}.tsv" for k in (1, 2)]
    found = bc.inspect(paths, mass_kg=82.9)
    left, right = (file.plates[0] for file in found.files)
    # The data's page: about -5 and -15 N in flight.
    assert left.channels[2].offset == pytest.approx(-5.0, abs=1.0)
    assert right.channels[2].offset == pytest.approx(-15.0, abs=1.0)
    assert (left.load, right.load) == ("none", "up")
    assert {f.format for f in found.files} == {"QTM force export"}
    assert [f.code for f in found.findings] == ["side_by_name", "offset", "offset"]
    assert found.weight["measured_n"] == pytest.approx(82.9 * 9.80665, rel=0.01)
    assert "weight" in codes(paths, mass_kg=95.0)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "models", "events", "markers", "expected"),
    [
        ("type1.C3D", ["C3D type 1"], 0, 28, {"rate_low"}),
        ("PlugInC3D.c3d", ["C3D type 2"] * 2, 8, 54, {"origin_sign"}),
        ("TYPE-2.C3D", ["C3D type 2"], 0, 13, {"origin_sign"}),
        ("type3_FP1.C3D", ["C3D type 3"], 4, 8, {"rate_low", "fz_negative", "origin_zero", "offset"}),
        ("TYPE-4.C3D", ["C3D type 4"], 0, 13, {"origin_sign"}),
        ("Gait.c3d", ["C3D type 4"] * 2, 0, 33, {"offset"}),
        ("walking2.c3d", ["C3D type 2"] * 2, 0, 44, {"origin_sign", "offset"}),
    ],
)
def test_c3d_recordings(data_dir, name, models, events, markers, expected):
    pytest.importorskip("ezc3d")
    found = bc.inspect(data_dir / "c3d_plates" / name)
    (file,) = found.files
    assert [plate.model for plate in file.plates] == models
    assert (len(file.events), len(file.markers)) == (events, markers)
    assert {finding.code for finding in found.findings} == expected
    json.dumps(found.to_dict(), allow_nan=False)
    str(found)


@pytest.mark.realdata
def test_walking2_shows_its_offsets(data_dir):
    pytest.importorskip("ezc3d")
    (file,) = bc.inspect(data_dir / "c3d_plates" / "walking2.c3d").files
    # The data's page: -14 and -18 N.
    assert file.plates[0].channels[2].offset == pytest.approx(-14.0, abs=1.0)
    assert file.plates[1].channels[2].offset == pytest.approx(-18.0, abs=2.0)


@pytest.mark.realdata
def test_damage_ends_in_one_error(data_dir):
    with pytest.raises(bc.errors.DataError, match="bad_parameter_section"):
        bc.inspect(data_dir / "c3d_plates" / "bad_parameter_section.c3d")


@pytest.mark.realdata
def test_the_drift_of_the_second_treadmill_is_seen(data_dir):
    path = data_dir / "treadmill_run_drift" / "custom_drift_S001runT25.csv"
    found = bc.inspect(path, rate_hz=300.0)
    # 0 to 112.6 N were added.
    assert found.files[0].plates[0].channels[2].drift == pytest.approx(112.6, abs=3.0)
    assert {f.code for f in found.findings} == {"rate_low", "offset", "drift"}


@pytest.mark.realdata
def test_standing_the_opensim_file_and_the_jumps(data_dir):
    standing = bc.inspect(data_dir / "quiet_standing" / "BDS00001.txt")
    assert {f.code for f in standing.findings} == {"rate_low"}
    assert standing.files[0].plates[0].unloaded.startswith("none was found")
    # Its moments are in N·mm, though the format says N·m.
    opensim = bc.inspect(data_dir / "c3d_plates" / "std_cop_walking2_grfs.sto")
    assert {f.code for f in opensim.findings} == {"rate_low", "moment_unit"}
    assert codes(data_dir / "kistler_raw" / "BioWare17.dat") == []
    columns = [dict(zip(("Fx", "Fy", "Fz", "Mx", "My", "Mz"), range(k, k + 6), strict=True)) for k in (0, 6)]
    jump = bc.inspect(data_dir / "jumps" / "F02_CTRL1.txt", rate_hz=2000.0, columns=columns)
    assert [plate.load for plate in jump.files[0].plates] == ["up", "up"]
    assert not [
        f for f in jump.findings if f.code in ("saturated", "constant", "channels_equal", "plates_equal")
    ]
