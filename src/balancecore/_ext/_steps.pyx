"""Per-contact metrics: the horizontal forces and moments are filtered only around each contact, and each
contact's metrics come from one look at its own few thousand values."""

from libc.math cimport NAN, ceil, floor, isnan, sqrt

from balancecore._ext._filters cimport biquad4, seed4
from balancecore._ext._memory cimport AHEAD, prefetch
from balancecore._ext._pairs cimport add, divided, greater, high_of, lesser, load, low_of, mul, pair, pair_of, store, \
    sub, swapped

MAX_PLATES = 16

# Columns that the kernel fills, in this order. Times are in s, forces in BW, impulses in BW s, rates in BW/s,
# centres of pressure in m; balancecore.schema gives each its definition.
COLUMNS = (
    "peak_impact", "t_impact", "peak_active", "t_active",
    "valr_0_100", "valr_2080t", "valr_2080f", "valr_3_12", "valr_2080_poi13", "valr_0_50ms", "valr_0_13",
    "valr_0_100_ls", "valr_2080t_ls", "valr_2080f_ls", "valr_3_12_ls", "valr_2080_poi13_ls", "valr_0_50ms_ls",
    "valr_0_13_ls",
    "vilr_ip", "vilr_poi13", "vilr_2080t", "vilr_2080f", "vilr_50ms",
    "blr", "blr_2080",
    "imp_v", "imp_v_early_ip", "imp_v_early_poi13",
    "imp_brake", "imp_prop", "imp_brake_phase", "imp_prop_phase", "t_zero_ap",
    "peak_brake", "t_peak_brake", "peak_prop", "t_peak_prop",
    "imp_plus_x", "imp_minus_x", "peak_plus_x", "peak_minus_x",
    "cop_x", "cop_y", "cop_range_x", "cop_range_y", "cop_path",
    "cop_min_x", "cop_max_x", "cop_min_y", "cop_max_y",
    "impact_at_edge",
)
N_COLUMNS = len(COLUMNS)
# Curves of each contact: forces in BW, and the centre of pressure in m from the contact's own mean (cop_x, cop_y).
CURVES = ("fx", "fy", "fz", "cop_x", "cop_y")
CURVE_POINTS = 101

cdef enum:
    N_CURVES = 5
    MOST_POINTS = 101  # of a curve: CURVE_POINTS

cdef enum:
    PEAK_IMPACT, T_IMPACT, PEAK_ACTIVE, T_ACTIVE
    VALR_0_100, VALR_2080T, VALR_2080F, VALR_3_12, VALR_2080_POI13, VALR_0_50MS, VALR_0_13
    VALR_0_100_LS, VALR_2080T_LS, VALR_2080F_LS, VALR_3_12_LS, VALR_2080_POI13_LS, VALR_0_50MS_LS, VALR_0_13_LS
    VILR_IP, VILR_POI13, VILR_2080T, VILR_2080F, VILR_50MS
    BLR, BLR_2080
    IMP_V, IMP_V_EARLY_IP, IMP_V_EARLY_POI13
    IMP_BRAKE, IMP_PROP, IMP_BRAKE_PHASE, IMP_PROP_PHASE, T_ZERO_AP
    PEAK_BRAKE, T_PEAK_BRAKE, PEAK_PROP, T_PEAK_PROP
    IMP_PLUS_X, IMP_MINUS_X, PEAK_PLUS_X, PEAK_MINUS_X
    COP_X, COP_Y, COP_RANGE_X, COP_RANGE_Y, COP_PATH
    COP_MIN_X, COP_MAX_X, COP_MIN_Y, COP_MAX_Y
    IMPACT_AT_EDGE
    N_COLS


# ---------------------------------------------------------------------------------------------------------------
# A signal of one contact: value of sample i (absolute index) is x[(i - first) * step].

cdef struct Signal:
    const double* x
    Py_ssize_t first
    Py_ssize_t step
    Py_ssize_t last  # absolute index of the last sample


cdef inline double sample(const Signal* s, Py_ssize_t i) noexcept nogil:
    return s.x[(i - s.first) * s.step]


cdef inline double at(const Signal* s, double t) noexcept nogil:
    """Linear interpolation; NaN outside the samples."""
    cdef Py_ssize_t i
    cdef double w
    cdef const double* x
    if not (t >= <double>s.first and t <= <double>s.last):
        return NAN
    i = <Py_ssize_t>t  # no sample has a negative index, so this is the floor
    w = t - <double>i
    x = s.x + (i - s.first) * s.step
    return x[0] + w * (x[s.step] - x[0]) if w > 0.0 else x[0]


cdef double mean_slope(const Signal* s, double a, double b, double rate) noexcept nogil:
    return (at(s, b) - at(s, a)) / (b - a) * rate if b > a else NAN


cdef double least_squares_slope(const Signal* s, double a, double b, double rate) noexcept nogil:
    """Slope of the line through all samples in [a, b]; NaN with fewer than two."""
    cdef Py_ssize_t i, i0, i1
    cdef double middle, x, sxx = 0.0, sxy = 0.0
    if not b > a:
        return NAN
    i0 = <Py_ssize_t>ceil(a)
    i1 = <Py_ssize_t>floor(b)
    if i0 < s.first or i1 > s.last or i1 <= i0:
        return NAN
    middle = 0.5 * <double>(i0 + i1)
    for i in range(i0, i1 + 1):
        x = <double>i - middle
        sxx += x * x
        sxy += x * sample(s, i)
    return sxy / sxx * rate


cdef double steepest(const Signal* s, double a, double b, double rate, double sign) noexcept nogil:
    """Largest sign * central difference among the samples in [a, b], as a signed slope."""
    cdef Py_ssize_t i, i0, i1, step = s.step
    cdef const double* x
    cdef double best = -1e308, rise
    if not b >= a:
        return NAN
    i0 = <Py_ssize_t>ceil(a)
    i1 = <Py_ssize_t>floor(b)
    if i0 - 1 < s.first or i1 + 1 > s.last:
        return NAN
    x = s.x + (i0 - s.first) * step
    for i in range(i0, i1 + 1):
        rise = sign * (x[step] - x[-step])
        if rise > best:
            best = rise
        x += step
    return sign * best * 0.5 * rate if best > -1e308 else NAN


cdef double first_rise(const Signal* s, double a, double b, double value) noexcept nogil:
    """First time in [a, b] at which the signal reaches value."""
    cdef Py_ssize_t i
    cdef double left = at(s, a), right, t = a, u
    if isnan(left) or left >= value:
        return a if left >= value else NAN
    for i in range(<Py_ssize_t>floor(a) + 1, <Py_ssize_t>ceil(b) + 1):
        u = <double>i if <double>i < b else b
        right = at(s, u)
        if right >= value:
            return t + (u - t) * (value - left) / (right - left)
        left = right
        t = u
    return NAN


cdef double vertex(const Signal* s, Py_ssize_t i, double* value) noexcept nogil:
    """Three-point parabola through an interior extreme: its time, and its value through the pointer."""
    cdef double y0, y1, y2, bend, d
    y1 = sample(s, i)
    value[0] = y1
    if i <= s.first or i >= s.last:
        return <double>i
    y0 = sample(s, i - 1)
    y2 = sample(s, i + 1)
    bend = y0 - 2.0 * y1 + y2
    if bend == 0.0 or isnan(bend):
        return <double>i
    d = 0.5 * (y0 - y2) / bend
    if not (d >= -1.0 and d <= 1.0):
        return <double>i
    value[0] = y1 - 0.25 * (y0 - y2) * d
    return <double>i + d


cdef struct Scan:
    double plus       # area above zero, in force times s
    double minus      # area below zero
    Py_ssize_t high   # sample of the largest and the smallest value; -1 if there is no sample
    Py_ssize_t low


cdef void _add_piece(Scan* out, double left, double right, double width) noexcept nogil:
    """Area of one linear piece, split where it changes sign."""
    cdef double w
    if left >= 0.0 and right >= 0.0:
        out.plus += 0.5 * (left + right) * width
    elif left <= 0.0 and right <= 0.0:
        out.minus += 0.5 * (left + right) * width
    else:
        w = width * left / (left - right)
        if left > 0.0:
            out.plus += 0.5 * left * w
            out.minus += 0.5 * right * (width - w)
        else:
            out.minus += 0.5 * left * w
            out.plus += 0.5 * right * (width - w)


cdef inline void _take_sample(Scan* out, Py_ssize_t i, double v, double before, double* top,
                              double* bottom) noexcept nogil:
    """One sample of a scan: its trapezoids' share, its excess where the sign changes, and whether it is an extreme."""
    cdef double w
    out.plus += v if v > 0.0 else 0.0
    out.minus += v if v < 0.0 else 0.0
    if v > top[0]:
        top[0] = v
        out.high = i
    if v < bottom[0]:
        bottom[0] = v
        out.low = i
    if (v < 0.0) != (before < 0.0):  # the trapezoids of the parts overlap: take the triangles' excess off
        w = before / (before - v)
        if v < 0.0:
            out.plus += 0.5 * before * (w - 1.0)
            out.minus -= 0.5 * v * w
        else:
            out.minus += 0.5 * before * (w - 1.0)
            out.plus -= 0.5 * v * w


cdef inline double _lesser(double a, double b) noexcept nogil:
    return a if a < b else b


cdef inline double _greater(double a, double b) noexcept nogil:
    return a if a > b else b


cdef Scan scan(const Signal* s, double a, double b, double rate) noexcept nogil:
    """Trapezoids from a to b with partial ends (metrics 3.2), positive and negative parts apart, and the extremes.

    Eight samples at a time: only where they change sign, or hold a new extreme, are they looked at one by one.
    """
    cdef Scan out
    cdef Py_ssize_t i, i0, i1, k, step = s.step
    cdef const double* x
    cdef double left = at(s, a), right = at(s, b), before, top, bottom, total, low, high
    out.plus = out.minus = NAN
    out.high = out.low = -1
    if isnan(left) or isnan(right) or not b >= a:
        return out
    out.plus = out.minus = 0.0
    i0 = <Py_ssize_t>ceil(a)
    i1 = <Py_ssize_t>floor(b)
    if i0 > i1:
        _add_piece(&out, left, right, b - a)
    else:
        x = s.x + (i0 - s.first) * step
        before = top = bottom = x[0]
        out.high = out.low = i0
        _add_piece(&out, left, before, <double>i0 - a)
        out.plus -= 0.5 * before if before > 0.0 else 0.0
        out.minus -= 0.5 * before if before < 0.0 else 0.0
        i = i0
        while i <= i1 - 7:
            total = ((x[0] + x[step]) + (x[2 * step] + x[3 * step])) \
                + ((x[4 * step] + x[5 * step]) + (x[6 * step] + x[7 * step]))
            low = _lesser(_lesser(_lesser(x[0], x[step]), _lesser(x[2 * step], x[3 * step])),
                          _lesser(_lesser(x[4 * step], x[5 * step]), _lesser(x[6 * step], x[7 * step])))
            high = _greater(_greater(_greater(x[0], x[step]), _greater(x[2 * step], x[3 * step])),
                            _greater(_greater(x[4 * step], x[5 * step]), _greater(x[6 * step], x[7 * step])))
            if low >= 0.0 and before >= 0.0:
                out.plus += total
            elif high < 0.0 and before < 0.0:
                out.minus += total
            else:
                for k in range(8):
                    _take_sample(&out, i + k, x[k * step], x[(k - 1) * step] if k > 0 else before, &top, &bottom)
            if high > top:
                k = 0
                while x[k * step] != high:
                    k += 1
                top, out.high = high, i + k
            if low < bottom:
                k = 0
                while x[k * step] != low:
                    k += 1
                bottom, out.low = low, i + k
            before = x[7 * step]
            x += 8 * step
            i += 8
        while i <= i1:
            _take_sample(&out, i, x[0], before, &top, &bottom)
            before = x[0]
            x += step
            i += 1
        out.plus -= 0.5 * before if before > 0.0 else 0.0
        out.minus -= 0.5 * before if before < 0.0 else 0.0
        _add_piece(&out, before, right, b - <double>i1)
    out.plus /= rate
    out.minus /= rate
    if isnan(out.plus + out.minus):
        out.high = out.low = -1
    return out


cdef double integral(const Signal* s, double a, double b, double rate) noexcept nogil:
    cdef Scan part = scan(s, a, b, rate)
    return part.plus + part.minus


# ---------------------------------------------------------------------------------------------------------------
# Groups of metrics


cdef Py_ssize_t find_impact(const Signal* fz, double start, double stop, Py_ssize_t active,
                            double prominence) noexcept nogil:
    """First local maximum in [start, stop] that falls by `prominence` before it is exceeded or the active peak."""
    cdef Py_ssize_t i, j
    cdef double top, low
    for i in range(<Py_ssize_t>ceil(start), <Py_ssize_t>floor(stop) + 1):
        if i - 1 < fz.first or i + 1 > fz.last or i >= active:
            return -1
        top = sample(fz, i)
        if not (top > sample(fz, i - 1) and top >= sample(fz, i + 1)):
            continue
        low = top
        for j in range(i + 1, active + 1):
            if sample(fz, j) > top:
                break
            if sample(fz, j) < low:
                low = sample(fz, j)
        if top - low >= prominence:
            return i
    return -1


cdef void rates(const Signal* fz, double a, double b, double rate, double weight, double* average,
                double* fitted) noexcept nogil:
    average[0] = mean_slope(fz, a, b, rate) / weight
    fitted[0] = least_squares_slope(fz, a, b, rate) / weight


cdef void vertical(const Signal* fz, double on, double off, double rate, double weight, double noise,
                   double* row) noexcept nogil:
    """Peaks, loading rates and vertical impulses (metrics 2 and 3)."""
    cdef double tc = off - on, poi, value, span, a, b, stop
    cdef Py_ssize_t active, impact
    # The active peak bounds the search for the impact peak, so a first guess leaves the impact phase out.
    cdef Scan early = scan(fz, on, on + 0.25 * tc, rate), late = scan(fz, on + 0.25 * tc, off, rate)
    active = late.high
    if active < 0:
        return
    row[IMP_V] = (early.plus + early.minus + late.plus + late.minus) / weight
    stop = on + min(0.25 * tc, 0.075 * rate)
    impact = find_impact(fz, on + 0.005 * rate, stop, active, max(0.05 * weight, 5.0 * noise))
    if impact >= 0:
        poi = vertex(fz, impact, &value)
        row[PEAK_IMPACT] = value / weight
        row[T_IMPACT] = (poi - on) / rate
        row[IMPACT_AT_EDGE] = 1.0 if impact + 1 > stop or impact - 1 < on + 0.005 * rate else 0.0
        active = max_between(fz, impact, active)
        span = poi - on
        rates(fz, on, poi, rate, weight, &row[VALR_0_100], &row[VALR_0_100_LS])
        a, b = on + 0.2 * span, on + 0.8 * span
        rates(fz, a, b, rate, weight, &row[VALR_2080T], &row[VALR_2080T_LS])
        row[VILR_2080T] = steepest(fz, a, b, rate, 1.0) / weight
        a, b = first_rise(fz, on, poi, 0.2 * value), first_rise(fz, on, poi, 0.8 * value)
        rates(fz, a, b, rate, weight, &row[VALR_2080F], &row[VALR_2080F_LS])
        row[VILR_2080F] = steepest(fz, a, b, rate, 1.0) / weight
        row[VILR_IP] = steepest(fz, on, poi, rate, 1.0) / weight
        row[IMP_V_EARLY_IP] = integral(fz, on, poi, rate) / weight
    poi = vertex(fz, active, &value)
    row[PEAK_ACTIVE] = value / weight
    row[T_ACTIVE] = (poi - on) / rate
    span = 0.13 * tc
    rates(fz, on, on + span, rate, weight, &row[VALR_0_13], &row[VALR_0_13_LS])
    rates(fz, on + 0.2 * span, on + 0.8 * span, rate, weight, &row[VALR_2080_POI13], &row[VALR_2080_POI13_LS])
    rates(fz, on + 0.03 * tc, on + 0.12 * tc, rate, weight, &row[VALR_3_12], &row[VALR_3_12_LS])
    row[VILR_POI13] = steepest(fz, on, on + span, rate, 1.0) / weight
    row[IMP_V_EARLY_POI13] = integral(fz, on, on + span, rate) / weight
    b = on + 0.05 * rate
    if b <= off:
        rates(fz, on, b, rate, weight, &row[VALR_0_50MS], &row[VALR_0_50MS_LS])
        row[VILR_50MS] = steepest(fz, on, b, rate, 1.0) / weight


cdef Py_ssize_t max_between(const Signal* fz, Py_ssize_t impact, Py_ssize_t active) noexcept nogil:
    """Largest sample from the dip after the impact peak to contact off (metrics 2.1: an impact peak higher than
    the active one must not be taken for it)."""
    cdef Py_ssize_t i, dip = impact
    for i in range(impact, active + 1):
        if sample(fz, i) < sample(fz, dip):
            dip = i
    for i in range(dip, active):  # from `active` on the search after 25 % of contact has looked already
        if sample(fz, i) > sample(fz, active):
            active = i
    return active


cdef void anteroposterior(const Signal* fy, double on, double off, double rate, double weight,
                          double* row) noexcept nogil:
    cdef double value, t, left, right, zero = NAN
    cdef Scan whole = scan(fy, on, off, rate)
    cdef Py_ssize_t brake = whole.low, prop = whole.high, i
    row[IMP_BRAKE] = whole.minus / weight
    row[IMP_PROP] = whole.plus / weight
    if brake >= 0 and sample(fy, brake) < 0.0:
        t = vertex(fy, brake, &value)
        row[PEAK_BRAKE] = value / weight
        row[T_PEAK_BRAKE] = (t - on) / rate
        row[BLR] = steepest(fy, on, t, rate, -1.0) / weight
        row[BLR_2080] = mean_slope(fy, on + 0.2 * (t - on), on + 0.8 * (t - on), rate) / weight
    else:
        brake = -1
    if prop >= 0 and sample(fy, prop) > 0.0:
        t = vertex(fy, prop, &value)
        row[PEAK_PROP] = value / weight
        row[T_PEAK_PROP] = (t - on) / rate
    else:
        prop = -1
    if brake < 0 or prop < 0 or prop <= brake:
        return
    for i in range(prop - 1, brake - 1, -1):
        left = sample(fy, i)
        right = sample(fy, i + 1)
        if left < 0.0 and right >= 0.0:
            zero = <double>i - left / (right - left)
            break
    if isnan(zero):
        return
    row[T_ZERO_AP] = 100.0 * (zero - on) / (off - on)
    row[IMP_BRAKE_PHASE] = integral(fy, on, zero, rate) / weight
    row[IMP_PROP_PHASE] = row[IMP_BRAKE] + row[IMP_PROP] - row[IMP_BRAKE_PHASE]


cdef void mediolateral(const Signal* fx, double on, double off, double rate, double weight,
                       double* row) noexcept nogil:
    cdef double value
    cdef Scan whole = scan(fx, on, off, rate)
    row[IMP_PLUS_X] = whole.plus / weight
    row[IMP_MINUS_X] = whole.minus / weight
    if whole.high < 0:
        return
    vertex(fx, whole.high, &value)
    row[PEAK_PLUS_X] = value / weight
    vertex(fx, whole.low, &value)
    row[PEAK_MINUS_X] = value / weight


cdef void pressure_centre(const Signal* fz, const Signal* mx, const Signal* my, double on, double off, double rate,
                          double least, double speed, const double* origin, double* row) noexcept nogil:
    """Force-weighted centre over 20-80 % of the contact; range and path where the force allows (metrics 4, 6.0).

    Extremes are in the lab; range and path follow the belt, which carries the foot backwards at `speed`. Range and
    path look at about 500 samples a second, from the first loaded one to the last: the filtered signals hold
    nothing faster.
    """
    cdef Py_ssize_t i, last, hop = max(<Py_ssize_t>(rate / 500.0), 1)
    cdef double weight = 0.0, sum_x = 0.0, sum_y = 0.0, f, path = 0.0, carried = speed / rate
    cdef pair none = pair_of(1e308, 1e308), low = none, low_b = none, high = sub(pair_of(0.0, 0.0), none), high_b = high
    cdef pair centre = pair_of(origin[0], origin[1]), place, belt, before = none, way
    cdef Py_ssize_t a = <Py_ssize_t>ceil(on + 0.2 * (off - on)), b = <Py_ssize_t>floor(on + 0.8 * (off - on))
    cdef bint any_yet = False
    for i in range(a, b + 1):
        weight += sample(fz, i)
        sum_x -= sample(my, i)
        sum_y += sample(mx, i)
    if weight > 0.0:
        row[COP_X] = origin[0] + sum_x / weight
        row[COP_Y] = origin[1] + sum_y / weight
    i = <Py_ssize_t>ceil(on)
    last = <Py_ssize_t>floor(off)
    while i <= last and not sample(fz, i) > least:
        i += 1
    while last > i and not sample(fz, last) > least:
        last -= 1
    while i <= last:
        f = sample(fz, i)
        if f > least:
            place = add(centre, divided(pair_of(-sample(my, i), sample(mx, i)), pair_of(f, f)))
            if isnan(low_of(place)) or isnan(high_of(place)):
                return
            belt = add(place, pair_of(0.0, carried * (<double>i - on)))
            if any_yet:
                way = sub(belt, before)
                way = mul(way, way)
                path += sqrt(low_of(way) + high_of(way))
            any_yet = True
            low, high = lesser(low, place), greater(high, place)
            low_b, high_b = lesser(low_b, belt), greater(high_b, belt)
            before = belt
        i += hop if i + hop <= last or i == last else last - i
    if not any_yet:
        return
    row[COP_RANGE_X] = low_of(high) - low_of(low)
    if not isnan(speed):
        row[COP_RANGE_Y] = high_of(high_b) - high_of(low_b)
        row[COP_PATH] = path
    row[COP_MIN_X], row[COP_MAX_X] = low_of(low), low_of(high)
    row[COP_MIN_Y], row[COP_MAX_Y] = high_of(low), high_of(high)


cdef double[MOST_POINTS] HUNDREDTHS
cdef int _k
for _k in range(MOST_POINTS):
    HUNDREDTHS[_k] = _k / 100.0


cdef void stance_curves(const Signal* sz, const Signal* lanes, double on, double off, double weight, double least,
                        double centre_x, double centre_y, double* out) noexcept nogil:
    """`CURVES` at 0..100 % of the contact; NaN where that lies outside the samples.

    The centre of pressure is given from its mean, and is NaN where the force is `least` or less.
    """
    cdef Py_ssize_t k, i
    cdef double t, w, fz, share = 1.0 / weight, tc = off - on
    cdef const double* x
    cdef const double* z
    cdef pair part, force, moment, shares = pair_of(share, share), centre = pair_of(centre_x, centre_y), place
    if lanes.last == lanes.first:  # a stretch of one frame
        for k in range(N_CURVES * MOST_POINTS):
            out[k] = NAN
        return
    for k in range(MOST_POINTS):
        t = on + tc * HUNDREDTHS[k]
        # The lanes are a part of the samples of sz; their last one has no next to be joined with.
        i = min(max(<Py_ssize_t>t, lanes.first), lanes.last - 1)
        w = t - <double>i
        if not (w >= 0.0 and w <= 1.0):
            out[k] = out[101 + k] = out[202 + k] = out[303 + k] = out[404 + k] = NAN
            continue
        part = pair_of(w, w)
        x = lanes.x + (i - lanes.first) * 4
        z = sz.x + (i - sz.first)
        force = mul(add(load(x), mul(part, sub(load(x + 4), load(x)))), shares)
        moment = mul(add(load(x + 2), mul(part, sub(load(x + 6), load(x + 2)))), shares)
        fz = (z[0] + w * (z[1] - z[0])) * share
        out[k], out[101 + k], out[202 + k] = low_of(force), high_of(force), fz
        if not fz * weight > least:
            out[303 + k] = out[404 + k] = NAN
            continue
        place = sub(divided(pair_of(-high_of(moment), low_of(moment)), pair_of(fz, fz)), centre)
        out[303 + k], out[404 + k] = low_of(place), high_of(place)


# ---------------------------------------------------------------------------------------------------------------
# Lanes: Fx, Fy, Mx, My of the virtual plate around one contact


cdef enum:
    GATHERED = 32  # frames between two turns of the forward pass: half as many as are fetched ahead


cdef void gather(const double** plates, const double* arms, Py_ssize_t n_plates, Py_ssize_t start, Py_ssize_t stop,
                 double* lanes, double* shares) noexcept nogil:
    """Sum the plates' frames [start, stop) to lanes, M + r x F about the common origin; add each plate's Fz to its
    share. So few frames that the lanes stay in the cache until the last plate has been added."""
    cdef Py_ssize_t i, k
    cdef double share
    cdef const double* w
    cdef const double* r
    cdef double* lane
    cdef pair force, vertical, moment, up, across
    for k in range(n_plates):
        w = plates[k] + 6 * start
        r = arms + 3 * k
        up, across = pair_of(r[1], -r[0]), pair_of(-r[2], r[2])  # what Fz, and what Fy and Fx, are multiplied by
        lane = lanes
        share = shares[k]
        for i in range(start, stop):
            prefetch(w + AHEAD)
            force = load(w)
            vertical = pair_of(w[2], w[2])
            moment = add(load(w + 3), add(mul(up, vertical), mul(across, swapped(force))))
            if k > 0:
                force, moment = add(load(lane), force), add(load(lane + 2), moment)
            store(lane, force)
            store(lane + 2, moment)
            share += w[2]
            w += 6
            lane += 4
        shares[k] = share


cdef void extend(double* lanes, Py_ssize_t a, Py_ssize_t b, Py_ssize_t low, Py_ssize_t high) noexcept nogil:
    """Odd extension of the lanes of frames [a, b) beyond the stretch [low, high)."""
    cdef Py_ssize_t i, j, c
    for i in range(a, min(low, b)):
        j = min(2 * low - i, min(high, b) - 1)
        for c in range(4):
            lanes[4 * (i - a) + c] = 2.0 * lanes[4 * (low - a) + c] - lanes[4 * (j - a) + c]
    for i in range(max(high, a), b):
        j = max(2 * (high - 1) - i, max(low, a))
        for c in range(4):
            lanes[4 * (i - a) + c] = 2.0 * lanes[4 * (high - 1 - a) + c] - lanes[4 * (j - a) + c]


cdef void window(const double** plates, const double* arms, Py_ssize_t n_plates, Py_ssize_t a, Py_ssize_t b,
                 Py_ssize_t low, Py_ssize_t high, Py_ssize_t first, Py_ssize_t stop, const double[:, ::1] sos,
                 const double[:, ::1] zi, double* lanes, double* spare, double* shares) noexcept nogil:
    """Filtered lanes of a window [a, b) from frame first - 2 on; each plate's Fz over [first, stop) goes to its share.

    The forward pass follows a few frames behind the gathering, while the memory fetches the next ones. A window that
    reaches beyond the stretch [low, high) is gathered whole first, since its extension mirrors later frames.
    """
    cdef Py_ssize_t i = max(a, low), done = a, end = min(b, high), until, n_sections = sos.shape[0]
    cdef bint inside = a >= low and b <= high
    cdef double z[8 * 8]
    while i < end:
        until = min(i + GATHERED, end)
        if i < first:
            until = min(until, first)
        elif i < stop:
            until = min(until, stop)
        gather(plates, arms, n_plates, i, until, lanes + 4 * (i - a), shares if first <= i < stop else spare)
        i = until
        if n_sections == 0 or not inside:
            continue
        if done == a:
            seed4(&z[0], &zi[0, 0], lanes, n_sections)
        biquad4(lanes + 4 * (done - a), i - done, 4, &sos[0, 0], n_sections, &z[0])
        done = i
    if not inside:
        extend(lanes, a, b, low, high)
    if n_sections == 0:
        return
    if not inside:
        seed4(&z[0], &zi[0, 0], lanes, n_sections)
        biquad4(lanes, b - a, 4, &sos[0, 0], n_sections, &z[0])
    # Backward no further than the two samples before the contact that its metrics look at.
    seed4(&z[0], &zi[0, 0], lanes + 4 * (b - 1 - a), n_sections)
    biquad4(lanes + 4 * (b - 1 - a), b - max(first - 2, a), -4, &sos[0, 0], n_sections, &z[0])


cdef void correct_piece(double* lane, const double* fz, Py_ssize_t m, double u, double step, const double* c0,
                        const double* c1, const double* c2, const double* c3, double side_tilt,
                        double forward_tilt) noexcept nogil:
    """Take one cubic of the baseline, and gravity's share along a tilted surface, from m lanes."""
    cdef Py_ssize_t i
    cdef pair force0 = load(c0), force1 = load(c1), force2 = load(c2), force3 = load(c3)
    cdef pair moment0 = load(c0 + 2), moment1 = load(c1 + 2), moment2 = load(c2 + 2), moment3 = load(c3 + 2)
    cdef pair tilt = pair_of(side_tilt, forward_tilt), t = pair_of(u, u), steps = pair_of(step, step), level
    for i in range(m):
        level = add(force3, mul(tilt, pair_of(fz[i], fz[i])))
        store(lane, sub(load(lane), add(mul(add(mul(add(mul(force0, t), force1), t), force2), t), level)))
        level = add(mul(add(mul(add(mul(moment0, t), moment1), t), moment2), t), moment3)
        store(lane + 2, sub(load(lane + 2), level))
        t = add(t, steps)
        lane += 4


cdef Py_ssize_t correct(double* lanes, Py_ssize_t first, const double* fz, Py_ssize_t m, const double[::1] breaks,
                        const double[:, :, ::1] baseline, double side_tilt, double forward_tilt,
                        Py_ssize_t piece) noexcept nogil:
    """Take the baseline (a cubic between breaks, held at its ends) and the tilts from m filtered lanes.

    The search for the first piece begins at `piece`; what was found is returned, for the next contact.
    """
    cdef Py_ssize_t i = 0, stop, k = breaks.shape[0], found, c, p
    cdef double u, step
    cdef double q[4][4]
    found = piece
    while i < m:
        if k == 1 or <double>(first + i) < breaks[0]:
            u, step, piece = 0.0, 0.0, 0
            stop = m if k == 1 else <Py_ssize_t>ceil(breaks[0]) - first
        elif <double>(first + i) >= breaks[k - 1]:
            u, step, piece = breaks[k - 1] - breaks[k - 2], 0.0, k - 2
            stop = m
        else:
            while <double>(first + i) >= breaks[piece + 1]:
                piece += 1
            while <double>(first + i) < breaks[piece]:
                piece -= 1
            u, step = <double>(first + i) - breaks[piece], 1.0
            stop = <Py_ssize_t>ceil(breaks[piece + 1]) - first
        stop = min(stop, m)
        for p in range(4):
            for c in range(4):
                q[p][c] = baseline[c, p, piece]
        if i == 0:
            found = piece
        correct_piece(lanes + 4 * i, fz + i, stop - i, u, step, q[0], q[1], q[2], q[3], side_tilt, forward_tilt)
        i = stop
    return found


def contact_metrics(tuple wrenches, const double[:, ::1] arms, const double[::1] fz, const double[:, ::1] contacts,
                    const long long[:, ::1] segments, const unsigned char[::1] wanted, double rate_hz,
                    double weight_n, double noise_n, const double[:, ::1] sos, const double[:, ::1] zi,
                    Py_ssize_t margin, const double[::1] breaks, const double[:, :, ::1] baseline,
                    double side_tilt, double forward_tilt, double cop_least_n, double speed_m_s,
                    const double[::1] origin, double[:, ::1] out, double[:, :, ::1] curves,
                    double[:, ::1] shares, double[:, ::1] lanes):
    """Metrics of every wanted contact.

    Parameters
    ----------
    wrenches : tuple of memoryview (n, 6)
        Plates that make up the virtual plate.
    arms : memoryview (n_plates, 3)
        Each plate's origin less the common origin, m.
    fz : memoryview (n,)
        Filtered vertical force of the virtual plate, baseline removed, N.
    contacts : memoryview (k, 2)
        Contact on and off, in samples.
    segments : memoryview (k, 2)
        First and one-past-last sample of the gap-free stretch that holds each contact.
    wanted : memoryview (k,)
        0 leaves a row NaN.
    rate_hz, weight_n, noise_n : float
        Sampling rate; body weight; noise of the unloaded detection signal.
    sos, zi, margin
        Filter of the kinetics; samples filtered beyond the contact on either side, so that it has settled.
    breaks, baseline : memoryviews (b,), (4, 4, b - 1)
        Piecewise cubic baseline of Fx, Fy, Mx, My in samples.
    side_tilt, forward_tilt : float
        Tangent of camber and incline.
    cop_least_n, speed_m_s, origin
        Force limit of the COP range; belt speed (NaN if unknown); common origin, m.
    out : memoryview (k, N_COLUMNS)
    curves : memoryview (k, 5, 101)
        `CURVES` at 0..100 % of the contact: Fx, Fy, Fz in BW; the centre of pressure in m from the contact's
        cop_x and cop_y, NaN where Fz is cop_least_n or less.
    shares : memoryview (k, n_plates)
        Sum of each plate's raw Fz over the contact's samples.
    lanes : memoryview (longest window, 4)
        Work space.
    """
    cdef Py_ssize_t n_plates = len(wrenches), k, c, a, b, p, low, high, first, last, piece = 0
    cdef const double* plates[16]
    cdef double spare[16]
    cdef const double[:, ::1] view
    cdef Signal sz, sx, sy, smx, smy
    cdef double on, off
    cdef double* row
    if n_plates > 16 or arms.shape[0] != n_plates or shares.shape[1] != n_plates:
        raise ValueError("plates, arms and shares must agree")
    if out.shape[1] != N_COLS or curves.shape[1] != N_CURVES or curves.shape[2] != MOST_POINTS:
        raise ValueError("out or curves has the wrong shape")
    k = contacts.shape[0]
    if segments.shape[0] != k or wanted.shape[0] != k or out.shape[0] != k or curves.shape[0] != k \
            or shares.shape[0] != k:
        raise ValueError("segments, wanted, out, curves and shares must have a row for each contact")
    if contacts.shape[1] != 2 or segments.shape[1] != 2 or arms.shape[1] != 3 or origin.shape[0] != 3 \
            or lanes.shape[1] != 4:
        raise ValueError("contacts and segments have two columns, arms and origin three, lanes four")
    if sos.shape[0] > 8 or sos.shape[1] != 6 or zi.shape[0] != sos.shape[0] or zi.shape[1] != 2 or margin < 1:
        raise ValueError("sos must be (n_sections, 6), at most 8, zi (n_sections, 2) and margin at least 1")
    if breaks.shape[0] < 1 or baseline.shape[0] != 4 or baseline.shape[1] != 4 \
            or baseline.shape[2] != max(breaks.shape[0] - 1, 1):
        raise ValueError("baseline must be (4, 4, n_breaks - 1), or (4, 4, 1) for one break")
    for k in range(contacts.shape[0]):
        if not wanted[k]:
            continue
        if not 0 <= segments[k, 0] < segments[k, 1] <= fz.shape[0]:
            raise ValueError("a stretch lies outside the signal")
        if not segments[k, 0] <= contacts[k, 0] <= contacts[k, 1] <= segments[k, 1] - 1:
            raise ValueError("a contact lies outside its stretch")
    if n_plates < 1:
        raise ValueError("at least one plate is needed")
    for p in range(n_plates):
        view = wrenches[p]
        if view.shape[0] != fz.shape[0] or view.shape[1] != 6:
            raise ValueError("plates must be as long as fz, with six channels")
        plates[p] = &view[0, 0]
        spare[p] = 0.0
    with nogil:
        for k in range(contacts.shape[0]):
            row = &out[k, 0]
            for c in range(N_COLS):
                row[c] = NAN
            on = contacts[k, 0]
            off = contacts[k, 1]
            a = <Py_ssize_t>floor(on) - margin - 1
            b = <Py_ssize_t>ceil(off) + margin + 2
            if not wanted[k] or b - a > lanes.shape[0]:
                curves[k, :, :] = NAN
                for p in range(n_plates):
                    shares[k, p] = NAN
                continue
            low, high = <Py_ssize_t>segments[k, 0], <Py_ssize_t>segments[k, 1]
            first, last = <Py_ssize_t>ceil(on), <Py_ssize_t>floor(off)
            for p in range(n_plates):
                shares[k, p] = 0.0
            window(plates, &arms[0, 0], n_plates, a, b, low, high, first, last + 1, sos, zi, &lanes[0, 0], spare,
                   &shares[k, 0])
            # From here on only the contact and the samples next to it are looked at.
            first, last = max(first - 2, low), min(last + 2, high - 1)
            piece = correct(&lanes[first - a, 0], first, &fz[first], last - first + 1, breaks, baseline, side_tilt,
                            forward_tilt, piece)
            sz.x, sz.first, sz.step, sz.last = &fz[low], low, 1, high - 1
            sx.x, sx.first, sx.step, sx.last = &lanes[first - a, 0], first, 4, last
            sy = sx
            smx = sx
            smy = sx
            sy.x = sx.x + 1
            smx.x = sx.x + 2
            smy.x = sx.x + 3
            vertical(&sz, on, off, rate_hz, weight_n, noise_n, row)
            anteroposterior(&sy, on, off, rate_hz, weight_n, row)
            mediolateral(&sx, on, off, rate_hz, weight_n, row)
            pressure_centre(&sz, &smx, &smy, on, off, rate_hz, cop_least_n, speed_m_s, &origin[0], row)
            stance_curves(&sz, &sx, on, off, weight_n, cop_least_n, row[COP_X] - origin[0], row[COP_Y] - origin[1],
                          &curves[k, 0, 0])


# ---------------------------------------------------------------------------------------------------------------
# Mean curves of each limb


def mean_curves(const double[:, :, ::1] curves, const long long[::1] limb, double[:, :, ::1] mean,
                double[:, :, ::1] sd, long long[:, :, ::1] counts):
    """Mean and sample SD of the curves of limbs 0 and 1, over the contacts that have a value at each point.

    Parameters
    ----------
    curves : memoryview (k, c, p)
        Finite, or NaN where there is no value; c from 1 to 5, p from 1 to 101.
    limb : memoryview (k,)
        0, 1, or -1 for a contact that is left out.
    mean, sd : memoryviews (2, c, p)
        NaN where no contact, or for the SD fewer than two, has a value. Sums are taken of what each contact differs
        from the first of its limb, so that no mean has to be known before.
    counts : memoryview (2, c, p)
        Contacts with a value.
    """
    cdef Py_ssize_t k, c, j, i, points = curves.shape[2]
    cdef const double* x
    cdef double[N_CURVES][MOST_POINTS] shift
    cdef double[N_CURVES][MOST_POINTS] holes
    cdef Py_ssize_t found
    if limb.shape[0] != curves.shape[0] or mean.shape[0] != 2 or sd.shape[0] != 2 or counts.shape[0] != 2:
        raise ValueError("limb must have an entry for each contact, mean, sd and counts a row for each limb")
    for j in range(1, 3):
        if mean.shape[j] != curves.shape[j] or sd.shape[j] != curves.shape[j] or counts.shape[j] != curves.shape[j]:
            raise ValueError("mean, sd and counts must have the shape of a contact's curves")
    if not 0 < points <= MOST_POINTS or not 0 < curves.shape[1] <= N_CURVES:
        raise ValueError("a contact must have 1 to 5 curves of 1 to 101 points")
    with nogil:
        mean[:, :, :] = 0.0
        sd[:, :, :] = 0.0
        for j in range(2):
            found = 0
            for c in range(curves.shape[1]):
                for i in range(points):
                    shift[c][i] = holes[c][i] = 0.0
            for k in range(curves.shape[0]):
                if limb[k] != j:
                    continue
                for c in range(curves.shape[1]):
                    x = &curves[k, c, 0]
                    if found == 0:
                        for i in range(points):
                            shift[c][i] = x[i] if x[i] == x[i] else 0.0
                    _add_curve(x, shift[c], points, &mean[j, c, 0], &sd[j, c, 0], holes[c])
                found += 1
            for c in range(curves.shape[1]):
                for i in range(points):
                    counts[j, c, i] = found - <long long>holes[c][i]
                    _settle(shift[c][i], counts[j, c, i], &mean[j, c, i], &sd[j, c, i])


cdef inline void _add_pair(pair d, double* m, double* s) noexcept nogil:
    store(m, add(load(m), d))
    store(s, add(load(s), mul(d, d)))


cdef void _add_curve(const double* x, const double* shift, Py_ssize_t points, double* m, double* s,
                     double* holes) noexcept nogil:
    """Add a curve's differences from another, their squares, and 1 to the holes where it has no value.

    Eight points at a time: holes are few, at the ends of the centre of pressure.
    """
    cdef Py_ssize_t j = 0, k
    cdef pair d0, d1, d2, d3, all_
    cdef double e
    while j < points:
        if j + 8 <= points:
            d0, d1 = sub(load(x + j), load(shift + j)), sub(load(x + j + 2), load(shift + j + 2))
            d2, d3 = sub(load(x + j + 4), load(shift + j + 4)), sub(load(x + j + 6), load(shift + j + 6))
            all_ = add(add(d0, d1), add(d2, d3))
            e = low_of(all_) + high_of(all_)
            if e == e:
                _add_pair(d0, m + j, s + j)
                _add_pair(d1, m + j + 2, s + j + 2)
                _add_pair(d2, m + j + 4, s + j + 4)
                _add_pair(d3, m + j + 6, s + j + 6)
                j += 8
                continue
        for k in range(j, min(j + 8, points)):
            e = x[k] - shift[k]
            if e == e:
                m[k] += e
                s[k] += e * e
            else:
                holes[k] += 1.0
        j += 8


cdef void _settle(double shift, long long n, double* mean, double* sd) noexcept nogil:
    """The sums of n differences from `shift`, and of their squares, become mean and SD."""
    cdef double away = mean[0] / <double>n if n > 0 else NAN
    sd[0] = sqrt(max(sd[0] - mean[0] * away, 0.0) / <double>(n - 1)) if n > 1 else NAN
    mean[0] = away + shift if n > 0 else NAN


# ---------------------------------------------------------------------------------------------------------------
# Vertical motion of the body: double integration over whole strides (metrics 4.1)


cdef struct Motion:
    double y         # height and speed at the last sample, m and m/s
    double v
    double previous  # its force less the mean, N
    double low
    double high


cdef void _move(Motion* body, const double* f, Py_ssize_t hop, Py_ssize_t first, Py_ssize_t stop, double mean,
                double gain, double dt) noexcept nogil:
    """Go on over samples [first, stop), the force a straight line within each; `gain` turns force into speed.

    Two samples at a time, as each waits for the one before.
    """
    cdef Py_ssize_t i = first
    cdef double v = body.v, y = body.y, previous = body.previous, low = body.low, high = body.high
    cdef double one, two, y_one, step_one, rise_one, rise_two, sixth = gain * dt / 6.0, half = 0.5 * gain
    while i < stop:
        one = f[i * hop] - mean
        step_one = (previous + one) * half
        rise_one = (2.0 * previous + one) * sixth
        y_one = y + (v * dt + rise_one)
        low, high = _lesser(y_one, low), _greater(y_one, high)
        if i + 1 == stop:
            y, v, previous = y_one, v + step_one, one
            break
        two = f[(i + 1) * hop] - mean
        rise_two = (2.0 * one + two) * sixth
        y += 2.0 * dt * v + (rise_one + (step_one * dt + rise_two))
        v += step_one + (one + two) * half
        low, high = _lesser(y, low), _greater(y, high)
        previous = two
        i += 2
    body.v, body.y, body.previous, body.low, body.high = v, y, previous, low, high


def vertical_motion(const double[::1] fz, const double[:, ::1] strides, const unsigned char[::1] both, double rate_hz,
                    double weight_n, double g, Py_ssize_t hop, double[:, ::1] out):
    """Oscillation of each of a stride's two steps, and how far each contact compresses.

    Parameters
    ----------
    fz : memoryview (n,)
        Total vertical force, N.
    strides : memoryview (k, 5)
        Contact on and off of both contacts and the next contact on, in samples.
    both : memoryview (k,)
        0 leaves the second step NaN, which takes half the time.
    hop : int
        Every hop-th sample is used; the force is smooth at that spacing.
    out : memoryview (k, 4)
        Range of height in the first and second step, and height lost from contact on to the lowest point of
        the first and second contact, m.
    """
    cdef Py_ssize_t k, i, i0, i1, m, begin, end, contact_end
    cdef double mean, total, turning, dt = <double>hop / rate_hz, gain = g / weight_n * dt
    cdef pair totals, turnings, numbers, two = pair_of(2.0, 2.0), forces
    cdef const double* f
    cdef Motion body
    cdef int s
    if strides.shape[1] != 5 or out.shape[1] != 4 or out.shape[0] != strides.shape[0] or hop < 1 \
            or both.shape[0] != strides.shape[0]:
        raise ValueError("strides must be (k, 5), both (k,), out (k, 4) and hop at least 1")
    with nogil:
        for k in range(strides.shape[0]):
            i0 = <Py_ssize_t>floor(strides[k, 0] + 0.5)
            i1 = <Py_ssize_t>floor(strides[k, 4] + 0.5)
            m = (i1 - i0) // hop
            for i in range(4):
                out[k, i] = NAN
            if m < 4 or i0 < 0 or i0 + m * hop >= fz.shape[0]:
                continue
            f = &fz[i0]
            # Periodic stride: the mean acceleration is taken off, and the first velocity makes the mean velocity 0.
            # Both follow from two sums: the force, and the force times its sample's number.
            totals = turnings = pair_of(0.0, 0.0)
            numbers = pair_of(1.0, 2.0)
            for i in range(1, m - 1, 2):
                forces = pair_of(f[i * hop], f[(i + 1) * hop])
                totals, turnings = add(totals, forces), add(turnings, mul(numbers, forces))
                numbers = add(numbers, two)
            total, turning = low_of(totals) + high_of(totals), low_of(turnings) + high_of(turnings)
            if m % 2 == 0:
                total += f[(m - 1) * hop]
                turning += <double>(m - 1) * f[(m - 1) * hop]
            mean = (0.5 * (f[0] + f[m * hop]) + total) / <double>m
            if not mean - mean == 0.0:  # a gap
                continue
            total -= mean * <double>(m - 1)
            turning -= mean * 0.5 * <double>m * <double>(m - 1)
            body.v = -gain * ((<double>m - 0.5) * total - turning + 0.5 * <double>(m - 1) * (f[0] - mean)) / <double>m
            # Height 0 is at the sample nearest to contact on.
            body.y = 0.0
            body.previous = f[0] - mean
            begin = 0
            for s in range(2 if both[k] else 1):
                end = m + 1 if s == 1 else min(<Py_ssize_t>ceil((strides[k, 2] - <double>i0) / <double>hop), m + 1)
                contact_end = <Py_ssize_t>floor((strides[k, 2 * s + 1] - <double>i0) / <double>hop)
                if begin < end:
                    if begin > 0:
                        _move(&body, f, hop, begin, begin + 1, mean, gain, dt)
                    # The height at contact on, which lies up to half a sample or one away.
                    out[k, 2 + s] = body.y - body.v * (<double>(i0 + begin * hop) - strides[k, 2 * s]) / rate_hz
                    body.low = body.high = body.y
                    contact_end = min(contact_end + 1, end)
                    _move(&body, f, hop, begin + 1, contact_end, mean, gain, dt)
                    out[k, 2 + s] = out[k, 2 + s] - body.low if contact_end > begin else NAN
                    _move(&body, f, hop, max(contact_end, begin + 1), end, mean, gain, dt)
                    out[k, s] = body.high - body.low
                begin = max(end, 0)
