"""OpenSim ``.mot`` and ``.sto``: a header up to ``endheader``, then a table of ground forces.

Ground forces act on the body, in N and N·m. The centre of pressure is in m and the torque is the free one
about it, so the moments about the lab's origin are M = p x F + T. Columns called ``ground_force_*`` are in
OpenSim's ground frame, x forward, y up, z to the right; other names say nothing about the axes, which are
then taken as they are.
"""

from __future__ import annotations

import re

from balancecore.io._file import TextFile
from balancecore.io._record import Options, RawFile
from balancecore.io._table import find_table
from balancecore.io.delimited import read_table

__all__ = ["is_opensim", "read_opensim"]

#: Right, forward and up in OpenSim's ground frame.
GROUND_AXES = ("z", "x", "y")
_HEADER_LINES = 1000
_END = re.compile(r"\s*endheader\s*", re.IGNORECASE)
_SIZE = re.compile(
    r"\s*(?P<key>nrows|ncolumns|datarows|datacolumns)\s*[=\s]\s*(?P<value>\S+)\s*", re.IGNORECASE
)


def is_opensim(text: TextFile) -> bool:
    """Whether the text has OpenSim's header, or at least the ending of such a file."""
    return _end_of_header(text) is not None or text.suffix in (".mot", ".sto")


def read_opensim(text: TextFile, options: Options) -> RawFile:
    """Read the ground forces of a motion or storage file.

    Raises
    ------
    DataError
        Header without end, sizes that differ from the header's, or what any table may lack.
    """
    end = _end_of_header(text)
    if end is None:
        raise text.error("an OpenSim file has a header that ends with 'endheader', and this one has none")
    sizes = _sizes(text, end)
    if end + 1 >= len(text.lines):
        raise text.error("the file ends with its header: it is cut short", line=end)
    table = find_table(text, delimiter=options.delimiter, decimal=options.decimal, start=end + 1)
    rows, columns = table.values.shape
    if sizes.get("columns", columns) != columns:
        raise text.error(
            f"the header says {sizes['columns']} columns, the table has {columns}", line=table.first_line
        )
    if sizes.get("rows", rows) != rows:
        what = "it is cut short" if rows < sizes["rows"] else "it has too many"
        raise text.error(
            f"the header says {sizes['rows']} rows, the table has {rows}: {what}", line=len(text.lines) - 1
        )
    return read_table(text, table, options, ground_axes=GROUND_AXES)


def _end_of_header(text: TextFile) -> int | None:
    for index, line in enumerate(text.lines[:_HEADER_LINES]):
        if _END.fullmatch(line):
            return index
    return None


def _sizes(text: TextFile, end: int) -> dict[str, int]:
    sizes = {}
    for index, line in enumerate(text.lines[:end]):
        hit = _SIZE.fullmatch(line)
        if hit:
            if not re.fullmatch(r"\d{1,12}", hit["value"], re.ASCII):
                raise text.error(
                    f"{hit['key']} must be a whole number, not {hit['value'][:30]!r}", line=index
                )
            sizes["rows" if "rows" in hit["key"].lower() else "columns"] = int(hit["value"])
    return sizes
