"""What an API's health report says: of itself, and of what it needs.

No format is special: Spring's `components`, the RFC draft's `checks`, terminus's `info`, and names beside a status.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_MEANINGS = {
    "well": frozenset(
        [
            "ok",
            "okay",
            "healthy",
            "up",
            "pass",
            "passed",
            "passing",
            "alive",
            "live",
            "ready",
            "running",
            "serving",
            "green",
            "success",
            "available",
        ]
    ),
    "half": frozenset(["warn", "warning", "degraded", "partial", "yellow"]),
    "ill": frozenset(
        [
            "unhealthy",
            "down",
            "fail",
            "failed",
            "failing",
            "failure",
            "error",
            "critical",
            "red",
            "dead",
            "unavailable",
            "unreachable",
            "not_ready",
            "not_ok",
            "out_of_service",
            "offline",
            "false",
            "no_answer",
            "timeout",
            "disconnected",
        ]
    ),
}
_SAYS = ("status", "state", "health", "healthy", "ok", "result")
_LISTS = frozenset(["checks", "check", "dependencies", "components", "services", "details", "entries", "info"])
_EXPLAINED = re.compile(r"[:;,(\[]| [-\u2013\u2014] ")
_PART = re.compile(
    r"^(database|db|postgres\w*|redis|valkey|cache|queue|broker|storage|mysql|mongo\w*|kafka|rabbitmq)$", re.IGNORECASE
)


def words(value: Any) -> Iterator[tuple[str, str, str]]:
    """What a health report says: of what, the word, and whether that means well, half or ill.

    The service itself, the parts that it lists under a key such as `checks`, and parts that it names beside its own
    state. Other members (features, numbers, versions) say nothing of health.
    """
    if not isinstance(value, Mapping):
        return
    for key, item in list(value.items())[:50]:
        name = str(key)
        if name.lower() in _SAYS or _PART.search(name):
            yield from _part("body" if name.lower() in _SAYS else name, item)
        elif name.lower() in _LISTS and isinstance(item, Mapping):
            for part, said in list(item.items())[:50]:
                yield from _part(str(part), said)


def _part(name: str, said: Any) -> Iterator[tuple[str, str, str]]:
    for one in said[:20] if isinstance(said, list) else [said]:
        if isinstance(one, Mapping):
            for key in one.keys() & set(_SAYS):
                yield from _part(name, one[key] if not isinstance(one[key], Mapping | list) else None)
        elif (kind := _kind(one)) is not None:
            yield name[:40], str(one)[:40].lower(), kind


def _kind(item: Any) -> str | None:
    if isinstance(item, bool):
        return "well" if item else "ill"
    if not isinstance(item, str):
        return None
    # The word alone, or before what explains it: `error: connection refused`, `ok (3 ms)`.
    return next((kind for text in (item, _EXPLAINED.split(item, maxsplit=1)[0]) if (kind := _meaning(text))), None)


def _meaning(text: str) -> str | None:
    word = text.strip().lower().replace(" ", "_").replace("-", "_")
    return next((kind for kind, known in _MEANINGS.items() if word in known), None)
