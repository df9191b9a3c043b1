"""Bytes over a socket, bounded in time: for the first words of a protocol, before any login."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from maestro_cli.observe.errors import Unreachable

CONNECT_S = 3.0
TOTAL_S = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a server listens: a TCP address, or a Unix socket where `socket_path` is set."""

    dependency: str
    host: str = "localhost"
    port: int = 0
    socket_path: str | None = None

    def __str__(self) -> str:
        return self.socket_path or f"{self.host}:{self.port}"


@dataclass
class Wire:
    """An open connection. Every call ends by the deadline, which counts from the connection's start."""

    target: Target
    connection: Any
    deadline: float
    received: int = field(default=0)

    def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            Unreachable: When the connection breaks or the deadline passes.
        """
        with self._explained():
            self.connection.settimeout(self._left())
            self.connection.sendall(data)

    def receive(self, size: int) -> bytes:
        """What comes next, at most `size` bytes; empty where the other side has closed.

        Raises:
            Unreachable: When nothing comes before the deadline.
        """
        with self._explained():
            self.connection.settimeout(self._left())
            data: bytes = self.connection.recv(size)
            self.received += len(data)
            return data

    def start_tls(self) -> None:
        """Speak TLS from here on; the certificate is not judged, other checks do that."""
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with self._explained():
            self.connection.settimeout(self._left())
            self.connection = context.wrap_socket(self.connection, server_hostname=self.target.host)

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unreachable(self.target.dependency, f"{explain(error)} at {self.target}") from None


@contextlib.contextmanager
def connected(target: Target, *, timeout_s: float = TOTAL_S) -> Iterator[Wire]:
    """A connection to a target, closed afterwards.

    Args:
        target: Where.
        timeout_s: For everything together, in seconds.

    Raises:
        Unreachable: When it cannot be made.
    """
    deadline = time.monotonic() + timeout_s
    try:
        connection = _connect(target, min(CONNECT_S, timeout_s))
    except (OSError, UnicodeError) as error:
        raise Unreachable(target.dependency, f"{explain(error)} at {target}") from None
    wire = Wire(target, connection, deadline)
    try:
        yield wire
    finally:
        with contextlib.suppress(OSError):
            wire.connection.close()


def _connect(target: Target, timeout_s: float) -> socket.socket:
    if target.socket_path is None:
        return socket.create_connection((target.host, target.port), timeout=timeout_s)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        connection.connect(target.socket_path)
    except OSError:
        connection.close()
        raise
    return connection


def explain(error: BaseException) -> str:
    """Why a connection failed, in a few words."""
    import ssl

    match error:
        case ConnectionRefusedError():
            return "connection refused"
        case TimeoutError():
            return "no answer in time"
        case socket.gaierror() | UnicodeError():
            return "its name does not resolve"
        case FileNotFoundError():
            return "there is no such socket"
        case PermissionError():
            return "the socket may not be opened"
        case ssl.SSLError():
            return f"the TLS handshake failed ({error.reason or 'broken'})"
        case ConnectionError():
            return "the connection broke"
        case OSError():
            return error.strerror or "no connection"
    return type(error).__name__
