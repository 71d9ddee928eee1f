"""Units: the names that files use for them, and the factors to SI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from balancecore.errors import DataError

_POUND_N = 4.4482216152605
_INCH_M = 0.0254

#: Factor to SI of every unit that is understood, by kind; names as `_plain` leaves them.
_FACTORS: dict[str, dict[str, float]] = {
    "force": {"n": 1.0, "newton": 1.0, "newtons": 1.0, "kn": 1e3, "lbf": _POUND_N},
    "moment": {
        "nm": 1.0,
        "newtonmeter": 1.0,
        "newtonmeters": 1.0,
        "ncm": 1e-2,
        "nmm": 1e-3,
        "knm": 1e3,
        "lbfin": _POUND_N * _INCH_M,
        "lbfft": _POUND_N * 12 * _INCH_M,
    },
    "length": {
        "m": 1.0,
        "meter": 1.0,
        "meters": 1.0,
        "metre": 1.0,
        "cm": 1e-2,
        "mm": 1e-3,
        "in": _INCH_M,
        "millimeter": 1e-3,
        "millimeters": 1e-3,
        "millimetres": 1e-3,
        "centimeters": 1e-2,
        "inches": _INCH_M,
    },
    "time": {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6},
}
#: What programs write (in small letters), and the name that it has in rig files.
RIG_UNITS = {
    **{"volt": "V", "volts": "V", "millivolt": "mV", "millivolts": "mV", "bits": "counts"},
    **{"µv": "uV", "μv": "uV", "microvolt": "uV", "microvolts": "uV"},
    **{"newton": "N", "newtons": "N", "nm": "N*m", "nmm": "N*mm", "newtonmeter": "N*m", "newtonmm": "N*mm"},
    **{
        "percent": "%",
        "degree": "deg",
        "degrees": "deg",
        "°": "deg",
        "°c": "degC",
        "m/s2": "m/s^2",
        "m/s²": "m/s^2",
    },
}
_SPELLED = {
    "force": "N, kN, lbf",
    "moment": "N.m, N.cm, N.mm, kN.m, lbf.in, lbf.ft",
    "length": "m, cm, mm, in",
    "time": "s, ms, us",
}


def _plain(unit: str) -> str:
    """The unit without the marks that writers put between its factors: N·m, N*m, N.m and N m are one."""
    return "".join(c for c in unit.lower() if c not in " .·⋅*-_")


def same_unit(one: str, other: str) -> bool:
    """Whether two names of units, known ones or not, are one: N·m and Nm are, Volts and V are, mV and MV are not."""
    plain = [_without_marks(RIG_UNITS.get(_without_marks(unit).lower(), unit)) for unit in (one, other)]
    return plain[0] == plain[1]


def _without_marks(unit: str) -> str:
    return "".join(c for c in unit if c not in " .·⋅*")


def is_unit(text: str) -> bool:
    """Whether the text is a unit that is understood."""
    return any(_plain(text) in table for table in _FACTORS.values())


def factor(kind: str, unit: str) -> float:
    """Multiply by this to get SI; a DataError names a unit that is not one of this kind."""
    try:
        return _FACTORS[kind][_plain(unit)]
    except KeyError as error:
        raise DataError(f"unit {unit!r} is not a known unit of {kind}; known: {_SPELLED[kind]}") from error


def completed(kind: str, text: str) -> float | None:
    """Factor to SI of a unit whose name may be cut short ("mete"), or None if it is not one of this kind."""
    plain = _plain(text)
    if plain in _FACTORS[kind]:
        return _FACTORS[kind][plain]
    # Two letters could begin anything.
    found = {value for name, value in _FACTORS[kind].items() if len(plain) > 2 and name.startswith(plain)}
    return found.pop() if len(found) == 1 else None


@dataclass(frozen=True)
class Units:
    """The units that the caller named, by kind; they outrank what a header says."""

    named: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, units: Mapping[str, str] | None) -> Units:
        """Check the caller's ``units=``."""
        if units is None:
            return cls()
        if not isinstance(units, Mapping):
            raise DataError(f"units={units!r}: give a dict such as {{'force': 'N', 'moment': 'N.mm'}}")
        for kind, unit in units.items():
            if kind not in _FACTORS:
                raise DataError(f"units has the key {kind!r}: it knows {', '.join(_FACTORS)}")
            if not isinstance(unit, str):
                raise DataError(f"units[{kind!r}]={unit!r}: a unit is a text; known: {_SPELLED[kind]}")
            factor(kind, unit)
        return cls(dict(units))

    def to_si(self, kind: str, header_unit: str | None = None) -> float:
        """Factor to SI: the caller's unit, else the header's, else SI."""
        unit = self.named.get(kind) or header_unit
        return 1.0 if unit is None else factor(kind, unit)
