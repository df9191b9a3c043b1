"""One migration of a schema at a time: a session-level advisory lock, which ends with the session that holds it."""

from __future__ import annotations

from maestro_cli.tenants.locks import Blocked, Pace
from maestro_cli.tenants.session import Session

CLASS = 0x6D616573
"""First half of the lock's key ("maes"); the second half is a hash of the schema's name."""
PATIENCE_S = 5.0
"""A client that was killed a moment ago holds it until the server notices: so long is waited."""

_TAKE = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
_HOLDER = """
SELECT a.pid, a.usename, a.application_name, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.classid = %s AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def take(session: Session, schema: str, pace: Pace) -> None:
    """Take the lock for the session.

    Raises:
        Blocked: Another run holds it.
    """
    until = pace.monotonic() + PATIENCE_S
    while not session.execute(_TAKE, (CLASS, schema))[0][0]:
        if pace.monotonic() > until:
            who = holder(session)
            raise Blocked(
                f"another migration of schema {schema} is running" + (f": {who}" if who else ""),
                hint="Wait for it to end; see how far it is with: maestro migrate status",
            )
        pace.sleep(0.1)


def holder(session: Session) -> str | None:
    """Who runs a migration of this database right now."""
    rows = session.execute(_HOLDER, (CLASS,))
    if not rows:
        return None
    pid, user, application, began = rows[0]
    since = f", since {began:%Y-%m-%d %H:%M:%S %Z}" if began else ""
    return f"pid {pid}, {user}, {application}{since}"
