"""For whom a token is, and from whom."""

from __future__ import annotations

from maestro_cli.api import Context, Finding, NotConfigured, check, refusals
from maestro_cli.observe.control import FORGED_REQUESTS, Trial, attempt_all, changed, forger, real_token
from maestro_cli.observe.tokens import forge


@check(
    "security.jwt-audience",
    component="security",
    priority="high",
    requests=FORGED_REQUESTS + 4,
    faults=("jwt-audience-ignored", "jwt-audience-optional", "jwt-issuer-ignored", "jwt-issuer-optional"),
)
def jwt_audience(ctx: Context) -> Finding:
    """A token for another audience or of another issuer is refused.

    Why: where several services share an issuer or a key, a token for the least of them would open all.
    Fails when: the service's tokens carry `aud` or `iss`, and a correctly signed token opens api.auth.protected that
    carries another one, or none.
    Fix: name the expected audience and issuer when verifying, and require both claims.
    Source: OWASP ASVS 5.0 9.2.3; RFC 8725 §3.8 to 3.9
    """
    real = real_token(ctx)
    claims = [name for name in ("aud", "iss") if name in real.claims]
    if not claims:
        raise NotConfigured("the service's tokens carry neither aud nor iss")
    token, key = forger(ctx)
    trials = []
    for name in claims:
        other = "https://maestro-probe.invalid"
        wrong = [other] if isinstance(token.claims[name], list) else other
        trials.append(Trial(f"another {name}", forge(token.header, changed(token.claims, **{name: wrong}), key)))
        trials.append(Trial(f"no {name}", forge(token.header, changed(token.claims, **{name: None}), key)))
    return refusals(
        attempt_all(ctx, trials),
        held=f"A token with another {' or '.join(claims)}, or none, is refused.",
        broken="A correctly signed token is accepted with",
    )
