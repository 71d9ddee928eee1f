"""Record a device and analyse it live for a while; check every frame, and print CPU, delays, fill and latency.

``python benchmarks/soak_recording.py ADDRESS --seconds 60`` takes any address, such as
``simulated:treadmill?rate_hz=10000&analog=4`` (16 channels). Three consumers read the same acquisition: the
recorder, a `GaitStream` (on the first channels, if the device does not say which are wrenches), and a check that no
frame is lost, doubled or misplaced. The file is read back and compared:

* with ``--counts`` channel 0 of the device counts frames, and is checked live and in the file;
* a simulated treadmill is played again, as fast as it goes, and has to be what was recorded, bit for bit.

For ``{ni}`` in the address the tests' simulated NI server is started, as in soak.py.

Latency: from the moment at which a frame was due at the device to that at which the app has the event of a contact
that this frame confirms. When frames are due is told by the promptest block of the run (the device's own delay is not
in it).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import balancecore as bc
from balancecore.capture import Acquisition, BlockTime, Recorder, Recording, Rig, Tap, open_device
from balancecore.errors import DeviceError
from soak import simulators

Number = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Live(threading.Thread):
    """Pushes a tap into a stream; notes when each event was there, and what a push took."""

    def __init__(self, tap: Tap, rig: Rig | None, rate_hz: float, width: int) -> None:
        super().__init__(name="live")
        self.tap, self.rig = tap, rig
        plates = bc.Layout.split_belt() if width >= 12 else bc.Layout.single_belt()
        layout = plates if rig is None else rig.layout
        self.stream = bc.GaitStream(layout, rate_hz=rate_hz, mass_kg=70.0)
        self.width = 6 * len(layout)
        self.events: list[tuple[float, float, float]] = []
        self.pushes: list[float] = []
        self.times: list[BlockTime] = []
        self.steps = self.lost = 0

    def run(self) -> None:
        for block in self.tap:
            began = time.perf_counter()
            frames = (
                block.frames[:, : self.width].copy() if self.rig is None else self.rig.wrenches(block.frames)
            )
            self.steps += len(self.stream.push(bc.Block(frames, block.lost_before)))
            now = time.perf_counter()
            self.events += [(event.time_s, event.confirmed_s, now) for event in self.stream.events]
            self.pushes.append(now - began)
            self.times += block.times
            self.lost += block.lost_before


class Counting(threading.Thread):
    """Channel 0 counts frames: each has to be the one after that before it."""

    def __init__(self, tap: Tap, counts: bool, modulus: int, number: Number) -> None:
        super().__init__(name="check")
        self.tap, self.counts, self.modulus, self.number = tap, counts, modulus, number
        self.frames = 0
        self.wrong = ""

    def run(self) -> None:
        for block in self.tap:
            if self.counts and not self.wrong:
                self.wrong = misplaced(self.number(block.frames), block.index, self.modulus)
            self.frames += len(block.frames)


def misplaced(count: NDArray[np.float64], first: int, modulus: int) -> str:
    """What is wrong with a counting channel; empty: nothing."""
    expected = np.arange(first, first + len(count), dtype=np.float64)
    if modulus:
        expected %= modulus
    if np.array_equal(count, expected):
        return ""
    at = int(np.flatnonzero(count != expected)[0])
    return f"frame {first + at}: channel 0 says {count[at]:.0f}, not {expected[at]:.0f}"


def compare(recording: Recording, address: str, counts: bool, modulus: int, number: Number) -> str:
    """What is wrong with a file; empty: nothing."""
    raw, gaps = recording.raw(), recording.gaps
    if len(gaps):
        return f"{int(gaps[:, 1].sum())} frames are missing in the file"
    if counts:
        return misplaced(number(raw), 0, modulus)
    if not address.startswith("simulated:treadmill"):
        return ""
    out = np.empty((20_000, raw.shape[1]))
    at = 0
    with open_device(f"{address}{'&' if '?' in address else '?'}pace=0") as device:
        device.start()
        while at < len(raw):
            n = device.read_into(out[: len(raw) - at])
            if not np.array_equal(out[:n], raw[at : at + n]):
                return f"the file differs from the signal between frames {at} and {at + n}"
            at += n
    return ""


def quantiles(name: str, values: NDArray[np.float64], scale: float, unit: str) -> str:
    if not len(values):
        return f"{name}: none"
    p50, p99, worst = np.percentile(scale * values, [50, 99, 100])
    return f"{name}: median {p50:.1f}, p99 {p99:.1f}, worst {worst:.1f} {unit} (n = {len(values)})"


def first_channel(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    return frames[:, 0]


def soak(
    address: str,
    seconds: float,
    block_s: float,
    counts: bool,
    modulus: int,
    folder: Path,
    number: Number = first_channel,
) -> list[str]:
    """Record for so many seconds; what went wrong. Prints the figures. `number` reads the count out of frames."""
    wrong = []
    with open_device(address) as device:
        rate_hz, width = device.rate_hz, len(device.channels)
        print(
            f"{device.description.model}: {width} channels at {rate_hz:g} Hz, blocks of {1000 * block_s:g} ms"
        )
        for note in device.description.notes:
            print(f"  {note}")
        rig = None if device.description.layout is None else Rig.for_device(device)
        acquisition = Acquisition(device, block_s=block_s)
        recorder = Recorder(acquisition, folder / "soak.tdms", rig=rig, seconds=seconds)
        live = Live(acquisition.subscribe(overrun="gap", name="live"), rig, rate_hz, width)
        check = Counting(acquisition.subscribe(name="check"), counts, modulus, number)
        began, cpu = time.perf_counter(), time.process_time()
        with recorder, acquisition:
            live.start()
            check.start()
            recorder.wait()
            wall, used = time.perf_counter() - began, time.process_time() - cpu
        live.join()
        check.join()
        found = acquisition.statistics()
    wrong += [check.wrong] if check.wrong else []
    wrong += [f"{live.lost} frames did not reach the live analysis"] if live.lost else []
    wrong += [f"{found.frames_lost} frames lost by the device"] if found.frames_lost else []
    began = time.perf_counter()
    recording = Recording(recorder.path)
    opened = time.perf_counter() - began
    differs = compare(recording, address, counts, modulus, number)
    wrong += [differs] if differs else []

    print(
        f"{found.duration_s:.1f} s, {found.frames} frames, {found.frames_lost} lost, {found.rate_by_host_hz:.1f} Hz"
    )
    print(f"CPU {100 * used / wall:.1f} % of a core, all threads (the simulation of a simulated device too)")
    reads_hz, worst_ms = found.reads / found.duration_s, 1e3 * found.worst_delay_s
    print(f"{reads_hz:.0f} reads a second, worst delay between two {worst_ms:.1f} ms")
    for tap in found.taps:
        print(
            f"  {tap.name}: at most {tap.most_waiting} of {tap.capacity} frames waited, {tap.frames_lost} lost"
        )
    print(f"file: {recorder.bytes_written / 1e6:.1f} MB, {recording.frames} frames, read in {opened:.2f} s")
    print(quantiles("push of a block into the stream", np.array(live.pushes), 1e6, "us"))
    report_latency(live, rate_hz)
    print(f"{live.steps} steps, {len(live.events)} events")
    return wrong


def report_latency(live: Live, rate_hz: float) -> None:
    """Delays against the promptest block, whose last frame was here as soon as it was due."""
    if not live.times:
        return
    due = min(at.monotonic_s - (at.first + at.frames) / rate_hz for at in live.times)
    here = np.array([at.monotonic_s - (at.first + at.frames) / rate_hz - due for at in live.times])
    print(quantiles("block here after its last frame was due", here, 1e3, "ms"))
    events = np.array(live.events).reshape(-1, 3)
    # One frame more: a frame is due when it has been sampled, and frame 0 is sampled at the start.
    confirmed = events[:, 2] - due - events[:, 1] - 1.0 / rate_hz
    crossed = events[:, 2] - due - events[:, 0] - 1.0 / rate_hz
    print(quantiles("event in the app after the frame that confirms it", confirmed, 1e3, "ms"))
    print(quantiles("event in the app after the foot crossed the level", crossed, 1e3, "ms"))


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "address", nargs="?", default="simulated:treadmill?rate_hz=10000&analog=4&noise_n=3&jitter=0.02"
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--block", type=float, default=0.02, metavar="S", help="block of the acquisition, s")
    parser.add_argument("--counts", action="store_true", help="channel 0 counts frames: check it")
    parser.add_argument("--modulus", type=int, default=0, help="frames after which it begins again at 0")
    parser.add_argument(
        "--folder", type=Path, help="where the recording goes and stays (default: a temporary one)"
    )
    asked = parser.parse_args(args)
    with contextlib.ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = asked.address
        if "{ni}" in address:
            address = address.replace("{ni}", stack.enter_context(simulators().Server()).host)
        try:
            wrong = soak(address, asked.seconds, asked.block, asked.counts, asked.modulus, folder)
        except DeviceError as error:
            wrong = [str(error)]
    for line in wrong:
        print(f"WRONG: {line}")
    print("nothing lost, doubled or misplaced" if not wrong else "failed")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
