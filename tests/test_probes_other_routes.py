"""What one route refuses and another one takes: tokens where objects are read and listed, methods that a POST names itself."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from check_support import context, expect, run_check
from other_service import USERS, OtherService, Shape, configuration
from small_api import Asked, Said, serving
from test_probes_open_places import ME, PublicList, look, with_own_page

from maestro_cli.observe import tokens
from maestro_cli.observe.answers import trace_in


class Lenient(OtherService):
    """The other service; where notes are read or listed, a token that `takes` names is as good as an access token."""

    takes: str = ""
    place: str = ""

    def _guarded(self, asked: Asked, path: str, query: str) -> Said:
        token = tokens.parse(self._bearer(asked) or "")
        here = asked.method == "GET" and (path == "/notes") is (self.place == "list")
        if token is not None and here and path != "/notes/mine" and self._taken(token):
            return self._notes(asked, path, str(token.claims["org_id"]))
        return super()._guarded(asked, path, query)

    def _taken(self, token: tokens.Jwt) -> bool:
        if self.takes == "unsigned":
            return token.algorithm == "none"
        if not self._signed(token):
            return False
        gone = token.claims["fam"] in self.ended or token.claims["jti"] in self.revoked
        return {"refresh": token.claims["use"] == "refresh" and not gone, "logged out": gone}[self.takes]


@pytest.mark.parametrize(("place", "deed"), [("list", "listing objects"), ("read", "reading an object")])
@pytest.mark.parametrize(
    ("takes", "words"),
    [("refresh", "a refresh token"), ("logged out", "a token after its log-out"), ("unsigned", "alg none")],
)
def test_a_token_that_only_reading_elsewhere_takes(
    project: Path, takes: str, words: str, place: str, deed: str
) -> None:
    service = Lenient()
    service.takes, service.place = takes, place
    result = look("security.write-authentication", project, service, with_own_page(service), **ME)
    expect(result, "fail", "What api.auth.protected refuses is good enough elsewhere", f"{deed} with {words}")
    assert "for writing" not in result.message
    assert service.objects == {}, "no probe's object is left"


def test_a_log_out_that_the_list_has_not_heard_of(project: Path) -> None:
    service = Lenient()
    service.takes, service.place = "logged out", "list"
    result = look("security.revocation", project, service, with_own_page(service), **ME)
    expect(result, "fail", "An access token still opens GET /notes after its owner has logged out.")
    assert service.objects == {}, "no probe's object is left"


def test_a_list_for_everybody_says_nothing_of_log_outs(project: Path) -> None:
    service = PublicList()
    expect(look("security.revocation", project, service, with_own_page(service), **ME), "pass")


def test_a_service_that_is_as_strict_everywhere_passes(project: Path) -> None:
    service = OtherService()
    for check in ("security.write-authentication", "security.revocation"):
        expect(look(check, project, service, with_own_page(service), **ME), "pass")


class Disguising(OtherService):
    """A router that believes what a POST says to be, behind a guard that looks at the POST."""

    believes: str = ""

    def _guarded(self, asked: Asked, path: str, query: str) -> Said:
        said = asked.headers.get("x-http-method-override", "") if self.believes == "header" else query[-6:].lstrip("=")
        if asked.method == "POST" and path.startswith("/notes/") and self.believes:
            row = self.objects.get(path.removeprefix("/notes/"))
            if row is not None and said == "DELETE":
                del self.objects[row["id"]]
                return Said(204, b"")
            if row is not None and "PUT" in said:
                row.update(json.loads(asked.body))
                return Said(200, b"{}")
        return super()._guarded(asked, path, query)


@pytest.mark.parametrize("believes", ["header", "query"])
@pytest.mark.parametrize("method", ["DELETE", "PUT"])
def test_a_forbidden_deed_in_a_posts_clothes(project: Path, believes: str, method: str) -> None:
    service = Disguising()
    service.believes = believes
    body = {} if method == "DELETE" else {"body": {"text": "by bob {nonce}"}}
    forbidden = [{"path": "/notes/{id}", "method": method, **body}]
    few = {"account": {"username": "bob", "password": USERS["bob"][0]}, "forbidden": forbidden}
    result = look("security.role-limits", project, service, roles=few)
    expect(result, "fail", f"bob may do what it must not: {method} /notes/{{id}} by a POST that says to be one.")
    assert service.objects == {}, "no probe's object is left"
    expect(look("security.role-limits", project, OtherService(), roles=few), "pass", "as a POST that says so")


class OwnPath(OtherService):
    """Paths name the tenant, and only one's own is let in; behind it a PUT looks an object up by its id alone."""

    def __call__(self, asked: Asked) -> Said:
        target = urlsplit(asked.path)
        if not target.path.startswith("/of/"):
            return super().__call__(asked)
        tenant, _, rest = target.path.removeprefix("/of/").partition("/")
        token = tokens.parse(self._bearer(asked) or "")
        if token is None or str(token.claims.get("org_id")) != tenant:
            return Said(404, b"{}", {"Content-Type": "application/json"})
        row = self.objects.get(rest.removeprefix("notes/"))
        if asked.method == "PUT" and row is not None and self._signed(token):
            row.update(json.loads(asked.body))
            return Said(200, b"{}")
        if asked.method == "PATCH":
            asked = replace(asked, method="PUT")
        return super().__call__(replace(asked, path=f"/{rest}"))


def test_put_is_tried_under_ones_own_tenant_as_well(project: Path) -> None:
    service = OwnPath()
    with serving(service) as port:
        document = json.loads(configuration(service, port))
        isolation: dict[str, Any] = document["api"]["isolation"]
        isolation["create"]["path"] = "/of/{tenant}/notes"
        isolation |= {"read": "/of/{tenant}/notes/{id}", "delete": "/of/{tenant}/notes/{id}"}
        isolation["list"] = "/of/{tenant}/notes"
        isolation["update"] |= {"path": "/of/{tenant}/notes/{id}", "method": "PATCH"}
        result = run_check("security.tenant-write", context(project, json.dumps(document)))
    expect(result, "fail", "bob changes another tenant's object under its own tenant with PUT.")


class Everybodys(OtherService):
    """Whoever asks reads what the second account has made, by its id."""

    def _notes(self, asked: Asked, path: str, tenant: str) -> Said:
        row = self.objects.get(path.removeprefix("/notes/"))
        return super()._notes(asked, path, str(row["tenant"]) if row and str(row["tenant"]) == "2" else tenant)


def test_an_object_that_everybody_reads_is_no_proof_that_a_name_was_believed(project: Path) -> None:
    result = look("security.tenant-spoofing", project, Everybodys())
    expect(result, "error", "reads another tenant's object that names no tenant")
    expect(look("security.tenant-spoofing", project, OtherService()), "pass")


@pytest.mark.parametrize(
    "told",
    [
        rb'{"error":"Malformed JSON at line 1, offset 1 at \/srv\/shop\/lib\/shop.pl line 167.\n"}',
        rb'{"message":"Undefined index: name in \/var\/www\/html\/src\/Login.php on line 12"}',
        b"Can't locate object method at /usr/share/perl5/Shop/Login.pm line 12.",
        b"<html><head><title>Page Not Found (development mode)</title></head></html>",
    ],
)
def test_where_the_program_stands_is_seen_although_slashes_are_escaped(told: bytes) -> None:
    assert trace_in(told) is not None


@pytest.mark.parametrize("told", [rb'{"next":"https:\/\/api.example.test\/app\/list.php"}', rb'{"file":"\/app\/a.js"}'])
def test_an_escaped_address_is_no_place_of_the_program(told: bytes) -> None:
    assert trace_in(told) is None


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/nginx_status", b"Active connections: 1 \nserver accepts handled requests\n 1 1 1 \n"),
        ("/status", b"pool:                 www\nprocess manager:      static\n"),
        ("/info.php", b"<html><head><title>PHP 8.2.36 - phpinfo()</title></head></html>"),
        ("/composer.json", b'{"name": "shop/api", "require": {"php": "^8.2"}}'),
        ("/adminer.php", b"<title>Login - Adminer</title>"),
        ("/storage/logs/laravel.log", b"[2026-11-23 10:00:00] production.ERROR: no such table {}\n"),
        ("/elmah.axd", b"<title>Error log for / on WEB1 (Page #1)</title>"),
    ],
)
def test_pages_of_the_server_in_front_and_of_other_languages(project: Path, path: str, page: bytes) -> None:
    def answering(asked: Asked) -> Said:
        return Said(200, page, {"Content-Type": "text/plain"}) if asked.path == path else OtherService()(asked)

    with serving(answering) as port:
        result = run_check("security.exposure", context(project, f"api: {{url: 'http://127.0.0.1:{port}'}}\n"))
    expect(result, "fail", f"{path} is served")


def test_a_status_of_ones_own_is_no_page_of_the_server(project: Path) -> None:
    def answering(asked: Asked) -> Said:
        mine = asked.path in ("/status", "/test.php")
        return Said(200, b'{"status": "ok", "connections": 3}') if mine else OtherService()(asked)

    with serving(answering) as port:
        result = run_check("security.exposure", context(project, f"api: {{url: 'http://127.0.0.1:{port}'}}\n"))
    expect(result, "pass")


class Typed(OtherService):
    """The other service, which trusts the types of what a note is made of; `tells` is what a crash shows."""

    tells: bytes = b"{}"

    def _make(self, body: dict[str, Any], tenant: str) -> Said:
        if not isinstance(body["text"], str):
            return Said(500, self.tells, {"Content-Type": "application/json"})
        return super()._make(body, tenant)


@pytest.mark.parametrize(
    ("tells", "status", "words"),
    [
        (b'{"error": "Not a HASH at \\/srv\\/shop\\/shop.pl line 7."}', "fail", "A stack trace"),
        (b"{}", "warn", "An internal error"),
    ],
)
def test_a_list_where_a_text_belongs_is_tried_behind_the_login(
    project: Path, tells: bytes, status: str, words: str
) -> None:
    service = Typed()
    service.tells = tells
    expect(look("security.malformed-body", project, service), status, words, "POST /notes with a list for text")
    assert service.objects == {}, "no probe's object is left"


def test_a_store_without_types_is_not_blamed_and_keeps_nothing(project: Path) -> None:
    service = OtherService()
    expect(look("security.malformed-body", project, service), "pass", "POST /notes with a list for text")
    assert service.objects == {}, "no probe's object is left"


class OpenPatch(OtherService):
    """A PATCH that nobody guards beside a PUT that is guarded."""

    def _route(self, asked: Asked) -> Said:
        path = urlsplit(asked.path).path
        if asked.method == "PATCH" and path.startswith("/notes/"):
            row = self.objects.get(path.removeprefix("/notes/"))
            if row is not None:
                row.update(json.loads(asked.body))
                return Said(200, b"{}")
        return super()._route(asked)


def test_the_other_method_of_changing_is_tried_without_a_token(project: Path) -> None:
    service = OpenPatch()
    result = look("security.write-authentication", project, service)
    expect(result, "fail", "change with PATCH with no token")
    assert "change with no token" not in result.message
    expect(look("security.write-authentication", project, OtherService()), "pass", "change with PATCH with no token")


class KeyPerAlgorithm(OtherService):
    """Each algorithm has a key of its own, and nobody has set the one of HS512."""

    def _signed(self, token: tokens.Jwt) -> bool:
        if token.algorithm == "HS512":
            return tokens.sign("HS512", token.signed, b"") == token.signature
        return super()._signed(token)


@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
def test_the_empty_key_of_an_algorithm_that_nobody_uses(project: Path, algorithm: str) -> None:
    result = look("security.jwt-key-confusion", project, KeyPerAlgorithm(Shape(algorithm=algorithm)))
    expect(result, "fail", "signed with: an empty key as HS512.")
    expect(look("security.jwt-key-confusion", project, OtherService(Shape(algorithm=algorithm))), "pass")


@pytest.mark.parametrize(("slow", "status", "words"), [(3, "pass", ", then "), (9, "fail", "at most 500 ms")])
def test_a_service_that_is_busy_for_a_moment_is_asked_once_more(
    project: Path, slow: int, status: str, words: str
) -> None:
    asked = itertools.count()

    def answering(request: Asked) -> Said:
        if request.path != "/health":
            return Said(404)
        if next(asked) < slow:
            time.sleep(0.6)
        return Said(200, b'{"status": "ok"}')

    with serving(answering) as port:
        yaml = f"api: {{url: 'http://127.0.0.1:{port}', max_latency_ms: 500}}\n"
        expect(run_check("health.api", context(project, yaml)), status, words)
