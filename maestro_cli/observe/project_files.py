"""The project's own files: found by pattern, read up to a limit, and how old they are beside the last commit."""

from __future__ import annotations

import glob
import os
import stat
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.errors import MaestroError

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

MAXIMUM_MATCHES = 2_000
GIT_S = 4.0
CLOCK_SKEW = timedelta(minutes=5)


class UnreadableFileError(MaestroError):
    """A file that is there cannot be read, or is far too large to be what it should be."""


def matches(ctx: Context, pattern: str) -> list[Path]:
    """The files that a configured pattern names, sorted; `**` goes down any depth.

    Raises:
        UnreadableFileError: When there are more than MAXIMUM_MATCHES.
    """
    found: list[Path] = []
    root = ctx.loaded.root
    names = glob.iglob(pattern, root_dir=root, recursive=True, include_hidden=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    for name in names:
        path = root / name
        if path.is_file():
            found.append(path)
        if len(found) > MAXIMUM_MATCHES:
            raise UnreadableFileError(f"{pattern} matches more than {MAXIMUM_MATCHES} files")
    return sorted(found)


def shown(ctx: Context, path: Path) -> str:
    """The path as it is written in maestro.yaml: relative to its folder."""
    try:
        return str(path.relative_to(ctx.loaded.root))
    except ValueError:
        return str(path)


def read_limited(path: Path, limit: int) -> bytes:
    """A regular file's bytes.

    Args:
        path: The file.
        limit: Most bytes it may have.

    Raises:
        FileNotFoundError: When it is not there.
        UnreadableFileError: When it cannot be read, is no regular file, or is larger.
    """
    try:
        # O_NONBLOCK: opening a named pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            about = os.fstat(stream.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise UnreadableFileError(f"{path.name} is not a regular file")
            if about.st_size > limit:
                raise UnreadableFileError(f"{path.name} is larger than {limit:,} bytes")
            return stream.read(limit)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableFileError(f"{path.name} cannot be read: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Age:
    """When a file was made, beside now and the last commit.

    Attributes:
        made: UTC.
        stale: Why it no longer speaks for the project, or None.
    """

    made: datetime
    stale: str | None


def judge_age(ctx: Context, path: Path, max_hours: float, *, stated: datetime | None = None) -> Age:
    """Whether a report is recent enough.

    Args:
        ctx: The run.
        path: The report.
        max_hours: Oldest acceptable age.
        stated: When the report itself says it was made; the older of this and the file's own time counts, because
            copying a file makes it look new.
    """
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    made = written if stated is None else min(written, stated)
    newest = max(written, stated) if stated is not None else written
    hours = (ctx.now - made).total_seconds() / 3600
    committed = last_commit(ctx)
    # A report's own clock may count whole seconds, as git's does.
    if newest > ctx.now + CLOCK_SKEW:
        return Age(made, f"dated in the future ({newest:%Y-%m-%d %H:%M} UTC)")
    if hours > max_hours:
        return Age(made, f"{hours:.0f} hours old; at most {max_hours:g}")
    if committed is not None and made + timedelta(seconds=1) < committed:
        return Age(made, f"older than the last commit ({committed:%Y-%m-%d %H:%M} UTC)")
    return Age(made, None)


def last_commit(ctx: Context) -> datetime | None:
    """When the project's last commit was made (UTC); None where the folder is not a git checkout."""

    def read() -> datetime | None:
        answer = git(ctx, "log", "-1", "--format=%ct")
        return datetime.fromtimestamp(int(answer), UTC) if answer is not None and answer.strip() else None

    return ctx.shared("git-last-commit", read)


def is_checkout(ctx: Context) -> bool:
    """Whether the folder of maestro.yaml lies in a git checkout.

    Raises:
        UnreadableFileError: When it does and git is not installed.
    """
    return ctx.shared("git-checkout", lambda: git(ctx, "rev-parse", "--is-inside-work-tree") is not None)


def git(ctx: Context, *arguments: str) -> str | None:
    """Git's answer in the folder of maestro.yaml; None where git says no.

    Raises:
        UnreadableFileError: When a checkout is there and git is not installed, or gives no answer in time.
    """
    return _git(ctx.loaded.root, *arguments)


def _git(root: Path, *arguments: str) -> str | None:
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None
    # The checkout may belong to somebody else (a container's mount); reading its index is harmless, hooks do not run.
    command = ["git", "-c", f"safe.directory={root}", "-c", "safe.directory=*", "-c", "core.fsmonitor=false"]
    try:
        done = subprocess.run(
            [*command, *arguments],
            cwd=root,
            env={"PATH": os.defpath + ":/usr/local/bin", "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "HOME": str(root)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_S,
            check=False,
        )
    except FileNotFoundError:
        raise UnreadableFileError("this is a git checkout, and git is not installed") from None
    except subprocess.TimeoutExpired:
        raise UnreadableFileError(f"git gave no answer within {GIT_S:g} s") from None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
