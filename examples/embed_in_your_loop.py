"""Steps and triggers in your own acquisition loop: no thread, no clock, no device of balancecore's.

    python examples/embed_in_your_loop.py

Here the blocks come from a simulated treadmill. In a lab they come from whatever reads the amplifier, as an array
(frames, 12): Fx Fy Fz Mx My Mz of the left and then of the right belt, reaction force in N and N·m, x right, y forward,
z up.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import balancecore as bc

RATE_HZ = 1000.0
BLOCK = 10  # frames


def blocks() -> Iterator[NDArray[np.float64]]:
    """Stand-in for a device: ten frames at a time."""
    trial = bc.simulate.treadmill(duration_s=20.0, rate_hz=RATE_HZ, noise_n=3.0, seed=1).trial
    frames = np.hstack([plate.wrench for plate in trial.plates])
    for k in range(0, len(frames), BLOCK):
        yield frames[k : k + BLOCK]


def main() -> None:
    """Push block by block; print each step as it comes."""
    stream = bc.GaitStream(bc.Layout.split_belt(), rate_hz=RATE_HZ, n_channels=12, mass_kg=70.0)
    triggers = 0
    for frames in blocks():
        steps = stream.push(frames)
        for event in stream.events:  # within 10 ms of the crossing: time to stimulate or to perturb
            triggers += event.kind == "on"
        for step in steps:
            si = stream.symmetry(last_strides=10).si["peak_active"]
            print(
                f"{step['t_on']:7.3f} s  {step['side']}  contact {1000 * step['tc']:3.0f} ms  "
                f"peak {step['peak_active']:.2f} BW  symmetry index of the peak {si:+5.1f} %"
            )
    result = stream.finish()
    print(f"{len(result.steps)} steps, {triggers} triggers")
    print(result)


if __name__ == "__main__":
    main()
