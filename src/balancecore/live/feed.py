"""The page as a process of its own, fed through a pipe: `PageFeed`.

Lines of JSON go to its standard input: ``{"hello": ...}`` first, then ``{"update": ...}``; its end ends the page. From
its standard output come ``{"listening": URL}`` and commands, see `LiveSession.do`. Only the sender's thread ever waits
for the page. What a page doesn't take in time is not kept for it: it gets the newest state when it reads again.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO, Any
from urllib.parse import urlsplit

from balancecore.live.page import TOKEN
from balancecore.live.session import LiveSession
from balancecore.live.view import Targets, View, hello
from balancecore.markup import harmless

__all__ = ["RESTARTS", "PageFeed"]

#: Time between two updates, s; a new step is sent at once.
UPDATE_S = 0.1
#: How often a page that has died is started again, and the pause before it, s.
RESTARTS = 3
PAUSE_S = 0.5
#: A page that takes nothing for so long hangs, s.
HANG_S = 5.0
#: Time for a page to end when its input has, s.
GRACE_S = 3.0
#: Bytes of a command.
MOST_BYTES = 4096


class PageFeed:
    """Starts the page, feeds it, and hands its commands to a session.

    Parameters
    ----------
    session : LiveSession
        Open.
    address : str
        That the page listens on.
    port : int
        0: any that is free; the same again after a restart.
    token : str, optional
        What browsers have to know.
    targets, sound
        See `hello`.
    command : sequence of str, optional
        The page's program, to which address and port are added.

    Attributes
    ----------
    url : str
        Where the page listens; empty before it does.
    failed : str
        Why there is no page any more; empty while there is hope.

    Raises
    ------
    DataError
        A target that can't be.
    """

    def __init__(
        self,
        session: LiveSession,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        token: str = "",
        targets: Targets | None = None,
        sound: bool = False,
        command: Sequence[str] = (sys.executable, "-m", "balancecore.live.page"),
    ) -> None:
        self._session = session
        self._hello = {"hello": hello(session, targets, sound)}
        self._address, self._port, self._token = address, port, token
        self._command = tuple(command)
        self._stop = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._writing_s: float | None = None
        self._said_hanging = False
        self.url = self.failed = ""
        self._thread = threading.Thread(target=self._run, name="live page", daemon=True)

    def start(self) -> None:
        """Start the page and feed it."""
        self._thread.start()

    def watch(self) -> None:
        """Say when the page hangs, and when it goes on; to be called now and then."""
        since, child = self._writing_s, self._child
        hangs = since is not None and time.monotonic() - since > HANG_S
        if hangs and not self._said_hanging and child is not None:
            self._session.refuse(
                f"the page (process {child.pid}) has taken nothing for {HANG_S:g} s; measuring goes on"
            )
        elif self._said_hanging and not hangs:
            self._session.refuse("the page goes on")
        self._said_hanging = hangs

    def stop(self) -> None:
        """Send the last state, and end the page, whatever it does."""
        self._stop.set()
        self._session.analysis.news.set()
        if self._thread.ident is None:
            return
        self._thread.join(GRACE_S)
        while self._thread.is_alive():
            child = self._child
            if child is not None:
                child.kill()
            self._thread.join(PAUSE_S)

    # The sender's thread.

    def _run(self) -> None:
        try:
            self._keep_alive()
        except OSError as error:
            self._fail(f"the page can't be started: {error.strerror or error}")
        except Exception as error:
            self._fail(f"the page can't be fed any more: {type(error).__name__}: {error}")

    def _keep_alive(self) -> None:
        for left in range(RESTARTS, -1, -1):
            status = self._serve()
            if self._stop.is_set():
                return
            if not self.url:
                self._fail(f"the page did not start (status {status})")
                return
            if not left:
                break
            self._session.refuse(
                f"the page has ended (status {status}) and is started again; measuring goes on"
            )
            if self._stop.wait(PAUSE_S):
                return
        self._fail(f"the page has ended {RESTARTS + 1} times and is not started again; measuring goes on")

    def _fail(self, why: str) -> None:
        self.failed = why
        self._session.refuse(why)

    def _serve(self) -> int:
        """One page from its start to its end; its exit status."""
        environment = {**os.environ}
        environment.pop(TOKEN, None)
        if self._token:
            environment[TOKEN] = self._token
        words = [*self._command, "--address", self._address, "--port", str(self._port)]
        # Without buffers: a daemon thread that waits in one can't be left behind when the interpreter ends. In a
        # session of its own, since Ctrl-C in the terminal is for this program alone.
        child = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
            start_new_session=True,
        )
        self._child = child
        assert child.stdin is not None
        assert child.stdout is not None
        reader = threading.Thread(
            target=self._listen, args=(child.stdout,), name="page commands", daemon=True
        )
        reader.start()
        try:
            self._feed(child, child.stdin)
        except OSError:
            pass  # it is gone, or about to be
        finally:
            self._writing_s = None
            with contextlib.suppress(OSError):
                child.stdin.close()
            status = _ended(child)
            reader.join()
            child.stdout.close()
        return status

    def _feed(self, child: subprocess.Popen[bytes], pipe: IO[bytes]) -> None:
        view, news = View(self._session), self._session.analysis.news
        self._write(pipe, self._hello)
        while child.poll() is None:
            last = self._stop.is_set()
            self._write(pipe, {"update": view.update()})
            if last:
                return
            news.wait(UPDATE_S)
            news.clear()

    def _write(self, pipe: IO[bytes], message: dict[str, Any]) -> None:
        rest = memoryview(json.dumps(message, allow_nan=False).encode() + b"\n")
        self._writing_s = time.monotonic()
        while rest:
            rest = rest[pipe.write(rest) or 0 :]
        self._writing_s = None

    # The thread that listens.

    def _listen(self, pipe: IO[bytes]) -> None:
        lines = _lines(pipe)
        while True:
            try:
                line = next(lines, None)
            except (OSError, ValueError):
                return
            if line is None:
                return
            self._take(line)

    def _take(self, line: bytes) -> None:
        if len(line) > MOST_BYTES:
            self._session.refuse("page: a command that is too long")
            return
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            self._session.refuse("page: a line that is no command")
            return
        url = said.get("listening") if isinstance(said, dict) else None
        if isinstance(url, str):
            self._hear(url)
        else:
            self._session.do(said)

    def _hear(self, url: str) -> None:
        self.url = harmless(url, 500)
        with contextlib.suppress(ValueError):
            self._port = urlsplit(url).port or self._port


def _lines(pipe: IO[bytes]) -> Any:
    """Lines of a pipe; of a longer one than any command only so much that it shows."""
    held = b""
    while piece := pipe.read(MOST_BYTES):
        *whole, held = (held + piece).split(b"\n")
        yield from whole
        if len(held) > MOST_BYTES:
            held = held[: MOST_BYTES + 1]
    if held:
        yield held


def _ended(child: subprocess.Popen[bytes]) -> int:
    try:
        return child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()
