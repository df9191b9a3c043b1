"""JUnit XML, as pytest, Surefire, Jest, go-junit-report and GoogleTest write it: how many ran, how many failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from maestro_cli.observe.xml_events import BrokenXMLError, read_elements

MAXIMUM_BYTES = 50_000_000
_BAD = ("failure", "error")


@dataclass
class TestRun:
    """What a report says.

    Attributes:
        tests: All test cases, skipped ones too.
        bad: Failed ones by kind: failures and errors.
        names: The first few of those that failed.
        started: When the earliest suite says it started, where it says so with its zone.
    """

    __test__ = False

    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    names: list[str] = field(default_factory=list)
    started: datetime | None = None

    @property
    def ran(self) -> int:
        """Test cases that were not skipped."""
        return self.tests - self.skipped

    def add(self, other: TestRun) -> None:
        """Count another report's cases as well."""
        self.tests += other.tests
        self.failures += other.failures
        self.errors += other.errors
        self.skipped += other.skipped
        self.names += other.names


def parse_junit(data: bytes) -> TestRun:
    """Count a report's test cases.

    Cases are counted one by one; where a suite's own numbers say more (a tool that lists only failures, a suite that
    crashed before its first case), the higher number of failures stands.

    Raises:
        BrokenXMLError: When it is not XML, or not JUnit's.
        HostileXMLError: When it is an XML bomb.
    """
    reader = _Reader()
    read_elements(data, reader.start)
    return reader.finish()


class _Reader:
    def __init__(self) -> None:
        self.run = TestRun()
        self.case = ""
        self.outcome: str | None = None
        self.suites: list[tuple[int, Mapping[str, str]]] = []
        self.root: Mapping[str, str] = {}

    def start(self, name: str, attributes: Mapping[str, str], ancestors: tuple[str, ...]) -> None:
        if not ancestors:
            if name not in {"testsuites", "testsuite"}:
                raise BrokenXMLError(f"it is no JUnit report: its outermost element is <{name[:40]}>")
            self.root = attributes if name == "testsuites" else {}
        if name == "testsuite":
            self.suites.append((len(ancestors), attributes))
            self._note_time(attributes.get("timestamp"))
        elif name == "testcase":
            self.run.tests += 1
            self.case = ".".join(part for part in (attributes.get("classname"), attributes.get("name")) if part)
            self.outcome = "skipped" if attributes.get("status") in {"notrun", "disabled"} else None
            self.run.skipped += self.outcome is not None
        elif ancestors[-1:] == ("testcase",) and (name in _BAD or name == "skipped"):
            self._judge(name)
        elif ancestors[-1:] == ("testsuite",) and name in _BAD:
            # Of the suite itself: its fixture failed, or its process died.
            self.run.errors += 1
            self.run.names.append((self.suites[-1][1].get("name", "") or "a suite")[:200])

    def _judge(self, outcome: str) -> None:
        if self.outcome == outcome or (self.outcome in _BAD and outcome in _BAD):
            return  # a case with several failures is one case
        if outcome == "skipped":
            if self.outcome is None:
                self.run.skipped += 1
                self.outcome = outcome
            return
        if self.outcome == "skipped":
            self.run.skipped -= 1
        self.outcome = outcome
        if outcome == "failure":
            self.run.failures += 1
        else:
            self.run.errors += 1
        if len(self.run.names) < 10:
            self.run.names.append(self.case[:200] or "unnamed")

    def _note_time(self, text: str | None) -> None:
        try:
            stated = datetime.fromisoformat(text or "")
        except ValueError:
            return
        if stated.tzinfo is None:
            return  # local time of an unknown place: off by up to 14 hours
        stated = stated.astimezone(UTC)
        if self.run.started is None or stated < self.run.started:
            self.run.started = stated

    def finish(self) -> TestRun:
        # Nested suites add up in their parents' numbers: only the outermost count.
        top = min((depth for depth, _ in self.suites), default=0)
        rows = [attributes for depth, attributes in self.suites if depth == top]
        for name in ("failures", "errors"):
            stated = max(_number(self.root, name), sum(_number(row, name) for row in rows))
            setattr(self.run, name, max(getattr(self.run, name), stated))
        if self.run.tests == 0:
            self.run.tests = max(_number(self.root, "tests"), sum(_number(row, "tests") for row in rows))
            self.run.skipped = sum(_number(row, "skipped") or _number(row, "disabled") for row in rows)
        return self.run


def _number(attributes: Mapping[str, str], name: str) -> int:
    text = attributes.get(name, "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
