"""``balancecore devices``: what is there, and whether a device does what it says."""

import json
import re
import threading

import numpy as np
import pytest
from balancecore.drivers import _played, simulated
from balancecore.drivers.simulated import SimulatedDevice

from balancecore import cli
from balancecore.capture import check, check_device, device, list_devices, open_treadmill
from balancecore.errors import DataError, DeviceError

from .bertec_server import Panel
from .clock import Clock


def verdicts(done):
    return {line.what: line.verdict for line in done.lines}


@pytest.fixture
def still(monkeypatch):
    """Simulated devices and their checks by a clock of their own: rates and waits are those of a quiet machine."""
    clock = Clock()

    class Stopping(threading.Event):
        def wait(self, timeout=None):
            clock.sleep(max(timeout, 1e-6))  # shorter ones would vanish in the rounding of the sum
            return self.is_set()

    make = SimulatedDevice.__init__

    def made(self, address):
        make(self, address)
        self._stopping = Stopping()

    monkeypatch.setattr(SimulatedDevice, "__init__", made)
    for module in (check, _played, simulated):
        monkeypatch.setattr(module, "time", clock)


def test_good_device_passes(still):
    done = check_device("simulated:treadmill?noise_n=2&seed=1&analog=2&belt_speed=yes", seconds=1.0)
    assert done.passed, str(done)
    said = verdicts(done)
    assert {said[w] for w in ("open", "frames", "losses", "rate", "timing", "stop", "restart", "close")} == {
        "pass"
    }
    # A belt at constant speed looks like a wire that hangs loose: a person has to say.
    assert said["left speed"] == said["self-test"] == "note"
    assert done.figures["rate_hz"] == 1000.0
    # Packets of 10 ms in blocks of 50 ms: the line through their arrivals is a little off.
    assert done.figures["rate_seen_hz"] == pytest.approx(1000.0, rel=0.01)
    assert 990 <= done.figures["frames"] <= 1010
    json.dumps(done.to_dict(), allow_nan=False)


def test_figures_of_channels_are_those_of_their_values(still):
    done = check_device(
        "simulated:treadmill?noise_n=4&seed=1&pace=100&buffer_s=1e6&output=volts&drift_n=50", seconds=0.2
    )
    with SimulatedDevice("simulated:treadmill?noise_n=4&seed=1&pace=0&output=volts&drift_n=50") as same:
        same.start()
        frames = np.empty((done.figures["frames"], 12))
        same.read_into(frames)
    for k, entry in enumerate(done.figures["channels"]):
        values = frames[:, k]
        assert entry["mean"] == pytest.approx(values.mean(), abs=1e-9)
        assert entry["sd"] == pytest.approx(values.std(), abs=1e-9)
        # Differences across the edges of blocks are left out: few among many.
        assert entry["noise"] == pytest.approx(np.sqrt(np.mean(np.diff(values) ** 2) / 2), rel=0.05)
        assert (entry["low"], entry["high"]) == (values.min(), values.max())
        assert (entry["at_end"], entry["missing"]) == (0, 0)
        assert entry["unit"] == "V"


@pytest.mark.parametrize(
    ("address", "what", "says"),
    [
        ("counter?fault=gap@0.2:30", "losses", "30 frames"),
        ("counter?fault=disconnect@0.3", "read", "disconnected"),
        ("counter?pace=3", "rate", r"1000 Hz as told \(\+"),
        ("treadmill?fault=nan@0.2:5", "right Mz", "5 values are missing"),
        ("treadmill?fault=saturation@0.2:7", "left Fz", "7 values at the end of the range"),
        ("nothing", "open", "there are simulated:treadmill"),
    ],
)
def test_what_is_wrong_fails_and_is_named(still, address, what, says):
    done = check_device(f"simulated:{address}", seconds=0.4)
    assert not done.passed
    (line,) = [line for line in done.lines if line.what == what]
    assert line.verdict == "FAIL"
    assert re.search(says, line.seen), line.seen


def test_silent_device_fails_in_every_way(still):
    done = check_device("simulated:counter?fault=stall@0", seconds=5.0)
    failed = {line.what: line.seen for line in done.lines if line.verdict == "FAIL"}
    assert failed["frames"].startswith("0 read in")
    assert failed["rate"] == "too few blocks came to tell"
    assert failed["timing"].startswith("0 blocks")
    assert failed["restart"].startswith("0 frames")


def test_what_came_before_a_loss_is_told_too(still):
    done = check_device("simulated:counter?fault=disconnect@0.3", seconds=1.0)
    assert done.figures["frames"] == 300
    assert [line.what for line in done.lines if line.verdict == "FAIL"] == ["read"]


def test_self_test_is_run_where_there_is_one(still, monkeypatch):
    done = check_device("simulated:counter", seconds=0.3)
    (line,) = [line for line in done.lines if line.what == "self-test"]
    assert line.verdict == "pass"
    assert "without a break" in line.seen

    def broken(self, out):
        self._signal.fill(out)
        out[1:, 0] = out[:-1, 0]

    monkeypatch.setattr(SimulatedDevice, "_fill", broken)
    done = check_device("simulated:counter", seconds=0.3)
    assert done.lines[-1].what == "self-test"
    assert done.lines[-1].verdict == "FAIL"


def test_treadmill_is_listened_to_and_told_nothing(monkeypatch):
    for limit in ("check.FRESH_S", "treadmill.FIRST_STATUS_S"):
        monkeypatch.setattr(f"balancecore.capture.{limit}", 30.0)
    with Panel() as panel:
        panel.speeds, panel.targets, panel.incline = [1500, 1500], [1500, 1500], 200
        done = check_device(panel.address, seconds=0.3)
        assert panel.commands == []
        assert panel.wrong == 0
    assert done.passed
    said = {line.what: line.seen for line in done.lines}
    assert said["speed_left_m_s"].startswith("1.5 to 1.5")
    assert said["incline_deg"].startswith("2 to 2")
    assert done.figures["statuses"] > 0
    json.dumps(done.to_dict(), allow_nan=False)
    with Panel() as panel:

        def opened(address):
            treadmill = open_treadmill(address)
            panel.kill()
            return treadmill

        monkeypatch.setattr(check, "open_treadmill", opened)
        done = check_device(panel.address, seconds=30.0)
    assert (done.lines[-1].what, done.lines[-1].verdict) == ("status", "FAIL")
    assert not check_device(panel.address, seconds=0.2).passed


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), 1e9])
def test_time_that_makes_no_sense(seconds):
    with pytest.raises(DataError, match="seconds"):
        check_device("simulated:counter", seconds)


# The list.


class Entry:
    """An entry point with a driver of our own behind it."""

    def __init__(self, name, load):
        self.name, self.load, self.value = name, load, f"there:{name}"


def raising(error):
    def load():
        raise error

    return load


def test_one_broken_driver_hides_no_other(monkeypatch):
    class Fails(SimulatedDevice):
        @classmethod
        def discover(cls):
            raise ZeroDivisionError("oops")

    class Needs(SimulatedDevice):
        @classmethod
        def discover(cls):
            raise DeviceError("plug it in")

    class Old(SimulatedDevice):
        API = 0

    entries = [
        Entry("a", raising(ImportError("No module named 'a'"))),
        Entry("b", lambda: Fails),
        Entry("c", lambda: Needs),
        Entry("d", lambda: Old),
        Entry("e", lambda: "no class"),
        Entry("z", lambda: SimulatedDevice),
    ]
    monkeypatch.setattr(device, "_entries", lambda: entries)
    found = list_devices()
    advice = [" ".join(one.advice) for one in found]
    for text, says in zip(
        advice,
        ("No module named 'a'", "ZeroDivisionError", "plug it in", "API 0", "no balancecore", ""),
        strict=True,
    ):
        assert says in text
    assert [d.address for d in found[-1].devices] == ["simulated:treadmill", "simulated:counter"]


def test_command_lists_what_is_there(capsys):
    assert cli.main(["devices"]) == 0
    out = capsys.readouterr().out
    assert "simulated:treadmill   simulated treadmill\n" in out
    assert cli.main(["devices", "--json"]) == 0
    listed = {one["scheme"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["simulated"]["devices"][0]["address"] == "simulated:treadmill"
    assert "replay" in listed


def test_command_checks(still, capsys):
    assert cli.main(["devices", "--check", "simulated:counter?channels=2", "--seconds", "0.5"]) == 0
    out = capsys.readouterr().out
    assert "  pass  losses       0 frames\n" in out
    assert out.endswith("It does what it says.\n")
    assert cli.main(["devices", "--check", "simulated:nothing", "--json"]) == cli.FAILED
    assert json.loads(capsys.readouterr().out)["passed"] is False
    assert cli.main(["devices", "--check", "nonsense"]) == cli.FAILED
    assert "no device address" in capsys.readouterr().err
