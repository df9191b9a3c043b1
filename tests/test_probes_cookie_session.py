"""Sessions in cookies: what another site's page can do with them, and whether they are new after the login."""

from __future__ import annotations

import json
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from check_support import context, expect, run_check
from other_service import OtherService, Shape
from other_service import configuration as of_other
from small_api import Asked, Said, serving
from test_probes_session_proof import Sessions, configuration

from maestro_cli.model import CheckResult

CHECK = "security.cookie-session"
HEADER = "X-CSRF-Token"


class Careless(Sessions):
    """The same service, careless in one way."""

    def _new(self, user: str = "") -> tuple[str, dict[str, Any]]:
        sid, headers = super()._new(user)
        if self.fault == "cookie-sent-by-other-sites":
            headers = {
                name: tuple(v.replace("SameSite=Lax", "SameSite=None") for v in values)
                for name, values in headers.items()
            }
        return sid, headers

    def _route(self, asked: Asked) -> Said:
        jar = SimpleCookie(asked.headers.get("cookie", ""))
        known = self.kept.get(jar["sid"].value) if "sid" in jar else None
        token = asked.headers.get(self.header)
        others = {row["token"] for row in self.kept.values()}
        if known is not None and (
            self.fault in ("csrf-token-unchecked", "cookie-sent-by-other-sites")
            or (self.fault == "csrf-any-token-accepted" and token)
            or (self.fault == "csrf-token-of-another-session-accepted" and token in others)
            or (self.fault == "csrf-deletion-unguarded" and asked.method == "DELETE")
        ):
            asked = Asked(
                asked.method, asked.path, {**asked.headers, self.header: known["token"]}, asked.body, asked.client
            )
        return super()._route(asked)

    def _login(self, asked: Asked, sid: str) -> Said:
        said = super()._login(asked, sid)
        if self.fault == "session-chosen-before-login" and b'"ok": true' in said.body:
            made = next(reversed(self.kept))
            self.kept[sid] = {**self.kept.pop(made)}
            cookies = (
                f"sid={sid}; HttpOnly; Secure; SameSite=Lax",
                f"sid.sig={sid[::-1]}; HttpOnly; Secure; SameSite=Lax",
            )
            return Said(200, said.body, {"Set-Cookie": cookies})
        return said


def looked(folder: Path, fault: str = "") -> CheckResult:
    service = Careless(fault=fault)
    with serving(service) as port:
        ctx = context(folder, configuration(port, HEADER))
        try:
            return run_check(CHECK, ctx)
        finally:
            ctx.close()
            assert ctx.cleanup.left == []
            assert service.notes == {}
            assert not [row for row in service.kept.values() if row["user"]] or fault, "every session is logged out"


def test_a_careful_service(project: Path) -> None:
    expect(looked(project), "pass", "makes a new session", "No other site's page can use a session")


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (
            "csrf-token-unchecked",
            "warn",
            ("not asked for, only SameSite=Lax holds", "making an object, without the token"),
        ),
        ("csrf-any-token-accepted", "warn", ("making an object, with a wrong token",)),
        ("csrf-token-of-another-session-accepted", "warn", ("making an object, with the token of another session",)),
        ("csrf-deletion-unguarded", "warn", ("deleting one, without the token",)),
        ("cookie-sent-by-other-sites", "fail", ("acts as whoever looks at it", "as text that no browser asks about")),
        ("session-chosen-before-login", "fail", ("was there before the login is the one that is logged in",)),
    ],
)
def test_what_a_careless_one_lets_through(project: Path, fault: str, status: str, words: tuple[str, ...]) -> None:
    expect(looked(project, fault), status, *words)


def other(folder: Path, service: OtherService) -> CheckResult:
    with serving(service) as port:
        ctx = context(folder, of_other(service, port))
        try:
            return run_check(CHECK, ctx)
        finally:
            ctx.close()


def test_browsers_keep_a_cookie_back_that_is_samesite(project: Path) -> None:
    expect(other(project, OtherService(Shape(login="cookie"))), "pass", "keep its cookie back (SameSite=Strict)")


def test_a_token_in_a_header_is_not_added_by_browsers(project: Path) -> None:
    expect(other(project, OtherService(Shape())), "pass", "the token goes in a header")


@pytest.mark.parametrize(
    ("flags", "opens", "status"), [("; SameSite=Lax", True, "pass"), ("", True, "fail"), ("", False, "pass")]
)
def test_a_cookie_that_does_without_the_header(project: Path, flags: str, opens: bool, status: str) -> None:
    def also_by_cookie(asked: Asked) -> Said:
        if asked.path == "/login":
            return Said(200, b'{"access_token": "t-5713-by-header"}', {"Set-Cookie": f"seen=c-5713{flags}"})
        by_cookie = opens and "seen=c-5713" in asked.headers.get("cookie", "")
        return Said(200 if by_cookie or asked.headers.get("authorization") == "Bearer t-5713-by-header" else 401)

    auth = {"login": {"path": "/login"}, "protected": "/me", "accounts": [{"username": "ann", "password": "has-one"}]}
    with serving(also_by_cookie) as port:
        api = {"url": f"http://127.0.0.1:{port}", "auth": auth}
        ctx = context(project, json.dumps({"version": 1, "service": {"name": "x"}, "api": api}))
        expect(run_check(CHECK, ctx), status)


@pytest.mark.parametrize(("asks", "status"), [(True, "pass"), (False, "fail")])
def test_cookies_that_read_beside_the_header_and_write_with_a_token_only(
    project: Path, asks: bool, status: str
) -> None:
    notes: dict[str, bytes] = {}

    def by_either(asked: Asked) -> Said:
        if asked.path == "/login":
            cookies = ("seen=c-5713; HttpOnly; Secure; SameSite=None", "csrf_seen=d-5713; Secure; SameSite=None")
            return Said(200, b'{"access_token": "t-5713-by-header"}', {"Set-Cookie": cookies})
        by_header = asked.headers.get("authorization") == "Bearer t-5713-by-header"
        proven = asked.method == "GET" or not asks or asked.headers.get("x-csrf-token") == "d-5713"
        if not by_header and not ("seen=c-5713" in asked.headers.get("cookie", "") and proven):
            return Said(401)
        if asked.method == "POST":
            notes[f"n{len(notes)}"] = asked.body
            return Said(201, json.dumps({"id": list(notes)[-1]}).encode())
        gone = asked.method == "DELETE" and notes.pop(asked.path.rpartition("/")[2], None) is None
        return Said(404 if gone else 200)

    accounts = [{"username": name, "password": "has-one"} for name in ("ann", "bob")]
    auth = {"login": {"path": "/login"}, "protected": "/notes", "accounts": accounts}
    create = {"path": "/notes", "body": {"text": "{nonce}"}}
    isolation = {"create": create, "read": "/notes/{id}", "list": "/notes", "delete": "/notes/{id}"}
    with serving(by_either) as port:
        api = {"url": f"http://127.0.0.1:{port}", "auth": auth, "isolation": isolation}
        ctx = context(project, json.dumps({"version": 1, "service": {"name": "x"}, "api": api}))
        expect(run_check(CHECK, ctx), status, "reading only" if asks else "another origin's page makes an object")
        ctx.close()
    assert notes == {}


def test_a_session_that_the_client_chooses_is_found_without_a_page(project: Path) -> None:
    kept: dict[str, bool] = {}

    def takes_any(asked: Asked) -> Said:
        jar = SimpleCookie(asked.headers.get("cookie", ""))
        sid = jar["sid"].value if "sid" in jar else ""
        if asked.path == "/login":
            sid = sid or "made-by-the-service-5713"
            body = json.loads(asked.body)
            right = body["password"] == "has-a-password"
            kept[sid] = right
            return Said(
                200 if right else 401, b"{}", {"Set-Cookie": f"sid={sid}; HttpOnly; SameSite=Lax"} if right else {}
            )
        return Said(200 if kept.get(sid) else 401)

    auth = {
        "login": {"path": "/login", "token": "cookie:sid"},
        "protected": "/me",
        "accounts": [{"username": "ann", "password": "has-a-password"}],
    }
    with serving(takes_any) as port:
        api = {"url": f"http://127.0.0.1:{port}", "auth": auth}
        ctx = context(project, json.dumps({"version": 1, "service": {"name": "x"}, "api": api}))
        expect(run_check(CHECK, ctx), "fail", "was there before the login")
