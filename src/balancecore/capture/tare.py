"""Zeros of unloaded plates, from an acquisition that runs."""

from __future__ import annotations

import math

import numpy as np

from balancecore.capture.acquisition import Acquisition
from balancecore.capture.rig import Rig, RigTare
from balancecore.errors import DataError, DeviceTimeoutError

__all__ = ["take_tare"]

#: A device that gives nothing for so long is not going to.
PATIENCE_S = 5.0
LONGEST_S = 3600.0


def take_tare(acquisition: Acquisition, rig: Rig, seconds: float) -> RigTare:
    """Listen to an acquisition for a while, with nobody on the plates.

    Parameters
    ----------
    acquisition : Acquisition
        Running; its other consumers notice nothing.
    rig : Rig
        Of its device.
    seconds : float
        Signal to take the means of, s; 0.5 at least.

    Raises
    ------
    DataError
        A time that can't be; or the plates are loaded, or too noisy (see `Rig.tare`).
    DeviceTimeoutError
        The device gave nothing for 5 s, or the acquisition has ended.
    DeviceError
        What ended the acquisition.
    """
    rate_hz = acquisition.description.rate_hz
    wanted = math.ceil(seconds * rate_hz) if 0 < seconds < LONGEST_S else 0
    if not wanted:
        raise DataError(f"{seconds:g} s of tare: between 0.5 and {LONGEST_S:g} s are wanted")
    blocks, count = [], 0
    tap = acquisition.subscribe(name="tare")
    try:
        while count < wanted:
            block = tap.read(PATIENCE_S)
            if block is None or not len(block.frames):
                raise DeviceTimeoutError(f"{acquisition.device}: no frames for the tare")
            blocks.append(block.frames)
            count += len(block.frames)
    finally:
        tap.close()
    return rig.tare(np.concatenate(blocks)[:wanted], rate_hz)
