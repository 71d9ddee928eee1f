"""Where `analyze_gait` and the lab script spend their time, as Markdown tables.

Stages are timed by wrapping functions in place, outermost only: CPU time, best of several runs. What no stage covers
is "rest".
"""

# ruff: noqa: E402
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import time
from collections import defaultdict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

import balancecore.gait
import lab_script as lab
from balancecore import contacts, gait, simulate

RUNS = 5
RATES_HZ = (1000, 10000)
OURS: tuple[tuple[ModuleType, str, str], ...] = (
    (gait, "take_in", "input checks, sum of the belts"),
    (contacts, "look", "coarse pass: envelope, gait"),
    (contacts, "_raw_virtual", "50 Hz filter of the detection channel"),
    (contacts, "_with_baseline", "aerial baseline, all channels (twice)"),
    (contacts, "body_weight", "body weight (twice)"),
    (contacts, "_with_contacts", "detector (twice)"),
    (contacts, "_timed", "crossings on the 200 Hz copy"),
    (gait, "measure", "filter around contacts, per-contact metrics"),
    (gait, "build_table", "columns across contacts, flags"),
    (gait, "_curves", "mean stance curves"),
    (gait, "_waveforms", "waveform symmetry"),
    (gait, "_summary", "means and SDs of the limbs"),
    (gait, "assess", "quality checks"),
    (gait, "compare_limbs", "symmetry with intervals"),
)
LAB: tuple[tuple[ModuleType, str, str], ...] = (
    (lab, "filter_belt", "50 Hz filter of all 12 channels"),
    (lab, "sum_belts", "sum of the belts"),
    (lab, "threshold", "threshold"),
    (lab, "step_table", "loop over the steps"),
    (lab, "symmetry", "symmetry with intervals"),
)


def stages(call: Callable[[], Any], wrapped: tuple[tuple[ModuleType, str, str], ...]) -> dict[str, float]:
    """Best total and, from that run, the seconds of each stage."""
    best: dict[str, float] = {}
    spent: dict[str, float] = defaultdict(float)
    depth = 0

    def timed(function: Callable[..., Any], label: str) -> Callable[..., Any]:
        def inner(*args: Any, **kwargs: Any) -> Any:
            nonlocal depth
            depth += 1
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                depth -= 1
                if depth == 0:
                    spent[label] += time.process_time() - start

        return inner

    originals = [(module, name, getattr(module, name)) for module, name, _ in wrapped]
    for (module, name, function), (_, _, label) in zip(originals, wrapped, strict=True):
        setattr(module, name, timed(function, label))
    try:
        for _ in range(RUNS):
            spent.clear()
            start = time.process_time()
            call()
            total = time.process_time() - start
            if not best or total < best["total"]:
                best = {**spent, "rest": total - sum(spent.values()), "total": total}
    finally:
        for module, name, function in originals:
            setattr(module, name, function)
    return best


def table(
    head: str, wrapped: tuple[tuple[ModuleType, str, str], ...], columns: dict[int, dict[str, float]]
) -> str:
    lines = [f"| {head} | " + " | ".join(f"{rate} Hz, ms" for rate in columns) + " |"]
    lines.append("|---|" + "---|" * len(columns))
    for label in [*dict.fromkeys(label for _, _, label in wrapped), "rest", "total"]:
        cells = [f"{1e3 * found.get(label, 0.0):.1f}" for found in columns.values()]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    small = os.environ.get("BALANCECORE_BENCH_SMALL") == "1"
    ours: dict[int, dict[str, float]] = {}
    theirs: dict[int, dict[str, float]] = {}
    for rate in RATES_HZ:
        sim = simulate.treadmill(
            duration_s=8.0 if small else 600.0, rate_hz=float(rate), noise_n=3.0, step_jitter=0.02, seed=1
        )
        trial, belts = sim.trial, sim.wrenches
        origins = np.array([plate.origin_m for plate in trial.plates])
        ours[rate] = stages(lambda: balancecore.gait.analyze_gait(trial, mass_kg=70.0, speed_m_s=3.0), OURS)  # noqa: B023
        theirs[rate] = stages(
            lambda: lab.analyse(belts, origins, rate_hz=float(rate), mass_kg=70.0, speed_m_s=3.0),  # noqa: B023
            LAB,
        )
    print(table("balancecore", OURS, ours))
    print()
    print(table("lab script", LAB, theirs))


if __name__ == "__main__":
    main()
