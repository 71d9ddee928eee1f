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
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancecore._version import __version__
from balancecore.io._save import new_file
from balancecore.io._write import chosen_format
from balancecore.io.parquet import write_table
from balancecore.schema import COLUMNS

if TYPE_CHECKING:
    from balancecore.steps import StepTable

__all__ = ["save_steps"]

_KEY = "balancecore_steps"
_METADATA_ENDING = "-metadata.json"
_XSD = {"float64": "double", "int64": "integer", "<U1": "string"}


def save_steps(
    steps: StepTable,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a table of steps; see :meth:`balancecore.StepTable.save`."""
    if chosen_format(path, format, ("csv", "parquet")) == "csv":
        _save_csv(steps, Path(path), provenance)
    else:
        _save_parquet(steps, path, provenance)


def _save_csv(steps: StepTable, path: Path, provenance: Mapping[str, Any] | None) -> None:
    beside = path.with_name(path.name + _METADATA_ENDING)
    with new_file(path) as file, new_file(beside) as described:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(steps.columns)
        for step in steps:
            writer.writerow("" if value != value else value for value in step.values())
        text.detach()
        described.write(json.dumps(_csvw(path.name, provenance), indent=1).encode())


def _csvw(name: str, provenance: Mapping[str, Any] | None) -> dict[str, Any]:
    columns = [
        {
            "name": c.id,
            "titles": c.id,
            "datatype": _XSD[c.dtype],
            "dc:description": c.definition,
            "balancecore:unit": c.unit,
            "balancecore:nan_when": c.nan_when,
            "dc:source": c.source,
        }
        for c in COLUMNS
    ]
    return {
        "@context": ["http://www.w3.org/ns/csvw", {"balancecore": "urn:balancecore:"}],
        "url": name,
        "tableSchema": {"columns": columns},
        "balancecore:version": __version__,
        "balancecore:provenance": None if provenance is None else dict(provenance),
    }


def _save_parquet(
    steps: StepTable, path: str | os.PathLike[str], provenance: Mapping[str, Any] | None
) -> None:
    table = steps.to_arrow()
    notes = {"version": __version__, "provenance": None if provenance is None else dict(provenance)}
    schema = table.schema
    for k, c in enumerate(COLUMNS):
        about = {"unit": c.unit, "definition": c.definition, "nan_when": c.nan_when, "source": c.source}
        schema = schema.set(k, schema.field(k).with_metadata(about))
    with new_file(path) as file:
        write_table(table.cast(schema.with_metadata({_KEY: json.dumps(notes)})), file)
