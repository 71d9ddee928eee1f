"""Recordings: every bit comes back, whatever ends them; and the trial in them is that of the signal."""

import errno
import json
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from balancecore.drivers.simulated import SimulatedBelts, SimulatedDevice
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import balancecore as bc
from balancecore.capture import (
    Acquisition,
    BeltState,
    Channel,
    Description,
    Recorder,
    Recording,
    RecordingWriter,
    Rig,
    RigTare,
    open_device,
    recording,
)
from balancecore.capture.acquisition import BlockTime
from balancecore.capture.recorded import MOST_GAP_S, _segments
from balancecore.errors import DataError, DeviceError, DeviceLostError, MissingExtraError
from balancecore.io import _file

from . import killing
from .scripted import N_CHANNELS, RATE_HZ, Scripted, counted, no_new_threads

nptdms = pytest.importorskip("nptdms")
PATIENCE_S = 60.0

CHANNELS = tuple(Channel(f"c{k}", "V", -10.0, 10.0, 1e-6 * k) for k in range(N_CHANNELS))
COUNTER = Description("Counter", "7", RATE_HZ, CHANNELS, notes=("made for tests",))
TREADMILL = "simulated:treadmill?rate_hz=1000&seed=3&noise_n=2"


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert no_new_threads(before) == []


def signal(address, n):
    """The first n frames of a device, read by hand."""
    with open_device(f"{address}&pace=0") as device:
        device.start()
        frames, at = np.empty((n, len(device.channels))), 0
        while at < n:
            at += device.read_into(frames[at : at + 777])
        return frames, Rig.for_device(device), device.description


# What comes back.


def test_every_bit_comes_back(tmp_path):
    rng = np.random.default_rng(1)
    frames = rng.standard_normal((1234, N_CHANNELS))
    frames[5] = [np.nan, np.inf, -0.0]
    frames[6] = [5e-324, -np.inf, 1e308]
    with RecordingWriter(
        tmp_path / "a.tdms", COUNTER, address="scripted:", note="ü\n2", mass_kg=71.5
    ) as writer:
        at = 0
        for n in (1, 249, 500, 0, 484):
            writer.write(frames[at : at + n])
            at += n
    found = Recording(tmp_path / "a.tdms")
    assert found.raw().tobytes() == frames.tobytes()
    assert found.description == COUNTER
    assert (found.rate_hz, found.frames, len(found)) == (RATE_HZ, 1234, 1234)
    assert (found.address, found.note, found.mass_kg, found.rig_text, found.tare) == (
        "scripted:", "ü\n2", 71.5, "", None
    )  # fmt: skip
    assert found.software == f"balancecore {bc.__version__}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", found.start_utc)
    assert found.end_reason == "stopped"
    assert found.gaps.shape == (0, 2)


def test_gaps_marks_and_times_keep_their_place(tmp_path):
    with RecordingWriter(tmp_path / "a.tdms", COUNTER) as writer:
        writer.write(counted(10, 100), lost_before=10, times=[BlockTime(10, 100, 1.5, 0.0)])
        writer.mark("now")
        writer.mark("later", index=400)
        writer.mark("then", index=50)
        writer.write(np.empty((0, N_CHANNELS)), lost_before=0)
        writer.write(counted(113, 300), lost_before=3, times=[BlockTime(113, 300, 2.5, 0.0)])
        assert (writer.frames, writer.frames_lost, writer.next_index) == (400, 13, 413)
    found = Recording(tmp_path / "a.tdms")
    assert found.gaps.tolist() == [[0, 10], [110, 3]]
    assert sorted(found.marks) == [(50, "mark", "then"), (110, "mark", "now"), (400, "mark", "later")]
    assert [c.tolist() for c in found.clock] == [[10, 113], [1.5, 2.5]]
    np.testing.assert_array_equal(found.raw()[:, 0], [*range(10, 110), *range(113, 413)])


def test_other_programs_find_their_way(tmp_path):
    """Groups, names, units and rate as any TDMS reader shows them."""
    with RecordingWriter(tmp_path / "a.tdms", COUNTER) as writer:
        writer.write(counted(0, 600))
    file = nptdms.TdmsFile.read(tmp_path / "a.tdms")
    assert [c.name for c in file["frames"].channels()] == ["c0", "c1", "c2"]
    channel = file["frames"]["c1"]
    assert (channel.properties["unit_string"], channel.properties["wf_increment"]) == ("V", 1 / RATE_HZ)
    np.testing.assert_array_equal(channel[:], counted(0, 600)[:, 1])
    assert not (tmp_path / "a.tdms_index").exists()


def test_texts_that_are_no_utf_8(tmp_path):
    """As file names and arguments that can't be decoded come to Python."""
    bad = "caf\udce9"
    odd = replace(COUNTER, serial=bad, notes=(bad,), channels=(Channel(bad, bad), *CHANNELS[1:]))
    with RecordingWriter(tmp_path / "a.tdms", odd, address=bad, note=bad) as writer:
        writer.write(counted(0, 10))
        writer.mark(bad)
        writer.close(bad, more=bad)
    found = Recording(tmp_path / "a.tdms")
    assert (found.address, found.note, found.end_reason) == ("caf?", "caf?", "caf?")
    assert [mark.text for mark in found.marks] == ["caf?"]
    assert (found.description.serial, found.description.channels[0].name) == ("caf?", "caf?")
    np.testing.assert_array_equal(found.raw(), counted(0, 10))


def test_channels_of_one_name(tmp_path):
    twins = replace(COUNTER, channels=(Channel("Fz"), Channel("Fz", "N"), Channel("a/b'c")))
    with RecordingWriter(tmp_path / "a.tdms", twins) as writer:
        writer.write(counted(0, 10))
    found = Recording(tmp_path / "a.tdms")
    assert found.description.channels == twins.channels
    np.testing.assert_array_equal(found.raw(), counted(0, 10))


@pytest.fixture(scope="module")
def run():
    return signal(TREADMILL, 12_000)


def written(path, run, **options):
    frames, rig, description = run
    with RecordingWriter(path, description, rig=rig, **options) as writer:
        writer.write(frames)
    return path


def test_a_read_recording_is_the_rigs_trial(tmp_path, run):
    frames, rig, description = run
    trial = bc.read(written(tmp_path / "run.tdms", run))
    wanted = rig.bind(description).trial(frames, 1000.0)
    assert len(trial.plates) == 2
    for plate, other in zip(trial.plates, wanted.plates, strict=True):
        np.testing.assert_array_equal(plate.wrench, other.wrench)
        np.testing.assert_array_equal(plate.origin_m, other.origin_m)
        np.testing.assert_array_equal(plate.corners_lab, other.corners_lab)
        np.testing.assert_array_equal(plate.saturated, other.saturated)
        assert (plate.side, plate.name, plate.model) == (other.side, other.name, other.model)
    assert trial.lateral_known
    assert trial.rate_hz == 1000.0
    assert [source.name for source in trial.sources] == ["run.tdms"]
    assert not [note for note in trial.notes if "sides=" in note]


def test_volts_and_analog_channels_are_calibrated(tmp_path):
    address = f"{TREADMILL}&output=volts&analog=1&belt_speed=1"
    with open_device(f"{address}&pace=0") as device:
        names = [channel.name for channel in device.channels]
        description = device.description
        device.start()
        frames = np.empty((2000, len(names)))
        device.read_into(frames)
    from balancecore.drivers.simulated import CALIBRATION

    rig = Rig.parse(rig_of_volts(names, CALIBRATION))
    mean = np.linspace(-0.2, 0.3, len(names))
    tare = RigTare(rig.channels, tuple(mean), (0.0,) * len(names), 2000, 1000.0)
    path = written(tmp_path / "v.tdms", (frames, rig, description), tare=tare)
    trial = bc.read(path)
    wanted = (frames[:, :6] - mean[:6]) @ CALIBRATION.T
    # One matrix product, in another order of additions: a few roundings of 1e3 N.
    np.testing.assert_allclose(trial.plates[0].wrench, wanted, atol=1e-9)
    assert [(c.name, c.unit) for c in trial.analog] == [("gate", "%")]
    np.testing.assert_array_equal(trial.analog[0].values, 20.0 * (frames[:, 12] - 0.5))
    # Later, with a better matrix, and without the tare.
    other = Rig.parse(rig_of_volts(names, 2.0 * CALIBRATION))
    again = Recording(path).trial(rig=other, tare=None)
    np.testing.assert_allclose(again.plates[0].wrench, frames[:, :6] @ (2.0 * CALIBRATION).T, atol=1e-9)
    np.testing.assert_allclose(bc.read(path, rig=other).plates[0].wrench, 2.0 * wanted, atol=1e-9)
    with pytest.raises(DataError, match="rig"):
        Recording(path).trial(rig=Rig.parse(rig_of_volts([f"{n}x" for n in names], CALIBRATION)))


def rig_of_volts(names, matrix):
    lines = ["format = 1", f'device = "{TREADMILL}"', f"channels = {json.dumps(names)}"]
    for k, side in enumerate("LR"):
        channels, rows = json.dumps(names[6 * k : 6 * k + 6]), json.dumps(np.asarray(matrix).tolist())
        lines += [
            "[[plates]]",
            f'name = "belt {side}"',
            f'side = "{side}"',
            'model = "six_component"',
            'convention = "reaction"',
            f"channels = {channels}",
            'unit = "V"',
            f"matrix = {rows}",
            'axes = ["x", "y", "z"]',
            "centre_m = [0.0, 0.0, 0.0]",
        ]
    lines += [
        "[[analog]]",
        'name = "gate"',
        f'channel = "{names[12]}"',
        'unit = "%"',
        "scale = 20.0",
        "offset = 0.5",
    ]
    return "\n".join(lines)


def test_gaps_are_nan_and_a_tare_is_an_event(tmp_path, run):
    frames, rig, description = run
    tare = RigTare(rig.channels, (1.0,) * 12, (0.1,) * 12, 1000, 1000.0)
    with RecordingWriter(tmp_path / "g.tdms", description, rig=rig) as writer:
        writer.write(frames[:3000])
        writer.mark("go")
        writer.write(frames[3050:5000], lost_before=50)
        writer.mark(json.dumps(tare.to_dict()), kind="tare")
        writer.write(frames[5000:6000])
    trial = bc.read(tmp_path / "g.tdms")
    assert len(trial) == 6000
    lost = np.isnan(trial.plates[0].wrench).all(axis=1)
    assert np.flatnonzero(lost).tolist() == list(range(3000, 3050))
    assert [(e.label, e.time_s) for e in trial.events] == [("go", 3.0), ("tare", 5.0)]
    assert any("50 frames" in note for note in trial.notes)
    assert any("1 tares were taken meanwhile and are not used" in note for note in trial.notes)
    ((at, kept),) = Recording(tmp_path / "g.tdms").tares()
    assert at == 5000
    assert kept.to_dict() == tare.to_dict()
    part = Recording(tmp_path / "g.tdms").trial(start_s=2.9, stop_s=5.5)
    np.testing.assert_array_equal(part.plates[1].wrench, trial.plates[1].wrench[2900:5500])
    assert [(e.label, round(e.time_s, 6)) for e in part.events] == [("go", 0.1), ("tare", 2.1)]


def test_marks_behind_a_gap_before_the_first_frame(tmp_path, run):
    frames, rig, description = run
    with RecordingWriter(tmp_path / "g.tdms", description, rig=rig) as writer:
        writer.write(frames[10:100], lost_before=10)
        writer.mark("at 100")
        writer.write(frames[100:200])
    trial = bc.read(tmp_path / "g.tdms")
    assert np.flatnonzero(np.isnan(trial.plates[0].wrench[:, 2])).tolist() == list(range(10))
    assert [(e.label, e.time_s) for e in trial.events] == [("at 100", 0.1)]


def test_an_endless_gap_needs_no_endless_memory(tmp_path, run):
    frames, rig, description = run
    with RecordingWriter(tmp_path / "g.tdms", description, rig=rig) as writer:
        writer.write(frames[:100])
        writer.write(frames[:100], lost_before=10**12)
        writer.mark("after", index=10**12 + 150)
        writer.write(frames[100:200])
    trial = bc.read(tmp_path / "g.tdms")
    most = round(MOST_GAP_S * 1000)
    assert len(trial) == 300 + most
    assert any("stands as 600 s" in note for note in trial.notes)
    assert [e.time_s for e in trial.events] == [(most + 150) / 1000.0]
    assert Recording(tmp_path / "g.tdms").gaps.tolist() == [[100, 10**12]]


def test_recorded_read_and_analysed_it_is_the_signal(tmp_path):
    """Through thread, ring, file and rig: the same steps, bit for bit."""
    acquisition = Acquisition(f"{TREADMILL}&pace=0", buffer_s=60.0)
    rig = Rig.for_device(acquisition.device)
    with (
        Recorder(acquisition, tmp_path, rig=rig, mass_kg=70.0, seconds=20.0, buffer_s=60.0) as recorder,
        acquisition,
    ):
        assert recorder.wait(PATIENCE_S)
    assert recorder.frames_lost == 0
    recorded = bc.analyze_gait(bc.read(recorder.path), mass_kg=70.0)
    frames, rig, _ = signal(TREADMILL, 20_000)
    layout = rig.layout
    direct = bc.analyze_gait(layout.trial([frames[:, :6].copy(), frames[:, 6:].copy()], 1000.0), mass_kg=70.0)
    assert len(direct.steps) > 40
    for column in direct.steps.columns:
        np.testing.assert_array_equal(recorded.steps[column], direct.steps[column])


class Held(SimulatedDevice):
    """Gives 500 frames, and the others once it is let go: threads beside it get their turn before the end."""

    def __init__(self, address):
        super().__init__(address)
        self.go = threading.Event()

    def _ready(self, due):
        return super()._ready(due if self.go.is_set() else min(due, 500))


def belted(belts):
    """An acquisition that is held, and its rig with belts that have a connection of their own."""
    acquisition = Acquisition(Held(f"{TREADMILL}&pace=0"))
    rig = Rig.for_device(acquisition.device)
    return acquisition, Rig.parse(f'{rig.text}\n[treadmill]\naddress = "{belts}"\n')


def wait_until(true):
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_belts_with_a_connection_of_their_own(tmp_path, monkeypatch):
    heard, belts = [], RecordingWriter.belts

    def noted(self, states):
        heard.extend(rows := list(states))
        belts(self, rows)

    monkeypatch.setattr(RecordingWriter, "belts", noted)
    acquisition, rig = belted("simulated:belts?speed_m_s=2.5&incline_deg=1.5")
    with Recorder(acquisition, tmp_path / "b.tdms", rig=rig, seconds=1.0) as recorder, acquisition:
        wait_until(lambda: len(heard) > 3)
        acquisition.device.go.set()
        assert recorder.wait(PATIENCE_S)
    found = Recording(tmp_path / "b.tdms")
    assert len(found.belts) == len(heard)
    np.testing.assert_array_equal(found.belts[:, 1:], [[2.5, 2.5, 1.5]] * len(found.belts))
    analog = {c.name: c for c in found.trial().analog}
    assert {name: c.unit for name, c in analog.items()} == {
        "left belt": "m/s", "right belt": "m/s", "incline": "deg"
    }  # fmt: skip
    for name, value in (("left belt", 2.5), ("right belt", 2.5), ("incline", 1.5)):
        values = analog[name].values
        assert len(values) == 1000
        assert set(values[np.isfinite(values)]) == {value}


def test_belts_that_are_lost_end_nothing(tmp_path, monkeypatch):
    poll, left = SimulatedBelts.poll, iter(range(12))

    def lost(self, timeout_s):
        if next(left, None) is None:
            raise DeviceLostError("simulated:belts: the connection is gone")
        return poll(self, timeout_s)

    monkeypatch.setattr(SimulatedBelts, "poll", lost)
    acquisition, rig = belted("simulated:belts")
    with Recorder(acquisition, tmp_path / "b.tdms", rig=rig, seconds=1.0) as recorder, acquisition:
        wait_until(lambda: recorder._treadmill is None)  # it has let them go
        acquisition.device.go.set()
        assert recorder.wait(PATIENCE_S)
    found = Recording(tmp_path / "b.tdms")
    assert (found.frames, found.end_reason) == (1000, "complete")
    assert [mark.text for mark in found.marks] == ["belts: simulated:belts: the connection is gone"]


def test_belts_that_are_not_there(tmp_path):
    acquisition, rig = belted("simulated:nothing")
    with pytest.raises(DeviceError, match="simulated:belts"):
        Recorder(acquisition, tmp_path / "b.tdms", rig=rig)
    acquisition.stop()
    assert not list(tmp_path.iterdir())


def test_belts_stand_where_their_frames_do(tmp_path, run):
    frames, rig, description = run
    with RecordingWriter(tmp_path / "b.tdms", description, rig=rig) as writer:
        said = [(-20, 1.0), (100, 2.0), (350, 3.0), (450, 4.0)]
        writer.belts((at, BeltState(0.0, speed, -speed, 0.5)) for at, speed in said)
        writer.write(frames[:300])
        writer.write(frames[400:600], lost_before=100)
    wanted = np.repeat([1.0, 2.0, 3.0, 4.0], [100, 250, 100, 150])
    recorded = Recording(tmp_path / "b.tdms")
    for start_s, first in ((0.0, 0), (0.2, 200), (0.45, 450)):
        left, right, incline = (c.values for c in recorded.trial(start_s=start_s).analog)
        np.testing.assert_array_equal(left, wanted[first:])
        np.testing.assert_array_equal(right, -wanted[first:])
        np.testing.assert_array_equal(incline, np.full(600 - first, 0.5))


# Ends of all kinds.


@pytest.fixture(scope="module")
def whole(tmp_path_factory, run):
    """A recording with a gap and marks in its last segments: its bytes and the ends of its segments."""
    frames, rig, description = run
    path, ends = tmp_path_factory.mktemp("whole") / "w.tdms", []
    writer = RecordingWriter(path, description, rig=rig, segment_s=0.02)
    ends.append(writer.bytes_written)
    for k in range(4):
        writer.mark(f"before {k}")
        writer.write(frames[20 * k : 20 * k + 20], lost_before=7 * (k == 2))
        ends.append(writer.bytes_written)
    writer.close()
    ends.append(writer.bytes_written)
    return path.read_bytes(), ends


def check_cut(path, whole, length):
    data, ends = whole
    path.write_bytes(data[:length])
    segments = sum(end <= length for end in ends) - 1
    found = Recording(path)
    assert found.frames == 20 * min(segments, 4)
    assert len(found.gaps) == (segments >= 3)
    assert [mark.text for mark in found.marks] == [f"before {k}" for k in range(min(segments, 4))]
    if segments == 5:
        assert found.end_reason == "stopped"
        assert not [note for note in found.notes if "cut off" in note]
    else:
        left_out = length - ends[segments]
        assert any("no end: it was cut off" in note for note in found.notes)
        assert any(f"{left_out} bytes left out" in note for note in found.notes) == bool(left_out)
    if segments:
        trial = bc.read(path)
        assert len(trial) == found.frames + 7 * (segments >= 3)
    else:
        with pytest.raises(DataError, match="no frames were recorded"):
            bc.read(path)


def test_the_last_whole_segment_is_found_at_every_length(whole):
    data, ends = whole
    for length in range(ends[0], len(data) + 1):
        end, segments = _segments(data[:length])
        assert end == max(end for end in ends if end <= length)
        assert [n for _, n in segments] == [20] * min(ends.index(end), 4)


def test_cut_within_the_last_segments(tmp_path, whole):
    """At every byte near their ends, and now and then between."""
    data, ends = whole
    lengths = {n for end in ends[2:] for n in range(end - 12, min(end + 13, len(data) + 1))}
    lengths |= set(range(ends[2], len(data), 101))
    for length in sorted(lengths):
        check_cut(tmp_path / "c.tdms", whole, length)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_cut_anywhere(tmp_path, whole, data):
    check_cut(tmp_path / "c.tdms", whole, data.draw(st.integers(whole[1][0], len(whole[0]))))


def test_zeros_behind_the_last_whole_segment(tmp_path, whole):
    """What a file system may show after a power cut."""
    data, ends = whole
    (tmp_path / "z.tdms").write_bytes(data[: ends[3]] + bytes(5000))
    found = Recording(tmp_path / "z.tdms")
    assert found.frames == 60
    assert any("5000 bytes left out" in note for note in found.notes)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_is_told(tmp_path, whole, data):
    damaged = bytearray(whole[0])
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "d.tdms").write_bytes(damaged)
    found = message = None
    try:
        found = bc.read(tmp_path / "d.tdms")
    except DataError as error:
        message = str(error)
    assert found is not None or "d.tdms" in message


def test_an_unplugged_device(tmp_path):
    device = Scripted(
        ("frames", 700), ("lose", 5), ("frames", 33), ("raise", DeviceLostError("it was unplugged"))
    )
    acquisition = Acquisition(device)
    recorder = Recorder(acquisition, tmp_path / "u.tdms").start()
    acquisition.start()
    assert recorder.wait(PATIENCE_S)
    assert isinstance(recorder.error, DeviceLostError)
    with pytest.raises(DeviceLostError, match="unplugged"):
        recorder.stop()
    recorder.stop()
    with pytest.raises(DeviceLostError):
        acquisition.stop()
    found = Recording(tmp_path / "u.tdms")
    assert found.frames == 733
    assert found.gaps.tolist() == [[700, 5]]
    assert found.end_reason == "it was unplugged"
    assert any("the recording ended: it was unplugged" in note for note in found.notes)


def test_frames_and_marks_from_its_first_moment(tmp_path):
    acquisition = Acquisition(Scripted(("frames", 500)))
    with Recorder(acquisition, tmp_path / "m.tdms") as recorder:
        recorder.mark("before the start")
        with acquisition:
            until = time.monotonic() + PATIENCE_S
            while recorder.frames < 500:
                assert time.monotonic() < until
                time.sleep(0.001)
            recorder.mark("after 500")
            recorder.mark_tare(RigTare(("c0", "c1", "c2"), (0.0,) * 3, (0.0,) * 3, 600, 1000.0))
            assert recorder.stop() == tmp_path / "m.tdms"
    found = Recording(tmp_path / "m.tdms")
    assert [(m.frame, m.kind) for m in found.marks] == [(0, "mark"), (500, "mark"), (500, "tare")]
    assert found.end_reason == "stopped"
    assert found.clock[0][0] == 0


def test_seconds_are_seconds_of_signal(tmp_path):
    acquisition = Acquisition(Scripted(("frames", 600), ("lose", 100), ("frames", 5000)))
    with Recorder(acquisition, tmp_path / "s.tdms", seconds=1.0) as recorder, acquisition:
        assert recorder.wait(PATIENCE_S)
    found = Recording(tmp_path / "s.tdms")
    assert (found.frames, found.gaps.tolist(), found.end_reason) == (900, [[600, 100]], "complete")


def test_a_gap_over_the_end_is_told(tmp_path):
    acquisition = Acquisition("simulated:counter?rate_hz=1000&channels=2&pace=0&fault=gap@0.9:500")
    with Recorder(acquisition, tmp_path / "g.tdms", seconds=1.0) as recorder, acquisition:
        assert recorder.wait(PATIENCE_S)
    assert (recorder.frames, recorder.frames_lost) == (900, 100)
    found = Recording(tmp_path / "g.tdms")
    assert (found.frames, found.lost_at_end, found.end_reason) == (900, 100, "complete")
    assert "100 frames were lost after its last one" in found.notes


def test_a_gap_behind_the_end_is_none_of_the_recording(tmp_path):
    acquisition = Acquisition("simulated:counter?rate_hz=1000&channels=2&pace=0&fault=gap@1.0:500")
    with Recorder(acquisition, tmp_path / "g.tdms", seconds=1.0) as recorder, acquisition:
        assert recorder.wait(PATIENCE_S)
    assert (recorder.frames, recorder.frames_lost) == (1000, 0)
    assert Recording(tmp_path / "g.tdms").lost_at_end == 0


def test_an_error_in_the_with_is_a_reason(tmp_path):
    acquisition = Acquisition(Scripted(("frames", 100)))

    def fail():
        with Recorder(acquisition, tmp_path / "e.tdms"), acquisition:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    assert Recording(tmp_path / "e.tdms").end_reason in ("stopped by KeyError", "the acquisition ended")


def test_a_disk_that_is_too_slow_makes_a_gap(tmp_path, monkeypatch):
    """Frames that find no place are a gap of the recording, at their place."""
    go = threading.Event()
    acquisition = Acquisition(Scripted(("frames", 300), ("wait", go), ("frames", 700)))
    write = RecordingWriter.write
    slow = threading.Event()

    def held(self, frames, *rest):
        slow.wait(PATIENCE_S)
        write(self, frames, *rest)

    monkeypatch.setattr(RecordingWriter, "write", held)
    with Recorder(acquisition, tmp_path / "h.tdms", buffer_s=0.2) as recorder, acquisition:
        until = time.monotonic() + PATIENCE_S
        while acquisition.next_index < 300:
            assert time.monotonic() < until
            time.sleep(0.001)
        slow.set()
        while recorder.frames + recorder.frames_lost < 200:
            assert time.monotonic() < until
            time.sleep(0.001)
        go.set()
        while acquisition.next_index < 1000:
            assert time.monotonic() < until
            time.sleep(0.001)
    found = Recording(tmp_path / "h.tdms")
    index = np.arange(found.frames)
    for start, lost in found.gaps.tolist():
        index[index >= start] += lost
    np.testing.assert_array_equal(found.raw(), counted(0, 1000)[index])
    assert found.frames + found.gaps[:, 1].sum() + found.lost_at_end <= 1000


# Disks.


def fill(path, run, most=200):
    """Write until the disk is full; frames that were taken, and the error."""
    frames, rig, description = run
    writer = RecordingWriter(path, description, rig=rig)
    number = 0
    try:
        while number < 250 * most:
            writer.write(frames[:250])
            number += 250
    except DataError as error:
        return number, str(error)
    finally:
        writer.close()
        assert writer.closed
    raise AssertionError("the disk is never full")


def check_full(path, run, written_frames, message, reason):
    assert (
        message
        == f"{path.name}: it can't be written any more: {reason}; the {written_frames} frames before are kept"
    )
    found = Recording(path)
    np.testing.assert_array_equal(found.raw(), np.tile(run[0][:250], (written_frames // 250, 1)))
    assert len(bc.read(path)) == written_frames
    return found


@pytest.mark.parametrize("room", [100_000, 100_001, 123_456])
def test_a_limit_of_the_file_size(tmp_path, run, room):
    path = tmp_path / "full.tdms"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        written_frames, message = fill(path, run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert written_frames > 0
    found = check_full(path, run, written_frames, message, os.strerror(errno.EFBIG))
    assert path.stat().st_size <= room
    assert "File too large" in found.end_reason


def test_a_full_file_system(tmp_path, run):
    mount = shutil.which("mount")
    small = tmp_path / "small"
    small.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        written_frames, message = fill(small / "full.tdms", run)
        assert written_frames > 0
        found = check_full(small / "full.tdms", run, written_frames, message, os.strerror(errno.ENOSPC))
        assert "No space left" in found.end_reason
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_recorder_on_a_full_disk(tmp_path, run):
    acquisition = Acquisition(f"{TREADMILL}&pace=0", buffer_s=60.0)
    acquisition.open()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    recorder = Recorder(acquisition, tmp_path / "full.tdms", rig=run[1]).start()
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        acquisition.start()
        assert recorder.wait(PATIENCE_S)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    acquisition.stop()
    with pytest.raises(DataError, match=r"File too large; the [0-9]+ frames before are kept"):
        recorder.stop()
    found = Recording(tmp_path / "full.tdms")
    assert found.frames > 0
    np.testing.assert_array_equal(found.raw(), run[0][: found.frames])


def test_a_disk_that_fails_to_sync(tmp_path, monkeypatch):
    monkeypatch.setattr("balancecore.capture.recording.SYNC_S", 0.05)
    acquisition = Acquisition("simulated:counter?rate_hz=1000&channels=2")
    recorder = Recorder(acquisition, tmp_path / "s.tdms")

    def fail(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with recorder, acquisition:
        assert recorder.wait(PATIENCE_S)
        with pytest.raises(DataError, match="Input/output error"):
            recorder.stop()
    assert "Input/output error" in Recording(tmp_path / "s.tdms").end_reason


class Interrupted:
    """os.write, interrupted once: after some bytes of the n-th segment, or after all of them."""

    def __init__(self, number, whole):
        self.number, self.whole, self.write = number, whole, os.write

    def __call__(self, fd, data):
        self.number -= 1
        if self.number:
            return self.write(fd, data)
        self.write(fd, data if self.whole else data[: len(data) // 2])
        raise KeyboardInterrupt


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_interrupt_within_a_segment(tmp_path, monkeypatch, number, whole):
    """What it interrupts is written next time: once, and in its place."""
    writer = RecordingWriter(tmp_path / "a.tdms", COUNTER, segment_s=0.1)
    monkeypatch.setattr(os, "write", Interrupted(number, whole))
    interrupts = 0
    for k in range(5):
        writer.mark(f"before {k}")
        try:
            writer.write(counted(103 * k, 100), lost_before=3 * (k > 0))
        except KeyboardInterrupt:
            interrupts += 1
    writer.close()
    assert interrupts == 1
    found = Recording(tmp_path / "a.tdms")
    assert not [note for note in found.notes if "left out" in note or "no end" in note]
    np.testing.assert_array_equal(found.raw()[:, 0], [103 * k + i for k in range(5) for i in range(100)])
    assert found.gaps.tolist() == [[103 * k - 3, 3] for k in range(1, 5)]
    assert [mark.text for mark in found.marks] == [f"before {k}" for k in range(5)]


def test_an_interrupt_behind_a_segment(tmp_path, monkeypatch):
    """The segment is in the file: it is not written again."""
    writer = RecordingWriter(tmp_path / "a.tdms", COUNTER, segment_s=0.1)
    append, calls = writer._append, []

    def interrupted(data):
        append(data)
        calls.append(len(data))
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(writer, "_append", interrupted)
    writer.write(counted(0, 100))
    with pytest.raises(KeyboardInterrupt):
        writer.write(counted(100, 100))
    writer.write(counted(200, 100))
    writer.close()
    np.testing.assert_array_equal(Recording(tmp_path / "a.tdms").raw(), counted(0, 300))


# Names.


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "a.tdms"
    path.write_bytes(b"precious")
    with pytest.raises(DataError, match=r"a\.tdms: the file exists already"):
        RecordingWriter(path, COUNTER)
    assert path.read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["a.tdms"]


def test_names_in_a_folder(tmp_path):
    for _ in range(3):
        RecordingWriter(tmp_path, COUNTER).close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3
    assert all(re.fullmatch(r"\d{8}-\d{6}_\d{3}\.tdms", name) for name in names)


@pytest.mark.parametrize("folder", ["trials/", "trials", "2026.11/day 1/"])
def test_a_folder_that_is_not_there_is_made(tmp_path, folder):
    for _ in range(2):
        RecordingWriter(f"{tmp_path}/{folder}", COUNTER).close()
    assert len(list((tmp_path / folder).glob("*.tdms"))) == 2


@pytest.mark.parametrize("folder", ["trials/", "trials", "trials/day 1/"])
def test_a_file_in_the_place_of_the_folder(tmp_path, folder):
    (tmp_path / "trials").write_bytes(b"precious")
    with pytest.raises(DataError, match=r"^(trials|day 1): (this is a file|the folder can't be made)"):
        RecordingWriter(f"{tmp_path}/{folder}", COUNTER)
    assert (tmp_path / "trials").read_bytes() == b"precious"


def test_the_file_is_closed_while_it_takes_its_name(tmp_path, monkeypatch):
    """Windows neither renames nor removes an open file."""
    opened, take_name = {}, recording.take_name
    open_it, close_it = os.open, os.close

    def opens(path, *rest, **named):
        fd = open_it(path, *rest, **named)
        opened[fd] = os.fspath(path)
        return fd

    def closes(fd):
        opened.pop(fd, None)
        close_it(fd)

    def takes(temporary, target):
        assert os.fspath(temporary) not in opened.values()
        take_name(temporary, target)

    monkeypatch.setattr(os, "open", opens)
    monkeypatch.setattr(os, "close", closes)
    monkeypatch.setattr(recording, "take_name", takes)
    with RecordingWriter(tmp_path / "a.tdms", COUNTER) as writer:
        writer.write(counted(0, 300))
    assert opened == {}
    np.testing.assert_array_equal(Recording(tmp_path / "a.tdms").raw(), counted(0, 300))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tdms"]


def test_the_folder_of_a_replayed_file_stays_untold(tmp_path, run):
    (tmp_path / "patient Doe").mkdir()
    source = written(tmp_path / "patient Doe" / "run 1.tdms", run)
    acquisition = Acquisition(f"replay:{source}?speed=0&loop=yes")
    rig = Rig.for_device(acquisition.device)
    assert "patient" in rig.text
    with Recorder(acquisition, tmp_path / "again.tdms", rig=rig, seconds=2.0) as recorder, acquisition:
        assert recorder.wait(PATIENCE_S)
    data = (tmp_path / "again.tdms").read_bytes()
    assert b"patient" not in data
    assert os.fsencode(tmp_path.name) not in data
    found = Recording(tmp_path / "again.tdms")
    assert found.address == "replay:run 1.tdms?speed=0&loop=yes"
    kept = Rig.parse(found.rig_text)
    assert (kept.device, kept.channels) == (found.address, rig.channels)
    assert len(bc.read(tmp_path / "again.tdms")) == 2000


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('device = "replay:/recordings/doe/a.tdms?loop=yes" # of Doe', "replay:a.tdms?loop=yes"),
        ("'device'='replay:C:\\doe\\a.tdms'", "replay:a.tdms"),
        ('"device" = """\\\n  replay:../doe/a.tdms"""', "replay:a.tdms"),
        ('device = "replay:/recordings/doe/"', "replay:doe"),
        ('device = "simulated:treadmill?seed=3"', "simulated:treadmill?seed=3"),
    ],
)
def test_a_rigs_device_without_its_folder(tmp_path, run, line, told):
    text = run[1].text
    (own,) = re.findall(r"^device = .*$", text, re.MULTILINE)
    rig = Rig.parse(text.replace(own, line))
    RecordingWriter(tmp_path / "a.tdms", run[2], rig=rig).close()
    found = Recording(tmp_path / "a.tdms").rig_text
    assert Rig.parse(found).device == told
    assert re.search("doe/|doe.a|of Doe", found) is None
    if told == rig.device:
        assert found == rig.text


def test_two_at_once_get_two_names(tmp_path):
    paths, gate = [], threading.Barrier(8)

    def make():
        gate.wait()
        writer = RecordingWriter(tmp_path, COUNTER)
        writer.close()
        paths.append(writer.path)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 8 == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize("path", ["missing/a.tdms", "\0", "x" * 300])
def test_paths_that_can_not_be(tmp_path, path):
    with pytest.raises(DataError):
        RecordingWriter(tmp_path / path, COUNTER)


def test_a_closed_recording_takes_nothing(tmp_path):
    writer = RecordingWriter(tmp_path / "a.tdms", COUNTER)
    writer.write(counted(0, 10))
    writer.close()
    writer.close()
    writer.sync()
    with pytest.raises(DataError, match="closed"):
        writer.write(counted(10, 1000))
    assert Recording(tmp_path / "a.tdms").frames == 10


# Other files, other ways.


def test_longer_than_memory_is_mapped(tmp_path, run, monkeypatch):
    path = written(tmp_path / "long.tdms", run)
    plain = bc.read(path)
    monkeypatch.setattr(_file, "MAX_BYTES", 1000)
    mapped = bc.read(path)
    np.testing.assert_array_equal(mapped.plates[1].wrench, plain.plates[1].wrench)
    assert mapped.sources == plain.sources
    path.with_suffix(".csv").write_text("Fz\n" + "1\n" * 1000)
    with pytest.raises(DataError, match="GB"):
        bc.read(path.with_suffix(".csv"))


def test_a_newer_layout_is_refused(tmp_path, run):
    path = written(tmp_path / "n.tdms", run)
    data = path.read_bytes()
    at = data.index(b"balancecore_recording") + len(b"balancecore_recording") + 4
    assert data[at : at + 4] == b"\1\0\0\0"
    path.write_bytes(data[:at] + b"\2\0\0\0" + data[at + 4 :])
    with pytest.raises(DataError, match="newer balancecore"):
        bc.read(path)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (struct.pack("<d", 1000.0), struct.pack("<d", -1.0), "rate_hz=-1: the sampling rate"),
        (b'"mean"', b'"nean"', "this is no tare of a rig"),
    ],
)
def test_damaged_properties_are_told_with_the_name(tmp_path, run, before, after, reason):
    frames, rig, _ = run
    tare = RigTare(rig.channels, (0.0,) * frames.shape[1], (0.0,) * frames.shape[1], 500, 500.0)
    data = written(tmp_path / "n.tdms", run, tare=tare).read_bytes()
    assert before in data
    (tmp_path / "d.tdms").write_bytes(data.replace(before, after, 1))
    with pytest.raises(DataError, match=rf"^d\.tdms: the recording is damaged: {reason}"):
        bc.read(tmp_path / "d.tdms")


def test_no_recording(tmp_path, run):
    trial = bc.read(written(tmp_path / "r.tdms", run))
    bc.write(trial, tmp_path / "t.tdms")
    with pytest.raises(DataError, match="not a recording"):
        Recording(tmp_path / "t.tdms")
    again = bc.read(tmp_path / "t.tdms")
    np.testing.assert_array_equal(again.plates[0].wrench, trial.plates[0].wrench)


def test_without_a_rig(tmp_path):
    with RecordingWriter(tmp_path / "a.tdms", COUNTER) as writer:
        writer.write(counted(0, 10))
    with pytest.raises(DataError, match="no rig was recorded"):
        bc.read(tmp_path / "a.tdms")


@pytest.mark.parametrize(
    "options", [{"units": {"force": "N"}}, {"resample": True}, {"columns": {"Fz": 0}}, {"rate_hz": 500.0}]
)
def test_options_without_use(tmp_path, run, options):
    with pytest.raises(DataError):
        bc.read(written(tmp_path / "r.tdms", run), **options)


def test_without_nptdms(tmp_path, run, monkeypatch):
    path = written(tmp_path / "r.tdms", run)
    monkeypatch.setitem(sys.modules, "nptdms", None)
    with pytest.raises(MissingExtraError, match=r"balancecore\[record\]"):
        RecordingWriter(tmp_path / "w.tdms", COUNTER)
    with pytest.raises(MissingExtraError, match=r"balancecore\[record\]"):
        Recording(path)
    assert not (tmp_path / "w.tdms").exists()


# kill -9.

#: What may be missing of what the recorder had taken: a segment of 0.25 s, and a gap of 0.25 s that was told in it.
MISSING_S = 0.55


@pytest.mark.parametrize("after_s", [0.05, 0.5, 0.99, 1.3, 1.77])
def test_a_killed_recording_lacks_no_more_than_a_segment(tmp_path, after_s):
    """Frames that wait for the recorder's turn depend on the machine, and are measured by `killing.main`."""
    _, taken, recording = killing.killed(tmp_path, after_s)
    assert killing.missing_s(taken, recording) < MISSING_S
    assert recording.end_reason == ""
    assert any("no end" in note for note in recording.notes)


@pytest.mark.skipif(
    "BALANCECORE_KILLS" not in os.environ, reason="BALANCECORE_KILLS=50 kills so many recordings"
)
def test_kills_at_random_moments():
    assert killing.main(int(os.environ["BALANCECORE_KILLS"])) < 1.0
