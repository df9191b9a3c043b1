"""What the service's Redis user may do beyond its work."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed, warned

DANGEROUS: tuple[tuple[str, ...], ...] = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("CONFIG", "GET", "maestro-probe"),
    ("CONFIG", "SET", "maestro-probe", "0"),
    ("ACL", "SETUSER", "maestro-probe", "off"),
    ("MODULE", "LOAD", "/maestro-probe"),
    ("REPLICAOF", "NO", "ONE"),
    ("MONITOR",),
    ("SWAPDB", "0", "0"),
    ("KEYS", "maestro-probe"),
    ("DEBUG", "SLEEP", "0"),
    ("SHUTDOWN", "NOSAVE"),
    ("EVAL", "return 1", "0"),
)
"""Forgetting everything, changing the configuration or the users, loading code, handing the data to another server,
listening to every command, blocking the server, running programs in it."""
SPOILT: dict[str, tuple[str, ...]] = {
    "FLUSHALL": ("FLUSHALL", "maestro-probe"),
    "FLUSHDB": ("FLUSHDB", "maestro-probe"),
    "CONFIG GET": ("CONFIG", "GET", "maestro-probe"),
    "CONFIG SET": ("CONFIG", "SET", "maestro-probe", "0"),
    "ACL SETUSER": ("ACL", "SETUSER", "maestro-probe", "maestro-probe"),
    "MODULE LOAD": ("MODULE", "LOAD", "/maestro-probe/none.so"),
    "REPLICAOF": ("REPLICAOF", "maestro-probe", "maestro-probe"),
    "SWAPDB": ("SWAPDB", "maestro-probe", "maestro-probe"),
    "DEBUG": ("DEBUG", "maestro-probe"),
    "SHUTDOWN": ("SHUTDOWN", "maestro-probe"),
}
"""The same with words that no version takes, for a user who may not open a transaction: its rights are looked at before
the words are, and the words are refused before anything is done. Nothing spoils MONITOR, KEYS and EVAL."""
REFUSED = ("NOPERM", "unknown command", "not allowed", "not asked")
FATAL = ("FLUSHALL", "FLUSHDB", "SWAPDB", "CONFIG", "ACL", "MODULE", "REPLICAOF", "MONITOR", "DEBUG", "SHUTDOWN")
SLOW = ("KEYS",)


@check(
    "security.redis-acl",
    component="security",
    priority="high",
    faults=("redis-user-may-everything", "redis-user-may-config"),
)
def redis_acl(ctx: Context) -> Finding:
    """The service's Redis user may not forget everything or change the server.

    Why: FLUSHALL makes every revoked token valid again; CONFIG has been used to write files on the server; MONITOR shows
    every token that is looked up.
    Fails when: the user of redis.url may FLUSHALL, FLUSHDB, SWAPDB, CONFIG, ACL SETUSER, MODULE LOAD, REPLICAOF, MONITOR,
    DEBUG or SHUTDOWN. KEYS, which blocks the server while it looks through all keys, is a warning; EVAL is told beside.
    Asked by queueing each in a MULTI that is discarded, or, of a user without the right to MULTI, with words that the
    command refuses: nothing is ever run. MONITOR, KEYS and EVAL are then left out.
    Fix: give the service a user of its own: `ACL SETUSER app on >… ~prefix:* +@read +@write +@connection -@dangerous`.
    Source: redis.io, ACL; OWASP ASVS 5.0 13.2.2
    """
    outcomes = ctx.redis.queued(DANGEROUS)
    if outcomes is None:
        outcomes = _spoilt(ctx)
    evidence, allowed = [], []
    for command, refusal in zip(DANGEROUS, outcomes, strict=True):
        name = _name(command)
        expected = "refused" if command[0] in (*FATAL, *SLOW) else "refused, or needed"
        evidence.append(Evidence(name, "let through" if refusal is None else refusal[:60], expected))
        if refusal is None:
            allowed.append(name)
    unclear = [
        name
        for (name, *_), refusal in zip(DANGEROUS, outcomes, strict=True)
        if refusal is not None and not refusal.startswith(("NOPERM", "ERR unknown command"))
    ]
    fatal = [name for name in allowed if name.split()[0] in FATAL]
    if fatal:
        return failed(f"The service's Redis user may {', '.join(fatal)}.", *evidence)
    if len(unclear) == len(DANGEROUS):
        return errored("Redis does not tell what the service's user may do.", *evidence)
    slow = [name for name in allowed if name in SLOW]
    if slow:
        return warned(
            f"The service's Redis user may {', '.join(slow)}, which stops everybody else for a while.", *evidence
        )
    return passed("The service's Redis user may neither forget everything nor change the server.", *evidence)


def _name(command: tuple[str, ...]) -> str:
    return " ".join(command[:2]) if command[0] in ("CONFIG", "ACL", "MODULE") else command[0]


def _spoilt(ctx: Context) -> list[str | None]:
    """The same outcomes for a user without transactions: a right shows in an error about the words, not about the user."""
    said = dict(zip(SPOILT, ctx.redis.refusals(list(SPOILT.values())), strict=True))
    outcomes: list[str | None] = []
    for command in DANGEROUS:
        refusal = said.get(_name(command), "not asked: it could not be without being run")
        denied = refusal is not None and any(word in refusal for word in REFUSED)
        outcomes.append(refusal if denied else None)
    return outcomes
