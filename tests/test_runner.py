"""A check may raise, hang, exit or shout: it costs only itself, and the report stays whole."""

from __future__ import annotations

import pickle
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maestro_cli.api import (
    Check,
    Context,
    ControlFailed,
    Evidence,
    Finding,
    Status,
    Unreachable,
    check,
    combine,
    errored,
    failed,
    parse_documentation,
    passed,
    skipped,
    warned,
)
from maestro_cli.config import without_file
from maestro_cli.errors import MaestroError, NotConfigured
from maestro_cli.model import Component, Priority, Report, Verdict, WaiverNote
from maestro_cli.runner import Interrupted, Plan, Progress, execute, run
from maestro_cli.scoring import GateRule
from maestro_cli.threads import DaemonThreads

SEEN = Evidence("thing", "as it should be")
PLAN = Plan(GateRule("development", 60), dict.fromkeys(Component, 1.0), deadline_s=5, total_s=20)


def make(function: Callable[[Context], Any], name: str = "sample", **options: Any) -> Check:
    function.__doc__ = "It holds.\n\nWhy: it matters. Fails when: it does not. Fix: mend it. Source: RFC 1."
    return check(f"health.{name}", component="infrastructure", priority="high", **options)(function)


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return Context(without_file(tmp_path))


def good(_ctx: Context) -> Finding:
    return passed("fine", SEEN)


def statuses(report: Report) -> dict[str, Status]:
    return {row.id.removeprefix("health."): row.status for row in report.checks}


def test_whatever_a_check_does_costs_only_itself(ctx: Context) -> None:
    def raises(_ctx: Context) -> Finding:
        raise ValueError("broken")

    def exits(_ctx: Context) -> Finding:
        sys.exit(0)

    def interrupts(_ctx: Context) -> Finding:
        raise KeyboardInterrupt

    def hangs(_ctx: Context) -> Finding:
        threading.Event().wait()
        return passed("never", SEEN)

    def nothing(_ctx: Context) -> Any:
        return None

    def empty(_ctx: Context) -> Any:
        return []

    def unproven(_ctx: Context) -> Finding:
        return passed("trust me")

    bad = [raises, exits, interrupts, nothing, empty, unproven]
    checks = [make(function, function.__name__) for function in bad]
    checks.append(make(hangs, "hangs", deadline_s=0.2))
    checks.append(make(good, "good"))
    report = run(checks, ctx, PLAN)
    expected: dict[str, Status] = {function.__name__: Status.ERROR for function in bad}
    assert statuses(report) == {**expected, "hangs": Status.ERROR, "good": Status.PASS}
    messages = {row.id: row.message for row in report.checks}
    assert messages["health.raises"] == "the check crashed: ValueError: broken"
    assert messages["health.exits"] == "the check called sys.exit instead of reporting a finding"
    assert messages["health.hangs"] == "timed out after 0.2 s"
    remedies = {row.id: row.remedy.text for row in report.checks if row.remedy is not None}
    assert remedies["health.hangs"].endswith("run.deadlines: {health.hangs: 0.8}")
    assert "a pass needs evidence" in messages["health.unproven"]


def test_hanging_checks_do_not_starve_the_others(ctx: Context) -> None:
    def hangs(_ctx: Context) -> Finding:
        time.sleep(60)
        return passed("never", SEEN)

    checks = [make(hangs, f"hangs-{i}", deadline_s=0.2) for i in range(20)] + [
        make(good, f"good-{i}") for i in range(20)
    ]
    report = run(checks, ctx, replace(PLAN, concurrency=4))
    assert (report.counts.error, report.counts.passed) == (20, 20)


def test_the_run_has_a_deadline_of_its_own(ctx: Context) -> None:
    def slow(_ctx: Context) -> Finding:
        time.sleep(30)
        return passed("late", SEEN)

    started = time.perf_counter()
    report = run([make(slow, f"slow-{i}") for i in range(12)], ctx, replace(PLAN, total_s=0.3))
    assert time.perf_counter() - started < 10
    assert {row.message for row in report.checks} == {"the run's deadline of 0.3 s passed before it could be measured"}
    assert (report.verdict, report.counts.total) == (Verdict.UNKNOWN, 12)


def test_a_deadline_is_settable_per_check(ctx: Context) -> None:
    def slow(_ctx: Context) -> Finding:
        time.sleep(0.4)
        return passed("there", SEEN)

    checks = [make(slow, "a"), make(slow, "b")]
    report = run(checks, ctx, replace(PLAN, deadlines={"health.a": 0.1}))
    assert statuses(report) == {"a": Status.ERROR, "b": Status.PASS}


def test_an_interruption_keeps_what_was_measured_and_says_what_was_not(ctx: Context) -> None:
    def hangs(_ctx: Context) -> Finding:
        time.sleep(60)
        return passed("never", SEEN)

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        run(
            [make(good, "good"), make(hangs, "hangs"), make(hangs, "later")],
            ctx,
            replace(PLAN, concurrency=2),
            on_progress=interrupt,
        )
    report = caught.value.report
    assert report.interrupted
    assert statuses(report) == {"good": Status.PASS, "hangs": Status.ERROR, "later": Status.ERROR}
    assert {row.message for row in report.checks if row.status is Status.ERROR} == {
        "interrupted before it could be measured"
    }


def test_an_observation_is_made_once_however_many_ask(ctx: Context) -> None:
    made: list[int] = []

    def observe() -> int:
        made.append(1)
        time.sleep(0.05)
        return 42

    def uses(ctx: Context) -> Finding:
        return passed("seen", Evidence("answer", str(ctx.shared("answer", observe)), "42"))

    report = run([make(uses, f"c{i}") for i in range(16)], ctx, PLAN)
    assert len(made) == 1
    assert {row.evidence[0].observed for row in report.checks} == {"42"}


def test_a_dependency_that_is_down_is_tried_once_and_said_once(ctx: Context) -> None:
    tried: list[int] = []

    def connect() -> int:
        tried.append(1)
        raise Unreachable("Redis", "connection refused at 127.0.0.1:16379")

    def uses(ctx: Context) -> Finding:
        return passed("seen", Evidence("x", str(ctx.shared("redis", connect))))

    report = run([*(make(uses, f"c{i}") for i in range(8)), make(good, "good")], ctx, PLAN)
    assert len(tried) == 1
    assert report.notes == (
        "Redis is unreachable: connection refused at 127.0.0.1:16379; 8 checks could not be measured",
    )
    behind = [row for row in report.checks if row.needs == "Redis"]
    assert len(behind) == 8
    assert {(row.status, row.message) for row in behind} == {(Status.ERROR, "needs Redis, which is unreachable")}


def test_a_failed_control_and_a_missing_subject_are_neither_pass_nor_fail(ctx: Context) -> None:
    def control(_ctx: Context) -> Finding:
        raise ControlFailed("a valid token was refused with 500; the probe would prove nothing")

    def subject(ctx: Context) -> Finding:
        ctx.require(ctx.settings.redis, "redis")
        return passed("never", SEEN)

    report = run([make(control, "control"), make(subject, "subject")], ctx, PLAN)
    assert statuses(report) == {"control": Status.ERROR, "subject": Status.SKIP}
    assert {row.message for row in report.checks} == {
        "a valid token was refused with 500; the probe would prove nothing",
        "redis is not configured",
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ControlFailed("the login is answered 401", hint="Do this."), Status.ERROR),
        (NotConfigured("redis is not configured", hint="Do this."), Status.SKIP),
    ],
)
def test_what_an_error_says_to_do_next_is_in_the_report(ctx: Context, error: MaestroError, status: Status) -> None:
    def control(_ctx: Context) -> Finding:
        raise error

    (row,) = run([make(control, "control")], ctx, PLAN).checks
    assert row.status is status
    assert row.remedy is not None
    assert row.remedy.text == "Do this."


def test_secrets_are_hidden_in_everything_a_check_says(ctx: Context) -> None:
    ctx.redact.add(["canary-4711/+x"])

    def leaks(_ctx: Context) -> Finding:
        return failed(
            "saw canary-4711/+x",
            Evidence("token", "canary-4711%2F%2Bx", "canary-4711/+x"),
            fix="not canary-4711/+x",
            command="echo canary-4711/+x",
        )

    def crashes(_ctx: Context) -> Finding:
        raise ValueError("canary-4711/+x")

    report = run([make(leaks, "leaks"), make(crashes, "crashes")], ctx, PLAN)
    assert "canary" not in repr(report)
    assert "********" in report.checks[0].message + report.checks[1].message


def test_bursts_run_last_and_one_at_a_time(ctx: Context) -> None:
    order: list[str] = []
    lock = threading.Lock()

    def step(name: str) -> Callable[[Context], Finding]:
        def function(_ctx: Context) -> Finding:
            with lock:
                order.append(f"{name} starts")
            time.sleep(0.02)
            with lock:
                order.append(f"{name} ends")
            return passed("x", SEEN)

        return function

    checks = [make(step("burst-a"), "burst-a", bursts=True), make(step("burst-b"), "burst-b", bursts=True)]
    checks += [make(step(f"calm-{i}"), f"calm-{i}", requests=1) for i in range(4)]
    run(checks, ctx, PLAN)
    assert order[-4:] == ["burst-a starts", "burst-a ends", "burst-b starts", "burst-b ends"]


class Beside:
    """Checks that note which others run when they begin, and in which order they begin."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.seen: dict[str, set[str]] = {}

    def step(self, name: str, seconds: float, **options: Any) -> Check:
        def function(_ctx: Context) -> Finding:
            self.seen[name] = set(self.running)
            self.running.add(name)
            time.sleep(seconds)
            self.running.discard(name)
            return passed("x", SEEN)

        return make(function, name, **options)


def test_what_ends_sessions_waits_for_those_who_use_them(ctx: Context) -> None:
    """Not for a built-in check that uses none: a rehearsal, or what asks as a stranger or of a copy of the service."""
    beside = Beside()
    checks = [
        beside.step("rehearsal", 1.0, apart=True),
        beside.step("comparison", 0.6),
        beside.step("stranger", 0.6, requests=1, sessionless=True),
        beside.step("copy", 0.6, sessionless=True),
        beside.step("asking", 0.1, requests=1),
        replace(beside.step("plugin", 0.2), plugin="theirs"),
        beside.step("ends-a", 0.05, last=True, requests=1),
        beside.step("ends-b", 0.05, last=True, requests=1),
        beside.step("burst", 0.01, bursts=True, requests=1),
    ]
    run(checks, ctx, PLAN)
    assert beside.seen["ends-a"] == beside.seen["ends-b"] == {"rehearsal", "comparison", "stranger", "copy"}
    assert beside.seen["burst"] == {"rehearsal"}, "only what is apart from all that the service uses"


def test_what_ends_sessions_waits_for_those_who_have_not_begun_yet(ctx: Context) -> None:
    """While rehearsals take every place there is, no session is in use, and some are still going to be."""
    beside = Beside()
    checks = [
        *(beside.step(f"rehearsal-{number}", 0.1, deadline_s=60) for number in range(2)),
        beside.step("asking", 0.01, requests=1),
        beside.step("ends", 0.01, last=True, requests=1),
    ]
    run(checks, ctx, replace(PLAN, concurrency=2))
    assert list(beside.seen).index("asking") < list(beside.seen).index("ends")


def test_rehearsals_begin_first_and_then_what_may_take_longest(ctx: Context) -> None:
    beside = Beside()
    checks = [
        beside.step("file", 0.01),
        beside.step("asking", 0.01, requests=1),
        beside.step("asking-long", 0.01, requests=1, deadline_s=30),
        beside.step("rehearsal", 0.01, deadline_s=12),
        beside.step("rehearsal-long", 0.01, deadline_s=60),
    ]
    run(checks, ctx, replace(PLAN, concurrency=1))
    assert list(beside.seen) == ["rehearsal-long", "rehearsal", "asking-long", "asking", "file"]


def test_any_executor_will_do(ctx: Context) -> None:
    with ThreadPoolExecutor(2) as pool:
        report = run([make(good, f"c{i}") for i in range(10)], ctx, PLAN, executor=pool)
    assert report.counts.passed == 10


def test_context_and_report_pickle(ctx: Context) -> None:
    ctx.shared("x", threading.Lock)
    again = pickle.loads(pickle.dumps(ctx))  # noqa: S301 - our own bytes
    assert (again.loaded, again.now, again.nonce) == (ctx.loaded, ctx.now, ctx.nonce)
    report = run([make(good)], ctx, PLAN)
    assert pickle.loads(pickle.dumps(report)) == report  # noqa: S301 - our own bytes


def test_waivers_apply_to_failures_alone(ctx: Context) -> None:
    note = WaiverNote("known", "ops@example.test", "2027-01-01")
    plan = replace(PLAN, waivers={"health.red": note, "health.gone": note, "health.good": note})
    report = run(
        [make(lambda _: failed("no", SEEN), "red"), make(lambda _: errored("?"), "gone"), make(good, "good")], ctx, plan
    )
    assert {row.id: row.waiver for row in report.checks} == {
        "health.red": note,
        "health.gone": None,
        "health.good": None,
    }
    assert report.counts.waived == 1


def test_findings_combine_to_the_worst_and_keep_all_evidence() -> None:
    rows = [passed("a", SEEN), warned("b", SEEN), errored("c"), failed("d", SEEN, fix="mend d")]
    whole = combine(rows)
    assert (whole.status, whole.message, len(whole.evidence)) == (Status.FAIL, "d", 3)
    assert whole.remedy is not None
    assert whole.remedy.text == "mend d"
    assert combine([skipped("x"), passed("a", SEEN)]).status is Status.PASS


def test_the_docstring_is_the_documentation(ctx: Context) -> None:
    sample = make(lambda _: failed("no", SEEN))
    assert (sample.title, sample.documentation.why, sample.documentation.source) == (
        "It holds",
        "it matters.",
        "RFC 1.",
    )
    result = execute(sample, ctx)
    assert result.remedy is not None
    assert (result.remedy.text, result.docs, result.why) == ("mend it.", "RFC 1.", "it matters.")
    assert parse_documentation("Fix: a\nb.\n  Why: c").fix == "a b."


def test_a_check_needs_a_proper_id_and_a_docstring() -> None:
    with pytest.raises(ValueError, match="kebab-case"):
        check("security.CORS", component="security", priority="low")
    with pytest.raises(ValueError, match="no docstring"):
        check("security.cors", component="security", priority="low")(lambda _: None)


def test_progress_counts_to_the_end(ctx: Context) -> None:
    seen: list[Progress] = []
    run([make(good, f"c{i}") for i in range(5)], ctx, PLAN, on_progress=seen.append)
    assert [row.done for row in seen] == [1, 2, 3, 4, 5]
    assert {row.total for row in seen} == {5}


def test_threads_are_reused_and_replaced() -> None:
    pool = DaemonThreads()
    names = {pool.submit(lambda: threading.current_thread().name).result() for _ in range(50)}
    assert len(names) == 1
    release = threading.Event()
    stuck = [pool.submit(release.wait) for _ in range(3)]
    assert pool.submit(lambda: 7).result(timeout=5) == 7
    release.set()
    assert all(future.result(timeout=5) for future in stuck)
    pool.shutdown()


def test_priorities_order_the_report(ctx: Context) -> None:
    low = replace(make(good, "low"), priority=Priority.LOW)
    critical = replace(make(good, "critical"), priority=Priority.CRITICAL)
    assert [row.priority for row in run([low, critical], ctx, PLAN).checks] == [Priority.CRITICAL, Priority.LOW]
