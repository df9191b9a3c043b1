"""The way back: by the rules, to the same schema, without losing a row."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from tenants_schema import ROWS, SEED, TABLES, isolated
from test_migrate_apply import dump, run

from maestro_cli import tenants
from maestro_cli.config.tenancy_settings import Rls, Tenancy, TenantTable
from maestro_cli.demo.servers import EmbeddedPostgres
from maestro_cli.errors import Refused
from maestro_cli.tenants.session import DatabaseError

DEFAULT = "371191e4-9748-4b2a-9c7f-2d986463afa7"
OTHER = "5d2d4c8e-7f4f-4be5-9a53-0c6f3ba7e2d1"
UNIQUES = """
ALTER TABLE projects ADD CONSTRAINT projects_name_key UNIQUE (name);
CREATE UNIQUE INDEX "Odd Name" ON artifacts (lower(name), created_at DESC) INCLUDE (type) WHERE is_active;
ALTER TABLE team_members ADD UNIQUE NULLS NOT DISTINCT (role, id) DEFERRABLE INITIALLY DEFERRED;
"""


@pytest.fixture
def tenancy(database: str) -> Iterator[Tenancy]:
    role = f"app_{secrets.token_hex(4)}"
    run(database, SEED, UNIQUES, ROWS, f"CREATE ROLE {role}", f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    yield isolated(role)
    run(database, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def rows(url: str) -> list[tuple[object, ...]]:
    return [row for table in TABLES for row in run(url, f"SELECT count(*), min(id::text), max(id::text) FROM {table}")]


@pytest.mark.parametrize("contract", [False, True])
def test_forward_back_forward(
    database: str, postgres_server: EmbeddedPostgres, tenancy: Tenancy, contract: bool
) -> None:
    if contract:  # what the contract step revokes is not given back
        run(database, f"REVOKE TRUNCATE, TRIGGER, REFERENCES ON ALL TABLES IN SCHEMA public FROM {tenancy.rls.role}")  # type: ignore[union-attr] # isolated() sets it
    before, there = dump(postgres_server, database), rows(database)
    tenants.apply(database, tenancy, contract=contract)
    forward = dump(postgres_server, database)
    tenants.rollback(database, tenancy)
    assert dump(postgres_server, database) == before
    assert rows(database) == there
    tenants.apply(database, tenancy, contract=contract)
    assert dump(postgres_server, database) == forward
    assert rows(database) == there


def test_refused_while_another_tenant_has_rows(
    database: str, postgres_server: EmbeddedPostgres, tenancy: Tenancy
) -> None:
    tenants.apply(database, tenancy, contract=True)
    other = str(run(database, "INSERT INTO tenants (name, slug) VALUES ('B', 'b') RETURNING id::text")[0][0])
    run(database, f"SET app.tenant_id = '{other}'; INSERT INTO artifacts (name) VALUES ('theirs')")
    before = dump(postgres_server, database)
    with pytest.raises(Refused, match=f"{other} in artifacts") as caught:
        tenants.rollback(database, tenancy)
    assert "--force" in str(caught.value)
    assert caught.value.exit_code == 1
    assert dump(postgres_server, database) == before


def test_forced_it_saves_the_map_first(database: str, tenancy: Tenancy, tmp_path: Path) -> None:
    tenants.apply(database, tenancy, contract=True)
    other = str(run(database, "INSERT INTO tenants (name, slug) VALUES ('B', 'b') RETURNING id::text")[0][0])
    key = str(
        run(
            database,
            f"SET app.tenant_id = '{other}'; INSERT INTO artifacts (name) VALUES ('theirs') RETURNING id::text",
        )[0][0]
    )
    done = tenants.rollback(database, tenancy, force=True, map_directory=lambda: tmp_path / "map")
    assert (tmp_path / "map" / "artifacts.csv").read_text().split() == ["id,tenant_id", f"{key},{other}"]
    assert done.kept_tenants
    assert run(database, f"SELECT name FROM tenants WHERE id = '{other}'") == [("B",)]
    tenants.apply(database, tenancy, contract=True, map_directory=tmp_path / "map")
    assert run(database, f"SELECT name FROM artifacts WHERE tenant_id = '{other}'") == [("theirs",)]


def test_two_tenants_with_the_same_value_stop_it_before_anything_is_undone(
    database: str, postgres_server: EmbeddedPostgres, tenancy: Tenancy, tmp_path: Path
) -> None:
    tenants.apply(database, tenancy, contract=True)
    other = str(run(database, "INSERT INTO tenants (name, slug) VALUES ('B', 'b') RETURNING id::text")[0][0])
    run(database, f"SET app.tenant_id = '{other}'; INSERT INTO projects (name) VALUES ('project 1')")
    before = dump(postgres_server, database)
    with pytest.raises(DatabaseError, match="projects_name_key") as caught:
        tenants.rollback(database, tenancy, force=True, map_directory=lambda: tmp_path / "map")
    assert "Two tenants have the same value" in str(caught.value)
    assert dump(postgres_server, database) == before


def test_an_owner_who_is_subject_to_the_policies_counts_all_the_same(
    database: str, postgres_server: EmbeddedPostgres, tenancy: Tenancy, tmp_path: Path
) -> None:
    owner, name = f"owner_{secrets.token_hex(4)}", database.rpartition("/")[2]
    run(
        database,
        f"CREATE ROLE {owner} LOGIN PASSWORD 'x'",
        f"ALTER DATABASE {name} OWNER TO {owner}",
        f"ALTER SCHEMA public OWNER TO {owner}",
        *(f"ALTER TABLE {table} OWNER TO {owner}" for table in ("users", *TABLES)),
        f"GRANT {tenancy.rls.role} TO {owner}",  # type: ignore[union-attr] # isolated() sets it
    )
    start = postgres_server.url_for(name, owner).reveal()
    url = start.replace(start.split("://")[1].split("@")[0], f"{owner}:x")
    tenants.apply(url, tenancy, contract=True)
    found = tenants.verify(url, tenancy)
    assert [str(finding) for finding in found.findings if finding.severity == "error"] == []
    other = str(run(database, "INSERT INTO tenants (name, slug) VALUES ('B', 'b') RETURNING id::text")[0][0])
    run(database, f"SET app.tenant_id = '{other}'; INSERT INTO artifacts (name) VALUES ('theirs')")
    with pytest.raises(Refused, match=other):
        tenants.rollback(url, tenancy)
    done = tenants.rollback(url, tenancy, force=True, map_directory=lambda: tmp_path / "map")
    assert len((tmp_path / "map" / "artifacts.csv").read_text().split()) == 2
    assert done.kept_tenants
    run(database, f"REASSIGN OWNED BY {owner} TO postgres", f"DROP OWNED BY {owner}", f"DROP ROLE {owner}")


def test_a_column_that_was_there_before_is_never_dropped(database: str, postgres_server: EmbeddedPostgres) -> None:
    run(
        database,
        "CREATE TABLE tenants (id uuid PRIMARY KEY, name text UNIQUE NOT NULL, slug text UNIQUE NOT NULL)",
        f"INSERT INTO tenants VALUES ('{DEFAULT}', 'Default Organization', 'default')",
        "CREATE TABLE notes (id bigint PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES tenants ON DELETE CASCADE)",
        f"INSERT INTO notes VALUES (1, '{DEFAULT}')",
        "CREATE TABLE plain (id bigint PRIMARY KEY)",
    )
    both = Tenancy(tables={"notes": TenantTable(), "plain": TenantTable()})
    tenants.apply(database, both)
    before = dump(postgres_server, database)
    with pytest.raises(
        Refused, match=r"tenant_id of notes was there before .*notes_tenant_id_fkey.* out of tenancy.tables"
    ):
        tenants.rollback(database, both)
    assert dump(postgres_server, database) == before
    tenants.rollback(database, Tenancy(tables={"plain": TenantTable()}))
    assert run(database, "SELECT tenant_id::text FROM notes") == [(DEFAULT,)]
    assert run(
        database, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'plain'::regclass AND attname = 'tenant_id'"
    ) == [(0,)]


def test_a_column_that_was_found_without_a_key_comes_back_as_it_was(
    database: str, postgres_server: EmbeddedPostgres, role: str
) -> None:
    run(
        database,
        "CREATE TABLE notes (id bigint PRIMARY KEY, body text, tenant_id uuid DEFAULT NULL)",
        "CREATE INDEX ix_notes_tenant_id ON notes (tenant_id)",
        f"INSERT INTO notes VALUES (1, 'a', '{DEFAULT}'), (2, 'b', '{OTHER}')",
        "CREATE TABLE plain (id bigint PRIMARY KEY)",
        "CREATE TABLE tenants (id uuid PRIMARY KEY, name text UNIQUE NOT NULL, slug text UNIQUE NOT NULL)",
        f"INSERT INTO tenants VALUES ('{DEFAULT}', 'Default Organization', 'default'), ('{OTHER}', 'B', 'b')",
        f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON notes, plain TO {role}",
        f"GRANT SELECT ON tenants TO {role}",
    )
    before = dump(postgres_server, database)
    tables = {"notes": TenantTable(indexes=(("tenant_id",), ("tenant_id", "id"))), "plain": TenantTable()}
    both = Tenancy(tables=tables, rls=Rls(role=role))
    tenants.apply(database, both, contract=True)
    assert "ix_notes_tenant_id_id" in dump(postgres_server, database)
    done = tenants.rollback(database, both)
    assert dump(postgres_server, database) == before
    assert not done.saved  # whose row is whose is still told by the column
    assert run(database, "SELECT id, tenant_id::text FROM notes ORDER BY 1") == [(1, DEFAULT), (2, OTHER)]


def test_a_key_of_the_same_name_but_not_of_maestro_keeps_its_column(
    database: str, postgres_server: EmbeddedPostgres
) -> None:
    run(
        database,
        "CREATE TABLE tenants (id uuid PRIMARY KEY, name text UNIQUE NOT NULL, slug text UNIQUE NOT NULL)",
        f"INSERT INTO tenants VALUES ('{DEFAULT}', 'Default Organization', 'default')",
        "CREATE TABLE notes (id bigint PRIMARY KEY, tenant_id uuid NOT NULL"
        " CONSTRAINT fk_notes_tenant_id_tenants REFERENCES tenants)",
    )
    tenancy = Tenancy(tables={"notes": TenantTable()})
    tenants.apply(database, tenancy)
    before = dump(postgres_server, database)
    with pytest.raises(Refused, match=r"was there before .*fk_notes_tenant_id_tenants, without maestro's comment"):
        tenants.rollback(database, tenancy)
    assert dump(postgres_server, database) == before
