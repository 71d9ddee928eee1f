"""Somebody crosses a walkway of force plates: which foot is on which plate, and which footfalls are whole.

A treadmill gives many steps and one or two belts. A walkway gives one footfall a plate, if it is hit: parts of
footfalls on plates side by side are joined here, and what shows less, or more, than one whole foot is flagged
(metrics 1.7 to 1.9). The rules are written down in ``docs/overground.md``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from balancecore.baseline import Method
from balancecore.coarse import look
from balancecore.contacts import (
    RULES,
    Contacts,
    Gait,
    LevelRule,
    Segmentation,
    VirtualPlate,
    segment,
)
from balancecore.filters import filter_segments
from balancecore.flags import Flag
from balancecore.intake import Record, take_in
from balancecore.sides import Sides
from balancecore.steps import COP_FORCE_BW, COP_FORCE_N, EDGE_M, Merged, StepTable, unusable
from balancecore.trial import Trial

__all__ = [
    "Crossing",
    "Surface",
    "find",
    "is_overground",
    "marker_sides",
    "report",
    "report_findings",
    "sides",
    "step_numbers",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Surface = Literal["auto", "treadmill", "overground"]

#: "auto": plates of a walkway are no longer than this (belts are longer), and each is stepped on so often at most.
LONGEST_PLATE_M = 1.25
MOST_CONTACTS = 2
#: Plates with no more floor between them can carry one foot together.
NEIGHBOUR_M = 0.05
#: More floor than this between them takes a share of a foot's load that a shoe does not bridge.
BRIDGED_M = 0.010
#: One foot on two plates: both loaded for this share of the shorter part, centres of pressure within a foot.
SHARED_TIME = 0.35
FOOT_M = 0.30
#: Or both loaded for any time, or one as the other is left, with centres of pressure nearer than those of two feet.
HANDOVER_S = 0.05
HANDOVER_M = 0.12
#: The centre of pressure under one foot travels less than this.
ONE_FOOT_M = 0.33
#: A contact this much longer than the median of at least so many others holds more than one footfall.
LONG_RATIO = 1.5
LONG_OTHERS = 2
#: The sum of plates begins and ends a joined footfall within this of its parts.
JOINED_S = 0.05
#: Fore-aft peaks below this share of body weight are no braking, and no propulsion.
AP_BW = 0.02
#: Events of the source this near to a contact's on or off are its own.
EVENT_S = 0.10
#: Foot markers: parts of the contact in which they are compared, how much nearer one side must be, how near at least,
#: and how far beside the plate the marker may be.
EARLY, LATE = (0.0, 0.4), (0.6, 1.0)
MARKER_MARGIN_M = 0.05
MARKER_REACH_M = 0.35
MARKER_BESIDE_M = 0.05
#: Direction of progression: shortest way that shows it, and how far it may be from an axis of the lab.
PROGRESSION_M = 0.25
ROLL_M = 0.05
PROGRESSION_COS = math.cos(math.radians(30.0))
#: Footfalls with no more time between them follow each other.
ADJACENT_S = 0.25
#: Step time before any two footfalls follow each other: a share of a walking contact, or a running contact and flight.
WALK_STEP = 0.8
RUN_FLIGHT_S = 0.10
#: A time between footfalls this far from whole steps leaves the number of steps open.
STEP_DOUBT = 0.3
#: What is turned so that the axis of progression points forward: new axes by the measured one.
_TURNS = {"x": ("-y", "x", "z"), "-x": ("y", "-x", "z"), "-y": ("-x", "-y", "z")}

_LEFT_RIGHT = {"L": "L", "LEFT": "L", "R": "R", "RIGHT": "R"}
_FOOT = r"(?:HEEL|CALCANEUS|CALC|CAL|TOE|MT[125]|MTP[125])"
_MARKER = re.compile(rf"^(?:(?P<a>LEFT|RIGHT|L|R)(?:{_FOOT}|HEE)|{_FOOT}(?P<b>LEFT|RIGHT|L|R))\d?$")


# ---------------------------------------------------------------------------------------------------------------
# Plates


@dataclass(frozen=True, eq=False)
class _Outline:
    """A plate's rectangle on the floor: centre, unit vectors along its sides, half lengths."""

    centre: FloatArray
    along: FloatArray
    half: FloatArray

    @classmethod
    def of(cls, corners: FloatArray) -> _Outline:
        c = corners[:, :2]
        sides = np.array([c[0] - c[1], c[0] - c[3]])
        length = np.linalg.norm(sides, axis=1)
        return cls(c.mean(axis=0), sides / length[:, None], 0.5 * length)

    def inside_m(self, points: FloatArray) -> FloatArray:
        """How far points (k, 2) are inside the four sides (k, 4); negative outside."""
        local = (points - self.centre) @ self.along.T
        return np.hstack((self.half - local, self.half + local))

    def beside_m(self, points: FloatArray) -> FloatArray:
        """Distance of points from the rectangle, 0 on it: (k,)."""
        local = np.abs((points - self.centre) @ self.along.T) - self.half
        return np.asarray(np.linalg.norm(np.maximum(local, 0.0), axis=1))

    def from_m(self, other: _Outline) -> float:
        """Distance to another rectangle, to a fortieth of its sides; 0 where they touch."""
        u = np.linspace(-1.0, 1.0, 41)
        one = np.ones_like(u)
        rim = np.vstack([np.column_stack(p) for p in ((u, one), (u, -one), (one, u), (-one, u))])
        return float(self.beside_m(other.centre + (rim * other.half) @ other.along).min())

    def to_edge_m(self, points: FloatArray, others: Sequence[_Outline]) -> FloatArray:
        """Distance of points to the nearest side that none of the `others` continues: (k,)."""
        inside = self.inside_m(points)
        outward = np.vstack((self.along, -self.along))
        for side in range(4):
            beyond = points + (inside[:, side, None] + NEIGHBOUR_M) * outward[side]
            for other in others:
                inside[other.beside_m(beyond) <= NEIGHBOUR_M, side] = math.inf
        return np.asarray(inside.min(axis=1))


def _outlines(trial: Trial) -> list[_Outline | None]:
    """Outlines of the plates; None for one without corners, or whose corners are no rectangle's (all at zero)."""
    found = []
    for plate in trial.plates:
        c = plate.corners_lab
        usable = (
            c is not None and np.isfinite(c).all() and np.linalg.norm(c[[1, 3], :2] - c[0, :2], axis=1).all()
        )
        found.append(_Outline.of(c) if c is not None and usable else None)
    return found


def is_overground(record: Record, surface: Surface) -> bool:
    """Whether a trial is treated as a walkway.

    "auto" says so only if every plate has corners and no side longer than 1.25 m, somebody steps on at least one, and
    on none more than twice.
    """
    if surface != "auto":
        return surface == "overground"
    outlines = _outlines(record.trial)
    if any(o is None or 2.0 * o.half.max() > LONGEST_PLATE_M for o in outlines):
        return False
    coarse = look(record.thinned(), math.nan, "auto", crossing=True)
    counts = [len(coarse.events((k,))[0]) for k in range(len(outlines))]
    return 0 < max(counts) <= MOST_CONTACTS


class _Loads:
    """Filtered vertical force of each plate, offset removed, and its first moments in the lab."""

    def __init__(self, found: Segmentation) -> None:
        self.fz: dict[int, FloatArray] = {}
        self.moment: dict[int, FloatArray] = {}
        record = found.record
        frames = np.arange(len(record), dtype=np.float64)
        for v in found.virtual:
            if v.joined:
                continue
            k = v.plates[0]
            plate = record.trial.plates[k]
            offset = v.baseline.at(frames)[0]
            mx, my = (
                filter_segments(np.ascontiguousarray(plate.wrench[:, c]), record.segments, found.kinetics)
                - offset[c]
                for c in (3, 4)
            )
            x, y = plate.origin_m[:2]
            self.fz[k] = v.fz
            self.moment[k] = np.column_stack((x * v.fz - my, y * v.fz + mx))

    def force(self, plates: Sequence[int], frames: slice) -> FloatArray:
        return np.asarray(np.sum([self.fz[k][frames] for k in plates], axis=0))

    def cop(self, plates: Sequence[int], frames: slice, least_n: float) -> FloatArray:
        """Centre of pressure of plates together, (n, 2); NaN where they carry less than `least_n`."""
        fz = self.force(plates, frames)
        moment = np.sum([self.moment[k][frames] for k in plates], axis=0)
        return np.asarray(moment / np.where(fz >= least_n, fz, np.nan)[:, None])


def _frames(samples: FloatArray, part: tuple[float, float] = (0.0, 1.0)) -> slice:
    """Whole frames of a part of a contact."""
    on, off = samples.tolist()
    low, high = on + part[0] * (off - on), on + part[1] * (off - on)
    return slice(max(math.ceil(low), 0), max(math.floor(high) + 1, 0))


def _median(points: FloatArray) -> FloatArray:
    """Median of the finite rows, NaN without any."""
    seen = points[np.isfinite(points).all(axis=1)]
    return np.median(seen, axis=0) if len(seen) else np.full(points.shape[1], np.nan)


def _travel_m(cop: FloatArray) -> float:
    """Diagonal of the area that a centre of pressure covers."""
    seen = cop[np.isfinite(cop).all(axis=1)]
    return float(np.linalg.norm(np.ptp(seen, axis=0))) if len(seen) else 0.0


def _least_n(found: Segmentation) -> float:
    """Force from which a centre of pressure is trusted, as for its range in the step table."""
    weight = found.weight.force_n
    level = max(v.level_n for v in found.virtual)
    return max(COP_FORCE_N, level, COP_FORCE_BW * weight if math.isfinite(weight) else 0.0)


# ---------------------------------------------------------------------------------------------------------------
# Foot markers and events


def marker_sides(names: Sequence[str]) -> dict[str, list[int]]:
    """Markers on the heels and toes of each side, by name: LHEE, Subject:RTOE, L.Heel, heel_r, RCAL."""
    found: dict[str, list[int]] = {"L": [], "R": []}
    for j, name in enumerate(names):
        plain = re.sub(r"[^A-Z0-9]", "", name.rsplit(":", 1)[-1].upper())
        match = _MARKER.match(plain)
        if match:
            found[_LEFT_RIGHT[match["a"] or match["b"]]].append(j)
    return found


def _marker_side(
    trial: Trial, outlines: Sequence[_Outline | None], plates: Sequence[int], frames: slice, cop: FloatArray
) -> str:
    """Side of the foot markers that are clearly nearer to the centre of pressure, while the plate is loaded."""
    markers = trial.markers
    sides = {} if markers is None else marker_sides(markers.names)
    if markers is None or not all(sides.values()) or not np.isfinite(cop).any():
        return "?"
    at = np.rint(np.arange(frames.start, frames.start + len(cop)) / trial.rate_hz * markers.rate_hz).astype(
        int
    )
    seen = np.isfinite(cop).all(axis=1) & (at < len(markers.positions_m))
    height = trial.plates[plates[0]].origin_m[2]
    near = {}
    for side, columns in sides.items():
        away = markers.positions_m[at[seen]][:, columns]
        away = away - np.column_stack((cop[seen], np.full(int(seen.sum()), height)))[:, None, :]
        distance = np.linalg.norm(away, axis=2)
        typical = [
            float(np.median(d[np.isfinite(d)])) if np.isfinite(d).any() else math.inf for d in distance.T
        ]
        best = int(np.argmin(typical))
        place = _median(markers.positions_m[at[seen], columns[best], :2])
        near[side] = (typical[best], place)
    (side, (nearest, place)), (_, (other, _)) = sorted(near.items(), key=lambda item: item[1][0])
    known = [o for k in plates if (o := outlines[k]) is not None]
    on_plate = not known or min(float(o.beside_m(place[None])[0]) for o in known) <= MARKER_BESIDE_M
    return side if nearest <= MARKER_REACH_M and other - nearest >= MARKER_MARGIN_M and on_plate else "?"


def _event_side(trial: Trial, label: str, time_s: float) -> str:
    """Side of the nearest event of a kind, if near enough; NaN times have none."""
    own = [
        (abs(e.time_s - time_s), e.side) for e in trial.events if e.label == label and e.side in ("L", "R")
    ]
    distance, side = min(own, default=(math.inf, "?"))
    return side if distance <= EVENT_S else "?"


# ---------------------------------------------------------------------------------------------------------------
# One foot on two plates


@dataclass(frozen=True)
class _Part:
    """A contact on one plate."""

    plate: int
    index: int
    on: float
    off: float
    side: str


def _parts(found: Segmentation, loads: _Loads, outlines: Sequence[_Outline | None]) -> list[_Part]:
    trial, least = found.record.trial, _least_n(found)
    parts = []
    for v in found.virtual:
        k = v.plates[0]
        for i, samples in enumerate(v.contacts.samples):
            frames = _frames(samples, EARLY)
            side = _marker_side(trial, outlines, v.plates, frames, loads.cop(v.plates, frames, least))
            parts.append(_Part(k, i, float(samples[0]), float(samples[1]), side))
    return parts


def _same_foot(
    a: _Part, b: _Part, loads: _Loads, outlines: Sequence[_Outline | None], rate_hz: float, least_n: float
) -> bool:
    """Whether two contacts on different plates are parts of one footfall."""
    first, second = outlines[a.plate], outlines[b.plate]
    if a.plate == b.plate or first is None or second is None or {a.side, b.side} == {"L", "R"}:
        return False
    if first.from_m(second) > NEIGHBOUR_M:
        return False
    whole = loads.cop([a.plate, b.plate], _frames(np.array([min(a.on, b.on), max(a.off, b.off)])), least_n)
    if _travel_m(whole) > ONE_FOOT_M:
        return False
    a, b = (a, b) if a.on <= b.on else (b, a)
    both = min(a.off, b.off) - b.on
    if both > 0.0:
        frames = _frames(np.array([b.on, min(a.off, b.off)]))
        apart = _median(loads.cop([a.plate], frames, least_n) - loads.cop([b.plate], frames, least_n))
        shared = both >= SHARED_TIME * min(a.off - a.on, b.off - b.on)
        if np.linalg.norm(apart) <= (FOOT_M if shared else HANDOVER_M):
            return True
    if abs(both) > HANDOVER_S * rate_hz:
        return False
    leaves = loads.cop([a.plate], _frames(np.array([a.on, a.off]), LATE), least_n)
    comes = loads.cop([b.plate], _frames(np.array([b.on, b.off]), EARLY), least_n)
    leaves, comes = (c[np.isfinite(c).all(axis=1)] for c in (leaves, comes))
    return bool(len(leaves) and len(comes) and np.linalg.norm(leaves[-1] - comes[0]) <= HANDOVER_M)


def _groups(parts: list[_Part], same: list[tuple[int, int]]) -> list[list[_Part]]:
    """Parts that belong together, directly or through others."""
    root = list(range(len(parts)))
    for i, j in same:
        low, high = sorted((root[i], root[j]))
        root = [low if r == high else r for r in root]
    return [
        g for r in sorted(set(root)) if len(g := [p for p, q in zip(parts, root, strict=True) if q == r]) > 1
    ]


def _picked(contacts: Contacts, keep: BoolArray) -> Contacts:
    rows = ("t_on", "t_off", "peak_n", "flags", "samples", "segments")
    return replace(contacts, **{name: getattr(contacts, name)[keep] for name in rows})


def _joined(found: Segmentation, groups: list[list[_Part]]) -> tuple[Segmentation, list[_Part]]:
    """Take footfalls across plates from their sums and their parts from the plates; parts that can't be joined."""
    gone: set[tuple[int, int]] = set()
    taken: dict[tuple[int, ...], set[int]] = {}
    alone: list[_Part] = []
    sums = {v.plates: v for v in found.virtual if v.joined}
    for group in groups:
        plates = _plates_of(group)
        row = _row_of(sums[plates].contacts, group)
        if row is None:
            alone += group
        else:
            taken.setdefault(plates, set()).add(row)
            gone |= {(p.plate, p.index) for p in group}
    virtual = []
    for v in found.virtual:
        if v.joined:
            keep = np.isin(np.arange(len(v.contacts)), sorted(taken.get(v.plates, ())))
            contacts = replace(_picked(v.contacts, keep), rejected=())
            contacts.flags[:] |= Flag.JOINED_PLATES
        else:
            keep = np.array([(v.plates[0], i) not in gone for i in range(len(v.contacts))], dtype=bool)
            contacts = _picked(v.contacts, keep)
            alone = [
                replace(p, index=int(keep[: p.index].sum())) if p.plate == v.plates[0] else p for p in alone
            ]
        if len(contacts) or not v.joined:
            virtual.append(replace(v, contacts=contacts))
    return replace(found, virtual=tuple(virtual)), alone


def _plates_of(group: list[_Part]) -> tuple[int, ...]:
    return tuple(sorted({p.plate for p in group}))


def _row_of(contacts: Contacts, group: list[_Part]) -> int | None:
    """The contact on the sum that begins and ends with the parts; None if another foot is in it."""
    on, off = min(p.on for p in group), max(p.off for p in group)
    apart = np.abs(contacts.samples - (on, off)).max(axis=1, initial=0.0)
    near = np.flatnonzero(apart <= JOINED_S * contacts.rate_hz)
    return int(near[0]) if len(near) else None


# ---------------------------------------------------------------------------------------------------------------
# Which way


def _displacement(found: Segmentation, loads: _Loads) -> list[tuple[str, FloatArray, float]]:
    """What shows the direction of progression, best first: its name, the way, and how long it has to be."""
    trial, least = found.record.trial, _least_n(found)
    contacts = sorted(
        (s.tolist(), v.plates) for v in found.virtual if not v.joined for s in v.contacts.samples
    )
    ways: list[tuple[str, FloatArray, float]] = []
    middle = [_median(loads.cop(p, _frames(np.array(s), (0.2, 0.8)), least)) for s, p in contacts]
    middle = [m for m in middle if np.isfinite(m).all()]
    if len(middle) > 1:
        ways.append(("contacts", middle[-1] - middle[0], PROGRESSION_M))
    if trial.markers is not None and contacts:
        rate, n = trial.markers.rate_hz / trial.rate_hz, len(trial.markers.positions_m)
        first, last = contacts[0][0][0], max(s[1] for s, _ in contacts)
        a, b = (min(max(round(t * rate), 0), n - 1) for t in (first, last))
        moved = trial.markers.positions_m[b, :, :2] - trial.markers.positions_m[a, :, :2]
        ways.append(("markers", _median(moved), PROGRESSION_M))
    rolls = [
        _median(loads.cop(p, _frames(np.array(s), (0.7, 0.9)), least))
        - _median(loads.cop(p, _frames(np.array(s), (0.1, 0.3)), least))
        for s, p in contacts
    ]
    if rolls:
        ways.append(("roll of the foot", _median(np.array(rolls)), ROLL_M))
    return ways


def _progression(found: Segmentation, loads: _Loads) -> tuple[str | None, str]:
    """The axis of the trial that the subject moves along, such as "-y", and what shows it."""
    for source, way, least in _displacement(found, loads):
        length = float(np.linalg.norm(way))
        axis = int(np.argmax(np.abs(way)))
        if length >= least and abs(way[axis]) >= PROGRESSION_COS * length:
            return ("-" if way[axis] < 0 else "") + "xy"[axis], source
    return None, "nothing"


# ---------------------------------------------------------------------------------------------------------------
# From a trial to its footfalls


@dataclass(frozen=True, eq=False)
class Crossing:
    """The footfalls of a walkway.

    Attributes
    ----------
    trial : Trial
        In axes with y along the way the subject goes, where that was measured and not stated.
    found : Segmentation
        Plates alone, then sums of plates with the footfalls across them.
    reasons : tuple of tuple of str
        Why each contact is flagged, in the order of the virtual plates.
    evidence : tuple of dict
        What each source says of each contact's side, in the same order; sources that say nothing are left out.
    progression : dict
        Axis, what it was taken from, and whether the trial was turned.
    findings : tuple of str
    """

    trial: Trial
    found: Segmentation
    reasons: tuple[tuple[str, ...], ...]
    evidence: tuple[dict[str, str], ...]
    progression: dict[str, Any]
    findings: tuple[str, ...]


def find(
    record: Record,
    *,
    mass_kg: float | None,
    level: LevelRule,
    cutoff_hz: float | None,
    timing_cutoff_hz: float | None,
    baseline: Method,
    gait: Gait,
    incline_deg: float,
) -> Crossing:
    """Find the footfalls of a walkway; options as for :func:`balancecore.analyze_gait`."""

    def search(record: Record, sums: list[tuple[int, ...]]) -> Segmentation:
        return segment(
            record,
            mass_kg=mass_kg,
            level=level,
            cutoff_hz=cutoff_hz,
            timing_cutoff_hz=timing_cutoff_hz,
            baseline=baseline,
            gait=gait,
            incline_deg=incline_deg,
            crossing=[(k,) for k in range(len(record.trial.plates))] + sums,
        )

    trial = record.trial
    found = search(record, [])
    loads, outlines = _Loads(found), _outlines(trial)
    parts = _parts(found, loads, outlines)
    rate, least = trial.rate_hz, _least_n(found)
    same = [
        (i, j)
        for i, j in combinations(range(len(parts)), 2)
        if _same_foot(parts[i], parts[j], loads, outlines, rate, least)
    ]
    groups = _groups(parts, same)
    axis, source = _progression(found, loads)
    trial, turned = _facing(trial, axis)
    if groups or turned:  # turning leaves the vertical force, and so every contact, as it was
        found = search(take_in(trial) if turned else record, sorted({_plates_of(g) for g in groups}))
        loads = _Loads(found)
    found, alone = _joined(found, groups)
    progression = {"axis": axis, "seen_in": source, "turned": turned}
    return _judged(trial, found, loads, alone, progression)


def _facing(trial: Trial, axis: str | None) -> tuple[Trial, bool]:
    """The trial with y forward, unless its axes were stated; what was measured is then known, right and left too."""
    if axis is None or trial.lateral_known:
        return trial, False
    turned = trial.turned(_TURNS[axis]) if axis in _TURNS else trial
    return replace(turned, lateral_known=True), axis != "y"


def _judged(
    trial: Trial, found: Segmentation, loads: _Loads, alone: list[_Part], progression: dict[str, Any]
) -> Crossing:
    """Flag what is not one whole foot, and ask every source for the sides."""
    outlines, least = _outlines(trial), _least_n(found)
    clean = _typical_s(found)
    reasons: list[tuple[str, ...]] = []
    evidence: list[dict[str, str]] = []
    virtual = []
    for v in found.virtual:
        flags = v.contacts.flags.copy()
        unjoined = {p.index for p in alone if not v.joined and p.plate == v.plates[0]}
        for i in range(len(v.contacts)):
            why = _partial(found, v, i, loads, outlines, least)
            if i in unjoined:
                why.append(
                    (
                        Flag.PARTIAL_HIT,
                        "the same foot is on a neighbouring plate together with the other foot",
                    )
                )
            known, two = _evidence(trial, v, i, loads, outlines, least)
            why += two + _too_much(v, i, loads, clean, least)
            for flag, _ in why:
                flags[i] |= flag
            reasons.append(tuple(reason for _, reason in why))
            evidence.append(known)
        virtual.append(replace(v, contacts=replace(v.contacts, flags=flags)))
    found = replace(found, virtual=tuple(virtual))
    return Crossing(trial, found, tuple(reasons), tuple(evidence), progression, _findings(trial, progression))


Why = list[tuple[Flag, str]]


def _partial(
    found: Segmentation,
    v: VirtualPlate,
    i: int,
    loads: _Loads,
    outlines: Sequence[_Outline | None],
    least_n: float,
) -> Why:
    """Reasons to think that the plate holds a part of the foot only, or that its offset is not known."""
    why: Why = []
    c = v.contacts
    cop = loads.cop(v.plates, _frames(c.samples[i]), least_n)
    edge = _edge_m(cop[np.isfinite(cop).all(axis=1)], v.plates, outlines)
    if edge < EDGE_M:
        what = f"the centre of pressure comes within {1000 * max(edge, 0.0):.0f} mm of an edge of the plate"
        why.append((Flag.PLATE_EDGE | Flag.PARTIAL_HIT, what))
    gap = _floor_between_m(v.plates, outlines)
    if gap > BRIDGED_M:
        why.append(
            (Flag.PARTIAL_HIT, f"there are {1000 * gap:.0f} mm of floor between the plates under the foot")
        )
    weight = found.weight.force_n if math.isfinite(found.weight.force_n) else found.coarse.scale_n
    peak_bw = RULES[found.gait].min_peak_bw
    if c.complete[i] and c.peak_n[i] < peak_bw * weight:
        why.append((Flag.PARTIAL_HIT, f"the peak is below {peak_bw:g} BW"))
    unloaded = _unloaded_sides(v, i)
    if v.baseline.note or (v.baseline.method != "none" and unloaded < 2):
        flag = Flag.DRIFT_SUSPECT if unloaded else Flag.DRIFT_SUSPECT | Flag.PARTIAL_HIT
        times = "only before or after" if unloaded else "neither before nor after"
        why.append((flag, f"the plate is seen unloaded {times} the contact"))
    return why


def _edge_m(cop: FloatArray, plates: Sequence[int], outlines: Sequence[_Outline | None]) -> float:
    """Least distance of a centre of pressure to an edge of its plates; edges between them don't count."""
    known = [o for k in plates if (o := outlines[k]) is not None]
    if len(known) < len(plates) or not len(cop):
        return math.inf
    inside = np.array([o.inside_m(cop).min(axis=1) for o in known])
    edges = np.array([o.to_edge_m(cop, [p for p in known if p is not o]) for o in known])
    return float(edges[inside.argmax(axis=0), np.arange(len(cop))].min())


def _floor_between_m(plates: Sequence[int], outlines: Sequence[_Outline | None]) -> float:
    """Widest gap between a plate and the nearest of the others."""
    known = [o for k in plates if (o := outlines[k]) is not None]
    return max((min(o.from_m(p) for p in known if p is not o) for o in known if len(known) > 1), default=0.0)


def _unloaded_sides(v: VirtualPlate, i: int) -> int:
    """On how many sides of a contact its plate is seen unloaded before another contact: 0 to 2."""
    samples, knots = v.contacts.samples, v.baseline.knots
    low = samples[i - 1, 1] if i else -math.inf
    high = samples[i + 1, 0] if i + 1 < len(samples) else math.inf
    before = (knots[:, 0] >= low) & (knots[:, 1] <= samples[i, 0] + 1.0)
    after = (knots[:, 0] >= samples[i, 1] - 1.0) & (knots[:, 1] <= high)
    return int(before.any()) + int(after.any())


def _typical_s(found: Segmentation) -> FloatArray:
    """Durations of the complete contacts, s."""
    return np.concatenate([(v.contacts.t_off - v.contacts.t_on)[v.contacts.complete] for v in found.virtual])


def _too_much(v: VirtualPlate, i: int, loads: _Loads, durations: FloatArray, least_n: float) -> Why:
    """Reasons to think that a contact holds more than one footfall."""
    why: Why = []
    c = v.contacts
    if _travel_m(loads.cop(v.plates, _frames(c.samples[i]), least_n)) > ONE_FOOT_M:
        why.append((Flag.TWO_FEET, "the centre of pressure travels farther than under one foot"))
    duration = float(c.t_off[i] - c.t_on[i])
    others = np.delete(durations, np.flatnonzero(durations == duration)[:1])
    if len(others) >= LONG_OTHERS and duration > LONG_RATIO * float(np.median(others)):
        why.append(
            (Flag.TWO_FEET, f"the contact lasts {duration:.2f} s, the others {np.median(others):.2f} s")
        )
    return why


def _evidence(
    trial: Trial,
    v: VirtualPlate,
    i: int,
    loads: _Loads,
    outlines: Sequence[_Outline | None],
    least_n: float,
) -> tuple[dict[str, str], Why]:
    """What the sources say of a contact's foot, and whether they say that it begins on one and ends on the other."""
    c = v.contacts
    why: Why = []
    told = {trial.plates[k].side for k in v.plates}
    known = {"plates": told.pop() if len(told) == 1 else "?"}
    events = [_event_side(trial, f"contact_{x}", float(t[i])) for x, t in (("on", c.t_on), ("off", c.t_off))]
    known["events"] = next((side for side in events if side != "?"), "?")
    feet = []
    for part in (EARLY, LATE):
        frames = _frames(c.samples[i], part)
        feet.append(_marker_side(trial, outlines, v.plates, frames, loads.cop(v.plates, frames, least_n)))
    known["markers"] = feet[0]
    for source, pair in (("events", events), ("markers", feet)):
        if set(pair) == {"L", "R"}:
            why.append((Flag.TWO_FEET, f"by the {source} one foot begins the contact and the other ends it"))
    return {source: side for source, side in known.items() if side != "?"}, why


def _findings(trial: Trial, progression: dict[str, Any]) -> tuple[str, ...]:
    findings = []
    axis = progression["axis"]
    if axis is None:
        findings.append(
            "the direction of progression is along no axis of the lab, or can't be seen: fore-aft and mediolateral "
            "columns assume that the subject moves along +y"
        )
    elif trial.lateral_known and axis != "y" and not progression["turned"]:
        findings.append(
            f"the subject moves along {axis} although +y is stated to be forward: fore-aft and mediolateral columns "
            "don't mean what they say. Read this trial with other axes"
        )
    if any(p.corners_lab is None for p in trial.plates):
        findings.append(
            "not every plate has corners: hits on its edges and footfalls across plates can't be seen"
        )
    if any(not {"Mx", "My"}.isdisjoint(p.missing) for p in trial.plates):
        findings.append("without moments there is no centre of pressure: partial hits can't be recognised")
    return tuple(findings)


def report(crossing: Crossing, merged: Merged, table: StepTable) -> dict[str, Any]:
    """What only a walkway's result tells; contacts by their row in the step table."""
    plates = [v.plates for v in crossing.found.virtual for _ in range(len(v.contacts))]
    order = merged.order.tolist()
    whole = ~unusable(table["flags"]) & np.isfinite(table["imp_brake"])
    changes = np.isfinite(table["t_zero_ap"]) & (table["peak_brake"] < -AP_BW) & (table["peak_prop"] > AP_BW)
    return {
        "progression": crossing.progression,
        "plates": [plates[i] for i in order],
        "flagged": [
            {"contact": row, "plates": plates[i], "reasons": crossing.reasons[i]}
            for row, i in enumerate(order)
            if crossing.reasons[i]
        ],
        "no_brake_to_propulsion": np.flatnonzero(whole & ~changes),
    }


def report_findings(told: dict[str, Any]) -> list[str]:
    """The report in words."""
    findings = [
        f"contact {f['contact'] + 1} (plate {' + '.join(str(k + 1) for k in f['plates'])}): {'; '.join(f['reasons'])}"
        for f in told["flagged"]
    ]
    findings += [
        f"contact {row + 1} has no change from braking to propulsion, as a part of a foot or an unsteady walk has none"
        for row in told["no_brake_to_propulsion"]
    ]
    return findings


# ---------------------------------------------------------------------------------------------------------------
# Steps and sides


def step_numbers(t_on: FloatArray, t_off: FloatArray, gait: str) -> tuple[IntArray, BoolArray]:
    """Number contacts by time, although feet may have come down beside the plates between them.

    Parameters
    ----------
    t_on, t_off : ndarray (k,)
        In order of time, s; the end of the signal for contacts that it cuts.
    gait : str
        "run" or "walk".

    Returns
    -------
    numbers : ndarray (k,) of int
        0, 1, ...; a foot on the floor leaves a number out.
    doubtful : ndarray (k,) of bool
        Contacts that may be a step more or less from the one before.
    """
    numbers, doubtful = np.zeros(len(t_on), dtype=np.int64), np.zeros(len(t_on), dtype=bool)
    if len(t_on) < 2:
        return numbers, doubtful
    gaps, idle = np.diff(t_on), t_on[1:] - t_off[:-1]
    following = idle <= ADJACENT_S
    contact = float(np.median(t_off - t_on))
    guess = WALK_STEP * contact if gait == "walk" else contact + RUN_FLIGHT_S
    step = float(np.median(gaps[following])) if following.any() else guess
    share = gaps / max(step, 1e-9)
    apart = np.where(following, 1, np.maximum(np.rint(share), 2)).astype(np.int64)
    numbers[1:] = np.cumsum(apart)
    doubtful[1:] = ~following & (np.abs(share - apart) > STEP_DOUBT)
    return numbers, doubtful


def sides(crossing: Crossing, merged: Merged, doubtful: BoolArray, first_side: str | None) -> Sides:
    """Side of each contact: the user's word, then events, then markers, then alternation (metrics 1.7).

    A source of lower rank never changes a side; where it disagrees, the contact is ambiguous.
    """
    said = [dict(crossing.evidence[i]) for i in merged.order.tolist()]
    if said and first_side is not None:
        said[0] = {"user": first_side} | said[0]
    labels = np.array([next(iter(s.values()), "?") for s in said], dtype="<U1")
    methods = list(
        dict.fromkeys(
            source
            for rank in ("plates", "user", "events", "markers")
            for s in said
            if (source := next(iter(s), None)) == rank
        )
    )
    ambiguous = np.array([len(set(s.values())) > 1 for s in said], dtype=bool)
    findings = list(crossing.findings)
    if ambiguous.any():
        findings.append(
            f"{int(ambiguous.sum())} contacts whose sources disagree about the foot: the user's word goes before "
            "events, and events before markers"
        )
    known = labels != "?"
    limbs = ("L", "R") if known.any() else ("A", "B")
    if not known.all():
        ambiguous |= _alternate(labels, known, merged.parity, doubtful, limbs)
        methods.append("alternation")
    labels[(merged.flags & int(Flag.TWO_FEET)) != 0] = "?"
    right = 1.0 if crossing.trial.lateral_known and limbs == ("L", "R") else math.nan
    medial = {limbs[0]: right, limbs[1]: -right}
    return Sides(labels, limbs, "+".join(methods) or "alternation", ambiguous, medial, None, tuple(findings))


def _alternate(
    labels: NDArray[np.str_], known: BoolArray, numbers: IntArray, doubtful: BoolArray, limbs: tuple[str, str]
) -> BoolArray:
    """Fill in what no source says from the nearest contact that one does; True where the steps between are in doubt."""
    anchors = np.flatnonzero(known) if known.any() else np.array([0])
    if not known.any():
        labels[0] = limbs[0]
    unsure = np.zeros(len(labels), dtype=bool)
    doubts = np.cumsum(doubtful)
    for i in np.flatnonzero(~known).tolist():
        anchor = int(anchors[np.argmin(np.abs(numbers[anchors] - numbers[i]))])
        same = (numbers[i] - numbers[anchor]) % 2 == 0
        labels[i] = labels[anchor] if same else limbs[1 - limbs.index(labels[anchor])]
        unsure[i] = doubts[i] != doubts[anchor]
    return unsure
