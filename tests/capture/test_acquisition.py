"""The reader thread: every frame to every consumer, losses at their place, errors where they are seen, a prompt end."""

import contextlib
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import balancecore as bc
from balancecore.capture import Acquisition, Tap, open_device
from balancecore.capture.acquisition import STOP_S
from balancecore.errors import (
    DataError,
    DeviceError,
    DeviceLostError,
    DeviceTimeoutError,
    OverrunError,
)

from .scripted import Scripted, counted, no_new_threads

#: Longest that anything here may take; it needs a fraction of it.
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert no_new_threads(before) == []


def collect(tap, n=None):
    """Frames of a tap by their sample index, with its gaps; until the end, or n frames."""
    index, gaps, frames = 0, [], []
    while n is None or sum(map(len, frames)) < n:
        block = tap.read(PATIENCE_S)
        if block is None:
            break
        assert len(block.frames), "a time-out"
        if block.lost_before:
            gaps.append((index, block.lost_before))
        assert block.index == index + block.lost_before
        np.testing.assert_array_equal(block.frames, counted(block.index, len(block.frames)))
        index = block.index + len(block.frames)
        frames.append(block.frames)
    return index, gaps


def ended_after(*script, **options):
    """An acquisition of a script that ends by an error, and its taps' frames."""
    return Acquisition(Scripted(*script, ("raise", DeviceLostError("unplugged"))), **options)


def test_every_consumer_gets_every_frame_and_every_loss():
    acquisition = ended_after(("frames", 1000), ("lose", 30), ("frames", 7), ("lose", 1), ("frames", 500))
    taps = [acquisition.subscribe(), acquisition.subscribe(overrun="gap", name="other")]
    acquisition.start()
    for tap in taps:
        assert until_unplugged(tap) == (1538, [(1000, 30), (1037, 1)])
    with pytest.raises(DeviceLostError):
        acquisition.stop()
    found = acquisition.statistics()
    assert (found.frames, found.frames_lost, found.bytes) == (1507, 31, 1507 * 3 * 8)
    assert [tap.frames_lost for tap in found.taps] == [31, 31]


def read_all(tap):
    """What `collect` finds up to the error; then the error."""
    index, gaps = tap.next_index, []
    while True:
        try:
            block = tap.read(PATIENCE_S)
        except BaseException:
            yield index, gaps
            raise
        if block.lost_before:
            gaps.append((index, block.lost_before))
        np.testing.assert_array_equal(block.frames, counted(block.index, len(block.frames)))
        index = block.index + len(block.frames)


def until_unplugged(tap):
    """Frames up to the error that ends the script."""
    read = read_all(tap)
    found = next(read)
    with pytest.raises(DeviceLostError):
        next(read)
    return found


def until_lost(tap):
    """The blocks of a tap, whose acquisition ends with the loss of the device."""
    with pytest.raises(DeviceLostError):
        yield from tap


def test_the_error_is_raised_again_at_every_read_and_once_by_stop():
    cause = ValueError("a bug in the driver")
    acquisition = Acquisition(Scripted(("frames", 10), ("raise", cause)))
    tap = acquisition.subscribe()
    acquisition.start()
    collect(tap, 10)
    out = np.empty((5, 3))
    for read in (
        lambda: tap.read(PATIENCE_S),
        lambda: tap.read_into(out, PATIENCE_S),
        lambda: next(iter(tap)),
    ):
        with pytest.raises(DeviceError, match="a bug in the driver") as caught:
            read()
        assert caught.value.__cause__ is cause
    with pytest.raises(DeviceError, match="a bug"):
        acquisition.stop()
    acquisition.stop()
    assert not acquisition.running


def test_with_does_not_hide_the_first_error():
    acquisition = ended_after(("frames", 10))
    tap = acquisition.subscribe()
    with pytest.raises(DeviceLostError) as caught, acquisition:
        for _ in tap:
            pass
    assert any("unplugged" in note for note in caught.value.__notes__)


def test_a_slow_consumer_disturbs_no_other():
    go = threading.Event()
    acquisition = ended_after(("frames", 900), ("wait", go), ("frames", 100))
    slow = acquisition.subscribe(overrun="fail", buffer_s=0.1, name="slow")
    holey = acquisition.subscribe(overrun="gap", buffer_s=0.1, name="holey")
    good = acquisition.subscribe()
    acquisition.start()
    assert collect(good, 900) == (900, [])
    # Two buffers of 100 frames are full by now.
    first = holey.read(PATIENCE_S)
    assert (first.index, len(first.frames), first.lost_before) == (0, 100, 0)
    go.set()
    second = holey.read(PATIENCE_S)
    assert (second.index, second.lost_before) == (900, 800)
    read = read_all(slow)
    assert next(read) == (100, [])
    with pytest.raises(OverrunError, match="slow: frames were not taken in time; after frame 99 ") as caught:
        next(read)
    assert caught.value.frames_lost == 20
    until_unplugged(good)
    with pytest.raises(DeviceLostError):
        acquisition.stop()
    failed = {tap.name: tap.failed for tap in acquisition.statistics().taps}
    assert failed == {"slow": True, "holey": False, "consumer": False}
    assert max(tap.most_waiting for tap in acquisition.statistics().taps if tap.name == "slow") == 100


def test_consumers_that_are_done_leave_nothing_behind():
    """A session makes one recording after the other, each with a tap of its own."""
    acquisition = Acquisition(Scripted(("frames", 100)))
    stays = acquisition.subscribe(name="stays")
    with acquisition:
        for k in range(20):
            acquisition.subscribe(name=f"recording {k}").close()
        names = [tap.name for tap in acquisition.statistics().taps]
        assert names == ["stays", "recording 19"]
        assert len(collect(stays, 100)) > 0


def test_stop_gives_what_waits_and_then_the_end():
    acquisition = Acquisition(Scripted(("frames", 300)))
    tap = acquisition.subscribe()
    acquisition.start()
    until = time.monotonic() + PATIENCE_S
    while tap.waiting < 300:
        assert time.monotonic() < until
        time.sleep(0.001)
    acquisition.stop()
    acquisition.stop()
    assert not tap.ended
    assert collect(tap) == (300, [])
    assert tap.ended
    assert tap.read(0.0) is None
    assert tap.read_into(np.empty((2, 3)), 0.0) == (0, 0)
    assert list(tap) == []


def test_silence_is_a_time_out():
    acquisition = Acquisition(Scripted())
    tap = acquisition.subscribe()
    with acquisition:
        block = tap.read(0.05)
        assert (len(block.frames), block.lost_before, block.times) == (0, 0, ())
        assert tap.read_into(np.empty((2, 3)), 0.0) == (0, 0)
    for timeout_s in (-1.0, float("nan"), float("inf")):
        with pytest.raises(DataError, match="timeout_s"):
            tap.read(timeout_s)


def test_a_driver_that_hangs_does_not_hang_stop(monkeypatch):
    release = threading.Event()
    acquisition = Acquisition(Scripted(("frames", 20), ("hang", release)))
    tap = acquisition.subscribe()
    acquisition.start()
    collect(tap, 20)
    waits, join = [], acquisition._thread.join

    def joined(timeout):
        waits.append(timeout)
        join(timeout)

    monkeypatch.setattr(acquisition._thread, "join", joined)
    with pytest.raises(DeviceTimeoutError, match="did not come back"):
        acquisition.stop()
    # The promise of 2 s, as what it allows itself: a clock would also count what a busy machine takes.
    assert sum(waits) <= STOP_S == 2.0
    with pytest.raises(DeviceTimeoutError):
        tap.read(PATIENCE_S)
    acquisition.stop()
    release.set()


def test_late_consumers_begin_with_the_next_block():
    go = threading.Event()
    acquisition = ended_after(("frames", 100), ("wait", go), ("lose", 5), ("frames", 50))
    early = acquisition.subscribe()
    acquisition.start()
    collect(early, 100)
    late = acquisition.subscribe()
    go.set()
    block = late.read(PATIENCE_S)
    assert (block.index, block.lost_before) == (105, 0)
    np.testing.assert_array_equal(block.frames, counted(105, len(block.frames)))
    until_unplugged(early)
    with pytest.raises(DeviceLostError):
        acquisition.stop()
    with pytest.raises(DeviceError, match="ended"):
        acquisition.subscribe()


def test_a_closed_tap_takes_no_more():
    go = threading.Event()
    acquisition = ended_after(("frames", 100), ("wait", go), ("frames", 100))
    leaving, staying = acquisition.subscribe(), acquisition.subscribe()
    acquisition.start()
    collect(staying, 100)
    leaving.close()
    go.set()
    assert until_unplugged(staying) == (200, [])
    assert collect(leaving) == (100, [])
    with pytest.raises(DeviceLostError):
        acquisition.stop()


def test_host_time_comes_once_a_block():
    before_s = time.time()
    acquisition = ended_after(("frames", 100), ("lose", 10), ("frames", 45), block_s=0.02)
    tap = acquisition.subscribe()
    acquisition.start()
    times = []
    for block in until_lost(tap):
        assert all(at.first < block.index + len(block.frames) for at in block.times)
        times += block.times
    assert [(at.first, at.frames) for at in times] == [
        (0, 20), (20, 20), (40, 20), (60, 20), (80, 20), (110, 20), (130, 20), (150, 5)
    ]  # fmt: skip
    assert all(before_s - 1.0 <= at.utc_s <= time.time() + 1.0 for at in times)
    seconds = [at.monotonic_s for at in times]
    assert seconds == sorted(seconds)
    with pytest.raises(DeviceLostError):
        acquisition.stop()


def test_a_read_that_only_the_drivers_stop_ends(monkeypatch):
    """As a driver does that closes its connection to end a call which hangs."""
    # The driver's own stop has a quarter of a second; a thread of a busy machine may wake up later.
    monkeypatch.setattr("balancecore.capture.acquisition.LAST_S", PATIENCE_S)
    monkeypatch.setattr("balancecore.capture.acquisition.STOP_S", PATIENCE_S + 0.1)

    class Hanging(Scripted):
        def _read_into(self, out, timeout_s):
            self._stopping.wait()
            return 0

    device = Hanging()
    acquisition = Acquisition(device)
    acquisition.start()
    acquisition.stop()
    assert device.state == "closed"


def test_what_was_lost_behind_the_last_frame_is_told():
    acquisition = Acquisition(Scripted(("frames", 20), ("lose", 7), ("raise", DeviceLostError("gone"))))
    tap = acquisition.subscribe()
    acquisition.start()
    collect(tap, 20)
    with pytest.raises(DeviceLostError):
        tap.read(PATIENCE_S)
    with pytest.raises(DeviceLostError):
        acquisition.stop()
    assert (tap.lost_at_end, acquisition.statistics().frames_lost) == (7, 7)


def test_a_device_that_does_not_start_is_let_go():
    class Refusing(Scripted):
        def _start(self):
            raise DeviceError("no")

    device = Refusing()
    with pytest.raises(DeviceError, match="no"), Acquisition(device):
        raise AssertionError("it has not started")
    assert device.state == "closed"


def test_a_replay_that_has_played_all_ends_like_a_stop(tmp_path):
    trial = bc.simulate.treadmill(duration_s=2.0).trial
    bc.write(trial, tmp_path / "run.tdms")
    acquisition = Acquisition(f"replay:{tmp_path / 'run.tdms'}?speed=0")
    tap = acquisition.subscribe()
    with acquisition:
        frames = np.concatenate([block.frames for block in tap])
    np.testing.assert_array_equal(frames, np.hstack([plate.wrench for plate in trial.plates]))


@pytest.mark.parametrize("opened", [False, True])
def test_what_was_open_stays_open(opened):
    device = Scripted(("frames", 10))
    if opened:
        device.open()
    acquisition = Acquisition(device)
    tap = acquisition.subscribe()
    with acquisition:
        collect(tap, 10)
    assert device.state == ("open" if opened else "closed")
    assert device.calls == ["open", "start", "stop", *([] if opened else ["close"])]
    device.close()


def test_never_started():
    device = Scripted()
    acquisition = Acquisition(device)
    tap = acquisition.subscribe()
    assert device.state == "open"
    acquisition.stop()
    assert device.state == "closed"
    assert tap.read() is None


def test_started_once():
    acquisition = Acquisition(Scripted())
    with acquisition, pytest.raises(DeviceError, match="once"):
        acquisition.start()


def test_an_address_and_its_rate_by_the_hosts_clock():
    acquisition = Acquisition("simulated:counter?rate_hz=2000&channels=2&fault=gap@0.2:50")
    tap = acquisition.subscribe()
    number = lost = 0
    with acquisition:
        for block in tap:
            number += block.lost_before
            np.testing.assert_array_equal(block.frames[:, 0], number + np.arange(len(block.frames)))
            number += len(block.frames)
            lost += block.lost_before
            if number >= 2000:
                break
    found = acquisition.statistics()
    assert lost == 50 == found.frames_lost
    assert found.rate_hz == 2000.0
    assert 0.0 < found.rate_by_host_hz < np.inf
    assert 0.0 < found.worst_delay_s < PATIENCE_S


def test_the_rate_by_the_hosts_clock(monkeypatch):
    """The clock here passes with the frames, a little slower than the device says, and stops once for 0.3 s."""
    now_s = [50.0]
    monkeypatch.setattr(
        "balancecore.capture.acquisition.time",
        SimpleNamespace(perf_counter=lambda: now_s[0], time=lambda: 1e9 + now_s[0]),
    )

    class Timed(Scripted):
        def _read_into(self, out, timeout_s):
            n = super()._read_into(out, timeout_s)
            now_s[0] += n / 990.0 + 0.3 * (self.number == 500)
            return n

    acquisition = Acquisition(
        Timed(("frames", 700), ("lose", 100), ("frames", 200), ("raise", DeviceLostError("unplugged")))
    )
    tap = acquisition.subscribe()
    acquisition.start()
    assert until_unplugged(tap) == (1000, [(700, 100)])
    with pytest.raises(DeviceLostError):
        acquisition.stop()
    found = acquisition.statistics()
    span_s = 900 / 990.0 + 0.3
    assert found.duration_s == pytest.approx(span_s)
    assert found.rate_by_host_hz == pytest.approx((1000 - 20) / (span_s - 20 / 990.0))
    assert found.worst_delay_s == pytest.approx(20 / 990.0 + 0.3)


def test_whoever_has_frames_finds_no_older_number(monkeypatch):
    acquisition = ended_after(("frames", 100), ("lose", 7), ("frames", 30))
    tap, put, known = acquisition.subscribe(), Tap._put, []

    def noted(self, frames, lost_before, at):
        known.append(acquisition.next_index - at.first - len(frames))
        put(self, frames, lost_before, at)

    monkeypatch.setattr(Tap, "_put", noted)
    acquisition.start()
    until_unplugged(tap)
    with pytest.raises(DeviceLostError):
        acquisition.stop()
    assert known == [0] * 7


@pytest.mark.parametrize(
    "options", [{"block_s": 0.0}, {"block_s": 0.3}, {"buffer_s": 0.001}, {"buffer_s": 1e9}]
)
def test_times_that_can_not_be(options):
    with pytest.raises(DataError):
        Acquisition(Scripted(), **options)


def test_a_buffer_that_can_not_be():
    acquisition = Acquisition(Scripted())
    with pytest.raises(DataError, match="buffer_s"):
        acquisition.subscribe(buffer_s=0.0)
    with pytest.raises(DataError, match="overrun"):
        acquisition.subscribe(overrun="overwrite")
    acquisition.stop()


def test_a_stream_on_a_tap_gives_the_steps_of_the_signal():
    address = "simulated:treadmill?rate_hz=1000&seed=4&pace=0&fault=disconnect@12,gap@6:40"
    acquisition = Acquisition(address, buffer_s=60.0)
    tap = acquisition.subscribe()
    layout = acquisition.description.layout
    live = bc.GaitStream(layout, rate_hz=1000.0, mass_kg=70.0)
    acquisition.start()
    for block in until_lost(tap):
        live.push(block)
    with pytest.raises(DeviceLostError):
        acquisition.stop()

    plain = bc.GaitStream(layout, rate_hz=1000.0, mass_kg=70.0)
    with open_device(address) as device:
        device.start()
        out = np.empty((333, len(device.channels)))
        with contextlib.suppress(DeviceLostError):
            while n := device.read_into(out):
                plain.push(bc.Block(out[:n], device.lost_before))
    ours, theirs = live.finish().steps, plain.finish().steps
    assert len(ours) == len(theirs) > 20
    for column in theirs.columns:
        np.testing.assert_array_equal(ours[column], theirs[column])
