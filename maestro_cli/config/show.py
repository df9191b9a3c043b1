"""Settings as plain values, secrets masked."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from maestro_cli.redaction import MASK, Redactor, Secret


def plain(value: Any, redact: Redactor) -> Any:
    """Sections and sequences as dicts and lists; every secret as a mask.

    Args:
        value: Settings, or a part of them.
        redact: Hides secrets that stand inside other texts.
    """
    if isinstance(value, Secret):
        return MASK
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name), redact) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(item, redact) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item, redact) for item in value]
    if isinstance(value, dt.date):
        return value.isoformat()
    return redact(value) if isinstance(value, str) else value
