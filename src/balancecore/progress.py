"""How far a long job is: a bar where rich is installed and someone watches, else a line now and then."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

__all__ = ["Progress"]

#: Without a bar, a line at every tenth of the work.
_LINES = 10


class Progress:
    """Counts to stderr, as a context manager; silent if `shown` is False.

    Parameters
    ----------
    total : int
        Items to be done.
    what : str
        What the items are, in the plural.
    shown : bool
    """

    def __init__(self, total: int, what: str, shown: bool = True) -> None:
        self._total, self._what, self._shown = total, what, shown and total > 0
        self._done = self._failed = 0
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if self._shown and sys.stderr.isatty():
            try:
                from rich.console import Console
                from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
                from rich.progress import Progress as Bar
            except ImportError:
                return self
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._bar.add_task(self._what, total=self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def one_done(self, failed: bool = False) -> None:
        """Count one item, and say so."""
        before, self._done = self._done, self._done + 1
        self._failed += failed
        if not self._shown:
            return
        failures = f", {self._failed} failed" if self._failed else ""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._done, description=self._what + failures)
        elif before * _LINES // self._total != self._done * _LINES // self._total:
            print(f"{self._done} of {self._total} {self._what}{failures}", file=sys.stderr, flush=True)
