"""Figures of a result, drawn into axes that you give, or into a figure of their own.

Every function takes a result and ``ax``, and returns the axes. A figure is a ``matplotlib.figure.Figure``, never
pyplot's, so that nothing is shared and nothing needs a screen. What a result lacks is said in the axes. A limb has its
colour of :data:`COLOURS` everywhere. Needs the extra ``plot``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from balancecore.errors import DataError, MissingExtraError
from balancecore.flags import Flag
from balancecore.schema import SYMMETRY_METRICS
from balancecore.steps import COP_FORCE_BW, unusable
from balancecore.text import LINES, RATE_OF_RULE

if TYPE_CHECKING:
    from balancecore.gait import GaitResult
    from balancecore.symmetry import SymmetryRow

__all__ = ["COLOURS", "LIMBS", "butterfly", "cop", "forest", "loading", "new_axes", "stance", "steps"]

FloatArray = NDArray[np.float64]

#: Limbs wherever they are drawn or written; from the palette of Okabe and Ito, told apart by colour-blind readers.
COLOURS = {"L": "#0072B2", "R": "#D55E00", "A": "#009E73", "B": "#AA4499", "?": "#767676"}
#: Limbs in words.
LIMBS = {"L": "left", "R": "right", "A": "limb A", "B": "limb B", "?": "side unknown"}
_MARKERS = {"L": "o", "R": "^", "A": "o", "B": "^", "?": "s"}
_INK, _GREY, _PALE = "#1b1f24", "#6b7280", "#d5d9df"
_AXES = {
    "fz": "vertical force (BW)",
    "fy": "fore-aft force (BW)\n← braking · propulsion →",
    "f_med": "sideways force (BW)\n← lateral · medial →",
}
#: Peaks drawn on each curve: the column of the size and that of the time.
_PEAKS = {
    "fz": (("peak_impact", "t_impact"), ("peak_active", "t_active")),
    "fy": (("peak_brake", "t_peak_brake"), ("peak_prop", "t_peak_prop")),
    "f_med": (),
}
_LACKS = {"fz": "no complete contact", "fy": "no fore-aft force in this record", "f_med": "no sideways force"}
#: Flags that say why a metric is missing, and nothing about the step itself.
_OF_A_METRIC = (
    Flag.NO_IMPACT_PEAK
    | Flag.IP_AT_EDGE
    | Flag.LOW_FS
    | Flag.NAN_IN_WINDOW
    | Flag.COP_LOW_FORCE
    | Flag.COARSE_TIMING
    | Flag.JOINED_PLATES
)
#: Fewer steps of a limb have no trend worth a line.
LEAST_FOR_LINE = 6
#: A forest plot's scale leaves out what is beyond so many times its middle width; arrows point there.
WIDEST = 3.0
#: More points than this are drawn as a picture inside the figure, so that a long record doesn't make a huge file.
MOST_POINTS = 1500


def new_axes(width_in: float = 5.0, height_in: float = 3.4) -> Any:
    """The axes of a new figure, with room for its labels.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("figures need matplotlib: pip install 'balancecore[plot]'") from error
    return Figure(figsize=(width_in, height_in), layout="constrained").subplots()


def _calm(ax: Any) -> Any:
    """Only the lines that carry something."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(_PALE)
    ax.tick_params(color=_PALE, labelcolor=_INK, labelsize=8, length=3)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_size(8.5)
        label.set_color(_INK)
    return ax


def _say(ax: Any, words: str) -> Any:
    """An empty axes that says what is missing."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_color(_PALE)
    ax.text(
        0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", color=_GREY, size=8.5, wrap=True
    )
    return ax


def _legend(ax: Any, columns: int = 2) -> None:
    """Above the axes, where it can't hide data."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        ax.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=columns,
            frameon=False,
            fontsize=7.5,
            handlelength=1.5,
            columnspacing=1.2,
            borderaxespad=0.2,
            labelcolor=_INK,
        )


def _mean(result: GaitResult, metric: str, limb: str) -> float:
    return result.summary[metric][limb].mean


def _drawn(result: GaitResult, curve: str) -> list[tuple[str, FloatArray, FloatArray, int]]:
    """Limbs that have a curve: name, mean, SD (NaN for one contact) and contacts."""
    at = result.curves.names.index(curve)
    mean, sd = result.curves.mean[:, at], result.curves.sd[:, at]
    return [
        (limb, mean[k], sd[k], result.curves.n[k])
        for k, limb in enumerate(result.limbs)
        if np.isfinite(mean[k]).any()
    ]


def _line_style(result: GaitResult, limb: str) -> str:
    return "-" if limb == result.limbs[0] else "--"


def stance(result: GaitResult, *, curve: str = "fz", ax: Any = None) -> Any:
    """Mean stance curve of each limb with a band of one SD over the contacts, and the mean peaks.

    Parameters
    ----------
    result : GaitResult
    curve : {"fz", "fy", "f_med"}
        Vertical, fore-aft or sideways force.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        Another curve is asked for.
    MissingExtraError
        Without matplotlib.
    """
    if curve not in _AXES:
        raise DataError(f"curve={curve!r}: choose one of {', '.join(_AXES)}")
    ax = new_axes() if ax is None else ax
    limbs = _drawn(result, curve)
    if not limbs:
        return _say(ax, _LACKS[curve])
    percent = np.arange(101.0)
    ax.axhline(0.0, color=_PALE, lw=0.8, zorder=0)
    if curve == "fz":
        ax.axhline(1.0, color=_PALE, lw=0.8, ls=":", zorder=0)
    for limb, mean, sd, n in limbs:
        ax.fill_between(percent, mean - sd, mean + sd, color=COLOURS[limb], alpha=0.16, lw=0, label="_band")
        ax.plot(
            percent,
            mean,
            color=COLOURS[limb],
            ls=_line_style(result, limb),
            lw=1.6,
            label=f"{LIMBS[limb]}, {n} {'step' if n == 1 else 'steps'}",
        )
        _peaks(ax, result, curve, limb)
        _double_support(ax, result, limb)
    ax.set(xlim=(0, 100), xlabel="% of contact (0 touch-down, 100 toe-off)", ylabel=_AXES[curve])
    _legend(ax)
    return _calm(ax)


def _peaks(ax: Any, result: GaitResult, curve: str, limb: str) -> None:
    """Mean peaks: they lie a little beyond the mean curve, since steps peak at different times."""
    tc = _mean(result, "tc", limb)
    for size, time in _PEAKS[curve]:
        x, y = 100.0 * _mean(result, time, limb) / tc, _mean(result, size, limb)
        if math.isfinite(x + y):
            ax.plot(
                x, y, "o", ms=5, mfc="white", mec=COLOURS[limb], mew=1.2, label=f"_{size} {limb}", zorder=4
            )


def _double_support(ax: Any, result: GaitResult, limb: str) -> None:
    """When the other foot leaves and lands, where both are down for a time."""
    other = result.limbs[1 - result.limbs.index(limb)]
    tc = _mean(result, "tc", limb)
    for at in (-_mean(result, "tf", other), tc + _mean(result, "tf", limb)):
        if 0.0 < at < tc:
            ax.axvline(100.0 * at / tc, color=COLOURS[limb], lw=0.8, ls=":", zorder=0, label="_other foot")


def loading(result: GaitResult, *, ax: Any = None) -> Any:
    """The loading phase: mean vertical force in time, impact peaks, and the window of the average loading rate.

    The black piece has the mean loading rate of the limb as its slope and spans the window from which it is taken
    (20 to 80 % of the time to the point of interest of the trial's rule), which is also marked along the lower edge.

    Parameters
    ----------
    result : GaitResult
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = new_axes() if ax is None else ax
    limbs = _drawn(result, "fz")
    if not limbs:
        return _say(ax, _LACKS["fz"])
    rate = RATE_OF_RULE[result.quality["poi_rule"]]
    end_ms = 0.0
    for limb, mean, sd, _ in limbs:
        time_ms = np.arange(101.0) * 10.0 * _mean(result, "tc", limb)
        colour = COLOURS[limb]
        ax.fill_between(time_ms, mean - sd, mean + sd, color=colour, alpha=0.16, lw=0, label="_band")
        stat = result.summary[rate][limb]
        known = f"{stat.mean:.1f} ± {stat.sd:.1f} BW/s" if stat.n > 1 else "no loading rate"
        known = f"{stat.mean:.1f} BW/s" if stat.n == 1 else known
        ax.plot(
            time_ms, mean, color=colour, ls=_line_style(result, limb), lw=1.6, label=f"{LIMBS[limb]}, {known}"
        )
        _impact(ax, result, limb)
        end_ms = max(end_ms, _loading_window(ax, result, limb, rate, time_ms, mean))
    reach = max(end_ms, 40.0)
    top = max(
        float(
            np.nanmax(
                (mean + np.nan_to_num(sd))[np.arange(101.0) * 10.0 * _mean(result, "tc", limb) <= reach]
            )
        )
        for limb, mean, sd, _ in limbs
    )
    ax.set(xlim=(0, reach), ylim=(0, 1.12 * top), xlabel="time after touch-down (ms)", ylabel=_AXES["fz"])
    _legend(ax)
    return _calm(ax)


def _loading_window(
    ax: Any, result: GaitResult, limb: str, rate: str, time_ms: FloatArray, mean: FloatArray
) -> float:
    """Window and slope of one limb; returns how far the axes should reach, ms."""
    t_impact, tc = 1000.0 * _mean(result, "t_impact", limb), 1000.0 * _mean(result, "tc", limb)
    poi = t_impact if rate == "valr_2080t" else 0.13 * tc
    slope = _mean(result, rate, limb) / 1000.0
    if math.isfinite(poi + slope):
        window = np.array([0.2 * poi, 0.8 * poi])
        middle = float(np.interp(window, time_ms, mean).mean())
        ax.plot(
            window,
            middle + slope * (window - window.mean()),
            color=_INK,
            lw=1.0,
            marker="o",
            ms=3,
            mew=0,
            label=f"_slope {limb}",
            zorder=5,
        )
        ax.plot(
            window,
            np.full(2, 0.018 + 0.03 * result.limbs.index(limb)),
            color=COLOURS[limb],
            lw=3.5,
            solid_capstyle="butt",
            transform=ax.get_xaxis_transform(),
            label=f"_window {limb}",
        )
    return 1.9 * float(np.nanmax([t_impact, 0.13 * tc]))


def _impact(ax: Any, result: GaitResult, limb: str) -> None:
    """The mean impact peak with one SD both ways."""
    t, peak = result.summary["t_impact"][limb], result.summary["peak_impact"][limb]
    if peak.n:
        ax.errorbar(
            1000.0 * t.mean,
            peak.mean,
            xerr=1000.0 * t.sd if t.n > 1 else None,
            yerr=peak.sd if peak.n > 1 else None,
            fmt="o",
            ms=5,
            mfc="white",
            mec=COLOURS[limb],
            ecolor=COLOURS[limb],
            elinewidth=1.0,
            label=f"_impact peak {limb}",
            zorder=4,
        )


def steps(result: GaitResult, metric: str, *, legend: bool = True, ax: Any = None) -> Any:
    """A metric of every contact over time, with a straight line through each limb's steps.

    Hollow marks are flagged steps that count; crosses are left out of the means; bars at the lower edge are contacts
    without a value. Grey stretches are gaps of the signal.

    Parameters
    ----------
    result : GaitResult
    metric : str
        A column of numbers of the step table.
    legend : bool
        Whether to name the marks above the axes.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        There is no such column.
    """
    if metric not in result.summary:
        raise DataError(f"metric={metric!r}: there is no such column of numbers per step")
    ax = new_axes() if ax is None else ax
    line = LINES.get(metric)
    factor = line.factor if line else 1.0
    unit = line.unit if line else result.steps.units[metric]
    time, value = result.steps["t_on"], result.steps[metric] * factor
    if not np.isfinite(value).any():
        return _say(ax, f"{line.words if line else metric}:\nno step has a value")
    for a, b in result.quality["gaps_s"]:
        ax.axvspan(a, b, color=_PALE, alpha=0.6, lw=0, label="_gap")
    counted = value[~unusable(result.steps["flags"])]
    low, high = _limits(counted if np.isfinite(counted).any() else value)
    for limb in dict.fromkeys([*result.limbs, *result.steps["side"].tolist()]):
        _limb_steps(ax, result, limb, time, value, (low, high))
    ax.set(ylim=(low, high), xlabel="time (s)")
    title = f"{line.words if line else metric} ({unit})"
    ax.set_title(title, loc="left", size=8.5, color=_INK, pad=20 if legend else 6)
    if legend:
        _name_marks(ax)
        _legend(ax, 5)
    return _calm(ax)


def _name_marks(ax: Any) -> None:
    """Legend entries of the marks that are there."""
    drawn = {str(artist.get_label()) for artist in ax.lines}
    for kind, how in (
        ("flagged", {"marker": "o", "mfc": "white"}),
        ("left out", {"marker": "x"}),
        ("no value", {"marker": "|"}),
    ):
        if f"_{kind}" in drawn:
            ax.plot([], [], ls="none", mec=_GREY, ms=4.4, label=kind, **how)


def _limits(values: FloatArray) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = max(0.12 * (high - low), 1e-3 * abs(high)) or 1.0
    return low - room, high + room


def _limb_steps(
    ax: Any, result: GaitResult, limb: str, time: FloatArray, value: FloatArray, limits: tuple[float, float]
) -> None:
    flags = result.steps["flags"]
    mine = (result.steps["side"] == limb) & np.isfinite(time)
    there = mine & np.isfinite(value)
    out = unusable(flags)
    flagged = ((flags & ~int(_OF_A_METRIC)) != 0) & ~out
    colour, mark = COLOURS.get(limb, COLOURS["?"]), _MARKERS.get(limb, "s")
    kinds: list[tuple[str, NDArray[np.bool_], dict[str, Any]]] = [
        (
            LIMBS.get(limb, limb),
            there & ~out & ~flagged,
            {"marker": mark, "mfc": colour, "mec": "none", "ms": 3.2},
        ),
        ("_flagged", there & flagged, {"marker": mark, "mfc": "white", "mec": colour, "ms": 4.4}),
        ("_left out", there & out, {"marker": "x", "mec": colour, "ms": 4.4}),
    ]
    for label, which, how in kinds:
        if which.any():
            shown = np.clip(value[which], *limits)
            ax.plot(
                time[which],
                shown,
                ls="none",
                mew=1.0,
                label=label,
                rasterized=bool(which.sum() > MOST_POINTS),
                clip_on=False,
                **how,
            )
    if mine.any() and not (there & ~out & ~flagged).any():
        ax.plot([], [], ls="none", marker=mark, mfc=colour, mec="none", ms=3.2, label=kinds[0][0])
    lacking = mine & ~there
    if lacking.any():
        ax.plot(
            time[lacking],
            np.full(lacking.sum(), limits[0]),
            ls="none",
            marker="|",
            mec=colour,
            ms=6,
            label="_no value",
            clip_on=False,
        )
    counted = there & ~out & ((flags & int(Flag.OUTLIER_STEP)) == 0)
    if counted.sum() >= LEAST_FOR_LINE:
        slope, start = np.polyfit(time[counted], value[counted], 1)
        ends = np.array([time[counted].min(), time[counted].max()])
        ax.plot(
            ends, start + slope * ends, color=colour, lw=1.2, ls=_line_style(result, limb), label="_drift"
        )


def forest(result: GaitResult, *, metrics: Sequence[str] | None = None, ax: Any = None) -> Any:
    """The symmetry index of every metric with its 95 % interval, over what chance alone would show.

    A filled mark has the colour of the larger limb; a hollow grey one has an interval that includes zero. The grey bar
    about zero is the noise floor. An arrow is beyond the scale.

    Parameters
    ----------
    result : GaitResult
    metrics : sequence of str, optional
        Default: all that limbs are compared on and that have an index.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes
    """
    names = SYMMETRY_METRICS if metrics is None else metrics
    rows = [
        result.symmetry[n] for n in names if n in result.symmetry and math.isfinite(result.symmetry[n].si)
    ]
    ax = new_axes(5.0, 1.0 + 0.19 * len(rows)) if ax is None else ax
    if not rows:
        return _say(ax, "no metric of both limbs to compare")
    ends = np.array([np.nanmax(np.abs([row.si, row.ci_low, row.ci_high])) for row in rows])
    reach = 1.08 * max(min(float(ends.max()), WIDEST * float(np.percentile(ends, 75))), 1.0)
    ax.axvline(0.0, color=_GREY, lw=0.8, zorder=1)
    for k, row in enumerate(rows):
        _forest_row(ax, result, row, -k, reach)
    ax.set_yticks([-k for k in range(len(rows))], [_title(row.metric) for row in rows])
    ax.set(xlim=(-reach, reach), ylim=(0.4 - len(rows), 0.6))
    first, second = (LIMBS[limb] for limb in result.limbs)
    ax.set_xlabel(f"symmetry index (%)\n← {second} larger · {first} larger →")
    ax.grid(axis="x", color=_PALE, lw=0.5)
    ax.set_axisbelow(True)
    _calm(ax)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def _title(metric: str) -> str:
    return LINES[metric].words if metric in LINES else metric


def _forest_row(ax: Any, result: GaitResult, row: SymmetryRow, y: float, reach: float) -> None:
    if math.isfinite(row.noise_floor):
        noise = min(row.noise_floor, reach)
        ax.plot([-noise, noise], [y, y], color=_PALE, lw=5.5, solid_capstyle="butt", label="_noise", zorder=1)
    sure = bool(row.distinguishable)
    colour = COLOURS[result.limbs[0 if row.si > 0 else 1]] if sure else _GREY
    if math.isfinite(row.ci_low):
        ends = np.clip([row.ci_low, row.ci_high], -reach, reach)
        ax.plot(ends, [y, y], color=colour, lw=1.3, solid_capstyle="butt", label="_interval", zorder=2)
    inside = abs(row.si) < reach
    mark = "o" if inside else ">" if row.si > 0 else "<"
    at = float(np.clip(row.si, -0.985 * reach, 0.985 * reach))
    ax.plot(
        at,
        y,
        mark,
        ms=4.6,
        mfc=colour if sure else "white",
        mec=colour,
        mew=1.1,
        label=f"_{row.metric}",
        zorder=3,
    )


# ---------------------------------------------------------------------------------------------------------------
# Centre of pressure


def _medial_sign(result: GaitResult, limb: str) -> float:
    """The direction of x that is medial for a limb; NaN if that isn't known.

    Towards the other foot, unless the feet cross: then step width is negative.
    """
    own, other = limb, result.limbs[1 - result.limbs.index(limb)]
    widths = [_mean(result, "step_width", x) for x in result.limbs]
    known = [w for w in widths if math.isfinite(w)]
    crossed = -1.0 if known and sum(known) < 0.0 else 1.0
    return crossed * float(np.sign(_mean(result, "cop_x", other) - _mean(result, "cop_x", own)))


def _path(result: GaitResult, limb: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean centre of pressure of a limb, x and y in the lab, and the SD across, m."""
    names, k = result.curves.names, result.limbs.index(limb)
    med, fwd = names.index("cop_med"), names.index("cop_fwd")
    x = _mean(result, "cop_x", limb) + _medial_sign(result, limb) * result.curves.mean[k, med]
    y = _mean(result, "cop_y", limb) + result.curves.mean[k, fwd]
    return x, y, result.curves.sd[k, med]


def _seen_from_above(ax: Any, xlabel: str, ylabel: str) -> Any:
    """Across is stretched: a path is ten times as long as it is wide."""
    reach = 1.4 * float(np.abs(ax.dataLim.intervalx).max())
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(-reach, reach))
    ax.locator_params(nbins=6)
    return _calm(ax)


def cop(result: GaitResult, *, ax: Any = None) -> Any:
    """Mean path of the centre of pressure under each foot, seen from above, with a band of one SD across.

    With a known belt speed the belt's way is taken off, so that the path is that on the shoe; without it the path is
    that on the plates. The feet stand as far apart as their mean centres of pressure; across is drawn larger than
    forward.

    Parameters
    ----------
    result : GaitResult
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = new_axes(3.4, 3.4) if ax is None else ax
    paths = {limb: _path(result, limb) for limb in result.limbs}
    drawn = [limb for limb, (x, y, _) in paths.items() if np.isfinite(x + y).any()]
    if not drawn:
        return _say(
            ax, "no path of the centre of pressure:\nno moments, one foot only,\nor medial is not known"
        )
    used, speed = result.provenance["used"], result.provenance["options"]["speed_m_s"]
    belt = 0.0 if used["surface"] == "overground" else speed
    middle = np.mean([_mean(result, "cop_x", limb) for limb in drawn])
    for limb in drawn:
        x, y, sd = paths[limb]
        if belt is not None:
            y = (
                y
                - _mean(result, "cop_y", limb)
                + belt * _mean(result, "tc", limb) * (np.arange(101) / 100.0 - 0.5)
            )
        x, y, sd = 1000.0 * (x - middle), 1000.0 * y, 1000.0 * sd
        colour = COLOURS[limb]
        ax.fill_betweenx(y, x - sd, x + sd, color=colour, alpha=0.16, lw=0, label="_band")
        ax.plot(x, y, color=colour, lw=1.8, ls=_line_style(result, limb), label=LIMBS[limb])
        start = int(np.flatnonzero(np.isfinite(x + y))[0])
        ax.plot(x[start], y[start], "o", ms=5, mfc="white", mec=colour, label=f"_start {limb}", zorder=4)
    frame = "" if belt is not None else "\non the plates: belt speed not given"
    _seen_from_above(ax, f"across (mm){frame}", "forward (mm)")
    _legend(ax)
    return ax


def butterfly(result: GaitResult, *, ax: Any = None) -> Any:
    """The common centre of pressure of both feet over one mean stride, seen from above, on the plates.

    Under one foot it runs backwards with the belt; while both are down (grey) it crosses to the other. Dotted lines
    bridge flights. The line is as thick as the force is large. It is made of the limbs' mean curves, step times and
    contact times.

    Parameters
    ----------
    result : GaitResult
    ax : matplotlib.axes.Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = new_axes(3.4, 3.4) if ax is None else ax
    if result.provenance["used"]["surface"] == "overground":
        return _say(ax, "one mean stride in place\nneeds a treadmill")
    stride = _mean_stride(result)
    if stride is None:
        return _say(ax, "no common centre of pressure:\nno moments, one foot only,\nor medial is not known")
    x, y, force, share = stride
    on = force > COP_FORCE_BW
    for side, limb in enumerate(result.limbs):
        _ribbon(ax, x, y, force, on & (np.abs(share - side) < 0.02), COLOURS[limb], LIMBS[limb])
    both = on & (np.abs(share - 0.5) <= 0.48)
    _ribbon(ax, x, y, force, both, _GREY, "both feet")
    where = np.flatnonzero(on)
    for a, b in zip(where, np.roll(where, -1), strict=True):
        if (b - a) % len(x) > 1:
            ax.plot(x[[a, b]], y[[a, b]], color=_GREY, lw=0.8, ls=":", label="_flight")
    ax.autoscale_view()
    _seen_from_above(ax, "across (mm)", "forward (mm)")
    _legend(ax, 3)
    return ax


def _mean_stride(result: GaitResult) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None:
    """Common centre of pressure (mm about its middle), force (BW) and the second limb's share of it, in time.

    None without both limbs' curves and step times.
    """
    first, second = result.limbs
    steps_s = [_mean(result, "t_step", limb) for limb in (first, second)]
    if not math.isfinite(sum(steps_s)):
        return None
    stride_s = sum(steps_s)
    grid = np.linspace(0.0, stride_s, 400, endpoint=False)
    forces, moments = [], []
    for limb, start in ((first, 0.0), (second, steps_s[0])):
        x, y, _ = _path(result, limb)
        there = np.isfinite(x + y)
        if not there.any():
            return None
        phase = ((grid - start) % stride_s) / _mean(result, "tc", limb) * 100.0
        percent = np.arange(101.0)
        force = np.interp(phase, percent, np.nan_to_num(result.curves.get("fz", limb)), right=0.0)
        # Where the force is too low for a centre of pressure, it is the nearest one: it hardly weighs there.
        at = [np.interp(phase, percent[there], c[there]) for c in (x, y)]
        forces.append(force)
        moments.append(np.array(at) * force)
    total = forces[0] + forces[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y = 1000.0 * (moments[0] + moments[1]) / total
        share = forces[1] / total
    return x - np.nanmean(x), y, total, share


def _ribbon(
    ax: Any,
    x: FloatArray,
    y: FloatArray,
    force: FloatArray,
    which: NDArray[np.bool_],
    colour: str,
    label: str,
) -> None:
    """Pieces of a closed line, as thick as the force; drawn where both their ends are wanted."""
    from matplotlib.collections import LineCollection

    after = np.roll(np.arange(len(x)), -1)
    a = np.flatnonzero(which & np.isfinite(x + x[after]) & (which[after] | which))
    if not len(a):
        return
    b = after[a]
    near = np.hypot(x[b] - x[a], y[b] - y[a]) < 60.0  # mm in a 400th of a stride: a jump is no path
    a, b = a[near], b[near]
    pieces = np.stack([np.column_stack((x[a], y[a])), np.column_stack((x[b], y[b]))], axis=1)
    ax.add_collection(
        LineCollection(list(pieces), colors=colour, linewidths=0.6 + 2.2 * force[a], capstyle="round")
    )
    ax.plot([], [], color=colour, lw=2.0, label=label)
