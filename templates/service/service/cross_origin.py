"""Which web pages may call the API: exactly the configured origins (OWASP ASVS 5.0, 3.4.2)."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Send

from service import careless, faults

METHODS = ("GET", "POST", "PATCH", "DELETE")
REQUEST_HEADERS = ("Authorization", "Content-Type")
EXPOSED = ("Retry-After", "X-Request-ID", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


class CrossOrigin(CORSMiddleware):
    """Starlette's middleware, which compares whole origins; a stranger is told nothing at all."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=origins[1:] if faults.on("cors-origin-missing") else origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            allow_credentials=True,  # the refresh token may come as a cookie
            expose_headers=EXPOSED,
            max_age=600,
        )

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether this very origin is configured."""
        careless_yes = bool(faults.ACTIVE) and careless.origin_allowed(origin, list(self.allow_origins))
        return careless_yes or super().is_allowed_origin(origin)

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a preflight; without any CORS header for a stranger."""
        if faults.on("cors-preflight-refused") or not self.is_allowed_origin(request_headers["origin"]):
            return PlainTextResponse("origin not allowed", 400, {"Vary": "Origin"})
        return super().preflight_response(request_headers)

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        """Add the headers to an answer."""
        if message["type"] == "http.response.start" and not self.is_allowed_origin(request_headers.get("origin", "")):
            MutableHeaders(scope=message).add_vary_header("Origin")
            await send(message)
            return
        if message["type"] == "http.response.start" and faults.on("cors-wildcard"):
            MutableHeaders(scope=message).update(
                {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"}
            )
            await send(message)
            return
        await super().send(message, send, request_headers)
