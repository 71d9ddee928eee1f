"""A treadmill's control panel on a real TCP port of this machine: belts with inertia, one client, and faults."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time

TICK_S = 0.01


class Panel:
    """Accepts one client; the others are closed at once. Use it with ``with``.

    One thread obeys and tells, so that a status knows of every command that has come before it.

    `piece` is how many bytes go out at a time; `commands` holds (time, nine int16) of every command whose 64 bytes
    were right; `wrong` counts the others.
    """

    def __init__(self, piece=32, fore=b"", form=0):
        self.piece, self.fore, self.form = piece, fore, form
        self.speeds, self.targets, self.changes = [0, 0], [0, 0], [0, 0]
        self.incline = 0
        self.commands, self.wrong, self.clients = [], 0, 0
        self.hung = self.closed = False
        self.client = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"bertec://127.0.0.1:{self.listener.getsockname()[1]}"
        self.threads = []

    def __enter__(self):
        self.spawn(self.accept)
        self.spawn(self.move)
        return self

    def __exit__(self, *_):
        self.closed = True
        # shutdown wakes the thread that accepts; close alone does not.
        client = self.client
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if client is not None:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10.0)

    def spawn(self, what, *args):
        thread = threading.Thread(target=what, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def kill(self):
        """As a process that dies: the connection is reset."""
        client = self.client
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        client.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.clients += 1
                if self.client is not None:
                    client.close()
                    continue
                self.client = client
                self.spawn(self.serve, client)

    def serve(self, client):
        with client, contextlib.suppress(OSError, ValueError):
            client.sendall(self.fore)
            rest, tell_s = b"", time.monotonic() + TICK_S
            while not self.closed:
                if select.select([client], [], [], max(tell_s - time.monotonic(), 0.0))[0]:
                    if not (got := client.recv(1024)):
                        break
                    rest += got
                    while len(rest) >= 64:
                        self.obey(rest[:64])
                        rest = rest[64:]
                else:
                    tell_s = time.monotonic() + TICK_S
                    if not self.hung:
                        self.send(client, self.status())
        self.client = None

    def move(self):
        """The belts go on whoever is connected."""
        while not self.closed:
            time.sleep(TICK_S)
            for k in range(2):
                most = self.changes[k] * TICK_S
                self.speeds[k] += max(-most, min(most, self.targets[k] - self.speeds[k]))

    def obey(self, frame):
        body, check, zeros = frame[1:19], frame[19:37], frame[37:]
        if frame[0] or any(a ^ b != 255 for a, b in zip(body, check, strict=True)) or any(zeros):
            self.wrong += 1
            return
        values = struct.unpack(">9h", body)
        self.commands.append((time.monotonic(), values))
        self.targets, self.changes, self.incline = list(values[:2]), list(values[4:6]), values[8]

    def status(self):
        right, left = (round(v) for v in self.speeds)
        return struct.pack(">B4hh", self.form, right, left, 0, 0, self.incline) + bytes(21)

    def send(self, client, frame):
        for k in range(0, len(frame), self.piece):
            client.sendall(frame[k : k + self.piece])
