"""A result as text: what a person reads first; and a file's own text made fit for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from balancecore.gait import GaitResult
    from balancecore.symmetry import SymmetryRow

__all__ = ["columns_text", "harmless", "summary_text"]


class _Line(NamedTuple):
    """How a metric is shown: its words, unit, factor from the table's unit, and decimals."""

    words: str
    unit: str
    factor: float
    digits: int


_SHOWN = {
    "tc": _Line("contact time", "ms", 1000.0, 1),
    "tf": _Line("flight time", "ms", 1000.0, 1),
    "t_step": _Line("step time", "ms", 1000.0, 1),
    "duty": _Line("duty factor", "%", 100.0, 2),
    "peak_impact": _Line("impact peak", "BW", 1.0, 3),
    "peak_active": _Line("active peak", "BW", 1.0, 3),
    "valr_2080t": _Line("loading rate, average", "BW/s", 1.0, 1),
    "valr_2080_poi13": _Line("loading rate, average", "BW/s", 1.0, 1),
    "vilr": _Line("loading rate, highest", "BW/s", 1.0, 1),
    "imp_v": _Line("vertical impulse", "BW·s", 1.0, 4),
    "imp_brake": _Line("braking impulse", "BW·s", 1.0, 4),
    "imp_prop": _Line("propulsive impulse", "BW·s", 1.0, 4),
    "peak_brake": _Line("peak braking", "BW", 1.0, 3),
    "peak_prop": _Line("peak propulsion", "BW", 1.0, 3),
    "imp_med": _Line("medial impulse", "BW·s", 1.0, 4),
    "vo": _Line("vertical oscillation", "mm", 1000.0, 1),
    "k_vert": _Line("vertical stiffness", "kN/m", 1.0, 1),
    "k_leg": _Line("leg stiffness", "kN/m", 1.0, 1),
    "step_length": _Line("step length", "m", 1.0, 3),
    "step_width": _Line("step width", "mm", 1000.0, 1),
}
#: The average loading rate shown first follows the trial's point of interest.
_RATE_OF_RULE = {"impact_peak": "valr_2080t", "13pct": "valr_2080_poi13", "mixed": "valr_2080_poi13"}
_WEIGHT = {
    "given": "given",
    "static": "from standing still",
    "whole_strides": "the mean force over whole strides",
}
_METHODS = {
    "belt": "by belt",
    "cop_vote": "by a vote of the centres of pressure",
    "user": "from the first side given",
    "parity": "by alternation alone",
    "plates": "from the sides of the plates",
    "events": "by the events of the file",
    "markers": "by foot markers",
    "alternation": "by alternation",
}
#: A metric of fewer of a limb's steps than this gets a line of its own.
MOST_STEPS = 0.8
_HEADLINE = ("imp_v", "tc", "vilr")


def harmless(text: str, most: int = 60) -> str:
    """A file's own text for a terminal: what does not print (controls, bidirectional marks) escaped, long text cut.

    Parameters
    ----------
    text : str
    most : int
        Characters kept.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def columns_text(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Lines of aligned columns: the first and the last to the left, the others to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]) - 1)]
    return [
        (
            indent
            + row[0].ljust(widths[0])
            + "".join(f"  {cell.rjust(width)}" for cell, width in zip(row[1:-1], widths[1:], strict=True))
            + f"  {row[-1]}"
        ).rstrip()
        for row in rows
    ]


def summary_text(result: GaitResult) -> str:
    """Limb means and SD, symmetry with its interval, checks and warnings, with units.

    Parameters
    ----------
    result : GaitResult
    """
    parts = [_about(result)]
    if result.quality["complete"]:
        parts += [_sentences(result), _table(result), _checks(result)]
    warnings = [f"  ! {w}" for w in result.quality["warnings"]]
    notes = [f"  - {n}" for n in result.quality["notes"]]
    if warnings or notes:
        parts.append("\n".join(["Worth knowing", *warnings, *notes]))
    return "\n\n".join(p for p in parts if p)


def _about(result: GaitResult) -> str:
    q, used = result.quality, result.provenance["used"]
    duration = used["frames"] / used["rate_hz"]
    gait = {"run": "running", "walk": "walking", "mixed": "mixed gait"}[q["gait"]["used"]]
    plates = len(used["plates"])
    weight = q["body_weight"]
    lines = [
        f"Record     {duration:.1f} s at {used['rate_hz']:g} Hz, {plates} plate{'s' if plates > 1 else ''}"
        + (f", {gait}" if q["contacts"] else "")
        + (" overground" if used["surface"] == "overground" else ""),
        f"Contacts   {q['complete']} complete of {q['contacts']}, {q['used']} used"
        + (f"; cadence {q['cadence_spm']:.1f} steps/min" if q["cadence_spm"] else ""),
        f"Level      {' / '.join(dict.fromkeys(f'{round(v, 1):g} N' for v in q['level_n']))}; "
        f"kinetics low-pass {_filter(used)}",
    ]
    if weight["weight_n"] is not None:
        lines.append(
            f"Weight     {weight['weight_n']:.1f} N ({weight['mass_kg']:.2f} kg), {_WEIGHT[weight['source']]}"
        )
    if len(result.steps):
        lines.append(f"Sides      {_sides(q['sides'])}")
    return "\n".join(lines)


def _filter(used: dict[str, Any]) -> str:
    cutoff = used["kinetics_filter"].get("cutoff_hz")
    return "off" if cutoff is None else f"{cutoff:g} Hz, zero phase"


def _sides(sides: dict[str, Any]) -> str:
    known = sides["method"]
    how = _METHODS[known] if known in _METHODS else " and ".join(_METHODS[m] for m in known.split("+"))
    vote = sides["vote"]
    tail = ""
    if vote and vote["voters"]:
        tail = f" ({100 * vote['share']:.0f} % of {vote['voters']} contacts agree)"
    unknown = (
        "\n           which of them is left is not known: give the first side, or the side of each plate"
    )
    return f"{' and '.join(sides['limbs'])}, {how}{tail}" + (unknown if "A" in sides["limbs"] else "")


def _sentences(result: GaitResult) -> str:
    lines = []
    for name in _HEADLINE:
        row = result.symmetry[name]
        if math.isfinite(row.si) and math.isfinite(row.ci_low):
            lines.append(_sentence(row, _SHOWN[name].words, result.limbs))
    return "\n".join(lines)


def _sentence(row: SymmetryRow, words: str, limbs: tuple[str, str]) -> str:
    """One metric in plain words: which limb, how much, and whether it is more than chance and than variability."""
    larger, smaller = limbs if row.si > 0 else limbs[::-1]
    low, high = sorted((abs(row.ci_low), abs(row.ci_high)))
    head = words[0].upper() + words[1:]
    if not row.distinguishable:
        return (
            f"{head}: no difference beyond chance between {limbs[0]} and {limbs[1]} "
            f"(SI {row.si:+.1f} %, 95 % CI {row.ci_low:+.1f} to {row.ci_high:+.1f})."
        )
    more = (
        "more than the steps of a limb vary"
        if row.beyond_variability
        else "but less than the steps of a limb vary"
    )
    return f"{head}: {larger} > {smaller} by {abs(row.si):.1f} % (95 % CI {low:.1f} to {high:.1f}), {more}."


def _table(result: GaitResult) -> str:
    limbs = result.limbs
    rate = _RATE_OF_RULE[result.quality["poi_rule"]]
    names = [n for n in _SHOWN if n == rate or not n.startswith("valr_")]
    rows: list[tuple[str, ...]] = [
        (
            "metric",
            "id",
            "unit",
            f"{limbs[0]} mean ± SD",
            f"{limbs[1]} mean ± SD",
            "SI %",
            "95 % CI",
            "noise",
            "CI≠0",
            ">CV",
            ">MDC",
        )
    ]
    for name in names:
        row = _table_row(result, name)
        if row is not None:
            rows.append(row)
    widths = [max(len(r[j]) for r in rows) for j in range(len(rows[0]))]
    left = {0, 1, 2}
    body = [
        "  ".join(
            c.ljust(w) if j in left else c.rjust(w) for j, (c, w) in enumerate(zip(r, widths, strict=True))
        ).rstrip()
        for r in rows
    ]
    key = (
        f"SI: symmetry index of the limb means, + is {limbs[0]} > {limbs[1]}; noise: |SI| expected from chance, %;\n"
        "CI≠0: the interval excludes zero; >CV: |SI| exceeds the more variable limb's step-to-step CV;\n"
        ">MDC: |SI| exceeds this lab's minimal detectable change (- if none was given: mdc95)."
    )
    return "\n".join([body[0], "-" * max(map(len, body)), *body[1:], key, *_partial(result, names)])


def _table_row(result: GaitResult, name: str) -> tuple[str, ...] | None:
    line = _SHOWN[name]
    stats = [result.summary[name][limb] for limb in result.limbs]
    if not any(s.n for s in stats):
        return None
    cells = [line.words, name, line.unit]
    for s in stats:
        sd = "-" if math.isnan(s.sd) else f"{s.sd * line.factor:.{line.digits}f}"
        cells.append(f"{s.mean * line.factor:.{line.digits}f} ± {sd}" if s.n else "-")
    if name not in result.symmetry:
        return (*cells, "", "", "", "", "", "")
    row = result.symmetry[name]
    interval = f"{row.ci_low:+.2f} to {row.ci_high:+.2f}" if math.isfinite(row.ci_low) else "-"
    return (
        *cells,
        f"{row.si:+.2f}" if math.isfinite(row.si) else "-",
        interval,
        f"{row.noise_floor:.2f}" if math.isfinite(row.noise_floor) else "-",
        _light(row.distinguishable),
        _light(row.beyond_variability),
        _light(row.beyond_error),
    )


def _partial(result: GaitResult, names: list[str]) -> list[str]:
    """Metrics that a good part of the steps lacks: their means are of other steps than the rest of the table."""
    steps = [result.summary["tc"][limb].n for limb in result.limbs]
    lines = []
    for name in names:
        counts = [result.summary[name][limb].n for limb in result.limbs]
        if any(counts) and any(n < MOST_STEPS * of for n, of in zip(counts, steps, strict=True)):
            parts = (f"{n} of {of} {x}" for n, of, x in zip(counts, steps, result.limbs, strict=True))
            lines.append(f"Not in every step: {_SHOWN[name].words} ({', '.join(parts)}).")
    return lines


def _light(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "no"


def _checks(result: GaitResult) -> str:
    m = result.quality["momentum"]
    rows: list[tuple[str, ...]] = [
        ("mean Fz over whole strides", m["mean_fz_bw"], "{:.4f} BW", "1 ± 0.02"),
        ("net fore-aft velocity change", m["net_ap_m_s_per_stride"], "{:+.3f} m/s a stride", "within 0.05"),
        ("impulse against flights (median)", m["flight_residual_m_s"], "{:.3f} m/s", "below 0.15"),
        ("camber (removed from Fx)", result.quality["camber_deg"], "{:+.2f} deg", "0 on a level surface"),
    ]
    lines = [
        f"  {what:<34}{form.format(value):<24}{want}" for what, value, form, want in rows if value is not None
    ]
    flags = ", ".join(f"{name} {n}" for name, n in result.quality["flags"].items())
    return "\n".join(["Checks", *lines, f"  {'flagged contacts':<34}{flags or 'none'}"])
