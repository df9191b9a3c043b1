"""What a value becomes when it is decoded: a long hexadecimal or base64 text may hide a short word."""

from __future__ import annotations

import base64
import binascii
import codecs
import contextlib
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

_HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2}){6,})\Z")
_SPACED_HEX = re.compile(r"[0-9a-fA-F]{2}(?:[:\s,-][0-9a-fA-F]{2}){5,}\Z")
_ESCAPED_HEX = re.compile(r"(?:\\x[0-9a-fA-F]{2}){4,}\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{10,}={0,2}\Z")
_BASE85 = re.compile(r"[!-~]{15,}")
_BASE32 = re.compile(r"[A-Z2-7]{16,}={0,6}\Z")
_PERCENT = re.compile(r"%[0-9a-fA-F]{2}")
_DECIMAL = re.compile(r"\[?\d{1,3}(?:[\s,]+\d{1,3}){7,}\]?\Z")
_PREFIX = re.compile(r"(?:base64|hex|b64):")


def decodings(value: str) -> Iterator[tuple[str, bytes]]:
    """Every usual way to decode a value that works on it: (name of the encoding, bytes)."""
    value = _PREFIX.sub("", value.strip(), count=1)
    if match := _HEX.match(value):
        yield "hexadecimal", bytes.fromhex(match.group(1))
    elif _SPACED_HEX.match(value) or _ESCAPED_HEX.match(value):
        yield "hexadecimal", bytes.fromhex(re.sub(r"[^0-9a-fA-F]|\\x", "", value))
    elif _BASE32.match(value) and (decoded := _base32(value)) is not None:
        yield "base32", decoded
    elif _DECIMAL.match(value) and all(int(number) < 256 for number in re.findall(r"\d+", value)):
        yield "decimal", bytes(int(number) for number in re.findall(r"\d+", value))
    elif len(_PERCENT.findall(value)) * 6 >= len(value):  # at least half of it
        yield "URL escapes", unquote_to_bytes(value)
    if _BASE64.match(value) and (decoded := _base64(value)) is not None:
        yield "base64", decoded
    elif _BASE85.fullmatch(value):
        yield from _base85(value)


def rot13(value: str) -> str:
    """The letters turned by thirteen places."""
    return codecs.encode(value, "rot13")


def rot47(value: str) -> str:
    """All printable characters turned by 47 places."""
    return "".join(chr(33 + (ord(char) + 14) % 94) if "!" <= char <= "~" else char for char in value)


def as_text(data: bytes) -> str | None:
    """The bytes as text, if a person could have typed all of it."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    text = text.rstrip("\r\n\0")
    return text if text and text.isprintable() else None


def _base64(value: str) -> bytes | None:
    text = value.rstrip("=").translate(str.maketrans("-_", "+/"))
    if len(text) % 4 == 1:
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None


def _base85(value: str) -> Iterator[tuple[str, bytes]]:
    for name, decode in (("base85", base64.b85decode), ("ascii85", base64.a85decode)):
        with contextlib.suppress(ValueError):
            yield name, decode(value.encode())


def _base32(value: str) -> bytes | None:
    text = value.rstrip("=")
    try:
        return base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        return None
