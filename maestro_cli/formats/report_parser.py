"""JSON → Report, with the place of whatever does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from maestro_cli.errors import UsageError
from maestro_cli.model import (
    CheckResult,
    Component,
    ComponentScore,
    Counts,
    Evidence,
    GateOutcome,
    Priority,
    Remedy,
    Report,
    Status,
    Suite,
    Verdict,
    WaiverNote,
)

SUPPORTED_VERSION = "1"

LARGEST = 2**53
"""Beyond it a JSON number is not what was written (RFC 8259 §6); NaN and infinities fail the comparison too."""

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)


class NotAReport(UsageError):  # noqa: N818 - named as a user would say it
    """The text is not a report that this maestro can read."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A JSON value and where it stands: `checks[3].status`."""

    value: Any
    path: str = ""

    def wrong(self, expected: str) -> NotAReport:
        found = "nothing" if self.value is None else f"{_kind(self.value)} {_excerpt(self.value)}"
        return NotAReport(
            f"This is not a maestro report: {self.path or 'the document'} should be {expected}, but is {found}.",
            hint="Write one with: maestro readiness --json > report.json",
        )

    def __getitem__(self, key: str) -> _Node:
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return _Node(self.value.get(key), f"{self.path}.{key}" if self.path else key)

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.wrong("a string")
        return self.value

    def optional_text(self) -> str | None:
        return None if self.value is None else self.text()

    def text_or(self, default: str) -> str:
        return default if self.value is None else self.text()

    def flag(self, *, default: bool | None = None) -> bool:
        if self.value is None and default is not None:
            return default
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def number(self) -> float:
        value = self.value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < LARGEST:
            raise self.wrong("a number")
        return value

    def count(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not 0 <= self.value < LARGEST:
            raise self.wrong("a whole number")
        return self.value

    def optional_number(self) -> float | None:
        return None if self.value is None else self.number()

    def choice(self, choices: type[_E]) -> _E:
        try:
            return choices(self.text())
        except ValueError:
            raise self.wrong(f"one of {', '.join(choices)}") from None

    def each(self, read: Callable[[_Node], _T], *, default: tuple[_T, ...] | None = None) -> tuple[_T, ...]:
        if self.value is None and default is not None:
            return default
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        return tuple(read(_Node(item, f"{self.path}[{index}]")) for index, item in enumerate(self.value))

    def optional(self, read: Callable[[_Node], _T]) -> _T | None:
        return None if self.value is None else read(self)

    def moment(self) -> datetime:
        try:
            moment = datetime.fromisoformat(self.text())
        except ValueError:
            raise self.wrong("an RFC 3339 time such as 2025-10-05T12:00:00Z") from None
        if moment.tzinfo is None:
            raise self.wrong("an RFC 3339 time with its offset, such as 2025-10-05T12:00:00Z")
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            raise self.wrong("a time between the years 1 and 9999") from None


def _kind(value: object) -> str:
    kinds = {bool: "the flag", dict: "an object", list: "a list", str: "the string"}
    return kinds.get(type(value), "the number")


def _excerpt(value: object) -> str:
    if isinstance(value, (dict, list)):
        return f"of {len(value)}"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def parse(text: str) -> Report:
    """See `maestro_cli.formats.json_report.parse`."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise NotAReport(
            f"This is not a maestro report: it is not JSON ({where}).",
            hint="Write one with: maestro readiness --json > report.json",
        ) from None
    node = _Node(document)
    version = node["schema_version"].text()
    if version != SUPPORTED_VERSION:
        raise NotAReport(
            f"The report has schema_version {_excerpt(version)}; this maestro reads {SUPPORTED_VERSION!r}.",
            hint="Read it with the maestro that wrote it, or update: pip install -U maestro-readiness",
        )
    return _report(node)


def _report(node: _Node) -> Report:
    rest: Mapping[str, object] = node.value
    known = {"schema_version", *(field.name for field in fields(Report))}
    return Report(
        service=node["service"].text(),
        environment=node["environment"].text(),
        commit=node["commit"].optional_text(),
        started_at=node["started_at"].moment(),
        duration_s=node["duration_s"].number(),
        score=node["score"].optional_number(),
        coverage=node["coverage"].number(),
        verdict=node["verdict"].choice(Verdict),
        gate=_gate(node["gate"]),
        components=node["components"].each(_component),
        checks=node["checks"].each(_check),
        counts=_counts(node["counts"]),
        maestro_version=node["maestro_version"].text(),
        interrupted=node["interrupted"].flag(default=False),
        notes=node["notes"].each(_Node.text, default=()),
        extra={key: value for key, value in rest.items() if key not in known},
    )


def _gate(node: _Node) -> GateOutcome:
    return GateOutcome(
        name=node["name"].text(),
        min_score=node["min_score"].number(),
        no_failed=node["no_failed"].each(lambda item: item.choice(Priority)),
        min_coverage=node["min_coverage"].number(),
        met=node["met"].flag(),
        reasons=node["reasons"].each(_Node.text),
    )


def _component(node: _Node) -> ComponentScore:
    return ComponentScore(
        id=node["id"].choice(Component),
        title=node["title"].text(),
        score=node["score"].optional_number(),
        weight=node["weight"].number(),
        coverage=node["coverage"].number(),
        counts=_counts(node["counts"]),
    )


def _counts(node: _Node) -> Counts:
    return Counts(
        passed=node["pass"].count(),
        warn=node["warn"].count(),
        fail=node["fail"].count(),
        error=node["error"].count(),
        skip=node["skip"].count(),
        waived=node["waived"].count(),
    )


def _check(node: _Node) -> CheckResult:
    return CheckResult(
        id=node["id"].text(),
        title=node["title"].text(),
        suite=node["suite"].choice(Suite),
        component=node["component"].choice(Component),
        priority=node["priority"].choice(Priority),
        status=node["status"].choice(Status),
        message=node["message"].text(),
        evidence=node["evidence"].each(_evidence),
        remedy=node["remedy"].optional(_remedy),
        waiver=node["waiver"].optional(_waiver),
        plugin=node["plugin"].text(),
        duration_s=node["duration_s"].number(),
        docs=node["docs"].text(),
        why=node["why"].text_or(""),
        faults=node["faults"].each(_Node.text, default=()),
        needs=node["needs"].optional_text(),
    )


def _evidence(node: _Node) -> Evidence:
    return Evidence(node["name"].text(), node["observed"].text(), node["expected"].text_or(""))


def _remedy(node: _Node) -> Remedy:
    return Remedy(node["text"].text(), node["command"].optional_text(), node["fixable"].flag(default=False))


def _waiver(node: _Node) -> WaiverNote:
    return WaiverNote(node["reason"].text(), node["owner"].text(), node["expires"].text())
