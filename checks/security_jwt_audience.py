"""For whom a token is, and from whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from maestro_cli.api import Context, Finding, NotConfigured, check, refusals
from maestro_cli.observe.control import FORGED_REQUESTS, Trial, attempt_all, changed, forger, real_token
from maestro_cli.observe.tokens import forge


@check(
    "security.jwt-audience",
    component="security",
    priority="high",
    requests=FORGED_REQUESTS + 2 * 4,
    faults=(
        "jwt-audience-ignored",
        "jwt-audience-optional",
        "jwt-audience-by-pattern",
        "jwt-issuer-ignored",
        "jwt-issuer-optional",
    ),
)
def jwt_audience(ctx: Context) -> Finding:
    """A token for another audience or of another issuer is refused.

    Why: where several services share an issuer or a key, a token for the least of them would open all.
    Fails when: the service's tokens carry `aud` or `iss`, and a correctly signed token opens api.auth.protected that
    carries another one (also one that begins or ends like the right one), or none.
    Fix: name the expected audience and issuer when verifying, whole and not as a pattern, and require both claims.
    Source: OWASP ASVS 5.0 9.2.3; RFC 8725 §3.8 to 3.9
    """
    real = real_token(ctx)
    claims = [name for name in ("aud", "iss") if name in real.claims]
    if not claims:
        raise NotConfigured("the service's tokens carry neither aud nor iss")
    token, key = forger(ctx)
    trials = []
    for name in claims:
        listed = isinstance(token.claims[name], list)
        for what, other in _others(token.claims[name]):
            wrong = [other] if listed else other
            trials.append(Trial(f"{what} {name}", forge(token.header, changed(token.claims, **{name: wrong}), key)))
        trials.append(Trial(f"no {name}", forge(token.header, changed(token.claims, **{name: None}), key)))
    return refusals(
        attempt_all(ctx, trials),
        held=f"A token with another {' or '.join(claims)}, or none, is refused.",
        broken="A correctly signed token is accepted with",
    )


def _others(real: Any) -> Iterator[tuple[str, str]]:
    """Wrong ones: a strange one, and those that only a comparison of the whole text tells from the right one."""
    yield "another", "https://maestro-probe.invalid"
    first = real[0] if isinstance(real, list) and real else real
    if isinstance(first, str) and first:
        yield "a longer", f"{first}.maestro-probe.invalid"
        yield "a prefixed", f"maestro-probe-{first}"
