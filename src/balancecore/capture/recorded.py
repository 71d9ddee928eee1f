"""Recordings read back: raw frames, gaps and marks as they were written, and trials that are calibrated anew.

A recording consists of short segments, each written in one piece. Whatever follows the last whole segment, because the
program was killed or the power failed, is left out, and `Recording.notes` say so.
"""

from __future__ import annotations

import io
import json
import logging
import math
import os
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from balancecore.capture.device import Channel, Description
from balancecore.capture.recording import BELT_COLUMNS, BELTS, CLOCK, FRAMES, GAPS, KEY, MARKS, VERSION
from balancecore.capture.rig import Rig, RigTare
from balancecore.capture.treadmill import BeltState
from balancecore.errors import BalanceCoreError, DataError, MissingExtraError
from balancecore.io._file import FileBytes, load
from balancecore.trial import Event, Trial, check_rate

__all__ = ["MOST_GAP_S", "Mark", "Recording", "is_recording"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: A longer gap stands in a trial as one of this length, s: an hour's silence needs no memory for its NaN.
MOST_GAP_S = 600.0
_LEAD_IN = struct.Struct("<4slLQQ")
#: Number of objects, length of the first one's path; behind the path the index of its values: length of this entry,
#: type, dimension, number of values.
_FIRST, _INDEX = struct.Struct("<LL"), struct.Struct("<LlLQ")
_TAG = b"TDSm"
#: How the path of a channel of frames begins.
_CHANNEL = f"/'{FRAMES}'/".encode()
#: The key is the first property of the first object of the first segment.
_HEAD_BYTES = 200


class Mark(NamedTuple):
    """Something that happened during a recording.

    Attributes
    ----------
    frame : int
        Number of the frame, lost ones counted.
    kind : {"mark", "tare"}
    text : str
        The label, or the tare as JSON.
    """

    frame: int
    kind: str
    text: str


def is_recording(file: FileBytes) -> bool:
    """Whether a file is a recording by balancecore."""
    head = bytes(file.data[:_HEAD_BYTES])
    return head.startswith(_TAG) and KEY.encode() in head


class Recording:
    """A recording, opened for reading.

    Parameters
    ----------
    path : path
        Of a TDMS file that `Recorder` wrote, finished or not.

    Attributes
    ----------
    rate_hz : float
    description : Description
        What the device said of itself.
    address, software, start_utc, note : str
    mass_kg : float or None
    rig_text : str
        The rig file as it was; empty: there was none.
    tare : RigTare or None
    frames : int
        Frames that were recorded, without lost ones.
    gaps : ndarray (k, 2) of int64
        Number of the first frame that was lost, lost ones counted, and how many were.
    clock : tuple of ndarray
        Numbers of the first frames of blocks, and when these blocks came by the host's clock, s since 1970 UTC.
    marks : tuple of Mark
    belts : ndarray (k, 4)
        What a treadmill with a connection of its own said: number of the frame, lost ones counted, speed of the left
        and of the right belt, m/s, and incline, degrees.
    end_reason : str
        Why it ended; empty: it was cut off.
    notes : tuple of str
        What a user should know of it: losses, a cut end, how it ended.
    source : Source

    Raises
    ------
    DataError
        No recording, or a damaged one.
    MissingExtraError
        Without npTDMS.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._read(load(path))

    @classmethod
    def of(cls, file: FileBytes) -> Recording:
        """The same of bytes in memory."""
        recording = cls.__new__(cls)
        recording._read(file)
        return recording

    def raw(self) -> FloatArray:
        """All recorded frames as the device gave them: (frames, n_channels); lost ones are not in it."""
        return self._raw

    def tares(self) -> tuple[tuple[int, RigTare], ...]:
        """Tares that were marked during the recording: number of the frame, and the tare."""
        found = []
        for mark in self.marks:
            if mark.kind == "tare":
                found.append((mark.frame, RigTare.from_dict(_json(mark.text, self._name))))
        return tuple(found)

    def trial(
        self,
        *,
        rig: Rig | None = None,
        tare: RigTare | Literal["stored"] | None = "stored",
        start_s: float = 0.0,
        stop_s: float | None = None,
    ) -> Trial:
        """Calibrated plates, analog channels and events.

        Parameters
        ----------
        rig : Rig, optional
            In place of the one that was recorded, for plates whose calibration has been corrected since.
        tare : RigTare, "stored" or None
            The zeros that were recorded, others, or (None) those of the rig.
        start_s, stop_s : float
            A part of it, s since frame 0, lost frames counted.

        Returns
        -------
        Trial
            With NaN where frames were lost, each gap as long as it was (600 s at most).

        Raises
        ------
        DataError
            No rig, another device's rig or tare, or no frames.
        """
        if rig is None:
            if not self.rig_text:
                raise DataError(
                    f"{self._name}: no rig was recorded: pass one, Recording(path).trial(rig=...)"
                )
            rig = Rig.parse(self.rig_text, f"{self._name}: its rig")
        try:
            rig = rig.bind(self.description)
        except DataError as error:
            raise DataError(f"{self._name}: {error}") from error
        zeros = self.tare if tare == "stored" else tare
        first, last = self._rows(start_s, stop_s)
        if first >= last:
            raise DataError(
                f"{self._name}: no frames were recorded" + ("" if not self.frames else " in that time")
            )
        lost, notes = self._lost(first, last)
        # What was lost before the very first frame stands in the trial.
        origin = int(self._index(np.array([first]))[0]) if first else 0
        trial = rig.trial(
            self._raw[first:last],
            self.rate_hz,
            zeros,
            lost,
            notes=(*self.notes, *notes),
            belts=self._belt_states(origin, lost if notes else (), first),
        )
        length = len(trial)
        events = []
        for mark in self.marks:
            at = self._place(mark.frame - origin, lost, first)
            if 0 <= at <= length:
                label = mark.text if mark.kind == "mark" else mark.kind
                events.append(Event(label, "?", at / self.rate_hz))
        events.sort(key=lambda event: event.time_s)
        return replace(trial, events=tuple(events), sources=(self.source,))

    def __len__(self) -> int:
        return self.frames

    def __repr__(self) -> str:
        lost = int(self.gaps[:, 1].sum())
        return (
            f"<Recording {self.frames / self.rate_hz:.2f} s at {self.rate_hz:g} Hz, {len(self.description.channels)} "
            f"channels, {lost} frames lost: {self.end_reason or 'cut off'}>"
        )

    # Reading.

    def _read(self, file: FileBytes) -> None:
        self._name, self.source = file.name, file.source
        if not is_recording(file):
            raise DataError(f"{file.name}: this is not a recording by balancecore")
        try:
            import nptdms
        except ImportError as error:
            raise MissingExtraError(
                "reading recordings needs npTDMS: pip install 'balancecore[record]'"
            ) from error
        # Whatever it logs of a damaged file is raised here.
        logging.getLogger("nptdms").setLevel(logging.CRITICAL)
        whole, segments = _segments(file.data)
        try:
            with (
                io.BufferedReader(_Part(file.data, whole), 1 << 16) as stream,
                nptdms.TdmsFile.open(stream) as opened,
            ):
                self._read_properties(opened)
                self._read_lists(opened)
                self._raw = self._read_frames(opened, file.data, segments)
        except DataError as error:
            # What checks a rate or a tare does not know whose it is.
            if str(error).startswith(file.name):
                raise
            raise DataError(f"{file.name}: the recording is damaged: {error}") from error
        except BalanceCoreError:
            raise
        # npTDMS does not promise which errors damage leads to.
        except Exception as error:
            raise DataError(f"{file.name}: the recording is damaged") from error
        self._check()
        self.notes = self._make_notes(len(file.data) - whole)

    def _read_properties(self, opened: Any) -> None:
        said = opened.properties
        version = int(said[KEY])
        if version > VERSION:
            raise DataError(
                f"{self._name}: it was written by a newer balancecore (layout {version}, this one knows {VERSION})"
            )
        if version != VERSION:
            raise DataError(f"{self._name}: the recording is damaged")
        self.rate_hz = check_rate(said["rate_hz"])
        self.software, self.start_utc = str(said["software"]), str(said["start_utc"])
        self.address, self.note = str(said["device_address"]), str(said["note"])
        self.mass_kg = float(said["mass_kg"]) if "mass_kg" in said else None
        self.rig_text = str(said["rig"])
        tare = str(said["tare"])
        self.tare = RigTare.from_dict(_json(tare, self._name)) if tare else None
        self.end_reason = str(said.get("end_reason", ""))
        self.lost_at_end = int(said.get("lost_at_end", 0))
        channels = []
        for channel in opened[FRAMES].channels():
            p = channel.properties
            channels.append(
                Channel(
                    str(p["channel"]),
                    str(p["unit_string"]),
                    p.get("range_low"),
                    p.get("range_high"),
                    p["skew_s"],
                )
            )
        self.description = Description(
            str(said["device_model"]),
            str(said["device_serial"]),
            self.rate_hz,
            tuple(channels),
            bool(said["device_simulated"]),
            notes=tuple(filter(None, str(said["device_notes"]).split("\n"))),
        )

    def _read_lists(self, opened: Any) -> None:
        gaps = [_column(opened, GAPS, name, np.int64) for name in ("frame", "lost")]
        self.gaps: IntArray = np.column_stack(gaps)
        self.clock = (_column(opened, CLOCK, "frame", np.int64), _column(opened, CLOCK, "utc_s", np.float64))
        marks = [_column(opened, MARKS, name, kind) for name, kind in _MARK_COLUMNS]
        self.belts: FloatArray = np.column_stack(
            [_column(opened, BELTS, name, kind) for name, kind in BELT_COLUMNS]
        ).astype(np.float64)
        self.marks = tuple(Mark(int(at), str(kind), str(text)) for at, kind, text in zip(*marks, strict=True))

    def _read_frames(self, opened: Any, data: Any, segments: Sequence[_Segment]) -> FloatArray:
        """Straight from the bytes: the library would take each channel of each segment one by one."""
        channels = opened[FRAMES].channels()
        self.frames = sum(segment.frames for segment in segments)
        if {len(channel) for channel in channels} != {self.frames}:
            raise DataError(f"{self._name}: the recording is damaged: its channels have different lengths")
        if any(channel.dtype != np.float64 for channel in channels):
            raise DataError(f"{self._name}: the recording is damaged: its frames are not float64")
        if 8 * len(channels) * self.frames > len(data):
            raise DataError(f"{self._name}: the recording is damaged: it claims more frames than it holds")
        out, at = np.empty((self.frames, len(channels))), 0
        for segment in segments:
            count = segment.frames * len(channels)
            rows = np.frombuffer(data, "<f8", count, segment.data).reshape(len(channels), segment.frames)
            out[at : at + segment.frames] = rows.T
            at += segment.frames
        return out

    def _check(self) -> None:
        """Gaps in order and between frames; what comes from a file may be of any make."""
        starts, lost = self.gaps.T
        if (lost < 1).any() or (starts < 0).any() or float(lost.astype(np.float64).sum()) > 2.0**62:
            raise DataError(f"{self._name}: the recording is damaged: gaps that can't be")
        if (np.abs(self.belts[:, 0]) > 2.0**53).any():
            raise DataError(f"{self._name}: the recording is damaged: belts at frames that can't be")
        rows = self._gap_rows()
        if (np.diff(rows) < 1).any() or (len(rows) and not 0 <= rows[0] <= rows[-1] <= self.frames):
            raise DataError(f"{self._name}: the recording is damaged: gaps that can't be")

    def _make_notes(self, cut: int) -> tuple[str, ...]:
        notes = [f"recorded {self.start_utc} by {self.software} from {self.description.model}"]
        if self.description.simulated:
            notes.append("the device was simulated")
        notes += self.description.notes
        if not self.end_reason:
            tail = f", within a segment ({cut} bytes left out)" if cut else ""
            notes.append(
                f"the recording has no end: it was cut off after {self.frames} frames "
                f"({self.frames / self.rate_hz:.2f} s){tail}"
            )
        elif cut:
            notes.append(f"{cut} bytes behind the end of the recording were left out")
        if self.end_reason not in ("", "complete", "stopped"):
            notes.append(f"the recording ended: {self.end_reason}")
        if self.lost_at_end:
            notes.append(f"{self.lost_at_end} frames were lost after its last one")
        later = sum(mark.kind == "tare" for mark in self.marks)
        if later:
            notes.append(
                f"{later} tares were taken meanwhile and are not used: Recording(path).trial(tare=...) takes one"
            )
        return tuple(notes)

    def _belt_states(self, origin: int, lost: Sequence[tuple[int, int]], first: int) -> list[BeltState]:
        """With times in s since the first frame of a part; `lost` where there are gaps that were cut."""
        places = [int(at) - origin for at in self.belts[:, 0].tolist()]
        if lost:
            places = [self._place(at, lost, first) for at in places]
        # A place is a little uncertain, the order is not.
        times = np.maximum.accumulate(np.array(places, dtype=np.float64)) / self.rate_hz
        return [
            BeltState(time_s, *said)
            for time_s, said in zip(times.tolist(), self.belts[:, 1:].tolist(), strict=True)
        ]

    # Frames, rows and time: a row is a frame that was recorded, an index counts lost ones too.

    def _gap_rows(self) -> IntArray:
        """The row behind each gap."""
        starts, lost = self.gaps.T
        return np.asarray(starts - (np.cumsum(lost) - lost), dtype=np.int64)

    def _index(self, rows: IntArray) -> IntArray:
        """Numbers of recorded frames."""
        before = np.concatenate(([0], np.cumsum(self.gaps[:, 1])))
        return np.asarray(
            rows + before[np.searchsorted(self._gap_rows(), rows, side="right")], dtype=np.int64
        )

    def _rows(self, start_s: float, stop_s: float | None) -> tuple[int, int]:
        """First and one past the last row of a time."""
        if not math.isfinite(start_s) or not (stop_s is None or math.isfinite(stop_s)):
            raise DataError(f"start_s={start_s!r}, stop_s={stop_s!r}: times in s are wanted")
        if start_s <= 0.0 and stop_s is None:
            return 0, self.frames
        index = self._index(np.arange(self.frames))
        first = int(np.searchsorted(index, round(start_s * self.rate_hz)))
        last = self.frames if stop_s is None else int(np.searchsorted(index, round(stop_s * self.rate_hz)))
        return first, last

    def _lost(self, first: int, last: int) -> tuple[list[tuple[int, int]], list[str]]:
        """Gaps of a part, by its rows, and none longer than there is use for."""
        most = round(MOST_GAP_S * self.rate_hz)
        rows, counts = self._gap_rows(), self.gaps[:, 1]
        inside = (rows > first) & (rows < last) if first else (rows >= 0) & (rows < last)
        lost = [
            (int(row) - first, min(int(n), most)) for row, n in zip(rows[inside], counts[inside], strict=True)
        ]
        notes = [
            f"a gap of {n / self.rate_hz:.0f} s stands as {MOST_GAP_S:.0f} s: times after it are earlier by the rest"
            for n in counts[inside].tolist()
            if n > most
        ]
        return lost, notes

    def _place(self, index: int, lost: Sequence[tuple[int, int]], first: int) -> int:
        """Where a frame stands in a trial whose long gaps were cut."""
        rows, counts = self._gap_rows(), self.gaps[:, 1]
        cut = passed = 0
        for row, stands in lost:
            was = int(counts[np.flatnonzero(rows == row + first)[0]])
            if index >= row + passed + was:
                cut += was - stands
            passed += was
        return index - cut


_MARK_COLUMNS: tuple[tuple[str, Any], ...] = (("frame", np.int64), ("kind", object), ("text", object))


class _Part(io.RawIOBase):
    """The first bytes of a buffer as a file, without a copy of them."""

    def __init__(self, data: Any, length: int) -> None:
        self._view, self._at = memoryview(data)[:length], 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._view)}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = self._view[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._view.release()
        super().close()


class _Segment(NamedTuple):
    """Where the frames of a segment begin, and how many there are."""

    data: int
    frames: int


def _segments(data: Any) -> tuple[int, list[_Segment]]:
    """Where the last whole segment ends, and the segments with frames up to there."""
    at, size, found = 0, len(data), []
    while at + _LEAD_IN.size <= size:
        tag, _, _, follows, raw = _LEAD_IN.unpack_from(data, at)
        end = at + _LEAD_IN.size + follows
        if tag != _TAG or end > size or raw > follows:
            break
        frames = _first_count(data, at + _LEAD_IN.size, at + _LEAD_IN.size + raw)
        if frames:
            found.append(_Segment(at + _LEAD_IN.size + raw, frames))
        at = end
    return at, found


def _first_count(data: Any, at: int, end: int) -> int:
    """Values of the first object of a segment, where that is a channel of frames."""
    head = _FIRST.unpack_from(data, at) if at + _FIRST.size <= end else (0, 0)
    at += _FIRST.size
    place = at + head[1]
    if place + _INDEX.size > end or not data[at:place].startswith(_CHANNEL):
        return 0
    length, _, _, count = _INDEX.unpack_from(data, place)
    return int(count) if length == _INDEX.size else 0


def _column(opened: Any, group: str, name: str, kind: Any) -> Any:
    if group not in opened or name not in opened[group]:
        return np.empty(0, dtype=kind)
    return np.asarray(opened[group][name][:], dtype=kind)


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: the recording is damaged: a tare that can't be read") from error
