"""A device that does what a list says, as fast as it is read: its frames carry their number."""

import threading

import numpy as np

from balancecore.capture import Channel, Description, Device

RATE_HZ = 1000.0
N_CHANNELS = 3


def counted(first, n):
    """Frames from number `first` on."""
    return np.arange(first, first + n)[:, None] + np.linspace(0.0, 0.5, N_CHANNELS)


class Scripted(Device):
    """Plays ``("frames", n)``, ``("lose", n)``, ``("raise", error)``, ``("wait", event)`` and ``("hang", event)``; then
    nothing comes any more.

    A "wait" is quiet like a device without frames, a "hang" does not come back from the read.
    """

    SCHEMES = ("scripted",)

    def __init__(self, *script, rate_hz=RATE_HZ):
        super().__init__("scripted:")
        self.script, self.given_hz = list(script), rate_hz
        self.calls = []

    def _open(self):
        self.calls.append("open")
        channels = tuple(Channel(f"c{k}", "V", -10.0, 10.0, 1e-6 * k) for k in range(N_CHANNELS))
        return Description("Scripted", "7", self.given_hz, channels, notes=("made for tests",))

    def _start(self):
        self.calls.append("start")
        self.number, self.left, self.todo = 0, 0, list(self.script)

    def _read_into(self, out, timeout_s):
        while not self.left:
            if not self.todo:
                self._stopping.wait(timeout_s)
                return 0
            what, value = self.todo[0]
            if what == "wait":
                if not value.wait(timeout_s):
                    return 0
            elif what == "raise":
                raise value
            elif what == "hang":
                value.wait()
            elif what == "lose":
                self._lose(value)
                self.number += value
            else:
                self.left = value
            self.todo.pop(0)
        n = min(self.left, len(out))
        out[:n] = counted(self.number, n)
        self.number += n
        self.left -= n
        return n

    def _stop(self):
        self.calls.append("stop")

    def _close(self):
        self.calls.append("close")


def no_new_threads(before):
    """Threads that run and did not run before, after those that are ending have had a moment."""
    new = [thread for thread in threading.enumerate() if thread not in before]
    for thread in new:
        thread.join(30.0)
    return [thread.name for thread in new if thread.is_alive()]
