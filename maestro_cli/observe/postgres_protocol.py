"""PostgreSQL's first words, spoken without a login, as pg_isready does.

Source: PostgreSQL manual, "Message Flow" and "Message Formats" (SSLRequest, StartupMessage, ErrorResponse).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maestro_cli.observe.database import POSTGRESQL, libpq_arguments, postgresql_url
from maestro_cli.observe.errors import Unreachable
from maestro_cli.observe.wire import Target, Wire, connected

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
PROTOCOL_3 = 196608


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server said before any password was sent.

    Attributes:
        speaks_postgresql: False where something else answers on the port.
        tls: Whether it offers TLS.
        sqlstate: Of its refusal: 57P03 starting up or shutting down, 53300 no connection left; None where it asks for
            the login, which is what a server does that is ready.
        heard: The first bytes, where it is not PostgreSQL.
    """

    speaks_postgresql: bool
    tls: bool = False
    sqlstate: str | None = None
    heard: bytes = b""


def postgresql_target(ctx: Context) -> Target:
    """Where database.url points to.

    Raises:
        NotConfigured: Without a PostgreSQL database.url.
        Unreachable: When it is not a PostgreSQL URL.
    """
    url = postgresql_url(ctx)
    try:
        arguments = libpq_arguments(url.reveal())
        port = int(arguments.get("port") or 5432)
    except ValueError as error:
        raise Unreachable(POSTGRESQL, f"database.url: {error}") from None
    host = str(arguments.get("host") or "localhost").split(",")[0]
    if host.startswith("/"):
        return Target(POSTGRESQL, host, port, f"{host}/.s.PGSQL.{port}")
    return Target(POSTGRESQL, host, port)


def greet(target: Target, user: str, database: str) -> Greeting:
    """Ask for TLS, then for a session, and listen to the first answer; no password is sent.

    Raises:
        Unreachable: When there is no connection or no answer.
    """
    with connected(target) as wire:
        tls = False
        if target.socket_path is None:
            wire.send(SSL_REQUEST)
            answer = wire.receive(1)
            if answer not in {b"S", b"N"}:
                return Greeting(speaks_postgresql=False, heard=answer + (wire.receive(40) if answer else b""))
            tls = answer == b"S"
            if tls:
                wire.start_tls()
        words = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database)) + b"\0"
        wire.send(struct.pack("!ii", 8 + len(words), PROTOCOL_3) + words)
        return _first_message(wire, tls=tls)


def _first_message(wire: Wire, *, tls: bool) -> Greeting:
    head = _exactly(wire, 5)
    if head[:1] == b"R":
        return Greeting(speaks_postgresql=True, tls=tls)
    if head[:1] == b"E" and len(head) == 5:
        (length,) = struct.unpack("!i", head[1:])
        fields = _exactly(wire, min(max(length - 4, 0), 2_000)).split(b"\0")
        code = next((field[1:] for field in fields if field[:1] == b"C"), b"")
        return Greeting(speaks_postgresql=True, tls=tls, sqlstate=code.decode("ascii", "replace") or "?")
    return Greeting(speaks_postgresql=False, tls=tls, heard=head)


def _exactly(wire: Wire, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = wire.receive(size - len(data))
        if not more:
            break
        data += more
    return data
