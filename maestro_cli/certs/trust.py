"""What a machine needs to trust a CA, and how to take it back. Plans only: nothing here runs a command."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maestro_cli.certs import store
from maestro_cli.errors import UsageError

Store = Literal["system", "nss", "java"]
STORES: tuple[Store, ...] = ("system", "nss", "java")


@dataclass(frozen=True, slots=True)
class Step:
    """One trust store: the commands that add the CA, those that remove it, and whether they need root.

    Attributes:
        store: Which one.
        title: Who reads it.
        add: Commands, as argument lists.
        remove: Commands, as argument lists.
        root: They change the whole machine.
    """

    store: Store
    title: str
    add: tuple[tuple[str, ...], ...]
    remove: tuple[tuple[str, ...], ...]
    root: bool


@dataclass(frozen=True)
class Machine:
    """What has to be known of a machine.

    Attributes:
        platform: `sys.platform`.
        which: Finds a program, as `shutil.which`.
        home: The user's home folder.
        exists: Whether a path is there.
    """

    platform: str
    which: Callable[[str], str | None]
    home: Path
    exists: Callable[[Path], bool] = Path.exists


_ANCHORS = (
    (Path("/usr/local/share/ca-certificates"), "crt", ("update-ca-certificates",)),  # Debian, Ubuntu, Alpine
    (Path("/etc/pki/ca-trust/source/anchors"), "pem", ("update-ca-trust", "extract")),  # Fedora, RHEL
    (Path("/etc/ca-certificates/trust-source/anchors"), "crt", ("update-ca-trust",)),  # Arch
    (Path("/usr/share/pki/trust/anchors"), "pem", ("update-ca-certificates",)),  # openSUSE
)


def plan_trust(ca: Path, machine: Machine, *, stores: Iterable[str] = ()) -> list[Step]:
    """What to run on this machine so that it trusts a CA.

    Args:
        ca: The CA's certificate.
        machine: The machine.
        stores: Only these; all that are found by default.

    Raises:
        UsageError: No such store, or it is not on this machine.
        OutOfReach: The CA's file cannot be read.
    """
    wanted = list(stores)
    unknown = [name for name in wanted if name not in STORES]
    if unknown:
        raise UsageError(f"No trust store {unknown[0]!r}.", hint=f"Choose of: {', '.join(STORES)}.")
    store.read_certificates(ca.parent, ca.name)
    name = f"maestro-{hashlib.sha256(ca.read_bytes()).hexdigest()[:8]}"
    found = [step for step in (_system(ca, name, machine), _nss(ca, name, machine), _java(ca, name, machine)) if step]
    missing = [one for one in wanted if one not in {step.store for step in found}]
    if missing:
        raise UsageError(
            f"This machine has no {missing[0]} trust store that maestro knows.", hint="See: maestro certs trust"
        )
    return [step for step in found if not wanted or step.store in wanted]


def environment_hints(ca: Path) -> dict[str, str]:
    """Program → what to give it instead, for those that can be told in place."""
    path = str(ca.resolve())
    return {
        "curl": f"curl --cacert {path} …",
        "Node.js": f"NODE_EXTRA_CA_CERTS={path}",
        "Python requests": f"REQUESTS_CA_BUNDLE={path}",
        "OpenSSL, Go, Ruby": f"SSL_CERT_FILE={path}   (in place of the system's CAs)",
    }


def _system(ca: Path, name: str, machine: Machine) -> Step | None:
    if machine.platform == "darwin":
        keychain = "/Library/Keychains/System.keychain"
        trust = ("security", "add-trusted-cert", "-d", "-r", "trustRoot", "-k", keychain, str(ca))
        return Step(
            "system", "the system's keychain", (trust,), (("security", "remove-trusted-cert", "-d", str(ca)),), True
        )
    for folder, suffix, refresh in _ANCHORS:
        if machine.exists(folder) and machine.which(refresh[0]) is not None:
            target = str(folder / f"{name}.{suffix}")
            add = ("install", "-m", "0644", str(ca), target)
            return Step(
                "system",
                "OpenSSL, curl, Go, .NET and Python's ssl",
                (add, refresh),
                (("rm", "-f", target), refresh),
                True,
            )
    return None


def _nss(ca: Path, name: str, machine: Machine) -> Step | None:
    if machine.platform == "darwin" or machine.which("certutil") is None:
        return None
    database = machine.home / ".pki" / "nssdb"
    databases = [database, *sorted(path.parent for path in _firefox(machine.home))]
    make: list[tuple[str, ...]] = []
    if not machine.exists(database):
        make = [("mkdir", "-p", str(database)), ("certutil", "-N", "--empty-password", "-d", f"sql:{database}")]
    add = [("certutil", "-A", "-d", f"sql:{one}", "-t", "C,,", "-n", name, "-i", str(ca)) for one in databases]
    remove = [("certutil", "-D", "-d", f"sql:{one}", "-n", name) for one in databases]
    return Step("nss", "Chromium and Firefox of this user", (*make, *add), tuple(remove), False)


def _firefox(home: Path) -> list[Path]:
    folders = (home / ".mozilla" / "firefox", home / "snap" / "firefox" / "common" / ".mozilla" / "firefox")
    return [path for folder in folders for path in folder.glob("*/cert9.db")]


def _java(ca: Path, name: str, machine: Machine) -> Step | None:
    if machine.which("keytool") is None:
        return None
    common = ("-cacerts", "-storepass", "changeit", "-alias", name)  # Java's own public default, the same everywhere
    add = ("keytool", "-importcert", "-noprompt", *common, "-file", str(ca))
    return Step("java", "Java programs", (add,), (("keytool", "-delete", *common),), True)
