"""The application's own Alembic migrations: what its scripts say, and what the database says it has run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maestro_cli.errors import MaestroError
from maestro_cli.observe.application import ApplicationError, outcome_of, run_application
from maestro_cli.observe.database import Database, postgresql_url

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context


class ScriptsError(MaestroError):
    """The script directory cannot be read as one: broken revisions, a cycle, a missing parent."""


@dataclass(frozen=True, slots=True)
class Scripts:
    """What the script directory holds."""

    heads: tuple[str, ...]
    revisions: frozenset[str]
    version_table: str


def read_scripts(ctx: Context) -> Scripts:
    """Read database.alembic_ini's script directory, once per run, in the project's own Python.

    Raises:
        NotConfigured: Without database.alembic_ini.
        FileNotFoundError: When there is no such file.
        ScriptsError: When Alembic cannot make sense of the scripts.
        ApplicationError: When no outcome came.
        Unreachable: When the database is.
    """
    outcome = outcome_of(_run(ctx), 0)
    if "error" in outcome:
        raise ScriptsError(f"Alembic cannot read them ({outcome['error']})")
    return Scripts(tuple(outcome["heads"]), frozenset(outcome["revisions"]), outcome["version_table"])


def compare_models(ctx: Context) -> dict[str, Any]:
    """The outcome of `alembic check`: `differences`, `refused` with why, or `error` with its `names`.

    Raises:
        NotConfigured: Without database.alembic_ini.
        FileNotFoundError: When there is no such file.
        ApplicationError: When no outcome came.
        Unreachable: When the database is; it is not left to the project's code to find out.
    """
    return outcome_of(_run(ctx), 1)


def _run(ctx: Context) -> tuple[list[dict[str, Any]], str | None]:
    """One process for both: it is the import of Alembic that takes the time."""
    ini = alembic_ini(ctx)
    ctx.database  # noqa: B018 - a database that is down is said once, in its own words
    return ctx.shared("alembic", lambda: run_application(ctx, "alembic", ini))


def alembic_ini(ctx: Context) -> str:
    """The path of database.alembic_ini, relative to the folder of maestro.yaml.

    Raises:
        NotConfigured: Without it.
        FileNotFoundError: When there is no such file.
    """
    database = ctx.require(ctx.settings.database, "database")
    name = ctx.require(database.alembic_ini, "database.alembic_ini")
    postgresql_url(ctx)
    if not ctx.path(name).is_file():
        raise FileNotFoundError(name)
    return name


def version_rows(ctx: Context, table: str) -> list[str] | None:
    """The revisions that the database says it is at; None where there is no such table in any schema.

    Read with the application's role, or with database.admin_url's where that role may not (both are fine set-ups).

    Raises:
        MaestroError: When neither may read the table, or several schemas have one.
        Unreachable: When the database is.
    """
    import psycopg2
    from psycopg2 import sql

    found = ctx.database.query(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = %s AND c.relkind IN ('r', 'p')"
        " ORDER BY n.nspname = ANY (current_schemas(false)) DESC, n.nspname",
        (table,),
    )
    if not found:
        return None
    where = sql.Identifier(*found[0])
    statement = sql.SQL("SELECT version_num FROM {} ORDER BY 1 LIMIT 20").format(where)
    for database in _roles(ctx):
        with contextlib.suppress(psycopg2.errors.InsufficientPrivilege), database.transaction() as cursor:
            cursor.execute(statement)
            return [str(row[0]) for row in cursor.fetchall()]
    raise MaestroError(
        f"the role of database.url may not read {table}",
        hint="Grant it SELECT on that table, or set database.admin_url to the role that runs the migrations.",
    )


def _roles(ctx: Context) -> list[Database]:
    database = ctx.settings.database
    if database is None or database.admin_url is None:
        return [ctx.database]
    url = database.admin_url
    return [ctx.database, ctx.shared("admin-database", lambda: Database(url))]


__all__ = ["ApplicationError", "Scripts", "ScriptsError", "compare_models", "read_scripts", "version_rows"]
