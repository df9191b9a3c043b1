"""Lines of styled text for a terminal: wrapped by display columns, without trailing spaces, coloured on request."""

from __future__ import annotations

import re
from collections.abc import Iterator

from maestro_cli.formats.escaping import visible

Segment = tuple[str, str]
"""A text and the name of its style ("" for none)."""

_NARROW = re.compile("[ -~\u00a0-\u02ff\u2010-\u2027\u2190-\u21ff\u2500-\u259f\u2713-\u2718]*")
"""Characters known to take one column; anything else is looked up in rich's tables, which cost an import."""

_STYLES = {
    "heading": "bold",
    "pass": "green",
    "warn": "bold yellow",
    "fail": "bold red",
    "error": "bold magenta",
    "skip": "dim",
    "quiet": "dim",
    "command": "cyan",
}

_ASCII = {ord("…"): "...", ord("·"): "-", ord("½"): "1/2"}


def cells(text: str) -> int:
    """Columns that the text takes on a terminal: 2 for a CJK ideograph, 0 for a combining accent."""
    if _NARROW.fullmatch(text):
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def pad(text: str, width: int) -> str:
    """Filled with spaces up to `width` columns."""
    return text + " " * (width - cells(text))


def _pieces(word: str, width: int) -> Iterator[str]:
    """A word that fits no line, cut where the line ends."""
    piece, taken = "", 0
    for character in word:
        columns = cells(character)
        if piece and taken + columns > width:
            yield piece
            piece, taken = "", 0
        piece += character
        taken += columns
    yield piece


def cut(text: str, width: int) -> str:
    """At most `width` columns; "…" stands for the rest."""
    return text if cells(text) <= width else next(_pieces(text, width - 1)) + "…"


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns; the text's own line breaks are kept, what cannot be seen is spelled out."""
    width = max(width, 2)
    lines: list[str] = []
    for paragraph in visible(text).split("\n"):
        line, taken = "", 0
        for word in paragraph.split():
            columns = cells(word)
            if line and taken + 1 + columns <= width:
                line, taken = f"{line} {word}", taken + 1 + columns
                continue
            if line:
                lines.append(line)
            line, taken = word, columns
            if columns > width:
                *whole, line = _pieces(word, width)
                lines += whole
                taken = cells(line)
        lines.append(line)
    return lines


class Page:
    """The lines of a report under way.

    Args:
        width: Columns that a line may take.
        colour: Whether styles become ANSI sequences; without, they vanish.
        unicode: Whether "…", "·" and the like can be shown.
    """

    def __init__(self, width: int, *, colour: bool, unicode: bool) -> None:
        self.width = width
        self._colour = colour
        self._unicode = unicode
        self._lines: list[list[Segment]] = []

    def line(self, *segments: Segment) -> None:
        """One line as it is."""
        self._lines.append([segment for segment in segments if segment[0]])

    def blank(self) -> None:
        """An empty line."""
        self._lines.append([])

    def block(self, text: str, *first: Segment, indent: int, style: str = "") -> None:
        """A wrapped text: `first` opens its first line, the lines after it are indented by `indent` columns."""
        lead = sum(cells(segment) for segment, _ in first)
        opening = [*first, (" " * (indent - lead), "")] if lead <= indent else [*first, (" ", "")]
        for number, line in enumerate(wrap(text, self.width - max(indent, lead if lead > indent else 0))):
            margin = opening if number == 0 else [(" " * indent, "")]
            self.line(*margin, (line, style))

    def text(self) -> str:
        """Everything, ending in one line feed."""
        paint = _ansi if self._colour else _plain
        text = "\n".join(paint(_trimmed(line)) for line in self._lines) + "\n"
        return text if self._unicode else text.translate(_ASCII)


def _trimmed(line: list[Segment]) -> list[Segment]:
    while line and not line[-1][0].rstrip():
        line = line[:-1]
    return [*line[:-1], (line[-1][0].rstrip(), line[-1][1])] if line else line


def _plain(line: list[Segment]) -> str:
    return "".join(text for text, _ in line)


def _ansi(line: list[Segment]) -> str:
    from rich.color import ColorSystem
    from rich.style import Style

    return "".join(
        Style.parse(_STYLES[style]).render(text, color_system=ColorSystem.STANDARD) if style in _STYLES else text
        for text, style in line
    )
