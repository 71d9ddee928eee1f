"""Symmetry of a step table with intervals: ours beside one NumPy matrix product over all replicates and metrics."""

from __future__ import annotations

import numpy as np
import pytest

from balancecore.symmetry import compare_limbs, pair_strides

from . import lab_script as lab
from .conftest import N_BOOT, roles

METRICS = 30


@roles("lab")
@pytest.mark.parametrize("pairs", [40, 900])
def bench_bootstrap(measure, role, pairs):
    rng = np.random.default_rng(7)
    limb = np.tile([0, 1], pairs)
    size = np.where(limb == 0, 1.05, 1.0)
    steps = {f"m{k}": size * rng.normal(1.0, 0.05, len(limb)) for k in range(METRICS)}
    t_on = 0.35 * np.arange(len(limb))

    def ours():
        table = compare_limbs(steps, limb, pair_strides(limb, t_on), n_boot=N_BOOT)
        return {row.metric: (row.si, row.ci_low, row.ci_high) for row in table}

    def script():
        return lab.symmetry(steps, limb, n_boot=N_BOOT)

    found = measure(
        script if role == "lab" else ours,
        group="bootstrap",
        case=f"{METRICS} metrics, {pairs} pairs, {N_BOOT} replicates",
        role=role,
        values=N_BOOT * pairs * METRICS * 2,
        counted="drawn value",
    )
    for name, (si, low, high) in script().items():
        assert found[name][0] == pytest.approx(si)
        assert high - low == pytest.approx(found[name][2] - found[name][1], rel=0.5)
