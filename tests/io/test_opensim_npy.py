"""OpenSim tables and NumPy arrays."""

import io

import numpy as np
import pytest

import balancecore as bc
from balancecore.errors import DataError


def mot_text(names, rows, *, n_rows=None, end="endheader"):
    head = ["run", "version=1", f"nRows={len(rows) if n_rows is None else n_rows}", f"nColumns={len(names)}"]
    head += ["inDegrees=no", end, "\t".join(names)]
    return "\n".join(head + ["\t".join(f"{v:.8f}" for v in row) for row in rows]) + "\n"


def opensim_rows(n=20, seed=2):
    """Time, then force, COP and torque of one plate in OpenSim's ground frame."""
    rng = np.random.default_rng(seed)
    force = rng.uniform(-100, 100, (n, 3))
    force[:, 1] = rng.uniform(200, 900, n)
    cop = rng.uniform(-0.5, 0.5, (n, 3))
    cop[:, 1] = 0.0
    torque = np.zeros((n, 3))
    torque[:, 1] = rng.uniform(-5, 5, n)
    return np.round(np.column_stack([np.arange(n) / 100, force, cop, torque]), 8)


STYLES = {
    "unnumbered": "ground_force_v{a} ground_force_p{a} ground_torque_{a}",
    "before": "1_ground_force_v{a} 1_ground_force_p{a} 1_ground_torque_{a}",
    "within": "ground_force_1_v{a} ground_force_1_p{a} ground_torque_1_{a}",
    "side": "ground_force_l_v{a} ground_force_l_p{a} ground_torque_l_{a}",
}


def names_of(style):
    return ["time"] + [part.format(a=a) for part in STYLES[style].split() for a in "xyz"]


@pytest.mark.parametrize("style", STYLES)
def test_ground_frame_becomes_right_forward_up(tmp_path, style):
    rows = opensim_rows()
    path = tmp_path / "grf.mot"
    path.write_text(mot_text(names_of(style), rows))
    trial = bc.read(path)
    plate = trial.plates[0]
    assert (trial.rate_hz, trial.lateral_known, trial.convention) == (100.0, True, "reaction")
    np.testing.assert_allclose(plate.force_lab, rows[:, [3, 1, 2]])
    np.testing.assert_allclose(plate.cop[:, :2], rows[:, [6, 4]], atol=1e-12)
    np.testing.assert_allclose(plate.free_moment, rows[:, 8], atol=1e-9)


def test_two_plates_of_one_file(tmp_path):
    a, b = opensim_rows(seed=1), opensim_rows(seed=2)
    path = tmp_path / "grf.sto"
    path.write_text(mot_text(names_of("unnumbered") + names_of("before")[1:], np.column_stack([a, b[:, 1:]])))
    trial = bc.read(path, sides=["L", "R"])
    assert [p.name for p in trial.plates] == ["", "1"]
    np.testing.assert_allclose(trial.plates[1].wrench[:, 2], b[:, 2])


def test_cop_above_the_floor_keeps_its_height(tmp_path):
    rows = opensim_rows()
    rows[:, 5] = 0.25
    path = tmp_path / "grf.mot"
    path.write_text(mot_text(names_of("unnumbered"), rows))
    plate = bc.read(path).plates[0]
    np.testing.assert_allclose(plate.cop, rows[:, [6, 4, 5]], atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(n_rows=21), r"grf\.mot, line 27: the header says 21 rows, the table has 20: it is cut short"),
        (dict(n_rows=19), "too many"),
        (dict(n_rows="x"), "line 3: nRows must be a whole number, not 'x'"),
        (dict(end="the end"), "ends with 'endheader'"),
    ],
)
def test_damaged_header(tmp_path, change, message):
    path = tmp_path / "grf.mot"
    path.write_text(mot_text(names_of("unnumbered"), opensim_rows(), **change))
    with pytest.raises(DataError, match=message):
        bc.read(path)


def test_without_vertical_force(tmp_path):
    path = tmp_path / "grf.mot"
    path.write_text(mot_text(["time", "ground_force_vx"], opensim_rows()[:, :2]))
    with pytest.raises(DataError, match=r"no vertical force \(Fy\)"):
        bc.read(path)


@pytest.mark.realdata
def test_numbered_columns_of_a_real_sto(data_dir):
    path = data_dir / "c3d_plates" / "std_cop_walking2_grfs.sto"
    table = np.loadtxt(path, skiprows=6)
    trial = bc.read(path, units={"moment": "N.mm", "length": "mm"})
    assert (len(trial), trial.rate_hz, trial.lateral_known) == (101, 20.0, False)
    for plate, first in zip(trial.plates, (1, 10), strict=True):
        np.testing.assert_array_equal(plate.force_lab, table[:, first : first + 3])
        loaded = plate.wrench[:, 2] > 50
        assert loaded.any()
        np.testing.assert_allclose(
            plate.cop[loaded, :2] * 1e3, table[loaded, first + 3 : first + 5], atol=1e-6
        )
        np.testing.assert_allclose(plate.free_moment[loaded] * 1e3, table[loaded, first + 8], atol=1e-4)


def save(tmp_path, array, **options):
    path = tmp_path / "run.npy"
    np.save(path, array, **options)
    return path


def test_npy_shapes(tmp_path):
    wrench = np.random.default_rng(0).normal(size=(30, 12))
    trial = bc.read(save(tmp_path, wrench), rate_hz=1000, sides=["L", "R"])
    np.testing.assert_array_equal(trial.plates[1].wrench, wrench[:, 6:])
    trial = bc.read(save(tmp_path, np.asfortranarray(wrench[:, :6].astype(">f4"))), rate_hz=1000)
    np.testing.assert_array_equal(trial.plates[0].wrench, wrench[:, :6].astype("f4").astype(float))
    trial = bc.read(save(tmp_path, np.arange(30)), rate_hz=1000)
    assert trial.plates[0].missing == {"Fx", "Fy", "Mx", "My", "Mz"}
    trial = bc.read(save(tmp_path, wrench[:, :3]), rate_hz=1000, columns={"Fz": 0}, units={"force": "kN"})
    np.testing.assert_allclose(trial.plates[0].wrench[:, 2], 1000 * wrench[:, 0])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1, "a", None], dtype=object), "Python objects"),
        (np.ones(3, dtype=complex), "complex128"),
        (np.ones(3, dtype=bool), "bool"),
        (np.array(["a"]), "<U1"),
        (np.ones((2, 2, 2)), r"\(2, 2, 2\)"),
        (np.ones((6, 100)), r"transpose it"),
        (np.ones((0, 6)), "no numbers"),
        (np.float64(3.0), r"shape is \(\)"),
    ],
)
def test_npy_refused(tmp_path, array, message):
    with pytest.raises(DataError, match=message) as caught:
        bc.read(save(tmp_path, array, allow_pickle=True), rate_hz=1000)
    assert str(tmp_path) not in str(caught.value)


def test_npy_without_rate_or_with_a_claim_too_large(tmp_path):
    path = save(tmp_path, np.ones((10, 6)))
    with pytest.raises(DataError, match="rate_hz="):
        bc.read(path)
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(DataError, match="480 bytes of numbers, there are 479: it is cut short"):
        bc.read(path, rate_hz=1000)
    path.write_bytes(data.replace(b"(10, 6), }" + b" " * 12, b"(10, 600000000000), }" + b" "))
    with pytest.raises(DataError, match="cut short"):
        bc.read(path, rate_hz=1000)
    stream = io.BytesIO()
    np.savez(stream, a=np.ones(3))
    path = tmp_path / "run.npz"
    path.write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="ZIP"):
        bc.read(path, rate_hz=1000)
