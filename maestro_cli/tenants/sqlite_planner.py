"""What is left to do in an SQLite file, and the way back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace

from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.errors import ConfigurationError, Refused
from maestro_cli.tenants import sql
from maestro_cli.tenants.names import foreign_key_name, index_name, name, unique_name
from maestro_cli.tenants.spec import JoinPath, Spec, TableSpec
from maestro_cli.tenants.sqlite_file import Schema, specified, type_of
from maestro_cli.tenants.steps import Lock, LockMode, Mode, Note, Phase, Plan, Step


def make(spec: Spec, schema: Schema, connection: sqlite3.Connection, *, contract: bool) -> Plan:
    """Plan what is left.

    Raises:
        ConfigurationError: The tenancy does not fit the file.
    """
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
        if contract and trigger in schema.triggers:
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
            f"    id {type_of(spec, schema)} NOT NULL PRIMARY KEY,\n"
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
        f"ALTER TABLE {ours} ADD COLUMN {column} {type_of(spec, schema)} NOT NULL DEFAULT {table.default}\n"
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


def make_down(connection: sqlite3.Connection, tenancy: Tenancy) -> Plan:
    """Plan the way back.

    Raises:
        Refused: More than one tenant has rows.
    """
    schema = Schema(connection)
    spec = specified(tenancy, schema)
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
