"""Is there room on the disks that the database writes to?"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from maestro_cli.api import Context, Evidence, Finding, check, combine, failed, passed, skipped, warned
from maestro_cli.observe.database import Database

PARTS = ("pg_wal", "pg_tblspc/*")
"""What may lie on another disk than the data directory, behind a symbolic link."""
WARN_TIMES = 2
"""Up to this many times the least free share is a warning."""


@check(
    "health.data-disk",
    component="infrastructure",
    priority="low",
    faults=("disk-full", "disk-of-the-log-full"),
)
def disk(ctx: Context) -> Finding:
    """The database's disks have room.

    Why: when the disk of the write-ahead log is full, PostgreSQL stops; when that of the data is, every write fails.
    Fails when: on the disk of the data directory, of pg_wal or of a tablespace less than database.min_free_percent of the
    bytes or of the inodes is free; warns below twice as much. Only a directory on this machine that is seen to be the
    server's own (its system identifier is in global/pg_control) is looked at; otherwise it is skipped.
    Fix: find what grew (pg_wal behind a dead replication slot or a failing archive, logs, temporary files), or enlarge the
    disk; never delete files of pg_wal by hand.
    Source: PostgreSQL manual, Monitoring Disk Usage; Continuous Archiving
    """
    database = ctx.require(ctx.settings.database, "database")
    (identifier,) = ctx.database.query("SELECT system_identifier FROM pg_control_system()")[0]
    told = database.data_directory or _asked(ctx)
    if told is None:
        return skipped("the role may not ask where the data directory is; database.data_directory would say it")
    data = ctx.path(told)
    why_not = _foreign(data, int(identifier))
    if why_not is not None:
        return skipped(f"the data directory {why_not}")
    findings: list[Finding] = []
    seen: set[int] = set()
    for name, path in _places(data):
        device = path.stat().st_dev
        if device not in seen:
            seen.add(device)
            findings += _judge(name, path, database.min_free_percent)
    return combine(findings)


def _asked(ctx: Context) -> str | None:
    """data_directory, as the application's role or the owner of the tables is told; only some roles are."""
    import psycopg2

    url = ctx.settings.database.admin_url if ctx.settings.database is not None else None
    owner = [] if url is None else [ctx.shared("admin-database", lambda: Database(url))]
    for source in [ctx.database, *owner]:
        with contextlib.suppress(psycopg2.errors.InsufficientPrivilege):
            return str(source.query("SELECT current_setting('data_directory')")[0][0])
    return None


def _foreign(data: Path, identifier: int) -> str | None:
    """Why this directory cannot be taken for the server's; None where it can."""
    try:
        with (data / "global" / "pg_control").open("rb") as stream:
            found = struct.unpack("=Q", stream.read(8))[0]
    except FileNotFoundError:
        return "is not on this machine"
    except (OSError, struct.error) as error:
        return f"cannot be read by this user ({getattr(error, 'strerror', 'too short')})"
    # pg_control is written in the server's own byte order; another one is another machine's.
    return None if found == identifier else "on this machine is another server's"


def _places(data: Path) -> Iterator[tuple[str, Path]]:
    yield "the data directory", data
    for part in PARTS:
        for path in sorted(data.glob(part)):
            if path.is_symlink():
                with contextlib.suppress(OSError):
                    yield (
                        part.rstrip("/*") if part == "pg_wal" else f"tablespace {path.name}",
                        path.resolve(strict=True),
                    )


def _judge(name: str, path: Path, least: float) -> Iterator[Finding]:
    room = os.statvfs(path)
    counts = [("space", room.f_bavail, room.f_blocks, room.f_frsize), ("inodes", room.f_favail, room.f_files, 0)]
    for what, free, total, size in counts:
        if not total:
            continue  # a file system without a fixed number of inodes
        share = 100 * free / total
        left = f"{share:.1f} %" + (f", {free * size / 1e9:.1f} GB" if size else "")
        seen = Evidence(f"free {what} on the disk of {name}", left, f"at least {least:g} %")
        if share < least:
            yield failed(f"The disk of {name} has {share:.1f} % of its {what} left.", seen)
        elif share < WARN_TIMES * least:
            yield warned(f"The disk of {name} has {share:.1f} % of its {what} left.", seen)
        else:
            yield passed(f"The disk of {name} has {share:.0f} % of its {what} left.", seen)
