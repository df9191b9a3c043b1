"""Saying to be of another tenant."""

from __future__ import annotations

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, failed, passed
from maestro_cli.observe import session as sessions
from maestro_cli.observe.session import LOGIN_REQUESTS
from maestro_cli.observe.tenant_objects import (
    OBJECT_REQUESTS,
    Owned,
    create,
    delete,
    get,
    lists,
    mark_of,
    settings_of,
    shared_object,
    shows,
    strangers_list,
    strangers_read,
    tenant_of,
)

HEADERS = ("X-Tenant-ID", "X-Tenant", "Tenant-ID", "X-Org-ID", "X-Organization-ID", "X-Account-ID")
QUERIES = ("tenant_id", "tenant", "org_id")


@check(
    "security.tenant-spoofing",
    component="multi_tenancy",
    priority="critical",
    writes=True,
    requests=2 * LOGIN_REQUESTS + 2 * OBJECT_REQUESTS + len(HEADERS) + 2 * len(QUERIES) + 5,
    deadline_s=20,
    faults=("tenant-header-believed", "tenant-query-believed", "tenant-body-believed"),
)
def tenant_spoofing(ctx: Context) -> Finding:
    """A tenant named in header, query or body is not believed.

    Why: the tenant is part of who one is; taken from anywhere but the verified token it is whatever the client likes.
    Fails when: the second account, naming the first one's tenant in a header, the query or a body, reads, lists or makes
    an object of that tenant.
    Fix: take the tenant from the verified token only; refuse a body that names another one.
    Source: OWASP API1:2023, API3:2023; OWASP ASVS 5.0 8.2.2; CWE-639
    """
    owned = shared_object(ctx)
    stranger = sessions.for_account(ctx, 1)
    tenant = tenant_of(ctx, owned.owner, owned)
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


def _in_headers(ctx: Context, owned: Owned, tenant: str, evidence: list[Evidence]) -> list[str]:
    settings, stranger = settings_of(ctx), sessions.for_account(ctx, 1)
    believed = []
    for header in HEADERS:
        answer = get(ctx, stranger, owned.id, headers={header: tenant})
        evidence.append(Evidence(f"GET {settings.read} with {header}", str(answer.status), "404 or 403"))
        if shows(answer, owned):
            believed.append(f"the header {header}")
    if _tells(ctx, owned) and settings.list is not None and not believed:
        headers = {**stranger.headers, **dict.fromkeys(HEADERS, tenant)}
        answer = ctx.http.get(settings.list, headers=headers)
        holds = lists(answer, owned, settings.create.id)
        seen = f"{answer.status}, {'holds' if holds else 'does not hold'} the object"
        evidence.append(Evidence(f"GET {settings.list} with all of them", seen, "does not hold it"))
        believed += ["a header of the list"] if holds else []
    return believed


def _tells(ctx: Context, owned: Owned) -> bool:
    """Whether the list, asked for plainly, lacks the object: only then does its appearing mean anything."""
    settings = settings_of(ctx)
    return settings.list is not None and not lists(strangers_list(ctx, settings.list), owned, settings.create.id)


def _in_query(ctx: Context, owned: Owned, tenant: str, evidence: list[Evidence]) -> list[str]:
    from urllib.parse import quote

    settings, stranger = settings_of(ctx), sessions.for_account(ctx, 1)
    believed = []
    for name in QUERIES:
        query = f"{name}={quote(tenant, safe='')}"
        answer = get(ctx, stranger, owned.id, query=query)
        leaks = shows(answer, owned)
        seen = str(answer.status)
        if _tells(ctx, owned) and settings.list is not None and not leaks:
            joint = "&" if "?" in settings.list else "?"
            answer = ctx.http.get(f"{settings.list}{joint}{query}", headers=stranger.headers)
            leaks = lists(answer, owned, settings.create.id)
            seen += f", the list {answer.status}{', holding the object' if leaks else ''}"
        evidence.append(Evidence(f"GET {settings.read} with ?{name}=", seen, "404 or 403, not in the list"))
        if leaks:
            believed.append(f"the query ({name})")
    return believed


def _in_body(ctx: Context, owned: Owned, tenant: str, evidence: list[Evidence]) -> list[str]:
    stranger = sessions.for_account(ctx, 1)
    tenancy = ctx.settings.tenancy
    name = tenancy.column if tenancy is not None else "tenant_id"
    made, answer = create(ctx, stranger, "b", {name: tenant})
    place = f"POST {settings_of(ctx).create.path} with {name} in the body"
    if made is None:
        evidence.append(Evidence(place, str(answer.status), "refused, or made for oneself"))
        return []
    seen = get(ctx, owned.owner, made)
    mark = mark_of(ctx, "b")
    crossed = 200 <= seen.status < 300 and (mark is None or mark.encode() in seen.body)
    whose = "made for the other tenant" if crossed else "made for oneself"
    evidence.append(Evidence(place, f"{answer.status}, {whose}", "refused, or made for oneself"))
    if crossed:
        delete(ctx, owned.owner, made)  # its maker cannot
        return [f"the body ({name})"]
    return []
