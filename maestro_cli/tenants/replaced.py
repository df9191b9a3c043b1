"""The note on a unique per tenant about what it stands for: the rollback builds that again from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Constraint, Index
from maestro_cli.tenants.spec import Spec

REPLACES = "maestro: replaces "
_WITH = "\nmaestro: with "
_DEFERRING = re.compile(r" (?:NOT )?DEFERRABLE\b.*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Replaced:
    """A unique that held over all tenants.

    Attributes:
        name: Of the index, and of the constraint where it was one.
        constraint: `UNIQUE (…) …` where it was a constraint.
        index: `CREATE UNIQUE INDEX …` where it was not.
        more: What a definition does not hold: comments, CLUSTER, REPLICA IDENTITY.
    """

    name: str
    constraint: str | None
    index: str | None
    more: dict[str, Any]

    @classmethod
    def of(cls, old: Index, catalog: Catalog) -> Self:
        """What is to be known of a unique that is there."""
        constraint = constraint_of(old, catalog)
        more: dict[str, Any] = {}
        if old.comment is not None:
            more["comment"] = old.comment
        if constraint is not None and constraint.comment is not None:
            more["constraint_comment"] = constraint.comment
        if old.clustered:
            more["clustered"] = True
        if old.identity:
            more["identity"] = True
        definition = None if constraint is None else constraint.definition
        return cls(old.name, definition, None if constraint else old.definition, more)

    @classmethod
    def read(cls, comment: str | None) -> Self | None:
        """What an index's comment says; None where it is no note of ours."""
        if comment is None or not comment.startswith(REPLACES):
            return None
        text, _, more = comment.removeprefix(REPLACES).partition(_WITH)
        kind, _, rest = text.partition(" ")
        found = re.match(r'"(?:[^"]|"")+"|\S+', rest if kind == "constraint" else rest.partition(" INDEX ")[2])
        quoted = found.group(0) if found else rest
        name = quoted[1:-1].replace('""', '"') if quoted.startswith('"') else quoted
        definition = rest[len(quoted) :].strip()
        return cls(
            name,
            definition if kind == "constraint" else None,
            rest if kind == "index" else None,
            json.loads(more) if more else {},
        )

    def note(self) -> str:
        """The comment that `read` reads."""
        what = f"constraint {sql.identifier(self.name)} {self.constraint}" if self.constraint else f"index {self.index}"
        more = _WITH + json.dumps(self.more, sort_keys=True) if self.more else ""
        return f"{REPLACES}{what}{more}"

    def deferring(self) -> str:
        """What stands behind a constraint: ` DEFERRABLE INITIALLY DEFERRED`."""
        found = _DEFERRING.search(self.constraint or "")
        return "" if found is None or found.group(0).startswith(" NOT") else found.group(0)

    def afterwards(self, table: str, spec: Spec) -> Iterator[str]:
        """Statements that give the index, built again, what its definition does not hold."""
        qualified, quoted = spec.qualified(table), sql.identifier(self.name)
        if "comment" in self.more:
            yield f"COMMENT ON INDEX {spec.qualified(self.name)} IS {sql.literal(self.more['comment'])}"
        if "constraint_comment" in self.more:
            yield f"COMMENT ON CONSTRAINT {quoted} ON {qualified} IS {sql.literal(self.more['constraint_comment'])}"
        if self.more.get("clustered"):
            yield f"ALTER TABLE {qualified} CLUSTER ON {quoted}"
        if self.more.get("identity"):
            yield f"ALTER TABLE {qualified} REPLICA IDENTITY USING INDEX {quoted}"


def constraint_of(index: Index, catalog: Catalog) -> Constraint | None:
    """The unique constraint that an index belongs to."""
    if index.constraint is None:
        return None
    found = catalog.constraints.get(index.table, ())
    return next((c for c in found if c.name == index.constraint and c.kind == "u"), None)
