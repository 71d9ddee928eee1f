"""A browser without a screen: Bokeh's websocket protocol by hand, so that a test decides what it reads and answers."""

import asyncio
import base64
import json
import re
import socket
import uuid
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

#: A message that doesn't come in so long does not come, s.
PATIENCE_S = 30.0


async def fetch(url, **headers):
    """The answer to a GET, whatever its status."""
    request = HTTPRequest(url, headers=headers, follow_redirects=False)
    return await AsyncHTTPClient().fetch(request, raise_error=False)


def session_token(page):
    """What the page's script opens its websocket with."""
    return re.search(r'"token":"([^"]+)"', page.body.decode())[1]


def handshake(url, token, **headers):
    """The status that asking for a websocket gets: 101 is yes."""
    here = urlsplit(url)
    words = {
        "Host": here.netloc,
        "Origin": url.rstrip("/"),
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
        "Sec-WebSocket-Protocol": f"bokeh, {token}",
    }
    lines = [f"{name}: {value}" for name, value in (words | headers).items()]
    with socket.create_connection((here.hostname, here.port), PATIENCE_S) as asked:
        asked.sendall("\r\n".join(["GET /ws HTTP/1.1", *lines, "", ""]).encode())
        return int(asked.makefile("rb").readline().split()[1])


class Client:
    """One browser; ``async with`` connects and pulls the document."""

    def __init__(self, url, cookie=""):
        self.url, self.cookie = url, {"Cookie": cookie} if cookie else {}
        self.updates = []

    async def __aenter__(self):
        page = await fetch(self.url, **self.cookie)
        assert page.code == 200
        request = HTTPRequest(
            self.url.replace("http", "ws", 1) + "ws", headers={"Origin": self.url.rstrip("/")} | self.cookie
        )
        self.socket = await websocket_connect(request, subprotocols=["bokeh", session_token(page)])
        header, _ = await self.message()
        assert header["msgtype"] == "ACK"
        self.first = await self.pull()
        return self

    async def __aexit__(self, *failure):
        self.socket.close()
        while await self.socket.read_message() is not None:
            pass

    async def message(self):
        """The next message: its header and content."""
        header, _, content = [json.loads(await self._fragment()) for _ in range(3)]
        for _ in range(2 * header.get("num_buffers", 0)):
            await self._fragment()
        return header, content

    async def _fragment(self):
        fragment = await asyncio.wait_for(self.socket.read_message(), PATIENCE_S)
        assert fragment is not None, "the server has closed the connection"
        return fragment

    async def send(self, kind, content):
        header = {"msgid": uuid.uuid4().hex, "msgtype": kind}
        for part in (header, {}, content):
            await self.socket.write_message(json.dumps(part))

    async def pull(self):
        """The document as it stands; returns what the page would show."""
        await self.send("PULL-DOC-REQ", {})
        while True:
            header, content = await self.message()
            if header["msgtype"] == "PULL-DOC-REPLY":
                break
        roots = content["doc"]["roots"]
        live = next(root for root in roots if root["attributes"].get("name") == "live")
        self.live_id, self.attributes = live["id"], live["attributes"]
        return json.loads(self.attributes["state"])

    async def update(self, acknowledge=True):
        """The next state that comes, acknowledged as the page does once it is drawn."""
        while True:
            header, content = await self.message()
            if header["msgtype"] != "PATCH-DOC":
                continue
            for event in content["events"]:
                if event.get("attr") == "state":
                    state = json.loads(event["new"])
                    self.updates.append(state["update"])
                    if acknowledge:
                        await self.seen(state)
                    return state

    async def until(self, holds):
        """The first state of which that holds."""

        async def wait():
            while not holds(state := await self.update()):
                pass
            return state

        return await asyncio.wait_for(wait(), PATIENCE_S)

    async def seen(self, state):
        await self.change("seen", state["update"])

    async def press(self, **asked):
        await self.change("pressed", json.dumps(asked))

    async def change(self, attr, new):
        event = {"kind": "ModelChanged", "model": {"id": self.live_id}, "attr": attr, "new": new}
        await self.send("PATCH-DOC", {"events": [event]})
