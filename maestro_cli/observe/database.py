"""The database of the service, as its own role sees it: a small pool, read-only, every transaction rolled back."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from maestro_cli.errors import NotConfigured
from maestro_cli.observe.errors import Unreachable
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

POSTGRESQL = "PostgreSQL"
CONNECT_S = 3
STATEMENT_MS = 5_000


@dataclass
class Database:
    """Connections to PostgreSQL.

    Attributes:
        url: The SQLAlchemy URL; its driver part (`+asyncpg`, `+psycopg`) does not matter.
    """

    url: Secret
    name: str = POSTGRESQL
    _idle: list[Any] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def from_context(cls, ctx: Context) -> Database:
        """The application's database, seen to be reachable."""
        instance = cls(postgresql_url(ctx))
        with instance.transaction():
            pass
        return instance

    @contextmanager
    def transaction(self, *, read_only: bool = True) -> Iterator[Any]:
        """A psycopg2 cursor in a transaction that is always rolled back.

        Raises:
            Unreachable: When the connection cannot be made or breaks.
        """
        import psycopg2

        connection = self._take()
        try:
            connection.set_session(readonly=read_only, autocommit=False)
            with connection.cursor() as cursor:
                yield cursor
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            if connection.closed or isinstance(error, psycopg2.InterfaceError):
                raise Unreachable(self.name, f"the connection broke at {self.address}") from None
            raise
        finally:
            self._give_back(connection)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement, in a read-only transaction of its own."""
        with self.transaction() as cursor:
            cursor.execute(sql, parameters or None)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    @property
    def address(self) -> str:
        """`host:port/database`, without user and password."""
        arguments = libpq_arguments(self.url.reveal())
        return f"{arguments.get('host', 'local socket')}:{arguments.get('port', 5432)}/{arguments.get('dbname', '')}"

    def _take(self) -> Any:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return connect(self.url, self.name)

    def _give_back(self, connection: Any) -> None:
        try:
            connection.rollback()
        except Exception:  # noqa: BLE001 - a broken connection is dropped, whatever it says
            connection.close()
            return
        with self._lock:
            if len(self._idle) < 4:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def refusal(error: BaseException) -> str | None:
    """What PostgreSQL said where it refused a statement of a check; None for any other error.

    A role that may not read a table, or that has `row_security = off`, is the service's state and no mistake of the check.
    """
    state = getattr(error, "pgcode", None)
    if state is None:
        return None
    words = next(iter(str(error).splitlines()), "").strip()
    return f"{POSTGRESQL} refused a statement of this check as the role of database.url: {words} ({state})"


def postgresql_url(ctx: Context) -> Secret:
    """database.url, where it is PostgreSQL.

    Raises:
        NotConfigured: Where it is absent, and for SQLite: these checks look at a server.
    """
    database = ctx.require(ctx.settings.database, "database")
    url = ctx.require(database.url, "database.url")
    if url.reveal().startswith("sqlite"):
        raise NotConfigured("database.url is SQLite, so no PostgreSQL is configured")
    return url


def libpq_arguments(url: str) -> dict[str, Any]:
    """A SQLAlchemy URL as libpq's keywords.

    Raises:
        ValueError: For anything but a PostgreSQL URL.
    """
    from urllib.parse import parse_qsl

    parts = urlsplit(url)
    if parts.scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise ValueError(f"{parts.scheme.split('+')[0] or 'this'} is not a PostgreSQL URL")
    found = {
        "host": unquote(parts.hostname) if parts.hostname else None,
        "port": parts.port,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "dbname": unquote(parts.path[1:]) or None,
    }
    options = {name: value for name, value in parse_qsl(parts.query) if name != "prepared_statement_cache_size"}
    if "ssl" in options:  # asyncpg's spelling
        options["sslmode"] = options.pop("ssl")
    return {**{name: value for name, value in found.items() if value is not None}, **options}


def connect(url: Secret, name: str = POSTGRESQL, **overrides: Any) -> Any:
    """A psycopg2 connection with a short connect timeout and a statement timeout.

    Raises:
        Unreachable: When it cannot be made; says why, without the URL.
    """
    import psycopg2

    try:
        arguments = {
            "connect_timeout": CONNECT_S,
            "application_name": "maestro",
            **libpq_arguments(url.reveal()),
            **overrides,
        }
    except ValueError as error:
        raise Unreachable(name, str(error)) from None
    arguments["options"] = f"{arguments.get('options', '')} -c statement_timeout={STATEMENT_MS}".strip()
    where = f"{arguments.get('host', 'local socket')}:{arguments.get('port', 5432)}"
    try:
        return psycopg2.connect(**arguments)
    except psycopg2.OperationalError as error:
        raise Unreachable(name, f"{_reason(str(error))} at {where}") from None


def _reason(text: str) -> str:
    known = {
        "Connection refused": "connection refused",
        "timeout expired": "no answer in time",
        "could not translate host name": "its name does not resolve",
        "password authentication failed": "the password is refused",
        "does not exist": "the database or role does not exist",
        "No such file or directory": "there is no such socket",
        "too many clients": "it has no connection left",
        "starting up": "it is still starting up",
        "shutting down": "it is shutting down",
    }
    for part, words in known.items():
        if part in text:
            return words
    last = [line for line in text.strip().splitlines() if line][-1:] or ["no connection"]
    return last[0].rpartition("FATAL:")[2].strip()
