"""The public keys of a service: configured, published, and the one of its TLS certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from maestro_cli.errors import MaestroError
from maestro_cli.observe.login import settings_of

if TYPE_CHECKING:
    from maestro_cli.observe.context import Context

PublicKey = bytes | Mapping[str, Any]
WELL_KNOWN = "/.well-known/jwks.json"
DISCOVERY = "/.well-known/openid-configuration"
KEY_REQUESTS = 6
MAXIMUM_KEYS = 4


def public_keys(ctx: Context, *, with_certificate: bool = False) -> list[tuple[str, PublicKey]]:
    """Each with the place that it was found at: a PEM, or a JSON Web Key. At most MAXIMUM_KEYS, configured ones first.

    Args:
        ctx: The run.
        with_certificate: Also the key of the TLS certificate: services have been seen to use the same.

    Raises:
        MaestroError: When a configured key cannot be read.
    """
    found = ctx.shared("public-keys", lambda: _signing_keys(ctx))
    if with_certificate and urlsplit(ctx.http.base).scheme == "https":
        found = [*found, *ctx.shared("certificate-key", lambda: _certificate(ctx))]
    return found[:MAXIMUM_KEYS]


def _signing_keys(ctx: Context) -> list[tuple[str, PublicKey]]:
    auth = settings_of(ctx)
    found: list[tuple[str, PublicKey]] = []
    if auth.public_key_file is not None:
        try:
            found.append((auth.public_key_file, ctx.path(auth.public_key_file).read_bytes()[:100_000]))
        except OSError as error:
            raise MaestroError(f"api.auth.public_key_file cannot be read: {error.strerror}") from None
    if auth.jwks_url is not None:
        keys = _keys_in(_fetch(ctx, auth.jwks_url), "api.auth.jwks_url")
        if (
            not keys and auth.jwks_url.startswith("/") and ctx.http.prefix
        ):  # keys often stand beside the API, not under it
            keys = _keys_in(ctx.http.get(auth.jwks_url, from_root=True).json(), "api.auth.jwks_url")
        if not keys:
            raise MaestroError("api.auth.jwks_url answers with no key set")
        found += keys
    elif not found and not auth.algorithm.startswith("HS"):
        found += _published(ctx)
    return [(place, key) for place, key in found if isinstance(key, bytes) or key.get("kty") in ("RSA", "EC", "OKP")]


def _published(ctx: Context) -> list[tuple[str, PublicKey]]:
    """Where services publish their keys: at the well-known place, or where their discovery document says (on this host)."""
    for root in (False, True) if ctx.http.prefix else (False,):
        for path in (WELL_KNOWN, "/jwks.json"):
            keys = _keys_in(ctx.http.get(path, from_root=root).json(), path)
            if keys:
                return keys
        document = ctx.http.get(DISCOVERY, from_root=root).json()
        named = document.get("jwks_uri") if isinstance(document, dict) else None
        parts = urlsplit(named if isinstance(named, str) else "")
        if parts.path.startswith("/") and parts.netloc in ("", urlsplit(ctx.http.base).netloc):
            keys = _keys_in(ctx.http.get(parts.path, from_root=True).json(), parts.path)
            if keys:
                return keys
    return []


def _fetch(ctx: Context, url: str) -> Any:
    """The key set; a path stands for one under api.url, and an address elsewhere is fetched only because it is configured."""
    from maestro_cli.observe.http import Http

    if url.startswith("/"):
        return ctx.http.get(url).json()
    parts = urlsplit(url)
    client = Http(f"{parts.scheme}://{parts.netloc}", ctx.http.ca_file, ctx.nonce)
    try:
        return client.get((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), source=None).json()
    finally:
        client.close()


def _keys_in(document: Any, place: str) -> list[tuple[str, PublicKey]]:
    rows = document.get("keys") if isinstance(document, dict) else None
    return [(place, row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _certificate(ctx: Context) -> list[tuple[str, PublicKey]]:
    from maestro_cli.observe.tls import certificate_pem

    return [("the TLS certificate", certificate_pem(ctx))]


def size_of(key: PublicKey) -> str:
    """`RSA 2048 bits`, `EC 256 bits`, `Ed25519`."""
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from maestro_cli.observe.tokens import spellings_of_public_key

    try:
        public: Any = load_pem_public_key(spellings_of_public_key(key)[0])
    except ValueError as error:
        raise MaestroError(f"a public key cannot be read: {error}") from None
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "Ed25519"
    kind = "RSA" if isinstance(public, rsa.RSAPublicKey) else "EC"
    return f"{kind} {public.key_size} bits"
