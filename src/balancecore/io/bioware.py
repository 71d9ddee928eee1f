"""Kistler BioWare: its text export, and its own ``.dat`` files.

Both hold the force *on the plate* in the plate's axes as Kistler draws them (Force Plate Formulae, 03.02.99): y in
the direction of walking, z down, so x to the left. The reaction to the right, forward and up is (Fx, -Fy, Fz), and
of the moments (Mx, -My, Mz), as on the same sheet. Which way the subject really faced is not in the file, so that
left is not told from right unless ``axes=`` says so. The numbers as printed are those of ``convention="reaction",
axes=("x", "y", "z")``.

In the text Mx and My are about the origin on the top surface: the columns Ax and Ay (centre of pressure) and Tz (free
moment) follow from them. The eight channels of the transducers become analog channels. If only these were exported,
forces are their sums, but moments need the transducers' places, which the text does not have:
see :func:`balancecore.plates.kistler`.

A ``.dat`` file has no published format. Read is the one make that is understood, of BioWare 3 with one plate of eight
channels, laid out as the makers of the Biomechanical ToolKit found: little-endian; the numbers of channels and frames,
rate, model and serial number, the transducers' places a, b and az0 in mm, and the channels, one after another, as
float32 in N. The same plate may follow again with the same header: those numbers are a smoothed copy (of the one such
file that is public, the first numbers through a low-pass without phase shift) and are left out. Wherever a file
differs, it is refused.
"""

from __future__ import annotations

import dataclasses
import math
import re
import struct
from typing import Any

import numpy as np

from balancecore.errors import DataError
from balancecore.io._file import FileBytes, TextFile
from balancecore.io._record import Options, RawFile, RawPlate
from balancecore.io._table import Table, find_table
from balancecore.io.delimited import read_table
from balancecore.plates import KISTLER_CHANNELS, kistler
from balancecore.trial import Analog, check_rate

__all__ = ["AXES", "is_bioware", "is_bioware_dat", "read_bioware", "read_bioware_dat"]

#: Right, forward and up in Kistler's axes.
AXES = ("-x", "y", "-z")
_FIRST = re.compile(r"BioWare\b.*", re.IGNORECASE)
_HEADER_LINES = 40
_COP = {"ax": "COPx", "ay": "COPy"}
#: What each force is the sum of.
_SUMS = {"Fx": ("fx12", "fx34"), "Fy": ("fy14", "fy23"), "Fz": ("fz1", "fz2", "fz3", "fz4")}


def is_bioware(text: TextFile) -> bool:
    """Whether the text starts as an export of BioWare does."""
    return _FIRST.match(text.lines[0]) is not None


def read_bioware(text: TextFile, options: Options) -> RawFile:
    """Read a text export.

    Raises
    ------
    DataError
        A header that contradicts itself or the table, or what any table may lack.
    """
    table = find_table(text, delimiter=options.delimiter, decimal=options.decimal)
    rate = _one_number(text, "Rate (Hz)")
    samples = _one_number(text, "Samples (#)")
    if samples is not None and samples != len(table.values):
        what = "the file is cut short" if len(table.values) < samples else "these are too many"
        raise text.error(
            f"the header says {samples:g} samples, the table has {len(table.values)}: {what}",
            line=len(text.lines) - 1,
        )
    notes: list[str] = []
    if options.columns is None and table.names is not None:
        table, notes = _named(text, table)
    axes = options.axes or AXES
    # The vertical is looked for in the axes that will be used.
    raw = read_table(text, table, dataclasses.replace(options, axes=axes), header_hz=rate)
    return dataclasses.replace(
        raw, convention="action", axes=axes, lateral_known=False, notes=raw.notes + notes
    )


def _one_number(text: TextFile, key: str) -> float | None:
    """A number that the header gives for every column, or None; it must be one and the same."""
    for index, line in enumerate(text.lines[:_HEADER_LINES]):
        fields = [field.strip() for field in line.split("\t")]
        if fields[0].rstrip(":").strip().lower() != key.lower():
            continue
        stated = {field for field in fields[1:] if field}
        try:
            numbers = {float(field.replace(",", ".")) for field in stated}
        except ValueError as error:
            raise text.error(f"{key} must be numbers", line=index) from error
        if len(numbers) > 1:
            raise text.error(f"{key} differs between the columns: export devices of one rate", line=index)
        return numbers.pop() if numbers else None
    return None


def _named(text: TextFile, table: Table) -> tuple[Table, list[str]]:
    """The table with names that tell plates and centre of pressure, and forces where only their parts are there."""
    assert table.names is not None
    plate = _plate_numbers(text, len(table.names))
    names = [
        f"{_COP.get(name.strip().lower(), name.strip())}{mark}"
        for name, mark in zip(table.names, plate, strict=True)
    ]
    values, units, notes = [table.values], list(table.units), []
    lower = [name.lower() for name in names]
    for mark in sorted(set(plate)):
        for force, parts in _SUMS.items():
            wanted = [part + mark for part in parts]
            if (force + mark).lower() in lower or not set(wanted) <= set(lower):
                continue
            held = [lower.index(part) for part in wanted]
            names.append(force + mark)
            units.append(table.units[held[0]])
            values.append(table.values[:, held].sum(axis=1, keepdims=True))
            if force == "Fz":
                notes.append(
                    f"{text.name}: forces are sums of the transducers' channels; moments need the places of the "
                    "transducers (balancecore.plates.kistler)"
                )
    return Table(np.hstack(values), names, units, table.first_line), notes


def _plate_numbers(text: TextFile, width: int) -> list[str]:
    """Which plate a column is of, "1", "2" …; "" where there is one plate only."""
    for line in text.lines[:_HEADER_LINES]:
        fields = [field.strip() for field in line.split("\t")]
        if fields[0].rstrip(":").lower() == "device" and len(fields) >= width:
            devices = list(dict.fromkeys(field for field in fields[1:width] if field))
            if len(devices) > 1:
                return [str(devices.index(f) + 1) if f in devices else "" for f in fields[:width]]
    return [""] * width


# ---------------------------------------------------------------------------------------------------------------
# .dat

_CLASS = b"CPlateEight"
#: A header: bytes from the class to the texts, and what lies between these, the geometry and the numbers.
_BEFORE_TEXTS, _BEFORE_SIZE, _AFTER_AZ0, _AFTER_TEXTS = 64, 20, 8, 8 + 128 + 128 + 104
#: The same class once more, as the archive refers to it.
_AGAIN = b"\x01\x80"
_MAX_FRAMES = 1 << 26
_MAX_FORCE_N = 1e6


def is_bioware_dat(file: FileBytes) -> bool:
    """Whether the bytes are a recording of BioWare with a plate of eight channels."""
    return _CLASS in file.data[:512]


def read_bioware_dat(file: FileBytes, options: Options) -> RawFile:
    """Read the plate of a recording.

    Raises
    ------
    DataError
        Anything that is not as in the one make that is understood.
    """
    text = TextFile(file.name, file.suffix, [], "row")
    if options.columns is not None or options.units.named or options.resample:
        raise text.error(
            "columns=, units= and resample= have no use here: a BioWare recording names its channels"
        )
    try:
        plate, copies = _recorded(file.data)
    except (struct.error, ValueError) as error:
        raise text.error(
            f"a BioWare .dat recording that is damaged or of another make ({error}): export it from BioWare as text"
        ) from error
    rate = plate["rate"]
    if options.rate_hz is not None and not math.isclose(options.rate_hz, rate, rel_tol=1e-3):
        raise text.error(f"the rate is given as {options.rate_hz:g} Hz but the file says {rate:g} Hz")
    model = kistler(a_m=plate["a"], b_m=plate["b"], az0_m=plate["az0"])
    # As the text export has it: the plate's own axes, the force on the plate.
    raw = RawPlate(model.wrench(plate["forces"]), name=plate["model"], model=model.name)
    analog = [
        Analog(channel, "N", rate, np.ascontiguousarray(values))
        for channel, values in zip(KISTLER_CHANNELS, plate["forces"].T, strict=True)
    ]
    notes = [f"{text.name}: a smoothed copy of the recording was left out"] if copies else []
    return RawFile([raw], rate, "action", options.axes or AXES, notes, analog, lateral_known=False)


def _recorded(data: bytes) -> tuple[dict[str, Any], int]:
    """The plate as it was recorded and the number of copies, after all that is known of the layout held."""
    start = data.index(_CLASS) + len(_CLASS)
    plate, end = _plate(data, start)
    header = data[start : end - 4 * plate["forces"].size]
    copies = 0
    at = end
    while at < len(data):
        begin = at + len(_AGAIN)
        if data[at:begin] != _AGAIN or data[begin : begin + len(header)] != header:
            raise ValueError("something else follows the plate, such as another plate")
        _, at = _plate(data, begin)
        copies += 1
    if struct.unpack_from("<i", data)[0] != copies + 1:
        raise ValueError("it is cut short")
    return plate, copies


def _plate(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    """One plate, whose header starts at byte `at`, and where it ends."""
    channels, frames = struct.unpack_from("<ii", data, at + 12)
    (rate,) = struct.unpack_from("<d", data, at + 28)
    if channels != len(KISTLER_CHANNELS) or not 1 <= frames <= _MAX_FRAMES:
        raise ValueError(f"{channels} channels of {frames} frames")
    at += _BEFORE_TEXTS
    (maker, model, _), at = _texts(data, at, 3)
    if maker != "Kistler":
        raise ValueError("a plate of another maker")
    first, last = struct.unpack_from("<ii", data, at)
    if (first, last) != (0, frames - 1):
        raise ValueError("not all frames were kept")
    width, length, a, b, *_, az0 = struct.unpack_from("<8d", data, at + _BEFORE_SIZE)
    if not (
        0.0 < a < width / 2 and 0.0 < b < length / 2 and -1000.0 < az0 < 0.0 and max(width, length) < 1e4
    ):
        raise ValueError("the geometry of a plate is not possible")
    _, at = _texts(data, at + _BEFORE_SIZE + 64 + _AFTER_AZ0, 3)
    at += _AFTER_TEXTS
    end = at + 4 * channels * frames
    if end > len(data):
        raise ValueError("it is cut short")
    forces = np.frombuffer(data[at:end], "<f4").reshape(channels, frames).T.astype(np.float64)
    # Numbers that are no forces show that the channels lie elsewhere.
    if not np.abs(forces).max() < _MAX_FORCE_N:
        raise ValueError("its numbers are no forces")
    mm = 1e-3
    plate = {"rate": _rate(rate), "model": model, "a": a * mm, "b": b * mm, "az0": az0 * mm, "forces": forces}
    return plate, end


def _rate(value: float) -> float:
    try:
        return check_rate(value)
    except DataError as error:
        raise ValueError(str(error)) from error


def _texts(data: bytes, at: int, count: int) -> tuple[list[str], int]:
    """Texts that follow each other, each after its length in a byte."""
    texts = []
    for _ in range(count):
        (length,) = struct.unpack_from("<B", data, at)
        texts.append(data[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    return texts, at
