"""Asking without saying whose: where requests name their tenant in a header (api.headers), it is left out, or empty.

A guard that compares what is named has nothing to compare then, and a query that is narrowed by it is not narrowed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maestro_cli.observe.http import LEFT_OUT

if TYPE_CHECKING:
    from maestro_cli.observe.session import Session

UNNAMED = 2
"""How many ways there are."""


def unnamed(session: Session) -> list[tuple[str, Session]]:
    """The session as it asks so, in each way, and how that is said; none where no header names its tenant."""
    if not session.named:
        return []
    names = ", ".join(session.named)
    return [
        (f" without {names}", replace(session, named=dict.fromkeys(session.named, LEFT_OUT))),
        (f" with an empty {names}", replace(session, named=dict.fromkeys(session.named, ""))),
    ]
