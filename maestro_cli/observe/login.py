"""The login as configured: the page it starts from, the request, and the tokens in its answer."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from maestro_cli.errors import NotConfigured
from maestro_cli.observe.endpoint import dig, fill, send, words_of
from maestro_cli.observe.http import Answer
from maestro_cli.observe.token_headers import cookies_of
from maestro_cli.records import record

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Account, Auth, Login
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.login_page import LoginPage

LOGINS_AT_ONCE, TURN_S = 2, 1.0
"""How many logins are under way at once, and the longest wait for one's turn in seconds."""
DEFAULT_BODY: Mapping[str, str] = {"username": "{username}", "password": "{password}"}


@record(frozen=True)
class Tokens:
    """What a login or a refresh answers with."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)


def settings_of(ctx: Context) -> Auth:
    """api.auth, with an account, and with a login or what opens without one.

    Raises:
        NotConfigured: Where one is missing.
    """
    api = ctx.require(ctx.settings.api, "api")
    ctx.require(api.url, "api.url")
    auth = ctx.require(api.auth, "api.auth")
    if not auth.accounts or any(own_token(auth, account) is None for account in auth.accounts):
        ctx.require(auth.login, "api.auth.login")
    ctx.require(auth.accounts, "api.auth.accounts")
    return auth


def login_of(auth: Auth) -> Login:
    """api.auth.login.

    Raises:
        NotConfigured: Without one: the accounts have tokens of their own, and nothing can be said of logins.
    """
    if auth.login is None:
        raise NotConfigured("api.auth.login is not configured")
    return auth.login


def own_token(auth: Auth, account: Account, password: str | None = None) -> str | None:
    """What opens for an account without a login: its token, or its name and password (RFC 7617); None where there is one.

    Args:
        auth: api.auth.
        account: Any of maestro.yaml.
        password: Another one than the account's.
    """
    if auth.login is not None:
        return None
    if account.token is not None and password is None:
        return account.token.reveal()
    if auth.scheme.lower() != "basic":
        return None
    word = account.password.reveal() if password is None else password
    return base64.b64encode(f"{account.username}:{word}".encode()).decode() if word else None


def cookie_of(auth: Auth) -> str | None:
    """The name of the cookie that holds the session; None where tokens go in a header."""
    place = login_of(auth).token
    return place.removeprefix("cookie:") if place.startswith("cookie:") else None


def page_headers(ctx: Context) -> dict[str, str]:
    """What goes with any request to the login, so that it is not refused as forged before it is looked at."""
    page = ctx.shared("login-page", lambda: new_page(ctx))
    return {} if page is None else page.headers


def new_page(ctx: Context) -> LoginPage | None:
    """A page of its own for one login; None where none is configured."""
    path = login_of(settings_of(ctx)).csrf_path
    if path is None:
        return None
    from maestro_cli.observe.login_page import login_page

    return login_page(ctx, path)


def send_login(
    ctx: Context,
    username: str,
    password: str,
    page: LoginPage | None,
    *,
    login: Login | None = None,
    in_turn: bool = True,
    **options: Any,
) -> Answer:
    """Send one login as it is configured, from a page where there is one; `options` are those of `endpoint.send`.

    No more than two at once, but for a burst: a password's hash takes a processor for a good while, and the service has
    other users. One that takes longer than TURN_S is not waited for.
    """
    if not in_turn:
        return _send(ctx, username, password, page, login or login_of(settings_of(ctx)), options)
    turn = ctx.shared("turn-to-log-in", lambda: threading.Semaphore(LOGINS_AT_ONCE))
    waited = turn.acquire(timeout=TURN_S)
    try:
        return _send(ctx, username, password, page, login or login_of(settings_of(ctx)), options)
    finally:
        if waited:
            turn.release()


def _send(
    ctx: Context, username: str, password: str, page: LoginPage | None, login: Login, options: dict[str, Any]
) -> Answer:
    values = {"username": username, "password": password, **_tenant_of(ctx, username)}
    api = ctx.require(ctx.settings.api, "api")
    own = {name: value for name, value in (api.headers or {}).items() if "{tenant}" in value and "tenant" in values}
    options["headers"] = {**fill(own, values), **options.get("headers", {})}
    if page is None:
        return send(ctx, login, values, default_body=DEFAULT_BODY, default_method="POST", **options)
    headers = {**page.headers, **options.pop("headers", {})}
    return send(
        ctx,
        login,
        {**values, "csrf": page.token},
        default_body=DEFAULT_BODY,
        default_method="POST",
        headers=headers,
        extra={page.name: page.token} if page.name is not None and login.encoding == "form" else None,
        **options,
    )


def _tenant_of(ctx: Context, username: str) -> dict[str, str]:
    """What stands for {tenant} in a login: what is written at its account; a stranger's is the first account's."""
    api = ctx.require(ctx.settings.api, "api")
    auth = settings_of(ctx)
    further = [auth.inactive_account, api.roles.account if api.roles is not None else None]
    known = {row.username: row.tenant for row in (*further, *auth.accounts) if row is not None}
    tenant = known.get(username) or auth.accounts[0].tenant
    return {} if tenant is None else {"tenant": tenant}


def wrong_word(ctx: Context) -> str:
    """A password that nobody has, and that no rule about passwords refuses beforehand."""
    return f"maestro-probe-{ctx.nonce}-Aa1!"


def login_refused(auth: Auth, answer: Answer) -> bool:
    """Whether a login's answer means no, also where the API says so with a 200."""
    failure = auth.login.failure if auth.login is not None else None
    if answer.status >= 400:
        return True
    return failure is not None and failure.encode() in answer.body


def tokens_in(ctx: Context, answer: Answer) -> Tokens | None:
    """The tokens in a login's or refresh's answer, or None where it holds none. The redactor is told of them."""
    auth = settings_of(ctx)
    login = login_of(auth)
    if login_refused(auth, answer):
        return None
    cookies = cookies_of(answer)
    access = _find(login.token, answer, cookies)
    refresh = _find(login.refresh_token, answer, cookies) if login.refresh_token else None
    ctx.redact.add([value for value in (access, refresh, *cookies.values()) if value])
    return None if access is None else Tokens(access, refresh, cookies)


def _find(place: str, answer: Answer, cookies: Mapping[str, str]) -> str | None:
    if place.startswith("cookie:"):
        return cookies.get(place.removeprefix("cookie:"))
    if place.startswith("header:"):
        value = answer.header(place.removeprefix("header:"))
        return None if value is None else value.rpartition(" ")[2]
    found: Any = dig(answer.json(), place)
    # Some answer with the whole header: `"token": "Bearer eyJ…"`.
    return found.rpartition(" ")[2] or None if isinstance(found, str) else None


def why_not(ctx: Context, auth: Auth, answer: Answer) -> str:
    """Why an answer is no login, for a sentence that names it."""
    if answer.status >= 400:
        return f"is answered {answer.status}{words_of(ctx, answer)}"
    if login_refused(auth, answer):
        return f"is refused (answered {answer.status} with api.auth.login.failure in the body)"
    return f"is answered {answer.status} without a token at api.auth.login.token ({login_of(auth).token})"
