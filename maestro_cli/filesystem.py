"""Files that hold secrets: 0600 from their first byte, whole or absent, and changed together or not at all.

Three promises, whatever happens in between (kill -9, a power cut, a full disk):

- A file is never seen half written, and never with wider permissions than asked for, at any umask: it is
  written under a temporary name in its own folder (`O_EXCL|O_NOFOLLOW`, mode 0600), synced, and renamed.
- A path that is a symbolic link is refused, never followed.
- Files that belong together (a key and its certificate) change together. A journal, synced before the first
  rename, lets the next maestro finish what a killed one began. In a folder of its own (`exclusive=True`) even a
  program that knows nothing of the journal never sees a mixture: see `maestro_cli.folder_exchange`.

Inside `locked()` use the methods of `LockedFolder`: `write_private` and `replace_together` take the lock themselves.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from maestro_cli import folder_exchange as exchange
from maestro_cli import folder_journal as journal
from maestro_cli.errors import MaestroError, OutOfReach, Refused
from maestro_cli.folder_lock import acquire, explained, uninterrupted

PRIVATE = 0o600
_BULK = 64
"""From this many files on, one syncfs(2) is cheaper than an fsync(2) each and promises the same."""


def write_private(path: Path, data: bytes, *, mode: int = PRIVATE) -> None:
    """Write one file durably and atomically; readers see the old bytes or the new ones.

    Args:
        path: Where. Its folder must exist; a symbolic link at the path is refused.
        data: The whole content.
        mode: Its permission bits, whatever an existing file had.

    Raises:
        Refused: The path is a symbolic link or not a regular file.
        OutOfReach: The folder cannot be written to, or the disk is full; nothing was changed.
    """
    with locked(path.parent) as folder:
        folder.replace({path.name: data}, mode=mode)


def replace_together(
    directory: Path, files: Mapping[str, bytes | None], *, mode: int = PRIVATE, exclusive: bool = False
) -> None:
    """Change several files of one folder, all or none; see `LockedFolder.replace`."""
    with locked(directory) as folder:
        folder.replace(files, mode=mode, exclusive=exclusive)


def backup_name(name: str, now: datetime) -> str:
    """The name an old file is kept under: `key.pem` becomes `key.pem.20251005T101500Z.bak` (UTC)."""
    return f"{name}.{now:%Y%m%dT%H%M%SZ}.bak"


def make_private_directory(directory: Path) -> None:
    """Create a folder at 0700 (and its parents as the umask says) unless it is there.

    Raises:
        OutOfReach: It cannot be created, or something else has its name.
    """
    with explained(directory):
        if not directory.parent.is_dir():
            directory.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        if not directory.is_dir():
            raise OutOfReach(f"{directory} is not a folder.", hint="Name another folder, or move that file away.")


def refuse_unsafe(path: Path) -> None:
    """Raise Refused where `path` exists and is anything but a regular file (a symbolic link, a folder, a device)."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        raise Refused(
            f"{path} is a symbolic link to {path.readlink()}; maestro never writes through one. Nothing was changed.",
            hint=f"If the link is yours, remove it first: rm {path}",
        )
    if not stat.S_ISREG(found.st_mode):
        raise Refused(
            f"{path} is not a regular file; nothing was changed.", hint="Name another file, or move that one away."
        )


@contextlib.contextmanager
def locked(directory: Path, *, wait_s: float = 30.0) -> Iterator[LockedFolder]:
    """Hold a folder against every other maestro, after finishing what a killed one began there.

    The lock is flock(2) on the folder itself: it leaves no file behind and ends with the process. It is not re-entrant.

    Args:
        directory: An existing folder.
        wait_s: How long to wait for another maestro, in seconds.

    Raises:
        OutOfReach: The folder does not exist or another maestro is still at work there.
    """
    directory = Path(os.path.realpath(directory))
    with explained(directory):
        handle = acquire(directory, wait_s)
    try:
        with explained(directory):
            journal.roll_forward(handle)
            journal.sweep(handle)
        yield LockedFolder(directory, handle)
    finally:
        os.close(handle)


def recover(directory: Path) -> None:
    """Finish what a killed maestro left half done in this folder; a reader calls it first.

    Costs three lookups when all is well. A folder that may only be read is left as it is.
    """
    try:
        if exchange.pending(directory) or journal.is_pending(directory):
            with locked(directory):
                pass
    except MaestroError:
        return


class LockedFolder:
    """A folder that this process holds; made by `locked()`."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    def replace(
        self,
        files: Mapping[str, bytes | None],
        *,
        mode: int = PRIVATE,
        keep_mode: Collection[str] = (),
        exclusive: bool = False,
    ) -> None:
        """Change several files, all or none, durably.

        Args:
            files: Name → new content, or None to remove the file. Names are renamed into place in this order.
            mode: Permission bits of the files.
            keep_mode: Names that keep the bits they have where they exist: public files that their owner opened.
            exclusive: The folder holds little besides these files, so that it may be exchanged as a whole: then no
                program ever sees a mixture of old and new, not even after kill -9.

        Raises:
            Refused: A path is a symbolic link or not a regular file.
            OutOfReach: Read-only folder, full disk, and the like. Nothing was changed.
        """
        if not files:
            return
        with explained(self.path):
            existing = self._check(files)
            wanted = {name: data for name, data in files.items() if data is not None}
            staged = self._stage(wanted, existing, mode, keep_mode)
            removed = [name for name, data in files.items() if data is None and name in existing]
            if len(staged) + len(removed) == 1:
                self._single(staged, removed)
            else:
                self._together(staged, removed, exclusive=exclusive)

    def _check(self, files: Mapping[str, bytes | None]) -> dict[str, os.stat_result]:
        # root gets past a folder's mode, but whoever took the write bit away meant it
        if not os.fstat(self._handle).st_mode & stat.S_IWUSR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        existing: dict[str, os.stat_result] = {}
        for name in files:
            if os.sep in name or name in {"", ".", ".."}:
                raise ValueError(f"not a plain file name: {name!r}")
            with contextlib.suppress(FileNotFoundError):
                existing[name] = os.stat(name, dir_fd=self._handle, follow_symlinks=False)
                if not stat.S_ISREG(existing[name].st_mode):
                    refuse_unsafe(self.path / name)
        return existing

    def _stage(
        self, files: Mapping[str, bytes], existing: Mapping[str, os.stat_result], mode: int, keep_mode: Collection[str]
    ) -> dict[str, str]:
        """Write every file under a temporary name and sync them all; gives final name → temporary name."""
        staged: dict[str, str] = {}
        waiting: list[int] = []
        bulk = len(files) >= _BULK
        token = secrets.token_hex(4)
        try:
            for name, data in files.items():
                temporary = f".{name[:200]}.{token}{journal.NEW}"
                handle = journal.create(temporary, self._handle)
                staged[name] = temporary
                try:
                    _set_owner_and_mode(handle, existing.get(name), mode, keep=name in keep_mode)
                    journal.write_all(handle, data)
                finally:
                    waiting.append(handle) if not bulk else os.close(handle)
            for handle in waiting:  # after the last write: the first sync commits the metadata of all
                os.fsync(handle)
            if bulk:
                exchange.sync_filesystem(self._handle)
        except BaseException:
            self._discard(staged)
            raise
        finally:
            for handle in waiting:
                os.close(handle)
        return staged

    def _single(self, staged: Mapping[str, str], removed: list[str]) -> None:
        try:
            for name, temporary in staged.items():
                os.rename(temporary, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
            for name in removed:
                os.unlink(name, dir_fd=self._handle)
        except BaseException:
            self._discard(staged)
            raise
        journal.sync(self._handle)

    def _together(self, staged: Mapping[str, str], removed: list[str], *, exclusive: bool) -> None:
        stand_in: exchange.StandIn | None = None
        try:
            if exclusive:
                stand_in = exchange.prepare(self.path, staged, removed)
            journal.record(self._handle, staged, removed)
        except BaseException:
            self._discard(staged)
            if stand_in is not None:
                stand_in.discard()
            raise
        # The journal is durable: from here on the change is certain, and whoever comes next would finish it.
        try:
            with uninterrupted():
                self._carry_out(stand_in)
        except OSError as error:
            raise OutOfReach(
                f"Interrupted while changing the files of {self.path} ({os.strerror(error.errno or 0)}).",
                hint="All new files are written; the next maestro command on this folder puts them in place.",
            ) from error

    def _carry_out(self, stand_in: exchange.StandIn | None) -> None:
        shown = stand_in is not None and stand_in.show()
        journal.roll_forward(self._handle)
        if stand_in is not None:
            if shown:
                stand_in.hide()
            stand_in.discard()

    def _discard(self, staged: Mapping[str, str]) -> None:
        for temporary in staged.values():
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self._handle)


def _set_owner_and_mode(handle: int, old: os.stat_result | None, mode: int, *, keep: bool) -> None:
    if old is not None:
        if keep:
            mode = stat.S_IMODE(old.st_mode)
        if os.geteuid() == 0 and (old.st_uid, old.st_gid) != (
            0,
            0,
        ):  # renewed by root's cron, still read by its service
            os.fchown(handle, old.st_uid, old.st_gid)
    if mode != PRIVATE:
        os.fchmod(handle, mode)
