"""Simulated treadmill and walkway recordings whose true events and metrics are known from formulas.

Everything that :meth:`Simulation.truth` returns comes from the continuous force curves, by root finding and
quadrature, and never from the samples: it is what an ideal measurement would give, so that what an analysis
loses to sampling, noise, drift and filters shows. The models and the reasons for them are in
``docs/simulation.md``.

Lab frame: x to the subject's right, y forward, z up, origin in the middle of the treadmill on its surface (of a
walkway: on its middle line, at the near edge of its first plate).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from balancecore.errors import DataError
from balancecore.trial import CHANNELS, MAX_PLATES, Event, Layout, Markers, Trial

__all__ = [
    "CHANNEL_SHARE",
    "LEFT",
    "RIGHT",
    "STANDARD_GRAVITY",
    "WALK",
    "Drift",
    "Endless",
    "Footfall",
    "Limb",
    "Simulation",
    "WalkLimb",
    "braking_force",
    "footfall_force",
    "half_sine",
    "overground",
    "treadmill",
]

FloatArray = NDArray[np.float64]
Side = Literal["L", "R"]

#: Standard acceleration of free fall, m/s².
STANDARD_GRAVITY = 9.80665
#: Drift, hum and noise of each channel over those of Fz: a ratio for the forces, metres for the moments.
#: Real plates differ; these are choices that keep the centre of pressure under load good to millimetres.
CHANNEL_SHARE = {"Fx": 0.25, "Fy": 0.25, "Fz": 1.0, "Mx": 0.10, "My": 0.10, "Mz": 0.05}

_LOWER_MASS_SHARE = 0.08  # m1/m of the two-mass model
_ACTIVE_PEAK_SHARE = 0.47  # of contact time
_BELT_WIDTH_M = 0.5
_BELT_LENGTH_M = 1.8
_SPLIT_ORIGINS = np.array([[-0.5 * _BELT_WIDTH_M, 0.0, 0.0], [0.5 * _BELT_WIDTH_M, 0.0, 0.0]])
_CROSSOVER_OWN_M = 0.03  # a straddling foot's part on its own side of the gap
_CROSSOVER_OTHER_M = 0.02  # and beyond it
_MIN_RATE_HZ = 100.0
_MOST_DEVIATIONS = 3.0  # by which a step may vary
_CHUNK = 1 << 16  # frames disturbed at a time: the temporaries stay in the cache

# Truth: windows and limits of metrics 2.1
_IP_FROM_S = 0.005
_IP_UNTIL_SHARE = 0.25
_IP_UNTIL_S = 0.075
_IP_PROMINENCE_BW = 0.05
_POI_SHARE = 0.13
_IP_FRACTION = 0.8


# --------------------------------------------------------------------------------------------------
# Continuous curves: value, first and second derivative, and the times between which they are smooth


class _Curve(Protocol):
    @property
    def breaks(self) -> tuple[float, ...]: ...
    def value(self, t: FloatArray) -> FloatArray: ...
    def slope(self, t: FloatArray) -> FloatArray: ...
    def curvature(self, t: FloatArray) -> FloatArray: ...


class _Load(_Curve, Protocol):
    """A curve whose first and second integral from touchdown are known in closed form."""

    def integral(self, t: FloatArray) -> FloatArray: ...
    def double_integral(self, t: FloatArray) -> FloatArray: ...


@dataclass(frozen=True)
class _Hump:
    """Raised cosine ``peak/2·[1 + cos(π(t − centre)/width)]``; area ``peak·(lead + trail)/2``."""

    peak: float
    centre: float
    lead: float
    trail: float

    @property
    def breaks(self) -> tuple[float, ...]:
        return (self.centre - self.lead, self.centre, self.centre + self.trail)

    def _phase(self, t: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        s = t - self.centre
        width = np.where(s < 0, self.lead, self.trail)
        phase = s * (math.pi / width)
        return phase, width, np.abs(phase) <= math.pi

    def value(self, t: FloatArray) -> FloatArray:
        phase, _, inside = self._phase(t)
        return np.where(inside, 0.5 * self.peak * (1 + np.cos(phase)), 0.0)

    def slope(self, t: FloatArray) -> FloatArray:
        phase, width, inside = self._phase(t)
        return np.where(inside, -0.5 * self.peak * np.pi / width * np.sin(phase), 0.0)

    def curvature(self, t: FloatArray) -> FloatArray:
        phase, width, inside = self._phase(t)
        return np.where(inside, -0.5 * self.peak * (np.pi / width) ** 2 * np.cos(phase), 0.0)

    def integral(self, t: FloatArray) -> FloatArray:
        s = np.clip(t - self.centre, -self.lead, self.trail)
        width = np.where(s < 0, self.lead, self.trail)
        area: FloatArray = 0.5 * self.peak * (self.lead + s + width / np.pi * np.sin(np.pi * s / width))
        return area

    def double_integral(self, t: FloatArray) -> FloatArray:
        s = np.clip(t - self.centre, -self.lead, self.trail)
        width = np.where(s < 0, self.lead, self.trail)
        cosines = (width / np.pi) ** 2 * (np.cos(np.pi * s / width) - 1) + 2 * (self.lead / np.pi) ** 2
        inside = 0.5 * self.peak * (0.5 * (s + self.lead) ** 2 - cosines)
        after = np.maximum(t - self.centre - self.trail, 0.0)
        out: FloatArray = inside + after * (0.5 * self.peak * (self.lead + self.trail))
        return out


@dataclass(frozen=True)
class _Lobes:
    """Half a sine up to `split`, another from there to `end`; both zero at their ends."""

    first: float
    second: float
    split: float
    end: float

    @property
    def breaks(self) -> tuple[float, ...]:
        return (0.0, self.split, self.end)

    def _parts(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        early = t < self.split
        rate = np.where(early, np.pi / self.split, np.pi / (self.end - self.split))
        phase = (t - np.where(early, 0.0, self.split)) * rate
        peak = np.where(early, self.first, self.second)
        return np.where((t >= 0) & (t <= self.end), peak, 0.0), phase, rate

    def value(self, t: FloatArray) -> FloatArray:
        peak, phase, _ = self._parts(t)
        return peak * np.sin(phase)

    def slope(self, t: FloatArray) -> FloatArray:
        peak, phase, rate = self._parts(t)
        return peak * rate * np.cos(phase)

    def curvature(self, t: FloatArray) -> FloatArray:
        peak, phase, rate = self._parts(t)
        return -peak * rate**2 * np.sin(phase)


@dataclass(frozen=True)
class _HalfSine:
    """``peak·sin(πt/end)``."""

    peak: float
    end: float

    @property
    def breaks(self) -> tuple[float, ...]:
        return (0.0, self.end)

    def _phase(self, t: FloatArray) -> FloatArray:
        return np.pi / self.end * np.clip(t, 0.0, self.end)

    def value(self, t: FloatArray) -> FloatArray:
        inside = (t >= 0) & (t <= self.end)
        return np.where(inside, self.peak * np.sin(self._phase(t)), 0.0)

    def slope(self, t: FloatArray) -> FloatArray:
        inside = (t >= 0) & (t <= self.end)
        return np.where(inside, self.peak * np.pi / self.end * np.cos(self._phase(t)), 0.0)

    def curvature(self, t: FloatArray) -> FloatArray:
        return -((np.pi / self.end) ** 2) * self.value(t)

    def integral(self, t: FloatArray) -> FloatArray:
        return self.peak * self.end / np.pi * (1 - np.cos(self._phase(t)))

    def double_integral(self, t: FloatArray) -> FloatArray:
        phase = self._phase(t)
        inside = self.peak * (self.end / np.pi) ** 2 * (phase - np.sin(phase))
        return inside + np.maximum(t - self.end, 0.0) * (2 * self.peak * self.end / np.pi)


def _total(arrays: Sequence[FloatArray]) -> FloatArray:
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total


@dataclass(frozen=True)
class _Sum:
    """Loads added up."""

    parts: tuple[_Load, ...]

    @property
    def breaks(self) -> tuple[float, ...]:
        return tuple(sorted({b for part in self.parts for b in part.breaks}))

    def value(self, t: FloatArray) -> FloatArray:
        return _total([part.value(t) for part in self.parts])

    def slope(self, t: FloatArray) -> FloatArray:
        return _total([part.slope(t) for part in self.parts])

    def curvature(self, t: FloatArray) -> FloatArray:
        return _total([part.curvature(t) for part in self.parts])

    def integral(self, t: FloatArray) -> FloatArray:
        return _total([part.integral(t) for part in self.parts])

    def double_integral(self, t: FloatArray) -> FloatArray:
        return _total([part.double_integral(t) for part in self.parts])


@dataclass(frozen=True)
class _Tilted:
    """``base + share·load``: a horizontal force with its part of the load on an incline."""

    base: _Curve
    load: _Load
    share: float

    @property
    def breaks(self) -> tuple[float, ...]:
        return tuple(sorted({*self.base.breaks, *self.load.breaks}))

    def value(self, t: FloatArray) -> FloatArray:
        return self.base.value(t) + self.share * self.load.value(t)

    def slope(self, t: FloatArray) -> FloatArray:
        return self.base.slope(t) + self.share * self.load.slope(t)

    def curvature(self, t: FloatArray) -> FloatArray:
        return self.base.curvature(t) + self.share * self.load.curvature(t)


# --------------------------------------------------------------------------------------------------
# Limbs


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise DataError(message)


def _check_numbers(
    owner: str, values: dict[str, Any], positive: Sequence[str], not_negative: Sequence[str]
) -> None:
    for name, value in values.items():
        if name == "shape" or (value is None and name in ("propulsion_bw", "lateral_bw")):
            continue
        number = isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value)
        _require(number, f"{owner}: {name}={value!r} must be a finite number")
        _require(name not in positive or value > 0, f"{owner}: {name}={value:g} must be positive")
        _require(name not in not_negative or value >= 0, f"{owner}: {name}={value:g} must not be negative")


@dataclass(frozen=True, kw_only=True)
class _Foot:
    """What running and walking footfalls share: the horizontal forces and where the foot is."""

    contact_s: float = 0.25
    brake_bw: float = 0.30
    propulsion_bw: float | None = None
    ap_zero: float = 0.5
    mediolateral_bw: float = 0.06
    lateral_bw: float | None = None
    ml_zero: float = 0.4
    cop_x_m: float = 0.05
    cop_path_m: float = 0.18
    free_moment_nm: float = 3.0

    def __post_init__(self) -> None:
        name = type(self).__name__
        _check_numbers(
            name,
            vars(self),
            positive=("contact_s", "impact_dt_s"),
            not_negative=(
                "brake_bw",
                "propulsion_bw",
                "mediolateral_bw",
                "lateral_bw",
                "cop_path_m",
                "flight_after_s",
                "double_support_after_s",
                "impact_dv_m_s",
            ),
        )
        for share in ("ap_zero", "ml_zero"):
            _require(0 < getattr(self, share) < 1, f"{name}: {share} must lie between 0 and 1 of the contact")

    def _braking(self, weight_n: float) -> _Lobes:
        """Braking, then propulsion; their impulses cancel unless propulsion_bw says otherwise."""
        propulsion = self.propulsion_bw
        if propulsion is None:
            propulsion = self.brake_bw * self.ap_zero / (1 - self.ap_zero)
        split = self.ap_zero * self.contact_s
        return _Lobes(-self.brake_bw * weight_n, propulsion * weight_n, split, self.contact_s)

    def _medial(self, weight_n: float) -> _Lobes:
        """Lateral, then medial, medial positive; their impulses cancel unless lateral_bw says otherwise."""
        lateral = self.lateral_bw
        if lateral is None:
            lateral = self.mediolateral_bw * (1 - self.ml_zero) / self.ml_zero
        split = self.ml_zero * self.contact_s
        return _Lobes(-lateral * weight_n, self.mediolateral_bw * weight_n, split, self.contact_s)


@dataclass(frozen=True, kw_only=True)
class Limb(_Foot):
    """One limb's running footfall.

    The vertical force is the two-mass model of Clark, Ryan and Weyand (2017, J Exp Biol 220:247), written
    down in ``docs/simulation.md``: a short impulse that stops 8 % of the body mass, and a long one that
    carries the rest so that contact and flight together hold up the body weight exactly.

    Attributes
    ----------
    contact_s : float
        Time from true touchdown to true toe-off, s.
    flight_after_s : float
        Time from toe-off to the other foot's touchdown, s.
    impact_dv_m_s, impact_dt_s : float
        Change of velocity of the lower limb at impact (m/s) and the time to the peak of its impulse (s). The
        impulse lasts ``2·impact_dt_s``.
    shape : {"two_mass", "half_sine"}
        "half_sine" has no impact peak, as in many fore-foot strikers, and ignores the two impact parameters.
    brake_bw : float
        Peak of the braking force, in body weights (BW).
    propulsion_bw : float or None
        Peak of the propulsive force, BW. None: whatever makes the net impulse zero on the level.
    ap_zero : float
        When braking turns into propulsion, as a share of the contact.
    mediolateral_bw, lateral_bw : float
        Peaks of the medial and of the earlier lateral force on the body, BW. ``lateral_bw=None``: whatever
        makes the net impulse zero.
    ml_zero : float
        When lateral turns into medial, as a share of the contact.
    cop_x_m : float
        How far to its own side of the middle line the foot lands, m; negative if it lands beyond it.
    cop_path_m : float
        How far the centre of pressure rolls from heel to toe under the foot, m.
    free_moment_nm : float
        Peak of the free vertical moment, N·m; up on the left foot, mirrored on the right.

    Examples
    --------
    >>> Limb(contact_s=0.24).step_s
    0.33999999999999997
    """

    flight_after_s: float = 0.10
    impact_dv_m_s: float = 1.6
    impact_dt_s: float = 0.025
    shape: Literal["two_mass", "half_sine"] = "two_mass"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(
            self.shape in ("two_mass", "half_sine"),
            f"Limb: shape={self.shape!r} is 'two_mass' or 'half_sine'",
        )
        if self.shape == "half_sine":
            return
        late = 2 * self.impact_dt_s > self.contact_s
        _require(
            not late,
            f"Limb: an impact of 2 x {self.impact_dt_s:g} s lasts longer than contact_s={self.contact_s:g}",
        )
        fits = self._impact_share() < 1
        _require(
            fits, "Limb: the impact alone carries more than the body weight; lower impact_dv_m_s or its mass"
        )

    @property
    def step_s(self) -> float:
        """Time from this touchdown to the other foot's, s."""
        return self.contact_s + self.flight_after_s

    def _impact_share(self, g: float = STANDARD_GRAVITY) -> float:
        """J1 as a share of the whole impulse; the same for every body mass."""
        impact = _LOWER_MASS_SHARE * (self.impact_dv_m_s / self.impact_dt_s + g) * 2 * self.impact_dt_s
        return impact / (g * self.step_s)

    def _vertical(self, mass_kg: float, g: float) -> _Load:
        total = mass_kg * g * self.step_s
        if self.shape == "half_sine":
            return _HalfSine(math.pi / 2 * total / self.contact_s, self.contact_s)
        j1 = total * self._impact_share(g)
        rise = _ACTIVE_PEAK_SHARE * self.contact_s
        impact = _Hump(j1 / self.impact_dt_s, self.impact_dt_s, self.impact_dt_s, self.impact_dt_s)
        rest = _Hump(2 * (total - j1) / self.contact_s, rise, rise, self.contact_s - rise)
        return _Sum((impact, rest))


@dataclass(frozen=True, kw_only=True)
class WalkLimb(_Foot):
    """One limb's walking footfall: two overlapping raised cosines, scaled to hold up the body weight.

    Attributes
    ----------
    contact_s : float
        Time from true touchdown to true toe-off, s.
    double_support_after_s : float
        How long before this toe-off the other foot touches down, s.
    first_peak, second_peak : float
        When the humps peak, as shares of the contact.
    overlap : float
        Half-width of each hump towards mid-stance, as a share of the contact: larger means a shallower
        valley.
    second_over_first : float
        Height of the second hump over that of the first. Not 1, so that the highest point is never a tie.
    brake_bw, propulsion_bw, ap_zero, mediolateral_bw, lateral_bw, ml_zero : float
    cop_x_m, cop_path_m, free_moment_nm : float
        As in `Limb`. By default the medial force outweighs the lateral one, as it does in walking; over a
        stride of equal limbs the two feet cancel.
    """

    contact_s: float = 0.68
    brake_bw: float = 0.18
    mediolateral_bw: float = 0.05
    lateral_bw: float | None = 0.02
    ml_zero: float = 0.12
    cop_x_m: float = 0.09
    cop_path_m: float = 0.22
    double_support_after_s: float = 0.13
    first_peak: float = 0.27
    second_peak: float = 0.75
    overlap: float = 0.40
    second_over_first: float = 1.04

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(
            self.double_support_after_s < self.contact_s,
            "WalkLimb: double support must be shorter than contact_s",
        )
        ordered = 0 < self.first_peak < self.second_peak < 1
        _require(ordered, "WalkLimb: 0 < first_peak < second_peak < 1 must hold")
        reach = min(1 - self.first_peak, self.second_peak)
        _require(
            0 < self.overlap <= reach,
            f"WalkLimb: overlap must be positive and at most {reach:g}, or humps leave the contact",
        )
        _require(self.second_over_first > 0, "WalkLimb: second_over_first must be positive")

    @property
    def step_s(self) -> float:
        """Time from this touchdown to the other foot's, s."""
        return self.contact_s - self.double_support_after_s

    def _vertical(self, mass_kg: float, g: float) -> _Load:
        tc, inner = self.contact_s, self.overlap * self.contact_s
        rise, fall = self.first_peak * tc, (1 - self.second_peak) * tc
        ratio = self.second_over_first
        first = 2 * mass_kg * g * self.step_s / (rise + inner + ratio * (inner + fall))
        return _Sum((_Hump(first, rise, rise, inner), _Hump(ratio * first, tc - fall, inner, fall)))


AnyLimb = Limb | WalkLimb

#: A left and a right limb on which definitions of the loading rate disagree in sign (metrics 8.3).
LEFT = Limb()
RIGHT = Limb(contact_s=0.24, impact_dv_m_s=1.3, impact_dt_s=0.027)
#: The walking footfall of either limb.
WALK = WalkLimb()


@dataclass(frozen=True)
class _Forces:
    fz: _Load
    fy: _Curve
    medial: _Curve


@lru_cache(maxsize=256)
def _forces(limb: AnyLimb, mass_kg: float, incline_deg: float) -> _Forces:
    """The force curves of a footfall, N, in the axes of the belt."""
    angle = math.radians(incline_deg)
    weight = mass_kg * STANDARD_GRAVITY
    fz = limb._vertical(mass_kg, STANDARD_GRAVITY * math.cos(angle))
    fy: _Curve = limb._braking(weight)
    if incline_deg:
        fy = _Tilted(fy, fz, math.tan(angle))
    return _Forces(fz, fy, limb._medial(weight))


def footfall_force(limb: AnyLimb, t: ArrayLike, mass_kg: float, g: float = STANDARD_GRAVITY) -> FloatArray:
    """Vertical force of one footfall on the level.

    Parameters
    ----------
    limb : Limb or WalkLimb
        The footfall.
    t : array_like
        Time since true touchdown, s; outside the contact the force is zero.
    mass_kg : float
        Body mass, kg.
    g : float
        Acceleration of free fall, m/s².

    Returns
    -------
    ndarray
        Force, N, in the shape of `t`.

    Examples
    --------
    >>> round(float(footfall_force(LEFT, 0.1175, 70.0)), 4)
    1756.7765
    """
    _check_mass(mass_kg)
    return limb._vertical(float(mass_kg), float(g)).value(np.asarray(t, dtype=np.float64))


def half_sine(
    t: ArrayLike, *, contact_s: float, flight_s: float, mass_kg: float, g: float = STANDARD_GRAVITY
) -> FloatArray:
    """Half-sine running step ``Fmax·sin(πt/tc)`` with ``Fmax = mg·(π/2)·(tf/tc + 1)`` (Morin et al. 2005).

    Parameters
    ----------
    t : array_like
        Time since touchdown, s.
    contact_s, flight_s : float
        Contact and flight time, s.
    mass_kg : float
        Body mass, kg.
    g : float
        Acceleration of free fall, m/s².

    Returns
    -------
    ndarray
        Force, N; no impact peak.

    Examples
    --------
    >>> round(float(half_sine(0.125, contact_s=0.25, flight_s=0.10, mass_kg=70.0)), 4)
    1509.6165
    """
    return footfall_force(
        Limb(contact_s=contact_s, flight_after_s=flight_s, shape="half_sine"), t, mass_kg, g
    )


def braking_force(limb: AnyLimb, t: ArrayLike, mass_kg: float) -> FloatArray:
    """Fore-aft force of one footfall on the level: braking (negative), then propulsion.

    Parameters
    ----------
    limb : Limb or WalkLimb
        The footfall.
    t : array_like
        Time since true touchdown, s.
    mass_kg : float
        Body mass, kg.

    Returns
    -------
    ndarray
        Force on the body, N, forward positive.
    """
    _check_mass(mass_kg)
    return limb._braking(float(mass_kg) * STANDARD_GRAVITY).value(np.asarray(t, dtype=np.float64))


# --------------------------------------------------------------------------------------------------
# Truth of one footfall: roots and integrals of the curves

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_SCAN = np.linspace(1e-12, 1 - 1e-12, 64)  # inset: each piece keeps its own second derivative at a joint


def _cuts(curve: _Curve, start: float, end: float) -> list[float]:
    """The limits of the smooth pieces of a curve between two times."""
    return [start, *(b for b in curve.breaks if start < b < end), end]


def _roots(function: Callable[[FloatArray], FloatArray], cuts: Sequence[float]) -> list[float]:
    """Where a piecewise smooth function changes sign inside its pieces."""

    def scalar(x: float) -> float:
        return float(function(np.asarray(x)))

    roots = []
    for a, b in pairwise(cuts):
        x = a + (b - a) * _SCAN
        y = function(x)
        roots += [float(exact) for exact in x[y == 0]]
        for k in np.flatnonzero(y[:-1] * y[1:] < 0):
            roots.append(float(brentq(scalar, x[k], x[k + 1], xtol=1e-15, rtol=1e-15)))
    return roots


def _quad(function: Callable[[FloatArray], FloatArray], cuts: Sequence[float]) -> float:
    """Gauss-Legendre quadrature over smooth pieces; exact to rounding for these curves."""
    total = 0.0
    for a, b in pairwise(cuts):
        half = 0.5 * (b - a)
        total += half * float(np.dot(_WEIGHTS, function(a + half * (1 + _NODES))))
    return total


def _at(function: Callable[[FloatArray], FloatArray], t: float) -> float:
    return float(function(np.asarray(t)))


def _extreme(curve: _Curve, start: float, end: float, sign: float) -> tuple[float, float]:
    """Time and value of the maximum (sign +1) or minimum (-1) of a curve between two times."""
    cuts = _cuts(curve, start, end)
    times = np.array([*cuts, *_roots(curve.slope, cuts)])
    values = curve.value(times)
    best = int(np.argmax(sign * values))
    return float(times[best]), float(values[best])


def _steepest(curve: _Curve, start: float, end: float, sign: float = 1.0) -> float:
    """The largest (sign +1) or smallest (-1) slope of a curve between two times."""
    cuts = _cuts(curve, start, end)
    times = np.array([*cuts, *_roots(curve.curvature, cuts)])
    return sign * float(np.max(sign * curve.slope(times)))


def _sign_parts(curve: _Curve, start: float, end: float) -> tuple[float, float]:
    """Integrals of the negative and of the positive part of a curve."""
    cuts = sorted([*_cuts(curve, start, end), *_roots(curve.value, _cuts(curve, start, end))])
    pieces = [_quad(curve.value, [a, b]) for a, b in pairwise(cuts)]
    return sum(p for p in pieces if p < 0), sum(p for p in pieces if p > 0)


def _impact_peak(fz: _Load, t_on: float, t_off: float, prominence_n: float) -> float | None:
    """Time of the first local maximum in the impact window that stands out (metrics 2.1), or None."""
    duration = t_off - t_on
    turns = _roots(fz.slope, _cuts(fz, t_on, t_off))
    # A curve may also turn exactly at a joint of its pieces
    step = 1e-7
    turns += [
        b for b in fz.breaks if t_on < b < t_off and _at(fz.slope, b - step) * _at(fz.slope, b + step) < 0
    ]
    turns.sort()
    until = t_on + min(_IP_UNTIL_SHARE * duration, _IP_UNTIL_S)
    for k, t in enumerate(turns[:-1]):
        is_peak = _at(fz.slope, t - step) > 0
        if is_peak and t_on + _IP_FROM_S <= t <= until:
            peak, dip = _at(fz.value, t), _at(fz.value, turns[k + 1])
            if peak - dip >= prominence_n:
                return t
    return None


def _zero_ap(fy: _Curve, t_brake: float, t_prop: float) -> float:
    """The last change from braking to propulsion between their peaks; NaN where there is none."""
    if not t_brake < t_prop:
        return math.nan
    cuts = _cuts(fy, t_brake, t_prop)
    crossings = _roots(fy.value, cuts)
    step = 1e-7
    crossings += [b for b in cuts[1:-1] if _at(fy.value, b - step) < 0 < _at(fy.value, b + step)]
    return max(crossings, default=math.nan)


def _rate(fz: _Load, a: float, b: float) -> float:
    return (_at(fz.value, b) - _at(fz.value, a)) / (b - a)


def _first_reach(fz: _Load, t_on: float, t_peak: float, force_n: float) -> float:
    """When the force first reaches a level on the way to a peak; touchdown if it starts above it."""
    crossings = _roots(lambda t: fz.value(t) - force_n, _cuts(fz, t_on, t_peak))
    return min(crossings, default=t_on)


def _loading_rates(fz: _Load, t_on: float, tc: float, t_ip: float | None) -> dict[str, float]:
    """Average and instantaneous loading rates, N/s (metrics 2.2 and 2.3)."""
    poi = _POI_SHARE * tc
    out = {
        "valr_3_12": _rate(fz, t_on + 0.03 * tc, t_on + 0.12 * tc),
        "valr_0_13": _rate(fz, t_on, t_on + poi),
        "valr_2080_poi13": _rate(fz, t_on + 0.2 * poi, t_on + 0.8 * poi),
        "valr_0_50ms": _rate(fz, t_on, t_on + 0.05),
        "vilr_50ms": _steepest(fz, t_on, t_on + 0.05),
        "vilr_13": _steepest(fz, t_on, t_on + poi),
        "valr_0_100": math.nan,
        "valr_2080t": math.nan,
        "valr_2080f": math.nan,
        "vilr_ip": math.nan,
    }
    if t_ip is None:
        return out
    rise, peak = t_ip - t_on, _at(fz.value, t_ip)
    a, b = (_first_reach(fz, t_on, t_ip, share * peak) for share in (0.2, 0.8))
    out["valr_0_100"] = _rate(fz, t_on, t_ip)
    out["valr_2080t"] = _rate(fz, t_on + 0.2 * rise, t_on + 0.8 * rise)
    out["valr_2080f"] = _rate(fz, a, b)
    out["vilr_ip"] = _steepest(fz, t_on, t_ip)
    return out


def _horizontal_truth(forces: _Forces, t_on: float, t_off: float) -> dict[str, float]:
    """Impulses (N·s), peaks (N), braking loading rate (N/s) and the change from braking to propulsion (%)."""
    fy = forces.fy
    brake, prop = _sign_parts(fy, t_on, t_off)
    lateral, medial = _sign_parts(forces.medial, t_on, t_off)
    t_brake, peak_brake = _extreme(fy, t_on, t_off, -1.0)
    t_prop, peak_prop = _extreme(fy, t_on, t_off, 1.0)
    return {
        "imp_brake": brake,
        "imp_prop": prop,
        "imp_ap_net": brake + prop,
        "imp_med": medial,
        "imp_lat": lateral,
        "peak_brake": peak_brake,
        "peak_prop": peak_prop,
        "blr": _steepest(fy, t_on, t_brake, -1.0) if t_brake > t_on else math.nan,
        "t_zero_ap": 100 * (_zero_ap(fy, t_brake, t_prop) - t_on) / (t_off - t_on),
    }


_UNSCALED = {"onset", "offset", "t_impact", "t_active", "t_zero_ap"}


@lru_cache(maxsize=4096)
def _footfall_truth(limb: AnyLimb, mass_kg: float, incline_deg: float, level_n: float) -> dict[str, float]:
    """What one footfall alone determines; forces over body weight, times in s since true touchdown."""
    forces = _forces(limb, mass_kg, incline_deg)
    fz, weight = forces.fz, mass_kg * STANDARD_GRAVITY
    crossings = _roots(lambda t: fz.value(t) - level_n, _cuts(fz, 0.0, limb.contact_s))
    _require(
        len(crossings) >= 2, f"level_n={level_n:g}: a footfall of {mass_kg:g} kg does not cross this level"
    )
    t_on, t_off = crossings[0], crossings[-1]
    tc = t_off - t_on
    t_ip = _impact_peak(fz, t_on, t_off, _IP_PROMINENCE_BW * weight)
    t_active, active = _extreme(fz, t_on + _IP_UNTIL_SHARE * tc if t_ip is None else t_ip, t_off, 1.0)
    truth = {
        "onset": t_on,
        "offset": t_off,
        "t_impact": math.nan if t_ip is None else t_ip - t_on,
        "t_active": t_active - t_on,
        "peak_impact": math.nan if t_ip is None else _at(fz.value, t_ip),
        "peak_active": active,
        "imp_v": _at(fz.integral, t_off) - _at(fz.integral, t_on),
        **_loading_rates(fz, t_on, tc, t_ip),
        **_horizontal_truth(forces, t_on, t_off),
    }
    truth["imp_v_net"] = truth["imp_v"] - weight * tc
    return {name: value if name in _UNSCALED else value / weight for name, value in truth.items()}


@lru_cache(maxsize=4096)
def _oscillation(
    limb: Limb, after: Limb, mass_kg: float, incline_deg: float, level_n: float
) -> tuple[float, float]:
    """Vertical oscillation over a running step (m) and drop from touchdown to the lowest point (m).

    The height over the stride that starts here is the double integral of ``F/m − g`` with the starting
    velocity that brings it back to where it started (metrics 4.1).
    """
    g = STANDARD_GRAVITY * math.cos(math.radians(incline_deg))
    one, two = (_forces(x, mass_kg, incline_deg).fz for x in (limb, after))
    shift, stride = limb.step_s, limb.step_s + after.step_s

    def fallen(t: FloatArray) -> FloatArray:
        return (one.double_integral(t) + two.double_integral(t - shift)) / mass_kg - 0.5 * g * t**2

    start = -_at(fallen, stride) / stride

    def height(t: FloatArray) -> FloatArray:
        return fallen(t) + start * t

    def velocity(t: FloatArray) -> FloatArray:
        return (one.integral(t) + two.integral(t - shift)) / mass_kg - g * t + start

    t_on = _footfall_truth(limb, mass_kg, incline_deg, level_n)["onset"]
    t_next = shift + _footfall_truth(after, mass_kg, incline_deg, level_n)["onset"]
    cuts = [t_on, limb.contact_s, *([shift] if shift > limb.contact_s else []), t_next]
    extremes = height(np.array([t_on, t_next, *_roots(velocity, cuts)]))
    return float(np.ptp(extremes)), float(extremes[0] - extremes.min())


# --------------------------------------------------------------------------------------------------
# The treadmill


@dataclass(frozen=True)
class Drift:
    """What a belt reads without load: ``constant + linear·t/duration + sine·sin(2πt/period)``, in N of Fz.

    The other channels drift by their `CHANNEL_SHARE`, each with another phase of the sine.

    Attributes
    ----------
    linear_n : float
        Rise over the whole record, N.
    sine_n, sine_period_s : float
        Amplitude (N) and period (s) of the slow wave.
    constant_n : float
        Offset, N.
    """

    linear_n: float = 0.0
    sine_n: float = 0.0
    sine_period_s: float = 20.0
    constant_n: float = 0.0

    def __post_init__(self) -> None:
        _check_numbers("Drift", vars(self), positive=("sine_period_s",), not_negative=())

    def value(self, t: FloatArray, duration_s: float, channel: str = "Fz") -> FloatArray:
        """The drift of a channel at times `t` (s) of a record of `duration_s`, in N or N·m."""
        k = CHANNELS.index(channel)
        phase = 2 * np.pi * (k - CHANNELS.index("Fz")) / len(CHANNELS)
        wave = self.sine_n * np.sin(2 * np.pi / self.sine_period_s * t + phase)
        return CHANNEL_SHARE[channel] * (self.constant_n + self.linear_n / duration_s * t + wave)

    @property
    def is_zero(self) -> bool:
        """Whether it changes nothing."""
        return self.constant_n == self.linear_n == self.sine_n == 0.0


@dataclass(frozen=True)
class Footfall:
    """One true footfall.

    Attributes
    ----------
    index : int
        Which footfall of the record, from 0; the missed ones count.
    side : {"L", "R"}
        Which foot.
    t0, t1 : float
        True touchdown and toe-off, where the force leaves and returns to zero, s of the record.
    limb : Limb or WalkLimb
        Its parameters, with the variation from step to step.
    cop_x_m : float
        Force-weighted lateral centre of pressure, m in the lab.
    crossover, missed : bool
        Whether it lands (partly) on the other belt; whether it leaves no force in the record.
    cop_y_m : float
        Overground: where the middle of its way of the centre of pressure lies along the walkway, m.
    plates : tuple of int
        Overground: the plates that it loads.
    """

    index: int
    side: Side
    t0: float
    t1: float
    limb: AnyLimb
    cop_x_m: float
    crossover: bool = False
    missed: bool = False
    cop_y_m: float = 0.0
    plates: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Simulation:
    """A simulated recording and what is true of it.

    Attributes
    ----------
    trial : Trial
        What the treadmill recorded: two belts (left, right), or one plate.
    gait : {"run", "walk"}
        The gait.
    mass_kg, speed_m_s, incline_deg : float
        Body mass, belt speed and incline (uphill positive).
    left, right : Limb or WalkLimb
        The limbs, before variation from step to step.
    steps : tuple of Footfall
        Every true footfall, in order, missed ones included.
    drift : tuple of Drift
        What was added, one a plate.
    seed : int
        Seed of noise and variation.
    """

    trial: Trial
    gait: str
    mass_kg: float
    speed_m_s: float
    incline_deg: float
    left: AnyLimb
    right: AnyLimb
    steps: tuple[Footfall, ...]
    drift: tuple[Drift, ...]
    seed: int

    @property
    def rate_hz(self) -> float:
        """Frames per second."""
        return self.trial.rate_hz

    @property
    def wrenches(self) -> tuple[FloatArray, ...]:
        """An (n_frames, 6) array a plate: Fx Fy Fz Mx My Mz, N and N·m about its origin; read-only."""
        return tuple(plate.wrench for plate in self.trial.plates)

    def baseline(self, plate: int = 0, channel: str = "Fz") -> FloatArray:
        """The true drift of one channel at every frame, N or N·m."""
        _require(channel in CHANNELS, f"channel={channel!r}: channels are {', '.join(CHANNELS)}")
        t = np.arange(len(self.trial)) / self.rate_hz
        return self.drift[plate].value(t, self.trial.duration_s, channel)

    def truth(self, level_n: float = 20.0) -> dict[str, NDArray[Any]]:
        """True events and metrics: one array a column, one row a footfall that left force in the record.

        Parameters
        ----------
        level_n : float
            Vertical force that defines touchdown and toe-off, N.

        Returns
        -------
        dict of str to ndarray
            ``step`` (index into `steps`), ``side``, ``crossover``, and metrics under the names and in the
            units of a step table: s, m, BW, BW·s, BW/s, kN/m, % (``t_zero_ap``). ``t_on`` and ``t_off`` are s
            of the record, ``t_impact`` and ``t_active`` s after ``t_on``. ``vilr`` ends at the impact peak
            where both limbs have one in 80 % of their footfalls, otherwise at 13 % of the contact, in all
            footfalls alike. NaN: no impact peak; or a time that needs a later footfall, where that is missed
            or after the end. Double integrals (``vo``, ``k_vert``) are given for running only.

        Raises
        ------
        DataError
            If a footfall does not cross the level.
        """
        level = _number("level_n", level_n)
        _require(level > 0, f"level_n={level:g} must be positive: the true force is never negative")
        rows = [_footfall_truth(f.limb, self.mass_kg, self.incline_deg, level) for f in self.steps]
        table = {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}
        t0 = np.array([f.t0 for f in self.steps])
        out: dict[str, NDArray[Any]] = {
            "step": np.arange(len(rows)),
            "side": np.array([f.side for f in self.steps], dtype="<U1"),
            "crossover": np.array([f.crossover for f in self.steps], dtype=bool),
            "t_on": t0 + table.pop("onset"),
            "t_off": t0 + table.pop("offset"),
        }
        out.update(self._timing(out["t_on"], out["t_off"]))
        out.update(table)
        out["cop_x"] = np.array([f.cop_x_m for f in self.steps])
        out["vilr"] = _choose_vilr(out)
        out["vo"], out["k_vert"] = self._spring(level, out["peak_active"])
        kept = np.array([not f.missed for f in self.steps])
        return {name: column[kept] for name, column in out.items()}

    def _seen(self, index: int) -> bool:
        return index < len(self.steps) and not self.steps[index].missed

    def _timing(self, t_on: FloatArray, t_off: FloatArray) -> dict[str, FloatArray]:
        """Contact, flight, step time and duty factor; NaN where the record lacks the later event."""
        count = len(t_on)
        tf, t_step, duty = (np.full(count, np.nan) for _ in range(3))
        for i in range(count):
            if self._seen(i + 1):
                tf[i] = t_on[i + 1] - t_off[i]
                t_step[i] = t_on[i + 1] - t_on[i]
            if self._seen(i + 2):
                duty[i] = (t_off[i] - t_on[i]) / (t_on[i + 2] - t_on[i])
        return {"tc": t_off - t_on, "tf": tf, "t_step": t_step, "duty": duty}

    def _spring(self, level_n: float, peak_bw: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Vertical oscillation, m, and vertical stiffness, kN/m: peak force over the drop during contact."""
        vo, k_vert = np.full(len(peak_bw), np.nan), np.full(len(peak_bw), np.nan)
        for i in range(len(peak_bw) - 1):
            limb, after = self.steps[i].limb, self.steps[i + 1].limb
            if self._seen(i + 1) and isinstance(limb, Limb) and isinstance(after, Limb):
                vo[i], drop = _oscillation(limb, after, self.mass_kg, self.incline_deg, level_n)
                k_vert[i] = peak_bw[i] * self.mass_kg * STANDARD_GRAVITY / drop / 1000
        return vo, k_vert

    def limb_means(self, level_n: float = 20.0) -> dict[str, tuple[float, float]]:
        """True mean of every metric: (left, right), over the footfalls that have it; NaN if none has."""
        table = self.truth(level_n)
        sides = table["side"]
        labels = ("step", "side", "crossover", "t_on", "t_off")
        return {
            name: (_mean(column[sides == "L"]), _mean(column[sides == "R"]))
            for name, column in table.items()
            if name not in labels
        }

    def true_si(self, metric: str, level_n: float = 20.0) -> float:
        """True symmetry index, %: ``100·(L − R)/(½(L + R))`` of the limb means; positive = left larger."""
        means = self.limb_means(level_n)
        _require(metric in means, f"metric={metric!r}: the truth holds {', '.join(means)}")
        left, right = means[metric]
        return 200 * (left - right) / (left + right) if left + right else math.nan


def _mean(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan


def _choose_vilr(table: dict[str, NDArray[Any]]) -> FloatArray:
    """One end point for all footfalls (metrics 2.1): rules that differ between limbs fake an asymmetry."""
    to_peak, to_share = table.pop("vilr_ip"), table.pop("vilr_13")
    has_peak, sides = np.isfinite(to_peak), table["side"]
    both = all(
        np.mean(has_peak[sides == side]) >= _IP_FRACTION for side in ("L", "R") if np.any(sides == side)
    )
    chosen: FloatArray = to_peak if both else to_share
    return chosen


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}={value!r} must be a number") from error
    _require(math.isfinite(number), f"{name}={value!r} must be finite")
    return number


def _check_mass(mass_kg: float) -> float:
    mass = _number("mass_kg", mass_kg)
    _require(mass > 0, f"mass_kg={mass:g} must be positive")
    return mass


def _indices(name: str, values: Sequence[int], count: int) -> frozenset[int]:
    _require(
        all(isinstance(v, (int, np.integer)) for v in values), f"{name}={values!r} must be whole numbers"
    )
    chosen = frozenset(int(v) for v in values)
    bad = sorted(v for v in chosen if not 0 <= v < count)
    _require(not bad, f"{name}: there is no footfall {bad}, the record has footfalls 0 to {count - 1}")
    return chosen


def _drifts(drift_n: Any, count: int) -> tuple[Drift, ...]:
    """One Drift a plate, from a Drift or an offset for all, or from one for each."""
    given = drift_n if isinstance(drift_n, (tuple, list)) else (drift_n,) * count
    _require(
        len(given) == count,
        f"drift_n: {len(given)} given for {count} plates; give one for all, or one for each",
    )
    return tuple(d if isinstance(d, Drift) else Drift(constant_n=_number("drift_n", d)) for d in given)


def _vary(limb: AnyLimb, cv: float, rng: np.random.Generator) -> AnyLimb:
    """The limb of one step: durations, impact, fore-aft force and foot position each times 1 ± cv."""
    contact, gap, impact, ap, foot = 1 + cv * np.clip(
        rng.standard_normal(5), -_MOST_DEVIATIONS, _MOST_DEVIATIONS
    )
    common = {
        "contact_s": limb.contact_s * contact,
        "brake_bw": limb.brake_bw * ap,
        "propulsion_bw": None if limb.propulsion_bw is None else limb.propulsion_bw * ap,
        "cop_x_m": limb.cop_x_m * foot,
    }
    if isinstance(limb, Limb):
        own = {"flight_after_s": limb.flight_after_s * gap, "impact_dv_m_s": limb.impact_dv_m_s * impact}
        return replace(limb, **common, **own)
    return replace(limb, **common, double_support_after_s=limb.double_support_after_s * gap)


def _schedule(
    limbs: dict[Side, AnyLimb],
    first: Side,
    start_s: float,
    until_s: float | None,
    n_steps: int | None,
    cv: float,
    rng: np.random.Generator,
) -> list[tuple[Side, float, AnyLimb]]:
    """Side, true touchdown and limb of every footfall that the record holds whole."""
    steps: list[tuple[Side, float, AnyLimb]] = []
    endless = _footfalls(limbs, first, start_s, cv, rng)
    while n_steps is None or len(steps) < n_steps:
        side, t, limb = next(endless)
        if until_s is not None and t + limb.contact_s > until_s:
            break
        steps.append((side, t, limb))
    return steps


def _footfalls(
    limbs: dict[Side, AnyLimb], first: Side, start_s: float, cv: float, rng: np.random.Generator
) -> Iterator[tuple[Side, float, AnyLimb]]:
    """Side, true touchdown and limb of one footfall after the other, without end."""
    side, t = first, start_s
    while True:
        limb = _vary(limbs[side], cv, rng) if cv else limbs[side]
        yield side, t, limb
        side, t = "R" if side == "L" else "L", t + limb.step_s


def _places(side: Side, cop_x_m: float, wander_m: float, crossed: float) -> list[tuple[Side, float, float]]:
    """Where a footfall's force goes: belt, share of the force, lateral position in the lab."""
    sign = -1.0 if side == "L" else 1.0
    if not crossed:
        x = sign * cop_x_m + wander_m
        belt: Side = side if x == 0 else ("L" if x < 0 else "R")
        return [(belt, 1.0, x)]
    # A straddling foot is held by the gap, not by the runner's wander: each part must stay on its belt
    other: Side = "R" if side == "L" else "L"
    places: list[tuple[Side, float, float]] = [(other, crossed, -sign * _CROSSOVER_OTHER_M)]
    if crossed < 1:
        places.append((side, 1 - crossed, sign * _CROSSOVER_OWN_M))
    return places


def _write_footfall(
    buffers: Sequence[FloatArray],
    origins: FloatArray,
    rate_hz: float,
    footfall: Footfall,
    forces: _Forces,
    speed_m_s: float,
    places: Sequence[tuple[int, float, float]],
    base: int = 0,
) -> None:
    """Add one footfall's wrench to the frames it covers; `base` is the frame that the buffers begin with."""
    limb = footfall.limb
    first = math.ceil(footfall.t0 * rate_hz)
    last = min(math.floor(footfall.t1 * rate_hz) + 1, base + len(buffers[0]))
    t = np.arange(first, last) / rate_hz - footfall.t0
    mirror = 1.0 if footfall.side == "L" else -1.0  # medial is to the right for the left foot
    force = _force_of(limb, forces, mirror, t)
    share_of_contact = t / limb.contact_s
    # The belt carries the foot backwards while the pressure rolls forwards; the visit is centred on the belt
    travel = speed_m_s * limb.contact_s - limb.cop_path_m
    y = travel * (0.5 - share_of_contact)
    for plate, share, x in places:
        part = buffers[plate][first - base : last - base]
        _add_force(part, force, share, x - origins[plate, 0], y - origins[plate, 1])


def _force_of(
    limb: AnyLimb, forces: _Forces, mirror: float, t: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Fx, Fy, Fz and free moment of a footfall at times since touchdown; `mirror` is 1 for the left foot."""
    free = mirror * limb.free_moment_nm * np.sin(np.pi * np.clip(t / limb.contact_s, 0.0, 1.0))
    return mirror * forces.medial.value(t), forces.fy.value(t), forces.fz.value(t), free


def _add_force(
    w: FloatArray,
    force: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    share: float | FloatArray,
    dx: float,
    dy: FloatArray,
) -> None:
    """Add a share of a force, at a place as seen from the plate's origin, to the plate's frames."""
    fx, fy, fz, free = force
    w[:, 0] += share * fx
    w[:, 1] += share * fy
    w[:, 2] += share * fz
    w[:, 3] += share * dy * fz
    w[:, 4] -= share * dx * fz
    w[:, 5] += share * (dx * fy - dy * fx + free)


def _disturb(
    wrench: FloatArray,
    rate_hz: float,
    drift: Drift,
    noise_n: float,
    hum_n: float,
    hum_hz: float,
    rng: np.random.Generator,
    base: int = 0,
) -> None:
    """Add drift, mains hum and noise, a chunk of frames at a time; `base` is the number of the first frame."""
    shares = np.array([CHANNEL_SHARE[name] for name in CHANNELS])
    duration = len(wrench) / rate_hz
    for start in range(0, len(wrench), _CHUNK):
        part = wrench[start : start + _CHUNK]
        t = np.arange(base + start, base + start + len(part)) / rate_hz
        if noise_n:
            part += noise_n * shares * rng.standard_normal(part.shape)
        if hum_n:
            part += np.sin(2 * np.pi * hum_hz * t)[:, None] * (hum_n * shares)
        if not drift.is_zero:
            for k, name in enumerate(CHANNELS):
                part[:, k] += drift.value(t, duration, name)


def _corners(x0: float, x1: float) -> FloatArray:
    half = _BELT_LENGTH_M / 2
    return np.array([[x0, half, 0.0], [x1, half, 0.0], [x1, -half, 0.0], [x0, -half, 0.0]])


def _make_trial(buffers: Sequence[FloatArray], rate_hz: float, origins: FloatArray, note: str) -> Trial:
    split = len(buffers) == 2
    edge = _BELT_WIDTH_M
    return Trial.from_wrenches(
        buffers,
        rate_hz=rate_hz,
        sides=["L", "R"] if split else ["?"],
        names=["left belt", "right belt"] if split else ["treadmill"],
        origins_m=origins,
        corners_m=[_corners(-edge, 0.0), _corners(0.0, edge)] if split else [_corners(-edge, edge)],
        axes=("x", "y", "z"),
        notes=(note,),
    )


def _check_choices(first_side: str, belts: str, seed: Any) -> None:
    _require(first_side in ("L", "R"), f"first_side={first_side!r}: it is 'L' or 'R'")
    _require(belts in ("split", "single"), f"belts={belts!r}: it is 'split' or 'single'")
    whole = isinstance(seed, (int, np.integer)) and bool(seed >= 0)
    _require(whole, f"seed={seed!r} must be a whole number, not negative")


def _check_amounts(positive: dict[str, Any], not_negative: dict[str, Any]) -> None:
    for name, value in positive.items():
        _require(_number(name, value) > 0, f"{name}={value:g} must be positive")
    for name, value in not_negative.items():
        _require(_number(name, value) >= 0, f"{name}={value:g} must not be negative")


def _length(duration_s: float | None, n_steps: int | None) -> float | None:
    """Length of the record, s, or None where the number of footfalls decides."""
    if n_steps is None:
        length = _number("duration_s", 30.0 if duration_s is None else duration_s)
        _require(length > 0, f"duration_s={length:g} must be positive")
        return length
    _require(duration_s is None, "give duration_s or n_steps, not both")
    whole = isinstance(n_steps, (int, np.integer)) and n_steps >= 1
    _require(whole, f"n_steps={n_steps!r} must be a whole number of at least 1")
    return None


def _limbs(gait: str, left: AnyLimb | None, right: AnyLimb | None) -> dict[Side, AnyLimb]:
    _require(gait in ("run", "walk"), f"gait={gait!r}: it is 'run' or 'walk'")
    kind: type[AnyLimb] = Limb if gait == "run" else WalkLimb
    chosen: dict[Side, AnyLimb] = {
        "L": left if left is not None else (LEFT if gait == "run" else WALK),
        "R": right if right is not None else (RIGHT if gait == "run" else WALK),
    }
    for limb in chosen.values():
        _require(
            isinstance(limb, kind),
            f"gait={gait!r} needs limbs of type {kind.__name__}, not {type(limb).__name__}",
        )
    # A foot must be off its belt again before it lands there, or its two contacts would run together
    stride = chosen["L"].step_s + chosen["R"].step_s
    for foot, limb in chosen.items():
        _require(
            limb.contact_s < stride,
            f"the {foot} foot never leaves its belt: contact_s must be below {stride:g}",
        )
    return chosen


def treadmill(
    gait: str = "run",
    *,
    duration_s: float | None = None,
    n_steps: int | None = None,
    rate_hz: float = 1000.0,
    mass_kg: float = 70.0,
    speed_m_s: float | None = None,
    left: AnyLimb | None = None,
    right: AnyLimb | None = None,
    first_side: str = "L",
    belts: str = "split",
    noise_n: float = 0.0,
    hum_n: float = 0.0,
    hum_hz: float = 50.0,
    drift_n: Drift | float | Sequence[Drift | float] = 0.0,
    crossovers: Sequence[int] = (),
    crossover_share: float | None = None,
    missed: Sequence[int] = (),
    step_jitter: float = 0.0,
    wander_m: float = 0.0,
    wander_period_s: float = 15.0,
    start_s: float = 0.5,
    phase_s: float = 0.0,
    incline_deg: float = 0.0,
    seed: int = 0,
) -> Simulation:
    """Simulate walking or running on an instrumented treadmill.

    Parameters
    ----------
    gait : {"run", "walk"}
        The gait.
    duration_s : float, optional
        Length of the record, s (default 30). It holds whole footfalls only and ends unloaded.
    n_steps : int, optional
        Number of footfalls, instead of `duration_s`.
    rate_hz : float
        Frames per second, at least 100. Frame ``i`` is the instant ``i/rate_hz``.
    mass_kg, speed_m_s : float
        Body mass (kg) and belt speed (m/s; default 3.0 running, 1.3 walking). The speed moves the feet with
        the belt; it does not change the limbs.
    left, right : Limb or WalkLimb, optional
        The limbs; default `LEFT` and `RIGHT`, or `WALK`.
    first_side : {"L", "R"}
        Which foot lands first.
    belts : {"split", "single"}
        Two belts side by side with the gap at x = 0, or one plate.
    noise_n : float
        Standard deviation of white noise of Fz on each plate, N; other channels by `CHANNEL_SHARE`.
    hum_n, hum_hz : float
        Amplitude of mains hum of Fz (N), other channels by `CHANNEL_SHARE`, and its frequency (Hz).
    drift_n : Drift or float, or one for each plate
        Drift of the unloaded reading; a number is a constant offset in N, as in ``(15.0, -15.0)``.
    crossovers : sequence of int
        Footfalls that land on the other belt, wholly or by `crossover_share`.
    crossover_share : float, optional
        Share of a crossover's force that goes to the other belt; default 1 running, 0.3 walking.
    missed : sequence of int
        Footfalls beside the belts, which leave no force; the body goes on as if they had.
    step_jitter : float
        Coefficient of variation, from step to step, of contact time, flight or double support, impact
        velocity, fore-aft force and foot position, independent of each other and cut at three deviations.
    wander_m, wander_period_s : float
        Amplitude (m) and period (s) of a slow drift of the runner from side to side. A foot that it carries
        over the gap lands on the other belt, which is a crossover.
    start_s : float
        Unloaded time before the first footfall and, at least, after the last, s.
    phase_s : float
        Added to the first touchdown, so that a test can scan where frames fall inside a footfall, s.
    incline_deg : float
        Incline, uphill positive. Axes go with the belt: mean Fy is ``mg·sin``, mean Fz ``mg·cos``.
    seed : int
        The same seed gives the same bits.

    Returns
    -------
    Simulation
        The trial and its truth.

    Raises
    ------
    DataError
        A parameter that makes no sense, or a record too short for a single footfall.

    Examples
    --------
    >>> sim = treadmill(n_steps=80, noise_n=3.0, seed=42)
    >>> round(sim.true_si("valr_2080t"), 2), round(sim.true_si("valr_3_12"), 2)
    (24.67, -4.47)
    """
    chosen = _limbs(gait, left, right)
    _check_choices(first_side, belts, seed)
    run, split = gait == "run", belts == "split"
    mass, rate = _check_mass(mass_kg), _number("rate_hz", rate_hz)
    incline = _number("incline_deg", incline_deg)
    speed = _number("speed_m_s", (3.0 if run else 1.3) if speed_m_s is None else speed_m_s)
    share = _number("crossover_share", (1.0 if run else 0.3) if crossover_share is None else crossover_share)
    _check_amounts(
        positive={"wander_period_s": wander_period_s, "hum_hz": hum_hz, "crossover_share": share},
        not_negative={
            "noise_n": noise_n,
            "hum_n": hum_n,
            "step_jitter": step_jitter,
            "start_s": start_s,
            "phase_s": phase_s,
            "speed_m_s": speed,
            "wander_m": wander_m,
        },
    )
    _require(rate >= _MIN_RATE_HZ, f"rate_hz={rate:g}: below {_MIN_RATE_HZ:g} Hz a footfall can't be drawn")
    _require(share <= 1, f"crossover_share={share:g} must be at most 1")
    _require(abs(incline) <= 45, f"incline_deg={incline:g}: at most 45 degrees either way")
    _require(step_jitter <= 0.2, f"step_jitter={step_jitter:g}: at most 0.2, or steps become impossible")
    drifts = _drifts(drift_n, 2 if split else 1)
    # One stream for each purpose: noise on one belt stays the same whatever else is switched on
    seeds = np.random.SeedSequence(int(seed)).spawn(1 + len(drifts))
    step_rng, *noise_rngs = (np.random.Generator(np.random.PCG64(s)) for s in seeds)

    length = _length(duration_s, n_steps)
    until = None if length is None else length - start_s
    first: Side = "L" if first_side == "L" else "R"
    steps = _schedule(chosen, first, start_s + phase_s, until, n_steps, float(step_jitter), step_rng)
    _require(bool(steps), f"a record of {length} s is too short: a footfall needs {start_s:g} s around it")
    if length is None:
        length = max(t + limb.contact_s for _, t, limb in steps) + start_s
    crossed, lost = _indices("crossovers", crossovers, len(steps)), _indices("missed", missed, len(steps))

    buffers = [np.zeros((math.ceil(length * rate - 1e-9), 6)) for _ in drifts]
    origins = _SPLIT_ORIGINS if split else np.zeros((1, 3))
    footfalls = []
    for index, (side, t0, limb) in enumerate(steps):
        wander = wander_m * math.sin(2 * math.pi * t0 / wander_period_s)
        places = _places(side, limb.cop_x_m, wander, share if index in crossed else 0.0)
        x = sum(part * place for _, part, place in places)
        strayed = index in crossed or (split and places[0][0] != side)
        footfall = Footfall(index, side, t0, t0 + limb.contact_s, limb, x, strayed, index in lost)
        footfalls.append(footfall)
        if not footfall.missed:
            onto = [(int(split and belt == "R"), part, place) for belt, part, place in places]
            _write_footfall(buffers, origins, rate, footfall, _forces(limb, mass, incline), speed, onto)
    for buffer, drift, rng in zip(buffers, drifts, noise_rngs, strict=True):
        _disturb(buffer, rate, drift, float(noise_n), float(hum_n), float(hum_hz), rng)
    trial = _make_trial(buffers, rate, origins, f"simulated: {gait}, seed {int(seed)}")
    return Simulation(
        trial, gait, mass, speed, incline, chosen["L"], chosen["R"], tuple(footfalls), drifts, int(seed)
    )


class Endless:
    """A treadmill signal that goes on for ever in bounded memory; what the simulated device plays.

    Its frames are those of :func:`treadmill` with the same options and any `duration_s`, bit by bit, except that a
    record ends unloaded: the footfalls that it does not hold whole are here.

    Parameters
    ----------
    gait, rate_hz, mass_kg, speed_m_s, left, right, first_side, belts, noise_n, hum_n, hum_hz, drift_n, step_jitter, \
start_s, incline_deg, seed
        As in :func:`treadmill`; a drift must not be linear, which would need an end.

    Attributes
    ----------
    layout : Layout
        The belts.
    rate_hz, speed_m_s : float
        Frames per second, and the speed of the belts.

    Raises
    ------
    DataError
        A parameter that makes no sense.

    Examples
    --------
    >>> stream = Endless(noise_n=3.0, seed=42)
    >>> stream.block().shape
    (4096, 12)
    """

    #: Frames that :meth:`block` gives.
    BLOCK = 4096

    def __init__(
        self,
        gait: str = "run",
        *,
        rate_hz: float = 1000.0,
        mass_kg: float = 70.0,
        speed_m_s: float | None = None,
        left: AnyLimb | None = None,
        right: AnyLimb | None = None,
        first_side: str = "L",
        belts: str = "split",
        noise_n: float = 0.0,
        hum_n: float = 0.0,
        hum_hz: float = 50.0,
        drift_n: Drift | float | Sequence[Drift | float] = 0.0,
        step_jitter: float = 0.0,
        start_s: float = 0.5,
        incline_deg: float = 0.0,
        seed: int = 0,
    ) -> None:
        # A short record checks the options and fills in what they leave open.
        short = treadmill(
            gait,
            n_steps=2,
            rate_hz=rate_hz,
            mass_kg=mass_kg,
            speed_m_s=speed_m_s,
            left=left,
            right=right,
            first_side=first_side,
            belts=belts,
            noise_n=noise_n,
            hum_n=hum_n,
            hum_hz=hum_hz,
            drift_n=drift_n,
            step_jitter=step_jitter,
            start_s=start_s,
            incline_deg=incline_deg,
            seed=seed,
        )
        _require(
            all(d.linear_n == 0 for d in short.drift), "drift_n: a signal without end can't drift linearly"
        )
        self.layout: Layout = short.trial.layout
        self.rate_hz, self.speed_m_s = short.rate_hz, short.speed_m_s
        self._short = short
        self._noise = (float(noise_n), float(hum_n), float(hum_hz))
        self._split = belts == "split"
        seeds = np.random.SeedSequence(int(seed)).spawn(1 + len(self.layout))
        step_rng, *self._noise_rngs = (np.random.Generator(np.random.PCG64(s)) for s in seeds)
        limbs: dict[Side, AnyLimb] = {"L": short.left, "R": short.right}
        first: Side = "L" if first_side == "L" else "R"
        self._footfalls = _footfalls(limbs, first, float(start_s), float(step_jitter), step_rng)
        self._next = next(self._footfalls)
        longest = max(limb.contact_s for limb in limbs.values()) * (1 + _MOST_DEVIATIONS * step_jitter)
        self._base = 0
        room = self.BLOCK + math.ceil(longest * self.rate_hz) + 1
        self._buffers = [np.zeros((room, 6)) for _ in range(len(self.layout))]

    def block(self) -> FloatArray:
        """The next frames.

        Returns
        -------
        ndarray (BLOCK, 6 n_plates)
            Fx Fy Fz Mx My Mz of each plate, N and N·m.
        """
        end = self._base + self.BLOCK
        while math.ceil(self._next[1] * self.rate_hz) < end:
            self._write(*self._next)
            self._next = next(self._footfalls)
        out = np.hstack([buffer[: self.BLOCK] for buffer in self._buffers])
        for k, rng in enumerate(self._noise_rngs):
            wrench = out[:, 6 * k : 6 * k + 6]
            _disturb(wrench, self.rate_hz, self._short.drift[k], *self._noise, rng, self._base)
        for buffer in self._buffers:
            rest = len(buffer) - self.BLOCK
            buffer[:rest] = buffer[self.BLOCK :].copy()
            buffer[rest:] = 0.0
        self._base = end
        return out

    def _write(self, side: Side, t0: float, limb: AnyLimb) -> None:
        places = _places(side, limb.cop_x_m, 0.0, 0.0)
        footfall = Footfall(0, side, t0, t0 + limb.contact_s, limb, places[0][2])
        onto = [(int(self._split and belt == "R"), part, place) for belt, part, place in places]
        forces = _forces(limb, self._short.mass_kg, self._short.incline_deg)
        _write_footfall(
            self._buffers,
            self.layout.origins_m,
            self.rate_hz,
            footfall,
            forces,
            self.speed_m_s,
            onto,
            self._base,
        )


# --------------------------------------------------------------------------------------------------
# The walkway

#: Which of the subject's axes the lab's x, y and z are, by the direction that the subject walks in.
_HEADINGS = {
    "x": ("y", "-x", "z"),
    "-x": ("-y", "x", "z"),
    "y": ("x", "y", "z"),
    "-y": ("-x", "-y", "z"),
}
#: From one plate to the next by default: a step of either gait.
_PITCH_M = {"walk": 0.65, "run": 1.2}
_MARKER_NAMES = ("LHEE", "LTOE", "RHEE", "RTOE")
_HEEL_BEHIND_M = 0.03  # the heel marker behind the first centre of pressure
_HEEL_TO_TOE_M = 0.20
_MARKER_HEIGHT_M = 0.04
_SWING_LIFT_M = 0.10
_SWING_S = 0.40  # swing before a foot's first footfall and after its last


def _shares(cop_y: FloatArray, spread_m: float, low: float, high: float) -> tuple[FloatArray, FloatArray]:
    """Share of an even pressure within `spread_m` of the centre that lies on a plate, and that share's centre."""
    a, b = np.clip(cop_y - spread_m, low, high), np.clip(cop_y + spread_m, low, high)
    return (b - a) / (2.0 * spread_m), 0.5 * (a + b)


def _walk_over(
    buffers: Sequence[FloatArray],
    spans: FloatArray,
    rate_hz: float,
    footfall: Footfall,
    forces: _Forces,
    spread_m: float,
) -> Footfall:
    """Add a footfall's wrench to the plates under it; returns it with their numbers."""
    limb = footfall.limb
    first = math.ceil(footfall.t0 * rate_hz)
    last = min(math.floor(footfall.t1 * rate_hz) + 1, len(buffers[0]))
    t = np.arange(first, last) / rate_hz - footfall.t0
    force = _force_of(limb, forces, 1.0 if footfall.side == "L" else -1.0, t)
    cop_y = footfall.cop_y_m + limb.cop_path_m * (t / limb.contact_s - 0.5)
    hit = []
    for k, (low, high) in enumerate(spans.tolist()):
        share, centre = _shares(cop_y, spread_m, low, high)
        if share.any():
            hit.append(k)
            _add_force(buffers[k][first:last], force, share, footfall.cop_x_m, centre - 0.5 * (low + high))
    return replace(footfall, plates=tuple(hit), missed=not hit)


def _feet(feet_m: Sequence[float] | None, plates: int, length: float, pitch: float) -> list[float]:
    if feet_m is None:
        return [0.5 * length + k * pitch for k in range(-1, plates + 1)]
    feet = [_number("feet_m", y) for y in feet_m]
    _require(bool(feet), "feet_m: at least one footfall is wanted")
    _require(feet == sorted(feet), "feet_m: the subject walks forwards, so no footfall lies behind the last")
    return feet


def _foot_events(footfalls: Sequence[Footfall], rate_hz: float) -> tuple[Event, ...]:
    """True touchdowns and toe-offs, to the nearest frame of a camera."""
    found = [
        Event(label, f.side, round(t * rate_hz) / rate_hz)
        for f in footfalls
        for label, t in (("contact_on", f.t0), ("contact_off", f.t1))
    ]
    return tuple(sorted(found, key=lambda e: e.time_s))


def _foot_markers(
    footfalls: Sequence[Footfall], duration_s: float, rate_hz: float, stride_m: float
) -> Markers:
    """Heel and toe markers: still while the foot is down, an arc from one footfall to the next."""
    t = np.arange(math.ceil(duration_s * rate_hz - 1e-9)) / rate_hz
    positions = np.full((len(t), len(_MARKER_NAMES), 3), np.nan)
    for k, side in enumerate(("L", "R")):
        own = [f for f in footfalls if f.side == side]
        if not own:
            continue
        path = own[0].limb.cop_path_m
        # A swing leads from each end of the times to the next; still before the first and after the last.
        start, end = [own[0].t0 - 2.0 * _SWING_S], [own[0].t0 - _SWING_S]
        start += [*(f.t0 for f in own), own[-1].t1 + _SWING_S]
        end += [*(f.t1 for f in own), own[-1].t1 + 2.0 * _SWING_S]
        y = [own[0].cop_y_m - stride_m, *(f.cop_y_m for f in own), own[-1].cop_y_m + stride_m]
        ahead, lift = np.full(len(t), y[0]), np.zeros(len(t))
        for a, b, y0, y1 in zip(end, start[1:], y, y[1:], strict=False):
            u = np.clip((t - a) / (b - a), 0.0, 1.0)
            ahead += (y1 - y0) * 0.5 * (1.0 - np.cos(np.pi * u))
            lift += _SWING_LIFT_M * np.sin(np.pi * u)
        heel = ahead - 0.5 * path - _HEEL_BEHIND_M
        for j, place in enumerate((heel, heel + _HEEL_TO_TOE_M)):
            positions[:, 2 * k + j] = np.column_stack(
                (np.full(len(t), own[0].cop_x_m), place, _MARKER_HEIGHT_M + lift)
            )
    return Markers(_MARKER_NAMES, rate_hz, positions)


def _walkway(spans: FloatArray, width_m: float) -> tuple[FloatArray, list[FloatArray]]:
    """Origins (the middles) and corners of plates in a row."""
    half = 0.5 * width_m
    origins = np.column_stack((np.zeros(len(spans)), spans.mean(axis=1), np.zeros(len(spans))))
    corners = [
        np.array([[half, b, 0.0], [-half, b, 0.0], [-half, a, 0.0], [half, a, 0.0]])
        for a, b in spans.tolist()
    ]
    return origins, corners


def overground(
    gait: str = "walk",
    *,
    plates: int = 3,
    plate_length_m: float = 0.6,
    plate_width_m: float = 0.5,
    gap_m: float | None = None,
    feet_m: Sequence[float] | None = None,
    spread_m: float = 0.02,
    heading: str = "y",
    rate_hz: float = 1000.0,
    mass_kg: float = 70.0,
    left: AnyLimb | None = None,
    right: AnyLimb | None = None,
    first_side: str = "L",
    noise_n: float = 0.0,
    drift_n: Drift | float | Sequence[Drift | float] = 0.0,
    events: bool = False,
    markers: bool = False,
    camera_hz: float = 100.0,
    start_s: float = 0.5,
    phase_s: float = 0.0,
    seed: int = 0,
) -> Simulation:
    """Simulate somebody who walks or runs once over a walkway with force plates in a row.

    Parameters
    ----------
    gait : {"walk", "run"}
        The gait.
    plates : int
        Number of plates, 1 to 16.
    plate_length_m, plate_width_m : float
        Size of each plate along and across the walkway, m.
    gap_m : float, optional
        Floor between a plate and the next, m; default what makes a plate and its gap one step (0.65 m walking,
        1.2 m running).
    feet_m : sequence of float, optional
        Where the middle of each footfall's way of the centre of pressure lies along the walkway, m from the near
        edge of the first plate; sides alternate. Default: the middle of each plate, and a step on the floor before
        and after.
    spread_m : float
        Half the length of the foot's area of pressure, even about the centre of pressure, m: what decides how a
        foot on an edge is shared between plates and floor.
    heading : {"x", "-x", "y", "-y"}
        Axis of the lab that the subject walks along.
    rate_hz, mass_kg, left, right, first_side, noise_n, drift_n, start_s, phase_s, seed
        As in `treadmill`; `start_s` is before the first footfall, on a plate or not.
    events : bool
        Give the trial foot contact events, to the nearest frame of the cameras.
    markers : bool
        Give the trial heel and toe markers.
    camera_hz : float
        Frames per second of the cameras.

    Returns
    -------
    Simulation
        Its `steps` say which plates each footfall loads. The truth is that of the foot, also of what falls beside
        a plate, in axes with y along the walkway.

    Raises
    ------
    DataError
        A parameter that makes no sense.

    Examples
    --------
    >>> sim = overground(plates=2, feet_m=(0.3, 0.95))
    >>> [step.plates for step in sim.steps]
    [(0,), (1,)]
    """
    chosen = _limbs(gait, left, right)
    _check_choices(first_side, "split", seed)
    _require(heading in _HEADINGS, f"heading={heading!r}: it is one of {', '.join(_HEADINGS)}")
    whole = isinstance(plates, (int, np.integer)) and 1 <= plates <= MAX_PLATES
    _require(whole, f"plates={plates!r} must be a whole number from 1 to {MAX_PLATES}")
    mass, rate, length = (
        _check_mass(mass_kg),
        _number("rate_hz", rate_hz),
        _number("plate_length_m", plate_length_m),
    )
    gap = max(_PITCH_M[gait] - length, 0.0) if gap_m is None else _number("gap_m", gap_m)
    _check_amounts(
        positive={
            "plate_length_m": length,
            "plate_width_m": plate_width_m,
            "spread_m": spread_m,
            "camera_hz": camera_hz,
        },
        not_negative={"gap_m": gap, "noise_n": noise_n, "start_s": start_s, "phase_s": phase_s},
    )
    _require(rate >= _MIN_RATE_HZ, f"rate_hz={rate:g}: below {_MIN_RATE_HZ:g} Hz a footfall can't be drawn")
    drifts = _drifts(drift_n, plates)
    seeds = np.random.SeedSequence(int(seed)).spawn(1 + plates)
    step_rng, *noise_rngs = (np.random.Generator(np.random.PCG64(s)) for s in seeds)

    feet = _feet(feet_m, plates, length, length + gap)
    first: Side = "L" if first_side == "L" else "R"
    steps = _schedule(chosen, first, start_s + phase_s, None, len(feet), 0.0, step_rng)
    duration = max(t + limb.contact_s for _, t, limb in steps) + start_s
    buffers = [np.zeros((math.ceil(duration * rate - 1e-9), 6)) for _ in drifts]
    spans = np.arange(plates)[:, None] * (length + gap) + np.array([0.0, length])
    footfalls = []
    for index, ((side, t0, limb), y) in enumerate(zip(steps, feet, strict=True)):
        x = -limb.cop_x_m if side == "L" else limb.cop_x_m
        footfall = Footfall(index, side, t0, t0 + limb.contact_s, limb, x, cop_y_m=y)
        footfalls.append(
            _walk_over(buffers, spans, rate, footfall, _forces(limb, mass, 0.0), float(spread_m))
        )
    for buffer, drift, rng in zip(buffers, drifts, noise_rngs, strict=True):
        _disturb(buffer, rate, drift, float(noise_n), 0.0, 50.0, rng)
    origins, corners = _walkway(spans, float(plate_width_m))
    trial = Trial.from_wrenches(
        buffers,
        rate_hz=rate,
        names=[f"plate {k + 1}" for k in range(plates)],
        origins_m=origins,
        corners_m=corners,
        notes=(f"simulated: {gait} overground, seed {int(seed)}",),
    )
    trial = replace(
        trial,
        events=_foot_events(footfalls, camera_hz) if events else (),
        markers=_foot_markers(footfalls, duration, camera_hz, 2.0 * (length + gap)) if markers else None,
    ).turned(_HEADINGS[heading])
    speed = (feet[-1] - feet[0]) / (steps[-1][1] - steps[0][1]) if len(feet) > 1 else 0.0
    return Simulation(
        trial, gait, mass, speed, 0.0, chosen["L"], chosen["R"], tuple(footfalls), drifts, int(seed)
    )
