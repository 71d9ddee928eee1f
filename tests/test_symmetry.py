"""Indices, conversion, the comparison of limbs and of waveforms, against published and closed-form values."""

import dataclasses
import json
import math
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancecore import symmetry as sym
from balancecore.errors import DataError, MissingExtraError
from balancecore.symmetry import (
    KINDS,
    compare_limbs,
    convert_index,
    noise_floor,
    pair_strides,
    planning_steps,
    si_standard_error,
    steps_needed,
    symmetry_index,
    waveform_symmetry,
)

EXACT = 1e-9  # golden values are given at full precision
CONVERTIBLE = ("si", "asi", "asym_sum", "ratio", "lsi", "pct_diff_max", "ga_ln", "sa", "nsi", "usi")
SIDED = tuple(kind for kind in CONVERTIBLE if kind not in ("asi", "lsi"))


# ---------------------------------------------------------------------------------------------------- indices

# Computed once in arbitrary precision from the formulas; None = the edge rule makes it NaN.
GOLDEN = {
    (1.05, 0.95): {
        "si": 10.0,
        "asi": 10.0,
        "asym_sum": 5.0,
        "ratio": 1.105263157894737,
        "lsi": 90.47619047619047,
        "pct_diff_max": 9.523809523809533,
        "ga_ln": 10.008345855698263,
        "sa": -3.1804502512352824,
        "nsi": 9.523809523809533,
        "usi": 7.062245515464493,
    },
    (75.0, 60.0): {
        "si": 22.22222222222222,
        "asym_sum": 11.11111111111111,
        "ratio": 1.25,
        "lsi": 80.0,
        "pct_diff_max": 20.0,
        "ga_ln": 22.314355131420978,
        "sa": -7.044657495455458,
        "nsi": 20.0,
        "usi": 15.617376188860607,
    },
    (2.5, 2.4): {
        "si": 4.081632653061228,
        "asym_sum": 2.040816326530614,
        "ratio": 1.0416666666666667,
        "lsi": 96.0,
        "ga_ln": 4.08219945202552,
        "sa": -1.299043697674915,
        "nsi": 4.0,
        "usi": 2.8855492841238086,
    },
    (0.02, -0.01): {
        "si": None,
        "asi": None,
        "asym_sum": None,
        "ratio": None,
        "lsi": None,
        "pct_diff_max": None,
        "ga_ln": None,
        "sa": -79.51672353008665,
        "nsi": 100.0,
        "usi": 134.16407864998737,
    },
}


@pytest.mark.parametrize(
    ("pair", "kind", "expected"), [(pair, k, v) for pair, row in GOLDEN.items() for k, v in row.items()]
)
def test_golden_values(pair, kind, expected):
    index = symmetry_index(*pair, kind)
    assert isinstance(index, float)
    assert math.isnan(index) if expected is None else index == pytest.approx(expected, abs=EXACT)


def test_published_stroke_gait_table():
    """Fictive data printed by a paper on stroke gait, two decimals: non-paretic as left, paretic as right."""
    non_paretic = np.array([0.39, 0.59, 0.47, 0.25, 0.40, 0.37])
    paretic = np.array([0.25, 0.40, 0.37, 0.39, 0.59, 0.47])
    printed = {
        "si": [43.75, 38.38, 23.81, -43.75, -38.38, -23.81],
        "sa": [-13.71, -12.07, -7.54, 13.71, 12.07, 7.54],
        "ratio": [1.56, 1.48, 1.27, 0.64, 0.68, 0.79],
    }
    for kind, values in printed.items():
        # 0.005 is half of the last printed digit.
        np.testing.assert_allclose(symmetry_index(non_paretic, paretic, kind), values, atol=0.00501)
    of_non_paretic = 100.0 - symmetry_index(non_paretic, paretic, "lsi", involved="R")
    np.testing.assert_allclose(of_non_paretic, [35.90, 32.20, 21.28, -56.00, -47.50, -27.03], atol=0.00501)


@pytest.mark.parametrize(
    ("left", "right", "si"),
    [
        (238.61012, 228.63195, 4.2711),
        (1.50531, 1.35497, 10.5121),
        (25.07594, 28.80082, -13.8274),
        (75.12225, 58.62462, 24.6699),
        (81.14016, 64.07779, 23.4990),
        (62.02695, 57.44781, 7.6655),
        (48.04890, 50.24659, -4.4716),
        (20.66629, 23.09998, -11.1213),
        (87.19444, 69.00286, 23.2931),
        (2.55916, 2.62058, -2.3716),
        (0.34989, 0.33989, 2.8994),
    ],
)
def test_two_mass_step_pair(left, right, si):
    """Contact time, peaks, loading rates and impulse of one noise-free pair: SI depends on the definition."""
    # The limb values are printed with five decimals: 0.000005 of 0.34 is 0.0015 % on each side.
    assert symmetry_index(left, right) == pytest.approx(si, abs=3e-3)


def test_nsi_over_trials():
    left, right = [2.45, 2.50, 2.48, 2.52, 2.47], [2.38, 2.40, 2.35, 2.41, 2.37]
    assert symmetry_index(left, right, "nsi") == pytest.approx(100.0 * 0.102 / 2.52, abs=EXACT)
    assert symmetry_index(left, right, "nsi") == pytest.approx(4.047619, abs=5e-7)
    assert symmetry_index(np.mean(left), np.mean(right)) == pytest.approx(4.192355, abs=5e-7)
    assert np.mean(symmetry_index(left, right)) == pytest.approx(4.191582, abs=5e-7)
    assert symmetry_index([*left, np.nan], [*right, 2.0], "nsi") == symmetry_index(left, right, "nsi")
    assert symmetry_index([-1.0, 1.0], [1.0, 1.0], "nsi") == pytest.approx(-50.0)


def test_wusi_weighs_usi_down_by_the_larger_spread():
    left, right = [0.9, 1.0, 1.1], [0.75, 0.8, 0.85]
    sigma, squares = 0.1, 1.64
    weight = 1.0 - math.sqrt(2.0) * sigma / math.sqrt(2.0 * sigma**2 + squares)
    assert symmetry_index(left, right, "wusi") == pytest.approx(
        weight * symmetry_index(1.0, 0.8, "usi"), abs=EXACT
    )
    assert symmetry_index([1.0, 1.0], [0.8, 0.8], "wusi") == pytest.approx(
        symmetry_index(1.0, 0.8, "usi"), abs=EXACT
    )
    assert math.isnan(symmetry_index(1.0, 0.8, "wusi"))


def test_lsi_needs_to_know_the_involved_limb_to_exceed_100():
    assert symmetry_index(80.0, 100.0, "lsi", involved="L") == pytest.approx(80.0)
    assert symmetry_index(80.0, 100.0, "lsi", involved="R") == pytest.approx(125.0)
    assert symmetry_index(80.0, 100.0, "lsi") == symmetry_index(100.0, 80.0, "lsi") == pytest.approx(80.0)


SAME_SIGN = ("si", "asi", "asym_sum", "ratio", "lsi", "pct_diff_max", "ga_ln")


@pytest.mark.parametrize(
    "pair", [(1.0, -1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (np.nan, 1.0), (1.0, -2.0)]
)
@pytest.mark.parametrize("kind", SAME_SIGN)
def test_no_index_where_signs_differ_or_a_mean_is_zero(pair, kind):
    assert math.isnan(symmetry_index(*pair, kind))


@pytest.mark.parametrize("pair", [(1.0, -1.0), (1.0, 0.0), (0.0, 1.0), (1.0, -2.0), (-1e-9, -3.0)])
@pytest.mark.parametrize("kind", ["sa", "nsi", "usi"])
def test_angle_nsi_and_usi_stay_defined(pair, kind):
    assert math.isfinite(symmetry_index(*pair, kind))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "wusi"])
def test_two_zeros_have_no_index(kind):
    assert math.isnan(symmetry_index(0.0, 0.0, kind))


positive = st.floats(1e-6, 1e6)


@given(left=positive, right=positive)
def test_swapping_the_limbs_changes_the_sign_only(left, right):
    for kind in ("si", "asym_sum", "pct_diff_max", "ga_ln", "sa", "nsi", "usi"):
        # 1e-11: atan and log round differently for L/R and R/L.
        assert symmetry_index(left, right, kind) == pytest.approx(
            -symmetry_index(right, left, kind), abs=1e-11
        )
    for kind in ("asi", "lsi"):
        assert symmetry_index(left, right, kind) == symmetry_index(right, left, kind)


@given(left=positive, right=positive, power=st.integers(-60, 60))
def test_units_do_not_matter(left, right, power):
    for kind in SIDED:
        scaled = symmetry_index(left * 2.0**power, right * 2.0**power, kind)
        assert scaled == symmetry_index(left, right, kind)


@given(left=positive, right=positive)
def test_two_negative_means_are_compared_by_magnitude(left, right):
    for kind in SAME_SIGN:
        assert symmetry_index(-left, -right, kind) == symmetry_index(left, right, kind)


def test_arrays_are_compared_element_by_element():
    index = symmetry_index([[1.05, 75.0]], np.array([[0.95, 60.0]]))
    assert index.shape == (1, 2)
    np.testing.assert_allclose(index, [[10.0, 22.22222222222222]], rtol=1e-13)
    assert symmetry_index([1.0, 2.0], 1.0).shape == (2,)
    assert symmetry_index([], []).shape == (0,)


def test_integers_read_only_and_strided_input():
    left = np.arange(1, 9)[::2]
    left.flags.writeable = False
    np.testing.assert_allclose(symmetry_index(left, left + 1), symmetry_index(left * 1.0, left + 1.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: symmetry_index(1.0, 2.0, "symmetry"), "not an index"),
        (lambda: symmetry_index(1.0, 2.0, "si", involved="L"), "only with kind='lsi'"),
        (lambda: symmetry_index(1.0, 2.0, "lsi", involved="left"), "give 'L' or 'R'"),
        (lambda: symmetry_index([1.0, 2.0], [1.0, 2.0, 3.0]), "don't fit"),
        (lambda: symmetry_index([1.0, 2.0], [1.0], "nsi"), "trial by trial"),
        (lambda: symmetry_index("much", 1.0), "must be numbers"),
        (lambda: convert_index(1.0, "si", "wusi"), "can't be converted"),
        (lambda: convert_index(1.0, "SI", "sa"), "can't be converted"),
    ],
)
def test_misuse_is_refused_in_one_sentence(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_every_kind_says_what_it_is():
    assert set(KINDS) == {*CONVERTIBLE, "wusi"}
    for kind in KINDS.values():
        assert all(dataclasses.astuple(kind))
    assert "RIGHT" in KINDS["sa"].sign


# ------------------------------------------------------------------------------------------------- conversion


def test_equivalents_of_si_10():
    """The table near symmetry: a rule of 10 % means something else for each index."""
    printed = {
        "asym_sum": (5.00, 2),
        "ratio": (1.1053, 4),
        "lsi": (90.48, 2),
        "ga_ln": (10.01, 2),
        "sa": (-3.18, 2),
        "nsi": (9.52, 2),
        "pct_diff_max": (9.52, 2),
        "usi": (7.06, 2),
        "asi": (10.0, 2),
    }
    for kind, (value, digits) in printed.items():
        assert round(convert_index(10.0, "si", kind), digits) == value
    assert convert_index(-10.0, "sa", "si") == pytest.approx(31.7, abs=0.05)


@pytest.mark.parametrize("to_kind", CONVERTIBLE)
@pytest.mark.parametrize("from_kind", CONVERTIBLE)
def test_conversion_agrees_with_the_index_itself(from_kind, to_kind):
    value = symmetry_index(1.3, 0.9, from_kind)
    # 1e-10: tan and atan near the ratio 1.4 cost a few digits.
    assert convert_index(value, from_kind, to_kind) == pytest.approx(
        symmetry_index(1.3, 0.9, to_kind), abs=1e-10
    )


@given(si=st.floats(-195.0, 195.0))
def test_round_trips_keep_the_side(si):
    for kind in SIDED:
        # 1e-9: at SI 195 % the ratio is 79, which stretches rounding.
        assert convert_index(convert_index(si, "si", kind), kind, "si") == pytest.approx(si, abs=1e-9)


@pytest.mark.parametrize("kind", ["asi", "lsi"])
def test_unsided_indices_come_back_as_left_larger(kind):
    assert convert_index(convert_index(-10.0, "si", kind), kind, "si") == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (200.0, "si"),
        (-1.0, "asi"),
        (100.0, "asym_sum"),
        (-2.0, "ratio"),
        (101.0, "lsi"),
        (0.0, "lsi"),
        (100.0, "nsi"),
        (-100.0, "pct_diff_max"),
        (-79.5, "sa"),
        (134.0, "usi"),
        (np.nan, "ga_ln"),
    ],
)
def test_values_that_no_pair_of_positive_means_gives(value, kind):
    assert math.isnan(convert_index(value, kind, "ratio"))


def test_conversion_of_arrays():
    np.testing.assert_allclose(convert_index([10.0, -10.0, 300.0], "si", "asym_sum"), [5.0, -5.0, np.nan])


# ----------------------------------------------------------------------------------- variability and planning


def test_delta_method_of_the_closed_form_example():
    se = si_standard_error(1.05, 1.00, 0.04, 0.05, 40, 40)
    si = symmetry_index(1.05, 1.00)
    assert si == pytest.approx(4.878, abs=5e-4)
    assert se == pytest.approx(0.9933, abs=5e-5)
    assert si - 1.96 * se == pytest.approx(2.93, abs=5e-3)
    assert si + 1.96 * se == pytest.approx(6.82, abs=6e-3)  # 6.825 was printed with two digits
    assert math.isnan(si_standard_error(1.0, -1.0, 0.1, 0.1, 9, 9))


@pytest.mark.parametrize("unit", [1e-250, 1e250])
def test_delta_method_is_the_same_in_every_unit(unit):
    expected = si_standard_error(1.05, 1.00, 0.04, 0.05, 40, 40)
    found = si_standard_error(1.05 * unit, unit, 0.04 * unit, 0.05 * unit, 40, 40)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "expected"), [(8, 6.0), (25, 3.4), (40, 2.7)])
def test_noise_floor_of_a_cv_of_15_percent(n, expected):
    assert noise_floor(15.0, n) == pytest.approx(expected, abs=0.05)
    assert noise_floor(15.0, n) == pytest.approx(
        15.0 * math.sqrt(2.0 / n) * math.sqrt(2.0 / math.pi), abs=EXACT
    )


def test_noise_floor_of_unequal_numbers_uses_the_harmonic_mean():
    assert noise_floor(10.0, 10, 40) == pytest.approx(noise_floor(10.0, 16), abs=EXACT)
    assert math.isnan(noise_floor(10.0, 0, 5))


def test_noise_floor_is_what_symmetric_limbs_show():
    steps = np.random.default_rng(5).normal(1.0, 0.15, size=(2, 20_000, 25)).mean(axis=2)
    seen = np.abs(symmetry_index(steps[0], steps[1])).mean()
    # 20 000 draws leave 0.5 % of sampling error; the formula drops terms of order CV²/n.
    assert seen == pytest.approx(noise_floor(15.0, 25), rel=0.02)


@pytest.mark.parametrize(
    ("cv", "half_width", "expected"), [(5.0, 2.0, 49), (5.0, 5.0, 8), (15.0, 2.0, 433), (15.0, 5.0, 70)]
)
def test_planning_numbers(cv, half_width, expected):
    assert planning_steps(cv, half_width) == expected


def test_planning_edges():
    assert planning_steps(0.0) == 1
    assert planning_steps(math.nan) is None
    with pytest.raises(DataError, match="positive"):
        planning_steps(5.0, 0.0)


def naive_steps_needed(values, tolerance=0.25):
    mean, band = np.mean(values), tolerance * np.std(values, ddof=1)
    for n in range(1, len(values) + 1):
        if all(abs(np.mean(values[:k]) - mean) <= band for k in range(n, len(values) + 1)):
            return n
    raise AssertionError


@given(seed=st.integers(0, 2000), n=st.integers(2, 40))
def test_steps_needed_agrees_with_its_definition(seed, n):
    values = np.random.default_rng(seed).normal(3.0, 0.4, size=n)
    assert steps_needed(values) == naive_steps_needed(values)


def test_steps_needed_edges():
    assert steps_needed([0.1] * 10) == 1
    assert steps_needed([1.0]) is None
    assert steps_needed([]) is None
    assert steps_needed([1.0, np.nan, 1.2, np.inf, 1.1]) == steps_needed([1.0, 1.2, 1.1])


# ---------------------------------------------------------------------------------------------------- pairing


def test_pairs_take_each_contact_once():
    pairs = pair_strides([0, 1, 0, 1, 0], np.arange(5) * 0.35)
    np.testing.assert_array_equal(pairs, [[0, 1], [2, 3]])
    assert pairs.dtype == np.int64


def test_the_first_limb_comes_first_in_a_pair_even_if_it_lands_second():
    np.testing.assert_array_equal(pair_strides([1, 0, 1, 0], np.arange(4) * 0.35), [[1, 0], [3, 2]])


def test_pairs_do_not_bridge_a_missing_contact():
    # The contact at 0.70 s is missing: left at 0.35 s and right at 1.05 s are no stride.
    t_on = [0.0, 0.35, 1.05, 1.40, 1.75, 2.10]
    np.testing.assert_array_equal(pair_strides([0, 1, 0, 1, 0, 1], t_on), [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(pair_strides([1, 0, 1, 0, 1, 0], t_on), [[1, 0], [3, 2], [5, 4]])
    np.testing.assert_array_equal(pair_strides([-1, 0, 1, 0, 1, 0], t_on), [[3, 2], [5, 4]])


def test_unusable_and_repeated_sides_break_pairs():
    t_on = np.arange(7) * 0.35
    np.testing.assert_array_equal(pair_strides([0, -1, 1, 0, 0, 1, 1], t_on), [[3, 2], [4, 5]])


def test_pairs_follow_time_not_position():
    t_on = np.array([0.0, 0.70, 0.35, 1.05])
    np.testing.assert_array_equal(pair_strides([0, 0, 1, 1], t_on), [[0, 2], [1, 3]])


@pytest.mark.parametrize(
    ("limb", "t_on"), [([], []), ([0], [0.0]), ([0, 0], [0.0, 0.3]), ([0, 1], [0.0, np.nan])]
)
def test_nothing_to_pair(limb, t_on):
    assert pair_strides(limb, t_on).shape == (0, 2)


@pytest.mark.parametrize(
    ("limb", "t_on", "message"),
    [
        ([0, 1], [0.0], "one onset a contact"),
        ([0, 2], [0.0, 0.3], "first limb"),
        (["L", "R"], [0.0, 0.3], "first limb"),
        ([[0, 1]], [[0.0, 0.3]], "dimensions"),
    ],
)
def test_pairing_misuse(limb, t_on, message):
    with pytest.raises(DataError, match=message):
        pair_strides(limb, t_on)


# ------------------------------------------------------------------------------------------------- comparison


def make_run(n_pairs=40, seed=0, means=(1.05, 1.00), sds=(0.04, 0.05)):
    """Alternate independent steps of two limbs: (metric values, limb, pairs)."""
    rng = np.random.default_rng(seed)
    limb = np.tile([0, 1], n_pairs)
    values = np.take(means, limb) + np.take(sds, limb) * rng.normal(size=2 * n_pairs)
    return values, limb, pair_strides(limb, np.arange(2 * n_pairs) * 0.35)


def exact_run(n_pairs=40):
    """Build the run of the closed-form example, with exactly its means and SDs."""
    values, limb, pairs = make_run(n_pairs)
    for which, mean, sd in ((0, 1.05, 0.04), (1, 1.00, 0.05)):
        own = values[limb == which]
        values[limb == which] = mean + sd * (own - own.mean()) / own.std(ddof=1)
    return values, limb, pairs


def test_row_of_the_closed_form_example():
    values, limb, pairs = exact_run()
    row = compare_limbs({"tc": values}, limb, pairs)["tc"]
    assert (row.left, row.right) == (pytest.approx(1.05), pytest.approx(1.00))
    assert (row.sd_left, row.sd_right) == (pytest.approx(0.04), pytest.approx(0.05))
    assert (row.n_left, row.n_right) == (40, 40)
    assert row.si == pytest.approx(100 * 0.05 / 1.025)
    assert row.se == pytest.approx(0.9933, abs=5e-5)
    for kind in ("ga_ln", "sa", "lsi"):
        assert getattr(row, kind) == pytest.approx(symmetry_index(1.05, 1.00, kind))
    assert row.nsi == pytest.approx(symmetry_index(values[pairs[:, 0]], values[pairs[:, 1]], "nsi"))
    cv = 100 * math.sqrt(((0.04 / 1.05) ** 2 + 0.05**2) / 2)
    assert row.noise_floor == pytest.approx(noise_floor(cv, 40))
    assert row.n_planning == planning_steps(cv)
    assert row.n_needed == max(steps_needed(values[::2]), steps_needed(values[1::2]))
    assert row.distinguishable is True
    assert row.beyond_variability is False  # 4.88 % is less than the right limb's CV of 5 %
    assert row.beyond_error is None
    assert row.note == ""


def test_bootstrap_width_agrees_with_the_closed_form():
    """For independent steps the mean width over runs is near 2·1.96·SE, and a little below.

    Blocks of 4 of 40 pairs lose 4/40 of the variance (taken about the sample mean), and the width of so few
    blocks is skewed: 0.91 is expected. 30 runs leave about 0.02.
    """
    rows = []
    for seed in range(30):
        values, limb, pairs = make_run(seed=seed)
        rows.append(compare_limbs({"x": values}, limb, pairs, seed=seed, n_boot=1000)["x"])
    ratio = np.mean([(row.ci_high - row.ci_low) / (2 * 1.96 * row.se) for row in rows])
    assert ratio == pytest.approx(0.91, abs=0.05)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    """All runs at once as metrics: 400 leave 1.1 % of sampling error about 95 %, small n costs 4 %."""
    rng = np.random.default_rng(11)
    limb = np.tile([0, 1], 40)
    truth = symmetry_index(1.05, 1.00)
    spread = np.take([0.04, 0.05], limb)
    values = {f"run {k}": np.take([1.05, 1.00], limb) + spread * rng.normal(size=80) for k in range(400)}
    table = compare_limbs(values, limb, pair_strides(limb, np.arange(80.0)), n_boot=500)
    covered = np.mean([row.ci_low <= truth <= row.ci_high for row in table])
    assert 0.89 <= covered <= 0.98


def test_index_is_of_the_means_not_the_mean_of_indices():
    values, limb, pairs = make_run(400, means=(1.0, 1.0), sds=(0.15, 0.15))
    row = compare_limbs({"x": values}, limb, pairs)["x"]
    per_stride = np.abs(symmetry_index(values[pairs[:, 0]], values[pairs[:, 1]])).mean()
    assert per_stride == pytest.approx(113 * 0.15, rel=0.1)  # what averaging would claim
    assert abs(row.si) < 3.0
    assert row.si == pytest.approx(symmetry_index(row.left, row.right))


def naive_interval(first, second, n_boot, seed):
    """Write the bootstrap out index by index, the mapping of raw PCG64 output in Python integers."""
    n = len(first)
    length = next(b for b in range(1, n + 1) if b**3 >= n)
    n_blocks = -(-n // length)
    raw = np.random.PCG64(seed).random_raw(n_boot * n_blocks)
    starts = [((int(word) >> 32) * n) >> 32 for word in raw]
    indices = []
    for replicate in range(n_boot):
        own = starts[replicate * n_blocks : (replicate + 1) * n_blocks]
        rows = [(start + k) % n for start in own for k in range(length)][:n]
        indices.append(symmetry_index(np.nanmean(first[rows]), np.nanmean(second[rows])))
    return np.quantile(indices, [0.025, 0.975])


@pytest.mark.parametrize("n_pairs", [3, 8, 27, 41])
def test_interval_agrees_with_the_naive_bootstrap(n_pairs):
    values, limb, pairs = make_run(n_pairs, seed=n_pairs)
    row = compare_limbs({"x": values}, limb, pairs, n_boot=200, seed=3)["x"]
    expected = naive_interval(values[pairs[:, 0]], values[pairs[:, 1]], 200, 3)
    # 1e-10 %: means differ by rounding only.
    np.testing.assert_allclose([row.ci_low, row.ci_high], expected, atol=1e-10)


def test_interval_with_missing_values_agrees_with_the_naive_bootstrap():
    values, limb, pairs = make_run(30)
    values[[4, 5, 18, 33]] = np.nan
    values[40] = np.inf
    table = compare_limbs({"gappy": values, "whole": make_run(30)[0]}, limb, pairs, n_boot=200)
    clean = np.where(np.isfinite(values), values, np.nan)
    expected = naive_interval(clean[pairs[:, 0]], clean[pairs[:, 1]], 200, 0)
    row = table["gappy"]
    np.testing.assert_allclose([row.ci_low, row.ci_high], expected, atol=1e-10)
    assert (row.n_left, row.n_right) == (27, 28)
    assert row.left == pytest.approx(np.nanmean(clean[limb == 0]))


def test_metrics_do_not_influence_each_other():
    """The same starts serve all metrics, and a missing value costs only its own metric."""
    values, limb, pairs = make_run()
    gappy = values.copy()
    gappy[3] = np.nan
    alone = compare_limbs({"x": values}, limb, pairs)["x"]
    together = compare_limbs({"a": gappy, "x": values, "twice": 2 * values}, limb, pairs)
    assert together["x"] == alone
    assert together["twice"].ci_low == pytest.approx(alone.ci_low, abs=1e-12)


def test_interval_is_pinned():
    """A fixed input, seed and mapping give fixed numbers on every platform and with every NumPy."""
    k = np.arange(40)
    values = 1.0 + 0.05 * (k % 2 == 0) + 0.01 * ((k * 7) % 11)
    limb = k % 2
    row = compare_limbs({"x": values}, limb, pair_strides(limb, k * 0.35), n_boot=100, seed=1)["x"]
    assert (row.ci_low, row.ci_high) == (
        pytest.approx(PINNED[0], abs=EXACT),
        pytest.approx(PINNED[1], abs=EXACT),
    )


PINNED = (2.470078809859336, 6.303665501849062)


def test_starts_are_pinned_and_inside():
    assert sym.block_starts(1700, 1, 5, 0).tolist() == PINNED_STARTS
    for n in (1, 2, 7, 1000):
        starts = sym.block_starts(n, 50, 11, 9)
        assert starts.shape == (50, 11)
        assert starts.min() >= 0
        assert starts.max() < n


PINNED_STARTS = [[1082, 458, 69, 28, 1382]]


@pytest.mark.parametrize(
    ("n", "length"), [(0, 0), (1, 1), (2, 2), (8, 2), (9, 3), (27, 3), (64, 4), (1000, 10), (1700, 12)]
)
def test_block_length(n, length):
    assert sym.block_length(n) == length


def test_seed_repeats_and_changes_the_interval():
    values, limb, pairs = make_run()
    one = compare_limbs({"x": values}, limb, pairs, seed=5)
    assert one == compare_limbs({"x": values}, limb, pairs, seed=5)
    assert one["x"].ci_low != compare_limbs({"x": values}, limb, pairs, seed=6)["x"].ci_low


def test_swapping_the_limbs_flips_signs_only():
    values, limb, pairs = make_run()
    values[7] = np.nan
    row = compare_limbs({"x": values}, limb, pairs)["x"]
    swapped = compare_limbs({"x": values}, 1 - limb, pairs[:, ::-1], limbs=("R", "L"))["x"]
    assert swapped.si == -row.si
    assert (swapped.ci_low, swapped.ci_high) == (-row.ci_high, -row.ci_low)
    assert swapped.sa == pytest.approx(-row.sa, abs=1e-12)
    assert (swapped.left, swapped.right, swapped.lsi) == (row.right, row.left, row.lsi)
    assert (swapped.n_needed, swapped.distinguishable) == (row.n_needed, row.distinguishable)
    assert (swapped.se, swapped.noise_floor) == (pytest.approx(row.se), pytest.approx(row.noise_floor))


@pytest.mark.parametrize("factor", [2.0**-30, 686.4655, 1e9])
def test_the_unit_does_not_matter(factor):
    values, limb, pairs = make_run()
    row = compare_limbs({"x": values}, limb, pairs)["x"]
    scaled = compare_limbs({"x": factor * values}, limb, pairs)["x"]
    for name in ("si", "ga_ln", "sa", "lsi", "nsi", "ci_low", "ci_high", "se", "noise_floor"):
        assert getattr(scaled, name) == pytest.approx(getattr(row, name), rel=1e-10)


def test_braking_is_compared_by_magnitude_and_shown_as_measured():
    values, limb, pairs = make_run()
    up = compare_limbs({"x": values}, limb, pairs)["x"]
    table = compare_limbs({"imp_brake": -values, "other": -values}, limb, pairs)
    down = table["imp_brake"]
    for name in ("si", "ga_ln", "sa", "lsi", "nsi", "ci_low", "ci_high"):
        assert getattr(down, name) == getattr(up, name)
    assert (down.left, down.right) == (-up.left, -up.right)
    assert table["other"].si == pytest.approx(up.si)
    assert table["other"].nsi == pytest.approx(-up.nsi)


@pytest.mark.parametrize("name", ["imp_ap_net", "imp_ml_net"])
def test_net_components_are_refused(name):
    values, limb, pairs = make_run()
    row = compare_limbs({name: values}, limb, pairs)[name]
    assert all(math.isnan(getattr(row, k)) for k in ("si", "ga_ln", "sa", "lsi", "nsi", "ci_low", "se"))
    assert row.distinguishable is None
    assert row.n_left == 40
    assert math.isfinite(row.left)
    assert "net component" in row.note


def test_means_of_unlike_sign_have_no_si():
    values, limb, pairs = make_run(means=(0.5, -0.5))
    row = compare_limbs({"x": values}, limb, pairs)["x"]
    assert math.isnan(row.si)
    assert math.isfinite(row.sa)
    assert math.isfinite(row.nsi)
    assert (row.distinguishable, row.beyond_variability, row.n_planning) == (None, None, None)
    assert "unlike sign" in row.note


def test_a_mean_near_zero_has_no_interval():
    values, limb, pairs = make_run(means=(1.0, 0.005), sds=(0.04, 0.05))
    values[limb == 1] += 0.003 - values[limb == 1].mean()
    row = compare_limbs({"x": values}, limb, pairs)["x"]
    assert math.isfinite(row.si)
    assert math.isnan(row.ci_low)
    assert "unlike sign" in row.note


def test_a_constant_metric_has_no_noise():
    limb = np.tile([0, 1], 20)
    pairs = pair_strides(limb, np.arange(40.0))
    unequal_n = np.append(limb, 0)
    same = compare_limbs({"x": np.full(41, 0.1)}, unequal_n, pairs)["x"]
    assert (same.si, same.ci_low, same.ci_high, same.sd_left, same.se, same.noise_floor) == (0, 0, 0, 0, 0, 0)
    assert (same.distinguishable, same.beyond_variability) == (False, False)
    differ = compare_limbs({"x": np.where(limb == 0, 0.11, 0.1)}, limb, pairs)["x"]
    assert differ.ci_low == differ.ci_high == differ.si
    assert (differ.distinguishable, differ.beyond_variability, differ.n_needed) == (True, True, 1)


@pytest.mark.parametrize("n_pairs", [0, 1, 2])
def test_few_pairs_give_no_interval(n_pairs):
    values, limb, pairs = make_run(4)
    row = compare_limbs({"x": values}, limb, pairs[:n_pairs])["x"]
    assert math.isfinite(row.si)
    assert math.isfinite(row.se)
    assert math.isnan(row.ci_low)
    assert math.isnan(row.ci_high)
    assert row.distinguishable is None
    assert "fewer than 3" in row.note


def test_one_step_per_limb():
    row = compare_limbs({"x": [1.05, 0.95]}, [0, 1], [[0, 1]])["x"]
    assert row.si == pytest.approx(10.0)
    assert math.isnan(row.sd_left)
    assert math.isnan(row.se)
    assert math.isnan(row.noise_floor)
    assert (row.n_needed, row.n_planning, row.beyond_variability) == (None, None, None)
    assert "no SD" in row.note


def test_missing_metrics_and_limbs_say_so():
    values, limb, pairs = make_run()
    table = compare_limbs(
        {"none": np.full(80, np.nan), "left": np.where(limb == 0, values, np.inf)}, limb, pairs
    )
    assert table["none"].note == "no finite value for L and R"
    assert table["left"].note == "no finite value for R"
    assert table["left"].n_right == 0
    assert math.isnan(table["left"].si)


def test_a_note_tells_when_few_steps_are_in_pairs():
    values, limb, pairs = make_run()
    assert "20 stride pairs" in compare_limbs({"x": values}, limb, pairs[:20])["x"].note


def test_empty_input():
    table = compare_limbs({}, [], [])
    assert (len(table), table.n_pairs, table.block_length, table.metrics) == (0, 0, 0, ())
    assert compare_limbs({"x": []}, [], [])["x"].note == "no finite value for L and R"
    assert "0 metrics" in repr(table)


def test_unusable_steps_are_left_out():
    values, limb, pairs = make_run()
    masked = limb.copy()
    masked[pairs[0]] = -1
    row = compare_limbs({"x": values}, masked, pairs[1:])["x"]
    assert row.n_left == 39
    assert row.left == pytest.approx(values[2::2].mean())


def test_minimal_detectable_change():
    values, limb, pairs = exact_run()
    table = compare_limbs({"a": values, "b": values, "c": values}, limb, pairs, mdc95={"a": 4.0, "b": 5.0})
    assert [row.beyond_error for row in table] == [True, False, None]
    right_larger = compare_limbs({"a": values}, 1 - limb, pairs[:, ::-1], mdc95={"a": 4.0})["a"]
    assert right_larger.si < 0
    assert right_larger.beyond_error is True


def test_no_bootstrap_on_request():
    values, limb, pairs = make_run()
    row = compare_limbs({"x": values}, limb, pairs, n_boot=0)["x"]
    assert math.isnan(row.ci_low)
    assert row.note == "no interval asked for"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": {"tc": [1.0, 2.0]}}, "tc has shape"),
        ({"values": {"tc": "abcdefgh"}}, "tc must be numbers"),
        ({"limb": [0, 1, 0, 1, 0, 1, 0, 3]}, "first limb"),
        ({"pairs": [[0, 1], [2, 1]]}, "twice"),
        ({"pairs": [[1, 0]]}, "first limb"),
        ({"pairs": [[0, 9]]}, "outside"),
        ({"pairs": [[0, -1]]}, "outside"),
        ({"pairs": [[0.0, 1.0]]}, "whole numbers"),
        ({"pairs": [0, 1]}, "whole numbers"),
        ({"n_boot": 10}, "at least 40"),
        ({"n_boot": -1}, "at least 40"),
        ({"seed": -1}, "negative"),
        ({"limbs": ("L",)}, "two names"),
    ],
)
def test_comparison_misuse(changes, message):
    values, limb, pairs = make_run(4)
    arguments = {"values": {"tc": values}, "limb": limb, "pairs": pairs, **changes}
    with pytest.raises(DataError, match=message):
        compare_limbs(arguments.pop("values"), arguments.pop("limb"), arguments.pop("pairs"), **arguments)


def test_input_may_be_read_only_strided_or_byte_swapped_and_stays_untouched():
    values, limb, pairs = make_run()
    expected = compare_limbs({"x": -values}, limb, pairs, magnitude=frozenset({"x"}))
    wide = np.empty(160, dtype=">f8")
    wide[::2] = -values
    odd = wide[::2]
    for array in (odd, limb, pairs):
        array.flags.writeable = False
    before = odd.copy()
    assert compare_limbs({"x": odd}, limb.astype(np.int8), pairs, magnitude=frozenset({"x"})) == expected
    np.testing.assert_array_equal(odd, before)


def test_table_is_a_sequence_of_rows_by_name():
    values, limb, pairs = make_run()
    table = compare_limbs({"tc": values, "vilr": values**2}, limb, pairs, limbs=("A", "B"), seed=4)
    assert table.metrics == ("tc", "vilr")
    assert [row.metric for row in table] == ["tc", "vilr"]
    assert table[1] is table["vilr"]
    assert "tc" in table
    assert "tf" not in table
    assert (table.limbs, table.n_boot, table.seed, table.n_pairs, table.block_length) == (
        ("A", "B"),
        2000,
        4,
        40,
        4,
    )
    with pytest.raises(KeyError, match="no metric 'tf'"):
        table["tf"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        table["tc"].si = 0.0
    assert pickle.loads(pickle.dumps(table)) == table


def test_table_as_text_spells_the_side():
    values, limb, pairs = make_run()
    text = repr(compare_limbs({"tc": values, "imp_ap_net": values, "r": 1 / values}, limb, pairs))
    lines = text.splitlines()
    assert len(lines) == 5
    assert "SI > 0 means L > R" in lines[0]
    assert "L > R" in lines[2]
    assert "nan" not in text
    assert "L < R" in lines[4]
    assert lines[1].index("note") == lines[3].index("net component")


def test_table_as_json():
    values, limb, pairs = make_run()
    table = compare_limbs({"tc": values, "none": np.full(80, np.nan)}, limb, pairs)
    back = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert back["rows"][0]["si"] == table["tc"].si
    assert back["rows"][1]["si"] is None
    assert back["limbs"] == ["L", "R"]


def test_table_as_frame():
    pytest.importorskip("pandas")
    values, limb, pairs = make_run()
    table = compare_limbs({"tc": values, "vilr": values**2}, limb, pairs)
    frame = table.to_pandas()
    assert list(frame.index) == ["tc", "vilr"]
    assert frame.loc["tc", "si"] == table["tc"].si


def test_without_pandas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    values, limb, pairs = make_run()
    with pytest.raises(MissingExtraError, match=r"balancecore\[tables\]"):
        compare_limbs({"tc": values}, limb, pairs).to_pandas()


# -------------------------------------------------------------------------------------------------- waveforms

STANCE = np.linspace(0.0, 1.0, 101)
HALF_SINE = np.sin(np.pi * STANCE)


def test_a_scaled_curve_has_perfect_trend_symmetry():
    result = waveform_symmetry(HALF_SINE, 1.2 * HALF_SINE)
    assert result.trend_symmetry == pytest.approx(0.0, abs=EXACT)
    assert result.trend_theta_deg == pytest.approx(math.degrees(math.atan(1.2)), abs=EXACT)
    assert result.trend_theta_deg == pytest.approx(50.194, abs=5e-4)
    assert result.range_amplitude_ratio == pytest.approx(1 / 1.2)
    assert result.amplitude_ratio == pytest.approx(1 / 1.2)
    assert result.xcorr_0 == pytest.approx(1.0)
    assert (result.lag_best_pct, result.phase_shift_pct) == (0.0, 0.0)
    assert result.max_abs_diff == pytest.approx(0.2)
    assert result.t_max_abs_diff_pct == 50.0


@pytest.mark.parametrize(("shift", "expected"), [(0.05, 0.0250856), (0.10, 0.1055728)])
def test_a_shifted_sine_has_a_known_trend_symmetry(shift, expected):
    """One whole period (no repeated end point): TS = tan²(φ/2)."""
    phase = np.arange(100) / 100
    result = waveform_symmetry(np.sin(2 * np.pi * phase), np.sin(2 * np.pi * (phase - shift)))
    assert result.trend_symmetry == pytest.approx(expected, abs=1e-7)
    assert result.trend_symmetry == pytest.approx(math.tan(math.pi * shift) ** 2, abs=EXACT)
    assert result.trend_theta_deg == pytest.approx(45.0)
    assert result.xcorr_0 == pytest.approx(math.cos(2 * math.pi * shift))
    assert result.xcorr_best == pytest.approx(1.0)


@pytest.mark.parametrize("later", [-7, 0, 12])
def test_lags_are_positive_where_left_is_later(later):
    base = np.exp(-(((np.arange(101) - 45) / 14.0) ** 2))
    left = 1.3 * np.exp(-(((np.arange(101) - 45 - later) / 14.0) ** 2))
    result = waveform_symmetry(left, base)
    assert result.lag_best_pct == pytest.approx(later)
    assert result.phase_shift_pct == pytest.approx(later)
    assert result.xcorr_best == pytest.approx(1.0)
    assert result.xcorr_best >= result.xcorr_0


def test_nigg_integral_of_half_sines():
    result = waveform_symmetry(2.5 * HALF_SINE, 2.4 * HALF_SINE)
    # 1e-8 is what Simpson's rule leaves on 101 points.
    assert result.nigg_si == pytest.approx(0.2 * 2 / math.pi / 4.9, abs=1e-8)
    assert result.nigg_si == pytest.approx(0.025984, abs=1e-6)


def test_symmetry_function_is_positive_where_left_is_larger():
    result = waveform_symmetry(2.5 * HALF_SINE, 2.4 * HALF_SINE)
    np.testing.assert_allclose(result.sf, 100 * 0.1 * HALF_SINE / 2.45, atol=1e-12)
    assert result.sf.shape == (101,)
    assert not result.sf.flags.writeable


def test_differences_in_units():
    result = waveform_symmetry(HALF_SINE + 0.3, HALF_SINE)
    assert result.rms_diff == pytest.approx(0.3)
    assert result.rms_diff_rel == pytest.approx(0.3)
    assert result.offset == pytest.approx(0.3)
    assert result.trend_symmetry == pytest.approx(0.0, abs=EXACT)


def test_swapping_curves():
    rng = np.random.default_rng(8)
    left, right = HALF_SINE + 0.02 * rng.normal(size=101), np.roll(HALF_SINE, 4) * 0.9
    one, other = waveform_symmetry(left, right), waveform_symmetry(right, left)
    for name in (
        "rms_diff",
        "rms_diff_rel",
        "max_abs_diff",
        "xcorr_0",
        "xcorr_best",
        "trend_symmetry",
        "nigg_si",
    ):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12)
    for name in ("lag_best_pct", "phase_shift_pct", "offset"):
        assert getattr(one, name) == pytest.approx(-getattr(other, name), rel=1e-12)
    for name in ("amplitude_ratio", "range_amplitude_ratio"):
        assert getattr(one, name) == pytest.approx(1 / getattr(other, name), rel=1e-12)
    assert one.trend_theta_deg == pytest.approx(90 - other.trend_theta_deg)
    np.testing.assert_array_equal(one.sf, -other.sf)


@given(factor=st.one_of(st.floats(1e-3, 1e3), st.sampled_from([1e-100, 1e100])))
def test_waveform_shape_measures_are_free_of_units(factor):
    one = waveform_symmetry(HALF_SINE, HALF_SINE**2)
    scaled = waveform_symmetry(factor * HALF_SINE, factor * HALF_SINE**2)
    for name in ("rms_diff_rel", "xcorr_0", "trend_symmetry", "trend_theta_deg", "nigg_si"):
        assert getattr(scaled, name) == pytest.approx(getattr(one, name), rel=1e-9)


def test_the_shortest_of_equally_good_lags_wins():
    """Straight lines correlate perfectly at every lag; rounding must not choose one."""
    result = waveform_symmetry(0.1 * STANCE, 0.3 * STANCE + 0.7)
    assert (result.lag_best_pct, result.phase_shift_pct) == (0.0, 0.0)


def test_equal_curves():
    result = waveform_symmetry(HALF_SINE, HALF_SINE)
    assert (result.rms_diff, result.offset, result.nigg_si, result.lag_best_pct) == (0, 0, 0, 0)
    assert result.trend_theta_deg == pytest.approx(45.0)
    assert result.note == ""


def test_constant_and_missing_curves_say_so():
    flat = waveform_symmetry(HALF_SINE, np.ones(101))
    assert flat.note == "a curve is constant"
    assert all(math.isnan(v) for v in (flat.xcorr_0, flat.xcorr_best, flat.lag_best_pct, flat.trend_symmetry))
    assert math.isfinite(flat.rms_diff_rel)
    both = waveform_symmetry(np.zeros(101), np.zeros(101))
    assert math.isnan(both.nigg_si)
    assert np.isnan(both.sf).all()
    missing = waveform_symmetry(np.where(STANCE == 0.5, np.nan, HALF_SINE), HALF_SINE)
    assert missing.note == "a curve has missing values"
    assert math.isnan(missing.rms_diff)
    assert json.loads(json.dumps(missing.to_dict(), allow_nan=False))["sf"] == [None] * 101


@pytest.mark.parametrize(
    ("left", "right", "lag", "message"),
    [
        (HALF_SINE, HALF_SINE[:-1], 20.0, "one length"),
        ([1.0, 2.0, 1.0], [1.0, 2.0, 1.0], 20.0, "at least 4"),
        (np.ones((101, 2)), np.ones((101, 2)), 20.0, "shapes"),
        (HALF_SINE, HALF_SINE, 50.0, "below 50"),
        (HALF_SINE, HALF_SINE, -1.0, "at least 0"),
    ],
)
def test_waveform_misuse(left, right, lag, message):
    with pytest.raises(DataError, match=message):
        waveform_symmetry(left, right, max_lag_pct=lag)
