"""The statistics kernel against a naive version, and its contract: buffers, read-only input, checks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancecore._ext import _statistics

#: The same numbers added in another order: a few units in the last place of the largest.
ROUNDING = 1e-12
#: What rounding leaves of the squares of nearly equal numbers, after the root; of the largest.
ROOT_OF_ROUNDING = 1e-6

VALUES = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 3.0]))


def statistics(rows):
    out = np.full((len(rows), 3), -1.0)
    _statistics.row_statistics(rows, out)
    return out


def settled(rows, tolerance_sd):
    needed = np.full(len(rows), -1, dtype=np.int64)
    _statistics.rows_settled(rows, statistics(rows), tolerance_sd, needed)
    return needed.tolist()


def naive_settled(row, tolerance_sd):
    """Steps after the last one at which the mean so far is too far from that of all."""
    values = row[np.isfinite(row)]
    if not len(values):
        return 1
    so_far = values.cumsum() / np.arange(1, len(values) + 1)
    sd = values.std(ddof=1) if len(values) > 1 else np.nan
    far = np.flatnonzero(np.abs(so_far[:-1] - values.mean()) > tolerance_sd * sd)
    return int(far[-1]) + 2 if len(far) else 1


@given(rows=st.lists(st.lists(VALUES, min_size=9, max_size=9), min_size=1, max_size=5))
def test_statistics_agree_with_the_naive_version(rows):
    rows = np.array(rows)
    for (mean, sd, n), row in zip(statistics(rows).tolist(), rows, strict=True):
        values = row[np.isfinite(row)]
        largest = np.abs(values).max(initial=1.0)
        assert n == len(values)
        wanted = values.mean() if len(values) else np.nan
        assert mean == pytest.approx(wanted, abs=ROUNDING * largest, nan_ok=True)
        wanted = values.std(ddof=1) if len(values) > 1 else np.nan
        assert sd == pytest.approx(wanted, abs=ROOT_OF_ROUNDING * largest, nan_ok=True)


@given(
    seed=st.integers(0, 1000),
    n=st.integers(0, 40),
    missing=st.sampled_from([0.0, 0.3, 1.0]),
    tolerance_sd=st.sampled_from([0.1, 0.25, 1.0]),
)
def test_steps_until_the_mean_settled_agree_with_the_naive_version(seed, n, missing, tolerance_sd):
    rng = np.random.default_rng(seed)
    rows = rng.normal(5.0, 1.0, size=(4, n))
    rows[rng.random(rows.shape) < missing] = np.nan
    assert settled(rows, tolerance_sd) == [naive_settled(row, tolerance_sd) for row in rows]


def test_a_constant_is_its_own_mean_without_spread():
    rows = np.full((1, 1000), 0.1)
    assert statistics(rows).tolist() == [[0.1, 0.0, 1000.0]]
    assert settled(rows, 0.25) == [1]


def test_input_may_be_read_only_and_is_left_alone():
    rows = np.random.default_rng(1).normal(size=(3, 7))
    before = rows.copy()
    rows.flags.writeable = False
    statistics(rows)
    settled(rows, 0.25)
    np.testing.assert_array_equal(rows, before)


def test_buffers_of_the_wrong_shape_are_refused():
    rows = np.ones((3, 7))
    with pytest.raises(ValueError, match=r"\(m, 3\)"):
        _statistics.row_statistics(rows, np.empty((2, 3)))
    with pytest.raises(ValueError, match=r"\(m, 3\)"):
        _statistics.row_statistics(rows, np.empty((3, 2)))
    for known, needed in (((3, 2), 3), ((2, 3), 3), ((3, 3), 4)):
        with pytest.raises(ValueError, match="known"):
            _statistics.rows_settled(rows, np.empty(known), 0.25, np.empty(needed, dtype=np.int64))
