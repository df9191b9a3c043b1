"""Saying to be of another tenant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, failed, passed
from maestro_cli.observe import session as sessions
from maestro_cli.observe.endpoint import fill_path
from maestro_cli.observe.session import LOGIN_REQUESTS
from maestro_cli.observe.tenant_names import in_path
from maestro_cli.observe.tenant_objects import (
    OBJECT_REQUESTS,
    Owned,
    create,
    delete,
    get,
    lists,
    settings_of,
    shared_object,
    shows,
    strangers_list,
    strangers_read,
    tenant_named,
    update,
)

if TYPE_CHECKING:
    from maestro_cli.observe.tenant_names import Tenant

HEADERS = ("X-Tenant-ID", "X-Tenant", "Tenant-ID", "X-Org-ID", "X-Organization-ID", "X-Account-ID")
QUERIES = ("tenant_id", "tenant", "org_id")
FURTHER = 4
"""Most further names of headers and queries, made of what the service itself calls the tenant."""


@check(
    "security.tenant-spoofing",
    component="multi_tenancy",
    priority="critical",
    writes=True,
    requests=2 * LOGIN_REQUESTS + 4 * OBJECT_REQUESTS + len(HEADERS) + 2 * len(QUERIES) + 3 * FURTHER + 11,
    deadline_s=20,
    faults=("tenant-header-believed", "tenant-query-believed", "tenant-body-believed"),
)
def tenant_spoofing(ctx: Context) -> Finding:
    """A tenant named in header, query or body is not believed.

    Why: the tenant is part of who one is; taken from anywhere but the verified token it is whatever the client likes.
    Fails when: the second account, naming the first one's tenant in a header, the query or a body, reads, lists, makes or
    moves an object into that tenant. Tried are the usual names and those that the service uses itself: in its tokens,
    its login's answer, its objects.
    Fix: take the tenant from the verified token only; refuse a body that names another one.
    Source: OWASP API1:2023, API3:2023; OWASP ASVS 5.0 8.2.2; CWE-639
    """
    owned = shared_object(ctx)
    stranger = sessions.for_account(ctx, 1)
    tenant = tenant_named(ctx, owned)
    plain = strangers_read(ctx)
    if shows(plain, owned):
        raise ControlFailed("another tenant's object is read without naming the tenant (see security.tenant-read)")
    evidence = [
        Evidence(f"control: GET {settings_of(ctx).read} by its owner", str(owned.read.status), "2xx"),
        Evidence("control: the same by the other account", str(plain.status), "404 or 403"),
    ]
    believed = [
        *_in_headers(ctx, owned, tenant, evidence),
        *_in_query(ctx, owned, tenant, evidence),
        *_in_body(ctx, owned, tenant, evidence),
    ]
    if believed:
        return failed(
            f"{stranger.account.username} gets into another tenant by naming it in {', '.join(believed)}.", *evidence
        )
    return passed("A tenant named in header, query or body is not believed.", *evidence)


def _in_headers(ctx: Context, owned: Owned, tenant: Tenant, evidence: list[Evidence]) -> list[str]:
    settings, stranger = settings_of(ctx), sessions.for_account(ctx, 1)
    believed = []
    names = header_names(tenant)
    for header in names:
        answer = get(ctx, stranger, owned.id, headers={header: tenant.text})
        evidence.append(Evidence(f"GET {settings.read} with {header}", str(answer.status), "404 or 403"))
        if shows(answer, owned):
            believed.append(f"the header {header}")
    if _tells(ctx, owned) and settings.list is not None and not believed:
        headers = {**stranger.headers, **dict.fromkeys(names, tenant.text)}
        answer = ctx.http.get(_own_list(ctx), headers=headers)
        holds = lists(answer, owned, settings.create.id)
        seen = f"{answer.status}, {'holds' if holds else 'does not hold'} the object"
        evidence.append(Evidence(f"GET {settings.list} with all of them", seen, "does not hold it"))
        believed += ["a header of the list"] if holds else []
    return believed


def header_names(tenant: Tenant) -> list[str]:
    """The usual ones, and those made of the service's own words: `workspace` → X-Workspace-ID, X-Workspace."""
    known = {name.lower() for name in HEADERS}
    stems = ("-".join(word.capitalize() for word in stem.split("_")) for stem in tenant.stems)
    further = [f"X-{stem}{end}" for stem in stems for end in ("-ID", "")]
    return [*HEADERS, *[name for name in dict.fromkeys(further) if name.lower() not in known][:FURTHER]]


def query_names(tenant: Tenant) -> list[str]:
    """The usual ones, and those of the service."""
    further = [*tenant.names, *(name for stem in tenant.stems for name in (stem, f"{stem}_id"))]
    return [*QUERIES, *[name for name in dict.fromkeys(further) if name not in QUERIES][:FURTHER]]


def _own_list(ctx: Context) -> str:
    """The stranger's own list."""
    path = settings_of(ctx).list or ""
    return fill_path(path, in_path(ctx, path, sessions.for_account(ctx, 1)))


def _tells(ctx: Context, owned: Owned) -> bool:
    """Whether the list, asked for plainly, lacks the object: only then does its appearing mean anything."""
    settings = settings_of(ctx)
    return settings.list is not None and not lists(strangers_list(ctx), owned, settings.create.id)


def _in_query(ctx: Context, owned: Owned, tenant: Tenant, evidence: list[Evidence]) -> list[str]:
    settings, stranger = settings_of(ctx), sessions.for_account(ctx, 1)
    believed = []
    for name in query_names(tenant):
        query = f"{quote(name, safe='')}={quote(tenant.text, safe='')}"
        answer = get(ctx, stranger, owned.id, query=query)
        leaks = shows(answer, owned)
        seen = str(answer.status)
        if _tells(ctx, owned) and settings.list is not None and not leaks:
            path = _own_list(ctx)
            answer = ctx.http.get(f"{path}{'&' if '?' in path else '?'}{query}", headers=stranger.headers)
            leaks = lists(answer, owned, settings.create.id)
            seen += f", the list {answer.status}{', holding the object' if leaks else ''}"
        evidence.append(Evidence(f"GET {settings.read} with ?{name}=", seen, "404 or 403, not in the list"))
        if leaks:
            believed.append(f"the query ({name})")
    return believed


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
        if crossed:
            delete(ctx, owned.owner, made, of=owned.owner)  # its maker cannot
            return [f"the body ({named})"]
    return []


def bodies(ctx: Context, tenant: Tenant) -> Iterator[dict[str, Any]]:
    """Members to put into a body: those that objects of the service have, then those that one would guess.

    One after the other: an API that refuses members it does not know would refuse all of them for one.
    """
    if tenant.members:
        yield dict.fromkeys(tenant.members, tenant.value)
    tenancy = ctx.settings.tenancy
    guessed = (tenancy.column if tenancy is not None else "tenant_id", *tenant.claims)
    further = [name for name in dict.fromkeys(guessed) if name not in tenant.members]
    if further:
        yield dict.fromkeys(further, tenant.value)


def _crossed(ctx: Context, owned: Owned, made: str) -> bool:
    """Whether the other tenant's account finds the stranger's object among its own."""
    seen = get(ctx, owned.owner, made, of=owned.owner)
    if settings_of(ctx).create.body is None or "{nonce}" not in str(settings_of(ctx).create.body):
        return 200 <= seen.status < 300
    return 200 <= seen.status < 300 and ctx.nonce.encode() in seen.body


def _whose(crossed: bool) -> str:
    return "of the other tenant" if crossed else "of its own"
