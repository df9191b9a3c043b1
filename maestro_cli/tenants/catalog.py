"""What the database looks like: typed facts out of pg_catalog, nothing decided yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    type: str
    not_null: bool
    default: str | None
    identity: bool = False
    generated: bool = False
    inherited: bool = False
    """Comes from a table that this one inherits from."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A primary key (p), unique (u), foreign key (f), check (c) or exclusion (x) constraint."""

    name: str
    kind: str
    table: str
    columns: tuple[str, ...]
    validated: bool
    referenced_schema: str | None
    referenced: str | None
    referenced_columns: tuple[str, ...]
    on_delete: str
    """`a` no action, `r` restrict, `c` cascade, `n` set null, `d` set default."""
    on_update: str
    definition: str | None
    comment: str | None
    inherited: bool
    deferrable: bool = False
    deferred: bool = False
    set_columns: tuple[str, ...] = ()
    """The columns that ON DELETE SET NULL (or DEFAULT) names; empty where it means all."""


@dataclass(frozen=True, slots=True)
class Index:
    """One index; `columns` holds None for an expression."""

    name: str
    table: str
    columns: tuple[str | None, ...]
    key_columns: int
    unique: bool
    primary: bool
    valid: bool
    ready: bool
    constraint: str | None
    partial: bool
    definition: str | None
    parent: str | None
    comment: str | None
    clustered: bool = False
    identity: bool = False
    """Whether it is the table's REPLICA IDENTITY."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One row-level security policy."""

    name: str
    table: str
    permissive: bool
    command: str
    """`*` all, `r` select, `a` insert, `w` update, `d` delete."""
    roles: tuple[str, ...]
    using: str | None
    check: str | None


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger that somebody made."""

    name: str
    table: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table: ordinary (r), partitioned (p) or foreign (f)."""

    oid: int
    name: str
    kind: str
    owner: str
    owned: bool
    """Whether the session's role may change the table."""
    rows: int
    bytes: int
    row_security: bool
    forced: bool
    is_partition: bool
    parent: str | None
    """What it is a partition of or inherits from."""
    extension: bool
    typed: bool
    row_type_used: bool
    """Another table has a column of this table's row type: no column with a default can be added."""
    columns: Mapping[str, Column]

    @property
    def partitioned(self) -> bool:
        """Whether it is a partitioned table."""
        return self.kind == "p"


@dataclass(frozen=True, slots=True)
class Activity:
    """A transaction that has been open for a while."""

    pid: int
    user: str
    application: str
    state: str
    age_s: float


@dataclass(frozen=True)
class Catalog:
    """One read of a schema."""

    schema: str
    server_version: int
    database: str
    tables: Mapping[str, Table]
    constraints: Mapping[str, tuple[Constraint, ...]]
    indexes: Mapping[str, tuple[Index, ...]]
    policies: Mapping[str, tuple[Policy, ...]]
    triggers: Mapping[str, tuple[Trigger, ...]]
    views: Mapping[str, tuple[str, ...]]
    """Table → views that read it."""
    published: frozenset[str]
    """Tables that a logical publication carries."""
    roles: frozenset[str]
    long_transactions: tuple[Activity, ...] = ()
    default_tenant_present: bool = False
    functions: frozenset[str] = field(default_factory=frozenset)
    """maestro's own trigger functions."""
    unseen_replicas: int = 0
    """Replicas whose lag this role may not see."""
    memberships: frozenset[str] = frozenset()
    """The roles whose rights the application's role has."""
    grants: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    """Table → (grantee, right) that the application's role or PUBLIC was given directly; PUBLIC is ''."""
    privileges: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Table → what the application's role may do with it; empty where no role is configured."""

    def column(self, table: str, name: str) -> Column | None:
        """A column, or None."""
        found = self.tables.get(table)
        return None if found is None else found.columns.get(name)

    def foreign_keys(self, table: str) -> Iterator[Constraint]:
        """The table's foreign keys."""
        return (c for c in self.constraints.get(table, ()) if c.kind == "f")

    def foreign_key(self, table: str, columns: tuple[str, ...], referenced: str) -> Constraint | None:
        """The foreign key over these columns to that table of the same schema, or None."""
        for key in self.foreign_keys(table):
            if (key.columns, key.referenced, key.referenced_schema) == (columns, referenced, self.schema):
                return key
        return None

    def keys_to(self, table: str) -> list[Constraint]:
        """The foreign keys that point to a table of the schema."""
        return self._keys_to.get(table, [])

    def primary_key(self, table: str) -> tuple[str, ...]:
        """The columns of its primary key; empty where there is none."""
        return next((c.columns for c in self.constraints.get(table, ()) if c.kind == "p"), ())

    def index(self, name: str) -> Index | None:
        """An index of the schema by its name."""
        return self._indexes_by_name.get(name)

    def uniques(self, table: str) -> Iterator[Index]:
        """The table's unique indexes, with or without a constraint, without the primary key's."""
        return (i for i in self.indexes.get(table, ()) if i.unique and not i.primary)

    def partitions(self, table: str) -> Iterator[Table]:
        """Its direct partitions."""
        return (t for t in self._heirs.get(table, ()) if t.is_partition)

    def attached(self, index: Index) -> Iterator[Index]:
        """The partitions' indexes that are attached to this one, at any depth."""
        for partition in self.partitions(index.table):
            for child in self.indexes.get(partition.name, ()):
                if child.parent == index.name:
                    yield child
                    yield from self.attached(child)

    @cached_property
    def _indexes_by_name(self) -> dict[str, Index]:
        return {index.name: index for found in self.indexes.values() for index in found}

    @cached_property
    def _keys_to(self) -> dict[str, list[Constraint]]:
        found: dict[str, list[Constraint]] = defaultdict(list)
        for keys in self.constraints.values():
            for key in keys:
                if key.kind == "f" and key.referenced_schema == self.schema:
                    found[str(key.referenced)].append(key)
        return found

    @cached_property
    def _heirs(self) -> dict[str, list[Table]]:
        heirs: dict[str, list[Table]] = defaultdict(list)
        for table in self.tables.values():
            if table.parent is not None:
                heirs[table.parent].append(table)
        return heirs

    def tree(self, table: str) -> Iterator[Table]:
        """The table and all its partitions: who asks a partition directly is not stopped by what guards the parent."""
        yield self.tables[table]
        for partition in self.partitions(table):
            yield from self.tree(partition.name)

    def leaves(self, table: str) -> Iterator[Table]:
        """The partitions that hold rows, at any depth; the table itself where it is not partitioned."""
        found = self.tables[table]
        if not found.partitioned:
            yield found
            return
        for partition in self.partitions(table):
            yield from self.leaves(partition.name)
