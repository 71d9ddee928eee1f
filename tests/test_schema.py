"""The table of columns is complete, and its page in the docs is made from it."""

import re
from pathlib import Path

import numpy as np
import pytest

import balancecore as bc
from balancecore import schema
from balancecore._ext import _steps

DOCS = Path(__file__).resolve().parent.parent / "docs"
IDS = [c.id for c in schema.COLUMNS]


@pytest.fixture(scope="module")
def table():
    sim = bc.simulate.treadmill("run", n_steps=12, seed=3)
    return bc.analyze_gait(sim.trial, mass_kg=70.0, speed_m_s=3.0, leg_length_m=0.9, n_boot=0).steps


def test_ids_are_unique():
    assert len(IDS) == len(set(IDS))


def test_step_table_has_the_columns_of_the_schema(table):
    assert list(table.columns) == IDS
    assert table.units == {c.id: c.unit for c in schema.COLUMNS}
    for column in schema.COLUMNS:
        assert table[column.id].dtype == np.dtype(column.dtype), column.id


def test_every_column_is_filled_in_a_full_running_trial(table):
    """A column that nothing fills would be NaN throughout."""
    empty = [n for n in table.columns if table[n].dtype.kind == "f" and np.isnan(table[n]).all()]
    assert empty == []


def test_every_row_says_what_it_is():
    for column in schema.COLUMNS:
        assert column.definition, column.id
        assert column.source, column.id
        assert column.unit or column.dtype != "float64", column.id


def test_no_ambiguous_names():
    assert not {"loading_rate", "valr", "symmetry_index", "stiffness", "impulse"} & set(IDS)


def test_nets_of_two_signed_parts_are_never_compared():
    assert not {"imp_ap_net", "imp_ml_net", "imp_v_net"} & set(schema.SYMMETRY_METRICS)


def test_kernel_columns_are_in_the_schema_or_inputs_to_it():
    """What the kernel measures is a column, or only the raw material of one."""
    raw = {
        "vilr_ip", "imp_v_early_ip", "imp_v_early_poi13", "imp_plus_x", "imp_minus_x", "peak_plus_x", "peak_minus_x",
        "cop_min_x", "cop_max_x", "cop_min_y", "cop_max_y", "impact_at_edge",
    }  # fmt: skip
    assert set(_steps.COLUMNS) - set(IDS) <= raw


def test_page_is_made_from_the_table():
    page = (DOCS / "columns.md").read_text(encoding="utf-8")
    assert page.endswith("\n" + schema.column_table())


def test_cited_sources_are_listed():
    """Every [R..] in a definition has its line in docs/sources.md."""
    listed = set(
        re.findall(r"^\| (R\d+[a-z]?\d?) \|", (DOCS / "sources.md").read_text(encoding="utf-8"), re.M)
    )
    pages = [schema.column_table(), *(p.read_text(encoding="utf-8") for p in DOCS.glob("*.md"))]
    cited = {r for text in pages for r in re.findall(r"\[(R\d+[a-z]?\d?)\]", text)}
    assert cited
    assert cited <= listed
