"""``balancecore record``: a device into a file, with a line that shows how it goes."""

from __future__ import annotations

import argparse
import math
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from balancecore.capture.acquisition import Acquisition, Statistics, Tap
from balancecore.capture.device import Device, open_device
from balancecore.capture.recording import Recorder
from balancecore.capture.rig import Rig, RigTare, load_rig
from balancecore.errors import BalanceCoreError, DataError, DeviceTimeoutError
from balancecore.markup import harmless
from balancecore.stream import GaitStream
from balancecore.trial import Block

__all__ = ["add_parser"]

#: Exit status after a signal, as shells have it: 128 and the signal's number.
OF_SIGNAL = 128
#: How often the line is made anew, s, and how often where it is no terminal that shows it.
LINE_S, LOG_S = 0.25, 5.0
#: Symmetry in the line: columns and what they are called there.
SHOWN = {"tc": "contact", "peak_active": "peak", "imp_v": "impulse"}
STRIDES = 20
#: Contacts that the cadence is the mean of, and a pause that begins a new one, s.
CADENCE_CONTACTS, PAUSE_S = 10, 2.0
#: A device that gives nothing for so long during a tare is not going to.
TARE_PATIENCE_S = 5.0


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    parser = commands.add_parser("record", help="record a device, with live contacts and symmetry")
    parser.set_defaults(run=_record)
    source = parser.add_argument_group("what to record")
    source.add_argument("--rig", metavar="FILE", help="rig file: device, plates, channels")
    source.add_argument(
        "--device",
        metavar="ADDRESS",
        help="device, such as simulated:treadmill; with --rig in the place of the one that stands there",
    )
    source.add_argument("--seconds", type=float, metavar="S", help="signal to record (default: until Ctrl-C)")
    source.add_argument(
        "--tare", type=float, metavar="S", help="first measure the empty plates for so long, 0.5 s at least"
    )
    source.add_argument("--mass", type=float, metavar="KG", help="body mass, for the live line and the file")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        default=".",
        metavar="PATH",
        help="folder, where the file is named by the time, or a new file (default: here)",
    )
    output.add_argument("--note", default="", metavar="TEXT", help="text that is kept in the file")


def _record(args: argparse.Namespace) -> int:
    if args.rig is None and args.device is None:
        raise DataError("record: give --rig FILE or --device ADDRESS")
    if args.mass is not None and not 0 < args.mass < math.inf:
        raise DataError(f"--mass {args.mass:g}: more than 0 kg are wanted")
    rig = None if args.rig is None else load_rig(args.rig)
    with open_device(args.device or (rig.device if rig else "")) as device:
        if rig is not None:
            rig = rig.bind(device.description)
        elif device.description.layout is not None:
            rig = Rig.for_device(device)
        for note in device.description.notes:
            _say(f"{device}: {note}")
        if rig is None:
            _say(f"{device}: without a rig file raw channels are recorded, and nothing of them can be shown")
        tare = None if args.tare is None else _tare(device, rig, args.tare)
        return _run(args, device, rig, tare)


def _run(args: argparse.Namespace, device: Device, rig: Rig | None, tare: RigTare | None) -> int:
    acquisition = Acquisition(device)
    recorder = Recorder(
        acquisition,
        args.out,
        rig=rig,
        tare=tare,
        mass_kg=args.mass,
        note=args.note,
        seconds=args.seconds,
    )
    live = _Live(
        acquisition.subscribe(overrun="gap", buffer_s=2.0, name="live"), rig, tare, device, args.mass
    )
    error: BaseException | None = None
    failed = ""
    with _signals() as signals:
        recorder.start()
        try:
            live.start()
            acquisition.start()
            _watch(acquisition, recorder, live, lambda: bool(signals))
        except BaseException as met:
            failed = str(met) or type(met).__name__
            raise
        finally:
            # Signals are still only noted: a second Ctrl-C must not leave the file without its end.
            for end in (lambda: recorder.stop(failed or _reason(signals)), acquisition.stop, live.stop):
                try:
                    end()
                except Exception as met:
                    error = error or met
    print(_summary(acquisition.statistics(), recorder, live))
    if error is not None:
        raise error
    return OF_SIGNAL + signals[0] if signals else 0


def _tare(device: Device, rig: Rig | None, seconds: float) -> RigTare:
    """Zeros of the unloaded plates, by the same path as the recording."""
    if rig is None:
        raise DataError("--tare needs a rig file: it says which plates there are")
    wanted = math.ceil(seconds * device.rate_hz) if 0 < seconds < 3600 else 0
    if not wanted:
        raise DataError(f"--tare {seconds:g}: between 0.5 and 3600 s are wanted")
    _say(f"tare: {seconds:g} s, nobody on the plates")
    acquisition, blocks, count = Acquisition(device), [], 0
    tap = acquisition.subscribe(name="tare")
    with acquisition:
        while count < wanted:
            block = tap.read(TARE_PATIENCE_S)
            if block is None or not len(block.frames):
                raise DeviceTimeoutError(f"{device}: no frames for the tare")
            blocks.append(block.frames)
            count += len(block.frames)
    return rig.tare(np.concatenate(blocks)[:wanted], device.rate_hz)


class _Live:
    """A stream on a tap of its own; what it finds is only shown, and its errors end nothing else."""

    def __init__(
        self, tap: Tap, rig: Rig | None, tare: RigTare | None, device: Device, mass_kg: float | None
    ) -> None:
        self._tap, self._rig, self._tare = tap, rig, tare
        self._rate_hz = device.rate_hz
        self._lock = threading.Lock()
        self._on: deque[float] = deque(maxlen=CADENCE_CONTACTS)
        self._contacts = 0
        self._symmetry = ""
        self._now_s = 0.0
        self.trouble = ""
        self._stream: GaitStream | None = None
        if rig is not None:
            zeros = None if tare is None else np.zeros(6 * len(rig.plates))
            try:
                self._stream = GaitStream(rig.layout, rate_hz=self._rate_hz, mass_kg=mass_kg, tare=zeros)
            except DataError as error:
                self.trouble = str(error)
        if self._stream is None:
            tap.close()
        self._thread = threading.Thread(target=self._run, name="live analysis", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._tap.close()
        if self._thread.ident is not None:
            self._thread.join()

    def words(self) -> list[str]:
        """Contacts, cadence and symmetry, as far as they are known."""
        if self._stream is None:
            return []
        with self._lock:
            words = [f"{self._contacts} contacts"]
            if len(self._on) > 2 and self._now_s - self._on[-1] < PAUSE_S:
                cadence = 60.0 * (len(self._on) - 1) / (self._on[-1] - self._on[0])
                words.append(f"{cadence:.0f} steps/min")
            if self._symmetry:
                words.append(self._symmetry)
            return words

    def _run(self) -> None:
        try:
            while self._stream is not None and (block := self._tap.read()) is not None:
                self._push(self._stream, Block(self._wrenches(block.frames), block.lost_before))
        except BalanceCoreError as error:
            # What ends the acquisition is told by the recorder, and by it alone.
            self.trouble = str(error)
        except Exception as error:
            self.trouble = f"{type(error).__name__}: {error}"

    def _wrenches(self, frames: Any) -> Any:
        assert self._rig is not None
        return self._rig.wrenches(frames, self._tare)

    def _push(self, stream: GaitStream, block: Block) -> None:
        steps = stream.push(block)
        began = [event.time_s for event in stream.events if event.kind == "on"]
        symmetry = self._symmetry
        if steps:
            running = stream.symmetry(STRIDES, tuple(SHOWN))
            shown = [f"{SHOWN[k]} {v:+.1f} %" for k, v in running.si.items() if math.isfinite(v)]
            symmetry = f"SI {running.limbs[0]}-{running.limbs[1]}: {', '.join(shown)}" if shown else ""
        with self._lock:
            for time_s in began:
                if self._on and time_s - self._on[-1] > PAUSE_S:
                    self._on.clear()
                self._on.append(time_s)
            self._contacts += len(began)
            self._symmetry = symmetry
            self._now_s = stream.frames / self._rate_hz


def _watch(
    acquisition: Acquisition, recorder: Recorder, live: _Live, interrupted: Callable[[], bool]
) -> None:
    with _line() as show:
        while not recorder.wait(LINE_S) and not interrupted():
            show(_progress(acquisition.statistics(), recorder, live))


def _progress(found: Statistics, recorder: Recorder, live: _Live) -> str:
    tap = next(tap for tap in found.taps if tap.name == "recorder")
    rate = found.rate_by_host_hz if math.isfinite(found.rate_by_host_hz) else found.rate_hz
    words = [
        f"{(recorder.frames + recorder.frames_lost) / found.rate_hz:7.1f} s",
        f"{rate:.0f} Hz",
        f"{recorder.frames_lost} lost",
        f"buffer {100 * tap.most_waiting / tap.capacity:.0f} %",
    ]
    return "  ".join([*words, *live.words()])


def _summary(found: Statistics, recorder: Recorder, live: _Live) -> str:
    frames, lost = recorder.frames, recorder.frames_lost
    lines = [
        f"{harmless(recorder.path.name, 200)}: {(frames + lost) / found.rate_hz:.2f} s, {frames} frames, {lost} lost, "
        f"{recorder.bytes_written / 1e6:.1f} MB",
        f"{found.rate_hz:g} Hz ({found.rate_by_host_hz:.1f} Hz by this computer's clock), "
        f"worst delay {1000 * found.worst_delay_s:.0f} ms",
    ]
    if words := live.words():
        lines.append("  ".join(["seen meanwhile, after the first 2 s:", *words]))
    if live.trouble and recorder.error is None:
        lines.append(f"the live analysis ended: {harmless(live.trouble, 300)}")
    return "\n".join(lines)


def _reason(signals: list[int]) -> str:
    return f"stopped by {signal.Signals(signals[0]).name}" if signals else "stopped"


@contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGINT and SIGTERM are noted in place of ending the program; only the main thread can do that."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _line() -> Iterator[Callable[[str], None]]:
    """Shows a text in the place of the one before it: by rich, by a plain terminal, or as a line now and then."""
    if not sys.stderr.isatty():
        yield _now_and_then()
        return
    try:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text
    except ImportError:
        shown = _OverItself()
        yield shown
        shown("")
        return
    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as line:
        yield lambda text: line.update(Text(text, no_wrap=True, overflow="ellipsis"))


def _now_and_then() -> Callable[[str], None]:
    last_s = time.monotonic()

    def show(text: str) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= LOG_S:
            last_s = time.monotonic()
            _say(text)

    return show


@dataclass
class _OverItself:
    """A line that is written over by the next."""

    width: int = 0

    def __call__(self, text: str) -> None:
        print(f"\r{text:<{self.width}}", end="\r" if not text else "", file=sys.stderr, flush=True)
        self.width = len(text)


def _say(text: str) -> None:
    print(harmless(text, 2000), file=sys.stderr, flush=True)
