"""Logging in with an account that was deactivated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed, warned
from maestro_cli.observe import login as logins
from maestro_cli.observe import refused_login
from maestro_cli.observe import session as sessions
from maestro_cli.observe.control import CONTROL_REQUESTS, control, outcome
from maestro_cli.observe.session import LOGIN_REQUESTS, Session

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Account


@check(
    "security.inactive-account",
    component="security",
    priority="medium",
    requests=CONTROL_REQUESTS + 3 * LOGIN_REQUESTS + 3,
    deadline_s=20,
    faults=("inactive-accepted", "inactive-account-active"),
)
def inactive_account(ctx: Context) -> Finding:
    """A deactivated account does not get in.

    Why: who has left the company, or whose tenant no longer pays, keeps the password; deactivating is all that stands between.
    Fails when: the login of api.auth.inactive_account, with its right password, is answered with a token; or, where there is
    no login, its token or its name and password still open api.auth.protected. That the password is the right one cannot be
    seen from outside: try it once while the account is still active. A wrong password that is answered with another status
    than an active account's is a warning: it tells who was deactivated.
    Fix: join the user's and the tenant's state into the query that finds the user, at the login and at every token's check.
    Source: OWASP ASVS 5.0 7.4.2; CWE-613
    """
    auth = logins.settings_of(ctx)
    account = ctx.require(auth.inactive_account, "api.auth.inactive_account")
    if auth.login is None:
        return _with_own_token(ctx, account)
    ctx.require(account.password.reveal() or None, "the password of api.auth.inactive_account")
    # The control: an active account does get in.
    active = sessions.for_account(ctx, 0)
    known = Evidence(f"control: login of {active.account.username}", str(active.answer.status), "let in")
    answer = refused_login.attempt(ctx, account.username, account.password.reveal())
    seen = Evidence(f"login of {account.username}", str(answer.status), "refused")
    tokens = refused_login.let_in(ctx, answer)
    if tokens is not None:
        session = sessions.named(ctx, Session(-1, account, auth, tokens, answer, active.issued_at))
        ctx.cleanup.add(f"session of {account.username}", lambda: sessions.log_out(ctx, session), order=1)
        return failed(f"The deactivated account {account.username} is let in.", seen, known)
    if answer.status >= 500 or answer.status == 429 or not refused_login.turned_away(ctx, answer):
        return errored(
            f"The login of {account.username} is answered {answer.status}, which is no refusal.", seen, known
        )
    usual = refused_login.wrong_password(ctx)
    told = Evidence("its refusal beside that of a wrong password", f"{answer.status} and {usual.status}", "the same")
    if usual.status not in (answer.status, 429):
        wrong = refused_login.attempt(ctx, account.username, logins.wrong_word(ctx))
        told = Evidence(f"login of {account.username} with a wrong password", str(wrong.status), str(usual.status))
        if wrong.status != usual.status and wrong.status < 500 and wrong.status != 429:
            # Where nobody's name is answered in that way as well, it is security.user-enumeration's to tell.
            nobody = refused_login.attempt(ctx, refused_login.stranger(ctx), logins.wrong_word(ctx))
            if nobody.status != wrong.status:
                return warned(
                    f"That {account.username} is deactivated is told to whoever has no password.", told, seen, known
                )
    return passed(f"The deactivated account {account.username} is refused.", seen, told, known)


def _with_own_token(ctx: Context, account: Account) -> Finding:
    """Where there is no login: what the account comes in with opens nothing any more."""
    base = control(ctx)
    session, _ = sessions.enter(ctx, account)
    answer = sessions.protected(ctx, session.headers if session is not None else {})
    seen = Evidence(f"GET {base.session.auth.protected} by {account.username}", str(answer.status), "401 or 403")
    verdict = outcome(base.session.auth, answer)
    if verdict == "accepted":
        return failed(f"The deactivated account {account.username} is let in.", seen, base.evidence)
    if verdict != "refused":
        return errored(f"{account.username} is answered {answer.status}, which is no refusal.", seen, base.evidence)
    return passed(f"The deactivated account {account.username} is refused.", seen, base.evidence)
