"""One resource of a goss file, taken apart attribute by attribute: what nobody took has no counterpart, and is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maestro_cli.config.matchers import MatcherError, parse_matcher

MISSING: Any = object()
"""An attribute that the resource does not have, or that was listed as left out."""


OPEN, CLOSE = "\ue000", "\ue001"
"""Private characters around a variable's name, until `${` of the goss file itself is escaped."""


@dataclass(frozen=True, slots=True)
class DeclaredRow:
    """A check as maestro.yaml declares it.

    Attributes:
        stem: What its id is made of, before it is made unique.
        kind: `http`, `file`, `command`, …
        subject: What stands under the kind.
        title: What holds, where the goss file says it.
        why: Why it matters, where the goss file says it.
    """

    stem: str
    kind: str
    subject: Mapping[str, Any]
    title: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something of a goss file that has no counterpart.

    Attributes:
        place: File and line.
        subject: The resource, and the attribute where it is one: `http https://example.test: proxy`.
        reason: Why, and what to do instead.
    """

    place: str
    subject: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.subject}: {self.reason}"


@dataclass
class Entry:
    """A resource: attributes are taken by name, once.

    Attributes:
        kind: goss's word: `file`, `http`, …
        name: The key it stands under.
        attributes: What it says.
        file: The file it stands in.
        lines: Attribute → line; the empty name is the resource's own.
    """

    kind: str
    name: str
    attributes: dict[str, Any]
    file: str
    lines: Mapping[str, int]
    left_out: list[LeftOut] = field(default_factory=list)
    credentials: dict[str, str] = field(default_factory=dict)
    """Variable → what it stands for; the values stay in the goss file."""

    def leave_out(self, attribute: str, reason: str) -> None:
        """List an attribute (or the resource, for the empty name) as left out."""
        line = self.lines.get(attribute, self.lines.get("", 1))
        subject = f"{self.kind} {self.name}" + (f": {attribute}" if attribute else "")
        self.left_out.append(LeftOut(f"{self.file}:{line}", " ".join(subject.split()), reason))

    def take(self, *names: str) -> Any:
        """An attribute by the first of its names that is there, or MISSING."""
        for name in names:
            if name in self.attributes:
                return self.attributes.pop(name)
        return MISSING

    def named(self, attribute: str) -> str:
        """What the resource is about: this attribute, or the key that it stands under."""
        value = self.take(attribute)
        return self.name if value is MISSING else str(value)

    def refuse(self, reason: str) -> None:
        """List the whole resource as left out."""
        self.leave_out("", reason)
        self.attributes.clear()

    def matcher(self, *names: str) -> Any:
        """An attribute that may be a matcher; one that maestro cannot follow is left out."""
        name = next((name for name in names if name in self.attributes), "")
        value = self.take(name)
        if value is MISSING:
            return MISSING
        try:
            parse_matcher(value)
        except MatcherError as error:
            self.leave_out(name, error.message)
            return MISSING
        return value

    def text(self, *names: str) -> Any:
        """An attribute that must be a plain text or number; a matcher is left out."""
        name = next((name for name in names if name in self.attributes), "")
        value = self.take(name)
        if value is MISSING or value in (None, ""):
            return MISSING
        if isinstance(value, Mapping | list):
            self.leave_out(name, "a matcher; a plain value is needed here")
            return MISSING
        return str(value)

    def flag(self, *names: str, default: bool = True) -> bool:
        """A truth value; anything else is left out and counts as the default."""
        name = next((name for name in names if name in self.attributes), "")
        value = self.take(name)
        if isinstance(value, bool):
            return value
        if value is not MISSING:
            self.leave_out(name, f"not true or false; taken as {str(default).lower()}")
        return default

    def seconds(self, default: float) -> float:
        """`timeout`, which goss counts in milliseconds."""
        value = self.take("timeout")
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return value / 1000
        return default

    def variable(self, attribute: str, name: str) -> str:
        """A reference that stands for a credential of the goss file."""
        self.credentials[name] = f"{self.kind} {self.name}: {attribute}"
        return f"{OPEN}{name}{CLOSE}"


def of_list(value: Any) -> Any:
    """A list that is compared with a list of values: each of its items is among the observed ones."""
    return {"contain-elements": value} if isinstance(value, list) and value else value
