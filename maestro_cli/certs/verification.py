"""Whether a certificate does its work: chain, names, purpose, key, modes, weak keys; and if not, why not."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from maestro_cli.certs import leaf, store
from maestro_cli.certs.endpoint import Presented
from maestro_cli.certs.handshake import try_handshake
from maestro_cli.certs.hosts import Host, matches
from maestro_cli.certs.inspection import mode_problem
from maestro_cli.certs.issue import Purpose
from maestro_cli.certs.keys import key_from_pem, public_der
from maestro_cli.certs.linter import lint
from maestro_cli.certs.path import build_path, path_problems, second_opinion
from maestro_cli.certs.rules import Problem, problem
from maestro_cli.certs.weak_keys import known_bad, same_keys, shared_factors
from maestro_cli.errors import MaestroError, OutOfReach
from maestro_cli.filesystem import recover

if TYPE_CHECKING:
    from cryptography import x509

    from maestro_cli.certs.keys import PrivateKey

Status = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: of which file, what was seen, and by which rule."""

    subject: str
    check: str
    status: Status
    message: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that was looked at."""

    target: str
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing failed."""
        return all(finding.status != "fail" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"target": self.target, "holds": self.holds, "findings": [asdict(finding) for finding in self.findings]}


@dataclass
class _Notes:
    """Findings as they are gathered."""

    subject: str
    findings: list[Finding] = field(default_factory=list)

    def passed(self, check: str, message: str) -> None:
        self.findings.append(Finding(self.subject, check, "pass", message))

    def failed(self, check: str, message: str, source: str = "") -> None:
        self.findings.append(Finding(self.subject, check, "fail", message, source))

    def problems(self, problems: Sequence[Problem], prefix: str = "") -> None:
        for found in problems:
            self.findings.append(
                Finding(self.subject, found.rule, found.severity, prefix + found.message, found.source)
            )


def verify_folder(
    directory: Path, *, now: dt.datetime, hosts: Sequence[Host] = (), others: Sequence[Path] = ()
) -> Verification:
    """Verify everything in a folder of maestro's: each leaf against the CA there, the keys' files, the keys together.

    Args:
        directory: The folder.
        now: The present, with a time zone.
        hosts: Names the server's certificate has to cover.
        others: Folders of other environments: no key may be in two of them, nor share a prime.

    Raises:
        OutOfReach: There is nothing to verify, or it cannot be read.
    """
    recover(directory)
    leaves = store.leaves(directory)
    if not leaves:
        missing = directory / (store.KEY if (directory / store.CERTIFICATE).exists() else store.CERTIFICATE)
        raise OutOfReach(
            f"There is nothing to verify: {missing} does not exist.", hint="Make it: maestro certs generate"
        )
    findings: list[Finding] = []
    for files in leaves:
        findings += verify_file(
            directory / (files.fullchain or files.certificate),
            now=now,
            ca=directory / store.CA,
            key=directory / files.key,
            hosts=hosts if files == store.SERVER else (),
        ).findings
        if files.fullchain is not None:
            findings += _same_leaf(directory, files)
    findings += _key_files(directory)
    findings += _keys_together((directory, *others))
    return Verification(str(directory), tuple(findings))


def verify_file(
    path: Path,
    *,
    now: dt.datetime,
    ca: Path,
    key: Path | None = None,
    hosts: Sequence[Host] = (),
    purpose: Purpose | None = None,
) -> Verification:
    """Verify one certificate file: the leaf first, intermediates behind it.

    Args:
        path: PEM file.
        now: The present, with a time zone.
        ca: PEM file of the CA to trust.
        key: The private key's file, to compare and to shake hands with.
        hosts: Names it has to cover.
        purpose: What it has to be for; by default what it says itself.

    Raises:
        OutOfReach: A file cannot be read.
    """
    chain = store.read_certificates(path.parent, path.name)
    roots = store.read_certificates(ca.parent, ca.name)
    notes = _Notes(path.name)
    purpose = _purpose(notes, chain[0], purpose)
    is_whole = _chain(notes, chain, roots, hosts, purpose, now)
    if key is not None and _key(notes, chain[0], key) and is_whole:
        host = next((host.value for host in hosts or leaf.names_of(chain[0]) if not host.is_wildcard), None)
        refused = try_handshake(chain=path, key=key, ca=ca, host=host, purpose=purpose)
        if refused is None:
            notes.passed("handshake", "A strict TLS handshake with it succeeds.")
        else:
            notes.failed("handshake", f"A strict TLS handshake with it fails: {refused}.")
    return Verification(str(path), tuple(notes.findings))


def verify_presented(presented: Presented, *, now: dt.datetime, ca: Path, hosts: Sequence[Host] = ()) -> Verification:
    """Verify what a server showed.

    Args:
        presented: As `fetch_chain` gives it.
        now: The present, with a time zone.
        ca: PEM file of the CA to trust.
        hosts: Names it has to cover.

    Raises:
        OutOfReach: The CA's file cannot be read, or the server showed nothing.
    """
    target = f"{presented.host}:{presented.port}"
    if not presented.certificates:
        raise OutOfReach(f"{target} showed no certificate.", hint=f"openssl s_client -connect {target}")
    notes = _Notes(target)
    purpose = _purpose(notes, presented.certificates[0], "server")
    _chain(notes, presented.certificates, store.read_certificates(ca.parent, ca.name), hosts, purpose, now)
    return Verification(target, tuple(notes.findings))


def _chain(
    notes: _Notes,
    chain: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    hosts: Sequence[Host],
    purpose: Purpose,
    now: dt.datetime,
) -> bool:
    path, missing = build_path(chain[0], chain[1:], roots)
    for depth, certificate in enumerate(path):
        issuer = path[depth + 1] if depth + 1 < len(path) else None
        name = "" if depth == 0 else f"{certificate.subject.rfc4514_string()}: "
        notes.problems(lint(certificate, issuer=issuer, now=now, role="leaf" if depth == 0 else "ca"), name)
    wrong = [missing] if missing is not None else list(path_problems(path))
    if not wrong:
        opinion = second_opinion(path, _asked(chain[0], hosts), purpose, now)
        wrong = [f"A strict verifier refuses it: {opinion}."] if opinion is not None else []
    for reason in wrong:
        notes.failed("chain", reason, "RFC 5280 §6.1")
    if not wrong:
        notes.passed("chain", f"It leads to {path[-1].subject.rfc4514_string()}.")
    _hosts(notes, chain[0], hosts)
    return not wrong


def _asked(certificate: x509.Certificate, hosts: Sequence[Host]) -> Host | None:
    """A name to put to the second opinion: one that the certificate covers, since missing ones are told apart."""
    names = leaf.names_of(certificate)
    covered = [host for host in hosts if any(matches(name, host) for name in names)]
    plain = [name for name in names if name.kind in {"dns", "ip"} and not name.is_wildcard]
    wild = [Host("dns", name.value.replace("*", "x", 1)) for name in names if name.is_wildcard]
    return next(iter((*covered, *plain, *wild)), None)


def _hosts(notes: _Notes, certificate: x509.Certificate, hosts: Sequence[Host]) -> None:
    names = leaf.names_of(certificate)
    for host in hosts:
        if any(matches(name, host) or name == host for name in names):
            notes.passed("host", f"It is for {host}.")
        else:
            shown = ", ".join(map(str, names)) or "nothing"
            notes.failed("host", f"It is not for {host}, but for {shown}.", "RFC 9525 §6")


def _purpose(notes: _Notes, certificate: x509.Certificate, purpose: Purpose | None) -> Purpose:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    wanted = purpose or leaf.purpose_of(certificate)
    oid = ExtendedKeyUsageOID.SERVER_AUTH if wanted == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
    try:
        usages = list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        usages = []
    except ValueError:  # malformed, and said so elsewhere
        return wanted
    if usages and oid not in usages and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usages:
        notes.failed("purpose", f"It is not for {wanted}s.", "RFC 5280 §4.2.1.12")
    else:
        notes.passed("purpose", f"It is for {wanted}s.")
    return wanted


def _key(notes: _Notes, certificate: x509.Certificate, path: Path) -> bool:
    wide = mode_problem(path) if path.exists() else None
    if wide is not None:
        notes.problems([wide])
    key = _load(path)
    if public_der(key.public_key()) != public_der(certificate.public_key()):
        notes.problems([problem("key-match", f"{path.name} is another certificate's key.")])
        return False
    notes.passed("key-match", f"{path.name} is its key.")
    return True


def _load(path: Path) -> PrivateKey:
    data = store.read(path.parent, path.name)
    if data is None:
        raise OutOfReach(f"{path} does not exist.", hint="Name the key's file: --key FILE")
    return key_from_pem(data, str(path))


def _same_leaf(directory: Path, files: store.LeafFiles) -> list[Finding]:
    if files.fullchain is None or not (directory / files.fullchain).exists():
        return []
    alone = store.read_certificates(directory, files.certificate)[0]
    if alone == store.read_certificates(directory, files.fullchain)[0]:
        return []
    return [Finding(files.fullchain, "chain", "fail", f"It begins with another certificate than {files.certificate}.")]


def _key_files(directory: Path) -> list[Finding]:
    """Modes of the CA's key files; those of the leaves are looked at with their certificates."""
    findings: list[Finding] = []
    for name in (store.CA_KEY, store.INTERMEDIATE_KEY):
        wide = mode_problem(directory / name) if (directory / name).exists() else None
        if wide is not None:
            findings += _from_problem(wide, name)
    return findings


def _keys_together(directories: Sequence[Path]) -> list[Finding]:
    """What two keys must not share, and which keys are known to be bad."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    findings: list[Finding] = []
    keys = {name: key.public_key() for directory in directories for name, key in _keys(directory, directories[0])}
    for group in same_keys({name: public_der(key) for name, key in keys.items()}):
        findings += _from_problem(problem("shared-key", f"{', '.join(group)} are one key."), group[0])
    moduli = {name: key.public_numbers().n for name, key in keys.items() if isinstance(key, rsa.RSAPublicKey)}
    names = list(moduli)
    for index in sorted(shared_factors(list(moduli.values()))):
        findings += _from_problem(
            problem("shared-factor", "Its modulus shares a prime with another key's."), names[index]
        )
    for name, key in keys.items():
        reasons = known_bad(key) or []
        findings += [
            found for reason in reasons for found in _from_problem(problem("known-bad-key", f"{reason}."), name)
        ]
    return findings


def _keys(directory: Path, home: Path) -> Iterator[tuple[str, PrivateKey]]:
    """Every readable private key of a folder, under its name; with its path where it is another environment's."""
    for path in [directory / store.KEY, *sorted(directory.glob("*-key.pem"))]:
        with contextlib.suppress(MaestroError):  # missing, or encrypted as a CA's key may be
            yield path.name if directory == home else str(path), _load(path)


def _from_problem(found: Problem, subject: str) -> list[Finding]:
    return [Finding(subject, found.rule, found.severity, found.message, found.source)]
