"""A recording on disk: TDMS in short whole segments, so that what was written stays readable whatever happens next.

The layout is described in docs/recording.md and read by :mod:`balancecore.capture.recorded`. A segment is handed to the
operating system in one piece several times a second, which a killed program can't take back; once a second the system
is asked to put it on the disk (fsync), which is what counts when the power fails.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from balancecore._version import __version__
from balancecore.capture.acquisition import Acquisition, BlockTime
from balancecore.capture.device import Address, Description, Device
from balancecore.capture.rig import Rig, RigTare
from balancecore.capture.treadmill import BeltState, Treadmill, open_treadmill
from balancecore.errors import BalanceCoreError, DataError, DeviceError, MissingExtraError
from balancecore.io._own import Column, unique_labels
from balancecore.io._save import take_name

__all__ = [
    "BELTS",
    "BELT_COLUMNS",
    "CLOCK",
    "FRAMES",
    "GAPS",
    "KEY",
    "MARKS",
    "VERSION",
    "Recorder",
    "RecordingWriter",
    "told_address",
]

FloatArray = NDArray[np.float64]

#: Property that says that a TDMS file is a recording, and the version of its layout; the version grows when an older
#: reader would misread a file.
KEY = "balancecore_recording"
VERSION = 1
#: Groups: raw frames; gaps, marks, the host's clock and belts that tell their speed themselves, each by the number of
#: a frame.
FRAMES, GAPS, MARKS, CLOCK, BELTS = "frames", "gaps", "marks", "clock", "belts"
BELT_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("frame", np.int64),
    ("left_m_s", np.float64),
    ("right_m_s", np.float64),
    ("incline_deg", np.float64),
)
#: Signal in a segment, s. With the wait for the device's block and for a turn of the thread, what a killed program
#: takes with it stays below 1 s.
SEGMENT_S = 0.25
SYNC_S = 1.0
#: Longest wait for frames; afterwards what there is of a segment is written.
PATIENCE_S = 0.25
#: Why it ends where all the signal came that was asked for.
COMPLETE = "complete"
#: Recordings of one second that a folder can hold.
MOST_NAMES = 999
#: The line of a rig file that tells its device, in any of TOML's ways to write a text.
_DEVICE = re.compile(
    r"""^[ \t]*(?:device|"device"|'device')[ \t]*=[ \t]*(?:\"{3}.*?\"{3}|'{3}.*?'{3}|[^\n]*)""",
    re.MULTILINE | re.DOTALL,
)


class RecordingWriter:
    """Writes frames to a new file; no thread, no clock.

    Parameters
    ----------
    path : path
        The file, which must not exist; or a folder, where it is named by the local time,
        ``YYYYmmdd-HHMMSS_NNN.tdms``. What ends in a separator or has no suffix is a folder, and made where it isn't
        there.
    description : Description
        Of the device.
    rig : Rig, optional
        Its text is kept in the file.
    tare : RigTare, optional
        Zeros that belong to the frames; the frames themselves stay raw.
    address : str
        Of the device.
    mass_kg : float, optional
        Body mass.
    note : str
        Free text.
    segment_s : float
        Signal in a segment, s.

    Attributes
    ----------
    path : Path
    frames, frames_lost : int
        So far; lost ones between frames.

    Raises
    ------
    DataError
        The file exists, or can't be written.
    MissingExtraError
        Without npTDMS.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        description: Description,
        *,
        rig: Rig | None = None,
        tare: RigTare | None = None,
        address: str = "",
        mass_kg: float | None = None,
        note: str = "",
        segment_s: float = SEGMENT_S,
    ) -> None:
        if not 0 < segment_s <= 0.5:
            raise DataError(f"segment_s={segment_s!r}: more than 0 and at most 0.5 s are wanted")
        try:
            import nptdms
        except ImportError as error:
            raise MissingExtraError("recording needs npTDMS: pip install 'balancecore[record]'") from error
        self._tdms: Any = nptdms
        self._lock = threading.Lock()
        self._bytes = io.BytesIO()
        self._writer = nptdms.TdmsWriter(self._bytes)
        self._names = _names(description)
        # Channels are rows here: each goes to the file in one piece.
        rows = max(round(segment_s * description.rate_hz), 1)
        self._held = np.empty((len(self._names), rows))
        self._count = 0
        self._gaps: list[tuple[int, int]] = []
        self._times: list[tuple[int, float]] = []
        self._marks: list[tuple[int, str, str]] = []
        self._belts: list[tuple[int, float, float, float]] = []
        self._size = 0
        self._broken: DataError | None = None
        self.frames = self.frames_lost = 0
        header = self._header(description, rig, tare, address, mass_kg, note)
        self.path, self._fd = _new_file(path, header)
        self._size = len(header)

    @property
    def next_index(self) -> int:
        """Number of the next frame, lost ones counted."""
        return self.frames + self.frames_lost

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._fd < 0

    @property
    def bytes_written(self) -> int:
        """Size of the file."""
        return self._size

    def write(self, frames: FloatArray, lost_before: int = 0, times: Iterable[BlockTime] = ()) -> None:
        """Take frames; they are written as soon as a segment is full.

        Parameters
        ----------
        frames : ndarray (k, n_channels)
            As the device gives them.
        lost_before : int
            Frames that are missing before the first of them.
        times : iterable of BlockTime
            When blocks came; their `first` in the numbers of this file.

        Raises
        ------
        DataError
            The file can't be written; what it holds stays readable.
        """
        with self._lock:
            if lost_before and len(frames):
                self._gaps.append((self.next_index, int(lost_before)))
                self.frames_lost += int(lost_before)
            self._times += [(at.first, at.utc_s) for at in times]
            done = 0
            while done < len(frames):
                n = min(len(frames) - done, self._held.shape[1] - self._count)
                self._held[:, self._count : self._count + n] = frames[done : done + n].T
                self._count += n
                self.frames += n
                done += n
                if self._count == self._held.shape[1]:
                    self._flush()

    def mark(self, text: str, index: int | None = None, kind: str = "mark") -> None:
        """Note that something happened at a frame.

        Parameters
        ----------
        text : str
        index : int, optional
            Number of the frame, lost ones counted; default: the next. It is written together with that frame.
        kind : str
            "mark", or "tare", whose text is the JSON of the tare.

        Raises
        ------
        DataError
            The file is closed.
        """
        with self._lock:
            if self.closed:
                raise DataError(f"{self.path.name}: the recording has ended")
            at = self.next_index if index is None else max(int(index), 0)
            self._marks.append((at, _text(kind), _text(text)))

    def belts(self, states: Iterable[tuple[int, BeltState]]) -> None:
        """Keep what a treadmill with a connection of its own said; it is written with the next segment.

        Parameters
        ----------
        states : iterable of (int, BeltState)
            Each with the number of the frame at which it came, lost ones counted; in order. Negative: before the
            first.
        """
        rows = [
            (int(at), float(said.speed_left_m_s), float(said.speed_right_m_s), float(said.incline_deg))
            for at, said in states
        ]
        with self._lock:
            self._belts += rows

    def flush(self) -> None:
        """Write what there is of a segment; DataError as for `write`."""
        with self._lock:
            self._flush()

    def sync(self) -> None:
        """Wait until the disk has what was written; DataError where it says that it failed."""
        # Not under the lock: a slow disk must not keep frames from being written.
        fd = self._fd
        if fd < 0:
            return
        try:
            os.fsync(fd)
        except OSError as error:
            if self._fd >= 0:
                raise self._failed(error) from error

    def close(self, reason: str = "stopped", lost_at_end: int = 0, **properties: float | int | str) -> None:
        """Write what is left, and why it ends; does nothing where it is closed.

        Parameters
        ----------
        reason : str
        lost_at_end : int
            Frames that were lost after the last one.
        **properties
            More to be kept with the end, such as statistics.

        Raises
        ------
        DataError
            The rest can't be written. The file is closed all the same, and what it holds stays readable.
        """
        with self._lock:
            if self._fd < 0:
                return
            try:
                if self._broken is None:
                    self._flush(last=True)
            finally:
                self._end(reason, lost_at_end, properties)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("stopped" if error is None else f"stopped by {type(error).__name__}")

    # Inside; under the lock.

    def _header(
        self,
        description: Description,
        rig: Rig | None,
        tare: RigTare | None,
        address: str,
        mass_kg: float | None,
        note: str,
    ) -> bytes:
        said: dict[str, Any] = {
            KEY: VERSION,
            "software": f"balancecore {__version__}",
            "start_utc": _utc_now(),
            "rate_hz": float(description.rate_hz),
            "device_address": _without_folder(address),
            "device_model": description.model,
            "device_serial": description.serial,
            "device_simulated": bool(description.simulated),
            "device_notes": "\n".join(description.notes),
            "rig": "" if rig is None else _rig_text(rig),
            "tare": "" if tare is None else json.dumps(tare.to_dict()),
            "note": note,
        }
        if mass_kg is not None:
            said["mass_kg"] = float(mass_kg)
        # All groups here, so that each further segment begins with its frames, as its reader relies on.
        groups = [self._tdms.GroupObject(name) for name in (FRAMES, GAPS, MARKS, CLOCK, BELTS)]
        objects = [self._tdms.RootObject(_properties(said)), *groups]
        for name, channel in zip(self._names, description.channels, strict=True):
            properties: dict[str, Any] = {
                "unit_string": channel.unit,
                "wf_start_offset": 0.0,
                "wf_increment": 1.0 / description.rate_hz,
                "channel": channel.name,
                "skew_s": float(channel.skew_s),
            }
            for end, value in (("range_low", channel.low), ("range_high", channel.high)):
                if value is not None:
                    properties[end] = float(value)
            objects.append(self._tdms.ChannelObject(FRAMES, name, np.empty(0), _properties(properties)))
        return self._segment(objects)

    def _flush(self, last: bool = False) -> None:
        if self._broken is not None:
            raise self._broken
        if self._fd < 0:
            raise DataError(f"{self.path.name}: the recording is closed")
        if not self._count and not (last and (self._marks or self._belts)):
            return
        channel = self._tdms.ChannelObject
        objects = [
            channel(FRAMES, name, self._held[k, : self._count])
            for k, name in enumerate(self._names)
            if self._count
        ]
        end = self.next_index
        due = [mark for mark in self._marks if last or mark[0] <= end]
        later = [mark for mark in self._marks if not last and mark[0] > end]
        objects += self._lists(GAPS, [("frame", np.int64), ("lost", np.int64)], self._gaps)
        objects += self._lists(CLOCK, [("frame", np.int64), ("utc_s", np.float64)], self._times)
        objects += self._lists(MARKS, [("frame", np.int64), ("kind", object), ("text", object)], due)
        objects += self._lists(BELTS, BELT_COLUMNS, self._belts)
        before = self._size
        try:
            self._append(self._segment(objects))
        except OSError as error:
            raise self._failed(error) from error
        finally:
            # Also where an interrupt came just after the last byte; before it, all of this is written next time.
            if self._size > before:
                self._count, self._gaps, self._times, self._marks, self._belts = 0, [], [], later, []

    def _lists(
        self, group: str, columns: Sequence[tuple[str, Any]], rows: Sequence[tuple[Any, ...]]
    ) -> list[Any]:
        if not rows:
            return []
        return [
            self._tdms.ChannelObject(group, name, np.array([row[k] for row in rows], dtype=kind))
            for k, (name, kind) in enumerate(columns)
        ]

    def _segment(self, objects: Sequence[Any]) -> bytes:
        self._bytes.seek(0)
        self._bytes.truncate()
        self._writer.write_segment(objects)
        return self._bytes.getvalue()

    def _append(self, data: bytes) -> None:
        """All of it, or nothing."""
        rest, size = memoryview(data), self._size + len(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            self._size = size
        except BaseException:
            # A part of a segment is worth nothing, takes the place that the end needs, and hides all that follows.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
                os.lseek(self._fd, self._size, os.SEEK_SET)
            raise

    def _failed(self, error: OSError) -> DataError:
        kept = self.frames - self._count
        self._broken = DataError(
            f"{self.path.name}: it can't be written any more: {error.strerror or error}; "
            f"the {kept} frames before are kept"
        )
        return self._broken

    def _end(self, reason: str, lost_at_end: int, properties: dict[str, float | int | str]) -> None:
        """The last segment, if there is room for it."""
        fd, kept = self._fd, self.frames - self._count
        said = {
            "end_reason": reason if self._broken is None else str(self._broken),
            "end_utc": _utc_now(),
            "frames": kept,
            "frames_lost": self.frames_lost,
            "lost_at_end": int(lost_at_end),
            **properties,
        }
        try:
            self._append(self._segment([self._tdms.RootObject(_properties(said))]))
            os.fsync(fd)
        except OSError as error:
            if self._broken is None:
                raise self._failed(error) from error
        finally:
            self._fd = -1
            os.close(fd)


class Recorder:
    """Records an acquisition in a thread of its own, with a tap of its own.

    Parameters
    ----------
    acquisition : Acquisition
        Not started yet, if the recording shall have its frame 0.
    path : path
        A new file, or a folder; see `RecordingWriter`.
    rig, tare, mass_kg, note, segment_s
        See `RecordingWriter`. Where the rig has a treadmill with an address, it is listened to, and its speeds and
        incline are recorded too.
    seconds : float, optional
        Signal to record, s, lost frames counted; default: until `stop`.
    buffer_s : float
        What waits at most while the disk is busy, s. Beyond it frames are dropped, and recorded as a gap.

    Attributes
    ----------
    path : Path

    Raises
    ------
    DataError
        As `RecordingWriter`.
    DeviceError
        The device can't be opened, or the rig's treadmill can't be listened to.

    Examples
    --------
    >>> acquisition = Acquisition("simulated:treadmill?rate_hz=1000")          # doctest: +SKIP
    >>> with Recorder(acquisition, "trials/", rig=rig) as recorder, acquisition:    # doctest: +SKIP
    ...     recorder.mark("belts at 3 m/s")
    ...     recorder.wait(60.0)
    """

    def __init__(
        self,
        acquisition: Acquisition,
        path: str | os.PathLike[str],
        *,
        rig: Rig | None = None,
        tare: RigTare | None = None,
        mass_kg: float | None = None,
        note: str = "",
        seconds: float | None = None,
        buffer_s: float = 10.0,
        segment_s: float = SEGMENT_S,
    ) -> None:
        if seconds is not None and not 0 < seconds < math.inf:
            raise DataError(f"seconds={seconds!r}: more than 0 is wanted")
        device = acquisition.device
        self._acquisition = acquisition
        self._tap = acquisition.subscribe(overrun="gap", buffer_s=buffer_s, name="recorder")
        self._treadmill: Treadmill | None = None
        try:
            if rig is not None and rig.treadmill is not None and rig.treadmill.address is not None:
                self._treadmill = open_treadmill(rig.treadmill.address)
            self._writer = RecordingWriter(
                path,
                device.description,
                rig=rig,
                tare=tare,
                address=told_address(device),
                mass_kg=mass_kg,
                note=note,
                segment_s=segment_s,
            )
        except BaseException:
            self._tap.close()
            self._let_belts_go()
            raise
        self.path = self._writer.path
        self._most = None if seconds is None else max(round(seconds * device.rate_hz), 1)
        self._rate_hz = device.rate_hz
        self._base: int | None = None
        self._lost_at_end = 0
        self._early: deque[tuple[int, str, str]] = deque()
        self._lock = threading.Lock()
        self._stop_asked = threading.Event()
        self._done = threading.Event()
        self._reason = "stopped"
        self._error: BaseException | None = None
        self._told = False
        self._thread: threading.Thread | None = None

    @property
    def frames(self) -> int:
        """Frames taken so far, without lost ones."""
        return self._writer.frames

    @property
    def frames_lost(self) -> int:
        """Frames lost between them and, once the recording has ended, after the last."""
        return self._writer.frames_lost + self._lost_at_end

    @property
    def first_index(self) -> int | None:
        """Sample index, in the acquisition, of the recording's frame 0; None before that came."""
        return self._base

    @property
    def fill(self) -> float:
        """How full its buffer ever was, 0 to 1."""
        return self._tap.most_waiting / self._tap.capacity

    @property
    def bytes_written(self) -> int:
        """Size of the file."""
        return self._writer.bytes_written

    @property
    def done(self) -> bool:
        """Whether the recording has ended, for whatever reason."""
        return self._done.is_set()

    @property
    def error(self) -> BaseException | None:
        """What has ended it, where that was an error."""
        return self._error

    def start(self) -> Self:
        """Begin to take frames; returns itself."""
        if self._thread is not None:
            raise DeviceError("a recorder is started once")
        self._thread = threading.Thread(target=self._run, name=f"record {self.path.name}", daemon=True)
        self._thread.start()
        return self

    def mark(self, label: str) -> None:
        """Note that something happens now: an event of the trial.

        May be called from any thread. Its frame is the one after the newest that the device has given, as the
        acquisition's thread has read it: up to a block of the acquisition before the moment of the call. It is written
        with the segment that reaches this frame, or with the end of the recording.

        Raises
        ------
        DataError
            The recording has ended.
        """
        self._note(label, "mark")

    def mark_tare(self, tare: RigTare) -> None:
        """Keep a tare that was taken meanwhile, at the newest frame; see docs/recording.md for what it does."""
        self._note(json.dumps(tare.to_dict()), "tare")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the recording; whether it has ended."""
        return self._done.wait(timeout_s)

    def stop(self, reason: str = "stopped") -> Path:
        """End the recording: what waits is still written. A second call does nothing.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        BalanceCoreError
            What has ended it before: the device's error, or that the file can't be written. The file is closed and
            holds what came before.
        """
        if not self._stop_asked.is_set():
            self._reason = reason
            self._stop_asked.set()
        if self._thread is None:
            self._writer.close(reason)
            self._let_belts_go()
            self._done.set()
        else:
            self._thread.join()
        if self._error is not None and not self._told:
            self._told = True
            raise self._error
        return self.path

    def __enter__(self) -> Self:
        return self if self._thread is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop("stopped" if error is None else f"stopped by {type(error).__name__}")
        except BalanceCoreError as met:
            if error is None:
                raise
            error.add_note(f"the recording ended with: {met}")

    # The threads.

    def _note(self, text: str, kind: str) -> None:
        at = self._acquisition.next_index
        with self._lock:
            if self._base is None:
                self._early.append((at, kind, text))
            else:
                self._writer.mark(text, at - self._base, kind)

    def _run(self) -> None:
        syncer = threading.Thread(target=self._sync, name=f"sync {self.path.name}", daemon=True)
        syncer.start()
        reason = "stopped"
        try:
            reason = self._record()
        except BaseException as error:
            self._error, reason = error, str(error)
        if reason != COMPLETE:
            self._lost_at_end = self._tap.lost_at_end
        try:
            self._begin_at(self._acquisition.next_index)  # where no frame came, marks may have
            statistics = self._acquisition.statistics()
            self._writer.close(
                reason,
                self._lost_at_end,
                rate_by_host_hz=statistics.rate_by_host_hz,
                worst_delay_s=statistics.worst_delay_s,
            )
        except BaseException as error:
            self._error = self._error or error
        finally:
            self._tap.close()
            self._done.set()
            syncer.join()
            self._let_belts_go()

    def _record(self) -> str:
        """Take frames until the end; why it ended."""
        left = None
        while True:
            if left is None and self._stop_asked.is_set():
                left = self._tap.waiting
            if left is not None and left <= 0:
                return self._reason
            block = self._tap.read(PATIENCE_S if left is None else 0.0)
            if block is None:
                return "the acquisition ended"
            self._hear_belts()
            if not len(block.frames):
                self._writer.flush()
                continue
            if left is not None:
                left -= len(block.frames)
            base = self._begin_at(block.index - block.lost_before)
            frames = block.frames
            if self._most is not None:
                frames = frames[: max(self._most - (block.index - base), 0)]
            self._writer.write(
                frames, block.lost_before, [at._replace(first=at.first - base) for at in block.times]
            )
            if self._most is not None and block.index - base + len(block.frames) >= self._most:
                # A gap over the end: what is missing of the recording has no frame behind it.
                self._lost_at_end = self._most - self._writer.next_index
                return COMPLETE

    def _begin_at(self, index: int) -> int:
        """Frame 0 is this sample of the acquisition, unless it was another before; earlier marks get there."""
        with self._lock:
            if self._base is None:
                self._base = index
                for at, kind, text in self._early:
                    self._writer.mark(text, at - index, kind)
            return self._base

    def _hear_belts(self) -> None:
        """Keep what the belts said; a connection that is gone is a mark, and no reason to end."""
        if self._treadmill is None or self._base is None:
            return
        at, now_s = self._acquisition.next_index - self._base, time.monotonic()
        try:
            states = self._treadmill.samples()
        except DeviceError as error:
            self._writer.mark(f"belts: {error}", at)
            self._let_belts_go()
            return
        rows = [(at - round((now_s - said.time_s) * self._rate_hz), said) for said in states]
        self._writer.belts((frame, said) for frame, said in rows if frame >= -self._rate_hz)

    def _let_belts_go(self) -> None:
        treadmill, self._treadmill = self._treadmill, None
        if treadmill is not None:
            # It was only listened to: nothing that is met here concerns the belts or the file.
            with contextlib.suppress(DeviceError, OSError):
                treadmill.close()

    def _sync(self) -> None:
        while not self._done.wait(SYNC_S):
            try:
                self._writer.sync()
            except DataError:
                return  # the writer keeps it, and raises it at the next segment


def _names(description: Description) -> list[str]:
    """A name in the file for each channel, no two alike."""
    nothing = np.empty(0)
    columns = [Column(FRAMES, c.name, c.unit, description.rate_hz, nothing) for c in description.channels]
    return unique_labels(columns, lambda column: column.label)


def _text(value: object) -> str:
    """What the file can hold of a text: a lone surrogate, as in names of undecodable bytes, is no UTF-8."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _properties(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _text(value) if isinstance(value, str) else value for name, value in said.items()}


def told_address(device: Device) -> str:
    """The address of a device as others may see it: of a replayed file the name, without the folder."""
    from balancecore.capture._rig_write import address_text

    return _without_folder(address_text(device.address))


def _without_folder(address: str) -> str:
    """A replayed file's address by its name alone: where it lies is nobody's business but this machine's."""
    try:
        parsed = Address.parse(address)
    except DataError:
        return address
    if parsed.scheme != "replay":
        return address
    from balancecore.capture._rig_write import address_text

    # Both kinds of separators, whatever the system.
    return address_text(replace(parsed, host="", path=PureWindowsPath(parsed.path).name))


def _rig_text(rig: Rig) -> str:
    """The rig file, but for the folder of a replayed file."""
    told = _without_folder(rig.device)
    if told == rig.device:
        return rig.text
    from balancecore.capture._rig_write import toml

    line = f"device = {toml(told)}"
    return _DEVICE.sub(lambda _: line, rig.text, count=1)


def _new_file(path: str | os.PathLike[str], header: bytes) -> tuple[Path, int]:
    """A new file that holds the header from its first moment on; its name and descriptor."""
    try:
        target, text = Path(path), os.fspath(path)
        folder = target.is_dir()
    except (TypeError, ValueError, OSError) as error:
        raise DataError(f"{path!r}: this is not a valid path") from error
    if not folder:
        if target.suffix and not text.endswith((os.sep, os.altsep or os.sep)):
            return target, _create(target, header)
        _make_folder(target)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in range(1, MOST_NAMES + 1):
        target = Path(path) / f"{stamp}_{number:03d}.tdms"
        if os.path.lexists(target):
            continue
        try:
            return target, _create(target, header)
        except DataError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
    raise DataError(f"{stamp}: there are {MOST_NAMES} recordings of this second already")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise DataError(f"{folder.name}: this is a file, and a folder is wanted") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{folder.name}: the folder can't be made: {why}") from error
    _sync_folder(folder.parent)


def _create(target: Path, header: bytes) -> int:
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    flags = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        if os.path.lexists(target):
            raise FileExistsError
        try:
            _write_header(temporary, flags | os.O_CREAT | os.O_EXCL, header)
            take_name(temporary, target)
        finally:
            with contextlib.suppress(OSError, ValueError):
                temporary.unlink()
        _sync_folder(target.parent)
        # Only now: Windows neither renames nor removes a file that is open.
        fd = os.open(target, flags)
        os.lseek(fd, 0, os.SEEK_END)
        return fd
    except (OSError, ValueError) as error:
        if isinstance(error, FileExistsError):
            raise DataError(f"{target.name}: the file exists already; nothing was written to it") from error
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{target.name}: it can't be written: {why}") from error


def _write_header(temporary: Path, flags: int, header: bytes) -> None:
    fd = os.open(temporary, flags, 0o666)
    try:
        rest = memoryview(header)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    """Where the system can do it: the name must survive a power cut as well as the bytes."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
