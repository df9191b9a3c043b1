"""What a project's folder says about its service: by its files, without running any of its code."""

from __future__ import annotations

import ast
import json
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maestro_cli.secrets.names import is_secret_name

MAXIMUM_FILES = 3_000
MAXIMUM_BYTES = 500_000
SKIPPED = frozenset(
    {"node_modules", "venv", "env", "site-packages", "__pycache__", "build", "dist", "target", "vendor", "migrations"}
)
"""Folders that hold no application of the project's own."""
_FRAMEWORKS = frozenset({"FastAPI", "Starlette", "Litestar", "Quart", "Sanic", "BlackSheep", "FastMCP", "Esmerald"})
_HEALTH = ("/health", "/healthz", "/api/health", "/health/live", "/livez", "/readyz", "/status", "/ping")


@dataclass
class Found:
    """What was found; None or empty where nothing was.

    Attributes:
        name: The project's name.
        env_file: `.env`, where it exists.
        env_names: Names of the variables in `.env`.
        env_example: `.env.example`, where it exists.
        example_names: Names of the variables in it.
        alembic_ini: Path of the application's Alembic configuration.
        app: MODULE:APP of the ASGI application.
        settings: MODULE:CLASS of the settings.
        port: Port that the service listens on, from a Dockerfile or compose file.
        health_path: From the application's routes or openapi.json.
        login_path: The same.
        compose: Compose file.
        dockerfile: Dockerfile.
        openapi: openapi.json.
        readme: README.
        pipelines: Pipeline files.
        certs: Folder with certificates.
        checks: Whether there is a `checks` folder with modules.
        junit: Reports that tests have written.
        coverage: Coverage report.
    """

    name: str
    env_file: str | None = None
    env_names: tuple[str, ...] = ()
    env_example: str | None = None
    example_names: tuple[str, ...] = ()
    alembic_ini: str | None = None
    app: str | None = None
    settings: str | None = None
    port: int | None = None
    health_path: str | None = None
    login_path: str | None = None
    compose: str | None = None
    dockerfile: str | None = None
    openapi: str | None = None
    readme: str | None = None
    pipelines: tuple[str, ...] = ()
    certs: str | None = None
    checks: bool = False
    junit: tuple[str, ...] = ()
    coverage: str | None = None

    def secrets(self) -> tuple[str, ...]:
        """Names of variables that hold a secret, by their names; URLs hold theirs inside."""
        names = dict.fromkeys((*self.env_names, *self.example_names))
        return tuple(name for name in names if is_secret_name(name) and not name.endswith(("_URL", "_DSN", "_URI")))

    def variable(self, *endings: str) -> str | None:
        """The first variable of .env, then of .env.example, with one of these names or endings."""
        for names in (self.env_names, self.example_names):
            for ending in endings:
                for name in names:
                    if name == ending or name.endswith(f"_{ending}"):
                        return name
        return None


def detect(root: Path) -> Found:
    """Look through a folder."""
    files = list(_files(root))
    names = {str(path.relative_to(root)) for path in files}
    found = Found(name=_project_name(root))
    found.env_file, found.env_names = _variables(root, (".env",))
    found.env_example, found.example_names = _variables(root, (".env.example", ".env.sample", ".env.template"))
    found.alembic_ini = _first(names, lambda name: Path(name).name == "alembic.ini")
    found.compose = _first(names, lambda name: re.fullmatch(r"(docker-)?compose(\.[\w-]+)?\.ya?ml", name) is not None)
    found.dockerfile = _first(names, lambda name: Path(name).name == "Dockerfile")
    found.readme = _first(names, lambda name: re.fullmatch(r"(?i)readme(\.md|\.rst|\.txt)?", name) is not None)
    found.pipelines = tuple(sorted(name for name in names if _is_pipeline(name)))
    found.openapi = _first(names, lambda name: Path(name).name in ("openapi.json", "swagger.json"))
    found.checks = any(name.startswith("checks/") and name.endswith(".py") for name in names)
    found.certs = "certs" if (root / "certs").is_dir() else None
    found.junit = tuple(sorted(name for name in names if re.search(r"(^|/)(junit|test-results)[\w.-]*\.xml$", name)))
    found.coverage = _first(names, lambda name: Path(name).name == "coverage.xml")
    _read_python(root, files, found)
    _read_openapi(root, found)
    found.port = _port(root, found)
    return found


def _files(root: Path) -> Iterator[Path]:
    """The project's files, shallow ones first, without what installed tools put there."""
    count = 0
    waiting = [root]
    while waiting:
        folder = waiting.pop(0)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            hidden = entry.name.startswith(".") and entry.name not in (
                ".github",
                ".gitlab",
                ".circleci",
                ".gitlab-ci.yml",
            )
            if entry.is_dir(follow_symlinks=False):
                if not hidden and entry.name not in SKIPPED and not (Path(entry.path) / "pyvenv.cfg").exists():
                    waiting.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False) and not hidden:
                yield Path(entry.path)
                count += 1
                if count >= MAXIMUM_FILES:
                    return


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.stat().st_size <= MAXIMUM_BYTES else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _first(names: set[str], wanted: Any) -> str | None:
    matching = sorted((name for name in names if wanted(name)), key=lambda name: (name.count("/"), name))
    return matching[0] if matching else None


def _project_name(root: Path) -> str:
    text = _text(root / "pyproject.toml")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        data = {}
    name = data.get("project", {}).get("name") or data.get("tool", {}).get("poetry", {}).get("name")
    return str(name) if isinstance(name, str) and name else root.absolute().name or "service"


def _variables(root: Path, names: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    from maestro_cli.secrets.dotenv import parse_dotenv

    for name in names:
        if (root / name).is_file():
            try:
                return name, tuple(parse_dotenv(_text(root / name)))
            except ValueError:
                return name, ()
    return None, ()


def _is_pipeline(name: str) -> bool:
    return re.fullmatch(r"\.github/workflows/[^/]+\.ya?ml", name) is not None or name in (
        ".gitlab-ci.yml",
        ".circleci/config.yml",
        "azure-pipelines.yml",
        "bitbucket-pipelines.yml",
    )


def _read_python(root: Path, files: list[Path], found: Found) -> None:
    """The ASGI application, the settings class and the routes, from the syntax trees."""
    apps: list[tuple[int, str]] = []
    routes: list[str] = []
    for path in files:
        if path.suffix != ".py" or re.search(r"(^|/)(tests?|conftest)", str(path.relative_to(root))):
            continue
        text = _text(path)
        if not any(word in text for word in (*_FRAMEWORKS, "BaseSettings", "@app.", "@router.")):
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        module = _module(root, path)
        apps += [(len(module.split(".")), f"{module}:{name}") for name in _applications(tree)]
        if found.settings is None:
            found.settings = next((f"{module}:{name}" for name in _settings(tree)), None)
        routes += _routes(tree)
    if apps:
        found.app = min(apps)[1]
    found.health_path = next((path for path in _HEALTH if path in routes), None)
    found.login_path = next((path for path in routes if re.search(r"/(login|signin|token)$", path)), None)


def _module(root: Path, path: Path) -> str:
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[0] == "src" and len(parts) > 1:
        parts = parts[1:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def _applications(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if isinstance(value, ast.Call) and _called(value) in _FRAMEWORKS:
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        if isinstance(value, ast.Call) and _called(value) in ("create_app", "make_app", "get_application"):
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _settings(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases}
            if "BaseSettings" in bases:
                yield node.name


def _routes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and _called(decorator) in (
                    "get",
                    "post",
                    "put",
                    "route",
                    "api_route",
                ):
                    argument = decorator.args[0] if decorator.args else None
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield argument.value


def _read_openapi(root: Path, found: Found) -> None:
    if found.openapi is None:
        return
    try:
        paths = json.loads(_text(root / found.openapi)).get("paths", {})
    except (ValueError, AttributeError, RecursionError):
        return
    if not isinstance(paths, dict):
        return
    found.health_path = next((path for path in _HEALTH if path in paths), found.health_path)
    logins = [path for path in paths if re.search(r"/(login|signin|token)$", path)]
    found.login_path = logins[0] if logins else found.login_path


def _port(root: Path, found: Found) -> int | None:
    texts = []
    if found.dockerfile is not None:
        texts += re.findall(r"(?im)^EXPOSE\s+(\d+)", _text(root / found.dockerfile))
        texts += re.findall(r"--port[=\s\"',]+(\d+)", _text(root / found.dockerfile))
    if found.compose is not None:
        # A published port whose inner one is no database's.
        for outer, inner in re.findall(r"[-\s\"'](\d{2,5}):(\d{2,5})(?:/tcp)?[\"'\s]", _text(root / found.compose)):
            if inner not in ("5432", "6379", "3306", "27017", "9090", "3000", "5672"):
                texts.insert(0, outer)
    return next((int(text) for text in texts if 0 < int(text) < 65536), None)
