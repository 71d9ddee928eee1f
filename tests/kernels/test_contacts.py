"""The kernels that find contacts, against naive versions and the sequences of the definitions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from balancecore._ext import _contacts
from balancecore.filters import lowpass, zero_phase

from . import reference

# Sums of the same few thousand numbers in another order.
SUM_ROUNDING = 1e-12
# A crossing is one division; the naive version writes it the same way.
CROSSING_ROUNDING = 1e-12
# A cubic evaluated about the same left break, by SciPy in another order.
CUBIC_ROUNDING = 1e-12
# Medians pick values; slopes between knots differ by the rounding of one subtraction.
ROBUST_ROUNDING = 1e-9
# The timing window is filtered from steady state at its own ends: after a margin of three periods of the cut-off
# on either side, the transient has fallen below 1e-6 of the signal's size, here some thousand N.
WINDOW_FORCE_N = 1e-3


# ---------------------------------------------------------------------------------------------------------------
# Intake

ODD_VALUES = (math.nan, math.inf, -math.inf)


def intake(wrench, measured=None, *, block=2, wide=1, group=3, capacity=64, fz_sum=None):
    n = len(wrench)
    measured = np.ones(6, dtype=np.uint8) if measured is None else np.array(measured, dtype=np.uint8)
    total = np.full(n, np.nan) if fz_sum is None else fz_sum
    n_blocks = -(-n // block)
    means, vertical = np.full((-(-n_blocks // wide), 6), -1.0), np.full(n_blocks, -1.0)
    extremes = np.full((-(-n_blocks // group), 2, 6), -1.0)
    gaps = np.full((capacity, 2), -1, dtype=np.int64)
    count = _contacts.intake(
        wrench, measured, total, fz_sum is None, block, vertical, wide, means, group, extremes, gaps
    )
    return count, total, vertical, means, extremes, gaps


def check_intake(wrench, measured, block, wide, group):
    before = wrench.copy()
    wrench.flags.writeable = False
    count, total, vertical, means, extremes, gaps = intake(
        wrench, measured, block=block, wide=wide, group=group
    )
    expected_vertical, expected_means, low, high, runs = reference.intake(
        wrench, np.array(measured), block, wide, group
    )
    np.testing.assert_array_equal(wrench, before)
    np.testing.assert_array_equal(total, wrench[:, 2])
    used = np.flatnonzero(measured)
    size = np.abs(np.nan_to_num(wrench, posinf=0.0, neginf=0.0)).max(initial=1.0)
    np.testing.assert_allclose(means[:, used], expected_means[:, used], rtol=0, atol=SUM_ROUNDING * size)
    if measured[2]:
        np.testing.assert_allclose(vertical, expected_vertical, rtol=0, atol=SUM_ROUNDING * size)
    assert count == len(runs)
    np.testing.assert_array_equal(gaps[:count], runs)
    assert (gaps[count:] == -1).all()
    known = np.isfinite(low)  # a group without any finite value has no extremes
    known[:, np.array(measured) == 0] = False
    np.testing.assert_array_equal(extremes[:, 0][known], low[known])
    np.testing.assert_array_equal(extremes[:, 1][known], high[known])


@given(
    n=st.integers(1, 60),
    block=st.integers(1, 9),
    wide=st.integers(1, 3),
    groups=st.integers(1, 5),
    measured=st.lists(st.integers(0, 1), min_size=6, max_size=6),
    holes=st.lists(
        st.tuples(st.integers(0, 59), st.integers(0, 5), st.sampled_from(ODD_VALUES)), max_size=12
    ),
    seed=st.integers(0, 1000),
)
@example(n=6, block=2, wide=1, groups=3, measured=[1] * 6, holes=[(2, 2, math.inf)], seed=0)
@example(n=6, block=2, wide=1, groups=3, measured=[0, 0, 1, 0, 0, 0], holes=[(2, 1, -math.inf)], seed=0)
def test_intake_agrees_with_the_naive_version(n, block, wide, groups, measured, holes, seed):
    wrench = np.random.default_rng(seed).normal(size=(n, 6))
    for frame, channel, value in holes:
        wrench[frame % n, channel] = value
    check_intake(wrench, measured, block, wide, wide * groups)


@pytest.mark.parametrize("value", ODD_VALUES)
@pytest.mark.parametrize("frame", range(11))
@pytest.mark.parametrize("channel", range(6))
def test_intake_finds_a_gap_at_every_place(value, frame, channel):
    wrench = np.random.default_rng(0).normal(size=(11, 6))
    wrench[frame, channel] = value
    check_intake(wrench, np.ones(6, dtype=int), block=2, wide=2, group=4)


@pytest.mark.parametrize("channel", [0, 1, 3, 4, 5])
def test_a_channel_that_is_not_measured_makes_no_gap(channel):
    wrench = np.random.default_rng(0).normal(size=(11, 6))
    wrench[:, channel] = np.nan
    measured = np.arange(6) != channel
    count, _, _, means, _, _ = intake(wrench, measured)
    assert count == 0
    assert np.isfinite(means[:, measured]).all()


def test_a_plate_is_added_to_the_ones_before():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(10, 6)), rng.normal(size=(10, 6))
    _, total, *_ = intake(first)
    intake(second, fz_sum=total)
    np.testing.assert_array_equal(total, first[:, 2] + second[:, 2])


@pytest.mark.parametrize("capacity", [0, 1, 4, 5, 6])
def test_more_gaps_than_fit_are_counted_and_not_written(capacity):
    wrench = np.zeros((20, 6))
    wrench[1::4, 3] = np.nan  # five gaps of one frame
    memory = np.full((capacity + 1, 2), -7, dtype=np.int64)
    means, extremes = np.empty((10, 6)), np.empty((4, 2, 6))
    count = _contacts.intake(
        wrench,
        np.ones(6, np.uint8),
        np.empty(20),
        True,
        2,
        np.empty(10),
        1,
        means,
        3,
        extremes,
        memory[:capacity],
    )
    assert count == 5
    stored = [[k, k + 1] for k in range(1, 20, 4)][:capacity]
    assert memory[: len(stored)].tolist() == stored
    assert (memory[len(stored) :] == -7).all()


def intake_arguments(n=12):
    return {
        "wrench": np.zeros((n, 6)),
        "measured": np.ones(6, np.uint8),
        "fz_sum": np.zeros(n),
        "first_plate": True,
        "block": 2,
        "vertical": np.zeros(6),
        "wide": 3,
        "means": np.zeros((2, 6)),
        "group": 3,
        "extremes": np.zeros((2, 2, 6)),
        "gaps": np.zeros((4, 2), np.int64),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"wrench": np.zeros((12, 5))},
        {"wrench": np.zeros((11, 6))},
        {"measured": np.ones(5, np.uint8)},
        {"fz_sum": np.zeros(11)},
        {"block": 0},
        {"block": -2},
        {"group": 0},
        {"group": 4},
        {"wide": 0},
        {"wide": 2},
        {"means": np.zeros((1, 6))},
        {"means": np.zeros((2, 5))},
        {"vertical": np.zeros(5)},
        {"extremes": np.zeros((1, 2, 6))},
        {"extremes": np.zeros((2, 1, 6))},
        {"extremes": np.zeros((2, 2, 5))},
        {"gaps": np.zeros((4, 1), np.int64)},
    ],
)
def test_intake_refuses_wrong_shapes(change):
    with pytest.raises(ValueError, match=r"."):
        _contacts.intake(**(intake_arguments() | change))


# ---------------------------------------------------------------------------------------------------------------
# Runs at an extreme


@given(
    values=st.lists(st.integers(0, 2), max_size=60),
    least=st.integers(1, 5),
    span=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    before=st.integers(0, 3),
    capacity=st.integers(0, 12),
)
def test_saturated_runs_agree_with_the_naive_version(values, least, span, before, capacity):
    wrench = np.zeros((len(values), 6))
    wrench[:, 4] = values
    start, stop = sorted(min(v, len(values)) for v in span)
    expected = [
        (a + start, b + start) for a, b in reference.runs_of(wrench[start:stop, 4] == 2.0) if b - a >= least
    ]
    memory = np.full((capacity + 1, 2), -1, dtype=np.int64)
    count = _contacts.saturated_runs(wrench, 4, 2.0, start, stop, least, memory[:capacity], before)
    assert count == before + len(expected)
    kept = expected[: max(capacity - before, 0)]
    assert memory[before : before + len(kept)].tolist() == [list(run) for run in kept]
    assert (memory[:before] == -1).all()
    assert (memory[before + len(kept) :] == -1).all()


@pytest.mark.parametrize(
    "change",
    [
        {"channel": 6},
        {"channel": -1},
        {"start": -1},
        {"stop": 11},
        {"runs": np.empty((4, 1), np.int64)},
        {"n_runs": -1},
    ],
)
def test_saturated_runs_refuse_what_lies_outside(change):
    arguments = {
        "wrench": np.zeros((10, 6)),
        "channel": 2,
        "extreme": 0.0,
        "start": 0,
        "stop": 10,
        "least": 3,
    }
    arguments |= {"runs": np.empty((4, 2), np.int64), "n_runs": 0}
    with pytest.raises(ValueError, match=r"."):
        _contacts.saturated_runs(**(arguments | change))


# ---------------------------------------------------------------------------------------------------------------
# Windows

windows = st.lists(st.tuples(st.integers(0, 49), st.integers(1, 50)), max_size=8)


def bounds(spans, n):
    spans = [(a, min(a + length, n)) for a, length in spans]
    pairs = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def block_means(wrench, block):
    return np.array([wrench[k : k + block].mean(axis=0) for k in range(0, len(wrench), block)])


@given(spans=windows, seed=st.integers(0, 100), block=st.integers(1, 12))
def test_window_means_and_moments_agree_with_numpy(spans, seed, block):
    wrench = np.random.default_rng(seed).normal(5.0, 2.0, size=(50, 6))
    y = wrench[:, 2].copy()
    wrench.flags.writeable = y.flags.writeable = False
    starts, stops = bounds(spans, 50)
    means, moments = np.full((len(starts), 6), np.nan), np.full((len(starts), 3), np.nan)
    _contacts.window_means(wrench, block_means(wrench, block), block, starts, stops, means)
    _contacts.window_moments(y, starts, stops, moments)
    for k, (a, b) in enumerate(zip(starts, stops, strict=True)):
        np.testing.assert_allclose(means[k], wrench[a:b].mean(axis=0), rtol=SUM_ROUNDING)
        expected = [b - a, y[a:b].sum(), (y[a:b] ** 2).sum()]
        np.testing.assert_allclose(moments[k], expected, rtol=SUM_ROUNDING)


@pytest.mark.parametrize("value", ODD_VALUES)
def test_a_window_with_a_gap_is_not_finite_and_the_others_are(value):
    wrench = np.ones((20, 6))
    wrench[5] = value
    starts, stops = np.array([0, 3, 6]), np.array([5, 8, 20])
    means, moments = np.empty((3, 6)), np.empty((3, 3))
    _contacts.window_means(wrench, block_means(wrench, 2), 2, starts, stops, means)
    _contacts.window_moments(wrench[:, 2].copy(), starts, stops, moments)
    assert np.isfinite(means).all(axis=1).tolist() == [True, False, True]
    assert np.isfinite(moments).all(axis=1).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("starts", "stops", "rows"),
    [([0, 1], [3], 2), ([0], [3], 2), ([0], [11], 1), ([-1], [3], 1), ([4], [3], 1)],
    ids=["lengths differ", "rows differ", "past the end", "before the start", "backwards"],
)
def test_windows_that_do_not_fit_are_refused(starts, stops, rows):
    starts, stops = np.array(starts, dtype=np.int64), np.array(stops, dtype=np.int64)
    with pytest.raises(ValueError, match=r"."):
        _contacts.window_means(np.zeros((10, 6)), np.zeros((5, 6)), 2, starts, stops, np.empty((rows, 6)))
    with pytest.raises(ValueError, match=r"."):
        _contacts.window_moments(np.zeros(10), starts, stops, np.empty((rows, 3)))


def test_windows_need_the_right_number_of_columns():
    one = np.array([0]), np.array([3])
    for n, width, blocks, block in ((6, 5, 5, 2), (5, 6, 5, 2), (6, 6, 4, 2), (6, 6, 5, 0)):
        with pytest.raises(ValueError, match=r"."):
            _contacts.window_means(
                np.zeros((10, n)), np.zeros((blocks, 6)), block, *one, np.empty((1, width))
            )
    with pytest.raises(ValueError, match=r"."):
        _contacts.window_moments(np.zeros(10), *one, np.empty((1, 2)))


# ---------------------------------------------------------------------------------------------------------------
# Rolling percentile


@given(
    values=st.lists(st.one_of(st.integers(-3, 3).map(float), st.just(math.nan)), max_size=80),
    half=st.integers(0, 50),
    hop=st.integers(1, 7),
    fraction=st.floats(0.0, 1.0),
)
def test_rolling_percentile_agrees_with_sorting_every_window(values, half, hop, fraction):
    x = np.array(values)
    x.flags.writeable = False
    expected = reference.rolling_percentile(x, half, fraction)[::hop]
    out, window = np.full(len(expected), -9.0), np.empty(2 * half + 1)
    _contacts.rolling_percentile(x, half, hop, fraction, out, window)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.5, 0.95, 1.0])
def test_rolling_percentile_of_a_long_noisy_record(fraction):
    x = np.random.default_rng(0).normal(size=400)
    x[100:260] = np.nan  # longer than the window: no value there at all
    out = np.empty(400)
    _contacts.rolling_percentile(x, 75, 1, fraction, out, np.empty(151))
    expected = reference.rolling_percentile(x, 75, fraction)
    assert np.isnan(expected).sum() == 10
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    "change",
    [
        {"out": np.empty(9)},
        {"window": np.empty(4)},
        {"half": -1},
        {"hop": 0},
        {"hop": 3},
        {"fraction": 1.5},
        {"fraction": -0.1},
    ],
)
def test_rolling_percentile_refuses_wrong_sizes(change):
    arguments = {"x": np.zeros(10), "half": 2, "hop": 1, "fraction": 0.5}
    arguments |= {"out": np.empty(10), "window": np.empty(5)}
    with pytest.raises(ValueError, match=r"."):
        _contacts.rolling_percentile(**(arguments | change))


# ---------------------------------------------------------------------------------------------------------------
# Detector

LEVEL, RELEASE = 20.0, 10.0


def detect_in_pieces(y, cuts, hold_on, hold_off):
    """Run the detector over the pieces between the cuts, the last one with `finish`."""
    state = np.zeros(_contacts.STATE_SIZE, dtype=np.int64)
    memory = np.zeros(_contacts.MEMORY_SIZE)
    rows = []
    edges = [0, *sorted(cuts), len(y)]
    for k, (a, b) in enumerate(itertools.pairwise(edges)):
        piece = y[a:b].copy()
        piece.flags.writeable = False
        out = np.full((len(piece) + 1, 6), np.nan)
        last = k == len(edges) - 2
        count = _contacts.detect(piece, LEVEL, RELEASE, hold_on, hold_off, state, memory, out, last)
        rows.append(out[:count])
    return np.concatenate(rows)


def detect(y, hold_on=5, hold_off=10):
    return detect_in_pieces(np.array(y, dtype=float), [], hold_on, hold_off)


def contact(*dip, load=100.0, empty=12):
    """An unloaded stretch, a load with a dip in its middle, an unloaded stretch."""
    return [0.0] * empty + [load] * 15 + list(dip) + [load] * 15 + [0.0] * empty


def test_a_dip_that_stays_above_the_release_level_never_closes():
    rows = detect(contact(*[11.0] * 50))
    assert len(rows) == 1
    assert rows[0, 5] == 0.0


def test_a_short_dip_below_the_release_level_is_bridged_and_counted():
    rows = detect(contact(*[0.0] * 9))
    assert len(rows) == 1
    assert rows[0, 5] == 1.0


def test_a_dip_of_the_full_closing_time_ends_the_contact():
    rows = detect(contact(*[0.0] * 10))
    assert len(rows) == 2
    assert (rows[:, 5] == 0.0).all()


def test_the_closing_time_counts_from_the_release_level_and_is_kept_below_the_contact_level():
    # Four samples between the levels before and after: the clock starts below the release level, and a value
    # between the levels doesn't stop it.
    assert len(detect(contact(*[15.0] * 4, *[0.0] * 9))) == 1
    assert len(detect(contact(*[15.0] * 4, *[0.0] * 5, *[15.0] * 5))) == 2


@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_lone_spike_never_opens(length):
    assert len(detect([0.0] * 20 + [500.0] * length + [0.0] * 20)) == 0


def test_a_spike_of_the_full_opening_time_opens():
    assert len(detect([0.0] * 20 + [500.0] * 5 + [0.0] * 20)) == 1


def test_the_opening_time_may_pass_between_the_levels():
    rows = detect([0.0] * 20 + [25.0] + [11.0] * 4 + [0.0] * 20)
    assert len(rows) == 1
    assert rows[0, 2] == 25.0


def test_crossings_are_interpolated_at_the_contact_level():
    y = np.zeros(300)
    y[104], y[105:200], y[200] = 12.0, 37.0, 12.0
    on, off, peak, cut_on, cut_off, dips = detect(y)[0]
    assert on / 1000.0 == pytest.approx(0.10432, abs=CROSSING_ROUNDING)
    assert off / 1000.0 == pytest.approx(0.19968, abs=CROSSING_ROUNDING)
    assert (peak, cut_on, cut_off, dips) == (37.0, 0.0, 0.0, 0.0)


def test_a_signal_that_starts_and_ends_loaded_is_cut_at_its_ends():
    rows = detect([100.0] * 40 + [0.0] * 30 + [100.0] * 40)
    assert rows[:, [0, 1]].tolist() == [[0.0, 39.8], [69.2, 109.0]]
    assert rows[:, 3].tolist() == [1.0, 0.0]
    assert rows[:, 4].tolist() == [0.0, 1.0]


def test_an_unconfirmed_end_was_still_seen():
    rows = detect([0.0] * 20 + [100.0] * 40 + [0.0] * 3)
    assert rows.tolist() == [[19.2, 59.8, 100.0, 0.0, 0.0, 0.0]]


def test_a_candidate_at_the_end_is_no_contact():
    assert len(detect([0.0] * 20 + [100.0] * 4)) == 0


signals = st.lists(
    st.tuples(st.sampled_from([-5.0, 0.0, 9.0, 10.0, 14.0, 19.0, 20.0, 24.0, 90.0]), st.integers(1, 9)),
    max_size=25,
).map(lambda runs: np.array([v for v, length in runs for _ in range(length)], dtype=float))


@given(y=signals, hold_on=st.integers(1, 6), hold_off=st.integers(1, 6))
def test_the_detector_agrees_with_the_naive_version(y, hold_on, hold_off):
    expected = reference.detect(y, LEVEL, RELEASE, hold_on, hold_off)
    found = detect(y, hold_on, hold_off)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=CROSSING_ROUNDING)


@pytest.mark.parametrize("seed", range(5))
def test_the_detector_agrees_with_the_naive_version_on_noise(seed):
    rng = np.random.default_rng(seed)
    y = 15.0 + 12.0 * np.sin(np.arange(3000) / 25.0) + rng.normal(0.0, 5.0, size=3000)
    expected = reference.detect(y, LEVEL, RELEASE, 3, 5)
    assert len(expected) > 15
    np.testing.assert_allclose(detect(y, 3, 5), expected, rtol=0, atol=CROSSING_ROUNDING)


@given(
    y=signals,
    cuts=st.lists(st.integers(0, 225), max_size=12),
    hold_on=st.integers(1, 6),
    hold_off=st.integers(1, 6),
)
def test_any_cut_of_the_signal_gives_the_same_bits(y, cuts, hold_on, hold_off):
    whole = detect(y, hold_on, hold_off)
    cuts = [min(c, len(y)) for c in cuts]  # doubled cuts are empty pieces
    np.testing.assert_array_equal(detect_in_pieces(y, cuts, hold_on, hold_off), whole)
    np.testing.assert_array_equal(detect_in_pieces(y, range(len(y)), hold_on, hold_off), whole)


@pytest.mark.parametrize("capacity", [0, 1, 2, 3])
def test_more_contacts_than_fit_are_counted_and_not_written(capacity):
    y = np.array((contact() + contact() + contact(load=200.0))[:-5])  # the last end is unconfirmed
    state, memory = np.zeros(_contacts.STATE_SIZE, np.int64), np.zeros(_contacts.MEMORY_SIZE)
    room = np.full((capacity + 1, 6), -1.0)
    count = _contacts.detect(y, LEVEL, RELEASE, 5, 10, state, memory, room[:capacity], True)
    assert count == 3
    np.testing.assert_array_equal(room[:capacity], detect(y)[:capacity])
    assert (room[capacity:] == -1.0).all()


@pytest.mark.parametrize(
    "change",
    [
        {"state": np.zeros(_contacts.STATE_SIZE - 1, np.int64)},
        {"memory": np.zeros(_contacts.MEMORY_SIZE - 1)},
        {"out": np.empty((4, 5))},
    ],
)
def test_the_detector_refuses_wrong_shapes(change):
    arguments = {"y": np.zeros(10), "level": LEVEL, "level_off": RELEASE, "hold_on": 5, "hold_off": 10}
    arguments |= {
        "state": np.zeros(_contacts.STATE_SIZE, np.int64),
        "memory": np.zeros(_contacts.MEMORY_SIZE),
    }
    arguments |= {"out": np.empty((4, 6)), "finish": True}
    with pytest.raises(ValueError, match=r"."):
        _contacts.detect(**(arguments | change))


# ---------------------------------------------------------------------------------------------------------------
# Baseline


@given(
    n=st.integers(0, 14),
    channels=st.integers(1, 13),
    neighbours=st.integers(0, 8),
    first=st.integers(0, 12),
    seed=st.integers(0, 1000),
)
def test_theil_sen_agrees_with_the_naive_version(n, channels, neighbours, first, seed):
    rng = np.random.default_rng(seed)
    t, values = np.cumsum(rng.uniform(50.0, 400.0, size=n)), rng.normal(0.0, 20.0, size=(n, channels))
    t.flags.writeable = values.flags.writeable = False
    out = np.full((n, channels), np.nan)
    _contacts.theil_sen_residuals(t, values, neighbours, out, first)
    expected = reference.theil_sen_residuals(t, values, neighbours)
    expected[:first] = np.nan  # left alone
    np.testing.assert_allclose(out, expected, rtol=0, atol=ROBUST_ROUNDING)


def test_theil_sen_sees_one_bad_knot_on_a_slope():
    t = np.arange(20.0) * 350.0
    values = np.column_stack((3.0 + 0.01 * t, -0.02 * t))
    values[7, 0] += 25.0
    out = np.empty((20, 2))
    _contacts.theil_sen_residuals(t, values, 8, out)
    expected = np.zeros((20, 2))
    expected[7, 0] = 25.0
    np.testing.assert_allclose(out, expected, rtol=0, atol=ROBUST_ROUNDING)


@pytest.mark.parametrize(
    "change",
    [
        {"values": np.zeros((9, 2))},
        {"out": np.empty((9, 2))},
        {"out": np.empty((10, 1))},
        {"neighbours": 9},
        {"neighbours": -1},
        {"first_knot": -1},
    ],
)
def test_theil_sen_refuses_wrong_shapes(change):
    arguments = {"t": np.arange(10.0), "values": np.zeros((10, 2)), "neighbours": 8, "out": np.empty((10, 2))}
    with pytest.raises(ValueError, match=r"."):
        _contacts.theil_sen_residuals(**(arguments | change))


@given(
    knots=st.integers(2, 9),
    first=st.integers(0, 300),
    n=st.integers(0, 400),
    whole=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_subtract_cubic_agrees_with_scipy_and_holds_the_ends(knots, first, n, whole, seed):
    rng = np.random.default_rng(seed)
    t = 100.0 + np.cumsum(rng.uniform(5.0, 60.0, size=knots))
    t = np.round(t) if whole else t  # break points that are samples
    spline = PchipInterpolator(t, rng.normal(0.0, 30.0, size=knots))
    y = rng.normal(size=n)
    y.flags.writeable = False
    out = np.full(n, np.nan)
    _contacts.subtract_cubic(y, first, t, np.ascontiguousarray(spline.c), out)
    expected = y - spline(np.clip(first + np.arange(n), t[0], t[-1]))
    np.testing.assert_allclose(out, expected, rtol=0, atol=100 * CUBIC_ROUNDING)


def test_subtract_cubic_in_pieces_in_place_and_of_a_constant():
    rng = np.random.default_rng(0)
    t = np.array([20.0, 45.5, 80.0, 130.0])
    c = np.ascontiguousarray(PchipInterpolator(t, rng.normal(size=4)).c)
    y = rng.normal(size=200)
    whole = np.empty(200)
    _contacts.subtract_cubic(y, 0, t, c, whole)
    pieces = y.copy()
    for a, b in [(0, 1), (1, 60), (60, 60), (60, 141), (141, 200)]:
        _contacts.subtract_cubic(pieces[a:b], a, t, c, pieces[a:b])
    np.testing.assert_array_equal(pieces, whole)
    _contacts.subtract_cubic(y, 0, np.array([50.0]), np.array([[9.0], [9.0], [9.0], [2.5]]), whole)
    np.testing.assert_array_equal(whole, y - 2.5)


@pytest.mark.parametrize(
    "change",
    [
        {"out": np.empty(9)},
        {"breaks": np.empty(0)},
        {"coefficients": np.zeros((4, 1))},
        {"coefficients": np.zeros((3, 2))},
        {"breaks": np.array([1.0]), "coefficients": np.zeros((4, 0))},
    ],
)
def test_subtract_cubic_refuses_wrong_shapes(change):
    arguments = {"y": np.zeros(10), "first": 0, "breaks": np.array([0.0, 4.0, 9.0])}
    arguments |= {"coefficients": np.zeros((4, 2)), "out": np.empty(10)}
    with pytest.raises(ValueError, match=r"."):
        _contacts.subtract_cubic(**(arguments | change))


# ---------------------------------------------------------------------------------------------------------------
# Crossing times on the timing copy


def refine(raw, times, rising, *, level=LEVEL, design=None, reach=6, segment=None, offsets=None):
    design = lowpass(None, 1000.0) if design is None else design
    times = np.array(times, dtype=float)
    segment = (0, len(raw)) if segment is None else segment
    segments = np.tile(np.array([segment], dtype=np.int64), (len(times), 1))
    offsets = np.zeros(len(times)) if offsets is None else np.array(offsets, dtype=float)
    out = np.full(len(times), -1.0)
    work = np.empty((2 * (reach + design.margin) + 2, 4))
    rising = np.array(rising, dtype=np.int8)
    _contacts.refine_crossings(
        raw, segments, times, rising, level, offsets, design.sos, design.zi, reach, design.margin, out, work
    )
    return out


def running_force(n=3000, seed=0):
    """Two smooth footfalls a stride of 0.7 s, with noise and an offset."""
    t = np.arange(n) / 1000.0
    rng = np.random.default_rng(seed)
    return 1500.0 * np.clip(np.sin(2 * np.pi * t / 0.7), 0.0, None) ** 1.5 + 4.0 + rng.normal(0, 3.0, size=n)


def crossings_of(y, level, rising):
    before, after = y[:-1], y[1:]
    k = np.flatnonzero((before < level) & (after >= level) if rising else (before >= level) & (after < level))
    return k + (level - before[k]) / (after[k] - before[k])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_an_event_is_timed_alike_in_any_company(count):
    """Four are filtered side by side; streams time one alone, and threads take any part of them."""
    raw, design = running_force(), lowpass(200.0, 1000.0)
    times = np.concatenate([crossings_of(raw, LEVEL, True)[:5], crossings_of(raw, LEVEL, False)[:4]])[:count]
    rising = [1] * min(count, 5) + [0] * max(count - 5, 0)
    together = refine(raw, times, rising, design=design)
    alone = [refine(raw, [t], [up], design=design)[0] for t, up in zip(times, rising, strict=True)]
    np.testing.assert_array_equal(together, alone)
    assert np.isfinite(together).all()


@pytest.mark.parametrize("cutoff_hz", [50.0, 200.0])
def test_the_timing_window_agrees_with_filtering_the_whole_record(cutoff_hz):
    raw, design = running_force(), lowpass(cutoff_hz, 1000.0)
    raw.flags.writeable = False
    whole = zero_phase(raw, design.sos, padlen=design.padding) - 4.0
    for rising in (True, False):
        expected = crossings_of(whole, LEVEL, rising)
        assert len(expected) >= 4
        k = np.floor(expected).astype(int)
        slope = np.abs(whole[k + 1] - whole[k])
        found = refine(
            raw, expected + 2.3, [rising] * len(expected), design=design, offsets=[4.0] * len(expected)
        )
        assert (np.abs(found - expected) <= WINDOW_FORCE_N / slope).all()


@given(shift=st.floats(-8.0, 8.0))
def test_without_a_filter_the_nearest_crossing_of_the_right_direction_within_reach_counts(shift):
    raw = np.zeros(60)
    raw[20:24] = 50.0  # up at 19.4, down at 23.6
    raw[28:50] = 50.0  # up at 27.4
    time = 21.0 + shift
    up, down = refine(raw, [time, time], [1, 0])
    nearest = min((19.4, 27.4), key=lambda x: abs(x - time))
    if abs(nearest - time) <= 6.0 - 1e-9:
        assert up == pytest.approx(nearest, abs=CROSSING_ROUNDING * 100)
    else:
        assert math.isnan(up) or abs(up - time) <= 6.0
    if abs(23.6 - time) <= 6.0 - 1e-9:
        assert down == pytest.approx(23.6, abs=CROSSING_ROUNDING * 100)
    elif abs(23.6 - time) > 6.0 + 1e-9:
        assert math.isnan(down)


def test_nothing_within_reach_is_nan():
    raw = np.zeros(100)
    raw[50:] = 100.0
    found = refine(raw, [40.0, 49.0, 49.0], [1, 1, 0])
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == pytest.approx(49.2)


@pytest.mark.parametrize("cutoff_hz", [None, 200.0])
@pytest.mark.parametrize("segment", [(0, 700), (95, 260), (98, 105)])
def test_only_the_gap_free_stretch_is_read(cutoff_hz, segment):
    """What lies beyond a gap must not matter, however near the event is to an end of the stretch."""
    design = lowpass(cutoff_hz, 1000.0)
    raw = np.clip(np.arange(700.0) - 100.0, 0.0, 300.0) * 15.0
    expected = refine(raw, [101.0], [1], design=design, segment=segment)
    low, high = segment
    raw[:low] = np.nan
    raw[high:] = np.inf
    found = refine(raw, [101.0], [1], design=design, segment=segment)
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(expected).all()


def test_the_window_is_extended_through_its_end_points():
    """At the ends of a stretch the window sees what the filter of the whole stretch sees: an odd extension."""
    design = lowpass(100.0, 1000.0)
    raw = running_force()[45:600]  # starts and ends loaded, a few samples from a crossing
    whole = zero_phase(raw, design.sos, padlen=design.padding)
    level = float(whole[8])
    expected = crossings_of(whole, level + 1.0, True)
    expected = expected[expected < 20.0]
    found = refine(raw, expected[:1], [1], level=level + 1.0, design=design)
    k = int(expected[0])
    assert abs(found[0] - expected[0]) <= WINDOW_FORCE_N / abs(whole[k + 1] - whole[k])


def refine_arguments():
    return {
        "raw": np.zeros(100),
        "segments": np.array([[0, 100], [0, 100]]),
        "times": np.array([40.0, 60.0]),
        "rising": np.array([1, 0], dtype=np.int8),
        "level": LEVEL,
        "offsets": np.zeros(2),
        "sos": lowpass(200.0, 1000.0).sos,
        "zi": lowpass(200.0, 1000.0).zi,
        "reach": 6,
        "margin": 15,
        "out": np.empty(2),
        "work": np.empty((44, 4)),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"segments": np.array([[0, 100]])},
        {"segments": np.array([[0], [0]])},
        {"segments": np.array([[0, 100], [0, 101]])},
        {"segments": np.array([[-1, 100], [0, 100]])},
        {"segments": np.array([[0, 100], [50, 50]])},
        {"rising": np.array([1], dtype=np.int8)},
        {"offsets": np.zeros(1)},
        {"sos": np.zeros((1, 5))},
        {"zi": np.zeros((1, 1))},
        {"zi": np.zeros((0, 2))},
        {"reach": -1},
        {"margin": -1},
        {"out": np.empty(1)},
        {"work": np.empty((43, 4))},
        {"work": np.empty((44, 3))},
        {"sos": np.ones((9, 6)), "zi": np.ones((9, 2))},
    ],
)
def test_refining_refuses_wrong_shapes(change):
    with pytest.raises(ValueError, match=r"."):
        _contacts.refine_crossings(**(refine_arguments() | change))
