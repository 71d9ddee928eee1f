"""What only a server can do to the NI driver: not be there, be killed, hang."""

import signal
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
    device = open_device(address)
    device.start()
    out = np.empty((64, len(device.channels)))
    while not device.read_into(out):
        pass
    return device


def end_of(device, kind):
    """The error that ends reading, and how long the read that raised it took."""
    out = np.empty((512, len(device.channels)))
    patience = time.monotonic() + PATIENCE_S
    while time.monotonic() < patience:
        began = time.monotonic()
        try:
            device.read_into(out, timeout_s=10.0)
        except kind as error:
            return error, time.monotonic() - began
    raise AssertionError("it never ended")


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
    with Server() as mine:
        device = started(mine.address())
        mine.kill()
        error, took_s = end_of(device, DeviceLostError)
    assert "is gone" in str(error)
    assert took_s < HANG_S + SLACK_S
    device.close()
    with pytest.raises(DeviceNotFoundError, match="doesn't answer"):
        device.open()
    assert device.state == "closed"


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
    device = started(victim.address())
    hang(victim)
    error, took_s = end_of(device, DeviceTimeoutError)
    assert "hangs" in str(error)
    assert took_s < HANG_S + SLACK_S
    began = time.monotonic()
    device.stop()
    device.close()
    assert time.monotonic() - began < SLACK_S  # it is known already


@pytest.mark.parametrize("hang", HANGS)
def test_hung_server_does_not_hang_stop(victim, hang):
    device = started(victim.address())
    hang(victim)
    began = time.monotonic()
    device.stop()
    device.close()
    assert time.monotonic() - began < HANG_S + SLACK_S
    assert device.state == "closed"


def test_hung_server_does_not_hang_open(victim, monkeypatch):
    monkeypatch.setattr("balancecore.drivers.ni_daqmx.CONNECT_S", 0.5)
    victim.tell("hang")
    with pytest.raises(DeviceNotFoundError, match="doesn't answer"):
        open_device(victim.address())
