"""Mean stance curves of a result: forces and centres of pressure, of whole trials and of streams."""

from types import SimpleNamespace

import numpy as np
import pytest

import balancecore as bc
from balancecore.gait import CURVES, FORCES, limb_curves

#: What the 50 Hz low-pass leaves of a path that the simulation makes of straight pieces, where the force is large.
COP_M = 0.002
#: The stream's offset differs by up to 1 N (docs/streaming.md), on an arm of 0.3 m under 300 N.
ONLINE_COP_M = 0.001


@pytest.fixture(scope="module")
def sim():
    return bc.simulate.treadmill(n_steps=20, seed=3)


@pytest.fixture(scope="module")
def result(sim):
    return bc.analyze_gait(sim.trial, mass_kg=70.0, n_boot=0)


def test_the_centre_of_pressure_is_that_of_the_plates(sim, result):
    for side, plate in zip("LR", sim.trial.plates, strict=True):
        x, y = (plate.cop[:, k] for k in range(2))
        mine = result.steps["side"] == side
        t = result.steps["t_on"][mine, None] + np.arange(101) / 100.0 * result.steps["tc"][mine, None]
        medial = 1.0 if side == "L" else -1.0
        across, forward = (np.interp(t * 1000.0, np.arange(len(x)), c).mean(axis=0) for c in (x, y))
        loaded = result.curves.get("fz", side) > 0.5
        found_x = result.summary["cop_x"][side].mean + medial * result.curves.get("cop_med", side)
        found_y = result.summary["cop_y"][side].mean + result.curves.get("cop_fwd", side)
        np.testing.assert_allclose(found_x[loaded], across[loaded], rtol=0, atol=COP_M)
        np.testing.assert_allclose(found_y[loaded], forward[loaded], rtol=0, atol=COP_M)
        assert np.ptp(found_y[loaded]) > 0.2


def test_there_is_no_centre_of_pressure_where_the_force_is_low(result):
    for limb in result.limbs:
        force, cop = result.curves.get("fz", limb), result.curves.get("cop_fwd", limb)
        assert np.isnan(cop[[0, -1]]).all()
        assert np.isfinite(
            cop[force > 0.12]
        ).all()  # 50 N are 0.073 BW; single contacts differ from their mean
        assert np.isfinite(result.curves.get("fy", limb)).all()


def test_limbs_are_compared_on_forces_only(result):
    assert tuple(result.waveforms) == FORCES


def test_the_stream_gives_the_same_curves(sim, result):
    online = bc.analyze_gait(sim.trial, mass_kg=70.0, n_boot=0, online=True)
    assert online.curves.names == CURVES
    assert online.curves.n == result.curves.n
    loaded = result.curves.mean[:, CURVES.index("fz")] > 0.5
    for name in ("cop_med", "cop_fwd"):
        at = CURVES.index(name)
        for stat in ("mean", "sd"):
            mine, other = (getattr(r.curves, stat)[:, at][loaded] for r in (online, result))
            np.testing.assert_allclose(mine, other, rtol=0, atol=ONLINE_COP_M)


def test_a_curve_ends_where_half_of_its_contacts_have_no_value():
    sides = SimpleNamespace(limbs=("L", "R"), medial_x={"L": 1.0, "R": -1.0})
    counts = np.full((2, 5, 4), 5)
    counts[:, 3:, :] = [1, 2, 3, 5]
    counts[1, 0, 2] = 4
    curves = limb_curves(np.ones((2, 5, 4)), np.ones((2, 5, 4)), counts, [5, 5], sides)
    assert np.isfinite(curves.mean[0, 3]).tolist() == [False, False, True, True]
    assert np.isfinite(curves.sd[0, 4]).tolist() == [False, False, True, True]
    assert np.isfinite(curves.mean[1, 0]).tolist() == [True, True, False, True]
    assert curves.get("f_med", "R")[0] == curves.get("cop_med", "R")[3] == -1.0
    assert curves.get("cop_fwd", "R")[3] == 1.0


def test_the_body_weight_shifts_no_centre_of_pressure(sim, result):
    """Forces are divided by it, places are not."""
    heavier = bc.analyze_gait(sim.trial, mass_kg=77.0, n_boot=0)
    at = CURVES.index("cop_fwd")
    both = np.isfinite(heavier.curves.mean[:, at])
    np.testing.assert_allclose(heavier.curves.mean[:, at][both], result.curves.mean[:, at][both], atol=1e-4)
