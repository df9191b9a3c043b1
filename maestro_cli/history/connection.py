"""The few statements of the store, on SQLite's own driver or on SQLAlchemy.

A plain SQLite file is opened with the standard library: importing SQLAlchemy takes longer than a whole short run. Every
statement is standard SQL with `:name` parameters, which both understand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from maestro_cli.errors import ConfigurationError, OutOfReach
from maestro_cli.redaction import Secret

BUSY_S = 30.0
"""How long a writer waits for another one."""
Row = tuple[Any, ...]
Parameters = Mapping[str, Any]


class Connection(Protocol):
    """What the store needs of a database."""

    place: str
    """How messages name it, without a password."""

    def query(self, sql: str, parameters: Parameters, limit: int) -> list[Row]:
        """At most `limit` rows of a statement."""

    def write(self, sql: str, parameters: Parameters) -> None:
        """Run a statement and commit it."""

    def has_table(self, name: str) -> bool:
        """Whether there is such a table."""

    def close(self) -> None:
        """Close it."""


def connect(url: Secret, root: Path) -> Connection:
    """Open a store.

    Args:
        url: A SQLAlchemy URL, or the path of a SQLite file.
        root: The folder that a relative path starts from.

    Raises:
        OutOfReach: When it cannot be opened.
        ConfigurationError: For something that is no such URL.
    """
    file = sqlite_file(url, root)
    return SqliteFile(file) if file is not None else Alchemy(url)


def sqlite_file(url: Secret, root: Path) -> Path | None:
    """The file of a plain SQLite URL or path; None for every other database."""
    text = url.reveal()
    if "://" not in text:
        return root / text
    scheme, _, path = text.partition("://")
    if scheme not in ("sqlite", "sqlite+pysqlite") or not path.startswith("/") or path == "/" or "?" in path:
        return None
    return root / path[1:]  # four slashes leave an absolute path, which wins


class SqliteFile:
    """A SQLite file, through the standard library."""

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        try:
            _make_folder(path.parent)
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> OutOfReach:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        broken = "not a database" in str(reason) or "malformed" in str(reason)
        hint = "Move the file away; the next run begins a new one." if broken else None
        return OutOfReach(f"the history in {self.place} cannot be used: {reason}", hint=hint)

    def query(self, sql: str, parameters: Parameters, limit: int) -> list[Row]:
        """See `Connection`."""
        with self._explained():
            return self._connection.execute(sql, dict(parameters)).fetchmany(limit)

    def write(self, sql: str, parameters: Parameters) -> None:
        """See `Connection`."""
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")  # waits its turn now, rather than failing at the end
            try:
                self._connection.execute(sql, dict(parameters))
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def has_table(self, name: str) -> bool:
        """See `Connection`."""
        sql = "select 1 from sqlite_master where type = 'table' and name = :name"
        return bool(self.query(sql, {"name": name}, 1))

    def close(self) -> None:
        """See `Connection`."""
        self._connection.close()


def _make_folder(folder: Path) -> None:
    """Make `.maestro/` and have git leave it alone; every other folder must be there."""
    if folder.name == ".maestro" and not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


class Alchemy:
    """Any other database, through SQLAlchemy."""

    def __init__(self, url: Secret) -> None:
        from sqlalchemy import create_engine
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool

        try:
            address = make_url(url.reveal())
            if address.get_backend_name() == "postgresql":  # the driver that maestro brings, whatever the URL names
                address = address.set(drivername="postgresql+psycopg2")
            self.engine = create_engine(address, poolclass=NullPool)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            kind = type(error).__name__
            raise ConfigurationError(f"history: is no SQLAlchemy URL that can be used ({kind})") from None
        self.place = f"{address.host or address.drivername}/{address.database or ''}"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
            raise OutOfReach(f"the history in {self.place} cannot be used: {reason}") from None

    def query(self, sql: str, parameters: Parameters, limit: int) -> list[Row]:
        """See `Connection`."""
        from sqlalchemy import text

        with self._explained(), self.engine.connect() as connection:
            rows = connection.execution_options(stream_results=True).execute(text(sql), dict(parameters))
            return [tuple(row) for row in rows.fetchmany(limit)]

    def write(self, sql: str, parameters: Parameters) -> None:
        """See `Connection`."""
        from sqlalchemy import text

        with self._explained(), self.engine.begin() as connection:
            connection.execute(text(sql), dict(parameters))

    def has_table(self, name: str) -> bool:
        """See `Connection`."""
        from sqlalchemy import inspect

        with self._explained():
            return inspect(self.engine).has_table(name)

    def close(self) -> None:
        """See `Connection`."""
        self.engine.dispose()
