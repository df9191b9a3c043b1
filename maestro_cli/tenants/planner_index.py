"""Indexes, built beside the traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Index
from maestro_cli.tenants.names import index_name
from maestro_cli.tenants.planner_expand import brief, strong
from maestro_cli.tenants.spec import Spec, TableSpec
from maestro_cli.tenants.steps import Lock, LockMode, Mode, Phase, Step

ENTRIES_PER_S = 1_800_000
"""Index entries built in a second by one core, for the expected time only."""
_WIDTHS = {"uuid": 16, "bigint": 8, "integer": 4, "boolean": 1, "timestamp": 8, "date": 4, "double": 8, "real": 4}


def concurrent(
    kind: str, table: str, title: str, statement: str, *, builds: str, catalog: Catalog, width: int = 16
) -> Step:
    """An index built (or dropped) without stopping anybody; it waits for transactions that are older than itself."""
    rows = sum(leaf.rows for leaf in catalog.leaves(table))
    building = not statement.startswith("DROP")
    return Step(
        id=f"{kind}:{builds}",
        phase=Phase.INDEX,
        mode=Mode.CONCURRENT,
        table=table,
        title=title,
        sql=(statement,),
        locks=(Lock(table, LockMode.SHARE_UPDATE_EXCLUSIVE),),
        expected_s=0.02 + (rows / ENTRIES_PER_S if building else 0),
        size=sum(leaf.bytes for leaf in catalog.leaves(table)),
        disk=int(rows * (width + 12) / 0.9) if building else 0,
        builds=builds,
    )


def width_of(table: str, columns: tuple[str, ...], spec: Spec, catalog: Catalog) -> int:
    if columns == (spec.column,):
        return 0  # equal keys share one entry and a list of row pointers since PostgreSQL 13
    types = [
        catalog.tables[table].columns[c].type if c in catalog.tables[table].columns else spec.type for c in columns
    ]
    return sum(next((width for prefix, width in _WIDTHS.items() if type_.startswith(prefix)), 24) for type_ in types)


def drop_invalid(index: Index, spec: Spec, catalog: Catalog) -> Step:
    """What an interrupted build left behind: `CREATE INDEX … IF NOT EXISTS` would keep it, and nothing would use it."""
    statement = f"DROP INDEX CONCURRENTLY IF EXISTS {spec.qualified(index.name)}"
    return concurrent(
        "drop-invalid",
        index.table,
        f"drop the invalid index {index.name}",
        statement,
        builds=index.name,
        catalog=catalog,
    )


def covering(table: str, columns: tuple[str, ...], catalog: Catalog, *, unique: bool = False) -> Index | None:
    """A valid index with exactly these key columns, whatever its name."""
    for index in catalog.indexes.get(table, ()):
        keys = index.columns[: index.key_columns]
        if keys == columns and index.valid and not index.partial and (index.unique or not unique):
            return index
    return None


def indexes(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The indexes that are asked for and not there."""
    for columns in table.indexes:
        if covering(table.name, columns, catalog) is not None:
            continue
        index = index_name(table.name, columns)
        if catalog.tables[table.name].partitioned:
            yield from _partitioned(table.name, index, columns, spec, catalog)
        else:
            yield from _plain(table.name, index, columns, spec, catalog)


def _plain(table: str, index: str, columns: tuple[str, ...], spec: Spec, catalog: Catalog) -> Iterator[Step]:
    there = catalog.index(index)
    if there is not None and not there.valid:
        yield drop_invalid(there, spec, catalog)
    statement = (
        f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {sql.identifier(index)}\n"
        f"    ON {spec.qualified(table)} ({sql.columns(columns)})"
    )
    width = width_of(table, columns, spec, catalog)
    title = f"build {index}"
    yield concurrent("index", table, title, statement, builds=index, catalog=catalog, width=width)


def _partitioned(table: str, index: str, columns: tuple[str, ...], spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """No concurrent build on a partitioned table: an empty parent index, one build a partition, then attached."""
    parent = catalog.index(index)
    if parent is None:
        created = (
            f"CREATE INDEX IF NOT EXISTS {sql.identifier(index)}\n"
            f"    ON ONLY {spec.qualified(table)} ({sql.columns(columns)})"
        )
        locks = (Lock(table, LockMode.SHARE),)
        yield named(brief("index", table, f"create {index}, empty", created, locks=locks, phase=Phase.INDEX), index)
    for partition in catalog.partitions(table):
        own = index_name(partition.name, columns)
        attached = any(i.parent == index and i.valid for i in catalog.indexes.get(partition.name, ()))
        if attached:
            continue
        usable = covering(partition.name, columns, catalog)
        if usable is None and partition.partitioned:
            yield from _partitioned(partition.name, own, columns, spec, catalog)
        elif usable is None:
            yield from _plain(partition.name, own, columns, spec, catalog)
        else:
            own = usable.name
        attach = f"ALTER INDEX {spec.qualified(index)}\n    ATTACH PARTITION {spec.qualified(own)}"
        yield named(
            brief("attach", partition.name, f"attach {own}", attach, locks=strong(partition.name), phase=Phase.INDEX),
            own,
        )


def named(step: Step, index: str) -> Step:
    return replace(step, id=f"{step.id.partition(':')[0]}:{index}", builds=index)
