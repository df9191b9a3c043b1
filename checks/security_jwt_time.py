"""When a token begins and ends."""

from __future__ import annotations

import contextlib
import time

from maestro_cli.api import Context, Finding, Unreachable, check, refusals, warned
from maestro_cli.observe.control import FORGED_REQUESTS, Trial, attempt_all, changed, forger
from maestro_cli.observe.tokens import forge

ENDLESS = "without exp"
SKEW_S = 60
"""Largest clock skew that a verifier may forgive."""


@check(
    "security.jwt-time",
    component="security",
    priority="critical",
    requests=FORGED_REQUESTS + 7,
    faults=("jwt-expired-accepted", "jwt-skew-large", "jwt-nbf-ignored", "jwt-without-exp"),
)
def jwt_time(ctx: Context) -> Finding:
    """A token outside its time is refused.

    Why: a token that never ends is a password that nobody can change.
    Fails when: a correctly signed token opens api.auth.protected that ended an hour (also where `exp` is a text and
    not a number) or 65 seconds ago, or begins in an hour or two minutes; or one that names no end, where the service issues such tokens. Where all of its own do name one, accepting
    such a token is a warning: most libraries do by default, and only who has the key can make one.
    Fix: verify `exp` and `nbf` with at most 60 s of leeway, and require `exp` (PyJWT: `options={"require": ["exp"]}`).
    Source: OWASP ASVS 5.0 9.2.1; RFC 7519 §4.1.4 to 4.1.5
    """
    token, key = forger(ctx)
    now = int(time.time())
    past = {"nbf": now - 7200, "iat": now - 7200} if "nbf" in token.claims else {"iat": now - 7200}
    cases = (
        ("ended an hour ago", changed(token.claims, **past, exp=now - 3600)),
        (f"ended {SKEW_S + 5} s ago", changed(token.claims, **past, exp=now - SKEW_S - 5)),
        ("begins in two minutes", changed(token.claims, nbf=now + 2 * SKEW_S, exp=now + 7200)),
        ("begins in an hour", changed(token.claims, nbf=now + 3600, exp=now + 7200)),
        (ENDLESS, changed(token.claims, exp=None)),
    )
    trials = [Trial(name, forge(token.header, claims, key)) for name, claims in cases]
    quoted = changed(token.claims, **past, exp=str(now - 3600))
    trials += _where_accepted(ctx, Trial("ended an hour ago, in quotes", forge(token.header, quoted, key)))
    verdict = attempt_all(ctx, trials)
    if verdict.accepted == (ENDLESS,) and "exp" in token.claims and not verdict.crashed:
        return warned(
            "A token outside its time is refused, one that names no end is not; the service issues none.",
            *verdict.evidence,
        )
    return refusals(
        verdict,
        held="A token outside its time is refused.",
        broken="A correctly signed token is accepted that",
    )


def _where_accepted(ctx: Context, trial: Trial) -> list[Trial]:
    """The trial, where it is accepted: who can write such a token has the key, so one that crashes on it harms nobody."""
    with contextlib.suppress(Unreachable):
        return [trial] if attempt_all(ctx, [trial]).accepted else []
    return []
