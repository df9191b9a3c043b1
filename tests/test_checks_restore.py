"""A restore that works, in a database made for it: real dumps of a real database, put back by PostgreSQL's programs."""

from __future__ import annotations

import gzip
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg2
import pytest
from check_support import context, expect, run_check, run_sql

from maestro_cli.api import Context
from maestro_cli.demo.servers import EmbeddedPostgres
from maestro_cli.observe.scratch_database import scratch_database
from maestro_cli.redaction import Secret

pytestmark = pytest.mark.timeout(120)
WORD = Secret("scratch-pass-phrase")
TABLES = (
    "CREATE TABLE projects (id int PRIMARY KEY, name text)",
    "CREATE TABLE members (id int PRIMARY KEY, project int REFERENCES projects)",
    "INSERT INTO projects SELECT n, E'line\\n\\\\.\\nGRANT ALL;' FROM generate_series(1, 500) n",
    "INSERT INTO members SELECT n, n FROM generate_series(1, 200) n",
    "CREATE TABLE empty (id int)",
    "ALTER TABLE members ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE members FORCE ROW LEVEL SECURITY",
    "CREATE POLICY own ON members USING (project = current_setting('app.project')::int)",
    "ANALYZE",
)


@pytest.fixture(scope="module")
def scratch(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a role that may make databases, and nothing more."""
    admin = postgres_server.admin_url.reveal()
    run_sql(admin, f"CREATE ROLE scratch_restore LOGIN CREATEDB PASSWORD '{WORD.reveal()}'")
    yield postgres_server.url_for("postgres", "scratch_restore", WORD).reveal()
    left = run_sql(admin, "SELECT datname FROM pg_database WHERE datname LIKE 'maestro_scratch_%'")
    run_sql(admin, "DROP ROLE scratch_restore")
    assert left == []


class Dumped:
    """A database, and a folder for dumps of it."""

    def __init__(self, folder: Path, database: str, server: EmbeddedPostgres, scratch: str) -> None:
        self.folder, self.database, self.server, self.scratch = folder, database, server, scratch
        (folder / "backups").mkdir()
        run_sql(database, *TABLES)

    def dump(self, *options: str, name: str = "all.dump") -> Path:
        path = self.folder / "backups" / name
        argv = [str(self.server.programs / "pg_dump"), *options, "-f", str(path), self.database]
        subprocess.run(argv, check=True, capture_output=True)
        return path

    def context(self, more: str = "", scratch: str | None = None) -> Context:
        programs = f"programs: '{self.server.programs}'"
        return context(
            self.folder,
            f"""
            database: {{url: '{self.database}', scratch_url: '{self.scratch if scratch is None else scratch}'}}
            readiness: {{backups: {{files: ['backups/*'], {programs}, restore: {{{more}}}}}}}
            """,
        )


@pytest.fixture
def dumped(project: Path, database: str, postgres_server: EmbeddedPostgres, scratch: str) -> Dumped:
    return Dumped(project, database, postgres_server, scratch)


def databases(dumped: Dumped) -> object:
    return run_sql(dumped.database, "SELECT datname FROM pg_database ORDER BY 1")


@pytest.mark.parametrize("options", [("-Fc",), ("-Ft",), ()], ids=["custom", "tar", "sql"])
def test_a_dump_that_can_be_restored(dumped: Dumped, options: tuple[str, ...]) -> None:
    dumped.dump(*options)
    before = databases(dumped)
    expect(run_check("readiness.restore", dumped.context()), "pass", "3, 700 rows in all", "restored in")
    assert databases(dumped) == before
    expect(run_check("readiness.backups", dumped.context()), "pass", "whole")


def test_a_gzipped_dump(dumped: Dumped) -> None:
    path = dumped.dump()
    path.with_suffix(".sql.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    expect(run_check("readiness.restore", dumped.context()), "pass", "700 rows")


@pytest.mark.parametrize("options", [("-Fc",), ()], ids=["custom", "sql"])
def test_a_dump_that_cannot_be_restored(dumped: Dumped, options: tuple[str, ...]) -> None:
    """Whole in itself; what it needs is not in it."""
    dumped.dump("--section=data", "--section=post-data", *options)
    expect(run_check("readiness.restore", dumped.context()), "fail", "cannot be restored", "does not exist")
    expect(run_check("readiness.backups", dumped.context()), "pass")


def test_a_dump_that_is_cut_short(dumped: Dumped) -> None:
    path = dumped.dump("-Fc", "-Z0")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    expect(run_check("readiness.restore", dumped.context()), "fail", "cannot be restored")


def test_a_dump_without_one_of_the_tables(dumped: Dumped) -> None:
    dumped.dump("-Fc", "-T", "members")
    expect(run_check("readiness.restore", dumped.context()), "fail", "no table public.members", "1 missing")
    expect(run_check("readiness.restore", dumped.context("except_tables: [members]")), "pass")


def test_a_dump_without_the_rows(dumped: Dumped) -> None:
    dumped.dump("-Fc", "--exclude-table-data=members")
    expect(run_check("readiness.restore", dumped.context()), "fail", "0 rows of public.members, not 200")


def test_a_dump_with_half_of_the_rows(dumped: Dumped) -> None:
    dumped.dump("-Fc")
    run_sql(dumped.database, "INSERT INTO projects SELECT n, 'new' FROM generate_series(1001, 2000) n", "ANALYZE")
    expect(run_check("readiness.restore", dumped.context()), "fail", "500 rows of public.projects, not 1500")
    expect(run_check("readiness.restore", dumped.context("min_rows_percent: 30")), "pass")


def test_a_restore_that_takes_too_long(dumped: Dumped) -> None:
    path = dumped.dump()
    path.write_text(path.read_text() + "SELECT pg_sleep(30);\n")
    expect(run_check("readiness.restore", dumped.context("within_s: 1")), "fail", "takes longer than 1 s")


def test_a_dump_that_leads_to_another_database_is_not_run(dumped: Dumped) -> None:
    dumped.dump("--create", "--clean")
    result = run_check("readiness.restore", dumped.context())
    expect(result, "error", "\\connect", "dump each by itself")
    assert run_sql(dumped.database, "SELECT count(*) FROM projects") == [(500,)]


def test_what_it_does_not_do(dumped: Dumped) -> None:
    dumped.dump("-Fc")
    superuser = dumped.server.admin_url.reveal()
    expect(
        run_check("readiness.restore", dumped.context(scratch=superuser)), "error", "may do more than create databases"
    )
    poor = dumped.server.url_for("postgres", "maestro_poor", WORD).reveal()
    run_sql(dumped.database, f"CREATE ROLE maestro_poor LOGIN PASSWORD '{WORD.reveal()}'")
    expect(run_check("readiness.restore", dumped.context(scratch=poor)), "error", "may not create databases")
    run_sql(dumped.database, "DROP ROLE maestro_poor")
    expect(run_check("readiness.restore", dumped.context(scratch="")), "skip")
    ctx = dumped.context()
    (dumped.folder / "backups" / "all.dump").unlink()
    expect(run_check("readiness.restore", ctx), "fail", "no backup")


def test_without_its_keys_it_is_skipped(dumped: Dumped) -> None:
    yaml = f"database: {{url: '{dumped.database}'}}\nreadiness: {{backups: {{files: ['backups/*']}}}}\n"
    expect(run_check("readiness.restore", context(dumped.folder, yaml)), "skip", "readiness.backups.restore")
    yaml = yaml.replace("}}\n", ", restore: {}}}\n")
    expect(run_check("readiness.restore", context(dumped.folder, yaml)), "skip", "database.scratch_url")


def test_a_session_of_the_servers_own_is_waited_for(dumped: Dumped, postgres_server: EmbeddedPostgres) -> None:
    """Autovacuum's belongs to a superuser: whoever made the database may not end it, and need not."""
    ctx = dumped.context()
    with ExitStack() as left:
        with scratch_database(ctx, "vacuumed") as scratch:
            theirs = psycopg2.connect(f"{postgres_server.admin_url.reveal().rpartition('/')[0]}/{scratch.name}")
            left.callback(theirs.close)
            threading.Timer(5.5, theirs.close).start()  # the server itself waits for 5 s
        assert not run_sql(dumped.database, f"SELECT 1 FROM pg_database WHERE datname = '{scratch.name}'")
