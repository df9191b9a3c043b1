"""`maestro diff`: what changed between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from maestro_cli.commands.base import MaestroCommand, MaestroGroup, current
from maestro_cli.commands.keeping import Found, as_json, find, line
from maestro_cli.errors import ExitCode

if TYPE_CHECKING:
    from maestro_cli.history.difference import Change, Difference

app = typer.Typer(cls=MaestroGroup, add_completion=False)


@app.command(cls=MaestroCommand)
def diff(
    before: Annotated[
        str, typer.Argument(metavar="A", help="A report file, an id from `maestro history`, last, or last~1.")
    ] = "last~1",
    after: Annotated[str, typer.Argument(metavar="B", help="The same, for the later run.")] = "last",
    json_: bool = typer.Option(False, "--json", help="As JSON."),
    exit_code: bool = typer.Option(False, "--exit-code", help="End with 1 when something regressed."),
) -> None:
    """Say what regressed, what was fixed, what is new or gone, and where the evidence changed.

    Example: `maestro diff main.json branch.json --exit-code`
    """
    from maestro_cli.history.difference import compare

    invocation = current()
    first, second = find(invocation, before), find(invocation, after)
    difference = compare(first.report, second.report)
    if json_:
        invocation.out_json({"before": first.words, "after": second.words, **as_json(difference)})
    else:
        invocation.out(invocation.redact(text(first, second, difference)))
    if exit_code and difference.regressions:
        raise typer.Exit(ExitCode.NOT_MET)


def text(first: Found, second: Found, difference: Difference) -> str:
    """The difference for people."""
    lines = [f"from {first.words}", f"to   {second.words}", ""]
    lines.append(f"Score  {_score(difference.score[0])} → {_score(difference.score[1])}")
    for component, (old, new) in difference.components.items():
        lines.append(f"  {component.title:<15} {_score(old)} → {_score(new)}")
    sections: list[tuple[str, Sequence[Change]]] = [
        ("Regressed", difference.regressed),
        ("Fixed", difference.fixed),
        ("New", difference.new),
        ("Gone", difference.gone),
        ("Changed evidence", difference.changed),
    ]
    for title, changes in sections:
        if changes:
            lines += ["", f"{title} ({len(changes)})"]
            for change in changes:
                lines += [f"  {line(change)}", *(_evidence(change) if title != "New" else ())]
    if not any(changes for _, changes in sections):
        lines += ["", "No check changed."]
    return "\n".join(lines)


def _evidence(change: Change) -> list[str]:
    from maestro_cli.history.difference import evidence_changes

    return [f"    {name}: {before} → {after}" for name, before, after in evidence_changes(change) if name != "status"]


def _score(score: float | None) -> str:
    from maestro_cli.formats.wording import score_text

    return "not measured" if score is None else score_text(score)
