"""Uniques of partitioned tables, built beside the traffic.

PostgreSQL builds no index of a partitioned table concurrently. So: an index of the parent alone, which holds nothing; one
concurrent build a partition; each is attached, and with the last one the parent's becomes valid.
https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog
from maestro_cli.tenants.planner_expand import brief, strong
from maestro_cli.tenants.planner_index import concurrent, drop_invalid
from maestro_cli.tenants.spec import Spec
from maestro_cli.tenants.steps import Phase, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeUnique:
    """A unique over a partitioned table.

    Attributes:
        names: Table or partition → name of its index.
        tail: What stands behind USING: `btree (tenant_id, slug)`.
        constraint: `UNIQUE (tenant_id, slug)`, where it is to be a constraint.
        deferring: ` DEFERRABLE INITIALLY DEFERRED`, for a constraint.
        afterwards: Table or partition → statements to run when its index is there.
        kind: What the steps are called.
        phase: Where in the migration.
    """

    names: Mapping[str, str]
    tail: str
    constraint: str | None = None
    deferring: str = ""
    afterwards: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kind: str = "unique-index"
    phase: Phase = Phase.INDEX


def build(table: str, unique: TreeUnique, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """What is left to do for the table and everything below it."""
    name = unique.names[table]
    there = catalog.index(name)
    if there is None:
        quoted, qualified = sql.identifier(name), spec.qualified(table)
        made = f"CREATE UNIQUE INDEX IF NOT EXISTS {quoted}\n    ON ONLY {qualified} USING {unique.tail}"
        if unique.constraint is not None:
            made = f"ALTER TABLE ONLY {qualified}\n    ADD CONSTRAINT {quoted} {unique.constraint}"
        step = brief(unique.kind, table, f"make {name}, empty", made, locks=strong(table), phase=unique.phase)
        yield replace(step, id=f"{unique.kind}:{name}", builds=name)
    for partition in catalog.partitions(table):
        own = unique.names[partition.name]
        found = catalog.index(own)
        if found is not None and found.parent == name and found.valid:
            continue
        if partition.partitioned:
            yield from build(partition.name, unique, spec, catalog)
        else:
            yield from _leaf(partition.name, unique, spec, catalog)
        if found is None or found.parent != name:
            yield _attached(partition.name, name, unique, spec, catalog)


def _leaf(partition: str, unique: TreeUnique, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    name = unique.names[partition]
    there = catalog.index(name)
    if there is not None and there.valid:
        return
    if there is not None:
        yield drop_invalid(there, spec, catalog)
    statement = (
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {sql.identifier(name)}\n"
        f"    ON {spec.qualified(partition)} USING {unique.tail}"
    )
    step = concurrent(unique.kind, partition, f"build {name}", statement, builds=name, catalog=catalog, width=32)
    yield replace(step, phase=unique.phase)


def _attached(partition: str, parent: str, unique: TreeUnique, spec: Spec, catalog: Catalog) -> Step:
    name = unique.names[partition]
    quoted = sql.identifier(name)
    there = catalog.index(name)
    statements = []
    leaf = not catalog.tables[partition].partitioned
    if unique.constraint is not None and leaf and (there is None or not there.valid or there.constraint is None):
        alter = f"ALTER TABLE {spec.qualified(partition)}\n    ADD CONSTRAINT {quoted}"
        statements.append(f"{alter} UNIQUE USING INDEX {quoted}{unique.deferring}")
    statements.append(f"ALTER INDEX {spec.qualified(parent)}\n    ATTACH PARTITION {spec.qualified(name)}")
    statements += unique.afterwards.get(partition, ())
    step = brief("attach", partition, f"attach {name}", *statements, locks=strong(partition), phase=unique.phase)
    return replace(step, id=f"attach:{name}", builds=name)
