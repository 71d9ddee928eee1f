"""Bytes on the wire, volts from codes, and what the drivers say where something can't be done."""

from __future__ import annotations

import errno
import sys

import numpy as np
import pytest
from balancecore.drivers._usb import HostClock, UsbDevice
from balancecore.drivers.labjack_u6 import LabjackU6, checksum8, extended
from balancecore.drivers.usb_1608fs_plus import Usb1608FsPlus

from balancecore.capture import check_device, list_devices, open_device
from balancecore.errors import DataError, DeviceError, DeviceNotFoundError, DriverUnavailableError

from . import models
from .backend import failed

# Volts are formed in another order than here: some units in the last place of 20 V.
ROUNDING_V = 1e-13

pytestmark = pytest.mark.parametrize("plug", ["wire"], indirect=True)


def read(device, n):
    out = np.empty((n, len(device.channels)))
    have = 0
    while have < n:
        have += device.read_into(out[have:], 1.0)
    return out


def requests(model, request):
    return [
        data for kind, code, *_, data in (h for h in model.heard if len(h) == 5) if (kind, code) == request
    ]


# USB-1608FS-Plus and its siblings.


@pytest.mark.parametrize(
    ("model", "address", "start"),
    [
        # u32 count 0 (for ever), u32 period 40e6 / 1000 - 1 = 39999 = 0x9c3f, mask, options.
        (models.Usb1608, "usb1608fsplus:", "00000000 3f9c0000 ff 00"),
        (models.Usb1608, "usb1608fsplus:?channels=0,2,4:5&rate_hz=4000", "00000000 0f270000 35 00"),
        (models.Usb1608, "usb1608fsplus:?test_counter=yes", "00000000 3f9c0000 ff 20"),
        # The multiplexed ones tick 60e6 times a second and once a sample: 60e6 / (1000 * 3) - 1 = 19999 = 0x4e1f.
        (models.Usb1408, "usb1408fsplus:?channels=0:2", "00000000 00000000 1f4e0000 07 00"),
        (models.Usb1208, "usb1208fsplus:?channels=0:2&terminal=diff", "00000000 00000000 1f4e0000 07 02"),
    ],
)
def test_scan_is_started_by_these_bytes(plug, model, address, start):
    wired = model()
    plug(wired)
    with open_device(address) as device:
        device.start()
    assert [data.hex() for data in requests(wired, (0x40, 0x11))] == [bytes.fromhex(start).hex()]


@pytest.mark.parametrize(
    ("model", "address", "gains", "rows", "full"),
    [
        (models.Usb1608, "usb1608fsplus:?rate_hz=5000&range_v=5", [1] * 8, range(8, 16), [5.0] * 8),
        (
            models.Usb1608,
            "usb1608fsplus:?rate_hz=5000&channels=1,2,6,7&range_v=10,2,1,5",
            [0, 0, 3, 0, 0, 0, 5, 1],
            [1, 26, 46, 15],
            [10.0, 2.0, 1.0, 5.0],
        ),
        (models.Usb1408, "usb1408fsplus:?rate_hz=5000&channels=5", [0] * 8, [37], [10.0]),
        (
            models.Usb1208,
            "usb1208fsplus:?rate_hz=5000&channels=0,3&terminal=diff&range_v=20,1.25",
            [0, 0, 0, 6, 0, 0, 0, 0],
            [0, 27],
            [20.0, 1.25],
        ),
    ],
)
def test_volts(plug, model, address, gains, rows, full):
    # (raw * slope + offset - half) * range / half, with the float32 pair of that range and channel from flash.
    wired = model()
    plug(wired)
    with open_device(address) as device:
        device.start()
        assert requests(wired, (0x40, 0x14)) == [bytes(gains)]
        volts = read(device, 500)
        width = len(device.channels)
        raw = models.signal(0, 500 * width, wired.channels, wired.BITS).reshape(500, width)
        assert [c.high for c in device.channels] == full
        assert [c.name for c in device.channels] == [f"ai{n}" for n in wired.channels]
    half = 2.0 ** (wired.BITS - 1)
    slope, offset = wired.table[list(rows)].astype(float).T
    expected = (raw.astype(float) * slope + offset - half) * np.asarray(full) / half
    np.testing.assert_allclose(volts, expected, rtol=0, atol=ROUNDING_V)


def test_real_rate_is_told(plug):
    plug(models.Usb1608())
    with open_device("usb1608fsplus:?rate_hz=3000") as device:
        assert device.rate_hz == 40e6 / 13333
        assert any("asked for 3000 Hz" in note for note in device.description.notes)
        assert [c.skew_s for c in device.channels] == [0.0] * 8


def test_multiplexed_channels_tell_their_skew(plug):
    plug(models.Usb1208())
    with open_device("usb1208fsplus:?rate_hz=1000&channels=0:3") as device:
        assert device.rate_hz == 1000.0
        assert [c.skew_s for c in device.channels] == pytest.approx([0, 0.25e-3, 0.5e-3, 0.75e-3])


def test_slow_packets_are_told(plug):
    plug(models.Usb1608())
    with open_device("usb1608fsplus:?rate_hz=50&channels=0") as device:
        assert any("0.64 s" in note for note in device.description.notes)


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("usb1608fsplus:?rate_hz=60000", "50000"),
        ("usb1608fsplus:?rate_hz=0", "rate_hz"),
        ("usb1208fsplus:?rate_hz=10000", "6500"),
        ("usb1608fsplus:?channels=0:8", "channels"),
        ("usb1608fsplus:?channels=3,1", "ascending"),
        ("usb1608fsplus:?channels=ai0", "channels"),
        ("usb1608fsplus:?range_v=2.5", "range_v"),
        ("usb1608fsplus:?range_v=5,5", "range_v"),
        ("usb1608fsplus:?range_v=ten", "range_v"),
        ("usb1608fsplus:?terminal=diff", "differential"),
        ("usb1408fsplus:?terminal=nrse", "terminal"),
        ("usb1408fsplus:?range_v=5", "range_v"),
        ("usb1408fsplus:?terminal=diff&channels=0:4", "channels"),
        ("usb1208fsplus:?test_counter=yes", "counter"),
        ("usb1608fsplus:?latency_s=0", "latency_s"),
        ("usb1608fsplus://host/1", "host"),
        ("labjacku6:?rate_hz=10000", "6250"),
        ("labjacku6:?channels=14", "channels"),
        ("labjacku6:?terminal=diff&channels=1", "even"),
        ("labjacku6:?range_v=5", "range_v"),
        ("labjacku6:?latency_s=2", "latency_s"),
        ("labjacku6:?terminal=x", "terminal"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(plug, address, named):
    plug(models.Usb1608(), models.Usb1408(), models.Usb1208(), models.LabjackU6())
    with pytest.raises(DataError, match=named):
        open_device(address)


def test_empty_flash_gives_nominal_volts_and_a_note(plug):
    model = models.Usb1608()
    model.memory[8:16] = b"\xff" * 8
    plug(model)
    with open_device("usb1608fsplus:?channels=0:2") as device:
        assert any(
            "nominal" in note and "ai1" in note and "ai0" not in note for note in device.description.notes
        )
        device.start()
        volts = read(device, 100)[:, 1]
    raw = models.signal(0, 300, [0, 1, 2], 16).reshape(-1, 3)[:, 1]
    np.testing.assert_allclose(volts, raw / 32768 * 10 - 10, rtol=0, atol=ROUNDING_V)


def test_status(plug):
    plug(models.Usb1608())
    with open_device("usb1608fsplus:?rate_hz=5000&channels=0:2") as device:
        assert device.status()["overloaded"] == ""
        device.start()
        # Channel 0 counts from code 0, an end of the range; the others begin at 1000 and 2000.
        read(device, 50)
        assert device.status()["overloaded"] == "ai0"
        assert device.status()["calibrated"] == "2021-03-09"


# The counter that tests the stream on real hardware.


@pytest.mark.parametrize("option", ["", "&test_counter=yes"])
def test_self_test_passes(plug, clock, option):
    plug(models.Usb1608())
    with open_device(f"usb1608fsplus:?rate_hz=8000{option}") as device:
        assert {c.unit for c in device.channels} == {"count" if option else "V"}
        seen = device.self_test(0.3)
        assert int(seen.split()[0]) > 1000
        assert "none is missing" in seen
        assert device.state == "open"
        # And back to what it was opened for.
        device.start()
        first = read(device, 3)
    expected = 0.0 if option else -10.0
    np.testing.assert_allclose(first[0, 0], expected, atol=0.05)


def test_self_test_passes_where_scans_are_counted(plug, clock):
    model = models.Usb1608()
    whole = model.packets

    def per_scan(endpoint, length):
        data = whole(endpoint, length)
        scan = (np.arange(model.sent - len(data) // 2, model.sent) // 8) % 65536
        return scan.astype("<u2").tobytes()

    model.packets = per_scan
    plug(model)
    with open_device("usb1608fsplus:?rate_hz=8000") as device:
        assert "none is missing" in device.self_test(0.3)


@pytest.mark.parametrize("damage", ["lost", "doubled", "swapped"])
def test_self_test_fails_on_a_damaged_stream(plug, clock, damage):
    model = models.Usb1608()
    whole = model.packets

    def damaged(endpoint, length):
        data = bytearray(whole(endpoint, length))
        if 9000 < model.sent < 12000 and data:
            if damage == "lost":
                data[:] = data[2:] + data[:2]
            elif damage == "doubled":
                data[10:12] = data[8:10]
            else:
                data[0:2], data[2:4] = data[2:4], data[0:2]
        return bytes(data)

    model.packets = damaged
    plug(model)
    with open_device("usb1608fsplus:?rate_hz=8000") as device:
        with pytest.raises(DeviceError, match="jumped"):
            device.self_test(0.4)
        assert device.state == "open"


def test_self_test_fails_where_nothing_comes(plug, clock):
    plug(models.Usb1608(faults=models.Faults(silent=True)))
    with open_device("usb1608fsplus:") as device, pytest.raises(DeviceError, match="0 samples"):
        device.self_test(0.1)


@pytest.mark.parametrize("address", ["usb1208fsplus:", "labjacku6:"])
def test_those_without_a_counter_say_so(plug, address):
    plug(models.Usb1208(), models.LabjackU6())
    with open_device(address) as device:
        assert device.self_test(0.1) is None


def test_check_of_a_device(plug, clock):
    model = models.Usb1608()
    plug(model)
    found = check_device("usb1608fsplus:?rate_hz=2000&channels=1:3", seconds=0.5)
    lines = {line.what: line for line in found.lines}
    assert lines["self-test"].verdict == "pass"
    assert lines["losses"].verdict == lines["rate"].verdict == lines["restart"].verdict == "pass"


# Finding devices, and saying why one can't be had.


def test_two_of_a_kind_are_told_apart_by_serial(plug):
    plug(models.Usb1608("0000AAAA"), models.Usb1608("0000BBBB"), models.Usb1208("0000CCCC"))
    for serial in ("0000AAAA", "0000bbbb"):
        with open_device(f"usb1608fsplus:{serial}") as device:
            assert device.description.serial == serial.upper()
    with pytest.raises(DeviceError, match="0000AAAA, 0000BBBB"):
        open_device("usb1608fsplus:")
    with pytest.raises(DeviceNotFoundError, match="0000AAAA, 0000BBBB"):
        open_device("usb1608fsplus:0000CCCC")
    with open_device("usb1208fsplus:") as device:
        assert device.description.model == "MCC USB-1208FS-Plus"


def test_discovery(plug):
    backend = plug(models.Usb1608("0000AAAA"), models.Usb1208("0000CCCC"), models.LabjackU6())
    found = {d.address: d.model for discovery in list_devices() for d in discovery.devices}
    assert found["usb1608fsplus:0000AAAA"] == "MCC USB-1608FS-Plus"
    assert found["usb1208fsplus:0000CCCC"] == "MCC USB-1208FS-Plus"
    assert found["labjacku6:360012345"] == "LabJack U6"
    assert not backend.handles, "asking for serial numbers must not leave devices open"
    for address in ("usb1608fsplus:0000AAAA", "labjacku6:360012345"):
        open_device(address).close()


def test_a_device_in_use_is_busy_and_free_again_after_close(plug):
    backend = plug(models.Usb1608())
    with open_device("usb1608fsplus:") as first:
        with pytest.raises(DeviceError, match="another program"):
            open_device("usb1608fsplus:")
        first.start()
        read(first, 10)
        # Whoever still knows pyusb's object, such as a traceback, must not keep the device open.
        kept = first._usb
    assert not backend.handles
    del kept
    with open_device("usb1608fsplus:"):
        pass
    assert not backend.handles


def test_failed_open_leaves_nothing_open(plug):
    model = models.LabjackU6()
    model.flash = bytes(len(model.flash))
    backend = plug(model)
    with pytest.raises(DeviceError, match="calibration"):
        open_device("labjacku6:")
    assert not backend.handles


@pytest.mark.parametrize("address", ["usb1608fsplus:", "usb1608fsplus:01A2B3C4", "labjacku6:"])
def test_missing_permission_says_the_udev_rule(plug, address, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    plug(models.Usb1608(), models.LabjackU6(), forbidden=True)
    vendor = "0cd5" if "labjack" in address else "09db"
    with pytest.raises(DeviceError, match=rf'ATTR{{idVendor}}=="{vendor}".*udevadm'):
        open_device(address)
    kind = LabjackU6 if "labjack" in address else Usb1608FsPlus
    assert "udevadm" in kind.discover().advice[0]
    assert kind.discover().devices == ()


def test_missing_winusb_is_said(plug):
    backend = plug(models.Usb1608())

    def refuse(dev):
        # What pyusb raises for LIBUSB_ERROR_NOT_SUPPORTED.
        raise NotImplementedError("Operation not supported or unimplemented on this platform")

    backend.open_device = refuse
    with pytest.raises(DeviceError, match="WinUSB"):
        open_device("usb1608fsplus:01A2B3C4")
    assert "WinUSB" in Usb1608FsPlus.discover().advice[0]


def test_bus_that_cannot_be_searched(plug):
    backend = plug()

    def refuse():
        raise failed(errno.EIO)

    backend.enumerate_devices = refuse
    assert "searched" in Usb1608FsPlus.discover().advice[0]


def test_missing_pyusb_says_what_to_install(plug, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "libusb_package", None)
    with pytest.raises(DriverUnavailableError, match=r"pip install 'balancecore\[usb\]'"):
        open_device("usb1608fsplus:")
    assert "pip install" in LabjackU6.discover().advice[0]


def test_real_libusb_can_be_loaded(plug, monkeypatch):
    # No device is here, but the library, its backend and the search are the real ones.
    monkeypatch.undo()
    assert UsbDevice._backend() is not None
    found = Usb1608FsPlus.discover()
    assert found.scheme == "usb1608fsplus"


# LabJack U6.


def test_u6_checksums(plug):
    # By hand: the bytes 1 to 5 of ConfigU6 that only asks are f8 0a 08 00 00, in all 0x10a, folded 0x0b.
    assert extended(0x08, bytes(20)) == bytes.fromhex("0bf80a080000") + bytes(20)
    # ReadMem of block 2: data 00 02, sum 0x0002; f8 + 01 + 2d + 02 = 0x128, folded 0x29.
    assert extended(0x2D, bytes([0, 2])).hex() == "29f8012d02000002"
    assert checksum8(b"\xa8") == 0xA8
    # Folding once leaves a carry here: 0x1ff becomes 0x100, and that 0x01.
    assert checksum8(b"\xff\xff\x01") == 0x01


@pytest.mark.parametrize(
    ("address", "config"),
    [
        # channels, resolution, samples a packet, reserved, settling, clock, interval, then channel and options each.
        ("labjacku6:?channels=0:1&rate_hz=1000", "02 00 19 00 00 00 a00f 0000 0100"),
        (
            "labjacku6:?channels=2,4&rate_hz=1000&terminal=diff&range_v=1,0.01",
            "02 00 19 00 00 00 a00f 0290 04b0",
        ),
        # 4 MHz / 61 would be 65.6 kHz ticks of 65535 at most: below 61 Hz the clock is divided by 256.
        ("labjacku6:?channels=0&rate_hz=50", "01 00 19 00 00 0a a60e 0000"),
    ],
)
def test_u6_stream_config(plug, address, config):
    model = models.LabjackU6()
    plug(model)
    with open_device(address) as device:
        device.start()
    assert model.config.hex() == bytes.fromhex(config).hex()
    commands = [data for _, data in (h for h in model.heard if len(h) == 2)]
    assert commands[-2:] == [b"\xa8\xa8", b"\xb0\xb0"]


@pytest.mark.parametrize(("range_v", "gain"), [(10, 0), (1, 1), (0.1, 2), (0.01, 3)])
def test_u6_volts(plug, range_v, gain):
    # Above the centre by the one slope, below it by the other, whose sign is negative in flash.
    model = models.LabjackU6()
    plug(model)
    with open_device(f"labjacku6:?channels=0,1,13&rate_hz=4000&range_v={range_v}") as device:
        device.start()
        volts = read(device, 800)
    raw = models.signal(0, 2400, [0, 1, 13], 16).reshape(-1, 3).astype(float)
    centre = model.centre[gain]
    expected = np.where(raw < centre, (centre - raw) * model.lower[gain], (raw - centre) * model.upper[gain])
    assert (expected < 0).any()
    assert (expected > 0).any()
    np.testing.assert_allclose(volts, expected, rtol=0, atol=ROUNDING_V)


def test_u6_real_rate_is_told(plug):
    plug(models.LabjackU6())
    with open_device("labjacku6:?rate_hz=3000&channels=0") as device:
        # 48 MHz / 16000 hits it, 4 MHz / 1333 would not.
        assert device.rate_hz == 3000.0
    with open_device("labjacku6:?rate_hz=7000&channels=0") as device:
        assert device.rate_hz == 48e6 / 6857
        assert any("asked for 7000 Hz" in note for note in device.description.notes)


@pytest.mark.parametrize("answer", ["cut", "checksum", "refused"])
def test_u6_spoilt_answer(plug, answer):
    model = models.LabjackU6()
    heard = model.take

    def spoil(endpoint, data):
        heard(endpoint, data)
        if data[1] == 0xF8 and model.answers:
            last = model.answers.pop()
            if answer == "cut":
                last = last[:-1]
            elif answer == "checksum":
                last = last[:-1] + bytes([last[-1] ^ 1])
            else:
                last = models.framed(last[1:4], b"\x07" + last[7:])
            model.answers.append(last)

    model.take = spoil
    plug(model)
    with pytest.raises(DeviceError, match="error 7" if answer == "refused" else "spoilt"):
        open_device("labjacku6:")


# The clock by which the length of an overrun is told.


@pytest.mark.parametrize("drift", [-1e-4, 0.0, 1e-4])
def test_host_clock_bears_drift_and_late_arrivals(plug, drift):
    rng = np.random.default_rng(3)
    rate_hz, clock = 1000.0, HostClock(1000.0)
    real_hz = rate_hz * (1 + drift)
    for at_s in np.arange(0, 3600, 0.05):
        frames = int(at_s * real_hz)
        clock.saw(frames, 100.0 + at_s + rng.exponential(0.004))
    # The documented 2 ms of drift in 20 s, and what the earliest of some hundred arrivals is late.
    assert abs(clock.frames_by(100.0 + 3600) - 3600 * real_hz) <= 3


def test_host_clock_that_saw_nothing(plug):
    assert HostClock(1000.0).frames_by(5.0) == 0
