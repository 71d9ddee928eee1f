"""One trial of a batch: the work on it, and its result as plain columns in bytes.

What crosses from a worker, and what is kept beside the output so that a stopped batch can go on, is one line of JSON
and the raw columns after it: nothing in it can run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancecore._version import __version__
from balancecore.errors import DataError
from balancecore.gait import GaitResult, analyze_gait
from balancecore.io import read
from balancecore.markup import harmless
from balancecore.schema import COLUMNS, SYMMETRY_METRICS, Column
from balancecore.subjects import READING
from balancecore.trial import Trial

__all__ = ["FACTS", "METRIC_COLUMNS", "Outcome", "Parts", "failed", "work"]

#: Part of every key: a change of the layout or of `FACTS` makes old parts strange.
_LAYOUT = 1
_LONGEST_REASON = 500
_STEP_TYPES = {c.id: np.dtype(c.dtype).newbyteorder("<") for c in COLUMNS}
_MEANS = tuple(c for c in COLUMNS if c.dtype == "float64" and c.id not in ("t_on", "t_off"))


def _fact(name: str, unit: str, dtype: str, definition: str) -> Column:
    return Column(name, unit, dtype, definition, "the trial has none")


#: What a batch keeps of a trial beside its metrics.
FACTS: tuple[Column, ...] = (
    _fact("sha256", "", "str", "SHA-256 of the files, joined by ';'"),
    _fact("rate_hz_used", "Hz", "float64", "frames per second"),
    _fact("duration_s", "s", "float64", "length of the record"),
    _fact("plates", "", "float64", "number of plates"),
    _fact("surface_used", "", "str", "treadmill or overground"),
    _fact("gait_used", "", "str", "run, walk or mixed"),
    _fact("limbs", "", "str", "the first and the second limb: L/R, or A/B where sides are unknown"),
    _fact("side_method", "", "str", "how sides were told"),
    _fact("contacts", "", "float64", "contacts found"),
    _fact("complete", "", "float64", "contacts that neither an end of the record nor a gap cuts"),
    _fact("used", "", "float64", "contacts in the limb means"),
    _fact("cadence_spm", "1/min", "float64", "steps per minute: 60 (N-1) / (last t_on - first t_on)"),
    _fact("body_weight_n", "N", "float64", "body weight that forces are divided by"),
    _fact("body_weight_source", "", "str", "given, static, or whole_strides (the mean force over them)"),
    _fact("level_n_used", "N", "float64", "contact level; the largest of several plates"),
    _fact("poi_used", "", "str", "point of interest of vilr and imp_v_early"),
    _fact("camber_deg", "deg", "float64", "tilt that was taken off Fx"),
    _fact("mean_fz_bw", "BW", "float64", "check: mean vertical force over whole strides, 1 within 2 %"),
    _fact("warnings", "", "str", "what deserves a look, joined by ' | '"),
    _fact("provenance", "", "str", "all that the numbers depend on, as JSON"),
)


def _metric_columns() -> tuple[Column, ...]:
    columns = []
    for c in _MEANS:
        for which, limb in (("left", "first"), ("right", "second")):
            of = f"usable contacts of the {limb} limb of `limbs`: {c.definition}"
            columns += [
                Column(f"{c.id}_{which}", c.unit, "float64", f"mean over {of}", "no value", c.source),
                Column(
                    f"{c.id}_{which}_sd", c.unit, "float64", f"sample SD over {of}", "< 2 values", c.source
                ),
                Column(f"{c.id}_{which}_n", "", "float64", f"finite values of {of}", "", c.source),
            ]
        if c.id in SYMMETRY_METRICS:
            si = f"symmetry index (L - R) / (0.5 (L + R)) of the limb means of {c.id}, + = first limb larger"
            end = "95 % interval of that index (bootstrap of stride pairs)"
            columns += [
                Column(f"{c.id}_si", "%", "float64", si, "undefined index", "metrics 5.1"),
                Column(
                    f"{c.id}_si_low", "%", "float64", f"lower end of the {end}", "no interval", "metrics 5.4"
                ),
                Column(
                    f"{c.id}_si_high", "%", "float64", f"upper end of the {end}", "no interval", "metrics 5.4"
                ),
                Column(
                    f"{c.id}_si_noise",
                    "%",
                    "float64",
                    "|SI| to expect from step variability alone",
                    "undefined index",
                    "metrics 5.2",
                ),
            ]
    return tuple(columns)


#: Means of the limbs and their symmetry, for every metric of the step table.
METRIC_COLUMNS: tuple[Column, ...] = _metric_columns()


class Outcome(NamedTuple):
    """What became of one trial.

    Attributes
    ----------
    error_type, error : str
        Empty if it was analysed.
    facts : dict
        By the names of `FACTS` and `METRIC_COLUMNS`; a missing one is None.
    steps : dict of ndarray
        Columns of the step table.
    """

    error_type: str
    error: str
    facts: dict[str, Any]
    steps: dict[str, NDArray[Any]]

    def to_bytes(self) -> bytes:
        """One line of JSON, then the columns one after the other."""
        rows = len(self.steps["t_on"]) if self.steps else 0
        head = json.dumps(
            {"error_type": self.error_type, "error": self.error, "facts": self.facts, "rows": rows}
        )
        raw = [
            np.ascontiguousarray(self.steps[name], dtype=t).tobytes()
            for name, t in _STEP_TYPES.items()
            if rows
        ]
        return b"\n".join([head.encode(), b"".join(raw)])

    @classmethod
    def from_bytes(cls, data: bytes) -> Outcome:
        """The inverse of `to_bytes`.

        Raises
        ------
        ValueError
            The bytes are damaged.
        """
        line, _, raw = data.partition(b"\n")
        head = json.loads(line)
        rows, at, steps = int(head["rows"]), 0, {}
        for name, dtype in _STEP_TYPES.items():
            steps[name] = np.frombuffer(raw, dtype, rows, at)
            at += rows * dtype.itemsize
        if at != len(raw):
            raise ValueError("columns of another length")
        return cls(head["error_type"], head["error"], head["facts"], steps)


def failed(error_type: str, error: str, sha256: str = "") -> Outcome:
    """The outcome of a trial that was not analysed."""
    reason = harmless(" ".join(error.split()), _LONGEST_REASON)
    return Outcome(error_type, reason, {"sha256": sha256} if sha256 else {}, {})


def work(paths: Sequence[str], settings: str) -> bytes:
    """Read and analyse one trial; whatever is wrong with it is part of the result.

    Parameters
    ----------
    paths : sequence of str
        Its files, with their folders from the root on.
    settings : str
        JSON of the options of :func:`balancecore.read` and :func:`balancecore.analyze_gait`.

    Returns
    -------
    bytes
        Of an `Outcome`.
    """
    options = json.loads(settings)
    reading = {name: options.pop(name) for name in READING if name in options}
    sums = ";".join(hashes(paths))
    try:
        trial = read(list(paths) if len(paths) > 1 else paths[0], **reading)
        return _analysed(trial, analyze_gait(trial, **options), sums).to_bytes()
    except KeyboardInterrupt:
        raise
    except (
        BaseException
    ) as error:  # a hostile file may raise anything in a library, also an exit or a Rust panic
        said = str(error)
        for path in paths:  # messages of other packages may hold the whole path
            said = said.replace(os.path.join(os.path.dirname(path), ""), "")
        return failed(type(error).__name__, said or "no reason given", sums).to_bytes()


def hashes(paths: Sequence[str]) -> list[str]:
    """SHA-256 of files; nothing if one can't be read."""
    found = []
    for path in paths:
        try:
            if not os.path.isfile(path):
                return []
            with open(path, "rb") as file:
                found.append(hashlib.file_digest(file, "sha256").hexdigest())
        except (OSError, ValueError):
            return []
    return found


def _analysed(trial: Trial, result: GaitResult, sums: str) -> Outcome:
    quality, used = result.quality, result.provenance["used"]
    if not quality["complete"]:
        why = (quality["warnings"] or ["nothing in the signal looks like one"])[0]
        raise DataError(f"no complete contact found ({why})")
    facts = {
        "sha256": sums,
        "rate_hz_used": trial.rate_hz,
        "duration_s": trial.duration_s,
        "plates": len(trial.plates),
        "surface_used": used["surface"],
        "gait_used": quality["gait"]["used"],
        "limbs": "/".join(result.limbs),
        "side_method": used["side_method"],
        **{name: quality[name] for name in ("contacts", "complete", "used", "cadence_spm", "camber_deg")},
        "body_weight_n": used["body_weight_n"],
        "body_weight_source": used["body_weight_source"],
        "level_n_used": max(quality["level_n"]),
        "poi_used": used["poi_rule"],
        "mean_fz_bw": quality["momentum"]["mean_fz_bw"],
        "warnings": " | ".join(quality["warnings"]),
        "provenance": json.dumps(result.provenance, allow_nan=False),
    }
    for name, by_limb in result.summary.items():
        for which, limb in zip(("left", "right"), result.limbs, strict=True):
            stat = by_limb[limb]
            facts |= {
                f"{name}_{which}": stat.mean,
                f"{name}_{which}_sd": stat.sd,
                f"{name}_{which}_n": stat.n,
            }
    for row in result.symmetry:
        facts |= {
            f"{row.metric}_si": row.si,
            f"{row.metric}_si_low": row.ci_low,
            f"{row.metric}_si_high": row.ci_high,
            f"{row.metric}_si_noise": row.noise_floor,
        }
    # JSON has no NaN.
    plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in facts.items()}
    return Outcome("", "", plain, {name: result.steps[name] for name in result.steps.columns})


class Parts:
    """Results of single trials in a folder, by what they depend on: files, options, version.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    restart : bool
        Forget what it holds.
    """

    def __init__(self, folder: Path, restart: bool = False) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            known = [path for path in folder.iterdir() if path.suffix == ".part"]
            if restart:
                for path in known:
                    path.unlink()
        except OSError as error:
            raise DataError(f"{folder.name}: it can't be used: {error.strerror or error}") from error
        #: Whether there is anything to go on with, so that a new batch needn't hash its files first.
        self.any = bool(known) and not restart

    def find(self, paths: Sequence[str], settings: str) -> Outcome | None:
        """The result of a trial, if it is there and whole."""
        sums = hashes(paths)
        if not sums:
            return None
        try:
            data = self._path(paths, sums, settings).read_bytes()
            if hashlib.sha256(data[32:]).digest() != data[:32]:
                return None
            return Outcome.from_bytes(data[32:])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, paths: Sequence[str], settings: str, outcome: Outcome) -> None:
        """Keep a result; one without hashes (no such file, a worker that died) is tried again next time."""
        sums = [part for part in outcome.facts.get("sha256", "").split(";") if part]
        if len(sums) != len(paths) or outcome.error_type in ("MissingExtraError", "MemoryError"):
            return
        data = outcome.to_bytes()
        target = self._path(paths, sums, settings)
        temporary = target.with_suffix(f".{os.getpid()}")
        try:
            temporary.write_bytes(hashlib.sha256(data).digest() + data)
            temporary.replace(target)
        except OSError as error:
            raise DataError(f"{self._folder.name}: it can't be written: {error.strerror or error}") from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _path(self, paths: Sequence[str], sums: Sequence[str], settings: str) -> Path:
        names = [os.path.basename(path) for path in paths]  # messages of errors hold them
        known: Mapping[str, Any] = {
            "layout": _LAYOUT,
            "version": __version__,
            "names": names,
            "sha256": list(sums),
            "settings": settings,
        }
        return self._folder / f"{hashlib.sha256(json.dumps(known).encode()).hexdigest()}.part"
