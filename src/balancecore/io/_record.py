"""What passes between :func:`balancecore.read` and the format modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from balancecore.io._units import Units
from balancecore.trial import Analog, Convention, Event, Markers, Source

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
    plate_origin_m: tuple[tuple[float, float, float], ...] | None = None
    plate_zero: bool = False


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
