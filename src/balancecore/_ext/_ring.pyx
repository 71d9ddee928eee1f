"""Ring buffer between one thread that has frames and one that wants them: no lock, and losses keep their place."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_RECORDS_RO, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.string cimport memcpy

import numpy as np

from balancecore._ext._atomic cimport atomic_int64, claim, load_acquire, store_release

from balancecore.errors import DataError, OverrunError

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX

cdef enum:
    APART = 128  # bytes between what two threads write: two cache lines, since some processors fetch them in pairs

cdef struct Gap:
    long long before  # number of the stored frame that follows the lost ones
    long long frames  # how many were lost

# Frames are numbered from 0 as they are stored; frame k lies in place k % capacity. A gap is written together with the
# frame behind it, so there are never more unread gaps than frames, and `capacity` places are enough for both.
cdef struct Ring:
    double* frames
    Gap* gaps
    bint refuses  # what doesn't fit is refused
    Py_ssize_t capacity
    Py_ssize_t n_channels
    char apart_from_producer[APART]
    atomic_int64 head          # frames stored; written by the producer after the frames themselves
    atomic_int64 gaps_written  # written before the head that makes the gap's frame visible
    atomic_int64 lost
    atomic_int64 pushing       # 1 while a thread is inside push
    long long pending          # lost since the last stored frame; only the producer looks
    long long tail_seen        # the producer's last look at the tail: the other line is only read when it is needed
    char apart_from_consumer[APART]
    atomic_int64 tail          # frames taken; written by the consumer after it has copied them
    atomic_int64 popping
    long long gaps_read        # only the consumer looks
    long long head_seen
    char apart_from_others[APART]


cdef void _copy_in(double* places, const char* block, Py_ssize_t n, Py_ssize_t m, Py_ssize_t frame_step,
                   Py_ssize_t channel_step) noexcept nogil:
    """Copy n frames whose values lie `channel_step` bytes apart, and the frames `frame_step`."""
    cdef Py_ssize_t i, c, size = <Py_ssize_t>sizeof(double)
    if (m == 1 or channel_step == size) and frame_step == m * size:
        memcpy(places, block, <size_t>(n * m * size))
        return
    for i in range(n):
        for c in range(m):
            places[i * m + c] = (<const double*>(block + i * frame_step + c * channel_step))[0]


cdef Py_ssize_t _push(Ring* ring, const char* block, Py_ssize_t n, Py_ssize_t frame_step,
                      Py_ssize_t channel_step, long long lost_before) noexcept nogil:
    """Store a block, in two parts where it goes over the end; how many frames were stored."""
    cdef long long head = load_acquire(&ring.head), written
    cdef Py_ssize_t m = ring.n_channels, stored = n, place, first
    cdef Gap* gap
    if ring.capacity - (head - ring.tail_seen) < n:
        ring.tail_seen = load_acquire(&ring.tail)
        if ring.capacity - (head - ring.tail_seen) < n:
            if ring.refuses:
                return 0
            stored = <Py_ssize_t>(ring.capacity - (head - ring.tail_seen))
    if lost_before > 0:
        ring.pending += lost_before
        store_release(&ring.lost, load_acquire(&ring.lost) + lost_before)
    if stored > 0:
        if ring.pending > 0:
            written = load_acquire(&ring.gaps_written)
            gap = &ring.gaps[written % ring.capacity]
            gap.before = head
            gap.frames = ring.pending
            ring.pending = 0
            store_release(&ring.gaps_written, written + 1)
        place = <Py_ssize_t>(head % ring.capacity)
        first = min(stored, ring.capacity - place)
        _copy_in(ring.frames + place * m, block, first, m, frame_step, channel_step)
        _copy_in(ring.frames, block + first * frame_step, stored - first, m, frame_step, channel_step)
        store_release(&ring.head, head + stored)
    if stored < n:
        ring.pending += n - stored
        store_release(&ring.lost, load_acquire(&ring.lost) + n - stored)
    return stored


cdef Py_ssize_t _pop(Ring* ring, double* out, Py_ssize_t room, long long* lost_before) noexcept nogil:
    """Take frames up to the next gap; how many, and how many were lost before them."""
    cdef long long tail = load_acquire(&ring.tail), written
    cdef Py_ssize_t m = ring.n_channels, n, place, first
    cdef Gap* gap
    lost_before[0] = 0
    if ring.head_seen - tail < room:
        ring.head_seen = load_acquire(&ring.head)
    n = <Py_ssize_t>min(<long long>room, ring.head_seen - tail)
    if n <= 0:
        return 0
    written = load_acquire(&ring.gaps_written)
    gap = &ring.gaps[ring.gaps_read % ring.capacity]
    if ring.gaps_read < written and gap.before == tail:
        lost_before[0] = gap.frames
        ring.gaps_read += 1
        gap = &ring.gaps[ring.gaps_read % ring.capacity]
    if ring.gaps_read < written:
        n = <Py_ssize_t>min(<long long>n, gap.before - tail)
    place = <Py_ssize_t>(tail % ring.capacity)
    first = min(n, ring.capacity - place)
    memcpy(out, ring.frames + place * m, <size_t>(first * m) * sizeof(double))
    memcpy(out + first * m, ring.frames, <size_t>((n - first) * m) * sizeof(double))
    store_release(&ring.tail, tail + n)
    return n


cdef Py_ssize_t _held(Ring* ring) noexcept nogil:
    """Frames stored and not yet taken, as any thread may ask; the tail first, so that it can't be ahead."""
    cdef long long tail = load_acquire(&ring.tail)
    return <Py_ssize_t>min(load_acquire(&ring.head) - tail, <long long>ring.capacity)


cdef class RingBuffer:
    """Frames on their way from one thread to another.

    One thread pushes, one thread pops (they may be the same); neither waits for the other, and both release the GIL.
    Cython code finds `push_nogil` and `pop_nogil` in ``balancecore/__init__.pxd``.

    Parameters
    ----------
    capacity : int
        Frames that can wait.
    n_channels : int
        Values in a frame.
    overrun : {"fail", "gap"}
        What happens to frames that don't fit. "fail": the block is refused whole and
        :class:`balancecore.errors.OverrunError` raised, so that the same block may be pushed again. "gap": what fits
        is stored, the others are dropped and counted, and the consumer is told at their place. Nothing that waits is
        ever overwritten. Losses that the producer tells of (`push`) travel with either: "fail" is about room here, not
        about what a device lost before.

    Raises
    ------
    DataError
        If a size is less than 1, or `overrun` is no policy.

    Examples
    --------
    >>> import numpy as np
    >>> ring = RingBuffer(4, 1, overrun="gap")
    >>> ring.push(np.arange(6.0)[:, None])
    4
    >>> out = np.empty((10, 1))
    >>> ring.pop_into(out)
    (4, 0)
    >>> ring.push([[6.0]])
    1
    >>> ring.pop_into(out)
    (1, 2)
    """

    def __cinit__(self, Py_ssize_t capacity, Py_ssize_t n_channels, str overrun="fail"):
        if capacity < 1 or n_channels < 1:
            raise DataError(f"capacity={capacity}, n_channels={n_channels}: both must be at least 1")
        if overrun not in ("fail", "gap"):
            raise DataError(f"overrun={overrun!r}: give 'fail' or 'gap'")
        if n_channels > PY_SSIZE_T_MAX // <Py_ssize_t>sizeof(double):
            raise MemoryError(f"{n_channels} channels")
        self._ring = <Ring*>PyMem_Calloc(1, sizeof(Ring))
        if self._ring == NULL:
            raise MemoryError("ring buffer")
        self._ring.capacity = capacity
        self._ring.n_channels = n_channels
        self._ring.refuses = overrun == "fail"
        self._ring.frames = <double*>PyMem_Calloc(<size_t>capacity, <size_t>n_channels * sizeof(double))
        self._ring.gaps = <Gap*>PyMem_Calloc(<size_t>capacity, sizeof(Gap))
        if self._ring.frames == NULL or self._ring.gaps == NULL:
            raise MemoryError(f"ring buffer of {capacity} frames x {n_channels} channels")

    def __dealloc__(self):
        if self._ring != NULL:
            PyMem_Free(self._ring.frames)
            PyMem_Free(self._ring.gaps)
            PyMem_Free(self._ring)

    cdef Py_ssize_t push_nogil(self, const double* frames, Py_ssize_t n, long long lost_before=0) noexcept nogil:
        cdef Py_ssize_t size = <Py_ssize_t>sizeof(double)
        return _push(self._ring, <const char*>frames, n, self._ring.n_channels * size, size, lost_before)

    cdef Py_ssize_t pop_nogil(self, double* out, Py_ssize_t n, long long* lost_before) noexcept nogil:
        return _pop(self._ring, out, n, lost_before)

    cdef Py_ssize_t available_nogil(self) noexcept nogil:
        return _held(self._ring)

    cdef Py_ssize_t space_nogil(self) noexcept nogil:
        return self._ring.capacity - _held(self._ring)

    cdef long long pushed_nogil(self) noexcept nogil:
        return load_acquire(&self._ring.head)

    cdef long long lost_nogil(self) noexcept nogil:
        return load_acquire(&self._ring.lost)

    def push(self, block, long long lost_before=0):
        """Store frames.

        Parameters
        ----------
        block : array_like (n_frames, n_channels)
            Any strides, may be read-only; copied.
        lost_before : int
            Frames that are missing before the first of these, as a device tells it: they are counted, and the consumer
            is told at their place. In front of an empty block they wait for the next frame that is stored.

        Returns
        -------
        int
            Frames stored: all of them, or with "gap" as many as fit.

        Raises
        ------
        OverrunError
            With "fail", if the block doesn't fit; nothing of it was stored, and `lost_before` was not counted either:
            both belong to the block that may be pushed again.
        DataError
            If the block has another shape, or holds no numbers; if `lost_before` is negative.
        RuntimeError
            If another thread is pushing.
        """
        cdef Py_buffer view
        cdef Py_ssize_t n, stored
        cdef bint mine
        if lost_before < 0:
            raise DataError(f"lost_before={lost_before}: a number of frames is wanted")
        _hold_block(block, self._ring.n_channels, &view)
        n = stored = view.shape[0]
        mine = claim(&self._ring.pushing)
        if mine:
            with nogil:
                stored = _push(self._ring, <const char*>view.buf, n, view.strides[0], view.strides[1],
                               lost_before)
                store_release(&self._ring.pushing, 0)
        PyBuffer_Release(&view)
        if not mine:
            raise RuntimeError("another thread is pushing: a ring buffer has one producer")
        if stored < n and self._ring.refuses:
            raise OverrunError(
                f"the ring buffer is full: {n} frames for {self.space} free places of {self.capacity}", n
            )
        return stored

    def pop_into(self, out):
        """Take frames, in the order in which they were pushed.

        Parameters
        ----------
        out : ndarray (n, n_channels) of float64
            Written from the top; C-contiguous. Rows beyond the frames returned stay as they are.

        Returns
        -------
        frames : int
            Frames written: as many as wait and fit, but none from behind a gap; 0 if none waits.
        lost_before : int
            Frames lost before the first of them, since the last that was taken. What was lost after the last frame
            of all is ``lost`` less the sum of these.

        Raises
        ------
        DataError
            If `out` is not such an array.
        RuntimeError
            If another thread is popping.
        """
        cdef Py_buffer view
        cdef Py_ssize_t taken = 0
        cdef long long lost_before = 0
        cdef bint mine
        _hold_room(out, self._ring.n_channels, &view)
        mine = claim(&self._ring.popping)
        if mine:
            with nogil:
                taken = _pop(self._ring, <double*>view.buf, view.shape[0], &lost_before)
                store_release(&self._ring.popping, 0)
        PyBuffer_Release(&view)
        if not mine:
            raise RuntimeError("another thread is popping: a ring buffer has one consumer")
        return taken, lost_before

    @property
    def capacity(self):
        """Frames that can wait."""
        return self._ring.capacity

    @property
    def n_channels(self):
        """Values in a frame."""
        return self._ring.n_channels

    @property
    def overrun(self):
        """What happens to frames that don't fit: "fail" or "gap"."""
        return "fail" if self._ring.refuses else "gap"

    @property
    def available(self):
        """Frames that wait; for the consumer at least so many."""
        return self.available_nogil()

    @property
    def space(self):
        """Frames that would fit; for the producer at least so many."""
        return self.space_nogil()

    @property
    def pushed(self):
        """Frames stored since the beginning, without those lost."""
        return self.pushed_nogil()

    @property
    def lost(self):
        """Frames dropped or told as lost since the beginning; what "fail" refuses is still with the producer."""
        return self.lost_nogil()

    def __repr__(self):
        return (
            f"<RingBuffer: {self.available} of {self.capacity} frames x {self.n_channels} channels, "
            f"overrun={self.overrun!r}, {self.lost} lost>"
        )


cdef bint _doubles(object data, int flags, Py_buffer* view):
    """Take hold of the memory of an array of native doubles; False, and nothing held, if it is none.

    By the buffer protocol itself: a typed memoryview would cost more than a short block's copy.
    """
    try:
        PyObject_GetBuffer(data, view, flags)
    except (TypeError, ValueError, BufferError):
        return False
    if view.format != NULL and view.format[0] == c"d" and view.format[1] == 0:
        return True
    PyBuffer_Release(view)
    return False


cdef int _hold_block(object block, Py_ssize_t n_channels, Py_buffer* view) except -1:
    """Hold the memory of a block, converted where it isn't float64."""
    if not _doubles(block, PyBUF_RECORDS_RO, view):
        try:
            array = np.asarray(block, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"the block holds no frames of numbers: {error}") from error
        if not _doubles(array, PyBUF_RECORDS_RO, view):
            raise DataError("the block holds no frames of numbers")
    if view.ndim != 2 or view.shape[1] != n_channels:
        shape = _release_for_shape(view)
        raise DataError(f"the block has shape {shape}: give (n_frames, {n_channels})")
    return 0


cdef int _hold_room(object out, Py_ssize_t n_channels, Py_buffer* view) except -1:
    """Hold the memory of the caller's array; never of a copy, which the caller wouldn't see."""
    if not _doubles(out, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE, view):
        raise DataError(f"out must be a writable, C-contiguous float64 array (n, {n_channels})")
    if view.ndim != 2 or view.shape[1] != n_channels:
        shape = _release_for_shape(view)
        raise DataError(f"out has shape {shape}: give (n, {n_channels})")
    return 0


cdef tuple _release_for_shape(Py_buffer* view):
    cdef tuple shape = tuple([view.shape[i] for i in range(view.ndim)])
    PyBuffer_Release(view)
    return shape
