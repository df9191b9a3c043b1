"""`maestro validate`: run suites, explain each finding, say what to do next."""

from __future__ import annotations

from typing import Annotated

import typer

from maestro_cli.commands import completion
from maestro_cli.commands.base import MaestroGroup, current
from maestro_cli.commands.running import Selection, emit, perform, validate_exit_code
from maestro_cli.commands.sinks import ReportingCommand
from maestro_cli.errors import ExitCode, UsageError
from maestro_cli.model import Priority, Suite

app = typer.Typer(cls=MaestroGroup, add_completion=False)


@app.command(cls=ReportingCommand)
def validate(
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[health] [security] [readiness]",
            help="Suites; all when none is named.",
            autocompletion=completion.suites,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="ID",
            help="Run this check only; patterns (security.jwt-*); repeatable.",
            autocompletion=completion.check_ids,
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without",
            metavar="ID",
            help="Leave this check out; patterns; repeatable.",
            autocompletion=completion.check_ids,
        ),
    ] = None,
    fail_on: str = typer.Option(
        "low",
        "--fail-on",
        metavar="PRIORITY",
        help="Lowest priority that fails: critical, high, medium, low.",
        autocompletion=completion.priorities,
    ),
    read_only: bool = typer.Option(False, "--read-only", help="Leave out probes that write or send a burst."),
    probe_production: bool = typer.Option(
        False, "--probe-production", help="Let probes that write run in an environment named production."
    ),
    no_plugins: bool = typer.Option(False, "--no-plugins", help="Run the built-in checks only."),
    max_wait: float = typer.Option(60.0, "--max-wait", help="Longest wait for a rate-limit window, in seconds.", min=0),
) -> None:
    """Say what is wrong, why it matters and how to fix it.

    Exit code 0: every check holds, warns or is skipped. 1: an unwaived check failed or could not be measured. 2: the
    configuration is wrong, nothing was run. 3: nothing it ran could be measured.

    Example: `maestro validate health security --fail-on high`
    """
    invocation = current()
    known = [suite.value for suite in Suite]
    for name in suites or ():
        if name not in known:
            raise UsageError(f"there is no suite {name!r}", hint=f"Suites: {', '.join(known)}.")
    if fail_on not in list(Priority):
        raise UsageError(f"--fail-on {fail_on!r} is not a priority", hint=f"Priorities: {', '.join(Priority)}.")
    selection = Selection(
        suites=tuple(suites or ()),
        only=tuple(only or ()),
        without=tuple(without or ()),
        plugins=not no_plugins,
        read_only=read_only,
        probe_production=probe_production,
        max_wait_s=max_wait,
    )
    outcome = perform(invocation, invocation.require_config(), selection)
    emit(invocation, outcome.report, invocation.sinks, interrupted=outcome.interrupted)
    code = ExitCode.INTERRUPTED if outcome.interrupted else validate_exit_code(outcome.report, Priority(fail_on))
    raise typer.Exit(code)
