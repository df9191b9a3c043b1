"""Backups: real dumps of a real database, and what may become of them on a disk."""

from __future__ import annotations

import gzip
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from check_support import context, expect, run_check, run_sql

from maestro_cli.demo.servers import EmbeddedPostgres

CONFIGURED = "version: 1\nreadiness: {backups: {files: ['backups/*'], rpo_hours: 24}}\n"


@pytest.fixture
def dumped(project: Path, database: str, postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of backups, and PostgreSQL's own programs on the path."""
    monkeypatch.setenv("PATH", f"{postgres_server.programs}:{os.environ['PATH']}")
    run_sql(database, "CREATE TABLE things (n int)", "INSERT INTO things SELECT generate_series(1, 5000)")
    folder = project / "backups"
    folder.mkdir()
    return folder


def dump(folder: Path, database: str, *options: str, name: str = "all.dump") -> Path:
    path = folder / name
    with path.open("wb") as stream:
        subprocess.run(["pg_dump", *options, database], check=True, stdout=stream)
    return path


@pytest.mark.parametrize("options", [(), ("-Fc",), ("-Ft",)], ids=["sql", "custom", "tar"])
def test_a_fresh_dump_passes(project: Path, dumped: Path, database: str, options: tuple[str, ...]) -> None:
    dump(dumped, database, *options)
    expect(run_check("readiness.backups", context(project, CONFIGURED)), "pass", "whole")


def test_a_gzipped_dump_passes(project: Path, dumped: Path, database: str) -> None:
    path = dump(dumped, database)
    (dumped / "all.sql.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    expect(run_check("readiness.backups", context(project, CONFIGURED)), "pass", "gzipped SQL dump")


@pytest.mark.parametrize("options", [(), ("-Fc",)], ids=["sql", "custom"])
def test_backup_truncated(project: Path, dumped: Path, database: str, options: tuple[str, ...]) -> None:
    path = dump(dumped, database, *options)
    os.truncate(path, path.stat().st_size * 2 // 3)
    expect(run_check("readiness.backups", context(project, CONFIGURED)), "fail", "not whole")


def test_a_truncated_gzip_file_fails(project: Path, dumped: Path, database: str) -> None:
    path = dump(dumped, database)
    packed = gzip.compress(path.read_bytes())
    path.unlink()
    (dumped / "all.sql.gz").write_bytes(packed[: len(packed) // 2])
    expect(run_check("readiness.backups", context(project, CONFIGURED)), "fail", "cannot be unpacked")


def test_backup_missing(project: Path) -> None:
    expect(run_check("readiness.backups", context(project, CONFIGURED)), "fail", "no backup")


def test_backup_empty(project: Path, dumped: Path) -> None:
    (dumped / "all.dump").touch()
    expect(run_check("readiness.backups", context(project, CONFIGURED)), "fail", "empty")


def test_backup_stale(project: Path, dumped: Path, database: str) -> None:
    path = dump(dumped, database)
    expect(run_check("readiness.backups", context(project, CONFIGURED, now=datetime.now(UTC))), "pass")
    old = time.time() - timedelta(hours=25).total_seconds()
    os.utime(path, (old, old))
    expect(run_check("readiness.backups", context(project, CONFIGURED)), "fail", "25 h old")


def test_the_newest_one_counts(project: Path, dumped: Path, database: str) -> None:
    old = dump(dumped, database, name="old.dump")
    os.utime(old, (1, 1))
    dump(dumped, database, name="new.dump")
    expect(run_check("readiness.backups", context(project, CONFIGURED)), "pass", "backups/new.dump")


def test_what_cannot_be_told_is_a_warning(project: Path, dumped: Path) -> None:
    (dumped / "all.dump").write_bytes(b"\x28\xb5\x2f\xfd" + b"x" * 100)
    expect(run_check("readiness.backups", context(project, CONFIGURED)), "warn", "not told")
