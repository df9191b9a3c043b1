"""Certificates as a plain Python API: make, inspect, verify and renew them. Nothing here prints or reads the clock.

The names below are loaded when they are first used, since most runs of maestro need none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maestro_cli.certs.description import Described, Inspection
    from maestro_cli.certs.endpoint import fetch_chain
    from maestro_cli.certs.generate import ensure_pair
    from maestro_cli.certs.inspection import inspect_file
    from maestro_cli.certs.linter import lint
    from maestro_cli.certs.renewal import renew
    from maestro_cli.certs.rules import RULES, Problem
    from maestro_cli.certs.store import Pair
    from maestro_cli.certs.verification import Verification, verify_file, verify_folder

__all__ = [
    "RULES",
    "Described",
    "Inspection",
    "Pair",
    "Problem",
    "Verification",
    "ensure_pair",
    "fetch_chain",
    "inspect_file",
    "lint",
    "renew",
    "verify_file",
    "verify_folder",
]

_HOMES = {
    "RULES": "rules",
    "Described": "description",
    "Inspection": "description",
    "Pair": "store",
    "Problem": "rules",
    "Verification": "verification",
    "ensure_pair": "generate",
    "fetch_chain": "endpoint",
    "inspect_file": "inspection",
    "lint": "linter",
    "renew": "renewal",
    "verify_file": "verification",
    "verify_folder": "verification",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
