"""What only a server can do to the NI driver: not be there, be killed, hang."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from balancecore.capture import open_device
from balancecore.errors import DeviceError, DeviceLostError, DeviceNotFoundError, DeviceTimeoutError

from .contract import PATIENCE_S
from .ni_simulators import Server

pytest.importorskip("grpc")
pytest.importorskip("nidaqmx")

#: The limit for what a server that hangs may cost.
HANG_S = 2.0
#: On top of it, for machines with other work.
SLACK_S = 1.0
#: How often a time may be too long where the machine was away just then; a driver that sits something out does so
#: every time.
TRIES = 5


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


@pytest.fixture
def victim(server):
    """The server to be tormented; afterwards it is well again."""
    yield server
    server.heal()


def started(address):
    """A device at work."""
    with pytest.MonkeyPatch.context() as patch:  # until then nothing hangs, whatever it takes
        patch.setattr("balancecore.drivers.ni_daqmx.RPC_S", PATIENCE_S)
        patch.setattr("balancecore.drivers.ni_daqmx.CONNECT_S", PATIENCE_S)
        device = open_device(address)
        device.start()
        out = np.empty((64, len(device.channels)))
        while not device.read_into(out):
            pass
    return device


def soon(attempt):
    """Whether one of several attempts, each of which tells whether it was quick, was so."""
    return any(attempt() for _ in range(TRIES))


def timed(call):
    """What a call raised (or None) and how long it took, s; fails where it hangs, in the place of hanging too."""
    ended = []

    def run():
        began = time.monotonic()
        try:
            call()
            error = None
        except Exception as raised:
            error = raised
        ended.append((error, time.monotonic() - began))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert ended, "it hangs"
    return ended[0]


def end_of(device):
    """The error that ends reading, and how long the read that raised it took."""
    out = np.empty((512, len(device.channels)))
    patience = time.monotonic() + PATIENCE_S
    while time.monotonic() < patience:
        error, took_s = timed(lambda: device.read_into(out, timeout_s=10.0))
        if error is not None:
            return error, took_s
    raise AssertionError("it never ended")


def leave(device):
    device.stop()
    device.close()


def test_server_of_something_else():
    """Any gRPC server that lacks NI's service; an old device server that lacks a call answers alike."""
    import grpc

    other = grpc.server(ThreadPoolExecutor(1))
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    try:
        with pytest.raises(DeviceError, match="too old, or no such server"):
            open_device(f"ni+grpc://127.0.0.1:{port}/Dev1/ai0")
    finally:
        other.stop(0).wait()


def test_killed_server():
    def killed():
        with Server() as mine:
            device = started(mine.address())
            mine.kill()
            error, took_s = end_of(device)
        assert isinstance(error, DeviceLostError)
        assert "is gone" in str(error)
        device.close()
        with pytest.raises(DeviceNotFoundError, match="doesn't answer"):
            device.open()
        assert device.state == "closed"
        return took_s < HANG_S + SLACK_S

    assert soon(killed)


def hang(victim):
    victim.tell("hang")


def freeze(victim):
    victim.freeze()


HANGS = [hang]
if hasattr(signal, "SIGSTOP"):
    HANGS.append(freeze)  # not even the connection lives


@pytest.mark.parametrize("hang", HANGS)
def test_hung_server_is_left(victim, hang):
    """Neither a read with much patience nor stop nor close hangs with the server."""

    def left():
        device = started(victim.address())
        hang(victim)
        error, took_s = end_of(device)
        assert isinstance(error, DeviceTimeoutError)
        assert "hangs" in str(error)
        with pytest.raises(DeviceLostError):
            device.read_into(np.empty((8, 6)))  # a late answer may have taken frames with it
        error, left_s = timed(lambda: leave(device))
        assert error is None
        victim.heal()
        return took_s < HANG_S + SLACK_S and left_s < SLACK_S  # for leaving, it is known already

    assert soon(left)


@pytest.mark.parametrize("hang", HANGS)
def test_hung_server_does_not_hang_stop(victim, hang):
    def left():
        device = started(victim.address())
        hang(victim)
        error, took_s = timed(lambda: leave(device))
        assert error is None
        assert device.state == "closed"
        victim.heal()
        return took_s < HANG_S + SLACK_S

    assert soon(left)


@pytest.mark.parametrize("hang", HANGS[-1:])
def test_stop_while_a_read_hangs(victim, hang):
    """Another thread is inside a read of a hung server, and stop is asked for."""

    def left():
        device = started(victim.address())
        hang(victim)
        reader = threading.Thread(
            target=timed, args=[lambda: device.read_into(np.empty((512, 6)), timeout_s=60.0)], daemon=True
        )
        reader.start()
        time.sleep(0.05)
        error, took_s = timed(device.stop)
        assert error is None
        reader.join(PATIENCE_S)
        assert not reader.is_alive()
        device.close()
        victim.heal()
        return took_s < HANG_S + SLACK_S

    assert soon(left)


def test_hung_server_does_not_hang_open(victim, monkeypatch):
    monkeypatch.setattr("balancecore.drivers.ni_daqmx.CONNECT_S", 0.5)
    victim.tell("hang")
    error, _ = timed(lambda: open_device(victim.address()))
    assert isinstance(error, DeviceNotFoundError)
    assert "doesn't answer" in str(error)
