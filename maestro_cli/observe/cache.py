"""Redis or Valkey, as the service's own user sees it."""

from __future__ import annotations

from collections.abc import Sequence
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

    def queued(self, commands: Sequence[Sequence[str]]) -> list[str | None] | None:
        """Which commands this user may send: queued in a MULTI that is discarded, so that none of them is run.

        Returns:
            For each, the server's refusal (`NOPERM …`), or None where it was queued; no list at all where the user may
            not open a transaction.

        Raises:
            Unreachable: When the connection breaks.
        """
        begun, *refusals = self.refusals((("MULTI",), *commands, ("DISCARD",)), stop_at_first=True)
        return refusals[:-1] if begun is None else None

    def refusals(self, commands: Sequence[Sequence[str]], *, stop_at_first: bool = False) -> list[str | None]:
        """What the server says against each of these commands, sent in one connection that is closed behind them.

        Args:
            commands: What is sent, and run where it may be.
            stop_at_first: Send nothing more when the first one is refused.

        Returns:
            For each that was sent, the server's error, or None where it answered.

        Raises:
            Unreachable: When the connection breaks.
        """
        import redis

        connection = self.client.connection_pool.get_connection()
        refusals: list[str | None] = []
        try:
            for command in commands:
                if stop_at_first and refusals[:1] not in ([], [None]):
                    break
                connection.send_command(*command)
                try:
                    connection.read_response()
                    refusals.append(None)
                except redis.ResponseError as error:
                    refusals.append(_whole(error))
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            raise Unreachable(REDIS, f"{_reason(error)} at {self.address}") from None
        finally:
            connection.disconnect()  # whatever was queued is forgotten with it
            self.client.connection_pool.release(connection)
        return refusals

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


def _whole(error: Exception) -> str:
    """A refusal with its code, which redis-py turns into a class."""
    import redis

    text = str(error)
    return f"NOPERM {text}" if isinstance(error, redis.exceptions.NoPermissionError) and "NOPERM" not in text else text


def anonymous_answer(url: Secret, password: str | None, user: str | None = None) -> str:
    """The first line that a Redis answers to PING without a login, or after AUTH with a password.

    Args:
        url: Where it is; its own login is left out.
        password: What is tried, if anything.
        user: Whose; the default user's where it is None.

    Raises:
        Unreachable: When no answer comes.
    """
    import socket
    import ssl

    parts = urlsplit(url.reveal())
    host, port = parts.hostname or "localhost", parts.port or 6379
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_S)
        if parts.scheme == "rediss":
            context = ssl.create_default_context()
            # Who it is was seen when the configured user logged in; here nothing secret is sent.
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(connection, server_hostname=host)
        with connection:
            connection.settimeout(ANSWER_S)
            if password is not None:
                words = [word.encode() for word in ("AUTH", user, password) if word is not None]
                spelt = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
                connection.sendall(b"*%d\r\n%s" % (len(words), spelt))
                answer = connection.recv(512).decode("ascii", "replace")
                if not answer.startswith("+OK"):
                    return answer.partition("\r\n")[0][:80]
            connection.sendall(b"PING\r\n")
            return connection.recv(512).decode("ascii", "replace").partition("\r\n")[0][:80]
    except OSError as error:
        raise Unreachable(REDIS, f"{_reason(error)} at {host}:{port}") from None


def _reason(error: BaseException) -> str:
    text = str(error)
    if "refused" in text:
        return "connection refused"
    if "imeout" in text or "timed out" in text:
        return "no answer in time"
    if "Name or service not known" in text or "getaddrinfo" in text:
        return "its name does not resolve"
    return "the connection broke"
