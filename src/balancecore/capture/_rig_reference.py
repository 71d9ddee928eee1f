"""Every key of a rig file as Markdown: the end of docs/rig.md is made from the tables that read it."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from balancecore.capture._rig_file import (
    ANALOG_UNITS,
    MAKERS,
    MODELS,
    RAW_UNITS,
    AnalogTable,
    PlateBase,
    RigTable,
    TreadmillTable,
)
from balancecore.capture._rig_write import toml

__all__ = ["reference"]

_LISTS = {
    "text": "texts",
    "number": "numbers",
    "numbers": "rows of numbers",
    "number or numbers": "numbers, or rows of them",
    "table": "tables",
}


def reference() -> str:
    """Every key of a rig file as Markdown tables: the end of docs/rig.md."""
    own = {field.name for field in msgspec.structs.fields(PlateBase)}
    parts: list[tuple[str, type[Struct], set[str]]] = [
        ("The file", RigTable, set()),
        ("`[[plates]]`, whatever the model", PlateBase, set()),
        *(
            (f'`[[plates]]` with `model = "{name}"`', table, own)
            for name, table in zip(MODELS, MAKERS, strict=True)
        ),
        ("`[[analog]]`", AnalogTable, set()),
        ("`[treadmill]`", TreadmillTable, set()),
    ]
    sections = [f"### {title}\n\n{_key_table(table, but)}" for title, table, but in parts]
    units = f"Units of raw channels: {_ticked(RAW_UNITS)}. Units of `[[analog]]`: these, and " + _ticked(
        [unit for unit in ANALOG_UNITS if unit not in RAW_UNITS]
    )
    return "\n".join([*sections, f"### Units\n\n{units}.\n"])


def _key_table(table: type[Struct], but: set[str]) -> str:
    rows = ["| key | value | without it | meaning |", "|---|---|---|---|"]
    hints = get_type_hints(table, include_extras=True)
    for entry in msgspec.structs.fields(table):
        if entry.name in but:
            continue
        meant = next(m for m in reversed(hints[entry.name].__metadata__) if m.description)
        default = _default_text(entry)
        rows.append(f"| `{entry.name}` | {_kind_text(hints[entry.name])} | {default} | {meant.description} |")
    return "\n".join(rows) + "\n"


def _default_text(entry: msgspec.structs.FieldInfo) -> str:
    default = entry.default if entry.default_factory is msgspec.NODEFAULT else entry.default_factory()
    if default is msgspec.NODEFAULT:
        return "an error"
    return "–" if default is None or default == [] else f"`{toml(default)}`"


def _kind_text(hint: Any) -> str:
    """A type in words."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _kind_text(inside[0])
    if origin is Literal:
        return ", ".join(f"`{value!r}`" if isinstance(value, int) else f"`{toml(value)}`" for value in inside)
    if origin is list:
        return _LISTS[_kind_text(inside[0])]
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_kind_text(part) for part in inside if part is not type(None)))
    return {str: "text", float: "number"}.get(hint, "table")


def _ticked(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" if word else '`""`' for word in words)
