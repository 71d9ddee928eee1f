"""Zero-phase low-pass of whole signals: our kernel beside scipy.signal.sosfiltfilt, same sections and padding.

The floor is a copy: every value read and written once, into new memory as the filters do.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from balancecore.filters import lowpass, zero_phase

from .conftest import roles


@roles("lab", "numba", "floor")
@pytest.mark.parametrize("channels", [1, 12])
def bench_filter(simulation, measure, role, channels):
    rate = simulation.rate_hz
    design = lowpass(50.0, rate)
    belts = [w if channels == 12 else np.ascontiguousarray(w[:, 2]) for w in simulation.wrenches]
    belts = belts[: 1 if channels == 1 else 2]

    def ours():
        return [zero_phase(x, design.sos, padlen=design.padding) for x in belts]

    def scipy():
        return [signal.sosfiltfilt(design.sos, x, axis=0, padlen=design.padding) for x in belts]

    def numba():
        from . import numba_script

        return [
            numba_script.zero_phase(x.reshape(len(x), -1), design.sos, design.padding).reshape(x.shape)
            for x in belts
        ]

    calls = {"lab": scipy, "numba": numba, "floor": lambda: [x.copy() for x in belts], "ours": ours}
    result = measure(
        calls[role],
        group="filter",
        case=f"{channels} channels, {rate:g} Hz",
        role=role,
        values=len(simulation.trial) * channels,
        duration_s=simulation.trial.duration_s,
    )
    if role in ("numba", "ours"):
        np.testing.assert_allclose(result[0][:2000], scipy()[0][:2000], atol=1e-6)
