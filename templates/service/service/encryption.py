"""Columns that must be unreadable in a stolen dump: AES-256-GCM under ENCRYPTION_KEY."""

from __future__ import annotations

import base64
import os
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from service.settings import current

PREFIX = "v1."
"""Tells an encrypted value from one that was stored before; a new scheme gets a new prefix."""
NONCE_BYTES = 12


@cache
def _cipher() -> AESGCM:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"service column encryption v1")
    return AESGCM(derived.derive(current().encryption_key.encode()))


def encrypt(text: str) -> str:
    """Encrypted and authenticated, as text."""
    nonce = os.urandom(NONCE_BYTES)
    return PREFIX + base64.urlsafe_b64encode(nonce + _cipher().encrypt(nonce, text.encode(), None)).decode()


def decrypt(stored: str) -> str:
    """What `encrypt` was given.

    Raises:
        cryptography.exceptions.InvalidTag: The value was changed, or ENCRYPTION_KEY is another one.
    """
    raw = base64.urlsafe_b64decode(stored.removeprefix(PREFIX))
    return _cipher().decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None).decode()


class EncryptedText(TypeDecorator[str]):
    """A text column whose values are encrypted on the way in and readable again on the way out."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Encrypt."""
        del dialect
        return None if value is None else encrypt(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        """Decrypt; a value from before the column was encrypted is given as it is."""
        del dialect
        return decrypt(value) if isinstance(value, str) and value.startswith(PREFIX) else value
