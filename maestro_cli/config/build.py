"""Nodes → typed settings, collecting every problem instead of stopping at the first."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from maestro_cli.config.interpolation import Variables, closest, is_secret_name
from maestro_cli.config.source import Node, Problem, scalar_value
from maestro_cli.redaction import Secret, password_in_url

_INVALID: Any = object()
"""A value that could not be built; its problem is already noted."""


EMPTY = ("", "~", "null", "Null", "NULL")
"""How YAML writes nothing."""


@cache
def hints(cls: type) -> dict[str, Any]:
    """The resolved types of a section's keys."""
    return get_type_hints(cls)


def _unwrap_optional(expected: Any) -> tuple[Any, bool]:
    if get_origin(expected) in (Union, types.UnionType):
        members = [member for member in get_args(expected) if member is not type(None)]
        if len(members) == 1:
            return members[0], True
    return expected, False


class Builder:
    """Builds a section and notes problems, secrets and the line of every key on the way."""

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self.problems: list[Problem] = []
        self.secrets: set[str] = set()
        self.lines: dict[str, int] = {}
        self.references: dict[str, tuple[str, ...]] = {}

    def wrong(self, line: int, path: str, message: str) -> Any:
        """Note a problem."""
        self.problems.append(Problem(line, path, message))
        return _INVALID

    def build(self, node: Node, expected: Any, path: str, meta: Mapping[str, Any] = types.MappingProxyType({})) -> Any:
        """The value of `expected` type that the node stands for, or a marker after noting what is wrong."""
        expected, optional = _unwrap_optional(expected)
        if node.kind == "scalar" and node.plain and node.text in EMPTY:
            return self._empty(node, expected, path, optional=optional)
        if dataclasses.is_dataclass(expected):
            return self.section(node, expected, path)  # type: ignore[arg-type] # a dataclass type, not an instance
        origin = get_origin(expected)
        if origin is tuple:
            return self._sequence(node, get_args(expected)[0], path)
        if origin is not None and origin is not Literal:  # Mapping[str, X]
            return self._mapping(node, get_args(expected)[1], path)
        if expected is Any:
            return self._free(node, path)
        if optional and expected in (str, Secret) and self._says_nothing(node, path):
            return None
        return self._scalar(node, expected, path, meta)

    def _empty(self, node: Node, expected: Any, path: str, *, optional: bool) -> Any:
        if dataclasses.is_dataclass(expected):
            # `certs:` with nothing under it asks for the section with its defaults.
            return self.section(Node("mapping", node.line), expected, path)  # type: ignore[arg-type] # a type
        origin = get_origin(expected)
        if optional or expected is Any:
            return None
        if origin is tuple:
            return ()
        if origin is not None and origin is not Literal:
            return {}
        return self.wrong(node.line, path, f"is empty; expected {describe(expected)}")

    def section(self, node: Node, cls: type, path: str) -> Any:
        """A section from a mapping, or from a single value where the section has a key that speaks for it."""
        short = getattr(cls, "shorthand", None)
        if short is not None and node.kind != "mapping":
            node = Node("mapping", node.line, entries={short: (node.line, node)})
        if node.kind != "mapping":
            return self.wrong(node.line, path, f"expected a mapping of keys, got {_kind(node)}")
        fields = {item.name: item for item in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for name, (line, child) in node.entries.items():
            child_path = f"{path}.{name}" if path else name
            if name not in fields:
                similar = closest(name, fields)
                self.wrong(
                    line,
                    child_path,
                    "unknown key"
                    + (f'; did you mean "{similar}"?' if similar else f"; known here: {', '.join(fields)}"),
                )
                continue
            self.lines[child_path] = line
            values[name] = self.build(child, hints(cls)[name], child_path, fields[name].metadata)
        missing = [
            name
            for name, item in fields.items()
            if name not in values
            and item.default is dataclasses.MISSING
            and item.default_factory is dataclasses.MISSING
        ]
        for name in missing:
            self.wrong(node.line, f"{path}.{name}" if path else name, f"is required ({fields[name].metadata['doc']})")
        if missing or any(value is _INVALID for value in values.values()):
            return _INVALID
        made = cls(**values)
        for sub, message in made.problems() if hasattr(made, "problems") else ():
            self.wrong(self._line(f"{path}{sub}", node.line), f"{path}{sub}", message)
        return made

    def _line(self, path: str, otherwise: int) -> int:
        """The line of a key, or of what it stands in."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, otherwise)

    def _sequence(self, node: Node, item: Any, path: str) -> Any:
        if node.kind != "sequence":
            return self.wrong(node.line, path, f"expected a list, got {_kind(node)}; write [ … ] or lines with -")
        values = []
        for index, child in enumerate(node.items):
            self.lines[f"{path}[{index}]"] = child.line
            values.append(self.build(child, item, f"{path}[{index}]"))
        return _INVALID if any(value is _INVALID for value in values) else tuple(values)

    def _mapping(self, node: Node, item: Any, path: str) -> Any:
        if node.kind != "mapping":
            return self.wrong(node.line, path, f"expected a mapping of names, got {_kind(node)}")
        values = {}
        for name, (line, child) in node.entries.items():
            self.lines[f"{path}.{name}"] = line
            values[name] = self.build(child, item, f"{path}.{name}")
        return _INVALID if any(value is _INVALID for value in values.values()) else values

    def _free(self, node: Node, path: str) -> Any:
        """A value of any shape (request bodies, declared checks), interpolated, with ordinary Python types."""
        if node.kind == "sequence":
            return self._sequence(node, Any, path)
        if node.kind == "mapping":
            return self._mapping(node, Any, path)
        placeholder = node.text.startswith("{") and node.text.endswith("}")
        text = self._text(node, path, secret=not placeholder and is_secret_name(path.rsplit(".", 1)[-1]))
        return text if text is _INVALID else scalar_value(text, plain=node.plain)

    def _text(self, node: Node, path: str, *, secret: bool) -> Any:
        text, used, wrong = self.variables.substitute(node.text)
        for message in wrong:
            self.wrong(node.line, path, message)
        if used:
            self.references[path] = tuple(used)
        for name in used:
            value = self.variables.get(name)
            if value and is_secret_name(name):
                self.secrets.add(value)
        if text and (secret or password_in_url(text)):
            self.secrets.add(text)
        return _INVALID if wrong else text

    def _says_nothing(self, node: Node, path: str) -> bool:
        """Whether an optional text is left open: `""`, or `${NAME:-}` of a variable that is not set.

        `${NAME}` of a variable that is set to nothing is a mistake (a pipeline's secret that does not exist), and noted.
        """
        if node.kind != "scalar":
            return False
        text, used, wrong = self.variables.substitute(node.text)
        if text or wrong:
            return False
        if used:
            self.wrong(node.line, path, f"is empty: {used[0]} is set to nothing; ${{{used[0]}:-}} leaves the key open")
        return True

    def _scalar(self, node: Node, expected: Any, path: str, meta: Mapping[str, Any]) -> Any:
        if node.kind != "scalar":
            return self.wrong(node.line, path, f"expected {describe(expected)}, got {_kind(node)}")
        text = self._text(node, path, secret=expected is Secret)
        if text is _INVALID:
            return _INVALID
        # Inside { } YAML wants "${NAME}" in quotes; what it stands for may be a number all the same.
        value = scalar_value(text, plain=node.plain or "${" in node.text)
        if expected is Secret or expected is str:
            return self._string(node, text, value, expected, path)
        if get_origin(expected) is Literal:
            return self._choice(node, text, value, get_args(expected), path)
        if expected is dt.date:
            if isinstance(value, str):
                value = scalar_value(value, plain=True)  # in quotes it is a date all the same
            if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
                return self.wrong(node.line, path, "expected a date, YYYY-MM-DD")
            return value
        return self._number(node, value, expected, path, meta)

    def _string(self, node: Node, text: str, value: object, expected: Any, path: str) -> Any:
        if not isinstance(value, str) and node.plain and "${" not in node.text:
            # A secret's value stays unsaid even where it is the mistake.
            shown = "" if expected is Secret else f': write "{text}"'
            return self.wrong(node.line, path, f"YAML reads this as {_named(value)}; put it in quotes{shown}")
        return Secret(text) if expected is Secret else text

    def _choice(self, node: Node, text: str, value: object, choices: tuple[Any, ...], path: str) -> Any:
        for choice in choices:
            if value == choice and type(value) is type(choice):
                return choice
        similar = closest(text, [str(choice) for choice in choices])
        hint = f'; did you mean "{similar}"?' if similar else ""
        return self.wrong(node.line, path, f"must be {' or '.join(str(choice) for choice in choices)}{hint}")

    def _number(self, node: Node, value: object, expected: Any, path: str, meta: Mapping[str, Any]) -> Any:
        right = (
            isinstance(value, bool)
            if expected is bool
            else (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and (expected is float or isinstance(value, int))
            )
        )
        if not right:
            return self.wrong(node.line, path, f"expected {describe(expected)}, got {_named(value)}")
        if expected is bool:
            return value
        number: float = value  # type: ignore[assignment] # seen to be a number above
        low, high = meta.get("minimum"), meta.get("maximum")
        if isinstance(number, float) and not math.isfinite(number):
            return self.wrong(node.line, path, "must be a finite number")
        if (low is not None and number < low) or (high is not None and number > high):
            bounds = (
                f"from {low:g} to {high:g}"
                if low is not None and high is not None
                else (f"at least {low:g}" if low is not None else f"at most {high:g}")
            )
            return self.wrong(node.line, path, f"is {number:g}; must be {bounds}")
        return number


def describe(expected: Any) -> str:
    """A type, in words."""
    if get_origin(expected) is Literal:
        return " or ".join(str(choice) for choice in get_args(expected))
    names = {str: "a text", Secret: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(expected, "a date" if expected is dt.date else "a value")


def _kind(node: Node) -> str:
    return {"scalar": "a single value", "sequence": "a list", "mapping": "a mapping"}[node.kind]


def _named(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, dt.date):
        return "a date"
    return "a text" if isinstance(value, str) else "nothing"


def is_invalid(value: object) -> bool:
    """Whether building failed."""
    return value is _INVALID
