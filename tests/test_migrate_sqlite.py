"""The migration on SQLite: the column without touching a row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro_cli import tenants
from maestro_cli.config.tenancy_settings import Tenancy, TenantTable
from maestro_cli.errors import ConfigurationError, OutOfReach, Refused
from maestro_cli.tenants.rows import Tenants

DEFAULT = "371191e4-9748-4b2a-9c7f-2d986463afa7"
TABLES = {
    "projects": TenantTable(indexes=(("tenant_id",), ("tenant_id", "name"))),
    "runs": TenantTable(assign="project_id → projects"),
}
TENANCY = Tenancy(tables=TABLES, unique="per_tenant")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a b.db"
    connection = sqlite3.connect(file)
    connection.executescript(
        """
        CREATE TABLE projects (id TEXT PRIMARY KEY, name TEXT, "order" INT);
        CREATE UNIQUE INDEX one_name ON projects (name);
        CREATE TABLE runs (id INTEGER PRIMARY KEY, project_id TEXT REFERENCES projects (id));
        INSERT INTO projects VALUES ('p', 'p', 1), ('q', 'q', 2);
        INSERT INTO runs (project_id) VALUES ('p'), ('q'), ('q');
        """
    )
    connection.close()
    return file


@pytest.fixture
def file(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def url(path: Path, driver: str = "sqlite") -> str:
    return f"{driver}:///{path}"


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return sorted(connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_master"))


def test_forward_back_forward(path: Path, file: sqlite3.Connection) -> None:
    before = schema(file)
    first = tenants.apply(url(path, "sqlite+aiosqlite"), TENANCY)
    assert first.steps[:3] == ("tenants:tenants", "default-tenant:tenants", "column:projects")
    forward = schema(file)
    assert {row[0] for row in file.execute("SELECT tenant_id FROM projects UNION SELECT tenant_id FROM runs")} == {
        DEFAULT
    }
    assert tenants.apply(url(path), TENANCY).steps == ()
    assert tenants.status(url(path), TENANCY).done
    assert tenants.verify(url(path), TENANCY).holds
    key = file.execute("PRAGMA foreign_key_list(projects)").fetchall()[0]
    assert (key[2], key[3], key[6]) == ("tenants", "tenant_id", "CASCADE")
    tenants.rollback(url(path), TENANCY)
    assert schema(file) == before
    tenants.apply(url(path), TENANCY)
    assert schema(file) == forward
    assert file.execute("SELECT count(*) FROM runs").fetchone() == (3,)


def test_the_table_is_not_copied(path: Path, file: sqlite3.Connection) -> None:
    place = "SELECT rootpage, (SELECT count(*) FROM runs) FROM sqlite_master WHERE name = 'runs'"
    before = file.execute(place).fetchone()
    tenants.apply(url(path), Tenancy(tables={"runs": TenantTable()}))
    assert file.execute(place).fetchone() == before
    assert file.execute("SELECT DISTINCT tenant_id FROM runs").fetchall() == [(DEFAULT,)]


def test_rows_follow_their_parent(path: Path, file: sqlite3.Connection) -> None:
    tenants.apply(url(path), Tenancy(tables={"projects": TenantTable()}))
    with Tenants(url(path), TENANCY) as table:
        other = table.create("Other", limits={}).id
    file.execute("UPDATE projects SET tenant_id = ? WHERE id = 'q'", (other,))
    tenants.apply(url(path), TENANCY)
    assert file.execute("SELECT project_id, tenant_id FROM runs ORDER BY id").fetchall() == [
        ("p", DEFAULT),
        ("q", other),
        ("q", other),
    ]
    file.execute("INSERT INTO runs (project_id) VALUES ('q')")
    assert file.execute("SELECT tenant_id FROM runs ORDER BY id DESC LIMIT 1").fetchone() == (other,)
    with pytest.raises(Refused, match="rows in projects"):
        tenants.rollback(url(path), TENANCY)


def test_uuids_as_sqlalchemy_stores_them(tmp_path: Path) -> None:
    path = tmp_path / "compact.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE projects (id CHAR(32) PRIMARY KEY)")
    connection.execute("INSERT INTO projects VALUES ('0')")
    connection.commit()
    tenants.apply(url(path), Tenancy())
    assert connection.execute("SELECT tenant_id FROM projects").fetchone() == (DEFAULT.replace("-", ""),)
    with Tenants(url(path), Tenancy()) as table:
        assert len(table.create("B", limits={}).id) == 32
        assert table.find(DEFAULT).slug == "default"
    connection.close()


def test_orphans_are_found(path: Path, file: sqlite3.Connection) -> None:
    tenants.apply(url(path), TENANCY)
    file.execute("UPDATE projects SET tenant_id = 'nobody' WHERE id = 'q'")
    found = tenants.verify(url(path), TENANCY)
    assert [finding.kind for finding in found.findings] == ["orphaned-rows"]
    assert not found.holds


def test_what_can_not_be_done_is_said(path: Path, tmp_path: Path) -> None:
    with pytest.raises(OutOfReach, match="there is no database file"):
        tenants.plan(url(tmp_path / "no.db"), TENANCY)
    assert not (tmp_path / "no.db").exists()
    with pytest.raises(ConfigurationError, match="no such table: nothing"):
        tenants.plan(url(path), Tenancy(tables={"nothing": TenantTable()}))
