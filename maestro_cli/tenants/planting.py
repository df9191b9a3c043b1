"""Rows for the proof, made up to satisfy a table's constraints, or copied from a row that does."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from dataclasses import dataclass
from typing import Any

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog, Column, Constraint
from maestro_cli.tenants.session import DatabaseError, Session
from maestro_cli.tenants.spec import Spec


class Unplantable(Exception):  # noqa: N818 - an answer, not a crash
    """No row could be made; says why."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A row that was made."""

    table: str
    where: str
    """Names it by its physical place, which holds within the transaction."""
    values: dict[str, str | None]
    """Column → value as text."""


_QUOTED = re.compile(r" \((?:Failing row contains|Key ).*\)$", re.DOTALL)

_NUMBERS = {"smallint": 30_000, "integer": 2_000_000_000, "bigint": 9_000_000_000_000_000_000}
_FIXED = {
    "boolean": "false",
    "date": "current_date",
    "json": "'{}'",
    "jsonb": "'{}'",
    "bytea": "''",
    "inet": "'127.0.0.1'",
    "cidr": "'127.0.0.0/8'",
    "macaddr": "'08:00:2b:01:02:03'",
    "interval": "'0'",
    "real": "0",
    "double precision": "0",
    "money": "'0'",
    "xml": "'<a/>'",
    "tsvector": "''",
    "point": "'(0,0)'",
}


class Planter:
    """Makes tenants and rows within an open transaction.

    Args:
        session: The role that owns the tables.
        spec: Names.
        catalog: What is there.
    """

    def __init__(self, session: Session, spec: Spec, catalog: Catalog) -> None:
        self._session = session
        self._spec = spec
        self._catalog = catalog
        self._rows: dict[tuple[str, str | None, int], Planted] = {}
        self._busy: set[str] = set()
        self._copied: set[str] = set()
        self._templates: dict[str, dict[str, str | None]] = {}

    def tenants(self) -> tuple[str, str]:
        """Two new tenants' ids."""
        key = self._catalog.primary_key(self._spec.tenants)
        if not key:
            raise Unplantable(f"there is no table {self._spec.tenants}")
        made = []
        for _ in range(2):
            identity = self._identity()
            fixed = {key[0]: sql.tenant_literal(identity, self._spec.type)}
            columns, values = self._row(self._spec.tenants, None, fixed)
            self._insert(self._spec.tenants, self._statement(self._spec.tenants, columns, values))
            made.append(identity)
        return made[0], made[1]

    def _identity(self) -> str:
        if self._spec.type == "uuid":
            import uuid

            return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
        if self._spec.type == "bigint":
            return str(10**17 + secrets.randbelow(10**17))
        return f"maestro-{secrets.token_hex(8)}"

    def row(self, table: str, tenant: str | None, number: int = 0) -> Planted:
        """A row of the tenant (of nobody, for a table without the column), made once; with a number, another one.

        Raises:
            Unplantable: The database refuses what could be made up.
        """
        found = self._rows.get((table, tenant, number))
        if found is None:
            if table in self._busy:
                raise Unplantable(f"its foreign keys go round in a circle through {table}")
            self._busy.add(table)
            try:
                found = self._rows[table, tenant, number] = self._plant(table, tenant)
            finally:
                self._busy.discard(table)
        return found

    def insertion(self, table: str, tenant: str) -> str:
        """An INSERT of one more row of the tenant, with new keys."""
        return self._copying(table, tenant) if table in self._copied else self._making(table, tenant)

    def _plant(self, table: str, tenant: str | None) -> Planted:
        if self._spec.setting is not None:
            # Where the owner is subject to the policies too, it has to be this tenant to plant.
            self._session.execute("SELECT set_config(%s, %s, true)", (self._spec.setting, tenant or ""))
        try:
            return self._insert(table, self._making(table, tenant))
        except Unplantable as first:
            try:
                planted = self._insert(table, self._copying(table, tenant))
            except Unplantable:
                raise first from None
            self._copied.add(table)
            return planted

    def _insert(self, table: str, statement: str) -> Planted:
        columns = list(self._catalog.tables[table].columns)
        texts = ", ".join(f"{sql.identifier(column)}::text" for column in columns)
        self._session.execute("SAVEPOINT maestro_plant")
        try:
            rows = self._session.execute(f"{statement} RETURNING tableoid::text, ctid::text, {texts}")
        except DatabaseError as error:
            self._session.execute("ROLLBACK TO SAVEPOINT maestro_plant; RELEASE SAVEPOINT maestro_plant")
            # Without the server's detail, which quotes the row: it may be a copy of a real one.
            raise Unplantable(_QUOTED.sub("", error.message)) from None
        self._session.execute("RELEASE SAVEPOINT maestro_plant")
        if not rows:
            raise Unplantable("a rule or a trigger swallowed the row")
        place, values = rows[0][:2], rows[0][2:]
        where = f"tableoid = {place[0]} AND ctid = {sql.literal(place[1])}::tid"
        return Planted(table, where, dict(zip(columns, values, strict=True)))

    def _statement(self, table: str, columns: list[str], values: list[str]) -> str:
        if not columns:
            return f"INSERT INTO {self._spec.qualified(table)} DEFAULT VALUES"
        listed = f"({sql.columns(columns)}) OVERRIDING SYSTEM VALUE"
        return f"INSERT INTO {self._spec.qualified(table)} {listed} VALUES ({', '.join(values)})"

    def _making(self, table: str, tenant: str | None) -> str:
        fixed = self._fixed(table, tenant)
        return self._statement(table, *self._row(table, tenant, fixed))

    def _row(self, table: str, tenant: str | None, fixed: dict[str, str]) -> tuple[list[str], list[str]]:
        del tenant
        unique = self._unique_columns(table) - self._pointing(table)
        columns, values = [], []
        for column in self._catalog.tables[table].columns.values():
            if column.generated:
                continue
            value = fixed.get(column.name)
            needed = column.not_null and column.default is None and not column.identity
            if value is None and (needed or (column.name in unique and column.default is None and not column.identity)):
                value = self._made_up(column)
            if value is not None:
                columns.append(column.name)
                values.append(value)
        return columns, values

    def _copying(self, table: str, tenant: str | None) -> str:
        """A row that is there, with a new key: it satisfies checks that nobody could guess.

        Written out as values: the application's role, who is to insert it too, would not see the row to copy from.
        """
        fixed = self._fixed(table, tenant)
        unique = self._unique_columns(table)
        there = self._template(table)
        columns, values = [], []
        for column in self._catalog.tables[table].columns.values():
            if column.generated:
                continue
            columns.append(column.name)
            value = there[column.name]
            if column.name in fixed:
                values.append(fixed[column.name])
            elif column.name in unique:
                values.append(column.default or self._varied(column, value))
            else:
                values.append("NULL" if value is None else sql.literal(value))
        return self._statement(table, columns, values)

    def _template(self, table: str) -> dict[str, str | None]:
        found = self._templates.get(table)
        if found is None:
            names = list(self._catalog.tables[table].columns)
            texts = ", ".join(f"{sql.identifier(name)}::text" for name in names)
            rows = self._session.execute(f"SELECT {texts} FROM {self._spec.qualified(table)} LIMIT 1")
            if not rows:
                raise Unplantable("there is no row to copy")
            found = self._templates[table] = dict(zip(names, rows[0], strict=True))
        return found

    def _varied(self, column: Column, value: str | None) -> str:
        """Another value of the kind: a text keeps what a check may look for (`@`), any other type is made up."""
        base, _, modifier = column.type.partition("(")
        if base.strip() in {"text", "character varying", "citext"} or self._is_text_domain(column.type):
            whole = f"m{secrets.token_hex(4)}{value or ''}"
            return sql.literal(whole[: int(modifier.rstrip(")"))] if modifier else whole)
        return self._made_up(column)

    def _is_text_domain(self, type_: str) -> bool:
        query = "SELECT typtype = 'd' AND typcategory = 'S' FROM pg_type WHERE oid = %s::regtype"
        return bool(self._session.execute(query, (type_,))[0][0])

    def _unique_columns(self, table: str) -> set[str]:
        return {
            column
            for index in self._catalog.indexes.get(table, ())
            if index.unique
            for column in index.columns
            if column is not None and column != self._spec.column
        }

    def _pointing(self, table: str) -> set[str]:
        """Columns of foreign keys: what is made up for one of these points nowhere."""
        return {column for key in self._catalog.foreign_keys(table) for column in key.columns}

    def _fixed(self, table: str, tenant: str | None) -> dict[str, str]:
        """The tenant, and what the foreign keys need: a row each, for a check may ask that two differ."""
        fixed: dict[str, str] = {}
        spec, known = self._spec, self._catalog.tables[table].columns
        if tenant is not None and spec.column in known:
            fixed[spec.column] = sql.tenant_literal(tenant, spec.type)
        unique = self._unique_columns(table)
        numbers: Counter[str] = Counter()
        for key in sorted(self._catalog.foreign_keys(table), key=lambda key: -len(key.columns)):
            needed = all(known[c].not_null for c in key.columns)
            if key.referenced == spec.tenants or not (needed or unique & set(key.columns)):
                continue
            if all(column in fixed for column in key.columns):
                continue  # the same as a composite key's, which came first
            try:
                values = self._parent(key, tenant, numbers[str(key.referenced)])
            except Unplantable:
                if needed:
                    raise
                continue  # it may be empty
            numbers[str(key.referenced)] += 1
            for column, value in values.items():
                fixed.setdefault(column, value)
        return fixed

    def _parent(self, key: Constraint, tenant: str | None, number: int) -> dict[str, str]:
        parent = str(key.referenced)
        pairs = list(zip(key.columns, key.referenced_columns, strict=True))
        if key.referenced_schema == self._spec.schema and parent in self._catalog.tables:
            ours = self._spec.table(parent) is not None
            if parent == key.table:
                return {}
            if ours:
                values: dict[str, Any] = self._another(parent, tenant, number).values
                return {c: sql.literal(str(values[r])) for c, r in pairs if values[r] is not None}
        name = sql.qualified(str(key.referenced_schema), parent)
        listed = ", ".join(f"{sql.identifier(r)}::text" for _, r in pairs)
        rows = self._session.execute(f"SELECT {listed} FROM {name} LIMIT 1")
        if rows:
            return {c: sql.literal(value) for (c, _), value in zip(pairs, rows[0], strict=True) if value is not None}
        if parent not in self._catalog.tables or key.referenced_schema != self._spec.schema:
            raise Unplantable(f"{parent} is empty, and {key.name} needs a row of it")
        values = self.row(parent, None).values
        return {c: sql.literal(str(values[r])) for c, r in pairs}

    def _another(self, table: str, tenant: str | None, number: int) -> Planted:
        try:
            return self.row(table, tenant, number)
        except Unplantable:
            if number == 0:
                raise
            return self.row(table, tenant)

    def _made_up(self, column: Column) -> str:
        base, _, modifier = column.type.partition("(")
        base = base.strip()
        if column.type.endswith("[]"):
            return "'{}'"
        if base == "uuid":
            return "gen_random_uuid()"
        if base in _NUMBERS:
            return str(1 + secrets.randbelow(_NUMBERS[base] - 1))
        if base == "numeric":
            return "1"
        if base in {"text", "character varying", "character", "citext"}:
            length = int(modifier.rstrip(")")) if modifier else 40
            return sql.literal(("m" + secrets.token_hex(16))[:length])
        if base.startswith("timestamp"):
            return "now()"
        if base.startswith("time"):
            return "'12:00'"
        if column.type in _FIXED:
            return f"{_FIXED[column.type]}::{column.type}"
        return self._of_unusual_type(column)

    def _of_unusual_type(self, column: Column) -> str:
        query = (
            "SELECT t.typtype, (SELECT enumlabel FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder LIMIT 1),"
            " format_type(t.typbasetype, t.typtypmod) FROM pg_type t WHERE t.oid = %s::regtype"
        )
        kind, label, base = self._session.execute(query, (column.type,))[0]
        if kind == "e":
            return f"{sql.literal(label or '')}::{column.type}"
        if kind == "d":
            made = self._made_up(Column(column.name, base, column.not_null, None))
            return f"({made})::{column.type}"
        if kind in {"r", "m"}:
            return f"'{'empty' if kind == 'r' else '{}'}'::{column.type}"
        return "NULL"
