"""What environment the service believes to be in, and whether it is told to debug."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from maestro_cli.observe.variables import variables

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

MEANINGS = {
    **dict.fromkeys(("production", "prod", "prd", "live"), "production"),
    **dict.fromkeys(("staging", "stage", "stg", "preprod", "pre-production", "preproduction", "uat"), "staging"),
    **dict.fromkeys(("development", "develop", "dev", "local", "test", "testing", "ci"), "development"),
}
TRUE = frozenset({"1", "true", "yes", "on", "t", "y", "*", "enabled"})
_ENVIRONMENT = re.compile(r"^(?:\w+_)?(?:ENV|ENVIRONMENT)$")
_TOOLS = re.compile(r"^(?:VIRTUAL_ENV|CONDA_\w+|UV_\w+|PIP_\w+|TOX_ENV|BASH_ENV)$")
_DEBUG = re.compile(r"^(?:\w+_)?DEBUG(?:_MODE)?$")
_KNOWN = frozenset({"DEBUG", "APP_DEBUG", "FLASK_DEBUG", "DJANGO_DEBUG"})


def environment_names(ctx: Context) -> dict[str, str]:
    """Variables that name the environment (ENVIRONMENT, APP_ENV, DJANGO_ENV, …) → value.

    Of the process environment only ENVIRONMENT, and what env_file has as well: it is full of tools' own variables.
    """
    found = variables(ctx)
    names = [name for name in ctx.loaded.env_file_values if _ENVIRONMENT.match(name) and not _TOOLS.match(name)]
    if "ENVIRONMENT" in found and "ENVIRONMENT" not in names:
        names.append("ENVIRONMENT")
    return {name: found[name] for name in names}


def debug_switches(ctx: Context) -> dict[str, str]:
    """Variables that switch debugging on (DEBUG, FLASK_DEBUG, …) → value, where that value means yes.

    Of the process environment only the best known: RUNNER_DEBUG and its like are a CI system's own.
    """
    found = variables(ctx)
    names = [name for name in found if name in _KNOWN or (name in ctx.loaded.env_file_values and _DEBUG.match(name))]
    return {name: found[name] for name in names if found[name].strip().lower() in TRUE}
