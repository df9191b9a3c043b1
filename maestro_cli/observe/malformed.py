"""Bodies that no honest client sends, sent to the login: made once per run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from maestro_cli.errors import NotConfigured
from maestro_cli.observe import login as logins
from maestro_cli.observe import session as sessions
from maestro_cli.observe.endpoint import dig, fill
from maestro_cli.observe.errors import ControlFailed, Unreachable
from maestro_cli.observe.http import Answer

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Isolation
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.session import Session

JSON = "application/json"
BODIES: tuple[tuple[str, str, bytes], ...] = (
    ("broken JSON", JSON, b'{"maestro-probe": '),
    ("a list for an object", JSON, b"[1, 2, 3]"),
    ("numbers for texts", JSON, b'{"username": 1, "email": {"a": []}, "password": [null]}'),
    ("bytes that are no UTF-8", JSON, b'{"username": "\xff\xfe", "email": "\xc3\x28", "password": "\x80"}'),
    ("an empty body", JSON, b""),
)
MALFORMED_REQUESTS = len(BODIES)
STRANGE_ID = "maestro-probe'\""
"""An id with what ends a text in SQL: harmless where it is a parameter."""
OVERFLOW = "a number that no integer holds"
"""An id again, where ids are numbers: of more digits than 64 bits have."""
MISTYPED = 4
"""Most members of api.isolation.create.body that a list is sent for, one at a time: a validator names the first and stops."""
INSIDE_REQUESTS = 2 * (6 + MISTYPED) + 6
"""Twice, where the service hangs up at each; and an object to change."""


def malformed_answers(ctx: Context) -> list[tuple[str, Answer]]:
    """What was sent to api.auth.login, and the answer.

    Raises:
        NotConfigured: Without api.auth.login.
    """
    return ctx.shared("malformed-answers", lambda: _malformed_answers(ctx))


def _malformed_answers(ctx: Context) -> list[tuple[str, Answer]]:
    auth = logins.settings_of(ctx)
    login = logins.login_of(auth)
    path = login.path
    method = login.method or "POST"
    # What maestro.yaml writes for a login (an API key, say) and a page's token go with them, or nobody looks at the body.
    account = auth.accounts[0] if auth.accounts else None
    values = {} if account is None else {"username": account.username, "tenant": account.tenant or ""}
    beside = {**fill(login.headers or {}, values), **logins.page_headers(ctx)}
    found: list[tuple[str, Answer]] = []
    for name, kind, body in BODIES:
        headers = {**beside, "Content-Type": kind}
        try:
            found.append(
                (f"{method} {path} with {name}", ctx.http.request(method.upper(), path, body=body, headers=headers))
            )
        except Unreachable:
            ctx.http.get(ctx.require(ctx.settings.api, "api").health_path)  # the control: it answers others still
            ctx.shared("malformed-unanswered", list[str]).append(name)
            break  # each may cost the whole wait
    return found


def unanswered(ctx: Context) -> list[str]:
    """The bodies that the login left without an answer, while the service answered others."""
    return ctx.shared("malformed-unanswered", list[str])


def inside_answers(ctx: Context) -> list[tuple[str, Answer]]:
    """The same behind the login: bodies to api.isolation.create that cannot make anything, and to api.isolation.update that
    cannot change anything; and a strange id to read.

    Nothing where that is not configured, or where this run may not write: a service may take anything.
    """
    return ctx.shared("malformed-inside", lambda: _inside_answers(ctx))


def _inside_answers(ctx: Context) -> list[tuple[str, Answer]]:
    from maestro_cli.observe.endpoint import fill_path
    from maestro_cli.observe.tenant_names import in_path

    api = ctx.settings.api
    isolation = api.isolation if api is not None else None
    if isolation is None:
        return []
    session = sessions.for_account(ctx, 0)
    values = in_path(ctx, f"{isolation.read} {isolation.create.path}", session)
    strange = fill_path(isolation.read, {"id": STRANGE_ID, **values})
    tries: list[tuple[str, str, str, str, bytes | None]] = [("GET", isolation.read, strange, "a strange id", None)]
    if not ctx.read_only and (ctx.environment != "production" or ctx.probe_production):
        method = (isolation.create.method or "POST").upper()
        # An empty list: a service that makes many at once makes none of it.
        bodies = (BODIES[0][2], b"[]")
        place = isolation.create.path
        path = fill_path(place, values)
        tries += [(method, place, path, kind[0], body) for kind, body in zip(BODIES, bodies, strict=False)]
        tries += [(method, place, path, name, body) for name, body in _mistyped(ctx, isolation, session)]
        tries += _changes(ctx, session, bodies, values)
    found = []
    for method, place, path, name, body in tries:
        headers = {**session.headers, **({} if body is None else {"Content-Type": JSON})}
        with contextlib.suppress(Unreachable):  # it hangs up: rude, but nothing of the inside is told
            answer = ctx.http.request(method, path, body=body, headers=headers)
            found.append((f"{method} {place} with {name}", answer))
            if place == isolation.create.path and body is not None and 200 <= answer.status < 300:
                _give_back(ctx, session, answer)
    return found


def _mistyped(ctx: Context, isolation: Isolation, session: Session) -> list[tuple[str, bytes]]:
    """Bodies that would make an object, but for a list where a text or a number belongs; none where its id is in the body."""
    from maestro_cli.observe.tenant_names import in_request

    create = isolation.create
    if create.encoding != "json" or "{" in create.id:
        return []  # what is made then could not be deleted
    values = {"nonce": f"{ctx.nonce}mt", **in_request(ctx, create, session)}
    document = fill(dict(create.body or {}), values)
    found = []
    for place in [place for place in _leaves(create.body or {}) if "{tenant}" not in str(dig(create.body, place))]:
        changed = json.loads(json.dumps(document))
        *parents, member = place.split(".")
        inner = dig(changed, ".".join(parents)) if parents else changed
        inner[member] = ["maestro-probe"]
        found.append((f"a list for {place}", json.dumps(changed).encode()))
    return found[:MISTYPED]


def _leaves(body: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """The places of a body's texts and numbers."""
    for name, value in body.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{place}{name}.")
        elif isinstance(value, str | int | float) and "." not in name:
            yield f"{place}{name}"


def _changes(
    ctx: Context, session: Session, bodies: tuple[bytes, ...], values: Mapping[str, str]
) -> list[tuple[str, str, str, str, bytes | None]]:
    """The same bodies to an object of one's own: what another route takes apart may be guarded otherwise."""
    from maestro_cli.observe.endpoint import fill_path
    from maestro_cli.observe.tenant_objects import make, path_of, settings_of

    tries: list[tuple[str, str, str, str, bytes | None]] = []
    with contextlib.suppress(NotConfigured, ControlFailed, Unreachable):
        settings = settings_of(ctx)
        made = make(ctx, session, "m").id
        if made.isdecimal():
            path = fill_path(settings.read, {"id": "9" * 25, **values})
            tries.append(("GET", settings.read, path, OVERFLOW, None))
        endpoint = settings.update
        if endpoint is not None and endpoint.encoding == "json":
            method, path = (endpoint.method or "PATCH").upper(), path_of(ctx, endpoint.path, made)
            kinds = zip(BODIES, bodies, strict=False)
            tries += [(method, endpoint.path, path, kind[0], body) for kind, body in kinds]
    return tries


def _give_back(ctx: Context, session: Session, answer: Answer) -> None:
    """Have what was made of a malformed body deleted when the run ends."""
    from maestro_cli.observe.tenant_objects import deleted_later, object_id, settings_of

    with contextlib.suppress(NotConfigured):
        made = None if "{" in settings_of(ctx).create.id else object_id(ctx, answer, ctx.nonce)
        if made is not None:
            deleted_later(ctx, session, made)
