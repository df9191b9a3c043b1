"""How Alembic reaches the database: as the role that owns the tables, never as the service's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from alembic import context
from service.models import Base
from service.settings import psycopg2_url, read_env_file
from sqlalchemy import create_engine, pool


def _url() -> str:
    """-x url=…, then the caller's sqlalchemy.url, then the environment, then the file .env."""
    given = context.get_x_argument(as_dictionary=True).get("url") or context.config.get_main_option("sqlalchemy.url")
    values = {**read_env_file(Path(os.environ.get("ENV_FILE", ".env"))), **os.environ}
    url = given or values.get("ADMIN_DATABASE_URL") or values.get("DATABASE_URL")
    if not url:
        raise SystemExit("error: set ADMIN_DATABASE_URL, the URL of the role that owns the tables")
    return psycopg2_url(url)


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Tables of other tools in the same schema are none of our business."""
    return kind != "table" or name in Base.metadata.tables


def run() -> None:
    """Run the migrations, or print their SQL (`--sql`)."""
    options: dict[str, Any] = {"target_metadata": Base.metadata, "include_name": _is_ours}
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", literal_binds=True, **options)
        with context.begin_transaction():
            context.run_migrations()
        return
    engine = create_engine(_url(), poolclass=pool.NullPool, hide_parameters=True)
    with engine.connect() as connection:
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            context.run_migrations()


run()
