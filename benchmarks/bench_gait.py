"""The whole way: `analyze_gait` on 10 min x 12 channels beside the lab script, and proof that both do the same job.

The floor is one read of the twelve channels.
"""

from __future__ import annotations

import numpy as np
import pytest

import balancecore as bc

from . import lab_script as lab
from .conftest import MASS_KG, N_BOOT, SPEED_M_S, read_once, roles

#: Largest relative difference of the means over all steps, and of the SI (% points), where both measure the same
#: events: contacts at 20 N on the 50 Hz copy. The lab script takes whole samples, so it differs more at 1 kHz.
MEANS = {"valr_0_100": 0.015, "valr_0_50ms": 0.015}
REST = 0.006
SI_POINTS = {"t_impact": 1.5, "valr_0_100": 1.0, "valr_0_50ms": 1.0}
SI_REST = 0.5
#: Sums in another order, through a filter with poles near 1: relative, or absolute in BW, s, m and their products.
ROUNDING = 1e-6
#: Extremes over noisy samples at the ends of the contact, where one sample more or less shows.
RAGGED = {"cop_range_x", "cop_range_y", "cop_path", "cop_x", "cop_y"}


def script(simulation, origins, of=lab):
    return of.analyse(
        simulation.wrenches,
        origins,
        rate_hz=simulation.rate_hz,
        mass_kg=MASS_KG,
        speed_m_s=SPEED_M_S,
        n_boot=N_BOOT,
    )


@roles("lab", "numba", "floor")
def bench_gait(simulation, origins, measure, role):
    trial = simulation.trial

    def ours():
        return bc.analyze_gait(trial, mass_kg=MASS_KG, speed_m_s=SPEED_M_S, n_boot=N_BOOT)

    def numba():
        from . import numba_script

        return script(simulation, origins, numba_script)

    calls = {"lab": lambda: script(simulation, origins), "numba": numba, "ours": ours}
    result = measure(
        calls.get(role, lambda: read_once(*simulation.wrenches)),
        group="gait",
        case=f"{simulation.rate_hz:g} Hz",
        role=role,
        values=len(trial) * 12,
        duration_s=trial.duration_s,
    )
    if role != "floor":
        steps = result.steps if role == "ours" else result.steps["tc"]
        assert len(steps) == len(simulation.steps)


def bench_numba_same_job(simulation, origins):
    """Not timed: the Numba version has the lab script's numbers, rounding apart."""
    pytest.importorskip("numba", reason="no numba: pip install 'balancecore[bench]'")
    from . import numba_script

    expected, found = script(simulation, origins), script(simulation, origins, numba_script)
    assert set(found.steps) == set(expected.steps)
    for name, values in expected.steps.items():
        np.testing.assert_allclose(found.steps[name], values, rtol=ROUNDING, atol=ROUNDING, err_msg=name)
    np.testing.assert_array_equal(found.limb, expected.limb)
    np.testing.assert_allclose(found.curves, expected.curves, atol=ROUNDING)
    assert set(found.symmetry) == set(expected.symmetry)
    for name, row in expected.symmetry.items():
        np.testing.assert_allclose(found.symmetry[name], row, rtol=1e-4, atol=1e-4, err_msg=name)


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
