"""The tables of the pages on devices are those of the drivers; a failure prints what should stand there."""

import importlib
import re
from pathlib import Path

import pytest
from balancecore.drivers.simulated import FAULTS

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
PAGE = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
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
    assert {name for _, name, _ in TABLES} >= {
        "SimulatedDevice",
        "ReplayDevice",
        "SimulatedBelts",
        "NiDevice",
    }


def test_faults():
    rows = [
        f"| `{kind}` | {'–' if kind == 'disconnect' else told(f.amount)} | {f.meaning} |"
        for kind, f in FAULTS.items()
    ]
    expected = "\n".join(["| kind | amount if none is given | what happens |", "|---|---|---|", *rows])
    (stands,) = re.findall(r"<!-- faults -->\n(.*?)\n\n", PAGE, re.DOTALL)
    assert stands == expected
