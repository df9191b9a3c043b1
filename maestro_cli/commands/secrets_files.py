"""Which file, which secrets and which template a command of `maestro secrets` means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.errors import UsageError

if TYPE_CHECKING:
    from maestro_cli.commands.base import Invocation


def file_of(invocation: Invocation, file: Path | None) -> Path:
    """The file that is meant: `--file`, or the configured one, as short as it can be written."""
    if file is not None:
        return file
    import os

    path = invocation.unresolved.root / (invocation.unresolved.settings.env_file or ".env")
    short = Path(os.path.relpath(path))
    return short if ".." not in short.parts else path


def required_of(invocation: Invocation) -> dict[str, int] | None:
    """Name → bits of `secrets.required`; None where it is not configured."""
    secrets = invocation.unresolved.settings.secrets
    return dict(secrets.required) if secrets is not None and secrets.required else None


def required_in(invocation: Invocation, path: Path) -> Mapping[str, int]:
    """What is configured; otherwise those of maestro's own template that the file has."""
    configured = required_of(invocation)
    if configured is not None:
        return configured
    from maestro_cli.secrets.store import read_document

    values = read_document(path).values
    return {name: bits for name, bits in seed_secrets().items() if name in values}


def seed_secrets() -> Mapping[str, int]:
    """Name → bits of the secrets in maestro's own template."""
    from maestro_cli.secrets.template import BUILT_IN, bits_asked, read_template

    found = read_template(BUILT_IN).values.items()
    return {name: bits for name, value in found if (bits := bits_asked(value)) is not None}


def template_of(path: Path, chosen: Path | None) -> str:
    """What a new file looks like: `--template`, or the `.env.example` beside it, or maestro's own."""
    from maestro_cli.secrets.store import read_document
    from maestro_cli.secrets.template import BUILT_IN

    example = path.with_name(f"{path.name}.example")
    if chosen is not None:
        return read_document(chosen).text
    return read_document(example).text if example.exists() else BUILT_IN


def assignments(texts: list[str]) -> dict[str, str]:
    """Read `--set NAME=VALUE`.

    Raises:
        UsageError: One of them is something else.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"--set takes NAME=VALUE, not {name!r}", hint="For example: --set POSTGRES_HOST=db")
        found[name] = value
    return found


def key_files(invocation: Invocation, path: Path) -> tuple[str, ...]:
    """Lines for .gitignore that cover private keys, where it is the project's own."""
    if path.absolute().parent != invocation.unresolved.root.absolute():
        return ()
    certs = invocation.unresolved.settings.certs
    folder = (certs.directory if certs is not None else "certs").strip("/")
    return (f"{folder}/*key*.pem", f"{folder}/*.p12", f"{folder}/*.bak")


def ignored_outputs(path: Path, *outputs: Path | None) -> tuple[str, ...]:
    """Lines for .gitignore that name what is written below the file's folder."""
    folder = path.absolute().parent
    absolute = [output.absolute() for output in outputs if output is not None]
    return tuple(f"/{output.relative_to(folder)}" for output in absolute if output.is_relative_to(folder))


def siblings(path: Path) -> list[Path]:
    """The files of other environments beside one: .env.staging, .env.production."""
    stem = ".env"
    if not path.name.startswith(stem):
        return []
    ends = (".example", ".sample", ".template", ".dist", ".meta.json", ".bak")
    found = path.absolute().parent.glob(f"{stem}*")
    return [
        path.with_name(other.name)
        for other in sorted(found)
        if other.name != path.name and other.is_file() and not other.name.endswith(ends)
    ]
