"""Signing another machine's request: its key never leaves it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.certs import leaf, store
from maestro_cli.certs.constraints import check_names
from maestro_cli.certs.hosts import Host, file_stem, parse_host
from maestro_cli.certs.issue import DEFAULT_DAYS, Purpose, leaf_certificate
from maestro_cli.certs.linter import key_problems
from maestro_cli.errors import OutOfReach, Refused, UsageError
from maestro_cli.filesystem import locked
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from cryptography import x509


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate made from a request: its file in the folder, names and last second, and the name of a kept old one."""

    directory: Path
    certificate: str
    hosts: tuple[Host, ...]
    not_after: dt.datetime
    backups: dict[str, str]
    warnings: tuple[str, ...]


def read_request(data: bytes, where: str) -> x509.CertificateSigningRequest:
    """Read a PKCS #10 request, PEM or DER, and have it prove that its sender holds the key.

    Raises:
        OutOfReach: It cannot be read.
        Refused: Its signature is wrong, or its key is one that no certificate should have.
    """
    from cryptography import x509

    try:
        load = x509.load_pem_x509_csr if b"-----BEGIN" in data else x509.load_der_x509_csr
        request = load(data)
        public_key = request.public_key()
        valid = request.is_signature_valid
    except Exception as error:
        raise OutOfReach(
            f"{where} holds no readable signing request.", hint=f"openssl req -verify -noout -in {where}"
        ) from error
    if not valid:
        raise Refused(
            f"{where} is not signed with the key it asks a certificate for.", hint="Ask its sender for a new one."
        )
    broken = [problem for problem in key_problems(public_key) if problem.severity == "fail"]
    if broken:
        raise Refused(
            f"{where}: {' '.join(problem.message for problem in broken)}", hint="Ask its sender for a new key."
        )
    return request


def sign_request(
    directory: Path,
    request: x509.CertificateSigningRequest,
    *,
    now: dt.datetime,
    hosts: tuple[Host, ...] = (),
    days: int = DEFAULT_DAYS,
    purpose: Purpose = "server",
    passphrase: Secret | None = None,
    ask: Callable[[], Secret | None] | None = None,
    force: bool = False,
) -> Signed:
    """Sign a request with the folder's CA and write `STEM.pem` with its chain, named after its first name.

    Of the request only the key and, unless `hosts` says otherwise, the names are taken: what else it asks for (to be
    a CA, other usages, a longer life) is not its sender's to decide.

    Raises:
        UsageError: There are no names, or one is refused.
        Refused: The file exists already, or the CA cannot sign.
        OutOfReach: Files cannot be read or written.
    """
    names = hosts or tuple(parse_host(_prefixed(host)) for host in leaf.names_of(request))
    if not names:
        raise UsageError(
            "The request has no subject alternative names.",
            hint="Name them: maestro certs generate --sign-csr FILE HOST…",
        )
    with locked(directory) as folder:
        issuer = store.load_issuer(directory, passphrase=passphrase, ask=ask)
        check_names(names, (store.read_certificates(directory, store.CA)[0], *issuer.chain))
        certificate = leaf_certificate(request.public_key(), issuer, names, now=now, days=days, purpose=purpose)
        target = f"signed-{file_stem(names[0])}.pem"
        taken = [target] if (directory / target).exists() else []
        if taken and not force:
            raise Refused(
                f"{directory / target} exists already.", hint="To replace it, keeping the old one beside: add --force."
            )
        chain = leaf.to_pem(certificate, *issuer.chain)
        backups = store.write(folder, {target: chain}, backups=taken, now=now)
    warnings = tuple(leaf.warnings(certificate, names, days))
    return Signed(directory, target, names, certificate.not_valid_after_utc, backups, warnings)


def _prefixed(host: Host) -> str:
    return f"{host.kind}:{host.value}"
