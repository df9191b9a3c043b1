"""Every setting, read once from the environment (and `.env` behind it), typed, with all problems named at once."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from service import faults

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ENVIRONMENTS = ("development", "staging", "production")
REQUIRED = (
    "DATABASE_URL",
    "REDIS_URL",
    "JWT_SECRET_KEY",
    "JWT_REFRESH_SECRET_KEY",
    "API_SECRET_KEY",
    "ENCRYPTION_KEY",
)
KEYS = ("JWT_SECRET_KEY", "JWT_REFRESH_SECRET_KEY", "API_SECRET_KEY", "ENCRYPTION_KEY")
MINIMUM_KEY_BYTES = 32
"""HS256 asks for a key of at least the size of its hash (RFC 7518, section 3.2)."""


class SettingsError(ValueError):
    """What is missing or wrong, by name; never a value."""


@dataclass(frozen=True)
class Settings:
    """The service's settings. Secrets are left out of `repr`."""

    environment: str
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    access_key: str = field(repr=False)
    refresh_key: str = field(repr=False)
    api_key: str = field(repr=False)
    encryption_key: str = field(repr=False)
    algorithm: str = "HS256"
    issuer: str = "maestro-ml"
    audience: str = "maestro-ml-api"
    access_seconds: int = 15 * 60
    refresh_seconds: int = 7 * 24 * 3600
    leeway_seconds: int = 10
    blacklist_prefix: str = "token:blacklist:"
    cors_origins: tuple[str, ...] = ()
    rate_limit: int = 60
    rate_window_seconds: int = 60
    trusted_proxies: tuple[Network, ...] = ()
    max_body_bytes: int = 1024 * 1024

    @property
    def development(self) -> bool:
        """Whether conveniences that an attacker would like, too, may be on."""
        return self.environment == "development"


def read_env_file(path: Path) -> dict[str, str]:
    """NAME=value lines of a file; {} where there is none. Quotes round a value are taken off, `#` begins a comment."""
    values: dict[str, str] = {}
    if not path.is_file():
        return values
    for line in path.read_text("utf-8").splitlines():
        match = re.match(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$", line)
        if match:
            name, value = match.groups()
            quoted = re.match(r"""^(["'])(.*)\1(?:\s+#.*)?$""", value)
            values[name] = quoted.group(2) if quoted else re.sub(r"(^|\s+)#.*$", "", value)
    return values


def psycopg2_url(url: str) -> str:
    """The same database through psycopg2, whichever driver the URL names (`postgresql+asyncpg://`, `postgres://`)."""
    return re.sub(r"^postgres(?:ql)?(?:\+\w+)?://", "postgresql+psycopg2://", url)


def _list(text: str) -> tuple[str, ...]:
    """A comma-separated or JSON list."""
    if text.startswith("["):
        return tuple(map(str, json.loads(text)))
    return tuple(item.strip() for item in text.split(",") if item.strip())


class _Reader:
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, "").strip() or default

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        text = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            self.problems.append(f"{name} must be a whole number from {low} to {high}")
            return default
        return int(text)

    def origins(self, name: str) -> tuple[str, ...]:
        try:
            origins = _list(self.text(name))
        except ValueError:
            origins = ("?",)
        if not all(re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?", origin) for origin in origins):
            self.problems.append(f"{name} must list origins such as https://app.example.test; * is not one")
        return origins

    def networks(self, name: str) -> tuple[Network, ...]:
        try:
            return tuple(ipaddress.ip_network(item) for item in _list(self.text(name)))
        except ValueError:
            self.problems.append(f"{name} must list addresses or networks such as 10.0.0.0/8")
            return ()


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Args:
        environ: Where from; the process environment, with the file `.env` behind it, where it is None.

    Raises:
        SettingsError: Names everything that is missing or wrong.
    """
    if environ is None:
        environ = {**read_env_file(Path(os.environ.get("ENV_FILE", ".env"))), **os.environ}
    read = _Reader(environ)
    missing = [name for name in REQUIRED if not read.text(name)]
    if missing:
        read.problems.append(f"not set: {', '.join(missing)}")
    short = [name for name in KEYS if name not in missing and len(read.text(name).encode()) < MINIMUM_KEY_BYTES]
    if short:
        read.problems.append(f"shorter than {MINIMUM_KEY_BYTES} bytes: {', '.join(short)}")
    environment = read.text("ENVIRONMENT", "production")
    if environment not in ENVIRONMENTS:
        read.problems.append(f"ENVIRONMENT must be one of {', '.join(ENVIRONMENTS)}")
    if read.text("JWT_ALGORITHM", "HS256") != "HS256":
        read.problems.append("JWT_ALGORITHM must be HS256")
    settings = Settings(
        environment=environment,
        database_url=psycopg2_url(read.text("DATABASE_URL")),
        redis_url=read.text("REDIS_URL"),
        access_key="secret" if faults.on("jwt-weak-key") else read.text("JWT_SECRET_KEY"),
        refresh_key=read.text("JWT_REFRESH_SECRET_KEY"),
        api_key=read.text("API_SECRET_KEY"),
        encryption_key=read.text("ENCRYPTION_KEY"),
        access_seconds=60 * read.number("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", 15, low=1, high=60),
        refresh_seconds=86400 * read.number("JWT_REFRESH_TOKEN_EXPIRE_DAYS", 7, low=1, high=30),
        cors_origins=read.origins("CORS_ORIGINS"),
        rate_limit=read.number("RATE_LIMIT_PER_MINUTE", 60, low=1, high=1_000_000),
        trusted_proxies=read.networks("TRUSTED_PROXIES"),
    )
    if read.problems:
        raise SettingsError("the settings are not complete:\n  - " + "\n  - ".join(read.problems))
    return settings


@cache
def current() -> Settings:
    """The settings of this process, read on first use."""
    return load()
