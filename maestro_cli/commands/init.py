"""`maestro init`: a commented maestro.yaml from what the folder holds, and templates for what surrounds it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro_cli.commands.base import Invocation, MaestroCommand, MaestroGroup, current
from maestro_cli.commands.completion import extras as offered
from maestro_cli.errors import MaestroError, OutOfReach, Refused, UsageError

if TYPE_CHECKING:
    from maestro_cli.initialise.findings import ApiShape, Project

app = typer.Typer(cls=MaestroGroup, add_completion=False)


@app.command(cls=MaestroCommand)
def init(
    extras: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME",
            help="Also write: ci-github, ci-gitlab, pre-commit, compose, env, k8s-cronjob, systemd, prometheus, grafana, "
            "service. Repeatable; commas do as well.",
            autocompletion=offered,
        ),
    ] = None,
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
    the Python sources (parsed, never run) and openapi.json, which tells how to log in and how an object of a tenant is
    made. Nothing that exists is replaced without --force. With a maestro.yaml already here, `--with` adds to it.

    Example: `maestro init --openapi http://127.0.0.1:8000/openapi.json --with ci-github,compose`
    """
    from maestro_cli.initialise.configuration import configuration

    invocation = current()
    wanted = _wanted(extras or [])
    target = invocation.config_path
    root = target.absolute().parent
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}")
    project = _look(invocation, root, openapi)
    files = _extra_files(invocation, root, project, wanted)
    if target.name not in files and not (wanted and target.exists() and not force):
        files[target.name] = configuration(project)
        _prove(invocation, target, files[target.name])
    present = _refuse(root, files, force=force or dry_run)
    for line in _found(project):
        invocation.say(line)
    if dry_run:
        _show(invocation, files)
        return
    _write(invocation, root, files, present)
    _next(invocation, project, wanted)


def _wanted(extras: list[str]) -> list[str]:
    from maestro_cli.config.interpolation import closest
    from maestro_cli.initialise.extras import EXTRAS

    names = [name.strip() for text in extras for name in text.split(",") if name.strip()]
    for name in names:
        if name not in EXTRAS:
            similar = closest(name, EXTRAS)
            raise UsageError(
                f"--with {name!r} is not known" + (f"; did you mean {similar}?" if similar else ""),
                hint=f"Known: {', '.join(EXTRAS)}.",
            )
    return list(dict.fromkeys(names))


def _extra_files(invocation: Invocation, root: Path, project: Project, wanted: list[str]) -> dict[str, str]:
    from maestro_cli.initialise.configuration import service_name
    from maestro_cli.initialise.extras import Words, extra_files

    program = shutil.which("maestro") or sys.argv[0]
    words = Words(service_name(project), invocation.env or "production", str(root), program)
    return {path: text for name in wanted for path, text in extra_files(name, words).items()}


def _look(invocation: Invocation, root: Path, openapi: str | None) -> Project:
    from dataclasses import replace

    from maestro_cli.initialise.files import detect

    project = detect(root)
    api = _api(invocation, root, openapi, project)
    for note in (*project.notes, *(api.notes if api is not None else ())):
        invocation.say(f"note: {note}")
    return replace(project, api=api)


def _api(invocation: Invocation, root: Path, openapi: str | None, project: Project) -> ApiShape | None:
    from dataclasses import replace
    from urllib.parse import urlsplit

    from maestro_cli.initialise.document import MAXIMUM_BYTES, fetch, find_document
    from maestro_cli.initialise.openapi import read_document

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
    except MaestroError as error:
        if openapi is not None:
            raise
        invocation.say(f"note: {error.message}")
        return None


def _prove(invocation: Invocation, target: Path, text: str) -> None:
    """Let the loader itself read it before anything is written."""
    from maestro_cli.config import load

    load(target, environ=invocation.environ, on_secrets=invocation.redact.add, text=text)


def _refuse(root: Path, files: Mapping[str, str], *, force: bool) -> list[str]:
    """The files that are there already.

    Raises:
        Refused: There are some, and no --force; or a folder's place is taken by a file.
    """
    from maestro_cli.filesystem import refuse_unsafe

    present = [name for name in files if (root / name).exists() or (root / name).is_symlink()]
    if present and not force:
        shown = ", ".join(present[:5]) + (f" and {len(present) - 5} more" if len(present) > 5 else "")
        raise Refused(
            f"{shown} exists already; nothing was written",
            hint="See what would be written: maestro init --dry-run; replace it and keep a backup: maestro init --force",
        )
    for name in files:
        refuse_unsafe(root / name)
        folder = (root / name).parent
        blocked = next((part for part in (folder, *folder.parents) if part.exists() and not part.is_dir()), None)
        if blocked is not None:
            raise Refused(f"{blocked} is a file where a folder is needed; nothing was written")
    return present


def _write(invocation: Invocation, root: Path, files: Mapping[str, str], present: list[str]) -> None:
    from maestro_cli.filesystem import backup_name, write_private

    for name, text in files.items():
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if name in present:
                kept = path.with_name(backup_name(path.name, invocation.now()))
                write_private(kept, path.read_bytes(), mode=path.stat().st_mode & 0o777)
                invocation.say(f"kept the old {name} as {kept.name}")
            write_private(path, text.encode(), mode=0o644)
        except OSError as error:
            raise OutOfReach(f"{error.filename} cannot be written: {error.strerror}") from None
        invocation.out(f"wrote {name}")


def _show(invocation: Invocation, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        invocation.say(f"would write {name}")
        invocation.out(text if len(files) == 1 else f"# ==> {name} <==\n{text}")


def _found(project: Project) -> list[str]:
    from maestro_cli.initialise.configuration import application

    app_seen = application(project)
    rows = [
        ("application", app_seen.value if app_seen is not None else None),
        ("settings", project.python.settings[0].value if project.python.settings else None),
        ("environment file", project.env_file or (project.example_names[0].where if project.example_names else None)),
        ("migrations", project.alembic_ini),
        ("compose file", ", ".join(project.compose_files)),
        ("Dockerfile", project.dockerfile),
        ("OpenAPI document", project.api.where if project.api is not None else None),
        ("pipelines", ", ".join(project.pipelines)),
        ("certificates", project.certs_directory),
    ]
    return [f"found {what}: {value}" for what, value in rows if value]


def _next(invocation: Invocation, project: Project, wanted: list[str]) -> None:
    from maestro_cli.initialise.extras import NEXT

    steps = [NEXT[name] for name in wanted if name in NEXT]
    if project.env_file is None and "service" not in wanted:
        steps.append("maestro secrets generate   # writes .env; then maestro init --force takes it in")
    if project.certs_directory is None:
        steps.append("maestro certs generate     # certificates for development")
    steps.append("maestro config show        # what maestro understood")
    steps.append("maestro validate           # what holds, what does not, and how to mend it")
    invocation.say("\n".join(["", *(f"Next: {step}" for step in dict.fromkeys(steps))]))
