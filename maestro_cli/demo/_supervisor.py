"""Runs one server and ends it when its owner is gone; executed as a file, with the standard library alone.

The owner holds the write end of this process's standard input. However the owner ends (also by SIGKILL), the pipe
closes, and the server gets its own polite signal, then time, then SIGKILL. This works on every POSIX system, unlike
PR_SET_PDEATHSIG, which also fires when merely the thread that started the child ends.

An owner that stops the server says so with one byte first; without it the owner has died, and the temporary folders
that only it knew of ("remove") go too.

The one argument is JSON: {"argv", "user", "signal", "grace", "cwd", "remove"}. The environment comes as JSON on the
first line of standard input, never on the command line. The process id goes to standard output as one line.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from typing import Any


def _spawn(plan: dict[str, Any], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    identity: dict[str, Any] = {}
    if plan["user"] is not None:
        identity = {"user": plan["user"][0], "group": plan["user"][1], "extra_groups": []}
    return subprocess.Popen(
        plan["argv"], stdin=subprocess.DEVNULL, stdout=2, stderr=2, cwd=plan["cwd"], env=environment, **identity
    )


def _end(server: subprocess.Popen[bytes], polite: int, grace: float) -> None:
    server.send_signal(polite)
    try:
        server.wait(grace)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _first_line(descriptor: int) -> bytes:
    # Unbuffered: select() below must see what follows, were it only the end of the pipe.
    line = b""
    while not line.endswith(b"\n") and (piece := os.read(descriptor, 1)):
        line += piece
    return line


def main() -> int:
    plan: dict[str, Any] = json.loads(sys.argv[1])
    environment: dict[str, str] = json.loads(_first_line(0))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # interrupts select below; the server is ended in order
    wakeup_read, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        server = _spawn(plan, environment)
    except OSError as error:
        print(f"error {error.strerror or error}", flush=True)  # noqa: T201 - the line is the protocol
        return 127
    print(f"pid {server.pid}", flush=True)  # noqa: T201 - the line is the protocol
    while server.poll() is None:
        ready, _, _ = select.select([0, wakeup_read], [], [], 60)
        if wakeup_read in ready:
            numbers = set(os.read(wakeup_read, 64))
            if numbers == {int(signal.SIGCHLD)}:
                continue
        if ready:
            orphaned = 0 in ready and not os.read(0, 1)
            _end(server, plan["signal"], plan["grace"])
            for folder in plan["remove"] if orphaned else ():
                shutil.rmtree(folder, ignore_errors=True)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


if __name__ == "__main__":
    sys.exit(main())
