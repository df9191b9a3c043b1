"""Asking without saying whose: where requests name their tenant in a header (api.headers), it is left out, or empty.

A guard that compares what is named has nothing to compare then, and a query that is narrowed by it is not narrowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from maestro_cli.observe.tenant_objects import list_path, path_of, settings_of

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.http import Answer
    from maestro_cli.observe.session import Session

UNNAMED_REQUESTS = 2


def unnamed_answers(ctx: Context, path: str, session: Session) -> Iterator[tuple[str, Answer]]:
    """GET a path so, in each way: how it is said, and what is answered. Nothing where no header names the tenant.

    Args:
        ctx: The run.
        path: Path under api.url.
        session: Who asks.
    """
    if not session.named:
        return
    names = ", ".join(session.named)
    yield f"without {names}", ctx.http.get(path, headers=session.headers, without=tuple(session.named))
    empty = {**session.headers, **dict.fromkeys(session.named, "")}
    yield f"with an empty {names}", ctx.http.get(path, headers=empty)


def unnamed_lists(ctx: Context, session: Session) -> Iterator[tuple[str, Answer]]:
    """The list at api.isolation.list, asked for so; nothing where it isn't configured."""
    if settings_of(ctx).list is not None:
        yield from unnamed_answers(ctx, list_path(ctx, session), session)


def unnamed_reads(ctx: Context, session: Session, made: str) -> Iterator[tuple[str, Answer]]:
    """An object, read so."""
    yield from unnamed_answers(ctx, path_of(ctx, settings_of(ctx).read, made), session)
