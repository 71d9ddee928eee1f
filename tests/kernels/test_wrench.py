"""The wrench kernels against plain loops, and their contract with the caller's buffers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancecore._ext import _wrench

from . import reference

#: Rounding of sums of some dozen products.
RTOL = 1e-12
LEAST_N = 20.0


def columns(matrix):
    return np.ascontiguousarray(matrix.T)


def loads(n, seed):
    """Wrenches with frames on either side of the limit, exactly on it, and upside down."""
    rng = np.random.default_rng(seed)
    wrench = rng.normal(0.0, 50.0, size=(n, 6))
    wrench[:, 2] = rng.choice([0.0, LEAST_N, np.nextafter(LEAST_N, 0.0), 30.0, 800.0, -800.0], size=n)
    return wrench


def same(actual, expected, scale):
    """Equal within rounding, NaN at the same places."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=RTOL * scale)


@given(
    n=st.integers(0, 40),
    m=st.integers(1, 20),
    single=st.booleans(),
    step=st.integers(1, 3),
    across=st.booleans(),
    add=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_matrix_times_channels(n, m, single, step, across, add, seed):
    """Any number of channels, any strides, both float types, read-only; and nothing of the caller's is touched."""
    rng = np.random.default_rng(seed)
    store = rng.normal(2.0, 3.0, size=(n * step, m + 4)).astype(np.float32 if single else np.float64)
    raw = (np.asfortranarray(store) if across else store)[::step, 2 : 2 + m]
    raw.flags.writeable = False
    matrix, zero = rng.normal(0.0, 100.0, size=(6, m)), rng.normal(0.0, 1.0, size=m)
    out = rng.normal(0.0, 100.0, size=(n, 6)) if add else np.full((n, 6), np.nan)
    before, kept = out.copy(), store.copy()
    _wrench.to_wrench(raw, zero, columns(matrix), add, out)
    expected = reference.to_wrench(raw, zero, matrix)
    same(out, before + expected if add else expected, m * 1e4)
    np.testing.assert_array_equal(store, kept)


def test_a_matrix_may_be_applied_in_place():
    wrench = loads(50, 1)
    matrix = np.random.default_rng(2).normal(size=(6, 6))
    expected = reference.to_wrench(wrench, np.zeros(6), matrix)
    _wrench.to_wrench(wrench, np.zeros(6), columns(matrix), False, wrench)
    same(wrench, expected, 1e4)


@given(n=st.integers(0, 60), seed=st.integers(0, 1000), holes=st.integers(0, 5))
def test_centre_of_pressure_and_free_moment(n, seed, holes):
    wrench = loads(n, seed)
    rng = np.random.default_rng(seed)
    for _ in range(min(holes, n)):
        wrench[rng.integers(n), rng.integers(6)] = np.nan
    wrench.flags.writeable = False
    origin = rng.normal(size=3)
    cop, free_moment = np.full((n, 3), 7.0), np.full(n, 7.0)
    _wrench.pressure_centre(wrench, origin, LEAST_N, cop, free_moment)
    expected = reference.centre_of_pressure(wrench, origin, LEAST_N)
    same(cop, expected[0], 100.0)
    same(free_moment, expected[1], 1e4)


@pytest.mark.parametrize("shift", range(8))
def test_a_long_record_has_the_bits_of_its_parts(shift):
    """Results too many for the cache take another way there, line by line; the buffers may lie anywhere."""
    n = _wrench.MANY_FRAMES + 13
    wrench, origin = loads(n, 7), np.array([0.3, -0.2, 0.1])
    around = np.full(3 * n + 16, 7.0), np.full(n + 16, 7.0)
    inner = slice(8 + shift, 8 + shift + 3 * n), slice(8 - shift, 8 - shift + n)
    cop, free_moment = around[0][inner[0]].reshape(n, 3), around[1][inner[1]]
    _wrench.pressure_centre(wrench, origin, LEAST_N, cop, free_moment)
    for whole, mine in zip(around, inner, strict=True):
        assert (np.delete(whole, mine) == 7.0).all()  # nothing beside the buffers
    parts = np.empty((n, 3)), np.empty(n)
    for at in range(0, n, 1000):
        part = slice(at, at + 1000)
        _wrench.pressure_centre(wrench[part], origin, LEAST_N, parts[0][part], parts[1][part])
    np.testing.assert_array_equal(cop, parts[0])
    np.testing.assert_array_equal(free_moment, parts[1])


def test_a_missing_frame_stays_alone():
    raw = np.random.default_rng(3).normal(size=(30, 8))
    raw[11, 3] = np.nan
    raw[20, 0] = np.inf
    out = np.empty((30, 6))
    _wrench.to_wrench(raw, np.zeros(8), np.random.default_rng(4).normal(size=(8, 6)), False, out)
    assert np.flatnonzero(~np.isfinite(out).all(axis=1)).tolist() == [11, 20]


@given(n=st.integers(0, 30), seed=st.integers(0, 1000))
def test_polynomial(n, seed):
    wrench = loads(n, seed)
    wrench[:, 3:5] *= 0.2 * np.abs(wrench[:, 2:3]) / 100.0  # on a plate rather than beside it
    polynomial = np.random.default_rng(seed).normal(0.0, 0.1, size=12)
    expected = reference.correct_centre_of_pressure(wrench, polynomial, LEAST_N)
    scale = np.abs(expected).max(initial=1.0)
    _wrench.correct_pressure_centre(wrench, polynomial, LEAST_N)
    same(wrench, expected, scale)


F = np.zeros


@pytest.mark.parametrize(
    "arguments",
    [
        (F((5, 6)), F(5), F((6, 6)), False, F((5, 6))),
        (F((5, 6)), F(6), F((5, 6)), False, F((5, 6))),
        (F((5, 6)), F(6), F((6, 5)), False, F((5, 6))),
        (F((5, 6)), F(6), F((6, 6)), False, F((4, 6))),
        (F((5, 6)), F(6), F((6, 6)), False, F((5, 5))),
        (F((5, 0)), F(0), F((0, 6)), False, F((5, 6))),
    ],
)
def test_shapes_that_do_not_fit_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must|needed"):
        _wrench.to_wrench(*arguments)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (_wrench.pressure_centre, (F((5, 5)), F(3), 20.0, F((5, 3)), F(5))),
        (_wrench.pressure_centre, (F((5, 6)), F(2), 20.0, F((5, 3)), F(5))),
        (_wrench.pressure_centre, (F((5, 6)), F(3), 20.0, F((4, 3)), F(5))),
        (_wrench.pressure_centre, (F((5, 6)), F(3), 20.0, F((5, 2)), F(5))),
        (_wrench.pressure_centre, (F((5, 6)), F(3), 20.0, F((5, 3)), F(6))),
        (_wrench.correct_pressure_centre, (F((5, 5)), F(12), 20.0)),
        (_wrench.correct_pressure_centre, (F((5, 6)), F(11), 20.0)),
    ],
)
def test_other_shapes_that_do_not_fit_are_refused(call, arguments):
    with pytest.raises(ValueError, match="must"):
        call(*arguments)
