"""Which TLS versions and cipher suites the API's endpoint takes: hellos written by hand, one connection each.

By hand because a modern OpenSSL cannot offer what must be refused (SSL 3.0, RC4, export suites), and because only the
first flight is needed: the server's choice, or its alert.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from maestro_cli.errors import NotConfigured
from maestro_cli.observe.errors import Unreachable
from maestro_cli.observe.http_connection import API, CONNECT_S, explain
from maestro_cli.observe.tls_suites import FORWARD_SECRET, STATIC_RSA, TLS13, WEAK, name_of

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
ANSWER_S = 4.0
MAXIMUM_WEAK = 6
"""How many weak suites are named; more say nothing more."""
_ALERT, _HANDSHAKE = 21, 22


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint: the name that is asked for, and the port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a server answered to one hello: the version and suite it chose, or neither and why."""

    version: int | None = None
    suite: int | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """What an endpoint takes.

    Attributes:
        versions: Name → the server's choice.
        weak: Names of weak suites that it chose when only such were offered (at most MAXIMUM_WEAK).
        static_rsa: A suite without forward secrecy that it chose, or None.
    """

    target: Target
    versions: dict[str, Choice]
    weak: tuple[str, ...]
    static_rsa: str | None


def target_of(ctx: Context) -> Target:
    """The endpoint of api.url.

    Raises:
        NotConfigured: Without api.url, or when it is not https.
    """
    parts = urlsplit(ctx.http.base)
    if parts.scheme != "https":
        raise NotConfigured("api.url is not https, so there is no TLS to look at")
    return Target(parts.hostname or "", parts.port or 443)


def scan(ctx: Context) -> Scan:
    """The run's scan of the endpoint, made once: at most 13 connections.

    Raises:
        Unreachable: When it takes neither TLS 1.2 nor TLS 1.3 nor anything else: there is no TLS server.
    """
    return ctx.shared("tls-scan", lambda: scan_target(target_of(ctx)))


def scan_target(target: Target) -> Scan:
    """The same for any endpoint."""
    modern = {
        "TLS 1.3": offer(target, 0x0304, TLS13),
        "TLS 1.2": offer(target, 0x0303, (*FORWARD_SECRET, *STATIC_RSA)),
    }
    everything = (*FORWARD_SECRET, *STATIC_RSA, *WEAK)
    old = {VERSIONS[number]: offer(target, number, everything) for number in (0x0302, 0x0301, 0x0300)}
    versions = {**modern, **old}
    taken = [choice for choice in versions.values() if choice.version is not None]
    if not taken:
        raise Unreachable(API, f"the TLS handshake failed ({modern['TLS 1.3'].refusal}) at {target}")
    # TLS 1.3 has no weak suites; the others are asked about in the newest older version that is taken.
    version = max(
        (number for number in (c.version for c in taken) if number is not None and number < 0x0304), default=None
    )
    if version is None:
        return Scan(target, versions, (), None)
    static = offer(target, version, STATIC_RSA).suite
    return Scan(target, versions, _weak(target, version), None if static is None else name_of(static))


def _weak(target: Target, version: int) -> tuple[str, ...]:
    left = list(WEAK)
    found: list[str] = []
    while left and len(found) < MAXIMUM_WEAK:
        chosen = offer(target, version, left).suite
        if chosen is None or chosen not in left:
            break
        left.remove(chosen)
        found.append(name_of(chosen))
    return tuple(found)


def offer(target: Target, version: int, suites: Sequence[int]) -> Choice:
    """Send one hello and read the server's choice.

    Raises:
        Unreachable: When the connection is refused or nothing is answered in time.
    """
    try:
        with socket.create_connection((target.host, target.port), timeout=CONNECT_S) as connection:
            connection.settimeout(ANSWER_S)
            try:
                connection.sendall(hello(target.host, version, suites))
                return _read_choice(connection, version)
            except ConnectionError:
                return Choice(refusal="the connection was closed")
    except OSError as error:
        raise Unreachable(API, f"{explain(error)} at {target}") from None


def _read_choice(connection: socket.socket, asked: int) -> Choice:
    head = _exactly(connection, 5)
    if len(head) < 5:
        return Choice(refusal="the connection was closed")
    kind, _, length = struct.unpack("!BHH", head)
    body = _exactly(connection, min(length, 16_384))
    if kind == _ALERT and len(body) >= 2:
        return Choice(refusal=f"alert {body[1]}")
    if kind != _HANDSHAKE or len(body) < 44 or body[0] != 2:
        return Choice(refusal="what answered is not TLS")
    version = struct.unpack("!H", body[4:6])[0]
    position = 38 + 1 + body[38]
    suite = struct.unpack("!H", body[position : position + 2])[0]
    if _selected_version(body[position + 3 :]) == 0x0304:
        version = 0x0304
    if version != asked:
        return Choice(refusal=f"offered {VERSIONS.get(version, hex(version))} instead")
    return Choice(version, suite)


def _selected_version(extensions: bytes) -> int | None:
    position = 2
    while position + 4 <= len(extensions):
        kind, length = struct.unpack("!HH", extensions[position : position + 4])
        if kind == 43 and length == 2:
            return int(struct.unpack("!H", extensions[position + 4 : position + 6])[0])
        position += 4 + length
    return None


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            break
        data += piece
    return data


def hello(host: str, version: int, suites: Sequence[int]) -> bytes:
    """A ClientHello (RFC 8446 §4.1.2; RFC 5246 §7.4.1.2 for the older versions)."""
    legacy = min(version, 0x0303)
    chosen = b"".join(struct.pack("!H", suite) for suite in (*suites, 0x00FF))
    body = struct.pack("!H", legacy) + os.urandom(32) + b"\x20" + os.urandom(32)
    body += struct.pack("!H", len(chosen)) + chosen + b"\x01\x00"
    if version > 0x0300:
        extensions = _extensions(host, version)
        body += struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return struct.pack("!BHH", _HANDSHAKE, min(legacy, 0x0301), len(message)) + message


def _extensions(host: str, version: int) -> bytes:
    def extension(kind: int, data: bytes) -> bytes:
        return struct.pack("!HH", kind, len(data)) + data

    def listed(values: Sequence[int]) -> bytes:
        data = b"".join(struct.pack("!H", value) for value in values)
        return struct.pack("!H", len(data)) + data

    parts = []
    if not _is_address(host):
        name = host.encode("idna" if not host.isascii() else "ascii")
        parts.append(extension(0, struct.pack("!HBH", len(name) + 3, 0, len(name)) + name))
    parts.append(extension(10, listed((0x001D, 0x0017, 0x0018, 0x0019, 0x0100))))
    parts.append(extension(11, b"\x01\x00"))
    if version >= 0x0303:
        schemes = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0807, 0x0203, 0x0201)
        parts.append(extension(13, listed(schemes)))
    if version >= 0x0304:
        parts.append(extension(43, b"\x02\x03\x04"))
        # Any 32 bytes are an X25519 public key; the handshake is not finished, so no private one is needed.
        share = struct.pack("!HH", 0x001D, 32) + os.urandom(32)
        parts.append(extension(51, struct.pack("!H", len(share)) + share))
    return b"".join(parts)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def certificate_pem(ctx: Context) -> bytes:
    """The certificate that the endpoint shows, trusted or not.

    Raises:
        Unreachable: When no handshake comes about.
    """
    target = target_of(ctx)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((target.host, target.port), timeout=CONNECT_S) as raw,
            context.wrap_socket(raw, server_hostname=target.host) as connection,
        ):
            shown = connection.getpeercert(binary_form=True)
    except OSError as error:
        raise Unreachable(API, f"{explain(error)} at {target}") from None
    if shown is None:
        raise Unreachable(API, f"it shows no certificate at {target}")
    return ssl.DER_cert_to_PEM_cert(shown).encode()
