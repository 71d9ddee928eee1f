"""Where a key stands in a TOML text."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import Any

__all__ = ["line_of"]

#: Longer texts get no line numbers: finding one parses the text again and again.
MAX_LINES = 2000


def line_of(text: str, key: str) -> int | None:
    """The line, counted from 1, on which the value of a key path begins, or that of the table which should have it.

    `tomllib` doesn't tell where it found a key. But each prefix of the text that ends between two values is TOML as
    well, and the first one that has the key ends with it.
    """
    lines = [line + "\n" for line in text.split("\n")]
    if len(lines) > MAX_LINES:
        return None
    path = [int(part[1:-1]) if part[0] == "[" else part for part in re.findall(r"\[\d+\]|[^.\[\]]+", key)]

    @cache
    def depth(end: int) -> int | None:
        """How many steps of the path the first lines have; None where they end within a value."""
        try:
            return _depth(tomllib.loads("".join(lines[:end])), path)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError):
            return None

    most = depth(len(lines))
    if not most:
        return None
    # Longer prefixes never have less of the path: those at `low` lack a part of it, those at `high` have all.
    low, high = 0, len(lines)
    while high - low > 1:
        middle = (low + high) // 2
        ends = (*range(middle, high), *range(middle - 1, low, -1))
        end = next((end for end in ends if depth(end) is not None), None)
        if end is None:
            break
        low, high = (low, end) if depth(end) == most else (end, high)
    return next(k + 1 for k in range(low, high) if not re.match(r"\s*(#|$)", lines[k]))


def _depth(tree: Any, path: list[str | int]) -> int:
    """How many steps of the path are there."""
    for depth, step in enumerate(path):
        try:
            tree = tree[step]
        except (LookupError, TypeError):
            return depth
    return len(path)
