"""Tokens whose signature is missing or does not fit."""

from __future__ import annotations

from maestro_cli.api import Context, Finding, check, refusals
from maestro_cli.observe.control import CONTROL_REQUESTS, Trial, attempt_all, real_token
from maestro_cli.observe.tokens import Jwt, encode64, unsigned


@check(
    "security.jwt-signature",
    component="security",
    priority="critical",
    requests=CONTROL_REQUESTS + 5,
    faults=("jwt-signature-unchecked", "jwt-signature-optional", "jwt-zero-signature"),
)
def jwt_signature(ctx: Context) -> Finding:
    """A token whose signature does not fit is refused.

    Why: the signature is all that keeps a user from writing another one's name into a token.
    Fails when: a token opens api.auth.protected after its signature was taken away or overwritten with zeros, one bit of
    it was changed, or its claims were changed and the signature kept.
    Fix: verify the signature before reading a claim; with most libraries that is the default that was switched off.
    Source: OWASP ASVS 5.0 9.1.1; RFC 8725 §3.3; CVE-2022-21449 (zeros that fit every message, in ECDSA)
    """
    return refusals(
        attempt_all(ctx, _trials(real_token(ctx))),
        held="A token whose signature is missing or does not fit is refused.",
        broken="A token is accepted with",
    )


def _trials(token: Jwt) -> list[Trial]:
    signed, signature = token.signed.decode(), encode64(token.signature)
    # A bit in the middle: the last character of base64url may hold bits that count for nothing.
    middle = len(token.signature) // 2
    flipped = bytearray(token.signature)
    flipped[middle] ^= 0x01
    # The subject stays: a verifier that looks at nothing would still refuse a user that does not exist.
    longer = {**token.claims, "maestro_probe": True}
    if isinstance(token.claims.get("exp"), int | float):
        longer["exp"] = token.claims["exp"] + 3600
    return [
        Trial("an empty signature", f"{signed}."),
        Trial("no signature part", signed),
        Trial("a signature of zeros", f"{signed}.{encode64(bytes(len(token.signature)))}"),
        Trial("a changed signature", f"{signed}.{encode64(bytes(flipped))}"),
        Trial("changed claims", f"{unsigned(token.header, longer)}.{signature}"),
    ]
