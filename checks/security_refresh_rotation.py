"""Refresh tokens and their reuse."""

from __future__ import annotations

import time
from typing import Any

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, NotConfigured, check, failed, passed
from maestro_cli.observe import login as logins
from maestro_cli.observe import session as sessions
from maestro_cli.observe.control import FORGED_REQUESTS, changed, forger
from maestro_cli.observe.first_refresh import FIRST_REFRESH_REQUESTS, first_refresh
from maestro_cli.observe.http import Answer
from maestro_cli.observe.login import Tokens
from maestro_cli.observe.session import Session
from maestro_cli.observe.tokens import Jwt, encode64, forge, parse, sign, unsigned

HOUR = 3600
ENDED = "an end an hour ago"


@check(
    "security.refresh-rotation",
    component="security",
    priority="high",
    writes=True,
    last=True,
    requests=FORGED_REQUESTS + FIRST_REFRESH_REQUESTS + sessions.LOGIN_REQUESTS + 8,
    deadline_s=15,
    faults=("refresh-reusable", "refresh-family-survives", "refresh-not-rotated"),
)
def refresh_rotation(ctx: Context) -> Finding:
    """A refresh token is good once, and its reuse ends the login.

    Why: when a stolen refresh token and its owner's both work, nobody notices; with rotation the second use gives the
    theft away, and ending the whole login locks the thief out.
    Fails when: a refresh brings no new refresh token, a used one is accepted again, its successor still works after the
    used one was tried again, or a refresh token that is a JWT is accepted with a changed signature, with alg none or,
    where api.auth.secret signs it too, after its end, though no access token is.
    Fix: store which refresh token of a login is the good one; refuse any other and end the login.
    Source: OWASP ASVS 5.0 10.4.5 and 9.2.1; RFC 9700 §4.14.2
    """
    made = first_refresh(ctx)
    session, first, tokens = made.session, made.exchanged, made.tokens
    if tokens is None:
        raise ControlFailed(f"a refresh with the token of a fresh login is answered {made.answer.status}")
    evidence = [Evidence(f"first use of R1 ({sessions.fingerprint(first)})", _seen(made.answer, tokens), "new tokens")]
    second = tokens.refresh_token
    if second is None or second == first:
        return failed("A refresh brings no new refresh token, so a stolen one works until it ends.", *evidence)
    signer = _signer(ctx)
    for name, text in _forged(second, signer):
        ctx.redact.add([text])
        answer, again = _use(ctx, session, text, tokens)
        evidence.append(Evidence(f"R2 with {name} ({sessions.fingerprint(text)})", _seen(answer, again), "401"))
        if again is not None and not _opens(ctx, session, name, signer):
            return failed(f"A forged refresh token is accepted: with {name}.", *evidence)
    answer, again = _use(ctx, session, first)
    evidence.append(Evidence("second use of R1", _seen(answer, again), "401"))
    if again is not None:
        return failed("A refresh token that was used already is accepted again.", *evidence)
    answer, successor = _use(ctx, session, second, tokens)
    name = f"use of R2 after the reuse of R1 ({sessions.fingerprint(second)})"
    evidence.append(Evidence(name, _seen(answer, successor), "401"))
    if successor is not None:
        return failed("The reuse of a refresh token is refused, but its successor stays good.", *evidence)
    return passed("A refresh token is good once, and its reuse ends the login.", *evidence)


def _signer(ctx: Context) -> tuple[str, Any] | None:
    """The algorithm and the key of access tokens; None where maestro.yaml names none that works."""
    try:
        token, key = forger(ctx)
    except (ControlFailed, NotConfigured):
        return None  # as security.jwt-time says
    return token.algorithm, key


def _forged(text: str, signer: tuple[str, Any] | None) -> list[tuple[str, str]]:
    """The token with a signature that does not fit, without one, and past its end; nothing where it is no JSON Web Token."""
    token = parse(text)
    if token is None:
        return []
    flipped = encode64(bytes(byte ^ 0xFF for byte in token.signature))
    return [
        ("a changed signature", f"{token.signed.decode()}.{flipped}"),
        ("alg none", f"{unsigned({**token.header, 'alg': 'none'}, token.claims)}."),
        *_ended(token, signer),
    ]


def _ended(token: Jwt, signer: tuple[str, Any] | None) -> list[tuple[str, str]]:
    """The token as it would be long after its end, where it is signed with the known key and names an end."""
    exp = token.claims.get("exp")
    if signer is None or token.algorithm != signer[0] or not isinstance(exp, int | float):
        return []
    algorithm, key = signer
    # The same text is signed alike only without a random part: with ES and PS nothing tells whose key it is.
    if sign(algorithm, token.signed, key) != token.signature:
        return []
    now = int(time.time())
    moved = {name: now - 2 * HOUR for name in ("iat", "nbf") if name in token.claims}
    return [(ENDED, forge(token.header, changed(token.claims, **moved, exp=now - HOUR), key))]


def _opens(ctx: Context, session: Session, name: str, signer: tuple[str, Any] | None) -> bool:
    """Whether an access token that is forged alike opens something: then security.jwt-signature or jwt-alg-none says so."""
    if session.auth.protected is None:
        return False
    text = dict(_forged(session.access_token, signer)).get(name)
    if text is None:
        return False
    ctx.redact.add([text])
    return 200 <= sessions.protected(ctx, session.headers_with(text)).status < 300


def _use(ctx: Context, session: Session, token: str, issued: Tokens | None = None) -> tuple[Answer, Tokens | None]:
    answer = sessions.refresh(ctx, token, session, issued)
    return answer, logins.tokens_in(ctx, answer)


def _seen(answer: Answer, tokens: Tokens | None) -> str:
    return f"{answer.status}{', with new tokens' if tokens is not None else ''}"
