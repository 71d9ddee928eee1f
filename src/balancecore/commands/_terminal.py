"""What commands that measure have in common: signals, and a line in the terminal that shows how it goes."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from balancecore.markup import harmless

__all__ = ["OF_SIGNAL", "line", "reason", "say", "signals"]

#: Exit status after a signal, as shells have it: 128 and the signal's number.
OF_SIGNAL = 128
#: How often the line is shown where there is no terminal, s.
LOG_S = 5.0


def say(text: str) -> None:
    """A line on the standard error stream."""
    print(harmless(text, 2000), file=sys.stderr, flush=True)


def reason(noted: list[int]) -> str:
    """Why it ends, for the file."""
    return f"stopped by {signal.Signals(noted[0]).name}" if noted else "stopped"


@contextmanager
def signals() -> Iterator[list[int]]:
    """SIGINT and SIGTERM are noted in place of ending the program; only the main thread can do that."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def line() -> Iterator[Callable[[str], None]]:
    """Shows a text in the place of the one before it: by rich, by a plain terminal, or as a line now and then."""
    if not sys.stderr.isatty():
        yield _now_and_then()
        return
    try:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text
    except ImportError:
        shown = _OverItself()
        yield shown
        shown("")
        return
    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
        yield lambda text: live.update(Text(text, no_wrap=True, overflow="ellipsis"))


def _now_and_then() -> Callable[[str], None]:
    last_s = time.monotonic()

    def show(text: str) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= LOG_S:
            last_s = time.monotonic()
            say(text)

    return show


@dataclass
class _OverItself:
    """A line that is written over by the next."""

    width: int = 0

    def __call__(self, text: str) -> None:
        print(f"\r{text:<{self.width}}", end="\r" if not text else "", file=sys.stderr, flush=True)
        self.width = len(text)
