"""Sample reports for any test that needs one: each is a story, scored by the real arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from maestro_cli import scoring
from maestro_cli.model import (
    CheckResult,
    Component,
    Evidence,
    Priority,
    Remedy,
    Report,
    Status,
    Suite,
    WaiverNote,
)

STARTED = datetime(2025, 10, 5, 12, 0, tzinfo=UTC)
PRODUCTION = scoring.GateRule("production", 90, (Priority.CRITICAL, Priority.HIGH), 90)

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07[bold red]</td></script><script>window.pwned=1</script>"
    "\"'><img src=x onerror='window.pwned=1'> `rm -rf` | **loud** @everyone ]]> \u202egnirts\u202c \x9b31m\x00\udcff\r\n::error::x"
)
"""What a service may answer: terminal escapes, markup of every format, a bidi override, C1, NUL, a lone surrogate."""


def check(
    id: str = "security.sample",  # noqa: A002 - the field's name
    status: Status | str = Status.PASS,
    priority: Priority | str = Priority.HIGH,
    component: Component | str = Component.SECURITY,
    suite: Suite | str = Suite.SECURITY,
    **more: Any,
) -> CheckResult:
    """One result; anything else of `CheckResult` by name."""
    status = Status(status)
    fields: dict[str, Any] = {
        "title": id.partition(".")[2].replace("-", " ").capitalize(),
        "message": {"pass": "It holds.", "skip": "Not configured."}.get(status, "It does not hold."),
        "duration_s": 0.012,
    }
    return CheckResult(
        id=id,
        suite=Suite(suite),
        component=Component(component),
        priority=Priority(priority),
        status=status,
        **{**fields, **more},
    )


def report(checks: Sequence[CheckResult] = (), *, rule: scoring.GateRule = PRODUCTION, **more: Any) -> Report:
    """A whole run over these results."""
    score = scoring.score(checks, {}, rule)
    fields: dict[str, Any] = {
        "service": "maestro-ml",
        "environment": rule.name,
        "commit": "1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b",
        "started_at": STARTED,
        "duration_s": 3.25,
        "maestro_version": "0.1.0",
    }
    return Report(
        score=score.score,
        coverage=score.coverage,
        verdict=score.verdict,
        gate=score.gate,
        components=score.components,
        checks=tuple(checks),
        counts=score.counts,
        **{**fields, **more},
    )


def passes() -> list[CheckResult]:
    """A healthy platform, at least one check in each component."""
    return [
        check(
            "health.postgres-up",
            title="PostgreSQL accepts connections",
            priority="critical",
            suite="health",
            component="infrastructure",
            message="PostgreSQL 16.3 answers in 4 ms.",
            evidence=(Evidence("connection", "open", "open"), Evidence("latency", "4 ms", "at most 250 ms")),
            why="Nothing else works without the database.",
            faults=("postgres-down",),
        ),
        check(
            "health.redis-up",
            title="Redis accepts connections",
            priority="critical",
            suite="health",
            component="infrastructure",
            message="Valkey 8.0 answers in 1 ms.",
        ),
        check(
            "security.jwt-alg-none",
            title="An unsigned token is refused",
            priority="critical",
            message="4 of 4 unsigned tokens were refused.",
            evidence=(Evidence("alg: none", "401", "401"), Evidence("alg: nOnE", "401", "401")),
            why="Whoever can send an unsigned token is whoever they say they are.",
            faults=("jwt-alg-none",),
        ),
        check("security.env-mode", title=".env is readable by its owner alone", message="Mode 0600."),
        check("security.rate-limit", title="The rate limit holds", priority="medium", message="429 at request 61."),
        check(
            "readiness.tenant-columns",
            title="Every table has its tenant",
            priority="critical",
            suite="readiness",
            component="multi_tenancy",
            message="6 of 6 tables.",
        ),
        check(
            "readiness.row-security",
            title="Row-level security is forced",
            suite="readiness",
            component="multi_tenancy",
            message="6 of 6 tables.",
        ),
        check(
            "readiness.tests-pass",
            title="The test suite passes",
            suite="readiness",
            component="testing",
            message="412 tests passed, none failed.",
        ),
        check(
            "readiness.settings-load",
            title="The settings load",
            suite="readiness",
            component="configuration",
            message="Loaded by the application's own loader.",
        ),
        check(
            "readiness.pipeline",
            title="A pipeline runs the gate",
            priority="medium",
            suite="readiness",
            component="deployment",
            message=".github/workflows/ci.yml runs maestro readiness.",
        ),
        check(
            "readiness.runbook",
            title="The README tells how to roll back",
            priority="low",
            suite="readiness",
            component="deployment",
            message="Section “Rolling back” found.",
        ),
    ]


def troubles() -> list[CheckResult]:
    """What may go wrong, one of each kind."""
    return [
        check(
            "security.jwt-signature",
            "fail",
            "critical",
            title="A token with a changed claim is refused",
            message="The API accepted a token whose subject was changed after signing.",
            evidence=(
                Evidence("GET /projects, sub edited", "200 OK", "401"),
                Evidence("GET /projects, signature stripped", "401", "401"),
            ),
            remedy=Remedy(
                "Verify the signature before you read any claim; pin the algorithm to HS256.",
                "maestro checks explain security.jwt-signature",
            ),
            why="An attacker becomes any user by editing one field.",
            docs="https://www.rfc-editor.org/rfc/rfc8725#section-3.1",
            faults=("jwt-signature",),
        ),
        check(
            "security.database-password",
            "fail",
            "high",
            title="The database password is not a default",
            message="The password is on the list of defaults.",
            remedy=Remedy("Set a generated password of at least 192 bits.", "maestro secrets rotate POSTGRES_PASSWORD"),
            waiver=WaiverNote("shared development database", "ops@example.test", "2027-03-31"),
        ),
        check(
            "security.certificate-days",
            "warn",
            "medium",
            title="The certificate is valid for a while",
            message="20 days left.",
            evidence=(Evidence("not after", "2025-10-25", "after 2025-11-04"),),
            remedy=Remedy("Renew the certificate.", None, fixable=True),
        ),
        check(
            "readiness.benchmark",
            "error",
            "medium",
            title="The load test met its budget",
            suite="readiness",
            component="testing",
            message="reports/load.json is empty.",
            remedy=Remedy("Run the load test again."),
        ),
        check(
            "readiness.backup",
            "skip",
            "high",
            title="A backup is recent and restores",
            suite="readiness",
            component="infrastructure",
            message="No backup is configured (evidence.backup).",
        ),
    ]


def ready() -> Report:
    """Everything passes."""
    return report(passes())


def not_ready() -> Report:
    """One of each trouble among the passes."""
    return report([*passes(), *troubles()], notes=("The evidence in reports/coverage.xml is 20 hours old.",))


def outage() -> Report:
    """Redis is down: three checks stand behind it and say so once."""
    behind = [
        check(
            f"health.redis-{noun}",
            "error",
            priority,
            "infrastructure",
            "health",
            title=title,
            needs="Redis",
            message="Needs Redis, which is unreachable.",
            remedy=Remedy("Start Redis and see that REDIS_URL names it.", "docker compose up -d redis"),
        )
        for noun, priority, title in (
            ("answers", "critical", "Redis answers"),
            ("memory", "low", "Redis has memory to spare"),
            ("eviction", "high", "Redis does not evict the blacklist"),
        )
    ]
    kept = [result for result in passes() if result.id != "health.redis-up"]
    return report([*kept, *behind], notes=("Redis is unreachable: 3 checks could not be measured",))


def nothing() -> Report:
    """An empty maestro.yaml: no check applied."""
    return report(
        [
            check(
                "health.postgres-up", "skip", "critical", "infrastructure", "health", message="database.url is not set."
            )
        ],
        service="",
        commit=None,
        duration_s=0.0,
    )


def empty() -> Report:
    """Not even a check."""
    return report([], service="", environment="", commit=None, duration_s=0.0)


def hostile() -> Report:
    """Every text comes from an attacker."""
    bad = [
        check(
            f"security.{HOSTILE}",
            status,
            priority,
            title=HOSTILE,
            message=HOSTILE,
            why=HOSTILE,
            needs=HOSTILE,
            docs=f"javascript:alert(1)//{HOSTILE}",
            plugin=HOSTILE,
            faults=(HOSTILE,),
            evidence=(Evidence(HOSTILE, HOSTILE, HOSTILE), Evidence("", "", "")),
            remedy=Remedy(HOSTILE, HOSTILE),
            waiver=WaiverNote(HOSTILE, HOSTILE, HOSTILE),
        )
        for status, priority in zip(Status, [*Priority, Priority.LOW], strict=True)
    ]
    bad.append(check("security.https-docs", "fail", docs=f'https://example.test/"{HOSTILE}'))
    return report(
        bad,
        rule=scoring.GateRule(HOSTILE, 90),
        service=HOSTILE,
        environment=HOSTILE,
        commit=HOSTILE,
        notes=(HOSTILE,),
        extra={HOSTILE: HOSTILE, "trend": [{"started_at": HOSTILE, "score": 50.0, "commit": HOSTILE}]},
    )


def big(number: int = 1000) -> Report:
    """Many checks of every kind, with evidence."""
    return report([_numbered(index) for index in range(number)])


def trend(scores: Iterable[float | None] = (58.0, 61.5, 64.2, None, 71.0, 78.4, 82.1)) -> list[dict[str, Any]]:
    """The stored runs as `Report.extra["trend"]` has them, oldest first."""
    return [
        {"started_at": f"2025-09-{day:02d}T12:00:00Z", "score": score, "commit": f"{day:040x}"}
        for day, score in enumerate(scores, start=1)
    ]


def _numbered(index: int) -> CheckResult:
    statuses = list(Status)
    components = list(Component)
    return check(
        f"security.generated-{index}",
        statuses[(index * 7) % 5],
        list(Priority)[index % 4],
        components[index % 6],
        title=f"Generated check number {index}",
        message=f"Observation number {index} was made.",
        evidence=tuple(Evidence(f"probe {number}", f"value {index * number}", "something else") for number in range(3)),
        remedy=Remedy("Change the setting.", f"maestro fix security.generated-{index}"),
        why="Because it matters.",
    )
