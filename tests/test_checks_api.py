"""The API from the outside: its health, its origins, its limit, its tokens, its transport."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from check_support import context, expect, free_port, listening, run_check, saying
from small_api import Answering, Asked, Said, make_pair, serving

from maestro_cli.model import CheckResult


def look(check_id: str, folder: Path, answering: Answering, keys: str = "", *, max_wait_s: float = 60) -> CheckResult:
    """Run a check against a small API over TLS whose certificate is trusted."""
    pair = make_pair(folder / "certs")
    with serving(answering, tls=pair) as port:
        ctx = context(folder, f"api: {{url: 'https://localhost:{port}', ca_file: certs/cert.pem{keys}}}\n")
        ctx.max_wait_s = max_wait_s
        return run_check(check_id, ctx)


def says(status: int = 200, body: object = None, **more: object) -> Answering:
    """Say this to everything but a path that does not exist."""
    said = Said(status, json.dumps(body).encode() if body is not None else b"", **more)  # type: ignore[arg-type] # a test's own
    return lambda asked: Said(404) if "maestro-probe" in asked.path else said


@pytest.mark.parametrize(
    "body",
    [
        {"status": "ok", "checks": {"postgresql": "ok", "redis": "ok"}},
        {"status": "UP", "components": {"db": {"status": "UP", "details": {"latency_ms": 0}}}},
        {"status": "pass", "checks": {"db:responseTime": [{"status": "pass", "observedValue": 0}]}},
        {"status": "ok", "features": {"rbac": False}, "uptime": 0, "environment": "offline-mode"},
        {"healthy": True},
        None,
    ],
)
def test_an_api_that_is_well(project: Path, body: object) -> None:
    expect(look("health.api", project, says(200, body)), "pass", "certificate verified", "median answer")


@pytest.mark.parametrize(
    ("answering", "status", "word"),
    [
        (says(500), "fail", "answered 500"),
        (says(404), "fail", "answered 404"),
        (says(503, {"status": "unavailable", "checks": {"redis": "unreachable"}}), "fail", "redis unreachable"),
        (says(200, {"status": "down"}), "fail", "body down"),
        (says(200, {"status": "ok", "checks": {"redis": "no answer"}}), "fail", "redis no answer"),
        (says(200, {"status": "ok", "database": {"healthy": False}}), "fail", "database false"),
        (says(200, {"status": "UP", "components": {"db": {"status": "DOWN"}}}), "fail", "db down"),
        (says(200, {"status": "degraded"}), "warn", "degraded"),
        (says(200, {"status": "ok"}, after_s=0.6), "fail", "at most 500 ms"),
        (says(200, {"status": "ok" * 600_000}), "error", "more than a megabyte"),
    ],
)
def test_an_api_that_is_not(project: Path, answering: Answering, status: str, word: str) -> None:
    expect(look("health.api", project, answering), status, word)


def test_an_api_out_of_reach(project: Path) -> None:
    result = run_check("health.api", context(project, f"api: {{url: 'https://localhost:{free_port()}'}}\n"))
    assert expect(result, "error").needs == "the API"


def test_an_api_whose_certificate_is_not_trusted(project: Path) -> None:
    pair = make_pair(project / "certs")
    with serving(says(), tls=pair) as port:
        ctx = context(project, f"api: {{url: 'https://localhost:{port}'}}\n")
        expect(run_check("health.api", ctx), "error")
        assert "not trusted" in ctx.down["the API"]


ORIGINS = ("https://app.example.test", "https://admin.example.test")
CORS = f", cors: {{origins: {list(ORIGINS)}}}"


def allowing(
    *, origins: tuple[str, ...] = ORIGINS, any_name: bool = False, star: bool = False, preflight: bool = True
) -> Answering:
    def answering(asked: Asked) -> Said:
        origin = asked.headers.get("origin", "")
        if asked.method == "OPTIONS" and not preflight:
            return Said(405)
        if star:
            return Said(headers={"Access-Control-Allow-Origin": "*"})
        if any_name or origin in origins:
            return Said(
                headers={
                    "Access-Control-Allow-Origin": origin,
                    "Access-Control-Allow-Credentials": "true",
                    "Vary": "Origin",
                }
            )
        return Said()

    return answering


def test_configured_origins_alone(project: Path) -> None:
    expect(look("security.cors", project, allowing(), CORS), "pass", "2 configured origins")


@pytest.mark.parametrize(
    ("answering", "word"),
    [
        (allowing(any_name=True), "a foreign origin by its name"),
        (allowing(star=True), "every origin, by `*`"),
        (allowing(origins=ORIGINS[1:]), "https://app.example.test is not allowed"),
        (allowing(preflight=False), "not allowed in a preflight"),
        (
            says(headers={"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"}),
            "`*`, together",
        ),
        (says(), "not allowed in a GET"),
    ],
)
def test_other_origins(project: Path, answering: Answering, word: str) -> None:
    expect(look("security.cors", project, answering, CORS), "fail", word)


def test_a_star_allows_the_configured_origins_too_and_a_refused_preflight_nobody(project: Path) -> None:
    def answering(asked: Asked) -> Said:
        return Said(405 if asked.method == "OPTIONS" else 200, headers={"Access-Control-Allow-Origin": "*"})

    found = look("security.cors", project, answering, CORS)
    expect(found, "fail", "A GET allows every origin, by `*`.", f"{ORIGINS[0]} is not allowed in a preflight")
    assert "not allowed in a GET" not in found.message
    assert "A preflight allows" not in found.message


def test_origins_of_an_api_that_fails_are_not_judged(project: Path) -> None:
    expect(look("security.cors", project, says(500), CORS), "error", "500")


class Limited:
    """A fixed window per client address and path."""

    def __init__(
        self, limit: int, *, window_s: float = 60, retry_after: str | None = "30", shared: bool = False
    ) -> None:
        self.limit, self.window_s, self.retry_after, self.shared = limit, window_s, retry_after, shared
        self.counts: Counter[tuple[str, int]] = Counter()
        self.lock = threading.Lock()
        self.started = time.monotonic()

    def __call__(self, asked: Asked) -> Said:
        window = int((time.monotonic() - self.started) / self.window_s)
        key = ("everybody" if self.shared else asked.client, window)
        with self.lock:
            self.counts[key] += 1
            over = self.counts[key] > self.limit
        if not over:
            return Said()
        return Said(429, headers={} if self.retry_after is None else {"Retry-After": self.retry_after})


def limit(requests: int, window_s: float = 60) -> str:
    return f", rate_limit: {{requests: {requests}, window_seconds: {window_s}, path: /x}}"


def test_a_limit_that_holds(project: Path) -> None:
    expect(look("security.rate-limit", project, Limited(20), limit(20)), "pass", "429 at request 21", "30")


@pytest.mark.parametrize(
    ("answering", "word"),
    [
        (says(), "no limit in 50 requests"),
        (Limited(200), "no limit in 50 requests"),
        (Limited(22), "refuses only request 23"),
        (Limited(10), "refuses already request 11"),
        (Limited(20, retry_after=None), "when to come back"),
        (Limited(20, retry_after="soon"), "when to come back"),
    ],
)
def test_a_limit_that_does_not(project: Path, answering: Answering, word: str) -> None:
    expect(look("security.rate-limit", project, answering, limit(20)), "fail", word)


def test_a_window_that_others_of_this_address_have_used_is_waited_for(project: Path) -> None:
    limited = Limited(20, window_s=1.5, retry_after="2", shared=True)
    limited.counts["everybody", 0] = 7
    expect(look("security.rate-limit", project, limited, limit(20, 60)), "pass", "429 at request 21")


def test_a_window_too_long_to_be_waited_for_is_left_unmeasured(project: Path) -> None:
    limited = Limited(20, retry_after="3600", shared=True)
    limited.counts["everybody", 0] = 7
    expect(look("security.rate-limit", project, limited, limit(20)), "error", "--max-wait")


def test_a_limit_of_an_api_that_fails_is_not_judged(project: Path) -> None:
    expect(look("security.rate-limit", project, says(500), limit(20)), "error", "500")
    expect(look("security.rate-limit", project, says(503), limit(5_000)), "error", "would be a load")


def test_a_limit_that_answers_503_is_no_429(project: Path) -> None:
    limited = Limited(20)

    def answering(asked: Asked) -> Said:
        said = limited(asked)
        return Said(503) if said.status == 429 else said

    expect(look("security.rate-limit", project, answering, limit(20)), "fail", "on they are answered 503")


AUTH = """,
  auth: {login: {path: /login}, protected: /things, accounts: [{username: a, password: a-password}]},
  cors: {origins: ["https://app.example.test"]}, rate_limit: {requests: 5, window_seconds: 60}"""
SHAPES: dict[str, Said] = {
    "200": Said(200, b"{}"),
    "200-html": Said(200, b"<html><body>Welcome</body></html>", {"Content-Type": "text/html"}),
    "500": Said(500),
    "redirect": Said(302, headers={"Location": "/again"}),
    "huge": Said(200, b"x" * 3_000_000),
}
PROBES = (
    "health.api",
    "security.cors",
    "security.rate-limit",
    "readiness.authentication",
    "readiness.token-settings",
    "readiness.https",
    "readiness.environment",
)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("check_id", PROBES)
def test_an_api_that_says_the_same_to_everything_passes_nothing(project: Path, check_id: str, shape: str) -> None:
    pair = make_pair(project / "certs")
    with serving(lambda _: SHAPES[shape], tls=pair) as port:
        api = f"api: {{url: 'https://localhost:{port}', ca_file: certs/cert.pem{AUTH}}}\n"
        result = run_check(check_id, context(project, "service: {environment: production}\n" + api))
    assert result.status in {"fail", "error"}, result.message


@pytest.mark.parametrize("check_id", ["health.api", "readiness.https", "readiness.authentication"])
def test_a_server_that_breaks_the_handshake_or_hangs_is_an_error(project: Path, check_id: str) -> None:
    with saying(b"\x15\x03\x03\x00\x02\x02\x28") as port:
        ctx = context(project, f"api: {{url: 'https://localhost:{port}'{AUTH}}}\n")
        assert expect(run_check(check_id, ctx), "error").needs == "the API"
    with listening(lambda _: time.sleep(5)) as port:
        ctx = context(project, f"api: {{url: 'https://localhost:{port}'{AUTH}}}\n")
        assert expect(run_check(check_id, ctx), "error").needs == "the API"
