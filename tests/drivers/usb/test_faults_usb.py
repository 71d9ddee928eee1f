"""What goes wrong on a cable: overrun, stall, silence, spoilt packets, a pulled plug, a dead or hung USB/IP server."""

from __future__ import annotations

import errno
import time
from dataclasses import replace

import numpy as np
import pytest
from balancecore.drivers import usb_1608fs_plus
from balancecore.drivers._usb import COMMAND_MS

from balancecore.capture import open_device
from balancecore.errors import DeviceError, DeviceLostError

from . import models, usbip
from .backend import failed

# The length of an overrun's gap is told by the host's clock, to the time in which a transfer fills: 20 ms.
CLOCK_S = 0.025
PATIENCE_S = 30.0
ADDRESS = "usb1608fsplus:?rate_hz=2000&channels=0:4"


def collect(device, n, block=256):
    """At least n frames: each with its number by the device's own account."""
    out = np.empty((block, len(device.channels)))
    numbers, frames = [], []
    until = time.monotonic() + PATIENCE_S
    while sum(map(len, frames)) < n:
        assert time.monotonic() < until
        got = device.read_into(out, 0.5)
        frames.append(out[:got].copy())
        end = device.frames_read + device.frames_lost
        numbers.append(np.arange(end - got, end))
    return np.concatenate(numbers), np.concatenate(frames)


def scans(model, volts, channel=0):
    """Scan numbers in the first channel of a 1608 at ±10 V."""
    slope, offset = model.table[channel].astype(float)
    return np.rint(((volts[:, 0] / 10 + 1) * 32768 - offset) / slope).astype(int)


class SmallOnce(models.Usb1608):
    """Its FIFO, once it is small, runs over a single time, however late its reader comes later."""

    def overflow(self):
        super().overflow()
        if self.status & 4:
            self.WAITS = True


@pytest.mark.parametrize("cause", ["overrun_at", "stall_at", "full"])
def test_overrun_becomes_a_gap_of_about_its_length(plug, clock, cause):
    model = SmallOnce(faults=models.Faults(**({} if cause == "full" else {cause: 400})))
    plug(model)
    with open_device(ADDRESS) as device:
        device.start()
        first_s = model.began_s
        numbers, frames = collect(device, 300)
        np.testing.assert_array_equal(scans(model, frames), numbers)
        if cause == "full":
            model.FIFO, model.WAITS = 1500, False
            clock.sleep(0.3)
        while not device.frames_lost:
            more = collect(device, 1)
        lost = device.frames_lost
        # The scan was started anew: its own count begins at 0, the device's goes on with time.
        own = scans(model, more[1])
        np.testing.assert_array_equal(own, np.arange(len(own)))
        if clock is not time:  # by the real one, a thread that wakes up late makes the gap longer than it was
            true = (model.began_s - first_s) * device.rate_hz
            assert abs(more[0][0] - true) < CLOCK_S * device.rate_hz
        again, frames = collect(device, 200)
        np.testing.assert_array_equal(np.diff(scans(model, frames)), 1)
        np.testing.assert_array_equal(np.diff(again), 1)
        status = device.status()
        assert status["lost_frames_estimated"] == lost == device.frames_lost
        assert status["overruns"] == (cause != "stall_at")
        assert any("counted by the host's clock" in note for note in device.description.notes)
        device.stop()
        device.start()
        assert device.status()["overruns"] == device.status()["lost_frames_estimated"] == 0
        assert not any("clock" in note for note in device.description.notes)


def test_frames_before_an_overrun_are_whole(plug):
    # Five channels: 32 samples of a packet end within a frame, and what has begun of it must not be joined to the
    # first samples of the next scan.
    model = models.Usb1608(faults=models.Faults(overrun_at=300))
    plug(model)
    with open_device(ADDRESS) as device:
        device.start()
        _, frames = collect(device, 600)
    count = scans(model, frames)
    restart = int(np.flatnonzero(np.diff(count) < 0)[0]) + 1
    np.testing.assert_array_equal(count, np.r_[np.arange(restart), np.arange(len(count) - restart)])
    for channel in range(5):
        slope, offset = model.table[channel].astype(float)
        raw = np.rint(((frames[:, channel] / 10 + 1) * 32768 - offset) / slope)
        expected = count if channel == 0 else (count * (2 * channel + 1) + 1000 * channel) % 65536
        np.testing.assert_array_equal(raw, expected)


def test_endless_stall_is_an_error(plug):
    model = models.Usb1608()
    plug(model)
    with open_device(ADDRESS) as device:
        device.start()
        collect(device, 10)
        model.packets = stalls
        with pytest.raises(DeviceError, match="stalls again and again"):
            collect(device, 10_000)
        device.stop()


def stalls(endpoint, length):
    raise models.Stall


@pytest.mark.parametrize("plug", ["wire"], indirect=True)
@pytest.mark.parametrize("number", [errno.EIO, errno.EPROTO, errno.EOVERFLOW])
def test_disturbed_cable_is_not_a_pulled_plug(plug, number):
    # Unlike a device that is gone, it still answers.
    model = models.Usb1608()
    backend = plug(model)
    whole = backend.bulk_read
    left = [1]

    def disturbed(*args):
        if model.status & 2 and model.sent > 500 and left:
            left.pop()
            raise failed(number)
        return whole(*args)

    backend.bulk_read = disturbed
    with open_device(ADDRESS) as device:
        device.start()
        collect(device, 500)
        assert not left
        assert device.frames_lost > 0
        assert device.status()["overruns"] == 0


@pytest.mark.parametrize("plug", ["wire"], indirect=True)
def test_lost_stays_lost(plug):
    # Linux may report a disturbance first; whatever a later read would give, the device doesn't come back.
    model = models.Usb1608()
    plug(model)
    with open_device(ADDRESS) as device:
        device.start()
        collect(device, 50)
        model.unplug()
        with pytest.raises(DeviceLostError):
            collect(device, 10_000)
        model.gone = False
        with pytest.raises(DeviceLostError):
            device.read_into(np.empty((8, 5)), 0.1)


def test_samples_of_an_earlier_stream_are_not_taken(plug):
    model = models.Usb1608(faults=models.Faults(stale=b"\xab\xcd" * 32))
    plug(model)
    with open_device(ADDRESS) as device:
        device.start()
        numbers, frames = collect(device, 50)
    np.testing.assert_array_equal(scans(model, frames), numbers)


@pytest.mark.parametrize("scheme", ["usb1608fsplus", "labjacku6"])
def test_unplugged_while_open(plug, scheme):
    model = models.LabjackU6() if scheme == "labjacku6" else models.Usb1608()
    plug(model)
    with open_device(f"{scheme}:") as device:
        model.unplug()
        with pytest.raises(DeviceLostError, match="gone"):
            device.start()
        device.stop()


def test_unplugged_and_plugged_in_again(plug):
    model = models.Usb1608(faults=models.Faults(unplug_at=100))
    plug(model)
    device = open_device(ADDRESS)
    device.start()
    with pytest.raises(DeviceLostError):
        collect(device, 10_000)
    device.close()
    plug(models.Usb1608())
    with device.open():
        device.start()
        collect(device, 50)


@pytest.mark.parametrize("plug", ["usbip"], indirect=True)
def test_server_that_dies(plug):
    plug(models.Usb1608())
    with open_device(ADDRESS) as device:
        device.start()
        collect(device, 50)
        plug.server.close()
        with pytest.raises(DeviceLostError):
            collect(device, 100_000)
        device.stop()


@pytest.mark.parametrize("plug", ["usbip"], indirect=True)
def test_server_that_hangs_is_a_time_out_and_stop_comes_back(plug, monkeypatch):
    plug(models.Usb1608())
    with open_device(ADDRESS) as device:
        device.start()
        collect(device, 50)
        plug.server.hung.set()
        # From here on nothing is answered: there is no use in waiting long.
        monkeypatch.setattr(usb_1608fs_plus, "COMMAND_MS", COMMAND_MS)
        monkeypatch.setattr(usbip, "UNLINK_S", 0.2)
        out = np.empty((64, 5))
        until = time.monotonic() + PATIENCE_S
        while device.read_into(out, 0.05):
            assert time.monotonic() < until
        device.stop()
        assert device.state == "open"
        plug.server.hung.clear()


# LabJack U6: what is lost is known to the frame.

U6 = "labjacku6:?rate_hz=1000&channels=0:2"
FAST_U6 = "labjacku6:?rate_hz=5000&channels=0:2"


def u6_scans(model, volts):
    centre, upper, lower = model.centre[0], model.upper[0], model.lower[0]
    return np.rint(centre + np.where(volts >= 0, volts / upper, -volts / lower)).astype(int)


@pytest.mark.parametrize("plug", ["wire"], indirect=True)
@pytest.mark.parametrize(
    ("faults", "lost"),
    [
        # A packet of 25 samples breaks 9 or 10 frames of 3: number 4 begins at sample 100, within frame 33.
        (models.Faults(spoil=frozenset({4})), 9),
        (models.Faults(skip=frozenset({3, 4, 5})), 25),
        (models.Faults(spoil=frozenset({0})), 9),
        (models.Faults(overrun_at=150), None),
    ],
    ids=["spoilt", "three-missing", "the-first", "overflow"],
)
def test_u6_losses_are_counted_and_placed(plug, clock, faults, lost):
    # By a clock of its own: where within a transfer the overflow comes, and so where its gap is, depends on its size.
    model = models.LabjackU6(faults=replace(faults))
    plug(model)
    with open_device(FAST_U6) as device:
        device.start()
        numbers, frames = collect(device, 500)
        np.testing.assert_array_equal(u6_scans(model, frames[:, 0]), numbers)
        for k in (1, 2):
            raw = u6_scans(model, frames[:, k])
            np.testing.assert_array_equal(raw, (numbers * (2 * k + 1) + 1000 * k) % 65536)
        status = device.status()
        if lost is None:
            assert device.frames_lost == status["dropped_scans"] > 300
        else:
            assert device.frames_lost == lost
            assert status["missing_packets"] == len(faults.spoil | faults.skip)
            assert status["spoilt_packets"] == len(faults.spoil)


@pytest.mark.parametrize("plug", ["wire"], indirect=True)
def test_u6_reader_that_was_away(plug, clock):
    # 984 samples are 328 ms of three channels at 1 kHz: a real overflow, not one on request.
    model = models.LabjackU6()
    model.WAITS = False
    plug(model)
    with open_device(U6) as device:
        device.start()
        collect(device, 50)
        clock.sleep(0.6)
        numbers, frames = collect(device, 600)
        np.testing.assert_array_equal(u6_scans(model, frames[:, 0]), numbers)
        assert device.frames_lost == device.status()["dropped_scans"] > 100


@pytest.mark.parametrize("plug", ["wire"], indirect=True)
def test_u6_dropped_scans_whose_number_was_lost_are_told_by_the_clock(plug, clock):
    model = models.LabjackU6(faults=models.Faults(skip_recovery=True))
    model.WAITS = False
    plug(model)
    with open_device(U6) as device:
        device.start()
        collect(device, 50)
        clock.sleep(0.6)
        numbers, frames = collect(device, 600)
        raw = u6_scans(model, frames[:, 0])
        assert abs(numbers[-1] - raw[-1]) < CLOCK_S * device.rate_hz
        assert device.status()["lost_frames_estimated"] > 100
        assert np.count_nonzero(np.diff(raw) != 1) == 1
        for k in (1, 2):
            np.testing.assert_array_equal(
                u6_scans(model, frames[:, k]), (raw * (2 * k + 1) + 1000 * k) % 65536
            )


@pytest.mark.parametrize("plug", ["wire"], indirect=True)
def test_u6_error_in_the_stream_is_named(plug):
    model = models.LabjackU6()
    plug(model)
    with open_device(U6) as device:
        device.start()
        collect(device, 20)
        whole = model.packet

        def refuses():
            packet = whole()
            data = bytearray(packet[6:])
            if data:
                data[5] = 48
            return models.framed(packet[1:4], bytes(data)) if packet else b""

        model.packet = refuses
        with pytest.raises(DeviceError, match="error 48"):
            collect(device, 10_000)
