"""Step length on a belt: feet put down at known places, carried back at the belt's speed."""

import numpy as np
import pytest

import balancecore as bc

RATE_HZ, SPEED_M_S, STEP_S, WEIGHT_N = 1000.0, 3.0, 0.35, 70.0 * 9.80665


def footfalls(contact_s, places_m, n=40):
    """Half-sine footfalls at equal step times; `contact_s` and `places_m` (on the belt) alternate."""
    on = 0.5 + np.arange(n) * STEP_S
    t = np.arange(int((on[-1] + 1.0) * RATE_HZ)) / RATE_HZ
    wrench = np.zeros((len(t), 6))
    for i, start in enumerate(on):
        tc = contact_s[i % 2]
        k = (t >= start) & (t <= start + tc)
        force = WEIGHT_N * STEP_S * np.pi / (2.0 * tc) * np.sin(np.pi * (t[k] - start) / tc)
        y = SPEED_M_S * start + places_m[i % 2] - SPEED_M_S * t[k]
        wrench[k, 2] += force
        wrench[k, 3] += y * force
        wrench[k, 4] -= (-0.05, 0.05)[i % 2] * force
    return bc.Trial.from_wrenches([wrench], rate_hz=RATE_HZ)


@pytest.mark.parametrize("contact_s", [(0.25, 0.25), (0.25, 0.235), (0.22, 0.26)])
@pytest.mark.parametrize("ahead_m", [0.0, 0.04])
def test_step_length_is_the_distance_on_the_belt_whatever_the_contact_times(contact_s, ahead_m):
    trial = footfalls(contact_s, (0.0, ahead_m))
    result = bc.analyze_gait(trial, mass_kg=70.0, speed_m_s=SPEED_M_S, first_side="L", n_boot=0)
    length = result.summary["step_length"]
    assert length["L"].mean == pytest.approx(SPEED_M_S * STEP_S + ahead_m, abs=1e-4)
    assert length["R"].mean == pytest.approx(SPEED_M_S * STEP_S - ahead_m, abs=1e-4)
