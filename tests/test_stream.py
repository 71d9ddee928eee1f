"""A running signal: the same bits however it is cut, close to the whole-trial result, and in time."""

import gc
import math
import runpy
import threading
import tracemalloc
import weakref
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import balancecore as bc
from balancecore.causal import CausalBaseline, Knot, Line
from balancecore.flags import Flag
from balancecore.schema import COLUMNS
from balancecore.stream import LATER_COLUMNS

MASS_KG = 70.0
#: What a contact needs after toe-off, and the provisional events after the crossing, s (docs/streaming.md).
CONTACT_AFTER_S = 0.150
EVENT_AFTER_S = 0.010
#: A step waits for a touch-down that can't be rejected any more: the shortest contact and the look-ahead.
STEP_AFTER_S = 0.070 + 0.100
#: Online against whole trial, same level, noise of 3 N. The offset under a contact is that of the flights before and
#: after, as for the whole trial; while walking on separate belts that of the flight before, and force is slow to fall.
TIME_S = {"running": 0.0002, "walking": 0.0005}
PEAK_BW = 0.002
#: Sideways the camber counts as well: that of the strides so far, at first of one.
IMPULSE_BW_S = 0.001
#: Curves are means of 12 contacts or more.
CURVE_BW = 0.0003
#: A contact before its step is given away: the window after it may lie 1 N from the one before, and the force falls
#: with 1 to 2 N/ms when the foot leaves.
EARLY_S = 0.001
EARLY_PEAK_BW = 0.004
#: Body weight from the strides so far against the given one.
WEIGHT_SHARE = 0.01
#: What is asked for: touch-down, toe-off and contact time of every contact of the Bertec run, at 20 N.
BERTEC_S = 0.0002
# The offset is between its windows' means, so a drift of up to 6 N/s is followed to some tenths of a newton.
DRIFTING_BW = 0.003
DRIFTING_S = 0.0002
# One flight's mean is 0.4 N off, where the force of walking falls with some 2 N/ms.
AFTER_A_REST_S = 0.001
#: On its 200 Hz timing copy noise crosses the level more than once near toe-off: before the flight after it is known a
#: contact may take another crossing.
BERTEC_EARLY_S = 0.006
#: A scuff of 20 ms in mid-flight: it shifts its window by 5 N and more, a touch-down by 0.4 ms and a lateral impulse by
#: 0.005 BW s; the line through the windows around it is known to 0.5 N.
SCUFF_TIME_S = 0.0002
SCUFF_IMPULSE_BW_S = 0.0005
#: A row, its pushed copy and its running sums; no signal (a minute of signal would be 1.1 MB at 200 Hz).
BYTES_A_STEP = 4000


def side_by_side(trial):
    return np.hstack([plate.wrench for plate in trial.plates])


def run(trial, frames, edges, **options):
    """Everything that a stream gives away."""
    stream = bc.GaitStream(trial.layout, rate_hz=trial.rate_hz, n_boot=0, **options)
    steps, events, contacts = [], [], []
    for a, b in pairwise(edges):
        steps += stream.push(frames[a:b])
        events += stream.events
        contacts += stream.contacts
    return steps, events, contacts, stream.finish()


def whole_trial(trial, frames):
    """The whole-trial analysis of other frames of the same two belts, at the stream's level."""
    changed = bc.Trial.from_wrenches(
        [frames[:, :6], frames[:, 6:]], rate_hz=trial.rate_hz, origins_m=trial.layout.origins_m
    )
    return bc.analyze_gait(changed, mass_kg=MASS_KG, n_boot=0, level_n=20.0)


def flights(trial):
    """Frames from each toe-off to the next touch-down."""
    whole = bc.analyze_gait(trial, mass_kg=MASS_KG, n_boot=0).steps
    off, on = (np.rint(whole[name] * trial.rate_hz) for name in ("t_off", "t_on"))
    return [(int(a), int(b)) for a, b in zip(off[:-1], on[1:], strict=True) if b > a]


def rows_of(steps):
    """Steps as comparable tuples: NaN equals NaN."""
    return [tuple("nan" if v != v else v for v in step.values()) for step in steps]


def assert_same_result(one, other):
    for name in one.steps.columns:
        np.testing.assert_array_equal(one.steps[name], other.steps[name], err_msg=name)
    assert np.array_equal(one.curves.mean, other.curves.mean, equal_nan=True)
    assert np.array_equal(one.curves.sd, other.curves.sd, equal_nan=True)
    assert one.to_dict()["symmetry"] == other.to_dict()["symmetry"]
    assert one.quality["rejected"] == other.quality["rejected"]


@pytest.fixture(scope="module")
def running():
    return bc.simulate.treadmill(duration_s=20.0, noise_n=3.0, seed=1).trial


@pytest.fixture(scope="module")
def slow_rate():
    """Small enough for many examples: gaps, a missed footfall, drift."""
    return bc.simulate.treadmill(
        duration_s=9.0, rate_hz=250.0, noise_n=3.0, drift_n=8.0, missed=[9], seed=2
    ).trial


@pytest.fixture(scope="module")
def walking():
    return bc.simulate.treadmill("walk", duration_s=12.0, rate_hz=500.0, noise_n=2.0, seed=3).trial


CUTS = st.one_of(
    st.lists(st.integers(0, 2250), max_size=30), st.integers(1, 60).map(lambda k: list(range(0, 2250, k)))
)


@settings(max_examples=15, deadline=None)
@given(cuts=CUTS, gap=st.one_of(st.none(), st.tuples(st.integers(0, 2200), st.integers(1, 200))))
def test_cuts_change_no_bit(slow_rate, cuts, gap):
    frames = side_by_side(slow_rate)
    if gap:
        frames[gap[0] : sum(gap)] = np.nan
    n = len(frames)
    edges = [0, *sorted(min(c, n) for c in cuts), n]
    whole, pieces = run(slow_rate, frames, [0, n]), run(slow_rate, frames, edges)
    assert rows_of(whole[0]) == rows_of(pieces[0])
    assert whole[1] == pieces[1]
    assert rows_of(whole[2]) == rows_of(pieces[2])
    assert_same_result(whole[3], pieces[3])


@pytest.mark.parametrize("gait", ["running", "walking"])
def test_single_frames_and_one_huge_block(gait, request):
    trial = request.getfixturevalue(gait)
    frames = side_by_side(trial)
    n = len(frames)
    whole, single = run(trial, frames, [0, n]), run(trial, frames, range(n + 1))
    assert rows_of(whole[0]) == rows_of(single[0])
    assert whole[1] == single[1]
    assert rows_of(whole[2]) == rows_of(single[2])
    assert_same_result(whole[3], single[3])


@pytest.mark.parametrize("gait", ["running", "walking"])
def test_online_is_the_stream(gait, request):
    trial = request.getfixturevalue(gait)
    frames = side_by_side(trial)
    stream = run(trial, frames, [0, 17, 1700, len(frames)], mass_kg=MASS_KG)[3]
    online = bc.analyze_gait(trial, mass_kg=MASS_KG, level_n=20.0, poi="13pct", n_boot=0, online=True)
    assert_same_result(stream, online)
    again = bc.analyze_gait(trial, **online.provenance["options"])
    assert_same_result(online, again)
    assert online.provenance["options"]["online"] is True
    assert online.provenance["used"]["frames"] == len(frames)


@pytest.mark.parametrize("gait", ["running", "walking"])
def test_close_to_the_whole_trial(gait, request):
    trial = request.getfixturevalue(gait)
    whole = bc.analyze_gait(trial, mass_kg=MASS_KG, level_n=20.0, n_boot=0)
    online = bc.analyze_gait(trial, mass_kg=MASS_KG, n_boot=0, online=True)
    assert len(whole.steps) == len(online.steps) > 15
    assert whole.steps["side"].tolist() == online.steps["side"].tolist()
    for names, most in (
        (("t_on", "t_off", "tc", "t_step", "t_stride"), TIME_S[gait]),
        (("peak_active",), PEAK_BW),
        (("imp_v", "imp_brake", "imp_prop", "imp_med"), IMPULSE_BW_S),
    ):
        for name in names:
            np.testing.assert_allclose(online.steps[name], whole.steps[name], atol=most, err_msg=name)
    for curve in ("fy", "fz"):
        k = online.curves.names.index(curve)
        np.testing.assert_allclose(online.curves.mean[:, k], whole.curves.mean[:, k], atol=CURVE_BW)
    assert online.quality["gait"]["used"] == whole.quality["gait"]["used"]


def test_pushed_steps_are_rows_of_the_result(running):
    frames = side_by_side(running)
    steps, _, contacts, result = run(running, frames, range(0, len(frames) + 10, 10), speed_m_s=3.0)
    assert len(steps) == len(result.steps) - 1
    assert len(contacts) == len(result.steps)
    labels = "".join(step["side"] for step in steps)
    known = labels.lstrip("?")
    assert len(known) > 0.8 * len(labels)
    assert known == "".join(result.steps["side"][len(labels) - len(known) : len(labels)])
    sided = {"imp_med", "imp_lat", "imp_ml_net", "peak_med", "peak_lat", "side", "flags"}
    first = {"vo", "dy", "k_vert", "k_leg", "v_residual"}  # the first step waits for its own stride
    for i, step in enumerate(steps):
        for column in COLUMNS:
            name = column.id
            if name in LATER_COLUMNS:
                assert math.isnan(step[name])
            elif (name in sided and labels[i] == "?") or name == "flags" or (i == 0 and name in first):
                continue
            elif column.dtype == "float64":
                np.testing.assert_equal(step[name], result.steps[name][i], err_msg=name)


def test_a_contact_is_measured_again_when_the_flight_after_it_is_known(running):
    frames = side_by_side(running)
    steps, _, contacts, result = run(running, frames, range(0, len(frames) + 10, 10), mass_kg=MASS_KG)
    changed = 0
    for contact, step in zip(contacts, steps, strict=False):
        assert contact["t_on"] == step["t_on"]
        assert contact["t_off"] == pytest.approx(step["t_off"], abs=EARLY_S)
        assert contact["peak_active"] == pytest.approx(step["peak_active"], abs=EARLY_PEAK_BW)
        assert math.isnan(contact["t_step"])
        changed += contact["t_off"] != step["t_off"] and contact["imp_v"] != step["imp_v"]
    assert changed > 0.9 * len(steps)
    # Nothing comes after the last one.
    assert contacts[-1]["imp_v"] == result.steps["imp_v"][-1] or math.isnan(contacts[-1]["imp_v"])


def test_on_separate_belts_a_contact_stays_as_it_is(walking):
    frames = side_by_side(walking)
    steps, _, contacts, _ = run(walking, frames, range(0, len(frames) + 10, 10), mass_kg=MASS_KG)
    early = {contact.number: contact for contact in contacts}
    assert len(steps) > 15
    for step in steps:
        for name in ("t_on", "t_off", "tc", "peak_active", "imp_v", "cop_x"):
            np.testing.assert_equal(early[step.number][name], step[name], err_msg=name)


def test_before_a_pause_a_contact_stays_as_it_is(running):
    frames = side_by_side(running)
    k = flights(running)[20][0]
    pause = np.random.default_rng(0).normal(0.0, 3.0, (6000, 12))  # longer than the signal that is kept
    frames = np.vstack((frames[:k], pause, frames[k:]))
    steps, _, contacts, result = run(running, frames, range(0, len(frames) + 10, 10), mass_kg=MASS_KG)
    longest = int(np.argmax(np.diff(result.steps["t_on"])))
    assert np.diff(result.steps["t_on"])[longest] > 6.0
    assert steps[longest]["t_off"] == contacts[longest]["t_off"]
    assert steps[longest]["imp_v"] == contacts[longest]["imp_v"]
    assert steps[longest - 1]["imp_v"] != contacts[longest - 1]["imp_v"]
    whole = whole_trial(running, frames)
    np.testing.assert_allclose(result.steps["t_off"], whole.steps["t_off"], atol=EARLY_S)


@pytest.mark.parametrize("when_s", [1.0, 12.0])
def test_a_scuffed_flight_spoils_no_step(when_s):
    """In the look and after it: below the level, so that no contact is found, but sideways as well."""
    trial = bc.simulate.treadmill(duration_s=20.0, noise_n=1.0, seed=8).trial
    clean = side_by_side(trial)
    middle = next(m for a, b in flights(trial) if (m := (a + b) // 2) > when_s * trial.rate_hz)
    scuffed = clean.copy()
    scuff = np.hanning(20)[:, None]
    scuffed[middle - 10 : middle + 10, [2]] += 14.0 * scuff
    scuffed[middle - 10 : middle + 10, [0]] += 80.0 * scuff
    one, other = (run(trial, frames, [0, len(clean)], mass_kg=MASS_KG)[3] for frames in (clean, scuffed))
    dropped = [sum(b["knots_dropped"] for b in r.quality["baseline"]) for r in (one, other)]
    assert dropped[1] == dropped[0] + 1
    assert len(one.steps) == len(other.steps)
    for names, most in (
        (("t_on", "t_off"), SCUFF_TIME_S),
        (("imp_v", "imp_med", "imp_lat"), SCUFF_IMPULSE_BW_S),
    ):
        for name in names:
            np.testing.assert_allclose(other.steps[name], one.steps[name], atol=most, err_msg=name)


def test_an_outlier_among_the_windows():
    rng = np.random.default_rng(0)
    drift = np.array([0.01, -0.02])
    baseline = CausalBaseline(np.zeros(2), 1000.0)

    def add(k, extra=0.0):
        return baseline.add(300.0 * k, 5.0 + drift * 300.0 * k + rng.normal(0.0, 0.1, 2) + extra)

    assert not any(add(k).outlier for k in range(20))
    for extra in (8.0, [0.0, 8.0]):  # one channel is enough
        knot = add(20, extra)
        assert knot.outlier
        np.testing.assert_allclose(knot.values, 5.0 + drift * 6000.0, atol=0.3)
    # The offset itself jumps: believed once most of the windows say so.
    after = [add(k, 50.0) for k in range(21, 35)]
    assert after[0].outlier
    assert not after[-1].outlier
    np.testing.assert_allclose(after[-1].values, 55.0 + drift * 300.0 * 34, atol=0.3)


def test_the_offset_is_a_line_between_windows_and_held_beyond():
    a, b = Knot(100.0, np.arange(12.0), False), Knot(300.0, np.arange(12.0) + 4.0, False)
    line = Line.between(a, b)
    for sample, value in ((0.0, 0.0), (100.0, 0.0), (150.0, 1.0), (300.0, 4.0), (900.0, 4.0)):
        np.testing.assert_allclose(line.at(sample), np.arange(12.0) + value)
        assert line.vertical(sample) == pytest.approx(2.0 + 8.0 + 2 * value)
    np.testing.assert_array_equal(Line.held(a).at(500.0), a.values)


def test_what_comes_when(running):
    frames = side_by_side(running)
    rate = running.rate_hz
    stream = bc.GaitStream(running.layout, rate_hz=rate, mass_kg=MASS_KG, tare=np.zeros(12))
    contact_delay, event_delay, step_delay, ons = [], [], [], []
    for k in range(len(frames)):
        steps = stream.push(frames[k : k + 1])
        now = k / rate
        contact_delay += [now - c["t_off"] for c in stream.contacts]
        event_delay += [now - e.time_s for e in stream.events]
        ons += [e for e in stream.events if e.kind == "on"]
        step_delay += [now - (s["t_on"] + s["t_step"]) for s in steps]
    assert max(contact_delay) < CONTACT_AFTER_S
    assert max(event_delay) < EVENT_AFTER_S
    assert max(step_delay) < STEP_AFTER_S
    result = stream.finish()
    assert len(ons) == len(result.steps)
    # Provisional times are of a 100 Hz copy that has passed its filter once.
    np.testing.assert_allclose([e.time_s for e in ons], result.steps["t_on"], atol=0.003)
    late = ons[10:]
    assert [e.side for e in late] == result.steps["side"][10:].tolist()


def test_running_body_weight(running):
    result = run(running, side_by_side(running), [0, len(running)])[3]
    assert result.provenance["used"]["body_weight_source"] == "whole_strides"
    weight = result.provenance["used"]["body_weight_n"]
    assert weight == pytest.approx(MASS_KG * 9.80665, rel=WEIGHT_SHARE)


def test_drift_is_followed():
    sim = bc.simulate.treadmill(
        duration_s=40.0,
        noise_n=3.0,
        drift_n=bc.simulate.Drift(linear_n=30.0, sine_n=15.0, sine_period_s=20.0),
        seed=4,
    )
    online = bc.analyze_gait(sim.trial, mass_kg=MASS_KG, n_boot=0, online=True)
    whole = bc.analyze_gait(sim.trial, mass_kg=MASS_KG, n_boot=0, level_n=20.0)
    assert len(online.steps) == len(whole.steps)
    np.testing.assert_allclose(online.steps["peak_active"], whole.steps["peak_active"], atol=DRIFTING_BW)
    np.testing.assert_allclose(online.steps["t_on"], whole.steps["t_on"], atol=DRIFTING_S)


@pytest.mark.parametrize("gait", ["run", "walk"])
def test_a_rest_does_not_outlive_what_was_known_of_the_offset(gait):
    """After minutes of nothing, or on an empty treadmill, a line through the windows before means nothing."""
    sim = bc.simulate.treadmill(gait, n_steps=24, noise_n=3.0, seed=7)
    frames, empty = side_by_side(sim.trial), np.random.default_rng(8).normal(0.0, 3.0, (120_000, 12))
    once = bc.analyze_gait(sim.trial, mass_kg=MASS_KG, n_boot=0, level_n=20.0, gait=gait).steps
    for block in (bc.Block(frames, lost_before=300_000), np.vstack((empty, frames))):
        stream = bc.GaitStream(sim.trial.layout, rate_hz=1000.0, mass_kg=MASS_KG, n_boot=0, gait=gait)
        stream.push(frames)
        stream.push(block)
        found = stream.finish().steps["tc"]
        assert len(found) == 2 * len(once)
        np.testing.assert_allclose(found, np.tile(once["tc"], 2), atol=AFTER_A_REST_S)


def test_an_offset_that_jumps_is_flagged(running):
    frames = side_by_side(running).copy()
    frames[10_000:, 2] += 8.0
    table = run(running, frames, [0, len(frames)], mass_kg=MASS_KG)[3].steps
    suspect = (table["flags"] & int(Flag.DRIFT_SUSPECT)) != 0
    first = np.argmax(table["t_on"] > 10.0)
    assert suspect[first + 1]  # one window aside may have been a scuff
    assert not suspect[3 : first + 1].any()
    assert not suspect[first + 4 :].any()


def test_a_stream_says_that_a_plate_points_down(running):
    result = run(running, -side_by_side(running), [0, len(running)], mass_kg=MASS_KG)[3]
    assert any("points down" in w for w in result.quality["warnings"])


def test_gaps_lost_blocks_and_empty_blocks(running):
    frames = side_by_side(running)
    broken = frames.copy()
    broken[7100:7400] = np.nan
    nan, lost = (bc.GaitStream(running.layout, rate_hz=1000.0, mass_kg=MASS_KG, n_boot=0) for _ in range(2))
    nan.push(broken)
    lost.push(frames[:7100])
    lost.push(np.empty((0, 12)))
    lost.push([])
    lost.push(bc.Block(frames[7400:], lost_before=300))
    one, other = nan.finish(), lost.finish()
    assert_same_result(one, other)
    assert one.quality["gaps_s"] == [[7.1, 7.4]]
    touched = one.steps["flags"] & int(Flag.GAP)
    assert 1 <= np.count_nonzero(touched) <= 3
    assert np.isnan(one.steps["imp_v"][touched > 0]).all()
    whole = whole_trial(running, broken)
    assert len(whole.steps) == len(one.steps)
    np.testing.assert_array_equal(whole.steps["flags"] & int(Flag.GAP), touched)


def test_a_step_before_a_gap_is_given_away_with_its_flag(running):
    frames = side_by_side(running)
    ends = bc.analyze_gait(running, mass_kg=MASS_KG, n_boot=0).steps["t_off"]
    start = round(1000.0 * float(ends[20])) + 75  # in a flight, where the filter has settled
    frames[start : start + 300] = np.nan
    steps = run(running, frames, [0, start + 1, len(frames)], mass_kg=MASS_KG)[0]
    before = [s for s in steps if s["flags"] & int(Flag.NAN_IN_WINDOW) and not s["flags"] & int(Flag.GAP)]
    assert [s.number for s in before] == [20]
    assert math.isnan(before[0]["t_step"])


def test_nothing_but_gaps():
    stream = bc.GaitStream(bc.Layout.split_belt(), rate_hz=1000.0)
    for _ in range(20):
        assert stream.push(np.full((50, 12), np.nan)) == ()
    with pytest.raises(bc.errors.DataError, match="finite"):
        stream.finish()


def test_an_empty_treadmill_is_looked_at_until_somebody_comes(walking):
    frames = side_by_side(walking)
    rng = np.random.default_rng(0)
    empty = rng.normal(0.0, 1.0, (4000, 12))
    stream = bc.GaitStream(walking.layout, rate_hz=500.0, mass_kg=MASS_KG, n_boot=0)
    stream.push(empty)
    stream.push(frames)
    result = stream.finish()
    assert result.quality["gait"]["used"] == "walk"
    whole = bc.analyze_gait(walking, mass_kg=MASS_KG, n_boot=0, level_n=20.0)
    assert len(result.steps) == len(whole.steps)
    assert not result.quality["gaps_s"]


def test_walking_with_a_tare_needs_no_look(walking):
    frames = side_by_side(walking)
    options = {"mass_kg": MASS_KG, "gait": "walk"}
    looked = run(walking, frames, [0, len(frames)], **options)
    tared = run(walking, frames, [0, 700, len(frames)], tare=np.zeros(12), **options)
    assert len(tared[1]) > len(looked[1])  # events from the first frame on
    assert {e.plate for e in tared[1]} == {0, 1}
    assert len(tared[3].steps) == len(looked[3].steps)
    np.testing.assert_allclose(tared[3].steps["tc"], looked[3].steps["tc"], atol=TIME_S["walking"])


def test_limbs_without_sides_are_a_and_b():
    trial = bc.simulate.treadmill(duration_s=10.0, belts="single", seed=7).trial
    fz = np.zeros((len(trial), 6))
    fz[:, 2] = trial.plates[0].wrench[:, 2]
    layout = bc.Layout.single_belt(missing=("Fx", "Fy", "Mx", "My", "Mz"))
    stream = bc.GaitStream(layout, rate_hz=1000.0, mass_kg=MASS_KG, n_boot=0)
    steps = stream.push(fz)
    recent = stream.symmetry(5, ("peak_active",))
    result = stream.finish()
    assert {step["side"] for step in steps} == {"?"}
    assert recent.limbs == result.limbs == ("A", "B")
    assert recent.si["peak_active"] == pytest.approx(result.symmetry["peak_active"].si, abs=0.5)
    assert np.isnan(result.steps["cop_x"]).all()


def test_unloaded_throughout():
    stream = bc.GaitStream(bc.Layout.single_belt(), rate_hz=500.0, gait="run")
    stream.push(np.random.default_rng(1).normal(3.0, 2.0, (2500, 6)))
    result = stream.finish()
    assert len(result.steps) == 0
    assert result.quality["trial_flags"] == ["BW_SUSPECT"]


def test_two_threads_two_streams(running, slow_rate):
    trials = (running, slow_rate)
    alone = [run(t, side_by_side(t), range(0, len(t) + 7, 7))[3] for t in trials]
    results = [None, None]

    def work(k):
        trial = trials[k]
        results[k] = run(trial, side_by_side(trial), range(0, len(trial) + 7, 7))[3]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, results, strict=True):
        assert_same_result(one, other)


def test_dropped_half_way(running):
    before = set(threading.enumerate())
    stream = bc.GaitStream(running.layout, rate_hz=1000.0)
    stream.push(side_by_side(running)[:5000])
    assert set(threading.enumerate()) <= before  # threads of other tests may end meanwhile
    gone = weakref.ref(stream)
    del stream
    gc.collect()
    assert gone() is None


def test_memory_holds_rows_and_no_signal():
    trial = bc.simulate.treadmill(duration_s=60.0, rate_hz=200.0, noise_n=2.0, seed=5).trial
    minute = side_by_side(trial)
    stream = bc.GaitStream(trial.layout, rate_hz=200.0, mass_kg=MASS_KG)

    def pushed(minutes):
        steps = 0
        for _ in range(minutes):
            for k in range(0, len(minute), 500):
                steps += len(stream.push(minute[k : k + 500]))
        return steps

    tracemalloc.start()
    pushed(3)  # the running symmetry remembers 200 strides
    gc.collect()
    first = tracemalloc.get_traced_memory()[0]
    steps = pushed(4)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()
    assert steps > 500
    assert grown < BYTES_A_STEP * steps


@pytest.mark.parametrize("gait", ["run", "walk"])
def test_a_contact_and_its_step_have_the_same_number(gait):
    trial = bc.simulate.treadmill(gait, duration_s=12.0, seed=6).trial
    stream = bc.GaitStream(trial.layout, rate_hz=1000.0, mass_kg=MASS_KG, n_boot=0)
    contacts, steps = {}, {}
    for k in range(0, len(trial), 50):
        steps |= {step.number: step["t_on"] for step in stream.push(side_by_side(trial)[k : k + 50])}
        contacts |= {contact.number: contact["t_on"] for contact in stream.contacts}
    assert len(steps) > 10
    assert list(steps) == list(range(len(steps)))
    assert steps.items() <= contacts.items()
    np.testing.assert_array_equal(stream.finish().steps["t_on"][: len(steps)], list(steps.values()))


def test_running_symmetry():
    left, right = bc.simulate.LEFT, bc.simulate.RIGHT
    trial = bc.simulate.treadmill(duration_s=20.0, left=left, right=right, seed=6).trial
    stream = bc.GaitStream(trial.layout, rate_hz=1000.0, mass_kg=MASS_KG, n_boot=0)
    frames = side_by_side(trial)
    assert math.isnan(stream.symmetry().si["tc"])
    stream.push(frames)
    recent = stream.symmetry(10, ("tc", "peak_active", "imp_v"))
    result = stream.finish()
    assert recent.limbs == ("L", "R")
    assert recent.strides == 10
    for metric, value in recent.si.items():
        assert value == pytest.approx(result.symmetry[metric].si, abs=0.5), metric
        assert value == bc.symmetry_index(*recent.means[metric])
    with pytest.raises(bc.errors.DataError, match="last_strides"):
        stream.symmetry(0)
    with pytest.raises(bc.errors.DataError, match="duty"):
        stream.symmetry(metrics=("duty",))


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (np.zeros((5, 6)), "shape"),
        (np.zeros(12), "shape"),
        (np.zeros((5, 12), dtype="U3"), "type"),
        (bc.Block(np.zeros((5, 12)), lost_before=-1), "lost_before"),
        ("abc", "numbers"),
    ],
)
def test_wrong_blocks(block, said):
    with pytest.raises(bc.errors.DataError, match=said):
        bc.GaitStream(bc.Layout.split_belt(), rate_hz=1000.0).push(block)


def test_other_types_of_block_are_converted(slow_rate):
    frames = side_by_side(slow_rate)
    results = []
    for data in (frames, frames.astype(">f8"), np.asfortranarray(frames), frames.tolist()):
        stream = bc.GaitStream(slow_rate.layout, rate_hz=250.0, mass_kg=MASS_KG, n_boot=0)
        stream.push(data)
        results.append(stream.finish())
    for other in results[1:]:
        assert_same_result(results[0], other)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate_hz": 20.0}, "too low"),
        ({"rate_hz": 1000.0, "n_channels": 6}, "channels"),
        ({"rate_hz": 1000.0, "level_bw": 0.05}, "mass_kg"),
        ({"rate_hz": 1000.0, "tare": [0.0]}, "tare"),
        ({"rate_hz": 1000.0, "cutoff_hz": 600.0}, "cutoff_hz"),
        ({"rate_hz": 1000.0, "gait": "swim"}, "gait"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(bc.errors.DataError, match=said):
        bc.GaitStream(bc.Layout.split_belt(), **options)


@pytest.mark.parametrize("baseline", ["linear", "constant"])
def test_options_that_need_the_whole_trial(running, baseline):
    with pytest.raises(bc.errors.DataError, match="whole trial"):
        bc.analyze_gait(running, baseline=baseline, online=True)


def test_finish_ends(running):
    stream = bc.GaitStream(running.layout, rate_hz=1000.0, n_boot=0)
    with pytest.raises(bc.errors.DataError, match="too short"):
        stream.finish()
    stream.push(side_by_side(running))
    assert stream.finish() is stream.finish()
    with pytest.raises(bc.errors.DataError, match="finished"):
        stream.push(np.zeros((1, 12)))
    assert str(stream.finish())


@pytest.mark.realdata
def test_bertec(data_dir):
    folder = data_dir / "treadmill_run_bertec"
    trial = bc.read([folder / f"JDX_S999_run_0021_f_{k}.tsv" for k in (1, 2)])
    whole = bc.analyze_gait(trial, n_boot=0, level_n=20.0, mass_kg=82.85)
    online = bc.analyze_gait(trial, n_boot=0, mass_kg=82.85, online=True)
    assert online.quality["complete"] == whole.quality["complete"] == 29
    for name in ("t_on", "t_off", "tc"):
        apart = np.abs(online.steps[name] - whole.steps[name])[:29]
        assert np.count_nonzero(apart <= BERTEC_S) == 29, name
    frames = side_by_side(trial)
    contacts = run(trial, frames, range(0, len(frames) + 24, 24), mass_kg=82.85)[2]
    for k in range(29):
        assert contacts[k]["t_on"] == online.steps["t_on"][k]
        assert contacts[k]["t_off"] == pytest.approx(online.steps["t_off"][k], abs=BERTEC_EARLY_S)
    assert online.steps["side"].tolist() == whole.steps["side"].tolist()


def test_the_example_runs(capsys):
    path = Path(__file__).parents[1] / "examples" / "embed_in_your_loop.py"
    runpy.run_path(str(path), run_name="__main__")
    said = capsys.readouterr().out
    assert "steps" in said
    assert " L  contact" in said
