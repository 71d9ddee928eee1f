"""What about a recording looks wrong, and what to do about each: the judgements behind :func:`balancecore.inspect`.

A finding is a reason to look, no proof: a file that holds one may be right. Each names what was seen, with numbers, and
the option of :func:`balancecore.read` (or the check) that would settle it. Nothing is changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancecore.errors import DataError
from balancecore.gait import analyze_gait
from balancecore.intake import RAW, Saturation, take_in
from balancecore.io._file import FileBytes
from balancecore.io._read import LOADED_N, points_down, polarity_note, side_note
from balancecore.io._record import PlateHeader, RawFile
from balancecore.markup import harmless
from balancecore.quality import DRIFT_BW
from balancecore.trial import CHANNELS, Plate, Trial, axis_rotation
from balancecore.weight import STANDARD_GRAVITY, SUSPECT_FRACTION

__all__ = [
    "LOADED_N",
    "Finding",
    "Opened",
    "Rest",
    "between_files",
    "harmless_finding",
    "load_direction",
    "of_all",
    "of_file",
    "same_trials",
    "stated_depth_m",
    "told_notes",
    "weighed",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: An unloaded plate that shows more than this wants its hardware zero set (CODA force plate guide).
OFFSET_N = 5.0
#: Drift that matters, of a body weight that is not known yet: DRIFT_BW of this.
WEIGHT_N = 700.0
#: Rates below which loading rates, and contact times, suffer (metrics 1.4).
LOADING_RATE_HZ = 1000.0
TIMING_RATE_HZ = 500.0
#: A horizontal load this many times the vertical one: another axis points up.
SIDEWAYS = 1.5
#: The centre of pressure may be this far outside the corners: a shoe bends over the edge, corners are measured.
OUTSIDE_M = 0.02
#: Half a diagonal where there are no corners; wrong units put the centre of pressure this many times further out, or
#: leave it within this share of it.
USUAL_HALF_M = 1.0
TOO_FAR, TOO_NEAR = 30.0, 1e-3
#: Channels of one kind have about one gain; ranges of amplifiers are at least this far apart.
GAIN_RATIO = 1.5
#: No plate is deeper.
DEEPEST_M = 0.25
#: Forces of two files that are the same trial differ by less than this share of their RMS.
SAME_FORCE = 0.02
#: What two files say of a depth differs by more than this, and by so many standard errors.
DEPTH_M = 0.001
DEPTH_ERRORS = 5.0
#: Scales of force that differ.
SAME_SCALE = 0.005
#: Body weights between which a single load can lie, from quiet standing to a hard landing.
LOAD_BW = (0.5, 12.0)
_MEDIAN_FRAMES = 20_000
_NAN6 = np.full(6, np.nan)


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong.

    Attributes
    ----------
    code : str
        Its kind, one word.
    where : str
        File, plate and channel.
    message : str
        What was seen, with numbers.
    suggestion : str
        What to pass to :func:`balancecore.read`, or what to check.
    """

    code: str
    where: str
    message: str
    suggestion: str


@dataclass(eq=False)
class Opened:
    """A file that was read, as it holds its plates and as a trial."""

    file: FileBytes
    raw: RawFile
    trial: Trial
    uneven: str = ""
    """Why it was refused until its frames were interpolated."""

    @cached_property
    def saturation(self) -> tuple[Saturation, ...]:
        """Where channels are at the end of their range; none where the record is not fit for a look."""
        try:
            return take_in(self.trial).saturation
        except DataError:
            return ()


@dataclass(frozen=True, eq=False)
class Rest:
    """A plate without load: windows of frames, and what its six channels show there."""

    windows: IntArray
    why: str
    offset: FloatArray = field(default_factory=_NAN6.copy)
    noise_sd: FloatArray = field(default_factory=_NAN6.copy)
    drift: FloatArray = field(default_factory=_NAN6.copy)
    seconds: float = 0.0


def harmless_finding(finding: Finding) -> Finding:
    """The finding with everything that may come from a file made fit for a terminal."""
    return Finding(
        finding.code,
        harmless(finding.where, 200),
        harmless(finding.message, 600),
        harmless(finding.suggestion, 600),
    )


def told_notes(trial: Trial) -> set[str]:
    """Notes of the reader that a finding says with a suggestion."""
    notes = {polarity_note(k, plate) for k, plate in enumerate(trial.plates)} | {side_note(trial.plates)}
    return {note for note in notes if note is not None}


def load_direction(fz: FloatArray) -> str:
    """Which way the vertical force points under load: "up", "down", or "none" where it stays below 100 N."""
    if points_down(fz):
        return "down"
    size = np.abs(fz[np.isfinite(fz)])
    return "up" if len(size) and float(size.max()) >= LOADED_N else "none"


def stated_depth_m(one: Opened, k: int) -> float | None:
    """Depth of the sensors' origin below the surface as it was used, m; None where the file says nothing of it."""
    header = one.raw.plates[k].header
    if header is None or header.kind == 1:
        return None
    return abs(float(header.to_surface_m @ header.normal))


# ---------------------------------------------------------------------------------------------------------------
# All plates


def of_all(opened: Sequence[Opened]) -> list[Finding]:
    """What looks wrong with the plates of all files together."""
    plates = [plate for one in opened for plate in one.trial.plates]
    where = " + ".join(one.file.name for one in opened)
    found = []
    if all(load_direction(plate.wrench[:, 2]) == "none" for plate in plates):
        sizes = np.abs(np.concatenate([plate.wrench[:, 2] for plate in plates]))
        largest = float(sizes.max(where=np.isfinite(sizes), initial=0.0))
        found.append(
            Finding(
                "no_load",
                where,
                f"no vertical force reaches {LOADED_N:g} N (largest {largest:.3g} N)",
                "if somebody was on the plates, the unit is wrong (units={'force': 'kN'}?), or the vertical axis "
                "(axes=), or the numbers are volts that need the plate's calibration (rig=, balancecore.plates)",
            )
        )
    if side_note(plates) is not None and all(plate.side == "?" for plate in plates):
        found.append(
            Finding(
                "side_by_name",
                where,
                f"plates are called {', '.join(p.name[:30] for p in plates if p.name)}, which says nothing of the foot "
                "that landed there",
                "sides=['L', 'R'] if each foot kept to its plate; else leave it, or give first_side= to analyze_gait",
            )
        )
    return found


# ---------------------------------------------------------------------------------------------------------------
# One file


def of_file(one: Opened, rests: Sequence[Rest]) -> list[Finding]:
    """What looks wrong within one file.

    Parameters
    ----------
    one : Opened
    rests : sequence of Rest
        One a plate.
    """
    found = [*_of_time(one), *_of_events(one)]
    for k, rest in enumerate(rests):
        where = _where(one, k)
        found += [Finding(code, where + at, what, hint) for code, at, what, hint in _of_plate(one, k, rest)]
    return found + list(_of_plates_together(one))


#: Code, where on the plate, message, suggestion.
_Found = Iterator[tuple[str, str, str, str]]


def _where(one: Opened, k: int) -> str:
    return f"{one.file.name}, plate {k + 1}"


def _of_time(one: Opened) -> Iterator[Finding]:
    name, rate = one.file.name, one.trial.rate_hz
    if one.uneven:
        yield Finding(
            "time_uneven",
            name,
            f"frames are not evenly spaced ({one.uneven.removeprefix(name)[:200].lstrip(', :')}); what is shown "
            "here was interpolated",
            "resample=True interpolates them; better, export the recording with an even rate",
        )
    if rate < LOADING_RATE_HZ:
        worse = " and contact times" if rate < TIMING_RATE_HZ else ""
        yield Finding(
            "rate_low",
            name,
            f"{rate:g} Hz is little for loading rates{worse}",
            f"record at {LOADING_RATE_HZ:g} Hz or more, or leave out loading rates",
        )


def _of_events(one: Opened) -> Iterator[Finding]:
    late = [e for e in one.trial.events if not 0.0 <= e.time_s <= one.trial.duration_s]
    if late:
        yield Finding(
            "events_outside",
            one.file.name,
            f"{len(late)} of {len(one.trial.events)} events lie outside the record of {one.trial.duration_s:.3f} s, "
            f"such as {late[0].label[:30]!r} at {late[0].time_s:.3f} s",
            "the record was cut, or the events count from another start: check the export",
        )


def _of_plate(one: Opened, k: int, rest: Rest) -> _Found:
    plate, header = one.trial.plates[k], one.raw.plates[k].header
    direction = list(_of_direction(plate, one.trial))
    yield from direction
    yield from _of_channels(plate, header)
    yield from _of_range(one, k)
    # Where another axis points up, nothing that rests on Fz means anything.
    if not any(code == "vertical_not_z" for code, *_ in direction):
        yield from _of_rest(rest, _zero_force(one, plate))
        yield from _of_pressure(plate)
    if header is not None:
        yield from _of_origin(header, plate)
        yield from _of_matrix(header)
        yield from _of_gains(header)
        yield from _of_zero(one, plate, rest)


def _of_direction(plate: Plate, trial: Trial) -> _Found:
    force = plate.wrench[:, :3]
    vertical = force[np.isfinite(force[:, 2]), 2]
    if not len(vertical):
        # Where it was measured, it is told of with the other channels.
        if "Fz" in plate.missing:
            yield (
                "no_numbers",
                ", Fz",
                "there is no vertical force",
                "columns= if the file names it otherwise",
            )
        return
    p95 = [
        float(np.quantile(np.abs(column[np.isfinite(column)]), 0.95)) if np.isfinite(column).any() else 0.0
        for column in force.T
    ]
    widest = int(np.argmax(p95))
    if p95[widest] > LOADED_N and widest < 2 and p95[widest] > SIDEWAYS * p95[2]:
        fits = "('z', 'x', 'y')" if widest == 1 else "('y', 'z', 'x')"
        yield (
            "vertical_not_z",
            f", {CHANNELS[widest]}",
            f"the load is along {'xy'[widest]} (95 % of |{CHANNELS[widest]}| below {p95[widest]:.0f} N, of |Fz| below "
            f"{p95[2]:.0f} N): another axis than z seems to point up",
            f"axes= with the axis that points up in the third place, such as axes={fits}",
        )
    elif points_down(plate.wrench[:, 2]):
        other = "reaction" if trial.convention == "action" else "action"
        yield (
            "fz_negative",
            ", Fz",
            f"it is negative under load (median {float(np.median(vertical[vertical < -LOADED_N])):.0f} N)",
            f"convention={other!r} if the file holds the force on the {'plate' if other == 'action' else 'body'}; "
            "axes= if its vertical axis points down",
        )


def _of_rest(rest: Rest, zero_n: float) -> _Found:
    offset, drift = float(rest.offset[2]), float(rest.drift[2])
    if abs(offset) > OFFSET_N:
        yield (
            "offset",
            ", Fz",
            f"{offset:.1f} N without load",
            "set the plate's zero before the next recording; analyze_gait takes an offset off, other uses must"
            # Not where those frames are loaded, or were taken off already.
            + (": plate_zero=True does" if abs(offset - zero_n) <= OFFSET_N else ""),
        )
    if drift > DRIFT_BW * WEIGHT_N:
        yield (
            "drift",
            ", Fz",
            f"the offset moves by {drift:.1f} N over the record",
            "keep baseline='aerial_pchip'; warm the plate up, and set its zero before each trial",
        )


def _columns(plate: Plate, header: PlateHeader | None) -> tuple[list[str], FloatArray]:
    """Channels as they were recorded: those of the converter where they are there."""
    if header is not None:
        return list(header.channels), header.raw
    measured = [c for c in range(6) if CHANNELS[c] not in plate.missing]
    return [CHANNELS[c] for c in measured], plate.wrench[:, measured]


def _of_channels(plate: Plate, header: PlateHeader | None) -> _Found:
    names, values = _columns(plate, header)
    finite = np.isfinite(values)
    alive = []
    for c, name in enumerate(names):
        good = values[finite[:, c], c]
        lost = len(values) - len(good)
        if not len(good):
            yield "no_numbers", f", {name}", "it holds no number", "columns= if another column is meant"
        elif len(good) > 1 and good.min() == good.max():
            yield (
                "constant",
                f", {name}",
                f"it is {good[0]:.6g} throughout",
                "check its cable and column; where nothing was measured, leave it out of columns=",
            )
        else:
            alive.append(c)
        if lost and len(good):
            yield (
                "gaps",
                f", {name}",
                f"{lost} of {len(values)} frames are no numbers",
                "contacts that touch them get no metrics; export without gaps if there is a choice",
            )
    for a, b in combinations(alive, 2):
        if np.array_equal(values[:, a], values[:, b], equal_nan=True):
            yield (
                "channels_equal",
                f", {names[b]}",
                f"it repeats {names[a]} number for number",
                "one column was exported or wired twice: check columns= (or FORCE_PLATFORM:CHANNEL)",
            )


def _of_range(one: Opened, k: int) -> _Found:
    for s in one.saturation:
        if s.plate != k:
            continue
        frames = int(np.diff(s.runs, axis=1).sum())
        at = "" if s.channel == RAW else f", {s.channel}"
        value = "the converter's end" if s.channel == RAW else f"{s.value:.6g}"
        yield (
            "saturated",
            at,
            f"{frames} frames in {len(s.runs)} runs stand at {value}, first at "
            f"{float(s.runs[0, 0]) / one.trial.rate_hz:.3f} s",
            "a larger range of the amplifier; contacts touched are flagged SATURATED",
        )


def _of_pressure(plate: Plate) -> _Found:
    """Where the load is: outside the plate, or so far or near that moments must have another unit."""
    if {"Mx", "My", "Fz"} & plate.missing:
        return
    wrench = plate.wrench[:: max(1, len(plate.wrench) // _MEDIAN_FRAMES)]
    loaded = wrench[np.abs(wrench[:, 2]) > LOADED_N]
    loaded = loaded[np.isfinite(loaded).all(axis=1)] if not plate.missing else loaded
    if not len(loaded):
        return
    place = plate.origin_m[:2] + np.column_stack((-loaded[:, 4], loaded[:, 3])) / loaded[:, 2:3]
    corners = plate.corners_lab
    centre = plate.origin_m[:2] if corners is None else corners[:, :2].mean(axis=0)
    half = USUAL_HALF_M if corners is None else 0.5 * float(np.linalg.norm(corners[0] - corners[2]))
    away = np.hypot(*(place - centre).T)
    median = float(np.median(away))
    if not math.isfinite(median):
        return
    reach = np.hypot(*(place - plate.origin_m[:2]).T)
    if median > TOO_FAR * half:
        yield (
            "moment_unit",
            "",
            f"the centre of pressure is {median:.3g} m from the plate's centre: moments look like N·mm read as N·m",
            "units={'moment': 'N.mm'}, or plate_origin_m= for C3D",
        )
    elif float(np.quantile(reach, 0.99)) < TOO_NEAR * half:
        yield (
            "moment_unit",
            "",
            f"the centre of pressure stays within {1e3 * float(np.quantile(reach, 0.99)):.2g} mm of the plate's "
            "origin: moments look like N·m read as N·mm, or are not measured",
            "units={'moment': 'N.m'}; or leave the moments out of columns= if there are none",
        )
    elif corners is not None:
        share = float(np.mean(_outside_m(place, corners) > OUTSIDE_M))
        if share > 0.5:
            dx, dy = np.median(place, axis=0) - centre
            yield (
                "pressure_outside",
                "",
                f"{100 * share:.0f} % of the loaded time the centre of pressure is outside the corners (median "
                f"({dx:+.3f}, {dy:+.3f}) m from the centre)",
                "check corners and their order, ORIGIN (plate_origin_m=), the unit of the moments, and which channels "
                "are this plate's",
            )


def _outside_m(place: FloatArray, corners: FloatArray) -> FloatArray:
    """How far outside its rectangle points are seen from above; negative within."""
    middle = corners.mean(axis=0)[:2]
    beyond = []
    for far in (corners[1], corners[3]):
        side = (corners[0] - far)[:2]
        length = max(float(np.linalg.norm(side)), 1e-9)
        beyond.append(np.abs((place - middle) @ side) / length - 0.5 * length)
    outside: FloatArray = np.maximum(*beyond)
    return outside


def _of_origin(header: PlateHeader, plate: Plate) -> _Found:
    origin = header.origin_m
    at = " (FORCE_PLATFORM:ORIGIN)"
    if origin is not None and header.kind != 1:
        shown = ", ".join(f"{1000 * v:g}" for v in origin)
        if origin[2] > 0.0:
            yield (
                "origin_sign",
                at,
                f"({shown}) mm points down into the plate; it was turned round",
                "check the depth on the plate's sheet; plate_origin_m= outranks the file",
            )
        elif not origin.any() and header.kind in (2, 4, 5):
            yield (
                "origin_zero",
                at,
                "it is zero: the sensors would lie in the surface",
                "right for plates that compute it themselves; else plate_origin_m=(0, 0, -depth)",
            )
        elif header.kind in (3, 6, 7) and not (origin[0] and origin[1]):
            yield (
                "origin_zero",
                at,
                f"({shown}) mm says nothing of the sensors' places, so there are no moments",
                "plate_origin_m=(half distance along x, along y, -depth), from the plate's sheet",
            )
        if abs(origin[2]) > DEEPEST_M:
            yield (
                "origin_deep",
                at,
                f"the sensors would be {1000 * abs(origin[2]):.0f} mm below the surface",
                "check the unit of lengths (units={'length': ...}) and plate_origin_m=",
            )
        if header.kind in (3, 6, 7) and plate.corners_lab is not None:
            halves = [
                0.5 * float(np.linalg.norm(plate.corners_lab[0] - plate.corners_lab[k])) for k in (1, 3)
            ]
            if abs(origin[0]) > halves[0] or abs(origin[1]) > halves[1]:
                yield (
                    "origin_beyond_corners",
                    at,
                    f"sensors {1000 * abs(origin[0]):.0f} and {1000 * abs(origin[1]):.0f} mm from the centre, but the "
                    f"corners end at {1000 * halves[0]:.0f} and {1000 * halves[1]:.0f} mm: the two contradict",
                    "plate_origin_m= with the numbers of the plate's sheet; or the order of the corners is wrong",
                )
    if plate.corners_lab is None:
        yield (
            "no_corners",
            " (FORCE_PLATFORM:CORNERS)",
            "there are none, or they coincide, so the plate's place and axes are not known",
            "set them in the program that recorded; or take the trial's axes as the plate's own",
        )
    elif header.normal[2] > 0.0:
        yield (
            "corners_order",
            " (FORCE_PLATFORM:CORNERS)",
            "their order makes the plate's z axis point up, where C3D's points down: one horizontal axis may be "
            "mirrored",
            "compare the direction of a push with the file's; export the corners in the order +x+y, -x+y, -x-y, +x-y",
        )


def _of_matrix(header: PlateHeader) -> _Found:
    matrix = header.matrix
    at = " (FORCE_PLATFORM:CAL_MATRIX)"
    if matrix is None:
        return
    if matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.eye(len(matrix))):
        yield (
            "matrix_identity",
            at,
            "it is the identity: nothing is calibrated",
            "right where ANALOG:SCALE holds the calibration; else enter the plate's matrix",
        )
    elif matrix.shape == (6, 6) and header.lengths_in_mm:
        # Moments in mm: their rows are large beside those of the forces, on either side of the diagonal.
        lower, upper = (float(np.median(np.abs(m))) for m in (matrix[3:, :3], matrix[:3, 3:]))
        if lower < 0.1 * upper:
            yield (
                "matrix_transposed",
                at,
                f"what the force channels add to the moments (median {lower:.3g}) is less than what the moment "
                f"channels add to the forces ({upper:.3g}): in mm it is the other way round",
                "the matrix may be stored row by row: compare it with the plate's sheet",
            )


#: Channels of one kind, by the type of the plate.
_ALIKE = {
    1: ((0, 1),),
    2: ((0, 1),),
    3: ((0, 1), (2, 3), (4, 5, 6, 7)),
    7: ((0, 1), (2, 3), (4, 5, 6, 7)),
    6: ((0, 3, 6, 9), (1, 4, 7, 10), (2, 5, 8, 11)),
}


def _of_gains(header: PlateHeader) -> _Found:
    for group in _ALIKE.get(header.kind, ()):
        gains = np.abs([header.gains[c] for c in group])
        if gains.min() * GAIN_RATIO < gains.max():
            shown = ", ".join(f"{header.channels[c]} {header.gains[c]:.4g}" for c in group)
            yield (
                "gains_differ",
                " (ANALOG:SCALE)",
                f"channels of one kind have gains that differ: {shown}",
                "check the amplifier's ranges against ANALOG:SCALE",
            )


def _of_zero(one: Opened, plate: Plate, rest: Rest) -> _Found:
    frames = None if one.raw.header is None else one.raw.header.zero_frames
    if frames is None:
        return
    at = " (FORCE_PLATFORM:ZERO)"
    if frames[1] > len(plate.wrench):
        yield (
            "zero_outside",
            at,
            f"it ends at frame {frames[1]} of the plates, the record at {len(plate.wrench)}",
            "don't use plate_zero=True",
        )
    offset = float(rest.offset[2]) if math.isfinite(rest.offset[2]) else 0.0
    load = _zero_force(one, plate) - offset
    if abs(load) > LOADED_N:
        yield (
            "zero_loaded",
            at,
            f"the frames that it names as unloaded carry {load:.0f} N",
            "don't use plate_zero=True: it would take a body's weight off",
        )


def _zero_force(one: Opened, plate: Plate) -> float:
    """Mean vertical force over the frames that C3D's ZERO names, N; NaN where it names none, or some that are not."""
    frames = None if one.raw.header is None else one.raw.header.zero_frames
    if frames is None or frames[1] > len(plate.wrench):
        return math.nan
    fz = plate.wrench[slice(*frames), 2]
    fz = fz[np.isfinite(fz)]
    return float(fz.mean()) if len(fz) else math.nan


def _of_plates_together(one: Opened) -> Iterator[Finding]:
    plates = one.trial.plates
    headers = [raw.header for raw in one.raw.plates]
    for a, b in combinations(range(len(plates)), 2):
        where = f"{_where(one, a)} and {b + 1}"
        yield from _twins(plates[a], plates[b], where)
        first, second = headers[a], headers[b]
        if first is None or second is None or first.kind != second.kind or first.units != second.units:
            continue
        for c, (x, y) in enumerate(zip(first.gains, second.gains, strict=True)):
            low, high = sorted((abs(x), abs(y)))
            if first.kind in _ALIKE and low * GAIN_RATIO < high:
                yield Finding(
                    "gains_differ",
                    f"{where} (ANALOG:SCALE)",
                    f"{first.channels[c]} {x:.4g} but {second.channels[c]} {y:.4g}",
                    "right for plates of different make or range; else check ANALOG:SCALE",
                )
                break


def _twins(a: Plate, b: Plate, where: str) -> Iterator[Finding]:
    alive = np.isfinite(a.wrench[:, 2]).any() and np.ptp(a.wrench[np.isfinite(a.wrench[:, 2]), 2]) > 0.0
    if alive and np.array_equal(a.wrench, b.wrench, equal_nan=True):
        yield Finding(
            "plates_equal",
            where,
            "they hold the same numbers",
            "one plate was exported twice: leave one out, or its force counts double",
        )
    if a.corners_lab is not None and b.corners_lab is not None and np.allclose(a.corners_lab, b.corners_lab):
        yield Finding(
            "plates_same_place",
            where,
            "they have the same corners",
            "check the corners: one plate's were copied to the other",
        )


# ---------------------------------------------------------------------------------------------------------------
# Several files


@dataclass(frozen=True, eq=False)
class _Match:
    """From the force of one file to that of another: signed map, scale, and how far apart the moments' points are."""

    turn: FloatArray
    scale: float
    shift_m: FloatArray
    shift_error_m: FloatArray


def same_trials(opened: Sequence[Opened]) -> dict[tuple[int, int], _Match]:
    """Pairs of files whose forces are those of one trial, by their numbers; only files of one plate are compared."""
    found = {}
    for a, b in combinations(range(len(opened)), 2):
        match = _match(opened[a].trial, opened[b].trial)
        if match is not None:
            found[a, b] = match
    return found


def _match(first: Trial, second: Trial) -> _Match | None:
    if len(first.plates) != 1 or len(second.plates) != 1:
        return None
    a, b = _on_one_clock(first, second)
    if a is None or b is None:
        return None
    good = np.isfinite(a[:, :3]).all(axis=1) & np.isfinite(b[:, :3]).all(axis=1)
    a, b = a[good], b[good]
    if len(a) < 10 or float(np.abs(a[:, 2]).max()) < LOADED_N or _rms(a[:, 2] - a[:, 2].mean()) < 1.0:
        return None
    best = min(_turns(), key=lambda turn: _rms(a[:, :3] @ turn.T - b[:, :3]))
    turned = a[:, :3] @ best.T
    scale = float((turned * b[:, :3]).sum() / (turned**2).sum())
    # Each axis has to fit by itself: a weight alone would make any two people of one mass the same.
    for axis in range(3):
        left = _rms(scale * turned[:, axis] - b[:, axis])
        if left > SAME_FORCE * max(_rms(b[:, axis] - b[:, axis].mean()), 10.0):
            return None
    return _Match(best, scale, *_shift(scale * a @ np.kron(np.eye(2), best).T, b))


def _on_one_clock(first: Trial, second: Trial) -> tuple[FloatArray | None, FloatArray | None]:
    """Wrenches at the common instants: every n-th frame of the faster one."""
    one, two = first.plates[0].wrench, second.plates[0].wrench
    ratio = first.rate_hz / second.rate_hz
    step = max(round(ratio if ratio >= 1.0 else 1.0 / ratio), 1)
    if abs(max(ratio, 1.0 / ratio) / step - 1.0) > 1e-6:
        return None, None
    one, two = (one[::step], two) if ratio >= 1.0 else (one, two[::step])
    return (one, two) if abs(len(one) - len(two)) <= 1 else (None, None)


def _turns() -> list[FloatArray]:
    """Maps of force and moment that keep the vertical: quarter turns, upside down or not, reaction or action."""
    quarter = axis_rotation(("-y", "x", "z"))
    turns = [np.linalg.matrix_power(quarter, k) for k in range(4)]
    turns += [turn @ axis_rotation(("x", "-y", "-z")) for turn in turns]
    return [sign * turn for turn in turns for sign in (1.0, -1.0)]


def _rms(x: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _shift(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The d with M_b = M_a + F × d, and its standard error; NaN where a moment is missing."""
    n = min(len(a), len(b))
    force, change = b[:n, :3], b[:n, 3:] - a[:n, 3:]
    if not np.isfinite(change).all():
        return np.full(3, np.nan), np.full(3, np.nan)
    zero = np.zeros(n)
    fx, fy, fz = force.T
    rows = np.concatenate([np.column_stack(r) for r in ((zero, -fz, fy), (fz, zero, -fx), (-fy, fx, zero))])
    target = change.T.ravel()
    shift, *_ = np.linalg.lstsq(rows, target, rcond=None)
    noise = _rms(rows @ shift - target)
    error = noise * np.sqrt(np.diag(np.linalg.pinv(rows.T @ rows)))
    return shift, error


def between_files(opened: Sequence[Opened], same: dict[tuple[int, int], _Match]) -> list[Finding]:
    """What files of one trial say differently."""
    found: list[Finding] = []
    for (a, b), match in same.items():
        where = f"{opened[a].file.name} and {opened[b].file.name}"
        found += [
            Finding(code, where, what, hint)
            for code, what, hint in _contradictions(opened[a], opened[b], match)
        ]
    return found


def _contradictions(one: Opened, other: Opened, match: _Match) -> Iterator[tuple[str, str, str]]:
    if match.turn[2, 2] < 0.0:
        yield (
            "files_sign",
            "they hold the same trial with opposite vertical force",
            "convention= for one of them: the force is on the body in one and on the plate in the other",
        )
    if np.linalg.det(match.turn) * match.turn[2, 2] < 0.0:
        yield (
            "files_mirrored",
            "they hold the same trial, but one horizontal axis is mirrored, as by corners in another order",
            "check the order of the corners against a known push; axes= can't mend a mirror",
        )
    elif not np.array_equal(np.abs(match.turn), np.eye(3)):
        yield (
            "files_turned",
            "they hold the same trial with the horizontal axes turned by a quarter",
            "axes= for one of them",
        )
    if abs(match.scale - 1.0) > SAME_SCALE:
        yield (
            "files_scale",
            f"the force of the second is {match.scale:.4g} times that of the first",
            "check the calibration and ANALOG:SCALE, and give mass_kg to see which is right",
        )
    yield from _depths(one, other, match)


def _depths(one: Opened, other: Opened, match: _Match) -> Iterator[tuple[str, str, str]]:
    """Depths of the sensors, of which a header states one, and the other file's moments need another."""
    shift, error = float(match.shift_m[2]), float(match.shift_error_m[2])
    if not abs(shift) > max(DEPTH_M, DEPTH_ERRORS * error):
        return
    for source, told, sign in ((one, other, 1.0), (other, one, -1.0)):
        stated, header = stated_depth_m(source, 0), source.raw.plates[0].header
        if stated is None or header is None:
            continue
        rise = float(_in_trial(source, header.to_surface_m)[2])
        if source is one:
            # In the lab of the second file, where the shift is: force and moment may both be negated on the way, a
            # place is not.
            rise *= float(np.sign(np.linalg.det(match.turn)) * match.turn[2, 2])
        needed = abs(rise + sign * shift)
        yield (
            "depth_disagrees",
            f"{source.file.name} states that the sensors are {1000 * stated:.1f} mm below the surface, but the moments "
            f"in {told.file.name} need {1000 * needed:.1f} mm (± {1000 * DEPTH_ERRORS * error:.1f} mm)",
            f"find the depth on the plate's sheet; z = {-needed:.4f} in plate_origin_m= makes {source.file.name} agree",
        )
        return
    yield (
        "moments_disagree",
        f"the moments of the two refer to points {1000 * abs(shift):.1f} mm apart in height",
        "the COP of one is wrong by that times the slope of the force: find the depth of the sensors",
    )


def _in_trial(one: Opened, vector: FloatArray) -> FloatArray:
    turned: FloatArray = vector if one.trial.axes is None else axis_rotation(one.trial.axes) @ vector
    return turned


# ---------------------------------------------------------------------------------------------------------------
# Against the body's mass


def weighed(trial: Trial, mass_kg: float) -> tuple[dict[str, Any], list[Finding]]:
    """The measured force beside the weight that a mass has.

    Parameters
    ----------
    trial : Trial
    mass_kg : float

    Returns
    -------
    weight : dict
        ``given_n``, ``measured_n`` (None if nothing tells), ``source`` in words.
    findings : list of Finding
    """
    given = mass_kg * STANDARD_GRAVITY
    measured, source = _measured_weight(trial, mass_kg)
    told: dict[str, Any] = {"mass_kg": mass_kg, "given_n": given, "measured_n": measured, "source": source}
    where = " + ".join(s.name for s in trial.sources)
    hint = "check mass_kg, units=, and the calibration, scale and zero of the plates; a plate or a file may be missing"
    if measured is not None:
        if abs(measured / given - 1.0) <= SUSPECT_FRACTION:
            return told, []
        what = f"{measured:.0f} N ({source}) is {measured / given:.3f} of the {given:.0f} N that {mass_kg:g} kg weigh"
        return told, [Finding("weight", where, what, hint)]
    total = np.abs(np.sum([plate.wrench[:, 2] for plate in trial.plates], axis=0))
    total = total[np.isfinite(total)]
    largest = float(np.quantile(total, 0.999)) if len(total) else 0.0
    if LOAD_BW[0] * given <= largest <= LOAD_BW[1] * given:
        return told, []
    what = (
        f"the largest force, {largest:.3g} N, is {largest / given:.3g} of the {given:.0f} N of {mass_kg:g} kg"
    )
    return told, [Finding("weight", where, what, hint)]


def _measured_weight(trial: Trial, mass_kg: float) -> tuple[float | None, str]:
    try:
        quality = analyze_gait(trial, mass_kg=mass_kg, cutoff_hz=None, n_boot=0).quality["body_weight"]
    except DataError as error:
        return None, f"not measured: {error}"
    if quality["whole_strides_n"] is not None:
        return float(quality["whole_strides_n"]), f"mean over {quality['whole_strides']} strides"
    if quality["standing_n"] is not None:
        return float(quality["standing_n"]), "standing still"
    return None, "not measured: no whole stride and no quiet standing"
