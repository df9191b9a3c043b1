"""Cookies that the API sets."""

from __future__ import annotations

import re

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.observe.answers import ANSWER_REQUESTS, answers
from maestro_cli.observe.first_refresh import FIRST_REFRESH_REQUESTS, first_refresh
from maestro_cli.observe.http import Answer
from maestro_cli.observe.session import for_account
from maestro_cli.observe.token_headers import attributes_of

FLAGS = ("Secure", "HttpOnly", "SameSite")


@check(
    "security.cookies",
    component="security",
    priority="medium",
    last=True,
    requests=ANSWER_REQUESTS + FIRST_REFRESH_REQUESTS,
    deadline_s=20,
    faults=("cookie-not-secure", "cookie-not-httponly", "cookie-no-samesite", "cookie-weaker-after-refresh"),
)
def cookies(ctx: Context) -> Finding:
    """Every cookie is Secure, HttpOnly and SameSite.

    Why: a session cookie without them is sent over plain HTTP, read by any script, and added to other sites' requests.
    Fails when: a cookie that the login, the refresh or another answer sets lacks Secure (over HTTPS), HttpOnly (a CSRF token, which
    scripts have to read, may) or SameSite, or has SameSite=None without Secure.
    Fix: set all three where the cookie is made; `__Host-` in front of its name makes browsers insist.
    Source: OWASP ASVS 5.0 3.3.1 to 3.3.4; RFC 6265bis §4.1.2
    """
    for_account(ctx, 0)
    https = ctx.http.base.startswith("https:")
    evidence, broken = [], []
    looked = [*answers(ctx), *_refreshed(ctx)]
    for name, answer in looked:
        for header, value in answer.all_headers:
            cookie, has, lacking = _judge(value, https=https) if header == "set-cookie" else ("", [], [])
            if not cookie:
                continue
            seen = f"lacks {', '.join(lacking)}" if lacking else ", ".join(has)
            evidence.append(Evidence(f"cookie {cookie} of {name}", seen, ", ".join(FLAGS if https else FLAGS[1:])))
            if lacking:
                broken.append(f"{cookie} lacks {' and '.join(lacking)}")
    if broken:
        return failed(f"Cookie {'; '.join(dict.fromkeys(broken))}.", *evidence)
    if not evidence:
        return passed(
            "No answer sets a cookie.",
            Evidence(", ".join(name for name, _ in looked), "no Set-Cookie", "none, or safe ones"),
        )
    if not https:
        return passed("Every cookie is HttpOnly and SameSite; Secure is not asked of an API over http://.", *evidence)
    return passed("Every cookie is Secure, HttpOnly and SameSite.", *evidence)


def _refreshed(ctx: Context) -> list[tuple[str, Answer]]:
    """The answer of a refresh, where the login sets cookies: it sets them anew."""
    session = for_account(ctx, 0)
    login, endpoint = session.auth.login, session.auth.refresh
    held = login is not None and any(name == "set-cookie" for name, _ in session.answer.all_headers)
    writes = not ctx.read_only and (ctx.environment != "production" or ctx.probe_production)
    if not held or endpoint is None or session.refresh_token is None or not writes:
        return []
    return [("the refresh", first_refresh(ctx).answer)]


def _judge(value: str, *, https: bool) -> tuple[str, list[str], list[str]]:
    """The cookie's name, what it has and what it lacks; no name where the header deletes a cookie."""
    name, content, given = attributes_of(value)
    attributes = {attribute: written.lower() for attribute, written in given.items()}
    if not content.strip('"') or attributes.get("max-age") == "0":
        return "", [], []
    lacking = []
    if https and "secure" not in attributes:
        lacking.append("Secure")
    if "httponly" not in attributes and not re.search(r"csrf|xsrf", name, re.IGNORECASE):
        lacking.append("HttpOnly")
    if "samesite" not in attributes:
        lacking.append("SameSite")
    elif attributes["samesite"] == "none" and "secure" not in attributes and "Secure" not in lacking:
        lacking.append("Secure")
    return name, [flag for flag in FLAGS if flag.lower() in attributes], lacking
