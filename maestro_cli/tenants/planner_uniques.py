"""A unique that holds within a tenant beside each that holds over all; the old one goes in the contract step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Index
from maestro_cli.tenants.names import name, unique_name
from maestro_cli.tenants.planner_expand import brief, strong
from maestro_cli.tenants.planner_index import concurrent, drop_invalid
from maestro_cli.tenants.planner_tree import TreeUnique, build
from maestro_cli.tenants.replaced import Replaced
from maestro_cli.tenants.spec import Spec, TableSpec
from maestro_cli.tenants.steps import Phase, Step


def old_uniques(table: str, spec: Spec, catalog: Catalog) -> Iterator[tuple[Index, str]]:
    """The uniques that hold over all tenants, of the table and of its partitions alone, each with its replacement's name."""
    for member in catalog.tree(table):
        noted = {
            note.name: index.name
            for index in catalog.indexes.get(member.name, ())
            if (note := Replaced.read(index.comment)) is not None
        }
        taken = set(noted.values())
        for old in catalog.uniques(member.name):
            if spec.column in old.columns or old.parent is not None:
                continue
            new = noted.get(old.name) or replacement_name(old, spec)
            if old.name not in noted and new in taken:  # two uniques over the same columns
                new = name("uq", old.table, spec.column, old.name)
            taken.add(new)
            yield old, new


def replacement_name(old: Index, spec: Spec) -> str:
    """Name of the unique per tenant that stands for an old unique."""
    keys = old.columns[: old.key_columns]
    if old.partial or None in keys:
        return name("uq", old.table, spec.column, old.name)
    return unique_name(old.table, (spec.column, *(key for key in keys if key is not None)))


def per_tenant(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The uniques per tenant that are not there yet."""
    if not table.per_tenant:
        return
    for old, new in old_uniques(table.name, spec, catalog):
        partitioned = catalog.tables[old.table].partitioned
        yield from (_of_tree if partitioned else _of_table)(old, new, spec, catalog)


def _of_table(old: Index, new: str, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    there = catalog.index(new)
    usable = there is not None and there.valid
    if not usable:
        if there is not None:
            yield drop_invalid(there, spec, catalog)
        statement = (
            f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {sql.identifier(new)}\n"
            f"    ON {spec.qualified(old.table)} USING {_tail(old, spec)}"
        )
        yield concurrent("unique-index", old.table, f"build {new}", statement, builds=new, catalog=catalog, width=32)
    if there is None or not usable or (old.constraint and there.constraint is None) or there.comment is None:
        yield _noted(old, new, there if usable else None, spec, catalog)


def _noted(old: Index, new: str, there: Index | None, spec: Spec, catalog: Catalog) -> Step:
    """The constraint, where the old one was a constraint, and a note of what it replaces: rollback reads it."""
    replaced, quoted = Replaced.of(old, catalog), sql.identifier(new)
    statements = []
    if replaced.constraint is not None and (there is None or there.constraint is None):
        alter = f"ALTER TABLE {spec.qualified(old.table)}\n    ADD CONSTRAINT {quoted}"
        statements.append(f"{alter} UNIQUE USING INDEX {quoted}{replaced.deferring()}")
    statements.append(_comment(new, replaced, spec))
    title = f"make {new} a constraint" if replaced.constraint else f"note what {new} replaces"
    step = brief("unique", old.table, title, *statements, locks=strong(old.table), phase=Phase.INDEX)
    return replace(step, id=f"unique:{new}", builds=new)


def _of_tree(old: Index, new: str, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    replaced = Replaced.of(old, catalog)
    names, notes = {old.table: new}, {}
    for child in catalog.attached(old):
        names[child.table] = replacement_name(child, spec)
        notes[child.table] = (_comment(names[child.table], Replaced.of(child, catalog), spec),)
    for member in catalog.tree(old.table):  # a partition whose index was never attached
        names.setdefault(member.name, name("uq", member.name, spec.column, old.name))
    constraint = replaced.constraint
    if constraint is not None:
        constraint = constraint.replace("(", f"({sql.identifier(spec.column)}, ", 1)
    unique = TreeUnique(
        names=names,
        tail=_tail(old, spec),
        constraint=constraint,
        deferring=replaced.deferring(),
        afterwards=notes,
    )
    yield from build(old.table, unique, spec, catalog)
    there = catalog.index(new)
    if there is None or there.comment is None:
        noted = _comment(new, replaced, spec)
        title = f"note what {new} replaces"
        step = brief("unique", old.table, title, noted, locks=strong(old.table), phase=Phase.INDEX)
        yield replace(step, id=f"unique:{new}", builds=new)


def _comment(new: str, replaced: Replaced, spec: Spec) -> str:
    return f"COMMENT ON INDEX {spec.qualified(new)} IS {sql.literal(replaced.note())}"


def _tail(old: Index, spec: Spec) -> str:
    """The old definition behind USING, with the tenant in front of its columns."""
    method, _, rest = sql.reparsable(old.definition or "").partition(" USING ")[2].partition("(")
    return f"{method}({sql.identifier(spec.column)}, {rest}"
