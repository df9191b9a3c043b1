"""What there is to make: an order, compared with the files that are there."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

from maestro_cli.certs import store
from maestro_cli.certs.constraints import Constraints
from maestro_cli.certs.export import KubernetesSecret
from maestro_cli.certs.hosts import Host, parse_hosts
from maestro_cli.certs.issue import DEFAULT_DAYS, Purpose, check_days
from maestro_cli.certs.keys import KeyType
from maestro_cli.certs.store import LeafFiles
from maestro_cli.errors import Refused
from maestro_cli.redaction import Secret

DEFAULT_HOSTS = ("localhost", "127.0.0.1", "::1", "maestro-api", "api.maestro.local")


@dataclass(frozen=True)
class Order:
    """What to make.

    Attributes:
        hosts: The server's names; None for `default_hosts`, and then an existing server pair stays when there is
            something else to make.
        default_hosts: The names where none are asked for.
        clients: Names of client certificates.
        key_type: Type of every new key.
        days: Life of the leaves, in days, at most 825.
        intermediate: Sign leaves with an intermediate.
        constraints: The only names the CA may sign for; asks for an intermediate too, since Java ignores a root's.
        empty_subject: Leave the leaves' subject empty (and the names critical).
        request: Also write a signing request for the server's key.
        pkcs12: Also write PKCS #12 files with this password.
        kubernetes: Also write a Secret manifest.
        passphrase: What encrypts the CA's keys.
        force: Replace what exists; old keys are kept beside.
        new_ca: Make a new CA although there is one.
    """

    hosts: tuple[Host, ...] | None = None
    default_hosts: tuple[str, ...] = DEFAULT_HOSTS
    clients: tuple[Host, ...] = ()
    key_type: KeyType = "rsa-4096"
    days: int = DEFAULT_DAYS
    intermediate: bool = False
    constraints: Constraints = field(default_factory=Constraints)
    empty_subject: bool = False
    request: bool = False
    pkcs12: Secret | None = None
    kubernetes: KubernetesSecret | None = None
    passphrase: Secret | None = None
    force: bool = False
    new_ca: bool = False

    def __post_init__(self) -> None:
        check_days(self.days)


@dataclass(frozen=True, slots=True)
class Issued:
    """A leaf that was made: its purpose, names, last second and files."""

    purpose: Purpose
    hosts: tuple[Host, ...]
    not_after: dt.datetime
    files: LeafFiles


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done, or would be.

    Attributes:
        directory: The folder.
        written: Names of the files written, in order.
        issued: The leaves made.
        new_ca: Whether the CA is new, and has to be trusted.
        backups: Name → the name its old content is kept under.
        warnings: What a person should know.
    """

    directory: Path
    written: tuple[str, ...]
    issued: tuple[Issued, ...]
    new_ca: bool
    backups: dict[str, str]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Which parts of an order are left to make in this folder."""

    root: bool
    intermediate: bool
    leaves: tuple[tuple[Purpose, tuple[Host, ...], LeafFiles], ...]
    files: tuple[str, ...]


def plan(directory: Path, order: Order) -> Plan:
    """Compare an order with what is there.

    Raises:
        Refused: A key would be lost, and `force` is not set.
    """
    present = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
    root = order.new_ca or store.CA not in present
    if root and store.CA_KEY in present and not order.force:
        raise Refused(
            f"{directory / store.CA_KEY} exists{'' if store.CA in present else f' without {store.CA}'}; a new CA would replace it.",
            hint="To replace it, keeping the old key beside, add --force; everybody must trust the new CA then.",
        )
    wants_intermediate = order.intermediate or bool(order.constraints)
    intermediate = (wants_intermediate and store.INTERMEDIATE not in present) or (
        root and store.INTERMEDIATE in present
    )
    leaves = _leaves(order, present)
    files = [store.CA_KEY, store.CA] if root else []
    files += [store.INTERMEDIATE_KEY, store.INTERMEDIATE] if intermediate else []
    for _, _, names in leaves:
        files += [names.key, names.certificate, *([names.fullchain] if names.fullchain else [])]
        files += [names.pkcs12] if order.pkcs12 else []
    if order.pkcs12 and store.PKCS12 not in files and not order.clients:
        files.append(store.PKCS12)
    files += [store.REQUEST] if order.request else []
    files += [store.KUBERNETES] if order.kubernetes else []
    taken = [
        name
        for name in files
        if name in present and name not in {store.CA, store.CA_KEY, store.FULLCHAIN, store.REQUEST}
    ]
    if taken and not order.force:
        raise Refused(
            f"{', '.join(str(directory / name) for name in taken)} exist{'s' if len(taken) == 1 else ''} already.",
            hint="To renew what is due: maestro certs renew. To replace it, keeping the old files beside: add --force.",
        )
    return Plan(root, intermediate, leaves, tuple(files))


def _leaves(order: Order, present: set[str]) -> tuple[tuple[Purpose, tuple[Host, ...], LeafFiles], ...]:
    exports = order.request or order.pkcs12 is not None or order.kubernetes is not None
    has_pair = {store.CERTIFICATE, store.KEY} <= present
    wanted: list[tuple[Purpose, tuple[Host, ...], LeafFiles]] = []
    if order.hosts is not None or not has_pair or not (order.clients or exports) or order.new_ca:
        hosts = order.hosts if order.hosts is not None else parse_hosts(order.default_hosts)
        wanted.append(("server", hosts, store.SERVER))
    wanted += [("client", (client,), store.client_files(client)) for client in order.clients]
    return tuple(wanted)
