"""The page's process as a network sees it: who is let in, what a browser gets, what a slow one costs."""

import asyncio
import base64
import json
import re
import socket
import zlib
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from bokeh.server.server import BaseServer
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets

from balancecore.errors import DataError
from balancecore.live.access import check_access, is_loopback
from balancecore.live.document import MOST_UNDERWAY
from balancecore.live.site import MOST_BROWSERS, Site

from .client import Client, fetch, handshake, session_token
from .feeder import READY, feeding, step, trace

TOKEN = "correct-horse-battery"
#: Everything that Bokeh answers to by itself, and what is the page's own.
ENDPOINTS = (
    "",
    "ws",
    "metadata",
    "autoload.js?bokeh-autoload-element=1",
    "static/js/bokeh.min.js",
    "static/extensions/x/y.js",
    "favicon.ico",
    "page/page.js",
    "page/page.css",
)
#: Memory that a process takes and gives back for other reasons, MB.
BREATH_MB = 15.0


@pytest.fixture(scope="module")
def feeder():
    with feeding() as made:
        made.update(**READY)
        yield made


@pytest.fixture(scope="module")
def guarded():
    hostile = {"RESOURCES": "cdn", "ALLOW_WS_ORIGIN": "example.com", "SIGN_SESSIONS": "no"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in hostile.items():
            patch.setenv(f"BOKEH_{name}", value)
        with feeding(token=TOKEN) as made:
            made.update(**READY)
            yield made


def get(url, **headers):
    return asyncio.run(fetch(url, **headers))


def let_in(guarded):
    answer = get(f"{guarded.url}?token={TOKEN}")
    (morsel,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
    return answer, morsel


# Who is let in.


@pytest.mark.parametrize("path", ENDPOINTS)
def test_without_its_token_nothing_is_given(guarded, path):
    answer = get(guarded.url + path)
    assert answer.code == 403
    assert b"token" in answer.body
    assert len(answer.body) < 200


@pytest.mark.parametrize("given", ["", "wrong", TOKEN[:-1], TOKEN + "x", "%ff%fe"])
def test_a_wrong_token_is_none(guarded, given):
    answer = get(f"{guarded.url}?token={given}")
    assert answer.code == 403
    assert "Set-Cookie" not in answer.headers


def test_the_right_token_gives_a_cookie_that_scripts_and_other_sites_do_not_get(guarded):
    answer, morsel = let_in(guarded)
    assert answer.code == 200
    assert morsel["httponly"]
    assert morsel["samesite"] == "Strict"
    assert TOKEN not in morsel.value
    cookie = f"{morsel.key}={morsel.value}"
    page = get(guarded.url, Cookie=cookie)
    assert page.code == 200
    assert b"balancecore live" in page.body
    assert get(guarded.url + "static/js/bokeh.min.js", Cookie=cookie).code == 200
    assert get(guarded.url, Cookie=f"{morsel.key}={morsel.value[:-1]}0").code == 403


def test_the_page_holds_neither_token_nor_cookie(guarded):
    _, morsel = let_in(guarded)
    page = get(guarded.url, Cookie=f"{morsel.key}={morsel.value}")
    inside = session_token(page).split(".")[0]
    payload = json.loads(base64.urlsafe_b64decode(inside + "=" * (-len(inside) % 4)))
    packed = payload.get("__bk__zlib_", "")
    text = page.body + zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    assert b"headers" in text
    assert TOKEN.encode() not in text
    assert morsel.value.encode() not in text


def test_the_websocket_needs_the_cookie_too(guarded):
    _, morsel = let_in(guarded)
    cookie = f"{morsel.key}={morsel.value}"
    token = session_token(get(guarded.url, Cookie=cookie))
    assert handshake(guarded.url, token) == 403
    assert handshake(guarded.url, token, Cookie=cookie[:-1] + "x") == 403
    assert handshake(guarded.url, token, Cookie=cookie) == 101


@pytest.mark.parametrize(
    "origin",
    ["http://example.com", "null", "https://{here}", "http://localhost:1", "http://{here}.example.com"],
)
def test_a_page_of_another_site_gets_no_websocket(feeder, origin):
    token = session_token(get(feeder.url))
    assert handshake(feeder.url, token, Origin=origin.format(here=urlsplit(feeder.url).netloc)) == 403
    assert handshake(feeder.url, token) == 101


@pytest.mark.parametrize("host", ["example.com", "example.com:{port}", "127.0.0.1", "192.0.2.7:{port}", ""])
def test_a_name_that_was_made_to_lead_here_is_not_served(feeder, host):
    port = urlsplit(feeder.url).port
    answer = get(feeder.url, Host=host.format(port=port))
    assert answer.code in (400, 421)
    assert b"script" not in answer.body


def test_the_names_of_this_computer_are_served(feeder):
    port = urlsplit(feeder.url).port
    assert get(feeder.url, Host=f"localhost:{port}").code == 200


@pytest.mark.parametrize(
    ("port", "host", "codes"),
    [
        (80, "127.0.0.1", (200, 101)),
        (80, "127.0.0.1:80", (200, 101)),
        (80, "localhost", (200, 101)),
        (80, "[::1]", (200, 101)),
        (80, "example.com", (421, 421)),
        (80, "127.0.0.1:81", (421, 421)),
        (5006, "127.0.0.1", (421, 421)),
    ],
)
def test_browsers_leave_out_the_port_where_it_is_the_usual_one(port, host, codes):
    """The site of a port, behind another that anybody may open."""

    async def scenario():
        site = Site(lambda doc: None, address="127.0.0.1", port=port, token="")
        http = HTTPServer(site)
        sockets = bind_sockets(0, "127.0.0.1")
        http.add_sockets(sockets)
        server = BaseServer(IOLoop.current(), site, http)
        server.start()
        try:
            url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/"
            page = await fetch(url, Host=host)
            token = session_token(page) if page.code == 200 else ""
            words = {"Host": host, "Origin": f"http://{host}"}
            return page.code, await asyncio.to_thread(handshake, url, token, **words)
        finally:
            server.stop()
            http.stop()

    assert asyncio.run(scenario()) == codes


def test_only_what_the_page_needs_is_there(feeder):
    codes = {path: get(feeder.url + path).code for path in ENDPOINTS}
    assert {path for path, code in codes.items() if code == 200} == {
        "",
        "static/js/bokeh.min.js",
        "page/page.js",
        "page/page.css",
    }
    assert codes["ws"] == 400  # no upgrade was asked for
    assert get(feeder.url + "static/js/../../../settings.py").code == 404
    assert get(feeder.url + "page/page.html").code == 404


def test_a_session_that_the_page_did_not_give_is_none(feeder):
    """A link can't choose the session, and so not share one."""
    assert get(feeder.url + "?bokeh-session-id=mine").code == 403


def test_the_policy_lets_a_browser_load_nothing_from_elsewhere(feeder):
    page = get(feeder.url)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    (scripts,) = re.findall(r"script-src ([^;]*)", policy)
    assert "unsafe" not in scripts
    assert scripts != re.findall(r"script-src ([^;]*)", get(feeder.url).headers["Content-Security-Policy"])[0]
    assert b"https://" not in page.body
    assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_settings_of_bokeh_in_the_environment_change_nothing(guarded):
    """The fixture has set some: scripts from elsewhere, another site's websocket, sessions of anybody."""
    _, morsel = let_in(guarded)
    cookie = f"{morsel.key}={morsel.value}"
    page = get(guarded.url, Cookie=cookie)
    assert b"cdn" not in page.body
    assert handshake(guarded.url, session_token(page), Origin="http://example.com", Cookie=cookie) == 403
    assert get(guarded.url + "?bokeh-session-id=mine", Cookie=cookie).code == 403


def test_an_address_for_others_without_a_token_is_not_served():
    with feeding("--address", "0.0.0.0") as feeder:
        assert feeder.url is None
        status, error = feeder.close()
    assert status == 1
    assert error.startswith("live page: ")
    assert "token" in error


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "192.0.2.1"])
def test_what_others_can_reach_needs_a_token(address):
    assert not is_loopback(address)
    with pytest.raises(DataError, match="needs a token"):
        check_access(address, "")
    check_access(address, TOKEN)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_this_computer_alone_needs_none(address):
    assert is_loopback(address)
    check_access(address, "")
    with pytest.raises(DataError, match="5 characters, where 16"):
        check_access(address, "short")


def test_all_addresses_are_served_by_number_and_not_by_any_name_until_the_input_ends():
    with feeding("--address", "0.0.0.0", token=TOKEN) as feeder:
        port = urlsplit(feeder.url).port
        here = f"http://127.0.0.1:{port}/?token={TOKEN}"
        assert get(here).code == 200
        assert get(here, Host=f"example.com:{port}").code == 421
        feeder.update(**READY | {"state": "ended"})
        assert feeder.close() == (0, "")
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_both_families_of_addresses_are_served_where_all_are_asked_for():
    """The address that is told is one of IPv4."""
    with feeding("--address", "::", token=TOKEN) as feeder:
        port = urlsplit(feeder.url).port
        hosts = [urlsplit(feeder.url).netloc, f"127.0.0.1:{port}"]
        if has_ipv6():
            hosts.append(f"[::1]:{port}")
        assert [get(f"http://{host}/?token={TOKEN}").code for host in hosts] == [200] * len(hosts)


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_a_port_that_is_taken_is_said(feeder):
    port = urlsplit(feeder.url).port
    with feeding("--port", str(port)) as second:
        status, error = second.close()
    assert status == 1
    assert f"127.0.0.1, port {port}: " in error


# What a browser gets.


def test_a_late_browser_gets_what_is_now(feeder):
    async def scenario():
        for k in range(40):
            feeder.update(**READY | {"frames": 100 * k}, trace=trace(20 * k, 20), steps=[step(k)])
        async with Client(feeder.url) as client:
            state = client.first
            if state["frames"] != 3900:
                state = await client.until(lambda state: state["frames"] == 3900)
            assert state["last"]["R"]["number"] == 39
            assert json.loads(client.attributes["settings"])["plates"] == ["left", "right"]

    asyncio.run(scenario())


def test_all_browsers_see_the_same_and_any_may_press(feeder):
    async def scenario():
        async with Client(feeder.url) as one, Client(feeder.url) as other:
            feeder.update(**READY | {"message": "seen by all"})
            for client in (one, other):
                await client.until(lambda state: state["message"] == "seen by all")
            before = len(feeder.asked)
            await other.press(do="start")
            while len(feeder.asked) == before:
                await asyncio.sleep(0.02)
            assert feeder.asked[before:] == [{"do": "start"}]

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_only_what_a_button_can_say_reaches_the_capture(feeder):
    async def scenario():
        before = len(feeder.asked)
        async with Client(feeder.url) as client:
            for words in (
                '{"do": "off"}',
                "[]",
                "no JSON",
                '{"text": "x"}',
                '{"do": ["start"]}',
                "null",
                "3",
            ):
                await client.change("pressed", words)
            await client.press(do="marker", text="a\x1b[2J" + "é" * 500, more="x")
            while len(feeder.asked) == before:
                await asyncio.sleep(0.02)
        (asked,) = feeder.asked[before:]
        assert asked.keys() == {"do", "text"}
        assert asked["text"].startswith("a\\x1b[2Jé")
        assert len(asked["text"]) == 200

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_browser_that_does_not_read_is_sent_no_more_and_disturbs_nobody(feeder):
    """It has a few updates on the way; then nothing more, until it says that it has seen them."""

    def flood(n):
        for k in range(n):
            feeder.update(**READY | {"frames": k}, trace=trace(20 * k, 20))

    async def scenario(slow, quick):
        await asyncio.to_thread(flood, 300)
        await quick.until(lambda state: state["frames"] == 299)
        before = memory_mb(feeder.process.pid)
        while len(quick.updates) < 6 * MOST_UNDERWAY:
            await asyncio.to_thread(flood, 1000)
            await quick.until(lambda state: state["frames"] == 999)
        assert memory_mb(feeder.process.pid) - before < BREATH_MB
        waiting = []
        while not waiting or waiting[-1]["update"] < MOST_UNDERWAY:
            waiting.append(await slow.update(acknowledge=False))
        # Nothing more comes before the answer, and then the newest of all.
        feeder.update(**READY | {"message": "the newest"})
        await quick.until(lambda state: state["message"] == "the newest")
        await slow.seen(waiting[-1])
        assert (await slow.update())["message"] == "the newest"

    async def run():
        async with Client(feeder.url) as slow, Client(feeder.url) as quick:
            await scenario(slow, quick)

    asyncio.run(run())


def test_browsers_that_are_gone_are_forgotten():
    """Else a page that is loaded again and again would be full at last: here it is, more often than it has room."""

    async def scenario(url):
        answers = [await fetch(url) for _ in range(MOST_BROWSERS + 5)]
        assert answers[-1].code == 503
        assert int(answers[-1].headers["Refresh"]) > 0  # the browser comes back by itself
        while (await fetch(url)).code != 200:
            await asyncio.sleep(0.5)

    with feeding() as feeder:  # of its own, since it leaves no room for the browsers of other tests
        feeder.update(**READY)
        asyncio.run(asyncio.wait_for(scenario(feeder.url), 60))


PICTURE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def test_pictures_of_another_site_take_up_no_room(feeder):
    """They come without an Origin, and any site could ask for more than there is room for."""

    async def scenario():
        codes = [(await fetch(feeder.url, **PICTURE)).code for _ in range(MOST_BROWSERS + 5)]
        assert set(codes) == {403}
        return (await fetch(feeder.url, **{"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"})).code

    assert asyncio.run(scenario()) == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (LINK, 200),
        (LINK | {"Sec-Fetch-Site": "same-origin"}, 200),
        (LINK | {"Sec-Purpose": "prefetch;prerender"}, 403),
        (LINK | {"Sec-Fetch-Dest": "iframe"}, 403),
        (PICTURE | {"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_another_site_may_lead_here_by_a_link_and_by_nothing_else(feeder, headers, code):
    assert get(feeder.url, **headers).code == code


def memory_mb(pid):
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        pytest.skip("this system doesn't tell how much memory a process takes")
    return int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) / 1024.0
