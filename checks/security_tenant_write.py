"""Changing and deleting another tenant's object."""

from __future__ import annotations

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, combine, failed, passed
from maestro_cli.observe import session as sessions
from maestro_cli.observe.endpoint import send
from maestro_cli.observe.http import Answer
from maestro_cli.observe.session import LOGIN_REQUESTS, Session
from maestro_cli.observe.tenant_objects import OBJECT_REQUESTS, Owned, delete, get, make, settings_of


@check(
    "security.tenant-write",
    component="multi_tenancy",
    priority="critical",
    writes=True,
    requests=2 * LOGIN_REQUESTS + OBJECT_REQUESTS + 6,
    deadline_s=20,
    faults=("tenant-update-leaks", "tenant-delete-leaks"),
)
def tenant_write(ctx: Context) -> Finding:
    """An account can neither change nor delete another tenant's object.

    Why: the check that guards reading is often forgotten where there is nothing to show.
    Fails when: the second account changes (api.isolation.update) or deletes (api.isolation.delete) the object that the
    first one has just made; seen by its owner's reading it again, whatever was answered.
    Fix: look every object up by id and tenant together, for writing as for reading, or let row-level security do it.
    Source: OWASP API1:2023; OWASP ASVS 5.0 8.2.2
    """
    stranger = sessions.for_account(ctx, 1)
    owned = make(ctx, sessions.for_account(ctx, 0), "w")
    findings = []
    if settings_of(ctx).update is not None:
        findings.append(_changed(ctx, owned, stranger))
    findings.append(_deleted(ctx, owned, stranger))
    return combine(findings)


def _update(ctx: Context, actor: Session, owned: Owned, nonce: str) -> Answer:
    endpoint = ctx.require(settings_of(ctx).update, "api.isolation.update")
    values = {"nonce": nonce, "id": owned.id}
    return send(ctx, endpoint, values, default_method="PATCH", headers=actor.headers)


def _changed(ctx: Context, owned: Owned, stranger: Session) -> Finding:
    own = _update(ctx, owned.owner, owned, f"{ctx.nonce}wo")
    if not 200 <= own.status < 300:
        raise ControlFailed(f"its owner cannot change the object: api.isolation.update is answered {own.status}")
    before = get(ctx, owned.owner, owned.id)
    answer = _update(ctx, stranger, owned, f"{ctx.nonce}ws")
    after = get(ctx, owned.owner, owned.id)
    moved = after.status != before.status or after.body != before.body
    evidence = (
        Evidence(f"control: change by {owned.owner.account.username}", str(own.status), "2xx"),
        Evidence(
            f"change by {stranger.account.username}",
            f"{answer.status}, {'changed' if moved else 'unchanged'} for its owner",
            "404 or 403, unchanged",
        ),
    )
    if moved:
        return failed(f"{stranger.account.username} changes another tenant's object.", *evidence)
    if answer.status >= 500:
        return failed(f"Changing another tenant's object is not refused but answered {answer.status}.", *evidence)
    return passed(f"{stranger.account.username} cannot change another tenant's object.", *evidence)


def _deleted(ctx: Context, owned: Owned, stranger: Session) -> Finding:
    answer = delete(ctx, stranger, owned.id)
    after = get(ctx, owned.owner, owned.id)
    gone = not 200 <= after.status < 300
    evidence = Evidence(
        f"deletion by {stranger.account.username}",
        f"{answer.status}, then {after.status} for its owner",
        "404 or 403, then 2xx",
    )
    if gone:
        return failed(f"{stranger.account.username} deletes another tenant's object.", evidence)
    if answer.status >= 500:
        return failed(f"Deleting another tenant's object is not refused but answered {answer.status}.", evidence)
    return passed(f"{stranger.account.username} cannot delete another tenant's object.", evidence)
