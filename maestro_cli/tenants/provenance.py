"""Whose a tenant column is: noted on the foreign key that maestro gives it, so that the way back drops no column that it found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Constraint
from maestro_cli.tenants.names import foreign_key_name
from maestro_cli.tenants.spec import Spec, TableSpec

PREFIX = "maestro: "
_ADDED = "maestro: added "
_FOUND = "maestro: found "


@dataclass(frozen=True, slots=True)
class Found:
    """A column that was there before maestro, as it was.

    Attributes:
        not_null: Whether it refused NULL.
        default: Its default as SQL; None where it had none.
        kept: Names of the indexes and constraints that hold it.
    """

    not_null: bool
    default: str | None
    kept: frozenset[str]


def key_of(table: TableSpec, spec: Spec, catalog: Catalog) -> Constraint | None:
    """The table's foreign key to the tenants, whatever its name."""
    return catalog.foreign_key(table.name, (spec.column,), spec.tenants)


def mark(table: TableSpec, spec: Spec, catalog: Catalog) -> str:
    """What the comment of the key that is about to be made says."""
    column = catalog.column(table.name, spec.column)
    if column is None or _comes_along(table, spec, catalog) or _begun(table, catalog):
        return _ADDED + spec.column
    indexes = (index.name for index in catalog.indexes.get(table.name, ()) if spec.column in index.columns)
    keys = (key.name for key in catalog.constraints.get(table.name, ()) if spec.column in key.columns)
    state: dict[str, Any] = {"not_null": column.not_null, "default": column.default, "kept": sorted({*indexes, *keys})}
    return f"{_FOUND}{spec.column} {json.dumps(state, sort_keys=True)}"


def noted(table: str, note: str, spec: Spec) -> str:
    """The statement that notes it on the table's own key, for the same transaction as the key's."""
    constraint = sql.identifier(foreign_key_name(table, (spec.column,), spec.tenants))
    return f"COMMENT ON CONSTRAINT {constraint} ON {spec.qualified(table)} IS {sql.literal(note)}"


def marked(key: Constraint | None) -> str | None:
    """The line of a key's comment that says it; None where no line does."""
    lines = ((key.comment if key is not None else None) or "").splitlines()
    return next((line for line in lines if line.startswith((_ADDED, _FOUND))), None)


def found_by(table: TableSpec, spec: Spec, catalog: Catalog) -> Found | None:
    """The state before maestro of a column that it found; None for one that it added, or that nothing is noted about."""
    line = marked(key_of(table, spec, catalog))
    if line is None or not line.startswith(_FOUND):
        return None
    state = json.loads(line.removeprefix(f"{_FOUND}{spec.column} "))
    return Found(bool(state["not_null"]), state["default"], frozenset(state["kept"]))


def is_older(table: TableSpec, spec: Spec, catalog: Catalog) -> bool:
    """Whether nothing says that maestro gave the table its column or its key."""
    key = key_of(table, spec, catalog)
    if key is not None and key.inherited:
        return False
    if key is None and (_comes_along(table, spec, catalog) or catalog.tables[table.name].partitioned):
        return False  # a migration that was interrupted: the key of a partitioned table comes late
    return marked(key) is None


def _comes_along(table: TableSpec, spec: Spec, catalog: Catalog) -> bool:
    """Whether the column is inherited from a table that is migrated as well."""
    column = catalog.column(table.name, spec.column)
    parent = catalog.tables[table.name].parent
    return column is not None and column.inherited and parent is not None and spec.table(str(parent)) is not None


def _begun(table: TableSpec, catalog: Catalog) -> bool:
    """Whether keys of its partitions say that an earlier, interrupted run added the column."""
    if not catalog.tables[table.name].partitioned:
        return False
    lines = (marked(key) for leaf in catalog.leaves(table.name) for key in catalog.foreign_keys(leaf.name))
    return any(line is not None and line.startswith(_ADDED) for line in lines)
