"""`maestro readiness`: run everything, print the scored breakdown and the verdict of the gate."""

from __future__ import annotations

import typer

from maestro_cli.commands.base import MaestroGroup, current
from maestro_cli.commands.keeping import against_baseline, find, keep
from maestro_cli.commands.running import Selection, emit, perform, readiness_exit_code
from maestro_cli.commands.sinks import ReportingCommand
from maestro_cli.errors import ExitCode

app = typer.Typer(cls=MaestroGroup, add_completion=False)


@app.command(cls=ReportingCommand)
def readiness(
    read_only: bool = typer.Option(False, "--read-only", help="Leave out probes that write or send a burst."),
    probe_production: bool = typer.Option(
        False, "--probe-production", help="Let probes that write run in an environment named production."
    ),
    no_plugins: bool = typer.Option(False, "--no-plugins", help="Run the built-in checks only."),
    max_wait: float = typer.Option(60.0, "--max-wait", help="Longest wait for a rate-limit window, in seconds.", min=0),
    baseline: str | None = typer.Option(
        None,
        "--baseline",
        metavar="FILE|last",
        help="Fail on regressions alone: what fell short in this earlier report, or in the last stored run, may.",
    ),
) -> None:
    """Score the service over six components and judge it by its environment's gate.

    Exit code 0: the gate is met. 1: it is not. 2: the configuration is wrong, nothing was run. 3: nothing could be
    measured, so there is no verdict.

    In a pipeline: `maestro readiness --json > readiness.json && deploy`
    """
    invocation = current()
    loaded = invocation.require_config()
    selection = Selection(
        plugins=not no_plugins, read_only=read_only, probe_production=probe_production, max_wait_s=max_wait
    )
    # Looked up before the run: a name that leads nowhere should cost nothing, and `last` is the run before this one.
    earlier = find(invocation, baseline, like=loaded.settings) if baseline is not None else None
    outcome = perform(invocation, loaded, selection)
    report = keep(invocation, outcome.report)
    code = ExitCode.INTERRUPTED if outcome.interrupted else readiness_exit_code(report)
    if earlier is not None and code in (ExitCode.OK, ExitCode.NOT_MET):
        report, held = against_baseline(invocation, report, earlier)
        code = ExitCode.OK if held else ExitCode.NOT_MET
    emit(invocation, report, invocation.sinks, interrupted=outcome.interrupted)
    raise typer.Exit(code)
