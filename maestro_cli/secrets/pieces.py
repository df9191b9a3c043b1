"""The pieces a value can be described with: words, runs over the keyboard, sequences, repetitions, known text, dates.

Each finder adds (kind, end, price in bits) to the place where a piece begins. What the prices mean, and why their sum
tells weak from strong, stands in `maestro_cli.secrets.description`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import groupby, pairwise
from math import log2

from maestro_cli.secrets.vocabulary import known_fragments, known_text, letter_costs, vocabulary

_LEET = str.maketrans("013457@$!8+(|", "oieastasibtcl")
_LEET_L = str.maketrans("013457@$!8+(|", "oleasta$lbtcl")
_DATE = re.compile(r"(?:19|20)\d\d[-/._]?(?:0[1-9]|1[0-2])[-/._]?(?:0[1-9]|[12]\d|3[01])|(?:19|20)\d\d")
_DIGITS = re.compile(r"\d{3,}")
_LETTERS = re.compile(r"[a-z]{4,}")
_HEX_ORDER = "0123456789abcdef"
_TEXT_ORDER = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE64_ORDER = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_CODE_ORDER = "".join(map(chr, range(256)))
_KEYBOARDS = (
    ("`1234567890-=", " qwertyuiop[]\\", " asdfghjkl;'", " zxcvbnm,./"),
    ("^1234567890", " qwertzuiop", " asdfghjkl", " yxcvbnm,.-"),
    (" &é\"'(-è_çà)=", " azertyuiop^$", " qsdfghjklm", " wxcvbn,;:!"),
)
_SHIFTED = str.maketrans('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./")

# Prices in bits of saying which kind of piece comes next; 2⁻ᵖ over all kinds adds up to 1.
LITERAL = 0.4
_WORD = 3.5
_KNOWN = 5.5
_COPY = 4.5
_SEQUENCE = 5.5
_WALK = 6.5
_RUN = 5.5
_SPELLED = 5.0
_DATED = 6.5


Found = list[list[tuple[str, int, float]]]
"""For each start the pieces with a name that begin there: (kind, end, price)."""


def all_pieces(value: str, size: int, names: Collection[str]) -> Found:
    """Everything that may describe a part of a value.

    Args:
        value: The value.
        size: How many characters its alphabet has.
        names: Words that are close at hand, in lower case.
    """
    found = pattern_pieces(value, size)
    folded = _fold(value)
    _words(value, folded, names, found)
    _spelled(folded, value, size, found)
    _numbers(value, size, found)
    return found


def pattern_pieces(value: str, size: int) -> Found:
    """What may describe a part of a value without knowing any word: patterns and known text."""
    folded = _fold(value)
    found: Found = [[] for _ in value]
    _known(value, folded, found)
    _copies(value, folded, found)
    _sequences(value, folded, size, found)
    _walks(folded, found)
    return found


def _fold(value: str) -> str:
    return value.lower() if value.isascii() else value  # some letters become two in lower case


def _numbers(value: str, size: int, found: Found) -> None:
    for match in _DATE.finditer(value):
        price = _DATED + (14.5 if len(match.group()) > 4 else 6.5)
        found[match.start()].append(("date", match.end(), price))
    if size > 10:
        for match in _DIGITS.finditer(value):
            for start in range(match.start(), match.end() - 2):
                price = _RUN + _length_bits(match.end() - start) + 3.33 * (match.end() - start)
                found[start].append(("digits", match.end(), price))


def _length_bits(length: int) -> float:
    return 2 * log2(length) - 1


def _case_bits(piece: str) -> float:
    if piece.islower() or piece.lower() == piece.upper():
        return 0.7
    if piece.isupper():
        return 3.0
    if piece[1:].islower() or not any(map(str.isupper, piece[1:])):
        return 2.0
    return 3.0 + len(piece)


def _words(value: str, folded: str, names: Collection[str], found: Found) -> None:
    lists = vocabulary()
    ranks, stems, longest = lists.ranks, lists.stems, lists.longest
    length = len(folded)
    spellings = [folded]
    for table in (_LEET, _LEET_L):
        plain = folded.translate(table)
        if plain not in spellings:
            spellings.append(plain)
    for which, text in enumerate(spellings):
        starts = [
            start for start in range(length - 2) if text[start : start + 4] in stems or text[start : start + 3] in stems
        ]
        for start in starts:
            for end in range(start + 3, min(start + longest, length) + 1):
                rank = ranks.get(text[start:end])
                if rank is None:
                    continue
                changed = sum(map(str.__ne__, text[start:end], folded[start:end])) if which else 0
                if which and not changed:
                    continue
                price = _WORD + 4 + log2(rank) + _case_bits(value[start:end]) + (2 + changed if changed else 0)
                found[start].append(("words", end, price))
    for name in names:
        position = folded.find(name) if len(name) > 2 else -1
        while position >= 0:
            end = position + len(name)
            found[position].append(("the name of something here", end, _WORD + 5 + _case_bits(value[position:end])))
            position = folded.find(name, position + 1)


def _spelled(folded: str, value: str, size: int, found: Found) -> None:
    """Runs of letters priced by how they follow each other in words of a dozen languages."""
    costs = letter_costs()
    literal = LITERAL + log2(size)
    for match in _LETTERS.finditer(folded):
        codes = [ord(char) - 97 for char in match.group()]
        capitals = [char.isupper() for char in value[match.start() : match.end()]]
        first, total = match.start(), len(codes)
        for offset in range(total - 3):
            bits = 2 * 4.7
            upper = sum(capitals[offset : offset + 2])
            for place in range(offset + 2, total):
                bits += costs[(codes[place - 2] * 26 + codes[place - 1]) * 26 + codes[place]] / 20
                upper += capitals[place]
                extent = place + 1 - offset
                if bits > literal * extent + 16:  # no words here, and hardly any further on
                    break
                if extent >= 4:
                    case = (
                        0.7
                        if not upper
                        else 2.0
                        if upper == capitals[offset]
                        else 3.0
                        if upper == extent
                        else 3.0 + extent
                    )
                    price = _SPELLED + _length_bits(extent) + bits + case
                    found[first + offset].append(("pronounceable letters", first + place + 1, price))


def _known(value: str, folded: str, found: Found) -> None:
    text, fragments = known_text(), known_fragments()
    where = log2(len(text))
    for start in range(len(folded) - 4):
        if folded[start : start + 5] not in fragments:
            continue
        end = start + 5
        while end < len(folded) and folded[start : end + 1] in text:
            end += 1
        price = _KNOWN + where + _length_bits(end - start) + _case_bits(value[start:end])
        found[start].append(("well-known text", end, price))


def _copies(value: str, folded: str, found: Found) -> None:
    """The longest stretch that stood before, forwards or mirrored."""
    length = len(folded)
    for start in range(1, length - 2):
        end = start + 3
        if folded.find(folded[start:end], 0, end - 1) >= 0:
            while end < length and folded.find(folded[start : end + 1], 0, end) >= 0:
                end += 1
            origin = folded.find(folded[start:end], 0, end - 1)
            same = value[origin : origin + end - start] == value[start:end]
            price = _COPY + log2(start + 1) + _length_bits(end - start) + (0.5 if same else 1.5 + end - start)
            found[start].append(("repeats", end, price))
        end = start + 4
        if end <= length and folded[start:end][::-1] in folded[:start]:
            while end < length and folded[start : end + 1][::-1] in folded[:start]:
                end += 1
            price = _COPY + 2 + log2(start + 1) + _length_bits(end - start) + _case_bits(value[start:end])
            found[start].append(("repeats", end, price))


def _sequences(value: str, folded: str, size: int, found: Found) -> None:
    """Runs with a constant step through an alphabet: 13579, zyxw, 0f1e2d."""
    orders: tuple[tuple[str, str], ...]
    if size <= 16:
        orders = ((_HEX_ORDER, folded),)
    elif size <= 64:
        orders = ((_TEXT_ORDER, folded), (_BASE64_ORDER, value.translate(_BASE64_URL)))
    else:
        orders = ((_TEXT_ORDER, folded), (_CODE_ORDER, value))
    for order, text in orders:
        around = len(order)
        places = [order.find(char) for char in text]
        steps = [
            (after - before) % around if after >= 0 <= before else -place - 1
            for place, (before, after) in enumerate(pairwise(places))
        ]
        start = 0
        for step, run in groupby(steps):
            end = start + len(list(run))
            for begin in range(start, end - 2) if step >= 0 else ():
                price = _SEQUENCE + 2 + log2(around) * 2 + _length_bits(end + 1 - begin)
                found[begin].append(("a sequence", end + 1, price))
            start = end


def _walks(folded: str, found: Found) -> None:
    """Runs over neighbouring keys."""
    text = folded.translate(_SHIFTED)
    near = [text[place : place + 2] in _NEIGHBOURS for place in range(len(text) - 1)]
    start = 0
    for adjacent, run in groupby(near):
        end = start + len(list(run))
        if adjacent and end - start >= 3:
            for layout in _KEY_PLACES:
                _walk(text, start, end + 1, layout, found)
        start = end


def _walk(text: str, first: int, last: int, layout: dict[str, tuple[int, int]], found: Found) -> None:
    places = [layout.get(char) for char in text[first:last]]
    for offset in range(len(places) - 3):
        price = _WALK + 1.6 + 5.6
        before: tuple[int, int] | None = None
        for place in range(offset + 1, len(places)):
            one, two = places[place - 1], places[place]
            if one is None or two is None:
                break
            step = (two[0] - one[0], two[1] - one[1])
            if step == (0, 0) or max(map(abs, step)) > 1:
                break
            price += 0.6 if step == before else 3.0 if before is None else 4.6
            before = step
            extent = place + 1 - offset
            if extent >= 4:
                found[first + offset].append(
                    ("a walk over the keyboard", first + place + 1, price + _length_bits(extent))
                )


_BASE64_URL = str.maketrans("-_", "+/")
_KEY_PLACES = tuple(
    {char: (row, column) for row, keys in enumerate(layout) for column, char in enumerate(keys) if char != " "}
    for layout in _KEYBOARDS
)
_NEIGHBOURS = frozenset(
    one + two
    for layout in _KEY_PLACES
    for one, (row, column) in layout.items()
    for two, (other_row, other_column) in layout.items()
    if one != two and abs(row - other_row) <= 1 and abs(column - other_column) <= 1
)
