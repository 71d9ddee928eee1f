"""Answers don't depend on the sampling rate, on drift of the belts, or on frames that are missing elsewhere."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

import balancecore as bc
from balancecore.simulate import STANDARD_GRAVITY, Drift, WalkLimb, treadmill

MASS_KG = 70.0
LEVEL_N = 20.0
RATES_HZ = (1000.0, 2000.0, 10000.0)
STEPS = 60

#: A contact time that moved more would be a difference between laboratories, not between runners.
RATE_MS = 0.3
#: Mean of signed errors of contact on, with 3 N noise: the timing copy leaves some 0.05 ms of bias.
ONSET_MS = 0.3
#: Points of SI and share of the impulse that 15 N of opposite drift may leave.
DRIFT_SI_POINTS = 0.05
DRIFT_IMPULSE_SHARE = 5e-4
#: What the same drift does to a per-belt script that removes nothing, against the true SI.
UNCORRECTED_RATIO = 1.8
#: A filter that begins at a gap has forgotten it to 1e-6 after 2.5 of its periods; what is left over is rounding.
GAP_SHARE = 1e-6
#: Camber is one number for the whole trial, the tilt of its mean force; a lost stride moves it a little.
CAMBER_BW = 1e-5
#: Contacts that come within 1.5 filter periods of a gap are touched by it.
GAP_REACH_S = 1.5 / 50.0


# ---------------------------------------------------------------------------------------------------------------
# Sampling rate


@cache
def run_at(rate_hz, seed):
    drift = Drift(linear_n=20.0, sine_n=10.0, sine_period_s=15.0)
    sim = treadmill(
        n_steps=STEPS,
        noise_n=3.0,
        rate_hz=rate_hz,
        seed=seed,
        drift_n=drift,
        step_jitter=0.02,
        belts="single",
    )
    return sim, bc.analyze_gait(sim.trial, mass_kg=MASS_KG, level_n=LEVEL_N, n_boot=0)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_every_rate_finds_every_step_and_no_other(rate_hz, seed):
    sim, result = run_at(rate_hz, seed)
    assert (result.quality["contacts"], result.quality["complete"]) == (STEPS, STEPS)
    assert result.quality["rejected"] == []
    assert result.steps["side"].tolist() == [f.side for f in sim.steps]
    errors_ms = (result.steps["t_on"] - sim.truth(LEVEL_N)["t_on"]) * 1e3
    assert abs(errors_ms.mean()) <= ONSET_MS


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rates_agree_on_contact_time(seed):
    """The jitter of the steps is the same at every rate; the noise is not."""
    means = np.array([[s.mean for s in run_at(r, seed)[1].summary["tc"].values()] for r in RATES_HZ])
    assert np.ptp(means, axis=0).max() * 1e3 < RATE_MS
    true = [m for m in run_at(RATES_HZ[0], seed)[0].limb_means(LEVEL_N)["tc"]]
    assert np.abs(means - true).max() * 1e3 < RATE_MS


# ---------------------------------------------------------------------------------------------------------------
# Opposite drift of two belts

OPPOSITE = {
    "offset": (15.0, -15.0),
    "ramp": (Drift(linear_n=15.0), Drift(linear_n=-15.0)),
    "wave": (Drift(sine_n=15.0, sine_period_s=20.0), Drift(sine_n=-15.0, sine_period_s=20.0)),
}


def lab_script(sim):
    """Mean vertical impulse of each belt, BW·s, as laboratories compute it: filter, threshold, sum; no baseline."""
    b, a = signal.butter(2, 50.0, fs=sim.rate_hz)
    means = []
    for wrench in sim.wrenches:
        force = signal.filtfilt(b, a, wrench[:, 2])
        edges = np.diff((force >= LEVEL_N).astype(int))
        on, off = np.flatnonzero(edges == 1) + 1, np.flatnonzero(edges == -1) + 1
        impulses = [
            force[i:j].sum() / sim.rate_hz
            for i, j in zip(on, off, strict=True)
            if j - i > 0.1 * sim.rate_hz  # shorter ones are noise
        ]
        assert len(impulses) == STEPS // 2
        means.append(np.mean(impulses) / (sim.mass_kg * STANDARD_GRAVITY))
    return np.array(means)


def si(pair):
    return 200 * (pair[0] - pair[1]) / (pair[0] + pair[1])


@pytest.mark.parametrize("noise_n", [0.0, 3.0])
@pytest.mark.parametrize("drift", OPPOSITE)
def test_opposite_drift_does_not_fake_asymmetry(drift, noise_n):
    sim = treadmill(n_steps=STEPS, drift_n=OPPOSITE[drift], noise_n=noise_n, seed=1)
    result = bc.analyze_gait(sim.trial, mass_kg=MASS_KG, level_n=LEVEL_N, n_boot=0)
    assert result.quality["sides"]["method"] == "belt"
    assert result.quality["used"] == STEPS
    assert abs(result.symmetry["imp_v"].si - sim.true_si("imp_v", LEVEL_N)) < DRIFT_SI_POINTS
    found = np.mean([s.mean for s in result.summary["imp_v"].values()])
    assert abs(found / np.mean(sim.limb_means(LEVEL_N)["imp_v"]) - 1) < DRIFT_IMPULSE_SHARE


def test_uncorrected_belts_fake_asymmetry():
    """What the analysis above is compared with: the drift adds 15 N times the contact time to one side only."""
    sim = treadmill(n_steps=STEPS, drift_n=OPPOSITE["offset"], noise_n=3.0, seed=1)
    true = sim.true_si("imp_v", LEVEL_N)
    script = lab_script(sim)
    assert si(script) > UNCORRECTED_RATIO * true > 0
    # The script is right where there is no drift, so the drift alone is to blame
    clean = lab_script(treadmill(n_steps=STEPS, noise_n=3.0, seed=1))
    assert abs(si(clean) - true) < DRIFT_SI_POINTS


def test_opposite_drift_of_walking_belts():
    """Walking belts are analysed one by one, each with its own baseline."""
    sim = treadmill(
        "walk",
        n_steps=STEPS,
        left=WalkLimb(contact_s=0.69),
        drift_n=OPPOSITE["offset"],
        noise_n=3.0,
        seed=1,
    )
    result = bc.analyze_gait(sim.trial, mass_kg=MASS_KG, level_n=LEVEL_N, n_boot=0)
    assert (result.quality["gait"]["used"], result.quality["complete"]) == ("walk", STEPS)
    assert abs(result.symmetry["imp_v"].si - sim.true_si("imp_v", LEVEL_N)) < DRIFT_SI_POINTS
    found = np.mean([s.mean for s in result.summary["imp_v"].values()])
    assert abs(found / np.mean(sim.limb_means(LEVEL_N)["imp_v"]) - 1) < DRIFT_IMPULSE_SHARE


# ---------------------------------------------------------------------------------------------------------------
# Gaps


@cache
def whole():
    """Every step differs from every other, so that a mix-up shows; no noise, so that equality can be asked for."""
    sim = treadmill(n_steps=24, step_jitter=0.03, drift_n=(5.0, -5.0), seed=3)
    result = bc.analyze_gait(sim.trial, mass_kg=MASS_KG, level_n=LEVEL_N, n_boot=0)
    assert result.quality["used"] == 24
    return sim, result


def with_gap(trial, belt, first, length):
    wrenches = [plate.wrench.copy() for plate in trial.plates]
    wrenches[belt][first : first + length] = np.nan
    return bc.Trial.from_wrenches(
        wrenches,
        rate_hz=trial.rate_hz,
        sides=[plate.side for plate in trial.plates],
        origins_m=np.array([plate.origin_m for plate in trial.plates]),
        axes=("x", "y", "z"),
    )


#: A gap in a flight leaves other frames of it to tell the offset there: some 0.04 N for the contacts beside it.
KNOT_SHARE = 1e-3
#: The same of lateral columns, some hundredths of body weight: where a frame parts a flight, up to 0.2 of 690 N.
KNOT_BW = 3e-4
#: Columns that need the steps around, up to two later ones or the one before.
AROUND = {"tf", "t_step", "t_stride", "t_swing", "duty", "step_width", "step_length", "vo", "dy", "k_vert"}
AROUND |= {"k_vert_sine", "k_leg", "k_leg_sine", "v_residual", "flags"}
CAMBERED = {"imp_med", "imp_lat", "imp_ml_net", "peak_med", "peak_lat"}


@settings(max_examples=40, deadline=None)
@given(
    belt=st.integers(0, 1),
    first=st.integers(0, 8900),
    length=st.one_of(st.integers(1, 20), st.integers(1, 1000)),
)
def test_a_gap_costs_only_the_steps_that_it_touches(belt, first, length):
    sim, reference = whole()
    length = min(length, len(sim.trial) - 1 - first)
    result = bc.analyze_gait(
        with_gap(sim.trial, belt, first, length), mass_kg=MASS_KG, level_n=LEVEL_N, n_boot=0
    )
    begin, end = first / 1000.0, (first + length) / 1000.0
    before, after = reference.steps, result.steps
    assert result.quality["gaps_s"] == [[pytest.approx(begin), pytest.approx(end)]]

    def reached(margin_s):
        return (before["t_off"] + margin_s > begin) & (before["t_on"] - margin_s < end)

    frames = 0.002  # one frame of the gap and one of the contact
    surely, perhaps = reached(GAP_REACH_S - frames), reached(GAP_REACH_S + frames)
    # Rows that lie beside the gap, where flights, steps and strides may end in it
    low = int(np.argmax(np.append(before["t_off"] + GAP_REACH_S + frames > begin, True)))
    near = np.arange(len(before)) - low
    near = (near >= -2) & (near <= perhaps.sum())
    nearest = np.abs(after["t_on"][None, :] - before["t_on"][:, None])
    same = np.where(np.isnan(nearest), np.inf, nearest) < 1e-6
    kept = np.flatnonzero(~perhaps)
    assert (same[kept].sum(axis=1) == 1).all()
    partner = same[kept].argmax(axis=1)
    for column in after.columns:
        rows = ~near[kept] if column in AROUND else np.ones(len(kept), dtype=bool)
        a, b = before[column][kept[rows]], after[column][partner[rows]]
        if a.dtype.kind != "f":
            assert a.tolist() == b.tolist(), column
        elif column in CAMBERED:
            moved = np.abs(b - a) > np.where(near[kept], KNOT_BW, CAMBER_BW)[rows]
            assert not moved.any(), (column, a[moved], b[moved])
        else:
            share = np.where(near[kept], KNOT_SHARE, GAP_SHARE)[rows]
            assert (np.isnan(a) == np.isnan(b)).all(), column
            moved = np.abs(b - a) > share * (1.0 + np.abs(a))
            assert not moved.any(), (column, a[moved], b[moved])
    # What is left of a touched contact is there, with its flag and without metrics
    left = ~same[~surely].any(axis=0)
    assert (after["flags"][left] & bc.Flag.GAP).all()
    assert np.isnan(after["imp_v"][left]).all()
    assert left.sum() <= 2 * surely.sum()
