"""Tokens that say nothing by themselves, and are looked up by the service: reference tokens, as OWASP calls them.

Whoever guesses one is logged in. So a token must be long enough, and two of them must differ in more than a counter.
"""

from __future__ import annotations

import string
from math import log2

LEAST_BITS = 64
"""Least that a session's token must be able to hold (OWASP Session Management Cheat Sheet; ASVS 5.0 7.2.3 asks for 128)."""
ALIKE_BITS = 32
"""Two tokens of 64 bits or more from a good source differ in less with a chance of about one in a million, or lower."""


def most_bits(token: str) -> float:
    """What a token can hold at most, in bits, judged by its length and the characters it is made of."""
    return len(token) * _bits_of_character(token)


def differing_bits(one: str, other: str) -> float:
    """What the characters at which two tokens differ can hold at most, in bits; 0 where they are the same."""
    places = sum(left != right for left, right in zip(one, other, strict=False)) + abs(len(one) - len(other))
    return places * _bits_of_character(one + other)


def other_end(token: str) -> str:
    """The same token as far as its middle, and every letter and digit behind it replaced by the next one of its kind."""
    middle = len(token) // 2
    return token[:middle] + "".join(_next(character) for character in token[middle:])


def _bits_of_character(text: str) -> float:
    for alphabet in (string.digits, string.hexdigits.lower(), string.hexdigits.upper()):
        if set(text) - set("-") <= set(alphabet):
            return log2(len(set(alphabet.lower())))
    return 6.0


def _next(character: str) -> str:
    for kind in (string.digits, string.ascii_lowercase, string.ascii_uppercase):
        if character in kind:
            return kind[(kind.index(character) + 1) % len(kind)]
    return character
