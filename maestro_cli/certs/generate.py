"""Making certificates: what there is to make, and making it, all of it or nothing."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.certs import leaf, store
from maestro_cli.certs.constraints import Constraints, check_names
from maestro_cli.certs.export import kubernetes_secret, pkcs12
from maestro_cli.certs.hosts import Host, parse_hosts
from maestro_cli.certs.issue import (
    DEFAULT_DAYS,
    Issuer,
    Purpose,
    default_subject,
    intermediate_certificate,
    leaf_certificate,
    root_certificate,
    signing_request,
)
from maestro_cli.certs.keys import KeyType, generate_keys, key_to_pem
from maestro_cli.certs.plan import DEFAULT_HOSTS, Issued, Order, Outcome, Plan, plan
from maestro_cli.certs.store import LeafFiles
from maestro_cli.errors import Refused
from maestro_cli.filesystem import locked, make_private_directory
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from cryptography import x509

    from maestro_cli.certs.keys import PrivateKey

_IGNORE = b"# Made by maestro: private keys stay out of version control.\n*\n"

Ask = Callable[[], Secret | None]


def generate(directory: Path, order: Order, *, now: dt.datetime, ask: Ask | None = None) -> Outcome:
    """Make what an order asks for and the folder does not have yet: a CA where there is none, a server pair, clients.

    Everything is written together or not at all. An existing CA is used again; an existing key is never lost.

    Args:
        directory: The folder; made at 0700 where it is missing.
        order: What to make.
        now: The present, with a time zone.
        ask: Called for the passphrase of an encrypted CA key where the order has none.

    Raises:
        UsageError: Something asked for makes no sense; nothing was written.
        Refused: A key would be lost, or the CA there cannot sign; nothing was written.
        OutOfReach: A read-only folder, a full disk, an unreadable file; nothing was written.
    """
    plan(directory, order)  # refuse before a folder is made
    fresh = not directory.exists()
    make_private_directory(directory)
    try:
        with locked(directory) as folder:
            todo = plan(directory, order)
            made = _Maker(directory, order, todo, now, ask).make()
            if fresh:
                made.files[store.GITIGNORE] = _IGNORE
            replaced = [name for name in todo.files if name not in {store.FULLCHAIN, store.REQUEST}]
            backups = store.write(folder, made.files, backups=replaced, now=now)
    except BaseException:
        if fresh:
            with contextlib.suppress(OSError):  # not empty: someone else began to use it
                directory.rmdir()
        raise
    return Outcome(directory, tuple(made.files), tuple(made.issued), todo.root, backups, tuple(made.warnings))


def ensure_pair(
    directory: Path,
    *,
    hosts: Sequence[str] = DEFAULT_HOSTS,
    key_type: KeyType = "rsa-4096",
    days: int = DEFAULT_DAYS,
    now: dt.datetime,
) -> store.Pair:
    """The server's files of a folder; a CA and a pair are made where there are none.

    Raises:
        MaestroError: As `generate`.
    """
    from maestro_cli.filesystem import recover

    pair = store.pair_of(directory)
    if directory.is_dir():
        recover(directory)
    if not (pair.cert.exists() and pair.key.exists()):
        generate(directory, Order(hosts=parse_hosts(hosts), key_type=key_type, days=days), now=now)
    return pair


@dataclass
class _Made:
    files: dict[str, bytes | None] = field(default_factory=dict)
    issued: list[Issued] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class _Maker:
    """Makes the keys and certificates of one plan, in memory."""

    def __init__(self, directory: Path, order: Order, todo: Plan, now: dt.datetime, ask: Ask | None) -> None:
        self.directory = directory
        self.order = order
        self.todo = todo
        self.now = now
        self.ask = ask
        self.made = _Made()

    def make(self) -> _Made:
        count = self.todo.root + self.todo.intermediate + len(self.todo.leaves)
        if count:
            # read the CA first: what is wrong with it shows before a key takes its time
            issuer = None if self.todo.root else self._existing_issuer()
            keys = generate_keys([self.order.key_type] * count)
            issuer = issuer or self._root(keys.pop(0))
            root = self._root_certificate() if issuer.chain else issuer.certificate
            if self.todo.intermediate:
                issuer = self._intermediate(keys.pop(0), issuer)
            for (purpose, hosts, files), key in zip(self.todo.leaves, keys, strict=True):
                self._leaf(purpose, hosts, files, key, issuer, root)
        else:
            root = self._root_certificate()
        self._exports(root)
        if self.todo.root:
            made = {files.certificate for _, _, files in self.todo.leaves}
            orphans = [files.label for files in store.leaves(self.directory) if files.certificate not in made]
            if orphans:
                self.made.warnings.append(
                    f"Still signed by the old CA: {', '.join(orphans)}. Make them anew with --force."
                )
        return self.made

    def _root_certificate(self) -> x509.Certificate:
        return store.read_certificates(self.directory, store.CA)[0]

    def _existing_issuer(self) -> Issuer:
        load = store.load_root if self.todo.intermediate else store.load_issuer
        return load(self.directory, passphrase=self.order.passphrase, ask=self.ask)

    def _constraints(self) -> Constraints:
        """`localhost` belongs to the constraints where a certificate for it is made in the same breath."""
        wanted = self.order.constraints
        names = {host.value for _, hosts, _ in self.todo.leaves for host in hosts}
        if wanted and "localhost" in names and "localhost" not in wanted.domains:
            return replace(wanted, domains=(*wanted.domains, "localhost"))
        return wanted

    def _root(self, key: PrivateKey) -> Issuer:
        certificate = root_certificate(key, now=self.now, constraints=self._constraints())
        self.made.files[store.CA_KEY] = key_to_pem(key, self.order.passphrase)
        self.made.files[store.CA] = leaf.to_pem(certificate)
        return Issuer(certificate, key)

    def _intermediate(self, key: PrivateKey, root: Issuer) -> Issuer:
        constraints = self._constraints()
        certificate = intermediate_certificate(key.public_key(), root, now=self.now, constraints=constraints)
        self.made.files[store.INTERMEDIATE_KEY] = key_to_pem(key, self.order.passphrase)
        self.made.files[store.INTERMEDIATE] = leaf.to_pem(certificate)
        if constraints and not self.todo.root:
            self.made.warnings.append(
                f"The constraints bind the new intermediate; {store.CA} was there before and is not bound. Keep its key away."
            )
        return Issuer(certificate, key, (certificate,))

    def _leaf(
        self,
        purpose: Purpose,
        hosts: tuple[Host, ...],
        files: LeafFiles,
        key: PrivateKey,
        issuer: Issuer,
        root: x509.Certificate,
    ) -> None:
        from cryptography import x509

        check_names(hosts, (root, *issuer.chain))
        subject = x509.Name([]) if self.order.empty_subject else default_subject(hosts)
        certificate = leaf_certificate(
            key.public_key(), issuer, hosts, now=self.now, purpose=purpose, days=self.order.days, subject=subject
        )
        self.made.files |= leaf.contents(files, key, certificate, issuer)
        if purpose == "server":
            others, warned = leaf.companions(self.directory, key, certificate, issuer, root)
            self.made.files |= others
            self.made.warnings += [] if self.order.pkcs12 else warned
        if self.order.pkcs12 is not None:
            name = hosts[0].value
            self.made.files[files.pkcs12] = pkcs12(name, key, certificate, (*issuer.chain, root), self.order.pkcs12)
        if purpose == "server" and self.order.request:
            self.made.files[store.REQUEST] = leaf.to_pem(signing_request(key, hosts, subject))
        self.made.issued.append(Issued(purpose, hosts, certificate.not_valid_after_utc, files))
        self.made.warnings += leaf.warnings(certificate, hosts, self.order.days)

    def _exports(self, root: x509.Certificate) -> None:
        """Other forms of the server's pair: of the new one, or of the one that was there."""
        from cryptography.hazmat.primitives import serialization

        order, files = self.order, self.made.files
        is_new = store.KEY in files
        wants_pkcs12 = order.pkcs12 is not None and not is_new and not order.clients
        if not (order.kubernetes or (order.request and not is_new) or wants_pkcs12):
            return
        key_pem = files[store.KEY] if is_new else store.read(self.directory, store.KEY)
        chain_pem = files[store.FULLCHAIN] if is_new else store.read(self.directory, store.FULLCHAIN)
        if key_pem is None or chain_pem is None:
            raise Refused(f"{self.directory / store.FULLCHAIN} is missing.", hint="maestro certs generate --force")
        if order.kubernetes is not None:
            root_pem = root.public_bytes(serialization.Encoding.PEM)
            files[store.KUBERNETES] = kubernetes_secret(order.kubernetes, key_pem, chain_pem, root_pem)
        if is_new:
            return
        key = store.read_key(self.directory, store.KEY)
        old, *others = store.read_certificates(self.directory, store.FULLCHAIN)
        if order.request:
            files[store.REQUEST] = leaf.to_pem(signing_request(key, leaf.names_of(old), old.subject))
        if wants_pkcs12 and order.pkcs12 is not None:
            names = leaf.names_of(old)
            files[store.PKCS12] = pkcs12(names[0].value, key, old, (*others, root), order.pkcs12)
