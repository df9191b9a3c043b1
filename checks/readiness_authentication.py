"""Can every account log in, with its password alone?"""

from __future__ import annotations

import base64

from maestro_cli.api import Context, ControlFailed, Evidence, Finding, check, failed, passed
from maestro_cli.observe import login as logins
from maestro_cli.observe import refused_login
from maestro_cli.observe import session as sessions
from maestro_cli.observe.control import ProtectedAnswers, outcome, protected_answers
from maestro_cli.observe.endpoint import fill_path
from maestro_cli.observe.http import Answer
from maestro_cli.observe.injection import LOGINS_TRIED, logins_of_injected_names, names_count
from maestro_cli.observe.reference_tokens import other_end
from maestro_cli.observe.session import Session
from maestro_cli.observe.tenant_names import in_path
from maestro_cli.observe.tokens import parse

MAXIMUM_ACCOUNTS = 4
LONG = 3000
"""Characters of a token that is too long for most places, and not for a header."""
LOCAL = ("X-Forwarded-For", "X-Real-IP", "X-Client-IP", "X-Originating-IP")
USER = ("X-Forwarded-User", "X-Remote-User", "Remote-User", "X-Auth-Request-User", "X-User", "X-User-Id")
"""What a proxy in front may write, and a service behind it may believe, and what any client may write as well."""


@check(
    "readiness.authentication",
    component="security",
    priority="critical",
    requests=MAXIMUM_ACCOUNTS * (sessions.LOGIN_REQUESTS + 1) + LOGINS_TRIED * (sessions.LOGIN_REQUESTS + 1) + 13,
    deadline_s=20,  # five logins, each as slow as a good password hash is meant to be
    faults=("anonymous-accepted", "garbage-token-accepted", "any-password-accepted"),
)
def authentication(ctx: Context) -> Finding:
    """Logging in works, and only with the right password.

    Why: a login that fails is an outage, one that takes any password is worse, and both look fine from a settings file.
    Fails when: api.auth.login gives the first account a token for a wrong password, or for its right one with a name that
    only a query put together of texts takes for its own (SQL, or an operator of a document database); or api.auth.protected opens without a
    token, with one that is none, empty, very long, a pattern (`*`, `%`) or, where tokens are looked up, right in its first
    half only, by HEAD, for a Basic login that nobody has, or for a header in which only a proxy may name an address or a user. Where an account cannot log in or its token opens nothing, nothing is proved.
    Fix: compare the password's hash before a token is issued, and hand names to queries as parameters, as texts only; guard every route that is not meant for everybody.
    Source: OWASP ASVS 5.0 6.3.1 and 8.3.1; OWASP API2:2023, Broken Authentication
    """
    auth = logins.settings_of(ctx)
    path = ctx.require(auth.protected, "api.auth.protected")
    accounts = auth.accounts[:MAXIMUM_ACCOUNTS]
    looked = protected_answers(ctx)
    evidence = _controls(ctx, looked)
    wrong = refused_login.wrong_password(ctx) if auth.login is not None else None
    rows = [
        (f"GET {path} without a token", looked.missing),
        (f"GET {path} with a token that is none", looked.garbage),
    ]
    opened = [name for name, answer in rows if outcome(auth, answer) == "accepted"]
    crashed = [name for name, answer in rows if outcome(auth, answer) in {"crashed", "unclear"}]
    for name, token in () if opened or crashed else _no_tokens(ctx, looked.session):
        answer = sessions.protected(ctx, looked.session.headers_with(token), looked.session)
        rows.append((f"GET {path} with {name}", answer))
        opened += [rows[-1][0]] if outcome(auth, answer) == "accepted" else []
    for what, headers in (
        ("an address of its own machine", dict.fromkeys(LOCAL, "127.0.0.1")),
        ("a user's name", dict.fromkeys(USER, accounts[0].username)),
    ):
        answer = sessions.protected(ctx, headers)
        names = ", ".join(headers)
        rows.append((f"GET {path} without a token, with {what} in one of {names},", answer))
        if outcome(auth, answer) == "accepted" and outcome(auth, looked.missing) == "refused":
            opened.append(rows[-1][0])
    if not opened and not crashed:
        for name, answer in _otherwise(ctx):
            rows.append((name, answer))
            opened += [name] if 200 <= answer.status < 300 and not answer.truncated else []
    if wrong is not None:
        let_in, rows_of_logins = _at_login(ctx, wrong)
        opened += let_in
        rows += rows_of_logins
        crashed += ["the login with a wrong password"] if wrong.status >= 500 else []
    evidence += [Evidence(name, str(answer.status), "401") for name, answer in rows]
    if opened:
        return failed(f"{_sentence(opened)} is accepted.", *evidence)
    if crashed:
        raise ControlFailed(f"{_sentence(crashed)} is answered with an error of the server, neither yes nor no")
    get = "log in" if wrong is not None else "get in"
    who = f"{len(accounts)} accounts {get}" if len(accounts) > 1 else f"{accounts[0].username} {get.replace(' ', 's ')}"
    return passed(f"{who}, and nobody else gets in.", *evidence)


def _controls(ctx: Context, looked: ProtectedAnswers) -> list[Evidence]:
    """Every account, and what it is let in to.

    Raises:
        ControlFailed: Where one cannot log in, or its token opens nothing.
    """
    auth = logins.settings_of(ctx)
    logs_in = "logs in, " if auth.login is not None else ""
    evidence = []
    for index, account in enumerate(auth.accounts[:MAXIMUM_ACCOUNTS]):
        session = sessions.for_account(ctx, index)
        answer = looked.valid if index == 0 else sessions.protected(ctx, session.headers, session)
        if outcome(auth, answer) != "accepted":
            raise ControlFailed(
                f"GET {auth.protected} with the token of {account.username} is answered {answer.status}"
            )
        seen = f"{logs_in}GET {auth.protected} is answered {answer.status}"
        evidence.append(Evidence(f"control: {account.username}", seen, "2xx"))
    return evidence


def _at_login(ctx: Context, wrong: Answer) -> tuple[list[str], list[tuple[str, Answer]]]:
    """Logins that must be refused: those that were let in, and all of them with their answers."""
    rows = [("login with a wrong password", wrong)]
    if refused_login.let_in(ctx, wrong) is not None:
        return ["the login with a wrong password"], rows
    rows += [(f"login with {what}", answer) for what, answer in logins_of_injected_names(ctx)]
    let_in = [f"the {name}" for name, answer in rows[1:] if refused_login.let_in(ctx, answer) is not None]
    return (let_in if let_in and names_count(ctx) else []), rows


def _otherwise(ctx: Context) -> list[tuple[str, Answer]]:
    """Asked without a token in another way than the guard may expect: by HEAD, and with a name and password that nobody has."""
    auth = logins.settings_of(ctx)
    path = ctx.require(auth.protected, "api.auth.protected")
    if "{tenant}" in path:
        path = fill_path(path, in_path(ctx, path, sessions.for_account(ctx, 0)))
    pair = base64.b64encode(f"maestro:{ctx.nonce}".encode()).decode()
    rows = [(f"HEAD {path} without a token", ctx.http.request("HEAD", path))]
    if auth.scheme.lower() != "basic":
        basic = sessions.protected(ctx, {"Authorization": f"Basic {pair}"})
        rows.append((f"GET {path} with a Basic login that nobody has", basic))
    failure = auth.login.failure if auth.login is not None else None
    return [row for row in rows if failure is None or (row[1].body and failure.encode() not in row[1].body)]


def _no_tokens(ctx: Context, session: Session) -> list[tuple[str, str]]:
    """What opens a door whose lock looks at less than the whole token, or gives up."""
    wrong = logins.own_token(session.auth, session.account, logins.wrong_word(ctx))
    found = [
        *([("a wrong password", wrong)] if wrong is not None else []),
        ("a very long token", "maestro-probe-" + "a" * LONG),
        ("an asterisk for a token", "*"),
        ("a per cent sign for a token", "%"),
    ]
    if not session.beside:  # a cookie beside it may be asked where there is no token at all
        found.append(("an empty token", ""))
    if parse(session.access_token) is None:
        altered = other_end(session.access_token)
        ctx.redact.add([altered])
        found.append(("a token of which only the first half is right", altered))
    return found


def _sentence(parts: list[str]) -> str:
    text = " and ".join(parts)
    return text[0].upper() + text[1:]
