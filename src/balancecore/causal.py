"""What a running signal tells so far: offset, votes, body weight, numbers of steps. Nothing here looks ahead."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancecore._ext import _contacts
from balancecore.baseline import NEIGHBOURS, OUTLIER_FLOOR, outlier_limit
from balancecore.medians import middle
from balancecore.sides import VOTE_LEAST, Vote

__all__ = ["CausalBaseline", "Knot", "Line", "RunningCurves", "RunningForces", "RunningVote", "StepNumbers"]

FloatArray = NDArray[np.float64]

#: The offset rests on the last so many unloaded windows: as many as tell outliers of whole trials.
WINDOWS = NEIGHBOURS
#: How many windows' distances from the line tell whether the next one is an outlier.
DISTANCES = 31
#: With fewer windows than this their mean is used instead of a line.
LINE_LEAST = 3
#: The line is followed so far beyond its last window, s, and held from there on.
REACH_S = 1.0
#: Step and contact times that the next ones are compared with.
TYPICAL = 15
#: After so long without a window, s, the ones before tell nothing of the next: a line would be followed too far.
FORGET_S = 3.0
_PAIRS = {m: np.triu_indices(m, 1) for m in range(LINE_LEAST, WINDOWS + 1)}


class Knot(NamedTuple):
    """What an unloaded window tells of the offset.

    Attributes
    ----------
    centre : float
        Sample.
    values : ndarray (n_channels,)
        The window's means; for an outlier the value there of the line through the windows before.
    outlier : bool
    """

    centre: float
    values: FloatArray
    outlier: bool


class Line(NamedTuple):
    """Offset of some channels as a straight line in time, held before `start` and beyond `last`.

    Attributes
    ----------
    start, last : float
        Samples; equal where one value holds throughout.
    level, slope : ndarray (n_channels,)
        Offset at `start`, and its change a sample.
    """

    start: float
    level: FloatArray
    slope: FloatArray
    last: float

    @classmethod
    def held(cls, knot: Knot) -> Line:
        """One window's value."""
        return cls(knot.centre, knot.values, np.zeros(len(knot.values)), knot.centre)

    @classmethod
    def between(cls, a: Knot, b: Knot) -> Line:
        """From one window to the next."""
        return cls(a.centre, a.values, (b.values - a.values) / (b.centre - a.centre), b.centre)

    def at(self, sample: float) -> FloatArray:
        """Offset at a sample, (n_channels,)."""
        if self.start == self.last:
            return self.level
        return self.level + self.slope * (min(max(sample, self.start), self.last) - self.start)

    def vertical(self, sample: float) -> float:
        """Offset of the summed vertical force at a sample."""
        return float(sum(self.at(sample)[2::6].tolist()))


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
        self._distances = np.empty((DISTANCES, len(start)))
        self._told = 0

    def __len__(self) -> int:
        return len(self._centres)

    def add(self, centre: float, values: FloatArray) -> Knot:
        """Take in the means of one more window.

        The rule of whole trials says whether it is an outlier, with the line through the windows before in place of
        that through those around it, and with a limit that is the wider the fewer windows have told the usual
        distance. An outlier counts among the windows of the line all the same: the medians leave it out, and follow
        where the offset itself has jumped. After a pause the windows before it count no more.
        """
        if self._centres and centre - self._centres[-1] > FORGET_S * self._rate:
            self._centres.clear()
            self._values.clear()
        centres, known = np.array([*self._centres, centre]), np.array([*self._values, values])
        self._centres.append(centre)
        self._values.append(values)
        if len(known) <= LINE_LEAST:
            return Knot(centre, values, False)
        residual = np.empty(known.shape)
        _contacts.theil_sen_residuals(centres, known, WINDOWS, residual, len(known) - 1)
        distance = np.abs(residual[-1])
        self._distances[self._told % DISTANCES] = distance
        self._told += 1
        told = min(self._told, DISTANCES)
        wide = 1.0 + WINDOWS / told
        outlier = max(distance.tolist()) > wide * OUTLIER_FLOOR and bool(
            (distance > wide * outlier_limit(self._distances[:told])).any()
        )
        return Knot(centre, values - residual[-1] if outlier else values, outlier)

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
            return Line(sample, values.mean(axis=0), zero, sample)
        at = np.array(self._centres)
        i, j = _PAIRS[m]
        slope = middle((values[j] - values[i]) / (at[j] - at[i])[:, None])
        held = min(sample, last)
        return Line(held, middle(values - (at - held)[:, None] * slope), slope, last)


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
    """Mean force over whole strides so far.

    Attributes
    ----------
    strides : int
    mean : ndarray (3,)
        Fx, Fy, Fz, N; NaN before the first whole stride.
    """

    def __init__(self) -> None:
        self._total = np.zeros(3)
        self._duration = 0.0
        self._half: tuple[FloatArray, float] | None = None
        self.strides = 0
        self.mean = np.full(3, np.nan)

    def step(self, mean: FloatArray, duration: float) -> bool:
        """Take in a step that follows the one before; True if it completes a stride."""
        if self._half is None:
            self._half = (mean * duration, duration)
            return False
        self._total += self._half[0] + mean * duration
        self._duration += self._half[1] + duration
        self._half = None
        self.strides += 1
        self.mean = self._total / self._duration
        return True

    def interrupt(self) -> None:
        """The next step doesn't follow: half a stride is lost."""
        self._half = None


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
        curve = np.where(there, curve, self.mean)  # what is missing moves neither mean nor squares
        before = curve - self.mean
        self.mean += before / np.maximum(self.counts, 1)
        self._squares += before * (curve - self.mean)

    @property
    def sd(self) -> FloatArray:
        """Sample SD; NaN with fewer than two contacts."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(self._squares / np.where(self.counts > 1, self.counts - 1, np.nan))
