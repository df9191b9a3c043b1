"""How a configuration key is declared: `name: type = key("what it means", default=…)` in a `@section` class."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

from maestro_cli import records

_MISSING: Any = dataclasses.MISSING
T = TypeVar("T")


def key(
    doc: str,
    *,
    default: Any = _MISSING,
    factory: Callable[[], Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    example: str | None = None,
) -> Any:
    """Declare a key.

    Args:
        doc: One sentence for the reference page, the JSON Schema and editors.
        default: Its value where absent; a key without a default is required.
        factory: Makes the default, for values that are sections or mappings.
        minimum: Smallest value, for numbers.
        maximum: Largest value, for numbers.
        example: How it is typically written.
    """
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "example": example}
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(key,))
def section(cls: type[T]) -> type[T]:
    """A frozen, keyword-only record whose docstring documents the section."""
    made: type[T] = records.made(cls, kw_only=True)
    return made
