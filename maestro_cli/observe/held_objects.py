"""Whether an answer holds an object that the probes have made: shown by itself, or as a row of a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from maestro_cli.observe.http import Answer

if TYPE_CHECKING:
    from maestro_cli.observe.tenant_objects import Owned


def shows(answer: Answer, owned: Owned) -> bool:
    """Whether an answer holds the object."""
    if not 200 <= answer.status < 300:
        return False
    if owned.mark is not None:
        return owned.mark.encode() in answer.body
    return answer.body == owned.read.body or _holds(answer.json(), owned.read.json())


def lists(answer: Answer, owned: Owned, place: str) -> bool:
    """Whether a list holds the object: its mark, or its id where a list's rows have theirs."""
    if not 200 <= answer.status < 300:
        return False
    if owned.mark is not None:
        return owned.mark.encode() in answer.body
    return holds_id(answer.json(), owned.id, place.rpartition(".")[2])


def _holds(value: Any, wanted: Any) -> bool:
    if value == wanted:
        return True
    if isinstance(value, Mapping):
        return any(_holds(item, wanted) for item in value.values())
    return isinstance(value, list) and any(_holds(item, wanted) for item in value)


def holds_id(value: Any, wanted: str, name: str) -> bool:
    """Whether an object with this id, under this name, is anywhere in a JSON answer."""
    if isinstance(value, Mapping):
        own = value.get(name)
        return (own is not None and str(own) == wanted) or any(holds_id(item, wanted, name) for item in value.values())
    return isinstance(value, list) and any(holds_id(item, wanted, name) for item in value)
