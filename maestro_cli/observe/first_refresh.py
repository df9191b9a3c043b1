"""The first refresh of a login that the probes may end: made once per run, for whoever looks at what it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maestro_cli.observe import login as logins
from maestro_cli.observe import session as sessions
from maestro_cli.records import record

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.http import Answer
    from maestro_cli.observe.login import Tokens
    from maestro_cli.observe.session import Session

FIRST_REFRESH_REQUESTS = 2 * sessions.LOGIN_REQUESTS + 2


@record(frozen=True)
class FirstRefresh:
    """The login, the refresh token that it gave, and what that was exchanged for; no tokens where it is refused."""

    session: Session
    answer: Answer
    tokens: Tokens | None

    @property
    def exchanged(self) -> str:
        """The refresh token that was used."""
        return self.session.refresh_token or ""


def first_refresh(ctx: Context) -> FirstRefresh:
    """Exchange the refresh token of a session that may end; not before the last phase, when such sessions are there.

    Raises:
        NotConfigured: Without a refresh token in the login's answer, or without api.auth.refresh.
    """
    session = sessions.for_account(ctx, 0)
    ctx.require(session.refresh_token, "api.auth.login.refresh_token")
    ctx.require(session.auth.refresh, "api.auth.refresh")
    return ctx.shared("first-refresh", lambda: _first_refresh(ctx))


def _first_refresh(ctx: Context) -> FirstRefresh:
    made = _used(ctx, sessions.to_end(ctx))
    if made.tokens is None:  # what its probe tried may have ended that login, as a strict service does
        made = _used(ctx, sessions.fresh(ctx, 0))
    return made


def _used(ctx: Context, session: Session) -> FirstRefresh:
    answer = sessions.refresh(ctx, session.refresh_token or "", session)
    return FirstRefresh(session, answer, logins.tokens_in(ctx, answer))
