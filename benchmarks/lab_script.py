"""The baseline: what a good lab programmer writes with NumPy and SciPy for one split-belt run.

All twelve channels through sosfiltfilt at 50 Hz, belts summed, one threshold, a loop over steps with the metrics of
metrics.md, sides by belt, symmetry indices with a block bootstrap. Whatever NumPy does well at once is done at once
(threshold, crossings, bootstrap); the loop works on slices. It does less than `balancecore.analyze_gait`: no checks of
the input, no baseline, one level without hysteresis, times from the 50 Hz copy, no least-squares variants, no flags
and no stiffness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Array = NDArray[np.float64]

G = 9.80665
FX, FY, FZ, MX, MY, MZ = range(6)


@dataclass(frozen=True)
class LabResult:
    """Step table, limb of each step (0 left, 1 right), mean curves, and SI with its interval by metric."""

    steps: dict[str, Array]
    limb: NDArray[np.int64]
    curves: Array
    symmetry: dict[str, tuple[float, float, float]]


def design(rate_hz: float, cutoff_hz: float = 50.0) -> Array:
    """Second-order Butterworth, corrected for two passes, as second-order sections."""
    corrected = np.arctan(np.tan(np.pi * cutoff_hz / rate_hz) / (np.sqrt(2.0) - 1.0) ** 0.25) / np.pi
    return signal.butter(2, corrected * rate_hz, fs=rate_hz, output="sos")


def filter_belt(wrench: Array, sos: Array, padlen: int) -> Array:
    """Zero-phase copy of all channels of a belt."""
    return signal.sosfiltfilt(sos, wrench, axis=0, padlen=padlen)


def sum_belts(belts: Sequence[Array], origins: Array) -> Array:
    """One wrench about the middle of the treadmill, (n, 6) with contiguous channels."""
    total = np.zeros((6, len(belts[0])))
    for w, (x, y, _) in zip(belts, origins, strict=True):
        total += w.T
        total[MX] += y * w[:, FZ]
        total[MY] -= x * w[:, FZ]
        total[MZ] += x * w[:, FY] - y * w[:, FX]
    return total.T


def threshold(
    fz: Array, rate_hz: float, level_n: float = 20.0, shortest_s: float = 0.07
) -> tuple[Array, Array]:
    """Sub-sample times (in samples) at which the force rises and falls through the level; whole contacts only."""
    above = fz > level_n
    change = np.flatnonzero(above[1:] != above[:-1])
    if len(change) and above[0]:
        change = change[1:]
    change = change[: len(change) // 2 * 2]
    times = change + (level_n - fz[change]) / (fz[change + 1] - fz[change])
    on, off = times[0::2], times[1::2]
    keep = off - on >= shortest_s * rate_hz
    return on[keep], off[keep]


def _area(y: Array, dt: float) -> float:
    return (y.sum() - 0.5 * (y[0] + y[-1])) * dt


def _metrics(
    part: Array, weight: float, lead: float, tc: float, rate: float, speed: float
) -> dict[str, float]:
    """One contact from its samples in BW and BW m; the first lies `lead` s after contact on."""
    x, y, f, mx, my, _ = part.T
    out: dict[str, float] = {}
    dt = 1.0 / rate
    t = lead + np.arange(len(f)) * dt

    def rise(a: float, b: float) -> float:
        low, high = np.interp((a, b), t, f)
        return (high - low) / (b - a)

    slope = (f[2:] - f[:-2]) * (0.5 * rate)
    quarter = int(0.25 * tc * rate)
    active = quarter + int(np.argmax(f[quarter:]))
    start = int(0.005 * rate)
    stop = int(min(0.25 * tc, 0.075) * rate)
    peaks, _ = signal.find_peaks(f[: active + 1], prominence=0.05)
    peaks = peaks[(peaks >= start) & (peaks <= stop)]
    names = ("peak_impact", "t_impact", "valr_0_100", "valr_2080t", "valr_2080f", "vilr")
    out.update(dict.fromkeys(names, np.nan))
    if len(peaks):
        p = int(peaks[0])
        out["peak_impact"], out["t_impact"] = f[p], t[p]
        out["valr_0_100"] = rise(0.0, t[p])
        out["valr_2080t"] = rise(0.2 * t[p], 0.8 * t[p])
        i, j = np.argmax(f >= 0.2 * f[p]), np.argmax(f >= 0.8 * f[p])
        out["valr_2080f"] = (f[j] - f[i]) / (t[j] - t[i]) if j > i else np.nan
        out["vilr"] = slope[:p].max()
        active = p + int(np.argmin(f[p : active + 1]))
        active += int(np.argmax(f[active:]))
    out["peak_active"], out["t_active"] = f[active], t[active]
    poi = 0.13 * tc
    out["valr_2080_poi13"] = rise(0.2 * poi, 0.8 * poi)
    out["valr_3_12"] = rise(0.03 * tc, 0.12 * tc)
    out["valr_0_50ms"] = rise(0.0, 0.05)
    out["vilr_50ms"] = slope[: int(0.05 * rate)].max()
    out["imp_v"] = _area(f, dt)

    brake, push = int(np.argmin(y)), int(np.argmax(y))
    out["imp_brake"], out["imp_prop"] = _area(np.minimum(y, 0.0), dt), _area(np.maximum(y, 0.0), dt)
    out["peak_brake"], out["peak_prop"] = y[brake], y[push]
    out["blr"] = ((y[2:] - y[:-2])[: max(brake, 1)].min()) * (0.5 * rate)
    between = np.flatnonzero(y[brake:push] < 0.0)
    out["t_zero_ap"] = 100.0 * t[brake + between[-1]] / tc if len(between) else np.nan
    out["plus_x"], out["minus_x"] = _area(np.maximum(x, 0.0), dt), _area(np.minimum(x, 0.0), dt)

    middle = slice(int(0.2 * len(f)), int(0.8 * len(f)) + 1)
    load = f[middle].sum()
    out["cop_x"], out["cop_y"] = -my[middle].sum() / load, mx[middle].sum() / load
    loaded = f > 50.0 / weight
    force = f[loaded]
    cop_x = -my[loaded] / force
    cop_y = mx[loaded] / force + speed * t[loaded]
    out["cop_range_x"], out["cop_range_y"] = np.ptp(cop_x), np.ptp(cop_y)
    out["cop_path"] = np.hypot(np.diff(cop_x), np.diff(cop_y)).sum()
    return out


def _oscillation(fz_bw: Array, step: int, rate: float) -> tuple[float, float]:
    """Range of the height in both steps of a stride, speed and height made periodic."""
    a = G * (fz_bw - 1.0)
    v = np.cumsum(a - a.mean()) / rate
    y = np.cumsum(v - v.mean()) / rate
    return float(np.ptp(y[: step + 1])), float(np.ptp(y[step:]))


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
    """Metrics of every step, in BW and s; sides by belt; stance curves."""
    weight = mass_kg * G
    first, last = np.ceil(on).astype(int), np.floor(off).astype(int) + 1
    limb = np.empty(len(on), dtype=np.int64)
    curves = np.empty((len(on), 3, 101))
    rows = []
    grid = np.linspace(0.0, 1.0, 101)
    for k in range(len(on)):
        i, j = first[k], last[k]
        tc = (off[k] - on[k]) / rate_hz
        part = total[i:j] / weight
        row = _metrics(part, weight, (i - on[k]) / rate_hz, tc, rate_hz, speed_m_s)
        at = on[k] + grid * (off[k] - on[k]) - i
        samples = np.arange(j - i)
        for c in (FX, FY, FZ):
            curves[k, c] = np.interp(at, samples, part[:, c])
        limb[k] = int(right_fz[i:j].sum() > left_fz[i:j].sum())
        rows.append(row)
    steps = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    steps["vo"] = np.full(len(on), np.nan)
    for k in range(0, len(on) - 2, 2):
        stride = total[first[k] : first[k + 2], FZ] / weight
        steps["vo"][k : k + 2] = _oscillation(stride, first[k + 1] - first[k], rate_hz)
    mean_curves = np.stack([curves[limb == side].mean(axis=0) for side in (0, 1)])
    return across_contacts(steps, limb, on, off, rate_hz), limb, mean_curves


def across_contacts(
    steps: dict[str, Array], limb: NDArray[np.int64], on: Array, off: Array, rate_hz: float
) -> dict[str, Array]:
    """Add the columns that need the times of contacts or their limb."""
    steps["t_on"], steps["t_off"] = on / rate_hz, off / rate_hz
    steps["tc"] = (off - on) / rate_hz
    steps["t_step"] = np.append(np.diff(on), np.nan) / rate_hz
    steps["tf"] = steps["t_step"] - steps["tc"]
    steps["t_stride"] = np.append(steps["t_step"][:-1] + steps["t_step"][1:], np.nan)
    steps["duty"] = steps["tc"] / steps["t_stride"]
    steps["t_swing"] = steps["t_stride"] - steps["tc"]
    plus, minus = steps.pop("plus_x"), steps.pop("minus_x")
    steps["imp_med"] = np.where(limb == 0, plus, -minus)
    steps["imp_lat"] = np.where(limb == 0, minus, -plus)
    return steps


def _replicates(pairs: Array, starts: NDArray[np.int64], length: int) -> Array:
    """Means of every replicate, NaN left out: a matrix product of how often each pair was drawn and its values."""
    n, n_boot = len(pairs), len(starts)
    drawn = ((starts[:, :, None] + np.arange(length)) % n).reshape(n_boot, -1)[:, :n]
    drawn += n * np.arange(n_boot)[:, None]
    times = np.bincount(drawn.ravel(), minlength=n_boot * n).reshape(n_boot, n).astype(float)
    finite = np.isfinite(pairs)
    return (times @ np.where(finite, pairs, 0.0)) / (times @ finite.astype(float))


NOT_COMPARED = ("t_on", "t_off", "t_stride", "cop_x", "cop_y")


def symmetry(
    steps: dict[str, Array],
    limb: NDArray[np.int64],
    *,
    n_boot: int = 2000,
    seed: int = 0,
    replicates: Callable[[Array, NDArray[np.int64], int], Array] | None = None,
) -> dict[str, tuple[float, float, float]]:
    """SI of the limb means and its 95 % interval: circular blocks of stride pairs.

    `replicates` gives the means of drawn pairs in another way than `_replicates`.
    """
    names = [name for name in steps if name not in NOT_COMPARED]
    values = np.column_stack([steps[name] for name in names])
    left, right = np.flatnonzero(limb == 0), np.flatnonzero(limb == 1)
    n = min(len(left), len(right))
    pairs = np.hstack([values[left[:n]], values[right[:n]]])
    length = int(np.ceil(n ** (1 / 3)))
    rng = np.random.default_rng(seed)
    starts = rng.integers(n, size=(n_boot, -(-n // length)))
    means = (replicates or _replicates)(pairs, starts, length)
    half = len(names)
    low, high = np.percentile(index(means[:, :half], means[:, half:]), (2.5, 97.5), axis=0)
    si = index(np.nanmean(values[limb == 0], axis=0), np.nanmean(values[limb == 1], axis=0))
    return {name: (float(si[k]), float(low[k]), float(high[k])) for k, name in enumerate(names)}


def index(left, right):
    """Symmetry index in %, positive where the left is larger."""
    return 100.0 * (left - right) / (0.5 * (left + right))


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
) -> LabResult:
    """The whole script."""
    sos, padlen = design(rate_hz), int(np.ceil(3.0 * rate_hz / 50.0))
    left, right = (filter_belt(w, sos, padlen) for w in belts)
    total = sum_belts((left, right), origins)
    on, off = threshold(total[:, FZ], rate_hz, level_n)
    steps, limb, curves = step_table(
        total, left[:, FZ], right[:, FZ], on, off, rate_hz=rate_hz, mass_kg=mass_kg, speed_m_s=speed_m_s
    )
    return LabResult(steps, limb, curves, symmetry(steps, limb, n_boot=n_boot, seed=seed))
