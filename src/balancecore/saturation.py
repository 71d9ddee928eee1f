"""What a channel at the end of its measuring range looks like (metrics 1.1)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLAMP_BAND", "SATURATED_RUN", "runs_of", "smooth_peaks"]

IntArray = NDArray[np.int64]

#: Equal samples at an extreme that count as the end of the measuring range (metrics 1.1).
SATURATED_RUN = 3
#: An extreme this near to zero, in N or N·m, is clamped or unloaded data, not the end of a range.
CLAMP_BAND = 20.0
#: Quantised data are flat at a smooth peak: the samples beside the run are then this many quanta away at most.
GENTLE_QUANTA = 2.0
#: Samples on either side of a run in which the quantum of the data is looked for.
_QUANTUM_REACH = 64


def runs_of(mask: NDArray[np.bool_]) -> IntArray:
    """First and one-past-last index of each run of True."""
    if mask.all():  # the rule rather than the exception, and much cheaper to see
        return np.array([[0, len(mask)]] if len(mask) else [], dtype=np.int64).reshape(-1, 2)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return edges.reshape(-1, 2).astype(np.int64)


def smooth_peaks(x: NDArray[np.floating], runs: IntArray) -> bool:
    """Whether all runs are the flat tops of quantised peaks: a quantum or two below, on both sides.

    A clipped signal comes to the end of its range steeply, at least in one of its runs.
    """
    drops, quanta = [], []
    for start, stop in runs.tolist():
        around = x[max(start - _QUANTUM_REACH, 0) : stop + _QUANTUM_REACH]
        changes = np.abs(np.diff(around[np.isfinite(around)]))
        quanta.append(np.min(changes, where=changes > 0.0, initial=math.inf))
        drops += [abs(x[k] - x[start]) for k in (start - 1, stop) if 0 <= k < len(x) and math.isfinite(x[k])]
    return bool(max(drops, default=math.inf) <= GENTLE_QUANTA * min(quanta))
