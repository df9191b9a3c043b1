"""A session in a cookie whose writes want the session's own token against forged requests: the tenant probes get through."""

from __future__ import annotations

import itertools
import json
import secrets
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from check_support import context
from small_api import Asked, Said, serving

from maestro_cli.api import Check
from maestro_cli.config import without_file
from maestro_cli.discovery import discover
from maestro_cli.model import Component
from maestro_cli.runner import Plan, run
from maestro_cli.scoring import GateRule

USERS = {
    "ann": ("ann-has-a-password", "north", True),
    "bob": ("bob-has-a-password", "south", True),
    "vic": ("vic-has-a-password", "north", False),
}
CHECKS = (
    "readiness.authentication",
    "security.cors",
    "security.revocation",
    "security.role-limits",
    "security.tenant-list",
    "security.tenant-read",
    "security.tenant-write",
    "security.user-enumeration",
    "security.write-authentication",
)


@dataclass
class Sessions:
    """Each login makes a new session with a new token; a page's session serves one login.

    Attributes:
        header: What the token is expected in.
        fault: `write-unscoped`: whoever has a session may change and delete by id; `making-unlimited`: whatever one's rights,
            one may make notes.
    """

    header: str = "x-csrf-token"
    fault: str = ""
    kept: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, dict[str, str]] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __call__(self, asked: Asked) -> Said:
        try:
            said = self._route(asked)
        except (ValueError, TypeError, KeyError, AttributeError):
            said = self._said(400)
        return Said(said.status, said.body, {"Content-Type": "application/json", **said.headers})

    def _said(self, status: int, headers: dict[str, Any] | None = None, **members: Any) -> Said:
        return Said(status, json.dumps(members).encode(), headers or {})

    def _new(self, user: str = "") -> tuple[str, dict[str, Any]]:
        sid = secrets.token_urlsafe(32)
        self.kept[sid] = {"user": user, "token": secrets.token_urlsafe(24)}
        flags = "HttpOnly; Secure; SameSite=Lax; Path=/"
        return sid, {"Set-Cookie": (f"sid={sid}; {flags}", f"sid.sig={sid[::-1]}; {flags}")}

    def _route(self, asked: Asked) -> Said:
        jar = SimpleCookie(asked.headers.get("cookie", ""))
        sid = jar["sid"].value if "sid" in jar and "sid.sig" in jar else ""
        known = self.kept.get(sid) if "sid.sig" in jar and jar["sid.sig"].value == sid[::-1] else None
        if asked.method == "OPTIONS":
            allowed = {"Access-Control-Allow-Headers": f"content-type, {self.header}"}
            own = asked.headers.get("origin") == "https://app.example.test"
            return self._said(
                200, {**allowed, "Access-Control-Allow-Origin": "https://app.example.test"} if own else {}
            )
        if (asked.method, asked.path) == ("GET", "/session"):
            fresh: dict[str, Any] = {}
            if known is None:
                sid, fresh = self._new()
            return self._said(200, fresh, csrfToken=self.kept[sid]["token"])
        proven = known is not None and asked.headers.get(self.header) == known["token"]
        if (asked.method, asked.path) == ("POST", "/login"):
            return self._login(asked, sid) if proven else self._said(403)
        if known is None or not known["user"]:
            return self._said(401)
        if asked.method != "GET" and not proven:
            return self._said(403, reason="forged")
        if asked.path == "/logout":
            del self.kept[sid]
            return self._said(200)
        return self._notes(asked, *USERS[known["user"]][1:])

    def _login(self, asked: Asked, sid: str) -> Said:
        body = json.loads(asked.body)
        user, password = str(body["user"]), body["password"]
        if USERS.get(user, ("",))[0] != password:
            return self._said(200, ok=False)
        del self.kept[sid]
        return self._said(200, self._new(user)[1], ok=True, org=USERS[user][1])

    def _notes(self, asked: Asked, own: str, may_write: bool) -> Said:
        making = asked.path == "/notes" and asked.method == "POST"
        if asked.method != "GET" and not may_write and not (making and self.fault == "making-unlimited"):
            return self._said(403)
        if making:
            made, text = f"note-{next(self.numbers)}", str(json.loads(asked.body)["text"])
            if any((row["org"], row["text"]) == (own, text) for row in self.notes.values()):
                return self._said(409, reason="there is such a note")
            self.notes[made] = {"slug": made, "org": own, "text": text}
            return self._said(201, note=self.notes[made])
        if asked.path == "/notes":
            return self._said(200, notes=[row for row in self.notes.values() if row["org"] == own])
        row = self.notes.get(asked.path.removeprefix("/notes/"))
        unscoped = self.fault == "write-unscoped" and asked.method != "GET"
        if row is None or (row["org"] != own and not unscoped):
            return self._said(404)
        if asked.method == "DELETE":
            del self.notes[row["slug"]]
        elif asked.method == "PUT":
            row["text"] = str(json.loads(asked.body)["text"])
        return self._said(200, note=row)


def configuration(port: int, header: str) -> str:
    login = {
        "path": "/login",
        "body": {"user": "{username}", "password": "{password}"},
        "headers": {header: "{csrf}"},
        "csrf_path": "/session",
        "token": "cookie:sid",
        "failure": '"ok": false',
    }
    accounts = {name: {"username": name, "password": word} for name, (word, _, _) in USERS.items()}
    auth = {
        "login": login,
        "logout": {"path": "/logout"},
        "protected": "/notes",
        "accounts": [accounts["ann"], accounts["bob"]],
    }
    note = {"text": "maestro-probe-{nonce}"}
    isolation = {
        "create": {"path": "/notes", "body": note, "headers": {header: "{csrf}"}, "id": "note.slug"},
        "read": "/notes/{id}",
        "list": "/notes",
        "update": {"path": "/notes/{id}", "method": "PUT", "body": note},
        "delete": "/notes/{id}",
    }
    forbidden = [{"path": "/notes/{id}", "method": "DELETE"}, {"path": "/notes", "method": "POST", "body": note}]
    roles = {"account": accounts["vic"], "forbidden": forbidden}
    api = {"url": f"http://127.0.0.1:{port}", "auth": auth, "isolation": isolation, "roles": roles}
    api["cors"] = {"origins": ["https://app.example.test"], "path": "/session"}
    return json.dumps({"version": 1, "service": {"name": "notes", "environment": "staging"}, "api": api})


def looked(service: Sessions, folder: Path, header: str) -> dict[str, tuple[str, str]]:
    checks: dict[str, Check] = dict(discover(without_file(Path.cwd()), plugins=False).checks)
    with serving(service) as port:
        ctx = context(folder, configuration(port, header))
        try:
            plan = Plan(GateRule("test"), dict.fromkeys(Component, 1.0))
            report = run(tuple(checks[name] for name in CHECKS), ctx, plan)
        finally:
            ctx.close()
    assert ctx.cleanup.left == []
    assert service.notes == {}, "no probe's object is left"
    assert not [row for row in service.kept.values() if row["user"]], "every session is logged out"
    return {row.id: (f"{row.status}", row.message) for row in report.checks}


@pytest.mark.parametrize("header", ["X-CSRF-Token", "X-Anti-Forgery"])
def test_writes_show_the_token_of_their_session(tmp_path: Path, header: str) -> None:
    found = looked(Sessions(header.lower()), tmp_path, header)

    del found["security.cors"]  # the small service answers no GET with the header; its preflights are looked at below
    assert {name: said for name, said in found.items() if said[0] != "pass"} == {}


def test_a_foreign_object_can_be_changed_is_seen_behind_the_token(tmp_path: Path) -> None:
    found = looked(Sessions(fault="write-unscoped"), tmp_path, "X-CSRF-Token")

    status, message = found["security.tenant-write"]
    assert status == "fail"
    assert "bob changes another tenant's object" in message


def test_what_an_account_of_few_rights_makes_does_not_stand_in_the_way_of_the_control(tmp_path: Path) -> None:
    found = looked(Sessions(fault="making-unlimited"), tmp_path, "X-CSRF-Token")

    assert found["security.role-limits"] == ("fail", "vic may do what it must not: POST /notes.")


def test_a_preflight_need_not_allow_every_name_of_such_a_token(tmp_path: Path) -> None:
    found = looked(Sessions(), tmp_path, "X-CSRF-Token")

    assert "csrf" not in found["security.cors"][1]
