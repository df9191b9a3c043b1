"""`maestro init`: a commented maestro.yaml from what the folder holds, and templates for what surrounds it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro_cli.commands.base import Invocation, MaestroCommand, MaestroGroup, current
from maestro_cli.errors import MaestroError, OutOfReach, Refused

if TYPE_CHECKING:
    from maestro_cli.initialise.findings import ApiShape, Project

app = typer.Typer(cls=MaestroGroup, add_completion=False)


@app.command(cls=MaestroCommand)
def init(
    openapi: Annotated[
        str | None,
        typer.Option(
            "--openapi", metavar="FILE|URL", help="The service's OpenAPI document: a file, or a URL on this machine."
        ),
    ] = None,
    force: bool = typer.Option(False, "--force", help="Replace files that exist; each is kept beside as a backup."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print what would be written; change nothing."),
) -> None:
    """Write a commented maestro.yaml from what this folder holds. It runs at once; run it in your service's folder.

    Looks at .env (names, never values), alembic.ini, pyproject.toml, compose files, Dockerfile, CI files, certificates,
    the Python sources (parsed, never run) and openapi.json. Nothing that exists is replaced without --force.

    Example: `maestro init --openapi http://127.0.0.1:8000/openapi.json`
    """
    from maestro_cli.initialise.configuration import configuration

    invocation = current()
    target = invocation.config_path
    project = _look(invocation, target.absolute().parent, openapi)
    files = {target: configuration(project)}
    _prove(invocation, target, files[target])
    if dry_run:
        invocation.out("".join(files.values()))
        return
    _write(invocation, files, force=force)
    _next(invocation, project)


def _look(invocation: Invocation, root: Path, openapi: str | None) -> Project:
    from dataclasses import replace

    from maestro_cli.initialise.files import detect

    project = detect(root)
    for note in project.notes:
        invocation.say(f"note: {note}")
    api = _api(root, openapi, project)
    for note in api.notes if api is not None else ():
        invocation.say(f"note: {note}")
    return replace(project, api=api)


def _api(root: Path, openapi: str | None, project: Project) -> ApiShape | None:
    from dataclasses import replace
    from urllib.parse import urlsplit

    from maestro_cli.initialise.openapi import MAXIMUM_BYTES, fetch, find_document, read_document

    if openapi is not None and "://" in openapi:
        ca_file = root / project.ca_file if project.ca_file is not None else None
        shape = read_document(fetch(openapi, ca_file=ca_file), openapi)
        parts = urlsplit(openapi)
        return replace(shape, url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
    path = Path(openapi) if openapi is not None else find_document(root)
    if path is None:
        return None
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise MaestroError(f"{path} is larger than 20 MB")
        return read_document(path.read_text(encoding="utf-8-sig"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise OutOfReach(f"{path} cannot be read: {reason}") from None


def _prove(invocation: Invocation, target: Path, text: str) -> None:
    """Let the loader itself read it before anything is written."""
    from maestro_cli.config import load

    load(target, environ=invocation.environ, on_secrets=invocation.redact.add, text=text)


def _write(invocation: Invocation, files: dict[Path, str], *, force: bool) -> None:
    from maestro_cli.filesystem import backup_name, refuse_unsafe, write_private

    present = [path for path in files if path.exists() or path.is_symlink()]
    if present and not force:
        names = ", ".join(str(path) for path in present)
        raise Refused(
            f"{names} exists already; nothing was written",
            hint="See what would be written: maestro init --dry-run        Replace and keep a backup: maestro init --force",
        )
    for path, text in files.items():
        refuse_unsafe(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutOfReach(f"{path.parent} cannot be made: {error.strerror}") from None
        if path in present:
            kept = path.with_name(backup_name(path.name, invocation.now()))
            write_private(kept, path.read_bytes(), mode=path.stat().st_mode & 0o777)
            invocation.say(f"kept the old {path} as {kept.name}")
        write_private(path, text.encode(), mode=0o644)
        invocation.out(f"wrote {path}")


def _next(invocation: Invocation, project: Project) -> None:
    steps = []
    if project.env_file is None:
        steps.append("maestro secrets generate     # .env; then switch on what waits for it, or: maestro init --force")
    if project.certs_directory is None:
        steps.append("maestro certs generate       # certificates for development")
    steps.append("maestro config show          # what maestro understood")
    steps.append("maestro validate             # what holds, what does not, and how to mend it")
    invocation.say("Next:\n" + "\n".join(f"  {step}" for step in steps))
