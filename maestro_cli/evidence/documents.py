"""Files of other tools as JSON: bounded, whole, of the project's own commit, and recent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro_cli.errors import MaestroError
from maestro_cli.observe.project_files import judge_age, matches, read_limited, shown

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

MAXIMUM_BYTES = 100_000_000


class UnbelievableError(MaestroError):
    """A file that proves nothing: missing, empty, broken, of another tool, of another commit, or too old.

    Args:
        name: The file, as configured.
        reason: Why, to follow "The report NAME ": "is 30 hours old; at most 24".
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The report {name} {reason}.")
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[type[UnbelievableError], tuple[str, str]]:
        return (UnbelievableError, (self.name, self.reason))


def files(ctx: Context, patterns: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """Name and path of every file that the patterns match.

    Raises:
        UnbelievableError: For a pattern that matches none: what was to be read is not there.
    """
    for pattern in patterns:
        found = matches(ctx, pattern)
        if not found:
            raise UnbelievableError(pattern, "does not exist")
        yield from ((shown(ctx, path), path) for path in found)


def read_text(name: str, path: Path) -> str:
    """A file's text.

    Raises:
        UnbelievableError: When it is empty or no UTF-8 text.
        UnreadableFileError: When it cannot be read, or is far too large.
    """
    try:
        text = read_limited(path, MAXIMUM_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise UnbelievableError(name, "does not exist") from None
    except UnicodeDecodeError:
        raise UnbelievableError(name, "is not UTF-8 text") from None
    if not text.strip():
        raise UnbelievableError(name, "is empty")
    return text


def read_json(name: str, path: Path) -> Any:
    """A file's JSON value.

    Raises:
        UnbelievableError: When it is empty, truncated or no JSON; see `read_text`.
    """
    return parse_json(name, read_text(name, path))


def parse_json(name: str, text: str) -> Any:
    """JSON of unknown origin.

    Raises:
        UnbelievableError: When it is truncated, no JSON, or nested without end.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        ending = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        reason = "is cut short" if ending else f"is not JSON (line {error.lineno})"
        raise UnbelievableError(name, reason) from None
    except (RecursionError, ValueError):
        raise UnbelievableError(name, "is nested without end") from None


def believe(
    ctx: Context, name: str, path: Path, max_hours: float, *, stated: datetime | None, commit: str | None
) -> datetime:
    """When a report was made, if it speaks for the project as it is.

    Args:
        ctx: The run.
        name: The file, as configured.
        path: The same.
        max_hours: Oldest acceptable age.
        stated: When the report says it was made.
        commit: The commit that it says it is of.

    Raises:
        UnbelievableError: When it is too old, older than the last commit, or of another commit.
    """
    if commit and ctx.commit and not _same_commit(commit, ctx.commit):
        raise UnbelievableError(name, f"is of another commit ({commit[:12]}; this is {ctx.commit[:12]})")
    age = judge_age(ctx, path, max_hours, stated=stated)
    if age.stale is not None:
        raise UnbelievableError(name, f"is {age.stale}")
    return age.made


def _same_commit(one: str, other: str) -> bool:
    short = min(len(one), len(other))
    return short >= 7 and one[:short].lower() == other[:short].lower()


def moment(value: Any) -> datetime | None:
    """A time that a report states, in UTC; None for anything else, and for a time without its zone."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e11:
        return datetime.fromtimestamp(value, UTC)
    try:
        stated = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return None if stated.tzinfo is None else stated.astimezone(UTC)
