"""The HTTP client of the probes: one configured origin, no redirects, bounded time and memory, a recognisable name."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from maestro_cli._version import __version__
from maestro_cli.errors import MaestroError
from maestro_cli.observe.errors import Unreachable
from maestro_cli.observe.http_connection import API, Connections, Opened, explain
from maestro_cli.observe.loopback import loopback_source
from maestro_cli.observe.patience import Patience, RateLimited, retry_after
from maestro_cli.records import record

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

TOTAL_S = 8.0
_SECRET = re.compile(r"key|token|secret|auth|cookie", re.IGNORECASE)
ATTEMPTS = 20
"""How often a request is sent that is answered 429."""
LEFT_OUT = "\0"
"""In place of a header's value; no header can have it."""
ROTATIONS = 12
"""How many further loopback addresses a run may use up."""


@record(frozen=True)
class Answer:
    """An HTTP answer. Header names are lower-case; `all_headers` keeps repeated ones."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_s: float
    truncated: bool = False
    all_headers: tuple[tuple[str, str], ...] = ()

    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def header(self, name: str) -> str | None:
        """A header's value, whatever the case of its name."""
        return self.headers.get(name.lower())

    def __str__(self) -> str:
        return f"{self.status}"


@dataclass
class Http:
    """Sends requests to the configured API and nowhere else.

    Attributes:
        base: api.url without a trailing slash.
        requests: How many were sent in this run.
        seen: The first answer of each status that a browser's page could get, its body left out, and what was asked.
        always: api.headers: they go with every request but a browser's preflight, which carries none of its page's.
    """

    base: str
    ca_file: str | None
    nonce: str
    source: str | None = None
    requests: int = 0
    window_s: float = 60.0
    patience: Patience = field(default_factory=Patience, repr=False)
    always: dict[str, str] = field(default_factory=dict, repr=False)
    seen: dict[int, tuple[str, Answer]] = field(default_factory=dict, repr=False)
    _rotations: int = field(default=0, repr=False)
    _answered: bool = field(default=False, repr=False)
    _sent: list[tuple[float, str]] = field(default_factory=list, repr=False)
    _dead: Unreachable | None = field(default=None, repr=False)
    _kept: dict[str | None, Connections] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def from_context(cls, ctx: Context) -> Http:
        """The client for api.url."""
        api = ctx.require(ctx.settings.api, "api")
        url = ctx.require(api.url, "api.url")
        ca_file = None if api.ca_file is None else str(ctx.path(api.ca_file))
        client = cls(url.rstrip("/"), ca_file, ctx.nonce, source=loopback_source(url, ctx.nonce))
        client.patience = ctx.patience
        client.always = usual_headers(ctx)
        if api.rate_limit is not None:
            client.window_s = api.rate_limit.window_seconds
        return client

    @property
    def prefix(self) -> str:
        """The path in api.url that all paths stand under; empty where there is none."""
        return urlsplit(self.base).path

    @property
    def user_agent(self) -> str:
        """How the service's log can tell a probe from a person."""
        return f"maestro/{__version__} (readiness probe {self.nonce})"

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> Answer:
        """GET a path."""
        return self.request("GET", path, headers=headers, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        json_body: Any = None,
        form: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        source: str | None = None,
        expect_limit: bool = False,
        from_root: bool = False,
    ) -> Answer:
        """Send one request.

        A 429 says nothing about what was asked. Unless the caller is after it, the request is sent again: from another
        loopback address where the API is on this machine, otherwise after the time that Retry-After names.

        Args:
            method: HTTP method.
            path: Path under the base, starting with a slash.
            headers: Extra headers; those that are LEFT_OUT are not sent, whoever else wants them sent.
            body: Raw body.
            json_body: Body to send as JSON.
            form: Body to send form-encoded.
            timeout_s: For the whole answer, in seconds; TOTAL_S where it is None.
            source: Local address to send from, where it is not the run's own.
            expect_limit: Return a 429 as it is.
            from_root: The path stands under the host's root and not under the path prefix of api.url.

        Raises:
            Unreachable: When no answer comes: refused, timed out, broken handshake, untrusted certificate.
            RateLimited: When a 429 is answered and its window is longer than the run may wait.
        """
        preflight = "Access-Control-Request-Method" in (headers or {})
        sent = {"User-Agent": self.user_agent, "Accept": "application/json, */*;q=0.5"}
        sent |= {} if preflight else self.always
        if json_body is not None:
            body, sent["Content-Type"] = json.dumps(json_body).encode(), "application/json"
        elif form is not None:
            body, sent["Content-Type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
        sent = overridden(sent, headers or {})
        if any(name.lower().startswith(("x-csrf", "x-xsrf")) for name in sent):
            sent.setdefault("Referer", f"{self.base}/")  # Django refuses a token over HTTPS that comes from nowhere
        if not path.startswith("/"):
            raise MaestroError(f"a probe's path must start with a slash, not {path[:20]!r}")
        timeout_s = TOTAL_S if timeout_s is None else timeout_s
        target = path if from_root else urlsplit(self.base).path + path
        if expect_limit or source is not None:
            return self._send(method, target, sent, body, timeout_s, source or self.source)
        rotated = 0
        for _ in range(ATTEMPTS):
            self.patience.hold()
            used = self.source
            answer = self._send(method, target, sent, body, timeout_s, used)
            if answer.status != 429:
                return answer
            if rotated < 3 and self._rotate(used):
                rotated += 1
                continue
            if rotated == 3:
                # The limit goes by account, or counts all of this machine: no other address helps.
                self._rotations = ROTATIONS
            self.patience.wait(retry_after(answer.header("retry-after"), default_s=self.window_s))
        raise RateLimited(f"the service's rate limit still answers 429 after {ATTEMPTS} attempts")

    def _rotate(self, used: str | None) -> bool:
        """Take the next loopback address; False where that is no way out.

        A limit that goes by account and not by address answers 429 there as well: then only waiting helps.
        """
        with self._lock:
            if used is None:
                return False
            if self.source != used:  # another thread has moved on already
                return True
            if self._rotations >= ROTATIONS:
                return False
            self._rotations += 1
            self.source = self.another_source(self._rotations)
            return True

    def another_source(self, number: int) -> str | None:
        """A further loopback address of this run's own; None where the API is not on this machine."""
        return loopback_source(self.base, f"{(int(self.nonce, 16) + number * 7919) % 16**12:012x}")

    def sent_lately(self, path: str | None, seconds: float) -> int:
        """How many requests this run has sent in the last `seconds`: to one path, or to any where it is None."""
        since = time.perf_counter() - seconds
        target = None if path is None else urlsplit(self.base).path + path
        with self._lock:
            return sum(when >= since and target in (None, sent) for when, sent in self._sent)

    def _send(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | None,
        timeout_s: float,
        source: str | None,
    ) -> Answer:
        from http.client import HTTPException

        with self._lock:
            if self._dead is not None and not self._answered:
                raise self._dead
            self.requests += 1
            self._sent.append((time.perf_counter(), target))
        started = time.perf_counter()
        deadline = started + timeout_s
        try:
            response = self._open(method, target, body, headers, timeout_s, source)
            content, truncated = response.read(deadline)
        except (HTTPException, OSError) as error:
            unreachable = Unreachable(API, f"{explain(error)} at {_authority(self.base)}")
            # A service that has never answered is not asked again: forty probes would hang one after another.
            self._dead = unreachable
            raise unreachable from None
        self._answered = True
        pairs = tuple((name.lower(), value) for name, value in response.headers)
        if method not in ("OPTIONS", "HEAD", "TRACE") and response.status not in self.seen:
            asked = f"{method} {target.partition('?')[0]}"
            self.seen[response.status] = asked, Answer(response.status, dict(pairs), b"", 0.0, all_headers=pairs)
        return Answer(response.status, dict(pairs), content, time.perf_counter() - started, truncated, pairs)

    def _open(
        self,
        method: str,
        target: str,
        body: bytes | None,
        headers: dict[str, str],
        timeout_s: float,
        source: str | None,
    ) -> Opened:
        """Send it, and once more over a new connection where the server had closed the kept one meanwhile.

        It may do that at any time (RFC 9112 §9.5), and servers do so after an internal error. A busy one closes all that
        are kept at once, and resets what comes in just then.
        """
        connections = self._connections(source)
        try:
            return connections.send(method, target, body, headers, timeout_s)
        except (ConnectionResetError, BrokenPipeError):  # `http.client.RemoteDisconnected` is one of the former
            if not self._answered:
                raise
            return connections.send(method, target, body, headers, timeout_s, new=True)

    def _connections(self, source: str | None) -> Connections:
        with self._lock:
            if source not in self._kept:
                self._kept[source] = Connections(self.base, self.ca_file, source)
            return self._kept[source]

    def close(self) -> None:
        """Close every connection."""
        for connections in self._kept.values():
            connections.close()


def usual_headers(ctx: Context) -> dict[str, str]:
    """api.headers as far as they are known before anybody has logged in. The redactor is told of keys among them."""
    api = ctx.require(ctx.settings.api, "api")
    tenant = api.auth.accounts[0].tenant if api.auth is not None and api.auth.accounts else None
    found = {
        name: value if tenant is None else value.replace("{tenant}", tenant)
        for name, value in (api.headers or {}).items()
        if tenant is not None or "{tenant}" not in value
    }
    ctx.redact.add([value for name, value in found.items() if _SECRET.search(name)])
    return found


def overridden(headers: Mapping[str, str], further: Mapping[str, str]) -> dict[str, str]:
    """The further headers added, in place of those of the same name in whatever case: HTTP has one X-Org-Id."""
    names = {name.lower() for name in further}
    last = {name.lower(): name for name in further}
    kept = {name: value for name, value in headers.items() if name.lower() not in names}
    return kept | {name: further[name] for name in last.values() if further[name] != LEFT_OUT}


def _authority(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
