"""Who is asking: the caller behind an access token, and what a role may do."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from service import careless, faults, redis_store, tokens
from service.database import transaction
from service.models import Tenant, User
from service.settings import current

ROLES = ("viewer", "member", "admin")
"""Each may do what those before it may: viewers read, members write, administrators delete."""


@dataclass(frozen=True)
class Caller:
    """An active user of an active tenant, with a valid access token."""

    user_id: uuid.UUID
    tenant_id: uuid.UUID
    role: str
    claims: tokens.Claims | None = None


def unauthorized() -> HTTPException:
    """401, with nothing said about why."""
    return HTTPException(401, "authentication required", {"WWW-Authenticate": "Bearer"})


def bearer_token(request: Request) -> str:
    """The token of the Authorization header (RFC 6750, section 2.1)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized()
    return token.strip()


def find_user(session: Session, *condition: object) -> User | None:
    """The active user of an active tenant that meets the condition."""
    query = select(User).where(*condition)  # type: ignore[arg-type]  # column expressions are typed as bool
    if not faults.on("inactive-accepted"):
        query = query.join(Tenant, Tenant.id == User.tenant_id).where(User.is_active, Tenant.is_active)
    return session.scalars(query.order_by(User.created_at).limit(1)).one_or_none()


def current_caller(request: Request) -> Caller:
    """The caller; 401 where there is none."""
    writes = request.method in {"PATCH", "DELETE"}
    anyone = faults.on("anonymous-accepted") or (writes and faults.on("anonymous-writes"))
    if anyone and "authorization" not in request.headers:
        with transaction() as session:
            user = find_user(session, User.is_active)
    else:
        try:
            claims = tokens.verify(current(), bearer_token(request), "access")
        except tokens.InvalidToken:
            raise unauthorized() from None
        forgotten = writes and faults.on("logout-forgotten-by-writes")
        if redis_store.is_revoked(claims.jti, claims.family) and not forgotten:
            raise unauthorized()
        with transaction() as session:
            user = find_user(session, User.id == claims.user_id, User.tenant_id == claims.tenant_id)
        if user is not None:
            request.state.caller = user.id  # for the log
            return Caller(user.id, user.tenant_id, user.role, claims)
    if user is None:
        raise unauthorized()
    return Caller(user.id, user.tenant_id, user.role)


def at_least(role: str) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency: the caller has this role or a higher one; 403 otherwise."""
    allowed = ROLES[ROLES.index(role) :]

    async def check(caller: Annotated[Caller, Depends(current_caller)]) -> Caller:
        if caller.role not in allowed and not faults.on("rbac-off"):
            raise HTTPException(403, f"this needs the role {role}")
        return caller

    return check


async def acting_tenant(request: Request, caller: Annotated[Caller, Depends(current_caller)]) -> uuid.UUID:
    """Whose data the request works on: the token's tenant. What the request itself says about tenants is not believed."""
    if faults.ACTIVE and (claimed := await careless.claimed_tenant(request)):
        return claimed
    return caller.tenant_id


Reader = Annotated[Caller, Depends(at_least("viewer"))]
Writer = Annotated[Caller, Depends(at_least("member"))]
Administrator = Annotated[Caller, Depends(at_least("admin"))]
ActingTenant = Annotated[uuid.UUID, Depends(acting_tenant)]
