"""Data and measuring for the benchmarks; `python benchmarks/compare.py` runs them and prints the table.

BALANCECORE_BENCH_SMALL=1 shrinks everything to a smoke run of a few seconds, whose numbers mean nothing.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

# One core: both sides may otherwise borrow others through BLAS. Before NumPy is loaded, or it has no effect.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import importlib.util
import pkgutil
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from balancecore import simulate

from . import lab_script as lab
from .compare import RATIOS

SMALL = os.environ.get("BALANCECORE_BENCH_SMALL") == "1"
RATES_HZ = (1000, 2000, 10000)
DURATION_S = 8.0 if SMALL else 600.0
N_BOOT = 100 if SMALL else 2000
MASS_KG = 70.0
SPEED_M_S = 3.0
#: Wall-clock that another role may take by itself, s, and ours with all others in turn; the number of rounds follows.
BUDGET_S, TURNS_BUDGET_S = (0.02, 0.02) if SMALL else (1.0, 12.0)
ROUNDS, TURNS = ((1, 2), (1, 2)) if SMALL else ((1, 40), (9, 40))


def roles(*names: str) -> pytest.MarkDecorator:
    """Parameter `role` of a case: these and, last, so that it knows all the others' calls, "ours".

    It stands above other parameters, so that it varies fastest and the roles of a case follow each other.
    """
    lacks = pytest.mark.skipif(
        importlib.util.find_spec("numba") is None, reason="no numba: pip install 'balancecore[bench]'"
    )
    marks = {"numba": (lacks,)}
    return pytest.mark.parametrize(
        "role", [pytest.param(n, marks=marks.get(n, ())) for n in (*names, "ours")]
    )


def read_once(*arrays: lab.Array) -> float:
    """The floor of what has to look at each value: one dot product, as fast as memory gives values away."""
    return sum(float(np.dot(flat, flat)) for flat in (a.reshape(-1) for a in arrays))


class Filtered(NamedTuple):
    """What the lab script has before it cuts steps: filtered belts and their sum."""

    left: lab.Array
    right: lab.Array
    total: lab.Array


@pytest.fixture(scope="session", params=RATES_HZ, ids=lambda rate: f"{rate}Hz")
def simulation(request: pytest.FixtureRequest) -> simulate.Simulation:
    """A split-belt run of 12 channels; pytest keeps one rate alive at a time (576 MB at 10 kHz)."""
    return simulate.treadmill(
        duration_s=DURATION_S,
        rate_hz=float(request.param),
        mass_kg=MASS_KG,
        speed_m_s=SPEED_M_S,
        noise_n=3.0,
        step_jitter=0.02,
        seed=1,
    )


@pytest.fixture(scope="session")
def origins(simulation: simulate.Simulation) -> lab.Array:
    return np.array([plate.origin_m for plate in simulation.trial.plates])


@pytest.fixture(scope="session")
def filtered(simulation: simulate.Simulation, origins: lab.Array) -> Filtered:
    sos, padlen = lab.design(simulation.rate_hz), int(np.ceil(3.0 * simulation.rate_hz / 50.0))
    left, right = (lab.filter_belt(w, sos, padlen) for w in simulation.wrenches)
    return Filtered(left, right, lab.sum_belts((left, right), origins))


class Rival(NamedTuple):
    """What ours is compared with: a role's call, and how long it took once, s."""

    call: Callable[[], Any]
    once_s: float


@pytest.fixture(scope="session")
def rivals() -> dict[str, dict[str, Rival]]:
    """The other roles of the case at hand: case -> role -> rival."""
    return {}


@pytest.fixture
def measure(
    benchmark: Any, rivals: dict[str, dict[str, Rival]], request: pytest.FixtureRequest
) -> Callable[..., Any]:
    """Time a call in the group of its case; "ours" comes last and has the ratios to the other roles.

    A machine's speed changes from minute to minute, so the other roles run once more each, in turn with every round
    of ours, and the ratios are to these times.
    """
    timer = pkgutil.resolve_name(request.config.getoption("benchmark_timer"))

    def run(
        call: Callable[[], Any],
        *,
        group: str,
        case: str,
        role: str,
        values: int,
        duration_s: float | None = None,
        counted: str = "value",
    ) -> Any:
        if role == "numba":
            call()  # compiles
        start = time.perf_counter()
        result = call()
        once = max(time.perf_counter() - start, 1e-9)
        benchmark.group = f"{group}: {case}"
        benchmark.extra_info |= {
            "group": group,
            "case": case,
            "role": role,
            "values": values,
            "counted": counted,
            "small": SMALL,
        }
        if benchmark.group not in rivals:
            rivals.clear()  # and the data that the last case's calls hold
        others = rivals.setdefault(benchmark.group, {})
        turns: dict[str, list[float]] = {name: [] for name in others} if role == "ours" else {}

        def take_turns() -> None:
            for name, times in turns.items():
                begin = timer()
                others[name].call()
                times.append(timer() - begin)

        budget, limits = (TURNS_BUDGET_S, TURNS) if role == "ours" else (BUDGET_S, ROUNDS)
        rounds = int(np.clip(budget / (once + sum(others[name].once_s for name in turns)), *limits))
        benchmark.pedantic(call, setup=take_turns, rounds=rounds, iterations=1)
        if benchmark.stats is None:  # --benchmark-disable
            return result
        median = benchmark.stats.stats.median
        benchmark.extra_info["ns_per_value"] = 1e9 * median / values
        if duration_s is not None:
            benchmark.extra_info["fraction_of_real_time"] = median / duration_s
        if role != "ours":
            others[role] = Rival(call, once)
            return result
        benchmark.extra_info["in_turn_s"] = turns
        benchmark.extra_info |= {
            RATIOS[name]: float(np.median(times)) / median for name, times in turns.items()
        }
        return result

    return run
