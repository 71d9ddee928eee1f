"""The contract's tests themselves: a device of a few lines passes, and every broken one fails the test meant for it."""

import threading
import time
from typing import ClassVar

import numpy as np
import pytest

from balancecore.capture import Channel, Description, Device, Option
from balancecore.errors import DeviceLostError, DeviceNotFoundError

from .contract import DriverContract

RATE_HZ = 10_000.0


class Counting(Device):
    """Counts frames by the host's clock; its path says what is wrong with it."""

    SCHEMES = ("counting",)
    OPTIONS = (Option("rate_hz", RATE_HZ, "frames per second"),)

    def _open(self):
        if self.address.path == "missing":
            raise DeviceNotFoundError(f"{self}: there is none")
        return Description("Counter", "1", self.options["rate_hz"], (Channel("count"), Channel("half")))

    def _start(self):
        self.began, self.next, self.lost = time.monotonic(), 0, 0

    def _read_into(self, out, timeout_s):
        until = time.monotonic() + timeout_s
        while not (n := self.due(len(out))):
            if self.address.path == "disconnect" and self.next >= 300:
                raise DeviceLostError(f"{self}: unplugged")
            left = until - time.monotonic()
            if left <= 0 or self._stopping.wait(min(left, 0.002)):
                return 0
        if self.address.path == "gap" and self.next >= 200 and not self.lost:
            self.lost = 50
            self._lose(50)
        frames = np.arange(self.next, self.next + n) + self.lost
        out[:n, 0], out[:n, 1] = frames, frames / 2
        self.next += n
        return n

    def due(self, room):
        if self.address.path == "silent":
            return 0
        n = int((time.monotonic() - self.began) * self.rate_hz) - self.next
        return max(0, min(n, room, 300 - self.next if self.address.path == "disconnect" else n))

    def _stop(self):
        pass

    def _close(self):
        pass


class TestCounting(DriverContract):
    RATE_HZ = RATE_HZ
    UNITS = ("V", "V")
    GAP_FRAMES = 50
    KIND = Counting

    @pytest.fixture
    def make(self):
        return lambda fault="": self.KIND(f"counting:{fault}")


class Skips(Counting):
    def _read_into(self, out, timeout_s):
        n = super()._read_into(out, timeout_s)
        out[:n] += self.next > 40
        return n


class Doubles(Counting):
    def _read_into(self, out, timeout_s):
        n = super()._read_into(out, timeout_s)
        out[1 : n // 2] = out[0]
        return n


class Swaps(Counting):
    def _read_into(self, out, timeout_s):
        n = super()._read_into(out, timeout_s)
        out[:n] = out[:n][::-1].copy()
        return n


class HidesLoss(Counting):
    def _lose(self, frames):
        pass


class WritesTooFar(Counting):
    def _read_into(self, out, timeout_s):
        n = super()._read_into(out[: 1 + len(out) // 2], timeout_s)
        if n:
            out[n:] = 0.0
        return n


class GoesOn(Counting):
    """Its counter is not put back by start."""

    def _start(self):
        before = getattr(self, "next", 0)
        super()._start()
        self.next = before
        self.began -= before / self.rate_hz


class Sits(Counting):
    """Sits out its time-out, however long."""

    def _read_into(self, out, timeout_s):
        threading.Event().wait(timeout_s)
        return super()._read_into(out, 0.0)


class Recovers(Counting):
    """Raises its loss once, and then says that nothing came."""

    def _read_into(self, out, timeout_s):
        try:
            return super()._read_into(out, timeout_s)
        except DeviceLostError:
            if self.lost:
                return 0
            self.lost = 1
            raise


class LeavesThread(Counting):
    GO = threading.Event()

    def _start(self):
        super()._start()
        self.GO.clear()
        threading.Thread(target=self.GO.wait, daemon=True).start()


class HoldsItself(Counting):
    HELD: ClassVar[list] = []

    def _start(self):
        super()._start()
        self.HELD.append(self)


BROKEN = [
    (Skips, "test_every_frame_once_and_in_order", (1,), None),
    (Doubles, "test_every_frame_once_and_in_order", (10_000,), None),
    (Swaps, "test_every_frame_once_and_in_order", (10_000,), None),
    (HidesLoss, "test_gap_is_placed", (), "gap"),
    (WritesTooFar, "test_every_frame_once_and_in_order", (10_000,), None),
    (GoesOn, "test_restart_begins_at_frame_0", (), None),
    (Sits, "test_stop_ends_a_read_that_waits_in_another_thread", (), "silent"),
    (Recovers, "test_lost_device_is_told_and_what_came_before_is_good", (), "disconnect"),
    (LeavesThread, "test_no_thread_outlives_it", (), None),
    (HoldsItself, "test_forgotten_device_warns_and_is_let_go", (), None),
]


@pytest.mark.parametrize(
    ("kind", "test", "args", "fault"), BROKEN, ids=lambda x: getattr(x, "__name__", None)
)
def test_broken_driver_fails(kind, test, args, fault, monkeypatch):
    monkeypatch.setattr(f"{DriverContract.__module__}.PATIENCE_S", 1.0)
    suite = TestCounting()
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run(suite, test, args, kind)
    LeavesThread.GO.set()
    for device in HoldsItself.HELD:
        device.close()


def run(suite, test, args, kind):
    def make(fault=""):
        return kind(f"counting:{fault}")

    method = getattr(suite, test)
    if "running" not in method.__code__.co_varnames[: method.__code__.co_argcount]:
        method(make, *args)
        return
    with make() as device:
        device.start()
        # Enough frames at once for a fault within a block to show.
        time.sleep(0.1)
        method(device, *args)
