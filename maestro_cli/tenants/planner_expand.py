"""The first half of the plan: the tenants, the column, whose row is it, NOT NULL, the validated key."""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog
from maestro_cli.tenants.names import foreign_key_name, name, unique_name
from maestro_cli.tenants.provenance import key_of, mark, noted
from maestro_cli.tenants.spec import Expression, JoinPath, Spec, TableSpec, parent_key
from maestro_cli.tenants.steps import Backfill, Lock, LockMode, Mode, Phase, Step

TRIGGER = "maestro_assign"
ROWS_PER_S = {"validate": 5_000_000, "backfill": 60_000}
"""Rough figures of one core, for the expected time only."""


def tenants_table(spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The table of tenants and the default tenant."""
    qualified = spec.qualified(spec.tenants)
    if spec.tenants not in catalog.tables:
        yield Step(
            id=f"tenants:{spec.tenants}",
            phase=Phase.EXPAND,
            mode=Mode.BRIEF,
            table=spec.tenants,
            title=f"create {spec.tenants}",
            sql=(_create_tenants(spec),),
        )
    if not catalog.default_tenant_present:
        there = catalog.tables.get(spec.tenants)
        key = catalog.primary_key(spec.tenants)[0] if there else "id"
        values = {key: spec.default, "name": sql.literal(spec.default_name), "slug": sql.literal(spec.default_slug)}
        known = {column: value for column, value in values.items() if there is None or column in there.columns}
        insert = (
            f"INSERT INTO {qualified} ({sql.columns(known)})\n"
            f"VALUES ({', '.join(known.values())})\nON CONFLICT ({sql.identifier(key)}) DO NOTHING"
        )
        yield Step(
            id=f"default-tenant:{spec.tenants}",
            phase=Phase.EXPAND,
            mode=Mode.ONLINE,
            table=spec.tenants,
            title=f"insert the default tenant, {spec.default_name}",
            sql=(insert,),
            locks=(Lock(spec.tenants, LockMode.ROW_EXCLUSIVE),),
        )


def _create_tenants(spec: Spec) -> str:
    table = spec.tenants
    return (
        f"CREATE TABLE IF NOT EXISTS {spec.qualified(table)} (\n"
        f"    id {spec.type} NOT NULL{_generated(spec.type)},\n"
        "    name text NOT NULL,\n"
        "    slug text NOT NULL,\n"
        "    created_at timestamptz NOT NULL DEFAULT now(),\n"
        "    is_active boolean NOT NULL DEFAULT true,\n"
        # 64 bits: a 32-bit limit is the next migration.
        "    max_users bigint,\n"
        "    max_projects bigint,\n"
        "    max_artifacts bigint,\n"
        "    meta jsonb,\n"
        f"    CONSTRAINT {sql.identifier(name(table, 'pkey'))} PRIMARY KEY (id),\n"
        f"    CONSTRAINT {sql.identifier(unique_name(table, ['name']))} UNIQUE (name),\n"
        f"    CONSTRAINT {sql.identifier(unique_name(table, ['slug']))} UNIQUE (slug)\n"
        ")"
    )


def _generated(type_: str) -> str:
    return " DEFAULT gen_random_uuid()" if type_ == "uuid" else ""


def strong(table: str, *others: str) -> tuple[Lock, ...]:
    """ACCESS EXCLUSIVE on the table, and SHARE ROW EXCLUSIVE on those that a new foreign key points to."""
    return (*(Lock(other, LockMode.SHARE_ROW_EXCLUSIVE) for other in others), Lock(table, LockMode.ACCESS_EXCLUSIVE))


def brief(kind: str, table: str, title: str, *statements: str, locks: tuple[Lock, ...], phase: Phase) -> Step:
    """A step that holds a strong lock for milliseconds."""
    taken = locks[-1].mode
    what = "reads and writes" if taken is LockMode.ACCESS_EXCLUSIVE else "writes"
    return Step(
        id=f"{kind}:{table}",
        phase=phase,
        mode=Mode.BRIEF,
        table=table,
        title=title,
        sql=statements,
        locks=locks,
        blocks=f"{what} of {locks[-1].table} for some ms",
    )


def expand(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The column with its default and its foreign key: metadata only, however many rows there are."""
    column = catalog.column(table.name, spec.column)
    locks = strong(table.name, spec.tenants)
    if column is None:
        added = f"ADD COLUMN IF NOT EXISTS {sql.identifier(spec.column)} {spec.type} NOT NULL DEFAULT {table.default}"
        if not keys_by_partition(table, catalog):
            added += f",\n    {add_key(table, spec, catalog)}"
        statements = [f"ALTER TABLE {spec.qualified(table.name)}\n    {added}"]
        if not keys_by_partition(table, catalog):
            statements.append(noted(table.name, mark(table, spec, catalog), spec))
        if spec.setting is not None:
            # In a statement of its own: the value of the setting in this session must not become every row's.
            statements.append(_set_default(table, spec))
        statements += _trigger(table, spec, catalog)
        yield brief(
            "column",
            table.name,
            f"add {spec.column} with its default and foreign key",
            *statements,
            locks=locks,
            phase=Phase.EXPAND,
        )
        return
    key = key_of(table, spec, catalog)
    if key is None and not keys_by_partition(table, catalog):
        # Before anything else of this column is changed: the note with the key says how it was found.
        added = f"ALTER TABLE {spec.qualified(table.name)}\n    {add_key(table, spec, catalog)}"
        note = noted(table.name, mark(table, spec, catalog), spec)
        weaker = tuple(Lock(name_, LockMode.SHARE_ROW_EXCLUSIVE) for name_ in (spec.tenants, table.name))
        yield brief("foreign-key", table.name, "add the foreign key", added, note, locks=weaker, phase=Phase.EXPAND)
    if not column.not_null and column.default is None:
        default = _set_default(table, spec)
        yield brief("default", table.name, "set the default", default, locks=strong(table.name), phase=Phase.EXPAND)
    if _assigning(table, spec, catalog) and not _has_trigger(table, catalog):
        own = (Lock(table.name, LockMode.SHARE_ROW_EXCLUSIVE),)
        title = "assign new rows as they come"
        yield brief("trigger", table.name, title, *_trigger(table, spec, catalog), locks=own, phase=Phase.EXPAND)


def keys_by_partition(table: TableSpec, catalog: Catalog) -> bool:
    """Whether the key has to be made partition by partition (see `planner_partitions`)."""
    return catalog.tables[table.name].partitioned and catalog.server_version < 180000


def _assigning(table: TableSpec, spec: Spec, catalog: Catalog) -> bool:
    """Whether rows are still to be assigned. The validated key says that it is over: it is validated after the last."""
    key = key_of(table, spec, catalog)
    return table.assign is not None and (key is None or not key.validated)


def _has_trigger(table: TableSpec, catalog: Catalog) -> bool:
    return any(trigger.name == TRIGGER for trigger in catalog.triggers.get(table.name, ()))


def add_key(table: TableSpec, spec: Spec, catalog: Catalog) -> str:
    """The clause that adds the foreign key to the tenants, not yet validated."""
    key = (catalog.primary_key(spec.tenants) or ("id",))[0]
    constraint = foreign_key_name(table.name, (spec.column,), spec.tenants)
    return (
        f"ADD CONSTRAINT {sql.identifier(constraint)} FOREIGN KEY ({sql.identifier(spec.column)})\n"
        f"    REFERENCES {spec.qualified(spec.tenants)} ({sql.identifier(key)}) ON DELETE {table.on_delete.upper()} NOT VALID"
    )


def _set_default(table: TableSpec, spec: Spec) -> str:
    default = sql.bridge_default(spec.setting, spec.type, table.default)
    return f"ALTER TABLE {spec.qualified(table.name)}\n    ALTER COLUMN {sql.identifier(spec.column)} SET DEFAULT {default}"


def assigned(table: TableSpec, spec: Spec, catalog: Catalog) -> str:
    """The tenant of a row, as an expression over the table under its own name."""
    if isinstance(table.assign, JoinPath):
        key = parent_key(table.assign, table.name, spec, catalog) or "id"
        row = f"{sql.identifier(table.name)}.{sql.identifier(table.assign.column)}"
        return (
            f"(SELECT maestro_parent.{sql.identifier(spec.column)} FROM {spec.qualified(table.assign.parent)}"
            f" AS maestro_parent WHERE maestro_parent.{sql.identifier(key)} = {row})"
        )
    if isinstance(table.assign, Expression):
        return f"({table.assign.sql})::{spec.type}"
    return table.default


def function_name(table: str) -> str:
    """Name of the function behind a table's trigger."""
    return name(TRIGGER, table)


def _trigger(table: TableSpec, spec: Spec, catalog: Catalog) -> list[str]:
    """Old code inserts behind the backfill's back; the trigger gives these rows their tenant at once."""
    if table.assign is None:
        return []
    column, row = sql.identifier(spec.column), sql.identifier(table.name)
    function = spec.qualified(function_name(table.name))
    body = (
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $maestro$\n"
        "BEGIN\n"
        f"    IF NEW.{column} IS NULL OR NEW.{column} = {table.default} THEN\n"
        f"        NEW.{column} := COALESCE((SELECT {assigned(table, spec, catalog)} FROM (SELECT NEW.*) AS {row}), NEW.{column});\n"
        "    END IF;\n"
        "    RETURN NEW;\n"
        "END $maestro$"
    )
    created = (
        f"CREATE TRIGGER {TRIGGER} BEFORE INSERT ON {spec.qualified(table.name)}\n"
        f"    FOR EACH ROW EXECUTE FUNCTION {function}()"
    )
    return [body, created]


def backfill(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """Rows that are not the default tenant's, and rows of a column that was there and nullable."""
    found = catalog.tables[table.name]
    column = found.columns.get(spec.column)
    nullable = column is not None and not column.not_null
    if not _assigning(table, spec, catalog) and not nullable:
        return
    key = catalog.primary_key(table.name)
    ours = f"{sql.identifier(table.name)}.{sql.identifier(spec.column)}"
    only = f"({ours} IS NULL OR {ours} = {table.default})" if table.assign else f"{ours} IS NULL"
    expression = assigned(table, spec, catalog)
    if nullable and table.assign is not None:
        expression = f"COALESCE({expression}, {table.default})"
    rows = sum(leaf.rows for leaf in catalog.leaves(table.name))
    yield Step(
        id=f"backfill:{table.name}",
        phase=Phase.BACKFILL,
        mode=Mode.BATCHES,
        table=table.name,
        title="assign rows to their tenants" if table.assign else "fill the empty tenants",
        sql=(),
        locks=(Lock(table.name, LockMode.ROW_EXCLUSIVE),),
        blocks="writers of the same 2,000 rows, for one batch",
        expected_s=rows / ROWS_PER_S["backfill"],
        size=found.bytes,
        disk=found.bytes,
        backfill=Backfill(
            table=table.name,
            key=key,
            key_types=tuple(found.columns[part].type for part in key),
            expression=expression,
            only=only,
        ),
    )


def not_null(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """NOT NULL for a column that was there and nullable: by a check that is validated without stopping writers."""
    column = catalog.column(table.name, spec.column)
    if column is None or column.not_null:
        return
    check = name("ck", table.name, spec.column, "not_null")
    there = next((c for c in catalog.constraints.get(table.name, ()) if c.name == check), None)
    alter = f"ALTER TABLE {spec.qualified(table.name)}\n    "
    quoted, ours = sql.identifier(check), sql.identifier(spec.column)
    if there is None:
        added = f"{alter}ADD CONSTRAINT {quoted} CHECK ({ours} IS NOT NULL) NOT VALID"
        yield brief(
            "check",
            table.name,
            "refuse empty tenants from now on",
            added,
            locks=strong(table.name),
            phase=Phase.VALIDATE,
        )
    if there is None or not there.validated:
        yield online(
            "validate-check",
            table.name,
            "check the rows that are there",
            f"{alter}VALIDATE CONSTRAINT {quoted}",
            catalog,
        )
    both = (f"{alter}ALTER COLUMN {ours} SET NOT NULL", f"{alter}DROP CONSTRAINT {quoted}")
    yield brief("not-null", table.name, "set NOT NULL", *both, locks=strong(table.name), phase=Phase.VALIDATE)


def online(kind: str, table: str, title: str, statement: str, catalog: Catalog, *, object_: str = "") -> Step:
    """A validation: SHARE UPDATE EXCLUSIVE, which stops neither readers nor writers."""
    rows = sum(leaf.rows for leaf in catalog.leaves(table))
    return Step(
        id=f"{kind}:{object_ or table}",
        phase=Phase.VALIDATE,
        mode=Mode.ONLINE,
        table=table,
        title=title,
        sql=(statement,),
        locks=(Lock(table, LockMode.SHARE_UPDATE_EXCLUSIVE),),
        expected_s=0.01 + rows / ROWS_PER_S["validate"],
        size=sum(leaf.bytes for leaf in catalog.leaves(table)),
    )


def validate(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The foreign key, checked for the rows that were there."""
    key = key_of(table, spec, catalog)
    if key is not None and key.validated:
        return
    constraint = key.name if key is not None else foreign_key_name(table.name, (spec.column,), spec.tenants)
    statement = f"ALTER TABLE {spec.qualified(table.name)}\n    VALIDATE CONSTRAINT {sql.identifier(constraint)}"
    yield online("validate", table.name, "validate the foreign key", statement, catalog)
