"""readiness: logging in, the tokens that are issued, and the transport, against a small API of our own."""

from __future__ import annotations

import hashlib
import importlib
import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
from check_support import context, expect, free_port, listening, run_check, saying
from small_api import Answering, Asked, Said, make_pair, serving

from maestro_cli.model import CheckResult
from maestro_cli.observe.tokens import forge

KEY = b"k" * 32
AUTH = """
  auth:
    algorithm: HS256
    login: {path: /login, body: {user: "{username}", password: "{password}"}}
    protected: /things
    accounts: [{username: ann, password: ann-has-a-password}, {username: bob, password: bob-has-a-password}]
"""


class Application:
    """Logs ann and bob in with a token each. Every safeguard can be switched off by name."""

    def __init__(self, *faults: str, algorithm: str = "HS256", **claims: Any) -> None:
        self.faults, self.algorithm, self.claims = faults, algorithm, claims
        self.issued: set[str] = set()

    def __call__(self, asked: Asked) -> Said:
        if asked.path == "/login":
            return self._login(json.loads(asked.body))
        if asked.path == "/things":
            return self._things(asked.headers.get("authorization", "").removeprefix("Bearer ").strip())
        return Said(404)

    def _login(self, body: dict[str, str]) -> Said:
        if "login-500" in self.faults:
            return Said(500)
        if body["password"] != f"{body['user']}-has-a-password" and "any-password" not in self.faults:
            return Said(401)
        now = int(time.time())
        claims = {"sub": body["user"], "iat": now, "exp": now + 900, **self.claims}
        token = forge({"alg": self.algorithm, "typ": "JWT"}, {k: v for k, v in claims.items() if v is not None}, KEY)
        if "looked-up" in self.faults:
            token = secrets.token_urlsafe(16)
        if "short" in self.faults:
            token = str(secrets.randbelow(10**8))
        if "counted" in self.faults:
            token = f"{4_711_000 + len(self.issued):032d}"
        if "of-the-account" in self.faults:
            token = hashlib.sha256(body["user"].encode()).hexdigest()
        if "of-the-hour" in self.faults:
            token = "5f4dcc3b5aa765d61d8327deb882cf99"
        self.issued.add(token)
        return Said(200, json.dumps({"access_token": token}).encode())

    def _things(self, token: str) -> Said:
        if "protected-500" in self.faults and token not in self.issued:
            return Said(500)
        first_half = "first-half" in self.faults and any(token[:11] == known[:11] for known in self.issued)
        long = "long" in self.faults and len(token) > 512
        pattern = "pattern" in self.faults and token in ("*", "%")
        if first_half or long or pattern:
            return Said(200, b"[]")
        if token in self.issued and "nobody" not in self.faults:
            return Said(200, b"[]")
        if (not token and "anonymous" in self.faults) or (token and "garbage" in self.faults):
            return Said(200, b"[]")
        return Said(401)


def look(check_id: str, folder: Path, answering: Answering) -> CheckResult:
    pair = make_pair(folder / "certs")
    with serving(answering, tls=pair) as port:
        api = f"api:\n  url: https://localhost:{port}\n  ca_file: certs/cert.pem\n"
        return run_check(check_id, context(folder, api + AUTH))


def test_logging_in(project: Path) -> None:
    result = look("readiness.authentication", project, Application())
    expect(result, "pass", "2 accounts log in", "without a token 401", "wrong password 401")
    assert "has-a-password" not in repr(result)


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        ("anonymous", "fail", "without a token is accepted"),
        ("garbage", "fail", "with a token that is none is accepted"),
        ("any-password", "fail", "wrong password is accepted"),
        ("login-500", "error", "is answered 500"),
        ("nobody", "error", "with the token of ann is answered 401"),
        ("protected-500", "error", "neither yes nor no"),
    ],
)
def test_logging_in_where_it_should_not_work(project: Path, fault: str, status: str, word: str) -> None:
    expect(look("readiness.authentication", project, Application(fault)), status, word)


def test_tokens_as_configured(project: Path) -> None:
    expect(look("readiness.token-settings", project, Application()), "pass", "HS256", "15 minutes")
    expect(look("readiness.token-settings", project, Application("looked-up")), "pass", "no JSON Web Token")


@pytest.mark.parametrize(
    ("fault", "word"),
    [("short", "holds 27 bits at most"), ("counted", "as counted ones do"), ("of-the-hour", "are the same")],
)
def test_tokens_that_can_be_guessed(project: Path, fault: str, word: str) -> None:
    expect(look("readiness.token-settings", project, Application("looked-up", fault)), "fail", word)


def test_a_token_that_stays_the_same_is_a_warning(project: Path) -> None:
    result = look("readiness.token-settings", project, Application("looked-up", "of-the-account"))
    expect(result, "warn", "Each login of an account is answered with the same token")
    expect(look("readiness.token-settings", project, Application("looked-up")), "pass", "a token of its own")


@pytest.mark.parametrize(
    ("fault", "word"),
    [("first-half", "only the first half is right"), ("long", "a very long token"), ("pattern", "an asterisk")],
)
def test_tokens_that_are_not_compared_whole(project: Path, fault: str, word: str) -> None:
    expect(look("readiness.authentication", project, Application("looked-up", fault)), "fail", word)
    expect(look("readiness.authentication", project, Application("looked-up")), "pass", "first half is right 401")


@pytest.mark.parametrize(
    ("application", "word"),
    [
        (Application(algorithm="HS512"), "HS512, not with HS256"),
        (Application(exp=int(time.time()) + 86_400), "at most 15 minutes"),
        (Application(exp=None), "no exp"),
        (Application(exp=None, iat=None), "no iat and exp"),
        (Application(iat=int(time.time()) + 3_000, exp=int(time.time()) + 3_600), "ahead of now"),
        (Application(exp="soon"), "no exp"),
    ],
)
def test_tokens_otherwise(project: Path, application: Application, word: str) -> None:
    expect(look("readiness.token-settings", project, application), "fail", word)


def test_a_token_need_not_say_when_it_was_issued(project: Path) -> None:
    expect(look("readiness.token-settings", project, Application(iat=None)), "pass", "15 minutes")
    late = Application(iat=None, exp=int(time.time()) + 86_400)
    expect(look("readiness.token-settings", project, late), "fail", "at most 15 minutes")


@pytest.mark.parametrize("check_id", ["readiness.authentication", "readiness.token-settings", "readiness.https"])
def test_with_the_api_down(project: Path, check_id: str) -> None:
    ctx = context(project, f"api:\n  url: https://localhost:{free_port()}\n{AUTH}")
    assert expect(run_check(check_id, ctx), "error").needs == "the API"


@pytest.mark.parametrize(
    ("hsts", "status", "word"),
    [
        ("max-age=63072000; includeSubDomains; preload", "pass", "a year or more"),
        ('includeSubDomains; max-age="31536000"', "pass", "a year or more"),
        ("max-age=16000000", "warn", "less than a year"),
        ("max-age=300", "fail", "300 s only"),
        ("max-age=0", "fail", "0 s only"),
        ("includeSubDomains", "fail", "lack"),
        (None, "fail", "lack"),
    ],
)
def test_strict_transport_security(project: Path, hsts: str | None, status: str, word: str) -> None:
    headers = {} if hsts is None else {"Strict-Transport-Security": hsts}
    expect(look("readiness.https", project, lambda _: Said(headers=headers)), status, word)


def test_an_api_in_the_clear(project: Path) -> None:
    ctx = context(project, "api: {url: 'http://127.0.0.1:1'}\n")
    expect(run_check("readiness.https", ctx), "fail", "sent in the clear")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "fail"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://elsewhere.test/\r\n\r\n", "fail"),
        (b"HTTP/1.1 308 Moved\r\nLocation: https://localhost/\r\n\r\n", "pass"),
        (b"HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\n\r\n", "pass"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "pass"),
        (b"", "pass"),
    ],
)
def test_plain_http_at_the_same_port(project: Path, answer: bytes, status: str) -> None:
    check = importlib.import_module("maestro_cli.checks.readiness_https")
    from maestro_cli.observe.wire import Target

    with saying(answer) as port:
        assert check._in_the_clear(Target("the API", "127.0.0.1", port), "/health").status == status


def test_a_port_that_says_nothing_in_the_clear(project: Path) -> None:
    check = importlib.import_module("maestro_cli.checks.readiness_https")
    from maestro_cli.observe.wire import Target

    with listening(lambda _: time.sleep(4)) as port:
        assert check._in_the_clear(Target("the API", "127.0.0.1", port), "/health").status == "pass"
