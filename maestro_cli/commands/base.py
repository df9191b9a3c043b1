"""What every command shares: the common options, the configuration they point at, and where words go.

Only this floor touches stdout, the clock, the environment and the terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from typer.core import TyperCommand, TyperGroup, TyperOption

from maestro_cli.errors import ConfigurationError, UsageError
from maestro_cli.redaction import Redactor

if TYPE_CHECKING:
    from rich.console import Console

    from maestro_cli.config import Loaded
    from maestro_cli.config.settings import Settings

DEFAULT_CONFIG = "maestro.yaml"
ENVIRONMENTS = ("development", "staging", "production")


@dataclass
class Invocation:
    """One run of the program: its common options and what follows from them."""

    config: str | None = None
    env: str | None = None
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False
    traceback: bool = False
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    redact: Redactor = field(default_factory=Redactor)
    sinks: list[tuple[str, str | None]] = field(default_factory=lambda: [("rich", None)])

    @property
    def config_path(self) -> Path:
        """The configuration file that applies, whether or not it exists."""
        return Path(self.config or DEFAULT_CONFIG)

    @property
    def configured(self) -> bool:
        """Whether there is a configuration file to read."""
        return self.config is not None or self.config_path.exists()

    @cached_property
    def loaded(self) -> Loaded:
        """The configuration with its provenance; the defaults where there is no maestro.yaml.

        Raises:
            ConfigurationError: With every problem of the file, or when `--config` names no file.
        """
        from maestro_cli.config import load, without_file

        if self.env is not None and self.env not in ENVIRONMENTS:
            raise UsageError(
                f"--env {self.env!r} is not an environment", hint=f"Write one of: {', '.join(ENVIRONMENTS)}."
            )
        if not self.configured:
            return without_file(Path.cwd(), environment=self.env)
        loaded = load(self.config_path, environ=self.environ, environment=self.env, on_secrets=self.redact.add)
        for warning in loaded.warnings:
            self.say(f"note: {warning}")
        return loaded

    @cached_property
    def unresolved(self) -> Loaded:
        """The configuration with unset variables and a missing env_file read as empty: for commands that make them."""
        from maestro_cli.config import load, without_file

        if not self.configured:
            return without_file(Path.cwd(), environment=self.env)
        return load(
            self.config_path,
            environ=self.environ,
            environment=self.env,
            on_secrets=self.redact.add,
            require_variables=False,
        )

    @property
    def settings(self) -> Settings:
        """The typed settings."""
        return self.loaded.settings

    @property
    def root(self) -> Path:
        """The folder that relative paths in the configuration start from."""
        return self.loaded.root

    def require_config(self) -> Loaded:
        """The configuration, for commands that are pointless without one."""
        if not self.configured:
            raise ConfigurationError(
                f"there is no {DEFAULT_CONFIG} in {Path.cwd()}",
                hint="Write one with: maestro init        (or name it: --config FILE; or see it all work: maestro demo)",
            )
        return self.loaded

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)

    @property
    def colour(self) -> bool:
        """Whether stdout may be coloured: a terminal, no NO_COLOR, no --no-color."""
        return not self.no_color and not self.environ.get("NO_COLOR") and self.stdout.isatty()

    @property
    def progress(self) -> bool:
        """Whether progress may be drawn on stderr."""
        return not self.quiet and self.stderr.isatty()

    def say(self, text: str) -> None:
        """Write a note to stderr; `--quiet` silences it."""
        if not self.quiet:
            self.stderr.write(self.redact(text) + "\n")
            self.stderr.flush()

    def out(self, text: str) -> None:
        """Write to stdout."""
        self.stdout.write(text if text.endswith("\n") else text + "\n")
        self.stdout.flush()

    def out_json(self, value: Any) -> None:
        """Write one JSON value to stdout, indented, keys in the order given."""
        self.out(json.dumps(value, indent=2, ensure_ascii=False, default=str))

    def console(self, *, stderr: bool = False) -> Console:
        """A rich console on stdout (or stderr) without colours in a pipe, 80 columns where there is no terminal."""
        from rich.console import Console

        stream = self.stderr if stderr else self.stdout
        plain = self.no_color or bool(self.environ.get("NO_COLOR"))
        terminal = stream.isatty()
        return Console(
            file=stream, no_color=plain or None, highlight=False, soft_wrap=False, width=None if terminal else 80
        )


_current = Invocation()


def current() -> Invocation:
    """The invocation that is being served."""
    return _current


def begin() -> Invocation:
    """Start a new invocation; the program does this once, a test once per command."""
    global _current  # noqa: PLW0603 - one process serves one command line
    _current = Invocation()
    return _current


def _record(_ctx: Any, param: Any, value: Any) -> Any:
    # An option that stands in front of the command must survive its absence behind it, and the other way round.
    if value not in (None, False):
        setattr(_current, param.name, value)
    return value


def _common_options() -> list[TyperOption]:
    def option(
        names: list[str], text: str, *, flag: bool = False, metavar: str | None = None, offered: Any = None
    ) -> TyperOption:
        return TyperOption(
            param_decls=names,
            is_flag=flag or None,
            type=None if flag else str,
            default=False if flag else None,
            help=text,
            metavar=metavar,
            expose_value=False,
            callback=_record,
            autocompletion=offered,
            rich_help_panel="Common options",
            show_default=False,
        )

    return [
        option(["--config", "-c", "config"], f"Configuration file (default: {DEFAULT_CONFIG}).", metavar="FILE"),
        option(
            ["--env", "env"],
            f"Overrides service.environment: {', '.join(ENVIRONMENTS)}.",
            metavar="NAME",
            offered=lambda _ctx, _args, incomplete: [name for name in ENVIRONMENTS if name.startswith(incomplete)],
        ),
        option(["--no-color", "no_color"], "No colours; NO_COLOR does the same.", flag=True),
        option(["--quiet", "-q", "quiet"], "No notes on stderr.", flag=True),
        option(["--verbose", "-v", "verbose"], "Say more.", flag=True),
        option(["--traceback", "traceback"], "Show the traceback of an internal error.", flag=True),
    ]


def collect_garbage() -> None:
    """Collect garbage from now on: the start is over, and what it imported stays."""
    import gc

    gc.freeze()
    gc.enable()


class MaestroCommand(TyperCommand):
    """A command that also takes the common options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "rich_markup_mode": "markdown"})  # markdown re-wraps docstrings
        self.params.extend(_common_options())


class MaestroGroup(TyperGroup):
    """A group that also takes the common options, in front of its command."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "rich_markup_mode": "markdown"})  # markdown re-wraps docstrings
        self.params.extend(_common_options())
