"""Where a token is needed: what is set up for one part of an API need not be for another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from maestro_cli.errors import NotConfigured
from maestro_cli.observe import login as logins
from maestro_cli.observe import session as sessions
from maestro_cli.observe.errors import ControlFailed

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context


def closed_place(ctx: Context) -> Iterator[tuple[str, Mapping[str, str]]]:
    """api.auth.protected and the headers that open it; nothing where nobody can log in.

    Raises:
        Unreachable: When no answer comes.
    """
    from maestro_cli.observe.endpoint import fill_path
    from maestro_cli.observe.tenant_names import in_path

    try:
        auth = logins.settings_of(ctx)
        if auth.protected is None:
            return
        session = sessions.for_account(ctx, 0)
        inside = fill_path(auth.protected, in_path(ctx, auth.protected, session))
    except (NotConfigured, ControlFailed):
        return  # other checks say that
    yield inside, session.headers
