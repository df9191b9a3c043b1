"""`maestro certs verify`: what a target is, and which CA, key and names belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from maestro_cli.commands.base import Invocation
from maestro_cli.commands.certs_input import folder_of
from maestro_cli.errors import OutOfReach, UsageError

if TYPE_CHECKING:
    from maestro_cli.certs.hosts import Host
    from maestro_cli.certs.issue import Purpose
    from maestro_cli.certs.verification import Verification


def verification(
    invocation: Invocation,
    target: str | None,
    *,
    directory: Path | None,
    ca: Path | None,
    key: Path | None,
    hosts: Sequence[str],
    others: Sequence[Path],
    purpose: str | None,
    timeout: float,
) -> Verification:
    """Verify a folder, a file or a server."""
    from maestro_cli.certs.endpoint import fetch_chain, parse_address
    from maestro_cli.certs.hosts import parse_host
    from maestro_cli.certs.verification import verify_file, verify_folder, verify_presented

    now = invocation.now()
    asked = tuple(parse_host(name) for name in hosts)
    path = Path(target) if target is not None else folder_of(invocation, directory)
    if path.is_dir() or target is None:
        missing = next((other for other in others if not other.is_dir()), None)
        if missing is not None:
            raise OutOfReach(f"{missing} is not a folder.", hint="Name the folder of another environment's keys.")
        return verify_folder(path, now=now, hosts=asked or _configured_hosts(invocation), others=others)
    if others:
        raise UsageError("--also compares a folder with another.", hint="maestro certs verify DIR --also DIR")
    address = None if path.exists() else parse_address(str(target))
    if address is not None:
        presented = fetch_chain(*address, timeout_s=timeout)
        trusted = ca or _server_ca(invocation, directory)
        return verify_presented(presented, now=now, ca=trusted, hosts=asked or (parse_host(address[0]),))
    trusted = ca or _beside(invocation, path, directory)
    return verify_file(
        path, now=now, ca=trusted, key=key or _key_beside(path), hosts=asked, purpose=cast("Purpose | None", purpose)
    )


def _configured_hosts(invocation: Invocation) -> tuple[Host, ...]:
    """The names in maestro.yaml; none where it has no such section, since then the certificate's own names are all we know."""
    from maestro_cli.certs.hosts import parse_host

    certs = invocation.unresolved.settings.certs
    return tuple(parse_host(name) for name in certs.hosts) if certs is not None else ()


def _server_ca(invocation: Invocation, directory: Path | None) -> Path:
    loaded = invocation.unresolved
    if directory is None and loaded.settings.api is not None and loaded.settings.api.ca_file is not None:
        return loaded.root / loaded.settings.api.ca_file
    return folder_of(invocation, directory) / "ca.pem"


def _beside(invocation: Invocation, path: Path, directory: Path | None) -> Path:
    candidates = [path.parent / "ca.pem", folder_of(invocation, directory) / "ca.pem"]
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    if found is None:
        raise OutOfReach(f"There is no CA to check {path} against.", hint="Name it: --ca FILE")
    return found


def _key_beside(path: Path) -> Path | None:
    name = "key.pem" if path.name in {"cert.pem", "fullchain.pem"} else f"{path.stem}-key.pem"
    beside = path.with_name(name)
    return beside if beside.exists() else None
