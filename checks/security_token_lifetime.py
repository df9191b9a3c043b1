"""How long tokens live."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from maestro_cli.api import Context, Evidence, Finding, NotConfigured, check, combine, failed, passed
from maestro_cli.observe.endpoint import dig
from maestro_cli.observe.login import login_of
from maestro_cli.observe.session import LOGIN_REQUESTS, Session, for_account
from maestro_cli.observe.tokens import parse

SLACK_S = 60
ACCESS_LIFE = ("expires_in", "expiresIn", "access_expires_in", "access_token_expires_in", "accessTokenExpiresIn")
REFRESH_LIFE = ("refresh_expires_in", "refreshExpiresIn", "refresh_token_expires_in", "refreshTokenExpiresIn")
"""What services call the seconds until a token ends: RFC 6749 for the first, habits of identity providers for the rest."""
DEEPEST = 4


@check(
    "security.token-lifetime",
    component="security",
    priority="high",
    requests=LOGIN_REQUESTS,
    faults=("jwt-access-long-lived", "refresh-long-lived", "jwt-without-exp"),
)
def token_lifetime(ctx: Context) -> Finding:
    """Tokens live no longer than configured.

    Why: a stolen token is good until it ends; that is what short lives are for.
    Fails when: an access token lives longer than api.auth.access_minutes, a refresh token longer than
    api.auth.refresh_days, or one of them names no end. Of a token that is no JSON Web Token, the seconds count that the
    login's answer tells: `expires_in` beside the access token, or the only one there is where that token is a header,
    `refresh_expires_in` and its like for the refresh token; of a refresh token that is a cookie, the cookie's Max-Age.
    Fix: shorten them where they are issued, or write down in maestro.yaml what is meant.
    Source: OWASP ASVS 5.0 9.2.1, 7.3.2; RFC 9700 §4.14.2; RFC 6749 §5.1
    """
    session = for_account(ctx, 0)
    login_of(session.auth)  # how long a token of maestro.yaml lives is its owner's choice
    findings = [
        _judge("access token", session.access_token, session.auth.access_minutes * 60, session),
        *_told(session),
    ]
    if session.refresh_token is not None:
        findings.append(_judge("refresh token", session.refresh_token, session.auth.refresh_days * 86_400, session))
        findings.append(_cookie(session))
    seen = [finding for finding in findings if finding is not None]
    if not seen:
        raise NotConfigured("the service's tokens are no JSON Web Tokens, so their end cannot be read")
    return combine(seen)


def _judge(name: str, text: str, longest_s: float, session: Session) -> Finding | None:
    token = parse(text)
    if token is None:
        return None
    end = token.claims.get("exp")
    expected = f"at most {_words(longest_s)}"
    if not isinstance(end, int | float):
        return failed(f"The {name} names no end.", Evidence(f"life of the {name}", "no exp", expected))
    begin = token.claims.get("iat")
    life = end - (begin if isinstance(begin, int | float) else session.issued_at)
    evidence = Evidence(f"life of the {name}", _words(life), expected)
    if life > longest_s + SLACK_S:
        return failed(f"The {name} lives for {_words(life)}.", evidence)
    return passed(f"The {name} lives for {_words(life)}.", evidence)


def _told(session: Session) -> list[Finding]:
    """Of tokens that are no JWT, what the login's answer says about them in seconds."""
    login, body = session.auth.login, session.answer.json()
    place, renewal = (login.token, login.refresh_token or "") if login is not None else ("", "")
    found = []
    if not place.startswith("cookie:") and parse(session.access_token) is None:
        found.append(_seconds("access token", _access_life(body, place, renewal), session.auth.access_minutes * 60))
    if renewal and ":" not in renewal and parse(session.refresh_token or "") is None:
        own = _beside(body, renewal, ("expires_in", "expiresIn")) if _parent(renewal) != _parent(place) else None
        life = _only(body, REFRESH_LIFE) or (None if ":" in place else own)
        found.append(_seconds("refresh token", life, session.auth.refresh_days * 86_400))
    return [finding for finding in found if finding is not None]


def _access_life(body: Any, place: str, renewal: str) -> tuple[str, float] | None:
    if not place.startswith("header:"):
        return _beside(body, place, ACCESS_LIFE)
    alone = _only(body, ACCESS_LIFE)
    if alone is None or _parent(alone[0]) != _parent(renewal) or _only(body, REFRESH_LIFE) is not None:
        return alone
    return None  # beside a refresh token alone, it may as well be that one's


def _seconds(name: str, told: tuple[str, float] | None, longest_s: float) -> Finding | None:
    if told is None:
        return None
    place, life = told
    seen = Evidence(f"{place} of the login's answer", _words(life), f"at most {_words(longest_s)}")
    if life > longest_s + SLACK_S:
        return failed(f"The {name} lives for {_words(life)}.", seen)
    return passed(f"The {name} lives for {_words(life)}.", seen)


def _parent(place: str) -> str:
    return place.rpartition(".")[0]


def _beside(body: Any, place: str, names: tuple[str, ...]) -> tuple[str, float] | None:
    """The first of these members that stands beside a token, with its place."""
    for name in names:
        beside = f"{_parent(place)}.{name}".lstrip(".")
        life = dig(body, beside)
        if isinstance(life, int | float) and not isinstance(life, bool):
            return beside, life
    return None


def _only(body: Any, names: tuple[str, ...]) -> tuple[str, float] | None:
    """The one member of such a name, wherever it stands; None where there is none, or more than one."""
    found = list(_members(body, names))
    return found[0] if len(found) == 1 else None


def _members(value: Any, names: tuple[str, ...], place: str = "", depth: int = 0) -> Iterator[tuple[str, float]]:
    if not isinstance(value, dict) or depth > DEEPEST:
        return
    for name, member in value.items():
        here = f"{place}.{name}".lstrip(".")
        if name in names and isinstance(member, int | float) and not isinstance(member, bool):
            yield here, member
        yield from _members(member, names, here, depth + 1)


def _cookie(session: Session) -> Finding | None:
    """Of a refresh token that is no JWT but a cookie, what its cookie says."""
    place = (session.auth.login.refresh_token if session.auth.login is not None else None) or ""
    if not place.startswith("cookie:") or parse(session.refresh_token or "") is not None:
        return None
    name, longest_s = place.removeprefix("cookie:"), session.auth.refresh_days * 86_400
    for header, value in session.answer.all_headers:
        age = re.search(r";\s*max-age\s*=\s*(\d+)", value, re.IGNORECASE)
        if header == "set-cookie" and value.startswith(f"{name}=") and age is not None:
            life = int(age.group(1))
            seen = Evidence(f"life of the cookie {name}", _words(life), f"at most {_words(longest_s)}")
            if life > longest_s + SLACK_S:
                return failed(f"The cookie of the refresh token lives for {_words(life)}.", seen)
            return passed(f"The cookie of the refresh token lives for {_words(life)}.", seen)
    return None


def _words(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} s"
