"""The lab script once more, written for Numba: the same work as loops over memory.

What somebody writes who knows Numba well: nopython mode without the GIL, compiled code kept between runs, one buffer
for both passes of the filter with the channels as the inner loop (the fastest of four ways that were tried), a
detector that reads each sample once, a step's metrics in a function that allocates nothing, and a bootstrap from
running sums, so that a block of strides costs two reads however long it is. No `fastmath`, which would let sums
differ. Numba compiles for the processor at hand, with all its vector instructions.

It does the job of `lab_script` and no more; `bench_numba_same_job` asserts that their numbers agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import signal

from . import lab_script as lab
from .lab_script import FX, FY, FZ, MX, MY, MZ, Array, G

jit = njit(nogil=True, cache=True, error_model="numpy")

#: What `_metrics` returns, in its order.
METRICS = (
    *("peak_impact", "t_impact", "valr_0_100", "valr_2080t", "valr_2080f", "vilr", "peak_active", "t_active"),
    *("valr_2080_poi13", "valr_3_12", "valr_0_50ms", "vilr_50ms", "imp_v", "imp_brake", "imp_prop"),
    *("peak_brake", "peak_prop", "blr", "t_zero_ap", "plus_x", "minus_x"),
    *("cop_x", "cop_y", "cop_range_x", "cop_range_y", "cop_path"),
)


@jit
def _one_pass(x, b0, b1, b2, a1, a2, zi):
    """Biquad over all rows in place, from the state of an endless input of the first row."""
    n, m = x.shape
    s0, s1 = zi[0] * x[0], zi[1] * x[0]
    for i in range(n):
        for c in range(m):
            v = x[i, c]
            y = b0 * v + s0[c]
            s0[c] = b1 * v - a1 * y + s1[c]
            s1[c] = b2 * v - a2 * y
            x[i, c] = y


@jit
def _zero_phase(x, section, zi, padlen):
    n, m = x.shape
    ext = np.empty((n + 2 * padlen, m))
    for k in range(padlen):
        for c in range(m):
            ext[k, c] = 2.0 * x[0, c] - x[padlen - k, c]
            ext[padlen + n + k, c] = 2.0 * x[n - 1, c] - x[n - 2 - k, c]
    ext[padlen : padlen + n] = x
    b0, b1, b2, a1, a2 = section[0], section[1], section[2], section[4], section[5]
    _one_pass(ext, b0, b1, b2, a1, a2, zi)
    _one_pass(ext[::-1], b0, b1, b2, a1, a2, zi)
    return ext[padlen : padlen + n]


def zero_phase(x: Array, sos: Array, padlen: int) -> Array:
    """Zero-phase copy of the columns of x by one second-order section."""
    return _zero_phase(x, sos[0], signal.sosfilt_zi(sos)[0], padlen)


@jit
def live(x, section, state, loaded, seen, level_n, events, count):
    """A block of a running signal: forward filter of all channels, events of the summed vertical force."""
    n, m = x.shape
    b0, b1, b2, a1, a2 = section[0], section[1], section[2], section[4], section[5]
    s0, s1 = state[0], state[1]
    for i in range(n):
        total = 0.0
        for c in range(m):
            v = x[i, c]
            y = b0 * v + s0[c]
            s0[c] = b1 * v - a1 * y + s1[c]
            s1[c] = b2 * v - a2 * y
            if c % 6 == FZ:
                total += y
        if (total >= level_n) != loaded:
            loaded = not loaded
            events[count] = seen + i
            count += 1
    return loaded, count


@jit
def sum_belts(left, right, origins):
    """One wrench about the middle of the treadmill, (6, n): a row a channel."""
    n = len(left)
    total = np.empty((6, n))
    xl, yl, xr, yr = origins[0, 0], origins[0, 1], origins[1, 0], origins[1, 1]
    for i in range(n):
        total[FX, i] = left[i, FX] + right[i, FX]
        total[FY, i] = left[i, FY] + right[i, FY]
        total[FZ, i] = left[i, FZ] + right[i, FZ]
        total[MX, i] = left[i, MX] + right[i, MX] + yl * left[i, FZ] + yr * right[i, FZ]
        total[MY, i] = left[i, MY] + right[i, MY] - xl * left[i, FZ] - xr * right[i, FZ]
        of_left, of_right = xl * left[i, FY] - yl * left[i, FX], xr * right[i, FY] - yr * right[i, FX]
        total[MZ, i] = left[i, MZ] + right[i, MZ] + of_left + of_right
    return total


@jit
def threshold(fz, level_n, shortest):
    """As in the lab script: rise and fall through one level, in samples; whole contacts of at least `shortest`."""
    on, off = np.empty(len(fz) // 2 + 1), np.empty(len(fz) // 2 + 1)
    count, begun = 0, -1.0
    for i in range(1, len(fz)):
        if (fz[i] > level_n) != (fz[i - 1] > level_n):
            at = i - 1 + (level_n - fz[i - 1]) / (fz[i] - fz[i - 1])
            if fz[i] > level_n:
                begun = at
            elif begun >= 0.0 and at - begun >= shortest:
                on[count], off[count] = begun, at
                count += 1
    return on[:count].copy(), off[:count].copy()


@jit
def detect(fz, level, level_off, hold_on, hold_off):
    """Contacts with hysteresis and confirmation: rows of on, off and peak, in samples and N.

    A contact begins where the force rises through `level` before `hold_on` samples in a row at or above it, and ends
    where it fell through `level` for the last time before `hold_off` samples in a row below `level_off`.
    """
    out = np.empty((len(fz) // (hold_on + hold_off) + 1, 3))
    count, run, loaded, peak, on, fell = 0, 0, False, 0.0, 0.0, 0.0
    for i in range(1, len(fz)):
        v, before = fz[i], fz[i - 1]
        if not loaded:
            if v >= level:
                if run == 0:
                    on, peak = i - 1 + (level - before) / (v - before), v
                run += 1
                peak = max(peak, v)
                loaded = run >= hold_on
                run = 0 if loaded else run
            else:
                run = 0
        else:
            peak = max(peak, v)
            if v < level <= before:
                fell = i - 1 + (before - level) / (before - v)
            run = run + 1 if v < level_off else 0
            if run >= hold_off:
                out[count, 0], out[count, 1], out[count, 2] = on, fell, peak
                count += 1
                loaded, run = False, 0
    return out[:count].copy()


@jit
def _between(f, at):
    """Value at a fractional sample, held beyond the ends."""
    if at <= 0.0:
        return f[0]
    k = int(at)
    return f[len(f) - 1] if k >= len(f) - 1 else f[k] + (at - k) * (f[k + 1] - f[k])


@jit
def _rise(f, lead, rate, a, b):
    return (_between(f, (b - lead) * rate) - _between(f, (a - lead) * rate)) / (b - a)


@jit
def _steepest(f, count, rate):
    best = -np.inf
    for i in range(min(count, len(f) - 2)):
        best = max(best, f[i + 2] - f[i])
    return best * 0.5 * rate


@jit
def _prominence(f, end, p):
    left = right = f[p]
    i = p
    while i >= 0 and f[i] <= f[p]:
        left = min(left, f[i])
        i -= 1
    i = p
    while i < end and f[i] <= f[p]:
        right = min(right, f[i])
        i += 1
    return f[p] - max(left, right)


@jit
def _impact(f, end, start, stop):
    """First local maximum of f[:end] from start to stop that stands out by 0.05, or -1; a plateau counts once."""
    i = 1
    while i < end - 1 and i <= stop:
        if f[i - 1] < f[i]:
            ahead = i + 1
            while ahead < end - 1 and f[ahead] == f[i]:
                ahead += 1
            if f[ahead] < f[i]:
                p = (i + ahead - 1) // 2
                if start <= p <= stop and _prominence(f, end, p) >= 0.05:
                    return p
                i = ahead
        i += 1
    return -1


@jit
def _highest(f, a, b):
    best = a
    for i in range(a, b):
        if f[i] > f[best]:
            best = i
    return best


@jit
def _lowest(f, a, b):
    best = a
    for i in range(a, b):
        if f[i] < f[best]:
            best = i
    return best


@jit
def _areas(y, dt):
    """Trapezoids of the positive and of the negative part."""
    plus = minus = 0.0
    for v in y:
        plus += max(v, 0.0)
        minus += min(v, 0.0)
    plus -= 0.5 * (max(y[0], 0.0) + max(y[-1], 0.0))
    minus -= 0.5 * (min(y[0], 0.0) + min(y[-1], 0.0))
    return plus * dt, minus * dt


@jit
def _braking(y, lead, tc, rate):
    """Extremes of the fore-aft force, its steepest fall, and when it turns from braking to propulsion."""
    n = len(y)
    brake, push = _lowest(y, 0, n), _highest(y, 0, n)
    steepest = np.inf
    for i in range(min(max(brake, 1), n - 2)):
        steepest = min(steepest, y[i + 2] - y[i])
    zero = np.nan
    for i in range(push - 1, brake - 1, -1):
        if y[i] < 0.0:
            zero = 100.0 * (lead + i / rate) / tc
            break
    return y[brake], y[push], steepest * 0.5 * rate, zero


@jit
def _centres(f, mx, my, level, lead, rate, speed):
    """Mean centre of pressure of the middle of the contact, its ranges and its path."""
    n = len(f)
    sum_f = sum_x = sum_y = 0.0
    for i in range(int(0.2 * n), int(0.8 * n) + 1):
        sum_f += f[i]
        sum_x -= my[i]
        sum_y += mx[i]
    low_x, high_x, low_y, high_y, path = np.inf, -np.inf, np.inf, -np.inf, 0.0
    last_x = last_y = np.nan
    for i in range(n):
        if f[i] > level:
            x, y = -my[i] / f[i], mx[i] / f[i] + speed * (lead + i / rate)
            low_x, high_x, low_y, high_y = min(low_x, x), max(high_x, x), min(low_y, y), max(high_y, y)
            if not math.isnan(last_x):
                path += math.sqrt((x - last_x) ** 2 + (y - last_y) ** 2)
            last_x, last_y = x, y
    return sum_x / sum_f, sum_y / sum_f, high_x - low_x, high_y - low_y, path


@jit
def _metrics(part, weight, lead, tc, rate, speed):
    """One contact from its samples in BW and BW m, a row a channel."""
    f, dt = part[FZ], 1.0 / rate
    quarter = int(0.25 * tc * rate)
    active = _highest(f, quarter, len(f))
    p = _impact(f, active + 1, int(0.005 * rate), int(min(0.25 * tc, 0.075) * rate))
    peak_impact = t_impact = to_peak = by_time = by_force = vilr = np.nan
    if p >= 0:
        peak_impact, t_impact = f[p], lead + p * dt
        to_peak = _rise(f, lead, rate, 0.0, t_impact)
        by_time = _rise(f, lead, rate, 0.2 * t_impact, 0.8 * t_impact)
        i = 0
        while f[i] < 0.2 * f[p]:
            i += 1
        j = i
        while f[j] < 0.8 * f[p]:
            j += 1
        by_force = (f[j] - f[i]) / ((j - i) * dt) if j > i else np.nan
        vilr = _steepest(f, p, rate)
        active = _highest(f, _lowest(f, p, active + 1), len(f))
    poi = 0.13 * tc
    vertical = _areas(f, dt)
    propulsion, braking = _areas(part[FY], dt)
    peak_brake, peak_prop, blr, t_zero = _braking(part[FY], lead, tc, rate)
    plus_x, minus_x = _areas(part[FX], dt)
    cop_x, cop_y, range_x, range_y, path = _centres(f, part[MX], part[MY], 50.0 / weight, lead, rate, speed)
    return (
        *(peak_impact, t_impact, to_peak, by_time, by_force, vilr, f[active], lead + active * dt),
        *(_rise(f, lead, rate, 0.2 * poi, 0.8 * poi), _rise(f, lead, rate, 0.03 * tc, 0.12 * tc)),
        *(_rise(f, lead, rate, 0.0, 0.05), _steepest(f, int(0.05 * rate), rate)),
        *(vertical[0] + vertical[1], braking, propulsion),
        *(peak_brake, peak_prop, blr, t_zero, plus_x, minus_x),
        *(cop_x, cop_y, range_x, range_y, path),
    )


@jit
def _oscillation(f, weight, middle, rate):
    """Range of the height in both steps of a stride, speed and height made periodic."""
    n = len(f)
    y = np.empty(n)
    mean = speed = speeds = height = 0.0
    for v in f:
        mean += G * (v / weight - 1.0) / n
    for i in range(n):
        speed += (G * (f[i] / weight - 1.0) - mean) / rate
        y[i] = speed
        speeds += speed / n
    for i in range(n):
        height += (y[i] - speeds) / rate
        y[i] = height
    first, second = y[: middle + 1], y[middle:]
    return first.max() - first.min(), second.max() - second.min()


@jit
def _loop(total, left_fz, right_fz, on, off, rate, weight, speed, table, limb, curves, vo):
    """Metrics, limb and stance curves of every contact, and the oscillation of every stride."""
    first, last = np.ceil(on).astype(np.int64), np.floor(off).astype(np.int64) + 1
    room = np.empty((6, (last - first).max()))
    for k in range(len(on)):
        i, j = first[k], last[k]
        part = room[:, : j - i]
        for c in range(6):
            for s in range(j - i):
                part[c, s] = total[c, i + s] / weight
        row = _metrics(part, weight, (i - on[k]) / rate, (off[k] - on[k]) / rate, rate, speed)
        for c in range(len(row)):
            table[k, c] = row[c]
        for c in (FX, FY, FZ):
            for g in range(101):
                curves[k, c, g] = _between(part[c], on[k] + 0.01 * g * (off[k] - on[k]) - i)
        of_left = of_right = 0.0
        for s in range(i, j):
            of_left += left_fz[s]
            of_right += right_fz[s]
        limb[k] = 1 if of_right > of_left else 0
    for k in range(0, len(on) - 2, 2):
        stride = total[FZ, first[k] : first[k + 2]]
        vo[k], vo[k + 1] = _oscillation(stride, weight, first[k + 1] - first[k], rate)


def step_table(
    total: Array,
    left_fz: Array,
    right_fz: Array,
    on: Array,
    off: Array,
    *,
    rate_hz: float,
    mass_kg: float,
    speed_m_s: float,
) -> tuple[dict[str, Array], NDArray[np.int64], Array]:
    """As in the lab script, from channels by row."""
    n = len(on)
    table, limb = np.empty((n, len(METRICS))), np.empty(n, dtype=np.int64)
    curves, vo = np.empty((n, 3, 101)), np.full(n, np.nan)
    weight = mass_kg * G
    _loop(total, left_fz, right_fz, on, off, rate_hz, weight, speed_m_s, table, limb, curves, vo)
    steps = dict(zip(METRICS, table.T, strict=True)) | {"vo": vo}
    mean_curves = np.stack([curves[limb == side].mean(axis=0) for side in (0, 1)])
    return lab.across_contacts(steps, limb, on, off, rate_hz), limb, mean_curves


@jit
def _replicates(pairs, starts, length):
    """Means of every replicate of circular blocks, NaN left out, from running sums."""
    n, m = pairs.shape
    sums, counts = np.zeros((2 * n + 1, m)), np.zeros((2 * n + 1, m))
    for i in range(2 * n):
        for c in range(m):
            v = pairs[i % n, c]
            known = not math.isnan(v)
            sums[i + 1, c] = sums[i, c] + (v if known else 0.0)
            counts[i + 1, c] = counts[i, c] + known
    out = np.empty((len(starts), m))
    total, count = np.empty(m), np.empty(m)
    for r in range(len(starts)):
        total[:] = 0.0
        count[:] = 0.0
        for b in range(starts.shape[1]):
            i = starts[r, b]
            j = i + min(length, n - b * length)
            for c in range(m):
                total[c] += sums[j, c] - sums[i, c]
                count[c] += counts[j, c] - counts[i, c]
        for c in range(m):
            out[r, c] = total[c] / count[c]
    return out


def symmetry(
    steps: dict[str, Array], limb: NDArray[np.int64], *, n_boot: int = 2000, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """As in the lab script, with the same draws."""
    return lab.symmetry(steps, limb, n_boot=n_boot, seed=seed, replicates=_replicates)


def analyse(
    belts: Sequence[Array],
    origins: Array,
    *,
    rate_hz: float,
    mass_kg: float,
    speed_m_s: float,
    level_n: float = 20.0,
    n_boot: int = 2000,
    seed: int = 0,
) -> lab.LabResult:
    """The whole script."""
    sos, padlen = lab.design(rate_hz), int(np.ceil(3.0 * rate_hz / 50.0))
    left, right = (zero_phase(w, sos, padlen) for w in belts)
    total = sum_belts(left, right, origins)
    on, off = threshold(total[FZ], level_n, 0.07 * rate_hz)
    steps, limb, curves = step_table(
        total, left[:, FZ], right[:, FZ], on, off, rate_hz=rate_hz, mass_kg=mass_kg, speed_m_s=speed_m_s
    )
    return lab.LabResult(steps, limb, curves, symmetry(steps, limb, n_boot=n_boot, seed=seed))
