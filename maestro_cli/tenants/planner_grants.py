"""Privileges that row-level security does not look at: taken in the contract step, given back by the rollback.

What was taken is noted on a constraint that goes with the migration: the table's foreign key to the tenants, for the
table of tenants its primary key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Constraint
from maestro_cli.tenants.names import foreign_key_name, name
from maestro_cli.tenants.provenance import PREFIX, mark, marked
from maestro_cli.tenants.spec import Spec
from maestro_cli.tenants.steps import Mode, Phase, Step

TENANTS_DENIED = ("DELETE", "TRUNCATE")
"""What the application's role has no business doing with the table of tenants: a DELETE takes every row along."""
TABLES_DENIED = ("TRUNCATE", "TRIGGER", "REFERENCES")
"""What row-level security does not look at."""
_TOOK = "maestro: took "


def revoke(spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """Take what steps round the policies."""
    yield from _revoke(spec.tenants, [spec.tenants], TENANTS_DENIED, spec, catalog)
    for table in spec.tables:
        members = [member.name for member in catalog.tree(table.name)]
        yield from _revoke(table.name, members, TABLES_DENIED, spec, catalog)


def _revoke(root: str, members: list[str], denied: tuple[str, ...], spec: Spec, catalog: Catalog) -> Iterator[Step]:
    role = sql.identifier(str(spec.role))
    statements, taken, what = [], _noted(_holder(root, spec, catalog)), set()
    for member in members:
        too_much = [right for right in denied if right in catalog.privileges.get(member, frozenset())]
        if not too_much:
            continue
        what |= set(too_much)
        statements.append(f"REVOKE {', '.join(too_much)} ON {spec.qualified(member)} FROM {role}, PUBLIC")
        given = {(grantee, right) for grantee, right in catalog.grants.get(member, ()) if right.rstrip("*") in too_much}
        taken[member] = sorted({*taken.get(member, []), *given})
    if not statements:
        return
    holder = _holder(root, spec, catalog)
    if any(taken.values()) and (holder is None or holder.comment is None or holder.comment.startswith(PREFIX)):
        constraint = holder.name if holder is not None else _holder_name(root, spec)
        took = _TOOK + json.dumps({table: pairs for table, pairs in taken.items() if pairs}, sort_keys=True)
        whose = _whose(root, holder, spec, catalog)
        note = sql.literal(f"{whose}\n{took}" if whose else took)
        # First: were it the other way round, a kill between the two would lose what was taken.
        statements.insert(0, f"COMMENT ON CONSTRAINT {sql.identifier(constraint)} ON {spec.qualified(root)} IS {note}")
    title = f"take {', '.join(right for right in denied if right in what)} from {spec.role}"
    yield _step("revoke", root, title, statements, Phase.CONTRACT)


def give_back(root: str, spec: Spec, catalog: Catalog) -> Iterator[Step]:
    """What was taken, from the note."""
    holder = _holder(root, spec, catalog)
    taken = _noted(holder)
    if holder is None or not taken:
        return
    statements = []
    for table, pairs in sorted(taken.items()):
        for grantee, right in pairs:
            if table in catalog.tables and (not grantee or grantee in catalog.roles):
                to = sql.identifier(grantee) if grantee else "PUBLIC"
                option = " WITH GRANT OPTION" if right.endswith("*") else ""
                statements.append(f"GRANT {right.rstrip('*')} ON {spec.qualified(table)} TO {to}{option}")
    whose = _whose(root, holder, spec, catalog)
    left = sql.literal(whose) if whose else "NULL"
    statements.append(f"COMMENT ON CONSTRAINT {sql.identifier(holder.name)} ON {spec.qualified(root)} IS {left}")
    yield _step("give-back", root, "give back what the contract step took", statements, Phase.DOWN)


def _step(kind: str, table: str, title: str, statements: list[str], phase: Phase) -> Step:
    return Step(id=f"{kind}:{table}", phase=phase, mode=Mode.ONLINE, table=table, title=title, sql=tuple(statements))


def _holder(root: str, spec: Spec, catalog: Catalog) -> Constraint | None:
    if root == spec.tenants:
        return next((c for c in catalog.constraints.get(root, ()) if c.kind == "p"), None)
    return catalog.foreign_key(root, (spec.column,), spec.tenants)


def _holder_name(root: str, spec: Spec) -> str:
    return name(root, "pkey") if root == spec.tenants else foreign_key_name(root, (spec.column,), spec.tenants)


def _whose(root: str, holder: Constraint | None, spec: Spec, catalog: Catalog) -> str | None:
    """The line of the same comment that says whose the column is, also where the key is only about to be made."""
    table = spec.table(root)
    return mark(table, spec, catalog) if holder is None and table is not None else marked(holder)


def _noted(holder: Constraint | None) -> dict[str, list[tuple[str, str]]]:
    comment = (holder.comment if holder is not None else None) or ""
    line = next((line for line in comment.splitlines() if line.startswith(_TOOK)), f"{_TOOK}{{}}")
    return {table: [(pair[0], pair[1]) for pair in pairs] for table, pairs in json.loads(line[len(_TOOK) :]).items()}
