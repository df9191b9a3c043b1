"""Secrets: made strong, judged by what can be observed, rotated without a torn file. Nothing here prints.

The names below are loaded when they are first used, since most runs of maestro need none of them. The `.env` parser is
on a floor of its own, `maestro_cli.dotenv`, because the configuration loader reads `env_file` with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maestro_cli.dotenv import Dotenv, EnvValues, parse_dotenv

if TYPE_CHECKING:
    from maestro_cli.secrets.audit import Audit, Finding, audit_file
    from maestro_cli.secrets.generation import Generated, generate
    from maestro_cli.secrets.rotation import Rotation, rotate
    from maestro_cli.secrets.store import FileStore, SecretStore
    from maestro_cli.secrets.strength import Problem, judge

__all__ = [
    "Audit",
    "Dotenv",
    "EnvValues",
    "FileStore",
    "Finding",
    "Generated",
    "Problem",
    "Rotation",
    "SecretStore",
    "audit_file",
    "generate",
    "judge",
    "parse_dotenv",
    "rotate",
]

_HOMES = {
    "Audit": "audit",
    "Finding": "audit",
    "audit_file": "audit",
    "Generated": "generation",
    "generate": "generation",
    "Rotation": "rotation",
    "rotate": "rotation",
    "FileStore": "store",
    "SecretStore": "store",
    "Problem": "strength",
    "judge": "strength",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
