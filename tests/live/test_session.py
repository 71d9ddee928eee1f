"""A session: what can be done in which state, what it records, and how it ends."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import balancecore as bc
from balancecore.capture import Recording, RecordingWriter
from balancecore.errors import BalanceCoreError, DataError, DeviceError, DeviceLostError, RigError
from balancecore.live import LiveSession, View, hello

from ..capture.scripted import no_new_threads

pytest.importorskip("nptdms")
pytest.importorskip("msgspec")
PATIENCE_S = 60.0
RUN = "simulated:treadmill?rate_hz=1000&seed=1&left_contact_s=0.25&right_contact_s=0.23&pace=4"
#: Nobody is on it for a minute, so that it can be tared.
EMPTY = "simulated:treadmill?rate_hz=1000&seed=1&noise_n=2&drift_n=15&pace=4&start_s=60"


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert no_new_threads(before) == []


def until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_recordings_one_after_the_other(tmp_path):
    with LiveSession(RUN, out=tmp_path / "trials", mass_kg=70.0, note="first visit") as session:
        assert session.state == "ready"
        paths = []
        for seconds in (3.0, 1.0):
            session.start()
            assert session.state == "recording"
            until(lambda seconds=seconds: session.now().elapsed_s > seconds)
            paths.append(session.stop())
            assert session.state == "ready"
        now = session.now()
    assert session.state == "ended"
    assert session.recordings == paths == sorted((tmp_path / "trials").iterdir())
    assert (now.trial, now.file, now.lost) == (2, paths[1].name, 0)
    for path, seconds in zip(paths, (3.0, 1.0), strict=True):
        recording = Recording(path)
        assert recording.end_reason == "stopped"
        assert recording.frames >= 1000 * seconds
        assert (recording.mass_kg, recording.note) == (70.0, "first visit")
    assert Recording(paths[1]).frames == now.frames
    said = session.messages()
    assert [message.split(": ")[0] for message in said] == [paths[k].name for k in (0, 0, 1, 1)]
    assert said[0::2] == [f"{path.name}: recording" for path in paths]
    assert session.messages() == []


def test_a_recording_of_some_seconds_ends_by_itself(tmp_path):
    with LiveSession(RUN, out=tmp_path, seconds=2.0) as session:
        path = session.start()
        until(lambda: session.state == "ready")
        assert "2.00 s, 2000 frames, 0 lost" in session.now().message
    assert (Recording(path).frames, Recording(path).end_reason) == (2000, "complete")


def test_steps_have_the_times_of_the_file(tmp_path):
    """The analysis begins with another block than the file does, and both in the middle of a run."""
    with LiveSession(RUN, out=tmp_path, mass_kg=70.0) as session:
        until(lambda: session.now().rate_by_host_hz > 0 and session.analysis.traces.since(0)[1])
        path, view, steps = session.start(), View(session), {}
        while session.now().elapsed_s < 6.0:
            steps |= {step["number"]: step for step in view.update()["steps"]}
            time.sleep(0.02)
    on = bc.analyze_gait(bc.read(path), mass_kg=70.0, n_boot=0).steps["t_on"]
    shown = [step["t_on"] for step in steps.values() if step["t_on"] is not None]
    assert len(shown) > 8
    # Far less than a block, which the two may differ by.
    assert max(np.nanmin(np.abs(on - t_on)) for t_on in shown) < 0.002


def test_markers_are_events_of_the_recording(tmp_path):
    with LiveSession(RUN, out=tmp_path) as session:
        path = session.start()
        until(lambda: session.now().elapsed_s > 1.0)
        before = session._acquisition.next_index - session.first_index
        session.mark("3 m/s\n\x1b ü")
        after = session._acquisition.next_index - session.first_index
        session.mark()
        assert session.now().markers == 2
        until(lambda: session.now().elapsed_s > 2.0)
    first, second = bc.read(path).events
    assert (first.label, second.label) == ("3 m/s \\x1b ü", "marker")
    assert before <= round(1000 * first.time_s) <= after


def test_tares(tmp_path):
    with LiveSession(EMPTY, out=tmp_path) as session:
        tare = session.tare()
        assert session.state == "ready"
        # Means over a second of noise of 2 N.
        assert re.fullmatch(
            r"tare taken: left belt \+1[45]\.\d N, right belt \+1[45]\.\d N", session.now().message
        )
        path = session.start()
        until(lambda: session.now().elapsed_s > 1.0)
    assert Recording(path).tare.mean == tare.mean
    # The mean over a second of noise of 2 N, twice.
    assert abs(bc.read(path).plates[0].wrench[:, 2].mean()) < 0.5
    # Block means of five frames: well within five of their SDs.
    assert np.abs(session.analysis.traces.since(0)[1][-200:]).max() < 5.0


def test_a_tare_of_loaded_plates_is_refused_and_the_zeros_before_stay(tmp_path):
    with LiveSession(RUN, out=tmp_path) as session:
        with pytest.raises(DataError, match="the plate is loaded"):
            session.tare()
        assert session.state == "ready"
        assert "no tare: " in session.now().message
        path = session.start()
    assert Recording(path).tare is None


def refused(session, command, said):
    session.do(command)
    assert said in session.now().message, session.now().message


def test_what_a_state_does_not_allow_is_a_message(tmp_path):
    with LiveSession(EMPTY.replace("pace=4", "pace=1"), out=tmp_path) as session:
        refused(session, {"do": "stop"}, "nothing is being recorded (ready)")
        refused(session, {"do": "marker", "text": "x"}, "nothing is being recorded (ready)")
        session.do({"do": "tare"})
        until(lambda: session.state == "taring")
        refused(session, {"do": "start"}, "a tare is going on")
        refused(session, {"do": "tare"}, "a tare is going on")
        refused(session, {"do": "stop"}, "nothing is being recorded (taring)")
        until(lambda: session.state == "ready")
        session.do({"do": "start"})
        assert session.state == "recording"
        refused(session, {"do": "start"}, "a recording is going on")
        refused(session, {"do": "tare"}, "a recording is going on")
        until(lambda: session.now().frames > 0)
        session.do({"do": "marker"})
        session.do({"do": "stop"})
        assert session.state == "ready"
    refused(session, {"do": "start"}, "the device is not running")
    assert len(session.recordings) == 1
    assert [e.label for e in bc.read(session.recordings[0]).events] == ["marker"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (None, "a command that is none"),
        ([], "a command that is none"),
        ({}, "unknown command None"),
        ({"do": "rm -rf"}, "unknown command 'rm -rf'"),
        ({"do": ["start"]}, "unknown command"),
        ({"do": "x" * 10_000}, "unknown command"),
        ({"do": "marker", "text": "x" * 201}, "up to 200 characters"),
        ({"do": "marker", "text": 3}, "up to 200 characters"),
        ({"do": "start", "text": "x"}, "only a marker has a text"),
    ],
)
def test_commands_that_are_none(tmp_path, command, said):
    with LiveSession(RUN, out=tmp_path) as session:
        session.start()
        refused(session, command, said)
        assert len(session.now().message) < 200
        assert session.state == "recording"
        assert session.now().markers == 0


def test_an_unplugged_device(tmp_path):
    with LiveSession(f"{RUN}&fault=gap@1:50,disconnect@2.5", out=tmp_path) as session:
        path = session.start()
        until(lambda: session.state == "failed")
        now = session.now()
        assert now.device_state == "failed"
        assert f"{path.name}: " in now.message
        assert "it was disconnected at 2.5 s" in now.message
        assert (now.lost, now.device_lost) == (50, 50)
        refused(session, {"do": "start"}, "the device is not running")
        refused(session, {"do": "tare"}, "the device is not running")
        assert isinstance(session.error, DeviceLostError)
    assert session.state == "failed"
    recording = Recording(path)
    assert "disconnected" in recording.end_reason
    assert recording.gaps[:, 1].tolist() == [50]
    assert recording.frames + 50 + round(1000 * now.began_s) == 2500


def test_a_device_that_goes_before_a_recording(tmp_path):
    with LiveSession(f"{RUN}&fault=disconnect@1", out=tmp_path) as session:
        until(lambda: session.state == "failed")
        assert "it was disconnected at 1 s" in session.now().message
    assert list(tmp_path.iterdir()) == []


def test_a_silent_device_is_said_to_be_silent(tmp_path):
    with LiveSession(f"{RUN}&fault=stall@1:600", out=tmp_path) as session:
        until(lambda: session.now().device_state.startswith("no frames for 1 s"))
        assert session.state == "ready"


def test_a_full_disk(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with LiveSession(RUN, out=tmp_path) as session:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        try:
            path = session.start()
            until(lambda: session.state == "failed")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "can't be written any more: File too large" in session.now().message
        assert session.now().device_state == "running"
        kept = len(bc.read(path))
        assert kept > 500
        # Room has been made.
        second = session.start()
        until(lambda: session.now().elapsed_s > 1.0)
        session.stop()
    assert len(bc.read(second)) >= 1000


def test_a_replay_that_has_played_all_is_an_end(tmp_path):
    bc.write(bc.simulate.treadmill(duration_s=2.0, seed=2).trial, tmp_path / "run.tdms")
    with LiveSession(f"replay:{tmp_path / 'run.tdms'}?speed=4", out=tmp_path / "out") as session:
        path = session.start()
        assert hello(session)["device"] == "replay:run.tdms?speed=4"
        until(lambda: session.state == "ended")
        assert session.now().message == "the device has given its last frame"
        assert session.error is None
    assert Recording(path).end_reason == "the acquisition ended"


def test_closing_while_something_goes_on(tmp_path):
    session = LiveSession(EMPTY.replace("pace=4", "pace=0.1"), out=tmp_path)
    with pytest.raises(DeviceError, match="not open yet"):
        session.now()
    session.open()
    session.do({"do": "tare"})
    until(lambda: session.state == "taring")
    session.close()
    session.close()
    assert session.state == "ended"
    assert not [message for message in session.messages() if "last frame" in message]
    session = LiveSession(RUN, out=tmp_path).open()
    path = session.start()
    session.close("stopped by SIGTERM")
    assert Recording(path).end_reason == "stopped by SIGTERM"
    with pytest.raises(DeviceError, match="opened once"):
        session.open()


@pytest.mark.parametrize(
    ("device", "options", "said"),
    [
        (RUN, {"mass_kg": -1.0}, "mass_kg=-1.0"),
        (RUN, {"seconds": 0.0}, "seconds=0.0"),
        (RUN, {"metrics": ("duty",)}, "'duty'"),
        (RUN, {"strides": 0}, "strides=0"),
        (RUN, {"out": "run.tdms"}, "run.tdms: a folder is wanted"),
        (RUN, {"out": "\0"}, "the folder can't be made"),
        ("simulated:counter", {}, "rig"),
        ("nothing:here", {}, "nothing"),
    ],
)
def test_what_can_not_be(tmp_path, monkeypatch, device, options, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BalanceCoreError, match=said), LiveSession(device, **options) as session:
        session.start()
    assert list(tmp_path.iterdir()) == []


def test_a_rig_of_another_device(tmp_path):
    with bc.open_device(RUN) as device:
        rig = bc.capture.Rig.for_device(device)
    with pytest.raises(RigError, match="channels"), LiveSession("simulated:counter", rig=rig, out=tmp_path):
        pass


def test_its_messages_are_json(tmp_path):
    with LiveSession(RUN, out=tmp_path) as session:
        first = hello(session, {"cadence": (170, 180), "tc.si": (-3, 3), "tc": (200, 250)}, sound=True)
        assert json.loads(json.dumps(first, allow_nan=False)) == first
        assert first["targets"] == {"cadence": [170.0, 180.0], "tc.si": [-3.0, 3.0], "tc": [200.0, 250.0]}
        assert [m["key"] for m in first["metrics"]] == list(session.metrics)
        session.start()
        view, trace, end_s = View(session), 0, None
        while session.now().elapsed_s < 5.0:
            update = view.update()
            json.dumps(update, allow_nan=False)
            new = update["trace"]
            if end_s is not None:
                assert new["first_s"] == pytest.approx(end_s)
            end_s = new["first_s"] + len(new["fz_n"][0]) * new["step_s"]
            trace += len(new["fz_n"][0])
            time.sleep(0.02)
        late = View(session).update()
        assert late["symmetry"]["limbs"] in (["L", "R"], ["A", "B"])
        assert [step["number"] for step in late["steps"]] == list(range(len(late["steps"])))
    assert trace > 900
    for wrong in ({"speed": (1, 2)}, {"tc": (2, 1)}, {"tc": (0, float("nan"))}, {"vo": (1, 2)}):
        with pytest.raises(DataError, match="target"):
            hello(session, wrong)


KILLED = """
import sys, time
from balancecore.live import LiveSession
session = LiveSession(sys.argv[1], out=sys.argv[2]).open()
session.start()
for k in range(1000):
    session.mark(f"marker {k}")
    print(f"{k} {time.monotonic()}", flush=True)
    time.sleep(0.02)
"""


def test_markers_before_the_last_second_survive_a_kill(tmp_path):
    command = [sys.executable, "-c", KILLED, RUN.replace("pace=4", "pace=1"), str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told = []
    for line in child.stdout:
        told.append(line.split())
        if len(told) > 120:
            break
    os.kill(child.pid, signal.SIGKILL)
    at_s = time.monotonic()
    told += [line.split() for line in child.stdout]
    child.stdout.close()
    child.wait(PATIENCE_S)
    (path,) = tmp_path.iterdir()
    found = [event.label for event in bc.read(path).events]
    # A segment, a block of the device, a turn of the thread (docs/recording.md).
    assert found == [f"marker {k}" for k in range(len(found))]
    assert len(found) >= sum(at_s - float(when) > 1.0 for _, when in told) > 20


# ---------------------------------------------------------------------------------------------------------------
# What a slow disk, a quick hand or a failing device must not take away


def slow_fsync(monkeypatch, seconds):
    real = os.fsync

    def fsync(fd):
        time.sleep(seconds)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)


class Fails:
    """A device of the given address that raises from its next read on, or gives nothing, or fails to stop."""

    def __init__(self, monkeypatch, stop=None):
        self.device = bc.open_device(RUN)
        self.error, self.silent, self.told = None, False, False
        read, end = self.device.read_into, self.device.stop

        def read_into(out, timeout_s):
            if self.error is not None:
                raise self.error
            if self.silent:
                time.sleep(timeout_s)
                return 0
            return read(out, timeout_s)

        def failing_stop():
            end()
            if stop is not None and not self.told:
                self.told = True
                raise stop

        monkeypatch.setattr(self.device, "read_into", read_into)
        monkeypatch.setattr(self.device, "stop", failing_stop)


@pytest.fixture
def failing(monkeypatch):
    """Makes such devices, and closes them: a session leaves open what it was given open."""
    made = []

    def make(stop=None):
        made.append(Fails(monkeypatch, stop))
        return made[-1]

    yield make
    for fails in made:
        fails.device.close()


def test_many_recordings_keep_no_buffers(tmp_path, monkeypatch):
    """Frames that come while the last segment is synced are nobody's, and their buffer goes with the recorder."""
    slow_fsync(monkeypatch, 0.01)
    with LiveSession(RUN, out=tmp_path) as session:
        for _ in range(3):
            session.start()
            until(lambda: session.now().frames > 100)
            session.stop()
        assert [tap.name for tap in session._acquisition.statistics().taps].count("recorder") <= 1


def test_a_marker_is_in_the_file_or_refused(tmp_path, monkeypatch):
    slow_fsync(monkeypatch, 0.03)
    with LiveSession(RUN, out=tmp_path, seconds=2.0) as session:
        path, said, refusal = session.start(), 0, ""
        while not refusal:
            try:
                session.mark(f"number {said}")
                said += 1
                time.sleep(0.002)
            except BalanceCoreError as error:
                refusal = str(error)
        assert "has ended" in refusal or "nothing is being recorded" in refusal
        until(lambda: session.state == "ready")
    assert [event.label for event in bc.read(path).events] == [f"number {k}" for k in range(said)]


def test_a_marker_before_any_frame_is_in_the_file(tmp_path, failing):
    fails = failing()
    with LiveSession(fails.device, out=tmp_path) as session:
        fails.silent = True
        until(lambda: session.now().device_state != "running")
        path = session.start()
        session.mark("nobody there")
        session.stop()
    recording = Recording(path)
    assert recording.frames == 0
    assert [mark.text for mark in recording.marks] == ["nobody there"]


def test_the_file_says_why_the_device_ended_however_busy_the_recorder_is(tmp_path, monkeypatch, failing):
    fails, busy, write = failing(), threading.Event(), RecordingWriter.write

    def slow_write(self, *args, **kwargs):
        if busy.is_set():
            time.sleep(0.3)
        return write(self, *args, **kwargs)

    monkeypatch.setattr(RecordingWriter, "write", slow_write)
    with LiveSession(fails.device, out=tmp_path) as session:
        path = session.start()
        until(lambda: session.now().frames > 100)
        busy.set()
        time.sleep(0.1)
        fails.error = DeviceLostError("unplugged")
        until(lambda: session.state == "failed")
        assert "unplugged" in session.now().message
    assert Recording(path).end_reason == "unplugged"


def test_a_tare_is_under_way_before_the_next_command_is_heard(tmp_path):
    with LiveSession(EMPTY, out=tmp_path) as session:
        until(lambda: session.now().rate_by_host_hz > 0)
        session.do({"do": "tare"})
        session.do({"do": "start"})
        assert session.recordings == []
        assert "a tare is going on" in session.messages()[-1]
        until(lambda: session.state == "ready")
        assert session.messages()[-1].startswith("tare taken")


def test_what_the_device_says_at_its_stop_is_told(tmp_path, failing):
    fails = failing(stop=DeviceError("the connection was lost at the stop"))
    session = LiveSession(fails.device, out=tmp_path).open()
    until(lambda: session.now().rate_by_host_hz > 0)
    session.close()
    assert session.state == "failed"
    assert str(session.error) == "the connection was lost at the stop"
    assert session.messages() == ["the connection was lost at the stop"]


def test_an_analysis_that_breaks_is_told_and_the_next_is_whole(tmp_path, monkeypatch):
    push, broken = bc.GaitStream.push, threading.Event()

    def breaking(self, block):
        if broken.is_set():
            raise ZeroDivisionError("never seen before")
        return push(self, block)

    monkeypatch.setattr(bc.GaitStream, "push", breaking)
    with LiveSession(RUN, out=tmp_path) as session:
        session.start()
        broken.set()
        until(lambda: "ZeroDivisionError: never seen before" in session.now().message)
        session.stop()
        broken.clear()
        session.start()
        until(lambda: session.analysis.seen().contacts > 2)
        assert "never seen" not in session.now().message
