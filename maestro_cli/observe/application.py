"""The project's own code, run in a process of its own: its settings loader, its migrations.

It sees what the service would see: the folder of maestro.yaml as working folder, the process environment over env_file.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maestro_cli.errors import MaestroError
from maestro_cli.observe.variables import variables

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

TIMEOUT_S = 8.0
MAXIMUM_OUTCOME = 1_000_000
Mode = Literal["settings", "alembic", "rehearse", "serve"]


class ApplicationError(MaestroError):
    """The process gave no outcome: it hung, crashed, or could not be started."""


def interpreter(ctx: Context) -> str:
    """The project's Python: readiness.project.python, or the one maestro runs on."""
    project = ctx.settings.readiness.project
    if project is None or project.python is None:
        return sys.executable
    return str(ctx.path(project.python)) if "/" in project.python else project.python


def run_application(
    ctx: Context,
    mode: Mode,
    argument: str,
    *,
    timeout_s: float | None = None,
    environment: Mapping[str, str] | None = None,
    on_outcome: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[list[dict[str, Any]], str | None]:
    """Run one piece and return its outcomes; `_application.py` documents each.

    Args:
        ctx: The run.
        mode: Which piece.
        argument: What it works on.
        timeout_s: TIMEOUT_S where it is None.
        environment: What it sees instead of what the service would see.
        on_outcome: Called with each outcome; the process waits for its return.

    Returns:
        The outcomes in order, and why there is not another one where the process did not end by itself.

    Raises:
        ApplicationError: When it cannot be started.
    """
    timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
    receiving, sending = os.pipe()
    program = Path(__file__).with_name("_application.py")
    python = interpreter(ctx)
    try:
        process = subprocess.Popen(
            [python, str(program), mode, argument, str(sending)],
            cwd=ctx.loaded.root,
            env={**(variables(ctx) if environment is None else environment), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(sending,),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        os.close(receiving)
        reason = error.strerror if isinstance(error, OSError) else "the environment holds a NUL"
        raise ApplicationError(f"{python} cannot be run: {reason}") from None
    finally:
        os.close(sending)
    try:
        data, whole = _read(receiving, timeout_s, _answering(process, on_outcome))
    finally:
        os.close(receiving)
        _end(process)
    lines = data.decode("utf-8", "replace").splitlines(keepends=True)
    outcomes: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith("\n")]
    if not whole:
        return outcomes, f"it did not end within {timeout_s:g} s"
    if process.returncode:
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
        return outcomes, f"its process died with {how}"
    return outcomes, None


def outcome_of(outcomes: tuple[list[dict[str, Any]], str | None], index: int = 0) -> dict[str, Any]:
    """One of the outcomes.

    Raises:
        ApplicationError: When the process ended before it, with why.
    """
    found, lost = outcomes
    if index >= len(found):
        raise ApplicationError(lost or "it ended without an outcome")
    return found[index]


def _answering(
    process: subprocess.Popen[bytes], on_outcome: Callable[[dict[str, Any]], None] | None
) -> Callable[[bytes], None]:
    """What to do with each line: look at it, and let the process go on."""

    def answer(line: bytes) -> None:
        if on_outcome is not None and process.stdin is not None:
            on_outcome(json.loads(line))
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(b".")
                process.stdin.flush()

    return answer


def _read(descriptor: int, timeout_s: float, on_line: Callable[[bytes], None]) -> tuple[bytes, bool]:
    """All that is written until the other end closes; False where that takes too long or is too much."""
    end = time.monotonic() + timeout_s
    data = b""
    while len(data) < MAXIMUM_OUTCOME:
        left = end - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return data, False
        piece = os.read(descriptor, 65536)
        if not piece:
            return data, True
        begun = data.rpartition(b"\n")[2]
        data += piece
        for line in (begun + piece).split(b"\n")[:-1]:
            on_line(line)
    return data, False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and everything that it started."""
    # It may have had its say a moment before its own exit.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.5)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):  # what it was told last, it did not wait for
            process.stdin.close()
    process.wait()
