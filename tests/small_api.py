"""A small HTTP service for checks of answers: what it says is a function of the request, over TLS or in the clear."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A request as it came; header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    client: str


@dataclass(frozen=True)
class Said:
    """What to answer."""

    status: int = 200
    body: bytes = b'{"status": "ok"}'
    headers: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """Of a header that is sent more than once, all values."""
    after_s: float = 0.0
    hangs_up: bool = False
    """Close the connection behind the answer, without having said so."""


Answering = Callable[[Asked], Said]


@contextlib.contextmanager
def serving(answering: Answering, *, tls: tuple[Path, Path] | None = None) -> Iterator[int]:
    """Serve on a free port of the loopback address.

    Args:
        answering: Request → answer.
        tls: Certificate chain and key.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5
        disable_nagle_algorithm = True  # or each answer waits 40 ms for the client's delayed ACK

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = answering(Asked(self.command, self.path, headers, body, self.client_address[0]))
            time.sleep(said.after_s)
            self.send_response_only(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                for one in (value,) if isinstance(value, str) else value:
                    self.send_header(name, one)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)
            if said.hangs_up:
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_OPTIONS = do_DELETE = do_PATCH = do_HEAD = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    server: Any = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_pair(folder: Path, *, days: int = 90, begins: dt.datetime | None = None) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key: cert.pem is its own CA file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begins = begins or dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(exist_ok=True)
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    key_path.chmod(0o600)
    return cert_path, key_path
