"""Keeping secrets out of everything that leaves the process.

Two lines of defence: a `Secret` never prints its value, and a `Redactor` that knows every secret value
replaces each occurrence, in any of the spellings it may take on the way out (URL-escaped, JSON-escaped, base64).
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote

MASK = "********"
MINIMUM_LENGTH = 6
"""Shorter values are not searched for in free text: masking "test" everywhere would say more than it hides."""


class Secret:
    """A string that must not be shown: `str()`, `repr()` and formatting give a mask, `reveal()` the value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Never pass it to anything that prints, logs or stores."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return (Secret, (self._value,))


def _spellings(value: str) -> set[str]:
    raw = value.encode("utf-8", "surrogateescape")
    spellings = {
        value,
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        unquote(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }
    return {spelling for spelling in spellings if len(spelling) >= MINIMUM_LENGTH}


def password_in_url(url: str) -> str | None:
    """The password in `scheme://user:password@host`, unescaped; None where there is none.

    Done by hand because a URL that is malformed elsewhere must still give its password away here.
    """
    match = re.match(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*@", url)
    if match is None:
        return None
    userinfo = match.group(0).split("://", 1)[1][:-1]
    _, colon, password = userinfo.partition(":")
    return unquote(password) if colon and password else None


class Redactor:
    """Replaces every known secret in a text by a mask.

    Args:
        secrets: The values to hide. A URL with a password contributes the password (also unescaped) and the whole.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The first characters of a value → all values that begin so, longest first. A pattern of all values would be
        # compiled anew, in tens of milliseconds, for each token that a probe learns.
        self._by_start: dict[str, tuple[str, ...]] = {}
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Learn more values; a token issued during the run, say."""
        with self._lock:
            by_start = dict(self._by_start)
            for value in secrets:
                for candidate in (value, password_in_url(value)):
                    if not candidate or candidate in self._known:
                        continue
                    self._known.add(candidate)
                    for spelling in _spellings(candidate):
                        start = spelling[:MINIMUM_LENGTH]
                        others = {*by_start.get(start, ()), spelling}
                        by_start[start] = tuple(sorted(others, key=len, reverse=True))
            self._by_start = by_start  # a whole new table: another thread may be reading the old one

    def __call__(self, text: str) -> str:
        spans = sorted(self._spans(text))
        if not spans:
            return text
        pieces, position, index = [], 0, 0
        while index < len(spans):
            begin, end = spans[index]
            # What overlaps is one mask: the middle of two secrets must not show through.
            while index < len(spans) and (spans[index][0] < end or spans[index][0] == begin):
                end = max(end, spans[index][1])
                index += 1
            pieces += [text[position:begin], MASK]
            position = end
        return "".join([*pieces, text[position:]])

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        for start, values in self._by_start.items():
            position = text.find(start)
            while position >= 0:
                for value in values:
                    if text.startswith(value, position):
                        yield position, position + len(value)
                        break
                position = text.find(start, position + 1)

    def __reduce__(self) -> tuple[type[Redactor], tuple[tuple[str, ...]]]:
        return (Redactor, (tuple(self._known),))
