"""An executor of daemon threads: one that hangs keeps neither the others nor the process from ending."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")
_Work = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class DaemonThreads(Executor):
    """Starts a thread whenever none is idle, and reuses idle ones.

    `concurrent.futures.ThreadPoolExecutor` joins its threads at exit, so that one hanging check would hang the program.
    How many run at once is the caller's decision.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run `fn` in a thread."""
        future: Future[T] = Future()
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            else:
                self._threads += 1
                threading.Thread(target=self._serve, name=f"check-{self._threads}", daemon=True).start()
        self._work.put((future, fn, args, kwargs))
        return future

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            future, fn, args, kwargs = item
            if future.set_running_or_notify_cancel():
                try:
                    outcome = fn(*args, **kwargs)
                except BaseException as error:  # noqa: BLE001 - handed to whoever asks the future
                    outcome = None
                    self._rest()
                    future.set_exception(error)
                else:
                    self._rest()
                    future.set_result(outcome)
            else:
                self._rest()
            del item, future, fn, args, kwargs

    def _rest(self) -> None:
        # Before the result is told: whoever waits for it may submit at once, and should find this thread idle.
        with self._lock:
            self._idle += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - base class
        """Let idle threads end; busy ones are daemons and end with the process."""
        with self._lock:
            for _ in range(self._threads):
                self._work.put(None)
