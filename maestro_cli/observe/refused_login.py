"""Logins that should be refused: sent, judged, and logged out again where they are let in all the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from maestro_cli.observe.http import Answer
from maestro_cli.observe.login import (
    Tokens,
    login_of,
    login_refused,
    new_page,
    send_login,
    settings_of,
    tokens_in,
    wrong_word,
)
from maestro_cli.observe.session import Session, log_out, named, protected, proven

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.login_page import LoginPage


def attempt(ctx: Context, username: str, password: str, *, page: LoginPage | None = None, **options: Any) -> Answer:
    """Send one login that should be refused and return whatever is answered; where it is let in, it is logged out again.

    Args:
        ctx: The run.
        username: Login name.
        password: Password.
        page: Which page it starts from, where the run's own is not to be used up.
        options: How it is sent: `headers`, `source`, `query`, `expect_limit` of `endpoint.send`; another `login` than
            the configured one; not `in_turn`, as a burst.
    """
    # One page does for all that is refused: nothing is renewed then.
    page = page or ctx.shared("login-page", lambda: new_page(ctx))
    answer = send_login(ctx, username, password, page, **options)
    tokens = tokens_in(ctx, answer)
    if tokens is None or (password == wrong_word(ctx) and _visitors_too(ctx, answer)):
        return answer
    session = proven(ctx, _unproven(ctx, tokens, answer))  # a log-out may want to be seen not to be forged
    ctx.cleanup.add(f"session of {username}", lambda: log_out(ctx, session), order=1)
    return answer


def let_in(ctx: Context, answer: Answer) -> Tokens | None:
    """The tokens in a login's answer; None too for a session in a cookie that opens nothing: some give one to every visitor."""
    tokens = tokens_in(ctx, answer)
    auth = settings_of(ctx)
    if tokens is None or auth.protected is None or not login_of(auth).token.startswith("cookie:"):
        return tokens
    session = _unproven(ctx, tokens, answer)
    opened = ctx.shared("sessions-tried", dict[str, Answer])
    if tokens.access_token not in opened:
        opened[tokens.access_token] = protected(ctx, session.headers, session)
    inside = opened[tokens.access_token]
    return tokens if 200 <= inside.status < 300 and not login_refused(auth, inside) else None


def turned_away(ctx: Context, answer: Answer) -> bool:
    """Whether a login's answer lets nobody in: a refusal, or the form once more where the session is a cookie."""
    auth = settings_of(ctx)
    if login_refused(auth, answer):
        return True
    return login_of(auth).token.startswith("cookie:") and let_in(ctx, answer) is None


def _visitors_too(ctx: Context, refusal: Answer) -> bool:
    """Whether who is refused is given a session as well, as the first one shows: there is nothing to log out then."""
    return ctx.shared("visitors-get-sessions", lambda: let_in(ctx, refusal) is None)


def _unproven(ctx: Context, tokens: Tokens, answer: Answer) -> Session:
    account = settings_of(ctx).accounts[0]
    return named(ctx, Session(0, account, settings_of(ctx), tokens, answer, time.time(), tokens.cookies))


def wrong_password(ctx: Context) -> Answer:
    """The answer to a wrong password for the first account, asked for once per run: a lock-out counts them."""
    return ctx.shared("wrong-password", lambda: _wrong_password(ctx))


def _wrong_password(ctx: Context) -> Answer:
    return attempt(ctx, settings_of(ctx).accounts[0].username, wrong_word(ctx))


def stranger(ctx: Context, suffix: str = "") -> str:
    """A name that nobody has, shaped like the first account's: an address of the same domain, or a name."""
    name, at, domain = settings_of(ctx).accounts[0].username.rpartition("@")
    return f"maestro-probe-{ctx.nonce}{suffix}{f'@{domain}' if at and name else ''}"
