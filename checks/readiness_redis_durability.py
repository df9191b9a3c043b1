"""Will Redis still know tomorrow which tokens were revoked today?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed, warned

STALE_S = 3600
WARN, FAIL = 0.75, 0.9


@check(
    "readiness.redis-durability",
    component="infrastructure",
    priority="high",
    faults=("redis-evicts", "redis-forgets", "redis-write-failed", "redis-memory-full"),
)
def redis_durability(ctx: Context) -> Iterator[Finding]:
    """Redis keeps what it is given.

    Why: a revoked token that is evicted for want of memory, or forgotten over a restart, is valid again.
    Fails when: maxmemory-policy evicts keys, 90 % of the memory is in use, the append-only file or the last snapshot could
    not be written, or there is neither an append-only file nor a snapshot from within the last hour.
    Fix: `CONFIG SET maxmemory-policy noeviction`, `CONFIG SET appendonly yes`, `CONFIG REWRITE`; give it more memory.
    Source: Redis documentation, Key eviction and Redis persistence (redis.io/docs/latest/operate/oss_and_stack/management/persistence)
    """
    from redis.exceptions import ResponseError

    try:
        # Two sections rather than all: a command's arguments in other ones are nobody's business.
        found: Mapping[str, object] = {**ctx.redis.call("INFO", "memory"), **ctx.redis.call("INFO", "persistence")}
    except ResponseError:
        yield errored("The service's user may not read INFO; grant it `+info` with ACL SETUSER.")
        return
    text = {name: str(value) for name, value in found.items()}
    yield _eviction(text)
    yield _memory(text)
    yield _persistence(text, ctx.now.timestamp(), _snapshots(ctx))


def _eviction(info: Mapping[str, str]) -> Finding:
    policy = info.get("maxmemory_policy", "")
    seen = Evidence("maxmemory-policy", policy or "not told", "noeviction")
    if not policy:
        return errored("Redis does not tell its eviction policy.", seen)
    if policy == "noeviction":
        return passed("Redis evicts nothing.", seen)
    if _number(info, "maxmemory") == 0:
        return warned(f"Redis has no memory limit yet; with one, {policy} evicts keys.", seen)
    return failed(f"Redis evicts keys ({policy}), revoked tokens among them.", seen)


def _memory(info: Mapping[str, str]) -> Finding:
    used = _number(info, "used_memory")
    room = _number(info, "maxmemory") or _number(info, "total_system_memory")
    if not room:
        return passed("Redis tells no memory limit.", Evidence("memory in use", f"{used / 1e6:.1f} MB"))
    share = used / room
    seen = Evidence("memory in use", f"{share:.1%} of {room / 1e6:.0f} MB", f"below {FAIL:.0%}")
    if share >= FAIL:
        return failed(f"Redis uses {share:.0%} of its memory.", seen)
    if share >= WARN:
        return warned(f"Redis uses {share:.0%} of its memory.", seen)
    return passed(f"Redis uses {share:.0%} of its memory.", seen)


def _persistence(info: Mapping[str, str], now: float, snapshots: bool | None) -> Finding:
    if info.get("aof_enabled") == "1":
        bad = [name for name in ("aof_last_write_status", "aof_last_bgrewrite_status") if info.get(name, "ok") != "ok"]
        if bad:
            return failed("Redis could not write its append-only file.", Evidence(bad[0], info[bad[0]], "ok"))
        return passed("Redis writes an append-only file.", Evidence("append-only file", "on, last write ok"))
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        return failed("Redis could not write its last snapshot.", Evidence("rdb_last_bgsave_status", "err", "ok"))
    age, changes = now - _number(info, "rdb_last_save_time"), _number(info, "rdb_changes_since_last_save")
    saves = _number(info, "rdb_saves")
    told = f"no append-only file, {saves} snapshots since the start, {changes} changes since {age / 60:.0f} min"
    seen = Evidence("persistence", told, "an append-only file, or fresh snapshots")
    if snapshots is False or "rdb_last_save_time" not in info:
        return failed("Redis keeps everything in memory only.", seen)
    if changes and age > STALE_S:
        return failed(f"Redis has changes that are in memory only since {age / 60:.0f} min.", seen)
    if snapshots or saves:
        return passed("Redis writes snapshots.", seen)
    # The start counts as a save, so without CONFIG an idle server looks the same with snapshots on and off.
    if changes:
        return failed("Redis has written no snapshot of its changes since it was started.", seen)
    return warned("Redis has written no snapshot since it was started.", seen)


def _snapshots(ctx: Context) -> bool | None:
    """Whether snapshots are configured; None where the service's user may not ask, as it should be."""
    from redis.exceptions import ResponseError

    try:
        return bool(ctx.redis.call("CONFIG", "GET", "save").get("save"))
    except ResponseError:
        return None


def _number(info: Mapping[str, str], name: str) -> int:
    text = info.get(name, "0")
    return int(text) if text.isdigit() else 0
