"""Where checks come from: installed plugins by entry point, a project's own folders. Built-in ones are found the same way.

The core names no check. `maestro.checks` entry points name a module or a package; every `Check` in it (a package's modules
included) is one.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from maestro_cli.api import Check, Component, Context, Documentation, Finding, Priority, Suite, errored
from maestro_cli.config import Loaded
from maestro_cli.errors import ConfigurationError, MaestroError, UsageError
from maestro_cli.isolation.entry_points import EntryPoint, installed_entry_points
from maestro_cli.isolation.host import PluginHost
from maestro_cli.isolation.loading import Source, checks_of
from maestro_cli.records import record

ENTRY_POINT_GROUP = "maestro.checks"
BUILTIN = "builtin"
MOST_FILES = 2_000
LEAST_LOAD_S = 5.0
"""A module may take this long to load, however short the deadline of one check is."""


@record(frozen=True)
class BrokenPlugin:
    """A plugin that could not be loaded: its checks are missing, and that must be seen."""

    name: str
    reason: str


@record(frozen=True)
class Catalogue:
    """Every check that was found, by id; a plugin that could not be loaded stands in it as a check that errors.

    Attributes:
        checks: Id → check.
        broken: Plugins, or modules of them, that could not be loaded.
        hosts: The processes that run plugins' checks; `close` ends them.
        complete: Whether an id that is not here is nowhere: no plugin was left out or broken.
        unread: Ids of built-in checks that nobody chose and that were therefore not imported.
        root: The project's folder, where it is known.
        folders: The folders that `plugins:` names.
    """

    checks: dict[str, Check]
    broken: tuple[BrokenPlugin, ...] = ()
    hosts: tuple[PluginHost, ...] = ()
    complete: bool = True
    unread: frozenset[str] = frozenset()
    root: Path | None = None
    folders: tuple[str, ...] = ()

    @property
    def ids(self) -> AbstractSet[str]:
        """The id of every check, read or not."""
        return self.checks.keys() | self.unread

    def close(self) -> None:
        """End the plugins' processes; their checks cannot be run any more."""
        for host in self.hosts:
            host.close()


@record(frozen=True)
class Choice:
    """Which checks are wanted, by their ids.

    Attributes:
        suites: Suites to keep; all when empty.
        only: Ids or patterns (`security.jwt-*`) to keep; all when empty.
        without: Ids or patterns to leave out.
    """

    suites: Sequence[str] = ()
    only: Sequence[str] = ()
    without: Sequence[str] = ()

    def __contains__(self, identifier: str) -> bool:
        return (
            (not self.suites or identifier.partition(".")[0] in self.suites)
            and (not self.only or any(fnmatchcase(identifier, pattern) for pattern in self.only))
            and not any(fnmatchcase(identifier, pattern) for pattern in self.without)
        )


def discover(
    loaded: Loaded,
    *,
    plugins: bool = True,
    choice: Choice | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Catalogue:
    """Find all checks. Built-in ones are loaded here, everybody else's in processes of their own.

    Args:
        loaded: The configuration; its `plugins:` folders are searched.
        plugins: False finds the built-in checks only: neither plugins' nor those declared in maestro.yaml.
        choice: Spares the import of built-in checks that are not in it: they are `unread`.
        meanwhile: Done while plugins load in their processes.

    Raises:
        ConfigurationError: When a `plugins:` folder does not exist, or two checks share an id.
    """
    found: dict[str, Check] = {}
    broken: list[BrokenPlugin] = []
    run = loaded.settings.run
    installed = installed_entry_points(ENTRY_POINT_GROUP)
    hosts = tuple(
        PluginHost(source, str(loaded.root), run.plugin_memory_mb, max(run.deadline_s, LEAST_LOAD_S))
        for source in (_sources(loaded, installed) if plugins else ())
    )
    try:
        for host in hosts:
            host.start()  # they load while the built-in checks do
        unread: set[str] = set()
        for check in _built_in(installed, broken, choice, unread):
            _add(found, check)
        meanwhile()
        for host in hosts:
            for check in host.load():
                _add(found, replace(check, plugin=host.source.name))
            name = host.source.name
            broken.extend(BrokenPlugin(f"{name}: {row.part}" if row.part else name, row.reason) for row in host.broken)
        if plugins and loaded.settings.checks:
            from maestro_cli.declared import declared_checks

            for check in declared_checks(loaded):
                _add(found, check)
    except BaseException:
        for host in hosts:
            host.close()
        raise
    for plugin in broken:
        check = _missing(plugin)
        found[check.id] = check
    for identifier in unread & found.keys():
        raise _defined_twice(identifier, BUILTIN, found[identifier].plugin)
    return Catalogue(
        found,
        tuple(broken),
        hosts,
        complete=plugins and not broken,
        unread=frozenset(unread),
        root=loaded.root,
        folders=loaded.settings.plugins,
    )


def _sources(loaded: Loaded, installed: Sequence[EntryPoint]) -> Iterator[Source]:
    """Installed plugins, then the project's own folders."""
    seen = set()
    for row in sorted(installed, key=lambda row: row.name):
        if row.name != BUILTIN and row.module not in seen:
            seen.add(row.module)
            yield Source(row.name, "module", row.module)
    for index, folder in enumerate(loaded.settings.plugins):
        path = loaded.root / folder
        if not path.is_dir():
            key = f"plugins[{index}]"
            raise ConfigurationError(f"{loaded.where(key)}: {key}: there is no folder {folder}")
        yield Source(folder, "folder", str(path.absolute()))


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


def _add(found: dict[str, Check], check: Check) -> None:
    other = found.get(check.id)
    if other is not None:
        raise _defined_twice(check.id, other.plugin, check.plugin)
    found[check.id] = check


def _defined_twice(identifier: str, one: str, other: str) -> ConfigurationError:
    return ConfigurationError(
        f"check {identifier} is defined twice: by {one} and by {other}",
        hint="Give one of them another id, or leave that plugin out of plugins:.",
    )


def _built_in(
    installed: Sequence[EntryPoint], broken: list[BrokenPlugin], choice: Choice | None, unread: set[str]
) -> Iterator[Check]:
    rows = [row for row in installed if row.name == BUILTIN]
    if not rows:
        raise MaestroError(
            "maestro's own checks are not installed: no entry point `builtin` in the group maestro.checks",
            hint="Install maestro again: pip install --force-reinstall maestro-readiness",
        )
    module = importlib.import_module(rows[0].module)
    yield from checks_of(module)
    for info in pkgutil.iter_modules(getattr(module, "__path__", ())):
        # A built-in check's file is named after its id, so that most runs need not import all of them.
        identifier = info.name.replace("_", ".", 1).replace("_", "-")
        if choice is not None and identifier not in choice:
            unread.add(identifier)
            continue
        try:
            yield from checks_of(importlib.import_module(f"{module.__name__}.{info.name}"))
        except Exception as error:  # noqa: BLE001 - a missing library costs the checks that need it, visibly
            broken.append(BrokenPlugin(f"{BUILTIN}: {info.name}", f"{type(error).__name__}: {error}".splitlines()[0]))


def select(
    catalogue: Catalogue, *, suites: Sequence[str] = (), only: Sequence[str] = (), without: Sequence[str] = ()
) -> list[Check]:
    """The checks to run.

    Args:
        catalogue: All of them.
        suites: See `Choice`.
        only: See `Choice`.
        without: See `Choice`.

    Raises:
        UsageError: For a pattern that matches no check; a typing error must not make a run pass.
    """
    for pattern in (*only, *without):
        if not any(fnmatchcase(name, pattern) for name in catalogue.ids):
            written = _written_elsewhere(pattern, catalogue.root)
            if written is not None:
                raise UsageError(
                    f"{written} defines {pattern}, and maestro did not read it", hint=_reading(catalogue, written)
                )
            raise UsageError(
                f"no check is named {pattern!r}{_similar(pattern, catalogue.ids)}",
                hint="See them all: maestro checks list",
            )
    choice = Choice(suites, only, without)
    return [check for check in catalogue.checks.values() if check.id in choice]


def _written_elsewhere(identifier: str, root: Path | None) -> Path | None:
    """The file below the project's folder that defines a check of this id, by its text: none of it is run."""
    decorator = re.compile(rf"@check\(\s*[\"']{re.escape(identifier)}[\"']")
    for path in islice(root.glob("*/*.py"), MOST_FILES) if root is not None else ():
        try:
            if path.stat().st_size < 1_000_000 and decorator.search(path.read_text(encoding="utf-8")):
                return path.relative_to(root) if root is not None else path
        except (OSError, UnicodeDecodeError):
            continue
    return None


def _reading(catalogue: Catalogue, written: Path) -> str:
    folder = written.parent
    if any(Path(named) == folder for named in catalogue.folders):
        return (
            "It could not be loaded; the reason: maestro checks list" if catalogue.broken else "Leave out --no-plugins."
        )
    return f"Add its folder to maestro.yaml: plugins: [./{folder}]"


def _similar(word: str, choices: Iterable[str]) -> str:
    from maestro_cli.config.interpolation import closest

    similar = closest(word, choices)
    return f"; did you mean {similar}?" if similar else ""
