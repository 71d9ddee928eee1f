"""A device, a recording and a live analysis: the running symmetry while somebody runs.

    python examples/live_symmetry.py [ADDRESS]

The address is that of any device that gives wrenches (here a simulated treadmill, five times as fast as life); for
others, a rig file says what the channels mean: `balancecore.capture.load_rig`.
"""

import sys
import tempfile
from pathlib import Path

import balancecore as bc
from balancecore.capture import Rig

ADDRESS = "simulated:treadmill?seed=1&noise_n=3&left_contact_s=0.23&right_contact_s=0.25&pace=5&buffer_s=60"
SECONDS = 20.0
BUFFER_S = 60.0  # of signal: 12 s at five times the speed of life


def main(address: str, path: Path) -> None:
    """Print the symmetry with each step; then what the recording says of the same run."""
    acquisition = bc.Acquisition(address, buffer_s=BUFFER_S)
    rig = Rig.for_device(acquisition.device)
    stream = bc.GaitStream(rig.layout, rate_hz=acquisition.device.rate_hz, mass_kg=70.0)
    # A tap of its own, so that printing slowly can't disturb the recording.
    tap = acquisition.subscribe(overrun="gap", name="live")
    recorder = bc.Recorder(acquisition, path, rig=rig, mass_kg=70.0, seconds=SECONDS, buffer_s=BUFFER_S)
    with recorder, acquisition:
        for block in tap:
            for step in stream.push(bc.Block(rig.wrenches(block.frames), block.lost_before)):
                running = stream.symmetry(last_strides=10)
                print(
                    f"{step['t_on']:7.3f} s  {step['side']}  contact {1000 * step['tc']:3.0f} ms  "
                    f"symmetry index {' - '.join(running.limbs)} of the last {running.strides:2d} strides "
                    f"{running.si['tc']:+5.1f} %"
                )
            if recorder.done:
                break
    result = bc.analyze_gait(bc.read(path), mass_kg=70.0)
    print(f"recorded: {len(result.steps)} steps, contact time SI {result.symmetry['tc'].si:+.1f} %")
    lost = acquisition.statistics().frames_lost
    print(f"{recorder.frames} frames recorded, {lost} lost")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(sys.argv[1] if len(sys.argv) > 1 else ADDRESS, Path(folder) / "run.tdms")
