"""The ring buffer against a queue of frames, in one thread and between two."""

import doctest
import pickle
import threading
import time
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import balancecore as bc
from balancecore._ext import _ring

#: Longest that a thread of these tests may take; they need a fraction of it.
PATIENCE_S = 60.0


class Naive:
    """The same buffer, frame by frame: a queue of (losses before it, frame)."""

    def __init__(self, capacity, overrun):
        self.frames, self.capacity, self.overrun = deque(), capacity, overrun
        self.lost = self.pending = self.pushed = 0

    def push(self, block, lost_before=0):
        if self.overrun == "fail" and len(self.frames) + len(block) > self.capacity:
            return None
        self.pending += lost_before
        self.lost += lost_before
        stored = 0
        for frame in block:
            if len(self.frames) < self.capacity:
                self.frames.append((self.pending, frame))
                self.pending = 0
                stored += 1
            else:
                self.pending += 1
                self.lost += 1
        self.pushed += stored
        return stored

    def pop(self, room):
        taken, lost = [], 0
        while self.frames and len(taken) < room:
            before, frame = self.frames[0]
            if before and taken:
                break
            lost += before
            taken.append(frame)
            self.frames.popleft()
        return taken, lost


def counting(start, n, m):
    """Frames that carry their number; each channel its own offset."""
    return np.arange(start, start + n, dtype=float)[:, None] + np.linspace(0.0, 0.5, m)


@given(
    capacity=st.integers(1, 9),
    m=st.integers(1, 4),
    overrun=st.sampled_from(["fail", "gap"]),
    moves=st.lists(
        st.tuples(st.booleans(), st.integers(0, 14), st.sampled_from([0, 0, 1, 5, 2**40])), max_size=120
    ),
)
def test_it_equals_a_queue(capacity, m, overrun, moves):
    ring, naive, number = bc.RingBuffer(capacity, m, overrun=overrun), Naive(capacity, overrun), 0
    for pushes, n, told in moves:
        if pushes:
            block = counting(number, n, m)
            number += n
            expected = naive.push(block, told)
            if expected is None:
                with pytest.raises(bc.errors.OverrunError) as caught:
                    ring.push(block, told)
                assert caught.value.frames_lost == n
            else:
                assert ring.push(block, lost_before=told) == expected
        else:
            out = np.full((n, m), -1.0)
            taken, lost = naive.pop(n)
            assert ring.pop_into(out) == (len(taken), lost)
            np.testing.assert_array_equal(out[: len(taken)], np.reshape(taken, (-1, m)))
            assert (out[len(taken) :] == -1.0).all()
        assert (ring.available, ring.space) == (len(naive.frames), capacity - len(naive.frames))
        assert (ring.pushed, ring.lost) == (naive.pushed, naive.lost)


def run_both(produce, consume):
    """Producer and consumer in two threads; what either raises is raised here."""
    failures = []

    def guarded(work):
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in (produce, consume)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads), f"still running; failures: {failures}"
    if failures:
        raise failures[0]


@pytest.mark.parametrize(("capacity", "largest"), [(1, 1), (7, 5), (64, 40), (1000, 300)])
def test_two_threads_lose_and_reorder_nothing(capacity, largest):
    total, m = 2000 + 300 * largest, 3
    ring = bc.RingBuffer(capacity, m)
    done = 0

    def produce():
        nonlocal done
        rng, number = np.random.default_rng(1), 0
        while number < total:
            block = counting(number, min(int(rng.integers(1, largest + 1)), total - number), m)
            try:
                number += ring.push(block)
            except bc.errors.OverrunError:
                time.sleep(0)  # let the other thread run; then the same frames again
        done = number

    def consume():
        rng, number = np.random.default_rng(2), 0
        out = np.empty((largest, m))
        while number < total:
            taken, lost = ring.pop_into(out[: rng.integers(1, largest + 1)])
            assert lost == 0
            if taken == 0:
                time.sleep(0)
            np.testing.assert_array_equal(out[:taken], counting(number, taken, m))
            number += taken

    run_both(produce, consume)
    assert done == total == ring.pushed
    assert (ring.available, ring.lost) == (0, 0)


@pytest.mark.parametrize(("capacity", "largest"), [(1, 3), (7, 5), (64, 40)])
def test_two_threads_know_what_was_lost_and_where(capacity, largest):
    total, m = 50_000, 2
    ring = bc.RingBuffer(capacity, m, overrun="gap")
    finished = threading.Event()
    gaps, told = [], 0

    def produce():
        rng, number = np.random.default_rng(1), 0
        while number < total:
            n = min(int(rng.integers(1, largest + 1)), total - number)
            stored = ring.push(counting(number, n, m))
            if stored < n:
                gaps.append((number + stored, n - stored))
            number += n
        finished.set()

    seen = []

    def consume():
        nonlocal told
        number, out = 0, np.empty((largest, m))
        while True:
            over = finished.is_set()  # before the look at the buffer, which is then the last
            taken, lost = ring.pop_into(out)
            if lost:
                seen.append((number, lost))
                told += lost
            number += lost
            np.testing.assert_array_equal(out[:taken], counting(number, taken, m))
            number += taken
            if over and taken == 0:
                break
            if taken == 0:
                time.sleep(0)

    run_both(produce, consume)
    assert ring.pushed + ring.lost == total
    assert sum(n for _, n in gaps) == ring.lost > 0
    # What the producer lost in a row is one gap to the consumer; a gap behind the last frame is not told.
    expected = []
    for start, n in gaps:
        if expected and sum(expected[-1]) == start:
            expected[-1] = (expected[-1][0], expected[-1][1] + n)
        else:
            expected.append((start, n))
    assert seen == expected[: len(seen)]
    assert len(expected) - len(seen) <= 1
    assert ring.lost - told == sum(n for _, n in expected[len(seen) :])


def test_several_gaps_keep_their_order():
    ring, out = bc.RingBuffer(3, 1, overrun="gap"), np.empty((10, 1))
    told = [ring.push(counting(0, 5, 1))]  # 3 and 4 are lost
    ring.pop_into(out[:1])
    told += [ring.push(counting(5, 2, 1))]  # 6 is lost
    ring.pop_into(out[:1])
    told += [ring.push(counting(7, 1, 1)), ring.push(counting(8, 4, 1))]  # 8 to 11
    assert told == [3, 1, 1, 0]
    assert ring.pop_into(out) == (1, 0)
    assert out[0, 0] == 2.0
    assert ring.pop_into(out) == (1, 2)
    assert out[0, 0] == 5.0
    assert ring.pop_into(out[:0]) == (0, 0)  # no room: the gap waits for its frame
    assert ring.pop_into(out) == (1, 1)
    assert out[0, 0] == 7.0
    assert ring.pop_into(out) == (0, 0)  # 8 to 11 are told with the frame behind them
    ring.push(counting(12, 1, 1))
    assert ring.pop_into(out) == (1, 4)
    assert ring.lost == 7


@pytest.mark.parametrize("overrun", ["fail", "gap"])
def test_losses_of_the_device_keep_their_place(overrun):
    ring, out = bc.RingBuffer(6, 1, overrun=overrun), np.empty((10, 1))
    ring.push(counting(0, 2, 1))
    ring.push(counting(5, 2, 1), lost_before=3)
    ring.push(np.empty((0, 1)), lost_before=4)  # waits for its frame
    assert (ring.available, ring.lost) == (4, 7)
    ring.push(counting(12, 1, 1), lost_before=1)
    assert ring.pop_into(out) == (2, 0)
    assert ring.pop_into(out) == (2, 3)
    assert ring.pop_into(out) == (1, 5)
    assert out[0, 0] == 12.0
    assert ring.pop_into(out) == (0, 0)


def test_a_refused_block_keeps_its_losses():
    ring, out = bc.RingBuffer(2, 1), np.empty((2, 1))
    ring.push(counting(0, 1, 1))
    with pytest.raises(bc.errors.OverrunError):
        ring.push(counting(4, 2, 1), lost_before=3)
    assert ring.lost == 0
    ring.pop_into(out)
    ring.push(counting(4, 2, 1), lost_before=3)
    assert ring.pop_into(out) == (2, 3)
    assert ring.lost == 3


def test_losses_told_and_dropped_are_one_gap():
    ring, out = bc.RingBuffer(2, 1, overrun="gap"), np.empty((2, 1))
    assert ring.push(counting(0, 3, 1)) == 2  # frame 2 is dropped
    ring.pop_into(out)
    assert ring.push(counting(5, 1, 1), lost_before=2) == 1
    assert ring.pop_into(out) == (1, 3)
    assert ring.lost == 3


def test_a_negative_loss_is_refused():
    ring = bc.RingBuffer(2, 1)
    with pytest.raises(bc.errors.DataError, match="lost_before=-1"):
        ring.push(counting(0, 1, 1), lost_before=-1)
    assert (ring.available, ring.lost) == (0, 0)


def test_a_refused_block_leaves_all_as_it_was():
    ring = bc.RingBuffer(4, 2)
    ring.push(counting(0, 3, 2))
    with pytest.raises(BufferError, match="2 frames for 1 free places of 4") as caught:
        ring.push(counting(3, 2, 2))
    assert isinstance(caught.value, bc.errors.DeviceError)
    assert caught.value.frames_lost == 2
    assert pickle.loads(pickle.dumps(caught.value)).frames_lost == 2
    assert (ring.available, ring.pushed, ring.lost) == (3, 3, 0)
    assert ring.push(counting(3, 1, 2)) == 1
    out = np.empty((4, 2))
    assert ring.pop_into(out) == (4, 0)
    np.testing.assert_array_equal(out, counting(0, 4, 2))


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize(
    "lay",
    [
        lambda x: x,
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1].copy()[::-1],
        lambda x: x[:, ::-1].copy()[:, ::-1],
        lambda x: np.hstack([x, x])[:, : x.shape[1]],
        lambda x: x.astype(np.float32),
        lambda x: x.astype(">f8"),
        lambda x: x.astype(np.int64),
        lambda x: x.tolist(),
    ],
)
def test_blocks_may_lie_anywhere(lay, m):
    x = np.arange(5.0 * m).reshape(5, m)
    block = lay(x)
    if isinstance(block, np.ndarray):
        block.flags.writeable = False
    ring, out = bc.RingBuffer(7, m), np.empty((5, m))
    for _ in range(3):  # over the end, and from every place
        assert ring.push(block) == 5
        assert ring.pop_into(out) == (5, 0)
        np.testing.assert_array_equal(out, x)


def test_one_frame_many_times():
    ring, out = bc.RingBuffer(4, 2), np.empty((4, 2))
    ring.push(np.broadcast_to([[1.0, 2.0]], (4, 2)))
    ring.pop_into(out)
    np.testing.assert_array_equal(out, [[1.0, 2.0]] * 4)


def test_frames_keep_their_bits():
    x = np.array([[np.nan, np.inf, -0.0, 5e-324]])
    ring, out = bc.RingBuffer(2, 4), np.empty((1, 4))
    ring.push(x)
    ring.pop_into(out)
    assert out.tobytes() == x.tobytes()


@pytest.mark.parametrize(
    "block",
    [
        np.zeros(2),
        np.zeros((2, 3)),
        np.zeros((2, 2, 2)),
        np.zeros((2, 1)),
        3.0,
        "frames",
        None,
        [[1], [2, 3]],
    ],
)
def test_wrong_blocks_are_refused(block):
    ring = bc.RingBuffer(4, 2)
    with pytest.raises(bc.errors.DataError, match="block"):
        ring.push(block)
    assert ring.available == 0


def read_only(x):
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    "out",
    [
        np.zeros(2),
        np.zeros((2, 3)),
        np.zeros((2, 2), dtype=np.float32),
        np.zeros((2, 4))[:, ::2],
        np.zeros((2, 2), order="F"),
        np.zeros((2, 2), dtype=">f8"),
        read_only(np.zeros((2, 2))),
        [[0.0, 0.0]],
        None,
    ],
)
def test_wrong_room_is_refused(out):
    ring = bc.RingBuffer(4, 2)
    ring.push(np.ones((3, 2)))
    with pytest.raises(bc.errors.DataError, match="out"):
        ring.pop_into(out)
    assert ring.available == 3


@pytest.mark.parametrize("arguments", [(0, 1), (1, 0), (-1, 1), (4, -2), (4, 2, "overwrite"), (4, 2, "")])
def test_wrong_buffers_are_refused(arguments):
    with pytest.raises(bc.errors.DataError):
        bc.RingBuffer(*arguments)


@pytest.mark.parametrize("sizes", [(2**62, 8), (2**40, 2**40), (1, 2**62)])
def test_what_no_memory_can_hold(sizes):
    with pytest.raises(MemoryError):
        bc.RingBuffer(*sizes)


def test_it_shows_what_it_is():
    ring = bc.RingBuffer(4, 2, overrun="gap")
    ring.push(np.zeros((6, 2)))
    assert repr(ring) == "<RingBuffer: 4 of 4 frames x 2 channels, overrun='gap', 2 lost>"
    assert (ring.capacity, ring.n_channels, ring.overrun) == (4, 2, "gap")
    assert bc.RingBuffer(1, 1).overrun == "fail"


def test_its_example():
    assert doctest.testmod(_ring).attempted > 5
    assert doctest.testmod(_ring).failed == 0
