"""What the service's Redis user may do beyond its work."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed

DANGEROUS: tuple[tuple[str, ...], ...] = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("CONFIG", "GET", "maestro-probe"),
    ("KEYS", "maestro-probe"),
    ("DEBUG", "SLEEP", "0"),
    ("SHUTDOWN", "NOSAVE"),
    ("EVAL", "return 1", "0"),
)
"""Forgetting everything, changing the configuration, blocking the server, running programs in it."""
FATAL = ("FLUSHALL", "FLUSHDB", "CONFIG", "DEBUG", "SHUTDOWN")


@check(
    "security.redis-acl",
    component="security",
    priority="high",
    faults=("redis-user-may-everything", "redis-user-may-config"),
)
def redis_acl(ctx: Context) -> Finding:
    """The service's Redis user may not forget everything or change the server.

    Why: FLUSHALL makes every revoked token valid again; CONFIG has been used to write files on the server.
    Fails when: the user of redis.url may FLUSHALL, FLUSHDB, CONFIG, DEBUG or SHUTDOWN. KEYS, which blocks the server, and
    EVAL are told beside. Asked by queueing each in a MULTI that is discarded: nothing is ever run.
    Fix: give the service a user of its own: `ACL SETUSER app on >… ~prefix:* +@read +@write +@connection -@dangerous`.
    Source: redis.io, ACL; OWASP ASVS 5.0 13.2.2
    """
    outcomes = ctx.redis.queued(DANGEROUS)
    evidence, allowed = [], []
    for command, refusal in zip(DANGEROUS, outcomes, strict=True):
        name = command[0]
        expected = "refused" if name in FATAL else "refused, or needed"
        evidence.append(Evidence(name, "let through" if refusal is None else refusal[:60], expected))
        if refusal is None:
            allowed.append(name)
    unclear = [
        name
        for (name, *_), refusal in zip(DANGEROUS, outcomes, strict=True)
        if refusal is not None and not refusal.startswith(("NOPERM", "ERR unknown command"))
    ]
    fatal = [name for name in allowed if name in FATAL]
    if fatal:
        return failed(f"The service's Redis user may {', '.join(fatal)}.", *evidence)
    if len(unclear) == len(DANGEROUS):
        return errored("Redis does not tell what the service's user may do.", *evidence)
    return passed("The service's Redis user may neither forget everything nor change the server.", *evidence)
