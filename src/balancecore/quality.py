"""Does the trial add up? Identities that hold for any steady gait, and what was found wrong (metrics 3.5)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancecore.contacts import RULES, Segmentation
from balancecore.flags import Flag
from balancecore.intake import describe_saturation
from balancecore.sides import Sides
from balancecore.steps import RESIDUAL_M_S, Merged, StepTable, unusable
from balancecore.weight import step_parity, stride_spans

__all__ = ["assess", "camber_deg", "mean_forces", "plain"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: The offset is averaged on this grid; it moves more slowly.
OFFSET_GRID_S = 0.5
#: Levels above these are worth a word (metrics 1.2).
HIGH_LEVEL_N = 50.0
HIGH_LEVEL_BW = 0.05
#: Baseline that moves by more than this share of body weight (metrics 1.5).
DRIFT_BW = 0.05
#: Mean net fore-aft impulse a stride, m/s (metrics 3.5).
NET_AP_M_S = 0.05
#: Steps per limb below which a symmetry is a sketch (metrics 5.4 [R30]).
ENOUGH_STEPS = 25
#: What to look at where body weight and the measured forces contradict each other.
SCALE_HINT = "; check mass_kg, and the calibration, scale and zero of the plates"
#: Plausible body weight, N.
WEIGHT_RANGE_N = (100.0, 3000.0)
#: Detection copies filtered lower than this smear the onset (metrics 1.12).
LEAST_CUTOFF_HZ = 40.0
#: Mean fore-aft force over early stance that points the wrong way, BW.
WRONG_WAY_BW = 0.02


def mean_forces(found: Segmentation) -> tuple[FloatArray, int]:
    """Mean Fx, Fy, Fz over whole strides, offsets removed, N; and the number of strides. A walkway holds none."""
    if found.surface == "overground":
        return np.full(3, np.nan), 0
    record = found.record
    starts = [v.contacts.samples[np.isfinite(v.contacts.t_on), 0] for v in found.virtual]
    spans = stride_spans(record, np.sort(np.concatenate(starts)))
    total, duration, strides = np.zeros(3), 0.0, 0
    for a, b, count in spans:
        span = np.array([[round(a), round(b)]], dtype=np.int64)
        for v in found.virtual:
            grid = np.arange(a, b, max(OFFSET_GRID_S * record.rate_hz, 1.0))
            offset = v.baseline.at(grid, slice(3)).mean(axis=2)
            for k, plate in enumerate(v.plates):
                total += (record.window_means(plate, span)[0, :3] - offset[k]) * (b - a)
        duration += b - a
        strides += count
    return (total / duration if duration else np.full(3, np.nan)), strides


def camber_deg(forces: FloatArray) -> float:
    """Angle of the mean force to the vertical, seen from behind (metrics 4.4); NaN without a whole stride."""
    return math.degrees(math.atan(forces[0] / forces[2]))


def assess(
    found: Segmentation,
    merged: Merged,
    table: StepTable,
    sides: Sides,
    *,
    forces: FloatArray,
    strides: int,
    incline_deg: float,
    ip_fraction: dict[str, float],
    poi: str,
    fy_early_bw: float,
    g: float,
) -> dict[str, Any]:
    """Everything a reader needs to judge a result; `warnings` says in words what deserves a look."""
    record = found.record
    weight = found.weight.force_n
    checks = _momentum(found, table, forces, strides, incline_deg, g)
    quality: dict[str, Any] = {
        "contacts": len(table),
        "complete": int(np.isfinite(table["t_on"] + table["t_off"]).sum()),
        "used": int((~unusable(table["flags"])).sum()),
        "flags": {
            f.name: int(((table["flags"] & int(f)) != 0).sum())
            for f in Flag
            if (table["flags"] & int(f)).any()
        },
        "rejected": [dict(r) for v in found.virtual for r in v.contacts.rejected],
        "cadence_spm": cadence(table, merged.parity if found.surface == "overground" else None),
        "gait": {"used": found.gait, **found.gait_detail},
        "body_weight": found.weight.describe(g),
        "level_n": [v.level_n for v in found.virtual],
        "noise_n": [v.noise_n for v in found.virtual],
        "baseline": [v.baseline.describe() for v in found.virtual],
        "momentum": checks,
        "camber_deg": camber_deg(forces),
        "sides": {
            "method": sides.method,
            "limbs": list(sides.limbs),
            "ambiguous": int(sides.ambiguous.sum()),
            "vote": None if sides.vote is None else sides.vote.describe(),
        },
        "impact_peak_fraction": ip_fraction,
        "poi_rule": poi,
        "gaps_s": (record.gaps / record.rate_hz).tolist(),
        "saturation": describe_saturation(record),
        "repeated_contacts": _repeats(found),
        "trial_flags": ["BW_SUSPECT"]
        if found.weight.suspect or _too_light(found) or found.unloaded or found.coarse.upside_down
        else [],
    }
    quality["notes"] = list(found.record.trial.notes)
    quality["warnings"] = [
        *_input_findings(found, fy_early_bw, quality["repeated_contacts"]),
        *_weight_findings(found, quality),
        *_level_findings(found, weight),
        *_step_findings(found, table, sides, checks),
        *sides.findings,
    ]
    result: dict[str, Any] = plain(quality)
    return result


def cadence(table: StepTable, numbers: IntArray | None = None) -> float:
    """Steps a minute: 60 (N - 1) / (last t_on - first t_on), over complete contacts, counted by time (metrics 4).

    `numbers` are the steps' of a walkway, which misses some.
    """
    complete = np.isfinite(table["t_on"] + table["t_off"])
    if numbers is not None:  # a part of a footfall comes down late
        complete &= ~unusable(table["flags"])
    on = table["t_on"][complete]
    if len(on) < 2:
        return math.nan
    steps = step_parity(on)[-1] if numbers is None else np.ptp(numbers[complete])
    return float(60.0 * steps / (on[-1] - on[0]))


def _momentum(
    found: Segmentation, table: StepTable, forces: FloatArray, strides: int, incline_deg: float, g: float
) -> dict[str, Any]:
    weight = found.weight.force_n
    normal = weight * math.cos(math.radians(incline_deg))
    along = weight * math.sin(math.radians(incline_deg))
    residual = np.abs(table["v_residual"])
    stride = 2.0 * float(np.nanmedian(table["t_step"])) if np.isfinite(table["t_step"]).any() else math.nan
    return {
        "whole_strides": strides,
        "mean_fz_bw": float(forces[2] / normal),
        "mean_fz_ok": bool(abs(forces[2] / normal - 1.0) <= 0.02)
        if math.isfinite(forces[2] / normal)
        else None,
        "net_ap_m_s_per_stride": float((forces[1] - along) / weight * g * stride),
        "mean_ml_bw": float(forces[0] / weight),
        "flight_residual_m_s": float(np.nanmedian(residual)) if np.isfinite(residual).any() else math.nan,
        "flight_residual_over_limit": int((residual > RESIDUAL_M_S).sum()),
    }


def _input_findings(found: Segmentation, fy_early_bw: float, repeated: int) -> list[str]:
    record = found.record
    findings: list[str] = []
    for k in found.coarse.upside_down:
        fz = record.coarse_fz[k]
        fz = fz[np.isfinite(fz)]  # a stream has kept none
        mean = f"mean Fz of plate {k + 1} is {fz.mean():.0f} N" if len(fz) else f"plate {k + 1}"
        findings.append(
            f"{mean}: the vertical force points down. If the "
            "data hold the force on the plate, read them with convention='action'; nothing was flipped"
        )
    if found.unloaded and not found.coarse.upside_down:
        findings.append("the plates are unloaded throughout: less than 100 N")
    if fy_early_bw > WRONG_WAY_BW:
        findings.append(
            f"mean Fy over 15-35 % of contact is {fy_early_bw:+.2f} BW: forward force where braking is expected. "
            "Check the forward axis; nothing was flipped"
        )
    if len(record.gaps):
        lost = int((record.gaps[:, 1] - record.gaps[:, 0]).sum())
        findings.append(
            f"{lost} frames in {len(record.gaps)} gaps are missing; contacts they touch have no metrics"
        )
    if record.saturation:
        where = ", ".join(sorted({f"plate {s.plate + 1} {s.channel}" for s in record.saturation}))
        findings.append(f"samples at the end of the range on {where}; contacts they touch are left out")
    if repeated:
        findings.append(
            f"{repeated} contacts repeat an earlier one sample for sample: part of the signal may be recorded twice"
        )
    if found.kinetics.cutoff_hz is not None and found.kinetics.cutoff_hz < LEAST_CUTOFF_HZ:
        findings.append(
            f"a {found.kinetics.cutoff_hz:g} Hz low-pass smears the onset of contact and cuts loading rates"
        )
    return findings


def _weight_findings(found: Segmentation, quality: dict[str, Any]) -> list[str]:
    weight = found.weight
    findings = []
    if math.isfinite(weight.force_n) and not WEIGHT_RANGE_N[0] <= weight.force_n <= WEIGHT_RANGE_N[1]:
        findings.append(f"body weight of {weight.force_n:.0f} N is not plausible: check units and scale")
    seen = not found.unloaded and not found.coarse.upside_down
    if not math.isfinite(weight.force_n):
        if seen:
            findings.append(
                "body weight is unknown (no whole stride): give mass_kg; normalised metrics are NaN"
            )
    elif weight.suspect:
        findings.append(
            f"body weight is doubtful: {weight.force_n:.0f} N ({weight.source}) but {weight.dynamic_n:.0f} N over "
            f"whole strides{SCALE_HINT}"
        )
    elif _too_light(found):
        findings.append(
            f"body weight is doubtful: {weight.force_n:.0f} N ({weight.source}), but no load has the peak of a step"
            f"{SCALE_HINT}"
        )
    for k, base in enumerate(quality["baseline"]):
        swing = max(b - a for a, b in zip(base["fz_min_n"], base["fz_max_n"], strict=True))
        if math.isfinite(weight.force_n) and swing > DRIFT_BW * weight.force_n:
            findings.append(f"the unloaded offset drifts by {swing:.0f} N (removed)")
        if base["note"] and seen:
            findings.append(f"baseline {k + 1}: {base['note']}")
    return findings


def _too_light(found: Segmentation) -> bool:
    """Whether all loads were rejected for their peaks, which are measured by a body weight that was told."""
    reasons = [r["reason"] for v in found.virtual for r in v.contacts.rejected]
    return (
        found.weight.source in ("given", "static")
        and not any(len(v.contacts) for v in found.virtual)
        and bool(reasons)
        and all(reason.startswith("peak below") for reason in reasons)
    )


def _level_findings(found: Segmentation, weight_n: float) -> list[str]:
    findings: list[str] = []
    for level in sorted({v.level_n for v in found.virtual}):
        if level > HIGH_LEVEL_N or level > HIGH_LEVEL_BW * weight_n:
            findings.append(f"the contact level of {level:.0f} N is high: contact times come out short")
    return findings


def _never_unloaded(found: Segmentation) -> list[tuple[float, float]]:
    """Spans of contacts that are longer than any step, s."""
    longest = RULES["walk"].max_contact_s
    spans = np.concatenate([v.contacts.samples / v.contacts.rate_hz for v in found.virtual])
    return [(a, b) for a, b in spans[np.diff(spans, axis=1)[:, 0] > longest].tolist()]


def _step_findings(found: Segmentation, table: StepTable, sides: Sides, checks: dict[str, Any]) -> list[str]:
    findings: list[str] = []
    rejected = [r["reason"] for v in found.virtual for r in v.contacts.rejected]
    if rejected and not found.unloaded and not found.coarse.upside_down:
        reasons = "; ".join(f"{rejected.count(r)} {r}" for r in sorted(set(rejected)))
        findings.append(f"{len(rejected)} loads were not taken for contacts: {reasons}")
    findings += [
        f"from {low:.1f} to {high:.1f} s a plate is never unloaded (standing, or walking on a single belt): "
        "no steps can be told apart there"
        for low, high in _never_unloaded(found)
    ]
    if not len(table):
        return findings
    usable = ~unusable(table["flags"])
    counts = [int((usable & (table["side"] == limb)).sum()) for limb in sides.limbs]
    if min(counts) < ENOUGH_STEPS:
        findings.append(
            f"{counts[0]} and {counts[1]} usable steps a limb: at least {ENOUGH_STEPS} are advised for symmetry"
        )
    if checks["mean_fz_ok"] is False:
        findings.append(
            f"mean vertical force over whole strides is {checks['mean_fz_bw']:.3f} BW instead of 1"
        )
    if abs(checks["net_ap_m_s_per_stride"]) > NET_AP_M_S:
        findings.append(
            f"net fore-aft impulse is {checks['net_ap_m_s_per_stride']:+.2f} m/s a stride: speed changes, "
            "an incline not given, or cross-talk"
        )
    if checks["flight_residual_over_limit"]:
        findings.append(
            f"{checks['flight_residual_over_limit']} contacts whose impulse and flights don't agree "
            f"(more than {RESIDUAL_M_S} m/s)"
        )
    return findings


#: Samples compared from contact on, to find blocks of signal that were recorded twice.
_REPEAT_S = 0.02


def _repeats(found: Segmentation) -> int:
    """Contacts that repeat an earlier one sample for sample, as a looped buffer would."""
    seen: set[bytes] = set()
    repeats = 0
    width = max(round(_REPEAT_S * found.record.rate_hz), 8)
    for v in found.virtual:
        if not len(v.raw):  # a stream keeps no signal
            continue
        starts = np.ceil(v.contacts.samples[v.contacts.complete, 0]).astype(np.int64)
        # Only where the first sample came before, which noise makes rare, is it worth while to compare the rest.
        order = np.argsort(v.raw[starts], kind="stable")
        same = np.diff(v.raw[starts[order]]) == 0.0
        twice = np.zeros(len(starts), dtype=bool)
        twice[order[1:][same]] = twice[order[:-1][same]] = True
        for i in starts[twice].tolist():
            piece = v.raw[i : i + width].tobytes()
            repeats += piece in seen
            seen.add(piece)
    return repeats


def plain(value: Any) -> Any:
    """Plain Python values for JSON: NumPy scalars unwrapped, NaN and infinities as None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
