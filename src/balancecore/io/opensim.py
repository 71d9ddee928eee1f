"""OpenSim ``.mot`` and ``.sto``: a header up to ``endheader``, then a table of ground forces.

Read from any make, and written, one set of columns a plate: ``ground_force_1_vx`` … (force), ``ground_force_1_px``
… (point) and ``ground_torque_1_x`` … (torque about that point). Under load the point is the centre of pressure and
the torque the free moment; below `COP_MIN_N` there is no such point, so it is the plate's origin with the moments
about it: the same load either way. A header line ``balancecore_trial=`` keeps names, sides, corners and provenance.

Ground forces act on the body, in N and N·m. The centre of pressure is in m and the torque is the free one
about it, so the moments about the lab's origin are M = p x F + T. Columns called ``ground_force_*`` are in
OpenSim's ground frame, x forward, y up, z to the right; other names say nothing about the axes, which are
then taken as they are.
"""

from __future__ import annotations

import dataclasses
import re
from typing import BinaryIO

import numpy as np

from balancecore.errors import DataError
from balancecore.io import _own
from balancecore.io._file import TextFile
from balancecore.io._record import FloatArray, Options, RawFile
from balancecore.io._table import Table, find_table
from balancecore.io.delimited import read_table
from balancecore.trial import Plate, Trial

__all__ = ["is_opensim", "read_opensim", "write_mot"]

#: Right, forward and up in OpenSim's ground frame.
GROUND_AXES = ("z", "x", "y")
_HEADER_LINES = 1000
_OWN = f"{_own.KEY}="
#: Columns of a plate as written: force, point and torque, each along x, y and z of the ground.
_WRITTEN = tuple(
    name.replace("*", axis)
    for name in ("ground_force_{0}_v*", "ground_force_{0}_p*", "ground_torque_{0}_*")
    for axis in "xyz"
)
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
    if options.columns is None:
        for line in text.lines[:end]:
            if line.startswith(_OWN):
                return _restore(text, line[len(_OWN) :], table, options)
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


def write_mot(trial: Trial, file: BinaryIO) -> None:
    """Write the ground forces of a trial; analog channels, markers and raw-channel flags have no room here.

    Raises
    ------
    DataError
        A plate without all six channels: OpenSim needs force, point and torque.
    """
    rows = [np.arange(len(trial)) / trial.rate_hz]
    for number, plate in enumerate(trial.plates, 1):
        if plate.missing:
            raise DataError(
                f"plate {number} lacks {', '.join(sorted(plate.missing))}: a .mot file needs all six"
            )
        rows += [part[:, _GROUND] for part in _load(plate)]
    table = np.column_stack(rows)
    names = [name.format(number) for number in range(1, len(trial.plates) + 1) for name in _WRITTEN]
    bare = dataclasses.replace(
        trial,
        plates=tuple(dataclasses.replace(p, saturated=None) for p in trial.plates),
        analog=(),
        markers=None,
    )
    # The header is made of key=value lines, so that the value must not hold another equals sign.
    kept = _own.describe(bare).replace("=", "\\u003d")
    head = (
        f"balancecore\nversion=1\nnRows={len(table)}\nnColumns={table.shape[1]}\ninDegrees=no\n{_OWN}{kept}\n"
        f"endheader\n{chr(9).join(['time', *names])}\n"
    )
    file.write(head.encode())
    file.writelines(("\t".join(map(repr, row)) + "\n").encode() for row in table.tolist())


#: From right, forward, up to the ground frame's x, y and z.
_GROUND = [1, 2, 0]
_LAB = [2, 0, 1]


def _load(plate: Plate) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Force, point and torque about it, in the lab: the same load as the wrench."""
    force, moment = plate.wrench[:, :3], plate.wrench[:, 3:]
    cop = plate.cop
    loaded = np.asarray(np.isfinite(cop).all(axis=1))
    point = np.where(loaded[:, None], cop, plate.origin_m)
    return force, point, moment - _cross(point - plate.origin_m, force)


def _cross(arm: FloatArray, force: FloatArray) -> FloatArray:
    return np.cross(arm, force)


def _restore(text: TextFile, description: str, table: Table, options: Options) -> RawFile:
    """The trial of a written file: moments about each plate's origin again."""
    entries = _own.parse(text, description)
    ground = table.values[:, 1:]
    if ground.shape[1] % len(_WRITTEN):
        raise text.error("columns were added or taken away since balancecore wrote it: use columns=")
    columns: list[FloatArray] = []
    origins = _origins(text, entries, ground.shape[1] // len(_WRITTEN))
    for load, origin in zip(np.split(ground, max(1, len(origins)), axis=1), origins, strict=True):
        force, point, torque = (load[:, k : k + 3][:, _LAB] for k in (0, 3, 6))
        columns += [*force.T, *(torque + _cross(point - origin, force)).T]
    return _own.restore(text, entries, columns, options)


def _origins(text: TextFile, entries: dict[str, object], count: int) -> FloatArray:
    try:
        plates = entries["plates"]
        origins = np.array([plate["origin_m"] for plate in plates], dtype=np.float64)  # type: ignore[attr-defined]
    except (KeyError, TypeError, ValueError) as error:
        raise text.error("what it says of the trial is damaged") from error
    if origins.shape != (count, 3):
        raise text.error(f"it says {len(origins)} plates but has columns of {count}")
    return origins
