"""``balancecore rig init`` writes a rig file; ``balancecore rig check`` compares one with the device."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from balancecore._version import __version__
from balancecore.capture import rig_check
from balancecore.capture._rig_write import text_for_c3d, text_for_device
from balancecore.capture.device import Device, open_device
from balancecore.capture.rig import Rig, load_rig
from balancecore.capture.rig_check import Finding, Measured, PlateCheck, RigCheck, WeightCheck
from balancecore.errors import DataError
from balancecore.io._file import load
from balancecore.io._save import new_file
from balancecore.io.c3d import c3d_setup
from balancecore.markup import harmless, print_json

__all__ = ["add_parser"]

FAILED = 1


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    parser = commands.add_parser(
        "rig", help="write or check the file that says what a device's channels mean"
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_init(
        actions.add_parser(
            "init", help="write a commented rig file from a device or from a C3D file's plates"
        )
    )
    _add_check(actions.add_parser("check", help="offsets, noise and ends of the range, and a known weight"))


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_init)
    parser.add_argument(
        "source",
        nargs="?",
        default="simulated:treadmill",
        metavar="ADDRESS|FILE.c3d",
        help="device, or a recording with the same plates (default simulated:treadmill)",
    )
    parser.add_argument(
        "--device", metavar="ADDRESS", help="with a C3D file: the device that has its channels now"
    )
    parser.add_argument("-o", "--out", default="rig.toml", metavar="OUT", help="new file (default rig.toml)")


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_check)
    parser.add_argument(
        "file", nargs="?", default="rig.toml", metavar="FILE", help="rig file (default rig.toml)"
    )
    parser.add_argument("--device", metavar="ADDRESS", help="instead of the address in the file")
    parser.add_argument(
        "--seconds", type=float, default=5.0, metavar="S", help="how long each look takes (default 5)"
    )
    parser.add_argument(
        "--weight", type=float, metavar="KG", help="a known mass, put on a plate when asked for"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=2.0,
        metavar="PCT",
        help="largest deviation of the weight that passes (default 2)",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _init(args: argparse.Namespace) -> int:
    text = _from_c3d(args) if args.source.lower().endswith(".c3d") else _from_device(args)
    # What can't be read again must not be written.
    rig = Rig.parse(text, Path(args.out).name)
    with new_file(args.out) as file:
        file.write(text.encode("utf-8"))
    said = f"{len(rig.channels)} channels, {len(rig.plates)} plates"
    print(
        f"{harmless(Path(args.out).name)}: {said}. Next: balancecore rig check {harmless(Path(args.out).name)}"
    )
    if not rig.plates:
        print("Fill in a [[plates]] table for each plate first: the file says how.")
    return 0


def _from_c3d(args: argparse.Namespace) -> str:
    file = load(args.source)
    if args.device is None:
        return text_for_c3d(c3d_setup(file), file.name, None)
    with open_device(args.device) as device:
        return text_for_c3d(c3d_setup(file), file.name, device)


def _from_device(args: argparse.Namespace) -> str:
    if args.device is not None:
        raise DataError("--device goes with a C3D file; the device itself is named without it")
    with open_device(args.source) as device:
        return text_for_device(device)


def _check(args: argparse.Namespace) -> int:
    rig = load_rig(args.file)
    if not 0.0 < args.tolerance <= 100.0:
        raise DataError(f"--tolerance {args.tolerance:g}: a percentage above 0 is wanted")
    with open_device(args.device or rig.device) as device:
        rig = rig.bind(device.description)
        _tell(f"{device.description.model}: {args.seconds:g} s with nothing on the plates")
        with _looker(rig, not args.json) as look:
            empty = rig_check.measure(device, args.seconds, look)
        checked = rig_check.check_rig(rig, device, empty)
        weight = None
        if args.weight is not None:
            tare = rig.tare(empty.raw, empty.rate_hz)
            _wait_for(args.weight)
            with _looker(rig, not args.json) as look:
                loaded = rig_check.measure(device, args.seconds, look)
            weight = rig_check.weigh(rig, tare, loaded, args.weight, args.tolerance / 100.0)
        findings = checked.findings + (() if weight is None else weight.findings)
        passed = rig_check.worst(findings) != "fail"
        if args.json:
            _print_json(args, device, empty, checked, weight, passed)
        else:
            _print_tables(checked)
            _print_findings(findings)
    return 0 if passed else FAILED


def _wait_for(mass_kg: float) -> None:
    _tell(f"Put the {mass_kg:g} kg on one plate, let them rest, and press Enter")
    if not sys.stdin.readline():
        raise DataError("--weight: nobody pressed Enter")


def _tell(text: str) -> None:
    print(harmless(text, 500), file=sys.stderr, flush=True)


def _print_json(
    args: argparse.Namespace,
    device: Device,
    empty: Measured,
    checked: RigCheck,
    weight: WeightCheck | None,
    passed: bool,
) -> None:
    about = device.description
    print_json(
        {
            "balancecore": __version__,
            "rig": Path(args.file).name,
            "device": {"model": about.model, "serial": about.serial, "simulated": about.simulated},
            "rate_hz": empty.rate_hz,
            "frames": len(empty.raw),
            "frames_lost": empty.n_lost,
            **checked.to_dict(),
            "weight": None if weight is None else weight.to_dict(),
            "passed": passed,
        }
    )


def _print_tables(checked: RigCheck) -> None:
    names = ["channel", *(c.name for c in checked.channels), *(plate.name for plate in checked.plates)]
    width = min(max(len(harmless(name)) for name in names), 30)
    print(f"{'channel':<{width}}  {'unit':<5}{'mean':>12}{'SD':>12}{'lowest':>12}{'highest':>12}")
    for c in checked.channels:
        row = "".join(f"{_number(v, '.5g'):>12}" for v in (c.mean, c.sd, c.lowest, c.highest))
        print(f"{harmless(c.name, width):<{width}}  {harmless(c.unit):<5}{row}")
    if checked.plates:
        print(f"\n{'plate':<{width}}  {_PLATE_HEAD}")
    for plate in checked.plates:
        print(f"{harmless(plate.name, width):<{width}}  {_plate_row(plate)}")
    print()


_PLATE_HEAD = "".join(f"{word:>10}" for word in ("mean Fx", "Fy", "Fz", "SD Fx", "Fy", "Fz")) + "  N"


def _plate_row(plate: PlateCheck) -> str:
    return "".join(f"{_number(value, 'z.2f'):>10}" for value in (*plate.force_n, *plate.noise_n))


def _number(value: float | None, spelled: str) -> str:
    return "-" if value is None else format(value, spelled)


def _print_findings(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        print(f"{finding.status.upper():<5}{harmless(finding.what, 200)}: {harmless(finding.text, 500)}")


@contextlib.contextmanager
def _looker(rig: Rig, shown: bool) -> Iterator[Callable[[Measured], None] | None]:
    """What shows each plate's force while it is measured: only where rich is there and somebody watches."""
    if not shown or not rig.plates or not sys.stderr.isatty():
        yield None
        return
    try:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text
    except ImportError:
        yield None
        return
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:

        def look(seen: Measured) -> None:
            latest = Measured(seen.raw[-round(seen.rate_hz) :], seen.rate_hz)
            rows = [
                f"{harmless(plate.name, 14):<14}{_plate_row(plate)}"
                for plate in rig_check.plates_of(rig, latest)
            ]
            head = f"{len(seen.raw)} frames, {seen.n_lost} lost"
            live.update(Text("\n".join([head, f"{'':<14}{_PLATE_HEAD}", *rows])), refresh=True)

        yield look
