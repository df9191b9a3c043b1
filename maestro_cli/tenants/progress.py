"""What a running migration tells: values only, drawn by whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from maestro_cli.tenants.session import DatabaseError, Session
from maestro_cli.tenants.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One moment of one step."""

    step: Step
    number: int
    """From 1."""
    total: int
    """Steps of this run."""
    state: Literal["started", "running", "waiting", "done"]
    elapsed_s: float = 0.0
    done: int = 0
    whole: int = 0
    unit: Literal["rows", "blocks", ""] = ""
    what: str = ""
    """PostgreSQL's own word for the phase, or whom the step waits for."""

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.done / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds left of this step, None where nothing is known."""
        return (self.whole - self.done) / self.rate if self.rate > 0 and self.whole >= self.done > 0 else None


Listener = Callable[[Progress], None]

_INDEX = """
SELECT phase, blocks_done, blocks_total, tuples_done, tuples_total FROM pg_stat_progress_create_index WHERE pid = %s"""

_BLOCKED = """
SELECT a.pid, a.usename, a.application_name, a.state, extract(epoch FROM clock_timestamp() - a.xact_start)::float8, a.query_start
FROM unnest(pg_blocking_pids(%s)) AS b (pid) JOIN pg_stat_activity a USING (pid) ORDER BY a.xact_start LIMIT 1"""


class Observer:
    """A second session that looks at what the first one is doing.

    Args:
        session: The second session; it never holds a transaction open, or the index build would wait for it.
        pid: The first one's backend.
    """

    def __init__(self, session: Session, pid: int) -> None:
        self._session = session
        self._pid = pid

    def index_build(self) -> dict[str, Any]:
        """Fields of `Progress` for the index build that is running; empty where none is."""
        try:
            rows = self._session.execute(_INDEX, (self._pid,))
        except DatabaseError:
            return {}
        if not rows:
            return {}
        phase, blocks, all_blocks, tuples, all_tuples = rows[0]
        if all_tuples:
            return {"done": tuples, "whole": all_tuples, "unit": "rows", "what": phase}
        return {"done": blocks or 0, "whole": all_blocks or 0, "unit": "blocks" if all_blocks else "", "what": phase}

    def blocker(self) -> str | None:
        """Whom the statement waits for, if it waits for somebody."""
        try:
            rows = self._session.execute(_BLOCKED, (self._pid,))
        except DatabaseError:
            return None
        if not rows:
            return None
        pid, user, application, state, age, began = rows[0]
        query = f", query started {began:%Y-%m-%d %H:%M:%S %Z}" if began else ""
        return f"pid {pid}, user {user or '?'}, application {application or '(no name)'}, {state or '?'} for {age or 0:.1f} s{query}"
