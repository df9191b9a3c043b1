"""Faults that the demo can plant: the reference service's own, and those in the database, Valkey, files and git round it.

The catalogue lists a fault only where a check says that it turns red by it; `maestro demo --fault X` proves that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maestro_cli.demo.session import Demo

Action = Callable[["Demo"], None]


def _nothing(_demo: Demo) -> None:
    return None


@dataclass(frozen=True)
class Plant:
    """How one fault is planted.

    Attributes:
        description: What is then wrong, in one sentence.
        found_by: Ids of the checks that turn red.
        service_faults: Names that the service is started with.
        seed_faults: Names that the accounts are seeded with.
        environment: Variables that the service is started with instead of those in .env.
        before_start: Done when the database is ready and the service is not yet started.
        after_start: Done when the service runs.
    """

    description: str
    found_by: tuple[str, ...] = ()
    service_faults: tuple[str, ...] = ()
    seed_faults: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    before_start: Action = _nothing
    after_start: Action = _nothing


def catalogue() -> dict[str, Plant]:
    """Fault → how it is planted and which checks find it; only those that a check claims."""
    from dataclasses import replace

    claimed: dict[str, list[str]] = {}
    for check in _checks():
        for fault in check.faults:
            claimed.setdefault(fault, []).append(check.id)
    plants = all_plants()
    return {
        name: replace(plant, found_by=tuple(claimed[name])) for name, plant in sorted(plants.items()) if name in claimed
    }


def all_plants() -> dict[str, Plant]:
    """Every fault that could be planted, whether or not a check finds it."""
    from maestro_cli.demo.outside_faults import OUTSIDE
    from maestro_cli.demo.service import fault_names

    plants = {name: _service_plant(name, description) for name, description in fault_names().items()}
    return {**plants, **OUTSIDE}


def _service_plant(name: str, description: str) -> Plant:
    if name.startswith("password-"):
        # Hashes are made when the accounts are; the service itself only reads them.
        return Plant(description, seed_faults=(name,), service_faults=(name,))
    return Plant(description, service_faults=(name,))


def plant_of(name: str) -> Plant:
    """One fault of the catalogue."""
    return catalogue()[name]


def _checks() -> Any:
    from pathlib import Path

    from maestro_cli.config import without_file
    from maestro_cli.discovery import discover

    return discover(without_file(Path.cwd()), plugins=False).checks.values()
