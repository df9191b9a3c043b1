"""Waiting before long work while it would hurt: a replica that lags, a transaction that keeps dead rows alive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from maestro_cli.tenants.locks import Blocked, Pace
from maestro_cli.tenants.session import Session

LOOK_S = 0.5
"""Seconds between two looks while it waits."""

_LAGGING = """
SELECT application_name, extract(epoch FROM replay_lag)::float8 FROM pg_stat_replication
WHERE extract(epoch FROM replay_lag) > %s ORDER BY replay_lag DESC LIMIT 1"""

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
        rows = self.session.execute(_LAGGING, (self.max_replica_lag_s,))
        return f"replica {rows[0][0] or '?'} is {rows[0][1]:.0f} s behind" if rows else None

    def _aged(self) -> str | None:
        rows = self.session.execute(_AGED, (self.max_transaction_age_s,))
        if not rows:
            return None
        pid, user, application, age = rows[0]
        return f"pid {pid} ({user}, {application or 'no application name'}) has a transaction open for {age:.0f} s"
