"""Whether the API asks for a token at all."""

from __future__ import annotations

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, failed, passed
from maestro_cli.observe import session as sessions
from maestro_cli.observe.control import outcome
from maestro_cli.observe.not_found import MISSING_REQUESTS, missing_answer


@check(
    "security.authentication",
    component="security",
    priority="critical",
    requests=sessions.LOGIN_REQUESTS + MISSING_REQUESTS + 3,
    faults=("anonymous-accepted", "garbage-token-accepted"),
)
def authentication(ctx: Context) -> Finding:
    """The protected path is closed without a valid token.

    Why: one route without its guard, after a refactoring say, opens what all others protect.
    Fails when: api.auth.protected is answered 2xx without a token, or with a token that is none.
    Fix: guard by default (a router-wide dependency, a middleware) and open single routes, not the other way round.
    Source: OWASP ASVS 5.0 8.3.1; OWASP API2:2023
    """
    auth = sessions.settings_of(ctx)
    path = ctx.require(auth.protected, "api.auth.protected")
    session = sessions.for_account(ctx, 0)
    valid = sessions.protected(ctx, session.headers)
    if outcome(auth, valid) != "accepted":
        raise ControlFailed(f"GET {path} with the token of a successful login is answered {valid.status}")
    evidence = [Evidence(f"control: GET {path} with a valid token", str(valid.status), "2xx")]
    missing = sessions.protected(ctx, {})
    garbage = sessions.protected(ctx, session.headers_with(f"maestro-{ctx.nonce}"))
    rows = (("without a token", missing), ("with a token that is none", garbage))
    evidence += [Evidence(f"GET {path} {name}", str(answer.status), "401") for name, answer in rows]
    opened = [name for name, answer in rows if outcome(auth, answer) == "accepted"]
    if opened:
        # A service that says yes to everything proves nothing about this path.
        evidence.append(Evidence("control: a path that does not exist", str(missing_answer(ctx).status), "404"))
        return failed(f"GET {path} is answered {' and '.join(opened)}.", *evidence)
    crashed = [f"{name} ({answer.status})" for name, answer in rows if answer.status >= 500]
    if crashed:
        return failed(f"GET {path} fails {' and '.join(crashed)} instead of refusing.", *evidence)
    return passed(f"GET {path} is refused without a valid token.", *evidence)
