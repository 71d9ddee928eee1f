"""C3D: plates against ezc3d's own and against the equations of each type, damage, and writing back."""

import dataclasses
import importlib.util
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import balancecore as bc
from balancecore.errors import DataError, MissingExtraError
from balancecore.io._c3d_layout import checked, mended
from balancecore.io._file import load
from balancecore.io.c3d import write_c3d
from balancecore.trial import Analog, Event, Markers, Source, Trial

ezc3d = pytest.importorskip("ezc3d")


def _helper(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


c3d_bytes = _helper("c3d_bytes").c3d_bytes
fuzz = _helper("fuzz_files")

#: ezc3d and this package compute in double precision on the same float32 values: only rounding is left.
ROUNDING_N = 1e-6
ROUNDING_NM = 1e-6
ROUNDING_M = 1e-7
#: float32 has 24 bits: 1000 N in steps of 6e-5 N; moments at 1 m of lever arm, stored in N·mm, add twice that.
FLOAT32_N = 1.3e-4
FLOAT32_NM = 4e-4
FLOAT32_M = 5e-7
#: The OpenSim table's own precision, by its makers' tolerance for this file.
STO_N, STO_MM, STO_NMM = 5e-5, 5e-4, 5e-4
#: The vendor's C3D holds rounded A/D codes, its text does not: they differ by up to one code a channel, 0.0405 N across
#: and 0.157 N upwards, plus the rounding of the text's offset; a code at b = 0.35 m is 0.055 N·m, and there are four.
CODE_N, CODE_UP_N, CODE_NM = 0.0406, 0.17, 0.14

CORNERS_MM = np.array([[400.0, 0, 0], [400, 600, 0], [0, 600, 0], [0, 0, 0]])
#: The same plate seen with z down: x along +y, y along +x of the lab.
DOWN_MM = np.array([[400.0, 600, 0], [400, 0, 0], [0, 0, 0], [0, 600, 0]])
CENTRE_MM = DOWN_MM[:, :2].mean(axis=0)


def plate_parameters(kind, channels, *, corners=DOWN_MM, origin=(0.0, 0.0, -40.0), units=None, **more):
    """The group FORCE_PLATFORM of one plate."""
    count = len(channels)
    return {
        ("POINT", "UNITS"): ["mm"],
        ("ANALOG", "LABELS"): [f"ch{k}" for k in range(count)],
        ("ANALOG", "UNITS"): units if units is not None else ["N"] * 3 + ["Nmm"] * 3 + ["N"] * (count - 6),
        ("FORCE_PLATFORM", "USED"): np.int64(1),
        ("FORCE_PLATFORM", "TYPE"): np.array([kind]),
        ("FORCE_PLATFORM", "ZERO"): np.array([1, 0]),
        ("FORCE_PLATFORM", "CORNERS"): corners.T[:, :, np.newaxis],
        ("FORCE_PLATFORM", "ORIGIN"): np.array(origin)[:, np.newaxis],
        ("FORCE_PLATFORM", "CHANNEL"): np.array(channels)[:, np.newaxis],
        **{tuple(key.split("__")): value for key, value in more.items()},
    }


def save(tmp_path, data, name="made.c3d"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.fixture
def wrench():
    """A plate's load in N and N·m about its sensor origin."""
    rng = np.random.default_rng(5)
    loads = rng.normal(0.0, 30.0, (60, 6))
    loads[:, 2] = rng.uniform(300.0, 900.0, 60)
    return loads


def about_surface(wrench, origin_m):
    """M' = M + F × o, written out."""
    (fx, fy, fz), (ox, oy, oz) = wrench[:, :3].T, origin_m
    moved = wrench.copy()
    moved[:, 3] += fy * oz - fz * oy
    moved[:, 4] += fz * ox - fx * oz
    moved[:, 5] += fx * oy - fy * ox
    return moved


def seen_from_below(wrench):
    """From axes with z down (x along the lab's -y … see DOWN_MM) to the lab's."""
    x, y, z = [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]
    rotation = np.array([x, y, z]).T
    return np.hstack([wrench[:, :3] @ rotation.T, wrench[:, 3:] @ rotation.T])


# --- plates against ezc3d -------------------------------------------------------------------------------------------


def ezc3d_platforms(tmp_path, path):
    opened = ezc3d.c3d(str(save(tmp_path, mended(checked(load(path))))), extract_forceplat_data=True)
    return opened["data"]["platform"]


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["PlugInC3D.c3d", "TYPE-2.C3D", "TYPE-4.C3D", "Gait.c3d", "walking2.c3d"])
def test_six_channel_plates_agree_with_ezc3d(data_dir, tmp_path, name):
    path = data_dir / "c3d_plates" / name
    trial = bc.read(path)
    theirs = ezc3d_platforms(tmp_path, path)
    assert len(theirs) == len(trial.plates)
    for plate, their in zip(trial.plates, theirs, strict=True):
        np.testing.assert_allclose(plate.wrench[:, :3], their["force"].T, rtol=0, atol=ROUNDING_N)
        np.testing.assert_allclose(plate.wrench[:, 3:], their["moment"].T * 1e-3, rtol=0, atol=ROUNDING_NM)
        np.testing.assert_allclose(plate.corners_lab, their["corners"].T * 1e-3, atol=ROUNDING_M)
        level = np.ptp(plate.corners_lab[:, 2]) == 0.0
        if level:
            loaded = plate.wrench[:, 2] > 20.0
            theirs_m = their["center_of_pressure"].T[loaded] * 1e-3
            np.testing.assert_allclose(plate.cop[loaded], theirs_m, rtol=0, atol=ROUNDING_M)
            free = their["Tz"][2, loaded] * 1e-3
            np.testing.assert_allclose(plate.free_moment[loaded], free, rtol=0, atol=ROUNDING_NM)


@pytest.mark.realdata
def test_type_1_agrees_with_ezc3d(data_dir, tmp_path):
    # The file lies on its side (y up), and leaves out ANALOG:RATE, without which ezc3d finds no channels.
    path = data_dir / "c3d_plates" / "type1.C3D"
    plate = bc.read(path, axes=("x", "y", "z")).plates[0]
    their = ezc3d_platforms(tmp_path, path)[0]
    np.testing.assert_allclose(plate.wrench[:, :3], their["force"].T, rtol=0, atol=ROUNDING_N)
    # ezc3d gives F × p - T for the moment of this type, which is minus the moment p × F + T of the others.
    np.testing.assert_allclose(plate.wrench[:, 3:], -their["moment"].T * 1e-3, rtol=0, atol=ROUNDING_NM)
    upright = bc.read(path)
    assert any("y points up" in note for note in upright.notes)
    up = upright.plates[0]
    loaded = up.wrench[:, 2] > 100.0
    assert loaded.sum() > 30
    theirs_m = their["center_of_pressure"].T[loaded] * 1e-3
    # z, x, y of the file; the plate leans by 1.5 %, so that heights differ by some mm.
    np.testing.assert_allclose(up.cop[loaded][:, :2], theirs_m[:, [2, 0]], rtol=0, atol=2e-3)


@pytest.mark.realdata
def test_type_3_agrees_with_ezc3d(data_dir, tmp_path):
    path = data_dir / "c3d_plates" / "type3_FP1.C3D"
    plain = bc.read(path, convention="reaction")
    # The file does not say where the sensors are: forces agree, moments are not made up.
    assert plain.plates[0].missing == {"Mx", "My", "Mz"}
    their = ezc3d_platforms(tmp_path, path)[0]
    np.testing.assert_allclose(plain.plates[0].wrench[:, :3], their["force"].T, rtol=0, atol=ROUNDING_N)
    assert any("plate_origin_m" in note for note in plain.notes)
    # Told so, in the file for ezc3d and by the option for us, they agree in the rest.
    layout = checked(load(path))
    patched = bytearray(mended(layout))
    struct.pack_into("<3f", patched, layout.parameters["FORCE_PLATFORM", "ORIGIN"].start, 0.2, 0.3, -0.05)
    opened = ezc3d.c3d(str(save(tmp_path, bytes(patched))), extract_forceplat_data=True)
    their = opened["data"]["platform"][0]
    plate = bc.read(path, plate_origin_m=np.float32([0.2, 0.3, -0.05]).astype(float)).plates[0]
    np.testing.assert_allclose(plate.wrench[:, 3:], their["moment"].T, rtol=0, atol=ROUNDING_NM)


@pytest.mark.realdata
def test_walking2_is_the_opensim_table(data_dir):
    folder = data_dir / "c3d_plates"
    rows = np.loadtxt(folder / "std_cop_walking2_grfs.sto", skiprows=6)
    trial = bc.read(folder / "walking2.c3d")
    at = np.round(rows[:, 0] * trial.rate_hz).astype(int)
    assert len(at) == 101
    for k, plate in enumerate(trial.plates):
        table = rows[:, 1 + 9 * k : 10 + 9 * k]
        w = plate.wrench[at]
        np.testing.assert_allclose(w[:, :3], table[:, :3], rtol=0, atol=STO_N)
        # The table has a centre of pressure at any load, so without our 20 N gate.
        x = plate.origin_m[0] - w[:, 4] / w[:, 2]
        y = plate.origin_m[1] + w[:, 3] / w[:, 2]
        np.testing.assert_allclose(1e3 * np.column_stack((x, y)), table[:, 3:5], rtol=0, atol=STO_MM)
        free = w[:, 5] - w[:, 1] * (x - plate.origin_m[0]) + w[:, 0] * (y - plate.origin_m[1])
        np.testing.assert_allclose(1e3 * free, table[:, 8], rtol=0, atol=STO_NMM)


def last_below_first_below(fz, level):
    """Strike = last frame below, off = first frame below, counted from 1: (strike, off) of the longest contact."""
    above = np.concatenate(([False], fz >= level, [False])).astype(int)
    on, off = np.flatnonzero(np.diff(above) == 1), np.flatnonzero(np.diff(above) == -1)
    longest = int(np.argmax(off - on))
    return int(on[longest]), int(off[longest]) + 1


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "per_frame", "expected"),
    [("PlugInC3D.c3d", 20, {(65, 116), (108, 150)}), ("Gait.c3d", 10, {(257, 316), (209, 267)})],
)
def test_contacts_at_the_point_rate(data_dir, name, per_frame, expected):
    trial = bc.read(data_dir / "c3d_plates" / name)
    found = {last_below_first_below(plate.wrench[::per_frame, 2], 10.0) for plate in trial.plates}
    assert found == expected


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "az0", "step"), [("kistler_CMJ_1plate", -0.052, 1), ("kistler_COP", -0.057, 20)]
)
def test_kistler_files_have_the_vendors_values(data_dir, name, az0, step):
    folder = data_dir / "kistler_raw"
    lines = (folder / f"{name}.txt").read_text(encoding="latin-1").splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("abs time"))
    vendor = np.array([[float(v) for v in line.split("\t")] for line in lines[head + 2 :] if line.strip()])
    column = {name: vendor[:, k] for k, name in enumerate(lines[head].split("\t"))}
    loaded = column["Fz"] > 50.0

    def off_by(origin_m):
        # The plate's x and y point along the lab's -x and -y; the vendor's values are in the plate's axes.
        trial = bc.read(folder / f"{name}.c3d", axes=("-x", "-y", "z"), plate_origin_m=origin_m)
        plate, at = trial.plates[0], slice(None, None, step)
        cop = plate.cop[at] - plate.origin_m
        force = [np.abs(plate.wrench[at, k] - column[c]).max() for k, c in enumerate(("Fx", "Fy", "Fz"))]
        arm = [
            np.abs((cop[:, k] - column[c]) * column["Fz"])[loaded].max() for k, c in enumerate(("Ax", "Ay"))
        ]
        return force, arm, np.abs(plate.free_moment[at] - column["Tz"])[loaded].max()

    force, arm, free = off_by((0.21, 0.35, az0))
    assert max(force[:2]) < 2 * CODE_N
    assert force[2] < 4 * CODE_UP_N
    assert max(arm) < CODE_NM
    assert free < CODE_NM
    # The depth in the header, 58 mm, is not the plate's: with it the jump's pressure is elsewhere.
    if step == 1:
        assert max(off_by(None)[1]) > 4 * CODE_NM


# --- equations of each type, on files made here; for 5 to 7 there is no other implementation: self-consistent only ---


def test_type_1_is_force_pressure_and_free_moment(tmp_path, wrench):
    at_surface = wrench.copy()
    fx, fy, fz, mx, my, mz = wrench.T
    px, py = -my / fz, mx / fz
    channels = np.column_stack((fx, fy, fz, 1e3 * px, 1e3 * py, 1e3 * (mz - px * fy + py * fx)))
    units = ["N"] * 3 + ["mm"] * 2 + ["Nmm"]
    path = save(tmp_path, c3d_bytes(plate_parameters(1, range(1, 7), units=units), channels))
    plate = bc.read(path).plates[0]
    np.testing.assert_allclose(plate.wrench, seen_from_below(at_surface), atol=FLOAT32_NM)
    assert plate.model == "C3D type 1"
    np.testing.assert_allclose(plate.origin_m, [0.2, 0.3, 0.0], atol=ROUNDING_M)


def test_type_2_moves_its_moments_to_the_surface(tmp_path, wrench):
    channels = wrench * ([1.0] * 3 + [1e3] * 3)
    path = save(tmp_path, c3d_bytes(plate_parameters(2, range(1, 7), origin=(2.0, -3.0, -40.0)), channels))
    expected = seen_from_below(about_surface(wrench, (0.002, -0.003, -0.04)))
    np.testing.assert_allclose(bc.read(path).plates[0].wrench, expected, atol=FLOAT32_NM)
    # The opposite vector, which many writers store, is told by its sign and means the same.
    turned = save(
        tmp_path, c3d_bytes(plate_parameters(2, range(1, 7), origin=(-2.0, 3.0, 40.0)), channels), "t.c3d"
    )
    trial = bc.read(turned)
    np.testing.assert_allclose(trial.plates[0].wrench, expected, atol=FLOAT32_NM)
    assert any("points down into it" in note for note in trial.notes)
    # What the caller says is taken as it is.
    other = bc.read(turned, plate_origin_m=(0.0, 0.0, 0.01)).plates[0]
    expected = seen_from_below(about_surface(wrench, (0.0, 0.0, 0.01)))
    np.testing.assert_allclose(other.wrench, expected, atol=FLOAT32_NM)


@pytest.mark.parametrize("kind", [4, 5])
def test_types_4_and_5_apply_their_matrix(tmp_path, wrench, kind):
    rng = np.random.default_rng(3)
    m = {4: 6, 5: 8}[kind]
    # N and N·mm per unit of each channel, far from symmetric, so that a transposed matrix would show.
    matrix = rng.normal(0.0, 1.0, (6, m)) + 3.0 * np.eye(6, m)
    matrix[3:] *= 100.0
    channels = wrench * ([1.0] * 3 + [1e3] * 3) @ np.linalg.pinv(matrix).T
    stored = matrix[:, :, np.newaxis]
    parameters = plate_parameters(kind, range(1, m + 1), FORCE_PLATFORM__CAL_MATRIX=stored)
    plate = bc.read(save(tmp_path, c3d_bytes(parameters, channels))).plates[0]
    expected = seen_from_below(about_surface(wrench, (0.0, 0.0, -0.04)))
    np.testing.assert_allclose(plate.wrench, expected, atol=4 * FLOAT32_NM)


def test_kistlers_polynomial_corrects_the_centre_of_pressure(tmp_path):
    """FPCOPPOLY, 12 numbers in the file's mm: here dx = 2e-7 x^3 + 0.05 x, and y stays."""
    rng = np.random.default_rng(9)
    analog = np.column_stack((rng.normal(0.0, 20.0, (50, 4)), rng.uniform(60.0, 400.0, (50, 4))))
    polynomial = np.zeros(12)
    polynomial[2], polynomial[5] = 2e-7, 0.05
    plates = []
    for more in ({}, {"FORCE_PLATFORM__FPCOPPOLY": polynomial[:, np.newaxis]}):
        parameters = plate_parameters(3, range(1, 9), units=["N"] * 8, origin=(120.0, 200.0, -45.0), **more)
        (plate,) = bc.read(save(tmp_path, c3d_bytes(parameters, analog))).plates
        plates.append(plate)
    plain, corrected = (1e3 * (plate.cop[:, :2] - 1e-3 * CENTRE_MM) for plate in plates)
    # The plate's x lies along the lab's y (DOWN_MM).
    x = plain[:, 1]
    np.testing.assert_allclose(corrected[:, 1], x - (2e-7 * x**3 + 0.05 * x), rtol=0, atol=1e3 * FLOAT32_M)
    np.testing.assert_allclose(corrected[:, 0], plain[:, 0], rtol=0, atol=1e3 * FLOAT32_M)


@pytest.mark.parametrize("kind", [3, 6, 7])
def test_corner_sensors(tmp_path, kind):
    rng = np.random.default_rng(4)
    a, b, depth = 0.15, 0.25, 0.05
    places = np.array([[a, b, depth], [-a, b, depth], [-a, -b, depth], [a, -b, depth]])
    forces = rng.normal(0.0, 40.0, (50, 4, 3)) + np.array([0.0, 0.0, 150.0])
    # z points down, so that the sensors lie at +depth below the surface in the plate's own axes.
    wrench = np.hstack([forces.sum(axis=1), np.cross(places, forces).sum(axis=1)])
    if kind == 6:
        true = forces.reshape(50, 12)
    else:
        fx, fy, fz = np.moveaxis(forces, 2, 0)
        true = np.column_stack(
            (fx[:, 0] + fx[:, 1], fx[:, 2] + fx[:, 3], fy[:, 0] + fy[:, 3], fy[:, 1] + fy[:, 2], fz)
        )
    m = true.shape[1]
    matrix = np.eye(m) if kind == 3 else np.eye(m) * 2.0 + rng.normal(0.0, 0.1, (m, m))
    more = {} if kind == 3 else {"FORCE_PLATFORM__CAL_MATRIX": matrix[:, :, np.newaxis]}
    parameters = plate_parameters(
        kind, range(1, m + 1), units=["N"] * m, origin=(1e3 * a, 1e3 * b, -1e3 * depth), **more
    )
    plate = bc.read(save(tmp_path, c3d_bytes(parameters, true @ np.linalg.inv(matrix).T))).plates[0]
    np.testing.assert_allclose(plate.wrench, seen_from_below(wrench), atol=4 * FLOAT32_NM)
    assert plate.missing == frozenset()


@pytest.mark.parametrize("kind", [0, 8, 11, 12, 21, 500])
def test_types_without_public_equations_are_refused(tmp_path, wrench, kind):
    path = save(tmp_path, c3d_bytes(plate_parameters(kind, range(1, 7)), wrench))
    with pytest.raises(DataError, match=rf"made\.c3d: plate 1 is of .*type {kind}"):
        bc.read(path)


@pytest.mark.parametrize("order", ["intel", "dec", "mips"])
@pytest.mark.parametrize("codes", [False, True])
def test_byte_orders_and_storage(tmp_path, wrench, order, codes):
    scale = np.array([0.05] * 2 + [0.2] + [50.0] * 3)
    stored = np.round(wrench * ([1.0] * 3 + [1e3] * 3) / scale)
    more = {"ANALOG__SCALE": scale, "ANALOG__OFFSET": np.full(6, 2048), "ANALOG__BITS": np.int64(16)}
    points = np.ones((15, 1, 4))
    points[:, :, :3] = np.arange(45).reshape(15, 1, 3)
    if not codes:
        more = {}
    if order == "dec" and codes:
        more["POINT__RATE"] = np.float64(100.0)
    data = c3d_bytes(
        {**plate_parameters(2, range(1, 7), **more), ("POINT", "LABELS"): ["M1"]},
        stored + 2048 if codes else stored * scale,
        order=order,
        codes=codes,
        points=points,
        per_frame=4,
        point_rate=100.0,
    )
    trial = bc.read(save(tmp_path, data))
    assert trial.rate_hz == 400.0
    expected = seen_from_below(about_surface(stored * scale * ([1.0] * 3 + [1e-3] * 3), (0, 0, -0.04)))
    np.testing.assert_allclose(trial.plates[0].wrench, expected, rtol=1e-6, atol=FLOAT32_NM)
    np.testing.assert_allclose(trial.markers.positions_m[:, 0], 1e-3 * points[:, 0, :3], atol=FLOAT32_M)
    assert (trial.plates[0].saturated is not None) == codes


def test_saturated_codes(tmp_path):
    codes = np.full((20, 6), 2048)
    codes[:, 2] = 3000
    codes[7, 2], codes[9, 0] = 4095, 0
    more = {
        "ANALOG__SCALE": np.full(6, 0.5),
        "ANALOG__OFFSET": np.full(6, 2048),
        "ANALOG__BITS": np.int64(12),
    }
    plate = bc.read(
        save(tmp_path, c3d_bytes(plate_parameters(2, range(1, 7), **more), codes, codes=True))
    ).plates[0]
    assert np.flatnonzero(plate.saturated).tolist() == [7, 9]


def test_the_axis_that_the_plates_face_is_up(tmp_path, wrench):
    # y up: the lab's x, y, z are the file's z, x, y.
    corners = DOWN_MM[:, [1, 2, 0]]
    channels = wrench * ([1.0] * 3 + [1e3] * 3)
    upright = bc.read(save(tmp_path, c3d_bytes(plate_parameters(2, range(1, 7)), channels)))
    lying = bc.read(
        save(tmp_path, c3d_bytes(plate_parameters(2, range(1, 7), corners=corners), channels), "y.c3d")
    )
    np.testing.assert_allclose(lying.plates[0].wrench, upright.plates[0].wrench, atol=ROUNDING_NM)
    np.testing.assert_allclose(lying.plates[0].origin_m, upright.plates[0].origin_m, atol=ROUNDING_M)
    assert not lying.lateral_known
    assert any("y points up" in note for note in lying.notes)


def test_units_that_are_cut_short(tmp_path, wrench):
    channels = wrench.copy()
    parameters = {**plate_parameters(2, range(1, 7), corners=DOWN_MM * 1e-3, origin=(0, 0, -0.04))}
    parameters["POINT", "UNITS"] = ["mete"]
    parameters["ANALOG", "UNITS"] = ["Newt"] * 3 + ["N"] * 3
    plate = bc.read(save(tmp_path, c3d_bytes(parameters, channels))).plates[0]
    np.testing.assert_allclose(
        plate.wrench, seen_from_below(about_surface(wrench, (0, 0, -0.04))), atol=FLOAT32_NM
    )
    parameters["POINT", "UNITS"] = ["furlong"]
    with pytest.raises(DataError, match="POINT:UNITS"):
        bc.read(save(tmp_path, c3d_bytes(parameters, channels)))


def test_moments_in_the_wrong_unit_are_told(tmp_path, wrench):
    path = save(
        tmp_path,
        c3d_bytes(
            plate_parameters(2, range(1, 7), units=["N"] * 3 + ["Nm"] * 3), wrench * ([1.0] * 3 + [1e3] * 3)
        ),
    )
    assert any("check units=" in note for note in bc.read(path).notes)


def test_sign_and_zero(tmp_path, wrench):
    loads = wrench.copy()
    loads[:10] = [3.0, -2.0, 12.0, 0.5, 0.25, 0.1]
    channels = loads * ([1.0] * 3 + [1e3] * 3)
    parameters = plate_parameters(2, range(1, 7))
    parameters["FORCE_PLATFORM", "ZERO"] = np.array([2, 4])
    path = save(tmp_path, c3d_bytes(parameters, channels, per_frame=2))
    trial = bc.read(path)
    # z points down: a positive channel is a force into the plate, which the note tells.
    assert trial.plates[0].wrench[20, 2] < 0.0
    assert any("convention='action'" in note for note in trial.notes)
    assert any("frames 2 to 4" in note and "not taken off" in note for note in trial.notes)
    turned = bc.read(path, convention="action", plate_zero=True)
    expected = -seen_from_below(about_surface(loads - loads[5], (0, 0, -0.04)))
    np.testing.assert_allclose(turned.plates[0].wrench, expected, atol=FLOAT32_NM)


def test_other_channels_and_events(tmp_path, wrench):
    channels = np.column_stack((np.arange(60.0), wrench * ([1.0] * 3 + [1e3] * 3)))
    parameters = plate_parameters(2, range(2, 8), units=["mV"] + ["N"] * 3 + ["Nmm"] * 3)
    parameters["ANALOG", "LABELS"] = ["EMG", *("Fx", "Fy", "Fz", "Mx", "My", "Mz")]
    parameters["EVENT", "USED"] = np.int64(3)
    parameters["EVENT", "CONTEXTS"] = ["Left", "Right", "General"]
    parameters["EVENT", "LABELS"] = ["Foot Off", "FOOT STRIKE", "Clap"]
    parameters["EVENT", "TIMES"] = np.array([[1.0, 0.0, 0.0], [0.5, 2.5, 3.0]])
    data = c3d_bytes(parameters, channels, per_frame=2, point_rate=50.0, first_frame=101)
    trial = bc.read(save(tmp_path, data))
    emg = trial.analog[0]
    assert (emg.name, emg.unit, emg.rate_hz, emg.values.tolist()) == ("EMG", "mV", 100.0, list(range(60)))
    # Frame 101 at 50 Hz is 2 s after frame 1, from which the file counts.
    found = [(e.label, e.side, round(e.time_s, 6)) for e in trial.events]
    assert found == [("contact_on", "R", 0.5), ("Clap", "?", 1.0), ("contact_off", "L", 58.5)]


def test_markers_that_were_not_seen(tmp_path, wrench):
    points = np.ones((60, 2, 4))
    points[5, 1, 3] = -1.0
    parameters = {**plate_parameters(2, range(1, 7)), ("POINT", "LABELS"): ["LHEE", "RHEE"]}
    markers = bc.read(save(tmp_path, c3d_bytes(parameters, wrench, points=points))).markers
    assert markers.names == ("LHEE", "RHEE")
    assert np.isnan(markers.positions_m).any(axis=2).nonzero() == (np.array([5]), np.array([1]))


# --- what can't be read ---------------------------------------------------------------------------------------------


def good_file(wrench):
    return c3d_bytes(plate_parameters(2, range(1, 7)), wrench * ([1.0] * 3 + [1e3] * 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({("FORCE_PLATFORM", "USED"): np.int64(0)}, "no force plates"),
        ({("FORCE_PLATFORM", "USED"): np.int64(200)}, "200"),
        ({("FORCE_PLATFORM", "CHANNEL"): np.array([[1], [2], [3], [4], [5], [99]])}, "channel 99"),
        ({("FORCE_PLATFORM", "CHANNEL"): np.array([[1], [1], [3], [4], [5], [6]])}, "twice"),
        ({("FORCE_PLATFORM", "CHANNEL"): None}, "CHANNEL"),
        ({("FORCE_PLATFORM", "TYPE"): np.array([4])}, "CAL_MATRIX"),
        ({("FORCE_PLATFORM", "ORIGIN"): np.array([[np.nan], [0], [0]])}, "ORIGIN"),
        ({("FORCE_PLATFORM", "CORNERS"): DOWN_MM.T[:, :, np.newaxis] * 1e4}, "corners"),
        ({("ANALOG", "RATE"): np.float64(1234.0)}, "1234"),
        ({("ANALOG", "RATE"): np.float64(np.nan)}, "RATE"),
        ({("ANALOG", "RATE"): np.float64(-5.0)}, "RATE"),
        ({("POINT", "RATE"): np.float64(0.0), ("ANALOG", "RATE"): np.float64(0.2)}, "between 1 and"),
        ({("POINT", "FRAMES"): np.int64(65535)}, "cut short"),
        ({("POINT", "FRAMES"): np.float64(1e30)}, "frames"),
        ({("POINT", "FRAMES"): np.float64(np.nan)}, "FRAMES"),
        ({("POINT", "USED"): np.int64(60000)}, "60000"),
        ({("POINT", "SCALE"): np.float64(1.0)}, "SCALE"),
        ({("ANALOG", "USED"): np.int64(5)}, "ANALOG:USED"),
        ({("ANALOG", "SCALE"): np.ones(3)}, "SCALE has 3 values for 6"),
        ({("ANALOG", "OFFSET"): None}, "OFFSET has 0 values"),
    ],
)
def test_damage_ends_in_one_clear_error(tmp_path, wrench, change, message):
    parameters = {**plate_parameters(2, range(1, 7)), **change}
    with pytest.raises(DataError, match=rf"^made\.c3d: .*{message}"):
        bc.read(save(tmp_path, c3d_bytes(parameters, wrench)))


def test_claims_of_terabytes_are_refused_before_anything_is_made(tmp_path, wrench):
    data = bytearray(good_file(wrench))
    layout = checked(load(save(tmp_path, bytes(data))))
    for name in (("POINT", "USED"), ("POINT", "FRAMES")):
        struct.pack_into("<H", data, layout.parameters[name].start, 0xFFFF)
    struct.pack_into("<H", data, 2, 0xFFFF)
    with pytest.raises(DataError, match="cut short"):
        bc.read(save(tmp_path, bytes(data)))


def test_numbers_that_are_not_finite_stay_gaps(tmp_path, wrench):
    loads = wrench.copy()
    loads[3, 2], loads[8, 0] = np.nan, np.inf
    trial = bc.read(save(tmp_path, c3d_bytes(plate_parameters(2, range(1, 7)), loads)))
    gaps = ~np.isfinite(trial.plates[0].wrench).all(axis=1)
    assert np.flatnonzero(gaps).tolist() == [3, 8]


@pytest.mark.realdata
def test_truncated_at_every_kilobyte(data_dir, tmp_path):
    data = (data_dir / "c3d_plates" / "TYPE-2.C3D").read_bytes()
    for size in range(0, len(data) - 1024, 1024):
        with pytest.raises(DataError):
            bc.read(save(tmp_path, data[:size]))


@pytest.mark.realdata
def test_a_damaged_parameter_section_is_named(data_dir):
    with pytest.raises(DataError, match=r"bad_parameter_section\.c3d: parameter 'LABELS' at byte 5564"):
        bc.read(data_dir / "c3d_plates" / "bad_parameter_section.c3d")


#: Mutations in the suite; tests/io/fuzz_files.py runs any number in child processes.
MUTATIONS = 300


def test_mutated_files_end_in_a_trial_or_an_error(tmp_path, wrench):
    more = {
        "ANALOG__SCALE": np.full(6, 0.5),
        "ANALOG__OFFSET": np.full(6, 2048),
        "ANALOG__BITS": np.int64(12),
    }
    integer = c3d_bytes(plate_parameters(2, range(1, 7), **more), np.full((60, 6), 2500), codes=True)
    rng = np.random.default_rng(11)
    read = 0
    for base in (good_file(wrench), integer):
        for _ in range(MUTATIONS // 2):
            path = save(tmp_path, fuzz.mutated(base, rng, fuzz.head_of(base)))
            try:
                read += len(bc.read(path)) > 0
            except DataError:
                continue
    # Neither everything nor nothing is refused: most of a header is text.
    assert MUTATIONS // 10 < read < MUTATIONS


def test_options_that_have_no_use(tmp_path, wrench):
    path = save(tmp_path, good_file(wrench))
    with pytest.raises(DataError, match="columns="):
        bc.read(path, columns={"Fz": 2})
    with pytest.raises(DataError, match="500 Hz but the file says 1000"):
        bc.read(path, rate_hz=500.0)
    with pytest.raises(DataError, match="2 origins for 1 plates"):
        bc.read(path, plate_origin_m=[(0, 0, 0), (0, 0, 0)])
    with pytest.raises(DataError, match="three numbers"):
        bc.read(path, plate_origin_m=(1, 2))
    text = tmp_path / "run.csv"
    text.write_text("time,Fz\n0,1\n0.001,2\n0.002,3\n")
    with pytest.raises(DataError, match="C3D files only"):
        bc.read(text, plate_origin_m=(0, 0, 0))
    (tmp_path / "no.c3d").write_text("time,Fz\n0,1\n")
    with pytest.raises(DataError, match="does not start as a C3D file"):
        bc.read(tmp_path / "no.c3d")


def test_without_ezc3d(tmp_path, wrench, monkeypatch):
    path = save(tmp_path, good_file(wrench))
    trial = bc.read(path)
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    with pytest.raises(MissingExtraError, match=r"balancecore\[c3d\]"):
        bc.read(path)
    with pytest.raises(MissingExtraError, match=r"balancecore\[c3d\]"):
        write_c3d(trial, tmp_path / "out.c3d")


# --- writing --------------------------------------------------------------------------------------------------------


def assert_same(read, written):
    """Everything of a trial but how it was read, within float32."""
    assert read.rate_hz == written.rate_hz
    for name in ("lateral_known", "convention", "axes", "sources", "notes", "events"):
        assert getattr(read, name) == getattr(written, name), name
    for a, b in zip(read.plates, written.plates, strict=True):
        np.testing.assert_allclose(a.wrench[:, :3], b.wrench[:, :3], rtol=1e-6, atol=FLOAT32_N)
        np.testing.assert_allclose(a.wrench[:, 3:], b.wrench[:, 3:], rtol=1e-6, atol=FLOAT32_NM)
        np.testing.assert_array_equal(a.origin_m, b.origin_m)
        assert (a.name, a.side, a.missing, a.model, a.skew_s) == (
            b.name,
            b.side,
            b.missing,
            b.model,
            b.skew_s,
        )
        assert (a.saturated is None) == (b.saturated is None)
        if a.saturated is not None:
            np.testing.assert_array_equal(a.saturated, b.saturated)
        assert (a.corners_lab is None) == (b.corners_lab is None)
        if a.corners_lab is not None:
            np.testing.assert_array_equal(a.corners_lab, b.corners_lab)
    for a, b in zip(read.analog, written.analog, strict=True):
        assert (a.name, a.unit, a.rate_hz) == (b.name, b.unit, b.rate_hz)
        np.testing.assert_allclose(a.values, b.values, rtol=1e-6)
    assert (read.markers is None) == (written.markers is None)
    if written.markers is not None:
        assert read.markers.names == written.markers.names
        np.testing.assert_allclose(
            read.markers.positions_m, written.markers.positions_m, rtol=1e-6, atol=FLOAT32_M
        )


def full_trial(n=1234, rate_hz=1000.0 / 3.0):
    rng = np.random.default_rng(8)
    corners = np.array([[0.5, 0.4, 0.0], [-0.1, 0.4, 0.001], [-0.1, -0.2, 0.0], [0.5, -0.2, 0.0]])
    trial = Trial.from_wrenches(
        [rng.normal(0.0, 500.0, (n, 6)), rng.normal(0.0, 500.0, n)],
        rate_hz=rate_hz,
        sides=["L", "R"],
        names=["left belt", ""],
        origins_m=[[0.2, 0.1, 0.0], [0.9, 0.1, 0.0]],
        corners_m=[corners, None],
        axes=("x", "y", "z"),
        sources=[Source("run.tsv", "ab" * 32)],
        notes=["read by a test; é"],
    )
    first = dataclasses.replace(trial.plates[0], saturated=rng.random(n) < 0.01, model="AMTI", skew_s=1e-5)
    positions = rng.normal(0.0, 1.0, (-(-n // 4), 2, 3))
    positions[3, 1] = np.nan
    return dataclasses.replace(
        trial,
        plates=(first, trial.plates[1]),
        analog=(
            Analog("EMG µ", "mV", rate_hz, rng.normal(size=n)),
            Analog("EMG µ", "mV", rate_hz / 2, rng.normal(size=n // 2)),
        ),
        events=(Event("contact_on", "L", 0.1234567), Event("clap", "?", 61.5)),
        markers=Markers(("LHEE", "LHEE"), rate_hz / 4, positions),
    )


def test_what_is_written_is_read_back(tmp_path):
    trial = full_trial()
    bc.io.write(trial, tmp_path / "out.c3d")
    assert_same(bc.read(tmp_path / "out.c3d"), trial)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["PlugInC3D.c3d", "Gait.c3d", "type1.C3D", "walking2.c3d", "type3_FP1.C3D"])
def test_real_files_are_read_back(data_dir, tmp_path, name):
    trial = bc.read(data_dir / "c3d_plates" / name)
    write_c3d(trial, tmp_path / "out.c3d")
    assert_same(bc.read(tmp_path / "out.c3d"), trial)


def test_other_programs_find_the_plates(tmp_path):
    trial = full_trial()
    write_c3d(trial, tmp_path / "out.c3d")
    opened = ezc3d.c3d(str(tmp_path / "out.c3d"), extract_forceplat_data=True)
    assert opened["parameters"]["FORCE_PLATFORM"]["TYPE"]["value"].tolist() == [2, 2]
    their, plate = opened["data"]["platform"][0], trial.plates[0]
    np.testing.assert_allclose(their["force"].T[: len(trial)], plate.wrench[:, :3], rtol=1e-6, atol=FLOAT32_N)
    assert opened["parameters"]["EVENT"]["LABELS"]["value"] == ["Foot Strike", "clap"]
    assert opened["parameters"]["EVENT"]["CONTEXTS"]["value"] == ["Left", "General"]
    np.testing.assert_allclose(
        opened["data"]["points"][:3, 0, 5], 1e3 * trial.markers.positions_m[5, 0], rtol=1e-6
    )


@given(n=st.integers(1, 400), rate_hz=st.floats(1.0, 20000.0), count=st.integers(1, 4))
def test_any_length_and_rate(tmp_path_factory, n, rate_hz, count):
    trial = Trial.from_wrenches([np.full((n, 6), k + 0.25) for k in range(count)], rate_hz=rate_hz)
    path = tmp_path_factory.mktemp("any") / "out.c3d"
    write_c3d(trial, path)
    assert_same(bc.read(path), trial)


def test_records_beyond_the_frame_counter(tmp_path):
    # 65 537 is prime: no number of samples a frame divides it.
    n = 65537
    trial = Trial.from_wrenches([np.arange(n, dtype=float)], rate_hz=1000.0)
    write_c3d(trial, tmp_path / "long.c3d")
    read = bc.read(tmp_path / "long.c3d")
    assert len(read) == n
    np.testing.assert_array_equal(read.plates[0].wrench[:, 2], np.arange(n, dtype=float))


#: More than 16 bits count, so that the lower word is small and the record is read in two pieces.
LONG = 65536 + 300


def long_c3d(parameters=None, **options):
    """Frames numbered by their marker and by Fx: (bytes of one plate and one marker, its channels, the marker)."""
    channels = np.tile([0.0, 1, 500, 2, 3, 4], (LONG, 1))
    channels[:, 0] = np.arange(LONG) % 1000
    points = np.zeros((LONG, 1, 4))
    points[:, 0, 0] = np.arange(LONG)
    wanted = plate_parameters(2, range(1, 7)) | {("POINT", "LABELS"): ["HEEL"]} | (parameters or {})
    return c3d_bytes(wanted, channels, points=points, **options), channels, points[:, 0, :3]


def words(n):
    return np.array([n & 0xFFFF, n >> 16])


COUNTED = {
    "float FRAMES": {("POINT", "FRAMES"): np.float64(LONG)},
    "LONG_FRAMES": {("POINT", "LONG_FRAMES"): np.float64(LONG)},
    "LONG_FRAMES beside a count that began again": {
        ("POINT", "FRAMES"): np.int64(LONG - 65536),
        ("POINT", "LONG_FRAMES"): np.float64(LONG),
    },
    "TRIAL": {("TRIAL", "ACTUAL_START_FIELD"): words(1), ("TRIAL", "ACTUAL_END_FIELD"): words(LONG)},
    "TRIAL without FRAMES": {
        ("POINT", "FRAMES"): None,
        ("TRIAL", "ACTUAL_START_FIELD"): words(1),
        ("TRIAL", "ACTUAL_END_FIELD"): words(LONG),
    },
}


@pytest.mark.parametrize("order", ["intel", "dec", "mips"])
@pytest.mark.parametrize("how", COUNTED)
def test_more_frames_than_16_bits_count(tmp_path, how, order):
    data, channels, marker = long_c3d(COUNTED[how], order=order)
    trial = bc.read(save(tmp_path, data))
    assert len(trial) == LONG
    # x of the plate is the lab's y.
    np.testing.assert_array_equal(trial.plates[0].wrench[:, 1], channels[:, 0])
    np.testing.assert_allclose(trial.markers.positions_m[:, 0], marker * 1e-3, atol=FLOAT32_M)
    assert not any("counter" in note for note in trial.notes)


@pytest.mark.parametrize(
    "counted",
    [
        {("POINT", "LONG_FRAMES"): np.float64(LONG)},
        {("TRIAL", "ACTUAL_START_FIELD"): words(501), ("TRIAL", "ACTUAL_END_FIELD"): words(500 + LONG)},
        {},
    ],
)
def test_a_long_record_that_starts_later_and_has_no_count_but_the_headers(tmp_path, counted):
    """The header counts from 501 to 65535, its end: 65035 frames."""
    data, channels, _ = long_c3d({("POINT", "FRAMES"): None} | counted, first_frame=501)
    trial = bc.read(save(tmp_path, data))
    n = LONG if counted else 65035
    np.testing.assert_array_equal(trial.plates[0].wrench[:, 1], channels[:n, 0])
    # A block at the end may be filled up.
    assert any("bytes for about 801 more" in note for note in trial.notes) == (not counted)


def test_long_files_agree_with_ezc3d(tmp_path):
    data, channels, _ = long_c3d(COUNTED["TRIAL"])
    opened = ezc3d.c3d(str(save(tmp_path, data)))["data"]
    trial = bc.read(tmp_path / "made.c3d")
    np.testing.assert_array_equal(opened["analogs"][0, 0], channels[:, 0])
    np.testing.assert_array_equal(trial.plates[0].wrench[:, 1], opened["analogs"][0, 0])
    np.testing.assert_array_equal(trial.markers.positions_m[:, 0].T, opened["points"][:3, 0] * 1e-3)


def test_a_full_counter_that_nothing_counts_on_is_told(tmp_path):
    trial = bc.read(save(tmp_path, long_c3d()[0]))
    assert len(trial) == 65535
    assert any("about 301 more; these were not read" in note for note in trial.notes)
    exact = {("POINT", "LONG_FRAMES"): np.float64(65535)}
    channels = np.ones((65535, 6))
    trial = bc.read(save(tmp_path, c3d_bytes(plate_parameters(2, range(1, 7)) | exact, channels)))
    assert (len(trial), any("counter" in note for note in trial.notes)) == (65535, False)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            COUNTED["TRIAL"] | {("POINT", "LONG_FRAMES"): np.float64(LONG - 1)},
            r"LONG_FRAMES say 65835 .* 65836",
        ),
        ({("POINT", "LONG_FRAMES"): np.float64(1e30)}, "cut short"),
        ({("POINT", "LONG_FRAMES"): np.float64(LONG + 1)}, "cut short"),
        ({("POINT", "LONG_FRAMES"): np.float64("nan")}, "POINT:LONG_FRAMES is nan"),
        ({("POINT", "LONG_FRAMES"): ["many"]}, "POINT:LONG_FRAMES is not a number"),
        ({("POINT", "FRAMES"): np.float64(70000.5)}, "POINT:FRAMES is 70000.5"),
        (
            {("TRIAL", "ACTUAL_START_FIELD"): words(1), ("TRIAL", "ACTUAL_END_FIELD"): ["x"]},
            "is not a number",
        ),
    ],
)
def test_long_counts_that_cannot_be_right(tmp_path, parameters, message):
    with pytest.raises(DataError, match=message):
        bc.read(save(tmp_path, long_c3d(parameters)[0]))


@pytest.mark.parametrize("name", ["TRIAL:ACTUAL_START_FIELD", "TRIAL:ACTUAL_END_FIELD", "POINT:LONG_FRAMES"])
@pytest.mark.parametrize("odd", [np.empty(0, dtype=np.int64), ["x"], np.array([1.0, 60.0]), np.float64(-1.0)])
def test_a_short_count_needs_none_of_those_for_long_records(tmp_path, wrench, name, odd):
    good = {("TRIAL", "ACTUAL_START_FIELD"): words(1), ("TRIAL", "ACTUAL_END_FIELD"): words(60)}
    parameters = plate_parameters(2, range(1, 7)) | good | {tuple(name.split(":")): odd}
    assert len(bc.read(save(tmp_path, c3d_bytes(parameters, wrench)))) == 60
    with pytest.raises(DataError, match=f"{name} is"):
        bc.read(save(tmp_path, c3d_bytes(parameters | {("POINT", "FRAMES"): None}, wrench)))


@pytest.mark.parametrize("order", ["intel", "dec", "mips"])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_short_count_may_be_a_float(tmp_path, wrench, order, shape):
    parameters = plate_parameters(2, range(1, 7)) | {("POINT", "FRAMES"): np.full(shape, 60.0)}
    assert len(bc.read(save(tmp_path, c3d_bytes(parameters, wrench, order=order)))) == 60


def test_a_short_count_outranks_one_left_over_from_a_longer_file(tmp_path, wrench):
    left_over = COUNTED["TRIAL"] | {("POINT", "LONG_FRAMES"): np.float64(LONG)}
    assert len(bc.read(save(tmp_path, c3d_bytes(plate_parameters(2, range(1, 7)) | left_over, wrench)))) == 60


def test_a_piece_of_a_long_record_keeps_the_time_of_its_events(tmp_path, wrench):
    parameters = plate_parameters(2, range(1, 7)) | {
        ("TRIAL", "ACTUAL_START_FIELD"): words(100_001),
        ("TRIAL", "ACTUAL_END_FIELD"): words(100_060),
        ("EVENT", "USED"): np.int64(1),
        ("EVENT", "LABELS"): ["Foot Strike"],
        ("EVENT", "CONTEXTS"): ["Left"],
        ("EVENT", "TIMES"): np.array([[1.0], [40.03]]),
    }
    trial = bc.read(save(tmp_path, c3d_bytes(parameters, wrench, first_frame=65535)))
    # 100 000 frames at 1000 Hz lie before the first.
    assert trial.events[0].time_s == pytest.approx(0.03, abs=1e-5)  # float32 of 40 s


def test_a_long_record_with_markers_is_written_so_that_others_count_it(tmp_path):
    force = np.arange(LONG, dtype=float) % 1000
    positions = np.zeros((LONG, 1, 3))
    positions[:, 0, 0] = np.arange(LONG) * 1e-3
    trial = dataclasses.replace(
        Trial.from_wrenches([force], rate_hz=200.0), markers=Markers(("A",), 200.0, positions)
    )
    path = tmp_path / "long.c3d"
    write_c3d(trial, path)
    read = bc.read(path)
    assert_same(read, trial)
    opened = ezc3d.c3d(str(path))
    assert opened["parameters"]["POINT"]["LONG_FRAMES"]["value"][0] == LONG
    np.testing.assert_array_equal(opened["parameters"]["TRIAL"]["ACTUAL_START_FIELD"]["value"], words(1))
    np.testing.assert_array_equal(opened["parameters"]["TRIAL"]["ACTUAL_END_FIELD"]["value"], words(LONG))
    # ezc3d goes by neither where there is a group ROTATION, which it writes itself; what it reads is the same.
    np.testing.assert_array_equal(opened["data"]["points"][0, 0, :65535], np.arange(65535))
    np.testing.assert_array_equal(opened["data"]["analogs"][0, 2, :65535], force[:65535])


def test_what_c3d_has_no_room_for(tmp_path):
    trial = full_trial(100, 1000.0)
    odd = dataclasses.replace(trial, analog=(Analog("x", "V", 300.0, np.zeros(30)),), markers=None)
    with pytest.raises(DataError, match="300 Hz does not divide"):
        write_c3d(odd, tmp_path / "out.c3d")
    many = dataclasses.replace(trial, events=tuple(Event("x", "?", float(k)) for k in range(300)))
    with pytest.raises(DataError, match="300 events"):
        write_c3d(many, tmp_path / "out.c3d")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_overwritten(tmp_path):
    path = tmp_path / "out.c3d"
    path.write_bytes(b"mine")
    with pytest.raises(DataError, match="exists already"):
        write_c3d(full_trial(50, 1000.0), path)
    assert path.read_bytes() == b"mine"


def test_a_file_changed_by_others_is_read_as_any(tmp_path):
    write_c3d(full_trial(100, 1000.0), tmp_path / "out.c3d")
    data = bytearray((tmp_path / "out.c3d").read_bytes())
    at = data.index(b'"n_frames": 100')
    data[at : at + 15] = b'"n_frames": 999'
    trial = bc.read(save(tmp_path, bytes(data)))
    assert len(trial) == 100
    assert any("does not fit the file any more" in note for note in trial.notes)
