"""Raw channels to wrenches, and wrenches to centres of pressure and free moments, beside NumPy expressions.

The floor reads every value of the input once and writes every value of the output once.
"""

from __future__ import annotations

import numpy as np

from balancecore import plates

from .conftest import read_once, roles

LEAST_N = 20.0


def read_and_write(inputs, outputs):
    read_once(*inputs)
    for out in outputs:
        out.fill(0.0)


def centres(wrench):
    """What a script writes: whole columns, NaN without load."""
    fx, fy, fz, mx, my, mz = wrench.T
    loaded = np.where(fz >= LEAST_N, fz, np.nan)
    x, y = -my / loaded, mx / loaded
    z = np.where(np.isnan(loaded), np.nan, 0.0)
    return np.column_stack((x, y, z)), mz - fy * x + fx * y


@roles("lab", "floor")
def bench_centre_of_pressure(simulation, measure, role):
    belts = simulation.wrenches
    out = [(np.empty((len(w), 3)), np.empty(len(w))) for w in belts]

    def ours():
        return [
            plates.centre_of_pressure(w, min_force_n=LEAST_N, out=o) for w, o in zip(belts, out, strict=True)
        ]

    def numpy():
        return [centres(w) for w in belts]

    def floor():
        read_and_write(belts, [o for pair in out for o in pair])

    result = measure(
        {"lab": numpy, "floor": floor, "ours": ours}[role],
        group="wrench",
        case=f"COP and free moment, {simulation.rate_hz:g} Hz",
        role=role,
        values=len(belts) * len(simulation.trial),
        duration_s=simulation.trial.duration_s,
        counted="frame of a plate",
    )
    if role == "ours":
        for found, expected in zip(result[0], centres(belts[0]), strict=True):
            np.testing.assert_allclose(found[:2000], expected[:2000], atol=1e-9)


@roles("lab", "floor")
def bench_raw_to_wrench(simulation, measure, role):
    model = plates.kistler(a_m=0.21, b_m=0.35, az0_m=-0.052, newton_per_unit=100.0).tared(
        plates.Tare(np.full(8, 0.01), np.zeros(8), 1)
    )
    raw = [w @ np.linalg.pinv(model.matrix).T for w in simulation.wrenches]
    matrix = model.matrix.copy()
    matrix[3] += model.origin_m[2] * matrix[1]
    matrix[4] -= model.origin_m[2] * matrix[0]
    out = [np.empty((len(w), 6)) for w in raw]

    def ours():
        return [model.wrench(x, out=o) for x, o in zip(raw, out, strict=True)]

    def numpy():
        return [(x - model.zero) @ matrix.T for x in raw]

    result = measure(
        {"lab": numpy, "floor": lambda: read_and_write(raw, out), "ours": ours}[role],
        group="wrench",
        case=f"8 raw channels to wrench, {simulation.rate_hz:g} Hz",
        role=role,
        values=len(raw) * len(simulation.trial),
        duration_s=simulation.trial.duration_s,
        counted="frame of a plate",
    )
    if role == "ours":
        np.testing.assert_allclose(result[0][:2000], numpy()[0][:2000], atol=1e-8)
