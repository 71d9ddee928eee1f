"""Which trials a batch has: the files of a folder, or the rows of a table of subjects.

A row of a table is a trial. Its column ``file`` (or ``files``) names the file, or several joined by ``;`` that are
plates of one trial. Columns with the name of an option of :func:`balancecore.analyze_gait` or
:func:`balancecore.read` set that option for the row, an empty cell leaves it. All other columns are labels: subject,
condition, whatever belongs to the trial.

In a folder every file is a trial of its own, except that QTM force exports of one measurement
(``NAME_f_1.tsv``, ``NAME_f_2.tsv``; as ``.csv`` too, if they hold such an export) are its plates.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, TypedDict

import numpy as np

from balancecore.baseline import Method
from balancecore.contacts import Gait
from balancecore.errors import DataError, MissingExtraError
from balancecore.gait import PoiRule
from balancecore.inspection import Reading
from balancecore.io._file import decode, load
from balancecore.io.netforce import FORMAT as NETFORCE
from balancecore.io.qtm import begins_as_qtm
from balancecore.io.step_tables import METADATA_ENDING
from balancecore.markup import harmless
from balancecore.overground import Surface

__all__ = [
    "ENDINGS",
    "READING",
    "Analysis",
    "Settings",
    "TrialSpec",
    "of_folder",
    "of_table",
    "plain_cell",
    "tables_of",
    "typed_column",
]

#: Endings of files in a folder that are tried; a table may name any file.
ENDINGS = (".c3d", ".csv", ".dat", ".mot", ".npy", ".parquet", ".sto", ".tdms", ".tsv", ".txt")
#: The folder with the results of single trials ends so.
PARTS_ENDING = ".parts"
#: What such a folder holds; the second is what a killed batch was writing.
_PART = re.compile(r".+\.part|[0-9a-f]{64}\.\d+")
#: Names of files and cells of labels may be this long.
_LONGEST = 300
_QTM_PLATE = re.compile(r"(?P<trial>.+)_f_(?P<plate>\d{1,3})\.(?P<ending>tsv|csv)", re.IGNORECASE)
#: A number as a program writes it: "007" is a name.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


class Analysis(TypedDict, total=False):
    """The options of :func:`balancecore.analyze_gait` that are a trial's own."""

    mass_kg: float | None
    speed_m_s: float | None
    incline_deg: float
    leg_length_m: float | None
    level_n: float | Literal["auto"]
    level_bw: float | None
    cutoff_hz: float | None
    timing_cutoff_hz: float | None
    baseline: Method
    gait: Gait
    first_side: Literal["L", "R"] | None
    poi: PoiRule
    n_boot: int
    seed: int
    mdc95: Mapping[str, float] | None
    surface: Surface
    online: bool


class Settings(Reading, Analysis, total=False):
    """The options of :func:`balancecore.read` and of :func:`balancecore.analyze_gait` in one."""


READING: tuple[str, ...] = tuple(Reading.__annotations__)


@dataclass(frozen=True)
class TrialSpec:
    """One trial of a batch.

    Attributes
    ----------
    paths : tuple of str
        Its files, to be opened from any folder.
    names : tuple of str
        Its files as tables show them: below the batch's folder, never with what is above it.
    settings : dict
        Options of the analysis and of the reading, for this trial alone.
    cells : dict
        The other columns of its row, and the settings as they were written.
    error : str
        Why it can't be tried, or nothing.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    settings: dict[str, Any]
    cells: dict[str, Any]
    error: str = ""


# --------------------------------------------------------------------------------------------------- a folder


def tables_of(out: Path) -> tuple[Path, Path, Path]:
    """The tables of a batch: its trials, its steps, its comparison of conditions."""
    steps, conditions = (out.with_name(f"{out.stem}_{what}{out.suffix}") for what in ("steps", "conditions"))
    return out, steps, conditions


def of_folder(folder: Path, leave_out: Iterable[Path] = ()) -> tuple[list[TrialSpec], list[str]]:
    """Every file below a folder as a trial, sorted by name; and the names of those with other endings.

    Parameters
    ----------
    folder : Path
        Searched with what is below it, but for hidden folders and those that links lead to.
    leave_out : iterable of Path
        Files and folders without recordings: what this batch writes.

    Notes
    -----
    Tables of an earlier batch are left out as well: files with their metadata beside them, and the names that belong to
    a folder of parts.
    """
    own = {os.path.abspath(path) for path in leave_out}
    tried: list[str] = []
    others: list[str] = []
    for where, folders, files in os.walk(folder):
        of_parts = [f for f in folders if _holds_parts(os.path.join(where, f))]
        tables = _written(files, of_parts)
        folders[:] = [
            f
            for f in folders
            if not f.startswith(".") and f not in of_parts and _absolute(where, f) not in own
        ]
        for name in files:
            if not name.startswith(".") and name not in tables and _absolute(where, name) not in own:
                (tried if name.lower().endswith(ENDINGS) else others).append(os.path.join(where, name))
    trials: dict[tuple[str, ...], list[tuple[int, str]]] = {}
    for path in sorted(tried, key=lambda path: PurePath(os.path.relpath(path, folder)).parts):
        plate = _QTM_PLATE.fullmatch(os.path.basename(path))
        own_key = (
            (path,) if plate is None else (os.path.dirname(path), plate["trial"], plate["ending"].lower())
        )
        trials.setdefault(own_key, []).append((0 if plate is None else int(plate["plate"]), path))
    specs = []
    for key, members in trials.items():
        paths = [os.path.abspath(path) for _, path in sorted(members)]
        # Anybody's CSV may be called so. One export is enough: a damaged plate must not leave the others as a trial.
        is_csv_of_others = key[-1] == "csv" and not any(map(begins_as_qtm, paths))
        apart = is_csv_of_others or len({plate for plate, _ in members}) < len(members)
        for together in [[path] for path in paths] if apart else [paths]:
            names = tuple(_shown(path, folder) for path in together)
            specs.append(TrialSpec(tuple(together), names, {}, {}))
    specs.sort(key=lambda spec: PurePath(spec.names[0]).parts)
    return specs, sorted(_shown(path, folder) for path in others)


def _absolute(where: str, name: str) -> str:
    return os.path.abspath(os.path.join(where, name))


def _holds_parts(folder: str) -> bool:
    """Whether a folder is one of parts: by its name alone it could hold recordings."""
    if not folder.endswith(PARTS_ENDING):
        return False
    try:
        return all(_PART.fullmatch(name) for name in os.listdir(folder))
    except OSError:
        return True  # nothing in it can be read anyway


def _written(files: Iterable[str], folders_of_parts: Iterable[str]) -> set[str]:
    """Those files of a folder that balancecore wrote as tables, and their metadata."""
    known = set(files)
    described = {name for name in known if name + METADATA_ENDING in known}
    tables = {name + METADATA_ENDING for name in described} | described
    for folder in folders_of_parts:
        tables |= {path.name for path in tables_of(Path(folder.removesuffix(PARTS_ENDING)))}
    return tables


def _shown(path: str, folder: Path) -> str:
    """A file's name below the folder, with slashes; of a file elsewhere the bare name."""
    try:
        below = PurePath(os.path.relpath(path, folder))
        parts = below.parts if ".." not in below.parts else below.parts[-1:]
    except ValueError:  # another drive
        parts = (PurePath(path).name,)
    # A name that isn't UTF-8 has no place in a table.
    text = os.fsencode("/".join(parts)).decode("utf-8", "backslashreplace")
    return harmless(text, _LONGEST)


# ---------------------------------------------------------------------------------------------------- a table


def of_table(table: Any, folder: Path | None) -> list[TrialSpec]:
    """Every row of a table as a trial.

    Parameters
    ----------
    table : path, DataFrame, Arrow table, or sequence of mappings
        CSV (comma, semicolon or tab) or Parquet; or rows in memory.
    folder : Path or None
        Where its files are; default: beside the table, or the current folder.

    Raises
    ------
    DataError
        A table that can't be read, has no column ``file``, or a number without a unit (``mass``).
    """
    rows, beside = _rows(table)
    if not rows:
        raise DataError("the table of subjects has no rows")
    names = list(dict.fromkeys(name for row in rows for name in row))
    named = [name for name in ("file", "files") if name in names]
    if len(named) != 1:
        raise DataError("the table of subjects needs one column called 'file' (or 'files')")
    labels = _labels(names, rows, named[0])
    where = beside if folder is None else folder
    return [_spec(row, named[0], labels, where) for row in rows]


def _rows(table: Any) -> tuple[list[dict[str, Any]], Path]:
    if isinstance(table, (str, os.PathLike)):
        path = Path(table)
        return (_parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path)), path.parent
    if hasattr(table, "to_pylist"):
        records = table.to_pylist()
    elif hasattr(table, "to_dict") and hasattr(table, "columns"):
        records = table.to_dict("records")
    elif isinstance(table, Sequence) and all(isinstance(row, Mapping) for row in table):
        records = table
    else:
        raise DataError(
            f"a batch takes a folder, a table of subjects (a CSV or Parquet file, a DataFrame) or a list of "
            f"mappings, not {type(table).__name__}"
        )
    return [{str(name): plain_cell(cell) for name, cell in row.items()} for row in records], Path()


def _csv_rows(path: Path) -> list[dict[str, Any]]:
    text = decode(load(path))
    marks = {mark: text.lines[0].count(mark) for mark in "\t;,"}
    delimiter = max(marks, key=lambda mark: marks[mark])
    reader = csv.reader(io.StringIO("\n".join(text.lines)), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader)]
        if len(set(header)) != len(header):
            raise text.error("two columns have the same name", line=0)
        rows = []
        for cells in reader:
            if len(cells) > len(header):
                raise text.error(
                    f"this row has {len(cells)} cells, the header {len(header)}", line=reader.line_num - 1
                )
            if any(cell.strip() for cell in cells):
                rows.append(
                    {n: c.strip() or None for n, c in zip(header, cells, strict=False)}
                    | dict.fromkeys(header[len(cells) :])
                )
    except csv.Error as error:
        raise text.error(f"not a table of cells: {error}", line=reader.line_num - 1) from error
    if delimiter == ";":
        return [{n: _decimal_point(c) for n, c in row.items()} for row in rows]
    return rows


def _decimal_point(cell: str | None) -> str | None:
    """Tables with semicolons come from places where 71,5 is a number."""
    if cell is not None and _NUMBER.fullmatch(cell.replace(",", ".", 1)):
        return cell.replace(",", ".", 1)
    return cell


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("reading Parquet needs pyarrow: pip install 'balancecore[tables]'") from error
    file = load(path)
    try:
        table = pq.read_table(io.BytesIO(file.data))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file.name}: not a Parquet table") from error
    return [{str(name): plain_cell(cell) for name, cell in row.items()} for row in table.to_pylist()]


def plain_cell(cell: Any) -> Any:
    """A cell as a plain value; None for what stands for nothing."""
    if isinstance(cell, np.generic):
        cell = cell.item()
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(cell, float) and math.isnan(cell):
        return None
    if isinstance(cell, str):
        return cell.strip() or None
    return cell


# -------------------------------------------------------------------------------------------- cells of a row


def _number(cell: Any) -> float:
    if isinstance(cell, bool):
        raise ValueError
    return float(cell)


def _whole(cell: Any) -> int:
    if _number(cell) != int(_number(cell)):
        raise ValueError
    return int(_number(cell))


def _truth(cell: Any) -> bool:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[str(cell).lower()]


def _level(cell: Any) -> float | str:
    return "auto" if str(cell).lower() == "auto" else _number(cell)


def _cutoff(cell: Any) -> float | None:
    return None if str(cell).lower() == "off" else _number(cell)


def _list(cell: Any) -> list[str]:
    return [part.strip() for part in cell.split(",")] if isinstance(cell, str) else [str(c) for c in cell]


#: How a cell becomes an option; `units`, `columns`, `mdc95` and `plate_origin_m` fit in no cell.
_CELLS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        ("mass_kg", "speed_m_s", "incline_deg", "leg_length_m", "level_bw", "timing_cutoff_hz", "rate_hz"),
        _number,
    ),
    "level_n": _level,
    "cutoff_hz": _cutoff,
    **dict.fromkeys(("n_boot", "seed"), _whole),
    **dict.fromkeys(("online", "resample", "plate_zero"), _truth),
    **dict.fromkeys(("baseline", "gait", "first_side", "poi", "surface", "convention"), str),
    **dict.fromkeys(("delimiter", "decimal", "format"), str),
    **dict.fromkeys(("axes", "sides"), _list),
}
#: Names that would pass as labels while they were meant as options.
_NEARLY = {
    "mass": "mass_kg",
    "body_mass": "mass_kg",
    "weight": "mass_kg",
    "speed": "speed_m_s",
    "incline": "incline_deg",
    "leg_length": "leg_length_m",
    "cutoff": "cutoff_hz",
    "rate": "rate_hz",
    "side": "first_side",
}
_SIDES = ("L", "R", "l", "r")
#: Names that people give to labels: these are options only where all cells are values of them.
_ONLY = {"surface": ("auto", "treadmill", "overground"), "format": (NETFORCE,)}


def _labels(names: list[str], rows: list[dict[str, Any]], file: str) -> set[str]:
    """Columns that are no options; a number that lacks its unit is refused rather than passed by."""
    labels = set()
    for name in names:
        if name == file:
            continue
        cells = [row.get(name) for row in rows if row.get(name) is not None]
        if name == "rig":
            raise DataError(
                "the table of subjects has a column 'rig', but a batch takes no rig files: leave it out, or call it "
                "by another name if it is a label"
            )
        if name in _ONLY and any(cell not in _ONLY[name] for cell in cells):
            labels.add(name)  # asphalt and grass: a condition, not the option
        elif name not in _CELLS:
            labels.add(name)
            meant = _NEARLY.get(name.lower())
            if meant and cells and all(_looks_meant(meant, cell) for cell in cells):
                raise DataError(
                    f"the table of subjects has a column {name!r}: call it {meant!r}, or by another name if it "
                    "is a label"
                )
    return labels


def _looks_meant(option: str, cell: Any) -> bool:
    if option == "first_side":
        return cell in _SIDES
    return not isinstance(cell, bool) and _NUMBER.fullmatch(str(cell)) is not None


def _spec(row: Mapping[str, Any], file: str, labels: set[str], folder: Path) -> TrialSpec:
    cells = {name: cell for name, cell in row.items() if name != file}
    given = row.get(file)
    files = [part.strip() for part in given.split(";")] if isinstance(given, str) else given
    if isinstance(files, os.PathLike):
        files = [os.fspath(files)]
    if not isinstance(files, (list, tuple)) or not files or not all(files):
        return TrialSpec((), (), {}, cells, "the row names no file")
    paths = tuple(os.path.abspath(os.path.join(folder, os.fspath(f))) for f in files)
    names = tuple(_shown(path, folder) for path in paths)
    settings = {}
    for name, cell in cells.items():
        if name in labels or cell is None:
            continue
        try:
            settings[name] = _CELLS[name](cell)
        except (ValueError, TypeError, KeyError, OverflowError):
            return TrialSpec(paths, names, {}, cells, f"{name}: {harmless(str(cell))!r} is no value for it")
    return TrialSpec(paths, names, settings, cells)


def typed_column(cells: Sequence[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Cells of a label as an array: whole numbers, numbers with NaN for what is missing, else text."""
    given = [cell for cell in cells if cell is not None]
    if given and all(_is_number(cell) for cell in given):
        numbers = [math.nan if cell is None else float(cell) for cell in cells]
        whole = all(float(n).is_integer() and abs(n) < 2**53 for n in numbers) and len(given) == len(cells)
        return np.array(numbers, dtype=np.int64 if whole else np.float64)
    return np.array(["" if cell is None else harmless(str(cell), _LONGEST) for cell in cells], dtype=np.str_)


def _is_number(cell: Any) -> bool:
    if isinstance(cell, bool):
        return False
    if isinstance(cell, (int, float)):
        return True
    return isinstance(cell, str) and _NUMBER.fullmatch(cell) is not None
