"""USB/IP, protocol 1.1.1, over real sockets: a server in front of models, and a client as small as a test needs.

The layout of the messages is that of the Linux kernel's Documentation/usb/usbip_protocol.rst. The server also serves
the kernel's own client (vhci_hcd), which is how `qemu_stage.sh` puts a model behind the real libusb.
"""

from __future__ import annotations

import contextlib
import errno
import queue
import socket
import struct
import threading
import time

from .backend import failed
from .models import Gone, Stall

VERSION = 0x0111
REQUEST_LIST, REPLY_LIST, REQUEST_IMPORT, REPLY_IMPORT = 0x8005, 0x0005, 0x8003, 0x0003
SUBMIT, UNLINK, DONE, UNLINKED = 1, 2, 3, 4
FULL_SPEED = 2
#: How long the host waits for an answer that comes at once, s: long, for servers in a thread of a busy machine.
UNLINK_S = 20.0


def exactly(sock, n):
    data = bytearray()
    while len(data) < n:
        part = sock.recv(n - len(data))
        if not part:
            raise ConnectionError("the other side has hung up")
        data += part
    return bytes(data)


def quick(sock):
    """Small messages must not wait for each other."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Transfer:
    """One IN transfer that waits for its data."""

    def __init__(self, number, endpoint, length):
        self.number, self.endpoint, self.length = number, endpoint, length
        #: The number of the command that calls it off.
        self.unlinked: int | None = None


class Server:
    """Offers models by USB/IP; each connection that imports one has it for itself.

    Parameters
    ----------
    models : list of Model
    port : int
        0: any that is free; `address` tells it.
    """

    def __init__(self, models, port=0):
        self.models = {f"1-{k}": model for k, model in enumerate(models, 1)}
        self.imported = set()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.address = self.listener.getsockname()
        self.connections = []
        self.hung = threading.Event()
        threading.Thread(target=self.accept, name="usbip-accept", daemon=True).start()

    def close(self):
        self.listener.close()
        for sock in self.connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.connections.append(quick(sock))
                threading.Thread(target=self.serve, args=(sock,), name="usbip-serve", daemon=True).start()

    def serve(self, sock):
        with sock, contextlib.suppress(OSError):
            _, code, _ = struct.unpack(">HHI", exactly(sock, 8))
            if code == REQUEST_LIST:
                faces = struct.pack(">BBBB", 255, 0, 0, 0)
                devices = [self.described(bus) + faces for bus in self.models]
                sock.sendall(struct.pack(">HHII", VERSION, REPLY_LIST, 0, len(devices)) + b"".join(devices))
            elif code == REQUEST_IMPORT:
                bus = exactly(sock, 32).rstrip(b"\0").decode()
                free = bus in self.models and bus not in self.imported
                sock.sendall(struct.pack(">HHI", VERSION, REPLY_IMPORT, 0 if free else 1))
                if free:
                    self.imported.add(bus)
                    try:
                        sock.sendall(self.described(bus))
                        Connection(sock, self.models[bus], self.hung).run()
                    finally:
                        self.imported.discard(bus)

    def described(self, bus):
        model = self.models[bus]
        path = f"/sys/devices/simulated/{bus}".encode().ljust(256, b"\0")
        numbers = struct.pack(">III", 1, int(bus[2:]) + 1, FULL_SPEED)
        ids = struct.pack(">HHH6B", model.VENDOR, model.PRODUCT, 0x101, 255, 0, 0, 1, 1, 1)
        return path + bus.encode().ljust(32, b"\0") + numbers + ids


class Connection:
    """One imported device: commands in, answers out; IN endpoints wait in threads of their own."""

    def __init__(self, sock, model, hung):
        self.sock, self.model, self.hung = sock, model, hung
        self.sending = threading.RLock()
        self.pending = {}
        self.waiting = {}

    def run(self):
        try:
            while True:
                head = exactly(self.sock, 48)
                command, number, _, inwards, endpoint = struct.unpack_from(">IIIII", head)
                if command == UNLINK:
                    self.unlink(number, struct.unpack_from(">I", head, 20)[0])
                    continue
                length = struct.unpack_from(">I", head, 24)[0]
                data = b"" if inwards else exactly(self.sock, length)
                self.hold()
                if endpoint == 0:
                    self.control(number, head[40:48], data)
                elif inwards:
                    self.queue(Transfer(number, 0x80 | endpoint, length))
                else:
                    self.answer(number, lambda e=endpoint, d=data: self.model.bulk_out(e, d), length)
        finally:
            for transfers in self.waiting.values():
                transfers.put(None)
            for transfer in list(self.pending.values()):
                transfer.unlinked = 0

    def hold(self):
        while self.hung.is_set():
            time.sleep(0.01)

    def control(self, number, setup, data):
        kind, request, value, index, length = struct.unpack("<BBHHH", setup)
        what = length if kind & 0x80 else data
        self.answer(number, lambda: self.model.control(kind, request, value, index, what), len(data))

    def answer(self, number, do, sent):
        try:
            data = do() or b""
            self.reply(number, 0, len(data) or sent, data)
        except Stall:
            self.reply(number, -errno.EPIPE)
        except Gone:
            self.hang_up()

    def queue(self, transfer):
        self.pending[transfer.number] = transfer
        if transfer.endpoint not in self.waiting:
            self.waiting[transfer.endpoint] = queue.SimpleQueue()
            of_endpoint = (self.waiting[transfer.endpoint],)
            threading.Thread(target=self.work, args=of_endpoint, name="usbip-in", daemon=True).start()
        self.waiting[transfer.endpoint].put(transfer)

    def work(self, transfers):
        with contextlib.suppress(OSError):
            while (transfer := transfers.get()) is not None:
                self.fetch(transfer)

    def fetch(self, transfer):
        got = bytearray()
        try:
            while True:
                self.hold()
                data, short = self.model.bulk_in(transfer.endpoint, transfer.length - len(got))
                got += data
                # Looked at last: what is there is taken also by a transfer that was called off before its turn came,
                # as a host controller's is, which waits for no thread.
                if short or len(got) >= transfer.length or transfer.unlinked is not None:
                    break
                if not data:
                    time.sleep(0.0005)
        except Stall:
            self.done(transfer, -errno.EPIPE)
        except Gone:
            self.hang_up()
        else:
            self.done(transfer, 0, bytes(got))

    def done(self, transfer, status, data=b""):
        # In one piece: an answer to UNLINK between the two would tell that the transfer is over before its data came.
        with self.sending:
            del self.pending[transfer.number]
            unlinked = transfer.unlinked
            # What came before it was called off is given all the same: then it was done first.
            if data or unlinked is None or status:
                self.reply(transfer.number, status, len(data), data)
                status = 0
            else:
                status = -errno.ECONNRESET
            if unlinked:
                self.send(struct.pack(">IIIIIi24x", UNLINKED, unlinked, 0, 0, 0, status))

    def unlink(self, number, victim):
        with self.sending:
            transfer = self.pending.get(victim)
            if transfer is not None:
                transfer.unlinked = number
        if transfer is None:
            self.send(struct.pack(">IIIIIi24x", UNLINKED, number, 0, 0, 0, 0))

    def reply(self, number, status, length=0, data=b""):
        self.send(struct.pack(">IIIIIiIIII8x", DONE, number, 0, 0, 0, status, length, 0, 0, 0) + data)

    def send(self, message):
        with self.sending:
            self.sock.sendall(message)

    def hang_up(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class Attachment:
    """An imported device at the host's end; several threads may use it."""

    def __init__(self, address, bus):
        self.sock = quick(socket.create_connection(address))
        self.sock.sendall(struct.pack(">HHI", VERSION, REQUEST_IMPORT, 0) + bus.encode().ljust(32, b"\0"))
        _, _, status = struct.unpack(">HHI", exactly(self.sock, 8))
        if status:
            self.sock.close()
            raise failed(errno.EBUSY)
        exactly(self.sock, 312)
        self.lock = threading.Condition()
        self.number = 0
        self.lengths = {}
        self.answers = {}
        self.gone = False
        threading.Thread(target=self.listen, name="usbip-host", daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def listen(self):
        try:
            while True:
                head = exactly(self.sock, 48)
                command, number, *_, status, length = struct.unpack_from(">IIIIIiI", head)
                inwards = command == DONE and self.lengths.pop(number, False)
                data = exactly(self.sock, length) if inwards and length else b""
                with self.lock:
                    self.answers[number] = (status, data)
                    self.lock.notify_all()
        except OSError:
            with self.lock:
                self.gone = True
                self.lock.notify_all()

    def control(self, kind, request, value, index, data_or_length, timeout_s):
        inwards = bool(kind & 0x80)
        length = data_or_length if inwards else len(data_or_length)
        setup = struct.pack("<BBHHH", kind, request, value, index, length)
        return self.submit(0, inwards, length, b"" if inwards else data_or_length, timeout_s, setup)

    def bulk_in(self, endpoint, length, timeout_s):
        return self.submit(endpoint & 0x7F, True, length, b"", timeout_s)

    def bulk_out(self, endpoint, data, timeout_s):
        return self.submit(endpoint, False, len(data), data, timeout_s)

    def submit(self, endpoint, inwards, length, data, timeout_s, setup=bytes(8)):
        number = self.send(SUBMIT, endpoint, inwards, struct.pack(">IIIII", 0, length, 0, 0, 0) + setup, data)
        if not self.wait([number], timeout_s):
            unlink = self.send(UNLINK, endpoint, False, struct.pack(">I24x", number))
            # Answered at once, unless the server hangs; the transfer's own answer may have crossed it. Given up too
            # early, that answer would take its data with it.
            self.wait([unlink], UNLINK_S)
            with self.lock:
                self.answers.pop(unlink, None)
        with self.lock:
            if number in self.answers:
                status, got = self.answers.pop(number)
            elif self.gone:
                raise failed(errno.ENODEV)
            else:
                raise failed(errno.ETIMEDOUT)
        if status:
            raise failed(-status)
        return got

    def send(self, command, endpoint, inwards, rest, data=b""):
        with self.lock:
            if self.gone:
                raise failed(errno.ENODEV)
            self.number += 1
            if command == SUBMIT:
                self.lengths[self.number] = inwards
            head = struct.pack(">IIIII", command, self.number, 0x10002, inwards, endpoint)
            try:
                self.sock.sendall(head + rest + data)
            except OSError:
                raise failed(errno.ENODEV) from None
            return self.number

    def wait(self, numbers, timeout_s):
        with self.lock:
            return self.lock.wait_for(
                lambda: self.gone or any(number in self.answers for number in numbers), min(timeout_s, 1e6)
            )


def attach(address):
    """Import every device that a server has free."""
    with quick(socket.create_connection(address)) as sock:
        sock.sendall(struct.pack(">HHI", VERSION, REQUEST_LIST, 0))
        _, _, _, count = struct.unpack(">HHII", exactly(sock, 12))
        buses = []
        for _ in range(count):
            device = exactly(sock, 312)
            exactly(sock, 4 * device[311])
            buses.append(device[256:288].rstrip(b"\0").decode())
    attachments = []
    for bus in buses:
        with contextlib.suppress(OSError):
            attachments.append(Attachment(address, bus))
    return attachments
