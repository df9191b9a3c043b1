"""Installed entry points of one group, read from the `entry_points.txt` of each distribution on sys.path.

`importlib.metadata` answers the same question in 30 ms, most of it spent on importing its e-mail parser; this is asked at
every start. Where nothing is found, it is asked after all: an unusual importer may know distributions that no folder shows.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator

from maestro_cli.records import record

_LINE = re.compile(r"^\s*([^=\s][^=]*?)\s*=\s*([\w.]+)")


@record(frozen=True)
class EntryPoint:
    """`name = module` in an entry-point group."""

    name: str
    module: str


def installed_entry_points(group: str, path: Iterable[str] | None = None) -> list[EntryPoint]:
    """The entry points of a group, each once, in the order of sys.path.

    Args:
        group: `maestro.checks`.
        path: Folders to search; sys.path by default.
    """
    found = dict.fromkeys(row for folder in (sys.path if path is None else path) for row in _in_folder(folder, group))
    if not found and path is None:
        from importlib.metadata import entry_points

        found = dict.fromkeys(EntryPoint(row.name, row.module) for row in entry_points(group=group))
    return list(found)


def _in_folder(folder: str, group: str) -> Iterator[EntryPoint]:
    try:
        names = sorted(name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info")))  # noqa: PTH208 - as text, for speed
    except OSError:
        return
    for name in names:
        try:
            with open(os.path.join(folder, name, "entry_points.txt"), encoding="utf-8") as file:  # noqa: PTH118, PTH123 - as above
                text = file.read()
        except (OSError, UnicodeDecodeError):
            continue
        if group in text:
            yield from _in_text(text, group)


def _in_text(text: str, group: str) -> Iterator[EntryPoint]:
    section = ""
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            section = line.strip().strip("[]").strip()
        elif section == group and (match := _LINE.match(line)) and not line.lstrip().startswith(("#", ";")):
            yield EntryPoint(match.group(1), match.group(2))
