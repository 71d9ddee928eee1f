"""What a C3D file says of itself, checked byte by byte before ezc3d sees it.

ezc3d trusts counts and lengths: a damaged file can make it ask for terabytes, read beyond its buffers or misplace
every number. So the sections are walked here first, and whatever does not add up is refused with its place.
Layout: the C3D user guide, c3d.org/HTML (header, parameter and data sections). A block has 512 bytes, blocks are
counted from 1.

The header and an integer POINT:FRAMES count up to 65535 frames. The count of a longer file is in a floating-point
POINT:FRAMES, in POINT:LONG_FRAMES (C-Motion) or follows from TRIAL:ACTUAL_START_FIELD and ACTUAL_END_FIELD (Vicon),
each two words with the lower one first; see "Reading the frame count" in that guide.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from balancecore.errors import DataError
from balancecore.io._file import FileBytes

__all__ = ["MAX_COUNTED", "Layout", "checked", "is_c3d", "mended", "pieces"]

BLOCK = 512
KEY_BYTE = 0x50
_PROCESSORS = {84: "Intel", 85: "DEC", 86: "MIPS"}
_TYPES = {-1: "text", 1: "byte", 2: "integer", 4: "float"}
#: Frames that the header and an integer POINT:FRAMES can count.
MAX_COUNTED = 65535
#: Parameters that count on where these end.
_LONG, _START, _END = ("POINT", "LONG_FRAMES"), ("TRIAL", "ACTUAL_START_FIELD"), ("TRIAL", "ACTUAL_END_FIELD")
_HEADER_EVENTS = 18
_EVENT_KEY = 12345


@dataclass(frozen=True)
class Parameter:
    """Where a parameter's values are."""

    kind: int
    dims: tuple[int, ...]
    start: int

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.dims)


_Parameters = dict[tuple[str, str], Parameter]


@dataclass(frozen=True)
class Layout:
    """Sizes and places in a C3D file that fit together and into its bytes."""

    file: FileBytes
    processor: int
    groups: dict[str, int]
    parameters: _Parameters
    section: int
    """Where the parameters begin."""
    end: int
    """Where the record stands that ends them."""
    n_points: int
    n_analog: int
    per_frame: int
    """Analog samples per frame of points."""
    n_frames: int
    first_frame: int
    is_float: bool
    point_rate_hz: float
    analog_rate_hz: float
    data_start: int
    offsets: tuple[int, ...]
    """Where each record of the parameters says how far the next one is."""
    is_full: bool
    """Whether the counter of frames stands at its end, and nothing counts on."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame: four values a point, and the analog samples."""
        return (4 * self.n_points + self.n_analog * self.per_frame) * (4 if self.is_float else 2)

    @property
    def uncounted_frames(self) -> int:
        """Frames for which a file whose counter is full has bytes, but no count."""
        spare = len(self.file.data) - self.data_start - self.n_frames * self.frame_bytes
        # Up to a block is what the last block is filled up with.
        return spare // self.frame_bytes if self.is_full and spare >= BLOCK else 0

    def header_events(self) -> list[tuple[str, float]]:
        """Label and time, s, of the events in the header (words 150 to 234), which newer files leave empty."""
        data, order = self.file.data, ">" if self.processor == 86 else "<"
        key, count = struct.unpack_from(f"{order}2H", data, 298)
        if key != _EVENT_KEY:
            return []
        found = []
        for k in range(min(count, _HEADER_EVENTS)):
            label = data[396 + 4 * k : 400 + 4 * k].decode("latin-1").strip(" \x00")
            found.append((label, _float(data, 304 + 4 * k, self.processor)))
        return found


def is_c3d(file: FileBytes) -> bool:
    """Whether the bytes start as a C3D file does, or the ending says that they should."""
    head = file.data[:2]
    # The second byte is always 0x50; the first is the block where the parameters start, usually 2.
    starts = len(head) == 2 and head[1] == KEY_BYTE and 0 < head[0] < 0x20 and head[:1] not in b"\t\n\r"
    return (starts and len(file.data) >= BLOCK) or file.suffix == ".c3d"


def checked(file: FileBytes) -> Layout:
    """The layout of a file, after everything in it was found to be within its bytes.

    Raises
    ------
    DataError
        Whatever does not add up.
    """
    data = file.data
    if len(data) < 2 or data[1] != KEY_BYTE or not data[0]:
        raise _error(file, "it is called .c3d but does not start as a C3D file does")
    section = (data[0] - 1) * BLOCK
    if len(data) < BLOCK or section < BLOCK or section + 4 > len(data):
        raise _error(file, "the C3D file ends before its parameters: it is cut short")
    processor = data[section + 3]
    if processor not in _PROCESSORS:
        raise _error(
            file,
            f"the processor type of the C3D file is {processor}; it is 84 (Intel), 85 (DEC) or 86 (MIPS)",
        )
    groups, parameters, offsets, end = _walk(file, section, processor)
    return _sizes(file, processor, groups, parameters, offsets, section, end)


def mended(layout: Layout) -> bytearray:
    """The bytes as ezc3d can read them.

    Some old files leave out ANALOG:USED or ANALOG:RATE, which follow from the header; rotations (ROTATION:USED), which
    nothing here needs, are switched off; and the MIPS byte order, which ezc3d refuses, is turned into Intel's.
    """
    data = bytearray(layout.file.data)
    processor = layout.processor
    if processor == 86:
        _turn(data, layout)
        processor = 84
    struct.pack_into("<H", data, layout.parameters["ANALOG", "USED"].start, layout.n_analog)
    rotations = layout.parameters.get(("ROTATION", "USED"))
    if rotations is not None and rotations.kind == 2 and rotations.count:
        struct.pack_into("<H", data, rotations.start, 0)
    rate = layout.parameters.get(("ANALOG", "RATE"))
    value = _pack_float(_analog_rate(layout), processor)
    if rate is not None:
        data[rate.start : rate.start + 4] = value
    else:
        # A parameter: name, offset to the next one, type, no dimensions, value, no description.
        head = struct.pack("<bb4sH", 4, layout.groups["ANALOG"], b"RATE", 9)
        record = head + struct.pack("bb", 4, 0) + value + b"\x00\x00\x00"
        if layout.end + len(record) > min(layout.data_start, len(data)):
            raise _error(layout.file, "ANALOG:RATE is missing")
        data[layout.end : layout.end + len(record)] = record
    return data


def pieces(layout: Layout) -> Iterator[tuple[bytearray, memoryview]]:
    """The file as ezc3d can read it, in files of as many frames as the header can count: what comes before the data,
    and the data.
    """
    data = mended(layout)
    for key in (_LONG, _START, _END):
        # Frames are counted here; under another name, these can't tell ezc3d otherwise.
        if (held := layout.parameters.get(key)) is not None:
            data[held.start - len(held.dims) - 4 - len(key[1])] = ord("_")
    stored = layout.parameters.get(("POINT", "FRAMES"))
    head = data[: layout.data_start]
    for first in range(0, layout.n_frames, MAX_COUNTED):
        count = min(layout.n_frames - first, MAX_COUNTED)
        struct.pack_into("<2H", head, 6, 1, count)
        if stored is not None:
            _put_frames(head, stored, count)
        start = layout.data_start + first * layout.frame_bytes
        yield head, memoryview(data)[start : start + count * layout.frame_bytes]


def _put_frames(head: bytearray, stored: Parameter, count: int) -> None:
    """POINT:FRAMES as the integer that ezc3d needs; two dimensions of 1 take the room that a float leaves."""
    at = stored.start - len(stored.dims) - 2
    ones = (1, 1) if stored.kind == 4 else ()
    shape = bytes((2, len(stored.dims) + len(ones), *ones, *stored.dims))
    head[at : at + len(shape) + 2] = shape + struct.pack("<H", count)


def _turn(data: bytearray, layout: Layout) -> None:
    """Turn round the bytes of every number."""

    def turn(start: int, count: int, size: int) -> None:
        held = np.frombuffer(data, dtype=f"u{size}", count=count, offset=start)
        held.byteswap(inplace=True)

    # Header: counts, scale, places, rate; the key, the number and the times of its events.
    for start, count, size in ((2, 5, 2), (12, 1, 4), (16, 2, 2), (20, 1, 4), (298, 3, 2), (304, 18, 4)):
        turn(start, count, size)
    data[layout.section + 3] = 84
    for at in layout.offsets:
        turn(at, 1, 2)
    for parameter in layout.parameters.values():
        if abs(parameter.kind) > 1:
            turn(parameter.start, parameter.count, parameter.kind)
    size = 4 if layout.is_float else 2
    turn(
        layout.data_start, layout.n_frames * (4 * layout.n_points + layout.n_analog * layout.per_frame), size
    )


def _analog_rate(layout: Layout) -> float:
    """ANALOG:RATE such that ezc3d, which cuts off the decimals of its ratio to POINT:RATE, gets the right integer."""
    points, rate = np.float32(layout.point_rate_hz), np.float32(layout.analog_rate_hz)
    while points >= 1.0 and int(float(rate) / float(points)) < layout.per_frame:
        rate = np.nextafter(rate, np.float32(np.inf))
    return float(rate)


def _walk(
    file: FileBytes, section: int, processor: int
) -> tuple[dict[str, int], _Parameters, tuple[int, ...], int]:
    """Go from record to record through the parameter section; each must end where it says the next begins."""
    data, order = file.data, ">" if processor == 86 else "<"
    names: dict[int, str] = {}
    found: list[tuple[int, str, Parameter]] = []
    offsets: list[int] = []
    at = section + 4
    while True:
        if at + 2 > len(data):
            raise _error(file, "it ends within its parameters: the file is cut short")
        length, group = struct.unpack_from("bb", data, at)
        if length == 0:
            break
        body = at + 2 + abs(length)
        if body + 3 > len(data):
            raise _error(file, "it ends within its parameters: the file is cut short")
        # As it stands: ezc3d does not find a name in other letters either, and reads beyond what is then empty.
        name = data[at + 2 : body].decode("latin-1")
        offsets.append(body)
        following = struct.unpack_from(f"{order}H", data, body)[0]
        label = f"{'group' if group < 0 else 'parameter'} {name[:30]!r} at byte {at}"
        if group == 0 or length == -128 or group == -128:
            raise _error(file, f"{label} belongs to no group: the parameter section is damaged")
        parameter = None if group < 0 else _parameter(file, label, body + 2)
        text = body + 2 if parameter is None else parameter.start + parameter.count * abs(parameter.kind)
        if text >= len(data) or text + 1 + data[text] > len(data):
            raise _error(file, f"{label} goes beyond the end: the file is cut short or damaged")
        stop = text + 1 + data[text]
        if data[text] > 127 or (following and body + following != stop):
            raise _error(
                file, f"{label} does not end where the next one should begin: the section is damaged"
            )
        if parameter is None:
            if -group in names or name in names.values():
                raise _error(file, f"{label} has the number or name of another group: the section is damaged")
            names[-group] = name
        else:
            found.append((group, name, parameter))
        at = stop
        if following == 0:
            break
    parameters = {(names.get(group, f"#{group}"), name): parameter for group, name, parameter in found}
    if len(parameters) < len(found):
        raise _error(file, "it has a parameter twice: the section is damaged")
    return {name: number for number, name in names.items()}, parameters, tuple(offsets), at


def _parameter(file: FileBytes, label: str, at: int) -> Parameter:
    data = file.data
    if at + 2 > len(data):
        raise _error(file, f"{label} goes beyond the end: the file is cut short")
    kind, n_dims = struct.unpack_from("bb", data, at)
    if kind not in _TYPES:
        raise _error(file, f"{label} has values of the unknown type {kind}: the section is damaged")
    if not 0 <= n_dims <= 7 or (n_dims == 0 and kind == -1) or at + 2 + n_dims > len(data):
        raise _error(file, f"{label} has {n_dims} dimensions: the section is damaged")
    parameter = Parameter(kind, tuple(data[at + 2 : at + 2 + n_dims]), at + 2 + n_dims)
    if parameter.start + parameter.count * abs(kind) > len(data):
        raise _error(file, f"{label} goes beyond the end: the file is cut short or damaged")
    return parameter


def _sizes(
    file: FileBytes,
    processor: int,
    groups: dict[str, int],
    parameters: _Parameters,
    offsets: tuple[int, ...],
    section: int,
    end: int,
) -> Layout:
    """Counts, rates and places of header and parameters, if they agree and the bytes are there."""
    data, order = file.data, ">" if processor == 86 else "<"
    head_points, measured, first, last = struct.unpack_from(f"{order}4H", data, 2)
    head_scale = _float(data, 12, processor)
    head_start, per_frame = struct.unpack_from(f"{order}2H", data, 16)
    head_rate = _float(data, 20, processor)

    def number(group: str, name: str, kind: int, default: float) -> float:
        parameter = parameters.get((group, name))
        if parameter is None:
            return default
        if parameter.kind != kind or not parameter.count:
            raise _error(file, f"{group}:{name} is not {_TYPES[kind]} numbers: the file is damaged")
        if kind == 4:
            return _float(data, parameter.start, processor)
        return float(struct.unpack_from(f"{order}H", data, parameter.start)[0])

    for needed in ("ANALOG", "FORCE_PLATFORM"):
        if needed not in groups:
            raise _error(file, f"it has no group {needed}: no force plates are in this file")
    if ("ANALOG", "USED") not in parameters:
        raise _error(file, "ANALOG:USED is missing")
    n_points = int(number("POINT", "USED", 2, 0.0))
    if n_points != head_points:
        raise _error(file, f"the header says {head_points} points, POINT:USED {n_points}")
    first, frames, is_full = _frames(file, parameters, processor, first, last)
    if not math.isfinite(head_scale) or head_scale == 0.0:
        raise _error(file, f"the scale in the header is {head_scale:g}")
    scale = number("POINT", "SCALE", 4, head_scale)
    if (scale < 0.0) != (head_scale < 0.0) or not math.isfinite(scale):
        raise _error(file, f"POINT:SCALE is {scale:g} but the header has {head_scale:g}: floats or integers?")
    point_rate = number("POINT", "RATE", 4, 0.0)
    rates = _rates(file, point_rate, head_rate, number("ANALOG", "RATE", 4, 0.0), per_frame)
    used = int(number("ANALOG", "USED", 2, 0.0))
    in_header = measured // per_frame if per_frame else 0
    if per_frame and measured % per_frame:
        raise _error(file, f"the header says {measured} analog values in {per_frame} samples a frame")
    if used not in (in_header, 0):
        raise _error(file, f"the header says {in_header} analog channels, ANALOG:USED {used}")
    if not in_header:
        raise _error(file, "it has no analog data, so no force plates")
    start = (head_start - 1) * BLOCK
    if start < end or int(number("POINT", "DATA_START", 2, 0.0)) not in (0, head_start):
        raise _error(file, f"the data can't begin in block {head_start}: the file is damaged")
    _refuse_short(file, frames, n_points, measured, 4 if scale < 0.0 else 2, start)
    _refuse_unscaled(file, parameters, in_header)
    return Layout(
        file,
        processor,
        groups,
        parameters,
        section,
        end,
        n_points,
        in_header,
        per_frame,
        frames,
        first,
        scale < 0.0,
        rates[0],
        rates[1],
        start,
        offsets,
        is_full,
    )


def _frames(
    file: FileBytes, parameters: _Parameters, processor: int, first: int, last: int
) -> tuple[int, int, bool]:
    """Number of the first frame, how many there are, and whether there may be more that nothing counts."""

    def count(key: tuple[str, str]) -> int | None:
        return _count(file, parameters.get(key), processor, ":".join(key))

    first = max(first, 1)
    counted = count(("POINT", "FRAMES"))
    frames = counted or last - first + 1
    # The header has the number of the last frame, so that it is full before there are that many.
    is_full = frames == MAX_COUNTED or (not counted and last == MAX_COUNTED)

    def optional(key: tuple[str, str]) -> int | None:
        """A short record has its count without these, whatever they hold."""
        try:
            return count(key)
        except DataError:
            if is_full or not counted:
                raise
            return None

    start, end, longer = optional(_START), optional(_END), optional(_LONG)
    claims = {
        "POINT:LONG_FRAMES": longer,
        "TRIAL:ACTUAL_START_FIELD and ACTUAL_END_FIELD": None
        if start is None or end is None
        else end - start + 1,
    }
    # A counter of 16 bits stays at its end or starts again; in between, it is the count (c3d.org).
    told = {
        name: n
        for name, n in claims.items()
        if n is not None and n > frames and (is_full or frames == n % (MAX_COUNTED + 1))
    }
    if len(set(told.values())) > 1:
        raise _error(file, " but ".join(f"{name} say {n} frames" for name, n in told.items()))
    frames = next(iter(told.values()), frames)
    if frames < 1:
        raise _error(file, "it has no frames")
    return (start if start is not None and start > MAX_COUNTED else first), frames, is_full and not told


def _count(file: FileBytes, parameter: Parameter | None, processor: int, name: str) -> int | None:
    """A number of frames: a float, one word, or two with the lower one first."""
    if parameter is None:
        return None
    if parameter.kind not in (2, 4) or not parameter.count or (parameter.kind == 4 and parameter.count > 1):
        raise _error(file, f"{name} is not a number: the file is damaged")
    if parameter.kind == 2:
        order = ">" if processor == 86 else "<"
        words = struct.unpack_from(f"{order}{min(parameter.count, 2)}H", file.data, parameter.start)
        return int(words[0]) + (int(words[-1]) << 16 if len(words) > 1 else 0)
    stored = _float(file.data, parameter.start, processor)
    if not math.isfinite(stored) or stored != math.floor(stored) or stored < 0.0:
        raise _error(file, f"{name} is {stored:g}: the file is damaged")
    return int(stored)


def _rates(
    file: FileBytes, point_rate: float, head_rate: float, analog_rate: float, per_frame: int
) -> tuple[float, float]:
    """Rate of the points (0 where none is said) and of the analog channels."""
    for name, rate in (
        ("POINT:RATE", point_rate),
        ("ANALOG:RATE", analog_rate),
        ("the header's rate", head_rate),
    ):
        if not (math.isfinite(rate) and 0.0 <= rate <= 1e6):
            raise _error(file, f"{name} is {rate:g}: the file is damaged")
    if not per_frame:
        return point_rate or head_rate, 0.0
    if not analog_rate:
        return point_rate or head_rate, (point_rate or head_rate) * per_frame
    if point_rate and abs(analog_rate / point_rate - per_frame) > 1e-3 * per_frame:
        raise _error(
            file,
            f"ANALOG:RATE {analog_rate:g} Hz is not POINT:RATE {point_rate:g} Hz times the {per_frame} samples a frame",
        )
    return point_rate, analog_rate


def _refuse_short(file: FileBytes, frames: int, points: int, measured: int, size: int, start: int) -> None:
    wanted = frames * (4 * points + measured) * size
    if wanted > len(file.data) - start:
        raise _error(
            file,
            f"{frames} frames of {points} points and {measured} analog values take {wanted} bytes, but "
            f"{max(len(file.data) - start, 0)} are there: the file is cut short",
        )


def _refuse_unscaled(file: FileBytes, parameters: _Parameters, channels: int) -> None:
    """ezc3d takes a scale and an offset for every channel without looking whether there is one."""
    for name, kind in (("SCALE", 4), ("OFFSET", 2)):
        count, extra = 0, 1
        while (held := parameters.get(("ANALOG", f"{name}{extra if extra > 1 else ''}"))) is not None:
            if held.kind != kind:
                raise _error(file, f"ANALOG:{name} is not {_TYPES[kind]} numbers: the file is damaged")
            count, extra = count + held.count, extra + 1
        if count < channels:
            raise _error(file, f"ANALOG:{name} has {count} values for {channels} channels")


def _float(data: bytes, at: int, processor: int) -> float:
    """A float of Intel, MIPS (the other byte order) or DEC (VAX: words swapped, four times the value)."""
    if processor == 86:
        return float(struct.unpack_from(">f", data, at)[0])
    if processor == 84:
        return float(struct.unpack_from("<f", data, at)[0])
    words = data[at + 2 : at + 4] + data[at : at + 2]
    return float(struct.unpack("<f", words)[0]) / 4.0


def _pack_float(value: float, processor: int) -> bytes:
    if processor == 86:
        return struct.pack(">f", value)
    if processor == 84:
        return struct.pack("<f", value)
    words = struct.pack("<f", 4.0 * float(np.float32(value)))
    return words[2:] + words[:2]


def _error(file: FileBytes, message: str) -> DataError:
    return DataError(f"{file.name}: {message}")
