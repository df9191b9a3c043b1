"""What a variable's name tells: whether it holds a secret, and of which kind."""

from __future__ import annotations

import re

PREVIOUS = "_PREVIOUS"
"""Behind a name: the value before the last rotation, for applications that accept two for a while."""

_SECRET = re.compile(
    r"(?:^|_)(?:SECRET|SECRETS|PASSWORD|PASSWD|PWD|PASS|PASSPHRASE|TOKEN|KEY|APIKEY|SALT|PEPPER|CREDENTIALS?|PAT)"
    r"(?:_(?:BASE|BASE64|B64|HEX|PREVIOUS|OLD|NEW|CURRENT|NEXT|PRIMARY|SECONDARY|DEV|TEST|STAGING|PROD|PRODUCTION|V?\d+))*$"
    r"|(?:SECRETKEY|APIKEY|PASSWORD|AUTHTOKEN|ACCESSTOKEN)$"
)
_NOT_SECRET = re.compile(
    r"(?:^|_)(?:PUBLIC|PUBLISHABLE|ANON|SITE|PRIMARY|FOREIGN|PARTITION|SORT|CACHE|ROUTING|SHARD|IDEMPOTENCY|PRESS"
    r"|HOT|LOOKUP|GROUP|OBJECT|MAX|MIN|REQUIRE|REQUIRED|ALLOW|ENABLE|VAPID_PUBLIC)_(?:KEY|TOKEN|PASSWORD|SALT)$"
)
_PASSWORD = re.compile(r"PASS|PWD")
_ENCRYPTION = re.compile(r"ENCRYPT|FERNET|CIPHER|MASTER_KEY|DATA_KEY")


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret: `API_KEY` does, `TOKEN_EXPIRE_MINUTES` and `PUBLIC_KEY` do not."""
    plain = re.sub(r"[^A-Z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper())
    return bool(_SECRET.search(plain)) and not _NOT_SECRET.search(plain)


def is_password(name: str) -> bool:
    """Whether another server holds the same value (a database's password), so that two cannot be valid at once."""
    return bool(_PASSWORD.search(name.upper()))


def is_encryption_key(name: str) -> bool:
    """Whether the value is decoded into the bytes of a key, as Fernet and AES libraries do."""
    return bool(_ENCRYPTION.search(name.upper()))


def without_previous(name: str) -> str | None:
    """The name that a `…_PREVIOUS` belongs to; None for other names."""
    return name.removesuffix(PREVIOUS) if name.endswith(PREVIOUS) and name != PREVIOUS else None
