"""What the application's database role may do beyond its work."""

from __future__ import annotations

from typing import Any

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed, warned

_ROLE = """
SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,
       pg_has_role(current_user, 'pg_execute_server_program', 'MEMBER'),
       pg_has_role(current_user, 'pg_read_server_files', 'MEMBER'),
       pg_has_role(current_user, 'pg_write_server_files', 'MEMBER'),
       pg_has_role(current_user, 'pg_read_all_data', 'MEMBER'),
       pg_has_role(current_user, 'pg_write_all_data', 'MEMBER')
FROM pg_roles WHERE rolname = current_user
"""
_RIGHTS = (
    "is a superuser",
    "bypasses row-level security",
    "may create roles",
    "may create databases",
    "may replicate",
    "may run programs on the server",
    "may read the server's files",
    "may write the server's files",
    "may read every table",
    "may write every table",
)
_OTHERS = """
SELECT rolname, CASE WHEN rolsuper THEN 'is a superuser' WHEN rolbypassrls THEN 'bypasses row-level security'
                     WHEN rolcreaterole THEN 'may create roles' ELSE 'may replicate' END
FROM pg_roles
WHERE rolname <> current_user AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolreplication)
  AND pg_has_role(current_user, oid, {become})
ORDER BY 1 LIMIT 5
"""
"""Attributes are not inherited, but SET ROLE takes them on (PostgreSQL manual, Role Membership)."""
_GUARDED = """
SELECT c.relname, pg_has_role(current_user, c.relowner, 'MEMBER'), c.relforcerowsecurity,
       has_table_privilege(c.oid, 'TRUNCATE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND n.nspname NOT LIKE 'pg\\_%%'
ORDER BY 1
"""
_TRIED = (
    ("CREATE TABLE public.maestro_probe (a int)", "may create tables in public"),
    ("COPY (SELECT 1) TO PROGRAM 'true'", "may run programs on the server"),
    ("CREATE FUNCTION public.maestro_probe() RETURNS int LANGUAGE sql AS 'SELECT 1'", "may create functions in public"),
)


@check(
    "security.postgres-role",
    component="security",
    priority="high",
    faults=(
        "postgres-superuser",
        "app-role-bypasses-rls",
        "app-role-may-become-another",
        "postgres-create-on-public",
        "postgres-server-programs",
    ),
)
def postgres_role(ctx: Context) -> Finding:
    """The application's role may do its work and nothing more.

    Why: an injected statement can do whatever the role can; as a superuser that is running programs on the database
    server.
    Fails when: the role of database.url is a superuser, bypasses row-level security, may create roles, databases,
    tables or functions in public, replicate, read or write the server's files or every table, run programs, or become a role
    that may. Looked up, and tried in a transaction that is rolled back. Owning tables whose row-level security is not forced, or
    truncating tables that have it, which it doesn't hold back, is a warning.
    Fix: let a role of its own own the tables and migrate; `REVOKE CREATE ON SCHEMA public FROM PUBLIC`; `ALTER ROLE …
    NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION`.
    Source: CIS PostgreSQL Benchmark 4; OWASP ASVS 5.0 13.2.2; PostgreSQL manual, Role Attributes
    """
    with ctx.database.transaction(read_only=False) as cursor:
        cursor.execute("SELECT current_user")
        role = cursor.fetchone()[0]
        cursor.execute(_ROLE)
        held = [words for has, words in zip(cursor.fetchone(), _RIGHTS, strict=True) if has]
        evidence = [Evidence(f"role {role}", ", ".join(held) or "no special right", "no special right")]
        for statement, words in _TRIED:
            state = _try(cursor, statement)
            what = " ".join(statement.split()[:2])
            evidence.append(
                Evidence(f"{what} as {role}", "let through" if state is None else f"refused ({state})", "refused")
            )
            if state is None:
                held.append(words)
        almighty = held[:1] == [_RIGHTS[0]]
        held += [] if almighty else _others(cursor, evidence)
        around = [] if almighty else _around(cursor)
    expected = "neither owned nor truncated"
    evidence.append(Evidence("tables with row-level security", "; ".join(around) or expected, expected))
    if held:
        return failed(f"The application's role {role} {', '.join(dict.fromkeys(held + around))}.", *evidence)
    if around:
        return warned(
            f"Row-level security does not hold the application's role {role}: it {' and '.join(around)}.", *evidence
        )
    return passed(f"The application's role {role} has no right beyond its work.", *evidence)


def _others(cursor: Any, evidence: list[Evidence]) -> list[str]:
    """Roles with rights of their own that SET ROLE makes of this one."""
    become = "'SET'" if cursor.connection.server_version >= 160_000 else "'MEMBER'"
    cursor.execute(_OTHERS.format(become=become))
    found = [f"may become {name}, which {right}" for name, right in cursor.fetchall()]
    evidence.append(Evidence("roles that it may become", "; ".join(found) or "none with special rights", "none"))
    return found


def _around(cursor: Any) -> list[str]:
    """How it gets around row-level security by rights that policies don't ask about."""
    cursor.execute(_GUARDED)
    rows = cursor.fetchall()
    # An owner's right to TRUNCATE and to switch policies off comes with owning; forced, they hold for what it runs.
    owned = [name for name, owns, forced, _ in rows if owns and not forced]
    emptied = [name for name, owns, _, may in rows if may and not owns]
    found = [f"owns {_few(owned)}, whose row-level security is not forced"] if owned else []
    return found + ([f"may TRUNCATE {_few(emptied)}"] if emptied else [])


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _try(cursor: Any, statement: str) -> str | None:
    """The SQLSTATE of the refusal; None where it was let through (and is taken back)."""
    import psycopg2

    cursor.execute("SAVEPOINT maestro_probe")
    try:
        cursor.execute(statement)
    except psycopg2.Error as error:
        if error.pgcode is None:
            raise
        return str(error.pgcode)
    finally:
        cursor.execute("ROLLBACK TO SAVEPOINT maestro_probe")
    return None
