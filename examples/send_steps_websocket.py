"""Each finished step as a JSON object to any number of programs on this computer, over WebSocket.

    python examples/send_steps_websocket.py [ADDRESS [PORT [CLIENTS]]]

In a browser: ``new WebSocket("ws://127.0.0.1:8765").onmessage = (m) => console.log(JSON.parse(m.data).tc)``. The
address is that of any device that gives wrenches (here a simulated treadmill, five times as fast as life). Measuring
begins once so many clients are there. The server listens on this computer only, and pages of other sites are refused;
needs ``pip install websockets``.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
from collections.abc import Callable
from contextlib import suppress

from live_steps import ADDRESS, steps
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from balancecore.steps import Step

PORT = 8765
#: Programs send no Origin; pages of browsers do, and any page that somebody visits could ask for these steps.
ORIGINS: list[Origin | re.Pattern[str] | None] = [
    None,
    re.compile(r"https?://(localhost|127\.0\.0\.1)(:\d+)?"),
]
#: Steps that wait for a client; one that is further behind is let go, and may come again.
WAITING = 50
#: How long clients may take for what is left at the end, s.
LEAVE_S = 10.0


def as_json(step: Step) -> str:
    """A step's columns by their names; what is not known is null, since JSON has no NaN."""
    return json.dumps(
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in step.items()}
    )


class Hub:
    """Hands every message to every client without waiting for any of them."""

    def __init__(self) -> None:
        self.clients: dict[ServerConnection, asyncio.Queue[str | None]] = {}
        self.changed = asyncio.Condition()

    async def serve(self, client: ServerConnection) -> None:
        """Send a client its messages, at its own pace, until the last one or until it leaves."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(WAITING)
        self.clients[client] = queue
        await self.tell()
        sending = asyncio.create_task(self.forward(client, queue))
        leaving = asyncio.create_task(client.wait_closed())
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        leaving.cancel()
        self.clients.pop(client, None)
        await self.tell()

    async def forward(self, client: ServerConnection, queue: asyncio.Queue[str | None]) -> None:
        """Send what is queued."""
        with suppress(ConnectionClosed):
            while (message := await queue.get()) is not None:
                await client.send(message)

    def send(self, message: str | None) -> None:
        """Queue a message for all; None is the last one."""
        for client, queue in list(self.clients.items()):
            if queue.full():
                del self.clients[client]
                client.transport.abort()  # a proper good-bye would wait behind what it doesn't take
            else:
                queue.put_nowait(message)

    async def tell(self) -> None:
        """The number of clients has changed."""
        async with self.changed:
            self.changed.notify_all()

    async def wait(self, true: Callable[[int], bool]) -> None:
        """Wait for a number of clients."""
        async with self.changed:
            await self.changed.wait_for(lambda: true(len(self.clients)))


async def main(address: str, port: int, clients: int) -> None:
    """Serve, measure, and send."""
    hub, loop = Hub(), asyncio.get_running_loop()
    async with serve(hub.serve, "127.0.0.1", port, origins=ORIGINS) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await hub.wait(lambda n: n >= clients)
        # The device is read in threads, so that no client and no other task here can hold it up.
        count = await asyncio.to_thread(
            measure, address, lambda text: loop.call_soon_threadsafe(hub.send, text)
        )
        loop.call_soon(hub.send, None)  # behind all that the thread has sent
        with suppress(TimeoutError):
            await asyncio.wait_for(hub.wait(lambda n: n == 0), LEAVE_S)
    print(f"{count} steps sent")


def measure(address: str, send: Callable[[str], object]) -> int:
    """Send every step of a device; how many there were."""
    count = 0
    for step in steps(address):
        send(as_json(step))
        count += 1
    return count


if __name__ == "__main__":
    given = dict(enumerate(sys.argv[1:]))
    asyncio.run(main(given.get(0, ADDRESS), int(given.get(1, PORT)), int(given.get(2, 0))))
