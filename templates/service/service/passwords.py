"""Password hashes: bcrypt at cost 12, through passlib's API (OWASP ASVS 5.0, 11.4.2)."""

from __future__ import annotations

from passlib.context import CryptContext
from passlib.exc import PasswordSizeError, PasswordValueError

from service import faults

ROUNDS = 12
MAXIMUM_BYTES = 72
"""bcrypt reads no further; a longer password is refused rather than cut."""
NOBODYS_HASH = "$2b$12$kqXjMk605L55PBXZN8Nj7.i9N9ttx1X0GVty8l86ArPCFPf3h8l/a"
"""Verified where there is no such user, so that it takes as long; at the cost of `ROUNDS`."""

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


def verify_password(password: str, stored: str | None) -> bool:
    """Whether the password is right. Takes the same time where there is no such user (`stored` None)."""
    if stored is None and faults.on("enumeration-timing"):
        return False
    readable = len(password.encode()) <= MAXIMUM_BYTES and "\0" not in password
    try:
        right = _context.verify(password if readable else "", stored or NOBODYS_HASH)
    except (PasswordSizeError, PasswordValueError):
        return False
    return right and readable and stored is not None
