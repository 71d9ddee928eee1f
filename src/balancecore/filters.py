"""Low-pass filters: Butterworth sections whose cut-off means what it says after two passes (metrics 1.12)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal

from balancecore._ext import _filters
from balancecore.errors import DataError

__all__ = ["LowPass", "corrected_cutoff_hz", "filter_segments", "lowpass", "zero_phase"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Padding of 3/fc at each end lets the transient of a 2nd-order filter at its cut-off die out (metrics 1.12).
PADDING_PERIODS = 3.0
#: Windows around contacts carry 3/fc on either side: 2.5/fc would already bring the difference from the
#: whole-record filter below 1e-6 body weights (metrics 1.12).
MARGIN_PERIODS = 3.0


def corrected_cutoff_hz(cutoff_hz: float, rate_hz: float, *, order: int = 2, passes: int = 2) -> float:
    """Design frequency that leaves -3 dB at `cutoff_hz` after several passes.

    ``C = (2**(1/passes) - 1)**(1/(2*order))`` is applied to the pre-warped frequency (Winter's correction, in the
    form that holds up to the Nyquist frequency), not to Hz.

    Examples
    --------
    >>> round(corrected_cutoff_hz(50.0, 300.0), 6)
    59.569044
    """
    factor = (2.0 ** (1.0 / passes) - 1.0) ** (1.0 / (2.0 * order))
    return rate_hz / math.pi * math.atan(math.tan(math.pi * cutoff_hz / rate_hz) / factor)


@dataclass(frozen=True, eq=False)
class LowPass:
    """A zero-phase low-pass: asked cut-off, design, and how much signal it needs.

    Attributes
    ----------
    cutoff_hz : float or None
        Frequency at which the two passes together attenuate by 3 dB; None is no filter at all.
    design_hz : float or None
        Design frequency of each pass, after the correction for two passes.
    order : int
        Order of each pass.
    sos, zi : ndarray (n_sections, 6), (n_sections, 2)
        Second-order sections and their steady state; empty without a filter.
    padding, margin : int
        Samples of odd extension at the ends of a signal; samples to filter around a window.
    """

    cutoff_hz: float | None
    design_hz: float | None
    order: int
    sos: FloatArray
    zi: FloatArray
    padding: int
    margin: int

    def describe(self) -> dict[str, Any]:
        """The filter as provenance shows it."""
        if self.cutoff_hz is None:
            return {"type": "none"}
        return {
            "type": "butterworth low-pass, forward-backward",
            "order_per_pass": self.order,
            "passes": 2,
            "cutoff_hz": self.cutoff_hz,
            "design_cutoff_hz": self.design_hz,
        }


def lowpass(cutoff_hz: float | None, rate_hz: float, *, order: int = 2, name: str = "cutoff_hz") -> LowPass:
    """Design the zero-phase low-pass of a cut-off.

    Parameters
    ----------
    cutoff_hz : float or None
        -3 dB frequency of both passes together, Hz; None for no filter.
    rate_hz : float
        Sampling rate.
    order : int
        Order of each pass (default 2: 4th order in all).
    name : str
        What the caller's option is called, for the message of an error.

    Raises
    ------
    DataError
        If the cut-off isn't below 45 % of the sampling rate.
    """
    if cutoff_hz is None:
        empty = np.empty((0, 6))
        return LowPass(None, None, order, empty, np.empty((0, 2)), 0, 2)
    try:
        cutoff = float(cutoff_hz)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{name}={cutoff_hz!r}: a cut-off is a frequency in Hz, or None for no filter"
        ) from error
    if not 0.0 < cutoff <= 0.45 * rate_hz:
        raise DataError(
            f"{name}={cutoff:g} at {rate_hz:g} Hz: the cut-off must lie above 0 and at or below 45 % of the "
            f"sampling rate ({0.45 * rate_hz:g} Hz)"
        )
    design = _design(cutoff, float(rate_hz), order)
    return replace(design, sos=design.sos.copy(), zi=design.zi.copy())


@lru_cache(maxsize=64)  # a design takes longer than the analysis of ten seconds of signal
def _design(cutoff: float, rate_hz: float, order: int) -> LowPass:
    design = corrected_cutoff_hz(cutoff, rate_hz, order=order)
    sos = np.ascontiguousarray(signal.butter(order, design, fs=rate_hz, output="sos"))
    zi = np.ascontiguousarray(signal.sosfilt_zi(sos))
    return LowPass(
        cutoff,
        design,
        order,
        sos,
        zi,
        math.ceil(PADDING_PERIODS * rate_hz / cutoff),
        math.ceil(MARGIN_PERIODS * rate_hz / cutoff),
    )


def zero_phase(x: ArrayLike, sos: ArrayLike, *, padlen: int) -> FloatArray:
    """Filter forward and backward along the first axis; the same as ``scipy.signal.sosfiltfilt``.

    Parameters
    ----------
    x : array_like (n_frames,) or (n_frames, n_channels)
        Signal; may be read-only and strided. Up to 64 channels.
    sos : array_like (n_sections, 6)
        Second-order sections, at most 8.
    padlen : int
        Samples of odd extension at each end; must be less than n_frames.

    Returns
    -------
    ndarray
        Filtered copy, same shape, float64.

    Raises
    ------
    DataError
        Wrong shape, or a signal that is not longer than the padding.

    Examples
    --------
    >>> design = lowpass(50.0, 1000.0)
    >>> zero_phase(np.ones(200), design.sos, padlen=design.padding).round(6).max()
    np.float64(1.0)
    """
    data = np.asarray(x, dtype=np.float64)
    sections = np.ascontiguousarray(sos, dtype=np.float64)
    if data.ndim not in (1, 2) or (data.ndim == 2 and not 1 <= data.shape[1] <= _filters.MAX_CHANNELS):
        raise DataError(
            f"x has shape {data.shape}: give (n_frames,) or (n_frames, n_channels), "
            f"1 to {_filters.MAX_CHANNELS} channels"
        )
    if sections.ndim != 2 or sections.shape[1] != 6 or not 1 <= len(sections) <= _filters.MAX_SECTIONS:
        raise DataError(
            f"sos has shape {sections.shape}: give (n_sections, 6), 1 to {_filters.MAX_SECTIONS} sections"
        )
    if padlen < 0 or len(data) <= padlen:
        raise DataError(
            f"{len(data)} frames are too few for a padding of {padlen}: the signal must be longer"
        )
    frames = data[:, None] if data.ndim == 1 else data
    out = np.empty(frames.shape)
    scratch = np.empty((2 * padlen + 1, frames.shape[1]))
    zi = np.ascontiguousarray(signal.sosfilt_zi(sections))
    _filters.zero_phase(frames, sections, zi, padlen, out, scratch)
    return out[:, 0] if data.ndim == 1 else out


def filter_segments(
    raw: FloatArray, segments: IntArray, design: LowPass, out: FloatArray | None = None
) -> FloatArray:
    """Zero-phase copy of a signal, stretch by stretch; NaN in gaps and in stretches shorter than the padding."""
    if out is None:
        out = np.empty(len(raw))
    position = 0
    scratch = np.empty((2 * design.padding + 1, 1))
    for low, high in segments.tolist():
        out[position:low] = np.nan
        if high - low <= design.padding:
            out[low:high] = np.nan
        elif design.cutoff_hz is None:
            out[low:high] = raw[low:high]
        else:
            _filters.zero_phase(
                raw[low:high, None], design.sos, design.zi, design.padding, out[low:high, None], scratch
            )
        position = high
    out[position:] = np.nan
    return out
