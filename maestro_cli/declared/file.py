"""`file:` existence, type, mode, owner, size, contents, digest and age of a file."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO

from maestro_cli.api import Context, Evidence, Finding, MaestroError
from maestro_cli.config.declared import FileSubject
from maestro_cli.declared import Stop
from maestro_cli.declared.judgement import Judgement, shown

MAXIMUM_BYTES = 10_000_000
"""Bytes of a file that `contents` is searched in."""


def observe(subject: FileSubject, ctx: Context, _stop: Stop) -> Finding:
    """Look at it and compare."""
    path = ctx.path(subject.path)
    judgement = Judgement()
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return _existence(subject, judgement, there=False)
    except OSError as error:
        raise MaestroError(f"{subject.path} cannot be looked at: {error.strerror}") from None
    if not subject.exists:
        return _existence(subject, judgement, there=True)
    judgement.holds("exists", observed=True, expected=True)
    _link(subject, path, judgement, is_link=stat.S_ISLNK(status.st_mode))
    try:
        if stat.S_ISLNK(status.st_mode) and subject.type != "symlink":
            status = path.stat()
        _status(subject, path, status.st_mode, judgement)
        judgement.expect("size", status.st_size, subject.size)
        if subject.max_age_hours is not None:
            age = max(0.0, ctx.now.timestamp() - status.st_mtime) / 3600
            judgement.expect("age in hours", round(age, 2), {"le": subject.max_age_hours})
        _contents(subject, path, judgement)
    except OSError as error:
        raise MaestroError(f"{subject.path} cannot be read: {error.strerror}") from None
    return judgement.finding(f"{subject.path} is as expected")


def _existence(subject: FileSubject, judgement: Judgement, *, there: bool) -> Finding:
    words = f"{subject.path} {'exists' if there else 'does not exist'}"
    judgement.evidence.append(Evidence("exists", shown(there), shown(subject.exists)))
    if there is not subject.exists:
        judgement.wrong.append(words)
    return judgement.finding(words)


def _link(subject: FileSubject, path: Path, judgement: Judgement, *, is_link: bool) -> None:
    if subject.type == "symlink":
        judgement.holds("type", "symlink" if is_link else "no symlink", expected="symlink")
    if subject.linked_to is not None:
        judgement.holds("linked to", str(path.readlink()) if is_link else "", expected=subject.linked_to)


def _status(subject: FileSubject, path: Path, mode: int, judgement: Judgement) -> None:
    if subject.type in ("file", "directory"):
        kind = "file" if stat.S_ISREG(mode) else "directory" if stat.S_ISDIR(mode) else "special"
        judgement.holds("type", kind, expected=subject.type)
    if subject.mode is not None:
        judgement.holds("mode", f"{stat.S_IMODE(mode):04o}", expected=f"{int(subject.mode, 8):04o}")
    if subject.owner is not None:
        judgement.holds("owner", _name(path.owner, path.stat().st_uid), expected=subject.owner)
    if subject.group is not None:
        judgement.holds("group", _name(path.group, path.stat().st_gid), expected=subject.group)


def _name(look_up: object, number: int) -> str:
    try:
        return str(look_up())  # type: ignore[operator] # a bound method of Path
    except KeyError:
        return str(number)


def _contents(subject: FileSubject, path: Path, judgement: Judgement) -> None:
    if subject.contents is None and subject.sha256 is None:
        return
    if not path.is_file():  # a pipe or device would block, a directory holds nothing
        judgement.wrong.append(f"{subject.path} is not a file that can be read")
        return
    if subject.contents is not None:
        with path.open("rb") as file:
            judgement.expect("contents", _read(file).decode("utf-8", "replace"), subject.contents)
    if subject.sha256 is not None:
        import hashlib

        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        judgement.holds("sha256", digest, expected=subject.sha256.lower())


def _read(file: BinaryIO) -> bytes:
    """At most MAXIMUM_BYTES, in small pieces: files of /proc/sys refuse to be asked for more than they could hold."""
    data = bytearray()
    while len(data) < MAXIMUM_BYTES and (piece := file.read(65_536)):
        data += piece
    return bytes(data[:MAXIMUM_BYTES])
