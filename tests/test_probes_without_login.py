"""Services without a login: accounts come in with a token of their own, or with name and password in each request."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from check_support import asking, context
from habits_service import SAFE
from small_api import Asked, Said, serving

from maestro_cli.model import Component, Report
from maestro_cli.observe.tokens import forge
from maestro_cli.runner import Plan, run
from maestro_cli.scoring import GateRule

WORDS = {"ann": "ann-has-a-password", "bob": "bob-has-a-password"}
KEY = b"0d5c1c9be1f34c6a8f7a52c4f7b9ad33e1c8547f20be96a8f27d6c3a91b04e5d"


GONE = base64.b64encode(b"gone:was-right").decode()


def issued(name: str, key: bytes = KEY) -> str:
    """What an identity provider gave the account: it lives for a year, and began last week."""
    return forge({"alg": "HS256", "typ": "JWT"}, {"sub": name, "iat": 1_795_000_000, "exp": 4_000_000_000}, key)


@dataclass
class Notes:
    """Notes of whoever comes in, by Basic, by an API key in a header of its own, or by a JSON Web Token."""

    by: str
    fault: str = ""
    notes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Said:
        self.asked.append(f"{asked.method} {asked.path}")
        said = self._route(asked)
        return Said(said.status, said.body, {"Content-Type": "application/json", **SAFE, **said.headers})

    def credentials(self, name: str) -> str:
        if self.by == "basic":
            return base64.b64encode(f"{name}:{WORDS[name]}".encode()).decode()
        return f"key-of-{name}-5f1d0c7b9a" if self.by == "key" else issued(name)

    def _who(self, asked: Asked) -> str | None:
        given = asked.headers.get("x-api-key" if self.by == "key" else "authorization", "")
        scheme = {"basic": "Basic ", "key": "", "jwt": "Bearer "}[self.by]
        known = {f"{scheme}{self.credentials(name)}": name for name in WORDS}
        if self.fault == "any-password" and given.startswith(scheme):
            try:
                return base64.b64decode(given.removeprefix(scheme)).decode().partition(":")[0]
            except ValueError:
                return None
        if self.fault == "signature-unchecked" and given.count(".") == 2:
            unsigned = {token.rpartition(".")[0]: name for token, name in known.items()}
            return unsigned.get(given.rpartition(".")[0])
        if self.fault == "gone-let-in" and given in (f"{scheme}key-of-nobody", f"{scheme}{GONE}"):
            return "ann"
        return known.get(given)

    def _route(self, asked: Asked) -> Said:
        if asked.path == "/health":
            return Said(200)
        who = self._who(asked)
        if asked.path.partition("?")[0].rstrip("/") != "/notes" and not asked.path.startswith("/notes/"):
            return Said(404, b"{}")
        if who not in WORDS:
            return Said(401, b"{}")
        made = asked.path.removeprefix("/notes").strip("/").partition("?")[0]
        if made:
            return self._note(asked, made, who)
        if asked.method == "POST":
            try:
                text = str(json.loads(asked.body)["text"])
            except (ValueError, TypeError, KeyError):
                return Said(400, b"{}")
            made = secrets.token_hex(5)
            self.notes[made] = {"id": made, "text": text, "owner": who}
            return Said(201, json.dumps(self.notes[made]).encode())
        return Said(200, json.dumps([row for row in self.notes.values() if row["owner"] == who]).encode())

    def _note(self, asked: Asked, made: str, who: str) -> Said:
        row = self.notes.get(made)
        if row is None or (row["owner"] != who and self.fault != "read-unscoped"):
            return Said(404, b"{}")
        if asked.method == "DELETE":
            if row["owner"] == who:
                del self.notes[made]
            return Said(204 if made not in self.notes else 403, b"")
        return Said(200, json.dumps(row).encode())


def configuration(service: Notes, port: int) -> str:
    accounts: list[dict[str, str]] = [{"username": name} for name in WORDS]
    auth: dict[str, Any] = {"protected": "/notes", "logout": {"path": "/logout"}}
    if service.by == "basic":
        auth["scheme"] = "Basic"
    if service.by == "key":
        auth |= {"header": "X-Api-Key", "scheme": ""}
    for account in accounts:
        account["tenant"] = account["username"]
        name = account["username"]
        account.update({"password": WORDS[name]} if service.by == "basic" else {"token": service.credentials(name)})
    gone = {"username": "gone", **({"password": "was-right"} if service.by == "basic" else {"token": "key-of-nobody"})}
    auth["inactive_account"] = gone
    isolation = {
        "create": {"path": "/notes", "body": {"text": "maestro-probe-{nonce}"}},
        "read": "/notes/{id}",
        "list": "/notes",
        "delete": "/notes/{id}",
    }
    api = {"url": f"http://127.0.0.1:{port}", "auth": auth | {"accounts": accounts}, "isolation": isolation}
    return json.dumps({"version": 1, "service": {"name": "notes", "environment": "staging"}, "api": api})


def probe(service: Notes, folder: Path) -> Report:
    with serving(service) as port:
        ctx = context(folder, configuration(service, port))
        try:
            return run(asking(), ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
        finally:
            ctx.close()
            assert ctx.cleanup.left == []
            assert service.notes == {}
            assert "POST /logout" not in service.asked, "a token of maestro.yaml is never logged out"


def findings(report: Report) -> dict[str, str]:
    return {row.id: f"{row.status}" for row in report.checks if row.status not in ("pass", "skip")}


@pytest.mark.parametrize("by", ["basic", "key", "jwt"])
def test_what_needs_no_login_is_measured_and_what_does_is_left_out(project: Path, by: str) -> None:
    service = Notes(by)
    report = probe(service, project)
    assert findings(report) == {"readiness.https": "fail"}
    measured = {row.id for row in report.checks if row.status == "pass"}
    tenants = {f"security.tenant-{name}" for name in ("read", "list", "write", "spoofing")}
    wanted = {
        "readiness.authentication",
        "security.inactive-account",
        "security.write-authentication",
        "security.headers",
        "security.malformed-body",
    }
    assert tenants | wanted <= measured
    assert ("security.jwt-signature" in measured) == (by == "jwt")
    left_out = {row.id: row.message for row in report.checks if row.status == "skip"}
    for name in ("security.user-enumeration", "security.revocation", "security.token-lifetime"):
        assert left_out[name] == "api.auth.login is not configured"
    shown = repr(report)
    assert not [name for name in WORDS if service.credentials(name) in shown or WORDS[name] in shown]


@pytest.mark.parametrize(
    ("by", "fault", "check"),
    [
        ("basic", "any-password", "readiness.authentication"),
        ("key", "read-unscoped", "security.tenant-read"),
        ("basic", "gone-let-in", "security.inactive-account"),
        ("jwt", "gone-let-in", "security.inactive-account"),
        ("jwt", "signature-unchecked", "security.jwt-signature"),
    ],
)
def test_faults_are_found_without_a_login(project: Path, by: str, fault: str, check: str) -> None:
    found = findings(probe(Notes(by, fault), project))
    assert {name for name, status in found.items() if status == "fail"} == {"readiness.https", check}


def test_accounts_without_anything_to_come_in_with_want_a_login(project: Path) -> None:
    service = Notes("key")
    with serving(service) as port:
        document = json.loads(configuration(service, port))
        del document["api"]["auth"]["accounts"][1]["token"]
        ctx = context(project, json.dumps(document))
        report = run(asking(), ctx, Plan(GateRule("test"), dict.fromkeys(Component, 1.0)))
        ctx.close()
    left_out = {row.id: row.message for row in report.checks if row.status == "skip"}
    assert left_out["security.tenant-read"] == "api.auth.login is not configured"
