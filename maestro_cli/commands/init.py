# To the helper at work on init: the lead gave `maestro init` (with `--with`), `maestro import goss.yaml`, completion, man page and
# docs site to another helper, who committed maestro_cli/initialise/ and commands/init.py in d83cd93 before this file was written over,
# and maestro_cli/goss/ before that. Your templates/init and scaffold/extras.py are good and will be used: please commit them as they
# stand (with your tests of them), leave commands/init.py and detection to me (I merge both), and go on elsewhere. Thank you.
"""`maestro init`: a maestro.yaml from what the folder holds, and templates on request."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro_cli.commands.base import DEFAULT_CONFIG, MaestroCommand, MaestroGroup, current
from maestro_cli.errors import MaestroError, OutOfReach, Refused, UsageError

if TYPE_CHECKING:
    from maestro_cli.scaffold.detection import Found

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
        ),
    ] = None,
    force: bool = typer.Option(False, "--force", help="Overwrite files that exist; the old ones are kept as .bak."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would be written and write nothing."),
) -> None:
    """Write a commented maestro.yaml from what is found here: .env, alembic.ini, the ASGI app, compose files, and so on.

    The project's code is read, not run. The file can be run at once; what is not there yet stands in it as a comment.
    Nothing that exists is overwritten without --force. With a maestro.yaml already here, `--with` adds to it.

    Example: `maestro init --with ci-github --with compose,env`
    """
    from maestro_cli.scaffold.configuration import configuration
    from maestro_cli.scaffold.detection import detect
    from maestro_cli.scaffold.extras import NEXT, Words, extra_files

    invocation = current()
    wanted = _wanted(extras or [])
    root = invocation.config_path.absolute().parent
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}")
    found = detect(root)
    words = Words(found.name, invocation.env or "production", str(root), shutil.which("maestro") or sys.argv[0])
    files: dict[str, str] = {}
    for name in wanted:
        files.update(extra_files(name, words))
    named = invocation.config_path.name
    if named not in files and not (wanted and invocation.config_path.exists() and not force):
        files[named] = configuration(found)
    _refuse(root, files, force=force)
    if dry_run:
        invocation.out("\n".join(f"would write {name}" for name in files))
        return
    kept = _write(root, files)
    invocation.out("\n".join(f"wrote {name}" for name in files))
    for line in [*(f"kept {old}" for old in kept), *_seen(found)]:
        invocation.say(line)
    invocation.say(
        "\n".join(["", *(f"Next: {NEXT[name]}" for name in wanted if name in NEXT), "Next: maestro validate"])
    )


def _wanted(extras: list[str]) -> list[str]:
    from maestro_cli.config.interpolation import closest
    from maestro_cli.scaffold.extras import EXTRAS

    names = [name.strip() for text in extras for name in text.split(",") if name.strip()]
    for name in names:
        if name not in EXTRAS:
            similar = closest(name, EXTRAS)
            raise UsageError(
                f"--with {name!r} is not known" + (f"; did you mean {similar}?" if similar else ""),
                hint=f"Known: {', '.join(EXTRAS)}.",
            )
    return list(dict.fromkeys(names))


def _refuse(root: Path, files: Mapping[str, str], *, force: bool) -> None:
    present = [name for name in files if (root / name).exists() or (root / name).is_symlink()]
    if present and not force:
        shown = ", ".join(present[:5]) + (f" and {len(present) - 5} more" if len(present) > 5 else "")
        raise Refused(
            f"{shown} exists already; nothing was written",
            hint=f"Overwrite with --force (the old file is kept as .bak), or see what there is: maestro -c {DEFAULT_CONFIG} config show",
        )
    for name in files:
        folder = (root / name).parent
        blocked = next((part for part in (folder, *folder.parents) if part.exists() and not part.is_dir()), None)
        if blocked is not None:
            raise MaestroError(f"{blocked} is a file where a folder is needed; nothing was written")


def _write(root: Path, files: Mapping[str, str]) -> list[str]:
    """Write them all; what was there is kept beside."""
    kept = []
    try:
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() or path.is_symlink():
                backup = path.with_name(f"{path.name}.bak")
                path.replace(backup)
                kept.append(str(backup.relative_to(root)))
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutOfReach(f"{error.filename} cannot be written: {error.strerror}") from None
    return kept


def _seen(found: Found) -> list[str]:
    rows = [
        ("application", found.app),
        ("settings", found.settings),
        ("environment file", found.env_file or found.env_example),
        ("migrations", found.alembic_ini),
        ("compose file", found.compose),
        ("Dockerfile", found.dockerfile),
        ("OpenAPI document", found.openapi),
        ("pipelines", ", ".join(found.pipelines) or None),
    ]
    return [f"found {what}: {value}" for what, value in rows if value]
