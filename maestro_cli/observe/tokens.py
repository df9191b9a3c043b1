"""JSON Web Tokens, taken apart and forged by hand (RFC 7515, RFC 7518, RFC 7519).

Our own code on purpose: a library's business is to refuse to make the tokens that a probe needs.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from maestro_cli.errors import MaestroError, NotConfigured
from maestro_cli.records import record

if TYPE_CHECKING:
    from datetime import datetime

HASHES = {"256": "sha256", "384": "sha384", "512": "sha512"}
KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES256": "EC", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
"""Algorithm, or the family of it → the key that it signs with, as new_key names it (RFC 7518 §3.1, RFC 8037 §3.1)."""
_CURVES = {"secp256r1": ("P-256", "ES256"), "secp384r1": ("P-384", "ES384"), "secp521r1": ("P-521", "ES512")}


@record(frozen=True)
class Jwt:
    """A token in its parts; `signed` is what the signature is over."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def algorithm(self) -> str:
        """The header's alg."""
        return str(self.header.get("alg", ""))


def encode64(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode64(text: str) -> bytes:
    """The reverse.

    Raises:
        ValueError: For anything else.
    """
    try:
        return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from None


def parse(token: str) -> Jwt | None:
    """A signed token in its parts; None where it is none (an opaque token, an encrypted one)."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims = (json.loads(decode64(part)) for part in parts[:2])
        signature = decode64(parts[2])
    except ValueError:
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict) or "alg" not in header:
        return None
    return Jwt(header, claims, f"{parts[0]}.{parts[1]}".encode(), signature)


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """`header.claims`, still to be signed."""
    return ".".join(encode64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))


def without_key(header: Mapping[str, Any]) -> dict[str, Any]:
    """A header without what says how and with which key it is signed: a typ such as `at+jwt` (RFC 9068) has to stay."""
    return {name: value for name, value in header.items() if name not in ("alg", "kid", "jwk", "jku", "x5c", "x5u")}


def forge(header: Mapping[str, Any], claims: Mapping[str, Any], key: Any) -> str:
    """A token with this header and these claims, signed by the header's alg.

    Args:
        header: With `alg`: HS, RS, PS or ES with 256, 384 or 512; EdDSA.
        claims: The payload.
        key: Bytes for HS; a private key of `cryptography` for the others.
    """
    text = unsigned(header, claims)
    return f"{text}.{encode64(sign(str(header['alg']), text.encode(), key))}"


def sign(algorithm: str, data: bytes, key: Any) -> bytes:
    """The signature (RFC 7518 §3, RFC 8037 §3.1).

    Raises:
        MaestroError: For an algorithm that is none of those.
    """
    family, size = algorithm[:2], algorithm[2:]
    if family == "HS" and size in HASHES:
        import hmac

        return hmac.digest(key, data, HASHES[size])
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    if algorithm == "EdDSA":
        return bytes(key.sign(data))
    if size not in HASHES:
        raise MaestroError(f"JWT algorithm {algorithm[:12]!r} is none that maestro can sign with")
    digests: dict[str, Any] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
    digest = digests[size]()
    if family == "RS":
        return bytes(key.sign(data, padding.PKCS1v15(), digest))
    if family == "PS":
        return bytes(key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest))
    if family == "ES":
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        width = (key.curve.key_size + 7) // 8
        return bytes(r.to_bytes(width, "big") + s.to_bytes(width, "big"))
    raise MaestroError(f"JWT algorithm {algorithm[:12]!r} is none that maestro can sign with")


def signing_key(algorithm: str, secret: str) -> Any:
    """api.auth.secret as a key: the bytes for HS, a PEM private key for the others.

    Raises:
        NotConfigured: When it holds a public key, with which nothing can be signed.
        MaestroError: When it is no key at all.
    """
    if algorithm.startswith("HS"):
        return secret.encode()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = secret.replace("\\n", "\n").encode()
    if b"PUBLIC KEY" in pem:
        raise NotConfigured("api.auth.secret is a public key; forging needs the private one")
    try:
        return load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        raise MaestroError(f"api.auth.secret is not a PEM private key, which {algorithm[:12]} needs") from None


def crack(token: Jwt, candidates: Iterable[str]) -> str | None:
    """The candidate that an HS token is signed with, or None. Offline: nothing is sent."""
    name = HASHES.get(token.algorithm[2:])
    if not token.algorithm.startswith("HS") or name is None:
        return None
    import hmac

    for candidate in candidates:
        if hmac.digest(candidate.encode("utf-8", "surrogateescape"), token.signed, name) == token.signature:
            return candidate
    return None


def public_jwk(key: Any, kid: str) -> dict[str, str]:
    """The public half of an RSA, elliptic-curve or Ed25519 private key as a JSON Web Key (RFC 7517, RFC 8037)."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        x = encode64(public.public_bytes_raw())
        return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"}
    numbers = public.public_numbers()
    if isinstance(public, ec.EllipticCurvePublicKey):
        name, algorithm = _CURVES[public.curve.name]
        width = (public.key_size + 7) // 8
        x, y = (encode64(number.to_bytes(width, "big")) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": name, "x": x, "y": y, "kid": kid, "use": "sig", "alg": algorithm}
    n, e = (encode64(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
    return {"kty": "RSA", "n": n, "e": e, "kid": kid, "use": "sig", "alg": "RS256"}


def spellings_of_public_key(pem_or_jwk: bytes | Mapping[str, Any]) -> list[bytes]:
    """The byte strings that a confused verifier may use a public key as: PEM (SPKI, PKCS #1), with and without newline; DER;
    the 32 bytes of an Ed25519 key; a JSON Web Key as it is published, without the spaces that JSON may have.

    Raises:
        ValueError: For what is no public key.
    """
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    public = _public_from_jwk(pem_or_jwk) if isinstance(pem_or_jwk, Mapping) else _public_from_pem(pem_or_jwk)
    spki = public.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    found = [spki, spki.rstrip(b"\n"), public.public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)]
    if isinstance(pem_or_jwk, bytes):
        found += [pem_or_jwk, pem_or_jwk.rstrip(b"\n")]
    else:
        found.append(json.dumps(pem_or_jwk, separators=(",", ":"), ensure_ascii=False).encode())
    if isinstance(public, rsa.RSAPublicKey):
        found.append(public.public_bytes(form.Encoding.PEM, form.PublicFormat.PKCS1))
    if isinstance(public, ed25519.Ed25519PublicKey):
        found.append(public.public_bytes_raw())
    return list(dict.fromkeys(found))


def _public_from_pem(pem: bytes) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"BEGIN CERTIFICATE" in pem:
        return x509.load_pem_x509_certificate(pem).public_key()
    return load_pem_public_key(pem)


def _public_from_jwk(jwk: Mapping[str, Any]) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        if jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(decode64(str(jwk["x"])))
        if jwk.get("kty") == "RSA":
            n, e = (int.from_bytes(decode64(str(jwk[name])), "big") for name in ("n", "e"))
            return rsa.RSAPublicNumbers(e, n).public_key()
        if jwk.get("kty") == "EC":
            curves: dict[str, Any] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
            curve = curves[str(jwk["crv"])]()
            x, y = (int.from_bytes(decode64(str(jwk[name])), "big") for name in ("x", "y"))
            return ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
    except KeyError as error:
        raise ValueError(f"the key set lacks {error}") from None
    raise ValueError("neither an RSA nor an EC nor an Ed25519 key")


def new_key(kind: str) -> Any:
    """A throw-away private key: `"RSA"` (2048 bit), `"EC"` (P-256), `"P-384"`, `"P-521"` or `"Ed25519"`."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if kind == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves: dict[str, Any] = {"EC": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
    return ec.generate_private_key(curves[kind]())


def key_type(algorithm: str) -> str | None:
    """The kind of key pair that an algorithm signs with, as new_key names it; None for a shared secret."""
    return KEY_TYPES.get(algorithm) or KEY_TYPES.get(algorithm[:2])


def self_signed(key: Any, now: datetime) -> bytes:
    """A certificate (DER) that such a key has signed for itself, good for the hours around `now`."""
    from datetime import timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "maestro-probe")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.DER)


def digest_of(token: str) -> str:
    """SHA-256 of a token in hexadecimal, as many services key their blacklist."""
    import hashlib

    return hashlib.sha256(token.encode()).hexdigest()
