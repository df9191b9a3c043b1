"""How many bits it takes to describe a value to somebody who knows what people make secrets of.

A value is cut into pieces, each of them a single random character or something with a name: a word, a run along the
keyboard, a sequence, a repetition, a stretch of well-known text, a date, letters that follow each other as in words.
Every piece has a price in bits, and the cheapest way to put the value together is found by dynamic programming.

Why this and not a list of tests: the prices are those of a prefix code, so a value drawn uniformly at random is
described in k bits fewer than it holds with a probability of at most 2⁻ᵏ (the code-length inequality of Barron, 1985;
the same argument behind minimum description length). A margin of 24 bits therefore bounds the false alarms by itself,
whatever else is added to the patterns, and a random value with a name in front of it is still seen to be random.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import lgamma, log, log2

from maestro_cli.secrets.encodings import rot13, rot47
from maestro_cli.secrets.pieces import LITERAL, Found, all_pieces, pattern_pieces
from maestro_cli.secrets.vocabulary import vocabulary

LONGEST = 512
"""Characters that are looked at; the first this many of a longer value must be strong by themselves."""

_TURNED_SIZES = {26, 36, 64, 95}
_TELLING = 0.75
"""A piece says something about the value if it costs at most this share of its characters taken one by one."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the value and what it was described as."""

    kind: str
    start: int
    end: int
    bits: float


@dataclass(frozen=True, slots=True)
class Description:
    """The cheapest description found.

    Attributes:
        bits: Its length.
        kind: What most of the value was described as; "random" where it has no pattern.
        pieces: The value cut into pieces, from left to right.
        covered: Share of the characters that stand in a telling piece, 0 to 1.
        random_bits: What the rest of the pieces hold.
    """

    bits: float
    kind: str
    pieces: tuple[Piece, ...] = ()
    covered: float = 0.0
    random_bits: float = 0.0


def describe(value: str, *, names: Collection[str] = ()) -> Description:
    """Find the cheapest description of a value.

    Args:
        value: The value; only the first `LONGEST` characters count.
        names: Words that are close at hand here: the service, the variable, the host. In lower case.

    Returns:
        The shortest of several descriptions.
    """
    value = value[:LONGEST]
    size = alphabet_of(value)
    cut = _cut(value, size, names)
    few = Description(frequency_bits(value, size), "few different characters")
    candidates = [cut, few, *_transformed(value, size, names)]
    best = min(candidates, key=lambda found: found.bits)
    return replace(cut, bits=best.bits, kind=best.kind)


def describe_bytes(data: bytes) -> float:
    """Bits of the cheapest description of bytes: of themselves, or of the step from each to the next.

    Args:
        data: What a value decodes to; only the first `LONGEST` bytes count.
    """
    data = data[:LONGEST]
    steps = bytes((after - before) % 256 for before, after in pairwise(data))
    return min(
        bits + 2
        for text, start in ((data.decode("latin-1"), 0), (steps.decode("latin-1"), 8))
        for bits in (_pattern_bits(text, 256) + start, frequency_bits(text, 256) + start)
    )


def alphabet_of(value: str) -> int:
    """How many characters the value seems to be drawn from: the smallest usual alphabet that holds it."""
    for size, pattern in _ALPHABETS:
        if pattern.fullmatch(value):
            return size
    return 95 if value.isascii() else 1024


_ALPHABETS = tuple(
    (size, re.compile(pattern))
    for size, pattern in (
        (10, r"\d*"),
        (16, r"[0-9a-f]*|[0-9A-F]*"),
        (26, r"[a-z]*|[A-Z]*"),
        (32, r"[A-Z2-7]*=*"),
        (36, r"[0-9a-z]*|[0-9A-Z]*"),
        (64, r"[0-9A-Za-z_-]*=*|[0-9A-Za-z+/]*=*"),
    )
)


def frequency_bits(value: str, alphabet: int) -> float:
    """Bits of a description that names the characters in use, then gives each by how often it came before.

    (The estimator of Krichevsky and Trofimov; short where few characters differ.)
    """
    counts = Counter(value)
    used, total = len(counts), len(value)
    size = max(alphabet, used)
    which = lgamma(size + 1) - lgamma(used + 1) - lgamma(size - used + 1)
    order = lgamma(total + used / 2) - lgamma(used / 2) - sum(lgamma(n + 0.5) - lgamma(0.5) for n in counts.values())
    return (which + order) / log(2) + log2(size) + 4


def _transformed(value: str, size: int, names: Collection[str]) -> Iterator[Description]:
    """Descriptions of the value seen another way: backwards, every other character, letters and digits apart."""
    turned = [value[::-1]]
    if size in _TURNED_SIZES:
        turned += [rot13(value), rot47(value)]
    for text in turned:
        if _may_hold_words(text):
            found = _cut(text, size, names)
            if found.kind != "random":
                yield replace(found, bits=found.bits + 3)
    for step in (2, 3):
        if len(value) >= 8 * step:
            parts = [value[start::step] for start in range(step)]
            if step == 2 and parts[0][: len(parts[1])] == parts[1]:
                once = _cut(parts[0], size, names)
                yield replace(once, bits=once.bits + 6)
            bits = sum(min(_pattern_bits(part, size), frequency_bits(part, size)) for part in parts)
            yield Description(bits + 5, "interleaved sequences")
    if size in {16, 36, 64, 95} and len(value) >= 16:
        yield Description(_classes_apart(value, size) + 5, "letters and digits in a pattern")


def _may_hold_words(text: str) -> bool:
    """Whether so many words begin in a text that looking for them is worth the time."""
    folded = text.lower()
    stems = vocabulary().stems
    hits = sum(folded[start : start + 4] in stems for start in range(len(folded) - 3))
    return hits >= max(3, len(folded) // 12)


def _classes_apart(value: str, size: int) -> float:
    """Bits of: the pattern of upper case, lower case, digits and others; then each class by itself.

    People (and language models) who type "random" characters alternate between letters and digits, walk through the
    alphabet and avoid a character they have just used. Chance does none of this.
    """
    digits = "".join(filter(str.isdigit, value))
    letters = "".join(filter(str.isalpha, value)).lower()
    others = "".join(char for char in value if not char.isalnum())
    pattern = "".join("d" if c.isdigit() else "u" if c.isupper() else "l" if c.isalpha() else "o" for c in value)
    bits = _markov_bits(pattern, max(len(set(pattern)), 2))
    for part, kinds in ((digits, 10), (letters, 6 if size == 16 else 26), (others, 33 if size == 95 else 3)):
        if part:
            bits += min(_pattern_bits(part, kinds), frequency_bits(part, kinds), _unrepeated_bits(part, kinds)) + 2
    return bits


def _markov_bits(text: str, kinds: int) -> float:
    """Bits of a sequence of few symbols, each predicted from the two before it, learning on the way."""
    seen: dict[str, Counter[str]] = {}
    bits = 0.0
    for place, symbol in enumerate(text):
        counts = seen.setdefault(text[max(0, place - 2) : place], Counter())
        total = counts.total()
        bits -= log2((counts[symbol] + 0.5) / (total + kinds / 2))
        counts[symbol] += 1
    return bits


def _unrepeated_bits(part: str, size: int) -> float:
    """Bits when a character is not used again before most of the others were: a shuffled alphabet, again and again."""
    bits = 0.0
    unused = set(part)
    free = size
    for char in part:
        fresh = char in unused
        # one bit in ten says "this one again"
        bits += (log2(free) + 0.15) if fresh else (3.3 + log2(size))
        if fresh:
            unused.discard(char)
            free = max(free - 1, 1)
    return bits


def _cut(value: str, size: int, names: Collection[str]) -> Description:
    """Cut the value into pieces at the lowest price; `size` is the alphabet of single characters."""
    return _assembled(size, all_pieces(value, size, names))


def _pattern_bits(value: str, size: int) -> float:
    """Bits of the cheapest cut without words: sequences, walks, copies and known text only."""
    found = pattern_pieces(value, size)
    if not any(found):
        return len(value) * (LITERAL + log2(size)) + 3
    return _cheapest(size, found)[0]


def _cheapest(size: int, found: Found) -> tuple[float, list[tuple[str, int, float]]]:
    """(Bits of the cheapest cut; for each end the piece it is reached by: its kind, start and price)."""
    literal = LITERAL + log2(size)
    length = len(found)
    best = [0.0] + [float("inf")] * length
    came = [("", 0, 0.0)] * (length + 1)
    for start, pieces in enumerate(found):
        here = best[start]
        if here + literal < best[start + 1]:
            best[start + 1] = here + literal
            came[start + 1] = ("random", start, literal)
        for kind, end, price in pieces:
            if here + price < best[end]:
                best[end] = here + price
                came[end] = (kind, start, price)
    return best[length] + 3, came


def _assembled(size: int, found: Found) -> Description:
    bits, came = _cheapest(size, found)
    dear = _TELLING * (LITERAL + log2(size))
    pieces: list[Piece] = []
    length = position = len(found)
    extent: Counter[str] = Counter()
    rest = 0.0
    while position > 0:
        kind, start, price = came[position]
        pieces.append(Piece(kind, start, position, price))
        if kind not in {"random", "digits"} and price <= dear * (position - start):
            extent[kind] += position - start
        else:
            rest += price
        position = start
    covered = extent.total() / length if length else 1.0
    kind = max(extent, key=lambda kind: extent[kind]) if covered >= 0.5 and extent else "random"
    return Description(bits, kind, tuple(reversed(pieces)), covered, rest)
