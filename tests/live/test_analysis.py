"""What is seen of a device that runs: the same steps as of its recording, and traces on a grid."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import balancecore as bc
from balancecore.capture import Acquisition, Recorder, Rig, RigTare
from balancecore.errors import DataError
from balancecore.live.analysis import TRACE_S, LiveAnalysis, Traces

pytest.importorskip("nptdms")
pytest.importorskip("msgspec")
PATIENCE_S = 60.0
#: Faster than life; noise, so that sides and offsets have something to cope with.
RUN = "simulated:treadmill?rate_hz=1000&seed=1&noise_n=3&left_contact_s=0.25&right_contact_s=0.23&pace=4"
#: A column of a step as shown live against that of the whole trial (docs/streaming.md, largest difference).
TC_TOLERANCE_S = 0.001


def until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def analysis(acquisition, **options):
    rig = Rig.for_device(acquisition.device)
    tap = acquisition.subscribe(overrun="gap", name="live")
    return rig, LiveAnalysis(tap, rig, acquisition.device.rate_hz, **options)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Twelve seconds as they were seen live, every change of a step, and the recording of the same frames."""
    acquisition = Acquisition(RUN)
    rig, live = analysis(acquisition, metrics=("tc", "peak_brake"), strides=10, traces=True)
    path = tmp_path_factory.mktemp("seen") / "run.tdms"
    live.begin(70.0)
    changes, run, change = [], 0, 0
    with Recorder(acquisition, path, rig=rig, seconds=12.0) as recorder, acquisition:
        live.start()
        while not recorder.done:
            live.news.wait(0.05)
            live.news.clear()
            run, change, steps = live.steps(run, change)
            changes += steps
        until(lambda: live.seen().frames >= 12_000)
    live.stop()
    changes += live.steps(run, change)[2]
    return live, changes, bc.analyze_gait(bc.read(path), mass_kg=70.0, n_boot=0)


def test_steps_are_those_of_the_recording(seen):
    _, changes, result = seen
    final = {step.number: step for step in changes if step.final}
    for step in final.values():
        k = int(np.abs(result.steps["t_on"] - step.t_on).argmin())
        assert step.t_on == pytest.approx(result.steps["t_on"][k], abs=TC_TOLERANCE_S)
        assert step.values["tc"] == pytest.approx(result.steps["tc"][k], abs=2 * TC_TOLERANCE_S)
        assert step.side in (result.steps["side"][k], "?")
    # The first step of the look has no more than its own number; the last are still to come.
    assert len(final) >= len(result.steps) - 3
    assert sum(step.side == "?" for step in final.values()) < 8


def test_a_step_is_first_provisional_and_then_final(seen):
    _, changes, _ = seen
    by_number = {}
    for step in changes:
        by_number.setdefault(step.number, []).append(step)
    provisional = [steps[0] for steps in by_number.values() if not steps[0].final]
    assert len(provisional) > 20
    for steps in by_number.values():
        assert [step.final for step in steps] == sorted(step.final for step in steps)
        assert len({step.t_on for step in steps}) == 1
    assert all(math.isfinite(step.values["tc"]) for step in provisional[1:])


def test_cadence_and_symmetry(seen):
    live, _, result = seen
    found = live.seen()
    assert found.trouble == ""
    assert found.cadence == pytest.approx(60.0 / np.nanmean(result.steps["t_step"]), rel=0.02)
    assert found.symmetry.limbs == ("L", "R")
    left, right = found.symmetry.means["tc"]
    assert found.symmetry.si["tc"] == pytest.approx(bc.symmetry_index(left, right))
    # Means of ten strides against those of all; the signal varies by its noise only.
    assert found.symmetry.si["tc"] == pytest.approx(result.symmetry["tc"].si, abs=0.5)
    assert found.symmetry.means["peak_brake"][0] < 0


def test_a_new_analysis_begins_anew():
    acquisition = Acquisition(RUN)
    _, live = analysis(acquisition)
    with acquisition:
        live.start()
        live.begin(70.0)
        until(lambda: live.seen().contacts > 3 and live.steps(0, 0)[2])
        run, change, _ = live.steps(0, 0)
        live.begin(70.0)
        assert live.seen() == (run + 1, None, 0, 0, pytest.approx(math.nan, nan_ok=True), None, "")
        until(lambda: live.steps(run, change)[2])
        assert live.steps(run, change)[2][0].number == 0
        assert live.seen().first_index > 0
        live.end()
        contacts = live.seen().contacts
        until(lambda: acquisition.next_index > live.seen().first_index + live.seen().frames + 3000)
        assert live.seen().contacts <= contacts + 1  # a block may have been under way
    live.stop()


@pytest.mark.parametrize("gait", ["auto", "walk"])
def test_a_walker_after_a_tare_is_seen_to_walk(gait):
    acquisition = Acquisition("simulated:treadmill?rate_hz=1000&seed=1&gait=walk&pace=4")
    rig, live = analysis(acquisition, gait=gait)
    zeros = (0.0,) * len(rig.channels)
    with acquisition:
        live.begin(70.0, RigTare(rig.channels, zeros, zeros, 1000, 1000.0))
        live.start()
        until(lambda: live.seen().frames > 10_000)
    live.stop()
    steps = [step for step in live.steps(0, 0)[2] if step.final]
    assert len(steps) > 8
    assert {step.side for step in steps} == {"L", "R"}


def test_an_error_of_the_analysis_is_told_and_ends_nothing_else(monkeypatch):
    acquisition = Acquisition(RUN)
    _, live = analysis(acquisition, traces=True)

    def broken(stream, block):
        raise DataError("made to fail")

    monkeypatch.setattr(LiveAnalysis, "_push", lambda self, stream, block: broken(stream, block))
    with acquisition:
        live.start()
        live.begin()
        until(lambda: live.seen().trouble)
        assert live.seen().trouble == "made to fail"
        number, rows = live.traces.since(0)
        until(lambda: live.traces.since(number + len(rows))[1])
    live.stop()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metrics": ("tc", "t_swing")}, "'t_swing': no running symmetry"),
        ({"metrics": ("side",)}, "'side'"),
        ({"strides": 0}, "strides=0"),
        ({"strides": 201}, "strides=201"),
    ],
)
def test_what_can_not_be(options, said):
    acquisition = Acquisition(RUN)
    with pytest.raises(DataError, match=said):
        analysis(acquisition, **options)
    acquisition.stop()


# Traces.


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)), min_size=1, max_size=20),
    st.integers(0, 100),
)
def test_traces_are_block_means_however_the_frames_come(pieces, first):
    traces, per = Traces(1000.0), 5
    signal, index = [], first
    for lost, length in pieces:
        lost = lost if signal else 0
        values = np.arange(index + lost, index + lost + length, dtype=float)[:, None] * [1.0, -2.0]
        signal += [(math.nan, math.nan)] * lost + values.tolist()
        traces.add(index + lost, values)
        index += lost + length
    number, rows = traces.since(0)
    begin = -(-first // per)
    assert number == begin
    whole = np.array(signal)[begin * per - first :]
    whole = whole[: len(whole) // per * per].reshape(-1, per, 2).mean(axis=1) if len(whole) >= per else []
    np.testing.assert_allclose(np.array(rows).reshape(-1, 2), np.array(whole).reshape(-1, 2))


def test_traces_are_bounded_and_a_long_gap_begins_anew():
    traces = Traces(10_000.0)
    assert traces.step_s == 0.005
    most = round(TRACE_S / traces.step_s)
    traces.add(0, np.ones((300_000, 2)))
    number, rows = traces.since(0)
    assert (number, len(rows)) == (300_000 // 50 - most, most)
    assert traces.since(number + len(rows)) == (6000, [])
    assert traces.since(10**9) == (6000, [])
    traces.add(10**12, np.ones((100, 2)))
    assert traces.since(6000) == (10**12 // 50, [[1.0, 1.0], [1.0, 1.0]])
