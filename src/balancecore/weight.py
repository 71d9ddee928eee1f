"""Body weight: given, seen while standing still, or the mean force over whole strides (metrics 1.6)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancecore.intake import RAW, Record
from balancecore.medians import median

__all__ = ["STANDARD_GRAVITY", "BodyWeight", "body_weight", "step_parity", "stride_spans"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: m/s²; conventional value.
STANDARD_GRAVITY = 9.80665
#: Share cut from either end of a stretch of standing, where the body still comes to rest or starts off.
STILL_TRIM = 0.1
#: Body weight from strides and from the better source may differ by this much (metrics 1.6).
SUSPECT_FRACTION = 0.02


@dataclass(frozen=True)
class BodyWeight:
    """Body weight in use, where it came from, and the check against whole strides.

    Attributes
    ----------
    force_n : float
        Body weight, N; NaN if nothing tells.
    source : {"given", "static", "whole_strides", "unknown"}
    dynamic_n : float
        Mean force over whole strides, corrected for the incline, N; NaN without a whole stride.
    strides : int
        Whole strides behind `dynamic_n`.
    static_sd_n : float
        SD of the force while standing still, N.
    """

    force_n: float
    source: str
    given_n: float = math.nan
    dynamic_n: float = math.nan
    strides: int = 0
    static_n: float = math.nan
    static_sd_n: float = math.nan

    @property
    def suspect(self) -> bool:
        """Whether body weight is unknown, or contradicted by the strides by more than 2 %."""
        if not math.isfinite(self.force_n):
            return True
        better = self.given_n if math.isfinite(self.given_n) else self.static_n
        if not math.isfinite(better) or not math.isfinite(self.dynamic_n):
            return False
        return abs(self.dynamic_n / better - 1.0) > SUSPECT_FRACTION

    def describe(self, g: float) -> dict[str, Any]:
        """Body weight as results show it."""
        return {
            "weight_n": self.force_n,
            "mass_kg": self.force_n / g,
            "source": self.source,
            "whole_strides_n": self.dynamic_n,
            "whole_strides_mass_kg": self.dynamic_n / g,
            "whole_strides": self.strides,
            "standing_n": self.static_n,
            "standing_sd_n": self.static_sd_n,
            "suspect": self.suspect,
        }


def step_parity(starts: FloatArray) -> IntArray:
    """Number each contact by time rather than by count, so that a missed one costs nothing (metrics 1.7).

    Parameters
    ----------
    starts : ndarray (k,)
        Touch-down times, ascending, in any unit.

    Returns
    -------
    ndarray (k,) of int
        0, 1, 2, ...; a missed contact leaves a number out.
    """
    if len(starts) < 2:
        return np.zeros(len(starts), dtype=np.int64)
    gaps = np.diff(starts)
    apart = gaps[gaps > 0.0]
    if not len(apart):
        return np.zeros(len(starts), dtype=np.int64)
    steps = np.round(gaps / median(apart)).astype(np.int64)
    return np.concatenate(([0], np.cumsum(steps)))


def body_weight(
    record: Record, fz: FloatArray, starts: FloatArray, static: IntArray, given_n: float, incline_deg: float
) -> BodyWeight:
    """Body weight by priority: given, standing still, whole strides.

    Parameters
    ----------
    record : Record
    fz : ndarray (n,)
        Total vertical force without baseline, N.
    starts : ndarray (k,)
        Touch-downs in samples, ascending; equally levelled, so that whole strides are cut out.
    static : ndarray (s, 2)
        Stretches of frames in which somebody stands still.
    given_n : float
        Given body weight or NaN.
    incline_deg : float
        The surface carries only the part of the weight that is normal to it.
    """
    normal = math.cos(math.radians(incline_deg))
    dynamic, strides = _whole_strides(record, fz, starts)
    dynamic /= normal
    static_n, static_sd = math.nan, math.nan
    if len(static):
        low, high = max(static.tolist(), key=lambda s: s[1] - s[0])
        trim = int(STILL_TRIM * (high - low))
        still = fz[low + trim : high - trim]
        static_n, static_sd = float(still.mean()) / normal, float(still.std())
    for value, source in ((given_n, "given"), (static_n, "static"), (dynamic, "whole_strides")):
        if math.isfinite(value):
            return BodyWeight(value, source, given_n, dynamic, strides, static_n, static_sd)
    return BodyWeight(math.nan, "unknown", given_n, dynamic, strides, static_n, static_sd)


def _whole_strides(record: Record, fz: FloatArray, starts: FloatArray) -> tuple[float, int]:
    """Mean force over whole strides, and their number."""
    impulse, duration, strides = 0.0, 0.0, 0
    for a, b, count in stride_spans(record, starts):
        i, j = math.ceil(a), math.floor(b)
        inner = float(fz[i : j + 1].sum()) - 0.5 * float(fz[i] + fz[j])
        # Partial ends; the force is near the level there, so a rectangle does.
        impulse += inner + (i - a) * float(fz[i]) + (b - j) * float(fz[j])
        duration += b - a
        strides += count
    return (impulse / duration, strides) if duration else (math.nan, 0)


def stride_spans(record: Record, starts: FloatArray) -> list[tuple[float, float, int]]:
    """Longest spans of whole strides: start and end in samples, number of strides.

    No stride spans a gap, a missed contact, or a vertical force at the end of its range.
    """
    if len(starts) < 3:
        return []
    stretch = np.searchsorted(record.segments[:, 0], starts, side="right")
    cut = (np.diff(step_parity(starts)) != 1) | (np.diff(stretch) != 0)
    for found in record.saturation:
        if found.channel in ("Fz", RAW):
            cut |= np.diff(np.searchsorted(found.runs[:, 0], starts)) > 0
    spans = []
    for run in np.split(starts, np.flatnonzero(cut) + 1):
        strides = (len(run) - 1) // 2
        if strides:
            spans.append((float(run[0]), float(run[2 * strides]), strides))
    return spans
