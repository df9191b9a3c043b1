"""Is the API reached over TLS alone?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from maestro_cli.api import Context, Evidence, Finding, Unreachable, check, failed, passed, warned
from maestro_cli.observe.http_connection import API
from maestro_cli.observe.wire import Target, connected

YEAR_S, HALF_YEAR_S = 31_536_000, 15_768_000
"""A year is what ASVS asks for, half a year the least that MDN's observatory passes."""


@check(
    "readiness.https",
    component="security",
    priority="high",
    requests=3,
    faults=("header-missing-hsts", "header-short-hsts", "api-over-http", "http-answered-in-the-clear"),
)
def https(ctx: Context) -> Iterator[Finding]:
    """The API speaks HTTPS, and nothing else.

    Why: one request in the clear shows a token to everybody on the way; HSTS keeps browsers from sending it.
    Fails when: api.url is http://, the API's port (or port 80 beside 443) answers plain HTTP with content, or its answers
    lack Strict-Transport-Security of half a year or more (below a year it warns).
    Fix: `maestro serve https`; close plain HTTP or redirect it; send `Strict-Transport-Security: max-age=31536000`.
    Source: OWASP ASVS 5.0 12.2.1 and 3.4.1; RFC 6797 §6.1.1
    """
    api = ctx.require(ctx.settings.api, "api")
    parts = urlsplit(ctx.http.base)
    if parts.scheme != "https":
        yield failed(
            "The API is configured over http://, so everything is sent in the clear.",
            Evidence("api.url", "http", "https"),
        )
        return
    yield _hsts(ctx.http.get(api.health_path).header("strict-transport-security"))
    host, port = parts.hostname or "", parts.port or 443
    path = parts.path + api.health_path
    yield _in_the_clear(Target(API, host, port), path)
    if port == 443:
        yield _in_the_clear(Target(API, host, 80), path)


def _hsts(value: str | None) -> Finding:
    expected = f"max-age={YEAR_S} or more"
    found = re.search(r"(?:^|;)\s*max-age\s*=\s*\"?(\d{1,12})\"?\s*(?:;|$)", value or "", re.IGNORECASE)
    seen = Evidence("Strict-Transport-Security", value or "none", expected)
    if found is None:
        return failed("Answers lack Strict-Transport-Security.", seen)
    seconds = int(found[1])
    if seconds < HALF_YEAR_S:
        return failed(f"Strict-Transport-Security lasts for {seconds} s only.", seen)
    if seconds < YEAR_S:
        return warned(f"Strict-Transport-Security lasts for {seconds // 86_400} days, less than a year.", seen)
    return passed("Strict-Transport-Security lasts for a year or more.", seen)


def _in_the_clear(target: Target, path: str) -> Finding:
    """One plain request; whatever is not a 2xx with content, or a redirect to https, is a refusal."""
    name = f"http:// at port {target.port}"
    request = f"GET {path} HTTP/1.1\r\nHost: {target.host}\r\nUser-Agent: maestro\r\nConnection: close\r\n\r\n"
    try:
        with connected(target, timeout_s=3) as wire:
            wire.send(request.encode("ascii", "replace"))
            data = b""
            while b"\r\n\r\n" not in data and len(data) < 8_192:
                more = wire.receive(8_192 - len(data))
                if not more:
                    break
                data += more
    except Unreachable as error:
        return passed(
            f"Plain HTTP is refused at port {target.port}.", Evidence(name, error.reason.partition(" at ")[0])
        )
    status = re.match(rb"HTTP/1\.[01] (\d{3})", data)
    if status is None:
        return passed(f"Plain HTTP is refused at port {target.port}.", Evidence(name, "no HTTP answer"))
    location = re.search(rb"(?im)^location:[ \t]*(\S+)", data)
    where = location[1].decode("latin-1").lower() if location else ""
    seen = Evidence(name, status[1].decode(), "refused, or a redirect to https")
    if status[1].startswith(b"2") or (status[1].startswith(b"3") and where.startswith("http:")):
        return failed(f"Port {target.port} answers plain HTTP with {status[1].decode()}.", seen)
    return passed(f"Plain HTTP gets no content at port {target.port}.", seen)
