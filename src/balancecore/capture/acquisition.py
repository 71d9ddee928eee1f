"""One thread that reads a device, and a ring buffer for each of those who want its frames.

The reader copies every block into the ring of every `Tap`. A consumer that is slow fills its own ring and no other's,
so a live analysis can't disturb a recording. The sample index is the clock: frame k is the k-th since the start, lost
ones counted. The host's clock is noted once a block, for alignment with other recordings and for nothing else.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from balancecore._ext._ring import RingBuffer
from balancecore.capture.device import Description, Device, open_device
from balancecore.errors import (
    BalanceCoreError,
    DataError,
    DeviceError,
    DeviceTimeoutError,
    EndOfDataError,
    OverrunError,
)
from balancecore.trial import Block

__all__ = ["STOP_S", "Acquisition", "BlockTime", "Statistics", "Tap", "TapStatistics", "TimedBlock"]

FloatArray = NDArray[np.float64]
Overrun = Literal["fail", "gap"]

#: Longest that `Acquisition.stop` waits for a driver that doesn't come back.
STOP_S = 2.0
#: Longest wait in one read, so that a stop is seen soon although the device is silent.
READ_S = 0.1
#: Of the time for a stop so much is left to the driver's own stop, where its read doesn't come back.
LAST_S = 0.25
#: A device is asked at least this often, however long its blocks are.
LONGEST_BLOCK_S = 0.2


class BlockTime(NamedTuple):
    """When a block came from the device, by the host's clocks.

    Attributes
    ----------
    first : int
        Sample index of the block's first frame.
    frames : int
        Its length.
    utc_s : float
        Seconds since 1970-01-01 UTC; jumps where somebody sets the clock.
    monotonic_s : float
        `time.perf_counter`.
    """

    first: int
    frames: int
    utc_s: float
    monotonic_s: float


@dataclass(frozen=True, eq=False)
class TimedBlock(Block):
    """Frames of a tap: in the device's channels and units, not wrenches, unless it gives these.

    Attributes
    ----------
    index : int
        Sample index of the first frame; that of the next block is ``index + len(frames) + its lost_before``.
    times : tuple of BlockTime
        Of the device's blocks that begin in this one or were lost before it.
    """

    index: int = 0
    times: tuple[BlockTime, ...] = ()


@dataclass(frozen=True)
class TapStatistics:
    """How a consumer keeps up.

    Attributes
    ----------
    name, overrun : str
    capacity : int
        Frames that can wait.
    waiting, most_waiting : int
        Frames that wait now, and that ever did.
    frames_lost : int
        Frames that the device lost or that found no place here.
    failed : bool
        Whether it has overrun, with the policy "fail".
    """

    name: str
    overrun: str
    capacity: int
    waiting: int
    most_waiting: int
    frames_lost: int
    failed: bool


@dataclass(frozen=True)
class Statistics:
    """How an acquisition goes.

    Attributes
    ----------
    frames, frames_lost : int
        Frames that the device gave, and those that it told as lost.
    bytes : int
        Of the frames, as float64.
    duration_s : float
        By the host's clock, from the start to the last block.
    rate_hz : float
        What the device says.
    rate_by_host_hz : float
        Frames, lost ones counted, per second of the host's clock; NaN before there are enough blocks to tell.
    reads : int
    worst_delay_s : float
        Longest time between two blocks.
    taps : tuple of TapStatistics
    """

    frames: int
    frames_lost: int
    bytes: int
    duration_s: float
    rate_hz: float
    rate_by_host_hz: float
    reads: int
    worst_delay_s: float
    taps: tuple[TapStatistics, ...]


class Tap:
    """One consumer's view of an acquisition; see `Acquisition.subscribe`. One thread at a time reads it.

    Iterating gives every `TimedBlock` until the acquisition has ended.
    """

    def __init__(
        self, name: str, capacity: int, n_channels: int, overrun: Overrun, times: int, first: int | None
    ) -> None:
        self.name = name
        self._ring = RingBuffer(capacity, n_channels, overrun=overrun)
        self._ready = threading.Event()
        # Appended by the reader before the frames themselves, taken by the consumer after them.
        self._times: deque[BlockTime] = deque(maxlen=times)
        self._base = first  # sample index of the first frame; set by the reader where it is not 0
        self._next: int | None = None
        self._told = 0
        self._most = 0
        self._error: BaseException | None = None
        self._over = False

    # The consumer's side.

    @property
    def n_channels(self) -> int:
        """Values in a frame."""
        return self._ring.n_channels

    @property
    def capacity(self) -> int:
        """Frames that can wait."""
        return self._ring.capacity

    @property
    def waiting(self) -> int:
        """Frames that can be read at once, or more."""
        return self._ring.available

    @property
    def most_waiting(self) -> int:
        """Frames that ever waited."""
        return self._most

    @property
    def ended(self) -> bool:
        """Whether the acquisition has ended and every frame was read."""
        return self._over and not self._ring.available

    @property
    def next_index(self) -> int:
        """Sample index of the next frame, if none is lost before it."""
        return self._next or self._base or 0

    @property
    def lost_at_end(self) -> int:
        """After the end: frames lost after the last one that was read."""
        return self._ring.lost - self._told if self.ended else 0

    def read_into(self, out: FloatArray, timeout_s: float = 1.0) -> tuple[int, int]:
        """Wait for frames and write them into the caller's buffer.

        Parameters
        ----------
        out : ndarray (k, n_channels)
            C-contiguous float64, written from the top.
        timeout_s : float
            How long to wait for the first of them, s.

        Returns
        -------
        frames : int
            Frames written: what waits, but none from behind a gap; 0 on a time-out, and where `ended`.
        lost_before : int
            Frames lost before the first of them.

        Raises
        ------
        BalanceCoreError
            Once every frame that came before it was read, in every call: what the device raised, or OverrunError where
            this tap has overrun with the policy "fail".
        """
        n, lost, _ = self._take(out, timeout_s)
        return n, lost

    def read(self, timeout_s: float = 1.0) -> TimedBlock | None:
        """Wait for frames and take all that wait, up to the next gap.

        Returns
        -------
        TimedBlock or None
            None where the acquisition has ended and everything was read; without frames on a time-out.

        Raises
        ------
        BalanceCoreError
            As `read_into`.
        """
        self._wait(timeout_s)
        out = np.empty((max(self._ring.available, 1), self.n_channels))
        n, lost, times = self._take(out, 0.0)
        if not n and self.ended:
            return None
        index = self.next_index - n
        return TimedBlock(out[:n], lost, index, times)

    def close(self) -> None:
        """Take no more frames; those that wait can still be read, then this tap has ended."""
        self._end(None)

    def __iter__(self) -> Iterator[TimedBlock]:
        while (block := self.read()) is not None:
            if len(block.frames):
                yield block

    def _wait(self, timeout_s: float) -> None:
        """Until a frame waits, the end has come, or the time is over."""
        if not 0 <= timeout_s < threading.TIMEOUT_MAX:
            raise DataError(f"timeout_s={timeout_s!r}: a time of zero or more seconds is wanted")
        until = time.perf_counter() + timeout_s
        while not self._ring.available and not self._over:
            # Cleared before the second look: a frame that comes between the two sets it again.
            self._ready.clear()
            if self._ring.available or self._over:
                break
            left = until - time.perf_counter()
            if left <= 0 or not self._ready.wait(left):
                break

    def _take(self, out: FloatArray, timeout_s: float) -> tuple[int, int, tuple[BlockTime, ...]]:
        self._wait(timeout_s)
        over = self._over  # before the look at the ring: after it, no frame comes any more
        n, lost = self._ring.pop_into(out)
        if not n:
            if over and self._error is not None and not self._ring.available:
                raise _again(self._error)
            return 0, 0, ()
        self._told += lost
        end = self.next_index + lost + n
        times = []
        while self._times and self._times[0].first < end:
            times.append(self._times.popleft())
        self._next = end
        return n, lost, tuple(times)

    # The reader's side.

    def _put(self, frames: FloatArray, lost_before: int, at: BlockTime) -> None:
        if self._over:
            return
        if self._base is None:  # subscribed while running: what was lost before is nothing to this consumer
            self._base, lost_before = at.first, 0
        self._times.append(at)
        try:
            self._ring.push(frames, lost_before)
        except OverrunError as error:
            self._end(
                OverrunError(
                    f"{self.name}: frames were not taken in time; after frame {at.first - 1 - lost_before} the buffer "
                    f"of {self._ring.capacity} frames was full",
                    error.frames_lost,
                )
            )
            return
        self._most = max(self._most, self._ring.available)
        self._ready.set()

    def _lose(self, frames: int) -> None:
        """Frames are missing at the end, behind the last one."""
        if frames and self._base is not None and not self._over:
            self._ring.push(np.empty((0, self.n_channels)), frames)

    def _end(self, error: BaseException | None) -> None:
        if not self._over:
            self._error = error
            self._over = True
            self._ready.set()

    def _statistics(self) -> TapStatistics:
        ring = self._ring
        return TapStatistics(
            self.name,
            ring.overrun,
            ring.capacity,
            ring.available,
            self._most,
            ring.lost,
            isinstance(self._error, OverrunError),
        )


class Acquisition:
    """Reads a device in a thread of its own, for any number of consumers.

    Parameters
    ----------
    device : Device or str
        Open, or not; or an address. What was not open is opened by `start` and closed by `stop`.
    block_s : float
        Frames are fetched from the device about so often, s: what a frame waits at most before it is seen. At most
        0.2.
    buffer_s : float
        What every tap can hold unless it asks for another length, s.

    Raises
    ------
    DataError
        A time that can't be.

    Notes
    -----
    No exception is only logged: what the reader thread meets is raised at every consumer's next read, after the frames
    that came before it, and once by `stop`. The thread is a daemon, so that a driver which never comes back can't keep
    the program from ending.

    Examples
    --------
    >>> acquisition = Acquisition("simulated:treadmill?rate_hz=1000")    # doctest: +SKIP
    >>> tap = acquisition.subscribe()                                    # doctest: +SKIP
    >>> with acquisition:                                                # doctest: +SKIP
    ...     for block in tap:
    ...         stream.push(block)
    """

    def __init__(self, device: Device | str, *, block_s: float = 0.02, buffer_s: float = 10.0) -> None:
        if not 0 < block_s <= LONGEST_BLOCK_S:
            raise DataError(f"block_s={block_s!r}: more than 0 and at most {LONGEST_BLOCK_S} s are wanted")
        if not block_s <= buffer_s <= 3600.0:
            raise DataError(f"buffer_s={buffer_s!r}: between one block and 3600 s are wanted")
        self._address = device if isinstance(device, str) else None
        self._device = None if isinstance(device, str) else device
        self._own = self._device is None or self._device.state == "closed"
        self._block_s, self._buffer_s = float(block_s), float(buffer_s)
        self._taps: tuple[Tap, ...] = ()
        self._lock = threading.Lock()
        self._stop_asked = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._told = False
        self._ended = False
        self._frames = self._lost = self._reads = 0
        self._worst_s = 0.0
        self._began_s = self._first_s = self._last_s = 0.0
        self._counted = self._index = 0

    # What users call.

    def open(self) -> Self:
        """Open the device if it is not open yet; returns itself."""
        if self._device is None:
            assert self._address is not None
            self._device = open_device(self._address)
        elif self._device.state == "closed" and self._thread is None and not self._ended:
            self._device.open()
        return self

    @property
    def device(self) -> Device:
        """The device; opened if it was not, until the acquisition has ended."""
        self.open()
        assert self._device is not None
        return self._device

    @property
    def description(self) -> Description:
        """What the device says of itself; opens it."""
        return self.device.description

    @property
    def running(self) -> bool:
        """Whether the thread reads."""
        return self._thread is not None and not self._ended

    @property
    def next_index(self) -> int:
        """Sample index of the next frame that the device gives, if none is lost before it."""
        return self._index

    def subscribe(
        self, *, overrun: Overrun = "fail", buffer_s: float | None = None, name: str = "consumer"
    ) -> Tap:
        """A ring buffer of one's own, with all frames from now on.

        Parameters
        ----------
        overrun : {"fail", "gap"}
            What happens when it is full. "fail": this tap ends with an OverrunError. "gap": frames are dropped, and
            the next that are read say how many. Other taps notice nothing of either.
        buffer_s : float, optional
            What it can hold, s; default: that of the acquisition.
        name : str
            For messages and statistics.

        Returns
        -------
        Tap
            Before the start it begins with frame 0; later, with the next block.
        """
        length_s = self._buffer_s if buffer_s is None else buffer_s
        if not self._block_s <= length_s <= 3600.0:
            raise DataError(f"buffer_s={buffer_s!r}: between one block and 3600 s are wanted")
        rate_hz, width = self.description.rate_hz, len(self.description.channels)
        with self._lock:
            if self._ended:
                raise DeviceError(f"{self._device}: the acquisition has ended")
            first = 0 if self._thread is None else None
            capacity = max(round(length_s * rate_hz), self._room())
            tap = Tap(name, capacity, width, overrun, 4 * capacity // self._room() + 64, first)
            # A session makes many recordings: taps that their consumers have closed would keep their buffers. What
            # waits in them can still be read: the consumer has the tap.
            kept = [old for old in self._taps if not (old._over and old._error is None)]
            self._taps = (*kept, tap)
        return tap

    def start(self) -> Self:
        """Start the device and the thread that reads it; returns itself.

        Raises
        ------
        DeviceError
            What the device raises, or where it was started before.
        """
        device = self.device
        with self._lock:
            if self._thread is not None:
                raise DeviceError(f"{device}: an acquisition is started once")
            try:
                device.start()
            except BaseException:
                self._close_unstarted()
                raise
            self._began_s = time.perf_counter()
            self._thread = threading.Thread(target=self._run, name=f"read {device}", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """End measuring: consumers get what waits for them, then the end. A second call does nothing.

        Raises
        ------
        DeviceTimeoutError
            The driver has not come back within 2 s; it is left to itself.
        BalanceCoreError
            What ended the acquisition before.
        """
        self._stop_asked.set()
        thread = self._thread
        if thread is None:
            self._finish(None)
            self._close_unstarted()
            return
        thread.join(0.0 if self._ended else STOP_S - LAST_S)
        if thread.is_alive() and not self._ended:
            # A read that hangs ends where the driver's own stop ends it, such as by closing a connection.
            threading.Thread(target=self._stop_device, name="stop", daemon=True).start()
            thread.join(LAST_S)
        if thread.is_alive() and not self._ended:
            self._finish(
                DeviceTimeoutError(
                    f"{self._device}: the driver did not come back within {STOP_S:g} s of the stop"
                )
            )
        if self._error is not None and not self._told:
            self._told = True
            raise _again(self._error)

    def statistics(self) -> Statistics:
        """How it goes; may be asked at any time, from any thread."""
        device = self.device
        span_s = self._last_s - self._first_s
        return Statistics(
            self._frames,
            self._lost,
            self._frames * len(device.channels) * 8,
            max(self._last_s - self._began_s, 0.0),
            device.rate_hz,
            self._counted / span_s if span_s > 0 else float("nan"),
            self._reads,
            self._worst_s,
            tuple(tap._statistics() for tap in self._taps),
        )

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except BalanceCoreError as met:
            if error is None:
                raise
            # The block has ended with an error already, as a rule with the same one.
            error.add_note(f"the acquisition ended with: {met}")

    # The thread.

    def _room(self) -> int:
        """Frames of the buffer that is read into."""
        return max(round(self._block_s * self.description.rate_hz), 1)

    def _run(self) -> None:
        device, error = self._device, None
        assert device is not None
        try:
            self._read(device)
        except EndOfDataError:
            pass  # a replay that has played everything is as good an end as any
        except BaseException as met:
            error = met
        self._tell_lost_at_end(device)
        try:
            device.stop()
        except BaseException as met:
            error = error or met
        finally:
            if self._own:
                try:
                    device.close()
                except BaseException as met:
                    error = error or met
            self._finish(error)

    def _read(self, device: Device) -> None:
        out = np.empty((self._room(), len(device.channels)))
        last_s = self._began_s
        while not self._stop_asked.is_set():
            asked_s = time.perf_counter()
            n = device.read_into(out, READ_S)
            now_s = time.perf_counter()
            if not n:
                if now_s - asked_s < self._block_s:  # a driver that doesn't wait must not keep a core busy
                    self._stop_asked.wait(self._block_s)
                continue
            lost = device.lost_before
            at = BlockTime(self._index + lost, n, time.time(), now_s)
            # First, so that a consumer which has these frames finds no older number.
            self._index = at.first + n
            for tap in self._taps:
                tap._put(out[:n], lost, at)
            self._count(n, lost, now_s, now_s - last_s)
            last_s = now_s
            if 2 * n < len(out):  # let frames gather, or a driver that gives each at once would take a core
                self._stop_asked.wait(self._block_s * (1.0 - n / len(out)))

    def _tell_lost_at_end(self, device: Device) -> None:
        """What the device lost after its last frame: no frame follows that could bring it."""
        lost = device.lost_pending
        self._lost += lost
        for tap in self._taps:
            tap._lose(lost)

    def _stop_device(self) -> None:
        if self._device is not None:
            with contextlib.suppress(Exception):  # the reading thread tells what was wrong
                self._device.stop()

    def _count(self, n: int, lost: int, now_s: float, delay_s: float) -> None:
        if self._reads:
            self._counted += n + lost
        else:
            self._first_s = now_s
        self._last_s = now_s
        self._worst_s = max(self._worst_s, delay_s)
        self._frames += n
        self._lost += lost
        self._reads += 1

    def _finish(self, error: BaseException | None) -> None:
        """Tell every consumer, once."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self._error = error
        for tap in self._taps:
            tap._end(error)

    def _close_unstarted(self) -> None:
        if self._own and self._device is not None:
            self._device.close()


def _again(error: BaseException) -> BaseException:
    """The exception of another thread, to be raised in this one: a copy, since several threads may raise it."""
    if isinstance(error, BalanceCoreError):
        again: BaseException = error
        with contextlib.suppress(Exception):
            again = copy.copy(error)
        again.__cause__ = error if again is not error else error.__cause__
        return again
    again = DeviceError(f"the driver failed with {type(error).__name__}: {error}")
    again.__cause__ = error
    return again
