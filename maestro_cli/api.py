"""The one module that a check imports, built-in or not.

A check, whole::

    from maestro_cli.api import Context, Evidence, Finding, check, failed, passed

    @check("health.disk", component="infrastructure", priority="medium", faults=("disk-full",))
    def disk(ctx: Context) -> Finding:
        \"\"\"The data disk has room.

        Why: a full disk stops the database. Fails when: less than 5 % is free. Fix: free some. Source: …
        \"\"\"
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Literal

from maestro_cli.errors import MaestroError, NotConfigured
from maestro_cli.model import Component, Evidence, Priority, Remedy, Status, Suite
from maestro_cli.observe.context import Context, FixContext
from maestro_cli.observe.errors import ControlFailed, Unreachable
from maestro_cli.records import record
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from maestro_cli.observe.control import Verdict

__all__ = [
    "Check",
    "Component",
    "Context",
    "ControlFailed",
    "Documentation",
    "Evidence",
    "Finding",
    "Fix",
    "FixContext",
    "MaestroError",
    "NotConfigured",
    "Priority",
    "Remedy",
    "Secret",
    "Status",
    "Suite",
    "Unreachable",
    "check",
    "combine",
    "errored",
    "failed",
    "passed",
    "refusals",
    "skipped",
    "warned",
]

ComponentName = Literal["security", "multi_tenancy", "testing", "configuration", "infrastructure", "deployment"]
PriorityName = Literal["critical", "high", "medium", "low"]

_ID = re.compile(r"^(health|security|readiness)\.[a-z0-9]+(-[a-z0-9]+)*$")
_LABELS = ("Why", "Fails when", "Fix", "Source")
_LABEL = re.compile(r"(?:^|(?<=\s))(Why|Fails when|Fix|Source): ")


@record(frozen=True)
class Finding:
    """What a check saw: a status, one sentence, the observations behind it and, where it is not well, the remedy."""

    status: Status
    message: str
    evidence: tuple[Evidence, ...] = ()
    remedy: Remedy | None = None


def passed(message: str, *evidence: Evidence) -> Finding:
    """Observed, and it holds. A pass needs evidence: at least one observation.

    Raises:
        ValueError: Without evidence; a pass that saw nothing is the defect this tool was made against.
    """
    if not evidence:
        raise ValueError("a pass needs evidence of what was observed")
    return Finding(Status.PASS, message, evidence)


def warned(message: str, *evidence: Evidence, fix: str | None = None, command: str | None = None) -> Finding:
    """Observed; it holds for now."""
    return Finding(Status.WARN, message, evidence, _remedy(fix, command))


def failed(message: str, *evidence: Evidence, fix: str | None = None, command: str | None = None) -> Finding:
    """Observed, and it does not hold. `fix` and `command` default to the docstring's `Fix:`."""
    return Finding(Status.FAIL, message, evidence, _remedy(fix, command))


def errored(message: str, *evidence: Evidence, fix: str | None = None, command: str | None = None) -> Finding:
    """Could not be observed. Raising Unreachable, ControlFailed or any other exception has the same effect."""
    return Finding(Status.ERROR, message, evidence, _remedy(fix, command))


def skipped(reason: str) -> Finding:
    """Does not apply: its subject is not configured. Name the key that would configure it."""
    return Finding(Status.SKIP, reason)


def _remedy(fix: str | None, command: str | None) -> Remedy | None:
    if fix is None and command is None:
        return None
    return Remedy(fix or "", command)


_WORST_FIRST = (Status.FAIL, Status.ERROR, Status.WARN, Status.PASS, Status.SKIP)


def combine(findings: Iterable[Finding]) -> Finding:
    """Several findings as one: the worst status speaks, all evidence is kept.

    A fail outranks an error: something seen to be wrong stays wrong however much else could not be seen.
    """
    rows = list(findings)
    if not rows:
        raise ValueError("a check must report at least one finding")
    worst = min(rows, key=lambda finding: _WORST_FIRST.index(finding.status)).status
    speaking = [row for row in rows if row.status is worst]
    messages = list(dict.fromkeys(row.message for row in speaking))
    sentences = all(message.endswith(".") for message in messages)
    message = (" " if sentences else "; ").join(messages)
    remedies = [row.remedy for row in speaking if row.remedy is not None]
    evidence = tuple(
        item for row in sorted(rows, key=lambda row: _WORST_FIRST.index(row.status)) for item in row.evidence
    )
    return Finding(worst, message, evidence, remedies[0] if remedies else None)


def refusals(verdict: Verdict, *, held: str, broken: str) -> Finding:
    """The finding of a probe whose every request should have been refused.

    Args:
        verdict: What became of them: accepted is a fail, and so is an internal error; an answer that is neither a yes nor
            a no leaves it open.
        held: The message when all were refused.
        broken: The beginning of the message when some were accepted; their names follow.
    """
    if verdict.accepted:
        return failed(f"{broken}: {', '.join(verdict.accepted)}.", *verdict.evidence)
    if verdict.crashed:
        return failed(f"It is not refused but crashes the service: {', '.join(verdict.crashed)}.", *verdict.evidence)
    if verdict.unclear:
        return errored(f"No clear answer to {', '.join(verdict.unclear)}.", *verdict.evidence)
    return passed(held, *verdict.evidence)


@record(frozen=True)
class Documentation:
    """A check's docstring, taken apart."""

    why: str = ""
    fails_when: str = ""
    fix: str = ""
    source: str = ""


@record(frozen=True)
class Fix:
    """A safe remedy that `maestro fix` can apply.

    Attributes:
        summary: What it changes, in a few words ("set .env to mode 0600").
        apply: Does it, and returns how to undo it, in words or as a command.
        plan: What it would do now, one line per change; empty when nothing is to be done.
    """

    summary: str
    plan: Callable[[FixContext], Sequence[str]]
    apply: Callable[[FixContext], str]


@record(frozen=True)
class Check:
    """A check, as `@check` returns it. Calling it runs it.

    Attributes:
        writes: It creates something in the service (and deletes it again); left out by `--read-only`.
        bursts: It sends a burst of requests; runs after all others, left out by `--read-only`.
        last: It runs after the others that ask the API, one at a time: it logs in again or ends sessions, which some
            services answer by ending all of that account.
        sessionless: What it asks, it asks as a stranger or of a copy of the service, so that what ends sessions need not wait
            for it; bursts do, as both may count in one place.
        apart: It works in a database of its own, where nothing of the service's sees it: a burst, which has to be alone
            otherwise, runs beside it.
        requests: The most HTTP requests it sends in one run.
        deadline_s: Its own deadline in seconds, where the usual one does not fit.
        faults: Names of planted faults that turn it red.
        trusted: False runs it in a process of its own.
    """

    id: str
    title: str
    suite: Suite
    component: Component
    priority: Priority
    run: Callable[[Context], Finding | Iterable[Finding]]
    documentation: Documentation = field(default_factory=Documentation)
    writes: bool = False
    bursts: bool = False
    last: bool = False
    sessionless: bool = False
    apart: bool = False
    requests: int = 0
    deadline_s: float | None = None
    faults: tuple[str, ...] = ()
    fix: Fix | None = None
    plugin: str = "builtin"
    trusted: bool = True

    def __call__(self, ctx: Context) -> Finding:
        """Run it and combine what it reports."""
        outcome = self.run(ctx)
        if not isinstance(outcome, Finding | Iterable):
            raise TypeError(f"a check returns a Finding, or several, not {type(outcome).__name__}")
        finding = outcome if isinstance(outcome, Finding) else combine(outcome)
        if finding.status in (Status.FAIL, Status.WARN) and finding.remedy is None and self.documentation.fix:
            finding = replace(finding, remedy=Remedy(self.documentation.fix))
        if finding.remedy is not None and not finding.remedy.text:
            finding = replace(finding, remedy=replace(finding.remedy, text=self.documentation.fix))
        if finding.remedy is not None and self.fix is not None and finding.status in (Status.FAIL, Status.WARN):
            remedy = replace(finding.remedy, fixable=True, command=finding.remedy.command or f"maestro fix {self.id}")
            finding = replace(finding, remedy=remedy)
        return finding


def check(
    id: str,  # noqa: A002 - the field's own name
    *,
    component: ComponentName,
    priority: PriorityName,
    title: str | None = None,
    writes: bool = False,
    bursts: bool = False,
    last: bool = False,
    sessionless: bool = False,
    apart: bool = False,
    requests: int = 0,
    deadline_s: float | None = None,
    faults: Sequence[str] = (),
    fix: Fix | None = None,
) -> Callable[[Callable[[Context], Any]], Check]:
    """Make a check of a function. The function's docstring is the check's documentation.

    Args:
        id: `suite.noun` in kebab-case; the suite is health, security or readiness.
        component: Which of the six components it counts in.
        priority: How much it weighs: critical 8, high 4, medium 2, low 1.
        title: Overrides the docstring's first line.
        writes: See `Check`.
        bursts: See `Check`.
        last: See `Check`.
        sessionless: See `Check`.
        apart: See `Check`.
        requests: See `Check`.
        deadline_s: See `Check`.
        faults: See `Check`.
        fix: A safe remedy.

    Raises:
        ValueError: For an id, component or priority that does not exist, or a function without a docstring.
    """
    if not _ID.match(id):
        raise ValueError(f"check id {id!r} is not health.…, security.… or readiness.… in kebab-case")

    def make(function: Callable[[Context], Any]) -> Check:
        doc = inspect.getdoc(function) or ""
        if not doc:
            raise ValueError(f"check {id} has no docstring; it is the check's documentation")
        first, _, rest = doc.partition("\n")
        return Check(
            id=id,
            title=(title or first).strip().rstrip("."),
            suite=Suite(id.partition(".")[0]),
            component=Component(component),
            priority=Priority(priority),
            run=function,
            documentation=parse_documentation(rest),
            writes=writes,
            bursts=bursts,
            last=last,
            sessionless=sessionless,
            apart=apart,
            requests=requests,
            deadline_s=deadline_s,
            faults=tuple(faults),
            fix=fix,
        )

    return make


def parse_documentation(text: str) -> Documentation:
    """`Why: … Fails when: … Fix: … Source: …`, in any order and over any number of lines."""
    flat = " ".join(text.split())
    pieces = _LABEL.split(flat)
    found = dict(zip(pieces[1::2], (piece.strip() for piece in pieces[2::2]), strict=True))
    why, fails, fix, source = (found.get(label, "") for label in _LABELS)
    return Documentation(why, fails, fix, source)
