"""Names and ids that go on in the query's own language: harmless where they are parameters, and of one's own where not.

Each names what the account may have anyway, or the probe's own object, so nothing else is touched by who believes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from maestro_cli.observe import login as logins
from maestro_cli.observe import refused_login
from maestro_cli.observe.foreign_login import foreign_login, sql_name
from maestro_cli.observe.http import Answer

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Login
    from maestro_cli.observe.context import Context

LOGINS_TRIED = 4
IDS_TRIED = 2


def logins_of_injected_names(ctx: Context) -> Iterator[tuple[str, Answer]]:
    """Logins with the first account's right password and a name that nobody has, unless a query is made of it.

    So no wrong password is counted against the account. `ann' AND '1'='1` is another name for ann in SQL that is put
    together of texts, `{"$eq": "ann"}` in a document database that is handed the body as it came (CWE-943).
    """
    auth = logins.settings_of(ctx)
    account, login = auth.accounts[0], logins.login_of(auth)
    word = account.password.reveal()
    template = login.body if login.body is not None else logins.DEFAULT_BODY
    if "{username}" not in str(template):
        return
    yield "a name that goes on in SQL", foreign_login(ctx) or refused_login.attempt(ctx, sql_name(ctx), word)
    if login.encoding == "json":
        asked: Login = replace(login, body=_with_operator(template))
        yield "a query's operator for a name", refused_login.attempt(ctx, account.username, word, login=asked)


def names_count(ctx: Context) -> bool:
    """The control of what was let in: a name that nobody has is refused with the same password; some only look at that."""
    word = logins.settings_of(ctx).accounts[0].password.reveal()
    return refused_login.let_in(ctx, refused_login.attempt(ctx, refused_login.stranger(ctx, "n"), word)) is None


def _with_operator(template: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"$eq": value}
        if value == "{username}"
        else _with_operator(value)
        if isinstance(value, Mapping)
        else value
        for name, value in template.items()
    }


def injected_ids(made: str) -> tuple[str, str]:
    """An object's id, gone on in SQL so that what a query asks besides it is passed by; it names no other object."""
    if made.isdigit():
        return f"{made} OR 1=2", f"0 OR id={made} -- "
    return f"{made}' OR '1'='2", f"0' OR id='{made}' -- "
