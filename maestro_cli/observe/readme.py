"""A README, Markdown or reStructuredText, as headings, what stands below them, and the links it makes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

MAXIMUM_BYTES = 2_000_000
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_SETEXT = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
_RST_LINE = re.compile(r"^([=\-`:.'\"~^_*+#<>])\1{2,}[ \t]*$")
_INLINE = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*(?:<([^<>\n]*)>|([^()\s]*(?:\([^()\s]*\)[^()\s]*)*))[^()]*\)"
)
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:[ \t]*<?([^\s>]+)>?")
_HTML = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)\s*=\s*[\"']([^\"']+)[\"']", re.IGNORECASE)
_RST_LINK = re.compile(r"`[^`<]*<([^`>]+)>`__?|^\.\. (?:_[^:]+|image|figure|include)::?[ \t]+(\S+)")
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")


@dataclass
class Heading:
    """A heading; `level` 1 is the outermost. `lines` counts the lines of text below it, down to the next one."""

    level: int
    text: str
    lines: int = 0


@dataclass
class Readme:
    """What a README consists of."""

    headings: list[Heading] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def section(self, word: str) -> Heading | None:
        """The first heading that holds a word, with its subsections' lines; None where there is none."""
        for index, heading in enumerate(self.headings):
            if word.casefold() in heading.text.casefold():
                whole = Heading(heading.level, heading.text, heading.lines)
                for below in self.headings[index + 1 :]:
                    if below.level <= heading.level:
                        break
                    whole.lines += below.lines
                if whole.lines:
                    return whole
        return next((found for found in self.headings if word.casefold() in found.text.casefold()), None)

    def files(self) -> list[str]:
        """The relative links, as paths: without scheme, query and fragment, unescaped, each once."""
        found: list[str] = []
        for link in self.links:
            if re.match(r"^(?:[A-Za-z][A-Za-z0-9+.-]*:|//|#)", link):
                continue
            path = unquote(re.split(r"[?#]", link, maxsplit=1)[0])
            if path:
                found.append(path)
        return list(dict.fromkeys(found))


def parse_readme(text: str, *, markdown: bool = True) -> Readme:
    """Take a README apart; what stands in code blocks is neither heading nor link."""
    reader = _Reader(markdown=markdown)
    for line in text.splitlines():
        reader.line(line)
    return reader.readme


class _Reader:
    def __init__(self, *, markdown: bool) -> None:
        self.markdown = markdown
        self.readme = Readme()
        self.fence: str | None = None
        self.before = ""
        self.levels: list[str] = []

    def line(self, line: str) -> None:
        if self.markdown and self._fenced(line):
            self._count(line)
            return
        title = self._title(line)
        if title is not None:
            self.readme.headings.append(title)
        else:
            self._count(line)
        self._links(line)
        self.before = line

    def _fenced(self, line: str) -> bool:
        found = _FENCE.match(line)
        if self.fence is None:
            self.fence = found.group(1) if found else None
            return found is not None
        if found is not None and found.group(1).startswith(self.fence) and not line.strip(" `~"):
            self.fence = None
        return True

    def _title(self, line: str) -> Heading | None:
        if self.markdown:
            atx = _ATX.match(line)
            if atx is not None:
                return Heading(len(atx.group(1)), atx.group(2))
            setext = _SETEXT.match(line)
            if setext is None or not self.before.strip() or _ATX.match(self.before):
                return None
            level = 1 if setext.group(1).startswith("=") else 2
        else:
            mark = _RST_LINE.match(line)
            if mark is None or not self.before.strip() or len(line.rstrip()) < len(self.before.strip()):
                return None
            if mark.group(1) not in self.levels:
                self.levels.append(mark.group(1))
            level = self.levels.index(mark.group(1)) + 1
        if self.readme.headings and self.readme.headings[-1].lines:
            self.readme.headings[-1].lines -= 1  # the title's own line was counted as text
        return Heading(level, self.before.strip())

    def _count(self, line: str) -> None:
        if line.strip() and self.readme.headings and not (self.markdown and _REFERENCE.match(line)):
            self.readme.headings[-1].lines += 1

    def _links(self, line: str) -> None:
        if not self.markdown:
            self.readme.links += [a or b for a, b in _RST_LINK.findall(line)]
            return
        plain = _CODE.sub("", line)
        self.readme.links += [a or b for a, b in _INLINE.findall(plain)]
        self.readme.links += _HTML.findall(plain)
        reference = _REFERENCE.match(plain)
        if reference is not None and not plain.lstrip().startswith("[^"):
            self.readme.links.append(reference.group(1))
