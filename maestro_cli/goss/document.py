"""A goss file and the files that it includes → declared checks, and the list of what was left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from maestro_cli.config.interpolation import closest
from maestro_cli.config.source import Node, UnreadableError, parse, read_text, scalar_value
from maestro_cli.errors import ConfigurationError
from maestro_cli.goss import machine, network
from maestro_cli.goss.entry import CLOSE, OPEN, DeclaredRow, Entry, LeftOut

RESOURCES: Mapping[str, Callable[[Entry], Iterator[DeclaredRow]]] = {
    "file": machine.file,
    "package": machine.package,
    "service": machine.service,
    "port": machine.port,
    "process": machine.process,
    "user": machine.user,
    "group": machine.group,
    "mount": machine.mount,
    "interface": machine.interface,
    "kernel-param": machine.kernel_param,
    "http": network.http,
    "addr": network.addr,
    "dns": network.dns,
    "command": network.command,
}
"""goss's resource → what makes checks of it."""
MAXIMUM_FILES = 100
_ENVIRONMENT = re.compile(
    r"""\{\{-?\s*(?:\.Env\.(?P<name>\w+)|getEnv\s+"(?P<get>\w+)"(?:\s+"(?P<default>[^"}]*)")?)\s*-?\}\}"""
)


@dataclass
class Translation:
    """What a goss file comes to.

    Attributes:
        checks: Rows of `checks:` in maestro.yaml, with ids.
        left_out: What has no counterpart.
        credentials: Variable → the credential of the goss file that it must hold.
    """

    checks: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    credentials: dict[str, str] = field(default_factory=dict)
    _ids: set[str] = field(default_factory=set)

    def add(self, row: DeclaredRow) -> None:
        """Add a check under an id of its own."""
        words = re.sub(r"[^a-z0-9]+", "-", row.stem.lower()).strip("-")[:70].strip("-") or "check"
        number, identifier = 1, f"health.{words}"
        while identifier in self._ids:
            number += 1
            identifier = f"health.{words}-{number}"
        self._ids.add(identifier)
        check: dict[str, Any] = {"id": identifier}
        check |= {name: text for name, text in (("title", row.title), ("why", row.why)) if text}
        self.checks.append(_escaped({**check, row.kind: dict(row.subject)}))


def translate(path: Path, *, taken: Iterable[str] = ()) -> Translation:
    """Read a goss file.

    Args:
        path: The file, YAML or JSON.
        taken: Ids that stand for other checks already.

    Raises:
        ConfigurationError: When it is no goss file, or holds templates that goss itself must render.
    """
    translation = Translation(_ids=set(taken))
    _file(path, str(path), translation, set())
    return translation


def _file(path: Path, shown: str, translation: Translation, seen: set[Path]) -> None:
    if path.resolve() in seen:
        return
    seen.add(path.resolve())
    if len(seen) > MAXIMUM_FILES:
        raise ConfigurationError(f"{shown}: more than {MAXIMUM_FILES} goss files include each other")
    for kind, (line, node) in _read(path, shown).entries.items():
        if kind == "gossfile":
            _included(node, path, translation, seen)
        elif kind not in RESOURCES or node.kind != "mapping":
            known = "matching compares two constants of the file; nothing is observed"
            similar = closest(kind, RESOURCES)
            meant = f"; did you mean {similar}?" if similar and similar != kind else ""
            reason = known if kind == "matching" else f"maestro knows no such resource{meant}"
            if node.kind != "mapping" or not node.entries:
                translation.left_out.append(LeftOut(f"{shown}:{line}", kind, reason))
            for name, (at, _) in node.entries.items():
                translation.left_out.append(LeftOut(f"{shown}:{at}", f"{kind} {name}", reason))
        else:
            for name, (at, value) in node.entries.items():
                _resource(_entry(kind, name, at, value, shown), translation)


def _read(path: Path, shown: str) -> Node:
    hint = "Let goss render it first: goss --gossfile FILE [--vars VARS] render > rendered.yaml"
    try:
        text = _ENVIRONMENT.sub(_variable, _without_tabs(read_text(path)))
        at = text.find("{{")
        if at >= 0:
            line = text.count("\n", 0, at) + 1
            raise ConfigurationError(f"{shown}:{line}: holds a template that only goss can fill in", hint=hint)
        root, problems = parse(text, merging=True)
    except UnreadableError as error:
        problems, root = list(error.problems), None
    if problems:
        places = (f"{shown}:{row.line}" if row.line else shown for row in problems)
        rows = [
            ": ".join(filter(None, (place, row.key, row.message))) for place, row in zip(places, problems, strict=True)
        ]
        raise ConfigurationError("\n".join(rows))
    if root is None or root.kind != "mapping":
        raise ConfigurationError(
            f"{shown} is no goss file: it holds no mapping of resources",
            hint=f"Resources are: {', '.join(RESOURCES)}. See https://goss.rocks",
        )
    return root


def _without_tabs(text: str) -> str:
    """JSON may be indented with tabs, of which YAML wants none."""
    if "\t" not in text or not text.lstrip().startswith("{"):
        return text
    import json

    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _variable(match: re.Match[str]) -> str:
    name = match["name"] or match["get"]
    default = f":-{match['default']}" if match["default"] is not None else ""
    return f"{OPEN}{name}{default}{CLOSE}"


def _included(node: Node, path: Path, translation: Translation, seen: set[Path]) -> None:
    for name, (line, value) in node.entries.items():
        attributes = _plain(value)
        attributes = attributes if isinstance(attributes, dict) else {}
        pattern = str(attributes.get("file", name))
        place = f"{path}:{line}"
        if attributes.get("skip") is True:
            translation.left_out.append(LeftOut(place, f"gossfile {name}", "skipped in the goss file"))
            continue
        found = [Path(pattern)] if Path(pattern).is_absolute() else sorted(path.parent.glob(pattern))
        if not found:
            raise ConfigurationError(f"{place}: gossfile {pattern} does not exist")
        for file in found:
            _file(file, str(file), translation, seen)


def _entry(kind: str, name: str, line: int, node: Node, shown: str) -> Entry:
    value = _plain(node)
    lines = {"": line, **{attribute: at for attribute, (at, _) in node.entries.items()}}
    attributes = value if isinstance(value, dict) else {}
    mode = node.entries.get("mode")
    if mode is not None and mode[1].kind == "scalar":
        attributes["mode"] = mode[1].text  # 0644 without quotes is a number to YAML
    return Entry(kind, name, attributes, shown, lines)


def _plain(node: Node) -> Any:
    if node.kind == "sequence":
        return [_plain(item) for item in node.items]
    if node.kind == "mapping":
        return {name: _plain(item) for name, (_, item) in node.entries.items()}
    value = scalar_value(node.text, plain=node.plain)
    return value if value is None or isinstance(value, str | int | float | bool) else node.text


def _resource(entry: Entry, translation: Translation) -> None:
    if entry.take("skip") is True:
        entry.refuse("skipped in the goss file")
        translation.left_out += entry.left_out
        return
    title = entry.take("title")
    meta = entry.take("meta")
    why = meta.pop("desc", meta.pop("description", "")) if isinstance(meta, dict) else ""
    if isinstance(meta, dict) and meta:
        entry.leave_out("meta", f"{', '.join(map(str, meta))}: kept by goss for people, read by nobody")
    rows = list(RESOURCES[entry.kind](entry))
    for row in rows:
        titled = title if isinstance(title, str) else row.title
        translation.add(replace(row, title=titled, why=str(why or "")))
    for attribute in entry.attributes:
        entry.leave_out(attribute, "has no counterpart")
    translation.left_out += entry.left_out
    translation.credentials |= entry.credentials


def _escaped(value: Any) -> Any:
    """The value with `${` written as maestro.yaml wants it, and variables as references."""
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("${", "$${").replace(OPEN, "${").replace(CLOSE, "}") if isinstance(value, str) else value
