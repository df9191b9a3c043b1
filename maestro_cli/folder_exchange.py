"""A folder's files changed in one instant, for every onlooker, even after kill -9.

No system call renames two files at once, so a killed program can leave a new key beside an old certificate. But
Linux can exchange two *folders* in one step (renameat2(2), RENAME_EXCHANGE). So: build a stand-in beside the folder
that links to the final state of every file, exchange the two (from here on everybody sees the new files), change the
real folder while nobody looks, exchange back. The real folder keeps its inode, so a shell standing in it, a container
that mounts it and a watcher all stay attached.

The alternative, symbolic links into generation folders as certbot and Kubernetes use them, was not taken: a link has
mode 0777 for `stat`, `find -perm` and `ls -l`, `kubectl create secret --from-file` leaves it out, and "the key's path
is a link" is what maestro refuses.

Where the exchange is not to be had (another system, a mount point, a foreign parent folder, 20,000 files), `prepare` or
`show` says so and the caller falls back on its journal: then a mixture can be seen for some microseconds, and after
kill -9 until the next maestro command on that folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

MARKER = ".maestro-stand-in"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_MANY = 20_000
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV, errno.ENOSYS}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StandIn:
    """The folder that is seen while the real one changes; locked as long as it lives, so that finders wait."""

    def __init__(self, directory: Path, hidden: Path) -> None:
        self.directory = directory
        self.hidden = hidden
        """Where the stand-in waits before `show` and after `hide`, and the real folder in between."""
        self._handle = os.open(hidden, os.O_RDONLY | os.O_DIRECTORY)
        self._shown = False
        _flock(self._handle)

    def show(self) -> bool:
        """Exchange; False where this file system or system cannot."""
        try:
            exchange(self.directory, self.hidden)
        except OSError:
            return False
        self._shown = True
        return True

    def hide(self) -> None:
        """Exchange back."""
        exchange(self.directory, self.hidden)

    def discard(self) -> None:
        """Remove the stand-in, once it is hidden again; what others put into it meanwhile is moved over first."""
        try:
            if self._shown:
                _rescue(self.hidden, self.directory)
            _remove(self.hidden)
        finally:
            os.close(self._handle)


def hidden_path(directory: Path) -> Path:
    """The stand-in's name: a sibling of the folder."""
    return directory.with_name(f".{directory.name}.maestro-stand-in")


def prepare(directory: Path, staged: Mapping[str, str], removed: Iterable[str]) -> StandIn | None:
    """Build a stand-in: a link to every file of `directory` as it will be.

    Args:
        directory: The real folder; locked by the caller.
        staged: Final name → the temporary name in `directory` that holds the new content.
        removed: Names that will be gone.

    Returns:
        The stand-in, or None where there cannot be one.

    Raises:
        OSError: The disk is full.
    """
    hidden = hidden_path(directory)
    if directory.name == "":
        return None
    try:
        hidden.mkdir(mode=0o700)
    except OSError as error:
        if error.errno in _FULL:
            raise
        return None
    try:
        _fill(directory, hidden, staged, set(removed))
        return StandIn(directory, hidden)
    except OSError as error:
        _remove(hidden)
        if error.errno in _FULL:
            raise
        return None
    except _TooMany:
        _remove(hidden)
        return None


def pending(directory: Path) -> bool:
    """Whether a killed run left a stand-in, visible or hidden."""
    return os.path.lexists(directory / MARKER) or _is_ours(hidden_path(directory))


def settle(directory: Path, roll_forward: Callable[[int], None]) -> None:
    """Finish or undo what a killed run left; the caller holds the lock of what is visible.

    Args:
        directory: The folder's usual path.
        roll_forward: Carries out the journal of the open folder it is given.
    """
    hidden = hidden_path(directory)
    if not os.path.lexists(directory / MARKER):
        _remove(hidden)  # never shown, or shown and hidden again
        return
    if not hidden.is_dir():  # a copy that somebody made of the stand-in
        (directory / MARKER).unlink()
        return
    handle = os.open(hidden, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _flock(handle)
        roll_forward(handle)
        exchange(directory, hidden)
        _rescue(hidden, directory)
        _remove(hidden)
    finally:
        os.close(handle)


def is_open(directory: Path, handle: int) -> bool:
    """Whether the open folder is still the one at this path."""
    try:
        return os.path.samestat(directory.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def exchange(one: Path, other: Path) -> None:
    """Exchange two folders in one step.

    Raises:
        OSError: ENOSYS where the system has no such call; EINVAL, EBUSY, EXDEV and others where it cannot be done here.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one))


def sync_filesystem(folder: int) -> None:
    """Make everything written to an open folder's file system durable: syncfs(2), or sync(2) where that is missing."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "syncfs", None)
    if call is None:
        os.sync()
    elif call(folder) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class _TooMany(Exception):  # noqa: N818 - not an error: the folder is too big to be mirrored
    pass


def _fill(directory: Path, hidden: Path, staged: Mapping[str, str], removed: set[str]) -> None:
    os.close(os.open(hidden / MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    skipped = removed | set(staged) | set(staged.values())
    with os.scandir(directory) as entries:
        for count, entry in enumerate(entries):
            if count > _MANY:
                raise _TooMany
            if entry.name in skipped:
                continue
            if entry.is_symlink():
                (hidden / entry.name).symlink_to((directory / entry.name).readlink())
            elif entry.is_dir(follow_symlinks=False):
                (hidden / entry.name).symlink_to(Path("..", hidden.name, entry.name))
            else:
                _link(directory / entry.name, hidden / entry.name)
    for name, temporary in staged.items():
        _link(directory / temporary, hidden / name)
    found = directory.stat()
    if os.geteuid() == 0 and (found.st_uid, found.st_gid) != (0, 0):
        os.chown(hidden, found.st_uid, found.st_gid)
    if stat.S_IMODE(found.st_mode) != 0o700:
        hidden.chmod(stat.S_IMODE(found.st_mode))
    handle = os.open(hidden, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    found = source.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(source))
    data = source.read_bytes()
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fchmod(handle, stat.S_IMODE(found.st_mode))
        os.fsync(handle)
    finally:
        os.close(handle)


def _flock(handle: int) -> None:
    with contextlib.suppress(OSError):  # no flock on folders here: the caller went on without it too
        fcntl.flock(handle, fcntl.LOCK_EX)


def _is_ours(hidden: Path) -> bool:
    try:
        found = hidden.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), hidden.parent.stat().st_uid}:
            return False
        names = {entry.name for entry in hidden.iterdir()}
    except OSError:
        return False
    return not names or MARKER in names


def _rescue(hidden: Path, directory: Path) -> None:
    """Move over what other programs created in the stand-in while it was to be seen."""
    for entry in list(hidden.iterdir()):
        if entry.name != MARKER and not entry.is_symlink() and not os.path.lexists(directory / entry.name):
            entry.rename(directory / entry.name)


def _remove(hidden: Path) -> None:
    """Remove a stand-in, which holds files and links only; the marker last, so that the rest is still known as ours."""
    for entry in sorted(hidden.iterdir(), key=lambda entry: entry.name == MARKER):
        entry.unlink()
    hidden.rmdir()
