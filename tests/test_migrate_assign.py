"""Rows that are not the default tenant's: constants, expressions, join paths, on a database that goes on changing."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import psycopg2
import pytest
from test_migrate_apply import idle, run

from maestro_cli import tenants
from maestro_cli.config.tenancy_settings import Rls, Tenancy, TenantTable
from maestro_cli.demo.servers import EmbeddedPostgres
from maestro_cli.tenants.locks import Blocked
from maestro_cli.tenants.runner import Budgets
from maestro_cli.tenants.session import DatabaseError

A, B = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
DEFAULT = "371191e4-9748-4b2a-9c7f-2d986463afa7"

SCHEMA = """
CREATE TABLE projects (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), region text, name text UNIQUE);
CREATE TABLE runs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, project_id uuid NOT NULL REFERENCES projects);
CREATE TABLE steps (run bigint REFERENCES runs, n int, PRIMARY KEY (run, n));
CREATE TABLE settings (key text PRIMARY KEY, value text);
INSERT INTO projects (region, name) SELECT CASE i % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' END, 'p' || i FROM generate_series(1, 300) i;
INSERT INTO runs (project_id) SELECT id FROM projects, generate_series(1, 20);
INSERT INTO steps SELECT id, 1 FROM runs;
INSERT INTO settings VALUES ('a', '100%');
"""

REGION = f"CASE region WHEN 'a' THEN '{A}'::uuid WHEN 'b' THEN '{B}'::uuid END"
TABLES = {
    "projects": TenantTable(assign=REGION),
    "runs": TenantTable(assign="project_id → projects"),
    "steps": TenantTable(assign="run -> runs"),
    "settings": TenantTable(assign=A),
}
TENANCY = Tenancy(tables=TABLES)


@pytest.fixture
def filled(database: str) -> str:
    run(database, SCHEMA)
    tenants.apply(database, Tenancy(tables={"settings": TenantTable()}))
    tenants.rollback(database, Tenancy(tables={"settings": TenantTable()}))
    # The tenants are there before: `maestro tenants create` made them.
    run(
        database,
        "CREATE TABLE tenants (id uuid PRIMARY KEY, name text UNIQUE NOT NULL, slug text UNIQUE NOT NULL)",
        f"INSERT INTO tenants VALUES ('{A}', 'A', 'a'), ('{B}', 'B', 'b')",
    )
    return database


def counts(url: str, table: str) -> dict[str, int]:
    rows = run(url, f"SELECT tenant_id::text, count(*)::int FROM {table} GROUP BY 1")
    return {str(tenant): int(count) for tenant, count in rows}


def test_rows_follow_the_expression_and_the_paths(filled: str) -> None:
    outcome = tenants.apply(filled, TENANCY, budgets=Budgets(batch_rows=70))
    assert counts(filled, "projects") == {A: 100, B: 100, DEFAULT: 100}
    assert counts(filled, "runs") == {A: 2000, B: 2000, DEFAULT: 2000}
    assert counts(filled, "steps") == {A: 2000, B: 2000, DEFAULT: 2000}
    assert counts(filled, "settings") == {A: 1}
    assert outcome.assigned_rows == 200 + 4000 + 4000
    assert run(filled, "SELECT value FROM settings") == [("100%",)]
    assert tenants.apply(filled, TENANCY).steps == ()


def test_a_row_that_comes_later_belongs_to_its_parents_tenant(filled: str) -> None:
    tenants.apply(filled, TENANCY)
    run(
        filled,
        "INSERT INTO projects (region, name) VALUES ('b', 'late')",
        "INSERT INTO runs (project_id) SELECT id FROM projects WHERE name = 'late'",
        "INSERT INTO steps SELECT max(id), 7 FROM runs",
        "INSERT INTO settings VALUES ('late', '')",
    )
    assert run(filled, "SELECT tenant_id::text FROM projects WHERE name = 'late'") == [(B,)]
    assert run(filled, "SELECT tenant_id::text FROM runs ORDER BY id DESC LIMIT 1") == [(B,)]
    assert run(filled, "SELECT tenant_id::text FROM steps WHERE n = 7") == [(B,)]
    assert run(filled, "SELECT tenant_id::text FROM settings WHERE key = 'late'") == [(A,)]


def test_rows_that_move_and_come_during_the_backfill_are_not_missed(filled: str) -> None:
    stop = threading.Event()

    def live() -> None:
        connection = psycopg2.connect(filled)
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("UPDATE projects SET name = name || '' WHERE random() < 0.3")
                cursor.execute("INSERT INTO projects (region, name) VALUES ('a', gen_random_uuid()::text) RETURNING id")
                cursor.execute("INSERT INTO runs (project_id) VALUES (%s)", cursor.fetchone())
        connection.close()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        tenants.apply(filled, TENANCY, budgets=Budgets(batch_rows=20))
    finally:
        stop.set()
        thread.join()
    wrong = f"SELECT count(*) FROM projects WHERE tenant_id IS DISTINCT FROM coalesce({REGION}, '{DEFAULT}')"
    assert run(filled, wrong) == [(0,)]
    crossing = "SELECT count(*) FROM runs r JOIN projects p ON p.id = r.project_id WHERE p.tenant_id <> r.tenant_id"
    assert run(filled, crossing) == [(0,)]
    assert run(filled, "SELECT count(*) > 300 FROM projects") == [(True,)]


def test_interrupted_between_batches_it_goes_on(filled: str) -> None:
    class Interrupted(Exception):  # noqa: N818 - stands for a kill
        pass

    def hear(progress: object) -> None:
        if getattr(progress, "done", 0) > 2000 and getattr(progress, "unit", "") == "rows":
            raise Interrupted

    with pytest.raises(Interrupted):
        tenants.apply(filled, TENANCY, on_progress=hear, budgets=Budgets(batch_rows=100))
    assert 0 < sum(counts(filled, "runs").values()) - counts(filled, "runs").get(DEFAULT, 0) < 4000
    tenants.apply(filled, TENANCY)
    assert counts(filled, "runs") == {A: 2000, B: 2000, DEFAULT: 2000}
    assert "unvalidated" not in {table.foreign_key for table in tenants.status(filled, TENANCY).tables}


def test_a_backfill_waits_for_a_very_old_transaction(filled: str) -> None:
    with idle(filled, "INSERT INTO settings VALUES ('old', '')"):
        budgets = Budgets(max_transaction_age_s=0.05, max_lock_wait_s=0.3)
        tables = {name: TABLES[name] for name in ("projects", "runs", "steps")}
        with pytest.raises(Blocked, match=r"coffee break.* has a transaction open for"):
            tenants.apply(filled, Tenancy(tables=tables), budgets=budgets)
    tenants.apply(filled, TENANCY)
    assert counts(filled, "steps") == {A: 2000, B: 2000, DEFAULT: 2000}


def test_a_tenant_that_does_not_exist_is_named(filled: str) -> None:
    run(filled, f"DELETE FROM tenants WHERE id = '{B}'")
    with pytest.raises(DatabaseError, match="bbbbbbbb-bbbb") as caught:
        tenants.apply(filled, TENANCY)
    assert "maestro tenants create" in str(caught.value)
    run(filled, f"INSERT INTO tenants VALUES ('{B}', 'B', 'b')")
    tenants.apply(filled, TENANCY)
    assert counts(filled, "steps") == {A: 2000, B: 2000, DEFAULT: 2000}


def test_the_script_does_the_same_and_is_clean(filled: str, postgres_server: EmbeddedPostgres, project: Path) -> None:
    from maestro_cli.tenants.plan_script import render
    from maestro_cli.tenants.runner import current_plan
    from maestro_cli.tenants.session import Session

    run(filled, "CREATE ROLE script_role")
    tenancy = Tenancy(tables=TABLES, unique="per_tenant", composite_keys=True, rls=Rls(role="script_role"))
    with Session(filled) as session:
        text = render(*current_plan(session, tenancy, contract=True))
    script = project / "up.sql"
    script.write_text(text)
    squawk = subprocess.run(
        [str(Path(sys.executable).with_name("squawk")), "--reporter", "json", str(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert squawk.stdout.strip() in {"", "[]"}, squawk.stdout
    assert squawk.returncode == 0, squawk.stderr
    psql = str(postgres_server.programs / "psql")
    command = [psql, "--set", "ON_ERROR_STOP=1", "--quiet", "--file", str(script), filled]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert counts(filled, "steps") == {A: 2000, B: 2000, DEFAULT: 2000}
    assert tenants.plan(filled, tenancy, contract=True).steps == ()
    tenants.rollback(filled, tenancy, force=True, map_directory=lambda: project / "map")
    run(filled, "DROP ROLE script_role")


def test_a_saved_map_gives_every_row_its_tenant_again(filled: str, project: Path) -> None:
    folder = project / "map"
    tenancy = Tenancy(tables=TABLES, composite_keys=True)
    tenants.apply(filled, tenancy)
    rows = run(filled, "SELECT run, n, tenant_id FROM steps ORDER BY 1, 2")
    done = tenants.rollback(filled, tenancy, force=True, map_directory=lambda: folder)
    assert {path.name for path in done.saved} == {"projects.csv", "runs.csv", "steps.csv", "settings.csv"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in done.saved)
    assert done.kept_tenants
    plain = Tenancy(tables=dict.fromkeys(TABLES, TenantTable()), composite_keys=True)
    tenants.apply(filled, plain, map_directory=folder)
    assert run(filled, "SELECT run, n, tenant_id FROM steps ORDER BY 1, 2") == rows
    assert counts(filled, "settings") == {A: 1}
    assert tenants.verify(filled, plain).holds
