"""Kernels share nothing: several threads at once, on the same read-only input, get the bits of one thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import signal

from balancecore import simulate
from balancecore._ext import _contacts, _filters
from balancecore.contacts import find_contacts
from balancecore.filters import lowpass, zero_phase
from balancecore.gait import step_metrics

RATE_HZ = 1000.0
THREADS = 4
ROUNDS = 5


@pytest.fixture(scope="module")
def wrench():
    x = (
        simulate.treadmill(duration_s=12.0, noise_n=3.0, step_jitter=0.02, seed=5)
        .trial.plates[0]
        .wrench.copy()
    )
    x.flags.writeable = False
    return x


def filters(wrench):
    design = lowpass(50.0, RATE_HZ)
    out = np.empty_like(wrench)
    state = np.multiply.outer(signal.sosfilt_zi(design.sos), wrench[0])
    _filters.filter_block(wrench, design.sos, state, out)
    return [
        zero_phase(wrench, design.sos, padlen=design.padding),
        zero_phase(wrench[:, 2], design.sos, padlen=design.padding),
        out,
        state,
    ]


def detector(wrench):
    fz = np.ascontiguousarray(wrench[:, 2])
    rows = np.zeros((200, 6))
    state, memory = np.zeros(_contacts.STATE_SIZE, np.int64), np.zeros(_contacts.MEMORY_SIZE)
    found = _contacts.detect(fz, 20.0, 10.0, 5, 10, state, memory, rows, True)
    return [rows[:found], state, memory]


def envelope(wrench):
    fz = np.ascontiguousarray(wrench[:3000, 2])
    half = 200
    out = np.empty(len(fz))
    _contacts.rolling_percentile(fz, half, 1, 0.25, out, np.empty(2 * half + 1))
    return [out]


def contacts(wrench):
    found = find_contacts(wrench[:, 2], rate_hz=RATE_HZ, mass_kg=70.0)
    return [found.t_on, found.t_off, found.peak_n, found.samples, found.flags]


def steps(wrench):
    found = find_contacts(wrench[:, 2], rate_hz=RATE_HZ, mass_kg=70.0)
    table = step_metrics(wrench, found, rate_hz=RATE_HZ, mass_kg=70.0)
    return [table[name] for name in table.columns]


@pytest.mark.parametrize("work", [filters, detector, envelope, contacts, steps])
def test_several_threads_get_the_bits_of_one(work, wrench):
    before = wrench.copy()
    alone = work(wrench)
    together = threading.Barrier(THREADS)

    def repeatedly(_):
        together.wait(timeout=60.0)
        return [work(wrench) for _ in range(ROUNDS)]

    with ThreadPoolExecutor(THREADS) as threads:
        for results in threads.map(repeatedly, range(THREADS)):
            for result in results:
                assert len(result) == len(alone)
                for one, other in zip(alone, result, strict=True):
                    np.testing.assert_array_equal(other, one)
    assert any(np.asarray(part).size for part in alone)
    np.testing.assert_array_equal(wrench, before)
