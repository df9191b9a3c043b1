"""Logging in: both accounts, once per run, in whatever shape the service's login has.

The shared sessions serve every probe that only reads. A probe that ends sessions (log-out, refresh reuse) takes a
`fresh` one. Every session is logged out again when the run ends, where a log-out is configured.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING

from maestro_cli.observe.endpoint import fill, fill_path, send
from maestro_cli.observe.errors import ControlFailed
from maestro_cli.observe.http import Answer, overridden
from maestro_cli.observe.login import (
    Tokens,
    login_of,
    new_page,
    own_token,
    send_login,
    settings_of,
    tokens_in,
    why_not,
)
from maestro_cli.observe.token_headers import CSRF, cookie_headers, headers_with
from maestro_cli.records import record

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Account, Auth
    from maestro_cli.observe.context import Context

LOGIN_REQUESTS = 4
"""What a session costs: the login, the log-out when the run ends, and once whether its other cookies are needed, and harmless
(two pages more where the login wants one)."""


@record(frozen=True)
class Session:
    """One account, logged in.

    Attributes:
        index: Which of api.auth.accounts.
        access_token: The token itself; `fingerprint` is what may be shown of it.
        refresh_token: Where the service gives one and its place is configured.
        cookies: What the login set.
        answer: The login's answer.
        issued_at: When it was answered, in seconds since the epoch.
        beside: The cookies that have to go with the token, and no others: a session's cookie beside a bad token would
            open the door by itself.
    """

    index: int
    account: Account
    auth: Auth = field(repr=False)
    tokens: Tokens = field(repr=False)
    answer: Answer = field(repr=False)
    issued_at: float
    beside: Mapping[str, str] = field(default_factory=dict, repr=False)
    named: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those of api.headers that name the account's tenant."""
    proof: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers that say that its requests are not forged, where its cookies alone don't do."""

    @property
    def access_token(self) -> str:
        """The access token."""
        return self.tokens.access_token

    @property
    def refresh_token(self) -> str | None:
        """The refresh token."""
        return self.tokens.refresh_token

    @property
    def headers(self) -> dict[str, str]:
        """Request headers that authenticate."""
        return self.headers_with(self.access_token)

    def headers_with(self, token: str) -> dict[str, str]:
        """The same with another token in the access token's place."""
        return overridden({**self.named, **headers_with(self.auth, token, self.beside)}, self.proof)


def fingerprint(token: str) -> str:
    """What evidence shows of a token: the first 8 hexadecimal digits of its SHA-256."""
    import hashlib

    return f"sha256:{hashlib.sha256(token.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def for_account(ctx: Context, index: int = 0) -> Session:
    """The run's shared session of an account.

    Raises:
        NotConfigured: Without api.auth.login or that account.
        ControlFailed: When the login is refused or its answer holds no token.
        Unreachable: When no answer comes.
    """
    return ctx.shared(f"session-{index}", lambda: fresh(ctx, index))


def fresh(ctx: Context, index: int = 0) -> Session:
    """A session of its own, for a probe that ends it. Logged out when the run ends, if it still lives then."""
    auth = settings_of(ctx)
    if index >= len(auth.accounts):
        ctx.require(None, f"api.auth.accounts[{index}]")
    account = auth.accounts[index]
    session, answer = enter(ctx, account, index)
    if session is None:
        raise ControlFailed(
            f"the login of {account.username} at {login_of(auth).path} {why_not(ctx, auth, answer)}",
            hint=f"Compare api.auth.login and api.auth.accounts[{index}] with what the service expects.",
        )
    return session


def enter(ctx: Context, account: Account, index: int = -1) -> tuple[Session | None, Answer]:
    """Log an account in: its session, or None where that is refused, and the login's answer.

    Args:
        ctx: The run.
        account: Any of maestro.yaml.
        index: Which of api.auth.accounts; -1 where it is none of them.
    """
    auth = settings_of(ctx)
    if auth.login is None:
        session = _without_login(ctx, account, index)
        return session, session.answer
    page = new_page(ctx)
    answer = send_login(ctx, account.username, account.password.reveal(), page)
    tokens = tokens_in(ctx, answer)
    if tokens is None:
        return None, answer
    if page is not None:
        tokens = replace(tokens, cookies={**page.cookies, **tokens.cookies})
    session = named(ctx, Session(index, account, auth, tokens, answer, time.time()))
    if index == 0:
        ctx.http.always = {**session.named, **ctx.http.always}
    session = proven(ctx, replace(session, beside=_beside(ctx, session)))
    ctx.cleanup.add(f"session of {account.username}", lambda: log_out(ctx, _latest(ctx, session)), order=1)
    return session, answer


def _without_login(ctx: Context, account: Account, index: int) -> Session:
    """What an account with a token of its own comes in with: the same each time, and nothing to log out."""
    auth = settings_of(ctx)
    token = ctx.require(own_token(auth, account), f"the token of {account.username}")
    ctx.redact.add([token])
    nothing = Answer(200, {}, b"", 0.0)
    session = named(ctx, Session(index, account, auth, Tokens(token, None, {}), nothing, time.time()))
    if index == 0:
        ctx.http.always = {**session.named, **ctx.http.always}
    return session


def _renewed(ctx: Context) -> dict[str, Tokens]:
    """The refresh token that a login began with → what its last refresh brought."""
    return ctx.shared("renewed-tokens", dict[str, "Tokens"])


def _latest(ctx: Context, session: Session) -> Session:
    """The session as it is by now: one that was refreshed lives on under its new tokens."""
    tokens = _renewed(ctx).get(session.refresh_token or "")
    if tokens is None:
        return session
    kept = tokens.refresh_token or session.refresh_token
    return replace(
        session, tokens=replace(tokens, refresh_token=kept, cookies={**session.tokens.cookies, **tokens.cookies})
    )


def proven(ctx: Context, session: Session) -> Session:
    """The same session with what its writes have to show against forged requests: a login makes a new token of that kind."""
    login = login_of(session.auth)
    in_cookie = login.token.startswith("cookie:")
    path = session.auth.csrf_path or (login.csrf_path if in_cookie else None)
    if path is None:
        return session
    from maestro_cli.observe.login_page import login_page

    try:
        page = login_page(ctx, path, headers=session.headers)
    except ControlFailed:  # a page for strangers only: what the cookies hold has to do
        return session
    if not page.token:
        return session
    twins = {name: value for name, value in page.cookies.items() if CSRF.search(name)}
    own = {
        name: fill(value, {"csrf": page.token}) for name, value in (login.headers or {}).items() if "{csrf}" in value
    }
    proof = {**{name: value for name, value in own.items() if name.upper() not in page.proof}, **page.proof}
    if not in_cookie:
        opens = 200 <= protected(ctx, {**session.named, **cookie_headers(page.cookies)}, session).status < 300
        return replace(session, beside={**session.beside, **(twins if opens else page.cookies)}, proof=proof)
    # A session that is kept in its cookie is written anew where the token is put into it.
    token = page.cookies.get(login.token.removeprefix("cookie:"), session.access_token)
    tokens = replace(session.tokens, access_token=token, cookies={**session.tokens.cookies, **page.cookies})
    return replace(session, tokens=tokens, beside={**session.beside, **twins}, proof=proof)


def named(ctx: Context, session: Session) -> Session:
    """The same session, which names its tenant where api.headers says that requests do."""
    api = ctx.require(ctx.settings.api, "api")
    wanted = {name: value for name, value in (api.headers or {}).items() if "{tenant}" in value}
    if not wanted:
        return session
    from maestro_cli.observe.tenant_names import tenant_of

    tenant = tenant_of(ctx, session)
    return session if tenant is None else replace(session, named=fill(wanted, {"tenant": tenant.text}))


def _beside(ctx: Context, session: Session) -> dict[str, str]:
    """The cookies to send beside a token: those against forged requests, and the others only where nothing opens without."""
    auth = session.auth
    places = {login_of(auth).token, login_of(auth).refresh_token}
    others = {name: value for name, value in session.tokens.cookies.items() if f"cookie:{name}" not in places}
    twins = {name: value for name, value in others.items() if CSRF.search(name)}
    if len(twins) == len(others) or auth.protected is None:
        return others
    alone = {**session.named, **headers_with(auth, session.access_token, twins)}
    opens = ctx.shared("token-opens-alone", lambda: 200 <= protected(ctx, alone, session).status < 300)
    if opens and login_of(auth).token.startswith("cookie:"):
        # A browser sends them all, and what is written may be looked at more closely: a token against forged requests
        # belongs to a session, say. Only what opens by itself is left out.
        without = {**session.named, **cookie_headers(others)}
        opens = ctx.shared("others-open-alone", lambda: 200 <= protected(ctx, without, session).status < 300)
    return twins if opens else others


def living(ctx: Context) -> Session:
    """The first account's shared session, or a fresh one where a probe has ended that: some end all with one log-out."""
    shared = for_account(ctx, 0)
    if shared.auth.protected is None or 200 <= protected(ctx, shared.headers, shared).status < 300:
        return shared
    return fresh(ctx, 0)


def spare(ctx: Context) -> Session:
    """A session of the first account for the probes that may end it; one at a time, so not before the last phase."""
    return ctx.shared("spare-session", lambda: fresh(ctx, 0))


def done_with(ctx: Context, session: Session) -> None:
    """Say that nobody needs this session any more: who wants one to end takes it in place of another login."""
    _ending(ctx).append(session)


def to_end(ctx: Context) -> Session:
    """A session that is nobody else's, of whichever account: one that is done with, or a fresh one of the first account."""
    ended = _ending(ctx)
    return ended.pop() if ended else fresh(ctx, 0)


def _ending(ctx: Context) -> list[Session]:
    return ctx.shared("sessions-done-with", list["Session"])


def refresh(ctx: Context, refresh_token: str, session: Session, issued: Tokens | None = None) -> Answer:
    """Exchange a refresh token and return whatever is answered.

    Args:
        ctx: The run.
        refresh_token: What is exchanged.
        session: The login that it belongs to.
        issued: What the token came with, where that was an earlier refresh and not the login: its cookies go with it.

    Raises:
        NotConfigured: Without api.auth.refresh.
    """
    from maestro_cli.observe.tenant_names import in_request

    endpoint = ctx.require(session.auth.refresh, "api.auth.refresh")
    place = login_of(session.auth).refresh_token or ""
    headers = dict(session.named)
    if place.startswith("cookie:"):
        headers = session.headers
        later = issued.cookies if issued is not None else {}
        jar = {**session.tokens.cookies, **later, place.removeprefix("cookie:"): refresh_token}
        headers |= cookie_headers(jar, refreshing=True)
    answer = send(
        ctx,
        endpoint,
        {"refresh_token": refresh_token, "access_token": session.access_token, **in_request(ctx, endpoint, session)},
        default_body=None if place.startswith("cookie:") else {"refresh_token": "{refresh_token}"},
        default_method="POST",
        headers=headers,
    )
    tokens = tokens_in(ctx, answer)
    if tokens is not None:
        _renewed(ctx)[session.refresh_token or ""] = tokens
    return answer


def log_out(ctx: Context, session: Session) -> Answer | None:
    """Log a session out; None where no log-out is configured."""
    from maestro_cli.observe.tenant_names import in_request

    endpoint = session.auth.logout
    if endpoint is None or session.auth.login is None:  # a token of maestro.yaml would be gone for good
        return None
    return send(
        ctx,
        endpoint,
        {
            "refresh_token": session.refresh_token or "",
            "access_token": session.access_token,
            **in_request(ctx, endpoint, session),
        },
        default_method="POST",
        headers=overridden(
            {
                **session.named,
                **headers_with(session.auth, session.access_token, {**session.beside, **session.tokens.cookies}),
            },
            session.proof,
        ),
    )


def protected(ctx: Context, headers: Mapping[str, str], session: Session | None = None) -> Answer:
    """GET api.auth.protected with these headers.

    Args:
        ctx: The run.
        headers: What authenticates, or does not.
        session: Whose tenant a path that names the {tenant} names; the first account's where it is None.
    """
    from maestro_cli.observe.tenant_names import in_path

    auth = settings_of(ctx)
    path = ctx.require(auth.protected, "api.auth.protected")
    if "{tenant}" in path:
        path = fill_path(path, in_path(ctx, path, session or for_account(ctx, 0)))
    return ctx.http.get(path, headers=headers)


def with_token(ctx: Context, token: str, index: int = 0) -> Answer:
    """GET api.auth.protected with a token in the access token's place."""
    session = for_account(ctx, index)
    return protected(ctx, session.headers_with(token), session)
