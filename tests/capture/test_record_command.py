"""``balancecore record`` as a user has it: what it says, how it ends, and the file that is left."""

import os
import pty
import re
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import balancecore as bc
from balancecore.capture import Recording, Tap
from balancecore.cli import main

from .scripted import no_new_threads

pytest.importorskip("nptdms")
pytest.importorskip("msgspec")
PATIENCE_S = 60.0
RUN = "simulated:treadmill?rate_hz=1000&seed=1&left_contact_s=0.24"
#: As fast as it is read.
FAST = f"{RUN}&pace=0"


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert no_new_threads(before) == []


@pytest.fixture
def unhurried(monkeypatch):
    """The reader waits for consumers whose buffers are full, so that none loses frames, however late it is."""
    put = Tap._put

    def waits(self, frames, lost_before, at):
        until = time.monotonic() + PATIENCE_S
        while not self._over and self._ring.capacity - self._ring.available < len(frames):
            assert time.monotonic() < until
            time.sleep(0.001)
        put(self, frames, lost_before, at)

    monkeypatch.setattr(Tap, "_put", waits)


def only(folder):
    (path,) = folder.iterdir()
    return path


def test_a_run(tmp_path, capsys, unhurried):
    device = (
        f"{FAST}&fault=stall@12"  # no frames behind those that are recorded, which the live line might count
    )
    assert (
        main(["record", "--device", device, "--out", str(tmp_path), "--seconds", "12", "--mass", "70"]) == 0
    )
    path = only(tmp_path)
    out = capsys.readouterr().out
    assert re.search(rf"{path.name}: 12\.00 s, 12000 frames, 0 lost, 1\.2 MB", out)
    contacts, cadence = map(int, re.search(r"(\d+) contacts +(\d+) steps/min", out).groups())
    recording, trial = Recording(path), bc.read(path)
    assert (recording.end_reason, recording.mass_kg) == ("complete", 70.0)
    found = bc.analyze_gait(trial, mass_kg=70.0)
    # The start-up look of 2 s and contacts cut by the ends are not in the live line.
    assert 0.7 * len(found.steps) < contacts <= len(found.steps) + 1
    assert cadence == pytest.approx(60.0 / np.nanmean(found.steps["t_step"]), rel=0.02)
    assert re.search(r"SI L-R: contact [+-]\d+\.\d %, peak [+-]\d+\.\d %, impulse [+-]\d+\.\d %", out)


def test_a_replay_that_has_played_all_is_a_good_end(tmp_path, capsys):
    trial = bc.simulate.treadmill(duration_s=4.0, seed=2).trial
    bc.write(trial, tmp_path / "run.tdms")
    device = f"replay:{tmp_path / 'run.tdms'}?speed=0"
    assert main(["record", "--device", device, "--out", str(tmp_path / "again.tdms")]) == 0
    again = bc.read(tmp_path / "again.tdms")
    np.testing.assert_array_equal(again.plates[0].wrench, trial.plates[0].wrench)


def test_a_rig_and_a_tare(tmp_path, capsys):
    rng = np.random.default_rng(1)
    offsets = np.array([1.0, -2.0, 30.0, 0.5, -0.4, 0.1])
    empty = bc.Trial.from_wrenches(
        [rng.standard_normal((6000, 6)) + offsets], rate_hz=1000.0, sides=["L"], axes=("x", "y", "z")
    )
    bc.write(empty, tmp_path / "empty.tdms")
    device = f"replay:{tmp_path / 'empty.tdms'}?speed=4"
    assert main(["rig", "init", device, "-o", str(tmp_path / "rig.toml")]) == 0
    out = tmp_path / "r.tdms"
    command = [
        "record",
        "--rig",
        str(tmp_path / "rig.toml"),
        "--tare",
        "1",
        "--seconds",
        "3",
        "--out",
        str(out),
    ]
    assert main(command) == 0
    assert "tare: 1 s" in capsys.readouterr().err
    recording = Recording(out)
    np.testing.assert_array_equal(recording.raw()[:, :6], empty.plates[0].wrench[:3000])
    # A second of noise of SD 1: the mean is within five standard errors.
    np.testing.assert_allclose(recording.tare.mean[:6], offsets, atol=5.0 / np.sqrt(1000.0))
    assert np.abs(bc.read(out).plates[0].wrench.mean(axis=0)).max() < 0.3


def test_a_tare_with_somebody_on_the_plates(tmp_path, capsys, unhurried):
    assert main(["record", "--device", FAST, "--tare", "1", "--out", str(tmp_path)]) == 1
    assert "loaded" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unplugged_device(tmp_path, capsys):
    assert main(["record", "--device", f"{FAST}&fault=gap@1:50,disconnect@2.5", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "it was disconnected at 2.5 s" in told.err.splitlines()[-1]
    assert told.err.count("it was disconnected") == 1
    assert "2450 frames, 50 lost" in told.out
    recording = Recording(only(tmp_path))
    assert (recording.frames, recording.gaps.tolist()) == (2450, [[1000, 50]])
    assert "disconnected" in recording.end_reason


def test_a_full_disk(tmp_path, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        status = main(["record", "--device", FAST, "--out", str(tmp_path), "--seconds", "60"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 1
    assert "can't be written any more: File too large" in capsys.readouterr().err
    assert len(bc.read(only(tmp_path))) > 1000


def test_raw_channels_without_a_rig(tmp_path, capsys):
    address = "simulated:counter?rate_hz=1000&channels=2&pace=0"
    assert main(["record", "--device", address, "--out", str(tmp_path / "c.tdms"), "--seconds", "2"]) == 0
    told = capsys.readouterr()
    assert "raw channels are recorded" in told.err
    assert "contacts" not in told.out
    np.testing.assert_array_equal(Recording(tmp_path / "c.tdms").raw()[:, 0], np.arange(2000))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--rig FILE or --device ADDRESS"),
        (["--device", "nothing:here"], "nothing"),
        (["--device", RUN, "--mass", "-3"], "--mass -3"),
        (["--device", RUN, "--seconds", "0"], "seconds"),
        (["--device", RUN, "--tare", "0"], "0 s of tare"),
        (["--device", "simulated:counter", "--tare", "1"], "--tare needs a rig"),
        (["--rig", "missing.toml"], "missing.toml"),
        (["--device", RUN, "--out", "missing/x.tdms"], "x.tdms"),
    ],
)
def test_what_can_not_be(tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["record", *options]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def started(out, stderr):
    """A recording in a process of its own, once there are frames in its file."""
    command = [sys.executable, "-c", "import sys, balancecore.cli; sys.exit(balancecore.cli.main())"]
    command += ["record", "--device", RUN, "--out", str(out)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    until = time.monotonic() + PATIENCE_S
    while not (out.exists() and out.stat().st_size > 30_000):
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    return child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_properly(tmp_path, number):
    child = started(tmp_path / "s.tdms", subprocess.PIPE)
    child.send_signal(number)
    out, err = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 128 + number
    assert "Traceback" not in err
    frames = int(re.search(r"s\.tdms: \d+\.\d\d s, (\d+) frames, 0 lost", out).group(1))
    recording = Recording(tmp_path / "s.tdms")
    assert recording.frames == frames > 200
    assert recording.end_reason == f"stopped by {signal.Signals(number).name}"


@pytest.mark.parametrize("rich", [True, False])
def test_a_terminal_shows_how_it_goes(tmp_path, rich, monkeypatch):
    if not rich:
        (tmp_path / "hide").mkdir()
        (tmp_path / "hide" / "rich.py").write_text("raise ImportError('hidden')\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hide"))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    ours, theirs = pty.openpty()
    shown = bytearray()

    def listen():
        try:
            while piece := os.read(ours, 4096):
                shown.extend(piece)
        except OSError:
            pass  # the other end is closed

    listener = threading.Thread(target=listen)
    child = started(tmp_path / "t.tdms", theirs)
    os.close(theirs)
    listener.start()
    line = rb"\d+\.\d s  1?\d\d\d Hz  0 lost  buffer \d+ %  \d+ contacts"
    until = time.monotonic() + PATIENCE_S
    while not re.search(line, bytes(shown)):
        assert time.monotonic() < until, bytes(shown)
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=PATIENCE_S)
    listener.join(PATIENCE_S)
    os.close(ours)
    assert (b"\x1b" in shown) == rich
