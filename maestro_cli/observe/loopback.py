"""This machine's own addresses, and one of them for a run to send from."""

from __future__ import annotations

import socket
import sys
from functools import cache
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own, by all that it resolves to."""
    try:
        addresses = {str(item[4][0]) for item in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return False
    return bool(addresses) and all(address.startswith("127.") or address == "::1" for address in addresses)


@cache
def _listens_on_ipv4(host: str, port: int) -> bool:
    """Whether there is a 127.x.y.z to talk to; a service on ::1 alone cannot be reached from one."""
    try:
        address = socket.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)[0][4]
        socket.create_connection((str(address[0]), port), timeout=1).close()
    except OSError as error:
        return not isinstance(error, ConnectionRefusedError | socket.gaierror)
    return True


def loopback_source(url: str, nonce: str) -> str | None:
    """A 127.x.y.z address of the run's own to send from, where the API is on this machine.

    Rate limits count by the client's address, and Linux owns all of 127/8: so neither a run a minute ago nor a developer's
    browser has used up this run's window. None elsewhere: the window is then waited for.
    """
    parts = urlsplit(url)
    if sys.platform != "linux" or not is_loopback(parts.hostname or ""):
        return None
    if not _listens_on_ipv4(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)):
        return None
    number = int(nonce, 16)
    return f"127.{number % 200 + 20}.{number // 200 % 250 + 2}.{number // 50_000 % 250 + 2}"
