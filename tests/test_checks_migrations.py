"""readiness: the application's own migrations, as its scripts and its database tell them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from check_support import application_role, context, expect, free_port, run_check, run_sql

from maestro_cli.api import Context
from maestro_cli.demo.servers import EmbeddedPostgres

INI = "[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = %(here)s\npath_separator = os\n"
ENV = """
import os
from alembic import context
from sqlalchemy import create_engine
from models import metadata

with create_engine(os.environ["MIGRATE_URL"].replace("postgresql:", "postgresql+psycopg2:")).connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
"""
MODELS = """
from sqlalchemy import Column, Integer, MetaData, Table, Text

metadata = MetaData()
Table("projects", metadata, Column("id", Integer, primary_key=True){})
"""
REVISION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = {0!r}, {1!r}

def upgrade():
    {2}
"""
CREATE = 'op.create_table("projects", sa.Column("id", sa.Integer, primary_key=True))'
ADD = 'op.add_column("projects", sa.Column("name", sa.Text))'


def revision(folder: Path, name: str, parent: str | None, body: str = "pass") -> None:
    (folder / "migrations" / "versions" / f"{name}.py").write_text(REVISION.format(name, parent, body))


@pytest.fixture
def application(project: Path, database: str) -> Path:
    """An application whose first migration has been run."""
    (project / "migrations" / "versions").mkdir(parents=True)
    (project / "alembic.ini").write_text(INI)
    (project / "migrations" / "env.py").write_text(ENV)
    (project / "models.py").write_text(MODELS.format(""))
    (project / ".env").write_text(f"MIGRATE_URL={database}\n")
    revision(project, "first", None, CREATE)
    upgrade(project, database)
    return project


def upgrade(folder: Path, database: str) -> None:
    command = [sys.executable, "-m", "alembic", "upgrade", "heads"]
    subprocess.run(command, cwd=folder, env={**os.environ, "MIGRATE_URL": database}, check=True, capture_output=True)


def configured(folder: Path, url: str, more: str = "") -> Context:
    return context(folder, f"env_file: .env\ndatabase: {{url: '{url}', alembic_ini: alembic.ini{more}}}\n")


def test_a_database_at_the_head(application: Path, database: str) -> None:
    expect(run_check("readiness.migrations", configured(application, database)), "pass", "at the head first")
    expect(run_check("readiness.models-match", configured(application, database)), "pass")


def test_a_pending_migration(application: Path, database: str) -> None:
    revision(application, "second", "first", ADD)
    expect(
        run_check("readiness.migrations", configured(application, database)), "fail", "first, not at the head second"
    )
    # Whether the models match cannot be seen before the migration has run.
    expect(run_check("readiness.models-match", configured(application, database)), "error", "not up to date")


def test_two_heads(application: Path, database: str) -> None:
    revision(application, "left", "first")
    revision(application, "right", "first")
    expect(run_check("readiness.migrations", configured(application, database)), "fail", "2 heads", "left, right")


def test_a_revision_that_the_scripts_do_not_know(application: Path, database: str) -> None:
    run_sql(database, "UPDATE alembic_version SET version_num = 'tomorrow'")
    expect(run_check("readiness.migrations", configured(application, database)), "fail", "do not know")


def test_no_migration_was_ever_run(application: Path, database: str) -> None:
    run_sql(database, "DROP TABLE alembic_version")
    expect(run_check("readiness.migrations", configured(application, database)), "fail", "no migration was ever run")


def test_broken_scripts(application: Path, database: str) -> None:
    revision(application, "second", "gone")
    expect(run_check("readiness.migrations", configured(application, database)), "fail", "broken")
    (application / "alembic.ini").unlink()
    expect(run_check("readiness.migrations", configured(application, database)), "fail", "alembic.ini")


def test_a_version_table_that_only_the_owner_may_read(
    application: Path, database: str, postgres_server: EmbeddedPostgres
) -> None:
    with application_role(postgres_server, database) as url:
        ctx = configured(application, url)
        expect(run_check("readiness.migrations", ctx), "error", "may not read alembic_version")
        ctx = configured(application, url, f", admin_url: '{database}'")
        expect(run_check("readiness.migrations", ctx), "pass")


def test_a_model_without_a_migration(application: Path, database: str) -> None:
    (application / "models.py").write_text(MODELS.format(', Column("name", Text)'))
    result = run_check("readiness.models-match", configured(application, database))
    expect(result, "fail", "add_column projects.name")
    run_sql(database, "ALTER TABLE projects ADD COLUMN name text")
    expect(run_check("readiness.models-match", configured(application, database)), "pass")


def test_a_table_changed_by_hand(application: Path, database: str) -> None:
    run_sql(database, "ALTER TABLE projects ADD COLUMN secret_sauce text")
    result = run_check("readiness.models-match", configured(application, database))
    expect(result, "fail", "remove_column projects.secret_sauce")


def test_an_environment_that_raises_is_an_error(application: Path, database: str) -> None:
    (application / ".env").write_text("A=1\n")
    expect(run_check("readiness.models-match", configured(application, database)), "error", "KeyError", "MIGRATE_URL")


@pytest.mark.parametrize("check_id", ["readiness.migrations", "readiness.models-match"])
def test_with_the_database_down(application: Path, check_id: str) -> None:
    ctx = configured(application, f"postgresql://a:b@127.0.0.1:{free_port()}/x")
    assert expect(run_check(check_id, ctx), "error").needs == "PostgreSQL"
