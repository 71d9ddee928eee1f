"""Raw channels to wrenches, and wrenches to centres of pressure and free moments, a frame at a time."""

from libc.math cimport NAN, fabs

from balancecore._ext._memory cimport AHEAD, prefetch
from balancecore._ext._pairs cimport add as sum_of, divided, high_of, load, low_of, mul, pair, pair_of, past_done, \
    store, store_past, swapped

# Raw channels that one plate may have; the Python layer checks it before it comes here.
MAX_CHANNELS = 64

ctypedef fused real:
    float
    double


cdef inline void one_frame(const real* x, Py_ssize_t stride, Py_ssize_t m, const double* zero,
                           const double* column, bint add, double* row) noexcept nogil:
    """One wrench; six sums side by side, which the compiler keeps in vector registers."""
    cdef double t0 = 0.0, t1 = 0.0, t2 = 0.0, t3 = 0.0, t4 = 0.0, t5 = 0.0, v
    cdef const char* place = <const char*>x
    cdef Py_ssize_t c
    for c in range(m):
        v = <double>(<const real*>place)[0] - zero[c]
        t0 += column[0] * v
        t1 += column[1] * v
        t2 += column[2] * v
        t3 += column[3] * v
        t4 += column[4] * v
        t5 += column[5] * v
        column += 6
        place += stride
    if add:
        t0, t1, t2, t3, t4, t5 = t0 + row[0], t1 + row[1], t2 + row[2], t3 + row[3], t4 + row[4], t5 + row[5]
    row[0] = t0
    row[1] = t1
    row[2] = t2
    row[3] = t3
    row[4] = t4
    row[5] = t5


def to_wrench(const real[:, :] raw, const double[::1] zero, const double[:, ::1] columns, bint add,
              double[:, ::1] out):
    """Wrench of each frame: the matrix times the channels less their zeros.

    Parameters
    ----------
    raw : memoryview (n, m)
        Any strides; float32 or float64.
    zero : memoryview (m,)
        Taken from each channel first.
    columns : memoryview (m, 6)
        The matrix, transposed: what one unit of a channel adds to the wrench.
    add : bool
        Add to `out` instead of writing over it.
    out : memoryview (n, 6)
        May be `raw` itself where that has six channels.
    """
    cdef Py_ssize_t n = raw.shape[0], m = raw.shape[1], i
    if zero.shape[0] != m or columns.shape[0] != m or columns.shape[1] != 6:
        raise ValueError("zero and columns must have a row for each channel, columns six entries in each")
    if out.shape[0] != n or out.shape[1] != 6:
        raise ValueError("out must be (n_frames, 6)")
    if m == 0:
        raise ValueError("at least one channel is needed")
    if n == 0:
        return
    with nogil:
        for i in range(n):
            one_frame(&raw[i, 0], raw.strides[1], m, &zero[0], &columns[0, 0], add, &out[i, 0])


# Frames that are done together: whole cache lines of a wrench, a centre of pressure and a free moment.
cdef enum:
    TOGETHER = 8
    CACHE_LINE = 64
# So many frames have 8 MB of results: more than a core's own cache holds until somebody looks at them.
cdef enum:
    MANY = 262144
MANY_FRAMES = MANY


cdef inline void _centre(const double* w, pair origin, double height, double least_n, double* cop,
                         double* free_moment) noexcept nogil:
    """One frame. Everything is read before anything is written, and no load divides by NaN instead of branching."""
    cdef double fz = w[2] if w[2] >= least_n else NAN
    cdef pair place = divided(pair_of(-w[4], w[3]), pair_of(fz, fz)), turn = mul(swapped(load(w)), place)
    free_moment[0] = w[5] - low_of(turn) + high_of(turn)
    store(cop, sum_of(origin, place))
    cop[2] = height if fz == fz else NAN


def pressure_centre(const double[:, ::1] wrench, const double[::1] origin, double least_n, double[:, ::1] cop,
                    double[::1] free_moment):
    """Centre of pressure on the plane of the origin, and free moment about the vertical through it.

    Parameters
    ----------
    wrench : memoryview (n, 6)
        Moments about the origin.
    origin : memoryview (3,)
    least_n : float
        Both are NaN where Fz is not at least this.
    cop : memoryview (n, 3)
    free_moment : memoryview (n,)
    """
    cdef Py_ssize_t n = wrench.shape[0], i = 0, k
    cdef const double* w
    cdef double* p
    cdef double* t
    cdef double some[3 * TOGETHER]
    cdef double height
    cdef pair centre
    cdef bint past = n >= MANY
    if wrench.shape[1] != 6 or origin.shape[0] != 3:
        raise ValueError("wrench must be (n_frames, 6) and origin (3,)")
    if cop.shape[0] != n or cop.shape[1] != 3 or free_moment.shape[0] != n:
        raise ValueError("cop must be (n_frames, 3) and free_moment (n_frames,)")
    if n == 0:
        return
    w, p, t = &wrench[0, 0], &cop[0, 0], &free_moment[0]
    centre, height = pair_of(origin[0], origin[1]), origin[2]
    with nogil:
        while past and i < n and <size_t>p % CACHE_LINE != 0:  # to the next whole line
            _centre(w, centre, height, least_n, p, t)
            i, w, p, t = i + 1, w + 6, p + 3, t + 1
        while i + TOGETHER <= n:
            for k in range(6):
                prefetch(w + AHEAD + 8 * k)
            prefetch(t + AHEAD // 6)
            if past:
                for k in range(TOGETHER):
                    _centre(w + 6 * k, centre, height, least_n, &some[3 * k], t + k)
                for k in range(0, 3 * TOGETHER, 2):
                    store_past(p + k, load(&some[k]))
            else:
                for k in range(3):
                    prefetch(p + AHEAD // 2 + 8 * k)
                for k in range(TOGETHER):
                    _centre(w + 6 * k, centre, height, least_n, p + 3 * k, t + k)
            i, w, p, t = i + TOGETHER, w + 6 * TOGETHER, p + 3 * TOGETHER, t + TOGETHER
        while i < n:
            _centre(w, centre, height, least_n, p, t)
            i, w, p, t = i + 1, w + 6, p + 3, t + 1
        if past:
            past_done()


def correct_pressure_centre(double[:, ::1] wrench, const double[::1] polynomial, double least_n):
    """Take a Kistler plate's polynomial off its centre of pressure: Mx and My become those of the corrected place.

    Parameters
    ----------
    wrench : memoryview (n, 6)
        In the plate's own axes about the centre of its top surface; corrected in place.
    polynomial : memoryview (12,)
        Six coefficients for x and six for y, m; both are taken at the uncorrected place.
    least_n : float
        Frames with less vertical force, of either sign, stay as they are.
    """
    cdef Py_ssize_t n = wrench.shape[0], i
    cdef double* w
    cdef const double* p
    cdef double x, y, xx, yy
    if wrench.shape[1] != 6 or polynomial.shape[0] != 12:
        raise ValueError("wrench must be (n_frames, 6) and polynomial (12,)")
    p = &polynomial[0]
    with nogil:
        for i in range(n):
            w = &wrench[i, 0]
            if fabs(w[2]) >= least_n:
                x = -w[4] / w[2]
                y = w[3] / w[2]
                xx = x * x
                yy = y * y
                w[4] += w[2] * x * (((p[0] * yy + p[1]) * yy + p[2]) * xx + ((p[3] * yy + p[4]) * yy + p[5]))
                w[3] -= w[2] * y * (((p[6] * xx + p[7]) * xx + p[8]) * yy + ((p[9] * xx + p[10]) * xx + p[11]))
