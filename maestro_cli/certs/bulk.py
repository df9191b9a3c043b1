"""Many leaves from one CA in one process: each durable, all of them or none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from maestro_cli.certs import leaf, store
from maestro_cli.certs.constraints import check_names
from maestro_cli.certs.hosts import Host, file_stem, parse_hosts
from maestro_cli.certs.issue import DEFAULT_DAYS, Issuer, Purpose, check_days, leaf_certificate, root_certificate
from maestro_cli.certs.keys import KeyType, generate_key, key_to_pem
from maestro_cli.certs.store import LeafFiles
from maestro_cli.errors import MaestroError, Refused, UsageError
from maestro_cli.filesystem import locked, make_private_directory
from maestro_cli.redaction import Secret

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What a bulk run wrote: the leaves' files, whether the CA is new, and what was kept of what stood there."""

    directory: Path
    leaves: tuple[LeafFiles, ...]
    new_ca: bool
    backups: dict[str, str]


def parse_bulk(lines: Iterable[str]) -> list[tuple[str, tuple[Host, ...]]]:
    """Read a list of leaves: one a line, its names separated by spaces or commas; `#` begins a comment.

    Returns:
        The stem of each leaf's files, from its first name, and its names.

    Raises:
        UsageError: With every line that is wrong, or when two leaves would have the same files.
    """
    wanted: dict[str, tuple[Host, ...]] = {}
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        names = line.partition("#")[0].replace(",", " ").split()
        if not names:
            continue
        try:
            hosts = parse_hosts(names)
        except UsageError as error:
            wrong.append(f"line {number}: {error.message}")
            continue
        stem = file_stem(hosts[0])
        if stem in wanted:
            wrong.append(f"line {number}: {hosts[0]} was there before.")
        if stem in {"ca", "intermediate", "cert", "key", "fullchain", "csr"}:
            wrong.append(f"line {number}: {hosts[0]} would be written to {stem}.pem, which is another file's name.")
        wanted[stem] = hosts
    if wrong:
        more = f"\n… and {len(wrong) - _SHOWN} more." if len(wrong) > _SHOWN else ""
        raise UsageError("\n".join(wrong[:_SHOWN]) + more, hint="Nothing was made; mend these lines and run it again.")
    if not wanted:
        raise UsageError("The list holds no names.", hint="One leaf a line, its names separated by spaces.")
    return list(wanted.items())


def bulk(
    directory: Path,
    wanted: list[tuple[str, tuple[Host, ...]]],
    *,
    now: dt.datetime,
    key_type: KeyType = "ec-p256",
    days: int = DEFAULT_DAYS,
    purpose: Purpose = "server",
    passphrase: Secret | None = None,
    ask: Callable[[], Secret | None] | None = None,
    force: bool = False,
) -> BulkOutcome:
    """Make `STEM.pem` (with its chain) and `STEM-key.pem` for every leaf wanted, and a CA where there is none.

    Args:
        directory: The folder; made at 0700 where it is missing.
        wanted: As `parse_bulk` gives it.
        now: The present, with a time zone.
        key_type: Type of the leaves' keys, and of the CA's where it is new.
        days: Life of the leaves, in days.
        purpose: What the leaves are for.
        passphrase: What the CA's key is, or is to be, encrypted with.
        ask: Called for the passphrase of an encrypted CA key where none is given.
        force: Replace leaves that exist; their old files are kept beside.

    Raises:
        UsageError, Refused, OutOfReach: As `generate`; nothing was written.
    """
    check_days(days)
    make_private_directory(directory)
    with locked(directory) as folder:
        new_ca = not (directory / store.CA).exists()
        if new_ca:
            issuer, files = _new_authority(directory, key_type, passphrase, now)
        else:
            issuer, files = store.load_issuer(directory, passphrase=passphrase, ask=ask), {}
            root = store.read_certificates(directory, store.CA)[0]
            check_names([host for _, hosts in wanted for host in hosts], (root, *issuer.chain))
        leaves = [store.named_files(stem) for stem, _ in wanted]
        present = {path.name for path in directory.iterdir()}
        taken = [name for names in leaves for name in (names.key, names.certificate) if name in present]
        if taken and not force:
            raise _taken(directory, taken)
        for names, (_, hosts) in zip(leaves, wanted, strict=True):
            key = generate_key(key_type)
            certificate = leaf_certificate(key.public_key(), issuer, hosts, now=now, days=days, purpose=purpose)
            files |= leaf.contents(names, key, certificate, issuer)
        backups = store.write(folder, files, backups=taken, now=now, exclusive=bool(taken))
    return BulkOutcome(directory, tuple(leaves), new_ca, backups)


def _new_authority(
    directory: Path, key_type: KeyType, passphrase: Secret | None, now: dt.datetime
) -> tuple[Issuer, dict[str, bytes | None]]:
    if (directory / store.CA_KEY).exists():
        raise Refused(f"{directory / store.CA_KEY} exists without {store.CA}.", hint="Bring the certificate back.")
    key = generate_key(key_type)
    issuer = Issuer(root_certificate(key, now=now), key)
    return issuer, {store.CA_KEY: key_to_pem(key, passphrase), store.CA: leaf.to_pem(issuer.certificate)}


def _taken(directory: Path, taken: list[str]) -> MaestroError:
    more = f" and {len(taken) - _SHOWN} more" if len(taken) > _SHOWN else ""
    return Refused(
        f"{', '.join(taken[:_SHOWN])}{more} exist already in {directory}.",
        hint="To replace them, keeping the old files beside: add --force.",
    )
