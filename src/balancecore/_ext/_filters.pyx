"""Second-order-section filters, direct form II transposed, sections in SciPy's order.

A section's states go on from states, not from the new value ``v = b0 u + z0`` as SciPy's do: ``b1 u + z1 - a1 v`` is
``(b1 - a1 b0) u + z1 - a1 z0``, and ``b2 u - a2 v`` is ``(b2 - a2 b0) u - a2 z0``. So a value waits for one product and
one difference only, and the last digits differ from SciPy's.
"""

from libc.math cimport fabs, sqrt
from libc.string cimport memcpy

from balancecore._ext._pairs cimport add, high_of, load, low_of, mul, pair, pair_of, store, sub

cdef extern from *:
    """
    #ifdef BALANCECORE_CHECKED
    #define BALANCECORE_IS_CHECKED 1
    #else
    #define BALANCECORE_IS_CHECKED 0
    #endif
    """
    const bint BALANCECORE_IS_CHECKED

# Whether this is the checked build (bounds checks in all kernels).
CHECKED = bool(BALANCECORE_IS_CHECKED)

# Largest numbers that a caller may ask for; the Python layer checks them before it comes here.
MAX_SECTIONS = 8
MAX_CHANNELS = 64


cdef void pass_section(const double* x, double* y, Py_ssize_t n, Py_ssize_t x_step, Py_ssize_t y_step,
                       const double* s, double* z0_, double* z1_) noexcept nogil:
    """One section over one channel; the state lives in registers."""
    cdef double b0 = s[0], a1 = s[4], a2 = s[5], c1 = s[1] - a1 * b0, c2 = s[2] - a2 * b0
    cdef double z0 = z0_[0], z1 = z1_[0], u, v
    cdef Py_ssize_t i
    for i in range(n):
        u = x[i * x_step]
        v = b0 * u + z0
        z1 += c1 * u
        z1, z0 = c2 * u - a2 * z0, z1 - a1 * z0
        y[i * y_step] = v
    z0_[0] = z0
    z1_[0] = z1


cdef void sos_seed(double* z, const double* zi, const double* x0, Py_ssize_t n_sections,
                   Py_ssize_t n_channels) noexcept nogil:
    """Steady state for a constant input x0."""
    cdef Py_ssize_t s, c
    for s in range(n_sections):
        for c in range(n_channels):
            z[2 * s * n_channels + c] = zi[2 * s] * x0[c]
            z[(2 * s + 1) * n_channels + c] = zi[2 * s + 1] * x0[c]


cdef inline void _pass4(const double* x, double* y, Py_ssize_t n, Py_ssize_t step, Py_ssize_t lane, const double* s,
                        double* z, double* z_) noexcept nogil:
    """One section over four signals at once, `lane` values apart: two pairs, which hide each other's latency.
    z holds the first state of each, z_ the second."""
    cdef double first = s[1] - s[4] * s[0], second = s[2] - s[5] * s[0]
    cdef pair b0 = pair_of(s[0], s[0]), c1 = pair_of(first, first), c2 = pair_of(second, second)
    cdef pair a1 = pair_of(s[4], s[4]), a2 = pair_of(s[5], s[5])
    cdef pair p = load(z), p_ = load(z + 2), q = load(z_), q_ = load(z_ + 2), u, u_, v, v_
    cdef Py_ssize_t i
    for i in range(n):
        if lane == 1:
            u, u_ = load(x), load(x + 2)
        else:
            u, u_ = pair_of(x[0], x[lane]), pair_of(x[2 * lane], x[3 * lane])
        v, v_ = add(mul(b0, u), p), add(mul(b0, u_), p_)
        q, q_ = add(mul(c1, u), q), add(mul(c1, u_), q_)
        q, p = sub(mul(c2, u), mul(a2, p)), sub(q, mul(a1, p))
        q_, p_ = sub(mul(c2, u_), mul(a2, p_)), sub(q_, mul(a1, p_))
        if lane == 1:
            store(y, v)
            store(y + 2, v_)
        else:
            y[0], y[lane], y[2 * lane], y[3 * lane] = low_of(v), high_of(v), low_of(v_), high_of(v_)
        x += step
        y += step
    store(z, p)
    store(z + 2, p_)
    store(z_, q)
    store(z_ + 2, q_)


cdef void seed4(double* z, const double* zi, const double* first, Py_ssize_t n_sections) noexcept nogil:
    """Steady state of four channels for a constant input; z holds eight values a section."""
    cdef Py_ssize_t s, c
    for s in range(n_sections):
        for c in range(4):
            z[8 * s + c] = zi[2 * s] * first[c]
            z[8 * s + 4 + c] = zi[2 * s + 1] * first[c]


cdef void biquad4(double* x, Py_ssize_t n, Py_ssize_t step, const double* sos, Py_ssize_t n_sections,
                  double* z) noexcept nogil:
    """Filter n frames of four interleaved channels in place, `step` values from frame to frame; z goes on."""
    cdef Py_ssize_t s
    for s in range(n_sections):
        if step > 0:
            _pass4(x, x, n, 4, 1, sos + 6 * s, z + 8 * s, z + 8 * s + 4)
        else:
            _pass4(x, x, n, -4, 1, sos + 6 * s, z + 8 * s, z + 8 * s + 4)


cdef Py_ssize_t _settling(const double* s) noexcept nogil:
    """Samples after which a section has forgotten its state, to less than the rounding of a double.

    Only arithmetic that every machine rounds alike, so that results don't depend on one.
    """
    cdef double a1 = s[4], a2 = s[5], square = a1 * a1 - 4.0 * a2, left
    cdef Py_ssize_t samples = 1
    left = sqrt(a2) if square < 0.0 else 0.5 * (fabs(a1) + sqrt(square))
    while left > 1e-17 and samples < 1 << 30:
        left *= left
        samples *= 2
    return samples


cdef void _pass_quarters(const double* x, double* y, Py_ssize_t n, Py_ssize_t direction, const double* s,
                         const double* zi, double* z0, double* z1) noexcept nogil:
    """One section over one long contiguous signal, in four quarters side by side.

    A quarter's state at its start is found by a run-up over the end of the quarter before, long enough to forget
    where it started: the result differs from one single pass in the last digits only. x and y may be the same.
    """
    cdef double z[8]
    cdef double c1 = s[1] - s[4] * s[0], c2 = s[2] - s[5] * s[0], u
    cdef Py_ssize_t quarter = n // 4, settle = _settling(s), k, i, start
    if quarter < 4 * settle:
        pass_section(x, y, n, direction, direction, s, z0, z1)
        return
    z[0], z[4] = z0[0], z1[0]
    for k in range(1, 4):
        start = k * quarter - settle
        u = x[direction * start]
        z[k], z[4 + k] = zi[0] * u, zi[1] * u
        for i in range(start, k * quarter):
            u = x[direction * i]
            z[4 + k] += c1 * u
            z[4 + k], z[k] = c2 * u - s[5] * z[k], z[4 + k] - s[4] * z[k]
    _pass4(x, y, quarter, direction, direction * quarter, s, &z[0], &z[4])
    z0[0], z1[0] = z[3], z[7]
    start = 4 * quarter
    pass_section(x + direction * start, y + direction * start, n - start, direction, direction, s, z0, z1)


cdef void _zero_phase1(const double* x, Py_ssize_t x_step, Py_ssize_t n, const double* sos, const double* zi,
                       Py_ssize_t n_sections, Py_ssize_t pad, double* out, double* tail) noexcept nogil:
    """One channel: whole passes a section, with the left padding run through `tail` first."""
    cdef double z[2]
    cdef double first, last
    cdef Py_ssize_t s, i
    cdef double ends = 2.0 * x[0]
    for i in range(pad):  # odd extension: 2 x[0] - x[pad], ..., 2 x[0] - x[1]
        tail[i] = ends - x[(pad - i) * x_step]
    # All sections must see the same left padding, and their states must meet the record in order: section by
    # section over padding, record and right padding. The record's own pass writes to out, then works in place.
    ends = 2.0 * x[(n - 1) * x_step]
    first = tail[0] if pad > 0 else x[0]
    for i in range(pad):
        tail[pad + i] = ends - x[(n - 2 - i) * x_step]
    for s in range(n_sections):
        z[0] = zi[2 * s] * first
        z[1] = zi[2 * s + 1] * first
        pass_section(tail, tail, pad, 1, 1, sos + 6 * s, &z[0], &z[1])
        if s == 0 and x_step != 1:
            pass_section(x, out, n, x_step, 1, sos, &z[0], &z[1])
        else:
            _pass_quarters(x if s == 0 else out, out, n, 1, sos + 6 * s, zi + 2 * s, &z[0], &z[1])
        pass_section(tail + pad, tail + pad, pad, 1, 1, sos + 6 * s, &z[0], &z[1])
    last = tail[2 * pad - 1] if pad > 0 else out[n - 1]
    for s in range(n_sections):
        z[0] = zi[2 * s] * last
        z[1] = zi[2 * s + 1] * last
        pass_section(tail + 2 * pad - 1, tail + 2 * pad - 1, pad, -1, -1, sos + 6 * s, &z[0], &z[1])
        _pass_quarters(out + n - 1, out + n - 1, n, -1, sos + 6 * s, zi + 2 * s, &z[0], &z[1])


cdef enum:
    PIECE = 64  # frames that stay in the nearest cache while all sections and channels are run over them


cdef void _frames(double* x, Py_ssize_t n, Py_ssize_t direction, Py_ssize_t m, const double* sos, Py_ssize_t n_sections,
                  double* z) noexcept nogil:
    """All sections over n frames of m channels in place, forward or backward; z holds (section, 2, channel)."""
    cdef Py_ssize_t start = 0, count, s, c, step = direction * m
    cdef double* piece
    cdef double* low
    while start < n:
        count = min(<Py_ssize_t>PIECE, n - start)
        piece = x + start * step
        start += count
        for s in range(n_sections):
            low = z + 2 * s * m
            for c in range(0, m - 3, 4):
                _pass4(piece + c, piece + c, count, step, 1, sos + 6 * s, low + c, low + m + c)
            for c in range(m - m % 4, m):
                pass_section(piece + c, piece + c, count, step, step, sos + 6 * s, low + c, low + m + c)


cdef void _zero_phase_many(const double[:, :] x, const double[:, ::1] sos, const double[:, ::1] zi,
                           Py_ssize_t pad, double[:, ::1] out, double[:, ::1] tail, double* z) noexcept nogil:
    """Several channels: lanes run across the channels. `tail` is the left padding first, then the right one."""
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1], ns = sos.shape[0], i, c, start = 0, stop
    cdef const double* so = &sos[0, 0]
    for i in range(pad):
        for c in range(m):
            tail[i, c] = 2.0 * x[0, c] - x[pad - i, c]
    for c in range(m):
        out[0, c] = x[0, c]
    sos_seed(z, &zi[0, 0], &tail[0, 0] if pad > 0 else &out[0, 0], ns, m)
    _frames(&tail[0, 0], pad, 1, m, so, ns, z)
    while start < n:
        stop = min(start + <Py_ssize_t>PIECE, n)
        for i in range(start, stop):
            for c in range(m):
                out[i, c] = x[i, c]
        _frames(&out[start, 0], stop - start, 1, m, so, ns, z)
        start = stop
    for i in range(pad):
        for c in range(m):
            tail[i, c] = 2.0 * x[n - 1, c] - x[n - 2 - i, c]
    _frames(&tail[0, 0], pad, 1, m, so, ns, z)
    sos_seed(z, &zi[0, 0], &tail[pad - 1, 0] if pad > 0 else &out[n - 1, 0], ns, m)
    if pad > 0:
        _frames(&tail[pad - 1, 0], pad, -1, m, so, ns, z)
    _frames(&out[n - 1, 0], n, -1, m, so, ns, z)


def zero_phase(const double[:, :] x, const double[:, ::1] sos, const double[:, ::1] zi, Py_ssize_t padlen,
               double[:, ::1] out, double[:, ::1] scratch):
    """Filter forward and backward with odd padding, as ``scipy.signal.sosfiltfilt`` does.

    Parameters
    ----------
    x : memoryview (n_frames, n_channels)
        Input; may be read-only and strided. n_frames must exceed padlen.
    sos, zi : memoryview (n_sections, 6), (n_sections, 2)
        Filter and its steady state for a unit step (``scipy.signal.sosfilt_zi``).
    padlen : int
        Frames of odd extension at each end.
    out : memoryview (n_frames, n_channels)
        Result.
    scratch : memoryview (2 * padlen + 1, n_channels)
        Work space.
    """
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1]
    cdef double z[2 * 8 * 64]
    if sos.shape[0] > 8 or m > 64:
        raise ValueError("too many sections or channels")
    if zi.shape[0] != sos.shape[0] or zi.shape[1] != 2 or sos.shape[1] != 6:
        raise ValueError("sos must be (n_sections, 6) and zi (n_sections, 2)")
    if out.shape[0] != n or out.shape[1] != m or scratch.shape[0] < 2 * padlen + 1 or scratch.shape[1] != m:
        raise ValueError("out or scratch has the wrong shape")
    if padlen < 0 or n <= padlen or m < 1 or sos.shape[0] < 1:
        raise ValueError("the signal must be longer than the padding, with a channel and a section")
    with nogil:
        if m == 1:
            _zero_phase1(&x[0, 0], x.strides[0] // <Py_ssize_t>sizeof(double), n, &sos[0, 0], &zi[0, 0],
                         sos.shape[0], padlen, &out[0, 0], &scratch[0, 0])
        else:
            _zero_phase_many(x, sos, zi, padlen, out, scratch, z)


cdef void sos_block(const double* x, double* y, Py_ssize_t n, Py_ssize_t m, const double* sos, Py_ssize_t n_sections,
                    double* state) noexcept nogil:
    """One pass of all sections over a block; the state goes on from block to block."""
    cdef Py_ssize_t s
    if n < 1:
        return
    if m == 1:
        for s in range(n_sections):
            pass_section(x if s == 0 else y, y, n, 1, 1, sos + 6 * s, state + 2 * s, state + 2 * s + 1)
        return
    if x != y:
        memcpy(y, x, <size_t>(n * m) * sizeof(double))
    _frames(y, n, 1, m, sos, n_sections, state)


def filter_block(const double[:, ::1] x, const double[:, ::1] sos, double[:, :, ::1] state, double[:, ::1] out):
    """Filter a block of a running signal, one pass; the Python face of `sos_block`.

    Parameters
    ----------
    x : memoryview (n_frames, n_channels)
        Frames that follow those of the last call; may be read-only, and may be `out`.
    sos : memoryview (n_sections, 6)
        Filter.
    state : memoryview (n_sections, 2, n_channels)
        As ``scipy.signal.sosfilt`` has it along the first axis; carried from call to call.
    out : memoryview (n_frames, n_channels)
        Result.
    """
    cdef Py_ssize_t n = x.shape[0], m = x.shape[1], n_sections = sos.shape[0]
    if sos.shape[1] != 6 or n_sections < 1 or m < 1:
        raise ValueError("sos must be (n_sections, 6), with a section and a channel")
    if state.shape[0] != n_sections or state.shape[1] != 2 or state.shape[2] != m:
        raise ValueError("state must be (n_sections, 2, n_channels)")
    if out.shape[0] != n or out.shape[1] != m:
        raise ValueError("out must have the shape of x")
    if n == 0:
        return
    with nogil:
        sos_block(&x[0, 0], &out[0, 0], n, m, &sos[0, 0], n_sections, &state[0, 0, 0])
