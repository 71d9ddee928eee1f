"""The examples that send steps elsewhere: what was sent is received by another program's means, step for step."""

import asyncio
import importlib
import json
import math
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import balancecore as bc

EXAMPLES = Path(__file__).parents[1] / "examples"
ADDRESS = "simulated:treadmill?rate_hz=1000&seed=4&noise_n=2&left_contact_s=0.23&pace=10&buffer_s=60"
SECONDS = 20
#: As numbers, for LSL.
SIDES = {"L": 0.0, "R": 1.0}
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def expected():
    """The steps of so many seconds, by hand."""
    with bc.open_device(ADDRESS.replace("pace=10", "pace=0")) as device:
        stream = bc.GaitStream(device.description.layout, rate_hz=1000.0, mass_kg=70.0)
        device.start()
        frames, at = np.empty((1000 * SECONDS, 12)), 0
        while at < len(frames):
            at += device.read_into(frames[at:])
        return [dict(step) for step in stream.push(frames)]


@pytest.fixture
def example(monkeypatch):
    """Imports an example as a program beside it would."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module


@contextmanager
def running(name, *arguments, **environment):
    """An example in a process of its own; it must end well."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), ADDRESS, *map(str, arguments)]
    environment = {**os.environ, **environment, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


def assert_same(received, step):
    """JSON keeps every digit of a float."""
    assert received.keys() == step.keys()
    for name, value in step.items():
        if isinstance(value, float) and not math.isfinite(value):
            assert received[name] is None, name
        else:
            assert received[name] == value, name


def test_websocket_clients_get_every_step(expected):
    client = pytest.importorskip("websockets.sync.client")
    from websockets.exceptions import ConnectionClosed

    def received(url):
        got = []
        with client.connect(url, open_timeout=PATIENCE_S) as connection:
            try:
                while True:
                    got.append(json.loads(connection.recv(PATIENCE_S)))
            except ConnectionClosed:
                return got

    with ThreadPoolExecutor(3) as threads, running("send_steps_websocket.py", 0, 3) as process:
        url = process.stdout.readline().strip()
        clients = [threads.submit(received, url) for _ in range(3)]
        found = [one.result(PATIENCE_S) for one in clients]
        assert process.stdout.readline() == f"{len(expected)} steps sent\n"
    assert len(expected) > 50
    for got in found:
        assert len(got) == len(expected)
        for one, step in zip(got, expected, strict=True):
            assert_same(one, step)


def test_websocket_refuses_pages_of_other_sites(example):
    client = pytest.importorskip("websockets.sync.client")
    from websockets.asyncio.server import serve
    from websockets.exceptions import InvalidStatus

    example = example("send_steps_websocket")

    async def ask():
        async with serve(example.Hub().serve, "127.0.0.1", 0, origins=example.ORIGINS) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"

            def connects(origin):
                try:
                    with client.connect(url, origin=origin, open_timeout=PATIENCE_S):
                        pass
                except InvalidStatus as refused:
                    return refused.response.status_code
                return 101

            origins = (None, "http://localhost:8000", "http://127.0.0.1", "http://example.org", "null",
                       "http://localhost.example.org", "http://example.org/localhost")  # fmt: skip
            return [await asyncio.to_thread(connects, origin) for origin in origins]

    assert asyncio.run(ask()) == [101, 101, 101, 403, 403, 403, 403]


def test_websocket_leaves_a_client_that_does_not_read(example):
    """The other clients get all, and nothing waits for it."""
    client = pytest.importorskip("websockets.asyncio.client")
    from websockets.asyncio.server import serve

    example = example("send_steps_websocket")
    message, count = "x" * 500_000, 200  # 100 MB: more than sockets hold

    async def send():
        hub = example.Hub()
        async with serve(hub.serve, "127.0.0.1", 0, origins=example.ORIGINS, compression=None) as server:
            port = server.sockets[0].getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)) as deaf:
                deaf.sendall(
                    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                )
                while len(hub.clients) < 1:
                    await asyncio.sleep(0.01)
                async with client.connect(f"ws://127.0.0.1:{port}", max_size=None, compression=None) as good:
                    while len(hub.clients) < 2:
                        await asyncio.sleep(0.01)
                    got = []
                    for _ in range(count):
                        hub.send(message)
                        got.append(await asyncio.wait_for(good.recv(), PATIENCE_S))
                    return got, len(hub.clients)

    got, left = asyncio.run(send())
    assert got == [message] * count
    assert left == 1


def test_osc_messages_hold_the_steps(expected):
    osc = pytest.importorskip("pythonosc.osc_message")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE_S)
        with running("send_steps_osc.py", "127.0.0.1", receiver.getsockname()[1]) as process:
            got = [osc.OscMessage(receiver.recv(4096)) for _ in expected]
            assert process.stdout.readline().startswith(f"{len(expected)} steps sent to 127.0.0.1:")
    names = ("t_on", "tc", "tf", "peak_active", "imp_v")
    assert [one.address for one in got] == [f"/step/{step['side']}" for step in expected]
    # OSC's floats have 32 bits.
    np.testing.assert_array_equal(
        np.float32([one.params for one in got]),
        np.float32([[step[name] for name in names] for step in expected]),
    )


def test_lsl_samples_hold_the_steps(expected, tmp_path):
    pytest.importorskip("pylsl")
    names = ("t_on", "tc", "tf", "peak_active", "imp_v")
    settings = tmp_path / "lsl.cfg"
    settings.write_text(
        f"[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n[lab]\nSessionID = {tmp_path.name}\n"
    )
    with running("send_steps_lsl.py", "wait", LSLAPICFG=str(settings)) as process:
        # liblsl reads its settings once a process.
        done = subprocess.run(
            [sys.executable, "-c", INLET, str(len(expected))],
            env={**os.environ, "LSLAPICFG": str(settings)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert process.stdout.readline() == f"{len(expected)} steps sent\n"
    labels, samples = json.loads(done.stdout)
    assert labels == [
        ["side", ""],
        ["t_on", "s"],
        ["tc", "s"],
        ["tf", "s"],
        ["peak_active", "BW"],
        ["imp_v", "BW s"],
    ]
    wanted = [[SIDES.get(step["side"], math.nan), *(step[name] for name in names)] for step in expected]
    np.testing.assert_array_equal(np.array(samples), np.array(wanted))


#: A consumer of its own: labels and units of the channels, and so many samples, as JSON.
INLET = """
import json, sys
import pylsl
(info,) = pylsl.resolve_byprop("name", "balancecore steps", timeout=60.0)
inlet = pylsl.StreamInlet(info)
channel, labels = inlet.info(60.0).desc().child("channels").child("channel"), []
for _ in range(info.channel_count()):
    labels.append([channel.child_value("label"), channel.child_value("unit")])
    channel = channel.next_sibling()
samples = []
while len(samples) < int(sys.argv[1]):
    sample, _ = inlet.pull_sample(60.0)
    assert sample is not None
    samples.append(sample)
print(json.dumps([labels, samples]))
inlet.close_stream()
"""
