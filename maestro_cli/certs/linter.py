"""Judging a certificate by the rules in `maestro_cli.certs.rules`: pure functions over what is in it."""

from __future__ import annotations

import datetime as dt
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal

from maestro_cli.certs.issue import MAX_DAYS
from maestro_cli.certs.rules import Problem, problem
from maestro_cli.certs.weak_keys import weaknesses

if TYPE_CHECKING:
    from cryptography import x509

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_GOOD_HASHES = {"sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"}
_GOOD_CURVES = {"secp256r1", "secp384r1", "secp521r1"}
_SECOND = dt.timedelta(seconds=1)
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18


@dataclass(frozen=True)
class _Subject:
    """The certificate under judgement, its extensions by type."""

    certificate: x509.Certificate
    issuer: x509.Certificate | None
    extensions: dict[type[Any], x509.Extension[Any]]

    @property
    def is_ca(self) -> bool:
        from cryptography import x509

        basic = self.extensions.get(x509.BasicConstraints)
        return basic is not None and bool(basic.value.ca)

    @property
    def is_self_issued(self) -> bool:
        return self.certificate.issuer == self.certificate.subject


def lint(
    certificate: x509.Certificate,
    *,
    issuer: x509.Certificate | None = None,
    now: dt.datetime | None = None,
    role: Literal["leaf", "ca"] | None = None,
) -> list[Problem]:
    """What is wrong with a certificate.

    Args:
        certificate: Root, intermediate or leaf.
        issuer: The certificate of its issuer, to compare with; not for a root.
        now: The present; without it nothing is said about expiry.
        role: What it is used as; by default it is believed what it says of itself.

    Returns:
        Breaches of the rules, those that fail first.
    """
    from cryptography import x509

    try:
        extensions = {type(extension.value): extension for extension in certificate.extensions}
        public_key = certificate.public_key()
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return [problem("malformed", f"It cannot be read: {error}.")]
    except Exception as error:  # noqa: BLE001 - unknown algorithms raise a type of their own per version
        return [problem("key-kind", f"Its key is of a kind that TLS does not use ({error}).")]
    subject = _Subject(certificate, issuer, extensions)
    found = [
        *_basics(subject),
        *key_problems(public_key, is_leaf=not subject.is_ca),
        *_life(subject, now),
        *_identifiers(subject),
        *(_ca(subject) if subject.is_ca else _leaf(subject)),
        *_role(subject, role),
    ]
    return sorted(found, key=lambda breach: breach.severity != "fail")


def _role(subject: _Subject, role: Literal["leaf", "ca"] | None) -> Iterator[Problem]:
    if role == "leaf" and subject.is_ca:
        yield problem("leaf-is-ca", "It is a CA's certificate, used as a server's or a client's.")


def key_problems(public_key: Any, *, is_leaf: bool = False) -> Iterator[Problem]:
    """What is wrong with a public key by itself."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public_key, rsa.RSAPublicKey):
        if public_key.key_size < 2048:
            yield problem("rsa-size", f"Its RSA key has {public_key.key_size} bits.")
        elif public_key.key_size < 3072:
            yield problem("rsa-size-soon", f"Its RSA key has {public_key.key_size} bits; new ones should have 3072.")
        exponent = public_key.public_numbers().e
        if exponent != 65537:
            yield problem("rsa-exponent", f"Its RSA exponent is {exponent}.")
        for rule, reason in weaknesses(public_key):
            yield problem(rule, f"Its RSA key is broken: {reason}.")
    elif isinstance(public_key, ec.EllipticCurvePublicKey):
        if public_key.curve.name not in _GOOD_CURVES:
            yield problem("ec-curve", f"Its key is on the curve {public_key.curve.name}.")
    elif isinstance(public_key, ed25519.Ed25519PublicKey):
        if is_leaf:
            yield problem("ed25519", "Its key is Ed25519, which browsers refuse in certificates.")
    else:
        yield problem("key-kind", f"Its key is a {type(public_key).__name__}.")


def _basics(subject: _Subject) -> Iterator[Problem]:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    certificate = subject.certificate
    if certificate.version is not x509.Version.v3:
        yield problem("version", f"It is of version {certificate.version.value + 1}.")
    try:
        algorithm = certificate.signature_hash_algorithm
        name = None if algorithm is None else algorithm.name
    except UnsupportedAlgorithm:
        name = certificate.signature_algorithm_oid.dotted_string
    if name is not None and name not in _GOOD_HASHES:
        yield problem("signature-hash", f"It is signed with {name.upper()}.")
    serial = serial_of(certificate)
    if serial <= 0:
        yield problem("serial-positive", f"Its serial number is {serial}.")
    elif serial.bit_length() > 159:
        yield problem("serial-length", f"Its serial number has {serial.bit_length() // 8 + 1} octets.")
    elif serial.bit_length() <= 56:
        yield problem(
            "serial-entropy", f"Its serial number has {serial.bit_length()} bits, too few for 64 random ones."
        )


def _life(subject: _Subject, now: dt.datetime | None) -> Iterator[Problem]:
    certificate = subject.certificate
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if end <= start:
        yield problem("life-order", f"It ends on {end:%Y-%m-%d} and begins on {start:%Y-%m-%d}.")
    life = end - start + _SECOND
    if not subject.is_ca and life > dt.timedelta(days=MAX_DAYS):
        yield problem("life-length", f"It lasts {life / dt.timedelta(days=1):.1f} days.")
    if subject.issuer is not None and end > subject.issuer.not_valid_after_utc:
        yield problem(
            "life-in-issuer", f"It ends on {end:%Y-%m-%d}, its issuer on {subject.issuer.not_valid_after_utc:%Y-%m-%d}."
        )
    for tag, time in zip(_time_tags(certificate.tbs_certificate_bytes), (start, end), strict=True):
        if (tag == _UTC_TIME) != (time.year < 2050):
            yield problem(
                "time-encoding",
                f"{time:%Y-%m-%d} is encoded as {'UTCTime' if tag == _UTC_TIME else 'GeneralizedTime'}.",
            )
    if now is None:
        return
    if now > end:
        yield problem("expired", f"It ended on {end:%Y-%m-%d %H:%M} UTC.")
    elif now < start:
        yield problem("not-yet-valid", f"It begins on {start:%Y-%m-%d %H:%M} UTC.")
    elif renewal_due(start, end, now):
        yield problem("renewal-due", f"More than two thirds of its life are over; it ends on {end:%Y-%m-%d}.")


def serial_of(certificate: x509.Certificate) -> int:
    """The serial number, whatever it is: the library warns of one that is not positive, and we have a rule for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return certificate.serial_number


def renewal_due(start: dt.datetime, end: dt.datetime, now: dt.datetime) -> bool:
    """Whether more than two thirds of a life are over."""
    return now - start > (end - start) * 2 / 3


def _identifiers(subject: _Subject) -> Iterator[Problem]:
    from cryptography import x509

    own = subject.extensions.get(x509.SubjectKeyIdentifier)
    if own is None or own.critical:
        yield problem(
            "subject-key-identifier", "Its subject key identifier is " + ("missing." if own is None else "critical.")
        )
    authority = subject.extensions.get(x509.AuthorityKeyIdentifier)
    if authority is not None and authority.critical:
        yield problem("authority-key-identifier", "Its authority key identifier is critical.")
    if subject.is_self_issued and subject.issuer is None:
        if not subject.is_ca:
            yield problem("self-signed-leaf", "It is signed by itself.")
        return
    if authority is None or authority.value.key_identifier is None:
        yield problem("authority-key-identifier", "It does not say which key signed it.")
    if subject.issuer is None:
        return
    if subject.issuer.subject != subject.certificate.issuer:
        yield problem(
            "issuer-name",
            "Its issuer's name is another than the subject of the certificate that should have signed it.",
        )
    try:
        expected = subject.issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, ValueError):
        return
    if authority is not None and authority.value.key_identifier not in {None, expected}:
        yield problem("authority-key-match", "Its authority key identifier is not the identifier of its issuer.")


def _ca(subject: _Subject) -> Iterator[Problem]:
    from cryptography import x509

    basic = subject.extensions[x509.BasicConstraints]
    if not basic.critical:
        yield problem("ca-constraints", "Its basic constraints are not critical.")
    if basic.value.path_length is None:
        yield problem("ca-path-length", "It may sign chains of any length.")
    usage = subject.extensions.get(x509.KeyUsage)
    if usage is None or not usage.critical or not usage.value.key_cert_sign or not usage.value.crl_sign:
        yield problem("ca-key-usage", "Its key usage is missing, not critical, or lacks certificate or CRL signing.")
    if not list(subject.certificate.subject):
        yield problem("ca-subject", "Its subject is empty.")
    constraints = subject.extensions.get(x509.NameConstraints)
    if constraints is not None and not constraints.critical:
        yield problem("name-constraints", "Its name constraints are not critical.")


def _leaf(subject: _Subject) -> Iterator[Problem]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID

    usage = subject.extensions.get(x509.KeyUsage)
    if usage is None or not usage.critical or not usage.value.digital_signature:
        yield problem("leaf-key-usage", "Its key usage is missing, not critical, or lacks digital signatures.")
    if (
        usage is not None
        and usage.value.key_encipherment
        and not isinstance(subject.certificate.public_key(), rsa.RSAPublicKey)
    ):
        yield problem("leaf-key-encipherment", "Its key usage has key encipherment, and its key is not RSA.")
    if usage is not None and (usage.value.key_cert_sign or usage.value.crl_sign):
        yield problem("leaf-ca-usage", "Its key usage lets it sign certificates, and it is no CA.")
    extended = subject.extensions.get(x509.ExtendedKeyUsage)
    wanted = ({ExtendedKeyUsageOID.SERVER_AUTH}, {ExtendedKeyUsageOID.CLIENT_AUTH})
    if extended is None or extended.critical or set(extended.value) not in wanted:
        yield problem(
            "extended-key-usage", "Its extended key usage is missing, critical, or not exactly servers or clients."
        )
    if x509.NameConstraints in subject.extensions:
        yield problem("name-constraints", "It has name constraints and is no CA.")
    yield from _names(subject)


def _names(subject: _Subject) -> Iterator[Problem]:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    names = subject.extensions.get(x509.SubjectAlternativeName)
    if names is None or not list(names.value):
        yield problem("alternative-names", "It has no subject alternative names, and no client looks elsewhere.")
        return
    if names.critical == bool(list(subject.certificate.subject)):
        kind = "critical beside a subject" if names.critical else "not critical although the subject is empty"
        yield problem("alternative-names-critical", f"Its alternative names are {kind}.")
    known = {str(name.value).lower() for name in names.value}
    for attribute in subject.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        if str(attribute.value).lower() not in known:
            yield problem(
                "common-name", f"Its common name {str(attribute.value)!r} is not among its alternative names."
            )
    for name in names.value.get_values_for_type(x509.DNSName):
        yield from _dns_name(name)


def _dns_name(name: str) -> Iterator[Problem]:
    try:
        ip_address(name)
    except ValueError:
        pass
    else:
        yield problem("host-address", f"The address {name} stands among its DNS names.")
        return
    base = name.removeprefix("*.")
    if "*" in base or (base != name and "." not in base):
        yield problem("host-wildcard", f"The wildcard {name!r} is not one label below a domain.")
    elif len(base) > 253 or not all(_LABEL.fullmatch(label) for label in base.split(".")):
        yield problem("host-label", f"The name {name!r} is no host name.")


def _time_tags(tbs: bytes) -> tuple[int, int]:
    """The DER tags of notBefore and notAfter, found by walking TBSCertificate up to its validity (RFC 5280 §4.1)."""
    position, _ = _header(tbs, 0)
    if tbs[position] == 0xA0:  # version
        position = _after(tbs, position)
    for _ in ("serialNumber", "signature", "issuer"):
        position = _after(tbs, position)
    start, _ = _header(tbs, position)
    return tbs[start], tbs[_after(tbs, start)]


def _header(data: bytes, position: int) -> tuple[int, int]:
    """Where an element's content begins, and how long it is."""
    length = data[position + 1]
    if length < 0x80:
        return position + 2, length
    octets = length & 0x7F
    return position + 2 + octets, int.from_bytes(data[position + 2 : position + 2 + octets])


def _after(data: bytes, position: int) -> int:
    start, length = _header(data, position)
    return start + length
