"""What a person wants to know about a certificate file or a server's chain."""

from __future__ import annotations

import datetime as dt
import math
import stat
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.certs import leaf, store
from maestro_cli.certs.constraints import constraints_of
from maestro_cli.certs.description import Described, DescribedKey, DescribedRequest, Expiry, Inspection, Kind
from maestro_cli.certs.endpoint import Presented
from maestro_cli.certs.keys import describe_key, key_from_pem, public_der
from maestro_cli.certs.linter import key_problems, lint, serial_of
from maestro_cli.certs.rules import Problem, problem
from maestro_cli.errors import MaestroError, OutOfReach
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from cryptography import x509

_DAY = dt.timedelta(days=1)
_BEGIN = b"-----BEGIN "


def inspect_file(path: Path, *, now: dt.datetime, password: Secret | None = None) -> Inspection:
    """Describe everything in a file: certificates (PEM, DER), a key, a signing request, a PKCS #12 file.

    Args:
        path: The file.
        now: The present, with a time zone.
        password: Opens a PKCS #12 file.

    Raises:
        OutOfReach: It cannot be read, or holds none of these.
    """
    data = read_file(path)
    if _BEGIN in data:
        return _inspect_pem(path, data, now)
    from cryptography import x509

    try:
        return Inspection(str(path), describe_chain([store.load_der(data)], now))
    except ValueError:
        pass
    try:
        return Inspection(str(path), request=_request(x509.load_der_x509_csr(data)))
    except ValueError:
        return _inspect_pkcs12(path, data, now, password)


def inspect_presented(presented: Presented, *, now: dt.datetime) -> Inspection:
    """Describe what a server showed."""
    source = f"{presented.host}:{presented.port}"
    connection = f"{presented.protocol}, {presented.cipher}"
    return Inspection(source, describe_chain(presented.certificates, now), connection=connection)


def describe_chain(certificates: Sequence[x509.Certificate], now: dt.datetime) -> tuple[Described, ...]:
    """Describe certificates that stand together, each judged against its issuer where that is among them."""
    described = []
    for certificate in certificates:
        issuers = (
            other for other in certificates if other is not certificate and store.is_issued_by(certificate, other)
        )
        described.append(describe(certificate, now=now, issuer=next(issuers, None)))
    return tuple(described)


def describe(certificate: x509.Certificate, *, now: dt.datetime, issuer: x509.Certificate | None = None) -> Described:
    """Describe one certificate; `issuer` lets more rules be applied."""
    from hashlib import sha256

    from cryptography.hazmat.primitives.serialization import Encoding

    problems = tuple(lint(certificate, issuer=issuer, now=now))
    is_readable = not any(found.rule in {"malformed", "key-kind"} for found in problems)
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    bound = constraints_of(certificate) if is_readable else None
    return Described(
        kind=_kind(certificate) if is_readable else "server",
        names=tuple(host.value for host in leaf.names_of(certificate)) if is_readable else (),
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        key=describe_key(certificate.public_key()) if is_readable else "?",
        signature=_signature(certificate),
        serial=f"{serial_of(certificate):x}",
        not_before=start,
        not_after=end,
        days_left=_days_left(end, now),
        life_used=round(min(1.0, max(0.0, (now - start) / (end - start))), 4) if end > start else 1.0,
        sha256=sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        public_key_sha256=sha256(public_der(certificate.public_key())).hexdigest() if is_readable else "?",
        constraints=(*bound.domains, *map(str, bound.networks)) if bound is not None else (),
        problems=problems,
    )


def expiries(paths: Iterable[Path], *, now: dt.datetime) -> list[Expiry]:
    """When every certificate in these files ends, and nothing else: made for thousands.

    Raises:
        OutOfReach: A file cannot be read, or holds no certificate.
    """
    from cryptography import x509

    found: list[Expiry] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # see `store.load_pem`; once for all of them
        for path in paths:
            data, source = read_file(path), str(path)
            try:
                certificates = (
                    x509.load_pem_x509_certificates(data) if _BEGIN in data else [x509.load_der_x509_certificate(data)]
                )
            except ValueError as error:
                raise OutOfReach(f"{source} holds no certificate.", hint=f"file {source}") from error
            for certificate in certificates:
                end = certificate.not_valid_after_utc
                found.append(Expiry(source, _first_name(certificate), end, _days_left(end, now)))
    return found


def _first_name(certificate: x509.Certificate) -> str:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return certificate.subject.rfc4514_string()
    return next((str(name.value) for name in names), "")


def read_file(path: Path) -> bytes:
    """A file's content.

    Raises:
        OutOfReach: It cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise OutOfReach(f"{path} does not exist.", hint="Name a file, or a server as HOST:PORT.") from error
    except OSError as error:
        raise OutOfReach(f"{path} cannot be read ({error.strerror}).", hint=f"ls -ld {path}") from error


def mode_problem(path: Path) -> Problem | None:
    """Whether others than its owner may read or write a private file."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return problem(
            "key-mode", f"{path.name} has mode {mode:04o}: others than its owner get at it. chmod 600 {path}"
        )
    return None


def _inspect_pem(path: Path, data: bytes, now: dt.datetime) -> Inspection:
    from cryptography import x509

    try:
        certificates = store.load_pem(data) if b"-----BEGIN CERTIFICATE-----" in data else []
        request = x509.load_pem_x509_csr(data) if b"CERTIFICATE REQUEST-----" in data else None
    except ValueError as error:
        raise OutOfReach(f"{path} is damaged ({error}).", hint=f"openssl x509 -noout -text -in {path}") from error
    key = _key(path, data) if b"PRIVATE KEY-----" in data else None
    if not certificates and request is None and key is None:
        raise OutOfReach(f"{path} holds no certificate, key or request.", hint=f"head -1 {path}")
    chain = describe_chain(certificates, now)
    return Inspection(str(path), chain, key, _request(request) if request is not None else None)


def _inspect_pkcs12(path: Path, data: bytes, now: dt.datetime, password: Secret | None) -> Inspection:
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        container = pkcs12.load_pkcs12(data, password.reveal().encode() if password else None)
    except ValueError as error:
        is_container = path.suffix in {".p12", ".pfx"}
        hint = "Give its password: --password-file FILE" if is_container else f"file {path}"
        raise OutOfReach(
            f"{path} {'cannot be opened' if is_container else 'holds no certificate'}.", hint=hint
        ) from error
    found = [one.certificate for one in (container.cert, *container.additional_certs) if one is not None]
    return Inspection(str(path), describe_chain(found, now))


def _key(path: Path, data: bytes) -> DescribedKey:
    from hashlib import sha256

    wide = mode_problem(path)
    mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
    found = (wide,) if wide is not None else ()
    if b"ENCRYPTED" in data:
        return DescribedKey("encrypted", True, mode, "?", found)
    start = data.index(b"PRIVATE KEY-----")
    start = data.rindex(_BEGIN, 0, start)
    end = data.index(b"-----END", start)
    end = data.index(b"-----", end + 8) + 5
    try:
        public_key = key_from_pem(data[start:end] + b"\n", str(path)).public_key()
    except MaestroError:
        return DescribedKey("unreadable", False, mode, "?", found)
    digest = sha256(public_der(public_key)).hexdigest()
    return DescribedKey(describe_key(public_key), False, mode, digest, (*found, *key_problems(public_key)))


def _request(request: x509.CertificateSigningRequest) -> DescribedRequest:
    public_key = request.public_key()
    return DescribedRequest(
        tuple(host.value for host in leaf.names_of(request)),
        request.subject.rfc4514_string(),
        describe_key(public_key),
        request.is_signature_valid,
        tuple(key_problems(public_key, is_leaf=True)),
    )


def _kind(certificate: x509.Certificate) -> Kind:
    from cryptography import x509

    try:
        if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return "root" if certificate.issuer == certificate.subject else "intermediate"
    except x509.ExtensionNotFound:
        pass
    return leaf.purpose_of(certificate)


def _signature(certificate: x509.Certificate) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm

    name = certificate.signature_algorithm_oid._name  # noqa: SLF001 - the library's own spelling of the algorithm
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return certificate.signature_algorithm_oid.dotted_string
    return name if algorithm is None or algorithm.name in name.lower() else f"{name} ({algorithm.name})"


def _days_left(end: dt.datetime, now: dt.datetime) -> int:
    return math.floor((end - now) / _DAY)
