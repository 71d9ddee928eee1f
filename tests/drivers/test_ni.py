"""The NI driver through NI's unmodified client: over real gRPC, or with a stand-in for the local driver's library.

Run by itself it takes the simulated NI gRPC Device Server; test_ni_stub.py runs it once more on the library.
"""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from balancecore.capture import open_device
from balancecore.errors import (
    DeviceError,
    DeviceLostError,
    DeviceNotFoundError,
)

from .contract import PATIENCE_S, DriverContract
from .ni_simulators import simulator

pytest.importorskip("grpc")
pytest.importorskip("nidaqmx")
NiDevice = pytest.importorskip("balancecore.drivers.ni_daqmx").NiDevice


@pytest.fixture(scope="module")
def server():
    with simulator() as server:
        yield server


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch):
    """Nothing hangs here, but the server is a process beside others: it may come late to its turn."""
    monkeypatch.setattr("balancecore.drivers.ni_daqmx.RPC_S", PATIENCE_S)
    monkeypatch.setattr("balancecore.drivers.ni_daqmx.CONNECT_S", PATIENCE_S)


@pytest.fixture
def jump(victim, monkeypatch):
    """Lets time pass for the devices and for the driver, at once: buffers may be long and still run over."""
    clock = SimpleNamespace(ahead_s=0.0)
    clock.monotonic = lambda: time.monotonic() + clock.ahead_s
    monkeypatch.setattr("balancecore.drivers.ni_daqmx.time", clock)

    def jump(seconds):
        victim.tell(f"jump {seconds}")
        clock.ahead_s += seconds

    return jump


@pytest.fixture
def victim(server):
    """The server to be tormented; afterwards it is well again."""
    yield server
    server.heal()


class TestNi(DriverContract):
    RATE_HZ = 5000.0
    UNITS = ("V",) * 6
    # No "gap": how long a task stands still until it runs again only the computer's clock tells, so that the number
    # of missing frames is not exact. See test_overwritten_frames_are_counted.
    FAULTS = frozenset({"disconnect", "silent", "missing"})

    @pytest.fixture
    def make(self, server):
        def make(fault=None):
            device = {"disconnect": "Frail1", "missing": "Dev9"}.get(fault, "Dev1")
            options = {"trigger": "PFI7"} if fault == "silent" else {}
            return NiDevice(server.address(f"{device}/ai0:5", rate_hz=5000, **options))

        return make


def collect(device, seconds=0.15):
    """Frames of so many seconds, at least one."""
    out = np.empty((4096, len(device.channels)))
    until, patience = time.monotonic() + seconds, time.monotonic() + PATIENCE_S
    parts = []
    while time.monotonic() < until or not parts:
        assert time.monotonic() < patience
        if n := device.read_into(out, timeout_s=0.5):
            parts.append(out[:n].copy())
    return np.concatenate(parts)


def assert_values(frames, first=0):
    """As the server makes them: channel 0 counts, channel k is k and the thousandths of the count."""
    tick = np.arange(first, first + len(frames))
    expected = (tick % 1000)[:, None] * 1e-3 + np.arange(frames.shape[1])
    expected[:, 0] = tick
    np.testing.assert_array_equal(frames, expected)


# What the device takes of what was asked for.


def test_rate_that_the_device_takes_is_told(server):
    with open_device(server.address("Mod1/ai0:3", rate_hz=1000)) as device:
        assert device.rate_hz == pytest.approx(50e3 / 31)  # the lowest of a delta-sigma module
        assert any("asked for 1000 Hz" in note and "1612.9" in note for note in device.description.notes)
        assert {c.skew_s for c in device.channels} == {0.0}  # all sampled at once


def test_multiplexed_channels_come_one_after_the_other(server):
    with open_device(server.address("Dev1/ai0:2,Dev2/ai0:2")) as device:
        step_s = 1 / 250e3 + 10e-6  # the board's fastest conversion and 10 us
        assert [c.skew_s for c in device.channels] == pytest.approx(2 * [0, step_s, 2 * step_s])
        assert any("one after the other" in note for note in device.description.notes)


def test_devices_share_a_task(server):
    with open_device(server.address("Dev1/ai0:2,Dev2/ai5", rate_hz=5000)) as device:
        assert [c.name for c in device.channels] == ["Dev1/ai0", "Dev1/ai1", "Dev1/ai2", "Dev2/ai5"]
        assert len(device.description.serial.split(", ")) == 2
        device.start()
        assert_values(collect(device))


def test_ranges_are_the_devices_own(server):
    address = server.address("Dev1/ai0:2", range_v="10,4,0.1", terminal="diff,rse,nrse")
    with open_device(address) as device:
        assert [c.high for c in device.channels] == [10.0, 5.0, 0.2]
        assert [c.low for c in device.channels] == [-10.0, -5.0, -0.2]


def test_bridge_is_measured_in_volts_per_volt(server):
    address = server.address("Mod2/ai0:3", input="bridge", range_mv_v=2, rate_hz=10_000)
    with open_device(address) as device:
        assert {c.unit for c in device.channels} == {"V/V"}
        assert {c.high for c in device.channels} == {0.025}
        device.start()
        assert_values(collect(device, 0.1))


def test_simulated_device_is_told(server):
    with open_device(server.address("Sim1/ai0")) as device:
        assert device.description.simulated
        assert any("simulates Sim1" in note for note in device.description.notes)


def test_external_clock_is_told(server):
    with open_device(server.address("Dev1/ai0", clock="PFI3")) as device:
        assert any("PFI3" in note for note in device.description.notes)


def test_trigger_starts_and_holds_for_every_start(server):
    with open_device(server.address("Dev1/ai0:1", rate_hz=5000, trigger="/Dev1/PFI0")) as device:
        for _ in range(2):
            device.start()
            assert_values(collect(device, 0.1))
            device.stop()


def test_block_that_is_late_comes_whole(server):
    """A backlog of many blocks is taken by few reads."""
    with open_device(server.address("Dev1/ai0:1", rate_hz=10_000)) as device:
        device.start()
        time.sleep(0.6)
        n = device.read_into(np.empty((10_000, 2)))
        assert n >= 4000
        assert_values(collect(device, 0.2), first=n)
        assert device.frames_lost == 0


def test_discovery(server):
    """The local driver's devices are listed with addresses that open; a server's are not looked for."""
    found = NiDevice.discover()
    if server.LOCAL:
        assert {one.address: one.simulated for one in found.devices}.items() >= {
            ("ni:Dev1/ai0:15", False),
            ("ni:Sim1/ai0:15", True),
            ("ni:Mod1/ai0:3", False),
        }
        with open_device(found.devices[0].address) as device:
            assert device.description.serial == found.devices[0].serial
    else:
        assert found.devices or found.advice  # of whatever this computer has


# What can't be had.


@pytest.mark.parametrize(
    ("path", "options", "kind", "words"),
    [
        ("Dev9/ai0", {}, DeviceNotFoundError, "Dev9.*Dev1"),
        ("", {}, DeviceNotFoundError, "no channel is named.*PCIe-6321"),
        ("Dev1/ai30", {}, DeviceNotFoundError, "-200170"),
        ("Dev1/ai0", {"range_v": 42}, DeviceError, "-200077"),
        ("Dev1/ai0:15", {"rate_hz": 50_000}, DeviceError, "-200332"),
    ],
    ids=["device", "path", "channel", "range", "rate"],
)
def test_ni_says_no(server, path, options, kind, words):
    with pytest.raises(kind, match=words):
        open_device(server.address(path, **options))


def test_held_device_is_told(server):
    with open_device(server.address("Dev2/ai0")) as first, open_device(server.address("Dev2/ai1")) as second:
        first.start()
        with pytest.raises(DeviceError, match=r"-50103.*holds it"):
            second.start()
        assert second.state == "open"
        first.stop()
        second.start()


# Faults.


@pytest.mark.parametrize("timeout_s", [0.3, 0.0])
def test_short_read_is_not_misplaced(victim, timeout_s):
    """The trap of NI's packing: fewer samples than wanted are not at the begin of every row."""
    with open_device(victim.address("Dev1/ai0:5", rate_hz=1000, reads_hz=10)) as device:
        device.start()
        assert_values(collect(device))
        time.sleep(0.03)
        victim.tell("stall")  # some 30 frames are there, 100 are wanted
        begun = device.frames_read
        out = np.full((1000, 6), -1.0)
        # One read where the machine is quick; more where it was away, and then the last of them is the short one.
        while n := device.read_into(out, timeout_s=timeout_s):
            assert_values(out[:n], first=device.frames_read - n)
            assert np.all(out[n:] == -1.0)
            out[:] = -1.0
        assert device.frames_read > begun
        victim.tell("resume")
        read = device.frames_read
        assert_values(collect(device), first=read)
        assert device.frames_lost == 0


def test_read_that_stop_overtakes_does_not_start_it_again(server):
    """NI starts a task that is read, if not told otherwise."""
    with open_device(server.address("Dev2/ai0")) as device, open_device(server.address("Dev2/ai0")) as other:
        device.start()
        reader = device._reader

        class Late:
            def read_many_sample(self, *args):
                stopping = threading.Thread(target=device.stop)
                stopping.start()
                stopping.join()
                return reader.read_many_sample(*args)

        device._reader = Late()
        assert device.read_into(np.empty((8, 1))) == 0
        other.start()


def test_overwritten_frames_are_counted(server, jump):
    """A buffer of 10 s, not read for 20 s: what is missing is told, and the rest is in its place.

    The task stands still from the moment at which its buffer is full until it is started again. The simulators'
    counter goes on through that, so the jump in channel 0 is what is really missing.
    """
    # The clocks of both meet while a call is on its way: some ms, and as much more as one of them is away meanwhile. A
    # driver that counts wrongly does so every time.
    rate_hz = 2000.0
    assert any(overwritten(server, jump, rate_hz) < 0.25 * rate_hz for _ in range(5))


def overwritten(server, jump, rate_hz):
    """By how many frames the number that the driver tells is wrong; all else must be right each time."""
    with open_device(server.address("Dev1/ai0:3", rate_hz=rate_hz, buffer_s=10)) as device:
        device.start()
        before = collect(device)
        assert_values(before)
        jump(20)
        out = np.empty((512, 4))
        n = 0
        patience = time.monotonic() + PATIENCE_S
        while not n:
            assert time.monotonic() < patience
            n = device.read_into(out)
        told = device.lost_before
        assert told == device.frames_lost
        assert device.frames_read == len(before) + n
        assert told >= 10 * rate_hz  # the whole buffer at the least
        error = abs(told - (out[0, 0] - len(before)))
        after = np.concatenate([out[:n], collect(device)])
        assert np.all(np.diff(after[:, 0]) == 1)
        device.stop()
        device.start()
        assert_values(collect(device))
        assert device.frames_lost == 0
    return error


def test_trigger_is_not_waited_for_again_after_a_loss(server, jump):
    """The source PFI1 fires once."""
    with open_device(server.address("Dev1/ai0:1", trigger="PFI1", buffer_s=10)) as device:
        device.start()
        assert_values(collect(device))
        jump(20)
        after = collect(device)
        assert device.frames_lost >= 10_000
        assert np.all(np.diff(after[:, 0]) == 1)


def test_overloaded_inputs_are_named(victim):
    with open_device(victim.address("Dev1/ai0:3")) as device:
        assert dict(device.status()) == {"ended": ""}
        device.start()
        assert device.status()["overloaded"] == ""
        victim.tell("overload Dev1/ai2")
        assert device.status()["overloaded"] == "Dev1/ai2"
        assert 0 <= device.status()["buffer_fill"] < 1


def end_of(device, kind):
    """The error that ends reading, and how long the read that raised it took."""
    out = np.empty((512, len(device.channels)))
    patience = time.monotonic() + PATIENCE_S
    while time.monotonic() < patience:
        began = time.monotonic()
        try:
            device.read_into(out, timeout_s=10.0)
        except kind as error:
            return error, time.monotonic() - began
    raise AssertionError("it never ended")


def test_removed_device(victim):
    with open_device(victim.address()) as device:
        device.start()
        assert_values(collect(device))
        victim.tell("remove Dev1")
        with pytest.raises(DeviceLostError, match="-200045"):
            collect(device, PATIENCE_S)
        assert "-200045" in device.status()["ended"]
        device.stop()
        with pytest.raises(DeviceLostError):
            device.start()
