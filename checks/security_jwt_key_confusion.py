"""Tokens signed with what everybody knows."""

from __future__ import annotations

from maestro_cli.api import Context, Finding, check, refusals
from maestro_cli.observe.control import SIGNED_REQUESTS, Trial, attempt_all, real_token, signatures_checked
from maestro_cli.observe.public_keys import KEY_REQUESTS, MAXIMUM_KEYS, public_keys
from maestro_cli.observe.tokens import Jwt, forge, spellings_of_public_key

SPELLINGS = 6
SIBLINGS = ("HS384", "HS512")
"""What is left open where HS256 alone is refused by its name."""


@check(
    "security.jwt-key-confusion",
    component="security",
    priority="critical",
    requests=SIGNED_REQUESTS + KEY_REQUESTS + 4 + MAXIMUM_KEYS * (SPELLINGS + 2),
    deadline_s=20,
    faults=("jwt-empty-key", "jwt-public-key-as-secret", "jwt-public-key-as-hs512-secret"),
)
def jwt_key_confusion(ctx: Context) -> Finding:
    """A token signed with a public or an empty key is refused.

    Why: a verifier that takes the algorithm from the token uses the public key as if it were a shared secret; one whose
    secret was never set uses an empty one. Both are known to everybody.
    Fails when: an HS256 token signed with the service's public key (api.auth.public_key_file, api.auth.jwks_url, its
    /.well-known/jwks.json, its TLS certificate), in any of its spellings, an HS384 or HS512 one with its PEM, or one
    of these algorithms with an empty key opens api.auth.protected.
    Fix: fix the algorithm where tokens are verified and give each algorithm a key of its own type; refuse to start
    without a key.
    Source: RFC 8725 §2.1, §3.1; OWASP ASVS 5.0 9.1.2
    """
    signatures_checked(ctx)
    token = real_token(ctx)
    verdict = attempt_all(ctx, _trials(ctx, token))
    if not (verdict.accepted or verdict.crashed or token.algorithm.startswith("HS") or public_keys(ctx)):
        ctx.require(None, "api.auth.public_key_file or api.auth.jwks_url")  # without its key nothing is proved
    return refusals(
        verdict,
        held="A token signed with a public or an empty key is refused.",
        broken="A token is accepted that is signed with",
    )


def _trials(ctx: Context, token: Jwt) -> list[Trial]:
    header = {**token.header, "alg": token.algorithm if token.algorithm.startswith("HS") else "HS256"}
    trials = [
        Trial("an empty key", forge(header, token.claims, b"")),
        Trial("a zero byte", forge(header, token.claims, b"\0")),
    ]
    # Where each algorithm has a setting of its own for its key, the one that nobody uses is often not set.
    trials += [
        Trial(f"an empty key as {name}", forge({**header, "alg": name}, token.claims, b""))
        for name in ("HS256", *SIBLINGS)
        if name != header["alg"]
    ]
    for place, key in public_keys(ctx, with_certificate=True):
        spellings = spellings_of_public_key(key)[:SPELLINGS]
        for spelling in spellings:
            name = f"the public key of {place} ({_called(spelling)})"
            trials.append(Trial(name, forge(header, token.claims, spelling)))
        for name in SIBLINGS:
            other = forge({**header, "alg": name}, token.claims, spellings[0])
            trials.append(Trial(f"the public key of {place} as an {name} secret", other))
    return trials


def _called(spelling: bytes) -> str:
    """What one writing of a public key is called."""
    if spelling.startswith(b"{"):
        return "as a JSON Web Key"
    if not spelling.startswith(b"-----BEGIN"):
        return "as its bytes"
    kind = "in PKCS #1" if b"RSA PUBLIC KEY" in spelling else "as PEM"
    return kind if spelling.endswith(b"\n") else f"{kind} without its last line's end"
