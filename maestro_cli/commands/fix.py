"""`maestro fix`: apply the safe remedies that checks offer, one by one, each looked at again afterwards."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maestro_cli.commands import completion
from maestro_cli.commands.base import Invocation, MaestroCommand, MaestroGroup, current
from maestro_cli.errors import ConfigurationError, ExitCode, MaestroError, UsageError
from maestro_cli.model import CheckResult, Status

if TYPE_CHECKING:
    from maestro_cli.api import Check, FixContext
    from maestro_cli.config import Loaded

app = typer.Typer(cls=MaestroGroup, add_completion=False)


@dataclass
class Remedy:
    """One check that is not well, and what its fix would do.

    Attributes:
        check: The check.
        before: What it said.
        plan: One line per change.
        applied: Whether the changes were made.
        undo: How to take them back.
        problem: Why they could not be made.
        after: What the check says now.
    """

    check: Check
    before: CheckResult
    plan: tuple[str, ...]
    applied: bool = False
    undo: str = ""
    problem: str = ""
    after: CheckResult | None = None

    @property
    def mended(self) -> bool:
        """Whether the check is well now."""
        return self.after is not None and self.after.status in (Status.PASS, Status.WARN)


@app.command(cls=MaestroCommand)
def fix(
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]...",
            help="Checks, or patterns; every check that offers a fix when none is named.",
            autocompletion=completion.fixable_ids,
        ),
    ] = None,
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would be done and change nothing."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask. Needed in production, and without a terminal."),
    no_plugins: bool = typer.Option(False, "--no-plugins", help="Fixes of the built-in checks only."),
    json_: bool = typer.Option(False, "--json", help="Say what was done as JSON."),
) -> None:
    """Mend what can be mended safely: file modes, .gitignore, missing certificates and secrets, renewals, and the like.

    Looks at the checks that offer a fix, shows what each would change, asks, applies them one by one, runs each check
    again and says how to undo it. Nothing that exists is deleted or overwritten.

    Exit code 0: all of it is mended, or nothing was to be done. 1: something is not mended. 2: --yes is missing.

    Example: `maestro fix security.env-file --dry-run`
    """
    from maestro_cli.discovery import discover

    invocation = current()
    loaded = configuration(invocation)
    catalogue = discover(loaded, plugins=not no_plugins)
    try:
        remedies = find(invocation, loaded, _chosen(catalogue, ids or ()))
        if remedies and not dry_run:
            _show_plan(invocation, remedies)
            _permit(loaded, remedies, yes=yes)
            for remedy in remedies:
                apply(invocation, remedy)
    finally:
        catalogue.close()
    if json_:
        invocation.out_json([_as_json(remedy, invocation) for remedy in remedies])
    else:
        invocation.out(invocation.redact(_told(remedies, dry_run=dry_run)))
    if not dry_run and not all(remedy.mended for remedy in remedies):
        raise typer.Exit(ExitCode.NOT_MET)


def configuration(invocation: Invocation) -> Loaded:
    """The configuration as it stands now; with unset variables empty where the file that sets them is yet to be made."""
    from maestro_cli.config import load

    if not invocation.configured:
        return invocation.require_config()  # says that there is none

    def read(*, strict: bool) -> Loaded:
        return load(
            invocation.config_path,
            environ=invocation.environ,
            environment=invocation.env,
            on_secrets=invocation.redact.add,
            require_variables=strict,
        )

    try:
        return read(strict=True)
    except ConfigurationError:
        return read(strict=False)


def _chosen(catalogue: Any, ids: Sequence[str]) -> list[Check]:
    from maestro_cli.discovery import select

    checks = [check for check in select(catalogue, only=ids) if check.fix is not None]
    if ids and not checks:
        raise UsageError(
            f"{', '.join(ids)}: no fix is offered", hint=f"What to do instead: maestro checks explain {ids[0]}"
        )
    return sorted(checks, key=lambda check: check.id)


def find(invocation: Invocation, loaded: Loaded, checks: Sequence[Check]) -> list[Remedy]:
    """Run the checks; keep those that are not well and whose fix has something to do."""
    remedies = []
    for check in checks:
        before = run(invocation, loaded, check)
        if before.status in (Status.PASS, Status.SKIP) or check.fix is None:
            continue
        try:
            plan = tuple(check.fix.plan(_context(invocation, loaded)))
        except (MaestroError, OSError) as error:
            invocation.say(f"note: {check.id}: what its fix would do cannot be told: {_words(error)}")
            continue
        if plan:
            remedies.append(Remedy(check, before, plan))
        else:
            invocation.say(f"note: {check.id} is {before.status}, and its fix has nothing to do: {before.message}")
    return remedies


def run(invocation: Invocation, loaded: Loaded, check: Check) -> CheckResult:
    """Run one check, on observations of its own."""
    from maestro_cli.commands.running import Selection, make_context
    from maestro_cli.runner import execute

    ctx = make_context(invocation, loaded, Selection(read_only=True))
    try:
        return execute(check, ctx)
    finally:
        ctx.close()


def _context(invocation: Invocation, loaded: Loaded) -> FixContext:
    from maestro_cli.api import FixContext

    return FixContext(loaded, invocation.now(), dict(invocation.environ))


def apply(invocation: Invocation, remedy: Remedy) -> None:
    """Make the changes of one remedy and look at its check again."""
    assert remedy.check.fix is not None  # noqa: S101 - only those were kept
    try:
        # Read anew each time: an earlier fix may have written what this one needs.
        remedy.undo = remedy.check.fix.apply(_context(invocation, configuration(invocation)))
        remedy.applied = True
    except (MaestroError, OSError) as error:
        remedy.problem = _words(error)
    remedy.after = run(invocation, configuration(invocation), remedy.check)


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror}".removeprefix(": ")
    return str(error).replace("\n", " ")


def _show_plan(invocation: Invocation, remedies: Sequence[Remedy]) -> None:
    invocation.say("\n".join(_plan_lines(remedies)))


def _plan_lines(remedies: Sequence[Remedy]) -> list[str]:
    lines = []
    for remedy in remedies:
        lines += [f"{remedy.check.id}: {remedy.before.message}", *(f"  would {line}" for line in remedy.plan)]
    return lines


def _permit(loaded: Loaded, remedies: Sequence[Remedy], *, yes: bool) -> None:
    """Ask, unless --yes was given; never ask in production, where --yes has to be on the command line."""
    if yes:
        return
    environment = loaded.settings.service.environment
    if environment == "production":
        raise UsageError(
            "the environment is production; nothing was changed",
            hint="See what would be done with --dry-run; do it with --yes.",
        )
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on; nothing was changed", hint="Apply the changes with: --yes")
    number = sum(len(remedy.plan) for remedy in remedies)
    if not typer.confirm(f"Make {'this change' if number == 1 else f'these {number} changes'}?", err=True):
        raise typer.Abort


def _told(remedies: Sequence[Remedy], *, dry_run: bool) -> str:
    if not remedies:
        return "Nothing to fix: no check that offers a fix needs it."
    if dry_run:
        return "\n".join([*_plan_lines(remedies), "", "Nothing was changed. Do it: maestro fix"])
    lines = []
    for remedy in remedies:
        now = "" if remedy.after is None else f"now {remedy.after.status}"
        lines.append(f"{remedy.check.id}: {remedy.before.status}, {now}")
        if remedy.applied:
            lines += [f"  done: {line}" for line in remedy.plan]
            lines += [f"  undo: {remedy.undo}"] if remedy.undo else []
        else:
            lines.append(f"  not done: {remedy.problem}")
        if not remedy.mended and remedy.after is not None:
            lines.append(f"  still: {remedy.after.message}")
    return "\n".join(lines)


def _as_json(remedy: Remedy, invocation: Invocation) -> dict[str, Any]:
    redact = invocation.redact
    return {
        "id": remedy.check.id,
        "before": remedy.before.status,
        "plan": [redact(line) for line in remedy.plan],
        "applied": remedy.applied,
        "undo": redact(remedy.undo),
        "problem": redact(remedy.problem),
        "after": None if remedy.after is None else remedy.after.status,
    }
