"""National Instruments devices by NI's own package `nidaqmx`: the local NI-DAQmx driver, or an NI gRPC Device Server.

Addresses are ``ni:Dev1/ai0:11?rate_hz=1000`` and ``ni+grpc://host:31763/Dev1/ai0:11?rate_hz=1000``; several devices
join in one task by ``Dev1/ai0:5,Dev2/ai0:5``. What is asked of NI here, and what of it was seen only on simulators,
is told in docs/ni_daqmx.md.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from balancecore.capture.device import Address, Channel, Description, Device, Discovery, Found, Option
from balancecore.errors import (
    DataError,
    DeviceError,
    DeviceLostError,
    DeviceNotFoundError,
    DeviceTimeoutError,
    DriverUnavailableError,
)

__all__ = ["NiDevice"]

#: Of the NI-DAQmx error codes these say that the samples didn't come in time: what was read before stays valid.
NOT_YET = -200284
#: ... that samples were overwritten before they were read, in the computer's buffer or in the device's own.
OVERWRITTEN = frozenset({-200279, -200222, -200361, -200714})
#: ... that the device is not there (any more).
ABSENT = frozenset({-200220, -200170, -200324, -201003, -200045})
#: ... that it went while a task was running: removed, aborted transfer, network gone.
GONE = ABSENT | {-50401, -50405, -50802, -88708, -88709, -88710, -201252, -201390}
#: ... that another task or program holds it.
RESERVED = frozenset({-50103, -200022, -200587})
#: ... that this device knows no such attribute.
NO_ATTRIBUTE = frozenset({-200197, -200452})

#: Longest wait inside one call of NI's, s: a server that hangs is noticed after this and `RPC_S`.
SLICE_S = 0.25
#: Time that a call to an NI gRPC Device Server may take on top of the wait that it was asked for, s: with `SLICE_S` a
#: read of a hung server ends within 2 s, and so does stop.
RPC_S = 1.5
#: Time in which a connection to an NI gRPC Device Server must come about and the first call end, s.
CONNECT_S = 5.0
#: Most frames that one call may fetch, as a time, s; a backlog is taken in several calls.
FETCH_S = 0.5

#: Where an NI gRPC Device Server listens if not told otherwise.
PORT = 31763

INPUTS = ("voltage", "bridge")
TERMINALS = ("default", "diff", "rse", "nrse", "pseudo_diff")
BRIDGES = ("full", "half", "quarter")
EXCITATIONS = ("internal", "external")
EDGES = ("rising", "falling")

T = TypeVar("T")


class _Input(NamedTuple):
    """One physical channel as asked for."""

    name: str
    kind: str
    limit: float  # V, or V/V for a bridge
    terminal: str


class _Facts(NamedTuple):
    """What a device is."""

    model: str
    serial: str
    simulated: bool
    together: bool  # whether it samples its channels at the same moment


class NiDevice(Device):
    """Analog inputs of National Instruments devices."""

    SCHEMES = ("ni", "ni+grpc")
    OPTIONS = (
        Option("rate_hz", 1000.0, "frames per second; the device may take the nearest that it can"),
        Option("range_v", "10", "largest voltage either way, V; one for all or one a channel: 10,10,5"),
        Option("terminal", "default", f"wiring of the input, one or one a channel: {', '.join(TERMINALS)}"),
        Option("input", "voltage", f"what is measured, one or one a channel: {' or '.join(INPUTS)}"),
        Option("range_mv_v", 2.0, "largest output of a bridge either way, mV/V"),
        Option("bridge", "full", f"kind of bridge: {', '.join(BRIDGES)}"),
        Option("excitation", "internal", "where a bridge's excitation comes from: internal or external"),
        Option("excitation_v", 2.5, "a bridge's excitation, V"),
        Option("bridge_ohm", 350.0, "a bridge's nominal resistance, ohm"),
        Option("clock", "", "terminal of an external sample clock, such as PFI0; its rate is rate_hz"),
        Option("clock_edge", "rising", "edge of the external clock: rising or falling"),
        Option("trigger", "", "terminal of a digital start trigger, such as PFI1; frame 0 waits for it"),
        Option("trigger_edge", "rising", "edge of the trigger: rising or falling"),
        Option("buffer_s", 10.0, "how long the computer's buffer lasts when nobody reads, s"),
        Option("reads_hz", 50.0, "reads per second, 10 to 100: more of them is sooner, fewer is cheaper"),
    )

    def __init__(self, address: Address | str) -> None:
        super().__init__(address)
        remote = self.address.scheme.endswith("+grpc")
        if remote and not self.address.host:
            raise DataError(f"{self}: a server is wanted, such as ni+grpc://localhost:31763/Dev1/ai0:5")
        if self.address.host and not remote:
            raise DataError(
                f"{self}: a device on this computer has no host; ni+grpc://host:31763/... has one"
            )
        self._inputs = _inputs(self)
        self._remote = remote
        host = self.address.host
        self._server = host if re.search(r":\d+$", host) else f"{host}:{PORT}"
        self._rate = 0.0
        self._task: Any = None
        self._channel: Any = None
        self._guard: Any = None
        self._reader: Any = None
        self._ended = ""  # why nothing more can be asked of it
        self._position = 0  # index of the next frame since start, lost ones included
        self._read_s = 0.0  # host time of the last read
        # A host time, and the index that was being sampled then; None until the trigger came.
        self._anchor: tuple[float, int] | None = None

    # The template.

    def _open(self) -> Description:
        self._nidaqmx = _package()
        self._ended = ""
        with self._told():
            session = self._connect()
            return self._configure(session)

    def _start(self) -> None:
        self._check()
        trigger = self._task.triggers.start_trigger
        with self._told():
            if self.options["trigger"]:
                edge = self._edge(self.options["trigger_edge"])
                trigger.cfg_dig_edge_start_trig(self.options["trigger"], trigger_edge=edge)
            self._task.start()
        self._position = 0
        self._read_s = time.monotonic()
        self._anchor = None if self.options["trigger"] else (self._read_s, 0)

    def _read_into(self, out: NDArray[np.float64], timeout_s: float) -> int:
        deadline = time.monotonic() + timeout_s
        while True:
            self._check()
            wait = deadline - time.monotonic()
            frames = self._fetch(out, min(max(wait, 0.0), SLICE_S))
            if frames or wait <= 0 or self._stopping.is_set():
                return frames

    def _stop(self) -> None:
        self._quietly(lambda: self._task.stop())

    def _close(self) -> None:
        task, self._task, self._reader = self._task, None, None
        if task is not None:
            # The local driver has to be told in any case: it counts its tasks. A server that is gone can't be.
            if self._remote:
                self._quietly(task.close)
            else:
                with contextlib.suppress(self._nidaqmx.errors.Error):
                    task.close()
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def status(self) -> Mapping[str, Any]:
        """What NI tells of the running task.

        Returns
        -------
        mapping
            "overloaded": names of the inputs that were beyond their range since the last asking, joined by commas;
            "buffer_fill": how full the computer's buffer is, 0 to 1; "ended": why nothing more can be asked of the
            device, or "". Without the first two where the task doesn't run.
        """
        told: dict[str, Any] = {"ended": self._ended}
        if self.state != "running" or self._ended:
            return told
        stream = self._task.in_stream
        with contextlib.suppress(DeviceError):
            told["buffer_fill"] = self._ask(stream, "avail_samp_per_chan", 0) / self._buffer
            # The first attribute has to be read before the second may be.
            over: list[str] = []
            if self._ask(stream, "overloaded_chans_exist", False):
                over = self._ask(stream, "overloaded_chans", over)
            told["overloaded"] = ",".join(over)
        return told

    @classmethod
    def discover(cls) -> Discovery:
        """The devices that the local NI-DAQmx driver knows; a server's are found only by its address."""
        try:
            devices = list(_package().system.System.local().devices)
        except DriverUnavailableError as error:
            return Discovery("ni", advice=(str(error),))
        except Exception as error:
            return Discovery(
                "ni", advice=(_unavailable(error) or f"NI-DAQmx can't be asked: {_text(error)}",)
            )
        found, advice = [], []
        for device in devices:
            try:
                if names := [channel.name for channel in device.ai_physical_chans]:
                    found.append(_found(device, names))
            except Exception as error:  # one that is configured but not connected must not hide the others
                advice.append(f"{device.name} can't be asked: {_text(error)}")
        return Discovery("ni", tuple(found), tuple(advice))

    # Opening.

    def _connect(self) -> Any:
        """A maker of tasks and systems: the session options of a server, or None for the local driver."""
        if not self._remote:
            return None
        try:
            import grpc
        except ImportError as error:
            raise DriverUnavailableError(_ADVICE_EXTRA) from error
        # No proxy: a device server stands in the lab. No limit of size: a backlog may be larger than 4 MB.
        self._channel = grpc.insecure_channel(
            self._server,
            options=(("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)),
        )
        self._guard = _guard(grpc)
        guarded = grpc.intercept_channel(self._channel, self._guard)
        return self._nidaqmx.GrpcSessionOptions(guarded, "")

    def _configure(self, session: Any) -> Description:
        asked_hz = self.options["rate_hz"]
        devices = self._devices(session)
        self._task = task = self._nidaqmx.Task(grpc_options=session)
        channels = [self._add(task, one) for one in self._inputs]
        constants = self._nidaqmx.constants
        task.timing.cfg_samp_clk_timing(
            asked_hz,
            source=self.options["clock"],
            active_edge=self._edge(self.options["clock_edge"]),
            sample_mode=constants.AcquisitionType.CONTINUOUS,
            samps_per_chan=math.ceil(asked_hz * self.options["buffer_s"]),
        )
        self._rate = rate_hz = float(task.timing.samp_clk_rate)
        # NI's own size would last 1 s at 10 kHz, and what was just told is less than that where the rate went up.
        self._buffer = task.in_stream.input_buf_size = math.ceil(rate_hz * self.options["buffer_s"])
        self._block = max(1, round(rate_hz / self.options["reads_hz"]))
        self._most = max(self._block, min(math.ceil(rate_hz * FETCH_S), self._buffer // 2))
        self._flat = np.empty(len(channels) * self._most)
        # Or a read that another thread's stop overtakes would start it again.
        task.in_stream.auto_start = False
        self._reader = self._nidaqmx.stream_readers.AnalogMultiChannelReader(task.in_stream)
        self._reader.verify_array_shape = False  # it would ask the driver for the channels at every read
        skew_s = self._skew(task, devices)
        return Description(
            model=", ".join(dict.fromkeys(device.model for device in devices.values())),
            serial=", ".join(device.serial for device in devices.values()),
            rate_hz=rate_hz,
            channels=tuple(
                self._describe(one, channel, skew)
                for one, channel, skew in zip(self._inputs, channels, skew_s, strict=True)
            ),
            simulated=any(device.simulated for device in devices.values()),
            notes=self._notes(devices, asked_hz, skew_s),
        )

    def _devices(self, session: Any) -> dict[str, _Facts]:
        """The devices of the channels by name, in the order of the channels."""
        system = self._nidaqmx.system.System
        known = {
            device.name.lower(): device
            for device in (system.local() if session is None else system.remote(session)).devices
        }
        names = dict.fromkeys(one.name.partition("/")[0] for one in self._inputs)
        missing = [name for name in names if name.lower() not in known]
        if missing or not names:
            there = ", ".join(f"{d.name} ({d.product_type})" for d in known.values()) or "none"
            what = f"there is no {', '.join(missing)}" if missing else "no channel is named"
            raise DeviceNotFoundError(f"{self}: {what}; devices there: {there}")
        return {name: self._facts(known[name.lower()]) for name in names}

    def _facts(self, device: Any) -> _Facts:
        return _Facts(
            self._ask(device, "product_type", "NI"),
            f"{self._ask(device, 'serial_num', 0):08X}",
            self._ask(device, "is_simulated", False),
            self._ask(device, "ai_simultaneous_sampling_supported", True),
        )

    def _add(self, task: Any, one: _Input) -> Any:
        constants = self._nidaqmx.constants
        if one.kind == "bridge":
            return task.ai_channels.add_ai_bridge_chan(
                one.name,
                min_val=-one.limit,
                max_val=one.limit,
                units=constants.BridgeUnits.VOLTS_PER_VOLT,
                bridge_config=constants.BridgeConfiguration[f"{self.options['bridge'].upper()}_BRIDGE"],
                voltage_excit_source=constants.ExcitationSource[self.options["excitation"].upper()],
                voltage_excit_val=self.options["excitation_v"],
                nominal_bridge_resistance=self.options["bridge_ohm"],
            )
        return task.ai_channels.add_ai_voltage_chan(
            one.name,
            terminal_config=constants.TerminalConfiguration[one.terminal.upper()],
            min_val=-one.limit,
            max_val=one.limit,
        )

    def _describe(self, one: _Input, channel: Any, skew_s: float) -> Channel:
        return Channel(
            one.name,
            "V/V" if one.kind == "bridge" else "V",
            # The range that the device took, which may be wider than the one asked for.
            low=float(self._ask(channel, "ai_rng_low", -one.limit)),
            high=float(self._ask(channel, "ai_rng_high", one.limit)),
            skew_s=skew_s,
        )

    def _skew(self, task: Any, devices: Mapping[str, _Facts]) -> list[float]:
        """How long after the first channel of its device each is sampled, s; 0 where the driver doesn't tell."""
        convert_hz = 0.0
        if not all(device.together for device in devices.values()):
            # Of a task with several devices not every driver tells it.
            with contextlib.suppress(DeviceError):
                convert_hz = self._ask(task.timing, "ai_conv_rate", 0.0)
        seen = dict.fromkeys(devices, 0)
        skew_s = []
        for one in self._inputs:
            name = one.name.partition("/")[0]
            skew_s.append(seen[name] / convert_hz if convert_hz and not devices[name].together else 0.0)
            seen[name] += 1
        return skew_s

    def _notes(self, devices: Mapping[str, _Facts], asked_hz: float, skew_s: list[float]) -> tuple[str, ...]:
        notes = []
        clock = self.options["clock"]
        if abs(self._rate - asked_hz) > 1e-9 * asked_hz:
            notes.append(f"asked for {asked_hz:g} Hz, the device samples at {self._rate:.10g} Hz")
        if clock:
            notes.append(f"sampled by the clock at {clock}: its rate is as told, not measured")
        if simulated := ", ".join(name for name, device in devices.items() if device.simulated):
            notes.append(f"NI simulates {simulated}: the values are made up")
        if any(skew_s):
            notes.append(f"channels are sampled one after the other, over {1e3 * max(skew_s):.4g} ms")
        elif len(skew_s) > 1 and not all(device.together for device in devices.values()):
            notes.append("channels are sampled one after the other; the driver doesn't tell how far apart")
        return tuple(notes)

    def _edge(self, name: str) -> Any:
        return self._nidaqmx.constants.Edge[name.upper()]

    # Reading.

    def _fetch(self, out: NDArray[np.float64], wait_s: float) -> int:
        """Up to `len(out)` frames by one call to NI; 0 where none came, or where it had to start again."""
        asked_s = time.monotonic()
        # What should have come meanwhile, and at least a block, so that a backlog shrinks.
        due = int((asked_s - self._read_s) * self._rate)
        wanted = min(len(out), max(self._block, due), self._most)
        width = out.shape[1]
        frames = self._call(width, wanted, wait_s)
        # Fewer frames than wanted lie packed at the begin of the memory, not at the begin of every row.
        out[:frames] = self._flat[: width * frames].reshape(width, frames).T
        self._position += frames
        self._read_s = time.monotonic()
        if frames and (self._anchor is None or self._read_s - asked_s > 0.25 * self._block / self._rate):
            self._anchor = self._read_s, self._position  # it had to wait: the last frame is a fresh one
        return frames

    def _call(self, width: int, wanted: int, wait_s: float) -> int:
        """Frames that NI wrote into the memory, channel by channel; 0 also where it had to start again."""
        errors = self._nidaqmx.errors
        with self._told():
            try:
                if wait_s <= 0:
                    # Without waiting NI may refuse a read that it can't fill.
                    wanted = min(wanted, int(self._task.in_stream.avail_samp_per_chan))
                if not wanted:
                    return 0
                block = self._flat[: width * wanted].reshape(width, wanted)
                return int(self._reader.read_many_sample(block, wanted, wait_s))
            except errors.DaqError as error:
                if error.error_code == NOT_YET:
                    return int(getattr(error, "samps_per_chan_read", 0))
                if error.error_code not in OVERWRITTEN:
                    raise
        self._restart()
        return 0

    def _restart(self) -> None:
        """Start again after frames were overwritten, and count what is missing.

        NI's own counters tell what was acquired and not read; how long the task stood still, or will have until it
        runs again, only the computer's clock tells.
        """
        stream, refused = self._task.in_stream, self._nidaqmx.errors.DaqError
        unread, counted_s = 0, time.monotonic()
        with self._told():
            with contextlib.suppress(refused):
                unread = int(stream.total_samp_per_chan_acquired) - int(stream.curr_read_pos)
                counted_s = time.monotonic()
            with contextlib.suppress(refused):
                self._task.stop()  # it tells the same error once more
            if self.options["trigger"]:
                self._task.triggers.start_trigger.disable_start_trig()  # it came long ago
            asked_s = time.monotonic()
            self._task.start()
            now_s = (asked_s + time.monotonic()) / 2  # it started somewhere within the call
        at_s, index = self._anchor or (now_s, self._position)
        # The last frame that was read may have been an old one, where a backlog came before: then the counters, and the
        # time since they were read, tell more than the clock since that frame.
        by_counters = unread + round((now_s - counted_s) * self._rate)
        missing = max(by_counters, index + round((now_s - at_s) * self._rate) - self._position, 1)
        self._lose(missing)
        self._position += missing
        self._read_s = now_s

    # What can go wrong.

    @property
    def _live(self) -> bool:
        """Whether it is open and no other thread has just stopped it, which NI may report as an abort."""
        return self.state != "closed" and not self._stopping.is_set()

    def _check(self) -> None:
        if self._ended:
            raise DeviceLostError(f"{self}: {self._ended}")

    def _ask(self, of: Any, attribute: str, default: T) -> T:
        """An attribute, or the default where this device has no such attribute."""
        with self._told():
            try:
                value: T = getattr(of, attribute)
                return value
            except self._nidaqmx.errors.DaqFunctionNotSupportedError:
                return default
            except self._nidaqmx.errors.DaqError as error:
                if error.error_code in NO_ATTRIBUTE:
                    return default
                raise

    def _quietly(self, end: Callable[[], None]) -> None:
        """Ask NI to end something: it may complain of what was told at a read already, or may be gone."""
        if self._ended:
            return
        with contextlib.suppress(DeviceError), self._told():
            end()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """NI's errors become the project's, with NI's words and code."""
        errors = self._nidaqmx.errors
        try:
            yield
        except errors.DaqError as error:
            raise self._error(error) from error
        except errors.RpcError as error:
            raise self._broken(error) from error
        except (errors.DaqNotFoundError, errors.DaqNotSupportedError) as error:
            raise DriverUnavailableError(_unavailable(error)) from error
        except errors.DaqFunctionNotSupportedError as error:
            raise DriverUnavailableError(f"{self}: NI-DAQmx is too old for this: {_text(error)}") from error

    def _error(self, error: Any) -> DeviceError:
        text = f"{self}: NI {error.error_code}: {_text(error)}"
        if self._live and error.error_code in GONE:
            self._ended = f"the device is gone: NI {error.error_code}"
            return DeviceLostError(text)
        if error.error_code in ABSENT:
            return DeviceNotFoundError(text)
        if error.error_code in RESERVED:
            return DeviceError(f"{text} Another program, or a task that was never cleared, holds it.")
        return DeviceError(text)

    def _broken(self, error: Any) -> DeviceError:
        """What a failed call to the server means; no later call is made after most of them."""
        code = getattr(error.rpc_code, "name", str(error.rpc_code))
        server = f"the NI gRPC Device Server at {self._server}"
        if code == "UNIMPLEMENTED":
            return DeviceError(
                f"{self}: {server} doesn't know a call that is needed: it is too old, or no such server"
            )
        if not self._guard.answered:
            self._ended = f"{server} doesn't answer ({code}): is it running, and may it be reached from here?"
            return DeviceNotFoundError(f"{self}: {self._ended}")
        if code == "DEADLINE_EXCEEDED":
            self._ended = f"{server} hangs: no answer within {RPC_S:g} s"
            return DeviceTimeoutError(f"{self}: {self._ended}")
        self._ended = f"{server} is gone ({code}: {error.description})"
        return DeviceLostError(f"{self}: {self._ended}")


_ADVICE_EXTRA = "NI devices need the package nidaqmx: pip install 'balancecore[ni]'"


def _package() -> ModuleType:
    """`nidaqmx` with the parts that are used here; it is imported at first use because that takes half a second."""
    try:
        import nidaqmx
        import nidaqmx.stream_readers
        import nidaqmx.system
    except ImportError as error:
        raise DriverUnavailableError(_ADVICE_EXTRA) from error
    module: ModuleType = nidaqmx
    return module


def _unavailable(error: Exception) -> str:
    """What to do where there is no NI-DAQmx, or "" where `error` says something else."""
    return {
        "DaqNotFoundError": "NI-DAQmx is not installed: `python -m nidaqmx installdriver`, or ni.com/downloads; a "
        "device at another computer is reached by ni+grpc://host:31763/Dev1/ai0:5",
        "DaqNotSupportedError": "NI-DAQmx exists for Windows and Linux only; from here a device at another computer is "
        "reached by ni+grpc://host:31763/Dev1/ai0:5",
    }.get(type(error).__name__, "")


def _guard(grpc: Any) -> Any:
    """An interceptor that gives every call an end, since NI's client gives it none.

    After one call took too long the server is taken as hung, and the others get no time to speak of: opening makes
    several in a row. A late answer may have taken frames with it, so there is no going on after one.
    """

    class Details(grpc.ClientCallDetails):  # type: ignore[misc]  # grpc comes without types
        def __init__(self, of: Any, timeout_s: float) -> None:
            self.method, self.metadata, self.credentials = of.method, of.metadata, of.credentials
            self.wait_for_ready, self.compression = of.wait_for_ready, of.compression
            self.timeout = timeout_s

    class Guard(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
        def __init__(self) -> None:
            self.hangs = self.answered = False

        def intercept_unary_unary(self, ahead: Any, details: Any, request: Any) -> Any:
            allowed_s = max(getattr(request, "timeout", 0.0), 0.0) + (RPC_S if self.answered else CONNECT_S)
            call = ahead(Details(details, 0.01 if self.hangs else allowed_s), request)
            code = call.code()
            self.hangs = self.hangs or code is grpc.StatusCode.DEADLINE_EXCEEDED
            self.answered = self.answered or code not in (
                grpc.StatusCode.DEADLINE_EXCEEDED,
                grpc.StatusCode.UNAVAILABLE,
            )
            return call

    return Guard()


def _text(error: Exception) -> str:
    """The first paragraph of NI's words on one line: behind it come the task, the codes and more."""
    return " ".join(str(error).split("\n\n")[0].split())


def _found(device: Any, names: list[str]) -> Found:
    last = f":{names[-1].rpartition('/ai')[2]}" if len(names) > 1 else ""
    return Found(
        f"ni:{names[0]}{last}",
        device.product_type,
        serial=f"{device.serial_num:08X}",
        simulated=bool(device.is_simulated),
    )


# The address, read before anything of NI's is needed.


def _inputs(device: NiDevice) -> tuple[_Input, ...]:
    options, names = device.options, _names(device)
    for name, allowed in (
        ("bridge", BRIDGES),
        ("excitation", EXCITATIONS),
        ("clock_edge", EDGES),
        ("trigger_edge", EDGES),
    ):
        _allowed(device, name, options[name], allowed)
    for name in ("rate_hz", "range_mv_v", "excitation_v", "bridge_ohm", "buffer_s"):
        if options[name] <= 0:
            raise DataError(f"{device}: {name}={options[name]:g}: a number above zero is wanted")
    if not 10 <= options["reads_hz"] <= 100:
        raise DataError(f"{device}: reads_hz={options['reads_hz']:g}: 10 to 100 reads a second are wanted")
    if options["buffer_s"] * options["reads_hz"] < 2:
        raise DataError(f"{device}: buffer_s={options['buffer_s']:g}: the buffer must hold two reads")
    kinds = _each(device, "input", names, lambda text: _allowed(device, "input", text, INPUTS))
    terminals = _each(device, "terminal", names, lambda text: _allowed(device, "terminal", text, TERMINALS))
    limits_v = _each(device, "range_v", names, lambda text: _above_zero(device, "range_v", text))
    return tuple(
        _Input(name, kind, 1e-3 * options["range_mv_v"] if kind == "bridge" else limit_v, terminal)
        for name, kind, limit_v, terminal in zip(names, kinds, limits_v, terminals, strict=True)
    )


def _names(device: NiDevice) -> list[str]:
    """Physical channels one by one, from NI's way of writing lists and ranges of them: ``Dev1/ai0:3,Dev1/ai7``."""
    names: list[str] = []
    for part in device.address.path.split(",") if device.address.path else ():
        match = re.fullmatch(r"\s*/?([^/:,]+)/ai(\d+)(?::(?:ai)?(\d+))?\s*", part, re.IGNORECASE)
        if match is None:
            raise DataError(f"{device}: {part!r} names no analog inputs: Dev1/ai0:5 or Dev1/ai3 is wanted")
        first = int(match[2])
        last = first if match[3] is None else int(match[3])
        if not first <= last < 1024:
            raise DataError(f"{device}: {part!r}: a range goes upwards, such as Dev1/ai0:5")
        names += (f"{match[1]}/ai{k}" for k in range(first, last + 1))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{device}: {', '.join(twice)} is named twice")
    return names


def _each(device: NiDevice, option: str, names: list[str], read: Callable[[str], T]) -> list[T]:
    """One value a channel, from an option that holds one for all or one a channel."""
    values = [read(text.strip()) for text in device.options[option].split(",")]
    if len(values) == 1:
        return values * len(names)
    if len(values) != len(names):
        raise DataError(f"{device}: {option} has {len(values)} values for {len(names)} channels")
    return values


def _allowed(device: NiDevice, name: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise DataError(f"{device}: {name}={text!r}: one of {', '.join(allowed)} is wanted")
    return text


def _above_zero(device: NiDevice, name: str, text: str) -> float:
    with contextlib.suppress(ValueError):
        value = float(text)
        if 0 < value < math.inf:
            return value
    raise DataError(f"{device}: {name}={text!r}: a number above zero is wanted")
