"""The driver that the documentation writes passes what every driver has to pass."""

import importlib.util
import socket
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
