"""Whether Redis asks who one is."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed
from maestro_cli.observe.cache import anonymous_answer

GUESSES = ("", "redis", "foobared", "password", "changeme")


@check(
    "security.redis-auth",
    component="security",
    priority="critical",
    faults=("redis-no-password", "redis-default-password"),
)
def redis_auth(ctx: Context) -> Finding:
    """Redis does nothing for whoever does not log in.

    Why: an open Redis hands out sessions and revoked tokens, and has been a way to run programs on its server for years.
    Fails when: it answers PING without a password, or takes one of five that everybody knows for its default user.
    Fix: `user default off` and a user of its own for the service (ACL), or at least `requirepass`; bind it to an inner
    address.
    Source: redis.io, Security and ACL; OWASP ASVS 5.0 13.2.3; CIS Redis 3
    """
    cache = ctx.redis  # the control: the configured user is let in
    evidence = [Evidence(f"control: the service's user at {cache.address}", "let in", "let in")]
    plain = anonymous_answer(cache.url, None)
    evidence.append(Evidence("PING without a login", plain, "NOAUTH"))
    if plain.startswith("+PONG"):
        return failed(f"Redis at {cache.address} answers without a login.", *evidence)
    if not plain.startswith(("-NOAUTH", "-DENIED", "-NOPERM", "-ERR")):
        return errored(f"Redis at {cache.address} answers a PING without a login with something else.", *evidence)
    for guess in GUESSES:
        if anonymous_answer(cache.url, guess).startswith("+PONG"):
            evidence.append(Evidence("a well-known password of the default user", "taken", "refused"))
            return failed(f"Redis at {cache.address} takes a well-known password.", *evidence)
    evidence.append(Evidence(f"{len(GUESSES)} well-known passwords", "refused", "refused"))
    return passed(f"Redis at {cache.address} asks for a login.", *evidence)
