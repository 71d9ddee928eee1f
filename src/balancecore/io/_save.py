"""New files that appear whole or not at all, and never in the place of another unless that is asked for."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from balancecore.errors import DataError

__all__ = ["new_file", "take_name"]


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str], replace: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, under a temporary name beside `path` until the block has ended well.

    Parameters
    ----------
    path : path
    replace : bool
        Take the place of a file of that name.

    Raises
    ------
    DataError
        `path` exists already (and is not to be replaced), or can't be written; then nothing is left behind.
    """
    try:
        target = Path(path)
        taken = os.path.lexists(target)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path!r}: this is not a valid path") from error
    if taken and not replace:
        raise _exists(target)
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(target)
        else:
            take_name(temporary, target)
    except FileExistsError as error:
        raise _exists(target) from error
    except OSError as error:
        raise DataError(f"{target.name}: it can't be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def take_name(temporary: Path, target: Path) -> None:
    """Rename without replacing: a link fails where the name was taken meanwhile, a rename would not."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no links; there the name can only be looked at first.
        if os.path.lexists(target):
            raise FileExistsError from None
        temporary.rename(target)


def _exists(target: Path) -> DataError:
    return DataError(f"{target.name}: the file exists already; nothing was written to it")
