"""A table of numbers in text: find it, find out how it is written, and read it fast.

The fast path is NumPy's C reader. Only when that refuses a table are the lines walked one by one, to read
missing values or to say which line and column is wrong.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from balancecore.io._file import TextFile
from balancecore.io._record import FloatArray
from balancecore.io._units import is_unit

#: What exporters write for "no value"; the gap stays in the data as NaN.
_MISSING = frozenset({"", "na", "n/a", "#n/a", "-", "--", "1.#qnan", "-1.#qnan", "-1.#ind", "1.#ind", "null"})
#: No part of these can match the same digits in two ways, so that a long field can't stall the reader.
_NUMBER = {
    mark: re.compile(
        rf"[+-]?(?:(?:\d+(?:{mark}\d{tail})?|{mark}\d+)(?:e[+-]?\d+)?|nan|inf|infinity)",
        re.IGNORECASE | re.ASCII,
    )
    # "1." is a number; "1," is a field and a comma.
    for mark, tail in ((r"\.", "*"), (",", "+"))
}
#: How a table may be written: delimiter (None = white space, also a single column) and decimal mark.
_DIALECTS = (("\t", "."), ("\t", ","), (";", "."), (";", ","), (",", "."), (None, "."), (None, ","))
_SAMPLE_LINES = 80


@dataclass(frozen=True)
class Dialect:
    """Delimiter (None = white space) and decimal mark."""

    delimiter: str | None
    decimal: str

    def split(self, line: str) -> list[str]:
        """Fields of a line, without blanks and quotes around them."""
        if '"' in line:
            try:
                fields = next(csv.reader([line], delimiter=self.delimiter or " ", skipinitialspace=True), [])
            except csv.Error:
                fields = [line]
            return [field.strip() for field in fields]
        if self.delimiter is None:
            return line.split()
        return [field.strip() for field in line.split(self.delimiter)]

    def is_number(self, field: str) -> bool:
        """Whether a field is a number (NaN and infinity included)."""
        return _NUMBER["," if self.decimal == "," else r"\."].fullmatch(field) is not None

    def row_width(self, line: str) -> int:
        """Number of fields if the line is a row of numbers and missing values, else 0."""
        fields = self.split(line)
        numbers = sum(map(self.is_number, fields))
        if not numbers or any(not self.is_number(f) and f.lower() not in _MISSING for f in fields):
            return 0
        return len(fields)


@dataclass(frozen=True)
class Table:
    """Numbers of a file, with the names and units of their columns where the file has them."""

    values: FloatArray
    names: list[str] | None
    units: list[str | None]
    first_line: int
    """0-based index of the line of the first row."""


def find_table(
    text: TextFile, *, delimiter: str | None = None, decimal: str | None = None, start: int = 0
) -> Table:
    """The table of a text with an unknown preamble.

    Parameters
    ----------
    text : TextFile
        The file.
    delimiter, decimal : str, optional
        How the table is written, where the caller knows.
    start : int
        0-based line before which there is no table.

    Raises
    ------
    DataError
        No table, or one with a broken row; the message has the line.
    """
    dialect, width = _sniff(text, start, delimiter, decimal)
    first = _first_row(text, dialect, width, start)
    values = read_rows(text, first, dialect, width)
    names, units = _header(text, dialect, values.shape[1], first, start)
    return Table(values, names, units, first)


def read_rows(text: TextFile, first: int, dialect: Dialect, width: int) -> FloatArray:
    """Rows from line index `first` to the end of the file, all of them `width` columns wide."""
    lines = text.lines[first:]
    delimiter = dialect.delimiter
    if delimiter is not None and all(line.endswith(delimiter) for line in lines):
        # Some exporters end every row with the delimiter: that is no column.
        lines = [line[: -len(delimiter)] for line in lines]
        width = lines[0].count(delimiter) + 1
    plain = _decimal_points(text, first, lines) if dialect.decimal == "," else lines
    try:
        values = np.loadtxt(plain, delimiter=delimiter, comments=None, ndmin=2, dtype=np.float64)
        # NumPy skips blank lines; here they are a defect whose place is worth telling.
        if values.shape == (len(lines), width):
            return values
    except ValueError:
        pass
    return _walk_rows(text, first, lines, dialect, width)


def _walk_rows(text: TextFile, first: int, lines: Sequence[str], dialect: Dialect, width: int) -> FloatArray:
    """The slow way: reads missing values as NaN, and knows the line and column of what is wrong."""
    values = np.empty((len(lines), width))
    for row, line in enumerate(lines):
        if not line.strip():
            raise text.error("an empty line inside the table", line=first + row)
        fields = dialect.split(line)
        if len(fields) != width:
            hint = "; the file is cut short here" if row == len(lines) - 1 and len(fields) < width else ""
            raise text.error(
                f"this row has {len(fields)} column{'s' * (len(fields) != 1)}, the table has {width}{hint}",
                line=first + row,
            )
        for column, field in enumerate(fields):
            if dialect.is_number(field):
                values[row, column] = float(field.replace(",", "."))
            elif field.lower() in _MISSING:
                values[row, column] = np.nan
            else:
                raise text.error(f"column {column + 1}: {_shown(field)} is not a number", line=first + row)
    return values


def _shown(field: str) -> str:
    return repr(field if len(field) <= 30 else field[:30] + "…")


def _decimal_points(text: TextFile, first: int, lines: Sequence[str]) -> list[str]:
    for row, line in enumerate(lines):
        if "." in line:
            raise text.error("decimal commas and points are mixed in this table", line=first + row)
    return [line.replace(",", ".") for line in lines]


def _sniff(text: TextFile, start: int, delimiter: str | None, decimal: str | None) -> tuple[Dialect, int]:
    """The way of writing under which most lines are rows of one width, and that width."""
    lines = [line for line in text.lines[start:] if line.strip()]
    step = max(1, len(lines) // _SAMPLE_LINES)
    sample = lines[::step]
    best: tuple[tuple[int, int], Dialect] | None = None
    for candidate in _DIALECTS:
        if delimiter not in (None, candidate[0] or " ") or decimal not in (None, candidate[1]):
            continue
        dialect = Dialect(*candidate)
        widths = Counter(w for line in sample if (w := dialect.row_width(line)))
        if widths:
            score = max((count, width) for width, count in widths.items())
            if best is None or score > best[0]:
                best = score, dialect
    if best is None:
        raise text.error("no table of numbers found")
    (_, width), dialect = best
    if width == 1:
        # No delimiter was seen, so that none was told apart.
        dialect = Dialect(None, dialect.decimal)
    in_doubt = delimiter is None and decimal is None and (dialect, width) in _IN_DOUBT
    if in_doubt and all(_ONE_COLUMN.row_width(line) for line in sample if dialect.row_width(line)):
        return _two_columns_or_decimals(text, start)
    return dialect, width


_TWO_COLUMNS, _ONE_COLUMN = Dialect(",", "."), Dialect(None, ",")
_IN_DOUBT = ((_TWO_COLUMNS, 2), (_ONE_COLUMN, 1))


def _two_columns_or_decimals(text: TextFile, start: int) -> tuple[Dialect, int]:
    """``329,14``: two columns of whole numbers, or one with decimal commas? A header tells."""
    rows = [k for k in range(start, len(text.lines)) if _ONE_COLUMN.row_width(text.lines[k]) == 1]
    if not any("," in text.lines[k] for k in rows):
        return _ONE_COLUMN, 1
    header = text.lines[rows[0] - 1] if rows[0] > start else ""
    if header.strip():
        return _IN_DOUBT[0] if "," in header else _IN_DOUBT[1]
    raise text.error(
        "commas may separate two columns or mark decimals here: say decimal=',' or delimiter=','",
        line=rows[0],
    )


def _first_row(text: TextFile, dialect: Dialect, width: int, start: int) -> int:
    """Index of the line where the table starts; whatever is above must not look like a broken part of it."""
    rows = [k for k in range(start, len(text.lines)) if text.lines[k].strip()]
    for k, index in enumerate(rows):
        if dialect.row_width(text.lines[index]) != width:
            continue
        if k and rows[k - 1] == index - 1:
            _refuse_broken_first(text, index - 1, dialect, width)
        if k + 1 < len(rows) and dialect.row_width(text.lines[rows[k + 1]]) != width:
            _broken_row(text, rows[k + 1], dialect, width)
        return index
    raise text.error("no table of numbers found")


def _broken_row(text: TextFile, index: int, dialect: Dialect, width: int) -> None:
    _walk_rows(text, index, [text.lines[index]], dialect, width)
    raise text.error("this line breaks the table of numbers", line=index)


def _refuse_broken_first(text: TextFile, index: int, dialect: Dialect, width: int) -> None:
    """A line above the first good row that is half a row is a damaged row, not a header."""
    fields = dialect.split(text.lines[index])
    numbers = sum(map(dialect.is_number, fields))
    if numbers and (numbers == len(fields) or (len(fields) == width and 2 * numbers >= width)):
        _broken_row(text, index, dialect, width)


def _header(
    text: TextFile, dialect: Dialect, width: int, first: int, start: int
) -> tuple[list[str] | None, list[str | None]]:
    """Names from the line above the table, and units from a line between the two."""
    above = [k for k in range(max(start, first - 4), first) if text.lines[k].strip()]
    no_units: list[str | None] = [None] * width
    if not above:
        return None, no_units
    last = _fields_of_header(text.lines[above[-1]], dialect, width)
    if last is not None and len(above) > 1 and any(last) and all(not f or is_unit(f) for f in last):
        names = _fields_of_header(text.lines[above[-2]], dialect, width)
        if names is not None:
            return names, [f or None for f in last]
    return last, no_units


def _fields_of_header(line: str, dialect: Dialect, width: int) -> list[str] | None:
    """Names of `width` columns in a line, or None: a table of spaces may have a header of tabs."""
    candidates = [dialect.split(line)]
    if dialect.delimiter is None:
        candidates += [line.split("\t"), re.split(r"\s{2,}", line.strip())]
    for fields in candidates:
        if dialect.delimiter is not None and len(fields) == width + 1 and not fields[-1]:
            fields = fields[:-1]
        if len(fields) == width and not all(map(dialect.is_number, fields)):
            return [field.strip() for field in fields]
    return None
