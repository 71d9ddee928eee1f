"""A running signal in blocks: `GaitStream` beside the least that a script does live, SciPy's `sosfilt` and a level.

The script's filter runs forward only and its events are late by that filter; it measures nothing. So this is no race
for the same result, but a scale for the cost of a block. The Numba version does the same in one compiled call a
block, and the floor reads the block once.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import signal

import balancecore as bc

from .conftest import MASS_KG, SMALL, SPEED_M_S, read_once, roles

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


class Jitted:
    """The same through `numba_script.live`."""

    def __init__(self, rate_hz, n_channels):
        from . import numba_script

        self.live = numba_script.live
        self.section = signal.butter(2, 50.0, fs=rate_hz, output="sos")[0]
        self.state = np.zeros((2, n_channels))
        self.loaded, self.count, self.seen = False, 0, 0
        self.room = np.empty(100_000, dtype=np.int64)

    @property
    def events(self):
        return self.room[: self.count].tolist()

    def push(self, frames):
        self.loaded, self.count = self.live(
            frames, self.section, self.state, self.loaded, self.seen, LEVEL_N, self.room, self.count
        )
        self.seen += len(frames)
        return ()


class Floor:
    events = ()

    def push(self, frames):
        read_once(frames)
        return ()


@roles("lab", "numba", "floor")
@pytest.mark.parametrize("size", [10, 100])
def bench_blocks(simulation, measure, benchmark, role, size):
    trial = simulation.trial
    n = min(len(trial), round(SECONDS * trial.rate_hz))
    frames = np.hstack([plate.wrench[:n] for plate in trial.plates])
    pushes, completing = [], []

    def run():
        if role == "floor":
            sink = Floor()
        elif role != "ours":
            sink = {"lab": Script, "numba": Jitted}[role](trial.rate_hz, 12)
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
    benchmark.extra_info["push_us"] = [1e6 * float(q) for q in np.percentile(pushes, (50, 99))]
    if role == "ours":
        benchmark.extra_info["completing_us"] = [1e6 * float(q) for q in np.percentile(completing, (50, 99))]
        assert len(completing) > 15
    elif role == "lab":
        assert len(sink.events) > 30
    elif role == "numba":
        script = Script(trial.rate_hz, 12)
        for k in range(0, n, size):
            script.push(frames[k : k + size])
        assert sink.events == script.events
