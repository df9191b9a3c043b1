"""The path from a leaf to a CA that is trusted, and what is wrong with it as a whole (RFC 5280 §6)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from maestro_cli.certs import leaf
from maestro_cli.certs.constraints import constraints_of
from maestro_cli.certs.hosts import Host
from maestro_cli.certs.issue import Purpose
from maestro_cli.certs.store import is_issued_by

if TYPE_CHECKING:
    from cryptography import x509

_LONGEST = 8


def build_path(
    certificate: x509.Certificate, intermediates: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> tuple[list[x509.Certificate], str | None]:
    """Go from a certificate to a trusted root, issuer by issuer.

    Returns:
        The certificates passed, the leaf first and the root last, and why there is no root at its end (or None).
    """
    path = [certificate]
    for _ in range(_LONGEST):
        last = path[-1]
        if last in roots and len(path) > 1:
            return path, None
        root = next((root for root in roots if is_issued_by(last, root)), None)
        if root is not None:
            return ([*path, root] if root != last else path), None
        issuer = next((one for one in intermediates if one != last and is_issued_by(last, one)), None)
        if issuer is None or issuer in path:
            return path, _why_not(last, (*roots, *intermediates))
        path.append(issuer)
    return path, f"The chain is longer than {_LONGEST} certificates."


def path_problems(path: Sequence[x509.Certificate]) -> Iterator[str]:
    """What is wrong with a path that reaches its root: a CA that may not sign, too long a chain, names outside."""
    from cryptography import x509

    for depth, authority in enumerate(path[1:]):
        name = authority.subject.rfc4514_string()
        try:
            basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        except x509.ExtensionNotFound:
            yield f"{name} signed another certificate and is no CA."
            continue
        if not basic.ca:
            yield f"{name} signed another certificate and is no CA."
        elif basic.path_length is not None and basic.path_length < depth:
            yield f"{name} may have {basic.path_length} CAs below it and has {depth}."
        try:
            usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
        except x509.ExtensionNotFound:
            usage = None
        if usage is not None and not usage.key_cert_sign:
            yield f"{name} signed another certificate, which its key usage does not allow."
        bound = constraints_of(authority)
        outside = [host.value for host in leaf.names_of(path[0]) if bound is not None and bound.refuses(host)]
        if outside:
            yield f"{', '.join(outside)}: outside the name constraints of {name}."


def second_opinion(
    path: Sequence[x509.Certificate], host: Host | None, purpose: Purpose, now: dt.datetime
) -> str | None:
    """What pyca's verifier, which holds to the web PKI's rules, says against a path; None where it accepts or has no say.

    It has no say of Ed25519, which the web PKI does not know.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.x509 import verification

    if any(isinstance(one.public_key(), ed25519.Ed25519PublicKey) for one in path) or len(path) < 2:
        return None
    builder = verification.PolicyBuilder().store(verification.Store([path[-1]])).time(now)
    try:
        if purpose == "client":
            builder.build_client_verifier().verify(path[0], list(path[1:-1]))
            return None
        name = host.general_name() if host is not None else None
        if isinstance(name, (x509.DNSName, x509.IPAddress)):
            builder.build_server_verifier(name).verify(path[0], list(path[1:-1]))
    except verification.VerificationError as error:
        return str(error)
    return None


def _why_not(last: x509.Certificate, candidates: Sequence[x509.Certificate]) -> str:
    issuer = last.issuer.rfc4514_string() or "(no name)"
    if last.issuer == last.subject:
        return f"It ends in {issuer}, which signed itself and is not trusted."
    if any(candidate.subject == last.issuer for candidate in candidates):
        return f"Its issuer is called {issuer}, and the certificate of that name has another key."
    return f"Its issuer, {issuer}, is neither in the chain nor in the CA's file."
