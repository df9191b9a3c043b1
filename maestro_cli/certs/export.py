"""A pair in the forms that other programs ask for: PKCS #12 and a Kubernetes Secret."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maestro_cli.errors import UsageError
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from cryptography import x509

    from maestro_cli.certs.keys import PrivateKey

_KDF_ROUNDS = 100_000
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL.pattern}(?:\.{_DNS_LABEL.pattern})*")


@dataclass(frozen=True, slots=True)
class KubernetesSecret:
    """Name and namespace of a Secret; without a namespace it goes into the one `kubectl apply` stands in."""

    name: str
    namespace: str | None = None

    def __post_init__(self) -> None:
        if not _DNS_SUBDOMAIN.fullmatch(self.name) or len(self.name) > 253:
            raise UsageError(
                f"A Kubernetes Secret cannot be called {self.name!r}.", hint="Use lower case, digits and hyphens."
            )
        if self.namespace is not None and not _DNS_LABEL.fullmatch(self.namespace):
            raise UsageError(
                f"A Kubernetes namespace cannot be called {self.namespace!r}.",
                hint="Use lower case, digits and hyphens.",
            )


def pkcs12(
    name: str, key: PrivateKey, certificate: x509.Certificate, others: Sequence[x509.Certificate], password: Secret
) -> bytes:
    """Key, certificate and chain in one encrypted file (RFC 7292): PBES2 with AES-256, HMAC-SHA-256.

    OpenSSL 1.1, Java 8u301, Windows Server 2019, macOS 15 and anything newer read it.

    Args:
        name: Its friendly name; Java calls it the alias.
        key: The certificate's private key.
        certificate: The leaf.
        others: Intermediates and root.
        password: What opens it.

    Raises:
        UsageError: The password is empty.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import PrivateFormat
    from cryptography.hazmat.primitives.serialization import pkcs12 as container

    if not password:
        raise UsageError(
            "A PKCS #12 file needs a password.", hint="Name a file that holds it: --pkcs12-password-file FILE"
        )
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_KDF_ROUNDS)
        .key_cert_algorithm(container.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.reveal().encode())
    )
    return container.serialize_key_and_certificates(name.encode(), key, certificate, list(others), encryption)


def kubernetes_secret(secret: KubernetesSecret, key_pem: bytes, chain_pem: bytes, ca_pem: bytes) -> bytes:
    """A manifest of type kubernetes.io/tls, as `kubectl apply -f` takes it; `ca.crt` is what clients trust."""
    lines = ["apiVersion: v1", "kind: Secret", "metadata:", f"  name: {secret.name}"]
    if secret.namespace is not None:
        lines.append(f"  namespace: {secret.namespace}")
    lines += ["type: kubernetes.io/tls", "data:"]
    for name, data in (("ca.crt", ca_pem), ("tls.crt", chain_pem), ("tls.key", key_pem)):
        lines.append(f"  {name}: {base64.b64encode(data).decode()}")
    return ("\n".join(lines) + "\n").encode()


def kubernetes_names(manifest: bytes) -> KubernetesSecret | None:
    """Name and namespace of a manifest that `kubernetes_secret` wrote, to write it anew; None for another's."""
    text = manifest.decode("utf-8", "replace")
    name = re.search(r"^  name: (\S+)$", text, re.MULTILINE)
    namespace = re.search(r"^  namespace: (\S+)$", text, re.MULTILINE)
    if name is None or "type: kubernetes.io/tls" not in text:
        return None
    try:
        return KubernetesSecret(name[1], namespace[1] if namespace else None)
    except UsageError:
        return None
