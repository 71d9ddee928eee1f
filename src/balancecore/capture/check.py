"""Whether a device does what it says: a smoke test for real hardware, ``balancecore devices --check ADDRESS``."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from balancecore.capture.device import Address, Channel, Device, device_schemes, open_device
from balancecore.capture.treadmill import FRESH_S, BeltState, open_treadmill, treadmill_schemes
from balancecore.errors import BalanceCoreError, DataError
from balancecore.plates import RANGE_FRACTION

__all__ = ["CheckLine", "DeviceCheck", "check_device"]

FloatArray = NDArray[np.float64]
Verdict = Literal["pass", "FAIL", "note"]

#: By how much the rate may differ from the host's clock: crystals are good to 0.01 %, but blocks arrive late by some
#: hundredths of a second on a busy machine, which matters more the shorter the test is.
RATE_SHARE, RATE_LATE_S = 0.005, 0.05
#: A reader that waits longer than this between blocks has a device, or a machine, that stalls.
LONGEST_WAIT_S = 1.0
#: What `Device.stop` may take.
LONGEST_STOP_S = 2.0
_BLOCK_S = 0.05


@dataclass(frozen=True)
class CheckLine:
    """One thing that was looked at.

    Attributes
    ----------
    what : str
    verdict : {"pass", "FAIL", "note"}
        A note is for a person to judge.
    seen : str
        What was measured.
    """

    what: str
    verdict: Verdict
    seen: str


@dataclass(frozen=True)
class DeviceCheck:
    """What :func:`check_device` found.

    Attributes
    ----------
    address : str
    lines : tuple of CheckLine
        In the order of the test.
    figures : mapping
        The numbers behind them: ``rate_hz``, ``rate_seen_hz``, ``frames``, ``lost``, ``longest_wait_s``, ``stop_s``,
        and ``channels``, each with name, unit, mean, sd, noise, low, high, at_end and missing.
    """

    address: str
    lines: tuple[CheckLine, ...]
    figures: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(line.verdict != "FAIL" for line in self.lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "address": self.address,
            "passed": self.passed,
            "lines": [asdict(line) for line in self.lines],
            "figures": self.figures,
        }

    def __str__(self) -> str:
        rows = [f"  {line.verdict:<5} {line.what:<12} {line.seen}" for line in self.lines]
        return "\n".join([self.address, *rows])


def check_device(address: str, seconds: float = 5.0) -> DeviceCheck:
    """Open a device, read it for a while, and say what it does.

    Parameters
    ----------
    address : str
        As for :func:`open_device`; or of a treadmill, as for :func:`open_treadmill`, which is only listened to.
    seconds : float
        How long to read, s.

    Returns
    -------
    DeviceCheck
        An error of the device is a line that fails, and the last one.

    Raises
    ------
    DataError
        `address` or `seconds` makes no sense.
    """
    if not 0.2 <= seconds <= 86400:
        raise DataError(f"seconds={seconds!r}: a check takes 0.2 s to a day")
    scheme = Address.parse(address).scheme
    return _Check(address).run(seconds, belts=scheme in treadmill_schemes() - device_schemes())


class _Check:
    """A check under way."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.lines: list[CheckLine] = []
        self.figures: dict[str, Any] = {}
        self.doing = ""

    def run(self, seconds: float, belts: bool) -> DeviceCheck:
        self.doing = "open"
        try:
            if belts:
                self.listen(seconds)
            else:
                self.measure(seconds)
            self.add("close", "pass", "")
        except DataError:
            raise
        except BalanceCoreError as error:
            self.add(self.doing, "FAIL", str(error))
        return DeviceCheck(self.address, tuple(self.lines), self.figures)

    def measure(self, seconds: float) -> None:
        with open_device(self.address) as device:
            self.describe(device)
            self.doing = "read"
            self.read(device, seconds)
            self.doing = "restart"
            self.restart(device)
            self.doing = "self-test"
            seen = device.self_test(min(1.0, seconds))
            self.add(self.doing, "note" if seen is None else "pass", seen or "the device has none")
            self.doing = "close"

    def listen(self, seconds: float) -> None:
        """What a treadmill says of its belts; it is told nothing."""
        with open_treadmill(self.address) as treadmill:
            self.add("open", "pass", f"{treadmill}: listening; no command is sent")
            self.doing = "status"
            states: list[BeltState] = []
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(min(_BLOCK_S, seconds))
                states += treadmill.samples()
            self.doing = "close"
        times = np.array([state.time_s for state in states])
        longest = float(np.diff(times, append=until).max()) if states else seconds
        self.figures |= {"statuses": len(states), "longest_wait_s": longest}
        self.add("status", bool(states), f"{len(states)} in {seconds:g} s")
        self.add("timing", longest <= FRESH_S, f"longest wait {1000 * longest:.0f} ms")
        for name in ("speed_left_m_s", "speed_right_m_s", "incline_deg") if states else ():
            values = [getattr(state, name) for state in states]
            self.add(name, "note", f"{min(values):g} to {max(values):g}: is it what the treadmill shows?")

    def add(self, what: str, verdict: Verdict | bool, seen: str) -> None:
        if isinstance(verdict, bool):
            verdict = "pass" if verdict else "FAIL"
        self.lines.append(CheckLine(what, verdict, seen))

    def describe(self, device: Device) -> None:
        said = device.description
        kind = ", simulated" if said.simulated else ""
        self.figures["rate_hz"] = said.rate_hz
        self.add(
            "open",
            "pass",
            f"{f'{said.model} {said.serial}'.strip()}: {len(said.channels)} channels at {said.rate_hz:g} Hz{kind}",
        )
        for note in said.notes:
            self.add("device says", "note", note)

    def read(self, device: Device, seconds: float) -> None:
        channels = _Channels(device.channels)
        out = np.empty((max(1, round(_BLOCK_S * device.rate_hz)), len(device.channels)))
        arrivals = []
        failed: BalanceCoreError | None = None
        device.start()
        began = last = time.monotonic()
        longest = 0.0
        try:
            while last - began < seconds and longest <= LONGEST_WAIT_S:
                n = device.read_into(out, timeout_s=LONGEST_WAIT_S)
                now = time.monotonic()
                longest = max(longest, now - last)
                if n:
                    last = now
                    arrivals.append((now - began, device.frames_read + device.frames_lost))
                    channels.add(out[:n])
            status = dict(device.status())
        except BalanceCoreError as error:
            # What came before it is good, and may tell why.
            failed, status = error, {}
        ended = time.monotonic()
        device.stop()
        stop_s = time.monotonic() - ended
        self.figures |= {"frames": device.frames_read, "lost": device.frames_lost}
        self.figures |= {"longest_wait_s": longest, "stop_s": stop_s}
        self.add("frames", device.frames_read > 0, f"{device.frames_read} read in {ended - began:.1f} s")
        self.add("losses", device.frames_lost == 0, f"{device.frames_lost} frames")
        self.rate(np.array(arrivals).reshape(-1, 2), device.rate_hz)
        waits = f"{len(arrivals)} blocks, longest wait {1000 * longest:.0f} ms"
        self.add("timing", longest <= LONGEST_WAIT_S, waits)
        self.add("stop", stop_s <= LONGEST_STOP_S, f"{1000 * stop_s:.0f} ms")
        if device.frames_read:
            self.figures["channels"] = channels.figures()
            for entry in self.figures["channels"]:
                self.channel(entry)
        if status:
            self.add("status", "note", ", ".join(f"{name}={value}" for name, value in status.items()))
        if failed is not None:
            raise failed

    def rate(self, arrivals: FloatArray, told_hz: float) -> None:
        """Frames against the host's clock: the slope of a line through the arrival of every block."""
        if len(arrivals) < 3 or not np.ptp(arrivals[:, 0]):
            self.add("rate", "FAIL", "too few blocks came to tell")
            return
        seen_hz = float(np.polyfit(arrivals[:, 0], arrivals[:, 1], 1)[0])
        self.figures["rate_seen_hz"] = seen_hz
        allowed = RATE_SHARE + RATE_LATE_S / float(np.ptp(arrivals[:, 0]))
        differs = f"{100 * (seen_hz / told_hz - 1):+.2f} %"
        said = f"{seen_hz:.1f} Hz by this computer's clock, {told_hz:g} Hz as told ({differs})"
        self.add("rate", abs(seen_hz / told_hz - 1) <= allowed, said)

    def channel(self, entry: dict[str, Any]) -> None:
        unit = entry["unit"]
        if entry["mean"] is None:
            self.add(entry["name"], "FAIL", "no value at all")
            return
        said = f"mean {entry['mean']:.6g} {unit}, SD {entry['sd']:.3g}, noise {entry['noise']:.3g}"
        said += f", {entry['low']:.6g} to {entry['high']:.6g}"
        verdict: Verdict = "pass"
        if entry["low"] == entry["high"]:
            verdict, said = "note", f"{said}; it never changes: is it connected?"
        if entry["at_end"]:
            verdict, said = "FAIL", f"{said}; {entry['at_end']} values at the end of the range"
        if entry["missing"]:
            verdict, said = "FAIL", f"{said}; {entry['missing']} values are missing"
        self.add(entry["name"], verdict, said)

    def restart(self, device: Device) -> None:
        out = np.empty((max(1, round(_BLOCK_S * device.rate_hz)), len(device.channels)))
        device.start()
        until = time.monotonic() + 2 * LONGEST_WAIT_S
        while not device.frames_read and time.monotonic() < until:
            device.read_into(out, timeout_s=LONGEST_WAIT_S)
        device.stop()
        self.add("restart", device.frames_read > 0, f"{device.frames_read} frames after a second start")


class _Channels:
    """Sums over frames, about the first finite value of each channel so that nothing cancels."""

    def __init__(self, channels: tuple[Channel, ...]) -> None:
        self.channels = channels
        k = len(channels)
        self.origin = np.full(k, math.nan)
        self.n, self.missing, self.at_end, self.steps = (np.zeros(k, dtype=np.int64) for _ in range(4))
        self.sum, self.squares, self.step_squares = (np.zeros(k) for _ in range(3))
        self.low, self.high = np.full(k, math.inf), np.full(k, -math.inf)
        self.ends = (
            np.array([-math.inf if c.low is None else _near(c.low, c) for c in channels]),
            np.array([math.inf if c.high is None else _near(c.high, c) for c in channels]),
        )

    def add(self, frames: FloatArray) -> None:
        good = np.isfinite(frames)
        first = frames[good.argmax(axis=0), np.arange(len(self.channels))]
        self.origin = np.where(np.isfinite(self.origin), self.origin, first)
        from_origin = np.where(good, frames - self.origin, 0.0)
        self.n += good.sum(axis=0)
        self.missing += (~good).sum(axis=0)
        self.sum += from_origin.sum(axis=0)
        self.squares += (from_origin**2).sum(axis=0)
        steps = np.diff(frames, axis=0)
        counted = np.isfinite(steps)
        self.steps += counted.sum(axis=0)
        self.step_squares += (np.where(counted, steps, 0.0) ** 2).sum(axis=0)
        self.low = np.fmin(self.low, np.where(good, frames, math.inf).min(axis=0))
        self.high = np.fmax(self.high, np.where(good, frames, -math.inf).max(axis=0))
        self.at_end += ((frames <= self.ends[0]) | (frames >= self.ends[1])).sum(axis=0)

    def figures(self) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        for k, channel in enumerate(self.channels):
            n = int(self.n[k])
            entry: dict[str, Any] = {"name": channel.name, "unit": channel.unit}
            entry |= {"mean": None, "sd": None, "noise": None, "low": None, "high": None}
            if n:
                mean = self.sum[k] / n
                entry["mean"] = float(self.origin[k] + mean)
                entry["sd"] = math.sqrt(max(0.0, self.squares[k] / n - mean**2))
                # Of white noise on anything slow: differences have twice its variance.
                entry["noise"] = math.sqrt(self.step_squares[k] / (2 * max(1, int(self.steps[k]))))
                entry["low"], entry["high"] = float(self.low[k]), float(self.high[k])
            entry |= {"at_end": int(self.at_end[k]), "missing": int(self.missing[k])}
            out.append(entry)
        return out


def _near(end: float, channel: Channel) -> float:
    """A little inside one end of a channel's range."""
    if channel.low is None or channel.high is None:
        return RANGE_FRACTION * end
    middle = 0.5 * (channel.low + channel.high)
    return middle + RANGE_FRACTION * (end - middle)
