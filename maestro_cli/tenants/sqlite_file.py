"""An SQLite file: opened for a migration, and what its schema looks like."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.errors import OutOfReach
from maestro_cli.tenants import sql
from maestro_cli.tenants.locks import Blocked
from maestro_cli.tenants.proposals import VERSION_TABLES
from maestro_cli.tenants.session import DatabaseError
from maestro_cli.tenants.spec import Spec, TableSpec, specify, with_proposals_of
from maestro_cli.tenants.urls import sqlite_path

VERSION_TABLE = "maestro_alembic_version"
BUSY_S = 30.0
"""How long a statement waits for another process's write."""


class Schema:
    """What the file looks like."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        listed = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
        self._entries = [row for row in listed if not row[1].startswith("sqlite_")]
        self.tables = [row[1] for row in self._entries if row[0] == "table"]
        self.indexes = {row[1]: row[2] for row in self._entries if row[0] == "index"}
        self.triggers = {row[1]: row[2] for row in self._entries if row[0] == "trigger"}

    def columns(self, table: str) -> dict[str, tuple[str, bool, str | None, bool]]:
        """Column → (type, not null, default, part of the primary key)."""
        rows = self._connection.execute(f"PRAGMA table_info({sql.identifier(table)})")
        return {row[1]: (row[2].upper(), bool(row[3]), row[4], bool(row[5])) for row in rows}

    def index_columns(self, index: str) -> tuple[str | None, ...]:
        """The columns of an index; None for an expression."""
        rows = self._connection.execute(f"PRAGMA index_info({sql.identifier(index)})")
        return tuple(row[2] for row in sorted(rows))

    def unique_indexes(self, table: str) -> list[tuple[str, str]]:
        """Unique indexes as (name, origin): `c` made by CREATE INDEX, `u` by a constraint."""
        rows = self._connection.execute(f"PRAGMA index_list({sql.identifier(table)})")
        return [(row[1], row[3]) for row in rows if row[2] and row[3] != "pk"]

    def foreign_keys(self, table: str) -> list[tuple[str, str, str | None]]:
        """(column, referenced table, referenced column) of single-column keys."""
        rows = self._connection.execute(f"PRAGMA foreign_key_list({sql.identifier(table)})")
        return [(row[3], row[2], row[4]) for row in rows]

    def has_index(self, table: str, columns: tuple[str, ...]) -> bool:
        """Whether an index over exactly these columns is there, whatever its name."""
        rows = self._connection.execute(f"PRAGMA index_list({sql.identifier(table)})").fetchall()
        return any(not row[4] and self.index_columns(row[1]) == columns for row in rows)


@contextmanager
def opened(url: str) -> Iterator[sqlite3.Connection]:
    """A connection with foreign keys off, each statement a transaction unless BEGIN says otherwise.

    Raises:
        OutOfReach: There is no such file.
        Blocked: Another process holds it locked.
        DatabaseError: SQLite refused a statement.
    """
    path = Path(sqlite_path(url))
    if not path.exists():
        raise OutOfReach(f"there is no database file {path}", hint="Check database.url in maestro.yaml.")
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            yield connection
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise Blocked(
                f"{path} was locked by another process for {BUSY_S:.0f} s",
                hint="Let its transaction end, then continue with: maestro migrate apply",
            ) from None
        raise DatabaseError(f"SQLite: {error}") from None
    except sqlite3.DatabaseError as error:
        raise DatabaseError(f"SQLite: {error}") from None


def specified(tenancy: Tenancy, schema: Schema) -> Spec:
    """The specification with literals as SQLite stores them."""
    spec = specify(replace(tenancy, schema="main"))
    left_out = {spec.tenants, *spec.shared, *VERSION_TABLES, VERSION_TABLE}
    spec = with_proposals_of(spec, tenancy, [table for table in schema.tables if table not in left_out])
    value = _value(spec, schema, spec.default_id)
    tables = tuple(replace(table, default=_literal(table, spec, schema)) for table in spec.tables)
    return replace(spec, default=value, tables=tables)


def _literal(table: TableSpec, spec: Spec, schema: Schema) -> str:
    return _value(spec, schema, table.default.split("'")[1]) if "'" in table.default else table.default


def _compact(spec: Spec, schema: Schema) -> bool:
    """Whether uuids are stored as 32 hexadecimal digits, as SQLAlchemy's Uuid does on SQLite."""
    if spec.type != "uuid":
        return False
    keys = [c[0] for table in schema.tables for c in schema.columns(table).values() if c[3]]
    return any(type_.startswith("CHAR(32)") for type_ in keys)


def _value(spec: Spec, schema: Schema, identity: str) -> str:
    if spec.type == "bigint":
        return str(int(identity))
    text = identity.replace("-", "") if _compact(spec, schema) else identity
    return "'" + text.replace("'", "''") + "'"


def type_of(spec: Spec, schema: Schema) -> str:
    """The column's type as SQLite writes it."""
    if spec.type == "bigint":
        return "BIGINT"
    return "CHAR(32)" if _compact(spec, schema) else "TEXT"
