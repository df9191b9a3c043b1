"""The journal of a folder: what a change will rename and remove, written down before the first rename.

Everything here works on an open folder (a descriptor), so that it keeps working while the folder's path shows a
stand-in (`maestro_cli.folder_exchange`).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

JOURNAL = ".maestro-journal"
NEW = ".maestro-new"
"""How the temporary names end under which new content waits."""


def create(name: str, folder: int) -> int:
    """Open a new file at 0600, never through a link.

    Raises:
        FileExistsError: The name is taken.
    """
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)


def write_all(handle: int, data: bytes) -> None:
    """Write everything, however many calls it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def record(folder: int, renames: Mapping[str, str], removals: Iterable[str]) -> None:
    """Write the journal durably; once it is there, the change is certain.

    Args:
        folder: The open folder.
        renames: Final name → temporary name.
        removals: Names that go.
    """
    temporary = f"{JOURNAL}{NEW}"
    handle = create(temporary, folder)
    try:
        write_all(handle, json.dumps({"rename": dict(renames), "remove": list(removals)}).encode())
        os.fsync(handle)
    except BaseException:
        os.unlink(temporary, dir_fd=folder)
        raise
    finally:
        os.close(handle)
    os.rename(temporary, JOURNAL, src_dir_fd=folder, dst_dir_fd=folder)
    sync(folder)


def roll_forward(folder: int) -> None:
    """Carry out the folder's journal, if it has one; as often as need be."""
    try:
        with open(
            JOURNAL, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
        ) as file:
            plan = json.loads(file.read())
    except FileNotFoundError:
        return
    for name, temporary in plan["rename"].items():
        with contextlib.suppress(FileNotFoundError):  # renamed before the interruption
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    for name in plan["remove"]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
    sync(folder)
    os.unlink(JOURNAL, dir_fd=folder)


def sweep(folder: int) -> None:
    """Remove what a run that was killed before its journal left: no one will finish that."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(NEW):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder)


def sync(folder: int) -> None:
    """Make a folder's entries durable; a file system that cannot sync folders is left to its own devices."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EBADF, errno.ENOTSUP}:
            raise


def is_pending(directory: Path) -> bool:
    """Whether a killed run left a journal to carry out."""
    return os.path.lexists(directory / JOURNAL)
