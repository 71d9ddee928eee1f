"""Kistler BioWare: its text export, and its own ``.dat`` files.

Both hold the force *on the plate* in the plate's axes as Kistler draws them (Force Plate Formulae, 03.02.99): y in
the direction of walking, z down, so x to the left. The reaction to the right, forward and up is (Fx, -Fy, Fz), and
of the moments (Mx, -My, Mz), as on the same sheet. Which way the subject really faced is not in the file, so that
left is not told from right unless ``axes=`` says so. The numbers as printed are those of ``convention="reaction",
axes=("x", "y", "z")``.

In the text Mx and My are about the origin on the top surface: the columns Ax and Ay (centre of pressure) and Tz (free
moment) follow from them. The eight channels of the transducers become analog channels. If only these were exported,
forces are their sums, but moments need the transducers' places, which the text does not have:
see :func:`balancecore.plates.kistler`.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from balancecore.io._file import TextFile
from balancecore.io._record import Options, RawFile
from balancecore.io._table import Table, find_table
from balancecore.io.delimited import read_table

__all__ = ["AXES", "is_bioware", "read_bioware"]

#: Right, forward and up in Kistler's axes.
AXES = ("-x", "y", "-z")
_FIRST = re.compile(r"BioWare\b.*", re.IGNORECASE)
_HEADER_LINES = 40
_COP = {"ax": "COPx", "ay": "COPy"}
#: What each force is the sum of.
_SUMS = {"Fx": ("fx12", "fx34"), "Fy": ("fy14", "fy23"), "Fz": ("fz1", "fz2", "fz3", "fz4")}


def is_bioware(text: TextFile) -> bool:
    """Whether the text starts as an export of BioWare does."""
    return _FIRST.match(text.lines[0]) is not None


def read_bioware(text: TextFile, options: Options) -> RawFile:
    """Read a text export.

    Raises
    ------
    DataError
        A header that contradicts itself or the table, or what any table may lack.
    """
    table = find_table(text, delimiter=options.delimiter, decimal=options.decimal)
    rate = _one_number(text, "Rate (Hz)")
    samples = _one_number(text, "Samples (#)")
    if samples is not None and samples != len(table.values):
        what = "the file is cut short" if len(table.values) < samples else "these are too many"
        raise text.error(
            f"the header says {samples:g} samples, the table has {len(table.values)}: {what}",
            line=len(text.lines) - 1,
        )
    notes: list[str] = []
    if options.columns is None and table.names is not None:
        table, notes = _named(text, table)
    axes = options.axes or AXES
    # The vertical is looked for in the axes that will be used.
    raw = read_table(text, table, dataclasses.replace(options, axes=axes), header_hz=rate)
    return dataclasses.replace(
        raw, convention="action", axes=axes, lateral_known=False, notes=raw.notes + notes
    )


def _one_number(text: TextFile, key: str) -> float | None:
    """A number that the header gives for every column, or None; it must be one and the same."""
    for index, line in enumerate(text.lines[:_HEADER_LINES]):
        fields = [field.strip() for field in line.split("\t")]
        if fields[0].rstrip(":").strip().lower() != key.lower():
            continue
        stated = {field for field in fields[1:] if field}
        try:
            numbers = {float(field.replace(",", ".")) for field in stated}
        except ValueError as error:
            raise text.error(f"{key} must be numbers", line=index) from error
        if len(numbers) > 1:
            raise text.error(f"{key} differs between the columns: export devices of one rate", line=index)
        return numbers.pop() if numbers else None
    return None


def _named(text: TextFile, table: Table) -> tuple[Table, list[str]]:
    """The table with names that tell plates and centre of pressure, and forces where only their parts are there."""
    assert table.names is not None
    plate = _plate_numbers(text, len(table.names))
    names = [
        f"{_COP.get(name.strip().lower(), name.strip())}{mark}"
        for name, mark in zip(table.names, plate, strict=True)
    ]
    values, units, notes = [table.values], list(table.units), []
    lower = [name.lower() for name in names]
    for mark in sorted(set(plate)):
        for force, parts in _SUMS.items():
            wanted = [part + mark for part in parts]
            if (force + mark).lower() in lower or not set(wanted) <= set(lower):
                continue
            held = [lower.index(part) for part in wanted]
            names.append(force + mark)
            units.append(table.units[held[0]])
            values.append(table.values[:, held].sum(axis=1, keepdims=True))
            if force == "Fz":
                notes.append(
                    f"{text.name}: forces are sums of the transducers' channels; moments need the places of the "
                    "transducers (balancecore.plates.kistler)"
                )
    return Table(np.hstack(values), names, units, table.first_line), notes


def _plate_numbers(text: TextFile, width: int) -> list[str]:
    """Which plate a column is of, "1", "2" …; "" where there is one plate only."""
    for line in text.lines[:_HEADER_LINES]:
        fields = [field.strip() for field in line.split("\t")]
        if fields[0].rstrip(":").lower() == "device" and len(fields) >= width:
            devices = list(dict.fromkeys(field for field in fields[1:width] if field))
            if len(devices) > 1:
                return [str(devices.index(f) + 1) if f in devices else "" for f in fields[:width]]
    return [""] * width
