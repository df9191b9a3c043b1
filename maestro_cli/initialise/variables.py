"""Which variable is meant for what, by its name alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DATABASE = re.compile(
    r"^(DATABASE|DB|POSTGRES(QL)?|PG|SQLALCHEMY_DATABASE)_?(URL|URI|DSN)$|(DATABASE|POSTGRES\w*)_(URL|URI|DSN)$"
)
_ADMIN = re.compile(
    r"^(ADMIN|OWNER|MIGRATIONS?|ALEMBIC|DDL)_.*(URL|URI|DSN)$|(DATABASE|DB|POSTGRES)_(ADMIN|OWNER|MIGRATIONS?)_(URL|URI|DSN)$"
)
_REDIS = re.compile(r"^(REDIS|VALKEY)_?(URL|URI|DSN)$|_(REDIS|VALKEY)_(URL|URI|DSN)$")
_JWT = ("JWT_SECRET_KEY", "JWT_SECRET", "JWT_KEY", "ACCESS_TOKEN_SECRET", "AUTH_SECRET", "TOKEN_SECRET", "SECRET_KEY")
_TEST = re.compile(r"(^|_)(TEST|TESTING|REPLICA|READONLY|OLD|PREVIOUS)(_|$)")
_OURS = re.compile(
    r"^(\w+_)?(JWT_(REFRESH_)?SECRET(_KEY)?|JWT_KEY|SECRET_KEY|SECRET_KEY_BASE|SESSION_SECRET(_KEY)?|COOKIE_SECRET|CSRF_SECRET(_KEY)?"
    r"|SIGNING_KEY|ENCRYPTION_KEY|API_SECRET_KEY|AUTH_SECRET|TOKEN_SECRET|PASSWORD_SALT)$"
)
_PASSWORD = re.compile(r"^(POSTGRES|PG|DB|DATABASE|REDIS|VALKEY)_(\w+_)?(PASSWORD|PASS)$")
_VENDOR = re.compile(
    r"AWS|AZURE|GCP|GOOGLE|STRIPE|OPENAI|ANTHROPIC|GITHUB|GITLAB|SLACK|TWILIO|SENDGRID|MAILGUN|SMTP|SENTRY|FACEBOOK|CLOUD"
)
"""Keys that others hand out: a generated one would be wrong."""


def database_url(names: Iterable[str]) -> str | None:
    """The application's database URL."""
    rows = [name for name in names if _DATABASE.search(name) and not _TEST.search(name) and not _ADMIN.search(name)]
    return min(rows, key=len, default=None)


def admin_url(names: Iterable[str]) -> str | None:
    """The URL of the role that owns the tables."""
    return min((name for name in names if _ADMIN.search(name) and not _TEST.search(name)), key=len, default=None)


def redis_url(names: Iterable[str]) -> str | None:
    """The Redis URL."""
    return min((name for name in names if _REDIS.search(name) and not _TEST.search(name)), key=len, default=None)


def signing_key(names: Iterable[str]) -> str | None:
    """The key that access tokens are signed with."""
    known = list(names)
    return next((name for name in _JWT if name in known), None)


def generated(names: Iterable[str]) -> dict[str, int]:
    """Secrets that a project makes for itself → their strength in bits; not those that vendors hand out."""
    found = {}
    for name in names:
        if _VENDOR.search(name):
            continue
        if _OURS.match(name):
            found[name] = 256
        elif _PASSWORD.match(name):
            found[name] = 192
    return found


def accounts(names: Iterable[str]) -> tuple[str, str] | None:
    """The passwords of two probe accounts, as maestro's own template calls them."""
    known = set(names)
    return ("PROBE_A_PASSWORD", "PROBE_B_PASSWORD") if {"PROBE_A_PASSWORD", "PROBE_B_PASSWORD"} <= known else None
