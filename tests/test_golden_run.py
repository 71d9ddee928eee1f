"""The whole path from a simulated trial to numbers, against reference values computed apart from this package."""

import numpy as np
import pytest

import balancecore as bc
from balancecore.contacts import LevelRule, segment
from balancecore.intake import take_in
from balancecore.simulate import LEFT, RIGHT, Drift, Limb, treadmill

from .golden import AP_8_4, HALF_SINE, SI_20N, TWO_MASS, TWO_MASS_COLUMNS

MASS_KG = 70.0
WEIGHT_N = MASS_KG * 9.80665
PHASES_S = np.arange(20) * 0.05e-3

#: Linear crossings at 1000 Hz, any sampling phase, no noise: the force bends most at touchdown.
EVENT_MS = 0.07
#: Slopes from samples 1 ms apart, of a curve that isn't straight.
RATE_SHARE = 0.005
#: Forces and impulses don't suffer from sampling: vertex parabola and trapezoid with partial ends.
FORCE_SHARE = 1e-4
#: Times of peaks from a three-point parabola, relative to an onset that is good to EVENT_MS.
PEAK_MS = 0.12
#: Height integrated on 1 ms frames, and shares of a stride: EVENT_MS of a contact of 250 ms is 3e-4 of it.
MOTION_SHARE = 1e-3
#: The published table is rounded to 0.01 of its units and less.
TABLE = 0.02
#: Limb means of 40 steps with 3 N noise, 50 Hz filter.
NOISY_RATE_SHARE = 0.02
NOISY_SI_POINTS = 0.2
BASELINE_MAX_N, BASELINE_RMS_N = 1.5, 0.5
#: Equal steps on equal frames: only rounding remains.
EXACT = 1e-9

RATES = {
    "valr_0_100",
    "valr_2080t",
    "valr_2080f",
    "valr_3_12",
    "valr_0_13",
    "valr_2080_poi13",
    "valr_0_50ms",
    "vilr",
}


def unfiltered(sim, **options):
    return bc.analyze_gait(sim.trial, mass_kg=sim.mass_kg, cutoff_hz=None, n_boot=0, **options)


# ---------------------------------------------------------------------------------------------------------------
# Half-sine step


@pytest.fixture(scope="module")
def half_sine_runs():
    """One run a sampling phase; both limbs alike."""
    limb = Limb(shape="half_sine", contact_s=0.25, flight_after_s=0.10)
    return [treadmill(n_steps=6, left=limb, right=limb, speed_m_s=3.0, phase_s=p) for p in PHASES_S]


def kink_error_ms(level_n):
    """What a straight line between frames 1 ms apart errs at most, where the force starts from 0 with a kink.

    With c = level / rise per frame and a frame d after the kink, it puts the crossing at d - 1 + c/d instead of c;
    worst at d = sqrt(c). It matters below 19 N only, where the crossing lies beside the kink (0.075 ms at 10 N).
    """
    rise_n = HALF_SINE["max_slope_BW_s"] * WEIGHT_N * 1e-3
    return (1 - np.sqrt(level_n / rise_n)) ** 2 if level_n < rise_n else 0.0


@pytest.mark.parametrize("level", sorted(HALF_SINE["tc_s"]))
def test_half_sine_contact_time(half_sine_runs, level):
    for sim in half_sine_runs:
        steps = unfiltered(sim, level_n=level).steps
        truth = sim.truth(level)
        assert len(steps) == 6
        limit = max(EVENT_MS, kink_error_ms(level))
        assert np.abs(steps["t_on"] - truth["t_on"]).max() * 1e3 < limit
        assert np.abs(steps["t_off"] - truth["t_off"]).max() * 1e3 < limit
        np.testing.assert_allclose(steps["tc"], HALF_SINE["tc_s"][level], atol=2 * limit * 1e-3)


def test_half_sine_metrics(half_sine_runs):
    for sim in half_sine_runs:
        result = unfiltered(sim, level_n=20.0, speed_m_s=3.0, leg_length_m=0.9275)
        steps = result.steps
        assert np.isnan(steps["peak_impact"]).all()
        assert ((steps["flags"] & bc.Flag.NO_IMPACT_PEAK) != 0).all()
        np.testing.assert_allclose(steps["peak_active"], HALF_SINE["Fmax_BW"], rtol=FORCE_SHARE)
        # Equal steps, so that the errors of timing cancel
        np.testing.assert_allclose(result.quality["cadence_spm"], 60.0 / 0.35, rtol=EXACT)
        vo = np.nanmean(steps["vo"])
        np.testing.assert_allclose(vo, HALF_SINE["vertical_oscillation_m"], rtol=MOTION_SHARE)
        # The level cuts 1 ms off either end of the contact: a true loss, which the truth at the level has as well
        truth = sim.truth(20.0)
        np.testing.assert_allclose(steps["imp_v"], truth["imp_v"], rtol=FORCE_SHARE)
        np.testing.assert_allclose(steps["duty"], truth["duty"], rtol=MOTION_SHARE)
        k_vert = np.nanmean(steps["k_vert"])
        np.testing.assert_allclose(k_vert, np.nanmean(truth["k_vert"]), rtol=MOTION_SHARE)
        for name in sorted(RATES & set(truth)):
            np.testing.assert_allclose(steps[name], truth[name], rtol=RATE_SHARE, err_msg=name)


# ---------------------------------------------------------------------------------------------------------------
# Two-mass footfall


@pytest.fixture(scope="module")
def pair_runs():
    return [treadmill(n_steps=6, phase_s=p) for p in PHASES_S]


@pytest.mark.parametrize("level", [20.0, 50.0])
def test_events_at_every_sampling_phase(pair_runs, level):
    for sim in pair_runs:
        steps, truth = unfiltered(sim, level_n=level).steps, sim.truth(level)
        assert steps["side"].tolist() == ["L", "R"] * 3
        assert np.abs(steps["t_on"] - truth["t_on"]).max() * 1e3 < EVENT_MS
        assert np.abs(steps["t_off"] - truth["t_off"]).max() * 1e3 < EVENT_MS


@pytest.mark.parametrize(("side", "level"), sorted(TWO_MASS))
def test_reference_footfalls(pair_runs, side, level):
    wanted = TWO_MASS[side, level]
    for sim in pair_runs:
        steps = unfiltered(sim, level_n=level).steps
        mine = steps["side"] == side
        starts = np.array([f.t0 for f in sim.steps])[mine]
        delay_ms = (steps["t_on"][mine] - starts) * 1e3
        np.testing.assert_allclose(delay_ms, wanted["onset_delay_ms"], atol=EVENT_MS)
        for name, (column, unit) in TWO_MASS_COLUMNS.items():
            values = steps[column][mine] * unit
            if column in RATES:
                np.testing.assert_allclose(values, wanted[name], rtol=RATE_SHARE, err_msg=name)
            elif name.endswith("_ms"):
                limit = EVENT_MS if name == "tc_ms" else PEAK_MS
                np.testing.assert_allclose(values, wanted[name], atol=limit, err_msg=name)
            else:
                np.testing.assert_allclose(values, wanted[name], rtol=FORCE_SHARE, err_msg=name)


#: SI of loading rates: two rates, each good to RATE_SHARE in opposite directions, move an SI by twice that in %.
SI_POINTS = 200 * RATE_SHARE


def test_reference_symmetry(pair_runs):
    """Four definitions of the loading rate, one pair of limbs, two signs."""
    for sim in pair_runs:
        table = unfiltered(sim, level_n=20.0).symmetry
        for metric, wanted in SI_20N.items():
            assert abs(table[metric].si - wanted) < SI_POINTS, metric
        assert table["valr_2080t"].si > 20 > 0 > table["valr_3_12"].si > table["valr_0_50ms"].si


def test_cadence_and_mean_force_of_the_pair():
    sim = treadmill(n_steps=81)  # 40 whole strides from the first touchdown to the last
    result = unfiltered(sim, level_n=20.0)
    assert abs(result.quality["cadence_spm"] / (120.0 / 0.69) - 1.0) < EXACT
    assert abs(result.quality["momentum"]["mean_fz_bw"] - 1.0) < FORCE_SHARE
    unknown = bc.analyze_gait(sim.trial, cutoff_hz=None, level_n=20.0, n_boot=0)
    assert abs(unknown.quality["body_weight"]["mass_kg"] / MASS_KG - 1.0) < FORCE_SHARE


# ---------------------------------------------------------------------------------------------------------------
# Braking and propulsion


#: A level of 0.5 N still hides the last 1.5 ms, in which the propulsion of the whole contact has 0.0059 N·s.
HORIZONTAL_SHARE = 5e-4
#: The net impulse is a tenth of its parts, so it errs ten times as much.
NET_SHARE = 5e-3
#: A straight line between frames finds the zero of two sines whose slopes differ by a tenth.
ZERO_POINTS = 0.01


def test_fore_aft_impulses():
    limb = Limb(contact_s=0.25, brake_bw=200.0 / WEIGHT_N, propulsion_bw=220.0 / WEIGHT_N)
    for phase in PHASES_S:
        sim = treadmill(n_steps=6, left=limb, right=limb, phase_s=phase)
        # The reference integrates the whole contact, so the level is as low as it goes without noise
        result = unfiltered(sim, level_n=0.5)
        steps = result.steps
        np.testing.assert_allclose(
            steps["imp_brake"] * WEIGHT_N, AP_8_4["imp_brake_Ns"], rtol=HORIZONTAL_SHARE
        )
        np.testing.assert_allclose(steps["imp_prop"] * WEIGHT_N, AP_8_4["imp_prop_Ns"], rtol=HORIZONTAL_SHARE)
        np.testing.assert_allclose(steps["imp_ap_net"] * 9.80665, AP_8_4["net_dv_m_s"], rtol=NET_SHARE)
        truth = sim.truth(0.5)
        for name in ("imp_brake", "imp_prop"):
            np.testing.assert_allclose(steps[name], truth[name], rtol=FORCE_SHARE)
        starts = np.array([f.t0 for f in sim.steps])
        change = steps["t_on"] + steps["tc"] * steps["t_zero_ap"] / 100 - starts
        np.testing.assert_allclose(100 * change / 0.25, AP_8_4["zero_pct"], atol=ZERO_POINTS)


# ---------------------------------------------------------------------------------------------------------------
# What the filter does

#: Cut-off -> onset shift ms, tc ms, impact peak BW, valr_2080t, valr_2080f, vilr, valr_3_12 BW/s, active peak BW,
#: impulse N·s: left footfall of the pair on frames that begin with it, 1000 Hz, level 20 N, events and metrics on the
#: same copy. A 50 Hz filter that is run twice without correction has its -3 dB point at 40.2 Hz.
FILTER_TABLE = {
    None: (0.0, 238.66, 1.505, 75.00, 81.10, 86.97, 48.22, 2.559, 240.19),
    100.0: (-0.10, 238.76, 1.505, 74.98, 81.07, 86.92, 48.65, 2.559, 240.19),
    50.0: (-0.65, 239.33, 1.500, 73.97, 79.94, 86.06, 50.55, 2.559, 240.22),
    40.2: (-1.05, 239.79, 1.491, 72.48, 78.19, 84.31, 51.34, 2.559, 240.26),
    30.0: (-2.02, 240.95, 1.461, 67.99, 73.17, 79.04, 51.97, 2.559, 240.34),
    20.0: (-5.00, 244.52, 1.360, 54.94, 59.01, 64.16, 49.53, 2.558, 240.55),
}


def footfall_row(cutoff_hz):
    sim = treadmill(n_steps=8)
    result = bc.analyze_gait(
        sim.trial,
        mass_kg=MASS_KG,
        level_n=20.0,
        cutoff_hz=cutoff_hz,
        timing_cutoff_hz=cutoff_hz,
        poi="impact_peak",
        n_boot=0,
    )
    steps = result.steps
    inner = (steps["side"] == "L") & (np.arange(8) > 0)
    starts = np.array([f.t0 for f in sim.steps])
    columns = ("peak_impact", "valr_2080t", "valr_2080f", "vilr", "valr_3_12", "peak_active")
    return np.array(
        [
            ((steps["t_on"] - starts)[inner]).mean() * 1e3,
            steps["tc"][inner].mean() * 1e3,
            *(steps[c][inner].mean() for c in columns),
            steps["imp_v"][inner].mean() * WEIGHT_N,
        ]
    )


@pytest.mark.parametrize("cutoff_hz", FILTER_TABLE)
def test_what_the_filter_does(cutoff_hz):
    row = footfall_row(cutoff_hz)
    row[0] -= footfall_row(None)[0]  # shift against the unfiltered signal
    np.testing.assert_allclose(row, FILTER_TABLE[cutoff_hz], atol=TABLE)


# ---------------------------------------------------------------------------------------------------------------
# Everything at once: 40 strides with drift and noise


@pytest.fixture(scope="module", params=["single", "split"])
def noisy_run(request):
    drift = Drift(linear_n=30.0, sine_n=15.0, sine_period_s=20.0)
    return treadmill(n_steps=80, noise_n=3.0, drift_n=drift, seed=42, belts=request.param)


def test_noisy_run_gives_the_true_symmetry(noisy_run):
    result = bc.analyze_gait(noisy_run.trial, mass_kg=MASS_KG, first_side="L", n_boot=0)
    assert (result.quality["contacts"], result.quality["complete"]) == (80, 80)
    assert result.quality["level_n"] == [20.0]
    assert "".join(result.steps["side"]) == "LR" * 40
    assert abs(result.symmetry["tc"].si - SI_20N["tc"]) < NOISY_SI_POINTS
    for side in ("L", "R"):
        true = TWO_MASS[side, 20.0]["VILR"]
        assert abs(result.summary["vilr"][side].mean / true - 1.0) < NOISY_RATE_SHARE
        assert result.summary["vilr"][side].n == 40


def test_noisy_run_loses_its_drift(noisy_run):
    """Each belt against the drift that was added to it."""
    found = segment(
        take_in(noisy_run.trial),
        mass_kg=MASS_KG,
        level=LevelRule(),
        cutoff_hz=50.0,
        timing_cutoff_hz=None,
        baseline="aerial_pchip",
        gait="auto",
    )
    baseline = found.virtual[0].baseline
    frames = np.arange(np.ceil(baseline.breaks[0]), baseline.breaks[-1])
    estimate = baseline.at(frames)[:, 2]
    for plate in range(len(noisy_run.trial.plates)):
        error = estimate[plate] - noisy_run.baseline(plate)[frames.astype(int)]
        assert np.abs(error).max() < BASELINE_MAX_N
        assert np.sqrt(np.mean(error**2)) < BASELINE_RMS_N


def test_limbs_of_the_reference_are_the_simulators():
    """The reference values belong to these limbs."""
    assert (LEFT.contact_s, LEFT.impact_dv_m_s, LEFT.impact_dt_s) == (0.25, 1.6, 0.025)
    assert (RIGHT.contact_s, RIGHT.impact_dv_m_s, RIGHT.impact_dt_s) == (0.24, 1.3, 0.027)
    assert LEFT.flight_after_s == RIGHT.flight_after_s == 0.10


#: Truth takes each stride's mean force for one body weight; the analysis takes what it measured.
OWN_STRIDE_SHARE = 0.01


def test_each_step_oscillates_on_its_own_stride():
    """Steps that differ by 3 %: a neighbour's stride would be several per cent off."""
    sim = treadmill(n_steps=24, step_jitter=0.03, seed=3)
    steps, truth = unfiltered(sim, level_n=20.0).steps, sim.truth(20.0)
    inner = slice(0, 22)  # the last two start no whole stride
    for column in ("vo", "k_vert"):
        np.testing.assert_allclose(steps[column][inner], truth[column][inner], rtol=OWN_STRIDE_SHARE)
