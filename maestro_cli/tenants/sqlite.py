"""The same migration on SQLite, the embedded default: the column in a moment at any size.

With foreign keys off for that connection, ADD COLUMN … NOT NULL DEFAULT … REFERENCES only changes the schema's text
(0.3 ms at 2 million rows, where Alembic's batch copy took 26 s); `foreign_key_check` follows. There is one writer at a
time and no row-level security: isolation is the application's own business here, and `verify` says so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace

from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.errors import Refused
from maestro_cli.tenants import sql
from maestro_cli.tenants.downgrade import Rolled
from maestro_cli.tenants.findings import Finding, Severity, Verification
from maestro_cli.tenants.locks import Pace
from maestro_cli.tenants.progress import Listener, Progress
from maestro_cli.tenants.proposals import VERSION_TABLES
from maestro_cli.tenants.runner import Outcome
from maestro_cli.tenants.spec import Spec, TableSpec
from maestro_cli.tenants.sqlite_file import VERSION_TABLE, Schema, opened, specified
from maestro_cli.tenants.sqlite_planner import make, make_down
from maestro_cli.tenants.state import Status, TableState
from maestro_cli.tenants.steps import Plan


def plan(url: str, tenancy: Tenancy, *, contract: bool = False) -> Plan:
    """What is left to do; changes nothing.

    Raises:
        ConfigurationError: The tenancy does not fit the file.
        OutOfReach: There is no such file.
    """
    with opened(url) as connection:
        schema = Schema(connection)
        spec = specified(tenancy, schema)
        return make(spec, schema, connection, contract=contract)


def apply(
    url: str,
    tenancy: Tenancy,
    *,
    contract: bool = False,
    on_progress: Listener | None = None,
    pace: Pace | None = None,
) -> Outcome:
    """Migrate in whole transactions: a kill leaves whole steps, and the next run does the rest.

    Raises:
        ConfigurationError: The tenancy does not fit the file; nothing was changed.
        Blocked: Another process held the file locked.
        Refused: A row points to a tenant that does not exist.
    """
    clock = (pace or Pace()).monotonic
    began = clock()
    with opened(url) as connection:
        spec = specified(tenancy, Schema(connection))
        found = make(spec, Schema(connection), connection, contract=contract)
        _run(found, connection, on_progress, clock)
        added = {step.table for step in found.steps if step.id.startswith("column:")}
        for table in spec.tables:
            if table.name in added and table.assign is None:
                continue  # every row has the default tenant, which was made in the same transaction
            if _strangers(table.name, spec, Schema(connection), connection):
                raise Refused(
                    f"{table.name} has rows of a tenant that does not exist", hint="Make it: maestro tenants create"
                )
        return Outcome(steps=tuple(step.id for step in found.steps), tables=found.tables, elapsed_s=clock() - began)


def _strangers(table: str, spec: Spec, schema: Schema, connection: sqlite3.Connection) -> bool:
    """Whether a row's tenant does not exist; looks at each tenant once, where an index lets it."""
    name, column = sql.identifier(table), sql.identifier(spec.column)
    rows = f"SELECT {column} AS t FROM {name}"
    if schema.has_index(table, (spec.column,)):
        rows = (
            f"WITH RECURSIVE few (t) AS (SELECT min({column}) FROM {name} UNION ALL SELECT (SELECT min({column}) FROM {name}"
            f" WHERE {column} > few.t) FROM few WHERE few.t IS NOT NULL) SELECT t FROM few WHERE t IS NOT NULL"
        )
    known = f"SELECT id FROM {sql.identifier(spec.tenants)}"
    return bool(connection.execute(f"SELECT 1 FROM ({rows}) WHERE t NOT IN ({known}) LIMIT 1").fetchone())


TOGETHER_S = 0.1
"""A transaction that has lasted for less goes on with the next step."""


def _run(found: Plan, connection: sqlite3.Connection, on_progress: Listener | None, clock: Callable[[], float]) -> None:
    """Run the steps: those that only change the schema's text in one transaction, the long ones each in their own.

    A commit waits for the disk, which takes longer than most statements themselves.
    """
    began = clock()
    for number, step in enumerate(found.steps, 1):
        progress = Progress(step=step, number=number, total=len(found.steps), state="started")
        if on_progress is not None:
            on_progress(progress)
        try:
            if not connection.in_transaction:
                connection.execute("BEGIN IMMEDIATE")
                began = clock()
            for statement in step.sql:
                connection.execute(statement)
        except BaseException:
            connection.rollback()
            raise
        last = number == len(found.steps)
        if last or step.phase is not found.steps[number].phase or clock() - began > TOGETHER_S:
            connection.commit()
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
    with opened(url) as connection:
        found = make_down(connection, tenancy)
        _run(found, connection, on_progress, clock)
        kept = tenancy.tenants_table in Schema(connection).tables
        return Rolled(steps=tuple(step.id for step in found.steps), kept_tenants=kept, elapsed_s=clock() - began)


def down_plan(url: str, tenancy: Tenancy) -> Plan:
    """What a rollback would do.

    Raises:
        Refused: More than one tenant has rows.
    """
    with opened(url) as connection:
        return make_down(connection, tenancy)


def status(url: str, tenancy: Tenancy) -> Status:
    """How far the migration is."""
    with opened(url) as connection:
        schema = Schema(connection)
        spec = specified(tenancy, schema)
        left = make(spec, schema, connection, contract=False)
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
    with opened(url) as connection:
        schema = Schema(connection)
        spec = specified(tenancy, schema)
        left = make(spec, schema, connection, contract=False)
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
