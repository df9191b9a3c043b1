"""What the contract step dropped, built again from the notes on what replaced it.

First of all on the way back: where two tenants have the same value this fails, and nothing has been undone yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Index
from maestro_cli.tenants.planner_expand import brief, strong
from maestro_cli.tenants.planner_index import concurrent, drop_invalid
from maestro_cli.tenants.planner_tree import TreeUnique, build
from maestro_cli.tenants.replaced import Replaced
from maestro_cli.tenants.spec import Spec, TableSpec
from maestro_cli.tenants.steps import Phase, Step


def restore_uniques(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The old uniques of a table, and of its partitions alone."""
    for member in catalog.tree(table.name):
        for index in catalog.indexes.get(member.name, ()):
            replaced = Replaced.read(index.comment)
            if replaced is not None and index.parent is None:
                yield from (_of_tree if member.partitioned else _of_table)(index, replaced, spec, catalog)


def _of_table(index: Index, replaced: Replaced, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    old, table = replaced.name, index.table
    there = catalog.index(old)
    whole = there is not None and there.valid
    if whole and there is not None and (replaced.constraint is None or there.constraint):
        return
    if there is not None and not there.valid:
        yield drop_invalid(there, spec, catalog)
    if not whole:
        statement = (
            f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {sql.identifier(old)}\n"
            f"    ON {spec.qualified(table)} USING {_tail(index, replaced, spec)}"
        )
        step = concurrent("restore", table, f"build {old} again", statement, builds=old, catalog=catalog)
        yield replace(step, phase=Phase.DOWN)
    quoted, statements = sql.identifier(old), []
    if replaced.constraint is not None:
        alter = f"ALTER TABLE {spec.qualified(table)}\n    ADD CONSTRAINT {quoted}"
        statements.append(f"{alter} UNIQUE USING INDEX {quoted}{replaced.deferring()}")
    yield from _finished(index, replaced, statements, spec)


def _finished(index: Index, replaced: Replaced, statements: list[str], spec: Spec) -> Iterator[Step]:
    statements = [*statements, *replaced.afterwards(index.table, spec)]
    if statements:
        title = f"make {replaced.name} what it was"
        step = brief("restored", index.table, title, *statements, locks=strong(index.table), phase=Phase.DOWN)
        yield replace(step, id=f"restored:{replaced.name}")


def _of_tree(index: Index, replaced: Replaced, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    there = catalog.index(replaced.name)
    if there is not None and there.valid:
        return
    names, afterwards = {index.table: replaced.name}, {}
    for child in catalog.attached(index):
        noted = Replaced.read(child.comment)
        if noted is not None:
            names[child.table] = noted.name
            afterwards[child.table] = tuple(noted.afterwards(child.table, spec))
    for member in catalog.tree(index.table):  # a partition that came afterwards
        names.setdefault(member.name, f"{member.name}_{replaced.name}"[:63])
    unique = TreeUnique(
        names=names,
        tail=_tail(index, replaced, spec),
        constraint=replaced.constraint,
        deferring=replaced.deferring(),
        afterwards=afterwards,
        kind="restore",
        phase=Phase.DOWN,
    )
    yield from build(index.table, unique, spec, catalog)
    yield from _finished(index, replaced, [], spec)


def _tail(index: Index, replaced: Replaced, spec: Spec) -> str:
    """What stands behind USING: the old index's own, or for a constraint the new one's without the tenant in front."""
    if replaced.index is not None:
        return sql.reparsable(replaced.index).partition(" USING ")[2]
    tail = sql.reparsable(index.definition or "").partition(" USING ")[2]
    return tail.replace(f"({sql.identifier(spec.column)}, ", "(", 1)
