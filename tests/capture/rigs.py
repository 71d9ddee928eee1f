"""Rig files and a device for tests of rigs."""

import numpy as np

from balancecore.capture import Channel, Description, Device

#: Two plates, one on AMTI's and one on Bertec's terms, and two other channels.
TWO_PLATES = """\
format = 1
device = "bench:1"
channels = ["a0", "a1", "a2", "a3", "a4", "a5", "b0", "b1", "b2", "b3", "b4", "b5", "emg", "speed"]
lab_axes = ["x", "y", "z"]

[[plates]]
name = "left"
side = "L"
model = "amti"
channels = ["a0", "a1", "a2", "a3", "a4", "a5"]
convention = "action"
sensitivity = [
    [0.67, 0.001, 0.0, 0.0, 0.0, 0.0],
    [0.0, 0.67, 0.002, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.17, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 1.7, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 1.7, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 3.4],
]
gain = 2000
excitation_v = 10.0
origin_m = [0.0, 0.0, -0.04]
corners_m = [[0.0, 1.6, 0.0], [0.0, 0.0, 0.0], [-0.5, 0.0, 0.0], [-0.5, 1.6, 0.0]]  # z points down

[[plates]]
name = "right"
side = "R"
model = "bertec"
channels = ["b0", "b1", "b2", "b3", "b4", "b5"]  # in the plate's order
convention = "reaction"
scale = [500.0, 500.0, 1000.0, 800.0, 250.0, 400.0]
gain = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
axes = ["x", "y", "z"]
centre_m = [0.25, 0.8, 0.0]

[[analog]]
name = "vastus"
channel = "emg"
unit = "mV"
scale = 1000.0
offset = 0.1
raw_unit = "V"

[[analog]]
name = "belt speed"
channel = "speed"
unit = "m/s"
scale = 0.5

[treadmill]
speed = ["belt speed"]
"""

#: What the plates of `TWO_PLATES` give in V for a wrench in their own axes is its inverse.
NAMES = ("a0", "a1", "a2", "a3", "a4", "a5", "b0", "b1", "b2", "b3", "b4", "b5", "emg", "speed")


class Bench(Device):
    """Plays blocks of raw frames: the k-th start plays the k-th of `plays`, the last one again and again."""

    SCHEMES = ("bench",)
    plays: tuple = (np.zeros((1000, 14)),)
    channels_of: tuple = tuple(Channel(name, "V", -10.0, 10.0) for name in NAMES)
    layout = None
    #: Frames that are lost before the second block of every play.
    lose = 0
    rate = 500.0

    def _open(self):
        self._starts = 0
        return Description("bench", "7", self.rate, self.channels_of, simulated=True, layout=self.layout)

    def _start(self):
        self._frames = self.plays[min(self._starts, len(self.plays) - 1)]
        self._starts += 1
        self._next = 0
        self._to_lose = self.lose

    def _read_into(self, out, timeout_s):
        n = min(len(out), 100)
        rows = (self._next + np.arange(n)) % len(self._frames)
        out[:n] = self._frames[rows]
        if self._next and self._to_lose:
            self._lose(self._to_lose)
            self._to_lose = 0
        self._next += n
        return n

    def _stop(self):
        pass

    def _close(self):
        pass
