"""What every driver has to do: one class of tests, inherited by the tests of each.

A test module of a driver says::

    from .contract import DriverContract


    class TestMyDriver(DriverContract):
        RATE_HZ = 1000.0
        UNITS = ("V",) * 8

        @pytest.fixture
        def make(self):
            def make(fault=None):
                return MyDriver("mydriver:SERIAL?rate_hz=1000")
            return make

``make()`` gives a device that is not open yet and whose channel 0 counts frames, so that a frame that is lost,
doubled or out of order shows. With one of `FAULTS` it gives one that has this fault:

* ``gap``: some hundred frames after start, frames are lost and the driver knows how many;
* ``disconnect``: within a second or so after start the device is gone for good, after some frames;
* ``silent``: it starts, and no frame ever comes;
* ``missing``: there is no such device.

Drivers whose channel 0 is in volts, or wraps, override `count` and `MODULUS`.
"""

from __future__ import annotations

import gc
import json
import threading
import time
import warnings
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from balancecore.capture import Address, Device, Discovery
from balancecore.capture.device import DRIVER_API
from balancecore.errors import DataError, DeviceError, DeviceLostError, DeviceNotFoundError

#: Stands where nothing may be written.
UNTOUCHED = -98765.4321
#: How long a test waits for something that should come at once: long, for machines with other work. A driver that
#: does what it should never gets there.
PATIENCE_S = 30.0
#: A wait that a driver must not sit out when it is stopped.
FOR_EVER_S = 600.0


class DriverContract:
    """Inherit it under a name that begins with Test, and give it `make`, `RATE_HZ` and `UNITS`."""

    #: What the description has to say of the device that `make` gives.
    RATE_HZ: ClassVar[float]
    UNITS: ClassVar[tuple[str, ...]]
    #: What `make` can do; leave one out only where the device can't have it, and say why beside it.
    FAULTS: ClassVar[frozenset[str]] = frozenset({"gap", "disconnect", "silent", "missing"})
    #: Frames after which the counter begins again at 0; None: never.
    MODULUS: ClassVar[int | None] = None
    #: Whether all channels give the same after a restart.
    REPEATABLE: ClassVar[bool] = True
    #: How many frames ``make("gap")`` loses in all; None: not known beforehand.
    GAP_FRAMES: ClassVar[int | None] = None

    @pytest.fixture
    def make(self):
        raise NotImplementedError("a function of a fault (or None) that gives a Device that is not open")

    def count(self, values):
        """The numbers of frames that the values of channel 0 stand for."""
        return np.rint(values).astype(np.int64)

    def ignore_thread(self, thread):
        """Whether a thread belongs to the test's simulator and may outlive the device."""
        return False

    # Helpers.

    def need(self, fault):
        if fault not in self.FAULTS:
            pytest.skip(f"this device can't have the fault {fault!r}")

    def check(self, device, frames):
        """The frames of the last read stand where the device says that they stand."""
        first = device.frames_read - len(frames) + device.frames_lost
        expected = np.arange(first, first + len(frames))
        got = self.count(frames[:, 0])
        if self.MODULUS is not None:
            expected = expected % self.MODULUS
        np.testing.assert_array_equal(got, expected)

    def read(self, device, n, block):
        """At least one and at most `block` frames, checked; fails where none come."""
        out = np.full((min(block, n), len(device.channels)), UNTOUCHED)
        until = time.monotonic() + PATIENCE_S
        while not (got := device.read_into(out, timeout_s=1.0)):
            assert time.monotonic() < until, "no frames came"
        assert 0 < got <= len(out)
        assert np.all(out[got:] == UNTOUCHED)
        self.check(device, out[:got])
        return out[:got]

    def collect(self, device, n, block=64):
        """So many frames, read `block` at a time and checked."""
        parts, have = [], 0
        while have < n:
            parts.append(self.read(device, n - have, block))
            have += len(parts[-1])
        return np.concatenate(parts)

    @pytest.fixture
    def running(self, make):
        with make() as device:
            device.start()
            yield device

    # What it says of itself.

    def test_it_says_what_it_is(self, make):
        with make() as device:
            said = device.description
            assert said.rate_hz == device.rate_hz == pytest.approx(self.RATE_HZ, rel=1e-12)
            assert tuple(c.unit for c in device.channels) == self.UNITS
            names = [c.name for c in device.channels]
            assert all(names)
            assert len(set(names)) == len(names)
            assert said.model
            for c in device.channels:
                assert c.low is None or c.high is None or c.low < c.high
                assert 0 <= c.skew_s < 1 / said.rate_hz
            if said.layout is not None:
                assert 6 * len(said.layout) <= len(device.channels)
                assert self.UNITS[:6] == ("N", "N", "N", "N*m", "N*m", "N*m")
            json.dumps(dict(device.status()))
            assert str(device).startswith(device.address.scheme + ":")

    def test_it_says_nothing_before_it_was_opened(self, make):
        with pytest.raises(DeviceError, match="open"):
            _ = make().description

    def test_class(self, make):
        kind = type(make())
        assert issubclass(kind, Device)
        assert kind.API == DRIVER_API
        assert kind.SCHEMES
        names = [option.name for option in kind.OPTIONS]
        assert len(set(names)) == len(names)
        assert all(option.meaning for option in kind.OPTIONS)

    def test_discover_never_raises(self, make):
        kind = type(make())
        found = kind.discover()
        assert isinstance(found, Discovery)
        assert found.scheme in kind.SCHEMES
        for device in found.devices:
            kind(device.address)
            assert device.model

    # Options.

    def test_unknown_option_is_named(self, make):
        device = make()
        wrong = replace(device.address, options={**device.address.options, "no_such_option": "1"})
        with pytest.raises(DataError, match="no_such_option"):
            type(device)(wrong)

    def test_option_of_the_wrong_kind_is_named(self, make):
        device = make()
        for option in device.OPTIONS:
            kind = option.kind or (str if option.default is None else type(option.default))
            if kind is not str:
                wrong = replace(device.address, options={**device.address.options, option.name: "twelve"})
                with pytest.raises(DataError, match=option.name):
                    type(device)(wrong)

    def test_address_survives_as_text(self, make):
        address = make().address
        where = f"//{address.host}/" if address.host else ""
        query = "&".join(f"{name}={value}" for name, value in address.options.items())
        assert Address.parse(f"{address.scheme}:{where}{address.path}{'?' * bool(query)}{query}") == address

    # States.

    def test_states(self, make):
        device = make()
        assert device.state == "closed"
        assert device.open() is device
        assert device.state == "open"
        device.start()
        assert device.state == "running"
        device.stop()
        assert device.state == "open"
        device.close()
        assert device.state == "closed"

    def test_stop_and_close_may_be_repeated(self, make):
        device = make()
        device.stop()
        device.close()
        device.open()
        device.stop()
        device.start()
        device.stop()
        device.stop()
        device.close()
        device.close()
        assert device.state == "closed"

    def test_what_comes_too_early_or_twice_is_refused(self, make):
        device = make()
        out = np.empty((4, len(self.UNITS)))
        with pytest.raises(DeviceError, match="open"):
            device.start()
        with pytest.raises(DeviceError):
            device.read_into(out)
        with device.open():
            with pytest.raises(DeviceError, match="already"):
                device.open()
            with pytest.raises(DeviceError):
                device.read_into(out)
            device.start()
            with pytest.raises(DeviceError, match="running"):
                device.start()
            self.collect(device, 20)
            device.stop()
            with pytest.raises(DeviceError):
                device.read_into(out)

    def test_with_closes_also_after_an_error(self, make):
        device = make()

        def fail():
            with device:
                device.start()
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert device.state == "closed"

    def test_it_can_be_opened_again(self, make):
        device = make()
        for _ in range(2):
            with device:
                device.start()
                self.collect(device, 20)
        assert device.state == "closed"

    def test_forgotten_device_warns_and_is_let_go(self, make):
        device = make()
        device.open()
        device.start()
        self.collect(device, 10)
        held = [device]
        del device
        with pytest.warns(ResourceWarning, match="never closed"):
            held.clear()
        gc.collect()
        with make() as again:
            again.start()
            self.collect(again, 10)

    def test_closed_device_goes_quietly(self, make):
        device = make()
        with device:
            pass
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del device
            gc.collect()

    def test_no_thread_outlives_it(self, make):
        device = make()
        before = set(threading.enumerate())
        with device:
            device.start()
            self.collect(device, 20)

        def left():
            new = set(threading.enumerate()) - before
            return [t.name for t in new if not self.ignore_thread(t)]

        until = time.monotonic() + PATIENCE_S
        while left() and time.monotonic() < until:
            time.sleep(0.01)
        assert left() == []

    # Frames.

    @pytest.mark.parametrize("block", [1, 7, 10_000])
    def test_every_frame_once_and_in_order(self, running, block):
        n = 150 if block == 1 else 600
        self.collect(running, n, block)
        assert running.frames_read == n
        assert running.frames_lost == 0
        assert running.lost_before == 0

    def test_frames_do_not_depend_on_the_buffer(self, make):
        with make() as device:
            takes = []
            for block in (1, 13, 10_000):
                device.start()
                takes.append(self.collect(device, 120, block))
                device.stop()
        kept = slice(None) if self.REPEATABLE else slice(0, 1)
        for take in takes[1:]:
            np.testing.assert_array_equal(take[:, kept], takes[0][:, kept])

    def test_restart_begins_at_frame_0(self, make):
        with make() as device:
            for _ in range(3):
                device.start()
                assert (device.frames_read, device.frames_lost, device.lost_before) == (0, 0, 0)
                self.collect(device, 40)
                device.stop()

    def test_frames_arrive_after_a_pause(self, running):
        self.collect(running, 20)
        time.sleep(0.1)
        self.collect(running, 200)
        assert running.frames_lost == 0

    def test_callers_buffer_is_used_and_no_more_of_it(self, running):
        n_channels = len(running.channels)
        around = np.full((60, n_channels), UNTOUCHED)
        mine = around[20:40]
        n = 0
        until = time.monotonic() + PATIENCE_S
        while not n and time.monotonic() < until:
            n = running.read_into(mine, timeout_s=1.0)
        assert 0 < n <= 20
        assert np.all(around[:20] == UNTOUCHED)
        assert np.all(around[20 + n :] == UNTOUCHED)
        assert np.all(around[20 : 20 + n] != UNTOUCHED)
        self.check(running, mine[:n])

    def test_what_was_read_is_not_changed_later(self, running):
        frames = self.collect(running, 50)
        copy = frames.copy()
        self.collect(running, 200)
        np.testing.assert_array_equal(frames, copy)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda k: np.empty((8, k), dtype=np.float32),
            lambda k: np.empty((8, k), dtype=">f8"),
            lambda k: np.empty((8, k + 1)),
            lambda k: np.empty((8, 2 * k))[:, ::2],
            lambda k: np.empty((16, k))[::2],
            lambda k: np.asfortranarray(np.empty((8, k))) if k > 1 else np.empty((16, k))[::2],
            lambda k: np.empty((0, k)),
            lambda k: np.empty(8 * k),
            lambda k: np.frombuffer(bytes(64 * k)).reshape(8, k),
            lambda k: [[0.0] * k] * 8,
        ],
        ids=[
            "f4",
            "swapped",
            "wide",
            "strided",
            "every-2nd",
            "fortran",
            "empty",
            "flat",
            "read-only",
            "list",
        ],
    )
    def test_bad_buffer_is_refused_and_costs_no_frame(self, running, spoil):
        with pytest.raises(DataError, match="read_into"):
            running.read_into(spoil(len(running.channels)))
        self.collect(running, 30)
        assert running.frames_lost == 0

    @pytest.mark.parametrize("timeout_s", [-1.0, float("nan"), float("inf")])
    def test_bad_timeout_is_refused(self, running, timeout_s):
        with pytest.raises(DataError, match="timeout_s"):
            running.read_into(np.empty((8, len(running.channels))), timeout_s=timeout_s)
        self.collect(running, 10)

    def test_no_wait_where_none_is_asked_for(self, running):
        out = np.empty((50, len(running.channels)))
        got = 0
        until = time.monotonic() + PATIENCE_S
        while got < 50:
            assert time.monotonic() < until
            n = running.read_into(out, timeout_s=0.0)
            self.check(running, out[:n])
            got += n

    def test_self_test_passes_where_there_is_one(self, make):
        with make() as device:
            said = device.self_test(0.1)
            assert said is None or said
            assert device.state == "open"
            device.start()
            self.collect(device, 20)

    # Faults.

    def test_silence_is_a_timeout_not_an_error(self, make):
        self.need("silent")
        with make("silent") as device:
            device.start()
            out = np.full((8, len(device.channels)), UNTOUCHED)
            for timeout_s in (0.0, 0.05):
                assert device.read_into(out, timeout_s=timeout_s) == 0
            assert np.all(out == UNTOUCHED)
            assert (device.frames_read, device.frames_lost, device.lost_before) == (0, 0, 0)
            assert device.state == "running"

    def test_stop_ends_a_read_that_waits_in_another_thread(self, make):
        self.need("silent")
        with make("silent") as device:
            device.start()
            ended, reads, inside = [], device._read_into, threading.Event()

            def told(out, timeout_s):
                inside.set()
                return reads(out, timeout_s)

            device._read_into = told

            def wait():
                out = np.empty((8, len(device.channels)))
                try:
                    ended.append(device.read_into(out, timeout_s=FOR_EVER_S))
                except BaseException as error:
                    ended.append(error)

            reader = threading.Thread(target=wait, daemon=True)
            reader.start()
            # Before, there would be nothing to end; then some time to begin its wait.
            assert inside.wait(PATIENCE_S)
            time.sleep(0.1)
            device.stop()
            reader.join(PATIENCE_S)
            assert not reader.is_alive()
            assert ended == [0]

    def test_gap_is_placed(self, make):
        self.need("gap")
        with make("gap") as device:
            device.start()
            first = self.collect(device, 1, 1)
            assert len(first) == 1
            until = time.monotonic() + PATIENCE_S
            told = 0
            while not told:
                assert time.monotonic() < until
                self.read(device, 32, 32)
                told = device.lost_before
            assert device.frames_lost >= told
            self.read(device, 32, 32)
            self.collect(device, 100)
            if self.GAP_FRAMES is not None:
                assert device.frames_lost == self.GAP_FRAMES
            device.stop()
            device.start()
            assert device.frames_lost == 0

    def test_lost_device_is_told_and_what_came_before_is_good(self, make):
        self.need("disconnect")
        device = make("disconnect")
        with device:
            device.start()
            out = np.empty((16, len(device.channels)))
            until = time.monotonic() + PATIENCE_S

            def until_lost():
                while time.monotonic() < until:
                    n = device.read_into(out, timeout_s=0.5)
                    self.check(device, out[:n])

            with pytest.raises(DeviceLostError):
                until_lost()
            read = device.frames_read
            assert read > 0
            with pytest.raises(DeviceLostError):
                device.read_into(out, timeout_s=0.1)
            assert device.frames_read == read
            device.stop()
            assert device.state == "open"
        assert device.state == "closed"

    def test_missing_device(self, make):
        self.need("missing")
        device = make("missing")
        with pytest.raises(DeviceNotFoundError):
            device.open()
        assert device.state == "closed"
        device.close()
        with pytest.raises(DeviceNotFoundError):
            device.open()
