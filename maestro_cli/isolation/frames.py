"""Length-prefixed frames over a stream socket, bounded in size."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

MAXIMUM_BYTES = 16_000_000
"""A frame holds one finding or one module's checks; anything larger is not an answer but an accident."""
_LENGTH = struct.Struct("!I")


class ClosedError(Exception):
    """The other end is gone."""


class GarbledError(Exception):
    """What came is not a frame."""


def send_bytes(connection: socket.socket, payload: bytes) -> None:
    """Send one frame.

    Raises:
        ClosedError: When the other end is gone.
    """
    try:
        connection.sendall(_LENGTH.pack(len(payload)) + payload)
    except TimeoutError:
        raise
    except OSError as error:
        raise ClosedError from error


def receive_bytes(connection: socket.socket) -> bytes:
    """Receive one frame.

    Raises:
        ClosedError: When the other end is gone.
        GarbledError: When the length is out of bounds.
        TimeoutError: By the socket's own timeout.
    """
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if length > MAXIMUM_BYTES:
        raise GarbledError(f"a frame of {length:,} bytes")
    return _exactly(connection, length)


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send one message as JSON; see `send_bytes`."""
    send_bytes(connection, json.dumps(message, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))


def receive(connection: socket.socket) -> dict[str, Any]:
    """Receive one message of JSON; see `receive_bytes`.

    Raises:
        GarbledError: Also when it is not a JSON object.
    """
    payload = receive_bytes(connection)
    try:
        message = json.loads(payload.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise GarbledError("not JSON") from error
    if not isinstance(message, dict):
        raise GarbledError("not a JSON object")
    return message


def _exactly(connection: socket.socket, size: int) -> bytes:
    chunks: list[bytes] = []
    while size:
        try:
            chunk = connection.recv(min(size, 1 << 20))
        except TimeoutError:
            raise
        except OSError as error:
            raise ClosedError from error
        if not chunk:
            raise ClosedError
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
