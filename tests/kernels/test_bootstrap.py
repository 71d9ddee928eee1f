"""The bootstrap kernel against a naive version, and its contract: buffers, read-only input, checks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancecore._ext import _bootstrap

# Both add the same numbers in another order: a few units in the last place of the sum of magnitudes.
ROUNDING = 1e-13


def naive_block_sums(values, length):
    n = len(values)
    return np.array([values[(start + np.arange(length)) % n].sum(axis=0) for start in range(n)])


def naive_replicate_sums(values, length, starts):
    """Write every replicate out row by row, cut it to n rows and add them."""
    n = len(values)
    rows = (starts[:, :, None] + np.arange(length)) % n
    return np.array([values[replicate.ravel()[:n]].sum(axis=0) for replicate in rows])


def replicate_sums(values, length, starts):
    full, last = np.empty_like(values), np.empty_like(values)
    out = np.full((values.shape[1], len(starts)), np.nan)
    _bootstrap.circular_block_sums(values, length, full)
    _bootstrap.circular_block_sums(values, len(values) - (starts.shape[1] - 1) * length, last)
    _bootstrap.resample_sums(full, last, starts, out, np.empty((len(values), 4)))
    return out.T


def random_starts(rng, n, n_boot, length):
    return rng.integers(0, n, size=(n_boot, -(-n // length)), dtype=np.int64)


@given(
    n=st.integers(1, 40),
    m=st.integers(1, 19),
    length=st.integers(1, 40),
    n_boot=st.integers(0, 6),
    seed=st.integers(0, 1000),
)
def test_replicates_agree_with_the_naive_version(n, m, length, n_boot, seed):
    rng = np.random.default_rng(seed)
    length = min(length, n)
    values = rng.normal(size=(n, m))
    starts = random_starts(rng, n, n_boot, length)
    expected = naive_replicate_sums(values, length, starts).reshape(n_boot, m)
    np.testing.assert_allclose(replicate_sums(values, length, starts), expected, rtol=0, atol=ROUNDING * n)


@pytest.mark.parametrize("length", [0, 1, 3, 7])
def test_block_sums_agree_with_the_naive_version(length):
    values = np.random.default_rng(1).normal(size=(7, 5))
    out = np.full((7, 5), np.nan)
    _bootstrap.circular_block_sums(values, length, out)
    np.testing.assert_allclose(out, naive_block_sums(values, length), rtol=0, atol=ROUNDING)


def test_whole_numbers_are_summed_exactly():
    rng = np.random.default_rng(2)
    values = rng.integers(0, 2, size=(100, 4)).astype(float)
    starts = random_starts(rng, 100, 50, 5)
    np.testing.assert_array_equal(replicate_sums(values, 5, starts), naive_replicate_sums(values, 5, starts))


def test_a_huge_value_spoils_only_its_own_blocks():
    values = np.ones((12, 1))
    values[5] = 1e300
    out = np.empty((12, 1))
    _bootstrap.circular_block_sums(values, 3, out)
    clean = np.setdiff1d(np.arange(12), [3, 4, 5])
    assert (out[clean] == 3.0).all()


def test_input_may_be_read_only_and_stays_untouched():
    values = np.random.default_rng(3).normal(size=(9, 2))
    starts = random_starts(np.random.default_rng(4), 9, 5, 3)
    before = values.copy(), starts.copy()
    values.flags.writeable = starts.flags.writeable = False
    full, out = np.empty((9, 2)), np.full((2, 5), np.nan)
    assert _bootstrap.circular_block_sums(values, 3, full) is None
    full.flags.writeable = False
    assert _bootstrap.resample_sums(full, full, starts, out, np.empty((9, 4))) is None
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(starts, before[1])


def test_wrong_shapes_are_refused():
    values, starts, work = np.ones((6, 2)), np.zeros((3, 2), dtype=np.int64), np.empty((6, 4))
    with pytest.raises(ValueError, match="out is 5 x 2"):
        _bootstrap.circular_block_sums(values, 2, np.empty((5, 2)))
    with pytest.raises(ValueError, match="not between"):
        _bootstrap.circular_block_sums(values, 7, np.empty((6, 2)))
    with pytest.raises(ValueError, match="last is"):
        _bootstrap.resample_sums(values, np.ones((6, 1)), starts, np.empty((2, 3)), work)
    with pytest.raises(ValueError, match="out is"):
        _bootstrap.resample_sums(values, values, starts, np.empty((3, 2)), work)
    with pytest.raises(ValueError, match="work is 5 x 4"):
        _bootstrap.resample_sums(values, values, starts, np.empty((2, 3)), np.empty((5, 4)))
    with pytest.raises(ValueError, match="at least one block"):
        _bootstrap.resample_sums(values, values, np.zeros((3, 0), dtype=np.int64), np.empty((2, 3)), work)


@pytest.mark.parametrize("start", [-1, 6, 2**62])
def test_a_start_outside_the_rows_is_refused(start):
    values, starts = np.ones((6, 2)), np.zeros((3, 2), dtype=np.int64)
    starts[2, 1] = start
    with pytest.raises(IndexError, match="outside the 6 rows"):
        _bootstrap.resample_sums(values, values, starts, np.empty((2, 3)), np.empty((6, 4)))


@pytest.mark.parametrize("bad", [np.ones((4, 2), dtype=np.float32), np.asfortranarray(np.ones((4, 2)))])
def test_other_layouts_and_types_are_refused(bad):
    with pytest.raises(ValueError, match=r"mismatch|contiguous"):
        _bootstrap.circular_block_sums(bad, 2, np.empty((4, 2)))
