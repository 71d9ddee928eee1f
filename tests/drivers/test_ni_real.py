"""The NI driver on a device that is really there: BALANCECORE_NI_DEVICE=ni:Dev1/ai0:5 names it (docs/ni_daqmx.md)."""

import os
import time

import numpy as np
import pytest

from balancecore.capture import open_device

ADDRESS = os.environ.get("BALANCECORE_NI_DEVICE", "")
pytestmark = pytest.mark.skipif(not ADDRESS, reason="BALANCECORE_NI_DEVICE names no NI device")

SECONDS = 5.0
#: Clocks of boards and computers agree to 0.01 %; a call to the driver may take 50 ms on a computer with other work.
RATE_ERROR = 1e-3 + 0.05 / SECONDS


@pytest.fixture
def device():
    with open_device(ADDRESS) as device:
        print(device.description)
        yield device


def test_frames_come_at_the_rate_that_is_told(device):
    out = np.empty((int(device.rate_hz) + 1, len(device.channels)))
    for _ in range(2):
        device.start()
        began = time.monotonic()
        while time.monotonic() < began + SECONDS:
            n = device.read_into(out)
            assert np.all(np.isfinite(out[:n]))
        measured_hz = device.frames_read / (time.monotonic() - began)
        assert device.frames_lost == 0
        assert measured_hz == pytest.approx(device.rate_hz, rel=RATE_ERROR)
        print(dict(device.status()))
        device.stop()


def test_inputs_are_within_their_ranges(device):
    device.start()
    out = np.empty((64, len(device.channels)))
    n = 0
    while not n:
        n = device.read_into(out)
    for value, channel in zip(out[:n].T, device.channels, strict=True):
        assert channel.low * 1.1 <= value.min() <= value.max() <= channel.high * 1.1


def test_pause_within_the_buffer_loses_nothing(device):
    device.start()
    time.sleep(2.0)
    out = np.empty((int(device.rate_hz) + 1, len(device.channels)))
    while device.frames_read < device.rate_hz * 2.5:
        device.read_into(out)
    assert device.frames_lost == 0
