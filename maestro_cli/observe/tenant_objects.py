"""Objects that the probes make for one tenant, to see whether another one can reach them. All are deleted again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from maestro_cli.observe import login as logins
from maestro_cli.observe import session as sessions
from maestro_cli.observe.endpoint import dig, fill, fill_path, send, with_query, words_of
from maestro_cli.observe.errors import ControlFailed
from maestro_cli.observe.http import Answer
from maestro_cli.observe.tenant_names import Tenant, in_path, in_request, tenant_of

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Endpoint, Isolation
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.session import Session

OBJECT_REQUESTS = 10
"""What an object costs: made, read back, deleted; and a login and the deletion again, where the session has ended, or a look
whether it is gone, where the deletion is refused."""


@dataclass(frozen=True)
class Owned:
    """One object and who made it.

    Attributes:
        mark: A text that only this object holds; None where the configured body has no {nonce}.
        read: The owner's own answer when reading it: the control.
    """

    owner: Session
    id: str
    mark: str | None
    read: Answer


def settings_of(ctx: Context) -> Isolation:
    """api.isolation, with a way to delete what is made.

    Raises:
        NotConfigured: Without it, or without two accounts.
    """
    auth = logins.settings_of(ctx)
    if len(auth.accounts) < 2:
        ctx.require(None, "api.auth.accounts[1], an account of another tenant,")
    api = ctx.require(ctx.settings.api, "api")
    isolation = ctx.require(api.isolation, "api.isolation")
    if not isolation.keep:
        ctx.require(isolation.delete, "api.isolation.delete, without which a probe would leave its object behind,")
    return isolation


def shared_object(ctx: Context) -> Owned:
    """One object of the first account, for the probes that only look at it.

    Raises:
        ControlFailed: When it cannot be made, or its owner cannot read it.
    """
    return ctx.shared("tenant-object", lambda: make(ctx, sessions.for_account(ctx, 0), "r"))


def strangers_read(ctx: Context) -> Answer:
    """The second account's attempt to read the first one's object, made once per run."""
    return ctx.shared("strangers-read", lambda: get(ctx, sessions.for_account(ctx, 1), shared_object(ctx).id))


def strangers_list(ctx: Context) -> Answer:
    """The second account's list, asked for once per run while the first one's object is there."""
    shared_object(ctx)
    stranger = sessions.for_account(ctx, 1)
    return ctx.shared("strangers-list", lambda: list_of(ctx, stranger, stranger))


def list_of(ctx: Context, reader: Session, whose: Session, *, query: str = "") -> Answer:
    """A list, as one account asks for it; where the path names the tenant, that of `whose`."""
    return ctx.http.get(list_path(ctx, whose, query), headers=reader.headers)


def list_path(ctx: Context, whose: Session, query: str = "") -> str:
    """The list's path, with a further piece of query."""
    path = ctx.require(settings_of(ctx).list, "api.isolation.list")
    return with_query(fill_path(path, in_path(ctx, path, whose)), query)


def names_tenant(path: str | None) -> bool:
    """Whether a configured path names the tenant: `/orgs/{tenant}/projects`."""
    return path is not None and "{tenant}" in path


def make(ctx: Context, owner: Session, suffix: str, extra: Mapping[str, Any] | None = None) -> Owned:
    """Make an object and read it back. It is deleted when the run ends.

    Args:
        ctx: The run.
        owner: Who makes it.
        suffix: Tells this run's objects from each other.
        extra: Further members of the body.

    Raises:
        ControlFailed: When it cannot be made, has no id, or its owner cannot read it.
    """
    isolation = settings_of(ctx)
    made, answer = create(ctx, owner, suffix, extra)
    if made is None:
        raise ControlFailed(
            f"the {owner.account.username} account cannot make an object: {isolation.create.path} is answered "
            f"{answer.status}{words_of(ctx, answer) if answer.status >= 400 else f' without an id at {isolation.create.id}'}"
        )
    read = get(ctx, owner, made)
    mark = mark_of(ctx, suffix)
    if not 200 <= read.status < 300 or (mark is not None and mark.encode() not in read.body):
        raise ControlFailed(
            f"its owner cannot read the object made: GET {isolation.read} is answered {read.status}"
            f"{'' if read.status >= 300 else ' without what was written'}"
        )
    return Owned(owner, made, mark, read)


def create(
    ctx: Context,
    owner: Session,
    suffix: str,
    extra: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    query: str = "",
    of: Session | None = None,
) -> tuple[str | None, Answer]:
    """Make an object, in the tenant of `of` or the maker's; its id, or None where it was refused. It is deleted in the end."""
    isolation = settings_of(ctx)
    values = {"nonce": ctx.nonce + suffix, **in_request(ctx, isolation.create, of or owner)}
    sent = {**owner.headers, **(headers or {})}
    answer = send(ctx, isolation.create, values, default_method="POST", headers=sent, extra=extra, query=query)
    if not 200 <= answer.status < 300:
        return None, answer
    made = object_id(ctx, answer, values["nonce"])
    if made is None:
        ctx.cleanup.left.append(
            f"an object made at {isolation.create.path}: no id at api.isolation.create.id in the answer"
        )
        return None, answer
    deleted_later(ctx, owner, made)
    return made, answer


def object_id(ctx: Context, answer: Answer, nonce: str) -> str | None:
    """The id of an object that was made; None where the answer does not tell it."""
    place = settings_of(ctx).create.id
    found = fill(place, {"nonce": nonce}) if "{" in place else dig(answer.json(), place)
    if not isinstance(found, str | int):
        # RFC 9110 §15.3.2: a 201 may tell by its Location alone.
        found = unquote((answer.header("location") or "").rstrip("/").rpartition("/")[2]) or None
    return None if found is None else str(found)


def deleted_later(ctx: Context, owner: Session, made: str) -> None:
    """Remember an object's owner, who deletes it when the run ends; or say that it stays."""
    isolation = settings_of(ctx)
    _makers(ctx)[made] = owner
    if isolation.delete is None:
        ctx.cleanup.left.append(f"object {made} made at {isolation.create.path}: api.isolation.keep, and no delete")
        return
    ctx.cleanup.add(f"object {made} made at {isolation.create.path}", lambda: _remove(ctx, owner, made))


def mark_of(ctx: Context, suffix: str) -> str | None:
    """What marks an object made with this suffix."""
    template = json.dumps(settings_of(ctx).create.body or {})
    return ctx.nonce + suffix if "{nonce}" in template else None


def get(
    ctx: Context,
    reader: Session,
    made: str,
    *,
    headers: Mapping[str, str] | None = None,
    query: str = "",
    of: Session | None = None,
) -> Answer:
    """Read an object.

    Args:
        ctx: The run.
        reader: Who reads.
        made: The object's id.
        headers: Further request headers.
        query: Appended to the path.
        of: Whose tenant a path that names one names; its maker's where it is None.
    """
    path = with_query(path_of(ctx, settings_of(ctx).read, made, of), query)
    return ctx.http.get(path, headers={**reader.headers, **(headers or {})})


def delete(
    ctx: Context,
    actor: Session,
    made: str,
    *,
    of: Session | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Delete an object.

    Raises:
        NotConfigured: Without api.isolation.delete.
    """
    path = path_of(ctx, ctx.require(settings_of(ctx).delete, "api.isolation.delete"), made, of)
    return ctx.http.request("DELETE", path, headers={**actor.headers, **(headers or {})})


def update(
    ctx: Context,
    actor: Session,
    made: str,
    nonce: str,
    *,
    of: Session | None = None,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
) -> Answer:
    """Change an object, by the configured method where none is named: a PUT then holds what makes a whole object, too.

    Raises:
        NotConfigured: Without api.isolation.update.
    """
    endpoint = changing(ctx, method)
    values = {"nonce": nonce, "id": made, **in_request(ctx, endpoint, of or _makers(ctx)[made])}
    sent = {**actor.headers, **(headers or {})}
    return send(ctx, endpoint, values, default_method="PATCH", headers=sent, extra=extra)


def changing(ctx: Context, method: str | None = None) -> Endpoint:
    """api.isolation.update, or the same by another method: a PUT then holds what makes a whole object, too.

    Raises:
        NotConfigured: Without it.
    """
    endpoint = ctx.require(settings_of(ctx).update, "api.isolation.update")
    if method is None:
        return endpoint
    whole = {**(settings_of(ctx).create.body or {}), **(endpoint.body or {})} if method == "PUT" else endpoint.body
    return replace(endpoint, method=method, body=whole)


def twin_of(method: str | None) -> str | None:
    """PUT for PATCH and the other way round: frameworks route both, and a guard is easily put into one of them alone."""
    return {"PATCH": "PUT", "PUT": "PATCH"}.get((method or "PATCH").upper())


def path_of(ctx: Context, template: str, made: str, of: Session | None = None) -> str:
    """An object's path."""
    return fill_path(template, {"id": made, **in_path(ctx, template, of or _makers(ctx)[made])})


def _makers(ctx: Context) -> dict[str, Session]:
    """Object → who made it."""
    return ctx.shared("makers-of-objects", dict[str, "Session"])


def _remove(ctx: Context, owner: Session, made: str) -> None:
    answer, actor = delete(ctx, owner, made), owner
    if _kept(answer):  # a probe has ended the session meanwhile, or the object is another account's now
        actor = sessions.for_account(ctx, owner.index)
        answer = delete(ctx, actor, made)
    if _kept(answer):
        if _gone(ctx, actor, made):
            return
        actor = sessions.fresh(ctx, owner.index)
        answer = delete(ctx, actor, made)
        if _kept(answer) and _gone(ctx, actor, made):
            return
    if _kept(answer):
        raise ControlFailed(f"its deletion is answered {answer.status}")


def _kept(answer: Answer) -> bool:
    """Whether a deletion did nothing: a token that has ended is refused, or crashes the service (422, 500)."""
    return answer.status >= 400 and answer.status not in (404, 410)


def _gone(ctx: Context, actor: Session, made: str) -> bool:
    """Whether the object is not there any more, in a service that answers 403 to whatever is not there."""
    if actor.auth.protected is None or get(ctx, actor, made).status not in (403, 404, 410):
        return False
    return 200 <= sessions.protected(ctx, actor.headers, actor).status < 300


def tenant_named(ctx: Context, owned: Owned) -> Tenant:
    """The tenant that owns an object, and what the service calls it.

    Raises:
        NotConfigured: Where nothing tells.
    """
    found = tenant_of(ctx, owned.owner, owned.read.json())
    return ctx.require(found, f"api.auth.accounts[{owned.owner.index}].tenant")
