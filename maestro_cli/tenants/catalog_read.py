"""Reading a schema in a fixed number of queries, however many tables it has."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from maestro_cli.errors import ConfigurationError
from maestro_cli.tenants.catalog import Activity, Catalog, Column, Constraint, Index, Policy, Table, Trigger
from maestro_cli.tenants.session import DatabaseError, Session
from maestro_cli.tenants.spec import Spec
from maestro_cli.tenants.sql import identifier

T = TypeVar("T")

LONG_S = 5.0
"""A transaction older than this is mentioned in the plan."""

_TABLES = """
SELECT c.oid::bigint, c.relname, c.relkind, pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE'), greatest(c.reltuples, 0)::bigint,
       CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) ELSE 0 END, c.relrowsecurity, c.relforcerowsecurity,
       c.relispartition, p.relname,
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'),
       c.reloftype <> 0,
       c.reltype IN (SELECT coalesce(nullif(ut.typelem, 0), u.atttypid) FROM pg_attribute u
                     JOIN pg_class uc ON uc.oid = u.attrelid AND uc.relkind IN ('r', 'p', 'm')
                     JOIN pg_type ut ON ut.oid = u.atttypid WHERE NOT u.attisdropped AND u.attnum > 0)
FROM pg_class c
LEFT JOIN pg_inherits h ON h.inhrelid = c.oid AND h.inhseqno = 1
LEFT JOIN pg_class p ON p.oid = h.inhparent
WHERE c.relnamespace = %s AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
ORDER BY c.relname"""

_COLUMNS = """
SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       CASE WHEN a.atthasdef THEN pg_get_expr(d.adbin, d.adrelid) END, a.attidentity <> '', a.attgenerated <> '', a.attinhcount > 0
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = %s AND c.relkind IN ('r', 'p', 'f')
ORDER BY c.relname, a.attnum"""

# Column numbers become names here and not in the server: two sub-selects a row would be most of the time.
_CONSTRAINTS = """
SELECT k.conname, k.contype, c.relname, k.conkey, k.convalidated, rn.nspname, r.relname,
       CASE WHEN k.contype = 'f' THEN
         ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(n, i)
               JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.i) ELSE '{}' END,
       k.confdeltype, k.confupdtype, CASE WHEN k.contype IN ('u', 'x', 'c', 'f') THEN pg_get_constraintdef(k.oid) END,
       e.description, k.conparentid <> 0, k.condeferrable, k.condeferred, {set_columns}
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_class r ON r.oid = k.confrelid
LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
LEFT JOIN pg_description e ON e.objoid = k.oid AND e.classoid = 'pg_constraint'::regclass AND e.objsubid = 0
WHERE c.relnamespace = %s AND k.contype IN ('p', 'u', 'f', 'c', 'x')
ORDER BY c.relname, k.conname"""

_SET_COLUMNS = "k.confdelsetcols"
"""PostgreSQL 15 and later."""

_INDEXES = """
SELECT i.relname, c.relname, x.indkey::int2[], x.indnkeyatts, x.indisunique, x.indisprimary, x.indisvalid, x.indisready,
       k.conname, x.indpred IS NOT NULL,
       CASE WHEN x.indisunique AND NOT x.indisprimary THEN pg_get_indexdef(x.indexrelid) END, p.relname, e.description,
       x.indisclustered, x.indisreplident
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class c ON c.oid = x.indrelid
LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x') AND k.conrelid = x.indrelid
LEFT JOIN pg_inherits h ON h.inhrelid = i.oid
LEFT JOIN pg_class p ON p.oid = h.inhparent
LEFT JOIN pg_description e ON e.objoid = i.oid AND e.classoid = 'pg_class'::regclass AND e.objsubid = 0
WHERE c.relnamespace = %s AND c.relkind IN ('r', 'p')
ORDER BY c.relname, i.relname"""

_POLICIES = """
SELECT p.polname, c.relname, p.polpermissive, p.polcmd,
       ARRAY(SELECT CASE WHEN r = 0 THEN 'public' ELSE pg_get_userbyid(r)::text END FROM unnest(p.polroles) r),
       pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = %s ORDER BY c.relname, p.polname"""

_TRIGGERS = """
SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = %s AND NOT t.tgisinternal AND t.tgparentid = 0 ORDER BY c.relname, t.tgname"""

_VIEWS = """
SELECT DISTINCT t.relname, n.nspname || '.' || v.relname
FROM pg_depend d
JOIN pg_rewrite r ON r.oid = d.objid
JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
JOIN pg_namespace n ON n.oid = v.relnamespace
JOIN pg_class t ON t.oid = d.refobjid AND t.relkind IN ('r', 'p')
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND t.relnamespace = %s
ORDER BY 1, 2"""

_PUBLISHED = """
SELECT DISTINCT p.tablename FROM pg_publication_tables p
WHERE p.schemaname = (SELECT nspname FROM pg_namespace WHERE oid = %s)"""

_FUNCTIONS = """
SELECT p.proname FROM pg_proc p WHERE p.pronamespace = %s AND p.proname LIKE 'maestro\\_assign\\_%%'"""

_LONG = """
SELECT pid, usename, application_name, state, extract(epoch FROM clock_timestamp() - xact_start)
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
  AND clock_timestamp() - xact_start > make_interval(secs => %s)
ORDER BY xact_start LIMIT 20"""


_PRIVILEGES = """
SELECT c.relname, array_remove(ARRAY[
         CASE WHEN has_any_column_privilege(%(role)s, c.oid, 'SELECT') THEN 'SELECT' END,
         CASE WHEN has_any_column_privilege(%(role)s, c.oid, 'INSERT') THEN 'INSERT' END,
         CASE WHEN has_any_column_privilege(%(role)s, c.oid, 'UPDATE') THEN 'UPDATE' END,
         CASE WHEN has_table_privilege(%(role)s, c.oid, 'DELETE') THEN 'DELETE' END,
         CASE WHEN has_table_privilege(%(role)s, c.oid, 'TRUNCATE') THEN 'TRUNCATE' END,
         CASE WHEN has_any_column_privilege(%(role)s, c.oid, 'REFERENCES') THEN 'REFERENCES' END,
         CASE WHEN has_table_privilege(%(role)s, c.oid, 'TRIGGER') THEN 'TRIGGER' END], NULL)
FROM pg_class c
WHERE c.relnamespace = %(schema)s AND c.relkind IN ('r', 'p', 'f')"""

_GRANTS = """
SELECT c.relname, coalesce(r.rolname, ''), a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END
FROM pg_class c CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = %(schema)s AND c.relkind IN ('r', 'p') AND (a.grantee = 0 OR r.rolname = %(role)s)
  AND a.grantee <> c.relowner"""

_MEMBERSHIPS = "SELECT rolname FROM pg_roles WHERE pg_has_role(%s, oid, 'USAGE')"

_TENANT = "SELECT EXISTS (SELECT FROM {tenants} WHERE {key} = %s::{type})"


def read_for(session: Session, spec: Spec) -> Catalog:
    """Read the schema and what depends on the specification: the default tenant, the application's role."""
    catalog = read(session, spec.schema)
    present, privileges, grants = False, {}, {}
    memberships: frozenset[str] = frozenset()
    key = catalog.primary_key(spec.tenants)
    if len(key) == 1:
        query = _TENANT.format(tenants=spec.qualified(spec.tenants), key=identifier(key[0]), type=spec.type)
        with contextlib.suppress(DatabaseError):  # a role that may not read it will hear so from its first step
            present = bool(session.execute(query, (spec.default_id,))[0][0])
    if spec.role is not None and spec.role in catalog.roles and catalog.tables:
        oid = session.execute("SELECT oid::bigint FROM pg_namespace WHERE nspname = %s", (spec.schema,))[0][0]
        memberships = frozenset(row[0] for row in session.execute(_MEMBERSHIPS, (spec.role,)))
        granted: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for table, grantee, right in session.execute(_GRANTS, {"role": spec.role, "schema": oid}):
            granted[table].add((grantee, right))
        grants = {table: frozenset(rights) for table, rights in granted.items()}
        found = session.execute(_PRIVILEGES, {"role": spec.role, "schema": oid})
        privileges = {table: frozenset(granted) for table, granted in found}
    return replace(
        catalog, default_tenant_present=present, privileges=privileges, memberships=memberships, grants=grants
    )


def read(session: Session, schema: str) -> Catalog:
    """Read the schema.

    The catalog rows of one statement agree with each other; the queries together may straddle somebody's DDL, which
    is why every step is planned anew from a fresh read when a run is repeated.
    """
    namespace = session.execute("SELECT oid::bigint FROM pg_namespace WHERE nspname = %s", (schema,))
    if not namespace:
        raise ConfigurationError(
            f"tenancy.schema: there is no schema {schema} in the database",
            hint="Correct tenancy.schema in maestro.yaml.",
        )
    oid = namespace[0][0]

    def rows(query: str) -> list[tuple[Any, ...]]:
        return session.execute(query, (oid,))

    columns: dict[str, dict[str, Column]] = defaultdict(dict)
    numbers: dict[str, dict[int, str]] = defaultdict(dict)
    for table, number, name, type_, *rest in rows(_COLUMNS):
        columns[table][name] = Column(name, type_, *rest)
        numbers[table][number] = name
    tables = {row[1]: Table(*(*row, columns[row[1]])) for row in rows(_TABLES)}
    return Catalog(
        schema=schema,
        server_version=session.server_version,
        database=session.execute("SELECT current_database()")[0][0],
        tables=tables,
        constraints=_by_table(
            Constraint(  # type: ignore[misc] # the rest is what lies between
                name,
                kind,
                table,
                _named(key, numbers[table]),
                valid,
                schema_,
                other,
                tuple(keys),
                *rest,
                set_columns=_named(emptied, numbers[table]),
            )
            for name, kind, table, key, valid, schema_, other, keys, *rest, emptied in rows(
                _CONSTRAINTS.replace("{set_columns}", _SET_COLUMNS if session.server_version >= 150000 else "NULL")
            )
        ),
        indexes=_by_table(
            Index(name, table, tuple(numbers[table].get(number) for number in key), *rest)
            for name, table, key, *rest in rows(_INDEXES)
        ),
        policies=_by_table(Policy(*_arrays(row)) for row in rows(_POLICIES)),
        triggers=_by_table(Trigger(*row) for row in rows(_TRIGGERS)),
        views=_grouped(rows(_VIEWS)),
        published=frozenset(row[0] for row in rows(_PUBLISHED)),
        roles=frozenset(row[0] for row in session.execute("SELECT rolname FROM pg_roles")),
        long_transactions=tuple(
            Activity(pid, user or "?", application or "", state or "?", float(age))
            for pid, user, application, state, age in session.execute(_LONG, (LONG_S,))
        ),
        functions=frozenset(row[0] for row in rows(_FUNCTIONS)),
        unseen_replicas=session.execute("SELECT count(*) FROM pg_stat_replication WHERE state IS NULL")[0][0],
    )


def _named(key: list[int] | None, names: dict[int, str]) -> tuple[str, ...]:
    return tuple(names[number] for number in key or () if number in names)


def _arrays(row: Iterable[Any]) -> Iterable[Any]:
    return (tuple(value) if isinstance(value, list) else value for value in row)


def _by_table(found: Iterable[T]) -> dict[str, tuple[T, ...]]:
    grouped: dict[str, list[T]] = defaultdict(list)
    for item in found:
        grouped[item.table].append(item)  # type: ignore[attr-defined] # every kind that is passed has it
    return {table: tuple(items) for table, items in grouped.items()}


def _grouped(pairs: Iterable[tuple[Any, ...]]) -> dict[str, tuple[str, ...]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for table, view in pairs:
        grouped[table].append(view)
    return {table: tuple(views) for table, views in grouped.items()}
