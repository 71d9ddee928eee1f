"""Which foot it was: belts, votes, alternation by time, the caller's word; and never a guess."""

import numpy as np
import pytest

import balancecore as bc
from balancecore.flags import Flag
from balancecore.sides import by_belt, by_parity, vote
from balancecore.simulate import Limb, treadmill

STEPS = 30
FEET = Limb(cop_x_m=0.05)
RIGHT_FOOT = Limb(contact_s=0.24, impact_dv_m_s=1.3, impact_dt_s=0.027, cop_x_m=0.05)
#: Impulses of 70 kg with 2 N of noise.
IMPULSE_BW_S = 0.001


def run(**options):
    return treadmill(**({"n_steps": STEPS, "noise_n": 2.0, "seed": 7, "belts": "single"} | options))


def analyse(data, **options):
    if not isinstance(data, bc.Trial):
        options.setdefault("rate_hz", 1000.0)
    return bc.analyze_gait(data, **({"mass_kg": 70.0, "n_boot": 0} | options))


def ambiguous(result):
    return int(((result.steps["flags"] & int(Flag.SIDE_AMBIGUOUS)) != 0).sum())


def method(result):
    return result.quality["sides"]["method"]


# --------------------------------------------------------------------------------------------------
# What tells left from right


@pytest.mark.parametrize("first", ["L", "R"])
def test_belts_with_sides(first):
    sim = run(belts="split", first_side=first)
    result = analyse(sim.trial)
    assert method(result) == "belt"
    assert result.limbs == ("L", "R")
    assert (result.steps["side"] == sim.truth()["side"]).all()
    assert not ambiguous(result)


@pytest.mark.parametrize("first", ["L", "R"])
def test_vote_of_the_centres_of_pressure(first):
    sim = run(first_side=first)
    result = analyse(sim.trial)
    assert method(result) == "cop_vote"
    assert (result.steps["side"] == sim.truth()["side"]).all()
    found = result.quality["sides"]["vote"]
    assert found["share"] == 1.0
    assert found["voters"] == STEPS - 2
    assert found["contrast"] == pytest.approx(0.1, abs=0.002)


def test_without_a_known_right_limbs_are_a_and_b():
    sim = run()
    result = analyse(sim.wrenches[0])
    assert result.limbs == ("A", "B")
    # A lies at smaller x, which is the left foot here; but nobody said so
    assert (result.steps["side"] == np.where(sim.truth()["side"] == "L", "A", "B")).all()
    assert np.isfinite(result.steps["imp_med"]).all(), (
        "medial is towards the other foot: it needs no left and right"
    )


def test_axes_are_what_makes_the_right_known():
    sim = run()
    told = bc.Trial.from_wrenches(list(sim.wrenches), rate_hz=1000.0, axes=("x", "y", "z"))
    assert told.lateral_known
    assert analyse(told).limbs == ("L", "R")
    plain = bc.Trial.from_wrenches(list(sim.wrenches), rate_hz=1000.0)
    assert not plain.lateral_known
    assert analyse(plain).limbs == ("A", "B")


def test_a_plate_turned_round_is_put_right_by_its_axes():
    sim = run()
    turned = sim.wrenches[0] * np.array([-1, -1, 1, -1, -1, 1])
    result = analyse(bc.Trial.from_wrenches([turned], rate_hz=1000.0, axes=("-x", "-y", "z")))
    assert (result.steps["side"] == sim.truth()["side"]).all()
    as_is = analyse(turned)
    assert as_is.limbs == ("A", "B")
    assert (as_is.steps["side"] == np.where(sim.truth()["side"] == "R", "A", "B")).all()
    assert any("forward axis" in w for w in as_is.quality["warnings"])


def test_the_caller_s_word():
    sim = run(first_side="R")
    fz = sim.wrenches[0][:, 2]
    result = analyse(fz, first_side="R")
    assert method(result) == "user"
    assert (result.steps["side"] == sim.truth()["side"]).all()
    assert not ambiguous(result)
    assert not result.quality["warnings"] or not any("first_side" in w for w in result.quality["warnings"])


@pytest.mark.parametrize(("belts", "witness"), [("single", "centres of pressure"), ("split", "belts")])
def test_a_word_against_the_evidence_is_used_and_reported(belts, witness):
    sim = run(belts=belts)
    result = analyse(sim.trial, first_side="R")
    assert (result.steps["side"] != sim.truth()["side"]).all()
    (finding,) = [w for w in result.quality["warnings"] if "first_side" in w]
    assert witness in finding


def test_the_word_is_about_the_first_contact_even_if_it_is_cut():
    sim = run()
    loaded = np.flatnonzero(sim.wrenches[0][:, 2] > 1000.0)
    result = analyse(sim.wrenches[0][loaded[0] :, 2], first_side="L")
    assert result.steps["flags"][0] & Flag.INCOMPLETE_START
    assert (result.steps["side"] == sim.truth()["side"]).all()


# --------------------------------------------------------------------------------------------------
# What must not confuse it


@pytest.mark.parametrize("wander_m", [0.03, 0.06, 0.1])
def test_a_runner_who_drifts_sideways(wander_m):
    sim = run(wander_m=wander_m, wander_period_s=8.0)
    result = analyse(sim.trial)
    assert method(result) == "cop_vote"
    assert (result.steps["side"] == sim.truth()["side"]).all()
    assert not ambiguous(result)


@pytest.mark.parametrize("cop_x_m", [0.0, -0.0005])
def test_crossing_feet_are_ambiguous_and_not_guessed(cop_x_m):
    limbs = {"left": Limb(cop_x_m=cop_x_m), "right": Limb(cop_x_m=cop_x_m)}
    # Feet that land anywhere within some centimetres: the vote must not find a difference in that
    sim = run(**limbs, noise_n=10.0)
    scattered = np.array(sim.wrenches[0])
    shift = np.random.default_rng(1).normal(0.0, 0.02, STEPS)
    for i, step in enumerate(sim.steps):
        a, b = int(step.t0 * 1000), int(step.t1 * 1000)
        scattered[a:b, 4] -= shift[i] * scattered[a:b, 2]
    trial = bc.Trial.from_wrenches([scattered], rate_hz=1000.0, axes=("x", "y", "z"))
    result = analyse(trial)
    assert result.limbs == ("A", "B"), "a weak vote may not name left and right"
    assert ambiguous(result) == STEPS
    assert result.quality["used"] == 0
    assert np.isnan(result.steps["step_width"]).all()
    assert any("don't separate the feet" in w for w in result.quality["warnings"])
    known = analyse(trial, first_side="L")
    assert ambiguous(known) == 0, "the caller's word settles it"
    assert (known.steps["side"] == sim.truth()["side"]).all()


def test_feet_that_always_cross_over_are_told_wrongly_only_by_the_vote():
    """A vote knows positions, not feet: steadily crossed feet are swapped, unless the caller says."""
    crossing = {"left": Limb(cop_x_m=-0.03), "right": Limb(cop_x_m=-0.03)}
    sim = run(**crossing)
    told = analyse(sim.trial, first_side="L")
    assert (told.steps["side"] == sim.truth()["side"]).all()
    assert any("first_side" in w for w in told.quality["warnings"])


@pytest.mark.parametrize("belts", ["single", "split"])
@pytest.mark.parametrize("missed", [(8,), (8, 9), (8, 9, 10), (5, 12, 20)])
def test_a_missed_step_keeps_the_sides_right(belts, missed):
    sim = run(belts=belts, missed=missed)
    result = analyse(sim.trial)
    assert len(result.steps) == STEPS - len(missed)
    assert (result.steps["side"] == sim.truth()["side"]).all()
    assert not ambiguous(result)
    fz = np.sum([w[:, 2] for w in sim.wrenches], axis=0)
    assert (analyse(fz, first_side="L").steps["side"] == sim.truth()["side"]).all(), "parity goes by time"


def test_one_footfall_in_the_wrong_place_is_flagged_and_not_flipped():
    sim = run()
    wrench = np.array(sim.wrenches[0])
    step = sim.steps[12]
    a, b = int(step.t0 * 1000), int(step.t1 * 1000)
    wrench[a:b, 4] *= -1.2  # beyond the middle line
    result = analyse(bc.Trial.from_wrenches([wrench], rate_hz=1000.0, axes=("x", "y", "z")))
    assert (result.steps["side"] == sim.truth()["side"]).all()
    flags = (result.steps["flags"] & int(Flag.SIDE_AMBIGUOUS)) != 0
    assert flags[12]
    assert flags.sum() <= 1 + 2, "its neighbours' contrasts may suffer, nobody else's"


def test_crossovers_do_no_harm_to_a_runner_on_two_belts():
    sim = run(belts="split", crossovers=(9, 20))
    result = analyse(sim.trial)
    assert (result.steps["side"] == sim.truth()["side"]).all()
    assert not ambiguous(result)
    np.testing.assert_allclose(result.steps["imp_v"], sim.truth()["imp_v"], atol=IMPULSE_BW_S)


# --------------------------------------------------------------------------------------------------
# Towards the other foot


@pytest.mark.parametrize("belts", ["single", "split"])
def test_medial_points_to_the_other_foot_on_both_sides(belts):
    sim = run(belts=belts)
    result = analyse(sim.trial)
    truth = sim.truth()
    for name in ("imp_med", "imp_lat"):
        np.testing.assert_allclose(result.steps[name], truth[name], atol=IMPULSE_BW_S)
    assert (result.steps["imp_med"] > 0).all()
    assert (result.steps["imp_lat"] < 0).all()
    curve = [result.curves.get("f_med", limb) for limb in ("L", "R")]
    for limb in curve:
        assert limb[10:30].mean() < 0 < limb[60:90].mean()
    np.testing.assert_allclose(result.steps["step_width"][:-1], 0.1, atol=0.005)


# --------------------------------------------------------------------------------------------------
# The rules themselves


def test_a_vote_needs_three_inner_contacts():
    assert vote(np.array([0.0, 1.0, 0.0, 1.0]), np.arange(4)).sign == 0
    assert vote(np.array([0.0, 1.0, 0.0, 1.0, 0.0]), np.arange(5)).sign == 1


def test_a_vote_counts_only_neighbours_in_time():
    x, parity = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0]), np.array([0, 1, 2, 5, 6, 7])
    assert vote(x, parity).voters == 2


def test_a_vote_with_a_missing_position():
    x = np.array([0.0, 1.0, 0.0, 1.0, np.nan, 1.0, 0.0, 1.0, 0.0, 1.0])
    found = vote(x, np.arange(10))
    assert found.voters == 5
    assert found.sign == 1
    assert not found.disagree.any()


def test_belts_without_sides_are_a_and_b_from_small_to_large_x():
    found = by_belt(np.array([0, 1, 0]), ("?", "?"), np.array([0.3, -0.3]))
    assert found.labels.tolist() == ["B", "A", "B"]
    assert found.limbs == ("A", "B")
    assert found.medial_x == {"A": 1.0, "B": -1.0}


def test_no_contacts_have_no_sides():
    nothing = np.empty(0)
    found = by_parity(
        np.empty(0, dtype=np.int64),
        vote(nothing, np.empty(0, dtype=np.int64)),
        vote(nothing, np.empty(0, dtype=np.int64)),
        first_side="L",
        right_sign=1,
        belt_right=0,
    )
    assert len(found.labels) == 0
