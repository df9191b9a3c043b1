"""Places that everybody may ask: each is named for what it is, and hides nothing else that was seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from check_support import context, expect, run_check
from other_service import USERS, OtherService, configuration
from small_api import Answering, Asked, Said, serving

from maestro_cli.model import CheckResult
from maestro_cli.observe.tokens import forge, parse


class PublicList(OtherService):
    """Whoever asks is given the list, token or none; what it holds can be read with a token only."""

    def __call__(self, asked: Asked) -> Said:
        if asked.method == "GET" and asked.path.rstrip("/") == "/notes" and "authorization" not in asked.headers:
            return self._everybody()
        said = super().__call__(asked)
        return self._everybody() if asked.method == "GET" and asked.path == "/notes" and said.status == 401 else said

    def _everybody(self) -> Said:
        rows = [{"id": row["id"], "text": row["text"]} for row in self.objects.values()]
        return Said(200, json.dumps({"notes": rows}).encode(), {"Content-Type": "application/json"})


def look(
    check: str, folder: Path, service: OtherService, answering: Answering | None = None, **changes: Any
) -> CheckResult:
    """Run one check; `changes` go into `api`."""
    with serving(answering or service) as port:
        document = json.loads(configuration(service, port))
        for path, value in changes.items():
            place, _, name = path.rpartition("__")
            part = document["api"][place] if place else document["api"]
            if value is None:
                del part[name]
            else:
                part[name] = value
        return run_check(check, context(folder, json.dumps(document)))


ME = {"auth__protected": "/notes/mine"}


def with_own_page(service: OtherService) -> Answering:
    """A page that needs a token, where the list is open."""

    def answering(asked: Asked) -> Said:
        if asked.path == "/notes/mine":
            token = asked.headers.get("authorization", "").removeprefix("Bearer ")
            known = service._claims(token, "access") is not None
            return Said(200 if known else 401, b"{}")
        return service(asked)

    return answering


def test_a_list_for_everybody_says_nothing_of_signatures(project: Path) -> None:
    service = PublicList()
    expect(look("security.jwt-signature", project, service, with_own_page(service), **ME), "pass")
    result = look("security.write-authentication", project, service, with_own_page(service), **ME)
    expect(result, "fail", "What needs no token, and should: listing objects.")


def test_signatures_that_are_not_looked_at_where_objects_are_read_are_found_beside_such_a_list(project: Path) -> None:
    service = PublicList(faults=frozenset({"jwt-signature-unchecked-when-reading"}))
    answering = with_own_page(service)
    result = expect(look("security.jwt-signature", project, service, answering, **ME), "fail", "at /notes/{id}")
    assert "at /notes." not in result.message


@pytest.mark.parametrize(("service", "status"), [(PublicList(), "fail"), (OtherService(), "pass")])
def test_reading_and_making_without_a_token_is_tried_where_nothing_is_changed_or_deleted(
    project: Path, service: OtherService, status: str
) -> None:
    changes = {"isolation__update": None, "isolation__delete": None, "isolation__keep": True}
    answering = with_own_page(service)
    result = look("security.write-authentication", project, service, answering, **ME, **changes)
    expect(result, status, "without a token 200" if status == "fail" else "making an object with no token")


def roles(*forbidden: str) -> dict[str, Any]:
    bob = {"username": "bob", "password": USERS["bob"][0]}
    return {"account": bob, "forbidden": [{"path": path} for path in forbidden]}


def test_what_an_account_of_few_rights_may_do_is_told_although_something_else_is_not_proved(project: Path) -> None:
    found = look("security.role-limits", project, OtherService(), roles=roles("/nowhere", "/notes"))
    expect(found, "fail", "bob may do what it must not: GET /notes.")


def test_what_the_first_account_does_not_get_done_either_tells_nothing_about_rights(project: Path) -> None:
    found = look("security.role-limits", project, OtherService(), roles=roles("/nowhere"))
    expect(found, "error", "ann does not get it done either", "GET /nowhere (404)")


def test_the_two_refusals_are_shown_where_their_words_differ(project: Path) -> None:
    service = OtherService()

    def telling(asked: Asked) -> Said:
        said = service(asked)
        known = json.loads(asked.body)["user"] in USERS if said.status == 401 and asked.path == "/session" else True
        return said if known else Said(401, b'{"error": "no such user"}', said.headers)

    found = look("security.user-enumeration", project, service, telling)
    expect(found, "fail", '{"error": "refused"}', '{"error": "no such user"}')


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/users/_debug", b'{"users": [{"name": "ann", "password": "x"}]}', "fail"),
        ("/v1/users/_debug", b'{"level": "info"}', "pass"),
        ("/v1/debugging-guide", b'{"password": "how to choose one"}', "pass"),
        ("/v1/users/{name}/debug", b'{"password": "x"}', "pass"),
    ],
)
def test_a_debug_page_that_the_own_document_names_is_looked_at(
    project: Path, path: str, body: bytes, status: str
) -> None:
    service = OtherService()
    document = {"openapi": "3.0.1", "paths": {path: {"get": {}}, "/v1/reset": {"get": {}}}}
    asked_for: list[str] = []

    def answering(asked: Asked) -> Said:
        asked_for.append(asked.path)
        if asked.path == "/openapi.json":
            return Said(200, json.dumps(document).encode())
        return Said(200, body) if asked.path == path else service(asked)

    expect(look("security.exposure", project, service, answering), status, path if status == "fail" else "")
    assert "/v1/reset" not in asked_for, "a GET may do things"


def test_a_version_that_only_the_health_page_tells_is_seen(project: Path) -> None:
    service = OtherService()

    def answering(asked: Asked) -> Said:
        said = service(asked)
        return (
            Said(said.status, said.body, {**said.headers, "X-Powered-By": "Python 3.10"})
            if asked.path == "/health"
            else said
        )

    expect(look("security.exposure", project, service, answering), "warn", "the headers name Python 3.10")


def test_a_remedy_that_names_a_command_says_as_well_what_to_do(project: Path) -> None:
    found = look("security.jwt-weak-key", project, OtherService(faults=frozenset({"jwt-weak-key"})))
    assert found.remedy is not None
    assert found.remedy.command == "maestro secrets generate"
    assert "let everybody log in again" in found.remedy.text


def test_a_login_that_looks_at_the_password_alone_is_not_said_to_run_names_as_queries(project: Path) -> None:
    service = OtherService()

    def answering(asked: Asked) -> Said:
        if asked.path == "/session" and asked.body.startswith(b"{"):
            body = json.loads(asked.body)
            known = {word: name for name, (word, _) in USERS.items()}
            if isinstance(body, dict) and body.get("password") in known:
                name = known[body["password"]]
                return service(replace(asked, body=json.dumps({"user": name, "password": body["password"]}).encode()))
        return service(asked)

    expect(
        look("readiness.authentication", project, service, answering), "pass", "login with a name that goes on in SQL"
    )


MD5 = "5f4dcc3b5aa765d61d8327deb882cf99"


@pytest.mark.parametrize(
    ("place", "members", "found"),
    [
        ("token", {"user": {"email": "ann", "password": MD5}}, "the access token holds a password's hash"),
        ("token", {"password": "changed last week"}, None),
        ("login", {"me": {"password": USERS["ann"][0]}}, "the login's answer holds the password"),
        ("login", {"links": {"password": "/me/password"}, "password": "**********"}, None),
        ("protected", {"password_hash": MD5.upper()}, "the answer of api.auth.protected holds a password's hash"),
        ("protected", {"avatar_hash": MD5}, None),
    ],
)
def test_passwords_that_an_account_is_told_of_itself(
    project: Path, place: str, members: dict[str, Any], found: str | None
) -> None:
    service = OtherService()

    def answering(asked: Asked) -> Said:
        if place == "token" and asked.method == "GET" and asked.path == "/notes":
            given = parse(asked.headers.get("authorization", "").removeprefix("Bearer "))
            return Said(200 if given is not None and members.items() <= given.claims.items() else 401, b"{}")
        said = service(asked)
        if said.status != 200 or asked.path != {"protected": "/notes"}.get(place, "/session"):
            return said
        body = json.loads(said.body)
        if place == "token":
            token = parse(body["token"])
            assert token is not None
            body["token"] = forge(token.header, {**token.claims, **members}, service.secret.encode())
        else:
            body |= members
        return Said(200, json.dumps(body).encode(), said.headers)

    expect(look("security.exposure", project, service, answering), "fail" if found else "pass", found or "")


def test_what_a_refusal_says_stands_where_nothing_can_be_measured_and_no_secret_in_it(project: Path) -> None:
    service = OtherService()
    word = USERS["ann"][0]

    def answering(asked: Asked) -> Said:
        if asked.path == "/notes" and asked.method == "POST":
            text = f"the token against forged requests is missing, {word * 20}"
            return Said(400, json.dumps({"detail": text}).encode(), {"Content-Type": "application/json"})
        return service(asked)

    found = look("security.tenant-read", project, service, answering)
    expect(found, "error", "is answered 400: ", "the token against forged requests is missing")
    assert word[:8] not in found.message
