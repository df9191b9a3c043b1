"""Passwords inside connection URLs: found, put in, exchanged, always escaped (RFC 3986, section 2.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

SHORTEST = 4
"""A shorter password is looked for in the first URL of a value only: elsewhere it may be another one's."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#@\s]*:)([^/?#\s]*)(@)")
_IN_QUERY = re.compile(r"((?:[?&]|(?:^|\s))(?:password|passwd|pwd)=)([^&\s]+)", re.IGNORECASE)


def password_of(value: str) -> str | None:
    """The password in `scheme://user:password@host`, unescaped; None where there is none."""
    match = _URL.match(value)
    return (unquote(match.group(3)) or None) if match else None


def user_and_host(value: str) -> tuple[str, ...]:
    """The user's and the host's name in a connection URL: words an attacker tries first."""
    match = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://([^:/?#@\s]*)(?::[^@\s]*)?@([A-Za-z0-9.-]+)", value)
    return tuple(part for part in (match.groups() if match else ()) if part)


def exchange_password(value: str, old: str, new: str) -> str:
    """The same URL or `key=value` connection string with `new` where `old` was the password.

    Args:
        value: A variable's value; one without that password comes back as it is.
        old: The password to look for, unescaped.
        new: Its successor, unescaped.
    """

    def in_url(match: re.Match[str]) -> str:
        scheme, user, password, at = match.groups()
        return f"{scheme}{user}{escape(new)}{at}" if unquote(password) == old else match.group()

    def in_query(match: re.Match[str]) -> str:
        return match.group(1) + escape(new) if unquote(match.group(2)) == old else match.group()

    return _IN_QUERY.sub(in_query, _URL.sub(in_url, value))


def with_new_passwords(
    candidates: Mapping[str, str], before: Mapping[str, str], after: Mapping[str, str]
) -> dict[str, str]:
    """Variables whose URL holds a secret that has a new value.

    Args:
        candidates: Name → value of the variables to look at.
        before: Name → the value each secret had.
        after: Name → the value each changed secret has now.

    Returns:
        Name → new value, of those that change.
    """
    changed: dict[str, str] = {}
    for name, value in candidates.items():
        if name in after:
            continue
        new = value
        for secret, fresh in after.items():
            old = before.get(secret, "")
            if len(old) >= SHORTEST or (old and old == password_of(value)):
                new = exchange_password(new, old, fresh)
        if new != value:
            changed[name] = new
    return changed


def escape(text: str) -> str:
    """Percent-encode everything that is not unreserved, so that it can stand anywhere in a URL."""
    return quote(text, safe="")
