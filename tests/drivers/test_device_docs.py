"""The tables of docs/devices.md are those of the drivers; a failure prints what should stand there."""

import importlib
import re
from pathlib import Path

import pytest
from balancecore.drivers.simulated import FAULTS

PAGE = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
TABLES = re.findall(r"<!-- options of (\S+):(\S+) -->\n(.*?)\n\n", PAGE, re.DOTALL)


def told(value):
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"


def table(kind):
    rows = [f"| `{o.name}` | {told(o.default)} | {o.meaning} |" for o in kind.OPTIONS]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])


@pytest.mark.parametrize(("module", "name", "stands"), TABLES, ids=[name for _, name, _ in TABLES])
def test_options(module, name, stands):
    assert stands == table(getattr(importlib.import_module(module), name))


def test_there_are_tables():
    assert {name for _, name, _ in TABLES} >= {"SimulatedDevice", "ReplayDevice", "SimulatedBelts"}


def test_faults():
    rows = [
        f"| `{kind}` | {'–' if kind == 'disconnect' else told(f.amount)} | {f.meaning} |"
        for kind, f in FAULTS.items()
    ]
    expected = "\n".join(["| kind | amount if none is given | what happens |", "|---|---|---|", *rows])
    (stands,) = re.findall(r"<!-- faults -->\n(.*?)\n\n", PAGE, re.DOTALL)
    assert stands == expected
