"""Password hashes: bcrypt at cost 12, through passlib's API (OWASP ASVS 5.0, 11.4.2)."""

from __future__ import annotations

from functools import cache

from passlib.context import CryptContext
from passlib.exc import PasswordSizeError, PasswordValueError

from service import faults

ROUNDS = 12
MAXIMUM_BYTES = 72
"""bcrypt reads no further; a longer password is refused rather than cut."""

_weak = ["md5_crypt"] if faults.on("password-md5") else ["plaintext"] if faults.on("password-plaintext") else []
_context = CryptContext(
    schemes=[*_weak, "bcrypt"],
    bcrypt__rounds=4 if faults.on("password-weak-rounds") else ROUNDS,
)


def hash_password(password: str) -> str:
    """A new hash.

    Raises:
        ValueError: The password is longer than bcrypt reads.
    """
    if len(password.encode()) > MAXIMUM_BYTES:
        raise ValueError(f"a password may be at most {MAXIMUM_BYTES} bytes long")
    return str(_context.hash(password))


@cache
def _nobodys_hash() -> str:
    return str(_context.hash("nobody's password"))


def verify_password(password: str, stored: str | None) -> bool:
    """Whether the password is right. Takes the same time where there is no such user (`stored` None)."""
    if stored is None and faults.on("enumeration-timing"):
        return False
    readable = len(password.encode()) <= MAXIMUM_BYTES and "\0" not in password
    try:
        right = _context.verify(password if readable else "", stored or _nobodys_hash())
    except (PasswordSizeError, PasswordValueError):
        return False
    return right and readable and stored is not None


def prepare() -> None:
    """Make the hash for unknown users now: the first such login must not take twice as long as others."""
    _nobodys_hash()
