"""The database's upkeep: its log's archive, its standbys, its disks. Each on a server of its own, planted for real."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from check_support import application_role, context, expect, run_check, run_sql
from postgres_standby import Standby

from maestro_cli.api import Context
from maestro_cli.demo.servers import EmbeddedPostgres

pytestmark = pytest.mark.timeout(120)


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that archives its log."""
    folder = tmp_path_factory.mktemp("upkeep")
    with EmbeddedPostgres(folder, archive=True, settings={"wal_level": "replica"}) as running:
        yield running


@pytest.fixture(scope="module")
def application(server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of an ordinary role."""
    run_sql(server.admin_url.reveal(), "CREATE DATABASE its_own")
    with application_role(server, server.url_for("its_own").reveal()) as url:
        yield url


def archiving(folder: Path, url: str, minutes: float = 60) -> Context:
    yaml = f"database: {{url: '{url}'}}\nreadiness: {{wal_archiving: {{max_age_minutes: {minutes}}}}}\n"
    return context(folder, yaml)


def setting(server: EmbeddedPostgres, name: str, value: str) -> None:
    run_sql(server.admin_url.reveal(), f"ALTER SYSTEM SET {name} = '{value}'", "SELECT pg_reload_conf()")
    until(lambda: run_sql(server.admin_url.reveal(), f"SHOW {name}") == [(value,)])


def archived(server: EmbeddedPostgres) -> None:
    """Fill a segment and wait until it is in the archive."""
    url = server.admin_url.reveal()
    run_sql(url, "SELECT pg_logical_emit_message(false, 'maestro', 'x')", "SELECT pg_switch_wal()")
    ((segment,),) = run_sql(url, "SELECT pg_walfile_name(pg_current_wal_lsn() - 1)")
    until(lambda: run_sql(url, "SELECT last_archived_wal >= %r FROM pg_stat_archiver" % segment) == [(True,)])  # noqa: UP031 - SQL's quotes


def test_a_log_that_is_archived(project: Path, server: EmbeddedPostgres, application: str) -> None:
    archived(server)
    result = expect(run_check("readiness.wal-archiving", archiving(project, application)), "pass", "archived")
    assert "cp" not in repr(result.evidence), "the command may hold a password"


def test_without_the_key_nothing_is_asked_for(project: Path, application: str) -> None:
    expect(run_check("readiness.wal-archiving", context(project, f"database: {{url: '{application}'}}\n")), "skip")


def test_an_archive_that_is_off(project: Path, database: str) -> None:
    expect(run_check("readiness.wal-archiving", archiving(project, database)), "fail", "archive_mode is off")


def test_an_archive_command_that_fails(project: Path, server: EmbeddedPostgres, application: str) -> None:
    url = server.admin_url.reveal()
    ((before,),) = run_sql(url, "SHOW archive_command")
    setting(server, "archive_command", "false")
    try:
        run_sql(url, "SELECT pg_logical_emit_message(false, 'maestro', 'x')", "SELECT pg_switch_wal()")
        until(lambda: run_sql(url, "SELECT last_failed_time > last_archived_time FROM pg_stat_archiver") == [(True,)])
        expect(run_check("readiness.wal-archiving", archiving(project, application)), "fail", "fails", "last failure")
    finally:
        setting(server, "archive_command", before)
    archived(server)
    expect(run_check("readiness.wal-archiving", archiving(project, application)), "pass")


def test_an_archive_command_that_is_empty(project: Path, server: EmbeddedPostgres, application: str) -> None:
    ((before,),) = run_sql(server.admin_url.reveal(), "SHOW archive_command")
    run_sql(server.admin_url.reveal(), "ALTER SYSTEM SET archive_command = ''", "SELECT pg_reload_conf()")
    try:
        until(lambda: run_sql(server.admin_url.reveal(), "SELECT current_setting('archive_command')") != [(before,)])
        expect(
            run_check("readiness.wal-archiving", archiving(project, application)), "fail", "archive_command is empty"
        )
    finally:
        setting(server, "archive_command", before)


def test_an_archive_that_is_stale(project: Path, server: EmbeddedPostgres, application: str) -> None:
    archived(server)
    time.sleep(1.1)
    # An old archive is no accident on a server at rest; it is where there is log that nobody carried away.
    ctx = archiving(project, application, minutes=0.015)
    expect(run_check("readiness.wal-archiving", ctx), "warn", "next to nothing was written since")
    run_sql(server.admin_url.reveal(), "SELECT pg_logical_emit_message(true, 'maestro', repeat('x', 300000))")
    ctx = archiving(project, application, minutes=0.015)
    expect(run_check("readiness.wal-archiving", ctx), "fail", "written since", "0.3")


@pytest.fixture(scope="module")
def standby(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standby]:
    with Standby(tmp_path_factory.mktemp("standby"), server) as running:
        running.follows()
        yield running


def replicated(folder: Path, url: str) -> Context:
    return context(folder, f"database: {{url: '{url}'}}\n")


def test_a_standby_that_follows(project: Path, server: EmbeddedPostgres, standby: Standby, application: str) -> None:
    admin = server.admin_url.reveal()
    expect(run_check("health.replication-lag", replicated(project, admin)), "pass", "standby_one", "streaming")
    expect(run_check("health.replication-lag", replicated(project, standby.admin_url.reveal())), "pass", "heard")
    expect(run_check("health.replication-lag", replicated(project, application)), "error", "pg_monitor")


def test_a_standby_that_stands_still(project: Path, server: EmbeddedPostgres, standby: Standby) -> None:
    """Its replay_lag stays what it was when it last moved: the byte distance tells."""
    admin, its = server.admin_url.reveal(), standby.admin_url.reveal()
    run_sql(its, "SELECT pg_wal_replay_pause()")
    until(lambda: run_sql(its, "SELECT pg_get_wal_replay_pause_state()") == [("paused",)])
    try:
        expect(run_check("health.replication-lag", replicated(project, its)), "fail", "paused")
        many = "SELECT pg_logical_emit_message(false, 'maestro', repeat('x', 20000000))"
        run_sql(admin, many, many, many, many)
        ((reported,),) = run_sql(admin, "SELECT coalesce(extract(epoch FROM replay_lag), 0) FROM pg_stat_replication")
        assert reported < 60, "the time alone would not tell"
        expect(run_check("health.replication-lag", replicated(project, admin)), "fail", "MB behind")
    finally:
        run_sql(its, "SELECT pg_wal_replay_resume()")
    until(lambda: run_check("health.replication-lag", replicated(project, admin)).status == "pass")


def test_a_standby_without_its_primary(project: Path, server: EmbeddedPostgres, standby: Standby) -> None:
    """It has replayed all that it received, and still knows nothing of what came after."""
    its = standby.admin_url.reveal()
    ((before,),) = run_sql(its, "SHOW primary_conninfo")
    run_sql(its, "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'", "SELECT pg_reload_conf()")
    try:
        until(lambda: run_sql(its, "SELECT count(*) FROM pg_stat_wal_receiver") == [(0,)])
        expect(run_check("health.replication-lag", replicated(project, its)), "fail", "not connected to its primary")
    finally:
        quoted = before.replace("'", "''")
        run_sql(its, f"ALTER SYSTEM SET primary_conninfo = '{quoted}'", "SELECT pg_reload_conf()")
    standby.follows()


def disks(folder: Path, url: str, data: Path | None = None, least: float = 0.01) -> Context:
    where = f", data_directory: '{data}'" if data is not None else ""
    return context(folder, f"database: {{url: '{url}', min_free_percent: {least}{where}}}\n")


def free_percent(path: Path) -> float:
    room = os.statvfs(path)
    return 100 * room.f_bavail / room.f_blocks


def test_a_disk_with_room(project: Path, server: EmbeddedPostgres, application: str) -> None:
    expect(run_check("health.data-disk", disks(project, server.admin_url.reveal())), "pass", "free space")
    expect(run_check("health.data-disk", disks(project, application, server.data)), "pass", "inodes")


def test_a_disk_without_room(project: Path, server: EmbeddedPostgres) -> None:
    free = free_percent(server.data)
    url = server.admin_url.reveal()
    expect(run_check("health.data-disk", disks(project, url, least=min(100.0, free + 1))), "fail", "data directory")
    expect(run_check("health.data-disk", disks(project, url, least=free - 0.5)), "warn", "data directory")


MEMORY = Path("/dev/shm")  # noqa: S108 - another file system than that of the temporary files


@pytest.mark.skipif(not MEMORY.is_dir(), reason="no second file system")
def test_a_disk_of_the_log_without_room(project: Path, server: EmbeddedPostgres, tmp_path: Path) -> None:
    shared = MEMORY / f"maestro-{os.getpid()}"
    data = tmp_path / "data"
    (data / "global").mkdir(parents=True)
    shutil.copy(server.data / "global" / "pg_control", data / "global")
    shared.mkdir()
    try:
        (data / "pg_wal").symlink_to(shared)
        here, there = free_percent(data), free_percent(shared)
        if shared.stat().st_dev == data.stat().st_dev or abs(here - there) < 2:
            pytest.skip("both file systems are as full")
        low, words = (there, "pg_wal") if there < here else (here, "data directory")
        ctx = disks(project, server.admin_url.reveal(), data, least=low + 1)
        result = expect(run_check("health.data-disk", ctx), "fail", words)
        assert {item.name for item in result.evidence} >= {
            "free space on the disk of pg_wal",
            "free space on the disk of the data directory",
        }
    finally:
        shutil.rmtree(shared)


def test_a_disk_that_cannot_be_seen_is_skipped(
    project: Path, server: EmbeddedPostgres, application: str, tmp_path: Path
) -> None:
    expect(run_check("health.data-disk", disks(project, application)), "skip", "database.data_directory")
    expect(
        run_check("health.data-disk", disks(project, application, tmp_path / "nowhere")), "skip", "not on this machine"
    )
    other = tmp_path / "other" / "global"
    other.mkdir(parents=True)
    (other / "pg_control").write_bytes(b"x" * 8192)
    expect(run_check("health.data-disk", disks(project, application, other.parent)), "skip", "another server's")
