"""Doing what one's role does not allow."""

from __future__ import annotations

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, errored, failed, passed
from maestro_cli.observe import session as sessions
from maestro_cli.observe.role_limits import MAXIMUM, logged_in, roles_of, try_forbidden
from maestro_cli.observe.session import LOGIN_REQUESTS
from maestro_cli.observe.tenant_objects import OBJECT_REQUESTS

_UNCLEAR = (401, 429)
"""A token that is not taken, and a limit: neither says anything of rights."""


@check(
    "security.role-limits",
    component="security",
    priority="medium",
    writes=True,
    requests=2 * LOGIN_REQUESTS + 1 + MAXIMUM * (OBJECT_REQUESTS + 6),
    deadline_s=30,
    faults=("rbac-off", "viewer-promoted"),
)
def role_limits(ctx: Context) -> Finding:
    """An account of few rights is refused what it may not do.

    Why: the menu hides the button and the API does the deed; rights that only the user interface knows are none.
    Fails when: the account of api.roles gets a request of api.roles.forbidden done, or it crashes the service; also by a
    POST that says to be a PUT, PATCH or DELETE (X-HTTP-Method-Override, _method), as seen in the object afterwards. Each is
    proved to work for the first account of api.auth.accounts; {id} in it is an object made for this and deleted again.
    Fix: ask for the role at each endpoint, in one place that every route goes through; refuse with 403.
    Source: OWASP API5:2023 (broken function level authorisation); OWASP ASVS 5.0 8.2.1
    """
    roles = roles_of(ctx)
    limited = logged_in(ctx, roles.account, "api.roles.account")
    protected = limited.auth.protected
    if protected is not None:
        own = sessions.protected(ctx, limited.headers)
        if not 200 <= own.status < 300:
            raise ControlFailed(f"{roles.account.username} is not even let into {protected}: {own.status}")
    trials = [
        try_forbidden(ctx, endpoint, limited, number) for number, endpoint in enumerate(roles.forbidden[:MAXIMUM])
    ]
    sessions.done_with(ctx, limited)
    evidence = [
        Evidence(f"{trial.request} by {roles.account.username}", str(trial.limited.status), "403 or 404")
        for trial in trials
    ]
    evidence.append(Evidence("control: the same by the first account", " ".join(str(t.control.status) for t in trials)))
    proved, unproved = ([trial for trial in trials if trial.proved is wanted] for wanted in (True, False))
    evidence += [
        Evidence(
            f"{trial.request} as a POST that says so", f"{trial.disguised.status}{', done' * trial.slipped}", "not done"
        )
        for trial in trials
        if trial.disguised is not None
    ]
    done = [trial.request for trial in proved if 200 <= trial.limited.status < 400]
    done += [f"{trial.request} by a POST that says to be one" for trial in trials if trial.slipped]
    if done:
        return failed(f"{roles.account.username} may do what it must not: {', '.join(done)}.", *evidence)
    crashed = [trial.request for trial in proved if trial.limited.status >= 500]
    if crashed:
        return failed(f"It is not refused but crashes the service: {', '.join(crashed)}.", *evidence)
    if unproved:
        first = sessions.for_account(ctx, 0).account.username
        said = ", ".join(f"{trial.request} ({trial.control.status})" for trial in unproved)
        return errored(f"{first} does not get it done either, so nothing is told about rights: {said}.", *evidence)
    unclear = [trial.request for trial in trials if trial.limited.status in _UNCLEAR]
    if unclear:
        return errored(f"No clear answer to {', '.join(unclear)}.", *evidence)
    return passed(f"{roles.account.username} is refused what it may not do.", *evidence)
