"""Per-step metrics: the kernel's columns of each contact, and what follows from contacts beside each other."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from balancecore._ext import _steps
from balancecore.baseline import FZ
from balancecore.contacts import Segmentation, VirtualPlate
from balancecore.errors import MissingExtraError
from balancecore.filters import LowPass
from balancecore.flags import Flag
from balancecore.markup import MOST_ROWS, notebook_table, number
from balancecore.medians import median
from balancecore.parallel import parts, side_by_side
from balancecore.schema import COLUMNS
from balancecore.sides import Sides
from balancecore.trial import Trial
from balancecore.weight import STANDARD_GRAVITY, step_parity

__all__ = ["Kinetics", "Merged", "Step", "StepTable", "build_table", "measure", "merge", "unusable"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Poi = Literal["impact_peak", "13pct", "mixed"]

#: Contacts with one of these are counted and shown, but are left out of limb means.
EXCLUDING = (
    Flag.INCOMPLETE_START
    | Flag.INCOMPLETE_END
    | Flag.SHORT_CONTACT
    | Flag.LONG_CONTACT
    | Flag.SATURATED
    | Flag.GAP
    | Flag.CROSSOVER
    | Flag.SIDE_AMBIGUOUS
    | Flag.PARTIAL_HIT
    | Flag.TWO_FEET
)
#: Overground contacts that don't show where and when one foot came down and left.
_NO_STEP = int(Flag.PARTIAL_HIT | Flag.TWO_FEET)
#: COP range and path only where Fz exceeds 50 N and 5 % of body weight (metrics 4).
COP_FORCE_N = 50.0
COP_FORCE_BW = 0.05
#: Partial hits: centre of pressure this near to an edge of the plates (metrics 1.9).
EDGE_M = 0.020
#: Loading rates are flagged below, and vilr refused below (metrics 2.3).
LOW_RATE_HZ = 500.0
REFUSED_RATE_HZ = 200.0
#: Vertical motion is integrated on about this many samples a second; the force is smooth there.
MOTION_RATE_HZ = 500.0
_VILR = ("vilr_ip", "vilr_poi13", "vilr_2080t", "vilr_2080f", "vilr_50ms")
_FLOATS = tuple(c.id for c in COLUMNS if c.dtype == "float64")
#: Columns of the kernel that are columns of the table as they are.
_MEASURED = tuple(name for name in _steps.COLUMNS if name in _FLOATS)


class Step(Mapping[str, Any]):
    """One row of a step table: ``step["tc"]`` or ``step.tc``."""

    def __init__(self, table: StepTable, row: int) -> None:
        self._table, self._row = table, row

    def __getitem__(self, column: str) -> Any:
        return self._table[column][self._row].item()

    def __getattr__(self, column: str) -> Any:
        try:
            return self[column]
        except KeyError:
            raise AttributeError(column) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.columns)

    def __len__(self) -> int:
        return len(self._table.columns)

    def __repr__(self) -> str:
        return f"<Step {self._row}: {self['side']} at {self['t_on']:.3f} s, tc {self['tc']:.4f} s>"


class StepTable:
    """One row a contact; read-only columns as :mod:`balancecore.schema` defines them.

    Examples
    --------
    ``table["tc"]`` is a column, ``table[0]`` a row, ``len(table)`` the number of contacts.
    """

    def __init__(self, data: Mapping[str, NDArray[Any]]) -> None:
        self._data = {c.id: np.asarray(data[c.id], dtype=c.dtype) for c in COLUMNS}
        for array in self._data.values():
            array.flags.writeable = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self._data)

    @property
    def units(self) -> dict[str, str]:
        """Unit of each column."""
        return {c.id: c.unit for c in COLUMNS}

    def __len__(self) -> int:
        return len(self._data["t_on"])

    def __iter__(self) -> Iterator[Step]:
        return (Step(self, row) for row in range(len(self)))

    @overload
    def __getitem__(self, key: str) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, key: int) -> Step: ...
    def __getitem__(self, key: str | int) -> NDArray[Any] | Step:
        if isinstance(key, str):
            return self._data[key]
        row = range(len(self))[key]
        return Step(self, row)

    def __repr__(self) -> str:
        return f"<StepTable: {len(self)} contacts, {len(self.columns)} columns>"

    def _repr_html_(self) -> str:
        names = ("t_on", "side", *OUTLIER_COLUMNS, "peak_impact", "vilr")
        head = [f"{n} ({self.units[n]})" if self.units[n] else n for n in names] + ["flags"]
        rows = [
            [
                *(
                    step[n] if n == "side" else number(step[n], ".4g" if n != "t_on" else ".3f")
                    for n in names
                ),
                (Flag(step["flags"]).name or "").replace("|", " "),
            ]
            for step in map(self.__getitem__, range(min(len(self), MOST_ROWS)))
        ]
        return notebook_table(repr(self)[1:-1], head, rows, len(self) - len(rows))

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the table to a new file, with units and definitions of its columns.

        Parameters
        ----------
        path : path
            The new file. An existing one is never overwritten.
        format : {"csv", "parquet"}, optional
            Default: by the ending of `path`. CSV keeps units, definitions and provenance in a second file,
            ``PATH-metadata.json`` (W3C CSVW); Parquet, which needs the extra ``tables``, in its own metadata.
        provenance : mapping, optional
            Kept with the table; ``result.provenance`` says how it was made.

        Raises
        ------
        DataError
            An unknown format, or a file that exists or can't be written. Nothing is left behind.
        MissingExtraError
            Parquet without pyarrow.
        """
        from balancecore.io.step_tables import save_steps

        save_steps(self, path, format=format, provenance=provenance)

    def to_pandas(self) -> Any:
        """Copy to a ``pandas.DataFrame``; needs the extra ``tables``."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("to_pandas needs pandas: pip install 'balancecore[tables]'") from error
        return pd.DataFrame({name: array.copy() for name, array in self._data.items()})

    def to_arrow(self) -> Any:
        """Copy to a ``pyarrow.Table``; needs the extra ``tables``."""
        from balancecore.io.step_tables import to_arrow

        return to_arrow(self._data)


def unusable(flags: IntArray) -> NDArray[np.bool_]:
    """Contacts whose flags keep them out of limb means."""
    return np.asarray((flags & int(EXCLUDING)) != 0)


@dataclass(frozen=True, eq=False)
class Kinetics:
    """What the kernel measured on the contacts of one virtual plate.

    Attributes
    ----------
    columns : dict of ndarray (k,)
        Columns of :data:`balancecore._ext._steps.COLUMNS`.
    curves : ndarray (k, 5, 101)
        :data:`balancecore._ext._steps.CURVES` over the contact.
    shares : ndarray (k, n_plates)
        Share of the vertical impulse on each plate.
    """

    columns: dict[str, FloatArray]
    curves: FloatArray
    shares: FloatArray


def measure(
    trial: Trial,
    v: VirtualPlate,
    kinetics: LowPass,
    *,
    weight_n: float,
    speed_m_s: float = math.nan,
    camber: float = 0.0,
    incline: float = 0.0,
    threads: int = 1,
) -> Kinetics:
    """Run the kernel over the contacts of a virtual plate.

    Parameters
    ----------
    kinetics : LowPass
        Filter of the horizontal forces and moments; the vertical force has been through it.
    weight_n : float
        Body weight; NaN leaves everything that is divided by it NaN.
    camber, incline : float
        Tangents: gravity's share of Fx and Fy in proportion to Fz, taken off.
    threads : int
        The contacts are shared among so many.
    """
    c = v.contacts
    k = len(c)
    wanted = (c.complete & ((c.flags & int(Flag.GAP)) == 0)).astype(np.uint8)
    arms = np.ascontiguousarray(v.arms_m(trial))
    longest = float((c.samples[:, 1] - c.samples[:, 0])[wanted > 0].max()) if wanted.any() else 0.0
    out = np.empty((k, _steps.N_COLUMNS))
    curves = np.empty((k, len(_steps.CURVES), _steps.CURVE_POINTS))
    sums = np.empty((k, len(v.plates)))
    lanes = v.baseline.lanes(arms)
    samples, segments = np.ascontiguousarray(c.samples), np.ascontiguousarray(c.segments)

    def some(first: int, stop: int) -> None:
        _steps.contact_metrics(
            v.wrenches(trial),
            arms,
            v.fz,
            samples[first:stop],
            segments[first:stop],
            wanted[first:stop],
            trial.rate_hz,
            weight_n,
            v.noise_n,
            kinetics.sos,
            kinetics.zi,
            kinetics.margin,
            v.baseline.breaks,
            lanes,
            camber,
            incline,
            max(COP_FORCE_N, COP_FORCE_BW * weight_n) if math.isfinite(weight_n) else COP_FORCE_N,
            speed_m_s,
            np.ascontiguousarray(v.origin_m(trial)),
            out[first:stop],
            curves[first:stop],
            sums[first:stop],
            np.empty((math.ceil(longest) + 2 * kinetics.margin + 8, 4)),
        )

    side_by_side(some, parts(k, threads))
    columns = dict(zip(_steps.COLUMNS, np.ascontiguousarray(out.T), strict=True))
    return Kinetics(columns, curves, _shares(v, sums))


def _shares(v: VirtualPlate, sums: FloatArray) -> FloatArray:
    """Plate shares of the vertical impulse, offsets removed."""
    c = v.contacts
    count = np.floor(c.samples[:, 1]) - np.ceil(c.samples[:, 0]) + 1.0
    offset = v.baseline.at(c.samples.mean(axis=1), FZ)[:, 0].T
    net = sums - offset * count[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(net / net.sum(axis=1, keepdims=True))


# ---------------------------------------------------------------------------------------------------------------
# From contacts to steps


@dataclass(frozen=True, eq=False)
class Merged:
    """Contacts of all virtual plates in order of time, with their kinetics."""

    t_on: FloatArray
    t_off: FloatArray
    flags: IntArray
    plate: IntArray
    segment: IntArray
    samples: FloatArray
    order: IntArray
    parity: IntArray
    columns: dict[str, FloatArray]
    curves: FloatArray


def merge(virtual: tuple[VirtualPlate, ...], measured: list[Kinetics]) -> Merged:
    """One list of contacts, by time; those of one virtual plate are in order already."""
    samples = np.concatenate([v.contacts.samples for v in virtual])
    order = np.argsort(samples[:, 0], kind="stable")
    contacts = [v.contacts for v in virtual]

    def joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
        return parts[0] if len(parts) == 1 else np.concatenate(parts)[order]

    t_on = joined([c.t_on for c in contacts])
    t_off = joined([c.t_off for c in contacts])
    typical = np.nanmedian(t_off - t_on) if np.isfinite(t_off - t_on).any() else 0.0
    reference = np.where(np.isnan(t_on), t_off - typical, t_on)
    # A contact cut at both ends has no time at all; its first sample has to do.
    reference = np.where(np.isnan(reference), samples[order, 0] / contacts[0].rate_hz, reference)
    summed = len(virtual) == 1 and len(virtual[0].plates) > 1
    return Merged(
        t_on,
        t_off,
        joined([c.flags for c in contacts]),
        joined(
            [
                np.full(len(v.contacts), -1 if summed or v.joined else v.plates[0], dtype=np.int64)
                for v in virtual
            ]
        ),
        joined([c.segments[:, 0] for c in contacts]),
        samples[order],
        order,
        step_parity(reference),
        {name: joined([m.columns[name] for m in measured]) for name in _steps.COLUMNS},
        joined([m.curves for m in measured]),
    )


def build_table(
    found: Segmentation,
    merged: Merged,
    sides: Sides,
    *,
    poi: Poi,
    speed_m_s: float,
    incline_deg: float,
    leg_length_m: float,
    g: float = STANDARD_GRAVITY,
) -> StepTable:
    """All columns of every contact; `speed_m_s` is the subject's, on a treadmill also the belt's."""
    rate = found.record.rate_hz
    walking = found.gait == "walk"
    overground = found.surface == "overground"
    vo, dy = np.full((2, len(merged.t_on)), np.nan)
    if not (walking and overground):  # a walker's other foot is beside the plates at one end of any stride
        vo, dy = _vertical_motion(merged, found, walking, g)
    data = derive(
        merged,
        sides,
        vo,
        dy,
        poi=poi,
        walking=walking,
        weight_n=found.weight.force_n,
        speed_m_s=speed_m_s,
        incline_deg=incline_deg,
        leg_length_m=leg_length_m,
        rate_hz=rate,
        moments=all({"Mx", "My"}.isdisjoint(p.missing) for p in found.record.trial.plates),
        overground=overground,
        g=g,
    )
    flags = data["flags"]
    if found.weight.suspect:
        flags |= int(Flag.BW_SUSPECT)
    if not overground:  # there, edges and baselines were looked at plate by plate
        for v in found.virtual:
            corners = [found.record.trial.plates[k].corners_lab for k in v.plates]
            flag_edges(flags, merged, v.plates, edge_bounds(corners))
        _flag_drift(flags, merged, found)
    flag_whole(data, sides)
    return finished(data)


def derive(
    merged: Merged,
    sides: Sides,
    vo: FloatArray,
    dy: FloatArray,
    *,
    poi: Poi,
    walking: bool,
    weight_n: float | FloatArray,
    speed_m_s: float,
    incline_deg: float,
    leg_length_m: float,
    rate_hz: float,
    moments: bool,
    overground: bool = False,
    g: float = STANDARD_GRAVITY,
) -> dict[str, NDArray[Any]]:
    """Columns that follow from contacts beside each other, and the flags that follow from the columns.

    Every row takes no more than its neighbours: the one before, and the two after (`t_stride`, `t_swing`, `duty`).

    Parameters
    ----------
    vo, dy : ndarray (k,)
        Vertical oscillation and compression of each step, m.
    weight_n : float or ndarray (k,)
        Body weight that each row was divided by.
    moments : bool
        Whether a centre of pressure could be measured.
    """
    data: dict[str, NDArray[Any]] = dict(
        zip(_FLOATS, np.full((len(_FLOATS), len(merged.t_on)), np.nan), strict=True)
    )
    for name in _MEASURED:
        data[name] = merged.columns[name]
    flags = merged.flags.copy()
    follows = _follows(merged)
    data |= {
        "t_on": merged.t_on,
        "t_off": merged.t_off,
        "side": sides.labels,
        "plate": merged.plate,
        "flags": flags,
        "vo": vo,
        "dy": dy,
    }
    data["tc"] = merged.t_off - merged.t_on
    _timing(data, merged, follows)
    _point_of_interest(data, merged, poi)
    data["imp_v_net"] = data["imp_v"] - data["tc"]
    data["imp_ap_net"] = data["imp_brake"] + data["imp_prop"]
    medial = np.full(len(sides.labels), math.nan)
    for label, sign in sides.medial_x.items():
        medial[sides.labels == label] = sign
    _mediolateral(data, merged, medial)
    if not walking:
        _stiffness(data, weight_n, speed_m_s, leg_length_m, incline_deg, g)
        too_fast = speed_m_s * data["tc"] / 2.0 >= leg_length_m  # the leg would sweep beyond the ground
        flags[np.isfinite(data["tc"]) & too_fast] |= Flag.NAN_IN_WINDOW
        flights = 0.5 * g * (np.concatenate(([np.nan], data["tf"][:-1])) + data["tf"])
        starts = np.concatenate(([False], follows[:-1]))  # whether the row before is the step before
        data["v_residual"] = g * data["imp_v_net"] - np.where(starts, flights, np.nan)
    _spatial(data, merged, medial, follows, 0.0 if overground else speed_m_s)
    flags[sides.ambiguous] |= Flag.SIDE_AMBIGUOUS
    _flag(data, merged, rate_hz, moments, overground)
    return data


def flag_whole(data: dict[str, NDArray[Any]], sides: Sides) -> None:
    """Flags that only a look at all steps can give."""
    _flag_unsteady(data["flags"], data)
    _flag_outliers(data["flags"], data, sides)


def finished(data: dict[str, NDArray[Any]]) -> StepTable:
    """The table, without the durations of contacts that a gap touches."""
    unmeasured = (data["flags"] & int(Flag.GAP)) != 0
    if unmeasured.any():
        for name in ("tc", "duty", "t_swing"):
            data[name] = np.where(unmeasured, np.nan, data[name])
    return StepTable(data)


def _follows(merged: Merged) -> NDArray[np.bool_]:
    """Whether the next row is the next step: one parity on, same gap-free stretch, one whole foot in both."""
    follows = np.zeros(len(merged.t_on), dtype=bool)
    whole = (merged.flags & _NO_STEP) == 0
    follows[:-1] = (np.diff(merged.parity) == 1) & (np.diff(merged.segment) == 0) & whole[:-1] & whole[1:]
    return follows


def _next(values: NDArray[Any], follows: NDArray[np.bool_]) -> FloatArray:
    """Each row's successor's value, NaN where none follows."""
    out = np.full(len(values), np.nan)
    out[:-1] = values[1:]
    out[~follows] = np.nan
    return out


def _timing(data: dict[str, NDArray[Any]], merged: Merged, follows: NDArray[np.bool_]) -> None:
    then = _next(merged.t_on, follows)
    data["tf"] = then - merged.t_off
    data["t_step"] = then - merged.t_on
    data["t_stride"] = data["t_step"] + _next(data["t_step"], follows)
    data["t_swing"] = data["t_stride"] - data["tc"]
    data["duty"] = data["tc"] / data["t_stride"]


def _point_of_interest(data: dict[str, NDArray[Any]], merged: Merged, poi: Poi) -> None:
    for name in ("vilr", "imp_v_early"):
        peak, fixed = merged.columns[f"{name}_ip"], merged.columns[f"{name}_poi13"]
        data[name] = {"impact_peak": peak, "13pct": fixed, "mixed": np.where(np.isnan(peak), fixed, peak)}[
            poi
        ]


def _mediolateral(data: dict[str, NDArray[Any]], merged: Merged, medial: FloatArray) -> None:
    """Towards the other foot is medial, whichever way x points."""
    known = np.isfinite(medial)
    for name in ("imp", "peak"):
        plus, minus = merged.columns[f"{name}_plus_x"], merged.columns[f"{name}_minus_x"]
        data[f"{name}_med"] = np.where(known, np.where(medial > 0, plus, -minus), np.nan)
        data[f"{name}_lat"] = np.where(known, np.where(medial > 0, minus, -plus), np.nan)
    data["imp_ml_net"] = data["imp_med"] + data["imp_lat"]


def _vertical_motion(
    merged: Merged, found: Segmentation, walking: bool, g: float
) -> tuple[FloatArray, FloatArray]:
    """Oscillation and compression of each step from the stride that starts with it.

    A step that starts no whole stride (the last one, or the last before a gap) takes the stride that it ends. So a
    lost step doesn't change the others, and neither limb comes first.
    """
    rate = found.record.rate_hz
    vo, dy = np.full((2, len(merged.t_on)), np.nan)
    follows = _follows(merged) & np.isfinite(merged.t_on)
    usable = follows & np.isfinite(_next(merged.t_on, follows)) & np.isfinite(merged.t_off)
    whole = usable & np.append(usable[1:], False)
    ending = usable & ~whole & np.concatenate(([False], whole[:-1]))
    own, before = np.flatnonzero(whole), np.flatnonzero(ending) - 1
    if not len(own) or not math.isfinite(found.weight.force_n):
        return vo, dy
    on, off = merged.t_on * rate, merged.t_off * rate
    strides = np.column_stack((on[own], off[own], on[own + 1], off[own + 1], on[own + 2]))
    ends = np.searchsorted(own, before)
    both = np.zeros(len(own), dtype=np.uint8)
    both[ends] = 1
    out = np.empty((len(own), 4))
    hop = max(int(rate // MOTION_RATE_HZ), 1)
    _steps.vertical_motion(found.total_fz(), strides, both, rate, found.weight.force_n, g, hop, out)
    last = out[ends]
    vo[own], vo[before + 1] = out[:, 0], last[:, 1]
    if not walking:
        dy[own], dy[before + 1] = out[:, 2], last[:, 3]
    return vo, dy


def _stiffness(
    data: dict[str, NDArray[Any]],
    weight_n: float | FloatArray,
    speed_m_s: float,
    leg_m: float,
    incline_deg: float,
    g: float,
) -> None:
    """Spring-mass stiffness, measured (kinetic) and from the sine model (metrics 4.2), kN/m."""
    tc, tf = data["tc"], data["tf"]
    with np.errstate(invalid="ignore", divide="ignore"):
        peak = data["peak_active"] * weight_n
        half = speed_m_s * tc / 2.0
        swing = np.where(half < leg_m, leg_m - np.sqrt(leg_m**2 - half**2), np.nan)
        data["k_vert"] = np.where(data["dy"] > 0.0, peak / data["dy"], np.nan) / 1000.0
        data["k_leg"] = peak / (data["dy"] + swing) / 1000.0
        flight = np.where(tf > 0.0, tf, np.nan)
        peak_sine = weight_n * (math.pi / 2.0) * (flight / tc + 1.0)
        dy = peak_sine * tc**2 / (weight_n / g * math.pi**2) - g * tc**2 / 8.0
        data["k_vert_sine"] = peak_sine / dy / 1000.0
        if incline_deg == 0.0:
            data["k_leg_sine"] = peak_sine / (dy + swing) / 1000.0


def _spatial(
    data: dict[str, NDArray[Any]],
    merged: Merged,
    medial: FloatArray,
    follows: NDArray[np.bool_],
    speed_m_s: float,
) -> None:
    ahead = _next(data["cop_y"], follows) - data["cop_y"]
    # The centre of pressure belongs to the middle of its contact, and so must the belt's way: from contact on to
    # contact on, a longer contact of one limb would pass for a longer step of the other.
    middle = 0.5 * (merged.t_on + merged.t_off)
    data["step_length"] = speed_m_s * (_next(middle, follows) - middle) + ahead
    data["step_width"] = medial * (_next(data["cop_x"], follows) - data["cop_x"])


# ---------------------------------------------------------------------------------------------------------------
# Flags


def _flag(
    data: dict[str, NDArray[Any]], merged: Merged, rate_hz: float, moments: bool, overground: bool
) -> None:
    flags = data["flags"]
    measured = np.isfinite(data["imp_v"])
    flags[measured & np.isnan(data["peak_impact"])] |= Flag.NO_IMPACT_PEAK
    flags[merged.columns["impact_at_edge"] > 0] |= Flag.IP_AT_EDGE
    if rate_hz < LOW_RATE_HZ:
        flags |= int(Flag.LOW_FS)
    if rate_hz < REFUSED_RATE_HZ:
        for name in ("vilr", *_VILR):
            data[name] = np.full(len(flags), np.nan)
    complete = np.isfinite(data["tc"]) & ((flags & int(Flag.GAP)) == 0)
    flags[complete & ~np.isfinite(data["tc"] + merged.columns["peak_active"])] |= Flag.NAN_IN_WINDOW
    # Step and stride times that end in a gap or a missed contact; at the end of the record they can't exist.
    flags[:-1][np.isnan(data["t_step"][:-1]) & complete[:-1]] |= Flag.NAN_IN_WINDOW
    flags[:-2][np.isnan(data["t_stride"][:-2]) & complete[:-2]] |= Flag.NAN_IN_WINDOW
    if moments:
        flags[complete & ~np.isfinite(merged.columns["cop_range_x"])] |= Flag.COP_LOW_FORCE
    again = np.zeros(len(flags), dtype=bool)
    again[1:] = data["side"][1:] == data["side"][:-1]
    again[1:] &= np.diff(merged.parity) > 0
    if overground:  # missed steps are usual
        again[1:] &= (np.diff(merged.parity) % 2 == 1) & (data["side"][1:] != "?")
    flags[again] |= Flag.NON_ALTERNATING
    flags[np.abs(data["v_residual"]) > RESIDUAL_M_S] |= Flag.DRIFT_SUSPECT


def edge_bounds(corners: list[FloatArray | None]) -> tuple[FloatArray, FloatArray] | None:
    """Smallest and largest lateral and forward position that is 20 mm inside some plates; None if unknown."""
    known = [c for c in corners if c is not None]
    if len(known) < len(corners):
        return None
    points = np.concatenate(known)
    return points.min(axis=0) + EDGE_M, points.max(axis=0) - EDGE_M


def flag_edges(
    flags: IntArray,
    merged: Merged,
    plates: tuple[int, ...],
    bounds: tuple[FloatArray, FloatArray] | None,
) -> None:
    """Centre of pressure within 20 mm of the edge of the plates that carry the contact."""
    if bounds is None:
        return
    mine = merged.plate == plates[0]
    if len(plates) > 1:
        mine |= merged.plate == -1
    for axis, name in enumerate("xy"):
        outside = merged.columns[f"cop_min_{name}"] < bounds[0][axis]
        outside |= merged.columns[f"cop_max_{name}"] > bounds[1][axis]
        flags[mine & outside] |= Flag.PLATE_EDGE


#: Largest believable residual of the momentum check (metrics 3.5), m/s.
RESIDUAL_M_S = 0.15
#: A contact this many knot spacings from the nearest one rests on an interpolated offset.
FAR_KNOT_SPACINGS = 1.5


def _flag_drift(flags: IntArray, merged: Merged, found: Segmentation) -> None:
    """Contacts far from any baseline knot."""
    centre = merged.samples.mean(axis=1)
    for v in found.virtual:
        mine = np.isin(merged.plate, v.plates) | (merged.plate == -1)
        if v.baseline.note:  # less than what was asked for could be removed
            flags[mine] |= Flag.DRIFT_SUSPECT
        knots = v.baseline.knots.mean(axis=1)
        if v.baseline.method == "none" or len(knots) < 2:
            continue
        after = np.clip(np.searchsorted(knots, centre), 1, len(knots) - 1)
        distance = np.minimum(np.abs(centre - knots[after - 1]), np.abs(knots[after] - centre))
        flags[mine & (distance > FAR_KNOT_SPACINGS * median(np.diff(knots)))] |= Flag.DRIFT_SUSPECT


#: Robust z beyond which a step is called an outlier of its limb (metrics 5.4), on these columns.
OUTLIER_Z = 4.0
OUTLIER_COLUMNS = ("tc", "t_step", "peak_active", "imp_v")
#: Spread below which a limb is too regular for a robust z to mean anything: a share of the median.
OUTLIER_SPREAD = 0.002
#: Step time counts as unsteady if it shifts by this share from the six steps before to the six after (metrics 1.11
#: takes five; whole strides keep limb differences out), and by more than chance would.
UNSTEADY_FRACTION = 0.02
UNSTEADY_STEPS = 6
UNSTEADY_SE = 4.0


def _flag_outliers(flags: IntArray, data: dict[str, NDArray[Any]], sides: Sides) -> None:
    usable = ~unusable(flags)
    for limb in sides.limbs:
        of_limb = np.flatnonzero(usable & (sides.labels == limb))
        for name in OUTLIER_COLUMNS:
            values = data[name][of_limb]
            finite = np.isfinite(values)
            mine, values = of_limb[finite], values[finite]
            if len(values) < 5:
                continue
            middle = median(values)
            spread = max(1.4826 * median(np.abs(values - middle)), OUTLIER_SPREAD * abs(middle))
            flags[mine[np.abs(values - middle) > OUTLIER_Z * spread]] |= Flag.OUTLIER_STEP


def _flag_unsteady(flags: IntArray, data: dict[str, NDArray[Any]]) -> None:
    """Steps where the mean step time is shifting: a ramp, a start, a stop."""
    steps = data["t_step"]
    w = UNSTEADY_STEPS
    if len(steps) < 2 * w:
        return
    windows = np.lib.stride_tricks.sliding_window_view(steps, w)
    mean = windows.mean(axis=1)
    strides = windows[:, 0::2] + windows[:, 1::2]
    error = np.hypot(strides[:-w].std(axis=1, ddof=1), strides[w:].std(axis=1, ddof=1)) / (
        2.0 * math.sqrt(w / 2)
    )
    shift = np.abs(mean[w:] - mean[:-w])
    with np.errstate(invalid="ignore"):
        ramp = (shift > UNSTEADY_FRACTION * mean[:-w]) & (shift > UNSTEADY_SE * error)
    flags[np.flatnonzero(ramp) + w] |= Flag.SPEED_UNSTEADY
