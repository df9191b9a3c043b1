"""Does a restore of the newest backup work?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed
from maestro_cli.config.readiness_settings import Restore
from maestro_cli.observe.project_files import matches, shown
from maestro_cli.observe.restore import Outcome, RestoreError, live_tables, restore, restored_tables
from maestro_cli.observe.scratch_database import ScratchError, scratch_database

FEW = 20
"""Rows below which a share of them says nothing: such a table only has to be there, and not empty."""


@check(
    "readiness.restore",
    component="deployment",
    priority="medium",
    writes=True,
    apart=True,
    deadline_s=60,
    faults=("restore-fails", "restore-table-missing", "restore-rows-missing", "restore-too-slow"),
)
def restore_works(ctx: Context) -> Finding:
    """The newest backup can be restored.

    Why: nobody wants backups, people want restores; a dump of the wrong database, of half the tables or as a role that
    row-level security shows no rows looks as good as any other until it is needed.
    Fails when: pg_restore or psql cannot put the newest file of readiness.backups.files into an empty database, it takes
    longer than readiness.backups.restore.within_s, a table that database.url has is missing in it, or has less than
    min_rows_percent of its rows (or none). The database is made with database.scratch_url and dropped again; no other one
    is touched, so owners and grants are left out.
    Fix: dump the whole database as a role that sees every row (BYPASSRLS or superuser): `pg_dump -Fc`; restore it by hand and
    read what the program says.
    Source: PostgreSQL manual, Backup and Restore; Google SRE Book, Data Integrity; NIST SP 800-34r1 §3.5
    """
    backups = ctx.require(ctx.settings.readiness.backups, "readiness.backups")
    settings = ctx.require(backups.restore, "readiness.backups.restore")
    found = [path for pattern in backups.files for path in matches(ctx, pattern) if path.is_file()]
    live = {name: rows for name, rows in live_tables(ctx).items() if not _excepted(name, settings)}
    if not live:
        return errored("database.url has no table to compare a restored one with.")
    folder = ctx.path(backups.programs) if backups.programs else None
    try:
        with scratch_database(ctx, "restore") as scratch:
            if not found:
                missing = Evidence(", ".join(backups.files), "no file", "a dump")
                return failed(f"There is no backup at {', '.join(backups.files)}.", missing)
            newest = max(found, key=lambda path: path.stat().st_mtime)
            outcome = restore(newest, scratch, folder=folder, within_s=settings.within_s)
            restored = restored_tables(scratch, live) if outcome.failure is None else {}
    except (RestoreError, ScratchError) as error:
        return errored(f"No restore could be tried: {error.message}.", fix=error.hint)
    except OSError as error:
        return errored(f"The newest backup cannot be read: {error.strerror}.")
    return _judge(ctx, newest, outcome, settings, (live, restored))


def _excepted(name: str, settings: Restore) -> bool:
    return name in settings.except_tables or name.partition(".")[2] in settings.except_tables


def _judge(
    ctx: Context,
    dump: Path,
    outcome: Outcome,
    settings: Restore,
    tables: tuple[Mapping[str, int | None], Mapping[str, int]],
) -> Finding:
    live, restored = tables
    name = shown(ctx, dump)
    took = Evidence(f"restore of {name}", f"{outcome.seconds:.1f} s", f"at most {settings.within_s:g} s")
    if outcome.slow:
        return failed(f"The restore of {name} takes longer than {settings.within_s:g} s.", took)
    if outcome.failure is not None:
        return failed(
            f"The newest backup {name} cannot be restored: {ctx.redact(outcome.failure)}.",
            Evidence(f"restore of {name}", ctx.redact(outcome.failure), "no error"),
        )
    missing = [table for table in live if table not in restored]
    if missing:
        what = Evidence("tables", f"{len(missing)} missing: {', '.join(missing[:5])}", f"all {len(live)}")
        return failed(f"The restored backup has no table {missing[0]}.", what, took)
    short = {table: rows for table, rows in live.items() if _short(rows, restored[table], settings.min_rows_percent)}
    seen = [Evidence(f"rows of {table}", str(restored[table]), f"about {live[table]}") for table in short]
    if short:
        table, rows = next(iter(short.items()))
        return failed(f"The restored backup has {restored[table]} rows of {table}, not {rows}.", *seen[:10], took)
    rows_in_all = sum(restored[table] for table in live)
    if not rows_in_all:
        return errored("Neither the database nor the restored backup has a row: nothing is proved.", took)
    return passed(
        f"The newest backup {name} was restored in {outcome.seconds:.1f} s.",
        Evidence("tables", f"{len(live)}, {rows_in_all} rows in all", "as in database.url"),
        took,
    )


def _short(live: int | None, restored: int, percent: float) -> bool:
    if not live:
        return False
    return restored == 0 or (live >= FEW and restored * 100 < live * percent)
