"""One burst of requests into the rate limit, made once per run and shared by the checks that look at it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maestro_cli.errors import MaestroError
from maestro_cli.observe.http import Answer

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import RateLimit
    from maestro_cli.observe.context import Context

BEYOND = 5
"""Requests past the limit that are tried before it is said that there is none."""
CROWD, SAMPLE, SLOW_S = 8, 3, 0.03
"""Where an answer takes longer than SLOW_S (the mean after SAMPLE requests), CROWD requests are sent at once."""
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
        if self.refusal is None:
            return None
        return self.before + sum(answer.status != 429 for answer in self.answers) + 1

    @property
    def refusal(self) -> Answer | None:
        """The first 429."""
        return next((answer for answer in self.answers if answer.status == 429), None)


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
    return send_burst(ctx, path, limit, source, before=before)


def send_burst(ctx: Context, path: str, limit: RateLimit, source: str | None, *, before: int = 0) -> Burst:
    """Send up to limit + BEYOND requests, less those before, until a 429 comes."""
    started = time.perf_counter()
    answers: list[Answer] = []
    left = max(0, limit.requests - before) + BEYOND

    def ask(_: int) -> Answer:
        return ctx.http.get(path, source=source, expect_limit=True)

    with ThreadPoolExecutor(CROWD) as crowd:
        while left > 0 and not any(answer.status == 429 for answer in answers):
            # One by one where that is fast: then it is seen exactly which request was the first to be refused.
            slow = len(answers) >= SAMPLE and sum(answer.elapsed_s for answer in answers) > SLOW_S * len(answers)
            wave = min(left, CROWD if slow else 1)
            answers += crowd.map(ask, range(wave)) if slow else [ask(0)]
            left -= wave
    return Burst(path, source, limit, before, tuple(answers), time.perf_counter() - started)
