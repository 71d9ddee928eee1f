"""A `GaitStream` on a tap of its own: contacts, cadence, steps, running symmetry and traces of a device that runs.

What is found here is only shown: an error of the analysis ends nothing else. Whoever shows it asks for it, at his own
pace; what nobody asks for is forgotten after a while, so that memory stays bounded.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancecore.capture.acquisition import Tap, TimedBlock
from balancecore.capture.rig import Rig, RigTare
from balancecore.contacts import Gait
from balancecore.errors import BalanceCoreError, DataError
from balancecore.flags import MEANINGS
from balancecore.schema import SYMMETRY_METRICS
from balancecore.stream import LATER_COLUMNS, MOST_STRIDES, GaitStream, RunningSymmetry, StreamStep
from balancecore.trial import Block

__all__ = [
    "DEFAULT_METRICS",
    "STRIDES",
    "LiveAnalysis",
    "Seen",
    "SeenStep",
    "Traces",
    "check_metrics",
    "in_words",
]

FloatArray = NDArray[np.float64]

#: Metrics that are followed unless others are asked for, and strides that the symmetry is of.
DEFAULT_METRICS = ("tc", "imp_v", "valr_2080_poi13", "peak_brake", "peak_active")
STRIDES = 20
#: Contacts that the cadence is the mean of, and a pause that begins a new one, s.
CADENCE_CONTACTS, PAUSE_S = 10, 2.0
#: Steps that are kept for whoever asks next.
MOST_STEPS = 400
#: Samples of a trace, each the mean of a block of frames, and how long it is.
TRACE_HZ, TRACE_S = 200.0, 10.0


class SeenStep(NamedTuple):
    """A contact of the running signal.

    Attributes
    ----------
    number : int
        Counts the contacts from 0.
    side : {"L", "R", "?"}
    t_on, t_off : float
        s since the analysis began.
    final : bool
        False: only the contact's own columns are known, measured before the flight after it, and its side may still
        become known.
    values : dict of str to float
        The metrics, in the units of the step table; NaN where there is none (yet).
    flags : tuple of str
        What is doubtful, in words.
    """

    number: int
    side: str
    t_on: float
    t_off: float
    final: bool
    values: dict[str, float]
    flags: tuple[str, ...]


class Seen(NamedTuple):
    """What an analysis has found so far.

    Attributes
    ----------
    run : int
        Counts the analyses: `LiveAnalysis.begin` makes a new one.
    first_index : int or None
        Sample index of its first frame, in the acquisition; None before that came.
    frames : int
        Frames that it took, lost ones counted.
    contacts : int
        Provisional contacts.
    cadence : float
        Steps/min of the last contacts; NaN before there are some, and in a pause.
    symmetry : RunningSymmetry or None
        None before the first step.
    trouble : str
        What ended it; empty where nothing did.
    """

    run: int
    first_index: int | None
    frames: int
    contacts: int
    cadence: float
    symmetry: RunningSymmetry | None
    trouble: str


class Traces:
    """Means of blocks of frames, on a grid of the sample index, for drawing.

    Parameters
    ----------
    rate_hz : float
        Of the frames.

    Attributes
    ----------
    step_s : float
        Time between two samples: a whole number of frames, about 1/200 s.
    """

    def __init__(self, rate_hz: float) -> None:
        self._per = max(round(rate_hz / TRACE_HZ), 1)
        self.step_s = self._per / rate_hz
        self._rows: deque[list[float]] = deque(maxlen=math.ceil(TRACE_S / self.step_s))
        self._number = 0  # of the next sample
        self._held: FloatArray | None = None  # frames of it that are here
        self._lock = threading.Lock()

    def add(self, index: int, values: FloatArray) -> None:
        """Take values (k, n) of the frames from `index` on; what is missing before them becomes NaN."""
        per, width = self._per, values.shape[1]
        held, number = self._held, self._number
        gap = 0 if held is None else index - number * per - len(held)
        if held is None or gap > per * (
            self._rows.maxlen or 0
        ):  # a beginning, or nothing left that could be drawn
            held, number = np.empty((0, width)), -(-index // per)
            gap = index - number * per
        missing = np.full((max(gap, 0), width), np.nan)
        data = np.concatenate((held, missing, values[max(-gap, 0) :]))
        whole = len(data) // per
        means = data[: whole * per].reshape(whole, per, width).mean(axis=1).tolist()
        with self._lock:
            if number != self._number:
                self._rows.clear()
            self._rows.extend(means)
            self._number = number + whole
        self._held = data[whole * per :].copy()

    def since(self, number: int) -> tuple[int, list[list[float]]]:
        """Samples from a number on, as far as they are kept: the number of the first, and a row for each."""
        with self._lock:
            first = min(max(number, self._number - len(self._rows)), self._number)
            rows = list(islice(self._rows, len(self._rows) - (self._number - first), None))
        return first, rows


class LiveAnalysis:
    """What a tap shows, found in a thread of its own.

    Parameters
    ----------
    tap : Tap
        Closed by `stop`.
    rig : Rig
        Of the device.
    rate_hz : float
        Of the device.
    metrics : sequence of str
        Columns of the step table on which limbs are compared, but for those that wait for the end of the stride
        (`balancecore.stream.LATER_COLUMNS`).
    strides : int
        The last so many are compared; 1 to 200.
    gait : {"auto", "run", "walk"}
        As for `GaitStream`.
    traces : bool
        Whether traces of the vertical forces are made.

    Attributes
    ----------
    news : threading.Event
        Set at each new step; cleared by whoever waits for it.
    traces : Traces or None
        Vertical force of every plate, N.
    heard_s : float
        When the last frames came, by `time.monotonic`.

    Raises
    ------
    DataError
        A metric or a number of strides that can't be.
    """

    def __init__(
        self,
        tap: Tap,
        rig: Rig,
        rate_hz: float,
        *,
        metrics: Sequence[str] = DEFAULT_METRICS,
        strides: int = STRIDES,
        gait: Gait = "auto",
        traces: bool = False,
    ) -> None:
        check_metrics(metrics)
        if not 1 <= strides <= MOST_STRIDES:
            raise DataError(f"strides={strides}: 1 to {MOST_STRIDES} are possible")
        self._tap, self._rig, self._rate_hz = tap, rig, rate_hz
        self._metrics, self._strides, self._gait = tuple(metrics), strides, gait
        self._lock = threading.Lock()
        self._stream: GaitStream | None = None
        self._tare: RigTare | None = None
        self._on: deque[float] = deque(maxlen=CADENCE_CONTACTS)
        self._steps: dict[int, tuple[int, SeenStep]] = {}
        self._change = 0
        self._seen = Seen(0, None, 0, 0, math.nan, None, "")
        self.news = threading.Event()
        self.traces = Traces(rate_hz) if traces else None
        self.heard_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="live analysis", daemon=True)

    def start(self) -> None:
        """Begin to read the tap."""
        self.heard_s = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Close the tap, and wait for what is in it to be analysed."""
        self._tap.close()
        if self._thread.ident is not None:
            self._thread.join()

    def begin(self, mass_kg: float | None = None, tare: RigTare | None = None) -> None:
        """Forget what was found, and analyse from the next frames on; where that can't be, `seen` says why."""
        # A walker on a treadmill that was tared must be seen to walk: only where the gait is told, zeros are enough.
        zeros = None if tare is None or self._gait == "auto" else np.zeros(6 * len(self._rig.plates))
        stream, trouble = None, ""
        try:
            stream = GaitStream(
                self._rig.layout, rate_hz=self._rate_hz, mass_kg=mass_kg, gait=self._gait, tare=zeros
            )
        except DataError as error:
            trouble = str(error)
        with self._lock:
            self._stream, self._tare = stream, tare
            self._on.clear()
            self._steps.clear()
            self._change = 0
            self._seen = Seen(self._seen.run + 1, None, 0, 0, math.nan, None, trouble)

    def end(self, tare: RigTare | None = None) -> None:
        """Analyse no more; what was found stays. Traces go on, with these zeros."""
        with self._lock:
            self._stream, self._tare = None, tare

    def seen(self) -> Seen:
        """What was found so far."""
        with self._lock:
            return self._seen

    def steps(self, run: int, change: int) -> tuple[int, int, list[SeenStep]]:
        """Steps that changed since a change of an analysis; both numbers as they are now, and these steps in order."""
        with self._lock:
            since = change if run == self._seen.run else 0
            new = [step for changed, step in self._steps.values() if changed > since]
            return self._seen.run, self._change, sorted(new, key=lambda step: step.number)

    # The thread.

    def _run(self) -> None:
        try:
            while (block := self._tap.read()) is not None:
                if len(block.frames):
                    self._take(block)
        except BalanceCoreError as error:
            self._give_up(error, self._seen.run)

    def _give_up(self, error: Exception, run: int) -> None:
        """No analysis of this number any more; forces are still shown."""
        with self._lock:
            if self._seen.run == run:
                self._stream = None
                self._seen = self._seen._replace(trouble=in_words(error))

    def _take(self, block: TimedBlock) -> None:
        with self._lock:
            stream, tare, run = self._stream, self._tare, self._seen.run
        self.heard_s = time.monotonic()
        try:
            wrenches = self._rig.wrenches(block.frames, tare)
            if self.traces is not None:
                self.traces.add(block.index, wrenches[:, 2::6])
            if stream is not None:
                self._keep(stream, run, block, self._push(stream, Block(wrenches, block.lost_before)))
        except Exception as error:  # whatever it is, the next recording has an analysis of its own
            self._give_up(error, run)

    def _push(self, stream: GaitStream, block: Block) -> list[SeenStep]:
        steps = stream.push(block)
        return [self._of(step, False) for step in stream.contacts] + [self._of(step, True) for step in steps]

    def _of(self, step: StreamStep, final: bool) -> SeenStep:
        values = {metric: float(step[metric]) for metric in self._metrics}
        bits = int(step["flags"])
        words = tuple(meaning for flag, meaning in MEANINGS.items() if flag & bits)
        return SeenStep(step.number, step["side"], step["t_on"], step["t_off"], final, values, words)

    def _keep(self, stream: GaitStream, run: int, block: TimedBlock, steps: list[SeenStep]) -> None:
        """Publish what a block brought, unless another analysis has begun meanwhile."""
        began = [event.time_s for event in stream.events if event.kind == "on"]
        symmetry = None
        if any(step.final for step in steps):
            symmetry = stream.symmetry(self._strides, self._metrics)
        with self._lock:
            seen = self._seen
            if seen.run != run:
                return
            for time_s in began:
                if self._on and time_s - self._on[-1] > PAUSE_S:
                    self._on.clear()
                self._on.append(time_s)
            for step in steps:
                self._change += 1
                self._steps.pop(step.number, None)
                self._steps[step.number] = (self._change, step)
                if len(self._steps) > MOST_STEPS:
                    del self._steps[next(iter(self._steps))]
            self._seen = Seen(
                run,
                block.index - block.lost_before if seen.first_index is None else seen.first_index,
                stream.frames,
                seen.contacts + len(began),
                self._cadence(stream.frames / self._rate_hz),
                symmetry or seen.symmetry,
                seen.trouble,
            )
        if steps:
            self.news.set()

    def _cadence(self, now_s: float) -> float:
        if len(self._on) <= 2 or now_s - self._on[-1] >= PAUSE_S:
            return math.nan
        return 60.0 * (len(self._on) - 1) / (self._on[-1] - self._on[0])


def in_words(error: BaseException) -> str:
    """An error as a message; one that isn't this package's says of what kind it is."""
    return str(error) if isinstance(error, BalanceCoreError) else f"{type(error).__name__}: {error}"


def check_metrics(metrics: Sequence[str]) -> None:
    """Whether a running symmetry can be had of all of them; a DataError says of which not."""
    for metric in metrics:
        if metric not in SYMMETRY_METRICS or metric in LATER_COLUMNS:
            known = [name for name in SYMMETRY_METRICS if name not in LATER_COLUMNS]
            raise DataError(f"{metric!r}: no running symmetry of it; there are {', '.join(known)}")
