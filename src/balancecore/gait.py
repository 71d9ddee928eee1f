"""From a trial to a result: `analyze_gait` runs the whole path of the architecture's picture."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balancecore import overground
from balancecore._ext._steps import mean_curves
from balancecore._version import __version__
from balancecore.baseline import BASELINES, Method
from balancecore.contacts import (
    HOLD_OFF_S,
    HOLD_ON_S,
    RULES,
    Contacts,
    Gait,
    LevelRule,
    Segmentation,
    given_contacts,
    segment,
)
from balancecore.crossover import crossovers
from balancecore.errors import DataError
from balancecore.flags import Flag
from balancecore.intake import take_in
from balancecore.overground import Crossing, Surface
from balancecore.quality import assess, camber_deg, mean_forces, plain
from balancecore.schema import SYMMETRY_METRICS
from balancecore.sides import Sides, Vote, by_belt, by_parity, vote
from balancecore.steps import Kinetics, Merged, Poi, StepTable, build_table, measure, merge, unusable
from balancecore.symmetry import (
    MIN_BOOT,
    Stat,
    SymmetryTable,
    WaveformSymmetry,
    compare_limbs,
    pair_strides,
    statistics,
    waveform_symmetry,
)
from balancecore.text import summary_text
from balancecore.trial import Trial
from balancecore.weight import STANDARD_GRAVITY

__all__ = ["Curves", "GaitResult", "Options", "Stat", "analyze_gait", "step_metrics"]

FloatArray = NDArray[np.float64]
PoiRule = Literal["auto_trial", "impact_peak", "13pct", "mixed"]

#: Impact peaks in this share of both limbs' steps make the impact peak the point of interest (metrics 2.1).
IP_SHARE = 0.8
#: Early stance, in % of contact, where steady gait brakes (metrics 1.7).
EARLY_STANCE = slice(15, 36)
#: Belt shares that differ by less between the feet mean that both use the same belt.
BELT_CONTRAST = 0.2
#: More threads than this are a slip of the keyboard.
MOST_THREADS = 256
#: Stance curves: forces in BW, and the centre of pressure in m from the contact's own cop_x and cop_y.
FORCES = ("f_med", "fy", "fz")
CURVES = (*FORCES, "cop_med", "cop_fwd")
#: A mean curve ends where fewer of its contacts than this share have a value.
CURVE_SHARE = 0.5


@dataclass(frozen=True)
class Options:
    """Everything that `analyze_gait` was asked, as it was asked; ``asdict`` of it repeats the analysis."""

    rate_hz: float | None = None
    mass_kg: float | None = None
    speed_m_s: float | None = None
    incline_deg: float = 0.0
    leg_length_m: float | None = None
    level_n: float | Literal["auto"] = "auto"
    level_bw: float | None = None
    cutoff_hz: float | None = 50.0
    timing_cutoff_hz: float | None = None
    baseline: Method = "aerial_pchip"
    gait: Gait = "auto"
    first_side: Literal["L", "R"] | None = None
    poi: PoiRule = "auto_trial"
    n_boot: int = 2000
    seed: int = 0
    mdc95: Mapping[str, float] | None = None
    threads: int = 1
    surface: Surface = "auto"
    online: bool = False

    def __post_init__(self) -> None:
        _check_range("mass_kg", self.mass_kg, 1.0, 500.0)
        _check_range("speed_m_s", self.speed_m_s, 0.0, 15.0)
        _check_range("incline_deg", self.incline_deg, -45.0, 45.0)
        _check_range("leg_length_m", self.leg_length_m, 0.2, 2.0)
        _check_range("n_boot", self.n_boot, 0, 1_000_000)
        if 0 < self.n_boot < MIN_BOOT:
            raise DataError(f"n_boot={self.n_boot}: the tails need {MIN_BOOT} replicates (0: no interval)")
        _check_range("seed", self.seed, 0, 2**63 - 1)
        _check_range("threads", self.threads, 1, MOST_THREADS)
        _check_choice("baseline", self.baseline, BASELINES)
        _check_choice("gait", self.gait, ("auto", "run", "walk"))
        _check_choice("surface", self.surface, ("auto", "treadmill", "overground"))
        _check_choice("first_side", self.first_side, (None, "L", "R"))
        _check_choice("online", self.online, (False, True))
        _check_choice("poi", self.poi, ("auto_trial", "impact_peak", "13pct", "mixed"))
        LevelRule(self.level_n, self.level_bw)


def _check_range(name: str, value: Any, low: float, high: float) -> None:
    if value is None and name not in ("incline_deg", "n_boot", "seed", "threads"):
        return
    whole = name in ("n_boot", "seed", "threads")
    if isinstance(value, bool) or not isinstance(
        value, (int, np.integer) if whole else (int, float, np.number)
    ):
        raise DataError(f"{name}={value!r}: a {'whole number' if whole else 'number'} is wanted")
    if not low <= value <= high:
        raise DataError(f"{name}={value}: it must lie between {low:g} and {high:g}")


def _check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        raise DataError(f"{name}={value!r}: choose one of {', '.join(repr(c) for c in choices)}")


@dataclass(frozen=True, eq=False)
class Curves:
    """Stance curves of each limb at 0..100 % of contact.

    Attributes
    ----------
    names : tuple of str
        Forces in BW: "f_med" (medial positive), "fy" (forward positive), "fz". Centre of pressure in m from the
        contact's own `cop_x` and `cop_y`: "cop_med" (medial positive), "cop_fwd" (forward positive, in the lab: a
        belt carries it backwards). It is NaN where Fz is below 50 N or 5 % BW in more than half of the contacts.
    limbs : tuple of str
    mean, sd : ndarray (2, 5, 101)
        Limb, curve, % of contact.
    n : tuple of int
        Contacts averaged for each limb.
    """

    names: tuple[str, ...]
    limbs: tuple[str, str]
    mean: FloatArray
    sd: FloatArray
    n: tuple[int, int]

    def get(self, name: str, limb: str) -> FloatArray:
        """Mean curve of one limb, (101,)."""
        curve: FloatArray = self.mean[self.limbs.index(limb), self.names.index(name)]
        return curve


@dataclass(frozen=True, eq=False)
class GaitResult:
    """What `analyze_gait` found.

    Attributes
    ----------
    steps : StepTable
        A row a contact.
    summary : mapping of str to mapping of str to Stat
        ``summary["tc"]["L"].mean``.
    symmetry : SymmetryTable
        A row a metric; positive means that the first limb is larger.
    curves : Curves
        Mean stance curves.
    waveforms : mapping of str to WaveformSymmetry
        Comparison of the limbs' mean curves.
    contacts : tuple of Contacts
        As found, one for each plate or sum of plates.
    quality, provenance : dict
        Checks and findings; definitions, options and sources. JSON-serialisable.
    """

    steps: StepTable
    summary: Mapping[str, Mapping[str, Stat]]
    symmetry: SymmetryTable
    curves: Curves
    waveforms: Mapping[str, WaveformSymmetry]
    contacts: tuple[Contacts, ...]
    quality: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def limbs(self) -> tuple[str, str]:
        """("L", "R"), or ("A", "B") where the anatomical side is unknown."""
        return self.curves.limbs

    def to_dict(self) -> dict[str, Any]:
        """The result without curves as plain values, for JSON; NaN becomes None."""
        result: dict[str, Any] = plain(
            {
                "summary": {
                    m: {limb: s._asdict() for limb, s in by.items()} for m, by in self.summary.items()
                },
                "symmetry": self.symmetry.to_dict(),
                "waveforms": {name: w.to_dict() for name, w in self.waveforms.items()},
                "steps": {name: self.steps[name] for name in self.steps.columns},
                "units": self.steps.units,
                "quality": self.quality,
                "provenance": self.provenance,
            }
        )
        return result

    def save_report(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Write one self-contained HTML page, for the screen and for A4 paper; needs the extra ``plot``.

        Parameters
        ----------
        path : path
            The new file. An existing one is never overwritten.
        title : str, optional
            Heading; default: the names of the files.

        Raises
        ------
        DataError
            A file that exists or can't be written. Nothing is left behind.
        MissingExtraError
            Without matplotlib.
        """
        from balancecore.report import save_report

        save_report(self, path, title=title)

    def __str__(self) -> str:
        return summary_text(self)

    def _repr_html_(self) -> str:
        from balancecore.report import result_html

        return result_html(self)

    def __repr__(self) -> str:
        q = self.quality
        return f"<GaitResult: {q['complete']} complete contacts of {q['contacts']}, limbs {'/'.join(self.limbs)}>"


def analyze_gait(
    data: Trial | ArrayLike,
    *,
    rate_hz: float | None = None,
    mass_kg: float | None = None,
    speed_m_s: float | None = None,
    incline_deg: float = 0.0,
    leg_length_m: float | None = None,
    level_n: float | Literal["auto"] = "auto",
    level_bw: float | None = None,
    cutoff_hz: float | None = 50.0,
    timing_cutoff_hz: float | None = None,
    baseline: Method = "aerial_pchip",
    gait: Gait = "auto",
    first_side: Literal["L", "R"] | None = None,
    poi: PoiRule = "auto_trial",
    n_boot: int = 2000,
    seed: int = 0,
    mdc95: Mapping[str, float] | None = None,
    threads: int = 1,
    surface: Surface = "auto",
    online: bool = False,
) -> GaitResult:
    """Cut a trial into steps, measure each, and compare the limbs.

    Parameters
    ----------
    data : Trial, or array_like (n, 6) or (n,)
        A trial; or one wrench Fx Fy Fz Mx My Mz in N and N·m; or one vertical force in N. Arrays need `rate_hz`.
    rate_hz : float, optional
        Sampling rate of an array.
    mass_kg : float, optional
        Body mass. Without it body weight is taken from standing still, or from the mean force over whole strides.
    speed_m_s : float, optional
        Belt speed; needed for step length, centre-of-pressure path and leg stiffness.
    incline_deg : float
        Incline of the surface, uphill positive. Gravity's share along the surface is taken off Fy.
    leg_length_m : float, optional
        Leg length; needed for leg stiffness.
    level_n, level_bw : float or "auto"
        Contact level in N, or as a fraction of body weight. "auto": the larger of 20 N (5 % of body weight below
        400 N) and five SDs of the unloaded signal.
    cutoff_hz : float or None
        Zero-phase Butterworth low-pass of all kinetics, -3 dB after both passes; None for no filter.
    timing_cutoff_hz : float, optional
        Low-pass of the copy on which crossings are timed; default min(200 Hz, 35 % of the rate).
    baseline : {"aerial_pchip", "linear", "constant", "none"}
        Offset removed from all channels.
    gait : {"auto", "run", "walk"}
        Which durations are plausible, and whether belts are summed (running) or kept apart (walking).
    first_side : {"L", "R"}, optional
        Side of the first contact in the record, complete or not, if it is known.
    poi : {"auto_trial", "impact_peak", "13pct", "mixed"}
        Point of interest of `vilr` and `imp_v_early`, the same for both limbs: the impact peak if at least 80 % of
        both limbs' steps have one, else 13 % of contact. "mixed" decides step by step, which can fake asymmetry.
    n_boot, seed : int
        Bootstrap replicates (0 for none, else at least 40) and their seed.
    mdc95 : mapping of str to float, optional
        Minimal detectable change of the symmetry index in this lab, by metric, in % points: without it the third
        check, beyond measurement error, stays open.
    threads : int
        Threads that share the work; they change the time that it takes, never a bit of the result.
    surface : {"auto", "treadmill", "overground"}
        "overground" for plates in a walkway, each of which takes a footfall or two. "auto" takes a trial for one only
        if every plate has corners and no side above 1.25 m, and nobody steps on any plate more than twice.
    online : bool
        Analyse as a :class:`balancecore.GaitStream` would while the signal runs: no decision looks further ahead
        than the filter (docs/streaming.md). The level "auto" is then 20 N (5 % of a given body weight below 400 N),
        the baseline causal, and "auto_trial" the 13 % point.

    Returns
    -------
    GaitResult

    Raises
    ------
    DataError
        If the input can't be analysed: shape, rate, no finite frame, too short, or an option out of range.

    Examples
    --------
    >>> from balancecore import simulate
    >>> sim = simulate.treadmill(duration_s=12.0, seed=1)
    >>> result = analyze_gait(sim.trial, mass_kg=70.0)
    >>> result.limbs, result.quality["complete"]
    (('L', 'R'), 32)
    """
    options = Options(
        rate_hz,
        mass_kg,
        speed_m_s,
        incline_deg,
        leg_length_m,
        level_n,
        level_bw,
        cutoff_hz,
        timing_cutoff_hz,
        baseline,
        gait,
        first_side,
        poi,
        n_boot,
        seed,
        None if mdc95 is None else {str(k): float(v) for k, v in mdc95.items()},
        threads,
        surface,
        online,
    )
    trial = _trial(data, rate_hz)
    if online:
        from balancecore.stream import analyze_online  # it is made of the pieces of this module

        return analyze_online(trial, options)
    how: _How = {
        "mass_kg": mass_kg,
        "level": LevelRule(level_n, level_bw),
        "cutoff_hz": cutoff_hz,
        "timing_cutoff_hz": timing_cutoff_hz,
        "baseline": baseline,
        "gait": gait,
        "incline_deg": incline_deg,
    }
    record = take_in(trial, threads)
    if overground.is_overground(record, surface):
        crossing = overground.find(record, **how)
        return _analyse(crossing.trial, crossing.found, options, crossing)
    return _analyse(trial, segment(record, **how, threads=threads), options)


class _How(TypedDict):
    """Options of the search for contacts."""

    mass_kg: float | None
    level: LevelRule
    cutoff_hz: float | None
    timing_cutoff_hz: float | None
    baseline: Method
    gait: Gait
    incline_deg: float


def _trial(data: Trial | ArrayLike, rate_hz: float | None) -> Trial:
    if isinstance(data, Trial):
        if rate_hz is not None and rate_hz != data.rate_hz:
            raise DataError(f"rate_hz={rate_hz:g} contradicts the trial's {data.rate_hz:g} Hz")
        return data
    if rate_hz is None:
        raise DataError("an array needs rate_hz, its frames per second")
    return Trial.from_wrenches([data], rate_hz=rate_hz)


@dataclass(frozen=True, eq=False)
class _Measured:
    """Steps with the decisions behind them."""

    table: StepTable
    merged: Merged
    sides: Sides
    poi: Poi
    forces: FloatArray
    strides: int
    ip_fraction: dict[str, float]


def _analyse(
    trial: Trial, found: Segmentation, options: Options, crossing: Crossing | None = None
) -> GaitResult:
    steps = _steps(trial, found, options, crossing)
    result = _result(trial, found, options, steps, _curves(steps, _limbs_of(steps)), {})
    if crossing is not None:
        seen = plain(overground.report(crossing, steps.merged, steps.table))
        result.quality["overground"] = seen
        result.quality["warnings"] += overground.report_findings(seen)
    return result


def _limbs_of(steps: _Measured) -> NDArray[np.int64]:
    """0 or 1 for each contact that counts, -1 for the others."""
    return np.where(unusable(steps.table["flags"]), -1, steps.sides.limb_index())


def _result(
    trial: Trial,
    found: Segmentation,
    options: Options,
    steps: _Measured,
    curves: Curves,
    used: dict[str, Any],
) -> GaitResult:
    """Limbs compared, checks made; `used` goes over what the provenance would say."""
    limb = _limbs_of(steps)
    symmetry = compare_limbs(
        {name: steps.table[name] for name in SYMMETRY_METRICS},
        limb,
        pair_strides(limb, steps.merged.t_on),
        limbs=steps.sides.limbs,
        n_boot=options.n_boot,
        seed=options.seed,
        mdc95=options.mdc95,
    )
    quality = assess(
        found,
        steps.merged,
        steps.table,
        steps.sides,
        forces=steps.forces,
        strides=steps.strides,
        incline_deg=options.incline_deg,
        ip_fraction=steps.ip_fraction,
        poi=steps.poi,
        fy_early_bw=_early_fy(curves),
        g=STANDARD_GRAVITY,
    )
    quality["outliers"] = _without_outliers(steps, limb)
    return GaitResult(
        steps.table,
        _summary(steps, limb),
        symmetry,
        curves,
        _waveforms(curves),
        tuple(v.contacts for v in found.virtual),
        quality,
        _provenance(trial, found, options, steps, symmetry, used),
    )


def _steps(
    trial: Trial, found: Segmentation, options: Options, crossing: Crossing | None = None
) -> _Measured:
    forces, strides = mean_forces(found)
    tilt = forces[0] / forces[2] if math.isfinite(forces[0] / forces[2]) else 0.0
    speed = math.nan if options.speed_m_s is None else float(options.speed_m_s)
    belt = speed if crossing is None else 0.0
    kinetics = [
        measure(
            trial,
            v,
            found.kinetics,
            weight_n=found.weight.force_n,
            speed_m_s=belt,
            camber=tilt,
            incline=math.tan(math.radians(options.incline_deg)),
            threads=options.threads,
        )
        for v in found.virtual
    ]
    merged = merge(found.virtual, kinetics)
    if crossing is None:
        merged.flags[crossovers(found, merged)] |= Flag.CROSSOVER
        sides = _sides(trial, found, merged, kinetics, options.first_side)
    else:
        on, off = (merged.samples / trial.rate_hz).T
        numbers, doubtful = overground.step_numbers(on, off, found.gait)
        merged = replace(merged, parity=numbers)
        sides = overground.sides(crossing, merged, doubtful, options.first_side)
    poi, ip_fraction = _poi_rule(merged, sides, options.poi)
    table = build_table(
        found,
        merged,
        sides,
        poi=poi,
        speed_m_s=speed,
        incline_deg=options.incline_deg,
        leg_length_m=math.nan if options.leg_length_m is None else float(options.leg_length_m),
    )
    return _Measured(table, merged, sides, poi, forces, strides, ip_fraction)


def _sides(
    trial: Trial, found: Segmentation, merged: Merged, kinetics: list[Kinetics], first_side: str | None
) -> Sides:
    names = tuple(p.side for p in trial.plates)
    x = np.array([p.origin_m[0] for p in trial.plates])
    if len(found.virtual) > 1 and first_side is None:
        return by_belt(merged.plate, names, x)
    left, right = (
        [x[k] for k, s in enumerate(names) if s == "L"],
        [x[k] for k, s in enumerate(names) if s == "R"],
    )
    right_sign = int(trial.lateral_known)
    if left and right and np.mean(left) != np.mean(right):
        right_sign = int(np.sign(np.mean(right) - np.mean(left)))
    on_right = [k for k, s in enumerate(names) if s == "R"]
    belt = Vote(0, 0.0, 0.0, math.nan, 0, np.zeros(len(merged.t_on), dtype=bool))
    if left and right and len(found.virtual) == 1:
        share = kinetics[0].shares[merged.order][:, on_right].sum(axis=1)
        belt = vote(share, merged.parity, BELT_CONTRAST)
    return by_parity(
        merged.parity,
        vote(merged.columns["cop_x"], merged.parity),
        belt,
        first_side=first_side,
        right_sign=right_sign,
        belt_right=int(bool(left and right)),
    )


def _poi_rule(merged: Merged, sides: Sides, asked: PoiRule) -> tuple[Poi, dict[str, float]]:
    """The same point of interest for both limbs (metrics 2.1)."""
    usable = ~unusable(merged.flags) & np.isfinite(merged.columns["imp_v"])
    fraction = {}
    for limb in sides.limbs:
        mine = usable & (sides.labels == limb)
        has = np.isfinite(merged.columns["t_impact"][mine])
        fraction[limb] = float(has.mean()) if len(has) else math.nan
    if asked != "auto_trial":
        return asked, fraction
    return ("impact_peak" if all(f >= IP_SHARE for f in fraction.values()) else "13pct"), fraction


def _summary(steps: _Measured, limb: NDArray[np.int64]) -> Mapping[str, Mapping[str, Stat]]:
    names = [
        n for n in steps.table.columns if steps.table[n].dtype.kind == "f" and n not in ("t_on", "t_off")
    ]
    rows = np.array([steps.table[n] for n in names])
    stats = [statistics(np.compress(limb == k, rows, axis=1)) for k in range(2)]
    return MappingProxyType(
        {
            name: MappingProxyType(dict(zip(steps.sides.limbs, (s[j] for s in stats), strict=True)))
            for j, name in enumerate(names)
        }
    )


def _curves(steps: _Measured, limb: NDArray[np.int64]) -> Curves:
    curves = steps.merged.curves
    measured = np.isfinite(steps.merged.columns["imp_v"])
    mine = np.where(measured, limb, -1)
    mean, sd = np.empty((2, 2, *curves.shape[1:]))
    counts = np.empty(mean.shape, dtype=np.int64)
    mean_curves(curves, mine, mean, sd, counts)
    return limb_curves(mean, sd, counts, [int((mine == k).sum()) for k in range(2)], steps.sides)


def limb_curves(
    mean: FloatArray, sd: FloatArray, counts: NDArray[np.int64], n: list[int], sides: Sides
) -> Curves:
    """Means and SDs (2, 5, 101) as curves: lateral ones turned to medial, and none where too few contacts have one.

    Parameters
    ----------
    counts : ndarray (2, 5, 101)
        Contacts with a value at each point.
    n : list of int
        Contacts of each limb.
    """
    for k, label in enumerate(sides.limbs):
        few = counts[k] < CURVE_SHARE * n[k]
        few[: len(FORCES)] = counts[k, : len(FORCES)] < n[k]
        mean[k][few], sd[k][few] = np.nan, np.nan
        mean[k, [CURVES.index("f_med"), CURVES.index("cop_med")]] *= sides.medial_x[label]
    return Curves(CURVES, sides.limbs, mean, sd, (n[0], n[1]))


def _waveforms(curves: Curves) -> Mapping[str, WaveformSymmetry]:
    found = {}
    for j, name in enumerate(FORCES):
        pair = curves.mean[:, j]
        if np.isfinite(pair).all():
            found[name] = waveform_symmetry(pair[0], pair[1])
    return MappingProxyType(found)


def _early_fy(curves: Curves) -> float:
    early = curves.mean[:, 1, EARLY_STANCE]
    return float(np.nanmean(early)) if np.isfinite(early).any() else math.nan


def _without_outliers(steps: _Measured, limb: NDArray[np.int64]) -> dict[str, Any]:
    """Outliers are kept; this is what the symmetry would be without them."""
    out = (steps.table["flags"] & int(Flag.OUTLIER_STEP)) != 0
    outliers = out & (limb >= 0)
    if not outliers.any():
        return {"steps": 0, "si_without": {}}
    rest = np.where(outliers, -1, limb)
    table = compare_limbs(
        {name: steps.table[name] for name in SYMMETRY_METRICS},
        rest,
        pair_strides(rest, steps.merged.t_on),
        limbs=steps.sides.limbs,
        n_boot=0,
    )
    return {"steps": int(outliers.sum()), "si_without": {row.metric: plain(row.si) for row in table}}


def _provenance(
    trial: Trial,
    found: Segmentation,
    options: Options,
    steps: _Measured,
    symmetry: SymmetryTable,
    used: dict[str, Any],
) -> dict[str, Any]:
    rules = RULES[found.gait]
    provenance: dict[str, Any] = plain(
        {
            "balancecore": __version__,
            "options": asdict(options),
            "used": {
                "rate_hz": trial.rate_hz,
                "frames": len(trial),
                "duration_s": len(trial) / trial.rate_hz,
                "plates": [
                    {"name": p.name, "side": p.side, "missing": sorted(p.missing)} for p in trial.plates
                ],
                "convention_of_source": trial.convention,
                "axes_of_source": "not stated" if trial.axes is None else trial.axes,
                "axes": "x right, y forward, z up; reaction force",
                "right_is_known": trial.lateral_known,
                "g_m_s2": STANDARD_GRAVITY,
                "surface": found.surface,
                "gait": found.gait,
                "summed_plates": [list(v.plates) for v in found.virtual],
                "kinetics_filter": found.kinetics.describe(),
                "detection_signal": "sum of Fz, kinetics filter, baseline removed",
                "timing_filter": found.timing.describe(),
                "level_n": [v.level_n for v in found.virtual],
                "release_level": "half the level",
                "hold_on_s": HOLD_ON_S,
                "hold_off_s": HOLD_OFF_S,
                "durations": asdict(rules),
                "baseline": [v.baseline.method for v in found.virtual],
                "body_weight_n": found.weight.force_n,
                "body_weight_source": found.weight.source,
                "side_method": steps.sides.method,
                "poi_rule": steps.poi,
                "camber_removed_deg": camber_deg(steps.forces),
                "incline_removed_deg": options.incline_deg,
                "integration": "trapezoid with partial ends",
                "symmetry_index": "si of limb means, + = first limb larger",
                "bootstrap": {
                    "replicates": symmetry.n_boot,
                    "block": symmetry.block_length,
                    "seed": symmetry.seed,
                },
                **used,
            },
            "sources": [asdict(s) for s in trial.sources],
            "reading": trial.reading,
        }
    )
    return provenance


def step_metrics(
    wrench: ArrayLike,
    contacts: Contacts,
    *,
    rate_hz: float,
    mass_kg: float,
    speed_m_s: float | None = None,
    incline_deg: float = 0.0,
    leg_length_m: float | None = None,
    cutoff_hz: float | None = 50.0,
    baseline: Method = "aerial_pchip",
    first_side: Literal["L", "R"] | None = None,
    poi: PoiRule = "auto_trial",
) -> StepTable:
    """Measure contacts that were found elsewhere, or were edited.

    Parameters
    ----------
    wrench : array_like (n, 6) or (n,)
        Reaction force in N and moment in N·m, or the vertical force alone.
    contacts : Contacts
        From :func:`find_contacts`, on the same record.
    rate_hz, mass_kg : float
        Sampling rate and body mass.
    speed_m_s, incline_deg, leg_length_m, cutoff_hz, baseline, first_side, poi
        As for :func:`analyze_gait`.

    Returns
    -------
    StepTable

    Raises
    ------
    DataError
        If wrench and contacts don't belong together.
    """
    options = Options(
        rate_hz=rate_hz,
        mass_kg=mass_kg,
        speed_m_s=speed_m_s,
        incline_deg=incline_deg,
        leg_length_m=leg_length_m,
        cutoff_hz=cutoff_hz,
        baseline=baseline,
        first_side=first_side,
        poi=poi,
    )
    trial = _trial(wrench, rate_hz)
    found = given_contacts(
        trial, contacts, mass_kg=mass_kg, cutoff_hz=cutoff_hz, baseline=baseline, incline_deg=incline_deg
    )
    return _steps(trial, found, options).table
