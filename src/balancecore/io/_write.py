"""The front door of writing: choose the format by ending, and make a new file that is whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from balancecore.errors import DataError
from balancecore.io._save import new_file
from balancecore.io.delimited import write_csv
from balancecore.io.opensim import write_mot
from balancecore.io.parquet import write_parquet
from balancecore.io.tdms import write_tdms
from balancecore.trial import Trial

if TYPE_CHECKING:
    from balancecore.steps import StepTable

__all__ = ["write"]

_WRITERS: dict[str, Callable[[Trial, BinaryIO], None]] = {
    "csv": write_csv,
    "mot": write_mot,
    "parquet": write_parquet,
    "tdms": write_tdms,
}
_FORMATS = (*_WRITERS, "c3d")


def write(data: Trial | StepTable, path: str | os.PathLike[str], *, format: str | None = None) -> None:
    """Write a trial, or a table of steps, to a new file.

    What is written is read back equal by :func:`balancecore.read` within the precision of the format; the page
    on reading and writing lists what each format has no room for.

    Parameters
    ----------
    data : Trial or StepTable
        A trial goes to CSV, Parquet, TDMS, OpenSim ``.mot`` or C3D; steps go to CSV or Parquet
        (see :meth:`StepTable.save`).
    path : path
        The new file. An existing one is never overwritten.
    format : {"csv", "parquet", "tdms", "mot", "c3d"}, optional
        Default: by the ending of `path`.

    Raises
    ------
    DataError
        An unknown format, a file that exists or can't be written, or a trial that the format can't hold. Nothing
        is left behind.
    MissingExtraError
        Parquet, TDMS and C3D need the extras ``tables``, ``record`` and ``c3d``.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> from balancecore import Trial, read
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "run.csv"
    >>> write(Trial.from_wrenches([np.ones((3, 6))], rate_hz=1000.0, sides=["L"]), path)
    >>> read(path).plates[0].side
    'L'
    >>> folder.cleanup()
    """
    if not isinstance(data, Trial):
        if not hasattr(data, "save"):
            raise DataError(f"write() takes a Trial or a StepTable, not {type(data).__name__}")
        data.save(path, format=format)
        return
    wanted = chosen_format(path, format, _FORMATS)
    if wanted == "c3d":
        from balancecore.io.c3d import write_c3d

        write_c3d(data, path)
        return
    # Forces of any size have a place in a file, if their product has none.
    with np.errstate(all="ignore"), new_file(path) as file:
        _WRITERS[wanted](data, file)


def chosen_format(path: str | os.PathLike[str], format: str | None, known: tuple[str, ...]) -> str:
    """The format that is asked for, or that the ending says."""
    try:
        wanted = Path(path).suffix.lower().lstrip(".") if format is None else str(format).lower().lstrip(".")
    except TypeError as error:
        raise DataError(f"a path must be text or a path object, not {type(path).__name__}") from error
    if wanted not in known:
        name = Path(path).name or "the path given"
        what = f"the ending {wanted!r}" if format is None else f"format={format!r}"
        raise DataError(f"{name}: {what} names no format to write; known: {', '.join(known)}")
    return wanted
