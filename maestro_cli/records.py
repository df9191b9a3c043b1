"""`@record(frozen=True)`: a frozen dataclass that costs no start-up.

`dataclasses` writes and compiles six functions for every frozen class; the sixty that each run imports take a tenth of
a short run that way. The functions below do the same for all of them. `fields`, `replace`, `asdict` and pickle work as with
any dataclass, and to a type checker it is one.

For what every run imports. Elsewhere `dataclasses.dataclass` is right.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

__all__ = ["made", "record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(*, frozen: bool, kw_only: bool = False) -> Any:
        """Make a class a record; there are only frozen ones."""
        assert frozen  # noqa: S101 - spelled out for the type checker and for the reader
        return lambda cls: made(cls, kw_only=kw_only)


def made(cls: Any, *, kw_only: bool = False) -> Any:
    """The class as a record."""
    cls = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
    fields = [item for item in dataclasses.fields(cls) if item.init]
    cls.__record_names__ = tuple(item.name for item in fields)
    cls.__record_positional__ = tuple(item.name for item in fields if not item.kw_only)
    cls.__record_defaults__ = {item.name: item.default for item in fields if item.default is not dataclasses.MISSING}
    cls.__record_factories__ = tuple(
        (item.name, item.default_factory) for item in fields if item.default_factory is not dataclasses.MISSING
    )
    cls.__init__, cls.__setattr__, cls.__delattr__ = _init, _refuse, _refuse
    cls.__eq__, cls.__hash__ = _equal, _hash
    if "__repr__" not in cls.__dict__:
        cls.__repr__ = _repr
    return cls


def _init(self: Any, *values: Any, **named: Any) -> None:
    cls, held = type(self), self.__dict__
    positional = cls.__record_positional__
    held.update(cls.__record_defaults__)
    held.update(zip(positional, values, strict=False))
    held.update(named)
    for name, factory in cls.__record_factories__:
        if name not in held:
            held[name] = factory()
    names = cls.__record_names__
    if (
        len(held) != len(names)
        or len(values) > len(positional)
        or (values and not named.keys().isdisjoint(positional[: len(values)]))
    ):
        raise TypeError(_what_is_wrong(cls, values, named))


def _what_is_wrong(cls: Any, values: tuple[Any, ...], named: dict[str, Any]) -> str:
    given = [*cls.__record_positional__[: len(values)], *named]
    if len(values) > len(cls.__record_positional__):
        return f"{cls.__name__} takes {len(cls.__record_positional__)} values by position, not {len(values)}"
    unknown = [name for name in given if name not in cls.__record_names__]
    if unknown:
        return f"{cls.__name__} has no {', '.join(unknown)}"
    twice = [name for name in named if given.count(name) > 1]
    if twice:
        return f"{cls.__name__} is given {', '.join(twice)} twice"
    optional = {*cls.__record_defaults__, *(name for name, _ in cls.__record_factories__)}
    missing = [name for name in cls.__record_names__ if name not in given and name not in optional]
    return f"{cls.__name__} needs {', '.join(missing)}"


def _refuse(self: Any, name: str, _value: Any = None) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change {name} of {type(self).__name__}")


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, item.name) for item in dataclasses.fields(self) if item.compare)


def _equal(self: Any, other: object) -> bool:
    return type(other) is type(self) and _compared(self) == _compared(other)


def _hash(self: Any) -> int:
    return hash((type(self), _compared(self)))


def _repr(self: Any) -> str:
    shown = (f"{item.name}={getattr(self, item.name)!r}" for item in dataclasses.fields(self) if item.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"
