"""Sums of circular blocks, resampled: the inner loops of the block bootstrap.

Blocks are summed once per possible start, each directly from its values (a running sum would drift); a
replicate then only adds a few rows. The caller owns every buffer, counts of finite values are sums of a 0/1
matrix, and the order of additions is fixed, so that the same input gives the same bits.
"""

from libc.stdint cimport int64_t


def circular_block_sums(const double[:, ::1] values, Py_ssize_t length, double[:, ::1] out):
    """Write the sum of the `length` rows from each row on, past the end going on at the first row.

    Parameters
    ----------
    values : array (n, m)
        Finite numbers, a row per stride pair.
    length : int
        Rows in a block, 0 ≤ length ≤ n.
    out : array (n, m)
        ``out[s] = values[s] + values[s + 1] + ...``, row numbers modulo n.
    """
    cdef Py_ssize_t n = values.shape[0]
    if out.shape[0] != n or out.shape[1] != values.shape[1]:
        raise ValueError(f"out is {out.shape[0]} x {out.shape[1]}, values are {n} x {values.shape[1]}")
    if length < 0 or length > n:
        raise ValueError(f"length={length} is not between 0 and the number of rows, {n}")
    with nogil:
        _block_sums(values, length, out)


def resample_sums(const double[:, ::1] full, const double[:, ::1] last, const int64_t[:, ::1] starts,
                  double[:, ::1] out):
    """Write each replicate's sums: its full blocks and the truncated one that ends it.

    Parameters
    ----------
    full, last : array (n, m)
        From `circular_block_sums`, for the block length and for the length of the last block.
    starts : int64 array (n_boot, n_blocks)
        First row of each block, 0 ≤ start < n; the last column is the truncated block.
    out : array (n_boot, m)
        Sum over each replicate.
    """
    cdef Py_ssize_t n = full.shape[0], m = full.shape[1], n_boot = starts.shape[0]
    cdef bint inside
    if last.shape[0] != n or last.shape[1] != m:
        raise ValueError(f"last is {last.shape[0]} x {last.shape[1]}, full is {n} x {m}")
    if out.shape[0] != n_boot or out.shape[1] != m:
        raise ValueError(f"out is {out.shape[0]} x {out.shape[1]}, needed are {n_boot} x {m}")
    if starts.shape[1] < 1:
        raise ValueError("a replicate needs at least one block")
    with nogil:
        inside = _all_inside(starts, n)
    if not inside:
        raise IndexError(f"a block starts outside the {n} rows")
    with nogil:
        _resample(full, last, starts, out)


cdef void _block_sums(const double[:, ::1] values, Py_ssize_t length, double[:, ::1] out) noexcept nogil:
    cdef Py_ssize_t n = values.shape[0], m = values.shape[1], start, step, row, k
    for start in range(n):
        for k in range(m):
            out[start, k] = 0.0
        row = start
        for step in range(length):
            for k in range(m):
                out[start, k] += values[row, k]
            row += 1
            if row == n:
                row = 0


cdef bint _all_inside(const int64_t[:, ::1] starts, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t replicate, block
    for replicate in range(starts.shape[0]):
        for block in range(starts.shape[1]):
            if starts[replicate, block] < 0 or starts[replicate, block] >= n:
                return False
    return True


cdef void _resample(const double[:, ::1] full, const double[:, ::1] last, const int64_t[:, ::1] starts,
                    double[:, ::1] out) noexcept nogil:
    cdef Py_ssize_t m = full.shape[1], n_full = starts.shape[1] - 1, replicate, block, k, c
    cdef const double* row
    cdef double total[8]
    for replicate in range(starts.shape[0]):
        for k in range(0, m - 7, 8):  # eight columns at a time: their totals stay in registers
            row = &last[starts[replicate, n_full], k]
            for c in range(8):
                total[c] = row[c]
            for block in range(n_full):
                row = &full[starts[replicate, block], k]
                for c in range(8):
                    total[c] += row[c]
            for c in range(8):
                out[replicate, k + c] = total[c]
        for k in range(m - m % 8, m):
            total[0] = last[starts[replicate, n_full], k]
            for block in range(n_full):
                total[0] += full[starts[replicate, block], k]
            out[replicate, k] = total[0]
