"""A plugin's own process: loads its modules once, then forks a worker from that state whenever it is asked for one.

A new worker costs a millisecond or two, so that one which crashed is replaced at once. When maestro goes away, however it
does, this process sees its end of the socket close and ends with all its workers.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from maestro_cli.api import Check
from maestro_cli.isolation.frames import ClosedError, receive, send
from maestro_cli.isolation.loading import Source, load_part, parts
from maestro_cli.isolation.messages import describe_check
from maestro_cli.isolation.worker import work

_NOT_FOR_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a worker must not end this process: a check that signals its parent would cost all others. maestro kills."""
LOADING_ALARM_S = 120
"""A module that hangs while maestro itself is killed would hang for ever; the alarm ends it."""


def main(descriptor: int) -> None:
    """Serve on an inherited socket and leave without cleaning up: what was inherited is another process's."""
    code = 1
    try:
        with socket.socket(fileno=descriptor) as control:
            _prepare(descriptor)
            _serve(control)
        code = 0
    finally:
        os._exit(code)


def _prepare(kept: int) -> None:
    """Leave the terminal, the parent's handlers and its open files behind; 0, 1 and 2 lead nowhere."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    for name in _NOT_FOR_ALL:
        signal.signal(name, signal.SIG_IGN)
    _silence()
    _close_all_but(kept)


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor, inheritable=True)
    # Python's own streams may still hold what the parent had not flushed, or stand on other descriptors.
    sys.stdin = os.fdopen(os.dup(0), "r", encoding="utf-8")
    sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")


def _close_all_but(kept: int) -> None:
    own = {0, 1, 2, kept, sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno()}
    low = 3
    for descriptor in sorted(own - {0, 1, 2}):
        os.closerange(low, descriptor)
        low = descriptor + 1
    with contextlib.suppress(OSError, ValueError):
        low = max(low, 3)
        highest = max((int(name) for name in os.listdir("/proc/self/fd")), default=0)  # noqa: PTH208 - numbers, not paths
        os.closerange(low, highest + 1)


def limit(memory_mb: int) -> None:
    """Bound the memory of this process and its workers, and write no core files.

    RLIMIT_DATA rather than RLIMIT_AS: runtimes such as Go's and V8 reserve address space that they never touch.
    """
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = memory_mb * 1_000_000
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _serve(control: socket.socket) -> None:
    with contextlib.suppress(ClosedError):
        order = receive(control)
        limit(int(order["memory_mb"]))
        os.chdir(order["folder"])
        source = Source(order["name"], order["kind"], order["location"])
        checks = dict(_load(control, source, frozenset(order["without"])))
        _preload(checks)
        gc.freeze()  # a worker that collects garbage would otherwise copy every page of what it shares with this process
        gc.enable()
        _fork_on_request(control, checks)


def _load(control: socket.socket, source: Source, without: frozenset[str]) -> Iterator[tuple[str, Check]]:
    """Load every part, telling before and after each: when this process dies, maestro knows where it was."""
    signal.alarm(LOADING_ALARM_S)
    for part in parts(source):
        if part in without:
            continue
        send(control, {"loading": part})
        try:
            found = load_part(source, part)
            described = [describe_check(check) for check in found]
        except BaseException as error:  # noqa: BLE001 - a module may raise anything, sys.exit included
            send(control, {"broken": part, "reason": _reason(error)})
        else:
            send(control, {"loaded": part, "checks": described})
            yield from ((check.id, check) for check in found)
    signal.alarm(0)
    send(control, {"ready": True})


_HEAVY = {"http": "http.client", "database": "psycopg2", "redis": "redis"}
"""What `ctx.http` and its like import when they are first used."""


def _preload(checks: Mapping[str, Check]) -> None:
    """Import once, here, what the checks' own code shows that every worker would import for itself."""
    names = {
        name for check in checks.values() for name in getattr(getattr(check.run, "__code__", None), "co_names", ())
    }
    for attribute, module in _HEAVY.items():
        if attribute in names:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)


def _reason(error: BaseException) -> str:
    try:
        return (f"{type(error).__name__}: {error}".splitlines() or [""])[0][:2_000]
    except BaseException:  # noqa: BLE001 - an exception whose __str__ raises
        return type(error).__name__


def _fork_on_request(control: socket.socket, checks: dict[str, Check]) -> None:
    workers: dict[int, int | None] = {}  # pid → its wait status, once it has ended
    try:
        while True:
            order: dict[str, Any] = receive(control)
            if order["do"] == "fork":
                _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
                pid = _fork(control, descriptors[0], checks)
                workers[pid] = None
                send(control, {"pid": pid})
            else:
                pid = order["pid"]
                if workers.get(pid) is None:
                    workers[pid] = _end(pid, kill=order["kill"])
                send(control, {"status": workers[pid]})
    finally:
        for pid, status in workers.items():
            if status is None:
                _end(pid, kill=True)


def _fork(control: socket.socket, descriptor: int, checks: dict[str, Check]) -> int:
    pid = os.fork()
    if pid:
        os.close(descriptor)
        return pid
    try:
        for name in _NOT_FOR_ALL:
            signal.signal(name, signal.SIG_DFL)  # what the checks start inherits this
        control.close()
        os.setsid()  # a group of its own, so that what a check starts ends with it
        with socket.socket(fileno=descriptor) as connection:
            work(connection, checks)
    finally:
        os._exit(0)


def _end(pid: int, *, kill: bool) -> int:
    """End a worker and everything it started; its wait status."""
    if not kill:
        # It closed its socket, so it is about to end; unless it closed what was not its own.
        for _ in range(200):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                _kill_group(pid)
                return status
            time.sleep(0.005)
    _kill_group(pid)
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)  # in its first instants it leads no group yet
    return os.waitpid(pid, 0)[1]


def _kill_group(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
