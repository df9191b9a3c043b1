"""Foreign keys that can't point to another tenant's row: (tenant, parent) beside (parent)."""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Constraint
from maestro_cli.tenants.names import foreign_key_name, unique_name
from maestro_cli.tenants.planner_expand import brief, online
from maestro_cli.tenants.planner_index import concurrent, drop_invalid, named, width_of
from maestro_cli.tenants.planner_tree import TreeUnique, build
from maestro_cli.tenants.spec import Spec
from maestro_cli.tenants.steps import Lock, LockMode, Phase, Step

_ACTIONS = {"c": "CASCADE", "r": "RESTRICT", "a": "NO ACTION", "n": "SET NULL", "d": "SET DEFAULT"}


def crossing(key: Constraint, spec: Spec) -> bool:
    """Whether a foreign key lets a row of one tenant point to a row of another."""
    return (
        key.referenced_schema == spec.schema
        and spec.table(str(key.referenced)) is not None
        and spec.column not in key.columns
    )


def crossing_keys(table: str, spec: Spec, catalog: Catalog) -> Iterator[Constraint]:
    """The table's own keys that cross, and those that only a partition of it has; one of those that say the same."""
    for member in catalog.tree(table):
        seen = set()
        for key in catalog.foreign_keys(member.name):
            what = (key.columns, key.referenced, key.referenced_columns)
            if crossing(key, spec) and not key.inherited and what not in seen:
                seen.add(what)
                yield key


def composite_keys(spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """What the composite keys point to, then the keys."""
    wanted = [key for table in spec.tables if table.composite_keys for key in crossing_keys(table.name, spec, catalog)]
    parents: dict[str, tuple[str, tuple[str, ...]]] = {}
    for key in wanted:
        columns = (spec.column, *key.referenced_columns)
        if not _unique_over(str(key.referenced), columns, catalog):
            parents.setdefault(unique_name(str(key.referenced), columns), (str(key.referenced), columns))
    for unique, (parent, columns) in parents.items():
        yield from _parent(unique, parent, columns, spec, catalog)
    for key in wanted:
        yield from _composite(key, spec, catalog)


def _parent(unique: str, parent: str, columns: tuple[str, ...], spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The unique that a composite key points to."""
    if catalog.tables[parent].partitioned:
        names = {member.name: unique_name(member.name, columns) for member in catalog.tree(parent)}
        yield from build(parent, TreeUnique(names=names, tail=f"btree ({sql.columns(columns)})"), spec, catalog)
        return
    there = catalog.index(unique)
    if there is not None:
        yield drop_invalid(there, spec, catalog)
    statement = (
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {sql.identifier(unique)}\n"
        f"    ON {spec.qualified(parent)} ({sql.columns(columns)})"
    )
    width = width_of(parent, columns, spec, catalog)
    yield concurrent("unique-index", parent, f"build {unique}", statement, builds=unique, catalog=catalog, width=width)


def _unique_over(table: str, columns: tuple[str, ...], catalog: Catalog) -> bool:
    return any(
        i.unique and i.valid and not i.partial and i.columns[: i.key_columns] == columns
        for i in catalog.indexes.get(table, ())
    )


def _composite(key: Constraint, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The key; where the table is partitioned and PostgreSQL older than 18, first each partition's own.

    There a partitioned table's key can't be NOT VALID; equal, validated keys of the partitions are taken over by it.
    """
    columns = (spec.column, *key.columns)
    by_partition = catalog.tables[key.table].partitioned and catalog.server_version < 180000
    members = [leaf.name for leaf in catalog.leaves(key.table)] if by_partition else [key.table]
    for table in members:
        there = catalog.foreign_key(table, columns, str(key.referenced))
        if there is None:
            yield _added(table, key, spec, catalog, valid=False)
        if there is None or not there.validated:
            name = there.name if there is not None else composite_name(table, key, spec)
            validated = f"ALTER TABLE {spec.qualified(table)}\n    VALIDATE CONSTRAINT {sql.identifier(name)}"
            yield online("validate", table, f"validate {name}", validated, catalog, object_=name)
    if by_partition and catalog.foreign_key(key.table, columns, str(key.referenced)) is None:
        yield _added(key.table, key, spec, catalog, valid=True)


def composite_name(table: str, key: Constraint, spec: Spec) -> str:
    """Name of the composite key for a plain one."""
    return foreign_key_name(table, (spec.column, *key.columns), str(key.referenced))


def _added(table: str, key: Constraint, spec: Spec, catalog: Catalog, *, valid: bool) -> Step:
    parent, name = str(key.referenced), composite_name(table, key, spec)
    added = (
        f"ALTER TABLE {spec.qualified(table)}\n"
        f"    ADD CONSTRAINT {sql.identifier(name)} FOREIGN KEY ({sql.columns((spec.column, *key.columns))})\n"
        f"    REFERENCES {spec.qualified(parent)} ({sql.columns((spec.column, *key.referenced_columns))})"
        f"{_behaviour(key, catalog)}{'' if valid else ' NOT VALID'}"
    )
    locks = tuple(Lock(locked, LockMode.SHARE_ROW_EXCLUSIVE) for locked in dict.fromkeys((parent, table)))
    return named(brief("composite-key", table, f"add {name}", added, locks=locks, phase=Phase.INDEX), name)


def _behaviour(key: Constraint, catalog: Catalog) -> str:
    """The actions and the deferring of the plain key, as far as the tenant of the row stays what it is."""
    updating = " ON UPDATE CASCADE" if key.on_update == "c" else ""
    late = key.on_update in "nd"
    action = _ACTIONS[key.on_delete]
    if key.on_delete in "nd":
        if catalog.server_version >= 150000:
            action += f" ({sql.columns(key.set_columns or key.columns)})"
        else:  # no list of columns: the plain key empties the column, and this one looks at it when it is over
            action, late = "NO ACTION", True
    deferring = " DEFERRABLE" if key.deferrable or late else ""
    deferring += " INITIALLY DEFERRED" if key.deferred or late else ""
    return f"{updating} ON DELETE {action}{deferring}"
