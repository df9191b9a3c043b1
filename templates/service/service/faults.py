"""Safeguards that can be switched off by name, to prove that `maestro` notices.

`MAESTRO_FAULT=name[,name]` is read here and nowhere else, and counts only where MAESTRO_ALLOW_FAULTS=1 is set, too. A team
that copies this service deletes this file, `careless.py` and the lines that mention them; nothing else depends on them.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Mapping

FAULTS: dict[str, str] = {
    # Tokens
    "anonymous-accepted": "A request without a token is served as the first account.",
    "anonymous-writes": "A PATCH or DELETE without a token is served as the first account's.",
    "jwt-alg-none": "An unsigned token (alg none, in any spelling) is accepted.",
    "jwt-signature-unchecked": "The signature of a token is not verified.",
    "jwt-signature-optional": "A token whose signature was stripped is accepted.",
    "jwt-weak-key": "Access tokens are signed with the key `secret`.",
    "jwt-expired-accepted": "An expired token is accepted.",
    "jwt-skew-large": "A token is accepted for five minutes after its end and before its beginning.",
    "jwt-nbf-ignored": "A token is accepted before its nbf.",
    "jwt-exp-optional": "A token without exp is accepted.",
    "jwt-audience-ignored": "A token for another audience is accepted.",
    "jwt-audience-optional": "A token without an audience is accepted.",
    "jwt-issuer-ignored": "A token of another issuer is accepted.",
    "jwt-issuer-optional": "A token without an issuer is accepted.",
    "jwt-access-long-lived": "Access tokens live for 24 hours.",
    "jwt-jwk-trusted": "A key that the token itself carries (header jwk) is trusted.",
    "jwt-jku-trusted": "Keys are fetched from the address that the token names (header jku).",
    "jwt-kid-path": "The header kid is used as a file name to read the key from.",
    "jwt-refresh-as-access": "A refresh token is accepted as an access token.",
    "jwt-access-as-refresh": "An access token is accepted where a refresh token is asked for.",
    "refresh-reusable": "A refresh token can be used again and again.",
    "refresh-family-survives": "The reuse of a refresh token is refused, but its successors stay valid.",
    "refresh-long-lived": "Refresh tokens live for 90 days.",
    "logout-noop": "Logging out revokes nothing.",
    "logout-forgotten-by-writes": "Logging out closes reading; a revoked token still writes.",
    "logout-keeps-refresh": "Logging out revokes the access token but not the refresh token.",
    "blacklist-ttl-short": "A revoked token is forgotten after 30 seconds, long before it ends.",
    "blacklist-ttl-none": "A revoked token is kept for ever: the blacklist grows without bound.",
    # Cross-origin requests
    "cors-any-origin": "Every origin is echoed, with credentials.",
    "cors-wildcard": "Every origin is allowed by `*`, with credentials.",
    "cors-null-origin": "The origin `null` is allowed.",
    "cors-prefix-match": "An origin that begins like an allowed one is allowed.",
    "cors-suffix-match": "An origin that ends like an allowed one is allowed.",
    "cors-http-twin": "The http:// twin of an allowed https:// origin is allowed.",
    "cors-origin-missing": "The first configured origin is not allowed.",
    "cors-preflight-refused": "Every preflight request is refused.",
    # Rate limit
    "rate-limit-off": "There is no rate limit.",
    "rate-limit-high": "The rate limit is ten times as high as configured.",
    "rate-limit-low": "The rate limit refuses requests at half of what is configured.",
    "rate-limit-no-retry-after": "A 429 does not say when to come back.",
    "rate-limit-forwarded-for": "A forged X-Forwarded-For escapes the rate limit.",
    "rate-limit-real-ip": "A forged X-Real-IP escapes the rate limit.",
    "rate-limit-forwarded": "A forged Forwarded escapes the rate limit.",
    # Accounts
    "enumeration-status": "Logging in as an unknown user gives another status than a wrong password.",
    "enumeration-message": "Logging in as an unknown user gives another message than a wrong password.",
    "enumeration-timing": "Logging in as an unknown user is answered sooner than a wrong password.",
    "password-weak-rounds": "New password hashes use 4 rounds of bcrypt.",
    "password-md5": "New password hashes are salted MD5.",
    "password-plaintext": "New passwords are stored as they are.",
    "rbac-off": "Every role may do everything.",
    "inactive-accepted": "Users of a deactivated tenant, and deactivated users, are served.",
    # Headers and cookies
    "header-missing-hsts": "Strict-Transport-Security is missing.",
    "header-short-hsts": "Strict-Transport-Security lasts for five minutes only.",
    "header-missing-nosniff": "X-Content-Type-Options is missing.",
    "header-missing-csp": "Content-Security-Policy is missing.",
    "header-weak-csp": "Content-Security-Policy allows inline and foreign scripts.",
    "header-missing-referrer-policy": "Referrer-Policy is missing.",
    "header-missing-frame-options": "X-Frame-Options and frame-ancestors are missing.",
    "header-missing-cache-control": "Cache-Control is missing.",
    "header-missing-corp": "Cross-Origin-Resource-Policy is missing.",
    "headers-missing-on-401": "Security headers are missing on 401 answers.",
    "headers-missing-on-404": "Security headers are missing on 404 answers.",
    "headers-missing-on-500": "Security headers are missing on 500 answers.",
    "cookie-not-secure": "The cookie of the login lacks Secure.",
    "cookie-not-httponly": "The cookie of the login lacks HttpOnly.",
    "cookie-no-samesite": "The cookie of the login lacks SameSite.",
    # Exposure
    "trace-echo": "TRACE echoes the request, its headers included.",
    "git-exposed": "/.git/HEAD is served.",
    "env-exposed": "/.env is served.",
    "metrics-open": "/metrics is served to everybody.",
    "debug-errors": "Errors are answered with a stack trace.",
    "docs-open": "The interactive documentation and openapi.json are served in production.",
    "server-banner": "The Server header names software and version.",
    "malformed-500": "A malformed body is answered with 500.",
    # Tenants
    "tenant-header-believed": "The header X-Tenant-ID overrides the token's tenant.",
    "tenant-query-believed": "The query parameter tenant_id overrides the token's tenant.",
    "tenant-cookie-believed": "The cookie tenant_id overrides the token's tenant.",
    "tenant-body-believed": "A tenant_id in the body overrides the token's tenant.",
    "tenant-list-leaks": "Lists hold the objects of all tenants.",
    "tenant-read-leaks": "An object of another tenant can be read by its id.",
    "tenant-update-leaks": "An object of another tenant can be changed by its id.",
    "tenant-delete-leaks": "An object of another tenant can be deleted by its id.",
    # Health
    "health-lies": "/health says ok without looking at anything.",
    "health-remembered": "/health looks once and then repeats what it saw.",
    "health-slow": "/health takes 1.5 seconds.",
    "health-500": "/health fails with an internal error.",
    "health-unavailable": "/health says 503 although all is well.",
}
"""Fault → what is then wrong, in one sentence."""

_log = logging.getLogger("service.faults")


def _read(environ: Mapping[str, str]) -> frozenset[str]:
    asked = [name.strip() for name in environ.get("MAESTRO_FAULT", "").split(",") if name.strip()]
    if environ.get("MAESTRO_ALLOW_FAULTS") != "1":
        return frozenset()
    for name in asked:
        if name not in FAULTS:
            near = difflib.get_close_matches(name, FAULTS, n=1)
            raise ValueError(f"unknown fault {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return frozenset(asked)


ACTIVE = _read(os.environ)
_IGNORED = bool(os.environ.get("MAESTRO_FAULT", "").strip()) and not ACTIVE


def announce() -> None:
    """Say loudly what is switched off, or that a wish to do so is ignored."""
    if _IGNORED:
        _log.critical(
            "MAESTRO_FAULT IS SET AND IGNORED: faults are for demonstrations and tests; every safeguard is on"
        )
    if ACTIVE:
        _log.critical("SAFEGUARDS ARE SWITCHED OFF BY MAESTRO_FAULT: %s", ", ".join(sorted(ACTIVE)))


def on(name: str) -> bool:
    """Whether the fault is planted."""
    if name not in FAULTS:
        raise KeyError(name)
    return name in ACTIVE
