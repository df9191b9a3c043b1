"""Another tenant's objects in one's own list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, failed, passed
from maestro_cli.observe import session as sessions
from maestro_cli.observe.beside_list import BESIDE_REQUESTS, leaking_beside
from maestro_cli.observe.endpoint import fill
from maestro_cli.observe.held_objects import holds_id, lists
from maestro_cli.observe.http import Answer
from maestro_cli.observe.pages import PAGE_REQUESTS, PAGES, looked_through, own_page
from maestro_cli.observe.session import LOGIN_REQUESTS, Session
from maestro_cli.observe.tenant_objects import (
    OBJECT_REQUESTS,
    Owned,
    delete,
    list_of,
    make,
    names_tenant,
    settings_of,
    shared_object,
    strangers_list,
)
from maestro_cli.observe.unnamed_tenant import UNNAMED, unnamed

FIELDS = 3
"""Most fields of the configured body that are tried as filters."""
SEARCHES = ("q", "search")
_TOTAL = re.compile(r"total|count|^size$|results$", re.IGNORECASE)


@check(
    "security.tenant-list",
    component="multi_tenancy",
    priority="critical",
    writes=True,
    last=True,
    requests=2 * LOGIN_REQUESTS
    + 3 * OBJECT_REQUESTS
    + 8
    + FIELDS
    + 1
    + len(SEARCHES)
    + 2 * PAGES
    + PAGE_REQUESTS
    + UNNAMED
    + BESIDE_REQUESTS,
    faults=("tenant-list-leaks", "tenant-list-unscoped", "tenant-filter-unscoped", "tenant-total-unscoped"),
)
def tenant_list(ctx: Context) -> Finding:
    """A list holds the objects of one's own tenant only.

    Why: a query without its WHERE looks right in every test that has one tenant.
    Fails when: the list at api.isolation.list, asked for by the second account, holds the object that the first one has
    just made: as it is and on the pages after it, or filtered by a field of the object (`?name=…`, after api.isolation.create.body) or by its id,
    searched (`?q=…`), or with a limit of its own; asked for without the header of api.headers that names the tenant; or
    beside it, at an export (`/export`, `.csv`, `?format=csv`), a search or everything (`/all`); or a total in it follows what the other tenant makes and deletes.
    Fix: add the tenant to the query in one place that no query passes by, or let row-level security do it.
    Source: OWASP API1:2023; OWASP ASVS 5.0 8.2.2
    """
    settings = settings_of(ctx)
    path = ctx.require(settings.list, "api.isolation.list")
    owned = shared_object(ctx)
    own, longer = own_page(ctx, owned)
    if not lists(own, owned, settings.create.id):
        raise ControlFailed(
            f"the list of its own owner does not hold the object either: GET {path} is answered {own.status}",
            hint="Where a list comes in pages, name the newest first: api.isolation.list: /items?sort=-created_at",
        )
    stranger = sessions.for_account(ctx, 1)
    answer = list_of(ctx, stranger, stranger, query=longer) if longer else strangers_list(ctx)
    page = looked_through(ctx, stranger, stranger, owned, first=answer, query=longer)
    holds = lists(page, owned, settings.create.id)
    evidence = [
        Evidence(
            f"control: GET {path} by {owned.owner.account.username}", f"{own.status}, holds the object", "holds it"
        ),
        Evidence(
            f"GET {path} by {stranger.account.username}",
            f"{answer.status}, {'holds' if holds else 'does not hold'} the object",
            "2xx, does not hold it",
        ),
    ]
    if names_tenant(path) and not holds:
        theirs = list_of(ctx, stranger, owned.owner, query=longer)
        theirs = looked_through(ctx, stranger, owned.owner, owned, first=theirs, query=longer)
        holds = lists(theirs, owned, settings.create.id)
        seen = f"{theirs.status}, {'holds' if holds else 'does not hold'} the object"
        evidence.append(
            Evidence(f"the same under the other tenant, by {stranger.account.username}", seen, "404 or 403")
        )
    if holds:
        return failed(f"The list of {stranger.account.username} holds another tenant's object.", *evidence)
    if (message := _another_way(ctx, stranger, owned, answer, evidence)) is not None:
        return failed(message, *evidence)
    if not 200 <= answer.status < 300:
        raise ControlFailed(f"{stranger.account.username} has no list at all: GET {path} is answered {answer.status}")
    return passed(f"The list of {stranger.account.username} holds nothing of another tenant.", *evidence)


def _another_way(ctx: Context, stranger: Session, owned: Owned, answer: Answer, evidence: list[Evidence]) -> str | None:
    """What is wrong with the list where it is asked for otherwise; None where nothing is."""
    settings = settings_of(ctx)
    path, name = ctx.require(settings.list, "api.isolation.list"), stranger.account.username
    for how, asking in unnamed(stranger):
        plain = list_of(ctx, asking, asking)
        holds = lists(plain, owned, settings.create.id)
        seen = f"{plain.status}, {'holds' if holds else 'does not hold'} the object"
        evidence.append(Evidence(f"GET {path}{how}, by {name}", seen, "does not hold it"))
        if holds:
            return f"The list of {name}, asked for{how}, holds another tenant's object."
    if queries := _filtered(ctx, owned, answer, evidence):
        return f"The list of {name}, filtered by {' and '.join(queries)}, holds another tenant's object."
    if beside := leaking_beside(ctx, stranger, owned, evidence):
        return f"Beside its list, {name} is given another tenant's object: {' and '.join(beside)}."
    if (counted := _counted(ctx, stranger, evidence)) is not None:
        return f"The list of {name} counts other tenants' objects ({counted})."
    return None


def _counted(ctx: Context, stranger: Session, evidence: list[Evidence]) -> str | None:
    """The name of a total in the stranger's list that follows what the other tenant makes and deletes; None where none does.

    Two at a time, forth and back: what somebody of the stranger's own tenant does meanwhile doesn't look like that.
    """
    before = totals(list_of(ctx, stranger, stranger))
    if not before:
        return None
    owner = sessions.for_account(ctx, 0)
    owned = [make(ctx, owner, f"c{number}") for number in range(2)]
    between = totals(list_of(ctx, stranger, stranger))
    if settings_of(ctx).delete is not None:
        for item in owned:
            delete(ctx, owner, item.id)
    after = totals(list_of(ctx, stranger, stranger)) if settings_of(ctx).delete is not None else before
    follows = [name for name, total in before.items() if between.get(name) == total + 2 and after.get(name) == total]
    seen = ", ".join(f"{name}: {total}, then {between.get(name)}" for name, total in before.items())
    evidence.append(Evidence("totals of its list, while the other tenant makes two objects", seen, "unchanged"))
    return follows[0] if follows else None


def totals(answer: Answer) -> dict[str, int]:
    """What a list says of how many there are: `total`, `count`, `meta.total_items`, X-Total-Count."""
    found = {name: int(value) for name, value in answer.headers.items() if _TOTAL.search(name) and value.isdigit()}
    if (ranged := re.search(r"/(\d+)$", answer.header("content-range") or "")) is not None:
        found["content-range"] = int(ranged.group(1))
    document = answer.json()
    inner = [document, *(document.values() if isinstance(document, Mapping) else ())]
    for part in (item for item in inner if isinstance(item, Mapping)):
        found |= {
            str(name): value
            for name, value in part.items()
            if _TOTAL.search(str(name)) and isinstance(value, int) and not isinstance(value, bool)
        }
    return found


def _leaves(body: Mapping[str, Any]) -> Iterator[tuple[str, str | int]]:
    """The fields of a body, of the object itself where it is wrapped: `{"data": {"attributes": {"title": …}}}`."""
    for name, value in body.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        elif isinstance(value, str | int) and "{" not in str(value):
            yield name, value


def _filtered(ctx: Context, owned: Owned, plain: Answer, evidence: list[Evidence]) -> list[str]:
    """The names of filters that let the object through: a query of its own may have no WHERE of its own."""
    settings = settings_of(ctx)
    path = ctx.require(settings.list, "api.isolation.list")
    name = settings.create.id.rpartition(".")[2]
    mark = owned.mark
    if mark is None or holds_id(plain.json(), owned.id, name):
        return []  # nothing would tell an own object from the other one
    written = fill(settings.create.body or {}, {"nonce": mark})
    fields = dict(sorted(_leaves(written), key=lambda row: mark not in str(row[1]))[:FIELDS])
    # JSON:API and those that follow it; one of them, as each costs a request and they go through the same code
    bracketed = {f"filter[{key}]": value for key, value in list(fields.items())[:1]}
    tries = {**fields, **bracketed, **dict.fromkeys(SEARCHES, mark), "limit": "1000"}
    if mark not in owned.id and "{" not in name:
        tries[name] = owned.id  # a list that repeats the question holds the id then, but not the mark
    stranger, found = sessions.for_account(ctx, 1), []
    for key, value in tries.items():
        query = f"{quote(key, safe='')}={quote(str(value), safe='')}"
        answer = list_of(ctx, stranger, stranger, query=query)
        # Its mark alone may be the query, repeated in a link; with its id it is the object.
        leaks = lists(answer, owned, settings.create.id) and holds_id(answer.json(), owned.id, name)
        seen = f"{answer.status}, {'holds' if leaks else 'does not hold'} the object"
        evidence.append(Evidence(f"GET {path} with {key}=…, by {stranger.account.username}", seen, "does not hold it"))
        found += [key] if leaks else []
    return found
