"""What a project's other files say about it: environment files, compose files, pipelines, certificates."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maestro_cli.initialise.compose import published_ports, published_servers
from maestro_cli.initialise.findings import Project, Seen
from maestro_cli.initialise.python_sources import read_sources

EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", "env.example", "example.env", ".env.test")
COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
PIPELINES = (
    (".github/workflows", "*.yml"),
    (".github/workflows", "*.yaml"),
    (".", ".gitlab-ci.yml"),
    (".circleci", "config.yml"),
    (".", "azure-pipelines.yml"),
    (".", "bitbucket-pipelines.yml"),
    (".", "Jenkinsfile"),
    (".woodpecker", "*.yml"),
)
CA_FILES = ("ca.pem", "ca.crt", "ca-cert.pem", "rootCA.pem", "root-ca.pem")
MAXIMUM_BYTES = 1_000_000
LINE = 2_000
"""Characters of a line that are searched."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
"""A variable that `${NAME}` can refer to."""
OTHERS = {5432, 6379, 3306, 27017, 9090, 3000, 5672, 15672, 9001, 1025, 8025}
"""Ports of databases, brokers and monitoring that stand beside a service."""
_SERVED = re.compile(r"(?:uvicorn|gunicorn|hypercorn|granian)\b[^\n]*?[\s\"',]([A-Za-z_][\w.]*:[A-Za-z_]\w*)(?![\w/])")


def detect(root: Path) -> Project:
    """Look at a project's folder. Nothing is run, nothing is connected to, and no value of an env file is kept.

    Args:
        root: The folder that maestro.yaml will stand in.
    """
    notes: list[str] = []
    env_file, env_names, empty = _environment(root, notes)
    compose = tuple(name for name in COMPOSE if (root / name).is_file())
    certs, ca_file = _certificates(root)
    dockerfile = next(_below(root, "Dockerfile"), None)
    return Project(
        name=_service_name(root),
        env_file=env_file,
        env_names=env_names,
        example_names=(*empty, *_examples(root)),
        python=read_sources(root),
        served=next(_served(root, compose), None),
        alembic_ini=next(_below(root, "alembic.ini"), None),
        compose_files=compose,
        compose_hosts=tuple(_compose_hosts(root, compose)),
        servers=published_servers(_services(root, compose)),
        dockerfile=dockerfile,
        port=next(_ports(root, compose, dockerfile), None),
        pipelines=tuple(_pipelines(root)),
        readme=next((name for name in ("README.md", "README.rst", "README.txt") if (root / name).is_file()), None),
        evidence=_evidence(root),
        certs_directory=certs,
        certs_hosts=_certificate_hosts(root / certs) if certs is not None else (),
        ca_file=ca_file,
        interpreter=next((name for name in (".venv/bin/python", "venv/bin/python") if (root / name).exists()), None),
        notes=tuple(notes),
    )


def _read(path: Path) -> str:
    """The text of a small file; nothing where there is none."""
    try:
        if not path.is_file() or path.stat().st_size > MAXIMUM_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _service_name(root: Path) -> Seen:
    for file, keys in (("pyproject.toml", (("project", "name"), ("tool", "poetry", "name"))),):
        try:
            value: Any = tomllib.loads(_read(root / file))
        except tomllib.TOMLDecodeError:
            continue
        for path in keys:
            found = value
            for step in path:
                found = found.get(step, {}) if isinstance(found, dict) else {}
            if isinstance(found, str) and found.strip():
                return Seen(found.strip(), file)
    return Seen(root.resolve().name or "service", "the folder's name")


def _environment(root: Path, notes: list[str]) -> tuple[str | None, tuple[str, ...], tuple[Seen, ...]]:
    """The environment file, the names in it that have a value, and those that wait for one."""
    from maestro_cli.config.environment_file import read_environment_file

    if not (root / ".env").is_file():
        return None, (), ()
    try:
        values = read_environment_file(root / ".env")
    except (OSError, ValueError):
        notes.append(".env is there, but is no text of NAME=value lines that can be read")
        return None, (), ()
    known = [name for name in values if _NAME.match(name)]
    empty = tuple(Seen(name, ".env, empty") for name in known if not values[name])
    return ".env", tuple(name for name in known if values[name]), empty


def _examples(root: Path) -> Iterator[Seen]:
    from maestro_cli.dotenv import parse_dotenv

    for name in EXAMPLES:
        text = _read(root / name)
        if text:
            yield from (Seen(variable, name) for variable in parse_dotenv(text) if _NAME.match(variable))


def _served(root: Path, compose: tuple[str, ...]) -> Iterator[Seen]:
    for name in ("Dockerfile", "Procfile", *compose, "Makefile", "docker/Dockerfile"):
        for number, line in enumerate(_read(root / name).splitlines(), 1):
            match = _SERVED.search(line[:LINE])
            if match is not None and "--factory" not in line:
                yield Seen(match.group(1), f"{name}:{number}")


def _below(root: Path, name: str) -> Iterator[str]:
    """The file here, or in a folder one step below."""
    if (root / name).is_file():
        yield name
    yield from sorted(
        path.relative_to(root).as_posix() for path in root.glob(f"*/{name}") if not path.parent.name.startswith(".")
    )


def _services(root: Path, names: tuple[str, ...]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """File, name and body of every service of the compose files."""
    import yaml

    for name in names:
        try:
            document = yaml.safe_load(_read(root / name))
        except (yaml.YAMLError, RecursionError, ValueError):
            continue
        services = document.get("services") if isinstance(document, dict) else None
        for service, body in services.items() if isinstance(services, dict) else ():
            if isinstance(body, dict):
                yield name, str(service), body


def _compose_hosts(root: Path, names: tuple[str, ...]) -> Iterator[Seen]:
    """Services that are built here: other containers reach them by these names, so certificates need them."""
    for file, service, body in _services(root, names):
        if "build" in body and re.fullmatch(r"[a-z0-9][a-z0-9-]*", service):
            yield Seen(service, file)


def _ports(root: Path, names: tuple[str, ...], dockerfile: str | None) -> Iterator[Seen]:
    """Ports that are published, and whose inner port is no database's; then what the Dockerfile exposes."""
    for file, _, body in _services(root, names):
        yield from (Seen(str(outer), file) for outer, inner in published_ports(body) if inner not in OTHERS)
    if dockerfile is not None:
        for number, line in enumerate(_read(root / dockerfile).splitlines(), 1):
            match = re.match(r"(?i)EXPOSE\s+(\d{2,5})\b", line)
            if match is not None and 0 < int(match.group(1)) < 65536:
                yield Seen(match.group(1), f"{dockerfile}:{number}")


def _pipelines(root: Path) -> Iterator[str]:
    for folder, pattern in PIPELINES:
        if any(path.is_file() for path in (root / folder).glob(pattern)):
            yield pattern if folder == "." else f"{folder}/{pattern}"


def _evidence(root: Path) -> dict[str, str | tuple[str, ...]]:
    found: dict[str, str | tuple[str, ...]] = {}
    for key, names in (
        ("junit", ("reports/junit.xml", "junit.xml", "test-results.xml", "reports/tests.xml")),
        ("sarif", ("reports/*.sarif", "*.sarif")),
    ):
        present = tuple(name for name in names if any(root.glob(name)))
        if present:
            found[key] = present
    coverage = next((name for name in ("reports/coverage.xml", "coverage.xml") if (root / name).is_file()), None)
    if coverage is not None:
        found["coverage"] = coverage
    return found


def _certificates(root: Path) -> tuple[str | None, str | None]:
    for folder in ("certs", "certificates", "ssl", "tls"):
        if (root / folder).is_dir():
            ca = next((f"{folder}/{name}" for name in CA_FILES if (root / folder / name).is_file()), None)
            return folder, ca
    return None, None


def _certificate_hosts(folder: Path) -> tuple[str, ...]:
    """The names of the server's certificate, where there is one that can be read."""
    text = next((text for name in ("fullchain.pem", "cert.pem", "server.pem") if (text := _read(folder / name))), "")
    if "BEGIN CERTIFICATE" not in text:
        return ()
    from cryptography import x509

    try:
        first = x509.load_pem_x509_certificate(text.encode())
        names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return ()
    return tuple(str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress))
