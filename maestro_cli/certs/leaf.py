"""One leaf in files: its contents as they are written, and what a person should know about it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.certs import store
from maestro_cli.certs.export import kubernetes_names, kubernetes_secret
from maestro_cli.certs.hosts import Host, hosts_of
from maestro_cli.certs.issue import Issuer, Purpose, signing_request
from maestro_cli.certs.keys import key_to_pem
from maestro_cli.certs.store import LeafFiles

if TYPE_CHECKING:
    from cryptography import x509

    from maestro_cli.certs.keys import PrivateKey

_SHORTER_DAYS = 2


def to_pem(*certificates: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    """Certificates or a request in PEM, one after the other."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def contents(files: LeafFiles, key: PrivateKey, certificate: x509.Certificate, issuer: Issuer) -> dict[str, bytes]:
    """Name → content of a leaf's files. The key comes first: it is useless alone, and a certificate alone misleads."""
    chain = to_pem(certificate, *issuer.chain)
    made = {files.key: key_to_pem(key), files.certificate: chain}
    if files.fullchain is not None:
        made |= {files.certificate: to_pem(certificate), files.fullchain: chain}
    return made


def companions(
    directory: Path, key: PrivateKey, certificate: x509.Certificate, issuer: Issuer, root: x509.Certificate
) -> tuple[dict[str, bytes], list[str]]:
    """The other forms of the server's pair that are in the folder, made anew for a new pair.

    Returns:
        Name → content, and warnings about what cannot be made anew: a PKCS #12 file, without its password.
    """
    made: dict[str, bytes] = {}
    warned: list[str] = []
    if (directory / store.REQUEST).exists():
        made[store.REQUEST] = to_pem(signing_request(key, names_of(certificate), certificate.subject))
    manifest = store.read(directory, store.KUBERNETES)
    if manifest is not None:
        names = kubernetes_names(manifest)
        if names is None:
            warned.append(f"{store.KUBERNETES} is not maestro's and still holds the old pair.")
        else:
            chain = to_pem(certificate, *issuer.chain)
            made[store.KUBERNETES] = kubernetes_secret(names, key_to_pem(key), chain, to_pem(root))
    if (directory / store.PKCS12).exists():
        warned.append(
            f"{store.PKCS12} still holds the old pair: maestro certs generate --pkcs12 --force writes it anew."
        )
    return made, warned


def names_of(certificate: x509.Certificate | x509.CertificateSigningRequest) -> tuple[Host, ...]:
    """The subject alternative names."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return hosts_of(names)


def purpose_of(certificate: x509.Certificate) -> Purpose:
    """What a leaf is for: clients if it says so and does not serve, servers otherwise."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "server"
    is_client = ExtendedKeyUsageOID.CLIENT_AUTH in usages and ExtendedKeyUsageOID.SERVER_AUTH not in usages
    return "client" if is_client else "server"


def warnings(certificate: x509.Certificate, hosts: Sequence[Host], days: int) -> list[str]:
    """What a person should know about a new leaf."""
    from cryptography.hazmat.primitives.asymmetric import ed25519

    found: list[str] = []
    if isinstance(certificate.public_key(), ed25519.Ed25519PublicKey):
        found.append("Chromium and Firefox refuse Ed25519 certificates; for browsers choose --key-type ec-p256.")
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    if life < dt.timedelta(days=days - _SHORTER_DAYS):
        found.append(
            f"It ends with its CA, on {certificate.not_valid_after_utc:%Y-%m-%d}, {days - life.days} days earlier than asked for."
        )
    if purpose_of(certificate) == "server" and not any(host.kind in {"dns", "ip"} for host in hosts):
        found.append("Clients look for a DNS name or an address, and it has neither.")
    return found
