"""Measure from a device for a while, check every block, and print CPU, delays and how full its buffer was.

``python benchmarks/soak.py 'ni+grpc://{ni}/Dev1/ai0:15?rate_hz=10000' --counts --seconds 60`` takes any address of a
device. For ``{ni}`` it starts the tests' simulated NI gRPC Device Server, in a process of its own. With ``--counts``
channel 0 counts frames, and every lost, doubled or misplaced one ends the run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from balancecore.capture import Device, open_device

SIMULATORS = Path(__file__).parents[1] / "tests" / "drivers" / "ni_simulators.py"
#: What one read may take at most, as a time, s.
BLOCK_S = 0.25


@dataclass
class Soak:
    """What a run saw.

    Attributes
    ----------
    wall_s, cpu_s : float
        Time that passed, and that this process worked.
    frames, lost : int
    wait_s : list of float
        For each block: how long after its last frame was due it was here, s, against the promptest block.
    fill : list of float
        How full the device's own buffer was, once a second, where it tells.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    frames: int = 0
    lost: int = 0
    wait_s: list[float] = field(default_factory=list)
    fill: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        late = 1e3 * (np.array(self.wait_s) - min(self.wait_s))
        p50, p99, worst = np.percentile(late, [50, 99, 100])
        fill = f"{100 * max(self.fill):.2f} %" if self.fill else "not told"
        return (
            f"{self.wall_s:.1f} s, {self.frames} frames in {len(late)} reads ({len(late) / self.wall_s:.0f} a second), "
            f"{self.lost} lost\n"
            f"CPU {100 * self.cpu_s / self.wall_s:.1f} % of a core; "
            f"delay p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {worst:.1f} ms; buffer at most {fill} full"
        )


def soak(
    device: Device,
    seconds: float,
    counts: bool = False,
    modulus: int = 0,
    use: Callable[[NDArray[np.float64]], object] = lambda frames: None,
) -> Soak:
    """Read an open device for so many seconds and hand every block to `use`."""
    told = Soak()
    out = np.empty((max(1, int(device.rate_hz * BLOCK_S)), len(device.channels)))
    device.start()
    began = asked = time.monotonic()
    cpu = time.process_time()
    while (now := time.monotonic()) < began + seconds:
        n = device.read_into(out)
        if n:
            due = (device.frames_read + device.frames_lost) / device.rate_hz
            told.wait_s.append(time.monotonic() - began - due)
            if counts:
                check(out[:n, 0], device.frames_read + device.frames_lost - n, modulus)
            use(out[:n])
        if now >= asked + 1 and "buffer_fill" in (status := device.status()):
            asked = now
            told.fill.append(float(status["buffer_fill"] or 0.0))
    told.wall_s, told.cpu_s = time.monotonic() - began, time.process_time() - cpu
    told.frames, told.lost = device.frames_read, device.frames_lost
    device.stop()
    return told


def check(count: NDArray[np.float64], first: int, modulus: int) -> None:
    """Channel 0 counts frames: each has to be the one after that before it."""
    expected = np.arange(first, first + len(count), dtype=np.float64)
    if modulus:
        expected %= modulus
    if not np.array_equal(count, expected):
        at = int(np.flatnonzero(count != expected)[0])
        raise SystemExit(f"frame {first + at}: channel 0 says {count[at]:.0f}, not {expected[at]:.0f}")


def simulators() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ni_simulators", SIMULATORS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(args: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--counts", action="store_true", help="channel 0 counts frames: check it")
    parser.add_argument("--modulus", type=int, default=0, help="frames after which it begins again at 0")
    asked = parser.parse_args(args)
    with contextlib.ExitStack() as stack:
        address = asked.address
        if "{ni}" in address:
            address = address.replace("{ni}", stack.enter_context(simulators().Server()).host)
        device = stack.enter_context(open_device(address))
        print(
            f"{device.description.model}: {len(device.channels)} channels at {device.rate_hz:g} Hz",
            flush=True,
        )
        for note in device.description.notes:
            print(f"  {note}")
        print(soak(device, asked.seconds, asked.counts, asked.modulus))


if __name__ == "__main__":
    main(sys.argv[1:])
