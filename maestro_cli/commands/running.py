"""What `validate`, `readiness` and `demo` share: configuration → run → report, and the report's way out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro_cli.commands.base import Invocation, collect_garbage
from maestro_cli.commands.sinks import Sink
from maestro_cli.errors import ConfigurationError, ExitCode
from maestro_cli.model import Component, Priority, Report, Status, Verdict, WaiverNote
from maestro_cli.records import record

if TYPE_CHECKING:
    from maestro_cli.api import Check, Context
    from maestro_cli.config import Loaded
    from maestro_cli.discovery import Catalogue
    from maestro_cli.runner import Plan, Progress


INTERRUPTED_S = 0.5
"""After Ctrl-C, how long deleting what the probes made may take: the program ends within a second."""


@record(frozen=True)
class Selection:
    """What to run, as the command line says it."""

    suites: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    plugins: bool = True
    read_only: bool = False
    probe_production: bool = False
    max_wait_s: float = 60.0


@record(frozen=True)
class Outcome:
    """A report, and whether threads were left behind that never came back."""

    report: Report
    interrupted: bool = False


def perform(invocation: Invocation, loaded: Loaded, selection: Selection) -> Outcome:
    """Run the selected checks of a configuration.

    Raises:
        ConfigurationError: For waivers or deadlines that name no check; nothing was run.
    """
    from maestro_cli.discovery import Choice, discover

    choice = Choice(selection.suites, selection.only, selection.without)

    def import_what_follows() -> None:
        from maestro_cli import runner  # noqa: F401 - imported now, while plugins load, and used later
        from maestro_cli.formats import load

        for name, _ in invocation.sinks:
            load(name)

    catalogue = discover(loaded, plugins=selection.plugins, choice=choice, meanwhile=import_what_follows)
    try:
        return _perform(invocation, loaded, selection, catalogue)
    finally:
        catalogue.close()


def _perform(invocation: Invocation, loaded: Loaded, selection: Selection, catalogue: Catalogue) -> Outcome:
    from maestro_cli.discovery import select
    from maestro_cli.runner import Interrupted, run

    plan = make_plan(loaded, catalogue, invocation)
    checks = select(catalogue, suites=selection.suites, only=selection.only, without=selection.without)
    ctx = make_context(invocation, loaded, selection)
    kept, left_out = leave_out(checks, ctx)
    collect_garbage()
    with _stdout_kept_for_the_report(), _progress(invocation, len(kept)) as on_progress:
        try:
            report = run(kept, ctx, plan, on_progress=on_progress)
        except Interrupted as interruption:
            ctx.cleanup.run(total_s=INTERRUPTED_S)
            return Outcome(with_notes(interruption.report, (*left_out, *_left_behind(ctx))), interrupted=True)
    ctx.close()
    return Outcome(with_notes(report, (*left_out, *_left_behind(ctx))))


def _left_behind(ctx: Context) -> tuple[str, ...]:
    """What probes made and could not take away again."""
    return tuple(ctx.redact(f"left behind by a probe: {what}") for what in ctx.cleanup.left)


def make_context(invocation: Invocation, loaded: Loaded, selection: Selection) -> Context:
    """The context of one run."""
    from maestro_cli.api import Context

    ctx = Context(
        loaded=loaded,
        now=invocation.now(),
        redact=invocation.redact,
        read_only=selection.read_only,
        probe_production=selection.probe_production or loaded.settings.run.probe_production,
        max_wait_s=selection.max_wait_s,
        commit=commit_of(loaded.root),
        environ=dict(invocation.environ),
    )
    ctx.patience.on_wait = lambda seconds: invocation.say(f"waiting {seconds:.0f} s for the service's rate limit")
    return ctx


def with_notes(report: Report, notes: Sequence[str]) -> Report:
    """The report with more notes."""
    return replace(report, notes=(*report.notes, *notes)) if notes else report


def leave_out(checks: Sequence[Check], ctx: Context) -> tuple[list[Check], tuple[str, ...]]:
    """The checks as they may run here: what must not write or burst is a skip that says why, and a note says how many."""
    if ctx.read_only:
        kept_out = [check.id for check in checks if check.writes or check.bursts]
        reason = "left out by --read-only"
    elif ctx.environment == "production" and not ctx.probe_production:
        kept_out = [check.id for check in checks if check.writes]
        reason = "left out in production because it writes; run it with --probe-production"
    else:
        return list(checks), ()
    rows = [
        replace(check, run=_left_out(reason), bursts=False, trusted=True) if check.id in kept_out else check
        for check in checks
    ]
    if not kept_out:
        return rows, ()
    return rows, (f"{len(kept_out)} {'check' if len(kept_out) == 1 else 'checks'} {reason}: {', '.join(kept_out)}",)


def _left_out(reason: str) -> Any:
    from maestro_cli.api import skipped

    return lambda _ctx: skipped(reason)


def make_plan(loaded: Loaded, catalogue: Catalogue, invocation: Invocation) -> Plan:
    """Deadlines, gate, weights and the waivers that hold today.

    Raises:
        ConfigurationError: For a waiver or deadline that names no check.
    """
    from maestro_cli.runner import Plan

    settings = loaded.settings
    unknown = [
        f"{loaded.where(key)}: {key}: no check is named {name!r}{_did_you_mean(name, catalogue)}"
        for key, name in (
            *((f"waivers[{index}].check", waiver.check) for index, waiver in enumerate(settings.waivers)),
            *((f"run.deadlines.{name}", name) for name in settings.run.deadlines),
        )
        if name not in catalogue.ids and catalogue.complete
    ]
    if unknown:
        raise ConfigurationError("\n".join(unknown), hint="See all checks: maestro checks list")
    today = invocation.now().date()
    environment = settings.service.environment
    return Plan(
        gate=gate_of(loaded),
        weights={Component(name): weight for name, weight in vars(settings.readiness.components).items()},
        deadline_s=settings.run.deadline_s,
        deadlines=dict(settings.run.deadlines),
        total_s=settings.run.total_s,
        concurrency=settings.run.concurrency,
        waivers={
            waiver.check: WaiverNote(waiver.reason, waiver.owner, waiver.expires.isoformat())
            for waiver in settings.waivers
            if waiver.expires >= today and environment in waiver.environments
        },
    )


def _did_you_mean(name: str, catalogue: Catalogue) -> str:
    from maestro_cli.config.interpolation import closest

    similar = closest(name, catalogue.ids)
    return f'; did you mean "{similar}"?' if similar else ""


def gate_of(loaded: Loaded) -> Any:
    """The environment's gate: the configured one, or the default."""
    from maestro_cli.config.readiness_settings import DEFAULT_GATES
    from maestro_cli.scoring import GateRule

    environment = loaded.settings.service.environment
    gate = loaded.settings.readiness.gates.get(environment, DEFAULT_GATES[environment])
    return GateRule(environment, gate.min_score, tuple(Priority(name) for name in gate.no_failed), gate.min_coverage)


def commit_of(root: Path) -> str | None:
    """The project's commit, or None outside a git checkout."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def readiness_exit_code(report: Report) -> ExitCode:
    """By the environment's gate."""
    codes = {Verdict.READY: ExitCode.OK, Verdict.NOT_READY: ExitCode.NOT_MET, Verdict.UNKNOWN: ExitCode.NOT_MEASURED}
    return codes[report.verdict]


def validate_exit_code(report: Report, fail_on: Priority) -> ExitCode:
    """By what was run: 1 when an unwaived check of this priority or above is fail or error, 3 when nothing was measured."""
    if report.verdict is Verdict.UNKNOWN:
        return ExitCode.NOT_MEASURED
    counted = list(Priority)[: list(Priority).index(fail_on) + 1]
    short = any(
        result.status in (Status.FAIL, Status.ERROR) and result.waiver is None and result.priority in counted
        for result in report.checks
    )
    return ExitCode.NOT_MET if short else ExitCode.OK


@contextmanager
def _stdout_kept_for_the_report() -> Iterator[None]:
    """While checks run, whatever is written to descriptor 1 (by a check, a library or a child) must not reach it.

    It goes nowhere: it could hold a secret, and it is nobody's report.
    """
    try:
        sys.stdout.flush()
        saved = os.dup(1)
    except (OSError, ValueError):  # no descriptor 1: nothing to protect
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.close(sink)
    before, sys.stdout = sys.stdout, Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - closed below
    try:
        yield
    finally:
        sys.stdout.close()
        sys.stdout = before
        os.dup2(saved, 1)
        os.close(saved)


@contextmanager
def _progress(invocation: Invocation, total: int) -> Iterator[Any]:
    if not invocation.progress or total == 0:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("checking"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[name]}"),
        console=invocation.console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total, name="")

        def show(progress: Progress) -> None:
            bar.update(task, completed=progress.done, name=progress.result.id)

        yield show


def emit(
    invocation: Invocation,
    report: Report,
    sinks: Sequence[Sink],
    *,
    interrupted: bool = False,
) -> None:
    """Write the report in each asked format: to its file, or to stdout (stderr when the run was interrupted)."""
    from maestro_cli.formats import render

    for name, target in sinks:
        stream = invocation.stderr if interrupted else invocation.stdout
        to_stream = target in (None, "-")
        text = render(
            name,
            report,
            width=_width(stream) if to_stream else 100,
            colour=to_stream and not interrupted and invocation.colour,
            verbose=invocation.verbose,
            encoding=(stream.encoding or "utf-8") if to_stream else "utf-8",
        )
        if not text.endswith("\n"):
            text += "\n"
        if to_stream:
            stream.write(text)
            stream.flush()
        else:
            _write(Path(str(target)), text)
            invocation.say(f"wrote {target}")


def _write(path: Path, text: str) -> None:
    from maestro_cli.errors import OutOfReach

    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutOfReach(f"{path} cannot be written: {error.strerror}") from None


def _width(stream: Any) -> int:
    if not stream.isatty():
        return 80
    import shutil

    return max(60, min(120, shutil.get_terminal_size().columns))
