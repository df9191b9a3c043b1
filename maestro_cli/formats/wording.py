"""The words, the order and the numbers that every format shares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from maestro_cli.formats.escaping import clip, one_line
from maestro_cli.model import (
    CheckResult,
    ComponentScore,
    Counts,
    Evidence,
    GateOutcome,
    Priority,
    Report,
    Status,
    Verdict,
)

PRIORITIES = tuple(Priority)
"""Critical first: the order in which findings are read."""

STATUSES = (Status.FAIL, Status.ERROR, Status.WARN, Status.PASS, Status.SKIP)
"""Worst first."""

NOT_MEASURED = "not measured"

_STORED_DECIMALS = 9
"""A stored score has this many at most, unless it is one float below such a number."""

READY_FROM = 90.0
MOSTLY_READY_FROM = 75.0

_VERDICTS = {Verdict.READY: "ready", Verdict.NOT_READY: "not ready", Verdict.UNKNOWN: "unknown"}


class Outage(NamedTuple):
    """One dead dependency and every check that stands behind it.

    Attributes:
        needs: The dependency ("Redis").
        sentence: What is said once for all of them.
        checks: The results, in the report's order.
    """

    needs: str
    sentence: str
    checks: tuple[CheckResult, ...]

    @property
    def speaker(self) -> CheckResult:
        """The check whose remedy is shown for all: the first that offers one."""
        return next((check for check in self.checks if check.remedy is not None), self.checks[0])


def score_text(score: float | None) -> str:
    """Rounded DOWN to one decimal, as a reader's gate would: 89.96 is "89.9"; None is "not measured"."""
    if score is None or not math.isfinite(score):
        return NOT_MEASURED
    whole, fraction = _decimal(score)
    if len(fraction) > _STORED_DECIMALS:
        # scoring steps one float down where the nearest one lies above the exact value: 91.4 is stored as
        # 91.39999999999999. Step back exactly then, and only then.
        above = math.nextafter(score, math.inf)
        numerator, denominator = above.as_integer_ratio()
        upper_whole, upper_fraction = _decimal(above)
        if numerator * 10 ** len(upper_fraction) > denominator * int(upper_whole + upper_fraction):
            whole, fraction = upper_whole, upper_fraction
    return f"{whole}.{fraction[:1] or '0'}"


def _decimal(value: float) -> tuple[str, str]:
    """The shortest decimal that names the float, in two halves: 91.3 · 10 in binary may fall short of 913."""
    text = repr(float(value))
    if "e" in text:
        text = f"{value:.20f}" if abs(value) < 1 else f"{value:.1f}"
    whole, _, fraction = text.partition(".")
    return whole, fraction


def number_text(value: float) -> str:
    """A configured number as it was written: 90, not 90.0."""
    return str(int(value)) if math.isfinite(value) and value == int(value) else str(value)


def duration_text(seconds: float) -> str:
    """For people: "4 ms", "3.2 s", "2 min 5 s"."""
    if not math.isfinite(seconds) or seconds < 0:
        return "an unknown time"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s"


def utc(moment: datetime) -> datetime:
    """The moment in UTC; a naive one is taken to be in UTC already."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the first or the last day of the calendar, which no run sees
        return moment.replace(tzinfo=UTC)


def rfc3339(moment: datetime) -> str:
    """`2025-10-05T12:00:00Z` (RFC 3339 §5.6)."""
    return utc(moment).isoformat().replace("+00:00", "Z")


def minute_text(moment: datetime) -> str:
    """`2025-10-05 12:00 UTC`."""
    moment = utc(moment)
    return f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d} {moment.hour:02d}:{moment.minute:02d} UTC"


def verdict_text(report: Report) -> str:
    """As in "ready for production", "not ready for production", "unknown: nothing could be measured"."""
    if report.verdict is Verdict.UNKNOWN:
        return "unknown: nothing could be measured"
    return f"{_VERDICTS[report.verdict]} for {one_line(clip(report.gate.name, 60)) or 'deployment'}"


def component_word(component: ComponentScore) -> str:
    """The status word beside a score; "ready" is never said of a component in which something fails."""
    score, counts = component.score, component.counts
    if score is None or not math.isfinite(score):
        return NOT_MEASURED
    if score >= READY_FROM and not counts.fail and not counts.error:
        return "ready"
    return "mostly ready" if score >= MOSTLY_READY_FROM else "not ready"


def counts_text(counts: Counts) -> str:
    """As in "11 pass, 1 fail, 1 waived"; statuses that did not occur are left out."""
    return ", ".join(f"{number} {name}" for name, number in counts.as_dict().items() if number) or "no checks"


def gate_text(gate: GateOutcome) -> str:
    """What the gate asks for, in one line."""
    asks = [f"a score of at least {number_text(gate.min_score)}"]
    if gate.no_failed:
        asks.append(f"no failed {' or '.join(gate.no_failed)} check")
    if gate.min_coverage:
        asks.append(f"a coverage of at least {number_text(gate.min_coverage)} %")
    return ", ".join(asks)


def next_command(check: CheckResult) -> str:
    """What to type next: the remedy's own command, `maestro fix`, or the page that explains the check."""
    if check.remedy is not None and check.remedy.command:
        return check.remedy.command
    verb = "fix" if check.remedy is not None and check.remedy.fixable else "checks explain"
    return f"maestro {verb} {check.id}"


def why_text(check: CheckResult) -> str:
    """Why the check matters, as a sentence: after "Why:" in its docstring it goes on in lower case."""
    return check.why[:1].upper() + check.why[1:]


def waiver_text(check: CheckResult) -> str:
    """As in "waived until 2027-03-31 by ops@example.test: shared development database"; empty without a waiver."""
    if check.waiver is None:
        return ""
    return f"waived until {check.waiver.expires} by {check.waiver.owner}: {check.waiver.reason}"


def is_link(text: str) -> bool:
    """Whether it may be made a link: an absolute web address and nothing else."""
    return (
        text.isascii()
        and text.isprintable()
        and not set(text) & set(' "<>\\^`{|}')
        and (text.startswith(("https://", "http://")))
    )


def telling(evidence: Sequence[Evidence]) -> Sequence[Evidence]:
    """The observations that differ from what was expected; all of them where none does so visibly."""
    return [item for item in evidence if item.expected and item.observed != item.expected] or evidence


def by_priority(checks: Iterable[CheckResult]) -> list[tuple[Priority, list[CheckResult]]]:
    """Grouped, critical first, inside a group worst first and then as reported; empty groups are left out."""
    groups: dict[Priority, list[CheckResult]] = {priority: [] for priority in PRIORITIES}
    for check in checks:
        groups[check.priority].append(check)
    for group in groups.values():
        group.sort(key=lambda check: STATUSES.index(check.status))
    return [(priority, group) for priority, group in groups.items() if group]


def findings(report: Report) -> list[CheckResult]:
    """What needs a reader: failed, not measured or warned, except what an outage already says."""
    return [
        check
        for check in report.checks
        if check.status in {Status.FAIL, Status.WARN} or (check.status is Status.ERROR and not check.needs)
    ]


def outages(report: Report) -> list[Outage]:
    """The dead dependencies, each with the note that the run left about it, or a sentence made here."""
    behind: dict[str, list[CheckResult]] = {}
    for check in report.checks:
        if check.status is Status.ERROR and check.needs:
            behind.setdefault(check.needs, []).append(check)
    unclaimed = list(report.notes)
    found = []
    for needs, checks in behind.items():
        sentence = _said(needs, len(checks), unclaimed)
        if sentence in unclaimed:
            unclaimed.remove(sentence)
        found.append(Outage(needs, sentence, tuple(checks)))
    return found


def other_notes(report: Report) -> list[str]:
    """The run's notes that no outage already says."""
    said = {outage.sentence for outage in outages(report)}
    return [note for note in report.notes if note not in said]


def _said(needs: str, number: int, notes: Sequence[str]) -> str:
    opening = f"{needs} is unreachable".casefold()
    ending = f"{number} check{'' if number == 1 else 's'} could not be measured"
    named = [note for note in notes if note.casefold().startswith(opening)]
    counted = [note for note in notes if note.endswith(f"; {ending}") and " is unreachable" not in note]
    return next(iter(named + counted), f"Without {needs}, {ending}")
