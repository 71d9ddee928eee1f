"""Who may see the live page: a Bokeh server behind one gate for every request, its own scripts included.

Before anything else looks at a request, its ``Host`` has to be an address that is served (so no other site's name can
be made to lead here), its ``Origin``, where there is one, this very page (and without one no other site asks),
and its cookie the one that only the token gives. Pages that are not needed are not there. Answers carry a policy that
lets a browser load nothing from elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable
from http import HTTPStatus
from importlib import resources
from typing import Any

from bokeh.document import Document
from bokeh.resources import Resources
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.server.views.static_handler import StaticHandler
from bokeh.settings import settings
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import OutputTransform, RequestHandler

from balancecore.errors import DataError
from balancecore.live.access import WILDCARDS, check_access, is_loopback

__all__ = ["NONCE", "Site", "serve"]

#: Stands in the page where the number has to be that its scripts are known by.
NONCE = "0123456789abcdefghijkl"
#: Browsers at once; more are turned away.
MOST_BROWSERS = 40
#: A browser that is gone is forgotten after so long, and one that answers no ping is gone, s.
FORGOTTEN_S, PING_S = 10, 20
#: A browser that was turned away asks again after so long, s.
AGAIN_S = 5
#: What a browser may send at once, bytes: it acknowledges and presses buttons.
MOST_BYTES = 64 * 1024
_ASSETS = {"page.css": "text/css", "page.js": "text/javascript"}
#: All that there is; the last is Bokeh's own script.
_PATHS = ("/", "/ws", *(f"/page/{name}" for name in _ASSETS), "/static/js/bokeh.min.js")


def serve(make: Callable[[Document], None], *, address: str, port: int, token: str) -> tuple[BaseServer, str]:
    """A server that listens already; run the loop to let it answer.

    Parameters
    ----------
    make : callable
        Fills in a new browser's document.
    address : str
        Of this computer: a name, an IP address, ``0.0.0.0`` for all of IPv4, or ``::`` for those of IPv6 too.
    port : int
        0: any that is free.
    token : str
        What a browser has to know; empty on loopback: nothing.

    Returns
    -------
    server : bokeh.server.server.BaseServer
    url : str
        Without the token.

    Raises
    ------
    DataError
        The address can't be used, or needs a token.
    """
    check_access(address, token)
    try:
        # Tornado makes "::" IPv6 alone; None is every address of both families, as the printed IPv4 one needs.
        sockets = bind_sockets(port, address=None if address in ("", "::") else address)
    except OSError as error:
        raise DataError(f"{address or 'all addresses'}, port {port}: {error.strerror or error}") from error
    bound = sockets[0].getsockname()[1]
    # Whatever the environment or a settings file says, scripts come from here.
    settings.resources = "server"
    site = Site(make, address=address, port=bound, token=token)
    http = HTTPServer(site)
    http.add_sockets(sockets)
    server = BaseServer(IOLoop.current(), site, http)
    server.start()
    return server, f"http://{_literal(_seen_as(address))}:{bound}/"


def _seen_as(address: str) -> str:
    """An address under which others find a wildcard: that of the way out of here. Nothing is sent."""
    if address not in WILDCARDS:
        return address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation, RFC 5737
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def _literal(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class Site(BokehTornado):
    """Bokeh's application at ``/``, with the gate before it."""

    def __init__(self, make: Callable[[Document], None], *, address: str, port: int, token: str) -> None:
        self._port = port
        self._any_address = address in WILDCARDS
        names = {address.lower()} | ({"localhost", "127.0.0.1", "::1"} if is_loopback(address) else set())
        if self._any_address:
            names = {"localhost", socket.gethostname().lower()}
        self._names = names
        # A digest, so that what a browser keeps is not what opens the door elsewhere; the same after a restart.
        self._cookie = f"balancecore_live_{port}"
        self._token = token.encode()
        self._pass = hmac.new(self._token, b"balancecore live page", hashlib.sha256).hexdigest()
        text = {
            name: resources.files("balancecore.live").joinpath("assets", name).read_text(encoding="utf-8")
            for name in _ASSETS
        }
        super().__init__(
            make,
            extra_websocket_origins=[f"{_literal(name)}:{port}" for name in names],
            extra_patterns=[(rf"/page/({'|'.join(_ASSETS)})", _Asset, {"text": text})],
            # Sessions only by way of the page, and nothing of a request in what the page holds.
            secret_key=secrets.token_bytes(32),
            sign_sessions=True,
            include_headers=[],
            include_cookies=[],
            use_index=False,
            ico_path="none",
            keep_alive_milliseconds=0,
            check_unused_sessions_milliseconds=2000,
            unused_session_lifetime_milliseconds=1000 * FORGOTTEN_S,
            websocket_max_message_size_bytes=MOST_BYTES,
            websocket_ping_interval=PING_S,
            websocket_ping_timeout=PING_S,
            transforms=[_Policy],
            # No list of requests in the terminal: refused ones would stand there with what they gave as a token.
            log_function=lambda handler: None,
        )

    def resources(self, absolute_url: str | bool | None = None) -> Resources:
        """Bokeh's scripts: those that the page needs, from this server."""
        return Resources(
            mode="server", root_url="/", components=["bokeh"], path_versioner=StaticHandler.append_version
        )

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Tornado asks here for every request, before anything of it is done."""
        refusal = self._refusal(request)
        if refusal is None:
            return super().find_handler(request, **kwargs)
        status, words, cookie = refusal
        told = {"status": status, "words": words, "cookie": cookie}
        return self.get_handler_delegate(request, _Gate, told)

    def _refusal(self, request: HTTPServerRequest) -> tuple[HTTPStatus, str, tuple[str, str] | None] | None:
        host = request.headers.get("Host", "").lower()
        if not self._is_here(host):
            return HTTPStatus.MISDIRECTED_REQUEST, "This address is not served here.", None
        if request.headers.get("Origin", f"http://{host}").lower() != f"http://{host}":
            return HTTPStatus.FORBIDDEN, "Requests of other sites are refused.", None
        if _is_of_another_site(request.headers):
            return HTTPStatus.FORBIDDEN, "Requests of other sites are refused.", None
        if request.method != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, "Pages can only be read.", None
        if self._token and not self._has_pass(request):
            if request.path == "/" and self._is_token(request.query_arguments.get("token", [b""])[0]):
                return HTTPStatus.OK, "", (self._cookie, self._pass)
            return (
                HTTPStatus.FORBIDDEN,
                "This page needs its token: open the whole address that balancecore live has printed.",
                None,
            )
        if request.path == "/" and len(self.get_sessions("/")) >= MOST_BROWSERS:
            return HTTPStatus.SERVICE_UNAVAILABLE, "Too many browsers look at this page.", None
        if request.path not in _PATHS:
            return HTTPStatus.NOT_FOUND, "There is no such page.", None
        return None

    def _is_here(self, host: str) -> bool:
        if self._port == 80 and not host.endswith(":80"):
            host += ":80"  # which browsers leave out
        name, _, port = host.rpartition(":")
        name = name.removeprefix("[").removesuffix("]")
        if port != str(self._port) or host != f"{_literal(name)}:{port}":
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        # A number can't be made to lead elsewhere, as a name can.
        return self._any_address

    def _is_token(self, given: bytes) -> bool:
        return hmac.compare_digest(given, self._token)

    def _has_pass(self, request: HTTPServerRequest) -> bool:
        morsel = request.cookies.get(self._cookie)
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self._pass.encode())


def _is_of_another_site(headers: HTTPHeaders) -> bool:
    """Whether a browser says that another site's page asks by itself, as for a picture: each would take up a session.

    A link that somebody follows is a document; one that is only fetched in advance has a purpose.
    """
    if "Origin" in headers:  # compared already
        return False
    is_followed = headers.get("Sec-Fetch-Dest") == "document" and "Sec-Purpose" not in headers
    return headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none") and not is_followed


class _Gate(RequestHandler):
    """Says why not; or, where the token was right, lets in."""

    def initialize(self, status: HTTPStatus, words: str, cookie: tuple[str, str] | None) -> None:
        self._status, self._words, self._given = status, words, cookie

    def prepare(self) -> None:
        self.set_status(self._status)
        if self._given is None:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            if self._status == HTTPStatus.SERVICE_UNAVAILABLE:
                self.set_header("Refresh", str(AGAIN_S))  # browsers ask again by themselves
            self.finish(self._words + "\n")
            return
        # A page that leads on, not a redirect: browsers send no strict cookie along a redirect from another site.
        self.set_cookie(*self._given, path="/", httponly=True, samesite="Strict")
        self.finish('<!DOCTYPE html><meta http-equiv="refresh" content="0;url=/"><title>balancecore</title>')


class _Asset(RequestHandler):
    """Style and script of the page."""

    def initialize(self, text: dict[str, str]) -> None:
        self._text = text

    def get(self, name: str) -> None:
        self.set_header("Content-Type", f"{_ASSETS[name]}; charset=utf-8")
        self.finish(self._text[name])


class _Policy(OutputTransform):
    """Headers of every answer, and the page's scripts known by a number that is new each time."""

    def __init__(self, request: HTTPServerRequest) -> None:
        super().__init__(request)
        self._host = request.headers.get("Host", "")
        self._versioned = request.path.startswith("/static/")

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        nonce = secrets.token_urlsafe(len(NONCE))[: len(NONCE)]
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if not self._versioned:
            headers["Cache-Control"] = "no-store"
        if status_code == HTTPStatus.OK:
            headers["Content-Security-Policy"] = (
                f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
                f"img-src data: blob:; connect-src 'self' ws://{self._host}; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
            if headers.get("Content-Type", "").startswith("text/html"):
                chunk = chunk.replace(NONCE.encode(), nonce.encode())
        return status_code, headers, chunk
