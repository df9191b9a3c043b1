"""Plain foreign keys that stand in the way of dropping a unique over all tenants, where a composite one stands for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Constraint, Index
from maestro_cli.tenants.planner_composite import composite_name, crossing
from maestro_cli.tenants.planner_expand import brief, online
from maestro_cli.tenants.spec import Spec
from maestro_cli.tenants.steps import Lock, LockMode, Phase, Step

_REPLACES = "maestro: replaces keys "


def needing(old: Index, catalog: Catalog) -> list[Constraint]:
    """The foreign keys that an old unique can't go before."""
    over = frozenset(old.columns[: old.key_columns])
    keys = catalog.keys_to(old.table) if not old.partial else []
    return [key for key in keys if frozenset(key.referenced_columns) == over]


def in_the_way(old: Index, spec: Spec, catalog: Catalog) -> list[Constraint]:
    """Those of them that no composite key stands for: the old unique has to stay."""
    return [key for key in needing(old, catalog) if not _replaceable(key, spec, catalog)]


def _replaceable(key: Constraint, spec: Spec, catalog: Catalog) -> bool:
    table = spec.table(key.table)
    same = key.on_update in "acr" and (key.on_delete not in "nd" or catalog.server_version >= 150000)
    plain = key.validated and not key.inherited and not catalog.tables[key.table].partitioned
    return table is not None and table.composite_keys and crossing(key, spec) and same and plain


def drop_keys(old: Index, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The plain keys that need an old unique; a note on the composite one says what they were."""
    by_composite: dict[tuple[str, str], list[Constraint]] = {}
    for key in needing(old, catalog):
        columns = (spec.column, *key.columns)
        there = catalog.foreign_key(key.table, columns, str(key.referenced))
        name = there.name if there is not None else composite_name(key.table, key, spec)
        by_composite.setdefault((key.table, name), []).append(key)
    for (table, composite), keys in by_composite.items():
        qualified = spec.qualified(table)
        was = [{"name": key.name, "definition": key.definition, "comment": key.comment} for key in keys]
        note = sql.literal(_REPLACES + json.dumps(was))
        statements = [f"COMMENT ON CONSTRAINT {sql.identifier(composite)} ON {qualified} IS {note}"]
        drop = f"ALTER TABLE {qualified}\n    DROP CONSTRAINT IF EXISTS"
        statements += [f"{drop} {sql.identifier(key.name)}" for key in keys]
        locks = tuple(Lock(name, LockMode.ACCESS_EXCLUSIVE) for name in dict.fromkeys((old.table, table)))
        title = f"drop {', '.join(key.name for key in keys)}: {composite} stands for it"
        step = brief("drop-key", table, title, *statements, locks=locks, phase=Phase.CONTRACT)
        yield replace(step, id=f"drop-key:{composite}")


def restore_keys(table: str, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """The plain keys again, from the notes: after the uniques that they point to."""
    there = {key.name: key for key in catalog.foreign_keys(table)}
    for composite in there.values():
        comment = composite.comment or ""
        if not comment.startswith(_REPLACES):
            continue
        for was in json.loads(comment.removeprefix(_REPLACES)):
            quoted, qualified = sql.identifier(was["name"]), spec.qualified(table)
            found = there.get(was["name"])
            if found is None:
                statements = [f"ALTER TABLE {qualified}\n    ADD CONSTRAINT {quoted} {was['definition']} NOT VALID"]
                if was["comment"] is not None:
                    said = sql.literal(was["comment"])
                    statements.append(f"COMMENT ON CONSTRAINT {quoted} ON {qualified} IS {said}")
                names = dict.fromkeys((str(composite.referenced), table))
                locks = tuple(Lock(name, LockMode.SHARE_ROW_EXCLUSIVE) for name in names)
                title = f"add {was['name']} again"
                step = brief("restore-key", table, title, *statements, locks=locks, phase=Phase.DOWN)
                yield replace(step, id=f"restore-key:{was['name']}")
            if found is None or not found.validated:
                statement = f"ALTER TABLE {qualified}\n    VALIDATE CONSTRAINT {quoted}"
                step = online("validate", table, f"validate {was['name']}", statement, catalog, object_=was["name"])
                yield replace(step, phase=Phase.DOWN)
