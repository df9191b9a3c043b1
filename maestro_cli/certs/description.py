"""What inspection says: certificates, keys and requests in words and numbers."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any, Literal

from maestro_cli.certs.rules import Problem

Kind = Literal["root", "intermediate", "server", "client"]


@dataclass(frozen=True, slots=True)
class Described:
    """One certificate in words and numbers.

    Attributes:
        kind: What it is for.
        names: Its subject alternative names.
        subject: Distinguished name, RFC 4514.
        issuer: The same of its issuer.
        key: `RSA 4096`, `EC P-256`, `Ed25519`.
        signature: `ECDSA with SHA-256`.
        serial: In hexadecimal.
        not_before: First second, UTC.
        not_after: Last second, UTC.
        days_left: Whole days until then; negative when they are over.
        life_used: Share of its life that is over, 0 to 1.
        sha256: Fingerprint of the certificate.
        public_key_sha256: Fingerprint of its key, as pins and `verify` compare it.
        constraints: Domains and networks a CA is bound to.
        problems: The rules it breaks.
    """

    kind: Kind
    names: tuple[str, ...]
    subject: str
    issuer: str
    key: str
    signature: str
    serial: str
    not_before: dt.datetime
    not_after: dt.datetime
    days_left: int
    life_used: float
    sha256: str
    public_key_sha256: str
    constraints: tuple[str, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class DescribedKey:
    """One private key: its type, whether it is encrypted, its file's mode, its public half's fingerprint."""

    key: str
    encrypted: bool
    mode: str
    public_key_sha256: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class DescribedRequest:
    """One signing request: what it asks for."""

    names: tuple[str, ...]
    subject: str
    key: str
    signature_valid: bool
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything a source holds.

    Attributes:
        source: Path or HOST:PORT.
        certificates: In the order they stand there.
        key: The private key, where there is one.
        request: The signing request, where there is one.
        connection: Protocol and cipher, for a server.
    """

    source: str
    certificates: tuple[Described, ...] = ()
    key: DescribedKey | None = None
    request: DescribedRequest | None = None
    connection: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; times in RFC 3339."""
        return {key: value for key, value in _plain(asdict(self)).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Expiry:
    """When one certificate ends: its source, first name and last second."""

    source: str
    name: str
    not_after: dt.datetime
    days_left: int


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, dt.datetime) else value
