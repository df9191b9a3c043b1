"""A server process that stops in order, and never outlives its owner."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from maestro_cli.errors import MaestroError

LOOPBACK = "127.0.0.1"
_SUPERVISOR = Path(__file__).with_name("_supervisor.py")


def free_port(host: str = LOOPBACK) -> int:
    """A TCP port that was free a moment ago; callers retry when somebody else was quicker."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Process(ABC):
    """A program that was started: is it up, what did it say, end it.

    Attributes:
        name: What error messages call it.
        log: File that receives its standard output and error.
    """

    name: str
    log: Path

    @property
    @abstractmethod
    def pid(self) -> int:
        """Its process id."""

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether it has not ended."""

    @abstractmethod
    def stop(self) -> None:
        """End it in order and wait; does nothing where it has ended. Also safe in the middle of a failed start."""

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Return as soon as `ready()` is true.

        Args:
            ready: Asked every 20 ms.
            seconds: The deadline.

        Raises:
            MaestroError: The server ended, or the deadline has passed; the end of its log is part of the message.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise MaestroError(f"{self.name} ended while starting:\n{self.log_tail()}", hint=f"see {self.log}")
            if time.monotonic() > deadline:
                raise MaestroError(
                    f"{self.name} was not ready within {seconds:g} s:\n{self.log_tail()}", hint=f"see {self.log}"
                )
            time.sleep(0.02)

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of the log; servers of ours write no secrets there."""
        try:
            return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""


class ServerProcess(Process):
    """One long-running program under a supervisor.

    The program runs in a session of its own, so the terminal's Ctrl-C does not reach it; it is stopped by `stop()`, and
    by its supervisor as soon as this process is gone, for whatever reason.

    Args:
        name: What error messages call it.
        argv: Program and arguments. Never put a secret here: every user of the machine can read it.
        log: File that receives its standard output and error (mode 0600).
        environment: The whole environment of the program; handed over through a pipe.
        user: (uid, gid) to run as; None for the present user.
        stop_signal: The signal that asks it to end in order.
        grace: Seconds it may take for that before SIGKILL.
        cwd: Working directory.
        remove: Folders to delete if this process dies without stopping the server.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        user: tuple[int, int] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: float = 10,
        cwd: Path | None = None,
        remove: Sequence[Path] = (),
    ) -> None:
        self.name = name
        self.log = log
        self._plan = {
            "argv": list(argv),
            "user": user,
            "signal": int(stop_signal),
            "grace": grace,
            "cwd": None if cwd is None else str(cwd),
            "remove": [str(folder) for folder in remove],
        }
        self._environment = dict(environment)
        self._grace = grace
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    @property
    def pid(self) -> int:
        """Process id of the server itself (not of its supervisor)."""
        if self._pid is None:
            raise MaestroError(f"{self.name} is not running")
        return self._pid

    @property
    def running(self) -> bool:
        """Whether the server has not ended."""
        return self._supervisor is not None and self._supervisor.poll() is None

    def start(self) -> None:
        """Start it; does nothing where it runs already.

        Raises:
            MaestroError: The program cannot be executed.
        """
        if self.running:
            return
        self.stop()
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SUPERVISOR), json.dumps(self._plan)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        self._supervisor = supervisor
        if supervisor.stdin is None or supervisor.stdout is None:  # pragma: no cover - PIPE was asked for
            raise MaestroError(f"{self.name} could not be started")
        try:
            supervisor.stdin.write(json.dumps(self._environment).encode() + b"\n")
            supervisor.stdin.flush()
            word, _, rest = supervisor.stdout.readline().decode().strip().partition(" ")
        except BaseException:
            self.stop()
            raise
        if word != "pid":
            self.stop()
            raise MaestroError(
                f"{self.name} could not be started: {rest or 'its supervisor ended'}", hint=f"see {self.log}"
            )
        self._pid = int(rest)

    def stop(self) -> None:
        """End it in order and wait; does nothing where it has ended. Also safe in the middle of a failed start."""
        supervisor, self._supervisor, self._pid = self._supervisor, None, None
        if supervisor is None:
            return
        with contextlib.suppress(OSError):
            if supervisor.stdin is not None:
                supervisor.stdin.write(b".")  # "stop", not "your owner died"
                supervisor.stdin.close()
        try:
            supervisor.wait(self._grace + 5)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(supervisor.pid, signal.SIGKILL)
            supervisor.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        finally:
            if supervisor.stdout is not None:
                supervisor.stdout.close()

    def kill(self) -> None:
        """End it at once, as a crash would: for tests of what happens then."""
        if self._pid is not None and self.running:
            os.kill(self._pid, signal.SIGKILL)
        self.stop()
