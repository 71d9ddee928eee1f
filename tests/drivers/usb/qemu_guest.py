"""Runs inside the guest of qemu_stage.sh: unmodified pyusb, the real libusb, usbfs and vhci_hcd, simulated devices.

The models are the tests' own and so is the USB/IP server; between it and the drivers lies the kernel.
"""

from __future__ import annotations

import glob
import resource
import socket
import struct
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from balancecore.drivers.usb_1608fs_plus import Usb1608FsPlus
from tests.drivers.usb import models, usbip

from balancecore.capture import open_device
from balancecore.errors import DeviceError, DeviceLostError

VHCI = Path("/sys/devices/platform/vhci_hcd.0")
# TCG takes about 16 ms for a transfer, whatever its size; so large ones.
FAST = "usb1608fsplus:?rate_hz=10000&latency_s=0.1"
KEPT: list[socket.socket] = []


def plug(model, port):
    """Let the kernel import a model: the handshake is ours, the rest of the connection is its own."""
    before = set(glob.glob("/dev/bus/usb/*/*"))
    server = usbip.Server([model])
    sock = usbip.quick(socket.create_connection(server.address))
    sock.sendall(struct.pack(">HHI", usbip.VERSION, usbip.REQUEST_IMPORT, 0) + b"1-1".ljust(32, b"\0"))
    head = usbip.exactly(sock, 8)
    assert head[-4:] == bytes(4), head
    usbip.exactly(sock, 312)
    (VHCI / "attach").write_text(f"{port} {sock.fileno()} {0x10002} {usbip.FULL_SPEED}")
    KEPT.append(sock)
    until = time.monotonic() + 30
    while set(glob.glob("/dev/bus/usb/*/*")) == before:
        assert time.monotonic() < until, "the kernel did not find the device"
        time.sleep(0.05)
    return server


def counts(model, volts):
    slope, offset = model.table[0].astype(float)
    return np.rint(((volts / 10 + 1) * 32768 - offset) / slope).astype(np.int64)


def stream(device, model, seconds, timeout_s=1.0, block=4000):
    """Read for a while; every frame is checked by its number. Gives the frames and the most that one wait took."""
    out = np.empty((block, len(device.channels)))
    until, n, worst, last = time.monotonic() + seconds, 0, 0.0, time.monotonic()
    while time.monotonic() < until:
        got = device.read_into(out, timeout_s)
        end = device.frames_read + device.frames_lost
        if got:
            worst, last = max(worst, time.monotonic() - last), time.monotonic()
            expected = np.arange(end - got, end) % 65536
            found = counts(model, out[:got, 0])
            assert np.array_equal(found, expected), (
                found[0],
                expected[0],
                device.frames_lost,
                device.status(),
            )
        n += got
    return n, worst


def say(text):
    print(f"QEMU {time.monotonic() - BEGAN:5.1f} s  {text}", flush=True)


def main():
    model = models.Usb1608()
    # An emulated CPU on a busy machine pauses for longer than 32 kS last; the overrun below is one on request.
    model.FIFO *= 16
    plug(model, 0)
    found = Usb1608FsPlus.discover()
    assert [d.address for d in found.devices] == ["usb1608fsplus:01A2B3C4"], found
    say(f"found {found.devices[0].address} by its string descriptor")

    for address, seconds in ((FAST, 6), ("usb1608fsplus:?rate_hz=1000&latency_s=0.04", 4)):
        with open_device(address) as device:
            device.start()
            n, worst = stream(device, model, seconds)
            assert device.frames_lost == 0
            rate = n / seconds
            say(
                f"8 channels at {device.rate_hz:g} Hz: {n} frames ({rate:.0f}/s), none lost; longest wait {worst:.3f} s"
            )
            assert abs(rate / device.rate_hz - 1) < 0.15
    say("opened a second time")

    with open_device("usb1608fsplus:?rate_hz=1000&latency_s=0.1") as device:
        device.start()
        n, _ = stream(device, model, 3, timeout_s=0.004, block=64)
        assert n > 2000
        assert device.frames_lost == 0
        say(f"time-outs of 4 ms with what had come by then: {n} frames, none lost")

    with open_device(FAST) as device:
        try:
            open_device(FAST)
        except DeviceError as error:
            say(f"a second open while it is open: {error}")
        else:
            raise AssertionError("two users at once")

    with open_device(FAST) as device:
        device.start()
        stream(device, model, 0.5)
        model.faults.overrun_at = 1
        out = np.empty((4000, 8))
        until = time.monotonic() + 20
        while not device.frames_lost:
            assert time.monotonic() < until
            got = device.read_into(out, 1.0)
        assert np.array_equal(counts(model, out[:got, 0]), np.arange(got))
        assert device.status()["overruns"] == 1
        say(f"overrun: a real stall, cleared; {device.frames_lost} frames lost by the host's clock")

    with open_device(FAST) as device:
        say(f"self-test: {device.self_test(2.0)}")

    with open_device(FAST) as device:
        device.start()
        stream(device, model, 0.5)
        model.unplug()
        try:
            stream(device, model, 20)
        except DeviceLostError as error:
            say(f"unplugged: {error}")
        else:
            raise AssertionError("an unplugged device was not noticed")
        device.stop()

    u6 = models.LabjackU6()
    u6.FIFO *= 64
    plug(u6, 1)
    with open_device("labjacku6:?rate_hz=250&channels=0:3&latency_s=0.1") as device:
        device.start()
        out = np.empty((2000, 4))
        n, until = 0, time.monotonic() + 4
        while time.monotonic() < until:
            got = device.read_into(out, 1.0)
            volts = out[:got, 0]
            raw = np.rint(u6.centre[0] + np.where(volts >= 0, volts / u6.upper[0], -volts / u6.lower[0]))
            end = device.frames_read + device.frames_lost
            assert np.array_equal(raw, np.arange(end - got, end))
            n += got
        assert n > 500
        assert device.frames_lost == 0
        say(f"LabJack U6, 4 channels at 250 Hz: {n} frames, none lost")
    used = resource.getrusage(resource.RUSAGE_SELF)
    say(f"all passed; {used.ru_utime + used.ru_stime:.1f} s of CPU, drivers and simulators together")


BEGAN = time.monotonic()
main()
