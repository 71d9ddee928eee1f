"""Kernels that find contacts: intake scan, rolling envelope, hysteresis detector, baseline, crossing times."""

from libc.math cimport INFINITY, NAN, ceil, fabs, floor, isnan

from balancecore._ext._filters cimport biquad4, seed4
from balancecore._ext._memory cimport AHEAD, prefetch
from balancecore._ext._pairs cimport add, divided, greater, high_of, lesser, load, low_of, mul, pair, pair_of, \
    store, sub

# ---------------------------------------------------------------------------------------------------------------
# Intake: one read of a plate's memory gives everything that a whole-trial analysis has to know beforehand.


cdef Py_ssize_t _bad_runs(const double[:, ::1] wrench, const unsigned char[::1] measured, Py_ssize_t start,
                          Py_ssize_t stop, Py_ssize_t* last_bad, long long[:, ::1] gaps,
                          Py_ssize_t n_gaps) noexcept nogil:
    """Append the frames of a block that are not finite to the runs; a run may go on from the block before."""
    cdef Py_ssize_t i, c, capacity = gaps.shape[0]
    cdef double probe
    for i in range(start, stop):
        probe = 0.0
        for c in range(6):
            if measured[c]:
                probe += wrench[i, c] * 0.0
        if probe == probe:
            continue
        if i != last_bad[0] + 1:
            if n_gaps < capacity:
                gaps[n_gaps, 0] = i
            n_gaps += 1
        if n_gaps <= capacity:
            gaps[n_gaps - 1, 1] = i + 1
        last_bad[0] = i
    return n_gaps


cdef void _finite_extremes(const double[:, ::1] wrench, Py_ssize_t start, Py_ssize_t stop, double* low,
                           double* high) noexcept nogil:
    """Extremes of a block with gaps: an infinite value is a gap, not the end of a range."""
    cdef Py_ssize_t i, c
    cdef double v
    for i in range(start, stop):
        for c in range(6):
            v = wrench[i, c]
            if v * 0.0 == 0.0:
                low[c] = v if v < low[c] else low[c]
                high[c] = v if v > high[c] else high[c]


cdef void _take_wide(const double* row, Py_ssize_t n, Py_ssize_t block, double* fz_sum, bint first_plate,
                     double* vertical, double* total, double* low, double* high) noexcept nogil:
    """Sum of each channel over the n frames of a wide block, mean Fz of each of its blocks, and the extremes, going on
    from what is given."""
    cdef Py_ssize_t i = 0, stop
    cdef double whole = 1.0 / <double>block, up
    cdef pair x, y, z, none = pair_of(0.0, 0.0), tx = none, ty = none, tz = none, inner
    cdef pair ax = load(low), ay = load(low + 2), az = load(low + 4)
    cdef pair bx = load(high), by = load(high + 2), bz = load(high + 4)
    while i < n:
        stop = min(i + block, n)
        if stop - i < block:
            whole = 1.0 / <double>(stop - i)
        inner = none
        while i < stop:
            prefetch(row + AHEAD)
            x, y, z = load(row), load(row + 2), load(row + 4)
            tx, inner, tz = add(tx, x), add(inner, y), add(tz, z)
            ax, ay, az = lesser(x, ax), lesser(y, ay), lesser(z, az)
            bx, by, bz = greater(x, bx), greater(y, by), greater(z, bz)
            up = low_of(y)
            fz_sum[i] = up if first_plate else fz_sum[i] + up
            row += 6
            i += 1
        ty = add(ty, inner)
        vertical[0] = low_of(inner) * whole
        vertical += 1
    store(total, tx)
    store(total + 2, ty)
    store(total + 4, tz)
    store(low, ax)
    store(low + 2, ay)
    store(low + 4, az)
    store(high, bx)
    store(high + 2, by)
    store(high + 4, bz)


cdef inline void _no_extremes(double* low, double* high) noexcept nogil:
    cdef Py_ssize_t c
    for c in range(6):
        low[c] = 1e308
        high[c] = -1e308


def intake(const double[:, ::1] wrench, const unsigned char[::1] measured, double[::1] fz_sum, bint first_plate,
           Py_ssize_t block, double[::1] vertical, Py_ssize_t wide, double[:, ::1] means, Py_ssize_t group,
           double[:, :, ::1] extremes, long long[:, ::1] gaps):
    """Sum the vertical force, take block means and extremes, and list runs of frames that are not finite.

    Parameters
    ----------
    wrench : memoryview (n, 6)
    measured : memoryview (6,)
        1 for the channels that the plate measures; the others are ignored.
    fz_sum : memoryview (n,)
        Vertical force of the plates so far; this plate's is added (or stored, if it is the first).
    block : int
        Frames a block.
    vertical : memoryview (n_blocks,)
        Mean vertical force of each full or last partial block; NaN for a block with a frame that is not finite.
    wide : int
        Blocks a wide block.
    means : memoryview (n_wide_blocks, 6)
        Means of all channels in wide blocks, likewise.
    group : int
        Blocks a group, a whole number of wide ones.
    extremes : memoryview (n_groups, 2, 6)
        Smallest and largest finite value of each group of blocks.
    gaps : memoryview (capacity, 2)
        First and one-past-last frame of each run that is not finite.

    Returns
    -------
    int
        Number of runs; if it exceeds the capacity, only the first ones were stored.
    """
    cdef Py_ssize_t n = wrench.shape[0], n_blocks = vertical.shape[0], b, c, i, start = 0, stop, w = 0, g = 0
    cdef Py_ssize_t n_gaps = 0, last_bad = -2, group_start = 0
    cdef double low[6]
    cdef double high[6]
    cdef double total[6]
    cdef double probe, share
    cdef bint group_bad = False
    if wrench.shape[1] != 6 or measured.shape[0] != 6 or means.shape[1] != 6 or gaps.shape[1] != 2 \
            or extremes.shape[1] != 2 or extremes.shape[2] != 6:
        raise ValueError("a plate has six channels, extremes two rows and gaps two columns")
    if block < 1 or wide < 1 or group < 1 or group % wide != 0:
        raise ValueError("block, wide and group must be at least 1, and a group a whole number of wide blocks")
    if fz_sum.shape[0] != n or n_blocks != (n + block - 1) // block or means.shape[0] * wide < n_blocks \
            or extremes.shape[0] * group < n_blocks:
        raise ValueError("buffers do not fit the record")
    _no_extremes(low, high)
    with nogil:
        while start < n:
            stop = min(start + block * wide, n)
            b = w * wide
            _take_wide(&wrench[start, 0], stop - start, block, &fz_sum[start], first_plate, &vertical[b], total, low,
                       high)
            share = 1.0 / <double>(stop - start)
            probe = 0.0  # 0 * NaN and 0 * inf are NaN, and a sum keeps them: one test for the whole wide block
            for c in range(6):
                probe += total[c] * 0.0 if measured[c] else 0.0
            if probe != probe:
                group_bad = True
                i = start
                while i < stop:
                    n_gaps = _bad_runs(wrench, measured, i, min(i + block, stop), &last_bad, gaps, n_gaps)
                    if last_bad >= i:
                        vertical[b] = share = NAN
                    b += 1
                    i += block
            for c in range(6):
                means[w, c] = total[c] * share
            w += 1
            if stop >= group_start + block * group or stop == n:
                if group_bad:  # infinite values may be among the extremes
                    _no_extremes(low, high)
                    _finite_extremes(wrench, group_start, stop, low, high)
                for c in range(6):
                    extremes[g, 0, c] = low[c]
                    extremes[g, 1, c] = high[c]
                _no_extremes(low, high)
                g += 1
                group_start = stop
                group_bad = False
            start = stop
    return n_gaps


def saturated_runs(const double[:, ::1] wrench, Py_ssize_t channel, double extreme, Py_ssize_t start, Py_ssize_t stop,
                   Py_ssize_t least, long long[:, ::1] runs, Py_ssize_t n_runs):
    """Append runs of at least `least` frames equal to `extreme`; return how many there are in all."""
    cdef Py_ssize_t i, begin = -1
    if not 0 <= channel < wrench.shape[1] or start < 0 or stop > wrench.shape[0]:
        raise ValueError("channel, start and stop must lie within the record")
    if runs.shape[1] != 2 or n_runs < 0:
        raise ValueError("runs must have two columns and n_runs must not be negative")
    with nogil:
        for i in range(start, stop + 1):
            if i < stop and wrench[i, channel] == extreme:
                if begin < 0:
                    begin = i
            elif begin >= 0:
                if i - begin >= least:
                    if n_runs < runs.shape[0]:
                        runs[n_runs, 0] = begin
                        runs[n_runs, 1] = i
                    n_runs += 1
                begin = -1
    return n_runs


cdef int _check_windows(Py_ssize_t n, const long long[::1] starts, const long long[::1] stops,
                        Py_ssize_t rows) except -1:
    cdef Py_ssize_t k
    if stops.shape[0] != starts.shape[0] or rows != starts.shape[0]:
        raise ValueError("starts, stops and out must be equally long")
    for k in range(starts.shape[0]):
        if not 0 <= starts[k] <= stops[k] <= n:
            raise ValueError("a window lies outside the signal")
    return 0


def window_means(const double[:, ::1] wrench, const double[:, ::1] means, Py_ssize_t block,
                 const long long[::1] starts, const long long[::1] stops, double[:, ::1] out):
    """Mean of all six channels over each window of frames; out is (n_windows, 6).

    What lies between whole blocks is read frame by frame, the blocks from their means (n_blocks, 6).
    """
    cdef Py_ssize_t n = wrench.shape[0], k, start, stop, first, last
    cdef pair total[3]
    cdef pair scale
    if wrench.shape[1] != 6 or out.shape[1] != 6 or means.shape[1] != 6:
        raise ValueError("wrench, means and out must have six columns")
    if block < 1 or means.shape[0] != (n + block - 1) // block:
        raise ValueError("there must be a mean for each block")
    _check_windows(n, starts, stops, out.shape[0])
    with nogil:
        for k in range(starts.shape[0]):
            start, stop = <Py_ssize_t>starts[k], <Py_ssize_t>stops[k]
            first, last = (start + block - 1) // block, stop // block
            total[0] = total[1] = total[2] = pair_of(0.0, 0.0)
            if last > first:
                _add_rows(&means[first, 0], last - first, total)
                scale = pair_of(<double>block, <double>block)
                total[0], total[1], total[2] = mul(total[0], scale), mul(total[1], scale), mul(total[2], scale)
            if last < first:
                first, last = start, start
            else:
                first, last = first * block, last * block
            if first > start:
                _add_rows(&wrench[start, 0], first - start, total)
            if stop > last:
                _add_rows(&wrench[last, 0], stop - last, total)
            scale = pair_of(<double>(stop - start), <double>(stop - start))
            store(&out[k, 0], divided(total[0], scale))
            store(&out[k, 2], divided(total[1], scale))
            store(&out[k, 4], divided(total[2], scale))


cdef inline void _add_rows(const double* row, Py_ssize_t count, pair* total) noexcept nogil:
    """Add rows of six numbers."""
    cdef pair x = total[0], y = total[1], z = total[2]
    cdef Py_ssize_t i
    for i in range(count):
        x, y, z = add(x, load(row)), add(y, load(row + 2)), add(z, load(row + 4))
        row += 6
    total[0], total[1], total[2] = x, y, z


# ---------------------------------------------------------------------------------------------------------------
# Rolling percentile near one end of the order: the few smallest (or largest) values of a window, kept sorted.


def rolling_percentile(const double[::1] x, Py_ssize_t half, Py_ssize_t hop, double fraction, double[::1] out,
                       double[::1] window):
    """Percentile of x over a centred window of 2 half + 1 samples, cut at the ends; NaN samples are left out.

    The percentile is the order statistic number floor(fraction * (m - 1)) of the m finite samples in the window;
    NaN where there is none. out[j] belongs to sample j * hop. `window` is work space of 2 half + 1 values.
    """
    cdef Py_ssize_t n = x.shape[0], j, i, count = 0, rank = -1, before, kept = 0, low, high, seen = 0, left = 0
    cdef double v, sign = 1.0 if fraction <= 0.5 else -1.0
    if half < 0 or hop < 1 or out.shape[0] != (n + hop - 1) // hop or window.shape[0] < 2 * half + 1:
        raise ValueError("out must hold every hop-th sample of x, and window 2 half + 1 values")
    if not 0.0 <= fraction <= 1.0:
        raise ValueError("fraction must lie between 0 and 1")
    with nogil:
        for j in range(out.shape[0]):
            low = max(j * hop - half, 0)
            high = min(j * hop + half + 1, n)
            for i in range(seen, high):
                count += 1 if x[i] == x[i] else 0
            while left < low:  # what leaves from above the few that are kept changes nothing
                v = sign * x[left]
                count -= 1 if v == v else 0
                if kept > 0 and v <= window[rank]:
                    kept = 0
                left += 1
            if count == 0:
                seen, kept = high, 0
                out[j] = NAN
                continue
            before, rank = rank, <Py_ssize_t>floor(fraction * (count - 1))
            if sign < 0.0:
                rank = count - 1 - rank
            if kept == 0 or rank != before:
                seen, kept = low, 0
            while seen < high:
                v = sign * x[seen]
                seen += 1
                if isnan(v) or kept > rank and not v < window[rank]:
                    continue  # almost every sample
                _insert(&window[0], min(kept, rank), v)
                kept = min(kept + 1, rank + 1)
            out[j] = sign * window[rank]


cdef inline void _insert(double* ordered, Py_ssize_t place, double v) noexcept nogil:
    """Put a number where it belongs among those before `place`, over the one that stands there."""
    while place > 0 and ordered[place - 1] > v:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = v


# ---------------------------------------------------------------------------------------------------------------
# Detector (metrics 1.3). Its whole state is in two small arrays, so that a signal may come in pieces.

# state: 0 mode (0 idle, 1 candidate, 2 contact, 3 closing), 1 frames seen, 2 frames held, 3 dips bridged,
# 4 cut at start
# memory: 0 previous value, 1 time on, 2 time off (last seen), 3 peak
STATE_SIZE = DETECTOR_STATE
MEMORY_SIZE = DETECTOR_MEMORY


cdef enum:
    SCANNED = 8  # samples that the detector passes over at once


cdef inline double _highest(const double* y) noexcept nogil:
    cdef pair most = greater(greater(load(y), load(y + 2)), greater(load(y + 4), load(y + 6)))
    return max(low_of(most), high_of(most))


cdef inline double _lowest(const double* y) noexcept nogil:
    cdef pair least = lesser(lesser(load(y), load(y + 2)), lesser(load(y + 4), load(y + 6)))
    return min(low_of(least), high_of(least))


cdef Py_ssize_t detect_piece(const double* y, Py_ssize_t n, double level, double level_off, Py_ssize_t hold_on,
                             Py_ssize_t hold_off, long long* state, double* memory, double* out,
                             Py_ssize_t capacity, bint finish) noexcept nogil:
    """What `detect` says, on the caller's memory; `out` holds `capacity` rows of six."""
    cdef Py_ssize_t found = 0, i = 0, singly = 0
    cdef long long mode = state[0], seen = state[1], held = state[2], dips = state[3], cut = state[4]
    cdef double previous = memory[0], on = memory[1], off = memory[2], peak = memory[3], v
    cdef bint quiet
    while i < n:
        if i >= singly and i + SCANNED <= n and (mode == 0 or mode == 2):
            quiet = _lowest(y + i) >= level if mode == 2 else _highest(y + i) < level
            if quiet:  # nothing begins, nothing ends
                if mode == 2:
                    peak = max(peak, _highest(y + i))
                i += SCANNED
                seen += SCANNED
                previous = y[i - 1]
                continue
            singly = i + SCANNED
        v = y[i]
        i += 1
        if mode == 0:
            if v >= level:
                mode = 1
                held = 1
                dips = 0
                peak = v
                cut = 1 if seen == 0 else 0
                on = 0.0 if seen == 0 else <double>(seen - 1) + (level - previous) / (v - previous)
                if held >= hold_on:
                    mode = 2
        else:
            if previous >= level and v < level:
                off = <double>(seen - 1) + (level - previous) / (v - previous)
            if v > peak:
                peak = v
            if mode == 1:
                if v < level_off:
                    mode = 0
                else:
                    held += 1
                    if held >= hold_on:
                        mode = 2
            elif mode == 2:
                if v < level_off:
                    mode = 3
                    held = 1
            else:
                if v >= level:
                    mode = 2
                    dips += 1
                else:
                    held += 1
            if mode == 3 and held >= hold_off:
                if found < capacity:
                    out[6 * found + 0] = on
                    out[6 * found + 1] = off
                    out[6 * found + 2] = peak
                    out[6 * found + 3] = <double>cut
                    out[6 * found + 4] = 0.0
                    out[6 * found + 5] = <double>dips
                found += 1
                mode = 0
        previous = v
        seen += 1
    if finish and mode >= 2:
        # Below the level at the last sample: the toe-off was seen, only its confirmation was not.
        if previous >= level:
            off = <double>(seen - 1)
        if found < capacity:
            out[6 * found + 0] = on
            out[6 * found + 1] = off
            out[6 * found + 2] = peak
            out[6 * found + 3] = <double>cut
            out[6 * found + 4] = 1.0 if previous >= level else 0.0
            out[6 * found + 5] = <double>dips
        found += 1
        mode = 0
    state[0] = mode
    state[1] = seen
    state[2] = held
    state[3] = dips
    state[4] = cut
    memory[0] = previous
    memory[1] = on
    memory[2] = off
    memory[3] = peak
    return found


def detect(const double[::1] y, double level, double level_off, Py_ssize_t hold_on, Py_ssize_t hold_off,
           long long[::1] state, double[::1] memory, double[:, ::1] out, bint finish):
    """Run the hysteresis detector over a piece of signal.

    Parameters
    ----------
    y : memoryview (n,)
        Finite samples that follow those of the last call.
    level, level_off : float
        Contact level T, at which both events are timed, and the release level, which is no higher.
    hold_on, hold_off : int
        Confirmation times in samples.
    state, memory : memoryviews (STATE_SIZE,), (MEMORY_SIZE,)
        Zeros at the start of a stretch of signal; carried from call to call.
    out : memoryview (capacity, 6)
        A row a contact: on, off (samples since the start, fractional), peak, cut at start, cut at end, dips bridged.
        A cut contact has the first or last sample as its time.
    finish : bool
        The signal ends with this piece.

    Returns
    -------
    int
        Contacts found in this piece; more than the capacity means that the rest was not stored.
    """
    cdef Py_ssize_t n = y.shape[0], capacity = out.shape[0], found
    if state.shape[0] != DETECTOR_STATE or memory.shape[0] != DETECTOR_MEMORY or out.shape[1] != DETECTOR_COLUMNS:
        raise ValueError("state must have STATE_SIZE values, memory MEMORY_SIZE and out six columns")
    with nogil:
        found = detect_piece(&y[0] if n else NULL, n, level, level_off, hold_on, hold_off, &state[0], &memory[0],
                             &out[0, 0] if capacity else NULL, capacity, finish)
    return found


# ---------------------------------------------------------------------------------------------------------------
# Baseline


# Medians of two, four or six channels at once, by a sorting network: a fixed list of exchanges has no branch to
# mispredict, and the lanes fill vector registers. Fewer values than places are padded with infinities on both sides.
# The functions that take the number of lanes are inlined with a constant.

cdef enum:
    MOST_LANES = 6
    MOST_SLOPES = 28  # pairs of 8 neighbours
    MOST_EXCHANGES = 191  # of 32 places


cdef Py_ssize_t _network(Py_ssize_t places, short* exchanges) noexcept nogil:
    """Batcher's odd-even merge sort of any number of places (Knuth's merge exchange), less what the two middle ones
    don't depend on."""
    cdef Py_ssize_t p = 1, k, i, j, count = 0, kept
    cdef bint needed[MOST_SLOPES]
    while p < places:
        k = p
        while k >= 1:
            j = k % p
            while j <= places - 1 - k:
                for i in range(min(k, places - j - k)):
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                        exchanges[2 * count] = <short>(i + j)
                        exchanges[2 * count + 1] = <short>(i + j + k)
                        count += 1
                j += 2 * k
            k //= 2
        p *= 2
    for i in range(places):
        needed[i] = i == places // 2 or i == places // 2 - 1
    kept = count
    for i in range(count - 1, -1, -1):
        if needed[exchanges[2 * i]] or needed[exchanges[2 * i + 1]]:
            needed[exchanges[2 * i]] = needed[exchanges[2 * i + 1]] = True
            kept -= 1
            exchanges[2 * kept], exchanges[2 * kept + 1] = exchanges[2 * i], exchanges[2 * i + 1]
    for i in range(2 * (count - kept)):
        exchanges[i] = exchanges[2 * kept + i]
    return count - kept


cdef inline void _medians(double* v, Py_ssize_t lanes, Py_ssize_t n, Py_ssize_t places, const short* exchanges,
                          Py_ssize_t n_exchanges, double* out) noexcept nogil:
    """Median of the first n of `places` rows of v in each lane; v is reordered."""
    cdef Py_ssize_t i, c, below = (places - n + 1) // 2
    cdef double* a
    cdef double* b
    cdef pair x, y
    for i in range(n, places):
        for c in range(lanes):
            v[lanes * i + c] = -INFINITY if i - n < below else INFINITY
    for i in range(n_exchanges):
        a = v + lanes * exchanges[2 * i]
        b = v + lanes * exchanges[2 * i + 1]
        for c in range(0, lanes, 2):
            x, y = load(a + c), load(b + c)
            store(a + c, lesser(x, y))
            store(b + c, greater(x, y))
    a = v + lanes * (places // 2)
    for c in range(lanes):
        out[c] = a[c] if n % 2 else 0.5 * (a[c - lanes] + a[c])


cdef struct Networks:
    Py_ssize_t n_slope  # exchanges for the median of the slopes, and for that of what is left
    Py_ssize_t n_rest
    short for_slope[2 * MOST_EXCHANGES]
    short for_rest[2 * MOST_EXCHANGES]


cdef inline void _levels(const Networks* sort, Py_ssize_t lanes, Py_ssize_t m, const double* t, const double* local,
                         double* level) noexcept nogil:
    """Height at time 0 of the Theil-Sen lines through m knots, at most eight, at times t: `local` is (m, lanes)."""
    cdef double slopes[MOST_SLOPES * MOST_LANES]
    cdef double rest[8 * MOST_LANES]
    cdef double slope[MOST_LANES]
    cdef Py_ssize_t a, b, c, pairs = 0
    cdef double span
    for a in range(m):
        for b in range(a):
            span = 1.0 / (t[a] - t[b])
            for c in range(lanes):
                slopes[lanes * pairs + c] = (local[lanes * a + c] - local[lanes * b + c]) * span
            pairs += 1
    _medians(slopes, lanes, pairs, MOST_SLOPES, sort.for_slope, sort.n_slope, slope)
    for a in range(m):
        for c in range(lanes):
            rest[lanes * a + c] = local[lanes * a + c] - slope[c] * t[a]
    _medians(rest, lanes, m, 8, sort.for_rest, sort.n_rest, level)


cdef Py_ssize_t _nearest(const double[::1] t, Py_ssize_t i, Py_ssize_t neighbours, Py_ssize_t* near) noexcept nogil:
    """The knots nearest to knot i in time, without itself."""
    cdef Py_ssize_t low = i - 1, high = i + 1, m = 0, k = t.shape[0]
    while m < neighbours and (low >= 0 or high < k):
        if high >= k or (low >= 0 and t[i] - t[low] <= t[high] - t[i]):
            near[m] = low
            low -= 1
        else:
            near[m] = high
            high += 1
        m += 1
    return m


def theil_sen_residuals(const double[::1] t, const double[:, ::1] values, Py_ssize_t neighbours, double[:, ::1] out,
                        Py_ssize_t first_knot=0):
    """Distance of each knot from the Theil-Sen line through its nearest neighbours, itself left out.

    Parameters
    ----------
    t : memoryview (k,)
        Knot times, ascending.
    values : memoryview (k, n_channels)
        Finite.
    neighbours : int
        At most 8; fewer are used where there are fewer knots.
    out : memoryview (k, n_channels)
        value - line; 0 where fewer than 3 neighbours exist.
    first_knot : int
        Rows before this one are left alone.
    """
    cdef Py_ssize_t k = t.shape[0], n = values.shape[1], i, c, a, m, first, width, lanes
    cdef Py_ssize_t near[8]
    cdef double times[8]
    cdef double local[8 * MOST_LANES]
    cdef double level[MOST_LANES]
    cdef Networks sort
    if not 0 <= neighbours <= 8:
        raise ValueError("at most 8 neighbours")
    if first_knot < 0:
        raise ValueError("first_knot must not be negative")
    if values.shape[0] != k or out.shape[0] != k or out.shape[1] != values.shape[1]:
        raise ValueError("values and out must have a row for each knot and equal columns")
    with nogil:
        sort.n_slope = _network(MOST_SLOPES, &sort.for_slope[0])
        sort.n_rest = _network(8, &sort.for_rest[0])
        for i in range(first_knot, k):
            m = _nearest(t, i, neighbours, &near[0])
            if m < 3:
                for c in range(n):
                    out[i, c] = 0.0
                continue
            for a in range(m):
                times[a] = t[near[a]] - t[i]
            first = 0
            while first < n:
                width = min(<Py_ssize_t>MOST_LANES, n - first)
                lanes = width + width % 2
                for a in range(m):
                    for c in range(lanes):  # a spare lane repeats the last channel
                        local[lanes * a + c] = values[near[a], first + min(c, width - 1)]
                if lanes == 2:
                    _levels(&sort, 2, m, times, local, level)
                elif lanes == 4:
                    _levels(&sort, 4, m, times, local, level)
                else:
                    _levels(&sort, 6, m, times, local, level)
                for c in range(width):
                    out[i, first + c] = values[i, first + c] - level[c]
                first += width


cdef inline void _less_cubic(const double* y, double* out, Py_ssize_t n, double u, double step, double c0, double c1,
                             double c2, double c3) noexcept nogil:
    """out = y - the cubic at u, u + step, u + 2 step, ...; out may be y."""
    cdef pair p0 = pair_of(c0, c0), p1 = pair_of(c1, c1), p2 = pair_of(c2, c2), p3 = pair_of(c3, c3)
    # Quicker than turning numbers into doubles, and exact where the break points lie on samples or half-way.
    cdef pair t = pair_of(u, u + step), two = pair_of(2.0 * step, 2.0 * step)
    cdef Py_ssize_t i
    for i in range(0, n - 1, 2):
        store(out + i, sub(load(y + i), add(mul(add(mul(add(mul(p0, t), p1), t), p2), t), p3)))
        t = add(t, two)
    if n % 2:
        u += <double>(n - 1) * step
        out[n - 1] = y[n - 1] - (((c0 * u + c1) * u + c2) * u + c3)


def subtract_cubic(const double[::1] y, long long first, const double[::1] breaks, const double[:, ::1] coefficients,
                   double[::1] out):
    """out = y - baseline, where sample k of y is at first + k and the baseline is a piecewise cubic held at its ends.

    Parameters
    ----------
    y, out : memoryviews (n,)
        May be the same.
    first : int
        Index of y[0].
    breaks : memoryview (k,)
        Ascending break points, in samples; one alone means a constant.
    coefficients : memoryview (4, max(k - 1, 1))
        Highest power first, about the left break of each interval.
    """
    cdef Py_ssize_t n = y.shape[0], i = 0, stop, k = breaks.shape[0], piece = 0
    cdef double u, step
    if out.shape[0] != n:
        raise ValueError("out must be as long as y")
    if k < 1 or coefficients.shape[0] != 4 or coefficients.shape[1] != max(k - 1, 1):
        raise ValueError("coefficients must be (4, n_breaks - 1), or (4, 1) for one break")
    with nogil:
        while i < n:
            if k == 1 or <double>(first + i) < breaks[0]:
                u, step, piece = 0.0, 0.0, 0
                stop = n if k == 1 else <Py_ssize_t>(ceil(breaks[0]) - <double>first)
            elif <double>(first + i) >= breaks[k - 1]:
                u, step, piece = breaks[k - 1] - breaks[k - 2], 0.0, k - 2
                stop = n
            else:
                while <double>(first + i) >= breaks[piece + 1]:
                    piece += 1
                u, step = <double>(first + i) - breaks[piece], 1.0
                stop = <Py_ssize_t>(ceil(breaks[piece + 1]) - <double>first)
            stop = min(stop, n)
            _less_cubic(&y[i], &out[i], stop - i, u, step, coefficients[0, piece], coefficients[1, piece],
                        coefficients[2, piece], coefficients[3, piece])
            i = stop


# ---------------------------------------------------------------------------------------------------------------
# Crossing times on a less filtered copy, made only around each event

cdef enum:
    LANES = 4  # events side by side


def refine_crossings(const double[::1] raw, const long long[:, ::1] segments, const double[::1] times,
                     const signed char[::1] rising, double level, const double[::1] offsets,
                     const double[:, ::1] sos, const double[:, ::1] zi, Py_ssize_t reach, Py_ssize_t margin,
                     double[::1] out, double[:, ::1] work):
    """Time each event on its own small low-passed window of the raw detection signal.

    Parameters
    ----------
    raw : memoryview (n,)
        Detection signal before filter and baseline.
    segments : memoryview (n_events, 2)
        First and one-past-last sample of the gap-free stretch around each event.
    times : memoryview (n_events,)
        Crossings found, in samples.
    rising : memoryview (n_events,)
        1 for contact on, 0 for contact off.
    level : float
        Level of the crossing.
    offsets : memoryview (n_events,)
        Baseline at each event; it moves too slowly to matter within the window.
    sos, zi : filter of the timing copy, at most eight sections; no section at all means the raw signal.
    reach : int
        Samples searched on either side.
    margin : int
        Further samples filtered on either side, so that the filter has settled.
    out : memoryview (n_events,)
        Crossing of the right direction nearest to the one found; NaN if none is in reach.
    work : memoryview (2 * (reach + margin) + 2, 4)
        Four events are filtered side by side.
    """
    cdef Py_ssize_t n = times.shape[0], m = 2 * (reach + margin) + 2, n_sections = sos.shape[0], e, lane, k, \
        group, count
    cdef double z[8 * 8]
    if segments.shape[0] != n or rising.shape[0] != n or offsets.shape[0] != n or out.shape[0] != n:
        raise ValueError("segments, rising, offsets and out must have a row for each event")
    if segments.shape[1] != 2 or sos.shape[1] != 6 or zi.shape[0] != n_sections or zi.shape[1] != 2 or n_sections > 8:
        raise ValueError("segments must be (n_events, 2), sos (n_sections, 6), at most 8, and zi (n_sections, 2)")
    if reach < 0 or margin < 0 or work.shape[0] < m or work.shape[1] != LANES:
        raise ValueError("work must hold 2 (reach + margin) + 2 rows of four values")
    for e in range(n):
        if not 0 <= segments[e, 0] < segments[e, 1] <= raw.shape[0]:
            raise ValueError("a stretch lies outside the signal")
        if isnan(times[e]):
            raise ValueError("an event has no time")
    with nogil:
        for group in range((n + LANES - 1) // LANES):
            e = LANES * group
            count = min(<Py_ssize_t>LANES, n - e)
            for lane in range(count):
                k = e + lane
                _around(&raw[0], <Py_ssize_t>segments[k, 0], <Py_ssize_t>segments[k, 1],
                        <Py_ssize_t>floor(times[k]) - reach - margin, m, offsets[k], &work[0, lane])
            for lane in range(count, LANES):
                for k in range(m):
                    work[k, lane] = 0.0
            if n_sections > 0:
                seed4(z, &zi[0, 0], &work[0, 0], n_sections)
                biquad4(&work[0, 0], m, LANES, &sos[0, 0], n_sections, z)
                seed4(z, &zi[0, 0], &work[m - 1, 0], n_sections)
                biquad4(&work[m - 1, 0], m, -LANES, &sos[0, 0], n_sections, z)
            for lane in range(count):
                k = e + lane
                out[k] = _nearest_crossing(&work[0, lane], <Py_ssize_t>floor(times[k]) - reach - margin, margin,
                                           m - margin, level, rising[k] != 0, times[k], <double>reach,
                                           <double>segments[k, 0], <double>(segments[k, 1] - 1))


cdef void _around(const double* raw, Py_ssize_t low, Py_ssize_t high, Py_ssize_t start, Py_ssize_t m, double offset,
                  double* lane) noexcept nogil:
    """Copy m samples to a lane. Beyond the ends of the stretch: odd extension, as for the whole signal."""
    cdef Py_ssize_t i, j
    for i in range(m):
        j = start + i
        if j < low:
            j = 2 * low - j
            lane[LANES * i] = 2.0 * raw[low] - raw[j if j < high else high - 1] - offset
        elif j >= high:
            j = 2 * (high - 1) - j
            lane[LANES * i] = 2.0 * raw[high - 1] - raw[j if j >= low else low] - offset
        else:
            lane[LANES * i] = raw[j] - offset


cdef double _nearest_crossing(const double* lane, Py_ssize_t start, Py_ssize_t first, Py_ssize_t stop, double level,
                              bint rising, double t, double reach, double earliest, double latest) noexcept nogil:
    """Crossing of a lane's samples [first, stop) nearest to time t, if that is in reach; else NaN."""
    cdef Py_ssize_t i
    cdef double best = NAN, left = lane[LANES * first], right, x
    for i in range(first, stop - 1):
        right = lane[LANES * (i + 1)]
        if (left < level) == rising and (right >= level) == rising:
            x = <double>(start + i) + (level - left) / (right - left)
            if earliest <= x <= latest and (isnan(best) or fabs(x - t) < fabs(best - t)):
                best = x
        left = right
    return best if fabs(best - t) <= reach else NAN


def window_moments(const double[::1] y, const long long[::1] starts, const long long[::1] stops, double[:, ::1] out):
    """Count, sum and sum of squares of y over each window; out is (n_windows, 3)."""
    cdef Py_ssize_t k, i
    cdef double total, squares
    if out.shape[1] != 3:
        raise ValueError("out must have three columns")
    _check_windows(y.shape[0], starts, stops, out.shape[0])
    with nogil:
        for k in range(starts.shape[0]):
            total = 0.0
            squares = 0.0
            for i in range(starts[k], stops[k]):
                total += y[i]
                squares += y[i] * y[i]
            out[k, 0] = <double>(stops[k] - starts[k])
            out[k, 1] = total
            out[k, 2] = squares
