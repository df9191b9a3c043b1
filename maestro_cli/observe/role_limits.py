"""An account of few rights, and the requests that it must be refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from maestro_cli.observe import session as sessions
from maestro_cli.observe import tenant_objects
from maestro_cli.observe.endpoint import dig, send
from maestro_cli.observe.errors import ControlFailed
from maestro_cli.observe.session import Session
from maestro_cli.observe.tenant_names import in_request

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Account, Endpoint, Roles
    from maestro_cli.observe.context import Context
    from maestro_cli.observe.http import Answer

MAXIMUM = 5
"""Requests of api.roles.forbidden that are tried; each costs an object."""


@dataclass(frozen=True)
class Trial:
    """One forbidden request, as the account of few rights and as the first account: the control."""

    request: str
    limited: Answer
    control: Answer

    @property
    def proved(self) -> bool:
        """Whether it works for the first account; where it does not, nothing is told about rights."""
        return 200 <= self.control.status < 400


def roles_of(ctx: Context) -> Roles:
    """api.roles, with a password and something forbidden.

    Raises:
        NotConfigured: Where one is missing.
    """
    api = ctx.require(ctx.settings.api, "api")
    roles = ctx.require(api.roles, "api.roles")
    ctx.require(roles.account.password.reveal() or None, "the password of api.roles.account")
    ctx.require(roles.forbidden, "api.roles.forbidden")
    return roles


def logged_in(ctx: Context, account: Account, key: str) -> Session:
    """A session of an account that is not one of the two; it is logged out when the run ends.

    Raises:
        ControlFailed: When its login is refused.
    """
    session, answer = sessions.enter(ctx, account)
    if session is None:
        raise ControlFailed(
            f"the login of {account.username} is answered {answer.status}", hint=f"Compare {key} with the service."
        )
    return session


def try_forbidden(ctx: Context, endpoint: Endpoint, limited: Session, number: int) -> Trial:
    """Send one forbidden request as both, the account of few rights first."""
    first = sessions.for_account(ctx, 0)
    suffix = f"f{number}"
    values = {"nonce": ctx.nonce + suffix, "id": "", **in_request(ctx, endpoint, first)}
    if "{id}" in endpoint.path or "{id}" in str(endpoint.body):
        values["id"] = tenant_objects.make(ctx, first, suffix).id
    limited_answer = _send(ctx, endpoint, values, limited, first)
    gone = 200 <= limited_answer.status < 300 and (endpoint.method or "GET").upper() == "DELETE"
    # Under a name of its own: what the account of few rights has made may be refused as there already.
    again = {**values, "nonce": f"{ctx.nonce}{suffix}c"}
    control = limited_answer if gone else _send(ctx, endpoint, again, first, first)
    return Trial(f"{(endpoint.method or 'GET').upper()} {endpoint.path}", limited_answer, control)


def _send(ctx: Context, endpoint: Endpoint, values: dict[str, str], actor: Session, first: Session) -> Answer:
    answer = send(ctx, endpoint, values, headers=actor.headers)
    api = ctx.require(ctx.settings.api, "api")
    isolation = api.isolation
    if isolation is None or endpoint.path != isolation.create.path or not 200 <= answer.status < 300:
        return answer
    made = dig(answer.json(), isolation.create.id)
    if isinstance(made, str | int):
        ctx.cleanup.add(f"object {made} made at {endpoint.path}", lambda: _remove(ctx, first, str(made)))
    return answer


def _remove(ctx: Context, first: Session, made: str) -> None:
    answer = tenant_objects.delete(ctx, first, made, of=first)
    if answer.status >= 400 and answer.status not in (404, 410):
        raise ControlFailed(f"its deletion is answered {answer.status}")
