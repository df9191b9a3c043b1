"""A listener on the loopback address that notes who calls, and serves a key set."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
from collections.abc import Mapping
from typing import Any, Self

MAXIMUM_CALLS = 20


class Listener:
    """Open while the `with` block runs. Only calls that hold its random path count: somebody else may scan this machine."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._body = json.dumps(document).encode()
        self._mark = secrets.token_hex(8)
        self._calls: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/{self._mark}"

    def calls(self) -> tuple[str, ...]:
        """The first line of each call, without the random part."""
        return tuple(self._calls)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._socket.close()
        self._thread.join(timeout=1)

    def _serve(self) -> None:
        while not self._ending.is_set() and len(self._calls) < MAXIMUM_CALLS:
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(1)
                line = connection.recv(4096).decode("latin-1").partition("\r\n")[0]
                if self._mark in line:
                    self._calls.append(line.replace(f"/{self._mark}", "").removesuffix(" HTTP/1.1")[:80])
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(self._body)}"
                connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode() + self._body)
