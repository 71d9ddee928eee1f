"""What the page keeps of what it is fed."""

import math

import pytest

from balancecore.errors import DataError
from balancecore.live.hub import MOST_SAMPLES, MOST_STEPS, SHOWN_S, Hub

from .feeder import HELLO, READY, step, trace


@pytest.fixture
def hub():
    return Hub(HELLO)


def test_lines_of_another_version_are_refused():
    with pytest.raises(DataError, match="version 2"):
        Hub(HELLO | {"version": 2})


def test_a_late_browser_gets_the_newest_state_and_the_last_seconds(hub):
    for k in range(100):
        hub.take(READY | {"elapsed_s": k * 0.1, "trace": trace(20 * k, 20), "steps": [step(k)]})
    _, shown = hub.shown()
    assert shown["elapsed_s"] == 99 * 0.1
    assert {side: s["number"] for side, s in shown["last"].items()} == {"L": 98, "R": 99}
    assert shown["now_s"] == pytest.approx(1999 * 0.005)
    _, whole, samples = hub.samples(0)
    assert whole
    assert SHOWN_S <= samples[-1][0] - samples[0][0] < SHOWN_S + 1.5


def test_samples_come_once_and_in_order(hub):
    hub.take({"trace": trace(0, 30)})
    after, _, first = hub.samples(0)
    hub.take({"trace": trace(30, 10)})
    _, whole, more = hub.samples(after)
    assert not whole
    assert [t for t, *_ in first + more] == pytest.approx([k * 0.005 for k in range(40)])


def test_one_who_was_away_too_long_gets_samples_that_stand_alone(hub):
    hub.take({"trace": trace(0, 30)})
    after, _, _ = hub.samples(0)
    for k in range(30, 5000, 10):
        hub.take({"trace": trace(k, 10)})
    _, whole, samples = hub.samples(after)
    assert whole
    assert samples[-1][0] == pytest.approx(4999 * 0.005)


def test_no_line_is_drawn_across_what_is_missing(hub):
    hub.take({"trace": {"first_s": 0.0, "step_s": 0.005, "fz_n": [[1.0, None, 3.0], [0.0, 0.0, 0.0]]}})
    hub.take({"trace": {"first_s": 1.0, "step_s": 0.005, "fz_n": [[4.0], [0.0]]}})
    _, _, samples = hub.samples(0)
    assert [math.isnan(left) for _, left, _ in samples] == [False, True, False, True, False]
    assert samples[-1][0] == 1.0


def test_time_that_begins_anew_leaves_nothing_of_the_old_trace(hub):
    hub.take({"trace": trace(1000, 50)})
    after, _, _ = hub.samples(0)
    hub.take({"trace": trace(0, 5)})
    _, whole, samples = hub.samples(after)
    assert whole
    assert [t for t, *_ in samples] == pytest.approx([k * 0.005 for k in range(5)])


def test_another_recording_begins_without_the_steps_of_the_last(hub):
    hub.take({"trial": 1, "steps": [step(1), step(2)], "symmetry": {"strides": 3}, "cadence": 170.0})
    hub.take({"trial": 2})
    _, shown = hub.shown()
    assert (shown["last"], shown["symmetry"], shown["cadence"]) == ({}, None, None)


def test_a_final_step_takes_the_place_of_the_early_one(hub):
    hub.take({"steps": [step(4, final=False, tc=0.2)]})
    _, early = hub.shown()
    assert (early["last"]["L"]["values"]["tc"], early["final"]) == (0.2, {})
    hub.take({"steps": [step(5, final=False), step(4, tc=0.25)]})
    _, late = hub.shown()
    assert late["last"]["L"] == late["final"]["L"]
    assert late["final"]["L"]["values"]["tc"] == 0.25


def test_however_long_it_runs_it_keeps_no_more(hub):
    for k in range(300):
        block = {"first_s": k * 1.0, "step_s": 1e-5, "fz_n": [[0.0] * 1000] * 2}
        hub.take({"steps": [step(k)], "trace": block})
    assert len(hub.samples(0)[2]) <= MOST_SAMPLES
    assert len(hub._steps) <= MOST_STEPS
