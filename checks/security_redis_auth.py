"""Whether Redis asks who one is."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed
from maestro_cli.observe.cache import anonymous_answer
from maestro_cli.secrets import judge

LEAST_BITS = 64
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
    Fails when: it answers PING without a password, takes one of five that everybody knows for its default user or any at all
    for the user of redis.url, or the password in redis.url is one that is guessed.
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
    own = urlsplit(cache.url.reveal())
    user, password = unquote(own.username or ""), unquote(own.password or "")
    if password and user not in ("", "default"):
        if anonymous_answer(cache.url, f"maestro-{ctx.nonce}", user).startswith("+PONG"):
            evidence.append(Evidence("the service's user with a random password", "let in", "refused"))
            return failed(f"Redis at {cache.address} takes any password for the service's user.", *evidence)
        evidence.append(Evidence("the service's user with a random password", "refused", "refused"))
    if password:
        problems = judge("REDIS_PASSWORD", password, LEAST_BITS, words={user, ctx.settings.service.name} - {""})
        if problems:
            said = "; ".join(problem.message for problem in problems)
            return failed(
                f"The password in redis.url {said}.", *evidence, Evidence("password in redis.url", said, "random")
            )
    return passed(f"Redis at {cache.address} asks for a login.", *evidence)
