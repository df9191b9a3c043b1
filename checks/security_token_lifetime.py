"""How long tokens live."""

from __future__ import annotations

import re

from maestro_cli.api import Context, Evidence, Finding, NotConfigured, check, combine, failed, passed
from maestro_cli.observe.endpoint import dig
from maestro_cli.observe.session import LOGIN_REQUESTS, Session, for_account
from maestro_cli.observe.tokens import parse

SLACK_S = 60


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
    api.auth.refresh_days, or one of them names no end. Of an access token that is no JSON Web Token, `expires_in` beside it
    counts, in seconds; of such a refresh token that is a cookie, the cookie's Max-Age.
    Fix: shorten them where they are issued, or write down in maestro.yaml what is meant.
    Source: OWASP ASVS 5.0 9.2.1, 7.3.2; RFC 9700 §4.14.2; RFC 6749 §5.1
    """
    session = for_account(ctx, 0)
    findings = [_judge("access token", session.access_token, session.auth.access_minutes * 60, session), _told(session)]
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


def _told(session: Session) -> Finding | None:
    """Of an access token that is no JWT, what the login's answer says beside it."""
    place = session.auth.login.token if session.auth.login is not None else ""
    if place.startswith(("cookie:", "header:")) or parse(session.access_token) is not None:
        return None
    beside = f"{place.rpartition('.')[0]}.expires_in".lstrip(".")
    life, longest_s = dig(session.answer.json(), beside), session.auth.access_minutes * 60
    if not isinstance(life, int | float) or isinstance(life, bool):
        return None
    seen = Evidence(f"{beside} of the login's answer", _words(life), f"at most {_words(longest_s)}")
    if life > longest_s + SLACK_S:
        return failed(f"The access token lives for {_words(life)}.", seen)
    return passed(f"The access token lives for {_words(life)}.", seen)


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
