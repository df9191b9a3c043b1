"""Going back, rehearsed with real migrations on a real server, and nowhere but in the database made for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from check_support import context, expect, run_check, run_sql

from maestro_cli.api import Context
from maestro_cli.demo.servers import EmbeddedPostgres
from maestro_cli.demo.service import ServiceProject
from maestro_cli.redaction import Secret

pytestmark = pytest.mark.timeout(120)
WORD = Secret("scratch-pass-phrase")
INI = "[alembic]\nscript_location = %(here)s/migrations\npath_separator = os\n{}"
OF_THE_ENVIRONMENT = "import os\nurl = os.environ['MIGRATE_URL']"
OF_THE_CONFIGURATION = "url = context.config.get_main_option('sqlalchemy.url')"
OF_PARTS = """import os
from urllib.parse import quote
part = os.environ.get
url = f"postgresql://{part('POSTGRES_USER')}:{quote(part('POSTGRES_PASSWORD'))}@{part('POSTGRES_HOST')}:{part('POSTGRES_PORT')}/{part('POSTGRES_DB')}"
"""
ENV = """
from alembic import context
from sqlalchemy import create_engine

{}
with create_engine(url.replace("postgresql:", "postgresql+psycopg2:")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = {0!r}, {1!r}

def upgrade():
    {2}

def downgrade():
    {3}
"""
FIRST = ('op.create_table("projects", sa.Column("id", sa.Integer, primary_key=True))', 'op.drop_table("projects")')
KIND = 'sa.Enum("big", "small", name="kind")'
ADD, DROP = 'op.add_column("projects", sa.Column("name", sa.Text))', 'op.drop_column("projects", "name")'


@pytest.fixture(scope="module")
def scratch(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a role that may make databases, and nothing more."""
    admin = postgres_server.admin_url.reveal()
    run_sql(admin, f"CREATE ROLE scratch_rollback LOGIN CREATEDB PASSWORD '{WORD.reveal()}'")
    yield postgres_server.url_for("postgres", "scratch_rollback", WORD).reveal()
    left = run_sql(admin, "SELECT datname FROM pg_database WHERE datname LIKE 'maestro_scratch_%'")
    run_sql(admin, "DROP ROLE scratch_rollback")
    assert left == []


class Application:
    """A folder with migrations, and the database that they were written for."""

    def __init__(self, folder: Path, database: str, scratch: str) -> None:
        self.folder, self.database, self.scratch = folder, database, scratch
        (folder / "migrations" / "versions").mkdir(parents=True)
        (folder / "alembic.ini").write_text(INI.format(""))
        self.environment(OF_THE_ENVIRONMENT)
        server = database.removeprefix("postgresql://")
        login, _, where = server.rpartition("@")
        (folder / ".env").write_text(
            f"MIGRATE_URL={database}\nPOSTGRES_USER={login.partition(':')[0]}\n"
            f"POSTGRES_PASSWORD={login.partition(':')[2]}\nPOSTGRES_HOST={where.partition(':')[0]}\n"
            f"POSTGRES_PORT={where.partition(':')[2].partition('/')[0]}\nPOSTGRES_DB={where.partition('/')[2]}\n"
        )
        self.revision("first", None, *FIRST)
        run_sql(database, "CREATE TABLE projects (id int)", "INSERT INTO projects VALUES (1)")

    def environment(self, body: str) -> None:
        (self.folder / "migrations" / "env.py").write_text(ENV.format(body))

    def revision(self, name: str, parent: str | None, up: str, down: str) -> None:
        (self.folder / "migrations" / "versions" / f"{name}.py").write_text(REVISION.format(name, parent, up, down))

    def context(self, to: str = "one", more: str = "") -> Context:
        yaml = f"""
            env_file: .env
            database: {{url: '{self.database}', scratch_url: '{self.scratch}', alembic_ini: alembic.ini{more}}}
            readiness: {{rollback: {{to: {to}}}}}
            """
        return context(self.folder, yaml)

    def untouched(self) -> bool:
        return run_sql(self.database, "SELECT id FROM projects") == [(1,)]


@pytest.fixture
def application(project: Path, database: str, scratch: str) -> Iterator[Application]:
    made = Application(project, database, scratch)
    yield made
    assert made.untouched(), "the application's own database is never touched"


@pytest.mark.parametrize("source", [OF_THE_ENVIRONMENT, OF_THE_CONFIGURATION, OF_PARTS], ids=["url", "ini", "parts"])
def test_migrations_that_go_down_and_up_again(application: Application, source: str) -> None:
    application.environment(source)
    application.revision("second", "first", ADD, DROP)
    expect(run_check("readiness.rollback", application.context()), "pass", "before → head → down → again")
    expect(run_check("readiness.rollback", application.context("base")), "pass", "down → base → again")


def test_a_chain_of_one(application: Application) -> None:
    expect(run_check("readiness.rollback", application.context()), "pass", "head → base → again")


def test_a_migration_that_cannot_go_down(application: Application) -> None:
    application.revision("second", "first", ADD, "raise NotImplementedError")
    result = run_check("readiness.rollback", application.context())
    expect(result, "fail", "going down by one revision (second): NotImplementedError")


def test_a_type_that_stays_behind(application: Application) -> None:
    """Alembic's classic: create_table makes the type, drop_table leaves it."""
    up = f'op.create_table("sizes", sa.Column("id", sa.Integer, primary_key=True), sa.Column("kind", {KIND}))'
    application.revision("second", "first", up, 'op.drop_table("sizes")')
    expect(run_check("readiness.rollback", application.context()), "fail", "going up to the head again", "Error")


def test_a_downgrade_that_does_nothing(application: Application) -> None:
    up = 'op.execute("ALTER TABLE projects ADD COLUMN IF NOT EXISTS name text")'
    application.revision("second", "first", up, "pass")
    expect(run_check("readiness.rollback", application.context()), "fail", "undoes nothing", "projects.name")


def test_a_schema_that_comes_back_different(application: Application) -> None:
    up = 'op.execute("ALTER TABLE projects ALTER COLUMN id TYPE bigint"); op.create_index("by_id", "projects", ["id"])'
    up += '; op.execute("ALTER TABLE projects ADD COLUMN IF NOT EXISTS note text")'
    down = 'op.drop_index("by_id"); op.execute("ALTER TABLE projects ALTER COLUMN note SET NOT NULL")'
    application.revision("second", "first", up, down)
    expect(run_check("readiness.rollback", application.context()), "fail", "differs", "not null")


def test_something_that_stays_behind_is_a_warning(application: Application) -> None:
    up = 'op.execute("CREATE TABLE IF NOT EXISTS audit (id int)"); ' + ADD
    application.revision("second", "first", up, DROP)
    expect(run_check("readiness.rollback", application.context()), "warn", "public.audit")


def test_what_does_not_go_up_from_nothing_is_not_judged(application: Application) -> None:
    application.revision("first", None, 'op.execute("ALTER TABLE elsewhere ADD COLUMN name text")', "pass")
    expect(run_check("readiness.rollback", application.context()), "error", "going up to the head")


def test_migrations_that_go_to_the_real_database_are_stopped_before_they_begin(application: Application) -> None:
    application.environment(f"url = {application.database!r}")
    result = run_check("readiness.rollback", application.context())
    expect(result, "error", "do not go where they are told", "nothing was sent to it")


def test_what_has_no_single_head_is_not_rehearsed(application: Application) -> None:
    application.revision("second", "first", ADD, DROP)
    application.revision("other", "first", "pass", "pass")
    expect(run_check("readiness.rollback", application.context()), "error", "have 2 heads; readiness.migrations")
    application.revision("orphan", "nobody", "pass", "pass")
    expect(run_check("readiness.rollback", application.context()), "error", "Alembic cannot read the scripts (")


def test_without_its_keys_it_is_skipped(application: Application) -> None:
    yaml = f"database: {{url: '{application.database}', alembic_ini: alembic.ini}}\n"
    expect(run_check("readiness.rollback", context(application.folder, yaml)), "skip", "readiness.rollback")
    yaml += "readiness: {rollback: {}}\n"
    expect(run_check("readiness.rollback", context(application.folder, yaml)), "skip", "database.scratch_url")


def test_the_reference_service_can_go_back(
    tmp_path: Path, database: str, scratch: str, postgres_server: EmbeddedPostgres
) -> None:
    run_sql(database, "DO $$ BEGIN CREATE ROLE maestro_app; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    folder = ServiceProject.create(tmp_path / "service").directory
    (folder / ".env").write_text(f"DATABASE_URL={database}\nADMIN_DATABASE_URL={database}\n")
    yaml = f"""
        env_file: .env
        database: {{url: '{database}', scratch_url: '{scratch}', alembic_ini: alembic.ini}}
        readiness: {{rollback: {{to: base}}}}
        """
    expect(run_check("readiness.rollback", context(folder, yaml)), "pass", "head → base → again")
    assert run_sql(database, "SELECT count(*) FROM pg_class WHERE relname = 'projects'") == [(0,)]
