"""Report → text, one module per format; the table below is the only place that names them all.

Every renderer is pure: it reads no clock, no environment and no terminal, prints nothing, and returns text that
ends in one line feed. Write that text as it is; in particular do not print it through rich with markup on.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol, cast

from maestro_cli.errors import UsageError
from maestro_cli.model import Report

FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rich": "maestro_cli.formats.terminal:render",
        "json": "maestro_cli.formats.json_report:render",
        "junit": "maestro_cli.formats.junit:render",
        "sarif": "maestro_cli.formats.sarif:render",
        "markdown": "maestro_cli.formats.markdown:render",
        "html": "maestro_cli.formats.html_page:render",
        "prometheus": "maestro_cli.formats.prometheus:render",
        "nagios": "maestro_cli.formats.nagios:render",
        "badge": "maestro_cli.formats.badge:render",
        "shields": "maestro_cli.formats.badge:render_shields",
    }
)
"""The name on the command line → "module:function"; only the module that is asked for is imported."""


class Renderer(Protocol):
    """What every format offers."""

    def __call__(self, report: Report, *, width: int = 80, colour: bool = False, verbose: bool = False) -> str:
        """The report as text.

        Args:
            report: A whole run.
            width: Columns of the terminal; only `rich` looks at it.
            colour: Whether ANSI colours are wanted; only `rich` looks at it.
            verbose: Whether the evidence of passes is wanted, where a format leaves it out otherwise.
        """


def load(name: str) -> Renderer:
    """The renderer of a format.

    Raises:
        UsageError: There is no such format.
    """
    from importlib import import_module

    target = FORMATS.get(name)
    if target is None:
        raise UsageError(f"There is no format {name!r}.", hint=f"Choose one of: {', '.join(FORMATS)}.")
    module, _, function = target.partition(":")
    return cast("Renderer", getattr(import_module(module), function))


def render(
    name: str,
    report: Report,
    *,
    width: int = 80,
    colour: bool = False,
    verbose: bool = False,
    encoding: str = "utf-8",
) -> str:
    r"""The report in the named format.

    Args:
        name: A key of `FORMATS`.
        report: A whole run.
        width: Columns of the terminal.
        colour: Whether ANSI colours are wanted.
        verbose: Whether the evidence of passes is wanted.
        encoding: What the stream can hold. `rich` draws plain ASCII where it lacks the bars and marks. Every format
            spells out the characters that it lacks: as `&#10003;` in markup, as `\u2713` elsewhere. To a file, write
            UTF-8, whatever the locale says: that is what the formats define.

    Raises:
        UsageError: There is no such format.
    """
    if name == "rich":
        from maestro_cli.formats.terminal import drawable
        from maestro_cli.formats.terminal import render as render_rich

        text = render_rich(report, width=width, colour=colour, verbose=verbose, unicode=drawable(encoding))
    else:
        text = load(name)(report, width=width, colour=colour, verbose=verbose)
    return text if encoding.lower() in ("utf-8", "utf8") else _spelled_out(text, encoding)


def _spelled_out(text: str, encoding: str) -> str:
    """Only what a stream of this encoding can hold; markup becomes ASCII, because it says of itself that it is UTF-8."""
    if text.startswith("<"):
        return text.encode("ascii", "xmlcharrefreplace").decode("ascii")
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "backslashreplace").decode("ascii")
