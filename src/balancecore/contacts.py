"""When each foot is on the ground: coarse look, baseline, body weight, level, detector, timing (metrics 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balancecore._ext import _contacts
from balancecore.baseline import FZ, Baseline, Method, fit_baseline, unloaded_windows
from balancecore.coarse import Coarse, belts, look
from balancecore.errors import DataError
from balancecore.filters import LowPass, filter_segments, lowpass
from balancecore.flags import Flag
from balancecore.intake import Record, add_up, take_in
from balancecore.parallel import parts, side_by_side
from balancecore.trial import CHANNELS, Trial
from balancecore.weight import STANDARD_GRAVITY, BodyWeight, body_weight

__all__ = [
    "RULES",
    "Contacts",
    "DurationRules",
    "Segmentation",
    "VirtualPlate",
    "find_contacts",
    "given_contacts",
    "segment",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Gait = Literal["auto", "run", "walk"]

#: Confirmation times of the detector and its release level (metrics 1.3).
HOLD_ON_S = 0.005
HOLD_OFF_S = 0.010
RELEASE_FRACTION = 0.5
#: The auto level: 20 N or five SDs of the unloaded signal; 5 % BW for light people (metrics 1.2).
AUTO_LEVEL_N = 20.0
LEVEL_SDS = 5.0
LIGHT_N = 400.0
LIGHT_FRACTION = 0.05
#: The rough contacts of the coarse look, at 10-15 % of body weight, end this much inside the true ones.
ROUGH_MARGIN_S = 0.010
#: On a walkway, where one slow rise can lie beside the only unloaded frames, this much.
CROSSING_MARGIN_S = 0.040
#: A crossing on the timing copy counts if it lies this near to the one found (metrics 1.12).
REACH_S = 0.006
#: Events within 1.5/fc of an end of the signal, and contacts within it of a gap, are flagged (metrics 1.11, 1.12).
EDGE_PERIODS = 1.5
#: A contact cut by an end of the signal needs a peak of three times the level (metrics 1.3).
CUT_PEAK_LEVELS = 3.0
#: Timing copy: 200 Hz, or 35 % of the sampling rate (metrics 1.12).
TIMING_CUTOFF_HZ = 200.0
TIMING_FRACTION = 0.35


@dataclass(frozen=True)
class DurationRules:
    """Shortest and longest contact, shortest flight or swing, s, and smallest peak, BW (metrics 1.3)."""

    min_contact_s: float
    max_contact_s: float
    min_flight_s: float
    min_peak_bw: float


RULES = {
    "run": DurationRules(0.07, 0.50, 0.010, 1.0),
    "mixed": DurationRules(0.07, 0.50, 0.010, 0.5),
    "walk": DurationRules(0.15, 2.0, 0.10, 0.5),
}
#: Shortest and weakest part of a footfall, on one of the plates of a walkway, s and BW.
PART_S = 0.03
PART_PEAK_BW = 0.1


@dataclass(frozen=True, eq=False)
class Contacts:
    """Contacts on one plate, or on several summed to one.

    Attributes
    ----------
    t_on, t_off : ndarray (k,)
        Contact on and off at the level, s; NaN where the signal starts or ends inside the contact.
    peak_n : ndarray (k,)
        Largest vertical force, N.
    flags : ndarray (k,) of int
        :class:`balancecore.Flag` bits.
    samples : ndarray (k, 2)
        The same times in samples; a cut contact has the end of its stretch.
    segments : ndarray (k, 2)
        Gap-free stretch of frames that holds each contact.
    level_n : float
        Level at which the contacts are timed, N.
    rate_hz : float
    rejected : tuple of dict
        What looked like a contact and was not taken for one, with the reason.
    """

    t_on: FloatArray
    t_off: FloatArray
    peak_n: FloatArray
    flags: IntArray
    samples: FloatArray
    segments: IntArray
    level_n: float
    rate_hz: float
    rejected: tuple[dict[str, Any], ...] = ()

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Contacts whose on and off were both seen."""
        return np.isfinite(self.t_on) & np.isfinite(self.t_off)

    def __len__(self) -> int:
        return len(self.t_on)

    def __repr__(self) -> str:
        return f"<Contacts: {int(self.complete.sum())} complete of {len(self)}, level {self.level_n:.1f} N>"


@dataclass(frozen=True, eq=False)
class VirtualPlate:
    """Plates summed about a common origin, with what was found on them.

    Attributes
    ----------
    plates : tuple of int
        Indices into the trial's plates.
    raw, fz : ndarray (n,)
        Vertical force as recorded, and filtered without its baseline, N; NaN in gaps.
    baseline : Baseline
    noise_n : float
        SD of `fz` while unloaded.
    level_n : float
    contacts : Contacts
    joined : bool
        Overground: a sum of plates that are also searched alone, for footfalls across them.
    """

    plates: tuple[int, ...]
    raw: FloatArray
    fz: FloatArray
    baseline: Baseline
    noise_n: float
    level_n: float
    contacts: Contacts
    joined: bool = False

    def wrenches(self, trial: Trial) -> tuple[FloatArray, ...]:
        """Raw wrenches of its plates."""
        return tuple(trial.plates[k].wrench for k in self.plates)

    def origin_m(self, trial: Trial) -> FloatArray:
        """Common origin: the first plate's."""
        return trial.plates[self.plates[0]].origin_m

    def arms_m(self, trial: Trial) -> FloatArray:
        """Each plate's origin less the common one: (n_plates, 3)."""
        return np.array([trial.plates[k].origin_m - self.origin_m(trial) for k in self.plates])


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Everything known about a trial once its contacts are found."""

    record: Record
    gait: str
    gait_detail: dict[str, Any]
    coarse: Coarse
    weight: BodyWeight
    virtual: tuple[VirtualPlate, ...]
    kinetics: LowPass
    timing: LowPass
    unloaded: bool
    surface: Literal["treadmill", "overground"] = "treadmill"

    def total_fz(self) -> FloatArray:
        """Vertical force of all plates, filtered, without baselines, N."""
        return add_up([v.fz for v in self.virtual if not v.joined])


@dataclass(frozen=True)
class LevelRule:
    """How the contact level is chosen: auto, fixed in N, or a fraction of body weight."""

    level_n: float | Literal["auto"] = "auto"
    level_bw: float | None = None

    def __post_init__(self) -> None:
        fixed = self.level_n
        for name, value in (("level_n", fixed), ("level_bw", self.level_bw)):
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if not number and value != ("auto" if name == "level_n" else None):
                raise DataError(f"{name}={value!r}: a number is wanted")
        if self.level_bw is not None:
            if fixed != "auto":
                raise DataError("give level_n or level_bw, not both")
            if not 0.0 < self.level_bw < 0.5:
                raise DataError(
                    f"level_bw={self.level_bw}: a fraction of body weight between 0 and 0.5 is wanted"
                )
        elif not isinstance(fixed, str) and not 0.0 < fixed <= 1000.0:
            raise DataError(f"level_n={fixed}: a level lies above 0 and at or below 1000 N")

    def level(self, weight_n: float, noise_n: float) -> float:
        """Level in N for a body weight (NaN if unknown) and the noise of the unloaded detection copy."""
        if self.level_bw is not None:
            if not math.isfinite(weight_n):
                raise DataError("level_bw needs a body weight, and none could be estimated: give mass_kg")
            return self.level_bw * weight_n
        if not isinstance(self.level_n, str):
            return float(self.level_n)
        least = LIGHT_FRACTION * weight_n if weight_n < LIGHT_N else AUTO_LEVEL_N
        return max(least, LEVEL_SDS * noise_n)


def find_contacts(
    fz: ArrayLike,
    *,
    rate_hz: float,
    level_n: float | Literal["auto"] = "auto",
    level_bw: float | None = None,
    mass_kg: float | None = None,
    cutoff_hz: float | None = 50.0,
    timing_cutoff_hz: float | None = None,
    baseline: Method = "aerial_pchip",
    gait: Gait = "auto",
) -> Contacts:
    """Find the contacts in one vertical force.

    Parameters
    ----------
    fz : array_like (n,)
        Vertical reaction force, N.
    rate_hz : float
        Sampling rate.
    level_n, level_bw : float or "auto"
        Contact level in N, or as a fraction of body weight (metrics 1.2).
    mass_kg : float, optional
        Body mass; without it body weight is estimated.
    cutoff_hz : float or None
        Low-pass of the detection copy (zero phase); None for none.
    timing_cutoff_hz : float, optional
        Low-pass of the copy on which crossings are timed; default min(200 Hz, 35 % of the rate).
    baseline : {"aerial_pchip", "linear", "constant", "none"}
        What is taken off before the level is applied.
    gait : {"auto", "run", "walk"}
        Which durations are plausible.

    Returns
    -------
    Contacts

    Raises
    ------
    DataError
        Bad shape, rate or option.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(3000) / 1000.0
    >>> fz = 1500.0 * np.clip(np.sin(2 * np.pi * t / 0.7), 0, None)
    >>> len(find_contacts(fz, rate_hz=1000.0, mass_kg=70.0))
    5
    """
    force = np.asarray(fz)
    if force.ndim != 1:
        raise DataError(f"fz has shape {force.shape}: one vertical force (n,) is wanted")
    trial = Trial.from_wrenches([force], rate_hz=rate_hz)
    found = segment(
        take_in(trial),
        mass_kg=mass_kg,
        level=LevelRule(level_n, level_bw),
        cutoff_hz=cutoff_hz,
        timing_cutoff_hz=timing_cutoff_hz,
        baseline=baseline,
        gait=gait,
    )
    return found.virtual[0].contacts


def segment(
    record: Record,
    *,
    mass_kg: float | None,
    level: LevelRule,
    cutoff_hz: float | None,
    timing_cutoff_hz: float | None,
    baseline: Method,
    gait: Gait,
    incline_deg: float = 0.0,
    g: float = STANDARD_GRAVITY,
    threads: int = 1,
    crossing: Sequence[tuple[int, ...]] | None = None,
) -> Segmentation:
    """Find the contacts of a trial that was taken in, in the order of metrics 1.1.

    `crossing` is for walkways: the plates to search, each alone, and sums of plates after them. Contacts may then be
    as short and weak as a part of a footfall.
    """
    trial = record.trial
    kinetics = lowpass(cutoff_hz, record.rate_hz)
    timing = _timing_filter(cutoff_hz, timing_cutoff_hz, record.rate_hz)
    given_n = math.nan if mass_kg is None else mass_kg * g
    thin = record.thinned()
    coarse = look(thin, given_n, gait, crossing is not None)
    rules = RULES[coarse.gait]
    groups = [tuple(range(len(trial.plates)))]
    if crossing is not None:
        groups = list(crossing)
        rules = replace(rules, min_contact_s=PART_S, min_peak_bw=PART_PEAK_BW)
    elif coarse.gait != "run" and len(trial.plates) > 1:
        groups = belts(trial)
    _check_stretches(record, kinetics)
    search = _Search(groups, level, baseline, given_n, incline_deg, coarse, rules, crossing is not None)
    # Once on the block means, for good windows of unloaded signal; then for real, on every sample.
    events = [coarse.events(plates) for plates in groups]
    thin_kinetics = lowpass(_thin_cutoff(cutoff_hz, thin.rate_hz), thin.rate_hz)
    margin_s = ROUGH_MARGIN_S if crossing is None else CROSSING_MARGIN_S
    rough, _ = search.run(thin, thin_kinetics, events, coarse.static, margin_s)
    if thin is not record:
        events = [_frames(record, v) for v in rough]
    else:
        events = [(v.contacts.samples[:, 0], v.contacts.samples[:, 1]) for v in rough]
    static = coarse.static * record.block
    virtual, weight = search.run(record, kinetics, events, static, 0.0)
    virtual = [_timed(record, v, kinetics, timing, RULES[coarse.gait], threads) for v in virtual]
    return Segmentation(
        record,
        coarse.gait,
        coarse.detail,
        coarse,
        weight,
        tuple(virtual),
        kinetics,
        timing,
        coarse.unloaded,
        "treadmill" if crossing is None else "overground",
    )


Events = list[tuple[FloatArray, FloatArray]]


@dataclass(frozen=True)
class _Search:
    """Steps 3 to 5 of metrics 1.1: baseline, body weight, contacts."""

    groups: list[tuple[int, ...]]
    level: LevelRule
    baseline: Method
    given_n: float
    incline_deg: float
    coarse: Coarse
    rules: DurationRules
    crossing: bool

    def run(
        self, record: Record, kinetics: LowPass, events: Events, static: IntArray, margin_s: float
    ) -> tuple[list[VirtualPlate], BodyWeight]:
        """One round, from rough contacts, which may be `margin_s` too short at either end, to better ones."""
        virtual = [
            _with_baseline(
                record,
                _raw_virtual(record, plates, kinetics),
                on,
                off,
                self.baseline,
                static,
                margin_s,
                self.crossing and not self.coarse.upside_down,
            )
            for plates, (on, off) in zip(self.groups, events, strict=True)
        ]
        if self.crossing:
            virtual = [replace(v, joined=len(v.plates) > 1) for v in virtual]
        total = add_up([v.fz for v in virtual if not v.joined])
        # No whole stride is on a walkway's plates.
        starts = np.empty(0) if self.crossing else _touch_downs(record, events)
        weight = body_weight(record, total, starts, static, self.given_n, self.incline_deg)
        scale_n = weight.force_n if math.isfinite(weight.force_n) else self.coarse.scale_n
        found = [
            _with_contacts(record, v, self.level, weight.force_n, scale_n, self.rules, self.coarse)
            for v in virtual
        ]
        return found, weight


def _thin_cutoff(cutoff_hz: float | None, rate_hz: float) -> float | None:
    """The kinetics cut-off, as far as the thinned record can hold it."""
    return None if cutoff_hz is None else min(cutoff_hz, 0.4 * rate_hz)


def _frames(record: Record, v: VirtualPlate) -> tuple[FloatArray, FloatArray]:
    """Contacts of the thinned record as frames of the record."""
    samples = v.contacts.samples
    return record.from_thinned(samples[:, 0], True), record.from_thinned(samples[:, 1], False)


def given_contacts(
    trial: Trial,
    contacts: Contacts,
    *,
    mass_kg: float,
    cutoff_hz: float | None,
    baseline: Method,
    incline_deg: float,
    g: float = STANDARD_GRAVITY,
) -> Segmentation:
    """A segmentation around contacts that are already known, on the sum of the trial's plates."""
    if contacts.rate_hz != trial.rate_hz:
        raise DataError(f"contacts found at {contacts.rate_hz:g} Hz don't fit data at {trial.rate_hz:g} Hz")
    if len(contacts) and contacts.segments.max() > len(trial):
        raise DataError(f"contacts reach beyond the record of {len(trial)} frames: they are from another one")
    if not np.isfinite(contacts.samples).all():
        raise DataError(
            "a contact lies at no sample: `samples` must be numbers, also where a time is unknown"
        )
    record = take_in(trial)
    kinetics = lowpass(cutoff_hz, record.rate_hz)
    coarse = look(record.thinned(), mass_kg * g, "auto")
    v = _raw_virtual(record, tuple(range(len(trial.plates))), kinetics)
    on, off = contacts.samples[:, 0], contacts.samples[:, 1]
    static = coarse.static * record.block
    v = _with_baseline(record, v, on, off, baseline, static)
    v = replace(v, level_n=contacts.level_n, contacts=contacts)
    weight = body_weight(record, v.fz, _touch_downs(record, [(on, off)]), static, mass_kg * g, incline_deg)
    return Segmentation(
        record, coarse.gait, coarse.detail, coarse, weight, (v,), kinetics, kinetics, coarse.unloaded
    )


def _check_stretches(record: Record, kinetics: LowPass) -> None:
    """Refuse a record of which the filter leaves nothing."""
    longest = int((record.segments[:, 1] - record.segments[:, 0]).max())
    if longest <= kinetics.padding:
        raise DataError(
            f"no stretch without gaps is longer than the low-pass needs ({kinetics.padding} frames, "
            f"{kinetics.padding / record.rate_hz:.3g} s): the longest has {longest} frames. "
            "Fill short gaps first, or raise cutoff_hz"
        )


def _touch_downs(record: Record, events: Events) -> FloatArray:
    """Contact-on times of all plates, in order; a contact cut by the start of a stretch has none."""
    starts = np.sort(np.concatenate([on for on, _ in events]))
    firsts = np.append(record.segments[:, 0], np.inf)  # infinity: nothing starts after the last stretch
    seen: FloatArray = starts[starts != firsts[np.searchsorted(firsts, starts)]]
    return seen


def _timing_filter(cutoff_hz: float | None, timing_cutoff_hz: float | None, rate_hz: float) -> LowPass:
    if timing_cutoff_hz is None:
        timing_cutoff_hz = None if cutoff_hz is None else min(TIMING_CUTOFF_HZ, TIMING_FRACTION * rate_hz)
    return lowpass(timing_cutoff_hz, rate_hz, name="timing_cutoff_hz")


def _raw_virtual(record: Record, plates: tuple[int, ...], kinetics: LowPass) -> VirtualPlate:
    """A virtual plate with its detection copy, nothing found yet."""
    raw = record.vertical(plates)
    filtered = filter_segments(raw, record.segments, kinetics, record.room.take(len(raw)))
    empty = Contacts(
        *(np.empty(0),) * 3,
        np.empty(0, np.int64),
        np.empty((0, 2)),
        np.empty((0, 2), np.int64),
        0.0,
        record.rate_hz,
    )
    flat = Baseline("none", np.zeros(1), np.zeros((len(plates), 6, 4, 1)))
    return VirtualPlate(plates, raw, filtered, flat, 0.0, 0.0, empty)


def _with_baseline(
    record: Record,
    v: VirtualPlate,
    on: FloatArray,
    off: FloatArray,
    method: Method,
    static: IntArray,
    margin_s: float = 0.0,
    crossing: bool = False,
) -> VirtualPlate:
    windows = unloaded_windows(on, off, record.segments, record.rate_hz, static, margin_s)
    if crossing and not len(on):  # nobody steps on this plate
        windows = record.segments
    usable: Method = method
    note = ""
    if method == "aerial_pchip" and len(on) > 4 and len(windows) < 0.5 * len(on):
        usable = "linear"
        note = (
            f"only {len(windows)} unloaded windows for {len(on)} contacts: a straight line was used instead"
        )
    # The first round needs no more than the vertical force.
    wanted = ("Fz",) if margin_s else CHANNELS
    measured = np.array(
        [[c in wanted and c not in record.trial.plates[k].missing for c in CHANNELS] for k in v.plates]
    )
    fitted = fit_baseline(usable, record, v.plates, measured, windows)
    if note and not fitted.note:
        fitted = replace(fitted, note=note)
    # In place: the filter and so slow an offset commute, so the filtered copy is never needed again.
    _contacts.subtract_cubic(v.fz, 0, fitted.breaks, fitted.vertical(), v.fz)
    quiet = fitted.knots if len(fitted.knots) else windows
    if crossing and not len(on) and margin_s:
        quiet = quiet[:0]  # what the rough look missed must not pass for noise
    return replace(v, baseline=fitted, noise_n=_noise(v.fz, quiet))


def _noise(fz: FloatArray, windows: IntArray) -> float:
    """SD of the detection copy over the unloaded windows; 0 without any."""
    if not len(windows):
        return 0.0
    moments = np.empty((len(windows), 3))
    _contacts.window_moments(
        fz, np.ascontiguousarray(windows[:, 0]), np.ascontiguousarray(windows[:, 1]), moments
    )
    moments = moments[np.isfinite(moments).all(axis=1)]
    count, total, squares = moments.sum(axis=0)
    return math.sqrt(max(squares / count - (total / count) ** 2, 0.0)) if count else 0.0


def _with_contacts(
    record: Record,
    v: VirtualPlate,
    level: LevelRule,
    weight_n: float,
    scale_n: float,
    rules: DurationRules,
    coarse: Coarse,
) -> VirtualPlate:
    level_n = level.level(weight_n, v.noise_n)
    rows, stretches = _detect(v.fz, record.segments, record.rate_hz, level_n)
    rows, stretches, merged = _merge(rows, stretches, _samples(rules.min_flight_s, record.rate_hz))
    keep, rejected = _judge(rows, record.rate_hz, level_n, scale_n, rules, coarse)
    rows, stretches, merged = rows[keep], stretches[keep], merged[keep]
    flags = np.zeros(len(rows), dtype=np.int64)
    flags[rows[:, 3] > 0] |= Flag.INCOMPLETE_START
    flags[rows[:, 4] > 0] |= Flag.INCOMPLETE_END
    flags[(rows[:, 5] > 0) | merged] |= Flag.MERGED_GLITCH
    contacts = Contacts(
        np.where(rows[:, 3] > 0, np.nan, rows[:, 0]) / record.rate_hz,
        np.where(rows[:, 4] > 0, np.nan, rows[:, 1]) / record.rate_hz,
        rows[:, 2].copy(),
        flags,
        rows[:, :2].copy(),
        stretches,
        level_n,
        record.rate_hz,
        rejected,
    )
    return replace(v, level_n=level_n, contacts=contacts)


def _samples(duration_s: float, rate_hz: float) -> int:
    """A duration in whole samples, rounded up; 0.07 s at 2400 Hz are 168, whatever their product's last digit."""
    return math.ceil(round(duration_s * rate_hz, 6))


def _detect(
    fz: FloatArray, segments: IntArray, rate_hz: float, level_n: float
) -> tuple[FloatArray, IntArray]:
    """Rows of the detector (in samples of the record) and the stretch that holds each."""
    hold_on, hold_off = _samples(HOLD_ON_S, rate_hz), _samples(HOLD_OFF_S, rate_hz)
    rows, stretches = [], []
    for low, high in segments.tolist():
        if not np.isfinite(fz[low]):
            continue  # shorter than the filter's padding
        out = np.empty(((high - low) // (hold_on + hold_off) + 2, 6))
        state = np.zeros(_contacts.STATE_SIZE, dtype=np.int64)
        memory = np.zeros(_contacts.MEMORY_SIZE)
        count = _contacts.detect(
            fz[low:high], level_n, RELEASE_FRACTION * level_n, hold_on, hold_off, state, memory, out, True
        )
        out = out[:count].copy()
        out[:, :2] += low
        rows.append(out)
        stretches.append(np.tile(np.array([[low, high]], dtype=np.int64), (count, 1)))
    if not rows:
        return np.empty((0, 6)), np.empty((0, 2), dtype=np.int64)
    return np.concatenate(rows), np.concatenate(stretches)


def _merge(
    rows: FloatArray, stretches: IntArray, min_flight: int
) -> tuple[FloatArray, IntArray, NDArray[np.bool_]]:
    """Join contacts of one stretch with less than `min_flight` samples between them."""
    joined = (stretches[1:, 0] == stretches[:-1, 0]) & (rows[1:, 0] - rows[:-1, 1] < min_flight)
    if not joined.any():
        return rows, stretches, np.zeros(len(rows), dtype=bool)
    first = np.flatnonzero(np.concatenate(([True], ~joined)))
    last = np.concatenate((first[1:], [len(rows)])) - 1
    out = rows[first]
    out[:, [1, 4]] = rows[last][:, [1, 4]]
    out[:, 2] = np.maximum.reduceat(rows[:, 2], first)
    out[:, 5] = np.add.reduceat(rows[:, 5], first)
    return out, stretches[first], last > first


def _judge(
    rows: FloatArray, rate_hz: float, level_n: float, weight_n: float, rules: DurationRules, coarse: Coarse
) -> tuple[NDArray[np.bool_], tuple[dict[str, Any], ...]]:
    """Delete what is too short or too weak for a contact, and say why."""
    on, off, peak = rows[:, 0], rows[:, 1], rows[:, 2]
    cut = (rows[:, 3:5] > 0).any(axis=1)
    # The first that holds is the reason.
    reasons: dict[str, NDArray[np.bool_]] = {
        "the vertical force points down": np.full(len(rows), bool(coarse.upside_down)),
        "the plate is unloaded throughout": np.full(len(rows), coarse.unloaded),
        f"cut by an end of the signal, with a peak below {CUT_PEAK_LEVELS:g} times the level": cut
        & (peak < CUT_PEAK_LEVELS * level_n),
        f"SHORT_CONTACT: shorter than {rules.min_contact_s:g} s": ~cut
        & (off - on < _samples(rules.min_contact_s, rate_hz)),
        f"peak below {rules.min_peak_bw:g} BW": ~cut & (peak < rules.min_peak_bw * weight_n),
    }
    keep = ~np.any(list(reasons.values()), axis=0)
    rejected = tuple(
        {
            "t_on": float(on[i]) / rate_hz,
            "t_off": float(off[i]) / rate_hz,
            "peak_n": float(peak[i]),
            "reason": next(reason for reason, holds in reasons.items() if holds[i]),
        }
        for i in np.flatnonzero(~keep)
    )
    return keep, rejected


def _timed(
    record: Record, v: VirtualPlate, kinetics: LowPass, timing: LowPass, rules: DurationRules, threads: int
) -> VirtualPlate:
    """Time the contacts on the timing copy, and set the flags that depend on where they lie."""
    c = v.contacts
    samples, flags = c.samples.copy(), c.flags.copy()
    if timing.cutoff_hz != kinetics.cutoff_hz and len(c):
        _refine(record, v, timing, samples, flags, threads)
    t_on = np.where(np.isnan(c.t_on), np.nan, samples[:, 0] / c.rate_hz)
    t_off = np.where(np.isnan(c.t_off), np.nan, samples[:, 1] / c.rate_hz)
    duration = t_off - t_on
    flags[duration < rules.min_contact_s] |= Flag.SHORT_CONTACT  # long enough on the detection copy only
    flags[duration > rules.max_contact_s] |= Flag.LONG_CONTACT
    flags[(samples[:, 1] - samples[:, 0]) / c.rate_hz > rules.max_contact_s] |= Flag.LONG_CONTACT
    settle = 0.0 if kinetics.cutoff_hz is None else EDGE_PERIODS * c.rate_hz / kinetics.cutoff_hz
    ends = (samples[:, 0] - c.segments[:, 0] < settle) | (c.segments[:, 1] - 1 - samples[:, 1] < settle)
    flags[ends] |= Flag.FILTER_EDGE
    flags[_touched(samples, record.gaps, settle + 1.0)] |= Flag.GAP
    flags[_saturated(record, v.plates, samples)] |= Flag.SATURATED
    return replace(v, contacts=replace(c, t_on=t_on, t_off=t_off, flags=flags, samples=samples))


def _refine(
    record: Record, v: VirtualPlate, timing: LowPass, samples: FloatArray, flags: IntArray, threads: int
) -> None:
    c = v.contacts
    seen = ~np.isnan(np.column_stack((c.t_on, c.t_off)))
    row, edge = np.nonzero(seen)
    times = np.ascontiguousarray(samples[row, edge])
    reach = math.ceil(REACH_S * record.rate_hz)
    offsets = np.nansum(v.baseline.at(times, FZ)[:, 0], axis=0)
    offsets, rising = np.ascontiguousarray(offsets), (edge == 0).astype(np.int8)
    segments = np.ascontiguousarray(c.segments[row])
    out = np.empty(len(times))

    def some(first: int, stop: int) -> None:
        _contacts.refine_crossings(
            v.raw,
            segments[first:stop],
            times[first:stop],
            rising[first:stop],
            c.level_n,
            offsets[first:stop],
            timing.sos,
            timing.zi,
            reach,
            timing.margin,
            out[first:stop],
            np.empty((2 * (reach + timing.margin) + 2, 4)),
        )

    side_by_side(some, parts(len(times), threads))
    found = np.isfinite(out)
    samples[row[found], edge[found]] = out[found]
    flags[row[~found]] |= Flag.COARSE_TIMING


def _touched(samples: FloatArray, spans: IntArray, reach: float) -> NDArray[np.bool_]:
    """Contacts that come within `reach` samples of a span of frames."""
    if not len(spans) or not len(samples):
        return np.zeros(len(samples), dtype=bool)
    after = np.searchsorted(spans[:, 1], samples[:, 0] - reach, side="right")
    inside = after < len(spans)
    touched = np.zeros(len(samples), dtype=bool)
    touched[inside] = spans[after[inside], 0] < samples[inside, 1] + reach
    return touched


def _saturated(record: Record, plates: tuple[int, ...], samples: FloatArray) -> NDArray[np.bool_]:
    hit = np.zeros(len(samples), dtype=bool)
    for s in record.saturation:
        if s.plate in plates:
            hit |= _touched(samples, s.runs, 0.0)
    return hit
