"""Waiting for a rate limit's window: once for everyone, bounded, told to whoever shows progress, kept out of deadlines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from maestro_cli.observe.errors import Unreachable

LIMIT = "a quiet rate-limit window"


class RateLimited(Unreachable):
    """The service answered 429 to a probe that is not about the limit, and its window is too long to wait for.

    A 429 says nothing about what was probed: the check is an error, never a pass.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(LIMIT, reason)
        self.message = f"left unmeasured: {reason}"

    def __reduce__(self) -> tuple[type[RateLimited], tuple[str]]:  # type: ignore[override] # one argument fewer
        return (RateLimited, (self.reason,))


@dataclass
class Patience:
    """How long this run may still wait, and when it did.

    Attributes:
        budget_s: Seconds of waiting left.
        on_wait: Told once per wait how many seconds it will take.
    """

    budget_s: float = 60.0
    on_wait: Callable[[float], None] | None = None
    _until: float = 0.0
    _intervals: list[tuple[float, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def wait(self, seconds: float) -> None:
        """Sleep until the window is over; threads that ask during one wait share it.

        Raises:
            RateLimited: When that is longer than this run may still wait.
        """
        seconds = max(seconds, 0.05)
        now = time.perf_counter()
        with self._lock:
            if now >= self._until:
                if seconds > self.budget_s:
                    raise RateLimited(
                        f"the service's rate limit answers 429 and asks to wait {seconds:.0f} s; "
                        f"{self.budget_s:.0f} s of --max-wait are left"
                    )
                self.budget_s -= seconds
                self._until = now + seconds
                self._intervals.append((now, self._until))
                if self.on_wait is not None:
                    self.on_wait(seconds)
        self.hold()

    def hold(self) -> None:
        """Sleep while a wait is on; a request sent now would be a 429 again."""
        while (left := self._until - time.perf_counter()) > 0:
            time.sleep(min(left, 0.5))

    def since(self, started: float) -> float:
        """Seconds waited after `started` (time.perf_counter()), including what is still to be waited now."""
        return sum(max(0.0, end - max(begin, started)) for begin, end in list(self._intervals))


def retry_after(value: str | None, *, default_s: float, now: datetime | None = None) -> float:
    """A Retry-After header in seconds: delta-seconds or an HTTP date (RFC 9110 §10.2.3)."""
    if value is None:
        return default_s
    text = value.strip()
    if text.replace(".", "", 1).isdigit():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        then = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return default_s
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())
