"""Servers that a compose file publishes on this machine, as the addresses that a configuration would name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from maestro_cli.initialise.findings import Seen

PUBLISHED = re.compile(r"(?:^|[:-])(?P<outer>\d{2,5})\}?:(?P<inner>\d{2,5})(?:/tcp)?$")
"""A port as compose writes it: `5433:5432`, `127.0.0.1:${PORT:-5433}:5432`."""
_IMAGES = {
    "postgresql": (re.compile(r"(?:^|/)(?:postgres|postgis|timescaledb|pgvector|citus)"), 5432),
    "redis": (re.compile(r"(?:^|/)(?:redis|valkey)"), 6379),
}
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_DEFAULT = re.compile(r"\$\{\w+:-([A-Za-z0-9_-]+)\}")


def published_ports(body: Mapping[str, Any]) -> Iterable[tuple[int, int]]:
    """The ports of a service outside and inside, where both are written as numbers."""
    ports = body.get("ports")
    for row in ports if isinstance(ports, list) else []:
        text = f"{row.get('published')}:{row.get('target')}" if isinstance(row, Mapping) else str(row)
        match = PUBLISHED.search(text)
        if match is not None and 0 < int(match["outer"]) < 65536:
            yield int(match["outer"]), int(match["inner"])


def published_servers(services: Iterable[tuple[str, str, Mapping[str, Any]]]) -> dict[str, Seen]:
    """`postgresql` and `redis` → the URL that the first such service can be reached at from here.

    Args:
        services: File, name and body of each service.
    """
    found: dict[str, Seen] = {}
    for file, name, body in services:
        for kind, (image, inner) in _IMAGES.items():
            port = next((outer for outer, own in published_ports(body) if own == inner), None)
            if kind not in found and port is not None and image.search(str(body.get("image", ""))):
                found[kind] = Seen(_url(kind, port, _environment(body)), f"{name} of {file}")
    return found


def _url(kind: str, port: int, environment: Mapping[str, str]) -> str:
    if kind == "redis":
        return f"redis://localhost:{port}/0"
    user = _plain(environment.get("POSTGRES_USER"), "postgres")
    database = _plain(environment.get("POSTGRES_DB"), user)
    return f"postgresql://{user}:${{POSTGRES_PASSWORD}}@localhost:{port}/{database}"


def _plain(value: str | None, otherwise: str) -> str:
    default = _DEFAULT.fullmatch(value or "")
    text = default[1] if default is not None else value or ""
    return text if _PLAIN.fullmatch(text) else otherwise


def _environment(body: Mapping[str, Any]) -> dict[str, str]:
    rows = body.get("environment")
    if isinstance(rows, Mapping):
        return {str(name): str(value) for name, value in rows.items() if value is not None}
    pairs = (str(row).partition("=") for row in rows) if isinstance(rows, list) else ()
    return {name: value for name, _, value in pairs}
