"""Request headers that carry a token or cookies, and the cookies that an answer sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Auth
    from maestro_cli.observe.http import Answer

CSRF = re.compile(r"csrf|xsrf", re.IGNORECASE)
"""Names of cookies against forged requests, which go back as a header."""


def headers_with(auth: Auth, token: str, cookies: Mapping[str, str] | None = None) -> dict[str, str]:
    """Request headers that carry a token: the configured header and scheme, or the login's cookie."""
    place = auth.login.token if auth.login is not None else ""
    if place.startswith("cookie:"):
        return cookie_headers({**(cookies or {}), place.removeprefix("cookie:"): token})
    headers = {auth.header: f"{auth.scheme} {token}".strip()}
    return {**headers, **(cookie_headers(cookies) if cookies else {})}


def cookie_headers(jar: Mapping[str, str], *, refreshing: bool = False) -> dict[str, str]:
    """The cookies, and the double-submit ones among them as the headers of flask-jwt-extended, Django and Angular.

    Such a cookie is readable on purpose and has to be sent back as a header. Where the refresh token has one of its own
    (`csrf_refresh_token`), that is the one to send with it, and with nothing else.
    """
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())}
    twins = [name for name in jar if CSRF.search(name)]
    own = [name for name in twins if "refresh" in name.lower()]
    for name in own if refreshing and own else [name for name in twins if name not in own]:
        headers["X-XSRF-TOKEN" if "xsrf" in name.lower() else "X-CSRF-TOKEN"] = jar[name]
        headers["X-CSRFToken"] = jar[name]
    return headers


def cookies_of(answer: Answer) -> dict[str, str]:
    """The cookies that an answer sets, by name; deleted ones (empty value) left out."""
    from http.cookies import CookieError, SimpleCookie

    found: dict[str, str] = {}
    for name, value in answer.all_headers:
        if name == "set-cookie":
            try:
                jar = SimpleCookie(value)
            except CookieError:
                continue
            found.update({key: morsel.value for key, morsel in jar.items() if morsel.value})
    return found


def attributes_of(set_cookie: str) -> tuple[str, str, dict[str, str]]:
    """A Set-Cookie header's name, content and attributes, their names in lower case (RFC 6265 §5.2)."""
    first, *rest = set_cookie.split(";")
    name, _, content = first.strip().partition("=")
    pairs = (part.strip().partition("=") for part in rest)
    return name, content, {attribute.lower(): value for attribute, _, value in pairs}
