"""The steps of a device, each as soon as it is finished; what the programs that send steps elsewhere begin with.

    python examples/live_steps.py [ADDRESS]

The address is that of any device that gives wrenches (here a simulated treadmill, five times as fast as life); for
others, a rig file says what the channels mean: `balancecore.capture.load_rig`.
"""

import sys
from collections.abc import Iterator

import balancecore as bc
from balancecore.capture import Rig
from balancecore.steps import Step

ADDRESS = "simulated:treadmill?rate_hz=1000&seed=1&noise_n=3&left_contact_s=0.23&pace=5&buffer_s=60"
SECONDS = 20.0  # of signal
BUFFER_S = (
    60.0  # of signal: at five times the speed of life, 12 s in which this computer may do something else
)


def steps(address: str) -> Iterator[Step]:
    """Measure for `SECONDS`; the device is read by a thread of its own, whatever is done with the steps."""
    acquisition = bc.Acquisition(address, buffer_s=BUFFER_S)
    rig = Rig.for_device(acquisition.device)
    stream = bc.GaitStream(rig.layout, rate_hz=acquisition.device.rate_hz, mass_kg=70.0)
    tap = acquisition.subscribe(overrun="gap", name="steps")
    left = round(SECONDS * acquisition.device.rate_hz)
    with acquisition:
        for block in tap:
            frames = block.frames[:left]
            yield from stream.push(bc.Block(rig.wrenches(frames), block.lost_before))
            left -= len(frames)
            if not left:
                break


if __name__ == "__main__":
    for step in steps(sys.argv[1] if len(sys.argv) > 1 else ADDRESS):
        print(f"{step['t_on']:7.3f} s  {step['side']}  contact {1000 * step['tc']:3.0f} ms")
