"""The connections of the HTTP client: kept between requests, whom they trust, how much they read, and why one failed.

They are the standard library's. urllib3 on top of it costs a quarter of a short run's time to import, and what it adds
(redirects, retries, proxies, decoding) is what a probe must not have.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from maestro_cli.observe.errors import Unreachable

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

API = "the API"
CONNECT_S = 3.0
MAXIMUM_BODY = 1_000_000
"""Bytes of an answer that are read; what comes after is left unread and the answer says it was truncated."""
MAXIMUM_IDLE = 8
"""Connections that are kept open beside each other."""
_NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Connections:
    """Connections to one origin from one local address; an answer that was read to its end gives its own back."""

    def __init__(self, base: str, ca_file: str | None, source: str | None) -> None:
        parts = urlsplit(base)
        self._host, self._port = parts.hostname or "", parts.port
        self._source = None if source is None else (source, 0)
        self._tls = tls_context(ca_file) if parts.scheme == "https" else None
        self._idle: deque[HTTPConnection] = deque()
        self._lock = threading.Lock()
        self._closed = False

    def send(
        self,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout_s: float,
        *,
        new: bool = False,
    ) -> Opened:
        """Send one request and wait for the head of its answer.

        Args:
            method: HTTP method.
            target: Path and query; what may not stand in a request line is percent-encoded.
            body: Raw body.
            headers: All but Host, Accept-Encoding and Content-Length.
            timeout_s: For each time that something is awaited; connecting may take CONNECT_S at most.
            new: Over a connection of its own, whatever is kept.

        Raises:
            OSError: No connection, broken or in silence; also what `ssl` raises.
            http.client.HTTPException: What is answered is no HTTP.
        """
        connection = (None if new else self._take()) or self._make(timeout_s)
        try:
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(timeout_s)
            # Whoever refuses a large body may hang up before all of it was sent, and have answered.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, _encoded(target), body=body, headers=dict(headers))
            # Some servers send a body behind the answer to a HEAD: on a kept connection it would be the next answer.
            return Opened(self, connection, connection.getresponse(), keep=method != "HEAD")
        except BaseException:
            connection.close()
            raise

    def keep(self, connection: HTTPConnection) -> None:
        """Keep a connection for the next request, where the server does."""
        with self._lock:
            # A check that ran out of its time may still be at it when the run has ended.
            if connection.sock is not None and len(self._idle) < MAXIMUM_IDLE and not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close those that nobody uses; those in use are closed as soon as they are not."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, deque(), True
        for connection in idle:
            connection.close()

    def _take(self) -> HTTPConnection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not _is_stale(connection.sock):
                return connection
            connection.close()

    def _make(self, timeout_s: float) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        timeout_s = min(CONNECT_S, timeout_s)
        if self._tls is None:
            return HTTPConnection(self._host, self._port or 80, timeout_s, self._source)
        return HTTPSConnection(
            self._host, self._port or 443, timeout=timeout_s, source_address=self._source, context=self._tls
        )


class Opened:
    """An answer whose head has been read."""

    def __init__(
        self, connections: Connections, connection: HTTPConnection, response: HTTPResponse, *, keep: bool
    ) -> None:
        self._connections, self._connection, self._response, self._keep = connections, connection, response, keep
        self.status = response.status
        self.headers: list[tuple[str, str]] = response.headers.items()

    def read(self, deadline: float) -> tuple[bytes, bool]:
        """The body, and whether it is cut short: at most MAXIMUM_BODY bytes, and not past the deadline even if the server drips.

        Raises:
            TimeoutError: At the deadline (`time.perf_counter`, in seconds).
            http.client.IncompleteRead: When the connection ends before the body does.
        """
        from http.client import IncompleteRead

        chunks: list[bytes] = []
        size = 0
        try:
            while size <= MAXIMUM_BODY:
                if time.perf_counter() > deadline:
                    raise TimeoutError("the answer was not complete in time")
                missing = self._response.length
                chunk = self._response.read1(65536)
                if not chunk:
                    if missing:
                        raise IncompleteRead(b"".join(chunks), missing)
                    self._response.close()
                    if self._keep:
                        self._connections.keep(self._connection)
                    else:
                        self._connection.close()
                    return b"".join(chunks), False
                chunks.append(chunk)
                size += len(chunk)
        except BaseException:
            self._close()
            raise
        self._close()
        return b"".join(chunks)[:MAXIMUM_BODY], True

    def _close(self) -> None:
        self._response.close()
        self._connection.close()


def _is_stale(sock: socket.socket | None) -> bool:
    """Whether the server has closed a kept connection, or said something that nobody asked for."""
    if sock is None:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


def _encoded(target: str) -> str:
    """A request target without what RFC 3986 allows in none; what is encoded already stays as it is."""
    return quote(_NO_ESCAPE.sub("%25", target), safe="%/?:@!$&'()*+,;=-._~", errors="surrogatepass")


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


def explain(error: BaseException) -> str:
    """Why no answer came, in a few words and without addresses of objects."""
    import ssl
    from http.client import HTTPException

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
        if isinstance(item, TimeoutError):
            return "no answer in time"
        if isinstance(item, ConnectionError | HTTPException):
            return "the connection broke"
    return type(chain[-1]).__name__
