"""What devices have in common that play frames by the clock: the simulated one and the replay."""

from __future__ import annotations

import abc
import math
import time

import numpy as np
from numpy.typing import NDArray

from balancecore.capture.device import Device
from balancecore.errors import DataError

__all__ = ["PACKET_S", "Clock", "PlayedDevice"]

#: Frames come in packets, as they do from real devices; so many seconds lie between them.
PACKET_S = 0.01
#: More frames than anyone will ask for: what is due where no clock holds them back.
_ALL = 1 << 62


class Clock:
    """Says how many frames are due; counts from one instant, so that it does not drift.

    Parameters
    ----------
    rate_hz : float
        Frames per second of the signal.
    pace : float
        Seconds of signal per second of the host's monotonic clock; 0: everything is due at once.
    """

    def __init__(self, rate_hz: float, pace: float) -> None:
        self._frames_per_s = rate_hz * pace
        self._began = time.monotonic()

    def due(self) -> int:
        """Frames that have come up to the last packet."""
        if not self._frames_per_s:
            return _ALL
        packets = math.floor((time.monotonic() - self._began) / PACKET_S)
        return math.floor(packets * PACKET_S * self._frames_per_s)

    def wait_s(self) -> float:
        """Time until the next packet."""
        return PACKET_S - (time.monotonic() - self._began) % PACKET_S


class PlayedDevice(Device, abc.ABC):
    """A device whose frames are made by software when they are due.

    A driver fills in `_open`, `_begin`, `_ready` and `_fill`.
    """

    _clock: Clock
    _next: int

    @abc.abstractmethod
    def _begin(self) -> float:
        """Go to frame 0; returns the pace."""

    @abc.abstractmethod
    def _ready(self, due: int) -> int:
        """How many of the `due` frames can be given now from `_next` on; may raise, `_skip`, or say 0."""

    @abc.abstractmethod
    def _fill(self, out: NDArray[np.float64]) -> None:
        """Write the next ``len(out)`` frames."""

    def _start(self) -> None:
        pace = self._begin()
        if pace < 0:
            raise DataError(f"{self}: frames can't be played backwards")
        self._next = 0
        self._clock = Clock(self.rate_hz, pace)

    def _read_into(self, out: NDArray[np.float64], timeout_s: float) -> int:
        until = time.monotonic() + timeout_s
        while True:
            # The clock is asked first: whoever comes late to the look below has passed the end, and still finds what
            # came in time.
            left = until - time.monotonic()
            if (n := min(self._ready(self._clock.due()), len(out))) > 0:
                break
            if left <= 0 or self._stopping.wait(min(left, self._clock.wait_s())):
                return 0
        self._fill(out[:n])
        self._next += n
        return n

    def _stop(self) -> None:
        pass

    def _close(self) -> None:
        pass
