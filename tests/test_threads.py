"""Threads change the time that an analysis takes, never a bit of its result."""

import numpy as np
import pytest

import balancecore as bc
from balancecore import simulate
from balancecore.parallel import parts, side_by_side


def same(one, other):
    for name in one.steps.columns:
        np.testing.assert_array_equal(one.steps[name], other.steps[name], err_msg=name)
    np.testing.assert_array_equal(one.curves.mean, other.curves.mean)
    # The options as asked differ in `threads`, by design.
    assert one.symmetry.to_dict() == other.symmetry.to_dict()
    assert one.quality == other.quality


@pytest.mark.parametrize("rate_hz", [1000.0, 3000.0])
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_give_the_same_bits(rate_hz, threads):
    sim = simulate.treadmill(duration_s=20.0, rate_hz=rate_hz, noise_n=3.0, step_jitter=0.02, seed=4)
    wrenches = [p.wrench.copy() for p in sim.trial.plates]
    for start in (0, 2049, 6144, 12288, len(wrenches[0]) - 3):  # gaps across and beside where the work is cut
        wrenches[start % 2][start - 1 : start + 3, 3] = np.nan
    trial = bc.Trial.from_wrenches(wrenches, rate_hz=rate_hz, sides=["L", "R"])
    alone = bc.analyze_gait(trial, mass_kg=70.0, n_boot=50)
    same(alone, bc.analyze_gait(trial, mass_kg=70.0, n_boot=50, threads=threads))


def test_walking_belts_too():
    sim = simulate.treadmill(duration_s=20.0, gait="walk", seed=2)
    alone = bc.analyze_gait(sim.trial, mass_kg=70.0, n_boot=0)
    same(alone, bc.analyze_gait(sim.trial, mass_kg=70.0, n_boot=0, threads=2))


@pytest.mark.parametrize("threads", [0, 257, 1.5, True, None])
def test_no_sensible_number_of_threads_is_refused(threads):
    with pytest.raises(bc.errors.DataError, match="threads"):
        bc.analyze_gait(np.zeros((2000, 6)), rate_hz=1000.0, threads=threads)


@pytest.mark.parametrize(
    ("n", "threads", "unit"), [(0, 3, 1), (1, 4, 1), (10, 3, 1), (1000, 3, 256), (7, 7, 2)]
)
def test_parts_are_whole_units_and_cover_everything_once(n, threads, unit):
    ranges = parts(n, threads, unit)
    assert len(ranges) <= threads
    assert [i for low, high in ranges for i in range(low, high)] == list(range(n))
    assert all(high % unit == 0 for _, high in ranges[:-1])


def test_an_error_in_one_thread_reaches_the_caller():
    def job(first, stop):
        if first:
            raise ValueError(f"at {first}")

    with pytest.raises(ValueError, match="at 5"):
        side_by_side(job, [(0, 5), (5, 10)])
