"""What the API answers to a path that cannot exist: the control of every probe that looks for a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maestro_cli.observe.errors import ControlFailed
from maestro_cli.observe.http import Answer

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

MISSING_REQUESTS = 2


def missing_answer(ctx: Context) -> Answer:
    """The answer to a random path, made once per run: an error, or the page of a client-side application.

    Raises:
        ControlFailed: When it is another 2xx, or a 5xx: then an answer says nothing about what is there.
    """
    return ctx.shared("not-found", lambda: _missing(ctx))


def _missing(ctx: Context) -> Answer:
    answer = ctx.http.get(f"/maestro-probe-{ctx.nonce}")
    if (answer.status < 300 and not is_fallback_page(ctx, answer)) or answer.status >= 500:
        raise ControlFailed(
            f"a path that cannot exist is answered {answer.status}, so no answer tells what there is",
            hint="Point api.url at the API itself and not at a page that answers everything.",
        )
    return answer


def missing_at_root(ctx: Context) -> Answer:
    """The same under the host's root, where api.url has a path prefix; whatever it is."""
    path = f"/maestro-probe-{ctx.nonce}"
    return ctx.shared("not-found-at-root", lambda: ctx.http.get(path, from_root=True))


def is_fallback_page(ctx: Context, answer: Answer) -> bool:
    """Whether this is the page that a client-side application is served as, at whatever path.

    It differs from what the API answers, so what is there can still be told from what is not, by its content.
    """
    from maestro_cli.observe.answers import good_answer

    if "text/html" not in (answer.header("content-type") or ""):
        return False
    _, good = good_answer(ctx)
    return "text/html" not in (good.header("content-type") or "") and good.body != answer.body
