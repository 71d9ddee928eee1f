"""Bertec's Treadmill Control Panel over TCP: ``bertec://host:4000``.

In the panel, Settings > Remote Control > TCP has to be switched on; it takes one client at a time. All numbers are
big-endian. The layout is that of two public client programs (docs/devices.md); no real treadmill has been tried.

* Status, 32 bytes: format (0); speeds of the right, left, rear right and rear left belt, int16 mm/s; incline, int16
  0.01 degrees; 21 bytes of padding.
* Command, 64 bytes: format (0); nine int16: the four speeds, the four accelerations (mm/s²), the incline; the same 18
  bytes as their one's complement; 27 zeros.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from balancecore.capture.device import Address, Option
from balancecore.capture.treadmill import BeltCommand, BeltLimits, BeltLink, BeltState
from balancecore.errors import DataError, DeviceLostError, DeviceNotFoundError

__all__ = ["BertecLink", "decode_status", "encode_command"]

STATUS_BYTES = 32
_STATUS = struct.Struct(">B4hh21x")
_VALUES = struct.Struct(">9h")
_PORT = 4000
_CONNECT_S, _SEND_S = 3.0, 1.0
_ADVICE = (
    "is the Treadmill Control Panel running, with Settings > Remote Control > TCP switched on, "
    "and no other program connected to it?"
)


def encode_command(command: BeltCommand) -> bytes:
    """The 64 bytes of a command; the rear belts of treadmills that have them stand still."""
    left, right = round(1000 * command.speed_left_m_s), round(1000 * command.speed_right_m_s)
    change = round(1000 * command.acceleration_m_s2)
    values = _VALUES.pack(right, left, 0, 0, change, change, 0, 0, round(100 * command.incline_deg))
    return b"\0" + values + bytes(255 - b for b in values) + bytes(27)


def decode_status(frame: bytes, time_s: float) -> BeltState:
    """The state that 32 bytes tell; DeviceLostError where they are no status."""
    form, right, left, rear_right, rear_left, incline = _STATUS.unpack(frame)
    if form:
        raise DeviceLostError(f"what came is no status of the treadmill: its format is {form}, not 0")
    return BeltState(
        time_s,
        speed_left_m_s=left / 1000,
        speed_right_m_s=right / 1000,
        incline_deg=incline / 100,
        speed_left_rear_m_s=rear_left / 1000,
        speed_right_rear_m_s=rear_right / 1000,
    )


class BertecLink(BeltLink):
    """The TCP connection; one thread polls, any sends."""

    SCHEMES: ClassVar[tuple[str, ...]] = ("bertec",)
    OPTIONS: ClassVar[tuple[Option, ...]] = ()
    #: What the public clients limit themselves to.
    CAP: ClassVar[BeltLimits] = BeltLimits(6.5, 3.0, 15.0, reverse=True)

    def __init__(self, address: Address, options: Mapping[str, Any]) -> None:
        super().__init__(address, options)
        host, colon, port = address.host.rpartition(":")
        self._host = host if colon else address.host
        if not self._host or address.path or (colon and not (port.isascii() and port.isdigit())):
            raise DataError(
                f"{address}: bertec://HOST or bertec://HOST:PORT is wanted, such as bertec://192.168.0.5:4000"
            )
        self._port = int(port) if colon else _PORT
        self._socket: socket.socket | None = None
        self._rest = bytearray()

    def connect(self) -> None:
        """Connect, within some seconds."""
        try:
            self._socket = socket.create_connection((self._host, self._port), timeout=_CONNECT_S)
        except OSError as error:
            raise DeviceNotFoundError(
                f"{self}: nobody answers ({error.strerror or error}); {_ADVICE}"
            ) from error
        self._socket.settimeout(_SEND_S)
        # A command must not wait for more bytes, and a cable that was pulled must be noticed some time.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def poll(self, timeout_s: float) -> Sequence[BeltState]:
        """States whose 32 bytes are complete; TCP may deliver them in any pieces."""
        open_socket = self._open_socket()
        try:
            if not select.select([open_socket], [], [], timeout_s)[0]:
                return ()
            piece = open_socket.recv(1 << 16)  # all that has piled up: 20 s of it
        except (OSError, ValueError) as error:
            raise DeviceLostError(f"{self}: the connection broke ({error})") from error
        if not piece:
            raise DeviceLostError(f"{self}: the treadmill closed the connection; {_ADVICE}")
        now = time.monotonic()
        self._rest += piece
        whole = len(self._rest) // STATUS_BYTES * STATUS_BYTES
        frames, self._rest = self._rest[:whole], self._rest[whole:]
        return [
            decode_status(bytes(frames[k : k + STATUS_BYTES]), now) for k in range(0, whole, STATUS_BYTES)
        ]

    def send(self, command: BeltCommand) -> None:
        """Send a command whole, or tell that the connection is gone."""
        try:
            self._open_socket().sendall(encode_command(command))
        except OSError as error:
            raise DeviceLostError(f"{self}: a command could not be sent ({error})") from error

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise DeviceLostError(f"{self}: it is not connected")
        return self._socket
