"""What `benchmarks/compare.py` makes of a report: table, history, pages and the check for regressions."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MACHINE = {
    "cpu": {"brand_raw": "A processor", "family": 6, "model": 1, "count": 2},
    "python_version": "3.11.7",
}


@pytest.fixture
def compare(monkeypatch, tmp_path):
    """The module, with a history, a page and a README of its own."""
    spec = importlib.util.spec_from_file_location("compare_under_test", ROOT / "benchmarks" / "compare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("HISTORY", "PAGE", "README"):
        monkeypatch.setattr(module, name, tmp_path / name.lower())
    return module


def bench(group, case, role, median, **extra):
    info = {"group": group, "case": case, "role": role, "values": 1000, "counted": "value", "small": False}
    info |= {"ns_per_value": 1e6 * median, "fraction_of_real_time": median / 600.0} | extra
    return {"extra_info": info, "stats": {"median": median}, "options": {"timer": "time.perf_counter"}}


def report(*benches):
    return {"datetime": "2026-01-02T03:04:05", "machine_info": MACHINE, "benchmarks": list(benches)}


@pytest.fixture
def full():
    return report(
        bench("read", "text", "lab", 0.2),
        bench("read", "text", "ours", 0.4),
        bench("gait", "1000 Hz", "lab", 2.0),
        bench("gait", "1000 Hz", "numba", 0.8),
        bench("gait", "1000 Hz", "floor", 0.05),
        bench("gait", "1000 Hz", "ours", 0.2),
        bench("stream", "blocks of 10 frames, 1000 Hz", "lab", 0.3, push_us=[155.0, 210.0]),
        bench(
            *("stream", "blocks of 10 frames, 1000 Hz", "ours", 0.1),
            **{"push_us": [6.25, 15.5], "completing_us": [120.0, 290.0]},
        ),
    )


def cells(table):
    """Rows of a Markdown table as dicts by its head; every row has as many cells as the head."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_ratios_of_every_role_that_ran(compare, full):
    summary = compare.summarise(full)
    assert [case["group"] for case in summary["cases"]] == ["gait", "stream", "read"]
    gait, stream, read = cells(compare.table(summary))
    assert (gait["lab / ours"], gait["Numba / ours"], gait["ours / floor"]) == ("10.00", "4.00", "4.00")
    assert (gait["Numba"], gait["floor"], gait["balancecore"]) == ("800 ms", "50 ms", "200 ms")
    assert gait["real time / time"] == "3,000"
    assert (stream["Numba"], stream["Numba / ours"], stream["ours / floor"]) == ("–", "–", "–")
    assert read["lab / ours"] == "0.50"


def test_times_in_turn_with_ours_go_before_those_of_the_role_by_itself(compare, full):
    full["benchmarks"][5]["extra_info"]["in_turn_s"] = {"lab": [3.0, 1.0, 1.8], "floor": [0.04, 0.04, 0.08]}
    gait = cells(compare.table(compare.summarise(full)))[0]
    assert (gait["lab script"], gait["Numba"], gait["floor"]) == ("1.8 s", "800 ms", "40 ms")
    assert (gait["lab / ours"], gait["Numba / ours"], gait["ours / floor"]) == ("9.00", "4.00", "5.00")


def test_several_runs_are_one_with_the_medians_of_all_rounds(compare):
    def once(seconds, pushes):
        lab = [7.0 * s for s in seconds]
        found = bench("stream", "blocks", "ours", sorted(seconds)[1], push_us=pushes, in_turn_s={"lab": lab})
        found["stats"]["data"] = seconds
        return report(found)

    both = compare.pooled([once([0.1, 0.2, 0.4], [6.0, 15.0]), once([0.3, 0.3, 0.9], [8.0, 25.0])])
    (found,) = both["benchmarks"]
    assert found["stats"]["median"] == pytest.approx(0.3)
    assert found["extra_info"]["ns_per_value"] == pytest.approx(1e6 * 0.3)
    assert found["extra_info"]["fraction_of_real_time"] == pytest.approx(0.3 / 600.0)
    assert found["extra_info"]["push_us"] == [7.0, 20.0]
    assert sorted(found["extra_info"]["in_turn_s"]["lab"]) == pytest.approx([0.7, 1.4, 2.1, 2.1, 2.8, 6.3])


def test_runs_of_different_cases_are_not_put_together(compare):
    with pytest.raises(SystemExit, match="different cases"):
        compare.pooled([report(bench("read", name, "ours", 0.1)) for name in ("text", "C3D")])


def test_the_roles_of_a_case_follow_each_other_and_ours_is_the_last():
    """Else they could not take turns."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "benchmarks"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^(\S+\[.*)\b(lab|numba|floor|ours)\b(.*)\]$", listed, re.MULTILINE)
    cases = [
        (name, [role for *_, role in group])
        for name, group in groupby(
            ((before + after, role) for before, role, after in found), key=lambda pair: pair[0]
        )
    ]
    names = [name for name, _ in cases]
    assert len(names) > 20
    assert len(set(names)) == len(names)
    assert all(roles[0] == "lab" and roles[-1] == "ours" for _, roles in cases)


def test_a_case_without_ours_or_the_lab_script_is_left_out(compare):
    summary = compare.summarise(
        report(bench("gait", "1000 Hz", "floor", 0.1), bench("gait", "1000 Hz", "ours", 0.1))
    )
    assert summary["cases"] == []


def test_blocks_show_median_and_99th_percentile(compare, full):
    (row,) = cells(compare.push_table(compare.summarise(full)))
    assert row["one block"] == "10 frames, 1000 Hz"
    assert row["lab script"] == "155.0 (210.0)"
    assert row["Numba"] == "–"
    assert row["balancecore"] == "6.2 (15.5)"
    assert row["the same, completing a step"] == "120.0 (290.0)"


def test_histories_from_before_numba_and_floor_still_serve(compare, full):
    summary = compare.summarise(full)
    saved = sorted((ROOT / "benchmarks" / "history").glob("*.json"))
    assert saved
    for path in saved:
        old = json.loads(path.read_text(encoding="utf-8"))
        gait = cells(compare.table(summary, old))[0]
        known = next(c["ratio"] for c in old["cases"] if (c["group"], c["case"]) == ("gait", "1000 Hz"))
        assert gait["lab / ours before"] == f"{known:.2f}"
        assert len(cells(compare.table(old))) == len(old["cases"])
        assert "balancecore" in compare.short_table(old)
        compare.push_table(old)
        compare.machine(old)
        compare.regressions(summary, old)


def test_saved_history_comes_back_and_its_names_count_up(compare, full):
    summary = compare.summarise(full)
    first, second = compare.save(summary), compare.save(summary)
    assert (first.name[:5], second.name[:5]) == ("0001_", "0002_")
    again = compare.last_history()
    assert compare.regressions(again, summary) == []
    for now, then in zip(again["cases"], summary["cases"], strict=True):
        assert now.keys() == then.keys()
        for key, value in then.items():
            assert now[key] == (value if isinstance(value, str) else pytest.approx(value, rel=5e-4))


def slower(full, factor):
    changed = copy.deepcopy(full)
    for one in changed["benchmarks"]:
        if (one["extra_info"]["group"], one["extra_info"]["role"]) == ("gait", "ours"):
            one["stats"]["median"] *= factor
    return changed


@pytest.mark.parametrize(("factor", "status"), [(0.5, 0), (1.3, 0), (1.4, 1)])
def test_check_fails_where_a_ratio_fell_by_more_than_a_quarter(
    compare, full, factor, status, tmp_path, monkeypatch, capsys
):
    compare.save(compare.summarise(full))
    path = tmp_path / "report.json"
    path.write_text(json.dumps(slower(full, factor)), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["compare.py", str(path), "--check"])
    assert compare.main() == status
    said = capsys.readouterr()
    assert ("slower: gait, 1000 Hz" in said.err) == bool(status)
    assert "10.00" in said.out  # the ratio before


def test_a_new_case_and_a_slower_lab_script_are_no_regressions(compare, full):
    history = compare.summarise(full)
    changed = copy.deepcopy(full)
    for one in changed["benchmarks"]:
        one["stats"]["median"] *= 3.0
    changed["benchmarks"] += [bench("wrench", "new", "lab", 1.0), bench("wrench", "new", "ours", 9.0)]
    assert compare.regressions(compare.summarise(changed), history) == []


def test_a_smoke_run_is_neither_saved_nor_compared(compare, full, tmp_path, monkeypatch, capsys):
    full["benchmarks"][0]["extra_info"]["small"] = True
    path = tmp_path / "report.json"
    path.write_text(json.dumps(full), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["compare.py", str(path), "--save", "--docs"])
    assert compare.main() == 2
    assert "neither saved nor compared" in capsys.readouterr().err
    assert compare.last_history() is None


def test_pages_are_renewed_between_their_markers_only(compare, full):
    page, readme = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/benchmarks.md", "README.md"))
    compare.PAGE.write_text(page, encoding="utf-8")
    compare.README.write_text(readme, encoding="utf-8")
    summary = compare.summarise(full)
    for _ in range(2):  # and again over what is there now
        compare.renew_tables(summary, compare.PAGE, compare.README)
        compare.renew("scaling", "| a table |", compare.PAGE)
    between = re.compile(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", re.DOTALL)
    for old, path in ((page, compare.PAGE), (readme, compare.README)):
        new = path.read_text(encoding="utf-8")
        assert between.sub("", new) == between.sub("", old)
        assert "A processor" in new
    gait, push = cells(
        between.search(compare.README.read_text(encoding="utf-8"))[0].split("\n\n")[0].partition("\n")[2]
    )
    assert gait["faster than the lab script"] == "10.00 ×"
    assert push["balancecore"] == "6.25 µs"
    assert "| a table |" in compare.PAGE.read_text(encoding="utf-8")


def test_a_page_without_markers_is_told_of(compare):
    compare.PAGE.write_text("nothing here", encoding="utf-8")
    with pytest.raises(SystemExit, match="no markers for push"):
        compare.renew("push", "x", compare.PAGE)
