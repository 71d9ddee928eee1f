"""Naive versions of the kernels, written to be read: whole arrays, no state, no reuse of work."""

import math

import numpy as np
from scipy import integrate, interpolate


def trapezoid(t, y):
    return float(np.sum(np.diff(t) * 0.5 * (y[1:] + y[:-1])))


# ---------------------------------------------------------------------------------------------------------------
# Intake


def runs_of(mask):
    """First and one-past-last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(int)))
    return edges.reshape(-1, 2)


def intake(wrench, measured, block, wide, group):
    """Means of Fz in blocks and of all channels in wide blocks, extremes of groups of blocks among finite values, and
    runs of frames that are not finite.
    """
    bad = ~np.isfinite(wrench[:, measured.astype(bool)]).all(axis=1)
    vertical, means = (_block_means(wrench, bad, length) for length in (block, block * wide))
    spans = range(0, len(wrench), block * group)
    pieces = [np.ma.masked_invalid(wrench[s : s + block * group]) for s in spans]
    low = np.array([p.min(axis=0).filled(np.inf) for p in pieces])
    high = np.array([p.max(axis=0).filled(-np.inf) for p in pieces])
    return vertical[:, 2], means, low, high, runs_of(bad)


def _block_means(wrench, bad, length):
    starts = range(0, len(wrench), length)
    with np.errstate(invalid="ignore"):  # inf - inf on a channel that is not measured
        means = np.array([wrench[s : s + length].mean(axis=0) for s in starts])
    means[[bad[s : s + length].any() for s in starts]] = np.nan
    return means


# ---------------------------------------------------------------------------------------------------------------
# Envelope and baseline


def rolling_percentile(x, half, fraction):
    out = np.full(len(x), np.nan)
    for i in range(len(x)):
        window = np.sort(x[max(i - half, 0) : i + half + 1])
        window = window[~np.isnan(window)]
        if len(window):
            out[i] = window[math.floor(fraction * (len(window) - 1))]
    return out


def theil_sen_residuals(t, values, neighbours):
    """Distance of each knot from the line of median slope and median level through its nearest neighbours."""
    out = np.zeros_like(values)
    for i in range(len(t)):
        others = np.delete(np.arange(len(t)), i)
        near = others[np.argsort(np.abs(t[others] - t[i]), kind="stable")][:neighbours]
        if len(near) < 3:
            continue
        for c in range(values.shape[1]):
            y = values[near, c]
            a, b = np.triu_indices(len(near), 1)
            slope = np.median((y[a] - y[b]) / (t[near[a]] - t[near[b]]))
            out[i, c] = values[i, c] - np.median(y - slope * (t[near] - t[i]))
    return out


# ---------------------------------------------------------------------------------------------------------------
# Detector (metrics 1.3) and crossings (1.4)


def crossing(y, i, level):
    """Time at which the line from sample i to i + 1 meets the level."""
    return i + (level - y[i]) / (y[i + 1] - y[i])


def detect(y, level, level_off, hold_on, hold_off):
    """Rows of on, off, peak, cut at start, cut at end, dips bridged; each rule is a look ahead."""
    rows = []
    i = 0
    while i < len(y):
        if y[i] < level:
            i += 1
            continue
        ahead = y[i : i + hold_on]
        dropped = np.flatnonzero(ahead < level_off)
        if len(dropped):
            i += dropped[0] + 1
            continue
        if len(ahead) < hold_on:
            break
        end, closed, dips = _close(y, i + hold_on, level, level_off, hold_off)
        on = 0.0 if i == 0 else crossing(y, i - 1, level)
        cut_end = not closed and y[-1] >= level
        downs = [k for k in range(i, end - 1) if y[k] >= level > y[k + 1]]
        off = len(y) - 1.0 if cut_end else crossing(y, downs[-1], level)
        rows.append((on, off, y[i:end].max(), float(i == 0), float(cut_end), float(dips)))
        i = end
    return np.array(rows).reshape(-1, 6)


def _close(y, start, level, level_off, hold_off):
    """One past the sample that confirms the end, whether one does, and how many dips were bridged before."""
    dips = 0
    while True:
        below = np.flatnonzero(y[start:] < level_off)
        if not len(below):
            return len(y), False, dips
        drop = start + below[0]
        back = np.flatnonzero(y[drop : drop + hold_off] >= level)
        if len(back):
            dips += 1
            start = drop + back[0]
        elif drop + hold_off > len(y):
            return len(y), False, dips
        else:
            return drop + hold_off, True, dips


def odd_extended(x, low, high, a, b):
    """Samples a..b-1 of a signal that is known in [low, high), mirrored through its end points beyond."""
    i = np.arange(a, b)
    left, right = 2 * low - i, 2 * (high - 1) - i
    out = np.array(x[np.clip(i, low, high - 1)], dtype=float)
    out[i < low] = 2.0 * x[low] - x[np.minimum(left[i < low], high - 1)]
    out[i >= high] = 2.0 * x[high - 1] - x[np.maximum(right[i >= high], low)]
    return out


# ---------------------------------------------------------------------------------------------------------------
# Metrics of one contact (metrics 2, 3, 4, 6.0). Signals are known at samples [low, high).


class Line:
    """A sampled signal, joined by straight lines; y[i - first] is sample i."""

    def __init__(self, y, first=0):
        self.y, self.first, self.last = np.asarray(y, dtype=float), first, first + len(y) - 1

    def __getitem__(self, i):
        return float(self.y[i - self.first])

    def at(self, t):
        if not self.first <= t <= self.last:
            return math.nan
        i = min(math.floor(t), self.last - 1)
        return self[i] + (t - i) * (self[i + 1] - self[i])

    def nodes(self, a, b):
        """Times and values of the pieces from a to b."""
        inner = [float(i) for i in range(math.floor(a) + 1, math.ceil(b))]
        t = np.array([a, *inner, b])
        return t, np.array([self.at(v) for v in t])

    def within(self, a, b):
        return range(math.ceil(a), math.floor(b) + 1)


def mean_rate(s, a, b, rate):
    return (s.at(b) - s.at(a)) / (b - a) * rate if b > a else math.nan


def fitted_rate(s, a, b, rate):
    i = np.array(s.within(a, b)) if b > a else np.empty(0)
    if len(i) < 2 or i[0] < s.first or i[-1] > s.last:
        return math.nan
    return float(np.polynomial.polynomial.polyfit(i - i.mean(), [s[k] for k in i], 1)[1]) * rate


def steepest(s, a, b, rate, sign=1.0):
    """Central difference of the largest sign * slope."""
    if not b >= a:
        return math.nan
    i = s.within(a, b)
    if not len(i) or i[0] - 1 < s.first or i[-1] + 1 > s.last:
        return math.nan
    return sign * max(sign * (s[k + 1] - s[k - 1]) / 2 * rate for k in i)


def first_reach(s, a, b, value):
    """First time in [a, b] at which the joined samples are at value."""
    t, y = s.nodes(a, b)
    if y[0] >= value:
        return a
    above = np.flatnonzero(y >= value)
    if not len(above):
        return math.nan
    k = above[0]
    return t[k - 1] + (t[k] - t[k - 1]) * (value - y[k - 1]) / (y[k] - y[k - 1])


def parabola(s, i):
    """Time and value of the vertex through three samples around a sample extreme."""
    if i <= s.first or i >= s.last:
        return float(i), s[i]
    before, here, after = s[i - 1], s[i], s[i + 1]
    bend = before - 2.0 * here + after
    if bend == 0.0 or abs(before - after) > 2.0 * abs(bend):
        return float(i), here
    shift = 0.5 * (before - after) / bend
    return i + shift, here - 0.25 * (before - after) * shift


def impulse_parts(s, a, b, rate):
    """Areas above and below zero between a and b, N s; zero crossings become nodes of their own."""
    t, y = s.nodes(a, b)
    k = np.flatnonzero(y[:-1] * y[1:] < 0)
    zero = t[k] + (t[k + 1] - t[k]) * y[k] / (y[k] - y[k + 1])
    t, y = np.insert(t, k + 1, zero), np.insert(y, k + 1, 0.0)
    return trapezoid(t, np.maximum(y, 0.0)) / rate, trapezoid(t, np.minimum(y, 0.0)) / rate


def impulse(s, a, b, rate):
    t, y = s.nodes(a, b)
    return trapezoid(t, y) / rate


def largest(s, a, b, sign=1.0):
    """First sample of the largest sign * value in [a, b]; None if there is none."""
    i = s.within(a, b)
    return i[int(np.argmax([sign * s[k] for k in i]))] if len(i) else None


def impact_peak(fz, on, tc, active, rate, least):
    """First local maximum in the window with the prominence asked for (metrics 2.1)."""
    for i in fz.within(on + 0.005 * rate, on + min(0.25 * tc, 0.075 * rate)):
        if i - 1 < fz.first or i + 1 > fz.last or i >= active:
            return None
        if not (fz[i] > fz[i - 1] and fz[i] >= fz[i + 1]):
            continue
        after = np.array([fz[k] for k in range(i + 1, active + 1)])
        higher = np.flatnonzero(after > fz[i])
        lowest = after[: higher[0]] if len(higher) else after
        if len(lowest) and fz[i] - lowest.min() >= least:
            return i
    return None


def vertical(fz, on, off, rate, weight, noise):
    tc = off - on
    row = {}
    active = largest(fz, on + 0.25 * tc, off)
    if active is None:
        return row

    def rates(name, a, b):
        row[f"valr_{name}"] = mean_rate(fz, a, b, rate) / weight
        row[f"valr_{name}_ls"] = fitted_rate(fz, a, b, rate) / weight

    impact = impact_peak(fz, on, tc, active, rate, max(0.05 * weight, 5.0 * noise))
    if impact is not None:
        poi, value = parabola(fz, impact)
        row["peak_impact"] = value / weight
        row["t_impact"] = (poi - on) / rate
        first, last = on + 0.005 * rate, on + min(0.25 * tc, 0.075 * rate)
        row["impact_at_edge"] = float(not first <= impact - 1 <= impact + 1 <= last)
        dip = impact + int(np.argmin([fz[k] for k in range(impact, active + 1)]))
        active = largest(fz, dip, off)
        span = poi - on
        rates("0_100", on, poi)
        rates("2080t", on + 0.2 * span, on + 0.8 * span)
        row["vilr_2080t"] = steepest(fz, on + 0.2 * span, on + 0.8 * span, rate) / weight
        a, b = first_reach(fz, on, poi, 0.2 * value), first_reach(fz, on, poi, 0.8 * value)
        rates("2080f", a, b)
        row["vilr_2080f"] = steepest(fz, a, b, rate) / weight
        row["vilr_ip"] = steepest(fz, on, poi, rate) / weight
        row["imp_v_early_ip"] = impulse(fz, on, poi, rate) / weight
    peak, value = parabola(fz, active)
    row["peak_active"] = value / weight
    row["t_active"] = (peak - on) / rate
    rates("0_13", on, on + 0.13 * tc)
    rates("2080_poi13", on + 0.2 * 0.13 * tc, on + 0.8 * 0.13 * tc)
    rates("3_12", on + 0.03 * tc, on + 0.12 * tc)
    row["vilr_poi13"] = steepest(fz, on, on + 0.13 * tc, rate) / weight
    row["imp_v_early_poi13"] = impulse(fz, on, on + 0.13 * tc, rate) / weight
    if on + 0.05 * rate <= off:
        rates("0_50ms", on, on + 0.05 * rate)
        row["vilr_50ms"] = steepest(fz, on, on + 0.05 * rate, rate) / weight
    row["imp_v"] = impulse(fz, on, off, rate) / weight
    return row


def anteroposterior(fy, on, off, rate, weight):
    row = {}
    plus, minus = impulse_parts(fy, on, off, rate)
    row["imp_brake"], row["imp_prop"] = minus / weight, plus / weight
    brake, prop = largest(fy, on, off, -1.0), largest(fy, on, off)
    if brake is not None and fy[brake] < 0.0:
        t, value = parabola(fy, brake)
        row["peak_brake"], row["t_peak_brake"] = value / weight, (t - on) / rate
        row["blr"] = steepest(fy, on, t, rate, -1.0) / weight
        row["blr_2080"] = mean_rate(fy, on + 0.2 * (t - on), on + 0.8 * (t - on), rate) / weight
    if prop is not None and fy[prop] > 0.0:
        t, value = parabola(fy, prop)
        row["peak_prop"], row["t_peak_prop"] = value / weight, (t - on) / rate
    if "peak_brake" not in row or "peak_prop" not in row:
        return row
    rises = [i for i in range(brake, prop) if fy[i] < 0.0 <= fy[i + 1]]
    if rises:
        i = rises[-1]
        zero = i - fy[i] / (fy[i + 1] - fy[i])
        row["t_zero_ap"] = 100.0 * (zero - on) / (off - on)
        row["imp_brake_phase"] = impulse(fy, on, zero, rate) / weight
        row["imp_prop_phase"] = impulse(fy, zero, off, rate) / weight
    return row


def mediolateral(fx, on, off, rate, weight):
    plus, minus = impulse_parts(fx, on, off, rate)
    row = {"imp_plus_x": plus / weight, "imp_minus_x": minus / weight}
    for name, sign in (("plus", 1.0), ("minus", -1.0)):
        i = largest(fx, on, off, sign)
        if i is not None:
            row[f"peak_{name}_x"] = parabola(fx, i)[1] / weight
    return row


def pressure_centre(fz, mx, my, on, off, rate, least, speed, origin):
    row = {}
    middle = fz.within(on + 0.2 * (off - on), on + 0.8 * (off - on))
    load = sum(fz[i] for i in middle)
    if load > 0.0:
        row["cop_x"] = origin[0] - sum(my[i] for i in middle) / load
        row["cop_y"] = origin[1] + sum(mx[i] for i in middle) / load
    loaded = [i for i in fz.within(on, off) if fz[i] > least]
    if not loaded:
        return row
    # About 500 samples a second, and the last loaded one.
    first, last, hop = loaded[0], loaded[-1], max(int(rate / 500.0), 1)
    seen = sorted({*range(first, last + 1, hop), last})
    loaded = [i for i in seen if fz[i] > least]
    x = np.array([origin[0] - my[i] / fz[i] for i in loaded])
    y = np.array([origin[1] + mx[i] / fz[i] for i in loaded])
    belt = y + speed * (np.array(loaded) - on) / rate
    row |= {"cop_min_x": x.min(), "cop_max_x": x.max(), "cop_min_y": y.min(), "cop_max_y": y.max()}
    row["cop_range_x"] = np.ptp(x)
    row["cop_range_y"] = np.ptp(belt)
    row["cop_path"] = np.hypot(np.diff(x), np.diff(belt)).sum() if not math.isnan(speed) else math.nan
    return row


def contact(fz, lanes, on, off, rate, weight, noise, least, speed, origin):
    """All columns of one contact and its five curves.

    `fz` is a Line over the gap-free stretch; `lanes` are Lines of Fx, Fy, Mx, My.
    """
    fx, fy, mx, my = lanes
    row = vertical(fz, on, off, rate, weight, noise)
    row |= anteroposterior(fy, on, off, rate, weight)
    row |= mediolateral(fx, on, off, rate, weight)
    row |= pressure_centre(fz, mx, my, on, off, rate, least, speed, origin)
    times = [on + (off - on) * k / 100.0 for k in range(101)]
    forces = np.array([[s.at(t) for t in times] for s in (fx, fy, fz)]) / weight
    cop = np.full((2, 101), math.nan)
    for k, t in enumerate(times):
        force = fz.at(t)
        if force > least:
            cop[0, k] = origin[0] - my.at(t) / force - row.get("cop_x", math.nan)
            cop[1, k] = origin[1] + mx.at(t) / force - row.get("cop_y", math.nan)
    return row, np.vstack((forces, cop))


def mean_curves(curves, limb):
    """Mean, sample SD and number of the finite values of each limb, point by point."""
    shape = (2, *curves.shape[1:])
    mean, sd, counts = np.full(shape, math.nan), np.full(shape, math.nan), np.zeros(shape, dtype=np.int64)
    for k in range(2):
        for j in np.ndindex(*curves.shape[1:]):
            values = [
                x for x, side in zip(curves[:, *j], limb, strict=True) if side == k and math.isfinite(x)
            ]
            counts[k, *j] = len(values)
            if values:
                mean[k, *j] = np.mean(values)
            if len(values) > 1:
                sd[k, *j] = np.std(values, ddof=1)
    return mean, sd, counts


def virtual_lanes(wrenches, arms):
    """Fx, Fy, Mx, My of all plates about the common origin, M + r x F."""
    force = sum(w[:, :3] for w in wrenches)
    moment = sum(w[:, 3:] + np.cross(r, w[:, :3]) for w, r in zip(wrenches, arms, strict=True))
    return np.column_stack((force[:, :2], moment[:, :2]))


# ---------------------------------------------------------------------------------------------------------------
# Vertical motion (metrics 4.1)


def vertical_motion(fz, stride, rate, weight, g, hop=1):
    """Range of height of both steps, and height lost in both contacts."""
    on1, off1, on2, off2, after = stride
    start, stop = math.floor(on1 + 0.5), math.floor(after + 0.5)
    i = np.arange(start, stop + 1, hop)
    t = (i - start) / rate
    a = fz[i] / weight * g
    a = a - trapezoid(t, a) / t[-1]
    v = integrate.cumulative_trapezoid(a, t, initial=0.0)
    v = v - trapezoid(t, v) / t[-1]
    y = interpolate.CubicHermiteSpline(t, v, a).antiderivative()(t)  # v is a parabola between samples
    first, second = i < on2, i >= on2
    k = int(np.argmax(second))
    down1 = v[0] * (on1 - start) / rate - y[first & (i <= off1)].min()
    down2 = y[k] - v[k] * (i[k] - on2) / rate - y[second & (i <= off2)].min()
    return np.array([np.ptp(y[first]), np.ptp(y[second]), down1, down2])


# ---------------------------------------------------------------------------------------------------------------
# Plates


def to_wrench(raw, zero, matrix):
    """Matrix times channels, frame by frame."""
    out = np.empty((len(raw), 6))
    for i, frame in enumerate(raw.astype(np.float64)):
        out[i] = [sum(a * (v - z) for a, v, z in zip(row, frame, zero, strict=True)) for row in matrix]
    return out


def centre_of_pressure(wrench, origin, least_n):
    """Where the vertical force has no moment about x and y, and what is left about z."""
    cop, free_moment = np.full((len(wrench), 3), np.nan), np.full(len(wrench), np.nan)
    for i, (fx, fy, fz, mx, my, mz) in enumerate(wrench):
        if fz >= least_n:
            x, y = -my / fz, mx / fz
            cop[i] = origin[0] + x, origin[1] + y, origin[2]
            free_moment[i] = mz - np.cross([x, y, 0.0], [fx, fy, fz])[2]
    return cop, free_moment


def correct_centre_of_pressure(wrench, polynomial, least_n):
    """Kistler's polynomial, term by term, at the uncorrected place."""
    p, out = polynomial, wrench.copy()
    for i, (_, _, fz, mx, my, _) in enumerate(wrench):
        if abs(fz) >= least_n:
            x, y = -my / fz, mx / fz
            dx = (p[0] * y**4 + p[1] * y**2 + p[2]) * x**3 + (p[3] * y**4 + p[4] * y**2 + p[5]) * x
            dy = (p[6] * x**4 + p[7] * x**2 + p[8]) * y**3 + (p[9] * x**4 + p[10] * x**2 + p[11]) * y
            out[i, 4], out[i, 3] = -(x - dx) * fz, (y - dy) * fz
    return out
