"""Tokens that say where to fetch the key to verify them with."""

from __future__ import annotations

from typing import Any

from maestro_cli.api import Context, Evidence, Finding, check, failed, refusals
from maestro_cli.observe.callback import Listener
from maestro_cli.observe.control import SIGNED_REQUESTS, Trial, attempt_all, real_token, signatures_checked
from maestro_cli.observe.public_keys import WELL_KNOWN
from maestro_cli.observe.tokens import Jwt, encode64, forge, key_type, new_key, public_jwk, without_key


@check(
    "security.jwt-key-url",
    component="security",
    priority="critical",
    requests=SIGNED_REQUESTS + 4,
    faults=("jwt-jku-trusted", "jwt-jku-fetched"),
)
def jwt_key_url(ctx: Context) -> Finding:
    """An address that the token names is not fetched.

    Why: who may say where the key is signs with a key of his own, and makes the service call any address inside its
    network.
    Fails when: a token whose header `jku` or `x5u` names a listener on the loopback address opens api.auth.protected, or
    makes the service call that listener (seen where the service runs on this machine).
    Fix: fetch keys from one configured address only; ignore `jku` and `x5u`.
    Source: RFC 8725 §3.10; OWASP ASVS 5.0 9.1.3; CWE-918
    """
    signatures_checked(ctx)
    token = real_token(ctx)
    kid = f"maestro-{ctx.nonce}"
    key = ctx.shared("throw-away-EC-key", lambda: new_key("EC"))
    rsa = ctx.shared("throw-away-RSA-key", lambda: new_key("RSA"))
    own = _own_key(ctx, token)
    shared = {"kty": "oct", "k": encode64(_shared_secret(kid)), "kid": f"{kid}-own"}
    served = shared if own is None else {**public_jwk(own, f"{kid}-own"), "alg": token.algorithm}
    with Listener({"keys": [public_jwk(key, kid), public_jwk(rsa, f"{kid}-rsa"), served]}) as listener:
        trials = _trials(token, kid, listener.url, key, rsa)
        verdict = attempt_all(ctx, [*trials, *_of_its_own(token, kid, listener.url, own)])
        calls = listener.calls()
    called = Evidence("calls of the listener", ", ".join(calls) or "none", "none")
    if calls and not verdict.accepted:
        return failed("The service fetches an address that a token names.", called, *verdict.evidence)
    finding = refusals(
        verdict, held="An address that the token names is not fetched.", broken="A token is accepted that names"
    )
    return Finding(finding.status, finding.message, (called, *finding.evidence), finding.remedy)


def _trials(token: Jwt, kid: str, url: str, key: object, rsa: object) -> list[Trial]:
    # Some verifiers ask no more of an address than that it ends like their own.
    usual = without_key(token.header)
    headers = (
        ({**usual, "alg": "ES256", "kid": kid, "jku": f"{url}/ec{WELL_KNOWN}"}, key, "jku with an EC key"),
        (
            {**usual, "alg": "RS256", "kid": f"{kid}-rsa", "jku": f"{url}/rsa{WELL_KNOWN}"},
            rsa,
            "jku with an RSA key",
        ),
        ({**usual, "alg": "RS256", "kid": f"{kid}-rsa", "x5u": f"{url}/x5u.pem"}, rsa, "x5u"),
    )
    return [Trial(name, forge(header, token.claims, signer)) for header, signer, name in headers]


def _own_key(ctx: Context, token: Jwt) -> Any:
    """A key pair of the kind that the service signs with; None where it signs with a shared secret."""
    kind = key_type(token.algorithm)
    return None if kind is None else ctx.shared(f"throw-away-{kind}-key", lambda: new_key(kind))


def _of_its_own(token: Jwt, kid: str, url: str, own: Any) -> list[Trial]:
    """The service's own algorithm, where it is another one: a verifier that insists on it may still fetch the key."""
    algorithm = token.algorithm
    if algorithm in ("RS256", "ES256") or not (own or algorithm.startswith("HS")):
        return []
    header = {**without_key(token.header), "alg": algorithm, "kid": f"{kid}-own", "jku": f"{url}/own{WELL_KNOWN}"}
    name = f"jku with a{' shared secret' if own is None else ' key'} for {algorithm}"
    return [Trial(name, forge(header, token.claims, own or _shared_secret(kid)))]


def _shared_secret(kid: str) -> bytes:
    """The secret of the key set that the listener serves."""
    return kid.encode() * 4
