"""Redis's first words, spoken without a login (RESP: https://redis.io/docs/latest/develop/reference/protocol-spec/)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from maestro_cli.observe.cache import REDIS
from maestro_cli.observe.errors import Unreachable
from maestro_cli.observe.wire import Target, connected

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

RESP_TYPES = b"+-:$*_#,(!=%~>|"


@dataclass(frozen=True, slots=True)
class FirstWord:
    """The first line of an answer to PING. `code` is an error's first word (NOAUTH, LOADING), None where it is none."""

    speaks_resp: bool
    line: str
    code: str | None = None


def redis_target(ctx: Context) -> tuple[Target, bool]:
    """Where redis.url points to, and whether TLS is spoken there.

    Raises:
        NotConfigured: Without redis.url.
        Unreachable: For an address that is none.
    """
    redis = ctx.require(ctx.settings.redis, "redis")
    parts = urlsplit(ctx.require(redis.url, "redis.url").reveal())
    if parts.scheme == "unix":
        return Target(REDIS, socket_path=unquote(parts.path)), False
    try:
        port = parts.port or 6379
    except ValueError:
        port = 0
    if parts.scheme not in {"redis", "rediss"} or not port:
        raise Unreachable(REDIS, "redis.url is not a redis://, rediss:// or unix:// address")
    return Target(REDIS, parts.hostname or "localhost", port), parts.scheme == "rediss"


def first_word(target: Target, *, tls: bool) -> FirstWord:
    """Say PING and read one line; no password is sent.

    Raises:
        Unreachable: When there is no connection or no answer.
    """
    with connected(target) as wire:
        if tls:
            wire.start_tls()
        wire.send(b"PING\r\n")
        data = b""
        while b"\r\n" not in data and len(data) < 512:
            more = wire.receive(512 - len(data))
            if not more:
                break
            data += more
    line = data.partition(b"\r\n")[0].decode("utf-8", "replace")
    speaks = data[:1] in {RESP_TYPES[i : i + 1] for i in range(len(RESP_TYPES))} and b"\r\n" in data
    code = line[1:].split(" ", 1)[0] if speaks and line.startswith("-") else None
    return FirstWord(speaks, line, code)
