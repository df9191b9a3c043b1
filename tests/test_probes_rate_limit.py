"""The rate limit where it guards the login alone, or what opens only with a token."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from check_support import context, expect, load_check, run_check
from small_api import Asked, Said, serving

from maestro_cli.model import CheckResult

USERS = {"ann": "ann-has-a-password"}
LIMIT = 6
REFUSED = Said(429, headers={"Retry-After": "60"})


class Guarded:
    """A login that answers no with 200, and a list behind a token; one of the two is limited, per address.

    Attributes:
        at: `login` or `list`.
        by: What a client is counted by: a request header, where it is not the address.
        asked: How many requests were counted, by path.
    """

    def __init__(self, at: str, by: str | None = None, limit: int = LIMIT) -> None:
        self.at, self.by, self.limit = at, by, limit
        self.counts: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()

    def over(self, asked: Asked) -> bool:
        client = asked.client if self.by is None else asked.headers.get(self.by, asked.client)
        self.counts[client] += 1
        return self.counts[client] > self.limit

    def __call__(self, asked: Asked) -> Said:
        path = asked.path.partition("?")[0]
        if path == "/login" and asked.method != "POST":
            return Said(405)
        self.asked[path] += 1
        if path == "/login":
            if self.at == "login" and self.over(asked):
                return REFUSED
            body = json.loads(asked.body)
            right = USERS.get(body["username"]) == body["password"]
            return Said(200, b'{"ok": true, "access_token": "abc"}' if right else b'{"ok": false}')
        if asked.headers.get("authorization") != "Bearer abc":
            return Said(401)
        return REFUSED if self.at == "list" and self.over(asked) else Said()


def look(check: str, folder: Path, service: Guarded) -> CheckResult:
    with serving(service) as port:
        login = """login: {path: /login, failure: '"ok": false'}"""
        auth = f"auth: {{{login}, accounts: [{{username: ann, password: {USERS['ann']}}}]}}"
        limit = f"rate_limit: {{requests: {LIMIT}, path: /{service.at}}}"
        return run_check(check, context(folder, f"api: {{url: 'http://127.0.0.1:{port}', {auth}, {limit}}}\n"))


@pytest.mark.parametrize("at", ["login", "list"])
def test_a_limit_is_seen_where_only_a_login_or_a_token_reaches_it(project: Path, at: str) -> None:
    service = Guarded(at)
    expect(look("security.rate-limit", project, service), "pass", f"429 at request {LIMIT + 1}")
    expect(look("security.rate-limit-bypass", project, service), "pass", "429")


@pytest.mark.parametrize("at", ["login", "list"])
def test_a_limit_that_is_missing_there_is_missed(project: Path, at: str) -> None:
    expect(look("security.rate-limit", project, Guarded(at, limit=10_000)), "fail", "There is no limit in")


@pytest.mark.parametrize("header", ["x-forwarded-for", "x-real-ip", "user-agent"])
@pytest.mark.parametrize("at", ["login", "list"])
def test_a_limit_that_is_escaped_there_is_found(project: Path, at: str, header: str) -> None:
    result = look("security.rate-limit-bypass", project, Guarded(at, by=header))
    assert header in expect(result, "fail", "escaped by").message.lower()


class EachPath(Guarded):
    """Health and login have a limit each, or one for both."""

    def __call__(self, asked: Asked) -> Said:
        path = asked.path.partition("?")[0]
        key = f"{asked.client} {path if self.at == 'each' else ''} {asked.headers.get(self.by or '', '')}"
        self.counts[key] += 1
        if self.counts[key] > self.limit:
            return REFUSED
        return Said(401) if path == "/login" else Said()


@pytest.mark.parametrize(("at", "escaped"), [("each", True), ("all", False)])
def test_a_limit_of_all_paths_that_is_one_of_each(project: Path, at: str, escaped: bool) -> None:
    assert "rate-limit-of-each-path" in load_check("security.rate-limit-bypass").faults
    with serving(EachPath(at)) as port:
        auth = f"auth: {{login: {{path: /login}}, accounts: [{{username: ann, password: {USERS['ann']}}}]}}"
        limit = f"rate_limit: {{requests: {LIMIT}, path: /health, scope: client}}"
        yaml = f"api: {{url: 'http://127.0.0.1:{port}', {auth}, {limit}}}\n"
        result = run_check("security.rate-limit-bypass", context(project, yaml))
    expect(result, "fail" if escaped else "pass", *(["going to the login"] if escaped else ["429"]))


def test_a_limit_that_counts_by_a_tenant_that_the_client_names(project: Path) -> None:
    assert "rate-limit-by-tenant-header" in load_check("security.rate-limit-bypass").faults
    result = look("security.rate-limit-bypass", project, Guarded("list", by="x-tenant-id"))
    expect(result, "fail", "X-Tenant-ID")


@pytest.mark.parametrize("at", ["login", "list"])
def test_a_limit_that_counts_by_a_cookie_that_the_client_makes_up(project: Path, at: str) -> None:
    assert "rate-limit-by-cookie" in load_check("security.rate-limit-bypass").faults
    expect(look("security.rate-limit-bypass", project, Guarded(at, by="cookie")), "fail", "escaped by Cookie")


def test_the_login_is_tried_as_nobody(project: Path) -> None:
    """So no account is locked out by it."""
    service = Guarded("login")
    look("security.rate-limit", project, service)
    assert service.asked["/login"] >= LIMIT
    assert service.asked["/list"] == 0


class EachSpelling(Guarded):
    """`/list/` is `/list` to the routes; the limit may see two."""

    def __call__(self, asked: Asked) -> Said:
        path = asked.path.partition("?")[0]
        if path.rstrip("/") != "/list":
            return super().__call__(asked) if path == "/login" else Said(404)
        if asked.headers.get("authorization") != "Bearer abc":
            return Said(401)
        self.counts[path if self.at == "list" else "/list"] += 1
        return REFUSED if self.counts[path if self.at == "list" else "/list"] > self.limit else Said()


def test_a_limit_of_each_spelling_of_a_path(project: Path) -> None:
    assert "rate-limit-of-each-spelling" in load_check("security.rate-limit-bypass").faults
    expect(look("security.rate-limit-bypass", project, EachSpelling("list")), "fail", "a slash behind the path")


def test_a_slash_is_no_escape_where_every_path_is_answered_alike(project: Path) -> None:
    class Everything(EachSpelling):
        def __call__(self, asked: Asked) -> Said:
            said = super().__call__(asked)
            return Said() if said.status == 404 else said

    expect(look("security.rate-limit-bypass", project, Everything("list")), "pass", "GET /list/")


class Locking(Guarded):
    """A login with an API key, which locks an account after three wrong passwords, before its address has used its limit."""

    def __call__(self, asked: Asked) -> Said:
        if self.over(asked):
            return REFUSED
        if asked.headers.get("x-api-key") != "the-key":
            return Said(401)
        name = json.loads(asked.body)["username"]
        self.asked[name] += 1
        return Said(429, headers={"Retry-After": "900"}) if self.asked[name] > 3 else Said(401)


@pytest.mark.parametrize(
    ("by", "limit", "check", "status", "says"),
    [
        (None, LIMIT, "security.rate-limit", "pass", f"429 at request {LIMIT + 1}"),
        (None, LIMIT, "security.rate-limit-bypass", "pass", "429"),
        ("x-real-ip", LIMIT, "security.rate-limit-bypass", "fail", "escaped by X-Real-IP"),
        (None, LIMIT + 3, "security.rate-limit", "fail", "only request 10"),
        (None, LIMIT - 1, "security.rate-limit", "fail", "already request 6"),
        (None, 10_000, "security.rate-limit", "fail", "There is no limit in"),
    ],
)
def test_a_lock_of_one_account_is_not_the_limit_of_an_address(
    project: Path, by: str | None, limit: int, check: str, status: str, says: str
) -> None:
    with serving(Locking("login", by=by, limit=limit)) as port:
        auth = f"auth: {{login: {{path: /login, headers: {{X-Api-Key: the-key}}}}, accounts: [{{username: ann, password: {USERS['ann']}}}]}}"
        yaml = f"api: {{url: 'http://127.0.0.1:{port}', {auth}, rate_limit: {{requests: {LIMIT}, path: /login}}}}\n"
        expect(run_check(check, context(project, yaml)), status, says)


@pytest.mark.parametrize("path", ["/health", "/login"])
@pytest.mark.parametrize(
    ("usual", "limited", "status"), [(True, True, "pass"), (True, False, "warn"), (False, False, "pass")]
)
def test_a_refusal_is_dressed_as_other_answers_are(
    project: Path, path: str, usual: bool, limited: bool, status: str
) -> None:
    safe = {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
    }
    asked: Counter[str] = Counter()

    def answering(question: Asked) -> Said:
        asked[question.client] += 1
        if asked[question.client] > LIMIT:
            return Said(429, headers={"Retry-After": "60", **(safe if limited else {})})
        return Said(401 if question.path == "/login" else 200, headers=safe if usual else {})

    with serving(answering) as port:
        auth = f"auth: {{login: {{path: /login}}, accounts: [{{username: ann, password: {USERS['ann']}}}]}}"
        limit = f"rate_limit: {{requests: {LIMIT}, path: {path}}}"
        yaml = f"api: {{url: 'http://127.0.0.1:{port}', {auth}, {limit}}}\n"
        result = run_check("security.rate-limit", context(project, yaml))
    expect(result, status, "fewer security headers" if status == "warn" else "is answered 429")


@pytest.mark.parametrize(("told", "status"), [("60", "pass"), ("0", "warn")])
def test_a_refusal_that_says_to_come_back_at_once(project: Path, told: str, status: str) -> None:
    asked: Counter[str] = Counter()

    def answering(question: Asked) -> Said:
        asked[question.client] += 1
        return Said(429, headers={"Retry-After": told}) if asked[question.client] > LIMIT else Said()

    with serving(answering) as port:
        yaml = f"api: {{url: 'http://127.0.0.1:{port}', rate_limit: {{requests: {LIMIT}}}}}\n"
        expect(run_check("security.rate-limit", context(project, yaml)), status, "come back")


class Turning(Guarded):
    """A window that ends once, behind this many requests."""

    turns = 0

    def over(self, asked: Asked) -> bool:
        if self.asked["/list"] == self.turns + 1:
            self.counts.clear()
        return super().over(asked)


@pytest.mark.parametrize("turns", [1, LIMIT - 1, LIMIT + 1])
@pytest.mark.parametrize("check", ["security.rate-limit", "security.rate-limit-bypass"])
def test_a_window_that_ends_in_the_middle_of_a_burst_is_no_missing_limit(project: Path, check: str, turns: int) -> None:
    service = Turning("list")
    service.turns = turns
    expect(look(check, project, service), "pass")
