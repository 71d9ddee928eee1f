"""Body weight: whole strides only, standing still, the incline, and when to doubt it."""

import math

import numpy as np
import pytest

import balancecore as bc
from balancecore.simulate import STANDARD_GRAVITY, treadmill
from balancecore.weight import BodyWeight, step_parity, stride_spans

MASS_KG = 70.0
WEIGHT_N = MASS_KG * STANDARD_GRAVITY
#: What the level leaves out of the impulse and 2 N of noise put in.
RTOL = 0.001
#: The offset that walking leaves in the baseline of a belt.
WALK_RTOL = 0.005
#: The issue's and metrics 3.5's limit for the contradiction between sources.
SUSPECT = 0.02


def weight(data, **options):
    if not isinstance(data, bc.Trial):
        options.setdefault("rate_hz", 1000.0)
    return bc.analyze_gait(data, n_boot=0, **options).quality["body_weight"]


def run(**options):
    return treadmill(**({"n_steps": 20, "noise_n": 2.0, "seed": 4} | options))


@pytest.fixture(scope="module")
def fz():
    return np.sum([w[:, 2] for w in run().wrenches], axis=0)


@pytest.fixture(scope="module")
def t_on():
    return run().truth()["t_on"]


# --------------------------------------------------------------------------------------------------
# Whole strides


@pytest.mark.parametrize("fraction", [0.0, 0.15, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("steps", [4, 7, 10])
def test_strides_are_whole_wherever_the_record_ends(fz, t_on, steps, fraction):
    """A mean over 4.3 steps would be off by 1.5 % (metrics 1.6)."""
    end = t_on[steps] + fraction * (t_on[steps + 1] - t_on[steps])
    found = weight(fz[: int(end * 1000.0)])
    assert found["source"] == "whole_strides"
    assert found["weight_n"] == pytest.approx(WEIGHT_N, rel=3 * RTOL)


def test_a_mean_over_the_record_would_not_do(fz, t_on):
    part = fz[int(t_on[0] * 1000.0) : int((t_on[4] + 0.2) * 1000.0)]
    assert abs(part.mean() / WEIGHT_N - 1.0) > 10 * RTOL


def test_limbs_that_carry_unequal_shares():
    unequal = run(n_steps=21)
    found = weight(unequal.trial)
    assert found["whole_strides"] == 10
    assert found["weight_n"] == pytest.approx(WEIGHT_N, rel=RTOL)


def test_strides_avoid_gaps_and_missed_steps(fz, t_on):
    holes = fz.copy()
    holes[int(t_on[9] * 1000.0) + 100] = np.nan
    found = weight(holes)
    assert found["weight_n"] == pytest.approx(WEIGHT_N, rel=2 * RTOL)
    assert found["whole_strides"] == 4 + 4
    missed = run(missed=(9,))
    assert weight(missed.trial)["weight_n"] == pytest.approx(WEIGHT_N, rel=2 * RTOL)


def test_spans_of_strides():
    class Whole:
        segments = np.array([[0, 10_000]])
        saturation = ()

    starts = np.array([0.0, 350.0, 700.0, 1050.0, 1750.0, 2100.0, 2450.0])
    assert stride_spans(Whole(), starts) == [(0.0, 700.0, 1), (1750.0, 2450.0, 1)]
    assert stride_spans(Whole(), starts[:2]) == []

    class Cut(Whole):
        segments = np.array([[0, 300], [310, 10_000]])

    assert stride_spans(Cut(), starts[:4]) == [(350.0, 1050.0, 1)]


def test_parity_goes_by_time():
    assert step_parity(np.array([0.0, 1.0, 2.0, 4.0, 5.1, 9.0])).tolist() == [0, 1, 2, 4, 5, 9]
    assert step_parity(np.array([3.0])).tolist() == [0]
    assert step_parity(np.empty(0)).tolist() == []
    assert step_parity(np.array([1.0, 1.0, 1.0])).tolist() == [0, 0, 0]
    assert step_parity(np.array([0.0, 0.0, 1.0, 1.0, 2.0, 2.0])).tolist() == [0, 0, 1, 1, 2, 2]


# --------------------------------------------------------------------------------------------------
# Other sources


def test_priority_is_given_then_standing_then_strides(fz):
    stand = 1.01 * WEIGHT_N + np.random.default_rng(0).normal(0.0, 2.0, 2000)
    both = np.concatenate((stand, fz))
    assert weight(both, mass_kg=71.0)["source"] == "given"
    assert weight(both, mass_kg=71.0)["weight_n"] == pytest.approx(71.0 * STANDARD_GRAVITY)
    standing = weight(both)
    assert standing["source"] == "static"
    assert standing["weight_n"] == pytest.approx(1.01 * WEIGHT_N, rel=RTOL)
    # Less than the 1 % that still counts as standing still; more than nothing
    assert 0.3 < standing["standing_sd_n"] < 0.01 * WEIGHT_N
    assert standing["whole_strides_n"] == pytest.approx(WEIGHT_N, rel=RTOL)


@pytest.mark.parametrize("length_s", [0.6, 1.5])
def test_standing_takes_a_second(fz, length_s):
    stand = 1.01 * WEIGHT_N + np.random.default_rng(0).normal(0.0, 2.0, int(1000 * length_s))
    source = weight(np.concatenate((fz, np.zeros(100), stand)))["source"]
    assert source == ("static" if length_s >= 1.0 else "whole_strides")


def test_swaying_is_not_standing_still(fz):
    t = np.arange(3000) / 1000.0
    sway = WEIGHT_N * (1.0 + 0.05 * np.sin(2 * np.pi * t))
    assert weight(np.concatenate((sway, fz)))["source"] == "whole_strides"


@pytest.mark.parametrize("incline_deg", [-9.0, 5.0, 15.0])
def test_on_an_incline_the_belt_carries_the_cosine(incline_deg):
    sim = run(incline_deg=incline_deg)
    assert weight(sim.trial, incline_deg=incline_deg)["weight_n"] == pytest.approx(WEIGHT_N, rel=RTOL)
    cosine = math.cos(math.radians(incline_deg))
    assert weight(sim.trial)["weight_n"] == pytest.approx(WEIGHT_N * cosine, rel=RTOL)


def test_an_incline_leaves_no_net_push():
    sim = run(incline_deg=10.0)
    checks = bc.analyze_gait(sim.trial, n_boot=0, incline_deg=10.0).quality["momentum"]
    assert checks["net_ap_m_s_per_stride"] == pytest.approx(0.0, abs=0.02)
    assert checks["mean_fz_bw"] == pytest.approx(1.0, rel=RTOL)


# --------------------------------------------------------------------------------------------------
# Doubt


@pytest.mark.parametrize(("factor", "doubtful"), [(1.0, False), (1.015, False), (1.025, True), (0.975, True)])
def test_two_percent_between_sources(fz, factor, doubtful):
    result = bc.analyze_gait(fz, rate_hz=1000.0, mass_kg=factor * MASS_KG, n_boot=0)
    assert result.quality["body_weight"]["suspect"] is doubtful
    assert ("BW_SUSPECT" in result.quality["trial_flags"]) is doubtful
    assert any("doubtful" in w for w in result.quality["warnings"]) is doubtful


def test_unknown_is_suspect_and_lone_is_not():
    assert BodyWeight(math.nan, "unknown").suspect
    assert not BodyWeight(WEIGHT_N, "given", given_n=WEIGHT_N).suspect
    assert not BodyWeight(WEIGHT_N, "whole_strides", dynamic_n=WEIGHT_N).suspect
    assert BodyWeight(WEIGHT_N, "static", dynamic_n=WEIGHT_N * (1 + 1.5 * SUSPECT), static_n=WEIGHT_N).suspect


def test_implausible_weight_is_mentioned():
    heavy = np.sum([w[:, 2] for w in run().wrenches], axis=0) * 10.0
    result = bc.analyze_gait(heavy, rate_hz=1000.0, n_boot=0)
    assert any("not plausible" in w for w in result.quality["warnings"])


# --------------------------------------------------------------------------------------------------
# A treadmill whose scale is wrong


@pytest.mark.parametrize("gait", ["run", "walk"])
@pytest.mark.parametrize("scale", [0.6, 1.5])
def test_forces_that_can_not_be_those_of_the_given_mass(gait, scale):
    """A deck on load cells calibrated to 0.6 of the truth looks like a lighter runner: only the mass gives it away."""
    sim = treadmill(gait, n_steps=30, noise_n=2.0, seed=4)
    wrenches = [scale * w for w in sim.wrenches]
    origins = [plate.origin_m for plate in sim.trial.plates]
    trial = bc.Trial.from_wrenches(wrenches, rate_hz=sim.rate_hz, sides=["L", "R"], origins_m=origins)
    result = bc.analyze_gait(trial, mass_kg=MASS_KG, n_boot=0)
    assert len(result.steps) == 30
    assert (result.steps["flags"] & int(bc.Flag.BW_SUSPECT)).all()
    assert result.quality["trial_flags"] == ["BW_SUSPECT"]
    assert result.quality["momentum"]["mean_fz_bw"] == pytest.approx(scale, rel=WALK_RTOL)
    assert result.quality["momentum"]["mean_fz_ok"] is False
    assert any("686 N (given)" in w and "calibration" in w for w in result.quality["warnings"])
    assert any("BW instead of 1" in w for w in result.quality["warnings"])
    assert not any("calibration" in w for w in bc.analyze_gait(trial, n_boot=0).quality["warnings"])


@pytest.mark.parametrize("gait", ["run", "walk"])
def test_forces_so_small_that_no_load_is_a_step(gait):
    sim = treadmill(gait, n_steps=30, noise_n=2.0, seed=4)
    trial = bc.Trial.from_wrenches([0.3 * w for w in sim.wrenches], rate_hz=sim.rate_hz)
    result = bc.analyze_gait(trial, mass_kg=MASS_KG, n_boot=0)
    assert len(result.steps) == 0
    assert result.quality["trial_flags"] == ["BW_SUSPECT"]
    assert any(
        "no load has the peak of a step" in w and "calibration" in w for w in result.quality["warnings"]
    )
