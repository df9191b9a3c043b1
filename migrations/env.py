"""Drives the tenant migration by Alembic: the same engine as `maestro migrate`, its own version table.

Alembic keeps the record here and decides nothing: what is left to do is read from the catalog each time, so a table
that was added to maestro.yaml after the revision was recorded is migrated by the next `upgrade head` all the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from alembic import context

from maestro_cli.config import load
from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.errors import ConfigurationError, UsageError
from maestro_cli.tenants import apply, rollback, version
from maestro_cli.tenants.urls import is_sqlite, libpq_url, sqlite_path


class Drive:
    """What the revision calls."""

    def __init__(self, url: str, tenancy: Tenancy, *, contract: bool) -> None:
        self.url = url
        self.tenancy = tenancy
        self.contract = contract

    def up(self) -> None:
        """What `maestro migrate apply` does."""
        apply(self.url, self.tenancy, contract=self.contract, record=False)

    def down(self) -> None:
        """What `maestro migrate rollback` does."""
        rollback(self.url, self.tenancy, record=False)


def drive() -> Drive:
    """Read maestro.yaml.

    Raises:
        ConfigurationError: It names no database or no tenancy.
    """
    given = context.get_x_argument(as_dictionary=True)
    path = Path(str(given.get("config") or os.environ.get("MAESTRO_CONFIG") or "maestro.yaml"))
    settings = load(path, environ=dict(os.environ)).settings
    database = settings.database
    url = None if database is None else database.admin_url or database.url
    if url is None or settings.tenancy is None:
        raise ConfigurationError(f"{path} needs database: and tenancy:", hint="See: maestro init")
    contract = str(given.get("contract", "no")).lower() in {"yes", "true", "1"}
    return Drive(url.reveal(), settings.tenancy, contract=contract)


def connect(url: str) -> Any:
    """An engine that commits each statement: an open transaction of Alembic's would be in the migration's way."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    if is_sqlite(url):
        return create_engine(f"sqlite:///{sqlite_path(url)}", poolclass=NullPool, isolation_level="AUTOCOMMIT")
    import psycopg2

    return create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(libpq_url(url), application_name="alembic"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )


def command() -> str:
    """The Alembic command that is running, as far as it can be told."""
    running = getattr(context.config.cmd_opts, "cmd", None)
    return running[0].__name__ if running else ""


def run() -> None:
    """Run the migrations online."""
    driven = drive()
    context.config.attributes["maestro"] = driven
    with connect(driven.url).connect() as connection:
        own_schema = not is_sqlite(driven.url)
        if own_schema and command() in {"upgrade", "stamp", ""}:
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {version.SCHEMA}")
        context.configure(
            connection=connection,
            version_table=version.TABLE if own_schema else "maestro_alembic_version",
            version_table_schema=version.SCHEMA if own_schema else None,
            version_table_pk=False,  # one index fewer to explain beside the eighteen
        )
        context.run_migrations()
        if command() == "upgrade":
            driven.up()  # what maestro.yaml has gained since the revision was recorded


if context.is_offline_mode():
    raise UsageError("the statements depend on the catalog", hint="Write the script with: maestro migrate plan --sql")
run()
