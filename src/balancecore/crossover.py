"""A foot on the other belt while walking (metrics 1.8): the step and its neighbour can't be told apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancecore.contacts import Segmentation
from balancecore.steps import Merged

__all__ = ["crossovers"]

FloatArray = NDArray[np.float64]

#: Load on the other belt during single support for longer than this is another foot.
SHARED_S = 0.020
SHARE_LOW = 0.05
#: Force-weighted centre of pressure this near to the gap between the belts.
GAP_M = 0.020
#: A contact this much longer than the median holds more than one footfall.
LONG_RATIO = 1.5


def crossovers(found: Segmentation, merged: Merged) -> NDArray[np.bool_]:
    """Contacts with a foot on the other belt, and those of the other foot that overlap them.

    Parameters
    ----------
    found : Segmentation
        Walking, belt by belt.
    merged : Merged
        Its contacts in order of time.
    """
    k = len(merged.t_on)
    crossed = np.zeros(k, dtype=bool)
    if found.gait == "run" or len(found.virtual) < 2 or k < 3:
        return crossed
    rate = found.record.rate_hz
    on, off = merged.samples[:, 0], merged.samples[:, 1]
    duration = off - on
    typical = float(np.median(duration))
    overlap = off[:-1] - on[1:]
    overlap = overlap[(np.diff(merged.plate) != 0) & (overlap > 0) & (overlap < typical)]
    double = float(np.median(overlap)) if len(overlap) else 0.0
    total = found.total_fz()
    for i in range(k):
        own = next(v for v in found.virtual if v.plates[0] == merged.plate[i])
        a, b = shared_span(on[i], off[i], double, rate)
        if b > a and shared_load(own.fz[a:b], total[a:b] - own.fz[a:b], own.level_n, rate):
            crossed[i] = True
            others = (merged.plate != merged.plate[i]) & (on < b) & (off > a)
            crossed |= others
    crossed |= long_contact(duration, typical)
    crossed |= _near_gap(found, merged)
    return crossed


def _near_gap(found: Segmentation, merged: Merged) -> NDArray[np.bool_]:
    """Contacts whose mean centre of pressure lies on the gap between two belts side by side."""
    gap = belt_gap_m([found.record.trial.plates[v.plates[0]].corners_lab for v in found.virtual])
    return np.asarray(near_belt_gap(merged.columns["cop_x"], gap))


def shared_span(on: float, off: float, double: float, rate_hz: float) -> tuple[int, int]:
    """Samples of a contact in which the other foot should be in the air, `double` being the usual double support."""
    return math.ceil(on + double + SHARED_S * rate_hz), math.floor(off - double - SHARED_S * rate_hz)


def shared_load(own: FloatArray, other: FloatArray, level_n: float, rate_hz: float) -> bool:
    """Whether the other belts carry a foot for longer than a scuff."""
    shared = (other >= level_n) & (other > SHARE_LOW * (own + other))
    return bool(shared.sum() > SHARED_S * rate_hz)


def long_contact(duration: Any, typical: float) -> Any:
    """Whether contacts are so long that they hold more than one footfall."""
    return duration > LONG_RATIO * typical


def belt_gap_m(corners: list[FloatArray | None]) -> float:
    """Lateral position of the gap between two belts side by side; NaN for any other floor."""
    known = [c for c in corners if c is not None]
    if len(corners) != 2 or len(known) != 2:
        return math.nan
    left, right = sorted(known, key=lambda c: float(c[:, 0].mean()))
    return 0.5 * float(left[:, 0].max() + right[:, 0].min())


def near_belt_gap(cop_x: Any, gap_m: float) -> Any:
    """Whether centres of pressure lie on the gap."""
    with np.errstate(invalid="ignore"):
        return np.abs(cop_x - gap_m) < GAP_M
