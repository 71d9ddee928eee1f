"""A session as plain values for a page: what it is (`hello`), and what is new since the last look (`View`).

The page is another process; docs/live.md says what these messages hold. A number that is missing is None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from balancecore.capture.recording import told_address
from balancecore.errors import DataError
from balancecore.live.analysis import SeenStep
from balancecore.live.hub import VERSION
from balancecore.live.session import LiveSession
from balancecore.schema import COLUMNS
from balancecore.stream import RunningSymmetry
from balancecore.text import LINES

__all__ = ["Targets", "View", "check_targets", "hello"]

#: Lower and upper end of a band by "cadence", a metric (in the unit that is shown) or METRIC.si (%).
Targets = Mapping[str, tuple[float, float]]

_DEFINITIONS = {column.id: column.definition for column in COLUMNS}


def check_targets(targets: Targets, metrics: tuple[str, ...]) -> None:
    """Whether bands can be shown; a DataError says which can't."""
    known = {"cadence", *metrics, *(f"{metric}.si" for metric in metrics)}
    for name, (low, high) in targets.items():
        if name not in known:
            raise DataError(f"target {name!r}: it is none of {', '.join(sorted(known))}")
        if not -math.inf < low < high < math.inf:
            raise DataError(f"target {name!r}: {low:g} to {high:g} is no band")


def hello(session: LiveSession, targets: Targets | None = None, sound: bool = False) -> dict[str, Any]:
    """What stays the same while a session is open.

    Parameters
    ----------
    session : LiveSession
        Open.
    targets : dict, optional
        Bands, see `Targets`.
    sound : bool
        Whether steps outside a band are to be heard.
    """
    bands = dict(targets or {})
    check_targets(bands, session.metrics)
    device = session.device
    return {
        "version": VERSION,
        "device": told_address(device),
        "simulated": device.description.simulated,
        "rate_hz": session.rate_hz,
        "plates": list(session.rig.layout.names),
        "strides": session.strides,
        "mass_kg": session.mass_kg,
        "metrics": [
            {
                "key": key,
                "name": LINES[key].words,
                "unit": LINES[key].unit,
                "scale": LINES[key].factor,
                "digits": LINES[key].digits,
                "definition": _DEFINITIONS[key],
            }
            for key in session.metrics
        ],
        "targets": {name: [float(low), float(high)] for name, (low, high) in bands.items()},
        "sound": bool(sound),
    }


class View:
    """One onlooker's view of a session: each look gives what is new since the one before, as far as it is kept.

    Parameters
    ----------
    session : LiveSession
        Open.
    """

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        self._run = self._change = self._sample = 0

    def update(self) -> dict[str, Any]:
        """How the session goes, with new samples of the traces and new steps; old ones where nobody looked for long."""
        analysis = self._session.analysis
        run, change, steps = analysis.steps(self._run, self._change)
        seen, now = analysis.seen(), self._session.now()
        if run != now.trial or seen.run != run:  # a recording has begun between these lines
            steps = []
        else:
            self._run, self._change = run, change
        values = {key: _plain(value) for key, value in now._asdict().items()}
        return values | {
            "trace": self._trace(),
            "steps": [_step(step, self._offset_s(seen.first_index)) for step in steps],
            "cadence": _plain(seen.cadence),
            "symmetry": None if seen.symmetry is None else _symmetry(seen.symmetry),
        }

    def _trace(self) -> dict[str, Any]:
        traces = self._session.analysis.traces
        assert traces is not None
        first, rows = traces.since(self._sample)
        self._sample = first + len(rows)
        plates = zip(*rows, strict=True) if rows else ((),) * len(self._session.rig.plates)
        return {
            "first_s": first * traces.step_s,
            "step_s": traces.step_s,
            "fz_n": [[_plain(round(value, 1)) for value in plate] for plate in plates],
        }

    def _offset_s(self, first_index: int | None) -> float:
        """The recording's time less the analysis's: each begins with the next block that its thread gets."""
        recorded = self._session.first_index
        if first_index is None or recorded is None:
            return 0.0
        return (first_index - recorded) / self._session.rate_hz


def _step(step: SeenStep, offset_s: float) -> dict[str, Any]:
    return {
        "number": step.number,
        "side": step.side,
        "t_on": _plain(step.t_on + offset_s),
        "t_off": _plain(step.t_off + offset_s),
        "final": step.final,
        "values": {key: _plain(value) for key, value in step.values.items()},
        "flags": list(step.flags),
    }


def _symmetry(found: RunningSymmetry) -> dict[str, Any]:
    return {
        "strides": found.strides,
        "limbs": list(found.limbs),
        "si": {key: _plain(value) for key, value in found.si.items()},
        "means": {key: [_plain(value) for value in pair] for key, pair in found.means.items()},
    }


def _plain(value: Any) -> Any:
    """None in the place of what JSON has no number for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
