"""Medians of a few hundred finite numbers, for which np.median's checks take longer than the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["median", "middle"]

FloatArray = NDArray[np.float64]


def median(values: FloatArray) -> float:
    """Median of some finite numbers (n,), at least one."""
    return float(middle(values))


def middle(values: FloatArray) -> FloatArray:
    """Median of each column of finite numbers (n, ...), n at least 1."""
    ordered = np.sort(values, axis=0)
    m = len(ordered)
    found: FloatArray = 0.5 * (ordered[(m - 1) // 2] + ordered[m // 2])
    return found
