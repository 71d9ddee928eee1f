"""Make docs/validation.md: what balancecore finds in the published recordings, beside what others found in them.

    BALANCECORE_DATA=/path/to/recordings python docs/make_validation.py

Numbers are printed with the digits that the comparison is about, so that the page is the same on every machine; a
test compares it with what this makes.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import balancecore as bc
from balancecore.contacts import LevelRule, segment
from balancecore.intake import take_in
from balancecore.trial import CHANNELS

PAGE = Path(__file__).with_name("validation.md")
LOADED_N = 20.0

HEAD = """# Validation on real recordings

What balancecore finds in the [published recordings](data.md), beside what others found in the same files. This page is
made by `docs/make_validation.py`; a test fails if it is not what the recordings give.

A reference is not the truth: nobody knows when a foot touched a real belt to the microsecond. Where two programs
differ, the last column says why, if it is known. Numbers from simulated signals, whose truth *is* known, are on the
page on [simulation](simulation.md) and in the tests. What has been compared with nothing is listed under
[what is not verified](not_verified.md).
"""


class Row(NamedTuple):
    """One comparison."""

    what: str
    reference: str
    found: str
    remark: str = ""


class Part(NamedTuple):
    """The comparisons of one recording."""

    title: str
    about: str
    rows: list[Row]


def text(value: float, digits: int, unit: str = "") -> str:
    """A number without a minus zero."""
    rounded = round(float(value), digits)
    return f"{rounded + 0.0:.{digits}f}{' ' + unit if unit else ''}".replace("-", "−")


def treadmill(folder: Path) -> Part:
    """Running on two belts, 2400 Hz."""
    names = ("JDX_S999_run_0021_f_1.tsv", "JDX_S999_run_0021_f_2.tsv")
    trial = bc.read([folder / name for name in names])
    result = bc.analyze_gait(trial, n_boot=0, first_side="L")
    events = json.loads((folder / "events_other_implementation.json").read_text(encoding="utf-8"))
    quality = result.quality
    levels = [bc.analyze_gait(trial, n_boot=0, level_n=n).quality for n in (10.0, 20.0, 30.0, 50.0)]
    contacts = sorted({f"{q['complete']} and {q['contacts'] - q['complete']}" for q in levels})
    baseline = quality["baseline"][0]
    at_30 = bc.analyze_gait(trial, level_n=30.0, timing_cutoff_hz=50.0, n_boot=0)
    later = np.ceil(at_30.steps["t_on"] * trial.rate_hz) - events["on"]
    earlier = (np.array(events["off"]) - np.ceil(at_30.steps["t_off"] * trial.rate_hz))[:-1]
    sides = "".join(result.steps["side"])
    rows = [
        Row(
            "contacts, complete and cut, at 10, 20, 30 and 50 N",
            "29 and 1 (file)",
            "; ".join(contacts),
            "a plain 20 N comparator sees 74 crossings",
        ),
        Row(
            "feet from the first left on",
            "alternate (heel markers)",
            "the same 30" if sides == events["foot_labels_from_heel_markers"] else "they differ",
            "from the centres of pressure alone",
        ),
        Row(
            "body mass, not told",
            "82.9 ± 0.3 kg",
            text(quality["body_weight"]["mass_kg"], 2, "kg"),
            "a baseline of sliding minima gives 83.4",
        ),
        Row("cadence", "176 /min", text(quality["cadence_spm"], 1, "/min")),
        Row("contact time at 20 N, mean", "253 ms", text(1e3 * np.nanmean(result.steps["tc"][:-1]), 1, "ms")),
        Row(
            "offset in flight, left and right belt",
            "about −5 and −15 N",
            " and ".join(
                f"{text(a, 1)} to {text(b, 1)} N"
                for a, b in zip(baseline["fz_min_n"], baseline["fz_max_n"], strict=True)
            ),
        ),
        Row(
            "first sample of contact, 30 N",
            "other implementation",
            f"{int(later.min())} to {int(later.max())} samples later",
            "its filter is of first order and its cut-off not corrected for two passes, its baseline lies lower: "
            "with both of these its samples come out within 1",
        ),
        Row(
            "last sample of contact, 30 N",
            "other implementation",
            f"{int(earlier.min())} to {int(earlier.max())} samples earlier",
            "as above",
        ),
    ]
    return Part(
        "Running on a split-belt treadmill, 2400 Hz",
        "`treadmill_run_bertec/`. References: the recording's authors (R67) and their script's events.",
        rows,
    )


def drift(folder: Path) -> Part:
    """Running with drift added on purpose, 300 Hz."""
    fz = np.loadtxt(folder / "custom_drift_S001runT25.csv")
    result = bc.analyze_gait(fz, rate_hz=300.0, n_boot=0)
    with (folder / "aerial_plots_data.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["signal"] == "original"]
    at = np.array([float(row["aerial_loc"]) for row in rows])
    theirs = np.array([float(row["aerial_val"]) for row in rows])
    contacts = bc.find_contacts(fz, rate_hz=300.0, level_n=25.0, timing_cutoff_hz=50.0)
    other = json.loads((folder / "events_other_implementation.json").read_text(encoding="utf-8"))
    inner = contacts.complete
    apart = max(
        np.abs(times[inner] * 300.0 - other[name]).max()
        for times, name in ((contacts.t_on, "begin25_detrended"), (contacts.t_off, "end25_detrended"))
    )
    away = np.sort(np.abs(offsets(fz, at) - theirs))
    quality = result.quality
    rows_of = [
        Row(
            "contacts, complete and cut",
            "77 and 2",
            f"{quality['complete']} and {quality['contacts'] - quality['complete']}",
            "a plain 20 N level finds 13",
        ),
        Row(
            "offset in 76 flights, largest difference but for three flights",
            "their tool's value at mid-flight",
            text(away[-4], 2, "N"),
            f"in the other three a 30 N spike of one sample stands in the flight: {text(away[-1], 1)} N at most",
        ),
        Row(
            "first and last sample of contact, 25 N",
            "their script's events",
            f"within {int(np.ceil(apart))} sample",
        ),
    ]
    return Part(
        "Running with a known drift, 300 Hz",
        "`treadmill_run_drift/`. References: Alcantara (R1), the authors of the drift.",
        rows_of,
    )


def offsets(fz: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The baseline that the analysis removes, at some frames."""
    found = segment(
        take_in(bc.Trial.from_wrenches([fz], rate_hz=300.0)),
        mass_kg=None,
        level=LevelRule(),
        cutoff_hz=50.0,
        timing_cutoff_hz=None,
        baseline="aerial_pchip",
        gait="auto",
    )
    values: np.ndarray = found.virtual[0].baseline.at(at)[0, 2]
    return values


def walks(folder: Path) -> Part:
    """Overground walks in C3D files."""
    rows = []
    for name, wanted in (("PlugInC3D.c3d", "R 65→116, L 108→150"), ("Gait.c3d", "R 209→267, L 257→316")):
        trial = bc.read(folder / name)
        steps = bc.analyze_gait(trial, level_n=10.0, n_boot=0, mass_kg=70.0).steps
        rate = trial.markers.rate_hz if trial.markers is not None else trial.rate_hz
        found = ", ".join(
            f"{side} {int(np.floor(on * rate)) + 1}→{int(np.ceil(off * rate)) + 1}"
            for side, on, off in zip(steps["side"], steps["t_on"], steps["t_off"], strict=True)
        )
        rows.append(
            Row(
                f"{name}: foot, strike and off, camera frames",
                wanted,
                found,
                "theirs: plain 10 N level on the camera frames; ours: 10 N level with a filter",
            )
        )
    trial = bc.read(folder / "walking2.c3d")
    table = np.loadtxt(folder / "std_cop_walking2_grfs.sto", skiprows=6)
    at = np.round(table[:, 0] * trial.rate_hz).astype(int)
    force = max(
        np.abs(p.wrench[at, :3] - table[:, 1 + 9 * k : 4 + 9 * k]).max() for k, p in enumerate(trial.plates)
    )
    place = []
    for k, plate in enumerate(trial.plates):
        w, theirs = plate.wrench[at], table[:, 4 + 9 * k : 6 + 9 * k]
        own = plate.origin_m[:2] + np.column_stack((-w[:, 4], w[:, 3])) / w[:, 2:3]
        place.append(np.abs(1e3 * own - theirs).max())
    rows += [
        Row(
            "walking2.c3d: force at 101 instants, two plates", "OpenSim's table", f"within {ceiling(force)} N"
        ),
        Row("walking2.c3d: centre of pressure there", "OpenSim's table", f"within {ceiling(max(place))} mm"),
    ]
    return Part(
        "Walking over plates in the floor, C3D",
        "`c3d_plates/`. References: BTK's test data and OpenSim's.",
        rows,
    )


def ceiling(value: float) -> str:
    """The next power of ten: the size of a difference, without digits that depend on the machine."""
    return f"1e{int(np.ceil(np.log10(max(float(value), 1e-12))))}"


def kistler(folder: Path) -> Part:
    """Eight raw channels of a Kistler plate, beside the vendor's export."""
    rows = []
    for name, az0_m in (("kistler_CMJ_1plate.txt", -0.052), ("kistler_COP.txt", -0.057)):
        lines = (folder / name).read_text(encoding="latin-1").splitlines()
        head = next(k for k, line in enumerate(lines) if line.startswith("abs time"))
        vendor = dict(
            zip(lines[head].split("\t"), np.loadtxt(lines[head + 2 :], delimiter="\t").T, strict=True)
        )
        raw = np.column_stack([vendor[channel] for channel in bc.plates.KISTLER_CHANNELS])
        wrench = bc.plates.kistler(a_m=0.21, b_m=0.35, az0_m=az0_m).wrench(raw)
        cop, free = bc.plates.centre_of_pressure(wrench)
        loaded = vendor["Fz"] >= LOADED_N
        force = max(np.abs(wrench[:, k] - vendor[c]).max() for k, c in enumerate(("Fx", "Fy", "Fz")))
        place = max(np.abs(cop[loaded, k] - vendor[c][loaded]).max() for k, c in enumerate(("Ax", "Ay")))
        turn = np.abs(free[loaded] - vendor["Tz"][loaded]).max()
        rows.append(
            Row(
                f"{name}: force; centre of pressure; free moment",
                "BioWare",
                f"within {ceiling(force)} N; {ceiling(1e3 * place)} mm; {ceiling(turn)} N·m",
                f"depth of the sensors {text(-1e3 * az0_m, 0)} mm; the header's 58 mm is not it",
            )
        )
    return Part(
        "A piezoelectric plate from its raw channels",
        "`kistler_raw/`. Reference: the vendor's own export of the same recording.",
        rows,
    )


def standing(folder: Path, jumps: Path) -> Part:
    """Quiet standing, and the quiet phase before a jump."""
    worst = 0.0
    for number in range(1, 9):
        path = folder / f"BDS{number:05d}.txt"
        table = np.loadtxt(path, skiprows=1)
        cop = bc.read(path).plates[0].cop
        worst = max(worst, float(np.abs(100.0 * cop[:, :2] - table[:, 7:9]).max()))
    trial = bc.read(
        jumps / "F02_CTRL1.txt",
        rate_hz=2000.0,
        columns=[
            dict(zip(CHANNELS, range(6 * k, 6 * k + 6), strict=True))  # no header names them
            for k in range(2)
        ],
    )
    total = sum(plate.wrench[:, 2] for plate in trial.plates)
    windows = [total[k : k + 800] for k in range(0, len(total) - 800, 400)]
    quietest = min((w for w in windows if w.mean() > 500.0), key=np.std)
    return Part(
        "Plates as such: standing",
        "`quiet_standing/` and `jumps/`. References: the data set's own centre of pressure; jumpmetrics 0.2.0.",
        [
            Row(
                "8 trials of 60 s: centre of pressure",
                "the files' own columns",
                f"within {ceiling(worst)} cm",
                "printed with 6 decimals of a cm",
            ),
            Row(
                "jump: weight on both plates, quietest 0.4 s of standing",
                "722.3 N (364.1 + 358.2)",
                text(quietest.mean(), 1, "N"),
                "their window is another one: while standing, the feet's shares sway by 15 N",
            ),
        ],
    )


def make(data: Path) -> str:
    """The page."""
    parts: Iterator[Part] = iter(
        (
            treadmill(data / "treadmill_run_bertec"),
            drift(data / "treadmill_run_drift"),
            walks(data / "c3d_plates"),
            kistler(data / "kistler_raw"),
            standing(data / "quiet_standing", data / "jumps"),
        )
    )
    lines = [HEAD]
    for part in parts:
        lines += [
            f"## {part.title}\n",
            f"{part.about}\n",
            "| what | reference | balancecore | remark |",
            "|---|---|---|---|",
        ]
        lines += [f"| {' | '.join(row)} |" for row in part.rows]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    named = os.environ.get("BALANCECORE_DATA", "")
    if not Path(named).is_dir() or not named:
        sys.exit("BALANCECORE_DATA must name the folder of recordings (docs/data.md)")
    PAGE.write_text(make(Path(named)), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
