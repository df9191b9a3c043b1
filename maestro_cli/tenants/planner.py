"""From a catalog and a specification to the steps that are left. Pure: the same input gives the same plan.

The order is that of the whole database and not table by table: every table has its column before the first long step
starts, so new code can be deployed as early as possible.
"""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.errors import ConfigurationError
from maestro_cli.tenants.catalog import Catalog
from maestro_cli.tenants.planner_checks import notes, problems
from maestro_cli.tenants.planner_composite import composite_keys
from maestro_cli.tenants.planner_contract import contract
from maestro_cli.tenants.planner_expand import backfill, expand, keys_by_partition, not_null, tenants_table, validate
from maestro_cli.tenants.planner_index import indexes
from maestro_cli.tenants.planner_partitions import partition_keys
from maestro_cli.tenants.planner_uniques import per_tenant
from maestro_cli.tenants.spec import JoinPath, Spec, TableSpec, heirs_last, proposed_shared
from maestro_cli.tenants.steps import Plan, Step


def make(spec: Spec, catalog: Catalog, *, contracting: bool = False) -> Plan:
    """Plan what is left.

    Args:
        spec: What is asked for.
        catalog: What is there.
        contracting: Add the contract step: strict default, old uniques dropped, row-level security. Old code that
            does not set the tenant stops working with it.

    Raises:
        ConfigurationError: The specification does not fit the schema; every problem at once.
    """
    found = problems(spec, catalog, contracting=contracting)
    if found:
        raise ConfigurationError(
            "the tenancy in maestro.yaml does not fit the database:\n" + "\n".join(f"  - {text}" for text in found),
            hint="Correct tenancy: in maestro.yaml, then look again with: maestro migrate plan",
        )
    return Plan(
        database=catalog.database,
        schema=spec.schema,
        column=spec.column,
        tables=tuple(table.name for table in spec.tables),
        steps=tuple(_steps(spec, catalog, contracting=contracting)),
        notes=tuple(notes(spec, catalog)),
        proposed=spec.proposed,
        contract=contracting,
        shared=tuple(proposed_shared(spec, catalog)) if spec.proposed else (),
        sizes={
            table.name: (
                sum(leaf.rows for leaf in catalog.leaves(table.name)),
                sum(leaf.bytes for leaf in catalog.leaves(table.name)),
            )
            for table in spec.tables
        },
    )


def _steps(spec: Spec, catalog: Catalog, *, contracting: bool) -> Iterator[Step]:
    yield from tenants_table(spec, catalog)
    for table in heirs_last(spec.tables, catalog):
        yield from expand(table, spec, catalog)
    for table in parents_first(spec.tables):
        yield from backfill(table, spec, catalog)
    for table in spec.tables:
        yield from not_null(table, spec, catalog)
    for table in spec.tables:
        keys = partition_keys if keys_by_partition(table, catalog) else validate
        yield from keys(table, spec, catalog)
    for table in spec.tables:
        yield from indexes(table, spec, catalog)
    for table in spec.tables:
        yield from per_tenant(table, spec, catalog)
    yield from composite_keys(spec, catalog)
    if contracting:
        yield from contract(spec, catalog)


def parents_first(tables: tuple[TableSpec, ...]) -> list[TableSpec]:
    """The tables so that one that takes its tenant from another comes after it.

    Raises:
        ConfigurationError: The paths go round in a circle.
    """
    ordered: list[TableSpec] = []
    done: set[str] = set()
    left = list(tables)
    names = {table.name for table in tables}
    while left:
        ready = [
            table
            for table in left
            if not isinstance(table.assign, JoinPath) or table.assign.parent in done or table.assign.parent not in names
        ]
        if not ready:
            circle = ", ".join(sorted(table.name for table in left))
            raise ConfigurationError(
                f"tenancy.tables: the assign paths go round in a circle: {circle}",
                hint="Give one of these tables an SQL expression instead of a path.",
            )
        ordered += ready
        done |= {table.name for table in ready}
        left = [table for table in left if table.name not in done]
    return ordered
