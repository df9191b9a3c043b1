"""maestro's side of a plugin's process: load the plugin, run its checks, survive whatever becomes of it."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from maestro_cli.api import Check, Context, Finding, Fix, FixContext
from maestro_cli.errors import MaestroError
from maestro_cli.isolation.frames import ClosedError, GarbledError, receive, send, send_bytes
from maestro_cli.isolation.loading import Source
from maestro_cli.isolation.messages import rebuild_check, rebuild_error, rebuild_finding
from maestro_cli.records import record

T = TypeVar("T")

ANSWER_S = 10.0
"""How long the fork server may take to fork or to bury a worker; it does nothing else."""

_QUESTIONS = itertools.count(1)
"""Answers carry their question's number: what a check leaves behind in the socket is not the next one's finding."""

PROCESSORS = os.cpu_count() or 1
PATIENCE_S = 0.05
"""With a worker per processor at work, how long to wait for one to come free before another is forked."""


@record(frozen=True)
class Broken:
    """A part of a plugin that could not be loaded, and why."""

    part: str
    reason: str


class _Server:
    """One fork server: forked where this process has no other thread, started anew where it has."""

    def __init__(self, source: Source, without: Sequence[str], memory_mb: int, folder: str) -> None:
        self.control, theirs = socket.socketpair()
        self.lock = threading.Lock()
        with theirs:
            self.pid, self.process = self._start(theirs.fileno())
        send(
            self.control,
            {
                "name": source.name,
                "kind": source.kind,
                "location": source.location,
                "without": list(without),
                "memory_mb": memory_mb,
                "folder": folder,
            },
        )

    def _start(self, descriptor: int) -> tuple[int, subprocess.Popen[bytes] | None]:
        # A fork copies only the calling thread; locks that others hold would stay locked in the child.
        if sys.platform == "linux" and threading.active_count() == 1:
            pid = os.fork()
            if pid == 0:
                from maestro_cli.isolation.fork_server import main

                main(descriptor)
            return pid, None
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from maestro_cli.isolation.fork_server import main; main({descriptor})"
        )
        process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[descriptor], stdin=subprocess.DEVNULL)
        return process.pid, process

    def ask(self, message: dict[str, Any], descriptor: int | None = None) -> dict[str, Any]:
        with self.lock:
            self.control.settimeout(ANSWER_S)
            send(self.control, message)
            if descriptor is not None:
                socket.send_fds(self.control, [b"+"], [descriptor])
            return receive(self.control)

    def leave(self) -> None:
        """Let it end by itself, and its workers with it: it does so when its socket closes. Nobody waits for that."""
        if self.process is not None:
            self.close()
            return
        self.control.close()
        os.waitpid(self.pid, os.WNOHANG)

    def close(self, *, kill: bool = False) -> int:
        """End it, and with it its workers; returns its wait status.

        It ends by itself when its socket closes; a module that hangs has to be killed.
        """
        self.control.close()
        if self.process is not None:
            return self._reap_process(self.process, kill=kill)
        for _ in range(0 if kill else 200):
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                return status
            time.sleep(0.001)
        _kill_group(self.pid)
        return os.waitpid(self.pid, 0)[1]

    def _reap_process(self, process: subprocess.Popen[bytes], *, kill: bool) -> int:
        try:
            code = process.wait(timeout=0 if kill else 2)
        except subprocess.TimeoutExpired:
            _kill_group(self.pid)
            code = process.wait()
        return -code if code < 0 else code << 8


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


@dataclass
class _Worker:
    pid: int
    connection: socket.socket


@dataclass
class PluginHost:
    """One plugin. `start` it early, `load` it, run its checks, `close` it.

    Attributes:
        source: The plugin.
        folder: The folder that its checks run in: the project's.
        memory_mb: The most memory its processes may use, in MB.
        load_s: How long one of its modules may take to load, in seconds.
    """

    source: Source
    folder: str
    memory_mb: int = 1024
    load_s: float = 10.0
    broken: list[Broken] = field(default_factory=list)
    _server: _Server | None = field(default=None, repr=False)
    _idle: list[_Worker] = field(default_factory=list, repr=False)
    _workers: set[int] = field(default_factory=set, repr=False)
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)
    _checks: list[Check] = field(default_factory=list, repr=False)

    def start(self) -> None:
        """Start loading, in the background."""
        if self._server is None:
            without = [row.part for row in self.broken]
            self._server = _Server(self.source, without, self.memory_mb, self.folder)

    def load(self) -> list[Check]:
        """The plugin's checks; what could not be loaded is in `broken`.

        A module that hangs or ends its process is left out, and the others are loaded again without it.
        """
        while True:
            self.start()
            if self._receive_checks():
                return list(self._checks)

    def _receive_checks(self) -> bool:
        assert self._server is not None  # noqa: S101 - started by the caller
        control = self._server.control
        control.settimeout(self.load_s)
        self._checks, part = [], ""
        raised: list[Broken] = []
        try:
            while True:
                message = receive(control)
                if "loading" in message:
                    part = str(message["loading"])
                elif "broken" in message:
                    raised.append(Broken(part, str(message["reason"])))
                elif "loaded" in message:
                    self._checks.extend(self._rebuild(row) for row in message["checks"])
                elif message.get("ready"):
                    self.broken.extend(raised)
                    return True
                else:
                    raise GarbledError("neither of the known messages")
        except TimeoutError:
            reason = f"did not finish loading within {self.load_s:g} s"
            self._end_server(kill=True)
        except GarbledError as error:
            reason = f"answered with something else than its checks: {error}"
            self._end_server(kill=True)
        except ClosedError:
            reason = f"ended its process while loading{ending(self._end_server())}"
        self.broken.append(Broken(part, reason))
        return part == ""  # it died before its first module: trying again would do no better

    def _rebuild(self, message: dict[str, Any]) -> Check:
        def make_fix(summary: str) -> Fix:
            return Fix(summary, RemoteFix(self, message["id"], "plan"), RemoteFix(self, message["id"], "undo"))

        return rebuild_check(message, RemoteRun(self, str(message.get("id"))), make_fix)

    def _end_server(self, *, kill: bool = False) -> int | None:
        server, self._server = self._server, None
        status = server.close(kill=kill) if server is not None else None
        # It ends its workers itself, unless a check has killed it.
        for pid in self._workers:
            _kill_group(pid)
        self._workers.clear()
        for worker in self._idle:
            worker.connection.close()
        self._idle.clear()
        return status

    def close(self) -> None:
        """End every process of the plugin."""
        with self._changed:
            server, self._server = self._server, None
            if server is not None:
                server.leave()
            self._workers.clear()
            self._end_server()

    def acquire(self, context: Context | FixContext) -> _Worker:
        """A worker that knows the context: an idle one, or a new one."""
        with self._changed:
            if isinstance(context, Context):
                if len(self._workers) >= PROCESSORS:
                    self._changed.wait_for(lambda: self._idle, PATIENCE_S)
                if self._idle:
                    return self._idle.pop()
            worker = self._fork() or self._fork()
            if worker is None:
                raise MaestroError(f"the process of plugin {self.source.name} does not stay alive")
            self._workers.add(worker.pid)
        with contextlib.suppress(ClosedError):  # the first question will tell
            send_bytes(worker.connection, pickle.dumps({"context": context}, protocol=pickle.HIGHEST_PROTOCOL))
        return worker

    def _fork(self) -> _Worker | None:
        """A new worker; None after ending a server that no longer answers, so that the next try starts another."""
        if self._server is None:
            self.load()
        if self._server is None:
            return None
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                return _Worker(int(self._server.ask({"do": "fork"}, theirs.fileno())["pid"]), ours)
        except (ClosedError, GarbledError, OSError, KeyError):
            ours.close()
            self._end_server(kill=True)
            return None

    def release(self, worker: _Worker) -> None:
        """Give a worker back after a plain finding."""
        with self._changed:
            if worker.pid in self._workers:
                self._idle.append(worker)
                self._changed.notify()
            else:
                worker.connection.close()

    def end(self, worker: _Worker, *, kill: bool) -> int | None:
        """End a worker for good; returns its wait status, None where it can no longer be known."""
        # Shut down rather than closed: a thread that waits for its answer has to wake up.
        with contextlib.suppress(OSError):
            worker.connection.shutdown(socket.SHUT_RDWR)
        with self._changed:
            if self._server is None or worker.pid not in self._workers:
                return None
            self._workers.discard(worker.pid)
            try:
                return int(self._server.ask({"do": "end", "pid": worker.pid, "kill": kill})["status"])
            except (ClosedError, GarbledError, OSError, KeyError):
                self._end_server(kill=True)
                return None

    def ask(
        self,
        worker: _Worker,
        identifier: str,
        do: str,
        read: Callable[[dict[str, Any]], T],
        left: list[str] | None = None,
    ) -> T:
        """Have a worker do one thing for one check, and read its answer.

        Args:
            worker: From `acquire`.
            identifier: The check's id.
            do: `run`, or the half of its fix: `plan` or `undo`.
            read: Makes something of the answer.
            left: Gets what the check made in the service and could not take away again.

        Raises:
            MaestroError: When the worker ended, or answered with something that is no answer.
            BaseException: What the check raised, as `rebuild_error` says it.
        """
        try:
            number = next(_QUESTIONS)
            send_bytes(worker.connection, pickle.dumps({"do": do, "id": identifier, "number": number}))
            message = receive(worker.connection)
            if message.get("number") != number:
                raise GarbledError("it answers another question")
            if left is not None:
                left.extend(str(what) for what in message.get("left") or ())
            if "raised" not in message:
                return read(message)
        except ClosedError:
            status = self.end(worker, kill=False)
            raise MaestroError(f"the check ended its process instead of reporting{ending(status)}") from None
        except (GarbledError, KeyError) as error:
            self.end(worker, kill=True)
            raise MaestroError(f"the check's process answered with something else than a finding: {error}") from None
        self.end(worker, kill=True)
        raise rebuild_error(message, memory_mb=self.memory_mb)

    def __getstate__(self) -> dict[str, Any]:
        # Processes stay where they are; an executor elsewhere starts its own.
        return {
            "source": self.source,
            "folder": self.folder,
            "memory_mb": self.memory_mb,
            "load_s": self.load_s,
            "broken": self.broken,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc] # the same keys as the constructor's


@dataclass
class RemoteRun:
    """A check's `run`: has it run in a worker. `cancel` ends that worker, whatever it is doing."""

    host: PluginHost
    id: str
    _worker: _Worker | None = field(default=None, repr=False)

    def __call__(self, ctx: Context) -> Finding:
        """Run the check in its plugin's process."""
        self._worker = worker = self.host.acquire(ctx)
        try:
            finding = self.host.ask(worker, self.id, "run", rebuild_finding, ctx.cleanup.left)
        except BaseException:
            worker.connection.close()
            raise
        finally:
            self._worker = None
        self.host.release(worker)
        return finding

    def cancel(self) -> None:
        """Give up; the caller that waits gets an error."""
        worker = self._worker
        if worker is not None:
            self.host.end(worker, kill=True)

    def __reduce__(self) -> tuple[type[RemoteRun], tuple[PluginHost, str]]:
        return (RemoteRun, (self.host, self.id))


@record(frozen=True)
class RemoteFix:
    """One half of a plugin's fix, done in a worker of its own: `plan` or `undo`, by the key of its answer."""

    host: PluginHost
    id: str
    do: str

    def __call__(self, ctx: FixContext) -> Any:
        """Plan or apply."""
        worker = self.host.acquire(ctx)
        try:
            return self.host.ask(worker, self.id, self.do, lambda message: message[self.do])
        finally:
            self.host.end(worker, kill=True)
            worker.connection.close()


def ending(status: int | None) -> str:
    """A wait status in words to append: ` (exit code 3)`, ` (SIGSEGV)`, nothing where it is not known."""
    if status is None:
        return ""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f" ({signal.Signals(number).name})"
        except ValueError:
            return f" (signal {number})"
    return f" (exit code {os.WEXITSTATUS(status)})"
