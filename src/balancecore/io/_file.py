"""Bytes of a file, their hash, and text in whatever encoding they are."""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from balancecore.errors import DataError
from balancecore.trial import Source

#: A recording is read whole; a text beyond this would need tens of GB of memory, so it is refused first.
MAX_BYTES = 1 << 31

_SIGNATURES = (
    (b"\x93NUMPY", "a NumPy .npy file"),
    (b"PK\x03\x04", "a ZIP archive (.xlsx, .npz and .zip are such)"),
    (b"\xd0\xcf\x11\xe0", "an old Office document (.xls)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89HDF", "an HDF5 or MATLAB 7.3 file"),
    (b"MATLAB 5.0", "a MATLAB .mat file"),
    (b"\x64\x00\x00\x00\xc8\x03\x00\x00", _BSF := "an AMTI NetForce .bsf recording: export it as text"),
    (b"\x69\x00\x00\x00\xc8\x03\x00\x00", _BSF),
    (b"TDSh", "the index of a TDMS recording, which lies beside it"),
    (b"%PDF", "a PDF document"),
    (b"PARE", "an encrypted Parquet file"),
)
_ALLOWED_CONTROLS = frozenset(b"\t\n\r\v\f\x1a")


@dataclass(frozen=True)
class FileBytes:
    """A file that was read whole; `name` never holds its folder."""

    name: str
    suffix: str
    data: bytes

    @property
    def source(self) -> Source:
        """Name and SHA-256, for provenance."""
        return Source(self.name, hashlib.sha256(self.data).hexdigest())


@dataclass(frozen=True)
class TextFile:
    """A decoded file as lines; lines are counted from 1 in messages, as editors do.

    Files without lines have rows instead: `counted` is the word for messages.
    """

    name: str
    suffix: str
    lines: list[str]
    counted: str = "line"

    def error(self, message: str, *, line: int | None = None) -> DataError:
        """A DataError that names the file and, from a 0-based line index, the line."""
        where = self.name if line is None else f"{self.name}, {self.counted} {line + 1}"
        return DataError(f"{where}: {message}")


def load(path: str | os.PathLike[str]) -> FileBytes:
    """Read a regular file, or say in one sentence why not."""
    try:
        where = Path(path)
        name = where.name or "the path given"
    except TypeError as error:
        raise DataError(f"a path must be text or a path object, not {type(path).__name__}") from error
    try:
        status = where.stat()
        if stat.S_ISDIR(status.st_mode):
            raise DataError(f"{name}: this is a folder; give the files of one trial")
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{name}: this is not a regular file")
        if status.st_size > MAX_BYTES and not _begins_as_tdms(where):
            raise DataError(
                f"{name}: {status.st_size / 1e9:.1f} GB is more than the {MAX_BYTES / 1e9:.1f} GB read"
            )
        data = where.read_bytes() if status.st_size <= MAX_BYTES else _mapped(where)
    except FileNotFoundError as error:
        raise DataError(f"{name}: there is no such file") from error
    except DataError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
        raise DataError(f"{name}: it can't be read: {reason}") from error
    if not data:
        raise DataError(f"{name}: the file is empty")
    return FileBytes(name, where.suffix.lower(), data)


class _Mapped(mmap.mmap):
    """A file that is too long to be copied into memory, with what `FileBytes` needs of bytes."""

    def startswith(self, prefix: bytes | tuple[bytes, ...]) -> bool:
        return self[: len(max(prefix, key=len)) if isinstance(prefix, tuple) else len(prefix)].startswith(
            prefix
        )

    def count(self, sub: bytes) -> int:
        found, at = 0, self.find(sub)
        while at >= 0:
            found, at = found + 1, self.find(sub, at + len(sub))
        return found


def _begins_as_tdms(path: Path) -> bool:
    """An hour of a recording is longer than any table, and is read segment by segment."""
    with path.open("rb") as file:
        return file.read(4) == b"TDSm"


def _mapped(path: Path) -> bytes:
    with path.open("rb") as file:
        return cast("bytes", _Mapped(file.fileno(), 0, access=mmap.ACCESS_READ))


def decode(file: FileBytes) -> TextFile:
    """Text of a file in UTF-8, UTF-16 or cp1252, with any line ends; a DataError if it is not text."""
    _refuse_known_binary(file)
    encoding = _encoding(file.data)
    if encoding == "utf-8-sig":
        _refuse_controls(file.name, file.data[:8192].decode("latin-1"))
    try:
        text = file.data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise DataError(f"{file.name}: not valid {encoding.upper()} at byte {error.start}") from error
        text = _decode_cp1252(file)
    _refuse_controls(file.name, text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip(" \t\x1a"):
        lines.pop()
    if not lines:
        raise DataError(f"{file.name}: the file holds only blank lines")
    return TextFile(file.name, file.suffix, lines)


def _encoding(data: bytes) -> str:
    if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    # Without a mark, UTF-16 of a table of numbers shows as a zero in every second byte.
    head = data[:4096]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if half and odd > 0.8 * half and even < 0.05 * half:
        return "utf-16-le"
    if half and even > 0.8 * half and odd < 0.05 * half:
        return "utf-16-be"
    return "utf-8-sig"


def _decode_cp1252(file: FileBytes) -> str:
    try:
        return file.data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file.name}: neither UTF-8, UTF-16 nor cp1252 text "
            f"(byte {error.start} is 0x{file.data[error.start]:02x})"
        ) from error


def _refuse_known_binary(file: FileBytes) -> None:
    for signature, what in _SIGNATURES:
        if file.data.startswith(signature):
            raise DataError(f"{file.name}: this is {what}, which is not read as a recording")


def _refuse_controls(name: str, text: str) -> None:
    head = text[:8192]
    controls = sum(c < " " and ord(c) not in _ALLOWED_CONTROLS for c in head)
    if "\x00" in head or controls > 0.01 * len(head):
        raise DataError(f"{name}: this is not text but binary data of no known format")
