"""Treadmills: the wire of Bertec's panel over real sockets, and what keeps belts from running on their own."""

import gc
import socket
import struct
import threading
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from balancecore.drivers.treadmill_bertec import decode_status, encode_command
from hypothesis import given
from hypothesis import strategies as st

from balancecore.capture import BeltCommand, BeltLimits, BeltState, belt_values, open_treadmill
from balancecore.capture.treadmill import STILL_M_S, STILL_S, BeltLink, Treadmill, _Watch
from balancecore.errors import (
    DataError,
    DeviceError,
    DeviceLostError,
    DeviceNotFoundError,
    DeviceTimeoutError,
    DriverUnavailableError,
)

from .bertec_server import Panel

LIMITS = BeltLimits(speed_m_s=4.0, acceleration_m_s2=3.0, incline_deg=10.0)
#: Speeds are sent in mm/s and inclines in 0.01 degrees.
STEP = 0.0005 + 1e-9
PATIENCE_S = 30.0


def wait_until(true, what):
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.005)


def stand(panel):
    return max(map(abs, panel.speeds)) < 1000 * STILL_M_S


def moving(panel, **options):
    """A treadmill that has been told to run; nothing renews it."""
    treadmill = open_treadmill(panel.address, allow_commands=True, limits=LIMITS, **options)
    treadmill.command(2.0, 1.5)
    wait_until(lambda: min(panel.speeds) > 100, "the belts to start")
    return treadmill


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch):
    """The panel is a thread beside others: it may fall silent for a while without meaning it."""
    monkeypatch.setattr("balancecore.capture.treadmill.FIRST_STATUS_S", PATIENCE_S)
    monkeypatch.setattr("balancecore.capture.treadmill.FRESH_S", PATIENCE_S)
    monkeypatch.setattr("balancecore.capture.treadmill.SEEN_S", PATIENCE_S)


def soon(monkeypatch):
    """From now on silence is noticed soon."""
    monkeypatch.setattr("balancecore.capture.treadmill.FRESH_S", 0.3)
    monkeypatch.setattr("balancecore.capture.treadmill.SEEN_S", 0.5)


@pytest.fixture
def panel():
    with Panel() as panel:
        yield panel


# The wire.


def test_command_is_the_published_64_bytes():
    got = encode_command(BeltCommand(1.2, -0.5, 0.25, 3.0))
    body = bytes.fromhex("fe0c 04b0 0000 0000 00fa 00fa 0000 0000 012c")
    assert got == b"\0" + body + bytes(255 - b for b in body) + bytes(27)
    assert len(got) == 64


@given(st.floats(-6.5, 6.5), st.floats(-6.5, 6.5), st.floats(0.001, 3.0), st.floats(0.0, 15.0))
def test_every_command_can_be_read_back(left, right, change, incline):
    frame = encode_command(BeltCommand(left, right, change, incline))
    values = struct.unpack(">9h", frame[1:19])
    assert values[0] == pytest.approx(1000 * right, abs=1000 * STEP)
    assert values[1] == pytest.approx(1000 * left, abs=1000 * STEP)
    assert values[4] == values[5] == pytest.approx(1000 * change, abs=1000 * STEP)
    assert values[8] == pytest.approx(100 * incline, abs=0.5 + 1e-9)
    assert all(a ^ b == 255 for a, b in zip(frame[1:19], frame[19:37], strict=True))


def test_status_is_the_published_32_bytes():
    frame = bytes.fromhex("00 fe0c 04b0 0001 ffff ff38") + bytes(21)
    state = decode_status(frame, 5.0)
    assert state == BeltState(5.0, 1.2, -0.5, -2.0, 0.0, -0.001, 0.001)


@pytest.mark.parametrize("piece", [1, 5, 31, 33])
def test_status_in_any_pieces(piece):
    with Panel(piece=piece) as panel, open_treadmill(panel.address) as treadmill:
        panel.speeds, panel.incline = [1234, -2345], 250

        def there():
            state = treadmill.state()
            return (state.speed_left_m_s, state.speed_right_m_s, state.incline_deg) == (-2.345, 1.234, 2.5)

        wait_until(there, "the speeds and the incline")
        state = treadmill.state()
        assert np.isfinite(state.speed_left_rear_m_s)
        assert state.age_s < PATIENCE_S


def test_many_statuses_in_one_piece():
    frame = struct.pack(">B4hh", 0, 500, 700, 0, 0, 0) + bytes(21)
    with Panel(fore=frame * 300 + frame[:10]) as panel:
        panel.hung = True
        with open_treadmill(panel.address) as treadmill:
            got = []
            wait_until(lambda: got.extend(treadmill.samples()) or len(got) >= 300, "300 states")
    assert len(got) == 300
    assert {s.speed_left_m_s for s in got} == {0.7}
    assert all(a.time_s <= b.time_s for a, b in pairwise(got))


def test_other_bytes_are_not_taken_for_speeds():
    with Panel(form=7) as panel, pytest.raises(DeviceLostError, match="no status"):
        open_treadmill(panel.address)


# Connecting.


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(DeviceNotFoundError, match="Remote Control"):
        open_treadmill(f"bertec://127.0.0.1:{port}")


def test_second_client_is_told_why(panel):
    with open_treadmill(panel.address) as first:
        with pytest.raises(DeviceLostError, match="no other program"):
            open_treadmill(panel.address)
        assert first.state().age_s < PATIENCE_S


def test_panel_that_says_nothing(monkeypatch):
    monkeypatch.setattr("balancecore.capture.treadmill.FIRST_STATUS_S", 0.2)
    with Panel() as panel:
        panel.hung = True
        with pytest.raises(DeviceTimeoutError, match="no status"):
            open_treadmill(panel.address)


@pytest.mark.parametrize(
    ("address", "error", "says"),
    [
        ("bertec:", DataError, "bertec://HOST"),
        ("bertec://", DataError, "bertec://HOST"),
        ("bertec://host:port", DataError, "bertec://HOST"),
        ("bertec://host:1/path", DataError, "bertec://HOST"),
        ("bertec://host?speed=1", DataError, "speed"),
        ("biodex://host", DriverUnavailableError, "there are bertec, simulated"),
        ("simulated:treadmill", DeviceNotFoundError, "simulated:belts"),
        ("host:4000", DriverUnavailableError, "'host'"),
    ],
)
def test_bad_address(address, error, says):
    with pytest.raises(error, match=says):
        open_treadmill(address)


# Listening.


def test_it_only_listens_unless_it_is_allowed_more(panel):
    with open_treadmill(panel.address, limits=LIMITS) as treadmill:
        for call in (lambda: treadmill.command(1.0, 1.0), treadmill.renew, treadmill.stop_belts):
            with pytest.raises(DeviceError, match="allow_commands"):
                call()
    assert (panel.commands, panel.wrong) == ([], 0)


def test_closed_treadmill_and_its_thread_are_gone(panel):
    before = set(threading.enumerate())
    treadmill = open_treadmill(panel.address)
    assert str(treadmill).startswith("bertec://127.0.0.1")
    treadmill.close()
    treadmill.close()
    wait_until(
        lambda: not any("belts" in t.name for t in set(threading.enumerate()) - before), "its thread to end"
    )
    with pytest.raises(DeviceError, match="closed"):
        treadmill.state()
    treadmill.samples()
    with pytest.raises(DeviceError, match="closed"):
        treadmill.samples()


def test_forgotten_treadmill_warns_stops_its_belts_and_is_let_go(panel):
    held = [moving(panel, watchdog_s=10.0)]
    with pytest.warns(ResourceWarning, match="never closed"):
        held.clear()
    gc.collect()
    assert stand(panel)


def test_lost_connection_is_told_after_what_came_before(panel):
    with open_treadmill(panel.address) as treadmill:
        wait_until(lambda: len(treadmill._watch.log) > 3, "some states")
        panel.kill()
        wait_until(lambda: treadmill._watch.failed is not None, "the loss")
        assert len(treadmill.samples()) > 3
        for ask in (treadmill.state, treadmill.samples, treadmill.state):
            with pytest.raises(DeviceLostError) as caught:
                ask()
            assert "still be moving" not in str(caught.value)


def test_age_of_what_a_hung_panel_said_grows(panel):
    with open_treadmill(panel.address) as treadmill:
        panel.hung = True
        wait_until(lambda: treadmill.state().age_s > 0.3, "the state to age")


# Commands.


def test_belts_come_to_the_speed_that_was_asked_for(panel):
    with open_treadmill(panel.address, allow_commands=True, limits=LIMITS, watchdog_s=10.0) as treadmill:
        treadmill.command(1.25, 0.75, acceleration_m_s2=2.5, incline_deg=1.5)

        def there():
            state = treadmill.state()
            return (state.speed_left_m_s, state.speed_right_m_s, state.incline_deg) == (1.25, 0.75, 1.5)

        wait_until(there, "the speed")
        assert panel.commands[0][1] == (750, 1250, 0, 0, 2500, 2500, 0, 0, 150)
        treadmill.command(1.0, 1.0)
        wait_until(lambda: len(panel.commands) == 2, "the second command")
        # The incline stays as it is, and the acceleration is that of the limits.
        assert panel.commands[1][1] == (1000, 1000, 0, 0, 3000, 3000, 0, 0, 150)
    assert stand(panel)
    assert panel.commands[-1][1] == (0, 0, 0, 0, 3000, 3000, 0, 0, 150)
    assert panel.wrong == 0


@pytest.mark.parametrize(
    ("args", "options", "says"),
    [
        ((4.1, 1.0), {}, "speed_left_m_s=4.1"),
        ((1.0, 4.1), {}, "speed_right_m_s=4.1"),
        ((-0.1, 1.0), {}, "speed_left_m_s=-0.1"),
        ((float("nan"), 1.0), {}, "speed_left_m_s=nan"),
        ((1.0, float("inf")), {}, "speed_right_m_s=inf"),
        ((1.0, 1.0), {"acceleration_m_s2": 3.1}, "acceleration_m_s2=3.1"),
        ((1.0, 1.0), {"acceleration_m_s2": 0.0}, "keep their speed"),
        ((1.0, 1.0), {"acceleration_m_s2": -1.0}, "acceleration_m_s2=-1"),
        ((1.0, 1.0), {"incline_deg": 10.5}, "incline_deg=10.5"),
        ((1.0, 1.0), {"incline_deg": -1.0}, "incline_deg=-1"),
    ],
)
def test_command_beyond_the_limits_is_refused_and_not_cut(panel, args, options, says):
    treadmill = open_treadmill(panel.address, allow_commands=True, limits=LIMITS)
    with pytest.raises(DataError, match=says):
        treadmill.command(*args, **options)
    treadmill.close()
    assert panel.commands == []


def test_backwards_only_where_the_limits_say_so(panel):
    limits = BeltLimits(2.0, 3.0, reverse=True)
    with open_treadmill(panel.address, allow_commands=True, limits=limits, watchdog_s=10.0) as treadmill:
        treadmill.command(-1.0, 0.5)
        wait_until(lambda: treadmill.state().speed_left_m_s == -1.0, "the speed")
    assert stand(panel)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (None, "needs limits"),
        (BeltLimits(7.0, 1.0), "speed_m_s=7 is more"),
        (BeltLimits(1.0, 3.5), "acceleration_m_s2=3.5 is more"),
        (BeltLimits(1.0, 1.0, 16.0), "incline_deg=16 is more"),
    ],
)
def test_limits_are_needed_and_capped_by_the_protocol(panel, limits, says):
    with pytest.raises(DataError, match=says):
        open_treadmill(panel.address, allow_commands=True, limits=limits)
    assert panel.clients == 0


@pytest.mark.parametrize("values", [(-1.0, 1.0), (1.0, 0.0), (float("nan"), 1.0), (1.0, 1.0, -1.0)])
def test_limits_that_make_no_sense(values):
    with pytest.raises(DataError, match="limits"):
        BeltLimits(*values)


@pytest.mark.parametrize("seconds", [0.0, 11.0, float("nan")])
def test_watchdog_can_not_be_switched_off(panel, seconds):
    with pytest.raises(DataError, match="watchdog_s"):
        open_treadmill(panel.address, allow_commands=True, limits=LIMITS, watchdog_s=seconds)


def test_nothing_is_sent_on_a_stale_status(monkeypatch):
    link = Hearing()
    with Treadmill(link, LIMITS, 10.0) as treadmill:
        link.silent = True
        soon(monkeypatch)
        wait_until(lambda: treadmill.state().age_s > 0.6, "the state to age")
        with pytest.raises(DeviceTimeoutError, match="old"):
            treadmill.command(1.0, 1.0)
    assert link.sent == []


# The belts must not run on alone.


def test_watchdog_stops_belts_that_nobody_renews(panel):
    with moving(panel, watchdog_s=10.0) as treadmill:
        treadmill._watch.watchdog_s = (
            0.3  # only now: before, a busy machine might be too late to see them move
        )
        wait_until(lambda: treadmill.tripped, "the trip")
        wait_until(lambda: treadmill.state().is_still, "the belts to stop")
        assert "no renewal" in treadmill.tripped
        for call in (lambda: treadmill.command(1.0, 1.0), treadmill.renew):
            with pytest.raises(DeviceError, match=r"no renewal .* anew"):
                call()
    assert stand(panel)
    assert all(values[:2] == (0, 0) for _, values in panel.commands[1:])


def test_renewal_keeps_them_running(panel):
    """What the watchdog makes of a time, without waiting for it."""
    with moving(panel, watchdog_s=10.0) as treadmill:
        watch = treadmill._watch
        before = watch.renewed
        treadmill.renew()
        assert watch.renewed > before
        with watch.lock:
            for late, why in ((9.9, ""), (10.1, "no renewal")):
                watch.state = replace(watch.state, time_s=watch.renewed + late)
                watch.guard(watch.renewed + late)
                assert bool(why) == bool(watch.tripped)
                assert why in watch.tripped
    assert stand(panel)


def test_end_of_with_stops_them_also_after_an_error(panel):
    def fail():
        with moving(panel, watchdog_s=10.0):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert stand(panel)


def test_close_right_after_a_command_still_waits_for_standstill(panel):
    """The status under way says that the belts stand, from before they began to move."""
    treadmill = open_treadmill(panel.address, allow_commands=True, limits=LIMITS)
    treadmill.command(3.0, 3.0)
    treadmill.close()
    assert panel.commands[-1][1][:2] == (0, 0)
    assert stand(panel)


def test_stop_belts_stops_and_they_may_run_again(panel):
    with moving(panel, watchdog_s=10.0) as treadmill:
        treadmill.stop_belts()
        wait_until(lambda: panel.speeds == [0, 0], "the belts to stop")
        wait_until(lambda: not treadmill._watch.commanded, "standstill to be seen")
        sent = len(panel.commands)
        treadmill.command(1.0, 1.0)
        wait_until(lambda: panel.speeds == [1000, 1000], "the belts to run")
        # A stop that was sent again may have been under way when they were counted.
        assert [values[:2] for _, values in panel.commands[sent:] if any(values[:2])] == [(1000, 1000)]
        assert panel.commands[-1][1][:2] == (1000, 1000)


def test_standstill_from_before_the_stop_is_not_believed():
    """A status that came before it may have waited for the thread that listens."""
    watch = _Watch(Hearing(), LIMITS, 10.0)
    watch.commanded = True
    with watch.lock:
        watch.send_stop()
    late = BeltState(watch.stop_since + 9.0, 0.0, 0.0, 0.0)
    watch.heard(late, watch.stop_since - 0.1)
    assert watch.commanded
    watch.heard(late, watch.stop_since + STILL_S + 0.01)
    assert not watch.commanded


def test_silent_panel_with_running_belts_is_told_to_stop(panel, monkeypatch):
    treadmill = moving(panel, watchdog_s=10.0)
    panel.hung = True
    soon(monkeypatch)
    wait_until(lambda: "not said anything" in treadmill.tripped, "the trip")
    wait_until(lambda: panel.speeds == [0, 0], "the belts to stop")
    with pytest.raises(DeviceLostError, match="still be moving"):
        treadmill.close()
    with pytest.raises(DeviceError, match="closed"):
        treadmill.state()


def test_stop_is_sent_again_until_it_is_obeyed(panel, monkeypatch):
    with moving(panel, watchdog_s=10.0) as treadmill:
        obey = panel.obey
        ignored = []
        monkeypatch.setattr(panel, "obey", ignored.append)
        treadmill.stop_belts()
        wait_until(lambda: len(ignored) >= 3, "three stops")
        monkeypatch.setattr(panel, "obey", obey)
        wait_until(lambda: panel.speeds == [0, 0], "the belts to stop")


def test_lost_connection_with_running_belts_is_said_in_every_way(panel):
    treadmill = moving(panel, watchdog_s=10.0)
    panel.kill()
    wait_until(lambda: treadmill._watch.failed is not None, "the loss")
    for call in (treadmill.state, treadmill.renew, treadmill.stop_belts, lambda: treadmill.command(0.0, 0.0)):
        with pytest.raises(DeviceLostError, match="use the treadmill's own stop"):
            call()
    treadmill.close()


def test_lost_connection_that_nobody_saw_is_told_by_close(panel):
    treadmill = moving(panel, watchdog_s=10.0)
    panel.kill()
    wait_until(lambda: treadmill._watch.failed is not None, "the loss")
    with pytest.raises(DeviceLostError, match="still be moving"):
        treadmill.close()
    treadmill.close()


def test_error_of_a_driver_is_raised_where_the_treadmill_is_used():
    class Broken(BeltLink):
        CAP = LIMITS
        fails = threading.Event()

        def connect(self):
            pass

        def poll(self, timeout_s):
            if self.fails.wait(0.01):
                raise ZeroDivisionError("oops")
            return (BeltState(time.monotonic(), 0.0, 0.0, 0.0),)

        def send(self, command):
            pass

        def close(self):
            pass

    treadmill = Treadmill(Broken("broken", {}), None, 1.0)
    Broken.fails.set()
    wait_until(lambda: treadmill._watch.failed is not None, "the failure")
    with pytest.raises(DeviceError, match="oops") as caught:
        treadmill.state()
    assert isinstance(caught.value.__cause__.__cause__, ZeroDivisionError)
    treadmill.close()


class Hearing(BeltLink):
    """Belts that obey, and a connection that fails as a test wants."""

    CAP = LIMITS

    def __init__(self):
        super().__init__("hearing", {})
        self.fails, self.refuses, self.sent = threading.Event(), 0, []
        self.silent = False

    def connect(self):
        pass

    def poll(self, timeout_s):
        if self.fails.wait(0.01):
            raise ValueError("a status that makes no sense")
        if self.silent:
            return ()
        speed = self.sent[-1].speed_left_m_s if self.sent else 0.0
        return (BeltState(time.monotonic(), speed, speed, 0.0),)

    def send(self, command):
        if self.refuses:
            self.refuses -= 1
            raise DeviceTimeoutError("it took too long")
        self.sent.append(command)

    def close(self):
        pass


def test_belts_are_told_to_stop_where_listening_fails():
    link = Hearing()
    treadmill = Treadmill(link, LIMITS, 10.0)
    treadmill.command(2.0, 2.0)
    link.fails.set()
    wait_until(lambda: link.sent[-1].speed_left_m_s == 0.0, "a stop")
    sent = len(link.sent)
    with pytest.raises(DeviceError, match="makes no sense"):
        treadmill.stop_belts()
    assert [c.speed_left_m_s for c in link.sent[sent:]] == [0.0]  # tried once more, and the error told
    treadmill.close()


def test_belts_are_told_to_stop_where_a_command_failed():
    link = Hearing()
    treadmill = Treadmill(link, LIMITS, 10.0)
    treadmill.command(2.0, 2.0)
    link.refuses = 1
    with pytest.raises(DeviceTimeoutError, match="too long"):
        treadmill.command(3.0, 3.0)
    sent = [c.speed_left_m_s for c in link.sent]
    assert sent[:2] == [2.0, 0.0]
    assert not any(sent[2:])  # it may have been sent again meanwhile
    treadmill.close()
    assert link.sent[-1].speed_left_m_s == 0.0


# As channels of a trial.


def test_values_at_times_hold_the_last_status():
    states = [BeltState(10.0 + k, 1.0 + k, 2.0 + k, 0.5) for k in (0.0, 0.5, 2.0)]
    times = [9.9, 10.0, 10.4, 10.5, 11.2, 11.6, 12.0, 13.5]
    got = belt_values(states, times, max_age_s=1.0)
    nan = np.nan
    np.testing.assert_array_equal(got[:, 0], [nan, 1.0, 1.0, 1.5, 1.5, nan, 3.0, nan])
    np.testing.assert_array_equal(got[:, 1] - got[:, 0], [nan, 1, 1, 1, 1, nan, 1, nan])
    assert belt_values([], [1.0, 2.0]).shape == (2, 3)
    assert np.isnan(belt_values([], [1.0, 2.0])).all()
    with pytest.raises(DataError, match="order"):
        belt_values(states[::-1], times)


def test_samples_become_a_channel_at_the_rate_of_a_device(panel):
    with open_treadmill(panel.address, allow_commands=True, limits=LIMITS, watchdog_s=10.0) as treadmill:
        treadmill.command(1.0, 1.0)
        states = []
        wait_until(
            lambda: states.extend(treadmill.samples()) or states[-1].speed_left_m_s == 1.0, "the speed"
        )
    times = np.arange(states[0].time_s, states[-1].time_s + 0.001, 0.001)
    left = belt_values(states, times, max_age_s=PATIENCE_S)[:, 0]
    last = [max(k for k, state in enumerate(states) if state.time_s <= at) for at in times]
    np.testing.assert_array_equal(left, [states[k].speed_left_m_s for k in last])
    assert np.all(np.diff(left) >= 0)
    assert (left[0], left[-1]) == (0.0, 1.0)


def test_simulated_belts_obey():
    with open_treadmill("simulated:belts?speed_m_s=2&incline_deg=1") as treadmill:
        assert treadmill.state().speed_left_m_s == 2.0
    with open_treadmill(
        "simulated:belts?speed_m_s=0", allow_commands=True, limits=LIMITS, watchdog_s=10.0
    ) as treadmill:
        treadmill.command(0.5, 0.25, incline_deg=2.0)
        wait_until(lambda: treadmill.state().speed_left_m_s == 0.5, "the speed")
        wait_until(lambda: treadmill.state().speed_right_m_s == 0.25, "the speed")
        assert treadmill.state().incline_deg == 2.0
