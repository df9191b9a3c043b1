"""Cobertura XML, as coverage.py, gcovr, coverlet and Cobertura itself write it: which share of the lines ran."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from maestro_cli.observe.xml_events import BrokenXMLError, read_elements

MAXIMUM_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a report says. `line_rate` in percent; `lines` 0 where nothing was measured."""

    line_rate: float
    covered: int
    lines: int
    made: datetime | None


def parse_cobertura(data: bytes) -> Coverage:
    """Read a report's totals, and count its lines where they are listed: the lower of both is believed.

    Raises:
        BrokenXMLError: When it is not XML, not Cobertura's, or its numbers are none.
        HostileXMLError: When it is an XML bomb.
    """
    reader = _Reader()
    read_elements(data, reader.start)
    return reader.finish()


class _Reader:
    def __init__(self) -> None:
        self.root: Mapping[str, str] = {}
        self.listed = 0
        self.hit = 0
        self.in_methods = [0, 0]

    def start(self, name: str, attributes: Mapping[str, str], ancestors: tuple[str, ...]) -> None:
        if not ancestors:
            if name != "coverage" or "line-rate" not in attributes:
                raise BrokenXMLError(f"it is no Cobertura report: its outermost element is <{name[:40]}>")
            self.root = attributes
        # Cobertura lists a method's lines again below the class; one of the two lists is enough.
        elif name == "line":
            hit = attributes.get("hits", "0").strip() not in {"", "0"}
            if "method" in ancestors:
                self.in_methods[0] += 1
                self.in_methods[1] += hit
            else:
                self.listed += 1
                self.hit += hit

    def finish(self) -> Coverage:
        if not self.listed:  # some tools list a class's lines below its methods alone
            self.listed, self.hit = self.in_methods
        try:
            rate = 100 * float(self.root["line-rate"])
        except ValueError:
            rate = -1.0
        if not 0 <= rate <= 100:
            raise BrokenXMLError(f"its line-rate {self.root['line-rate'][:20]!r} is not a number from 0 to 1")
        lines = _number(self.root.get("lines-valid")) or self.listed
        covered = _number(self.root.get("lines-covered")) if "lines-covered" in self.root else self.hit
        # The written rate has four digits; a percentage of difference is more than rounding.
        for found, total in ((covered, lines), (self.hit, self.listed)):
            if total and 100 * found / total < rate - 1:
                rate = 100 * found / total
        return Coverage(rate, covered, lines, _time(self.root.get("timestamp")))


def _number(text: str | None) -> int:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,15}", text.strip()) else 0


def _time(text: str | None) -> datetime | None:
    """Seconds since the epoch, or milliseconds as coverage.py writes them."""
    number = _number(text)
    if number > 100_000_000_000:
        number //= 1000
    return datetime.fromtimestamp(number, UTC) if number else None
