"""The report: one HTML file with everything in it, for the screen and for A4 paper.

Every number stands in a ``<data>`` element whose ``data-path`` says where in :meth:`GaitResult.to_dict` it comes from.
Text of files and options is escaped. The page names no other file, and its policy forbids loading anything.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from balancecore import plot
from balancecore.errors import MissingExtraError
from balancecore.flags import MEANINGS, Flag
from balancecore.markup import notebook_table, number, safe
from balancecore.schema import COLUMNS, SYMMETRY_METRICS
from balancecore.symmetry import KINDS
from balancecore.text import GAITS, LINES, WEIGHT, headlines, method_words, sentence, shown_metrics

if TYPE_CHECKING:
    from balancecore.gait import GaitResult
    from balancecore.symmetry import SymmetryRow

__all__ = ["report_html", "result_html", "save_report"]

#: What the limbs carry: its sentence comes first.
_LOAD = "imp_v"
#: Panels of steps over time; those without a single value are left out.
_OVER_TIME = ("imp_v", "tc", "peak_active", "vilr")
#: What the vertical impulse restates beside the contact time.
_RESTATED = {
    "run": "its flight time",
    "walk": "the time for which both feet are down",
    "mixed": "the time for which both feet are down or in the air",
}
#: Terms that are no column: anchor, name, words.
_TERMS = (
    (
        "def-si",
        "Symmetry index (SI)",
        f"{safe(KINDS['si'].definition)} ({KINDS['si'].source}), of the limb means L (first limb) and R. "
        "Positive: the first limb is larger. Other indices give other numbers for the same difference.",
    ),
    (
        "def-ci",
        "95 % interval; beyond chance",
        "Percentile interval of the symmetry index, from resampled blocks of step pairs. Where it excludes zero, the "
        "difference is beyond what chance would show in a recording like this one. It says nothing of other days.",
    ),
    (
        "def-noise",
        "Noise floor",
        "The symmetry index to expect from step-to-step variation alone if the limbs were equal, for so many steps.",
    ),
    (
        "def-variability",
        "Beyond limb variability",
        "The symmetry index is larger than the coefficient of variation (SD / mean) of the more variable limb’s steps.",
    ),
    (
        "def-error",
        "Beyond measurement error",
        "The symmetry index is larger than the minimal detectable change of this index in your laboratory (option "
        "mdc95). Nobody else’s value will do, so without it this check stays open.",
    ),
    (
        "def-curves",
        "Mean curves",
        "Each contact is stretched to 0–100 % of its time; mean and SD at each point over the steps that count. "
        "A centre of pressure is drawn where the vertical force exceeds 50 N and 5 % of body weight.",
    ),
    ("def-bw", "BW", "Body weights: force divided by mass times 9.80665 m/s²."),
)


def save_report(result: GaitResult, path: str | os.PathLike[str], *, title: str | None = None) -> None:
    """Write the page to a new file; see :meth:`balancecore.GaitResult.save_report`."""
    from balancecore.io._save import new_file

    with new_file(path) as file:  # refused before the figures are drawn
        file.write(report_html(result, title=title).encode())


def report_html(result: GaitResult, *, title: str | None = None) -> str:
    """The page as text.

    Parameters
    ----------
    result : GaitResult
    title : str, optional
        Heading; default: the names of the files.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    page = _Page(result)
    names = " + ".join(s["name"] for s in result.provenance["sources"])
    heading = safe(title if title is not None else names or "Recording from memory")
    body = "\n".join(part for part in page.parts(heading) if part)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading} – gait report</title>\n<style>{_style()}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


class _Page:
    """The page's parts, top to bottom."""

    def __init__(self, result: GaitResult) -> None:
        self.result = result
        self.values = result.to_dict()
        self.rows = {row.metric: k for k, row in enumerate(result.symmetry)}
        self.figures = 0

    def parts(self, heading: str) -> Iterator[str]:
        yield f"<header><p class='eyebrow'>Gait report</p><h1>{heading}</h1>{self._facts()}</header>"
        yield self._warnings()
        if not self.result.quality["complete"]:
            yield "<p class='lead'>No complete contact was found, so there is nothing to compare.</p>"
        else:
            yield self._words()
            yield self._loading()
            yield self._over_time()
            yield self._symmetry()
            yield self._directions()
            yield self._centre()
            yield self._table()
        yield self._quality()
        yield self._provenance()
        yield self._definitions()
        yield (
            f"<footer>Made by balancecore {self.leaf('provenance.balancecore')}. Not a medical device: it knows no "
            "healthy range and makes no diagnosis.</footer>"
        )

    # -----------------------------------------------------------------------------------------------------------
    # Numbers

    def value(self, path: str) -> Any:
        """What stands at a path of the result."""
        found: Any = self.values
        for key in path.split("."):
            found = found[int(key)] if isinstance(found, list) else found[key]
        return found

    def num(self, path: str, form: str = ".1f", factor: float = 1) -> str:
        """A number of the result, with its origin."""
        return _data(path, self.value(path), form, factor)

    def leaf(self, path: str, most: int = 500) -> str:
        """Any plain value of the result, as it is."""
        value = self.value(path)
        if value is None:
            return "–"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, (int, float)):
            return _data(path, value, "" if isinstance(value, int) else ".6g", 1)
        return f'<data data-path="{safe(path)}">{safe(value, most)}</data>'

    def _of_row(self, row: SymmetryRow, field: str, form: str) -> str:
        """A field of a symmetry row; without a sign in the format, its size."""
        path = f"symmetry.rows.{self.rows[row.metric]}.{field}"
        value = self.value(path)
        return _data(path, value, form, 1 if form.startswith("+") or value is None or value >= 0 else -1)

    # -----------------------------------------------------------------------------------------------------------
    # Head and words

    def _facts(self) -> str:
        q, used = self.result.quality, self.result.provenance["used"]
        gait = GAITS[q["gait"]["used"]] + (" overground" if used["surface"] == "overground" else "")
        facts = [
            (
                "Record",
                f"{self.num('provenance.used.duration_s')} s at {self.num('provenance.used.rate_hz', 'g')} Hz",
            ),
            ("Gait", gait if q["contacts"] else "–"),
            ("Contacts", f"{self.num('quality.used', 'd')} used of {self.num('quality.contacts', 'd')}"),
        ]
        if q["cadence_spm"]:
            facts.append(("Cadence", f"{self.num('quality.cadence_spm')} steps/min"))
        weight = q["body_weight"]
        if weight["weight_n"] is not None:
            facts.append(
                (
                    "Body weight",
                    f"{self.num('quality.body_weight.weight_n', '.0f')} N, "
                    f"{self.num('quality.body_weight.mass_kg')} kg<small>{WEIGHT[weight['source']]}</small>",
                )
            )
        if len(self.result.steps):
            sides = q["sides"]
            limbs = " and ".join(self._limb(x) for x in self.result.limbs)
            unknown = "; which is left is not known" if "A" in sides["limbs"] else ""
            facts.append(("Sides", f"{limbs}<small>{method_words(sides['method'])}{unknown}</small>"))
        return (
            "<dl class='facts'>" + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in facts) + "</dl>"
        )

    def _limb(self, limb: str, words: str = "") -> str:
        """A limb's name with the colour that it has in every figure."""
        return f"<span class='limb limb-{limb}'>{words or plot.LIMBS[limb]}</span>"

    def _warnings(self) -> str:
        items = "".join(
            f"<li>{self.leaf(f'quality.warnings.{k}', 1000)}</li>"
            for k in range(len(self.result.quality["warnings"]))
        )
        return f"<aside class='look'><h2>Worth a look first</h2><ul>{items}</ul></aside>" if items else ""

    def _words(self) -> str:
        row = self.result.symmetry[_LOAD]
        others = "".join(
            f"<li>{sentence(r, self._plain_limbs(), self._of_row)}</li>"
            for r in headlines(self.result)
            if r.metric != _LOAD
        )
        restated = (
            "<p class='note'>In steady gait a limb’s vertical impulse mostly restates its contact time and "
            f"{_RESTATED[self.result.quality['gait']['used']]}: they are no separate findings.</p>"
        )
        more = f"<ul class='also'>{others}</ul>{restated}" if others else ""
        return (
            f"<section class='words'><p class='lead'>{self._lead(row)}</p>{self._checks(row)}{more}</section>"
        )

    def _plain_limbs(self) -> tuple[str, str]:
        first, second = self.result.limbs
        return plot.LIMBS[first], plot.LIMBS[second]

    def _lead(self, row: SymmetryRow) -> str:
        """Which side carries more, by how much, how sure."""
        impulse = self._term(_LOAD)
        if not math.isfinite(row.si):
            has = [limb for limb in self.result.limbs if self.result.summary[_LOAD][limb].n]
            if len(has) == 1:
                return f"Only one limb ({self._limb(has[0])}) has steps that can be used, so nothing is compared."
            return "What the two limbs carry can't be compared: no usable vertical impulse of both."
        larger, smaller = self.result.limbs if row.si > 0 else self.result.limbs[::-1]
        if not math.isfinite(row.ci_low):
            return (
                f"{self._leg(larger, True)} had the larger {impulse} in these steps, by "
                f"{self._of_row(row, 'si', '.1f')} %, but how sure that is can’t be said: "
                + ("too few steps." if self.result.symmetry.n_boot else "no bootstrap was asked for.")
            )
        if not row.distinguishable:
            return (
                f"Neither side carries more beyond chance: the {impulse} of {self._leg(larger)} is larger by "
                f"{self._of_row(row, 'si', '.1f')} %, and the <a href='#def-ci'>95 % interval</a> "
                f"({self._of_row(row, 'ci_low', '+.1f')} to {self._of_row(row, 'ci_high', '+.1f')} %) includes zero."
            )
        low, high = ("ci_low", "ci_high") if row.si > 0 else ("ci_high", "ci_low")
        return (
            f"{self._leg(larger, True)} carries more: its {impulse} per step is larger than that of "
            f"{self._leg(smaller)} by {self._of_row(row, 'si', '.1f')} % (<a href='#def-ci'>95 % interval</a> "
            f"{self._of_row(row, low, '.1f')} to {self._of_row(row, high, '.1f')} %)."
        )

    def _leg(self, limb: str, start: bool = False) -> str:
        words = f"the {plot.LIMBS[limb]} leg" if limb in "LR" else plot.LIMBS[limb]
        return self._limb(limb, words[0].upper() + words[1:] if start else words)

    def _checks(self, row: SymmetryRow) -> str:
        """The three checks of the load, apart, each with what it means."""
        yes_no = {True: "yes", False: "no", None: "open"}
        cells = []
        for question, anchor, value, texts in (
            (
                "Beyond chance?",
                "def-ci",
                row.distinguishable,
                ("the 95 % interval excludes zero", "the 95 % interval includes zero", "no interval"),
            ),
            (
                "Beyond limb variability?",
                "def-variability",
                row.beyond_variability,
                (
                    "larger than the variation from step to step",
                    "smaller than the variation from step to step",
                    "too few steps to know the variation" if math.isfinite(row.si) else "no index",
                ),
            ),
            (
                "Beyond measurement error?",
                "def-error",
                row.beyond_error,
                (
                    "larger than this lab’s minimal detectable change",
                    "not larger than this lab’s minimal detectable change",
                    "this lab’s minimal detectable change was not given",
                ),
            ),
        ):
            said = texts[0] if value else texts[2] if value is None else texts[1]
            cells.append(
                f"<div class='check {yes_no[value]}'><a href='#{anchor}'>{question}</a>"
                f"<strong>{yes_no[value]}</strong><span>{said}</span></div>"
            )
        return f"<div class='checks'>{''.join(cells)}</div>"

    # -----------------------------------------------------------------------------------------------------------
    # Figures

    def _figure(self, draw: Callable[[Any], Any], caption: str, words: str, size: tuple[float, float]) -> str:
        """A figure as SVG in the page; `draw` fills its axes."""
        ax = plot.new_axes(*size)
        draw(ax)
        self.figures += 1
        return (
            f"<figure>{_svg(ax.figure, f'f{self.figures}', words)}<figcaption>{caption}</figcaption></figure>"
        )

    def _loading(self) -> str:
        result, rate = self.result, next(n for n in shown_metrics(self.result) if n.startswith("valr_"))
        left = self._figure(
            lambda ax: plot.stance(result, ax=ax),
            "Mean vertical force over the contact; the band is ± one SD over the steps. Rings: mean peaks."
            + (" Dotted: the other foot leaves and lands." if self._overlap() else ""),
            "Mean vertical force of both limbs over the contact",
            (3.9, 2.4),
        )
        right = self._figure(
            lambda ax: plot.loading(result, ax=ax),
            f"The same force while it rises. Black: slope and window of the average loading rate ({self._term(rate)}; "
            "coloured bars below). Ring with bars: impact peak of the steps that have one, ± one SD.",
            "Vertical force in the loading phase, with the window of the loading rate",
            (3.9, 2.4),
        )
        return f"<section><h2>Force over the step</h2><div class='pair'>{left}{right}</div></section>"

    def _overlap(self) -> bool:
        return any(self.result.summary["tf"][limb].mean < 0 for limb in self.result.limbs)

    def _over_time(self) -> str:
        result = self.result
        shown = [m for m in _OVER_TIME if any(result.summary[m][limb].n for limb in result.limbs)]

        def panel(metric: str) -> str:
            return self._figure(
                lambda ax: plot.steps(result, metric, legend=False, ax=ax),
                "",
                f"{LINES[metric].words} of every step over time",
                (3.9, 1.6),
            )

        marks = " ".join(
            f"<span class='limb-{limb}'>{mark} {plot.LIMBS[limb]}</span>"
            for limb, mark in zip(result.limbs, ("●", "▲"), strict=True)
        )
        caption = (
            f"<p class='note'>{marks}: one mark a step, and a straight line through each limb’s steps, whose slope "
            "is a drift. Hollow: flagged, but counted. Cross: left out of the means. Bar at the lower edge: no value. "
            "Grey: signal missing.</p>"
        )
        panels = "".join(panel(m) for m in shown)
        return f"<section><h2>Step by step</h2><div class='pair tight'>{panels}</div>{caption}</section>"

    def _symmetry(self) -> str:
        result = self.result
        rows = [row for row in result.symmetry if math.isfinite(row.si)]
        if not rows:
            return ""
        figure = self._figure(
            lambda ax: _linked(plot.forest(result, ax=ax), rows),
            "",
            "Symmetry index of every metric with its interval and noise floor",
            (5.3, 0.7 + 0.138 * len(rows)),
        )
        first, second = (self._limb(x) for x in result.limbs)
        lacking = [row.metric for row in result.symmetry if not math.isfinite(row.si)]
        without = "<p>No index: " + "; ".join(self._term(m) for m in lacking) + ".</p>" if lacking else ""
        text = (
            f"<div class='aside'><p>Each row is one measure. Right of zero: {first} is larger. Left of zero: {second} "
            "is larger. The line is the <a href='#def-ci'>95 % interval</a>.</p>"
            "<p>Hollow and grey: the interval includes zero, so chance alone may explain it. The grey bar is the "
            "<a href='#def-noise'>noise floor</a>: what equal limbs would show with so many steps.</p>"
            "<p>An arrow is beyond the scale; the table has the number. Braking and lateral parts are compared by size."
            f"</p><p>The intervals come from {self.num('symmetry.n_pairs', 'd')} pairs of steps.</p>{without}</div>"
        )
        wide = f"<div class='wide'>{figure}{text}</div>"
        return f"<section class='sheet'><h2>Symmetry of every measure</h2>{wide}</section>"

    def _directions(self) -> str:
        result = self.result
        fore = self._figure(
            lambda ax: plot.stance(result, curve="fy", ax=ax),
            "Fore-aft force: braking below zero, propulsion above.",
            "Mean fore-aft force of both limbs over the contact",
            (3.9, 2.0),
        )
        side = self._figure(
            lambda ax: plot.stance(result, curve="f_med", ax=ax),
            "Sideways force: medial is towards the other foot.",
            "Mean sideways force of both limbs over the contact",
            (3.9, 2.0),
        )
        return f"<section><h2>Braking, propulsion and sideways force</h2><div class='pair'>{fore}{side}</div></section>"

    def _centre(self) -> str:
        result = self.result
        path = self._figure(
            lambda ax: plot.cop(result, ax=ax),
            "Mean path of the centre of pressure under each foot, from above; it starts at the ring. Band: ± one SD "
            "across, each step about its own middle. Across is drawn larger than forward.",
            "Paths of the centre of pressure under both feet",
            (3.9, 2.25),
        )
        wings = self._figure(
            lambda ax: plot.butterfly(result, ax=ax),
            "Butterfly: the common centre of pressure of both feet over one mean stride, as thick as the force. "
            + (
                "It crosses over while both feet are down."
                if self._overlap()
                else "Dotted: in flight, to the next foot."
            ),
            "Butterfly diagram of the common centre of pressure",
            (3.9, 2.25),
        )
        return f"<section><h2>Centre of pressure</h2><div class='pair'>{path}{wings}</div></section>"

    # -----------------------------------------------------------------------------------------------------------
    # Tables

    def _term(self, metric: str) -> str:
        """A metric's words, leading to its definition."""
        return f"<a href='#def-{metric}'>{safe(LINES[metric].words)}</a>"

    def _table(self) -> str:
        first, second = (self._limb(x) for x in self.result.limbs)
        head = (
            f"<tr><th>measure</th><th class='id'>id</th><th class='unit'>unit</th><th>{first}</th><th>{second}</th>"
            "<th>steps</th><th><a href='#def-si'>SI %</a></th><th><a href='#def-ci'>95 % interval</a></th>"
            "<th><a href='#def-noise'>noise %</a></th><th><a href='#def-ci'>beyond<br>chance</a></th>"
            "<th><a href='#def-variability'>beyond<br>variability</a></th>"
            "<th><a href='#def-error'>beyond<br>error</a></th></tr>"
        )
        body = "".join(self._table_row(name) for name in (*SYMMETRY_METRICS, "step_width"))
        limbs = self._plain_limbs()
        return (
            f"<section><h2>All measures</h2><table class='all'><thead>{head}</thead><tbody>{body}</tbody></table>"
            f"<p class='note'>Mean ± SD over the steps. SI: symmetry index of the means, + is "
            f"{limbs[0]} &gt; {limbs[1]}. "
            "A dash: not known; the definition says when that is so. Beyond error is open unless the lab’s minimal "
            "detectable change is given.</p></section>"
        )

    def _table_row(self, name: str) -> str:
        line, limbs = LINES[name], self.result.limbs
        stats = [self.result.summary[name][limb] for limb in limbs]
        if not any(s.n for s in stats):
            return ""
        means = "".join(f"<td>{self._stat(name, limb)}</td>" for limb in limbs)
        counts = " / ".join(self.num(f"summary.{name}.{limb}.n", "d") for limb in limbs)
        start = (
            f"<tr><th scope='row'>{self._term(name)}</th><td class='id'><code>{name}</code></td>"
            f"<td class='unit'>{line.unit}</td>{means}"
            f"<td>{counts}</td>"
        )
        if name not in self.rows:
            return f"{start}<td></td><td></td><td></td><td></td><td></td><td></td></tr>"
        row, base = self.result.symmetry[name], f"symmetry.rows.{self.rows[name]}"
        larger = limbs[0] if row.si > 0 else limbs[1]
        colour = f" class='limb-{larger}'" if row.distinguishable else ""
        interval = (
            f"{self.num(base + '.ci_low', '+.1f')} to {self.num(base + '.ci_high', '+.1f')}"
            if math.isfinite(row.ci_low)
            else "–"
        )
        lights = "".join(
            f"<td class='{'yes' if light else 'no'}'>{'–' if light is None else 'yes' if light else 'no'}</td>"
            for light in (row.distinguishable, row.beyond_variability, row.beyond_error)
        )
        return (
            f"{start}<td{colour}>{self.num(base + '.si', '+.1f')}</td><td>{interval}</td>"
            f"<td>{self.num(base + '.noise_floor')}</td>{lights}</tr>"
        )

    def _stat(self, name: str, limb: str) -> str:
        line, stat = LINES[name], self.result.summary[name][limb]
        if not stat.n:
            return "–"
        form, path = f".{line.digits}f", f"summary.{name}.{limb}"
        return f"{self.num(path + '.mean', form, line.factor)} ± {self.num(path + '.sd', form, line.factor)}"

    def _quality(self) -> str:
        q = self.result.quality
        m = q["momentum"]
        rows = [
            ("Mean vertical force over whole strides", "mean_fz_bw", ".4f", "BW", "1 ± 0.02"),
            ("Net fore-aft velocity change", "net_ap_m_s_per_stride", "+.3f", "m/s a stride", "within 0.05"),
            ("Impulse against flight times, median", "flight_residual_m_s", ".3f", "m/s", "below 0.15"),
        ]
        checks = "".join(
            f"<tr><th scope='row'>{what}</th><td>{self.num(f'quality.momentum.{key}', form)} {unit}</td>"
            f"<td class='fixed'>{want}</td></tr>"
            for what, key, form, unit, want in rows
            if m[key] is not None
        )
        if q["camber_deg"] is not None:
            checks += (
                f"<tr><th scope='row'>Camber, removed from the sideways force</th>"
                f"<td>{self.num('quality.camber_deg', '+.2f')}°</td><td class='fixed'>0 on a level surface</td></tr>"
            )
        identities = (
            f"<table class='small'><thead><tr><th>what must add up</th><th>here</th><th>wanted</th></tr></thead>"
            f"<tbody>{checks}</tbody></table>"
            if checks
            else ""
        )
        flags = "".join(
            f"<tr><th scope='row'><code>{name}</code></th><td>{self.num(f'quality.flags.{name}', 'd')}</td>"
            f"<td>{MEANINGS[Flag[name]]}</td></tr>"
            for name in q["flags"]
        )
        flagged = (
            "<table class='small flags'><thead><tr><th>flag</th><th>contacts</th><th>meaning</th></tr></thead>"
            f"<tbody>{flags}</tbody></table>"
            if flags
            else "<p class='note'>No contact is flagged.</p>"
        )
        notes = "".join(f"<li>{self.leaf(f'quality.notes.{k}')}</li>" for k in range(len(q["notes"])))
        noted = f"<h3>Notes on reading</h3><ul class='note'>{notes}</ul>" if notes else ""
        tables = f"<div class='pair'><div>{identities}</div><div>{flagged}</div></div>"
        return f"<section><h2>Quality</h2>{tables}{noted}</section>"

    def _provenance(self) -> str:
        used = _leaves(self.values["provenance"]["used"], "provenance.used")
        asked = _leaves(self.values["provenance"]["options"], "provenance.options")
        read = _leaves(self.values["provenance"]["reading"], "provenance.reading")
        files = _leaves(self.values["provenance"]["sources"], "provenance.sources")

        def listed(title: str, paths: Sequence[str], base: str) -> str:
            rows = "".join(
                f"<div><dt>{_words_of(path[len(base) + 1 :])}</dt><dd>{self._used(path)}</dd></div>"
                for path in paths
                if self.value(path) is not None
            )
            return f"<h3>{title}</h3><dl class='leaves'>{rows}</dl>" if rows else ""

        return (
            "<section class='provenance'><h2>Provenance</h2>"
            + listed("Files", files, "provenance.sources")
            + listed("Used", used, "provenance.used")
            + listed("Asked for", asked, "provenance.options")
            + listed("Reading", read, "provenance.reading")
            + "</section>"
        )

    def _used(self, path: str) -> str:
        """A value of the provenance; plates that are summed by their names, since they count from zero there."""
        if not path.startswith("provenance.used.summed_plates."):
            return self.leaf(path)
        plate = self.value(path)
        name = f"provenance.used.plates.{plate}.name"
        return self.leaf(name) if self.value(name) else f"plate {plate + 1}"

    def _definitions(self) -> str:
        terms = "".join(
            f"<div id='def-{c.id}'><dt>{safe(LINES[c.id].words)} <code>{c.id}</code>"
            f"{f' <span>{safe(LINES[c.id].unit)}</span>' if LINES[c.id].unit else ''}</dt><dd>{safe(c.definition)}."
            f"{f' Not known: {safe(c.nan_when)}.' if c.nan_when else ''}</dd></div>"
            for c in COLUMNS
            if c.id in LINES
        )
        general = "".join(
            f"<div id='{anchor}'><dt>{term}</dt><dd>{words}</dd></div>" for anchor, term, words in _TERMS
        )
        return f"<section class='definitions'><h2>Definitions</h2><dl>{general}{terms}</dl></section>"


def _data(path: str, value: Any, form: str, factor: float) -> str:
    if value is None:
        return "–"
    return f'<data value="{value!r}" data-path="{safe(path)}">{number(value, form, factor)}</data>'


def _leaves(value: Any, path: str) -> list[str]:
    """Paths of all plain values below, in order."""
    if isinstance(value, dict):
        return [leaf for key, below in value.items() for leaf in _leaves(below, f"{path}.{key}")]
    if isinstance(value, list):
        return [leaf for k, below in enumerate(value) for leaf in _leaves(below, f"{path}.{k}")]
    return [path]


def _words_of(path: str) -> str:
    """The last part of a path as a label; places in a list count from one."""
    keys = [str(int(key) + 1) if key.isdigit() else key.replace("_", " ") for key in path.split(".")]
    return safe(" · ".join(keys))


def _linked(ax: Any, rows: Sequence[SymmetryRow]) -> Any:
    """Labels of a forest plot lead to the definitions."""
    for label, row in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_url(f"#def-{row.metric}")
    return ax


def _svg(figure: Any, name: str, words: str) -> str:
    """A figure as an element of the page: its text as text in the page's font, its identifiers its own."""
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise MissingExtraError("figures need matplotlib: pip install 'balancecore[plot]'") from error
    out = io.StringIO()
    figure.patch.set_alpha(0.0)
    for ax in figure.axes:
        ax.patch.set_alpha(0.0)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "balancecore"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    head, _, rest = text.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    own = set(re.findall(r'\bid="([^"]+)"', rest))
    rest = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', rest)
    rest = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", rest)
    rest = re.sub(
        r'xlink:href="#([^"]+)"', lambda m: f'href="#{f"{name}-" if m[1] in own else ""}{m[1]}"', rest
    )
    rest = rest.replace("xlink:href=", "href=")
    return f'<svg {box[0] if box else ""} role="img" aria-label="{safe(words)}">{rest.strip()}'


def _style() -> str:
    """The page's style sheet; limbs have the colours that they have in the figures."""
    limbs = "".join(
        f".limb-{limb}{{color:{colour}}}\n" for limb, colour in plot.COLOURS.items() if limb != "?"
    )
    return resources.files("balancecore").joinpath("report.css").read_text(encoding="utf-8") + limbs


# ---------------------------------------------------------------------------------------------------------------
# In a notebook


def result_html(result: GaitResult) -> str:
    """A result in a notebook: what was found in words, and the summary's table."""
    limbs = result.limbs
    words = " ".join(sentence(row, limbs) for row in headlines(result))
    rows = []
    for name in shown_metrics(result):
        line, stats = LINES[name], [result.summary[name][limb] for limb in limbs]
        if not any(s.n for s in stats):
            continue
        row = next((r for r in result.symmetry if r.metric == name), None)
        means = [
            f"{number(s.mean, f'.{line.digits}f', line.factor)} ± {number(s.sd, f'.{line.digits}f', line.factor)}"
            if s.n
            else "–"
            for s in stats
        ]
        index = ["", ""] if row is None else [number(row.si, "+.1f"), _interval(row)]
        rows.append([line.words, name, line.unit, *means, *index])
    caption = f"{repr(result)[1:-1]}. {words}"
    head = ["metric", "id", "unit", limbs[0], limbs[1], "SI %", "95 % CI"]
    warnings = "".join(f"<li>{safe(w, 1000)}</li>" for w in result.quality["warnings"])
    return notebook_table(caption, head, rows) + (f"<ul>{warnings}</ul>" if warnings else "")


def _interval(row: SymmetryRow) -> str:
    if not math.isfinite(row.ci_low):
        return "–"
    return f"{number(row.ci_low, '+.1f')} to {number(row.ci_high, '+.1f')}"
