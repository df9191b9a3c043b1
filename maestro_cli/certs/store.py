"""The folder of certificate files: what each file is called, what it holds, and which files belong together."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.certs.hosts import Host, file_stem
from maestro_cli.certs.issue import Issuer
from maestro_cli.certs.keys import key_from_pem, public_der
from maestro_cli.errors import OutOfReach, Refused
from maestro_cli.filesystem import LockedFolder, backup_name
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from cryptography import x509

    from maestro_cli.certs.keys import PrivateKey

CA = "ca.pem"
CA_KEY = "ca-key.pem"
INTERMEDIATE = "intermediate.pem"
INTERMEDIATE_KEY = "intermediate-key.pem"
CERTIFICATE = "cert.pem"
KEY = "key.pem"
FULLCHAIN = "fullchain.pem"
REQUEST = "csr.pem"
PKCS12 = "cert.p12"
KUBERNETES = "k8s-secret.yaml"
GITIGNORE = ".gitignore"
_KEY_SUFFIX = "-key.pem"
_AUTHORITIES = {CA_KEY, INTERMEDIATE_KEY}


@dataclass(frozen=True, slots=True)
class Pair:
    """Where the files are that a server needs; `ca` is what its clients need."""

    ca: Path
    cert: Path
    key: Path
    fullchain: Path


@dataclass(frozen=True, slots=True)
class LeafFiles:
    """Names of one leaf's files. The server's certificate also stands alone in `cert.pem`; others have one file for the chain."""

    certificate: str
    key: str
    fullchain: str | None
    pkcs12: str

    @property
    def label(self) -> str:
        """What to call it in a message."""
        return self.certificate


SERVER = LeafFiles(CERTIFICATE, KEY, FULLCHAIN, PKCS12)


def client_files(client: Host) -> LeafFiles:
    """The files of a client's certificate."""
    return named_files(f"client-{file_stem(client)}")


def named_files(stem: str) -> LeafFiles:
    """The files of a leaf called `stem`: the chain in one file, the key in another."""
    return LeafFiles(f"{stem}.pem", f"{stem}{_KEY_SUFFIX}", None, f"{stem}.p12")


def is_public(name: str) -> bool:
    """Whether a file holds no private key, so that its owner may open it to others."""
    return name in {CA, INTERMEDIATE, CERTIFICATE, FULLCHAIN, REQUEST, GITIGNORE} or (
        name.endswith(".pem") and not name.endswith(_KEY_SUFFIX) and name != KEY
    )


def pair_of(directory: Path) -> Pair:
    """The server's files in a folder, whether they exist or not."""
    return Pair(directory / CA, directory / CERTIFICATE, directory / KEY, directory / FULLCHAIN)


def leaves(directory: Path) -> list[LeafFiles]:
    """Every leaf with a certificate and a key in the folder: the server's first, then the others by name."""
    found = [SERVER] if (directory / CERTIFICATE).exists() and (directory / KEY).exists() else []
    for path in sorted(directory.glob(f"*{_KEY_SUFFIX}")):
        files = named_files(path.name.removesuffix(_KEY_SUFFIX))
        if path.name not in _AUTHORITIES and (directory / files.certificate).exists():
            found.append(files)
    return found


def read(directory: Path, name: str) -> bytes | None:
    """A file's content, None where there is none.

    Raises:
        OutOfReach: It cannot be read.
    """
    try:
        return (directory / name).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutOfReach(
            f"{directory / name} cannot be read ({error.strerror}).", hint=f"ls -l {directory / name}"
        ) from error


def load_pem(data: bytes) -> list[x509.Certificate]:
    """The certificates in PEM text; what the library only warns of is left to the rules.

    Raises:
        ValueError: There is none, or one is damaged.
    """
    from cryptography import x509

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x509.load_pem_x509_certificates(data)


def load_der(data: bytes) -> x509.Certificate:
    """A certificate in DER; see `load_pem`."""
    from cryptography import x509

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x509.load_der_x509_certificate(data)


def read_certificates(directory: Path, name: str) -> list[x509.Certificate]:
    """The certificates of a PEM file, in order.

    Raises:
        OutOfReach: The file is missing, unreadable, or holds none.
    """
    data = read(directory, name)
    if data is None:
        raise OutOfReach(f"{directory / name} does not exist.", hint="Make it: maestro certs generate")
    try:
        return load_pem(data)
    except ValueError as error:
        raise OutOfReach(
            f"{directory / name} holds no certificate in PEM form.", hint=f"head -1 {directory / name}"
        ) from error


def read_key(
    directory: Path, name: str, *, passphrase: Secret | None = None, ask: Callable[[], Secret | None] | None = None
) -> PrivateKey:
    """A private key of the folder; see `keys.key_from_pem`.

    Raises:
        OutOfReach: It is missing or unreadable.
    """
    data = read(directory, name)
    if data is None:
        raise OutOfReach(f"{directory / name} does not exist.", hint="Make it: maestro certs generate")
    return key_from_pem(data, str(directory / name), passphrase=passphrase, ask=ask)


def load_issuer(
    directory: Path, *, passphrase: Secret | None = None, ask: Callable[[], Secret | None] | None = None
) -> Issuer:
    """The CA that signs leaves here: the intermediate where there is one, the root otherwise.

    With an intermediate the root's key is not needed, and may be kept elsewhere.

    Raises:
        OutOfReach: A file is missing or unreadable.
        Refused: What is there cannot sign: not a CA, or another's key.
    """
    root = read_certificates(directory, CA)[0]
    if not (directory / INTERMEDIATE).exists():
        return Issuer(root, _matching_key(directory, CA, CA_KEY, root, passphrase, ask))
    chain = read_certificates(directory, INTERMEDIATE)
    if not is_issued_by(chain[-1], root):
        raise Refused(
            f"{directory / INTERMEDIATE} is not signed by {directory / CA}.",
            hint="Make both anew, and trust the new CA: maestro certs generate --new-ca --intermediate --force",
        )
    key = _matching_key(directory, INTERMEDIATE, INTERMEDIATE_KEY, chain[0], passphrase, ask)
    return Issuer(chain[0], key, tuple(chain))


def load_root(
    directory: Path, *, passphrase: Secret | None = None, ask: Callable[[], Secret | None] | None = None
) -> Issuer:
    """The root with its key, to sign an intermediate.

    Raises:
        OutOfReach: A file is missing or unreadable.
        Refused: What is there cannot sign.
    """
    root = read_certificates(directory, CA)[0]
    return Issuer(root, _matching_key(directory, CA, CA_KEY, root, passphrase, ask))


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name and key are the ones that signed."""
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def write(
    folder: LockedFolder,
    files: Mapping[str, bytes | None],
    *,
    now: dt.datetime,
    backups: Iterable[str] = (),
    exclusive: bool = True,
) -> dict[str, str]:
    """Write files of the folder together, keeping the old content of some.

    Args:
        folder: The locked folder.
        files: Name → content, or None to remove.
        now: The present, for the backups' names.
        backups: Names whose present content is kept beside.
        exclusive: See `LockedFolder.replace`; needed wherever a file that exists is replaced.

    Returns:
        Name → name of its backup.
    """
    kept: dict[str, str] = {}
    changes: dict[str, bytes | None] = {}
    for name in backups:
        old = read(folder.path, name)
        if old is None:
            continue
        kept[name] = _free_name(folder.path, backup_name(name, now))
        changes[kept[name]] = old
    folder.replace(changes | dict(files), keep_mode={name for name in files if is_public(name)}, exclusive=exclusive)
    return kept


def _free_name(directory: Path, name: str) -> str:
    free, number = name, 1
    while (directory / free).exists():
        number += 1
        free = f"{name.removesuffix('.bak')}-{number}.bak"
    return free


def _matching_key(
    directory: Path,
    certificate_name: str,
    key_name: str,
    certificate: x509.Certificate,
    passphrase: Secret | None,
    ask: Callable[[], Secret | None] | None,
) -> PrivateKey:
    from cryptography import x509

    path = directory / certificate_name
    try:
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        is_ca = False
    if not is_ca:
        raise Refused(
            f"{path} is not the certificate of a CA; nothing can be signed with it.",
            hint="maestro certs generate --new-ca --force",
        )
    if not (directory / key_name).exists():
        raise Refused(
            f"{path} is there, and its key {key_name} is not; nothing can be signed.",
            hint="Bring the key back, or make a new CA and trust it: maestro certs generate --new-ca --force",
        )
    key = read_key(directory, key_name, passphrase=passphrase, ask=ask)
    if public_der(key.public_key()) != public_der(certificate.public_key()):
        raise Refused(
            f"{directory / key_name} is not the key of {path}.",
            hint="Bring the right key back, or make a new CA: maestro certs generate --new-ca --force",
        )
    return key
