"""A rough look at the whole trial: where it is unloaded, running or walking, anybody standing (metrics 1.1, 1.10).

It works on block means of 333 to 666 Hz, so it costs next to nothing, and it needs no level: the rolling low
envelope follows any drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from balancecore._ext import _contacts
from balancecore.filters import filter_segments, lowpass
from balancecore.intake import Record, add_up
from balancecore.medians import median
from balancecore.saturation import runs_of
from balancecore.trial import Trial

__all__ = ["Coarse", "belts", "look"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CUTOFF_HZ = 50.0
#: Rolling low envelope: 5th percentile over 1.5 s, which holds at least one unloaded phase of either gait, of samples
#: at 25 Hz; every other one gets its envelope.
ENVELOPE_S = 1.5
ENVELOPE_FRACTION = 0.05
ENVELOPE_RATE_HZ = 25.0
ENVELOPE_HOP = 2
#: An envelope above this share of the load over it holds no unloaded phase: somebody is on the plates all the time.
LOADED_SHARE = 0.3
LOAD_FRACTION = 0.95
#: While the last unloaded phase leaves the rolling window its envelope rises: so far from a doubtful one none counts.
DOUBT_S = 0.25
#: Force that points down: it reaches below this many newtons, and above zero by less than this share of that.
DOWN_N = 50.0
DOWN_SHARE = 0.25
#: Schmitt levels in body weights, and the shortest contact.
UP_BW = 0.15
DOWN_BW = 0.10
MIN_CONTACT_S = 0.080
#: A lighter estimate is an unloaded record (metrics 1.6), unless a lone contact shows in the peak.
UNLOADED_N = 100.0
UNLOADED_PEAK_N = 300.0
#: A running peak is about 2.4 body weights: the scale of a record with few contacts.
PEAK_TO_WEIGHT = 0.4
#: A peak lasts this long.
PEAK_S = 0.02
#: Samples whose maximum is taken first where the largest of all are wanted.
PEAK_BLOCK = 64
#: Longest contact that can belong to running.
RUN_CONTACT_S = 0.5
#: Share of steps that must show a flight (running) or double support (walking).
CLEAR_SHARE = 0.9
#: Standing still: at least this long, with an SD below this share of the force.
STILL_S = 1.0
STILL_SD = 0.01
#: A plate that carries less than this share of the total is not taking part.
ACTIVE_SHARE = 0.05


@dataclass(frozen=True, eq=False)
class Coarse:
    """What the rough look saw.

    Attributes
    ----------
    gait : {"run", "walk", "mixed"}
    detail : dict
        Duty factor, flight and double-support shares behind `gait`.
    scale_n : float
        Rough body weight, N.
    unloaded : bool
        Nobody was on the plates.
    upside_down : tuple of int
        Plates whose vertical force points down.
    static : ndarray (s, 2)
        Stretches of samples of the record in which somebody stood still.
    net : tuple of ndarray
        Smooth force of each plate over its rolling low envelope.
    rough : tuple of 2 ndarray
        Contacts of all plates together, on and off in coarse samples.
    """

    gait: str
    detail: dict[str, Any]
    scale_n: float
    unloaded: bool
    upside_down: tuple[int, ...]
    static: IntArray
    net: tuple[FloatArray, ...]
    rough: tuple[FloatArray, FloatArray]
    record: Record

    def events(self, plates: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        """Rough contacts of some plates together: on and off in samples of the record."""
        if self.unloaded or self.upside_down:
            return np.empty(0), np.empty(0)
        on, off = self.rough
        if len(plates) < len(self.net):
            net = add_up([self.net[k] for k in plates])
            on, off = _contacts_of(net, self.scale_n, self.record)
        if self.record.block == 1:
            return on, off
        return self.record.from_thinned(on, True), self.record.from_thinned(off, False)


def belts(trial: Trial) -> list[tuple[int, ...]]:
    """Plates that one foot uses: those of the same side together, those without a side each alone."""
    sides = [p.side for p in trial.plates]
    known = [tuple(k for k, s in enumerate(sides) if s == side) for side in ("L", "R") if side in sides]
    return sorted(known + [(k,) for k, s in enumerate(sides) if s == "?"])


def look(record: Record, weight_n: float, gait: str, crossing: bool = False) -> Coarse:
    """Take the rough look.

    Parameters
    ----------
    record : Record
    weight_n : float
        Body weight if given, else NaN.
    gait : {"auto", "run", "walk"}
        What the caller says.
    crossing : bool
        Somebody crosses plates of a walkway, so that there are too few steps to tell run from walk by strides.
    """
    rate = record.coarse_rate_hz
    smooth = [_smooth(fz, record) for fz in record.coarse_fz]
    thin = max(int(rate // ENVELOPE_RATE_HZ), 1)
    few = [s[::thin].copy() for s in smooth]
    down = tuple(k for k, (s, f) in enumerate(zip(smooth, few, strict=True)) if _points_down(s, f))
    net = _net(smooth, few, thin, rate)
    total = add_up(net)
    scale, peak = _scale(total, record)
    unloaded = not (scale >= UNLOADED_N or peak >= UNLOADED_PEAK_N)
    static = thin * _still(add_up(few), rate / thin, scale if not unloaded else math.inf)
    if math.isfinite(weight_n) and not unloaded:
        scale = weight_n
    scale = max(scale, 1.0)
    by_belt = tuple(add_up([net[k] for k in plates]) for plates in belts(record.trial))
    rough = _contacts_of(total, scale, record)
    seen, detail = _crossing_gait(*rough, rate) if crossing else _gait(by_belt, *rough, scale, record)
    static_only = unloaded and len(static) > 0
    return Coarse(
        seen if gait == "auto" else gait,
        {"seen": seen, "asked": gait, **detail},
        scale,
        unloaded and not static_only,
        down,
        static * record.block,
        net,
        rough,
        record,
    )


def _stretches(x: FloatArray, record: Record) -> IntArray:
    """Runs of finite samples; all are in one that only a gap could interrupt."""
    return runs_of(np.isfinite(x)) if len(record.gaps) else np.array([[0, len(x)]])


def _smooth(fz: FloatArray, record: Record) -> FloatArray:
    """50 Hz copy, stretch by stretch; stretches too short to filter stay as they are."""
    rate = record.coarse_rate_hz
    out = record.room.take(len(fz))
    design = lowpass(min(CUTOFF_HZ, 0.4 * rate), rate)
    stretches = _stretches(fz, record)
    filter_segments(fz, stretches, design, out)
    for low, high in stretches.tolist():
        if high - low <= design.padding:
            out[low:high] = fz[low:high]
    return out


def _net(
    smooth: list[FloatArray], few: list[FloatArray], thin: int, rate_hz: float
) -> tuple[FloatArray, ...]:
    """Force over the rolling low envelope, which follows drift; it is written over `smooth`.

    `few` is every `thin`-th sample. The envelope counts where the plates together are unloaded now and then, and is
    carried over the rest: else it would take the weight of somebody who stands, or walks on a single belt, for an
    offset.
    """
    half = max(round(0.5 * ENVELOPE_S * rate_hz / thin), 1)
    low = [_rolling(f, half, ENVELOPE_FRACTION) for f in few]
    offset = add_up(low)
    total = add_up(few)
    load = _rolling(total - np.repeat(offset, ENVELOPE_HOP)[: len(total)], half, LOAD_FRACTION)
    with np.errstate(invalid="ignore"):
        doubtful = np.isfinite(offset) & ~(offset <= LOADED_SHARE * load)
    hop = thin * ENVELOPE_HOP
    reach = 2 * math.ceil(DOUBT_S * rate_hz / hop) + 1
    known = np.flatnonzero(np.isfinite(offset) & ~maximum_filter1d(doubtful, reach))
    if len(known):
        for s, e in zip(smooth, low, strict=True):
            _take_line_off(s, known * hop, e[known])
    return tuple(smooth)


def _take_line_off(x: FloatArray, at: IntArray, values: FloatArray) -> None:
    """Take off a signal the straight lines between values at some of its samples, held at both ends."""
    breaks = at.astype(np.float64)
    coefficients = np.zeros((4, max(len(at) - 1, 1)))
    coefficients[3] = values[: max(len(at) - 1, 1)]
    if len(at) > 1:
        coefficients[2] = np.diff(values) / np.diff(breaks)
    _contacts.subtract_cubic(x, 0, breaks, coefficients, x)


def _rolling(x: FloatArray, half: int, fraction: float) -> FloatArray:
    out = np.empty(-(-len(x) // ENVELOPE_HOP))
    _contacts.rolling_percentile(x, half, ENVELOPE_HOP, fraction, out, np.empty(2 * half + 1))
    return out


def _points_down(fz: FloatArray, few: FloatArray) -> bool:
    """Whether a plate is pulled rather than pushed: an offset shifts a force, it doesn't turn it over.

    Only a force whose `few` samples are below zero on average is looked at whole.
    """
    if few[np.isfinite(few)].sum() >= 0.0:
        return False
    finite = fz[np.isfinite(fz)]
    if finite.mean() >= -DOWN_N:
        return False
    low, high = np.percentile(finite, (0.1, 99.9)).tolist()
    return bool(high < -DOWN_SHARE * low)


def _largest(x: FloatArray, rank: int) -> float:
    """The rank-th largest number; only those above the rank-th largest of coarse maxima can be it."""
    size = max(min(PEAK_BLOCK, len(x) // rank), 1)
    maxima = x[: len(x) // size * size].reshape(-1, size).max(axis=1)
    few = x[x >= np.partition(maxima, -rank)[-rank]]
    return float(np.partition(few, -rank)[-rank])


def _scale(net: FloatArray, record: Record) -> tuple[float, float]:
    """Rough body weight: the mean over loaded stretches of 1.5 s, at least 0.4 of the peak; and the peak."""
    rate = record.coarse_rate_hz
    finite = np.where(np.isfinite(net), net, 0.0) if len(record.gaps) else net
    hop = min(max(int(rate // ENVELOPE_RATE_HZ), 1), len(finite))
    whole = len(finite) // hop * hop
    hops = add_up([finite[k:whole:hop] for k in range(hop)])  # faster than sums of short rows
    width = min(max(round(ENVELOPE_S * rate / hop), 1), len(hops))
    total = np.concatenate(([0.0], np.cumsum(hops)))
    means = (total[width:] - total[:-width]) / (width * hop)
    loaded = means[means > 0.5 * means.max()] if means.max() > 0.0 else means
    # The force exceeded for 20 ms, or for a thousandth of the record if that is less.
    rank = max(min(round(PEAK_S * rate), round(0.001 * len(finite))), 1)
    peak = _largest(finite, rank)
    return max(median(loaded), PEAK_TO_WEIGHT * peak if peak >= UNLOADED_PEAK_N else 0.0), peak


def _still(fz: FloatArray, rate_hz: float, scale: float) -> IntArray:
    """Stretches of coarse samples with at least 1 s of steady load."""
    width = round(STILL_S * rate_hz)
    if len(fz) < width or width < 2:
        return np.empty((0, 2), dtype=np.int64)
    usable = np.where(np.isfinite(fz), fz, 0.0)
    centre = float(usable.mean())
    first = np.concatenate(([0.0], np.cumsum(usable - centre)))
    second = np.concatenate(([0.0], np.cumsum((usable - centre) ** 2)))
    mean = (first[width:] - first[:-width]) / width
    variance = np.maximum((second[width:] - second[:-width]) / width - mean**2, 0.0)
    level = mean + centre
    least = UNLOADED_N if math.isinf(scale) else max(UNLOADED_N, 0.5 * scale)
    still = (level > least) & (np.sqrt(variance) < STILL_SD * level)
    edges = runs_of(still)
    edges[:, 1] += width - 1
    return edges


def _contacts_of(net: FloatArray, scale: float, record: Record) -> tuple[FloatArray, FloatArray]:
    """Schmitt contacts of a coarse copy, in coarse samples, stretch by stretch."""
    rows = []
    rate = record.coarse_rate_hz
    hold_off = max(math.ceil(0.010 * rate), 1)
    for low, high in _stretches(net, record).tolist():
        out = np.empty(((high - low) // (1 + hold_off) + 2, 6))
        state = np.zeros(_contacts.STATE_SIZE, dtype=np.int64)
        memory = np.zeros(_contacts.MEMORY_SIZE)
        piece = np.ascontiguousarray(net[low:high])
        count = _contacts.detect(piece, UP_BW * scale, DOWN_BW * scale, 1, hold_off, state, memory, out, True)
        found = out[:count]
        long_enough = (found[:, 1] - found[:, 0] >= MIN_CONTACT_S * rate) | (found[:, 3:5] > 0).any(axis=1)
        rows.append(found[long_enough, :2] + low)
    both = np.concatenate(rows) if rows else np.empty((0, 2))
    return both[:, 0].copy(), both[:, 1].copy()


def _gait(
    net: tuple[FloatArray, ...], on: FloatArray, off: FloatArray, scale: float, record: Record
) -> tuple[str, dict[str, Any]]:
    """Run, walk or mixed, by duty factor and by what lies between contacts of all plates together."""
    rate = record.coarse_rate_hz
    tc = (off - on) / rate
    if len(on) == 0:
        return "run", {"duty": math.nan, "flight_share": math.nan, "double_support_share": math.nan}
    duty = math.nan
    if len(on) > 1:
        duty = median(tc) / (2.0 * median(np.diff(on)) / rate)
    short = float(np.mean(tc <= RUN_CONTACT_S))
    if short >= CLEAR_SHARE and not duty > 0.5:
        return "run", {"duty": duty, "flight_share": short, "double_support_share": 0.0}
    loads = np.array([np.nanmean(np.maximum(n, 0.0)) for n in net])
    active = [n for n, load in zip(net, loads, strict=True) if load > ACTIVE_SHARE * loads.sum()]
    if len(active) < 2:
        gait = "walk" if median(tc) > RUN_CONTACT_S else "mixed"
        return gait, {"duty": duty, "flight_share": short, "double_support_share": math.nan}
    return _two_belt_gait(active, scale, record)


def _crossing_gait(on: FloatArray, off: FloatArray, rate_hz: float) -> tuple[str, dict[str, Any]]:
    """Walking if the plates together are loaded for longer than any running contact: without flights they are."""
    longest = float((off - on).max()) / rate_hz if len(on) else math.nan
    return ("walk" if longest > RUN_CONTACT_S else "run"), {"longest_load_s": longest}


def _two_belt_gait(active: list[FloatArray], scale: float, record: Record) -> tuple[str, dict[str, Any]]:
    """Contacts belt by belt: duty from each belt's own strides, double support from overlaps."""
    found = [_contacts_of(n, scale, record) for n in active]
    strides = [median(np.diff(on)) for on, _ in found if len(on) > 1]
    tc = np.concatenate([off - on for on, off in found])
    if not len(tc):  # loads too small on either belt to be contacts, though not together
        return "mixed", {"duty": math.nan, "flight_share": math.nan, "double_support_share": math.nan}
    duty = float(median(tc) / np.mean(strides)) if strides else math.nan
    on = np.concatenate([on for on, _ in found])
    order = np.argsort(on)
    on, off = on[order], np.concatenate([off for _, off in found])[order]
    overlap = on[1:] < off[:-1]
    double = float(np.mean(overlap)) if len(overlap) else math.nan
    walking = (duty > 0.5 and double >= CLEAR_SHARE) or (
        not strides and median(tc) > RUN_CONTACT_S * record.coarse_rate_hz
    )
    flights = 1.0 - double if math.isfinite(double) else math.nan
    return ("walk" if walking else "mixed"), {
        "duty": duty,
        "flight_share": flights,
        "double_support_share": double,
    }
