"""Delimited text: comma, semicolon, tab or space; whatever its header says, or the caller."""

from __future__ import annotations

import numpy as np

from balancecore.io import _clock
from balancecore.io._columns import Layout, cop_note, make_layout, make_plates
from balancecore.io._file import TextFile
from balancecore.io._record import FloatArray, Options, RawFile, RawPlate
from balancecore.io._table import Table, find_table

__all__ = ["read_delimited", "read_table"]


def read_delimited(text: TextFile, options: Options) -> RawFile:
    """Read a table whose format is only known by its header and the options.

    The convention is the reaction and the axes are taken as they are, unless the caller says otherwise:
    nothing in such a file defines them. Where a plate has a centre of pressure but no moments, the moments
    are made of it, about the lab's origin (see :func:`balancecore.read`).
    """
    table = find_table(text, delimiter=options.delimiter, decimal=options.decimal)
    return read_table(text, table, options)


def read_table(
    text: TextFile, table: Table, options: Options, *, ground_axes: tuple[str, str, str] | None = None
) -> RawFile:
    """Turn a table into plates; `ground_axes` is for columns named as in OpenSim's ground frame."""
    layout = make_layout(text, table, options.columns)
    axes = options.axes or (ground_axes if layout.is_ground else None)
    up = "xyz".index(axes[2].lstrip("+-").lower()) if axes else 2
    clock = _clock.settle(
        text,
        table.values,
        _times(text, table, layout, options),
        first_line=table.first_line,
        given_hz=options.rate_hz,
        resample=options.resample,
    )
    plates = make_plates(text, clock.values, layout, options, up)
    notes = clock.notes + [
        note
        for plate, columns in zip(plates, layout.plates, strict=True)
        if (note := _cop_check(text, clock.values, plate, columns.column, columns.unit, options, up))
    ]
    return RawFile(plates, clock.rate_hz, "reaction", axes, notes)


def _times(text: TextFile, table: Table, layout: Layout, options: Options) -> FloatArray | None:
    if layout.time is None:
        return None
    return np.asarray(table.values[:, layout.time] * options.units.to_si("time", layout.time_unit))


def _cop_check(
    text: TextFile,
    values: FloatArray,
    plate: RawPlate,
    column: dict[str, int],
    unit: dict[str, str | None],
    options: Options,
    up: int,
) -> str | None:
    """Compare a file's moments with its own centre of pressure, where it has both."""
    if up != 2 or not {"Mx", "My", "COPx", "COPy"} <= set(column):
        return None
    cop = [values[:, column[role]] * options.units.to_si("length", unit[role]) for role in ("COPx", "COPy")]
    return cop_note(text.name, plate.wrench, plate.origin_m, *cop)
