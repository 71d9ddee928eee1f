"""Devices as a host sees them on the wire, told by the published protocols; they know nothing of how they are reached.

A model answers control requests, takes bulk packets and gives those that are due by its pacer's clock. Written from
the vendors' documents, not from the drivers: what both have wrong in the same way only real hardware can show.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

PACKET = 64


class Stall(Exception):
    """The endpoint answers STALL."""


class Gone(Exception):
    """The device was pulled out."""


@dataclass
class Faults:
    """What is wrong with a device; numbers of frames count from the start of a scan."""

    silent: bool = False
    unplug_at: int | None = None
    #: Both happen once.
    overrun_at: int | None = None
    stall_at: int | None = None
    #: What an earlier stream left in the endpoint.
    stale: bytes = b""
    #: Stream packets that are spoilt or never sent, by their number since start (U6).
    spoil: frozenset[int] = frozenset()
    skip: frozenset[int] = frozenset()
    #: The packet that ends a recovery is never sent, and with it the number of dropped scans.
    skip_recovery: bool = False


class Model:
    """Descriptors and standard requests; a device adds its own requests and endpoints."""

    VENDOR = 0
    PRODUCT = 0
    NAMES = ("Vendor", "Product")
    #: Addresses of bulk endpoints.
    ENDPOINTS: tuple[int, ...] = ()
    #: Whether the serial number is in a string descriptor.
    TELLS_SERIAL = True
    #: Whether its clock stands still while the FIFO is full. A real one runs on and loses samples; but how soon a
    #: reader comes back is up to the machine, so that only tests of that very loss let it run, and shift `began_s`.
    WAITS = True

    def __init__(self, serial: str, faults: Faults | None = None):
        self.serial = serial
        self.faults = faults or Faults()
        self.lock = threading.RLock()
        self.halted: set[int] = set()
        self.gone = False
        self.configuration = 1
        self.began_s = 0.0
        #: Every request and packet from the host, for tests.
        self.heard: list[tuple] = []

    def device_descriptor(self):
        serial = 3 if self.TELLS_SERIAL else 0
        return struct.pack(
            "<BBHBBBBHHHBBBB",
            18,
            1,
            0x200,
            255,
            0,
            0,
            PACKET,
            self.VENDOR,
            self.PRODUCT,
            0x101,
            1,
            2,
            serial,
            1,
        )

    def configuration_descriptor(self):
        ends = b"".join(struct.pack("<BBBBHB", 7, 5, end, 2, PACKET, 0) for end in self.ENDPOINTS)
        face = struct.pack("<BBBBBBBBB", 9, 4, 0, 0, len(self.ENDPOINTS), 255, 0, 0, 0)
        total = 9 + len(face) + len(ends)
        return struct.pack("<BBHBBBBB", 9, 2, total, 1, 1, 0, 0x80, 50) + face + ends

    def string_descriptor(self, index):
        if index == 0:
            return struct.pack("<BBH", 4, 3, 0x409)
        texts = (*self.NAMES, self.serial)
        if index > len(texts):
            raise Stall
        text = texts[index - 1].encode("utf-16-le")
        return bytes([len(text) + 2, 3]) + text

    def control(self, kind, request, value, index, data_or_length):
        """One control transfer: the answer's bytes, or b"" to an OUT request."""
        with self.lock:
            if self.gone:
                raise Gone
            if kind & 0x60:
                self.heard.append((kind, request, value, index, data_or_length))
                if kind & 0x80:
                    return self.vendor_in(request, value, index, data_or_length)[:data_or_length]
                self.vendor_out(request, value, index, data_or_length)
                return b""
            return self.standard(kind, request, value, index, data_or_length)

    def standard(self, kind, request, value, index, data_or_length):
        if kind == 0x80 and request == 6:
            which = {1: lambda _: self.device_descriptor(), 2: lambda _: self.configuration_descriptor()}
            describe = {**which, 3: self.string_descriptor}.get(value >> 8)
            if describe is None:
                raise Stall
            return describe(value & 0xFF)[:data_or_length]
        if kind == 0x80 and request == 8:
            return bytes([self.configuration])
        if kind == 0x00 and request == 9:
            self.configuration = value
        elif kind == 0x02 and request == 1:
            self.heard.append(("clear_halt", index))
            self.halted.discard(index)
        elif (kind, request) not in {(0x01, 11), (0x00, 5)}:
            raise Stall
        return b""

    def bulk_in(self, endpoint, length):
        """What the endpoint sends now: bytes up to `length`, and whether a short packet ended the transfer."""
        with self.lock:
            if self.gone:
                raise Gone
            if endpoint in self.halted:
                raise Stall
            data = self.packets(endpoint, length)
            return data, len(data) % PACKET != 0

    def bulk_out(self, endpoint, data):
        with self.lock:
            if self.gone:
                raise Gone
            self.take(endpoint, bytes(data))

    def unplug(self):
        with self.lock:
            self.gone = True

    def due(self, rate_hz):
        """How many ticks of a pacer have passed since it began."""
        return 0 if self.faults.silent else int((time.monotonic() - self.began_s) * rate_hz)

    def vendor_in(self, request, value, index, length):
        raise Stall

    def vendor_out(self, request, value, index, data):
        raise Stall

    def packets(self, endpoint, length):
        return b""

    def take(self, endpoint, data):
        raise Stall


def signal(first, n, channels, bits):
    """Raw samples from number `first` on, scans of `channels`: the first counts scans, the others are made from it."""
    at = np.arange(first, first + n)
    scan, place = np.divmod(at, len(channels))
    channel = np.asarray(channels)[place]
    values = np.where(place == 0, scan, scan * (2 * channel + 1) + 1000 * channel)
    return (values % 2**bits).astype("<u2")


class FsPlus(Model):
    """USB-1608FS-Plus, 1408FS-Plus, 1208FS-Plus."""

    VENDOR = 0x09DB
    ENDPOINTS = (0x81,)
    BITS, CLOCK_HZ, FIFO, SIMULTANEOUS = 16, 40e6, 32768, True

    def __init__(self, serial="01A2B3C4", faults=None):
        super().__init__(serial, faults)
        self.status = 0
        self.gains = bytes(8)
        self.sent = 0
        self.scans = 0
        self.memory = bytearray(768)
        rng = np.random.default_rng(int(serial, 16))
        self.table = np.stack([1 + rng.normal(0, 2e-3, 64), rng.normal(0, 20, 64)], axis=1).astype("<f4")
        self.memory[:512] = self.table.tobytes()
        self.memory[0x200:0x206] = bytes([21, 3, 9, 14, 30, 0])

    def vendor_in(self, request, value, index, length):
        if request == 0x30:
            return bytes(self.memory[value : value + length])
        if request == 0x44:
            self.overflow()
            return struct.pack("<H", self.status)
        if request == 0x48:
            return self.serial.encode().ljust(8, b"\0")
        if request == 0x14:
            return self.gains
        raise Stall

    def vendor_out(self, request, value, index, data):
        if request == 0x11:
            self.start(data)
        elif request == 0x12:
            self.status &= ~2
        elif request == 0x14 and len(data) == 8 and not self.status & 2:
            self.gains = bytes(data)
        elif request == 0x15:
            self.sent = 0
            self.began_s = time.monotonic()
        elif request == 0x44:
            self.status &= ~4
        else:
            raise Stall

    def start(self, data):
        form = "<IIBB" if self.SIMULTANEOUS else "<IIIBB"
        if self.status & 2 or 0x81 in self.halted or len(data) != struct.calcsize(form):
            raise Stall
        count, *_, period, mask, options = struct.unpack(form, data)
        # Only what the driver uses is modelled: continuous block transfers that stall on overrun.
        if count or not mask or options & ~(0x20 if self.SIMULTANEOUS else 0x02):
            raise Stall
        self.channels = [channel for channel in range(8) if mask >> channel & 1]
        self.counter = bool(options & 0x20) and self.SIMULTANEOUS
        ticks = len(self.channels) if self.SIMULTANEOUS else 1
        self.rate_hz = self.CLOCK_HZ / (period + 1) * ticks
        self.sent, self.status, self.began_s = 0, self.status | 2, time.monotonic()
        self.scans += 1

    def overflow(self):
        """Whether the FIFO overflowed before anybody asked."""
        if not self.status & 2:
            return
        frames = self.sent // len(self.channels)
        faults = self.faults
        if faults.unplug_at is not None and frames >= faults.unplug_at:
            self.gone = True
            raise Gone
        if faults.stall_at is not None and frames >= faults.stall_at:
            faults.stall_at = None
            self.halted.add(0x81)
        excess = self.due(self.rate_hz) - self.sent - self.FIFO
        if self.WAITS and excess > 0:
            self.began_s += excess / self.rate_hz
        full = not self.WAITS and excess > 0
        if full or (faults.overrun_at is not None and frames >= faults.overrun_at):
            faults.overrun_at = None
            self.status = (self.status | 4) & ~2
            self.halted.add(0x81)

    def packets(self, endpoint, length):
        if self.faults.stale:
            stale, self.faults.stale = self.faults.stale, b""
            return stale
        self.overflow()
        if 0x81 in self.halted:
            raise Stall
        if not self.status & 2:
            return b""
        ready = (self.due(self.rate_hz) - self.sent) * 2
        n = min(ready, length) // PACKET * PACKET // 2
        if self.counter:
            data = (np.arange(self.sent, self.sent + n) % 65536).astype("<u2")
        else:
            data = signal(self.sent, n, self.channels, self.BITS)
        self.sent += n
        return data.tobytes()


class Usb1608(FsPlus):
    PRODUCT = 0x00EA
    NAMES = ("MCC", "USB-1608FS-Plus")


class Usb1408(FsPlus):
    PRODUCT = 0x00E9
    NAMES = ("MCC", "USB-1408FS-Plus")
    BITS, CLOCK_HZ, FIFO, SIMULTANEOUS = 14, 60e6, 8192, False


class Usb1208(FsPlus):
    PRODUCT = 0x00E8
    NAMES = ("MCC", "USB-1208FS-Plus")
    BITS, CLOCK_HZ, FIFO, SIMULTANEOUS = 12, 60e6, 8192, False


def sum8(data):
    total = sum(data)
    while total > 255:
        total = total // 256 + total % 256
    return total


def framed(head, data):
    """A message with both checksums: head is the bytes 1 to 3."""
    body = bytearray(6) + data
    body[1:4] = head
    body[4:6] = struct.pack("<H", sum(data) & 0xFFFF)
    body[0] = sum8(body[1:6])
    return bytes(body)


class LabjackU6(Model):
    """LabJack U6 in stream mode, with its auto-recovery."""

    VENDOR, PRODUCT = 0x0CD5, 0x0006
    NAMES = ("LabJack Corporation", "LabJack U6")
    ENDPOINTS = (0x01, 0x82, 0x83)
    TELLS_SERIAL = False
    FIFO = 984
    BITS = 16

    def __init__(self, serial="360012345", faults=None):
        super().__init__(serial, faults)
        self.answers: deque[bytes] = deque()
        self.config = None
        self.streaming = False
        # Rounded to what 32.32 fixed point holds.
        scale = 3.158058e-4 / 10.0 ** np.arange(4)
        self.upper = np.round(scale * 1.001 * 2**32) / 2**32
        self.lower = -np.round(scale * 0.999 * 2**32) / 2**32
        self.centre = np.array([33523.25, 33500.5, 33510.0, 33530.0])
        up = np.stack([self.upper, np.full(4, -10.5)], axis=1)
        low = np.stack([self.lower, self.centre], axis=1)
        self.flash = (np.concatenate([up, low]) * 2**32).astype("<i8").tobytes()

    def take(self, endpoint, data):
        self.heard.append((endpoint, data))
        if endpoint != 0x01:
            raise Stall
        if data in (b"\xa8\xa8", b"\xb0\xb0"):
            self.start_or_stop(data[0])
            return
        if data != framed(data[1:4], data[6:]):
            self.answers.append(b"\xb8\xb8")
            return
        command, body = data[3], data[6:]
        if command == 0x08 and len(body) == 20:
            serial = struct.pack("<I", int(self.serial))
            self.answers.append(framed(b"\xf8\x10\x08", bytes(9) + serial + bytes([6, 0, 1]) + bytes(16)))
        elif command == 0x2D and len(body) == 2:
            block = self.flash[32 * body[1] :][:32].ljust(32, b"\xff")
            self.answers.append(framed(b"\xf8\x11\x2d", bytes(2) + block))
        elif command == 0x11 and len(body) == 8 + 2 * body[0]:
            self.config = body
            self.answers.append(framed(b"\xf8\x01\x11", bytes(2)))
        else:
            self.answers.append(b"\xb8\xb8")

    def start_or_stop(self, command):
        error = 0
        if command == 0xA8:
            if self.config is None or self.streaming:
                error = 48
            else:
                self.begin()
        elif not self.streaming:
            error = 52
        else:
            self.streaming = False
        self.answers.append(bytes([sum8([command + 1, error]), command + 1, error, 0]))

    def begin(self):
        n, _, self.per_packet, _, _, clock, interval = struct.unpack_from("<6BH", self.config)
        pairs = self.config[8:]
        self.channels = list(pairs[0::2][:n])
        self.rate_hz = (48e6 if clock & 8 else 4e6) / (256 if clock & 2 else 1) / interval
        self.fifo = np.empty(0, "<u2")
        self.taken = self.scanned = self.number = self.discarded = 0
        self.recovering, self.recovered = False, None
        self.streaming, self.began_s = True, time.monotonic()

    def advance(self, waits):
        """Scans that are due go into the FIFO, or are counted where they don't fit."""
        width = len(self.channels)
        scans = self.due(self.rate_hz) - self.scanned
        if not self.recovering:
            fit = min(scans, (self.FIFO - len(self.fifo)) // width)
            if waits and scans > fit:
                self.began_s += (scans - fit) / self.rate_hz
                scans = fit
            new = signal(self.scanned * width, fit * width, self.channels, 16)
            self.fifo = np.concatenate([self.fifo, new])
            self.scanned += fit
            scans -= fit
            self.recovering = scans > 0
        if self.recovering:
            self.discarded += scans
            self.scanned += scans

    def packets(self, endpoint, length):
        if endpoint == 0x82:
            return self.answers.popleft()[:length] if self.answers else b""
        if endpoint != 0x83 or not self.streaming:
            return b""
        faults = self.faults
        if faults.unplug_at is not None and self.taken >= faults.unplug_at * len(self.channels):
            self.gone = True
            raise Gone
        if faults.overrun_at is not None and self.taken >= faults.overrun_at * len(self.channels):
            faults.overrun_at = None
            # As if the host had been away for a while.
            self.began_s -= 2 * self.FIFO / len(self.channels) / self.rate_hz
            self.advance(waits=False)
        sent = []
        while len(sent) < length // PACKET and (packet := self.packet()):
            if self.number - 1 not in faults.skip and not (faults.skip_recovery and packet[11] == 60):
                sent.append(packet)
        return b"".join(sent)

    def packet(self):
        self.advance(self.WAITS)
        if self.recovering and len(self.fifo) < self.per_packet:
            # The dummy scan stands for one of those that were dropped.
            self.recovered = (len(self.fifo), self.discarded)
            self.fifo = np.concatenate([self.fifo, np.full(len(self.channels), 0xFFFF, "<u2")])
            self.recovering, self.discarded = False, 0
            self.advance(self.WAITS)
        if len(self.fifo) < self.per_packet:
            return b""
        stamp, error = 0, 59 if self.recovering else 0
        if self.recovered is not None:
            stamp, error, self.recovered = self.recovered[1], 60, None
        samples, self.fifo = self.fifo[: self.per_packet], self.fifo[self.per_packet :]
        self.taken += len(samples)
        backlog = min(255, 256 * len(self.fifo) // self.FIFO)
        data = struct.pack("<IBB", stamp, self.number % 256, error) + samples.tobytes() + bytes([backlog, 0])
        packet = bytearray(framed(bytes([0xF9, 4 + self.per_packet, 0xC0]), data))
        if self.number in self.faults.spoil:
            packet[20] ^= 0x40
        self.number += 1
        return bytes(packet)
