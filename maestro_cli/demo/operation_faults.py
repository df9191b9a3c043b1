"""Faults in how the demo's service is operated: its backups, the log's archive, going back, ending."""

from __future__ import annotations

import os
import re
import time
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

from maestro_cli.demo.plants import Action, Plant
from maestro_cli.demo.service import DATABASE
from maestro_cli.errors import MaestroError

if TYPE_CHECKING:
    from maestro_cli.demo.session import Demo

DUMP = "backups/nightly.dump"
SECONDS = 15


def _remove_dump(demo: Demo) -> None:
    (demo.directory / DUMP).unlink()


def _old_dump(demo: Demo) -> None:
    then = (demo.now - timedelta(hours=72)).timestamp()
    os.utime(demo.directory / DUMP, (then, then))


def _cut_dump(demo: Demo) -> None:
    path = demo.directory / DUMP
    os.truncate(path, path.stat().st_size * 2 // 3)


def _dump(*options: str) -> Action:
    """Another dump in the place of the good one."""

    def plant(demo: Demo) -> None:
        demo.project.back_up(demo.postgres.programs, demo.postgres.url_for(DATABASE).reveal(), *options)

    return plant


def _failing_archive(demo: Demo) -> None:
    import psycopg2

    with closing(psycopg2.connect(demo.postgres.admin_url.reveal())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET archive_command = 'false'")
            cursor.execute("SELECT pg_reload_conf()")
            cursor.execute("SELECT pg_logical_emit_message(true, 'maestro', 'x')")
            cursor.execute("SELECT pg_switch_wal()")
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                cursor.execute("SELECT last_failed_time > last_archived_time FROM pg_stat_archiver")
                if cursor.fetchone() == (True,):
                    return
                time.sleep(0.05)
    raise MaestroError("PostgreSQL goes on archiving its log", hint=f"see {demo.postgres.log}")


def _code(pattern: str, replacement: str) -> Action:
    """Other code in the service's main module; the running service has read the good one already."""

    def plant(demo: Demo) -> None:
        file = demo.directory / "service" / "main.py"
        text, count = re.subn(pattern, replacement, file.read_text("utf-8"), flags=re.MULTILINE)
        if not count:
            raise MaestroError(f"nothing in {file} matches {pattern}")
        file.write_text(text, "utf-8")

    return plant


def _irreversible(demo: Demo) -> None:
    text = (
        'from alembic import op\n\nrevision = "0002"\ndown_revision = "0001"\n\n\n'
        "def upgrade() -> None:\n"
        '    op.execute("ALTER TABLE users ADD COLUMN note text")\n\n\n'
        "def downgrade() -> None:\n    raise NotImplementedError\n"
    )
    (demo.directory / "migrations" / "versions" / "0002_note.py").write_text(text, "utf-8")


OPERATION: dict[str, Plant] = {
    "backup-missing": Plant("There is no backup.", after_start=_remove_dump),
    "backup-stale": Plant("The newest backup is three days old.", after_start=_old_dump),
    "backup-truncated": Plant("The newest backup is cut short.", after_start=_cut_dump),
    "restore-fails": Plant(
        "The newest backup holds data, but no tables to put them into.", after_start=_dump("--section=data")
    ),
    "restore-table-missing": Plant("The newest backup leaves out a table.", after_start=_dump("-T", "predictions")),
    "restore-rows-missing": Plant(
        "The newest backup holds no row of one table.", after_start=_dump("--exclude-table-data=predictions")
    ),
    "wal-archive-failing": Plant("Archiving the write-ahead log fails.", after_start=_failing_archive),
    "migration-irreversible": Plant("The last migration cannot be taken back.", after_start=_irreversible),
    "shutdown-drops-requests": Plant(
        "At SIGTERM the service drops what it is answering.",
        after_start=_code(
            r"^    yield$",
            "    import os, signal\n    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n    yield",
        ),
    ),
    "shutdown-hangs": Plant(
        "The service does not come to its end.",
        after_start=_code(
            r"^    engine\(\)\.dispose\(\)$",
            "    import asyncio\n    await asyncio.sleep(3600)\n    engine().dispose()",
        ),
    ),
}
"""Fault → how it is planted."""
