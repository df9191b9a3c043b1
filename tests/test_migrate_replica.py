"""The migration beside a real streaming standby: long work waits for one that falls behind."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from postgres_standby import NAME, Standby
from tenants_schema import ROWS, SEED
from test_migrate_apply import run

from maestro_cli import tenants
from maestro_cli.config.tenancy_settings import Tenancy, TenantTable
from maestro_cli.demo.servers import EmbeddedPostgres
from maestro_cli.redaction import Secret
from maestro_cli.tenants.locks import Blocked
from maestro_cli.tenants.runner import Budgets

OTHER = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
TENANCY = Tenancy(tables={"process_metrics": TenantTable(assign=f"'{OTHER}'::uuid", indexes=(("tenant_id",),))})


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("primary")) as server:
        yield server


@pytest.fixture(scope="module")
def standby(primary: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standby]:
    with Standby(tmp_path_factory.mktemp("standby"), primary) as server:
        server.follows()
        yield server


@pytest.fixture
def seeded(primary: EmbeddedPostgres, standby: Standby) -> str:
    name = f"test_{secrets.token_hex(6)}"
    run(primary.admin_url.reveal(), f"CREATE DATABASE {name}")
    url = primary.url_for(name).reveal()
    run(
        url,
        SEED,
        ROWS,
        "CREATE TABLE tenants (id uuid PRIMARY KEY, name text UNIQUE NOT NULL, slug text UNIQUE NOT NULL)",
    )
    run(url, f"INSERT INTO tenants VALUES ('{OTHER}', 'B', 'b')")
    return url


@contextmanager
def stands_still(standby: Standby, database: str) -> Iterator[None]:
    """The standby replays nothing, and there is something to replay."""
    url = standby.admin_url.reveal()
    run(url, "SELECT pg_wal_replay_pause()")
    end = time.monotonic() + 10
    while run(url, "SELECT pg_get_wal_replay_pause_state()") != [("paused",)]:
        assert time.monotonic() < end
        time.sleep(0.02)
    run(
        database,
        "INSERT INTO projects (id, name) SELECT gen_random_uuid(), 'late ' || i FROM generate_series(1, 100) i",
    )
    try:
        yield
    finally:
        run(url, "SELECT pg_wal_replay_resume()")


def test_a_standby_that_falls_behind_is_named_when_patience_ends(seeded: str, standby: Standby) -> None:
    with (
        stands_still(standby, seeded),
        pytest.raises(Blocked, match=rf"because replica {NAME} is \d+ s behind") as caught,
    ):
        tenants.apply(seeded, TENANCY, budgets=Budgets(max_replica_lag_s=0.5, max_lock_wait_s=1.5))
    assert "maestro migrate apply" in str(caught.value)
    begun = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'process_metrics'::regclass AND attname = 'tenant_id'"
    assert run(seeded, begun) == [(0,)]


def test_it_waits_for_the_standby_and_goes_on_by_itself(seeded: str, standby: Standby) -> None:
    waited: list[str] = []
    heard = threading.Event()

    def hear(progress: object) -> None:
        if getattr(progress, "state", "") == "waiting" and "replica" in str(getattr(progress, "what", "")):
            waited.append(str(getattr(progress, "what", "")))
            heard.set()

    with stands_still(standby, seeded):
        thread = threading.Thread(
            target=tenants.apply,
            args=(seeded, TENANCY),
            kwargs={"on_progress": hear, "budgets": Budgets(max_replica_lag_s=0.5)},
        )
        thread.start()
        assert heard.wait(30), "it did not wait"
    thread.join(60)
    assert not thread.is_alive()
    assert NAME in waited[0]
    assert run(seeded, f"SELECT count(*) FROM process_metrics WHERE tenant_id <> '{OTHER}'") == [(0,)]


def test_a_standby_that_follows_holds_nothing_up(seeded: str, standby: Standby) -> None:
    waited: list[object] = []

    def hear(progress: object) -> None:
        if getattr(progress, "state", "") == "waiting" and "replica" in str(getattr(progress, "what", "")):
            waited.append(progress)

    tenants.apply(seeded, TENANCY, on_progress=hear)
    assert waited == []


def test_a_role_that_may_not_see_the_standby_is_told_so(
    seeded: str, primary: EmbeddedPostgres, standby: Standby
) -> None:
    role = f"owner_{secrets.token_hex(4)}"
    run(
        seeded,
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'",
        f"GRANT CREATE, USAGE ON SCHEMA public TO {role}",
        *(f"ALTER TABLE {table} OWNER TO {role}" for table in ("tenants", "projects", "process_metrics")),
    )
    name = seeded.rpartition("/")[2]
    blind = tenants.plan(primary.url_for(name, role, Secret("x")).reveal(), TENANCY)
    assert [note.object for note in blind.notes if note.kind == "replicas-unseen"] == ["pg_stat_replication"]
    assert not [note for note in tenants.plan(seeded, TENANCY).notes if note.kind == "replicas-unseen"]
