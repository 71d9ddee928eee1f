"""A running signal in blocks: `GaitStream` beside the least that a script does live, SciPy's `sosfilt` and a level.

The script's filter runs forward only and its events are late by that filter; it measures nothing. So this is no race
for the same result, but a scale for the cost of a block.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import signal

import balancecore as bc

from .conftest import MASS_KG, SMALL, SPEED_M_S

LEVEL_N = 20.0
#: Length of the signal that is pushed, s: the whole of it where the numbers count.
SECONDS = 8.0 if SMALL else 60.0


class Script:
    """Forward filter of all channels with its state carried, threshold on the summed vertical force."""

    def __init__(self, rate_hz, n_channels):
        self.sos = signal.butter(2, 50.0, fs=rate_hz, output="sos")
        self.state = np.zeros((len(self.sos), 2, n_channels))
        self.loaded = False
        self.events = []
        self.seen = 0

    def push(self, frames):
        smooth, self.state = signal.sosfilt(self.sos, frames, axis=0, zi=self.state)
        loaded = smooth[:, 2] + smooth[:, 8] >= LEVEL_N
        change = np.flatnonzero(np.diff(loaded, prepend=self.loaded))
        self.events += (self.seen + change).tolist()
        self.loaded = bool(loaded[-1])
        self.seen += len(frames)
        return ()


@pytest.mark.parametrize("size", [10, 100])
@pytest.mark.parametrize("role", ["lab", "ours"])
def bench_blocks(simulation, measure, benchmark, role, size):
    trial = simulation.trial
    n = min(len(trial), round(SECONDS * trial.rate_hz))
    frames = np.hstack([plate.wrench[:n] for plate in trial.plates])
    pushes, completing = [], []

    def run():
        if role == "lab":
            sink = Script(trial.rate_hz, 12)
        else:
            sink = bc.GaitStream(
                trial.layout, rate_hz=trial.rate_hz, mass_kg=MASS_KG, speed_m_s=SPEED_M_S, n_boot=0
            )
        pushes.clear()
        completing.clear()
        clock = time.perf_counter
        for k in range(0, n, size):
            block = frames[k : k + size]
            start = clock()
            steps = sink.push(block)
            taken = clock() - start
            (completing if steps else pushes).append(taken)
        return sink

    sink = measure(
        run,
        group="stream",
        case=f"blocks of {size} frames, {trial.rate_hz:g} Hz",
        role=role,
        values=12 * n,
        duration_s=n / trial.rate_hz,
    )
    benchmark.extra_info["median_push_us"] = 1e6 * float(np.median(pushes))
    if role == "ours":
        benchmark.extra_info["median_completing_push_us"] = 1e6 * float(np.median(completing))
        print(
            f"\n{trial.rate_hz:g} Hz, {size} frames: push {1e6 * np.median(pushes):.1f} us, "
            f"completing a step {1e6 * np.median(completing):.0f} us"
        )
        assert len(completing) > 15
    else:
        assert len(sink.events) > 30
