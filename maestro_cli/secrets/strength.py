"""Is one secret strong? Rules for a single value, by name, with no file and no clock.

Length alone proves nothing ("your-secret-key" eight times over is long) and neither does Shannon entropy. So a value
must hold enough bits by its alphabet *and* have no short description (`description`), be no placeholder, no published
example, no digest or encoding of a word, no time stamp in disguise. Sources: OWASP ASVS 5.0 section 11.2 (keys from a
cryptographic random source, at least 128 bits), RFC 7518 section 3.2 (an HS256 key has at least 256 bits), NIST SP
800-63B section 3.1.1.2 (values that are commonly used, expected or compromised are refused).

No message holds a value or a part of one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from math import log2

from maestro_cli.secrets.description import Description, alphabet_of, describe, describe_bytes
from maestro_cli.secrets.encodings import as_text, decodings
from maestro_cli.secrets.vocabulary import FUNCTION_WORDS, is_digest_of_word, published, seeded, vocabulary

FLOOR_BITS = 128
"""What a secret must hold where nothing is configured for it: OWASP ASVS 5.0, 11.2.3."""
MARGIN_BITS = 10
"""A random value's description is this much shorter than the value about once in a million times (measured)."""
WORD_BITS = 12.9
"""One word of a random passphrase: log2 of 7776, the size of a diceware list."""

_PLACEHOLDER = re.compile(
    r"""
    (?: change|replace|update|modify|edit|fill )[-_ .]?(?: me|this|it|in|with|before )(?![a-z])
    | changeme | changethis | replaceme | (?<![a-z])(?: your|my )[-_ ](?:\w+[-_ ])*?(?: secret|key|password|token|value|salt )
    | (?<![a-z])your[-_ ] | placeholder | example | do[-_ ]?not[-_ ]?use | not[-_ ]?(?: for|in)[-_ ]?prod
    | django-insecure- | insecure[-_ ] | to[-_ ]?be[-_ ]?(?: changed|modified|replaced|defined|set )
    | (?<![a-z0-9])(?: insert|put|enter|add|set|paste|generate )[-_ ](?: your|the|here|this|me )(?![a-z0-9])
    | openssl[ ]rand | token_(?: hex|urlsafe|bytes )\( | process\.env | os\.environ | getenv\( | randombytes\(
    | \A(?: arn:aws|op://|vault:|ssm:|/(?: run|etc|var|opt|mnt|home|secrets )/)
    | (?<![a-z0-9])(?: todo|fixme|redacted|dummy|sample )(?![a-z0-9]) | here\.\.\. | \.\.\.\Z
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TEMPLATE = re.compile(
    r"<[\w .:-]+>|\$\{[\w.:?-]+\}|\$\w+|\$\([\w ./-]+\)|`[\w ./-]+`|\{\{[\w .|:-]+\}\}|%\w+%|\[[\w .:-]+\]|__\w+__|@@?\w+@@?"
    r"|x{3,}|\*{3,}|\.{3,}|-{3,}|_{3,}|\?{3,}|#{3,}|none|null|nil|undefined|unset|empty|true|false|n/?a|tbd|todo|secret",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,6}|(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|local)"
)
_TIMED_UUID = re.compile(
    r"(?:[0-9a-f]{8}-[0-9a-f]{4}-[1267][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}[_.:-]?)+"
    # without hyphens only where chance would not write it: two of this decade, or one that starts with today's milliseconds
    r"|(?:[0-9a-f]{12}1[ef][0-9a-f]{2}[89ab][0-9a-f]{15}){2,}|(?:01[89a][0-9a-f]{9}7[0-9a-f]{3}[89ab][0-9a-f]{15})+",
    re.IGNORECASE,
)
_NAMED_UUID = re.compile(
    r"(?:[0-9a-f]{8}-[0-9a-f]{4}-[35][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}[_.:-]?)+", re.IGNORECASE
)
_STORED_HASH = re.compile(
    r"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{22,}|\$(?:1|5|6|7|y|gy)\$[./A-Za-z0-9=,$]+\$[./A-Za-z0-9]{22,}"
    r"|\$(?:argon2(?:id|i|d)|pbkdf2[\w-]*|scrypt)\$|pbkdf2_sha\d+\$\d+\$|scrypt:\d+:|\{SSHA\}"
)
_PUBLIC_KEY = re.compile(r"(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-[\w-]+|sk-ssh-[\w@.-]+) AAAA|age1[0-9a-z]{58}\Z")
_CAMEL_CASE = re.compile(r"(?:[A-Z][a-z-]+){4,}")


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that a secret breaks.

    Attributes:
        rule: Its id, stable: `too-short`, `published`, …; see `RULES`.
        message: What is wrong, without the value.
    """

    rule: str
    message: str


RULES = {
    "empty": "The secret has no value.",
    "too-short": "The value cannot hold the bits that are asked for.",
    "placeholder": "The value is a stand-in from a template.",
    "published": "The value stands in public documentation or code.",
    "guessable": "The value is made of words, walks over the keyboard, sequences or repetitions.",
    "encoded-text": "The value is text in hexadecimal, base64 or another encoding.",
    "digest": "The value is the hash of a common word, or a stored password hash.",
    "time-based": "The value is a UUID made of a time and a network address, or of a name.",
    "same-as-name": "The value is its own variable's name.",
    "address": "The value is a URL, a host name or an e-mail address.",
    "public-key": "The value is a public key or a certificate.",
}
"""Rule id → what it means, for the reference page."""


def judge(name: str, value: str, bits: int = FLOOR_BITS, *, words: Collection[str] = ()) -> list[Problem]:
    """Judge one secret.

    Args:
        name: Its variable; a value made of its own name is weak.
        value: The secret.
        bits: The strength it must have, in bits.
        words: Further words an attacker would try here: the service's name, the host's, the project's.

    Returns:
        The rules it breaks, the plainest first; none for a strong secret. Messages never hold the value.
    """
    value = value.strip()
    if not value:
        return [Problem("empty", "has no value")]
    if "-----BEGIN " in value:
        return _judge_pem(value)
    near = _words_near(name, words)
    found = _by_form(name, value) or _by_decoding(value, bits, near) or _by_description(value, bits, near)
    held = size_bits(value)
    if held < bits * 0.99:  # 32 letters and digits, 190.5 bits, pass for 192: they are decoded as 24 bytes
        found = [*found, Problem("too-short", f"holds at most {int(held)} of the {bits} bits asked for")]
    return found


def size_bits(value: str) -> float:
    """The most bits a value of this length and alphabet can hold.

    Letters and digits count six bits each, as base64 decodes them. Hyphens and colons between groups of hexadecimal
    digits or of capitals do not count.
    """
    bare = re.sub(r"[-_:.\s]", "", value)
    size = alphabet_of(bare)
    if size in {10, 16, 26, 32, 36} and len(bare) < len(value):
        value = bare
    else:
        size = alphabet_of(value)
    # Capitals alone, or without 0, 1, 8 and 9, come from letters and digits by chance; the description has its own eye on it.
    padding = len(value) - len(value.rstrip("=")) if size in {32, 64} else 0
    return (len(value) - padding) * log2(36 if size in {26, 32} else size)


def _words_near(name: str, words: Collection[str]) -> tuple[str, ...]:
    parts = re.findall(r"[a-z0-9]{3,}", " ".join((name.replace("_", " "), *words)).lower())
    return tuple(dict.fromkeys((*parts, *map(str.lower, words), name.lower())))


def _judge_pem(value: str) -> list[Problem]:
    if "PRIVATE KEY" not in value:
        return [Problem("public-key", "is a public key or a certificate, which is no secret")]
    return _published(value)


def _by_form(name: str, value: str) -> list[Problem]:
    if found := _published(value):
        return found
    if _TEMPLATE.fullmatch(value) or (_PLACEHOLDER.search(value) and not _is_random_words(value)):
        return [Problem("placeholder", "is a placeholder from a template")]
    plain = re.sub(r"[^a-z0-9]", "", value.lower())
    if plain and plain == re.sub(r"[^a-z0-9]", "", name.lower()):
        return [Problem("same-as-name", "is the name of its own variable")]
    if _ADDRESS.fullmatch(value.lower().removeprefix("base64:")):
        return [Problem("address", "is a URL, a host name or an e-mail address")]
    if _PUBLIC_KEY.match(value):
        return [Problem("public-key", "is a public key, which is no secret")]
    if _STORED_HASH.match(value):
        return [Problem("digest", "is a stored password hash, not a random secret")]
    if _TIMED_UUID.fullmatch(value):
        return [Problem("time-based", "is a UUID made of the time and the network address")]
    if _NAMED_UUID.fullmatch(value):
        return [Problem("time-based", "is a UUID made of a name")]
    return []


def _published(value: str) -> list[Problem]:
    known = published()
    bare = value.removeprefix("base64:").removeprefix("0x")
    for form in dict.fromkeys((value, bare, value.lower())):
        if origin := known.get(_fingerprint(form).hex()):
            return [Problem("published", f"is public: {origin}")]
    if len(bare) >= 16 and _fingerprint(bare[:16]) in seeded():
        return [Problem("published", "comes from a random generator with a usual seed, such as 0 or 42")]
    return []


def _fingerprint(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8]


def _by_decoding(value: str, bits: int, near: tuple[str, ...], depth: int = 0) -> list[Problem]:
    readings = [*decodings(value), *((f"{name}, backwards", data) for name, data in decodings(value[::-1]))]
    for encoding, data in readings:
        if is_digest_of_word(data, near):
            return [Problem("digest", "is the hash of a common word")]
        text = as_text(data) if len(data) >= 6 else None
        if text is None:
            if encoding in _BYTES and len(data) >= 12 and _is_pattern(data, bits):
                return [Problem("guessable", f"is a pattern of bytes in {encoding}")]
            continue
        if not re.fullmatch(r"[\w+/=-]+", text, re.ASCII):
            return [Problem("encoded-text", f"is text in {encoding}")]
        # A random token encoded once more is still random; a word is not.
        inner = _published(text) or (_by_decoding(text, bits, near, depth + 1) if depth < 3 else [])
        if inner or size_bits(text) < bits * 0.99 or _by_description(text, bits, near):
            return [Problem("encoded-text", f"is text in {encoding}")]
    return []


_BYTES = {"hexadecimal", "base64", "base32", "decimal"}


def _is_pattern(data: bytes, bits: int) -> bool:
    return describe_bytes(data) < min(bits, len(data) * 8) - MARGIN_BITS


def _by_description(value: str, bits: int, near: tuple[str, ...]) -> list[Problem]:
    if words := _separated_words(value):
        return _judge_words(words, bits)
    found = describe(value, names=near)
    if words := _joined_words(value, found):
        return _judge_words(words, bits)
    if not value.isascii() and sum(map(str.isalpha, value)) * 2 > len(value):
        return [Problem("guessable", "is made of words")]
    enough = min(bits, size_bits(value)) - MARGIN_BITS
    if found.bits < enough or (found.covered >= 0.5 and found.random_bits < enough):
        return [Problem("guessable", f"is predictable: {found.kind}")]
    return []


def _judge_words(words: list[str], bits: int) -> list[Problem]:
    if _is_sentence(words):
        return [Problem("guessable", "is a sentence, not words drawn at random")]
    # Words about secrets and software are people's choice; a list that words are drawn from holds a few of them too.
    distinct = set(words)
    topical = sum(word in vocabulary().topical for word in distinct)
    held = WORD_BITS * len(distinct) - 8 * max(topical - max(2, len(words) // 6), 0)
    if held >= bits - 2 * WORD_BITS:  # a word may come twice, or be one of ours, by chance
        return []
    return [Problem("guessable", f"is {len(words)} words, which hold at most {int(held)} of the {bits} bits asked for")]


def _is_sentence(words: list[str]) -> bool:
    return sum(word in FUNCTION_WORDS for word in words) * 10 >= 3 * len(words)


def _separated_words(value: str) -> list[str]:
    """The words of a value that is words with one separator between them, or in CamelCase; empty for any other."""
    separator = max(" _.-,:;/+", key=value.count)
    if value.count(separator) >= 3:
        parts = [part for part in value.split(separator) if part]
    elif _CAMEL_CASE.fullmatch(value):
        parts = re.findall(r"[A-Z][a-z-]+", value)
    else:
        return []
    words = [part.lower() for part in parts if re.fullmatch(r"[A-Za-z]{1,14}|[A-Za-z]+-[A-Za-z]+", part)]
    known = vocabulary().ranks
    if len(words) < 4 or sum(map(len, words)) < 0.85 * sum(map(len, parts)):
        return []
    return words if len(words) >= 8 or sum(word in known for word in words) * 4 >= 3 * len(words) else []


def _joined_words(value: str, found: Description) -> list[str]:
    """The words of a value that is nothing but words without a separator; empty for any other."""
    words = [value[piece.start : piece.end].lower() for piece in found.pieces if piece.kind == "words"]
    letters = sum(map(len, words))
    return words if len(words) >= 4 and letters >= 0.9 * len(value) and letters >= 4.5 * len(words) else []


def _is_random_words(value: str) -> bool:
    """Whether words of a long passphrase may say anything, "example" too."""
    words = _separated_words(value)
    topical = vocabulary().topical
    return len(words) >= 8 and not _is_sentence(words) and sum(word in topical for word in words) * 2 < len(words)
