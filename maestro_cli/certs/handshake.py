"""A handshake in memory: the proof that OpenSSL, at its strictest, takes a key and a chain together."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.certs.issue import Purpose

if TYPE_CHECKING:
    import ssl

_ROUNDS = 8


def try_handshake(*, chain: Path, key: Path, ca: Path, host: str | None, purpose: Purpose = "server") -> str | None:
    """Let one side show the chain and the other verify it, with VERIFY_X509_STRICT as Python 3.13 does by default.

    OpenSSL judges by this machine's clock.

    Args:
        chain: PEM file, the leaf first.
        key: Its private key.
        ca: PEM file of the CA to trust.
        host: The name the client asks for; None to leave names alone.
        purpose: Which side shows the chain.

    Returns:
        Why it failed, or None.
    """
    import ssl

    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if purpose == "server" else ssl.PROTOCOL_TLS_SERVER)
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if purpose == "server" else ssl.PROTOCOL_TLS_CLIENT)
    strict.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    try:
        other.load_cert_chain(chain, key)
        strict.load_verify_locations(ca)
        if purpose == "client":
            strict.load_cert_chain(chain, key)  # the verifying side is the server here, and needs some certificate
            strict.verify_mode = ssl.CERT_REQUIRED
            other.check_hostname = False
            other.verify_mode = ssl.CERT_NONE
        elif host is None:
            strict.check_hostname = False
        return _shake(strict, other, host if purpose == "server" else None, verifier_serves=purpose == "client")
    except ssl.SSLError as error:
        message = getattr(error, "verify_message", None) or error.reason or str(error)
        return str(message).replace("_", " ").lower()
    except OSError as error:
        return error.strerror or str(error)


def _shake(strict: ssl.SSLContext, other: ssl.SSLContext, host: str | None, *, verifier_serves: bool) -> str | None:
    import ssl

    to_verifier, to_other = ssl.MemoryBIO(), ssl.MemoryBIO()
    verifier = strict.wrap_bio(to_verifier, to_other, server_side=verifier_serves, server_hostname=host)
    prover = other.wrap_bio(to_other, to_verifier, server_side=not verifier_serves)
    for _ in range(_ROUNDS):
        for side in (verifier, prover):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return (
        None
        if verifier.version() is not None and verifier.getpeercert(binary_form=True)
        else "the handshake did not end"
    )
