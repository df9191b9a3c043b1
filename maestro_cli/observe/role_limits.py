"""An account of few rights, and the requests that it must be refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
DISGUISED = ("PUT", "PATCH", "DELETE")
"""Methods that forms cannot send, so that frameworks take them from a POST's query or header."""


@dataclass(frozen=True)
class Trial:
    """One forbidden request, as the account of few rights and as the first account: the control.

    Attributes:
        request: Method and path.
        limited: What the account of few rights is answered.
        control: What the first account is answered.
        disguised: What the account of few rights is answered to a POST that says to be this method; None where that was
            not tried.
        slipped: Whether that POST did it, as the first account sees.
    """

    request: str
    limited: Answer
    control: Answer
    disguised: Answer | None = None
    slipped: bool = False

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
    method = (endpoint.method or "GET").upper()
    name = f"{method} {endpoint.path}"
    disguised, slipped = None, False
    if method in DISGUISED and 400 <= limited_answer.status < 500 and "{id}" in endpoint.path:
        disguised, slipped = _disguised(ctx, endpoint, {**values, "nonce": f"{ctx.nonce}{suffix}d"}, limited)
    gone = 200 <= limited_answer.status < 300 and method == "DELETE"
    if gone or (disguised is not None and slipped):
        return Trial(name, limited_answer, disguised or limited_answer, disguised, slipped)
    # Under a name of its own: what the account of few rights has made may be refused as there already.
    again = {**values, "nonce": f"{ctx.nonce}{suffix}c"}
    return Trial(name, limited_answer, _send(ctx, endpoint, again, first, first), disguised, slipped)


def _disguised(ctx: Context, endpoint: Endpoint, values: dict[str, str], limited: Session) -> tuple[Answer, bool]:
    """The same as a POST that says to be that method: some routers believe it, and a guard may have looked at the POST.

    Done it is where the first account finds the object no more, or the text that was written in it.
    """
    first, method = sessions.for_account(ctx, 0), (endpoint.method or "").upper()
    before = tenant_objects.get(ctx, first, values["id"])
    said = {**limited.headers, "X-HTTP-Method-Override": method, "X-HTTP-Method": method}
    answer = send(ctx, replace(endpoint, method="POST"), values, headers=said, query=f"_method={method}")
    after = tenant_objects.get(ctx, first, values["id"])
    if not 200 <= before.status < 300:
        return answer, False
    if method == "DELETE":
        return answer, after.status in (404, 410)
    text = values["nonce"].encode()
    return answer, 200 <= after.status < 300 and text in after.body and text not in before.body


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
