"""The chain that a server presents, fetched without trusting it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maestro_cli.certs import store
from maestro_cli.errors import OutOfReach, UsageError

if TYPE_CHECKING:
    import ssl

    from cryptography import x509

_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:/\[\]]+)):(?P<port>\d{1,5})")


@dataclass(frozen=True)
class Presented:
    """What a server showed in a handshake: its certificates, the leaf first, and what was agreed on."""

    host: str
    port: int
    certificates: tuple[x509.Certificate, ...]
    protocol: str
    cipher: str


def parse_address(text: str) -> tuple[str, int] | None:
    """`HOST:PORT` (an IPv6 address in brackets), or None where the text is no such thing.

    Raises:
        UsageError: It is, and the port is out of range.
    """
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        return None
    port = int(found["port"])
    if not 0 < port < 65536:
        raise UsageError(f"{text!r} has no such port.", hint="Ports are 1 to 65535.")
    return found["v6"] or found["name"], port


def fetch_chain(host: str, port: int, *, server_name: str | None = None, timeout_s: float = 10.0) -> Presented:
    """Shake hands with a server and keep the certificates it sends, whoever signed them.

    Args:
        host: Name or address to connect to.
        port: Its port.
        server_name: The name to ask for (SNI); `host` by default.
        timeout_s: For the connection and the handshake, in seconds.

    Raises:
        OutOfReach: It does not answer, or speaks no TLS.
    """
    import socket
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    where = f"{host}:{port}"
    try:
        with (
            socket.create_connection((host, port), timeout=timeout_s) as raw,
            context.wrap_socket(raw, server_hostname=server_name or host) as tls,
        ):
            encoded = _sent(tls)
            protocol, cipher = tls.version() or "?", (tls.cipher() or ("?",))[0]
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise OutOfReach(
            f"{where} answers, but the TLS handshake fails ({reason}).", hint=f"openssl s_client -connect {where}"
        ) from error
    except TimeoutError as error:
        raise OutOfReach(f"{where} did not answer within {timeout_s:g} s.", hint="Is the service running?") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutOfReach(
            f"{where} is out of reach ({reason}).", hint="Is the service running? Is the address right?"
        ) from error
    return Presented(host, port, tuple(store.load_der(der) for der in encoded), protocol, cipher)


def _sent(tls: ssl.SSLSocket) -> list[bytes]:
    import ssl

    if hasattr(tls, "get_unverified_chain"):  # Python 3.13
        return [bytes(certificate) for certificate in tls.get_unverified_chain()]
    try:
        inner: Any = tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - 3.10 to 3.12 have it there alone
        return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in inner.get_unverified_chain()]
    except AttributeError:  # another Python: the leaf at least
        leaf = tls.getpeercert(binary_form=True)
        return [leaf] if leaf is not None else []
