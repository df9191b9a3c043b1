"""What a probe made and must take away again, on success, on failure and on an interruption."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TOTAL_S = 10.0


@dataclass
class Cleanup:
    """Things to undo when the run ends; each is undone once.

    Attributes:
        left: What could not be undone, and why; for the report.
    """

    left: list[str] = field(default_factory=list)
    _tasks: list[tuple[int, str, Callable[[], Any]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, what: str, undo: Callable[[], Any], *, order: int = 0) -> Callable[[], Any]:
        """Register, before or right after making it.

        Args:
            what: What is there, for the message if it stays.
            undo: Takes it away; raising means that it stayed.
            order: Lower first: objects (0) are deleted before the session that owns them is logged out (1).

        Returns:
            Undoes it now, and takes it off the list; a second call does nothing.
        """
        task = (order, what, undo)
        with self._lock:
            self._tasks.append(task)

        def now() -> Any:
            with self._lock:
                if task not in self._tasks:
                    return None
                self._tasks.remove(task)
            return undo()

        return now

    @property
    def pending(self) -> bool:
        """Whether there is anything to undo."""
        with self._lock:
            return bool(self._tasks)

    def run(self, *, total_s: float = TOTAL_S, waited: Callable[[float], float] = lambda _: 0.0) -> None:
        """Undo everything that is left, in order, within `total_s` seconds in all.

        Args:
            total_s: How long it may take, in seconds.
            waited: How long was waited for the service's rate limit since a moment (time.perf_counter()), in seconds;
                that does not count.
        """
        started = time.perf_counter()

        def left_s() -> float:
            return started + waited(started) + total_s - time.perf_counter()

        while (task := self._next()) is not None:
            _, what, undo = task
            if left_s() < 0:
                self.left.append(f"{what}: no time was left")
                continue
            worker = threading.Thread(target=self._undo, args=(what, undo), daemon=True)
            worker.start()
            worker.join(max(0.05, left_s()))
            while worker.is_alive() and left_s() > 0:  # it waits for the rate limit
                worker.join(left_s())
            if worker.is_alive():
                self.left.append(f"{what}: no answer in time")

    def _next(self) -> tuple[int, str, Callable[[], Any]] | None:
        """The next thing to undo, off the list: also one that came while others were undone, such as a login to delete with."""
        with self._lock:
            if not self._tasks:
                return None
            task = min(self._tasks, key=lambda task: task[0])
            self._tasks.remove(task)
            return task

    def _undo(self, what: str, undo: Callable[[], Any]) -> None:
        try:
            undo()
        except Exception as error:  # noqa: BLE001 - told in the report; the other things are still undone
            self.left.append(f"{what}: {error}")
