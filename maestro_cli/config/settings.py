"""What maestro.yaml may say: typed, frozen, documented. The loader, `config show`, `config schema` and the reference
page all read these classes; a key is written once, here.

A section that is absent is None, and the checks about it are skipped. Paths are relative to the folder of maestro.yaml.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Literal

from maestro_cli.config.api_settings import Api
from maestro_cli.config.declared import DeclaredCheck
from maestro_cli.config.keys import key, section
from maestro_cli.config.readiness_settings import Readiness
from maestro_cli.config.tenancy_settings import Tenancy
from maestro_cli.redaction import Secret

Environment = Literal["development", "staging", "production"]


@section
class Service:
    """The service under judgement."""

    name: str = key("Its name, as the report prints it.", default="service")
    environment: Environment = key("Which gate applies; `--env` overrides it.", default="development")


@section
class PasswordHashes:
    """Where password hashes are stored."""

    table: str = key("Table, `schema.table` where it is not in public.", example="users")
    column: str = key("Column.", example="password_hash")
    min_rounds: int = key("Lowest acceptable bcrypt cost.", default=12, minimum=4, maximum=31)


@section
class Database:
    """PostgreSQL (or SQLite for an embedded default)."""

    url: Secret | None = key(
        "SQLAlchemy URL of the application's role; postgresql+asyncpg:// works.",
        default=None,
        example="${DATABASE_URL}",
    )
    admin_url: Secret | None = key(
        "URL of the role that owns the tables, for migrations.", default=None, example="${ADMIN_DATABASE_URL}"
    )
    scratch_url: Secret | None = key(
        "URL of a role that may create databases (CREATEDB, nothing more), on any database of a server: restores and "
        "rollbacks are rehearsed in databases that are made there and dropped again; no other one is touched.",
        default=None,
        example="${SCRATCH_DATABASE_URL}",
    )
    alembic_ini: str | None = key("The application's own Alembic configuration.", default=None)
    password_hashes: PasswordHashes | None = key("Where password hashes are stored.", default=None)
    data_directory: str | None = key(
        "The server's data directory, where this machine holds it and the role may not ask for it.",
        default=None,
        example="/var/lib/postgresql/17/main",
    )
    min_free_percent: float = key(
        "Least free space on the disks of the data directory, where this machine holds it, in percent.",
        default=5,
        minimum=0,
        maximum=100,
    )
    max_latency_ms: float = key("Slowest acceptable median round trip, in milliseconds.", default=100, minimum=0.1)


@section
class Redis:
    """Redis or Valkey."""

    url: Secret | None = key("redis:// or rediss:// URL.", default=None, example="${REDIS_URL}")
    blacklist_prefix: str | None = key(
        "Prefix of the keys of revoked tokens.", default=None, example="token:blacklist:"
    )
    max_latency_ms: float = key("Slowest acceptable median round trip, in milliseconds.", default=100, minimum=0.1)


@section
class Certs:
    """Certificates."""

    directory: str = key("Folder of the certificate files.", default="certs")
    hosts: tuple[str, ...] = key(
        "Names and addresses the server certificate is for.",
        default=("localhost", "127.0.0.1", "::1", "maestro-api", "api.maestro.local"),
    )
    min_days_left: int = key("Fewer days than this is a warning.", default=30, minimum=0)
    key_type: Literal["rsa-4096", "rsa-3072", "rsa-2048", "ec-p256", "ec-p384", "ed25519"] = key(
        "Type of new keys.", default="rsa-4096"
    )
    days: int = key("Life of new certificates, in days.", default=397, minimum=1, maximum=825)


@section
class Secrets:
    """Secrets in the environment file."""

    required: Mapping[str, int] = key("Name → strength in bits.", factory=dict, example="{JWT_SECRET_KEY: 256}")
    max_age_days: int = key("Oldest acceptable secret, in days.", default=90, minimum=1)
    grace_days: int = key("How long NAME_PREVIOUS stays after a rotation, in days.", default=7, minimum=0)


@section
class Waiver:
    """A failing check that is accepted for a time."""

    check: str = key("The check's id.")
    reason: str = key("Why it is acceptable.")
    owner: str = key("Who answers for it.")
    expires: dt.date = key("The last day it holds, in UTC.")
    environments: tuple[Environment, ...] = key("Where it holds: at least one.", example="[development]")


@section
class Run:
    """How checks are run."""

    deadline_s: float = key("Deadline of one check, in seconds.", default=10, minimum=0.01)
    deadlines: Mapping[str, float] = key("Check id → its own deadline, in seconds.", factory=dict)
    total_s: float = key("Deadline of the whole run, in seconds.", default=120, minimum=0.1)
    concurrency: int = key("Checks that run at once.", default=8, minimum=1, maximum=256)
    plugin_memory_mb: int = key("Most memory that a plugin's process may use, in MB.", default=1024, minimum=64)
    probe_production: bool = key(
        "Let probes that write run in an environment named production, as --probe-production does.", default=False
    )


@section
class Settings:
    """The whole of maestro.yaml."""

    version: Literal[1] = key("Version of this format.", default=1)
    service: Service = key("The service under judgement.", factory=Service)
    env_file: str | None = key(
        "File that ${NAME} is read from, behind the process environment.", default=None, example=".env"
    )
    api: Api | None = key("The HTTP service.", default=None)
    database: Database | None = key("The database.", default=None)
    redis: Redis | None = key("Redis or Valkey.", default=None)
    certs: Certs | None = key("Certificates.", default=None)
    secrets: Secrets | None = key("Secrets in the environment file.", default=None)
    tenancy: Tenancy | None = key("How the database is divided among tenants.", default=None)
    readiness: Readiness = key("Score and gates.", factory=Readiness)
    waivers: tuple[Waiver, ...] = key("Failing checks that are accepted for a time.", default=())
    plugins: tuple[str, ...] = key("Folders of check modules.", default=())
    checks: tuple[DeclaredCheck, ...] = key("Checks declared in place, without Python.", default=())
    run: Run = key("How checks are run.", factory=Run)
    history: Secret | None = key(
        "Where runs are kept: a SQLAlchemy URL, or the path of a SQLite file.",
        default=None,
        example="sqlite:///.maestro/history.db",
    )
