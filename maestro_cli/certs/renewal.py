"""Renewal: the same names and purpose, a new life, a new key unless the old one is to stay."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.certs import leaf, store
from maestro_cli.certs.constraints import check_names, constraints_of
from maestro_cli.certs.issue import MAX_DAYS, Issuer, intermediate_certificate, leaf_certificate
from maestro_cli.certs.keys import KeyType, generate_keys, key_to_pem, key_type_of
from maestro_cli.certs.linter import renewal_due
from maestro_cli.certs.store import LeafFiles
from maestro_cli.errors import OutOfReach, Refused
from maestro_cli.filesystem import locked, recover
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from cryptography import x509

    from maestro_cli.certs.keys import PrivateKey

HOOK_PENDING = ".maestro-hook-pending"
"""Written with the renewed files and removed after the hook: a hook that was cut off runs again."""
PREVIOUS = ".previous"
"""What a renewed file was before; the next renewal replaces it."""

_DAY = dt.timedelta(days=1)
_SECOND = dt.timedelta(seconds=1)


@dataclass(frozen=True)
class Terms:
    """Which certificates are due, and how they are renewed.

    Attributes:
        everything: All are due.
        days_left: Due are those with fewer days left than this; without it, those past two thirds of their life.
        reuse_key: Keep the keys.
        days: New life in days; without it, as long as the old one.
        passphrase: What opens the CA's key.
        hook: A hook will run: leave word until it has.
    """

    everything: bool = False
    days_left: int | None = None
    reuse_key: bool = False
    days: int | None = None
    passphrase: Secret | None = None
    hook: bool = False

    def due(self, certificate: x509.Certificate, now: dt.datetime) -> bool:
        """Whether a certificate is to be renewed."""
        if self.everything:
            return True
        end = certificate.not_valid_after_utc
        if self.days_left is not None:
            return end - now < self.days_left * _DAY
        return renewal_due(certificate.not_valid_before_utc, end, now)


@dataclass(frozen=True, slots=True)
class Renewed:
    """One certificate of the folder: its file, its old and, where it was due, its new last second."""

    certificate: str
    old_end: dt.datetime
    new_end: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a renewal did: every certificate it looked at, the files it wrote, and what a person should know."""

    directory: Path
    certificates: tuple[Renewed, ...]
    written: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def renewed(self) -> tuple[Renewed, ...]:
        """Those that were due."""
        return tuple(one for one in self.certificates if one.new_end is not None)


@dataclass
class _Work:
    """What is to be renewed in a folder, and what became of it."""

    directory: Path
    terms: Terms
    now: dt.datetime
    leaves: list[tuple[LeafFiles, x509.Certificate]]
    intermediate: x509.Certificate | None
    intermediate_due: bool
    files: dict[str, bytes | None] = field(default_factory=dict)
    ends: dict[str, dt.datetime] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def is_due(self, certificate: x509.Certificate) -> bool:
        return self.intermediate_due or self.terms.due(certificate, self.now)

    @property
    def due(self) -> list[tuple[LeafFiles, x509.Certificate]]:
        return [(files, old) for files, old in self.leaves if self.is_due(old)]


def preview(directory: Path, terms: Terms, *, now: dt.datetime) -> list[tuple[str, dt.datetime, bool]]:
    """File, last second and whether it is due, for every certificate that renewal looks at."""
    recover(directory)
    work = _look(directory, terms, now)
    found = [(files.certificate, old.not_valid_after_utc, work.is_due(old)) for files, old in work.leaves]
    if work.intermediate is not None:
        found.insert(0, (store.INTERMEDIATE, work.intermediate.not_valid_after_utc, work.intermediate_due))
    return found


def renew(
    directory: Path, terms: Terms, *, now: dt.datetime, ask: Callable[[], Secret | None] | None = None
) -> Renewal:
    """Renew what is due in a folder, all of it together or nothing.

    An intermediate that is due is renewed with every leaf below it. The root is never renewed: everybody would have
    to trust it anew, so that is for a person to decide (`certs generate --new-ca`).

    Args:
        directory: The folder.
        terms: What is due.
        now: The present, with a time zone.
        ask: Called for the passphrase of an encrypted CA key where the terms have none.

    Raises:
        OutOfReach: There is nothing to renew here, or files cannot be read or written; nothing was changed.
        Refused: The CA cannot sign; nothing was changed.
    """
    with locked(directory) as folder:
        work = _look(directory, terms, now)
        if not work.leaves and work.intermediate is None:
            raise OutOfReach(f"{directory} holds no certificate with its key.", hint="Make one: maestro certs generate")
        if work.due or work.intermediate_due:
            _make(work, ask)
            if terms.hook:
                work.files[HOOK_PENDING] = b""
            _keep_previous(work)
            folder.replace(work.files, keep_mode={name for name in work.files if store.is_public(name)}, exclusive=True)
    return _report(work)


def hook_done(directory: Path) -> None:
    """Take back the word that a hook has yet to run."""
    (directory / HOOK_PENDING).unlink(missing_ok=True)


def _look(directory: Path, terms: Terms, now: dt.datetime) -> _Work:
    leaves = [(files, store.read_certificates(directory, files.certificate)[0]) for files in store.leaves(directory)]
    has_intermediate = (directory / store.INTERMEDIATE).exists()
    intermediate = store.read_certificates(directory, store.INTERMEDIATE)[0] if has_intermediate else None
    # `everything` means the leaves: an intermediate lives for years, and its renewal needs the root's key
    by_age = Terms(days_left=terms.days_left)
    due = intermediate is not None and by_age.due(intermediate, now)
    return _Work(directory, terms, now, leaves, intermediate, due)


def _make(work: _Work, ask: Callable[[], Secret | None] | None) -> None:
    terms, directory = work.terms, work.directory
    load = store.load_root if work.intermediate_due else store.load_issuer
    issuer = load(directory, passphrase=terms.passphrase, ask=ask)
    root = store.read_certificates(directory, store.CA)[0]
    olds = [old for _, old in work.due]
    if work.intermediate_due and work.intermediate is not None:
        olds.insert(0, work.intermediate)
    if terms.reuse_key:
        keys = [store.read_key(directory, files.key) for files, _ in work.due]
        if work.intermediate_due:
            keys.insert(0, store.read_key(directory, store.INTERMEDIATE_KEY, passphrase=terms.passphrase, ask=ask))
    else:
        keys = generate_keys([_same_type(old) for old in olds])
    if work.intermediate_due and work.intermediate is not None:
        issuer = _intermediate(work, work.intermediate, keys.pop(0), issuer)
    for (files, old), key in zip(work.due, keys, strict=True):
        _leaf(work, files, old, key, issuer, root)
    if terms.due(root, work.now) and not terms.everything:
        work.warnings.append(
            f"{store.CA} ends on {root.not_valid_after_utc:%Y-%m-%d}. A new one has to be trusted by hand: "
            "maestro certs generate --new-ca --force"
        )


def _leaf(
    work: _Work, files: LeafFiles, old: x509.Certificate, key: PrivateKey, issuer: Issuer, root: x509.Certificate
) -> None:
    hosts = leaf.names_of(old)
    if not hosts:
        raise Refused(
            f"{work.directory / files.certificate} has no subject alternative names, so there is nothing to renew it for.",
            hint="Make it anew: maestro certs generate HOST… --force",
        )
    check_names(hosts, (root, *issuer.chain))
    days = work.terms.days or min(
        MAX_DAYS, max(1, round((old.not_valid_after_utc - old.not_valid_before_utc + _SECOND) / _DAY))
    )
    subject = old.subject if _subject_fits(old) else None
    new = leaf_certificate(
        key.public_key(), issuer, hosts, now=work.now, purpose=leaf.purpose_of(old), days=days, subject=subject
    )
    work.files |= leaf.contents(files, key, new, issuer)
    if files == store.SERVER:
        others, warned = leaf.companions(work.directory, key, new, issuer, root)
        work.files |= others
        work.warnings += warned
    elif (work.directory / files.pkcs12).exists():
        work.warnings.append(f"{files.pkcs12} still holds the old pair.")
    work.ends[files.certificate] = new.not_valid_after_utc


def _intermediate(work: _Work, old: x509.Certificate, key: PrivateKey, root: Issuer) -> Issuer:
    passphrase = work.terms.passphrase if _is_encrypted(work.directory / store.INTERMEDIATE_KEY) else None
    new = intermediate_certificate(key.public_key(), root, now=work.now, constraints=constraints_of(old))
    work.files[store.INTERMEDIATE_KEY] = key_to_pem(key, passphrase)
    work.files[store.INTERMEDIATE] = leaf.to_pem(new)
    work.ends[store.INTERMEDIATE] = new.not_valid_after_utc
    return Issuer(new, key, (new,))


def _keep_previous(work: _Work) -> None:
    kept = {}
    for name in work.files:
        old = store.read(work.directory, name) if name not in {store.FULLCHAIN, store.REQUEST, HOOK_PENDING} else None
        if old is not None and name != store.KUBERNETES:
            kept[f"{name}{PREVIOUS}"] = old
    work.files = {**kept, **work.files}


def _report(work: _Work) -> Renewal:
    looked = [(files.certificate, old) for files, old in work.leaves]
    if work.intermediate is not None:
        looked.insert(0, (store.INTERMEDIATE, work.intermediate))
    certificates = tuple(Renewed(name, old.not_valid_after_utc, work.ends.get(name)) for name, old in looked)
    return Renewal(work.directory, certificates, tuple(work.files), tuple(work.warnings))


def _same_type(old: x509.Certificate) -> KeyType:
    return key_type_of(old.public_key()) or "rsa-4096"


def _subject_fits(old: x509.Certificate) -> bool:
    """Whether the old subject keeps today's rules: a common name is one of the alternative names."""
    from cryptography.x509.oid import NameOID

    names = {host.value for host in leaf.names_of(old)}
    return all(attribute.value in names for attribute in old.subject.get_attributes_for_oid(NameOID.COMMON_NAME))


def _is_encrypted(path: Path) -> bool:
    return b"ENCRYPTED" in path.read_bytes()
