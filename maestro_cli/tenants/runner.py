"""Running a plan on a live database: look, act, look again; what is left is always read from the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.errors import MaestroError
from maestro_cli.tenants import advisory, backfill, planner, tenant_map, version
from maestro_cli.tenants.catalog_read import read_for
from maestro_cli.tenants.locks import Budget, Holder, Locksmith, Pace
from maestro_cli.tenants.online import Online
from maestro_cli.tenants.progress import Listener, Progress
from maestro_cli.tenants.session import DatabaseError, Session
from maestro_cli.tenants.spec import Spec, specify, with_proposals
from maestro_cli.tenants.steps import Mode, Phase, Plan, Step
from maestro_cli.tenants.throttle import Throttle


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits of a run.

    Attributes:
        max_lock_wait_s: How long one step may look for a moment to take its lock; exceeded, the run ends and names the
            blocker.
        max_stall_s: How long others may be made to wait for a lock of ours.
        max_replica_lag_s: Long steps wait while a replica is further behind than this.
        max_transaction_age_s: A backfill waits while a transaction is older than this: its dead rows could not be
            cleaned up.
        batch_rows: Rows in one transaction of a backfill.
        index_memory_mb: Memory that an index build may take (maintenance_work_mem), where the server gives it less. What
            does not fit is sorted through temporary files, and writing them back delays the application's commits.
    """

    max_lock_wait_s: float = 600.0
    max_stall_s: float = 0.05
    max_replica_lag_s: float = 10.0
    max_transaction_age_s: float = 300.0
    batch_rows: int = backfill.BATCH_ROWS
    index_memory_mb: int = 256


_INDEX_MEMORY = """
SELECT set_config('maintenance_work_mem', greatest(setting::bigint, %s)::text, false)
FROM pg_settings WHERE name = 'maintenance_work_mem'"""  # in kB, as both are
# PostgreSQL 18 reads 16 blocks ahead where a whole table is read (1 before 18), and the application's own reads and commits
# then queue behind them at the disk. One at a time takes no longer: the operating system reads ahead as well.
_ONE_READ_AT_A_TIME = """
SELECT set_config(name, '1', false) FROM pg_settings
WHERE name IN ('effective_io_concurrency', 'maintenance_io_concurrency') AND setting::int > 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run did."""

    steps: tuple[str, ...]
    """Ids of the steps that were run."""
    tables: tuple[str, ...]
    assigned_rows: int = 0
    recorded: bool = True
    """Whether the revision could be recorded for Alembic."""
    elapsed_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema_version": "1",
            "steps": list(self.steps),
            "tables": list(self.tables),
            "assigned_rows": self.assigned_rows,
            "recorded": self.recorded,
            "elapsed_s": round(self.elapsed_s, 3),
        }


def current_plan(session: Session, tenancy: Tenancy, *, contract: bool = False) -> tuple[Plan, Spec]:
    """Read the catalog and plan what is left.

    Raises:
        ConfigurationError: The tenancy does not fit the database.
    """
    spec = specify(tenancy)
    catalog = read_for(session, spec)
    spec = with_proposals(spec, tenancy, catalog)
    return planner.make(spec, catalog, contracting=contract), spec


def apply(
    url: str,
    tenancy: Tenancy,
    *,
    contract: bool = False,
    map_directory: Path | None = None,
    record: bool = True,
    on_progress: Listener | None = None,
    budgets: Budgets | None = None,
    pace: Pace | None = None,
) -> Outcome:
    """Migrate, resumably and idempotently.

    Args:
        url: URL of the role that owns the tables.
        tenancy: What is asked for.
        contract: Go on to the contract step.
        map_directory: A map that a rollback saved: which row was whose.
        record: Write Alembic's version table; False when Alembic itself is at work.
        on_progress: Hears of every step.
        budgets: Limits.
        pace: Clock, sleep and chance.

    Raises:
        ConfigurationError: The tenancy does not fit the database; nothing was changed.
        Blocked: Somebody was in the way for longer than the budget; what was done stays and is continued from.
        OutOfReach: No server.
        DatabaseError: The server refused a step.
    """
    with Session(url, schema=tenancy.schema) as session:
        runner = Runner(session, url, tenancy, budgets or Budgets(), pace or Pace(), on_progress, map_directory, record)
        with runner:
            return runner.run(contract=contract)


@dataclass
class Runner:
    """One run of `apply` (or `rollback`): the session, the limits and who listens."""

    session: Session
    url: str
    tenancy: Tenancy
    budgets: Budgets
    pace: Pace
    listener: Listener | None = None
    map_directory: Path | None = None
    record: bool = True
    """Write Alembic's version table; not when Alembic itself is at work."""
    assigned: int = 0
    ran: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        budget = Budget(self.budgets.max_lock_wait_s, self.budgets.max_stall_s)
        self.locksmith = Locksmith(self.session, self.tenancy.schema, budget, self.pace)
        self.throttle = Throttle(
            self.session,
            self.pace,
            max_replica_lag_s=self.budgets.max_replica_lag_s,
            max_transaction_age_s=self.budgets.max_transaction_age_s,
            max_wait_s=self.budgets.max_lock_wait_s,
        )
        self.online = Online(
            self.session,
            lambda: Session(self.url, schema=self.tenancy.schema, application="maestro migrate (progress)"),
            self.pace,
            max_wait_s=self.budgets.max_lock_wait_s,
            tell=self._tell,
        )
        self._began = self.pace.monotonic()

    def __enter__(self) -> Self:
        advisory.take(self.session, self.tenancy.schema, self.pace)
        self.session.execute(_INDEX_MEMORY, (self.budgets.index_memory_mb * 1024,))
        self.session.execute(_ONE_READ_AT_A_TIME)
        return self

    def __exit__(self, *_: object) -> None:
        self.online.close()

    def run(self, *, contract: bool) -> Outcome:
        """Plan and act until nothing is left."""
        before: tuple[str, ...] | None = None
        while True:
            plan, spec = current_plan(self.session, self.tenancy, contract=contract)
            ids = tuple(step.id for step in plan.steps)
            if not ids:
                self._restore_map(spec)
                break
            if ids == before:
                # What a role has by way of another role can't be revoked from it; verify goes on to say so.
                stuck = [step for step in ids if not step.startswith("revoke:")]
                if not stuck:
                    break
                raise MaestroError(f"these steps ran without error and are still to do: {', '.join(stuck)}")
            before = ids
            first = [step for step in plan.steps if step.phase is Phase.EXPAND]
            self.run_steps(first, spec, total=len(plan.steps))
            self._restore_map(spec)
            self.run_steps(plan.steps[len(first) :], spec, before=len(first))
        recorded = not self.record or version.stamp(self.session, version.REVISION)
        return Outcome(
            steps=tuple(self.ran),
            tables=plan.tables,
            assigned_rows=self.assigned,
            recorded=recorded,
            elapsed_s=self.pace.monotonic() - self._began,
        )

    def _restore_map(self, spec: Spec) -> None:
        """Rows of a saved map get their tenants before anything is validated: composite keys would forbid it after."""
        if self.map_directory is None:
            return
        catalog = read_for(self.session, spec)
        try:
            self.assigned += tenant_map.restore(self.session, spec, catalog, self.map_directory)
        except DatabaseError as error:
            self.session.rollback()
            raise DatabaseError(
                f"the map in {self.map_directory} can't be restored: {error.message}",
                sqlstate=error.sqlstate,
                hint="Its tenants must exist (maestro tenants list); then run again: maestro migrate apply --map",
            ) from None
        self.map_directory = None

    def run_steps(self, steps: Sequence[Step], spec: Spec, *, before: int = 0, total: int | None = None) -> None:
        """Run steps in their order; `before` and `total` place them in a longer run."""
        total = before + len(steps) if total is None else total
        for number, step in enumerate(steps, before + 1):
            progress = Progress(step=step, number=number, total=total, state="started")
            self._tell(progress)
            began = self.pace.monotonic()
            self._run(step, spec, progress, began)
            self.ran.append(step.id)
            self._tell(replace(progress, state="done", elapsed_s=self.pace.monotonic() - began))

    def _run(self, step: Step, spec: Spec, progress: Progress, began: float) -> None:
        def waiting(holders: Sequence[Holder]) -> None:
            what = str(holders[0]) if holders else "for a quiet moment"
            self._tell(replace(progress, state="waiting", what=what, elapsed_s=self.pace.monotonic() - began))

        try:
            if step.mode is Mode.BRIEF:
                self.locksmith.on_wait = waiting
                self.locksmith.run(step.sql, step.locks)
            elif step.mode is Mode.BATCHES:
                self._backfill(step, spec, progress, began)
            else:
                self._throttle(progress, began)
                self.online.run(step, spec, progress, began)
        except DatabaseError as error:
            self.session.rollback()
            raise explained(error, step) from None

    def _backfill(self, step: Step, spec: Spec, progress: Progress, began: float) -> None:
        if step.backfill is None:  # pragma: no cover - every such step has one
            return
        whole = self._rows(step.table)
        looked = began

        def before_batch() -> None:
            nonlocal looked
            now = self.pace.monotonic()
            if now - looked > 1 or looked == began:
                looked = now
                self._throttle(progress, began, ages=True)

        def on_rows(done: int) -> None:
            elapsed = self.pace.monotonic() - began
            self._tell(
                replace(progress, state="running", done=done, whole=max(whole, done), unit="rows", elapsed_s=elapsed)
            )

        self.assigned += backfill.run(
            step.backfill,
            spec,
            self.session,
            self.pace,
            before_batch=before_batch,
            on_rows=on_rows,
            rows=self.budgets.batch_rows,
        )

    def _rows(self, table: str) -> int:
        query = (
            "SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class WHERE oid = to_regclass(%s)"
            " OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(%s))"
        )
        name = f'"{self.tenancy.schema}"."{table}"'
        return int(self.session.execute(query, (name, name))[0][0])

    def _throttle(self, progress: Progress, began: float, *, ages: bool = False) -> None:
        def waiting(reason: str) -> None:
            elapsed = self.pace.monotonic() - began
            self._tell(replace(progress, state="waiting", what=reason, elapsed_s=elapsed))

        self.throttle.wait(waiting, ages=ages)

    def _tell(self, progress: Progress) -> None:
        if self.listener is not None:
            self.listener(progress)


def explained(error: DatabaseError, step: Step) -> DatabaseError:
    """The server's refusal, with the step it belongs to and what to do."""
    hints = {
        "23503": "Some rows point to a tenant (or parent) that does not exist: maestro migrate verify names the tables."
        " Create the tenant with: maestro tenants create",
        "23505": "Some rows are not unique within their tenant; correct them and run: maestro migrate apply",
        "42501": "The role of database.admin_url (or database.url) needs to own the tables.",
        "53100": "The disk is full; make room and run: maestro migrate apply",
    }
    if step.phase is Phase.DOWN:
        hints["23505"] = "Two tenants have the same value, which the old unique forbids; change one of them first."
    hint = hints.get(
        error.sqlstate, "What was done stays. When this is corrected, continue with: maestro migrate apply"
    )
    code = f" [{error.sqlstate}]" if error.sqlstate else ""
    return DatabaseError(
        f"{step.title} on {step.table} failed: {error.message}{code}",
        sqlstate=error.sqlstate,
        statement=error.statement,
        hint=hint,
    )
