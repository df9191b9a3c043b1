"""Whether PostgreSQL insists on TLS, seen at an address that is not the loopback's.

The embedded server is built without TLS, so a pooler stands in front of it, as one does in many a deployment: it ends TLS
and hands on what it reads.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from check_support import context, expect, run_check
from fault_tables import POSTGRES_TLS

from maestro_cli.certs import ensure_pair
from maestro_cli.demo.servers import EmbeddedPostgres

SSL_REQUEST = 80877103
"""PostgreSQL manual, Message Formats, SSLRequest."""


def outer_address() -> str | None:
    """An address of this machine that others could reach; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1; connecting a datagram socket only looks at the routes
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


ADDRESS = outer_address()
pytestmark = pytest.mark.skipif(ADDRESS is None, reason="this machine has no address but the loopback's")


class Pooler:
    """In front of a PostgreSQL; `fault` is one of POSTGRES_TLS, or None for one that insists on TLS."""

    def __init__(self, server: EmbeddedPostgres, folder: Path, fault: str | None) -> None:
        self.server, self.fault = server, fault
        pair = ensure_pair(folder / "tls", hosts=("localhost",), key_type="ec-p256", now=datetime.now(UTC))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(pair.fullchain, pair.key)

    def serve(self, client: socket.socket) -> None:
        client.settimeout(5)
        first = client.recv(8, socket.MSG_WAITALL)
        if len(first) == 8 and struct.unpack("!ii", first)[1] == SSL_REQUEST:
            if self.fault == "postgres-without-tls":
                client.sendall(b"N")
            else:
                client.sendall(b"S")
                with self.tls.wrap_socket(client, server_side=True) as secured:
                    self.hand_on(secured, b"")
                return
            first = b""
        elif self.fault is None:
            fields = b"SFATAL\0VFATAL\0C28000\0MSSL required\0\0"
            client.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)
            return
        self.hand_on(client, first)

    def hand_on(self, client: socket.socket, first: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=5) as upstream:
            upstream.sendall(first)
            back = threading.Thread(target=copy, args=(upstream, client), daemon=True)
            back.start()
            copy(client, upstream)
            with contextlib.suppress(OSError):
                upstream.shutdown(socket.SHUT_RDWR)  # the other direction ends with it
            back.join(5)


def copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


@contextlib.contextmanager
def pooling(server: EmbeddedPostgres, folder: Path, fault: str | None) -> Iterator[str]:
    """The URL of a database behind a pooler on the outer address."""
    pooler = Pooler(server, folder, fault)
    listener = socket.create_server((str(ADDRESS), 0))
    ending = threading.Event()

    def handle(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            pooler.serve(client)

    def accept() -> None:
        while not ending.is_set():
            with contextlib.suppress(OSError):
                threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    listener.settimeout(0.1)
    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    url = server.admin_url.reveal()
    try:
        yield url.replace(f"127.0.0.1:{server.port}", f"{ADDRESS}:{listener.getsockname()[1]}")
    finally:
        ending.set()
        thread.join()
        listener.close()


def configured(url: str) -> str:
    return f"version: 1\ndatabase: {{url: '{url}'}}\n"


def test_a_server_that_insists_passes(project: Path, postgres_server: EmbeddedPostgres) -> None:
    with pooling(postgres_server, project, None) as url:
        result = run_check("security.postgres-tls", context(project, configured(url)))
    expect(result, "pass", "refuses connections without TLS")


@pytest.mark.parametrize("fault", POSTGRES_TLS)
def test_a_server_that_takes_plain_connections_fails(
    project: Path, postgres_server: EmbeddedPostgres, fault: str
) -> None:
    with pooling(postgres_server, project, fault) as url:
        result = run_check("security.postgres-tls", context(project, configured(url)))
    expect(result, "fail", "takes connections without TLS")


def test_on_this_machine_nothing_is_sent_over_a_network(project: Path, postgres_server: EmbeddedPostgres) -> None:
    result = run_check("security.postgres-tls", context(project, configured(postgres_server.admin_url.reveal())))
    expect(result, "skip", "on this machine")
