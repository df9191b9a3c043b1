"""Tokens that bring the key to verify them with."""

from __future__ import annotations

from base64 import b64encode
from functools import partial

from maestro_cli.api import Context, Finding, check, refusals
from maestro_cli.observe.control import SIGNED_REQUESTS, Trial, attempt_all, real_token, signatures_checked
from maestro_cli.observe.tokens import Jwt, encode64, forge, key_type, new_key, public_jwk, self_signed, without_key


@check(
    "security.jwt-embedded-key",
    component="security",
    priority="critical",
    requests=SIGNED_REQUESTS + 8,
    faults=("jwt-jwk-trusted", "jwt-oct-jwk-trusted", "jwt-x5c-trusted"),
)
def jwt_embedded_key(ctx: Context) -> Finding:
    """A key that the token itself carries is not trusted.

    Why: a token that may name its own key is signed by whoever wrote it.
    Fails when: a token signed with a key made a moment ago, and carrying that key in its header `jwk` (RSA, EC,
    the kind that the service itself signs with, or a shared secret) or a certificate of it in `x5c`, opens api.auth.protected.
    Fix: verify with the configured key only; switch off the library's support for `jwk` and `x5c` headers.
    Source: RFC 8725 §3.10; OWASP ASVS 5.0 9.1.3; CVE-2018-0114
    """
    signatures_checked(ctx)
    return refusals(
        attempt_all(ctx, _trials(ctx, real_token(ctx))),
        held="A key that the token carries itself is not trusted.",
        broken="A token is accepted that carries its own key",
    )


def _trials(ctx: Context, token: Jwt) -> list[Trial]:
    kid = f"maestro-{ctx.nonce}"
    usual = without_key(token.header)
    trials = []
    # A verifier that insists on its own algorithm may still take the key from the token.
    own = token.algorithm if key_type(token.algorithm) else "ES256"
    for algorithm in dict.fromkeys(("RS256", "ES256", own)):
        kind = key_type(algorithm) or "EC"
        key = ctx.shared(f"throw-away-{kind}-key", partial(new_key, kind))
        header = {**usual, "kid": kid, "alg": algorithm, "jwk": {**public_jwk(key, kid), "alg": algorithm}}
        trials.append(Trial(f"{kind} in jwk", forge(header, token.claims, key)))
        certificate = ctx.shared(f"throw-away-{kind}-certificate", partial(self_signed, key, ctx.now))
        header = {**usual, "kid": kid, "alg": algorithm, "x5c": [b64encode(certificate).decode()]}
        trials.append(Trial(f"{kind} certificate in x5c", forge(header, token.claims, key)))
    secret = ctx.nonce.encode() * 4
    for algorithm in dict.fromkeys(("HS256", token.algorithm if token.algorithm.startswith("HS") else "HS256")):
        shared = {"kty": "oct", "k": encode64(secret), "kid": kid, "alg": algorithm}
        header = {**usual, "kid": kid, "alg": algorithm, "jwk": shared}
        name = "a shared secret in jwk" if algorithm == "HS256" else f"a shared secret for {algorithm} in jwk"
        trials.append(Trial(name, forge(header, token.claims, secret)))
    return trials
