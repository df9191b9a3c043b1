"""`maestro import`: a goss file becomes checks declared in maestro.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maestro_cli.commands.base import Invocation, MaestroCommand, MaestroGroup, current
from maestro_cli.errors import MaestroError, OutOfReach, Refused

app = typer.Typer(cls=MaestroGroup, add_completion=False)


@app.command(cls=MaestroCommand)
def import_goss(
    file: Annotated[Path, typer.Argument(metavar="GOSS.YAML", help="The goss file, YAML or JSON.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it there instead of to stdout."),
    ] = None,
    force: bool = typer.Option(False, "--force", help="Overwrite the file of --output."),
) -> None:
    """Turn a goss file into checks declared in YAML, with goss's own matchers.

    Files that it includes come along. What has no counterpart is listed on stderr and in comments of the result, with
    its line; nothing is dropped. Passwords of the goss file become variables, and are named, not copied. A file with
    templates is rendered by goss first: `goss render > rendered.yaml`.

    Example: `maestro import goss.yaml -o goss-checks.yaml`, then `maestro --config goss-checks.yaml validate`
    """
    from maestro_cli.goss import translate
    from maestro_cli.goss.text import as_configuration

    invocation = current()
    if output is not None and output.exists() and not force:
        raise Refused(f"{output} exists already; nothing was written", hint="Name another file, or say --force.")
    translation = translate(file)
    text = as_configuration(translation, file.name)
    _prove(text, len(translation.checks))
    for row in translation.left_out:
        invocation.say(f"not carried over: {row}")
    for name, meaning in sorted(translation.credentials.items()):
        invocation.say(f"set the variable {name}: {meaning}")
    if output is None:
        invocation.out(text)
    else:
        _write(output, text)
        invocation.out(f"wrote {output}")
    _close(invocation, output, len(translation.checks), len(translation.left_out))


def _prove(text: str, expected: int) -> None:
    """Let the loader itself read the result before anybody gets it."""
    from maestro_cli.config import load

    loaded = load(Path("imported.yaml"), environ={}, require_variables=False, text=text)
    if len(loaded.settings.checks) != expected:
        raise MaestroError("the result does not read back as it was written")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutOfReach(f"{path} cannot be written: {error.strerror}") from None


def _close(invocation: Invocation, output: Path | None, checks: int, left_out: int) -> None:
    rest = f", {left_out} left out" if left_out else ", nothing left out"
    invocation.say(f"{checks} {'check' if checks == 1 else 'checks'}{rest}.")
    if output is not None:
        invocation.say(f"Run them: maestro --config {output} validate")
