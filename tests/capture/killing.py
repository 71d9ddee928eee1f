"""kill -9 in the middle of a recording: what is left of it, and how much is missing.

As a program: ``python tests/capture/killing.py [TIMES] [SEED]`` prints the figures.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from balancecore.capture import Recording

CHILD = Path(__file__).with_name("kill_child.py")
RATE_HZ, N_CHANNELS = 2000.0, 8
#: Longest that a child may take to start on a busy machine.
START_S = 60.0


def killed(folder, after_s):
    """Kill a recording `after_s` after its first frames.

    Returns the frames that had been acquired, those of them that the recorder had taken, and the recording.
    """
    command = [sys.executable, str(CHILD), str(folder), str(RATE_HZ), str(N_CHANNELS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        until = time.monotonic() + START_S
        for line in child.stdout:
            assert time.monotonic() < until, "the child does not start"
            if int(line.split()[0]):
                break
        kill_at = time.monotonic() + after_s
        last = line
        while time.monotonic() < kill_at:
            last = child.stdout.readline()
        child.kill()
        rest = child.stdout.read().split(b"\n")
    # The last line may be half a line.
    last = rest[-2] if len(rest) > 1 and rest[-2] else last
    acquired, taken = map(int, last.split()[:2])
    return acquired, taken, Recording(folder / "killed.tdms")


def missing_s(until, recording):
    """Seconds that are missing up to a frame, after every frame was seen to be where it belongs."""
    number = recording.raw()[:, 0]
    index = np.arange(len(number))
    for start, lost in recording.gaps.tolist():
        index[index >= start] += lost
    np.testing.assert_array_equal(number, index)
    return (until - (int(index[-1]) + 1 if len(index) else 0)) / recording.rate_hz


def main(times=50, seed=1):
    rng, found = random.Random(seed), []
    for k in range(times):
        with tempfile.TemporaryDirectory() as folder:
            after_s = rng.uniform(0.0, 4.0)
            acquired, _, recording = killed(Path(folder), after_s)
            found.append(missing_s(acquired, recording))
            print(f"{k + 1:3d}  killed after {after_s:.3f} s: {1000 * found[-1]:4.0f} ms missing", flush=True)
    print(
        f"{times} recordings opened; missing: median {1000 * np.median(found):.0f} ms, worst {1000 * max(found):.0f} ms"
    )
    return max(found)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])) > 1.0)
