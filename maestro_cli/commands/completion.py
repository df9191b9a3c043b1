"""What the shell offers behind <TAB>. Read from sources by their text: a plugin must not run because someone pressed a key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from maestro_cli.commands.base import DEFAULT_CONFIG, current

_CHECK = re.compile(r'@check\(\s*"(?P<id>[a-z]+\.[a-z0-9-]+)"(?P<rest>.*?)\)\n(?:async )?(?:def|class) ', re.DOTALL)
_DECLARED = re.compile(r"^\s*-\s*\{?\s*id:\s*[\"']?([a-z]+\.[a-z0-9-]+)", re.MULTILINE)
_PLUGINS = re.compile(r"^plugins:\s*\[([^\]]*)\]|^plugins:\s*\n((?:\s*-\s*.+\n)+)", re.MULTILINE)
MAXIMUM_BYTES = 1_000_000


def check_ids(incomplete: str) -> list[str]:
    """Ids of checks: built in, declared in maestro.yaml, and in the folders that `plugins:` names."""
    text = _configuration()
    found = {identifier for identifier, _ in _decorated()} | set(_DECLARED.findall(text))
    for folder in _plugin_folders(text):
        found |= {match["id"] for path in sorted(folder.glob("*.py")) for match in _CHECK.finditer(_read(path))}
    return sorted(name for name in found if name.startswith(incomplete))


def fixable_ids(incomplete: str) -> list[str]:
    """Ids of the built-in checks that offer a fix."""
    return sorted(name for name, rest in _decorated() if name.startswith(incomplete) and re.search(r"\bfix=", rest))


def suites(incomplete: str) -> list[str]:
    """Names of suites."""
    from maestro_cli.model import Suite

    return [suite.value for suite in Suite if suite.value.startswith(incomplete)]


def components(incomplete: str) -> list[str]:
    """Names of components."""
    from maestro_cli.model import Component

    return [component.value for component in Component if component.value.startswith(incomplete)]


def priorities(incomplete: str) -> list[str]:
    """Names of priorities."""
    from maestro_cli.model import Priority

    return [priority.value for priority in Priority if priority.value.startswith(incomplete)]


def faults(incomplete: str) -> list[str]:
    """Names of the faults that the demo can plant."""
    from maestro_cli.demo.plants import catalogue

    return [name for name in catalogue() if name.startswith(incomplete)]


def extras(incomplete: str) -> list[str]:
    """Names of what `maestro init --with` writes."""
    from maestro_cli.initialise.extras import EXTRAS

    return [name for name in EXTRAS if name.startswith(incomplete)]


def _decorated() -> Iterator[tuple[str, str]]:
    """Id and the rest of the decorator of every built-in check."""
    from importlib.util import find_spec

    spec = find_spec("maestro_cli.checks")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for path in Path(folder).glob("*.py"):
            yield from ((match["id"], match["rest"]) for match in _CHECK.finditer(_read(path)))


def _configuration() -> str:
    named = current().config or _named_on_the_line() or DEFAULT_CONFIG
    return _read(Path(named))


def _named_on_the_line() -> str | None:
    """`--config FILE` of the line that is being completed: its options' callbacks are not called meanwhile."""
    words = os.environ.get("COMP_WORDS", os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()
    for name, value in pairwise(words):
        if name in ("--config", "-c"):
            return value
    return None


def _plugin_folders(text: str) -> Iterator[Path]:
    match = _PLUGINS.search(text)
    root = Path(current().config or _named_on_the_line() or DEFAULT_CONFIG).parent
    for word in re.findall(r"[^\s,\"'-][^\s,\"']*", (match.group(1) or match.group(2)) if match else ""):
        yield root / word


def _read(path: Path) -> str:
    try:
        return "" if path.stat().st_size > MAXIMUM_BYTES else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
