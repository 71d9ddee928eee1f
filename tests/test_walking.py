"""Walking: belts apart, double support, a foot on the other belt, and what one belt can't tell."""

import numpy as np
import pytest

import balancecore as bc
from balancecore.flags import Flag
from balancecore.simulate import Limb, WalkLimb, treadmill

MASS_KG = 70.0
STEPS = 24
LEVEL_N = 20.0
#: Walking rises from zero with no slope: 2 N of noise on some 2 kN/s, after the 200 Hz timing filter.
TIMING_S = 3e-3
#: What the 50 Hz filter and 2 N of noise leave of the horizontal and vertical peaks of smooth curves.
PEAK_BW = 0.006
#: Impulses average the noise; a timing error of 3 ms at 20 N weighs nothing.
IMPULSE_BW_S = 0.001
LEFT = WalkLimb(contact_s=0.70, double_support_after_s=0.14)
RIGHT = WalkLimb(contact_s=0.66, double_support_after_s=0.12, second_over_first=0.98)


def walk(**options):
    return treadmill(
        "walk", **({"n_steps": STEPS, "noise_n": 2.0, "seed": 5, "left": LEFT, "right": RIGHT} | options)
    )


def analyse(data, **options):
    return bc.analyze_gait(data, **({"mass_kg": MASS_KG, "level_n": LEVEL_N, "n_boot": 0} | options))


def flagged(result, flag):
    return np.flatnonzero(result.steps["flags"] & int(flag))


@pytest.fixture(scope="module")
def sim():
    return walk()


@pytest.fixture(scope="module")
def result(sim):
    return analyse(sim.trial)


def test_walking_is_seen_and_belts_stay_apart(result):
    gait = result.quality["gait"]
    assert gait["used"] == gait["seen"] == "walk"
    assert gait["duty"] > 0.5
    assert gait["double_support_share"] > 0.9
    assert len(result.contacts) == 2
    assert [len(c) for c in result.contacts] == [STEPS // 2, STEPS // 2]
    assert result.quality["used"] == STEPS


def test_sides_are_the_belts(sim, result):
    assert result.quality["sides"]["method"] == "belt"
    assert (result.steps["side"] == sim.truth()["side"]).all()
    assert (result.steps["plate"] == np.where(sim.truth()["side"] == "L", 0, 1)).all()


@pytest.mark.parametrize(
    ("name", "atol"),
    [
        ("t_on", TIMING_S),
        ("t_off", TIMING_S),
        ("tc", TIMING_S),
        ("t_step", TIMING_S),
        ("tf", TIMING_S),
        ("peak_active", PEAK_BW),
        ("peak_brake", PEAK_BW),
        ("peak_prop", PEAK_BW),
        ("imp_v", IMPULSE_BW_S),
        ("imp_brake", IMPULSE_BW_S),
        ("imp_prop", IMPULSE_BW_S),
        ("imp_med", IMPULSE_BW_S),
        ("imp_lat", IMPULSE_BW_S),
    ],
)
def test_against_the_truth(sim, result, name, atol):
    np.testing.assert_allclose(result.steps[name], sim.truth(LEVEL_N)[name], atol=atol, equal_nan=True)


def test_double_support_is_a_negative_flight(result):
    flights = result.steps["tf"][:-1]
    assert (flights < -0.05).all()
    assert np.isnan(result.steps["tf"][-1])


def test_flight_metrics_are_not_made_up(result):
    for name in ("dy", "k_vert", "k_vert_sine", "v_residual"):
        assert np.isnan(result.steps[name]).all(), name


def test_asymmetry_has_the_sign_and_size_of_the_truth(sim, result):
    for metric in ("tc", "imp_v"):
        row = next(r for r in result.symmetry if r.metric == metric)
        assert row.si == pytest.approx(sim.true_si(metric, LEVEL_N), abs=0.3), metric


# --------------------------------------------------------------------------------------------------
# Crossovers


def _rows_at(result, times):
    """Rows whose contact covers an instant."""
    on, off = result.steps["t_on"], result.steps["t_off"]
    return [np.flatnonzero((on <= t) & (off >= t)) for t in times]


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("steps", [(10,), (7, 16)])
def test_a_foot_on_the_other_belt_is_flagged_and_left_out(share, steps):
    sim = walk(crossovers=steps, crossover_share=share)
    result = analyse(sim.trial)
    truth = sim.truth(LEVEL_N)
    crossed = result.steps["flags"] & int(Flag.CROSSOVER) != 0
    middles = 0.5 * (truth["t_on"] + truth["t_off"])
    for i in steps:
        (rows,) = _rows_at(result, [middles[i]])
        assert len(rows), "the footfall left no contact at all"
        assert crossed[rows].all(), "a contact that holds the crossed footfall counts as clean"
    near = np.zeros(STEPS, dtype=bool)
    for i in steps:
        near[max(i - 2, 0) : i + 3] = True
    for i in np.flatnonzero(~near):
        (rows,) = _rows_at(result, [middles[i]])
        assert not crossed[rows].any(), f"footfall {i} is far from any crossover"
    used = ~crossed & (result.steps["flags"] & int(Flag.LONG_CONTACT) == 0)
    for row in np.flatnonzero(used):
        i = int(np.argmin(np.abs(truth["t_on"] - result.steps["t_on"][row])))
        assert result.steps["side"][row] == truth["side"][i]
        assert result.steps["imp_v"][row] == pytest.approx(truth["imp_v"][i], abs=IMPULSE_BW_S)
    assert result.quality["used"] <= used.sum()


def test_limb_means_don_t_see_a_crossover(sim):
    crossed = analyse(walk(crossovers=(7, 16)).trial)
    clean = analyse(sim.trial)
    for limb in ("L", "R"):
        for name in ("imp_v", "peak_active", "tc"):
            expected = clean.summary[name][limb].mean
            assert crossed.summary[name][limb].mean == pytest.approx(expected, rel=2e-3), (limb, name)


def test_clean_walking_has_no_crossover(result):
    assert not len(flagged(result, Flag.CROSSOVER))
    assert not len(flagged(result, Flag.PLATE_EDGE))


# --------------------------------------------------------------------------------------------------
# Run, walk or in between


@pytest.mark.parametrize("belts", ["split", "single"])
@pytest.mark.parametrize("flight_s", [0.02, 0.05, 0.1])
def test_slow_running_with_small_flights_is_running(belts, flight_s):
    limb = Limb(contact_s=0.33, flight_after_s=flight_s)
    sim = treadmill(n_steps=STEPS, left=limb, right=limb, noise_n=2.0, seed=5, belts=belts)
    result = analyse(sim.trial)
    assert result.quality["gait"]["used"] == "run"
    assert result.quality["used"] == STEPS
    np.testing.assert_allclose(result.steps["tc"], sim.truth(LEVEL_N)["tc"], atol=2e-3)


def test_flights_too_short_for_a_clean_baseline_bias_little():
    """The flanks of contacts must not pass for an offset: with 10 ms of flight they once took 1.2 % of the weight."""
    limb = Limb(contact_s=0.33, flight_after_s=0.01)
    sim = treadmill(n_steps=STEPS, left=limb, right=limb, noise_n=2.0, seed=5, belts="single")
    weight = bc.analyze_gait(sim.trial, n_boot=0).quality["body_weight"]
    assert weight["mass_kg"] == pytest.approx(MASS_KG, rel=0.008)


@pytest.mark.parametrize("contact_s", [0.55, 0.68, 1.0])
def test_walking_at_any_speed_is_walking(contact_s):
    limb = WalkLimb(contact_s=contact_s, double_support_after_s=0.2 * contact_s)
    assert analyse(walk(left=limb, right=limb).trial).quality["gait"]["used"] == "walk"


def test_the_caller_may_know_better(sim):
    result = analyse(sim.trial, gait="run")
    gait = result.quality["gait"]
    assert (gait["used"], gait["seen"], gait["asked"]) == ("run", "walk", "run")
    assert len(result.contacts) == 1, "running sums the belts"


def test_a_bout_of_walking_does_not_enter_a_run():
    walking, running = walk(n_steps=10), treadmill(n_steps=STEPS, noise_n=2.0, seed=5)
    both = [np.concatenate(pair) for pair in zip(walking.wrenches, running.wrenches, strict=True)]
    result = analyse(bc.Trial.from_wrenches(both, rate_hz=1000.0, sides=["L", "R"]))
    assert result.quality["gait"]["used"] == "run"
    assert result.quality["used"] == STEPS
    np.testing.assert_array_equal(flagged(result, Flag.LONG_CONTACT), [0])
    assert any("never unloaded" in w for w in result.quality["warnings"])
    np.testing.assert_allclose(result.steps["tc"][1:], running.truth(LEVEL_N)["tc"], atol=2e-3)


@pytest.mark.parametrize("overlap_s", [0.05, 0.08])
def test_neither_running_nor_walking_is_mixed(overlap_s):
    """Short contacts with a short double support: duty above one half, but no flight."""
    limb = WalkLimb(contact_s=0.40, double_support_after_s=overlap_s)
    result = analyse(walk(left=limb, right=limb).trial)
    detail = result.quality["gait"]
    assert detail["used"] in ("mixed", "walk")
    assert detail["duty"] > 0.45
    assert len(result.contacts) == 2


# --------------------------------------------------------------------------------------------------
# One belt, never unloaded


@pytest.mark.parametrize("mass_kg", [None, MASS_KG])
@pytest.mark.parametrize("offset_n", [0.0, 40.0])
@pytest.mark.parametrize("cut", [False, True], ids=["stepping on", "under way"])
@pytest.mark.parametrize("contact_s", [0.6, 0.68, 1.2])
def test_walking_on_one_belt_gives_a_finding_and_no_steps(mass_kg, offset_n, cut, contact_s):
    limb = WalkLimb(contact_s=contact_s, double_support_after_s=0.2 * contact_s)
    sim = walk(belts="single", left=limb, right=limb, drift_n=offset_n)
    wrench = sim.wrenches[0][3000:-3000] if cut else sim.wrenches[0]
    result = bc.analyze_gait(wrench, rate_hz=1000.0, mass_kg=mass_kg, n_boot=0)
    assert len(result.steps) == 1, "steps were made up"
    assert result.quality["used"] == 0
    assert result.quality["cadence_spm"] is None
    assert any("walking on a single belt" in w for w in result.quality["warnings"])
    assert result.quality["body_weight"]["whole_strides_n"] is None
