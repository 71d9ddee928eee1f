"""Force plates of a C3D file: from FORCE_PLATFORM and the analog channels to wrenches in the lab.

Equations by type, in the plate's own axes; C is CAL_MATRIX, o the vector ORIGIN from the sensor origin to the centre
of the top surface (z negative, since the plate's z points down):

* 1: Fx Fy Fz Px Py Mz, the centre of pressure from the centre of the surface and the free moment there;
* 2: Fx Fy Fz Mx My Mz about the sensor origin, moved up by M' = M + F × o;
* 3: Kistler's eight forces, ORIGIN = half distances of the sensors and depth;
* 4: C times six channels, then as type 2; 5: C (6 × 8) times eight channels, then as type 2;
* 6: C (12 × 12) times three forces at each of four corners; 7: C (8 × 8) times Kistler's eight, then as type 3.

Sources: c3d.org (FORCE_PLATFORM), has-motion wiki FP_TYPE and its pages by type. See docs/reading.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancecore.errors import DataError
from balancecore.io._record import FloatArray, Options, PlateHeader, RawPlate
from balancecore.io._units import completed, factor
from balancecore.plates import PlateModel, Tare, calibrated, kistler, load_cells, six_component
from balancecore.trial import MAX_PLATES

__all__ = ["Source", "claimed_channels", "lab_rotation", "length_factor", "read_plates", "zero_frames"]

#: Channels of each type.
_CHANNELS = {1: 6, 2: 6, 3: 8, 4: 6, 5: 8, 6: 12, 7: 8}
#: Shape of CAL_MATRIX for the types that have one.
_MATRIX = {4: (6, 6), 5: (6, 8), 6: (12, 12), 7: (8, 8)}
_KNOWN_BUT = {
    11: "Kistler's split-belt treadmill",
    12: "Kistler's split-belt treadmill",
    21: "AMTI's stairs",
}
#: Corners closer to one another than this are not filled in.
_NO_SIDE_M = 1e-6
#: Loads from here on tell whether the centre of pressure is near the plate.
_LOADED_N = 100.0
_MEDIAN_FRAMES = 10_000
#: A vertical axis may lean by this (its cosine) before the surface counts as sloping.
_LEVEL = 1.0 - 5e-4


@dataclass(frozen=True)
class Source:
    """What plates are made of: the parameters as ezc3d has them, and the analog channels."""

    name: str
    parameters: dict[str, Any]
    analog: FloatArray
    """(n_channels, n_samples), scaled"""
    per_frame: int
    is_integer: bool
    notes: list[str]

    def value(self, group: str, name: str) -> Any:
        """Values of a parameter; an empty list where there is none."""
        return self.parameters.get(group, {}).get(name, {}).get("value", [])

    def numbers(self, group: str, name: str) -> FloatArray:
        """Values as floats, in the parameter's shape; empty where it is absent or is text."""
        found = np.asarray(self.value(group, name))
        return found.astype(np.float64) if found.dtype.kind in "fiu" else np.zeros(0)

    def counts(self, group: str, name: str) -> list[int]:
        """Values as integers, one after another; -1 stands for what is no count."""
        found = self.numbers(group, name).ravel(order="F")
        return [int(v) if np.isfinite(v) and abs(v) < 1e9 else -1 for v in found]

    def texts(self, group: str, name: str) -> list[str]:
        """Values as texts, with those of NAME2, NAME3, … that hold what lies beyond the 255th."""
        found: list[str] = []
        extra = 1
        while True:
            held = self.value(group, name if extra == 1 else f"{name}{extra}")
            if not isinstance(held, list) or not held or not all(isinstance(text, str) for text in held):
                return found
            found += [text.strip(" \x00") for text in held]
            extra += 1

    def error(self, message: str) -> DataError:
        """A DataError that names the file."""
        return DataError(f"{self.name}: {message}")


@dataclass(frozen=True)
class _Geometry:
    """Where a plate is, in m; None where the file does not say."""

    corners: FloatArray | None
    origin: FloatArray | None


def length_factor(source: Source, options: Options) -> float:
    """Metres in the file's unit of length: units=, else POINT:UNITS, else mm, which most C3D files use."""
    named = options.units.named.get("length")
    if named is not None:
        return factor("length", named)
    stated = next((text for text in source.texts("POINT", "UNITS") if text), None)
    if stated is None:
        source.notes.append(f"{source.name}: POINT:UNITS is empty; lengths are taken to be in mm")
        return 1e-3
    found = completed("length", stated)
    if found is None:
        raise source.error(f"POINT:UNITS is {stated[:20]!r}: say units={{'length': 'mm'}} or what it is")
    return found


def lab_rotation(source: Source, options: Options, length_m: float) -> FloatArray:
    """Rotation from the file's axes to ones with z up; nothing to do where the caller names axes.

    The vertical axis is the normal of the plates, whose sign POINT:Y_SCREEN tells (c3d.org: the axis that points up
    on the screen); the other two follow it around.
    """
    if options.axes is not None:
        return np.eye(3)
    screen = next(iter(source.texts("POINT", "Y_SCREEN")), "").upper()
    up = _normal_axis(source, length_m)
    if up is None:
        up = "XYZ".find(screen[-1:]) if screen[-1:] else 2
    up = up if up >= 0 else 2
    sign = -1.0 if screen == f"-{'XYZ'[up]}" else 1.0
    if up == 2 and sign > 0.0:
        return np.eye(3)
    rotation = np.zeros((3, 3))
    rotation[2, up] = sign
    rotation[0, (up + 1) % 3] = 1.0
    rotation[1, (up + 2) % 3] = sign
    label = f"{'-' if sign < 0 else ''}{'xyz'[up]}"
    source.notes.append(
        f"{source.name}: {label} points up in this file; axes were turned so that z does. "
        "Say with axes= which way the subject faced"
    )
    return rotation


def _normal_axis(source: Source, length_m: float) -> int | None:
    """The file's axis that most plates are square to."""
    votes = []
    for c in _all_corners(source, length_m):
        normal = np.cross(c[0] - c[1], c[0] - c[3])
        if np.isfinite(normal).all() and np.linalg.norm(normal) > _NO_SIDE_M**2:
            votes.append(int(np.abs(normal).argmax()))
    return max(set(votes), key=votes.count) if votes else None


def read_plates(source: Source, options: Options, length_m: float, rotation: FloatArray) -> list[RawPlate]:
    """The plates of a file, in lab axes turned by `rotation`; the sign is the file's own."""
    count = next(iter(source.counts("FORCE_PLATFORM", "USED")), 0)
    if count < 1:
        raise source.error("FORCE_PLATFORM:USED is 0: no force plates are in this file")
    if count > MAX_PLATES:
        raise source.error(f"FORCE_PLATFORM:USED is {count}: a trial has 1 to {MAX_PLATES} plates")
    types = source.counts("FORCE_PLATFORM", "TYPE")
    if len(types) < count:
        raise source.error(f"FORCE_PLATFORM:TYPE has {len(types)} values for {count} plates")
    given = _given_origins(source, options, count)
    return [
        _read_plate(source, options, k, types[k], length_m, rotation, None if given is None else given[k])
        for k in range(count)
    ]


def claimed_channels(source: Source, count: int) -> set[int]:
    """Indices of the analog channels that plates use."""
    types = source.counts("FORCE_PLATFORM", "TYPE")
    return {c for k in range(count) for c in _channels(source, k, f"plate {k + 1}", _CHANNELS[types[k]])}


def _given_origins(source: Source, options: Options, count: int) -> list[tuple[float, ...]] | None:
    given = options.plate_origin_m
    if given is None:
        return None
    if len(given) not in (1, count):
        raise source.error(f"plate_origin_m= has {len(given)} origins for {count} plates")
    return [given[0 if len(given) == 1 else k] for k in range(count)]


def _read_plate(
    source: Source,
    options: Options,
    k: int,
    kind: int,
    length_m: float,
    rotation: FloatArray,
    given_origin: tuple[float, ...] | None,
) -> RawPlate:
    label = f"plate {k + 1}"
    if kind in _KNOWN_BUT:
        raise source.error(f"{label} is of type {kind} ({_KNOWN_BUT[kind]}), whose equations are not public")
    if kind not in _CHANNELS:
        raise source.error(f"{label} is of the unknown type {kind}; types 1 to 7 are read")
    channels = _channels(source, k, label, _CHANNELS[kind])
    geometry = _geometry(source, k, kind, label, length_m, rotation, given_origin)
    raw = stored = source.analog[channels].T
    model = _model(source, options, k, kind, label, length_m, geometry, channels)
    if kind == 1:
        raw, model = _wrench_of_pressure(raw, model), calibrated(name=model.name)
    model = replace(model, name=f"C3D type {kind}")
    if geometry.corners is not None:
        model = _placed(source, model, label, geometry.corners)
    else:
        source.notes.append(
            f"{source.name}: {label} has no corners; its own axes and centre are taken for the lab's"
        )
    model = _zeroed(source, options, model, raw, label)
    wrench = model.wrench(raw)
    _pressure_note(source, label, wrench, geometry.corners)
    return RawPlate(
        wrench,
        model.missing_lab,
        _plate_name(source, k),
        model.centre_m,
        model.corners_lab,
        model.name,
        _saturated(source, channels) if source.is_integer else None,
        header=_header(source, k, kind, length_m, channels, stored, model),
    )


def _header(
    source: Source,
    k: int,
    kind: int,
    length_m: float,
    channels: list[int],
    raw: FloatArray,
    model: PlateModel,
) -> PlateHeader:
    """What the file says of a plate, as it says it."""
    names, units = source.texts("ANALOG", "LABELS"), source.texts("ANALOG", "UNITS")
    scales, general = _with_more(source, "SCALE"), source.numbers("ANALOG", "GEN_SCALE").ravel()
    origin = source.numbers("FORCE_PLATFORM", "ORIGIN").ravel(order="F")[3 * k : 3 * k + 3]
    return PlateHeader(
        tuple(names[c] if c < len(names) else f"channel {c + 1}" for c in channels),
        tuple(units[c] if c < len(units) else "" for c in channels),
        tuple(float(scales[c]) * (float(general[0]) if general.size else 1.0) for c in channels),
        raw,
        kind,
        origin * length_m if len(origin) == 3 else None,
        model.rotation @ model.origin_m,
        model.rotation[:, 2],
        _cal_matrix(source, k, kind, f"plate {k + 1}") if kind in _MATRIX else None,
        length_m == 1e-3,
        tuple(channels),
        None if kind == 1 else model,
    )


def _channels(source: Source, k: int, label: str, count: int) -> list[int]:
    shape = source.numbers("FORCE_PLATFORM", "CHANNEL").shape
    rows = shape[0] if shape else 0
    found = [c - 1 for c in source.counts("FORCE_PLATFORM", "CHANNEL")[rows * k : rows * k + count]]
    if rows < count or len(found) < count:
        raise source.error(f"{label}: FORCE_PLATFORM:CHANNEL does not name {count} channels")
    for c in found:
        if not 0 <= c < len(source.analog):
            raise source.error(f"{label} uses analog channel {c + 1}, the file has {len(source.analog)}")
    if len(set(found)) < count:
        raise source.error(f"{label}: FORCE_PLATFORM:CHANNEL names a channel twice")
    return found


def _geometry(
    source: Source,
    k: int,
    kind: int,
    label: str,
    length_m: float,
    rotation: FloatArray,
    given_origin: tuple[float, ...] | None,
) -> _Geometry:
    corners = _all_corners(source, length_m)
    placed = corners[k] @ rotation.T if k < len(corners) else None
    if placed is not None and not (np.isfinite(placed).all() and np.ptp(placed, axis=0).max() > _NO_SIDE_M):
        placed = None
    if given_origin is not None:
        return _Geometry(placed, np.array(given_origin))
    origins = source.numbers("FORCE_PLATFORM", "ORIGIN")
    origins = (
        origins.reshape(3, -1, order="F") if origins.size and origins.size % 3 == 0 else np.zeros((3, 0))
    )
    if origins.shape[1] <= k:
        source.notes.append(
            f"{source.name}: {label} has no ORIGIN; its sensor origin is taken to be on the surface"
        )
        return _Geometry(placed, None)
    if not np.isfinite(origins[:, k]).all():
        raise source.error(f"{label}: FORCE_PLATFORM:ORIGIN is not finite")
    return _Geometry(placed, _downward(source, label, kind, origins[:, k] * length_m))


def _all_corners(source: Source, length_m: float) -> FloatArray:
    """Corners of the plates in the file's axes, m: (n_plates, 4, 3); none where they are not given in full."""
    values = source.numbers("FORCE_PLATFORM", "CORNERS").ravel(order="F")
    return length_m * values[: len(values) // 12 * 12].reshape(-1, 4, 3)


def _downward(source: Source, label: str, kind: int, origin: FloatArray) -> FloatArray:
    """ORIGIN with the sign that it should have: from the sensors up, where z points down (c3d.org, ORIGIN).

    Many files have the opposite vector, seen by its positive z; then BTK, ezc3d and Visual3D turn it round, and so
    does this. In types 3, 6 and 7 x and y are half distances, which are positive.
    """
    if kind == 1:
        return np.zeros(3)
    found = -origin if origin[2] > 0.0 else origin
    if kind in (3, 6, 7):
        found = np.array([abs(origin[0]), abs(origin[1]), found[2]])
    if origin[2] > 0.0:
        shown = ", ".join(f"{v:g}" for v in found)
        source.notes.append(
            f"{source.name}: {label} has an ORIGIN that points down into it; ({shown}) m was used. "
            "plate_origin_m= outranks it"
        )
    return found


def _model(
    source: Source,
    options: Options,
    k: int,
    kind: int,
    label: str,
    length_m: float,
    geometry: _Geometry,
    channels: list[int],
) -> PlateModel:
    """The plate in its own axes, from channel values to N and N·m."""
    origin = np.zeros(3) if geometry.origin is None else geometry.origin
    force = options.units.named.get("force")
    moment = options.units.named.get("moment")
    force_n = 1.0 if force is None else factor("force", force)
    moment_nm = force_n * length_m if moment is None else factor("moment", moment)
    units = source.texts("ANALOG", "UNITS")

    def scale(role: str, default: float, index: int) -> float:
        """Factor of one channel: units=, else its own unit where that is one, else the file's."""
        if options.units.named.get(role) is not None:
            return factor(role, options.units.named[role])
        stated = units[channels[index]] if channels[index] < len(units) else ""
        found = completed(role, stated) if stated else None
        return default if found is None else found

    if kind == 1:
        own = ["force"] * 3 + ["length"] * 2 + ["moment"]
        default = [force_n] * 3 + [length_m] * 2 + [moment_nm]
        gains = [scale(role, value, i) for i, (role, value) in enumerate(zip(own, default, strict=True))]
        return six_component(np.diag(gains), name=label)
    if kind == 2:
        gains = [scale("force" if i < 3 else "moment", force_n if i < 3 else moment_nm, i) for i in range(6)]
        return six_component(np.diag(gains), origin_m=origin, name=label)
    matrix = _cal_matrix(source, k, kind, label) if kind in _MATRIX else np.eye(8)
    if kind in (4, 5):
        per_unit = np.array([force_n] * 3 + [moment_nm] * 3)[:, np.newaxis] * matrix
        return six_component(per_unit, origin_m=origin, name=label)
    matrix = np.diag([scale("force", force_n, i) for i in range(8)]) if kind == 3 else force_n * matrix
    return _corner_sensors(source, kind, label, origin, matrix, _polynomial(source, k, length_m))


def _corner_sensors(
    source: Source,
    kind: int,
    label: str,
    origin: FloatArray,
    matrix: FloatArray,
    polynomial: FloatArray | None,
) -> PlateModel:
    """Types 3, 6 and 7: sensors at (a, b), (-a, b), (-a, -b) and (a, -b), az0 below the surface."""
    a, b, az0 = origin.tolist()
    if not (a > 0.0 and b > 0.0):
        source.notes.append(
            f"{source.name}: {label} does not say where its sensors are (ORIGIN is ({a:g}, {b:g}, {az0:g}) m), so it "
            "has no moments; pass plate_origin_m=(half distance along x, along y, -depth)"
        )
    known = a > 0.0 and b > 0.0
    half = (a, b) if known else (1.0, 1.0)
    if kind == 6:
        corners = [(half[0], half[1]), (-half[0], half[1]), (-half[0], -half[1]), (half[0], -half[1])]
        own = load_cells(corners, gain=1.0, axes="xyz")
    else:
        own = kistler(a_m=half[0], b_m=half[1], az0_m=az0, cop_polynomial_mm=polynomial)
    return replace(
        own,
        channels=tuple(f"ch{i + 1}" for i in range(matrix.shape[1])),
        matrix=own.matrix @ matrix,
        zero=np.zeros(matrix.shape[1]),
        origin_m=np.array([0.0, 0.0, az0]),
        missing=frozenset() if known else frozenset(("Mx", "My", "Mz")),
    )


def _cal_matrix(source: Source, k: int, kind: int, label: str) -> FloatArray:
    """CAL_MATRIX of a plate; columns are stored one after another, which ezc3d undoes."""
    table = source.numbers("FORCE_PLATFORM", "CAL_MATRIX")
    if table.ndim == 2:
        table = table[:, :, np.newaxis]
    shape = _MATRIX[kind]
    if table.ndim != 3 or table.shape[2] <= k or table.shape[0] < shape[0] or table.shape[1] < shape[1]:
        raise source.error(f"{label} is of type {kind} but has no CAL_MATRIX of {shape[0]} × {shape[1]}")
    matrix = table[: shape[0], : shape[1], k]
    if not np.isfinite(matrix).all() or not matrix.any():
        raise source.error(f"{label}: its CAL_MATRIX is empty or not finite")
    return matrix


def _polynomial(source: Source, k: int, length_m: float) -> FloatArray | None:
    """Kistler's FPCOPPOLY in mm: coefficients of degree 7, 5, 3, 5, 3 and 1, twice, in the file's unit of length."""
    table = source.numbers("FORCE_PLATFORM", "FPCOPPOLY").ravel(order="F")[12 * k : 12 * (k + 1)]
    if len(table) < 12 or not table.any():
        return None
    if not np.isfinite(table).all():
        raise source.error(f"plate {k + 1}: FPCOPPOLY is not finite")
    degree = np.array([7, 5, 3, 5, 3, 1] * 2)
    found: FloatArray = table * (1e-3 / length_m) ** (degree - 1)
    return found


def _wrench_of_pressure(raw: FloatArray, units: PlateModel) -> FloatArray:
    """Type 1: force, centre of pressure and free moment as a wrench about the centre, M = p × F + (0, 0, Mz)."""
    fx, fy, fz, px, py, mz = np.diag(units.matrix)[:, np.newaxis] * raw.T
    return np.column_stack((fx, fy, fz, py * fz, -px * fz, px * fy - py * fx + mz))


def _placed(source: Source, model: PlateModel, label: str, corners: FloatArray) -> PlateModel:
    try:
        placed = model.placed(corners_m=corners)
    except DataError as error:
        raise source.error(f"{label}: {error}") from error
    if np.abs(placed.rotation[:, 2]).max() < _LEVEL:
        source.notes.append(
            f"{source.name}: {label} is not level; its centre of pressure is the one on the level plane through "
            "its centre"
        )
    return placed


def zero_frames(source: Source) -> tuple[int, int] | None:
    """First and one past the last frame of the plates that FORCE_PLATFORM:ZERO names."""
    frames = source.counts("FORCE_PLATFORM", "ZERO")
    if len(frames) < 2 or frames[0] < 1 or frames[1] < frames[0]:
        return None
    return (frames[0] - 1) * source.per_frame, frames[1] * source.per_frame


def _zeroed(source: Source, options: Options, model: PlateModel, raw: FloatArray, label: str) -> PlateModel:
    """Take off what FORCE_PLATFORM:ZERO names, frames of points counted from 1, if the caller asks for it."""
    frames = source.counts("FORCE_PLATFORM", "ZERO")
    if zero_frames(source) is None:
        if options.plate_zero and label == "plate 1":
            source.notes.append(f"{source.name}: FORCE_PLATFORM:ZERO names no frames; nothing was taken off")
        return model
    first, last = frames[:2]
    if not options.plate_zero:
        if label == "plate 1":
            source.notes.append(
                f"{source.name}: FORCE_PLATFORM:ZERO names frames {first} to {last} as the plates' zero; it was not "
                "taken off, since somebody may stand there. plate_zero=True takes it off"
            )
        return model
    window = raw[(first - 1) * source.per_frame : last * source.per_frame]
    window = window[np.isfinite(window).all(axis=1)]
    if not len(window):
        raise source.error(f"FORCE_PLATFORM:ZERO names frames {first} to {last}, where there are no numbers")
    tare = Tare(window.mean(axis=0), window.std(axis=0), len(window))
    force = float(np.linalg.norm(model.matrix[:3] @ tare.mean))
    source.notes.append(
        f"{source.name}: {label}: {force:.1f} N taken off, the mean of frames {first} to {last}"
    )
    return model.tared(tare)


def _pressure_note(source: Source, label: str, wrench: FloatArray, corners: FloatArray | None) -> None:
    """Tell where the load is far from the plate: moments in another unit, or another ORIGIN."""
    if corners is None:
        return
    # A median needs no more frames than these.
    wrench = wrench[:: max(1, len(wrench) // _MEDIAN_FRAMES)]
    fz = np.abs(wrench[:, 2])
    loaded = fz > _LOADED_N
    if not loaded.any():
        return
    away = np.hypot(wrench[loaded, 3], wrench[loaded, 4]) / fz[loaded]
    away = away[np.isfinite(away)]
    half = 0.5 * float(np.linalg.norm(corners[0] - corners[2]))
    if len(away) and float(np.median(away)) > 2.0 * half:
        source.notes.append(
            f"{source.name}: {label}: the centre of pressure is {float(np.median(away)):.3g} m from the centre of a "
            f"plate of {2.0 * half:.2g} m: check units= (moments) and plate_origin_m="
        )


def _plate_name(source: Source, k: int) -> str:
    names = source.texts("FORCE_PLATFORM", "LABELS")
    return names[k] if k < len(names) else ""


def _saturated(source: Source, channels: list[int]) -> NDArray[np.bool_]:
    """Frames with a converter's code at an end of its range: by ANALOG:BITS and FORMAT, else by the offset."""
    gen = source.numbers("ANALOG", "GEN_SCALE").ravel()
    gain = float(gen[0]) if gen.size else 1.0
    scales, offsets = _with_more(source, "SCALE"), _with_more(source, "OFFSET")
    bits = next(iter(source.counts("ANALOG", "BITS")), 0)
    signed = next(iter(source.texts("ANALOG", "FORMAT")), "").upper() != "UNSIGNED"
    found = np.zeros(source.analog.shape[1], dtype=bool)
    for c in channels:
        scale, offset = float(scales[c]) * gain, float(offsets[c])
        if scale == 0.0:
            continue
        codes = source.analog[c] / scale + offset
        low, high = _code_range(bits, signed, offset)
        # Half a code: the quotient is exact but for rounding.
        found |= (codes <= low + 0.5) | (codes >= high - 0.5)
    return found


def _with_more(source: Source, name: str) -> FloatArray:
    parts = [source.numbers("ANALOG", name).ravel()]
    while len(more := source.numbers("ANALOG", f"{name}{len(parts) + 1}").ravel()):
        parts.append(more)
    return np.concatenate(parts)


def _code_range(bits: int, signed: bool, offset: float) -> tuple[int, int]:
    """First and last code; a zero in the middle of 0 .. 2^bits - 1 tells an unsigned converter (c3d.org, OFFSET)."""
    for width in (bits,) if bits in (12, 14, 16) else (12, 14, 16):
        half = 1 << (width - 1)
        if abs(offset - half) < 0.25 * half:
            return 0, 2 * half - 1
    half = 1 << ((bits if bits in (12, 14, 16) else 16) - 1)
    return (-half, half - 1) if signed or half < 1 << 15 else (0, 2 * half - 1)
