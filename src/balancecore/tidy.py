"""Tables of any columns, each with its unit and definition beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancecore.errors import DataError, MissingExtraError
from balancecore.schema import Column

__all__ = ["TidyTable"]


class TidyTable:
    """Named columns of one length, read-only, each with a unit and a definition.

    A missing number is NaN, a missing text is empty.

    Parameters
    ----------
    columns : sequence of Column
        What each column is, in order.
    data : mapping of str to array (n,)
        Its values.

    Examples
    --------
    ``table["tc"]`` is a column, ``table[0]`` a row as a dict, ``len(table)`` the number of rows.
    """

    def __init__(self, columns: Sequence[Column], data: Mapping[str, NDArray[Any]]) -> None:
        self._about = {c.id: c for c in columns}
        self._data = {c.id: np.asarray(data[c.id]) for c in columns}
        lengths = {len(array) for array in self._data.values()}
        if len(self._about) != len(columns) or len(lengths) != 1:
            raise DataError("a table needs columns of one length, each with a name of its own")
        for array in self._data.values():
            array.flags.writeable = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self._data)

    @property
    def units(self) -> dict[str, str]:
        """Unit of each column."""
        return {name: c.unit for name, c in self._about.items()}

    @property
    def definitions(self) -> dict[str, str]:
        """What each column is, in words."""
        return {name: c.definition for name, c in self._about.items()}

    def __len__(self) -> int:
        return len(next(iter(self._data.values())))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(len(self)))

    def __contains__(self, column: object) -> bool:
        return column in self._data

    def __getitem__(self, key: str | int) -> Any:
        if isinstance(key, str):
            return self._data[key]
        row = range(len(self))[key]
        return {name: array[row].item() for name, array in self._data.items()}

    def __repr__(self) -> str:
        return f"<TidyTable: {len(self)} rows, {len(self.columns)} columns>"

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        provenance: Mapping[str, Any] | None = None,
        replace: bool = False,
    ) -> None:
        """Write the table to a file, with units and definitions of its columns.

        Parameters
        ----------
        path : path
            The file.
        format : {"csv", "parquet"}, optional
            Default: by the ending of `path`. CSV keeps what is not numbers in a second file,
            ``PATH-metadata.json`` (W3C CSVW); Parquet, which needs the extra ``tables``, in its own metadata.
        provenance : mapping, optional
            Kept with the table.
        replace : bool
            Take the place of a file of that name, which is refused otherwise.

        Raises
        ------
        DataError
            An unknown format, or a file that exists or can't be written. Nothing is left behind.
        MissingExtraError
            Parquet without pyarrow.
        """
        from balancecore.io.step_tables import save_columns

        save_columns(
            self._data,
            list(self._about.values()),
            path,
            key="balancecore_table",
            format=format,
            provenance=provenance,
            replace=replace,
        )

    def to_pandas(self) -> Any:
        """Copy to a ``pandas.DataFrame``; needs the extra ``tables``."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("to_pandas needs pandas: pip install 'balancecore[tables]'") from error
        return pd.DataFrame({name: array.copy() for name, array in self._data.items()})

    def to_arrow(self) -> Any:
        """Copy to a ``pyarrow.Table``; needs the extra ``tables``."""
        from balancecore.io.step_tables import to_arrow

        return to_arrow(self._data)
