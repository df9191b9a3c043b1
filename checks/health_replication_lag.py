"""How far a standby is behind."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed, skipped

LARGEST_S = 60.0
_LAG = """
SELECT pg_is_in_recovery(),
       CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END::float8
"""
_STANDBYS = (
    "SELECT coalesce(application_name, '?'), state, extract(epoch FROM replay_lag)::float8 FROM pg_stat_replication"
)
_SLOTS = """
SELECT slot_name, active, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::float8, wal_status
FROM pg_replication_slots WHERE restart_lsn IS NOT NULL OR wal_status = 'lost'
"""
LARGEST_SLOT = 1 << 30
"""Bytes of log that a slot may hold back; an abandoned one fills the disk."""


@check(
    "health.replication-lag",
    component="infrastructure",
    priority="medium",
    faults=("replication-slot-abandoned", "replication-slot-lost"),
)
def replication_lag(ctx: Context) -> Finding:
    """Standbys follow, and no replication slot is left behind.

    Why: a standby that is behind loses what it has not got when it takes over; a slot whose standby is gone keeps the
    log until the disk is full.
    Fails when: a standby replays more than 60 seconds late, or a replication slot is inactive, lost or 1 GB behind.
    Fix: look at the standby's log and network; `SELECT pg_drop_replication_slot('…')` where its standby is gone for good.
    Source: PostgreSQL manual, Monitoring (pg_stat_replication), Replication Slots
    """
    with ctx.database.transaction() as cursor:
        cursor.execute(_LAG)
        standby, behind = cursor.fetchone()
        if standby:
            return _standby(behind)
        cursor.execute(_STANDBYS)
        followers = cursor.fetchall()
        cursor.execute(_SLOTS)
        slots = cursor.fetchall()
    if not followers and not slots:
        return skipped("PostgreSQL has neither a standby nor a replication slot")
    evidence, wrong = [], []
    for name, state, lag in followers:
        if state is None:
            evidence.append(Evidence(f"standby {name}", "not told to this role", "streaming"))
            continue
        evidence.append(Evidence(f"standby {name}", f"{state}, {lag or 0:.0f} s behind", f"at most {LARGEST_S:g} s"))
        if (lag or 0) > LARGEST_S:
            wrong.append(f"standby {name} is {lag:.0f} s behind")
    for name, active, held, status in slots:
        state = "lost" if status == "lost" else "active" if active else "inactive"
        evidence.append(Evidence(f"slot {name}", f"{state}, holds {held / 1e6:.0f} MB", "active"))
        if state != "active":
            wrong.append(f"slot {name} is {state}{f' and holds {held / 1e6:.0f} MB of log' if held else ''}")
        elif held > LARGEST_SLOT:
            wrong.append(f"slot {name} is far behind and holds {held / 1e6:.0f} MB of log")
    if wrong:
        return failed(f"Replication falls behind: {'; '.join(wrong)}.", *evidence)
    if followers and all(state is None for _, state, _ in followers):
        return errored("The service's role may not see the state of standbys; grant it pg_monitor.", *evidence)
    return passed("Standbys follow.", *evidence)


def _standby(behind: float | None) -> Finding:
    evidence = Evidence("this standby", "nothing replayed yet" if behind is None else f"{behind:.0f} s behind")
    if behind is None or behind > LARGEST_S:
        return failed("database.url is a standby that is behind.", evidence)
    return passed("database.url is a standby that follows.", evidence)
