"""Privileges that reach past every policy: the schema's owner, system catalogs, the server's files, large objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from maestro_cli.tenants import sql
from maestro_cli.tenants.findings import Finding, Severity
from maestro_cli.tenants.session import Session
from maestro_cli.tenants.spec import Spec

_SCHEMA = """
SELECT pg_has_role(%(role)s, n.nspowner, 'MEMBER'), pg_get_userbyid(n.nspowner), has_schema_privilege(%(role)s, n.oid, 'CREATE'),
       has_schema_privilege('public', n.oid, 'CREATE')
FROM pg_namespace n WHERE n.nspname = %(schema)s"""

_CATALOGS = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'pg_catalog'::regnamespace
  AND c.relname = ANY (ARRAY['pg_statistic', 'pg_statistic_ext_data', 'pg_largeobject', 'pg_authid'])
  AND has_any_column_privilege(%(role)s, c.oid, 'SELECT') ORDER BY 1"""

_CATALOG_WHY = {
    "pg_statistic": "it holds values of every tenant's rows",
    "pg_statistic_ext_data": "it holds values of every tenant's rows",
    "pg_largeobject": "it holds every large object",
    "pg_authid": "it holds every role's password verifier",
}

# What a superuser alone may call, unless somebody granted it.
_FUNCTIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.proname = ANY (ARRAY['dblink_connect_u', 'pg_read_file', 'pg_read_binary_file', 'pg_file_write', 'lo_import', 'lo_export',
    'get_raw_page', 'heap_force_kill', 'heap_force_freeze'])
  AND has_function_privilege(%(role)s, p.oid, 'EXECUTE') ORDER BY 1"""

_LARGE_OBJECTS = """
SELECT count(*) FROM (SELECT FROM pg_largeobject_metadata m WHERE pg_has_role(%(role)s, m.lomowner, 'USAGE')
  OR EXISTS (SELECT FROM aclexplode(m.lomacl) a WHERE a.grantee = 0 OR pg_has_role(%(role)s, a.grantee, 'USAGE')) LIMIT 1000) AS few"""

_DEFAULTS = """
SELECT DISTINCT a.privilege_type, coalesce(r.rolname, 'PUBLIC'), pg_get_userbyid(d.defaclrole), coalesce(n.nspname, '')
FROM pg_default_acl d CROSS JOIN aclexplode(d.defaclacl) a
LEFT JOIN pg_roles r ON r.oid = a.grantee LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
WHERE d.defaclobjtype = 'r' AND a.privilege_type = ANY (ARRAY['TRUNCATE', 'TRIGGER'])
  AND (n.nspname IS NULL OR n.nspname = %(schema)s) AND d.defaclrole <> coalesce(r.oid, 0)
  AND (a.grantee = 0 OR pg_has_role(%(role)s, a.grantee, 'USAGE')) ORDER BY 1"""

_SEQUENCES = """
SELECT s.relname FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = %(schema)s AND t.relname = ANY (%(tables)s) AND CASE WHEN s.relkind = 'S' THEN has_sequence_privilege(%(role)s, s.oid, 'UPDATE') END
ORDER BY 1"""

_LO_COMPAT = "SELECT current_setting('lo_compat_privileges')::boolean"


def privilege_leaks(session: Session, spec: Spec, parameters: dict[str, Any]) -> Iterator[Finding]:
    """What the role may do beside the tables. Says nothing of a superuser: that is a finding of its own."""
    query = "SELECT rolsuper FROM pg_roles WHERE rolname = %(role)s"
    if session.execute(query, parameters)[0][0]:
        return
    yield from _schema(session, spec, parameters)
    for (name,) in session.execute(_CATALOGS, parameters):
        fix = f"REVOKE SELECT ON pg_catalog.{name} FROM {_role(spec)}, PUBLIC"
        yield Finding("may-read-catalog", name, f"{spec.role} may read {name}: {_CATALOG_WHY[name]}", fix=fix)
    for (signature,) in session.execute(_FUNCTIONS, parameters):
        fix = f"REVOKE EXECUTE ON FUNCTION {signature} FROM {_role(spec)}"
        message = f"{spec.role} may call it, which reaches the server's files or another session past every policy"
        yield Finding("may-call", signature, message, fix=fix)
    yield from _large_objects(session, spec, parameters)
    for right, grantee, owner, _ in session.execute(_DEFAULTS, parameters):
        message = f"tables that {owner} makes from now on give {grantee} {right}, which policies don't look at"
        fix = f"ALTER DEFAULT PRIVILEGES FOR ROLE {sql.identifier(owner)} REVOKE {right} ON TABLES FROM {grantee}"
        yield Finding("default-privileges", spec.schema, message, Severity.WARNING, fix)
    for (name,) in session.execute(_SEQUENCES, parameters):
        message = f"{spec.role} may set it back, and every tenant's next INSERT fails; USAGE is enough to insert"
        fix = f"REVOKE UPDATE ON SEQUENCE {spec.qualified(name)} FROM {_role(spec)}"
        yield Finding("may-set-sequence", name, message, Severity.WARNING, fix)


def _role(spec: Spec) -> str:
    return sql.identifier(str(spec.role))


def _schema(session: Session, spec: Spec, parameters: dict[str, Any]) -> Iterator[Finding]:
    owns, owner, creates, all_create = session.execute(_SCHEMA, parameters)[0]
    usual = all_create and session.server_version < 150000  # what PostgreSQL gave everybody until then
    if owns:
        message = f"{spec.role} owns the schema (as {owner}) and can drop every tenant's tables"
        fix = f"ALTER SCHEMA {sql.identifier(spec.schema)} OWNER TO another role"
        yield Finding("application-owns-schema", spec.schema, message, fix=fix)
    elif creates and not usual:
        message = (
            f"{spec.role} may create functions and tables in it, which others' sessions then find under their names"
        )
        fix = f"REVOKE CREATE ON SCHEMA {sql.identifier(spec.schema)} FROM {_role(spec)}, PUBLIC"
        yield Finding("may-create", spec.schema, message, Severity.WARNING, fix)


def _large_objects(session: Session, spec: Spec, parameters: dict[str, Any]) -> Iterator[Finding]:
    if session.execute(_LO_COMPAT)[0][0]:
        message = "lo_compat_privileges is on: everybody may read and change every large object"
        yield Finding("large-objects", "lo_compat_privileges", message)
    count = session.execute(_LARGE_OBJECTS, parameters)[0][0]
    if count:
        message = f"{count} large objects that {spec.role} may read: no policy holds for them, and they have no tenant"
        yield Finding("large-objects", "pg_largeobject", message, fix="Keep such content in a bytea column of a table")
