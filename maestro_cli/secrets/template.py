"""What a new `.env` looks like: comments, settings with their values, and where the secrets go.

A template is itself a `.env` file, with two kinds of stand-ins:

- `NAME=<secret 256>` asks for a random value of 256 bits;
- `${NAME}` inside a value stands for another variable, escaped where the value is a URL.

An `.env.example` is one too: copied to `.env`, its empty secrets are filled in by `maestro secrets generate`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from maestro_cli.dotenv import Dotenv
from maestro_cli.errors import ConfigurationError
from maestro_cli.secrets.urls import escape

BUILT_IN = """\
# Settings and secrets of this deployment. Keep this file out of version control, and readable by its owner only (0600).
# New values: maestro secrets rotate        Are they strong? maestro secrets audit

# Tokens
JWT_SECRET_KEY=<secret 256>
JWT_REFRESH_SECRET_KEY=<secret 256>
JWT_ALGORITHM=HS256
ACCESS_TOKEN_EXPIRE_MINUTES=15
REFRESH_TOKEN_EXPIRE_DAYS=7

# Encryption at rest (a Fernet key) and calls between services
ENCRYPTION_KEY=<secret 256>
API_SECRET_KEY=<secret 256>

# PostgreSQL
POSTGRES_HOST=localhost
POSTGRES_PORT=15432
POSTGRES_USER=maestro
POSTGRES_DB=maestro_ml
POSTGRES_PASSWORD=<secret 192>
DATABASE_URL=postgresql://${POSTGRES_USER}:${POSTGRES_PASSWORD}@${POSTGRES_HOST}:${POSTGRES_PORT}/${POSTGRES_DB}

# Redis
REDIS_HOST=localhost
REDIS_PORT=16379
REDIS_DB=0
REDIS_PASSWORD=<secret 192>
REDIS_URL=redis://:${REDIS_PASSWORD}@${REDIS_HOST}:${REDIS_PORT}/${REDIS_DB}

# Browsers that may call the API
CORS_ORIGINS=https://app.example.test,https://admin.example.test,http://localhost:3000

# Requests of one client
RATE_LIMIT_PER_MINUTE=60
RATE_LIMIT_BURST=10

# Features
ENABLE_MULTI_TENANCY=true
ENABLE_RATE_LIMITING=true
ENABLE_AUDIT_LOG=true
"""
"""The seed's settings; hosts are those of the reference platform."""

_SECRET = re.compile(r"<secret(?: (\d+))?>\Z")
_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)\}")


def bits_asked(value: str) -> int | None:
    """The bits of `<secret N>`, 256 where there is no number; None for any other value."""
    match = _SECRET.match(value)
    return int(match.group(1) or 256) if match else None


def references(value: str) -> list[str]:
    """The variables that a value is built from."""
    return _REFERENCE.findall(value)


def is_template(value: str) -> bool:
    """Whether a value is still to be filled in."""
    return not value or bits_asked(value) is not None or bool(_REFERENCE.search(value))


def built(value: str, values: Mapping[str, str]) -> str | None:
    """A value with its references filled in; None where one of them has no value yet."""
    names = references(value)
    if any(is_template(values.get(name, "")) for name in names):
        return None
    in_url = "://" in value
    return _REFERENCE.sub(lambda match: escape(values[match[1]]) if in_url else values[match[1]], value)


def read_template(text: str) -> Dotenv:
    """Read a template.

    Raises:
        ConfigurationError: It has lines that cannot be read, or refers to a variable that it does not have.
    """
    document = Dotenv(text)
    if document.unreadable:
        lines = ", ".join(map(str, document.unreadable))
        raise ConfigurationError(f"the template cannot be read at line {lines}", hint="Write NAME=value on each line.")
    for name, value in document.values.items():
        for other in references(value):
            if other not in document.values:
                raise ConfigurationError(
                    f"the template's {name} refers to ${{{other}}}, which the template does not have",
                    hint=f"Add a line {other}=… to it.",
                )
    return document


def example(document: Dotenv, secret_names: set[str]) -> str:
    """The text of an `.env.example`: the template with its secrets left empty."""
    return document.replace(dict.fromkeys(secret_names & document.values.keys(), "")).text
