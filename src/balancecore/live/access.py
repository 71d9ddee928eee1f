"""From where the live page can be reached, and what that asks for."""

from __future__ import annotations

import ipaddress
import socket

from balancecore.errors import DataError

__all__ = ["LEAST_TOKEN", "WILDCARDS", "check_access", "is_loopback"]

#: Characters of a token.
LEAST_TOKEN = 16
#: All addresses of a computer.
WILDCARDS = ("", "0.0.0.0", "::")


def is_loopback(address: str) -> bool:
    """Whether nobody but this computer reaches an address.

    Parameters
    ----------
    address : str
        A name, an IP address, or one of `WILDCARDS`.

    Raises
    ------
    DataError
        There is no such address.
    """
    if address in WILDCARDS:
        return False
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DataError(f"address {address!r}: {error.strerror or error}") from error
    return all(ipaddress.ip_address(str(info[4][0])).is_loopback for info in found)


def check_access(address: str, token: str) -> None:
    """Whether an address may be served with a token, or, where that is empty, without one.

    Raises
    ------
    DataError
        Others can reach it and there is no token, the token is short, or there is no such address.
    """
    if not token and not is_loopback(address):
        raise DataError(f"address {address!r} can be reached by others, so the page needs a token")
    if token and len(token) < LEAST_TOKEN:
        raise DataError(f"a token of {len(token)} characters, where {LEAST_TOKEN} at least are wanted")
