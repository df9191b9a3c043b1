"""`http:` one request to any address, and its answer's status, headers, body and time."""

from __future__ import annotations

import base64
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

from maestro_cli.api import Context, Finding, Unreachable
from maestro_cli.config.declared import HttpSubject
from maestro_cli.declared import Stop
from maestro_cli.declared.judgement import Judgement
from maestro_cli.observe.http_connection import explain

MAXIMUM_BODY = 1_000_000
"""Bytes of an answer that are read."""
MAXIMUM_REDIRECTS = 5


def observe(subject: HttpSubject, ctx: Context, _stop: Stop) -> Finding:
    """Send the request and compare."""
    started = time.perf_counter()
    status, headers, body = _fetch(subject, ctx, started + subject.timeout_s)
    elapsed = time.perf_counter() - started
    judgement = Judgement()
    judgement.expect("status", status, subject.status)
    for name, expected in (subject.headers or {}).items():
        judgement.expect(f"header {name}", headers.get(name.lower()), expected)
    text = body.decode("utf-8", "replace")
    judgement.expect("body", text, subject.body)
    if subject.json is not None:
        judgement.expect("body", text, {"gjson": subject.json})
    judgement.took(elapsed, subject)
    return judgement.finding(f"{subject.method} {subject.url} answers {status}")


def _fetch(subject: HttpSubject, ctx: Context, deadline: float) -> tuple[int, dict[str, str], bytes]:
    url, sent = subject.url, _headers(subject)
    for _ in range(MAXIMUM_REDIRECTS + 1):
        status, headers, body = _request(subject, ctx, url, sent, deadline)
        target = headers.get("location")
        if not subject.follow_redirects or status not in (301, 302, 303, 307, 308) or target is None:
            return status, headers, body
        following = urljoin(url, target)
        if urlsplit(following).scheme not in ("http", "https"):
            return status, headers, body
        if urlsplit(following)[:2] != urlsplit(url)[:2]:
            sent.pop("Authorization", None)  # credentials are for the origin they were given for
        url = following
    raise Unreachable(_origin(url), f"more than {MAXIMUM_REDIRECTS} redirects")


def _headers(subject: HttpSubject) -> dict[str, str]:
    from maestro_cli._version import __version__

    sent = {"User-Agent": f"maestro/{__version__}", **(subject.request_headers or {})}
    if subject.username is not None:
        password = subject.password.reveal() if subject.password is not None else ""
        token = base64.b64encode(f"{subject.username}:{password}".encode()).decode()
        sent["Authorization"] = f"Basic {token}"
    return sent


def _request(
    subject: HttpSubject, ctx: Context, url: str, headers: dict[str, str], deadline: float
) -> tuple[int, dict[str, str], bytes]:
    from urllib3 import PoolManager, Timeout
    from urllib3.exceptions import HTTPError

    left = max(0.01, deadline - time.perf_counter())
    options: dict[str, Any] = {"ssl_context": _tls(subject, ctx)} if url.startswith("https://") else {}
    try:
        with PoolManager(**options) as pool:
            response = pool.request(
                subject.method,
                url,
                body=None if subject.request_body is None else subject.request_body.encode(),
                headers=headers,
                redirect=False,
                retries=False,
                timeout=Timeout(total=left),
                preload_content=False,
            )
            try:
                body = _read(response, deadline)
            finally:
                response.close()
    except (HTTPError, OSError) as error:
        raise Unreachable(_origin(url), explain(error)) from None
    # Repeated headers stand together, as RFC 9110 §5.3 reads them.
    return response.status, {name.lower(): ", ".join(response.headers.getlist(name)) for name in response.headers}, body


def _read(response: Any, deadline: float) -> bytes:
    data = b""
    while len(data) < MAXIMUM_BODY and (chunk := response.read(65_536)):
        data += chunk
        if time.perf_counter() > deadline:
            raise TimeoutError
    return data[:MAXIMUM_BODY]


def _tls(subject: HttpSubject, ctx: Context) -> Any:
    import ssl

    api = ctx.settings.api
    ca_file = subject.ca_file or (api.ca_file if api is not None else None)
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ctx.path(ca_file)))
    except (OSError, ssl.SSLError) as error:
        raise Unreachable(_origin(subject.url), f"{ca_file} cannot be read: {error.strerror or error}") from None
    if subject.ca_file is None and ca_file is not None:
        context.load_default_certs()  # the API's own CA beside the system's: the address may be anybody's
    if not subject.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _origin(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
