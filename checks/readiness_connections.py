"""Is there room for more connections?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, combine, failed, passed, warned

WARN, FAIL = 0.75, 0.9
"""Shares in use; the first leaves time to act, the second none."""

# pg_stat_database is open to every role, pg_stat_activity shows a role its own sessions.
_QUERY = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::int,
       (SELECT sum(numbackends)::int FROM pg_stat_database),
       (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
       (SELECT numbackends FROM pg_stat_database WHERE datname = current_database()),
       (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
       (SELECT count(*)::int FROM pg_stat_activity WHERE usename = current_user)"""


@check(
    "readiness.connections",
    component="infrastructure",
    priority="high",
    faults=("connections-used-up", "role-connection-limit"),
)
def connections(ctx: Context) -> Finding:
    """The database has connections to spare.

    Why: the last connection is taken in the busiest minute, and then nobody gets one, the operator included.
    Fails when: 90 % of what max_connections leaves for ordinary roles, of the database's or of the role's own limit is in
    use; warns from 75 %.
    Fix: shrink the pools, put PgBouncer in front, or raise the limit that is named.
    Source: PostgreSQL manual, Connections and Authentication (max_connections, superuser_reserved_connections)
    """
    room, used, database_room, database_used, role_room, role_used = ctx.database.query(_QUERY)[0]
    findings = [_judge("the server", used, room)]
    # -1 means no limit.
    if database_room is not None and database_room >= 0:
        findings.append(_judge("this database", database_used, database_room))
    if role_room is not None and role_room >= 0:
        findings.append(_judge("the application's role", role_used, role_room))
    return combine(findings)


def _judge(of: str, used: int, room: int) -> Finding:
    share = used / room if room > 0 else 1.0
    seen = Evidence(f"connections of {of}", f"{used} of {room}", f"below {FAIL:.0%}")
    if share >= FAIL:
        return failed(f"{used} of {room} connections of {of} are in use.", seen)
    if share >= WARN:
        return warned(f"{used} of {room} connections of {of} are in use.", seen)
    return passed(f"{used} of {room} connections of {of} are in use.", seen)
