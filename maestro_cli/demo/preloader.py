"""Starting the reference service many times, quickly: its libraries are imported once (see `_preloader`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from maestro_cli.demo.processes import Process
from maestro_cli.errors import MaestroError


class Preloader:
    """A parent process for copies of the service. A context manager; at its end every copy is stopped.

    Args:
        log: File for its own complaints.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._parent: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "maestro_cli.demo._preloader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        parent, self._parent = self._parent, None
        if parent is None or parent.stdin is None or parent.stdout is None:
            return
        with suppress(OSError):
            parent.stdin.close()
        try:
            parent.wait(30)
        except subprocess.TimeoutExpired:
            parent.kill()
            parent.wait()
        parent.stdout.close()

    def start(
        self, name: str, module: str, argv: Sequence[str], *, environment: Mapping[str, str], cwd: Path, log: Path
    ) -> PreloadedProcess:
        """Start `python -m module argv…` in a copy.

        Raises:
            MaestroError: The parent has ended.
        """
        order = {"module": module, "argv": list(argv), "cwd": str(cwd), "log": str(log)}
        return PreloadedProcess(self, name, log, self.ask(do="start", environment=dict(environment), **order)["pid"])

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send one order (see `_preloader`) and wait for the answer."""
        with self._lock:
            parent = self._parent
            if parent is None or parent.stdin is None or parent.stdout is None:
                return {"running": False}
            parent.stdin.write(json.dumps(order).encode() + b"\n")
            parent.stdin.flush()
            line = parent.stdout.readline()
        if not line:
            raise MaestroError("the preloader has ended", hint=f"see {self._log}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class PreloadedProcess(Process):
    """A copy of the service that a `Preloader` has started."""

    def __init__(self, parent: Preloader, name: str, log: Path, pid: int) -> None:
        self.name = name
        self.log = log
        self._parent = parent
        self._pid = pid

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return bool(self._parent.ask(do="poll", pid=self._pid)["running"])

    def stop(self) -> None:
        """End it in order and wait."""
        self._parent.ask(do="stop", pid=self._pid, signal=int(signal.SIGTERM), grace=10)
