"""Does Redis answer the application's own user, quickly?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.observe.timing import median_ms


@check(
    "health.redis-answers",
    component="infrastructure",
    priority="high",
    faults=("redis-slow", "redis-ping-denied"),
)
def redis_answers(ctx: Context) -> Finding:
    """Redis answers.

    Why: every request that carries a token asks Redis whether it was revoked, so its latency is the service's.
    Fails when: the service's user may not PING, or the median round trip is above redis.max_latency_ms.
    Fix: look at the server's load (SLOWLOG GET) and the network between; grant the user `+ping` with ACL SETUSER.
    Source: Redis documentation, Diagnosing latency issues (redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency)
    """
    from redis.exceptions import ResponseError

    budget = ctx.require(ctx.settings.redis, "redis").max_latency_ms
    # Reaching the shared pool already says PING, so a user who may not is met here first.
    try:
        cache = ctx.redis
        taken = median_ms(lambda: cache.call("PING"))
    except ResponseError as error:
        return failed("Redis refuses the service's user a PING.", Evidence("answer to PING", str(error)[:80], "PONG"))
    latency = Evidence("median round trip", f"{taken:.1f} ms", f"at most {budget:g} ms")
    if taken > budget:
        return failed(
            f"Redis at {cache.address} takes {taken:.0f} ms for a round trip; at most {budget:g} ms.", latency
        )
    return passed(f"Redis at {cache.address} answers in {taken:.1f} ms.", latency)
