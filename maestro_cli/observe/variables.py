"""The variables that the service gets: the process environment over env_file, and which of them hold no real value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from maestro_cli.config.interpolation import is_secret_name
from maestro_cli.redaction import password_in_url

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

# A text of a template, in a variable that is no secret; `example` is left alone, it is part of good host names.
_PLACEHOLDER = re.compile(
    r"<[^<>]+>|\$\{[^}]*\}|\{\{.*\}\}|x{3,}|\.{3,}|tbd|todo|fixme|change[-_ ]?me|replace[-_ ]?me|placeholder|your[-_ ].*",
    re.IGNORECASE,
)
_STAND_INS = frozenset({"placeholder", "same-as-name"})


def variables(ctx: Context) -> dict[str, str]:
    """NAME → value; the process environment wins, as it does where maestro.yaml is read."""
    return {**ctx.loaded.env_file_values, **ctx.environ}


def is_stand_in(name: str, value: str) -> bool:
    """Whether a value is a placeholder of a template rather than a value."""
    text = value.strip()
    if _PLACEHOLDER.fullmatch(text):
        return True
    secret = text if is_secret_name(name) and "://" not in text else password_in_url(text)
    if secret is None:
        return False
    from maestro_cli.secrets import judge

    return any(problem.rule in _STAND_INS for problem in judge(name, secret))
