"""The service's application in a process of our own, on a port of this machine that nobody else knows."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from maestro_cli.errors import NotConfigured
from maestro_cli.observe.application import ApplicationError, interpreter
from maestro_cli.observe.variables import variables

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

START_S = 20.0
LOOPBACK = "127.0.0.1"


class OwnService:
    """Starts it, and ends it whatever happens. A context manager.

    Args:
        ctx: The run: its folder, its variables.
        app: MODULE:APP.
        drain_s: How long it lets requests under way take when it is asked to end, in seconds.

    Raises:
        NotConfigured: When its code is not on this machine.
        ApplicationError: When it does not start.
    """

    def __init__(self, ctx: Context, app: str, *, drain_s: float) -> None:
        self._ctx, self._app, self._drain_s = ctx, app, drain_s
        self._process: subprocess.Popen[bytes] | None = None
        self._told = -1
        self.port = 0

    def __enter__(self) -> Self:
        self._told, telling = os.pipe()
        program = Path(__file__).with_name("_application.py")
        argv = [interpreter(self._ctx), str(program), "serve", self._app, str(telling)]
        drain = {"MAESTRO_DRAIN_S": str(max(1, round(self._drain_s)))}
        try:
            self._process = subprocess.Popen(
                argv,
                cwd=self._ctx.loaded.root,
                env={**variables(self._ctx), **drain, "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(telling,),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            os.close(self._told)
            raise ApplicationError(f"{argv[0]} cannot be run: {error}") from None
        finally:
            os.close(telling)
        try:
            self._wait_until_it_listens(time.monotonic() + START_S)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _wait_until_it_listens(self, end: float) -> None:
        outcome = self._outcome(end)
        module = self._app.partition(":")[0]
        if "missing" in outcome and f"{module}.".startswith(f"{outcome['missing']}."):
            raise NotConfigured(f"{module} of api.app is not here, so it cannot be started")
        if "missing" in outcome:
            raise ApplicationError(f"there is no module {outcome['missing']} here")
        if "error" in outcome:
            names = ", ".join(map(str, outcome.get("names", ())))
            raise ApplicationError(
                f"importing {self._app} raises {outcome['error']}{f' about {names}' if names else ''}"
            )
        self.port = int(outcome["port"])
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=1):
                return
            if select.select([self._told], [], [], 0.02)[0]:
                break
        raise ApplicationError(f"{self._app} does not start")

    def _outcome(self, end: float) -> dict[str, Any]:
        data = b""
        while not data.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._told], [], [], left)[0]:
                raise ApplicationError(f"{self._app} does not start within {START_S:g} s")
            piece = os.read(self._told, 65536)
            if not piece:
                raise ApplicationError(f"{self._app} does not start: its process ended")
            data += piece
        outcome: dict[str, Any] = json.loads(data.splitlines()[0])
        return outcome

    def terminate(self) -> None:
        """Ask it to end: SIGTERM."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int | None:
        """Its exit code, negative for a signal; None where it has not ended by then."""
        if self._process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(max(0.0, seconds))
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdin is not None:
            process.stdin.close()
        process.wait()
        os.close(self._told)
