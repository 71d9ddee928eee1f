"""Run the benchmarks, print ours beside lab script, Numba and floor, and compare with saved history.

    python benchmarks/compare.py                  run all and print the table
    python benchmarks/compare.py saved.json       read a file of pytest --benchmark-json instead
    python benchmarks/compare.py --save --docs    also add to benchmarks/history/ and renew the tables of the pages
    python benchmarks/compare.py --cpu-time       on a busy machine: CPU time, which others can't take away
    python benchmarks/compare.py --runs 3         on one whose speed changes within minutes: medians of several runs
    python benchmarks/compare.py --check          fail if a ratio fell by more than 25 % since the last history

Ratios (lab script / ours, of medians over rounds in which both run in turn) are compared rather than times, because
they travel better between machines; on a busy machine they still scatter. Numba is measured where it is installed
(extra `bench`); what a run or an old history lacks is a dash.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
HISTORY = HERE / "history"
PAGE = HERE.parent / "docs" / "benchmarks.md"
README = HERE.parent / "README.md"
#: A ratio may fall to this share of the last saved one.
TOLERATED = 0.75
ORDER = ("gait", "stream", "wrench", "filter", "contacts", "detect", "steps", "ring", "bootstrap", "read")

#: Ratios of a case by the role that ours is compared with; more than 1 means that ours is faster.
RATIOS = {"lab": "ratio", "numba": "ratio_to_numba", "floor": "ratio_to_floor"}
#: Other figures of a case that are kept.
KEPT = ("ns_per_value", "counted", "fraction_of_real_time", "completing_us")
#: Cases of the README: group, case, and what to call it there.
SHORT = (
    *(
        ("gait", f"{rate} Hz", f"everything, 10 min × 12 channels, {rate // 1000} kHz")
        for rate in (1000, 2000, 10000)
    ),
    *(
        ("filter", f"12 channels, {rate} Hz", f"zero-phase filter, 12 channels, {rate // 1000} kHz")
        for rate in (1000, 10000)
    ),
)

Case = dict[str, Any]


def run(paths: list[str], cpu_time: bool) -> dict[str, Any]:
    """Run pytest on one core and return its benchmark report."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pytest", *(paths or [str(HERE)]), "-q"]
        command += [f"--benchmark-json={report}", "--benchmark-quiet", "-p", "no:cacheprovider"]
        command += ["--benchmark-timer=time.process_time"] if cpu_time else []
        done = subprocess.run(command, cwd=HERE.parent, env=os.environ | threads, check=False)
        if done.returncode:
            sys.exit(f"the benchmarks failed (pytest exit status {done.returncode})")
        return json.loads(report.read_text(encoding="utf-8"))


def pooled(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """The first report with medians over the rounds of all.

    Runs minutes apart see the machine at different speeds.
    """

    def key(bench: dict[str, Any]) -> tuple[str, ...]:
        return tuple(bench["extra_info"][name] for name in ("group", "case", "role"))

    found = [{key(bench): bench for bench in report["benchmarks"]} for report in reports]
    if any(one.keys() != found[0].keys() for one in found):
        sys.exit("the runs timed different cases, so they can't be put together")
    for name, bench in found[0].items():
        stats, info = bench["stats"], bench["extra_info"]
        same = [one[name] for one in found]
        median = statistics.median([t for one in same for t in one["stats"]["data"]])
        for value in {"ns_per_value", "fraction_of_real_time"} & set(info):
            info[value] *= median / stats["median"]
        for value in {"push_us", "completing_us"} & set(info):
            both = [one["extra_info"][value] for one in same if value in one["extra_info"]]
            info[value] = [statistics.median(values) for values in zip(*both, strict=True)]
        stats["median"] = median
        for role, times in info.get("in_turn_s", {}).items():
            times += [t for one in same[1:] for t in one["extra_info"]["in_turn_s"][role]]
    return reports[0]


def numba_version() -> str | None:
    try:
        return version("numba")
    except PackageNotFoundError:
        return None


def summarise(report: dict[str, Any], runs: int = 1) -> dict[str, Any]:
    """Versions, processor, medians and ratios of each case; nothing that names the machine or its folders."""
    import numpy
    import scipy

    import balancecore

    pairs: dict[tuple[str, str], dict[str, Any]] = {}
    small = False
    for bench in report["benchmarks"]:
        info = bench["extra_info"]
        small |= info["small"]
        pairs.setdefault((info["group"], info["case"]), {})[info["role"]] = bench
    cases = []
    for (group, name), roles in pairs.items():
        if not {"lab", "ours"} <= set(roles):
            continue
        case: Case = {"group": group, "case": name}
        info = roles["ours"]["extra_info"]
        case |= {f"{role}_s": bench["stats"]["median"] for role, bench in roles.items()}
        # Where a role ran in turn with ours, both saw the same machine: these are the times to compare.
        case |= {f"{role}_s": statistics.median(times) for role, times in info.get("in_turn_s", {}).items()}
        case |= {ratio: case[f"{role}_s"] / case["ours_s"] for role, ratio in RATIOS.items() if role in roles}
        case |= {key: info[key] for key in KEPT if key in info}
        case |= {
            f"{role}_push_us": bench["extra_info"]["push_us"]
            for role, bench in roles.items()
            if "push_us" in bench["extra_info"]
        }
        cases.append(case)
    cases.sort(key=lambda c: ORDER.index(c["group"]) if c["group"] in ORDER else len(ORDER))
    cpu = report["machine_info"]["cpu"]
    cpu_time = "process_time" in report["benchmarks"][0]["options"]["timer"]
    return {
        "date": report["datetime"][:10],
        "cpu": f"{cpu.get('brand_raw', 'unknown')} (family {cpu.get('family')}, model {cpu.get('model')})",
        "cores": cpu.get("count"),
        "clock": "CPU time" if cpu_time else "wall clock",
        "runs": runs,
        "python": report["machine_info"]["python_version"],
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "numba": numba_version(),
        "balancecore": balancecore.__version__,
        "small": small,
        "cases": cases,
    }


def rounded(value: Any) -> Any:
    """Four significant digits, which is more than the noise allows."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def last_history() -> dict[str, Any] | None:
    files = sorted(HISTORY.glob("*.json"))
    return json.loads(files[-1].read_text(encoding="utf-8")) if files else None


def save(summary: dict[str, Any]) -> Path:
    HISTORY.mkdir(exist_ok=True)
    path = HISTORY / f"{len(list(HISTORY.glob('*.json'))) + 1:04d}_{summary['balancecore']}.json"
    path.write_text(json.dumps(rounded(summary), indent=1) + "\n", encoding="utf-8")
    return path


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def before(case: Case, history: dict[str, Any] | None) -> float | None:
    """Ratio of the same case in the history."""
    for old in history["cases"] if history else ():
        if (old["group"], old["case"]) == (case["group"], case["case"]):
            return float(old["ratio"])
    return None


def seconds(case: Case, role: str) -> str:
    return duration(case[f"{role}_s"]) if f"{role}_s" in case else "–"


def times(case: Case, role: str) -> str:
    """How many times faster ours is; beside the floor, which can't be beaten, how many times slower."""
    ratio = case.get(RATIOS[role])
    if ratio is None:
        return "–"
    return f"{1 / ratio if role == 'floor' else ratio:.2f}"


def markdown(rows: list[list[str]]) -> str:
    """Rows, the head first, as a Markdown table that can be read as it stands."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def table(summary: dict[str, Any], history: dict[str, Any] | None = None) -> str:
    head = ["group", "case", "lab script", "Numba", "floor", "balancecore"]
    head += ["lab / ours", "Numba / ours", "ours / floor", "ns/value", "real time / time"]
    if history:
        head.append("lab / ours before")
    rows = [head]
    for case in summary["cases"]:
        share = case.get("fraction_of_real_time")
        row = [
            case["group"],
            case["case"],
            *(seconds(case, role) for role in ("lab", "numba", "floor", "ours")),
        ]
        row += [times(case, role) for role in RATIOS]
        row += [f"{case['ns_per_value']:.3g}", f"{1 / share:,.0f}" if share else "–"]
        if history:
            old = before(case, history)
            row.append("–" if old is None else f"{old:.2f}")
        rows.append(row)
    return markdown(rows)


def push_table(summary: dict[str, Any]) -> str:
    """One block of a running signal: median and 99th percentile of a call."""
    rows = [["one block", "lab script", "Numba", "floor", "balancecore", "the same, completing a step"]]
    for case in summary["cases"]:
        cells = [case.get(f"{role}_push_us") for role in ("lab", "numba", "floor", "ours")]
        if any(cells):
            row = [pair and f"{pair[0]:.1f} ({pair[1]:.1f})" for pair in [*cells, case.get("completing_us")]]
            rows.append([case["case"].removeprefix("blocks of "), *(cell or "–" for cell in row)])
    return markdown(rows) if len(rows) > 1 else "No block was timed in this run."


def short_table(summary: dict[str, Any]) -> str:
    """What the README shows."""
    cases = {(case["group"], case["case"]): case for case in summary["cases"]}
    rows = [["", "lab script", "Numba", "balancecore", "faster than the lab script", "than Numba"]]
    for group, name, title in SHORT:
        if case := cases.get((group, name)):
            row = [seconds(case, role) for role in ("lab", "numba", "ours")]
            rows.append(
                [title, *row, *(f"{times(case, role)} ×".replace("– ×", "–") for role in ("lab", "numba"))]
            )
    for rate in (1000, 10000):
        case = cases.get(("stream", f"blocks of 10 frames, {rate} Hz"), {})
        if "ours_push_us" in case:
            title = f"one `push` of 10 frames × 12 channels, {rate // 1000} kHz: median"
            medians = [case.get(f"{role}_push_us", [None])[0] for role in ("lab", "numba", "ours")]
            row = ["–" if us is None else duration(1e-6 * us) for us in medians]
            rows.append([title, *row, "another job", "another job"])
    return markdown(rows)


def machine(summary: dict[str, Any]) -> str:
    s = summary
    numba = f", Numba {s['numba']}" if s.get("numba") else ""
    runs = f" of {s['runs']} runs" if s.get("runs", 1) > 1 else ""
    return (
        f"{s['date']}, {s['clock']}{runs}, {s['cpu']}, {s['cores']} cores of which one is used, Python {s['python']}, "
        f"NumPy {s['numpy']}, SciPy {s['scipy']}{numba}, balancecore {s['balancecore']}."
    )


def renew(name: str, text: str, page: Path) -> None:
    """Put text between the page's markers of that name."""
    whole = page.read_text(encoding="utf-8")
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    head, _, rest = whole.partition(start)
    _, _, tail = rest.partition(end)
    if not tail:
        sys.exit(f"{page.name} has no markers for {name}")
    page.write_text(f"{head}{start}{text}\n{end}{tail}", encoding="utf-8")


def renew_tables(summary: dict[str, Any], page: Path = PAGE, readme: Path = README) -> None:
    """What comes from the report alone."""
    renew("measured", f"{machine(summary)}\n\n{table(summary)}", page)
    renew("push", push_table(summary), page)
    renew("measured", f"{short_table(summary)}\n\n{machine(summary)}", readme)


def renew_scripts() -> None:
    """What the other scripts of this folder print."""
    for name in ("profile_gait", "drift_demo", "scaling"):
        command = [sys.executable, str(HERE / f"{name}.py")]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
        renew(name, done.stdout.strip(), PAGE)


def regressions(summary: dict[str, Any], history: dict[str, Any]) -> list[str]:
    found = []
    for case in summary["cases"]:
        old = before(case, history)
        if old is not None and case["ratio"] < TOLERATED * old:
            found.append(f"{case['group']}, {case['case']}: ratio {case['ratio']:.2f}, before {old:.2f}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", nargs="?", help="a file of pytest --benchmark-json; without it, run now")
    parser.add_argument(
        "--only", action="append", default=[], metavar="FILE", help="run these bench files only"
    )
    parser.add_argument(
        "--cpu-time", action="store_true", help="CPU time instead of wall clock, for a busy machine"
    )
    parser.add_argument(
        "--runs", type=int, default=1, metavar="N", help="medians over the rounds of N runs (default 1)"
    )
    parser.add_argument("--save", action="store_true", help="add the result to benchmarks/history/")
    parser.add_argument(
        "--docs", action="store_true", help="renew the tables of docs/benchmarks.md and README.md"
    )
    parser.add_argument("--check", action="store_true", help="fail if a ratio fell by more than 25 %%")
    asked = parser.parse_args()
    if asked.runs < 1 or (asked.report and asked.runs > 1):
        parser.error("--runs is the number of runs to make now, at least 1")
    if asked.report:
        report = json.loads(Path(asked.report).read_text(encoding="utf-8"))
    else:
        report = pooled([run(asked.only, asked.cpu_time) for _ in range(asked.runs)])
    summary = summarise(report, asked.runs)
    history = last_history()
    print(machine(summary))
    print(table(summary, history))
    if summary["small"] and (asked.save or asked.docs or asked.check):
        print("BALANCECORE_BENCH_SMALL was set: such numbers are neither saved nor compared", file=sys.stderr)
        return 2
    worse = regressions(summary, history) if asked.check and history else []
    if asked.check and not history:
        print("no history to compare with", file=sys.stderr)
    if asked.save:
        print(f"saved {save(summary).name}")
    if asked.docs:
        renew_tables(summary)
        renew_scripts()
    for line in worse:
        print(f"slower: {line}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
