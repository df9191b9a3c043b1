"""JSON Schemas inside an OpenAPI document: following references, and making a value that fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

MAXIMUM_DEPTH = 12
MAXIMUM_STEPS = 200_000
"""References that are followed in one document: a hostile one multiplies them at every level."""
FORMATS = {
    "email": "maestro-probe-{nonce}@example.test",
    "date": "2030-01-01",
    "date-time": "2030-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "uri": "https://example.test/maestro-probe-{nonce}",
    "url": "https://example.test/maestro-probe-{nonce}",
    "ipv4": "192.0.2.1",
    "hostname": "maestro-probe.example.test",
}
"""Format → a text of it; addresses and names are those of RFC 2606 and RFC 5737, which lead nowhere."""


class Schemas:
    """The schemas of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._steps = 0

    def resolve(self, schema: Any, depth: int = 0) -> Mapping[str, Any]:
        """The schema itself behind `$ref`, with what `allOf` and a nullable `anyOf` come to."""
        self._steps += 1
        if not isinstance(schema, Mapping) or depth > MAXIMUM_DEPTH or self._steps > MAXIMUM_STEPS:
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self.resolve(self._at(reference), depth + 1)
        parts = schema.get("allOf")
        if isinstance(parts, list):
            return self._merged([schema, *(self.resolve(part, depth + 1) for part in parts)])
        for name in ("anyOf", "oneOf"):
            rows = schema.get(name)
            if isinstance(rows, list):
                rows = [row for row in (self.resolve(part, depth + 1) for part in rows) if row.get("type") != "null"]
                if rows:
                    return {**rows[0], **{key: schema[key] for key in ("default", "example") if key in schema}}
        return schema

    @staticmethod
    def _merged(parts: list[Mapping[str, Any]]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for part in parts:
            for key, value in part.items():
                if key == "properties" and isinstance(value, Mapping):
                    merged["properties"] = {**merged.get("properties", {}), **value}
                elif key == "required" and isinstance(value, list):
                    merged["required"] = [*merged.get("required", []), *value]
                elif key != "allOf":
                    merged[key] = value
        return merged

    def _at(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            return {}  # another file: not read
        node: Any = self._document
        for step in reference[2:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 - RFC 6901 §4
            node = node.get(step) if isinstance(node, Mapping) else None
        return node

    def properties(self, schema: Any) -> Mapping[str, Any]:
        """The properties of an object's schema."""
        found = self.resolve(schema).get("properties")
        return found if isinstance(found, Mapping) else {}

    def request(self, operation: Mapping[str, Any]) -> tuple[str, Any]:
        """How the body is encoded (`json`, `form`) and its schema."""
        content = self.resolve(operation.get("requestBody")).get("content")
        if isinstance(content, Mapping):
            for kind, encoding in (("application/json", "json"), ("application/x-www-form-urlencoded", "form")):
                if isinstance(content.get(kind), Mapping):
                    return encoding, content[kind].get("schema", {})
            return "json", {}
        parameters = [self.resolve(row) for row in operation.get("parameters") or []]  # Swagger 2
        body = next((row.get("schema") for row in parameters if row.get("in") == "body"), None)
        if body is not None:
            return "json", body
        form = [row for row in parameters if row.get("in") == "formData"]
        required = [row["name"] for row in form if row.get("required") and "name" in row]
        named = {row["name"]: row for row in form if "name" in row}
        return ("form", {"type": "object", "properties": named, "required": required}) if form else ("json", {})

    def response(self, operation: Mapping[str, Any]) -> Any:
        """The schema of the answer when all is well."""
        responses = operation.get("responses")
        for status in ("200", "201", 200, 201, "202", "2XX", "default"):
            row = self.resolve(responses.get(status)) if isinstance(responses, Mapping) else {}
            content = row.get("content")
            if isinstance(content, Mapping):
                kind = next((content[name] for name in content if "json" in str(name)), None)
                if isinstance(kind, Mapping):
                    return kind.get("schema", {})
            if "schema" in row:
                return row["schema"]
        return {}

    def find(self, schema: Any, names: Iterable[str], depth: int = 0) -> str | None:
        """Where a property of one of these names stands: `id`, `data.id`."""
        properties = self.properties(schema)
        for name in names:
            if name in properties:
                return name
        for outer, inner in properties.items() if depth < 2 else ():
            found = self.find(inner, names, depth + 1)
            if found is not None:
                return f"{outer}.{found}"
        return None


def sample(schemas: Schemas, schema: Any, name: str = "", depth: int = 0) -> Any:
    """A value that fits a schema, with only what is required; None where none can be made up.

    Args:
        schemas: The document's schemas.
        schema: The schema of the value.
        name: The property's name, for texts.
        depth: How deep it stands.
    """
    found = schemas.resolve(schema)
    if depth > MAXIMUM_DEPTH:
        return None
    for key in ("const", "default", "example"):
        if found.get(key) is not None and depth > 0 and not (key == "example" and _is_text(found)):
            return found[key]
    if isinstance(found.get("enum"), list) and found["enum"]:
        return found["enum"][0]
    kind = found.get("type")
    kind = next((row for row in kind if row != "null"), None) if isinstance(kind, list) else kind
    if kind == "object" or "properties" in found:
        return _object(schemas, found, depth)
    if kind == "array":
        rows = [sample(schemas, found.get("items"), name, depth + 1)] if found.get("minItems") else []
        return None if None in rows else rows
    if kind in ("integer", "number"):
        return _number(found)
    if kind == "boolean":
        return False
    return _text(found) if kind == "string" else None


def _is_text(schema: Mapping[str, Any]) -> bool:
    """A text that may be anything is better marked as a probe's than copied from an example."""
    return schema.get("type") == "string" and not schema.get("pattern") and not schema.get("format")


def _object(schemas: Schemas, schema: Mapping[str, Any], depth: int) -> dict[str, Any] | None:
    # What the service alone sets (OpenAPI 3.0, Schema Object) is no part of a request, though "required" names it.
    properties = {
        name: inner for name, inner in schemas.properties(schema).items() if not schemas.resolve(inner).get("readOnly")
    }
    required = [name for name in schema.get("required") or [] if name in properties]
    if not required and depth == 0:  # nothing is asked for: say at least what it is called
        called = [name for name in properties if str(name).endswith(("_name", "_title"))]
        required = [name for name in ("name", "title", "label", *called, "description") if name in properties][:1]
    values = {str(name): sample(schemas, properties[name], str(name), depth + 1) for name in required}
    return None if None in values.values() else values


def _number(schema: Mapping[str, Any]) -> Any:
    low, high = schema.get("minimum"), schema.get("maximum")
    exclusive = schema.get("exclusiveMinimum")
    if isinstance(exclusive, int | float) and not isinstance(exclusive, bool):
        low = exclusive + 1
    value = low if isinstance(low, int | float) else 1
    return min(value, high) if isinstance(high, int | float) else value


def _text(schema: Mapping[str, Any]) -> str | None:
    given = schema.get("example")
    kind = schema.get("format")
    if kind in FORMATS:
        return FORMATS[kind]
    if kind in ("binary", "byte", "uuid"):  # a file, or the id of something that must be there
        return given if isinstance(given, str) else None
    candidates = (
        "maestro-probe-{nonce}",
        "maestro_probe_{nonce}",
        "maestroprobe{nonce}",
        given,
        "maestro",
        "probe",
        "1",
    )
    return next((text for text in candidates if isinstance(text, str) and _fits(text, schema)), None)


def _fits(text: str, schema: Mapping[str, Any]) -> bool:
    """Whether a text, its nonce filled in, is as long as it may be and follows the pattern."""
    filled = text.replace("{nonce}", "0123456789ab")
    longest, shortest, pattern = (schema.get(name) for name in ("maxLength", "minLength", "pattern"))
    if isinstance(longest, int) and len(filled) > longest:
        return False
    if isinstance(shortest, int) and len(filled) < shortest:
        return False
    try:
        return not isinstance(pattern, str) or re.search(pattern, filled) is not None
    except re.error:  # a pattern of another dialect: nobody knows
        return False
