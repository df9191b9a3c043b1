"""Records behave like the frozen dataclasses that they stand for."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from maestro_cli.records import record


@record(frozen=True)
class Row:
    """A record with everything that a field can be."""

    name: str
    password: str = dataclasses.field(repr=False)
    tags: list[str] = dataclasses.field(default_factory=list)
    size: int = 3
    seen_at: float = dataclasses.field(default=0.0, compare=False)


@dataclasses.dataclass(frozen=True)
class Twin:
    """The same as a dataclass."""

    name: str
    password: str = dataclasses.field(repr=False)
    tags: list[str] = dataclasses.field(default_factory=list)
    size: int = 3
    seen_at: float = dataclasses.field(default=0.0, compare=False)


@record(frozen=True)
class Point:
    """A record that can be hashed."""

    x: int
    y: int = 0


def test_is_made_by_position_and_by_name_with_its_defaults() -> None:
    for made in (Row("a", "s"), Row("a", password="s"), Row(name="a", password="s", size=3)):
        assert dataclasses.asdict(made) == dataclasses.asdict(Twin("a", "s"))
    assert Row("a", "s").tags is not Row("a", "s").tags


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda kind: kind(), "needs name, password"),
        (lambda kind: kind("a"), "needs password"),
        (lambda kind: kind("a", "s", colour="red"), "has no colour"),
        (lambda kind: kind("a", "s", name="b"), "is given name twice"),
        (lambda kind: kind("a", "s", [], 3, 0.0, "more"), "takes 5 values by position, not 6"),
    ],
)
def test_refuses_what_a_dataclass_refuses(wrong: Callable[[Any], Any], says: str) -> None:
    with pytest.raises(TypeError):
        wrong(Twin)
    with pytest.raises(TypeError, match=f"^Row {says}$"):
        wrong(Row)


def test_cannot_be_changed() -> None:
    made: Any = Row("a", "s")
    with pytest.raises(dataclasses.FrozenInstanceError, match="name of Row"):
        made.name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.more = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.name


def test_is_shown_without_what_must_not_be_shown() -> None:
    assert repr(Row("a", "hunter2")) == repr(Twin("a", "hunter2")).replace("Twin", "Row")
    assert "hunter2" not in repr(Row("a", "hunter2"))


def test_is_compared_by_its_values() -> None:
    assert Row("a", "s", seen_at=1.0) == Row("a", "s", seen_at=2.0)
    assert Row("a", "s") != Row("b", "s")
    twin: object = Twin("a", "s")
    assert Row("a", "s") != twin
    assert {Point(1), Point(1, 0), Point(2)} == {Point(1), Point(2)}
    with pytest.raises(TypeError):  # it holds a list, as it would with a dataclass
        hash(Row("a", "s"))


def test_replace_and_pickle_work() -> None:
    assert dataclasses.replace(Row("a", "s", ["t"]), name="b") == Row("b", "s", ["t"])
    again = pickle.loads(pickle.dumps(Row("a", "s", ["t"], 4, 1.0)))  # noqa: S301 - its own
    assert again == Row("a", "s", ["t"], 4)
    assert again.seen_at == 1.0
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)
