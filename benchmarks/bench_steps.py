"""The step table of contacts already found.

Unequal to our disadvantage: the loops of the lab script and its Numba version start from channels that are already
filtered, while ours filters the horizontal forces and moments around each contact as part of the work, and fills more
columns.
"""

from __future__ import annotations

import numpy as np
import pytest

from balancecore.contacts import LevelRule, segment
from balancecore.gait import Options, _steps
from balancecore.intake import take_in

from . import lab_script as lab
from .conftest import MASS_KG, SPEED_M_S, roles


@roles("lab", "numba")
def bench_steps(simulation, filtered, measure, role):
    trial, rate = simulation.trial, simulation.rate_hz
    if role != "ours":
        on, off = lab.threshold(filtered.total[:, 2], rate)

        script, total = lab, filtered.total
        if role == "numba":
            from . import numba_script as script

            total = filtered.total.T  # a row a channel

        def call():
            left, right = filtered.left[:, 2], filtered.right[:, 2]
            table, _, _ = script.step_table(
                total, left, right, on, off, rate_hz=rate, mass_kg=MASS_KG, speed_m_s=SPEED_M_S
            )
            return table["imp_v"]

    else:
        found = segment(
            take_in(trial),
            mass_kg=MASS_KG,
            level=LevelRule(),
            cutoff_hz=50.0,
            timing_cutoff_hz=None,
            baseline="aerial_pchip",
            gait="auto",
        )
        options = Options(mass_kg=MASS_KG, speed_m_s=SPEED_M_S)

        def call():
            return _steps(trial, found, options).table["imp_v"]

    impulses = measure(
        call,
        group="steps",
        case=f"{rate:g} Hz",
        role=role,
        values=len(trial) * 12,
        duration_s=trial.duration_s,
    )
    truth = simulation.truth()["imp_v"]
    assert len(impulses) == len(truth)
    assert np.nanmean(impulses) == pytest.approx(np.mean(truth), rel=2e-3)
