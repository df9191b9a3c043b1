"""The way back, in the reverse order: what only the contract step took away comes back first, the column goes last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Table
from maestro_cli.tenants.names import unique_name
from maestro_cli.tenants.planner_contract import POLICY
from maestro_cli.tenants.planner_expand import TRIGGER, brief, function_name
from maestro_cli.tenants.planner_grants import give_back
from maestro_cli.tenants.planner_index import concurrent
from maestro_cli.tenants.planner_keys import restore_keys
from maestro_cli.tenants.planner_restore import restore_uniques
from maestro_cli.tenants.provenance import Found, found_by, is_older, key_of
from maestro_cli.tenants.spec import Spec, TableSpec, heirs_last
from maestro_cli.tenants.steps import Lock, LockMode, Mode, Phase, Plan, Step

_OUR_COLUMNS = frozenset(
    ("id", "name", "slug", "created_at", "is_active", "max_users", "max_projects", "max_artifacts", "meta")
)


def make_down(spec: Spec, catalog: Catalog, *, keep_tenants: bool) -> Plan:
    """Plan the way back of what is there.

    Args:
        spec: What was asked for.
        catalog: What is there.
        keep_tenants: The table of tenants holds more than the default tenant, and stays.
    """
    return Plan(
        database=catalog.database,
        schema=spec.schema,
        column=spec.column,
        tables=tuple(table.name for table in spec.tables),
        steps=tuple(_steps(spec, catalog, keep_tenants=keep_tenants)),
        proposed=spec.proposed,
    )


def obstacles(spec: Spec, catalog: Catalog) -> list[str]:
    """What stands in the way of dropping the column: policies and columns that maestro did not make."""
    older = [
        f"{spec.column} of {table.name} was there before maestro ({_unmarked(table, spec, catalog)}), and would be dropped: "
        f"take {table.name} out of tenancy.tables to keep it"
        for table in _migrated(spec, catalog)
        if is_older(table, spec, catalog)
    ]
    return older + [
        f"policy {policy.name} on {table.name} was not made by maestro: drop it first"
        for table in _migrated(spec, catalog)
        for policy in catalog.policies.get(table.name, ())
        if policy.name != POLICY
    ]


def _unmarked(table: TableSpec, spec: Spec, catalog: Catalog) -> str:
    key = key_of(table, spec, catalog)
    if key is None:
        return "it has no foreign key of maestro's"
    return f"its foreign key is {key.name}, without maestro's comment"


def _migrated(spec: Spec, catalog: Catalog) -> list[TableSpec]:
    return [table for table in spec.tables if catalog.column(table.name, spec.column) is not None]


def _steps(spec: Spec, catalog: Catalog, *, keep_tenants: bool) -> Iterator[Step]:
    tables = _migrated(spec, catalog)
    for table in tables:
        yield from restore_uniques(table, spec, catalog)
    for table in tables:
        yield from restore_keys(table.name, spec, catalog)
    for root in (spec.tenants, *(table.name for table in tables)):
        yield from give_back(root, spec, catalog)
    for table in tables:
        for member in catalog.tree(table.name):
            yield from _open(member, found_by(table, spec, catalog), spec, catalog)
    members = [
        (member.name, found.kept if (found := found_by(table, spec, catalog)) is not None else frozenset[str]())
        for table in tables
        for member in catalog.tree(table.name)
    ]
    for name, kept in members:
        yield from _composite_keys(name, kept, spec, catalog)
    for name, kept in members:
        yield from _indexes(name, kept, spec, catalog)
    for table in reversed(heirs_last(tables, catalog)):
        yield from _column(table, spec, catalog)
    if not keep_tenants and _ours(spec, catalog):
        dropped = f"DROP TABLE {spec.qualified(spec.tenants)}"
        locks = (Lock(spec.tenants, LockMode.ACCESS_EXCLUSIVE),)
        yield brief("tenants", spec.tenants, f"drop {spec.tenants}", dropped, locks=locks, phase=Phase.DOWN)


def _ours(spec: Spec, catalog: Catalog) -> bool:
    """Whether the table of tenants is as maestro makes it, and nothing else points to it."""
    tenants = catalog.tables.get(spec.tenants)
    if tenants is None or frozenset(tenants.columns) != _OUR_COLUMNS:
        return False
    names = {i.name for i in catalog.indexes.get(spec.tenants, ())}
    migrated = {table.name for table in spec.tables}
    strangers = [
        key
        for keys in catalog.constraints.values()
        for key in keys
        if key.kind == "f"
        and key.referenced == spec.tenants
        and not key.inherited
        and (key.table not in migrated or key.columns != (spec.column,))
    ]
    return unique_name(spec.tenants, ["slug"]) in names and not strangers and spec.tenants not in catalog.views


def _open(table: Table, before: Found | None, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """Row-level security off, and a default that lets old code insert again, in one moment."""
    statements = []
    if any(policy.name == POLICY for policy in catalog.policies.get(table.name, ())):
        statements.append(f"DROP POLICY IF EXISTS {POLICY} ON {spec.qualified(table.name)}")
        statements.append(f"ALTER TABLE {spec.qualified(table.name)} NO FORCE ROW LEVEL SECURITY")
        statements.append(f"ALTER TABLE {spec.qualified(table.name)} DISABLE ROW LEVEL SECURITY")
    column = table.columns[spec.column]
    alter = f"ALTER TABLE {spec.qualified(table.name)}\n    ALTER COLUMN {sql.identifier(spec.column)}"
    if before is not None:
        if column.default != before.default:
            statements.append(f"{alter} {f'SET DEFAULT {before.default}' if before.default else 'DROP DEFAULT'}")
        if column.not_null and not before.not_null:
            statements.append(f"{alter} DROP NOT NULL")
    elif column.default is None or spec.default_id not in column.default:
        statements.append(f"{alter} SET DEFAULT {spec.default}")
    if any(trigger.name == TRIGGER for trigger in catalog.triggers.get(table.name, ())):
        statements.append(f"DROP TRIGGER IF EXISTS {TRIGGER} ON {spec.qualified(table.name)}")
        statements.append(f"DROP FUNCTION IF EXISTS {spec.qualified(function_name(table.name))}()")
    if statements:
        locks = (Lock(table.name, LockMode.ACCESS_EXCLUSIVE),)
        title = "open the table to old code again"
        yield brief("open", table.name, title, *statements, locks=locks, phase=Phase.DOWN)


def _composite_keys(table: str, kept: frozenset[str], spec: Spec, catalog: Catalog) -> Iterator[Step]:
    for key in catalog.foreign_keys(table):
        if spec.column not in key.columns or key.referenced == spec.tenants or key.inherited or key.name in kept:
            continue
        dropped = f"ALTER TABLE {spec.qualified(table)}\n    DROP CONSTRAINT IF EXISTS {sql.identifier(key.name)}"
        names = dict.fromkeys((str(key.referenced), table))
        locks = tuple(Lock(name, LockMode.ACCESS_EXCLUSIVE) for name in names)
        step = brief("composite-key", table, f"drop {key.name}", dropped, locks=locks, phase=Phase.DOWN)
        yield replace(step, id=f"composite-key:{key.name}")


def _indexes(table: str, kept: frozenset[str], spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """Dropped beside the traffic: within DROP COLUMN they would be dropped under its lock."""
    for index in catalog.indexes.get(table, ()):
        if spec.column not in index.columns or index.primary or index.parent is not None or index.name in kept:
            continue
        locks = (Lock(table, LockMode.ACCESS_EXCLUSIVE),)
        if index.constraint is not None:
            dropped = (
                f"ALTER TABLE {spec.qualified(table)}\n    DROP CONSTRAINT IF EXISTS {sql.identifier(index.constraint)}"
            )
            step = brief("unique", table, f"drop {index.name}", dropped, locks=locks, phase=Phase.DOWN)
            yield replace(step, id=f"unique:{index.name}")
        elif catalog.tables[table].partitioned:
            dropped = f"DROP INDEX IF EXISTS {spec.qualified(index.name)}"
            step = brief("index", table, f"drop {index.name}", dropped, locks=locks, phase=Phase.DOWN)
            yield replace(step, id=f"index:{index.name}")
        else:
            dropped = f"DROP INDEX CONCURRENTLY IF EXISTS {spec.qualified(index.name)}"
            step = concurrent("index", table, f"drop {index.name}", dropped, builds=index.name, catalog=catalog)
            yield replace(step, phase=Phase.DOWN, mode=Mode.CONCURRENT)


def _column(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    alter = f"ALTER TABLE {spec.qualified(table.name)}\n    "
    key = key_of(table, spec, catalog)
    found = catalog.tables[table.name]
    parts = [f"DROP CONSTRAINT IF EXISTS {sql.identifier(key.name)}"] if key is not None else []
    # An inherited column can't be dropped on its own, and goes with the parent's.
    inherited = found.columns[spec.column].inherited and spec.table(str(found.parent)) is not None
    stays = found_by(table, spec, catalog) is not None
    if not inherited and not stays:
        parts.append(f"DROP COLUMN IF EXISTS {sql.identifier(spec.column)}")
    if not parts:
        return
    names = [spec.tenants, table.name] if key is not None else [table.name]
    locks = tuple(Lock(name, LockMode.ACCESS_EXCLUSIVE) for name in names)
    title = "drop the foreign key" if inherited or stays else f"drop {spec.column} and its foreign key"
    statement = alter + ",\n    ".join(parts)
    yield brief("column", table.name, title, statement, locks=locks, phase=Phase.DOWN)
