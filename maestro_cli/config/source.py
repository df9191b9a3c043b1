"""Reading YAML without its traps: a tree of values that remember their line.

PyYAML's own constructors lose positions, let a later duplicate key win silently, and expand a few hundred bytes of
aliases into gigabytes. Here the parser's events become `Node`s, and each of those is an error with its line.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from maestro_cli.records import record

MAXIMUM_BYTES = 1_000_000
"""A configuration is written by hand; a larger file is something else."""
MAXIMUM_VALUES = 20_000
MAXIMUM_DEPTH = 64

_BOOL = "tag:yaml.org,2002:bool"


@record(frozen=True)
class Problem:
    """One thing that is wrong, with its place."""

    line: int
    key: str
    message: str


@dataclass(slots=True)
class Node:
    """A value of the file: a scalar's text, or the items of a sequence or mapping."""

    kind: Literal["scalar", "sequence", "mapping"]
    line: int
    text: str = ""
    plain: bool = False
    items: list[Node] = field(default_factory=list)
    entries: dict[str, tuple[int, Node]] = field(default_factory=dict)


class UnreadableError(Exception):
    """The file is not YAML that can be read; holds the problems found so far."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems)
        self.problems = problems


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        UnreadableError: When it is missing, not a regular file, too large or not UTF-8 text.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableError(Problem(0, "", "is a directory, not a file"))
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(Problem(0, "", "is not a regular file"))
        if status.st_size > MAXIMUM_BYTES:
            size = f"{status.st_size / 1e6:.0f} MB" if status.st_size >= 2e6 else f"{status.st_size:,} bytes"
            raise UnreadableError(
                Problem(0, "", f"is {size}; a configuration file holds at most {MAXIMUM_BYTES:,} bytes")
            )
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableError(Problem(0, "", "does not exist")) from error
    except OSError as error:
        raise UnreadableError(Problem(0, "", f"cannot be read: {error.strerror}")) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(Problem(line, "", f"is not UTF-8 text (byte {error.start})")) from error
    control = next((i for i, c in enumerate(text) if c < " " and c not in "\t\n\r"), None)
    if control is not None:
        line = text.count("\n", 0, control) + 1
        raise UnreadableError(
            Problem(line, "", f"holds a control character (U+{ord(text[control]):04X}); not a text file")
        )
    return text


def parse(text: str, *, merging: bool = False) -> tuple[Node | None, list[Problem]]:
    """The file's value (None for an empty file), and the problems that do not keep it from being read.

    Args:
        text: The file.
        merging: Follow merge keys (`<<`), as files of other tools use them.

    Raises:
        UnreadableError: When the text is not YAML.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Composer(merging=merging).compose(yaml.parse(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise UnreadableError(Problem(line, "", _explain(error, text, line))) from error
    except yaml.YAMLError as error:
        raise UnreadableError(Problem(1, "", "is not YAML")) from error
    except RecursionError as error:
        raise UnreadableError(Problem(1, "", f"is nested more than {MAXIMUM_DEPTH} deep")) from error


def _explain(error: Any, text: str, line: int) -> str:
    lines = text.splitlines()
    shown = lines[line - 1] if 0 < line <= len(lines) else ""
    indent = shown[: len(shown) - len(shown.lstrip())]
    if "\t" in indent or "'\\t'" in str(error.problem):
        return "a tab stands where YAML wants spaces; indent with spaces"
    problem = str(error.problem or "is not YAML")
    if "${" in shown and "{" in shown.replace("${", "", 1):
        return 'not valid YAML: inside { } write references in quotes, "${NAME}"'
    # The parser's own words hold no values of the file, only what kind of token it met.
    return f"not valid YAML: {problem}" + (f" ({error.context})" if error.context else "")


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


class _Composer:
    """Turns parser events into nodes without recursion, counting what aliases expand to."""

    def __init__(self, *, merging: bool) -> None:
        self.merging = merging
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.sizes: dict[int, int] = {}

    def compose(self, events: Iterable[Any]) -> tuple[Node | None, list[Problem]]:
        import yaml

        event: Any  # the parser's marks are never absent, whatever their stubs say
        root: Node | None = None
        stack: list[tuple[Node, list[Node], str | None]] = []
        documents = 0
        for event in events:
            if type(event) is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    line = _line(event)
                    raise UnreadableError(Problem(line, "", "holds a second document (---); write one"))
            elif type(event) in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
                node, children, anchor = stack.pop()
                self._finish(node, children, anchor)
                root = self._place(stack, node, root)
            elif type(event) in (yaml.MappingStartEvent, yaml.SequenceStartEvent):
                if len(stack) >= MAXIMUM_DEPTH:
                    line = _line(event)
                    raise UnreadableError(Problem(line, "", f"is nested more than {MAXIMUM_DEPTH} deep"))
                self._refuse_tag(event)
                kind: Literal["mapping", "sequence"] = (
                    "mapping" if isinstance(event, yaml.MappingStartEvent) else "sequence"
                )
                stack.append((Node(kind, _line(event)), [], event.anchor))
            elif type(event) is yaml.ScalarEvent:
                self._refuse_tag(event)
                node = Node("scalar", _line(event), event.value, plain=bool(event.implicit[0]))
                self._remember(node, event.anchor, 1)
                root = self._place(stack, node, root)
            elif type(event) is yaml.AliasEvent:
                root = self._place(stack, self._alias(event), root)
        return root, self.problems

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag != "!":
            line = _line(event)
            raise UnreadableError(Problem(line, "", "uses a YAML tag (!…); plain values only"))

    def _alias(self, event: Any) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            line = _line(event)
            raise UnreadableError(
                Problem(line, "", f"*{event.anchor} refers to an anchor that is not defined above it")
            )
        return node

    def _remember(self, node: Node, anchor: str | None, size: int) -> None:
        if size > MAXIMUM_VALUES:
            raise UnreadableError(
                Problem(node.line, "", f"expands to more than {MAXIMUM_VALUES:,} values (aliases of aliases?)")
            )
        self.sizes[id(node)] = size
        if anchor is not None:
            self.anchors[anchor] = node

    @staticmethod
    def _place(stack: list[tuple[Node, list[Node], str | None]], node: Node, root: Node | None) -> Node | None:
        if not stack:
            return node
        stack[-1][1].append(node)
        return root

    def _finish(self, node: Node, children: list[Node], anchor: str | None) -> None:
        self._remember(node, anchor, 1 + sum(self.sizes.get(id(child), 1) for child in children))
        if node.kind == "sequence":
            node.items = children
            return
        merged: list[Node] = []
        for name, value in zip(children[::2], children[1::2], strict=True):
            if name.kind != "scalar":
                self.problems.append(Problem(name.line, "", "a key must be a name, not a list or a mapping"))
            elif name.text == "<<" and name.plain and self.merging:
                merged += value.items if value.kind == "sequence" else [value]
            elif name.text == "<<" and name.plain:
                self.problems.append(Problem(name.line, "<<", "merge keys are not supported; write the keys out"))
            elif name.text in node.entries:
                first = node.entries[name.text][0]
                self.problems.append(Problem(name.line, name.text, f"written twice; first in line {first}"))
            else:
                node.entries[name.text] = (name.line, value)
        for other in merged:  # a key of the mapping itself wins, then the first that is merged
            node.entries = {**other.entries, **node.entries}


def scalar_value(text: str, *, plain: bool) -> object:
    """What YAML 1.1 makes of a scalar: text, number, truth value, date or None."""
    import yaml

    if not plain:
        return text
    loader: Any = yaml.SafeLoader("")
    try:
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))
        if tag == "tag:yaml.org,2002:str":
            return text
        return loader.construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, yaml.YAMLError):
        return text
    finally:
        loader.dispose()
