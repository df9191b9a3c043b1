"""One burst of requests into the rate limit, made once per run and shared by the checks that look at it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maestro_cli.errors import MaestroError
from maestro_cli.observe.http import Answer

if TYPE_CHECKING:
    from maestro_cli.config.settings import RateLimit
    from maestro_cli.observe.context import Context

BEYOND = 5
"""Requests past the limit that are tried before it is said that there is none."""
MAXIMUM_BURST = 1_000
"""The largest limit that is probed; a larger one would be a load test."""


@dataclass(frozen=True)
class Burst:
    """What became of limit + BEYOND requests, or of those until the first 429.

    Attributes:
        path: What was asked for.
        source: The loopback address they came from; None where it was the machine's usual one.
        before: Requests of this run that the limit had counted already when the burst began.
        answers: In order; the last one is the 429, where there is one.
        elapsed_s: How long it took, in seconds.
    """

    path: str
    source: str | None
    limit: RateLimit
    before: int
    answers: tuple[Answer, ...]
    elapsed_s: float

    @property
    def limited_at(self) -> int | None:
        """Which request (1-based, with those before the burst) was the first to be answered 429."""
        return self.before + len(self.answers) if self.answers and self.answers[-1].status == 429 else None

    @property
    def refusal(self) -> Answer | None:
        """The 429."""
        return self.answers[-1] if self.limited_at is not None else None


def burst_requests(limit: RateLimit) -> int:
    """The most requests that a burst sends."""
    return min(limit.requests, MAXIMUM_BURST) + BEYOND


def burst(ctx: Context) -> Burst:
    """The run's burst.

    Raises:
        NotConfigured: Without api.rate_limit.
        MaestroError: When the limit is too large to be probed, or the path answers neither 2xx nor 429.
        Unreachable: When no answer comes.
    """
    return ctx.shared("rate-limit-burst", lambda: _burst(ctx))


def _burst(ctx: Context) -> Burst:
    api = ctx.require(ctx.settings.api, "api")
    limit = ctx.require(api.rate_limit, "api.rate_limit")
    if limit.requests > MAXIMUM_BURST:
        raise MaestroError(
            f"a limit of {limit.requests} requests is not probed: more than {MAXIMUM_BURST} would be a load"
        )
    path = limit.path or api.health_path
    # An address of its own, where there are several: then the burst neither finds a used window nor leaves one.
    source = ctx.http.another_source(7_777)
    before = (
        0
        if source is not None
        else ctx.http.sent_lately(None if limit.scope == "client" else path, limit.window_seconds)
    )
    started = time.perf_counter()
    answers: list[Answer] = []
    for _ in range(max(0, limit.requests - before) + BEYOND):
        answers.append(ctx.http.get(path, source=source, expect_limit=True))
        if answers[-1].status == 429:
            break
    return Burst(path, source, limit, before, tuple(answers), time.perf_counter() - started)
