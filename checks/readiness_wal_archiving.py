"""Is the write-ahead log archived, now and not only in the settings?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed, warned

_QUERY = """
SELECT pg_is_in_recovery(), current_setting('archive_mode'), current_setting('archive_command', true),
       current_setting('archive_library', true), a.last_archived_wal, a.last_archived_time, a.last_failed_wal,
       a.last_failed_time, a.failed_count, clock_timestamp()
FROM pg_stat_archiver a"""
_UNARCHIVED = """
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8, (SELECT setting::bigint *
       CASE unit WHEN 'B' THEN 1 WHEN '8kB' THEN 8192 ELSE 1048576 END FROM pg_settings WHERE name = 'wal_segment_size')"""
QUIET_BYTES = 64 << 10
"""What a server at rest writes by itself (checkpoints, running transactions), and no more."""


@dataclass(frozen=True)
class _Archiver:
    """pg_stat_archiver and the settings behind it."""

    standby: bool
    mode: str
    command: str | None
    library: str | None
    archived: str | None
    archived_at: datetime | None
    failing: str | None
    failed_at: datetime | None
    failures: int
    clock: datetime

    @property
    def fails(self) -> bool:
        """Whether the last attempt failed."""
        return self.failed_at is not None and (self.archived_at is None or self.failed_at > self.archived_at)


@check(
    "readiness.wal-archiving",
    component="deployment",
    priority="low",
    faults=("wal-archive-off", "wal-archive-failing", "wal-archive-stale", "wal-archive-without-command"),
)
def wal_archiving(ctx: Context) -> Finding:
    """The write-ahead log is archived.

    Why: a nightly dump loses a day; with the log's archive a database goes back to the minute before the accident. An
    archive that has failed for a week also fills the disk with the log that waits for it.
    Fails when: archive_mode is off or nothing carries segments away, the last attempt failed, or the last archived segment
    is older than readiness.wal_archiving.max_age_minutes while there is log to archive; warns where nothing was written
    since. The settings alone never pass.
    Fix: set archive_mode, archive_command (or archive_library) and archive_timeout; look at the server's log for what
    the command says; pgBackRest, WAL-G and Barman bring commands that are known to work.
    Source: PostgreSQL manual, Continuous Archiving and Point-in-Time Recovery; pg_stat_archiver
    """
    minutes = ctx.require(ctx.settings.readiness.wal_archiving, "readiness.wal_archiving").max_age_minutes
    seen = _Archiver(*ctx.database.query(_QUERY)[0])
    mode = Evidence("archive_mode", seen.mode, "on")
    if seen.mode == "off" or (seen.standby and seen.mode != "always"):
        if seen.standby:
            return errored("database.url is a standby; its primary archives the log.", mode)
        return failed("The write-ahead log is not archived: archive_mode is off.", mode)
    # The command is never shown: it may hold a password.
    if not (seen.command or seen.library) and seen.command is not None:
        how = Evidence("archive_command", "empty", "a command, or archive_library")
        return failed("Nothing carries the write-ahead log away: archive_command is empty.", mode, how)
    if seen.fails:
        return failed(
            f"Archiving the write-ahead log fails, {seen.failures} times since the statistics began.",
            Evidence("last failure", f"{seen.failing} at {seen.failed_at:%F %T%z}", "none after the last success"),
            _last(seen, minutes),
        )
    if seen.archived_at is None:
        return failed("No segment of the write-ahead log was ever archived.", _last(seen, minutes), mode)
    age = (seen.clock - seen.archived_at).total_seconds() / 60
    if age <= minutes:
        return passed(f"The last segment was archived {_told(age)} ago.", _last(seen, minutes), mode)
    waiting = None if seen.standby else _waiting(ctx, str(seen.archived))
    behind = Evidence("written since", "not told" if waiting is None else f"{waiting / 1e6:.2f} MB", "archived")
    if waiting is not None and waiting <= QUIET_BYTES:
        return warned(
            f"The last segment was archived {_told(age)} ago; next to nothing was written since.",
            _last(seen, minutes),
            behind,
            fix="Set archive_timeout, so that a quiet server's last segment is archived, too.",
        )
    return failed(f"The last segment was archived {_told(age)} ago.", _last(seen, minutes), behind)


def _last(seen: _Archiver, minutes: float) -> Evidence:
    what = f"{seen.archived} at {seen.archived_at:%F %T%z}" if seen.archived_at is not None else "none"
    return Evidence("last archived segment", what, f"at most {minutes:g} min old")


def _told(minutes: float) -> str:
    return (
        f"{minutes * 60:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    )


def _waiting(ctx: Context, archived: str) -> float | None:
    """Bytes of log behind the last archived segment; None where its name is not a segment's (a history file)."""
    name = archived[:24]
    if len(name) < 24 or not all(letter in "0123456789ABCDEF" for letter in name):
        return None
    row: tuple[Any, ...] = ctx.database.query(_UNARCHIVED)[0]
    written, segment = float(row[0]), int(row[1])
    number = int(name[8:16], 16) * ((1 << 32) // segment) + int(name[16:24], 16)
    return max(0.0, written - (number + 1) * segment)
