"""One login that two questions are asked of: may another site's page read the refusal, and is its name taken for SQL?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maestro_cli.observe import login as logins
from maestro_cli.observe import refused_login

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.http import Answer

FOREIGN = "https://maestro-probe.invalid"
"""An origin that no list can mean: `.invalid` belongs to nobody (RFC 2606)."""


def sql_name(ctx: Context) -> str:
    """Another name for the first account in SQL that is put together of texts (CWE-89); nobody has it otherwise."""
    return f"{logins.settings_of(ctx).accounts[0].username}' AND '1'='1"


def foreign_login(ctx: Context) -> Answer | None:
    """The answer to the right password under that name, from that origin; asked for once per run, as a password hash is dear.

    None where it is answered otherwise than a wrong password is: it is let in, or refused for its name or its origin alone
    (by a firewall, a guard against forged requests), and each question has to be asked by itself.
    """
    return ctx.shared("foreign-login", lambda: _foreign_login(ctx))


def _foreign_login(ctx: Context) -> Answer | None:
    word = logins.settings_of(ctx).accounts[0].password.reveal()
    answer = refused_login.attempt(ctx, sql_name(ctx), word, headers={"Origin": FOREIGN})
    return answer if answer.status == refused_login.wrong_password(ctx).status else None
