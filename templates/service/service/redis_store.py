"""What Redis remembers: revoked tokens, refresh-token families, and how often a client has asked.

    token:blacklist:<jti or family>   a revoked access token, or all access tokens of a login; TTL ≥ what is left of them
    token:family:<family>             the jti of the one refresh token of a login that is still good
    rate:<client>:<method> <path>     requests in the running window

The application's Redis user needs no more than reading and writing these keys (see README, "Redis").
"""

from __future__ import annotations

import time
from functools import cache

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service import faults
from service.settings import current


@cache
def client() -> redis.Redis:
    """The pool; made on first use. One retry, because a restarted server leaves dead connections in the pool."""
    return redis.Redis.from_url(
        current().redis_url,
        socket_connect_timeout=1,
        socket_timeout=1,
        retry=Retry(NoBackoff(), 1),
        decode_responses=True,
    )


def ping() -> None:
    """Ask Redis something; raises where it does not answer."""
    client().ping()


def _revoke(name: str, until: float) -> None:
    seconds = (
        30 if faults.on("blacklist-ttl-short") else max(1, int(until - time.time()) + current().leeway_seconds + 1)
    )
    client().set(current().blacklist_prefix + name, "revoked", ex=None if faults.on("blacklist-ttl-none") else seconds)


def revoke_token(jti: str, expires: float) -> None:
    """Refuse an access token from now on. `expires` is its exp, in seconds since 1970."""
    _revoke(jti, expires)


def is_revoked(jti: str, family: str) -> bool:
    """Whether an access token was revoked, or the login that it comes from."""
    prefix = current().blacklist_prefix
    return bool(client().exists(prefix + jti, prefix + family))


def start_family(family: str, jti: str) -> None:
    """Remember the first refresh token of a login."""
    client().set(f"token:family:{family}", jti, ex=current().refresh_seconds)


def rotate(family: str, used: str, new: str) -> bool:
    """Replace a login's refresh token; atomic.

    Returns:
        False where `used` is not the one that is good. Somebody else has used it, then: the login is over for both of
        them (RFC 9700, section 4.14.2).
    """
    key = f"token:family:{family}"
    if faults.on("refresh-reusable"):
        return bool(client().exists(key))
    before = client().set(key, new, xx=True, get=True, ex=current().refresh_seconds)
    if before == used:
        return True
    if before is not None and faults.on("refresh-family-survives"):
        client().set(key, before, xx=True, keepttl=True)
    else:
        end_family(family)
    return False


def end_family(family: str) -> None:
    """End a login: its refresh token and every access token that came from it."""
    client().delete(f"token:family:{family}")
    _revoke(family, time.time() + current().access_seconds)


def count_request(client_name: str, bucket: str) -> tuple[int, float]:
    """Count one request.

    Returns:
        Requests in the running window, and the seconds until it ends. A window begins with its first request.
    """
    key, window = f"rate:{client_name}:{bucket}", current().rate_window_seconds
    with client().pipeline(transaction=True) as pipeline:
        pipeline.set(key, 0, ex=window, nx=True)
        pipeline.incr(key)
        pipeline.pttl(key)
        _, count, milliseconds = pipeline.execute()
    return int(count), max(0.0, int(milliseconds) / 1000)
