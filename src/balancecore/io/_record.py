"""What passes between :func:`balancecore.read` and the format modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from balancecore.io._units import Units
from balancecore.plates import PlateModel
from balancecore.trial import Analog, Convention, Event, Markers, Source

if TYPE_CHECKING:
    from balancecore.capture.rig import Rig

FloatArray = NDArray[np.float64]
#: Which column holds a channel: its name in the header, or its position counted from 0; None = not there.
ColumnMap = Mapping[str, "str | int | None"]


@dataclass(frozen=True)
class Options:
    """What the caller of :func:`balancecore.read` asked for."""

    convention: Convention | None = None
    axes: tuple[str, ...] | None = None
    units: Units = field(default_factory=Units)
    columns: tuple[ColumnMap, ...] | None = None
    rate_hz: float | None = None
    resample: bool = False
    delimiter: str | None = None
    decimal: str | None = None
    format: str | None = None
    plate_origin_m: tuple[tuple[float, float, float], ...] | None = None
    plate_zero: bool = False
    rig: Rig | None = None


@dataclass(frozen=True, eq=False)
class PlateHeader:
    """What a header says of a plate and its wrench does not show: for :func:`balancecore.inspect`."""

    channels: tuple[str, ...]
    units: tuple[str, ...]
    gains: tuple[float, ...]
    """Value of one count of the converter, or of 1 where the file holds numbers."""
    raw: FloatArray
    """(n_frames, n_channels)"""
    kind: int
    origin_m: FloatArray | None
    """As it is written, in m."""
    to_surface_m: FloatArray
    """From the sensors' origin to the surface, as it was used, in the file's axes turned so that z is up."""
    normal: FloatArray
    """The plate's z axis in the same axes."""
    matrix: FloatArray | None
    lengths_in_mm: bool
    columns: tuple[int, ...]
    """Which of the file's analog channels these are."""
    model: PlateModel | None
    """From `raw` to the wrench; None where that is not linear."""


@dataclass(frozen=True)
class FileHeader:
    """What a header says of the file."""

    point_rate_hz: float
    zero_frames: tuple[int, int] | None
    """First and one past the last frame of the plates that are said to be unloaded."""


@dataclass
class RawPlate:
    """One plate as its file holds it: the file's axes and sign, but N, N·m and m."""

    wrench: FloatArray
    missing: frozenset[str] = frozenset()
    name: str = ""
    origin_m: FloatArray = field(default_factory=lambda: np.zeros(3))
    corners_m: FloatArray | None = None
    model: str = ""
    saturated: NDArray[np.bool_] | None = None
    skew_s: float | None = None
    side: str = "?"
    header: PlateHeader | None = None


@dataclass(frozen=True)
class Written:
    """What a file that balancecore wrote says of the trial that it was written from."""

    convention: Convention
    axes: tuple[str, ...] | None
    lateral_known: bool
    sources: tuple[Source, ...]
    reading: Mapping[str, object]


@dataclass
class RawFile:
    """The plates of one file, with what its format says about them; the options outrank that."""

    plates: Sequence[RawPlate]
    rate_hz: float
    convention: Convention = "reaction"
    axes: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)
    analog: list[Analog] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    markers: Markers | None = None
    """Positions in the file's axes, m."""
    lateral_known: bool = True
    """Whether `axes` also say which way the subject faced."""
    written: Written | None = None
    header: FileHeader | None = None
    format: str = ""
    known_by: str = ""
