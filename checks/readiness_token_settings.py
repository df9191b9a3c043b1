"""Are tokens issued as the configuration says?"""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed, warned
from maestro_cli.observe.login import login_of
from maestro_cli.observe.reference_tokens import ALIKE_BITS, LEAST_BITS, differing_bits, most_bits
from maestro_cli.observe.session import LOGIN_REQUESTS, Session, for_account, spare
from maestro_cli.observe.tokens import Jwt, parse

SLACK_S = 60
"""A minute of rounding and clock skew."""


@check(
    "readiness.token-settings",
    component="security",
    priority="high",
    last=True,
    requests=3 * LOGIN_REQUESTS,
    faults=("jwt-access-long-lived", "token-algorithm-differs", "token-without-times"),
)
def token_settings(ctx: Context) -> Iterator[Finding]:
    """Tokens are issued as configured.

    Why: the settings file says 15 minutes; what counts is what the running service signs.
    Fails when: the access token of a login is signed with another algorithm than api.auth.algorithm, does not say when it
    ends, was issued at another time than now, or lives longer than api.auth.access_minutes; or it or the refresh token,
    being no JSON Web Token, can be guessed: it holds less than 64 bits, or those of two accounts are almost the same. It is a warning
    where each login of an account is answered with the same one.
    Fix: deploy the settings that are meant (JWT_ALGORITHM, JWT_ACCESS_TOKEN_EXPIRE_MINUTES), or correct maestro.yaml; make
    tokens that are looked up of 128 bits from the system's random source (`secrets.token_urlsafe`).
    Source: RFC 7519 §4.1.4 and §4.1.6; RFC 8725 §3.1; OWASP ASVS 5.0 7.2.3, 9.1.2 and 9.2.1; CWE-330
    """
    session = for_account(ctx, 0)
    login_of(session.auth)  # a token of maestro.yaml was issued when its owner wanted it
    if session.refresh_token is not None and parse(session.refresh_token) is None:
        yield _guessable(ctx, session, "refresh", session.refresh_token)
    token = parse(session.access_token)
    if token is None:
        yield _guessable(ctx, session, "access", session.access_token)
        yield _renewed(ctx, session)
        return
    auth = session.auth
    seen = Evidence("algorithm", token.algorithm, auth.algorithm)
    if token.algorithm != auth.algorithm:
        yield failed(f"The access token is signed with {token.algorithm}, not with {auth.algorithm}.", seen)
    else:
        yield passed(f"The access token is signed with {auth.algorithm}.", seen)
    yield _times(token, session.issued_at, auth.access_minutes)


def _renewed(ctx: Context, session: Session) -> Finding:
    """Whether a second login makes a second token: one that stays the same is stolen for good."""
    same = spare(ctx).access_token == session.access_token
    seen = Evidence("the token of another login", "the same" if same else "another one", "another one")
    if same:
        return warned("Each login of an account is answered with the same token.", seen)
    return passed("Each login is answered with a token of its own.", seen)


def _guessable(ctx: Context, session: Session, kind: str, token: str) -> Finding:
    """Whether a token that is no JSON Web Token is long enough, and unlike another account's."""
    holds = most_bits(token)
    seen = Evidence(f"what the {kind} token can hold", f"at most {holds:.0f} bits", f"{LEAST_BITS} bits or more")
    if holds < LEAST_BITS:
        return failed(f"The {kind} token can be guessed: it holds {holds:.0f} bits at most.", seen)
    other = for_account(ctx, 1) if len(session.auth.accounts) > 1 else None
    beside = None if other is None else other.access_token if kind == "access" else other.refresh_token
    if beside is None:
        return passed(f"The {kind} token is no JSON Web Token, and too long to be guessed.", seen)
    apart = differing_bits(token, beside)
    unlike = Evidence(
        f"where the {kind} token differs from another account's",
        f"in {apart:.0f} bits at most",
        f"{ALIKE_BITS} bits or more",
    )
    if apart < ALIKE_BITS:
        what = "are the same" if not apart else f"differ in {apart:.0f} bits at most, as counted ones do"
        return failed(f"The {kind} tokens of two accounts {what}.", seen, unlike)
    return passed(f"The {kind} token is no JSON Web Token, and cannot be guessed.", seen, unlike)


def _times(token: Jwt, answered: float, minutes: float) -> Finding:
    issued, ends = token.claims.get("iat"), token.claims.get("exp")
    expected = f"at most {minutes:g} minutes"
    if not isinstance(ends, int | float) or not _is_time(ends):
        names = "exp" if _is_time(issued) else "iat and exp"
        return failed(f"The access token has no {names}.", Evidence("claims", f"no {names}", "exp"))
    if not isinstance(issued, int | float) or not _is_time(issued):
        issued = answered  # a token need not say when it was issued (RFC 7519 §4.1.6); we were there
    if abs(issued - answered) > SLACK_S:
        off = f"{abs(issued - answered):.0f} s {'ahead' if issued > answered else 'behind'}"
        return failed(f"The access token was issued {off} of now.", Evidence("iat", off, "now"))
    life = Evidence("life of the access token", f"{(ends - issued) / 60:.4g} minutes", expected)
    if ends - issued > minutes * 60 + SLACK_S:
        return failed(f"The access token lives for {(ends - issued) / 60:.4g} minutes; {expected}.", life)
    return passed(f"The access token lives for {(ends - issued) / 60:.4g} minutes.", life)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e12
