"""Each finished step as an OSC message over UDP, as programs for sound, stage and video take it.

    python examples/send_steps_osc.py [ADDRESS [HOST [PORT]]]

A message goes to ``/step/L`` or ``/step/R`` (``/step/?`` where the side is not known) and holds `COLUMNS` as 32-bit
floats, NaN where one is not known. The address is that of any device that gives wrenches (here a simulated treadmill,
five times as fast as life). UDP waits for nobody: who does not listen misses it. Needs ``pip install python-osc``.
"""

from __future__ import annotations

import sys
from contextlib import closing

from live_steps import ADDRESS, steps
from pythonosc.udp_client import SimpleUDPClient

HOST, PORT = "127.0.0.1", 9000
COLUMNS = ("t_on", "tc", "tf", "peak_active", "imp_v")


def main(address: str, host: str, port: int) -> None:
    """Measure and send."""
    count = 0
    with closing(SimpleUDPClient(host, port)) as client:
        for step in steps(address):
            client.send_message(f"/step/{step['side']}", [float(step[name]) for name in COLUMNS])
            count += 1
    print(f"{count} steps sent to {host}:{port}")


if __name__ == "__main__":
    given = dict(enumerate(sys.argv[1:]))
    main(given.get(0, ADDRESS), given.get(1, HOST), int(given.get(2, PORT)))
