"""New random values, from the operating system's generator, in the form that their users expect."""

from __future__ import annotations

import base64
import re
import secrets
import string
from math import ceil, log2

from maestro_cli.secrets.names import is_encryption_key, is_password

_ALPHANUMERIC = string.ascii_letters + string.digits


def new_value(name: str, bits: int, *, like: str = "") -> str:
    """Make a random value of at least `bits` bits.

    Args:
        name: Its variable. Encryption keys are URL-safe base64 with padding, as Fernet takes them; passwords are
            letters and digits, which no shell, URL or YAML file misreads; all others are URL-safe base64.
        bits: Strength, in bits.
        like: The value it replaces: a hexadecimal secret stays hexadecimal.

    Returns:
        The value. The caller never prints it.
    """
    size = ceil(bits / 8)
    if re.fullmatch(r"(?:[0-9a-f]{2}){16,}", like):
        return secrets.token_hex(max(size, 16))
    if is_encryption_key(name):
        return base64.urlsafe_b64encode(secrets.token_bytes(size)).decode()
    if is_password(name):
        return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(ceil(bits / log2(len(_ALPHANUMERIC)))))
    while (value := secrets.token_urlsafe(size)).startswith("-"):
        pass  # a leading hyphen is taken for an option by the first program it is given to
    return value
