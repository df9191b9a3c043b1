"""Which driver a database URL means: any PostgreSQL URL is driven through psycopg2, SQLite through sqlite3.

The application may be asynchronous (`postgresql+asyncpg://`); a migration is not, and has no use for its driver.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from maestro_cli.errors import UsageError
from maestro_cli.redaction import password_in_url

POSTGRES = re.compile(r"^postgres(?:ql)?(?:\+[a-z0-9_]+)?$")
SQLITE = re.compile(r"^sqlite(?:\+[a-z0-9_]+)?$")

# asyncpg spells two parameters in its own way: https://magicstack.github.io/asyncpg/current/api/
_ASYNCPG = {"ssl": "sslmode", "timeout": "connect_timeout"}
_SQLALCHEMY_ONLY = {"prepared_statement_cache_size", "async_fallback", "prepared_statement_name_func"}


def is_sqlite(url: str) -> bool:
    """Whether the URL names an SQLite database."""
    return SQLITE.match(url.partition("://")[0]) is not None


def is_postgres(url: str) -> bool:
    """Whether the URL names a PostgreSQL database, whatever its driver."""
    return POSTGRES.match(url.partition("://")[0]) is not None


def libpq_url(url: str) -> str:
    """The URL as libpq takes it: no driver, libpq's parameter names.

    Raises:
        UsageError: It is not a PostgreSQL URL.
    """
    if not is_postgres(url):
        scheme = url.partition("://")[0] if "://" in url else "no scheme"
        raise UsageError(
            f"the database URL is neither PostgreSQL nor SQLite ({scheme})",
            hint="Write database.url as postgresql://user:password@host/database (postgresql+asyncpg:// works too).",
        )
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"the database URL can't be read: {error}", hint="Check database.url.") from None
    query = [
        (_ASYNCPG.get(name, name), "require" if (name, value) == ("ssl", "true") else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name not in _SQLALCHEMY_ONLY
    ]
    # libpq reads "+" as a plus sign: a space (options=-c%20…) has to stay %20.
    return urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query, quote_via=quote), ""))


def sqlite_path(url: str) -> str:
    """The file behind an SQLite URL (`sqlite:///relative`, `sqlite:////absolute`).

    Raises:
        UsageError: It names no file; a database in memory has nothing to migrate.
    """
    path = unquote(url.partition("://")[2].partition("?")[0])
    path = path.removeprefix("/")
    if path in {"", ":memory:"}:
        raise UsageError("the SQLite database is in memory", hint="Write database.url as sqlite:///path/to/file.db.")
    return path


def shown(url: str) -> str:
    """The URL without its password, for people."""
    plain, _, query = url.partition("?")
    kept = "&".join(part for part in query.split("&") if part and "password" not in part.partition("=")[0].lower())
    if password_in_url(plain) is not None:
        head, _, tail = plain.rpartition("@")
        scheme, _, login = head.partition("://")
        plain = f"{scheme}://{login.partition(':')[0]}@{tail}"
    return f"{plain}?{kept}" if kept else plain
