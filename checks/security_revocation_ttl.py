"""How long a revoked token is remembered."""

from __future__ import annotations

import time

from maestro_cli.api import Context, Evidence, Finding, NotConfigured, check, errored, failed, passed
from maestro_cli.observe.revocation import REVOCATION_REQUESTS, blacklist_names, logged_out
from maestro_cli.observe.tokens import parse

SLACK_S = 3


@check(
    "security.revocation-ttl",
    component="security",
    priority="high",
    writes=True,
    last=True,
    requests=REVOCATION_REQUESTS,
    faults=("blacklist-ttl-short", "blacklist-ttl-none"),
)
def revocation_ttl(ctx: Context) -> Finding:
    """A revoked token is remembered as long as it would live, and no longer.

    Why: an entry that ends before its token brings the token back to life; one that never ends fills the memory.
    Fails when: after a log-out the entry under redis.blacklist_prefix has a shorter TTL than the token has life left, or
    none.
    Fix: set the entry with the token's remaining life as TTL: `SET prefix+jti 1 EX exp-now`.
    Source: OWASP ASVS 5.0 7.4.1; redis.io, EXPIRE
    """
    redis = ctx.require(ctx.settings.redis, "redis")
    prefix = ctx.require(redis.blacklist_prefix, "redis.blacklist_prefix")
    cache = ctx.redis
    story = logged_out(ctx)
    token = parse(story.session.access_token)
    end = None if token is None else token.claims.get("exp")
    if token is None or not isinstance(end, int | float):
        raise NotConfigured("the service's access tokens name no end that the entry could be compared with")
    found: list[tuple[str, int]] = []
    for name, key in blacklist_names(prefix, story.session.access_token, token):
        ttl = int(cache.call("TTL", key))
        if ttl != -2:  # there is such a key
            found.append((name, ttl))
    if not found:
        tried = ", ".join(name for name, _ in blacklist_names(prefix, "", token))
        return errored(
            "After a log-out no entry of the token is found under redis.blacklist_prefix.",
            Evidence("names looked up", f"{prefix}… with {tried}", "one of them"),
        )
    name, ttl = next((row for row in found if row[1] < 0), max(found, key=lambda row: row[1]))
    left = max(0.0, end - time.time())
    evidence = Evidence(
        f"TTL of {prefix}<{name}>", f"{ttl} s" if ttl >= 0 else "none: kept for ever", f"at least {left:.0f} s"
    )
    if ttl < 0:
        return failed("The entry of a revoked token never ends.", evidence)
    if ttl + SLACK_S < left:
        return failed(f"A revoked token is forgotten after {ttl} s and lives on for {left - ttl:.0f} s more.", evidence)
    return passed(f"A revoked token is remembered for {ttl} s; it would have lived for {left:.0f} s.", evidence)
