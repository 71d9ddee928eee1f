"""Rig files: what they mean, what they refuse and how, and raw frames through them."""

import json
import re
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from balancecore.drivers.simulated import CALIBRATION
from hypothesis import given, settings
from hypothesis import strategies as st

import balancecore as bc
from balancecore import plates
from balancecore.capture import BeltState, Channel, Description, open_device
from balancecore.capture._rig_reference import reference
from balancecore.capture._rig_text import line_of
from balancecore.capture.rig import NOISY_N, Rig, RigTare, load_rig
from balancecore.errors import DataError, MissingExtraError, RigError
from balancecore.plates import MAX_OFFSET_N

from .rigs import NAMES, TWO_PLATES, Bench

#: Volts and back through a matrix of the size of 500 N/V.
ROUNDING_N = 1e-9
RATE_HZ = 500.0
EXAMPLE = Path(__file__).parents[2] / "examples" / "rig.toml"


@pytest.fixture(scope="module")
def rig():
    return Rig.parse(TWO_PLATES)


def described(**changed):
    about = Description("bench", "7", RATE_HZ, Bench.channels_of)
    return replace(about, **changed)


def noise(n=600, seed=3, sd=0.01):
    return np.random.default_rng(seed).normal(0.0, sd, (n, len(NAMES)))


# --- what a file means ----------------------------------------------------------------------------------------------


def test_what_the_file_says_is_there(rig):
    assert rig.device == "bench:1"
    assert rig.channels == NAMES
    assert [(plate.name, plate.side, plate.columns) for plate in rig.plates] == [
        ("left", "L", (0, 1, 2, 3, 4, 5)),
        ("right", "R", (6, 7, 8, 9, 10, 11)),
    ]
    assert [(a.name, a.unit, a.scale, a.offset, a.column) for a in rig.analog] == [
        ("vastus", "mV", 1000.0, 0.1, 12),
        ("belt speed", "m/s", 0.5, 0.0, 13),
    ]
    assert rig.treadmill.speed == ("belt speed",)
    assert rig.text == TWO_PLATES
    layout = rig.layout
    assert layout.sides == ("L", "R")
    assert layout.names == ("left", "right")
    assert layout.lateral_known
    np.testing.assert_allclose(layout.origins_m, [[-0.25, 0.8, 0.0], [0.25, 0.8, 0.0]], atol=1e-15)


def test_wrenches_are_those_of_the_plate_models(rig):
    raw = noise()
    sensitivity = np.diag([0.67, 0.67, 0.17, 1.7, 1.7, 3.4])
    sensitivity[0, 1], sensitivity[1, 2] = 0.001, 0.002
    left = plates.amti(
        sensitivity,
        gain=2000,
        excitation_v=10.0,
        origin_m=(0.0, 0.0, -0.04),
    ).placed(corners_m=[[0, 1.6, 0], [0, 0, 0], [-0.5, 0, 0], [-0.5, 1.6, 0]], convention="action")
    right = plates.bertec([500.0, 500.0, 1000.0, 800.0, 250.0, 400.0], gain=1.0)
    expected = np.hstack([left.wrench(raw[:, :6]), right.wrench(raw[:, 6:12])])
    np.testing.assert_array_equal(rig.wrenches(raw), expected)
    # A push down on a plate whose z points down is a push up on the body.
    assert rig.wrenches(np.eye(14)[2:3])[0, 2] > 100.0


def plate_text(**keys):
    channels = keys.pop("channels")
    lines = [f"channels = {json.dumps(channels)}", 'name = "p"', 'convention = "reaction"']
    if "corners_m" not in keys:
        lines += ['axes = ["x", "y", "z"]', "centre_m = [0, 0, 0]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in keys.items()]
    head = f'format = 1\ndevice = "bench:1"\nchannels = {json.dumps(channels)}\n[[plates]]\n'
    return head + "\n".join(lines) + "\n"


RNG = np.random.default_rng(11)
MATRIX = RNG.normal(0.0, 100.0, (6, 8)).tolist()
POLYNOMIAL = (1e-3 * RNG.normal(0.0, 1e-6, 12)).tolist()
CELLS = [[0.2, 0.7, -0.1], [-0.2, 0.7, -0.1], [-0.2, -0.7, -0.1], [0.2, -0.7, -0.1]]
MODELS = {
    "bertec matrix": (
        {"model": "bertec", "scale": [row[:6] for row in MATRIX], "gain": 2.0, "origin_m": [0.0, 0.8, -0.05]},
        plates.bertec([row[:6] for row in MATRIX], gain=2.0, origin_m=[0.0, 0.8, -0.05]),
        6,
    ),
    "kistler": (
        {"model": "kistler", "a_m": 0.2, "b_m": 0.35, "az0_m": -0.05, "newton_per_unit": 300.0}
        | {"cop_polynomial_mm": POLYNOMIAL},
        plates.kistler(a_m=0.2, b_m=0.35, az0_m=-0.05, newton_per_unit=300.0, cop_polynomial_mm=POLYNOMIAL),
        8,
    ),
    "kistler by its charge amplifiers": (
        {
            "model": "kistler",
            "a_m": 0.2,
            "b_m": 0.35,
            "az0_m": -0.05,
            "range_pc": 5000,
            "sensitivity_pc_n": -3.8,
        },
        plates.kistler(
            a_m=0.2,
            b_m=0.35,
            az0_m=-0.05,
            newton_per_unit=plates.kistler_newton_per_volt(range_pc=5000, sensitivity_pc_n=-3.8),
        ),
        8,
    ),
    "load cells": (
        {
            "model": "load_cells",
            "positions_m": CELLS,
            "gain": [1e3, 2e3, 3e3, 4e3],
            "offset": 0.5,
            "unit": "mV/V",
        },
        plates.load_cells(CELLS, gain=[1e3, 2e3, 3e3, 4e3], offset=0.5),
        4,
    ),
    "six components": (
        {"model": "six_component", "matrix": MATRIX, "cop_polynomial_mm": POLYNOMIAL, "missing": ["Mz"]},
        replace(
            plates.six_component(MATRIX, missing=["Mz"]),
            cop_polynomial=plates.polynomial_from_mm(POLYNOMIAL),
        ),
        8,
    ),
    "calibrated": (
        {"model": "calibrated", "origin_m": [0.1, 0.0, 0.02]},
        plates.calibrated(origin_m=[0.1, 0.0, 0.02]),
        6,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model(name):
    keys, model, m = MODELS[name]
    raw = np.random.default_rng(5).normal(1.0, 0.5, (50, m))
    found = Rig.parse(plate_text(channels=[f"c{k}" for k in range(m)], **keys)).wrenches(raw)
    np.testing.assert_array_equal(found, model.wrench(raw))


def test_the_example_reads_the_simulated_volts_as_the_newtons_that_they_stand_for():
    rig = load_rig(EXAMPLE)
    assert rig.device.startswith("simulated:treadmill?output=volts&")
    address = rig.device.replace("output=volts&", "") + "&pace=0"
    frames = {}
    for name, where in (("volts", f"{rig.device}&pace=0"), ("newtons", address)):
        with open_device(where) as device:
            if name == "volts":
                rig.bind(device.description)
            else:
                layout = device.description.layout
            frames[name] = np.empty((700, len(device.channels)))
            device.start()
            done = 0
            while done < 700:
                done += device.read_into(frames[name][done:])
    np.testing.assert_allclose(rig.wrenches(frames["volts"]), frames["newtons"][:, :12], atol=ROUNDING_N)
    assert np.ptp(frames["newtons"][:, 2]) > 1000.0
    np.testing.assert_array_equal(rig.layout.origins_m, layout.origins_m)
    assert rig.layout.sides == layout.sides
    assert rig.layout.lateral_known
    np.testing.assert_array_equal(rig.plates[0].model.matrix, CALIBRATION)
    values = rig.analog_values(frames["volts"])
    np.testing.assert_allclose(values[:, 1], 1000.0 * frames["volts"][:, 13])
    np.testing.assert_array_equal(values[:, 2:], 3.0)


def test_a_device_that_gives_wrenches_needs_no_file():
    with open_device("simulated:treadmill?pace=0&analog=1&seed=4") as device:
        rig = Rig.for_device(device).bind(device.description)
        layout = device.description.layout
        raw = np.empty((300, len(device.channels)))
        device.start()
        raw = raw[: device.read_into(raw)]
    np.testing.assert_array_equal(rig.wrenches(raw), raw[:, :12])
    np.testing.assert_array_equal(rig.analog_values(raw), raw[:, 12:])
    assert rig.layout.sides == layout.sides
    assert rig.layout.names == layout.names
    assert rig.layout.lateral_known == layout.lateral_known
    np.testing.assert_array_equal(rig.layout.origins_m, layout.origins_m)
    np.testing.assert_array_equal(rig.layout.corners_m, layout.corners_m)
    again = Rig.parse(rig.text)
    assert (again.device, again.channels) == ("simulated:treadmill?pace=0&analog=1&seed=4", rig.channels)


class Odd(Bench):
    channels_of = tuple(Channel(n, "N") for n in "abc") + tuple(Channel(n, "N·m") for n in "def")
    layout = bc.trial.Layout(
        np.array([[0.1, 0.2, 0.3]]), ("?",), (frozenset(("Mz",)),), (1e3 * np.ones((4, 3)),), ('a "b"\n\x7f',)
    )


def test_odd_names_corners_and_missing_channels_of_a_device():
    with Odd("bench:a%20b") as device:
        rig = Rig.for_device(device).bind(device.description)
    assert rig.layout.names == ('a "b"\n\x7f',)
    assert rig.layout.missing == (frozenset(("Mz",)),)
    assert rig.layout.corners_m == (None,)
    assert "corners were left out" in rig.text
    assert not rig.lateral_known
    assert rig.device == "bench:a b"


def test_a_device_without_wrenches_needs_a_file():
    with Bench("bench:1") as device, pytest.raises(RigError, match="rig init"):
        Rig.for_device(device)


def test_the_labs_axes_are_turned():
    turned = Rig.parse(TWO_PLATES.replace('lab_axes = ["x", "y", "z"]', 'lab_axes = ["y", "-x", "z"]'))
    raw = noise(20)
    first, second = Rig.parse(TWO_PLATES).wrenches(raw), turned.wrenches(raw)
    np.testing.assert_allclose(second[:, 0], first[:, 1], atol=ROUNDING_N)
    np.testing.assert_allclose(second[:, 1], -first[:, 0], atol=ROUNDING_N)
    np.testing.assert_allclose(second[:, [2, 5]], first[:, [2, 5]], atol=ROUNDING_N)
    np.testing.assert_allclose(turned.layout.origins_m, [[0.8, 0.25, 0], [0.8, -0.25, 0]], atol=1e-15)
    np.testing.assert_allclose(turned.layout.corners_m[0][0], [1.6, 0.0, 0.0], atol=1e-15)
    assert not Rig.parse(TWO_PLATES.replace("lab_axes", "# lab_axes")).lateral_known


def test_columns_in_any_order():
    """The plate's channels need not be neighbours on the device, nor in its order."""
    text = TWO_PLATES.replace(
        'channels = ["a0", "a1", "a2", "a3", "a4", "a5", "b0", "b1", "b2", "b3", "b4", "b5", "emg", "speed"]',
        'channels = ["speed", "b5", "a0", "b4", "a1", "b3", "a2", "b2", "a3", "b1", "a4", "b0", "a5", "emg"]',
    )
    mixed = Rig.parse(text)
    raw = noise(40)
    shuffled = raw[:, [NAMES.index(name) for name in mixed.channels]]
    np.testing.assert_array_equal(mixed.wrenches(shuffled), Rig.parse(TWO_PLATES).wrenches(raw))
    np.testing.assert_array_equal(mixed.analog_values(shuffled), Rig.parse(TWO_PLATES).analog_values(raw))


# --- what a file may not say ----------------------------------------------------------------------------------------

WRONG = {
    "unknown key": ('side = "L"', 'sied = "L"', "plates[0].sied: there is no such key"),
    "unknown key on top": ("format = 1", "format = 1\nsample_rate = 5", "sample_rate: there is no such key"),
    "missing key": ("excitation_v = 10.0\n", "", "plates[0].excitation_v: this key is missing"),
    "missing device": ('device = "bench:1"\n', "", "device: this key is missing"),
    "no address": ('"bench:1"', '"bench"', "device: 'bench' is no device address"),
    "other format": ("format = 1", "format = 2", "format: 2 is none of 1"),
    "unknown model": ('"bertec"', '"bartec"', "plates[1].model: 'bartec' is none of"),
    "unknown side": ('side = "L"', 'side = "left"', "plates[0].side: 'left' is none of"),
    "unknown convention": ('"action"', '"applied"', "plates[0].convention: 'applied' is none of"),
    "key of another model": ("gain = 2000", "gain = 2000\na_m = 0.1", "plates[0].a_m: there is no such key"),
    "text for a number": ("gain = 2000", 'gain = "2000"', "plates[0].gain: expected a number or a list"),
    "bool for a number": ("excitation_v = 10.0", "excitation_v = true", "plates[0].excitation_v: expected"),
    "number for a text": ('unit = "mV"', "unit = 3", "analog[0].unit: expected a text"),
    "text within numbers": (
        "[0.25, 0.8, 0.0]",
        '[0.25, "0.8", 0.0]',
        "plates[1].centre_m[1]: expected a number",
    ),
    "matrix of five rows": (
        "    [0.0, 0.0, 0.0, 0.0, 1.7, 0.0],\n",
        "",
        "plates[0].sensitivity: 6 × 6 numbers wanted, not 5 × 6 numbers",
    ),
    "ragged matrix": (
        "[0.67, 0.001, 0.0, 0.0,",
        "[0.67, 0.001, 0.0,",
        "plates[0].sensitivity: 6 × 6 numbers",
    ),
    "empty matrix": (
        "scale = [500.0, 500.0, 1000.0, 800.0, 250.0, 400.0]",
        "scale = []",
        "plates[1].scale: 6 numbers or 6 × 6 numbers wanted, not 0 numbers",
    ),
    "not finite": ("0.17", "nan", "plates[0].sensitivity: every number must be finite"),
    "singular": ("[0.0, 0.0, 0.17,", "[0.0, 0.0, 0.0,", "plates[0]: AMTI: the sensitivity matrix can't be"),
    "five gains": ("gain = [1.0, ", "gain = [", "plates[1].gain: one number or 6 numbers wanted"),
    "duplicate channel": ('"a4", "a5", "b0"', '"a4", "a4", "b0"', "channels[5]: 'a4' is channels[4] already"),
    "channel of two plates": (
        '["b0", "b1", "b2", "b3", "b4", "b5"]  #',
        '["b0", "b1", "b2", "b3", "b4", "a5"]  #',
        "plates[1].channels[5]: 'a5' is plates[0].channels[5] already",
    ),
    "unknown channel": (
        '["b0", "b1", "b2", "b3", "b4", "b5"]  #',
        '["b0", "b1", "b2", "b3", "b4", "b6"]  #',
        "plates[1].channels[5]: 'b6' is none of the rig's channels",
    ),
    "too few channels": (
        '["b0", "b1", "b2", "b3", "b4", "b5"]  #',
        '["b0", "b1", "b2", "b3", "b4"]  #',
        "plates[1].gain: one number or 5 numbers wanted, not 6 numbers",
    ),
    "unknown unit": ('unit = "m/s"', 'unit = "knots"', "analog[1].unit: unknown unit 'knots'"),
    "unknown raw unit": ('raw_unit = "V"', 'raw_unit = "Volt"', "analog[0].raw_unit: unknown unit 'Volt'"),
    "unknown analog channel": ('channel = "emg"', 'channel = "egm"', "analog[0].channel: 'egm' is none of"),
    "no scale": ("scale = 0.5", "scale = 0.0", "analog[1].scale: a finite number other than 0"),
    "two plates of a name": ('name = "right"', 'name = "left"', "plates[1].name: 'left' is plates[0].name"),
    "corners in mm": (
        "[0.0, 1.6, 0.0]",
        "[0.0, 1600.0, 0.0]",
        "plates[0].corners_m: corners of a plate with",
    ),
    "three corners": (", [-0.5, 1.6, 0.0]]", "]", "plates[0].corners_m: 4 × 3 numbers wanted, not 3 × 3"),
    "axes that mirror": (
        'axes = ["x", "y", "z"]\ncentre',
        'axes = ["-x", "y", "z"]\ncentre',
        "plates[1].axes:",
    ),
    "lab axes": ('lab_axes = ["x", "y", "z"]', 'lab_axes = ["x", "x", "z"]', "lab_axes: "),
    "no place": (
        'axes = ["x", "y", "z"]\ncentre_m = [0.25, 0.8, 0.0]\n',
        "",
        "plates[1]: it needs corners_m, or",
    ),
    "speed in volts": (
        'speed = ["belt speed"]',
        'speed = ["vastus"]',
        "treadmill.speed[0]: 'vastus' is in mV, not in",
    ),
    "no address of a treadmill": (
        'speed = ["belt speed"]',
        'address = "192.168.0.5"',
        "treadmill.address: '192.168.0.5' is no device address",
    ),
    "speed of nothing": (
        'speed = ["belt speed"]',
        'speed = ["belt"]',
        "treadmill.speed[0]: 'belt' is the name of",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_error_names_key_and_line(name):
    old, new, said = WRONG[name]
    assert TWO_PLATES.count(old) >= 1
    text = TWO_PLATES.replace(old, new, 1)
    with pytest.raises(RigError) as caught:
        Rig.parse(text, "lab.toml")
    place, _, rest = str(caught.value).partition(": ")
    assert rest.startswith(said)
    if name == "missing device":
        # The file is what should have it.
        assert place == "lab.toml"
        return
    found = re.fullmatch(r"lab\.toml, line (\d+)", place)
    assert found
    lines = text.splitlines()
    line = lines[int(found[1]) - 1]
    key = re.match(r"(?:\w+(?:\[\d+\])?\.)?([\w]+)", said)[1]
    if "missing" in said:
        # The table that should have it: its first line that has anything.
        assert line.startswith(("[[plates]]", "format"))
    elif said.startswith("plates[") and said[9] == ":":
        assert line == "[[plates]]"
    else:
        assert line.startswith(key)


def test_wrong_toml_is_told_with_its_line():
    with pytest.raises(RigError, match=r"lab\.toml, line 9: no valid TOML"):
        Rig.parse(TWO_PLATES.replace('model = "amti"', 'model = "amti'), "lab.toml")
    with pytest.raises(RigError, match=r"line 10: no valid TOML"):
        Rig.parse(TWO_PLATES.replace('model = "amti"', 'model = "amti"\nmodel = "amti"'), "lab.toml")


def test_lines_of_keys_behind_texts_and_comments_of_several_lines():
    text = 'a = """\nplates = 1\n"""\n# plates = 2\n[[plates]]\n\n# x\nmatrix = [ # y\n  [1],\n]\n'
    text += "[[plates]]\nmatrix = 2\n"
    assert line_of(text, "plates[0].matrix") == 8
    assert line_of(text, "plates[1].matrix") == 12
    assert line_of(text, "plates[0]") == 5
    assert line_of(text, "plates[1].gain") == 11
    assert line_of(text, "b") is None


VALUES = st.sampled_from(
    ["nan", "-inf", "1e308", "-1e-320", "1e-200", "0", "-1", str(10**40), "1" * 400, "true", "1979-05-27"]
) | st.sampled_from(
    [
        '""',
        '"x"',
        '"\\u0000"',
        "[]",
        "[[]]",
        "{}",
        "[{}]",
        "[nan]",
        "[1, 2, 3]",
        "[[1, 2], [3]]",
        '["x", "y", "-z"]',
    ]
)
LINES = TWO_PLATES.splitlines(keepends=True)
SETTABLE = [k for k, line in enumerate(LINES) if re.match(r"\w+ = [^\n]*\n", line) and "[\n" not in line]


@given(edits=st.lists(st.tuples(st.sampled_from(SETTABLE), VALUES), min_size=1, max_size=3))
@settings(max_examples=80, deadline=None)
def test_whatever_a_value_is_only_rig_errors_come(edits):
    lines = list(LINES)
    for k, value in edits:
        lines[k] = f"{lines[k].partition('=')[0]}= {value}\n"
    use_or_refuse("".join(lines))


CUT = st.tuples(st.integers(0, len(TWO_PLATES)), st.integers(0, 30), st.text(max_size=4))


@given(cuts=st.lists(CUT, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_whatever_the_text_is_only_rig_errors_come(cuts):
    text = TWO_PLATES
    for start, length, put in cuts:
        text = text[:start] + put + text[start + length :]
    use_or_refuse(text)


def use_or_refuse(text):
    """A mutated file is refused with its own error, or gives a rig whose parts work."""
    try:
        rig = Rig.parse(text)
    except RigError:
        return
    if rig.plates:
        assert len(rig.layout) == len(rig.plates)
        assert rig.wrenches(np.ones((2, len(rig.channels)))).shape == (2, 6 * len(rig.plates))
    assert rig.analog_values(np.zeros((1, len(rig.channels)))).shape == (1, len(rig.analog))


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(RigError, match=r"^no\.toml: the rig file can't be read: No such file"):
        load_rig(tmp_path / "no.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RigError, match=r"^bytes\.toml: the rig file is no UTF-8 text"):
        load_rig(tmp_path / "bytes.toml")
    with pytest.raises(RigError, match="bytes at most"):
        Rig.parse("#" * 300_000)


def test_without_msgspec(monkeypatch):
    monkeypatch.setitem(sys.modules, "msgspec", None)
    monkeypatch.delitem(sys.modules, "balancecore.capture._rig_file", raising=False)
    monkeypatch.delattr("balancecore.capture._rig_file", raising=False)
    with pytest.raises(MissingExtraError, match=r"balancecore\[record\]"):
        Rig.parse(TWO_PLATES)


# --- the device -----------------------------------------------------------------------------------------------------


def channels(**changed):
    return tuple(replace(c, **changed.get(c.name, {})) for c in Bench.channels_of)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (channels()[:-1], r"channels\[13\]: the device has no 'speed', only 13 channels"),
        ((*channels(), Channel("more")), r"channels: the rig lacks the device's channel 'more'"),
        (channels(a3={"name": "x"}), r"channels\[3\]: the rig says 'a3', the device gives 'x'"),
        ((*channels()[1::-1], *channels()[2:]), r"channels\[0\]: the rig says 'a0', the device gives 'a1'"),
        (
            channels(b2={"unit": "mV"}),
            r"channels\[8\]: the device gives 'b2' in mV, but plate 'right' wants V",
        ),
        (channels(emg={"unit": "mV"}), r"channels\[12\]: .* in mV, but analog 'vastus' wants V"),
    ],
)
def test_a_device_that_is_not_the_rigs(rig, found, said):
    with pytest.raises(RigError, match=said):
        rig.bind(described(channels=found))


def test_a_channel_whose_unit_the_file_leaves_open_may_have_any(rig):
    rig.bind(described(channels=channels(speed={"unit": "counts"})))


def test_ranges_and_skew_come_from_the_device(rig):
    bound = rig.bind(described(channels=channels(a2={"low": -2.0, "high": 2.0}, a5={"skew_s": 4e-5})))
    raw = noise(30)
    raw[10, 2], raw[12, 8] = 1.995, 4.99
    assert np.flatnonzero(bound.saturated(raw)[:, 0]).tolist() == [10]
    # Bertec's own range of 5 V is narrower than the device's.
    assert np.flatnonzero(bound.saturated(raw)[:, 1]).tolist() == [12]
    assert not rig.saturated(raw)[:, 0].any()
    plate = bound.trial(raw, RATE_HZ).plates[0]
    assert plate.skew_s == 4e-5
    assert np.flatnonzero(plate.saturated).tolist() == [10]


# --- raw frames -----------------------------------------------------------------------------------------------------


@given(cuts=st.lists(st.integers(0, 60), max_size=6), kind=st.sampled_from([np.float64, np.float32]))
@settings(max_examples=30, deadline=None)
def test_blocks_give_the_bits_of_the_whole(cuts, kind):
    rig = Rig.parse(TWO_PLATES)
    raw = noise(60).astype(kind)
    tare = rig.tare(noise(), RATE_HZ)
    ends = [0, *sorted(cuts), 60]
    parts = [rig.wrenches(raw[a:b], tare) for a, b in pairwise(ends)]
    np.testing.assert_array_equal(np.vstack(parts), rig.wrenches(raw, tare))


def test_the_callers_buffer_is_filled(rig):
    raw = noise(10)
    raw.flags.writeable = False
    buffer = np.full((20, 14), -1.0)
    out = buffer[5:15, 1:13]
    assert rig.wrenches(raw, out=out) is out
    np.testing.assert_array_equal(out, rig.wrenches(raw))
    assert (buffer[:5] == -1.0).all()
    assert (buffer[:, [0, 13]] == -1.0).all()
    with pytest.raises(DataError, match=r"shape \(10, 12\)"):
        rig.wrenches(raw, out=np.empty((10, 6)))
    with pytest.raises(DataError, match=r"14\).*not float64 of shape \(10, 13\)"):
        rig.wrenches(raw[:, 1:])


def test_a_tare_takes_the_offsets_off(rig):
    offsets = np.linspace(-0.02, 0.02, 14)
    tare = rig.tare(noise(1000, sd=1e-3) + offsets, RATE_HZ)
    # The mean of 1000 values with an SD of 1 mV is known to 0.03 mV; five of these are allowed.
    np.testing.assert_allclose(tare.mean, offsets, atol=1.6e-4)
    raw = noise(20)
    expected = rig.wrenches(raw - np.array(tare.mean))
    np.testing.assert_allclose(rig.wrenches(raw, tare), expected, atol=ROUNDING_N)
    # Other channels are not touched by it.
    np.testing.assert_array_equal(
        rig.trial(raw, RATE_HZ, tare).analog[0].values, rig.trial(raw, RATE_HZ).analog[0].values
    )
    again = RigTare.from_dict(json.loads(json.dumps(tare.to_dict())))
    assert again == tare or again.to_dict() == tare.to_dict()
    np.testing.assert_array_equal(rig.wrenches(raw, again), rig.wrenches(raw, tare))
    again.check(rig)


def raised(name, volts, start=0):
    raw = noise(600, sd=1e-3)
    raw[start:, NAMES.index(name)] += volts
    return raw


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (noise(200, sd=1e-3), "0.40 s of finite frames"),
        (raised("b2", 0.7), "right: 700 N in the window for the tare: the plate is loaded"),
        (raised("b2", 0.09, 300), "right: the force moves by 45 N"),
        (raised("b2", 0.1 * np.sin(0.4 * np.pi * np.arange(600))), "right: 71 N of noise"),
        (np.full((600, 14), np.nan), "0.00 s of finite frames"),
    ],
)
def test_a_tare_is_refused(rig, raw, said):
    with pytest.raises(DataError, match=said):
        rig.tare(raw, RATE_HZ)


def test_a_stored_tare_is_checked_again(rig):
    tare = rig.tare(noise(600, sd=1e-3), RATE_HZ)
    loaded = replace(tare, mean=tuple(v + 1.0 for v in tare.mean))
    with pytest.raises(DataError, match=f"left: .* N in the tare.*{MAX_OFFSET_N:g}"):
        loaded.check(rig)
    with pytest.raises(DataError, match=f"of noise.*{NOISY_N:g} N are plausible"):
        replace(tare, sd=(0.2,) * 14).check(rig)
    with pytest.raises(DataError, match=r"0\.02 s"):
        replace(tare, n_frames=10).check(rig)
    other = replace(tare, channels=tuple(reversed(tare.channels)))
    for use in (lambda: other.check(rig), lambda: rig.wrenches(noise(3), other)):
        with pytest.raises(DataError, match="of other channels"):
            use()
    deck = Rig.parse(TWO_PLATES.replace('name = "left"', 'name = "left"\nmax_tare_n = 1e6'))
    with pytest.raises(DataError, match="right"):
        loaded.check(deck)


@pytest.mark.parametrize(
    "broken", [{}, {"mean": [1.0]}, {"mean": ["x"] * 14}, {"rate_hz": 0}, {"n_frames": None}]
)
def test_what_is_no_tare(rig, broken):
    data = rig.tare(noise(600, sd=1e-3), RATE_HZ).to_dict()
    with pytest.raises(DataError, match="no tare"):
        RigTare.from_dict(data | broken if broken else [])


def test_lost_frames_become_gaps_in_a_trial(rig):
    raw = noise(50)
    trial = rig.trial(raw, RATE_HZ, lost=[(10, 3), (50, 2)], notes=["read by a test"])
    assert len(trial) == 55
    gap = [10, 11, 12, 53, 54]
    for plate in trial.plates:
        assert np.flatnonzero(np.isnan(plate.wrench).all(axis=1)).tolist() == gap
        assert not plate.wrench.flags.writeable
    kept = np.delete(trial.plates[1].wrench, gap, axis=0)
    np.testing.assert_array_equal(kept, rig.wrenches(raw)[:, 6:])
    assert np.flatnonzero(np.isnan(trial.analog[1].values)).tolist() == gap
    assert trial.analog[0].unit == "mV"
    np.testing.assert_allclose(trial.analog[0].values[:10], 1000.0 * (raw[:10, 12] - 0.1))
    assert trial.notes[0] == "read by a test"
    assert any("5 frames (0.010 s) were lost: 3 before frame 10; 2 before frame 50" in n for n in trial.notes)
    assert [plate.side for plate in trial.plates] == ["L", "R"]
    assert trial.plates[0].model == "AMTI six-component"
    assert trial.lateral_known
    assert trial.layout.names == ("left", "right")


@pytest.mark.parametrize("lost", [[(60, 1)], [(5, -1)], [(9, 1), (3, 1)], [(-1, 2)]])
def test_losses_that_can_not_be(rig, lost):
    with pytest.raises(DataError, match="lost="):
        rig.trial(noise(50), RATE_HZ, lost=lost)


def test_a_rig_without_plates_reads_but_does_not_measure():
    rig = Rig.parse('format = 1\ndevice = "bench:1"\nchannels = ["a", "b"]\n')
    assert rig.plates == ()
    raw = np.zeros((3, 2))
    for use in (
        lambda: rig.layout,
        lambda: rig.wrenches(raw),
        lambda: rig.saturated(raw),
        lambda: rig.trial(raw, 100.0),
        lambda: rig.tare(np.zeros((100, 2)), 100.0),
    ):
        with pytest.raises(RigError, match="plates: the rig has none yet"):
            use()


def test_a_trial_of_raw_volts_gives_the_steps_of_the_run():
    """From the channels of the example's device to the steps: the same as from the device that gives newtons."""
    rig = load_rig(EXAMPLE)
    found = []
    for address in (rig.device, rig.device.replace("output=volts&", "")):
        with open_device(f"{address}&pace=0") as device:
            here = rig if device.description.layout is None else Rig.for_device(device)
            raw = np.empty((5000, len(device.channels)))
            device.start()
            done = 0
            while done < len(raw):
                done += device.read_into(raw[done:])
        found.append(bc.analyze_gait(here.trial(raw, 1000.0), mass_kg=70.0, n_boot=0).steps)
    first, second = found
    assert len(first) == len(second) > 10
    np.testing.assert_allclose(first["t_on"], second["t_on"], atol=1e-9)
    np.testing.assert_array_equal(first["side"], second["side"])


def test_the_page_of_keys_is_made_from_the_tables_that_read_them():
    page = (Path(__file__).parents[2] / "docs" / "rig.md").read_text(encoding="utf-8")
    assert page.endswith("\n\n" + reference())
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert Rig.parse(example).wrenches(np.eye(7)[2:3])[0, 2] > 0.0


def test_what_the_treadmill_tells_becomes_channels_of_the_trial(rig):
    belts = [BeltState(100.0 + 0.01 * k, 2.0 + k, 3.0 + k, 1.5) for k in range(3)]
    trial = rig.trial(noise(40), RATE_HZ, lost=[(5, 2)], belts=belts, start_s=99.99)
    left, right, incline = trial.analog[2:]
    assert [(a.name, a.unit, a.rate_hz) for a in trial.analog[2:]] == [
        ("left belt", "m/s", RATE_HZ),
        ("right belt", "m/s", RATE_HZ),
        ("incline", "deg", RATE_HZ),
    ]
    # A frame every 2 ms, from 10 ms before the first status on; lost frames have a speed too.
    expected = [np.nan] * 5 + [2.0] * 5 + [3.0] * 5 + [4.0] * 27
    clear = np.abs((np.arange(42) * 0.002 - 0.01) % 0.01) > 1e-6  # rounding decides where both come at once
    np.testing.assert_array_equal(left.values[clear], np.array(expected)[clear])
    np.testing.assert_array_equal(right.values, left.values + 1.0)
    assert incline.values[-1] == 1.5


def test_the_address_of_a_treadmill_is_kept():
    rig = Rig.parse(TWO_PLATES.replace("[treadmill]", '[treadmill]\naddress = "simulated:belts?speed_m_s=2"'))
    assert rig.treadmill.address == "simulated:belts?speed_m_s=2"
