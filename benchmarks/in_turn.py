"""`analyze_gait` and the lab script in turn, in one process, as a Markdown table.

Where the speed of a machine changes within minutes, times that were taken one after another compare two machines. Here
each call of the lab script lies between two of ours, and the ratio is that of its time to the mean of theirs.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lab_script as lab
from balancecore import analyze_gait, simulate

RATES_HZ = (1000, 2000, 10000)
MASS_KG, SPEED_M_S = 70.0, 3.0
SMALL = os.environ.get("BALANCECORE_BENCH_SMALL") == "1"
DURATION_S = 8.0 if SMALL else 600.0
TURNS = 2 if SMALL else 15


def seconds(call: Callable[[], Any]) -> float:
    """CPU time, which other processes can't take away."""
    start = time.process_time()
    call()
    return time.process_time() - start


def in_turn(rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Times of the lab script (TURNS,), and of ours before and after each (TURNS + 1,)."""
    sim = simulate.treadmill(
        duration_s=DURATION_S,
        rate_hz=float(rate_hz),
        mass_kg=MASS_KG,
        speed_m_s=SPEED_M_S,
        noise_n=3.0,
        step_jitter=0.02,
        seed=1,
    )
    trial, belts = sim.trial, sim.wrenches
    origins = np.array([plate.origin_m for plate in trial.plates])

    def ours() -> Any:
        return analyze_gait(trial, mass_kg=MASS_KG, speed_m_s=SPEED_M_S)

    def script() -> Any:
        return lab.analyse(belts, origins, rate_hz=float(rate_hz), mass_kg=MASS_KG, speed_m_s=SPEED_M_S)

    script()
    mine, theirs = [seconds(ours)], []
    for _ in range(TURNS):
        theirs.append(seconds(script))
        mine.append(seconds(ours))
    return np.array(theirs), np.array(mine)


def main() -> None:
    print("| rate | lab script, ms | balancecore, ms | lab / ours, median | quarter to three quarters |")
    print("|---|---|---|---|---|")
    for rate_hz in RATES_HZ:
        theirs, mine = in_turn(rate_hz)
        ratio = theirs / (0.5 * (mine[:-1] + mine[1:]))
        low, middle, high = np.percentile(ratio, (25, 50, 75))
        print(
            f"| {rate_hz} Hz | {1e3 * np.median(theirs):.0f} | {1e3 * np.median(mine):.0f} "
            f"| {middle:.2f} | {low:.2f} to {high:.2f} |"
        )


if __name__ == "__main__":
    main()
