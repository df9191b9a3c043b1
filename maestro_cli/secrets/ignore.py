"""Lines in `.gitignore` for files that hold secrets."""

from __future__ import annotations

from collections.abc import Iterable

from maestro_cli.filesystem import LockedFolder

_HEADING = "# Secrets and keys (added by maestro)"
_MODE = 0o644


def ignore_lines(folder: LockedFolder, lines: Iterable[str]) -> tuple[str, ...]:
    """Add lines to a folder's `.gitignore`, once each.

    Args:
        folder: The folder, held.
        lines: Patterns; an exception (`!name`) must come behind what it excepts from.

    Returns:
        The lines that were added.
    """
    path = folder.path / ".gitignore"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    text = data.decode("utf-8", "surrogateescape")
    end = "\r\n" if "\r\n" in text else "\n"
    there = {line.strip() for line in text.splitlines()}
    missing = [
        line for line in dict.fromkeys(lines) if not {line, f"/{line}", line.removeprefix("/"), f"{line}/"} & there
    ]
    if not missing:
        return ()
    if text and not text.endswith("\n"):
        text += end
    gap = end if text else ""
    text += gap + "".join(line + end for line in (_HEADING, *missing))
    folder.replace({path.name: text.encode("utf-8", "surrogateescape")}, mode=_MODE, keep_mode=(path.name,))
    return tuple(missing)
