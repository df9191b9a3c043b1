"""Tokens used in each other's place."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, combine, failed, passed, refusals
from maestro_cli.observe import login as logins
from maestro_cli.observe import session as sessions
from maestro_cli.observe.control import CONTROL_REQUESTS, control, judge


@check(
    "security.token-type",
    component="security",
    priority="critical",
    last=True,
    requests=CONTROL_REQUESTS + sessions.LOGIN_REQUESTS + 2,
    faults=("jwt-refresh-as-access", "jwt-access-as-refresh"),
)
def token_type(ctx: Context) -> Finding:
    """A refresh token opens nothing, and an access token refreshes nothing.

    Why: a refresh token lives for days; accepted as an access token it makes the short life of those pointless.
    Fails when: a refresh token in the access token's place opens api.auth.protected, or an access token at
    api.auth.refresh is answered with new tokens.
    Fix: write the type into each token and ask for it, or sign the two with different keys.
    Source: OWASP ASVS 5.0 9.2.2; RFC 8725 §3.11 to 3.12
    """
    base = control(ctx)
    ctx.require(base.session.refresh_token, "api.auth.login.refresh_token")
    session = sessions.spare(ctx)
    refresh_token = session.refresh_token or ""
    name = f"refresh token as bearer ({sessions.fingerprint(refresh_token)})"
    answer = sessions.protected(ctx, session.headers_with(refresh_token))
    findings = [
        refusals(
            judge(session.auth, [(name, answer)], first=(base.evidence,)),
            held="A refresh token opens nothing.",
            broken="A token is accepted in the wrong place",
        )
    ]
    if session.auth.refresh is not None:
        answer = sessions.refresh(ctx, session.access_token, session)
        issued = logins.tokens_in(ctx, answer) is not None
        evidence = Evidence(
            f"access token at {session.auth.refresh.path} ({sessions.fingerprint(session.access_token)})",
            f"{answer.status}{', with new tokens' if issued else ''}",
            "401",
        )
        findings.append(_at_refresh(answer.status, evidence, issued=issued))
    return combine(findings)


def _at_refresh(status: int, evidence: Evidence, *, issued: bool) -> Finding:
    if issued:
        return failed("A token is accepted in the wrong place: access token at refresh.", evidence)
    if status >= 500:
        return failed(f"An access token at refresh is not refused but answered {status}.", evidence)
    return passed("An access token refreshes nothing.", evidence)
