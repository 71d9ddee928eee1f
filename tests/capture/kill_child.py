"""Records the simulated counter until it is killed; tells through its standard output how far it is.

Each line is the number of frames that had come from the device, of those that the recorder had taken, lost ones counted
in both, and the clock's time of that moment: ``FRAMES TAKEN MONOTONIC_S``.
"""

import os
import sys
import time

from balancecore.capture import Acquisition, Recorder

folder, rate_hz, n_channels = sys.argv[1:]
acquisition = Acquisition(
    f"simulated:counter?rate_hz={rate_hz}&channels={n_channels}&fault=gap@0.4:37,gap@1.1:500"
)
recorder = Recorder(acquisition, os.path.join(folder, "killed.tdms"), note="to be killed")
with recorder, acquisition:
    while True:
        taken = recorder.frames + recorder.frames_lost
        line = f"{acquisition.next_index} {taken} {time.monotonic():.6f}\n"
        os.write(sys.stdout.fileno(), line.encode())
        time.sleep(0.002)
