"""`GaitStream`: the analysis of a signal that is still running. It starts no thread, reads no clock, knows no device.

Frames go into the kernel's rings; it filters on a fixed grid, searches, and comes back where something has to be
decided: a contact has begun that counts, has ended, a stretch has ended. So every decision falls on the same sample
however the signal was cut, and nothing but the look-ahead is used of what comes after it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balancecore._ext import _contacts, _steps, _stream
from balancecore.baseline import END_WINDOW_S, MIN_SAMPLES, MIN_WINDOW_S, Baseline, Method
from balancecore.causal import (
    CausalBaseline,
    Knot,
    Line,
    RunningCurves,
    RunningForces,
    RunningVote,
    StepNumbers,
)
from balancecore.coarse import Coarse, belts
from balancecore.contacts import (
    CUT_PEAK_LEVELS,
    EDGE_PERIODS,
    HOLD_OFF_S,
    HOLD_ON_S,
    REACH_S,
    RELEASE_FRACTION,
    RULES,
    Contacts,
    Gait,
    LevelRule,
    Segmentation,
    VirtualPlate,
    _samples,
    _timing_filter,
    segment,
)
from balancecore.crossover import belt_gap_m, long_contact, near_belt_gap, shared_load, shared_span
from balancecore.errors import DataError
from balancecore.filters import lowpass
from balancecore.flags import Flag
from balancecore.gait import (
    BELT_CONTRAST,
    Curves,
    GaitResult,
    Options,
    PoiRule,
    _Measured,
    _poi_rule,
    _result,
    _sides,
    limb_curves,
)
from balancecore.intake import MIN_DURATION_S, Record, Room, take_in
from balancecore.schema import SYMMETRY_METRICS
from balancecore.sides import VOTE_LEAST, Sides, by_belt, by_parity
from balancecore.steps import (
    COP_FORCE_BW,
    COP_FORCE_N,
    EXCLUDING,
    FAR_KNOT_SPACINGS,
    MOTION_RATE_HZ,
    Kinetics,
    Merged,
    Poi,
    Step,
    StepTable,
    derive,
    edge_bounds,
    finished,
    flag_edges,
    flag_whole,
)
from balancecore.symmetry import symmetry_index
from balancecore.trial import CHANNELS, Block, Layout, Trial, check_rate
from balancecore.weight import STANDARD_GRAVITY, BodyWeight

__all__ = ["LATER_COLUMNS", "ContactEvent", "GaitStream", "RunningSymmetry", "StreamStep", "analyze_online"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Bits as plain numbers: arithmetic on flags of the enumeration takes longer than the filter.
_BW_SUSPECT = int(Flag.BW_SUSPECT)
_COARSE_TIMING = int(Flag.COARSE_TIMING)
_CROSSOVER = int(Flag.CROSSOVER)
_DRIFT_SUSPECT = int(Flag.DRIFT_SUSPECT)
_FILTER_EDGE = int(Flag.FILTER_EDGE)
_GAP = int(Flag.GAP)
_INCOMPLETE_END = int(Flag.INCOMPLETE_END)
_INCOMPLETE_START = int(Flag.INCOMPLETE_START)
_LONG_CONTACT = int(Flag.LONG_CONTACT)
_MERGED_GLITCH = int(Flag.MERGED_GLITCH)
_SHORT_CONTACT = int(Flag.SHORT_CONTACT)
_NOBODY = np.zeros(2, dtype=bool)
_SHAPE = (len(_steps.CURVES), _steps.CURVE_POINTS)
_NO_CURVES = np.empty((0, *_SHAPE))
_WANTED = np.ones(1, dtype=np.uint8)
_COP_X = _steps.COLUMNS.index("cop_x")
#: Flags that keep a contact out of means, but for the sides, which may still become known.
_NOT_MEANT = int(EXCLUDING & ~Flag.SIDE_AMBIGUOUS)

#: Columns that wait for the next contact's end or for the end of the stride: NaN in the steps that `push` returns.
LATER_COLUMNS = ("t_stride", "t_swing", "duty", "step_length", "step_width")
#: Grid of the zero-phase filter.
GRID_S = 0.025
#: Without `tare` the first so many seconds are looked at as a whole, for gait, offset and body weight.
LOOK_S = 2.0
#: Raw signal that is kept: the longest contact of walking, or two of its steps, with the look-ahead added.
KEPT_S = 4.0
#: Provisional events: low-pass of one pass, and how long the level must hold.
PROVISIONAL_HZ = 100.0
PROVISIONAL_FRACTION = 0.35
PROVISIONAL_HOLD_S = 0.005
#: An unloaded window longer than this counts with its last 0.2 s only.
LONG_WINDOW_S = 1.0
#: Strides that the running symmetry remembers.
MOST_STRIDES = 200
_ORIGIN = np.zeros(1)
_START = np.zeros(1, dtype=np.int64)
_RISING, _FALLING = np.ones(1, dtype=np.int8), np.zeros(1, dtype=np.int8)


class ContactEvent(NamedTuple):
    """A provisional contact on or off, for triggers.

    Attributes
    ----------
    kind : {"on", "off"}
    time_s : float
        When the level was crossed, less the filter's delay.
    confirmed_s : float
        Time of the frame that confirmed it; the event was given away in the push that brought this frame.
    side : str
        As far as it is known: by belt, or by alternation from the sides so far; else "?".
    plate : int
        Number of the belt; -1 for the sum of several.
    """

    kind: str
    time_s: float
    confirmed_s: float
    side: str
    plate: int

    @property
    def provisional(self) -> bool:
        """Always True: only the steps say which contacts count."""
        return True


class RunningSymmetry(NamedTuple):
    """Symmetry index of limb means over the last strides; positive = first limb larger.

    Attributes
    ----------
    limbs : tuple of 2 str
    strides : int
    si : dict of str to float
        %, by metric; NaN where a limb has no value.
    means : dict of str to tuple of 2 float
        What is compared: the mean of each limb, in the unit of the step table.
    """

    limbs: tuple[str, str]
    strides: int
    si: dict[str, float]
    means: dict[str, tuple[float, float]]


@dataclass(slots=True)
class _Row:
    """One contact that counts.

    `line` is the offset under it, `knot` the window directly before it. `crossed` is the toe-off of the detector,
    `off` that of the timing copy, and `late` holds the flags that follow from it. `curve` is kept until the step is
    given away.
    """

    number: int
    belt: int
    plate: int
    on: float
    t_on: float
    low: int
    parity: int
    line: Line
    knot: Knot | None
    flags: int = 0
    late: int = 0
    crossed: float = math.nan
    off: float = math.nan
    t_off: float = math.nan
    curve: FloatArray | None = None
    peak_n: float = math.nan
    weight_n: float = math.nan
    vo: float = math.nan
    dy: float = math.nan
    shares: list[float] = field(default_factory=list)
    measured: bool = False
    ended: bool = False
    gap_after: bool = False


class _Taken(NamedTuple):
    """What some contacts' rows held at one moment."""

    times: list[tuple[float, ...]]
    places: list[tuple[int, ...]]

    @classmethod
    def of(cls, rows: list[_Row]) -> _Taken:
        return cls(
            [(r.t_on, r.t_off, r.on, r.off, r.vo, r.dy, r.weight_n) for r in rows],
            [(r.flags | r.late, r.plate, r.low, r.parity) for r in rows],
        )

    def merged(self, columns: FloatArray) -> tuple[Merged, FloatArray]:
        """Contacts as the table wants them; oscillation, compression and body weight of each, (3, k)."""
        times = np.array(self.times, dtype=np.float64).reshape(-1, 7).T.copy()
        places = np.array(self.places, dtype=np.int64).reshape(-1, 4).T.copy()
        merged = Merged(
            times[0],
            times[1],
            places[0],
            places[1],
            places[2],
            times[2:4].T.copy(),
            np.arange(len(self.times)),
            places[3],
            dict(zip(_steps.COLUMNS, columns.T, strict=True)),
            _NO_CURVES,
        )
        return merged, times[4:]


class StreamStep(Step):
    """A step of a stream: its table is made when a column is first asked for, so that `push` can go on.

    Attributes
    ----------
    number : int
        Counts the contacts from 0, in order of touch-down; the same in `contacts` and in what `push` returns.
    """

    def __init__(self, build: Callable[[], StepTable], row: int, number: int) -> None:
        self._build: Callable[[], StepTable] | None = build
        self._made: StepTable | None = None
        self._row = row
        self.number = number

    @property
    def _table(self) -> StepTable:  # type: ignore[override]
        if self._made is None:
            assert self._build is not None
            self._made, self._build = self._build(), None
        return self._made


@dataclass(slots=True)
class _Closed:
    """A contact that the detector has closed and that may still be merged with the next."""

    on: float
    off: float
    peak: float
    cut_start: bool
    cut_end: bool
    dips: float
    row: _Row | None
    merged: bool = False


@dataclass(slots=True)
class _Belt:
    """One virtual plate."""

    number: int
    plates: tuple[int, ...]
    plate: int
    bounds: tuple[FloatArray, FloatArray] | None
    arms: FloatArray
    to_lanes: FloatArray
    missing: IntArray
    origin: FloatArray
    baseline: CausalBaseline
    line: Line
    closed: _Closed | None = None
    row: _Row | None = None
    last_off: float = math.nan
    noise: list[float] = field(default_factory=lambda: [0.0, 0.0])
    windows: list[tuple[int, int]] = field(default_factory=list)
    dropped: list[tuple[int, int]] = field(default_factory=list)
    looked_apart: list[tuple[int, int]] = field(default_factory=list)
    outlier: bool = False
    rejected: list[dict[str, Any]] = field(default_factory=list)

    @property
    def noise_n(self) -> float:
        return math.sqrt(self.noise[1] / self.noise[0]) if self.noise[0] else 0.0


class GaitStream:
    """Steps of a running signal, block by block.

    Parameters
    ----------
    layout : Layout
        ``trial.layout``, ``Layout.split_belt()`` or ``Layout.single_belt()``.
    rate_hz : float
        Frames per second.
    n_channels : int, optional
        Channels a frame, six a plate: a check that layout and device agree.
    mass_kg : float, optional
        Body mass. Without it body weight is that of the start-up look, then the mean force over the whole strides
        so far.
    level_n, level_bw : float
        Contact level in N, or as a fraction of the given body weight.
    speed_m_s, incline_deg, leg_length_m, cutoff_hz, timing_cutoff_hz, first_side, n_boot, seed, mdc95
        As for :func:`balancecore.analyze_gait`.
    gait : {"auto", "run", "walk"}
        "auto": walking if the start-up look shows strides of walking on split belts, else running.
    poi : {"13pct", "impact_peak", "mixed"}
        Point of interest of `vilr` and `imp_v_early`.
    tare : array_like (n_channels,), optional
        Reading of the unloaded plates. With it there is no start-up look (and "auto" means running).

    Attributes
    ----------
    events : tuple of ContactEvent
        Provisional events that the last push brought.
    contacts : tuple of StreamStep
        Contacts measured by the last push, with their own columns; what depends on the next contact is NaN. Running,
        all but the touch-down is measured once more when the flight after the contact is known: the step that `push`
        returns (of the same `number`) has the final values.

    Raises
    ------
    DataError
        Bad layout, rate or option.

    Notes
    -----
    One thread at a time pushes a stream; different streams share nothing. See docs/streaming.md for what waits for
    what.

    Examples
    --------
    >>> import numpy as np
    >>> from balancecore import simulate
    >>> trial = simulate.treadmill(duration_s=12.0, seed=1).trial
    >>> stream = GaitStream(trial.layout, rate_hz=trial.rate_hz, mass_kg=70.0)
    >>> frames = np.hstack([plate.wrench for plate in trial.plates])
    >>> steps = [step for k in range(0, len(frames), 10) for step in stream.push(frames[k : k + 10])]
    >>> result = stream.finish()
    >>> len(steps), len(result.steps), result.limbs
    (31, 32, ('L', 'R'))
    """

    def __init__(
        self,
        layout: Layout,
        *,
        rate_hz: float,
        n_channels: int | None = None,
        mass_kg: float | None = None,
        level_n: float = 20.0,
        level_bw: float | None = None,
        speed_m_s: float | None = None,
        incline_deg: float = 0.0,
        leg_length_m: float | None = None,
        cutoff_hz: float | None = 50.0,
        timing_cutoff_hz: float | None = None,
        gait: Gait = "auto",
        first_side: Literal["L", "R"] | None = None,
        poi: PoiRule = "13pct",
        tare: ArrayLike | None = None,
        n_boot: int = 2000,
        seed: int = 0,
        mdc95: Mapping[str, float] | None = None,
    ) -> None:
        if not isinstance(layout, Layout):
            raise DataError("layout: give trial.layout, Layout.split_belt() or Layout.single_belt()")
        if n_channels is not None and n_channels != 6 * len(layout):
            raise DataError(f"n_channels={n_channels}: {len(layout)} plates have {6 * len(layout)} channels")
        options = Options(
            mass_kg=mass_kg,
            speed_m_s=speed_m_s,
            incline_deg=incline_deg,
            leg_length_m=leg_length_m,
            level_n="auto" if level_bw is not None else level_n,
            level_bw=level_bw,
            cutoff_hz=cutoff_hz,
            timing_cutoff_hz=timing_cutoff_hz,
            gait=gait,
            first_side=first_side,
            poi=poi,
            n_boot=n_boot,
            seed=seed,
            mdc95=None if mdc95 is None else {str(k): float(v) for k, v in mdc95.items()},
            online=True,
        )
        self._set_up(layout, rate_hz, options, tare)

    # -----------------------------------------------------------------------------------------------------------
    # Preparation

    def _set_up(self, layout: Layout, rate_hz: float, options: Options, tare: ArrayLike | None) -> None:
        self._layout, self._options = layout, options
        self._rate = rate = check_rate(rate_hz)
        if rate < 50.0:
            raise DataError(f"the sampling rate of {rate:g} Hz is too low to see contacts (50 Hz at least)")
        self._poi: Poi = _causal_poi(options)
        self._given_n = math.nan if options.mass_kg is None else options.mass_kg * STANDARD_GRAVITY
        self._incline = math.tan(math.radians(options.incline_deg))
        self._level_n = LevelRule(options.level_n, options.level_bw).level(self._given_n, 0.0)
        self._kinetics = lowpass(options.cutoff_hz, rate)
        self._timing = _timing_filter(options.cutoff_hz, options.timing_cutoff_hz, rate)
        self._reach = math.ceil(REACH_S * rate)
        self._settle = 0.0 if options.cutoff_hz is None else EDGE_PERIODS * rate / options.cutoff_hz
        self._grid = max(math.ceil(GRID_S * rate), 1)
        self._ahead = max(
            self._kinetics.margin + 4, self._kinetics.padding + 1, self._reach + self._timing.margin + 6
        )
        self._ring = math.ceil(KEPT_S * rate) + 4 * (self._ahead + self._grid)
        self._causal = lowpass(min(PROVISIONAL_HZ, PROVISIONAL_FRACTION * rate), rate)
        self._causal_delay = _delay(self._causal.sos)
        self._tare = None if tare is None else self._check_tare(tare)
        self._measured_channels = np.array([[c not in m for c in CHANNELS] for m in layout.missing])
        self._gap_m = belt_gap_m(list(layout.corners_m))
        self._moments = all({"Mx", "My"}.isdisjoint(m) for m in layout.missing)
        # What has been decided so far.
        self._gait = "run" if options.gait == "auto" else options.gait
        self._gait_detail: dict[str, Any] = {"asked": options.gait}
        self._start_n = math.nan
        self._static = (math.nan, math.nan)
        self._start_unloaded = False
        self._upside_down: tuple[int, ...] = ()
        self._scale_n = math.nan
        self._looked = self._tare_given = self._tare is not None
        self._rows: list[_Row] = []
        self._columns = np.empty((64, _steps.N_COLUMNS))
        self._emitted = 0
        self._numbers = StepNumbers()
        self._forces = RunningForces()
        self._vote, self._belt_vote = RunningVote(), RunningVote(BELT_CONTRAST)
        self._curves = [RunningCurves(*_SHAPE), RunningCurves(*_SHAPE)]
        self._waiting: list[tuple[int, FloatArray]] = []
        self._stepped = 0
        self._overlaps: deque[float] = deque(maxlen=31)
        self._recent: deque[tuple[int, Step]] = deque(maxlen=2 * MOST_STRIDES)
        self._sides: Sides | None = None
        self._known_sides: dict[tuple[tuple[int, bool, bool], ...], Sides] = {}
        self._event_side: dict[int, str] = {}
        self._segments: list[tuple[int, int]] = []
        self._seams: set[int] = {0}  # frames at which a stretch begins without a gap before it
        self._notes: list[str] = []
        self._steps: list[StreamStep] = []
        self._events: list[ContactEvent] = []
        self._new_contacts: list[StreamStep] = []
        self._result: GaitResult | None = None
        groups = [tuple(range(len(layout)))]
        if self._gait == "walk":
            groups = belts(layout.trial([np.empty((0, 6))] * len(layout), rate))
        self._make_engine(groups)

    def _check_tare(self, tare: ArrayLike) -> FloatArray:
        values = np.array(tare, dtype=np.float64).ravel()
        if values.shape != (6 * len(self._layout),):
            raise DataError(f"tare has {values.size} values: {6 * len(self._layout)} are wanted, six a plate")
        fz = values[2::6]
        if not np.isfinite(fz).all():
            raise DataError("tare: the vertical force of some plate is not finite")
        return values

    def _make_engine(self, groups: list[tuple[int, ...]]) -> None:
        """Rings for every plate and group, all of the memory that frames ever take."""
        ring, plates = self._ring, len(self._layout)
        self._raw = np.full((plates, 2 * ring, 6), np.nan)
        self._vertical, self._forward, self._smooth = (
            np.full((len(groups), 2 * ring), np.nan) for _ in range(3)
        )
        padding = self._kinetics.padding
        self._engine = _stream.Engine(
            [list(g) for g in groups],
            self._measured_channels.astype(np.uint8),
            self._raw,
            self._vertical,
            self._forward,
            self._smooth,
            self._kinetics.sos,
            self._kinetics.zi,
            padding,
            self._ahead,
            self._grid,
            _samples(HOLD_ON_S, self._rate),
            _samples(HOLD_OFF_S, self._rate),
            self._causal.sos,
            self._causal.zi,
            max(_samples(PROVISIONAL_HOLD_S, self._rate), 1),
            np.empty(2 * (self._ahead + self._grid + padding) + ring),
        )
        self._width = 6 * plates
        origins = self._layout.origins_m
        self._belts = []
        for k, group in enumerate(groups):
            channels = [6 * p + c for p in group for c in range(6)]
            start = np.zeros(len(channels)) if self._tare is None else self._tare[channels]
            missing = np.flatnonzero(~self._measured_channels[list(group)])
            start[missing] = 0.0
            baseline = CausalBaseline(start, self._rate)
            arms = np.ascontiguousarray(origins[list(group)] - origins[group[0]])
            self._belts.append(
                _Belt(
                    k,
                    group,
                    -1 if len(groups) == 1 and plates > 1 else group[0],
                    edge_bounds([self._layout.corners_m[p] for p in group]),
                    arms,
                    _to_lanes(arms),
                    missing,
                    np.ascontiguousarray(origins[group[0]]),
                    baseline,
                    baseline.line(0.0),
                )
            )
        self._set_rules()

    def _set_rules(self) -> None:
        rules = RULES[self._gait]
        scale = self._weight_n if math.isfinite(self._weight_n) else self._scale_n
        least = rules.min_peak_bw * scale if math.isfinite(scale) else 0.0
        self._engine.set_rules(
            self._level_n,
            RELEASE_FRACTION * self._level_n,
            _samples(rules.min_contact_s, self._rate),
            least,
        )
        for belt in self._belts:
            self._engine.set_offset(belt.number, belt.line.vertical(self._engine.frontier))

    # -----------------------------------------------------------------------------------------------------------
    # The caller's side

    @property
    def events(self) -> tuple[ContactEvent, ...]:
        """Provisional contact on and off that the last push brought."""
        return tuple(self._events)

    @property
    def contacts(self) -> tuple[StreamStep, ...]:
        """Contacts measured by the last push, as known before the flight after them."""
        return tuple(self._new_contacts)

    @property
    def look_ahead_s(self) -> float:
        """Signal that is needed beyond an instant before it can be judged: filter and grid."""
        return (self._ahead + self._grid) / self._rate

    @property
    def frames(self) -> int:
        """Frames taken, lost ones counted."""
        return self._engine.n

    def push(self, block: ArrayLike | Block) -> tuple[StreamStep, ...]:
        """Take the next frames.

        Parameters
        ----------
        block : array_like (k, n_channels) or Block
            Fx Fy Fz Mx My Mz of each plate: reaction force in N and moment in N·m, x right, y forward, z up. A
            C-contiguous float64 array is read where it lies; it may be read-only, and is free again on return.
            Frames that are not finite, or beyond 1e7, are a gap.

        Returns
        -------
        tuple of StreamStep
            Steps that this block completed: those whose next touch-down has come to count, or whose stretch of
            signal has ended. `LATER_COLUMNS` are NaN in them; :meth:`finish` has them. All else is final but for
            what only a look at all steps can give (sides that are unknown yet, some flags, `vo` and `dy` of the
            first step).

        Raises
        ------
        DataError
            Wrong shape or type, or a stream that is finished.
        """
        if self._steps or self._events or self._new_contacts:
            self._steps, self._events, self._new_contacts = [], [], []
        engine = self._engine
        if self._result is not None:
            raise DataError("the stream is finished")
        try:
            code = engine.run(block, 0)  # type: ignore[arg-type]
            if code == _stream.DONE:
                return ()
            frames: FloatArray = block  # type: ignore[assignment]
        except (TypeError, ValueError, BufferError):
            frames, lost = self._frames(block)
            if lost:
                self._lose(lost)
            code = self._engine.run(frames, 0)
        while code != _stream.DONE:
            position = (
                self._engine.position
            )  # the kernel may be sent elsewhere, or be another one, after this
            self._attend(code)
            code = self._engine.run(frames, position)
        return tuple(self._steps)

    def _frames(self, block: ArrayLike | Block) -> tuple[FloatArray, int]:
        """A block as the kernel wants it, or a DataError that says what is wrong with it."""
        lost = 0
        if isinstance(block, Block):
            lost, block = block.lost_before, block.frames
            if isinstance(lost, bool) or not isinstance(lost, (int, np.integer)) or lost < 0:
                raise DataError(f"lost_before={lost!r}: a number of frames is wanted")
        try:
            array = np.asarray(block)
            if array.dtype.kind not in "fiu" and array.size:
                raise TypeError(f"its type is {array.dtype}")
            if array.size == 0 and array.ndim != 2:
                array = np.empty((0, self._width))
            if array.ndim != 2 or array.shape[1] != self._width:
                raise ValueError(f"its shape is {array.shape}")
            return np.ascontiguousarray(array, dtype=np.float64), int(lost)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"a block must be numbers of shape (k, {self._width}), six channels a plate; {error}"
            ) from error

    def symmetry(
        self,
        last_strides: int = 20,
        metrics: Sequence[str] = ("tc", "t_step", "peak_active", "imp_v", "valr_2080_poi13", "vilr"),
    ) -> RunningSymmetry:
        """Symmetry index of the limbs' means over the last strides.

        Parameters
        ----------
        last_strides : int
            1 to 200; the last two steps a stride, contacts that don't count for limb means left out.
        metrics : sequence of str
            Columns of the step table, but not `LATER_COLUMNS`.

        Returns
        -------
        RunningSymmetry
            While the sides are unknown the limbs are "A", the limb of the first contact, and "B".
        """
        if not 1 <= last_strides <= MOST_STRIDES:
            raise DataError(f"last_strides={last_strides}: 1 to {MOST_STRIDES} are kept")
        unknown = [m for m in metrics if m not in SYMMETRY_METRICS or m in LATER_COLUMNS]
        if unknown:
            raise DataError(f"metrics={unknown}: no running symmetry of them")
        sides = self._current_sides()
        unsure = "?" in sides.labels and not self._apart
        limbs = ("A", "B") if unsure else sides.limbs
        groups: dict[str, list[Step]] = {limbs[0]: [], limbs[1]: []}
        chosen = list(self._recent)[-2 * last_strides :]
        for key, step in chosen:
            label = limbs[key] if unsure else str(sides.labels[key])
            if label in groups and not step["flags"] & _NOT_MEANT:
                groups[label].append(step)
        found, means = {}, {}
        for metric in metrics:
            left, right = means[metric] = (
                _mean_of(groups[limbs[0]], metric),
                _mean_of(groups[limbs[1]], metric),
            )
            found[metric] = symmetry_index(left, right) if math.isfinite(left + right) else math.nan
        return RunningSymmetry(limbs, len(chosen) // 2, found, means)

    def finish(self) -> GaitResult:
        """End the stream.

        Returns
        -------
        GaitResult
            Of all contacts so far. Its table holds the steps that `push` returned, with `LATER_COLUMNS` filled in,
            with the flags that only a look at all steps can give, and with the sides of the vote of all contacts.

        Raises
        ------
        DataError
            If no frame was finite, or the record is shorter than 0.5 s.
        """
        if self._result is None:
            n = self._engine.n
            if n < MIN_DURATION_S * self._rate:
                raise DataError(
                    f"the record is too short: {n} frames are {n / self._rate:.3f} s, {MIN_DURATION_S} s are needed"
                )
            if self._engine.low >= 0:
                self._end_stretch(gap=False)
            if not self._segments:
                raise DataError("no frame of the record is finite on every plate")
            self._result = self._summary()
        return self._result

    # -----------------------------------------------------------------------------------------------------------
    # What the kernel comes back for

    def _attend(self, code: int) -> None:
        self._take_events()
        if code == _stream.TICK:
            self._decide(final=False, gap=False)
        elif code == _stream.STRETCH_START:
            for belt in self._belts:
                belt.last_off = math.nan
                self._engine.set_offset(belt.number, belt.line.vertical(self._engine.n))
            if not self._looked:
                self._engine.hold(self._engine.n + self._look_frames())
        elif code == _stream.LOOK:
            self._look(more=True)
        elif code == _stream.STRETCH_END:
            self._end_stretch(gap=True)

    def _look_frames(self) -> int:
        return max(math.ceil(LOOK_S * self._rate), 2 * self._ahead)

    def _lose(self, lost: int) -> None:
        """Frames that never came."""
        empty = np.empty((0, self._width))
        if self._engine.low >= 0:
            self._end_stretch(gap=True)
        self._engine.skip(lost)
        self._engine.run(empty, 0)

    def _end_stretch(self, gap: bool) -> None:
        """Finish a stretch: all contacts in it are settled."""
        low, n = self._engine.low, self._engine.n
        if not self._looked:
            if n - low >= MIN_DURATION_S * self._rate and n - low > self._kinetics.padding:
                self._look(more=False)
            else:
                self._notes.append(
                    f"the first {(n - low) / self._rate:.3f} s are too short to look at: left out"
                )
                self._engine.release()
                self._segments.append((low, n))
                self._engine.close()
                return
        empty = np.empty((0, self._width))
        code = self._engine.run(empty, 0)
        while code != _stream.DONE:  # grid points that the look has held up
            self._attend(code)
            code = self._engine.run(empty, 0)
        self._segments.append((low, n))
        if self._engine.end_stretch():
            self._decide(final=True, gap=gap)
        for row in reversed(self._rows):
            if row.ended:
                break
            row.ended, row.gap_after = True, gap
        self._emit()
        self._catch_up()
        self._forces.interrupt()
        self._engine.close()

    def _take_events(self) -> None:
        for group, on, crossed, confirmed in self._engine.take_events():
            belt = self._belts[group]
            if on:
                side = self._expected_side(belt, crossed)
                self._event_side[group] = side
            else:
                side = self._event_side.get(group, "?")
            self._events.append(
                ContactEvent(
                    "on" if on else "off",
                    (crossed - self._causal_delay) / self._rate,
                    confirmed / self._rate,
                    side,
                    belt.plate,
                )
            )

    def _expected_side(self, belt: _Belt, sample: float) -> str:
        sides = self._current_sides()
        if self._apart:
            return str(sides.labels[belt.plates[0]])
        return str(sides.labels[self._numbers.expected(sample) % 2])

    # -----------------------------------------------------------------------------------------------------------
    # Start-up look

    def _look(self, more: bool) -> None:
        """Gait, offset and body weight from the first seconds, by the analysis of whole trials.

        `more` tells whether the stretch goes on, so that an empty treadmill can be looked at again.
        """
        low, n = self._engine.low, self._engine.n
        wrenches = [
            np.ascontiguousarray(self._window(self._raw[p], low, n)) for p in range(len(self._layout))
        ]
        trial = self._layout.trial(wrenches, self._rate)
        found = segment(
            take_in(trial),
            mass_kg=self._options.mass_kg,
            level=LevelRule(min(self._level_n, 1000.0)),
            cutoff_hz=self._options.cutoff_hz,
            timing_cutoff_hz=self._options.timing_cutoff_hz,
            baseline="aerial_pchip",
            gait=self._options.gait,
            incline_deg=self._options.incline_deg,
        )
        groups = belts(trial)
        if self._options.gait == "auto" and len(groups) > 1 and found.unloaded and more:
            # Nobody is there yet, so nothing tells whether the belts belong together: look again from here on.
            self._segments.append((low, n))
            self._seams.add(n)
            self._engine.release()
            self._engine.close()
            return
        self._looked = True
        duty = found.gait_detail.get("duty", math.nan)
        if self._options.gait == "auto":
            walking = found.gait == "walk" and duty > 0.5 and len(groups) > 1
            self._gait = "walk" if walking else "run"
        self._gait_detail = dict(found.gait_detail)
        self._start_unloaded, self._upside_down = found.unloaded, found.coarse.upside_down
        self._static = (found.weight.static_n, found.weight.static_sd_n)
        self._start_n, self._scale_n = found.weight.force_n, found.coarse.scale_n
        offset = np.zeros((len(trial.plates), 6))
        for v in found.virtual:
            if self._options.baseline == "none":
                break
            if found.unloaded:
                offset[list(v.plates)] = [wrenches[p].mean(axis=0) for p in v.plates]
            else:
                offset[list(v.plates)] = v.baseline.at(_ORIGIN)[:, :, 0]
        self._tare = offset.ravel()
        if self._gait == "walk" and len(groups) > 1:
            self._make_engine(groups)
            self._engine.skip(low)
            self._engine.run(np.hstack(wrenches), 0)  # comes back with the start of the stretch
            self._engine.hold(n)
            self._engine.run(np.hstack(wrenches), 0)
        else:
            for belt in self._belts:
                channels = [6 * p + c for p in belt.plates for c in range(6)]
                start = self._tare[channels]
                start[belt.missing] = 0.0
                belt.baseline = CausalBaseline(start, self._rate)
                belt.line = belt.baseline.line(0.0)
            self._set_rules()
        for belt in self._belts:
            if self._options.baseline == "none":
                break
            belt.looked_apart = [
                (low + a, low + b)
                for v in found.virtual
                if not set(v.plates).isdisjoint(belt.plates)
                for a, b in v.baseline.dropped.tolist()
            ]
        self._engine.release()

    # -----------------------------------------------------------------------------------------------------------
    # Contacts: closed, announced, settled

    def _decide(self, final: bool, gap: bool) -> None:
        low = self._engine.low
        for belt in self._belts:
            for on, off, peak, cut_start, cut_end, dips in self._engine.take_rows(belt.number):
                self._close(belt, on + low, off + low, peak, cut_start > 0, cut_end > 0, dips, final, gap)
        progress = True
        while progress:
            progress = False
            for belt in self._in_order():
                progress |= self._advance(belt, final, gap)
        self._emit()

    def _in_order(self) -> list[_Belt]:
        if len(self._belts) == 1:
            return self._belts
        return sorted(self._belts, key=lambda b: b.closed.on if b.closed is not None else math.inf)

    def _close(
        self,
        belt: _Belt,
        on: float,
        off: float,
        peak: float,
        cut_start: bool,
        cut_end: bool,
        dips: float,
        final: bool,
        gap: bool,
    ) -> None:
        """The detector has closed a contact: merge it with the one before, or let it wait for that."""
        c = belt.closed
        if c is not None and on - c.off < self._min_flight():
            c.off, c.peak, c.cut_end = off, max(c.peak, peak), cut_end
            c.dips += dips
            c.merged = True
        else:
            if c is not None:
                self._settle_closed(belt, c, final, gap)
            belt.closed = c = _Closed(on, off, peak, cut_start, cut_end, dips, belt.row)
        belt.row = None
        belt.last_off = off
        self._engine.set_due(belt.number, self._due(c))

    def _min_flight(self) -> int:
        return _samples(RULES[self._gait].min_flight_s, self._rate)

    def _due(self, c: _Closed) -> int:
        return math.ceil(c.off) + max(self._min_flight(), 4)

    def _advance(self, belt: _Belt, final: bool, gap: bool) -> bool:
        """Settle or announce what can be on one belt; whether anything was."""
        engine = self._engine
        mode, on, ask = engine.open_contact(belt.number)
        on += engine.low
        c = belt.closed
        if c is not None and (final or engine.frontier >= self._due(c)):
            if mode and on - c.off < self._min_flight() and not final:
                return False  # may be merged with the one that is open; asked again at the next grid point
            if not self._settle_closed(belt, c, final, gap):
                return False
            belt.closed = None
            engine.set_due(belt.number, -1)
            return True
        if not ask or final or (c is not None and on - c.off < self._min_flight()):
            return False
        if self._blocked(belt, on):
            return False
        belt.row = self._announce(belt, on, False)
        engine.set_announced(belt.number)
        return True

    def _blocked(self, belt: _Belt, on: float) -> bool:
        """Whether an earlier contact on another belt is still to be decided: rows stay in order of time."""
        longest = RULES[self._gait].max_contact_s * self._rate
        for other in self._belts:
            if other is belt:
                continue
            c = other.closed
            if c is not None and c.row is None and c.on < on:
                return True
            mode, start, _ = self._engine.open_contact(other.number)
            start += self._engine.low
            waiting = mode > 0 and other.row is None and start < on
            if waiting and self._engine.frontier - start < longest:
                return True
        return False

    def _settle_closed(self, belt: _Belt, c: _Closed, final: bool, gap: bool) -> bool:
        """Measure a closed contact or reject it; False if it has to wait for another belt."""
        reason = "" if c.row is not None else self._reason(c)
        if reason:
            belt.rejected.append(
                {"t_on": c.on / self._rate, "t_off": c.off / self._rate, "peak_n": c.peak, "reason": reason}
            )
            return True
        if c.row is None:
            if not final and self._blocked(belt, c.on):
                return False
            c.row = self._announce(belt, c.on, c.cut_start, c.off, final, gap)
        self._measure(belt, c, c.row, final, gap)
        return True

    def _reason(self, c: _Closed) -> str:
        """Why a contact does not count; the same rules as for whole trials."""
        rules = RULES[self._gait]
        if c.cut_start or c.cut_end:
            weak = c.peak < CUT_PEAK_LEVELS * self._level_n
            least = f"{CUT_PEAK_LEVELS:g} times the level"
            return f"cut by an end of the signal, with a peak below {least}" if weak else ""
        if c.off - c.on < _samples(rules.min_contact_s, self._rate):
            return f"SHORT_CONTACT: shorter than {rules.min_contact_s:g} s"
        scale = self._weight_n if math.isfinite(self._weight_n) else self._scale_n
        return f"peak below {rules.min_peak_bw:g} BW" if c.peak < rules.min_peak_bw * scale else ""

    def _announce(
        self,
        belt: _Belt,
        on: float,
        cut: bool,
        off: float = math.nan,
        final: bool = False,
        gap: bool = False,
    ) -> _Row:
        """A contact counts: its touch-down, its number, the offset under it, and the step that it completes.

        The offset at touch-down is that of the window just before. With it the contact before has windows on both
        sides, and is measured for good.
        """
        flags = 0
        knot = None if cut else self._add_window(belt, on)
        line = belt.baseline.line(on) if knot is None else Line.held(knot)
        if cut:
            flags |= _INCOMPLETE_START
            reference = off - self._numbers.typical
        else:
            on, found = self._refined(belt, on, True, line)
            reference = on
            flags |= 0 if found else _COARSE_TIMING
        if knot is not None:
            self._measure_between(belt, knot, final, gap)
            # One window aside is a scuff; two in a row may be the offset itself.
            flags |= _DRIFT_SUSPECT if knot.outlier and belt.outlier else 0
            belt.outlier = knot.outlier
        elif not len(belt.baseline) or not belt.baseline.near(on, FAR_KNOT_SPACINGS):
            flags |= _DRIFT_SUSPECT
        belt.line = line
        self._engine.set_offset(belt.number, line.vertical(self._engine.frontier))
        number = len(self._rows)
        t_on = math.nan if cut else on / self._rate
        parity = self._numbers.next(reference)
        row = _Row(number, belt.number, belt.plate, on, t_on, self._engine.low, parity, line, knot, flags)
        if number == len(self._columns):
            self._columns = np.concatenate((self._columns, np.empty_like(self._columns)))
        self._columns[number] = np.nan
        self._rows.append(row)
        return row

    def _add_window(self, belt: _Belt, on: float) -> Knot | None:
        """The unloaded window before a touch-down: its means are one more knot of the offset."""
        if self._options.baseline == "none":
            return None
        start = belt.last_off
        if math.isnan(start):
            start = max(float(self._engine.low), on - END_WINDOW_S * self._rate)
        elif on - start > LONG_WINDOW_S * self._rate:
            start = on - END_WINDOW_S * self._rate
        least = max(math.ceil(MIN_WINDOW_S * self._rate), 1)
        if on - start < least:
            return None
        quarter = 0.25 * (on - start)
        a, b = math.ceil(start + quarter), math.floor(on - quarter) + 1
        if b - a < MIN_SAMPLES:
            a = round(0.5 * (start + on)) - MIN_SAMPLES // 2
            b = a + 2 * (MIN_SAMPLES // 2) + 1
        if a < start or b > on or any(a < stop and b > first for first, stop in belt.looked_apart):
            return None
        values = self._means(belt, a, b)
        values[belt.missing] = 0.0
        knot = belt.baseline.add(0.5 * (a + b - 1), values)
        if knot.outlier:
            belt.dropped.append((a, b))
            return knot
        belt.windows.append((a, b))
        fz = self._window(self._smooth[belt.number], a, b)
        belt.noise[0] += b - a
        apart = fz - np.add.reduce(fz) / (b - a)
        belt.noise[1] += float(apart @ apart)
        return knot

    def _refined(self, belt: _Belt, sample: float, rising: bool, line: Line) -> tuple[float, bool]:
        """A crossing on the timing copy, and whether one was near."""
        timing, reach = self._timing, self._reach
        if timing.cutoff_hz == self._kinetics.cutoff_hz:
            return sample, True
        around = reach + timing.margin + 4
        whole = math.floor(sample)
        a = max(self._engine.low, whole - around)
        b = min(self._engine.n, whole + around)
        event = np.array((sample - a, line.vertical(sample), math.nan))
        _contacts.refine_crossings(
            self._window(self._vertical[belt.number], a, b),
            np.array([[0, b - a]], dtype=np.int64),
            event[:1],
            _RISING if rising else _FALLING,
            self._level_n,
            event[1:2],
            timing.sos,
            timing.zi,
            reach,
            timing.margin,
            event[2:],
            np.empty((2 * (reach + timing.margin) + 2, 4)),
        )
        found = float(event[2])
        return (sample, False) if math.isnan(found) else (found + a, True)

    def _measure(self, belt: _Belt, c: _Closed, row: _Row, final: bool, gap: bool) -> None:
        """A contact has ended: what is known of it before the next one."""
        self._catch_up()
        row.crossed, row.peak_n, row.measured = c.off, c.peak, True
        row.flags |= _INCOMPLETE_END if c.cut_end else 0
        row.flags |= _MERGED_GLITCH if c.dips > 0 or c.merged else 0
        weight = self._weight()
        row.weight_n = weight.force_n
        row.flags |= _BW_SUSPECT if weight.suspect else 0
        row.shares = [math.nan] * len(belt.plates)
        self._evaluate(belt, row, final, gap)
        if len(self._belts) > 1:
            row.flags |= self._crossed(belt, row)
        if math.isfinite(row.t_on) and math.isfinite(row.t_off):
            self._numbers.lasted(row.off - row.on)
        self._count_votes(row, belt)
        self._new_contacts.append(self._step_of(row, None, self._current_sides()))

    def _measure_between(self, belt: _Belt, after: Knot, final: bool, gap: bool) -> None:
        """Measure the last contact again, now that the window after it is known as well.

        Its offset becomes the line from window to window, as for whole trials but for the bend of their cubic. On
        separate belts the window after comes when the step has been given away, unless the other foot missed its belt.
        """
        row = self._rows[-1] if self._rows else None
        if row is None or row.belt != belt.number or row.knot is None or row.low != self._engine.low:
            return
        if not row.measured or row.flags & _INCOMPLETE_END or not self._kept(row.on):
            return
        row.line = Line.between(row.knot, after)
        self._evaluate(belt, row, final, gap)

    def _evaluate(self, belt: _Belt, row: _Row, final: bool, gap: bool) -> None:
        """Time off of a contact, the flags that follow from it, and metrics, on the offset as it is known now."""
        row.off, row.late = row.crossed, 0
        if not row.flags & _INCOMPLETE_END:
            row.off, found = self._refined(belt, row.crossed, False, row.line)
            row.late |= 0 if found else _COARSE_TIMING
            row.t_off = row.off / self._rate
        row.late |= self._place_flags(row, final, gap)
        complete = math.isfinite(row.t_on) and math.isfinite(row.t_off)
        if complete and not row.late & _GAP and self._kept(row.on):
            row.curve = self._metrics(belt, row)
            if len(self._belts) > 1 and near_belt_gap(self._columns[row.number, _COP_X], self._gap_m):
                row.late |= _CROSSOVER
        else:
            row.curve = None
            self._columns[row.number] = np.nan

    def _kept(self, on: float) -> bool:
        """Whether the rings still hold all that a contact from this touch-down on is measured from."""
        return self._engine.n - math.floor(on) + self._kinetics.margin + 4 <= self._ring

    def _place_flags(self, row: _Row, final: bool, gap: bool) -> int:
        """Flags that depend on how long a contact is and where it lies."""
        rules = RULES[self._gait]
        flags = 0
        if row.t_off - row.t_on < rules.min_contact_s:
            flags |= _SHORT_CONTACT
        if row.off - row.on > rules.max_contact_s * self._rate:
            flags |= _LONG_CONTACT
        before, after = row.on - row.low, self._engine.n - row.off
        if before < self._settle or (final and after - 1 < self._settle):
            flags |= _FILTER_EDGE
        if (row.low not in self._seams and before < self._settle + 1.0) or (
            final and gap and after < self._settle + 1.0
        ):
            flags |= _GAP
        return flags

    def _metrics(self, belt: _Belt, row: _Row) -> FloatArray:
        """The kernel of whole trials on a window of the rings; returns the stance curve."""
        margin = self._kinetics.margin
        a = max(row.low, math.floor(row.on) - margin - 4)
        b = min(self._engine.n, math.ceil(row.off) + margin + 4)
        line = row.line
        breaks = _ORIGIN if line.start == line.last else np.array([line.start - a, line.last - a])
        pieces = np.zeros((5, 4, 1))
        pieces[:, 3, 0] = belt.to_lanes @ line.level
        pieces[:, 2, 0] = belt.to_lanes @ line.slope
        fz = np.empty(b - a)
        _contacts.subtract_cubic(self._window(self._smooth[belt.number], a, b), 0, breaks, pieces[0], fz)
        side, _, up = self._forces.mean.tolist()
        camber = side / up if up else 0.0
        weight = row.weight_n
        curve, sums = np.empty((1, *_SHAPE)), np.empty((1, len(belt.plates)))
        _steps.contact_metrics(
            tuple(self._window(self._raw[p], a, b) for p in belt.plates),
            belt.arms,
            fz,
            np.array([[row.on - a, row.off - a]]),
            np.array([[0, b - a]], dtype=np.int64),
            _WANTED,
            self._rate,
            weight,
            belt.noise_n,
            self._kinetics.sos,
            self._kinetics.zi,
            margin,
            breaks,
            pieces[1:],
            camber if math.isfinite(camber) else 0.0,
            self._incline,
            max(COP_FORCE_N, COP_FORCE_BW * weight) if math.isfinite(weight) else COP_FORCE_N,
            _or_nan(self._options.speed_m_s),
            belt.origin,
            self._columns[row.number : row.number + 1],
            curve,
            sums,
            np.empty((b - a + 2 * margin + 8, 4)),
        )
        count = math.floor(row.off) - math.ceil(row.on) + 1
        offset = line.at(0.5 * (row.on + row.off))[2::6].tolist()
        net = [total - count * one for total, one in zip(sums[0].tolist(), offset, strict=True)]
        whole = sum(net)
        row.shares = [one / whole if whole else math.nan for one in net]
        stance: FloatArray = curve[0]
        return stance

    def _crossed(self, belt: _Belt, row: _Row) -> int:
        """The other foot on this belt, as far as the steps so far tell (the rules of `crossover`)."""
        overlap = row.off - self._rows[row.number + 1].on if row.number + 1 < len(self._rows) else 0.0
        typical = self._numbers.typical
        if overlap > 0.0 and not overlap >= typical > 0.0:
            self._overlaps.append(overlap)
        double = sorted(self._overlaps)[len(self._overlaps) // 2] if self._overlaps else 0.0
        crossed = typical > 0.0 and long_contact(row.off - row.on, typical)
        a, b = shared_span(row.on, row.off, double, self._rate)
        if self._overlaps and 0 < b - a < self._ring - 2 * self._ahead:
            own = self._window(self._smooth[belt.number], a, b) - row.line.vertical(row.on)
            other = sum(
                self._window(self._smooth[k.number], a, b) - k.line.vertical(row.on)
                for k in self._belts
                if k is not belt
            )
            if shared_load(own, np.asarray(other), self._level_n, self._rate):
                crossed = True
                for before in self._rows[max(row.number - 3, 0) : row.number]:
                    if before.belt != row.belt and before.on < b and before.off > a:
                        before.flags |= _CROSSOVER
        return _CROSSOVER if crossed else 0

    def _count_votes(self, row: _Row, belt: _Belt) -> None:
        """What the contact says about left and right."""
        self._vote.add(row.parity, float(self._columns[row.number, _COP_X]))
        right = [k for k, p in enumerate(belt.plates) if self._layout.sides[p] == "R"]
        if len(self._belts) == 1 and right and len(right) < len(belt.plates):
            self._belt_vote.add(row.parity, sum(row.shares[k] for k in right))
        if len(self._belts) == 1:
            self._sides = None  # looked up again when it is wanted

    # -----------------------------------------------------------------------------------------------------------
    # Body weight and mean forces

    @property
    def _weight_n(self) -> float:
        return self._weight().force_n

    def _weight(self) -> BodyWeight:
        """Body weight as it is known now: given, standing still in the start-up look, whole strides, the look."""
        dynamic = float(self._forces.mean[2]) / math.cos(math.radians(self._options.incline_deg))
        static, sd = self._static
        known = (
            (self._given_n, "given"),
            (static, "static"),
            (dynamic, "whole_strides"),
            (self._start_n, "whole_strides"),
        )
        for value, source in known:
            if math.isfinite(value):
                return BodyWeight(value, source, self._given_n, dynamic, self._forces.strides, static, sd)
        return BodyWeight(math.nan, "unknown", self._given_n, dynamic, self._forces.strides, static, sd)

    def _step_forces(self, before: _Row, row: _Row) -> None:
        """Mean force of a step, for body weight and camber."""
        a, b = round(before.on), round(row.on)
        if not _follow(before, row) or math.isnan(before.t_on) or not a < b or not self._kept(before.on):
            self._forces.interrupt()
            return
        total = np.zeros(3)
        for belt in self._belts:
            line = before.line if belt.number == before.belt else belt.line
            net = self._means(belt, a, b) - line.at(0.5 * (a + b))
            total += np.add.reduce(net.reshape(-1, 6))[:3]
        if self._forces.step(total, float(b - a)) and math.isnan(self._given_n):
            self._set_rules()

    def _means(self, belt: _Belt, a: int, b: int) -> FloatArray:
        """Means of all channels of a belt's plates over frames [a, b)."""
        out = np.empty((len(belt.plates), 6))
        stop = np.array([b - a], dtype=np.int64)
        for k, plate in enumerate(belt.plates):
            frames = self._window(self._raw[plate], a, b)
            _contacts.window_means(frames, frames, 1, _START, stop, out[k : k + 1])
        return out.ravel()

    def _window(self, ring: FloatArray, a: int, b: int) -> FloatArray:
        """Frames [a, b) of a ring, in one piece."""
        at = a % self._ring
        return ring[at : at + b - a]

    # -----------------------------------------------------------------------------------------------------------
    # Sides

    def _current_sides(self) -> Sides:
        """Labels of an even and an odd contact (of each plate where the belts are apart), as known now."""
        if self._sides is None:
            self._sides = self._belt_sides() if self._apart else self._vote_sides()
        return self._sides

    def _belt_sides(self) -> Sides:
        plates = np.arange(len(self._layout))
        return by_belt(plates, self._layout.sides, self._layout.origins_m[:, 0])

    def _vote_sides(self) -> Sides:
        """Labels of an even and an odd contact by the votes so far; they change only when a vote does."""
        cop, belt = (replace(v.result(), disagree=_NOBODY) for v in (self._vote, self._belt_vote))
        state = tuple((v.sign, v.confident, v.voters >= VOTE_LEAST) for v in (cop, belt))
        if state not in self._known_sides:
            right_sign, belt_right = _directions(self._layout)
            sides = by_parity(
                np.array([0, 1]),
                cop,
                belt,
                first_side=self._options.first_side,
                right_sign=right_sign,
                belt_right=belt_right,
            )
            if sides.method == "parity":
                nobody = np.array(["?", "?"])
                sides = replace(sides, labels=nobody, ambiguous=np.ones(2, dtype=bool), findings=())
            self._known_sides[state] = sides
        return self._known_sides[state]

    @property
    def _apart(self) -> bool:
        """Whether sides are those of the belts."""
        return len(self._belts) > 1 and self._options.first_side is None

    def _key(self, row: _Row) -> int:
        """Which of the two mean curves a contact belongs to, whatever its limb will be called; -1 for none."""
        if not self._apart:
            return row.parity % 2
        sides = self._current_sides()
        label = str(sides.labels[row.plate])
        return sides.limbs.index(label) if label in sides.limbs else -1

    # -----------------------------------------------------------------------------------------------------------
    # Steps

    def _emit(self) -> None:
        """Give away the contacts whose step is complete."""
        while self._emitted < len(self._rows):
            row = self._rows[self._emitted]
            after = self._rows[self._emitted + 1] if self._emitted + 1 < len(self._rows) else None
            if not row.measured or (after is None and not row.ended):
                return
            before = self._rows[self._emitted - 1] if self._emitted else None
            if after is not None:
                self._motion(before, row, after)
            step = self._step_of(row, after, self._current_sides())
            if row.curve is not None:
                if not (row.flags | row.late) & _NOT_MEANT and math.isfinite(row.curve[2, 0]):
                    self._waiting.append((self._key(row), row.curve))
                row.curve = None
            self._emitted += 1
            self._recent.append((self._recent_key(row), step))
            self._steps.append(step)

    def _catch_up(self) -> None:
        """Steps so far join the running means: as late as the next contact's end, so that giving them away is quick."""
        for key, curve in self._waiting:
            if key >= 0:
                self._curves[key].add(curve)
        self._waiting.clear()
        while self._stepped < len(self._rows) - 1:
            before, row = self._rows[self._stepped : self._stepped + 2]
            self._stepped += 1
            self._step_forces(before, row)

    def _recent_key(self, row: _Row) -> int:
        return row.plate if self._apart else row.parity % 2

    def _motion(self, before: _Row | None, row: _Row, after: _Row) -> None:
        """Oscillation and compression of a step, from the stride that it ends; the first step of a run takes the
        stride that it begins, as soon as that is complete.
        """
        if before is None or not (_follow(before, row) and _follow(row, after)):
            return
        times = (before.t_on, before.t_off, row.t_on, row.t_off, after.t_on)
        a, b = math.floor(before.on) - 2, math.ceil(after.on) + 3
        if not all(map(math.isfinite, times)) or b - a > self._ring - 2 * self._ahead:
            return
        a = max(a, row.low)
        b = min(b, self._engine.frontier)
        total = self._window(self._smooth[0], a, b)
        for belt in self._belts[1:]:
            total = total + self._window(self._smooth[belt.number], a, b)
        # The motion depends on the force less its mean only, so no offset has to come off.
        weight = row.weight_n
        if not math.isfinite(weight):
            return
        out = np.empty((1, 4))
        stride = np.array([[t * self._rate - a for t in times]])
        hop = max(int(self._rate // MOTION_RATE_HZ), 1)
        _steps.vertical_motion(total, stride, _WANTED, self._rate, weight, STANDARD_GRAVITY, hop, out)
        first_vo, row.vo, first_dy, row.dy = out[0].tolist()
        if self._gait == "walk":
            first_dy = row.dy = math.nan
        if math.isnan(before.vo):
            before.vo, before.dy = first_vo, first_dy

    def _step_of(self, row: _Row, after: _Row | None, sides: Sides) -> StreamStep:
        """One row of the table as it is known now; columns are worked out when they are asked for."""
        rows = [*self._rows[max(row.number - 1, 0) : row.number], row]
        taken = _Taken.of(rows)
        columns = self._columns[rows[0].number : row.number + 1 + (after is not None)].copy()
        if after is not None:  # only its touch-down is known for sure
            columns[-1] = np.nan
            nan = math.nan
            taken.times.append((after.t_on, nan, after.on, nan, nan, nan, nan))
            taken.places.append((0, after.plate, after.low, after.parity))
        at = len(rows) - 1
        cut_off = row.gap_after and math.isfinite(row.t_on + row.t_off) and not row.late & _GAP

        def build() -> StepTable:
            data = self._derive(taken, columns, self._label(taken, sides))
            if cut_off:
                data["flags"][at] |= Flag.NAN_IN_WINDOW  # the step ends in a gap
            return finished(data)

        return StreamStep(build, at, row.number)

    def _label(self, taken: _Taken, sides: Sides) -> Sides:
        key = [plate if self._apart else parity % 2 for _, plate, _, parity in taken.places]
        return replace(sides, labels=sides.labels[key], ambiguous=sides.ambiguous[key])

    def _derive(self, taken: _Taken, columns: FloatArray, sides: Sides) -> dict[str, NDArray[Any]]:
        merged, (vo, dy, weight) = taken.merged(columns)
        data = derive(
            merged,
            sides,
            vo,
            dy,
            poi=self._poi,
            walking=self._gait == "walk",
            weight_n=weight,
            speed_m_s=_or_nan(self._options.speed_m_s),
            incline_deg=self._options.incline_deg,
            leg_length_m=_or_nan(self._options.leg_length_m),
            rate_hz=self._rate,
            moments=self._moments,
        )
        for belt in self._belts:
            flag_edges(data["flags"], merged, belt.plates, belt.bounds)
        return data

    # -----------------------------------------------------------------------------------------------------------
    # The end

    def _summary(self) -> GaitResult:
        order = sorted(range(len(self._rows)), key=lambda k: self._rows[k].on)
        rows, columns = [self._rows[k] for k in order], self._columns[order]
        taken = _Taken.of(rows)
        merged, _ = taken.merged(columns)
        found = self._segmentation(rows)
        trial = found.record.trial
        shares = (
            [
                Kinetics({}, np.empty(0), np.array([r.shares for r in rows]).reshape(-1, len(belt.plates)))
                for belt in self._belts[:1]
            ]
            if len(self._belts) == 1
            else []
        )
        sides = _sides(trial, found, merged, shares, self._options.first_side)
        poi, fraction = _poi_rule(merged, sides, self._poi)
        data = self._derive(taken, columns, sides)
        flag_whole(data, sides)
        table = finished(data)
        measured = _Measured(table, merged, sides, poi, self._forces.mean, self._forces.strides, fraction)
        used = {
            "online": True,
            "frames": self._engine.n,
            "duration_s": self._engine.n / self._rate,
            "look_ahead_s": self.look_ahead_s,
            "grid_s": self._grid / self._rate,
            "baseline": "unloaded windows before a contact, and after it where it is known in time"
            if self._options.baseline != "none"
            else "none",
            "start": "tare" if self._tare_given else f"first {self._look_frames() / self._rate:g} s",
            "body_weight_rule": "known when the contact ended",
            "provisional_filter_hz": self._causal.cutoff_hz,
            "provisional_delay_s": self._causal_delay / self._rate + PROVISIONAL_HOLD_S,
        }
        return _result(trial, found, self._options, measured, self._mean_curves(rows, sides), used)

    def _mean_curves(self, rows: list[_Row], sides: Sides) -> Curves:
        mean, sd = np.full((2, 2, *_SHAPE), np.nan)
        counts = np.zeros((2, *_SHAPE), dtype=np.int64)
        n = [0, 0]
        for key, curves in enumerate(self._curves):
            label = next((str(s) for s, r in zip(sides.labels, rows, strict=True) if self._key(r) == key), "")
            if not curves.n or label not in sides.limbs:
                continue
            limb = sides.limbs.index(label)
            n[limb], counts[limb], mean[limb], sd[limb] = curves.n, curves.counts, curves.mean, curves.sd
        return limb_curves(mean, sd, counts, n, sides)

    def _segmentation(self, rows: list[_Row]) -> Segmentation:
        """What the checks of whole trials look at, with the signals left out."""
        nothing, none = np.empty(0), np.empty((0, 2), dtype=np.int64)
        trial = self._layout.trial([np.empty((0, 6))] * len(self._layout), self._rate)
        trial = replace(trial, notes=tuple(self._notes))
        segments = np.array(self._segments, dtype=np.int64).reshape(-1, 2)
        edges = [0, *segments.ravel().tolist(), self._engine.n]
        gaps = np.array(
            [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a], dtype=np.int64
        )
        record = Record(
            trial,
            self._rate,
            nothing,
            1,
            (nothing,) * len(self._layout),
            (),
            segments,
            gaps.reshape(-1, 2),
            (),
            Room(0),
        )
        highs = {low: high for low, high in self._segments}
        virtual = []
        for belt in self._belts:
            mine = [r for r in rows if r.belt == belt.number]
            virtual.append(self._virtual(belt, mine, highs))
        scale = self._scale_n if math.isfinite(self._scale_n) else 1.0
        unloaded = self._start_unloaded and not rows
        coarse = Coarse(
            self._gait,
            self._gait_detail,
            scale,
            unloaded,
            self._upside_down,
            none,
            (),
            (nothing, nothing),
            record,
        )
        return Segmentation(
            record,
            self._gait,
            self._gait_detail,
            coarse,
            self._weight(),
            tuple(virtual),
            self._kinetics,
            self._timing,
            unloaded,
        )

    def _virtual(self, belt: _Belt, mine: list[_Row], highs: dict[int, int]) -> VirtualPlate:
        nothing = np.empty(0)
        contacts = Contacts(
            np.array([r.t_on for r in mine]),
            np.array([r.t_off for r in mine]),
            np.array([r.peak_n for r in mine]),
            np.array([r.flags | r.late for r in mine], dtype=np.int64),
            np.array([(r.on, r.off) for r in mine]).reshape(-1, 2),
            np.array([(r.low, highs[r.low]) for r in mine], dtype=np.int64).reshape(-1, 2),
            self._level_n,
            self._rate,
            tuple(belt.rejected),
        )
        method: Method = self._options.baseline
        lines = [r.line for r in mine] or [belt.line]
        levels = np.array([line.at(line.start) for line in lines])
        at = np.array([line.start for line in lines])
        if len(at) > 1 and (np.diff(at) <= 0.0).any():  # held lines can start together
            at = np.arange(len(at), dtype=np.float64)
        coefficients = np.zeros((len(belt.plates), 6, 4, max(len(at) - 1, 1)))
        pieces = levels[1:] if len(at) > 1 else levels
        coefficients[:, :, 3] = pieces.T.reshape(len(belt.plates), 6, -1)
        windows, dropped = (
            np.array(w, dtype=np.int64).reshape(-1, 2)
            for w in (belt.windows, belt.looked_apart + belt.dropped)
        )
        note = "" if len(windows) or method == "none" else "no unloaded window was found"
        baseline = Baseline(method, at, coefficients, windows, dropped, note)
        return VirtualPlate(belt.plates, nothing, nothing, baseline, belt.noise_n, self._level_n, contacts)


def analyze_online(trial: Trial, options: Options) -> GaitResult:
    """A trial through a :class:`GaitStream`, as ``analyze_gait(..., online=True)`` does it."""
    stream = GaitStream.__new__(GaitStream)
    stream._set_up(trial.layout, trial.rate_hz, options, None)
    stream._notes += trial.notes
    chunk = max(round(trial.rate_hz), 1)  # a copy side by side of a second at a time
    for k in range(0, len(trial), chunk):
        stream.push(np.hstack([plate.wrench[k : k + chunk] for plate in trial.plates]))
    result = stream.finish()
    used = result.provenance["used"]
    used["convention_of_source"] = trial.convention
    used["axes_of_source"] = "not stated" if trial.axes is None else list(trial.axes)
    result.provenance["sources"] = [{"name": s.name, "sha256": s.sha256} for s in trial.sources]
    result.provenance["reading"] = dict(trial.reading)
    return result


def _causal_poi(options: Options) -> Poi:
    """Refuse options that need the whole trial; the point of interest otherwise."""
    if options.baseline not in ("aerial_pchip", "none"):
        raise DataError(
            f"baseline={options.baseline!r} needs the whole trial: online there are the causal baseline (leave the "
            "option alone) and 'none'"
        )
    if options.surface == "overground":
        raise DataError("surface='overground' needs the whole trial: online there is the treadmill")
    if options.level_bw is not None and options.mass_kg is None:
        raise DataError("level_bw needs mass_kg online: body weight is not known at the first contact")
    return "13pct" if options.poi == "auto_trial" else options.poi


def _to_lanes(arms: FloatArray) -> FloatArray:
    """What each channel's offset adds to Fz, Fx, Fy, Mx and My of the virtual plate: (5, 6 n_plates)."""
    n = len(arms)
    units = np.zeros((n, 6, 4, 6 * n))
    units[:, :, 3] = np.eye(6 * n).reshape(n, 6, -1)
    baseline = Baseline("constant", np.arange(6.0 * n + 1.0), units)
    return np.vstack((baseline.vertical()[3:], baseline.lanes(arms)[:, 3]))


def _delay(sos: FloatArray) -> float:
    """Delay of slow changes by one pass, samples."""
    k = np.arange(3.0)
    return float(sum((s[:3] @ k) / s[:3].sum() - (s[3:] @ k) / s[3:].sum() for s in sos))


def _directions(layout: Layout) -> tuple[int, int]:
    """Which way x points to the right, and whether a larger share of the right belt means the right foot."""
    x = layout.origins_m[:, 0]
    left, right = ([x[k] for k, s in enumerate(layout.sides) if s == side] for side in "LR")
    sign = int(layout.lateral_known)
    if left and right and np.mean(left) != np.mean(right):
        sign = int(np.sign(np.mean(right) - np.mean(left)))
    return sign, int(bool(left and right))


def _follow(a: _Row, b: _Row) -> bool:
    """Whether b is the step after a: the next number, the same stretch."""
    return b.parity - a.parity == 1 and a.low == b.low


def _mean_of(steps: list[Step], metric: str) -> float:
    values = [v for v in (step[metric] for step in steps) if math.isfinite(v)]
    return math.fsum(values) / len(values) if values else math.nan


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
