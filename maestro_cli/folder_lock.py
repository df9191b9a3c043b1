"""Holding a folder against other processes and against signals, and saying in words why something cannot be written."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from maestro_cli import folder_exchange as exchange
from maestro_cli import folder_journal as journal
from maestro_cli.errors import OutOfReach

_POLL_S = 0.05
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


def acquire(directory: Path, wait_s: float) -> int:
    """Open and lock the folder at a path, after settling what a killed run left visible there.

    Args:
        directory: An existing folder, its path without links.
        wait_s: How long to wait for another maestro, in seconds.

    Returns:
        The open folder; closing it ends the lock.

    Raises:
        OutOfReach: Another maestro is still at work there.
        OSError: The folder cannot be opened.
    """
    deadline = time.monotonic() + wait_s
    while True:
        handle = _lock(directory, deadline)
        if not exchange.is_open(directory, handle):  # exchanged or replaced while we waited
            os.close(handle)
            continue
        if not exchange.pending(directory):
            return handle
        # What is visible may be the stand-in of a killed run: settle that, then lock what is visible then.
        try:
            exchange.settle(directory, journal.roll_forward)
        finally:
            os.close(handle)


def _lock(directory: Path, deadline: float) -> int:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_POLL_S)
                continue
            os.close(handle)
            raise OutOfReach(
                f"Another maestro is at work in {directory}; nothing was changed.",
                hint="Run the command again when it has ended.",
            ) from None
        except OSError as error:
            if error.errno not in {errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL}:
                os.close(handle)
                raise
            # A network file system without flock on folders: go on unlocked rather than not at all.
        return handle


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the milliseconds of a change that is certain anyway."""
    waiting = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs handlers in the main thread alone: no signal interrupts this one
        return
    # A mask alone would hold only where there is one thread: the system hands the signal to another one, and Python
    # then runs its handler here all the same.
    caught: list[int] = []
    handlers = {number: signal.getsignal(number) for number in waiting}
    for number in waiting:
        signal.signal(number, lambda signum, _frame: caught.append(signum))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            # None: set by something that is not Python, which cannot be put back from here.
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        for signum in dict.fromkeys(caught):
            signal.raise_signal(signum)


@contextlib.contextmanager
def explained(directory: Path) -> Iterator[None]:
    """Turn the system's errors about a folder into ours.

    Raises:
        OutOfReach: For any OSError inside.
    """
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno in _FULL:
            raise OutOfReach(
                f"No room to write in {directory} ({reason}); nothing was changed.",
                hint="Free some space and run the command again.",
            ) from error
        if error.errno in _FORBIDDEN:
            raise OutOfReach(
                f"{directory} cannot be written to ({reason}); nothing was changed.",
                hint=f"Look at its owner and mode: ls -ld {directory}",
            ) from error
        if error.errno == errno.ENOENT:
            raise OutOfReach(f"{directory} does not exist.", hint=f"Create it first: mkdir -p {directory}") from error
        raise OutOfReach(f"Cannot write in {directory}: {reason}.", hint=f"Look at it: ls -la {directory}") from error
