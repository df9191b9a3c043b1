"""Checks + Context → Report: concurrently, with a deadline each and one for all, every check by itself.

A check that raises, hangs, calls sys.exit or floods a stream costs only itself. Nothing here prints.
"""

from __future__ import annotations

import heapq
import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from maestro_cli._version import __version__
from maestro_cli.api import Check, Context, Finding, Status, Unreachable
from maestro_cli.errors import MaestroError, NotConfigured
from maestro_cli.model import CheckResult, Component, Evidence, Priority, Remedy, Report, WaiverNote
from maestro_cli.observe.patience import LIMIT, RateLimited
from maestro_cli.records import record
from maestro_cli.scoring import GateRule, score
from maestro_cli.threads import DaemonThreads

MAXIMUM_TEXT = 2_000
"""Characters of a message or observation that are kept; a check that quotes a whole page is cut short."""
GRACE_S = 0.4
"""After an interruption, how long running probes may take to clean up."""


class Interrupted(Exception):  # noqa: N818 - what happened, carrying what was seen until then
    """The run was interrupted; `report` holds what was measured."""

    def __init__(self, report: Report) -> None:
        super().__init__("interrupted")
        self.report = report


@record(frozen=True)
class Progress:
    """One check has ended: how many of how many, and its result."""

    done: int
    total: int
    result: CheckResult


@record(frozen=True)
class Plan:
    """What a run needs to know beside its checks."""

    gate: GateRule
    weights: dict[Component, float]
    deadline_s: float = 10.0
    deadlines: dict[str, float] = field(default_factory=dict)
    total_s: float = 120.0
    concurrency: int = 8
    waivers: dict[str, WaiverNote] = field(default_factory=dict)

    def deadline_of(self, check: Check) -> float:
        """Seconds that this check may take: its configured deadline, its own, or the usual one."""
        return self.deadlines.get(check.id, check.deadline_s or self.deadline_s)


def execute(check: Check, ctx: Context) -> CheckResult:
    """Run one check and turn whatever happens into its result. Never raises; picklable for any executor."""
    started = time.perf_counter()
    try:
        outcome: Finding | BaseException = check(ctx)
    except BaseException as error:  # noqa: BLE001 - sys.exit and KeyboardInterrupt in a check are that check's affair
        outcome = error
    return _result(check, outcome, ctx, time.perf_counter() - started)


def _result(check: Check, outcome: Finding | BaseException, ctx: Context, duration_s: float) -> CheckResult:
    needs = None
    if isinstance(outcome, Finding):
        finding = outcome
    elif isinstance(outcome, NotConfigured):
        finding = Finding(Status.SKIP, outcome.message, remedy=_hinted(outcome))
    elif isinstance(outcome, Unreachable):
        needs = outcome.dependency
        ctx.down.setdefault(needs, outcome.reason)
        needed = f"needs {needs}, which is unreachable"
        finding = Finding(Status.ERROR, outcome.message if isinstance(outcome, RateLimited) else needed)
    elif isinstance(outcome, MaestroError):
        finding = Finding(Status.ERROR, outcome.message, remedy=_hinted(outcome))
    elif isinstance(outcome, SystemExit):
        finding = Finding(Status.ERROR, "the check called sys.exit instead of reporting a finding")
    else:
        from maestro_cli.observe.database import refusal

        said = refusal(outcome)
        finding = Finding(Status.ERROR, said or f"the check crashed: {type(outcome).__name__}: {outcome}")
    return _checked(check, finding, ctx, duration_s, needs)


def _hinted(error: MaestroError) -> Remedy | None:
    """What the error says to do next, as the report's remedy."""
    return None if error.hint is None else Remedy(error.hint)


def _checked(check: Check, finding: Finding, ctx: Context, duration_s: float, needs: str | None) -> CheckResult:
    def clean(value: object) -> str:
        text = ctx.redact(str(value))
        return text if len(text) <= MAXIMUM_TEXT else text[: MAXIMUM_TEXT - 1] + "…"

    remedy = finding.remedy
    if remedy is not None:
        remedy = replace(
            remedy, text=clean(remedy.text), command=None if remedy.command is None else clean(remedy.command)
        )
    return CheckResult(
        id=check.id,
        title=clean(check.title),  # a declared check's title quotes its subject
        suite=check.suite,
        component=check.component,
        priority=check.priority,
        status=finding.status,
        message=clean(finding.message),
        evidence=tuple(
            Evidence(clean(item.name), clean(item.observed), clean(item.expected)) for item in finding.evidence
        ),
        remedy=remedy,
        plugin=check.plugin,
        duration_s=round(duration_s, 6),
        docs=check.documentation.source,
        why=check.documentation.why,
        faults=check.faults,
        needs=needs,
    )


def run(
    checks: Sequence[Check],
    ctx: Context,
    plan: Plan,
    *,
    executor: Executor | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Run every check and report.

    Args:
        checks: Unique by id.
        ctx: What they observe with.
        plan: Deadlines, gate, weights, waivers.
        executor: Any `concurrent.futures.Executor`; daemon threads of our own by default.
        on_progress: Told of each result as it comes, in the caller's thread.

    Raises:
        Interrupted: On KeyboardInterrupt, with the report of what was measured until then.
    """
    own = DaemonThreads() if executor is None else None
    try:
        return _Run(checks, ctx, plan, executor or own or DaemonThreads(), on_progress).report()
    finally:
        if own is not None:
            own.shutdown()


@dataclass
class _Running:
    check: Check
    started: float


def _limits_the_client(ctx: Context) -> bool:
    api = ctx.settings.api
    return api is not None and api.rate_limit is not None and api.rate_limit.scope == "client"


def _is_before(other: Check, late: Check) -> bool:
    """Whether a check that runs has to end before a late one begins: it uses sessions that the late one may end.

    A burst is alone: requests may count in one place, and what else moves the database is mistaken for the service.
    """
    if other.plugin != "builtin" or other.last or other.bursts:
        return True
    return not other.apart if late.bursts else other.requests > 0 and not other.sessionless


def _turn_by_priority(check: Check) -> int:
    return list(Priority).index(check.priority)


def _turn(plan: Plan, check: Check) -> tuple[bool, float, bool]:
    """What may take longest begins first, rehearsals before all, so that nobody waits for one of them alone at the end."""
    rehearsal = check.requests == 0 and check.deadline_s is not None
    return not rehearsal, -plan.deadline_of(check), check.requests == 0


class _Run:
    def __init__(
        self,
        checks: Sequence[Check],
        ctx: Context,
        plan: Plan,
        executor: Executor,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.ctx, self.plan, self.executor, self.on_progress = ctx, plan, executor, on_progress
        self.checks = checks
        # Bursts come last and one at a time: they use up windows that the others need quiet.
        # Where a limit counts all of a client's requests, they are spent by priority.
        order = sorted(checks, key=_turn_by_priority if _limits_the_client(ctx) else partial(_turn, plan))
        self.waiting = deque(check for check in order if not (check.bursts or check.last))
        # What ends sessions comes before what uses up windows.
        late = (check for check in order if check.bursts or check.last)
        self.bursts = deque(sorted(late, key=lambda check: (check.bursts, check.requests)))
        self.running: dict[Future[CheckResult], _Running] = {}
        self.deadlines: list[tuple[float, int, Future[CheckResult]]] = []
        self.finished: queue.SimpleQueue[Future[CheckResult]] = queue.SimpleQueue()
        self.results: dict[str, CheckResult] = {}
        self.started_at = datetime.now(UTC)
        self.started = time.perf_counter()
        self.sequence = 0

    def report(self) -> Report:
        interrupted = False
        try:
            self._loop()
        except KeyboardInterrupt:
            interrupted = True
            self.on_progress = None
            self._abandon("interrupted before it could be measured", grace_s=GRACE_S)
        report = self._report(interrupted=interrupted)
        if interrupted:
            raise Interrupted(report)
        return report

    def _loop(self) -> None:
        end = self.started + self.plan.total_s
        self._submit()
        while self.running:
            now = time.perf_counter()
            if now >= end + self.ctx.patience.since(self.started):
                self._abandon(f"the run's deadline of {self.plan.total_s:g} s passed before it could be measured")
                return
            next_deadline = self.deadlines[0][0] if self.deadlines else end
            try:
                limit = min(next_deadline, end + self.ctx.patience.since(self.started))
                future = self.finished.get(timeout=max(0.0, limit - now))
            except queue.Empty:
                self._expire()
            else:
                self._collect(future)
            self._submit()

    def _submit(self) -> None:
        while len(self.running) < self.plan.concurrency and self.waiting:
            self._start(self.waiting.popleft())
        if self.bursts and self._may_start_late(self.bursts[0]):
            self._start(self.bursts.popleft())

    def _may_start_late(self, check: Check) -> bool:
        """Whether its turn has come: all others have begun, and no session or window that it uses up is in use."""
        return not self.waiting and not any(_is_before(other.check, check) for other in self.running.values())

    def _start(self, check: Check) -> None:
        future = self.executor.submit(execute, check, self.ctx)
        now = time.perf_counter()
        self.running[future] = _Running(check, now)
        self.sequence += 1
        heapq.heappush(self.deadlines, (now + self.plan.deadline_of(check), self.sequence, future))
        future.add_done_callback(self.finished.put)

    def _collect(self, future: Future[CheckResult]) -> None:
        running = self.running.pop(future, None)
        if running is None:  # answered after its deadline; it was given up
            return
        error = future.exception()
        result = future.result() if error is None else _result(running.check, error, self.ctx, 0.0)
        self._record(result)

    def _expire(self) -> None:
        now = time.perf_counter()
        while self.deadlines and self.deadlines[0][0] <= now:
            _, sequence, future = heapq.heappop(self.deadlines)
            running = self.running.get(future)
            if running is None:
                continue
            deadline = self.plan.deadline_of(running.check)
            # Waiting for a rate limit's window is bounded by --max-wait and is nobody's slowness.
            until = running.started + deadline + self.ctx.patience.since(running.started)
            if until > now:
                heapq.heappush(self.deadlines, (until, sequence, future))
                continue
            del self.running[future]
            future.cancel()
            longer = f"Where the service is that slow, give it longer: run.deadlines: {{{running.check.id}: {4 * deadline:g}}}"
            self._give_up(running, f"timed out after {deadline:g} s", longer)

    def _abandon(self, reason: str, *, grace_s: float = 0.0) -> None:
        end = time.perf_counter() + grace_s
        self.waiting.extend(self.bursts)
        while self.running and (left := end - time.perf_counter()) > 0:
            try:
                self._collect(self.finished.get(timeout=left))
            except (queue.Empty, KeyboardInterrupt):  # a second Ctrl-C: not even the grace
                break
        now = time.perf_counter()
        for future, running in list(self.running.items()):
            future.cancel()
            self._give_up(running, reason)
        self.running.clear()
        while self.waiting:
            self._give_up(_Running(self.waiting.popleft(), now), reason)

    def _give_up(self, running: _Running, reason: str, hint: str | None = None) -> None:
        cancel = getattr(running.check.run, "cancel", None)
        if cancel is not None:  # a check in a process of its own can be ended; one in a thread cannot
            cancel()
        finding = Finding(Status.ERROR, reason, remedy=None if hint is None else Remedy(hint))
        self._record(_checked(running.check, finding, self.ctx, time.perf_counter() - running.started, None))

    def _record(self, result: CheckResult) -> None:
        waiver = self.plan.waivers.get(result.id)
        if waiver is not None and result.status is Status.FAIL:
            result = replace(result, waiver=waiver)
        self.results[result.id] = result
        if self.on_progress is not None:
            self.on_progress(Progress(len(self.results), len(self.checks), result))

    def _report(self, *, interrupted: bool) -> Report:
        ordered = tuple(sorted(self.results.values(), key=lambda row: (list(Priority).index(row.priority), row.id)))
        outcome = score(ordered, self.plan.weights, self.plan.gate)
        settings = self.ctx.settings
        return Report(
            service=self.ctx.redact(settings.service.name),
            environment=settings.service.environment,
            commit=self.ctx.commit,
            started_at=self.started_at,
            duration_s=round(time.perf_counter() - self.started, 6),
            score=outcome.score,
            coverage=outcome.coverage,
            verdict=outcome.verdict,
            gate=outcome.gate,
            components=outcome.components,
            checks=ordered,
            counts=outcome.counts,
            maestro_version=__version__,
            interrupted=interrupted,
            notes=self._notes(ordered),
        )

    def _notes(self, results: Sequence[CheckResult]) -> tuple[str, ...]:
        """A dependency that is down, said once with its reason."""
        notes = []
        for dependency in dict.fromkeys(result.needs for result in results if result.needs):
            behind = sum(result.needs == dependency for result in results)
            reason = self.ctx.down.get(dependency, "unreachable")
            subject = dependency[0].upper() + dependency[1:]
            plural = "check" if behind == 1 else "checks"
            state = reason if dependency == LIMIT else f"{subject} is unreachable: {reason}"
            notes.append(self.ctx.redact(f"{state}; {behind} {plural} could not be measured"))
        return tuple(notes)
