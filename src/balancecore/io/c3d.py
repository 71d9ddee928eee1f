"""C3D through ezc3d (extra ``c3d``): plates of types 1 to 7, analog channels, events and markers.

ezc3d reads the container, after :mod:`._c3d_layout` has checked every count in it; the plates are ours
(:mod:`._c3d_plates`). The lab's axes are those of the file, turned so that z is up. Channels are taken to show the
reaction, as Visual3D and ezc3d take them, since the sign is hidden in ANALOG:SCALE; where that makes the vertical force
negative, a note says so.

Event times count from frame 1 of the recording (c3d.org, EVENT:TIMES), which may lie before the file's first frame.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from balancecore.errors import DataError, MissingExtraError
from balancecore.io import _own
from balancecore.io._c3d_layout import MAX_COUNTED, Layout, checked, is_c3d, pieces
from balancecore.io._c3d_plates import (
    Source,
    claimed_channels,
    lab_rotation,
    length_factor,
    read_plates,
    zero_frames,
)
from balancecore.io._c3d_write import OWN_GROUP, OWN_PARAMETER, write_c3d
from balancecore.io._file import FileBytes, TextFile
from balancecore.io._record import FileHeader, FloatArray, Options, RawFile, RawPlate
from balancecore.trial import CHANNELS, Analog, Event, Markers, check_rate

__all__ = ["C3dSetup", "c3d_setup", "is_c3d", "read_c3d", "write_c3d"]

_SIDES = {"left": "L", "right": "R"}
_LABELS = {"foot strike": "contact_on", "foot off": "contact_off"}
#: Groups of points that are no positions but results of a model (POINT:TYPE_GROUPS).
_RESULTS = ("ANGLES", "FORCES", "MOMENTS", "POWERS", "SCALARS", "MODELED_MARKERS_ANGLES")


def read_c3d(file: FileBytes, options: Options) -> RawFile:
    """Read a C3D file of any byte order, of integers or floats.

    Raises
    ------
    DataError
        A damaged file, one without force plates, or plates of a type whose equations are not public.
    MissingExtraError
        Without ezc3d.
    """
    if options.columns is not None:
        raise DataError(
            f"{file.name}: columns= has no use here: a C3D file says which channels are its plates'"
        )
    layout = checked(file)
    source, points, residuals = _opened(layout)
    rate = _rate(layout, options)
    length_m = length_factor(source, options)
    rotation = lab_rotation(source, options, length_m)
    plates = read_plates(source, options, length_m, rotation)
    header = FileHeader(layout.point_rate_hz, zero_frames(source))
    raw = RawFile(plates, rate, notes=source.notes, header=header)
    taken = claimed_channels(source, len(plates))
    raw.analog = _analog(source, layout, rate, taken)
    raw.events = _events(source, layout)
    raw.markers = _markers(source, layout, points, residuals, length_m * rotation)
    return _as_written(file, source, options, raw)


@dataclass(frozen=True)
class C3dSetup:
    """What a C3D file tells of the plates and the channels with which it was recorded."""

    plates: tuple[RawPlate, ...]
    channels: tuple[str, ...]
    """Names of all analog channels, in order."""
    units: tuple[str, ...]
    notes: tuple[str, ...]


def c3d_setup(file: FileBytes) -> C3dSetup:
    """Plates and channels of a C3D file, also of one that :func:`write_c3d` made.

    Raises
    ------
    DataError, MissingExtraError
        As :func:`read_c3d`.
    """
    layout = checked(file)
    options = Options()
    source, _, _ = _opened(layout)
    length_m = length_factor(source, options)
    plates = read_plates(source, options, length_m, lab_rotation(source, options, length_m))
    names, units = source.texts("ANALOG", "LABELS"), source.texts("ANALOG", "UNITS")
    return C3dSetup(
        tuple(plates),
        tuple(
            names[c] if c < len(names) and names[c] else f"channel {c + 1}" for c in range(layout.n_analog)
        ),
        tuple(units[c] if c < len(units) else "" for c in range(layout.n_analog)),
        tuple(source.notes),
    )


def _opened(layout: Layout) -> tuple[Source, FloatArray, FloatArray]:
    """What ezc3d makes of the bytes: parameters and analog channels, points, residuals."""
    try:
        import ezc3d
    except ImportError as error:
        raise MissingExtraError("reading C3D needs ezc3d: pip install 'balancecore[c3d]'") from error
    name = layout.file.name
    parts: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    parameters: dict[str, Any] = {}
    # ezc3d takes a path, and must see the bytes that were checked.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checked.c3d"
        for piece in pieces(layout):
            with path.open("wb") as file:
                file.writelines(piece)
            try:
                opened = ezc3d.c3d(str(path))
                data = opened["data"]
                parts.append((data["points"], data["analogs"], data["meta_points"]["residuals"]))
                parameters = parameters or {
                    group: dict(opened["parameters"][group]) for group in opened["parameters"]
                }
            # ezc3d does not promise which errors damage leads to.
            except Exception as error:
                raise DataError(f"{name}: the C3D file is damaged") from error
    points, analog, residuals = (
        part[0] if len(part) == 1 else np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)
    )
    samples = layout.n_frames * layout.per_frame
    expected = (1, layout.n_analog, samples), (4, layout.n_points, layout.n_frames)
    if (analog.shape, points.shape) != expected:
        raise DataError(f"{name}: the C3D file is damaged")
    source = Source(name, parameters, analog[0], layout.per_frame, not layout.is_float, [])
    if layout.uncounted_frames:
        source.notes.append(
            f"{name}: its counter of frames is full at {MAX_COUNTED} and nothing counts on, but there are bytes for "
            f"about {layout.uncounted_frames} more; these were not read"
        )
    return source, points[:3], residuals[0]


def _rate(layout: Layout, options: Options) -> float:
    """Rate of the plates; the caller's if the file has none."""
    name, stated, given = layout.file.name, layout.analog_rate_hz, options.rate_hz
    if not stated:
        if given is None:
            raise DataError(f"{name}: it does not say its rate: pass rate_hz=")
        return given
    if given is not None and not math.isclose(given, stated, rel_tol=1e-3):
        raise DataError(f"{name}: the rate is given as {given:g} Hz but the file says {stated:g} Hz")
    try:
        return check_rate(stated)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _analog(source: Source, layout: Layout, rate: float, taken: set[int]) -> list[Analog]:
    names, units = source.texts("ANALOG", "LABELS"), source.texts("ANALOG", "UNITS")
    return [
        Analog(
            names[c] if c < len(names) else f"channel {c + 1}",
            units[c] if c < len(units) else "",
            rate,
            source.analog[c].copy(),
        )
        for c in range(layout.n_analog)
        if c not in taken
    ]


def _events(source: Source, layout: Layout) -> list[Event]:
    """Events of the group EVENT, else those of the header."""
    before_s = (layout.first_frame - 1) / layout.point_rate_hz if layout.point_rate_hz else 0.0
    times = source.numbers("EVENT", "TIMES")
    if times.size < 2 or times.size % 2:
        found = [Event(label or "event", "?", t) for label, t in layout.header_events() if math.isfinite(t)]
        return sorted(found, key=lambda event: event.time_s)
    times = times.reshape(2, -1, order="F")
    labels, contexts = source.texts("EVENT", "LABELS"), source.texts("EVENT", "CONTEXTS")
    used = next(iter(source.counts("EVENT", "USED")), times.shape[1])
    events = []
    for k in range(max(min(times.shape[1], used), 0)):
        label = labels[k] if k < len(labels) else "event"
        side = _SIDES.get(contexts[k].lower() if k < len(contexts) else "", "?")
        time_s = 60.0 * float(times[0, k]) + float(times[1, k]) - before_s
        if math.isfinite(time_s):
            events.append(Event(_LABELS.get(label.lower(), label), side, time_s))
    return sorted(events, key=lambda event: event.time_s)


def _markers(
    source: Source, layout: Layout, points: FloatArray, residuals: FloatArray, to_lab: FloatArray
) -> Markers | None:
    """Positions of the points that are markers; NaN where the residual is negative, which means not seen."""
    if not layout.n_points or not layout.point_rate_hz:
        return None
    names = source.texts("POINT", "LABELS")
    names += [f"point {k + 1}" for k in range(len(names), layout.n_points)]
    results = {text for group in _RESULTS for text in source.texts("POINT", group)}
    kept = [k for k in range(layout.n_points) if names[k] not in results]
    if len(kept) < layout.n_points:
        source.notes.append(
            f"{source.name}: {layout.n_points - len(kept)} points are angles, forces, moments or powers; left out"
        )
    if not kept:
        return None
    positions = np.einsum("ij,jkn->nki", to_lab, points[:, kept])
    positions[residuals[kept].T < 0.0] = np.nan
    return Markers(tuple(names[k] for k in kept), layout.point_rate_hz, np.ascontiguousarray(positions))


def _as_written(file: FileBytes, source: Source, options: Options, raw: RawFile) -> RawFile:
    """The trial as it was before :func:`write_c3d`, if that made the file and nobody changed its layout since."""
    texts = source.texts(OWN_GROUP, OWN_PARAMETER)
    if not texts:
        return raw
    text = TextFile(file.name, file.suffix, [], "row")
    try:
        entries = _own.parse(text, "".join(part[1:-1] for part in texts))
        columns = _own_columns(entries, raw)
        return _own.restore(text, entries, columns, options)
    except (DataError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError):
        raw.notes.append(
            f"{file.name}: what balancecore wrote of the trial does not fit the file any more; it was read as any "
            "C3D file"
        )
        return raw


def _own_columns(entries: dict[str, Any], raw: RawFile) -> list[FloatArray]:
    """The columns that :mod:`._own` expects, of what the C3D file holds."""
    columns: list[FloatArray] = []
    flagged = sum(entry["saturated"] for entry in entries["plates"])
    flags, others = iter(raw.analog[:flagged]), raw.analog[flagged:]
    for entry, plate in zip(entries["plates"], raw.plates, strict=True):
        wrench = _about(plate, np.asarray(entry["origin_m"], dtype=np.float64))
        columns += [wrench[:, CHANNELS.index(name)] for name in entry["channels"]]
        if entry["saturated"]:
            columns.append(next(flags).values)
    for entry, channel in zip(entries["analog"], others, strict=True):
        columns.append(channel.values[:: round(raw.rate_hz / entry["rate_hz"])])
    if raw.markers is not None:
        columns += [
            raw.markers.positions_m[:, k, axis] for k in range(len(raw.markers.names)) for axis in range(3)
        ]
    return columns


def _about(plate: RawPlate, origin: FloatArray) -> FloatArray:
    """The wrench about another point: M' = M + F × (to - from)."""
    if np.array_equal(origin, plate.origin_m):
        return plate.wrench
    wrench = plate.wrench.copy()
    wrench[:, 3:] += np.cross(wrench[:, :3], origin - plate.origin_m)
    return wrench
