"""AMTI NetForce text: six numbers a plate and row, ``Fx Fy Fz Mx My Mz`` in N and N·m, and nothing else.

It is an empty line, then rows of numbers with five decimals between commas (as in the exports beside the R package
BalanceMate, whose reader also has the order of the columns, and in the jump of docs/data.md).
Rate, axes and sign are not in it: the rate is the caller's, and axes and sign
are taken as with any table.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from balancecore.io._file import TextFile
from balancecore.io._record import Options, RawFile
from balancecore.io._table import find_table
from balancecore.io.delimited import read_table
from balancecore.trial import CHANNELS

__all__ = ["FORMAT", "is_netforce", "read_netforce"]

#: What ``format=`` calls it.
FORMAT = "netforce"
_WIDTH = len(CHANNELS)
_ROW = re.compile(r" *-?\d{1,6}\.\d{5}((?:, +-?\d{1,6}\.\d{5})*)", re.ASCII)
_LOOKED_AT = 20
#: Steps of times with five decimals are alike to this.
_STEP_S = 1.5e-5


def is_netforce(text: TextFile) -> bool:
    """Whether the text is written as NetForce writes it: nothing else tells six nameless columns from any others."""
    rows = [_ROW.fullmatch(line) for line in text.lines[1 : 1 + _LOOKED_AT]]
    return (
        not text.lines[0].strip()
        and bool(rows)
        and all(row and _columns(row) % _WIDTH == 0 for row in rows)
        and not _is_time([float(line.split(",", 1)[0]) for line in text.lines[1 : 1 + _LOOKED_AT]])
    )


def _is_time(column: list[float]) -> bool:
    """Whether a column rises by equal steps, as no force does."""
    steps = np.diff(column)
    return len(steps) > 1 and steps.min() > 0.0 and float(np.ptp(steps)) < _STEP_S


def _columns(row: re.Match[str]) -> int:
    return 1 + row[1].count(",")


def read_netforce(text: TextFile, options: Options) -> RawFile:
    """Read what NetForce exported as text; with ``columns=`` these say what the columns are.

    Raises
    ------
    DataError
        Names above the table, columns that are no whole number of plates, or no ``rate_hz=``.
    """
    table = find_table(text, delimiter=options.delimiter, decimal=options.decimal)
    if options.columns is not None:
        return read_table(text, table, options)
    if table.names is not None:
        raise text.error(f"format={FORMAT!r} is for columns without names; these have some: leave it out")
    width = table.values.shape[1]
    if width % _WIDTH:
        raise text.error(f"AMTI NetForce text has {_WIDTH} columns a plate, this has {width}")
    if options.rate_hz is None:
        raise text.error("AMTI NetForce text does not say its rate: pass rate_hz=")
    columns = tuple(
        {channel: first + k for k, channel in enumerate(CHANNELS)} for first in range(0, width, _WIDTH)
    )
    raw = read_table(text, table, replace(options, columns=columns))
    raw.notes.append(
        f"{text.name}: read as AMTI NetForce text, {' '.join(CHANNELS)} of each plate; axes= and convention= say "
        "which way they point, which is not in the file"
    )
    return raw
