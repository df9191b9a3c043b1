"""The same migration on SQLite, the embedded default: the column in a moment at any size.

With foreign keys off for that connection, ADD COLUMN … NOT NULL DEFAULT … REFERENCES only changes the schema's text
(0.3 ms at 2 million rows, where Alembic's batch copy took 26 s); `foreign_key_check` follows. There is one writer at a
time and no row-level security: isolation is the application's own business here, and `verify` says so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from maestro_cli.config.settings import Tenancy
from maestro_cli.errors import ConfigurationError, OutOfReach, Refused
from maestro_cli.tenants import sql
from maestro_cli.tenants.downgrade import Rolled
from maestro_cli.tenants.findings import Finding, Severity, Verification
from maestro_cli.tenants.locks import Blocked, Pace
from maestro_cli.tenants.names import foreign_key_name, index_name, name, unique_name
from maestro_cli.tenants.progress import Listener, Progress
from maestro_cli.tenants.runner import Outcome
from maestro_cli.tenants.session import DatabaseError
from maestro_cli.tenants.spec import VERSION_TABLES, JoinPath, Spec, TableSpec, specify, with_proposals_of
from maestro_cli.tenants.state import Status, TableState
from maestro_cli.tenants.steps import Lock, LockMode, Mode, Note, Phase, Plan, Step
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
def _opened(url: str) -> Iterator[sqlite3.Connection]:
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


def _specified(tenancy: Tenancy, schema: Schema) -> Spec:
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


def _type(spec: Spec, schema: Schema) -> str:
    if spec.type == "bigint":
        return "BIGINT"
    return "CHAR(32)" if _compact(spec, schema) else "TEXT"


def plan(url: str, tenancy: Tenancy, *, contract: bool = False) -> Plan:
    """What is left to do; changes nothing.

    Raises:
        ConfigurationError: The tenancy does not fit the file.
        OutOfReach: There is no such file.
    """
    with _opened(url) as connection:
        schema = Schema(connection)
        spec = _specified(tenancy, schema)
        return _plan(spec, schema, connection, contract=contract)


def _plan(spec: Spec, schema: Schema, connection: sqlite3.Connection, *, contract: bool) -> Plan:
    missing = [table.name for table in spec.tables if table.name not in schema.tables]
    if missing:
        raise ConfigurationError(
            f"tenancy.tables: no such table: {', '.join(missing)}", hint="Correct tenancy.tables in maestro.yaml."
        )
    steps = [*_tenants(spec, schema, connection)]
    for table in spec.tables:
        steps += _column(table, spec, schema)
    for table in spec.tables:
        steps += _indexes(table, spec, schema)
        steps += _uniques(table, spec, schema, contract=contract)
        trigger = name("maestro_assign", table.name)
        if contract and (trigger in schema.triggers or (table.assign is not None and trigger in schema.triggers)):
            steps.append(_step("strict", table.name, "drop the trigger", f"DROP TRIGGER {sql.identifier(trigger)}"))
    return Plan(
        database=str(connection.execute("PRAGMA database_list").fetchone()[2]),
        schema="main",
        column=spec.column,
        tables=tuple(table.name for table in spec.tables),
        steps=tuple(steps),
        notes=tuple(_notes(spec)),
        proposed=spec.proposed,
        contract=contract,
    )


def _notes(spec: Spec) -> Iterator[Note]:
    if spec.role is not None:
        yield Note("row-security", "SQLite", "has no row-level security: isolation is the application's own business")


def _step(kind: str, table: str, title: str, *statements: str, object_: str = "") -> Step:
    return Step(
        id=f"{kind}:{object_ or table}",
        phase=Phase.INDEX if kind == "index" else Phase.EXPAND,
        mode=Mode.BRIEF,
        table=table,
        title=title,
        sql=statements,
        locks=(Lock(table, LockMode.ACCESS_EXCLUSIVE),),
        blocks="writers of the file",
    )


def _tenants(spec: Spec, schema: Schema, connection: sqlite3.Connection) -> Iterator[Step]:
    table = sql.identifier(spec.tenants)
    if spec.tenants not in schema.tables:
        yield _step(
            "tenants",
            spec.tenants,
            f"create {spec.tenants}",
            f"CREATE TABLE IF NOT EXISTS {table} (\n"
            f"    id {_type(spec, schema)} NOT NULL PRIMARY KEY,\n"
            "    name TEXT NOT NULL,\n    slug TEXT NOT NULL,\n"
            "    created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,\n"
            "    is_active BOOLEAN NOT NULL DEFAULT 1,\n"
            "    max_users BIGINT,\n    max_projects BIGINT,\n    max_artifacts BIGINT,\n    meta JSON,\n"
            f"    CONSTRAINT {sql.identifier(unique_name(spec.tenants, ['name']))} UNIQUE (name),\n"
            f"    CONSTRAINT {sql.identifier(unique_name(spec.tenants, ['slug']))} UNIQUE (slug)\n)",
        )
    elif connection.execute(f"SELECT 1 FROM {table} WHERE id = {spec.default}").fetchone():
        return
    values = f"{spec.default}, {_text(spec.default_name)}, {_text(spec.default_slug)}"
    insert = f"INSERT INTO {table} (id, name, slug) VALUES ({values}) ON CONFLICT (id) DO NOTHING"
    yield _step("default-tenant", spec.tenants, f"insert the default tenant, {spec.default_name}", insert)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _column(table: TableSpec, spec: Spec, schema: Schema) -> Iterator[Step]:
    if spec.column in schema.columns(table.name):
        return
    ours, column = sql.identifier(table.name), sql.identifier(spec.column)
    key = sql.identifier(foreign_key_name(table.name, (spec.column,), spec.tenants))
    added = (
        f"ALTER TABLE {ours} ADD COLUMN {column} {_type(spec, schema)} NOT NULL DEFAULT {table.default}\n"
        f"    CONSTRAINT {key} REFERENCES {sql.identifier(spec.tenants)} (id) ON DELETE {table.on_delete.upper()}"
    )
    statements = [added]
    if table.assign is not None:
        assigned = _assigned(table, spec, schema)
        trigger = sql.identifier(name("maestro_assign", table.name))
        fill = f"UPDATE {ours} SET {column} = COALESCE({assigned}, {column})"
        statements.append(fill)
        statements.append(
            f"CREATE TRIGGER {trigger} AFTER INSERT ON {ours} WHEN NEW.{column} = {table.default}\n"
            f"BEGIN {fill} WHERE rowid = NEW.rowid; END"
        )
    yield _step("column", table.name, f"add {spec.column} with its default and foreign key", *statements)


def _assigned(table: TableSpec, spec: Spec, schema: Schema) -> str:
    if isinstance(table.assign, JoinPath):
        parent, column = table.assign.parent, table.assign.column
        found = [key for own, other, key in schema.foreign_keys(table.name) if (own, other) == (column, parent)]
        keys = [c for c, facts in schema.columns(parent).items() if facts[3]]
        key = (found[0] if found else None) or (keys[0] if keys else "id")
        return (
            f"(SELECT p.{sql.identifier(spec.column)} FROM {sql.identifier(parent)} AS p"
            f" WHERE p.{sql.identifier(key)} = {sql.identifier(table.name)}.{sql.identifier(column)})"
        )
    return f"({table.assign.sql})" if table.assign is not None else table.default


def _indexes(table: TableSpec, spec: Spec, schema: Schema) -> Iterator[Step]:
    for columns in table.indexes:
        index = index_name(table.name, columns)
        unknown = set(columns) - {spec.column} - set(schema.columns(table.name))
        if unknown:
            raise ConfigurationError(
                f"tenancy.tables.{table.name}.indexes: no such column: {', '.join(sorted(unknown))}",
                hint="Correct it in maestro.yaml.",
            )
        if index not in schema.indexes and not schema.has_index(table.name, columns):
            made = f"CREATE INDEX IF NOT EXISTS {sql.identifier(index)} ON {sql.identifier(table.name)} ({sql.columns(columns)})"
            yield _step("index", table.name, f"build {index}", made, object_=index)


def _uniques(table: TableSpec, spec: Spec, schema: Schema, *, contract: bool) -> Iterator[Step]:
    if not table.per_tenant:
        return
    for old, origin in schema.unique_indexes(table.name):
        columns = schema.index_columns(old)
        if spec.column in columns or None in columns:
            continue
        wanted = (spec.column, *(column for column in columns if column is not None))
        new = unique_name(table.name, wanted)
        if new not in schema.indexes:
            made = f"CREATE UNIQUE INDEX IF NOT EXISTS {sql.identifier(new)} ON {sql.identifier(table.name)} ({sql.columns(wanted)})"
            yield _step("index", table.name, f"build {new}", made, object_=new)
        if contract and origin == "c":
            yield _step("drop-unique", table.name, f"drop {old}", f"DROP INDEX {sql.identifier(old)}", object_=old)


def apply(
    url: str,
    tenancy: Tenancy,
    *,
    contract: bool = False,
    on_progress: Listener | None = None,
    pace: Pace | None = None,
) -> Outcome:
    """Migrate; each step is a transaction, so a kill leaves whole steps.

    Raises:
        ConfigurationError: The tenancy does not fit the file; nothing was changed.
        Blocked: Another process held the file locked.
        Refused: A row points to a tenant that does not exist.
    """
    clock = (pace or Pace()).monotonic
    began = clock()
    with _opened(url) as connection:
        spec = _specified(tenancy, Schema(connection))
        found = _plan(spec, Schema(connection), connection, contract=contract)
        _run(found, connection, on_progress)
        for table in spec.tables:
            broken = connection.execute(f"PRAGMA foreign_key_check({sql.identifier(table.name)})").fetchmany(3)
            if any(row[2] == spec.tenants for row in broken):
                raise Refused(
                    f"{table.name} has rows of a tenant that does not exist", hint="Make it: maestro tenants create"
                )
        return Outcome(steps=tuple(step.id for step in found.steps), tables=found.tables, elapsed_s=clock() - began)


def _run(found: Plan, connection: sqlite3.Connection, on_progress: Listener | None) -> None:
    for number, step in enumerate(found.steps, 1):
        progress = Progress(step=step, number=number, total=len(found.steps), state="started")
        if on_progress is not None:
            on_progress(progress)
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in step.sql:
                connection.execute(statement)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        if on_progress is not None:
            on_progress(replace(progress, state="done"))


def rollback(url: str, tenancy: Tenancy, *, on_progress: Listener | None = None, pace: Pace | None = None) -> Rolled:
    """Take the column out again. SQLite rewrites the table for it.

    Raises:
        Refused: More than one tenant has rows.
        Blocked: Another process held the file locked.
    """
    clock = (pace or Pace()).monotonic
    began = clock()
    with _opened(url) as connection:
        found = _down(connection, tenancy)
        _run(found, connection, on_progress)
        kept = tenancy.tenants_table in Schema(connection).tables
        return Rolled(steps=tuple(step.id for step in found.steps), kept_tenants=kept, elapsed_s=clock() - began)


def down_plan(url: str, tenancy: Tenancy) -> Plan:
    """What a rollback would do.

    Raises:
        Refused: More than one tenant has rows.
    """
    with _opened(url) as connection:
        return _down(connection, tenancy)


def _down(connection: sqlite3.Connection, tenancy: Tenancy) -> Plan:
    schema = Schema(connection)
    spec = _specified(tenancy, schema)
    tables = [t for t in spec.tables if t.name in schema.tables and spec.column in schema.columns(t.name)]
    column = sql.identifier(spec.column)
    for table in tables:
        query = f"SELECT 1 FROM {sql.identifier(table.name)} WHERE {column} <> {spec.default} LIMIT 1"
        if connection.execute(query).fetchone():
            raise Refused(
                f"a tenant besides the default one has rows in {table.name}: without the column nobody could tell whose",
                hint="Move or delete its rows first; SQLite has no --force.",
            )
    # Triggers first: one that reads a parent's column would be in the way of dropping it.
    steps = [
        replace(_step("trigger", on, f"drop {trigger}", f"DROP TRIGGER {sql.identifier(trigger)}"), phase=Phase.DOWN)
        for trigger, on in schema.triggers.items()
        if trigger.startswith("maestro_assign")
    ]
    for table in tables:
        ours = sql.identifier(table.name)
        statements = []
        for index, on in schema.indexes.items():
            if on == table.name and spec.column in schema.index_columns(index):
                statements.append(f"DROP INDEX {sql.identifier(index)}")
        statements.append(f"ALTER TABLE {ours} DROP COLUMN {column}")
        steps.append(replace(_step("column", table.name, f"drop {spec.column}", *statements), phase=Phase.DOWN))
    if spec.tenants in schema.tables:
        others = connection.execute(f"SELECT 1 FROM {sql.identifier(spec.tenants)} WHERE id <> {spec.default} LIMIT 1")
        if not others.fetchone():
            dropped = f"DROP TABLE {sql.identifier(spec.tenants)}"
            steps.append(replace(_step("tenants", spec.tenants, f"drop {spec.tenants}", dropped), phase=Phase.DOWN))
    return Plan(
        database=str(connection.execute("PRAGMA database_list").fetchone()[2]),
        schema="main",
        column=spec.column,
        tables=tuple(table.name for table in tables),
        steps=tuple(steps),
    )


def status(url: str, tenancy: Tenancy) -> Status:
    """How far the migration is."""
    with _opened(url) as connection:
        schema = Schema(connection)
        spec = _specified(tenancy, schema)
        left = _plan(spec, schema, connection, contract=False)
        known = {table.name for table in spec.tables} | {spec.tenants, *spec.shared, *VERSION_TABLES, VERSION_TABLE}
        return Status(
            database=left.database,
            schema="main",
            tables=tuple(_table_state(table, spec, schema, left) for table in spec.tables),
            steps_left=tuple(step.id for step in left.steps),
            contract="not begun",
            appeared=() if spec.proposed else tuple(table for table in schema.tables if table not in known),
            multixact_age=None,
            running=None,
            revision=None,
        )


def _table_state(table: TableSpec, spec: Spec, schema: Schema, left: Plan) -> TableState:
    facts = schema.columns(table.name).get(spec.column)
    keys = [key for key in schema.foreign_keys(table.name) if key[:2] == (spec.column, spec.tenants)]
    return TableState(
        name=table.name,
        column="missing" if facts is None else "there" if facts[1] else "nullable",
        foreign_key="valid" if keys else "missing",
        indexes=sum(schema.has_index(table.name, columns) for columns in table.indexes),
        indexes_wanted=len(table.indexes),
        invalid_indexes=(),
        row_security="off",
        rows=0,
        bytes=0,
        steps_left=sum(step.table == table.name for step in left.steps),
    )


def verify(url: str, tenancy: Tenancy) -> Verification:
    """What is missing, and rows whose tenant does not exist."""
    with _opened(url) as connection:
        schema = Schema(connection)
        spec = _specified(tenancy, schema)
        left = _plan(spec, schema, connection, contract=False)
        findings = [
            Finding(f"missing-{step.id.partition(':')[0]}", step.table, step.title, fix="maestro migrate apply")
            for step in left.steps
        ]
        for table in spec.tables:
            if spec.column not in schema.columns(table.name):
                continue
            query = (
                f"SELECT count(*) FROM {sql.identifier(table.name)} WHERE {sql.identifier(spec.column)} NOT IN"
                f" (SELECT id FROM {sql.identifier(spec.tenants)})"
            )
            orphans = connection.execute(query).fetchone()[0]
            if orphans:
                findings.append(Finding("orphaned-rows", table.name, f"{orphans} rows of tenants that don't exist"))
        if spec.role is not None:
            message = "SQLite has no row-level security: isolation is the application's own business"
            findings.append(Finding("not-proved", "SQLite", message, Severity.WARNING))
        return Verification(
            findings=tuple(findings),
            proof=None,
            tables=tuple(table.name for table in spec.tables),
            checked=("the column, key and indexes of every table", "orphaned rows"),
        )
