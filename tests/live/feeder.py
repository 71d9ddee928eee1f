"""A program that feeds the page as `balancecore live` does, with what a test wants to be shown."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

HELLO = {
    "version": 1,
    "device": "simulated:treadmill?asymmetry=0.1",
    "simulated": True,
    "rate_hz": 1000.0,
    "plates": ["left", "right"],
    "strides": 20,
    "mass_kg": 70.0,
    "metrics": [
        {
            "key": "tc",
            "name": "contact time",
            "unit": "ms",
            "scale": 1000.0,
            "digits": 1,
            "definition": "contact",
        },
        {
            "key": "imp_v",
            "name": "vertical impulse",
            "unit": "BW s",
            "scale": 1.0,
            "digits": 4,
            "definition": "impulse",
        },
        {
            "key": "valr_2080t",
            "name": "loading rate",
            "unit": "BW/s",
            "scale": 1.0,
            "digits": 1,
            "definition": "rate",
        },
        {
            "key": "peak_brake",
            "name": "peak braking",
            "unit": "BW",
            "scale": 1.0,
            "digits": 3,
            "definition": "braking",
        },
        {
            "key": "peak_active",
            "name": "active peak",
            "unit": "BW",
            "scale": 1.0,
            "digits": 3,
            "definition": "peak",
        },
    ],
    "targets": {"cadence": [170, 180], "tc": [215, 245], "tc.si": [-3, 3], "peak_brake": [-0.35, 0]},
    "sound": False,
}
READY = {
    "trial": 0,
    "state": "ready",
    "message": "",
    "device_state": "running",
    "elapsed_s": 0.0,
    "file": None,
    "frames": 0,
    "lost": 0,
    "buffer": 0.02,
    "markers": 0,
    "rate_by_host_hz": 1000.1,
    "cadence": None,
    "symmetry": None,
}
STEP_S = 0.005


class Feeder:
    """The page's process, its lines in and its lines out."""

    def __init__(self, *words, token="", hello=HELLO):
        env = {**os.environ, "BALANCECORE_LIVE_TOKEN": token}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "balancecore.live.page", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        self.asked = []
        if hello is not None:
            self.line({"hello": hello})
        first = self.process.stdout.readline()
        self.url = json.loads(first)["listening"] if first else None
        self._answers = threading.Thread(target=self._read, daemon=True)
        self._answers.start()

    def _read(self):
        for line in self.process.stdout:
            self.asked.append(json.loads(line))

    def line(self, message):
        self.process.stdin.write(json.dumps(message, allow_nan=False) + "\n")
        self.process.stdin.flush()

    def update(self, **values):
        self.line({"update": values})

    def close(self):
        """End the input; the page has to end by itself."""
        self.process.stdin.close()
        status = self.process.wait(30)
        self._answers.join(10)
        error = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return status, error


@contextmanager
def feeding(*words, **options):
    feeder = Feeder(*words, **options)
    try:
        yield feeder
    finally:
        if feeder.process.poll() is None:
            feeder.process.kill()
            feeder.process.wait()
        for pipe in (feeder.process.stdin, feeder.process.stdout, feeder.process.stderr):
            pipe.close()


def run(t, tc_s=(0.245, 0.222), peak_n=1650.0, cadence=174.0):
    """Fz of both belts at the time `t`, N: half sines."""
    step_s = 60.0 / cadence
    forces = []
    for side, tc in enumerate(tc_s):
        phase = (t - side * step_s) % (2 * step_s)
        forces.append(round(peak_n * math.sin(math.pi * phase / tc), 1) if phase < tc else 0.0)
    return forces


def trace(first, n):
    """Samples `first` to ``first + n`` of `run`."""
    rows = [run((first + k) * STEP_S) for k in range(n)]
    return {
        "first_s": first * STEP_S,
        "step_s": STEP_S,
        "fz_n": [list(column) for column in zip(*rows, strict=True)],
    }


def step(number, final=True, tc_s=(0.245, 0.222), **values):
    side = number % 2
    on_s = number * 60.0 / 174.0
    known = {
        "tc": tc_s[side],
        "imp_v": 0.36 + 0.01 * side,
        "valr_2080t": 61.2 - 9.0 * side,
        "peak_brake": -0.31 - 0.06 * side,
        "peak_active": 2.44 + 0.05 * side,
    }
    return {
        "number": number,
        "side": "LR"[side],
        "t_on": on_s,
        "t_off": on_s + tc_s[side],
        "final": final,
        "values": known | values,
        "flags": [],
    }


def play(feeder, seconds, state="recording", start_s=0.0):
    """A run in real time."""
    began, sent, number = time.monotonic(), round(start_s / STEP_S), math.ceil(start_s / (60 / 174))
    end = sent + round(seconds / STEP_S)
    while sent < end:
        time.sleep(0.05)
        due = min(end, round((start_s + time.monotonic() - began) / STEP_S))
        values = dict(trace=trace(sent, due - sent)) if due > sent else {}
        sent = due
        now_s = sent * STEP_S
        steps = []
        while (number + 1) * 60 / 174 < now_s:
            steps.append(step(number))
            number += 1
        feeder.update(
            **READY
            | {
                "trial": 1,
                "state": state,
                "elapsed_s": now_s,
                "frames": round(1000 * now_s),
                "file": "20261122-101500.tdms",
                "cadence": 174.2,
                "symmetry": {
                    "strides": min(20, number // 2),
                    "limbs": ["L", "R"],
                    "si": {
                        "tc": 9.9,
                        "imp_v": -2.7,
                        "valr_2080t": 15.9,
                        "peak_brake": -17.6,
                        "peak_active": -2.0,
                    },
                    "means": {
                        "tc": [0.243, 0.224],
                        "imp_v": [0.36, 0.37],
                        "valr_2080t": [60.0, 53.0],
                        "peak_brake": [-0.31, -0.37],
                        "peak_active": [2.44, 2.49],
                    },
                },
            },
            steps=steps,
            **values,
        )
