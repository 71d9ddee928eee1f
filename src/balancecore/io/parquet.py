"""Parquet tables, through pyarrow (extra ``tables``).

A table of any make is read as delimited text is: columns are recognised by name, units come from the field's
metadata (``unit``) or the name. A trial that balancecore wrote has one column a channel and everything else under
``balancecore_trial`` in the metadata of the schema (see :mod:`._own`); pages carry check sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from balancecore.errors import DataError, MissingExtraError
from balancecore.io import _own
from balancecore.io._file import MAX_BYTES, FileBytes, TextFile
from balancecore.io._record import FloatArray, Options, RawFile
from balancecore.io._table import Table
from balancecore.io.delimited import read_table

if TYPE_CHECKING:
    from balancecore.trial import Trial

__all__ = ["is_parquet", "read_parquet", "write_parquet", "write_table"]

_MAGIC = b"PAR1"
_OWN = _own.KEY.encode()
#: Sizes that a header may claim: far more than any recording's, far less than what hurts.
_MAX_STRINGS, _MAX_CONTAINERS = 1 << 26, 1 << 20


def is_parquet(file: FileBytes) -> bool:
    """Whether the bytes are a Parquet file."""
    return file.data.startswith(_MAGIC)


def read_parquet(file: FileBytes, options: Options) -> RawFile:
    """Read a table or a written trial.

    Raises
    ------
    DataError
        A damaged file, one that would take too much memory, or what any table may lack.
    MissingExtraError
        Without pyarrow.
    """
    pa, pq = _pyarrow("reading Parquet")
    text = TextFile(file.name, file.suffix, [], "row")
    try:
        opened = pq.ParquetFile(
            pa.BufferReader(file.data),
            page_checksum_verification=True,
            thrift_string_size_limit=_MAX_STRINGS,
            thrift_container_size_limit=_MAX_CONTAINERS,
        )
        _refuse_size(text, opened.metadata)
        table = opened.read(use_threads=False)
        metadata = table.schema.metadata or {}
        if _OWN in metadata and options.columns is None:
            entries = _own.parse(text, metadata[_OWN].decode())
            return _own.restore(text, entries, [_numbers(c) for c in table.columns[1:]], options)
        found = _table(text, pa, table)
    except DataError:
        raise
    # Arrow reports damage by errors of many kinds.
    except (pa.ArrowException, OSError, ValueError, ArithmeticError, LookupError, TypeError) as error:
        raise text.error("the Parquet file is damaged or cut short") from error
    return read_table(text, found, options)


def write_parquet(trial: Trial, file: BinaryIO) -> None:
    """Write a trial: a time column, then the columns of :mod:`._own`, each with its unit and rate."""
    pa, _ = _pyarrow("writing Parquet")
    columns = _own.columns_of(trial)
    rows = max(len(column.values) for column in columns)
    fields = [pa.field("time", pa.float64(), metadata={"unit": "s"})]
    arrays = [pa.array(np.arange(rows) / trial.rate_hz)]
    for column, label in zip(columns, _own.unique_labels(columns, lambda c: c.label), strict=True):
        metadata = {"unit": column.unit.encode(errors="replace"), "rate_hz": repr(float(column.rate_hz))}
        fields.append(pa.field(label, pa.float64(), metadata=metadata))
        values = np.full(rows, np.nan)
        values[: len(column.values)] = column.values
        arrays.append(pa.array(values, mask=np.arange(rows) >= len(column.values)))
    schema = pa.schema(fields, metadata={_OWN: _own.describe(trial)})
    write_table(pa.Table.from_arrays(arrays, schema=schema), file)


def write_table(table: Any, file: BinaryIO) -> None:
    """Write an Arrow table so that damage to it will show."""
    pa, pq = _pyarrow("writing Parquet")
    pq.write_table(table, pa.PythonFile(file, mode="w"), write_page_checksum=True)


def _pyarrow(what: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(f"{what} needs pyarrow: pip install 'balancecore[tables]'") from error
    return pyarrow, pyarrow.parquet


def _refuse_size(text: TextFile, metadata: Any) -> None:
    """A few bytes may stand for billions of equal numbers: count them before they are made."""
    if metadata.num_rows < 1 or metadata.num_columns < 1:
        raise text.error("the table has no rows or no columns")
    claimed = 8 * metadata.num_rows * metadata.num_columns
    if claimed > MAX_BYTES:
        raise text.error(
            f"its table would take {claimed / 1e9:.1f} GB, more than the {MAX_BYTES / 1e9:.1f} GB read"
        )


def _table(text: TextFile, pa: Any, table: Any) -> Table:
    """The columns of numbers, with the units that their fields name."""
    kept = [k for k, field in enumerate(table.schema) if _is_number(pa, field.type)]
    if not kept:
        raise text.error("no column of numbers in this table")
    names = [table.schema.field(k).name for k in kept]
    units = [(table.schema.field(k).metadata or {}).get(b"unit", b"").decode() or None for k in kept]
    return Table(np.column_stack([_numbers(table.column(k)) for k in kept]), names, units, 0)


def _is_number(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _numbers(column: Any) -> FloatArray:
    """Values as float64; what is null is NaN."""
    return np.asarray(column.cast("float64", safe=False).to_numpy(), dtype=np.float64)
