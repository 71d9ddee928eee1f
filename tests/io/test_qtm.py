"""QTM force exports: geometry, sign, ways of writing and damage."""

import hashlib
import time

import numpy as np
import pytest

import balancecore as bc
from balancecore.errors import DataError

OZ_M = 0.015875
CORNERS_MM = {"POSX_POSY": (0, 1600), "NEGX_POSY": (480, 1600), "NEGX_NEGY": (480, 0), "POSX_NEGY": (0, 0)}
COLUMNS = [
    "SAMPLE",
    "TIME",
    "Force_X",
    "Force_Y",
    "Force_Z",
    "Moment_X",
    "Moment_Y",
    "Moment_Z",
    "COP_X",
    "COP_Y",
    "COP_Z",
]


def qtm_text(
    action, *, rate=2400, name="Left", samples=None, offset=(-240.0, 800.0, 15.875), tab="\t", drop=()
):
    """A QTM export; `action` is (n, 6) about a sensor origin at lab (0, 0) and oz below the surface."""
    header = {"NO_OF_SAMPLES": len(action) if samples is None else samples, "FREQUENCY": rate}
    header |= {"DESCRIPTION": "Force data in world (lab) coordinates", "FORCE_PLATE_NAME": name}
    for corner, (x, y) in CORNERS_MM.items():
        header |= {
            f"FORCE_PLATE_CORNER_{corner}_{a}": f"{v:.6f}" for a, v in zip("XYZ", (x, y, 0), strict=True)
        }
    header |= {f"FORCE_PLATE_OFFSET_{a}": f"{v:.6f}" for a, v in zip("XYZ", offset, strict=True)}
    lines = [f"{key}\t{value}" for key, value in header.items() if key not in drop]
    lines.append("\t".join(COLUMNS))
    for k, (fx, fy, fz, mx, my, mz) in enumerate(action):
        cop = (
            (-(my - fx * OZ_M) / fz * 1e3, (mx + fy * OZ_M) / fz * 1e3, 0.0)
            if abs(fz) > 1
            else (0.0, 0.0, 0.0)
        )
        numbers = [f"{v:.6f}" for v in (fx, fy, fz, mx, my, mz, *cop)]
        lines.append("\t".join([str(k + 1), f"{k / rate:.5f}", *numbers]) + tab)
    return "\n".join(lines) + "\n"


@pytest.fixture
def action():
    rng = np.random.default_rng(1)
    wrench = rng.normal(size=(50, 6)) * [20, 20, 1, 100, 100, 5]
    wrench[:, 2] = -rng.uniform(300, 900, 50)
    return wrench.round(6)


def write(tmp_path, text, name="f_1.tsv"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_force_on_the_plate_becomes_reaction_at_the_surface(tmp_path, action):
    trial = bc.read(write(tmp_path, qtm_text(action)))
    plate = trial.plates[0]
    moved = action.copy()
    moved[:, 3] += action[:, 1] * OZ_M
    moved[:, 4] -= action[:, 0] * OZ_M
    np.testing.assert_allclose(plate.wrench, -moved, atol=1e-12)
    np.testing.assert_allclose(plate.origin_m, 0, atol=1e-12)
    assert plate.corners_lab.tolist() == [[0, 1.6, 0], [0.48, 1.6, 0], [0.48, 0, 0], [0, 0, 0]]
    assert (trial.rate_hz, trial.convention, trial.lateral_known) == (2400, "action", False)
    assert (plate.name, plate.side) == ("Left", "?")
    assert any("sides=" in note for note in trial.notes)


def test_cop_that_differs_from_the_moments_is_noted(tmp_path, action):
    trial = bc.read(write(tmp_path, qtm_text(action, offset=(-200.0, 800.0, 15.875))), sides=["L"])
    assert len(trial.notes) == 1
    assert "40.0 mm" in trial.notes[0]


def test_convention_outranks_the_format_and_wrong_polarity_is_told(tmp_path, action):
    path = write(tmp_path, qtm_text(action))
    trial = bc.read(path, convention="reaction", sides=["L"])
    assert np.median(trial.plates[0].wrench[:, 2]) < 0
    assert "negative under load" in trial.notes[0]
    assert bc.read(path, sides=["L"]).notes == ()


def test_axes_turn_the_plate(tmp_path, action):
    path = write(tmp_path, qtm_text(action))
    plain, turned = bc.read(path), bc.read(path, axes=("-x", "-y", "z"))
    assert turned.lateral_known
    np.testing.assert_allclose(turned.plates[0].cop[:, :2], -plain.plates[0].cop[:, :2], atol=1e-12)


def test_two_plates(tmp_path, action):
    paths = [write(tmp_path, qtm_text(action, name=n), f"{n}.tsv") for n in ("Left", "Right")]
    trial = bc.read(paths, sides=["L", "R"])
    assert [p.side for p in trial.plates] == ["L", "R"]
    assert [s.name for s in trial.sources] == ["Left.tsv", "Right.tsv"]
    assert trial.sources[0].sha256 == hashlib.sha256(paths[0].read_bytes()).hexdigest()
    short = write(tmp_path, qtm_text(action[:40]), "short.tsv")
    with pytest.raises(DataError, match=r"50 frames but short\.tsv 40"):
        bc.read([paths[0], short])
    other = write(tmp_path, qtm_text(action, rate=1200), "slow.tsv")
    with pytest.raises(DataError, match=r"2400 Hz but slow\.tsv 1200 Hz"):
        bc.read([paths[0], other])


@pytest.mark.parametrize("tab", ["\t", ""])
def test_cut_short(tmp_path, action, tab):
    text = qtm_text(action, tab=tab)
    lines = text.split("\n")
    with pytest.raises(DataError, match=r"f_1\.tsv, line 59: .*50 samples, the table has 39.*cut short"):
        bc.read(write(tmp_path, "\n".join(lines[:59])))
    with pytest.raises(DataError, match=r"f_1\.tsv, line 59: this row has 4 columns"):
        bc.read(write(tmp_path, "\n".join([*lines[:58], "\t".join(lines[58].split("\t")[:4])])))
    with pytest.raises(DataError, match="no table of forces"):
        bc.read(write(tmp_path, "\n".join(lines[:10])))
    with pytest.raises(DataError, match="no rows"):
        bc.read(write(tmp_path, "\n".join(lines[:20])))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lambda a: qtm_text(a, samples=10**12), "cut short"),
        (lambda a: qtm_text(a, samples=49), "too many"),
        (lambda a: qtm_text(a, samples="many"), "line 1: NO_OF_SAMPLES must be a number, not 'many'"),
        (
            lambda a: qtm_text(a, rate=2400).replace("FREQUENCY\t2400", "FREQUENCY\t1200"),
            "time column says 2399",
        ),
        (lambda a: qtm_text(a, drop=("FORCE_PLATE_OFFSET_Z",)), "lacks FORCE_PLATE_OFFSET_Z"),
        (lambda a: qtm_text(a).replace("Moment_Z", "Moment"), "no column Moment_Z"),
        (lambda a: qtm_text(a).replace("Moment_Z", "Force_X"), "Moment_Z"),
        (lambda a: qtm_text(a).replace("COP_X", "Force_X"), "more than one column is called 'Force_X'"),
        (lambda a: qtm_text(a).replace("world (lab)", "local (plate)"), "plate's own axes"),
        (lambda a: qtm_text(a).replace("POSY_Z\t0", "POSY_Z\t9"), "not level"),
        (lambda a: qtm_text(a).replace("480.0", "0.0"), "coincide"),
        (
            lambda a: qtm_text(a).replace("\n7\t", "\n7\tabc"),
            r"line 27: column 2: 'abc0\.00250' is not a number",
        ),
    ],
)
def test_damage_is_named(tmp_path, action, text, message):
    with pytest.raises(DataError, match=message):
        bc.read(write(tmp_path, text(action)))


def test_rate_and_columns_may_not_contradict(tmp_path, action):
    path = write(tmp_path, qtm_text(action))
    assert bc.read(path, rate_hz=2401).rate_hz == 2400
    with pytest.raises(DataError, match=r"given as 1000 Hz but the header says 2400 Hz"):
        bc.read(path, rate_hz=1000)
    with pytest.raises(DataError, match="columns= has no use"):
        bc.read(path, columns={"Fz": 4})


def in_quotes(text):
    return "\n".join(",".join(f'"{field}"' for field in line.split("\t")) for line in text.splitlines())


def padded(text):
    """As a spreadsheet saves it: every line as wide as the table."""
    lines = [line.rstrip("\t").split("\t") for line in text.rstrip("\n").split("\n")]
    width = max(map(len, lines))
    return "\n".join(",".join(line + [""] * (width - len(line))) for line in lines) + "\n"


WRITINGS = {
    "commas": lambda text: text.replace("\t", ","),
    "commas, padded": padded,
    "commas, quoted": in_quotes,
    "semicolons": lambda text: text.replace("\t", ";"),
    "semicolons, decimal commas": lambda text: text.replace(".", ",").replace("\t", ";"),
    "tabs, decimal commas": lambda text: text.replace(".", ","),
}


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("tab", ["\t", ""])
def test_other_marks_between_the_columns_give_the_same(tmp_path, action, writing, tab):
    # A comma within a field is no mark, where it can be told from one.
    name = "Left" if writing in ("commas", "commas, padded") else "Left, front"
    text = qtm_text(action, name=name, tab=tab)
    path = write(tmp_path, WRITINGS[writing](text.replace("2400\n", "2400.0\n", 1)), "f_1.csv")
    trial, expected = bc.read(path), bc.read(write(tmp_path, text))
    np.testing.assert_array_equal(trial.plates[0].wrench, expected.plates[0].wrench)
    np.testing.assert_array_equal(trial.plates[0].corners_lab, expected.plates[0].corners_lab)
    assert (trial.rate_hz, trial.convention, trial.plates[0].name) == (2400.0, "action", name)
    assert bc.inspect(path).files[0].format == "QTM force export"


def test_the_first_row_may_have_no_decimal_mark(tmp_path, action):
    action[:3] = action[:3].round()
    lines = qtm_text(action, tab="").split("\n")
    first = next(k for k, line in enumerate(lines) if line.startswith("1\t"))
    for k in range(first, first + 3):
        lines[k] = "\t".join(f"{float(field):g}" for field in lines[k].split("\t"))
    lines[first] = lines[first].replace(".", "")
    text = "\n".join(lines)
    expected = bc.read(write(tmp_path, text)).plates[0].wrench
    commas = write(tmp_path, text.replace(".", ","), "commas.tsv")
    np.testing.assert_array_equal(bc.read(commas).plates[0].wrench, expected)
    np.testing.assert_array_equal(bc.read(commas, decimal=",").plates[0].wrench, expected)
    with pytest.raises(DataError, match="is not a number"):
        bc.read(commas, decimal=".")
    with pytest.raises(DataError, match="commas stand between its columns"):
        bc.read(write(tmp_path, text.replace("\t", ","), "f.csv"), decimal=",")


def test_damage_in_csv_is_named_too(tmp_path, action):
    lines = qtm_text(action).replace("\t", ",").split("\n")
    with pytest.raises(DataError, match=r"f_1\.csv, line 59: .*50 samples, the table has 39.*cut short"):
        bc.read(write(tmp_path, "\n".join(lines[:59]), "f_1.csv"))
    broken = [*lines[:40], lines[40].replace(".", "x"), *lines[41:]]
    with pytest.raises(DataError, match=r"f_1\.csv, line 41: column 2: .* is not a number"):
        bc.read(write(tmp_path, "\n".join(broken), "f_1.csv"))


@pytest.mark.parametrize("mark", ["\t", ","])
@pytest.mark.parametrize(
    ("lines", "held"),
    [
        (["NO_OF_FRAMES\t2", "FREQUENCY\t100", "DATA_INCLUDED\t3D", "MARKER_NAMES\tHEEL", "1\t2\t3"], "3D"),
        (["FILE_VERSION\t2.0.0", "NO_OF_FRAMES\t2", "DATA_INCLUDED\t3D", "1\t2\t3"], "3D"),
        (["TOT_NO_OF_CHAN\t1", "DATA_INCLUDED\tANALOG", "CHANNEL_NAMES\tEMG", "0.5"], "ANALOG"),
    ],
)
def test_exports_without_forces_are_named(tmp_path, lines, held, mark):
    text = "\n".join(lines).replace("\t", mark)
    with pytest.raises(DataError, match=f"QTM export, but no table of forces .* it holds '{held}'"):
        bc.read(write(tmp_path, text, "a.csv"))


def analog_text(names, values, mark="\t"):
    head = {"TOT_NO_OF_CHAN": len(names), "NO_OF_SAMPLES": len(values), "FREQUENCY": 1200}
    lines = [f"{key}\t{value}" for key, value in head.items()] + ["DATA_INCLUDED\tANALOG"]
    lines += ["\t".join(["CHANNEL_NAMES", *names]), *("\t".join(map(repr, row)) for row in values.tolist())]
    return "\n".join(lines).replace("\t", mark) + "\n"


@pytest.mark.parametrize("mark", ["\t", ","])
def test_analog_channels_are_a_table_for_those_who_know_it(tmp_path, action, mark):
    path = write(tmp_path, analog_text(["c1", "c2", "c3"], action[:, :3], mark), "a.tsv")
    with pytest.raises(
        DataError, match=r"it holds 'ANALOG'\. Export the force data, or say with columns= or rig="
    ):
        bc.read(path)
    for columns in ({"Fx": 0, "Fy": 1, "Fz": 2}, {"Fx": "c1", "Fy": "c2", "Fz": "c3"}):
        trial = bc.read(path, columns=columns)
        np.testing.assert_array_equal(trial.plates[0].wrench[:, :3], action[:, :3])
        assert trial.rate_hz == 1200.0
    assert bc.inspect(path, columns=columns).files[0].format == "QTM analog export"
    with pytest.raises(DataError, match="given as 1000 Hz but the header says 1200 Hz"):
        bc.read(path, columns=columns, rate_hz=1000)


REAL = ["JDX_S999_run_0021_f_1.tsv", "JDX_S999_run_0021_f_2.tsv"]


@pytest.mark.realdata
def test_real_belts_give_the_cop_of_their_own_file(data_dir):
    paths = [data_dir / "treadmill_run_bertec" / name for name in REAL]
    trial = bc.read(paths)
    assert (len(trial), trial.rate_hz, trial.convention) == (23840, 2400.0, "action")
    assert [p.name for p in trial.plates] == ["Left", "Right"]
    assert [p.side for p in trial.plates] == ["?", "?"]
    assert len(trial.notes) == 1
    np.testing.assert_allclose(trial.plates[1].origin_m, [0.974725, 0, 0], atol=1e-6)
    for plate, path in zip(trial.plates, paths, strict=True):
        table = np.loadtxt(path, skiprows=27, usecols=range(11))
        fz = plate.wrench[:, 2]
        np.testing.assert_array_equal(fz, -table[:, 4])
        # Loaded either way: the unloaded belt swings to the other sign, where `cop` is NaN.
        loaded = np.abs(fz) > 50
        mine = np.column_stack(
            [plate.origin_m[0] - plate.wrench[:, 4] / fz, plate.origin_m[1] + plate.wrench[:, 3] / fz]
        )
        np.testing.assert_allclose(mine[loaded], table[loaded, 8:10] * 1e-3, rtol=0, atol=1e-6)
        pushed = fz > 50
        np.testing.assert_allclose(plate.cop[pushed, :2], table[pushed, 8:10] * 1e-3, rtol=0, atol=1e-6)


@pytest.mark.realdata
def test_a_real_belt_saved_by_a_spreadsheet_is_the_same(data_dir, tmp_path):
    path = data_dir / "treadmill_run_bertec" / REAL[1]
    text = path.read_text(encoding="utf-8")
    saved = write(tmp_path, text.replace(".", ",").replace("\t", ";"), "saved.csv")
    np.testing.assert_array_equal(bc.read(saved).plates[0].wrench, bc.read(path).plates[0].wrench)


@pytest.mark.realdata
def test_real_belt_is_read_fast(data_dir):
    path = data_dir / "treadmill_run_bertec" / REAL[0]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        bc.read(path)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.3
