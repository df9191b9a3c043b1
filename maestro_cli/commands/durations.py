"""Ages as people write them on a command line: 90d, 12h, 4w."""

from __future__ import annotations

import re
from datetime import timedelta

from maestro_cli.errors import UsageError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_age(text: str, option: str) -> timedelta:
    """Read an age; a bare number is days.

    Raises:
        UsageError: It is none.
    """
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*([smhdw]?)", text.strip().lower())
    if match is None:
        raise UsageError(f"{option} takes an age, not {text!r}", hint=f"For example: {option} 90d (or 12h, 4w)")
    return timedelta(**{_UNITS[match[2] or "d"]: float(match[1])})
