"""What a running signal tells so far: offset, votes, body weight, numbers of steps. Nothing here looks ahead."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balancecore.sides import VOTE_LEAST, Vote

__all__ = ["CausalBaseline", "Line", "RunningCurves", "RunningForces", "RunningVote", "StepNumbers"]

FloatArray = NDArray[np.float64]

#: The offset under a contact comes from the last so many unloaded windows.
WINDOWS = 8
#: With fewer windows than this their mean is used instead of a line.
LINE_LEAST = 3
#: The line is followed so far beyond its last window, s, and held from there on.
REACH_S = 1.0
#: Step and contact times that the next ones are compared with.
TYPICAL = 15
_PAIRS = {m: np.triu_indices(m, 1) for m in range(LINE_LEAST, WINDOWS + 1)}


@dataclass(frozen=True, eq=False)
class Line:
    """Offset of some channels as a straight line in time, held beyond `last`.

    Attributes
    ----------
    start, last : float
        Samples.
    level, slope : ndarray (n_channels,)
        Offset at `start`, and its change a sample.
    """

    start: float
    level: FloatArray
    slope: FloatArray
    last: float

    def at(self, sample: float) -> FloatArray:
        """Offset at a sample, (n_channels,)."""
        return self.level + self.slope * (min(sample, self.last) - self.start)


class CausalBaseline:
    """Offset from the unloaded windows so far: the Theil-Sen line through the last eight.

    Both slope and level are medians, so that a window disturbed by a scuff doesn't count.

    Parameters
    ----------
    start : ndarray (n_channels,)
        Offset before the first window.
    rate_hz : float
    """

    def __init__(self, start: FloatArray, rate_hz: float) -> None:
        self._start = start
        self._rate = rate_hz
        self._centres: deque[float] = deque(maxlen=WINDOWS)
        self._values: deque[FloatArray] = deque(maxlen=WINDOWS)

    def __len__(self) -> int:
        return len(self._centres)

    def add(self, centre: float, values: FloatArray) -> None:
        """Take in the means of one more window."""
        self._centres.append(centre)
        self._values.append(values)

    def near(self, sample: float, spacings: float) -> bool:
        """Whether a sample lies within so many typical spacings of the last window."""
        if len(self._centres) < 2:
            return len(self._centres) == 1
        apart: list[float] = sorted(np.diff(self._centres).tolist())
        return sample - self._centres[-1] <= spacings * apart[len(apart) // 2]

    def line(self, sample: float) -> Line:
        """The offset as it looks at a sample."""
        m = len(self._centres)
        zero = np.zeros(len(self._start))
        if m == 0:
            return Line(sample, self._start, zero, sample)
        last = self._centres[-1] + REACH_S * self._rate
        values = np.array(self._values)
        if m < LINE_LEAST:
            return Line(sample, values.mean(axis=0), zero, last)
        at = np.array(self._centres)
        i, j = _PAIRS[m]
        slope = _median((values[j] - values[i]) / (at[j] - at[i])[:, None])
        held = min(sample, last)
        return Line(held, _median(values - (at - held)[:, None] * slope), slope, last)


def _median(values: FloatArray) -> FloatArray:
    """Median of each column; np.median takes five times as long for so few."""
    ordered = np.sort(values, axis=0)
    m = len(ordered)
    middle: FloatArray = 0.5 * (ordered[(m - 1) // 2] + ordered[m // 2])
    return middle


class RunningVote:
    """The vote of :func:`balancecore.sides.vote`, contact by contact."""

    def __init__(self, least: float = 0.0) -> None:
        self._least = least
        self._last: deque[tuple[int, float]] = deque(maxlen=3)
        self._n = self._below = self._above = self._unequal = 0
        self._sum = self._squares = 0.0

    def add(self, parity: int, x: float) -> None:
        """The next contact: its number and its value (NaN for none)."""
        self._last.append((parity, x))
        if len(self._last) < 3:
            return
        (p0, x0), (p1, x1), (p2, x2) = self._last
        contrast = x1 - 0.5 * (x0 + x2)
        if p1 - p0 != 1 or p2 - p1 != 1 or not math.isfinite(contrast):
            return
        signed = -contrast if p1 % 2 == 0 else contrast
        self._n += 1
        self._sum += signed
        self._squares += signed * signed
        self._below += signed <= -self._least
        self._above += signed >= self._least
        self._unequal += signed != 0.0

    def result(self) -> Vote:
        """The vote so far; `disagree` is empty."""
        nobody = np.zeros(0, dtype=bool)
        n = self._n
        if n < VOTE_LEAST:
            return Vote(0, 0.0, 0.0, math.nan, n, nobody)
        mean = self._sum / n
        sd = math.sqrt(max(self._squares / n - mean * mean, 0.0) * n / (n - 1))
        sign = (1 if mean > 0.0 else -1) if abs(mean) > self._least else 0
        t = mean / (sd / math.sqrt(n)) if sd > 0.0 else math.copysign(math.inf, mean) if sign else 0.0
        against = {1: self._below, -1: self._above, 0: self._unequal}[sign]
        return Vote(sign, t, 1.0 - against / n, abs(mean), n, nobody)


class StepNumbers:
    """Numbers contacts by time, as :func:`balancecore.weight.step_parity`, with the median of the last steps."""

    def __init__(self) -> None:
        self._gaps: deque[float] = deque(maxlen=TYPICAL)
        self._durations: deque[float] = deque(maxlen=TYPICAL)
        self._last = math.nan
        self._number = 0

    def next(self, reference: float) -> int:
        """Number of a contact that begins at a sample."""
        if math.isnan(self._last):
            self._last = reference
            return 0
        gap = reference - self._last
        self._last = reference
        if gap > 0.0:
            self._gaps.append(gap)
            self._number += max(round(gap / _middle(self._gaps)), 0)
        return self._number

    def expected(self, reference: float) -> int:
        """Number that a contact beginning at a sample would get."""
        if math.isnan(self._last):
            return 0
        if not self._gaps:
            return self._number + 1
        return self._number + max(round((reference - self._last) / _middle(self._gaps)), 0)

    def lasted(self, duration: float) -> None:
        """A complete contact lasted so long."""
        self._durations.append(duration)

    @property
    def typical(self) -> float:
        """Median duration of the last contacts, samples; 0 before the first."""
        return _middle(self._durations) if self._durations else 0.0


def _middle(values: deque[float]) -> float:
    ordered = sorted(values)
    m = len(ordered)
    return 0.5 * (ordered[(m - 1) // 2] + ordered[m // 2])


class RunningForces:
    """Mean force over whole strides so far."""

    def __init__(self) -> None:
        self._total = np.zeros(3)
        self._duration = 0.0
        self._half: tuple[FloatArray, float] | None = None
        self.strides = 0

    def step(self, mean: FloatArray, duration: float) -> bool:
        """Take in a step that follows the one before; True if it completes a stride."""
        if self._half is None:
            self._half = (mean * duration, duration)
            return False
        self._total += self._half[0] + mean * duration
        self._duration += self._half[1] + duration
        self._half = None
        self.strides += 1
        return True

    def interrupt(self) -> None:
        """The next step doesn't follow: half a stride is lost."""
        self._half = None

    @property
    def mean(self) -> FloatArray:
        """Mean Fx, Fy, Fz, N; NaN before the first whole stride."""
        return self._total / self._duration if self._duration else np.full(3, np.nan)


class RunningCurves:
    """Mean and SD of stance curves without keeping them (Welford's update).

    Attributes
    ----------
    n : int
        Contacts.
    counts, mean : ndarray (curves, points)
        Contacts with a value, and their mean.
    """

    def __init__(self, curves: int, points: int) -> None:
        self.n = 0
        self.counts = np.zeros((curves, points), dtype=np.int64)
        self.mean = np.zeros((curves, points))
        self._squares = np.zeros((curves, points))

    def add(self, curve: FloatArray) -> None:
        """One more contact, (curves, points); NaN where it has no value."""
        self.n += 1
        there = np.isfinite(curve)
        self.counts += there
        before = np.where(there, curve - self.mean, 0.0)
        self.mean += before / np.maximum(self.counts, 1)
        self._squares += before * np.where(there, curve - self.mean, 0.0)

    @property
    def sd(self) -> FloatArray:
        """Sample SD; NaN with fewer than two contacts."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(self._squares / np.where(self.counts > 1, self.counts - 1, np.nan))
