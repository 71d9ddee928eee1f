"""The sampling rate: from the caller, the header or a time column, which must not contradict each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from balancecore.errors import DataError
from balancecore.io._file import TextFile
from balancecore.io._record import FloatArray
from balancecore.trial import check_rate

#: Frames may lie this far off an even grid, in frame periods. One lost frame moves times by half a period or
#: more somewhere, so it is always found; times rounded to a few digits (0.00042 s at 2400 Hz: 1 %) stay well
#: within.
GRID_TOLERANCE_FRAMES = 0.25
#: Rates from different places may differ by this share: clocks and rounding do, mistakes are larger.
RATE_TOLERANCE = 1e-3
#: A rate this close to a whole number, and within the grid tolerance over the record, is that number.
_WHOLE_RATE_TOLERANCE = 1e-4
#: Resampling interpolates across steps up to this many periods; a longer one lost frames, which stay a gap.
MAX_BRIDGED_FRAMES = 1.5
#: Resampling may not make the record more than this many times longer: a jump in the clock is not data.
_MAX_GROWTH = 10


@dataclass(frozen=True)
class Clock:
    """A rate, the table on its even grid, and what was done for it."""

    rate_hz: float
    values: FloatArray
    notes: list[str]


def settle(
    text: TextFile,
    values: FloatArray,
    time_s: FloatArray | None,
    *,
    first_line: int,
    given_hz: float | None,
    header_hz: float | None = None,
    resample: bool = False,
) -> Clock:
    """The rate of a table, from whatever says it.

    Parameters
    ----------
    text : TextFile
        For messages.
    values : ndarray (n_frames, n_columns)
        The table.
    time_s : ndarray (n_frames,) or None
        Its time column, s.
    first_line : int
        0-based line index of the first row.
    given_hz, header_hz : float or None
        Rate from the caller and from the file's header, Hz.
    resample : bool
        Whether a table with uneven times may be interpolated.

    Raises
    ------
    DataError
        No rate, rates that differ, or uneven times without `resample`.
    """
    nominal = header_hz
    if given_hz is not None:
        if header_hz is not None:
            _refuse_difference(text, given_hz, header_hz, "the header says", len(values))
        nominal = given_hz if header_hz is None else header_hz
    if time_s is None or (len(time_s) < 2 and nominal is not None):
        if nominal is None:
            raise text.error("no time column and no rate in the header: pass rate_hz=")
        return Clock(_checked(text, nominal), values, [])
    _refuse_bad_times(text, time_s, first_line)
    measured = _even_rate(time_s)
    if measured is None:
        if not resample:
            raise _uneven(text, time_s, first_line)
        return _resampled(text, values, time_s, given_hz or header_hz)
    if nominal is not None:
        _refuse_difference(text, nominal, measured, "the time column says", len(values))
    return Clock(_checked(text, nominal or measured), values, [])


def _checked(text: TextFile, rate_hz: float) -> float:
    try:
        return check_rate(rate_hz)
    except DataError as error:
        raise text.error(str(error)) from error


def _refuse_difference(text: TextFile, nominal: float, other: float, who: str, n_frames: int) -> None:
    # In a short record, rounding of the times alone moves the rate by more than the tolerance.
    tolerance = max(RATE_TOLERANCE, GRID_TOLERANCE_FRAMES / max(1, n_frames - 1) if "time" in who else 0.0)
    if abs(nominal - other) > tolerance * other:
        raise text.error(f"the rate is given as {nominal:g} Hz but {who} {other:.7g} Hz")


def _refuse_bad_times(text: TextFile, time_s: FloatArray, first_line: int) -> None:
    if len(time_s) < 2:
        raise text.error("one row is not enough to tell the rate from the time column: pass rate_hz=")
    bad = np.flatnonzero(~np.isfinite(time_s))
    if len(bad):
        raise text.error("the time is not a number here", line=first_line + int(bad[0]))
    back = np.flatnonzero(time_s[1:] <= time_s[:-1])
    if len(back):
        k = int(back[0])
        raise text.error(
            f"the time does not increase: {time_s[k]:.9g} s is followed by {time_s[k + 1]:.9g} s",
            line=first_line + k + 1,
        )


def _even_rate(time_s: FloatArray) -> float | None:
    """The rate of evenly spaced times, or None."""
    count = len(time_s) - 1
    span = float(time_s[-1] - time_s[0])
    # An odd last frame leaves the usual step alone, rounded times the span; a whole number is likely meant.
    exact = 1.0 / float(np.median(np.diff(time_s))), count / span
    whole = [float(round(r)) for r in exact if r < 1e9 and abs(r - round(r)) <= _WHOLE_RATE_TOLERANCE * r]
    for rate in (*whole, exact[1]):
        off = np.abs((time_s - time_s[0]) * rate - np.arange(count + 1))
        if float(off.max()) <= GRID_TOLERANCE_FRAMES:
            return rate
    return None


def _uneven(text: TextFile, time_s: FloatArray, first_line: int) -> DataError:
    steps = np.diff(time_s)
    usual = float(np.median(steps))
    off = np.abs(steps - usual)
    odd = np.flatnonzero(off > GRID_TOLERANCE_FRAMES * usual)
    k = int(odd[0]) if len(odd) else int(off.argmax())
    return text.error(
        f"the times are not even: a step of {steps[k]:.6g} s where {usual:.6g} s is usual (times may lie "
        f"{GRID_TOLERANCE_FRAMES:g} of a step off an even grid). Pass resample=True to interpolate, or "
        "columns={..., 'time': None} with rate_hz= if the times are wrong",
        line=first_line + k + 1,
    )


def _resampled(text: TextFile, values: FloatArray, time_s: FloatArray, wanted_hz: float | None) -> Clock:
    """Linear interpolation to an even grid; frames inside a long step become NaN instead of invented."""
    rate = _checked(text, wanted_hz or 1.0 / float(np.median(np.diff(time_s))))
    span = float(time_s[-1] - time_s[0]) * rate
    if span > _MAX_GROWTH * len(time_s):
        raise text.error(
            f"resampling to {rate:g} Hz would make {span:.3g} frames of {len(time_s)}: check the times"
        )
    at = time_s[0] + np.arange(int(span + 1e-6) + 1) / rate
    out = np.column_stack([np.interp(at, time_s, column) for column in values.T])
    after = np.clip(np.searchsorted(time_s, at, side="left"), 1, len(time_s) - 1)
    usual = float(np.median(np.diff(time_s)))
    on_sample = np.minimum(np.abs(at - time_s[after]), np.abs(at - time_s[after - 1])) <= 1e-6 * usual
    lost = (time_s[after] - time_s[after - 1] > MAX_BRIDGED_FRAMES * usual) & ~on_sample
    out[lost] = np.nan
    note = f"{text.name}: uneven times were interpolated linearly to {rate:.7g} Hz"
    if lost.any():
        note += f"; {int(lost.sum())} frames in steps longer than {MAX_BRIDGED_FRAMES:g} periods are NaN"
    return Clock(rate, out, [note])
