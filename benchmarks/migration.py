"""Tenant migration under load: maestro beside the floor and beside a naive Alembic revision, in one run.

An application that has never heard of tenants runs at 400 transactions a second (pgbench, open loop: a transaction
that has to queue counts its queueing) while 5 million and 1 million rows become multi-tenant.

    floor    VALIDATE CONSTRAINT and CREATE INDEX CONCURRENTLY alone; the column and key are there before it starts
    maestro  `maestro migrate apply` as a process
    naive    what `alembic revision --autogenerate` and a weekend give: add column, UPDATE, SET NOT NULL, ADD FOREIGN
             KEY, CREATE INDEX, one transaction

    python benchmarks/migration.py                    5 million + 1 million rows, some 15 minutes
    python benchmarks/migration.py --scale 0.02       a minute
    python benchmarks/migration.py --blocker reader   a reader idle in a transaction for 20 s (or: writer)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg2

from maestro_cli.demo.servers import EmbeddedPostgres

SCHEMA = """
CREATE TABLE projects (id uuid PRIMARY KEY, name text NOT NULL, start_date timestamptz DEFAULT now());
CREATE TABLE artifacts (
    id uuid PRIMARY KEY, name text NOT NULL, type text NOT NULL, created_at timestamptz DEFAULT now(), usage_count int,
    meta json, is_active boolean DEFAULT true);
CREATE TABLE artifact_usage (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), artifact_id uuid NOT NULL REFERENCES artifacts,
    project_id uuid NOT NULL REFERENCES projects, used_at timestamptz DEFAULT now());
CREATE TABLE team_members (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), project_id uuid NOT NULL REFERENCES projects);
CREATE TABLE process_metrics (
    id uuid DEFAULT gen_random_uuid(), project_id uuid NOT NULL,
    metric_type text NOT NULL, metric_value float, timestamp timestamptz DEFAULT now(), meta json);
CREATE TABLE predictions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), project_id uuid NOT NULL REFERENCES projects,
    created_at timestamptz DEFAULT now());
INSERT INTO projects (id, name) SELECT md5('p' || i)::uuid, 'project ' || i FROM generate_series(1, 1000) i;
INSERT INTO artifacts (id, name, type, usage_count, meta)
    SELECT md5('a' || i)::uuid, 'artifact ' || i, 'type' || i % 7, 0, json_build_object('size', i, 'tag', 'some words')
    FROM generate_series(1, {artifacts}) i;
INSERT INTO process_metrics (id, project_id, metric_type, metric_value, timestamp, meta)
    SELECT md5('m' || i)::uuid, md5('p' || 1 + i % 1000)::uuid, 'metric' || i % 20, i, now() - i * interval '1 s',
           json_build_object('run', i, 'host', 'worker-' || i % 50, 'note', 'a note of some words for the width of a row')
    FROM generate_series(1, {metrics}) i;
ALTER TABLE process_metrics ADD PRIMARY KEY (id), ADD FOREIGN KEY (project_id) REFERENCES projects;
CREATE INDEX ON process_metrics (project_id);
"""

TRAFFIC = """
\\set m random(1, {metrics})
\\set a random(1, {artifacts})
\\set p random(1, 1000)
BEGIN;
SELECT metric_value FROM process_metrics WHERE id = md5('m' || :m)::uuid;
UPDATE process_metrics SET metric_value = metric_value + 1 WHERE id = md5('m' || :m)::uuid;
INSERT INTO process_metrics (project_id, metric_type, metric_value) VALUES (md5('p' || :p)::uuid, 'live', 1);
UPDATE artifacts SET usage_count = usage_count + 1 WHERE id = md5('a' || :a)::uuid;
INSERT INTO artifact_usage (artifact_id, project_id) VALUES (md5('a' || :a)::uuid, md5('p' || :p)::uuid);
COMMIT;
"""

INDEXES = {
    "projects": ["", ", start_date", ", name"],
    "artifacts": ["", ", created_at", ", type", ", is_active"],
    "artifact_usage": ["", ", used_at"],
    "team_members": [""],
    "process_metrics": ["", ", timestamp", ", metric_type"],
    "predictions": ["", ", created_at"],
}
PARENTS = ("artifacts", "projects")
TENANT = "371191e4-9748-4b2a-9c7f-2d986463afa7"
TENANTS = f"""
CREATE TABLE tenants (id uuid PRIMARY KEY, name text UNIQUE NOT NULL, slug text UNIQUE NOT NULL);
INSERT INTO tenants VALUES ('{TENANT}', 'Default Organization', 'default')"""


@dataclass
class Measured:
    method: str
    total_s: float
    longest_stall_ms: float
    transactions: int
    over_100_ms: int
    over_1_s: int
    failed: int
    max_waiters: int
    lock_wait_s: float
    wal_mb: float
    growth_percent: float
    memory_mb: float = 0.0


class Locks(threading.Thread):
    """Looks every 5 ms who waits for a lock on a relation; transactions that wait for each other's rows don't count."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.waiters, self.waited, self.running = url, 0, 0.0, True

    def run(self) -> None:
        connection = psycopg2.connect(self.url, application_name="sampler")
        connection.autocommit = True
        query = (
            "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted"
            " AND l.locktype = 'relation' AND a.application_name IN ('pgbench', 'maestro migrate', 'naive')"
        )
        last = time.monotonic()
        with connection.cursor() as cursor:
            while self.running:
                cursor.execute(query)
                count = cursor.fetchone()[0]  # type: ignore[index] # an aggregate has a row
                now = time.monotonic()
                self.waiters, self.waited = max(self.waiters, count), self.waited + count * (now - last)
                last = now
                time.sleep(0.005)
        connection.close()


def connect(url: str, name: str = "benchmark") -> Any:
    connection = psycopg2.connect(url, application_name=name)
    connection.autocommit = True
    return connection


def execute(url: str, *statements: str, name: str = "benchmark") -> None:
    connection = connect(url, name)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def value(url: str, query: str) -> Any:
    connection = connect(url)
    with connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    connection.close()
    return row[0]


def add_columns(url: str) -> None:
    execute(url, TENANTS)
    for table in INDEXES:
        execute(
            url,
            f"ALTER TABLE {table} ADD COLUMN tenant_id uuid NOT NULL DEFAULT '{TENANT}', ADD CONSTRAINT fk_{table}"
            " FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE NOT VALID",
        )


def floor(url: str, _: Path) -> float:
    for table in INDEXES:
        execute(url, f"ALTER TABLE {table} VALIDATE CONSTRAINT fk_{table}", name="floor")
    for table, ends in INDEXES.items():
        for end in ends:
            execute(url, f"CREATE INDEX CONCURRENTLY ON {table} (tenant_id{end})", name="floor")
    return 0.0


def maestro(url: str, folder: Path) -> float:
    tables = {t: {"indexes": [["tenant_id", *e.strip(", ").split()] for e in ends]} for t, ends in INDEXES.items()}
    configuration = {"version": 1, "database": {"url": "${BENCHMARK_URL}"}, "tenancy": {"tables": tables}}
    (folder / "maestro.yaml").write_text(json.dumps(configuration))
    environment = {**os.environ, "BENCHMARK_URL": url}
    process = subprocess.Popen(
        [sys.executable, "-m", "maestro_cli", "migrate", "apply"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"maestro migrate apply ended with {process.returncode}")
    return usage.ru_maxrss / 1024


def naive(url: str, _: Path) -> float:
    connection = psycopg2.connect(url, application_name="naive")
    with connection, connection.cursor() as cursor:
        cursor.execute(TENANTS)
        # Children first: the other way round it deadlocks with the application and is rolled back after minutes.
        for table, ends in sorted(
            INDEXES.items(), key=lambda item: PARENTS.index(item[0]) if item[0] in PARENTS else -1
        ):
            cursor.execute(f"ALTER TABLE {table} ADD COLUMN tenant_id uuid")
            cursor.execute(f"UPDATE {table} SET tenant_id = '{TENANT}'")
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN tenant_id SET NOT NULL")
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN tenant_id SET DEFAULT '{TENANT}'")
            cursor.execute(f"ALTER TABLE {table} ADD FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE")
            for end in ends:
                cursor.execute(f"CREATE INDEX ON {table} (tenant_id{end})")
    connection.close()
    return 0.0


def hold(url: str, kind: str, seconds: float) -> threading.Thread:
    """Somebody reads (or writes) the big table and goes for coffee in the middle of the transaction."""
    begun = threading.Event()

    def idle() -> None:
        connection = psycopg2.connect(url, application_name=f"idle {kind}")
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM (SELECT FROM process_metrics LIMIT 5) AS few")
            if kind == "writer":
                cursor.execute("INSERT INTO process_metrics (project_id, metric_type) VALUES (md5('p1')::uuid, 'idle')")
            begun.set()
            time.sleep(seconds)
        connection.commit()
        connection.close()

    thread = threading.Thread(target=idle, daemon=True)
    thread.start()
    begun.wait(30)
    return thread


def measure(
    name: str, run: Callable[[str, Path], float], server: EmbeddedPostgres, options: argparse.Namespace
) -> Measured:
    admin, url = server.admin_url.reveal(), server.url_for("bench").reveal()
    execute(
        admin, "DROP DATABASE IF EXISTS bench WITH (FORCE)", "CREATE DATABASE bench TEMPLATE loaded STRATEGY FILE_COPY"
    )
    if run is floor:
        add_columns(url)
    execute(url, "VACUUM ANALYZE", "CHECKPOINT")
    with tempfile.TemporaryDirectory() as name_:
        folder = Path(name_)
        script = folder / "traffic.sql"
        script.write_text(TRAFFIC.format(metrics=options.metrics, artifacts=options.artifacts))
        command = [
            str(server.programs / "pgbench"), "--no-vacuum", f"--client={options.clients}", "--jobs=2",
            f"--rate={options.rate}", "--time=7200", "--log", f"--log-prefix={folder / 'log'}", "--max-tries=3",
            f"--file={script}", url,
        ]  # fmt: skip
        traffic = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder)
        try:
            time.sleep(options.warm_up)
            locks = Locks(url)
            locks.start()
            size = "SELECT sum(pg_table_size(c.oid)) FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            before, wal = value(url, size), value(url, "SELECT pg_current_wal_lsn()")
            blocker = hold(url, options.blocker, 20) if options.blocker and run is not naive else None
            began, began_wall = time.monotonic(), time.time()
            try:
                memory = run(url, folder)
            except psycopg2.Error as error:
                memory, name = 0.0, f"{name} (rolled back: {str(error).splitlines()[0]})"
            total, ended_wall = time.monotonic() - began, time.time()
            if blocker is not None:
                blocker.join()
            written = value(url, f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{wal}')")
            after = value(url, size)
            time.sleep(1)
            locks.running = False
            locks.join()
        finally:
            traffic.terminate()
            traffic.wait()
        latencies, failed = [], 0
        for log in folder.glob("log*"):
            for line in log.read_text().splitlines():
                fields = line.split()
                if len(fields) < 6:
                    continue
                if not fields[2].isdigit():
                    failed += 1
                    continue
                end = int(fields[4]) + int(fields[5]) / 1e6
                if began_wall <= end <= ended_wall + 1:
                    latencies.append(int(fields[2]) / 1000)
    return Measured(
        method=name, total_s=round(total, 2), longest_stall_ms=round(max(latencies, default=0), 1),
        transactions=len(latencies), over_100_ms=sum(t > 100 for t in latencies),
        over_1_s=sum(t > 1000 for t in latencies), failed=failed, max_waiters=locks.waiters,
        lock_wait_s=round(locks.waited, 3), wal_mb=round(float(written) / 1e6, 1),
        growth_percent=round(100 * float(after - before) / float(before), 2), memory_mb=round(memory, 1),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rate", type=int, default=400)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--warm-up", type=float, default=5)
    parser.add_argument("--blocker", choices=["reader", "writer"])
    parser.add_argument("--methods", default="floor,maestro,naive")
    parser.add_argument("--repeat", type=int, default=1, help="runs of floor and maestro")
    options = parser.parse_args()
    options.metrics, options.artifacts = int(5_000_000 * options.scale), int(1_000_000 * options.scale)
    methods: dict[str, Callable[[str, Path], float]] = {"floor": floor, "maestro": maestro, "naive": naive}
    results = []
    settings = {"shared_buffers": "1GB", "max_wal_size": "16GB", "checkpoint_timeout": "30min"}
    with (
        tempfile.TemporaryDirectory(prefix="maestro-migration-") as folder,
        EmbeddedPostgres(Path(folder), durable=True, settings=settings) as server,
    ):
        execute(server.admin_url.reveal(), "CREATE DATABASE loaded")
        loaded = server.url_for("loaded").reveal()
        execute(loaded, SCHEMA.format(metrics=options.metrics, artifacts=options.artifacts))
        execute(loaded, "VACUUM ANALYZE")
        for name in options.methods.split(","):
            for _ in range(1 if name == "naive" else options.repeat):
                results.append(measure(name, methods[name], server, options))
                print(json.dumps(asdict(results[-1])), flush=True)


if __name__ == "__main__":
    main()
