"""A recorded trial: plates with their forces and moments, one rate, one set of axes.

Everything downstream relies on what is settled here: reaction forces (on the body), in N and N·m, with x to the
subject's right, y forward and z up, moments about a known point of the plate's top surface.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balancecore._ext import _wrench
from balancecore.errors import DataError

__all__ = [
    "CHANNELS",
    "COP_MIN_N",
    "Analog",
    "Block",
    "Convention",
    "Event",
    "Layout",
    "Markers",
    "Plate",
    "Source",
    "Trial",
    "axis_rotation",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Convention = Literal["reaction", "action"]

CHANNELS = ("Fx", "Fy", "Fz", "Mx", "My", "Mz")
#: Below this vertical force a centre of pressure means nothing (metrics 6.0: error = moment noise / force).
COP_MIN_N = 20.0
MAX_PLATES = 16


@dataclass(frozen=True)
class Source:
    """Where data came from: a file's name (never its folder) and the SHA-256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Analog:
    """A channel recorded beside the plates: EMG, a trigger, belt speed.

    Attributes
    ----------
    name, unit : str
        As the source has them; `unit` is "" where it names none.
    rate_hz : float
        Values per second; the first value is at the time of the trial's first frame.
    values : ndarray (k,)
        In `unit`.
    """

    name: str
    unit: str
    rate_hz: float
    values: FloatArray


@dataclass(frozen=True)
class Event:
    """Something that the source says happened at a time.

    Attributes
    ----------
    label : str
        "contact_on" and "contact_off" for foot contact, else the source's own word.
    side : {"L", "R", "?"}
    time_s : float
        Since the trial's first frame, s.
    """

    label: str
    side: str
    time_s: float


@dataclass(frozen=True, eq=False)
class Markers:
    """Trajectories of markers in the lab.

    Attributes
    ----------
    names : tuple of str
    rate_hz : float
        The first position is at the time of the trial's first frame.
    positions_m : ndarray (k, n_markers, 3)
        In the trial's lab frame, m; NaN where a marker was not seen.
    """

    names: tuple[str, ...]
    rate_hz: float
    positions_m: FloatArray


def axis_rotation(axes: Sequence[str]) -> FloatArray:
    """Rotation from a file's axes to (right, forward, up).

    Parameters
    ----------
    axes : sequence of 3 str
        The file's axis that points to the subject's right, forward and up: ``("x", "y", "z")`` changes nothing,
        ``("z", "x", "y")`` is the OpenSim ground frame, ``("-x", "-y", "z")`` a runner who faces the other way.

    Returns
    -------
    ndarray (3, 3)
        ``rotation @ file_vector`` is the vector in (right, forward, up).

    Raises
    ------
    DataError
        If it is not three different axes, or if it mirrors (a left-handed map, which no rotated plate has).
    """
    rotation = np.zeros((3, 3))
    if isinstance(axes, str) or len(axes) != 3:
        raise DataError(
            f"axes={axes!r}: give three file axes, for right, forward and up, such as ('x', 'y', 'z')"
        )
    for row, label in enumerate(axes):
        name = str(label).lower().lstrip("+-")
        if name not in ("x", "y", "z"):
            raise DataError(f"axes={tuple(axes)!r}: {label!r} is not one of x, y, z with an optional sign")
        rotation[row, "xyz".index(name)] = -1.0 if str(label).startswith("-") else 1.0
    determinant = round(float(np.linalg.det(rotation)))
    if determinant == 0:
        raise DataError(f"axes={tuple(axes)!r}: one axis is used twice")
    if determinant < 0:
        raise DataError(
            f"axes={tuple(axes)!r} mirrors the data (left-handed); check the sign of one axis. "
            "For a file that holds the force on the plate use convention='action' instead"
        )
    return rotation


@dataclass(frozen=True, eq=False)
class Plate:
    """One force plate or belt.

    Attributes
    ----------
    wrench : ndarray (n_frames, 6)
        Fx Fy Fz Mx My Mz: reaction force in N and moment in N·m about `origin_m`; read-only.
        Channels that were not measured are NaN throughout and named in `missing`.
    origin_m : ndarray (3,)
        The point of the top surface that the moments refer to, in the lab frame (right, forward, up).
    side : {"L", "R", "?"}
        Which foot belongs on this plate, where that is known.
    name : str
        What the file or the caller calls it.
    corners_lab : ndarray (4, 3) or None
        Corners in the lab frame, m.
    missing : frozenset of str
        Channels that the source does not have.
    model : str
        How the wrench was made of what was recorded, such as "C3D type 4"; "" where it was given as it is.
    saturated : ndarray (n_frames,) of bool, or None
        Frames with a raw channel at the end of its range, where the raw channels were seen.
    skew_s : float or None
        Time between the first and the last channel of one frame, where it is known (multiplexed converters).
    """

    wrench: FloatArray
    origin_m: FloatArray = field(default_factory=lambda: np.zeros(3))
    side: str = "?"
    name: str = ""
    corners_lab: FloatArray | None = None
    missing: frozenset[str] = frozenset()
    model: str = ""
    saturated: BoolArray | None = None
    skew_s: float | None = None

    @property
    def force_lab(self) -> FloatArray:
        """Force in the lab frame, N: (n_frames, 3)."""
        return self.wrench[:, :3]

    @property
    def cop(self) -> FloatArray:
        """Centre of pressure on the top surface in the lab frame, m: (n_frames, 3); NaN where Fz < 20 N."""
        return self._pressure_centre[0]

    @property
    def free_moment(self) -> FloatArray:
        """Free moment about the vertical through the centre of pressure, N·m: (n_frames,); NaN where Fz < 20 N."""
        return self._pressure_centre[1]

    @functools.cached_property
    def _pressure_centre(self) -> tuple[FloatArray, FloatArray]:
        wrench = np.ascontiguousarray(self.wrench, dtype=np.float64)
        cop, free_moment = np.empty((len(wrench), 3)), np.empty(len(wrench))
        origin = np.ascontiguousarray(self.origin_m, dtype=np.float64)
        _wrench.pressure_centre(wrench, origin, COP_MIN_N, cop, free_moment)
        return cop, free_moment


@dataclass(frozen=True, eq=False)
class Trial:
    """Plates recorded together, as :func:`balancecore.read` or :meth:`from_wrenches` returns them.

    Attributes
    ----------
    plates : tuple of Plate
        At least one; all of the same length.
    rate_hz : float
        Frames per second.
    lateral_known : bool
        Whether +x is known to be the subject's right: only then can left and right be told from the centre of
        pressure. The caller (``axes=``) or a format that defines it says so; it is never guessed.
    convention : {"reaction", "action"}
        What the source held; `Plate.wrench` is always the reaction.
    axes : tuple of str or None
        Axes of the source that point right, forward and up, if they were stated.
    sources : tuple of Source
        Files read, in the order of `plates`.
    reading : mapping
        What the reader was asked, as it was asked; empty for arrays.
    notes : tuple of str
        What the reader did or noticed, in plain words.
    analog : tuple of Analog
        Other channels of the recording, each at its own rate.
    events : tuple of Event
        Events that the source names, in order of time.
    markers : Markers or None
        Marker trajectories, where the source has any.
    """

    plates: tuple[Plate, ...]
    rate_hz: float
    lateral_known: bool = False
    convention: Convention = "reaction"
    axes: tuple[str, ...] | None = None
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    analog: tuple[Analog, ...] = ()
    events: tuple[Event, ...] = ()
    markers: Markers | None = None

    def __len__(self) -> int:
        return len(self.plates[0].wrench)

    @property
    def duration_s(self) -> float:
        """Length of the record, s."""
        return len(self) / self.rate_hz

    @property
    def layout(self) -> Layout:
        """What a stream must know of the plates."""
        return Layout(
            np.array([p.origin_m for p in self.plates]),
            tuple(p.side for p in self.plates),
            tuple(p.missing for p in self.plates),
            tuple(p.corners_lab for p in self.plates),
            tuple(p.name for p in self.plates),
            self.lateral_known,
        )

    def turned(self, axes: Sequence[str]) -> Trial:
        """The same trial in other axes: plates, their places, and markers.

        Parameters
        ----------
        axes : sequence of 3 str
            Which of this trial's axes become right, forward and up (see :func:`axis_rotation`).

        Raises
        ------
        DataError
            If `axes` is not three different axes, or mirrors.
        """
        rotation = axis_rotation(axes)
        plates = tuple(_turned_plate(p, rotation) for p in self.plates)
        markers = self.markers
        if markers is not None:
            markers = replace(markers, positions_m=markers.positions_m @ rotation.T)
        return replace(self, plates=plates, markers=markers)

    def __repr__(self) -> str:
        plates = ", ".join(f"{p.name or 'plate'} ({p.side})" for p in self.plates)
        return f"<Trial {self.duration_s:.2f} s at {self.rate_hz:g} Hz: {plates}>"

    @classmethod
    def from_wrenches(
        cls,
        wrenches: Sequence[ArrayLike],
        *,
        rate_hz: float,
        sides: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        origins_m: ArrayLike | None = None,
        corners_m: Sequence[ArrayLike | None] | None = None,
        convention: Convention = "reaction",
        axes: Sequence[str] | None = None,
        missing: Sequence[str] = (),
        sources: Sequence[Source] = (),
        notes: Sequence[str] = (),
    ) -> Trial:
        """Make a trial of arrays.

        Parameters
        ----------
        wrenches : sequence of array_like (n_frames, 6)
            One a plate: Fx Fy Fz Mx My Mz in N and N·m, moments about the plate's origin on its top surface.
            A plate that measures the vertical force only may be given as ``(n_frames,)``. Read-only, strided and
            other float types are accepted; the input is copied only if it has to change.
        rate_hz : float
            Frames per second.
        sides : sequence of {"L", "R", "?"}, optional
            Which foot belongs on which plate.
        names : sequence of str, optional
            Names of the plates.
        origins_m : array_like (n_plates, 3), optional
            Where each plate's origin is in the lab, in the same axes as the wrenches; needed to add plates up.
            Default: all at zero.
        corners_m : sequence of array_like (4, 3) or None, optional
            Corners of each plate in the lab, in the same axes.
        convention : {"reaction", "action"}
            Force on the body (default) or on the plate.
        axes : sequence of 3 str, optional
            Which of the array's axes point to the subject's right, forward and up (see :func:`axis_rotation`).
            None means right, forward, up as above, but with the direction of "right" not vouched for, so that
            limbs are called A and B unless something else tells left from right.
        missing : sequence of str
            Channels among Fx..Mz, in the array's own axes, that no plate measured; they become NaN.
        sources, notes : sequences
            Provenance, from readers.

        Raises
        ------
        DataError
            Wrong shape, rate, side, axes or lengths that differ.

        Examples
        --------
        >>> import numpy as np
        >>> trial = Trial.from_wrenches([np.zeros((1000, 6))], rate_hz=1000.0, sides=["L"])
        >>> len(trial), trial.plates[0].side
        (1000, 'L')
        """
        if isinstance(wrenches, np.ndarray) and wrenches.ndim == 2:
            raise DataError(
                "wrenches must be a list of arrays, one a plate: write [wrench] for a single plate"
            )
        count = len(wrenches)
        if not 1 <= count <= MAX_PLATES:
            raise DataError(f"{count} plates given: a trial has 1 to {MAX_PLATES}")
        rate = check_rate(rate_hz)
        if convention not in ("reaction", "action"):
            raise DataError(
                f"convention={convention!r}: it is 'reaction' (on the body) or 'action' (on the plate)"
            )
        unknown = set(missing) - set(CHANNELS)
        if unknown:
            raise DataError(f"missing={sorted(unknown)}: channels are {', '.join(CHANNELS)}")
        rotation = np.eye(3) if axes is None else axis_rotation(axes)
        side_list = _per_plate("sides", sides, count, "?")
        for side in side_list:
            if side not in ("L", "R", "?"):
                raise DataError(f"side {side!r}: a plate's side is 'L', 'R' or '?'")
        name_list = _per_plate("names", names, count, "")
        corner_list = _per_plate("corners_m", corners_m, count, None)
        origins = np.zeros((count, 3)) if origins_m is None else np.asarray(origins_m, dtype=np.float64)
        if origins.shape != (count, 3) or not np.isfinite(origins).all():
            raise DataError(f"origins_m must be finite with shape ({count}, 3), not {origins.shape}")
        plates = []
        for k in range(count):
            wrench, absent = _wrench_array(wrenches[k], k, frozenset(missing))
            corners = None
            if corner_list[k] is not None:
                corners = np.asarray(corner_list[k], dtype=np.float64)
                if corners.shape != (4, 3):
                    raise DataError(f"corners of plate {k + 1} must have shape (4, 3), not {corners.shape}")
                corners = corners @ rotation.T
            wrench = _to_reaction(wrench, rotation, convention)
            wrench.flags.writeable = False
            absent = frozenset(_renamed(name, rotation) for name in absent)
            plates.append(
                Plate(wrench, rotation @ origins[k], side_list[k], str(name_list[k]), corners, absent)
            )
        lengths = {len(p.wrench) for p in plates}
        if len(lengths) != 1:
            raise DataError(f"plates of one trial must have the same number of frames, not {sorted(lengths)}")
        stated = None if axes is None else tuple(str(axis) for axis in axes)
        return cls(tuple(plates), rate, axes is not None, convention, stated, tuple(sources), tuple(notes))


@dataclass(frozen=True, eq=False)
class Layout:
    """What a stream must know of the plates before the first frame comes.

    Attributes
    ----------
    origins_m : ndarray (n_plates, 3)
        The point of each plate's top surface that its moments refer to (right, forward, up).
    sides : tuple of {"L", "R", "?"}
    missing : tuple of frozenset of str
        Channels that a plate does not measure; what stands there is not looked at.
    corners_m : tuple of ndarray (4, 3) or None
    names : tuple of str
    lateral_known : bool
        Whether +x is known to be the subject's right.

    Examples
    --------
    >>> Layout.split_belt().sides
    ('L', 'R')
    """

    origins_m: FloatArray
    sides: tuple[str, ...]
    missing: tuple[frozenset[str], ...] = ()
    corners_m: tuple[FloatArray | None, ...] = ()
    names: tuple[str, ...] = ()
    lateral_known: bool = False

    def __post_init__(self) -> None:
        origins = np.array(self.origins_m, dtype=np.float64)
        count = len(self.sides)
        if not 1 <= count <= MAX_PLATES:
            raise DataError(f"{count} plates given: a layout has 1 to {MAX_PLATES}")
        if origins.shape != (count, 3) or not np.isfinite(origins).all():
            raise DataError(f"origins_m must be finite with shape ({count}, 3), not {origins.shape}")
        for side in self.sides:
            if side not in ("L", "R", "?"):
                raise DataError(f"side {side!r}: a plate's side is 'L', 'R' or '?'")
        missing = self.missing or (frozenset(),) * count
        for k, absent in enumerate(missing):
            if "Fz" in absent or not set(absent) <= set(CHANNELS):
                raise DataError(f"plate {k + 1} can't do without {sorted(absent)}: Fz must be measured")
        origins.flags.writeable = False
        object.__setattr__(self, "origins_m", origins)
        object.__setattr__(self, "missing", tuple(frozenset(m) for m in missing))
        object.__setattr__(self, "corners_m", tuple(self.corners_m) or (None,) * count)
        object.__setattr__(self, "names", tuple(self.names) or ("",) * count)
        if {len(self.missing), len(self.corners_m), len(self.names)} != {count}:
            raise DataError(f"missing, corners_m and names must name each of the {count} plates")

    @classmethod
    def split_belt(cls, *, origins_m: ArrayLike | None = None) -> Layout:
        """A left and a right belt side by side, x to the subject's right.

        Parameters
        ----------
        origins_m : array_like (2, 3), optional
            Origins of the moments; default: both moments are about one common point.
        """
        origins = np.zeros((2, 3)) if origins_m is None else np.asarray(origins_m, dtype=np.float64)
        return cls(origins, ("L", "R"), names=("left belt", "right belt"), lateral_known=True)

    @classmethod
    def single_belt(cls, *, lateral_known: bool = False, missing: Sequence[str] = ()) -> Layout:
        """One plate for both feet.

        Parameters
        ----------
        lateral_known : bool
            Whether +x is known to be the subject's right; if not, limbs are called A and B.
        missing : sequence of str
            Channels that it does not measure.
        """
        return cls(
            np.zeros((1, 3)), ("?",), (frozenset(missing),), names=("belt",), lateral_known=lateral_known
        )

    def __len__(self) -> int:
        return len(self.sides)

    def trial(self, wrenches: Sequence[FloatArray], rate_hz: float) -> Trial:
        """A trial of these plates; `wrenches` are taken as they are."""
        plates = tuple(
            Plate(w, *rest)
            for w, *rest in zip(
                wrenches, self.origins_m, self.sides, self.names, self.corners_m, self.missing, strict=True
            )
        )
        return Trial(plates, rate_hz, self.lateral_known)


@dataclass(frozen=True, eq=False)
class Block:
    """Frames of a stream, and how many were lost before them.

    Attributes
    ----------
    frames : ndarray (k, 6 n_plates)
        Fx Fy Fz Mx My Mz of each plate, N and N·m.
    lost_before : int
    """

    frames: FloatArray
    lost_before: int = 0


def check_rate(rate_hz: Any) -> float:
    """The sampling rate as a float, or a DataError that says why not."""
    try:
        if isinstance(rate_hz, (str, bytes, bool, np.bool_)):
            raise TypeError("not a number")
        rate = float(rate_hz)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"rate_hz={rate_hz!r}: the sampling rate must be a number of frames per second"
        ) from error
    if not 1.0 <= rate <= 1e6:
        raise DataError(f"rate_hz={rate:g}: the sampling rate must lie between 1 and 1e6 frames per second")
    return rate


def _per_plate(what: str, values: Sequence[Any] | None, count: int, default: Any) -> list[Any]:
    if values is None:
        return [default] * count
    if isinstance(values, (str, Mapping)) or len(values) != count:
        raise DataError(f"{what} must name each of the {count} plates, not {values!r}")
    return list(values)


def _wrench_array(data: ArrayLike, index: int, missing: frozenset[str]) -> tuple[FloatArray, frozenset[str]]:
    """A C-contiguous (n, 6) float64 array that is ours to freeze, and the channels that it lacks."""
    try:
        array = np.asarray(data)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"its type is {array.dtype}")
        if array.ndim == 1:
            wrench = np.full((len(array), 6), np.nan)
            wrench[:, 2] = array
            return wrench, frozenset(CHANNELS) - {"Fz"}
        if array.ndim != 2 or array.shape[1] != 6:
            raise ValueError(f"its shape is {array.shape}")
        wrench = np.ascontiguousarray(array, dtype=np.float64).view()
    except (TypeError, ValueError) as error:
        raise DataError(
            f"plate {index + 1}: a wrench must be numbers of shape (n_frames, 6) = Fx Fy Fz Mx My Mz, "
            f"or (n_frames,) for the vertical force alone; {error}"
        ) from error
    if missing:
        wrench = wrench.copy()
        wrench[:, [CHANNELS.index(name) for name in missing]] = np.nan
    return wrench, missing


def _turned_plate(plate: Plate, rotation: FloatArray) -> Plate:
    wrench = _to_reaction(plate.wrench, rotation, "reaction")
    wrench.flags.writeable = False
    corners = None if plate.corners_lab is None else plate.corners_lab @ rotation.T
    missing = frozenset(_renamed(name, rotation) for name in plate.missing)
    return replace(
        plate, wrench=wrench, origin_m=rotation @ plate.origin_m, corners_lab=corners, missing=missing
    )


def _renamed(channel: str, rotation: FloatArray) -> str:
    """A channel's name after the axes were mapped."""
    row = int(np.flatnonzero(rotation[:, "xyz".index(channel[1])])[0])
    return channel[0] + "xyz"[row]


def _to_reaction(wrench: FloatArray, rotation: FloatArray, convention: Convention) -> FloatArray:
    """Rotate and negate if asked; the caller's array is never written to."""
    if convention == "reaction" and np.array_equal(rotation, np.eye(3)):
        return wrench
    signed = rotation if convention == "reaction" else -rotation
    out = np.empty_like(wrench)
    # A signed permutation: columns are picked rather than multiplied, so a NaN (missing) channel stays alone.
    for row in range(3):
        column = int(np.flatnonzero(signed[row])[0])
        out[:, row] = signed[row, column] * wrench[:, column]
        out[:, row + 3] = signed[row, column] * wrench[:, column + 3]
    return out
