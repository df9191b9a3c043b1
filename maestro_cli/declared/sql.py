"""`sql:` a query's first value, number of rows and time; its transaction is rolled back."""

from __future__ import annotations

import time
from typing import Any

from maestro_cli.api import Context, Finding, MaestroError, Secret, Unreachable
from maestro_cli.config.declared import SqlSubject
from maestro_cli.declared import Stop
from maestro_cli.declared.judgement import Judgement
from maestro_cli.observe.database import Database

MAXIMUM_ROWS = 10_000


def observe(subject: SqlSubject, ctx: Context, _stop: Stop) -> Finding:
    """Run the query and compare."""
    configured = ctx.settings.database.url if ctx.settings.database is not None else None
    url = ctx.require(subject.url or configured, "database.url")
    started = time.perf_counter()
    if url.reveal().startswith("postgres"):
        rows = _on_postgresql(ctx.database if subject.url is None else Database(url), subject)
    else:
        rows = _elsewhere(url, subject.query)
    elapsed = time.perf_counter() - started
    judgement = Judgement()
    value = rows[0][0] if rows and len(rows[0]) else None
    if subject.value is not None or subject.rows is None:
        judgement.saw("value", _plain(value)) if subject.value is None else judgement.expect(
            "value", _plain(value), subject.value
        )
    judgement.expect("rows", len(rows), subject.rows)
    judgement.took(elapsed, subject)
    return judgement.finding("the query answers as expected")


def _on_postgresql(database: Database, subject: SqlSubject) -> list[tuple[Any, ...]]:
    import psycopg2

    try:
        with database.transaction() as cursor:
            cursor.execute(subject.query)
            return cursor.fetchmany(MAXIMUM_ROWS) if cursor.description else []
    except psycopg2.Error as error:
        raise MaestroError(f"the query cannot be run: {str(error).splitlines()[0]}") from None
    finally:
        if subject.url is not None:
            database.close()


def _elsewhere(url: Secret, query: str) -> list[tuple[Any, ...]]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
    from sqlalchemy.pool import NullPool

    try:
        engine = create_engine(url.reveal(), poolclass=NullPool)
        with engine.connect() as connection:
            result = connection.execute(text(query))
            rows = [tuple(row) for row in result.fetchmany(MAXIMUM_ROWS)] if result.returns_rows else []
            connection.rollback()
            return rows
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise MaestroError(f"the database URL cannot be used: {type(error).__name__}") from None
    except OperationalError as error:
        raise Unreachable("the database", str(error.orig)) from None
    except DBAPIError as error:
        raise MaestroError(f"the query cannot be run: {error.orig}") from None


def _plain(value: Any) -> Any:
    """A driver's value as JSON would say it."""
    import datetime as dt
    import decimal

    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | list | dict | None) else str(value)
