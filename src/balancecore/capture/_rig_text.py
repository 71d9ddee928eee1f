"""Where a key stands in a TOML text."""

from __future__ import annotations

import re
import tomllib
from typing import Any

__all__ = ["line_of"]

#: Longer texts get no line numbers: finding one parses the text again for every line.
MAX_LINES = 1000


def line_of(text: str, key: str) -> int | None:
    """The line, counted from 1, on which the value of a key path begins, or that of the table which should have it.

    `tomllib` doesn't tell where it found a key. But each prefix of the text that ends between two values is TOML as
    well, and the first one that has the key ends with it.
    """
    lines = text.splitlines(keepends=True)
    if len(lines) > MAX_LINES:
        return None
    path = [int(part[1:-1]) if part[0] == "[" else part for part in re.findall(r"\[\d+\]|[^.\[\]]+", key)]
    best: tuple[int, int] | None = None
    start, so_far = 0, ""
    for end, line in enumerate(lines, start=1):
        so_far += line
        try:
            tree = tomllib.loads(so_far)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError):
            continue
        depth = _depth(tree, path)
        if depth and (best is None or depth > best[0]):
            best = depth, _first_filled(lines, start, end)
        start = end
    return None if best is None else best[1]


def _depth(tree: Any, path: list[str | int]) -> int:
    """How many steps of the path are there."""
    for depth, step in enumerate(path):
        try:
            tree = tree[step]
        except (LookupError, TypeError):
            return depth
    return len(path)


def _first_filled(lines: list[str], start: int, end: int) -> int:
    """The first of these lines that is neither empty nor a comment."""
    for k in range(start, end):
        if lines[k].strip() and not lines[k].lstrip().startswith("#"):
            return k + 1
    return end
