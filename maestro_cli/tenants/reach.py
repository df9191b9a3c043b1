"""What else the application's role can reach: roles it can become, settings, views, functions, triggers, rules."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from maestro_cli.tenants import sql
from maestro_cli.tenants.findings import Finding, Severity
from maestro_cli.tenants.session import Session
from maestro_cli.tenants.spec import Spec

_ROLES = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.rolreplication, r.rolcreaterole,
       ARRAY(SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relowner = r.oid AND n.nspname = %(schema)s AND c.relname = ANY (%(tables)s) ORDER BY 1 LIMIT 3)
FROM pg_roles r WHERE pg_has_role(%(role)s, r.oid, 'MEMBER') ORDER BY r.rolname"""

_POWERFUL = {"pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"}

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

_FUNCTIONS = """
SELECT n.nspname || '.' || p.proname, p.oid::regprocedure::text, pg_get_userbyid(p.proowner),
       o.rolsuper OR o.rolbypassrls OR p.proowner = ANY (ARRAY(SELECT relowner FROM pg_class c JOIN pg_namespace cn
         ON cn.oid = c.relnamespace WHERE cn.nspname = %(schema)s AND c.relname = ANY (%(tables)s) AND NOT c.relforcerowsecurity)),
       p.prosecdef, p.proleakproof, has_function_privilege(%(role)s, p.oid, 'EXECUTE'),
       p.prorettype = 'trigger'::regtype, coalesce(p.prosrc, '') || ' ' || coalesce(pg_get_function_sqlbody(p.oid), '')
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname NOT IN ('pg_catalog', 'information_schema')
JOIN pg_roles o ON o.oid = p.proowner
WHERE p.prokind IN ('f', 'p') AND (p.prosecdef OR p.proleakproof)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')"""

_TRIGGERS = """
SELECT c.relname, t.tgname, p.proname, coalesce(p.prosrc, '')
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid
WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s) AND NOT t.tgisinternal AND t.tgparentid = 0"""

_RULES = """
SELECT DISTINCT c.relname, r.rulename, pg_get_ruledef(r.oid)
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('r', 'p')
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s)"""

# Tables without a tenant that the role can read: a copy of tenants' rows in one of these is a leak.
_READABLE = """
SELECT n.nspname, c.relname, c.relkind, c.relrowsecurity,
       coalesce((SELECT string_agg(option_name || '=' || option_value, ' ') FROM pg_foreign_table f,
                 pg_options_to_table(f.ftoptions) WHERE f.ftrelid = c.oid), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND has_any_column_privilege(%(role)s, c.oid, 'SELECT')"""


def reach_leaks(session: Session, spec: Spec) -> Iterator[Finding]:
    """Everything round the tables that steps round their policies."""
    parameters = {"role": spec.role, "schema": spec.schema, "tables": [table.name for table in spec.tables]}
    yield from _roles(session, spec, parameters)
    yield from _settings(session, spec, parameters)
    reaching: set[str] = set()
    yield from _views(session, spec, parameters, reaching)
    yield from _functions(session, spec, parameters, reaching)
    yield from _copies(session, spec, parameters)


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
            yield Finding("role-creates-roles", name, f"{who} has CREATEROLE", Severity.WARNING, fix)
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


def _functions(session: Session, spec: Spec, parameters: dict[str, Any], reaching: set[str]) -> Iterator[Finding]:
    names = {table.name for table in spec.tables} | reaching
    for name, signature, owner, bypasses, definer, leakproof, may, triggered, body in session.execute(
        _FUNCTIONS, parameters
    ):
        del name
        if leakproof and may:
            message = "is marked LEAKPROOF: it is called on rows before the policies have looked at them"
            yield Finding("leakproof-function", signature, message, fix=f"ALTER FUNCTION {signature} NOT LEAKPROOF")
        if not definer or not bypasses or not may or triggered:
            continue
        touched = sorted(mentioned(body, names))
        dynamic = re.search(r"\bEXECUTE\b", body, re.IGNORECASE) is not None
        if touched or dynamic:
            what = f"reads or writes {', '.join(touched[:3])}" if touched else "runs SQL that it puts together"
            message = f"SECURITY DEFINER, runs as {owner}, for whom no policy holds, and {what}"
            yield Finding("definer-function", signature, message, fix=f"ALTER FUNCTION {signature} SECURITY INVOKER")


def mentioned(body: str, names: set[str]) -> set[str]:
    """The names that stand in an SQL text as words; comments don't count, strings do (they may be executed)."""
    text = re.sub(r"--[^\n]*|/\*.*?\*/", " ", body, flags=re.DOTALL)
    words = set(re.findall(r"[\w$]+", text.lower())) | set(re.findall(r'"((?:[^"]|"")+)"', text))
    return {name for name in names if name in words}


def _copies(session: Session, spec: Spec, parameters: dict[str, Any]) -> Iterator[Finding]:
    """Triggers and rules of the tenants' tables that write to where the role can read without a policy."""
    guarded = {table.name for table in spec.tables} | {spec.tenants}
    readable: dict[str, str] = {}
    for schema, name, kind, row_security, options in session.execute(_READABLE, parameters):
        shown = name if schema == spec.schema else f"{schema}.{name}"
        if kind == "f":
            yield from _foreign(shown, options, guarded, spec)
        elif not row_security and not (schema == spec.schema and name in guarded):
            readable[name] = shown
    sources = [(table, f"trigger {name}", body) for table, name, _, body in session.execute(_TRIGGERS, parameters)]
    sources += [(table, f"rule {name}", body) for table, name, body in session.execute(_RULES, parameters)]
    for table, what, body in sources:
        written = re.findall(r"\b(?:INSERT\s+INTO|UPDATE|MERGE\s+INTO)\s+([\w.\"$]+)", body, re.IGNORECASE)
        targets = {target.split(".")[-1].strip('"') for target in written} & set(readable)
        for target in sorted(targets):
            message = f"{what} writes its rows to {readable[target]}, which {spec.role} can read and no policy guards"
            yield Finding("copied-rows", table, message)


def _foreign(shown: str, options: str, guarded: set[str], spec: Spec) -> Iterator[Finding]:
    same = any(f"table_name={name}" in options.split() for name in guarded) or shown in guarded
    message = f"a foreign table has no row-level security, and {spec.role} can read it"
    yield Finding("foreign-table", shown, message, Severity.ERROR if same else Severity.WARNING)
