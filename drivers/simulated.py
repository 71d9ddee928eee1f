"""A treadmill that exists in software only: ``simulated:treadmill``; and a counter of frames: ``simulated:counter``.

Both are ordinary devices: paced by the host's clock (``pace=1``), by a multiple of it, or not at all (``pace=0``: as
fast as frames are asked for). The same options give the same values, however they are read. Faults come on request::

    fault=gap@2.5:100,stall@5:1,disconnect@20

is a comma between faults, each ``KIND@SECONDS`` of the signal, and behind a colon how much of it (`FAULTS`).

``simulated:belts`` is for `balancecore.capture.open_treadmill`: belts that only have a speed.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from balancecore.capture.device import Channel, Description, Discovery, Found, Option
from balancecore.capture.treadmill import BeltCommand, BeltLimits, BeltLink, BeltState
from balancecore.errors import DataError, DeviceError, DeviceLostError, DeviceNotFoundError
from balancecore.simulate import LEFT, RIGHT, WALK, Endless
from balancecore.trial import CHANNELS, Layout, check_rate

from ._played import PlayedDevice

__all__ = ["CALIBRATION", "FAULTS", "Fault", "SimulatedBelts", "SimulatedDevice"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class _Kind:
    amount: float
    meaning: str
    of_values: bool = False


#: What can go wrong on request, with the amount that is taken where none is given.
FAULTS: Mapping[str, _Kind] = MappingProxyType(
    {
        "gap": _Kind(100, "so many frames are lost"),
        "overrun": _Kind(1, "for so many seconds nothing can be read; what came meanwhile is lost"),
        "stall": _Kind(math.inf, "for so many seconds nothing can be read; what came meanwhile waits"),
        "disconnect": _Kind(0, "the device is gone; takes no amount"),
        "nan": _Kind(100, "so many frames have no value (NaN)", of_values=True),
        "saturation": _Kind(
            100, "Fz of the first belt is at the end of its range for so many frames", of_values=True
        ),
        "drift": _Kind(1, "from then on Fz of every belt rises by so many N per second", of_values=True),
    }
)

#: ``wrench = CALIBRATION @ volts`` of each belt with ``output=volts``: N and N*m per V. A made-up matrix, with the
#: cross-talk between channels that a real one has.
CALIBRATION: FloatArray = np.diag([250.0, 250.0, 500.0, 400.0, 150.0, 100.0]) + np.array(
    [
        [0.0, 2.5, -1.5, 0.5, 0.0, 0.5],
        [-2.0, 0.0, 3.0, 0.0, -0.5, 0.5],
        [1.0, -4.0, 0.0, 0.5, 1.0, 0.0],
        [0.5, -1.0, 2.0, 0.0, 0.5, -0.5],
        [-0.5, 0.5, 1.5, 1.0, 0.0, 0.5],
        [0.5, 0.5, -0.5, 0.0, 0.5, 0.0],
    ]
)
CALIBRATION.flags.writeable = False
_RANGE_V = 10.0
_TRIGGER_V, _TRIGGER_S = 5.0, 0.01
_EMG_QUIET_V, _EMG_LOUD_V, _EMG_LOAD_N = 2e-5, 5e-4, 50.0
_MOST_CHANNELS = 64


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong on request.

    Attributes
    ----------
    kind : str
        One of `FAULTS`.
    at_s : float
        Time of the signal, s.
    amount : float
        How much, in the unit that `FAULTS` says.
    """

    kind: str
    at_s: float
    amount: float

    @classmethod
    def parse(cls, text: str) -> tuple[Fault, ...]:
        """The faults of an address, in the order of their times; a DataError says which one is none."""
        faults = [cls._one(word.strip()) for word in text.split(",") if word.strip()]
        return tuple(sorted(faults, key=lambda fault: fault.at_s))

    @classmethod
    def _one(cls, word: str) -> Fault:
        kind, _, when = word.partition("@")
        at, colon, much = when.partition(":")
        if kind not in FAULTS:
            raise DataError(f"fault={word!r}: {kind!r} is none of {', '.join(FAULTS)}")
        try:
            fault = cls(kind, float(at), float(much) if colon else FAULTS[kind].amount)
        except ValueError as error:
            raise DataError(f"fault={word!r}: KIND@SECONDS or KIND@SECONDS:AMOUNT is wanted") from error
        if colon and kind == "disconnect":
            raise DataError(f"fault={word!r}: a device is disconnected for good; it takes no amount")
        wrong = not 0 <= fault.at_s < math.inf or math.isnan(fault.amount)
        if wrong or (kind != "drift" and fault.amount < 0) or (kind != "stall" and math.isinf(fault.amount)):
            raise DataError(f"fault={word!r}: its time and amount can't be negative or without end")
        return fault


class _Signal(Protocol):
    """What plays: frames from 0 on, one after the other."""

    def fill(self, out: FloatArray) -> None: ...
    def skip(self, n: int) -> None: ...


class _Counter:
    """Channel 0 counts frames; channel k is ``k + 0.001 (frame mod 1000)``."""

    def __init__(self) -> None:
        self._next = 0

    def fill(self, out: FloatArray) -> None:
        frames = np.arange(self._next, self._next + len(out))
        out[:, 0] = frames
        out[:, 1:] = np.arange(1, out.shape[1]) + 0.001 * (frames % 1000)[:, None]
        self._next += len(out)

    def skip(self, n: int) -> None:
        self._next += n


class _Treadmill:
    """Belts, extra channels and belt speed, made a block at a time."""

    def __init__(self, endless: Endless, channels: tuple[Channel, ...], options: Mapping[str, Any]) -> None:
        self._endless, self._channels, self._options = endless, channels, options
        self._rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([options["seed"], 1])))
        self._drifts = [fault for fault in Fault.parse(options["fault"]) if fault.kind == "drift"]
        self._to_volts = np.linalg.inv(CALIBRATION).T
        self._low = np.array([-math.inf if c.low is None else c.low for c in channels])
        self._high = np.array([math.inf if c.high is None else c.high for c in channels])
        self._block = np.empty((0, len(channels)))
        self._base = 0

    def fill(self, out: FloatArray) -> None:
        done = 0
        while done < len(out):
            if not len(self._block):
                self._block = self._make()
            part = self._block[: len(out) - done]
            out[done : done + len(part)] = part
            self._block = self._block[len(part) :]
            done += len(part)

    def skip(self, n: int) -> None:
        while n > 0:
            if not len(self._block):
                self._block = self._make()
            step = min(n, len(self._block))
            self._block = self._block[step:]
            n -= step

    def _make(self) -> FloatArray:
        forces = self._endless.block()
        t = (self._base + np.arange(len(forces))) / self._endless.rate_hz
        self._base += len(forces)
        for fault in self._drifts:
            forces[:, 2::6] += (fault.amount * np.maximum(t - fault.at_s, 0.0))[:, None]
        loaded = (forces[:, 2::6] > _EMG_LOAD_N).any(axis=1)
        if self._options["output"] == "volts":
            forces = (forces.reshape(-1, 6) @ self._to_volts).reshape(forces.shape)
        columns = [forces]
        if self._options["analog"]:
            columns.append(np.where(t % 1.0 < _TRIGGER_S, _TRIGGER_V, 0.0)[:, None])
            noise = self._rng.standard_normal((len(t), self._options["analog"] - 1))
            columns.append(noise * np.where(loaded, _EMG_LOUD_V, _EMG_QUIET_V)[:, None])
        if self._options["belt_speed"]:
            columns.append(np.full((len(t), len(self._endless.layout)), self._endless.speed_m_s))
        made = np.hstack(columns)
        return np.clip(made, self._low, self._high, out=made)


class SimulatedDevice(PlayedDevice):
    """``simulated:treadmill`` plays `balancecore.simulate.Endless`; ``simulated:counter`` counts frames.

    Frames wait for the reader for `buffer_s` seconds; then the oldest are lost, and told as lost.
    """

    SCHEMES: ClassVar[tuple[str, ...]] = ("simulated",)
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("rate_hz", 1000.0, "frames per second"),
        Option("pace", 1.0, "seconds of signal per second; 0: as fast as frames are asked for"),
        Option("buffer_s", 10.0, "seconds of signal that wait for the reader before frames are lost"),
        Option("fault", "", "KIND@SECONDS:AMOUNT, several with commas: what goes wrong, and when"),
        Option("channels", 8, "counter: number of channels"),
        Option("gait", "run", "treadmill: run or walk"),
        Option("seed", 0, "treadmill: of noise and variation; the same seed gives the same values"),
        Option("mass_kg", 70.0, "treadmill: body mass"),
        Option("speed_m_s", None, "treadmill: speed of the belts (3 running, 1.3 walking)", kind=float),
        Option("incline_deg", 0.0, "treadmill: incline, uphill positive"),
        Option("belts", "split", "treadmill: split or single"),
        Option("first_side", "L", "treadmill: foot that lands first, L or R"),
        Option("left_contact_s", None, "treadmill: contact time of the left foot", kind=float),
        Option("right_contact_s", None, "treadmill: contact time of the right foot", kind=float),
        Option(
            "left_impact_m_s", None, "treadmill: change of velocity at impact, left (running)", kind=float
        ),
        Option(
            "right_impact_m_s", None, "treadmill: change of velocity at impact, right (running)", kind=float
        ),
        Option("jitter", 0.0, "treadmill: variation from step to step (coefficient of variation)"),
        Option("noise_n", 0.0, "treadmill: standard deviation of the noise of Fz, N"),
        Option("hum_n", 0.0, "treadmill: amplitude of mains hum (50 Hz) of Fz, N"),
        Option("drift_n", 0.0, "treadmill: what Fz of the unloaded belts reads, N"),
        Option("start_s", 0.5, "treadmill: nobody is on it for so many seconds at first"),
        Option(
            "output", "newtons", "treadmill: newtons, or volts that simulated.CALIBRATION turns into them"
        ),
        Option("analog", 0, "treadmill: extra channels in V: a trigger each second, then EMG-like noise"),
        Option("belt_speed", False, "treadmill: a channel of speed for each belt"),
    )

    _signal: _Signal
    _sequence: list[tuple[int, Fault]]

    @classmethod
    def discover(cls) -> Discovery:
        """Both are always there."""
        return Discovery(
            "simulated",
            (
                Found("simulated:treadmill", "simulated treadmill", simulated=True),
                Found("simulated:counter", "simulated counter", simulated=True),
            ),
        )

    def _open(self) -> Description:
        kinds: dict[str, Callable[[], Description]] = {
            "treadmill": self._open_treadmill,
            "counter": self._open_counter,
        }
        if self.address.path not in kinds or self.address.host:
            raise DeviceNotFoundError(f"{self}: there are simulated:treadmill and simulated:counter")
        check_rate(self.options["rate_hz"])
        if self.options["pace"] < 0 or self.options["buffer_s"] <= 0:
            raise DataError(f"{self}: pace can't be negative, and buffer_s is a positive time")
        self._faults = Fault.parse(self.options["fault"])
        self._gone = False
        described = kinds[self.address.path]()
        if self.options["fault"]:
            described = replace(
                described, notes=(*described.notes, f"on request: fault={self.options['fault']}")
            )
        return described

    def _open_counter(self) -> Description:
        foreign = [o.name for o in self.OPTIONS if o.meaning.startswith("treadmill:")]
        if wrong := sorted(set(foreign) & set(self.address.options)):
            raise DataError(f"{self}: the counter has no option {wrong[0]!r}")
        if not 1 <= self.options["channels"] <= _MOST_CHANNELS:
            raise DataError(
                f"{self}: channels={self.options['channels']}: 1 to {_MOST_CHANNELS} are possible"
            )
        for fault in self._faults:
            if FAULTS[fault.kind].of_values:
                raise DataError(f"{self}: fault={fault.kind} is one of the treadmill, not of the counter")
        names = ["count", *(f"ai{k}" for k in range(1, self.options["channels"]))]
        channels = tuple(Channel(name) for name in names)
        return Description("simulated counter", "", self.options["rate_hz"], channels, simulated=True)

    def _open_treadmill(self) -> Description:
        if "channels" in self.address.options:
            raise DataError(f"{self}: the treadmill has no option 'channels'")
        if self.options["output"] not in ("newtons", "volts"):
            raise DataError(f"{self}: output={self.options['output']!r} is newtons or volts")
        if not 0 <= self.options["analog"] <= _MOST_CHANNELS:
            raise DataError(f"{self}: analog={self.options['analog']}: 0 to {_MOST_CHANNELS} are possible")
        layout, volts = self._endless().layout, self.options["output"] == "volts"
        return Description(
            "simulated treadmill",
            f"seed {self.options['seed']}",
            self.options["rate_hz"],
            _channels(layout, volts, self.options["analog"], self.options["belt_speed"]),
            simulated=True,
            layout=None if volts else layout,
            notes=("volts: wrench = balancecore.drivers.simulated.CALIBRATION @ volts",) if volts else (),
        )

    def _endless(self) -> Endless:
        o = self.options
        running = o["gait"] == "run"
        limbs: dict[str, Any] = {}
        for side, limb in (("left", LEFT if running else WALK), ("right", RIGHT if running else WALK)):
            given = {"contact_s": o[f"{side}_contact_s"], "impact_dv_m_s": o[f"{side}_impact_m_s"]}
            changed = {name: value for name, value in given.items() if value is not None}
            if "impact_dv_m_s" in changed and not running:
                raise DataError(f"{self}: {side}_impact_m_s is for running; walking has no impact")
            limbs[side] = replace(limb, **changed)
        if o["gait"] not in ("run", "walk"):
            limbs = {}
        same = (
            "rate_hz",
            "mass_kg",
            "speed_m_s",
            "incline_deg",
            "belts",
            "first_side",
            "noise_n",
            "hum_n",
            "drift_n",
            "start_s",
            "seed",
        )
        return Endless(o["gait"], step_jitter=o["jitter"], **limbs, **{name: o[name] for name in same})

    def _begin(self) -> float:
        if self._gone:
            raise DeviceLostError(f"{self}: it is disconnected")
        if self.address.path == "counter":
            self._signal = _Counter()
        else:
            self._signal = _Treadmill(self._endless(), self.channels, self.options)
        frames = [(math.ceil(fault.at_s * self.rate_hz), fault) for fault in self._faults]
        self._sequence = [item for item in frames if not FAULTS[item[1].kind].of_values]
        self._spoiled = [item for item in frames if item[1].kind in ("nan", "saturation")]
        self._until: float | None = None
        self._capacity = max(1, round(self.options["buffer_s"] * self.rate_hz))
        return float(self.options["pace"])

    def _ready(self, due: int) -> int:
        while self._sequence and self._next >= self._sequence[0][0] and due > self._next:
            if not self._happens(self._sequence[0][1]):
                return 0
            self._sequence.pop(0)
        if self.options["pace"] and due - self._next > self._capacity:
            self._skip(due - self._next - self._capacity)
        until = self._sequence[0][0] if self._sequence else due
        return min(due, until) - self._next

    def _happens(self, fault: Fault) -> bool:
        """Let a fault happen; whether it is over."""
        if fault.kind == "gap":
            self._skip(round(fault.amount))
            return True
        if fault.kind == "disconnect":
            self._gone = True
            raise DeviceLostError(f"{self}: it was disconnected at {fault.at_s:g} s, as asked for")
        if self._until is None:
            self._until = time.monotonic() + fault.amount
            return False
        if time.monotonic() < self._until:
            return False
        self._until = None
        if fault.kind == "overrun":
            # What is due now: the caller's number may be from before the end of the pause.
            due = self._clock.due()
            self._skip(due - self._next if self.options["pace"] else round(fault.amount * self.rate_hz))
        return True

    def _skip(self, n: int) -> None:
        self._signal.skip(n)
        self._next += n
        self._lose(n)

    def _fill(self, out: FloatArray) -> None:
        self._signal.fill(out)
        for first, fault in self._spoiled:
            part = out[max(0, first - self._next) : max(0, first + round(fault.amount) - self._next)]
            if fault.kind == "nan":
                part[:] = math.nan
            else:
                part[:, 2] = self.channels[2].high

    def self_test(self, seconds: float = 1.0) -> str | None:
        """Count the counter's frames; the treadmill has no test signal."""
        if self.address.path != "counter":
            return None
        out = np.empty((max(1, round(0.1 * self.rate_hz)), len(self.channels)))
        until = time.monotonic() + seconds
        self.start()
        try:
            read = False
            # At least once, or a machine that was busy for so long would have tested nothing.
            while not read or time.monotonic() < until:
                read = True
                n = self.read_into(out, timeout_s=0.1)
                index = self.frames_read + self.frames_lost - n
                if not np.array_equal(out[:n, 0], np.arange(index, index + n)):
                    raise DeviceError(f"{self}: the counter and the frames differ from frame {index} on")
            return f"{self.frames_read} frames counted without a break, {self.frames_lost} told as lost"
        finally:
            self.stop()

    def status(self) -> Mapping[str, str | int | float | bool | None]:
        """How many frames wait to be read: ``waiting``; None where nothing holds them back or it does not run."""
        if self.state != "running" or not self.options["pace"]:
            return {"waiting": None}
        return {"waiting": max(0, self._clock.due() - self._next)}


class SimulatedBelts(BeltLink):
    """``simulated:belts``: belts that run at a speed, and do what they are told."""

    SCHEMES: ClassVar[tuple[str, ...]] = ("simulated",)
    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("speed_m_s", 3.0, "of both belts at first"),
        Option("incline_deg", 0.0, "at first"),
        Option("status_hz", 100.0, "how often they tell it"),
    )
    CAP: ClassVar[BeltLimits] = BeltLimits(6.5, 3.0, 15.0, reverse=True)

    def connect(self) -> None:
        """Begin."""
        if self.address.path != "belts" or self.address.host:
            raise DeviceNotFoundError(f"{self}: there is simulated:belts")
        if not 0 < self.options["status_hz"] <= 1000:
            raise DataError(
                f"{self}: status_hz={self.options['status_hz']:g}: up to 1000 a second are possible"
            )
        self._speeds = np.full(2, float(self.options["speed_m_s"]))
        self._target = BeltCommand(self._speeds[0], self._speeds[1], 1.0, float(self.options["incline_deg"]))
        self._told = time.monotonic() - 1 / self.options["status_hz"]
        self._closed = threading.Event()

    def poll(self, timeout_s: float) -> Sequence[BeltState]:
        """One state, when it is due."""
        wait = self._told + 1 / self.options["status_hz"] - time.monotonic()
        if self._closed.wait(min(max(wait, 0.0), timeout_s)) or wait > timeout_s:
            return ()
        now, target = time.monotonic(), self._target
        most = target.acceleration_m_s2 * (now - self._told)
        wanted = np.array([target.speed_left_m_s, target.speed_right_m_s])
        self._speeds = self._speeds + np.clip(wanted - self._speeds, -most, most)
        self._told = now
        return (BeltState(now, float(self._speeds[0]), float(self._speeds[1]), target.incline_deg),)

    def send(self, command: BeltCommand) -> None:
        """Take it."""
        self._target = command

    def close(self) -> None:
        """End a poll."""
        if hasattr(self, "_closed"):
            self._closed.set()


def _channels(layout: Layout, volts: bool, analog: int, belt_speed: bool) -> tuple[Channel, ...]:
    """The columns of the treadmill; the ranges in N and N·m are those of the amplifiers of ``output=volts``."""
    names = [name.split()[0] for name in layout.names]
    out = []
    for belt in names:
        for k, name in enumerate(CHANNELS):
            end = _RANGE_V if volts else _RANGE_V * float(CALIBRATION[k, k])
            out.append(Channel(f"{belt} {name}", "V" if volts else ("N" if k < 3 else "N*m"), -end, end))
    out += [Channel("trigger" if k == 0 else f"emg {k}", "V", -_RANGE_V, _RANGE_V) for k in range(analog)]
    if belt_speed:
        out += [Channel(f"{belt} speed", "V" if volts else "m/s", -_RANGE_V, _RANGE_V) for belt in names]
    return tuple(out)
