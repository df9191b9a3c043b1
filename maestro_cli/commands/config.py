"""`maestro config show` and `maestro config schema`."""

from __future__ import annotations

import typer

from maestro_cli.commands.base import MaestroCommand, MaestroGroup, current

app = typer.Typer(
    cls=MaestroGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Show what maestro.yaml says, and what it may say.",
)


@app.command("show", cls=MaestroCommand)
def show(
    json_: bool = typer.Option(False, "--json", help="As JSON instead of YAML."),
) -> None:
    """Show the configuration as maestro understands it: defaults filled in, variables resolved, secrets masked.

    A wrong configuration ends with exit code 2 and every problem at its line, so this is also the way to check one.
    """
    from maestro_cli.config.show import plain

    invocation = current()
    loaded = invocation.require_config()
    value = plain(loaded.settings, invocation.redact)
    if json_:
        invocation.out_json(value)
        return
    import yaml

    invocation.out(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))


@app.command("schema", cls=MaestroCommand)
def schema(
    text: bool = typer.Option(False, "--text", help="One line a key, to read or grep, instead of JSON Schema."),
) -> None:
    """Print the JSON Schema of maestro.yaml, for editors.

    Example: `maestro config schema > maestro.schema.json`, then begin maestro.yaml with the line
    `# yaml-language-server: $schema=maestro.schema.json`
    """
    from maestro_cli.config.schema import json_schema
    from maestro_cli.config.schema import text as as_text

    invocation = current()
    if text:
        invocation.out(as_text())
    else:
        invocation.out_json(json_schema())
