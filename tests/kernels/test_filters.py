"""The zero-phase kernel against SciPy, and its contract with the caller's buffers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from balancecore._ext import _filters
from balancecore.filters import lowpass, zero_phase

RATE_HZ = 1000.0
EPS = np.finfo(np.float64).eps


def tolerance(x, relative_cutoff):
    """Rounding of a recursion grows with its memory: the poles lie about fc/fs from the unit circle, and two
    integrations multiply what each sample loses."""
    return max(1e-12, 0.1 * EPS / relative_cutoff**2) * np.abs(x).max()


def design(order, relative_cutoff):
    return signal.butter(order, relative_cutoff, fs=1.0, output="sos")


def run_kernel(x, sos, padlen):
    out = np.full(x.shape, np.nan)
    scratch = np.full((2 * padlen + 1, x.shape[1]), np.nan)
    _filters.zero_phase(x, sos, signal.sosfilt_zi(sos), padlen, out, scratch)
    return out


def random_signal(n, m, seed=0):
    """Noise on a load far from zero, so that a wrong start-up would show."""
    return np.random.default_rng(seed).normal(700.0, 300.0, size=(n, m))


@given(
    n=st.integers(1, 400),
    m=st.integers(1, 13),
    order=st.integers(1, 8),
    relative_cutoff=st.floats(0.005, 0.45),
    pad=st.floats(0.0, 1.0),
    seed=st.integers(0, 1000),
)
def test_it_equals_scipy(n, m, order, relative_cutoff, pad, seed):
    x, sos, padlen = random_signal(n, m, seed), design(order, relative_cutoff), round(pad * (n - 1))
    expected = signal.sosfiltfilt(sos, x, axis=0, padtype="odd", padlen=padlen)
    atol = tolerance(x, relative_cutoff)
    np.testing.assert_allclose(run_kernel(x, sos, padlen), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("m", [1, 2, 4, 64])
@pytest.mark.parametrize("order", [2, 16])
def test_the_largest_sizes_that_the_kernel_takes(m, order):
    x, sos = random_signal(300, m), design(order, 0.1)
    expected = signal.sosfiltfilt(sos, x, axis=0, padtype="odd", padlen=60)
    np.testing.assert_allclose(run_kernel(x, sos, 60), expected, rtol=0, atol=tolerance(x, 0.1))


@pytest.mark.parametrize("m", [1, 3])
def test_one_channel_does_not_depend_on_the_others(m):
    x, sos = random_signal(200, 7), design(2, 0.06)
    together = run_kernel(x, sos, 50)
    alone = run_kernel(np.ascontiguousarray(x[:, :m]), sos, 50)
    np.testing.assert_array_equal(alone, together[:, :m])


@pytest.mark.parametrize("m", [1, 6])
def test_a_constant_has_no_transient(m):
    x = np.full((100, m), 686.0)
    np.testing.assert_allclose(run_kernel(x, design(2, 0.06), 50), x, rtol=0, atol=tolerance(x, 0.06))


def layouts(x):
    """The same numbers in other places of memory."""
    n, m = x.shape
    wide = np.zeros((n, 2 * m))
    wide[:, ::2] = x
    padded = np.zeros((n, m + 3))
    padded[:, 2 : 2 + m] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    return {
        "read-only": read_only,
        "every other column": wide[:, ::2],
        "a slice of columns": padded[:, 2 : 2 + m],
        "Fortran order": np.asfortranarray(x),
        "every third row": np.repeat(x, 3, axis=0)[::3],
        "backwards rows": x[::-1].copy()[::-1],
        "backwards columns": x[:, ::-1].copy()[:, ::-1],
        "one row many times": np.broadcast_to(x[:1], x.shape),
    }


@pytest.mark.parametrize("m", [1, 6])
@pytest.mark.parametrize("layout", list(layouts(np.zeros((2, 1)))))
def test_input_may_lie_anywhere_and_stays_untouched(m, layout):
    x, sos = layouts(random_signal(150, m))[layout], design(2, 0.06)
    before = x.copy()
    out = run_kernel(x, sos, 50)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(out, run_kernel(before, sos, 50))


@pytest.mark.parametrize("m", [1, 6])
def test_the_callers_out_is_written_and_nothing_beside_it(m):
    x, sos = random_signal(150, m), design(2, 0.06)
    memory = np.full((152, m), -1.0)
    scratch = np.full((103, m), -1.0)
    assert _filters.zero_phase(x, sos, signal.sosfilt_zi(sos), 50, memory[1:-1], scratch[1:-1]) is None
    np.testing.assert_array_equal(memory[1:-1], run_kernel(x, sos, 50))
    assert (memory[[0, -1]] == -1.0).all()
    assert (scratch[[0, -1]] == -1.0).all()


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.astype(np.float32),
        lambda x: x.astype(">f8"),
        lambda x: x.astype("<i4"),
        lambda x: x.astype(np.float16),
        lambda x: x.tolist(),
    ],
    ids=["float32", "big-endian", "int32", "float16", "list"],
)
def test_the_public_function_converts(convert):
    x, filtered = convert(random_signal(150, 3)), lowpass(60.0, RATE_HZ)
    exact = np.array(x, dtype=np.float64)
    result = zero_phase(x, filtered.sos, padlen=filtered.padding)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, zero_phase(exact, filtered.sos, padlen=filtered.padding))
    np.testing.assert_array_equal(np.array(x, dtype=np.float64), exact)


@pytest.mark.parametrize("bad", [np.float32, ">f8", np.int64])
def test_the_kernel_refuses_other_types(bad):
    with pytest.raises(ValueError, match=r"mismatch|not little-endian|Big-endian"):
        run_kernel(np.ones((100, 2)).astype(bad), design(2, 0.06), 50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out": np.empty((99, 2))}, "wrong shape"),
        ({"out": np.empty((100, 3))}, "wrong shape"),
        ({"scratch": np.empty((100, 2))}, "wrong shape"),
        ({"scratch": np.empty((101, 1))}, "wrong shape"),
        ({"zi": np.zeros((2, 2))}, r"zi \(n_sections, 2"),
        ({"zi": np.zeros((1, 3))}, r"zi \(n_sections, 2"),
        ({"sos": np.zeros((1, 5))}, "sos must be"),
        ({"sos": np.zeros((0, 6)), "zi": np.zeros((0, 2))}, "a section"),
        ({"sos": np.zeros((9, 6)), "zi": np.zeros((9, 2))}, "too many sections"),
        ({"padlen": -1}, "longer than the padding"),
        ({"padlen": 100, "scratch": np.empty((201, 2))}, "longer than the padding"),
        ({"x": np.ones((0, 2)), "out": np.empty((0, 2)), "padlen": 0}, "longer than the padding"),
        ({"x": np.ones((100, 0)), "out": np.empty((100, 0)), "scratch": np.empty((101, 0))}, "a channel"),
        ({"x": np.ones((100, 65)), "out": np.empty((100, 65)), "scratch": np.empty((101, 65))}, "channels"),
    ],
)
def test_wrong_shapes_are_refused(change, message):
    sos = design(2, 0.06)
    given_ = {"x": np.ones((100, 2)), "sos": sos, "zi": signal.sosfilt_zi(sos), "padlen": 50}
    given_ |= {"out": np.empty((100, 2)), "scratch": np.empty((101, 2))}
    with pytest.raises(ValueError, match=message):
        _filters.zero_phase(**(given_ | change))


def test_read_only_out_is_refused():
    x, sos = np.ones((100, 2)), design(2, 0.06)
    out = np.empty((100, 2))
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        _filters.zero_phase(x, sos, signal.sosfilt_zi(sos), 50, out, np.empty((101, 2)))


# ---------------------------------------------------------------------------------------------------------------
# One pass over blocks of a running signal


def run_blocks(x, sos, cuts, zi=None):
    state = np.zeros((len(sos), 2, x.shape[1])) if zi is None else zi.copy()
    out = np.full(x.shape, np.nan)
    edges = [0, *sorted(cuts), len(x)]
    for low, high in itertools.pairwise(edges):
        _filters.filter_block(x[low:high], sos, state, out[low:high])
    return out, state


@given(
    n=st.integers(1, 120),
    m=st.integers(1, 13),
    order=st.integers(1, 8),
    cuts=st.lists(st.integers(0, 120), max_size=5),
    seed=st.integers(0, 1000),
)
def test_blocks_equal_scipy_and_the_cut_changes_no_bit(n, m, order, cuts, seed):
    x, sos = random_signal(n, m, seed), design(order, 0.1)
    seeded = np.multiply.outer(signal.sosfilt_zi(sos), x[0])
    for zi in (np.zeros_like(seeded), seeded):
        expected, expected_state = signal.sosfilt(sos, x, axis=0, zi=zi)
        whole, whole_state = run_blocks(x, sos, [], zi)
        np.testing.assert_allclose(whole, expected, rtol=0, atol=tolerance(x, 0.1))
        np.testing.assert_allclose(whole_state, expected_state, rtol=0, atol=tolerance(x, 0.1))
        out, state = run_blocks(x, sos, [min(c, n) for c in cuts], zi)
        np.testing.assert_array_equal(out, whole)
        np.testing.assert_array_equal(state, whole_state)


@pytest.mark.parametrize("m", [1, 6])
def test_blocks_may_be_read_only_or_filtered_in_place(m):
    x, sos = random_signal(60, m), design(2, 0.1)
    x.flags.writeable = False
    before = x.copy()
    expected, _ = run_blocks(x, sos, [7])
    np.testing.assert_array_equal(x, before)
    own = x.copy()
    _filters.filter_block(own, sos, np.zeros((len(sos), 2, m)), own)
    np.testing.assert_array_equal(own, expected)


@pytest.mark.parametrize(
    "change",
    [
        {"sos": np.ones((1, 5))},
        {"sos": np.empty((0, 6))},
        {"state": np.zeros((2, 2, 3))},
        {"state": np.zeros((1, 1, 3))},
        {"state": np.zeros((1, 2, 2))},
        {"out": np.zeros((9, 3))},
        {"out": np.zeros((10, 2))},
    ],
)
def test_blocks_of_wrong_shapes_are_refused(change):
    arguments = {
        "x": np.zeros((10, 3)),
        "sos": design(2, 0.1),
        "state": np.zeros((1, 2, 3)),
        "out": np.zeros((10, 3)),
    }
    with pytest.raises(ValueError, match="must"):
        _filters.filter_block(**(arguments | change))
