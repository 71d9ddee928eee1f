"""Zero-phase low-pass of whole signals: our kernel beside scipy.signal.sosfiltfilt, same sections and padding."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from balancecore.filters import lowpass, zero_phase


@pytest.mark.parametrize("channels", [1, 12])
@pytest.mark.parametrize("role", ["lab", "ours"])
def bench_filter(simulation, measure, role, channels):
    rate = simulation.rate_hz
    design = lowpass(50.0, rate)
    belts = [w if channels == 12 else np.ascontiguousarray(w[:, 2]) for w in simulation.wrenches]
    belts = belts[: 1 if channels == 1 else 2]

    def ours():
        return [zero_phase(x, design.sos, padlen=design.padding) for x in belts]

    def scipy():
        return [signal.sosfiltfilt(design.sos, x, axis=0, padlen=design.padding) for x in belts]

    result = measure(
        scipy if role == "lab" else ours,
        group="filter",
        case=f"{channels} channels, {rate:g} Hz",
        role=role,
        values=len(simulation.trial) * channels,
        duration_s=simulation.trial.duration_s,
    )
    if role == "ours":
        np.testing.assert_allclose(result[0][:2000], scipy()[0][:2000], atol=1e-6)
