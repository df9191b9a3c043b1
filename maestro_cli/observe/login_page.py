"""What a login with protection against forged requests wants first: the cookies of a page, and the token that it shows.

Django, Rails, Laravel and Flask-WTF set a cookie and show a token, in that cookie, in a header, in a hidden field of the form or
in JSON; a login without both is refused whatever its password (OWASP Cross-Site Request Forgery Prevention Cheat Sheet).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from maestro_cli.observe.errors import ControlFailed
from maestro_cli.observe.token_headers import CSRF, cookie_headers, cookies_of
from maestro_cli.records import record

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.http import Answer

_NAMES = re.compile(r"csrf|xsrf|^_token$|authenticity_token|requestverificationtoken", re.IGNORECASE)
_HEADERS = ("x-csrf-token", "x-csrftoken", "x-xsrf-token")


@record(frozen=True)
class LoginPage:
    """What goes with a login.

    Attributes:
        cookies: What the page set.
        token: The anti-forgery token; empty where the page shows none.
        name: The hidden field that it stands in, where it stands in one.
    """

    cookies: Mapping[str, str] = field(repr=False)
    token: str = field(repr=False)
    name: str | None

    @property
    def headers(self) -> dict[str, str]:
        """Request headers: the cookies, and the token under the names that the frameworks look for."""
        return {**(cookie_headers(self.cookies) if self.cookies else {}), **self.proof}

    @property
    def proof(self) -> dict[str, str]:
        """The token under the names that the frameworks look for: what a page shows goes before what its cookie holds.

        The cookie may hold more than the token (csrf-csrf: `token|hash`), or the session that the token is made of.
        """
        return {"X-CSRF-TOKEN": self.token, "X-CSRFToken": self.token} if self.token else {}


def login_page(ctx: Context, path: str, headers: Mapping[str, str] | None = None) -> LoginPage:
    """GET the page that a login starts from, or that shows a session its token.

    Args:
        ctx: The run.
        path: api.auth.login.csrf_path, or api.auth.csrf_path.
        headers: Whose page it is; a stranger's without.

    Raises:
        ControlFailed: When it is refused.
    """
    answer = ctx.http.get(path, headers=headers)
    if answer.status >= 400:
        raise ControlFailed(
            f"GET {path} is answered {answer.status}",
            hint="Compare api.auth.login.csrf_path (or api.auth.csrf_path) with what the service expects.",
        )
    cookies = cookies_of(answer)
    token, name = _token(answer, cookies)
    ctx.redact.add([value for value in (token, *cookies.values()) if value])
    return LoginPage(cookies, token, name)


def _token(answer: Answer, cookies: Mapping[str, str]) -> tuple[str, str | None]:
    page = _Fields()
    if "html" in (answer.header("content-type") or ""):
        page.feed(answer.body.decode("utf-8", "replace"))
    if page.field is not None:
        return page.field[1], page.field[0]
    header = next((answer.header(name) for name in _HEADERS if answer.header(name)), None)
    in_cookie = next((unquote(value) for name, value in cookies.items() if CSRF.search(name)), None)
    return header or page.meta or next(_in_json(answer.json()), None) or in_cookie or "", None


def _in_json(value: Any) -> Iterator[str]:
    """Texts that stand under the name of such a token, not deeper than an answer reasonably is."""
    if isinstance(value, Mapping):
        if len(value) == 1:  # `{"result": "…"}`: the path has said what it is
            yield from (item for item in value.values() if isinstance(item, str))
        yield from (item for name, item in value.items() if isinstance(item, str) and _NAMES.search(str(name)))
        for item in value.values():
            if isinstance(item, Mapping):
                yield from (
                    inner for name, inner in item.items() if isinstance(inner, str) and _NAMES.search(str(name))
                )


class _Fields(HTMLParser):
    """The first hidden field and the first <meta> that hold such a token."""

    def __init__(self) -> None:
        super().__init__()
        self.field: tuple[str, str] | None = None
        self.meta: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "input" and self.field is None and _NAMES.search(name) and given.get("value"):
            self.field = name, given["value"]
        elif tag == "meta" and self.meta is None and _NAMES.search(name):
            self.meta = given.get("content") or None
