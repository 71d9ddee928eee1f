"""Each finished step as a sample of the Lab Streaming Layer, beside EEG, EMG and whatever else a lab records with it.

    python examples/send_steps_lsl.py [ADDRESS [wait]]

The stream ``balancecore steps`` has an irregular rate and a channel a column of `COLUMNS`, with its unit; sides are 0
(left), 1 (right) and NaN. A sample's time is that of its sending, some 0.15 s after the next touch-down
(docs/streaming.md); `t_on` is the touch-down itself, in seconds of the device since its start. The address is that of
any device that gives wrenches (here a simulated treadmill, five times as fast as life). With ``wait`` measuring begins
once somebody consumes, and the program stays until they have left. Needs ``pip install pylsl``, whose wheels for most
systems bring liblsl.
"""

from __future__ import annotations

import math
import sys
import time
import uuid

import pylsl
from live_steps import ADDRESS, steps

COLUMNS = {"side": "", "t_on": "s", "tc": "s", "tf": "s", "peak_active": "BW", "imp_v": "BW s"}
SIDES = {"L": 0.0, "R": 1.0}
#: How long to wait for consumers to come, and to leave, s.
PATIENCE_S = 60.0


def outlet() -> pylsl.StreamOutlet:
    """What consumers find."""
    info = pylsl.StreamInfo(
        "balancecore steps", "Gait", len(COLUMNS), pylsl.IRREGULAR_RATE, pylsl.cf_double64, uuid.uuid4().hex
    )
    channels = info.desc().append_child("channels")
    for name, unit in COLUMNS.items():
        channels.append_child("channel").append_child_value("label", name).append_child_value("unit", unit)
    return pylsl.StreamOutlet(info)


def main(address: str, waits: bool) -> None:
    """Measure and send."""
    out = outlet()
    if waits and not out.wait_for_consumers(PATIENCE_S):
        raise SystemExit("nobody listens")
    count = 0
    for step in steps(address):
        values = [float(step[name]) for name in COLUMNS if name != "side"]
        out.push_sample([SIDES.get(step["side"], math.nan), *values])
        count += 1
    print(f"{count} steps sent")
    # An outlet that goes takes with it what nobody has fetched yet.
    until = time.monotonic() + PATIENCE_S
    while waits and out.have_consumers() and time.monotonic() < until:
        time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ADDRESS, "wait" in sys.argv[2:])
