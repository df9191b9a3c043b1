"""What a project's Python sources say about it. They are parsed, never imported or run."""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from maestro_cli.initialise.findings import Python, Seen

APPLICATIONS = {"FastAPI", "Starlette", "Litestar", "Quart", "Sanic", "BlackSheep", "get_asgi_application"}
"""Callables that make an ASGI application."""
FACTORIES = {"create_app", "make_app", "build_app", "get_app", "get_application", "create_application", "init_app"}
APP_NAMES = ("app", "application", "api", "asgi")
HEALTH = ("/health", "/healthz", "/healthcheck", "/health-check", "/readyz", "/ready", "/livez", "/live", "/ping")
TENANT_COLUMNS = (
    "tenant_id",
    "organization_id",
    "organisation_id",
    "org_id",
    "workspace_id",
    "account_id",
    "company_id",
)
LOADERS = ("load", "load_settings", "get_settings", "current", "settings", "get_config", "load_config")
LEFT_OUT = {
    "node_modules", "site-packages", "build", "dist", "venv", "env", "vendor", "__pycache__",
    "tests", "test", "testing", "docs", "examples", "benchmarks",
}  # fmt: skip
"""Folders that hold no code of the running service; nor does any hidden one."""
_TELLING = re.compile("|".join(map(re.escape, (*APPLICATIONS, *FACTORIES, "BaseSettings", *TENANT_COLUMNS, *HEALTH))))
"""A file without any of these words tells nothing."""
MAXIMUM_FILES = 3_000
MAXIMUM_FOLDERS = 20_000
MAXIMUM_BYTES = 500_000


@dataclass
class _Found:
    apps: list[tuple[int, Seen]] = field(default_factory=list)
    settings: list[tuple[int, Seen]] = field(default_factory=list)
    health: list[tuple[int, Seen]] = field(default_factory=list)
    columns: list[tuple[int, Seen]] = field(default_factory=list)
    plugins: set[str] = field(default_factory=set)


def read_sources(root: Path) -> Python:
    """Look through the Python files below a folder, at most 3,000 of 500 kB each.

    Args:
        root: The project's folder.
    """
    found = _Found()
    for path in python_files(root):
        text = _text(path)
        relative = path.relative_to(root)
        if "maestro_cli.api" in text and "@check" in text and len(relative.parts) > 1:
            found.plugins.add(relative.parent.as_posix())
        if relative.stem not in ("settings", "config") and _TELLING.search(text) is None:
            continue  # parsing costs a hundred times what searching does
        tree = _parsed(text)
        if tree is not None and all(part.isidentifier() for part in module_name(relative).split(".")):
            _module(tree, relative, found)
    apps = _ordered(found.apps)
    return Python(
        apps=apps,
        settings=_ordered(found.settings),
        health_paths=_ordered(found.health),
        tenant_columns=_ordered(found.columns),
        app_folder=_folder(apps[0]) if apps else None,
        plugins=tuple(sorted(found.plugins)),
    )


def python_files(root: Path) -> Iterator[Path]:
    """The Python files of the running service, nearest to the root first within each folder; no link is followed."""
    left = MAXIMUM_FILES
    for number, (folder, folders, names) in enumerate(os.walk(root)):
        if number > MAXIMUM_FOLDERS:
            return
        if "pyvenv.cfg" in names:  # a virtual environment, whatever it is called
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in LEFT_OUT)
        for name in sorted(names):
            path = Path(folder) / name
            if name.endswith(".py") and not name.startswith("test_") and name != "conftest.py" and path.is_file():
                left -= 1
                if left < 0:
                    return
                yield path


def _text(path: Path) -> str:
    try:
        return "" if path.stat().st_size > MAXIMUM_BYTES else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # somebody else's invalid escape sequences
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def module_name(relative: Path) -> str:
    """`src/shop/main.py` → `shop.main`."""
    parts = relative.with_suffix("").parts
    parts = parts[1:] if parts[0] == "src" and len(parts) > 1 else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _module(tree: ast.Module, relative: Path, found: _Found) -> None:
    module, depth = module_name(relative), len(relative.parts)
    for node in tree.body:
        where = f"{relative}:{node.lineno}"
        target = _assigned(node)
        if target is not None:
            rank = _application_rank(target[0], target[1])
            if rank is not None:
                found.apps.append((rank + depth, Seen(f"{module}:{target[0]}", where)))
        elif isinstance(node, ast.ClassDef):
            _class(node, module, relative, found)
        elif isinstance(node, ast.FunctionDef) and _is_loader(node, relative):
            rank = LOADERS.index(node.name) + depth + 10
            found.settings.append((rank, Seen(f"{module}:{node.name}", where)))
    for inner in ast.walk(tree):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            for path in _routes(inner):
                if path in HEALTH:
                    found.health.append((HEALTH.index(path), Seen(path, f"{relative}:{inner.lineno}")))


def _is_loader(node: ast.FunctionDef, relative: Path) -> bool:
    """Whether it loads settings and can be called without arguments."""
    needed = len(node.args.posonlyargs) + len(node.args.args) - len(node.args.defaults)
    return node.name in LOADERS and relative.stem in ("settings", "config") and needed <= 0


def _assigned(node: ast.stmt) -> tuple[str, ast.Call] | None:
    """`name = call(…)` of a module."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target, value = node.target, node.value
    else:
        return None
    return (target.id, value) if isinstance(target, ast.Name) and isinstance(value, ast.Call) else None


def _application_rank(name: str, call: ast.Call) -> int | None:
    made_by = _called(call)
    usual = APP_NAMES.index(name) if name in APP_NAMES else 10
    if made_by in APPLICATIONS:
        return usual
    return usual + 20 if made_by in FACTORIES and name in APP_NAMES else None


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _class(node: ast.ClassDef, module: str, relative: Path, found: _Found) -> None:
    bases = {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases}
    if "BaseSettings" in bases:
        usual = 0 if node.name in ("Settings", "AppSettings", "Config") else 5
        found.settings.append((usual + len(relative.parts), Seen(f"{module}:{node.name}", f"{relative}:{node.lineno}")))
    for item in node.body:
        names = (
            [item.target] if isinstance(item, ast.AnnAssign) else item.targets if isinstance(item, ast.Assign) else []
        )
        for name in names:
            if isinstance(name, ast.Name) and name.id in TENANT_COLUMNS and _is_column(item):
                rank = TENANT_COLUMNS.index(name.id)
                found.columns.append((rank, Seen(name.id, f"{relative}:{item.lineno}")))


def _is_column(item: ast.stmt) -> bool:
    value = getattr(item, "value", None)
    annotation = getattr(item, "annotation", None)
    mapped = annotation is not None and "Mapped" in ast.dump(annotation)
    return mapped or (
        isinstance(value, ast.Call) and _called(value) in {"Column", "mapped_column", "ForeignKey", "Field"}
    )


def _routes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and _called(decorator) in ("get", "route", "api_route"):
            for argument in (*decorator.args[:1], *(row.value for row in decorator.keywords if row.arg == "path")):
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value.rstrip("/") or "/"


def _ordered(rows: list[tuple[int, Seen]]) -> tuple[Seen, ...]:
    return tuple(dict.fromkeys(seen for _, seen in sorted(rows, key=lambda row: row[0])))


def _folder(app: Seen) -> str | None:
    folder = Path(app.where.rpartition(":")[0]).parent
    return None if str(folder) == "." else folder.as_posix()
