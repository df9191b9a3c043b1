"""What changed between two runs, check by check. Pure comparison; nothing is read or printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from maestro_cli.model import CheckResult, Component, Report, Status

BAD = frozenset({Status.FAIL, Status.ERROR})
_ORDER = {Status.PASS: 0, Status.SKIP: 1, Status.WARN: 2, Status.ERROR: 3, Status.FAIL: 3}


@dataclass(frozen=True, slots=True)
class Change:
    """One check in both runs; None where a run does not have it."""

    before: CheckResult | None
    after: CheckResult | None

    @property
    def id(self) -> str:
        """The check's id."""
        return (self.after or self.before).id  # type: ignore[union-attr] # one of them is there


@dataclass(frozen=True, slots=True)
class Difference:
    """Two runs compared.

    Attributes:
        regressed: Was better before: passed and now warns, warned and now fails.
        fixed: Was worse before.
        new: Not in the run before.
        gone: No longer in the run after.
        changed: The same status on other evidence, or for another reason.
        score: Before and after; None where nothing was measured.
        components: Component → score before and after, where they differ.
    """

    regressed: tuple[Change, ...]
    fixed: tuple[Change, ...]
    new: tuple[Change, ...]
    gone: tuple[Change, ...]
    changed: tuple[Change, ...]
    score: tuple[float | None, float | None]
    components: dict[Component, tuple[float | None, float | None]]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """What a baseline does not forgive: an unwaived check that fails or errors now and did not before, or was not there."""
        return tuple(
            change
            for change in (*self.regressed, *self.new)
            if change.after is not None and change.after.status in BAD and change.after.waiver is None
        )


def compare(before: Report, after: Report) -> Difference:
    """Compare two runs."""
    old, new = ({row.id: row for row in report.checks} for report in (before, after))
    both = [Change(old[name], row) for name, row in new.items() if name in old]
    scores = {row.id: row.score for row in before.components}
    return Difference(
        regressed=tuple(change for change in both if _step(change) > 0),
        fixed=tuple(change for change in both if _step(change) < 0),
        new=tuple(Change(None, row) for name, row in new.items() if name not in old),
        gone=tuple(Change(row, None) for name, row in old.items() if name not in new),
        changed=tuple(change for change in both if _step(change) == 0 and any(evidence_changes(change))),
        score=(before.score, after.score),
        components={
            row.id: (scores.get(row.id), row.score) for row in after.components if scores.get(row.id) != row.score
        },
    )


def _step(change: Change) -> int:
    """More than 0 when worse."""
    if change.before is None or change.after is None:
        return 0
    return _ORDER[change.after.status] - _ORDER[change.before.status]


def evidence_changes(change: Change) -> Iterator[tuple[str, str, str]]:
    """Name, before and after of each observation that differs; the status itself and the message among them."""
    if change.before is None or change.after is None:
        return
    if change.before.status is not change.after.status:
        yield "status", change.before.status.value, change.after.status.value
    old = {row.name: row.observed for row in change.before.evidence}
    new = {row.name: row.observed for row in change.after.evidence}
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield name, old.get(name, "-"), new.get(name, "-")
