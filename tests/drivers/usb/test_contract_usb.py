"""Every USB driver passes the contract, straight on a model of its device and through USB/IP sockets.

Both go through unmodified pyusb; the drivers' only hook is `UsbDevice._backend`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from balancecore.drivers.labjack_u6 import LabjackU6
from balancecore.drivers.usb_1608fs_plus import Usb1608FsPlus

from ..contract import DriverContract
from . import models


class UsbContract(DriverContract):
    FAULTS: ClassVar = frozenset({"disconnect", "silent", "missing"})
    DRIVER: ClassVar[type]
    MODEL: ClassVar[type]
    ADDRESS: ClassVar[str]

    @pytest.fixture
    def make(self, plug):
        def make(fault=None):
            plugged = [] if fault == "missing" else [self.MODEL(faults=self.faults(fault))]
            plug(*plugged)
            self.model = plugged[0] if plugged else None
            return self.DRIVER(self.ADDRESS)

        return make

    def faults(self, fault):
        return models.Faults(silent=fault == "silent", unplug_at=300 if fault == "disconnect" else None)

    def ignore_thread(self, thread):
        return thread.name.startswith("usbip-")


class FsPlusContract(UsbContract):
    # "gap" has tests of its own: these devices don't tell how many frames an overrun has cost.
    DRIVER = Usb1608FsPlus
    ROW: ClassVar[int]

    def count(self, values):
        slope, offset = self.model.table[self.ROW].astype(float)
        half = 2 ** (self.model.BITS - 1)
        return np.rint(((np.asarray(values) / 10 + 1) * half - offset) / slope).astype(np.int64)


class TestUsb1608(FsPlusContract):
    MODEL = models.Usb1608
    ADDRESS = "usb1608fsplus:01A2B3C4?rate_hz=5000"
    RATE_HZ = 5000.0
    UNITS = ("V",) * 8
    MODULUS = 65536
    ROW = 0


@pytest.mark.parametrize("plug", ["wire"], indirect=True)
class TestUsb1408(FsPlusContract):
    # All but its numbers is that of the 1208, so one way to it will do.
    MODEL = models.Usb1408
    ADDRESS = "usb1408fsplus:?rate_hz=2500&channels=0:3"
    RATE_HZ = 2500.0
    UNITS = ("V",) * 4
    MODULUS = 16384
    ROW = 32


class TestUsb1208(FsPlusContract):
    MODEL = models.Usb1208
    ADDRESS = "usb1208fsplus:?rate_hz=2500&channels=1,3,7"
    RATE_HZ = 2500.0
    UNITS = ("V",) * 3
    MODULUS = 4096
    ROW = 33


class TestLabjackU6(UsbContract):
    DRIVER = LabjackU6
    MODEL = models.LabjackU6
    FAULTS = frozenset({"gap", "disconnect", "silent", "missing"})
    ADDRESS = "labjacku6:360012345?rate_hz=4000&channels=0,3,5"
    RATE_HZ = 4000.0
    UNITS = ("V",) * 3
    MODULUS = 65536

    def faults(self, fault):
        faults = super().faults(fault)
        faults.overrun_at = 200 if fault == "gap" else None
        return faults

    def count(self, values):
        values = np.asarray(values)
        centre, upper, lower = self.model.centre[0], self.model.upper[0], self.model.lower[0]
        return np.rint(centre + np.where(values >= 0, values / upper, -values / lower)).astype(np.int64)
