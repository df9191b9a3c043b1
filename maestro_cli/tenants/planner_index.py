"""Indexes, uniques per tenant and composite foreign keys: everything that is built beside the traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Constraint, Index
from maestro_cli.tenants.names import foreign_key_name, index_name, name, unique_name
from maestro_cli.tenants.planner_expand import brief, online, strong
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


def _width(table: str, columns: tuple[str, ...], spec: Spec, catalog: Catalog) -> int:
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
    width = _width(table, columns, spec, catalog)
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
        yield _named(brief("index", table, f"create {index}, empty", created, locks=locks, phase=Phase.INDEX), index)
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
        yield _named(
            brief("attach", partition.name, f"attach {own}", attach, locks=strong(partition.name), phase=Phase.INDEX),
            own,
        )


def _named(step: Step, index: str) -> Step:
    return replace(step, id=f"{step.id.partition(':')[0]}:{index}", builds=index)


def per_tenant(table: TableSpec, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """A unique that holds within a tenant beside each that holds over all; the old one goes in the contract step."""
    if not table.per_tenant or catalog.tables[table.name].partitioned:
        return
    for old in catalog.uniques(table.name):
        if spec.column in old.columns:
            continue
        new = replacement_name(old, spec)
        there = catalog.index(new)
        if there is None or not there.valid:
            if there is not None:
                yield drop_invalid(there, spec, catalog)
            yield concurrent(
                "unique-index",
                table.name,
                f"build {new}",
                _replacement(old, new, spec),
                builds=new,
                catalog=catalog,
                width=32,
            )
        if there is None or not there.valid or (old.constraint and there.constraint is None) or there.comment is None:
            yield _named(_attach_unique(old, new, there, spec, catalog), new)


def replacement_name(old: Index, spec: Spec) -> str:
    """Name of the unique per tenant that stands for an old unique."""
    keys = old.columns[: old.key_columns]
    if old.partial or None in keys:
        return name("uq", old.table, spec.column, old.name)
    return unique_name(old.table, (spec.column, *(key for key in keys if key is not None)))


def _replacement(old: Index, new: str, spec: Spec) -> str:
    definition = old.definition or ""
    head, _, tail = definition.partition(" USING ")
    del head
    method, _, rest = tail.partition("(")
    return (
        f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {sql.identifier(new)}\n"
        f"    ON {spec.qualified(old.table)} USING {method}({sql.identifier(spec.column)}, {rest}"
    )


REPLACES = "maestro: replaces "


def _attach_unique(old: Index, new: str, there: Index | None, spec: Spec, catalog: Catalog) -> Step:
    """The constraint, where the old one was a constraint, and a note of what it replaces: rollback reads it."""
    table, quoted = spec.qualified(old.table), sql.identifier(new)
    constraint = next(
        (c for c in catalog.constraints.get(old.table, ()) if c.name == old.constraint and c.kind == "u"), None
    )
    statements = []
    if constraint is not None:
        if there is None or there.constraint is None or not there.valid:
            statements.append(
                f"ALTER TABLE {table}\n    ADD CONSTRAINT {quoted} UNIQUE USING INDEX {quoted}{_deferring(constraint)}"
            )
        was = f"{REPLACES}constraint {sql.identifier(constraint.name)} {constraint.definition}"
    else:
        was = f"{REPLACES}index {old.definition}"
    statements.append(f"COMMENT ON INDEX {spec.qualified(new)} IS {sql.literal(was)}")
    title = f"make {new} a constraint" if constraint else f"note what {new} replaces"
    return brief("unique", old.table, title, *statements, locks=strong(old.table), phase=Phase.INDEX)


def _deferring(constraint: Constraint) -> str:
    definition = constraint.definition or ""
    if "DEFERRABLE" not in definition or "NOT DEFERRABLE" in definition:
        return ""
    return " DEFERRABLE INITIALLY DEFERRED" if "INITIALLY DEFERRED" in definition else " DEFERRABLE"


def composite_keys(spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """Foreign keys that can't point to another tenant's row: (tenant, parent) instead of (parent)."""
    wanted = [
        (table, key)
        for table in spec.tables
        if table.composite_keys
        for key in catalog.foreign_keys(table.name)
        if crossing(key, spec) and not key.inherited
    ]
    parents: dict[str, tuple[str, tuple[str, ...]]] = {}
    for _, key in wanted:
        if not _unique_over(str(key.referenced), (spec.column, *key.referenced_columns), catalog):
            columns = (spec.column, *key.referenced_columns)
            parents.setdefault(unique_name(str(key.referenced), columns), (str(key.referenced), columns))
    for unique, (parent, columns) in parents.items():
        there = catalog.index(unique)
        if there is not None:
            yield drop_invalid(there, spec, catalog)
        statement = (
            f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {sql.identifier(unique)}\n"
            f"    ON {spec.qualified(parent)} ({sql.columns(columns)})"
        )
        width = _width(parent, columns, spec, catalog)
        yield concurrent(
            "unique-index", parent, f"build {unique}", statement, builds=unique, catalog=catalog, width=width
        )
    for table, key in wanted:
        yield from _composite(table.name, key, spec, catalog)


def crossing(key: Constraint, spec: Spec) -> bool:
    """Whether a foreign key lets a row of one tenant point to a row of another."""
    return (
        key.referenced_schema == spec.schema
        and spec.table(str(key.referenced)) is not None
        and spec.column not in key.columns
    )


def _unique_over(table: str, columns: tuple[str, ...], catalog: Catalog) -> bool:
    return any(
        i.unique and i.valid and not i.partial and i.columns[: i.key_columns] == columns
        for i in catalog.indexes.get(table, ())
    )


_ACTIONS = {"c": "CASCADE", "r": "RESTRICT", "a": "NO ACTION", "n": "SET NULL", "d": "SET DEFAULT"}


def _composite(table: str, key: Constraint, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    parent = str(key.referenced)
    columns = (spec.column, *key.columns)
    there = catalog.foreign_key(table, columns, parent)
    if there is not None and there.validated:
        return
    constraint = there.name if there else foreign_key_name(table, columns, parent)
    alter = f"ALTER TABLE {spec.qualified(table)}\n    "
    quoted = sql.identifier(constraint)
    if there is None:
        action = _ACTIONS[key.on_delete]
        if key.on_delete in "nd":
            action += f" ({sql.columns(key.columns)})"  # the tenant of the row stays; PostgreSQL 15 and later
        added = (
            f"{alter}ADD CONSTRAINT {quoted} FOREIGN KEY ({sql.columns(columns)})\n"
            f"    REFERENCES {spec.qualified(parent)} ({sql.columns((spec.column, *key.referenced_columns))})"
            f" ON DELETE {action} NOT VALID"
        )
        locks = tuple(Lock(name_, LockMode.SHARE_ROW_EXCLUSIVE) for name_ in dict.fromkeys((parent, table)))
        yield _named(
            brief("composite-key", table, f"add {constraint}", added, locks=locks, phase=Phase.INDEX), constraint
        )
    validated = f"{alter}VALIDATE CONSTRAINT {quoted}"
    yield online("validate", table, f"validate {constraint}", validated, catalog, object_=constraint)
