"""Asking for another tenant's object while saying to be of that tenant: which way of saying so is believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from maestro_cli.model import Evidence
from maestro_cli.observe import session as sessions
from maestro_cli.observe.held_objects import lists, shows
from maestro_cli.observe.pages import looked_through
from maestro_cli.observe.tenant_objects import (
    Owned,
    get,
    list_path,
    names_tenant,
    settings_of,
    strangers_list,
    strangers_read,
)

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.http import Answer

Ways = Mapping[str, tuple[Mapping[str, str], str]]
"""A name of the way, its headers and its query."""


def spoofed(ctx: Context, owned: Owned, kind: str, ways: Ways, evidence: list[Evidence]) -> list[str]:
    """The ways that lead into the other tenant: all at once, and one by one where that is answered otherwise."""
    headers = {name: value for way, _ in ways.values() for name, value in way.items()}
    leaks, seen = _asked(ctx, owned, headers, "&".join(query for _, query in ways.values() if query))
    names = ", ".join(name.removeprefix("the ") for name in ways)
    evidence.append(Evidence(f"naming the tenant in {names}", seen, "nothing of the other tenant"))
    if not leaks and seen == _asked_plainly(ctx, owned):
        return []
    believed = []
    for name, (header, query) in ways.items():
        leaks_alone, seen = _asked(ctx, owned, header, query)
        evidence.append(Evidence(f"naming it in {name} alone", seen, "nothing of the other tenant"))
        believed += [name] if leaks_alone else []
    return believed or ([f"{kind} among several"] if leaks else [])


def plain_reads(ctx: Context, owned: Owned) -> list[Answer]:
    """The stranger's attempts to read the object that name no tenant in header or query."""
    if not names_tenant(settings_of(ctx).read):
        return [strangers_read(ctx)]
    return ctx.shared("strangers-plain-reads", lambda: _reads(ctx, owned, {}, ""))


def _asked(ctx: Context, owned: Owned, headers: Mapping[str, str], query: str) -> tuple[bool, str]:
    """Whether the stranger, asking like this, reads or lists the object; and what is answered."""
    settings, stranger = settings_of(ctx), sessions.for_account(ctx, 1)
    reads = _reads(ctx, owned, headers, query)
    if (shown := next((answer for answer in reads if shows(answer, owned)), None)) is not None:
        return True, f"{shown.status}, holding the object"
    seen = _statuses(reads)
    if not _tells(ctx, owned) or settings.list is None:
        return False, seen
    answer = ctx.http.get(list_path(ctx, stranger, query), headers={**stranger.headers, **headers})
    if answer.body != strangers_list(ctx).body:
        # Its first page may be another tenant's although the object is not on it.
        answer = looked_through(ctx, stranger, stranger, owned, first=answer, query=query, headers=headers)
    leaks = lists(answer, owned, settings.create.id)
    return leaks, f"{seen}, the list {answer.status}{', holding the object' if leaks else ''}"


def _reads(ctx: Context, owned: Owned, headers: Mapping[str, str], query: str) -> list[Answer]:
    """The stranger's attempts to read the object: under its owner's tenant and, where paths name one, under its own.

    A guard at the path lets the latter through, and what names the tenant decides behind it.
    """
    stranger = sessions.for_account(ctx, 1)
    places = (owned.owner, stranger) if names_tenant(settings_of(ctx).read) else (None,)
    return [get(ctx, stranger, owned.id, headers=headers, query=query, of=place) for place in places]


def _asked_plainly(ctx: Context, owned: Owned) -> str:
    """What is answered to the same without a tenant's name."""
    seen = _statuses(plain_reads(ctx, owned))
    return f"{seen}, the list {strangers_list(ctx).status}" if _tells(ctx, owned) else seen


def _tells(ctx: Context, owned: Owned) -> bool:
    """Whether the list, asked for plainly, lacks the object: only then does its appearing mean anything."""
    settings = settings_of(ctx)
    return settings.list is not None and not lists(strangers_list(ctx), owned, settings.create.id)


def _statuses(answers: list[Answer]) -> str:
    return " and ".join(str(answer.status) for answer in answers)
