"""The log-out of a session that nobody else uses: what the token opens before and after. Made once per run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maestro_cli.observe import login as logins
from maestro_cli.observe import session as sessions
from maestro_cli.observe.control import CONTROL_REQUESTS, control, outcome
from maestro_cli.observe.errors import ControlFailed
from maestro_cli.observe.http import Answer
from maestro_cli.observe.tokens import Jwt, digest_of

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.session import Session

REVOCATION_REQUESTS = CONTROL_REQUESTS + 2 * sessions.LOGIN_REQUESTS + 4


@dataclass(frozen=True)
class LoggedOut:
    """Before, during and after; `after_s` is the time between the log-out's answer and the last one's, in seconds."""

    session: Session
    path: str
    before: Answer
    logout: Answer
    after: Answer
    after_s: float


def logged_out(ctx: Context) -> LoggedOut:
    """The run's log-out.

    Raises:
        NotConfigured: Without api.auth.logout.
        ControlFailed: When the fresh login's token opens nothing, or the log-out itself is refused.
    """
    return ctx.shared("logged-out", lambda: _logged_out(ctx))


def _logged_out(ctx: Context) -> LoggedOut:
    auth = logins.settings_of(ctx)
    logins.login_of(auth)
    endpoint = ctx.require(auth.logout, "api.auth.logout")
    path = ctx.require(auth.protected, "api.auth.protected")
    control(ctx)
    session = sessions.spare(ctx)
    before = sessions.protected(ctx, session.headers)
    if outcome(auth, before) != "accepted":  # what another probe tried may have ended it, as a strict service does
        session = sessions.fresh(ctx, 0)
        before = sessions.protected(ctx, session.headers)
    if outcome(auth, before) != "accepted":
        raise ControlFailed(f"GET {path} with the token of a fresh login is answered {before.status}")
    logout = sessions.log_out(ctx, session)
    if logout is None or logout.status >= 400:
        status = "not configured" if logout is None else f"answered {logout.status}"
        raise ControlFailed(f"the log-out at {endpoint.path} is {status}")
    started = time.perf_counter()
    after = sessions.protected(ctx, session.headers)
    return LoggedOut(session, path, before, logout, after, time.perf_counter() - started)


def blacklist_names(prefix: str, token: str, parts: Jwt) -> Iterator[tuple[str, str]]:
    """How services name the entry of a revoked token: what it is made of, and the key."""
    for claim in ("jti", "sid", "fam", "sub"):
        value = parts.claims.get(claim)
        if isinstance(value, str | int):
            yield claim, f"{prefix}{value}"
    yield "token", f"{prefix}{token}"
    yield "sha256 of the token", f"{prefix}{digest_of(token)}"
