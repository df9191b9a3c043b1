"""What else the application's role can reach: roles it can become, settings, views, functions, triggers, rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from maestro_cli.tenants import sql
from maestro_cli.tenants.catalog import Catalog
from maestro_cli.tenants.findings import Finding, Severity
from maestro_cli.tenants.reach_functions import function_leaks
from maestro_cli.tenants.reach_privileges import privilege_leaks
from maestro_cli.tenants.reach_tables import other_tables
from maestro_cli.tenants.session import Session
from maestro_cli.tenants.spec import Spec

_ROLES = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.rolreplication, r.rolcreaterole,
       ARRAY(SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relowner = r.oid AND n.nspname = %(schema)s AND c.relname = ANY (%(tables)s) ORDER BY 1 LIMIT 3)
FROM pg_roles r WHERE pg_has_role(%(role)s, r.oid, 'MEMBER') ORDER BY r.rolname"""

_POWERFUL = {"pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"}

_WATCHING = {"pg_read_all_stats", "pg_monitor"}

_SETTINGS = """
SELECT coalesce(r.rolname, '(all roles)'), unnest(s.setconfig)
FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE (s.setdatabase = 0 OR s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND (s.setrole = 0 OR r.rolname = %(role)s)"""

# Every view and what it reads, with who owns it and what the role may do with it.
_VIEWS = """
SELECT DISTINCT v.oid::bigint, n.nspname, v.relname, v.relkind, pg_get_userbyid(v.relowner), o.rolsuper OR o.rolbypassrls,
       coalesce((SELECT option_value::boolean FROM pg_options_to_table(v.reloptions) WHERE option_name = 'security_invoker'), false),
       has_any_column_privilege(%(role)s, v.oid, 'SELECT') OR has_any_column_privilege(%(role)s, v.oid, 'INSERT')
         OR has_any_column_privilege(%(role)s, v.oid, 'UPDATE') OR has_table_privilege(%(role)s, v.oid, 'DELETE'),
       t.oid::bigint, tn.nspname, t.relname
FROM pg_depend d
JOIN pg_rewrite r ON r.oid = d.objid
JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
JOIN pg_namespace n ON n.oid = v.relnamespace AND n.nspname NOT IN ('pg_catalog', 'information_schema')
JOIN pg_roles o ON o.oid = v.relowner
JOIN pg_class t ON t.oid = d.refobjid AND t.oid <> v.oid AND t.relkind IN ('r', 'p', 'v', 'm', 'f')
JOIN pg_namespace tn ON tn.oid = t.relnamespace
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass"""


def reach_leaks(session: Session, spec: Spec, catalog: Catalog) -> Iterator[Finding]:
    """Everything round the tables that steps round their policies."""
    parameters = {"role": spec.role, "schema": spec.schema, "tables": [table.name for table in spec.tables]}
    yield from _roles(session, spec, parameters)
    yield from _settings(session, spec, parameters)
    reaching: set[str] = set()
    yield from _views(session, spec, parameters, reaching)
    yield from function_leaks(session, spec, parameters, reaching)
    yield from other_tables(session, spec, catalog, parameters)
    yield from privilege_leaks(session, spec, parameters)


def _roles(session: Session, spec: Spec, parameters: dict[str, Any]) -> Iterator[Finding]:
    for name, superuser, bypasses, replicates, creates, owned in session.execute(_ROLES, parameters):
        who = spec.role if name == spec.role else f"{spec.role} can become {name} (SET ROLE), which"
        fix = None if name == spec.role else f"REVOKE {sql.identifier(name)} FROM {sql.identifier(str(spec.role))}"
        if superuser:
            yield Finding("role-superuser", name, f"{who} is a superuser: no policy holds", fix=fix)
        elif bypasses:
            message = f"{who} has BYPASSRLS: no policy holds"
            yield Finding("role-bypasses", name, message, fix=fix or f"ALTER ROLE {sql.identifier(name)} NOBYPASSRLS")
        if replicates and not superuser:
            yield Finding(
                "role-replicates", name, f"{who} has REPLICATION and can read the whole log of changes", fix=fix
            )
        if creates and not superuser:
            # Before PostgreSQL 16 it may make itself a member of any role but a superuser.
            severity = Severity.ERROR if session.server_version < 160000 else Severity.WARNING
            yield Finding("role-creates-roles", name, f"{who} has CREATEROLE", severity, fix)
        if name in _WATCHING:
            message = f"{who} sees the statements of every session, with the values in them"
            yield Finding("role-watches", name, message, Severity.WARNING, fix)
        if name in _POWERFUL:
            yield Finding("role-on-server", name, f"{who} can act as the server's own user", fix=fix)
        if owned and name != spec.role and not superuser:
            message = f"{who} owns {', '.join(owned)} and can switch row-level security off"
            yield Finding("role-becomes-owner", name, message, fix=fix)


def _settings(session: Session, spec: Spec, parameters: dict[str, Any]) -> Iterator[Finding]:
    for whose, setting in session.execute(_SETTINGS, parameters):
        name, _, value = setting.partition("=")
        if name == spec.setting and value:
            message = f"{whose} starts every session as tenant {value}: forgetting to set one goes unnoticed"
            yield Finding("setting-preset", whose, message, fix=f"ALTER ROLE … RESET {name}")
        if name == "lo_compat_privileges" and value in {"on", "true", "yes", "1"}:
            yield Finding("large-objects", whose, f"{whose} may read and change every large object ({setting})")
        if name == "session_replication_role" and value == "replica":
            yield Finding("setting-preset", whose, f"{whose} runs without foreign keys and triggers ({setting})")
    if session.server_version >= 150000:
        query = "SELECT has_parameter_privilege(%(role)s, 'session_replication_role', 'SET')"
        superuser = session.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %(role)s", parameters)[0][0]
        if session.execute(query, parameters)[0][0] and not superuser:
            role = sql.identifier(str(spec.role))
            message = f"{spec.role} may set session_replication_role, and switch foreign keys and triggers off"
            fix = f"REVOKE SET ON PARAMETER session_replication_role FROM {role}, PUBLIC"
            yield Finding("may-skip-keys", str(spec.role), message, fix=fix)


def _views(session: Session, spec: Spec, parameters: dict[str, Any], reaching: set[str]) -> Iterator[Finding]:
    views: dict[int, tuple[Any, ...]] = {}
    readers: dict[int, set[int]] = defaultdict(set)
    start: set[int] = set()
    known = {(spec.schema, table.name) for table in spec.tables}
    for oid, schema, name, kind, owner, bypasses, invoker, may, source, source_schema, source_name in session.execute(
        _VIEWS, parameters
    ):
        views[oid] = (schema, name, kind, owner, bypasses, invoker, may)
        readers[source].add(oid)
        if (source_schema, source_name) in known:
            start.add(oid)
    found: set[int] = set()
    while start:
        found |= start
        start = {reader for view in start for reader in readers[view]} - found
    unforced = _unforced_owners(session, parameters)
    for oid in sorted(found, key=lambda view: views[view][:2]):
        schema, name, kind, owner, bypasses, invoker, may = views[oid]
        reaching.add(name)
        shown = name if schema == spec.schema else f"{schema}.{name}"
        severity = Severity.ERROR if may else Severity.WARNING
        if kind == "m":
            message = "a materialised view holds all tenants' rows, and has no row-level security"
            yield Finding("materialised-view", shown, message + _may(may, spec), severity)
        elif not invoker and (bypasses or owner in unforced):
            message = f"the view runs as {owner}, for whom no policy holds"
            fix = f"ALTER VIEW {sql.qualified(schema, name)} SET (security_invoker = true)"
            yield Finding("view-bypasses", shown, message + _may(may, spec), severity, fix)


def _may(may: bool, spec: Spec) -> str:
    return "" if may else f" ({spec.role} may not read it now)"


def _unforced_owners(session: Session, parameters: dict[str, Any]) -> set[str]:
    query = (
        "SELECT DISTINCT pg_get_userbyid(c.relowner)::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s) AND NOT c.relforcerowsecurity"
    )
    return {row[0] for row in session.execute(query, parameters)}
