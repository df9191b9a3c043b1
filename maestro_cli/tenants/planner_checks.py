"""What stands in the way of a plan, and what an operator should know or decide before it is applied."""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.tenants.catalog import Catalog, Table
from maestro_cli.tenants.names import index_name
from maestro_cli.tenants.planner_keys import in_the_way
from maestro_cli.tenants.spec import JoinPath, Spec, TableSpec, candidates, parent_key, proposed_shared
from maestro_cli.tenants.steps import Note

_SAME = {"uuid": ("uuid",), "bigint": ("bigint",), "text": ("text", "character varying")}


def same_type(declared: str, actual: str) -> bool:
    """Whether a column's type is what `tenancy.type` says; varchar counts as text."""
    return actual.startswith(_SAME[declared])


def problems(spec: Spec, catalog: Catalog, *, contracting: bool) -> list[str]:
    """Why this can't be planned, one sentence each."""
    found = list(_tenants_problems(spec, catalog))
    for table in spec.tables:
        found += _table_problems(table, spec, catalog)
    if contracting and spec.role is not None and spec.role not in catalog.roles:
        found.append(f"tenancy.rls.role: there is no role {spec.role} (CREATE ROLE {spec.role} LOGIN …)")
    return found


def _tenants_problems(spec: Spec, catalog: Catalog) -> Iterator[str]:
    tenants = catalog.tables.get(spec.tenants)
    if tenants is None:
        return
    key = catalog.primary_key(spec.tenants)
    if len(key) != 1:
        yield f"{spec.tenants}: needs a primary key of one column to be referenced"
        return
    type_ = tenants.columns[key[0]].type
    if not same_type(spec.type, type_):
        yield f"{spec.tenants}.{key[0]} is {type_}, and tenancy.type is {spec.type}"


def _table_problems(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[str]:
    found = catalog.tables.get(table.name)
    if found is None:
        close = [name for name in catalog.tables if name.lower() == table.name.lower()]
        more = f" (there is {close[0]})" if close else ""
        yield f"tenancy.tables.{table.name}: no such table in schema {spec.schema}{more}"
        return
    yield from _kind_problems(found)
    column = found.columns.get(spec.column)
    if column is not None and not same_type(spec.type, column.type):
        yield f"{table.name}.{spec.column} is {column.type}, and tenancy.type is {spec.type}"
    for columns in table.indexes:
        unknown = [name for name in columns if name not in found.columns and name != spec.column]
        if unknown:
            yield f"tenancy.tables.{table.name}.indexes: {table.name} has no column {', '.join(unknown)}"
        clash = catalog.index(index_name(table.name, columns))
        if clash is not None and (clash.table != table.name or clash.columns != columns):
            yield f"an index {clash.name} is there already, over other columns"
    yield from _assign_problems(table, found, spec, catalog)


def _kind_problems(table: Table) -> Iterator[str]:
    if table.kind == "f":
        yield f"{table.name} is a foreign table: it can hold no foreign key"
    if table.is_partition:
        yield f"{table.name} is a partition of {table.parent}: name that table instead"
    if table.typed:
        yield f"{table.name} is a table OF a type: no column can be added to it"
    if table.row_type_used:
        yield f"the row type of {table.name} is the type of another table's column: no column can be added to it"
    if not table.owned:
        yield f"{table.name} belongs to {table.owner}, and the role of database.admin_url may not change it"


def _assign_problems(table: TableSpec, found: Table, spec: Spec, catalog: Catalog) -> Iterator[str]:
    if table.assign is None:
        return
    if not catalog.primary_key(table.name):
        yield f"{table.name} has no primary key: rows can't be assigned in batches"
    if not isinstance(table.assign, JoinPath):
        return
    if table.assign.column not in found.columns:
        yield f"tenancy.tables.{table.name}.assign: {table.name} has no column {table.assign.column}"
    parent = catalog.tables.get(table.assign.parent)
    if parent is None:
        yield f"tenancy.tables.{table.name}.assign: no such table {table.assign.parent}"
    elif parent_key(table.assign, table.name, spec, catalog) is None:
        yield f"tenancy.tables.{table.name}.assign: can't tell which column of {parent.name} is meant; add a foreign key"
    elif spec.table(parent.name) is None and spec.column not in parent.columns:
        yield f"tenancy.tables.{table.name}.assign: {parent.name} is not in tenancy.tables and has no {spec.column}"


def notes(spec: Spec, catalog: Catalog) -> Iterator[Note]:
    """What the steps don't say."""
    for table in spec.tables:
        found = catalog.tables[table.name]
        if found.partitioned:
            count = sum(1 for _ in catalog.leaves(table.name))
            yield Note("partitioned", table.name, f"{count} partitions: each index is built on one after the other")
        if spec.column not in found.columns:
            yield from _new_column_notes(table.name, catalog)
        yield from _unique_notes(table, spec, catalog)
    if any(spec.column not in catalog.tables[table.name].columns for table in spec.tables):
        message = (
            "a prepared SELECT * fails once ('cached plan must not change result type') when its table gains a column"
        )
        yield Note("prepared-statements", spec.schema, message)
    yield from _crossing_notes(spec, catalog)
    if spec.proposed:
        for name, reason in proposed_shared(spec, catalog).items():
            yield Note("proposed-shared", name, f"is left out of the proposal: {reason}")
    else:
        known = {table.name for table in spec.tables}
        for name in candidates(spec, catalog):
            if name not in known:
                yield Note("not-listed", name, "is in the schema, but neither in tenancy.tables nor in tenancy.shared")
    if catalog.unseen_replicas:
        message = f"{catalog.unseen_replicas} replica(s) whose lag this role may not see, so none is waited for: GRANT pg_monitor"
        yield Note("replicas-unseen", "pg_stat_replication", message)
    for activity in catalog.long_transactions:
        who = f"pid {activity.pid}, {activity.user}, {activity.application or 'no application name'}"
        yield Note("long-transaction", who, f"{activity.state} for {activity.age_s:.0f} s: index builds wait for it")


def _new_column_notes(table: str, catalog: Catalog) -> Iterator[Note]:
    for view in catalog.views.get(table, ()):
        yield Note("view", view, f"reads {table} and won't gain the column, even if it was written with SELECT *")
    if table in catalog.published:
        yield Note("published", table, "is in a logical publication: add the column on the subscribers first")


def _unique_notes(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Note]:
    for unique in catalog.uniques(table.name):
        if spec.column in unique.columns or unique.parent:
            continue
        columns = ", ".join(column or "…" for column in unique.columns)
        if not table.per_tenant:
            yield Note(
                "unique",
                unique.name,
                f"{table.name} ({columns}) is unique over all tenants, and tells one what another has: unique: per_tenant?",
            )
        elif keys := in_the_way(unique, spec, catalog):
            names = ", ".join(f"{key.name} on {key.table}" for key in keys[:3])
            message = f"{table.name} ({columns}) stays unique over all tenants: {names} needs it; composite_keys: true lets it go"
            yield Note("unique-needed", unique.name, message)


def _crossing_notes(spec: Spec, catalog: Catalog) -> Iterator[Note]:
    known = {table.name for table in spec.tables}
    for table in spec.tables:
        if table.composite_keys:
            continue
        for key in catalog.foreign_keys(table.name):
            if key.referenced in known and spec.column not in key.columns and not key.inherited:
                yield Note(
                    "crossing-key",
                    key.name,
                    f"{table.name} ({', '.join(key.columns)}) may point to another tenant's {key.referenced}: composite_keys: true?",
                )
