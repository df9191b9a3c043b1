"""Tokens whose signature is missing or does not fit."""

from __future__ import annotations

from maestro_cli.api import Context, ControlFailed, Finding, NotConfigured, check, refusals
from maestro_cli.observe.control import (
    CONTROL_REQUESTS,
    Trial,
    Verdict,
    attempt_all,
    control,
    judge,
    outcome,
    real_token,
)
from maestro_cli.observe.http import Answer
from maestro_cli.observe.session import LOGIN_REQUESTS
from maestro_cli.observe.tenant_objects import OBJECT_REQUESTS, path_of, settings_of, shared_object
from maestro_cli.observe.tokens import Jwt, encode64, unsigned


@check(
    "security.jwt-signature",
    component="security",
    priority="critical",
    requests=CONTROL_REQUESTS + 6 + OBJECT_REQUESTS + LOGIN_REQUESTS + 4,
    faults=(
        "jwt-signature-unchecked",
        "jwt-signature-optional",
        "jwt-zero-signature",
        "jwt-signature-unchecked-when-reading",
    ),
)
def jwt_signature(ctx: Context) -> Finding:
    """A token whose signature does not fit is refused.

    Why: the signature is all that keeps a user from writing another one's name into a token.
    Fails when: a token opens api.auth.protected after its signature was taken away or overwritten with zeros, one bit of
    it was changed, or its claims were changed and the signature kept; or, where probes may write, such a token reads an
    object of its owner at api.isolation.read or lists them, and no token at all does not.
    Fix: verify the signature before reading a claim; with most libraries that is the default that was switched off.
    Source: OWASP ASVS 5.0 9.1.1; RFC 8725 §3.3; CVE-2022-21449 (zeros that fit every message, in ECDSA)
    """
    token = real_token(ctx)
    verdict = attempt_all(ctx, _trials(token))
    return refusals(
        _with(verdict, judge(control(ctx).session.auth, _elsewhere(ctx, token))),
        held="A token whose signature is missing or does not fit is refused.",
        broken="A token is accepted with",
    )


def _trials(token: Jwt) -> list[Trial]:
    signed, signature = token.signed.decode(), encode64(token.signature)
    # The subject stays: a verifier that looks at nothing would still refuse a user that does not exist.
    longer = {**token.claims, "maestro_probe": True}
    if isinstance(token.claims.get("exp"), int | float):
        longer["exp"] = token.claims["exp"] + 3600
    nameless = {name: value for name, value in token.header.items() if name != "kid"}
    return [
        Trial("no kid and a changed signature", f"{unsigned(nameless, token.claims)}.{_flipped(token)}"),
        Trial("an empty signature", f"{signed}."),
        Trial("no signature part", signed),
        Trial("a signature of zeros", f"{signed}.{encode64(bytes(len(token.signature)))}"),
        Trial("a changed signature", f"{signed}.{_flipped(token)}"),
        Trial("changed claims", f"{unsigned(token.header, longer)}.{signature}"),
    ]


def _flipped(token: Jwt) -> str:
    # A bit in the middle: the last character of base64url may hold bits that count for nothing.
    flipped = bytearray(token.signature)
    flipped[len(flipped) // 2] ^= 0x01
    return encode64(bytes(flipped))


def _elsewhere(ctx: Context, token: Jwt) -> list[tuple[str, Answer]]:
    """A changed signature where objects are read and listed: each route may have a guard of its own."""
    if ctx.read_only or (ctx.environment == "production" and not ctx.probe_production):
        return []
    try:
        isolation = settings_of(ctx)
        owned = shared_object(ctx)
    except (NotConfigured, ControlFailed):
        return []  # the probes of tenants say so
    wrong = f"{token.signed.decode()}.{_flipped(token)}"
    ctx.redact.add([wrong])
    places = {isolation.read: path_of(ctx, isolation.read, owned.id)}
    if isolation.list is not None and isolation.list != owned.owner.auth.protected:
        places[isolation.list] = path_of(ctx, isolation.list, owned.id)
    found = []
    for place, path in places.items():
        answer = ctx.http.get(path, headers=owned.owner.headers_with(wrong))
        # What is open to everybody says nothing of signatures; security.write-authentication names it.
        accepted = outcome(owned.owner.auth, answer) == "accepted"
        if not accepted or outcome(owned.owner.auth, ctx.http.get(path)) != "accepted":
            found.append((f"a changed signature at {place}", answer))
    return found


def _with(one: Verdict, other: Verdict) -> Verdict:
    return Verdict(
        one.accepted + other.accepted,
        one.crashed + other.crashed,
        one.unclear + other.unclear,
        one.evidence + other.evidence,
    )
