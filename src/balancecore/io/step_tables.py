"""Tables of steps: CSV and Parquet, with the unit and definition of each column beside the numbers.

* Parquet: in the metadata of each field (``unit``, ``definition``, ``nan_when``, ``source``), and under
  ``balancecore_steps`` of the schema the version and the provenance.
* CSV: the first row has the columns' ids, and everything else is in a second file, ``OUT.csv-metadata.json``, by the
  W3C recommendation for metadata of tables on the web (CSVW). A missing number is an empty cell.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from balancecore._version import __version__
from balancecore.errors import MissingExtraError
from balancecore.io._save import new_file
from balancecore.io._write import chosen_format
from balancecore.io.parquet import write_table
from balancecore.schema import COLUMNS, Column

if TYPE_CHECKING:
    from balancecore.steps import StepTable

__all__ = ["METADATA_ENDING", "save_columns", "save_steps", "to_arrow"]

Data = Mapping[str, NDArray[Any]]

METADATA_ENDING = "-metadata.json"
#: Types of XML Schema by the kind of a NumPy type.
_XSD = {"f": "double", "i": "integer", "U": "string", "b": "boolean"}


def save_steps(
    steps: StepTable,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a table of steps; see :meth:`balancecore.StepTable.save`."""
    data = {name: steps[name] for name in steps.columns}
    save_columns(data, COLUMNS, path, key="balancecore_steps", format=format, provenance=provenance)


def save_columns(
    data: Data,
    columns: Sequence[Column],
    path: str | os.PathLike[str],
    *,
    key: str,
    format: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> None:
    """Write columns with what they mean; see :meth:`balancecore.tidy.TidyTable.save`.

    Parameters
    ----------
    data : mapping of str to array (n,)
    columns : sequence of Column
        In the order of `data`.
    path, format, provenance, replace
        As for the method.
    key : str
        Where Parquet's schema keeps version and provenance.
    """
    if chosen_format(path, format, ("csv", "parquet")) == "csv":
        _save_csv(data, columns, Path(path), provenance, replace)
    else:
        _save_parquet(data, columns, path, key, provenance, replace)


def to_arrow(data: Data) -> Any:
    """Copy columns to a ``pyarrow.Table``; needs the extra ``tables``."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("to_arrow needs pyarrow: pip install 'balancecore[tables]'") from error
    return pa.table(
        {
            name: pa.array(array.tolist(), pa.string()) if array.dtype.kind == "U" else pa.array(array)
            for name, array in data.items()
        }
    )


def _save_csv(
    data: Data,
    columns: Sequence[Column],
    path: Path,
    provenance: Mapping[str, Any] | None,
    replace: bool,
) -> None:
    beside = path.with_name(path.name + METADATA_ENDING)
    with new_file(path, replace) as file, new_file(beside, replace) as described:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(data)
        for row in zip(*(array.tolist() for array in data.values()), strict=True):
            writer.writerow("" if value != value else value for value in row)
        text.detach()
        described.write(json.dumps(_csvw(data, columns, path.name, provenance), indent=1).encode())


def _csvw(
    data: Data, columns: Sequence[Column], name: str, provenance: Mapping[str, Any] | None
) -> dict[str, Any]:
    described = [
        {
            "name": c.id,
            "titles": c.id,
            "datatype": _XSD[data[c.id].dtype.kind],
            "dc:description": c.definition,
            "balancecore:unit": c.unit,
            "balancecore:nan_when": c.nan_when,
            "dc:source": c.source,
        }
        for c in columns
    ]
    return {
        "@context": ["http://www.w3.org/ns/csvw", {"balancecore": "urn:balancecore:"}],
        "url": name,
        "tableSchema": {"columns": described},
        "balancecore:version": __version__,
        "balancecore:provenance": None if provenance is None else dict(provenance),
    }


def _save_parquet(
    data: Data,
    columns: Sequence[Column],
    path: str | os.PathLike[str],
    key: str,
    provenance: Mapping[str, Any] | None,
    replace: bool,
) -> None:
    table = to_arrow(data)
    notes = {"version": __version__, "provenance": None if provenance is None else dict(provenance)}
    schema = table.schema
    for k, c in enumerate(columns):
        about = {"unit": c.unit, "definition": c.definition, "nan_when": c.nan_when, "source": c.source}
        schema = schema.set(k, schema.field(k).with_metadata(about))
    with new_file(path, replace) as file:
        write_table(table.cast(schema.with_metadata({key: json.dumps(notes)})), file)
