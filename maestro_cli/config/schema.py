"""The JSON Schema of maestro.yaml (draft 2020-12), made from the settings themselves, and the same as a text."""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from maestro_cli.config.build import describe, hints
from maestro_cli.config.settings import Settings
from maestro_cli.redaction import Secret

_REFERENCE = r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-.*)?\}"


def json_schema() -> dict[str, Any]:
    """The schema that editors use: `# yaml-language-server: $schema=maestro.schema.json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "maestro.yaml",
        **_section(Settings),
    }


def _section(cls: type) -> dict[str, Any]:
    fields = dataclasses.fields(cls)
    required = [
        item.name
        for item in fields
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    ]
    schema: dict[str, Any] = {
        "type": "object",
        "description": inspect.getdoc(cls) or "",
        "additionalProperties": False,
        "properties": {item.name: _key(item, hints(cls)[item.name]) for item in fields},
    }
    if required:
        schema["required"] = required
    short = getattr(cls, "shorthand", None)
    if short is None:
        return schema
    values = {"type": ["string", "array"]} if hints(cls)[short] is Any else {"type": "string"}
    return {"anyOf": [schema, {**values, "description": f"Short for {{{short}: …}}."}]}


def _key(item: dataclasses.Field[Any], expected: Any) -> dict[str, Any]:
    schema = _value(expected, item.metadata)
    schema["description"] = item.metadata["doc"]
    if item.metadata.get("example"):
        schema["examples"] = [item.metadata["example"]]
    default = item.default
    if default is not dataclasses.MISSING and default is not None and not isinstance(default, Secret):
        schema["default"] = list(default) if isinstance(default, tuple) else default
    return schema


def _value(expected: Any, meta: Any = types.MappingProxyType({})) -> dict[str, Any]:
    if get_origin(expected) in (Union, types.UnionType):
        members = [member for member in get_args(expected) if member is not type(None)]
        optional = {"anyOf": [_value(members[0], meta), {"type": "null"}]}
        return _value(members[0], meta) if len(members) == 1 and not dataclasses.is_dataclass(members[0]) else optional
    if dataclasses.is_dataclass(expected):
        return _section(expected)  # type: ignore[arg-type] # a dataclass type, not an instance
    origin = get_origin(expected)
    if origin is tuple:
        return {"type": "array", "items": _value(get_args(expected)[0])}
    if origin is Literal:
        return {"enum": list(get_args(expected))}
    if origin is not None:
        return {"type": "object", "additionalProperties": _value(get_args(expected)[1])}
    return _scalar(expected, meta)


def _scalar(expected: Any, meta: Any) -> dict[str, Any]:
    if expected is Any:
        return {}
    if expected in (str, Secret):
        return {"type": "string"}
    if expected is dt.date:
        return {"type": "string", "format": "date"}
    number: dict[str, Any] = {"type": {int: "integer", float: "number", bool: "boolean"}[expected]}
    if meta.get("minimum") is not None:
        number["minimum"] = meta["minimum"]
    if meta.get("maximum") is not None:
        number["maximum"] = meta["maximum"]
    # A number may also come from the environment: `requests: ${LIMIT:-60}`.
    return {"anyOf": [number, {"type": "string", "pattern": _REFERENCE}]}


def text() -> str:
    """Every key with its type, default and meaning, one a line."""
    return "\n".join(_lines(Settings, "")) + "\n"


def _lines(cls: type, prefix: str) -> Iterator[str]:
    for item in dataclasses.fields(cls):
        expected = hints(cls)[item.name]
        inner, suffix = _inner(expected)
        kind = "section" if dataclasses.is_dataclass(inner) else _described(expected)
        default = "" if item.default in (dataclasses.MISSING, None, ()) else f" (default: {_plain(item.default)})"
        yield f"{prefix}{item.name}{suffix}: {kind} - {item.metadata['doc']}{default}"
        if dataclasses.is_dataclass(inner):
            yield from _lines(inner, f"{prefix}{item.name}{suffix}.")  # type: ignore[arg-type] # a dataclass type


def _inner(expected: Any) -> tuple[Any, str]:
    if get_origin(expected) in (Union, types.UnionType):
        expected = next(member for member in get_args(expected) if member is not type(None))
    if get_origin(expected) is tuple:
        return get_args(expected)[0], "[]"
    if get_origin(expected) not in (None, Literal):
        return get_args(expected)[1], ".NAME"
    return expected, ""


def _described(expected: Any) -> str:
    inner, suffix = _inner(expected)
    words = describe(inner)
    return f"list of {words.removeprefix('a ')}s" if suffix == "[]" else words


def _plain(default: Any) -> str:
    return ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
