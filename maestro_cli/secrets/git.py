"""What git knows of a file and of its secrets: tracked, ignored, committed once and never forgotten.

No value is ever an argument of a git process, where `ps` would show it: git streams its objects to us
(`cat-file --batch`), and we look for the bytes.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from maestro_cli.secrets.urls import escape

LARGEST = 16 * 1024 * 1024
"""Bytes of the largest object that is read; what is larger is counted, not searched."""
SHORTEST = 8
"""A shorter value stands in a history by chance."""
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
_TIMEOUT_S = 300.0


class GitUnavailable(Exception):  # noqa: N818 - not a failure of ours: what git could have told stays unknown
    """git is not installed, or will not read this repository."""


@dataclass(frozen=True, slots=True)
class Committed:
    """Where a secret stands in the history.

    Attributes:
        name: The secret's variable.
        object_id: The object that holds it.
        commit: Abbreviated id of the first commit with that object; None for one that no branch or tag reaches.
        date: The day of that commit, ISO 8601.
        path: The file in that commit.
        objects: How many objects hold it.
    """

    name: str
    object_id: str
    commit: str | None
    date: str | None
    path: str | None
    objects: int


@dataclass(frozen=True, slots=True)
class History:
    """What a search of the whole history found.

    Attributes:
        found: The secrets in it.
        objects: How many objects were searched.
        skipped: How many were too large to be.
    """

    found: tuple[Committed, ...]
    objects: int
    skipped: int


def repository_of(path: Path) -> Path | None:
    """The working tree a file is in; None where it is in none.

    Raises:
        GitUnavailable: git is not installed or refuses (a repository of another owner).
    """
    folder = path.absolute().parent
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return None
    result = _run(folder, "rev-parse", "--show-toplevel")
    if result.returncode != 0:
        raise GitUnavailable(_reason(result.stderr))
    return Path(os.fsdecode(result.stdout.rstrip(b"\n")))


def is_tracked(path: Path) -> bool:
    """Whether git would commit changes of the file."""
    return _run(path.absolute().parent, "ls-files", "--error-unmatch", "--", path.name).returncode == 0


def is_ignored(path: Path) -> bool:
    """Whether `git add .` leaves the file alone."""
    return _run(path.absolute().parent, "check-ignore", "--quiet", "--no-index", "--", path.name).returncode == 0


def search_history(repository: Path, values: Mapping[str, str]) -> History:
    """Look for secrets in every object git has: all branches, tags, stashes, and what no branch reaches any more.

    Args:
        repository: The working tree.
        values: Name → value. Each is looked for as it is, URL-escaped and in base64.

    Raises:
        GitUnavailable: git cannot list or read its objects.
    """
    needles = {name: _spellings(value) for name, value in values.items() if len(value) >= SHORTEST}
    if not needles:
        return History((), 0, 0)
    objects, skipped = _objects(repository)
    hits: dict[str, list[str]] = {}
    for object_id, content in _contents(repository, objects):
        for name, spellings in needles.items():
            if any(spelling in content for spelling in spellings):
                hits.setdefault(name, []).append(object_id)
    found = tuple(_committed(repository, name, ids) for name, ids in hits.items())
    return History(found, len(objects), skipped)


def _spellings(value: str) -> tuple[bytes, ...]:
    raw = value.encode("utf-8", "surrogateescape")
    return tuple(dict.fromkeys((raw, escape(value).encode(), base64.b64encode(raw).rstrip(b"="))))


def _objects(repository: Path) -> tuple[list[str], int]:
    """Every blob, commit and tag worth reading, and how many are too large."""
    result = _run(
        repository,
        "cat-file",
        "--batch-all-objects",
        "--unordered",
        "--buffer",
        "--batch-check=%(objectname) %(objecttype) %(objectsize)",
    )
    if result.returncode != 0:
        raise GitUnavailable(_reason(result.stderr))
    wanted: list[str] = []
    skipped = 0
    for line in result.stdout.splitlines():
        object_id, kind, size = line.split()
        if kind == b"tree":
            continue
        if int(size) > LARGEST:
            skipped += 1
        else:
            wanted.append(object_id.decode())
    return wanted, skipped


def _contents(repository: Path, objects: list[str]) -> Iterator[tuple[str, bytes]]:
    """Stream (id, content) of objects from one git process."""
    import tempfile
    import threading

    if not objects:
        return
    with tempfile.TemporaryFile() as listed:  # object ids only; a pipe would block when both sides wait
        listed.write("".join(f"{object_id}\n" for object_id in objects).encode())
        listed.seek(0)
        process = subprocess.Popen(
            [*_GIT, "-C", str(repository), "cat-file", "--batch", "--buffer"],
            stdin=listed,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            bufsize=1 << 20,
        )
        watch = threading.Timer(_TIMEOUT_S, process.kill)
        watch.start()
        try:
            yield from _parsed(process.stdout, len(objects))
        finally:
            watch.cancel()
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _parsed(stream: IO[bytes] | None, expected: int) -> Iterator[tuple[str, bytes]]:
    if stream is None:
        return
    for _ in range(expected):
        header = stream.readline().split()
        if len(header) != 3:
            if len(header) == 2 and header[1] == b"missing":  # a partial clone
                continue
            raise GitUnavailable("git stopped while it was read")
        content = stream.read(int(header[2]))
        stream.read(1)
        yield header[0].decode(), content


def _committed(repository: Path, name: str, ids: list[str]) -> Committed:
    """Say which commit brought a secret in; the earliest of them."""
    best: tuple[str, str, str] | None = None
    best_id = ids[0]
    for object_id in ids[:20]:
        origin = _origin(repository, object_id)
        if origin is not None and (best is None or origin[0] < best[0]):
            best, best_id = origin, object_id
    if best is None:
        return Committed(name, best_id, None, None, None, len(ids))
    return Committed(name, best_id, best[1], best[0], best[2] or None, len(ids))


def _origin(repository: Path, object_id: str) -> tuple[str, str, str] | None:
    """(Day, commit, path) of the first commit that has an object."""
    arguments = ("log", "--all", "--reverse", f"--find-object={object_id}", "--format=%x00%as %h", "--name-only")
    result = _run(repository, *arguments)
    first = result.stdout.decode("utf-8", "replace").split("\0")[1:2]
    if result.returncode != 0 or not first:
        shown = _run(repository, "show", "--no-patch", "--format=%as %h", object_id)  # a commit's own message
        words = shown.stdout.decode("utf-8", "replace").split()
        return (words[0], words[1], "") if shown.returncode == 0 and len(words) == 2 else None
    lines = [line for line in first[0].splitlines() if line]
    day, commit = lines[0].split()
    return day, commit, lines[1] if len(lines) > 1 else ""


def _environment() -> dict[str, str]:
    # Never fetch a missing object, never ask, never write: this is a look and nothing else.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            [*_GIT, "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment(),
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise GitUnavailable("git is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise GitUnavailable(f"git took longer than {_TIMEOUT_S:.0f} s") from error


def _reason(stderr: bytes) -> str:
    text = stderr.decode("utf-8", "replace").strip()
    if "dubious ownership" in text:
        return "the repository belongs to another user"
    return text.splitlines()[0].removeprefix("fatal: ") if text else "git failed"
