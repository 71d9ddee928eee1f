"""A trial as named columns and one JSON text: what balancecore writes to CSV, Parquet and TDMS, and reads back.

The columns are, in this order: of each plate its measured channels among Fx..Mz, and ``saturated`` where that is
known; the analog channels; x, y and z of each marker. The JSON text has everything else; see `describe`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from balancecore.errors import DataError
from balancecore.io._file import TextFile
from balancecore.io._record import FloatArray, Options, RawFile, RawPlate, Written
from balancecore.trial import CHANNELS, MAX_PLATES, Analog, Event, Markers, Plate, Source, Trial, check_rate

#: Name and version of the layout; the version grows when an older reader would misread a file.
KEY = "balancecore_trial"
VERSION = 1


@dataclass(frozen=True)
class Column:
    """One column of a written trial; `label` is for people, the order is what counts."""

    group: str
    label: str
    unit: str
    rate_hz: float
    values: FloatArray


def columns_of(trial: Trial) -> list[Column]:
    """The numbers of a trial, in the order that `restore` expects.

    Raises
    ------
    DataError
        A trial without frames, or a plate without measured channels.
    """
    if not len(trial):
        raise DataError("the trial has no frames: there is nothing to write")
    columns = []
    for number, plate in enumerate(trial.plates, 1):
        group, mark = f"plate {number}", str(number) if len(trial.plates) > 1 else ""
        for k, channel in enumerate(CHANNELS):
            if channel not in plate.missing:
                unit = "N" if k < 3 else "N.m"
                columns.append(Column(group, channel + mark, unit, trial.rate_hz, plate.wrench[:, k]))
        if len(plate.missing) == len(CHANNELS):
            raise DataError(f"plate {number} has no measured channel: there is nothing to write of it")
        if plate.saturated is not None:
            flags = plate.saturated.astype(np.float64)
            columns.append(Column(group, f"saturated{mark}", "", trial.rate_hz, flags))
    columns += [Column("analog", c.name, c.unit, c.rate_hz, c.values) for c in trial.analog]
    if trial.markers is not None:
        for k, name in enumerate(trial.markers.names):
            for axis, values in zip("xyz", trial.markers.positions_m[:, k].T, strict=True):
                columns.append(Column("markers", f"{name} {axis}", "m", trial.markers.rate_hz, values))
    return columns


def describe(trial: Trial) -> str:
    """Everything of a trial but its numbers, as one line of JSON.

    ``version``, ``rate_hz``, ``n_frames``, ``convention`` and ``axes`` (of the original source; the columns are
    reaction forces, right, forward, up), ``lateral_known``, ``plates`` (name, side, channels, saturated,
    origin_m, corners_m, model, skew_s), ``analog`` (name, unit, rate_hz, length), ``markers`` (names, rate_hz,
    length) or null, ``events`` (label, side, time_s), ``notes``, ``sources`` (name, sha256), ``reading``.
    """
    return json.dumps(
        {
            "version": VERSION,
            "rate_hz": float(trial.rate_hz),
            "n_frames": len(trial),
            "convention": trial.convention,
            "axes": None if trial.axes is None else list(trial.axes),
            "lateral_known": bool(trial.lateral_known),
            "plates": [_plate_entry(plate) for plate in trial.plates],
            "analog": [
                {"name": c.name, "unit": c.unit, "rate_hz": float(c.rate_hz), "length": len(c.values)}
                for c in trial.analog
            ],
            "markers": None if trial.markers is None else _markers_entry(trial.markers),
            "events": [{"label": e.label, "side": e.side, "time_s": float(e.time_s)} for e in trial.events],
            "notes": list(trial.notes),
            "sources": [{"name": s.name, "sha256": s.sha256} for s in trial.sources],
            "reading": dict(trial.reading),
        },
        default=str,
    )


def _plate_entry(plate: Plate) -> dict[str, Any]:
    return {
        "name": plate.name,
        "side": plate.side,
        "channels": [channel for channel in CHANNELS if channel not in plate.missing],
        "saturated": plate.saturated is not None,
        "origin_m": [float(v) for v in plate.origin_m],
        "corners_m": None if plate.corners_lab is None else np.asarray(plate.corners_lab).tolist(),
        "model": plate.model,
        "skew_s": None if plate.skew_s is None else float(plate.skew_s),
    }


def _markers_entry(markers: Markers) -> dict[str, Any]:
    return {
        "names": list(markers.names),
        "rate_hz": float(markers.rate_hz),
        "length": len(markers.positions_m),
    }


def parse(text: TextFile, description: str) -> dict[str, Any]:
    """The JSON text of a file, with its version checked."""
    try:
        entries = json.loads(description)
        version = entries["version"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise text.error("what it says of the trial is damaged") from error
    if isinstance(version, int) and version > VERSION:
        raise text.error(
            f"it was written by a newer balancecore (layout {version}, this one knows {VERSION})"
        )
    if version != VERSION:
        raise text.error("what it says of the trial is damaged")
    return dict(entries)


def restore(
    text: TextFile, entries: dict[str, Any], columns: Sequence[FloatArray], options: Options
) -> RawFile:
    """The file of a written trial, from its entries and its columns (which may be longer than said).

    Raises
    ------
    DataError
        Entries that contradict each other or the columns, or options that have no use here.
    """
    _refuse_options(text, options)
    supply = _Supply(columns)
    try:
        raw = _restored(entries, supply)
    except DataError as error:
        raise text.error(str(error)) from error
    # Entries of any other make: they come from a file.
    except (ArithmeticError, AttributeError, IndexError, LookupError, TypeError, ValueError) as error:
        raise text.error("what it says of the trial is damaged") from error
    if supply.left:
        raise text.error(f"{supply.left} columns more than it says")
    if options.rate_hz is not None and not math.isclose(options.rate_hz, raw.rate_hz, rel_tol=1e-3):
        raise text.error(f"the rate is given as {options.rate_hz:g} Hz but the file says {raw.rate_hz:g} Hz")
    return raw


def _refuse_options(text: TextFile, options: Options) -> None:
    if options.units.named or options.resample:
        raise text.error("units= and resample= have no use here: balancecore wrote this file, in SI units")
    if options.rig is not None:
        raise text.error("rig= is for raw channels: balancecore wrote this trial, which is calibrated")


class _Supply:
    """Hands out the columns in order."""

    def __init__(self, columns: Sequence[FloatArray]) -> None:
        self._columns = list(columns)

    @property
    def left(self) -> int:
        """How many nobody asked for."""
        return len(self._columns)

    def take(self, length: object) -> FloatArray:
        """The first `length` values of the next column."""
        if not isinstance(length, int) or isinstance(length, bool) or length < 0:
            raise DataError("what it says of the trial is damaged")
        if not self._columns:
            raise DataError("it has fewer columns than it says")
        column = self._columns.pop(0)
        if len(column) < length:
            raise DataError(f"a column has {len(column)} values where it says {length}: it is cut short")
        return np.ascontiguousarray(column[:length], dtype=np.float64)


def _restored(entries: dict[str, Any], supply: _Supply) -> RawFile:
    count = entries["n_frames"]
    if not 1 <= len(entries["plates"]) <= MAX_PLATES or not isinstance(count, int) or count < 1:
        raise ValueError("plates or frames")
    plates = [_restored_plate(entry, count, supply) for entry in entries["plates"]]
    analog = [
        Analog(_text(e["name"]), _text(e["unit"]), _rate(e["rate_hz"]), supply.take(e["length"]))
        for e in entries["analog"]
    ]
    convention = entries["convention"]
    if convention not in ("reaction", "action"):
        raise ValueError("convention")
    axes = entries["axes"]
    written = Written(
        convention,
        None if axes is None else tuple(map(_text, axes)),
        bool(entries["lateral_known"]),
        tuple(Source(_text(s["name"]), _text(s["sha256"])) for s in entries["sources"]),
        dict(entries["reading"]),
    )
    return RawFile(
        plates,
        check_rate(entries["rate_hz"]),
        notes=list(map(_text, entries["notes"])),
        analog=analog,
        events=[Event(_text(e["label"]), _text(e["side"]), float(e["time_s"])) for e in entries["events"]],
        markers=_restored_markers(entries["markers"], supply),
        written=written,
    )


def _restored_plate(entry: dict[str, Any], count: int, supply: _Supply) -> RawPlate:
    channels = entry["channels"]
    if not set(channels) <= set(CHANNELS) or len(set(channels)) != len(channels):
        raise ValueError("channels")
    side = entry["side"]
    if side not in ("L", "R", "?"):
        raise ValueError("side")
    # Nothing is made in the size that the file claims before a column has shown that it has it.
    measured = {channel: supply.take(count) for channel in channels}
    if not measured:
        raise ValueError("a plate without channels")
    saturated = supply.take(count) != 0.0 if entry["saturated"] else None
    wrench = np.full((count, 6), np.nan)
    for channel, values in measured.items():
        wrench[:, CHANNELS.index(channel)] = values
    corners = entry["corners_m"]
    return RawPlate(
        wrench,
        frozenset(CHANNELS) - set(channels),
        _text(entry["name"]),
        _vector(entry["origin_m"], (3,)),
        None if corners is None else _vector(corners, (4, 3)),
        _text(entry["model"]),
        saturated,
        None if entry["skew_s"] is None else float(entry["skew_s"]),
        side,
    )


def _restored_markers(entry: dict[str, Any] | None, supply: _Supply) -> Markers | None:
    if entry is None:
        return None
    names = tuple(map(_text, entry["names"]))
    values = [supply.take(entry["length"]) for _ in range(3 * len(names))]
    positions = np.stack(values, axis=1) if values else np.empty((entry["length"], 0))
    return Markers(names, _rate(entry["rate_hz"]), positions.reshape(len(positions), len(names), 3))


def _rate(value: object) -> float:
    """The rate of a channel beside the plates, which may be slower than any plate."""
    if not isinstance(value, float) or not 0.0 < value < math.inf:
        raise ValueError("rate")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _vector(values: object, shape: tuple[int, ...]) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError("not a finite array of the right shape")
    return array


def unique_labels(columns: Sequence[Column], make: Callable[[Column], str]) -> list[str]:
    """A printable name for each column, no two alike."""
    labels: list[str] = []
    seen: set[str] = set()
    for column in columns:
        plain = "".join(c if c.isprintable() else " " for c in make(column)).strip() or "unnamed"
        label, k = plain, 2
        while label in seen:
            label, k = f"{plain} #{k}", k + 1
        seen.add(label)
        labels.append(label)
    return labels
