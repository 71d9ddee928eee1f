"""``balancecore record``: a device into a file, with a line that shows how it goes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from balancecore.capture.acquisition import Acquisition, Statistics
from balancecore.capture.device import Device, open_device
from balancecore.capture.recording import Recorder
from balancecore.capture.rig import Rig, RigTare, load_rig
from balancecore.capture.tare import take_tare
from balancecore.commands._terminal import OF_SIGNAL, line, reason, say, signals
from balancecore.errors import DataError
from balancecore.live.analysis import LiveAnalysis
from balancecore.markup import harmless

__all__ = ["add_parser"]

#: How often the line is made anew, s.
LINE_S = 0.25
#: Symmetry in the line: columns and what they are called there.
SHOWN = {"tc": "contact", "peak_active": "peak", "imp_v": "impulse"}


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
            say(f"{device}: {note}")
        if rig is None:
            say(f"{device}: without a rig file raw channels are recorded, and nothing of them can be shown")
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
    live = _analysis(acquisition, rig, tare, args.mass)
    error: BaseException | None = None
    failed = ""
    with signals() as noted:
        recorder.start()
        try:
            if live is not None:
                live.start()
            acquisition.start()
            _watch(acquisition, recorder, live, lambda: bool(noted))
        except BaseException as met:
            failed = str(met) or type(met).__name__
            raise
        finally:
            # Signals are still only noted: a second Ctrl-C must not leave the file without its end.
            ends: list[Callable[[], object]] = [
                lambda: recorder.stop(failed or reason(noted)),
                acquisition.stop,
            ]
            for end in ends if live is None else [*ends, live.stop]:
                try:
                    end()
                except Exception as met:
                    error = error or met
    print(_summary(acquisition.statistics(), recorder, live))
    if error is not None:
        raise error
    return OF_SIGNAL + noted[0] if noted else 0


def _tare(device: Device, rig: Rig | None, seconds: float) -> RigTare:
    """Zeros of the unloaded plates, by the same path as the recording."""
    if rig is None:
        raise DataError("--tare needs a rig file: it says which plates there are")
    say(f"tare: {seconds:g} s, nobody on the plates")
    with Acquisition(device) as acquisition:
        return take_tare(acquisition, rig, seconds)


def _analysis(
    acquisition: Acquisition, rig: Rig | None, tare: RigTare | None, mass_kg: float | None
) -> LiveAnalysis | None:
    """A stream on a tap of its own; None where nothing tells what the channels mean."""
    if rig is None:
        return None
    tap = acquisition.subscribe(overrun="gap", buffer_s=2.0, name="live")
    live = LiveAnalysis(tap, rig, acquisition.device.rate_hz, metrics=tuple(SHOWN))
    live.begin(mass_kg, tare)
    return live


def _words(live: LiveAnalysis | None) -> list[str]:
    """Contacts, cadence and symmetry, as far as they are known."""
    if live is None or not (seen := live.seen()).frames:
        return []
    words = [f"{seen.contacts} contacts"]
    if math.isfinite(seen.cadence):
        words.append(f"{seen.cadence:.0f} steps/min")
    if seen.symmetry is not None:
        shown = [f"{SHOWN[k]} {v:+.1f} %" for k, v in seen.symmetry.si.items() if math.isfinite(v)]
        if shown:
            words.append(f"SI {'-'.join(seen.symmetry.limbs)}: {', '.join(shown)}")
    return words


def _watch(
    acquisition: Acquisition, recorder: Recorder, live: LiveAnalysis | None, interrupted: Callable[[], bool]
) -> None:
    with line() as show:
        while not recorder.wait(LINE_S) and not interrupted():
            show(_progress(acquisition.statistics(), recorder, live))


def _progress(found: Statistics, recorder: Recorder, live: LiveAnalysis | None) -> str:
    rate = found.rate_by_host_hz if math.isfinite(found.rate_by_host_hz) else found.rate_hz
    words = [
        f"{(recorder.frames + recorder.frames_lost) / found.rate_hz:7.1f} s",
        f"{rate:.0f} Hz",
        f"{recorder.frames_lost} lost",
        f"buffer {100 * recorder.fill:.0f} %",
    ]
    return "  ".join([*words, *_words(live)])


def _summary(found: Statistics, recorder: Recorder, live: LiveAnalysis | None) -> str:
    frames, lost = recorder.frames, recorder.frames_lost
    lines = [
        f"{harmless(recorder.path.name, 200)}: {(frames + lost) / found.rate_hz:.2f} s, {frames} frames, {lost} lost, "
        f"{recorder.bytes_written / 1e6:.1f} MB",
        f"{found.rate_hz:g} Hz ({found.rate_by_host_hz:.1f} Hz by this computer's clock), "
        f"worst delay {1000 * found.worst_delay_s:.0f} ms",
    ]
    if words := _words(live):
        lines.append("  ".join(["seen meanwhile, after the first 2 s:", *words]))
    if live is not None and (trouble := live.seen().trouble) and recorder.error is None:
        lines.append(f"the live analysis ended: {harmless(trouble, 300)}")
    return "\n".join(lines)
