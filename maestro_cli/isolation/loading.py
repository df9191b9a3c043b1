"""Where a plugin's checks are written: a folder of modules, or an installed module or package."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Literal

from maestro_cli.api import Check
from maestro_cli.records import record


@record(frozen=True)
class Source:
    """One plugin.

    Attributes:
        name: As the report names it: the folder as configured, or the entry point's name.
        kind: A folder of check modules, or an importable module or package.
        location: The folder's absolute path, or the module's dotted name.
    """

    name: str
    kind: Literal["folder", "module"]
    location: str


def parts(source: Source) -> Iterator[str]:
    """The modules of a plugin, in the order they are loaded: file names, or dotted names.

    A package's own modules are known once the package itself is loaded; the iteration must follow the loading.
    """
    if source.kind == "folder":
        yield from (path.name for path in sorted(Path(source.location).glob("*.py")) if _holds_checks(path.name))
        return
    yield source.location
    module = sys.modules.get(source.location)
    for info in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield f"{source.location}.{info.name}"


def _holds_checks(name: str) -> bool:
    # Beside a project's checks stand their tests and what they share.
    return not name.startswith(("_", "test_")) and not name.endswith("_test.py") and name != "conftest.py"


def load_part(source: Source, part: str) -> list[Check]:
    """Import one module of a plugin and return its checks; whatever the module raises comes through."""
    if source.kind == "module":
        return checks_of(importlib.import_module(part))
    path = Path(source.location) / part
    if source.location not in sys.path:
        sys.path.append(source.location)  # last: a project's `redis.py` must not hide the installed redis
    name = f"maestro_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return checks_of(module)


def checks_of(module: ModuleType) -> list[Check]:
    """The checks that a module defines; one that it imported from another module is that other one's."""
    found = {
        id(value): value  # one check under two names is still one
        for value in vars(module).values()
        if isinstance(value, Check) and getattr(value.run, "__module__", module.__name__) == module.__name__
    }
    return list(found.values())
