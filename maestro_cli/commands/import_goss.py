"""`maestro import`: a goss file becomes checks declared in maestro.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maestro_cli.commands.base import Invocation, MaestroCommand, MaestroGroup, current
from maestro_cli.errors import MaestroError, OutOfReach, Refused, UsageError

if TYPE_CHECKING:
    from maestro_cli.goss import Translation

app = typer.Typer(cls=MaestroGroup, add_completion=False)


@app.command(cls=MaestroCommand)
def import_goss(
    file: Annotated[Path, typer.Argument(metavar="GOSS.YAML", help="The goss file, YAML or JSON.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it there instead of to stdout."),
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="FILE", help="Add the checks to this maestro.yaml; a backup of it is kept."),
    ] = None,
    force: bool = typer.Option(False, "--force", help="Overwrite the file of --output."),
) -> None:
    """Turn a goss file into checks declared in YAML, with goss's own matchers.

    Files that it includes come along. What has no counterpart is listed on stderr and in comments of the result, with
    its line; nothing is dropped. Passwords of the goss file become variables, and are named, not copied. A file with
    templates is rendered by goss first: `goss render > rendered.yaml`. With --into the checks go behind those that a
    maestro.yaml declares, and its comments stay.

    Example: `maestro import goss.yaml --into maestro.yaml`, then `maestro validate`
    """
    from maestro_cli.goss import translate
    from maestro_cli.goss.text import as_configuration

    invocation = current()
    if into is not None:
        if output is not None:
            raise UsageError("--output writes a file of its own and --into adds to one: say one of them")
        _add(invocation, file, into)
        return
    if output is not None and output.exists() and not force:
        raise Refused(
            f"{output} exists already; nothing was written",
            hint=f"Add the checks to it: maestro import {file} --into {output}; or name another file, or say --force.",
        )
    translation = translate(file)
    text = as_configuration(translation, file.name)
    _prove(text, translation.checks)
    _tell(invocation, translation)
    if output is None:
        invocation.out(text)
    else:
        _write(output, text)
        invocation.out(f"wrote {output}")
    _close(invocation, output, translation)


def _add(invocation: Invocation, file: Path, into: Path) -> None:
    from maestro_cli.config import load
    from maestro_cli.config.source import UnreadableError, read_text
    from maestro_cli.filesystem import backup_name, write_private
    from maestro_cli.goss import translate
    from maestro_cli.goss.text import into_configuration

    loaded = load(into, environ={}, require_variables=False)
    there = loaded.settings.checks
    try:
        old = read_text(into)
    except UnreadableError as error:
        raise OutOfReach(f"{into} {error.problems[0].message}") from None
    translation = translate(file, taken=[check.id for check in there])
    text = into_configuration(old, translation, file.name)
    _prove(text, [*there, *translation.checks], first=there)
    _tell(invocation, translation)
    if text != old:
        kept = into.with_name(backup_name(into.name, invocation.now()))
        try:
            mode = into.stat().st_mode & 0o777
            write_private(kept, into.read_bytes(), mode=mode)
            write_private(into, text.encode(), mode=mode)
        except OSError as error:
            raise OutOfReach(f"{error.filename} cannot be written: {error.strerror}") from None
        invocation.say(f"kept the old {into} as {kept.name}")
        invocation.out(f"added to {into}")
    _close(invocation, into, translation)


def _tell(invocation: Invocation, translation: Translation) -> None:
    for row in translation.left_out:
        invocation.say(f"not carried over: {row}")
    for name, meaning in sorted(translation.credentials.items()):
        invocation.say(f"set the variable {name}: {meaning}")


def _prove(text: str, expected: Sequence[Any], *, first: Sequence[Any] = ()) -> None:
    """Let the loader itself read the result before anybody gets it."""
    from maestro_cli.config import load

    loaded = load(Path("imported.yaml"), environ={}, require_variables=False, text=text)
    found = loaded.settings.checks
    if len(found) != len(expected) or list(found[: len(first)]) != list(first):
        raise MaestroError("the result does not read back as it was written; nothing was written")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutOfReach(f"{path} cannot be written: {error.strerror}") from None


def _close(invocation: Invocation, output: Path | None, translation: Translation) -> None:
    checks, left_out = len(translation.checks), len(translation.left_out)
    rest = f", {left_out} left out" if left_out else ", nothing left out"
    invocation.say(f"{checks} {'check' if checks == 1 else 'checks'}{rest}.")
    if output is not None and output != invocation.config_path:
        invocation.say(f"Run them: maestro --config {output} validate")
    elif output is not None:
        invocation.say("Run them: maestro validate")
