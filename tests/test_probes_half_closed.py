"""What is closed at one place and open at the next: another path, another answer, another question of the same list."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from check_support import context, expect, load_check, run_check
from other_service import SAFE, OtherService, Shape, configuration
from small_api import Asked, Said, serving

from maestro_cli.model import CheckResult
from maestro_cli.observe import tokens
from maestro_cli.observe.answers import trace_in
from maestro_cli.observe.tokens import decode64
from maestro_cli.runner import execute

ORIGIN = "https://app.example.test"
SERVED = {
    "dump-exposed": ("/backup.sql", b"-- PostgreSQL database dump\nCREATE TABLE users (id int);\n"),
    "manifest-exposed": ("/package.json", b'{"name": "notes", "dependencies": {"fastify": "5"}}'),
    "docs-elsewhere": ("/swagger-ui.html", b"<html><title>Swagger UI</title></html>"),
    "files-listed": ("/", b'<pre>\n<a href="app.py">app.py</a>\n<a href="config/">config/</a>\n</pre>\n'),
    "docs-beside": ("/v2/openapi.json", b'{"openapi": "3.1.0", "paths": {}}'),
    "key-exposed": ("/certs/key.pem", b"-----BEGIN EC PRIVATE KEY-----\nMHcC\n"),
    "sqlite-exposed": ("/db.sqlite3", b"SQLite format 3\x00\x10\x00"),
    "static-listed": ("/static/", b"<html><head><title>Index of /static/</title></head></html>"),
    "docs-of-spectacular": ("/api/schema/", b"openapi: 3.0.3\ninfo: {}\n"),
    "docs-of-swaggo": ("/swagger/doc.json", b'{\n    "swagger": "2.0", "paths": {}}'),
}


BESIDE = {
    "tenant-export-unscoped": "/notes/export",
    "tenant-file-unscoped": "/notes.csv",
    "tenant-format-unscoped": "/notes?format=csv",
    **{
        f"tenant-beside-{path}": path
        for path in ("/notes/all", "/notes/download", "/notes?all=true", "/notes?scope=all")
    },
}


class HalfClosed(OtherService):
    """The other service behind one more layer, which is right where one looks first."""

    half: str = ""

    def __call__(self, asked: Asked) -> Said:
        path = urlsplit(asked.path).path
        if self.half in SERVED and path == SERVED[self.half][0]:
            return Said(200, SERVED[self.half][1])
        if self.half == "docs-behind-slash" and path in ("/docs", "/docs/"):
            page = Said(200, b"<html><title>Swagger UI</title></html>")
            return page if path == "/docs/" else Said(301, b"", {"Location": "/docs/"})
        if self.half == "headers-missing-on-other-405" and asked.method == "GET" and path == "/v2/session":
            return Said(405, b"{}")
        if path.startswith("/v2/"):
            asked = replace(asked, path=asked.path.removeprefix("/v2"))
        said = self._otherwise(asked, self._listed(asked, self._said(asked, path)), path)
        headers = {**said.headers, **self._cross_origin(asked, path)}
        if self.half == "cors-any-origin-on-errors" and said.status >= 400 and "origin" in asked.headers:
            headers["Access-Control-Allow-Origin"] = asked.headers["origin"]
        if self.half == f"headers-missing-on-{said.status}":
            headers = {"Content-Type": "application/json"}
        return Said(said.status, said.body, headers)

    def _said(self, asked: Asked, path: str) -> Said:
        if self.half == "headers-missing-on-other-405" and path == "/health":
            asked = replace(asked, method="GET")
        if path == "/health" and asked.method == "PUT":
            return Said(405, b'{"error": "no"}', super().__call__(replace(asked, method="GET")).headers)
        said = super().__call__(asked)
        row = self.objects.get(path.removeprefix("/notes/"))
        if self.half == "refusal-shows-object" and said.status == 404 and row is not None:
            return Said(403, json.dumps({"error": "not yours", "object": row}).encode(), said.headers)
        if row is not None and asked.method in ("PUT", "PATCH") and self.half == f"{asked.method.lower()}-unscoped":
            return self._written(row, json.loads(asked.body), said, whole=asked.method == "PUT")
        if self.half == "token-errors-told" and said.status == 401 and "authorization" in asked.headers:
            return Said(401, b"JWSInvalid: no JWS\n    at verify (/srv/node_modules/jose/verify.js:7:13)", said.headers)
        if self.half == "tenant-filter-unscoped" and asked.method == "GET" and path.endswith("/notes"):
            words = parse_qs(urlsplit(asked.path).query).get("text", [])
            rows = [row for row in self.objects.values() if row["text"] in words]
            if words:
                return Said(200, json.dumps({"notes": rows}).encode(), said.headers)
        if (
            self.half == "tenant-limit-unscoped"
            and asked.method == "GET"
            and "limit" in parse_qs(urlsplit(asked.path).query)
        ):
            return Said(200, json.dumps({"notes": list(self.objects.values())}).encode(), said.headers)
        if self.half == "tenant-filter-by-id" and asked.method == "GET" and path.endswith("/notes"):
            row = self.objects.get(parse_qs(urlsplit(asked.path).query).get("id", [""])[0])
            if row is not None:
                return Said(200, json.dumps({"notes": [row]}).encode(), said.headers)
        if self.half == "cookie-weaker-after-refresh" and path.endswith("/renew") and said.status == 200:
            cookie = str(said.headers.get("Set-Cookie", "")).replace("; HttpOnly", "")
            return Said(200, said.body, {**said.headers, "Set-Cookie": cookie})
        return said

    def _listed(self, asked: Asked, said: Said) -> Said:
        """What gives the objects beside the list as it is."""
        if asked.method != "GET" or self._bearer(asked) is None:
            return said
        rows = list(self.objects.values())
        if self.half in BESIDE and asked.path.endswith(BESIDE[self.half]):
            lines = "\n".join(f"{row['id']},{row['text']}" for row in rows)
            return Said(200, f"id,text\n{lines}".encode(), {**said.headers, "Content-Type": "text/csv"})
        words = parse_qs(urlsplit(asked.path).query).get("filter[text]", [])
        if self.half == "tenant-bracketed-filter" and words:
            return Said(
                200, json.dumps({"notes": [row for row in rows if row["text"] in words]}).encode(), said.headers
            )
        return said

    def _otherwise(self, asked: Asked, said: Said, path: str) -> Said:
        """What is open for another method or another scheme, and what a list counts."""
        if not path.endswith("/notes"):
            return said
        basic = asked.headers.get("authorization", "").startswith("Basic ")
        if (self.half == "head-open" and asked.method == "HEAD") or (self.half == "basic-open" and basic):
            return Said(200, b"{}", said.headers)
        if self.half in ("tenant-total-unscoped", "total-of-its-own") and asked.method == "GET" and said.status == 200:
            document = json.loads(said.body)
            counted = self.objects if self.half == "tenant-total-unscoped" else document["notes"]
            return Said(200, json.dumps({**document, "total": len(counted)}).encode(), said.headers)
        return said

    def _written(self, row: dict[str, Any], body: dict[str, Any], said: Said, *, whole: bool) -> Said:
        if whole and "colour" not in body:
            return Said(400, b'{"error": "colour is needed"}', said.headers)
        row["text"] = body["text"]
        return Said(200, json.dumps(row).encode(), said.headers)

    def _cross_origin(self, asked: Asked, path: str) -> dict[str, str]:
        origin = asked.headers.get("origin", "")
        inside = self.half == "cors-any-origin-inside" and path.endswith("/notes")
        local = self.half == "cors-localhost" and origin.startswith("http://localhost:")
        return {"Access-Control-Allow-Origin": origin} if origin and (origin == ORIGIN or inside or local) else {}


def probed(folder: Path, half: str, check: str) -> CheckResult:
    service = HalfClosed(Shape(algorithm="ES256", login="cookie") if check == "security.cookies" else Shape())
    service.half = half
    with serving(service) as port:
        settings = json.loads(configuration(service, port))
        settings["api"]["cors"] = {"origins": [ORIGIN]}
        settings["service"]["environment"] = "production"
        for place in ("login", "refresh", "logout"):
            settings["api"]["auth"][place]["path"] = "/v2" + settings["api"]["auth"][place]["path"]
        settings["api"]["auth"]["protected"] = "/v2/notes"
        ctx = context(folder, json.dumps(settings))
        ctx.probe_production = True
        return run_check(check, ctx)


HALVES: dict[str, tuple[str, tuple[str, ...]]] = {
    "cors-any-origin-inside": ("security.cors", ("/v2/notes", "foreign origin")),
    "cors-any-origin-on-errors": ("security.cors", ("refused login", "/v2/notes without a token allows a foreign")),
    "headers-missing-on-other-405": ("security.headers", ("on 405",)),
    "key-exposed": ("security.exposure", ("/certs/key.pem",)),
    "tenant-limit-unscoped": ("security.tenant-list", ("filtered by limit",)),
    "sqlite-exposed": ("security.exposure", ("/db.sqlite3",)),
    "static-listed": ("security.exposure", ("/static/",)),
    "docs-behind-slash": ("readiness.environment", ("/docs",)),
    "docs-of-spectacular": ("readiness.environment", ("/api/schema/",)),
    "cors-localhost": ("security.cors-bypass", ("localhost",)),
    "headers-missing-on-400": ("security.headers", ("on 400",)),
    "headers-missing-on-405": ("security.headers", ("on 405",)),
    "refusal-shows-object": ("security.tenant-read", ("reads the object",)),
    "token-errors-told": ("security.malformed-body", ("a token that is none",)),
    "tenant-filter-unscoped": ("security.tenant-list", ("filtered by text",)),
    "tenant-total-unscoped": ("security.tenant-list", ("counts other tenants' objects (total)",)),
    "head-open": ("readiness.authentication", ("HEAD /v2/notes without a token is accepted",)),
    "basic-open": ("readiness.authentication", ("a Basic login that nobody has",)),
    "tenant-filter-by-id": ("security.tenant-list", ("filtered by id",)),
    "cookie-weaker-after-refresh": ("security.cookies", ("sid lacks HttpOnly", "the refresh")),
    "dump-exposed": ("security.exposure", ("/backup.sql",)),
    "manifest-exposed": ("security.exposure", ("/package.json",)),
    "files-listed": ("security.exposure", ("a list of files at /",)),
    "docs-elsewhere": ("readiness.environment", ("/swagger-ui.html",)),
    "docs-beside": ("readiness.environment", ("/v2/openapi.json",)),
    "docs-of-swaggo": ("readiness.environment", ("/swagger/doc.json",)),
    "tenant-export-unscoped": ("security.tenant-list", ("Beside its list", "/notes/export")),
    "tenant-file-unscoped": ("security.tenant-list", ("Beside its list", "/notes.csv")),
    "tenant-format-unscoped": ("security.tenant-list", ("Beside its list", "/notes?format=csv")),
    **{half: ("security.tenant-list", (BESIDE[half],)) for half in BESIDE if half.startswith("tenant-beside-")},
    "tenant-bracketed-filter": ("security.tenant-list", ("filtered by filter[text]",)),
    "patch-unscoped": ("security.tenant-write", ("changes another tenant's object with PATCH",)),
}


@pytest.mark.parametrize("half", HALVES)
def test_what_is_closed_at_one_place_only_is_found(project: Path, half: str) -> None:
    check, words = HALVES[half]
    expect(probed(project, half, check), "fail", *words)


@pytest.mark.parametrize(("says", "status"), [(b"(psycopg2.errors.NumericValueOutOfRange)", "fail"), (b"{}", "pass")])
def test_a_number_too_large_for_an_id_shows_nothing_of_the_database(project: Path, says: bytes, status: str) -> None:
    service = OtherService(Shape(ids="integer"))

    def overflowing(asked: Asked) -> Said:
        return Said(500, says) if "9" * 20 in asked.path else service(asked)

    with serving(overflowing) as port:
        ctx = context(project, configuration(service, port))
        expect(run_check("security.malformed-body", ctx), status, "a number that no integer holds")
        ctx.close()
    assert service.objects == {}


def test_a_total_of_ones_own_is_no_leak(project: Path) -> None:
    expect(probed(project, "total-of-its-own", "security.tenant-list"), "pass", "totals of its list", "unchanged")


@pytest.mark.parametrize("half", HALVES)
def test_without_the_fault_nothing_is(project: Path, half: str) -> None:
    check, _ = HALVES[half]
    result = probed(project, "", check)
    assert result.status in {"pass", "warn"}, result.message
    assert "/v2" not in result.message


def test_any_origin_inside_is_seen_by_the_look_alikes_as_well(project: Path) -> None:
    expect(probed(project, "cors-any-origin-inside", "security.cors-bypass"), "fail", "GET /v2/notes", "null")


def test_a_filter_that_repeats_the_question_gives_nothing_away(project: Path) -> None:
    class Repeats(HalfClosed):
        def _said(self, asked: Asked, path: str) -> Said:
            said = super()._said(asked, path)
            if asked.method != "GET" or not path.endswith("/notes") or said.status != 200:
                return said
            return Said(200, json.dumps({**json.loads(said.body), "self": asked.path}).encode(), said.headers)

    service = Repeats(Shape(ids="integer"))
    with serving(service) as port:
        result = run_check("security.tenant-list", context(project, configuration(service, port)))
    expect(result, "pass")


@pytest.mark.parametrize(
    "told",
    [
        b'{"message": "SQLITE_ERROR: near \\"abc\\": syntax error"}',
        b'near "x": syntax error',
        b'ERROR: syntax error at or near "maestro"',
        b'invalid input syntax for type uuid: "maestro-probe"',
        b'relation "notes" does not exist',
        b"ER_PARSE_ERROR: You are near",
        b"json: cannot decode in /srv/ledger/main.go:312: unexpected EOF",
        b'{"error": "Unexpected token } in JSON (in /usr/src/app/dist/main.js)"}',
        b"failed opening required /var/www/html/login.php",
    ],
)
def test_what_a_database_says_is_of_the_inside(told: bytes) -> None:
    assert trace_in(told) is not None


@pytest.mark.parametrize(
    "told",
    [
        b'{"error": "invalid input"}',
        b"the relation does not exist",
        b'{"detail": "JSON syntax error near x"}',
        b'<script src="/app/main.js"></script><a href=/usr/list.php>',
        b"see https://example.test/app/help.php",
    ],
)
def test_what_a_validator_says_is_not(told: bytes) -> None:
    assert trace_in(told) is None


class OwnAlgorithm(OtherService):
    """Insists on the algorithm that it signs with, and takes the key from wherever the token says."""

    place: str = ""

    def _wrong_keys(self, header: Mapping[str, Any], algorithm: str) -> list[bytes]:
        if algorithm != self.shape.algorithm or self.place not in header:
            return []
        keys = [header.get("jwk", {})]
        if self.place == "jku":
            with urllib.request.urlopen(header["jku"], timeout=2) as answer:  # noqa: S310 - the very fault
                keys = json.load(answer)["keys"]
        return [decode64(key["k"]) for key in keys if key["kty"] == "oct"]


@pytest.mark.parametrize(
    ("place", "check"), [("jwk", "security.jwt-embedded-key"), ("jku", "security.jwt-key-url"), ("", "")]
)
def test_keys_from_the_token_are_offered_for_the_services_own_algorithm(project: Path, place: str, check: str) -> None:
    service = OwnAlgorithm(Shape(algorithm="HS512"))
    service.place = place or "nowhere"
    with serving(service) as port:
        for name in ("security.jwt-embedded-key", "security.jwt-key-url"):
            result = run_check(name, context(project, configuration(service, port)))
            if name == check:
                expect(result, "fail", "for HS512")
            else:
                expect(result, "pass")


class Remembers(OtherService):
    """Keeps the signatures that it has verified, and not what they were over."""

    def _signed(self, token: tokens.Jwt) -> bool:
        seen: set[bytes] = self.__dict__.setdefault("seen", set())
        if token.signature not in seen and not super()._signed(token):
            return False
        seen.add(token.signature)
        return True


def test_a_verifier_that_remembers_signatures_is_told_from_one_that_takes_none(project: Path) -> None:
    with serving(Remembers(Shape())) as port:
        yaml = configuration(OtherService(Shape()), port)
        expect(run_check("security.jwt-signature", context(project, yaml)), "fail", "changed claims")
        expect(run_check("security.jwt-alg-none", context(project, yaml)), "pass")


def test_a_header_without_an_algorithm_is_tried(project: Path) -> None:
    class Nameless(OtherService):
        def _claims(self, text: str, kind: str) -> dict[str, object] | None:
            first, claims, *_ = text.split(".") if text.count(".") == 2 else ("", "", "")
            if first and "alg" not in json.loads(tokens.decode64(first)):
                return dict(json.loads(tokens.decode64(claims)))
            return super()._claims(text, kind)

    with serving(Nameless(Shape())) as port:
        yaml = configuration(OtherService(Shape()), port)
        expect(run_check("security.jwt-alg-none", context(project, yaml)), "fail", "no alg at all")


@pytest.mark.parametrize(
    ("told", "status"),
    [("$2b$12$" + "a" * 53, "fail"), ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", "fail"), ("$2b", "pass")],
)
def test_a_login_that_answers_with_the_whole_row_of_the_user(project: Path, told: str, status: str) -> None:
    class WholeRow(OtherService):
        def _answer(self, issued: dict[str, str]) -> Said:
            said = super()._answer(issued)
            return replace(said, body=json.dumps({**json.loads(said.body), "user": {"pw": told}}).encode())

    assert "password-hash-answered" in load_check("security.exposure").faults
    with serving(WholeRow(Shape())) as port:
        result = run_check("security.exposure", context(project, configuration(OtherService(Shape()), port)))
    expect(result, status)
    assert "aaaaa" not in repr(result)


def test_an_object_that_a_change_takes_over_is_not_left_behind(project: Path) -> None:
    class Upserts(OtherService):
        """A PUT writes the whole row, whosever it was: the owner's object is the writer's afterwards."""

        def _notes(self, asked: Asked, path: str, tenant: str) -> Said:
            if asked.method == "PUT" and path.startswith("/notes/"):
                made = path.removeprefix("/notes/")
                self.objects[made] = {"id": made, "text": json.loads(asked.body)["text"], "tenant": tenant}
                return Said(200, json.dumps(self.objects[made]).encode())
            return super()._notes(asked, path, tenant)

    service = Upserts(Shape())
    with serving(service) as port:
        for check, status in (("security.tenant-spoofing", "pass"), ("security.tenant-write", "fail")):
            ctx = context(project, configuration(service, port))
            expect(run_check(check, ctx), status)
            assert ctx.cleanup.left == []
            if check == "security.tenant-spoofing":
                assert service.objects == {}, "what the stranger has taken over, the stranger deletes"


def test_a_verifier_that_lets_tokens_without_a_key_id_pass(project: Path) -> None:
    class NoName(OtherService):
        def _signed(self, token: tokens.Jwt) -> bool:
            return ("kid" not in token.header and token.algorithm == "HS256") or super()._signed(token)

    with serving(NoName(Shape())) as port:
        yaml = configuration(OtherService(Shape()), port)
        expect(run_check("security.jwt-signature", context(project, yaml)), "fail", "no kid and a changed signature")
        expect(run_check("security.jwt-embedded-key", context(project, yaml)), "pass")


def test_a_second_key_that_is_well_known_is_not_shown(project: Path) -> None:
    service = OtherService(Shape(), frozenset({"jwt-weak-second-key"}))
    with serving(service) as port:
        result = run_check("security.jwt-weak-key", context(project, configuration(service, port)))
    expect(result, "fail", "well-known key is accepted")
    assert "changeme" not in repr(result)


@pytest.mark.parametrize(("headers", "status"), [("authorization, content-type", "pass"), ("content-type", "warn")])
def test_an_origin_that_is_allowed_may_send_its_token(project: Path, headers: str, status: str) -> None:
    class Allows(HalfClosed):
        def __call__(self, asked: Asked) -> Said:
            said = super().__call__(asked)
            return replace(said, headers={**said.headers, "Access-Control-Allow-Headers": headers})

    with serving(Allows(Shape())) as port:
        settings = json.loads(configuration(OtherService(Shape()), port))
        settings["api"]["cors"] = {"origins": [ORIGIN]}
        result = run_check("security.cors", context(project, json.dumps(settings)))
    expect(result, status, ORIGIN if status == "pass" else "does not allow the header authorization")


class Unguarded(OtherService):
    """One route has no guard: whoever comes without a token is taken for the first account."""

    place: str = ""
    last: str = ""

    def __call__(self, asked: Asked) -> Said:
        kind = (asked.method, urlsplit(asked.path).path.removeprefix("/notes"))
        open_ = {
            "reading": kind[0] == "GET" and len(kind[1]) > 1,
            "listing": kind == ("GET", "/"),
            "making": kind == ("POST", ""),
        }
        if open_.get(self.place, False) and "/notes" in asked.path and "authorization" not in asked.headers:
            path = asked.path.removesuffix("/") if self.place == "listing" else asked.path
            asked = replace(asked, path=path, headers={**asked.headers, "authorization": self.last})
        if asked.headers.get("authorization", "").startswith("Bearer ey") and urlsplit(asked.path).path == "/notes":
            self.last = asked.headers["authorization"]
        return super().__call__(asked)


@pytest.mark.parametrize("place", ["reading", "listing", "making"])
def test_a_route_without_a_guard_is_found(project: Path, place: str) -> None:
    service = Unguarded(Shape())
    service.place = place
    with serving(service) as port:
        result = run_check("security.write-authentication", context(project, configuration(service, port)))
    expect(result, "fail", f"{place} ", "object")
    assert service.objects == {}, "no probe's object is left"


@pytest.mark.parametrize("deletes", [True, False])
def test_a_deletion_that_crashes_without_a_token_is_no_refusal(project: Path, *, deletes: bool) -> None:
    service = OtherService(Shape())

    def crashing(asked: Asked) -> Said:
        if asked.method != "DELETE" or "authorization" in asked.headers:
            return service(asked)
        if deletes:
            service.objects.pop(asked.path.rpartition("/")[2], None)
        return Said(500, b"{}", SAFE)

    with serving(crashing) as port:
        result = run_check("security.write-authentication", context(project, configuration(service, port)))
    if deletes:
        expect(result, "fail", "deletion with no token")
    else:
        expect(result, "warn", "no refusal, is answered to deletion with no token")


@pytest.mark.parametrize(
    ("half", "made", "status", "words"),
    [
        ("", "before", "pass", "cannot change another tenant's object"),
        ("patch-unscoped", "before", "fail", "changes another tenant's object"),
        ("", "after", "error", "changes nothing"),
    ],
)
def test_a_change_that_is_the_same_for_everybody(project: Path, half: str, made: str, status: str, words: str) -> None:
    """Who comes second writes what is there already; and what was there from the start tells nothing at all."""
    service = HalfClosed(Shape())
    service.half = half
    with serving(service) as port:
        settings = json.loads(configuration(service, port))
        settings["api"]["isolation"]["create"]["body"] = {"text": made}
        settings["api"]["isolation"]["update"]["body"] = {"text": "after"}
        result = run_check("security.tenant-write", context(project, json.dumps(settings)))
    expect(result, status, words)


def test_a_put_in_place_of_a_patch_is_whole(project: Path) -> None:
    service = HalfClosed(Shape())
    service.half = "put-unscoped"
    with serving(service) as port:
        settings = json.loads(configuration(service, port))
        isolation = settings["api"]["isolation"]
        isolation["create"]["body"]["colour"] = "red"
        isolation["update"] |= {"method": "PATCH", "body": {"text": "changed-{nonce}"}}
        result = run_check("security.tenant-write", context(project, json.dumps(settings)))
    expect(result, "fail", "changes another tenant's object with PUT")


@pytest.mark.parametrize("half", ["headers-missing-on-201", ""])
def test_what_other_probes_are_answered_is_looked_at_as_well(project: Path, half: str) -> None:
    service = HalfClosed(Shape())
    service.half = half
    with serving(service) as port:
        ctx = context(project, configuration(service, port))
        assert execute(load_check("security.tenant-read"), ctx).status == "pass"
        result = run_check("security.headers", ctx)
    if half:
        expect(result, "fail", "on 201")
    else:
        assert "on 201" not in result.message
        assert any("(201)" in row.name for row in result.evidence)
