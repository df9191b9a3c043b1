"""`maestro demo`: a real service from nothing to a scored verdict, and back to nothing."""

from __future__ import annotations

import shutil
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro_cli.commands import completion
from maestro_cli.commands.base import Invocation, MaestroGroup, current
from maestro_cli.commands.running import Selection, emit, perform, readiness_exit_code
from maestro_cli.commands.sinks import ReportingCommand
from maestro_cli.errors import ExitCode, MaestroError, UsageError
from maestro_cli.model import Report

if TYPE_CHECKING:
    from maestro_cli.demo.session import Demo

app = typer.Typer(cls=MaestroGroup, add_completion=False)


@app.command(cls=ReportingCommand)
def demo(
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Leave the project folder behind, in DIR (new or empty)."),
    ] = None,
    stay: bool = typer.Option(False, "--stay", help="Keep everything running until Ctrl-C, and say what to try."),
    fault: Annotated[
        str | None,
        typer.Option(
            "--fault",
            metavar="NAME",
            help="Start the service with this fault planted.",
            autocompletion=completion.faults,
        ),
    ] = None,
    list_faults: bool = typer.Option(False, "--list-faults", help="List the faults, with the checks that find each."),
) -> None:
    """With nothing configured: see a real service go from nothing to a scored verdict, in under a minute.

    Starts an embedded PostgreSQL and an embedded Valkey, generates secrets and certificates, creates the reference
    service's single-tenant schema with rows in it, migrates it to tenants, starts the service over HTTPS, runs every
    check, prints the breakdown, and stops everything it started. Needs the extra `demo`.

    Then break something: `maestro demo --fault cors-any-origin`

    Exit code 0: the production gate is met. 1: it is not, as with any fault.
    """
    invocation = current()
    if list_faults:
        _list(invocation)
        return
    if fault is not None:
        _known(fault)
    directory = keep.absolute() if keep is not None else Path(tempfile.mkdtemp(prefix="maestro-demo-"))
    try:
        code = _run(invocation, directory, fault, stay=stay)
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    if keep is not None:
        invocation.say(f"The project is in {keep}; its servers are stopped.")
    raise typer.Exit(code)


def _run(invocation: Invocation, directory: Path, fault: str | None, *, stay: bool) -> ExitCode:
    from maestro_cli.demo.session import Demo

    invocation.say("maestro demo: from nothing to a verdict")
    with Demo(directory, invocation.now(), say=invocation.say, fault=fault) as running:
        invocation.redact.add(running.secrets())
        outcome = perform(_isolated(invocation, running), running.loaded, Selection(probe_production=True))
        report = outcome.report
        if fault is not None:
            report = replace(report, extra={**report.extra, "fault": running.planted(report)})
        emit(invocation, report, invocation.sinks, interrupted=outcome.interrupted)
        code = ExitCode.INTERRUPTED if outcome.interrupted else readiness_exit_code(report)
        if fault is not None and not outcome.interrupted:
            _judge_fault(invocation, running, report)
        if stay and not outcome.interrupted:
            _stay(invocation, running)
    return code


def _isolated(invocation: Invocation, running: Demo) -> Invocation:
    """The same invocation without the caller's environment: their DATABASE_URL must not become the demo's."""
    return replace(invocation, environ=running.environ)


def _judge_fault(invocation: Invocation, running: Demo, report: Report) -> None:
    planted = running.planted(report)
    found = planted["found_by"]
    if not found:
        raise MaestroError(
            f"the planted fault {planted['name']} was not found by any check; that is a defect of maestro"
        )
    invocation.say(f"\nPlanted: {planted['name']} ({planted['description']})\nFound by: {', '.join(found)}")


def _stay(invocation: Invocation, running: Demo) -> None:
    lines = [
        "",
        "Everything keeps running. In another terminal:",
        f"  cd {running.directory}",
        "  maestro readiness --json          # exit code 0",
        "  maestro validate health",
        f"  kill {running.valkey.pid:<8}                     # stop Redis and run readiness again",
        f"  kill -INT {running.postgres.pid:<8}                # stop PostgreSQL",
        f"  curl --cacert certs/ca.pem {running.service.url}/health",
        f"  the service: pid {running.service.pid}, log {running.service.log}",
        "Ctrl-C stops everything.",
    ]
    invocation.say("\n".join(lines))
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        invocation.say("stopping")


def _known(fault: str) -> None:
    from maestro_cli.demo.plants import catalogue

    faults = catalogue()
    if fault not in faults:
        from maestro_cli.config.interpolation import closest

        similar = closest(fault, faults)
        raise UsageError(
            f"there is no fault {fault!r}" + (f"; did you mean {similar}?" if similar else ""),
            hint="List them: maestro demo --list-faults",
        )


def _list(invocation: Invocation) -> None:
    from maestro_cli.demo.plants import catalogue

    rows = catalogue()
    if any(name == "json" for name, _ in invocation.sinks):
        invocation.out_json(
            [
                {"name": name, "description": row.description, "found_by": list(row.found_by)}
                for name, row in rows.items()
            ]
        )
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in ("fault", "what is then wrong", "found by"):
        # A name that is folded can be neither copied nor searched for.
        table.add_column(column, no_wrap=column != "what is then wrong", overflow="fold")
    for name, row in rows.items():
        table.add_row(name, row.description, "\n".join(row.found_by))
    invocation.console().print(table)
