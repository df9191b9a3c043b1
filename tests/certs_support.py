"""Shared by the tests of certificates: keys that are made once, certificates with planted faults, the command line."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from maestro_cli.certs.issue import Issuer, root_certificate
from maestro_cli.certs.keys import KeyType, generate_key

if TYPE_CHECKING:
    from maestro_cli.certs.keys import PrivateKey

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@cache
def key(kind: KeyType = "ec-p256", role: str = "leaf") -> PrivateKey:
    """A key for every role; RSA takes its time, so none is made twice."""
    assert role
    return generate_key(kind)


@cache
def authority(kind: KeyType = "ec-p256") -> Issuer:
    """A root, made at NOW."""
    return Issuer(root_certificate(key(kind, "ca"), now=NOW), key(kind, "ca"))


def name(common_name: str | None) -> x509.Name:
    return x509.Name([] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def usage(**bits: bool) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{bit: bits.get(bit, False) for bit in every})


@dataclass
class Planted:
    """A leaf that is right in everything but what a test sets otherwise; a criticality of None leaves an extension out."""

    common_name: str | None = "api.example.test"
    names: Sequence[x509.GeneralName] = (x509.DNSName("api.example.test"),)
    serial: int = (1 << 158) + 12345
    start: dt.datetime = NOW - dt.timedelta(hours=1)
    end: dt.datetime = NOW + 90 * DAY
    usage: x509.KeyUsage = field(default_factory=lambda: usage(digital_signature=True))
    extended: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,)
    basic: x509.BasicConstraints = field(default_factory=lambda: x509.BasicConstraints(ca=False, path_length=None))
    public_key: Any = None
    critical: Mapping[str, bool | None] = field(default_factory=dict)
    extra: Sequence[tuple[x509.ExtensionType, bool]] = ()
    authority_identifier: bytes | None = None
    issuer_name: x509.Name | None = None
    signer: PrivateKey | None = None
    algorithm: Any = field(default_factory=hashes.SHA256)

    def build(self, issuer: Issuer | None = None) -> x509.Certificate:
        signing = issuer or authority()
        public_key = self.public_key or key().public_key()
        own = signing.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        identifier = self.authority_identifier or own.digest
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(self.common_name))
            .issuer_name(self.issuer_name if self.issuer_name is not None else signing.certificate.subject)
            .public_key(public_key)
            .serial_number(self.serial)
            .not_valid_before(self.start)
            .not_valid_after(self.end)
        )
        extensions: list[tuple[str, x509.ExtensionType, bool]] = [
            ("basic", self.basic, True),
            ("usage", self.usage, True),
            ("extended", x509.ExtendedKeyUsage(self.extended), False),
            ("names", x509.SubjectAlternativeName(self.names), self.common_name is None),
            ("own", x509.SubjectKeyIdentifier.from_public_key(public_key), False),
            ("authority", x509.AuthorityKeyIdentifier(identifier, None, None), False),
        ]
        for label, extension, usually in extensions:
            critical = self.critical.get(label, usually)
            if critical is not None:
                builder = builder.add_extension(extension, critical=critical)
        for extension, critical in self.extra:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.signer or signing.key, self.algorithm)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def maestro(
    folder: Path, *arguments: str | Path, stdin: str = "", environ: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run the program as a whole process in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        input=stdin,
    )


@contextlib.contextmanager
def tls_server(
    chain: Path, private_key: Path, *, prepare: Callable[[ssl.SSLContext], None] | None = None
) -> Iterator[int]:
    """Serve a chain on a free port of the loopback; answers every request with `fine`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, private_key)
    if prepare is not None:
        prepare(context)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    done = threading.Event()

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as tls:
            tls.settimeout(5)
            if tls.recv(4096):
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfine")

    def loop() -> None:
        while not done.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.set()
        thread.join()
        listener.close()
