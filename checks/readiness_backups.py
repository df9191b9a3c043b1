"""Is there a backup that is young enough and whole?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed, warned
from maestro_cli.observe.backup_files import judge_dump
from maestro_cli.observe.project_files import matches, shown


@check(
    "readiness.backups",
    component="deployment",
    priority="high",
    deadline_s=30,
    faults=("backup-missing", "backup-stale", "backup-empty", "backup-truncated"),
)
def backups(ctx: Context) -> Finding:
    """The newest backup is young enough and whole.

    Why: a backup job that has been failing for a month is noticed on the day the backup is needed.
    Fails when: no file matches readiness.backups.files, the newest one is older than rpo_hours, or it is empty, cut short
    or cannot be unpacked. Custom-format dumps are read through with pg_restore where it is installed. Whether the restored
    data are right only a restore tells: readiness.restore rehearses one.
    Fix: look at the backup job's log and at the disk it writes to, then run it; restore its dump into a scratch database.
    Source: PostgreSQL manual, Backup and Restore; Google SRE Book, Data Integrity ("nobody wants backups, people want
    restores")
    """
    settings = ctx.require(ctx.settings.readiness.backups, "readiness.backups")
    found = [path for pattern in settings.files for path in matches(ctx, pattern) if path.is_file()]
    if not found:
        missing = Evidence(", ".join(settings.files), "no file", "a dump")
        return failed(f"There is no backup at {', '.join(settings.files)}.", missing)
    newest = max(found, key=lambda path: path.stat().st_mtime)
    name = shown(ctx, newest)
    hours = (ctx.now.timestamp() - newest.stat().st_mtime) / 3600
    age = Evidence(f"age of {name}", f"{hours:.1f} h", f"at most {settings.rpo_hours:g} h")
    try:
        dump = judge_dump(newest, ctx.path(settings.programs) if settings.programs else None)
    except OSError as error:
        return errored(f"{name} cannot be read: {error.strerror}.", age)
    state = "whole" if dump.whole else "cut short" if dump.whole is False else "not told"
    what = Evidence(name, f"{dump.kind}, {state}{f': {dump.reason}' if dump.reason else ''}", "whole")
    if dump.whole is False:
        return failed(f"The newest backup {name} is not whole: {dump.reason}.", what, age)
    if hours > settings.rpo_hours:
        return failed(f"The newest backup {name} is {hours:.0f} h old.", age, what)
    if dump.whole is None:
        return warned(f"The newest backup {name} is {hours:.1f} h old; whether it is whole is not told.", age, what)
    return passed(f"The newest backup {name} is {hours:.1f} h old and whole.", age, what)
