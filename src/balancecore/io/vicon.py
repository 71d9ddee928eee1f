"""Vicon Nexus CSV (and its tab-separated twin): sections of ``Devices`` and ``Trajectories``.

A section is: its name, its rate in Hz, a line of device or marker names (each above its first column), a line of
column names that starts ``Frame,Sub Frame``, a line of units, and the rows, up to a blank line. A force plate is
three devices, ``NAME - Force``, ``NAME - Moment`` and ``NAME - CoP``, in N, N.mm and mm along the lab's axes.

Forces are those *on the plate* (Nexus shows a standing weight as negative along an axis that points up), so that all
channels are negated for the reaction. Moments are about the plate's own origin, which the file does not name: it is
where centre of pressure and moments agree, and a note says if they don't agree on one point. Which of the lab's axes
point to the subject's right and forward is not in the file. Other devices become analog channels, trajectories
markers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from balancecore.errors import DataError
from balancecore.io._columns import Layout, PlateColumns, make_plates
from balancecore.io._file import TextFile
from balancecore.io._record import FloatArray, Options, RawFile, RawPlate
from balancecore.io._table import Dialect, read_rows
from balancecore.io._units import factor
from balancecore.trial import MAX_PLATES, Analog, Markers, check_rate

__all__ = ["is_vicon", "read_vicon"]

_SECTIONS = ("devices", "trajectories", "model outputs", "joints", "segments", "events")
_PLATE = re.compile(r"(?P<plate>.*?)\s*-\s*(?P<what>Force|Moment|CoP)", re.IGNORECASE)
_ROLE = {"force": "F", "moment": "M", "cop": "COP"}
_HEAD = 5
#: The plate's origin is taken from frames with more force than this, and must come out within this distance.
_ORIGIN_N, _ORIGIN_M = 100.0, 1e-3


@dataclass(frozen=True)
class _Section:
    """One table: `names` of device or marker and column names, both a column; `first` is its first frame."""

    rate_hz: float
    names: list[str]
    columns: list[str]
    units: list[str]
    values: FloatArray
    first: int


def is_vicon(text: TextFile) -> bool:
    """Whether the text starts with a section and its column names are those of Nexus."""
    if _title(text.lines[0]) not in _SECTIONS:
        return False
    return any(_fields(line)[:2] == ["frame", "sub frame"] for line in text.lines[:_HEAD])


def read_vicon(text: TextFile, options: Options) -> RawFile:
    """Read the force plates of an export, with its other devices and its trajectories.

    Raises
    ------
    DataError
        No force plate, a damaged section, or frames that were lost.
    """
    if options.columns is not None or options.resample:
        raise text.error("columns= and resample= have no use here: a Nexus export names its columns and rate")
    sections = _sections(text)
    if "devices" not in sections:
        raise text.error("no Devices section in this Nexus export: export the force plates too")
    devices = sections["devices"]
    if options.rate_hz is not None and abs(options.rate_hz - devices.rate_hz) > 1e-3 * devices.rate_hz:
        raise text.error(
            f"the rate is given as {options.rate_hz:g} Hz but the file says {devices.rate_hz:g} Hz"
        )
    plates, notes = _plates(text, devices, options)
    notes += [
        f"{text.name}: the section {title!r} was not read"
        for title in sections
        if title not in ("devices", "trajectories")
    ]
    return RawFile(
        plates,
        devices.rate_hz,
        "action",
        None,
        notes,
        _analog(devices),
        markers=_markers(text, sections.get("trajectories"), devices),
    )


def _title(line: str) -> str:
    return line.strip().strip(",").strip().lower()


def _separator(line: str) -> str:
    return "\t" if "\t" in line else ","


def _fields(line: str) -> list[str]:
    return [field.strip().lower() for field in line.split(_separator(line))]


def _sections(text: TextFile) -> dict[str, _Section]:
    starts = [k for k, line in enumerate(text.lines) if _title(line) in _SECTIONS]
    sections: dict[str, _Section] = {}
    for start, end in zip(starts, [*starts[1:], len(text.lines)], strict=True):
        title = _title(text.lines[start])
        if title in sections:
            raise text.error(f"a second section {title!r}", line=start)
        if title != "events":
            sections[title] = _section(text, start, end)
    return sections


def _section(text: TextFile, start: int, end: int) -> _Section:
    while end > start and not text.lines[end - 1].strip(" ,\t"):
        end -= 1
    if end - start <= _HEAD:
        raise text.error("this section has no rows: the file is cut short", line=start)
    header = text.lines[start + 3]
    dialect = Dialect(_separator(header), ".")
    columns = dialect.split(header)
    while columns and not columns[-1]:
        columns.pop()
    if [name.lower() for name in columns[:2]] != ["frame", "sub frame"] or len(columns) < 3:
        raise text.error(
            "here the columns of a Nexus section should be named: Frame, Sub Frame, …", line=start + 3
        )
    width = len(columns)
    above = (dialect.split(text.lines[start + 2]) + [""] * width)[:width]
    units = (dialect.split(text.lines[start + 4]) + [""] * width)[:width]
    try:
        rate = check_rate(float(_title(text.lines[start + 1])))
    except ValueError as error:
        raise text.error("here the section's rate in Hz should stand", line=start + 1) from error
    # A marker that was never seen is an empty column: a delimiter at the end of a row counts here.
    mark = _separator(header)
    lines = [f"{line}nan" if line.endswith(mark) else line for line in text.lines[:end]]
    values = read_rows(TextFile(text.name, text.suffix, lines), start + _HEAD, dialect, width)
    names, last = [], ""
    for name in above:
        last = name or last
        names.append(last)
    return _Section(rate, names, columns, units, values, _first_frame(text, values, start + _HEAD))


def _first_frame(text: TextFile, values: FloatArray, line: int) -> int:
    """The number of the first frame, after frames and sub frames were found to follow each other."""
    numbers = values[:, :2]
    if not np.isfinite(numbers).all() or np.abs(numbers).max() > 1e12:
        raise text.error("a frame has no number", line=line)
    per_frame = int(numbers[:, 1].max()) + 1
    place = numbers[:, 0] * per_frame + numbers[:, 1]
    lost = np.flatnonzero(np.diff(place) != 1.0)
    if len(lost):
        k = int(lost[0]) + 1
        raise text.error(
            "the frame numbers do not follow each other: frames were lost or doubled", line=line + k
        )
    return int(numbers[0, 0])


def _plates(text: TextFile, section: _Section, options: Options) -> tuple[list[RawPlate], list[str]]:
    found: dict[str, PlateColumns] = {}
    for index in range(2, len(section.columns)):
        hit = _PLATE.fullmatch(section.names[index])
        if not hit or not section.columns[index]:
            continue
        role = _ROLE[hit["what"].lower()] + section.columns[index][-1].lower()
        plate = found.setdefault(hit["plate"], PlateColumns(hit["plate"]))
        if role in plate.column or role[-1] not in "xyz":
            raise text.error(f"column {index + 1} of the devices ({section.columns[index]!r}) is not clear")
        plate.column[role], plate.unit[role] = index, section.units[index] or None
    if not 1 <= len(found) <= MAX_PLATES:
        raise text.error(f"{len(found)} force plates ('… - Force') among the devices")
    # The centre of pressure is only for finding the origin: moments are there, or the plate has none.
    plates, notes = [], []
    for plate in found.values():
        cop = {role: plate.column.pop(role) for role in ("COPx", "COPy", "COPz") if role in plate.column}
        raw = _plate(text, section, plate, options)
        if {"COPx", "COPy"} <= set(cop) and not raw.missing:
            at = [_metres(text, section, cop[role], options) for role in ("COPx", "COPy")]
            notes += _place(text, raw, at[0], at[1])
        plates.append(raw)
    return plates, notes


def _plate(text: TextFile, section: _Section, columns: PlateColumns, options: Options) -> RawPlate:
    return make_plates(text, section.values, Layout([columns]), options, up=2)[0]


def _metres(text: TextFile, section: _Section, index: int, options: Options) -> FloatArray:
    try:
        return np.asarray(
            section.values[:, index] * options.units.to_si("length", section.units[index] or None)
        )
    except DataError as error:
        raise text.error(f"column {index + 1}: {error}") from error


def _place(text: TextFile, plate: RawPlate, cop_x: FloatArray, cop_y: FloatArray) -> list[str]:
    """Set the plate's origin to the point where its moments and its centre of pressure agree."""
    fz = plate.wrench[:, 2]
    loaded = np.flatnonzero((np.abs(fz) > _ORIGIN_N) & np.isfinite(plate.wrench).all(axis=1))
    loaded = loaded[np.isfinite(cop_x[loaded]) & np.isfinite(cop_y[loaded])]
    if not len(loaded):
        return [f"{text.name}: {plate.name}: never loaded, so that its origin is not known; it was put at 0"]
    _, _, _, mx, my, _ = plate.wrench[loaded].T
    x, y = cop_x[loaded] + my / fz[loaded], cop_y[loaded] - mx / fz[loaded]
    plate.origin_m = np.array([np.median(x), np.median(y), 0.0])
    apart = float(np.quantile(np.hypot(x - plate.origin_m[0], y - plate.origin_m[1]), 0.95))
    if apart <= _ORIGIN_M:
        return []
    return [
        f"{text.name}: {plate.name}: its centre of pressure and its moments differ by up to {1e3 * apart:.1f} mm; "
        "the centre of pressure of this trial is that of the moments"
    ]


def _analog(section: _Section) -> list[Analog]:
    return [
        Analog(
            f"{section.names[k]} {section.columns[k]}".strip(),
            section.units[k],
            section.rate_hz,
            np.ascontiguousarray(section.values[:, k]),
        )
        for k in range(2, len(section.columns))
        if not _PLATE.fullmatch(section.names[k])
    ]


def _markers(text: TextFile, section: _Section | None, devices: _Section) -> Markers | None:
    if section is None:
        return None
    if section.first != devices.first:
        raise text.error(
            f"the trajectories start at frame {section.first}, the devices at {devices.first}: export them together"
        )
    names = [name for name in dict.fromkeys(section.names[2:]) if name]
    positions = np.full((len(section.values), len(names), 3), np.nan)
    for index in range(2, len(section.columns)):
        axis = section.columns[index][-1:].lower()
        if section.names[index] and axis in ("x", "y", "z"):
            scale = _length_unit(text, section, index)
            positions[:, names.index(section.names[index]), "xyz".index(axis)] = (
                section.values[:, index] * scale
            )
    return Markers(tuple(names), section.rate_hz, positions)


def _length_unit(text: TextFile, section: _Section, index: int) -> float:
    try:
        return factor("length", section.units[index] or "mm")
    except DataError as error:
        raise text.error(f"column {index + 1} of the trajectories: {error}") from error
