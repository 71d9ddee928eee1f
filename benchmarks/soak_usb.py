"""As soak.py, but with a simulated USB device behind USB/IP on loopback, served by a process of its own.

``python benchmarks/soak_usb.py usb1608fsplus --rate 10000 --seconds 60``. Through unmodified pyusb and real sockets;
every block is checked: channel 0 of the simulated device counts frames, and the others are made from it. With
``--record`` a recorder and a `GaitStream` take part, as in soak_recording.py, and channel 0 is checked in the file too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
# The test's package of simulators; not its folder, where a 'usb' would hide pyusb's.
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from balancecore.drivers._usb import UsbDevice  # noqa: E402
from tests.drivers.usb import models, usbip  # noqa: E402
from tests.drivers.usb.backend import Backend  # noqa: E402

import soak_recording  # noqa: E402
from balancecore.capture import open_device  # noqa: E402
from soak import soak  # noqa: E402

MODELS = {
    "usb1608fsplus": models.Usb1608,
    "usb1408fsplus": models.Usb1408,
    "usb1208fsplus": models.Usb1208,
    "labjacku6": models.LabjackU6,
}


def serve(scheme, pipe):
    model = MODELS[scheme]()
    pipe.send(usbip.Server([model]).address)
    pipe.recv()


def raw_codes(scheme, model, volts):
    """Codes of the inputs, for the calibration that the simulated device has."""
    if scheme == "labjacku6":
        centre, upper, lower = model.centre[0], model.upper[0], model.lower[0]
        return np.rint(centre + np.where(volts >= 0, volts / upper, -volts / lower))
    first = 0 if model.SIMULTANEOUS else 32
    slope, offset = model.table[first : first + volts.shape[1]].astype(float).T
    half = 2 ** (model.BITS - 1)
    return np.rint(((volts / 10 + 1) * half - offset) / slope)


def main(args):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scheme", choices=MODELS, nargs="?", default="usb1608fsplus")
    parser.add_argument("--rate", type=float, default=10000.0)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--record", action="store_true", help="record, and analyse meanwhile")
    asked = parser.parse_args(args)
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(asked.scheme, theirs), daemon=True)
    server.start()
    attached = usbip.attach(ours.recv())
    backend = Backend(lambda: attached)
    UsbDevice._backend = staticmethod(lambda: backend)
    model = MODELS[asked.scheme]()
    channels = np.arange(asked.channels)
    address = f"{asked.scheme}:?rate_hz={asked.rate}&channels=0:{asked.channels - 1}"
    if asked.record:
        with tempfile.TemporaryDirectory() as folder:
            wrong = soak_recording.soak(
                address,
                asked.seconds,
                0.02,
                True,
                2**model.BITS,
                Path(folder),
                lambda frames: raw_codes(asked.scheme, model, frames[:, :1])[:, 0],
            )
        print(*(f"WRONG: {line}" for line in wrong), sep="\n") if wrong else print(
            "nothing lost or misplaced"
        )
        ours.send("end")
        return
    with open_device(address) as device:

        def check(frames):
            # Called after each read: these are the last that the device has given.
            end = device.frames_read + device.frames_lost
            count = np.arange(end - len(frames), end)[:, None]
            expected = np.where(channels == 0, count, count * (2 * channels + 1) + 1000 * channels)
            if not np.array_equal(raw_codes(asked.scheme, model, frames), expected % 2**model.BITS):
                raise SystemExit(f"frames {end - len(frames)} to {end} are not what the device sent")

        print(f"{device.description.model}: {asked.channels} channels at {device.rate_hz:g} Hz", flush=True)
        print(soak(device, asked.seconds, use=check))
        print(dict(device.status()))
    ours.send("end")
    server.join(5)


if __name__ == "__main__":
    main(sys.argv[1:])
