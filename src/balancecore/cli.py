"""The command line: `balancecore` and its commands, from ``gait`` to ``live``."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, NoReturn

from balancecore import simulate
from balancecore._version import __version__
from balancecore.baseline import BASELINES
from balancecore.capture import Discovery, check_device, list_devices
from balancecore.commands import live, record, rig
from balancecore.conditions import compare_conditions, label
from balancecore.errors import BalanceCoreError, DataError
from balancecore.gait import GaitResult, analyze_gait
from balancecore.inspection import Reading, inspect
from balancecore.io import read
from balancecore.many import BatchResult, analyze_many, output_paths
from balancecore.markup import harmless, plain_number, print_json
from balancecore.schema import SYMMETRY_METRICS
from balancecore.subjects import Analysis, Settings, of_table, typed_column
from balancecore.text import summary_text

__all__ = ["demo_run", "main"]

#: Exit status: bad input, or nothing found in it; a wrong command line; what shells say of SIGINT and SIGPIPE.
FAILED, MISUSED, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
#: The longest demo, in frames of 12 channels: 1 GB.
MOST_FRAMES = 10_000_000
#: Trials of a batch that failed, as listed after it; all are in the table.
MOST_FAILURES = 10
#: For output that can't hold the sign itself.
_SPELLED = {"±": "+/-", "≠": "!=", "·": "."}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    _accept_any_encoding()
    parser = _parser()
    args = parser.parse_args(argv)
    if "run" not in args:
        parser.print_help(sys.stderr)
        return MISUSED
    try:
        status = int(args.run(args))
        # A closed pipe may show only here.
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _drop_output()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BalanceCoreError as error:
        _complain(str(error))
    except OSError as error:
        _complain(f"the output can't be written: {error.strerror or error}")
        _drop_output()
    return FAILED


def _complain(reason: str) -> None:
    """One line, even if a file's name has several."""
    print(f"balancecore: {harmless(' '.join(reason.split()), 2000)}", file=sys.stderr)


def _accept_any_encoding() -> None:
    """Let output in an encoding without ± show +/- instead of failing."""
    codecs.register_error("balancecore.spelled", _spell)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="balancecore.spelled")


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SPELLED.get(c, "?") for c in error.object[error.start : error.end]), error.end


def _drop_output() -> None:
    """Send what is still buffered nowhere, or the interpreter complains when it flushes at its end."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """A parser that reports a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with the reason and where to find the options."""
        self.exit(MISUSED, f"{self.prog}: {message} ({self.prog} --help lists the options)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="balancecore",
        description="Left/right loading from force plates and instrumented treadmills.",
    )
    parser.add_argument("--version", action="version", version=f"balancecore {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    _add_gait(commands.add_parser("gait", help="analyse a running or walking trial"))
    _add_inspect(commands.add_parser("inspect", help="say what is in a recording and what looks wrong"))
    _add_batch(commands.add_parser("batch", help="analyse many trials: a table of steps and one of trials"))
    _add_devices(commands.add_parser("devices", help="say which measuring devices are there; test one"))
    _add_demo(commands.add_parser("demo", help="run everything on a simulated treadmill with known truth"))
    rig.add_parser(commands)
    record.add_parser(commands)
    live.add_parser(commands)
    return parser


def _add_gait(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_gait)
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="force file; several are plates of one trial"
    )
    _add_analysis(parser)
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="threads that share the work (default 1)"
    )
    _add_rig(_add_reading(parser))
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print everything as JSON instead of the summary")
    output.add_argument("--csv", metavar="OUT", help="write one row a contact to this new file")
    _add_report(output)


def _add_analysis(parser: argparse.ArgumentParser) -> None:
    """Options of :func:`balancecore.analyze_gait`."""
    subject = parser.add_argument_group("subject and treadmill")
    subject.add_argument("--mass", type=float, metavar="KG", help="body mass; estimated if not given")
    subject.add_argument(
        "--speed", type=float, metavar="M/S", help="belt speed, for step length and leg stiffness"
    )
    subject.add_argument("--incline", type=float, default=0.0, metavar="DEG", help="incline, uphill positive")
    subject.add_argument("--leg-length", type=float, metavar="M", help="leg length, for leg stiffness")
    subject.add_argument("--first-side", choices=("L", "R"), help="foot of the first contact in the record")
    method = parser.add_argument_group("method")
    method.add_argument("--level", default="auto", metavar="N", help="contact level: auto, newtons, or 5%%BW")
    method.add_argument(
        "--cutoff", default="50", metavar="HZ", help="low-pass of the kinetics, or off (default 50)"
    )
    method.add_argument(
        "--baseline",
        choices=BASELINES,
        default="aerial_pchip",
        help="how the offset of unloaded plates is removed (default aerial_pchip: follows it from flight to flight)",
    )
    method.add_argument(
        "--gait",
        choices=("auto", "run", "walk"),
        default="auto",
        help="which durations are plausible, and whether belts are summed (run) or kept apart (walk)",
    )
    method.add_argument(
        "--surface",
        choices=("auto", "treadmill", "overground"),
        default="auto",
        help="treadmill, or a walkway whose plates take a footfall or two each (auto: by the size of the plates)",
    )
    method.add_argument(
        "--bootstrap",
        type=int,
        default=2000,
        metavar="N",
        help="bootstrap replicates behind the intervals, 0 for no intervals (default 2000)",
    )
    method.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the bootstrap (default 0)")
    method.add_argument(
        "--timing-cutoff",
        type=float,
        metavar="HZ",
        help="low-pass of the copy on which contacts are timed (default 200, at most 35%% of the rate)",
    )
    method.add_argument(
        "--poi",
        choices=("auto_trial", "impact_peak", "13pct", "mixed"),
        default="auto_trial",
        help="point of interest of the loading rates, the same for both limbs unless mixed",
    )
    method.add_argument(
        "--mdc",
        metavar="METRIC=PCT,...",
        help="minimal detectable change of symmetry indices in your lab, such as tc=3.1,imp_v=2.4",
    )


def _add_report(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--report", metavar="OUT", help="write figures and tables to this new HTML file (extra plot)"
    )


def _add_rig(source: argparse._ArgumentGroup) -> None:
    source.add_argument(
        "--rig", metavar="RIG", help="rig file: what the columns of a table of raw channels mean"
    )


def _add_reading(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    source = parser.add_argument_group("reading")
    source.add_argument("--rate", type=float, metavar="HZ", help="sampling rate, if the file does not say")
    source.add_argument(
        "--format", choices=("netforce",), help="that columns without names are AMTI NetForce's"
    )
    source.add_argument("--sides", metavar="L,R", help="foot on each plate, in order: L, R or ?")
    source.add_argument(
        "--convention",
        choices=("reaction", "action"),
        help="what the file holds: force on the body, or on the plate",
    )
    source.add_argument(
        "--axes",
        metavar="X,Y,Z",
        help="file axes that point right, forward, up, such as --axes=-x,-y,z (with the equals sign)",
    )
    return source


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_inspect)
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="force file; several are plates of one trial, or tell of one trial (C3D and the maker's text)",
    )
    parser.add_argument(
        "--mass", type=float, metavar="KG", help="body mass, to check the scale of the forces"
    )
    _add_rig(_add_reading(parser))
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _add_batch(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_batch)
    parser.add_argument("folder", metavar="DIR", help="folder with the recordings")
    parser.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="OUT",
        help="new table, a row a trial: .csv or .parquet; a row a contact goes to OUT_steps, results of single "
        "trials to OUT.parts",
    )
    parser.add_argument(
        "--table",
        metavar="FILE",
        help="table of subjects (CSV or Parquet), a row a trial: file, options such as mass_kg and first_side, "
        "and labels such as subject and condition; without it every file is a trial",
    )
    parser.add_argument(
        "--condition",
        metavar="COLUMN",
        help="compare the conditions in this column of the table within each subject, into OUT_conditions",
    )
    parser.add_argument(
        "--subject", default="subject", metavar="COLUMN", help="column with the subjects' codes"
    )
    parser.add_argument(
        "--reference",
        metavar="CONDITION",
        help="the condition that the others are compared with (default: the first in the table)",
    )
    how = parser.add_argument_group("how it runs")
    how.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    how.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster instead, such as tcp://host:8786")
    again = how.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true", help="go on where a stopped batch was (this is the default)"
    )
    again.add_argument("--restart", action="store_true", help="forget what a stopped batch had done")
    how.add_argument("--replace", action="store_true", help="take the place of tables that exist")
    how.add_argument("--quiet", action="store_true", help="show no progress")
    _add_analysis(parser)
    _add_reading(parser)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_demo)
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="length of the run (default 60)"
    )
    parser.add_argument(
        "--rate", type=float, default=1000.0, metavar="HZ", help="sampling rate (default 1000)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the noise (default 1)")
    _add_report(parser)


def _add_devices(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_devices)
    parser.add_argument(
        "--check", metavar="ADDRESS", help="read this device for a while and say what it does"
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, metavar="S", help="how long --check reads (default 5)"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _files(args: argparse.Namespace) -> list[str] | str:
    return args.files if len(args.files) > 1 else str(args.files[0])


def _reading(args: argparse.Namespace) -> Reading:
    """Options of :func:`balancecore.read`."""
    return {
        "rate_hz": args.rate,
        "format": args.format,
        "sides": None if args.sides is None else args.sides.split(","),
        "convention": args.convention,
        "axes": None if args.axes is None else args.axes.split(","),
    }


def _inspect(args: argparse.Namespace) -> int:
    found = inspect(_files(args), mass_kg=args.mass, rig=args.rig, **_reading(args))
    if args.json:
        print_json(found.to_dict())
    else:
        print(f"balancecore {__version__}\n")
        print(found)
    return 0


def _devices(args: argparse.Namespace) -> int:
    if args.check is None:
        found = list_devices()
        if args.json:
            print_json([asdict(one) for one in found])
        else:
            print("\n".join(_device_lines(found)))
        return 0
    done = check_device(args.check, args.seconds)
    if args.json:
        print_json(done.to_dict())
    else:
        print("\n".join(harmless(line, 2000) for line in str(done).splitlines()))
        print("It does what it says." if done.passed else "It FAILED where it says so.")
    return 0 if done.passed else FAILED


def _device_lines(found: Sequence[Discovery]) -> Iterator[str]:
    """A line a device, then a line for each thing that is missing and what to do about it."""
    for one in found:
        for device in one.devices:
            serial = f", serial {device.serial}" if device.serial else ""
            yield harmless(f"{device.address}   {device.model}{serial}", 300)
        if not one.devices and not one.advice:
            yield f"{one.scheme}: nothing found"
        for advice in one.advice:
            yield harmless(f"{one.scheme}: {' '.join(advice.split())}", 2000)


def _analysis(args: argparse.Namespace) -> Analysis:
    """Options of :func:`balancecore.analyze_gait` that `_add_analysis` asks for."""
    level_n, level_bw = _level(args.level)
    return {
        "mass_kg": args.mass,
        "speed_m_s": args.speed,
        "incline_deg": args.incline,
        "leg_length_m": args.leg_length,
        "level_n": level_n,
        "level_bw": level_bw,
        "cutoff_hz": _cutoff(args.cutoff),
        "baseline": args.baseline,
        "gait": args.gait,
        "first_side": args.first_side,
        "n_boot": args.bootstrap,
        "seed": args.seed,
        "surface": args.surface,
        "timing_cutoff_hz": args.timing_cutoff,
        "poi": args.poi,
        "mdc95": _changes(args.mdc),
    }


def _gait(args: argparse.Namespace) -> int:
    trial = read(_files(args), rig=args.rig, **_reading(args))
    result = analyze_gait(trial, **_analysis(args), threads=args.threads)
    if args.csv is not None:
        _write_csv(result, args.csv)
    # A trial that balancecore has written names the files of the measurement, or none.
    names = harmless(" + ".join(os.path.basename(file) for file in args.files), 300)
    if args.report is not None:
        _write_report(result, args.report, title=None if trial.sources else names)
    if args.json:
        print_json(result.to_dict())
    else:
        print(f"balancecore {__version__}   {' + '.join(s.name for s in trial.sources) or names}\n")
        print(summary_text(result))
    return _status(result)


def _batch(args: argparse.Namespace) -> int:
    trials, steps, compared, _ = output_paths(args.out)
    reference = None
    if args.condition is not None:
        if os.path.lexists(compared) and not args.replace:
            raise DataError(f"{compared.name}: the file exists already; nothing was written to it")
        reference = _reference(args)
    elif args.reference is not None:
        raise DataError("--reference goes with --condition")
    options: Settings = {**_reading(args), **_analysis(args)}
    result = analyze_many(
        args.folder if args.table is None else args.table,
        args.out,
        folder=None if args.table is None else args.folder,
        scheduler=args.scheduler,
        workers=args.workers,
        restart=args.restart,
        replace=args.replace,
        progress=not args.quiet,
        **options,
    )
    written = [trials.name, steps.name]
    if args.condition is not None:
        table = compare_conditions(
            result,
            args.condition,
            subject=args.subject,
            reference=reference,
            n_boot=args.bootstrap,
            seed=args.seed,
        )
        table.save(compared, replace=args.replace)
        written.append(compared.name)
    return _say_batch(result, written)


def _reference(args: argparse.Namespace) -> str | None:
    """The condition of --reference as the tables will have it; what can't be compared is found before the work."""
    if args.table is None:
        raise DataError("--condition needs a table of subjects: --table")
    specs = of_table(args.table, Path(args.folder))
    for option, name in (("--condition", args.condition), ("--subject", args.subject)):
        if not any(name in spec.cells for spec in specs):
            raise DataError(f"{option} {name}: the table of subjects has no such column")
    cells = typed_column([spec.cells.get(args.condition) for spec in specs]).tolist()
    conditions = [text for text in dict.fromkeys(map(label, cells)) if text]
    if len(conditions) < 2:
        raise DataError(f"--condition {args.condition}: the table of subjects has fewer than two conditions")
    if args.reference is None:
        return None
    for text in (args.reference, label(typed_column([args.reference]).tolist()[0])):  # 2.50 is 2.5 in numbers
        if text in conditions:
            return str(text)
    raise DataError(f"--reference {args.reference}: the conditions are {', '.join(conditions[:20])}")


def _say_batch(result: BatchResult, written: list[str]) -> int:
    failed = [row for row in result.trials if row["status"] != "ok"]
    ok = len(result.trials) - len(failed)
    went_on = f", {result.resumed} of them taken from an earlier run" if result.resumed else ""
    print(f"{ok} of {len(result.trials)} trials analysed{went_on}; {len(result.steps)} contacts")
    for row in failed[:MOST_FAILURES]:
        print(f"  ! {row['file'] or 'trial ' + str(row['trial'])}: {row['error_type']}: {row['error']}")
    if len(failed) > MOST_FAILURES:
        print(f"  ! and {len(failed) - MOST_FAILURES} more that failed: see the table")
    if result.not_tried:
        print(
            f"  - {len(result.not_tried)} files with other endings were not tried: {', '.join(result.not_tried[:5])}"
        )
    print(f"written: {', '.join(written)}")
    if not ok:
        _complain("no trial could be analysed")
    return 0 if ok else FAILED


def _status(result: GaitResult) -> int:
    if result.quality["complete"]:
        return 0
    why = (result.quality["warnings"] or ["nothing in the signal looks like one"])[0]
    _complain(f"no complete contact found ({why})")
    return FAILED


def _level(text: str) -> tuple[float | Literal["auto"], float | None]:
    """'auto', newtons, or a percentage of body weight."""
    if text == "auto":
        return "auto", None
    percent = text.upper().replace(" ", "").removesuffix("BW")
    try:
        if percent.endswith("%"):
            return "auto", float(percent[:-1]) / 100.0
        return float(text), None
    except ValueError as error:
        raise DataError(
            f"--level {text}: auto, a force in N such as 25, or a share such as 5%BW is wanted"
        ) from error


def _changes(text: str | None) -> dict[str, float] | None:
    """Metrics with their minimal detectable change."""
    if text is None:
        return None
    try:
        changes = {
            name.strip(): float(value) for name, value in (part.split("=") for part in text.split(","))
        }
    except ValueError as error:
        raise DataError(f"--mdc {text}: metrics with numbers are wanted, such as tc=3.1,imp_v=2.4") from error
    unknown = sorted(set(changes) - set(SYMMETRY_METRICS))
    if unknown:
        raise DataError(f"--mdc {text}: {', '.join(unknown)} is none of {', '.join(SYMMETRY_METRICS)}")
    return changes


def _cutoff(text: str) -> float | None:
    if text.lower() in ("off", "none"):
        return None
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"--cutoff {text}: a frequency in Hz or off is wanted") from error


def _write_csv(result: GaitResult, path: str) -> None:
    try:
        result.steps.save(path, format="csv", provenance=result.provenance)
    except DataError as error:
        raise DataError(f"--csv {error}") from error


def _write_report(result: GaitResult, path: str, title: str | None = None) -> None:
    try:
        result.save_report(path, title=title)
    except DataError as error:
        raise DataError(f"--report {error}") from error


_TRUTH = ("tc", "imp_v", "peak_active", "valr_2080t", "valr_3_12", "valr_0_50ms", "vilr")


def demo_run(seconds: float = 60.0, rate_hz: float = 1000.0, seed: int = 1) -> simulate.Simulation:
    """The run that the demo analyses."""
    return simulate.treadmill(
        duration_s=seconds,
        rate_hz=rate_hz,
        noise_n=3.0,
        hum_n=2.0,
        drift_n=(simulate.Drift(linear_n=20.0, sine_n=8.0), simulate.Drift(constant_n=-15.0)),
        step_jitter=0.02,
        seed=seed,
    )


def _demo(args: argparse.Namespace) -> int:
    if args.seconds * args.rate > MOST_FRAMES:
        raise DataError(
            f"--seconds {args.seconds:g} at {args.rate:g} Hz: the demo makes {MOST_FRAMES:,} frames at most"
        )
    started = time.perf_counter()
    sim = demo_run(args.seconds, args.rate, args.seed)
    made = time.perf_counter()
    result = analyze_gait(sim.trial, mass_kg=sim.mass_kg, speed_m_s=sim.speed_m_s, leg_length_m=0.93)
    done = time.perf_counter()
    if args.report is not None:
        _write_report(result, args.report, title="Simulated split-belt run")
    print(
        f"balancecore {__version__}   simulated split-belt run: {sim.mass_kg:g} kg at {sim.speed_m_s:g} m/s,\n"
        "limbs that differ by design, 3 N of noise, mains hum, and a different drift on each belt\n"
    )
    print(summary_text(result))
    print(_against_truth(sim, result))
    print(
        f"\nAnalysed {args.seconds:g} s of 12 channels in {1000 * (done - made):.0f} ms "
        f"(the signal took {1000 * (made - started):.0f} ms to make)."
    )
    print("Your own file:  balancecore gait FILE [FILE ...] --mass KG --first-side L")
    return _status(result)


def _against_truth(sim: simulate.Simulation, result: GaitResult) -> str:
    """Symmetry as measured beside the truth of the simulation: the definition alone can flip the sign."""
    lines = [
        "",
        "Against the truth of the simulation (SI in %, L > R is +)",
        "  metric          measured    truth",
    ]
    level = result.quality["level_n"][0]
    for name in _TRUTH:
        measured, truth = (
            plain_number(si, "+.2f") for si in (result.symmetry[name].si, sim.true_si(name, level))
        )
        lines.append(f"  {name:<14}{measured:>10}{truth:>9}")
    lines.append(
        "  Four loading rates of the same footfalls: the definition alone changes the answer's sign."
    )
    return "\n".join(lines)
