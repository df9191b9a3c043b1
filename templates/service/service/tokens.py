"""Access and refresh tokens: JWT, HS256, two keys (RFC 7519, RFC 8725)."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any, Literal

import jwt

from service import careless, faults
from service.settings import Settings

Kind = Literal["access", "refresh"]
REQUIRED_CLAIMS = ("iss", "aud", "sub", "tid", "jti", "fam", "typ", "iat", "nbf", "exp")


class InvalidToken(ValueError):  # noqa: N818 - said to a client as 401, not a failure of ours
    """The token is not accepted. Why is not told."""


@dataclass(frozen=True)
class Claims:
    """What an accepted token says."""

    user_id: uuid.UUID
    tenant_id: uuid.UUID
    jti: str
    family: str
    expires: float


@dataclass(frozen=True)
class Pair:
    """The two tokens of a login."""

    access: str
    refresh: str
    refresh_jti: str
    family: str
    access_seconds: int
    refresh_seconds: int


def _key(settings: Settings, kind: Kind) -> str:
    return settings.access_key if kind == "access" else settings.refresh_key


def issue(settings: Settings, user_id: uuid.UUID, tenant_id: uuid.UUID, family: str | None = None) -> Pair:
    """Make the tokens of a login, or of its next round where `family` is given."""
    family = family or uuid.uuid4().hex
    now = int(time.time())
    access_seconds = 24 * 3600 if faults.on("jwt-access-long-lived") else settings.access_seconds
    refresh_seconds = 90 * 86400 if faults.on("refresh-long-lived") else settings.refresh_seconds

    def token(kind: Kind, jti: str, seconds: int) -> str:
        claims: dict[str, Any] = {
            "iss": settings.issuer,
            "aud": settings.audience,
            "sub": str(user_id),
            "tid": str(tenant_id),
            "jti": jti,
            "fam": family,
            "typ": kind,
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
        }
        return jwt.encode(claims, _key(settings, kind), algorithm=settings.algorithm)

    refresh_jti = uuid.uuid4().hex
    return Pair(
        access=token("access", uuid.uuid4().hex, access_seconds),
        refresh=token("refresh", refresh_jti, refresh_seconds),
        refresh_jti=refresh_jti,
        family=family,
        access_seconds=access_seconds,
        refresh_seconds=refresh_seconds,
    )


def _decode(settings: Settings, token: str, kind: Kind) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        token,
        _key(settings, kind),
        algorithms=[settings.algorithm],  # never the token's own choice (RFC 8725, section 3.1)
        issuer=settings.issuer,
        audience=settings.audience,
        leeway=settings.leeway_seconds,
        options={"require": list(REQUIRED_CLAIMS)},
    )
    if claims["typ"] != kind:
        raise InvalidToken
    return claims


def verify(settings: Settings, token: str, kind: Kind) -> Claims:
    """Check a token.

    Raises:
        InvalidToken: It is not one of ours, not of this kind, or not valid now.
    """
    try:
        decode = careless.decode if faults.ACTIVE else _decode
        claims = decode(settings, token, kind)
        return Claims(
            user_id=uuid.UUID(claims["sub"]),
            tenant_id=uuid.UUID(claims["tid"]),
            jti=str(claims["jti"]),
            family=str(claims["fam"]),
            expires=float(claims.get("exp", time.time() + settings.access_seconds)),
        )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        raise InvalidToken from None
