"""Is there a Redis or Valkey?"""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.observe.redis_protocol import first_word, redis_target

_NOT_READY = {
    "LOADING": "it is still loading its data",
    "MASTERDOWN": "it is a replica that has lost its primary",
    "DENIED": "protected mode refuses connections from elsewhere",
    "ERR": "it refuses to serve",
    "BUSY": "a script holds it up",
}


@check(
    "health.redis-up",
    component="infrastructure",
    priority="critical",
    faults=("redis-port-taken", "redis-loading"),
)
def redis_up(ctx: Context) -> Finding:
    """Redis is up.

    Why: revoked tokens and rate windows live there; a process that is listed as running may still be loading its data.
    Fails when: what answers at the address of redis.url does not speak Redis's protocol, or says that it cannot serve.
    Fix: look at the server's log; start it, or correct the host and port in redis.url.
    Source: Redis serialization protocol specification (redis.io/docs/latest/develop/reference/protocol-spec)
    """
    target, tls = redis_target(ctx)
    heard = first_word(target, tls=tls)
    address = Evidence("address", str(target))
    answer = Evidence("answer to PING", heard.line[:80] or "nothing", "+PONG or -NOAUTH")
    if not heard.speaks_resp:
        return failed(f"Something that is not Redis answers at {target}.", address, answer)
    if heard.code in _NOT_READY:
        return failed(f"Redis at {target} is up but not ready: {_NOT_READY[heard.code]}.", address, answer)
    return passed(f"Redis at {target} answers.", address, answer)
