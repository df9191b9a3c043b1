"""Tables beside the tenants' own: copies and heirs that hold tenants' rows, keys that tell, keys that are switched off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from maestro_cli.tenants.catalog import Catalog
from maestro_cli.tenants.findings import Finding, Severity
from maestro_cli.tenants.policies import is_tied
from maestro_cli.tenants.session import Session
from maestro_cli.tenants.spec import Spec, proposed_shared

_MAY = """(has_any_column_privilege(%(role)s, c.oid, 'SELECT') OR has_any_column_privilege(%(role)s, c.oid, 'INSERT')
  OR has_any_column_privilege(%(role)s, c.oid, 'UPDATE') OR has_table_privilege(%(role)s, c.oid, 'DELETE'))"""

GUARDS = """c.relrowsecurity, ARRAY(SELECT coalesce(pg_get_expr(p.polqual, p.polrelid), 'true') FROM pg_policy p
    WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('*', 'r')
      AND (0 = ANY (p.polroles) OR EXISTS (SELECT FROM unnest(p.polroles) u (r) WHERE u.r <> 0 AND pg_has_role(%(role)s, u.r, 'USAGE'))))"""

# Every table with the tenant's column (inherited or copied), in any schema.
_WITH_TENANT = f"""
SELECT n.nspname, c.relname, pn.nspname, p.relname, {GUARDS}
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %(column)s AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_inherits h ON h.inhrelid = c.oid AND h.inhseqno = 1
LEFT JOIN pg_class p ON p.oid = h.inhparent LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND n.nspname NOT LIKE 'pg\\_temp%%' AND {_MAY}
ORDER BY 1, 2"""

_KEYS = """
SELECT n.nspname, c.relname, k.conname, t.relname, k.confdeltype,
       has_any_column_privilege(%(role)s, c.oid, 'INSERT') OR has_any_column_privilege(%(role)s, c.oid, 'UPDATE'),
       has_table_privilege(%(role)s, t.oid, 'DELETE'), tn.nspname
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
  AND ((tn.nspname = %(schema)s AND t.relname = ANY (%(tables)s)) <> (n.nspname = %(schema)s AND c.relname = ANY (%(tables)s)))
ORDER BY 1, 2, 3"""

_OFF = """
SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s) AND t.tgisinternal AND t.tgenabled = 'D' ORDER BY 1"""


def other_tables(session: Session, spec: Spec, catalog: Catalog, parameters: dict[str, Any]) -> Iterator[Finding]:
    """What leaks beside the tables of the tenancy."""
    yield from _with_tenant(session, spec, catalog, parameters)
    yield from _keys(session, spec, catalog, parameters)
    for (table,) in session.execute(_OFF, parameters):
        message = "its foreign keys are switched off: a row may point to another tenant's"
        yield Finding("keys-off", table, message, fix=f"ALTER TABLE {spec.qualified(table)} ENABLE TRIGGER ALL")


def guarded(row_security: bool, policies: list[str], spec: Spec) -> bool:
    """Whether policies that apply to the role let it read the current tenant's rows only."""
    return row_security and all(is_tied(text, spec) for text in policies)


def _members(spec: Spec, catalog: Catalog) -> set[str]:
    """The tables of the tenancy with their partitions."""
    tables = (table.name for table in spec.tables if table.name in catalog.tables)
    return {member.name for table in tables for member in catalog.tree(table)}


def _with_tenant(session: Session, spec: Spec, catalog: Catalog, parameters: dict[str, Any]) -> Iterator[Finding]:
    known = _members(spec, catalog)
    known |= {spec.tenants, *spec.shared}
    tables = {table.name for table in spec.tables}
    for schema, name, parent_schema, parent, row_security, policies in session.execute(
        _WITH_TENANT, {**parameters, "column": spec.column}
    ):
        if (schema == spec.schema and name in known) or guarded(row_security, policies, spec):
            continue
        shown = name if schema == spec.schema else f"{schema}.{name}"
        if parent_schema == spec.schema and parent in tables:
            message = f"inherits from {parent} and no policy of its own holds; {spec.role} may ask it directly"
            yield Finding("heir-unguarded", shown, message)
        else:
            message = f"has {spec.column}, and no policy keeps {spec.role} to the current tenant's rows"
            yield Finding("table-unguarded", shown, message, fix=f"tenancy.tables: {name}, or REVOKE ALL ON {shown}")


def _keys(session: Session, spec: Spec, catalog: Catalog, parameters: dict[str, Any]) -> Iterator[Finding]:
    """Foreign keys between the tenants' tables and others: they look past every policy."""
    tables = _members(spec, catalog)
    asked = {**parameters, "tables": sorted(tables)}
    shared_tables = {*spec.shared, *(proposed_shared(spec, catalog) if spec.proposed else ())}
    for schema, table, key, target, on_delete, writes, deletes, target_schema in session.execute(_KEYS, asked):
        if schema == spec.schema and table in tables:
            shared = target_schema != spec.schema or target != spec.tenants
            if shared and deletes and on_delete in "cnd":
                what = "removes" if on_delete == "c" else "changes"
                message = f"a DELETE of {target}, which {spec.role} may, {what} rows of every tenant that point to it"
                yield Finding("shared-cascade", f"{table}.{key}", message, Severity.WARNING)
        elif writes and not (schema == spec.schema and spec.column in _columns(catalog, table, key)):
            decided = schema == spec.schema and table in shared_tables
            severity = Severity.WARNING if decided else Severity.ERROR
            shown = table if schema == spec.schema else f"{schema}.{table}"
            message = f"it has no tenant, points to rows of {target}, and tells whether another tenant's row exists"
            yield Finding("outside-key", f"{shown}.{key}", message, severity)


def _columns(catalog: Catalog, table: str, key: str) -> tuple[str, ...]:
    return next((c.columns for c in catalog.constraints.get(table, ()) if c.name == key), ())
