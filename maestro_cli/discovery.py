"""Where checks come from: installed plugins by entry point, a project's own folders. Built-in ones are found the same way.

The core names no check. `maestro.checks` entry points name a module or a package; every `Check` in it (a package's modules
included) is one.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from maestro_cli.api import Check, Component, Context, Documentation, Finding, Priority, Suite, errored
from maestro_cli.config import Loaded
from maestro_cli.errors import ConfigurationError, MaestroError, UsageError

ENTRY_POINT_GROUP = "maestro.checks"
BUILTIN = "builtin"


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that could not be loaded: its checks are missing, and that must be seen."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every check that was found, by id; a plugin that could not be loaded stands in it as a check that errors."""

    checks: dict[str, Check]
    broken: tuple[BrokenPlugin, ...] = ()


def discover(loaded: Loaded, *, plugins: bool = True) -> Catalogue:
    """Find all checks.

    Args:
        loaded: The configuration; its `plugins:` folders are searched.
        plugins: False finds the built-in checks only.

    Raises:
        ConfigurationError: When a `plugins:` folder does not exist, or two checks share an id.
    """
    found: dict[str, Check] = {}
    broken: list[BrokenPlugin] = []
    for name, module in _entry_points(broken, plugins=plugins):
        for check in _checks_in_package(module, name, broken):
            _add(found, check, name)
    if plugins:
        for index, folder in enumerate(loaded.settings.plugins):
            path = loaded.root / folder
            if not path.is_dir():
                key = f"plugins[{index}]"
                raise ConfigurationError(f"{loaded.where(key)}: {key}: there is no folder {folder}")
            for module_path in sorted(path.glob("*.py")):
                for check in _checks_in_file(module_path, folder, broken):
                    _add(found, check, folder)
    for plugin in broken:
        check = _missing(plugin)
        found[check.id] = check
    return Catalogue(found, tuple(broken))


def _missing(plugin: BrokenPlugin) -> Check:
    """A check in the place of those that a broken plugin would have brought: what was not looked at must be seen."""
    slug = re.sub(r"[^a-z0-9]+", "-", plugin.name.lower()).strip("-") or "unnamed"

    def run(_ctx: Context) -> Finding:
        return errored(f"plugin {plugin.name} could not be loaded: {plugin.reason}")

    return Check(
        id=f"readiness.plugin-{slug}",
        title=f"Plugin {plugin.name} loads",
        suite=Suite.READINESS,
        component=Component.CONFIGURATION,
        priority=Priority.HIGH,
        run=run,
        documentation=Documentation(
            why="The checks of a plugin that does not load are not run, and nothing else would show it.",
            fails_when="its import raises.",
            fix="Mend the plugin, or take it out of `plugins:`.",
        ),
        plugin=plugin.name,
    )


def _add(found: dict[str, Check], check: Check, plugin: str) -> None:
    other = found.get(check.id)
    if other is not None:
        raise ConfigurationError(
            f"check {check.id} is defined twice: by {other.plugin} and by {plugin}",
            hint="Give one of them another id, or leave that plugin out of plugins:.",
        )
    found[check.id] = check if plugin == BUILTIN else replace(check, plugin=plugin, trusted=False)


def _entry_points(broken: list[BrokenPlugin], *, plugins: bool) -> Iterator[tuple[str, ModuleType]]:
    from importlib.metadata import entry_points

    rows = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda row: (row.name != BUILTIN, row.name))
    seen: set[str] = set()
    for row in rows:
        if row.value in seen or (row.name != BUILTIN and not plugins):
            continue
        seen.add(row.value)
        try:
            yield row.name, importlib.import_module(row.module)
        except BaseException as error:  # noqa: BLE001 - a plugin may do anything at import, sys.exit included
            broken.append(BrokenPlugin(row.name, _reason(error)))
    if BUILTIN not in {row.name for row in rows}:
        raise MaestroError(
            "maestro's own checks are not installed: no entry point `builtin` in the group maestro.checks",
            hint="Install maestro again: pip install --force-reinstall maestro-readiness",
        )


def _checks_in_package(module: ModuleType, plugin: str, broken: list[BrokenPlugin]) -> Iterator[Check]:
    yield from _checks_of(module)
    for info in pkgutil.iter_modules(getattr(module, "__path__", ())):
        try:
            yield from _checks_of(importlib.import_module(f"{module.__name__}.{info.name}"))
        except BaseException as error:  # noqa: BLE001 - as above
            broken.append(BrokenPlugin(f"{plugin}: {info.name}", _reason(error)))


def _checks_in_file(path: Path, plugin: str, broken: list[BrokenPlugin]) -> Iterator[Check]:
    # A name that no installed module has: the project's `checks/redis.py` must not become `redis`.
    name = f"maestro_plugin_{abs(hash(str(path.parent.resolve())))}_{path.stem}"
    try:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            return
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except BaseException as error:  # noqa: BLE001 - as above
        broken.append(BrokenPlugin(f"{plugin}: {path.name}", _reason(error)))
        return
    yield from _checks_of(module)


def _checks_of(module: ModuleType) -> Iterator[Check]:
    # A check that a module imported from another one is that other one's.
    for value in vars(module).values():
        if isinstance(value, Check) and getattr(value.run, "__module__", module.__name__) == module.__name__:
            yield value


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def select(
    catalogue: Catalogue, *, suites: Sequence[str] = (), only: Sequence[str] = (), without: Sequence[str] = ()
) -> list[Check]:
    """The checks to run.

    Args:
        catalogue: All of them.
        suites: Suites to keep; all when empty.
        only: Ids or patterns (`security.jwt-*`) to keep; all when empty.
        without: Ids or patterns to leave out.

    Raises:
        UsageError: For a pattern that matches no check; a typing error must not make a run pass.
    """
    from fnmatch import fnmatchcase

    for pattern in (*only, *without):
        if not any(fnmatchcase(name, pattern) for name in catalogue.checks):
            raise UsageError(
                f"no check is named {pattern!r}{_similar(pattern, catalogue.checks)}",
                hint="See them all: maestro checks list",
            )

    def wanted(check: Check) -> bool:
        return (
            (not suites or check.suite in suites)
            and (not only or any(fnmatchcase(check.id, pattern) for pattern in only))
            and not any(fnmatchcase(check.id, pattern) for pattern in without)
        )

    return [check for check in catalogue.checks.values() if wanted(check)]


def _similar(word: str, choices: Iterable[str]) -> str:
    from maestro_cli.config.interpolation import closest

    similar = closest(word, choices)
    return f"; did you mean {similar}?" if similar else ""
