"""`maestro checks`: the catalogue, one check explained, a new one begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maestro_cli.commands import completion
from maestro_cli.commands.base import Invocation, MaestroCommand, MaestroGroup, current
from maestro_cli.errors import ExitCode, Refused, UsageError
from maestro_cli.model import Component, Priority, Suite

if TYPE_CHECKING:
    from maestro_cli.api import Check
    from maestro_cli.discovery import Catalogue

app = typer.Typer(
    cls=MaestroGroup,
    no_args_is_help=True,
    add_completion=False,
    help="List the checks, explain one, begin a new one.",
)


@contextmanager
def catalogue(invocation: Invocation, *, plugins: bool) -> Iterator[Catalogue]:
    """All checks; variables that are not set do not keep them from being listed."""
    from maestro_cli.discovery import discover

    found = discover(invocation.unresolved, plugins=plugins)
    try:
        for broken in found.broken:
            invocation.say(f"note: plugin {broken.name} could not be loaded: {broken.reason}")
        yield found
    finally:
        found.close()


@app.command("list", cls=MaestroCommand)
def list_checks(
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[health] [security] [readiness]",
            help="Suites; all when none is named.",
            autocompletion=completion.suites,
        ),
    ] = None,
    component: str | None = typer.Option(
        None, "--component", metavar="NAME", help="Only this component's checks.", autocompletion=completion.components
    ),
    cost: bool = typer.Option(False, "--cost", help="Also what each check costs: requests, writes, bursts, deadline."),
    json_: bool = typer.Option(False, "--json", help="As JSON."),
    no_plugins: bool = typer.Option(False, "--no-plugins", help="The built-in checks only."),
) -> None:
    """List every check: built in, from plugins, and declared in maestro.yaml.

    Example: `maestro checks list security --cost`
    """
    invocation = current()
    _known(suites or (), list(Suite), "suite")
    _known([component] if component else (), list(Component), "component")
    with catalogue(invocation, plugins=not no_plugins) as found:
        rows = sorted(
            (
                check
                for check in found.checks.values()
                if (not suites or check.suite in suites) and (component is None or check.component == component)
            ),
            key=lambda check: check.id,
        )
        if json_:
            invocation.out_json([_as_json(check, invocation.redact) for check in rows])
            return
        invocation.out(invocation.redact(table(rows, cost=cost)))
        invocation.say(f"{len(rows)} checks. Read about one: maestro checks explain {rows[0].id if rows else 'ID'}")


def _known(names: Sequence[str], choices: Sequence[str], what: str) -> None:
    for name in names:
        if name not in choices:
            raise UsageError(f"there is no {what} {name!r}", hint=f"Known: {', '.join(choices)}.")


def table(checks: Sequence[Check], *, cost: bool) -> str:
    """One line a check, columns aligned, never cut: made for reading and for grep."""
    head = ["ID", "COMPONENT", "PRIORITY", "PLUGIN"]
    rows = [[check.id, str(check.component), str(check.priority), check.plugin] for check in checks]
    if cost:
        head += ["REQUESTS", "WRITES", "BURSTS", "DEADLINE"]
        for row, check in zip(rows, checks, strict=True):
            deadline = "" if check.deadline_s is None else f"{check.deadline_s:g} s"
            row += [
                str(check.requests or "-"),
                "yes" if check.writes else "-",
                "yes" if check.bursts else "-",
                deadline,
            ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def _as_json(check: Check, redact: Callable[[str], str]) -> dict[str, Any]:
    return {
        "id": check.id,
        "title": redact(check.title),
        "suite": check.suite,
        "component": check.component,
        "priority": check.priority,
        "plugin": check.plugin,
        "why": check.documentation.why,
        "fails_when": check.documentation.fails_when,
        "fix": check.documentation.fix,
        "source": check.documentation.source,
        "faults": list(check.faults),
        "fixable": check.fix is not None,
        "requests": check.requests,
        "writes": check.writes,
        "bursts": check.bursts,
        "deadline_s": check.deadline_s,
    }


@app.command("explain", cls=MaestroCommand)
def explain(
    ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID...", help="Ids, or patterns: 'security.jwt-*'.", autocompletion=completion.check_ids
        ),
    ],
    json_: bool = typer.Option(False, "--json", help="As JSON."),
) -> None:
    """Say why a check matters, when it fails, how to mend it, and which faults have been seen to turn it red.

    Example: `maestro checks explain security.jwt-alg-none`
    """
    from maestro_cli.discovery import select

    invocation = current()
    with catalogue(invocation, plugins=True) as found:
        rows = select(found, only=ids)
        if json_:
            invocation.out_json([_as_json(check, invocation.redact) for check in rows])
            return
        invocation.out(invocation.redact("\n\n".join(explanation(check) for check in rows)))


def explanation(check: Check) -> str:
    """A check's documentation, as text."""
    import textwrap

    documentation = check.documentation
    facts = [f"component {check.component}", f"priority {check.priority}", f"from {check.plugin}"]
    facts += ["writes into the service"] if check.writes else []
    facts += ["sends a burst"] if check.bursts else []
    facts += [f"at most {check.requests} requests"] if check.requests else []
    parts = [
        ("Why", documentation.why),
        ("Fails when", documentation.fails_when),
        ("Fix", documentation.fix),
        ("Source", documentation.source),
        ("Faults that turn it red", ", ".join(check.faults)),
        ("Mended by", f"maestro fix {check.id} ({check.fix.summary})" if check.fix is not None else ""),
        ("Try it", f"maestro validate --only {check.id}"),
    ]
    lines = [check.id, f"  {check.title}.", f"  {'; '.join(facts)}", ""]
    for label, text in parts:
        if text:
            lines += textwrap.wrap(
                f"{label}: {text}", 96, initial_indent="  ", subsequent_indent="    ", break_long_words=False
            )
    return "\n".join(lines)


@app.command("new", cls=MaestroCommand)
def new(
    name: Annotated[str, typer.Argument(help="SUITE.NOUN in kebab-case: health.backup-age.")],
    folder: str = typer.Option("checks", "--folder", metavar="DIR", help="Where to write it."),
    component: str = typer.Option(
        "infrastructure", "--component", metavar="NAME", help="Its component.", autocompletion=completion.components
    ),
    priority: str = typer.Option(
        "medium", "--priority", metavar="NAME", help="Its priority.", autocompletion=completion.priorities
    ),
    register: bool = typer.Option(False, "--register", help="Add the folder to `plugins:` of maestro.yaml as well."),
    force: bool = typer.Option(False, "--force", help="Overwrite files that exist."),
) -> None:
    """Write a new check and the test that turns it red. Both pass as written; then make them yours.

    Example: `maestro checks new health.backup-age --register`
    """
    from maestro_cli.commands.new_check import new_check

    invocation = current()
    _known([component], list(Component), "component")
    _known([priority], list(Priority), "priority")
    made = new_check(name, component=component, priority=priority, folder=folder)
    target = invocation.root / folder
    files = {target / made.check_name: made.check_text, target / made.test_name: made.test_text}
    present = [path for path in files if path.exists()]
    if present and not force:
        raise Refused(
            f"{', '.join(_shown(path) for path in present)} exists already; nothing was written",
            hint="Choose another name, or overwrite with --force.",
        )
    if register and not _registered(invocation, folder):
        files[invocation.config_path] = _with_folder(invocation, folder)
    _write(files)
    for path in files:
        invocation.out(f"wrote {_shown(path)}")
    invocation.say(_next(invocation, made.id, folder))
    raise typer.Exit(ExitCode.OK)


def _registered(invocation: Invocation, folder: str) -> bool:
    return str(Path(folder)) in {str(Path(name)) for name in invocation.unresolved.settings.plugins}


def _with_folder(invocation: Invocation, folder: str) -> str:
    from maestro_cli.config.append import append_rows

    path = invocation.config_path
    try:
        return append_rows(path.read_text(encoding="utf-8"), "plugins", [f"./{folder}"])
    except FileNotFoundError:
        raise UsageError(f"there is no {path.name} to add the folder to", hint="Write one with: maestro init") from None


def _write(files: dict[Path, str]) -> None:
    from maestro_cli.errors import OutOfReach

    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutOfReach(f"{error.filename} cannot be written: {error.strerror}") from None


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _next(invocation: Invocation, identifier: str, folder: str) -> str:
    lines = []
    if not _registered(invocation, folder):
        lines.append(f"Tell maestro of the folder: add `plugins: [./{folder}]` to {invocation.config_path}")
    lines.append(f"Run it:  maestro validate --only {identifier}")
    lines.append(f"Test it: python -m pytest {folder}")
    return "\n".join(lines)
