"""Redis or Valkey, as the service's own user sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from maestro_cli.observe.errors import Unreachable
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

REDIS = "Redis"
CONNECT_S = 3
ANSWER_S = 5


@dataclass
class Cache:
    """A connection pool; `client` is redis-py's."""

    url: Secret
    client: Any

    @classmethod
    def from_context(cls, ctx: Context) -> Cache:
        """The configured Redis, seen to be reachable."""
        redis = ctx.require(ctx.settings.redis, "redis")
        url = ctx.require(redis.url, "redis.url")
        instance = cls(url, connect(url))
        instance.call("PING")
        return instance

    @property
    def address(self) -> str:
        """`host:port`, without user and password."""
        return address(self.url)

    def call(self, *command: Any) -> Any:
        """Send one command.

        Raises:
            Unreachable: When the connection cannot be made or breaks.
            redis.exceptions.ResponseError: When the server refuses the command.
        """
        import redis

        try:
            return self.client.execute_command(*command)
        except redis.AuthenticationError:
            raise Unreachable(REDIS, f"the password is refused at {self.address}") from None
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise Unreachable(REDIS, f"{_reason(error)} at {self.address}") from None

    def close(self) -> None:
        """Close every connection."""
        self.client.close()


def connect(url: Secret) -> Any:
    """A redis-py client with short timeouts and no retries; nothing is sent yet.

    Raises:
        Unreachable: For an address that is none.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        return redis.Redis.from_url(
            url.reveal(),
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            client_name="maestro",
        )
    except ValueError:
        raise Unreachable(REDIS, "redis.url is not a redis:// or rediss:// address") from None


def address(url: Secret) -> str:
    """`host:port` of a Redis URL."""
    parts = urlsplit(url.reveal())
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def _reason(error: BaseException) -> str:
    text = str(error)
    if "refused" in text:
        return "connection refused"
    if "imeout" in text or "timed out" in text:
        return "no answer in time"
    if "Name or service not known" in text or "getaddrinfo" in text:
        return "its name does not resolve"
    return "the connection broke"
