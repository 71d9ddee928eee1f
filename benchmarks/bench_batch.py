"""A batch of generated trials: two processes beside one, each batch started from nothing.

Run as a program it makes 200 trials and prints the ratio: ``python benchmarks/bench_batch.py [TRIALS]``. Under pytest a
few trials show that it runs; the table of `compare` has no such case, because a batch uses all cores on purpose.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import balancecore as bc
from balancecore.trial import CHANNELS

TRIALS = 200
#: A minute of running a trial: 160 contacts.
DURATION_S = 60.0


def make_trials(folder: Path, count: int, duration_s: float) -> None:
    """Runs on two belts of six channels at 1 kHz, each with noise of its own."""
    for seed in range(count):
        sim = bc.simulate.treadmill(duration_s=duration_s, noise_n=3.0, step_jitter=0.02, seed=seed)
        wrenches = np.hstack([plate.wrench for plate in sim.trial.plates])
        np.save(folder / f"run{seed:04d}.npy", wrenches.astype(np.float32))


def run(folder: Path, workers: int) -> tuple[bc.BatchResult, float]:
    """A batch, and the seconds it took with the start of its processes."""
    columns = [dict(zip(CHANNELS, range(first, first + 6), strict=True)) for first in (0, 6)]
    start = time.perf_counter()
    found = bc.analyze_many(
        folder, workers=workers, rate_hz=1000.0, columns=columns, sides=["L", "R"], mass_kg=70.0
    )
    return found, time.perf_counter() - start


def bench_batch(tmp_path: Path) -> None:
    make_trials(tmp_path, 3, 8.0)
    one, _ = run(tmp_path, 1)
    two, _ = run(tmp_path, 2)
    assert set(one.trials["status"]) == {"ok"}
    assert one.steps["tc"].tolist() == two.steps["tc"].tolist()


def spin(n: int) -> int:
    """Work that shares nothing with anybody."""
    total = 0
    for k in range(n):
        total += k * k
    return total


def spinning(workers: int) -> float:
    """Seconds for the same bare loops in one process or more: what the machine has to give at the moment."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pool.submit(int).result()
        start = time.perf_counter()
        list(pool.map(spin, [2_000_000] * 32))
        return time.perf_counter() - start


def cpu_s() -> float:
    """CPU time of this process and of those that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main() -> None:
    """Print seconds and ratio."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    walls, cpus, loops, tables = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        make_trials(Path(folder), count, DURATION_S)
        for workers in (1, 2):
            loops.append(spinning(workers))
            before = cpu_s()
            found, wall = run(Path(folder), workers)
            cpus.append(cpu_s() - before)
            walls.append(wall)
            tables.append(found)
    assert set(tables[0].trials["status"]) == {"ok"}
    assert tables[0].steps["tc"].tolist() == tables[1].steps["tc"].tolist()
    print(f"{count} trials of {DURATION_S:g} s, {len(tables[0].steps)} contacts")
    for workers in (1, 2):
        print(f"{workers} processes: {walls[workers - 1]:.1f} s, CPU time {cpus[workers - 1]:.1f} s")
    print(
        f"ratio {walls[0] / walls[1]:.2f}; of bare loops on this machine at the same time {loops[0] / loops[1]:.2f}"
    )


if __name__ == "__main__":
    main()
