"""The slow offset under the signal, seen while nobody stands on the plate (metrics 1.5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from balancecore._ext import _contacts
from balancecore.intake import Record
from balancecore.medians import middle

__all__ = ["BASELINES", "Baseline", "Method", "fit_baseline", "outlier_limit", "unloaded_windows"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Method = Literal["aerial_pchip", "linear", "constant", "none"]
BASELINES: tuple[Method, ...] = ("aerial_pchip", "linear", "constant", "none")

#: All channels, and the vertical force among them.
ALL, FZ = slice(6), slice(2, 3)
#: Unloaded stretches before the first and after the last contact are cut to this length.
END_WINDOW_S = 0.2
#: Shorter aerial windows hold no clean middle half.
MIN_WINDOW_S = 0.020
#: Fewest samples a knot may rest on.
MIN_SAMPLES = 5
#: A knot is an outlier beyond this many robust SDs, and at least 1 N (or N·m), from its neighbours' line.
OUTLIER_SDS = 4.0
OUTLIER_FLOOR = 1.0
NEIGHBOURS = 8
_MAD_TO_SD = 1.4826


@dataclass(frozen=True, eq=False)
class Baseline:
    """Piecewise cubic offset of the six channels of each plate, held at its first and last knot.

    Attributes
    ----------
    method : str
        What was used; may be less than what was asked for, then `note` says why.
    breaks : ndarray (b,)
        Break points, in samples.
    coefficients : ndarray (n_plates, 6, 4, max(b - 1, 1))
        Highest power first, about the left break.
    knots : ndarray (k, 2)
        Windows of frames that the knots rest on (kept ones).
    dropped : ndarray (d, 2)
        Windows dropped as outliers.
    """

    method: Method
    breaks: FloatArray
    coefficients: FloatArray
    knots: IntArray = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    dropped: IntArray = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    note: str = ""

    def at(self, samples: FloatArray, channels: slice = ALL) -> FloatArray:
        """Offsets of some channels (default: all) at given (fractional) samples: (n_plates, n_channels, n)."""
        wanted = self.coefficients[:, channels]
        if len(self.breaks) == 1:
            return np.repeat(wanted[:, :, 3, :1], len(samples), axis=2)
        held = np.clip(samples, self.breaks[0], self.breaks[-1])
        piece = np.clip(np.searchsorted(self.breaks, held, side="left") - 1, 0, len(self.breaks) - 2)
        u = held - self.breaks[piece]
        c = np.take(wanted, piece, axis=3)  # for one channel several times as fast as an index in brackets
        value: FloatArray = ((c[:, :, 0] * u + c[:, :, 1]) * u + c[:, :, 2]) * u + c[:, :, 3]
        return value

    def vertical(self) -> FloatArray:
        """Coefficients of the summed vertical force: (4, pieces)."""
        return np.ascontiguousarray(self.coefficients[:, 2].sum(axis=0))

    def lanes(self, arms: FloatArray) -> FloatArray:
        """Coefficients of Fx, Fy, Mx, My of the virtual plate, M + r x F: (4, 4, pieces)."""
        fx, fy, fz, mx, my = (self.coefficients[:, c] for c in range(5))
        rx, ry, rz = (arms[:, c, None, None] for c in range(3))
        lanes = np.stack(
            [fx.sum(0), fy.sum(0), (mx + ry * fz - rz * fy).sum(0), (my + rz * fx - rx * fz).sum(0)]
        )
        return np.ascontiguousarray(lanes)

    def describe(self) -> dict[str, Any]:
        """The baseline as results show it; ranges per plate in N."""
        levels = self.at(self.breaks, FZ)[:, 0]
        return {
            "method": self.method,
            "knots": len(self.knots),
            "knots_dropped": len(self.dropped),
            "fz_min_n": [float(v) for v in np.nanmin(levels, axis=1)],
            "fz_max_n": [float(v) for v in np.nanmax(levels, axis=1)],
            "note": self.note,
        }


def unloaded_windows(
    on: FloatArray,
    off: FloatArray,
    segments: IntArray,
    rate_hz: float,
    busy: IntArray | None = None,
    margin_s: float = 0.0,
) -> IntArray:
    """Frames between contacts in which the plate is unloaded: the middle half of each aerial window.

    Parameters
    ----------
    on, off : ndarray (k,)
        Contacts, in samples, ascending; cut ones start or end with their stretch.
    segments : ndarray (s, 2)
        Gap-free stretches.
    rate_hz : float
    busy : ndarray (b, 2), optional
        Frames that are not unloaded whatever the contacts say (somebody stands still).
    margin_s : float
        How much longer than `on` to `off` a contact may really be, at either end.

    Returns
    -------
    ndarray (w, 2)
        First and one-past-last frame.
    """
    windows = [np.empty((0, 2), dtype=np.int64)]
    least = max(math.ceil(MIN_WINDOW_S * rate_hz), 1)
    ends = math.ceil(END_WINDOW_S * rate_hz)
    for low, high in segments.tolist():
        inside = (off > low) & (on < high)
        if not inside.any():
            continue
        start = np.concatenate(([low], off[inside] + margin_s * rate_hz))
        stop = np.concatenate((on[inside] - margin_s * rate_hz, [high]))
        start[0] = max(start[0], stop[0] - ends)
        stop[-1] = min(stop[-1], start[-1] + ends)
        windows.append(_middle_halves(start, stop, least))
    found = np.concatenate(windows)
    if busy is not None and len(busy) and len(found):
        overlap = (found[:, None, 0] < busy[None, :, 1]) & (found[:, None, 1] > busy[None, :, 0])
        found = found[~overlap.any(axis=1)]
    return found


def _middle_halves(start: FloatArray, stop: FloatArray, least: int) -> IntArray:
    """Whole frames in the middle half of each window of at least `least` samples, but no fewer than MIN_SAMPLES."""
    quarter = 0.25 * (stop - start)
    a, b = np.ceil(start + quarter), np.floor(stop - quarter) + 1.0
    few = b - a < MIN_SAMPLES
    middle = np.round(0.5 * (start + stop))
    a = np.where(few, middle - MIN_SAMPLES // 2, a)
    b = np.where(few, middle + MIN_SAMPLES // 2 + 1, b)
    keep = (stop - start >= least) & (a >= start) & (b <= stop)
    return np.column_stack((a, b))[keep].astype(np.int64)


def fit_baseline(
    method: Method, record: Record, plates: tuple[int, ...], measured: NDArray[np.bool_], windows: IntArray
) -> Baseline:
    """Fit the offset of every channel to its means over the unloaded windows.

    Parameters
    ----------
    method : {"aerial_pchip", "linear", "constant", "none"}
    record : Record
    plates : tuple of int
        Which of its plates.
    measured : ndarray (n_plates, 6) of bool
        Channels that exist; the others get no offset.
    windows : ndarray (w, 2)
        From :func:`unloaded_windows`.
    """
    if method == "none" or not len(windows):
        note = "" if method == "none" else "no unloaded window was found, so no offset was removed"
        return _flat(np.zeros(6 * len(plates)), note=note)
    values = np.hstack([record.window_means(plate, windows) for plate in plates])
    values[:, ~measured.ravel()] = 0.0
    centres = 0.5 * (windows.sum(axis=1) - 1).astype(np.float64)
    keep = _without_outliers(centres, values[:, measured.ravel()])
    knots, dropped = windows[keep], windows[~keep]
    centres, values = centres[keep], values[keep]
    if method == "constant" or len(centres) == 1:
        note = (
            ""
            if method == "constant"
            else "only one unloaded window was found: a constant offset was removed"
        )
        return _flat(values.mean(axis=0), "constant", knots, dropped, note)
    if method == "linear":
        slopes, levels = np.polynomial.polynomial.polyfit(centres, values, 1)[::-1]
        c = np.zeros((values.shape[1], 4, 1))
        c[:, 2, 0] = slopes
        c[:, 3, 0] = levels + slopes * centres[0]
        breaks = centres[[0, -1]]
    else:
        c = np.zeros((values.shape[1], 4, len(centres) - 1))
        used = measured.ravel()
        c[used] = np.moveaxis(_monotone_cubic(centres, values[:, used]), -1, 0)
        breaks = centres
    shape = (len(plates), 6, 4, c.shape[-1])
    return Baseline(
        method, np.ascontiguousarray(breaks), np.ascontiguousarray(c).reshape(shape), knots, dropped
    )


def _monotone_cubic(t: FloatArray, values: FloatArray) -> FloatArray:
    """PCHIP through knots (k, n): coefficients (4, k - 1, n), highest power first.

    The same polynomials as ``scipy.interpolate.PchipInterpolator``'s, whose checks and copies take three times as long
    as a thousand knots of twelve channels need. Slopes are the weighted harmonic mean of the secants on either side
    (Fritsch and Butland 1984), 0 at a turning point, and of three points at the ends.
    """
    span = np.diff(t)[:, None]
    secant = np.diff(values, axis=0) / span
    if len(t) == 2:
        slope = np.repeat(secant, 2, axis=0)
    else:
        slope = np.zeros_like(values)
        left, right = 2.0 * span[1:] + span[:-1], span[1:] + 2.0 * span[:-1]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            mean = (left + right) / (left / secant[:-1] + right / secant[1:])
            same = np.sign(secant[:-1]) * np.sign(secant[1:]) > 0.0
        np.copyto(slope[1:-1], mean, where=same)
        slope[0] = _end_slope(span[0], span[1], secant[0], secant[1])
        slope[-1] = _end_slope(span[-1], span[-2], secant[-1], secant[-2])
    c = np.empty((4, len(span), values.shape[1]))
    bend = (slope[:-1] + slope[1:] - 2.0 * secant) / span
    c[0] = bend / span
    c[1] = (secant - slope[:-1]) / span - bend
    c[2] = slope[:-1]
    c[3] = values[:-1]
    return c


def _end_slope(near: FloatArray, far: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Slope at an end, from the two spans and secants next to it; it keeps the sign of the first secant."""
    slope = ((2.0 * near + far) * first - near * second) / (near + far)
    slope[np.sign(slope) != np.sign(first)] = 0.0
    steep = (np.sign(first) != np.sign(second)) & (np.abs(slope) > 3.0 * np.abs(first))
    return np.where(steep, 3.0 * first, slope)


def _flat(
    levels: FloatArray,
    method: Method = "none",
    knots: IntArray | None = None,
    dropped: IntArray | None = None,
    note: str = "",
) -> Baseline:
    empty = np.empty((0, 2), dtype=np.int64)
    c = np.zeros((len(levels) // 6, 6, 4, 1))
    c[:, :, 3, 0] = levels.reshape(-1, 6)
    return Baseline(
        method, np.zeros(1), c, empty if knots is None else knots, empty if dropped is None else dropped, note
    )


def _without_outliers(centres: FloatArray, values: FloatArray) -> NDArray[np.bool_]:
    """Knots to keep. A knot is dropped on all channels together: what disturbs one (a scuff, the other foot)
    disturbs the rest.
    """
    residual = np.empty(values.shape)
    _contacts.theil_sen_residuals(centres, np.ascontiguousarray(values), NEIGHBOURS, residual)
    size = np.abs(residual)
    keep: NDArray[np.bool_] = np.asarray(~(size > outlier_limit(size)).any(axis=1))
    return keep if keep.sum() >= 2 else np.ones(len(keep), dtype=bool)


def outlier_limit(size: FloatArray) -> FloatArray:
    """How far a knot may lie from its neighbours' line, by how far (k, n_channels) knots do."""
    return np.maximum(OUTLIER_SDS * _MAD_TO_SD * middle(size), OUTLIER_FLOOR)
