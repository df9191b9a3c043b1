"""What careless services do, so that it can be shown that `maestro` notices. Used only while a fault is planted."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import urllib.request
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import jwt
from fastapi import FastAPI, Request
from sqlalchemy import select
from starlette.responses import PlainTextResponse

from service import faults
from service.database import Row, TenantScope
from service.models import Tenant
from service.settings import Settings

CLAIMS_ANYHOW: dict[str, Any] = {
    f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
}


def decode(settings: Settings, token: str, kind: str) -> dict[str, Any]:
    """The claims of a token, with the checks that the planted faults leave."""
    if not _signature_accepted(settings, token, kind):
        raise jwt.InvalidSignatureError
    crossed = faults.on("jwt-refresh-as-access") if kind == "access" else faults.on("jwt-access-as-refresh")
    required = ["iss", "aud", "sub", "tid", "jti", "fam", "typ", "iat", "nbf", "exp"]
    for claim, optional in (
        ("exp", faults.on("jwt-exp-optional")),
        ("aud", faults.on("jwt-audience-optional") or faults.on("jwt-audience-ignored")),
        ("iss", faults.on("jwt-issuer-optional") or faults.on("jwt-issuer-ignored")),
    ):
        if optional:
            required.remove(claim)
    anyhow: dict[str, Any] = jwt.decode(token, options=cast("Any", {"verify_signature": False} | CLAIMS_ANYHOW))
    any_audience = faults.on("jwt-audience-ignored") or (faults.on("jwt-audience-optional") and "aud" not in anyhow)
    any_issuer = faults.on("jwt-issuer-ignored") or (faults.on("jwt-issuer-optional") and "iss" not in anyhow)
    claims: dict[str, Any] = jwt.decode(
        token,
        issuer=None if any_issuer else settings.issuer,
        audience=None if any_audience else settings.audience,
        leeway=300 if faults.on("jwt-skew-large") else settings.leeway_seconds,
        options={
            "verify_signature": False,
            "verify_exp": not faults.on("jwt-expired-accepted"),
            "verify_nbf": not faults.on("jwt-nbf-ignored"),
            "verify_iat": True,
            "verify_aud": not any_audience,
            "verify_iss": not any_issuer,
            "require": required,
        },
    )
    if claims["typ"] != kind and not crossed:
        raise jwt.InvalidTokenError
    return claims


def _signature_accepted(settings: Settings, token: str, kind: str) -> bool:
    header = jwt.get_unverified_header(token)
    keys = [settings.access_key if kind == "access" else settings.refresh_key]
    if faults.on("jwt-refresh-as-access") or faults.on("jwt-access-as-refresh"):
        keys = [settings.access_key, settings.refresh_key]
    return (
        faults.on("jwt-signature-unchecked")
        or (faults.on("jwt-alg-none") and str(header.get("alg")).lower() == "none")
        or (faults.on("jwt-signature-optional") and token.endswith("."))
        or any(_signed(token, key, "HS256") for key in keys)
        or (faults.on("jwt-jwk-trusted") and _signed_by_jwk(token, header, header.get("jwk")))
        or (faults.on("jwt-jku-trusted") and _signed_by_jku(token, header))
        or (faults.on("jwt-kid-path") and _signed_by_file(token, header))
    )


def _signed(token: str, key: Any, algorithm: str) -> bool:
    try:
        jwt.decode(token, key, algorithms=[algorithm], options=cast("Any", CLAIMS_ANYHOW))
    except (jwt.PyJWTError, TypeError, ValueError):
        return False
    return True


def _signed_by_jwk(token: str, header: dict[str, Any], key: Any) -> bool:
    return isinstance(key, dict) and _signed(token, jwt.PyJWK.from_dict(key, header["alg"]).key, header["alg"])


def _signed_by_jku(token: str, header: dict[str, Any]) -> bool:
    if not str(header.get("jku", "")).startswith(("http://", "https://")):
        return False
    try:
        with urllib.request.urlopen(header["jku"], timeout=2) as answer:  # noqa: S310 - the very fault
            keys = json.loads(answer.read(100_000))["keys"]
    except (OSError, ValueError, KeyError):
        return False
    return any(_signed_by_jwk(token, header, key) for key in keys)


def _signed_by_file(token: str, header: dict[str, Any]) -> bool:
    try:
        key = (Path("service") / str(header["kid"])).read_bytes()
    except (OSError, KeyError, ValueError):
        return False
    signed, _, signature = token.rpartition(".")
    expected = base64.urlsafe_b64encode(hmac.digest(key, signed.encode(), hashlib.sha256)).rstrip(b"=")
    return hmac.compare_digest(expected, signature.encode())


async def claimed_tenant(request: Request) -> uuid.UUID | None:
    """The tenant that the request claims to be of, where a planted fault believes it."""
    claim: Any = None
    if faults.on("tenant-header-believed"):
        claim = request.headers.get("x-tenant-id")
    if faults.on("tenant-query-believed"):
        claim = request.query_params.get("tenant_id")
    if faults.on("tenant-cookie-believed"):
        claim = request.cookies.get("tenant_id")
    if faults.on("tenant-body-believed") and (await request.body()).startswith(b"{"):
        claim = (await request.json()).get("tenant_id")
    try:
        return uuid.UUID(str(claim))
    except ValueError:
        return None


def enter_owner(scope: TenantScope, model: type[Row], row_id: uuid.UUID) -> None:
    """Change to the tenant that the row belongs to."""
    for tenant_id in scope.session.scalars(select(Tenant.id)).all():
        scope.enter(tenant_id)
        if scope.session.get(model, row_id) is not None:
            return


def everybodys(scope: TenantScope, model: type[Row]) -> list[Row]:
    """The newest rows of all tenants."""
    rows: list[Row] = []
    for tenant_id in scope.session.scalars(select(Tenant.id)).all():
        scope.enter(tenant_id)
        rows += scope.page(model, before=None, limit=100)
    return rows


def forwarded_client(headers: dict[bytes, bytes]) -> str | None:
    """The client that the request claims to come from, where a planted fault believes it."""
    for fault, header in (
        ("rate-limit-forwarded-for", b"x-forwarded-for"),
        ("rate-limit-real-ip", b"x-real-ip"),
        ("rate-limit-forwarded", b"forwarded"),
    ):
        if faults.on(fault) and header in headers:
            return headers[header].decode("latin-1")
    return None


def origin_allowed(origin: str, allowed: list[str]) -> bool:
    """Whether a planted fault lets this origin in."""
    names = [name.removeprefix("https://") for name in allowed]
    return (
        faults.on("cors-any-origin")
        or faults.on("cors-wildcard")
        or (faults.on("cors-null-origin") and origin == "null")
        or (faults.on("cors-prefix-match") and origin.startswith(tuple(allowed)))
        or (faults.on("cors-suffix-match") and origin.endswith(tuple(names)))
        or (faults.on("cors-http-twin") and origin in {f"http://{name}" for name in names})
    )


def expose(app: FastAPI) -> None:
    """Serve files that a deployment by `git clone` would leave lying about."""
    files = {
        "git-exposed": ("/.git/HEAD", "ref: refs/heads/main\n"),
        "env-exposed": ("/.env", "ENVIRONMENT=production\nJWT_SECRET_KEY=not-the-real-one\n"),
    }
    for fault, (path, text) in files.items():
        if faults.on(fault):
            app.add_api_route(path, _file(text), include_in_schema=False)


def _file(text: str) -> Callable[[], PlainTextResponse]:
    def answer() -> PlainTextResponse:
        return PlainTextResponse(text)

    return answer


_remembered: list[Any] = []


async def remembered(look: Callable[[], Awaitable[Any]]) -> Any:
    """What the first look showed."""
    if not _remembered:
        _remembered.append(await look())
    return _remembered[0]
