"""What people make secrets of, loaded once and only when a value is judged: words, known text, letter statistics.

The data files lie beside this module; their first lines say where they come from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from maestro_cli.errors import MaestroError

_FOLDER = Path(__file__).parent

FUNCTION_WORDS = frozenset(
    """a an and are as at be been but by can did do does for from had has have he her him his how i if in into is it
    its let may me must my no nor not of on or our shall she should so that the their them then there these they this
    those to too upon was we were what when where which who whom why will with would you your
    aber als am auch auf aus bei bin bist das dass dem den der des dich die dies doch du ein eine einem einen einer er
    es fur habe hat ich ihr im ist mein mich mir mit nach nicht noch nur oder sein sich sie sind so uber um und uns von
    vor war was wenn wer wie wir wird zu zum zur
    au aux avec ce ces cette dans de du elle en est et il je la le les leur lui ma mais mes moi mon ne nous ou par pas
    pour qu que qui sa ses son sur ta te tes toi ton tu un une vos votre vous
    al como con de del ella ellos eran ese esta este esto la las les lo los mas mi muy para pero por porque que se ser
    si sin sobre su sus tambien te tiene todo una uno usted y ya
    ao aos com da das do dos ela eles em entre essa foi isso mais mas mesmo meu minha na nao nas nem nos os ou para pela
    pelo por qual quando que quem sem seu sua
    alla anche che chi ci col come con dal della di dove e gli ha hanno ho io la loro nel non per piu quella questo sei
    si sono sua suo sul tra tutto un una vi
    aan dat een en het ik je maar met mijn naar niet nog nu om ook op te uit van voor wat wij zijn zo
    att av den det ett har inte jag kan med och om pa som till var
    jest nie na sie ze jak ale za""".split()  # noqa: SIM905 - a list this long reads better as text
)
"""The glue of sentences. Lists for random passphrases leave these words out, people cannot."""


class Vocabulary:
    """Words with their ranks, and the sets that make looking them up quick."""

    def __init__(self) -> None:
        sections = _sections(_read("words.txt"))
        self.topical = frozenset(sections["topical"])
        """Words about secrets and software: random word lists hardly hold them, example keys are made of them."""
        self.common = (*sections["topical"], *sections["common"])
        self.passwords = sections["passwords"]
        ordered = (*self.common, *self.passwords, *sections["listed"])
        self.ranks = dict(zip(ordered, range(1, len(ordered) + 1), strict=True))
        self.stems = {word[:4] for word in ordered}
        """Their first four letters (or all three): most substrings of a random value can be put aside by these."""
        self.longest = max(map(len, ordered))


@cache
def vocabulary() -> Vocabulary:
    """The word lists (about 20 ms the first time)."""
    return Vocabulary()


@cache
def known_text() -> str:
    """Alphabets, keyboard rows, constants, filler text and first lines, forwards and backwards, in lower case."""
    lines = [line for line in _read("known_text.txt").splitlines() if not line.startswith("# ")]
    text = "\n".join(lines)
    return f"{text}\n{text[::-1]}"


@cache
def known_fragments() -> frozenset[str]:
    """All runs of five characters of `known_text`."""
    text = known_text()
    return frozenset(text[start : start + 5] for start in range(len(text) - 4))


@cache
def letter_costs() -> bytes:
    """Twentieths of a bit for the third letter of each three (26³ entries), in words of a dozen languages."""
    return (_FOLDER / "letters.bin").read_bytes()


@cache
def published() -> dict[str, str]:
    """Example secrets that stand in public documentation: first 16 hex digits of SHA-256 → where it is published."""
    found: dict[str, str] = {}
    for line in _read("published.txt").splitlines():
        if line and not line.startswith("#"):
            digest, _, origin = line.partition(" ")
            found[digest] = origin
    return found


@cache
def seeded() -> frozenset[bytes]:
    """First 8 bytes of the SHA-256 of the first 16 characters that Python's `random` gives for the usual seeds.

    A hundred seeds (0, 42, 1337, the years, "secret"), each in the alphabets and encodings that tutorials use.
    """
    data = (_FOLDER / "seeded.bin").read_bytes()
    return frozenset(data[start : start + 8] for start in range(0, len(data), 8))


_USUAL_ALGORITHM = {16: "md5", 20: "sha1", 24: "sha256", 28: "sha224", 32: "sha256", 48: "sha384", 64: "sha512"}
_ALGORITHMS = ("md5", "sha1", "sha256", "sha512", "sha3_256", "sha3_512", "blake2s", "blake2b")
_PREFIX = 12
"""Bytes of a digest that are compared: a longer digest cut to size is found too, and two behind each other."""


def is_digest_of_word(data: bytes, near: Iterable[str] = ()) -> bool:
    """Whether bytes are the digest of a common word, password or phrase.

    Each is taken as it is, with the newline that `echo word | sha256sum` adds, capitalised, with the usual numbers
    behind it, and the commonest are hashed twice. The digests are made here rather than shipped: it takes about 20 ms,
    once, and only when a value is as long as a digest.

    Args:
        data: The bytes of a value.
        near: Further words: names of things here.
    """
    usual = _USUAL_ALGORITHM.get(len(data))
    if usual is None:
        return False
    start = data[:_PREFIX]
    close = {form for word in near for form in (word, word.lower(), word.upper())}
    return (
        start in _digests(usual)
        or any(start in _digests_of_frequent(name) for name in _ALGORITHMS if name != usual)
        or any(start == _digest(name, word.encode()) for name in {usual, "md5", "sha1", "sha256"} for word in close)
    )


def _digest(algorithm: str, data: bytes) -> bytes:
    return hashlib.new(algorithm, data, usedforsecurity=False).digest()[:_PREFIX]


@cache
def _digests(algorithm: str) -> frozenset[bytes]:
    make = getattr(hashlib, algorithm)
    found = {make(word, usedforsecurity=False).digest()[:_PREFIX] for word in _digest_sources()}
    for inner in ("md5", "sha1", "sha256"):
        for word in vocabulary().common[:300]:
            once = hashlib.new(inner, word.encode(), usedforsecurity=False)
            found.add(_digest(algorithm, once.hexdigest().encode()))
            found.add(_digest(algorithm, once.digest()))
    return frozenset(found)


@cache
def _digests_of_frequent(algorithm: str) -> frozenset[bytes]:
    make = getattr(hashlib, algorithm)
    return frozenset(
        make(word.encode(), usedforsecurity=False).digest()[:_PREFIX] for word in vocabulary().common[:800]
    )


_FIRST = ("", "my", "super", "your", "our", "the", "jwt", "api", "app", "test", "dev", "prod", "very")
_SECOND = ("secret", "private", "signing", "encryption", "access", "refresh", "session", "auth", "database", "jwt")
_THIRD = ("", "key", "token", "password", "secret", "123", "value")
_PHRASES = """
hello world|Hello World|Hello, World!|hello, world|hello world!|Hello World!|helloworld|HelloWorld|this is a secret|this is secret
this is my secret|this is a secret key|this is my secret key|thisisasecret|thisisasecretkey|thisismysecret|this is a test|thisisatest
my secret password|my super secret key|my super secret password|my very secret key|mySecretKey|MySecretKey|my_super_secret_key
my-super-secret-key|p@ssw0rd|P@ssw0rd|P@ssword|Passw0rd|passw0rd|Pa55w0rd|P@$$w0rd|p4ssw0rd|s3cr3t|S3cr3t|s3cret|secret!|Secret!
keyboard cat|correct horse battery staple|correcthorsebatterystaple|the quick brown fox jumps over the lazy dog
The quick brown fox jumps over the lazy dog|The quick brown fox jumps over the lazy dog.|lorem ipsum|Lorem ipsum
Lorem ipsum dolor sit amet|foo bar|foobar|foobarbaz|foo bar baz|asdf|asdfasdf|qwertyuiop|abc|abcd|abcdef|abcdefg|1q2w3e4r|1qaz2wsx
change me|change-me|change_me|Change Me|please change me|to be changed|do not use in production|not-so-secret|top secret|topsecret
jwt_secret_key|JWT_SECRET_KEY|JWT_SECRET|SECRET_KEY|secret_key|SECRET|API_KEY|some secret|some-secret|somesecret|a secret|mypassword
"""


@cache
def _digest_sources() -> list[bytes]:
    lists = vocabulary()
    parts = ("my", *lists.common[:24])
    pairs = [f"{one}{glue}{two}" for one in parts for two in parts for glue in ("", "-", "_", " ")]
    triples = [
        glue.join(part for part in (one, two, three) if part)
        for one in _FIRST
        for two in _SECOND
        for three in _THIRD
        for glue in ("", "-", "_", " ")
    ]
    numbered = [
        form + number
        for word in lists.common[:100]
        for form in (word, word.capitalize())
        for number in ("1", "12", "123", "1234", "12345", "!", "123!", "2024", "2025")
    ]
    capitals = [form for word in lists.common[:800] for form in (word.capitalize(), word.upper())]
    numbers = map(str, (*range(300), 12345, 123456, 1234567, 12345678, 123456789, 1234567890))
    phrases = _PHRASES.replace("\n", "|").split("|")  # an empty one among them: the digest of nothing
    plain = [*phrases, *lists.common[:3000], *lists.passwords[:1200], *numbers, *triples, *pairs, *numbered, *capitals]
    return [*(word.encode() for word in plain), *(word.encode() + b"\n" for word in plain[:1500])]


def _read(name: str) -> str:
    try:
        return (_FOLDER / name).read_text("utf-8")
    except FileNotFoundError as error:
        raise MaestroError(
            f"maestro's own data file {name} is missing", hint="Install maestro-readiness again."
        ) from error


def _sections(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for part in text.split("\n= ")[1:]:
        title, _, body = part.partition("\n")
        found[title] = tuple(body.split())
    return found
