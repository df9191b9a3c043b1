"""The program: which commands there are, and what becomes of their errors."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer
import typer.main

from maestro_cli.commands.base import Invocation, MaestroGroup, begin, collect_garbage
from maestro_cli.errors import ExitCode, MaestroError

COMMANDS: dict[str, str] = {
    "demo": "maestro_cli.commands.demo",
    "init": "maestro_cli.commands.init",
    "certs": "maestro_cli.commands.certs",
    "secrets": "maestro_cli.commands.secrets",
    "serve": "maestro_cli.commands.serve",
    "migrate": "maestro_cli.commands.migrate",
    "tenants": "maestro_cli.commands.tenants",
    "validate": "maestro_cli.commands.validate",
    "readiness": "maestro_cli.commands.readiness",
    "checks": "maestro_cli.commands.checks",
    "fix": "maestro_cli.commands.fix",
    "history": "maestro_cli.commands.history",
    "diff": "maestro_cli.commands.diff",
    "import": "maestro_cli.commands.import_goss",
    "config": "maestro_cli.commands.config",
}
"""Command → module with `app`. A module is imported when its command is called, or to be listed by --help."""


class LazyCommands(MaestroGroup):
    """The top of the command tree: imports a command's module only when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - signature of the base class
        """Every command whose module is there, in the order a newcomer meets them."""
        return [name for name, module in COMMANDS.items() if find_spec(module) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or None where there is none of that name."""
        module = COMMANDS.get(cmd_name)
        if module is None or cmd_name not in self.list_commands(ctx):
            return None
        command = typer.main.get_command(import_module(module).app)
        if cmd_name not in ("validate", "readiness"):  # those still have their checks to load
            collect_garbage()
        command.name = cmd_name
        return command


app = typer.Typer(cls=LazyCommands, add_completion=True, no_args_is_help=True, pretty_exceptions_enable=False)


def _show_version(value: bool) -> None:
    if value:
        from maestro_cli._version import __version__

        sys.stdout.write(f"maestro {__version__}\n")
        raise typer.Exit


@app.callback()
def maestro(
    _version: bool = typer.Option(False, "--version", help="Show the version.", is_eager=True, callback=_show_version),
) -> None:
    """Take a multi-tenant web API to production, and prove that it is ready.

    Everything maestro claims it has observed: it forges the token and sees it refused, logs tenant B in and tries to
    read tenant A's row, sends the 61st request. What it could not observe, it says so, and gives no credit.

    New here? Run: maestro demo
    """


# typer 0.20 stands on the click package, 0.28 on a copy of its own; this is the base of usage errors in both.
_ClickException: type[Exception] = typer.BadParameter.__mro__[2]


def run(argv: Sequence[str]) -> int:
    """Run one command line and return the exit code; every error becomes words on stderr."""
    invocation = begin()
    signal.signal(signal.SIGTERM, _terminated)
    # A shell starts background jobs of a script with SIGINT ignored; whoever sends it to us still means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = typer.main.get_command(app).main(args=list(argv), prog_name="maestro", standalone_mode=False)
    except MaestroError as error:
        return _fail(invocation, error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except typer.Abort:
        invocation.stderr.write("Aborted.\n")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`maestro … | head`); nothing is left to be said.
        sys.stdout = None  # keeps the interpreter from flushing into the closed pipe
        return ExitCode.NOT_MEASURED
    except Exception as error:  # noqa: BLE001 - the last line: no traceback reaches a user
        if isinstance(error, _ClickException):
            return _usage(invocation, error)
        return _internal(invocation, error)
    return int(code or 0) if isinstance(code, int) else ExitCode.OK


def _terminated(_signum: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _fail(invocation: Invocation, error: MaestroError) -> int:
    if invocation.traceback:
        _print_traceback(invocation, error)
    invocation.stderr.write(invocation.redact(f"error: {error.message}\n"))
    if error.hint:
        invocation.stderr.write(invocation.redact(f"{error.hint}\n"))
    return error.exit_code


def _usage(invocation: Invocation, error: Any) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "maestro"
    message = error.format_message()
    if not message:  # a group called without a command: its help was shown
        return ExitCode.USAGE
    invocation.stderr.write(invocation.redact(f"error: {message}\nSee: {path} --help\n"))
    return ExitCode.USAGE


def _internal(invocation: Invocation, error: Exception) -> int:
    if invocation.traceback:
        _print_traceback(invocation, error)
    text = f"internal error: {type(error).__name__}: {error}"
    invocation.stderr.write(invocation.redact(text) + "\n")
    if not invocation.traceback:
        invocation.stderr.write("This is a defect of maestro. Run again with --traceback and report what it prints.\n")
    return ExitCode.NOT_MEASURED


def _print_traceback(invocation: Invocation, error: BaseException) -> None:
    import traceback

    invocation.stderr.write(invocation.redact("".join(traceback.format_exception(error))))
