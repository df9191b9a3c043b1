"""What the application's database role may do beyond its work."""

from __future__ import annotations

from typing import Any

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed

_ROLE = """
SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,
       pg_has_role(current_user, 'pg_execute_server_program', 'MEMBER'),
       pg_has_role(current_user, 'pg_read_server_files', 'MEMBER'),
       pg_has_role(current_user, 'pg_write_server_files', 'MEMBER')
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
)
_TRIED = (
    ("CREATE TABLE public.maestro_probe (a int)", "may create tables in public"),
    ("COPY (SELECT 1) TO PROGRAM 'true'", "may run programs on the server"),
    ("CREATE FUNCTION public.maestro_probe() RETURNS int LANGUAGE sql AS 'SELECT 1'", "may create functions in public"),
)


@check(
    "security.postgres-role",
    component="security",
    priority="high",
    faults=("postgres-superuser", "app-role-bypasses-rls", "postgres-create-on-public", "postgres-server-programs"),
)
def postgres_role(ctx: Context) -> Finding:
    """The application's role may do its work and nothing more.

    Why: an injected statement can do whatever the role can; as a superuser that is running programs on the database
    server.
    Fails when: the role of database.url is a superuser, bypasses row-level security, may create roles, databases,
    tables or functions in public, replicate, read or write the server's files or run programs. Looked up, and tried in a
    transaction that is rolled back.
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
    if held:
        return failed(f"The application's role {role} {', '.join(dict.fromkeys(held))}.", *evidence)
    return passed(f"The application's role {role} has no right beyond its work.", *evidence)


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
