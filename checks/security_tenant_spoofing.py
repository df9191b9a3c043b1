"""Saying to be of another tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, failed, passed
from maestro_cli.observe import session as sessions
from maestro_cli.observe.held_objects import shows
from maestro_cli.observe.session import LOGIN_REQUESTS
from maestro_cli.observe.tenant_claims import Ways, plain_reads, spoofed
from maestro_cli.observe.tenant_names import (
    FURTHER,
    HEADERS,
    QUERIES,
    bodies,
    header_names,
    in_request,
    query_names,
)
from maestro_cli.observe.tenant_objects import (
    OBJECT_REQUESTS,
    Owned,
    create,
    delete,
    get,
    make,
    settings_of,
    shared_object,
    strangers_read,
    tenant_named,
    update,
)

if TYPE_CHECKING:
    from maestro_cli.observe.session import Session
    from maestro_cli.observe.tenant_names import Tenant

WRITTEN_REQUESTS = 2 * (len(HEADERS) + FURTHER) * (OBJECT_REQUESTS + 2 * 4) + 12
"""At the most, where every header by itself is refused when writing; where they are ignored it is a dozen."""


@check(
    "security.tenant-spoofing",
    component="multi_tenancy",
    priority="critical",
    writes=True,
    requests=2 * LOGIN_REQUESTS
    + 12 * OBJECT_REQUESTS
    + WRITTEN_REQUESTS
    + 3 * (len(HEADERS) + 2 * len(QUERIES) + 3 * FURTHER)
    + 19,
    deadline_s=20,
    faults=(
        "tenant-header-believed",
        "tenant-header-believed-when-making",
        "tenant-header-believed-when-changing",
        "tenant-header-believed-when-deleting",
        "tenant-query-believed",
        "tenant-cookie-believed",
        "tenant-body-believed",
        "tenant-nested-in-body-believed",
    ),
)
def tenant_spoofing(ctx: Context) -> Finding:
    """A tenant named in header, query, cookie or body is not believed.

    Why: the tenant is part of who one is; taken from anywhere but the verified token it is whatever the client likes.
    Fails when: the second account, naming the first one's tenant in a header, the query, a cookie or a body, reads or lists its
    object, makes or moves one into that tenant, or makes one there by putting it in place of {tenant}; or, naming it in a header,
    changes or deletes one there; or makes one there by naming it in the query. Tried are the usual names and those that the
    service uses itself: in its tokens, its login's answer, its objects; in a query also as a filter (`?filter[org]=…`).
    Fix: take the tenant from the verified token only; refuse a body that names another one.
    Source: OWASP API1:2023, API3:2023; OWASP ASVS 5.0 8.2.2; CWE-639
    """
    owned = shared_object(ctx)
    stranger = sessions.for_account(ctx, 1)
    tenant = tenant_named(ctx, owned)
    plain = strangers_read(ctx)
    if any(shows(answer, owned) for answer in (plain, *plain_reads(ctx, owned))):
        raise ControlFailed("another tenant's object is read without naming the tenant (see security.tenant-read)")
    evidence = [
        Evidence(f"control: GET {settings_of(ctx).read} by its owner", str(owned.read.status), "2xx"),
        Evidence("control: the same by the other account", str(plain.status), "404 or 403"),
    ]
    believed = [
        *_in_headers(ctx, owned, tenant, evidence),
        *_in_query(ctx, owned, tenant, evidence),
        *_in_cookies(ctx, owned, tenant, evidence),
        *_written(ctx, owned, tenant, evidence),
        *_in_place(ctx, owned, evidence),
        *_in_body(ctx, owned, tenant, evidence),
    ]
    if believed:
        return failed(
            f"{stranger.account.username} gets into another tenant by naming it in {', '.join(believed)}.", *evidence
        )
    return passed("A tenant named in header, query, cookie or body is not believed.", *evidence)


def _in_headers(ctx: Context, owned: Owned, tenant: Tenant, evidence: list[Evidence]) -> list[str]:
    names = header_names(ctx, tenant)
    every: list[Ways] = [{f"the header {name}": ({name: text}, "") for name in names} for text in tenant.texts]
    return [name for ways in every for name in spoofed(ctx, owned, "a header", ways, evidence)]


def _in_query(ctx: Context, owned: Owned, tenant: Tenant, evidence: list[Evidence]) -> list[str]:
    plain = query_names(tenant)
    # JSON:API and those that follow it: ?filter[org]=…
    names = [(name, quote(name, safe="")) for name in (*plain, *(f"filter[{name}]" for name in plain))]
    every: list[Ways] = [
        {f"the query ({name})": ({}, f"{quoted}={quote(text, safe='')}") for name, quoted in names}
        for text in tenant.texts
    ]
    return [name for ways in every for name in spoofed(ctx, owned, "the query", ways, evidence)]


def _in_cookies(ctx: Context, owned: Owned, tenant: Tenant, evidence: list[Evidence]) -> list[str]:
    """Cookies such as a front end keeps the chosen tenant in, beside those of the session."""
    held = sessions.for_account(ctx, 1).headers.get("Cookie")
    found = []
    for text in tenant.texts:
        cookies = [f"{name}={quote(text, safe='')}" for name in query_names(tenant)]
        together = "; ".join([*([held] if held else []), *cookies])
        ways: Ways = {f"the cookie ({', '.join(query_names(tenant))})": ({"Cookie": together}, "")}
        found += spoofed(ctx, owned, "a cookie", ways, evidence)
    return found


def _written(ctx: Context, owned: Owned, tenant: Tenant, evidence: list[Evidence]) -> list[str]:
    """What headers do to writing, where a guard of its own may look at them."""
    names = header_names(ctx, tenant)
    stranger = sessions.for_account(ctx, 1)
    makes = partial(_makes, ctx, owned, evidence)
    found = [f"{name} when making an object" for text in tenant.texts for name in _searched(text, names, makes)]
    for text in tenant.texts:
        query = "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name in query_names(tenant))
        if makes({}, query)[0]:
            found.append(f"the query ({', '.join(query_names(tenant))}) when making an object")
    for what, endpoint in (("changing", settings_of(ctx).update), ("deleting", settings_of(ctx).delete)):
        if endpoint is None:
            continue
        victims = [make(ctx, owned.owner, f"v{what[0]}")]
        done, plain = _overwrites(ctx, stranger, victims[0], what, {})
        if done or not shows(get(ctx, owned.owner, victims[0].id), victims[0]):
            _give_up(ctx, stranger, victims[0])
            continue  # it needs no header: see security.tenant-write

        def tried(
            headers: Mapping[str, str], what: str = what, plain: int = plain, victims: list[Owned] = victims
        ) -> tuple[bool, bool]:
            done, status = _overwrites(ctx, stranger, victims[-1], what, headers)
            if done:
                _give_up(ctx, stranger, victims[-1])
                victims.append(make(ctx, owned.owner, f"v{what[0]}{len(victims)}"))
            seen = f"{status}, {'done' if done else 'untouched'}"
            evidence.append(Evidence(f"{what} it, the tenant named in {', '.join(headers)}", seen, "untouched"))
            return done, status == plain

        found += [f"{name} when {what} an object" for text in tenant.texts for name in _searched(text, names, tried)]
    return found


def _give_up(ctx: Context, stranger: Session, victim: Owned) -> None:
    """Delete as the stranger what has become the stranger's: its owner no longer can."""
    if settings_of(ctx).delete is not None and get(ctx, victim.owner, victim.id).status >= 400:
        delete(ctx, stranger, victim.id)


def _searched(text: str, names: list[str], tried: Callable[[Mapping[str, str]], tuple[bool, bool]]) -> list[str]:
    """The headers that have an effect: all at once, and by halves where that is refused, until each was let through.

    `tried` tells whether they have the effect, and whether they are answered as if they were not there.
    """
    done, ignored = tried(dict.fromkeys(names, text))
    if len(names) == 1 or (ignored and not done):
        return [f"the header {names[0]}"] if done else []
    half = len(names) // 2
    found = [name for part in (names[:half], names[half:]) for name in _searched(text, part, tried)]
    return found or (["a header among several"] if done else [])


def _makes(
    ctx: Context, owned: Owned, evidence: list[Evidence], headers: Mapping[str, str], query: str = ""
) -> tuple[bool, bool]:
    settings, stranger = settings_of(ctx), sessions.for_account(ctx, 1)
    made, answer = create(ctx, stranger, f"h{len(evidence)}", headers=headers, query=query)
    crossed = made is not None and _crossed(ctx, owned, made)
    if crossed and made is not None and settings.delete is not None:
        delete(ctx, owned.owner, made, of=owned.owner)  # its maker cannot
    seen = str(answer.status) if made is None else f"{answer.status}, {_whose(crossed)}"
    what = f"POST {settings.create.path} with {query or ', '.join(headers)}"
    evidence.append(Evidence(what, seen, "refused, or made for oneself"))
    return crossed, made is not None


def _overwrites(ctx: Context, actor: Session, victim: Owned, what: str, headers: Mapping[str, str]) -> tuple[bool, int]:
    """Whether the owner's object is changed or gone afterwards, and what is answered."""
    before = get(ctx, victim.owner, victim.id)
    if what == "deleting":
        status = delete(ctx, actor, victim.id, headers=headers).status
        after = get(ctx, victim.owner, victim.id)
        gone = 400 <= after.status < 500 and after.status not in (401, 429)
        return gone or (200 <= after.status < 300 and not shows(after, victim)), status
    status = update(ctx, actor, victim.id, f"{ctx.nonce}vs", headers=headers).status
    after = get(ctx, victim.owner, victim.id)
    endpoint = settings_of(ctx).update
    if endpoint is not None and "{nonce}" in str(endpoint.body):
        return f"{ctx.nonce}vs".encode() in after.body, status
    return after.status == before.status and after.body != before.body, status


def _in_place(ctx: Context, owned: Owned, evidence: list[Evidence]) -> list[str]:
    """Making an object where the path (or the configured body or header) names the tenant: there the owner's is named."""
    settings, stranger = settings_of(ctx), sessions.for_account(ctx, 1)
    if not in_request(ctx, settings.create, owned.owner):
        return []
    made, answer = create(ctx, stranger, "t", of=owned.owner)
    crossed = made is not None and _crossed(ctx, owned, made)
    if crossed and made is not None and settings.delete is not None:
        delete(ctx, owned.owner, made, of=owned.owner)
    seen = str(answer.status) if made is None else f"{answer.status}, {_whose(crossed)}"
    evidence.append(Evidence(f"POST {settings.create.path} with the other tenant for {{tenant}}", seen, "refused"))
    return ["{tenant} of api.isolation.create"] if crossed else []


def _in_body(ctx: Context, owned: Owned, tenant: Tenant, evidence: list[Evidence]) -> list[str]:
    stranger = sessions.for_account(ctx, 1)
    settings = settings_of(ctx)
    for number, members in enumerate(bodies(ctx, tenant)):
        named = ", ".join(members)
        suffix = f"b{number}"
        made, answer = create(ctx, stranger, suffix, members)
        place = f"POST {settings.create.path} with {named} in the body"
        if made is None:
            evidence.append(Evidence(place, str(answer.status), "refused, or made for oneself"))
            continue
        crossed = _crossed(ctx, owned, made)
        evidence.append(Evidence(place, f"{answer.status}, {_whose(crossed)}", "refused, or made for oneself"))
        if not crossed and settings.update is not None:
            answer = update(ctx, stranger, made, f"{ctx.nonce}{suffix}u", extra=members)
            crossed = _crossed(ctx, owned, made)
            place = f"its change with {named} in the body"
            evidence.append(Evidence(place, f"{answer.status}, {_whose(crossed)}", "refused, or left where it was"))
        if crossed and settings.delete is not None:
            delete(ctx, owned.owner, made, of=owned.owner)  # its maker cannot
        if crossed:
            return [f"the body ({named})"]
    return []


def _crossed(ctx: Context, owned: Owned, made: str) -> bool:
    """Whether the other tenant's account finds the stranger's object among its own.

    Raises:
        ControlFailed: Where it finds any object of the stranger's, so that no name of a tenant is what brought it there.
    """
    if not _found(ctx, owned, made):
        return False
    if ctx.shared("strangers-object-found", lambda: _found_plainly(ctx, owned)):
        if settings_of(ctx).delete is not None:
            delete(ctx, owned.owner, made, of=owned.owner)  # its maker may not be able to
        raise ControlFailed(
            f"{owned.owner.account.username} reads another tenant's object that names no tenant (see security.tenant-read)"
        )
    return True


def _found_plainly(ctx: Context, owned: Owned) -> bool:
    plain, _ = create(ctx, sessions.for_account(ctx, 1), "own")
    return plain is not None and _found(ctx, owned, plain)


def _found(ctx: Context, owned: Owned, made: str) -> bool:
    seen = get(ctx, owned.owner, made, of=owned.owner)
    if settings_of(ctx).create.body is None or "{nonce}" not in str(settings_of(ctx).create.body):
        return 200 <= seen.status < 300
    return 200 <= seen.status < 300 and ctx.nonce.encode() in seen.body


def _whose(crossed: bool) -> str:
    return "of the other tenant" if crossed else "of its own"
