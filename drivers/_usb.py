"""What the USB drivers share: finding a device through pyusb, errors in words, frames out of transfers.

Transfers are synchronous: while none is pending the device keeps samples in its FIFO, so a reader loses nothing as
long as it comes back before the FIFO is full. Lengths are multiples of wMaxPacketSize, or libusb reports an overflow.
"""

from __future__ import annotations

import array
import errno
import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from balancecore.capture.device import Device, Discovery, Found
from balancecore.errors import (
    DataError,
    DeviceError,
    DeviceLostError,
    DeviceNotFoundError,
    DeviceTimeoutError,
    DriverUnavailableError,
)

__all__ = ["FrameQueue", "HostClock", "Model", "UsbDevice", "channel_numbers", "ranges"]

#: Longest wait for the answer to a command, ms; `_stop` sends few enough of them to end within 2 s.
COMMAND_MS = 400
#: A read that waits looks after so long whether it was told to stop, s.
LONGEST_READ_S = 0.1
#: What libusb reports for a device that was pulled out, by system and by moment.
GONE = frozenset({errno.ENODEV, errno.EIO, errno.ECONNRESET, errno.ESHUTDOWN, errno.EPROTO, errno.ENOENT})
#: A stall, and what a disturbed cable looks like; a device that was pulled out looks so too, until it is asked.
DISTURBED = frozenset({errno.EPIPE, errno.EIO, errno.EPROTO, errno.EOVERFLOW})
#: Recoveries in a row without a frame between them, after which the device counts as broken.
MOST_RECOVERIES = 3
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})


@dataclass(frozen=True)
class Model:
    """One member of a family of devices: its USB product number and its name."""

    product: int
    name: str


class FrameQueue:
    """Samples in the order of their arrival, cut into frames, with every gap at its place.

    Parameters
    ----------
    width : int
        Samples in a frame.
    capacity : int
        Samples for which there is room at first; it grows where more are waiting.
    """

    def __init__(self, width: int, capacity: int = 4096) -> None:
        self._width = width
        self._samples = np.empty(max(capacity, width), dtype=np.uint16)
        self._start = self._stop = 0
        #: Samples still to be dropped, of a frame whose beginning was lost.
        self._skip = 0
        #: Gaps: where in `_samples`, and how many frames.
        self._gaps: deque[tuple[int, int]] = deque()
        self._taken = self._lost = 0

    def __len__(self) -> int:
        return (self._stop - self._start) // self._width

    @property
    def end(self) -> int:
        """Whole frames that ever came, gaps not counted."""
        return self._taken + len(self)

    @property
    def placed(self) -> int:
        """Whole frames that ever came, and those that are missing between them."""
        return self.end + self._lost

    def add(self, samples: NDArray[np.uint16]) -> None:
        """Append samples, in the order of the channels."""
        if self._skip:
            dropped = min(self._skip, len(samples))
            self._skip -= dropped
            samples = samples[dropped:]
        if self._stop + len(samples) > len(self._samples):
            self._make_room(len(samples))
        self._samples[self._stop : self._stop + len(samples)] = samples
        self._stop += len(samples)

    def gap(self, samples: int) -> None:
        """So many samples are missing here; frames that they break are lost with them."""
        passed = min(samples, self._skip)
        self._skip -= passed
        samples -= passed
        if samples <= 0:
            return
        begun = (self._stop - self._start) % self._width
        frames = math.ceil((begun + samples) / self._width)
        self.cut(frames)
        self._skip = frames * self._width - begun - samples

    def cut(self, frames: int) -> None:
        """`frames` frames are missing here, the one that has begun among them; the next sample begins a frame."""
        self._stop -= (self._stop - self._start) % self._width
        self._skip = 0
        self._note(self._stop, frames)

    def replace(self, end: int, frames: int) -> None:
        """Frame number `end` (as `end` counts) is none: it stands for a gap of so many frames."""
        at = self._start + (end - self._taken) * self._width
        kept = self._samples[at + self._width : self._stop].copy()
        self._samples[at : at + len(kept)] = kept
        self._stop -= self._width
        self._note(at, frames)

    def waiting(self, since: int) -> NDArray[np.uint16]:
        """Frames from number `since` on, (n, width); a view that holds until the next call."""
        begin = self._start + max(since - self._taken, 0) * self._width
        whole = self._samples[begin : self._start + len(self) * self._width]
        return whole.reshape(-1, self._width)

    def take(self, most: int) -> tuple[int, NDArray[np.uint16]]:
        """Frames lost before the next one, and up to `most` frames without a gap between them."""
        lost = 0
        if self._gaps and self._gaps[0][0] == self._start and len(self):
            lost = self._gaps.popleft()[1]
        limit = self._gaps[0][0] if self._gaps else self._stop
        n = min(most, (limit - self._start) // self._width)
        frames = self._samples[self._start : self._start + n * self._width].reshape(n, self._width)
        self._start += n * self._width
        self._taken += n
        return lost, frames

    def clear(self) -> None:
        """Forget everything."""
        self._start = self._stop = self._skip = self._taken = self._lost = 0
        self._gaps.clear()

    def _note(self, at: int, frames: int) -> None:
        self._lost += frames
        if self._gaps and self._gaps[-1][0] == at:
            frames += self._gaps.pop()[1]
        self._gaps.append((at, frames))

    def _make_room(self, n: int) -> None:
        kept = self._samples[self._start : self._stop].copy()
        if len(kept) + n > len(self._samples):
            self._samples = np.empty(2 * (len(kept) + n), dtype=np.uint16)
        self._samples[: len(kept)] = kept
        self._gaps = deque((at - self._start, frames) for at, frames in self._gaps)
        self._start, self._stop = 0, len(kept)


class HostClock:
    """How many frames a device has taken by now, told by the host's clock.

    Frames can arrive late but not early, so the earliest arrival of late (arrival less time by the rate) tells when
    the scan began. Only the last 10 to 20 s count, or two clocks that differ by 100 parts in a million would be 0.36 s
    apart after an hour; so they are 2 ms apart at most.

    Parameters
    ----------
    rate_hz : float
    """

    WINDOW_S = 10.0

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._now = self._before = math.inf
        self._turned_s = -math.inf

    def saw(self, frames: int, at_s: float) -> None:
        """By the time `at_s` of the monotonic clock so many frames had arrived or were known to be lost."""
        if at_s - self._turned_s > self.WINDOW_S:
            self._before, self._now, self._turned_s = self._now, math.inf, at_s
        self._now = min(self._now, at_s - frames / self._rate_hz)

    def frames_by(self, at_s: float) -> int:
        """Frames that the device had taken by then; 0 where none was ever seen."""
        began_s = min(self._now, self._before)
        return max(0, round((at_s - began_s) * self._rate_hz)) if math.isfinite(began_s) else 0


class UsbDevice(Device):
    """A device behind pyusb with one bulk endpoint that streams 16-bit samples.

    A driver names its `VENDOR`, `MODELS` by scheme and `STREAM_IN`, and fills in `_identify`, `_received`,
    `_stalled` and `_convert` besides what every `Device` has to.
    """

    VENDOR: ClassVar[int]
    MODELS: ClassVar[Mapping[str, Model]]
    STREAM_IN: ClassVar[int]

    _usb: Any = None
    _recoveries = 0
    _lost_error: DeviceLostError | None = None
    _frames: FrameQueue
    _clock: HostClock
    _transfer: array.array[int]

    @classmethod
    def _backend(cls) -> Any:
        """The pyusb backend through which devices are looked for; tests put a simulated one in its place."""
        try:
            import libusb_package
            import usb.core  # noqa: F401
        except ImportError as error:
            raise DriverUnavailableError(
                "USB devices need pyusb and libusb: pip install 'balancecore[usb]'"
            ) from error
        backend = libusb_package.get_libusb1_backend()
        if backend is None:
            raise DriverUnavailableError(
                "libusb can't be loaded: install it with the system (Debian: apt install libusb-1.0-0)"
            )
        return backend

    @classmethod
    def _attached(cls, product: int) -> list[Any]:
        backend = cls._backend()
        import usb.core

        try:
            return list(usb.core.find(find_all=True, backend=backend, idVendor=cls.VENDOR, idProduct=product))
        except OSError as error:
            raise DeviceError(f"the USB bus can't be searched: {error}") from error

    @classmethod
    def _identify(cls, usb_device: Any) -> str:
        """Serial number of an attached device that is not open yet."""
        return str(usb_device.serial_number or "")

    @classmethod
    def discover(cls) -> Discovery:
        """Every attached device of the family; permissions and drivers that are missing go into the advice."""
        found: list[Found] = []
        advice: list[str] = []
        for scheme, model in cls.MODELS.items():
            try:
                attached = cls._attached(model.product)
            except DeviceError as error:
                return Discovery(cls.SCHEMES[0], advice=(str(error),))
            for usb_device in attached:
                serial, why = _serial(cls, usb_device)
                if why:
                    advice.append(f"{model.name}: {why}")
                else:
                    found.append(Found(f"{scheme}:{serial}", model.name, serial))
        return Discovery(cls.SCHEMES[0], tuple(found), tuple(dict.fromkeys(advice)))

    @property
    def _model(self) -> Model:
        return self.MODELS[self.address.scheme]

    def _connect(self) -> None:
        """Find the device of the address and claim its interface."""
        if self.address.host:
            raise DataError(f"{self}: a serial number or nothing is wanted behind the colon, no host")
        self._usb = self._choose()
        with self._errors("open it"):
            # Drivers of the system bind to neither family, but a generic one may; not every backend can tell.
            with suppress(NotImplementedError):
                if self._usb.is_kernel_driver_active(0):
                    self._usb.detach_kernel_driver(0)
            import usb.core
            import usb.util

            try:
                self._usb.get_active_configuration()
            except usb.core.USBError as error:
                if error.errno in FORBIDDEN | GONE:
                    raise
                self._usb.set_configuration()
            usb.util.claim_interface(self._usb, 0)

    def _choose(self) -> Any:
        attached = self._attached(self._model.product)
        wanted = self.address.path
        if not wanted and len(attached) == 1:
            return attached[0]
        told = [(usb_device, *_serial(type(self), usb_device)) for usb_device in attached]
        for usb_device, serial, _ in told:
            if wanted and serial.lower() == wanted.lower():
                return usb_device
        unread = next((why for _, _, why in told if why), "")
        if unread and wanted:
            raise DeviceError(f"{self}: {unread}")
        serials = ", ".join(serial or "one that can't be asked" for _, serial, _ in told)
        if not wanted and attached:
            raise DeviceError(
                f"{self}: there is more than one {self._model.name}; name one by its serial number: {serials}"
            )
        there = f"there is {serials}" if attached else "there is none at all"
        raise DeviceNotFoundError(f"{self}: no such {self._model.name} is attached; {there}")

    def _prepare(self, width: int, bytes_per_s: float, latency_s: float) -> int:
        """Buffers for a stream; the number of bytes to be read at once."""
        import usb.util

        interface = self._usb.get_active_configuration()[(0, 0)]
        endpoint = usb.util.find_descriptor(interface, bEndpointAddress=self.STREAM_IN)
        if endpoint is None:
            raise DeviceError(f"{self}: it has no endpoint {self.STREAM_IN:#x}; is it another device?")
        packet = int(endpoint.wMaxPacketSize)
        length = max(1, int(bytes_per_s * latency_s / packet)) * packet
        self._transfer = array.array("B", bytes(length))
        self._frames = FrameQueue(width, 2 * length)
        return length

    def _read_into(self, out: NDArray[np.float64], timeout_s: float) -> int:
        deadline_s = time.monotonic() + timeout_s
        left_s = timeout_s
        while not len(self._frames) and not self._stopping.is_set():
            if self._lost_error is not None:
                raise self._lost_error
            try:
                self._fill(min(left_s, LONGEST_READ_S))
            except DeviceLostError as error:
                self._lost_error = error
                raise
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
        lost, frames = self._frames.take(len(out))
        self._lose(lost)
        if len(frames):
            self._convert(frames, out[: len(frames)])
        return len(frames)

    def _fill(self, timeout_s: float) -> None:
        """One transfer from the stream into the queue."""
        try:
            # 0 ms would mean for ever. What came before a time-out is handed over all the same.
            n = self._usb.read(self.STREAM_IN, self._transfer, max(1, math.ceil(timeout_s * 1000)))
        except OSError as error:
            if error.errno == errno.ETIMEDOUT:
                return
            if error.errno not in DISTURBED:
                raise self._failure("read from it", error) from error
            self._recoveries += 1
            if self._recoveries > MOST_RECOVERIES:
                raise DeviceError(f"{self}: it stalls again and again: {error}") from error
            with self._errors("start it again"):
                self._stalled()
            return
        if n:
            self._recoveries = 0
            self._received(memoryview(self._transfer)[:n])
            self._clock.saw(self._frames.placed, time.monotonic())

    def _missing_now(self) -> int:
        """Frames that the device has taken by now, by the host's clock, and that have no place yet."""
        return max(0, self._clock.frames_by(time.monotonic()) - self._frames.placed)

    def _received(self, data: memoryview) -> None:
        """Bytes of the stream, to be put into `_frames`."""
        raise NotImplementedError

    def _stalled(self) -> None:
        """The stream's endpoint has stalled or was disturbed; errors of USB may be let through."""
        raise NotImplementedError

    def _convert(self, frames: NDArray[np.uint16], out: NDArray[np.float64]) -> None:
        """Volts of raw frames, both (n, n_channels)."""
        raise NotImplementedError

    def _begin(self) -> None:
        """Forget the frames and the clock of an earlier stream."""
        self._frames.clear()
        self._clock = HostClock(self.rate_hz)
        self._recoveries = 0
        self._lost_error = None

    def _drain(self) -> None:
        """Throw away what an earlier stream left in the endpoint."""
        for _ in range(8):
            try:
                if not self._usb.read(self.STREAM_IN, self._transfer, 5):
                    return
            except OSError:
                return

    def _close(self) -> None:
        if self._usb is not None:
            import usb.util

            # Without it the handle stays open until Python forgets it, and a second open finds the device busy.
            with suppress(OSError):
                usb.util.dispose_resources(self._usb)
            self._usb = None

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except DeviceError:
            raise
        except (OSError, NotImplementedError) as error:
            raise self._failure(doing, error) from error

    def _failure(self, doing: str, error: Exception) -> DeviceError:
        number = getattr(error, "errno", None)
        if number in GONE:
            return DeviceLostError(f"{self}: the device is gone ({error})")
        if number == errno.ETIMEDOUT:
            return DeviceTimeoutError(f"{self}: it doesn't answer; can't {doing}")
        return DeviceError(f"{self}: can't {doing}: {_reason(error, self.VENDOR)}")


def channel_numbers(text: str, count: int) -> tuple[int, ...]:
    """Channels such as ``"0:5"`` or ``"0,2,4:6"`` (ends included) out of `count`; a DataError says what is wrong."""
    numbers: list[int] = []
    for part in text.split(","):
        ends = part.split(":")
        if not 1 <= len(ends) <= 2 or not all(end.strip().isdecimal() for end in ends):
            raise DataError(f"channels={text!r}: numbers and ranges such as 0:5 or 0,2,4 are wanted")
        numbers.extend(range(int(ends[0]), int(ends[-1]) + 1))
    if not numbers or numbers != sorted(set(numbers)) or numbers[-1] >= count:
        raise DataError(f"channels={text!r}: each of 0 to {count - 1} at most once, in ascending order")
    return tuple(numbers)


def ranges(text: str, channels: int, known: Mapping[float, int]) -> tuple[float, ...]:
    """One range a channel, V, of one number for all or one for each; a DataError says what is wrong."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= channels
    if len(values) != channels or not set(values) <= set(known):
        wanted = ", ".join(f"{value:g}" for value in known)
        raise DataError(
            f"range_v={text!r}: one of {wanted} is wanted, or one for each of {channels} channels"
        )
    return tuple(values)


def _serial(driver: type[UsbDevice], usb_device: Any) -> tuple[str, str]:
    """Serial number of an attached device, or why it can't be told."""
    import usb.util

    try:
        return driver._identify(usb_device), ""
    except (OSError, ValueError, NotImplementedError) as error:
        return "", _reason(error, driver.VENDOR)
    finally:
        # Asking has opened the device; left open it would be busy for whoever opens it next.
        with suppress(OSError):
            usb.util.dispose_resources(usb_device)


def _reason(error: Exception, vendor: int) -> str:
    """What went wrong and what to do about it."""
    number = getattr(error, "errno", None)
    if number == errno.EBUSY:
        return "another program is using it"
    # pyusb hides a refused permission behind a ValueError when it asks for a string.
    if number in FORBIDDEN or isinstance(error, ValueError):
        if sys.platform.startswith("linux"):
            return (
                "you may not use it: write the line "
                f'SUBSYSTEM=="usb", ATTR{{idVendor}}=="{vendor:04x}", MODE="0660", TAG+="uaccess" '
                "into /etc/udev/rules.d/60-balancecore.rules, run 'sudo udevadm control --reload', "
                "and plug the device in again"
            )
        return "you may not use it: another driver or program holds it"
    if isinstance(error, NotImplementedError):
        return "libusb has no access to it: on Windows give it the WinUSB driver, for example with Zadig"
    return str(error)
