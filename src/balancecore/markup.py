"""Pieces of HTML: escaped text, and tables small enough for a notebook."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from balancecore.text import harmless

__all__ = ["notebook_table", "number", "safe"]

#: Rows that a notebook shows before it says how many there are more.
MOST_ROWS = 20
_CELL = "padding:2px 10px;text-align:right;font-variant-numeric:tabular-nums"


def safe(text: object, most: int = 500) -> str:
    """Text of unknown origin for an HTML page: nothing in it is markup, and nothing hides."""
    return escape(harmless(str(text), most))


def number(value: Any, form: str, factor: float = 1) -> str:
    """A number with a proper minus sign; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return format(value * factor, form).replace("-", "−")


def notebook_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], more: int = 0) -> str:
    """A table in an HTML page that is not ours: no style sheet, no identifiers.

    Parameters
    ----------
    caption, head, rows : str
        Plain text, which is escaped here.
    more : int
        Rows that are left out.
    """
    top = "".join(f'<th style="{_CELL}">{safe(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{safe(cell)}</td>' for cell in row) + "</tr>" for row in rows
    )
    tail = f'<div style="opacity:.7">… and {more} more</div>' if more else ""
    return (
        f'<div><div style="margin-bottom:4px">{safe(caption, 1000)}</div>'
        f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{tail}</div>"
    )
