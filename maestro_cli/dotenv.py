r"""Reading and editing `.env` files without losing a byte that was not meant to change.

The grammar is the one users of python-dotenv and Docker Compose know: `export` in front, `#` comments (behind an
unquoted value only after white space), `'literal'` and `"escaped\n"` values that may span lines, CRLF and a byte-order
mark kept. One thing differs on purpose: `$` stands for itself. Nothing is interpolated, so a password with a dollar
sign is read as it was written.

Only the standard library's `re` is imported: the configuration loader reads `env_file` at every start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_BLANK = re.compile(r"\s*")
_SPACE = re.compile(r"[^\S\r\n]*")
_EXPORT = re.compile(r"export[^\S\r\n]+")
_NAME = re.compile(r"'([^'\r\n]+)'|(?!')([^=#\s]+)")
_EQUALS = re.compile(r"=[^\S\r\n]*")
_SINGLE = re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL)
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_BARE = re.compile(r"[^\r\n]*")
_BARE_COMMENT = re.compile(r"\s+#.*")
_COMMENT = re.compile(r"(?:[^\S\r\n]*#[^\r\n]*)?")
_END = re.compile(r"[^\S\r\n]*(?:\r\n|\n|\r|\Z)")
_REST = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)?")
_NEWLINE = re.compile(r"\r\n|\n|\r")

_SINGLE_ESCAPE = re.compile(r"\\([\\'])")
_DOUBLE_ESCAPE = re.compile(r"\\([\\'\"abfnrtv])")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_UNESCAPES = {char: "\\" + letter for letter, char in _ESCAPES.items()} | {"\\": "\\\\", '"': '\\"'}

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=~^-]*\Z")
"""Values that every reader of such files takes as they are: shells, Compose, `docker --env-file`, systemd."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True, slots=True)
class Assignment:
    """One `NAME=value` of the file.

    Attributes:
        name: The variable.
        value: Its value, unquoted; None where there is no `=` (Compose then takes it from its own environment).
        line: Line of the name, from 1.
        start: Where the value begins in the text, quotes included.
        end: Where it ends.
        quote: `'`, `"` or nothing.
    """

    name: str
    value: str | None
    line: int
    start: int
    end: int
    quote: str

    def __repr__(self) -> str:  # the value must not reach a traceback
        return f"Assignment(name={self.name!r}, line={self.line})"


class EnvValues(dict[str, str]):
    """Name → value as the application will see it (the last assignment of a name wins).

    Attributes:
        lines: Name → line of that assignment, from 1.
        unreadable: Lines that are neither an assignment nor a comment.
        repeated: Names that are assigned more than once.
    """

    def __init__(self, assignments: tuple[Assignment, ...], unreadable: tuple[int, ...]) -> None:
        super().__init__((found.name, found.value) for found in assignments if found.value is not None)
        self.lines = {found.name: found.line for found in assignments if found.value is not None}
        self.unreadable = unreadable
        names = [found.name for found in assignments if found.value is not None]
        self.repeated = (
            tuple(dict.fromkeys(name for name in names if names.count(name) > 1)) if len(names) > len(self) else ()
        )

    def __repr__(self) -> str:  # names only
        return f"EnvValues({', '.join(self)})"


class Dotenv:
    """A `.env` file as text, with the place of every value in it.

    Args:
        text: The file's text, as decoded (line ends untouched).
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.assignments, self.unreadable = _scan(text)

    @property
    def values(self) -> EnvValues:
        """What the application reads from it."""
        return EnvValues(self.assignments, self.unreadable)

    @property
    def newline(self) -> str:
        """The line end in use, LF for an empty file."""
        found = _NEWLINE.search(self.text)
        return found.group() if found else "\n"

    def replace(self, changes: Mapping[str, str]) -> Dotenv:
        """The same file with new values for names it already has; every other byte stays.

        Quoting stays too where it can hold the new value. A name that is assigned twice gets the value twice: the
        two readers of a file, one taking the first and one the last, then agree, and no old secret is left behind.

        Raises:
            KeyError: A name that the file does not assign.
            ValueError: The file has lines that cannot be read, so what an edit would mean is uncertain.
        """
        self._require_readable()
        missing = changes.keys() - {found.name for found in self.assignments}
        if missing:
            raise KeyError(*sorted(missing))
        pieces: list[str] = []
        position = 0
        for found in self.assignments:
            if found.name in changes:
                pieces += [self.text[position : found.start], "=" if found.value is None else ""]
                pieces.append(_quoted(changes[found.name], found.quote))
                position = found.end
                if not found.quote and self.text.startswith("#", position):
                    pieces.append(" ")  # or the comment would become a part of the value
        return Dotenv("".join((*pieces, self.text[position:])))

    def append(self, additions: Mapping[str, str], *, heading: str = "") -> Dotenv:
        """The same file with more assignments at its end.

        Args:
            additions: Name → value, of names the file does not have yet.
            heading: A comment line in front of them.

        Raises:
            ValueError: The file has lines that cannot be read, or a name is none.
        """
        self._require_readable()
        if not additions:
            return self
        end = self.newline
        text = self.text
        if text.removeprefix("\ufeff") and not text.endswith(("\n", "\r")):
            text += end
        lines = [f"# {heading}"] if heading else []
        lines += [f"{_checked(name)}={_quoted(value, '')}" for name, value in additions.items()]
        return Dotenv(text + "".join(line + end for line in lines))

    def insert_after(self, anchor: str, name: str, value: str) -> Dotenv:
        """The same file with one more assignment in the line behind another one.

        Args:
            anchor: A name the file has.
            name: The new name.
            value: Its value.

        Raises:
            ValueError: The file has lines that cannot be read.
        """
        self._require_readable()
        place = max(found.end for found in self.assignments if found.name == anchor)
        match = _REST.match(self.text, place)
        place = match.end() if match else place
        before = self.text[:place]
        gap = "" if before.endswith(("\n", "\r")) else self.newline
        line = f"{_checked(name)}={_quoted(value, '')}{self.newline}"
        return Dotenv(f"{before}{gap}{line}{self.text[place:]}")

    def remove(self, names: set[str]) -> Dotenv:
        """The same file without the lines of these names.

        Raises:
            ValueError: The file has lines that cannot be read.
        """
        self._require_readable()
        text = self.text
        for found in reversed(self.assignments):
            if found.name in names:
                begin = max(text.rfind("\n", 0, found.start), text.rfind("\r", 0, found.start)) + 1
                begin = max(begin, text.startswith("\ufeff"))
                match = _REST.match(text, found.end)
                text = text[:begin] + text[match.end() if match else found.end :]
        return Dotenv(text)

    def _require_readable(self) -> None:
        # An unclosed quote on one line swallows the next quote anywhere behind it.
        if self.unreadable:
            raise ValueError(f"lines that cannot be read: {', '.join(map(str, self.unreadable))}")


def parse_dotenv(text: str) -> EnvValues:
    """Read the text of a `.env` file.

    Args:
        text: The whole file. `$` is literal: nothing is interpolated.

    Returns:
        Name → value, with line numbers in `.lines` and what could not be read in `.unreadable`.
    """
    return Dotenv(text).values


def read_text(data: bytes) -> str:
    """Decode a file so that `encode_text` gives back the same bytes, whatever they are."""
    return data.decode("utf-8", "surrogateescape")


def encode_text(text: str) -> bytes:
    """The bytes that `read_text` read."""
    return text.encode("utf-8", "surrogateescape")


def _scan(text: str) -> tuple[tuple[Assignment, ...], tuple[int, ...]]:
    found: list[Assignment] = []
    unreadable: list[int] = []
    position = 1 if text.startswith("\ufeff") else 0
    line = counted = 0
    while True:
        position = _end(_BLANK, text, position)
        if position >= len(text):
            return tuple(found), tuple(unreadable)
        line += len(_NEWLINE.findall(text, counted, position))
        counted = position
        readable, position, assignment = _statement(text, position, line + 1)
        if not readable:
            unreadable.append(line + 1)
            position = _end(_REST, text, position)
        elif assignment is not None:
            found.append(assignment)


def _statement(text: str, position: int, line: int) -> tuple[bool, int, Assignment | None]:
    """Read one assignment or comment: (readable, how far it was read, what it assigns)."""
    assignment = None
    position = _end(_EXPORT, text, position)
    if not text.startswith("#", position):
        name = _NAME.match(text, position)
        if name is None:
            return False, position, None
        position = name.end()
        value, quote, start = None, "", position
        equals = _EQUALS.match(text, _end(_SPACE, text, position))
        if equals:
            position = start = equals.end()
            read = _value(text, position, spaced=len(equals.group()) > 1)
            if read is None:
                return False, position, None
            value, quote, position = read
        assignment = Assignment(name.group(1) or name.group(2), value, line, start, position, quote)
    position = _end(_COMMENT, text, position)
    end = _END.match(text, position)
    return (True, end.end(), assignment) if end else (False, position, None)


def _value(text: str, position: int, *, spaced: bool) -> tuple[str, str, int] | None:
    """Read a value: (unquoted, its quote, where it ends); None where a quote is never closed."""
    quote = text[position : position + 1]
    if quote == "#" and spaced:
        return "", "", position
    if quote == "'":
        match = _SINGLE.match(text, position)
        return (_SINGLE_ESCAPE.sub(r"\1", match.group(1)), quote, match.end()) if match else None
    if quote == '"':
        match = _DOUBLE.match(text, position)
        return (_DOUBLE_ESCAPE.sub(_unescape, match.group(1)), quote, match.end()) if match else None
    match = _BARE.match(text, position)
    bare = _BARE_COMMENT.sub("", match.group() if match else "").rstrip()
    return bare, "", position + len(bare)


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match.group(1), match.group(1))


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _checked(name: str) -> str:
    if not _VARIABLE.match(name):
        raise ValueError(f"not the name of a variable: {name!r}")
    return name


def _quoted(value: str, quote: str) -> str:
    """Write a value, in the quotes it had where they can hold it."""
    if "\0" in value:
        raise ValueError("an environment variable cannot hold a NUL character")
    if _PLAIN.match(value) and not quote:
        return value
    # Between single quotes every reader takes every character as it is, `$` included; these four cannot stand there.
    if not re.search(r"['\\\r\n]", value) and (quote != '"' or "$" in value):
        return f"'{value}'"
    return '"' + "".join(_UNESCAPES.get(char, char) for char in value) + '"'
