"""Tokens without a signature algorithm."""

from __future__ import annotations

from maestro_cli.api import Context, Finding, check, refusals
from maestro_cli.observe.control import SIGNED_REQUESTS, Trial, attempt_all, real_token, signatures_checked
from maestro_cli.observe.tokens import encode64, unsigned

SPELLINGS = ("none", "None", "NONE", "nOnE")


@check(
    "security.jwt-alg-none",
    component="security",
    priority="critical",
    requests=SIGNED_REQUESTS + len(SPELLINGS) + 3,
    faults=("jwt-alg-none", "jwt-signature-optional"),
)
def jwt_alg_none(ctx: Context) -> Finding:
    """A token with `alg: none` is refused.

    Why: who may leave the signature out can write any token, and be anybody.
    Fails when: a token of the first account whose header says `none` (in any of four spellings) and whose signature is
    empty opens api.auth.protected, or one that says `none` or nothing beside a signature that does not fit.
    Fix: name the accepted algorithms when verifying (PyJWT: `algorithms=["HS256"]`), never take them from the token.
    Source: RFC 8725 §3.1 to 3.2; OWASP ASVS 5.0 9.1.2
    """
    signatures_checked(ctx)
    token = real_token(ctx)
    trials = [
        Trial(f"alg {spelling}", unsigned({**token.header, "alg": spelling}, token.claims) + ".")
        for spelling in SPELLINGS
    ]
    # Not its own: a verifier that remembers good signatures would take that one for another reason.
    kept = encode64(bytes(byte ^ 0xFF for byte in token.signature))
    for name, algorithm in (("alg none beside a signature", "none"), ("an empty alg", "")):
        trials.append(Trial(name, f"{unsigned({**token.header, 'alg': algorithm}, token.claims)}.{kept}"))
    nameless = {name: value for name, value in token.header.items() if name != "alg"}
    trials.append(Trial("no alg at all", unsigned(nameless, token.claims) + "."))
    return refusals(
        attempt_all(ctx, trials), held="A token with `alg: none` is refused.", broken="An unsigned token is accepted"
    )
