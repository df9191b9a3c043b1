"""Applying the migration to a live PostgreSQL: what it makes, whom it waits for, what a kill leaves."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from tenants_schema import ROWS, SEED, TABLES, TENANCY, isolated

from maestro_cli import tenants
from maestro_cli.config.tenancy_settings import DefaultTenant, Tenancy, TenantTable
from maestro_cli.demo.servers import EmbeddedPostgres
from maestro_cli.errors import ConfigurationError
from maestro_cli.tenants.locks import Blocked, Pace
from maestro_cli.tenants.progress import Progress
from maestro_cli.tenants.runner import Budgets, Runner
from maestro_cli.tenants.session import Session

DEFAULT = "371191e4-9748-4b2a-9c7f-2d986463afa7"


def connect(url: str, name: str = "test") -> Any:
    connection = psycopg2.connect(url, application_name=name)
    connection.autocommit = True
    return connection


def run(url: str, *statements: str) -> list[tuple[Any, ...]]:
    connection = connect(url)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows


def dump(server: EmbeddedPostgres, url: str) -> str:
    done = subprocess.run([server.programs / "pg_dump", "-s", url], capture_output=True, text=True, check=True)
    # pg_dump 18 writes a random token round its output.
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("\\"))


@pytest.fixture
def seeded(database: str) -> str:
    run(database, SEED, ROWS)
    return database


def test_the_seed_gets_six_keys_and_eighteen_indexes(seeded: str) -> None:
    tenants.apply(seeded, TENANCY)
    keys = run(
        seeded,
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid), convalidated FROM pg_constraint"
        " WHERE contype = 'f' AND confrelid = 'tenants'::regclass",
    )
    assert sorted(key[0] for key in keys) == sorted(TABLES)
    assert {key[1:] for key in keys} == {("FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE", True)}
    indexes = run(
        seeded,
        "SELECT c.relname, bool_and(indisvalid) FROM pg_index JOIN pg_class c ON c.oid = indexrelid"
        " WHERE indrelid = 'tenants'::regclass OR c.relname LIKE 'ix\\_%' GROUP BY 1",
    )
    assert len(indexes) == 18
    assert all(valid for _, valid in indexes)
    assert {"tenants_pkey", "uq_tenants_name", "uq_tenants_slug"} < {name for name, _ in indexes}
    columns = run(
        seeded,
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
        " WHERE attrelid = 'tenants'::regclass AND attnum > 0 ORDER BY attnum",
    )
    assert [name for name, _, _ in columns] == [
        "id", "name", "slug", "created_at", "is_active", "max_users", "max_projects", "max_artifacts", "meta"
    ]  # fmt: skip
    rows = run(seeded, "SELECT id::text, name, slug, is_active FROM tenants")
    assert rows == [(DEFAULT, "Default Organization", "default", True)]


def test_every_row_belongs_to_the_default_tenant_and_old_code_goes_on(seeded: str) -> None:
    tenants.apply(seeded, TENANCY)
    run(seeded, "INSERT INTO projects (name) VALUES ('made by old code')")
    for table in TABLES:
        found = run(seeded, f"SELECT count(*), count(*) FILTER (WHERE tenant_id = '{DEFAULT}') FROM {table}")
        assert found[0][0] == found[0][1] > 0


def test_the_rows_are_not_rewritten(seeded: str) -> None:
    before = run(seeded, "SELECT pg_relation_filenode('process_metrics'), pg_table_size('process_metrics')")
    tenants.apply(seeded, TENANCY)
    after = run(seeded, "SELECT pg_relation_filenode('process_metrics'), pg_table_size('process_metrics')")
    assert after == before


def test_a_session_that_names_a_tenant_does_not_give_it_to_every_row(seeded: str) -> None:
    other = "22222222-2222-4222-8222-222222222222"
    name = seeded.rpartition("/")[2]
    run(seeded, f"ALTER DATABASE {name} SET app.tenant_id = '{other}'")
    run(seeded, "CREATE ROLE setting_test")
    tenants.apply(seeded, isolated("setting_test"))
    assert run(seeded, "SELECT DISTINCT tenant_id::text FROM projects") == [(DEFAULT,)]
    run(seeded, f"ALTER DATABASE {name} RESET app.tenant_id", "DROP ROLE setting_test")


def test_applying_twice_does_nothing(seeded: str, postgres_server: EmbeddedPostgres) -> None:
    first = tenants.apply(seeded, TENANCY)
    before = dump(postgres_server, seeded)
    assert len(first.steps) > 20
    assert tenants.apply(seeded, TENANCY).steps == ()
    assert tenants.plan(seeded, TENANCY).steps == ()
    assert dump(postgres_server, seeded) == before


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg", "postgres", "postgresql+psycopg2"])
def test_any_postgresql_url_will_do(seeded: str, driver: str) -> None:
    url = seeded.replace("postgresql", driver, 1)
    assert len(tenants.plan(url, TENANCY).steps) == len(tenants.plan(seeded, TENANCY).steps) > 0


@contextmanager
def idle(url: str, *statements: str) -> Iterator[Any]:
    """A transaction that has done something and sits there."""
    connection = psycopg2.connect(url, application_name="coffee break")
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()


READER = "SELECT count(*) FROM process_metrics"
WRITER = "INSERT INTO process_metrics (project_id, metric_type) SELECT id, 'idle' FROM projects LIMIT 1"


@pytest.mark.parametrize("statement", [READER, WRITER], ids=["reader", "writer"])
def test_it_never_queues_behind_a_long_transaction_and_ends_by_itself(seeded: str, statement: str) -> None:
    waited: list[str] = []
    queued: list[Any] = []
    failed: list[BaseException] = []

    def hear(progress: Progress) -> None:
        if progress.state == "waiting":
            waited.append(progress.what)

    def migrate() -> None:
        try:
            tenants.apply(seeded, TENANCY, on_progress=hear)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failed.append(error)

    with idle(seeded, statement):
        time.sleep(0.1)
        thread = threading.Thread(target=migrate)
        thread.start()
        looker = connect(seeded)
        query = (
            "SELECT mode FROM pg_locks WHERE NOT granted AND relation = 'process_metrics'::regclass"
            " AND mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock')"
        )
        until = time.monotonic() + 30
        with looker.cursor() as cursor:
            while not waited and time.monotonic() < until:
                cursor.execute(query)
                queued += cursor.fetchall()
                cursor.execute("SELECT count(*) FROM process_metrics")  # nobody makes a reader wait
        looker.close()
        assert thread.is_alive()
    thread.join(60)
    assert not failed
    assert queued == []
    assert any("coffee break" in what for what in waited)
    assert tenants.plan(seeded, TENANCY).steps == ()


def test_a_table_that_is_never_quiet_is_locked_all_the_same(seeded: str) -> None:
    stop = threading.Event()

    def busy() -> None:
        connection = psycopg2.connect(seeded, application_name="busy")
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("SELECT count(*), pg_sleep(0.08) FROM projects LIMIT 1")
        connection.close()

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        tenants.apply(seeded, TENANCY, budgets=Budgets(max_lock_wait_s=60))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert tenants.plan(seeded, TENANCY).steps == ()


def test_a_blocker_is_named_when_the_budget_ends(seeded: str) -> None:
    with idle(seeded, READER) as connection:
        time.sleep(0.1)
        with pytest.raises(Blocked) as caught:
            tenants.apply(seeded, TENANCY, budgets=Budgets(max_lock_wait_s=0.3))
        pid = connection.info.backend_pid
    text = str(caught.value)
    assert f"pid {pid}, user postgres, application coffee break, idle in transaction for" in text
    assert "query started" in text
    assert f"pg_terminate_backend({pid})" in text
    assert caught.value.exit_code == 3
    assert caught.value.holders[0].pid == pid
    # What was possible was done, and the rest follows.
    assert len(tenants.apply(seeded, TENANCY).steps) > 0


def test_an_index_build_that_waits_too_long_is_given_up_and_built_later(seeded: str) -> None:
    tenants.apply(seeded, Tenancy(tables=dict.fromkeys(TABLES, TenantTable(indexes=(("tenant_id",),)))))
    with idle(seeded, WRITER), pytest.raises(Blocked, match="coffee break, idle in transaction for"):
        tenants.apply(seeded, TENANCY, budgets=Budgets(max_lock_wait_s=0.5))
    tenants.apply(seeded, TENANCY)
    assert tenants.verify(seeded, TENANCY).findings == ()


def test_a_second_run_waits_for_nobody_and_says_who_is_at_it(seeded: str) -> None:
    holder = connect(seeded, "the other run")
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, hashtext('public'))", (0x6D616573,))
        with pytest.raises(Blocked, match=r"another migration of schema public is running: pid .* the other run"):
            tenants.apply(seeded, TENANCY)
        found = tenants.status(seeded, TENANCY)
    holder.close()
    assert found.running is not None
    assert "the other run" in found.running


def test_an_invalid_index_is_dropped_and_built(seeded: str) -> None:
    tenants.apply(seeded, TENANCY)
    name = "ix_projects_tenant_id"
    run(seeded, f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass")
    plan = tenants.plan(seeded, TENANCY)
    assert [step.id for step in plan.steps] == [f"drop-invalid:{name}", f"index:{name}"]
    assert tenants.status(seeded, TENANCY).tables[0].invalid_indexes == (name,)
    tenants.apply(seeded, TENANCY)
    assert run(seeded, f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{name}'::regclass") == [(True,)]


def write_project(folder: Path, url: str, tenancy: dict[str, Any] | None = None) -> None:
    tables = {name: {"indexes": [list(columns) for columns in table.indexes]} for name, table in TABLES.items()}
    configuration = {"version": 1, "database": {"url": url}, "tenancy": {"tables": tables, **(tenancy or {})}}
    (folder / "maestro.yaml").write_text(yaml.safe_dump(configuration))


def maestro(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "maestro_cli", "--config", str(folder / "maestro.yaml"), *arguments]


def test_killed_at_any_point_it_goes_on_to_the_same_schema(
    seeded: str, postgres_server: EmbeddedPostgres, project: Path
) -> None:
    write_project(project, seeded, {"shared": ["users"], "composite_keys": True})
    name = seeded.rpartition("/")[2]
    admin = postgres_server.admin_url.reveal()
    run(admin, f"CREATE DATABASE {name}_whole TEMPLATE {name}")
    whole = postgres_server.url_for(f"{name}_whole").reveal()
    tenancy = Tenancy(tables=TABLES, shared=("users",), composite_keys=True)
    tenants.apply(whole, tenancy)
    expected, rows = dump(postgres_server, whole), run(whole, "SELECT count(*) FROM process_metrics")
    run(admin, f"DROP DATABASE {name}_whole WITH (FORCE)")
    kills = 0
    for number in range(40):
        process = subprocess.Popen(
            maestro(project, "migrate", "apply"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            process.wait(0.1 + number * 0.02)  # later and later, until one gets through
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        _, noise = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -9, noise
    assert kills
    done = subprocess.run(maestro(project, "migrate", "apply"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert dump(postgres_server, seeded) == expected
    assert run(seeded, "SELECT count(*) FROM process_metrics") == rows


def test_a_killed_client_leaves_no_backend(seeded: str, project: Path) -> None:
    write_project(project, seeded)
    # All that needs a strong lock is done before; an index build waits for the writer, and is killed while it waits.
    tenants.apply(seeded, Tenancy(tables=dict.fromkeys(TABLES, TenantTable(indexes=(("tenant_id",),)))))
    with idle(seeded, WRITER):
        process = subprocess.Popen(maestro(project, "-q", "migrate", "apply"), stderr=subprocess.DEVNULL)
        alive = "SELECT pid FROM pg_stat_activity WHERE application_name = 'maestro migrate' AND datname = current_database()"
        building = f"{alive} AND query LIKE 'CREATE INDEX CONCURRENTLY%%' AND wait_event_type = 'Lock'".replace(
            "%%", "%"
        )
        until = time.monotonic() + 30
        while not (found := run(seeded, building)) and time.monotonic() < until:
            time.sleep(0.02)
        process.kill()
        process.wait()
        assert found
        until = time.monotonic() + 20
        while run(seeded, alive) and time.monotonic() < until:
            time.sleep(0.05)
        assert run(seeded, alive) == []
    tenants.apply(seeded, TENANCY)
    assert tenants.status(seeded, TENANCY).done


def test_a_tenancy_that_does_not_fit_changes_nothing(seeded: str, postgres_server: EmbeddedPostgres) -> None:
    before = dump(postgres_server, seeded)
    wrong = Tenancy(
        tables={
            "Projects": TenantTable(),
            "artifacts": TenantTable(indexes=(("tenant_id", "no_such"),)),
            "predictions": TenantTable(assign="nothing → projects"),
        }
    )
    with pytest.raises(ConfigurationError) as caught:
        tenants.apply(seeded, wrong)
    text = str(caught.value)
    assert "no such table in schema public (there is projects)" in text
    assert "artifacts has no column no_such" in text
    assert "predictions has no column nothing" in text
    assert dump(postgres_server, seeded) == before


def test_a_default_tenant_of_the_wrong_type_is_a_configuration_error(seeded: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a whole number"):
        tenants.plan(seeded, Tenancy(type="bigint"))
    with pytest.raises(ConfigurationError, match="is not a uuid"):
        tenants.plan(seeded, Tenancy(default_tenant=DefaultTenant(id="one")))


@pytest.mark.parametrize(("type_", "identity"), [("bigint", "1"), ("text", "o'hara\\ & sons")])
def test_other_types_other_schemas_and_names_that_need_quotes(database: str, type_: Any, identity: str) -> None:
    run(
        database,
        'CREATE SCHEMA "My Schema"',
        'CREATE TABLE "My Schema"."Order" ("select" serial PRIMARY KEY, "Name" text UNIQUE, "100%%" int)'.replace(
            "%%", "%"
        ),
        'CREATE TABLE "My Schema"."Line" ("select" int REFERENCES "My Schema"."Order", n int, PRIMARY KEY ("select", n))',
        'INSERT INTO "My Schema"."Order" ("Name") VALUES (\'a\')',
    )
    tenancy = Tenancy(
        schema="My Schema",
        column="Tenant Id",
        type=type_,
        tenants_table="Tenants",
        default_tenant=DefaultTenant(id=identity),
        unique="per_tenant",
        composite_keys=True,
        tables={"Order": TenantTable(indexes=(("Tenant Id", "100%"),)), "Line": TenantTable()},
    )
    tenants.apply(database, tenancy, contract=True)
    assert tenants.verify(database, tenancy).holds
    assert run(database, 'SELECT DISTINCT "Tenant Id"::text FROM "My Schema"."Order"') == [(identity,)]
    tenants.rollback(database, tenancy)
    assert run(database, "SELECT count(*) FROM pg_attribute WHERE attname = 'Tenant Id'") == [(0,)]


def test_a_schema_that_is_not_there_is_named(seeded: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no schema nowhere"):
        tenants.plan(seeded, Tenancy(schema="nowhere"))


def test_every_candidate_is_proposed_where_no_table_is_named(seeded: str) -> None:
    run(seeded, "CREATE TABLE alembic_version (version_num text)")
    plan = tenants.plan(seeded, Tenancy(shared=("users",)))
    assert plan.proposed
    assert sorted(plan.tables) == sorted(TABLES)


def test_a_nullable_column_that_was_there_is_filled_and_made_not_null(seeded: str) -> None:
    run(seeded, "ALTER TABLE artifacts ADD tenant_id uuid")
    outcome = tenants.apply(seeded, TENANCY)
    assert outcome.assigned_rows == 500
    assert tenants.verify(seeded, TENANCY).holds
    assert run(seeded, "SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conname LIKE 'ck_%'") == [(0,)]


def test_two_thousand_tables_take_the_same_queries(database: str) -> None:
    run(
        database,
        "DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE format('CREATE TABLE t%s (id uuid PRIMARY KEY, n text)', i); END LOOP; END $$",
    )
    log: list[str] = []
    original = Session.execute

    def counting(self: Session, sql: str, parameters: Any = None) -> Any:
        log.append(sql)
        return original(self, sql, parameters)

    Session.execute = counting  # type: ignore[method-assign] # counts, and calls the real one
    try:
        plan = tenants.plan(database, Tenancy())
    finally:
        Session.execute = original  # type: ignore[method-assign]
    assert len(plan.tables) == 300
    assert len(log) < 30


def test_partitions_get_their_indexes_one_by_one(database: str) -> None:
    run(
        database,
        "CREATE TABLE events (id bigint, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        "CREATE TABLE events_2 PARTITION OF events DEFAULT PARTITION BY LIST (id)",
        "CREATE TABLE events_2a PARTITION OF events_2 DEFAULT",
        "INSERT INTO events SELECT i, '2026-05-01' FROM generate_series(1, 10) i",
    )
    tenancy = Tenancy(tables={"events": TenantTable(indexes=(("tenant_id", "at"),))})
    tenants.apply(database, tenancy)
    assert tenants.verify(database, tenancy).holds
    found = run(
        database,
        "SELECT c.relname, indisvalid FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relname LIKE 'ix%' ORDER BY 1",
    )
    names = [
        "ix_events_1_tenant_id_at",
        "ix_events_2_tenant_id_at",
        "ix_events_2a_tenant_id_at",
        "ix_events_tenant_id_at",
    ]
    assert found == [(name, True) for name in names]
    assert tenants.apply(database, tenancy).steps == ()
    tenants.rollback(database, tenancy)
    assert run(database, "SELECT count(*) FROM pg_attribute WHERE attname = 'tenant_id'") == [(0,)]


def test_partitions_before_postgresql_18_get_their_keys_one_by_one(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "server_version", property(lambda _: 170000, lambda *_: None), raising=False)
    run(
        database,
        "CREATE TABLE events (id bigint, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        "CREATE TABLE events_2 PARTITION OF events DEFAULT PARTITION BY LIST (id)",
        "CREATE TABLE events_2a PARTITION OF events_2 DEFAULT",
        "INSERT INTO events SELECT i, '2026-05-01' FROM generate_series(1, 10) i",
    )
    tenancy = Tenancy(tables={"events": TenantTable()})
    keys = [step.id for step in tenants.plan(database, tenancy).steps if "key" in step.id or "validate" in step.id]
    assert keys == [
        "foreign-key:events_1", "validate:events_1", "foreign-key:events_2a", "validate:events_2a", "foreign-key:events"
    ]  # fmt: skip
    tenants.apply(database, tenancy)
    assert tenants.verify(database, tenancy).holds
    found = run(
        database,
        "SELECT conrelid::regclass::text, conparentid <> 0 FROM pg_constraint WHERE contype = 'f' AND convalidated"
        " AND conrelid::regclass::text LIKE 'events%' ORDER BY 1",
    )
    assert found == [("events", False), ("events_1", True), ("events_2", True), ("events_2a", True)]
    tenants.rollback(database, tenancy)
    assert run(database, "SELECT count(*) FROM pg_attribute WHERE attname = 'tenant_id'") == [(0,)]


def test_names_stay_within_the_limit_and_apart(database: str) -> None:
    long = "a" * 60
    run(database, f"CREATE TABLE {long} (id uuid PRIMARY KEY, {long}x int, {long}y int)")
    tenancy = Tenancy(tables={long: TenantTable(indexes=(("tenant_id", f"{long}x"), ("tenant_id", f"{long}y")))})
    tenants.apply(database, tenancy)
    names = [row[0] for row in run(database, "SELECT relname FROM pg_class WHERE relname LIKE 'ix\\_%'")]
    assert len(names) == 2
    assert all(len(name) == 63 and re.search(r"_[0-9a-f]{8}$", name) for name in names)
    assert tenants.plan(database, tenancy).steps == ()


def test_index_builds_get_memory_and_never_less_than_the_server_gives(seeded: str) -> None:
    def given(**budgets: int) -> str:
        with Session(seeded) as session, Runner(session, seeded, TENANCY, Budgets(**budgets), Pace()):
            return str(session.execute("SHOW maintenance_work_mem")[0][0])

    assert given() == "256MB"
    assert given(index_memory_mb=0) == "64MB"
    run(seeded, f"ALTER DATABASE \"{seeded.rpartition('/')[2]}\" SET maintenance_work_mem = '512MB'")
    assert given() == "512MB"


def test_whole_tables_are_read_one_block_at_a_time_and_never_more_than_the_server_would(seeded: str) -> None:
    def given() -> list[str]:
        with Session(seeded) as session, Runner(session, seeded, TENANCY, Budgets(), Pace()):
            return [str(session.execute(f"SHOW {kind}_io_concurrency")[0][0]) for kind in ("effective", "maintenance")]

    run(seeded, f'ALTER DATABASE "{seeded.rpartition("/")[2]}" SET effective_io_concurrency = 16')
    assert given() == ["1", "1"]
    run(seeded, f'ALTER DATABASE "{seeded.rpartition("/")[2]}" SET effective_io_concurrency = 0')
    assert given() == ["0", "1"]
