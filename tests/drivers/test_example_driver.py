"""The driver that the documentation writes passes what every driver has to pass."""

import importlib.util
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from .contract import DriverContract

FILE = Path(__file__).parents[2] / "examples" / "write_a_driver.py"
spec = importlib.util.spec_from_file_location("write_a_driver", FILE)
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)


class TestExample(DriverContract):
    RATE_HZ = (
        6993.00699  # what the board can do when it is asked for 7000 Hz: a period of 143 µs, in nine digits
    )
    UNITS = ("V",) * example.Board.N_CHANNELS
    MODULUS = 32768
    GAP_FRAMES = 60

    def count(self, values):
        return np.rint(values / example.VOLTS).astype(np.int64)

    @pytest.fixture
    def make(self):
        boards = []

        def make(fault=""):
            if fault == "missing":
                with socket.create_server(("127.0.0.1", 0)) as nobody:
                    return example.BoardDevice(f"board://127.0.0.1:{nobody.getsockname()[1]}")
            boards.append(example.Board(fault))
            return example.BoardDevice(f"{boards[-1].address}?rate_hz=7000")

        yield make
        for board in boards:
            board.close()


class SlowToStop(example.Board):
    """Its last word comes later than a stop may take."""

    def run(self, client, period_s):
        goes_on = super().run(client, period_s)
        time.sleep(1.3)
        return goes_on


def test_what_comes_after_a_stop_is_nothing_of_the_next_run():
    board = SlowToStop()
    with example.BoardDevice(f"{board.address}?rate_hz=1000") as device:
        out = np.empty((100, example.Board.N_CHANNELS))
        for _ in range(2):
            device.start()
            while not (n := device.read_into(out)):
                pass
            np.testing.assert_array_equal(np.rint(out[:n, 0] / example.VOLTS), np.arange(n))
            assert device.frames_lost == 0
            device.stop()
    board.close()
