"""Records the simulated counter until it is killed; tells through its standard output what the device has given.

Each line is the number of frames that had come, and the clock's time of that moment: ``FRAMES MONOTONIC_S``.
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
        line = f"{acquisition.next_index} {time.monotonic():.6f}\n"
        os.write(sys.stdout.fileno(), line.encode())
        time.sleep(0.002)
