"""The running kernel: zero phase as of the whole record, detection as of the whole signal, whatever the cuts."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from balancecore import simulate
from balancecore._ext import _contacts, _stream
from balancecore.filters import lowpass

RATE_HZ = 500.0
BODY_WEIGHT_N = 700.0
#: The look-ahead of 3 periods of the cut-off leaves this of the whole-record filter, in body weights (metrics 1.12).
ZERO_PHASE_BW = 1e-6
#: Backward passes that start elsewhere agree to this; a crossing in samples follows from it.
CROSSING_SAMPLES = 1e-6
LEVEL_N = 20.0


class Rig:
    """An engine with its rings, and a caller that takes whatever it is told."""

    def __init__(self, rate_hz=RATE_HZ, n_plates=2, groups=None, cutoff_hz=50.0, seconds=30.0):
        self.design = lowpass(cutoff_hz, rate_hz)
        causal = lowpass(100.0, rate_hz)
        self.groups = [list(range(n_plates))] if groups is None else groups
        self.grid, self.ahead = 12, self.design.padding + 4
        ring = int(seconds * rate_hz) + 4 * (self.grid + self.ahead)
        self.ring = ring
        self.smooth = np.full((len(self.groups), 2 * ring), np.nan)
        self.raw = np.full((n_plates, 2 * ring, 6), np.nan)
        self.engine = _stream.Engine(
            self.groups,
            np.ones((n_plates, 6), dtype=np.uint8),
            self.raw,
            np.full_like(self.smooth, np.nan),
            np.full_like(self.smooth, np.nan),
            self.smooth,
            self.design.sos,
            self.design.zi,
            self.design.padding,
            self.ahead,
            self.grid,
            3,
            5,
            causal.sos,
            causal.zi,
            3,
            np.empty(2 * (self.grid + self.ahead + self.design.padding) + ring),
        )
        self.engine.set_rules(LEVEL_N, 0.5 * LEVEL_N, 35, 300.0)
        self.rows, self.events, self.stretches = [], [], []

    def push(self, frames):
        at = 0
        while (code := self.engine.run(frames, at)) != _stream.DONE:
            at = self.engine.position
            self.events += self.engine.take_events()
            if code == _stream.TICK:
                self._collect()
            elif code == _stream.STRETCH_END:
                self.end()

    def _collect(self):
        for k in range(len(self.groups)):
            self.rows += [(k, self.engine.low, *row) for row in self.engine.take_rows(k)]
            if self.engine.open_contact(k)[2]:
                self.engine.set_announced(k)

    def end(self):
        self.stretches.append((self.engine.low, self.engine.n))
        if self.engine.end_stretch():
            self._collect()
        self.engine.close()


@pytest.fixture(scope="module")
def frames():
    trial = simulate.treadmill(duration_s=6.0, rate_hz=RATE_HZ, noise_n=5.0, seed=3).trial
    return np.hstack([plate.wrench for plate in trial.plates])


def test_zero_phase_as_of_the_whole_record(frames):
    rig = Rig()
    rig.push(frames)
    rig.end()
    fz = frames[:, 2] + frames[:, 8]
    whole = signal.sosfiltfilt(rig.design.sos, fz, padlen=rig.design.padding)
    assert np.abs(rig.smooth[0, : len(fz)] - whole).max() < ZERO_PHASE_BW * BODY_WEIGHT_N


def test_no_filter_is_the_signal_itself(frames):
    rig = Rig(cutoff_hz=None)
    rig.push(frames)
    rig.end()
    assert np.array_equal(rig.smooth[0, : len(frames)], frames[:, 2] + frames[:, 8])


def test_same_contacts_as_the_detector_of_whole_signals(frames):
    rig = Rig()
    rig.push(frames)
    rig.end()
    fz = frames[:, 2] + frames[:, 8]
    whole = signal.sosfiltfilt(rig.design.sos, fz, padlen=rig.design.padding)
    out = np.empty((100, 6))
    state, memory = np.zeros(_contacts.STATE_SIZE, dtype=np.int64), np.zeros(_contacts.MEMORY_SIZE)
    count = _contacts.detect(
        np.ascontiguousarray(whole), LEVEL_N, 0.5 * LEVEL_N, 3, 5, state, memory, out, True
    )
    assert count == len(rig.rows) > 10
    np.testing.assert_allclose([row[2:4] for row in rig.rows], out[:count, :2], atol=CROSSING_SAMPLES)
    np.testing.assert_allclose([row[5:] for row in rig.rows], out[:count, 3:])


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 3000), max_size=40), bad=st.lists(st.integers(0, 2999), max_size=3))
def test_cuts_change_no_bit(frames, cuts, bad):
    data = frames.copy()
    data[bad, 4] = np.nan
    one, many = Rig(groups=[[0], [1]]), Rig(groups=[[0], [1]])
    one.push(data)
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    for a, b in pairwise(edges):
        many.push(data[a:b])
    assert one.rows == many.rows
    assert one.events == many.events
    assert one.stretches == many.stretches
    assert np.array_equal(one.smooth, many.smooth, equal_nan=True)


def test_each_stretch_between_gaps_is_filtered_by_itself(frames):
    data = frames.copy()
    data[1000:1010, 0] = np.inf
    rig = Rig()
    rig.push(data)
    rig.end()
    assert rig.stretches == [(0, 1000), (1010, len(data))]
    fz = data[:, 2] + data[:, 8]
    for a, b in rig.stretches:
        whole = signal.sosfiltfilt(rig.design.sos, fz[a:b], padlen=rig.design.padding)
        assert np.abs(rig.smooth[0, a:b] - whole).max() < ZERO_PHASE_BW * BODY_WEIGHT_N


def test_a_stretch_shorter_than_the_padding_is_not_searched():
    rig = Rig()
    rig.push(np.full((rig.design.padding, 12), 900.0))
    assert not rig.engine.end_stretch()


def test_the_ring_may_be_short(frames):
    long, short = Rig(), Rig(seconds=0.2)
    for rig in (long, short):
        rig.push(frames)
        rig.end()
    assert long.rows == short.rows
    last = [rig.smooth[0][np.arange(len(frames) - 50, len(frames)) % rig.ring] for rig in (long, short)]
    assert np.array_equal(*last)


def test_frames_are_kept_as_they_came(frames):
    rig = Rig(seconds=0.5)
    source = frames.copy()
    source.flags.writeable = False
    rig.push(source)
    n = len(frames)
    at = (n - 200) % rig.ring
    for plate in range(2):
        assert np.array_equal(rig.raw[plate, at : at + 200], frames[n - 200 :, 6 * plate : 6 * plate + 6])


def test_lost_frames_count(frames):
    rig = Rig()
    rig.push(frames[:1000])
    rig.end()
    rig.engine.skip(5000)
    rig.push(frames[1000:])
    assert rig.engine.n == len(frames) + 5000
    assert rig.engine.low == 6000


def test_held_frames_are_only_stored(frames):
    rig = Rig()
    empty = np.empty((0, 12))
    assert rig.engine.run(frames[:1], 0) == _stream.STRETCH_START
    rig.engine.hold(800)
    assert rig.engine.run(frames, 0) == _stream.LOOK
    assert (rig.engine.n, rig.engine.position, rig.engine.frontier) == (800, 800, 0)
    rig.engine.release()
    while rig.engine.run(empty, 0) != _stream.DONE:
        rig._collect()
    assert rig.engine.frontier > 0
    assert not rig.engine.take_events()


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (np.zeros((3, 11)), "six values"),
        (np.zeros((3, 12), dtype=np.float32), "mismatch"),
        (np.zeros((12, 3)).T, "contiguous"),
    ],
)
def test_wrong_blocks_are_refused(frames, said):
    with pytest.raises(ValueError, match=said):
        Rig().engine.run(frames, 0)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="plate"):
        Rig(groups=[[0, 2]])
    with pytest.raises(ValueError, match="no such group"):
        Rig().engine.open_contact(1)
    with pytest.raises(ValueError, match="no stretch"):
        Rig().engine.end_stretch()
