"""Walkways: every foot on its plate, footfalls across plates whole, partial hits and two feet left out."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import balancecore as bc
from balancecore import cli
from balancecore.flags import Flag
from balancecore.overground import marker_sides, step_numbers
from balancecore.simulate import Limb, WalkLimb, overground, treadmill
from balancecore.steps import unusable
from balancecore.trial import Event, Trial

#: Vertical impulse of a whole or joined footfall against the formula: 3 N of noise and the offset's own error.
IMPULSE = 0.005
#: Step length against the formula: the force-weighted centres of pressure of 20 to 80 % of contact.
STEP_M = 0.01
#: Step width: noise of the moments over that of the force.
WIDTH_M = 0.005
#: Contact times: 3 N of noise on the slowest rise at the level.
TIME_S = 0.006
MASS_KG = 70.0


def analyse(data, **options):
    trial = getattr(data, "trial", data)
    return bc.analyze_gait(trial, **({"mass_kg": MASS_KG, "n_boot": 0} | options))


def rows(result, flag):
    return np.flatnonzero(result.steps["flags"] & int(flag)).tolist()


def used(result):
    return ~unusable(result.steps["flags"])


def sides(result):
    return "".join(result.steps["side"])


@st.composite
def walkways(draw, **fixed):
    gait = draw(st.sampled_from(["walk", "run"]))
    options = {
        "plates": draw(st.integers(2, 5)),
        "heading": draw(st.sampled_from(["x", "-x", "y", "-y"])),
        "first_side": draw(st.sampled_from("LR")),
        "rate_hz": draw(st.sampled_from([500.0, 1000.0, 1500.0])),
        "mass_kg": draw(st.floats(45.0, 110.0)),
        "noise_n": draw(st.floats(0.5, 3.0)),  # without any, an offset looks like the end of the range
        "drift_n": draw(st.floats(-30.0, 30.0)),
        "phase_s": draw(st.floats(0.0, 0.01)),
        "seed": draw(st.integers(0, 1000)),
    }
    return gait, options | fixed


# ---------------------------------------------------------------------------------------------------------------
# Whole footfalls


@settings(max_examples=25, deadline=None)
@given(
    walkways(),
    st.sampled_from([("events",), ("markers",), ("events", "markers")]),
    st.lists(st.floats(-0.1, 0.1), min_size=5, max_size=5),
)
def test_every_foot_is_found_on_its_plate(walkway, sources, beside_m):
    gait, options = walkway
    pitch = {"walk": 0.65, "run": 1.2}[gait]
    centres = [0.3 + k * pitch for k in range(options["plates"])]
    feet = [0.3 - pitch, *(y + d for y, d in zip(centres, beside_m, strict=False)), centres[-1] + pitch]
    sim = overground(gait, feet_m=feet, **options, **dict.fromkeys(sources, True))
    result = analyse(sim, mass_kg=options["mass_kg"])
    truth = sim.truth(result.quality["level_n"][0])
    assert result.provenance["used"]["surface"] == "overground"
    assert result.provenance["used"]["side_method"] == sources[0]
    assert result.provenance["used"]["gait"] == gait
    assert result.steps["side"].tolist() == truth["side"].tolist()
    assert result.steps["plate"].tolist() == list(range(options["plates"]))
    assert used(result).all()
    assert result.quality["overground"]["flagged"] == []
    np.testing.assert_allclose(result.steps["imp_v"], truth["imp_v"], rtol=IMPULSE)
    np.testing.assert_allclose(result.steps["tc"], truth["tc"], atol=TIME_S)
    np.testing.assert_allclose(result.steps["t_step"][:-1], truth["t_step"][:-1], atol=TIME_S)
    np.testing.assert_allclose(result.steps["step_length"][:-1], np.diff(feet[1:-1]), atol=STEP_M)


@pytest.mark.parametrize("heading", ["x", "-x", "y", "-y"])
@pytest.mark.parametrize("gait", ["walk", "run"])
def test_directions_follow_the_subject(gait, heading):
    sim = overground(gait, heading=heading, events=True, noise_n=1.0, first_side="R")
    result = analyse(sim)
    steps, truth = result.steps, sim.truth()
    assert result.quality["overground"]["progression"]["axis"] == heading
    pitch = {"walk": 0.65, "run": 1.2}[gait]
    np.testing.assert_allclose(steps["step_length"][:-1], pitch, atol=STEP_M)
    np.testing.assert_allclose(steps["step_width"][:-1], 2 * sim.left.cop_x_m, atol=WIDTH_M)
    for name in ("imp_brake", "imp_prop", "imp_med", "imp_lat"):
        np.testing.assert_allclose(steps[name], truth[name], atol=0.0005)
    assert (np.diff(steps["t_on"]) - steps["t_step"][:-1] == 0).all()
    assert ((steps["tf"][:-1] < 0) == (gait == "walk")).all()


def test_stated_axes_are_kept_and_a_contradiction_is_told():
    sim = overground(heading="-y", events=True)
    stated = replace(sim.trial, axes=("x", "y", "z"), lateral_known=True)
    result = analyse(stated)
    assert not result.quality["overground"]["progression"]["turned"]
    assert any("moves along -y although +y is stated" in w for w in result.quality["warnings"])
    assert (result.steps["step_length"][:-1] < 0).all()


def test_turning_a_trial_there_and_back_changes_nothing():
    trial = overground(markers=True, noise_n=1.0).trial
    there = trial.turned(("-y", "x", "z"))
    back = there.turned(("y", "-x", "z"))
    np.testing.assert_array_equal(there.plates[0].wrench[:, 1], trial.plates[0].wrench[:, 0])
    for a, b in zip(trial.plates, back.plates, strict=True):
        np.testing.assert_array_equal(a.wrench, b.wrench)
        np.testing.assert_array_equal(a.corners_lab, b.corners_lab)
        np.testing.assert_array_equal(a.origin_m, b.origin_m)
    np.testing.assert_array_equal(trial.markers.positions_m, back.markers.positions_m)
    np.testing.assert_allclose(there.plates[0].cop[1200, :2], trial.plates[0].cop[1200, [1, 0]] * [-1, 1])


def test_a_running_stride_on_the_plates_has_its_oscillation():
    sim = overground("run", plates=5, events=True)
    result = analyse(sim)
    truth = sim.truth(result.quality["level_n"][0])
    np.testing.assert_allclose(result.steps["vo"][:3], truth["vo"][:3], rtol=0.02)
    assert np.isnan(analyse(overground("walk", plates=5)).steps["vo"]).all()


# ---------------------------------------------------------------------------------------------------------------
# Parts of a foot, and more than one


@settings(max_examples=25, deadline=None)
@given(walkways(plates=3), st.integers(0, 2), st.floats(-0.06, -0.012), st.booleans())
def test_a_partial_hit_is_flagged_and_the_others_are_not(walkway, plate, inside_m, at_heel):
    gait, options = walkway
    pitch = {"walk": 0.65, "run": 1.2}[gait]
    path = {"walk": WalkLimb().cop_path_m, "run": Limb().cop_path_m}[gait]
    feet = [0.3 + k * pitch for k in range(3)]
    low, high = plate * pitch, plate * pitch + 0.6
    feet[plate] = low + inside_m + path / 2 if at_heel else high - inside_m - path / 2
    # The true centre of pressure leaves the plate by 12 mm at least: nearer, what is lost may weigh nothing
    sim = overground(gait, feet_m=feet, events=True, **options)
    result = analyse(sim, mass_kg=options["mass_kg"])
    assert rows(result, Flag.PARTIAL_HIT) == [plate]
    assert plate in rows(result, Flag.PLATE_EDGE)
    assert used(result).tolist() == [k != plate for k in range(3)]
    flagged = result.quality["overground"]["flagged"]
    assert [f["contact"] for f in flagged] == [plate]
    assert "edge" in flagged[0]["reasons"][0]
    # What hangs on the doubtful footfall is not given either.
    assert np.isnan(result.steps["t_step"][[plate, max(plate - 1, 0)]]).all()


@settings(max_examples=25, deadline=None)
@given(
    walkways(plates=3),
    st.floats(0.2, 0.8),
    st.floats(0.02, 0.06),
    st.sampled_from([0.0, 0.004, 0.02]),
)
def test_a_footfall_across_two_plates_is_joined(walkway, share, spread_m, gap_m):
    gait, options = walkway
    limb = WalkLimb() if gait == "walk" else Limb()
    edge = 0.6 + gap_m / 2
    feet = [-0.6, edge + limb.cop_path_m * (0.5 - share), 1.5 + 2 * gap_m]
    sim = overground(gait, gap_m=gap_m, feet_m=feet, spread_m=spread_m, events=True, **options)
    result = analyse(sim, mass_kg=options["mass_kg"])
    truth = sim.truth(max(result.quality["level_n"]))
    assert sim.steps[1].plates == (0, 1)
    assert result.quality["overground"]["plates"] == [[0, 1], [2]]
    assert rows(result, Flag.JOINED_PLATES) == [0]
    assert result.steps["plate"].tolist() == [-1, 2]
    assert used(result).tolist() == [gap_m < 0.01, True]
    assert result.steps["side"].tolist() == truth["side"].tolist()
    # What presses on the gap is lost: the gap's share of the way of the pressure, at most at twice the mean force.
    lost = 2.0 * gap_m / limb.cop_path_m
    assert result.steps["imp_v"][0] <= truth["imp_v"][0] * (1 + IMPULSE)
    assert result.steps["imp_v"][0] >= truth["imp_v"][0] * (1 - IMPULSE - lost)


@pytest.mark.parametrize("gait", ["walk", "run"])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_joined_footfall_is_measured_as_if_on_one_plate(gait, share):
    limb = WalkLimb() if gait == "walk" else Limb()
    feet = [-0.6, 0.6 + limb.cop_path_m * (0.5 - share), 1.5]
    joined = overground(gait, gap_m=0.0, feet_m=feet, noise_n=1.0, events=True, drift_n=(20.0, -15.0, 5.0))
    result = analyse(joined)
    truth = joined.truth(max(result.quality["level_n"]))
    for name in ("imp_v", "peak_active", "imp_brake", "imp_prop"):
        np.testing.assert_allclose(result.steps[name], truth[name], rtol=0.01, err_msg=name)
    np.testing.assert_allclose(result.steps["cop_y"], [f.cop_y_m for f in joined.steps[1:]], atol=0.02)


@settings(max_examples=25, deadline=None)
@given(walkways(plates=2, gap_m=0.4), st.floats(0.30, 0.42), st.booleans())
def test_two_feet_on_one_plate_are_recognised(walkway, step_m, markers):
    _, options = walkway
    feet = [0.3 - step_m / 2, 0.3 + step_m / 2, 1.3]
    sim = overground("walk", feet_m=feet, markers=markers, **options)
    assert [f.plates for f in sim.steps] == [(0,), (0,), (1,)]
    result = analyse(sim, mass_kg=options["mass_kg"])
    assert rows(result, Flag.TWO_FEET) == [0]
    assert used(result).tolist() == [False, True]
    assert result.steps["side"][0] == "?"
    assert np.isnan(result.steps["t_step"]).all()


def loaded(n, on, off, weight_n, x_m):
    """A plate that carries half a sine of force at one lateral place."""
    wrench = np.zeros((n, 6))
    t = np.arange(off - on) / (off - on)
    wrench[on:off, 2] = weight_n * np.sin(np.pi * t)
    wrench[:, 4] = -x_m * wrench[:, 2]
    return wrench


def test_a_part_that_another_foot_runs_into_is_not_joined():
    # Plates side by side. Left foot on the left plate, then the right foot on the line between them: the sum is never
    # unloaded for long enough to tell it from the left one, the left plate is.
    left = loaded(3000, 500, 1050, 700.0, 0.1) + loaded(3000, 1180, 1600, 300.0, 0.28)
    right = loaded(3000, 1080, 1640, 400.0, -0.28)
    corner = np.array([[0.3, 0.3, 0.0], [-0.3, 0.3, 0.0], [-0.3, -0.3, 0.0], [0.3, -0.3, 0.0]])
    origins = np.array([[-0.3, 0.0, 0.0], [0.3, 0.0, 0.0]])
    trial = Trial.from_wrenches(
        [left, right], rate_hz=1000.0, origins_m=origins, corners_m=[corner + o for o in origins]
    )
    result = analyse(trial, gait="walk")
    assert result.quality["overground"]["plates"] == [[0], [1], [0]]
    assert rows(result, Flag.JOINED_PLATES) == []
    assert rows(result, Flag.PARTIAL_HIT) == [1, 2]
    assert "together with the other foot" in " ".join(result.quality["overground"]["flagged"][0]["reasons"])


def test_two_near_feet_on_neighbouring_plates_are_not_joined():
    # A slow child's: each on its plate, no floor between, so near that the shared time and distance would do
    slow = WalkLimb(contact_s=0.9, double_support_after_s=0.35, cop_path_m=0.12, cop_x_m=0.05)
    options = {"plates": 2, "plate_length_m": 0.3, "gap_m": 0.0, "left": slow, "right": slow}
    sim = overground(feet_m=[0.16, 0.44], markers=True, **options)
    result = analyse(sim)
    assert result.quality["overground"]["plates"] == [[0], [1]]
    assert sides(result) == "LR"
    without = analyse(replace(sim.trial, markers=None))
    assert without.quality["overground"]["plates"] == [[0], [1]]
    assert used(without).all()
    # So near that only the markers know
    near = overground(feet_m=[0.20, 0.40], markers=True, **options)
    assert analyse(near).quality["overground"]["plates"] == [[0], [1]]
    assert analyse(replace(near.trial, markers=None)).quality["overground"]["plates"] == [[0, 1]]


def test_events_alone_tell_two_feet_that_stand_close():
    # Feet beside each other, so near that the centre of pressure stays within a foot's length
    sim = overground("walk", plates=1, feet_m=[0.27, 0.33], events=True)
    result = analyse(sim)
    assert rows(result, Flag.TWO_FEET) == [0]
    assert "by the events" in result.quality["overground"]["flagged"][0]["reasons"][-1]


def test_a_plate_that_is_never_seen_unloaded_has_no_baseline():
    sim = overground(plates=1, events=True, drift_n=8.0)
    on, off = sim.truth()["t_on"][0], sim.truth()["t_off"][0]
    trial = sim.trial

    def cut(low_s, high_s):
        part = slice(round(low_s * 1000), round(high_s * 1000))
        plates = tuple(replace(p, wrench=p.wrench[part].copy()) for p in trial.plates)
        return replace(trial, plates=plates, events=())

    one_sided = analyse(cut(on - 0.3, off + 0.012))
    assert rows(one_sided, Flag.DRIFT_SUSPECT) == [0]
    assert rows(one_sided, Flag.PARTIAL_HIT) == []
    neither = analyse(cut(on - 0.012, off + 0.012))
    assert rows(neither, Flag.PARTIAL_HIT) == [0]
    assert not used(neither).any()
    assert rows(analyse(cut(on - 0.3, off + 0.3)), Flag.DRIFT_SUSPECT) == []


def test_a_force_that_only_brakes_is_told():
    sim = overground(left=WalkLimb(propulsion_bw=0.0), events=True)
    result = analyse(sim)
    assert result.quality["overground"]["no_brake_to_propulsion"] == [1]
    assert any(w.startswith("contact 2 has no change from braking") for w in result.quality["warnings"])


def test_plates_at_an_angle_to_the_lab_have_edges_too():
    angle = np.radians(25.0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def at_an_angle(trial):
        plates = []
        for p in trial.plates:
            wrench, corners, origin = p.wrench.copy(), p.corners_lab.copy(), p.origin_m.copy()
            wrench[:, :2], wrench[:, 3:5] = wrench[:, :2] @ turn.T, wrench[:, 3:5] @ turn.T
            corners[:, :2], origin[:2] = corners[:, :2] @ turn.T, turn @ origin[:2]
            plates.append(replace(p, wrench=wrench, corners_lab=corners, origin_m=origin))
        return replace(trial, plates=tuple(plates))

    whole = analyse(at_an_angle(overground(events=True, noise_n=1.0).trial))
    assert used(whole).all()
    partial = analyse(at_an_angle(overground(events=True, feet_m=[-0.35, 0.1, 0.95, 1.6]).trial))
    assert rows(partial, Flag.PARTIAL_HIT) == [0]


# ---------------------------------------------------------------------------------------------------------------
# Sides


def test_sources_rank_and_a_contradiction_is_flagged_not_flipped():
    sim = overground(events=True, markers=True, first_side="L")  # the first plate takes the right foot
    assert sides(analyse(sim)) == "RLR"
    swapped = tuple(replace(e, side={"L": "R", "R": "L"}[e.side]) for e in sim.trial.events)
    result = analyse(replace(sim.trial, events=swapped))
    assert sides(result) == "LRL"
    assert rows(result, Flag.SIDE_AMBIGUOUS) == [0, 1, 2]
    assert not used(result).any()
    assert any("sources disagree" in w for w in result.quality["warnings"])
    plates = tuple(replace(p, side=s) for p, s in zip(sim.trial.plates, "RLR", strict=True))
    told = analyse(replace(sim.trial, plates=plates, events=()))
    assert sides(told) == "RLR"
    assert told.quality["sides"]["method"] == "plates"
    assert used(told).all()


def test_one_wrong_event_is_not_passed_on():
    sim = overground(events=True, markers=True, plates=4)
    on = sim.truth()["t_on"][1]
    wrong = tuple(
        replace(e, side="R" if e.side == "L" else "L") if abs(e.time_s - on) < 0.05 else e
        for e in sim.trial.events
    )
    result = analyse(replace(sim.trial, events=wrong))
    assert rows(result, Flag.SIDE_AMBIGUOUS) == [1]
    assert [s for k, s in enumerate(sides(result)) if k != 1] == ["R", "R", "L"]


def test_an_event_far_from_a_contact_is_not_its_own():
    sim = overground(events=True)
    late = tuple(Event(e.label, e.side, e.time_s + 0.2) for e in sim.trial.events)
    result = analyse(replace(sim.trial, events=late))
    assert result.quality["sides"]["method"] == "alternation"
    assert sides(result) == "ABA"


def test_alternation_counts_the_plates_that_were_missed():
    # Three plates, a step beside the second: the first and the last take the same foot
    sim = overground(feet_m=[-0.35, 0.3, 0.95, 1.6, 2.25], plates=2, gap_m=0.7)
    assert [f.plates for f in sim.steps] == [(), (0,), (), (1,), ()]
    assert sides(analyse(sim)) == "AA"
    trial = overground(plates=5, feet_m=[0.3, 0.95, 1.6, 2.25, 2.9]).trial
    missing = replace(trial, plates=trial.plates[:2] + trial.plates[3:])
    result = analyse(missing)
    assert sides(result) == "ABBA"
    assert result.quality["cadence_spm"] == pytest.approx(60 / 0.55, rel=0.01)
    assert rows(result, Flag.NON_ALTERNATING) == []


@pytest.mark.parametrize("side", ["L", "R"])
def test_the_first_side_is_carried_on_by_alternation(side):
    sim = overground("run", plates=3, first_side="R" if side == "L" else "L")
    result = analyse(sim, first_side=side)
    assert sides(result) == {"L": "LRL", "R": "RLR"}[side]
    assert result.quality["sides"]["method"] == "user+alternation"
    assert "from the first side given and by alternation" in str(result)


def test_a_time_between_steps_leaves_the_side_open():
    t_on = np.array([0.0, 0.55, 0.55 + 1.5 * 0.55 + 0.55])
    numbers, doubtful = step_numbers(t_on, t_on + 0.66, "walk")
    assert numbers[1] == 1
    assert doubtful.tolist() == [False, False, True]
    numbers, doubtful = step_numbers(np.array([0.0, 1.1]), np.array([0.68, 1.78]), "walk")
    assert numbers.tolist() == [0, 2]
    assert not doubtful.any()
    numbers, doubtful = step_numbers(np.array([0.0, 0.7]), np.array([0.25, 0.95]), "run")
    assert numbers.tolist() == [0, 2]
    assert not doubtful.any()


def test_markers_of_the_swinging_leg_do_not_count():
    sim = overground(markers=True)
    marks = sim.trial.markers
    swing = marks.positions_m.copy()
    stance = np.zeros(swing.shape[:2], dtype=bool)
    t = np.arange(len(swing)) / marks.rate_hz
    for f in sim.steps:
        columns = [k for k, name in enumerate(marks.names) if name[0] == f.side]
        stance[np.ix_((t >= f.t0) & (t <= f.t1), columns)] = True
    swing[stance] = np.nan
    result = analyse(replace(sim.trial, markers=replace(marks, positions_m=swing)))
    assert "markers" not in result.quality["sides"]["method"]


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("LHEE", "L"),
        ("Subject:RHEE", "R"),
        ("L.Heel", "L"),
        ("R_HEEL", "R"),
        ("lcal", "L"),
        ("RCAL1", "R"),
        ("heel_l", "L"),
        ("Right Toe", "R"),
        ("LMT5", "L"),
        ("LASI", None),
        ("RKNE", None),
        ("HEEL", None),
        ("LHEELX", None),
        ("SHEEL", None),
    ],
)
def test_names_of_foot_markers(name, side):
    found = marker_sides([name])
    assert {s: bool(columns) for s, columns in found.items()} == {"L": side == "L", "R": side == "R"}


# ---------------------------------------------------------------------------------------------------------------
# Body weight, options, and what is a walkway


def test_body_weight_is_given_or_stood_or_unknown():
    sim = overground(events=True, noise_n=1.0)
    unknown = analyse(sim, mass_kg=None)
    assert len(rows(unknown, Flag.BW_SUSPECT)) == 3
    assert np.isnan(unknown.steps["imp_v"]).all()
    assert np.isfinite(unknown.steps["tc"]).all()
    assert np.isfinite(unknown.steps["step_length"][:2]).all()
    assert any("body weight is unknown" in w for w in unknown.quality["warnings"])
    assert json.dumps(unknown.to_dict(), allow_nan=False)

    standing = np.zeros((2000, 6))
    standing[:1500, 2] = MASS_KG * bc.simulate.STANDARD_GRAVITY
    plates = tuple(
        replace(p, wrench=np.vstack((standing if k == 0 else 0 * standing, p.wrench)))
        for k, p in enumerate(sim.trial.plates)
    )
    stood = analyse(replace(sim.trial, plates=plates, events=()), mass_kg=None)
    assert stood.quality["body_weight"]["source"] == "static"
    assert stood.quality["body_weight"]["mass_kg"] == pytest.approx(MASS_KG, rel=0.005)


def test_few_steps_give_means_but_no_interval():
    result = analyse(overground(events=True), n_boot=200)
    row = result.symmetry["imp_v"]
    assert np.isfinite(row.si)
    assert np.isnan(row.ci_low)
    assert [result.summary["imp_v"][x].n for x in "LR"] == [1, 2]


@pytest.mark.parametrize("gait", ["walk", "run"])
@pytest.mark.parametrize(
    "options", [{"n_steps": 1}, {"n_steps": 3}, {"n_steps": 3, "belts": "single"}, {"duration_s": 8.0}]
)
def test_a_treadmill_is_never_taken_for_a_walkway(gait, options):
    result = analyse(treadmill(gait, noise_n=1.0, **options))
    assert result.provenance["used"]["surface"] == "treadmill"
    assert "overground" not in result.quality


def test_auto_needs_corners_small_plates_and_few_contacts():
    trial = overground().trial

    def surface(trial):
        return analyse(trial).provenance["used"]["surface"]

    assert surface(trial) == "overground"
    assert (
        surface(replace(trial, plates=tuple(replace(p, corners_lab=None) for p in trial.plates)))
        == "treadmill"
    )
    at_zero = tuple(replace(p, corners_lab=np.zeros((4, 3))) for p in trial.plates)
    assert surface(replace(trial, plates=at_zero)) == "treadmill"
    long = tuple(replace(p, corners_lab=p.corners_lab * [1.0, 2.2, 1.0]) for p in trial.plates)
    assert surface(replace(trial, plates=long)) == "treadmill"
    often = tuple(replace(p, wrench=np.tile(p.wrench, (3, 1))) for p in trial.plates)
    assert surface(replace(trial, plates=often)) == "treadmill"


def test_without_corners_or_moments_the_result_says_what_it_can_not_see():
    trial = overground(events=True).trial
    bare = tuple(replace(p, corners_lab=None) for p in trial.plates)
    result = analyse(replace(trial, plates=bare), surface="overground")
    assert sides(result) == "RLR"
    assert any("not every plate has corners" in w for w in result.quality["warnings"])
    vertical = Trial.from_wrenches([p.wrench[:, 2] for p in trial.plates], rate_hz=1000.0)
    result = analyse(vertical, surface="overground")
    assert sides(result) == "ABA"
    assert used(result).all()
    assert any("without moments" in w for w in result.quality["warnings"])


def test_an_empty_walkway_has_no_contacts():
    result = analyse(Trial.from_wrenches([np.zeros((2000, 6))] * 2, rate_hz=1000.0), surface="overground")
    assert len(result.steps) == 0
    assert str(result)


def test_the_options_repeat_the_result_and_bad_ones_are_refused():
    sim = overground(feet_m=[-0.35, 0.3, 0.62, 1.6], gap_m=0.0, events=True, noise_n=2.0, seed=5)
    result = analyse(sim)
    again = bc.analyze_gait(sim.trial, **result.provenance["options"])
    assert json.dumps(again.to_dict()) == json.dumps(result.to_dict())
    with pytest.raises(bc.errors.DataError, match="surface='beach'"):
        analyse(sim, surface="beach")


def test_the_surface_can_be_said_on_the_command_line(tmp_path, capsys):
    plate = overground(plates=1).trial.plates[0].wrench
    path = tmp_path / "plate.npy"
    np.save(path, plate)
    arguments = ["gait", str(path), "--rate", "1000", "--mass", "70", "--json"]
    assert cli.main([*arguments, "--surface", "overground"]) == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["used"]["surface"] == "overground"
    assert cli.main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["used"]["surface"] == "treadmill"


def test_the_walkway_refuses_what_makes_no_sense():
    for options in (
        {"plates": 0},
        {"heading": "up"},
        {"feet_m": [1.0, 0.5]},
        {"feet_m": []},
        {"spread_m": 0.0},
    ):
        with pytest.raises(bc.errors.DataError):
            overground(**options)
