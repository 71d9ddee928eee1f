"""The offset under the signal: where it is seen, which knots count, and what stands in for them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

import balancecore as bc
from balancecore.baseline import _monotone_cubic, fit_baseline, unloaded_windows
from balancecore.intake import take_in
from balancecore.simulate import Drift, Limb, treadmill

RATE_HZ = 1000.0
WHOLE = np.array([[0, 3000]])
ALL_SIX = np.ones((1, 6), dtype=bool)
EXACT = 1e-9


def windows_of(pairs, segments=WHOLE, rate_hz=RATE_HZ, **options):
    on, off = np.array(pairs, dtype=float).reshape(-1, 2).T
    return unloaded_windows(on, off, np.asarray(segments), rate_hz, **options).tolist()


def wrench_of(values):
    """Fz holds the values, the other channels multiples of them."""
    return np.ascontiguousarray(values[:, None] * np.array([0.1, -0.2, 1.0, 0.05, -0.03, 0.01]))


def record_of(wrench, missing=()):
    return take_in(bc.Trial.from_wrenches([wrench], rate_hz=RATE_HZ, missing=missing))


# --------------------------------------------------------------------------------------------------
# Windows


def test_the_middle_half_of_each_flight_and_short_ends():
    found = windows_of([(500, 750), (850, 1100)])
    # 0.2 s before the first contact, the flight, 0.2 s after the last: each its middle half
    assert found == [[350, 451], [775, 826], [1150, 1251]]


def test_a_record_without_contacts_has_no_windows():
    assert windows_of([]) == []


def test_a_cut_contact_leaves_no_window_outside_it():
    assert windows_of([(0, 250), (350, 3000)]) == [[275, 326]]


@pytest.mark.parametrize(("flight", "seen"), [(19, False), (21, True)])
def test_flights_below_20_ms_hold_no_clean_middle(flight, seen):
    found = windows_of([(500, 750), (750 + flight, 1000)])
    assert (len(found) == 3) is seen


def test_at_low_rates_a_knot_rests_on_five_samples_or_is_none():
    found = windows_of([(50, 75), (82, 110)], [[0, 300]], 100.0)
    assert [b - a for a, b in found][1] == 5
    assert len(windows_of([(50, 75), (79, 110)], [[0, 300]], 100.0)) == 2


def test_each_stretch_between_gaps_has_its_own_ends():
    found = windows_of([(500, 750), (1600, 1800)], [[0, 1200], [1300, 3000]])
    assert all(b <= 1200 or a >= 1300 for a, b in found)
    assert len(found) == 4


def test_standing_still_is_not_unloaded():
    assert windows_of([(500, 750), (850, 1100)], busy=np.array([[1200, 3000]])) == [[350, 451], [775, 826]]


def test_rough_contacts_keep_their_distance():
    found = windows_of([(500, 750), (790, 1100), (1125, 1300)], margin_s=0.010)
    assert found[1] == [765, 776], "the flight of 40 ms is 20 ms when the flanks are left out"
    assert len(found) == 3, "the flight of 25 ms is none"


# --------------------------------------------------------------------------------------------------
# Fit


def knots_at(centres, half=20):
    return np.array([(c - half, c + half + 1) for c in centres], dtype=np.int64)


CENTRES = np.arange(100, 2900, 300)


def test_pchip_through_the_means_held_at_the_ends():
    t = np.arange(3000.0)
    drift = 30.0 * t / 3000.0 + 5.0 * np.sin(2 * np.pi * t / 2500.0)
    wrench = wrench_of(drift)
    windows = knots_at(CENTRES)
    found = fit_baseline("aerial_pchip", record_of(wrench), (0,), ALL_SIX, windows)
    assert not len(found.dropped)
    means = np.array([wrench[a:b].mean(axis=0) for a, b in windows])
    expected = PchipInterpolator(CENTRES, means)(np.clip(t, CENTRES[0], CENTRES[-1]))
    np.testing.assert_allclose(found.at(t)[0].T, expected, atol=EXACT)


def test_linear_constant_and_none():
    t = np.arange(3000.0)
    wrench = wrench_of(10.0 + 0.01 * t)
    windows = knots_at(CENTRES)
    line = fit_baseline("linear", record_of(wrench), (0,), ALL_SIX, windows)
    np.testing.assert_allclose(line.at(t)[0, 2, 100:2800], wrench[100:2800, 2], atol=1e-6)
    assert line.at(t)[0, 2, 0] == pytest.approx(wrench[100, 2], abs=1e-6), "held before the first knot"
    level = fit_baseline("constant", record_of(wrench), (0,), ALL_SIX, windows)
    np.testing.assert_allclose(level.at(t)[0, 2], wrench[CENTRES, 2].mean(), atol=EXACT)
    nothing = fit_baseline("none", record_of(wrench), (0,), ALL_SIX, windows)
    assert not nothing.at(t).any()
    assert nothing.note == ""


def test_less_than_asked_is_said():
    wrench = wrench_of(np.full(3000, 7.0))
    none = fit_baseline("aerial_pchip", record_of(wrench), (0,), ALL_SIX, np.empty((0, 2), dtype=np.int64))
    assert none.method == "none"
    assert "no unloaded window" in none.note
    one = fit_baseline("aerial_pchip", record_of(wrench), (0,), ALL_SIX, knots_at([500]))
    assert one.method == "constant"
    assert "only one unloaded window" in one.note
    assert one.at(np.array([0.0, 2999.0]))[0, 2].tolist() == pytest.approx([7.0, 7.0])


@pytest.mark.parametrize("bad", [0, 4, 9])
@pytest.mark.parametrize("channel", [0, 2, 3])
def test_a_knot_far_from_its_neighbours_line_is_dropped_on_all_channels(bad, channel):
    t = np.arange(3000.0)
    wrench = wrench_of(30.0 * t / 3000.0)
    windows = knots_at(CENTRES)
    wrench[windows[bad, 0] : windows[bad, 1], channel] += 8.0
    found = fit_baseline("aerial_pchip", record_of(wrench), (0,), ALL_SIX, windows)
    np.testing.assert_array_equal(found.dropped, windows[[bad]])
    assert len(found.knots) == len(CENTRES) - 1


def test_a_slope_costs_no_knots():
    """A running median would drop good knots here (metrics 1.5)."""
    wrench = wrench_of(0.1 * np.arange(3000.0))
    assert not len(fit_baseline("aerial_pchip", record_of(wrench), (0,), ALL_SIX, knots_at(CENTRES)).dropped)


def test_a_channel_that_was_not_measured_has_no_offset():
    wrench = wrench_of(np.full(3000, 7.0))
    measured = np.array([[True, True, True, False, False, False]])
    found = fit_baseline(
        "aerial_pchip", record_of(wrench, ("Mx", "My", "Mz")), (0,), measured, knots_at(CENTRES)
    )
    assert not found.at(np.array([1500.0]))[0, 3:].any()
    assert found.at(np.array([1500.0]))[0, 2, 0] == pytest.approx(7.0)


# --------------------------------------------------------------------------------------------------
# In an analysis


def test_each_plate_and_channel_loses_its_own_drift():
    """The centre of pressure comes after the offsets, moments included."""
    drift = (Drift(constant_n=12.0, linear_n=25.0, sine_n=10.0), Drift(constant_n=-20.0, linear_n=-15.0))
    options = {"n_steps": 60, "noise_n": 0.5, "seed": 2}
    clean, drifting = treadmill(**options), treadmill(**options, drift_n=drift)
    expected = bc.analyze_gait(clean.trial, mass_kg=70.0, n_boot=0).steps
    steps = bc.analyze_gait(drifting.trial, mass_kg=70.0, n_boot=0).steps
    raw = bc.analyze_gait(drifting.trial, mass_kg=70.0, n_boot=0, baseline="none", level_n=50.0).steps
    #: The interpolated offset errs by some 0.2 N, its moment by 0.02 N·m, on 700 N.
    for name, atol in (
        ("cop_x", 2e-4),
        ("cop_y", 2e-4),
        ("imp_v", 3e-4),
        ("imp_brake", 2e-4),
        ("imp_med", 2e-4),
    ):
        np.testing.assert_allclose(steps[name], expected[name], atol=atol, err_msg=name)
        assert np.nanmax(np.abs(raw[name] - expected[name])) > 2 * atol, (
            f"{name}: the drift does no harm at all"
        )


@pytest.mark.parametrize("method", ["aerial_pchip", "linear", "constant", "none"])
def test_what_was_used_is_said(method):
    sim = treadmill(n_steps=10, noise_n=1.0, seed=2)
    result = bc.analyze_gait(sim.trial, n_boot=0, baseline=method)
    assert result.provenance["used"]["baseline"] == [method]
    assert result.provenance["options"]["baseline"] == method
    assert result.quality["baseline"][0]["note"] == ""


def test_flights_too_short_fall_back_to_a_line_and_say_so():
    limb = Limb(contact_s=0.33, flight_after_s=0.012, shape="half_sine")
    sim = treadmill(n_steps=30, left=limb, right=limb, noise_n=1.0, seed=2, belts="single")
    result = bc.analyze_gait(sim.trial, mass_kg=70.0, n_boot=0)
    (base,) = result.quality["baseline"]
    assert result.quality["used"] == 30
    assert result.quality["body_weight"]["whole_strides_mass_kg"] == pytest.approx(70.0, rel=1e-3)
    assert base["method"] == "linear"
    assert "straight line" in base["note"]
    assert (result.steps["flags"] & int(bc.Flag.DRIFT_SUSPECT)).all()
    assert any("straight line" in w for w in result.quality["warnings"])


def test_large_drift_is_reported_with_its_range():
    sim = treadmill(n_steps=60, noise_n=1.0, seed=2, drift_n=(Drift(linear_n=60.0), 0.0))
    base = bc.analyze_gait(sim.trial, mass_kg=70.0, n_boot=0).quality["baseline"][0]
    assert base["fz_max_n"][0] - base["fz_min_n"][0] == pytest.approx(60.0, abs=3.0)
    assert base["fz_max_n"][1] - base["fz_min_n"][1] < 3.0


# --------------------------------------------------------------------------------------------------
# The monotone cubic

#: Our sums and SciPy's stand in another order: some units in the last place of the largest coefficient.
SAME_POLYNOMIAL = 1e-12


@given(
    k=st.integers(2, 12),
    flat=st.lists(st.integers(0, 11), max_size=4),
    scale=st.sampled_from([1e-6, 1.0, 1e5]),
    seed=st.integers(0, 1000),
)
def test_the_monotone_cubic_is_scipys(k, flat, scale, seed):
    rng = np.random.default_rng(seed)
    t, values = np.cumsum(rng.uniform(1.0, 500.0, k)), scale * rng.normal(size=(k, 3))
    for row in flat:  # equal neighbours: secants of zero
        values[row % k] = values[(row + 1) % k]
    values[:, 2] = np.sort(values[:, 2])
    expected = PchipInterpolator(t, values, axis=0).c
    for found, wanted in zip(_monotone_cubic(t, values), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=SAME_POLYNOMIAL * np.abs(wanted).max())
