"""A service asked to end while a request is under way: what becomes of it, of new ones, and of the process."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from maestro_cli.observe.endpoint import fill, fill_path
from maestro_cli.observe.errors import ControlFailed
from maestro_cli.observe.login import DEFAULT_BODY
from maestro_cli.observe.own_service import LOOPBACK, OwnService

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Endpoint
    from maestro_cli.observe.context import Context

UNDER_WAY_S = 0.25
"""Whoever answers a request within this time without its body has not waited for it."""
ANSWER_S = 10.0


@dataclass(frozen=True)
class Ending:
    """What was seen.

    Attributes:
        answered: The status of the request that had begun; None where the connection ended without one.
        refused_s: Seconds after SIGTERM until a new request was refused; None where none was.
        ended_s: Seconds after SIGTERM until the process ended; None where it did not.
        code: Its exit code, negative for a signal.
    """

    answered: int | None
    refused_s: float | None
    ended_s: float | None
    code: int | None

    @property
    def dropped(self) -> bool:
        """Whether who had begun the request did not get what they would have got."""
        return self.answered is None or self.answered >= 500


def request_of(ctx: Context) -> tuple[Endpoint, Mapping[str, str], bool]:
    """The request that is under way: the configured one, or the login of a user that does not exist.

    Returns:
        The endpoint, what stands for its placeholders, and whether it is the login.

    Raises:
        NotConfigured: Where there is neither.
    """
    own = ctx.require(ctx.settings.readiness.shutdown, "readiness.shutdown").request
    stranger = f"maestro-probe-{ctx.nonce}"
    if own is not None:
        return own, {"nonce": ctx.nonce}, False
    api = ctx.require(ctx.settings.api, "api")
    login = api.auth.login if api.auth is not None else None
    endpoint = ctx.require(login, "readiness.shutdown.request (or api.auth.login)")
    known = api.auth.accounts[0].username if api.auth is not None and api.auth.accounts else ""
    domain = known.rpartition("@")[2] if "@" in known else ""
    return endpoint, {"username": f"{stranger}@{domain}" if domain else stranger, "password": stranger}, True


def observe_ending(ctx: Context, service: OwnService, *, within_s: float) -> Ending:
    """Begin a request, ask the service to end, finish the request.

    Raises:
        ControlFailed: When it answers the request before its body is whole, so that it is not under way.
    """
    head, body = _request(ctx)
    half = len(body) // 2
    with socket.create_connection((LOOPBACK, service.port), timeout=ANSWER_S) as begun:
        begun.sendall(head + body[:half])
        if select.select([begun], [], [], UNDER_WAY_S)[0]:
            line = begun.recv(100).split(b"\r\n")[0].decode("latin-1", "replace")
            raise ControlFailed(
                f"the request is answered before its body is whole ({line or 'the connection is closed'})",
                hint="Name one that reads its body in readiness.shutdown.request.",
            )
        service.terminate()
        asked = time.monotonic()
        refused = _refused(ctx, service, asked, min(2.0, within_s / 2))
        answered = _finish(begun, body[half:])
    code = service.wait(within_s - (time.monotonic() - asked))
    ended = None if code is None else time.monotonic() - asked
    return Ending(answered, refused, ended, code)


def see_it_answer(ctx: Context, service: OwnService) -> None:
    """The control of a request that was dropped: one that nobody disturbs is answered.

    Raises:
        ControlFailed: When it is not, either.
    """
    head, body = _request(ctx)
    with socket.create_connection((LOOPBACK, service.port), timeout=ANSWER_S) as whole:
        usual = _finish(whole, head + body)
    if usual is None or usual >= 500:
        raise ControlFailed(
            f"the service is not well: {'no answer' if usual is None else usual} to the request, also where it is not asked to end"
        )


def _request(ctx: Context) -> tuple[bytes, bytes]:
    endpoint, values, login = request_of(ctx)
    template = endpoint.body if endpoint.body is not None else (DEFAULT_BODY if login else {"nonce": "{nonce}"})
    filled = fill(template, values)
    if endpoint.encoding == "form":
        body = urlencode({name: str(value) for name, value in filled.items()}).encode()
        kind = "application/x-www-form-urlencoded"
    else:
        body, kind = json.dumps(filled).encode(), "application/json"
    api = ctx.require(ctx.settings.api, "api")
    parts = urlsplit(api.url or "http://localhost")
    headers = {
        "Host": parts.netloc or "localhost",
        "User-Agent": "maestro-probe",
        "X-Forwarded-Proto": parts.scheme or "http",
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        **fill(endpoint.headers or {}, values),
    }
    line = f"{(endpoint.method or 'POST').upper()} {fill_path(endpoint.path, values)} HTTP/1.1\r\n"
    return (line + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode("latin-1"), body


def _refused(ctx: Context, service: OwnService, asked: float, within_s: float) -> float | None:
    """When the first new request after SIGTERM was refused: no connection, no answer, or a 503."""
    api = ctx.require(ctx.settings.api, "api")
    host = urlsplit(api.url or "http://localhost").netloc or "localhost"
    request = f"GET {api.health_path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1")
    while time.monotonic() < asked + within_s:
        try:
            with socket.create_connection((LOOPBACK, service.port), timeout=within_s) as fresh:
                fresh.sendall(request)
                if fresh.recv(12)[9:12] in (b"", b"503"):
                    return time.monotonic() - asked
        except OSError:
            return time.monotonic() - asked
        time.sleep(0.05)
    return None


def _finish(begun: socket.socket, rest: bytes) -> int | None:
    """Send what is left of the body; the status of the answer, or None where none comes."""
    data = b""
    try:
        begun.sendall(rest)
        while b"\r\n" not in data and (piece := begun.recv(4096)):
            data += piece
    except OSError:
        return None
    word = data.split(b"\r\n")[0].split(b" ")[1:2]
    return int(word[0]) if data.startswith(b"HTTP/") and word and word[0].isdigit() else None
