"""The simulator against reference values, physics, and what a user would notice."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balancecore.errors import DataError
from balancecore.simulate import (
    LEFT,
    RIGHT,
    STANDARD_GRAVITY,
    WALK,
    Drift,
    Endless,
    Limb,
    WalkLimb,
    braking_force,
    footfall_force,
    half_sine,
    treadmill,
)

from .golden import AP_8_4, HALF_SINE, SI_20N, TWO_MASS, TWO_MASS_COLUMNS

MASS_KG = 70.0
WEIGHT_N = MASS_KG * STANDARD_GRAVITY
#: Root finding stops at rounding error; the reference was found by a search good to some 1e-9 in time.
GOLDEN_RTOL = 1e-6
ROUNDING = 1e-12
#: Half a unit of the last printed digit of a rounded reference.
SI_PRINTED = 0.5e-4
FORCES_AND_MOMENTS = 6
HALF_SINE_LIMB = Limb(shape="half_sine")


running = st.builds(
    Limb,
    contact_s=st.floats(0.15, 0.35),
    flight_after_s=st.floats(0.02, 0.2),
    impact_dv_m_s=st.floats(0.2, 1.8),
    impact_dt_s=st.floats(0.015, 0.03),
    brake_bw=st.floats(0.05, 0.5),
    ap_zero=st.floats(0.3, 0.7),
)
walking = st.builds(
    WalkLimb,
    contact_s=st.floats(0.55, 0.8),
    double_support_after_s=st.floats(0.05, 0.2),
    second_over_first=st.floats(0.8, 1.2),
)


def run(**options):
    return treadmill("run", **options)


def whole_strides(sim, total):
    """Mean over whole strides, after the first one, before the last one."""
    inside = [s for s in sim.steps if s.side == "L"]
    first, last = round(inside[1].t0 * sim.rate_hz), round(inside[-1].t0 * sim.rate_hz)
    return total[first:last].mean(axis=0)


# Reference values


@pytest.mark.parametrize(("side", "level_n"), TWO_MASS)
def test_two_mass_truth_is_the_reference(side, level_n):
    truth = run(n_steps=2).truth(level_n)
    row = list(truth["side"]).index(side)
    for name, (column, scale) in TWO_MASS_COLUMNS.items():
        assert truth[column][row] * scale == pytest.approx(TWO_MASS[side, level_n][name], rel=GOLDEN_RTOL), (
            name
        )


@pytest.mark.parametrize(("side", "level_n"), TWO_MASS)
def test_onset_is_delayed_by_the_level(side, level_n):
    sim = run(n_steps=2)
    row = "LR".index(side)
    delay_ms = 1e3 * (sim.truth(level_n)["t_on"][row] - sim.steps[row].t0)
    assert delay_ms == pytest.approx(TWO_MASS[side, level_n]["onset_delay_ms"], rel=GOLDEN_RTOL)


@pytest.mark.parametrize("metric", SI_20N)
def test_definitions_disagree_as_published(metric):
    assert run(n_steps=8).true_si(metric) == pytest.approx(SI_20N[metric], abs=SI_PRINTED)


def test_half_sine_force():
    t = np.linspace(-0.1, 0.4, 501)
    force = half_sine(t, contact_s=0.25, flight_s=0.10, mass_kg=MASS_KG)
    assert force.max() == pytest.approx(HALF_SINE["Fmax_N"], rel=ROUNDING)
    assert (force[(t < 0) | (t > 0.25)] == 0).all()


@pytest.mark.parametrize("level_n", HALF_SINE["tc_s"])
def test_half_sine_contact_time_depends_on_the_level(level_n):
    truth = run(n_steps=4, left=HALF_SINE_LIMB, right=HALF_SINE_LIMB).truth(level_n)
    assert truth["tc"] == pytest.approx(HALF_SINE["tc_s"][level_n], rel=ROUNDING)


def test_half_sine_at_a_vanishing_level_is_the_closed_form():
    near_n, rtol = 1e-6, 1e-8
    truth = run(n_steps=4, left=HALF_SINE_LIMB, right=HALF_SINE_LIMB).truth(near_n)
    expected = {
        "peak_active": HALF_SINE["Fmax_BW"],
        "imp_v": HALF_SINE["impulse_Ns"] / WEIGHT_N,
        "imp_v_net": HALF_SINE["net_impulse_Ns"] / WEIGHT_N,
        "vilr": HALF_SINE["max_slope_BW_s"],
        "vilr_50ms": HALF_SINE["max_slope_BW_s"],
        "duty": HALF_SINE["duty_factor"],
        "vo": HALF_SINE["vertical_oscillation_m"],
        "k_vert": HALF_SINE["kvert_kN_m"],
    }
    for name, value in expected.items():
        assert truth[name][0] == pytest.approx(value, rel=rtol), name
    for name, value in HALF_SINE["valr_true_stance_BW_s"].items():
        assert truth[f"valr_{name}"][0] == pytest.approx(value, abs=SI_PRINTED), name


def test_half_sine_has_no_impact_peak():
    truth = run(n_steps=4, left=HALF_SINE_LIMB, right=HALF_SINE_LIMB).truth()
    for name in ("peak_impact", "t_impact", "valr_0_100", "valr_2080t", "valr_2080f"):
        assert np.isnan(truth[name]).all(), name
    assert np.isfinite(truth["vilr"]).all()


def test_one_limb_without_impact_peak_moves_the_end_point_of_both():
    mixed = run(n_steps=8, left=LEFT, right=HALF_SINE_LIMB).truth()
    right = mixed["side"] == "R"
    assert np.isnan(mixed["peak_impact"][right]).all()
    assert np.isfinite(mixed["vilr"][right]).all()
    assert mixed["vilr"][0] == pytest.approx(TWO_MASS["L", 20.0]["VILR"], rel=GOLDEN_RTOL)


def test_fore_aft_reference():
    limb = Limb(brake_bw=200 / WEIGHT_N, propulsion_bw=220 / WEIGHT_N)
    truth = run(n_steps=2, left=limb, right=limb).truth(1e-6)
    printed = 1e-6
    assert truth["imp_brake"][0] * WEIGHT_N == pytest.approx(AP_8_4["imp_brake_Ns"], abs=printed)
    assert truth["imp_prop"][0] * WEIGHT_N == pytest.approx(AP_8_4["imp_prop_Ns"], abs=printed)
    assert truth["imp_ap_net"][0] * STANDARD_GRAVITY == pytest.approx(AP_8_4["net_dv_m_s"], abs=printed)
    assert truth["t_zero_ap"][0] == pytest.approx(AP_8_4["zero_pct"], abs=1e-3)  # the level is not quite zero
    assert braking_force(limb, 0.25 / 4, MASS_KG) == pytest.approx(-200)
    assert braking_force(limb, 0.75 * 0.25, MASS_KG) == pytest.approx(220)
    assert truth["blr"][0] * WEIGHT_N == pytest.approx(-2 * np.pi * 200 / 0.25, rel=GOLDEN_RTOL)


def test_reference_end_to_end_set():
    sim = run(n_steps=80, noise_n=3.0, drift_n=Drift(linear_n=30.0, sine_n=15.0, sine_period_s=20.0), seed=42)
    assert len(sim.steps) == 80
    truth = sim.truth()
    cadence = 60 * 79 / (truth["t_on"][-1] - truth["t_on"][0])
    assert cadence == pytest.approx(173.91304, abs=0.3)  # an odd number of steps: not quite whole strides
    assert truth["t_on"][2] - truth["t_on"][0] == pytest.approx(0.69, rel=ROUNDING)
    added = sum(w[:, 2] for w in sim.wrenches) - sum(w[:, 2] for w in run(n_steps=80).wrenches)
    drift = sim.baseline(0) + sim.baseline(1)
    assert (added - drift).std() == pytest.approx(3.0 * math.sqrt(2), rel=0.02)


# An oracle: measured by counting on very dense frames, with none of the code that makes the truth

ORACLE_RATE_HZ = 200_000.0
ORACLE_RTOL = 1e-4  # sums and extremes over frames 5 µs apart, at the kinks and ends of the curves
ORACLE_ATOL = 1e-5
ORACLE_SLOPE_RTOL = 2e-3  # the slope at the end of a window changes from frame to frame


def measured_on_dense_frames(sim, level_n):
    """Metrics of the first footfall (a left one) by the plainest arithmetic."""
    wrench = sim.wrenches[0][: round((sim.steps[0].t1 + 0.001) * ORACLE_RATE_HZ)]
    fx, fy, fz = wrench[:, :3].T / (sim.mass_kg * STANDARD_GRAVITY)
    loaded = np.flatnonzero(wrench[:, 2] >= level_n)
    on, off = loaded[0], loaded[-1]
    inside, dt = slice(on, off + 1), 1 / ORACLE_RATE_HZ
    frames, level_bw = np.arange(len(fz)), level_n / (sim.mass_kg * STANDARD_GRAVITY)
    t_on = np.interp(level_bw, fz[on - 1 : on + 1], frames[on - 1 : on + 1]) * dt
    t_off = np.interp(-level_bw, -fz[off : off + 2], frames[off : off + 2]) * dt
    tc = t_off - t_on

    def rate(a_s, b_s):
        a, b = np.interp([t_on + a_s, t_on + b_s], frames * dt, fz)
        return (b - a) / (b_s - a_s)

    return {
        "tc": tc,
        "t_on": t_on,
        "imp_v": fz[inside].sum() * dt,
        "imp_brake": np.minimum(fy[inside], 0).sum() * dt,
        "imp_prop": np.maximum(fy[inside], 0).sum() * dt,
        "imp_med": np.maximum(fx[inside], 0).sum() * dt,
        "imp_lat": np.minimum(fx[inside], 0).sum() * dt,
        "peak_brake": fy[inside].min(),
        "peak_prop": fy[inside].max(),
        "valr_3_12": rate(0.03 * tc, 0.12 * tc),
        "valr_2080_poi13": rate(0.026 * tc, 0.104 * tc),
        "valr_0_50ms": rate(0.0, 0.05),
        "vilr_50ms": np.diff(fz[on : on + round(0.05 / dt)]).max() / dt,
        "cop_x": -0.25 - wrench[inside, 4].sum() / wrench[inside, 2].sum(),
    }


@settings(max_examples=30, deadline=None)
@given(data=st.data(), gait=st.sampled_from(["run", "walk"]), incline_deg=st.sampled_from([0.0, 4.0, -3.0]))
def test_truth_agrees_with_counting_on_dense_frames(data, gait, incline_deg):
    limb = data.draw(running if gait == "run" else walking)
    sim = treadmill(
        gait, n_steps=1, left=limb, right=limb, rate_hz=ORACLE_RATE_HZ, incline_deg=incline_deg, start_s=0.01
    )
    truth = sim.truth(20.0)
    for name, value in measured_on_dense_frames(sim, 20.0).items():
        rtol = ORACLE_SLOPE_RTOL if name == "vilr_50ms" else ORACLE_RTOL
        assert truth[name][0] == pytest.approx(value, rel=rtol, abs=ORACLE_ATOL), name


# Physics


@settings(max_examples=25, deadline=None)
@given(left=running, right=running)
def test_runners_hold_up_their_weight_and_keep_their_speed(left, right):
    sim = run(n_steps=12, left=left, right=right, rate_hz=2000.0)
    assert_steady(sim, force_rtol=2e-3)


@settings(max_examples=25, deadline=None)
@given(left=walking, right=walking)
def test_walkers_hold_up_their_weight_and_keep_their_speed(left, right):
    assert_steady(treadmill("walk", n_steps=12, left=left, right=right, rate_hz=2000.0), force_rtol=2e-3)


def assert_steady(sim, force_rtol):
    """Mean forces over whole strides; the tolerance is what a stride that is not whole frames costs."""
    total = whole_strides(sim, sum(w[:, :3] for w in sim.wrenches))
    assert total[2] == pytest.approx(WEIGHT_N, rel=force_rtol)
    assert total[1] == pytest.approx(0.0, abs=force_rtol * WEIGHT_N)


@pytest.mark.parametrize("gait", ["run", "walk"])
def test_mean_force_is_body_weight_exactly(gait):
    """Strides of whole frames: the sum over frames of raised cosines has no error left to speak of."""
    limb = Limb() if gait == "run" else WALK
    sim = treadmill(gait, n_steps=20, left=limb, right=limb, rate_hz=1000.0)
    mean = whole_strides(sim, sum(w[:, :3] for w in sim.wrenches))
    assert mean[2] / WEIGHT_N == pytest.approx(1.0, abs=1e-6)
    assert mean[:2] / WEIGHT_N == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("gait", ["run", "walk"])
def test_incline_splits_the_weight(gait):
    sim = treadmill(gait, n_steps=20, incline_deg=5.0, right=LEFT if gait == "run" else None)
    mean = whole_strides(sim, sum(w[:, :3] for w in sim.wrenches))
    assert mean[1] == pytest.approx(WEIGHT_N * math.sin(math.radians(5)), rel=1e-5)
    assert mean[2] == pytest.approx(WEIGHT_N * math.cos(math.radians(5)), rel=1e-5)
    truth = sim.truth(1e-6)
    per_step = WEIGHT_N * math.sin(math.radians(5)) * sim.steps[0].limb.step_s
    assert truth["imp_ap_net"][0] * WEIGHT_N == pytest.approx(per_step, rel=1e-6)


@pytest.mark.parametrize("gait", ["run", "walk"])
def test_curves_start_and_end_at_zero(gait):
    sim = treadmill(gait, n_steps=6, rate_hz=100_000.0, incline_deg=3.0)
    step = sim.steps[2]
    belt = sim.wrenches[0]
    for t in (step.t0, step.t1):
        frame = round(t * sim.rate_hz)
        assert np.abs(belt[frame - 2 : frame + 3]).max() < 0.5  # N or N·m, two frames of 10 µs either side


def test_belts_are_loaded_by_their_own_foot_only():
    sim = run(n_steps=6)
    for step in sim.steps:
        own = "LR".index(step.side)
        mid = round((step.t0 + step.t1) / 2 * sim.rate_hz)
        assert sim.wrenches[own][mid, 2] > WEIGHT_N
        assert (sim.wrenches[1 - own][mid] == 0).all()


def test_walkers_have_double_support_and_two_humps():
    sim = treadmill("walk", n_steps=6)
    left, right = (w[:, 2] for w in sim.wrenches)
    both = ((left > 20) & (right > 20)).sum() / sim.rate_hz
    assert both == pytest.approx(5 * 0.095, abs=0.01)  # 5 double supports of 0.13 s, seen at 20 N
    inside = slice(round(sim.steps[1].t0 * 1000), round(sim.steps[1].t1 * 1000))
    fz = right[inside]
    peaks = np.flatnonzero((fz[1:-1] > fz[:-2]) & (fz[1:-1] > fz[2:]))
    assert len(peaks) == 2
    assert sim.truth()["t_active"][0] > 0.4  # the second, higher hump
    assert (sim.truth()["tf"][:-1] < 0).all()


def test_centre_of_pressure_is_under_the_foot_and_moves_with_the_belt():
    sim = run(n_steps=4, speed_m_s=3.0)
    for step, plate in zip(sim.steps, (0, 1, 0, 1), strict=True):
        rows = slice(round((step.t0 + 0.05) * 1000), round((step.t0 + 0.15) * 1000))
        cop = sim.trial.plates[plate].cop[rows]
        assert cop[:, 0] == pytest.approx(step.cop_x_m, abs=1e-9)
        expected = 0.18 / step.limb.contact_s - 3.0  # rolls forwards on a belt that goes backwards
        assert np.diff(cop[:, 1]) * 1000 == pytest.approx(expected, abs=1e-6)
        assert np.abs(cop[:, 1]).max() < 0.9


def test_free_moment_is_what_was_asked_for_and_mirrored():
    sim = run(n_steps=2, left=Limb(free_moment_nm=4.0), right=Limb(free_moment_nm=4.0))
    for sign, plate in zip((1, -1), sim.trial.plates, strict=True):
        assert np.nanmax(sign * plate.free_moment) == pytest.approx(4.0, rel=1e-3)


def test_virtual_plate_equals_the_single_belt():
    """Both belts' moments, moved to the middle and added, are what one plate would measure."""
    split, single = run(n_steps=6), run(n_steps=6, belts="single")
    total = np.zeros_like(single.wrenches[0])
    for plate in split.trial.plates:
        total += plate.wrench
        total[:, 3:] += np.cross(plate.origin_m, plate.wrench[:, :3])
    np.testing.assert_allclose(total, single.wrenches[0], atol=1e-9)
    assert single.trial.plates[0].side == "?"


# Options


def test_same_seed_same_bits():
    options = {"n_steps": 10, "noise_n": 5.0, "hum_n": 2.0, "step_jitter": 0.02, "drift_n": (15.0, -15.0)}
    one, two, other = (run(seed=s, **options) for s in (7, 7, 8))
    for a, b in zip(one.wrenches, two.wrenches, strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.steps == two.steps
    assert not np.array_equal(one.wrenches[0][:100], other.wrenches[0][:100])


@pytest.mark.parametrize(
    "options",
    [
        {"noise_n": 3.0, "seed": 42},
        {"gait": "walk", "belts": "single", "rate_hz": 2000.0, "step_jitter": 0.2, "hum_n": 2.0, "seed": 3},
        {"rate_hz": 333.3, "step_jitter": 0.05, "drift_n": (Drift(sine_n=5.0), 20.0), "incline_deg": 5.0},
    ],
)
def test_endless_signal_is_the_record_of_any_length(options):
    """The same bits, up to the first footfall that the record does not hold whole."""
    endless = Endless(**options)
    frames = np.concatenate([endless.block() for _ in range(5)])
    record = treadmill(duration_s=len(frames) / endless.rate_hz, **options)
    last = record.steps[-1]
    whole = int((last.t0 + last.limb.step_s) * endless.rate_hz)
    assert whole > 4 * Endless.BLOCK
    np.testing.assert_array_equal(frames[:whole], np.hstack(record.wrenches)[:whole])
    assert endless.layout.sides == record.trial.layout.sides


def test_endless_signal_can_not_drift_linearly():
    with pytest.raises(DataError, match="linearly"):
        Endless(drift_n=Drift(linear_n=1.0))


def test_noise_on_belts_and_channels_is_independent_and_of_the_documented_size():
    sim = run(duration_s=20.0, n_steps=None, noise_n=4.0, start_s=9.0)
    quiet = np.hstack([w[:8000] for w in sim.wrenches])
    expected = 4.0 * np.array([0.25, 0.25, 1.0, 0.1, 0.1, 0.05] * 2)
    assert quiet.std(axis=0) == pytest.approx(expected, rel=0.05)
    off_diagonal = np.corrcoef(quiet.T) - np.eye(2 * FORCES_AND_MOMENTS)
    assert np.abs(off_diagonal).max() < 0.05


def test_drift_is_added_as_described():
    drift = Drift(linear_n=30.0, sine_n=15.0, sine_period_s=20.0, constant_n=2.0)
    clean, sim = run(duration_s=10.0), run(duration_s=10.0, drift_n=(drift, -5.0))
    t = np.arange(10_000) / 1000.0
    expected = 2 + 3.0 * t + 15 * np.sin(2 * np.pi * t / 20)
    np.testing.assert_allclose(sim.wrenches[0][:, 2] - clean.wrenches[0][:, 2], expected, atol=1e-9)
    np.testing.assert_allclose(sim.wrenches[1][:, 2] - clean.wrenches[1][:, 2], -5.0, atol=1e-9)
    np.testing.assert_allclose(sim.baseline(0), expected, atol=1e-9)
    moment = sim.wrenches[0][:, 4] - clean.wrenches[0][:, 4]
    np.testing.assert_allclose(moment, sim.baseline(0, "My"), atol=1e-9)
    assert abs(np.corrcoef(moment - 0.3 * t, expected - 3 * t)[0, 1]) < 0.99  # its own wave


def test_long_records_drift_the_same_across_chunks():
    sim = run(duration_s=150.0, start_s=0.5, drift_n=Drift(linear_n=30.0), hum_n=3.0)
    unloaded = (run(duration_s=150.0).wrenches[0] == 0).all(axis=1)
    t = np.arange(len(sim.trial)) / 1000.0
    expected = 0.2 * t + 3 * np.sin(2 * np.pi * 50 * t)
    np.testing.assert_allclose(sim.wrenches[0][unloaded, 2], expected[unloaded], atol=1e-7)


def test_truth_does_not_depend_on_what_the_samples_look_like():
    clean = run(n_steps=6).truth()
    dirty = run(n_steps=6, rate_hz=250.0, noise_n=30.0, drift_n=50.0, belts="single").truth()
    for name, column in clean.items():
        np.testing.assert_array_equal(column, dirty[name], err_msg=name)


def test_phase_shifts_the_footfalls_between_the_frames():
    base, shifted = run(n_steps=4), run(n_steps=4, phase_s=0.0004)
    np.testing.assert_allclose(shifted.truth()["t_on"] - base.truth()["t_on"], 0.0004, atol=1e-12)
    i = round(base.steps[0].t0 * 1000) + 20
    later = footfall_force(LEFT, i / 1000 - shifted.steps[0].t0, MASS_KG)
    assert shifted.wrenches[0][i, 2] == pytest.approx(float(later), rel=1e-9)


def test_samples_are_the_formula():
    sim = run(n_steps=3)
    t = np.arange(len(sim.trial)) / sim.rate_hz
    expected = sum(footfall_force(s.limb, t - s.t0, MASS_KG) for s in sim.steps)
    np.testing.assert_allclose(sum(w[:, 2] for w in sim.wrenches), expected, atol=1e-9)


def test_running_crossover_lands_on_the_other_belt():
    sim = run(n_steps=6, crossovers=[2])
    mid = round((sim.steps[2].t0 + 0.12) * 1000)
    assert (sim.wrenches[0][mid] == 0).all()
    assert sim.wrenches[1][mid, 2] > WEIGHT_N
    assert sim.trial.plates[1].cop[mid, 0] > 0
    truth = sim.truth()
    assert list(truth["crossover"]) == [False, False, True, False, False, False]
    assert truth["side"][2] == "L"
    assert truth["tc"][2] == truth["tc"][0]


def test_walking_crossover_shares_the_force():
    sim = treadmill("walk", n_steps=6, crossovers=[2], crossover_share=0.3)
    clean = treadmill("walk", n_steps=6)
    difference = [a[:, 2] - b[:, 2] for a, b in zip(sim.wrenches, clean.wrenches, strict=True)]
    np.testing.assert_allclose(difference[0], -difference[1], atol=1e-9)
    step = sim.steps[2]
    mid = round((step.t0 + step.t1) / 2 * 1000)
    foot = float(footfall_force(WALK, mid / 1000 - step.t0, MASS_KG))
    assert difference[1][mid] == pytest.approx(0.3 * foot)
    assert sim.trial.plates[0].cop[mid, 0] < 0 < sim.trial.plates[1].cop[mid, 0]
    assert abs(step.cop_x_m) < 0.02


def test_missed_step_leaves_no_force_and_no_row_but_keeps_the_time():
    sim, clean = run(n_steps=7, missed=[3]), run(n_steps=7)
    step = sim.steps[3]
    during = slice(round(step.t0 * 1000), round(step.t1 * 1000))
    assert all((w[during] == 0).all() for w in sim.wrenches)
    truth, full = sim.truth(), clean.truth()
    assert list(truth["step"]) == [0, 1, 2, 4, 5, 6]
    np.testing.assert_array_equal(truth["t_on"], np.delete(full["t_on"], 3))
    assert np.isnan(truth["t_step"][2])
    assert np.isnan(truth["duty"][1])
    assert np.isfinite(truth["t_step"][3])


def test_last_contacts_have_no_flight_or_stride():
    truth = run(n_steps=4).truth()
    assert list(np.isnan(truth["tf"])) == [False, False, False, True]
    assert list(np.isnan(truth["t_step"])) == [False, False, False, True]
    assert list(np.isnan(truth["duty"])) == [False, False, True, True]


def test_swapping_limbs_swaps_the_truth_and_mirrors_the_record():
    one = run(n_steps=8)
    two = run(n_steps=8, left=RIGHT, right=LEFT, first_side="R")
    a, b = one.truth(), two.truth()
    assert list(a["side"]) == ["L", "R"] * 4
    assert list(b["side"]) == ["R", "L"] * 4
    for name in set(a) - {"side", "cop_x"}:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    np.testing.assert_array_equal(a["cop_x"], -b["cop_x"])
    mirror = np.array([-1, 1, 1, 1, -1, -1])
    np.testing.assert_allclose(one.wrenches[0], two.wrenches[1] * mirror, atol=1e-12)
    for metric in SI_20N:
        assert one.true_si(metric) == pytest.approx(-two.true_si(metric), rel=ROUNDING)


@settings(max_examples=15, deadline=None)
@given(limb=running, mass_kg=st.floats(25.0, 120.0))
def test_normalised_truth_scales_with_the_body(limb, mass_kg):
    """At a level that is a share of body weight, a heavier copy has the same normalised truth."""
    share = 0.03
    one = run(n_steps=2, left=limb, right=limb).truth(share * WEIGHT_N)
    two = run(n_steps=2, left=limb, right=limb, mass_kg=mass_kg).truth(share * mass_kg * STANDARD_GRAVITY)
    for name in (
        "tc",
        "peak_active",
        "imp_v",
        "valr_3_12",
        "vilr",
        "imp_brake",
        "peak_prop",
        "imp_med",
        "vo",
    ):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-7, atol=1e-12, err_msg=name)


def test_momentum_links_impulse_and_timing():
    """In steady running the impulses of a stride are the stride's time, whatever the limbs (metrics 3.5)."""
    truth = run(n_steps=4).truth(1e-6)
    assert truth["imp_v"][:2].sum() == pytest.approx(0.69, rel=1e-8)


def test_jitter_varies_steps_and_the_truth_follows_each_of_them():
    sim = run(n_steps=60, step_jitter=0.03, seed=3)
    truth = sim.truth(1e-6)
    left = truth["tc"][truth["side"] == "L"]
    assert left.std() / left.mean() == pytest.approx(0.03, rel=0.35)
    starts = np.array([s.t0 for s in sim.steps])
    np.testing.assert_allclose(np.diff(starts), [s.limb.step_s for s in sim.steps[:-1]])
    np.testing.assert_allclose(truth["imp_v"], [s.limb.step_s for s in sim.steps], rtol=1e-8)


def test_wander_moves_the_feet_but_not_their_distance_from_the_runner():
    sim = run(n_steps=40, wander_m=0.06)
    x = sim.truth()["cop_x"]
    contrast = x[1:-1] - 0.5 * (x[:-2] + x[2:])
    assert np.ptp(x[::2]) > 0.06
    assert np.abs(contrast).min() > 0.09


def test_wander_carries_a_foot_over_the_gap_onto_the_other_belt():
    sim = run(n_steps=40, wander_m=0.08)
    strayed = [s for s in sim.steps if s.crossover]
    assert 0 < len(strayed) < 20
    for step in strayed:
        mid = round((step.t0 + step.t1) / 2 * sim.rate_hz)
        own = "LR".index(step.side)
        assert sim.wrenches[own][mid, 2] == 0
        assert sim.trial.plates[1 - own].cop[mid, 0] == pytest.approx(step.cop_x_m)
    assert not any(s.crossover for s in run(n_steps=40, wander_m=0.08, belts="single").steps)


def test_duration_is_the_length_of_the_record_and_it_ends_unloaded():
    sim = run(duration_s=12.0, start_s=0.4)
    assert len(sim.trial) == 12_000
    assert sim.steps[0].t0 == 0.4
    assert 11.0 < sim.steps[-1].t1 <= 11.6
    assert treadmill().trial.duration_s == 30.0


def test_trial_knows_its_geometry():
    trial = run(n_steps=2).trial
    assert [p.side for p in trial.plates] == ["L", "R"]
    assert trial.lateral_known
    assert [p.origin_m[0] for p in trial.plates] == [-0.25, 0.25]
    assert trial.plates[0].corners_lab[:, 0].max() == trial.plates[1].corners_lab[:, 0].min() == 0.0


def test_limb_means_and_si_agree():
    sim = run(n_steps=10)
    left, right = sim.limb_means()["tc"]
    assert sim.true_si("tc") == pytest.approx(200 * (left - right) / (left + right))
    assert math.isnan(treadmill("walk", n_steps=4).true_si("peak_impact"))


def test_equal_limbs_are_symmetric():
    for sim in (run(n_steps=8, right=LEFT), treadmill("walk", n_steps=8)):
        for metric in ("tc", "peak_active", "imp_v", "valr_3_12", "imp_brake", "imp_med", "peak_prop"):
            assert sim.true_si(metric) == pytest.approx(0.0, abs=1e-9)


def test_samples_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        run(n_steps=1).wrenches[0][0, 0] = 1.0


def test_long_records_are_quick():
    """Ten times this must stay below 15 s of a processor; what other programs take doesn't count."""
    start = time.process_time()
    sim = run(duration_s=60.0, rate_hz=10_000.0, noise_n=3.0, hum_n=2.0, drift_n=Drift(linear_n=30.0))
    sim.truth()
    assert time.process_time() - start < 3.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gait": "hop"}, "gait='hop'"),
        ({"belts": "triple"}, "belts='triple'"),
        ({"first_side": "X"}, "first_side='X'"),
        ({"rate_hz": 50.0}, "rate_hz=50"),
        ({"rate_hz": float("nan")}, "rate_hz"),
        ({"mass_kg": 0.0}, "mass_kg=0"),
        ({"mass_kg": "heavy"}, "mass_kg='heavy'"),
        ({"duration_s": -1.0}, "duration_s=-1"),
        ({"duration_s": 0.9}, "too short"),
        ({"duration_s": 5.0, "n_steps": 5}, "not both"),
        ({"n_steps": 0}, "n_steps=0"),
        ({"n_steps": 2.5}, "n_steps=2.5"),
        ({"start_s": -0.1}, "start_s=-0.1"),
        ({"phase_s": -0.1}, "phase_s=-0.1"),
        ({"noise_n": -1.0}, "noise_n=-1"),
        ({"hum_hz": 0.0}, "hum_hz=0"),
        ({"step_jitter": 0.5}, "step_jitter=0.5"),
        ({"n_steps": 5, "missed": [5]}, "missed: there is no footfall"),
        ({"n_steps": 5, "crossovers": [-1]}, "crossovers: there is no footfall"),
        ({"n_steps": 5, "missed": [1.5]}, "whole numbers"),
        ({"crossover_share": 1.5}, "crossover_share=1.5"),
        ({"incline_deg": 60.0}, "incline_deg=60"),
        ({"seed": -1}, "seed=-1"),
        ({"drift_n": (1.0, 2.0, 3.0)}, "drift_n: 3 given for 2 plates"),
        ({"belts": "single", "drift_n": (1.0, 2.0)}, "drift_n: 2 given for 1 plates"),
        ({"left": WALK}, "needs limbs of type Limb"),
        ({"gait": "walk", "left": WalkLimb(contact_s=0.9), "right": WalkLimb(contact_s=0.2)}, "never leaves"),
    ],
)
def test_bad_options_are_explained(options, message):
    with pytest.raises(DataError, match=message):
        treadmill(**options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Limb(contact_s=-0.2), "contact_s=-0.2"),
        (lambda: Limb(contact_s="long"), "contact_s='long'"),
        (lambda: Limb(flight_after_s=-0.01), "flight_after_s"),
        (lambda: Limb(impact_dt_s=0.2), "lasts longer than"),
        (lambda: Limb(impact_dv_m_s=30.0), "more than the body weight"),
        (lambda: Limb(shape="square"), "shape='square'"),
        (lambda: Limb(ap_zero=1.0), "ap_zero"),
        (lambda: WalkLimb(double_support_after_s=0.7), "double support"),
        (lambda: WalkLimb(first_peak=0.9), "first_peak < second_peak"),
        (lambda: WalkLimb(overlap=0.9), "overlap"),
        (lambda: WalkLimb(second_over_first=0.0), "second_over_first"),
        (lambda: Drift(sine_period_s=0.0), "sine_period_s"),
        (lambda: footfall_force(LEFT, 0.1, -70.0), "mass_kg=-70"),
        (lambda: run(n_steps=2).truth(5000.0), "does not cross this level"),
        (lambda: run(n_steps=2).truth(0.0), "must be positive"),
        (lambda: run(n_steps=2).true_si("loading_rate"), "metric='loading_rate'"),
        (lambda: run(n_steps=2).baseline(0, "Fq"), "channel='Fq'"),
    ],
)
def test_bad_limbs_and_questions_are_explained(make, message):
    with pytest.raises(DataError, match=message):
        make()
