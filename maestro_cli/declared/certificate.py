"""`certificate:` how long a certificate still holds, whom it is for and whether it is trusted."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

from maestro_cli.api import Context, Evidence, Finding, MaestroError, Unreachable
from maestro_cli.config.declared import CertificateSubject
from maestro_cli.declared import Stop
from maestro_cli.declared.judgement import Judgement
from maestro_cli.observe.http_connection import explain

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def observe(subject: CertificateSubject, ctx: Context, _stop: Stop) -> Finding:
    """Fetch or read it, and compare."""
    judgement = Judgement()
    if subject.address is not None:
        certificate = _of_server(subject, ctx, judgement)
        where = subject.address
    else:
        certificate = _in_file(subject, ctx)
        where = str(subject.file)
    _dates(certificate, subject, ctx, judgement)
    name, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    judgement.saw("subject", name) if subject.subject is None else judgement.expect("subject", name, subject.subject)
    judgement.saw("issuer", issuer) if subject.issuer is None else judgement.expect("issuer", issuer, subject.issuer)
    return judgement.finding(f"the certificate of {where} holds until {certificate.not_valid_after_utc:%Y-%m-%d}")


def _dates(certificate: Certificate, subject: CertificateSubject, ctx: Context, judgement: Judgement) -> None:
    left = (certificate.not_valid_after_utc - ctx.now).total_seconds() / 86_400
    expected = f"at least {subject.min_days_left:g}, better {subject.warn_days_left:g}"
    judgement.evidence.append(Evidence("days left", f"{left:.1f}", expected))
    if certificate.not_valid_before_utc > ctx.now:
        judgement.wrong.append(f"it is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    if left < 0:
        judgement.wrong.append(f"it expired {-left:.0f} days ago")
    elif left < subject.min_days_left:
        judgement.wrong.append(f"it expires in {left:.1f} days, expected at least {subject.min_days_left:g}")
    elif left < subject.warn_days_left:
        judgement.doubtful.append(f"it expires in {left:.0f} days")


def _in_file(subject: CertificateSubject, ctx: Context) -> Certificate:
    from cryptography import x509

    try:
        data = ctx.path(str(subject.file)).read_bytes()
        return x509.load_pem_x509_certificate(data)
    except OSError as error:
        raise MaestroError(f"{subject.file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise MaestroError(f"{subject.file} holds no certificate in PEM") from None


def _of_server(subject: CertificateSubject, ctx: Context, judgement: Judgement) -> Certificate:
    """The server's certificate; whether it is trusted is judged in a handshake of its own."""
    from cryptography import x509

    address = str(subject.address)
    name = subject.server_name or address.rpartition(":")[0].strip("[]")
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    try:
        data = _handshake(subject, anyone, name)
    except OSError as error:
        raise Unreachable(address, explain(error)) from None
    if data is None:
        raise Unreachable(address, "it sent no certificate")
    if subject.verify:
        words = "trusted"
        try:
            _handshake(subject, _verifying(subject, ctx), name)
        except ssl.SSLCertVerificationError as error:
            words = error.verify_message.rstrip(".")
            judgement.wrong.append(f"it is not trusted: {words}")
        except OSError as error:
            raise Unreachable(address, explain(error)) from None
        judgement.evidence.append(Evidence(f"trust, as {name}", words, "trusted"))
    return x509.load_der_x509_certificate(data)


def _handshake(subject: CertificateSubject, context: ssl.SSLContext, name: str) -> bytes | None:
    host, _, port = str(subject.address).rpartition(":")
    with (
        socket.create_connection((host.strip("[]"), int(port)), subject.timeout_s) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        return secured.getpeercert(binary_form=True)


def _verifying(subject: CertificateSubject, ctx: Context) -> ssl.SSLContext:
    api: Any = ctx.settings.api
    ca_file = subject.ca_file or (api.ca_file if api is not None else None)
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ctx.path(ca_file)))
    except OSError as error:
        raise MaestroError(f"{ca_file} cannot be read: {error.strerror or error}") from None
    if subject.ca_file is None and ca_file is not None:
        context.load_default_certs()
    return context
