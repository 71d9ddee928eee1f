"""Contacts in one vertical force: the detector alone, and from the raw force to contacts.

The lab script uses one level and asks for a shortest contact. Ours has hysteresis and confirmation times in "detect",
and so has the Numba version of it; in "contacts" ours also checks the input, removes drift, estimates the level and
times on a 200 Hz copy.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import signal

import balancecore as bc
from balancecore._ext import _contacts

from . import lab_script as lab
from .conftest import MASS_KG, roles

LEVEL_N = 20.0


def detect(fz, rate_hz):
    hold_on, hold_off = math.ceil(0.005 * rate_hz), math.ceil(0.010 * rate_hz)
    out = np.empty((len(fz) // (hold_on + hold_off) + 2, 6))
    state, memory = np.zeros(_contacts.STATE_SIZE, dtype=np.int64), np.zeros(_contacts.MEMORY_SIZE)
    count = _contacts.detect(fz, LEVEL_N, 0.5 * LEVEL_N, hold_on, hold_off, state, memory, out, True)
    return out[:count, 0]


@roles("lab", "numba")
def bench_detect(simulation, filtered, measure, role):
    rate, fz = simulation.rate_hz, np.ascontiguousarray(filtered.total[:, 2])

    def script():
        return lab.threshold(fz, rate, LEVEL_N)[0]

    def numba():
        from . import numba_script

        hold_on, hold_off = math.ceil(0.005 * rate), math.ceil(0.010 * rate)
        return numba_script.detect(fz, LEVEL_N, 0.5 * LEVEL_N, hold_on, hold_off)[:, 0]

    calls = {"lab": script, "numba": numba, "ours": lambda: detect(fz, rate)}
    found = measure(
        calls[role],
        group="detect",
        case=f"{rate:g} Hz",
        role=role,
        values=len(fz),
        duration_s=simulation.trial.duration_s,
    )
    np.testing.assert_allclose(found, script(), atol=1e-6)


@roles("lab", "numba")
def bench_contacts(simulation, measure, role):
    rate = simulation.rate_hz
    fz = simulation.wrenches[0][:, 2] + simulation.wrenches[1][:, 2]
    sos, padlen = lab.design(rate), int(np.ceil(3.0 * rate / 50.0))

    def script():
        return lab.threshold(signal.sosfiltfilt(sos, fz, padlen=padlen), rate, LEVEL_N)[0] / rate

    def ours():
        return bc.find_contacts(fz, rate_hz=rate, mass_kg=MASS_KG).t_on

    def numba():
        from . import numba_script

        smooth = numba_script.zero_phase(fz.reshape(-1, 1), sos, padlen).reshape(-1)
        return numba_script.threshold(smooth, LEVEL_N, 0.07 * rate)[0] / rate

    found = measure(
        {"lab": script, "numba": numba, "ours": ours}[role],
        group="contacts",
        case=f"{rate:g} Hz",
        role=role,
        values=len(fz),
        duration_s=simulation.trial.duration_s,
    )
    np.testing.assert_allclose(found, script(), atol=0.005)
