"""Changing and deleting another tenant's object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, combine, failed, passed
from maestro_cli.observe import session as sessions
from maestro_cli.observe.control import outcome
from maestro_cli.observe.endpoint import with_query, words_of
from maestro_cli.observe.http import Answer
from maestro_cli.observe.session import LOGIN_REQUESTS, Session
from maestro_cli.observe.tenant_objects import (
    OBJECT_REQUESTS,
    Owned,
    delete,
    get,
    make,
    names_tenant,
    path_of,
    settings_of,
    twin_of,
    update,
)
from maestro_cli.observe.unnamed_tenant import UNNAMED, unnamed

OVERRIDE = "a POST that says to be a DELETE"


@check(
    "security.tenant-write",
    component="multi_tenancy",
    priority="critical",
    writes=True,
    requests=2 * LOGIN_REQUESTS + OBJECT_REQUESTS + 24 + 8 * UNNAMED,
    deadline_s=20,
    faults=("tenant-update-leaks", "tenant-delete-leaks"),
)
def tenant_write(ctx: Context) -> Finding:
    """An account can neither change nor delete another tenant's object.

    Why: the check that guards reading is often forgotten where there is nothing to show.
    Fails when: the second account changes (api.isolation.update, also with PUT in place of PATCH and the other way round) or deletes (api.isolation.delete) the object that the
    first one has just made, the latter also by a POST that says to be a DELETE (X-HTTP-Method-Override); where a header of api.headers names the tenant, also without it or with an empty one. Seen by its owner's reading it again, whatever was answered.
    Fix: look every object up by id and tenant together, for writing as for reading, or let row-level security do it.
    Source: OWASP API1:2023; OWASP ASVS 5.0 8.2.2
    """
    if settings_of(ctx).update is None:
        ctx.require(settings_of(ctx).delete, "api.isolation.update or delete")
    stranger = sessions.for_account(ctx, 1)
    owned = make(ctx, sessions.for_account(ctx, 0), "w")
    findings = []
    if settings_of(ctx).update is not None:
        findings.append(_changed(ctx, owned, stranger))
    if settings_of(ctx).delete is not None:
        findings.append(_deleted(ctx, owned, stranger))
    return combine(findings)


def _changed(ctx: Context, owned: Owned, stranger: Session) -> Finding:
    evidence: list[Evidence] = []
    endpoint = ctx.require(settings_of(ctx).update, "api.isolation.update")
    marked = "{nonce}" in str(endpoint.body)
    quiet = get(ctx, owned.owner, owned.id).body == owned.read.body
    if marked:
        _own_change(ctx, owned, evidence)
    places = _places(endpoint.path, owned, stranger)
    tries: list[tuple[str, Session, Session, str | None]] = [(where, stranger, whose, None) for where, whose in places]
    # Frameworks route both to handlers of their own, and a guard is easily put into one of them alone.
    twin = twin_of(endpoint.method)
    tries += [(f"{where} with {twin}", stranger, whose, twin) for where, whose in places if twin]
    tries += [(how, asking, owned.owner, None) for how, asking in unnamed(stranger)]
    for where, asking, whose, method in tries:
        before = get(ctx, owned.owner, owned.id)
        answer = update(ctx, asking, owned.id, f"{ctx.nonce}ws", of=whose, method=method)
        moved = _moved(ctx, before, get(ctx, owned.owner, owned.id), endpoint.body if not marked else None, quiet=quiet)
        seen = f"{answer.status}, {'changed' if moved else 'unchanged'} for its owner"
        expected = "unchanged" if method or asking is not stranger else "404 or 403, unchanged"
        evidence.append(Evidence(f"change by {stranger.account.username}{where}", seen, expected))
        if moved:
            return failed(f"{stranger.account.username} changes another tenant's object{where}.", *evidence)
        if answer.status >= 500 and method is None and asking is stranger:
            return failed(f"Changing another tenant's object is not refused but answered {answer.status}.", *evidence)
    if not marked:  # who comes second writes what is there already, so the owner is second
        before = get(ctx, owned.owner, owned.id)
        _own_change(ctx, owned, evidence)
        if not _moved(ctx, before, get(ctx, owned.owner, owned.id), endpoint.body, quiet=quiet):
            raise ControlFailed(
                "its owner's change of the object changes nothing, so another's would not be seen either",
                hint="Write {nonce} into a text of api.isolation.update.body, or another value than create has.",
            )
    return passed(f"{stranger.account.username} cannot change another tenant's object.", *evidence)


def _own_change(ctx: Context, owned: Owned, evidence: list[Evidence]) -> None:
    own = update(ctx, owned.owner, owned.id, f"{ctx.nonce}wo")
    if not 200 <= own.status < 300:
        raise ControlFailed(
            f"its owner cannot change the object: api.isolation.update is answered {own.status}{words_of(ctx, own)}"
        )
    evidence.append(Evidence(f"control: change by {owned.owner.account.username}", str(own.status), "2xx"))


def _moved(ctx: Context, before: Answer, after: Answer, body: Mapping[str, Any] | None, *, quiet: bool) -> bool:
    """Whether the stranger's text is in there now, or the values of a body without one.

    Args:
        ctx: The run.
        before: The owner's reading.
        after: The same, after the stranger's attempt.
        body: What was written, where it holds no text of its own.
        quiet: Whether the object reads alike each time: elsewhere a time or a number of the request makes a difference.
    """
    if after.status != before.status:
        return True
    if body is None:
        return f"{ctx.nonce}ws".encode() in after.body
    wanted = _values(body)
    return _values(after.json()) & wanted > _values(before.json()) & wanted or (quiet and after.body != before.body)


def _values(document: Any, name: str = "") -> set[tuple[str, str]]:
    """Every name with its value, wherever it stands."""
    if isinstance(document, Mapping):
        return {pair for key, value in document.items() for pair in _values(value, str(key))}
    if isinstance(document, list):
        return {pair for value in document for pair in _values(value, name)}
    return {(name, str(document))}


def _deleted(ctx: Context, owned: Owned, stranger: Session) -> Finding:
    evidence = []
    tries = [(where, stranger, whose) for where, whose in _places(settings_of(ctx).delete or "", owned, stranger)]
    for where, asking, whose in [*tries, *((how, asking, owned.owner) for how, asking in unnamed(stranger))]:
        before = get(ctx, owned.owner, owned.id)
        answer = delete(ctx, asking, owned.id, of=whose)
        after = get(ctx, owned.owner, owned.id)
        name = f"deletion by {stranger.account.username}{where}"
        evidence.append(Evidence(name, f"{answer.status}, then {after.status} for its owner", "404 or 403, then 2xx"))
        if _gone(ctx, owned, before, after):
            return failed(f"{stranger.account.username} deletes another tenant's object{where}.", *evidence)
        overridden = _overridden(ctx, asking, owned, whose)
        after = get(ctx, owned.owner, owned.id)
        evidence.append(Evidence(f"{name} by {OVERRIDE}", f"{overridden.status}, then {after.status}", "then 2xx"))
        if _gone(ctx, owned, before, after):
            return failed(f"{stranger.account.username} deletes another tenant's object by {OVERRIDE}.", *evidence)
        if answer.status >= 500 and asking is stranger:
            return failed(f"Deleting another tenant's object is not refused but answered {answer.status}.", *evidence)
    return passed(f"{stranger.account.username} cannot delete another tenant's object.", *evidence)


def _overridden(ctx: Context, stranger: Session, owned: Owned, whose: Session) -> Answer:
    """A POST that says to be a DELETE: where a middleware believes it, guards have looked at the POST."""
    path = path_of(ctx, settings_of(ctx).delete or "", owned.id, whose)
    headers = {**stranger.headers, "X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE"}
    return ctx.http.request("POST", with_query(path, "_method=DELETE"), headers=headers)


def _gone(ctx: Context, owned: Owned, before: Answer, after: Answer) -> bool:
    """Whether its owner finds it no more, also where the API says so with a 200."""
    found = outcome(owned.owner.auth, after)
    if found in ("crashed", "unclear"):
        raise ControlFailed(f"the owner's reading after the deletion is answered {after.status}: nobody knows")
    mark = ctx.nonce.encode()
    return found == "refused" or (mark in before.body and mark not in after.body)


def _places(path: str, owned: Owned, stranger: Session) -> list[tuple[str, Session]]:
    """Under whose tenant it is tried, where the path names one: the owner's, and the stranger's own."""
    own = [(" under its own tenant", stranger)] if names_tenant(path) else []
    return [("", owned.owner), *own]
