"""Running what takes long and stops nobody: validations and index builds, watched from a second session."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from maestro_cli.tenants.locks import RETRIED, Blocked, Pace
from maestro_cli.tenants.progress import Listener, Observer, Progress
from maestro_cli.tenants.session import DatabaseError, Session
from maestro_cli.tenants.spec import Spec
from maestro_cli.tenants.steps import Mode, Step

ATTEMPTS = 5
"""A build that lost a deadlock is tried again so often."""


@dataclass
class Online:
    """Runs online steps.

    Args:
        session: Where they run.
        observing: Opens the second session.
        pace: Clock, sleep and chance.
        max_wait_s: How long a step may wait for an older transaction. That wait blocks nobody, but it may last for ever.
        tell: Hears how far it is.
    """

    session: Session
    observing: Callable[[], Session]
    pace: Pace
    max_wait_s: float
    tell: Listener
    _second: Session | None = field(default=None, init=False)
    _waiting_since: float | None = field(default=None, init=False)
    _gave_up: str | None = field(default=None, init=False)

    def close(self) -> None:
        """End the second session."""
        if self._second is not None:
            self._second.close()

    def run(self, step: Step, spec: Spec, progress: Progress, began: float) -> None:
        """Run a step without a lock timeout: one would kill an index build and leave an invalid index.

        Raises:
            Blocked: It waited too long.
            DatabaseError: The server refused it; an index that it left invalid is dropped.
        """
        self._waiting_since = self._gave_up = None
        self.session.on_tick = lambda: self._watch(step, progress, began)
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    for statement in step.sql:
                        self.session.execute(statement)
                except DatabaseError as error:
                    self.session.rollback()
                    if self._gave_up is not None:
                        raise self._outwaited(step, self._gave_up) from None
                    self._drop_remains(step, spec)
                    if error.sqlstate not in RETRIED or attempt == ATTEMPTS:
                        raise
                    self.pace.sleep(0.2 * attempt * (0.5 + self.pace.random()))
                else:
                    return
        finally:
            self.session.on_tick = None

    def _outwaited(self, step: Step, who: str) -> Blocked:
        return Blocked(
            f"{step.title} on {step.table} waited {self.max_wait_s:.0f} s for a transaction that began before it:\n  - {who}",
            hint="End that transaction or let it end, then continue with: maestro migrate apply",
        )

    def _drop_remains(self, step: Step, spec: Spec) -> None:
        """What a failed build leaves costs every write and serves no read."""
        if step.mode is Mode.CONCURRENT and step.builds and not step.sql[0].startswith("DROP"):
            with contextlib.suppress(DatabaseError):
                self.session.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {spec.qualified(step.builds)}")

    def _watch(self, step: Step, progress: Progress, began: float) -> None:
        """Four times a second: how far it is, and whether it waits for too long."""
        if self._second is None:
            self._second = self.observing()
        observer = Observer(self._second, self.session.pid)
        now = self.pace.monotonic()
        fields: dict[str, Any] = {"state": "running", "elapsed_s": now - began}
        if step.mode is Mode.CONCURRENT:
            fields |= observer.index_build()
        blocker = observer.blocker()
        if blocker is None:
            self._waiting_since = None
        else:
            fields |= {"state": "waiting", "what": blocker}
            self._waiting_since = now if self._waiting_since is None else self._waiting_since
            if now - self._waiting_since > self.max_wait_s and self._gave_up is None:
                self._gave_up = blocker
                self.session.interrupt()
        self.tell(replace(progress, **fields))
