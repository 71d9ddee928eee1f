"""Frames out of transfers: however the stream is cut into reads, the same frames and the same gaps come out."""

from __future__ import annotations

import numpy as np
import pytest
from balancecore.drivers._usb import FrameQueue
from balancecore.drivers.labjack_u6 import StreamPackets
from hypothesis import given, settings
from hypothesis import strategies as st

from . import models

GUESS = 1000
WIDTHS = st.integers(1, 9)


def taken(queue, mosts):
    """All that waits, a few frames at a time: pairs of frames lost before, and rows."""
    out = []
    for most in mosts:
        lost, frames = queue.take(most)
        if lost or len(frames):
            out.append((lost, frames.copy()))
    while len(queue):
        lost, frames = queue.take(1000)
        out.append((lost, frames.copy()))
    return out


def numbered(parts, width):
    """Rows by their number: the sum of what was lost and what came before."""
    at, rows = 0, {}
    for lost, frames in parts:
        at += lost
        for row in frames:
            rows[at] = row.tolist()
            at += 1
    return rows


@settings(deadline=None)
@given(WIDTHS, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 25)), max_size=12), st.data())
def test_samples_and_gaps_keep_their_place(width, events, data):
    # Sample i of the stream has the value i: frame k is whole where none of its samples was in a gap.
    queue = FrameQueue(width, 8)
    missing, at, parts = set(), 0, []
    for came, gone in events:
        samples = np.arange(at, at + came).astype(np.uint16)
        cuts = sorted(data.draw(st.lists(st.integers(0, came), max_size=3)))
        for piece in np.split(samples, cuts):
            queue.add(piece)
        at += came
        missing.update(range(at, at + gone))
        queue.gap(gone)
        at += gone
        parts += taken(queue, data.draw(st.lists(st.integers(1, 5), max_size=3)))
    parts += taken(queue, [])
    rows = numbered(parts, width)
    whole = [k for k in range(at // width) if not missing & set(range(k * width, (k + 1) * width))]
    assert rows == {k: list(range(k * width, (k + 1) * width)) for k in whole}


@settings(deadline=None)
@given(WIDTHS, st.integers(0, 40), st.integers(0, 40), st.integers(1, 9))
def test_new_scan_begins_with_its_first_sample(width, before, after, frames):
    queue = FrameQueue(width, 4)
    queue.add(np.arange(before, dtype=np.uint16))
    queue.cut(frames)
    queue.add(np.arange(after, dtype=np.uint16))
    rows = numbered(taken(queue, []), width)
    first = before // width
    expected = {k: list(range(k * width, (k + 1) * width)) for k in range(first)}
    new = {first + frames + k: list(range(k * width, (k + 1) * width)) for k in range(after // width)}
    assert rows == expected | new


@pytest.fixture(scope="module")
def stream():
    """Packets of a U6 that overflows twice, and what its faults do to them."""

    def make(width, spoil, skip, busy, packets):
        clock = [0.0]
        model = models.LabjackU6(faults=models.Faults(spoil=frozenset(spoil), skip=frozenset(skip)))
        model.due = lambda rate_hz: int(clock[0] * rate_hz)
        model.WAITS = False
        pairs = b"".join(bytes([k, 0]) for k in range(width))
        model.config = bytes([width, 0, 25, 0, 0, 0, 0xA0, 0x0F]) + pairs
        model.begin()
        out = []
        while model.number < packets:
            clock[0] += 3.0 if model.number in busy else 0.002
            busy = busy - {model.number}
            out.append(model.packets(0x83, 64))
        return b"".join(out)

    return make


@settings(deadline=None, max_examples=60)
@given(
    width=st.integers(1, 14),
    spoil=st.sets(st.integers(0, 40), max_size=3),
    skip=st.sets(st.integers(0, 40), max_size=4),
    busy=st.sets(st.integers(0, 30), max_size=2),
    data=st.data(),
)
def test_u6_stream_is_the_same_however_it_is_cut(stream, width, spoil, skip, busy, data):
    packets = stream(width, spoil, skip, busy, 60)
    results = []
    for whole in (True, False):
        queue = FrameQueue(width, 8)
        decoder = StreamPackets(queue, width)
        parts = []
        cuts = [] if whole else sorted(data.draw(st.sets(st.integers(0, len(packets) // 64), max_size=12)))
        ends = [64 * cut for cut in cuts]
        for begin, end in zip([0, *ends], [*ends, len(packets)], strict=True):
            decoder.add(memoryview(packets)[begin:end], lambda: GUESS)
            if not whole:
                parts += taken(queue, [1, 2])
        parts += taken(queue, [])
        results.append((numbered(parts, width), decoder.missing, decoder.dropped, decoder.guessed))
    assert results[0] == results[1]
    # Channel 0 counts scans: a frame that stands at k has k there, and the others follow from it.
    # Not after a guess, which is wrong here; then at least the channels stay together.
    guessed = results[0][3]
    for k, row in results[0][0].items():
        k = row[0] if guessed else k
        expected = [k % 65536] + [(k * (2 * c + 1) + 1000 * c) % 65536 for c in range(1, width)]
        assert row == expected


def test_cut_packet_is_an_error():
    with pytest.raises(Exception, match="multiple of 64"):
        StreamPackets(FrameQueue(2), 2).add(memoryview(bytes(70)), int)
