"""A list that comes in pages: what the next one is, and whether any of the first ones holds an object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from maestro_cli.observe.held_objects import lists
from maestro_cli.observe.http import Answer
from maestro_cli.observe.tenant_objects import Owned, list_of, list_path, settings_of

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.session import Session

PAGES = 5
"""Most pages of one list that are looked at."""
SIZES = ("limit=100", "per_page=100", "page_size=100")
"""What asks for a longer page where no page tells of a next one."""
PAGE_REQUESTS = PAGES + len(SIZES)
"""What looking through the owner's list may cost."""
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r";\s*rel=\"?(?:[\w\s]*\s)?next(?:\s[\w\s]*)?\"?(?:[;,\s]|$)", re.IGNORECASE)
_URLS = re.compile(r"^(@?odata\.?)?next(_?page)?(_?(url|link|href|uri))?$", re.IGNORECASE)
_CURSORS = {
    re.compile(r"^(next_?cursor|cursor_?next)$", re.IGNORECASE): "cursor",
    re.compile(r"^next_?page_?token$", re.IGNORECASE): "page_token",
    re.compile(r"^next_?token$", re.IGNORECASE): "next_token",
    re.compile(r"^(end_?cursor|next_?after)$", re.IGNORECASE): "after",
}
"""What an answer calls its cursor, and the parameter that it is sent back as."""
_LAST = ("pages", "total_pages", "totalPages", "last_page", "lastPage", "page_count", "pageCount")


def looked_through(
    ctx: Context,
    reader: Session,
    whose: Session,
    owned: Owned,
    *,
    first: Answer,
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The page that holds the object, among the first PAGES of a list; the first page where none does.

    Args:
        ctx: The run.
        reader: Who asks.
        whose: Whose tenant a path that names one names.
        owned: The object.
        first: The first page, as it was answered.
        query: What was appended to the path to get it.
        headers: What was sent beside the reader's own to get it.
    """
    place = settings_of(ctx).create.id
    answer, asked = first, ctx.http.prefix + list_path(ctx, whose, query)
    for _ in range(PAGES - 1):
        if lists(answer, owned, place):
            return answer
        following = next_page(answer, asked)
        if following is None or following == asked:
            break
        asked = following
        answer = ctx.http.get(asked, headers={**reader.headers, **(headers or {})}, from_root=True)
    return answer if lists(answer, owned, place) else first


def own_page(ctx: Context, owned: Owned) -> tuple[Answer, str]:
    """The page of its owner's list that holds the object, and what was appended to the path to get the list.

    The first page as it is, the pages after it, or a longer page; the plain first page where none holds it.
    """
    place, owner = settings_of(ctx).create.id, owned.owner
    plain = list_of(ctx, owner, owner)
    found = looked_through(ctx, owner, owner, owned, first=plain)
    if lists(found, owned, place):
        return found, ""
    for query in SIZES if 200 <= plain.status < 300 else ():
        longer = list_of(ctx, owner, owner, query=query)
        if lists(longer, owned, place):
            return longer, query
    return plain, ""


def next_page(answer: Answer, asked: str) -> str | None:
    """Path and query of the page after this one; None where the answer tells of none.

    As a link (RFC 8288 in the header; `next`, `links.next`, `_links.next.href` or `@odata.nextLink` in the body), as a
    cursor, or as a page's number or offset beside how many there are.

    Args:
        answer: A page.
        asked: Path and query that it answers.
    """
    for target, parameters in _LINK.findall(answer.header("link") or ""):
        if _REL.search(parameters):
            return _on_this_host(target, asked)
    document = answer.json()
    parts = [document, *(document.values() if isinstance(document, Mapping) else ())]
    told = [part for part in parts if isinstance(part, Mapping)]
    for part in told:
        if (found := _linked(part, asked) or _counted(part, asked)) is not None:
            return found
    return None


def _linked(part: Mapping[str, Any], asked: str) -> str | None:
    for name, value in part.items():
        link = value.get("href") if isinstance(value, Mapping) else value
        if _URLS.match(str(name)) and isinstance(link, str) and link.startswith(("/", "?", "http://", "https://")):
            return _on_this_host(link, asked)
        for pattern, parameter in _CURSORS.items():
            if pattern.match(str(name)) and isinstance(value, str | int) and value and not isinstance(value, bool):
                return _with(asked, parameter, value)
    return None


def _counted(part: Mapping[str, Any], asked: str) -> str | None:
    """By numbers: `page` 1 of `pages` 3, or `offset` and `limit` beside a `total`."""

    def number(*names: str) -> int | None:
        values = (part.get(name) for name in names)
        return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), None)

    page, last = number("page", "current_page", "currentPage"), number(*_LAST)
    if page is not None and last is not None:
        return _with(asked, "page", page + 1) if page < last else None
    offset, limit, total = number("offset", "skip"), number("limit", "size"), number("total", "count", "total_count")
    if offset is None or not limit or total is None or offset + limit >= total:
        return None
    return _with(asked, "skip" if "skip" in part else "offset", offset + limit)


def _on_this_host(link: str, asked: str) -> str:
    """What a link names, asked for at the configured host, whatever host it names."""
    target = urlsplit(urljoin(f"https://host{asked}", link))
    return f"{target.path or '/'}{'?' if target.query else ''}{target.query}"


def _with(asked: str, parameter: str, value: object) -> str:
    path, _, query = asked.partition("?")
    kept = [(name, old) for name, old in parse_qsl(query, keep_blank_values=True) if name != parameter]
    return f"{path}?{urlencode([*kept, (parameter, str(value))])}"
