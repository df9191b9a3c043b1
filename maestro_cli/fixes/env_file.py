"""The file of secrets: for its owner alone, and ignored by git."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from maestro_cli.api import Fix, FixContext


def _path(ctx: FixContext) -> Path | None:
    name = ctx.loaded.settings.env_file
    path = ctx.path(name) if name else None
    return path if path is not None and path.is_file() and not path.is_symlink() else None


def _too_open(path: Path) -> int | None:
    mode = stat.S_IMODE(path.stat().st_mode)
    return mode if mode & 0o077 else None


def _to_be_ignored(path: Path) -> bool:
    from maestro_cli.secrets.git import GitUnavailable, is_ignored, is_tracked, repository_of

    try:
        # A tracked file stays tracked whatever .gitignore says: taking it out is a commit, and a person's decision.
        return repository_of(path) is not None and not is_tracked(path) and not is_ignored(path)
    except GitUnavailable:
        return False


def _plan(ctx: FixContext) -> Sequence[str]:
    path = _path(ctx)
    if path is None:
        return ()
    lines = []
    if (mode := _too_open(path)) is not None:
        lines.append(f"chmod 600 {path.name} (it is {mode:04o})")
    if _to_be_ignored(path):
        lines.append(f"add {path.name} to {path.parent.name}/.gitignore")
    return lines


def _apply(ctx: FixContext) -> str:
    from maestro_cli.filesystem import locked
    from maestro_cli.secrets.ignore import ignore_lines

    path, undo = _path(ctx), []
    if path is None:
        return ""
    if _too_open(path) is not None:
        undo.append(f"chmod {_make_private(path):o} {path}")
    if _to_be_ignored(path):
        with locked(path.parent) as folder:
            added = ignore_lines(folder, [path.name])
        undo += [f"remove the line {line} from {path.with_name('.gitignore')}" for line in added]
    return "; ".join(undo)


def _make_private(path: Path) -> int:
    """Set mode 0600; returns the mode before. By descriptor: the path may be another file a moment later."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.fchmod(descriptor, mode & 0o600)
    finally:
        os.close(descriptor)
    return mode


ENV_FILE = Fix("sets env_file to mode 0600 and has git ignore it", _plan, _apply)
