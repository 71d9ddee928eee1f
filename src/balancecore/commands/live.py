"""``balancecore live``: a device watched in a browser, recordings by its buttons."""

from __future__ import annotations

import argparse
import contextlib
import math
import secrets
import socket
import threading
import time
import webbrowser
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote

from balancecore.capture.rig import load_rig
from balancecore.commands._terminal import OF_SIGNAL, line, reason, say, signals
from balancecore.errors import BalanceCoreError, DataError, MissingExtraError
from balancecore.live.access import check_access, is_loopback
from balancecore.live.analysis import DEFAULT_METRICS, STRIDES
from balancecore.live.feed import PageFeed
from balancecore.live.session import LiveSession
from balancecore.live.view import check_targets
from balancecore.markup import harmless

__all__ = ["add_parser"]

#: Somebody who runs with limbs that differ, so that there is something to see.
DEVICE = "simulated:treadmill?noise_n=3&jitter=0.02&left_contact_s=0.25&right_contact_s=0.235"
ADDRESS, PORT = "127.0.0.1", 5006
#: How often it is looked how things go, s.
LOOK_S = 0.25


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    parser = commands.add_parser("live", help="watch a device in a browser: traces, steps, running symmetry")
    parser.set_defaults(run=_live)
    source = parser.add_argument_group("what to watch")
    source.add_argument("--rig", metavar="FILE", help="rig file: device, plates, channels")
    source.add_argument(
        "--device",
        metavar="ADDRESS",
        help="device; with --rig in the place of the one that stands there (default: a simulated treadmill)",
    )
    source.add_argument("--mass", type=float, metavar="KG", help="body mass; estimated if not given")
    source.add_argument(
        "--gait", choices=("auto", "run", "walk"), default="auto", help="default: seen in the first 2 s"
    )
    shown = parser.add_argument_group("what is shown")
    shown.add_argument(
        "--strides",
        type=int,
        default=STRIDES,
        metavar="N",
        help=f"of the running symmetry (default {STRIDES})",
    )
    shown.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help=f"a column of the steps, several by repeating it (default: {', '.join(DEFAULT_METRICS)})",
    )
    shown.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="a band for cadence, a metric (in the unit that is shown) or METRIC.si (%%); several by repeating it",
    )
    shown.add_argument("--sound", action="store_true", help="let steps outside their band be heard")
    output = parser.add_argument_group("recordings")
    output.add_argument("--out", default=".", metavar="DIR", help="folder (default: here)")
    output.add_argument("--seconds", type=float, metavar="S", help="signal of each (default: until Stop)")
    output.add_argument("--note", default="", metavar="TEXT", help="text that is kept in the files")
    page = parser.add_argument_group("page")
    page.add_argument("--address", default=ADDRESS, metavar="HOST", help=f"to listen on (default {ADDRESS})")
    page.add_argument(
        "--port",
        type=int,
        metavar="N",
        help=f"0: any that is free (default {PORT}, or a free one where it is taken)",
    )
    page.add_argument(
        "--token", metavar="TEXT", help="what a browser has to know; made where others can reach the address"
    )
    page.add_argument("--open", action="store_true", help="open the page in this computer's browser")


def _live(args: argparse.Namespace) -> int:
    for module, extra in (("bokeh", "live"), ("nptdms", "record"), ("msgspec", "record")):
        if find_spec(module) is None:
            raise MissingExtraError(f"the live page needs {module}: pip install 'balancecore[{extra}]'")
    targets = dict(_target(text) for text in args.target)
    metrics = _metrics(args.metric, targets)
    check_targets(targets, metrics)
    if args.port is not None and not 0 <= args.port <= 65535:
        raise DataError(f"--port {args.port}: 0 to 65535 are possible")
    token = _token(args.address, args.token)
    rig = None if args.rig is None else load_rig(args.rig)
    session = LiveSession(
        args.device or (rig.device if rig else DEVICE),
        rig=rig,
        out=args.out,
        mass_kg=args.mass,
        strides=args.strides,
        metrics=metrics,
        gait=args.gait,
        seconds=args.seconds,
        note=args.note,
    )
    port = _port(args.address) if args.port is None else args.port
    session.open()
    with signals() as noted:
        for note in session.device.description.notes:
            say(f"{session.device}: {note}")
        feed = PageFeed(
            session, address=args.address, port=port, token=token, targets=targets, sound=args.sound
        )
        try:
            feed.start()
            _watch(session, feed, token, args.open, lambda: bool(noted))
        finally:
            # Signals are still only noted: a second Ctrl-C must not leave a file without its end.
            session.close(reason(noted))
            feed.stop()
            _tell(session)
    if session.error is not None:
        raise session.error
    if feed.failed and not feed.url:
        raise BalanceCoreError(feed.failed)
    return OF_SIGNAL + noted[0] if noted else 0


def _watch(
    session: LiveSession, feed: PageFeed, token: str, browser: bool, interrupted: Callable[[], bool]
) -> None:
    """Until a signal: say what happens."""
    shown = ""
    with line() as show:
        while not interrupted():
            _tell(session)
            feed.watch()
            if feed.failed and not feed.url:
                return
            if feed.url and feed.url != shown:
                shown = feed.url
                address = _with_token(shown, token)
                say(f"page: {address}   (Ctrl-C ends)")
                if browser:
                    # A browser of the terminal is waited for, and Ctrl-C must not be.
                    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            show(_progress(session))
            time.sleep(LOOK_S)


def _progress(session: LiveSession) -> str:
    now, seen = session.now(), session.analysis.seen()
    words = [f"{now.state:<9}", f"{now.device_state}", f"{now.device_lost} lost"]
    if now.file is not None:
        words += [
            f"{harmless(now.file, 60)}: {now.elapsed_s:.1f} s",
            f"{now.lost} lost",
            f"buffer {100 * now.buffer:.0f} %",
        ]
    if math.isfinite(seen.cadence):
        words.append(f"{seen.cadence:.0f} steps/min")
    return "  ".join(words)


def _tell(session: LiveSession) -> None:
    for message in session.messages():
        say(message)


def _target(text: str) -> tuple[str, tuple[float, float]]:
    name, equals, band = text.partition("=")
    low, colon, high = band.partition(":")
    try:
        if not (equals and colon):
            raise ValueError
        return name.strip(), (float(low), float(high))
    except ValueError as error:
        raise DataError(f"--target {text}: NAME=LOW:HIGH is wanted, such as cadence=170:180") from error


def _metrics(asked: list[str], targets: dict[str, tuple[float, float]]) -> tuple[str, ...]:
    """The metrics that are asked for, and those that have a band."""
    banded = [name.removesuffix(".si") for name in targets if name != "cadence"]
    return tuple(dict.fromkeys([*(asked or DEFAULT_METRICS), *banded]))


def _token(address: str, token: str | None) -> str:
    """The one that is given; none where nobody else reaches the address; else a new one."""
    if token is None:
        token = "" if is_loopback(address) else secrets.token_urlsafe(24)
    check_access(address, token)
    return token


def _port(address: str) -> int:
    """The usual one, or any where it is taken."""
    with contextlib.suppress(OSError):
        family, kind, protocol, _, place = socket.getaddrinfo(address, PORT, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            return PORT
    return 0


def _with_token(url: str, token: str) -> str:
    return url if not token or "token=" in url else f"{url}?token={quote(token, safe='')}"
