"""LabJack U6 in stream mode over pyusb.

The protocol is published by LabJack: U6 datasheet, sections 3.2 and 5.2, and its own examples (exodriver and
LabJackPython, MIT/X11 licence). Commands go out by bulk endpoint 0x01 and are answered at 0x82; samples come at 0x83
in packets of 64 bytes with checksums, a counter, and the number of scans that the device had to drop. Nothing here was
run on a real device yet: docs/devices_usb.md lists what is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from balancecore.capture.device import Channel, Description, Option, Value
from balancecore.errors import DataError, DeviceError, DeviceTimeoutError

from ._usb import COMMAND_MS, FrameQueue, Model, UsbDevice, channel_numbers, ranges

__all__ = ["LabjackU6", "StreamPackets", "checksum8", "extended"]

COMMAND_OUT, COMMAND_IN = 0x01, 0x82
CONFIG_U6, STREAM_CONFIG, READ_MEM = 0x08, 0x11, 0x2D
STREAM_START, STREAM_STOP = 0xA8, 0xB0
#: Error bytes of stream packets: dropping scans; dropped some, and going on.
RECOVERING, RECOVERED = 59, 60
#: Samples in a packet. Fewer would shorten the wait at low rates, but then each packet needs a read of its own.
PACKET_SAMPLES = 25
PACKET = 14 + 2 * PACKET_SAMPLES
DUMMY = 0xFFFF
#: Reads of 10 ms that may be needed to empty an endpoint; two take all that the FIFO holds.
MOST_LEFT = 30
MOST_TOTAL_HZ = 50e3
#: Scan clocks, Hz, and their bits of ScanConfig.
CLOCKS = {4e6: 0x00, 48e6: 0x08, 4e6 / 256: 0x02, 48e6 / 256: 0x0A}
#: Range, V: gain index.
RANGES = {10.0: 0, 1.0: 1, 0.1: 2, 0.01: 3}


def checksum8(data: bytes) -> int:
    """Sum of the bytes, its high byte added to the low one until none is left."""
    total = sum(data)
    total = (total & 0xFF) + (total >> 8)
    return ((total & 0xFF) + (total >> 8)) & 0xFF


def extended(command: int, data: bytes) -> bytes:
    """An extended command, or an answer to one: header, both checksums, data of an even length."""
    total = sum(data)
    head = bytes([0xF8, len(data) // 2, command, total & 0xFF, total >> 8 & 0xFF])
    return bytes([checksum8(head)]) + head + data


class StreamPackets:
    """Frames out of stream packets; whatever is missing or spoilt becomes a gap of so many frames at its place.

    Parameters
    ----------
    frames : FrameQueue
    width : int
        Channels in a scan.
    """

    def __init__(self, frames: FrameQueue, width: int) -> None:
        self._frames = frames
        self._width = width
        self._next = 0
        #: Scans that the device dropped and the frame from which on the dummy scan is looked for.
        self._dropped: tuple[int, int] | None = None
        self.spoilt = self.missing = self.dropped = self.guessed = 0
        self.recovering = False
        self.backlog = 0

    def add(self, data: memoryview, guess: Callable[[], int]) -> None:
        """Take whole packets.

        Parameters
        ----------
        data : memoryview
        guess : function
            Tells by a clock how many frames are missing now; asked only where the packet with the number was lost
            itself.

        Raises
        ------
        DeviceError
            It is no whole number of packets, or one reports an error other than dropped scans.
        """
        if len(data) % PACKET:
            raise DeviceError(f"a stream packet was cut: {len(data)} bytes are no multiple of {PACKET}")
        packets = np.frombuffer(data, dtype=np.uint8).reshape(-1, PACKET)
        samples = packets[:, 12 : 12 + 2 * PACKET_SAMPLES]
        sums = packets[:, 6:].sum(axis=1, dtype=np.uint32)
        head = packets[:, 1:6].sum(axis=1, dtype=np.uint32)
        head = (head & 0xFF) + (head >> 8)
        head = ((head & 0xFF) + (head >> 8)) & 0xFF
        whole = (
            (packets[:, 1:4] == (0xF9, 4 + PACKET_SAMPLES, 0xC0)).all(axis=1)
            & (sums == packets[:, 4] + packets[:, 5].astype(np.uint32) * 256)
            & (head == packets[:, 0])
        )
        counted = packets[:, 10] == (self._next + np.arange(len(packets))) % 256
        if self._dropped is None and (whole & counted & (packets[:, 11] == 0)).all():
            self._next = (self._next + len(packets)) % 256
            self._frames.add(np.ascontiguousarray(samples).view("<u2").ravel())
            self.recovering = False
        else:
            for packet, good in zip(packets, whole, strict=True):
                self._add_one(packet, bool(good), guess)
        if len(packets):
            self.backlog = int(packets[-1, 12 + 2 * PACKET_SAMPLES])

    def _add_one(self, packet: NDArray[np.uint8], whole: bool, guess: Callable[[], int]) -> None:
        if not whole:
            # Its counter can't be trusted either; the next good packet's tells that one is missing.
            self.spoilt += 1
            return
        counter, code = int(packet[10]), int(packet[11])
        if code not in (0, RECOVERING, RECOVERED):
            raise DeviceError(f"the stream reports error {code}")
        if missing := (counter - self._next) % 256:
            self._give_up_dummy()
            self.missing += missing
            self._frames.gap(missing * PACKET_SAMPLES)
            if self.recovering and code == 0:
                # The end of the recovery is among what is missing, and with it the number of scans.
                scans = guess()
                self.guessed += scans
                self._frames.gap(scans * self._width)
        self._next = (counter + 1) % 256
        first = self._frames.end
        self._frames.add(packet[12 : 12 + 2 * PACKET_SAMPLES].copy().view("<u2"))
        self.recovering = code == RECOVERING
        if code == RECOVERED:
            scans = int(packet[6]) + 256 * int(packet[7])
            self.dropped += scans
            self._dropped = (scans, first)
            self._find_dummy()
        elif self._dropped is not None:
            self._find_dummy()
            self._give_up_dummy()

    def _find_dummy(self) -> None:
        """The scan that stands where others were dropped; it counts as one of them."""
        assert self._dropped is not None
        scans, since = self._dropped
        since = max(since, self._frames.end - len(self._frames))
        hits = np.flatnonzero((self._frames.waiting(since) == DUMMY).all(axis=1))
        if len(hits):
            self._frames.replace(since + int(hits[0]), scans)
            self._dropped = None

    def _give_up_dummy(self) -> None:
        """No dummy scan where one was promised: the dropped scans are placed here."""
        if self._dropped is not None:
            self._frames.gap(self._dropped[0] * self._width)
            self._dropped = None


class LabjackU6(UsbDevice):
    """Fourteen multiplexed 16-bit analog inputs, 50 kS/s in all; addresses are ``labjacku6:SERIAL?rate_hz=1000``.

    Its FIFO holds 984 samples, 123 ms of 8 channels at 1 kHz: read it by a thread that does little else. What did not
    fit is counted by the device and becomes a gap of exactly so many frames.
    """

    SCHEMES = ("labjacku6",)
    VENDOR = 0x0CD5
    STREAM_IN = 0x83
    MODELS: ClassVar[Mapping[str, Model]] = MappingProxyType({"labjacku6": Model(0x0006, "LabJack U6")})
    OPTIONS = (
        Option("rate_hz", 1000.0, "frames per second"),
        Option("channels", "0:7", "inputs such as 0:5 or 0,2,4"),
        Option("range_v", "10", "range ±V, one for all channels or one for each, apart by commas"),
        Option("terminal", "rse", "rse (against ground) or diff (an even input against the next one)"),
        Option("latency_s", 0.02, "samples of about so much time are fetched at once"),
    )

    _inputs: tuple[int, ...] = ()
    _saturated: NDArray[np.bool_] = np.zeros(0, dtype=bool)
    _packets: StreamPackets | None = None

    @classmethod
    def _identify(cls, usb_device: Any) -> str:
        # Its USB descriptors hold no serial number: it has to be asked by a command.
        return str(_serial_number(_ask(usb_device, CONFIG_U6, bytes(20), 38)))

    def _open(self) -> Description:
        self._inputs, volts, gains = self._channels()
        self._saturated = np.zeros(len(self._inputs), dtype=bool)
        rate_hz, clock, interval = self._pacing()
        self._connect()
        with self._errors("set it up"):
            self._hush()
            serial = str(_serial_number(_ask(self._usb, CONFIG_U6, bytes(20), 38)))
            self._calibrate(gains)
            self._config = self._stream_config(clock, interval, gains)
            bytes_per_s = rate_hz * len(self._inputs) * PACKET / PACKET_SAMPLES
            length = self._prepare(len(self._inputs), bytes_per_s, self.options["latency_s"])
        notes = (
            []
            if rate_hz == self.options["rate_hz"]
            else [f"asked for {self.options['rate_hz']:g} Hz, it samples at {rate_hz:.9g} Hz"]
        )
        if length / bytes_per_s > 2 * self.options["latency_s"]:
            notes.append(
                f"frames come every {length / bytes_per_s:.3g} s, since packets of 25 samples fill slowly"
            )
        if len(self._inputs) > 1:
            notes.append(
                "channels are sampled one after another, as fast as the range allows; the skew isn't known"
            )
        channels = tuple(Channel(f"ai{n}", "V", -v, v) for n, v in zip(self._inputs, volts, strict=True))
        return Description(self._model.name, serial, rate_hz, channels, notes=tuple(notes))

    def _channels(self) -> tuple[tuple[int, ...], tuple[float, ...], list[int]]:
        terminal = self.options["terminal"]
        if terminal not in ("rse", "diff"):
            raise DataError(f"{self}: terminal={terminal!r}: rse or diff is wanted")
        inputs = channel_numbers(self.options["channels"], 14)
        if terminal == "diff" and any(channel % 2 for channel in inputs):
            raise DataError(f"{self}: channels={self.options['channels']!r}: pairs begin with even numbers")
        volts = ranges(self.options["range_v"], len(inputs), RANGES)
        return inputs, volts, [RANGES[value] for value in volts]

    def _pacing(self) -> tuple[float, float, int]:
        """The nearest rate that one of the scan clocks can give, that clock, and the interval in its ticks."""
        asked_hz, most_hz = self.options["rate_hz"], MOST_TOTAL_HZ / len(self._inputs)
        least_hz = min(CLOCKS) / 65535
        if not least_hz <= asked_hz <= most_hz:
            raise DataError(
                f"{self}: rate_hz={asked_hz:g}: the U6 takes {least_hz:.2g} to {most_hz:g} Hz "
                f"on {len(self._inputs)} channels"
            )
        if not 0 < self.options["latency_s"] <= 1:
            raise DataError(
                f"{self}: latency_s={self.options['latency_s']:g}: more than 0 and at most 1 s is wanted"
            )
        choices = [
            (clock, round(clock / asked_hz)) for clock in CLOCKS if 1 <= round(clock / asked_hz) <= 65535
        ]
        clock, interval = min(choices, key=lambda choice: abs(choice[0] / choice[1] - asked_hz))
        return clock / interval, clock, interval

    def _stream_config(self, clock: float, interval: int, gains: list[int]) -> bytes:
        differential = 0x80 * (self.options["terminal"] == "diff")
        data = bytes([len(gains), 0, PACKET_SAMPLES, 0, 0, CLOCKS[clock], interval & 0xFF, interval >> 8])
        return data + b"".join(
            bytes([channel, differential | gain << 4])
            for channel, gain in zip(self._inputs, gains, strict=True)
        )

    def _calibrate(self, gains: list[int]) -> None:
        """Slopes above and below the centre, from flash: blocks of four 32.32 fixed-point numbers."""
        blocks = []
        for block in range(4):
            answer = _ask(self._usb, READ_MEM, bytes([0, block]), 40)
            blocks.append(np.frombuffer(answer[8:40], dtype="<i8") / 2.0**32)
        upper, lower = np.concatenate(blocks).reshape(2, 4, 2)
        self._upper, self._lower, self._centre = upper[gains, 0], lower[gains, 0], lower[gains, 1]
        # Nominal is 3.158e-4 V at ±10 V and ten times less for each further gain.
        nominal = 3.158058e-4 / 10.0 ** np.asarray(gains)
        if not (
            (abs(self._upper / nominal - 1) < 0.5).all()
            and (abs(self._lower / nominal + 1) < 0.5).all()
            and (abs(self._centre - 33523) < 3000).all()
        ):
            raise DeviceError(f"{self}: what its flash holds is no calibration")

    def _start(self) -> None:
        self._begin()
        self._saturated = np.zeros(len(self._inputs), dtype=bool)
        self._packets = StreamPackets(self._frames, len(self._inputs))
        with self._errors("start it"):
            self._hush()
            _ask(self._usb, STREAM_CONFIG, self._config, 8)
            _order(self._usb, STREAM_START)

    def _received(self, data: memoryview) -> None:
        assert self._packets is not None
        try:
            self._packets.add(data, self._missing_now)
        except DeviceError as error:
            raise DeviceError(f"{self}: {error}") from error

    def _stalled(self) -> None:
        # The protocol knows no stall of this endpoint; packets that it costs show in their counter.
        self._usb.clear_halt(self.STREAM_IN)

    def _convert(self, frames: NDArray[np.uint16], out: NDArray[np.float64]) -> None:
        np.subtract(frames, self._centre, out=out)
        # Below the centre the sign of the difference and that of the lower slope cancel: volts stay negative.
        np.multiply(out, np.where(out < 0, -self._lower, self._upper), out=out)
        self._saturated |= (frames.min(axis=0) == 0) | (frames.max(axis=0) == 0xFFFF)

    def _stop(self) -> None:
        with suppress(OSError, DeviceError):
            self._hush()

    def _hush(self) -> None:
        """End a stream, also one that nobody knows of, and throw away what it has left."""
        with suppress(DeviceError, DeviceTimeoutError):
            _order(self._usb, STREAM_STOP)
        for endpoint in (COMMAND_IN, self.STREAM_IN):
            # Counted, not timed: by the clock a thread that comes late to its turn would leave something behind.
            with suppress(OSError):
                for _ in range(MOST_LEFT):
                    if not len(self._usb.read(endpoint, 32 * PACKET, 10)):
                        break

    def status(self) -> Mapping[str, Value]:
        """Since `start`: channels at an end of their range, dropped scans, packets missing and spoilt, FIFO's fill.

        Returns
        -------
        mapping
            ``overloaded`` (their names, apart by commas), ``dropped_scans``, ``missing_packets``, ``spoilt_packets``,
            ``lost_frames_estimated`` (where the packet with their number was lost), ``recovering``, ``buffer_fill``
            (0 to 1).
        """
        packets = self._packets or StreamPackets(FrameQueue(1), 1)
        return MappingProxyType(
            {
                "overloaded": ",".join(
                    f"ai{channel}" for channel in np.asarray(self._inputs)[self._saturated]
                ),
                "dropped_scans": packets.dropped,
                "missing_packets": packets.missing,
                "spoilt_packets": packets.spoilt,
                "lost_frames_estimated": packets.guessed,
                "recovering": packets.recovering,
                "buffer_fill": packets.backlog / 256,
            }
        )


def _ask(usb_device: Any, command: int, data: bytes, length: int) -> bytes:
    """Send an extended command and return its answer of `length` bytes, checked."""
    usb_device.write(COMMAND_OUT, extended(command, data), COMMAND_MS)
    answer = bytes(usb_device.read(COMMAND_IN, 64, COMMAND_MS))
    if len(answer) != length or answer != extended(command, answer[6:]):
        raise DeviceError(f"the answer to command {command:#04x} is spoilt: {answer.hex()}")
    if answer[6]:
        raise DeviceError(f"command {command:#04x} was refused with error {answer[6]}")
    return answer


def _order(usb_device: Any, command: int) -> None:
    """Send a command of two bytes; it is answered by four."""
    usb_device.write(COMMAND_OUT, bytes([command, command]), COMMAND_MS)
    answer = bytes(usb_device.read(COMMAND_IN, 64, COMMAND_MS))
    if len(answer) != 4 or answer[1] != command + 1 or answer[0] != checksum8(answer[1:]):
        raise DeviceError(f"the answer to command {command:#04x} is spoilt: {answer.hex()}")
    if answer[2]:
        raise DeviceError(f"command {command:#04x} was refused with error {answer[2]}")


def _serial_number(answer: bytes) -> int:
    """The serial number in the answer to ConfigU6."""
    return int.from_bytes(answer[15:19], "little")
