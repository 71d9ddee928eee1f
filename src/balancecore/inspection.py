"""What a recording holds, before anything is analysed: plates, rates, channels, offsets, noise, and what looks wrong.

Everything is measured with the parts that the analysis uses: the rough look (:mod:`.coarse`) says when a plate is
unloaded, the baseline (:mod:`.baseline`) how its offset moves, the intake (:mod:`.intake`) where a channel is at the
end of its range. What looks wrong is judged in :mod:`.suspicions`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from balancecore import suspicions
from balancecore.baseline import END_WINDOW_S, MIN_SAMPLES, fit_baseline, unloaded_windows
from balancecore.coarse import look
from balancecore.errors import DataError
from balancecore.intake import take_in
from balancecore.io._c3d_layout import is_c3d
from balancecore.io._file import FileBytes, load
from balancecore.io._read import is_binary, join, list_paths, make_options, points_down, read_raw
from balancecore.io._record import ColumnMap, Options
from balancecore.markup import harmless, notebook_table
from balancecore.quality import plain
from balancecore.suspicions import Finding, Opened, Rest
from balancecore.text import columns_text
from balancecore.trial import CHANNELS, Analog, Convention, Event, Markers, Trial

if TYPE_CHECKING:
    from balancecore.capture.rig import Rig

__all__ = [
    "AnalogFacts",
    "ChannelFacts",
    "FileFacts",
    "Finding",
    "Inspection",
    "PlateFacts",
    "inspect",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Names of markers and events that are printed; the rest is counted.
_MOST_NAMES = 8
#: A window this many times louder than the quietest one, and this many newtons, is not without load.
LOUDER, LOUDER_N = 3.0, 2.0


class Reading(TypedDict, total=False):
    """The options of :func:`balancecore.read`."""

    convention: Convention | None
    axes: Sequence[str] | None
    units: Mapping[str, str] | None
    columns: ColumnMap | Sequence[ColumnMap] | None
    rate_hz: float | None
    sides: Sequence[str] | None
    resample: bool
    delimiter: str | None
    decimal: str | None
    format: str | None
    plate_origin_m: Sequence[float] | Sequence[Sequence[float]] | None
    plate_zero: bool


@dataclass(frozen=True)
class ChannelFacts:
    """One of a plate's Fx Fy Fz Mx My Mz, in N or N·m; NaN where there is nothing to tell.

    Attributes
    ----------
    name, unit : str
    measured : bool
    low, high : float
        Range of the finite values.
    offset, noise_sd, drift : float
        Mean while the plate is unloaded; SD within those windows; range of the offset over the record.
    not_finite : int
        Frames without a number.
    saturated : int
        Frames at the end of the range.
    """

    name: str
    unit: str
    measured: bool
    low: float
    high: float
    offset: float
    noise_sd: float
    drift: float
    not_finite: int
    saturated: int


@dataclass(frozen=True)
class AnalogFacts:
    """A channel as it is stored: one beside the plates, or one that a plate is made of (`plate` from 1, else 0)."""

    name: str
    unit: str
    rate_hz: float
    low: float
    high: float
    plate: int = 0


@dataclass(frozen=True)
class PlateFacts:
    """One plate.

    Attributes
    ----------
    number : int
        From 1, within its file.
    name, model, side : str
    channels : tuple of ChannelFacts
    unloaded : str
        Where offset and noise come from, or why there are none.
    unloaded_s : float
        Length of the unloaded windows together, s.
    load : {"up", "down", "none"}
        Which way the vertical force points under load; "none" if it stays below 100 N.
    raw_saturated : int
        Frames with a raw channel at the end of the converter's range, where that is known.
    size_m : tuple of 2 float, or None
        Sides of the plate, from its corners.
    corners_m : tuple or None
    origin_m : tuple of 3 float
        The point that moments refer to, in the lab.
    depth_m : float or None
        Depth of the sensors' origin below the surface, where the file says so.
    """

    number: int
    name: str
    model: str
    side: str
    channels: tuple[ChannelFacts, ...]
    unloaded: str
    unloaded_s: float
    load: str
    raw_saturated: int
    size_m: tuple[float, float] | None
    corners_m: tuple[tuple[float, ...], ...] | None
    origin_m: tuple[float, ...]
    depth_m: float | None


@dataclass(frozen=True)
class FileFacts:
    """One file: how it was read, and what it holds. Its own texts are shortened and hold no control characters."""

    name: str
    sha256: str
    format: str
    known_by: str
    rate_hz: float
    frames: int
    duration_s: float
    convention: str
    axes: tuple[str, ...] | None
    lateral_known: bool
    plates: tuple[PlateFacts, ...]
    analog: tuple[AnalogFacts, ...]
    events: tuple[tuple[str, str, float], ...]
    markers: tuple[str, ...]
    marker_rate_hz: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """What :func:`inspect` found; `print` shows it to people.

    Attributes
    ----------
    files : tuple of FileFacts
    findings : tuple of Finding
        What looks wrong, with a suggestion for each.
    weight : dict or None
        The measured force beside the given body mass.
    """

    files: tuple[FileFacts, ...]
    findings: tuple[Finding, ...]
    weight: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain values that JSON can hold; NaN becomes None."""
        told: dict[str, Any] = plain(asdict(self))
        return told

    def _repr_html_(self) -> str:
        head = ["file", "format", "rate (Hz)", "length (s)", "plates", "other channels", "events", "markers"]
        rows = [
            [
                f.name,
                f.format,
                f"{f.rate_hz:g}",
                f"{f.duration_s:.2f}",
                ", ".join(p.name or str(p.number) for p in f.plates) or "–",
                str(sum(a.plate == 0 for a in f.analog)),
                str(len(f.events)),
                str(len(f.markers)),
            ]
            for f in self.files
        ]
        table = notebook_table("What the recording holds", head, rows)
        if not self.findings:
            return table
        found = [[f.where, f.message, f.suggestion] for f in self.findings]
        return table + notebook_table("What to check", ["where", "what", "suggestion"], found)

    def __str__(self) -> str:
        parts = [_file_text(file) for file in self.files]
        if self.weight is not None:
            parts.append(_weight_text(self.weight))
        parts.append(_findings_text(self.findings))
        return "\n\n".join(parts)


def inspect(
    path_or_paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    mass_kg: float | None = None,
    rig: Rig | str | os.PathLike[str] | None = None,
    **reading: Unpack[Reading],
) -> Inspection:
    r"""Say what recordings hold, and what about them looks wrong.

    Parameters
    ----------
    path_or_paths : path or sequence of paths
        One file; the plates of one trial in several files; or files that tell of the same trial, such as a C3D file
        and the maker's text beside it, whose contradictions are then reported.
    mass_kg : float, optional
        Body mass, to hold the measured force against.
    rig : Rig, or path of a rig file, optional
        As for :func:`balancecore.read`.
    **reading
        The other options of :func:`balancecore.read`. `sides` names the plates of all files in order;
        `plate_origin_m` and `plate_zero` reach only the C3D files where there are several files, `format` only text.

    Returns
    -------
    Inspection

    Raises
    ------
    DataError
        A file that can't be read at all, or a mass that is none.
    MissingExtraError
        A format that needs a package which is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "run.csv"
    >>> _ = path.write_text("time,Fz (N)\n" + "".join(f"{i / 1000},{-700 * (i > 500)}\n" for i in range(1000)))
    >>> found = inspect(path)
    >>> found.files[0].rate_hz, [finding.code for finding in found.findings]
    (1000.0, ['fz_negative'])
    >>> folder.cleanup()
    """
    if mass_kg is not None and not (isinstance(mass_kg, (int, float)) and 0.0 < mass_kg < 1000.0):
        raise DataError(f"mass_kg={mass_kg!r}: a body mass in kg is wanted")
    sides = reading.pop("sides", None)
    options = make_options(rig=rig, **reading)  # type: ignore[misc]  # without "sides", which mypy does not see
    files = [load(path) for path in list_paths(path_or_paths)]
    opened = [_open(file, options, len(files) == 1) for file in files]
    opened = _with_sides(opened, options, sides)
    rests = [[_at_rest(one.trial, k) for k in range(len(one.trial.plates))] for one in opened]
    findings = suspicions.of_all(opened)
    findings += [f for one, rest in zip(opened, rests, strict=True) for f in suspicions.of_file(one, rest)]
    same = suspicions.same_trials(opened)
    findings += suspicions.between_files(opened, same)
    # Of files that tell of one trial, one is enough.
    apart = [k for k in range(len(opened)) if k not in {later for _, later in same}]
    whole: Trial | None = opened[apart[0]].trial
    if len(apart) > 1:
        whole, found = _joined(
            [opened[k] for k in apart], options, sides if len(apart) == len(opened) else None
        )
        findings += found
    weight = None
    if mass_kg is not None and whole is not None:
        weight, found = suspicions.weighed(whole, float(mass_kg))
        findings += found
    return Inspection(
        tuple(_facts(one, rest) for one, rest in zip(opened, rests, strict=True)),
        tuple(suspicions.harmless_finding(finding) for finding in findings),
        weight,
    )


# ---------------------------------------------------------------------------------------------------------------
# Reading


def _open(file: FileBytes, options: Options, alone: bool) -> Opened:
    if not alone:
        if not is_c3d(file):
            options = replace(options, plate_origin_m=None, plate_zero=False)
        if is_binary(file):
            options = replace(options, format=None)
    try:
        raw = read_raw(file, options)
    except DataError as error:
        if options.resample:
            raise
        # Uneven times are the one refusal that says something about the recording and can be got round.
        try:
            raw = read_raw(file, replace(options, resample=True))
        except DataError:
            raise error from None
        return Opened(file, raw, join([file], [raw], options, None), str(error))
    return Opened(file, raw, join([file], [raw], options, None))


def _with_sides(opened: list[Opened], options: Options, sides: Sequence[str] | None) -> list[Opened]:
    if sides is None:
        return opened
    count = sum(len(one.trial.plates) for one in opened)
    if isinstance(sides, str) or len(sides) != count:
        raise DataError(f"sides must name each of the {count} plates, not {sides!r}")
    named, start = [], 0
    for one in opened:
        stop = start + len(one.trial.plates)
        named.append(replace(one, trial=join([one.file], [one.raw], options, sides[start:stop])))
        start = stop
    return named


def _joined(
    opened: list[Opened], options: Options, sides: Sequence[str] | None
) -> tuple[Trial | None, list[Finding]]:
    try:
        return join([one.file for one in opened], [one.raw for one in opened], options, sides), []
    except DataError as error:
        finding = Finding(
            "not_one_trial",
            " and ".join(one.file.name for one in opened),
            f"the files can't be analysed together: {error}",
            "give only the files of one trial; read the others apart",
        )
        return None, [finding]


# ---------------------------------------------------------------------------------------------------------------
# Measuring


def _at_rest(trial: Trial, k: int) -> Rest:
    """Windows in which a plate is unloaded, and the offset, noise and drift seen there."""
    plate = trial.plates[k]
    down = points_down(plate.wrench[:, 2])
    alone = replace(plate, wrench=-plate.wrench if down else plate.wrench, side="?", saturated=None)
    try:
        record = take_in(Trial((alone,), trial.rate_hz))
    except DataError as error:
        return Rest(np.empty((0, 2), dtype=np.int64), f"none: {error}")
    coarse = look(record, np.nan, "auto")
    if coarse.unloaded:
        windows, why = _pieces(record.segments, trial.rate_hz), "the whole record: no load reaches 100 N"
    else:
        on, off = coarse.events((0,))
        windows = _quiet(
            plate.wrench[:, 2], unloaded_windows(on, off, record.segments, trial.rate_hz, coarse.static)
        )
        why = f"{len(windows)} window{'s' if len(windows) != 1 else ''} between loads"
    if not len(windows):
        return Rest(windows, "none was found: somebody is on the plate all the time")
    measured = np.array([[c not in plate.missing for c in CHANNELS]])
    offsets = fit_baseline("aerial_pchip", record, (0,), measured, windows)
    levels = offsets.at(offsets.breaks)[0]
    used = offsets.knots
    kept = np.concatenate([np.arange(a, b) for a, b in used.tolist()])
    which = np.repeat(np.arange(len(used)), np.diff(used, axis=1)[:, 0])
    values = plate.wrench[kept]
    count = np.bincount(which).astype(np.float64)
    mean = values.mean(axis=0)
    within = np.column_stack([np.bincount(which, values[:, c]) / count for c in range(6)])
    free = max(len(kept) - len(used), 1)
    noise = np.sqrt(((values - within[which]) ** 2).sum(axis=0) / free)
    drift = levels.max(axis=1) - levels.min(axis=1) if len(used) > 1 else np.full(6, np.nan)
    return Rest(used, why, mean, noise, np.where(measured[0], drift, np.nan), len(kept) / trial.rate_hz)


def _quiet(fz: FloatArray, windows: IntArray) -> IntArray:
    """Windows about as still as the stillest: a load that is put on slowly is no offset."""
    spread = np.array([fz[a:b].std() for a, b in windows.tolist()])
    if not len(spread):
        return windows
    kept: IntArray = windows[spread <= LOUDER * spread.min() + LOUDER_N]
    return kept


def _pieces(segments: IntArray, rate_hz: float) -> IntArray:
    """Windows as long as those at the ends of a record, so that drift does not count as noise."""
    width = max(round(END_WINDOW_S * rate_hz), MIN_SAMPLES)
    pieces = [
        np.column_stack((edges[:-1], edges[1:]))
        for low, high in segments.tolist()
        if len(edges := np.arange(low, high + 1, width)) > 1
    ]
    return np.concatenate(pieces) if pieces else segments


def _facts(one: Opened, rests: list[Rest]) -> FileFacts:
    trial, source = one.trial, one.file.source
    told = suspicions.told_notes(trial)
    raw = [
        AnalogFacts(harmless(name), harmless(unit), trial.rate_hz, *_ends(values), number)
        for number, plate in enumerate(one.raw.plates, 1)
        if plate.header is not None
        for name, unit, values in zip(
            plate.header.channels, plate.header.units, plate.header.raw.T, strict=True
        )
    ]
    return FileFacts(
        name=harmless(source.name),
        sha256=source.sha256,
        format=one.raw.format,
        known_by=one.raw.known_by,
        rate_hz=trial.rate_hz,
        frames=len(trial),
        duration_s=trial.duration_s,
        convention=trial.convention,
        axes=trial.axes,
        lateral_known=trial.lateral_known,
        plates=tuple(_plate_facts(one, k, rest) for k, rest in enumerate(rests)),
        analog=(*raw, *map(_analog_facts, trial.analog)),
        events=tuple(_event_facts(event) for event in trial.events),
        markers=() if trial.markers is None else _marker_names(trial.markers),
        marker_rate_hz=None if trial.markers is None else trial.markers.rate_hz,
        notes=tuple(harmless(note, 600) for note in trial.notes if note not in told),
    )


def _analog_facts(channel: Analog) -> AnalogFacts:
    return AnalogFacts(
        harmless(channel.name), harmless(channel.unit), channel.rate_hz, *_ends(channel.values)
    )


def _event_facts(event: Event) -> tuple[str, str, float]:
    return harmless(event.label), event.side, event.time_s


def _marker_names(markers: Markers) -> tuple[str, ...]:
    """Names without what stands before a colon, which is the subject's."""
    return tuple(harmless(name.rpartition(":")[2]) for name in markers.names)


def _plate_facts(one: Opened, k: int, rest: Rest) -> PlateFacts:
    plate = one.trial.plates[k]
    corners = plate.corners_lab
    size = None
    if corners is not None:
        size = tuple(float(np.linalg.norm(corners[0] - corners[j])) for j in (1, 3))
    return PlateFacts(
        number=k + 1,
        name=harmless(plate.name),
        model=harmless(plate.model),
        side=plate.side,
        channels=tuple(_channel_facts(one, k, c, rest) for c in range(6)),
        unloaded=rest.why,
        unloaded_s=rest.seconds,
        load=suspicions.load_direction(plate.wrench[:, 2]),
        raw_saturated=0 if plate.saturated is None else int(plate.saturated.sum()),
        size_m=None if size is None else (size[0], size[1]),
        corners_m=None if corners is None else tuple(tuple(map(float, c)) for c in corners),
        origin_m=tuple(map(float, plate.origin_m)),
        depth_m=suspicions.stated_depth_m(one, k),
    )


def _channel_facts(one: Opened, k: int, c: int, rest: Rest) -> ChannelFacts:
    plate = one.trial.plates[k]
    values = plate.wrench[:, c]
    measured = CHANNELS[c] not in plate.missing
    saturated = sum(
        int(np.diff(s.runs, axis=1).sum())
        for s in one.saturation
        if s.plate == k and s.channel == CHANNELS[c]
    )
    return ChannelFacts(
        CHANNELS[c],
        "N" if c < 3 else "N·m",
        measured,
        *_ends(values),
        float(rest.offset[c]) if measured else float("nan"),
        float(rest.noise_sd[c]) if measured else float("nan"),
        float(rest.drift[c]) if measured else float("nan"),
        int((~np.isfinite(values)).sum()) if measured else 0,
        saturated,
    )


def _ends(values: FloatArray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (float("nan"), float("nan"))


# ---------------------------------------------------------------------------------------------------------------
# Text


def _file_text(file: FileFacts) -> str:
    sign = (
        "on the body (reaction)" if file.convention == "reaction" else "on the plate (action), turned round"
    )
    axes = "as in the file" if file.axes is None else f"{', '.join(file.axes)} point right, forward, up"
    lines = [
        file.name,
        f"  format     {file.format}, known by {file.known_by}",
        f"  record     {file.duration_s:.3f} s: {file.frames} frames at {file.rate_hz:g} Hz",
        f"  force      {sign}; axes {axes}"
        + ("" if file.lateral_known else "; which way is right is not known"),
    ]
    for plate in file.plates:
        lines += ["", *_plate_text(plate)]
    lines += _beside_text(file)
    lines += [f"  note       {note.removeprefix(f'{file.name}: ')}" for note in file.notes]
    return "\n".join(lines)


def _plate_text(plate: PlateFacts) -> list[str]:
    about = [plate.model, {"L": "left foot", "R": "right foot"}.get(plate.side, "either foot")]
    if plate.size_m is not None:
        centre = np.mean(np.array(plate.corners_m), axis=0)
        about.append(
            f"{plate.size_m[0]:.3f} x {plate.size_m[1]:.3f} m around "
            f"({centre[0]:.3f}, {centre[1]:.3f}, {centre[2]:.3f})"
        )
    else:
        about.append("no corners")
    if plate.depth_m is not None:
        about.append(f"sensors {1000 * plate.depth_m:.1f} mm below the surface")
    load = {"up": "load is up", "down": "LOAD IS DOWN", "none": "never loaded"}[plate.load]
    rows: list[tuple[str, ...]] = [("", "offset", "noise SD", "drift", "lowest", "highest", "")]
    for c in plate.channels:
        if not c.measured:
            rows.append((c.name, *[""] * 5, "not measured"))
            continue
        numbers = (c.offset, c.noise_sd, c.drift, c.low, c.high)
        beside = [c.unit]
        beside += [f"{c.not_finite} frames are no numbers"] if c.not_finite else []
        beside += [f"{c.saturated} frames at the end of the range"] if c.saturated else []
        rows.append((c.name, *("-" if np.isnan(v) else f"{v:.2f}" for v in numbers), "; ".join(beside)))
    name = f" ({plate.name})" if plate.name else ""
    return [
        f"  plate {plate.number}{name}: {', '.join(part for part in about if part)}; {load}",
        f"    unloaded: {plate.unloaded}" + (f", {plate.unloaded_s:.2f} s" if plate.unloaded_s else ""),
        *columns_text(rows, "    "),
    ] + (
        [f"    {plate.raw_saturated} frames with a raw channel at the end of its range"]
        if plate.raw_saturated
        else []
    )


def _beside_text(file: FileFacts) -> list[str]:
    lines = [""] if file.analog or file.events or file.markers else []
    for channel in file.analog:
        of = f"plate {channel.plate}" if channel.plate else "analog"
        lines.append(
            f"  {of:<10} {channel.name} [{channel.unit or 'no unit'}] {channel.rate_hz:g} Hz, "
            f"{channel.low:.6g} to {channel.high:.6g}"
        )
    if file.events:
        shown = ", ".join(f"{label} {side} {time:.3f} s" for label, side, time in file.events[:_MOST_NAMES])
        lines.append(f"  events     {len(file.events)}: {shown}{_more(len(file.events))}")
    if file.markers:
        shown = ", ".join(file.markers[:_MOST_NAMES])
        lines.append(
            f"  markers    {len(file.markers)} at {file.marker_rate_hz:g} Hz: {shown}{_more(len(file.markers))}"
        )
    return lines


def _more(count: int) -> str:
    return ", ..." if count > _MOST_NAMES else ""


def _weight_text(weight: dict[str, Any]) -> str:
    if weight["measured_n"] is None:
        return f"Weight: {weight['given_n']:.1f} N given; {weight['source']}"
    return (
        f"Weight: {weight['given_n']:.1f} N given, {weight['measured_n']:.1f} N measured ({weight['source']}), "
        f"{100 * (weight['measured_n'] / weight['given_n'] - 1):+.1f} %"
    )


def _findings_text(findings: Sequence[Finding]) -> str:
    if not findings:
        return "Nothing looks wrong."
    lines = [f"{len(findings)} thing{'s' if len(findings) > 1 else ''} to check"]
    for number, finding in enumerate(findings, 1):
        lines += [f"  {number}. {finding.where}: {finding.message}", f"     -> {finding.suggestion}"]
    return "\n".join(lines)
