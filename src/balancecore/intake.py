"""First look at a trial: one read of its memory tells what is missing, saturated or upside down (metrics 1.1)."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancecore._ext import _contacts
from balancecore.errors import DataError
from balancecore.parallel import parts, side_by_side
from balancecore.saturation import CLAMP_BAND, SATURATED_RUN, runs_of, smooth_peaks
from balancecore.trial import CHANNELS, Plate, Trial

__all__ = ["COARSE_RATE_HZ", "RAW", "Record", "Saturation", "take_in"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Block means come at this rate, and up to twice as often: enough to see aerial phases, few enough to be nearly free
#: (metrics 1.1).
COARSE_RATE_HZ = 333.0
#: Blocks that are kept together: as means of all channels, and as their extremes.
_WIDE = 4
_GROUP = 256
#: Larger numbers, in N or N·m, are not from a force plate that people walk on, whatever the unit.
LARGEST = 1e7
#: Stands for all raw channels of a plate (`Plate.saturated`).
RAW = "raw channels"
#: Most numbers in a block that signals share: glibc gives blocks of 32 MiB and more back whenever they are freed.
LARGEST_ROOM = 31 * 2**20 // 8
#: Shorter records hold no step that could be told from a disturbance.
MIN_DURATION_S = 0.5


@dataclass(frozen=True, eq=False)
class Saturation:
    """Where one channel of one plate sits at the end of its range: runs of frames, (k, 2).

    `channel` is `RAW`, and `value` NaN, where the plate's raw channels told so.
    """

    plate: int
    channel: str
    value: float
    runs: IntArray


class Room:
    """One block of memory in which the signals of an analysis lie side by side, as far as they fit.

    The system gives a large block in large pages, and glibc's allocator keeps up to twice the largest block it has
    seen for the next call: some 30 MB more than it would else. As arrays of their own the same signals cost thousands
    of page faults a call, a tenth of the analysis of ten minutes at 1 or 2 kHz. The block is twice what is needed, so
    that the rest of an analysis finds its memory kept, too; what is never written takes no resident memory.
    """

    def __init__(self, needed: int) -> None:
        self._free = np.empty(min(2 * needed, LARGEST_ROOM))

    def take(self, n: int) -> FloatArray:
        """Memory for n numbers, from elsewhere if they don't fit."""
        if n > len(self._free):
            return np.empty(n)
        taken, self._free = self._free[:n], self._free[n:]
        return taken


@dataclass(frozen=True, eq=False)
class Record:
    """What the analysis needs to know of a trial before it looks for contacts.

    Attributes
    ----------
    fz_sum : ndarray (n,)
        Vertical force of all plates, N; not finite inside gaps.
    rate_hz : float
        Frames per second.
    block : int
        Frames a block of `coarse_fz`.
    coarse_fz : tuple of ndarray (n_blocks,)
        Block means of each plate's vertical force; NaN where a frame is missing.
    wide : tuple of ndarray (n_wide, 6)
        Means of all channels of each plate, four blocks a time; likewise.
    segments, gaps : ndarray (k, 2)
        First and one-past-last frame of the stretches that are complete on every plate, and of those that aren't.
    saturation : tuple of Saturation
    room : Room
        Memory for further signals.
    """

    trial: Trial
    rate_hz: float
    fz_sum: FloatArray
    block: int
    coarse_fz: tuple[FloatArray, ...]
    wide: tuple[FloatArray, ...]
    segments: IntArray
    gaps: IntArray
    saturation: tuple[Saturation, ...]
    room: Room

    @property
    def coarse_rate_hz(self) -> float:
        """Blocks per second."""
        return self.rate_hz / self.block

    def __len__(self) -> int:
        return len(self.fz_sum)

    def vertical(self, plates: Sequence[int]) -> FloatArray:
        """Vertical force of some plates together, (n,)."""
        if len(plates) == len(self.trial.plates):
            return self.fz_sum
        return np.ascontiguousarray(add_up([self.trial.plates[k].wrench[:, 2] for k in plates]))

    def window_means(self, plate: int, windows: IntArray) -> FloatArray:
        """Mean of all channels of a plate over windows of frames: (w, 2) to (w, 6)."""
        starts, stops = np.ascontiguousarray(windows[:, 0]), np.ascontiguousarray(windows[:, 1])
        means = np.empty((len(windows), 6))
        wrench = self.trial.plates[plate].wrench
        _contacts.window_means(wrench, self.wide[plate], self.block * _WIDE, starts, stops, means)
        return means

    def thinned(self) -> Record:
        """The same trial as the block means of its vertical forces; this record itself where it is slow already."""
        if self.block == 1:
            return self
        fz_sum = add_up(self.coarse_fz, self.room.take(len(self.coarse_fz[0])))
        missing = runs_of(np.isnan(fz_sum)) if len(self.gaps) else np.empty((0, 2), dtype=np.int64)
        gaps, segments = _split(missing, len(fz_sum))
        return _Thinned(
            self.trial, self.coarse_rate_hz, fz_sum, 1, self.coarse_fz, (), segments, gaps, (), self.room
        )

    def from_thinned(self, samples: FloatArray, start: bool) -> FloatArray:
        """Samples of the thinned record as frames; one at an end of a stretch goes exactly there."""
        frames: FloatArray = (samples + 0.5) * self.block - 0.5
        for low, high in self.segments.tolist():
            # A block that holds a missing frame is missing as a whole: the ends lie up to one and a half blocks off.
            near = np.abs(frames - (low if start else high - 1)) <= 1.5 * self.block
            frames[near] = low if start else high
        return frames


class _Thinned(Record):
    """Block means of the vertical forces: its frames are blocks, and it knows no other channel."""

    def vertical(self, plates: Sequence[int]) -> FloatArray:
        if len(plates) == len(self.coarse_fz):
            return self.fz_sum
        return add_up([self.coarse_fz[k] for k in plates])

    def window_means(self, plate: int, windows: IntArray) -> FloatArray:
        moments, means = np.empty((len(windows), 3)), np.full((len(windows), 6), np.nan)
        starts, stops = np.ascontiguousarray(windows[:, 0]), np.ascontiguousarray(windows[:, 1])
        _contacts.window_moments(self.coarse_fz[plate], starts, stops, moments)
        means[:, 2] = moments[:, 1] / moments[:, 0]
        return means


def take_in(trial: Trial, threads: int = 1) -> Record:
    """Read a trial once.

    Parameters
    ----------
    trial : Trial
    threads : int
        The frames are shared among so many.

    Raises
    ------
    DataError
        If it is too short, too slow, has no vertical force, or has no finite frame.
    """
    n = len(trial)
    rate = trial.rate_hz
    if rate < 50.0:
        raise DataError(f"the sampling rate of {rate:g} Hz is too low to see contacts (50 Hz at least)")
    if n < MIN_DURATION_S * rate:
        raise DataError(
            f"the record is too short: {n} frames are {n / rate:.3f} s, {MIN_DURATION_S} s are needed"
        )
    block = max(int(rate // COARSE_RATE_HZ), 1)
    n_blocks = -(-n // block)
    # The sum of the plates and its filtered copy; block means of each plate, their sum and filtered copies.
    room = Room(2 * (n + (2 * len(trial.plates) + 1) * n_blocks))
    fz_sum = room.take(n)
    plates = [_Plate.empty(k, plate, n_blocks, room) for k, plate in enumerate(trial.plates)]

    def some(first: int, stop: int) -> None:
        for plate in plates:
            plate.take_in(first, stop, fz_sum, block)

    # Whole groups of blocks, so that means and extremes are the same however many threads there are.
    side_by_side(some, parts(n, threads, block * _GROUP))
    for k, plate in enumerate(plates):
        _check_size(k, plate.ends[:, :, plate.measured.astype(bool)])
    union, segments = _split(np.concatenate([gaps for plate in plates for gaps in plate.gaps]), n)
    if not len(segments):
        raise DataError("no frame of the record is finite on every plate")
    saturation = tuple(
        found
        for k, ends in enumerate(plate.ends for plate in plates)
        for found in (
            *_saturation(trial.plates[k].wrench, k, ends, block * _GROUP, trial.plates[k].missing),
            *_raw_saturation(trial.plates[k], k),
        )
    )
    coarse_fz, wide = tuple(plate.vertical for plate in plates), tuple(plate.means for plate in plates)
    return Record(trial, rate, fz_sum, block, coarse_fz, wide, segments, union, saturation, room)


def _check_size(plate: int, ends: FloatArray) -> None:
    """Refuse numbers that would overflow; the ends of groups without a finite frame are the wrong way round."""
    low, high = ends[:, 0].min(), ends[:, 1].max()
    if low <= high and max(-low, high) > LARGEST:
        raise DataError(
            f"plate {plate + 1} holds {low if -low > high else high:.3g}, more than any force plate measures "
            f"(limit {LARGEST:g} N): check units and damage"
        )


@dataclass(frozen=True, eq=False)
class _Plate:
    """What one plate's memory tells: means of blocks, extremes of groups of them, runs of frames not finite."""

    wrench: FloatArray
    first: bool
    measured: NDArray[np.uint8]
    vertical: FloatArray
    means: FloatArray
    ends: FloatArray
    gaps: list[IntArray]

    @classmethod
    def empty(cls, index: int, plate: Plate, n_blocks: int, room: Room) -> _Plate:
        measured = np.array([c not in plate.missing for c in CHANNELS], dtype=np.uint8)
        if not measured[2]:
            raise DataError(f"plate {index + 1} has no vertical force (Fz)")
        vertical, means = room.take(n_blocks), room.take(6 * -(-n_blocks // _WIDE)).reshape(-1, 6)
        ends = np.empty((-(-n_blocks // _GROUP), 2, 6))
        return cls(plate.wrench, index == 0, measured, vertical, means, ends, [])

    def take_in(self, first: int, stop: int, fz_sum: FloatArray, block: int) -> None:
        """Read frames [first, stop), which start with a group of blocks."""
        wrench = self.wrench[first:stop]
        blocks = slice(first // block, -(-stop // block))
        wide, groups = (slice(first // (block * k), -(-stop // (block * k))) for k in (_WIDE, _GROUP))
        capacity = 1024
        gaps = np.empty((capacity, 2), dtype=np.int64)
        found = _contacts.intake(
            wrench,
            self.measured,
            fz_sum[first:stop],
            self.first,
            block,
            self.vertical[blocks],
            _WIDE,
            self.means[wide],
            _GROUP,
            self.ends[groups],
            gaps,
        )
        if found > capacity:
            # Rare: so many gaps that they have to be listed in a second, plainer look.
            gaps = runs_of(np.asarray(~np.isfinite(wrench[:, self.measured.astype(bool)]).all(axis=1)))
        self.gaps.append(gaps[:found] + first)


def add_up(signals: Sequence[FloatArray], out: FloatArray | None = None) -> FloatArray:
    """Sum of signals of equal length, written to `out` if given; a single one is not copied."""
    return functools.reduce(lambda total, signal: np.add(total, signal, out=out), signals)


def _split(gaps: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Union of the plates' gaps, and the stretches between them."""
    merged: list[list[int]] = []
    for start, stop in gaps[np.argsort(gaps[:, 0], kind="stable")].tolist():
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([start, stop])
    edges = [0, *(e for gap in merged for e in gap), n]
    segments = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
    return (
        np.array(merged, dtype=np.int64).reshape(-1, 2),
        np.array(segments, dtype=np.int64).reshape(-1, 2),
    )


def _saturation(
    wrench: FloatArray, plate: int, ends: FloatArray, span: int, missing: frozenset[str]
) -> list[Saturation]:
    """Runs of equal samples at each channel's extremes; only the groups that reach the extreme are looked at."""
    found = []
    n = len(wrench)
    for c, channel in enumerate(CHANNELS):
        low, high = ends[:, 0, c].min(), ends[:, 1, c].max()
        if channel in missing or not low < high:
            continue
        for value, reached in ((low, ends[:, 0, c] == low), (high, ends[:, 1, c] == high)):
            if abs(value) <= CLAMP_BAND:
                continue
            groups = np.flatnonzero(reached).tolist()
            runs = _equal_runs(wrench, c, value, [(g * span, min((g + 1) * span, n)) for g in groups])
            if len(runs) and not smooth_peaks(wrench[:, c], runs):
                found.append(Saturation(plate, channel, float(value), runs))
    return found


def _raw_saturation(plate: Plate, index: int) -> list[Saturation]:
    """Frames that the raw channels gave away; their ends leave no flat top in a wrench that mixes the channels."""
    if plate.saturated is None or not plate.saturated.any():
        return []
    return [Saturation(index, RAW, math.nan, runs_of(plate.saturated))]


def _equal_runs(wrench: FloatArray, channel: int, value: float, spans: list[tuple[int, int]]) -> IntArray:
    capacity = 256
    while True:
        runs = np.empty((capacity, 2), dtype=np.int64)
        count = 0
        for start, stop in spans:
            count = _contacts.saturated_runs(wrench, channel, value, start, stop, SATURATED_RUN, runs, count)
        if count <= capacity:
            return runs[:count].copy()
        capacity = count


def describe_saturation(record: Record) -> list[dict[str, Any]]:
    """Saturated channels as the result shows them."""
    return [
        {
            "plate": s.plate,
            "channel": s.channel,
            "value": s.value,
            "runs": len(s.runs),
            "first_s": float(s.runs[0, 0] / record.rate_hz),
        }
        for s in record.saturation
    ]
