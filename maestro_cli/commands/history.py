"""`maestro history`: the stored runs and their trend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from maestro_cli.commands.base import Invocation, MaestroCommand, MaestroGroup, current
from maestro_cli.commands.keeping import open_store
from maestro_cli.model import Component

if TYPE_CHECKING:
    from maestro_cli.history.store import Run

app = typer.Typer(cls=MaestroGroup, add_completion=False)

BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.-:=+*#"
LEAST_SPAN = 20
"""Points from the lowest bar to the highest, at least."""
WIDEST = 40
"""Runs that a sparkline shows; older ones are averaged into nothing, they are left out."""


@app.command(cls=MaestroCommand)
def history(
    limit: int = typer.Option(20, "--limit", "-n", help="How many runs, the latest ones.", min=1, max=10_000),
    service: str | None = typer.Option(None, "--service", metavar="NAME", help="Runs of this service only."),
    of: str | None = typer.Option(None, "--of", metavar="ENVIRONMENT", help="Runs of this environment only."),
    json_: bool = typer.Option(False, "--json", help="As JSON, oldest first."),
) -> None:
    """Show the stored runs, and how each component's score went over them.

    Runs are stored when maestro.yaml names a store: `history: sqlite:///.maestro/history.db`, or any SQLAlchemy URL.

    Example: `maestro history --of production --limit 50`
    """
    invocation = current()
    with open_store(invocation) as store:
        runs = store.runs(limit, service=service, environment=of)
    if json_:
        invocation.out_json([_as_json(run) for run in runs])
        return
    if not runs:
        invocation.out("No run is stored yet.")
        invocation.say("Store the first: maestro readiness")
        return
    invocation.out(table(runs, bars=_bars(invocation)))
    if len(runs) > 1:
        invocation.say(f"What changed last: maestro diff {runs[-2].id} {runs[-1].id}")


def _bars(invocation: Invocation) -> str:
    try:
        BARS.encode(getattr(invocation.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return PLAIN_BARS
    return BARS


def _as_json(run: Run) -> dict[str, object]:
    from maestro_cli.formats.wording import rfc3339

    return {
        "id": run.id,
        "started_at": rfc3339(run.started_at),
        "service": run.service,
        "environment": run.environment,
        "commit": run.commit,
        "verdict": run.verdict,
        "score": run.score,
        "coverage": run.coverage,
        "components": dict(run.components),
    }


def table(runs: Sequence[Run], *, bars: str = BARS) -> str:
    """The runs, newest first, and below them a sparkline per component."""
    head = ["RUN", "WHEN (UTC)", "SERVICE", "ENVIRONMENT", "COMMIT", "SCORE", "CHANGE", "VERDICT"]
    rows = [head]
    for index in range(len(runs) - 1, -1, -1):
        run = runs[index]
        before = next((old for old in reversed(runs[:index]) if _subject(old) == _subject(run)), None)
        rows.append(
            [
                run.id,
                f"{run.started_at:%Y-%m-%d %H:%M}",
                run.service,
                run.environment,
                (run.commit or "-")[:8],
                _number(run.score),
                _change(before, run),
                run.verdict.replace("_", " "),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", *_sparklines([run for run in runs if _subject(run) == _subject(runs[-1])], bars)])


def _subject(run: Run) -> tuple[str, str]:
    return run.service, run.environment


def _sparklines(runs: Sequence[Run], bars: str) -> list[str]:
    shown = runs[-WIDEST:]
    rows = [("Score", [run.score for run in shown])]
    rows += [(component.title, [run.components.get(component.value) for run in shown]) for component in Component]
    lines = [f"{shown[-1].service}, {shown[-1].environment}: {len(shown)} runs"]
    for title, scores in rows:
        known = [score for score in scores if score is not None]
        ends = f"{_number(known[0])} → {_number(known[-1])}" if known else "not measured"
        lines.append(f"  {title:<15} {sparkline(scores, bars)}  {ends}")
    return lines


def sparkline(scores: Sequence[float | None], bars: str = BARS) -> str:
    """One character a score; a blank where nothing was measured.

    On a scale of its own, as the report's lines are: from 88 to 95 can be seen, and a wobble is no cliff.
    """
    known = [score for score in scores if score is not None]
    if not known:
        return " " * len(scores)
    top = len(bars) - 1
    span = max(max(known) - min(known), LEAST_SPAN)
    low = min(max((max(known) + min(known) - span) / 2, 0), 100 - span)
    return "".join(" " if score is None else bars[min(top, int((score - low) / span * len(bars)))] for score in scores)


def _number(score: float | None) -> str:
    from maestro_cli.formats.wording import score_text

    return "-" if score is None else score_text(score)


def _change(before: Run | None, run: Run) -> str:
    if before is None or before.score is None or run.score is None:
        return ""
    return f"{run.score - before.score:+.1f}" if run.score != before.score else "="
