"""The process that serves the live page: ``python -m balancecore.live.page``, started by `balancecore live`.

On its standard input come lines of JSON: first ``{"hello": …}``, then ``{"update": …}``; their end ends it. On its
standard output go ``{"listening": URL}`` once and ``{"do": "start" | "stop" | "tare" | "marker"}`` for every button.
The token, where there is one, comes in the environment, since anybody may read the words of a command.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from balancecore.errors import BalanceCoreError, DataError, MissingExtraError
from balancecore.live.access import check_access
from balancecore.live.hub import Hub

if TYPE_CHECKING:
    from bokeh.document import Document

__all__ = ["TOKEN", "main"]

#: Where the token comes in the environment.
TOKEN = "BALANCECORE_LIVE_TOKEN"
#: How long browsers have for the last state after the end of the input, s.
FAREWELL_S = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until the input ends.

    Parameters
    ----------
    argv : sequence of str, optional
        Default: the words of the command.

    Returns
    -------
    int
        Exit status: 0, or 1 with the reason on the standard error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m balancecore.live.page", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--address", default="127.0.0.1", help="to listen on (default: this computer only)")
    parser.add_argument("--port", type=int, default=0, help="default: any that is free")
    args = parser.parse_args(argv)
    token = os.environ.pop(TOKEN, "")
    # Ctrl-C is for the program that captures; when that ends, so does the input, and then this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _serve(args.address, args.port, token, sys.stdin, sys.stdout)
    except BalanceCoreError as error:
        print(f"live page: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _serve(address: str, port: int, token: str, lines: TextIO, answers: TextIO) -> None:
    check_access(address, token)  # before Bokeh is loaded, which takes its time
    # What Bokeh is told by the environment is meant for other programs.
    for name in [name for name in os.environ if name.startswith("BOKEH_")]:
        del os.environ[name]
    try:
        from tornado.ioloop import IOLoop

        from balancecore.live.document import add_page, template
        from balancecore.live.site import serve
    except ImportError as error:
        raise MissingExtraError("the live page needs Bokeh: pip install 'balancecore[live]'") from error
    first = json.loads(lines.readline() or "{}")
    if "hello" not in first:
        raise DataError("the first line has to be the hello of the program that captures")
    hub, page, lock = Hub(first["hello"]), template(), threading.Lock()

    def tell(message: dict[str, str]) -> None:
        with lock:
            print(json.dumps(message), file=answers, flush=True)

    def fill(doc: Document) -> None:
        add_page(doc, hub, page, tell)

    server, url = serve(fill, address=address, port=port, token=token)
    loop = IOLoop.current()
    feeder = _Feeder(lines, hub.take, lambda: loop.add_callback(loop.call_later, FAREWELL_S, loop.stop))
    feeder.start()
    tell({"listening": url})
    loop.start()
    server.stop()
    if feeder.error is not None:
        raise feeder.error


class _Feeder(threading.Thread):
    """Reads updates as they come, so that the pipe never fills while browsers are served."""

    def __init__(
        self, lines: TextIO, take: Callable[[dict[str, Any]], None], ended: Callable[[], None]
    ) -> None:
        super().__init__(name="live updates", daemon=True)
        self._lines, self._take, self._ended = lines, take, ended
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for line in self._lines:
                self._take(json.loads(line)["update"])
        except Exception as error:
            self.error = error
        finally:
            self._ended()


if __name__ == "__main__":
    sys.exit(main())
