"""How different are the two limbs, and is the difference more than noise?

Indices (`symmetry_index`), their conversion (`convert_index`), the comparison of two limbs with confidence
intervals and three separate checks (`compare_limbs`), and the comparison of two stance curves
(`waveform_symmetry`).

One sign everywhere: positive means that the first limb ("left") is larger. The one exception is the symmetry
angle, which keeps its published sign (positive = right larger). An index is taken of limb means, never
averaged over strides: the mean of per-stride absolute indices is about 113·CV even where nothing is
asymmetric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import simpson

from balancecore._ext._bootstrap import circular_block_sums, resample_sums
from balancecore._ext._statistics import row_statistics, rows_settled
from balancecore.errors import DataError, MissingExtraError
from balancecore.markup import notebook_table, plain_number
from balancecore.medians import median

__all__ = [
    "KINDS",
    "MAGNITUDE",
    "MIN_BOOT",
    "MIN_PAIRS",
    "NET",
    "IndexKind",
    "Stat",
    "SymmetryRow",
    "SymmetryTable",
    "WaveformSymmetry",
    "block_length",
    "block_starts",
    "compare_limbs",
    "convert_index",
    "noise_floor",
    "pair_strides",
    "percentile_interval",
    "planning_steps",
    "replicate_sums",
    "si_standard_error",
    "statistics",
    "steps_needed",
    "symmetry_index",
    "waveform_symmetry",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Net components are near zero by nature, so that an index of them says nothing (metrics 5.1, edge rules).
NET = frozenset({"imp_ap_net", "imp_ml_net"})
#: Metrics with one sign by definition, often negative: their indices are taken of magnitudes.
MAGNITUDE = frozenset({"imp_brake", "imp_brake_phase", "peak_brake", "imp_lat"})
#: Two pairs can only be drawn in four ways, which is no distribution.
MIN_PAIRS = 3
#: A percentile interval is given up where more replicates than this share have no index (means of unlike
#: sign).
MAX_UNDEFINED = 0.01
MIN_BOOT = 40


# ---------------------------------------------------------------------------------------------------- indices


@dataclass(frozen=True)
class IndexKind:
    """What an index is: formula, range, meaning of its sign, and source."""

    definition: str
    range: str
    sign: str
    source: str


_FIRST = "+ = left (first limb) larger"
_UNSIGNED = "no side"

#: Every index by its id. "from memory" marks what has not been checked against the original text.
KINDS: Mapping[str, IndexKind] = MappingProxyType(
    {
        "si": IndexKind("(L - R) / ((L + R) / 2) * 100", "-200 to 200 %", _FIRST, "Robinson 1987"),
        "asi": IndexKind("|si|", "0 to 200 %", _UNSIGNED, "absolute value of si"),
        "asym_sum": IndexKind(
            "(L - R) / (L + R) * 100", "-100 to 100 %", _FIRST, "half of si; some tools call this one SI"
        ),
        "ratio": IndexKind("L / R", "0 to inf", "> 1 = left (first limb) larger", "common use"),
        "lsi": IndexKind(
            "involved / uninvolved * 100; min / max * 100 where the involved limb is not known",
            "0 to 100 % (more where the involved limb is the stronger one)",
            _UNSIGNED,
            "common use after knee surgery",
        ),
        "pct_diff_max": IndexKind(
            "(max - min) / max * 100, signed by the stronger limb",
            "-100 to 100 %",
            _FIRST,
            "Bishop 2016/2018 (formula from memory)",
        ),
        "ga_ln": IndexKind("100 * ln(L / R)", "unbounded, %", _FIRST, "Plotnik, there as |ln(min / max)|"),
        "sa": IndexKind(
            "(45 deg - atan(L / R)) / 90 deg * 100; 180 deg less where the difference is above 90 deg",
            "-100 to 100 %",
            "+ = RIGHT (second limb) larger, as published",
            "Zifchock 2008 (branch above 90 deg from memory)",
        ),
        "nsi": IndexKind(
            "mean over trials of (L_i - R_i) / (max(0, all L and R) - min(0, all L and R)) * 100",
            "-100 to 100 %",
            "+ = left (first limb) larger as a signed number; published with the dominant limb first",
            "Queen 2020",
        ),
        "usi": IndexKind(
            "(L - R) / sqrt(L^2 + R^2) * 100",
            "-141.4 to 141.4 % (within 100 for means of one sign)",
            "+ = left (first limb) larger as a signed number",
            "Alves 2020",
        ),
        "wusi": IndexKind(
            "usi * (1 - sqrt(2) s / sqrt(2 s^2 + L^2 + R^2)), s the larger SD of the two limbs",
            "-141.4 to 141.4 %",
            "+ = left (first limb) larger as a signed number",
            "Alves 2020",
        ),
    }
)


def _comparable(left: FloatArray, right: FloatArray) -> NDArray[np.bool_]:
    """Whether both have the same sign; then |L + R| is |L| + |R|, and no denominator is near zero beside them."""
    comparable: NDArray[np.bool_] = ((left > 0.0) & (right > 0.0)) | ((left < 0.0) & (right < 0.0))
    return comparable


def _si(left: FloatArray, right: FloatArray) -> FloatArray:
    return 100.0 * (left - right) / (0.5 * (left + right))


def _pct_diff_max(left: FloatArray, right: FloatArray) -> FloatArray:
    left, right = np.abs(left), np.abs(right)
    return 100.0 * (left - right) / np.maximum(left, right)


def _lsi(left: FloatArray, right: FloatArray) -> FloatArray:
    left, right = np.abs(left), np.abs(right)
    return 100.0 * np.minimum(left, right) / np.maximum(left, right)


def _sa(left: FloatArray, right: FloatArray) -> FloatArray:
    angle = 45.0 - np.degrees(np.arctan(left / right))
    return np.where(angle > 90.0, angle - 180.0, angle) / 0.9


def _nsi_pair(left: FloatArray, right: FloatArray) -> FloatArray:
    spread = np.maximum(0.0, np.maximum(left, right)) - np.minimum(0.0, np.minimum(left, right))
    index: FloatArray = 100.0 * (left - right) / spread
    return index


def _usi(left: FloatArray, right: FloatArray) -> FloatArray:
    index: FloatArray = 100.0 * (left - right) / np.hypot(left, right)
    return index


_PairIndex = Callable[[FloatArray, FloatArray], FloatArray]

#: Indices that mean something only where both limb means have the same sign; the others are always defined.
_SAME_SIGN: Mapping[str, _PairIndex] = {
    "si": _si,
    "asi": lambda left, right: np.abs(_si(left, right)),
    "asym_sum": lambda left, right: 0.5 * _si(left, right),
    "ratio": lambda left, right: left / right,
    "lsi": _lsi,
    "pct_diff_max": _pct_diff_max,
    "ga_ln": lambda left, right: 100.0 * np.log(left / right),
}
_ANY_SIGN: Mapping[str, _PairIndex] = {"sa": _sa, "usi": _usi}


def _elementwise(left: FloatArray, right: FloatArray, kind: str) -> FloatArray:
    with np.errstate(all="ignore"):
        if kind in _SAME_SIGN:
            return np.where(_comparable(left, right), _SAME_SIGN[kind](left, right), np.nan)
        if kind == "nsi":
            return _nsi_pair(left, right)
        return _ANY_SIGN[kind](left, right)


def _nsi(left: FloatArray, right: FloatArray) -> float:
    if left.shape != right.shape:
        raise DataError(f"nsi compares trial by trial: left has {left.size} trials, right has {right.size}")
    return float(_nsi_rows(left[None, :], right[None, :])[0])


def _nsi_rows(left: FloatArray, right: FloatArray) -> FloatArray:
    """Normalised index of each row of paired trials (m, n)."""
    both = np.isfinite(left) & np.isfinite(right)
    left, right = np.where(both, left, 0.0), np.where(both, right, 0.0)
    top = np.maximum(left, right).max(axis=1, initial=0.0)
    bottom = np.minimum(left, right).min(axis=1, initial=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        index = 100.0 * ((left - right).sum(axis=1) / both.sum(axis=1)) / (top - bottom)
    return np.where(top > bottom, index, np.nan)


def _wusi(left: FloatArray, right: FloatArray) -> float:
    one, other = statistics(left[None, :])[0], statistics(right[None, :])[0]
    if one.n < 2 or other.n < 2:
        return math.nan
    sigma = max(one.sd, other.sd)
    squares = one.mean**2 + other.mean**2
    if squares == 0:
        return math.nan
    weight = 1.0 - math.sqrt(2.0) * sigma / math.sqrt(2.0 * sigma**2 + squares)
    return 100.0 * weight * (one.mean - other.mean) / math.sqrt(squares)


@overload
def symmetry_index(left: float, right: float, kind: str = "si", *, involved: str | None = None) -> float: ...
@overload
def symmetry_index(
    left: ArrayLike, right: ArrayLike, kind: str = "si", *, involved: str | None = None
) -> float | FloatArray: ...
def symmetry_index(
    left: ArrayLike, right: ArrayLike, kind: str = "si", *, involved: str | None = None
) -> float | FloatArray:
    """Compare two limbs by one of the indices in `KINDS`.

    Parameters
    ----------
    left, right : float or array_like
        Limb means of the same metric in the same unit, element by element. For ``"nsi"`` and ``"wusi"`` the
        single trials of each limb, which give one value; pairs of trials with a missing value are left out of
        ``"nsi"``.
    kind : str
        ``"si"`` (default), ``"asi"``, ``"asym_sum"``, ``"ratio"``, ``"lsi"``, ``"pct_diff_max"``,
        ``"ga_ln"``, ``"sa"``, ``"nsi"``, ``"usi"`` or ``"wusi"``; formulas and sources are in `KINDS`.
    involved : {"L", "R"}, optional
        For ``"lsi"`` only: the involved (operated, paretic) limb. Without it the weaker limb is divided by
        the stronger one.

    Returns
    -------
    float or ndarray
        In % (``"ratio"``: no unit). Positive = left larger; ``"sa"`` as published: positive = right larger.
        A float for scalars, ``"nsi"`` and ``"wusi"``.

    Notes
    -----
    ``si``, ``asi``, ``asym_sum``, ``ratio``, ``lsi``, ``pct_diff_max`` and ``ga_ln`` are NaN where the limb
    means have different signs, where one is zero, or where ``|L + R| ≤ 1e-12·(|L| + |R|)``. Two negative means
    are compared by magnitude. ``sa``, ``nsi`` and ``usi`` stay defined unless both means are zero.

    Examples
    --------
    >>> round(symmetry_index(1.05, 0.95), 3)
    10.0
    """
    if kind not in KINDS:
        raise DataError(f"kind={kind!r} is not an index; choose one of {', '.join(KINDS)}")
    if involved is not None and (kind != "lsi" or involved not in ("L", "R")):
        raise DataError(
            f"involved={involved!r} with kind={kind!r}: give 'L' or 'R', and only with kind='lsi'"
        )
    one, other = _floats(left, "left"), _floats(right, "right")
    if kind == "wusi" or (kind == "nsi" and (one.ndim or other.ndim)):
        return (_nsi if kind == "nsi" else _wusi)(one.ravel(), other.ravel())
    try:
        one, other = np.broadcast_arrays(one, other)
    except ValueError as error:
        raise DataError(
            f"left has shape {one.shape}, right has shape {other.shape}: they don't fit"
        ) from error
    if involved is not None:
        first, second = (one, other) if involved == "L" else (other, one)
        index = 100.0 * _elementwise(first, second, "ratio")
    else:
        index = _elementwise(one, other, kind)
    return index if index.ndim else float(index)


def _within(value: FloatArray, low: float, high: float) -> FloatArray:
    return np.where((value > low) & (value < high), value, np.nan)


def _ratio_from_share(share: FloatArray) -> FloatArray:
    return np.where(share > 0, 1.0 / (1.0 - np.abs(share)), 1.0 - np.abs(share))


def _ratio_from_usi(value: FloatArray) -> FloatArray:
    # u^2 (r^2 + 1) = (r - 1)^2 has two reciprocal roots; the sign of u says which.
    u = np.abs(value) / 100.0
    rest = 1.0 - u * u
    larger = (1.0 + u * np.sqrt(2.0 - u * u)) / rest
    return np.where(value > 0, larger, 1.0 / larger)


_TO_RATIO: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "si": lambda v: (200.0 + _within(v, -200, 200)) / (200.0 - v),
    "asi": lambda v: (200.0 + np.where((v >= 0) & (v < 200), v, np.nan)) / (200.0 - v),
    "asym_sum": lambda v: (100.0 + _within(v, -100, 100)) / (100.0 - v),
    "ratio": lambda v: _within(v, 0, np.inf),
    "lsi": lambda v: 100.0 / np.where((v > 0) & (v <= 100), v, np.nan),
    "pct_diff_max": lambda v: _ratio_from_share(_within(v, -100, 100) / 100.0),
    "ga_ln": lambda v: np.exp(v / 100.0),
    "sa": lambda v: np.tan(np.radians(45.0 - 0.9 * _within(v, -50, 50))),
    "nsi": lambda v: _ratio_from_share(_within(v, -100, 100) / 100.0),
    "usi": lambda v: _ratio_from_usi(_within(v, -100, 100)),
}


def convert_index(value: ArrayLike, from_kind: str, to_kind: str) -> float | FloatArray:
    """Convert between indices of one pair of limb means with the same sign.

    Each of these indices is a function of L/R alone, so the conversion goes through that ratio and keeps the
    side.

    Parameters
    ----------
    value : float or array_like
        The index, in % (``"ratio"``: no unit).
    from_kind, to_kind : str
        ``"si"``, ``"asi"``, ``"asym_sum"``, ``"ratio"``, ``"lsi"`` (weaker / stronger), ``"pct_diff_max"``,
        ``"ga_ln"``, ``"sa"`` (published sign), ``"nsi"`` (of a single pair) or ``"usi"``.

    Returns
    -------
    float or ndarray
        The other index; NaN for a value that no two positive limb means can give.

    Notes
    -----
    ``asi`` and ``lsi`` don't tell the side: converting to them loses it, converting from them takes the left
    limb as the larger one. ``wusi`` and ``nsi`` over several trials depend on more than the ratio and can't
    be converted.

    Examples
    --------
    >>> round(convert_index(10.0, "si", "sa"), 2)
    -3.18
    """
    for kind in (from_kind, to_kind):
        if kind not in _TO_RATIO:
            raise DataError(f"{kind!r} can't be converted; choose among {', '.join(_TO_RATIO)}")
    with np.errstate(all="ignore"):
        ratio = _TO_RATIO[from_kind](_floats(value, "value"))
    index = _elementwise(np.asarray(ratio), np.ones_like(ratio), to_kind)
    return index if index.ndim else float(index)


def _floats(values: ArrayLike, name: str) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be numbers: {error}") from error


# ----------------------------------------------------------------------------------- variability and planning


class Stat(NamedTuple):
    """Mean, sample SD and number of the finite values of a metric of one limb."""

    mean: float
    sd: float
    n: int

    @property
    def cv(self) -> float:
        """SD / |mean|, as a fraction."""
        return self.sd / abs(self.mean) if self.mean else math.nan


def statistics(rows: FloatArray) -> list[Stat]:
    """Mean, SD and number of the finite values of each row (m, n)."""
    found = np.empty((len(rows), 3))
    row_statistics(np.ascontiguousarray(rows, dtype=np.float64), found)
    return [Stat(mean, sd, int(n)) for mean, sd, n in found.tolist()]


def si_standard_error(
    left: float, right: float, sd_left: float, sd_right: float, n_left: int, n_right: int
) -> float:
    """Give the standard error of SI by the delta method, in % points.

    ``SE² = (400·R/(L+R)²)²·sL²/nL + (400·L/(L+R)²)²·sR²/nR`` for independent limbs and independent steps
    (metrics 5.4). Steps of one run are autocorrelated and limbs are not independent, so the bootstrap
    interval of `compare_limbs` is the answer and this is its cross-check.

    Parameters
    ----------
    left, right : float
        Limb means.
    sd_left, sd_right : float
        Sample SD over steps, same unit.
    n_left, n_right : int
        Steps.

    Returns
    -------
    float
        NaN where it is not defined.
    """
    total = left + right
    if not abs(total) > 0 or n_left < 1 or n_right < 1:
        return math.nan
    # Shares first: the square of a large or small total would leave the range of numbers.
    return math.hypot(
        400.0 * (right / total) * (sd_left / total) / math.sqrt(n_left),
        400.0 * (left / total) * (sd_right / total) / math.sqrt(n_right),
    )


def noise_floor(cv_pct: float, n_left: int, n_right: int | None = None) -> float:
    """Give the |SI| to expect from step variability alone, with perfectly symmetric limbs, in %.

    ``E|SI| = CV·√(1/nL + 1/nR)·√(2/π)``, which is ``CV·√(2/n)·√(2/π)`` for n steps a limb (metrics 5.2); for
    unequal numbers n is their harmonic mean. It assumes independent steps.

    Parameters
    ----------
    cv_pct : float
        Step-to-step coefficient of variation, %; pooled over the limbs.
    n_left, n_right : int
        Steps per limb; one number serves for both.

    Returns
    -------
    float
        NaN without steps in both limbs.
    """
    n_right = n_left if n_right is None else n_right
    if n_left < 1 or n_right < 1:
        return math.nan
    return cv_pct * math.sqrt(1.0 / n_left + 1.0 / n_right) * math.sqrt(2.0 / math.pi)


def planning_steps(cv_pct: float, half_width_pct: float = 2.0) -> int | None:
    """Give the steps per limb for a 95 % interval of SI of ± `half_width_pct`.

    ``n ≥ 2·(1.96·CV/h)²`` (metrics 5.4), for independent steps with the same CV in both limbs.

    Parameters
    ----------
    cv_pct : float
        Step-to-step coefficient of variation, %.
    half_width_pct : float
        Wanted half-width of the interval, % points of SI.

    Returns
    -------
    int or None
        At least 1; None where the CV is not finite.
    """
    if not half_width_pct > 0:
        raise DataError(f"half_width_pct={half_width_pct}: must be positive")
    return max(1, math.ceil(2.0 * (1.96 * cv_pct / half_width_pct) ** 2)) if math.isfinite(cv_pct) else None


def steps_needed(values: ArrayLike, tolerance_sd: float = 0.25) -> int | None:
    """Give the number of steps after which the mean settled (sequential estimation technique).

    The smallest n from which on every cumulative mean stays within ± `tolerance_sd` SD of the mean of all
    steps. The 0.25 is customary and quoted from memory. It looks back on one recording: a longer one may
    settle later.

    Parameters
    ----------
    values : array_like
        One value a step of one limb, in order of time; values that are not finite are left out.
    tolerance_sd : float
        Half-width of the band, in SD of all steps.

    Returns
    -------
    int or None
        None with fewer than 2 values.
    """
    numbers = _floats(values, "values").reshape(1, -1)
    return _settled(numbers, statistics(numbers), tolerance_sd)[0]


def _settled(rows: FloatArray, limbs: list[Stat], tolerance_sd: float = 0.25) -> list[int | None]:
    """`steps_needed` of each row (m, n), whose statistics are known."""
    needed = np.empty(len(rows), dtype=np.int64)
    known = np.array(limbs, dtype=np.float64).reshape(-1, 3)
    rows_settled(np.ascontiguousarray(rows, dtype=np.float64), known, tolerance_sd, needed)
    return [k if limb.n > 1 else None for k, limb in zip(needed.tolist(), limbs, strict=True)]


# ---------------------------------------------------------------------------------------------------- pairing


def pair_strides(limb: ArrayLike, t_on: ArrayLike, *, max_gap: float = 1.5) -> IntArray:
    """Pair consecutive contacts of opposite limbs: the strides that the bootstrap draws.

    Contacts are taken in order of time and each is used once. A pair never spans a missing contact: its two
    onsets are at most `max_gap` median step times apart, and an unusable contact between two usable ones
    parts them.

    Parameters
    ----------
    limb : array_like of int (n,)
        0 for the first limb, 1 for the second, -1 for a contact that may not be used.
    t_on : array_like (n,)
        Onset times, s.
    max_gap : float
        Longest step in a pair, in median step times.

    Returns
    -------
    ndarray of int64 (n_pairs, 2)
        Indices of the contacts of the first limb and of the second limb, whichever came first.
    """
    limbs = _limbs(limb)
    times = _floats(t_on, "t_on")
    if times.shape != limbs.shape:
        raise DataError(
            f"limb has {limbs.size} contacts, t_on has shape {times.shape}: one onset a contact is needed"
        )
    order = np.argsort(times, kind="stable")
    order = order[np.isfinite(times[order])]
    if order.size < 2:
        return np.empty((0, 2), dtype=np.int64)
    steps = np.diff(times[order])
    in_order = limbs[order]
    joins = (steps <= max_gap * median(steps)) & (in_order[:-1] + in_order[1:] == 1)
    # In a run of joined contacts every other join makes a pair.
    number = np.arange(len(joins))
    run_start = np.maximum.accumulate(np.where(np.concatenate(([True], ~joins[:-1])), number, 0))
    at = np.flatnonzero(joins & ((number - run_start) % 2 == 0))
    first = np.where(in_order[at] == 0, at, at + 1)
    return np.column_stack((order[first], order[2 * at + 1 - first])).astype(np.int64)


def _limbs(limb: ArrayLike) -> IntArray:
    limbs = np.asarray(limb)
    if limbs.ndim != 1:
        raise DataError(f"limb has {limbs.ndim} dimensions: one number a contact is needed")
    if limbs.size and not ((limbs == 0) | (limbs == 1) | (limbs == -1)).all():
        raise DataError("limb must hold 0 (first limb), 1 (second limb) or -1 (not usable) only")
    return limbs.astype(np.int64)


# -------------------------------------------------------------------------------------------------- bootstrap


def block_length(n: int) -> int:
    """⌈n^(1/3)⌉ in whole numbers: a floating-point cube root would be off by one for some cubes."""
    length = 0
    while length**3 < n:
        length += 1
    return length


def block_starts(n: int, n_boot: int, n_blocks: int, seed: int | Sequence[int]) -> IntArray:
    """Draw block starts 0 ≤ start < n: the high 32 bits of raw PCG64 output times n, shifted down by 32.

    NumPy promises the raw stream of a bit generator, but not what its distributions make of it. The bias of
    the multiply-shift is below n / 2³².
    """
    starts: NDArray[np.uint64] = np.random.PCG64(seed).random_raw(n_boot * n_blocks)
    starts >>= np.uint64(32)
    starts *= np.uint64(n)
    starts >>= np.uint64(32)
    return starts.view(np.int64).reshape(n_boot, n_blocks)


def replicate_sums(values: FloatArray, length: int, starts: IntArray) -> FloatArray:
    """Sum every column of finite values (n, m) over each replicate's blocks: (m, n_boot)."""
    n = len(values)
    full, last = np.empty_like(values), np.empty_like(values)
    sums = np.empty((values.shape[1], len(starts)))
    circular_block_sums(values, length, full)
    circular_block_sums(values, n - (starts.shape[1] - 1) * length, last)
    resample_sums(full, last, starts, sums, np.empty((n, 4)))
    return sums


def _replicate_means(values: FloatArray, centre: FloatArray, length: int, starts: IntArray) -> FloatArray:
    """Mean of every column over every replicate's finite values, (m, n_boot); NaN where it has none."""
    finite = np.isfinite(values)
    sums = replicate_sums(np.ascontiguousarray(np.where(finite, values - centre, 0.0)), length, starts)
    # Many metrics are missing in the same steps: each pattern is counted once.
    pattern = [column.tobytes() for column in np.ascontiguousarray(finite.T)]
    place = {bits: k for k, bits in enumerate(dict.fromkeys(pattern))}
    present = np.array([np.frombuffer(bits, dtype=bool) for bits in place], dtype=np.float64)
    counts = replicate_sums(np.ascontiguousarray(present.T), length, starts)
    with np.errstate(invalid="ignore"):
        sums /= np.take(counts, [place[bits] for bits in pattern], axis=0)
        sums += centre[:, None]
    return sums


def percentile_interval(replicates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """2.5 and 97.5 percentiles of each row, linear between order statistics; NaN if too few are numbers."""
    m, n_boot = replicates.shape
    ordered = np.sort(replicates, axis=1)  # NaN goes last
    defined = np.isfinite(ordered).sum(axis=1)
    limits = np.full((2, m), np.nan)
    for k in np.flatnonzero(defined >= (1.0 - MAX_UNDEFINED) * n_boot):
        n = int(defined[k])
        place = 0.025 * (n - 1)
        below, part = int(place), place - int(place)
        row = ordered[k]
        # Counted from both ends, so that swapping the limbs flips the interval exactly.
        limits[0, k] = row[below] + part * (row[below + 1] - row[below])
        limits[1, k] = row[n - 1 - below] - part * (row[n - 1 - below] - row[n - 2 - below])
    return limits[0], limits[1]


def _bootstrap_si(
    first: FloatArray, second: FloatArray, centre: FloatArray, n_boot: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Percentile interval of the SI of each column of paired values (n_pairs, m).

    `centre` holds a value of each limb (2, m) near its values: sums of what is left beside it round off less.
    """
    n, m = first.shape
    enough = (np.isfinite(first).sum(axis=0) >= MIN_PAIRS) & (np.isfinite(second).sum(axis=0) >= MIN_PAIRS)
    low, high = np.full(m, np.nan), np.full(m, np.nan)
    if not n_boot or not enough.any():
        return low, high
    length = block_length(n)
    starts = block_starts(n, n_boot, -(-n // length), seed)
    both = np.hstack([first[:, enough], second[:, enough]])
    means = _replicate_means(both, centre[:, enough].ravel(), length, starts)
    half = len(means) // 2
    low[enough], high[enough] = percentile_interval(_elementwise(means[:half], means[half:], "si"))
    return low, high


# --------------------------------------------------------------------------------------------- the comparison


@dataclass(frozen=True)
class SymmetryRow:
    """One metric of two limbs compared.

    Attributes
    ----------
    metric : str
        The metric's id.
    left, right : float
        Means of the first and of the second limb over their finite values, in the metric's unit, signed as
        measured.
    sd_left, sd_right : float
        Sample SD over steps.
    n_left, n_right : int
        Finite values.
    si, ga_ln, sa, lsi : float
        Indices of the limb means, %; `sa` in its published sign (+ = right larger), `lsi` weaker / stronger.
    nsi : float
        Normalised index over the stride pairs, %.
    ci_low, ci_high : float
        95 % percentile interval of `si`, from resampled blocks of stride pairs.
    se : float
        Standard error of `si` by the delta method (independent steps), % points.
    noise_floor : float
        |SI| to expect from step variability alone, %: see `noise_floor`, with the CV pooled over both limbs.
    n_needed : int or None
        Steps after which the mean settled, the larger of both limbs: see `steps_needed`.
    n_planning : int or None
        Steps per limb for an interval of ± 2 % points: see `planning_steps`, with the pooled CV.
    distinguishable : bool or None
        Whether the interval excludes zero; None without an interval.
    beyond_variability : bool or None
        Whether |SI| exceeds the CV of the more variable limb.
    beyond_error : bool or None
        Whether |SI| exceeds the minimal detectable change of SI given for this metric; None if none was
        given.
    note : str
        Why something is missing or to be read with care; empty if there is nothing to say.
    """

    metric: str
    left: float
    right: float
    sd_left: float
    sd_right: float
    n_left: int
    n_right: int
    si: float
    ga_ln: float
    sa: float
    lsi: float
    nsi: float
    ci_low: float
    ci_high: float
    se: float
    noise_floor: float
    n_needed: int | None
    n_planning: int | None
    distinguishable: bool | None
    beyond_variability: bool | None
    beyond_error: bool | None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields for JSON, NaN as None."""
        return {name: _json(value) for name, value in asdict(self).items()}


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, repr=False)
class SymmetryTable:
    """Rows of `compare_limbs`, by position or by metric: ``table[0]``, ``table["tc"]``, ``"tc" in table``.

    Attributes
    ----------
    rows : tuple of SymmetryRow
        A row a metric, in the order given.
    limbs : tuple of 2 str
        Names of the first and of the second limb; positive indices mean that the first is larger.
    n_pairs, block_length : int
        Stride pairs and the number of them in a block of the bootstrap.
    n_boot, seed : int
        Replicates, and the seed that repeats them.
    """

    rows: tuple[SymmetryRow, ...]
    limbs: tuple[str, str]
    n_pairs: int
    block_length: int
    n_boot: int
    seed: int

    @property
    def metrics(self) -> tuple[str, ...]:
        """Ids of the metrics."""
        return tuple(row.metric for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[SymmetryRow]:
        return iter(self.rows)

    def __contains__(self, metric: object) -> bool:
        return metric in self.metrics

    def __getitem__(self, key: str | int) -> SymmetryRow:
        if isinstance(key, str):
            if key not in self.metrics:
                raise KeyError(f"no metric {key!r}; there are {', '.join(self.metrics) or 'none'}")
            return self.rows[self.metrics.index(key)]
        return self.rows[key]

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON, NaN as None."""
        return {
            "limbs": list(self.limbs),
            "n_pairs": self.n_pairs,
            "block_length": self.block_length,
            "n_boot": self.n_boot,
            "seed": self.seed,
            "rows": [row.to_dict() for row in self.rows],
        }

    def to_pandas(self) -> Any:
        """Return a DataFrame with the metrics as index; needs pandas (the extra ``tables``)."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("to_pandas needs pandas: pip install 'balancecore[tables]'") from error
        columns = [item.name for item in fields(SymmetryRow)]
        cells = [[getattr(row, name) for name in columns] for row in self.rows]
        return pd.DataFrame(cells, columns=columns).set_index("metric")

    def __repr__(self) -> str:
        head, titles = self._head()
        lines = [titles, *(self._cells(row) for row in self.rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(titles))]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
        ]
        return "\n".join([head, *(line.rstrip() for line in text)])

    def _repr_html_(self) -> str:
        head, titles = self._head()
        return notebook_table(head, titles, [self._cells(row) for row in self.rows])

    def _head(self) -> tuple[str, list[str]]:
        first, second = self.limbs
        head = (
            f"SymmetryTable: {len(self)} metrics, {self.n_pairs} stride pairs; "
            f"SI > 0 means {first} > {second} ({self.n_boot} replicates, blocks of {self.block_length}, "
            f"seed {self.seed})"
        )
        titles = [
            "metric",
            first,
            second,
            "SI %",
            "95 % CI",
            "noise %",
            "larger",
            "CI≠0",
            ">CV",
            ">MDC",
            "note",
        ]
        return head, titles

    def _cells(self, row: SymmetryRow) -> list[str]:
        return [
            row.metric,
            plain_number(row.left, ".4g"),
            plain_number(row.right, ".4g"),
            plain_number(row.si, "+.2f"),
            "-"
            if math.isnan(row.ci_low)
            else " to ".join(plain_number(end, "+.2f") for end in (row.ci_low, row.ci_high)),
            plain_number(row.noise_floor, ".2f"),
            _larger(row.si, self.limbs),
            *(
                "-" if light is None else "yes" if light else "no"
                for light in (row.distinguishable, row.beyond_variability, row.beyond_error)
            ),
            row.note,
        ]


def _larger(si: float, limbs: tuple[str, str]) -> str:
    if math.isnan(si):
        return "-"
    sign = ">" if si > 0 else "<" if si < 0 else "="
    return f"{limbs[0]} {sign} {limbs[1]}"


def compare_limbs(
    values: Mapping[str, ArrayLike],
    limb: ArrayLike,
    pairs: ArrayLike,
    *,
    limbs: Sequence[str] = ("L", "R"),
    n_boot: int = 2000,
    seed: int = 0,
    mdc95: Mapping[str, float] | None = None,
    magnitude: frozenset[str] = MAGNITUDE,
) -> SymmetryTable:
    """Compare two limbs, metric by metric: index of the limb means, its interval and three checks.

    Parameters
    ----------
    values : mapping of str to array_like (n_steps,)
        Each metric's value for every step; a value that is not finite is missing.
    limb : array_like of int (n_steps,)
        0 for the first limb, 1 for the second, -1 for a step that is left out.
    pairs : array_like of int (n_pairs, 2)
        Steps of the first and of the second limb that belong together, from `pair_strides`.
    limbs : sequence of 2 str
        Names of the limbs.
    n_boot : int
        Bootstrap replicates, at least 40; 0 for no interval.
    seed : int
        Not negative; the same seed gives the same intervals.
    mdc95 : mapping of str to float, optional
        Minimal detectable change of SI in this laboratory, % points, for some or all metrics.
    magnitude : frozenset of str
        Metrics with one sign by definition: they are turned so that larger means larger in magnitude. Only
        the signed index `nsi` depends on it.

    Returns
    -------
    SymmetryTable
        A row a metric. What can't be computed is NaN or None, with the reason in `note`.

    Notes
    -----
    Means, SD and indices use every usable step, the interval the stride pairs. Pairs are drawn in circular
    blocks of ⌈n^(1/3)⌉ pairs, because successive steps are correlated, and the same blocks for every metric;
    the last block is cut so that a replicate has n pairs. The interval is the 2.5 and 97.5 percentile of the
    replicates' SI. It is NaN with fewer than 3 values of a limb in pairs, or where more than 1 % of the
    replicates have means of unlike sign.

    With few pairs the interval is too narrow: for independent steps it covers about 91 % with 40 pairs and
    87 % with 10.

    The net AP and ML impulses are refused (NaN with a note): they are near zero, where an index explodes.
    """
    limb_of = _limbs(limb)
    names, data = _matrix(values, limb_of.size)
    pairing = _checked_pairs(pairs, limb_of)
    limb_names = tuple(str(name) for name in limbs)
    if len(limb_names) != 2:
        raise DataError(f"limbs={limb_names!r}: two names are needed")
    if n_boot != 0 and n_boot < MIN_BOOT:
        raise DataError(
            f"n_boot={n_boot}: the 2.5 % tails need at least {MIN_BOOT} replicates (0: no interval)"
        )
    if seed < 0:
        raise DataError(f"seed={seed}: must not be negative")
    by_limb = [np.compress(limb_of == k, data, axis=1) for k in range(2)]
    one, other = (statistics(part) for part in by_limb)
    needed = [_settled(part, limb) for part, limb in zip(by_limb, (one, other), strict=True)]
    flips = _orientations(names, one, other, magnitude)
    one, other = (_turned(limbs, flips) for limbs in (one, other))
    data *= flips
    first, second = (np.take(data, pairing[:, k], axis=1) for k in range(2))
    centre = np.array([[limb.mean for limb in limbs] for limbs in (one, other)])
    low, high = _bootstrap_si(first.T, second.T, centre, n_boot, seed)
    index = _indices(names, one, other)
    index["nsi"] = np.where([name in NET for name in names], np.nan, _nsi_rows(first, second)).tolist()
    paired = np.minimum(np.isfinite(first).sum(axis=1), np.isfinite(second).sum(axis=1))
    rows = []
    for k, name in enumerate(names):
        metric = _Metric(
            name=name,
            one=one[k],
            other=other[k],
            paired=int(paired[k]),
            needed=(needed[0][k], needed[1][k]),
            index={kind: values[k] for kind, values in index.items()},
            interval=(float(low[k]), float(high[k])),
            flip=float(flips[k, 0]),
            mdc95=math.nan if mdc95 is None else float(mdc95.get(name, math.nan)),
        )
        rows.append(_row(metric, limb_names, n_boot))
    return SymmetryTable(
        rows=tuple(rows),
        limbs=(limb_names[0], limb_names[1]),
        n_pairs=len(pairing),
        block_length=block_length(len(pairing)),
        n_boot=int(n_boot),
        seed=int(seed),
    )


@dataclass(frozen=True)
class _Metric:
    """What a row is made of: one metric by limb, its values in pairs, its indices and the interval of SI."""

    name: str
    one: Stat
    other: Stat
    paired: int
    needed: tuple[int | None, int | None]
    index: dict[str, float]
    interval: tuple[float, float]
    flip: float
    mdc95: float


def _matrix(values: Mapping[str, ArrayLike], n_steps: int) -> tuple[list[str], FloatArray]:
    """A row a metric (m, n_steps), every value that is not finite as NaN."""
    data = np.empty((len(values), n_steps))
    for k, (name, column) in enumerate(values.items()):
        numbers = _floats(column, name)
        if numbers.shape != (n_steps,):
            raise DataError(
                f"{name} has shape {numbers.shape}, limb has {n_steps} steps: one value a step is needed"
            )
        data[k] = numbers
    data[~np.isfinite(data)] = np.nan
    return list(values), data


def _checked_pairs(pairs: ArrayLike, limb_of: IntArray) -> IntArray:
    indices = np.asarray(pairs)
    if indices.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    if indices.ndim != 2 or indices.shape[1] != 2 or indices.dtype.kind not in "iu":
        raise DataError(
            f"pairs has shape {indices.shape} of {indices.dtype}: whole numbers (n_pairs, 2) are needed"
        )
    indices = indices.astype(np.int64)
    if indices.min() < 0 or indices.max() >= limb_of.size:
        raise DataError(f"pairs points outside the {limb_of.size} steps")
    used = np.zeros(limb_of.size, dtype=bool)
    used[indices] = True
    if used.sum() != indices.size:
        raise DataError("pairs uses a step twice")
    if (limb_of[indices[:, 0]] != 0).any() or (limb_of[indices[:, 1]] != 1).any():
        raise DataError("pairs must name a step of the first limb (0), then one of the second (1)")
    return indices


def _orientations(
    names: list[str], one: list[Stat], other: list[Stat], magnitude: frozenset[str]
) -> FloatArray:
    """-1 for the metrics with one sign whose limb means are negative, else 1: (m, 1)."""
    return np.array(
        [
            [-1.0 if name in magnitude and a.mean + b.mean < 0 else 1.0]
            for name, a, b in zip(names, one, other, strict=True)
        ]
    ).reshape(-1, 1)


def _turned(limbs: list[Stat], flips: FloatArray) -> list[Stat]:
    return [
        limb if flip > 0 else limb._replace(mean=-limb.mean)
        for limb, flip in zip(limbs, flips[:, 0].tolist(), strict=True)
    ]


def _indices(names: list[str], first: list[Stat], second: list[Stat]) -> dict[str, list[float]]:
    """Indices of the limb means of every metric; NaN for the nets, which are near zero."""
    means = np.array([[limb.mean for limb in limbs] for limbs in (first, second)])
    means[:, [name in NET for name in names]] = np.nan
    return {kind: symmetry_index(means[0], means[1], kind).tolist() for kind in ("si", "ga_ln", "sa", "lsi")}


def _row(metric: _Metric, limbs: tuple[str, ...], n_boot: int) -> SymmetryRow:
    one, other = metric.one, metric.other
    si = metric.index["si"]
    known = math.isfinite(si)
    low, high = metric.interval if known else (math.nan, math.nan)
    cv_pct = 100.0 * _pooled_cv(one, other) if known else math.nan
    return SymmetryRow(
        metric=metric.name,
        left=metric.flip * one.mean,
        right=metric.flip * other.mean,
        sd_left=one.sd,
        sd_right=other.sd,
        n_left=one.n,
        n_right=other.n,
        **metric.index,
        ci_low=low,
        ci_high=high,
        se=si_standard_error(one.mean, other.mean, one.sd, other.sd, one.n, other.n) if known else math.nan,
        noise_floor=noise_floor(cv_pct, one.n, other.n),
        n_needed=_larger_need(*metric.needed),
        n_planning=planning_steps(cv_pct),
        distinguishable=None if math.isnan(low) else low > 0 or high < 0,
        beyond_variability=_exceeds(si, 100.0 * max(one.cv, other.cv) if math.isfinite(cv_pct) else math.nan),
        beyond_error=_exceeds(si, metric.mdc95),
        note="; ".join(_reasons(metric, one, other, si, limbs, n_boot)),
    )


def _pooled_cv(one: Stat, other: Stat) -> float:
    """Root of the mean squared CV, weighted by degrees of freedom; a fraction."""
    if one.n < 2 or other.n < 2:
        return math.nan
    return math.sqrt(((one.n - 1) * one.cv**2 + (other.n - 1) * other.cv**2) / (one.n + other.n - 2))


def _larger_need(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


def _exceeds(si: float, limit: float) -> bool | None:
    return None if math.isnan(si) or math.isnan(limit) else abs(si) > limit


def _reasons(
    metric: _Metric, one: Stat, other: Stat, si: float, limbs: tuple[str, ...], n_boot: int
) -> Iterator[str]:
    if metric.name in NET:
        yield "net component: near zero, so an index means nothing; compare its parts"
        return
    absent = [name for name, side in zip(limbs, (one, other), strict=True) if side.n == 0]
    if absent:
        yield f"no finite value for {' and '.join(absent)}"
        return
    if math.isnan(si):
        yield "limb means of unlike sign or zero: only sa and nsi are defined"
        return
    if one.n < 2 or other.n < 2:
        yield "a limb has one value: no SD"
    if metric.paired < MIN_PAIRS:
        yield f"fewer than {MIN_PAIRS} values in stride pairs: no interval"
    elif not n_boot:
        yield "no interval asked for"
    elif math.isnan(metric.interval[0]):
        yield "resampled limb means of unlike sign: no interval"
    elif metric.paired < 0.9 * min(one.n, other.n):
        yield f"interval from {metric.paired} stride pairs only"


# -------------------------------------------------------------------------------------------------- waveforms


@dataclass(frozen=True, eq=False)
class WaveformSymmetry:
    """Two time-normalised stance curves compared; positive means that the left one is larger, or later.

    Attributes
    ----------
    rms_diff : float
        Root mean square of left - right, in the unit of the curves.
    rms_diff_rel : float
        `rms_diff` over the mean of the two ranges.
    max_abs_diff, t_max_abs_diff_pct : float
        Largest |left - right| and where it is, % of stance.
    xcorr_0, xcorr_best, lag_best_pct : float
        Correlation as recorded, the largest over lags, and that lag in % of stance (positive = left later).
        Blind to scale: read it with `amplitude_ratio`.
    amplitude_ratio : float
        SD over the stance of left / right.
    trend_symmetry, trend_theta_deg : float
        Variance across over variance along the common trend (0 = same shape), and the trend's angle: 45° for
        equal size, more where right is larger.
    range_amplitude_ratio : float
        Range of left / right.
    phase_shift_pct : float
        Lag with the smallest trend symmetry, % of stance (positive = left later).
    offset : float
        Mean of left minus mean of right.
    nigg_si : float
        Integral of 2·|R - L| / (range R + range L) over the stance taken as 1; a fraction.
    sf : ndarray
        Symmetry function, % of the mean range, at every point: 100·(L - R) / (½·(range L + range R));
        read-only.
    note : str
        Why something is NaN; empty if nothing is.
    """

    rms_diff: float
    rms_diff_rel: float
    max_abs_diff: float
    t_max_abs_diff_pct: float
    xcorr_0: float
    xcorr_best: float
    lag_best_pct: float
    amplitude_ratio: float
    trend_symmetry: float
    trend_theta_deg: float
    range_amplitude_ratio: float
    phase_shift_pct: float
    offset: float
    nigg_si: float
    sf: FloatArray = field(repr=False)
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON, NaN as None."""
        numbers = {item.name: _json(getattr(self, item.name)) for item in fields(self) if item.name != "sf"}
        return {**numbers, "sf": [_json(float(value)) for value in self.sf]}


def waveform_symmetry(
    left_curve: ArrayLike, right_curve: ArrayLike, *, max_lag_pct: float = 20.0
) -> WaveformSymmetry:
    """Compare two stance curves over 0 to 100 % of stance.

    Parameters
    ----------
    left_curve, right_curve : array_like (n,)
        Curves on the same grid (101 points as a rule), in the same unit.
    max_lag_pct : float
        Largest lag tried in both directions, % of stance, below 50.

    Returns
    -------
    WaveformSymmetry
        All NaN, with a note, if a curve has a value that is not finite.

    Notes
    -----
    A stance curve is not periodic, so a lag compares the parts that overlap, each about its own mean. The
    symmetry function has the sign of this package, L - R; published R - L. The steps of trend symmetry
    (Crenshaw and Richards 2006), the integral after Nigg and the symmetry function are quoted from memory and
    not verified.
    """
    left, right = _floats(left_curve, "left_curve"), _floats(right_curve, "right_curve")
    if left.ndim != 1 or left.shape != right.shape or left.size < 4:
        raise DataError(
            f"curves have shapes {left.shape} and {right.shape}: give two of one length, at least 4 points"
        )
    if not 0 <= max_lag_pct < 50:
        raise DataError(f"max_lag_pct={max_lag_pct}: must be at least 0 and below 50")
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        blank = {item.name: math.nan for item in fields(WaveformSymmetry) if item.name not in ("sf", "note")}
        return WaveformSymmetry(
            **blank, sf=_frozen(np.full(left.size, np.nan)), note="a curve has missing values"
        )
    return _compare_curves(left, right, max_lag_pct)


def _compare_curves(left: FloatArray, right: FloatArray, max_lag_pct: float) -> WaveformSymmetry:
    point_pct = 100.0 / (left.size - 1)
    diff = left - right
    range_l, range_r = float(np.ptp(left)), float(np.ptp(right))
    mean_range = 0.5 * (range_l + range_r)
    widest = int(np.argmax(np.abs(diff)))
    longest = int(max_lag_pct / point_pct + 1e-9)
    moments = _moments(left, right, longest)
    correlation, (trend, theta) = _correlation(moments), _trend(moments)
    lag_best, xcorr_best = _best_lag(correlation)
    lag_trend, _ = _best_lag(-trend)
    rms = math.sqrt(float(np.square(diff).mean()))
    with np.errstate(divide="ignore", invalid="ignore"):
        sf = np.where(mean_range > 0, 100.0 * diff / mean_range, np.nan)
    flat = range_l == 0 or range_r == 0
    return WaveformSymmetry(
        rms_diff=rms,
        rms_diff_rel=_divide(rms, mean_range),
        max_abs_diff=float(abs(diff[widest])),
        t_max_abs_diff_pct=widest * point_pct,
        xcorr_0=float(correlation[longest]),
        xcorr_best=xcorr_best,
        lag_best_pct=lag_best * point_pct,
        amplitude_ratio=math.nan if flat else _divide(float(left.std()), float(right.std())),
        trend_symmetry=float(trend[longest]),
        trend_theta_deg=float(theta[longest]),
        range_amplitude_ratio=math.nan if flat else range_l / range_r,
        phase_shift_pct=lag_trend * point_pct,
        offset=float(diff.mean()),
        nigg_si=_divide(float(simpson(np.abs(diff), dx=1.0 / (left.size - 1))), mean_range),
        sf=_frozen(sf),
        note="a curve is constant" if flat else "",
    )


def _frozen(values: FloatArray) -> FloatArray:
    values.flags.writeable = False
    return values


def _divide(value: float, by: float) -> float:
    return value / by if by else math.nan


class _Moments(NamedTuple):
    """Sums of squares and products of two curves about their means, at every lag; 0 for a constant curve."""

    xx: FloatArray
    yy: FloatArray
    xy: FloatArray


def _moments(left: FloatArray, right: FloatArray, longest: int) -> _Moments:
    """Moments of the parts that overlap at lags from -longest to longest (positive = left later), each about its own
    means.
    """
    lags = np.arange(-longest, longest + 1)[:, None]
    at = np.arange(left.size)
    inside = at < left.size - np.abs(lags)
    parts = []
    for curve, shift in ((left, np.maximum(lags, 0)), (right, np.maximum(-lags, 0))):
        part = curve[np.minimum(at + shift, left.size - 1)]
        mean = (part * inside).sum(axis=1) / inside.sum(axis=1)
        varies = ((part != part[:, :1]) & inside).any(axis=1)
        parts.append(np.where(inside & varies[:, None], part - mean[:, None], 0.0))
    x, y = parts
    return _Moments(*((a * b).sum(axis=1) for a, b in ((x, x), (y, y), (x, y))))


def _correlation(m: _Moments) -> FloatArray:
    """NaN if a curve is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation: FloatArray = m.xy / (np.sqrt(m.xx) * np.sqrt(m.yy))
    return np.clip(correlation, -1.0, 1.0)


def _trend(m: _Moments) -> tuple[FloatArray, FloatArray]:
    """Trend symmetry and the angle of the trend in degrees: both NaN if a curve is constant."""
    theta = np.where((m.xx > 0.0) & (m.yy > 0.0), 0.5 * np.arctan2(2.0 * m.xy, m.xx - m.yy), np.nan)
    c, s = np.cos(theta), np.sin(theta)
    along = m.xx * c * c + m.yy * s * s + 2.0 * m.xy * c * s
    across = np.maximum(m.xx * s * s + m.yy * c * c - 2.0 * m.xy * c * s, 0.0)
    return across / along, np.degrees(theta)


def _best_lag(scores: FloatArray) -> tuple[float, float]:
    """Lag (positive = left later) with the highest score, the shortest of equals; NaN without any."""
    longest = len(scores) // 2
    best_lag, best = math.nan, math.nan
    for lag, value in sorted(enumerate(scores.tolist(), -longest), key=lambda item: abs(item[0])):
        # Rounding must not let a longer lag win over an equal shorter one.
        if value > best + 1e-12 or (math.isnan(best) and not math.isnan(value)):
            best_lag, best = float(lag), value
    return best_lag, best
