"""How much one client may ask: requests per minute, bytes per request, and no TRACE."""

from __future__ import annotations

import ipaddress
import logging
import math

import redis
from anyio import to_thread
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import careless, faults, redis_store
from service.settings import Settings

_log = logging.getLogger("service.limits")
DRAINED = 8
"""A body up to this many times the limit is read to its end and thrown away, so that its sender gets to see the 413."""
REFUSED_METHODS = frozenset({"TRACE", "TRACK", "CONNECT"})


def client_address(scope: Scope, settings: Settings) -> str:
    """Who asks: the peer of the connection.

    X-Forwarded-For counts only where that peer is a configured proxy, and then from its right end: what stands left of
    the first stranger was written by the stranger.
    """
    peer = str((scope.get("client") or ("unknown",))[0])
    headers = dict(scope["headers"])
    if faults.ACTIVE and (claimed := careless.forwarded_client(headers)):
        return claimed
    hops = [hop.strip() for hop in headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")]
    while hops and _trusted(peer, settings):
        hop = hops.pop()
        if not _is_address(hop):
            break
        peer = hop
    return peer


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _trusted(peer: str, settings: Settings) -> bool:
    return _is_address(peer) and any(ipaddress.ip_address(peer) in network for network in settings.trusted_proxies)


class RateLimit:
    """Counts the requests of a client to each endpoint, whatever their outcome, and answers 429 above the limit.

    Where Redis is down, requests pass: nothing that needs a login works then anyway, and /health has to say so.
    """

    def __init__(self, app: ASGIApp, settings: Settings, routes: list[BaseRoute]) -> None:
        self.app = app
        self.settings = settings
        self.routes = routes
        self.limit = settings.rate_limit
        if faults.on("rate-limit-high"):
            self.limit *= 10
        if faults.on("rate-limit-low"):
            self.limit //= 2

    def _bucket(self, scope: Scope) -> str:
        """The endpoint's path template: ids in the path don't give fresh buckets, unknown paths share one."""
        for route in self.routes:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return f"{scope['method']} {getattr(route, 'path', 'other')}"
        return "other"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or faults.on("rate-limit-off"):
            await self.app(scope, receive, send)
            return
        client = client_address(scope, self.settings)
        try:
            count, seconds = await to_thread.run_sync(redis_store.count_request, client, self._bucket(scope))
        except redis.RedisError:
            _log.warning("no rate limit: Redis does not answer")
            await self.app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-RateLimit-Limit"] = str(self.limit)
                headers["X-RateLimit-Remaining"] = str(max(0, self.limit - count))
                headers["X-RateLimit-Reset"] = str(math.ceil(seconds))
            await send(message)

        if count > self.limit:
            await self._refusal(seconds)(scope, receive, counted)
        else:
            await self.app(scope, receive, counted)

    @staticmethod
    def _refusal(seconds: float) -> Response:
        # RFC 6585, section 4. Rounded up: a client that comes back on time must find a new window.
        wait = {} if faults.on("rate-limit-no-retry-after") else {"Retry-After": str(max(1, math.ceil(seconds)))}
        return JSONResponse({"detail": "too many requests"}, 429, wait)


class RequestLimits:
    """Refuses methods that only mirror the request, and bodies that are too large."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.maximum = settings.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "TRACE" and faults.on("trace-echo"):
            echo = b"".join(name + b": " + value + b"\r\n" for name, value in scope["headers"])
            await Response(b"TRACE / HTTP/1.1\r\n" + echo, media_type="message/http")(scope, receive, send)
            return
        if scope["method"] in REFUSED_METHODS:
            await PlainTextResponse("method not allowed", 405, {"Allow": "GET, POST, PATCH, DELETE"})(
                scope, receive, send
            )
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:20]) > self.maximum:
            await _read(receive, self.maximum * DRAINED, keep=False)
            await self._too_large(scope, receive, send)
        elif b"transfer-encoding" in headers:
            await self._streamed(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _streamed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a body of undeclared length before the rest does: it may not go on for ever."""
        whole = await _read(receive, self.maximum)
        if whole is None:
            await _read(receive, self.maximum * DRAINED, keep=False)
            await self._too_large(scope, receive, send)
            return
        body: Message | None = {"type": "http.request", "body": whole, "more_body": False}

        async def replay() -> Message:
            nonlocal body
            given, body = body, None
            return given if given is not None else await receive()

        await self.app(scope, replay, send)

    @staticmethod
    async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"detail": "the body is too large"}, 413, {"Connection": "close"})(scope, receive, send)


async def _read(receive: Receive, maximum: int, *, keep: bool = True) -> bytes | None:
    """The rest of the body; None where it is longer than `maximum` bytes or the client has gone."""
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or size > maximum:
            return None
        if keep:
            pieces.append(message["body"])
        more = message.get("more_body", False)
    return b"".join(pieces)
