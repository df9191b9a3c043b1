"""Unique constraints that tell one tenant what another has."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.observe.tenancy import tenant_schema

_UNIQUE = """
SELECT t.relname, i.relname,
       ARRAY(SELECT pg_get_indexdef(x.indexrelid, k, true) FROM generate_series(1, x.indnkeyatts) k),
       NOT EXISTS (SELECT FROM unnest((x.indkey::int2[])[0:x.indnkeyatts - 1]) k
                   LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k AND k <> 0
                   WHERE a.atttypid IS DISTINCT FROM 'uuid'::regtype)
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE (x.indisunique OR x.indisexclusion) AND NOT x.indisprimary AND n.nspname = %s AND t.relname = ANY (%s)
ORDER BY 1, 2
"""
"""What an index is made of, in order: columns, or expressions such as lower(name); what it only carries is no part of it."""


@check(
    "security.tenant-constraints",
    component="multi_tenancy",
    priority="medium",
    faults=("tenant-unique-oracle", "tenant-exclusion-oracle"),
)
def tenant_constraints(ctx: Context) -> Finding:
    """No unique constraint reaches across tenants.

    Why: a name that is taken though one cannot see it belongs to somebody else: the constraint answers questions about
    other tenants' rows, and lets one tenant block another's names.
    Fails when: a unique or exclusion constraint of a table in tenancy.tables, other than its primary key, lacks the
    tenant column. One of UUIDs alone, which nobody can guess, is left alone; so is one single column of the table of
    database.password_hashes where the login asks for no {tenant}: by that name alone a user is found.
    Fix: add the tenant column in front: `tenancy: {unique: per_tenant}` in maestro.yaml, then `maestro migrate apply`.
    Source: PostgreSQL manual, Row Security Policies ("covert channel"); CWE-203
    """
    from maestro_cli.tenants.sql import identifier

    schema = tenant_schema(ctx)
    column = schema.spec.column
    names = [table.name for table in schema.spec.tables]
    rows = ctx.database.query(_UNIQUE, (schema.spec.schema, names))
    evidence, oracles = [], []
    users = _users_found_by_name(ctx)
    for table, index, columns, unguessable in rows:
        held = {column, identifier(column)} & set(columns) or unguessable or (table == users and len(columns) == 1)
        evidence.append(Evidence(f"{table}.{index}", f"({', '.join(columns)})", f"with {column}"))
        if not held:
            oracles.append(f"{table} ({', '.join(columns)})")
    if oracles:
        return failed(f"Unique across all tenants: {'; '.join(oracles[:5])}.", *evidence[:20])
    evidence.append(Evidence("unique constraints looked at", f"{len(rows)} of {len(names)} tables", f"with {column}"))
    return passed("No unique constraint reaches across tenants.", *evidence[-20:])


def _users_found_by_name(ctx: Context) -> str | None:
    """The table of users, where a login tells the user's name and not its tenant: then names cannot repeat."""
    api, database = ctx.settings.api, ctx.settings.database
    hashes = database.password_hashes if database is not None else None
    login = api.auth.login if api is not None and api.auth is not None else None
    if hashes is None or login is None or "{tenant}" in f"{login.path} {login.body} {login.headers}":
        return None
    return hashes.table.rpartition(".")[2]
