"""Running a command: no shell unless asked for, bounded time and output, and nothing of it left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from maestro_cli.api import Context, MaestroError
from maestro_cli.config.declared import CommandSubject, NagiosSubject
from maestro_cli.declared import Stop

KEPT = 256_000
"""Bytes kept of each stream; the rest is read and thrown away, so that the command does not block."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: its exit status (negative for a signal), what it wrote and how long it took."""

    status: int
    stdout: str
    stderr: str
    elapsed_s: float


def words_of(subject: CommandSubject | NagiosSubject) -> list[str]:
    """The argument list."""
    if subject.shell:
        return ["/bin/sh", "-c", str(subject.run)]
    return shlex.split(subject.run) if isinstance(subject.run, str) else [str(word) for word in subject.run]


def run(subject: CommandSubject | NagiosSubject, ctx: Context, stop: Stop) -> Ended:
    """Run a declared command.

    Raises:
        MaestroError: When it cannot be started, or has not ended in time.
    """
    words = words_of(subject)
    folder = ctx.loaded.root if subject.directory is None else ctx.path(subject.directory)
    environment = {**ctx.environ, **(subject.environment or {})}
    started = time.perf_counter()
    try:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MaestroError(f"{words[0]} cannot be run: {reason}") from None
    with process, stop.calling(lambda: _end(process)):
        try:
            streams, complete = _read(process, started + subject.timeout_s)
        finally:
            _end(process)  # and what it left behind in its own session
    if not complete:
        raise MaestroError(f"{words[0]} had not ended after {subject.timeout_s:g} s")
    return Ended(process.returncode, streams[0], streams[1], time.perf_counter() - started)


def _read(process: subprocess.Popen[bytes], deadline: float) -> tuple[list[str], bool]:
    """What it writes until it has ended, or until the deadline.

    A child that it left behind may keep the pipes open; its own end is what counts.
    """
    kept: dict[Any, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream in kept:
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        ended = False
        while (left := deadline - time.perf_counter()) > 0:
            if not selector.get_map():
                ended = _has_ended(process, left)
                break
            ready = selector.select(0 if ended else min(0.02, left))
            for chosen, _ in ready:
                _take(chosen.fileobj, kept, selector)
            if ended and not ready:
                break
            ended = process.poll() is not None
    return [bytes(data).decode("utf-8", "replace") for data in kept.values()], ended


def _has_ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _take(stream: Any, kept: dict[Any, bytearray], selector: selectors.BaseSelector) -> None:
    chunk = os.read(stream.fileno(), 65_536)
    kept[stream] += chunk[: max(0, KEPT - len(kept[stream]))]
    if not chunk:
        selector.unregister(stream)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        process.kill()
