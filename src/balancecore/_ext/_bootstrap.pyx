"""Sums of circular blocks, resampled: the inner loops of the block bootstrap.

Blocks are summed once per possible start, each directly from its values (a running sum would drift); a
replicate then only adds a few rows. The caller owns every buffer, counts of finite values are sums of a 0/1
matrix, and the order of additions is fixed, so that the same input gives the same bits.
"""

from libc.stdint cimport int64_t

from balancecore._ext._pairs cimport add, load, pair, pair_of, store

# Columns that are resampled together: so few that all their block sums stay in the fastest cache.
cdef enum:
    WIDTH = 4


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
                  double[:, ::1] out, double[:, ::1] work):
    """Write each replicate's sums: its full blocks and the truncated one that ends it.

    Parameters
    ----------
    full, last : array (n, m)
        From `circular_block_sums`, for the block length and for the length of the last block.
    starts : int64 array (n_boot, n_blocks)
        First row of each block, 0 ≤ start < n; the last column is the truncated block.
    out : array (m, n_boot)
        Sum over each replicate.
    work : array (n, 4)
        Work space.
    """
    cdef Py_ssize_t n = full.shape[0], m = full.shape[1], n_boot = starts.shape[0], group, k
    cdef bint inside
    if last.shape[0] != n or last.shape[1] != m:
        raise ValueError(f"last is {last.shape[0]} x {last.shape[1]}, full is {n} x {m}")
    if out.shape[0] != m or out.shape[1] != n_boot:
        raise ValueError(f"out is {out.shape[0]} x {out.shape[1]}, needed are {m} x {n_boot}")
    if work.shape[0] != n or work.shape[1] != WIDTH:
        raise ValueError(f"work is {work.shape[0]} x {work.shape[1]}, needed are {n} x {WIDTH}")
    if starts.shape[1] < 1:
        raise ValueError("a replicate needs at least one block")
    with nogil:
        inside = _all_inside(starts, n)
    if not inside:
        raise IndexError(f"a block starts outside the {n} rows")
    if n_boot == 0:
        return
    with nogil:
        for group in range((m + WIDTH - 1) // WIDTH):
            k = WIDTH * group
            _resample(full, last, starts, k, min(<Py_ssize_t>WIDTH, m - k), out, work)


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


cdef void _resample(const double[:, ::1] full, const double[:, ::1] last, const int64_t[:, ::1] starts, Py_ssize_t k,
                    Py_ssize_t width, double[:, ::1] out, double[:, ::1] work) noexcept nogil:
    """Columns [k, k + width), four replicates side by side: one addition doesn't wait for the one before."""
    cdef Py_ssize_t n_boot = starts.shape[0], n_full = starts.shape[1] - 1, row, replicate, block, c
    cdef const double* sums = &work[0, 0]
    cdef const int64_t* s0
    cdef const int64_t* s1
    cdef const int64_t* s2
    cdef const int64_t* s3
    cdef pair a0, a1, b0, b1, c0, c1, d0, d1
    for row in range(full.shape[0]):
        for c in range(WIDTH):
            work[row, c] = full[row, k + c] if c < width else 0.0
    for replicate in range(0, n_boot, 4):
        # Beyond the last replicate that one is summed again.
        s0, s1 = &starts[replicate, 0], &starts[min(replicate + 1, n_boot - 1), 0]
        s2, s3 = &starts[min(replicate + 2, n_boot - 1), 0], &starts[min(replicate + 3, n_boot - 1), 0]
        a0 = a1 = b0 = b1 = c0 = c1 = d0 = d1 = pair_of(0.0, 0.0)
        for block in range(n_full):
            a0, a1 = add(a0, load(sums + WIDTH * s0[block])), add(a1, load(sums + WIDTH * s0[block] + 2))
            b0, b1 = add(b0, load(sums + WIDTH * s1[block])), add(b1, load(sums + WIDTH * s1[block] + 2))
            c0, c1 = add(c0, load(sums + WIDTH * s2[block])), add(c1, load(sums + WIDTH * s2[block] + 2))
            d0, d1 = add(d0, load(sums + WIDTH * s3[block])), add(d1, load(sums + WIDTH * s3[block] + 2))
        _finish(a0, a1, &last[s0[n_full], k], width, out, k, replicate)
        _finish(b0, b1, &last[s1[n_full], k], width, out, k, min(replicate + 1, n_boot - 1))
        _finish(c0, c1, &last[s2[n_full], k], width, out, k, min(replicate + 2, n_boot - 1))
        _finish(d0, d1, &last[s3[n_full], k], width, out, k, min(replicate + 3, n_boot - 1))


cdef inline void _finish(pair x, pair y, const double* last, Py_ssize_t width, double[:, ::1] out, Py_ssize_t k,
                         Py_ssize_t replicate) noexcept nogil:
    """Add the truncated block to the totals of up to four columns from k on, and write them."""
    cdef double total[WIDTH]
    cdef Py_ssize_t c
    store(&total[0], x)
    store(&total[2], y)
    for c in range(width):
        out[k + c, replicate] = total[c] + last[c]
