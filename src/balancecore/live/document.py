"""What one browser has of the live page: its models, and how much is on the way to it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from importlib import resources
from typing import Any

from bokeh.core.properties import Int, String
from bokeh.document import Document
from bokeh.model import DataModel
from bokeh.models import ColumnDataSource, PrintfTickFormatter, Range1d
from bokeh.plotting import figure
from jinja2 import Environment, Template

from balancecore.live.hub import SHOWN_S, Hub
from balancecore.live.site import NONCE
from balancecore.markup import harmless
from balancecore.plot import COLOURS, LIMBS

__all__ = ["BUTTONS", "add_page"]

#: What the buttons ask for.
BUTTONS = ("start", "stop", "tare", "marker")
#: Characters of a marker's text.
MOST_TEXT = 200
#: How often a browser is looked after, ms, and how often it hears that the page is still there, s.
TICK_MS, STILL_S = 50, 1.0
#: Updates that a browser has not acknowledged, at most: one that is slow gets the newest when it has caught up.
MOST_UNDERWAY = 3
#: Force axes end at multiples of so many N.
FORCE_STEP_N = 500.0
#: Plates beyond two, and those that are no limb's.
_MORE = ("#009E73", "#AA4499", "#767676", "#56B4E9")


class LiveState(DataModel):
    """The page's own model: down go the settings and the state, up what was seen and what was pressed (JSON)."""

    settings = String()
    state = String()
    seen = Int(default=0)
    pressed = String()


def template() -> Template:
    """The page, with what Bokeh fills in."""
    text = resources.files("balancecore.live").joinpath("assets", "page.html").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(text)


def add_page(doc: Document, hub: Hub, page: Template, ask: Callable[[dict[str, str]], None]) -> None:
    """Fill in a new browser's document and look after it.

    Parameters
    ----------
    doc : bokeh.document.Document
    hub : Hub
    page : jinja2.Template
        See `template`.
    ask : callable
        Called with what a button asks for.
    """
    browser = _Browser(hub, ask)
    doc.title = "balancecore live"
    doc.template = page
    doc.template_variables["nonce"] = NONCE
    doc.add_root(browser.figure)
    doc.add_root(browser.live)
    doc.add_periodic_callback(browser.push, TICK_MS)


def plate_colours(names: list[str]) -> list[str]:
    """A colour for each plate: that of the limb where the plates are a left and a right one."""
    if len(names) == 1:
        return [COLOURS["?"]]
    sides = ["L" if "left" in name.lower() else "R" if "right" in name.lower() else "" for name in names]
    if sorted(sides) == ["L", "R"]:
        return [COLOURS[side] for side in sides]
    return [_MORE[k % len(_MORE)] for k in range(len(names))]


def _figure(source: ColumnDataSource, colours: list[str]) -> Any:
    """Forces over time. Its ink is set by the page, which knows whether it is light or dark."""
    options: dict[str, Any] = dict(
        name="trace",
        sizing_mode="stretch_both",
        min_height=0,
        toolbar_location=None,
        tools="",
        x_range=Range1d(start=0.0, end=SHOWN_S),
        y_range=Range1d(start=-0.03 * FORCE_STEP_N, end=FORCE_STEP_N),
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        output_backend="canvas",
    )
    made = figure(**options)  # Bokeh's types lack some of them
    for k, colour in enumerate(colours):
        made.line("t_s", f"fz_{k}", source=source, color=colour, line_width=3, line_join="round")
    made.xgrid.visible = False
    made.xaxis.formatter = PrintfTickFormatter(format="%g s")
    return made


class _Browser:
    def __init__(self, hub: Hub, ask: Callable[[dict[str, str]], None]) -> None:
        self._hub, self._ask = hub, ask
        self._plates = hub.hello["plates"]
        colours = plate_colours(self._plates)
        self._source = ColumnDataSource({name: [] for name in self._columns()})
        self.figure = _figure(self._source, colours)
        known = {"colours": COLOURS, "limbs": LIMBS, "plate_colours": colours, "shown_s": SHOWN_S}
        self.live: Any = LiveState(name="live", settings=json.dumps({**hub.hello, **known}))
        self.live.on_change("pressed", self._on_pressed)
        self._version, self._sent, self._cursor = -1, 0, 0
        self._sent_s = -math.inf
        self.push()

    def _columns(self) -> list[str]:
        return ["t_s", *(f"fz_{k}" for k in range(len(self._plates)))]

    def push(self) -> None:
        """Send what is new, unless too much is on the way already. What is not sent is not kept either."""
        if self._sent - self.live.seen >= MOST_UNDERWAY:
            return
        version, shown = self._hub.shown()
        now_s = time.monotonic()
        if version == self._version and now_s - self._sent_s < STILL_S:
            return
        self._push_samples()
        self._version, self._sent_s = version, now_s
        self._sent += 1
        self.live.state = json.dumps({"update": self._sent, **shown}, allow_nan=False)

    def _push_samples(self) -> None:
        self._cursor, whole, samples = self._hub.samples(self._cursor)
        if not samples and not whole:
            return
        columns = [list(column) for column in zip(*samples, strict=True)] or [[] for _ in self._columns()]
        named: dict[str, Any] = dict(zip(self._columns(), columns, strict=True))
        if whole:
            self._source.data = named
        else:
            self._source.stream(named, rollover=self._hub.kept)
        top = max((v for column in columns[1:] for v in column if not math.isnan(v)), default=0.0)
        needed = FORCE_STEP_N * math.ceil(max(1.05 * top, FORCE_STEP_N) / FORCE_STEP_N)
        if needed > self.figure.y_range.end:
            self.figure.y_range.end = needed

    def _on_pressed(self, attr: str, old: str, new: str) -> None:
        """A browser's word is not taken on trust: only what a button can say goes on."""
        try:
            asked = json.loads(new)
            wanted, text = asked["do"], str(asked.get("text") or "")
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        if wanted in BUTTONS:
            told = {"do": wanted}
            self._ask(told | ({"text": harmless(text, MOST_TEXT)} if wanted == "marker" else {}))
