"""A model of NI-DAQmx: devices, tasks, a buffer that fills by the clock, NI's error codes, and faults.

It knows nothing of gRPC. Channel 0 of every task counts the ticks of its sample clock, so that a frame that is lost,
doubled or out of order shows; the others follow it, each in its own way. After a task stopped by itself the counter
goes on as if the clock had never stopped, so that a test sees how much is missing.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field

import numpy as np

NOT_YET, OVERWRITTEN = -200284, -200279
TEXTS = {
    NOT_YET: "Some or all of the samples requested have not yet been acquired.",
    OVERWRITTEN: "The application is not able to keep up with the hardware acquisition.",
    -200045: "Device has been removed. Data transfer has been aborted.",
    -200077: "Requested value is not a supported value for this property.",
    -200088: "Task specified is invalid or does not exist.",
    -200170: "Physical channel specified does not exist on this device.",
    -200197: "Specified property is not supported by the device.",
    -200220: "Device identifier is invalid.",
    -200332: "Sample clock rate specified is too fast for this operation.",
    -200473: "Read can not be performed: auto start is off and the task is not running.",
    -50103: "The specified resource is reserved.",
    -88709: "Measurements: task aborted.",
}
VOLTAGE, BRIDGE = 10322, 15908
#: How long the source PFI0 takes to fire after a task waits for it, s, and PFI1 once a task; the others never do.
TRIGGER_S = 0.05


class NiError(Exception):
    def __init__(self, code):
        super().__init__(f"{TEXTS[code]}\n\nStatus Code: {code}")
        self.code = code


@dataclass(frozen=True)
class Model:
    """A kind of device."""

    product: str
    n_ai: int
    simultaneous: bool
    max_hz: float  # per channel where simultaneous, for all of them together where not
    ranges_v: tuple[float, ...] = (0.2, 1.0, 5.0, 10.0)
    delta_sigma: bool = False
    bridge: bool = False

    def coerce(self, rate_hz, n_channels):
        """The rate that the device takes for the one asked for."""
        if rate_hz > self.max_hz / (1 if self.simultaneous else n_channels):
            raise NiError(-200332)
        if self.delta_sigma:  # 12.8 MHz / 256 / n, the next one up
            return min(r for n in range(1, 32) if (r := 12.8e6 / 256 / n) >= rate_hz - 1e-9 or n == 1)
        return 100e6 / round(100e6 / rate_hz)

    def range_v(self, low, high):
        limit = max(abs(low), abs(high))
        fit = [r for r in self.ranges_v if r >= limit * (1 - 1e-9)]
        if not fit:
            raise NiError(-200077)
        return fit[0]


SAR = Model("PCIe-6321", 16, False, 250e3)
MODELS = {
    "Dev1": SAR,
    "Dev2": SAR,
    "Frail1": SAR,  # is removed 300 samples after each start
    "Sim1": SAR,  # says that NI simulates it
    "Mod1": Model("NI 9239", 4, True, 50e3, (10.0,), delta_sigma=True),
    "Mod2": Model("NI 9237", 4, True, 50e3, (0.025,), delta_sigma=True, bridge=True),
}
FRAIL_SAMPLES = 300


def default_buffer(rate_hz, samps_per_chan):
    """NI's table for continuous tasks: the larger of it and what was asked for."""
    for limit_hz, size in ((100, 1000), (10e3, 10_000), (1e6, 100_000)):
        if rate_hz <= limit_hz:
            return max(size, samps_per_chan)
    return max(1_000_000, samps_per_chan)


@dataclass
class Task:
    engine: Engine
    name: str
    channels: dict[str, tuple[str, float, float]] = field(default_factory=dict)  # name: device, low, high
    rate_hz: float = 1000.0
    buffer: int = 0
    trigger: str = ""
    running: bool = False
    auto_start: bool = True
    began: float = math.inf  # engine time of the first sample
    first: float | None = None  # ... of the first start that the counter goes on from
    base: int = 0
    position: int = 0
    stopped_at: int | None = None  # samples at which it stopped by itself

    @property
    def devices(self):
        return list(dict.fromkeys(device for device, _, _ in self.channels.values()))

    def add(self, physical, name, low, high, kind):
        for one in expand(physical):
            device, _, channel = one.partition("/")
            model = self.engine.model(device)
            if not channel.startswith("ai") or int(channel[2:]) >= model.n_ai:
                raise NiError(-200170)
            if (kind == BRIDGE) != model.bridge:
                raise NiError(-200077)
            limit = model.range_v(low, high)
            self.channels[name or one] = device, -limit, limit

    def time_by_clock(self, rate_hz, samps_per_chan):
        models = [self.engine.model(device) for device in self.devices]
        self.rate_hz = max(model.coerce(rate_hz, len(self.channels)) for model in models)
        self.buffer = default_buffer(rate_hz, samps_per_chan)

    @property
    def convert_hz(self):
        model = self.engine.model(self.devices[0])
        if model.simultaneous:
            raise NiError(-200197)
        return max(1 / (1 / model.max_hz + 10e-6), self.rate_hz * len(self.channels))

    def start(self):
        if any(
            set(other.devices) & set(self.devices) for other in self.engine.running() if other is not self
        ):
            raise NiError(-50103)
        now = self.engine.now()
        source = self.trigger.rpartition("/")[2]
        fires = source == "PFI0" or (source == "PFI1" and self.first is None)
        delay = TRIGGER_S if fires else math.inf if source else 0.0
        if self.stopped_at is None:
            self.first = now + delay
        self.base = round((now - self.first) * self.rate_hz) if self.stopped_at is not None else 0
        self.began, self.position, self.stopped_at, self.running = now + delay, 0, None, True

    def stop(self):
        self.running = False

    def acquired(self):
        """Samples since start, as far as the task didn't stop by itself."""
        if self.stopped_at is not None:
            return self.stopped_at
        n = (
            max(0, math.floor((self.engine.now() - self.began) * self.rate_hz))
            if self.began < math.inf
            else 0
        )
        if "Frail1" in self.devices:  # what is removed acquires no more, however slowly it is read
            n = min(n, FRAIL_SAMPLES)
        if n - self.position > self.buffer:
            self.stopped_at = n = self.position + self.buffer
        return n

    def removed(self):
        return any(self.engine.is_removed(device) for device in self.devices) or (
            "Frail1" in self.devices and self.acquired() >= FRAIL_SAMPLES
        )

    def read(self, n, timeout_s):
        """Frames (k, channels) and a status: 0, or `NOT_YET` with fewer than `n` of them."""
        if not self.running:
            if not self.auto_start:
                raise NiError(-200473)
            self.start()
        until = time.monotonic() + (math.inf if timeout_s < 0 else timeout_s)
        while True:
            if not self.running:
                raise NiError(-88709)
            acquired = self.acquired()
            if self.stopped_at is not None:
                raise NiError(OVERWRITTEN)
            if self.removed() and acquired - self.position < n:
                raise NiError(-200045)
            if acquired - self.position >= n:
                return self.take(n), 0
            left = until - time.monotonic()
            if left <= 0:
                # What NI does without waiting isn't told exactly: here it refuses what it can't fill.
                return self.take(acquired - self.position if timeout_s else 0), NOT_YET
            missing_s = (n - (acquired - self.position)) / self.rate_hz
            time.sleep(min(left, missing_s if self.began < math.inf else 0.01, 0.02))

    def take(self, n):
        tick = np.arange(self.position, self.position + n) + self.base
        self.position += n
        frames = (tick % 1000)[:, None] * 1e-3 + np.arange(len(self.channels))
        frames[:, 0] = tick
        return frames


class Engine:
    """The whole of a computer with NI-DAQmx."""

    def __init__(self):
        self.tasks = {}
        self.gone = set()
        self.overloaded = set()
        self.lock = threading.RLock()
        self._made = 0
        self._still_s, self._stalled = 0.0, None

    def now(self):
        """The devices' time, s, which stands still while stalled."""
        return (self._stalled if self._stalled is not None else time.monotonic()) - self._still_s

    def stall(self):
        self._stalled = self._stalled or time.monotonic()

    def resume(self):
        if self._stalled is not None:
            self._still_s += time.monotonic() - self._stalled
            self._stalled = None

    def jump(self, seconds):
        """So much time passes for the devices at once."""
        self._still_s -= seconds

    def model(self, device):
        if device not in MODELS or device in self.gone:
            raise NiError(-200220)
        return MODELS[device]

    def is_removed(self, device):
        return device in self.gone

    def running(self):
        return [task for task in self.tasks.values() if task.running]

    def create(self, name):
        self._made += 1
        name = name or f"_unnamedTask<{self._made:X}>"
        if name in self.tasks:
            raise NiError(-50103)
        self.tasks[name] = Task(self, name)
        return self.tasks[name]

    def task(self, name):
        if name not in self.tasks:
            raise NiError(-200088)
        return self.tasks[name]

    # NI's attributes by their numbers.

    def system_attributes(self):
        return {
            0x1272: 26,
            0x1923: 8,
            0x2F22: 0,
            0x193B: ", ".join(name for name in MODELS if name not in self.gone),
        }

    def device_attributes(self, device):
        model = self.model(device)
        return {
            0x0631: model.product,
            0x0632: 0x01A00000 + list(MODELS).index(device),
            0x231E: ", ".join(f"{device}/ai{k}" for k in range(model.n_ai)),
            0x22CA: device == "Sim1",
            0x298F: model.simultaneous,
            0x298C: model.max_hz,
            0x298D: model.max_hz,
            0x2990: [v for limit in model.ranges_v for v in (-limit, limit)],
        }

    def task_attributes(self, task):
        return {
            0x1276: task.name,
            0x1273: ", ".join(task.channels),
            0x230E: ", ".join(task.devices),
            0x2181: len(task.channels),
            0x29BA: len(task.devices),
        }

    def timing_attributes(self, task):
        told = {0x1344: task.rate_hz}
        if not self.model(task.devices[0]).simultaneous:
            told[0x1848] = task.convert_hz
        return told

    def read_attributes(self, task):
        acquired = task.acquired()
        over = [name for name in task.channels if name in self.overloaded]
        return {
            0x1223: acquired - task.position,
            0x217B: len(task.channels),
            0x31E8: acquired - task.position,
            0x192A: acquired,
            0x1221: task.position,
            0x2174: bool(over),
            0x2175: ", ".join(over),
        }

    def buffer_attributes(self, task):
        return {0x186C: task.buffer}

    def chan_attributes(self, task, channel):
        _, low, high = task.channels[channel]
        return {0x1815: high, 0x1816: low}


def expand(names):
    """``Dev1/ai0:3, Dev1/ai5`` one by one."""
    for part in names.split(","):
        first, _, last = part.strip().partition(":")
        stem = first.rstrip("0123456789")
        begin = int(first[len(stem) :])
        end = int(last.removeprefix(stem)) if last else begin
        yield from (f"{stem}{k}" for k in range(begin, end + 1))
