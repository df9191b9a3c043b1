"""One burst of requests into the rate limit, made once per run and shared by the checks that look at it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from maestro_cli.errors import MaestroError
from maestro_cli.observe import login as logins
from maestro_cli.observe import refused_login
from maestro_cli.observe import session as sessions
from maestro_cli.observe.endpoint import with_query
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
class Asking:
    """How a path is asked so that the service looks at the request at all.

    Attributes:
        path: What is asked for.
        method: How: a login is sent, everything else is got.
        login: Whether it is the login: then nobody's account and a password that nobody has are sent.
        headers: A token, where the path opens only with one.
        names: Makes each login one of another nobody, so that no lock of one account comes before the limit.
    """

    path: str
    method: str = "GET"
    login: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    names: Iterator[int] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def needs(self, ctx: Context, header: str) -> bool:
        """Whether a login is looked at only with this header, as maestro.yaml writes it: an API key, say."""
        api = ctx.settings.api
        login = api.auth.login if api is not None and api.auth is not None and self.login else None
        written = {**(api.headers or {}), **(login.headers or {})} if api is not None and login is not None else {}
        return header.lower() in {name.lower() for name in written}

    def send(
        self, ctx: Context, source: str | None, *, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Answer:
        """Send it once; a 429 is returned as it is."""
        sent = {**self.headers, **(headers or {})}
        if not self.login:
            return ctx.http.get(with_query(self.path, query), headers=sent, source=source, expect_limit=True)
        number = "" if self.names is None else f"-{next(self.names)}"
        name, word = f"maestro-probe-{ctx.nonce}{number}", logins.wrong_word(ctx)
        return refused_login.attempt(
            ctx, name, word, headers=sent, source=source, query=query, expect_limit=True, in_turn=False
        )


@dataclass(frozen=True)
class Burst:
    """What became of limit + BEYOND requests, or of those until the first 429.

    Attributes:
        asking: What was asked for, and how.
        source: The loopback address they came from; None where it was the machine's usual one.
        before: Requests of this run that the limit had counted already when the burst began.
        answers: In order; the last one is the 429, where there is one.
        elapsed_s: How long it took, in seconds.
    """

    asking: Asking
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
    """The run's burst; twice as long where no 429 came: a window may have ended in the middle of it.

    Two windows let at most twice the limit through. More in one go: there is none.

    Raises:
        NotConfigured: Without api.rate_limit.
        MaestroError: When the limit is too large to be probed, or the path answers neither 2xx nor 429.
        Unreachable: When no answer comes.
    """
    return ctx.shared("rate-limit-burst", lambda: _long_enough(ctx, _burst(ctx)))


def _long_enough(ctx: Context, found: Burst) -> Burst:
    if found.limited_at is not None:
        return found
    more = send_burst(ctx, found.asking, found.limit, found.source)
    return replace(found, answers=found.answers + more.answers, elapsed_s=found.elapsed_s + more.elapsed_s)


def _burst(ctx: Context) -> Burst:
    api = ctx.require(ctx.settings.api, "api")
    limit = ctx.require(api.rate_limit, "api.rate_limit")
    if limit.requests > MAXIMUM_BURST:
        raise MaestroError(
            f"a limit of {limit.requests} requests is not probed: more than {MAXIMUM_BURST} would be a load"
        )
    path = limit.path or api.health_path
    asking = _asking(ctx, path)
    # An address of its own, where there are several: then the burst neither finds a used window nor leaves one.
    source = ctx.http.another_source(7_777)
    before = (
        0
        if source is not None
        else ctx.http.sent_lately(None if limit.scope == "client" else path, limit.window_seconds)
    )
    found = send_burst(ctx, asking, limit, source, before=before)
    if not asking.login or found.limited_at is None or found.limited_at > limit.requests:
        return found
    return _of_many_names(ctx, found) or found


def _of_many_names(ctx: Context, first: Burst) -> Burst | None:
    """The burst once more with another name each time; None where that is refused as early.

    Failed logins of one account may run into a lock of their own, long before the limit of an address.
    """
    asking = replace(first.asking, names=itertools.count(1))
    # The first burst has used some of the window, where there is no other address to come from.
    source = ctx.http.another_source(7_779)
    before = 0 if source is not None else first.before + len(first.answers)
    found = send_burst(ctx, asking, first.limit, source, before=before)
    later = found.limited_at is None or first.limited_at is None or found.limited_at > first.limited_at
    return found if later else None


def _asking(ctx: Context, path: str) -> Asking:
    """How to ask: the login as a login, and what is closed without a token with the first account's.

    A limit that counts logins lets a GET of their path pass by, and one behind the door never sees who is not let in.
    """
    auth = ctx.settings.api.auth if ctx.settings.api is not None else None
    if auth is None or not auth.accounts or (auth.login is None and logins.own_token(auth, auth.accounts[0]) is None):
        return Asking(path)
    if auth.login is not None and path == auth.login.path:
        return Asking(path, (auth.login.method or "POST").upper(), login=True)
    if ctx.http.get(path).status in (401, 403):
        return Asking(path, headers=sessions.for_account(ctx, 0).headers)
    return Asking(path)


def send_burst(ctx: Context, asking: Asking, limit: RateLimit, source: str | None, *, before: int = 0) -> Burst:
    """Send up to limit + BEYOND requests, less those before, until a 429 comes."""
    started = time.perf_counter()
    answers: list[Answer] = []
    left = max(0, limit.requests - before) + BEYOND

    def ask(_: int) -> Answer:
        return asking.send(ctx, source)

    with ThreadPoolExecutor(CROWD) as crowd:
        while left > 0 and not any(answer.status == 429 for answer in answers):
            # One by one where that is fast: then it is seen exactly which request was the first to be refused.
            slow = len(answers) >= SAMPLE and sum(answer.elapsed_s for answer in answers) > SLOW_S * len(answers)
            wave = min(left, CROWD if slow else 1)
            answers += crowd.map(ask, range(wave)) if slow else [ask(0)]
            left -= wave
    return Burst(asking, source, limit, before, tuple(answers), time.perf_counter() - started)
