"""``balancecore rig``: what init writes, what check finds, on a device that rests, drifts, clips and is weighed on."""

import io
import json
import re
import sys

import numpy as np
import pytest

import balancecore as bc
from balancecore import cli
from balancecore.capture import Channel
from balancecore.capture._rig_write import text_for_c3d, text_for_device
from balancecore.capture.rig import Rig, load_rig
from balancecore.errors import DeviceTimeoutError
from balancecore.io._file import load
from balancecore.io.c3d import c3d_setup
from balancecore.trial import Layout

from ..io.c3d_bytes import c3d_bytes
from .rigs import NAMES, TWO_PLATES, Bench

G = 9.80665
MASS_KG = 20.0
SPOT_M = (0.3, 1.0)
#: The noise of the bench is 0.2 N; a mean over 250 frames is better than this.
WEIGHT_N = 0.1
#: The same for the centre of pressure: noise of the moments over the weight.
SPOT_ERROR_M = 1e-3
CORNERS_MM = np.array([[500.0, 0, 0], [0, 0, 0], [0, 900.0, 0], [500.0, 900.0, 0]])


def rest(n=250, seed=1):
    """Volts of the bench with nothing on it: 0.2 N of noise and an offset on each channel."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, 2e-4, (n, len(NAMES))) + np.linspace(-0.01, 0.01, len(NAMES))


def with_weight(mass_kg=MASS_KG, scale=1.0, spot=SPOT_M, seed=2):
    """A mass on the right plate, which gives N/1000 for Fz, N·m/800 for Mx and N·m/250 for My."""
    force = scale * mass_kg * G
    x, y = spot[0] - 0.25, spot[1] - 0.8
    raw = rest(seed=seed)
    raw[:, 6:12] += np.array([0.0, 0.0, force / 1000.0, y * force / 800.0, -x * force / 250.0, 0.0])
    return raw


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Lets the command find a bench, whose class can be changed, and a rig file for it."""

    class Own(Bench):
        plays = (rest(), with_weight())

    monkeypatch.setattr("balancecore.commands.rig.open_device", lambda address: Own(address).open())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rig.toml").write_text(TWO_PLATES, encoding="utf-8")
    return Own


def check(*words, enter="\n", monkeypatch=None):
    if monkeypatch is not None:
        monkeypatch.setattr("sys.stdin", io.StringIO(enter))
    return cli.main(["rig", "check", "rig.toml", "--seconds", "0.5", *words])


# --- check ----------------------------------------------------------------------------------------------------------


def test_a_sound_rig_passes(bench, capsys):
    assert check() == 0
    said = capsys.readouterr()
    assert "FAIL" not in said.out
    assert "PASS frames: 250 frames at 500 Hz, none lost" in said.out
    offset = np.linalg.norm(load_rig("rig.toml").wrenches(rest())[:, 6:9].mean(axis=0))
    assert f"PASS plate 'right': offset {offset:.1f} N (limit 100 N)" in said.out
    assert said.err == "bench: 0.5 s with nothing on the plates\n"


def test_the_weight_is_found_where_it_lies(bench, capsys, monkeypatch):
    assert check("--weight", "20", "--json", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    weight = found["weight"]
    assert weight["plate"] == "right"
    assert weight["expected_n"] == pytest.approx(MASS_KG * G)
    assert weight["measured_n"] == pytest.approx(MASS_KG * G, abs=WEIGHT_N)
    assert weight["deviation_n"] == pytest.approx(0.0, abs=WEIGHT_N)
    assert weight["cop_m"] == pytest.approx(SPOT_M, abs=SPOT_ERROR_M)
    assert weight["others_n"] < WEIGHT_N
    assert found["passed"]
    assert found["rig"] == "rig.toml"
    assert (found["frames"], found["frames_lost"], found["rate_hz"]) == (250, 0, 500.0)
    assert [c["name"] for c in found["channels"]] == list(NAMES)
    expected = rest().mean(axis=0)
    np.testing.assert_allclose([c["mean"] for c in found["channels"]], expected, atol=1e-12)
    np.testing.assert_allclose([c["sd"] for c in found["channels"]], rest().std(axis=0), atol=1e-12)
    forces = load_rig("rig.toml").wrenches(rest())
    for k, plate in enumerate(found["plates"]):
        np.testing.assert_allclose(plate["force_n"], forces[:, 6 * k : 6 * k + 3].mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(plate["noise_n"], forces[:, 6 * k : 6 * k + 3].std(axis=0), atol=1e-9)
    assert "Put the 20 kg on one plate" in said.err


@pytest.mark.parametrize(
    ("loaded", "said"),
    [
        (
            with_weight(scale=1.05),
            r"FAIL weight on 'right': 205\.\d N for 196\.1 N: \+9\.\d N, \+[45]\.\d\d %.*gain",
        ),
        (
            with_weight(scale=-1.0),
            r"FAIL weight on 'right': -196\.\d N .*sign is wrong; is convention = \"action\"\?",
        ),
        (rest(seed=9), r"FAIL weight on '\w+': .*no plate shows it"),
        (with_weight(spot=(0.9, 1.0)), r"PASS weight on 'right'.*"),
    ],
)
def test_a_weight_that_is_not_as_it_should_be(bench, capsys, monkeypatch, loaded, said):
    bench.plays = (rest(), loaded)
    status = check("--weight", "20", monkeypatch=monkeypatch)
    out = capsys.readouterr().out
    assert re.search(said, out)
    assert status == (1 if "FAIL" in said else 0)


def test_a_force_that_is_too_large_deviates_upwards(bench, capsys, monkeypatch):
    bench.plays = (rest(), with_weight(scale=1.05))
    assert check("--weight", "20", "--json", monkeypatch=monkeypatch) == 1
    weight = json.loads(capsys.readouterr().out)["weight"]
    assert weight["deviation_n"] == pytest.approx(0.05 * MASS_KG * G, abs=WEIGHT_N)
    assert weight["deviation_pct"] == pytest.approx(5.0, abs=100.0 * WEIGHT_N / (MASS_KG * G))


def test_a_spot_beside_the_plate_fails(bench, capsys, monkeypatch, tmp_path):
    corners = "corners_m = [[0.5, 1.6, 0.0], [0.0, 1.6, 0.0], [0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]"
    text = TWO_PLATES.replace('axes = ["x", "y", "z"]\ncentre_m = [0.25, 0.8, 0.0]', corners)
    (tmp_path / "rig.toml").write_text(text, encoding="utf-8")
    assert check("--weight", "20", monkeypatch=monkeypatch) == 0
    assert "PASS centre of pressure: at x 300 mm, y 1000 mm of the lab" in capsys.readouterr().out
    bench.plays = (rest(), with_weight(spot=(0.9, 1.0)))
    assert check("--weight", "20", monkeypatch=monkeypatch) == 1
    assert "FAIL centre of pressure: at x 900 mm, y 1000 mm" in capsys.readouterr().out


def test_a_weight_across_two_plates_fails(bench, capsys, monkeypatch):
    raw = with_weight(scale=0.99)
    raw[:, 2] -= 20.0 / (705.88 / 2.4)
    bench.plays = (rest(), raw)
    assert check("--weight", "20", monkeypatch=monkeypatch) == 1
    assert (
        "FAIL other plates: they change by 20.0 N: does the weight touch two plates?"
        in capsys.readouterr().out
    )


def test_nobody_there_to_press_enter(bench, capsys, monkeypatch):
    assert check("--weight", "20", enter="", monkeypatch=monkeypatch) == 1
    assert capsys.readouterr().err.endswith("balancecore: --weight: nobody pressed Enter\n")


def spoiled(**columns):
    raw = rest()
    for name, change in columns.items():
        raw[:, NAMES.index(name)] = change(raw[:, NAMES.index(name)])
    return raw


def first(value, n):
    def change(x):
        return np.where(np.arange(len(x)) < n, value, x)

    return change


@pytest.mark.parametrize(
    ("raw", "said", "status"),
    [
        (
            spoiled(b2=lambda x: x + 0.7),
            r"FAIL plate 'right': offset 70\d\.\d N \(limit 100 N\): is somebody",
            1,
        ),
        (
            spoiled(b2=lambda x: 500 * (x - x.mean())),
            r"FAIL plate 'right': noise \d+\.\d+ N SD \(limit 50 N\)",
            1,
        ),
        (spoiled(a1=first(9.99, 7)), "FAIL channel 'a1': at an end of its range in 7 frames", 1),
        (spoiled(a1=first(9.99, 7)), "FAIL plate 'left': 7 frames at an end of a channel's range", 1),
        (spoiled(b1=first(5.0, 4)), "FAIL plate 'right': 4 frames at an end of a channel's range", 1),
        (spoiled(emg=first(np.nan, 5)), "FAIL channel 'emg': 5 frames without a value", 1),
        (spoiled(b0=lambda x: np.full_like(x, np.nan)), "FAIL plate 'right': no frame has a value", 1),
        (
            spoiled(a4=lambda x: 0 * x + 0.5),
            "NOTE channel 'a4': always 0.5 V: is something connected to it",
            0,
        ),
    ],
)
def test_what_is_wrong_without_load(bench, capsys, raw, said, status):
    bench.plays = (raw,)
    assert check() == status
    assert re.search(said, capsys.readouterr().out)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("with_rich", [True, False])
def test_somebody_who_watches_sees_the_plates_meanwhile(bench, monkeypatch, with_rich):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr("balancecore.capture.rig_check.LOOK_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    if not with_rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    assert check() == 0
    shown = terminal.getvalue()
    assert ("100 frames, 0 lost" in shown) == with_rich
    assert ("right" in shown) == with_rich


def test_json_of_a_channel_without_values_is_json(bench, capsys):
    bench.plays = (spoiled(b0=lambda x: np.full_like(x, np.nan)),)
    assert check("--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["channels"][6]["mean"] is None
    assert found["plates"][1]["offset_n"] is None
    assert not found["passed"]


@pytest.mark.parametrize(
    ("address", "said", "status"),
    [
        (
            "simulated:belts?speed_m_s=2.5",
            "PASS treadmill: belts at 2.50 and 2.50 m/s, incline 0.0 degrees",
            0,
        ),
        ("simulated:nothing", "FAIL treadmill: simulated:nothing: there is simulated:belts", 1),
        ("nobody:belts", "FAIL treadmill: ", 1),
    ],
)
def test_the_treadmill_of_a_rig_is_listened_to(bench, capsys, tmp_path, address, said, status):
    text = TWO_PLATES.replace("[treadmill]", f'[treadmill]\naddress = "{address}"')
    (tmp_path / "rig.toml").write_text(text, encoding="utf-8")
    assert check() == status
    assert said in capsys.readouterr().out


def test_lost_frames_fail(bench, capsys):
    bench.lose = 40
    assert check() == 1
    assert "FAIL frames: 250 frames at 500 Hz, 40 lost in 1 places" in capsys.readouterr().out


def test_no_weight_on_a_loaded_plate(bench, capsys, monkeypatch):
    bench.plays = (spoiled(b2=lambda x: x + 0.7),)
    assert check("--weight", "20", monkeypatch=monkeypatch) == 1
    assert "right: 70" in (said := capsys.readouterr().err)
    assert "the plate is loaded" in said


def test_a_silent_device(bench, capsys, monkeypatch):
    monkeypatch.setattr("balancecore.capture.rig_check.SILENT_S", 0.05)
    bench._read_into = lambda self, out, timeout_s: 0
    assert check() == 1
    assert "bench:1: no frame came for 0.05 s" in capsys.readouterr().err
    assert issubclass(DeviceTimeoutError, TimeoutError)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--seconds", "0.1"), "0.1 s to measure: 0.5 to 600 s are possible"),
        (("--weight", "-3"), "-3 kg: the mass of the weight is a positive number"),
        (("--tolerance", "0"), "--tolerance 0"),
    ],
)
def test_numbers_that_can_not_be(bench, capsys, monkeypatch, words, said):
    assert check(*words, monkeypatch=monkeypatch) == 1
    assert said in capsys.readouterr().err


def test_a_device_that_is_another(bench, capsys):
    bench.channels_of = Bench.channels_of[:-1]
    assert check() == 1
    assert capsys.readouterr().err.endswith(
        "channels[13]: the device has no 'speed', only 13 channels (bench)\n"
    )


# --- init -----------------------------------------------------------------------------------------------------------


def test_init_of_a_device_that_gives_wrenches(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["rig", "init", "simulated:treadmill?rate_hz=500", "-o", "new.toml"]) == 0
    assert capsys.readouterr().out.startswith("new.toml: 12 channels, 2 plates.")
    rig = load_rig("new.toml")
    assert rig.device == "simulated:treadmill?rate_hz=500"
    assert rig.layout.names == ("left belt", "right belt")
    assert rig.text.count("#") > 3
    # And never twice.
    before = (tmp_path / "new.toml").read_bytes()
    assert cli.main(["rig", "init", "simulated:treadmill", "-o", "new.toml"]) == 1
    assert "new.toml: the file exists already" in capsys.readouterr().err
    assert (tmp_path / "new.toml").read_bytes() == before


def test_init_of_a_device_in_volts_lists_its_channels_and_what_to_fill_in(bench, tmp_path, capsys):
    assert cli.main(["rig", "init", "bench:1", "-o", "new.toml"]) == 0
    assert "Fill in a [[plates]] table" in capsys.readouterr().out
    rig = load_rig(tmp_path / "new.toml")
    assert rig.channels == NAMES
    assert rig.plates == ()
    assert cli.main(["rig", "check", "new.toml", "--seconds", "0.5"]) == 1
    assert "FAIL plates: the rig file has no [[plates]] yet" in capsys.readouterr().out


def test_what_stands_there_to_be_filled_in_is_right_as_it_stands():
    """With the '# ' taken away it is a rig, whose plate gives an upward force for a push down."""
    with Bench("bench:1") as device:
        text = text_for_device(device)
    filled = re.sub(r"^# (?=[\[\]a-z_ ]+(\]| = |\[)|    \[|\])", "", text, flags=re.MULTILINE)
    filled = filled.replace("# lab_axes", "lab_axes")
    rig = Rig.parse(filled)
    assert [plate.name for plate in rig.plates] == ["left belt"]
    assert rig.analog[0].name == "belt speed"
    assert rig.treadmill.speed == ("belt speed",)
    assert rig.lateral_known
    assert rig.wrenches(np.eye(14)[2:3])[0, 2] > 0.0


def plate_parameters(kind, origin, channels, **more):
    return {
        ("POINT", "UNITS"): ["mm"],
        ("FORCE_PLATFORM", "USED"): np.int64(1),
        ("FORCE_PLATFORM", "TYPE"): np.array([kind]),
        ("FORCE_PLATFORM", "ZERO"): np.array([1, 0]),
        ("FORCE_PLATFORM", "CORNERS"): CORNERS_MM.T[:, :, np.newaxis],
        ("FORCE_PLATFORM", "ORIGIN"): np.array(origin)[:, np.newaxis],
        ("FORCE_PLATFORM", "CHANNEL"): np.array(channels)[:, np.newaxis],
        **{tuple(key.split("__")): value for key, value in more.items()},
    }


MATRIX = np.diag([100.0, 110.0, 500.0, 2e4, 2.1e4, 3e4]) + np.random.default_rng(4).normal(0.0, 1.0, (6, 6))
C3D = {
    "type 2": (
        2,
        (1.5, -0.7, -40.0),
        [1, 2, 3, 4, 5, 6],
        {"ANALOG__UNITS": ["N"] * 3 + ["Nmm"] * 3 + ["V", "?"]},
    ),
    "type 3": (3, (200.0, 350.0, -50.0), [1, 2, 3, 4, 5, 6, 7, 8], {"ANALOG__UNITS": ["N"] * 8}),
    "type 4": (
        4,
        (0.0, 0.0, -40.0),
        [3, 4, 5, 6, 7, 8],
        {"ANALOG__UNITS": ["V"] * 8, "FORCE_PLATFORM__CAL_MATRIX": MATRIX[:, :, np.newaxis]},
    ),
    "type 5": (
        5,
        (0.0, 0.0, -40.0),
        [1, 2, 3, 4, 5, 6, 7, 8],
        {"FORCE_PLATFORM__CAL_MATRIX": np.random.default_rng(6).normal(0.0, 9.0, (6, 8))[:, :, np.newaxis]},
    ),
    "type 7": (
        7,
        (200.0, 350.0, -50.0),
        [1, 2, 3, 4, 5, 6, 7, 8],
        {"FORCE_PLATFORM__CAL_MATRIX": np.random.default_rng(7).normal(0.0, 9.0, (8, 8))[:, :, np.newaxis]},
    ),
    "type 3 with a polynomial": (
        3,
        (200.0, 350.0, -50.0),
        [8, 7, 6, 5, 4, 3, 2, 1],
        {"FORCE_PLATFORM__FPCOPPOLY": (1e-9 * np.arange(1.0, 13.0))[:, np.newaxis]},
    ),
}


@pytest.fixture(params=C3D)
def recording(request, tmp_path):
    kind, origin, used, more = C3D[request.param]
    analog = np.random.default_rng(8).normal(0.0, 20.0, (50, 8)) + 100.0
    path = tmp_path / "static.c3d"
    labels = {"ANALOG__LABELS": [f"S{k}" for k in range(8)]}
    path.write_bytes(c3d_bytes(plate_parameters(kind, origin, used, **labels, **more), analog))
    return path, np.float32(analog).astype(float)


def test_init_of_a_c3d_file_has_its_calibration_and_geometry(recording, tmp_path, monkeypatch, capsys):
    path, analog = recording
    monkeypatch.chdir(tmp_path)
    assert cli.main(["rig", "init", "static.c3d"]) == 0
    rig = load_rig("rig.toml")
    trial = bc.read(path)
    assert rig.channels == tuple(f"S{k}" for k in range(8))
    # The numbers are written with all their digits, so nothing is left to tolerate but the order of a sum.
    np.testing.assert_allclose(rig.wrenches(analog), trial.plates[0].wrench, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(rig.layout.origins_m, trial.layout.origins_m)
    np.testing.assert_allclose(rig.layout.corners_m, trial.layout.corners_m)
    assert len(rig.analog) == len(trial.analog)
    assert "CHANGE the address" in rig.text
    assert str(tmp_path) not in rig.text


def test_init_of_a_c3d_file_for_a_device(recording, bench, tmp_path):
    _, analog = recording
    bench.channels_of = tuple(Channel(f"Dev1/ai{k}") for k in range(9))
    assert cli.main(["rig", "init", "static.c3d", "--device", "bench:7", "-o", "for.toml"]) == 0
    rig = load_rig("for.toml")
    assert rig.device == "bench:7"
    assert rig.channels == tuple(f"Dev1/ai{k}" for k in range(9))
    without = Rig.parse(text_for_c3d(c3d_setup(load(tmp_path / "static.c3d")), "static.c3d", None))
    wide = np.column_stack((analog, np.ones(len(analog))))
    np.testing.assert_array_equal(rig.wrenches(wide), without.wrenches(analog))


def test_a_c3d_file_with_more_channels_than_the_device(recording, bench, capsys):
    bench.channels_of = Bench.channels_of[:7]
    assert cli.main(["rig", "init", "static.c3d", "--device", "bench:7", "-o", "for.toml"]) == 1
    assert "static.c3d: it has 8 analog channels, bench:7 only 7" in capsys.readouterr().err


def test_the_loads_of_a_file_tell_of_the_other_sign(tmp_path):
    more = {"ANALOG__UNITS": ["N"] * 3 + ["Nmm"] * 3}
    parameters = plate_parameters(2, (0.0, 0.0, 0.0), [1, 2, 3, 4, 5, 6], **more)
    for sign, said in ((1.0, "Check the sign"), (-1.0, "point DOWN")):
        path = tmp_path / f"loads{sign:g}.c3d"
        # z of CORNERS_MM points down, so that a load along +z of the plate is one downward.
        path.write_bytes(c3d_bytes(parameters, np.tile([0, 0, -700.0 * sign, 0, 0, 0], (20, 1))))
        setup = c3d_setup(load(path))
        assert setup.plates[0].wrench[0, 2] == 700.0 * sign
        assert said in text_for_c3d(setup, path.name, None)


def test_a_plate_of_type_1_has_no_calibration(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parameters = plate_parameters(1, (0.0, 0.0, 0.0), [1, 2, 3, 4, 5, 6])
    (tmp_path / "one.c3d").write_bytes(c3d_bytes(parameters, np.ones((20, 6))))
    assert cli.main(["rig", "init", "one.c3d"]) == 1
    assert "one.c3d: plate 1 is of type 1" in capsys.readouterr().err
    assert not (tmp_path / "rig.toml").exists()


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name",
    [
        "Gait.c3d",
        "PlugInC3D.c3d",
        "TYPE-2.C3D",
        "TYPE-4.C3D",
        "type3_FP1.C3D",
        "walking2.c3d",
        "../kistler_raw/kistler_COP.c3d",
    ],
)
def test_rigs_of_real_recordings_give_their_wrenches(data_dir, name):
    path = data_dir / "c3d_plates" / name
    setup = c3d_setup(load(path))
    rig = Rig.parse(text_for_c3d(setup, path.name, None))
    raw = np.zeros((len(setup.plates[0].header.raw), len(rig.channels)))
    for plate in setup.plates:
        raw[:, plate.header.columns] = plate.header.raw
    trial = bc.read(path)
    found = rig.wrenches(raw)
    for k, plate in enumerate(trial.plates):
        np.testing.assert_allclose(found[:, 6 * k : 6 * k + 6], plate.wrench, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(rig.layout.origins_m, trial.layout.origins_m)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rig"], "required: ACTION"),
        (["rig", "init", "nix"], "'nix' is no device address"),
        (["rig", "init", "a.c3d"], "a.c3d"),
    ],
)
def test_a_wrong_command_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        status = cli.main(words)
    except SystemExit as left:
        status = left.code
    assert status in (1, 2)
    assert said in capsys.readouterr().err


def test_names_and_units_of_any_source_are_written_so_that_they_can_be_read():
    class Wild(Bench):
        channels_of = (
            tuple(Channel(n, "N") for n in "abc")
            + tuple(Channel(n, "N*m") for n in "def")
            + (
                Channel('µ "x"\n\t\\', "volts"),
                Channel("t", "furlongs"),
                Channel("°", "°"),
            )
        )
        layout = Layout.single_belt()

    with Wild("bench:1") as device:
        rig = Rig.parse(text_for_device(device)).bind(device.description)
    assert [(a.name, a.unit) for a in rig.analog] == [('µ "x"\n\t\\', "V"), ("t", ""), ("°", "deg")]
    assert "called 'furlongs' by its source" in rig.text
