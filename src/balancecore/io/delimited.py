"""Delimited text: comma, semicolon, tab or space; whatever its header says, or the caller.

Comma-separated text is also what a trial is written to: a first line ``# balancecore_trial {…}`` with everything
but the numbers (see :mod:`._own`), a line of names with units, and one row a frame, the time first. Channels of
another rate fill the first rows of their column, and ``nan`` the rest.
"""

from __future__ import annotations

import csv
import io
import itertools
from typing import BinaryIO

import numpy as np

from balancecore.io import _clock, _own
from balancecore.io._columns import Layout, cop_note, make_layout, make_plates, other_columns
from balancecore.io._file import TextFile
from balancecore.io._record import FloatArray, Options, RawFile, RawPlate
from balancecore.io._rigged import read_rigged
from balancecore.io._table import Dialect, Table, find_table, read_rows
from balancecore.trial import Trial

__all__ = ["is_own_csv", "read_delimited", "read_own_csv", "read_table", "write_csv"]

_OWN = f"# {_own.KEY} "
_COMMAS = Dialect(",", ".")


def read_delimited(text: TextFile, options: Options) -> RawFile:
    """Read a table whose format is only known by its header and the options.

    The convention is the reaction and the axes are taken as they are, unless the caller says otherwise:
    nothing in such a file defines them. Where a plate has a centre of pressure but no moments, the moments
    are made of it, about the lab's origin (see :func:`balancecore.read`).
    """
    table = find_table(text, delimiter=options.delimiter, decimal=options.decimal)
    return read_table(text, table, options)


def read_table(
    text: TextFile,
    table: Table,
    options: Options,
    *,
    ground_axes: tuple[str, str, str] | None = None,
    header_hz: float | None = None,
) -> RawFile:
    """Turn a table of any format into plates, and the columns that are no plate's into analog channels.

    Parameters
    ----------
    ground_axes : tuple of 3 str, optional
        Axes of columns that are named as in OpenSim's ground frame.
    header_hz : float, optional
        Rate that the format states.
    """
    if options.rig is not None:
        return read_rigged(text, table, options, options.rig, header_hz)
    layout = make_layout(text, table, options.columns)
    axes = options.axes or (ground_axes if layout.is_ground else None)
    up = "xyz".index(axes[2].lstrip("+-").lower()) if axes else 2
    clock = _clock.settle(
        text,
        table.values,
        _times(text, table, layout, options),
        first_line=table.first_line,
        given_hz=options.rate_hz,
        header_hz=header_hz,
        resample=options.resample,
    )
    plates = make_plates(text, clock.values, layout, options, up)
    notes = clock.notes + [
        note
        for plate, columns in zip(plates, layout.plates, strict=True)
        if (note := _cop_check(text, clock.values, plate, columns.column, columns.unit, options, up))
    ]
    analog = other_columns(table, layout, clock.values, clock.rate_hz)
    return RawFile(plates, clock.rate_hz, "reaction", axes, notes, analog)


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


def is_own_csv(text: TextFile) -> bool:
    """Whether the text is a trial that balancecore wrote."""
    return text.lines[0].startswith(_OWN)


def read_own_csv(text: TextFile, options: Options) -> RawFile:
    """Read a trial that `write_csv` wrote; with ``columns=`` it is a table as any other."""
    if options.columns is not None:
        return read_delimited(text, options)
    entries = _own.parse(text, text.lines[0][len(_OWN) :])
    if len(text.lines) < 3:
        raise text.error("the file ends with its header: it is cut short", line=len(text.lines) - 1)
    values = read_rows(text, 2, _COMMAS, len(_COMMAS.split(text.lines[1])))
    return _own.restore(text, entries, list(values.T[1:]), options)


def write_csv(trial: Trial, file: BinaryIO) -> None:
    """Write a trial; every number in as many digits as bring it back."""
    columns = _own.columns_of(trial)
    labels = _own.unique_labels(columns, lambda c: f"{c.label} ({c.unit})" if c.unit else c.label)
    times = (np.arange(max(len(c.values) for c in columns)) / trial.rate_hz).tolist()
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    text.write(f"{_OWN}{_own.describe(trial)}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time (s)", *labels])
    writer.writerows(
        itertools.zip_longest(times, *(column.values.tolist() for column in columns), fillvalue=np.nan)
    )
    text.detach()
