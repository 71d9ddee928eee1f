"""The whole way: `analyze_gait` on 10 min x 12 channels beside the lab script, and proof that both do the same job."""

from __future__ import annotations

import numpy as np
import pytest

import balancecore as bc

from . import lab_script as lab
from .conftest import MASS_KG, N_BOOT, SPEED_M_S

#: Largest relative difference of the means over all steps, and of the SI (% points), where both measure the same
#: events: contacts at 20 N on the 50 Hz copy. The lab script takes whole samples, so it differs more at 1 kHz.
MEANS = {"valr_0_100": 0.015, "valr_0_50ms": 0.015}
REST = 0.006
SI_POINTS = {"t_impact": 1.5, "valr_0_100": 1.0, "valr_0_50ms": 1.0}
SI_REST = 0.5
#: Extremes over noisy samples at the ends of the contact, where one sample more or less shows.
RAGGED = {"cop_range_x", "cop_range_y", "cop_path", "cop_x", "cop_y"}


def script(simulation, origins):
    return lab.analyse(
        simulation.wrenches,
        origins,
        rate_hz=simulation.rate_hz,
        mass_kg=MASS_KG,
        speed_m_s=SPEED_M_S,
        n_boot=N_BOOT,
    )


@pytest.mark.parametrize("role", ["lab", "ours"])
def bench_gait(simulation, origins, measure, role):
    trial = simulation.trial

    def ours():
        return bc.analyze_gait(trial, mass_kg=MASS_KG, speed_m_s=SPEED_M_S, n_boot=N_BOOT)

    result = measure(
        ours if role == "ours" else lambda: script(simulation, origins),
        group="gait",
        case=f"{simulation.rate_hz:g} Hz",
        role=role,
        values=len(trial) * 12,
        duration_s=trial.duration_s,
    )
    steps = result.steps if role == "ours" else result.steps["tc"]
    assert len(steps) == len(simulation.steps)


def bench_same_job(simulation, origins):
    """Not timed: the lab script and ours agree where both are asked the same."""
    theirs = script(simulation, origins)
    ours = bc.analyze_gait(
        simulation.trial,
        mass_kg=MASS_KG,
        speed_m_s=SPEED_M_S,
        n_boot=N_BOOT,
        level_n=20.0,
        timing_cutoff_hz=50.0,
    )
    assert len(theirs.steps["tc"]) == len(ours.steps)
    assert ["LR"[k] for k in theirs.limb] == ours.steps["side"].tolist()
    np.testing.assert_allclose(theirs.steps["t_on"], ours.steps["t_on"], atol=5e-4)
    np.testing.assert_allclose(theirs.curves[:, 2], ours.curves.mean[:, 2], atol=0.03)
    for name, values in theirs.steps.items():
        if name in RAGGED:
            continue
        expected = np.nanmean(ours.steps[name])
        assert np.nanmean(values) == pytest.approx(expected, rel=MEANS.get(name, REST)), name
        if name in theirs.symmetry and name in ours.symmetry:
            row = ours.symmetry[name]
            assert theirs.symmetry[name][0] == pytest.approx(row.si, abs=SI_POINTS.get(name, SI_REST)), name
