"""Belts beside the force plates: their speed and incline as feedback, and, only if asked for, commands.

A driver is a `BeltLink`, found by an entry point of the group ``balancecore.treadmills``; everything that keeps a
person safer stands here, once for all of them: limits, the watchdog, the stop at the end and after an error.

This is not a medical device, and nothing here replaces the vendor's stop: don't let a program move the belts under a
person who can't reach it.
"""

from __future__ import annotations

import abc
import contextlib
import math
import threading
import time
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balancecore.capture.device import (
    DRIVER_API,
    Address,
    Option,
    find_entry,
    load_driver,
    read_options,
)
from balancecore.errors import DataError, DeviceError, DeviceLostError, DeviceTimeoutError

__all__ = [
    "BeltCommand",
    "BeltLimits",
    "BeltLink",
    "BeltState",
    "Treadmill",
    "belt_values",
    "open_treadmill",
]

FloatArray = NDArray[np.float64]

#: Group of the entry points by which drivers of treadmills are found.
GROUP = "balancecore.treadmills"
#: How long to wait for the first status.
FIRST_STATUS_S = 3.0
#: A status older than this says nothing of now: no command is sent on it, and moving belts are told to stop.
FRESH_S = 0.5
#: Below this the belts stand still.
STILL_M_S = 0.02
#: For how long after a stop a status of belts that stand is not believed.
STILL_S = 0.3
#: How much longer than the ramp itself to wait for standstill.
SEEN_S = 2.0
#: A stop is sent again and again until standstill is seen.
STOP_AGAIN_S = 0.2
_POLL_S = 0.05
_MEMORY = 6000  # states kept for `Treadmill.samples`: a minute of 100 a second
_USE_STOP = "the belts may still be moving: use the treadmill's own stop"


@dataclass(frozen=True)
class BeltState:
    """What the treadmill last said.

    Attributes
    ----------
    time_s : float
        When it came, by the host's `time.monotonic`, s.
    speed_left_m_s, speed_right_m_s : float
        Speeds of the belts, m/s; backwards negative.
    incline_deg : float
        Degrees, uphill positive.
    age_s : float
        How old it was when it was asked for, s.
    speed_left_rear_m_s, speed_right_rear_m_s : float
        Of treadmills whose belts are split fore and aft too; NaN elsewhere.
    """

    time_s: float
    speed_left_m_s: float
    speed_right_m_s: float
    incline_deg: float
    age_s: float = 0.0
    speed_left_rear_m_s: float = math.nan
    speed_right_rear_m_s: float = math.nan

    @property
    def is_still(self) -> bool:
        """Whether no belt moves."""
        return max(abs(self.speed_left_m_s), abs(self.speed_right_m_s)) < STILL_M_S


@dataclass(frozen=True)
class BeltCommand:
    """What the belts are told to do.

    Attributes
    ----------
    speed_left_m_s, speed_right_m_s : float
    acceleration_m_s2 : float
        By which they come to that speed, of both belts.
    incline_deg : float
    """

    speed_left_m_s: float
    speed_right_m_s: float
    acceleration_m_s2: float
    incline_deg: float


@dataclass(frozen=True)
class BeltLimits:
    """What commands must stay within; one that does not is refused, never cut to fit.

    Attributes
    ----------
    speed_m_s, acceleration_m_s2, incline_deg : float
        The largest of each. Stops are made with this acceleration.
    reverse : bool
        Whether belts may run backwards.
    """

    speed_m_s: float
    acceleration_m_s2: float
    incline_deg: float = 0.0
    reverse: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "reverse" and not 0 <= value < math.inf:
                raise DataError(f"limits: {name}={value!r} must be a number that is not negative")
        if not self.acceleration_m_s2:
            raise DataError("limits: acceleration_m_s2 must be positive, or the belts could not be stopped")

    def within(self, cap: BeltLimits) -> Self:
        """Itself, or a DataError where it asks for more than the treadmill's protocol can say."""
        for name in ("speed_m_s", "acceleration_m_s2", "incline_deg"):
            if getattr(self, name) > getattr(cap, name):
                raise DataError(
                    f"limits: {name}={getattr(self, name):g} is more than this treadmill takes ({getattr(cap, name):g})"
                )
        return self

    def check(self, command: BeltCommand) -> None:
        """DataError where a command goes beyond the limits."""
        wanted = {
            "speed_left_m_s": self.speed_m_s,
            "speed_right_m_s": self.speed_m_s,
            "acceleration_m_s2": self.acceleration_m_s2,
            "incline_deg": self.incline_deg,
        }
        for name, most in wanted.items():
            value = getattr(command, name)
            least = -most if self.reverse and name.startswith("speed") else 0.0
            if not least <= value <= most:
                raise DataError(f"{name}={value!r} is outside the limits, {least:g} to {most:g}")
        if not command.acceleration_m_s2:
            raise DataError("acceleration_m_s2=0: with no acceleration the belts would keep their speed")


class BeltLink(abc.ABC):
    """The connection to one treadmill: what a driver fills in. One thread polls it; any may send.

    Attributes
    ----------
    SCHEMES, OPTIONS, API
        As in `balancecore.capture.Device`.
    CAP : BeltLimits
        What its protocol can say at most.
    """

    SCHEMES: ClassVar[tuple[str, ...]]
    OPTIONS: ClassVar[tuple[Option, ...]] = ()
    API: ClassVar[int] = DRIVER_API
    CAP: ClassVar[BeltLimits]

    def __init__(self, address: Address, options: Mapping[str, Any]) -> None:
        self.address, self.options = address, options

    @abc.abstractmethod
    def connect(self) -> None:
        """Connect; DeviceNotFoundError where nobody answers. Whatever was opened is closed by `close`."""

    @abc.abstractmethod
    def poll(self, timeout_s: float) -> Sequence[BeltState]:
        """All states that have come, in order; empty after `timeout_s`. DeviceLostError: the connection is gone."""

    @abc.abstractmethod
    def send(self, command: BeltCommand) -> None:
        """Send a command, within a second; DeviceLostError where the connection is gone."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of the connection; also after `connect` failed. Ends a `poll` of another thread."""

    def __str__(self) -> str:
        return str(self.address)


class _Watch:
    """What the thread that listens to the treadmill knows and does. It outlives no `Treadmill`."""

    def __init__(self, link: BeltLink, limits: BeltLimits | None, watchdog_s: float) -> None:
        self.link, self.limits, self.watchdog_s = link, limits, watchdog_s
        self.lock = threading.Lock()
        self.news = threading.Condition(self.lock)
        self.state: BeltState | None = None
        self.log: deque[BeltState] = deque(maxlen=_MEMORY)
        self.failed: DeviceError | None = None
        self.told = False
        self.closing = False
        self.commanded = False  # belts were told to move, and have not been seen standing since a stop
        self.renewed = 0.0
        self.tripped = ""
        self.stopping = False
        self.stop_since = self.stop_again = 0.0

    def run(self) -> None:
        """Listen until it closes or fails."""
        since_s = -math.inf
        try:
            while not self.closing:
                asked_s = time.monotonic()
                for state in self.link.poll(_POLL_S):
                    self.heard(state, since_s)
                # What came before this poll was taken by it: whatever the next one brings is younger.
                since_s = asked_s
                with self.lock:
                    self.guard(time.monotonic())
        except Exception as error:
            # Whatever it was, it is raised where the treadmill is used, and not lost with this thread.
            known = error if isinstance(error, DeviceError) else DeviceError(f"{self.link}: {error!r}")
            known.__cause__ = known.__cause__ or (None if known is error else error)
            with self.lock:
                self.failed = known
                if self.commanded:  # nobody listens any more, but the belts may still hear
                    with contextlib.suppress(Exception):
                        self.send_stop()
                self.news.notify_all()

    def heard(self, state: BeltState, since_s: float) -> None:
        """Take a state that came after `since_s`; it may have waited for this thread from then on."""
        with self.lock:
            self.state = state
            self.log.append(state)
            # The status that is under way when a stop is sent may not know yet of the command before it.
            if self.stopping and state.is_still and since_s - self.stop_since > STILL_S:
                self.stopping = self.commanded = False
            self.news.notify_all()

    def guard(self, now: float) -> None:
        """Stop the belts where nobody looks after them any more, and again until they stand."""
        if self.commanded and not self.stopping:
            if now - self.renewed > self.watchdog_s:
                self.trip(f"no command and no renewal for {self.watchdog_s:g} s")
            elif self.state is None or now - self.state.time_s > FRESH_S:
                self.trip(f"the treadmill has not said anything for {FRESH_S:g} s")
        elif self.stopping and now >= self.stop_again:
            self.send_stop()

    def trip(self, why: str) -> None:
        self.tripped = why
        self.send_stop()

    def send_stop(self) -> None:
        """Ramp to stop; sent whatever the last status was, because a stop that is not needed does no harm."""
        assert self.limits is not None
        now = time.monotonic()
        if not self.stopping:
            self.stopping, self.stop_since = True, now
        self.stop_again = now + STOP_AGAIN_S
        self.link.send(BeltCommand(0.0, 0.0, self.limits.acceleration_m_s2, self.incline_deg()))

    def incline_deg(self) -> float:
        """The incline that leaves the treadmill as it is."""
        read = 0.0 if self.state is None else self.state.incline_deg
        return min(max(read, 0.0), self.link.CAP.incline_deg)

    def check(self) -> None:
        """Raise what went wrong."""
        if self.failed is not None:
            self.told = True
            what = f"{self.failed}; {_USE_STOP}" if self.commanded else str(self.failed)
            raise type(self.failed)(what) from self.failed


class Treadmill:
    """A treadmill that is connected; use it as ``with open_treadmill("bertec://host:4000") as treadmill``.

    It only listens, unless it was opened with ``allow_commands=True``. Then `command` moves the belts, and they are
    ramped to stop when `command` or `renew` has not been called for `watchdog_s`, when the treadmill falls silent, by
    `stop_belts`, and by `close`, which the end of ``with`` calls, also after an exception. What it can't do is stop
    the belts after the connection was lost, or when the program or the computer dies.

    Made by :func:`open_treadmill`.
    """

    def __init__(self, link: BeltLink, limits: BeltLimits | None, watchdog_s: float) -> None:
        self._watch = _Watch(link, limits, watchdog_s)
        self._name = str(link)
        self._closed = False
        try:
            link.connect()
        except BaseException:
            self._closed = True
            link.close()
            raise
        # The thread holds the watch and not the treadmill, so that a forgotten treadmill can be told of and closed.
        self._thread = threading.Thread(target=self._watch.run, name=f"belts {self._name}", daemon=True)
        self._thread.start()
        try:
            self._wait_for_status()
        except BaseException:
            self.close()
            raise

    def _wait_for_status(self) -> None:
        watch = self._watch
        with watch.lock:
            watch.news.wait_for(lambda: watch.state is not None or watch.failed is not None, FIRST_STATUS_S)
            watch.check()
            if watch.state is None:
                raise DeviceTimeoutError(f"{self}: connected, but no status came in {FIRST_STATUS_S:g} s")

    def state(self) -> BeltState:
        """What the treadmill last said.

        Returns
        -------
        BeltState
            With its `age_s`: look at it.

        Raises
        ------
        DeviceLostError
            The connection is gone. If belts were commanded, they may still be moving.
        DeviceError
            It is closed.
        """
        with self._watch.lock:
            self._check()
            assert self._watch.state is not None
            return replace(self._watch.state, age_s=time.monotonic() - self._watch.state.time_s)

    def samples(self) -> tuple[BeltState, ...]:
        """All states since the last call, in order, of the last minute at most; :func:`belt_values` resamples them.

        Raises
        ------
        DeviceLostError, DeviceError
            As in `state`, once every state that came before has been given.
        """
        with self._watch.lock:
            states = tuple(self._watch.log)
            self._watch.log.clear()
            if not states:
                self._check()
            return states

    @property
    def tripped(self) -> str:
        """Why the belts were stopped without being told to; empty: they were not."""
        return self._watch.tripped

    def command(
        self,
        speed_left_m_s: float,
        speed_right_m_s: float,
        *,
        acceleration_m_s2: float | None = None,
        incline_deg: float | None = None,
    ) -> None:
        """Bring the belts to a speed, and begin to watch that somebody renews it.

        Parameters
        ----------
        speed_left_m_s, speed_right_m_s : float
            Speeds, m/s.
        acceleration_m_s2 : float, optional
            By which; default: the limit.
        incline_deg : float, optional
            Default: the incline as it is.

        Raises
        ------
        DataError
            It goes beyond the limits; nothing was sent.
        DeviceError
            Commands were not allowed, the last status is not fresh, the belts were stopped by the watchdog (then open
            the treadmill anew), or it is closed. Nothing was sent.
        DeviceLostError
            The connection is gone; the belts may be moving.
        """
        limits = self._limits()
        watch = self._watch
        with watch.lock:
            self._check()
            self._check_tripped()
            assert watch.state is not None
            age = time.monotonic() - watch.state.time_s
            if age > FRESH_S:
                raise DeviceTimeoutError(
                    f"{self}: its last status is {age:.1f} s old; no command is sent on that"
                )
            acceleration = limits.acceleration_m_s2 if acceleration_m_s2 is None else acceleration_m_s2
            wanted = BeltCommand(
                float(speed_left_m_s), float(speed_right_m_s), float(acceleration), float(incline_deg or 0.0)
            )
            limits.check(wanted)
            if incline_deg is None:
                wanted = replace(wanted, incline_deg=watch.incline_deg())
            watch.commanded, watch.stopping, watch.renewed = True, False, time.monotonic()
            try:
                watch.link.send(wanted)
            except DeviceError as error:
                watch.failed = watch.failed or error
                with contextlib.suppress(Exception):  # what was told may have arrived, or a part of it
                    watch.send_stop()
                watch.check()

    def renew(self) -> None:
        """Say that somebody still looks after the belts; as often as ``watchdog_s`` asks for.

        Raises
        ------
        DeviceError
            The belts were stopped by the watchdog meanwhile, or commands were not allowed.
        DeviceLostError
            The connection is gone; the belts may be moving.
        """
        self._limits()
        with self._watch.lock:
            self._check()
            self._check_tripped()
            self._watch.renewed = time.monotonic()

    def stop_belts(self) -> None:
        """Ramp the belts to stop, by the limit of the acceleration; sent again until they are seen to stand.

        It is sent also where the connection seems to be gone; the error comes after that.

        Raises
        ------
        DeviceError
            Commands were not allowed.
        DeviceLostError
            The connection is gone; the belts may be moving.
        """
        self._limits()
        with self._watch.lock:
            if not self._closed and self._watch.failed is not None:
                with contextlib.suppress(Exception):  # tried all the same; the error follows
                    self._watch.send_stop()
            self._check()
            self._watch.send_stop()

    def close(self) -> None:
        """Ramp belts that were commanded to stop, wait until they stand, and let go; may be repeated.

        Raises
        ------
        DeviceError
            The belts were commanded, and have not been seen to stand: they may still be moving.
        """
        if self._closed:
            return
        self._closed = True
        watch = self._watch
        try:
            with watch.lock:
                if watch.commanded:
                    self._ramp_down(watch)
                unseen = watch.commanded and not (watch.failed is not None and watch.told)
        finally:
            watch.closing = True
            watch.link.close()
            self._thread.join(2.0)
        if unseen:
            raise DeviceLostError(f"{self}: closed, but standstill was not seen; {_USE_STOP}")

    def _ramp_down(self, watch: _Watch) -> None:
        """Stop the belts and wait for as long as the ramp may take; the caller holds the lock."""
        limits = self._limits()
        speed = limits.speed_m_s
        if watch.state is not None:
            speed = max(abs(watch.state.speed_left_m_s), abs(watch.state.speed_right_m_s))
        try:
            watch.send_stop()
        except DeviceError as error:
            watch.failed = watch.failed or error
        if watch.failed is not None:  # nobody listens who could see the belts stand
            return
        longest = speed / limits.acceleration_m_s2 + SEEN_S
        watch.news.wait_for(lambda: not watch.commanded or watch.failed is not None, longest)

    def _limits(self) -> BeltLimits:
        if self._watch.limits is None:
            raise DeviceError(f"{self}: it was opened to listen only; commands need allow_commands=True")
        return self._watch.limits

    def _check(self) -> None:
        if self._closed:
            raise DeviceError(f"{self}: it is closed")
        self._watch.check()

    def _check_tripped(self) -> None:
        if self._watch.tripped:
            raise DeviceError(f"{self}: the belts were told to stop: {self._watch.tripped}; open it anew")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            try:
                warnings.warn(f"{self} was never closed", ResourceWarning, stacklevel=2, source=self)
            finally:
                self.close()

    def __str__(self) -> str:
        return self._name


def open_treadmill(
    address: str,
    *,
    allow_commands: bool = False,
    limits: BeltLimits | None = None,
    watchdog_s: float = 1.0,
) -> Treadmill:
    """Connect to a treadmill.

    Parameters
    ----------
    address : str
        Such as ``"bertec://192.168.0.5:4000"`` or ``"simulated:belts"``.
    allow_commands : bool
        Whether the belts may be moved; else it only listens. Not to be had from an address or a rig file.
    limits : BeltLimits, optional
        Needed with `allow_commands`: nothing beyond them is ever sent.
    watchdog_s : float
        How long commanded belts go on without `Treadmill.command` or `Treadmill.renew`, 0.1 to 10 s.

    Raises
    ------
    DataError
        It is no address, an option or a limit makes no sense, or limits are missing.
    DriverUnavailableError
        No driver has that name.
    DeviceNotFoundError, DeviceTimeoutError, DeviceLostError
        Nobody answers, nothing is said, or the connection is closed at once.

    Examples
    --------
    >>> with open_treadmill("simulated:belts?speed_m_s=2.5") as treadmill:
    ...     treadmill.state().speed_left_m_s
    2.5
    """
    parsed = Address.parse(address)
    link = load_driver(find_entry(parsed.scheme, _entries()), BeltLink)  # type: ignore[type-abstract]
    if allow_commands and limits is None:
        raise DataError(f"{parsed}: allow_commands=True needs limits=BeltLimits(...)")
    if not 0.1 <= watchdog_s <= 10.0:
        raise DataError(f"{parsed}: watchdog_s={watchdog_s!r}: 0.1 to 10 s")
    options = read_options(parsed, parsed, link.OPTIONS)
    allowed = limits.within(link.CAP) if allow_commands and limits is not None else None
    return Treadmill(link(parsed, options), allowed, watchdog_s)


def belt_values(states: Sequence[BeltState], times_s: ArrayLike, max_age_s: float = 1.0) -> FloatArray:
    """Belt speed and incline at given times, for channels of a trial.

    Parameters
    ----------
    states : sequence of BeltState
        In order of time, such as what `Treadmill.samples` gave, with the last one of the call before in front.
    times_s : array_like (k,)
        By the host's `time.monotonic`, as `BeltState.time_s`.
    max_age_s : float
        For how long a status holds, s.

    Returns
    -------
    ndarray (k, 3)
        Left speed and right speed (m/s) and incline (degrees) of the last status at or before each time; NaN where
        there is none, or it is older than `max_age_s`.
    """
    times = np.asarray(times_s, dtype=np.float64)
    known = np.array([[s.time_s, s.speed_left_m_s, s.speed_right_m_s, s.incline_deg] for s in states])
    known = known.reshape(-1, 4)
    if np.any(np.diff(known[:, 0]) < 0):
        raise DataError("states: they must be in the order of their times")
    out = np.full((len(times), 3), math.nan)
    last = np.searchsorted(known[:, 0], times, side="right") - 1
    good = last >= 0
    good[good] = times[good] - known[last[good], 0] <= max_age_s
    out[good] = known[last[good], 1:]
    return out


def treadmill_schemes() -> frozenset[str]:
    """The schemes of addresses for which a driver of a treadmill is installed."""
    return frozenset(entry.name for entry in _entries())


def _entries() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))
