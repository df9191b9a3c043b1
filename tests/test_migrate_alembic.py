"""Alembic at the wheel: maestro's own environment, and a revision in a team's own chain."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tenants_schema import ROWS, SEED, TABLES, TENANCY
from test_migrate_apply import dump, run, write_project

from maestro_cli import tenants
from maestro_cli.config.tenancy_settings import Tenancy, TenantTable
from maestro_cli.demo.servers import EmbeddedPostgres
from maestro_cli.errors import Refused, UsageError
from maestro_cli.tenants.revision import head_of

ROOT = Path(__file__).parents[1]

TEAM_ENV = """
import os
from alembic import context
from sqlalchemy import create_engine
with create_engine(os.environ["TEAM_URL"]).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""


def alembic(folder: Path, *arguments: str, ini: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alembic", "-c", str(ini), *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_upgrade_head_by_hand_does_what_apply_does(
    database: str, postgres_server: EmbeddedPostgres, project: Path
) -> None:
    run(database, SEED, ROWS)
    write_project(project, database, {"shared": ["users"]})
    before = dump(postgres_server, database)
    ini = ROOT / "migrations" / "alembic.ini"
    done = alembic(project, "upgrade", "head", ini=ini)
    assert done.returncode == 0, done.stderr
    assert run(database, "SELECT version_num FROM maestro.alembic_version") == [("0001_tenants",)]
    by_alembic = dump(postgres_server, database)
    assert tenants.plan(database, TENANCY).steps == ()
    assert "0001_tenants" in alembic(project, "current", ini=ini).stdout
    back = alembic(project, "downgrade", "base", ini=ini)
    assert back.returncode == 0, back.stderr
    tenants.apply(database, TENANCY)
    assert dump(postgres_server, database) == by_alembic
    assert run(database, "SELECT version_num FROM maestro.alembic_version") == [("0001_tenants",)]
    tenants.rollback(database, TENANCY)
    assert dump(postgres_server, database) == before


def test_a_table_that_is_named_later_is_migrated_by_the_next_upgrade(database: str, project: Path) -> None:
    run(database, SEED, ROWS)
    tenants.apply(database, Tenancy(tables={"projects": TenantTable()}))
    write_project(project, database)
    done = alembic(project, "upgrade", "head", ini=ROOT / "migrations" / "alembic.ini")
    assert done.returncode == 0, done.stderr
    assert tenants.plan(database, TENANCY).steps == ()


@pytest.fixture
def chain(project: Path) -> Path:
    """A team's own Alembic chain with one revision."""
    versions = project / "team" / "versions"
    versions.mkdir(parents=True)
    (project / "team" / "env.py").write_text(TEAM_ENV)
    (project / "team" / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s\n")
    (versions / "abc_first.py").write_text(
        "revision: str = 'abc'\ndown_revision = None\ndef upgrade(): pass\ndef downgrade(): pass\n"
    )
    return project / "team"


def test_a_teams_own_chain_gets_the_same_schema(database: str, postgres_server: EmbeddedPostgres, chain: Path) -> None:
    run(database, SEED, ROWS)
    tenancy = Tenancy(
        tables={**TABLES, "users": TenantTable(assign="(SELECT '371191e4-9748-4b2a-9c7f-2d986463afa7'::uuid)")},
        composite_keys=True,
    )
    path = tenants.alembic_revision(database, tenancy, chain / "versions")
    text = path.read_text()
    assert "maestro_cli" not in text
    assert "down_revision = 'abc'" in text
    done = alembic(
        chain,
        "upgrade",
        "head",
        ini=chain / "alembic.ini",
        TEAM_URL=database.replace("postgresql", "postgresql+psycopg2", 1),
    )
    assert done.returncode == 0, done.stderr
    assert tenants.plan(database, tenancy).steps == ()
    assert tenants.verify(database, tenancy).holds
    by_team = dump(postgres_server, database).replace("alembic_version", "")
    assert "ix_projects_tenant_id" in by_team
    with pytest.raises(Refused, match="nothing is left"):
        tenants.alembic_revision(database, tenancy, chain / "versions")


def test_a_teams_own_chain_goes_back_too(database: str, postgres_server: EmbeddedPostgres, chain: Path) -> None:
    run(database, SEED, ROWS)
    url = database.replace("postgresql", "postgresql+psycopg2", 1)
    assert alembic(chain, "upgrade", "abc", ini=chain / "alembic.ini", TEAM_URL=url).returncode == 0
    before = dump(postgres_server, database)
    tenants.alembic_revision(database, TENANCY, chain / "versions")
    assert alembic(chain, "upgrade", "head", ini=chain / "alembic.ini", TEAM_URL=url).returncode == 0
    other = "22222222-2222-4222-8222-222222222222"
    run(database, f"INSERT INTO tenants VALUES ('{other}', 'B', 'b')", f"UPDATE artifacts SET tenant_id = '{other}'")
    refused = alembic(chain, "downgrade", "-1", ini=chain / "alembic.ini", TEAM_URL=url)
    assert refused.returncode == 1
    assert "other tenants have rows in artifacts" in refused.stderr
    run(database, "UPDATE artifacts SET tenant_id = DEFAULT")
    done = alembic(chain, "downgrade", "-1", ini=chain / "alembic.ini", TEAM_URL=url)
    assert done.returncode == 0, done.stderr
    assert dump(postgres_server, database) == before


def test_the_head_of_a_chain_is_found_or_refused(chain: Path) -> None:
    versions = chain / "versions"
    assert head_of(versions) == "abc"
    (versions / "b.py").write_text("revision = 'b'\ndown_revision = 'abc'\n")
    (versions / "c.py").write_text("revision = 'c'\ndown_revision = ('abc',)\n")
    with pytest.raises(Refused, match="several heads: b, c"):
        head_of(versions)
    with pytest.raises(UsageError):
        head_of(chain / "nowhere")
