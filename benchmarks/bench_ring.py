"""Frames from a producer to a consumer: the ring buffer beside a queue of arrays and np.concatenate.

Both take blocks as a device delivers them and hand over windows of another size, as an analysis wants them.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

import balancecore as bc

from .conftest import SMALL, roles

CHANNELS = 12
WINDOW = 100
FRAMES = 2_000 if SMALL else 200_000


def queued(block, window):
    """As a script would write it: whole blocks wait in a deque, the consumer joins and cuts them."""
    waiting, held, total = deque(), 0, 0.0
    for _ in range(FRAMES // len(block)):
        waiting.append(block.copy())  # the device writes into the same block again
        held += len(block)
        while held >= WINDOW:
            parts, have = [], 0
            while have < WINDOW:
                parts.append(waiting.popleft())
                have += len(parts[-1])
            joined = np.concatenate(parts)
            window[:] = joined[:WINDOW]
            if have > WINDOW:
                waiting.appendleft(joined[WINDOW:])
            held -= WINDOW
            total += window[0, 0]
    return total


def ringed(block, window):
    ring, total = bc.RingBuffer(WINDOW + len(block), CHANNELS), 0.0
    for _ in range(FRAMES // len(block)):
        ring.push(block)
        while ring.available >= WINDOW:
            ring.pop_into(window)
            total += window[0, 0]
    return total


@roles("lab")
@pytest.mark.parametrize("frames", [1, 10, 64, 1000])
def bench_ring(measure, role, frames):
    block, window = np.random.default_rng(1).normal(size=(frames, CHANNELS)), np.empty((WINDOW, CHANNELS))
    call = queued if role == "lab" else ringed
    total = measure(
        lambda: call(block, window),
        group="ring",
        case=f"blocks of {frames} x {CHANNELS}",
        role=role,
        values=FRAMES // frames * frames * CHANNELS,
    )
    assert total == (ringed if role == "lab" else queued)(block, window)
