"""Imports what every start of the reference service needs, then forks a copy for each start; executed as a module.

Starting the service costs 1.2 s of processor time, 1 s of it for importing libraries. Tests that start it a hundred
times, each with another fault, import them once. The service's own modules are imported by each copy anew, with its own
environment, so a copy behaves exactly as a fresh process.

One JSON object a line on standard input, one in answer: {"do": "start", "module", "argv", "environment", "cwd", "log"} →
{"pid"}; {"do": "poll", "pid"} → {"running"}; {"do": "stop", "pid", "signal", "grace"} → {}. At the end of the input
every copy is stopped.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import signal
import sys
import time
from typing import Any

LIBRARIES = (
    "fastapi",
    "fastapi.openapi.models",
    "jwt",
    "passlib.handlers.bcrypt",
    "psycopg2",
    "redis",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "sqlalchemy.orm",
    "starlette.middleware.cors",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.hkdf",
)


def _become(order: dict[str, Any]) -> None:
    """Turn this forked copy into the program that was asked for; does not return."""
    status = 1
    try:
        os.setsid()
        with contextlib.suppress(Exception):  # Linux only: die with the parent even if it is killed
            import ctypes

            ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        nothing = os.open(os.devnull, os.O_RDONLY)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for target, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["cwd"])
        sys.path.insert(0, order["cwd"])
        sys.argv = [order["module"], *order["argv"]]
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - the traceback belongs into the copy's log, as in any program
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _gone(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _stop(pid: int, number: int, grace: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        if _gone(pid):
            return
        os.kill(pid, number)
        deadline = time.monotonic() + grace
        while not _gone(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return
            time.sleep(0.01)


def main() -> None:
    for library in LIBRARIES:
        importlib.import_module(library)
    copies: set[int] = set()
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        answer: dict[str, Any] = {}
        if order["do"] == "start":
            pid = os.fork()
            if pid == 0:
                _become(order)
            copies.add(pid)
            answer = {"pid": pid}
        elif order["do"] == "poll":
            if order["pid"] in copies and _gone(order["pid"]):
                copies.discard(order["pid"])
            answer = {"running": order["pid"] in copies}
        elif order["pid"] in copies:
            _stop(order["pid"], order["signal"], order["grace"])
            copies.discard(order["pid"])
        print(json.dumps(answer), flush=True)  # noqa: T201 - the line is the protocol
    for pid in copies:
        _stop(pid, signal.SIGTERM, 5)


if __name__ == "__main__":
    main()
