"""Whether a log-out is one."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, NotConfigured, check, failed, passed
from maestro_cli.observe import login as logins
from maestro_cli.observe import session as sessions
from maestro_cli.observe.control import outcome
from maestro_cli.observe.endpoint import fill_path
from maestro_cli.observe.revocation import REVOCATION_REQUESTS, logged_out
from maestro_cli.observe.session import Session
from maestro_cli.observe.tenant_names import in_path


@check(
    "security.revocation",
    component="security",
    priority="critical",
    writes=True,
    last=True,
    requests=REVOCATION_REQUESTS + 3,
    deadline_s=15,
    faults=("logout-noop", "logout-keeps-refresh"),
)
def revocation(ctx: Context) -> Finding:
    """A token is refused once its owner has logged out.

    Why: on a shared or stolen device the log-out button is all a user has.
    Fails when: an access token opens api.auth.protected right after api.auth.logout, or api.isolation.list, which is
    refused without one; or the refresh token of that login still brings new tokens.
    Fix: keep the ids of revoked tokens until they end (in Redis, with their remaining life as TTL), and look there.
    Source: OWASP ASVS 5.0 7.4.1
    """
    story = logged_out(ctx)
    evidence = [
        Evidence(f"control: GET {story.path} before the log-out", str(story.before.status), "2xx"),
        Evidence("log-out", str(story.logout.status), "2xx"),
        Evidence(
            f"GET {story.path} after it ({sessions.fingerprint(story.session.access_token)})",
            f"{story.after.status}, {story.after_s * 1000:.0f} ms later",
            "401",
        ),
    ]
    auth = story.session.auth
    if outcome(auth, story.after) == "accepted":
        return failed("An access token still works after its owner has logged out.", *evidence)
    if story.after.status >= 500:
        return failed(f"After the log-out the token is not refused but answered {story.after.status}.", *evidence)
    elsewhere = _list_opened(ctx, story.session, evidence)
    if elsewhere is not None:
        return failed(f"An access token still opens GET {elsewhere} after its owner has logged out.", *evidence)
    if story.session.refresh_token is not None and auth.refresh is not None:
        answer = sessions.refresh(ctx, story.session.refresh_token, story.session)
        alive = logins.tokens_in(ctx, answer) is not None
        evidence.append(Evidence("refresh after the log-out", f"{answer.status}{', with new tokens' * alive}", "401"))
        if alive:
            return failed("The refresh token still works after its owner has logged out.", *evidence)
    return passed("The tokens of a login are refused once its owner has logged out.", *evidence)


def _list_opened(ctx: Context, session: Session, evidence: list[Evidence]) -> str | None:
    """The path of the list, where a session that has ended opens it: each route may have a guard of its own."""
    api = ctx.settings.api
    template = api.isolation.list if api is not None and api.isolation is not None else None
    if template is None or template == session.auth.protected or "{id}" in template:
        return None
    try:
        path = fill_path(template, in_path(ctx, template, session))
    except NotConfigured:
        return None  # the probes of tenants say so
    answer = ctx.http.get(path, headers=session.headers)
    evidence.append(Evidence(f"GET {path} after it", str(answer.status), "401"))
    if outcome(session.auth, answer) != "accepted":
        return None
    # What is open to everybody says nothing of log-outs; security.write-authentication names it.
    return path if outcome(session.auth, ctx.http.get(path)) == "refused" else None
