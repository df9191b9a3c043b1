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
from itertools import groupby, pairwise
from math import lgamma, log, log2

from maestro_cli.secrets.encodings import rot13, rot47
from maestro_cli.secrets.vocabulary import known_fragments, known_text, letter_costs, vocabulary

LONGEST = 512
"""Characters that are looked at; the first this many of a longer value must be strong by themselves."""

_LEET = str.maketrans("013457@$!8+(|", "oieastasibtcl")
_LEET_L = str.maketrans("013457@$!8+(|", "oleasta$lbtcl")
_TURNED_SIZES = {26, 36, 64, 95}
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
_LITERAL = 0.4
_WORD = 3.5
_KNOWN = 5.5
_COPY = 4.5
_SEQUENCE = 5.5
_WALK = 6.5
_RUN = 5.5
_SPELLED = 5.0
_DATED = 6.5
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


_Found = list[list[tuple[str, int, float]]]
"""For each start the pieces with a name that begin there: (kind, end, price)."""


def _cut(value: str, size: int, names: Collection[str]) -> Description:
    """Cut the value into pieces at the lowest price; `size` is the alphabet of single characters."""
    folded = value.lower() if value.isascii() else value  # some letters become two in lower case
    found = _patterns(value, folded, size)
    _words(value, folded, names, found)
    _spelled(folded, value, size, found)
    for match in _DATE.finditer(value):
        price = _DATED + (14.5 if len(match.group()) > 4 else 6.5)
        found[match.start()].append(("date", match.end(), price))
    if size > 10:
        for match in _DIGITS.finditer(value):
            for start in range(match.start(), match.end() - 2):
                price = _RUN + _length_bits(match.end() - start) + 3.33 * (match.end() - start)
                found[start].append(("digits", match.end(), price))
    return _assembled(size, found)


def _pattern_bits(value: str, size: int) -> float:
    """Bits of the cheapest cut without words: sequences, walks, copies and known text only."""
    folded = value.lower() if value.isascii() else value
    found = _patterns(value, folded, size)
    if not any(found):
        return len(value) * (_LITERAL + log2(size)) + 3
    return _cheapest(size, found)[0]


def _patterns(value: str, folded: str, size: int) -> _Found:
    found: _Found = [[] for _ in value]
    _known(value, folded, found)
    _copies(value, folded, found)
    _sequences(value, folded, size, found)
    _walks(folded, found)
    return found


def _cheapest(size: int, found: _Found) -> tuple[float, list[tuple[str, int, float]]]:
    """(Bits of the cheapest cut; for each end the piece it is reached by: its kind, start and price)."""
    literal = _LITERAL + log2(size)
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


def _assembled(size: int, found: _Found) -> Description:
    bits, came = _cheapest(size, found)
    dear = _TELLING * (_LITERAL + log2(size))
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


def _words(value: str, folded: str, names: Collection[str], found: _Found) -> None:
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


def _spelled(folded: str, value: str, size: int, found: _Found) -> None:
    """Runs of letters priced by how they follow each other in words of a dozen languages."""
    costs = letter_costs()
    literal = _LITERAL + log2(size)
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


def _known(value: str, folded: str, found: _Found) -> None:
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


def _copies(value: str, folded: str, found: _Found) -> None:
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


def _sequences(value: str, folded: str, size: int, found: _Found) -> None:
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


def _walks(folded: str, found: _Found) -> None:
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


def _walk(text: str, first: int, last: int, layout: dict[str, tuple[int, int]], found: _Found) -> None:
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
