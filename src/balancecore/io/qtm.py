"""QTM force export: one file a plate, a header of ``KEY<tab>VALUE`` lines with the plate's geometry, then the table.

QTM writes tabs (``NAME_f_1.tsv``); the same text with commas or semicolons, as a spreadsheet saves it, is read as well,
decimal commas included. Its other exports begin alike and are named by their DATA_INCLUDED (Qualisys, QTM user guide,
"Motion data" and "Analog data"); of these, analog channels are a table for ``columns=`` and ``rig=``.

The header names no unit: forces are in N, moments in N·m, positions in mm. Forces are those *on the plate* in
lab axes, so all six channels are negated for the reaction. Moments are about the sensor's origin, which lies

* across: at the corners' centre less FORCE_PLATE_OFFSET_X and _Y along the plate's own axes (for a plate
whose x is
  the lab's -x and whose y is the lab's y: the centre plus (OFFSET_X, -OFFSET_Y));
* below the top surface by OFFSET_Z = oz.

They are moved up to the surface, M'x = Mx + Fy·oz and M'y = My - Fx·oz, so that the centre of pressure is
that of the file's own COP columns. Plates are told apart by FORCE_PLATE_NAME; which foot ran on which is not
in the file.
"""

from __future__ import annotations

import dataclasses
import math
import os

import numpy as np

from balancecore.errors import DataError
from balancecore.io import _clock
from balancecore.io._columns import cop_note
from balancecore.io._file import FileBytes, TextFile, decode
from balancecore.io._record import FloatArray, Options, RawFile, RawPlate
from balancecore.io._table import Dialect, find_table, read_rows
from balancecore.io.delimited import read_table

__all__ = ["begins_as_qtm", "is_qtm", "is_qtm_analog", "read_qtm", "read_qtm_analog"]

_HEADER_LINES, _HEADER_BYTES = 200, 1 << 16
_MARKS = ("\t", ";", ",")
_FIRST = ("NO_OF_SAMPLES", "FILE_VERSION")
#: How the exports that hold no forces begin.
_OTHERS = ("NO_OF_FRAMES", "TOT_NO_OF_CHAN")
_TABLE = ("Force_X", "Force_Y", "Force_Z", "Moment_X", "Moment_Y", "Moment_Z")
#: In the order that `Plate.corners_lab` keeps, with the plate's own axes.
_CORNERS = ("POSX_POSY", "NEGX_POSY", "NEGX_NEGY", "POSX_NEGY")
_MM = 1e-3
#: A surface may slope this much before moving moments straight up is wrong: 1 mm in 1 m.
_LEVEL = 1e-3


def is_qtm(text: TextFile) -> bool:
    """Whether the text starts as a QTM export does."""
    return _mark(text) is not None


def begins_as_qtm(path: str) -> bool:
    """Whether a file can be read and starts as a QTM export does."""
    try:
        # Opening a pipe would wait for somebody to write into it.
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return is_qtm(decode(FileBytes("", "", file.read(_HEADER_BYTES))))
    except (OSError, DataError):
        return False


def is_qtm_analog(text: TextFile) -> bool:
    """Whether the text is a QTM export of analog channels, with no plate in it."""
    entries = _entries(text)
    return entries.get("DATA_INCLUDED", [])[:1] == ["ANALOG"] and "FORCE_PLATE_NAME" not in entries


def _entries(text: TextFile) -> dict[str, list[str]]:
    """What follows each key at the start of a QTM export; nothing if it is none."""
    mark = _mark(text)
    if mark is None:
        return {}
    lines = [Dialect(mark, ".").split(line) for line in text.lines[:_HEADER_LINES]]
    return {fields[0]: fields[1:] for fields in lines if fields}


def read_qtm_analog(text: TextFile, options: Options) -> RawFile:
    """Read a QTM export of analog channels, which only the caller can tell the meaning of.

    Raises
    ------
    DataError
        Neither ``columns=`` nor ``rig=``, or what any table may lack.
    """
    if options.columns is None and options.rig is None:
        raise _without_forces(text, "ANALOG", ", or say with columns= or rig= what the channels are")
    entries = _entries(text)
    table = find_table(text, delimiter=options.delimiter, decimal=options.decimal)
    # The line of names has its key in front, so that it is no header of a table.
    names = [name for name in entries.get("CHANNEL_NAMES", []) if name]
    if len(names) == table.values.shape[1]:
        table = dataclasses.replace(table, names=names)
    rate = (entries.get("FREQUENCY") or [""])[0].replace(",", ".")
    rate_hz = float(rate) if Dialect(None, ".").is_number(rate) else None
    return read_table(text, table, options, header_hz=rate_hz)


def _without_forces(text: TextFile, held: str, advice: str = "") -> DataError:
    return text.error(
        "the header of a QTM export, but no table of forces (Force_X …) after it"
        + (f"; it holds {held[:20]!r}. Export the force data{advice}" if held else "")
    )


def _mark(text: TextFile) -> str | None:
    """What stands between the columns of a QTM export, or None if it is none."""
    for mark in _MARKS:
        keys = [
            line.split(mark)[0].strip(' "') if mark in line else "" for line in text.lines[:_HEADER_LINES]
        ]
        if (
            keys[0] in _FIRST
            or "FORCE_PLATE_NAME" in keys
            or (keys[0] in _OTHERS and "DATA_INCLUDED" in keys)
        ):
            return mark
    return None


def read_qtm(text: TextFile, options: Options) -> RawFile:
    """Read one plate of a QTM force export.

    Raises
    ------
    DataError
        Missing header entries or columns, a table that is cut short, or a plate that is not level.
    """
    if options.columns is not None:
        raise text.error("columns= has no use here: a QTM force file names its columns")
    mark = _mark(text) or "\t"
    header, table_line = _header(text, Dialect(mark, "."))
    dialect = _dialect(text, table_line, mark, options.decimal)
    names = dialect.split(text.lines[table_line].rstrip(f"{mark} "))
    if dialect.decimal == ",":
        header = {
            key: (value.replace(",", ".") if dialect.is_number(value) else value, line)
            for key, (value, line) in header.items()
        }
    values = _values(text, header, table_line, names, dialect)
    clock = _clock.settle(
        text,
        values,
        values[:, names.index("TIME")] * options.units.to_si("time") if "TIME" in names else None,
        first_line=table_line + 1,
        given_hz=options.rate_hz,
        header_hz=_number(text, header, "FREQUENCY"),
        resample=options.resample,
    )
    wrench = np.ascontiguousarray(clock.values[:, [names.index(name) for name in _TABLE]])
    wrench[:, :3] *= options.units.to_si("force")
    wrench[:, 3:] *= options.units.to_si("moment")
    plate, notes = _place(text, header, wrench)
    if {"COP_X", "COP_Y"} <= set(names) and plate.corners_m is not None:
        cop = [clock.values[:, names.index(name)] * _MM for name in ("COP_X", "COP_Y")]
        note = cop_note(text.name, plate.wrench, plate.origin_m, *cop)
        notes += [note] if note else []
    return RawFile([plate], clock.rate_hz, "action", None, clock.notes + notes)


_Header = dict[str, tuple[str, int]]


def _header(text: TextFile, dialect: Dialect) -> tuple[_Header, int]:
    """Entries of the header with their lines, and the line of the column names."""
    header: _Header = {}
    for index, line in enumerate(text.lines[:_HEADER_LINES]):
        fields = dialect.split(line)
        if "Force_X" in fields:
            break
        header[fields[0]] = (fields[1] if len(fields) > 1 else "", index)
    else:
        raise _without_forces(text, header.get("DATA_INCLUDED", ("", 0))[0])
    description = header.get("DESCRIPTION", ("", 0))[0].lower()
    if "local" in description:
        raise text.error("the forces are in the plate's own axes: export them in world (lab) coordinates")
    return header, index


def _dialect(text: TextFile, table_line: int, mark: str, decimal: str | None) -> Dialect:
    """The caller's decimal mark, else the first one in any row; between commas there can be no decimal commas."""
    if mark == ",":
        if decimal == ",":
            raise text.error("commas stand between its columns, so that decimal=',' can't be")
        return Dialect(mark, ".")
    marks = (c for line in text.lines[table_line + 1 :] for c in line if c in ".,")
    return Dialect(mark, decimal or next(marks, "."))


def _values(
    text: TextFile, header: _Header, table_line: int, names: list[str], dialect: Dialect
) -> FloatArray:
    absent = [name for name in _TABLE if name not in names]
    if absent:
        raise text.error(f"no column {', '.join(absent)}", line=table_line)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise text.error(f"more than one column is called {repeated[0]!r}", line=table_line)
    count = len(text.lines) - table_line - 1
    wanted = _number(text, header, "NO_OF_SAMPLES")
    if count < 1:
        raise text.error("the table has no rows: the file is cut short", line=table_line)
    first = dialect.split(text.lines[table_line + 1])
    # Rows may end with the delimiter.
    width = len(names) + (len(first) == len(names) + 1 and not first[-1])
    values = read_rows(text, table_line + 1, dialect, width)
    if wanted is not None and wanted != count:
        what = "the file is cut short here" if count < wanted else "these are too many"
        raise text.error(
            f"the header says {wanted:g} samples, the table has {count}: {what}", line=len(text.lines) - 1
        )
    return values


def _number(text: TextFile, header: _Header, key: str) -> float | None:
    """A number of the header, or None if the header lacks it."""
    if key not in header:
        return None
    value, line = header[key]
    try:
        number = float(value)
    except ValueError as error:
        raise text.error(f"{key} must be a number, not {value[:30]!r}", line=line) from error
    if not math.isfinite(number):
        raise text.error(f"{key} must be a finite number, not {value[:30]!r}", line=line)
    return number


def _place(text: TextFile, header: _Header, wrench: FloatArray) -> tuple[RawPlate, list[str]]:
    """The plate in the lab, with moments about its origin on the top surface."""
    name = header.get("FORCE_PLATE_NAME", ("", 0))[0]
    keys = [f"FORCE_PLATE_CORNER_{corner}_{axis}" for corner in _CORNERS for axis in "XYZ"]
    keys += [f"FORCE_PLATE_OFFSET_{axis}" for axis in "XYZ"]
    numbers = {key: _number(text, header, key) for key in keys}
    absent = [key for key in keys if numbers[key] is None]
    if len(absent) == len(keys):
        note = f"{text.name}: no plate geometry in the header; moments stay about the sensor's origin"
        return RawPlate(wrench, name=name), [note]
    if absent:
        raise text.error(
            f"the header lacks {absent[0]}" + (f" and {len(absent) - 1} more" if absent[1:] else "")
        )
    geometry = np.array([numbers[key] for key in keys], dtype=np.float64) * _MM
    corners, offset = geometry[:12].reshape(4, 3), geometry[12:]
    along_x, along_y = _plate_axes(text, corners)
    centre = corners.mean(axis=0)
    origin = centre - offset[0] * along_x - offset[1] * along_y
    at_surface = wrench.copy()
    at_surface[:, 3] += wrench[:, 1] * offset[2]
    at_surface[:, 4] -= wrench[:, 0] * offset[2]
    return RawPlate(at_surface, frozenset(), name, origin, corners), []


def _plate_axes(text: TextFile, corners: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit vectors of the plate's x and y in the lab, from its corners."""
    sides = corners[0] - corners[1], corners[0] - corners[3]
    lengths = [float(np.linalg.norm(side)) for side in sides]
    if min(lengths) < _MM or not all(map(math.isfinite, lengths)):
        raise text.error("the corners of the plate in the header coincide")
    axes = sides[0] / lengths[0], sides[1] / lengths[1]
    if max(abs(axes[0][2]), abs(axes[1][2])) > _LEVEL:
        raise text.error("the corners in the header are not level: sloping plates are not read")
    return axes
