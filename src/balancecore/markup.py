"""Text of unknown origin made fit for terminals and HTML, and tables small enough for a notebook."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

__all__ = ["MOST_ROWS", "harmless", "notebook_table", "number", "plain_number", "print_json", "safe"]

#: Rows that a notebook shows before it says how many there are more.
MOST_ROWS = 20
_TABLE = "text-align:right;font-variant-numeric:tabular-nums;border-collapse:separate;border-spacing:12px 2px"


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


def safe(text: object, most: int = 500) -> str:
    """Text of unknown origin for an HTML page: nothing in it is markup, and nothing hides."""
    return escape(harmless(str(text), most))


def plain_number(value: Any, form: str, factor: float = 1) -> str:
    """A number in ASCII; a hyphen where there is none, and no sign where it is zero as written."""
    if value is None or not math.isfinite(value):
        return "-"
    text = format(value * factor, form)
    return text.lstrip("+-") if float(text) == 0.0 else text


def number(value: Any, form: str, factor: float = 1) -> str:
    """A number with a proper minus sign; a dash where there is none."""
    text = plain_number(value, form, factor)
    return "–" if text == "-" else text.replace("-", "−")


def print_json(value: Any) -> None:
    """Plain values on stdout as JSON that any program reads: NaN is an error."""
    print(json.dumps(value, indent=1, allow_nan=False))


def notebook_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], more: int = 0) -> str:
    """A table in an HTML page that is not ours: no style sheet, no identifiers.

    Parameters
    ----------
    caption, head, rows : str
        Plain text, which is escaped here.
    more : int
        Rows that are left out.
    """
    top = "".join(f"<th>{safe(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{safe(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    tail = f'<div style="opacity:.7">… and {more} more</div>' if more else ""
    return (
        f'<div><div style="margin-bottom:4px">{safe(caption, 1000)}</div>'
        f'<table style="{_TABLE}"><thead>'
        f"<tr>{top}</tr></thead><tbody>{body}</tbody></table>{tail}</div>"
    )
