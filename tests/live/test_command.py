"""``balancecore live`` as a user has it, with a stand-in for the page's process."""

import functools
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import balancecore as bc
from balancecore.capture import Recording
from balancecore.cli import main
from balancecore.commands import live
from balancecore.live.feed import PageFeed

pytest.importorskip("nptdms")
pytest.importorskip("msgspec")
pytest.importorskip("bokeh")
PATIENCE_S = 60.0
RUN = "simulated:treadmill?rate_hz=1000&seed=1"
PAGE = Path(__file__).with_name("fake_page.py")
#: The command with another page; its words follow.
PROGRAM = """
import functools, sys
from balancecore.commands import live
live.PageFeed = functools.partial(live.PageFeed, command=(sys.executable, *sys.argv[1:4]))
from balancecore.cli import main
sys.exit(main(["live", *sys.argv[4:]]))
"""


def started(tmp_path, what, *options):
    words = [sys.executable, "-c", PROGRAM, str(PAGE), what, str(tmp_path / "kept.txt")]
    words += ["--device", RUN, "--out", str(tmp_path / "out"), *options]
    with (tmp_path / "err.txt").open("w") as err:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=err)


def wait_for(condition, child):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


def recorded(tmp_path):
    """Size of the one recording that there is."""
    return sum(path.stat().st_size for path in (tmp_path / "out").glob("*.tdms"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_recording_whole(tmp_path, number):
    child = started(tmp_path, repr(b'{"do": "start"}\n{"do": "marker", "text": "go"}\n'), "--mass", "70")
    wait_for(lambda: recorded(tmp_path) > 100_000, child)
    child.send_signal(number)
    child.wait(PATIENCE_S)
    err = (tmp_path / "err.txt").read_text()
    assert child.returncode == 128 + number
    assert "Traceback" not in err
    assert re.search(r"^page: http://127\.0\.0\.1:\d+/ ", err, re.MULTILINE)
    (path,) = (tmp_path / "out").iterdir()
    frames = int(re.search(rf"{path.name}: \d+\.\d\d s, (\d+) frames, 0 lost", err).group(1))
    recording = Recording(path)
    assert (recording.frames, recording.mass_kg) == (frames, 70.0)
    assert recording.end_reason == f"stopped by {signal.Signals(number).name}"
    assert [event.label for event in bc.read(path).events] == ["go"]
    assert '"state": "ended"' in (tmp_path / "kept.txt").read_text().splitlines()[-1]


def run(tmp_path, monkeypatch, what, *options, until=None):
    """The command in this process, with Ctrl-C as soon as something is so; its exit status."""
    words = (sys.executable, str(PAGE), what, str(tmp_path / "kept.txt"))
    monkeypatch.setattr(live, "PageFeed", functools.partial(PageFeed, command=words))
    over = threading.Event()

    def interrupt():
        end = time.monotonic() + PATIENCE_S
        while not over.wait(0.02):
            if until() or time.monotonic() > end:
                os.kill(os.getpid(), signal.SIGINT)
                return

    watcher = threading.Thread(target=interrupt)
    if until is not None:
        watcher.start()
    try:
        return main(["live", "--device", RUN, "--out", str(tmp_path / "out"), *options])
    finally:
        over.set()
        if until is not None:
            watcher.join()


def test_an_unplugged_device_is_told_and_the_page_stays(tmp_path, monkeypatch, capsys):
    kept = tmp_path / "kept.txt"
    status = run(
        tmp_path,
        monkeypatch,
        repr(b'{"do": "start"}\n'),
        "--device",
        f"{RUN}&fault=disconnect@1.5",
        until=lambda: kept.exists() and '"state": "failed"' in kept.read_text(),
    )
    assert status == 1
    assert "it was disconnected at 1.5 s" in capsys.readouterr().err.splitlines()[-1]
    (path,) = (tmp_path / "out").iterdir()
    assert "disconnected" in Recording(path).end_reason


def test_a_page_that_does_not_start_ends_it(tmp_path, monkeypatch, capsys):
    assert run(tmp_path, monkeypatch, "refuses") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "balancecore: the page did not start (status 1)"


def test_a_token_goes_by_the_environment_and_stands_in_the_address(tmp_path, monkeypatch, capsys):
    kept, said, words = tmp_path / "kept.txt", [], []

    def shown():
        said.append(capsys.readouterr().err)
        if "page: http" not in "".join(said):
            return False
        line = Path(f"/proc/{kept.read_text().split()[1]}/cmdline")
        words.append(line.read_text() if line.exists() else "")
        return True

    address = ("--address", "0.0.0.0", "--port", "0")
    assert run(tmp_path, monkeypatch, "quiet", *address, until=shown) == 128 + signal.SIGINT
    token = kept.read_text().split()[3]
    assert len(token) >= 16
    assert f"?token={token} " in "".join(said)
    assert token not in words[0]


def test_a_browser_that_is_waited_for_does_not_hold_up_ctrl_c(tmp_path, monkeypatch):
    """As browsers of the terminal are."""
    opened, closed, over = [], [], threading.Event()

    def browse(address):
        opened.append(address)
        over.wait(PATIENCE_S / 4)
        closed.append(address)

    monkeypatch.setattr(live.webbrowser, "open", browse)
    status = run(tmp_path, monkeypatch, "quiet", "--open", "--port", "0", until=lambda: bool(opened))
    assert (status, closed) == (128 + signal.SIGINT, [])
    over.set()
    assert opened == ["http://127.0.0.1:12345/"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "tc"], "--target tc: NAME=LOW:HIGH"),
        (["--target", "tc=a:b"], "NAME=LOW:HIGH"),
        (["--target", "tc=3:1"], "target 'tc': 3 to 1 is no band"),
        (["--target", "speed=1:2"], "'speed': no running symmetry"),
        (["--port", "65536"], "--port 65536"),
        (["--metric", "t_swing"], "'t_swing': no running symmetry"),
        (["--strides", "0"], "strides=0"),
        (["--mass", "0"], "mass_kg"),
        (["--seconds", "-1"], "seconds"),
        (["--token", "short"], "a token of 5 characters"),
        (["--address", "no.such.name.invalid"], "no.such.name.invalid"),
        (["--rig", "missing.toml"], "missing.toml"),
        (["--out", "run.tdms"], "run.tdms: a folder is wanted"),
        (["--device", "nothing:here"], "nothing"),
        (["--device", "simulated:counter"], "rig"),
    ],
)
def test_what_can_not_be(tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["live", *options]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_bokeh_no_device_is_opened(capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(live, "find_spec", lambda name: None if name == "bokeh" else find(name))
    monkeypatch.setattr(live, "LiveSession", lambda *args, **options: pytest.fail("a session was made"))
    assert main(["live"]) == 1
    assert "pip install 'balancecore[live]'" in capsys.readouterr().err


def test_metrics_with_a_band_are_shown():
    targets = dict(live._target(text) for text in ("cadence=170:180", "vilr.si=-5:5", "peak_brake=-0.35:0"))
    assert targets == {"cadence": (170.0, 180.0), "vilr.si": (-5.0, 5.0), "peak_brake": (-0.35, 0.0)}
    assert live._metrics([], targets) == (*live.DEFAULT_METRICS, "vilr")
    assert live._metrics(["tc"], targets) == ("tc", "vilr", "peak_brake")


def test_a_port_that_is_taken(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(live, "PORT", other.getsockname()[1])
        assert live._port("127.0.0.1") == 0
    assert live._port("127.0.0.1") == live.PORT


def test_no_token_for_others_is_refused():
    with pytest.raises(bc.errors.DataError, match="needs a token"):
        live._token("0.0.0.0", "")


@pytest.mark.parametrize(
    ("address", "needed"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True), ("192.0.2.1", True)],
)
def test_who_needs_a_token(address, needed):
    assert bool(live._token(address, None)) == needed
    assert live._token(address, "x" * 16) == "x" * 16
