"""Does a real statement over the application's own tables run?"""

from __future__ import annotations

from typing import Any

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed

MAXIMUM_TABLES = 50
SAMPLE_ROWS = 100

_READABLE = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\\_%%' AND c.relname !~ 'alembic_version$' AND has_schema_privilege(n.oid, 'USAGE')
  AND has_table_privilege(c.oid, 'SELECT')
ORDER BY n.nspname, c.relname LIMIT %s"""


@check(
    "health.query",
    component="infrastructure",
    priority="high",
    faults=("table-unreadable", "table-missing", "schema-empty", "table-locked"),
)
def query(ctx: Context) -> Finding:
    """A query runs over the application's tables.

    Why: a server may answer `SELECT 1` while the application's role cannot read a single table of its own.
    Fails when: a table of tenancy.tables is missing, locked, or not readable by the role of database.url (without
    tenancy: when that role can read no table at all).
    Fix: run the application's migrations and grant its role SELECT on its tables.
    Source: PostgreSQL manual, GRANT; SQLSTATE 42501 and 42P01
    """
    tenancy = ctx.settings.tenancy
    configured = [(tenancy.schema, name) for name in tenancy.tables] if tenancy is not None else []
    tables = configured or [(str(schema), str(name)) for schema, name in _readable(ctx)]
    if not tables:
        return failed(
            f"The role of database.url can read no table in {ctx.database.address}.",
            Evidence("readable tables", "0", "at least one"),
        )
    outcomes = {f"{schema}.{name}": _read(ctx, schema, name) for schema, name in tables[:MAXIMUM_TABLES]}
    wrong = {name: outcome for name, outcome in outcomes.items() if outcome is not None}
    evidence = [Evidence(name, why, "readable") for name, why in wrong.items()]
    good = [name for name in outcomes if name not in wrong]
    if wrong:
        name, why = next(iter(wrong.items()))
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return failed(f"The application's role cannot query {name}: {why}{more}.", *evidence)
    return passed(f"A query ran over {len(good)} tables.", Evidence("tables read", ", ".join(good), "all"))


def _readable(ctx: Context) -> list[tuple[Any, ...]]:
    return ctx.database.query(_READABLE, (MAXIMUM_TABLES,))


def _read(ctx: Context, schema: str, name: str) -> str | None:
    """Why a table cannot be read, or None."""
    import psycopg2
    from psycopg2 import sql

    tenancy = ctx.settings.tenancy
    statement = sql.SQL("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT {}) AS sample").format(
        sql.Identifier(schema, name), sql.Literal(SAMPLE_ROWS)
    )
    with ctx.database.transaction() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        if tenancy is not None and tenancy.rls is not None:
            cursor.execute("SELECT set_config(%s, %s, true)", (tenancy.rls.setting, tenancy.default_tenant.id))
        try:
            cursor.execute(statement)
        except psycopg2.errors.LockNotAvailable:
            return "somebody holds an exclusive lock on it"
        except psycopg2.errors.QueryCanceled:
            return "the statement took too long"
        except psycopg2.errors.InsufficientPrivilege:
            return "permission denied"
        except (psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName):
            return "it does not exist"
        except psycopg2.ProgrammingError as error:
            return f"SQLSTATE {error.pgcode}"
        cursor.fetchone()
    return None
