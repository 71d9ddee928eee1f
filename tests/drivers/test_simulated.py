"""The simulated device: the contract, the signal that was asked for, and faults on request."""

import gc
import time
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from balancecore.drivers._played import PACKET_S, Clock
from balancecore.drivers.simulated import CALIBRATION, FAULTS, Fault, SimulatedDevice

import balancecore as bc
from balancecore.errors import DataError, DeviceLostError
from balancecore.simulate import LEFT, RIGHT, treadmill

from .contract import DriverContract

#: Volts and back: two products with a matrix and its inverse, of values up to some 1000 N.
ROUNDING = 1e-9


def frames_of(address, n, block=1000):
    """So many frames as fast as they come, and (index, lost) of every loss."""
    parts, losses = [], []
    with bc.open_device(address) as device:
        device.start()
        out = np.empty((block, len(device.channels)))
        have = 0
        while have < n:
            got = device.read_into(out[: n - have])
            if device.lost_before:
                losses.append((have, device.lost_before))
            parts.append(out[:got].copy())
            have += got
    return np.concatenate(parts), losses


class TestCounter(DriverContract):
    RATE_HZ = 10_000.0
    UNITS = ("V",) * 16
    GAP_FRAMES = 150
    PACE = 1
    FAULT_OPTIONS: ClassVar = {
        None: "",
        "gap": "&fault=gap@0.03:50,gap@0.033:100",
        "disconnect": "&fault=disconnect@0.2",
        "silent": "&fault=stall@0",
    }

    @pytest.fixture
    def make(self):
        def make(fault=None):
            if fault == "missing":
                return SimulatedDevice("simulated:nothing")
            options = f"rate_hz=10000&channels=16&pace={self.PACE}{self.FAULT_OPTIONS[fault]}"
            return SimulatedDevice(f"simulated:counter?{options}")

        return make


class TestCounterAsFastAsAsked(TestCounter):
    PACE = 0


class TestTreadmill(DriverContract):
    """Here the whole frame has to be the one of the signal."""

    RATE_HZ = 1000.0
    UNITS = ("N", "N", "N", "N*m", "N*m", "N*m") * 2
    GAP_FRAMES = 40
    OPTIONS = "rate_hz=1000&pace=10&buffer_s=600&seed=5&noise_n=2&jitter=0.03"
    SIGNAL = np.hstack(treadmill(duration_s=12.0, seed=5, noise_n=2.0, step_jitter=0.03).wrenches)[:11_000]

    @pytest.fixture
    def make(self):
        def make(fault=None):
            options = TestCounter.FAULT_OPTIONS | {"gap": "&fault=gap@0.2:40", "missing": ""}
            path = "beltless" if fault == "missing" else "treadmill"
            return SimulatedDevice(f"simulated:{path}?{self.OPTIONS}{options[fault]}")

        return make

    def check(self, device, frames):
        first = device.frames_read - len(frames) + device.frames_lost
        np.testing.assert_array_equal(frames, self.SIGNAL[first : first + len(frames)])


# The signal.


def test_steps_are_those_of_the_signal():
    options = {"seed": 3, "noise_n": 3.0, "mass_kg": 62.0}
    sim = treadmill(duration_s=20.0, **options)
    frames, losses = frames_of("simulated:treadmill?pace=0&seed=3&noise_n=3&mass_kg=62", 19_000)
    assert losses == []
    with bc.open_device("simulated:treadmill") as device:
        belts = [frames[:, :6].copy(), frames[:, 6:].copy()]
        trial = device.description.layout.trial(belts, device.rate_hz)
    want = bc.analyze_gait(sim.trial, mass_kg=62.0, n_boot=0).steps
    got = bc.analyze_gait(trial, mass_kg=62.0, n_boot=0).steps
    whole = len(got) - 2
    assert whole > 40
    np.testing.assert_array_equal(got["side"][:whole], want["side"][:whole])
    # The ends differ, and with them what is estimated from the whole record (offsets, levels): well below a frame.
    np.testing.assert_allclose(got["t_on"][:whole], want["t_on"][:whole], atol=2e-4)
    np.testing.assert_allclose(got["tc"][:whole], want["tc"][:whole], atol=4e-4)


def test_asymmetry_gait_and_belts_can_be_asked_for():
    address = "simulated:treadmill?pace=0&left_contact_s=0.28&right_contact_s=0.22&left_impact_m_s=1&right_impact_m_s=2"
    limbs = {
        "left": replace(LEFT, contact_s=0.28, impact_dv_m_s=1.0),
        "right": replace(RIGHT, contact_s=0.22, impact_dv_m_s=2.0),
    }
    frames, _ = frames_of(address, 4_000)
    np.testing.assert_array_equal(frames, np.hstack(treadmill(duration_s=6.0, **limbs).wrenches)[:4_000])
    frames, _ = frames_of("simulated:treadmill?pace=0&gait=walk&belts=single", 5_000)
    assert frames.shape[1] == 6
    assert (frames[1000:, 2] > 20.0).all()


def test_it_is_empty_until_somebody_comes():
    frames, _ = frames_of("simulated:treadmill?pace=0&start_s=2.5&drift_n=10&noise_n=1", 4_000)
    total = frames[:, 2] + frames[:, 8]
    # Two plates with an offset of 10 N and noise of 1 N: six of its SDs.
    assert np.abs(total[:2500] - 20.0).max() < 6.0 * np.sqrt(2.0)
    assert total[2500:3000].max() > 500.0


def test_volts_are_newtons_through_the_matrix():
    newtons, _ = frames_of("simulated:treadmill?pace=0&noise_n=2&seed=8", 3_000)
    volts, _ = frames_of("simulated:treadmill?pace=0&noise_n=2&seed=8&output=volts", 3_000)
    for belt in (slice(0, 6), slice(6, 12)):
        np.testing.assert_allclose(volts[:, belt] @ CALIBRATION.T, newtons[:, belt], atol=ROUNDING)
    with bc.open_device("simulated:treadmill?output=volts") as device:
        assert {c.unit for c in device.channels} == {"V"}
        assert device.description.layout is None
        assert "CALIBRATION" in device.description.notes[0]


def test_inputs_end_at_their_range():
    volts, _ = frames_of("simulated:treadmill?pace=0&mass_kg=250&output=volts", 3_000)
    assert volts[:, [2, 8]].max() == 10.0


def test_extra_channels():
    address = "simulated:treadmill?pace=0&analog=3&belt_speed=yes&speed_m_s=2.5&seed=1"
    frames, _ = frames_of(address, 5_000)
    with bc.open_device(address) as device:
        names = [c.name for c in device.channels]
        units = [c.unit for c in device.channels]
    assert names[12:] == ["trigger", "emg 1", "emg 2", "left speed", "right speed"]
    assert units[12:] == ["V", "V", "V", "m/s", "m/s"]
    rises = np.flatnonzero(np.diff(frames[:, 12], prepend=0.0) > 2.5)
    np.testing.assert_array_equal(rises, np.arange(5) * 1000)
    loaded = (frames[:, [2, 8]] > 50.0).any(axis=1)
    assert frames[loaded, 13].std() > 10 * frames[~loaded, 13].std() > 0
    assert np.all(frames[:, 15:] == 2.5)


def test_minutes_need_no_more_memory_than_seconds():
    with bc.open_device("simulated:treadmill?pace=0&rate_hz=1000&noise_n=1&jitter=0.02") as device:
        device.start()
        out = np.empty((30_000, 12))
        device.read_into(out)
        gc.collect()
        tracemalloc.start()
        for _ in range(4):
            assert device.read_into(out) == 30_000
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # Half a minute kept would be 2.9 MB; the cache of force curves (256 footfalls) may fill up.
    assert grown < 1e6
    assert device.frames_read == 150_000


def test_pace_is_a_multiple_of_the_clock_and_does_not_drift(monkeypatch):
    now = [1e5]
    monkeypatch.setattr("balancecore.drivers._played.time", SimpleNamespace(monotonic=lambda: now[0]))
    clock = Clock(1000.0, 20.0)
    assert clock.due() == 0
    for seconds in (0.5, 3600.0, 30 * 86400.0):
        now[0] = 1e5 + seconds + 1e-4
        # Up to the last packet.
        assert 0 <= 20_000 * seconds - clock.due() <= 20_000 * PACKET_S
        assert 0 < clock.wait_s() <= PACKET_S


def test_rate_is_that_of_the_clock_in_the_long_run():
    """No frame is due before its time, whatever the reader does in between."""
    with bc.open_device("simulated:counter?rate_hz=1000") as device:
        began = time.monotonic()
        device.start()
        out = np.empty((50, 8))
        while device.frames_read < 500:
            device.read_into(out)
            assert device.frames_read <= (time.monotonic() - began) * 1000


# Faults.


def test_slow_reader_loses_the_oldest_frames_and_is_told():
    with bc.open_device("simulated:counter?rate_hz=1000&buffer_s=0.1") as device:
        device.start()
        time.sleep(0.5)
        assert device.status()["waiting"] >= 400
        out = np.empty((1000, 8))
        n = device.read_into(out)
        assert n <= 100
        assert device.lost_before >= 300
        np.testing.assert_array_equal(out[:n, 0], device.lost_before + np.arange(n))


def test_gaps_are_where_they_were_asked_for():
    frames, losses = frames_of("simulated:counter?pace=0&fault=gap@2.5:70,gap@0.1:30", 5_000)
    assert losses == [(100, 30), (2470, 70)]
    np.testing.assert_array_equal(np.flatnonzero(np.diff(frames[:, 0]) != 1), [99, 2469])


def test_gap_of_the_treadmill_is_a_gap_in_its_signal():
    frames, losses = frames_of("simulated:treadmill?pace=0&fault=gap@0.7:5000&seed=2&noise_n=1", 3_000)
    whole, _ = frames_of("simulated:treadmill?pace=0&seed=2&noise_n=1", 9_000)
    assert losses == [(700, 5000)]
    np.testing.assert_array_equal(frames, np.delete(whole, np.s_[700:5700], axis=0)[:3_000])


def test_stall_delays_and_loses_nothing():
    with bc.open_device("simulated:counter?fault=stall@0.05:0.4") as device:
        device.start()
        out = np.empty((1000, 8))
        while device.frames_read < 50:
            device.read_into(out)
        assert device.read_into(out, timeout_s=0.0) == 0
        until = time.monotonic() + 20.0
        while device.frames_read < 600 and time.monotonic() < until:
            n = device.read_into(out)
            np.testing.assert_array_equal(out[:n, 0], device.frames_read - n + np.arange(n))
        assert device.frames_lost == 0
        assert device.frames_read >= 600


@pytest.mark.parametrize("pace", [0, 1])
def test_overrun_loses_what_came_meanwhile(pace):
    frames, losses = frames_of(f"simulated:counter?pace={pace}&fault=overrun@0.2:0.3", 400)
    ((index, lost),) = losses
    assert index == 200
    # 0.3 s, and in real time whatever more the machine was late.
    assert lost >= 290
    np.testing.assert_array_equal(frames[200:, 0], 200 + lost + np.arange(200))


def test_disconnected_device_stays_so_until_it_is_opened_again():
    with bc.open_device("simulated:counter?pace=0&fault=disconnect@0.1") as device:
        device.start()
        out = np.empty((1000, 8))
        assert device.read_into(out) == 100
        with pytest.raises(DeviceLostError, match=r"0\.1 s"):
            device.read_into(out)
        device.stop()
        with pytest.raises(DeviceLostError):
            device.start()
        device.close()
        device.open()
        device.start()
        assert device.read_into(out) == 100


def test_values_are_spoiled_where_asked_and_nowhere_else():
    plain, _ = frames_of("simulated:treadmill?pace=0&seed=4&noise_n=1", 4_000)
    address = "simulated:treadmill?pace=0&seed=4&noise_n=1&fault=nan@0.5:20,saturation@1.25:300,drift@2:50"
    for block in (1000, 7):
        frames, losses = frames_of(address, 4_000, block)
        assert losses == []
        assert np.isnan(frames[500:520]).all()
        assert np.all(frames[1250:1550, 2] == 5000.0)
        expected = plain.copy()
        expected[500:520] = np.nan
        expected[1250:1550, 2] = 5000.0
        ramp = 50.0 * np.maximum(np.arange(4_000) / 1000 - 2.0, 0.0)
        expected[:, 2] += ramp
        expected[:, 8] += ramp
        np.testing.assert_allclose(frames, expected, atol=ROUNDING)


def test_every_kind_of_fault_has_a_meaning_and_parses():
    for kind, says in FAULTS.items():
        (fault,) = Fault.parse(f"{kind}@1.5")
        assert (fault.kind, fault.at_s, fault.amount) == (kind, 1.5, says.amount)
        assert says.meaning


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("counter?fault=fire@1", "'fire' is none of gap"),
        ("counter?fault=gap", "KIND@SECONDS"),
        ("counter?fault=gap@x", "KIND@SECONDS"),
        ("counter?fault=gap@1:", "KIND@SECONDS"),
        ("counter?fault=gap@-1", "negative"),
        ("counter?fault=gap@nan", "negative"),
        ("counter?fault=gap@1:-5", "negative"),
        ("counter?fault=gap@1:inf", "without end"),
        ("counter?fault=disconnect@1:5", "takes no amount"),
        ("counter?fault=nan@1", "of the treadmill"),
        ("counter?mass_kg=70", "mass_kg"),
        ("counter?channels=0", "1 to 64"),
        ("counter?rate_hz=0", "rate_hz"),
        ("counter?pace=-1", "pace"),
        ("counter?buffer_s=0", "buffer_s"),
        ("treadmill?channels=3", "channels"),
        ("treadmill?rate_hz=50", "100 Hz"),
        ("treadmill?gait=hop", "gait='hop'"),
        ("treadmill?output=pounds", "newtons or volts"),
        ("treadmill?analog=-1", "analog"),
        ("treadmill?seed=-1", "seed"),
        ("treadmill?mass_kg=0", "mass_kg"),
        ("treadmill?gait=walk&left_impact_m_s=1", "walking has no impact"),
        ("treadmill?left_contact_s=-1", "contact_s"),
    ],
)
def test_bad_address_is_explained(address, says):
    with pytest.raises(DataError, match=says):
        bc.open_device(f"simulated:{address}")
