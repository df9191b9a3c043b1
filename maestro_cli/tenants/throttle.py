"""Waiting before long work while it would hurt: a replica that lags, a transaction that keeps dead rows alive."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from maestro_cli.tenants.locks import Blocked, Pace
from maestro_cli.tenants.session import Session

LOOK_S = 0.5
"""Seconds between two looks while it waits."""

FIRST_LOOK_S = 0.05
"""Seconds between two looks while the lag is measured for the first time: most replicas are there at once."""
KEPT = 10_000
"""Positions of the log that are remembered: an hour and more at two looks a second."""

_REPLICAS = """
SELECT coalesce(application_name, '?'), coalesce(extract(epoch FROM replay_lag), 0)::float8,
       (replay_lsn - '0/0'::pg_lsn)::float8, (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8
FROM pg_stat_replication WHERE state IN ('streaming', 'catchup') AND replay_lsn IS NOT NULL"""

_AGED = """
SELECT pid, usename, application_name, extract(epoch FROM clock_timestamp() - xact_start)::float8
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'
  AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
  AND clock_timestamp() - xact_start > make_interval(secs => %s)
ORDER BY xact_start LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Throttle:
    """When to wait, and for how long at most.

    Attributes:
        session: Where to look.
        pace: Clock and sleep.
        max_replica_lag_s: A replica further behind than this is waited for.
        max_transaction_age_s: A transaction older than this is waited for, where ages count.
        max_wait_s: When to give up.
    """

    session: Session
    pace: Pace
    max_replica_lag_s: float
    max_transaction_age_s: float
    max_wait_s: float
    _written: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """When the log was how long, by our own clock."""

    def wait(self, on_wait: Callable[[str], None], *, ages: bool) -> None:
        """Return when there is no reason to wait.

        Args:
            on_wait: Hears the reason.
            ages: Whether a long transaction is a reason: for work that leaves dead rows.

        Raises:
            Blocked: The reason outlasted the budget.
        """
        started = self.pace.monotonic()
        while (reason := self._lagging() or (self._aged() if ages else None)) is not None:
            waited = self.pace.monotonic() - started
            if waited > self.max_wait_s:
                raise Blocked(
                    f"waited {waited:.0f} s because {reason}",
                    hint="When that is over, continue with: maestro migrate apply",
                )
            on_wait(reason)
            self.pace.sleep(LOOK_S)

    def _lagging(self) -> str | None:
        first = not self._written
        rows = self.session.execute(_REPLICAS)
        if not rows:
            return None
        now = began = self.pace.monotonic()
        self._written.append((now, rows[0][3]))
        while first and rows and now - began <= self.max_replica_lag_s:
            # Nothing is known of them yet: how long they take to replay what is written now is their lag.
            if all(replayed >= self._written[0][1] for _, _, replayed, _ in rows):
                break
            self.pace.sleep(FIRST_LOOK_S)
            rows, now = self.session.execute(_REPLICAS), self.pace.monotonic()
        behind = [(self._behind(reported, replayed, now), name) for name, reported, replayed, _ in rows]
        worst, name = max(behind, default=(0.0, ""))
        return f"replica {name} is {worst:.0f} s behind" if worst > self.max_replica_lag_s else None

    def _behind(self, reported: float, replayed: float, now: float) -> float:
        """Seconds that a replica is behind.

        `replay_lag` is measured when a replica moves; of one that stands still it tells the last good value for ever. So
        it also counts since when the log has been longer than what the replica has replayed.
        """
        since = next((seen for seen, length in self._written if length > replayed), now)
        return max(reported if replayed < self._written[-1][1] else 0.0, now - since)

    def _aged(self) -> str | None:
        rows = self.session.execute(_AGED, (self.max_transaction_age_s,))
        if not rows:
            return None
        pid, user, application, age = rows[0]
        return f"pid {pid} ({user}, {application or 'no application name'}) has a transaction open for {age:.0f} s"
