"""THE table of per-step columns: identifier, unit, definition, when it is NaN, and its source.

Nothing else defines a column; the documentation page is made from this table. ``metrics`` in a source means the
project's metric reference, whose numbers in brackets are the literature it lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["COLUMNS", "SYMMETRY_METRICS", "Column", "column_table"]

Use = Literal["index", "magnitude", "none"]


@dataclass(frozen=True)
class Column:
    """One column of the step table.

    Attributes
    ----------
    id : str
        Name in tables and results.
    unit : str
        Unit, empty for labels and bit fields, "1" for a ratio.
    dtype : str
        NumPy type.
    definition : str
        What the number is.
    nan_when : str
        When it is NaN (beyond incomplete contacts and contacts touched by a gap, which have no metrics).
    source : str
        Where the definition comes from.
    symmetry : {"index", "magnitude", "none"}
        Whether limbs are compared on it; "magnitude" for one-signed parts that are negative.
    """

    id: str
    unit: str
    dtype: str
    definition: str
    nan_when: str = ""
    source: str = ""
    symmetry: Use = "none"


_IP = "no impact peak (NO_IMPACT_PEAK)"
_HZ = "rate below 200 Hz (LOW_FS)"
_SIDE = "medial can't be told from lateral"
_COP = "no moments, or force too low (COP_LOW_FORCE)"
_NEXT = "no next contact, a missed contact or a gap before it"


def _rate(name: str, what: str, nan: str, source: str, use: Use = "index") -> tuple[Column, Column]:
    return (
        Column(
            name,
            "BW/s",
            "float64",
            f"average vertical loading rate {what}: difference quotient of the ends",
            nan,
            source,
            use,
        ),
        Column(
            f"{name}_ls",
            "BW/s",
            "float64",
            f"least-squares slope {what}, all samples",
            nan,
            "metrics 2.2 (lab variant, unverified)",
            "none",
        ),
    )


COLUMNS: tuple[Column, ...] = (
    Column(
        "t_on",
        "s",
        "float64",
        "contact on: upward crossing of the level",
        "the signal starts inside the contact",
        "metrics 1.4",
    ),
    Column(
        "t_off",
        "s",
        "float64",
        "contact off: downward crossing of the level",
        "the signal ends inside the contact",
        "metrics 1.4",
    ),
    Column("side", "", "<U1", "L, R; A, B where the anatomical side is unknown; ?", "", "metrics 1.7"),
    Column("flags", "", "int64", "bits of balancecore.Flag", "", "metrics 0"),
    Column(
        "plate", "", "int64", "belt or plate of the contact; -1 where plates are summed", "", "metrics 1.8"
    ),
    Column("tc", "s", "float64", "contact time: t_off - t_on", "", "metrics 0", "index"),
    Column(
        "tf",
        "s",
        "float64",
        "flight after the contact: next t_on - t_off; negative is double support",
        _NEXT,
        "metrics 0",
        "index",
    ),
    Column(
        "t_step",
        "s",
        "float64",
        "step time: next t_on - t_on, owned by this contact's side",
        _NEXT,
        "metrics 4",
        "index",
    ),
    Column("t_stride", "s", "float64", "stride time: t_on to the next but one t_on", _NEXT, "metrics 4"),
    Column("t_swing", "s", "float64", "swing: stride time - contact time", _NEXT, "metrics 4", "index"),
    Column(
        "duty", "1", "float64", "duty factor: contact time / stride time", _NEXT, "metrics 4 [R35]", "index"
    ),
    Column(
        "peak_impact",
        "BW",
        "float64",
        "impact peak: first local maximum from 5 ms to min(25 % of contact, 75 ms) with a prominence of at least "
        "max(0.05 BW, 5 noise SD), at the vertex of a parabola",
        _IP,
        "metrics 2.1 [R65][R66]",
        "index",
    ),
    Column(
        "t_impact", "s", "float64", "time of the impact peak after contact on", _IP, "metrics 2.1", "index"
    ),
    Column(
        "peak_active",
        "BW",
        "float64",
        "active peak: largest force after the impact peak's dip (or after 25 % of contact)",
        "",
        "metrics 2.1",
        "index",
    ),
    Column(
        "t_active", "s", "float64", "time of the active peak after contact on", "", "metrics 2.1", "index"
    ),
    *_rate("valr_0_100", "from contact on to the impact peak", _IP, "metrics 2.2 [R12][R13]"),
    *_rate("valr_2080t", "from 20 to 80 % of the time to the impact peak", _IP, "metrics 2.2 [R13][R16]"),
    *_rate(
        "valr_2080f",
        "between the first times at 20 and 80 % of the impact peak's force",
        _IP,
        "metrics 2.2 [R12]",
    ),
    *_rate("valr_3_12", "from 3 to 12 % of contact", "", "metrics 2.2 [R12][R14]"),
    *_rate("valr_2080_poi13", "from 20 to 80 % of the time to 13 % of contact", "", "metrics 2.2 [R15]"),
    *_rate(
        "valr_0_50ms", "over the first 50 ms of contact", "contact shorter than 50 ms", "metrics 2.2 [R13]"
    ),
    *_rate("valr_0_13", "over the first 13 % of contact", "", "metrics 2.2 (variant, unverified)", "none"),
    Column(
        "vilr",
        "BW/s",
        "float64",
        "instantaneous vertical loading rate: largest central difference from contact on to the point of "
        "interest of the trial's rule (impact peak or 13 % of contact)",
        f"{_HZ}; {_IP} under that rule",
        "metrics 2.3 [R13]",
        "index",
    ),
    Column("vilr_ip", "BW/s", "float64", "as vilr, to the impact peak", f"{_HZ}; {_IP}", "metrics 2.3"),
    Column("vilr_poi13", "BW/s", "float64", "as vilr, to 13 % of contact", _HZ, "metrics 2.3"),
    Column(
        "vilr_2080t",
        "BW/s",
        "float64",
        "largest central difference in the window of valr_2080t",
        f"{_HZ}; {_IP}",
        "metrics 2.3",
    ),
    Column(
        "vilr_2080f",
        "BW/s",
        "float64",
        "largest central difference in the window of valr_2080f",
        f"{_HZ}; {_IP}",
        "metrics 2.3 [R12]",
    ),
    Column(
        "vilr_50ms",
        "BW/s",
        "float64",
        "largest central difference in the first 50 ms",
        f"{_HZ}; contact shorter than 50 ms",
        "metrics 2.3",
        "index",
    ),
    Column(
        "blr",
        "BW/s",
        "float64",
        "braking loading rate: steepest fall of Fy from contact on to peak braking",
        "no Fy, or no braking",
        "metrics 2.4",
        "magnitude",
    ),
    Column(
        "blr_2080",
        "BW/s",
        "float64",
        "average slope of Fy from 20 to 80 % of the time to peak braking",
        "no Fy, or no braking",
        "metrics 2.4",
        "magnitude",
    ),
    Column("imp_v", "BW s", "float64", "vertical impulse over the contact", "", "metrics 3.1", "index"),
    Column(
        "imp_v_net",
        "BW s",
        "float64",
        "vertical impulse less body weight times contact time",
        "",
        "metrics 3.1",
    ),
    Column(
        "imp_v_early",
        "BW s",
        "float64",
        "vertical impulse from contact on to the point of interest",
        f"{_IP} under that rule",
        "metrics 3.1",
        "index",
    ),
    Column(
        "imp_brake",
        "BW s",
        "float64",
        "braking impulse: integral of the negative part of Fy",
        "no Fy",
        "metrics 3.1",
        "magnitude",
    ),
    Column(
        "imp_prop",
        "BW s",
        "float64",
        "propulsive impulse: integral of the positive part of Fy",
        "no Fy",
        "metrics 3.1",
        "index",
    ),
    Column("imp_ap_net", "BW s", "float64", "braking plus propulsive impulse", "no Fy", "metrics 3.1"),
    Column(
        "imp_brake_phase",
        "BW s",
        "float64",
        "integral of Fy up to t_zero_ap",
        "t_zero_ap is NaN",
        "metrics 3.1",
        "magnitude",
    ),
    Column(
        "imp_prop_phase",
        "BW s",
        "float64",
        "integral of Fy after t_zero_ap",
        "t_zero_ap is NaN",
        "metrics 3.1",
        "index",
    ),
    Column(
        "t_zero_ap",
        "%",
        "float64",
        "last upward zero crossing of Fy between peak braking and peak propulsion, % of contact",
        "no such crossing",
        "metrics 3.1",
        "index",
    ),
    Column(
        "peak_brake",
        "BW",
        "float64",
        "peak braking force (negative)",
        "no Fy, or no braking",
        "metrics 3.1",
        "magnitude",
    ),
    Column(
        "t_peak_brake",
        "s",
        "float64",
        "time of peak braking after contact on",
        "as peak_brake",
        "metrics 3.1",
    ),
    Column(
        "peak_prop",
        "BW",
        "float64",
        "peak propulsive force",
        "no Fy, or no propulsion",
        "metrics 3.1",
        "index",
    ),
    Column(
        "t_peak_prop",
        "s",
        "float64",
        "time of peak propulsion after contact on",
        "as peak_prop",
        "metrics 3.1",
    ),
    Column(
        "imp_med",
        "BW s",
        "float64",
        "medial impulse: part of Fx towards the other foot, after camber",
        f"no Fx; {_SIDE}",
        "metrics 3.1, 4.4",
        "index",
    ),
    Column(
        "imp_lat",
        "BW s",
        "float64",
        "lateral impulse: part of Fx away from the other foot (negative)",
        f"no Fx; {_SIDE}",
        "metrics 3.1, 4.4",
        "magnitude",
    ),
    Column("imp_ml_net", "BW s", "float64", "medial plus lateral impulse", f"no Fx; {_SIDE}", "metrics 3.1"),
    Column("peak_med", "BW", "float64", "peak medial force", f"no Fx; {_SIDE}", "metrics 3.1"),
    Column("peak_lat", "BW", "float64", "peak lateral force (negative)", f"no Fx; {_SIDE}", "metrics 3.1"),
    Column(
        "vo",
        "m",
        "float64",
        "vertical oscillation in the step: range of height by double integration over whole strides",
        "no whole stride; walking on plates that miss part of the force",
        "metrics 4.1 (Cavagna)",
        "index",
    ),
    Column("dy", "m", "float64", "height lost from contact on to the lowest point", "as vo", "metrics 4.1"),
    Column(
        "k_vert",
        "kN/m",
        "float64",
        "vertical stiffness: peak force / dy",
        "as vo; walking",
        "metrics 4 [R32]",
        "index",
    ),
    Column(
        "k_leg",
        "kN/m",
        "float64",
        "leg stiffness, kinetic: peak force / (dy + L - sqrt(L^2 - (v tc/2)^2))",
        "as k_vert; no speed or leg length; v tc/2 >= L",
        "metrics 4.2 (McMahon and Cheng, unverified)",
        "index",
    ),
    Column(
        "k_vert_sine",
        "kN/m",
        "float64",
        "vertical stiffness of the sine model, from body mass, tc and tf",
        "walking, or no flight",
        "metrics 4.2 [R32]",
    ),
    Column(
        "k_leg_sine",
        "kN/m",
        "float64",
        "leg stiffness of the sine model",
        "as k_vert_sine; no speed or leg length; v tc/2 >= L; not valid on slopes",
        "metrics 4.2 [R32]",
    ),
    Column(
        "step_length",
        "m",
        "float64",
        "distance of the next footfall on the belt: speed times the time between the middles of the contacts, plus "
        "the way of the centre of pressure",
        f"no speed; {_NEXT}",
        "metrics 4",
        "index",
    ),
    Column(
        "step_width",
        "m",
        "float64",
        "distance of the next contact's centre of pressure towards its own side (negative: the feet cross)",
        f"{_COP}; {_NEXT}; {_SIDE}",
        "metrics 4",
    ),
    Column(
        "cop_x",
        "m",
        "float64",
        "lateral centre of pressure, force-weighted over 20-80 % of contact, in the lab",
        _COP,
        "metrics 1.7",
    ),
    Column(
        "cop_y",
        "m",
        "float64",
        "fore-aft centre of pressure, force-weighted over 20-80 % of contact, in the lab",
        _COP,
        "metrics 1.7",
    ),
    Column(
        "cop_range_x",
        "m",
        "float64",
        "lateral range of the centre of pressure where Fz > max(50 N, 5 % BW)",
        _COP,
        "metrics 4",
    ),
    Column(
        "cop_range_y",
        "m",
        "float64",
        "fore-aft range of the centre of pressure on the belt",
        f"{_COP}; no speed",
        "metrics 4",
    ),
    Column(
        "cop_path",
        "m",
        "float64",
        "length of the path of the centre of pressure on the belt",
        f"{_COP}; no speed",
        "metrics 4",
    ),
    Column(
        "v_residual",
        "m/s",
        "float64",
        "momentum check: net vertical impulse / mass less half of g times the flights before and after",
        "no flight on either side; walking",
        "metrics 3.5",
    ),
)

#: Columns on which limbs are compared; never a net of parts with two signs.
SYMMETRY_METRICS: tuple[str, ...] = tuple(c.id for c in COLUMNS if c.symmetry != "none")


def column_table() -> str:
    """The columns as a Markdown table; `docs/columns.md` is this text."""
    lines = ["| column | unit | definition | NaN when | source |", "|---|---|---|---|---|"]
    lines += [f"| `{c.id}` | {c.unit} | {c.definition} | {c.nan_when} | {c.source} |" for c in COLUMNS]
    return "\n".join(lines) + "\n"
