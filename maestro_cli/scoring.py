"""Results → score, coverage, gate and verdict: pure arithmetic, no I/O.

A component's score is 100 · Σ weight·credit / Σ weight over its checks that are not `skip`; the total is the mean of the
components' scores by their configured weights, over those that have one. Coverage is 100 · Σ weight of the checks that
were measured (not `skip`, not `error`) / Σ weight of all.

An errored check stays in the denominator, so a component whose every check errored scores 0, not null: were it left out,
losing sight of the worst component would raise the total. Null is for a component to which nothing applied.

Everything is exact (fractions) until it is written down, and then rounded down: no number is rounded up into a pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from maestro_cli.model import (
    CheckResult,
    Component,
    ComponentScore,
    Counts,
    GateOutcome,
    Priority,
    Status,
    Verdict,
)
from maestro_cli.records import record

WEIGHTS: Mapping[Priority, int] = {Priority.CRITICAL: 8, Priority.HIGH: 4, Priority.MEDIUM: 2, Priority.LOW: 1}
CREDITS: Mapping[Status, Fraction] = {
    Status.PASS: Fraction(1),
    Status.WARN: Fraction(1, 2),
    Status.FAIL: Fraction(0),
    Status.ERROR: Fraction(0),
}
MEASURED = frozenset({Status.PASS, Status.WARN, Status.FAIL})
_STEPS = 10**9


@record(frozen=True)
class GateRule:
    """What an environment asks for; percentages."""

    name: str
    min_score: float = 0
    no_failed: tuple[Priority, ...] = ()
    min_coverage: float = 0


@record(frozen=True)
class Score:
    """The arithmetic's outcome."""

    score: float | None
    coverage: float
    components: tuple[ComponentScore, ...]
    counts: Counts
    gate: GateOutcome
    verdict: Verdict


def round_down(value: Fraction) -> float:
    """A percentage as the float whose shortest decimal writing is never above the exact value."""
    return math.floor(value * _STEPS) / _STEPS


def exact(number: float) -> Fraction:
    """A configured number as it was written: 91.4 means 914/10, which no float is."""
    return Fraction(str(number))


def count(results: Iterable[CheckResult]) -> Counts:
    """How many results there are of each status, and how many of them are waived."""
    tally = dict.fromkeys(Status, 0)
    waived = 0
    for result in results:
        tally[result.status] += 1
        waived += result.waiver is not None
    return Counts(
        tally[Status.PASS], tally[Status.WARN], tally[Status.FAIL], tally[Status.ERROR], tally[Status.SKIP], waived
    )


def _exact_score(results: Sequence[CheckResult]) -> Fraction | None:
    applied = [result for result in results if result.status is not Status.SKIP]
    weight = sum(WEIGHTS[result.priority] for result in applied)
    if weight == 0:
        return None
    return 100 * sum((WEIGHTS[result.priority] * CREDITS[result.status] for result in applied), Fraction(0)) / weight


def _exact_coverage(results: Sequence[CheckResult]) -> Fraction:
    whole = sum(WEIGHTS[result.priority] for result in results)
    measured = sum(WEIGHTS[result.priority] for result in results if result.status in MEASURED)
    return Fraction(100 * measured, whole) if whole else Fraction(0)


def score(results: Sequence[CheckResult], weights: Mapping[Component, float], rule: GateRule) -> Score:
    """Score a run.

    Args:
        results: One per check; ids are unique.
        weights: Component → its weight in the total; 0 leaves it out.
        rule: The environment's gate.
    """
    components: list[ComponentScore] = []
    weighted, whole = Fraction(0), Fraction(0)
    for component in Component:
        own = [result for result in results if result.component is component]
        own_score = _exact_score(own)
        weight = exact(weights.get(component, 1.0))
        if own_score is not None:
            weighted += own_score * weight
            whole += weight
        components.append(
            ComponentScore(
                id=component,
                title=component.title,
                score=None if own_score is None else round_down(own_score),
                weight=float(weight),
                coverage=round_down(_exact_coverage(own)),
                counts=count(own),
            )
        )
    total = weighted / whole if whole else None
    coverage = _exact_coverage(results)
    gate = _judge(rule, total, coverage, results)
    return Score(
        score=None if total is None else round_down(total),
        coverage=round_down(coverage),
        components=tuple(components),
        counts=count(results),
        gate=gate,
        verdict=_verdict(gate, total, results),
    )


def _verdict(gate: GateOutcome, total: Fraction | None, results: Sequence[CheckResult]) -> Verdict:
    if total is None or not any(result.status in MEASURED for result in results):
        return Verdict.UNKNOWN
    return Verdict.READY if gate.met else Verdict.NOT_READY


def _judge(rule: GateRule, total: Fraction | None, coverage: Fraction, results: Sequence[CheckResult]) -> GateOutcome:
    reasons: list[str] = []
    if total is None:
        reasons.append("nothing was measured, so there is no score")
    elif total < exact(rule.min_score):
        reasons.append(f"score {shown(total)} is below {rule.min_score:g}")
    if coverage < exact(rule.min_coverage):
        reasons.append(f"coverage {shown(coverage)} % is below {rule.min_coverage:g} %")
    for priority in Priority:
        if priority in rule.no_failed:
            reasons.extend(_short(priority, results))
    return GateOutcome(rule.name, rule.min_score, rule.no_failed, rule.min_coverage, not reasons, tuple(reasons))


def _short(priority: Priority, results: Sequence[CheckResult]) -> Iterable[str]:
    """Checks of this priority that failed unwaived, or that could not be measured: neither counts as passed."""
    own = [result for result in results if result.priority is priority]
    failed = [result.id for result in own if result.status is Status.FAIL and result.waiver is None]
    errored = [result.id for result in own if result.status is Status.ERROR]
    if failed:
        yield f"{_number(failed, priority)} failed: {', '.join(failed)}"
    if errored:
        yield f"{_number(errored, priority)} could not be measured: {', '.join(errored)}"


def _number(ids: Sequence[str], priority: Priority) -> str:
    return f"{len(ids)} {priority} check{'s' if len(ids) != 1 else ''}"


def shown(value: Fraction | float) -> str:
    """A percentage with one decimal, rounded down."""
    tenths = math.floor((value if isinstance(value, Fraction) else exact(value)) * 10)
    return f"{tenths // 10}.{tenths % 10}"
