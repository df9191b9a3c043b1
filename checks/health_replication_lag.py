"""How far a standby is behind."""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.api import Context, Evidence, Finding, check, combine, errored, failed, passed, skipped

LARGEST_S = 60.0
LARGEST_BYTES = 64 << 20
"""Four segments of log. A standby that stands still goes on telling its last good `replay_lag`; its position tells more."""
_STANDBY = """
SELECT pg_is_in_recovery(), pg_last_wal_receive_lsn() IS NOT NULL AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn(),
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8,
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END
"""
_RECEIVER = """
SELECT status, extract(epoch FROM clock_timestamp() - last_msg_receipt_time)::float8 FROM pg_stat_wal_receiver
"""
_FOLLOWERS = """
SELECT coalesce(application_name, '?'), state, extract(epoch FROM replay_lag)::float8,
       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8
FROM pg_stat_replication ORDER BY 1
"""
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
    faults=(
        "replication-slot-abandoned",
        "replication-slot-lost",
        "standby-replay-paused",
        "standby-far-behind",
        "standby-without-primary",
    ),
)
def replication_lag(ctx: Context) -> Finding:
    """Standbys follow, and no replication slot is left behind.

    Why: a standby that is behind loses what it has not got when it takes over; a slot whose standby is gone keeps the
    log until the disk is full.
    Fails when: a standby replays more than 60 seconds or 64 MB late, or a replication slot is inactive, lost or 1 GB behind.
    Where database.url is a standby itself: when it replays late, its replay is paused, or it hears nothing from its primary.
    Fix: look at the standby's log and network; `SELECT pg_wal_replay_resume()` where it was paused;
    `SELECT pg_drop_replication_slot('…')` where its standby is gone for good.
    Source: PostgreSQL manual, Monitoring (pg_stat_replication, pg_stat_wal_receiver), Replication Slots
    """
    with ctx.database.transaction() as cursor:
        cursor.execute(_STANDBY)
        standby, caught_up, behind, paused = cursor.fetchone()
        if standby:
            cursor.execute(_RECEIVER)
            receiver = cursor.fetchone()
            return combine(_standby(bool(caught_up), behind, receiver, paused=bool(paused)))
        cursor.execute(_FOLLOWERS)
        followers = cursor.fetchall()
        cursor.execute(_SLOTS)
        slots = cursor.fetchall()
    if not followers and not slots:
        return skipped("PostgreSQL has neither a standby nor a replication slot")
    rows = [_follower(*row) for row in followers] + [_slot(*row) for row in slots]
    evidence = [seen for seen, _ in rows]
    wrong = [problem for _, problem in rows if problem]
    if wrong:
        return failed(f"Replication falls behind: {'; '.join(wrong)}.", *evidence)
    if followers and all(state is None for _, state, *_ in followers):
        return errored("The service's role may not see the state of standbys; grant it pg_monitor.", *evidence)
    return passed("Standbys follow.", *evidence)


def _follower(name: str, state: str | None, lag: float | None, held: float | None) -> tuple[Evidence, str | None]:
    """What is seen of one standby, and what is wrong with it."""
    if state is None:
        return Evidence(f"standby {name}", "not told to this role", "streaming"), None
    late, missing = lag or 0.0, held or 0.0
    distance = f"{late:.0f} s and {missing / 1e6:.0f} MB behind"
    seen = Evidence(
        f"standby {name}", f"{state}, {distance}", f"at most {LARGEST_S:g} s and {LARGEST_BYTES / 1e6:.0f} MB"
    )
    return seen, f"standby {name} is {distance}" if late > LARGEST_S or missing > LARGEST_BYTES else None


def _slot(name: str, active: bool, held: float, status: str | None) -> tuple[Evidence, str | None]:
    """What is seen of one slot, and what is wrong with it."""
    state = "lost" if status == "lost" else "active" if active else "inactive"
    seen = Evidence(f"slot {name}", f"{state}, holds {held / 1e6:.0f} MB", "active")
    if state != "active":
        return seen, f"slot {name} is {state}{f' and holds {held / 1e6:.0f} MB of log' if held else ''}"
    return seen, f"slot {name} is far behind and holds {held / 1e6:.0f} MB of log" if held > LARGEST_SLOT else None


def _standby(
    caught_up: bool,
    behind: float | None,
    receiver: tuple[str | None, float | None] | None,
    *,
    paused: bool,
) -> Iterator[Finding]:
    """What the standby says of itself. That all it received is replayed says little where it receives nothing."""
    if receiver is None:
        none = Evidence("WAL receiver", "none", "streaming")
        if not caught_up and behind is not None and behind <= LARGEST_S:  # it reads the log from an archive
            yield passed("This standby replays an archive.", none)
        else:
            yield failed("database.url is a standby that is not connected to its primary.", none)
    else:
        status, silence = receiver
        if status is None:
            yield errored(
                "The service's role may not see the WAL receiver; grant it pg_monitor.",
                Evidence("WAL receiver", "not told to this role", "streaming"),
            )
        else:
            heard = Evidence("WAL receiver", f"{status}, heard {silence or 0:.0f} s ago", f"within {LARGEST_S:g} s")
            well = status == "streaming" and (silence or 0) <= LARGEST_S
            yield (
                passed("This standby hears its primary.", heard)
                if well
                else failed("database.url is a standby that hears nothing from its primary.", heard)
            )
    late = 0.0 if caught_up else behind
    replay = Evidence(
        "replay",
        ("paused, " if paused else "") + ("nothing replayed yet" if late is None else f"{late:.0f} s behind"),
        f"at most {LARGEST_S:g} s behind",
    )
    if paused:
        yield failed("database.url is a standby whose replay is paused.", replay)
    elif late is None or late > LARGEST_S:
        yield failed("database.url is a standby that is behind.", replay)
    else:
        yield passed("database.url is a standby that follows.", replay)
