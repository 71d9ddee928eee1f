"""A device that is watched from opening on, and recordings of it one after the other: `LiveSession`."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

from balancecore.capture.acquisition import Acquisition
from balancecore.capture.device import Device
from balancecore.capture.recording import Recorder
from balancecore.capture.rig import Rig, RigTare
from balancecore.capture.tare import take_tare
from balancecore.contacts import Gait
from balancecore.errors import DataError, DeviceError
from balancecore.live.analysis import DEFAULT_METRICS, STRIDES, LiveAnalysis, check_metrics, in_words
from balancecore.markup import harmless, plain_number

__all__ = ["MOST_MARKER", "LiveSession", "Now", "State"]

State = Literal["closed", "ready", "taring", "recording", "failed", "ended"]

#: Characters of a marker.
MOST_MARKER = 200
#: Signal of a tare, s.
TARE_S = 1.0
#: A device that gives nothing for so long is said to be silent, s.
SILENT_S = 1.0
#: Messages that wait for whoever takes them.
MOST_MESSAGES = 100


class Now(NamedTuple):
    """How a session goes.

    Attributes
    ----------
    state : State
    message : str
        What happened last, or why something was refused.
    device_state : str
        "running", "no frames for 3 s", "ended" or "failed".
    trial : int
        Number of the recording, from 1; 0 before the first. What follows is of this recording, also after its end.
    elapsed_s : float
        Its length so far.
    began_s : float or None
        When its frame 0 was taken, s since the session was opened; None before that frame came.
    file : str or None
        Name of its file.
    frames, lost, markers : int
        Its frames, those that are missing between them, and its markers.
    buffer : float
        How full the recorder's buffer ever was, 0 to 1.
    rate_by_host_hz : float
        Rate of the device by this computer's clock; NaN before it is known.
    device_lost : int
        Frames that the device lost since the session was opened.
    """

    state: State
    message: str
    device_state: str
    trial: int
    elapsed_s: float
    began_s: float | None
    file: str | None
    frames: int
    lost: int
    markers: int
    buffer: float
    rate_by_host_hz: float
    device_lost: int


class LiveSession:
    """Watch a device, and record it when told to.

    Parameters
    ----------
    device : Device or str
        Open, or not; or an address. What was not open is opened by `open` and closed by `close`.
    rig : Rig, optional
        What its channels mean; default: what the device says itself.
    out : path
        Folder of the recordings, which are named by the local time.
    mass_kg : float, optional
        Body mass; without it body weight is estimated.
    strides : int
        Strides that the running symmetry is of; 1 to 200.
    metrics : sequence of str
        Columns of the step table on which limbs are compared.
    gait : {"auto", "run", "walk"}
        As for `GaitStream`.
    seconds : float, optional
        Signal of each recording, s; default: until `stop`.
    note : str
        Kept in each file.

    Attributes
    ----------
    analysis : LiveAnalysis
        From `open` on.
    recordings : list of Path
        Files that were begun, in order.
    error : BaseException or None
        What the device or the disk did.

    Raises
    ------
    DataError
        An option that can't be.

    Notes
    -----
    States: "ready" (traces are shown) → `start` → "recording" → `stop` → "ready"; `tare` passes "taring". "failed" is
    where the device is gone or the file could not be written: it is closed and holds what came before; after a failure
    of the disk alone `start` begins another. "ended": a replay has played everything, or the session is closed. All
    methods may be called from any thread. What can't be done in a state raises a DeviceError, and `do` makes a message
    of it.

    Examples
    --------
    >>> with LiveSession("simulated:treadmill", out="trials/", mass_kg=70.0) as session:   # doctest: +SKIP
    ...     session.start()
    ...     session.mark("3 m/s")
    ...     print(session.analysis.seen().cadence)
    ...     path = session.stop()
    """

    def __init__(
        self,
        device: Device | str,
        *,
        rig: Rig | None = None,
        out: str | os.PathLike[str] = ".",
        mass_kg: float | None = None,
        strides: int = STRIDES,
        metrics: Sequence[str] = DEFAULT_METRICS,
        gait: Gait = "auto",
        seconds: float | None = None,
        note: str = "",
    ) -> None:
        if mass_kg is not None and not 0 < mass_kg < math.inf:
            raise DataError(f"mass_kg={mass_kg!r}: more than 0 kg are wanted")
        if seconds is not None and not 0 < seconds < math.inf:
            raise DataError(f"seconds={seconds!r}: more than 0 is wanted")
        check_metrics(metrics)
        self._acquisition = Acquisition(device)
        self._rig, self._out = rig, _folder(out)
        self.mass_kg, self.strides, self.metrics = mass_kg, strides, tuple(metrics)
        self._gait: Gait = gait
        self._seconds, self._note = seconds, note
        self._lock = threading.RLock()
        self._state: State = "closed"
        self._message = ""
        self._messages: deque[str] = deque(maxlen=MOST_MESSAGES)
        self._recorder: Recorder | None = None
        self._markers = 0
        self._tare: RigTare | None = None
        self._taring: threading.Thread | None = None
        self.recordings: list[Path] = []
        self.error: BaseException | None = None
        self.analysis: LiveAnalysis

    def open(self) -> Self:
        """Open the device and begin to watch it; returns itself.

        Raises
        ------
        DeviceError
            The device can't be opened or started, or this session was open before.
        DataError
            The rig is of another device, or nothing says what the channels mean.
        """
        with self._lock:
            if self._state != "closed":
                raise DeviceError("a session is opened once")
            acquisition = self._acquisition.open()
            try:
                device = acquisition.device
                self._rig = (
                    Rig.for_device(device) if self._rig is None else self._rig.bind(device.description)
                )
                self._rig.layout  # noqa: B018 - without plates there is nothing to see
                self.rate_hz = device.rate_hz
                self.analysis = LiveAnalysis(
                    acquisition.subscribe(overrun="gap", buffer_s=2.0, name="live"),
                    self._rig,
                    self.rate_hz,
                    metrics=self.metrics,
                    strides=self.strides,
                    gait=self._gait,
                    traces=True,
                )
                acquisition.start()
            except BaseException:
                acquisition.stop()
                raise
            self.analysis.start()
            self._state = "ready"
        return self

    @property
    def device(self) -> Device:
        """What is watched."""
        return self._acquisition.device

    @property
    def rig(self) -> Rig:
        """What its channels mean; from `open` on."""
        if self._rig is None:
            raise DeviceError("the session is not open yet")
        return self._rig

    @property
    def state(self) -> State:
        """What it does now; see Notes."""
        with self._lock:
            self._look()
            return self._state

    def start(self) -> Path:
        """Begin a recording and its analysis.

        Returns
        -------
        Path
            The new file.

        Raises
        ------
        DeviceError
            It is recording or taring already, or the device is gone; or the treadmill of the rig can't be reached.
        DataError
            The file can't be written.
        """
        with self._lock:
            self._need_free("start")
            recorder = Recorder(
                self._acquisition,
                self._out,
                rig=self._rig,
                tare=self._tare,
                mass_kg=self.mass_kg,
                note=self._note,
                seconds=self._seconds,
            )
            recorder.start()
            self.analysis.begin(self.mass_kg, self._tare)
            self._recorder, self._markers = recorder, 0
            self.recordings.append(recorder.path)
            self._state = "recording"
            self._say(f"{recorder.path.name}: recording")
            return recorder.path

    def stop(self) -> Path:
        """End the recording; what the device gave so far is written.

        Raises
        ------
        DeviceError
            There is none.
        """
        with self._lock:
            self._look()
            if self._state != "recording" or self._recorder is None:
                raise DeviceError(f"stop: nothing is being recorded ({self._state})")
            self._end_recording("stopped")
            return self.recordings[-1]

    def tare(self) -> RigTare:
        """Take the zeros of the unloaded plates for the recordings to come; it takes 1 s of signal.

        Raises
        ------
        DeviceError
            A recording or another tare is going on, or the device is gone or silent.
        DataError
            The plates are loaded, or too noisy; the zeros from before stay.
        """
        self._begin_taring()
        return self._take_tare()

    def mark(self, text: str = "marker") -> None:
        """Note that something happens now: an event of the recording (see `Recorder.mark`).

        Parameters
        ----------
        text : str
            Up to 200 characters; what doesn't print is escaped.

        Raises
        ------
        DeviceError
            Nothing is being recorded.
        DataError
            The text is too long.
        """
        if not isinstance(text, str) or len(text) > MOST_MARKER:
            raise DataError(f"marker: a text of up to {MOST_MARKER} characters is wanted")
        label = harmless(" ".join(text.split()) or "marker", MOST_MARKER)
        with self._lock:
            self._look()
            if self._state != "recording" or self._recorder is None:
                raise DeviceError(f"marker: nothing is being recorded ({self._state})")
            self._recorder.mark(label)
            self._markers += 1
            at_s = (self._recorder.frames + self._recorder.frames_lost) / self.rate_hz
            self._say(f"marker at {at_s:.1f} s: {label}")

    def do(self, command: object) -> None:
        """Do what somebody asks for from outside; nothing is raised, what is refused is a message.

        Parameters
        ----------
        command : dict
            ``{"do": "start" | "stop" | "tare" | "marker", "text": ...}``, the text for markers only. A tare goes on in
            a thread of its own.
        """
        try:
            self._do(command)
        except Exception as error:
            self.refuse(in_words(error))

    def refuse(self, reason: str) -> None:
        """Say why something was not done."""
        with self._lock:
            self._say(reason)

    def now(self) -> Now:
        """How it goes; DeviceError before it was opened."""
        with self._lock:
            if self._state == "closed":
                raise DeviceError("the session is not open yet")
            self._look()
            found = self._acquisition.statistics()
            recorder = self._recorder
            trouble = self.analysis.seen().trouble
            words = [self._message, f"the live analysis ended: {trouble}" if trouble else ""]
            first = None if recorder is None else recorder.first_index
            frames, lost = (0, 0) if recorder is None else (recorder.frames, recorder.frames_lost)
            return Now(
                self._state,
                "; ".join(filter(None, words)),
                self._device_state(),
                len(self.recordings),
                (frames + lost) / self.rate_hz,
                None if first is None else first / self.rate_hz,
                None if recorder is None else recorder.path.name,
                frames,
                lost,
                self._markers,
                0.0 if recorder is None else recorder.fill,
                found.rate_by_host_hz,
                found.frames_lost,
            )

    @property
    def first_index(self) -> int | None:
        """Sample index, in the acquisition, of the recording's frame 0."""
        recorder = self._recorder
        return None if recorder is None else recorder.first_index

    def messages(self) -> list[str]:
        """What happened since this was called last, up to 100 lines; for one reader."""
        with self._lock:
            taken = list(self._messages)
            self._messages.clear()
        return taken

    def close(self, reason: str = "stopped") -> None:
        """End everything: a recording is closed whole, the device is let go. A second call does nothing.

        Parameters
        ----------
        reason : str
            Kept in the file of a recording that goes on.
        """
        with self._lock:
            self._look()
            if self._state == "recording":
                self._end_recording(reason)
            opened = self._state != "closed"
            if self._state != "failed":
                self._state = "ended"
        if opened:
            # Not under the lock: a tare that is going on wants it once more.
            self._tell_of_device()
            self.analysis.stop()
            taring = self._taring
            if taring is not None:
                taring.join()

    def __enter__(self) -> Self:
        return self if self._state != "closed" else self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("stopped" if error is None else f"stopped by {type(error).__name__}")

    # Inside; under the lock.

    def _do(self, command: object) -> None:
        if not isinstance(command, Mapping):
            raise DataError("a command that is none")
        known: dict[str, Callable[[], object]] = {
            "start": self.start,
            "stop": self.stop,
            "tare": self._tare_aside,
            "marker": lambda: self.mark(command.get("text", "marker")),
        }
        what = command.get("do")
        if not isinstance(what, str) or what not in known:
            raise DataError(f"unknown command {harmless(repr(what), 60)}")
        if "text" in command and what != "marker":
            raise DataError(f"{what}: only a marker has a text")
        known[what]()

    def _tare_aside(self) -> None:
        def tare() -> None:
            with contextlib.suppress(Exception):  # it is a message already
                self._take_tare()

        with self._lock:
            self._begin_taring()
            self._taring = threading.Thread(target=tare, name="tare", daemon=True)
            self._taring.start()

    def _begin_taring(self) -> None:
        with self._lock:
            self._need_free("tare")
            self._state = "taring"
            self._say(f"tare: {TARE_S:g} s, nobody on the plates")

    def _take_tare(self) -> RigTare:
        """The tare itself; not under the lock, since it takes its time."""
        try:
            tare = take_tare(self._acquisition, self.rig, TARE_S)
        except BaseException as error:
            with self._lock:
                self._leave_taring()
                self._say(f"no tare: {in_words(error)}")
            raise
        with self._lock:
            self._tare = tare
            self.analysis.end(tare)
            self._leave_taring()
            offsets = self.rig.wrenches([tare.mean])[0, 2::6].tolist()
            named = zip(self.rig.layout.names, offsets, strict=True)
            words = [f"{name} {plain_number(offset, '+.1f')} N" for name, offset in named]
            self._say(f"tare taken: {', '.join(words)}")
        return tare

    def _need_free(self, what: str) -> None:
        """Refuse what can only be done while nothing else is."""
        self._look()
        if self._state == "recording":
            raise DeviceError(f"{what}: a recording is going on; stop it first")
        if self._state == "taring":
            raise DeviceError(f"{what}: a tare is going on")
        if self._state not in ("ready", "failed") or not self._acquisition.running:
            raise DeviceError(f"{what}: the device is not running")

    def _look(self) -> None:
        """Take notice of what has ended by itself."""
        if self._state in ("closed", "ended"):
            return
        over = not self._acquisition.running
        if self._state == "recording" and self._recorder is not None and (over or self._recorder.done):
            self._recorder.wait()  # it ends by itself, and knows why
            self._end_recording("stopped")
        if over and self._state in ("ready", "taring"):
            self._end_device()
        elif over and self._state == "failed":
            self._tell_of_device()

    def _end_recording(self, reason: str) -> None:
        assert self._recorder is not None
        recorder, error = self._recorder, None
        self.analysis.end(self._tare)
        try:
            recorder.stop(reason)
        except Exception as met:
            error = met
        frames, lost = recorder.frames, recorder.frames_lost
        words = f"{recorder.path.name}: {(frames + lost) / self.rate_hz:.2f} s, {frames} frames, {lost} lost"
        self._state = "ready"
        if error is not None:
            self._fail(error)
            words += f"; it ended with: {error}"
        self._say(words)

    def _end_device(self) -> None:
        """The acquisition has ended by itself."""
        if not self._tell_of_device():
            self._state = "ended"
            self._say("the device has given its last frame")

    def _tell_of_device(self) -> bool:
        """Stop it; whether something is wrong with it, which is told once."""
        try:
            self._acquisition.stop()
        except Exception as met:
            with self._lock:
                self._fail(met)
                if str(met) not in self._message:
                    self._say(str(met))
            return True
        return False

    def _leave_taring(self) -> None:
        if self._state == "taring":
            self._state = "ready"
        self._look()

    def _fail(self, error: BaseException) -> None:
        self._state, self.error = "failed", self.error or error

    def _device_state(self) -> str:
        if self._acquisition.running:
            silent_s = time.monotonic() - self.analysis.heard_s
            return "running" if silent_s < SILENT_S else f"no frames for {silent_s:.0f} s"
        return "failed" if self._state == "failed" else "ended"

    def _say(self, text: str) -> None:
        self._message = text
        self._messages.append(text)


def _folder(out: str | os.PathLike[str]) -> str:
    """The folder of the recordings, told as one: each gets a name of its own in it."""
    try:
        path = Path(out)
        if path.suffix and not path.is_dir() and not os.fspath(out).endswith(("/", os.sep)):
            raise DataError(
                f"{path.name}: a folder is wanted, not a file: a session makes several recordings"
            )
    except (TypeError, ValueError, OSError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{out!r}: this is not a valid path") from error
    return os.path.join(os.fspath(path), "")
