"""Measurement Computing USB-1608FS-Plus, USB-1408FS-Plus and USB-1208FS-Plus over pyusb.

Their protocol is published: uldaq by Measurement Computing (MIT licence; the files AiUsb1608fsPlus, AiUsb1208fsPlus,
UsbScanTransferIn) and the DAQFlex Message-based Firmware Specification. Requests are vendor control transfers to the
device; samples come as unsigned 16-bit words through bulk endpoint 0x81, channels ascending, scan after scan, in full
packets of 64 bytes. Nothing here was run on a real device yet: docs/devices_usb.md lists what is assumed.
"""

from __future__ import annotations

import dataclasses
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from balancecore.capture.device import Channel, Description, Option, Value
from balancecore.errors import DataError, DeviceError

from ._usb import (
    COMMAND_MS,
    Model,
    UsbDevice,
    channel_numbers,
    ranges,
)

__all__ = ["Usb1608FsPlus"]

SCAN_START, SCAN_STOP, SCAN_CONFIG, CLEAR_FIFO = 0x11, 0x12, 0x14, 0x15
CAL_MEMORY, STATUS, SERIAL = 0x30, 0x44, 0x48
VENDOR_OUT, VENDOR_IN = 0x40, 0xC0
CAL_DATE = 0x200
OVERRUN = 0x0004
DIFFERENTIAL, TEST_COUNTER = 0x02, 0x20
#: How long a self-test waits for a first sample, s, beyond its own time.
FIRST_S = 5.0


@dataclasses.dataclass(frozen=True)
class FsPlus(Model):
    """Numbers of one model, from the constructors of uldaq's AiUsb1608fsPlus and AiUsb1208fsPlus."""

    bits: int
    clock_hz: float
    most_hz: float
    most_total_hz: float
    #: Converters work together, or one is switched from channel to channel.
    simultaneous: bool


#: Range, V: its code, which is also the row of the calibration table. wjasper's notes have four more for the first;
#: the vendor lists only these.
RANGES_SIMULTANEOUS = {10.0: 0, 5.0: 1, 2.0: 3, 1.0: 5}
RANGES_SINGLE_ENDED = {10.0: 0}
RANGES_DIFFERENTIAL = {20.0: 0, 10.0: 1, 5.0: 2, 4.0: 3, 2.5: 4, 2.0: 5, 1.25: 6, 1.0: 7}


class Usb1608FsPlus(UsbDevice):
    """Eight analog inputs: simultaneous 16-bit (1608), or multiplexed 14-bit (1408) and 12-bit (1208).

    Addresses are ``usb1608fsplus:SERIAL?rate_hz=1000`` and the like; without a serial number, the only one attached.

    An overrun makes the device stall its endpoint and forget what it held. The scan is then started anew, and the
    frames in between are counted by the host's clock, since the device doesn't tell; `status` and a note say so.
    """

    SCHEMES = ("usb1608fsplus", "usb1408fsplus", "usb1208fsplus")
    VENDOR = 0x09DB
    STREAM_IN = 0x81
    MODELS: ClassVar[Mapping[str, FsPlus]] = MappingProxyType(
        {
            "usb1608fsplus": FsPlus(0x00EA, "MCC USB-1608FS-Plus", 16, 40e6, 100e3, 400e3, True),
            "usb1408fsplus": FsPlus(0x00E9, "MCC USB-1408FS-Plus", 14, 60e6, 48e3, 48e3, False),
            "usb1208fsplus": FsPlus(0x00E8, "MCC USB-1208FS-Plus", 12, 60e6, 52e3, 52e3, False),
        }
    )
    OPTIONS = (
        Option("rate_hz", 1000.0, "frames per second"),
        Option("channels", "", "inputs such as 0:5 or 0,2,4 (default: all)"),
        Option("range_v", "10", "range ±V, one for all channels or one for each, apart by commas"),
        Option("terminal", "rse", "rse (against ground) or diff (pairs, not on the 1608)"),
        Option("latency_s", 0.02, "samples of about so much time are fetched at once"),
        Option("test_counter", False, "the device sends a counter instead of the inputs (only the 1608)"),
    )

    _inputs: tuple[int, ...] = ()
    _saturated: NDArray[np.bool_] = np.zeros(0, dtype=bool)
    _calibrated: str | None = None
    _overruns = _estimated = 0
    _counting = False

    @property
    def _model(self) -> FsPlus:
        return self.MODELS[self.address.scheme]

    def _open(self) -> Description:
        self._inputs, self._ranges, codes = self._channels()
        rate_hz, self._period = self._pacing()
        self._top = 2**self._model.bits - 1
        self._saturated = np.zeros(len(self._inputs), dtype=bool)
        self._connect()
        with self._errors("set it up"):
            self._command(SCAN_STOP)
            serial = bytes(self._ask(SERIAL, 0, 8)).decode("ascii", "replace").strip("\0 ")
            notes = self._calibrate(codes)
            gains = bytearray(8)
            for channel, code in zip(self._inputs, codes, strict=True):
                gains[channel] = code
            self._command(SCAN_CONFIG, bytes(gains))
            length = self._prepare(
                len(self._inputs), 2 * len(self._inputs) * rate_hz, self.options["latency_s"]
            )
        if rate_hz != self.options["rate_hz"]:
            notes.append(f"asked for {self.options['rate_hz']:g} Hz, it samples at {rate_hz:.9g} Hz")
        wait_s = length / (2 * len(self._inputs) * rate_hz)
        if wait_s > 2 * self.options["latency_s"]:
            notes.append(
                f"frames come every {wait_s:.3g} s, since packets of 32 samples fill slowly at this rate"
            )
        counts = self._counting = self.options["test_counter"]
        skew_s = 0.0 if self._model.simultaneous else (self._period + 1) / self._model.clock_hz
        channels = tuple(
            Channel(f"ai{channel}", "count", 0.0, float(self._top), k * skew_s)
            if counts
            else Channel(f"ai{channel}", "V", -volts, volts, k * skew_s)
            for k, (channel, volts) in enumerate(zip(self._inputs, self._ranges, strict=True))
        )
        self._notes = tuple(notes)
        return Description(self._model.name, serial, rate_hz, channels, notes=self._notes)

    def _channels(self) -> tuple[tuple[int, ...], tuple[float, ...], list[int]]:
        """Inputs, their ranges in V, and the codes of these."""
        terminal = self.options["terminal"]
        if terminal not in ("rse", "diff"):
            raise DataError(f"{self}: terminal={terminal!r}: rse or diff is wanted")
        self._differential = terminal == "diff"
        if self._model.simultaneous:
            if self._differential:
                raise DataError(f"{self}: the {self._model.name} has no differential inputs")
            known = RANGES_SIMULTANEOUS
        else:
            known = RANGES_DIFFERENTIAL if self._differential else RANGES_SINGLE_ENDED
            if self.options["test_counter"]:
                raise DataError(f"{self}: the {self._model.name} has no test counter")
        count = 4 if self._differential else 8
        inputs = channel_numbers(self.options["channels"] or f"0:{count - 1}", count)
        volts = ranges(self.options["range_v"], len(inputs), known)
        return inputs, volts, [known[value] for value in volts]

    def _pacing(self) -> tuple[float, int]:
        """The rate that the pacer can give, and its period; a multiplexed pacer ticks once a sample."""
        model, asked_hz = self._model, self.options["rate_hz"]
        ticks = 1 if model.simultaneous else len(self._inputs)
        most_hz = min(model.most_hz, model.most_total_hz / len(self._inputs))
        least_hz = model.clock_hz / 2**32 / ticks
        if not least_hz <= asked_hz <= most_hz:
            raise DataError(
                f"{self}: rate_hz={asked_hz:g}: the {model.name} takes {least_hz:.2g} to {most_hz:g} Hz "
                f"on {len(self._inputs)} channels"
            )
        if not 0 < self.options["latency_s"] <= 1:
            raise DataError(
                f"{self}: latency_s={self.options['latency_s']:g}: more than 0 and at most 1 s is wanted"
            )
        period = round(model.clock_hz / (asked_hz * ticks)) - 1
        return model.clock_hz / ((period + 1) * ticks), period

    def _calibrate(self, codes: list[int]) -> list[str]:
        """Read slopes and offsets from the device's flash and fold the range into them."""
        memory = b"".join(bytes(self._ask(CAL_MEMORY, at, 64)) for at in range(0, 0x200, 64))
        date = self._ask(CAL_MEMORY, CAL_DATE, 6)
        self._calibrated = f"{2000 + date[0]:04d}-{date[1]:02d}-{date[2]:02d}"
        table = np.frombuffer(memory, dtype="<f4").reshape(-1, 2)
        if self._model.simultaneous:
            rows = [8 * code + channel for channel, code in zip(self._inputs, codes, strict=True)]
        elif self._differential:
            rows = [4 * code + channel for channel, code in zip(self._inputs, codes, strict=True)]
        else:
            rows = [32 + channel for channel in self._inputs]
        slope, offset = table[rows].astype(np.float64).T
        notes = []
        # A slope is 1 to some parts in a thousand; flash that was never written holds NaN.
        blank = ~(np.isfinite(slope) & np.isfinite(offset) & (np.abs(slope - 1) < 0.5))
        if blank.any():
            where = " ".join(f"ai{channel}" for channel in np.asarray(self._inputs)[blank])
            notes.append(f"no calibration is stored in the device for {where}: volts are nominal")
            slope, offset = np.where(blank, 1.0, slope), np.where(blank, 0.0, offset)
        full = np.asarray(self._ranges)
        lsb = full / 2 ** (self._model.bits - 1)
        self._slope, self._offset = slope * lsb, offset * lsb - full
        return notes

    def _start(self) -> None:
        self._begin()
        self._overruns = self._estimated = 0
        self._saturated = np.zeros(len(self._inputs), dtype=bool)
        self._description = dataclasses.replace(self.description, notes=self._notes)
        with self._errors("start it"):
            self._scan()

    def _scan(self) -> None:
        """Begin a scan from nothing: no old samples, no stall, and the first sample is the first channel's."""
        self._command(SCAN_STOP)
        self._command(CLEAR_FIFO)
        self._usb.clear_halt(self.STREAM_IN)
        self._drain()
        self._command(SCAN_START, self._scan_request())

    def _scan_request(self) -> bytes:
        """Data of SCAN_START: count 0 is for ever; options 0 is block transfers and a stall on overrun."""
        mask = sum(1 << channel for channel in self._inputs)
        options = TEST_COUNTER * self._counting | DIFFERENTIAL * self._differential
        if self._model.simultaneous:
            return struct.pack("<IIBB", 0, self._period, mask, options)
        return struct.pack("<IIIBB", 0, 0, self._period, mask, options)

    def _received(self, data: memoryview) -> None:
        self._frames.add(np.frombuffer(data[: len(data) // 2 * 2], dtype="<u2"))

    def _stalled(self) -> None:
        """Start anew after a stall, and place a gap as long as the host's clock says."""
        status = int.from_bytes(bytes(self._ask(STATUS, 0, 2)), "little")
        self._command(STATUS)
        self._scan()
        frames = max(self._missing_now(), 1)
        self._frames.cut(frames)
        self._overruns += bool(status & OVERRUN)
        self._estimated += frames
        what = "overran" if status & OVERRUN else "stalled"
        note = f"it {what}: about {self._estimated} frames are lost so far, counted by the host's clock"
        self._description = dataclasses.replace(self.description, notes=(*self._notes, note))

    def _convert(self, frames: NDArray[np.uint16], out: NDArray[np.float64]) -> None:
        if self._counting:
            out[:] = frames
            return
        np.multiply(frames, self._slope, out=out)
        out += self._offset
        self._saturated |= (frames.min(axis=0) == 0) | (frames.max(axis=0) >= self._top)

    def _stop(self) -> None:
        with suppress(OSError):
            self._command(SCAN_STOP)
            self._command(CLEAR_FIFO)

    def status(self) -> Mapping[str, Value]:
        """Since `start`: channels at an end of their range, overruns, lost frames that are estimates; calibration.

        Returns
        -------
        mapping
            ``overloaded`` (their names, apart by commas), ``overruns``, ``lost_frames_estimated``, ``calibrated`` (ISO
            date).
        """
        return MappingProxyType(
            {
                "overloaded": ",".join(
                    f"ai{channel}" for channel in np.asarray(self._inputs)[self._saturated]
                ),
                "overruns": self._overruns,
                "lost_frames_estimated": self._estimated,
                "calibrated": self._calibrated,
            }
        )

    def self_test(self, seconds: float = 1.0) -> str | None:
        """Let the 1608 send its counter for a while and see that no sample is missing, doubled or out of order.

        Parameters
        ----------
        seconds : float

        Returns
        -------
        str or None
            What came; None for the 1408 and the 1208, which have no such counter.

        Raises
        ------
        DeviceError
            The counter jumped or frames were lost, or the device is not open or is running.
        """
        if not self._model.simultaneous:
            return None
        counting, self._counting = self._counting, True
        try:
            self.start()
            samples, breaks = self._follow_counter(seconds)
            lost = self.frames_lost
        finally:
            self.stop()
            self._counting = counting
        if breaks or lost or not samples:
            raise DeviceError(
                f"{self}: its counter jumped {breaks} times in {samples} samples, and {lost} frames were lost"
            )
        return f"{samples} samples of its counter: none is missing, doubled or out of order"

    def _follow_counter(self, seconds: float) -> tuple[int, int]:
        """Samples that came in so many seconds, and how many don't follow on the one before."""
        block = np.empty((4096, len(self._inputs)))
        last, samples, breaks = np.empty(0), 0, 0
        until_s = time.monotonic() + seconds
        # The first may be late on a busy machine: without one nothing was tested.
        while (now_s := time.monotonic()) < until_s or (not samples and now_s < until_s + FIRST_S):
            n = self.read_into(block, 0.5)
            steps = np.diff(np.concatenate([last, block[:n].ravel()])) % 65536
            # The source doesn't say whether it counts samples or scans; within a scan it may stand still.
            stands = (steps == 0) & self._counts_scans(block[:n])
            breaks += int(np.count_nonzero((steps != 1) & ~stands))
            samples += n * len(self._inputs)
            last = block[n - 1, -1:].copy() if n else last
        return samples, breaks

    @staticmethod
    def _counts_scans(frames: NDArray[np.float64]) -> bool:
        return frames.shape[1] > 1 and bool(np.all(frames == frames[:, :1]))

    def _command(self, request: int, data: bytes = b"") -> None:
        self._usb.ctrl_transfer(VENDOR_OUT, request, 0, 0, data, COMMAND_MS)

    def _ask(self, request: int, value: int, length: int) -> bytes:
        answer = bytes(self._usb.ctrl_transfer(VENDOR_IN, request, value, 0, length, COMMAND_MS))
        if len(answer) != length:
            raise DeviceError(
                f"{self}: request {request:#04x} was answered with {len(answer)} of {length} bytes"
            )
        return answer
