"""The contract step, when told to: from here on every session says whose it is.

Row-level security comes last and table by table: before it everything works as before, after it only rows of the
current tenant are there.
"""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Table
from maestro_cli.tenants.planner_expand import TRIGGER, brief, function_name, strong
from maestro_cli.tenants.planner_grants import revoke
from maestro_cli.tenants.planner_index import concurrent, named
from maestro_cli.tenants.planner_keys import drop_keys, in_the_way
from maestro_cli.tenants.planner_uniques import old_uniques
from maestro_cli.tenants.policies import complete
from maestro_cli.tenants.spec import Spec, TableSpec
from maestro_cli.tenants.steps import Phase, Step

POLICY = "maestro_tenant"


def contract(spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """Strict defaults, old uniques away, privileges that step round the policies away, row-level security last."""
    for table in spec.tables:
        yield from _strict(table, spec, catalog)
    for table in spec.tables:
        yield from _drop_old_uniques(table, spec, catalog)
    if spec.role is None:
        return
    yield from revoke(spec, catalog)
    for table in spec.tables:
        for member in catalog.tree(table.name):
            yield from _row_security(member, spec, catalog)


def contract_begun(spec: Spec, catalog: Catalog) -> bool:
    """Whether row-level security is on for a table already."""
    return any(table.name in catalog.tables and catalog.tables[table.name].row_security for table in spec.tables)


def is_strict(default: str | None, spec: Spec) -> bool:
    """Whether a column's default is the current tenant and nothing else (as pg_get_expr writes it)."""
    if spec.setting is None:
        return default is None
    return default is not None and f"current_setting('{spec.setting}'" in default and "COALESCE" not in default.upper()


def strict_default(spec: Spec) -> str:
    """What the column's default becomes: the current tenant, or none."""
    if spec.setting is None:
        return "DROP DEFAULT"
    return f"SET DEFAULT {sql.current_tenant(spec.setting, spec.type)}"


def _strict(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    column = catalog.column(table.name, spec.column)
    statements = []
    if column is None or not is_strict(column.default, spec):
        alter = f"ALTER TABLE {spec.qualified(table.name)}\n    ALTER COLUMN {sql.identifier(spec.column)}"
        statements.append(f"{alter} {strict_default(spec)}")
    has_trigger = any(trigger.name == TRIGGER for trigger in catalog.triggers.get(table.name, ()))
    if has_trigger or (column is None and table.assign is not None):
        statements.append(f"DROP TRIGGER IF EXISTS {TRIGGER} ON {spec.qualified(table.name)}")
        statements.append(f"DROP FUNCTION IF EXISTS {spec.qualified(function_name(table.name))}()")
    if statements:
        title = "no tenant, no row: the default is the current tenant" if spec.setting else "no default any more"
        yield brief("strict", table.name, title, *statements, locks=strong(table.name), phase=Phase.CONTRACT)


def _drop_old_uniques(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The old uniques that a unique per tenant stands for and that no foreign key needs."""
    if not table.per_tenant:
        return
    for old, new in old_uniques(table.name, spec, catalog):
        if in_the_way(old, spec, catalog):
            continue
        yield from drop_keys(old, spec, catalog)
        title = f"drop {old.name}: {new} stands for it"
        qualified = spec.qualified(old.table)
        if old.identity:
            # Without an identity an UPDATE of a published table is refused.
            moved = f"ALTER TABLE {qualified} REPLICA IDENTITY USING INDEX {sql.identifier(new)}"
            step = brief(
                "identity", old.table, f"REPLICA IDENTITY: {new}", moved, locks=strong(old.table), phase=Phase.CONTRACT
            )
            yield named(step, new)
        if old.constraint is not None:
            dropped = f"ALTER TABLE {qualified}\n    DROP CONSTRAINT IF EXISTS {sql.identifier(old.constraint)}"
        elif catalog.tables[old.table].partitioned:
            dropped = f"DROP INDEX IF EXISTS {spec.qualified(old.name)}"
        else:
            dropped = f"DROP INDEX CONCURRENTLY IF EXISTS {spec.qualified(old.name)}"
            yield concurrent("drop-unique", old.table, title, dropped, builds=old.name, catalog=catalog)
            continue
        step = brief("drop-unique", old.table, title, dropped, locks=strong(old.table), phase=Phase.CONTRACT)
        yield named(step, old.name)


def policy(table: str, spec: Spec) -> str:
    """The policy: a row is there for its tenant only, to be read as to be written."""
    # The sub-select makes the setting be read once a statement and not once a row.
    mine = f"{sql.identifier(spec.column)} = (SELECT {sql.current_tenant(str(spec.setting), spec.type)})"
    return f"CREATE POLICY {POLICY} ON {spec.qualified(table)}\n    USING ({mine})\n    WITH CHECK ({mine})"


def _row_security(table: Table, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    statements = []
    ours = any(p.name == POLICY for p in catalog.policies.get(table.name, ()))
    if not ours and not complete(table.name, spec, catalog):
        statements.append(policy(table.name, spec))
    if not table.row_security or not table.forced:
        statements.append(f"ALTER TABLE {spec.qualified(table.name)} ENABLE ROW LEVEL SECURITY")
        statements.append(f"ALTER TABLE {spec.qualified(table.name)} FORCE ROW LEVEL SECURITY")
    if statements:
        title = "row-level security: only the current tenant's rows are there"
        yield brief("rls", table.name, title, *statements, locks=strong(table.name), phase=Phase.CONTRACT)
