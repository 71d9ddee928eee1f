"""A result as text: what a person reads first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from balancecore.markup import plain_number

if TYPE_CHECKING:
    from balancecore.gait import GaitResult
    from balancecore.symmetry import SymmetryRow

__all__ = [
    "GAITS",
    "LINES",
    "RATE_OF_RULE",
    "WEIGHT",
    "Line",
    "columns_text",
    "headlines",
    "method_words",
    "sentence",
    "shown_metrics",
    "summary_text",
]


class Line(NamedTuple):
    """How a metric is shown: its words, unit, factor from the table's unit, and decimals."""

    words: str
    unit: str
    factor: float
    digits: int


#: Every metric on which limbs are compared, and step width.
LINES = {
    "tc": Line("contact time", "ms", 1000.0, 1),
    "tf": Line("flight time", "ms", 1000.0, 1),
    "t_step": Line("step time", "ms", 1000.0, 1),
    "t_swing": Line("swing time", "ms", 1000.0, 1),
    "duty": Line("duty factor", "%", 100.0, 2),
    "peak_impact": Line("impact peak", "BW", 1.0, 3),
    "t_impact": Line("time to impact peak", "ms", 1000.0, 1),
    "peak_active": Line("active peak", "BW", 1.0, 3),
    "t_active": Line("time to active peak", "ms", 1000.0, 1),
    "valr_0_100": Line("loading rate, to impact peak", "BW/s", 1.0, 1),
    "valr_2080t": Line("loading rate, average", "BW/s", 1.0, 1),
    "valr_2080f": Line("loading rate, 20–80 % force", "BW/s", 1.0, 1),
    "valr_3_12": Line("loading rate, 3–12 %", "BW/s", 1.0, 1),
    "valr_2080_poi13": Line("loading rate, average (13 %)", "BW/s", 1.0, 1),
    "valr_0_50ms": Line("loading rate, first 50 ms", "BW/s", 1.0, 1),
    "vilr": Line("loading rate, highest", "BW/s", 1.0, 1),
    "vilr_50ms": Line("loading rate, highest in 50 ms", "BW/s", 1.0, 1),
    "blr": Line("braking rate, highest", "BW/s", 1.0, 1),
    "blr_2080": Line("braking rate, average", "BW/s", 1.0, 1),
    "imp_v": Line("vertical impulse", "BW·s", 1.0, 4),
    "imp_v_early": Line("vertical impulse, early", "BW·s", 1.0, 4),
    "imp_brake": Line("braking impulse", "BW·s", 1.0, 4),
    "imp_prop": Line("propulsive impulse", "BW·s", 1.0, 4),
    "imp_brake_phase": Line("braking impulse, by phase", "BW·s", 1.0, 4),
    "imp_prop_phase": Line("propulsive impulse, by phase", "BW·s", 1.0, 4),
    "t_zero_ap": Line("braking ends at", "%", 1.0, 1),
    "peak_brake": Line("peak braking", "BW", 1.0, 3),
    "peak_prop": Line("peak propulsion", "BW", 1.0, 3),
    "imp_med": Line("medial impulse", "BW·s", 1.0, 4),
    "imp_lat": Line("lateral impulse", "BW·s", 1.0, 4),
    "vo": Line("vertical oscillation", "mm", 1000.0, 1),
    "k_vert": Line("vertical stiffness", "kN/m", 1.0, 1),
    "k_leg": Line("leg stiffness", "kN/m", 1.0, 1),
    "step_length": Line("step length", "m", 1.0, 3),
    "step_width": Line("step width", "mm", 1000.0, 1),
}
#: Metrics of the summary, in its order.
_SHOWN = (
    "tc",
    "tf",
    "t_step",
    "duty",
    "peak_impact",
    "peak_active",
    "valr_2080t",
    "valr_2080_poi13",
    "vilr",
    "imp_v",
    "imp_brake",
    "imp_prop",
    "peak_brake",
    "peak_prop",
    "imp_med",
    "vo",
    "k_vert",
    "k_leg",
    "step_length",
    "step_width",
)
#: The average loading rate shown first follows the trial's point of interest.
RATE_OF_RULE = {"impact_peak": "valr_2080t", "13pct": "valr_2080_poi13", "mixed": "valr_2080_poi13"}
GAITS = {"run": "running", "walk": "walking", "mixed": "mixed gait"}
#: Where body weight comes from, in words.
WEIGHT = {
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
    gait = GAITS[q["gait"]["used"]]
    plates = len(used["plates"])
    weight = q["body_weight"]
    lines = [
        f"Record     {used['duration_s']:.1f} s at {used['rate_hz']:g} Hz, {plates} plate{'s' if plates > 1 else ''}"
        + (f", {gait}" if q["contacts"] else "")
        + (" overground" if used["surface"] == "overground" else ""),
        f"Contacts   {q['complete']} complete of {q['contacts']}, {q['used']} used"
        + (f"; cadence {q['cadence_spm']:.1f} steps/min" if q["cadence_spm"] else ""),
        f"Level      {' / '.join(dict.fromkeys(f'{round(v, 1):g} N' for v in q['level_n']))}; "
        f"kinetics low-pass {_filter(used)}",
    ]
    if weight["weight_n"] is not None:
        lines.append(
            f"Weight     {weight['weight_n']:.1f} N ({weight['mass_kg']:.2f} kg), {WEIGHT[weight['source']]}"
        )
    if len(result.steps):
        lines.append(f"Sides      {_sides(q['sides'])}")
    return "\n".join(lines)


def _filter(used: dict[str, Any]) -> str:
    cutoff = used["kinetics_filter"].get("cutoff_hz")
    return "off" if cutoff is None else f"{cutoff:g} Hz, zero phase"


def method_words(method: str) -> str:
    """How sides are known, in words; several methods are joined by a plus sign."""
    return " and ".join(_METHODS[m] for m in method.split("+"))


def _sides(sides: dict[str, Any]) -> str:
    how = method_words(sides["method"])
    vote = sides["vote"]
    tail = ""
    if vote and vote["voters"]:
        tail = f" ({100 * vote['share']:.0f} % of {vote['voters']} contacts agree)"
    unknown = (
        "\n           which of them is left is not known: give the first side, or the side of each plate"
    )
    return f"{' and '.join(sides['limbs'])}, {how}{tail}" + (unknown if "A" in sides["limbs"] else "")


def _sentences(result: GaitResult) -> str:
    return "\n".join(sentence(row, result.limbs) for row in headlines(result))


def headlines(result: GaitResult) -> list[SymmetryRow]:
    """The rows that the summary puts into sentences."""
    rows = [result.symmetry[name] for name in _HEADLINE]
    return [row for row in rows if math.isfinite(row.si) and math.isfinite(row.ci_low)]


def shown_metrics(result: GaitResult) -> list[str]:
    """Metrics of the summary's table; the average loading rate is that of the trial's point of interest."""
    rate = RATE_OF_RULE[result.quality["poi_rule"]]
    return [n for n in _SHOWN if n == rate or not n.startswith("valr_")]


def _plain(row: SymmetryRow, field: str, form: str) -> str:
    """A field of a row: with its sign if the format has one, else its size."""
    value = getattr(row, field)
    return plain_number(value if form.startswith("+") else abs(value), form)


def sentence(
    row: SymmetryRow, limbs: tuple[str, str], show: Callable[[SymmetryRow, str, str], str] = _plain
) -> str:
    """One metric in plain words: which limb, how much, and whether it is more than chance and than variability.

    Parameters
    ----------
    row : SymmetryRow
        With an index and an interval.
    limbs : tuple of 2 str
    show : callable
        Writes one field of the row in a format; without a sign in the format it is the size that counts.
    """
    words = LINES[row.metric].words
    head = words[0].upper() + words[1:]
    form = ".1f" if row.distinguishable else "+.1f"
    ends = ("ci_low", "ci_high") if row.si > 0 or not row.distinguishable else ("ci_high", "ci_low")
    interval = f"{show(row, ends[0], form)} to {show(row, ends[1], form)}"
    if not row.distinguishable:
        return (
            f"{head}: no difference beyond chance between {limbs[0]} and {limbs[1]} "
            f"(SI {show(row, 'si', form)} %, 95 % CI {interval})."
        )
    larger, smaller = limbs if row.si > 0 else limbs[::-1]
    more = {
        True: ", more than the steps of a limb vary",
        False: ", but less than the steps of a limb vary",
        None: "",
    }[row.beyond_variability]
    return f"{head}: {larger} > {smaller} by {show(row, 'si', form)} % (95 % CI {interval}){more}."


def _table(result: GaitResult) -> str:
    limbs = result.limbs
    names = shown_metrics(result)
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
    line = LINES[name]
    stats = [result.summary[name][limb] for limb in result.limbs]
    if not any(s.n for s in stats):
        return None
    cells = [line.words, name, line.unit]
    for s in stats:
        mean, sd = (plain_number(v, f".{line.digits}f", line.factor) for v in (s.mean, s.sd))
        cells.append(f"{mean} ± {sd}" if s.n else "-")
    if name not in result.symmetry:
        return (*cells, "", "", "", "", "", "")
    row = result.symmetry[name]
    low, high = (plain_number(end, "+.2f") for end in (row.ci_low, row.ci_high))
    return (
        *cells,
        plain_number(row.si, "+.2f"),
        f"{low} to {high}" if math.isfinite(row.ci_low) else "-",
        plain_number(row.noise_floor, ".2f"),
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
            lines.append(f"Not in every step: {LINES[name].words} ({', '.join(parts)}).")
    return lines


def _light(value: bool | None) -> str:
    return "-" if value is None else "yes" if value else "no"


def _checks(result: GaitResult) -> str:
    m = result.quality["momentum"]
    rows: list[tuple[str, ...]] = [
        ("mean Fz over whole strides", m["mean_fz_bw"], ".4f", "BW", "1 ± 0.02"),
        ("net fore-aft velocity change", m["net_ap_m_s_per_stride"], "+.3f", "m/s a stride", "within 0.05"),
        ("impulse against flights (median)", m["flight_residual_m_s"], ".3f", "m/s", "below 0.15"),
        ("camber (removed from Fx)", result.quality["camber_deg"], "+.2f", "deg", "0 on a level surface"),
    ]
    lines = [
        f"  {what:<34}{f'{plain_number(value, form)} {unit}':<24}{want}"
        for what, value, form, unit, want in rows
        if value is not None
    ]
    flags = ", ".join(f"{name} {n}" for name, n in result.quality["flags"].items())
    return "\n".join(["Checks", *lines, f"  {'flagged contacts':<34}{flags or 'none'}"])
