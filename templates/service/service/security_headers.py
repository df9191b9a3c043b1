"""The headers that every answer carries, errors included (OWASP Secure Headers, MDN HTTP Observatory)."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import faults

HEADERS = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
DOCS_CSP = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data: https://fastapi.tiangolo.com; "
    "script-src 'unsafe-inline' https://cdn.jsdelivr.net; style-src https://cdn.jsdelivr.net; frame-ancestors 'none'"
)
"""For the interactive documentation alone, which production does not serve."""
_MISSING = {
    "header-missing-hsts": "Strict-Transport-Security",
    "header-missing-nosniff": "X-Content-Type-Options",
    "header-missing-csp": "Content-Security-Policy",
    "header-missing-referrer-policy": "Referrer-Policy",
    "header-missing-frame-options": "X-Frame-Options",
    "header-missing-cache-control": "Cache-Control",
    "header-missing-corp": "Cross-Origin-Resource-Policy",
}


def _headers(status: int, *, docs: bool) -> dict[str, str]:
    headers = HEADERS | ({"Content-Security-Policy": DOCS_CSP} if docs else {})
    if not faults.ACTIVE:
        return headers
    if status in {401, 404, 500} and faults.on(f"headers-missing-on-{status}"):
        return {}
    if faults.on("header-short-hsts"):
        headers["Strict-Transport-Security"] = "max-age=300"
    if faults.on("header-weak-csp"):
        headers["Content-Security-Policy"] = "default-src * 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'none'"
    if faults.on("header-missing-frame-options"):
        headers["Content-Security-Policy"] = headers["Content-Security-Policy"].replace("; frame-ancestors 'none'", "")
    if faults.on("server-banner"):
        headers["Server"] = "uvicorn/0.30.1 Python/3.11.4"
    absent = {header for fault, header in _MISSING.items() if faults.on(fault)}
    return {name: value for name, value in headers.items() if name not in absent}


class SecurityHeaders:
    """Adds them to whatever the rest answers.

    Args:
        app: The rest.
        docs_path: Where the interactive documentation is served; None where it isn't.
    """

    def __init__(self, app: ASGIApp, docs_path: str | None) -> None:
        self.app = app
        self.docs_path = docs_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _headers(message["status"], docs=scope["path"] == self.docs_path).items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, dressed)
