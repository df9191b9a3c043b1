"""Where secrets live. One backend is built in, the `.env` file; another one implements `SecretStore`.

The engine that makes and rotates secrets talks to a store in one short session: it reads, decides, and commits all
changes at once. A session holds off every other maestro, so what it read is still so when it commits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from maestro_cli.dotenv import Dotenv, EnvValues, encode_text, read_text
from maestro_cli.errors import OutOfReach, Refused
from maestro_cli.filesystem import PRIVATE, LockedFolder, backup_name, locked, recover, refuse_unsafe
from maestro_cli.secrets.names import PREVIOUS, without_previous
from maestro_cli.secrets.record import FILE_SUFFIX, Record


class Session(Protocol):
    """A store while this process holds it."""

    values: EnvValues
    """Every variable, secret or not."""
    record: Record
    """What is known about their ages."""

    def commit(
        self,
        changes: Mapping[str, str | None],
        record: Record,
        *,
        heading: str = "",
        backup_at: datetime | None = None,
    ) -> str | None:
        """Carry out all changes, or none.

        Args:
            changes: Name → new value; None removes the name.
            record: The record to keep with them.
            heading: A comment in front of names that are new.
            backup_at: Keep what was there before, under this time.

        Returns:
            The name the old content is kept under, if it is.
        """
        ...


class SecretStore(Protocol):
    """A place that holds secrets by name."""

    def session(self) -> AbstractContextManager[Session]:
        """Hold the store, read it, and commit at most once."""
        ...


class FileStore:
    """A `.env` file and the record beside it, both 0600, changed together.

    Args:
        path: The file; its folder must exist.
        create: Text of the file where there is none yet; without it a missing file is an error.
    """

    def __init__(self, path: Path, *, create: str | None = None) -> None:
        self.path = path
        self.create = create

    @contextlib.contextmanager
    def session(self) -> Iterator[FileSession]:
        """Hold the file's folder.

        Raises:
            OutOfReach: The file or its folder cannot be read.
            Refused: The path is a symbolic link, or the file has lines that cannot be read.
        """
        refuse_unsafe(self.path)
        with locked(self.path.parent) as folder:
            document = read_document(self.path, missing=self.create)
            refuse_unreadable(self.path, document)
            yield FileSession(self.path, folder, document, read_record(self.path))


class FileSession:
    """A `.env` file that this process holds."""

    def __init__(self, path: Path, folder: LockedFolder, document: Dotenv, record: Record) -> None:
        self.path = path
        self.folder = folder
        self.document = document
        self.record = record
        self.values = document.values

    def commit(
        self,
        changes: Mapping[str, str | None],
        record: Record,
        *,
        heading: str = "",
        backup_at: datetime | None = None,
    ) -> str | None:
        """Write the file and its record together; see `Session.commit`."""
        there = {name: value for name, value in changes.items() if name in self.values and value is not None}
        added = {name: value for name, value in changes.items() if name not in self.values and value is not None}
        removed = {name for name, value in changes.items() if value is None}
        valueless = {found.name for found in self.document.assignments} - self.values.keys()
        there |= {name: added.pop(name) for name in valueless & added.keys()}
        document = self.document.replace(there)
        for name in [name for name in added if (without_previous(name) or "") in self.values]:
            document = document.insert_after(name.removesuffix(PREVIOUS), name, added.pop(name))
        document = document.append(added, heading=heading).remove(removed)
        if document.text == self.document.text and record == self.record and self._is_private():
            return None
        files: dict[str, bytes | None] = {}
        kept = None
        if backup_at is not None and self.path.exists():
            kept = self._free_backup_name(backup_at)
            files[kept] = self.path.read_bytes()
        files[record_path(self.path).name] = record.text().encode()
        files[self.path.name] = encode_text(document.text)
        self.folder.replace(files)
        return kept

    def _is_private(self) -> bool:
        return all(
            path.exists() and path.stat().st_mode & 0o777 == PRIVATE for path in (self.path, record_path(self.path))
        )

    def _free_backup_name(self, now: datetime) -> str:
        name = backup_name(self.path.name, now)
        number = 1
        while (self.path.parent / name).exists():
            number += 1
            name = backup_name(f"{self.path.name}.{number}", now)
        return name


def record_path(path: Path) -> Path:
    """Where the record of a `.env` file is: `.env.meta.json` beside it."""
    return path.with_name(path.name + FILE_SUFFIX)


def read_document(path: Path, *, missing: str | None = None) -> Dotenv:
    """Read a `.env` file.

    Args:
        path: The file.
        missing: What to take for a file that does not exist; without it that is an error.

    Raises:
        OutOfReach: It cannot be read.
    """
    recover(path.absolute().parent)
    try:
        return Dotenv(read_text(path.read_bytes()))
    except FileNotFoundError:
        if missing is None:
            raise OutOfReach(f"{path} does not exist.", hint="Make it: maestro secrets generate") from None
        return Dotenv(missing)
    except OSError as error:
        raise OutOfReach(f"{path} cannot be read: {error.strerror}.", hint=f"Look at it: ls -l {path}") from error


def refuse_unreadable(path: Path, document: Dotenv) -> None:
    """Raise Refused where a file has lines whose meaning is uncertain: an edit could swallow a value."""
    if document.unreadable:
        lines = ", ".join(map(str, document.unreadable))
        raise Refused(
            f"{path}: cannot read line {lines} (a quote that is never closed, or text behind one); nothing was changed.",
            hint="Write NAME=value, NAME='value' or NAME=\"value\" on each line, then run the command again.",
        )


def read_record(path: Path) -> Record:
    """The record beside a `.env` file; an empty one where there is none or it cannot be understood."""
    try:
        return Record.parse(record_path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return Record.empty()
