"""Private keys: the six types, and their PEM form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from maestro_cli.errors import MaestroError, OutOfReach, UsageError
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384

    PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

KeyType = Literal["rsa-4096", "rsa-3072", "rsa-2048", "ec-p256", "ec-p384", "ed25519"]
KEY_TYPES: tuple[KeyType, ...] = get_args(KeyType)


def key_type(name: str) -> KeyType:
    """Check a key type's name.

    Raises:
        UsageError: There is no such type.
    """
    for known in KEY_TYPES:
        if name == known:
            return known
    raise UsageError(f"No key type {name!r}.", hint=f"Choose one of: {', '.join(KEY_TYPES)}.")


def generate_key(kind: KeyType) -> PrivateKey:
    """Make a private key: RSA with e = 65537, ECDSA on P-256 or P-384, or Ed25519."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    match kind:
        case "ec-p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ec-p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa-")))


def generate_keys(kinds: Sequence[KeyType]) -> list[PrivateKey]:
    """Make several keys at once: an RSA key takes its time, and a second core stands by."""
    if len(kinds) < 2 or not any(kind.startswith("rsa") for kind in kinds):
        return [generate_key(kind) for kind in kinds]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(kinds)) as pool:
        return list(pool.map(generate_key, kinds))


def key_type_of(public_key: CertificatePublicKeyTypes) -> KeyType | None:
    """Which of the six types a public key is; None for any other."""
    name = describe_key(public_key).lower().replace("p-", "p").replace(" ", "-")
    return next((known for known in KEY_TYPES if known == name), None)


def describe_key(public_key: CertificatePublicKeyTypes) -> str:
    """A public key in words: `RSA 4096`, `EC P-256`, `Ed25519`."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public_key, rsa.RSAPublicKey):
        return f"RSA {public_key.key_size}"
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        names = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
        return f"EC {names.get(public_key.curve.name, public_key.curve.name)}"
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    return type(public_key).__name__.lstrip("_").removesuffix("PublicKey")


def signature_hash(key: PrivateKey) -> SHA256 | SHA384 | None:
    """The hash a key signs with: SHA-384 for P-384, none for Ed25519, SHA-256 otherwise."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
        return hashes.SHA384()
    return hashes.SHA256()


def key_to_pem(key: PrivateKey, passphrase: Secret | None = None) -> bytes:
    """PKCS #8 in PEM, encrypted where there is a passphrase (PBES2, AES-256-CBC)."""
    from cryptography.hazmat.primitives import serialization

    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase.reveal().encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def key_from_pem(
    pem: bytes, where: str, *, passphrase: Secret | None = None, ask: Callable[[], Secret | None] | None = None
) -> PrivateKey:
    """Read a private key.

    Args:
        pem: The file's content.
        where: Its path, for messages.
        passphrase: What it is encrypted with, where it is.
        ask: Called for the passphrase when the key turns out to be encrypted and none was given.

    Raises:
        UsageError: Encrypted, and the passphrase is missing or wrong.
        OutOfReach: Not a private key of a type maestro knows.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    encrypted = b"ENCRYPTED" in pem
    if encrypted and passphrase is None and ask is not None:
        passphrase = ask()
    if encrypted and passphrase is None:
        raise UsageError(f"{where} is encrypted.", hint="Name the file with its passphrase: --ca-passphrase-file FILE")
    try:
        secret = passphrase.reveal().encode() if encrypted and passphrase is not None else None
        # The library's own validation of an RSA-4096 key tests its primes, for a quarter of a second; a signature that
        # verifies tells a damaged key as surely.
        key = serialization.load_pem_private_key(pem, secret, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, rsa.RSAPrivateKey):
            _try_out(key)
    except Exception as error:  # noqa: BLE001 - the library's types differ by key; its text could quote key bytes
        raise _unreadable(where, error, encrypted=encrypted) from None
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        raise OutOfReach(f"{where} holds a key that cannot sign certificates.", hint="Use RSA, ECDSA or Ed25519.")
    return key


def _try_out(key: RSAPrivateKey) -> None:
    """Sign and verify; raises what the library raises where the key is damaged."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    signature = key.sign(b"maestro", padding.PKCS1v15(), hashes.SHA256())
    key.public_key().verify(signature, b"maestro", padding.PKCS1v15(), hashes.SHA256())


def _unreadable(where: str, error: Exception, *, encrypted: bool) -> MaestroError:
    if encrypted and isinstance(error, ValueError):
        return UsageError(
            f"The passphrase does not open {where}.", hint="Look into the file given to --ca-passphrase-file."
        )
    return OutOfReach(f"{where} holds no readable private key.", hint="Look at it with: openssl pkey -noout -in FILE")


def public_der(public_key: CertificatePublicKeyTypes) -> bytes:
    """SubjectPublicKeyInfo in DER: equal for equal keys."""
    from cryptography.hazmat.primitives import serialization

    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
