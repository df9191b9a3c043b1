"""Where an OpenAPI document comes from: a file of the project, or a service on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from maestro_cli.errors import MaestroError, UsageError

FILES = ("openapi.json", "openapi.yaml", "openapi.yml", "docs/openapi.json", "docs/openapi.yaml", "api/openapi.json",
         "api/openapi.yaml", "swagger.json", "swagger.yaml", "docs/swagger.json")  # fmt: skip
MAXIMUM_BYTES = 20_000_000
MAXIMUM_DEPTH = 100
"""Levels of a YAML document."""


def find_document(root: Path) -> Path | None:
    """The project's OpenAPI document, where it keeps one."""
    return next((root / name for name in FILES if (root / name).is_file()), None)


def fetch(url: str, *, ca_file: Path | None) -> str:
    """Read a document from a service on this machine.

    Args:
        url: Its address, on the loopback interface.
        ca_file: The CA of a service with a certificate of its own.

    Raises:
        UsageError: For an address that is not this machine's.
        MaestroError: When it cannot be read.
    """
    import ssl

    from urllib3 import PoolManager, Timeout
    from urllib3.exceptions import HTTPError

    host = urlsplit(url).hostname or ""
    if host not in ("localhost", "::1") and not re.fullmatch(r"127(\.\d{1,3}){3}", host):
        raise UsageError(
            f"--openapi {url}: only a service on this machine is asked",
            hint="Save the document first: curl -o openapi.json URL && maestro init --openapi openapi.json",
        )
    options: dict[str, Any] = {}
    if url.startswith("https://") and ca_file is not None:
        try:
            options["ssl_context"] = ssl.create_default_context(cafile=str(ca_file))
        except (OSError, ssl.SSLError):
            raise MaestroError(f"{ca_file} holds no certificate that can be read") from None
    try:
        with PoolManager(**options) as pool:
            answer = pool.request("GET", url, timeout=Timeout(total=10), retries=False, redirect=False)
    except HTTPError as error:
        from maestro_cli.observe.http_connection import explain

        raise MaestroError(f"{url} cannot be read: {explain(error)}", hint="Is the service running there?") from None
    if answer.status != 200 or len(answer.data) > MAXIMUM_BYTES:
        said = f"answers {answer.status}" if answer.status != 200 else "is larger than 20 MB"
        raise MaestroError(f"{url} {said}", hint="Frameworks often show it in development only.")
    return answer.data.decode("utf-8", "replace")


def parse(text: str) -> Any:
    """The document's value; None where the text is neither JSON nor tame YAML."""
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, loader) if _is_tame(text, loader) else None  # noqa: S506 - a safe loader, in C
    except (yaml.YAMLError, RecursionError, ValueError):
        return None


def _is_tame(text: str, loader: Any) -> bool:
    """Whether YAML is not nested without end. Aliases are shared, not copied, and whoever reads schemas counts."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAXIMUM_DEPTH:
            return False
    return True
