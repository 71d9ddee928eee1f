"""What every measuring device is: a template that users call and drivers fill in, and the registry of drivers.

Users call `open`, `start`, `read_into`, `stop` and `close`, or ``with``. A driver overrides `Device._open`, `_start`,
`_read_into`, `_stop` and `_close` and nothing else of these; it is found by an entry point of the group
``balancecore.drivers`` whose name is the scheme of its addresses, and loaded only when such an address is asked for.
"""

from __future__ import annotations

import abc
import re
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar
from urllib.parse import parse_qsl, unquote

import numpy as np
from numpy.typing import NDArray

from balancecore.errors import (
    DataError,
    DeviceError,
    DriverUnavailableError,
)
from balancecore.trial import Layout

__all__ = [
    "DRIVER_API",
    "Address",
    "Channel",
    "Description",
    "Device",
    "Discovery",
    "Found",
    "Option",
    "list_devices",
    "open_device",
]

#: Version of the contract between `Device` and its drivers; a driver made for another one is refused.
DRIVER_API = 1
#: Group of the entry points by which drivers are found.
GROUP = "balancecore.drivers"

Driver = TypeVar("Driver", bound="HasApi")
State = Literal["closed", "open", "running"]
Value = str | int | float | bool | None


class HasApi(Protocol):
    """A class that says which `DRIVER_API` it was written for."""

    API: ClassVar[int]


@dataclass(frozen=True)
class Channel:
    """One column of what a device gives.

    Attributes
    ----------
    name : str
    unit : str
        Unit of the values: "V" for most devices, "N" and "N*m" where they are forces already.
    low, high : float or None
        Ends of the input's range, in `unit`; None: not known.
    skew_s : float
        Time by which this channel is sampled after the first one, s; 0 where all are sampled together.
    """

    name: str
    unit: str = "V"
    low: float | None = None
    high: float | None = None
    skew_s: float = 0.0


@dataclass(frozen=True)
class Description:
    """What an open device says of itself.

    Attributes
    ----------
    model, serial : str
    rate_hz : float
        The rate at which it really samples, Hz, which need not be the one asked for.
    channels : tuple of Channel
    simulated : bool
        Whether the values come from software (a simulation, a replay) and not from a measurement now.
    layout : Layout or None
        The plates, where the first ``6 * len(layout)`` channels are their wrenches already (Fx Fy Fz Mx My Mz
        each, N and N·m, reaction); None: a rig file has to say what the channels mean.
    notes : tuple of str
        What a user should know, such as a rate that differs from the one asked for.
    """

    model: str
    serial: str
    rate_hz: float
    channels: tuple[Channel, ...]
    simulated: bool = False
    layout: Layout | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Option:
    """One ``name=value`` that a driver takes behind the ``?`` of its addresses.

    Attributes
    ----------
    name : str
        With the unit in it, such as ``rate_hz``.
    default : str, int, float, bool or None
        Its type says how the value is read; with None, `kind` does.
    meaning : str
        One line for people.
    kind : type
        str, int, float or bool.
    """

    name: str
    default: Value
    meaning: str
    kind: type[str] | type[int] | type[float] | type[bool] | None = None

    def read(self, text: str) -> Value:
        """The value that `text` stands for; a DataError says what was wanted."""
        kind = self.kind or (str if self.default is None else type(self.default))
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        try:
            value: Value = words[text.lower()] if kind is bool else kind(text)
        except (KeyError, ValueError) as error:
            wanted = {bool: "yes or no", int: "a whole number", float: "a number"}[kind]
            raise DataError(f"{self.name}={text!r}: {wanted} is wanted ({self.meaning})") from error
        if isinstance(value, float) and not np.isfinite(value):
            raise DataError(f"{self.name}={text!r}: a finite number is wanted ({self.meaning})")
        return value


@dataclass(frozen=True)
class Address:
    """Where a device is: ``scheme:path?name=value`` or ``scheme://host:port/path?name=value``.

    Attributes
    ----------
    scheme : str
        Names the driver.
    host : str
        ``host:port`` behind the two slashes; empty without them.
    path : str
        What the driver understands: a serial number, a channel list, a file.
    options : mapping of str to str

    Examples
    --------
    >>> Address.parse("ni+grpc://lab:31763/Dev1/ai0:11?rate_hz=1000")
    Address(scheme='ni+grpc', host='lab:31763', path='Dev1/ai0:11', options={'rate_hz': '1000'})
    """

    scheme: str
    host: str = ""
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Take an address apart.

        Raises
        ------
        DataError
            `text` is no address, or names an option twice.
        """
        match = re.fullmatch(
            r"([A-Za-z][\w+.-]+):(?://([^/?]*)/?)?([^?]*)(?:\?(.*))?", text.strip(), re.DOTALL
        )
        if match is None:
            raise DataError(
                f"{text!r} is no device address: 'driver:what?name=value' is wanted, such as 'simulated:treadmill'"
            )
        scheme, host, path, query = match.groups()
        try:
            pairs = parse_qsl(query or "", keep_blank_values=True, strict_parsing=bool(query))
        except ValueError as error:
            raise DataError(f"{text!r}: behind '?' come name=value pairs joined by '&'") from error
        options = dict(pairs)
        if len(options) != len(pairs):
            raise DataError(f"{text!r} names an option twice")
        return cls(scheme.lower(), host or "", unquote(path), options)

    def __str__(self) -> str:
        """Without the options."""
        where = f"//{self.host}/" if self.host else ""
        return f"{self.scheme}:{where}{self.path}"


@dataclass(frozen=True)
class Found:
    """A device that could be opened now."""

    address: str
    model: str
    serial: str = ""
    simulated: bool = False


@dataclass(frozen=True)
class Discovery:
    """What one driver found, and what to do where it can't look.

    Attributes
    ----------
    scheme : str
    devices : tuple of Found
    advice : tuple of str
        What is missing (a driver, a permission) and what to do about it; empty: nothing.
    """

    scheme: str
    devices: tuple[Found, ...] = ()
    advice: tuple[str, ...] = ()


class Device(abc.ABC):
    """A measuring device.

    Use it as ``with open_device("simulated:treadmill") as device``. One thread at a time reads it; `stop` may be
    called from another, and ends a read that waits.

    Attributes
    ----------
    SCHEMES : tuple of str
        Schemes of the addresses it understands.
    OPTIONS : tuple of Option
        What may stand behind the ``?`` of its addresses; every other name is refused.
    API : int
        The `DRIVER_API` that it was written for.
    """

    SCHEMES: ClassVar[tuple[str, ...]]
    OPTIONS: ClassVar[tuple[Option, ...]] = ()
    API: ClassVar[int] = DRIVER_API

    def __init__(self, address: Address | str) -> None:
        self.address = Address.parse(address) if isinstance(address, str) else address
        self.options: Mapping[str, Any] = read_options(self, self.address, self.OPTIONS)
        self._state: State = "closed"
        self._description: Description | None = None
        self._stopping = threading.Event()
        self._lost_pending = 0
        self._clear_counts()

    # What users call.

    def open(self) -> Self:
        """Connect to the device; frames flow only after `start`.

        Returns
        -------
        Device
            Itself.

        Raises
        ------
        DeviceNotFoundError
            There is no such device.
        DriverUnavailableError
            Something that the driver needs is not installed; the message says what to do.
        DeviceError
            It is open already, or can't be opened.
        """
        if self._state != "closed":
            raise DeviceError(f"{self}: it is open already")
        try:
            self._description = self._open()
        except BaseException:
            self._close()
            raise
        self._state = "open"
        return self

    def start(self) -> None:
        """Begin to measure: frame 0 is the next frame.

        Raises
        ------
        DeviceError
            It is not open, or is running already.
        """
        if self._state != "open":
            raise DeviceError(f"{self}: to start, it must be open and not running; it is {self._state}")
        self._clear_counts()
        self._stopping.clear()
        self._start()
        self._state = "running"

    def read_into(self, out: NDArray[np.float64], timeout_s: float = 1.0) -> int:
        """Wait for the next frames and write them into the caller's buffer.

        Parameters
        ----------
        out : ndarray (k, n_channels)
            C-contiguous float64 that can be written to; frames go to its first rows, in the channels' units.
        timeout_s : float
            How long to wait for the first of them, s.

        Returns
        -------
        int
            Frames written, at most ``k``; 0 where none came in time, or another thread called `stop`. No frame is
            missing between them; `lost_before` says how many are missing before the first.

        Raises
        ------
        DataError
            `out` or `timeout_s` is not of this kind.
        DeviceLostError
            The device is gone. Everything that was read before stays valid. Its kind `EndOfDataError` says that a
            replay has given its last frame.
        DeviceError
            It is not running, or it failed.
        """
        if self._state != "running":
            raise DeviceError(f"{self}: frames can be read only between start and stop; it is {self._state}")
        self._check_buffer(out)
        if not 0 <= timeout_s < float("inf"):
            raise DataError(f"timeout_s={timeout_s!r}: a time of zero or more seconds is wanted")
        try:
            n = self._read_into(out, timeout_s)
        except DeviceError:
            if not self._stopping.is_set():
                raise
            # Stopped by another thread meanwhile: whatever the driver made of that, nothing is wrong.
            n = 0
        self._lost_before = 0
        if n:
            self._lost_before, self._lost_pending = self._lost_pending, 0
            self._frames_lost += self._lost_before
            self._frames_read += n
        return n

    def stop(self) -> None:
        """End measuring; does nothing where it has ended."""
        if self._state == "running":
            self._state = "open"
            self._stopping.set()
            self._stop()

    def close(self) -> None:
        """Let go of the device, running or not; does nothing where it is closed."""
        if self._state == "closed":
            return
        try:
            self.stop()
        finally:
            self._state = "closed"
            self._close()

    @property
    def description(self) -> Description:
        """What the device says of itself; DeviceError where it was never opened."""
        if self._description is None:
            raise DeviceError(f"{self}: open it first")
        return self._description

    @property
    def rate_hz(self) -> float:
        """Frames per second that it really takes."""
        return self.description.rate_hz

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The columns of `read_into`."""
        return self.description.channels

    @property
    def state(self) -> State:
        """One of "closed", "open" and "running"."""
        return self._state

    @property
    def lost_before(self) -> int:
        """Frames that were lost before those of the last `read_into`."""
        return self._lost_before

    @property
    def frames_read(self) -> int:
        """Frames handed out since `start`; with `frames_lost` this is the index of the next frame."""
        return self._frames_read

    @property
    def frames_lost(self) -> int:
        """Frames lost since `start`, as far as `lost_before` has told."""
        return self._frames_lost

    @property
    def lost_pending(self) -> int:
        """Frames that are known to be lost after the last one that was handed out."""
        return self._lost_pending

    def status(self) -> Mapping[str, Value]:
        """What the device knows of its state now, such as overloaded inputs; empty where it knows nothing."""
        return MappingProxyType({})

    def self_test(self, seconds: float = 1.0) -> str | None:
        """Measure for a while with the device's own test signal, such as a counter in the place of its inputs.

        Parameters
        ----------
        seconds : float
            How long, s.

        Returns
        -------
        str or None
            What was tested and seen; None: it has no such test, which is what devices say that don't override this.

        Raises
        ------
        DeviceError
            The test failed, or the device is not open or is running.
        """
        return None

    def __enter__(self) -> Self:
        return self if self._state != "closed" else self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_state", "closed") != "closed":
            try:
                warnings.warn(f"{self} was never closed", ResourceWarning, stacklevel=2, source=self)
            finally:
                self.close()

    def __str__(self) -> str:
        return str(self.address)

    # What drivers fill in.

    @abc.abstractmethod
    def _open(self) -> Description:
        """Connect, and say what is there; after an error here `_close` is called."""

    @abc.abstractmethod
    def _start(self) -> None:
        """Begin to measure."""

    @abc.abstractmethod
    def _read_into(self, out: NDArray[np.float64], timeout_s: float) -> int:
        """As `read_into`; calls `_lose` for frames that are missing before those it returns.

        Rows beyond the count that it returns stay as they are. A wait ends soon after ``self._stopping`` (a
        `threading.Event`) is set: another thread has called `stop`, which also calls `_stop` at once. After a loss of
        the device every further call raises `DeviceLostError`, and frames that came before it are given first.
        """

    @abc.abstractmethod
    def _stop(self) -> None:
        """End measuring, also after the device was lost; within 2 s, whatever hangs."""

    @abc.abstractmethod
    def _close(self) -> None:
        """Let go of everything; also called after `_open` failed half-way."""

    @classmethod
    def discover(cls) -> Discovery:
        """What could be opened now; never raises for what is missing, but says it in the advice."""
        return Discovery(cls.SCHEMES[0])

    def _lose(self, frames: int) -> None:
        """To be called by `_read_into`: so many frames are missing before the next that it returns."""
        self._lost_pending += int(frames)

    # Inside.

    def _clear_counts(self) -> None:
        self._lost_before = self._lost_pending = self._frames_read = self._frames_lost = 0

    def _check_buffer(self, out: NDArray[np.float64]) -> None:
        width = len(self.channels)
        if (
            not isinstance(out, np.ndarray)
            or out.dtype != np.float64
            or out.ndim != 2
            or out.shape[1] != width
            or not len(out)
            or not out.flags.c_contiguous
            or not out.flags.writeable
        ):
            got = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
            raise DataError(
                f"{self}: read_into wants a writable C-contiguous float64 array of shape (k, {width}), k > 0, not {got}"
            )


def read_options(owner: object, address: Address, options: Sequence[Option]) -> Mapping[str, Any]:
    """The values of all options: those that the address gives, and the defaults.

    What is not known is a DataError that calls the device by the name of its `owner`.
    """
    known = {option.name: option for option in options}
    for name in address.options:
        if name not in known:
            raise DataError(f"{owner}: unknown option {name!r}; it takes {', '.join(known) or 'none'}")
    given = {name: known[name].read(text) for name, text in address.options.items()}
    return MappingProxyType({name: given.get(name, option.default) for name, option in known.items()})


def open_device(address: str) -> Device:
    """Open the device at an address; it is not started.

    Parameters
    ----------
    address : str
        Such as ``"simulated:treadmill?rate_hz=1000&seed=1"``, ``"ni:Dev1/ai0:11"`` or ``"usb1608fsplus:SERIAL"``.

    Returns
    -------
    Device

    Raises
    ------
    DataError
        It is no address, or the driver doesn't take an option of it.
    DriverUnavailableError
        No driver has that name, or what the driver needs is not installed.
    DeviceNotFoundError
        There is no such device.
    DeviceError
        It can't be opened.
    """
    parsed = Address.parse(address)
    return _driver(parsed.scheme)(parsed).open()


def list_devices() -> tuple[Discovery, ...]:
    """What every installed driver finds now, in the order of their names.

    Returns
    -------
    tuple of Discovery
        A driver that can't be loaded or can't look says why, and what to do, in its advice.
    """
    found: list[Discovery] = []
    seen: set[str] = set()
    for entry in sorted(_entries(), key=lambda entry: entry.name):
        if entry.value in seen:
            continue
        seen.add(entry.value)
        try:
            found.append(_load(entry).discover())
        except (DeviceError, ImportError) as error:
            found.append(Discovery(entry.name, advice=(str(error),)))
        except Exception as error:
            # Whatever is wrong with one driver, the others are still there.
            found.append(Discovery(entry.name, advice=(f"it can't look: {type(error).__name__}: {error}",)))
    return tuple(found)


def device_schemes() -> frozenset[str]:
    """The schemes of addresses for which a driver is installed."""
    return frozenset(entry.name for entry in _entries())


def _entries(group: str = GROUP) -> Sequence[EntryPoint]:
    return tuple(entry_points(group=group))


def _driver(scheme: str) -> type[Device]:
    return _load(find_entry(scheme, _entries()))


def find_entry(scheme: str, entries: Sequence[EntryPoint]) -> EntryPoint:
    """The entry point that takes addresses of a scheme; DriverUnavailableError names those that there are."""
    for entry in entries:
        if entry.name == scheme:
            return entry
    names = ", ".join(sorted(entry.name for entry in entries)) or "none"
    raise DriverUnavailableError(
        f"no installed driver takes addresses that begin with {scheme!r}: there are {names}"
    )


def _load(entry: EntryPoint) -> type[Device]:
    return load_driver(entry, Device)  # type: ignore[type-abstract]


def load_driver(entry: EntryPoint, base: type[Driver]) -> type[Driver]:
    """The class behind an entry point; DriverUnavailableError where it is none, or made for another contract."""
    try:
        driver = entry.load()
    except ImportError as error:
        raise DriverUnavailableError(f"the driver {entry.name!r} can't be loaded: {error}") from error
    if not (isinstance(driver, type) and issubclass(driver, base)):
        raise DriverUnavailableError(f"the driver {entry.name!r} is no {base.__module__}.{base.__qualname__}")
    if driver.API != DRIVER_API:
        raise DriverUnavailableError(
            f"the driver {entry.name!r} was written for driver API {driver.API}; this balancecore has {DRIVER_API}"
        )
    return driver
