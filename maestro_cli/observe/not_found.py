"""What the API answers to a path that cannot exist: the control of every probe that looks for a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maestro_cli.observe.errors import ControlFailed
from maestro_cli.observe.http import Answer

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

MISSING_REQUESTS = 1


def missing_answer(ctx: Context) -> Answer:
    """The answer to a random path, made once per run.

    Raises:
        ControlFailed: When it is a 2xx or a 5xx: then an answer says nothing about what is there.
    """
    return ctx.shared("not-found", lambda: _missing(ctx))


def _missing(ctx: Context) -> Answer:
    answer = ctx.http.get(f"/maestro-probe-{ctx.nonce}")
    if answer.status < 300 or answer.status >= 500:
        raise ControlFailed(
            f"a path that cannot exist is answered {answer.status}, so no answer tells what there is",
            hint="Point api.url at the API itself and not at a page that answers everything.",
        )
    return answer
