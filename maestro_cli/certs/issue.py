"""Building certificates that every verifier accepts: root, intermediate, server and client leaves, requests.

The profile is RFC 5280 as the strictest of OpenSSL (`-x509_strict`), Python, pyca, GnuTLS, NSS, Go, Java, Chromium and
pkilint read it; `maestro_cli.certs.linter` holds the same rules as checks. Nothing here touches a file or the clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from maestro_cli.certs.constraints import Constraints
from maestro_cli.certs.hosts import Host
from maestro_cli.certs.keys import signature_hash
from maestro_cli.errors import Refused, UsageError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from maestro_cli.certs.keys import PrivateKey

Purpose = Literal["server", "client"]

MAX_DAYS = 825
"""Apple's limit for private CAs, counted inclusively: a day more and its devices refuse the certificate."""
DEFAULT_DAYS = 397
ROOT_DAYS = 3650
INTERMEDIATE_DAYS = 1825
BACKDATED = dt.timedelta(hours=1)
"""Clocks differ: a certificate must hold on a machine that is a little behind the one that made it."""
COMMON_NAME_MAX = 64
"""ub-common-name, RFC 5280 appendix A."""

_SECOND = dt.timedelta(seconds=1)
_ORGANIZATION = "maestro development CA"


@dataclass(frozen=True)
class Issuer:
    """A CA that can sign.

    Attributes:
        certificate: Its certificate.
        key: The matching private key.
        chain: What a server sends after its own certificate: the intermediates, the issuing one first; empty for a root.
    """

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()


def root_certificate(
    key: PrivateKey, *, now: dt.datetime, days: int = ROOT_DAYS, constraints: Constraints | None = None
) -> x509.Certificate:
    """Make a self-signed root that may sign leaves and one level of intermediates.

    Args:
        key: Its private key.
        now: The present, with a time zone.
        days: Its life, in days.
        constraints: The only names it may sign for.
    """
    from cryptography import x509

    start = _start(now)
    subject = _ca_name("root", key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(_end(start, days))
    )
    return _ca_extensions(builder, key.public_key(), 1, constraints).sign(key, signature_hash(key))


def intermediate_certificate(
    public_key: CertificatePublicKeyTypes,
    issuer: Issuer,
    *,
    now: dt.datetime,
    days: int = INTERMEDIATE_DAYS,
    constraints: Constraints | None = None,
    subject: x509.Name | None = None,
) -> x509.Certificate:
    """Make an intermediate that signs leaves only; its life lies inside its issuer's.

    Raises:
        Refused: The issuer may not sign another CA, or its life is over.
    """
    from cryptography import x509

    basic = issuer.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    if basic.path_length == 0:
        raise Refused(
            "The CA may sign leaves only (path length 0), so it cannot have an intermediate.",
            hint="Leave --intermediate out, or make a new CA with --new-ca --force.",
        )
    start, end = _life(now, days, issuer.certificate)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject if subject is not None else _ca_name("intermediate", public_key))
        .issuer_name(issuer.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(authority_key_identifier(issuer.certificate), critical=False)
    )
    return _ca_extensions(builder, public_key, 0, constraints).sign(issuer.key, signature_hash(issuer.key))


def leaf_certificate(
    public_key: CertificatePublicKeyTypes,
    issuer: Issuer,
    hosts: Sequence[Host],
    *,
    now: dt.datetime,
    purpose: Purpose = "server",
    days: int = DEFAULT_DAYS,
    subject: x509.Name | None = None,
) -> x509.Certificate:
    """Make a server's or client's certificate; its life lies inside its issuer's.

    Args:
        public_key: The key it is for.
        issuer: Who signs.
        hosts: The names it is for, at least one.
        now: The present, with a time zone.
        purpose: `server` (serverAuth) or `client` (clientAuth).
        days: Its life, in days, at most 825.
        subject: Its subject; an empty one makes the names critical. By default the first name that fits.

    Raises:
        UsageError: Too long a life, or no names.
        Refused: The issuer's life is over, or its name constraints exclude a name.
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    check_days(days)
    subject = default_subject(hosts) if subject is None else subject
    usage = ExtendedKeyUsageOID.SERVER_AUTH if purpose == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
    start, end = _life(now, days, issuer.certificate)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(authority_key_identifier(issuer.certificate), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_leaf_usage(public_key), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(alternative_names(hosts), critical=not list(subject))
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    return certificate.sign(issuer.key, signature_hash(issuer.key))


def check_days(days: int) -> None:
    """Refuse a life that no leaf may have.

    Raises:
        UsageError: It is shorter than a day or longer than 825.
    """
    if not 1 <= days <= MAX_DAYS:
        raise UsageError(
            f"A certificate cannot last {days} days.",
            hint=f"Choose 1 to {MAX_DAYS}: devices refuse more than {MAX_DAYS} days.",
        )


def signing_request(key: PrivateKey, hosts: Sequence[Host], subject: x509.Name) -> x509.CertificateSigningRequest:
    """Make a PKCS #10 request for a key and names (RFC 2986)."""
    from cryptography import x509

    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    names = alternative_names(hosts)
    return builder.add_extension(names, critical=not list(subject)).sign(key, signature_hash(key))


def alternative_names(hosts: Sequence[Host]) -> x509.SubjectAlternativeName:
    """The subject alternative names of these hosts.

    Raises:
        UsageError: There are none.
    """
    from cryptography import x509

    if not hosts:
        raise UsageError("A certificate needs at least one name.", hint="maestro certs generate HOST…")
    return x509.SubjectAlternativeName([host.general_name() for host in hosts])


def default_subject(hosts: Sequence[Host]) -> x509.Name:
    """The first DNS name or mail address that fits, as a common name (which is repeated among the names), or nothing."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    fitting = (host.value for host in hosts if host.kind in {"dns", "email"} and len(host.value) <= COMMON_NAME_MAX)
    name = next(fitting, None)
    return x509.Name([] if name is None else [x509.NameAttribute(NameOID.COMMON_NAME, name)])


def authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Equal to the issuer's own identifier; computed from its key where it has none."""
    from cryptography import x509

    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        identifier = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _ca_extensions(
    builder: x509.CertificateBuilder,
    public_key: CertificatePublicKeyTypes,
    path_length: int,
    constraints: Constraints | None,
) -> x509.CertificateBuilder:
    from cryptography import x509

    builder = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    if constraints:
        builder = builder.add_extension(x509.NameConstraints(constraints.permitted(), None), critical=True)
    return builder


def _leaf_usage(public_key: CertificatePublicKeyTypes) -> x509.KeyUsage:
    from cryptography.hazmat.primitives.asymmetric import rsa

    # RFC 8813 §3: keyEncipherment is for RSA; an ECDSA key never enciphers another.
    return _key_usage(digital_signature=True, key_encipherment=isinstance(public_key, rsa.RSAPublicKey))


def _key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_encipherment=key_encipherment,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _ca_name(role: str, public_key: CertificatePublicKeyTypes) -> x509.Name:
    """Two CAs never share a name: stores that look issuers up by name would take one for the other."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    digest = x509.SubjectKeyIdentifier.from_public_key(public_key).digest.hex()[:8]
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, f"maestro development {role} {digest}"),
        ]
    )


def _start(now: dt.datetime) -> dt.datetime:
    return now.astimezone(dt.UTC).replace(microsecond=0) - BACKDATED


def _end(start: dt.datetime, days: int) -> dt.datetime:
    # RFC 5280 §4.1.2.5: the last second belongs to the life
    return start + dt.timedelta(days=days) - _SECOND


def _life(now: dt.datetime, days: int, issuer: x509.Certificate) -> tuple[dt.datetime, dt.datetime]:
    if issuer.not_valid_after_utc <= now:
        raise Refused(
            f"The CA's certificate ended on {issuer.not_valid_after_utc:%Y-%m-%d}; nothing it signs would be accepted.",
            hint="Make a new one, and trust it: maestro certs generate --new-ca --force",
        )
    if issuer.not_valid_before_utc > now:
        raise Refused(
            f"The CA's certificate only begins on {issuer.not_valid_before_utc:%Y-%m-%d %H:%M} UTC.",
            hint="Is this machine's clock right?  date -u",
        )
    start = max(_start(now), issuer.not_valid_before_utc)
    return start, min(_end(start, days), issuer.not_valid_after_utc)
