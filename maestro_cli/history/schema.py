"""The store's schema, migrated by Alembic with the scripts in the `migrations` folder beside this module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro_cli.errors import OutOfReach
from maestro_cli.history.connection import Alchemy, Connection, SqliteFile

if TYPE_CHECKING:
    from sqlalchemy import Engine

HEAD = "0001"
"""The newest revision; a test compares it with the scripts."""
VERSION_TABLE = "maestro_history_version"
"""Not Alembic's own name: the store may share a database with the application, whose versions are not ours."""
_LOCK = 0x6D61_6573
"""Of PostgreSQL's advisory locks, the one that migrations of the store take."""


def make_current(connection: Connection) -> None:
    """Bring the store's tables up to date; nothing but a look where they are.

    Raises:
        OutOfReach: When that is not possible, or a newer maestro wrote it.
    """
    revision = _revision(connection)
    if revision == HEAD:
        return
    if revision is not None and revision > HEAD:
        raise OutOfReach(
            f"the history in {connection.place} was written by a newer maestro (revision {revision})",
            hint="Upgrade maestro, or name another store in history:.",
        )
    migrate(connection)


def _revision(connection: Connection) -> str | None:
    if not connection.has_table(VERSION_TABLE):
        return None
    rows = connection.query(f"select version_num from {VERSION_TABLE}", {}, 1)  # noqa: S608 - a name of our own
    return str(rows[0][0]) if rows else None


def migrate(connection: Connection, revision: str = "head") -> None:
    """Run Alembic up to a revision, one process at a time."""
    from alembic import command
    from sqlalchemy.exc import SQLAlchemyError

    with _engine(connection) as engine:
        try:
            with engine.connect() as live, _one_at_a_time(connection, live):
                command.upgrade(configuration(live), revision)
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise OutOfReach(f"the history in {connection.place} cannot be prepared: {reason}") from None


def configuration(live: Any = None) -> Any:
    """Alembic's configuration; `live` is the connection that it works on."""
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = live
    config.attributes["version_table"] = VERSION_TABLE
    return config


@contextmanager
def _engine(connection: Connection) -> Iterator[Engine]:
    from sqlalchemy import URL, create_engine
    from sqlalchemy.pool import NullPool

    if isinstance(connection, Alchemy):
        yield connection.engine
        return
    engine = create_engine(URL.create("sqlite", database=connection.place), poolclass=NullPool)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _one_at_a_time(connection: Connection, live: Any) -> Iterator[None]:
    """Two first runs at once must not both create the tables."""
    if isinstance(connection, SqliteFile):
        import fcntl

        with Path(connection.place).open("ab") as file:  # flock, which SQLite's own locks do not see
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    elif live.dialect.name == "postgresql":
        from sqlalchemy import text

        live.execute(text(f"select pg_advisory_lock({_LOCK})"))
        live.commit()
        try:
            yield
        finally:
            live.execute(text(f"select pg_advisory_unlock({_LOCK})"))
            live.commit()
    else:
        yield
