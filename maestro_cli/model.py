"""What a run says: checks' results, components' scores, the gate's outcome, the report. Values only, all picklable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from maestro_cli.records import record


class Status(StrEnum):
    """What became of a check."""

    PASS = "pass"  # noqa: S105 - a status, not a password
    """Observed, and it holds."""
    WARN = "warn"
    """Observed; it holds for now."""
    FAIL = "fail"
    """Observed, and it does not hold."""
    ERROR = "error"
    """Could not be observed: unreachable, misconfigured, timed out, crashed."""
    SKIP = "skip"
    """Does not apply: its subject is not configured."""


class Priority(StrEnum):
    """How much a check weighs and in what order its finding is read."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Suite(StrEnum):
    """The three suites `maestro validate` runs."""

    HEALTH = "health"
    SECURITY = "security"
    READINESS = "readiness"


class Component(StrEnum):
    """The six components of the scored breakdown, in the order they are printed."""

    SECURITY = "security"
    MULTI_TENANCY = "multi_tenancy"
    TESTING = "testing"
    CONFIGURATION = "configuration"
    INFRASTRUCTURE = "infrastructure"
    DEPLOYMENT = "deployment"

    @property
    def title(self) -> str:  # type: ignore[override] # a component is shown by its title, never title-cased
        """The name as a person reads it: "Multi-tenancy"."""
        return self.value.replace("_", "-").capitalize()


class Verdict(StrEnum):
    """The last line of a run."""

    READY = "ready"
    NOT_READY = "not_ready"
    UNKNOWN = "unknown"
    """Nothing was measured."""


@record(frozen=True)
class Evidence:
    """One observation: what was looked at, what was seen and what would have been right."""

    name: str
    observed: str
    expected: str = ""


@record(frozen=True)
class Remedy:
    """How to mend a finding.

    Attributes:
        text: What to do, in a sentence or two.
        command: The next command to type, where there is one.
        fixable: Whether `maestro fix` can do it.
    """

    text: str
    command: str | None = None
    fixable: bool = False


@record(frozen=True)
class WaiverNote:
    """A waiver as it was applied to one check's result."""

    reason: str
    owner: str
    expires: str


@record(frozen=True)
class CheckResult:
    """The outcome of one check in one run; `faults` are the catalogue's faults that turn it red."""

    id: str
    title: str
    suite: Suite
    component: Component
    priority: Priority
    status: Status
    message: str
    evidence: tuple[Evidence, ...] = ()
    remedy: Remedy | None = None
    waiver: WaiverNote | None = None
    plugin: str = "builtin"
    duration_s: float = 0.0
    docs: str = ""
    why: str = ""
    faults: tuple[str, ...] = ()
    needs: str | None = None
    """The dependency that was down (`"PostgreSQL"`), where that is why this check is an error."""


@record(frozen=True)
class Counts:
    """How many checks ended in each status; a waived check is counted under its status too."""

    passed: int = 0
    warn: int = 0
    fail: int = 0
    error: int = 0
    skip: int = 0
    waived: int = 0

    @property
    def total(self) -> int:
        """All checks; `waived` is not a status of its own."""
        return self.passed + self.warn + self.fail + self.error + self.skip

    def as_dict(self) -> dict[str, int]:
        """With the report's names (`pass` is a keyword in Python)."""
        return {
            "pass": self.passed,
            "warn": self.warn,
            "fail": self.fail,
            "error": self.error,
            "skip": self.skip,
            "waived": self.waived,
        }


@record(frozen=True)
class ComponentScore:
    """One row of the breakdown; `score` and `coverage` are percentages, rounded down, `score` None when nothing applied."""

    id: Component
    title: str
    score: float | None
    weight: float
    coverage: float
    counts: Counts


@record(frozen=True)
class GateOutcome:
    """The environment's gate and whether it was met; `reasons` says why not, one sentence each."""

    name: str
    min_score: float
    no_failed: tuple[Priority, ...]
    min_coverage: float
    met: bool
    reasons: tuple[str, ...]


@record(frozen=True)
class Report:
    """A whole run."""

    service: str
    environment: str
    commit: str | None
    started_at: datetime
    duration_s: float
    score: float | None
    coverage: float
    verdict: Verdict
    gate: GateOutcome
    components: tuple[ComponentScore, ...]
    checks: tuple[CheckResult, ...]
    counts: Counts
    maestro_version: str
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    """Said once for the whole run: "Redis is unreachable: 4 checks could not be measured"."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """Top-level keys that one command adds (the demo's planted fault)."""
