"""What the HTTP client's connections are made of: whom they trust, how much they read, and why one failed."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

from maestro_cli.observe.errors import Unreachable

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

API = "the API"
MAXIMUM_BODY = 1_000_000
"""Bytes of an answer that are read; what comes after is left unread and the answer says it was truncated."""


def tls_context(ca_file: str | None) -> Any:
    """A verifying TLS client context: the configured CA, or the system's.

    Raises:
        Unreachable: When the CA file cannot be read; nothing could be verified then.
    """
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Unreachable(API, f"api.ca_file {ca_file} cannot be read: {error.strerror or error}") from None


def read_body(response: BaseHTTPResponse, deadline: float) -> tuple[bytes, bool]:
    """At most MAXIMUM_BODY bytes, and not past the deadline even if the server drips."""
    chunks: list[bytes] = []
    size = 0
    try:
        while size <= MAXIMUM_BODY:
            if time.perf_counter() > deadline:
                raise TimeoutError("the answer was not complete in time")
            chunk = response.read1(65536)
            if not chunk:
                response.release_conn()
                return b"".join(chunks), False
            chunks.append(chunk)
            size += len(chunk)
    except BaseException:
        response.close()
        raise
    response.close()
    return b"".join(chunks)[:MAXIMUM_BODY], True


def explain(error: BaseException) -> str:
    """Why no answer came, in a few words and without addresses of objects."""
    import ssl

    from urllib3 import exceptions

    chain: list[BaseException] = []
    seen: Any = error
    while isinstance(seen, BaseException) and len(chain) < 8:
        chain.append(seen)
        reason = getattr(seen, "reason", None)  # a text on ssl.SSLError, an exception on urllib3's
        seen = seen.__cause__ or (reason if isinstance(reason, BaseException) else None) or seen.__context__
    for item in chain:
        if isinstance(item, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({item.verify_message})"
    for item in reversed(chain):  # the cause before its wrappings: a refused connection is no timeout
        if isinstance(item, ssl.SSLError):
            return f"the TLS handshake failed ({item.reason or 'broken'})"
        if isinstance(item, socket.gaierror):
            return "its name does not resolve"
        if isinstance(item, ConnectionRefusedError):
            return "connection refused"
        if isinstance(item, TimeoutError | exceptions.TimeoutError):
            return "no answer in time"
        if isinstance(item, ConnectionError | exceptions.ProtocolError):
            return "the connection broke"
    return type(chain[-1]).__name__
