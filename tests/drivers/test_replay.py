"""The replay: the contract on a recording whose first channel counts, its end, loops, gaps, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from balancecore.drivers.replay import ReplayDevice

import balancecore as bc
from balancecore.errors import (
    DataError,
    DeviceLostError,
    DeviceNotFoundError,
    DriverUnavailableError,
    EndOfDataError,
    MissingExtraError,
)
from balancecore.trial import Analog

from .contract import DriverContract

FRAMES = 4000


def counting(n, gap=None):
    """A trial of two plates whose first channel counts frames, an analog channel, and one of another rate."""
    count = np.arange(n, dtype=float)
    first, second = np.column_stack([count + k / 8 for k in range(6)]), np.column_stack([count / 2] * 6)
    emg = count / 1000
    if gap is not None:
        for values in (first, second, emg):
            values[gap] = np.nan
    trial = bc.Trial.from_wrenches(
        [first, second], rate_hz=1000.0, sides=["L", "R"], names=["left", "right"], axes=("x", "y", "z")
    )
    return replace(
        trial, analog=(Analog("emg", "V", 1000.0, emg), Analog("slow", "V", 100.0, emg[::10].copy()))
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    bc.write(counting(FRAMES), folder / "long.tdms")
    bc.write(counting(300), folder / "short.tdms")
    bc.write(counting(FRAMES, slice(200, 320)), folder / "gap.tdms")
    return folder


class TestReplay(DriverContract):
    RATE_HZ = 1000.0
    UNITS = (*(("N",) * 3 + ("N*m",) * 3) * 2, "V")
    GAP_FRAMES = 120
    OPTIONS = "speed=10"

    @pytest.fixture
    def make(self, folder):
        def make(fault=None):
            name = {"gap": "gap", "disconnect": "short", "missing": "none"}.get(fault, "long")
            options = "speed=1e-9" if fault == "silent" else self.OPTIONS
            return ReplayDevice(f"replay:{folder / name}.tdms?{options}")

        return make


class TestLoopAsFastAsAsked(TestReplay):
    OPTIONS = "speed=0&loop=yes"
    MODULUS = FRAMES
    FAULTS = TestReplay.FAULTS - {"disconnect"}  # a loop has no end


def test_all_of_it_is_what_was_recorded(folder):
    trial = bc.read(folder / "long.tdms")
    with bc.open_device(f"replay:{folder / 'long.tdms'}?speed=0") as device:
        said = device.description
        assert said.layout.sides == ("L", "R")
        assert said.layout.lateral_known
        assert [c.name for c in said.channels][-2:] == ["right Mz", "emg"]
        assert any("slow" in note for note in said.notes)
        device.start()
        out = np.empty((FRAMES + 5, 13))
        assert device.read_into(out) == FRAMES
        with pytest.raises(EndOfDataError, match=r"long\.tdms: .* end"):
            device.read_into(out)
    expected = np.hstack([*(p.wrench for p in trial.plates), trial.analog[0].values[:, None]])
    np.testing.assert_array_equal(out[:FRAMES], expected)


def test_end_is_a_loss_for_those_who_know_no_better():
    assert issubclass(EndOfDataError, DeviceLostError)
    assert issubclass(EndOfDataError, EOFError)


def test_loop_counts_on_and_loses_its_gap_every_time(folder):
    with bc.open_device(f"replay:{folder / 'gap.tdms'}?speed=0&loop=yes") as device:
        device.start()
        out = np.empty((1000, 13))
        while device.frames_read + device.frames_lost < 3 * FRAMES:
            n = device.read_into(out)
            index = (device.frames_read + device.frames_lost - n) % FRAMES
            np.testing.assert_array_equal(out[:n, 0], np.arange(index, index + n))
        assert device.frames_lost == 3 * 120


def test_gap_at_the_start_and_a_channel_without_value(tmp_path):
    trial = counting(500, slice(0, 50))
    wrench = trial.plates[1].wrench.copy()
    wrench[100:120] = np.nan
    trial = replace(trial, plates=(trial.plates[0], replace(trial.plates[1], wrench=wrench)))
    bc.write(trial, tmp_path / "t.tdms")
    with bc.open_device(f"replay:{tmp_path / 't.tdms'}?speed=0") as device:
        device.start()
        out = np.empty((1000, 13))
        assert device.read_into(out) == 450
        assert device.lost_before == 50
        assert np.isnan(out[50:70, 6]).all()
        np.testing.assert_array_equal(out[50:70, 0], np.arange(100, 120))


def test_steps_of_a_replay_are_those_of_the_file(tmp_path):
    sim = bc.simulate.treadmill(duration_s=10.0, noise_n=3.0, seed=4)
    bc.write(sim.trial, tmp_path / "run.csv")
    with bc.open_device(f"replay:{tmp_path / 'run.csv'}?speed=0") as device:
        stream = bc.GaitStream(device.description.layout, rate_hz=device.rate_hz, mass_kg=70.0)
        device.start()
        out = np.empty((100, 12))
        try:
            while True:
                n = device.read_into(out)
                stream.push(bc.Block(out[:n], device.lost_before))
        except EndOfDataError:
            played = stream.finish().steps
    straight = bc.analyze_gait(bc.read(tmp_path / "run.csv"), mass_kg=70.0, online=True).steps
    assert len(played) > 25
    np.testing.assert_array_equal(played["t_on"], straight["t_on"])
    np.testing.assert_array_equal(played["valr_2080t"], straight["valr_2080t"])


def test_options_of_reading_are_passed_on(tmp_path):
    names = ",".join(
        f"{belt}_{c}" for belt in ("left", "right") for c in ("Fx", "Fy", "Fz", "Mx", "My", "Mz")
    )
    values = np.arange(1200.0).reshape(100, 12)
    np.savetxt(tmp_path / "bare.csv", values, delimiter=",", fmt="%g", header=names, comments="")
    address = f"replay:{tmp_path / 'bare.csv'}?rate_hz=500&sides=R,L&axes=-x,-y,z&convention=action"
    want = bc.read(
        tmp_path / "bare.csv", rate_hz=500, sides=["R", "L"], axes=("-x", "-y", "z"), convention="action"
    )
    with bc.open_device(address + "&speed=0") as device:
        assert device.rate_hz == 500
        assert device.description.layout.sides == ("R", "L")
        device.start()
        out = np.empty((100, 12))
        device.read_into(out)
    np.testing.assert_array_equal(out[:, :6], want.plates[0].wrench)


@pytest.mark.parametrize(
    ("text", "options", "error", "says"),
    [
        (None, "", DeviceNotFoundError, "no such file"),
        ("not a recording", "", DataError, r"bad\.csv"),
        ("time,Fz\n0,1\n0.001,2\n", "speed=-1", DataError, "backwards"),
        ("time,Fz\n0,\n0.001,\n", "", DataError, r"bad\.csv"),
        ("1\n2\n", "", DataError, "rate_hz"),
        ("time,Fz\n0,1\n0.001,2\n", "sides=X", DataError, "side"),
    ],
)
def test_what_it_refuses(tmp_path, text, options, error, says):
    path = tmp_path / "bad.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=says) as caught:
        bc.open_device(f"replay:{path}?{options}".rstrip("?"))
    assert str(tmp_path) not in str(caught.value)


def test_missing_extra_says_what_to_install(folder, monkeypatch):
    def lacks(*args, **options):
        raise MissingExtraError("TDMS needs npTDMS: pip install 'balancecore[record]'")

    monkeypatch.setattr("balancecore.drivers.replay.read", lacks)
    with pytest.raises(DriverUnavailableError, match="pip install"):
        bc.open_device(f"replay:{folder / 'long.tdms'}")


def test_it_plays_again_after_its_end(folder):
    with bc.open_device(f"replay:{folder / 'short.tdms'}?speed=0") as device:
        out = np.empty((300, 13))
        for _ in range(2):
            device.start()
            assert device.read_into(out) == 300
            with pytest.raises(EndOfDataError):
                device.read_into(out)
            device.stop()


def test_name_of_the_folder_is_nowhere(folder):
    with bc.open_device(f"replay:{folder / 'long.tdms'}") as device:
        assert str(folder) not in str(device)
        assert str(folder) not in repr(device.description)
        assert Path(device.address.path).parent == folder
