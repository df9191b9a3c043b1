"""How long an answer takes: the median of a few, so that one hiccup is not a verdict."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def median_ms(ask: Callable[[], object], *, times: int = 5, budget_s: float = 6.0) -> float:
    """Median time of `ask`, in milliseconds.

    Args:
        ask: Sends one question and waits for its answer.
        times: How often; fewer where the budget runs out, at least once.
        budget_s: For all together, in seconds.
    """
    end = time.perf_counter() + budget_s
    taken: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        ask()
        now = time.perf_counter()
        taken.append(now - started)
        if now >= end:
            break
    return statistics.median(taken) * 1000
