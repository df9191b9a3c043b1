"""`--format X -o FILE`, repeatable in pairs: where each rendering of a report goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperOption

from maestro_cli.commands.base import MaestroCommand, current
from maestro_cli.errors import UsageError

Sink = tuple[str, str | None]
"""A format's name, and the file it goes to; None or "-" for stdout."""


def pair(arguments: Sequence[str]) -> list[Sink]:
    """The sinks that a command line asks for; rich on stdout where it asks for none.

    An --output belongs to the last --format before it that has none yet, or else to the next one.

    Raises:
        UsageError: For an unknown format, two formats on stdout, or one file for two formats.
    """
    formats: list[list[str | None]] = []
    pending: list[str] = []
    rows = iter(arguments)
    for argument in rows:
        if argument == "--":
            break
        if argument == "--json":
            formats.append(["json", pending.pop(0) if pending else None])
        elif argument == "--format" or argument.startswith("--format="):
            name = argument.partition("=")[2] if "=" in argument else next(rows, "")
            formats.append([_known(name), pending.pop(0) if pending else None])
        elif argument in ("--output", "-o") or argument.startswith(("--output=", "-o")):
            name = (
                next(rows, "")
                if argument in ("--output", "-o")
                else argument.removeprefix("--output=").removeprefix("-o")
            )
            free = [row for row in formats if row[1] is None]
            if free:
                free[-1][1] = name
            else:
                pending.append(name)
    formats.extend(["rich", name] for name in pending)
    sinks = [(str(name), target) for name, target in formats] or [("rich", None)]
    _refuse_collisions(sinks)
    return sinks


def _known(name: str) -> str:
    from maestro_cli.formats import FORMATS

    if name not in FORMATS:
        from maestro_cli.config.interpolation import closest

        similar = closest(name, FORMATS)
        raise UsageError(
            f"there is no format {name!r}" + (f"; did you mean {similar}?" if similar else ""),
            hint=f"Formats: {', '.join(FORMATS)}.",
        )
    return name


def _refuse_collisions(sinks: Sequence[Sink]) -> None:
    targets = [target or "-" for _, target in sinks]
    for target in targets:
        if targets.count(target) > 1:
            where = "stdout" if target == "-" else target
            names = " and ".join(name for name, other in sinks if (other or "-") == target)
            raise UsageError(
                f"{names} would both go to {where}", hint="Give each format its own file: --format junit -o junit.xml"
            )


def _formats(_ctx: Any, _args: Any, incomplete: str) -> list[str]:
    from maestro_cli.formats import FORMATS

    return [name for name in FORMATS if name.startswith(incomplete)]


class ReportingCommand(MaestroCommand):
    """A command that ends in a report: takes --format, --output and --json besides the common options."""

    sinks: list[Sink]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

        def option(
            names: list[str], text: str, metavar: str | None = None, *, flag: bool = False, offered: Any = None
        ) -> TyperOption:
            return TyperOption(
                param_decls=names,
                is_flag=flag or None,
                type=None if flag else str,
                multiple=not flag,
                default=False if flag else None,
                help=text,
                metavar=metavar,
                expose_value=False,
                autocompletion=offered,
                rich_help_panel="Report",
                show_default=False,
            )

        formats = "rich, json, junit, sarif, markdown, html, prometheus, nagios, badge"
        self.params[0:0] = [
            option(["--format", "format"], f"Format of the report: {formats}. Repeatable.", "NAME", offered=_formats),
            option(
                ["--output", "-o", "output"], "File for the format before it; stdout otherwise. Repeatable.", "FILE"
            ),
            option(["--json", "json"], "Short for --format json.", flag=True),
        ]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Remember the order of --format and --output, which the parser itself forgets."""
        raw = list(args)
        rest: list[str] = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:  # the shell completes a line that is not finished yet
            current().sinks = pair(raw)
        return rest
