"""What stands beside a list and gives the same objects another way: an export, a search, everything at once.

Written later than the list and by somebody else, with a query of its own, which has to have a WHERE of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from maestro_cli.model import Evidence
from maestro_cli.observe.endpoint import with_query
from maestro_cli.observe.held_objects import holds_id, lists
from maestro_cli.observe.tenant_objects import Owned, list_path, settings_of

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.http import Answer
    from maestro_cli.observe.session import Session

PLACES = ("/export", "/export.csv", "/all", "/download", ".csv")
"""What is appended to the list's path."""
QUERIES = ("format=csv", "all=true", "scope=all")
BESIDE_REQUESTS = len(PLACES) + len(QUERIES) + 1


def leaking_beside(ctx: Context, session: Session, owned: Owned, evidence: list[Evidence]) -> list[str]:
    """The paths beside the list at which an account is given another tenant's object.

    Args:
        ctx: The run.
        session: Who asks; its list, as it is, does not hold the object.
        owned: The other tenant's object.
        evidence: What was asked and answered is added to it.
    """
    if owned.mark is None:
        return []  # nothing would tell it in a file of whatever format
    found, seen = [], []
    for path, leaks, answer in _asked(ctx, session, owned, owned.mark):
        seen.append(f"{path}: {answer.status}{', holding the object' if leaks else ''}")
        found += [path] if leaks else []
    evidence.append(Evidence(f"beside the list, by {session.account.username}", "; ".join(seen), "without the object"))
    return found


def _asked(ctx: Context, session: Session, owned: Owned, mark: str) -> Iterator[tuple[str, bool, Answer]]:
    place = settings_of(ctx).create.id
    path, _, query = list_path(ctx, session).partition("?")
    slash = "/" if path.endswith("/") else ""  # frameworks that end their paths so redirect the others
    for end in PLACES:
        asked = f"{path.rstrip('/')}{end}{'' if '.' in end else slash}"
        answer = ctx.http.get(asked, headers=session.headers)
        yield asked, lists(answer, owned, place), answer
    for further in QUERIES:
        asked = with_query(f"{path}{'?' if query else ''}{query}", further)
        answer = ctx.http.get(asked, headers=session.headers)
        yield asked, lists(answer, owned, place), answer
    asked = f"{path.rstrip('/')}/search{slash}"
    answer = ctx.http.get(with_query(asked, f"q={quote(mark, safe='')}"), headers=session.headers)
    # An answer that repeats the question holds the mark as well; with its id it is the object.
    leaks = lists(answer, owned, place) and holds_id(answer.json(), owned.id, place.rpartition(".")[2])
    yield asked, leaks, answer
