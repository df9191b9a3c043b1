"""How a configuration key is declared: `name: type = key("what it means", default=…)` in a `@section` class."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

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
    """A frozen, keyword-only dataclass whose docstring documents the section.

    `dataclasses` compiles six methods for every class; with forty sections that is a tenth of a short run's time. The
    methods below do the same for all of them.
    """
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=True)(cls)
    made.__init__, made.__setattr__, made.__delattr__ = _init, _frozen, _frozen
    made.__eq__, made.__hash__, made.__repr__ = _equal, _hash, _repr
    return cls


def _init(self: Any, **values: Any) -> None:
    item: Any
    for item in dataclasses.fields(self):
        if item.name in values:
            value = values.pop(item.name)
        elif item.default is not _MISSING:
            value = item.default
        elif item.default_factory is not _MISSING:
            value = item.default_factory()
        else:
            raise TypeError(f"{type(self).__name__} needs {item.name}")
        object.__setattr__(self, item.name, value)
    if values:
        raise TypeError(f"{type(self).__name__} has no {', '.join(values)}")


def _frozen(self: Any, name: str, _value: Any = None) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change {name} of {type(self).__name__}")


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, item.name) for item in dataclasses.fields(self))


def _equal(self: Any, other: object) -> bool:
    return type(other) is type(self) and _values(self) == _values(other)


def _hash(self: Any) -> int:
    return hash((type(self), _values(self)))


def _repr(self: Any) -> str:
    inside = ", ".join(f"{item.name}={getattr(self, item.name)!r}" for item in dataclasses.fields(self))
    return f"{type(self).__name__}({inside})"
