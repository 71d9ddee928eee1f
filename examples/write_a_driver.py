"""A driver for a device of your own: here a board that sends numbered frames over TCP.

`BoardDevice` is the driver; it is all that you write. `Board` is the device, played by a thread so that this runs
anywhere. docs/writing_a_driver.md explains the steps, and tests/drivers/contract.py is what a driver has to pass.

python examples/write_a_driver.py
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time

import numpy as np
from numpy.typing import NDArray

from balancecore.capture import Channel, Description, Device, Option
from balancecore.errors import (
    DataError,
    DeviceError,
    DeviceLostError,
    DeviceNotFoundError,
    DeviceTimeoutError,
)

VOLTS = 10.0 / 32768
LAST = 0xFFFFFFFF  # the number of the frame that the board sends when it has stopped


def frame_type(n_channels: int) -> np.dtype[np.void]:
    """A frame on the wire: its number, then a 16-bit value a channel."""
    return np.dtype([("number", ">u4"), ("values", ">i2", (n_channels,))])


class BoardDevice(Device):
    """The driver of ``board://HOST:PORT?rate_hz=1000``."""

    SCHEMES = ("board",)
    OPTIONS = (Option("rate_hz", 1000.0, "frames per second; the board takes the nearest that it can do"),)

    _socket: socket.socket | None = None

    def _open(self) -> Description:
        host, _, port = self.address.host.partition(":")
        if not port.isdigit():
            raise DataError(f"{self}: board://HOST:PORT is wanted")
        try:
            self._socket = socket.create_connection((host, int(port)), timeout=5.0)
            # Ask for the rate, and believe only what the board says that it does.
            self._socket.sendall(f"rate {self.options['rate_hz']:.9g}\n".encode())
            model, serial, rate, channels = self._socket.makefile("rb").readline().decode().split()
        except (OSError, ValueError) as error:
            raise DeviceNotFoundError(f"{self}: no board answers: is it switched on?") from error
        self._frame = frame_type(int(channels))
        self._gone, self._quiet = False, True
        self._lock = threading.Lock()
        inputs = tuple(Channel(f"ai{k}", "V", -10.0, 10.0) for k in range(int(channels)))
        return Description(model, serial, float(rate), inputs)

    def _start(self) -> None:
        # What is under way must not be taken for frames of this run: a board that was slow to stop is waited for.
        if not (self._quiet or self._wait_for_last(5.0)):
            raise DeviceTimeoutError(f"{self}: the board has not ended its last run")
        self._bytes = bytearray()
        self._next = 0
        self._send(b"start\n")
        self._quiet = False

    def _read_into(self, out: NDArray[np.float64], timeout_s: float) -> int:
        until = time.monotonic() + timeout_s
        while len(self._bytes) < self._frame.itemsize:
            if self._gone:
                raise DeviceLostError(f"{self}: the board has closed the connection")
            left = until - time.monotonic()
            # Short waits, so that `stop` in another thread is seen soon.
            if not self._receive(min(max(left, 0.0), 0.05)) and (left <= 0 or self._stopping.is_set()):
                return 0
        whole = min(len(out), len(self._bytes) // self._frame.itemsize)
        if (
            self._stopping.is_set()
        ):  # asked after the bytes were counted, because `stop` comes in another thread
            return 0  # what has come may be the board's last word, which is no frame
        frames = np.frombuffer(bytes(self._bytes[: whole * self._frame.itemsize]), self._frame)
        numbers = frames["number"].astype(np.int64)
        # Frames that are missing before the first are told; the next hole ends this read.
        self._lose(numbers[0] - self._next)
        holes = np.flatnonzero(np.diff(numbers) != 1)
        n = int(holes[0]) + 1 if len(holes) else whole
        out[:n] = frames["values"][:n] * VOLTS
        self._next = int(numbers[n - 1]) + 1
        del self._bytes[: n * self._frame.itemsize]
        return n

    def _stop(self) -> None:
        with contextlib.suppress(DeviceError):  # a board that is gone needs no stop
            self._send(b"stop\n")
            self._wait_for_last(1.0)  # a stop must not take longer; the next start waits for the rest

    def _wait_for_last(self, timeout_s: float) -> bool:
        """Whether the board has said its last word, or is gone."""
        until = time.monotonic() + timeout_s
        last = LAST.to_bytes(4, "big") + bytes(self._frame.itemsize - 4)
        while not self._quiet and time.monotonic() < until:
            self._receive(0.05)
            self._quiet = self._gone or self._bytes.endswith(last)
        return self._quiet

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, line: bytes) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(line)
        except OSError as error:
            self._gone = True
            raise DeviceLostError(f"{self}: the board does not take commands any more") from error

    def _receive(self, timeout_s: float) -> bool:
        """Whether something came in time."""
        assert self._socket is not None
        with (
            self._lock
        ):  # of a thread that reads and one that stops, one at a time: the other would find nothing left
            if self._gone or not select.select([self._socket], [], [], timeout_s)[0]:
                return False
            try:
                piece = self._socket.recv(1 << 16)
            except OSError:
                piece = b""
            self._gone = not piece
            self._bytes += piece
        return bool(piece)


class Board:
    """The device, for those who don't have one: serves one driver at a time; channel 0 counts frames."""

    N_CHANNELS = 4

    def __init__(self, fault: str = "") -> None:
        self.fault = fault  # "gap", "disconnect" or "silent", for the tests
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"board://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self) -> None:
        """Switch it off."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def serve(self) -> None:
        """Serve one connection after the other."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client, contextlib.suppress(OSError):
                    self.talk(client)

    def talk(self, client: socket.socket) -> None:
        """Obey commands, and send frames while it runs."""
        lines = client.makefile("rb")
        period_us = max(1, round(1e6 / float(lines.readline().split()[1])))
        client.sendall(f"Board 0001 {1e6 / period_us:.9g} {self.N_CHANNELS}\n".encode())
        while (line := lines.readline()) == b"start\n":
            if not self.run(client, period_us / 1e6):
                return
            assert lines.readline() == b"stop\n"
            client.sendall(LAST.to_bytes(4, "big") + bytes(2 * self.N_CHANNELS))
        assert not line

    def run(self, client: socket.socket, period_s: float) -> bool:
        """Send frames until a command comes; whether the connection is to be kept."""
        began, sent = time.monotonic(), 0
        while not select.select([client], [], [], 0.005)[0]:
            due = int((time.monotonic() - began) / period_s)
            if self.fault == "disconnect" and due > 300:
                due = 300
            numbers = np.arange(sent, due)
            if self.fault == "gap":
                numbers = numbers[(numbers < 200) | (numbers >= 260)]
            if self.fault != "silent":
                client.sendall(self.frames(numbers))
            sent = due
            if self.fault == "disconnect" and sent == 300:
                return False
        return True

    def frames(self, numbers: NDArray[np.int64]) -> bytes:
        """Frames as they go over the wire."""
        out = np.zeros(len(numbers), frame_type(self.N_CHANNELS))
        out["number"] = numbers
        out["values"] = (numbers[:, None] + np.arange(self.N_CHANNELS)) % 32768
        return out.tobytes()


def main() -> None:
    """Read half a second from the board."""
    board = Board()
    with BoardDevice(f"{board.address}?rate_hz=3000") as device:
        print(f"{device.description.model}: {len(device.channels)} channels at {device.rate_hz:.2f} Hz")
        room = np.empty((200, len(device.channels)))
        device.start()
        while device.frames_read < 1500:
            n = device.read_into(room)
            assert np.allclose(np.diff(room[:n, 0]), VOLTS)
        device.stop()
        print(f"{device.frames_lost} frames lost")
    board.close()


if __name__ == "__main__":
    main()
