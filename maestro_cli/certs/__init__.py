"""Certificates as a plain Python API: make, inspect, verify and renew them. Nothing here prints or reads the clock.

The names below are loaded when they are first used, since most runs of maestro need none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maestro_cli.certs.endpoint import fetch_chain
    from maestro_cli.certs.generate import ensure_pair, generate
    from maestro_cli.certs.inspect import Described, Inspection, inspect_file
    from maestro_cli.certs.lint import lint
    from maestro_cli.certs.renew import renew
    from maestro_cli.certs.rules import RULES, Problem
    from maestro_cli.certs.store import Pair
    from maestro_cli.certs.verify import Verification, verify_file, verify_folder

__all__ = [
    "RULES",
    "Described",
    "Inspection",
    "Pair",
    "Problem",
    "Verification",
    "ensure_pair",
    "fetch_chain",
    "generate",
    "inspect_file",
    "lint",
    "renew",
    "verify_file",
    "verify_folder",
]

_HOMES = {
    "RULES": "rules",
    "Described": "inspect",
    "Inspection": "inspect",
    "Pair": "store",
    "Problem": "rules",
    "Verification": "verify",
    "ensure_pair": "generate",
    "fetch_chain": "endpoint",
    "generate": "generate",
    "inspect_file": "inspect",
    "lint": "lint",
    "renew": "renew",
    "verify_file": "verify",
    "verify_folder": "verify",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
