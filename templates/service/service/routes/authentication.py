"""Log in, refresh, log out."""

from __future__ import annotations

import uuid

from fastapi import APIRouter, HTTPException, Request, Response

from service import faults, passwords, redis_store, tokens
from service.accounts import Reader, find_user, unauthorized
from service.database import transaction
from service.models import User
from service.schemas import Credentials, RefreshRequest, TokenPair
from service.settings import current

router = APIRouter(prefix="/auth", tags=["auth"])
COOKIE = "__Host-refresh_token"
"""The prefix makes browsers insist on Secure, Path=/ and no Domain."""


def _answer(pair: tokens.Pair, response: Response) -> TokenPair:
    response.set_cookie(
        COOKIE,
        pair.refresh,
        max_age=pair.refresh_seconds,
        path="/",
        secure=not faults.on("cookie-not-secure"),
        httponly=not faults.on("cookie-not-httponly"),
        samesite=None if faults.on("cookie-no-samesite") else "strict",
    )
    return TokenPair(access_token=pair.access, refresh_token=pair.refresh, expires_in=pair.access_seconds)


@router.post("/login")
def login(body: Credentials, response: Response) -> TokenPair:
    """Exchange e-mail and password for tokens. An unknown user and a wrong password look and last the same."""
    with transaction() as session:
        user = find_user(session, User.email == body.email.lower())  # stored in lower case
    if user is None and faults.on("enumeration-status"):
        raise HTTPException(404, "wrong e-mail or password")
    right = passwords.verify_password(body.password, user.password_hash if user else None)
    if user is None or not right:
        told = "no such user" if user is None and faults.on("enumeration-message") else "wrong e-mail or password"
        raise HTTPException(401, told, {"WWW-Authenticate": "Bearer"})
    pair = tokens.issue(current(), user.id, user.tenant_id)
    redis_store.start_family(pair.family, pair.refresh_jti)
    return _answer(pair, response)


@router.post("/refresh")
def refresh(request: Request, response: Response, body: RefreshRequest | None = None) -> TokenPair:
    """Exchange a refresh token, which is then used up, for a new pair. Used a second time, it ends the login."""
    token = (body.refresh_token if body else None) or request.cookies.get(COOKIE)
    if not token:
        raise unauthorized()
    try:
        claims = tokens.verify(current(), token, "refresh")
    except tokens.InvalidToken:
        raise unauthorized() from None
    pair = tokens.issue(current(), claims.user_id, claims.tenant_id, claims.family)
    crossed = faults.on("jwt-access-as-refresh")
    if not redis_store.rotate(claims.family, claims.jti, pair.refresh_jti) and not crossed:
        raise unauthorized()
    with transaction() as session:
        user = find_user(session, User.id == claims.user_id, User.tenant_id == claims.tenant_id)
    if user is None:
        redis_store.end_family(claims.family)
        raise unauthorized()
    return _answer(pair, response)


@router.post("/logout", status_code=204)
def logout(caller: Reader, response: Response) -> None:
    """Revoke the access token and end the login that it came from."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    if caller.claims is None or faults.on("logout-noop"):
        return
    redis_store.revoke_token(caller.claims.jti, caller.claims.expires)
    if not faults.on("logout-keeps-refresh"):
        redis_store.end_family(caller.claims.family)


@router.get("/me")
def me(caller: Reader) -> dict[str, uuid.UUID | str]:
    """Who the token says one is."""
    return {"id": caller.user_id, "tenant_id": caller.tenant_id, "role": caller.role}
