"""The page's process: fed, listened to, hanging, dying; measuring never waits for it."""

import json
import os
import signal
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from balancecore.capture import Recording
from balancecore.errors import DataError
from balancecore.live import LiveSession, feed
from balancecore.live.feed import PageFeed

from ..capture.scripted import no_new_threads

pytest.importorskip("nptdms")
pytest.importorskip("msgspec")
PATIENCE_S = 60.0
RUN = "simulated:treadmill?rate_hz=1000&seed=1&left_contact_s=0.25&right_contact_s=0.23&pace=4"
#: Between updates, so that they fill a pipe soon.
FILLS_S = 0.002
PAGE = Path(__file__).with_name("fake_page.py")


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert no_new_threads(before) == []


@pytest.fixture
def session(tmp_path):
    with LiveSession(RUN, out=tmp_path / "out") as session:
        yield session


def until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def page(session, tmp_path, what, **options):
    """A feed of the stand-in, and what that was given: a line for its start, then those of the protocol."""
    kept = tmp_path / "kept.txt"
    fed = PageFeed(session, command=(sys.executable, str(PAGE), what, str(kept)), **options)
    fed.start()
    return fed, lambda: kept.read_text().splitlines() if kept.exists() else []


def said(session, text):
    """Whether a message with this text comes."""
    heard = session.messages()
    until(lambda: heard.extend(session.messages()) or any(text in message for message in heard))
    return heard


def test_a_page_is_told_everything_and_commands_are_done(session, tmp_path):
    commands = [{"do": "start"}, {"do": "marker", "text": "x"}]
    words = repr("".join(json.dumps(command) + "\n" for command in commands).encode())
    fed, kept = page(session, tmp_path, words, port=5999, token="a" * 16, targets={"cadence": (170, 180)})
    until(lambda: session.now().markers == 1 and session.now().elapsed_s > 4.0)
    assert fed.url == "http://127.0.0.1:5999/"
    session.close()
    fed.stop()
    start, first, *updates = kept()
    assert start.split()[2:] == ["5999", "a" * 16]
    assert json.loads(first)["hello"]["targets"] == {"cadence": [170, 180]}
    updates = [json.loads(line)["update"] for line in updates]
    states = list(dict.fromkeys(update["state"] for update in updates))
    assert states[-2:] == ["recording", "ended"]
    steps = [step for update in updates for step in update["steps"]]
    assert {step["number"] for step in steps if step["final"]} > {0, 1, 2, 3}
    # Every sample of the traces, once and in order.
    samples = [(u["trace"]["first_s"], len(u["trace"]["fz_n"][0])) for u in updates]
    for (first_s, n), (next_s, _) in pairwise(samples):
        assert next_s == pytest.approx(first_s + n * 0.005)
    assert Recording(session.recordings[0]).marks[0].text == "x"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"hello\n", "page: a line that is no command"),
        (b"\xff\xfe{}\n", "page: a line that is no command"),
        (b"[" * 4000 + b"\n", "page: a line that is no command"),
        (b'{"do": "format"}\n', "unknown command 'format'"),
        (b'{"listening": 3}\n', "unknown command None"),
        (b'{"do": "marker", "text": "' + b"x" * 100_000 + b'"}\n', "page: a command that is too long"),
        (b'{"do": "marker", "text": "' + b"x" * 300 + b'"}\n', "up to 200 characters"),
        (b'{"do": "stop"}\n', "nothing is being recorded"),
    ],
)
def test_bad_commands_are_refused_and_the_next_are_done(session, tmp_path, line, answer):
    fed, _ = page(session, tmp_path, repr(line + b'{"do": "start"}\n'))
    said(session, answer)
    until(lambda: session.state == "recording")
    fed.stop()


def test_a_page_that_stands_still_takes_nothing_from_the_recording(session, tmp_path, monkeypatch):
    monkeypatch.setattr(feed, "HANG_S", 0.3)
    monkeypatch.setattr(feed, "UPDATE_S", FILLS_S)
    fed, kept = page(session, tmp_path, "quiet")
    until(lambda: len(kept()) > 2)
    path = session.start()
    child = int(kept()[0].split()[1])
    os.kill(child, signal.SIGSTOP)
    until(lambda: (fed.watch(), fed._said_hanging)[1])
    assert any(f"(process {child}) has taken nothing" in message for message in session.messages())
    stood = session.now().frames
    until(lambda: session.now().frames > stood + 12_000)
    os.kill(child, signal.SIGCONT)
    until(lambda: (fed.watch(), fed._said_hanging)[1] is False)
    assert "the page goes on" in session.messages()
    until(lambda: json.loads(kept()[-1])["update"]["frames"] > stood + 12_000)
    # What it missed is not kept for it: ten seconds of the traces at most.
    assert max(len(json.loads(line)["update"]["trace"]["fz_n"][0]) for line in kept()[2:]) <= 2000
    session.stop()
    fed.stop()
    recording = Recording(path)
    assert recording.gaps.tolist() == []
    assert recording.frames >= stood + 12_000


def test_a_page_that_never_reads_ends_with_the_session(session, tmp_path, monkeypatch):
    monkeypatch.setattr(feed, "GRACE_S", 0.2)
    monkeypatch.setattr(feed, "UPDATE_S", FILLS_S)
    fed, _ = page(session, tmp_path, "deaf")
    until(lambda: fed.url)
    until(lambda: fed._writing_s is not None and time.monotonic() - fed._writing_s > 0.5)
    path = session.start()
    until(lambda: session.now().elapsed_s > 2.0)
    session.stop()
    fed.stop()
    assert fed._child.returncode == -signal.SIGKILL
    assert Recording(path).gaps.tolist() == []


def test_a_page_that_dies_is_started_again_three_times(session, tmp_path, monkeypatch):
    monkeypatch.setattr(feed, "PAUSE_S", 0.05)
    path = session.start()
    fed, kept = page(session, tmp_path, "dies")
    heard = said(session, "is not started again")
    assert sum("status 3" in message for message in heard) == 3
    assert fed.failed == "the page has ended 4 times and is not started again; measuring goes on"
    starts = [line.split() for line in kept() if line.startswith("#")]
    # At the place of the first, where its browsers look for it.
    assert [port for _, _, port, _ in starts] == ["0", "12345", "12345", "12345"]
    assert session.state == "recording"
    session.stop()
    fed.stop()
    assert Recording(path).gaps.tolist() == []


def test_a_killed_page_shows_everything_again(session, tmp_path):
    session.start()
    fed, kept = page(session, tmp_path, "quiet")
    until(lambda: any('"final": true' in line for line in kept()))
    os.kill(int(kept()[0].split()[1]), signal.SIGKILL)
    said(session, "status -9) and is started again")
    until(lambda: sum(line.startswith("#") for line in kept()) == 2)
    again = max(k for k, line in enumerate(kept()) if line.startswith("#"))
    until(lambda: len(kept()) > again + 2)
    update = json.loads(kept()[again + 2])["update"]
    assert update["state"] == "recording"
    assert update["steps"][0]["number"] == 0
    fed.stop()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ((sys.executable, str(PAGE), "refuses", "x"), "the page did not start (status 1)"),
        (("/nowhere/page",), "the page can't be started: No such file or directory"),
    ],
)
def test_a_page_that_does_not_start(session, command, answer):
    fed = PageFeed(session, command=command)
    fed.start()
    said(session, answer)
    assert fed.failed == answer
    fed.stop()


def test_targets_that_can_not_be(session):
    with pytest.raises(DataError, match="target 'pace'"):
        PageFeed(session, targets={"pace": (1.0, 2.0)})
