"""Verifiers and guards that are right about what everybody tries, and wrong about its next of kin."""

from __future__ import annotations

import importlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from check_support import context, expect, run_check
from other_service import OtherService, Shape, configuration
from small_api import Asked, Said, serving

from maestro_cli.model import CheckResult
from maestro_cli.observe import tokens

KEY_PAIR = Shape(algorithm="RS256")
TYPE = "at+jwt"


class Odd(OtherService):
    """The other service, with tokens of a type of their own (RFC 9068); `odd` says what is wrong with it."""

    odd: str = ""

    def _issue(self, user: str, family: str) -> dict[str, str]:
        key = self.private or self.secret.encode()
        found = {}
        for kind, text in super()._issue(user, family).items():
            token = tokens.parse(text)
            assert token is not None
            found[kind] = tokens.forge({**token.header, "typ": TYPE}, token.claims, key)
        return found

    def _claims(self, text: str, kind: str) -> dict[str, Any] | None:
        token = tokens.parse(text)
        if token is None or token.header.get("typ") != TYPE:
            return None
        if self.odd == "quoted-end" and isinstance(token.claims.get("exp"), str) and self._signed(token):
            return dict(token.claims)
        if isinstance(token.claims.get("exp", 0), str):
            return None
        return super()._claims(text, kind)

    def _signed(self, token: tokens.Jwt) -> bool:
        beside = {"none-beside-signature": "none", "empty-alg": ""}
        if token.signature and beside.get(self.odd) == token.algorithm:
            return True
        return bool(token.algorithm) and super()._signed(token)

    def _guarded(self, asked: Asked, path: str, query: str) -> Said:
        trusted = {"proxy-address": ("x-real-ip", "127.0.0.1"), "proxy-user": ("x-forwarded-user", "ann")}
        name, value = trusted.get(self.odd, ("", ""))
        if name and asked.headers.get(name) == value:
            return self._notes(asked, path, "1")
        if self.odd == "override" and asked.method == "POST" and path.startswith("/notes/"):
            self.objects.pop(path.removeprefix("/notes/"), None)
            return Said(204, b"")
        return super()._guarded(asked, path, query)

    def _make(self, body: dict[str, Any], tenant: str) -> Said:
        return super()._make(body, str(body.get("tenant", tenant)) if self.odd == "tenant-member" else tenant)

    def _route(self, asked: Asked) -> Said:
        if self.odd == "private-key-published" and urlsplit(asked.path).path == "/jwks.json":
            jwk = {**tokens.public_jwk(self.private, "main"), "d": "AQAB"}
            return Said(200, json.dumps({"keys": [jwk]}).encode())
        return super()._route(asked)


def look(check: str, folder: Path, odd: str = "", shape: Shape | None = None, *faults: str) -> CheckResult:
    service = Odd(shape or Shape(), frozenset(faults))
    service.odd = odd
    with serving(service) as port:
        result = run_check(check, context(folder, configuration(service, port)))
    assert service.objects == {}, "no probe's object is left"
    return result


CASES = [
    ("security.jwt-alg-none", "none-beside-signature", "alg none beside a signature"),
    ("security.jwt-alg-none", "empty-alg", "an empty alg"),
    ("security.jwt-time", "quoted-end", "in quotes"),
    ("readiness.authentication", "proxy-address", "X-Real-IP"),
    ("readiness.authentication", "proxy-user", "X-Forwarded-User"),
    ("security.tenant-write", "override", "a POST that says to be a DELETE"),
    ("security.tenant-spoofing", "tenant-member", "the body (tenant)"),
]


@pytest.mark.parametrize(("check", "odd", "words"), CASES)
def test_the_next_of_kin_is_found(project: Path, check: str, odd: str, words: str) -> None:
    expect(look(check, project, odd), "fail", words)


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_and_nothing_where_it_is_right(project: Path, check: str) -> None:
    expect(look(check, project), "pass")


def test_a_key_in_a_token_is_tried_with_the_type_that_the_service_asks_for(project: Path) -> None:
    expect(look("security.jwt-embedded-key", project, "", KEY_PAIR), "pass")
    expect(look("security.jwt-embedded-key", project, "", KEY_PAIR, "jwt-jwk-trusted"), "fail", "RSA in jwk")


def test_a_key_set_that_holds_the_private_key(project: Path) -> None:
    expect(look("security.jwt-weak-key", project, "", KEY_PAIR), "pass")
    result = look("security.jwt-weak-key", project, "private-key-published", KEY_PAIR)
    expect(result, "fail", "The private key that signs tokens is published")
    assert "AQAB" not in str(result)


def test_a_well_known_secret_beside_a_key_pair(project: Path) -> None:
    result = look("security.jwt-weak-key", project, "", KEY_PAIR, "jwt-weak-second-key")
    expect(result, "fail", "well-known key is accepted")


@pytest.mark.parametrize(("place", "life", "status"), [("token", 600, "pass"), ("data.token", 2_592_000, "fail")])
def test_the_life_of_an_access_token_that_is_looked_up(project: Path, place: str, life: int, status: str) -> None:
    told = {"token": "looked-up-and-long-enough", "expires_in": life}
    body = json.dumps(told if place == "token" else {"data": told}).encode()
    with serving(lambda _: Said(200, body)) as port:
        login = f"login: {{path: /login, token: {place}}}, accounts: [{{username: ann, password: long-word}}]"
        yaml = f"api: {{url: 'http://127.0.0.1:{port}', auth: {{{login}}}}}\n"
        expect(run_check("security.token-lifetime", context(project, yaml)), status, "expires_in of the login's answer")


@pytest.mark.parametrize(
    ("told", "status", "words"),
    [
        ({"refresh": "r" * 30, "expires_in": 600, "refresh_expires_in": 86_400}, "pass", "refresh_expires_in of the"),
        ({"refresh": "r" * 30, "expires_in": 864_000, "refresh_expires_in": 86_400}, "fail", "The access token lives"),
        ({"refresh": "r" * 30, "expires_in": 600, "refreshExpiresIn": 8_640_000}, "fail", "The refresh token lives"),
        ({"user": {"id": 1}, "session": {"expiresIn": 864_000}}, "fail", "session.expiresIn"),
        ({"refresh": "r" * 30, "expires_in": 864_000}, "skip", "their end cannot be read"),
    ],
)
def test_the_lives_of_tokens_that_are_looked_up_the_access_token_in_a_header(
    project: Path, told: dict[str, Any], status: str, words: str
) -> None:
    said = replace(
        Said(200, json.dumps({"data": told}).encode()), headers={"X-Auth-Token": "looked-up-and-long-enough"}
    )
    with serving(lambda _: said) as port:
        place = "token: 'header:X-Auth-Token'" + (", refresh_token: data.refresh" if "refresh" in told else "")
        login = f"login: {{path: /login, {place}}}, accounts: [{{username: ann, password: long-word}}]"
        yaml = f"api: {{url: 'http://127.0.0.1:{port}', auth: {{{login}}}}}\n"
        expect(run_check("security.token-lifetime", context(project, yaml)), status, words)


def test_the_life_of_a_refresh_token_that_has_a_place_of_its_own(project: Path) -> None:
    told = {
        "token": {"value": "looked-up-and-long", "expires_in": 600},
        "refresh": {"value": "r" * 30, "expires_in": 9e6},
    }
    with serving(lambda _: Said(200, json.dumps(told).encode())) as port:
        place = "token: token.value, refresh_token: refresh.value"
        login = f"login: {{path: /login, {place}}}, accounts: [{{username: ann, password: long-word}}]"
        yaml = f"api: {{url: 'http://127.0.0.1:{port}', auth: {{{login}}}}}\n"
        result = run_check("security.token-lifetime", context(project, yaml))
        expect(result, "fail", "The refresh token lives for 104.2 days")


@pytest.mark.parametrize(("days", "status"), [(1, "pass"), (40, "fail")])
def test_the_life_of_a_refresh_token_that_is_a_cookie(project: Path, days: int, status: str) -> None:
    key = b"k" * 32
    claims = {"sub": "ann", "iat": int(time.time()), "exp": int(time.time()) + 300}

    def answering(asked: Asked) -> Said:
        token = tokens.forge({"alg": "HS256"}, claims, key)
        said = Said(200, json.dumps({"access_token": token}).encode())
        flags = "HttpOnly; Secure; SameSite=Strict"
        return replace(said, headers={"Set-Cookie": f"renew=opaque-and-long; Max-Age={days * 86_400}; {flags}"})

    with serving(answering) as port:
        login = "login: {path: /login, refresh_token: 'cookie:renew'}, accounts: [{username: ann, password: long-word}]"
        yaml = f"api: {{url: 'http://127.0.0.1:{port}', auth: {{{login}}}}}\n"
        expect(run_check("security.token-lifetime", context(project, yaml)), status, "life of the cookie renew")


@pytest.mark.parametrize(
    ("place", "kind", "page"),
    [
        ("/schema", "text/html", b"<title>notes</title><redoc spec-url='./openapi.json'></redoc>"),
        ("/schema/openapi.json", "application/json", b'{"info": {}, "openapi": "3.1.0"}'),
        ("/schema/", "application/vnd.oai.openapi", b"openapi: 3.0.3\ninfo:\n  title: notes\n"),
        ("/swagger/v1/swagger.json", "application/json", b'{"openapi": "3.0.1"}'),
        ("/api-json", "application/json", b'{"openapi":"3.0.0","paths":{}}'),
        ("/docs-json", "application/json", b'{"openapi":"3.0.0","paths":{}}'),
        ("/api", "text/html", b"<title>Swagger UI</title><div id='swagger-ui'></div>"),
    ],
)
def test_documentation_where_other_frameworks_have_it(project: Path, place: str, kind: str, page: bytes) -> None:
    def answering(asked: Asked) -> Said:
        if asked.path == place:
            return Said(200, page, {"Content-Type": kind})
        return Said(200) if asked.path == "/health" else Said(404, b'{"schema": "of something else"}')

    with serving(answering) as port:
        yaml = f"service: {{environment: production}}\napi: {{url: 'http://127.0.0.1:{port}'}}\n"
        expect(run_check("readiness.environment", context(project, yaml)), "fail", "documentation is open", place)


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("postgresql://shop:hunter2@db.internal:5432/shop", "fail"),
        ("redis://:hunter2@cache:6379/0", "fail"),
        ("postgresql://shop:***@db.internal:5432/shop", "pass"),
        ("postgresql://db.internal:5432/shop", "pass"),
        ("https://example.test:8443/@ann", "pass"),
    ],
)
def test_a_status_page_that_tells_a_password(project: Path, told: str, status: str) -> None:
    def answering(asked: Asked) -> Said:
        return Said(200, json.dumps({"database": told}).encode()) if asked.path == "/health" else Said(404, b"{}")

    with serving(answering) as port:
        result = run_check("security.exposure", context(project, f"api: {{url: 'http://127.0.0.1:{port}'}}\n"))
    expect(result, status, "GET /health")
    assert "hunter2" not in str(result)


@pytest.mark.parametrize(("odd", "status"), [("", "pass"), ("any-origin-with-token", "fail")])
@pytest.mark.parametrize("check", ["security.cors", "security.cors-bypass"])
def test_the_probed_path_is_asked_with_a_token_as_well(project: Path, check: str, odd: str, status: str) -> None:
    """It answers 401 without one: what the middleware of what is inside says is seen with it alone."""
    service, origin = OtherService(), "https://app.example.test"

    def answering(asked: Asked) -> Said:
        said, asking = service(asked), asked.headers.get("origin", "")
        if asking == origin or (odd and asking and "authorization" in asked.headers):
            allows = {"Access-Control-Allow-Origin": asking, "Access-Control-Allow-Headers": "Authorization"}
            said = replace(said, headers={**said.headers, **allows})
        return replace(said, status=204, body=b"") if asked.method == "OPTIONS" else said

    with serving(answering) as port:
        settings = json.loads(configuration(service, port))
        settings["api"]["cors"] = {"origins": [origin], "path": "/notes"}
        expect(run_check(check, context(project, json.dumps(settings))), status)


def test_a_key_url_ends_like_the_usual_ones() -> None:
    module = vars(importlib.import_module("maestro_cli.checks.security_jwt_key_url"))
    token = tokens.parse(tokens.forge({"alg": "ES256", "kid": "a"}, {"sub": "ann"}, tokens.new_key("EC")))
    made = module["_trials"](token, "k", "http://127.0.0.1:9/mark", tokens.new_key("EC"), tokens.new_key("RSA"))
    urls = [parsed.header["jku"] for trial in made if (parsed := tokens.parse(trial.token)) and "jku" in parsed.header]
    assert len(urls) == 2
    assert all(url.startswith("http://127.0.0.1:9/mark/") and url.endswith("/.well-known/jwks.json") for url in urls)


def test_a_limit_that_says_200_is_no_token_accepted(project: Path) -> None:
    """By the time that tokens are tried, whatever is asked is answered 200: nothing is told then."""

    class Limited(OtherService):
        asked = 0

        def __call__(self, asked: Asked) -> Said:
            self.asked += asked.path.startswith("/v2/notes")
            return Said(200, b'{"error": "too many requests"}') if self.asked > 4 else super().__call__(asked)

    service = Limited(Shape())
    with serving(service) as port:
        result = run_check("security.jwt-alg-none", context(project, configuration(service, port)))
    expect(result, "error", "by now answered 200")
