"""CI pipeline files (GitHub, GitLab, Forgejo, CircleCI, Azure, Drone …): the commands they run, and whether a failing
one stops the pipeline. No product is special: wherever a key that holds commands stands, its text is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maestro_cli.errors import MaestroError

MAXIMUM_BYTES = 1_000_000
MAXIMUM_NODES = 50_000
_COMMAND_KEYS = frozenset({"run", "script", "before_script", "command", "commands", "bash", "args", "entrypoint"})
_ENTRIES = frozenset({"args", "entrypoint", "command"})
_IGNORING = ("continue-on-error", "allow_failure", "continueOnError", "ignore_failure")
_GATE = re.compile(
    r"(?:^|[\s;&|(])(?:\S*/)?(?:maestro|-m\s+maestro_cli)\s+(?:--?[\w-]+(?:[= ][^\s-]\S*)?\s+)*?readiness(?![\w-])"
)
_SPEAKING = re.compile(r"^\s*(?:#|echo\b|printf\b|:\s|::)")
_SWALLOWED = re.compile(r"\|\|\s*(?:true|:|exit\s+0|echo\b)")


class PipelineError(MaestroError):
    """The file is no pipeline: not YAML, or no mapping at its top."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command line of a pipeline; `ignored` says why its failure would not stop it, or None."""

    line: str
    ignored: str | None


def parse_pipeline(data: bytes) -> list[Command]:
    """Every command line that a pipeline runs.

    Raises:
        PipelineError: When it is not YAML with a mapping at its top, or far too large once aliases are followed.
    """
    import yaml

    try:
        # One file may hold several documents (Drone, Tekton).
        documents = list(yaml.load_all(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise PipelineError(f"it is not YAML{where}") from None
    if not documents or not all(isinstance(document, Mapping) for document in documents):
        raise PipelineError("it is no mapping, so no pipeline")
    walker = _Walker()
    return [command for document in documents for command in walker.walk(document, None)]


def runs_gate(command: Command) -> bool:
    """Whether it runs `maestro readiness`, and does not merely speak of it."""
    return _GATE.search(command.line) is not None and not _SPEAKING.match(command.line)


class _Walker:
    def __init__(self) -> None:
        self.nodes = 0

    def walk(self, node: Any, ignored: str | None) -> Iterator[Command]:
        """Every command below a node. `ignored` is what an enclosing job or step says of failures."""
        self.nodes += 1
        if self.nodes > MAXIMUM_NODES:
            raise PipelineError("it is too large once its aliases are followed")
        if isinstance(node, Mapping):
            ignored = _ignoring(node) or ignored
            for key, value in node.items():
                if key in _COMMAND_KEYS:
                    yield from _commands(value, ignored, joined=key in _ENTRIES)
                if isinstance(value, Mapping | list):
                    yield from self.walk(value, ignored)
        elif isinstance(node, list):
            for item in node:
                if isinstance(item, Mapping | list):
                    yield from self.walk(item, ignored)


def _ignoring(node: Mapping[Any, Any]) -> str | None:
    for key in _IGNORING:
        value = node.get(key)
        if value is True or (isinstance(value, Mapping) and value) or str(value).strip().lower() == "true":
            return f"{key} is set"
    condition = node.get("if", node.get("when"))
    if condition is False or str(condition).strip().strip("${} ").lower() == "false":
        return "its condition is never true"
    if condition in {"manual", "never"}:
        return f"it runs when: {condition}"
    return None


def _commands(value: Any, ignored: str | None, *, joined: bool) -> Iterator[Command]:
    if isinstance(value, str):
        # A line that ends in a backslash goes on.
        for line in value.replace("\\\n", " ").splitlines():
            yield _command(line, ignored)
    elif isinstance(value, list) and joined and all(isinstance(item, str) for item in value):
        yield _command(" ".join(value), ignored)
        yield from (_command(item, ignored) for item in value)
    elif isinstance(value, list):
        for item in value:
            yield from _commands(item, ignored, joined=False)


def _command(line: str, ignored: str | None) -> Command:
    if ignored is None and _SWALLOWED.search(line):
        ignored = "its failure is swallowed by `||`"
    return Command(line.strip(), ignored)
