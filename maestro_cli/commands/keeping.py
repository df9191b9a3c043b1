"""Runs over time, as the commands use them: keep this one, find another, compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.commands.base import Invocation
from maestro_cli.errors import MaestroError, OutOfReach, UsageError
from maestro_cli.model import Report
from maestro_cli.records import record

if TYPE_CHECKING:
    from maestro_cli.config.settings import Settings
    from maestro_cli.history.difference import Change, Difference
    from maestro_cli.history.store import Run, Store

TREND = 29
"""Earlier runs that a report's trend shows."""
MAXIMUM_FILE = 200_000_000
"""Bytes of a report that is read back."""


def open_store(invocation: Invocation, url: str | None = None) -> Store:
    """The store that `history:` names.

    Raises:
        UsageError: When none is configured.
        OutOfReach: When it cannot be used.
    """
    from maestro_cli.history.store import Store
    from maestro_cli.redaction import Secret

    configured = Secret(url) if url is not None else invocation.settings.history
    if configured is None:
        raise UsageError(
            "no history is kept here", hint="Keep one, in maestro.yaml: history: sqlite:///.maestro/history.db"
        )
    return Store(configured, invocation.root)


def keep(invocation: Invocation, report: Report) -> Report:
    """Store a run where a history is configured; the report with the trend of the runs before it.

    A store that cannot be used is a note: the verdict still comes.
    """
    if invocation.settings.history is None or report.interrupted:
        return report
    from maestro_cli.formats.json_report import render

    try:
        with open_store(invocation) as store:
            earlier = store.runs(TREND, service=report.service, environment=report.environment)
            store.add(report, render(report))
    except MaestroError as error:
        invocation.stderr.write(invocation.redact(f"note: this run was not stored: {error.message}\n"))
        return report
    return replace(report, extra={**report.extra, "trend": [_point(run) for run in earlier]}) if earlier else report


def _point(run: Run) -> dict[str, object]:
    from maestro_cli.formats.wording import rfc3339

    return {"started_at": rfc3339(run.started_at), "score": run.score, "components": dict(run.components)}


@record(frozen=True)
class Found:
    """A run that a name led to."""

    report: Report
    words: str


def find(invocation: Invocation, name: str, *, like: Settings | None = None) -> Found:
    """A run by its name: a report file, an id in the history, `last`, `last~1`.

    Args:
        invocation: The configuration's history.
        name: What the user wrote.
        like: `last` counts the runs of this configuration's service and environment only.

    Raises:
        UsageError: When there is no such run, or the file is no report.
    """
    from maestro_cli.formats.json_report import parse

    path = Path(name)
    if path.is_file():
        try:
            if path.stat().st_size > MAXIMUM_FILE:
                raise UsageError(f"{name} is too large to be a report")
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise OutOfReach(f"{name} cannot be read: {reason}") from None
        return Found(parse(text), name)
    if path.suffix == ".json" or "/" in name:
        raise UsageError(f"there is no file {name}", hint="Write one with: maestro readiness --json > baseline.json")
    service, environment = (like.service.name, like.service.environment) if like is not None else (None, None)
    with open_store(invocation) as store:
        run = store.find(name, service=service, environment=environment)
        report = parse(store.document(run))
    return Found(report, f"run {run.id} of {run.started_at:%Y-%m-%d %H:%M} UTC")


def against_baseline(invocation: Invocation, report: Report, baseline: Found) -> tuple[Report, bool]:
    """The report with what changed since the baseline, and whether nothing regressed. Says so on stderr."""
    from maestro_cli.history.difference import compare

    difference = compare(baseline.report, report)
    regressions = difference.regressions
    words = [f"baseline {baseline.words}: {_count(regressions, 'regression')}, {len(difference.fixed)} fixed"]
    words += [f"  {line(change)}" for change in regressions]
    invocation.say("\n".join(words))
    extra = {
        "source": baseline.words,
        "met": not regressions,
        "regressions": [change.id for change in regressions],
        "fixed": [change.id for change in difference.fixed],
    }
    return replace(report, extra={**report.extra, "baseline": extra}), not regressions


def _count(rows: Sequence[object], noun: str) -> str:
    return f"{len(rows)} {noun}" if len(rows) == 1 else f"{len(rows)} {noun}s"


def line(change: Change) -> str:
    """One change in a line: `security.cors  pass → fail  message`."""
    before = "-" if change.before is None else change.before.status.value
    after = "-" if change.after is None else change.after.status.value
    said = change.after or change.before
    return f"{change.id}  {before} → {after}  {said.message if said is not None else ''}".rstrip()


def as_json(difference: Difference) -> dict[str, object]:
    """A difference as JSON values."""
    from maestro_cli.history.difference import evidence_changes

    def rows(changes: Sequence[Change]) -> list[dict[str, object]]:
        return [
            {
                "id": change.id,
                "before": None if change.before is None else change.before.status.value,
                "after": None if change.after is None else change.after.status.value,
                "message": (change.after or change.before).message,  # type: ignore[union-attr] # one of them is there
                "evidence": [
                    {"name": name, "before": before, "after": after}
                    for name, before, after in evidence_changes(change)
                    if name != "status"
                ],
            }
            for change in changes
        ]

    return {
        "score": list(difference.score),
        "components": {name.value: list(scores) for name, scores in difference.components.items()},
        "regressed": rows(difference.regressed),
        "fixed": rows(difference.fixed),
        "new": rows(difference.new),
        "gone": rows(difference.gone),
        "changed": rows(difference.changed),
    }
