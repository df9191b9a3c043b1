"""What frameworks do that others don't: the probes find the same faults there, and cry no wolf."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from check_support import asking, context
from habits_service import FAULTS, HABITS, HabitsService, configuration
from small_api import Asked, Said, serving

from maestro_cli.model import Component, Report
from maestro_cli.observe.answers import trace_in
from maestro_cli.observe.public_keys import public_keys
from maestro_cli.observe.tenant_objects import shared_object
from maestro_cli.observe.tokens import new_key, public_jwk
from maestro_cli.runner import Plan, run
from maestro_cli.scoring import GateRule

ALWAYS = {"readiness.https": "fail"}
"""It is served in the clear."""


def probe(service: HabitsService, folder: Path) -> Report:
    with serving(service) as port:
        ctx = context(folder, configuration(service, port))
        try:
            return run(asking(), ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
        finally:
            ctx.close()
            if service.on("named-by-client"):
                assert len(ctx.cleanup.left) == len(service.notes) > 0, "what stays is said"
            else:
                assert ctx.cleanup.left == []
                assert service.notes == {}, "no probe's object is left"
            assert set(service.logins) <= service.ended, "every login is logged out"


def findings(report: Report) -> dict[str, str]:
    return {row.id: f"{row.status}" for row in report.checks if row.status not in ("pass", "skip")}


@pytest.mark.parametrize(
    "habits",
    [{habit} for habit in HABITS]
    + [
        {"tenant-in-path", "volatile", "no-with-200"},
        {"tenant-in-path", "tenant-numbered"},
        {"page-for-all", "page-inside"},
        {"cookie-tokens", "foreign-session-refused"},
        {"cookie-tokens", "visitors-session"},
        {"cookie-tokens", "cookie-for-writes"},
        {"missing-is-forbidden", "logout-by-refresh-token"},
    ],
    ids=lambda habits: "+".join(sorted(habits)),
)
def test_no_habit_is_taken_for_a_fault(project: Path, habits: set[str]) -> None:
    report = probe(HabitsService(frozenset(habits)), project)
    crashes = {"security.malformed-body": "warn"} if "crash-hangs-up" in habits else {}
    assert findings(report) == ALWAYS | crashes
    measured = {row.id for row in report.checks if row.status == "pass"}
    wanted = {
        "tenant-read",
        "tenant-list",
        "tenant-write",
        "tenant-spoofing",
        "refresh-rotation",
        "exposure",
        "headers",
    }
    assert {f"security.{name}" for name in wanted} <= measured


CASES = [
    ("workspace-header", set(), "security.tenant-spoofing"),
    ("workspace-query", {"volatile"}, "security.tenant-spoofing"),
    ("workspace-filter", set(), "security.tenant-spoofing"),
    ("workspace-query-when-making", set(), "security.tenant-spoofing"),
    ("workspace-body", set(), "security.tenant-spoofing"),
    ("workspace-body", {"strict"}, "security.tenant-spoofing"),
    ("workspace-body", {"tenant-in-path", "tenant-numbered"}, "security.tenant-spoofing"),
    ("workspace-query", {"tenant-in-path", "tenant-numbered"}, "security.tenant-spoofing"),
    ("making-unscoped", {"tenant-in-path"}, "security.tenant-spoofing"),
    ("workspace-moved", {"no-with-200"}, "security.tenant-spoofing"),
    ("delete-unscoped", {"no-with-200", "volatile"}, "security.tenant-write"),
    ("refresh-reusable", {"cookie-tokens"}, "security.refresh-rotation"),
    ("refresh-family-survives", {"cookie-tokens"}, "security.refresh-rotation"),
    ("refresh-family-survives", {"logout-by-refresh-token"}, "security.refresh-rotation"),
    ("object-unscoped", {"named-by-client"}, ("security.tenant-read", "security.tenant-write")),
    ("debug", {"page-for-all"}, "security.exposure"),
    ("debug", {"page-inside"}, "security.exposure"),
    ("trace-inside", set(), "security.malformed-body"),
    ("search-unscoped", {"tenant-in-path"}, "security.tenant-list"),
    ("ended-session-crashes", set(), "security.revocation"),
    ("trace-when-changing", {"tenant-in-path"}, "security.malformed-body"),
    ("workspace-header-when-reading", {"tenant-in-path"}, "security.tenant-spoofing"),
    ("unknown-user-said", set(), "security.user-enumeration"),
    ("unknown-user-said", {"login-form"}, "security.user-enumeration"),
    ("unknown-user-said", {"login-token"}, "security.user-enumeration"),
    ("any-password", {"login-form"}, "readiness.authentication"),
    ("any-password", {"cookie-tokens", "visitors-session"}, "readiness.authentication"),
]


@pytest.mark.parametrize(("fault", "habits", "check"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_fault_is_found_whatever_the_habits(
    project: Path, fault: str, habits: set[str], check: str | tuple[str, ...]
) -> None:
    found = findings(probe(HabitsService(frozenset(habits), frozenset({fault})), project))
    red = (check,) if isinstance(check, str) else check
    assert {name: status for name, status in found.items() if status == "fail"} == {
        **ALWAYS,
        **dict.fromkeys(red, "fail"),
    }


@pytest.mark.parametrize("fault", ["membership-unchecked", "object-unscoped"])
def test_paths_that_name_the_tenant_are_tried_with_either(project: Path, fault: str) -> None:
    report = probe(HabitsService(frozenset({"tenant-in-path"}), frozenset({fault})), project)
    found = findings(report)
    assert found["security.tenant-read"] == "fail"
    assert found["security.tenant-write"] == "fail"
    assert found["security.tenant-spoofing"] == "error", "who reads anything needs to name nobody"
    assert found.get("security.tenant-list", "pass") == ("fail" if fault == "membership-unchecked" else "pass")


def test_logins_that_should_have_been_refused_are_logged_out_as_well(project: Path) -> None:
    service = HabitsService(faults=frozenset({"any-password"}))
    assert findings(probe(service, project))["readiness.authentication"] == "fail"
    alive = [row for row in service.tokens.values() if row["family"] not in service.ended]
    assert alive == []


def test_every_fault_is_tried() -> None:
    alone = {"membership-unchecked", "object-unscoped", "any-password"}
    assert {fault for fault, _, _ in CASES} | alone == set(FAULTS)


@pytest.mark.parametrize(
    "page",
    [
        'Traceback (most recent call last):\n  File "/srv/app.py", line 7, in view\nKeyError',
        r'{"error": "  File \"/srv/app.py\", line 7, in view"}',
        "<pre>Error: no<br> &nbsp; &nbsp;at &lt;anonymous&gt;<br> &nbsp; &nbsp;at parse (/srv/node_modules/body/json.js:9:1)",
        r'{"stack": "Error: no\n    at check (/srv/auth.js:3:7)\n    at next (/srv/router.js:9:1)"}',
        "Error: no\n    at async handle (file:///srv/app.mjs:3:7)",
        "java.lang.NullPointerException\n\tat org.example.Users.find(Users.java:42)",
        r'{"status": 500, "trace": "Error: no\n\tat java.base/java.util.UUID.fromString(UUID.java:280)\n\tat o.e.App.get(App.java:9)"}',
        '{"exception": "org.springframework.http.converter.HttpMessageNotReadableException"}',
        '{"detail": "Unexpected end-of-input at [Source: (String)\\"{\\"; line: 1, column: 1]"}',
        "panic: runtime error: index out of range",
        "You\N{RIGHT SINGLE QUOTATION MARK}re seeing this error because you have <code>DEBUG = True</code> in your settings",
        "<title>Starlette Debugger</title>",
        "#0 /var/www/html/index.php(12): login()",
        "Npgsql: at Shop.Login.Run() in /src/Login.cs:line 12",
        "SQLSTATE[42P01]: Undefined table",
        "thread 'main' panicked at src/main.rs:4:9",
        '{"where": "/srv/notes/app.py line 88, in post"}',
        "PHP Notice: Undefined index: id in /var/www/shop/index.php on line 12",
    ],
)
def test_stack_traces_and_debug_pages_of_many_kinds(page: str) -> None:
    assert trace_in(page.encode()) is not None


@pytest.mark.parametrize(
    "page",
    [
        '{"detail": "JSON parse error - Expecting value: line 1 column 19 (char 18)"}',
        '{"error": "Look at /docs/errors.html:3 for help, or at https://example.test:8443/a:1:2"}',
        '{"type": "https://example.org/errors/bad-request", "title": "Bad Request", "detail": "JsonParseException"}',
        '{"message": "Unexpected token } in JSON at position 18"}',
        "<title>App</title><script src=/static/app.js></script>",
        '{"detail":[{"type":"json_invalid","loc":["body",18],"msg":"JSON decode error","ctx":{"error":"Expecting value"}}]}',
    ],
)
def test_what_explains_without_telling_is_no_stack_trace(page: str) -> None:
    assert trace_in(page.encode()) is None


def test_objects_are_taken_away_although_the_limit_is_used_up(project: Path) -> None:
    service = HabitsService()
    refusals = 0

    def limited(asked: Asked) -> Said:
        nonlocal refusals
        if asked.method == "DELETE" and refusals < 5:  # by account: no other address helps
            refusals += 1
            return Said(429, b"{}", {"Retry-After": "0.2"})
        return service(asked)

    with serving(limited) as port:
        ctx = context(project, configuration(service, port))
        shared_object(ctx)
        assert len(service.notes) == 1
        ctx.patience.budget_s = 0.0
        ctx.close()
    assert refusals == 5
    assert ctx.cleanup.left == []
    assert service.notes == {}


def test_keys_beside_the_api_and_where_discovery_says(project: Path) -> None:
    keys = {"keys": [public_jwk(new_key("EC"), "main")]}
    for place, document in (
        ("/.well-known/jwks.json", keys),
        ("/jwks.json", keys),
        ("/.well-known/openid-configuration", {"jwks_uri": "/oauth/keys"}),
    ):
        published = {place: document, "/oauth/keys": keys if "configuration" in place else {}}

        def answering(asked: Asked, published: dict[str, dict[str, Any]] = published) -> Said:
            known = published.get(asked.path)
            return Said(404, b"{}") if known is None else Said(200, json.dumps(known).encode())

        with serving(answering) as port:
            auth = "{algorithm: ES256, login: {path: /login}, accounts: [{username: a, password: b-long-password}]}"
            ctx = context(project, f"api: {{url: 'http://127.0.0.1:{port}/v1', auth: {auth}}}")
            assert len(public_keys(ctx)) == 1, place
            ctx.close()


def test_a_cookie_over_plain_http_is_not_said_to_be_secure(project: Path) -> None:
    rows = {row.id: row for row in probe(HabitsService(frozenset({"session-cookie"})), project).checks}
    seen = [item.observed for item in rows["security.cookies"].evidence]
    assert seen
    assert set(seen) == {"HttpOnly, SameSite"}
    assert "Secure is not asked" in rows["security.cookies"].message
