"""Statistics of many rows of steps at once, values that are not finite left out."""

from libc.math cimport NAN, fabs, sqrt


def row_statistics(const double[:, ::1] rows, double[:, ::1] out):
    """Mean, sample SD and number of the finite values of each row.

    Sums are taken relative to the row's first value, so that a constant row has exactly its value as mean and an SD
    of zero.

    Parameters
    ----------
    rows : memoryview (m, n)
    out : memoryview (m, 3)
        Mean (NaN without values), SD (NaN with fewer than two), number.
    """
    cdef Py_ssize_t k, i, n, steps = rows.shape[1]
    cdef double first, total, mean, squares, x
    if out.shape[0] != rows.shape[0] or out.shape[1] != 3:
        raise ValueError("out must be (m, 3) for m rows")
    with nogil:
        for k in range(rows.shape[0]):
            n, first, total, squares = 0, NAN, 0.0, 0.0
            for i in range(steps):
                x = rows[k, i]
                if x - x == 0.0:
                    if n == 0:
                        first = x
                    total += x - first
                    n += 1
            mean = total / <double>n if n > 0 else NAN
            for i in range(steps):
                x = rows[k, i]
                if x - x == 0.0:
                    squares += (x - first - mean) * (x - first - mean)
            out[k, 0] = first + mean
            out[k, 1] = sqrt(squares / <double>(n - 1)) if n > 1 else NAN
            out[k, 2] = <double>n


def rows_settled(const double[:, ::1] rows, const double[:, ::1] known, double tolerance_sd, long long[::1] needed):
    """Finite values of each row after which the mean so far stays within `tolerance_sd` SDs of that of all.

    Parameters
    ----------
    rows : memoryview (m, n)
    known : memoryview (m, 3)
        From `row_statistics`.
    needed : memoryview (m,)
    """
    cdef Py_ssize_t k, i, steps = rows.shape[1]
    cdef long long n
    cdef double away, x
    if known.shape[0] != rows.shape[0] or known.shape[1] != 3 or needed.shape[0] != rows.shape[0]:
        raise ValueError("known must be (m, 3) and needed (m,) for m rows")
    with nogil:
        for k in range(rows.shape[0]):
            n, away, needed[k] = 0, 0.0, 1
            for i in range(steps):
                x = rows[k, i]
                if x - x == 0.0:
                    away += x - known[k, 0]
                    n += 1
                    # After the last value the mean so far is that of all, whatever the rounding.
                    if fabs(away) > tolerance_sd * known[k, 1] * <double>n and <double>n < known[k, 2]:
                        needed[k] = n + 1
