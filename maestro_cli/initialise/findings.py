"""What was found in a project's folder: names and places, never a value of an environment file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that was found, and where: a path, or `path:line`."""

    value: str
    where: str


@dataclass(frozen=True, slots=True)
class Python:
    """What the project's Python sources say.

    Attributes:
        apps: ASGI applications, `module:name`, the likeliest first.
        settings: Settings loaders, `module:callable`, the likeliest first.
        health_paths: Routes that look like a health check.
        tenant_columns: Names of columns or fields that hold a tenant.
        app_folder: The package of the likeliest application, as a path.
        plugins: Folders with maestro checks.
    """

    apps: tuple[Seen, ...] = ()
    settings: tuple[Seen, ...] = ()
    health_paths: tuple[Seen, ...] = ()
    tenant_columns: tuple[Seen, ...] = ()
    app_folder: str | None = None
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApiShape:
    """What an OpenAPI document proposes; each part is as maestro.yaml writes it.

    Attributes:
        where: The document.
        url: The server's address, where it names one.
        health_path: A health check's path.
        login: `api.auth.login`.
        header: `api.auth.header`, where it is not Authorization.
        basic: Whether name and password go in each request (RFC 7617), and nobody logs in.
        refresh: `api.auth.refresh`.
        logout: `api.auth.logout`.
        protected: `api.auth.protected`.
        isolation: `api.isolation`.
        notes: What could not be told from it.
    """

    where: str
    url: str | None = None
    health_path: str | None = None
    login: Mapping[str, Any] | None = None
    header: str | None = None
    basic: bool = False
    refresh: Mapping[str, Any] | None = None
    logout: Mapping[str, Any] | None = None
    protected: str | None = None
    isolation: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Project:
    """Everything that `maestro init` goes by.

    Attributes:
        name: The service's name.
        env_file: The environment file, where there is one.
        env_names: Names in it.
        example_names: Names in `.env.example` and its like, and where they stand.
        python: What the sources say.
        api: What the OpenAPI document says.
        served: `module:app` as a Dockerfile, compose file or Procfile starts it.
        alembic_ini: Alembic's configuration.
        compose_files: Compose files.
        compose_hosts: Names of services that are built here.
        servers: `postgresql` and `redis` → the URL at which a compose file publishes one.
        dockerfile: The Dockerfile.
        port: The port that the service is published at, by a compose file or a Dockerfile.
        pipelines: CI files, as patterns.
        readme: The operator's documentation.
        evidence: Key of `readiness.evidence` → files that are there.
        certs_directory: Folder with certificates.
        certs_hosts: The names that the server's certificate in there is for.
        ca_file: The CA in it.
        interpreter: The project's own Python.
        notes: What was seen and could not be used.
    """

    name: Seen
    env_file: str | None = None
    env_names: tuple[str, ...] = ()
    example_names: tuple[Seen, ...] = ()
    python: Python = field(default_factory=Python)
    api: ApiShape | None = None
    served: Seen | None = None
    alembic_ini: str | None = None
    compose_files: tuple[str, ...] = ()
    compose_hosts: tuple[Seen, ...] = ()
    servers: Mapping[str, Seen] = field(default_factory=dict)
    dockerfile: str | None = None
    port: Seen | None = None
    pipelines: tuple[str, ...] = ()
    readme: str | None = None
    evidence: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    certs_directory: str | None = None
    certs_hosts: tuple[str, ...] = ()
    ca_file: str | None = None
    interpreter: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable's name that is known, those of the environment file first."""
        return tuple(dict.fromkeys((*self.env_names, *(seen.value for seen in self.example_names))))
