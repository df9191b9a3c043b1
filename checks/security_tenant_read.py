"""Reading another tenant's object."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.observe import session as sessions
from maestro_cli.observe.held_objects import shows
from maestro_cli.observe.injection import IDS_TRIED, injected_ids
from maestro_cli.observe.session import LOGIN_REQUESTS
from maestro_cli.observe.tenant_objects import (
    OBJECT_REQUESTS,
    Owned,
    get,
    names_tenant,
    settings_of,
    shared_object,
    strangers_read,
)
from maestro_cli.observe.unnamed_tenant import UNNAMED, unnamed


@check(
    "security.tenant-read",
    component="multi_tenancy",
    priority="critical",
    writes=True,
    requests=2 * LOGIN_REQUESTS + OBJECT_REQUESTS + 2 + UNNAMED + IDS_TRIED,
    faults=("tenant-read-leaks", "tenant-read-unscoped"),
)
def tenant_read(ctx: Context) -> Finding:
    """An account cannot read another tenant's object.

    Why: ids leak, in links, logs and exports; who may read by id alone reads everything, one id after the other.
    Fails when: the second account reads, at api.isolation.read, the object that the first one has just made; where that
    path names the {tenant}, also under the second account's own one; where a header of api.headers does, also without it or
    with an empty one; or by an id that goes on in SQL. A refusal that shows what it refuses is none.
    Fix: look every object up by id and tenant together, both as parameters of the query, or let row-level security do it.
    Source: OWASP API1:2023 (broken object level authorization); OWASP ASVS 5.0 8.2.2
    """
    settings = settings_of(ctx)
    owned = shared_object(ctx)
    stranger = sessions.for_account(ctx, 1)
    tries = [("", strangers_read(ctx))]
    if names_tenant(settings.read):
        tries.append((" under its own tenant", get(ctx, stranger, owned.id, of=stranger)))
    named = [answer for _, answer in tries]
    tries += [(how, get(ctx, asking, owned.id)) for how, asking in unnamed(stranger)]
    injected = injected_ids(owned.id)
    tries += [
        (f" by an id that goes on in SQL{how}", get(ctx, stranger, made, of=owned.owner))
        for how, made in zip((" (OR)", " (a comment)"), injected, strict=True)
    ]
    evidence = (
        Evidence(f"control: GET {settings.read} by {owned.owner.account.username}", str(owned.read.status), "2xx"),
        *(
            Evidence(f"GET {settings.read} by {stranger.account.username}{where}", str(answer.status), "404 or 403")
            for where, answer in tries
        ),
    )
    read = [where for where, answer in tries if shows(answer, owned) or _told(answer.body, owned)]
    if read:
        where = "" if "" in read else read[0]
        whose = owned.owner.account.username
        return failed(f"{stranger.account.username} reads the object of {whose}{where}.", *evidence)
    crashed = next((answer.status for answer in named if answer.status >= 500), None)
    if crashed is not None:
        return failed(f"Reading another tenant's object is not refused but answered {crashed}.", *evidence)
    return passed(f"{stranger.account.username} cannot read the object of {owned.owner.account.username}.", *evidence)


def _told(body: bytes, owned: Owned) -> bool:
    """Whether a 403 holds the object all the same; its mark was not in the request, so no error can repeat it."""
    return owned.mark is not None and owned.mark not in owned.id and owned.mark.encode() in body
