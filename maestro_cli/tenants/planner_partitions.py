"""Foreign keys of partitioned tables before PostgreSQL 18, where they can't be NOT VALID.

Each partition gets its own, validated without stopping anybody; the parent's key then takes them over: PostgreSQL
attaches a partition's equal, validated key instead of checking its rows again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog
from maestro_cli.tenants.names import foreign_key_name
from maestro_cli.tenants.planner_expand import add_key, brief, online
from maestro_cli.tenants.provenance import key_of, mark, noted
from maestro_cli.tenants.spec import Spec, TableSpec
from maestro_cli.tenants.steps import Lock, LockMode, Phase, Step


def partition_keys(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The keys of the partitions, then the parent's."""
    note = mark(table, spec, catalog)
    for leaf in catalog.leaves(table.name):
        own = replace(table, name=leaf.name)
        key = key_of(own, spec, catalog)
        if key is None:
            yield _added(own, note, spec, catalog, valid=False)
        if key is None or not key.validated:
            name = key.name if key is not None else foreign_key_name(leaf.name, (spec.column,), spec.tenants)
            statement = f"ALTER TABLE {spec.qualified(leaf.name)}\n    VALIDATE CONSTRAINT {sql.identifier(name)}"
            yield online("validate", leaf.name, "validate the foreign key", statement, catalog)
    if key_of(table, spec, catalog) is None:
        yield _added(table, note, spec, catalog, valid=True)


def _added(table: TableSpec, note: str, spec: Spec, catalog: Catalog, *, valid: bool) -> Step:
    clause = add_key(table, spec, catalog)
    if valid:
        clause = clause.removesuffix(" NOT VALID")
    statement = f"ALTER TABLE {spec.qualified(table.name)}\n    {clause}"
    locks = tuple(Lock(name, LockMode.SHARE_ROW_EXCLUSIVE) for name in (spec.tenants, table.name))
    title = "take the partitions' foreign keys over" if valid else "add the foreign key"
    said = noted(table.name, note, spec)
    return brief("foreign-key", table.name, title, statement, said, locks=locks, phase=Phase.VALIDATE)
