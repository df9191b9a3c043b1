"""Secrets in the form that orchestrators take: a Kubernetes Secret, files for Docker."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path

from maestro_cli.errors import Refused, UsageError
from maestro_cli.filesystem import locked, make_private_directory, refuse_unsafe, write_private
from maestro_cli.secrets.names import is_secret_name
from maestro_cli.secrets.urls import password_of

DOCKER_MODE = 0o400
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*\Z")
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z")


def secret_variables(values: Mapping[str, str], required: Mapping[str, int]) -> dict[str, str]:
    """The variables worth keeping secret, whole: secrets by name, and URLs with a password in them."""
    return {
        name: value
        for name, value in values.items()
        if value and (name in required or is_secret_name(name) or password_of(value) is not None)
    }


def kubernetes_secret(name: str, values: Mapping[str, str], *, namespace: str | None = None) -> str:
    """A Secret manifest in YAML (Kubernetes API v1; `kubectl apply -f FILE`).

    Args:
        name: metadata.name, a DNS subdomain name.
        values: Variable → value; they become `data`, in base64.
        namespace: metadata.namespace, if any.

    Raises:
        UsageError: A name that Kubernetes does not accept.
    """
    for label, text in (("name", name), ("namespace", namespace)):
        if text is not None and (not _DNS_NAME.match(text) or len(text) > 253):
            raise UsageError(
                f"{text!r} is not a valid Kubernetes {label}", hint="Use lower-case letters, digits and hyphens."
            )
    for key in values:
        if not _DATA_KEY.match(key):
            raise UsageError(f"{key!r} cannot be a key of a Kubernetes Secret")
    lines = ["apiVersion: v1", "kind: Secret", "metadata:", f"  name: {name}"]
    lines += [f"  namespace: {namespace}"] if namespace else []
    lines += ["type: Opaque", "data:" if values else "data: {}"]
    for key, value in values.items():
        encoded = base64.b64encode(value.encode("utf-8", "surrogateescape")).decode()
        lines.append(f'  {key}: "{encoded}"')
    return "\n".join(lines) + "\n"


def write_kubernetes_secret(
    path: Path, name: str, values: Mapping[str, str], *, namespace: str | None = None, force: bool = False
) -> None:
    """Write a Secret manifest at 0600.

    Raises:
        Refused: Something else is there already, without `force`; or the path is a symbolic link.
        OutOfReach: It cannot be written.
    """
    data = kubernetes_secret(name, values, namespace=namespace).encode()
    _refuse_different(path, data, force=force)
    write_private(path, data)


def write_docker_secrets(directory: Path, values: Mapping[str, str], *, force: bool = False) -> tuple[str, ...]:
    """Write one file a secret, 0400, in a folder of 0700, as `docker compose` and `docker secret create` take them.

    Args:
        directory: The folder; made where missing.
        values: Variable → value. The file's name is the variable's in lower case, and it holds the value and nothing
            else, no line end either.
        force: Replace files that hold something else.

    Returns:
        The names of the files.

    Raises:
        Refused: A file is there with another content, without `force`.
        OutOfReach: The folder cannot be written to.
    """
    files = {name.lower(): value.encode("utf-8", "surrogateescape") for name, value in values.items()}
    make_private_directory(directory)
    for name, data in files.items():
        _refuse_different(directory / name, data, force=force)
    with locked(directory) as folder:
        folder.replace(files, mode=DOCKER_MODE, exclusive=True)
    return tuple(files)


def _refuse_different(path: Path, data: bytes, *, force: bool) -> None:
    refuse_unsafe(path)
    if path.exists() and not force and path.read_bytes() != data:
        raise Refused(
            f"{path} is there already and holds something else; nothing was changed.", hint="Replace it with --force."
        )
