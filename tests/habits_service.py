"""A service with the habits of frameworks: opaque tokens, tenants by other names or in paths, cookies beside tokens.

What it does is a set of names in `habits`; what is wrong with it, a set of names in `faults`.
"""

from __future__ import annotations

import itertools
import json
import secrets
import uuid
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from small_api import Asked, Said

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
HABITS = {
    "session-cookie": "The login sets a session's cookie, which opens everything by itself, beside its token.",
    "cookie-needed": "A token opens nothing without the cookie that its login has set.",
    "cookie-tokens": "Both tokens are cookies, each with a token against forged requests of its own.",
    "login-form": "The login is a form, and wants its page's cookie and the token of its hidden field.",
    "login-token": "The login wants a token in a header, which a GET has answered beside a cookie.",
    "bearer-in-body": "The login answers with the whole header: `Bearer …`.",
    "tenant-in-path": "Paths name the tenant: /v1/orgs/ORG/notes.",
    "tenant-numbered": "Objects hold their tenant's number, which is not what paths name.",
    "tenant-in-headers": "A login, a refresh, a log-out and whatever is written name the tenant in a header.",
    "volatile": "Every answer holds a number of the request.",
    "no-with-200": "What is not there is answered with 200 and `ok: false`.",
    "page-for-all": "Outside the API every path is answered with the page of a client-side application.",
    "page-inside": "Inside as well.",
    "strict": "A body with a member that is not known is refused.",
    "named-by-client": "Whoever makes an object chooses its id, and nothing deletes it.",
    "missing-is-forbidden": "What is not there is answered with 403, whoever asks.",
    "makes-many": "A list for a body makes an object of each of its items.",
    "logout-by-refresh-token": "A log-out ends the login whose latest refresh token is in its body, and no other.",
    "cookie-for-writes": "Where tokens are cookies, writing wants one more of them than reading.",
    "proof-for-writes": "Writing wants a token against forged requests and its cookie, which a session asks for, beside its own.",
    "visitors-session": "Who is refused is shown the form again, with 200 and a session's cookie that opens nothing.",
    "foreign-session-refused": "A login that comes with a session that the service doesn't know is refused.",
    "crash-hangs-up": "A malformed body is a 500, after which the connection is closed without a word.",
}
FAULTS = {
    "workspace-header": "X-Workspace-ID decides.",
    "workspace-query": "?workspace= decides.",
    "workspace-filter": "?filter[workspace]= decides.",
    "workspace-query-when-making": "?workspace= decides where a new object goes, and nothing else.",
    "workspace-body": "A new object's workspace is taken from the body.",
    "workspace-moved": "A change may move an object into another workspace.",
    "membership-unchecked": "Whoever has a token may use any organisation's path.",
    "making-unscoped": "A new object is made in whatever organisation the path names.",
    "object-unscoped": "The path's organisation is checked, the object's is not.",
    "delete-unscoped": "Objects are deleted by id alone.",
    "refresh-reusable": "A refresh token works again and again.",
    "refresh-family-survives": "The reuse of a refresh token is refused, and changes nothing.",
    "unknown-user-said": "A login of an unknown user says so.",
    "any-password": "Passwords are not looked at.",
    "debug": "/debug shows the process.",
    "trace-inside": "A malformed body behind the login is answered with a stack trace.",
    "search-unscoped": "?q= looks through everybody's notes.",
    "ended-session-crashes": "A token that has ended is a 500, not a 401.",
    "trace-when-changing": "A malformed change is answered with a stack trace.",
    "workspace-header-when-reading": "X-Workspace-Id decides where one note is read.",
}
NUMBERS = {"north": 41, "south": 42}
USERS = {"ann": ("ann-has-a-password", "north"), "bob": ("bob-has-a-password", "south")}
PAGE = b'<!doctype html><title>App</title><script>var config = {env: "production", settings: {}}</script>'


@dataclass
class HabitsService:
    """The service; call it with a request."""

    habits: frozenset[str] = frozenset()
    faults: frozenset[str] = frozenset()
    tokens: dict[str, dict[str, str]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    logins: dict[str, str] = field(default_factory=dict)
    """Login → its latest refresh token."""
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        assert self.habits <= set(HABITS), self.habits - set(HABITS)
        assert self.faults <= set(FAULTS), self.faults - set(FAULTS)

    def on(self, name: str) -> bool:
        return name in self.habits or name in self.faults

    def __call__(self, asked: Asked) -> Said:
        try:
            said = self._route(asked)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            trace = f'Traceback (most recent call last):\n  File "/srv/app.py", line 7\n{error!r}'
            changing = self.on("trace-when-changing") and asked.method == "PATCH"
            if (self.on("trace-inside") and "/notes" in asked.path) or changing:
                said = Said(400, trace.encode())
            else:
                said = self._json(500 if self.on("crash-hangs-up") and "/notes" in asked.path else 400, ok=False)
                said = Said(said.status, said.body, said.headers, hangs_up=said.status == 500)
        headers = {"Date": formatdate(usegmt=True), "Content-Type": "application/json", **SAFE, **said.headers}
        return Said(said.status, said.body, headers, hangs_up=said.hangs_up)

    def _json(self, status: int, **members: Any) -> Said:
        if self.on("volatile"):
            members["request"] = next(self.numbers)
        return Said(status, json.dumps(members).encode())

    def _missing(self) -> Said:
        if self.on("missing-is-forbidden"):
            return self._json(403, ok=False)
        return self._json(200 if self.on("no-with-200") else 404, ok=False)

    def _route(self, asked: Asked) -> Said:
        parts = urlsplit(asked.path)
        inside = parts.path.startswith("/v1/")
        named = asked.headers.get("x-workspace") in {workspace for _, workspace in USERS.values()}
        if self.on("tenant-in-headers") and asked.method in ("POST", "PATCH") and not named:
            return self._json(400, ok=False)
        if parts.path == "/v1/debug" and self.on("debug"):
            return self._json(200, python_version="3.13", pid=7)
        match (asked.method, parts.path):
            case ("GET", "/v1/health"):
                return self._json(200, ok=True)
            case ("GET", "/v1/login"):
                return self._page(200)
            case ("POST", "/v1/login"):
                return self._login_behind_page(asked)
            case ("POST", "/v1/renew"):
                return self._renew(asked)
        if parts.path == "/v1/proof" and self.on("proof-for-writes") and self._who(replace(asked, method="GET")):
            visit = secrets.token_hex(8)
            said = Said(200, json.dumps({"result": f"proof-{visit}"}).encode())
            return Said(200, said.body, {"Set-Cookie": f"visit={visit}; HttpOnly; Path=/; SameSite=Lax"})
        if ("/notes" in parts.path and inside) or parts.path == "/v1/logout":
            return self._guarded(asked, parts.path.removeprefix("/v1/"), parse_qs(parts.query))
        if self.on("page-inside") or (self.on("page-for-all") and not inside):
            return Said(200, PAGE + secrets.token_hex(4).encode(), {"Content-Type": "text/html; charset=utf-8"})
        return self._json(404, ok=False)

    def _page(self, status: int, says: str = "") -> Said:
        cookie, token = secrets.token_hex(16), secrets.token_urlsafe(40)
        self.pages[cookie] = token
        headers = {"Set-Cookie": f"anon={cookie}; HttpOnly; Path=/; SameSite=Lax"}
        if self.on("login-token"):
            return Said(status, json.dumps({"csrf_token": token, "says": says}).encode(), headers)
        page = f'<form method=post><p>{says}<input type="hidden" name="csrfmiddlewaretoken" value="{token}"></form>'
        return Said(status, page.encode(), {**headers, "Content-Type": "text/html; charset=utf-8"})

    def _login_behind_page(self, asked: Asked) -> Said:
        if not (self.on("login-form") or self.on("login-token")):
            jar = SimpleCookie(asked.headers.get("cookie", ""))
            strange = "access_token" in jar and jar["access_token"].value not in self.tokens
            return self._login(json.loads(asked.body), strange=strange)
        jar = SimpleCookie(asked.headers.get("cookie", ""))
        expected = self.pages.get(jar["anon"].value) if "anon" in jar else None
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        told = form.get("csrfmiddlewaretoken") if self.on("login-form") else asked.headers.get("x-csrf-token")
        if expected is None or told != expected:
            return self._json(403, ok=False)
        said = self._login(form if self.on("login-form") else json.loads(asked.body))
        return said if said.status == 200 else self._page(said.status, said.body.decode())

    def _login(self, body: dict[str, Any], *, strange: bool = False) -> Said:
        user, password = body["user"], body["password"]
        wrong = USERS.get(str(user), ("",))[0] != password and not (self.on("any-password") and user in USERS)
        if self.on("foreign-session-refused") and strange:
            return self._json(401, ok=False)
        if self.on("visitors-session") and (not isinstance(user, str) or wrong):
            headers = {"Set-Cookie": f"access_token={secrets.token_hex(16)}; HttpOnly; Path=/; SameSite=Lax"}
            return Said(200, PAGE, {**headers, "Content-Type": "text/html; charset=utf-8"})
        if not isinstance(user, str) or wrong:
            return self._json(401, ok=False, **({"unknown": user not in USERS} if self.on("unknown-user-said") else {}))
        return self._issued({"user": user, "family": uuid.uuid4().hex})

    def _issued(self, who: dict[str, str]) -> Said:
        made = {}
        for kind in ("access", "refresh"):
            made[kind], made[f"csrf_{kind}"] = secrets.token_hex(16), secrets.token_hex(8)
            self.tokens[made[kind]] = {**who, "kind": kind, "csrf": made[f"csrf_{kind}"]}
        self.logins[who["family"]] = made["refresh"]
        flags = "; Path=/; SameSite=Lax"
        if self.on("cookie-tokens"):
            hidden = [f"{kind}_token={made[kind]}; HttpOnly{flags}" for kind in ("access", "refresh")]
            if self.on("cookie-for-writes"):
                hidden.append(f"visit={made['csrf_access']}; HttpOnly{flags}")
            shown = [f"csrf_{kind}_token={made[f'csrf_{kind}']}{flags}" for kind in ("access", "refresh")]
            return Said(200, b"{}", {"Set-Cookie": (*hidden, *shown)})
        bearer = "Bearer " if self.on("bearer-in-body") else ""
        said = self._json(200, token=f"{bearer}{made['access']}", renew=made["refresh"])
        if self.on("session-cookie") or self.on("cookie-needed"):
            return Said(200, said.body, {"Set-Cookie": f"sid={made['access']}; HttpOnly{flags}"})
        return said

    def _renew(self, asked: Asked) -> Said:
        jar = SimpleCookie(asked.headers.get("cookie", ""))
        text = jar["refresh_token"].value if self.on("cookie-tokens") else json.loads(asked.body)["renew"]
        known = self.tokens.get(text, {})
        if known.get("kind") != "refresh" or known["family"] in self.ended:
            return self._json(401, ok=False)
        if self.on("cookie-tokens") and asked.headers.get("x-csrf-token") != known["csrf"]:
            return self._json(401, ok=False)
        if text in self.used and not self.on("refresh-reusable"):
            if not self.on("refresh-family-survives"):
                self.ended.add(known["family"])
            return self._json(401, ok=False)
        self.used.add(text)
        return self._issued({name: known[name] for name in ("user", "family")})

    def _who(self, asked: Asked) -> dict[str, str] | None:
        jar = SimpleCookie(asked.headers.get("cookie", ""))
        sid = jar["sid"].value if "sid" in jar else None
        text = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if self.on("cookie-tokens"):
            text = jar["access_token"].value if "access_token" in jar else ""
        if self.on("session-cookie") and sid is not None:
            text = sid
        known = self.tokens.get(text)
        if known is None or known["kind"] != "access" or known["family"] in self.ended:
            return None
        if self.on("cookie-needed") and sid != text:
            return None
        if self.on("proof-for-writes") and asked.method not in ("GET", "HEAD"):
            visit = jar["visit"].value if "visit" in jar else None
            return known if visit and asked.headers.get("x-csrftoken") == f"proof-{visit}" else None
        if self.on("cookie-tokens") and asked.method != "GET" and asked.headers.get("x-csrf-token") != known["csrf"]:
            return None
        if self.on("cookie-for-writes") and self.on("cookie-tokens") and asked.method != "GET":
            return known if "visit" in jar and jar["visit"].value == known["csrf"] else None
        return known

    def _guarded(self, asked: Asked, path: str, query: dict[str, list[str]]) -> Said:
        known = self._who(asked)
        ended = self.tokens.get(asked.headers.get("authorization", "").removeprefix("Bearer "), {}).get("family")
        if known is None:
            return self._json(500 if self.on("ended-session-crashes") and ended in self.ended else 401, ok=False)
        if path == "logout":
            of = json.loads(asked.body)["renew"] if self.on("logout-by-refresh-token") else None
            if of is None or self.logins[known["family"]] == of:
                self.ended.add(known["family"])
            return Said(204, b"")
        own = USERS[known["user"]][1]
        if self.on("tenant-in-path"):
            org, _, path = path.removeprefix("orgs/").partition("/")
            making = self.on("making-unscoped") and asked.method == "POST"
            if org != own and not making and not self.on("membership-unchecked"):
                return self._json(403, ok=False)
            own = org
        reading = self.on("workspace-header-when-reading") and asked.method == "GET" and path != "notes"
        if self.on("workspace-header") or reading:
            own = asked.headers.get("x-workspace-id", own)
        if self.on("workspace-query"):
            own = self._workspace(query.get("workspace_id" if self.on("tenant-numbered") else "workspace", [own])[0])
        if self.on("workspace-filter"):
            own = query.get("filter[workspace]", [own])[0]
        if self.on("workspace-query-when-making") and asked.method == "POST":
            own = query.get("workspace", [own])[0]
        return self._notes(asked, path, own, query)

    def _workspace(self, told: Any) -> str:
        """A workspace as it is kept, of the number that stands for it."""
        numbers = {str(number): name for name, number in NUMBERS.items()} if self.on("tenant-numbered") else {}
        return numbers.get(str(told), str(told))

    def _shown(self, row: dict[str, Any]) -> dict[str, Any]:
        if not self.on("tenant-numbered"):
            return row
        return {"id": row["id"], "text": row["text"], "workspace_id": NUMBERS.get(row["workspace"])}

    def _notes(self, asked: Asked, path: str, own: str, query: dict[str, list[str]]) -> Said:
        if path == "notes" and asked.method == "POST":
            body = json.loads(asked.body)
            if self.on("makes-many") and isinstance(body, list):
                rows = {secrets.token_hex(5): {"text": None, "workspace": own} for _ in body}
                self.notes |= {made: {"id": made, **row} for made, row in rows.items()}
                return self._json(201, note=[self.notes[made] for made in rows])
            if self.on("strict") and set(body["note"]) - {"text", "workspace"} | (set(body) - {"note", "workspace"}):
                return self._json(422, ok=False)
            made = body["note"]["text"] if self.on("named-by-client") else secrets.token_hex(5)
            member = "workspace_id" if self.on("tenant-numbered") else "workspace"
            workspace = self._workspace(body["note"].get(member, own)) if self.on("workspace-body") else own
            self.notes[made] = {"id": made, "text": body["note"]["text"], "workspace": workspace}
            return (
                self._json(201) if self.on("named-by-client") else self._json(201, note=self._shown(self.notes[made]))
            )
        if path == "notes" and self.on("search-unscoped") and "q" in query:
            return self._json(200, notes=[row for row in self.notes.values() if query["q"][0] in row["text"]])
        if path == "notes":
            return self._json(200, notes=[self._shown(row) for row in self.notes.values() if row["workspace"] == own])
        row = self.notes.get(path.removeprefix("notes/"))
        unscoped = self.on("object-unscoped") or (asked.method == "DELETE" and self.on("delete-unscoped"))
        if row is None or (row["workspace"] != own and not unscoped):
            return self._missing()
        if asked.method == "DELETE" and self.on("named-by-client"):
            return self._json(405, ok=False)
        if asked.method == "DELETE":
            del self.notes[row["id"]]
            return self._json(200, ok=True)
        if asked.method == "PATCH":
            change = json.loads(asked.body)["note"]
            row["text"] = change["text"]
            if self.on("workspace-moved"):
                row["workspace"] = change.get("workspace", row["workspace"])
        return self._json(200, note=self._shown(row))


def configuration(service: HabitsService, port: int) -> str:
    """The maestro.yaml that fits the service, as JSON."""
    cookies, renewing = service.on("cookie-tokens"), service.on("logout-by-refresh-token")
    notes = "/orgs/{tenant}/notes" if service.on("tenant-in-path") else "/notes"
    tenants = service.on("tenant-in-path") or service.on("tenant-in-headers")
    auth: dict[str, Any] = {
        "login": {
            "path": "/login",
            "body": {"user": "{username}", "password": "{password}"},
            "token": "cookie:access_token" if cookies else "token",
            "refresh_token": "cookie:refresh_token" if cookies else "renew",
        },
        "refresh": {"path": "/renew"} if cookies else {"path": "/renew", "body": {"renew": "{refresh_token}"}},
        "logout": {"path": "/logout", **({"body": {"renew": "{refresh_token}"}} if renewing else {})},
        "protected": notes,
        "accounts": [
            {"username": name, "password": password, **({"tenant": tenant} if tenants else {})}
            for name, (password, tenant) in USERS.items()
        ],
    }
    if service.on("proof-for-writes"):
        auth["csrf_path"] = "/proof"
    if service.on("login-form") or service.on("login-token"):
        auth["login"]["csrf_path"] = "/login"
    if service.on("login-form"):
        auth["login"]["encoding"] = "form"
    if service.on("no-with-200"):
        auth["login"]["failure"] = '"ok": false'
    isolation: dict[str, Any] = {
        "create": {"path": notes, "body": {"note": {"text": "maestro-probe-{nonce}"}}, "id": "note.id"},
        "read": f"{notes}/{{id}}",
        "list": notes,
        "delete": f"{notes}/{{id}}",
        "update": {"path": f"{notes}/{{id}}", "body": {"note": {"text": "changed-{nonce}"}}},
    }
    if service.on("named-by-client"):
        del isolation["delete"]
        isolation |= {"keep": True, "create": {**isolation["create"], "id": "maestro-probe-{nonce}"}}
    if service.on("tenant-in-headers"):
        for request in (auth["login"], auth["refresh"], auth["logout"], isolation["create"], isolation["update"]):
            request["headers"] = {"X-Workspace": "{tenant}"}
    api = {"url": f"http://127.0.0.1:{port}/v1", "auth": auth, "isolation": isolation}
    return json.dumps({"version": 1, "service": {"name": "notes", "environment": "staging"}, "api": api})
