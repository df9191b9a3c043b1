"""Does Redis answer the application's own user, quickly, and is its version still supported?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed, warned
from maestro_cli.observe.timing import median_ms

VALKEY = {
    "7.2": date(2029, 4, 16),
    "8.0": date(2027, 9, 15),
    "8.1": date(2030, 3, 31),
    "9.0": date(2028, 10, 21),
}
"""Ends of the security fixes, from https://valkey.io/topics/releases/."""
REDIS = {
    "6.0": date(2022, 5, 31),
    "7.0": date(2024, 7, 29),
    "8.0": date(2026, 2, 11),
}
"""Ends of the fixes, from https://github.com/redis/redis/security; versions that are not named there have no end yet."""
CARRIED_ON = timedelta(days=3 * 365)
"""For so long a distribution may go on fixing what its makers no longer do."""
NOTICE = timedelta(days=90)


@check(
    "health.redis-answers",
    component="infrastructure",
    priority="high",
    faults=("redis-slow", "redis-ping-denied", "redis-end-of-life"),
)
def redis_answers(ctx: Context) -> Iterator[Finding]:
    """Redis answers.

    Why: every request that carries a token asks Redis whether it was revoked, so its latency is the service's.
    Fails when: the service's user may not PING, the median round trip is above redis.max_latency_ms, or the version's makers
    have fixed nothing in it for three years; warns where they have stopped more lately (a distribution may go on), or stop
    within 90 days. A user who may not read INFO is not told the version.
    Fix: look at the server's load (SLOWLOG GET) and the network between; grant the user `+ping` with ACL SETUSER; upgrade.
    Source: Redis documentation, Diagnosing latency issues (redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency)
    """
    from redis.exceptions import ResponseError

    budget = ctx.require(ctx.settings.redis, "redis").max_latency_ms
    # Reaching the shared pool already says PING, so a user who may not is met here first.
    try:
        cache = ctx.redis
        taken = median_ms(lambda: cache.call("PING"))
    except ResponseError as error:
        if "unknown command" in str(error) and "HELLO" in str(error):
            older = Evidence("answer to HELLO", "unknown command", "Redis 6.0 or newer")
            yield failed(f"Redis is older than 6.0, which has had no fixes since {REDIS['6.0']}.", older)
            return
        yield failed("Redis refuses the service's user a PING.", Evidence("answer to PING", str(error)[:80], "PONG"))
        return
    latency = Evidence("median round trip", f"{taken:.1f} ms", f"at most {budget:g} ms")
    if taken > budget:
        yield failed(f"Redis at {cache.address} takes {taken:.0f} ms for a round trip; at most {budget:g} ms.", latency)
    else:
        yield passed(f"Redis at {cache.address} answers in {taken:.1f} ms.", latency)
    try:
        info: Mapping[str, object] = cache.call("INFO", "server")
    except ResponseError:
        return
    yield from _supported(info, ctx.now.date())


def _supported(info: Mapping[str, object], today: date) -> Iterator[Finding]:
    valkey = info.get("valkey_version")
    name, version = ("Valkey", str(valkey)) if valkey else ("Redis", str(info.get("redis_version", "")))
    parts = version.split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        return
    last = (VALKEY if valkey else REDIS).get(f"{parts[0]}.{parts[1]}")
    seen = Evidence("server version", f"{name} {version}", f"fixes until {last}" if last else "a supported version")
    if last is not None and today > last + CARRIED_ON:
        yield failed(f"{name} {version} has had no fixes since {last}.", seen)
    elif last is not None and today > last - NOTICE:
        has = "got" if today > last else "gets"
        yield warned(f"{name} {version} {has} its makers' last fixes on {last}.", seen)
    else:
        yield passed(f"{name} {version} is supported.", seen)
