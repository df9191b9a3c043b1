"""What a plan is made of. Values only: how a step is run is the business of `apply`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """The parts of a migration, in their order."""

    EXPAND = "expand"
    """Old and new code both work afterwards."""
    BACKFILL = "backfill"
    VALIDATE = "validate"
    INDEX = "index"
    CONTRACT = "contract"
    """Only when told to: old code stops working."""
    DOWN = "down"


class Mode(StrEnum):
    """How a step meets the application."""

    BRIEF = "brief"
    """A strong lock for milliseconds, in one message to the server, taken only at a moment when nobody is in the way."""
    ONLINE = "online"
    """Its locks conflict with no reader and no writer; it may take long."""
    CONCURRENT = "concurrent"
    """CREATE or DROP INDEX CONCURRENTLY: outside a transaction, never with a lock timeout (that would leave an invalid
    index behind)."""
    BATCHES = "batches"
    """Rows changed by primary key, a small transaction each."""


class LockMode(StrEnum):
    """PostgreSQL's lock modes that the migration asks for (manual, section 13.3.1)."""

    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that a step takes."""

    table: str
    mode: LockMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """What a step in batches does."""

    table: str
    key: tuple[str, ...]
    key_types: tuple[str, ...]
    expression: str
    """The new tenant, over a row of the table under its own name; NULL leaves the row alone."""
    only: str
    """Which rows may be changed, in the same terms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: what it is, what it sends, what it locks and for how long."""

    id: str
    """`kind:object`; stable, unique within a plan."""
    phase: Phase
    mode: Mode
    table: str
    title: str
    sql: tuple[str, ...]
    locks: tuple[Lock, ...] = ()
    blocks: str = "nothing"
    expected_s: float = 0.01
    size: int = 0
    """Bytes of the table, for progress."""
    disk: int = 0
    """Bytes the step adds, estimated."""
    backfill: Backfill | None = None
    builds: str | None = None
    """Name of the index it builds."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "id": self.id,
            "phase": str(self.phase),
            "mode": str(self.mode),
            "table": self.table,
            "title": self.title,
            "locks": [{"table": lock.table, "mode": str(lock.mode)} for lock in self.locks],
            "blocks": self.blocks,
            "expected_s": round(self.expected_s, 3),
            "disk_bytes": self.disk,
            "sql": list(self.sql),
        }


@dataclass(frozen=True, slots=True)
class Note:
    """Something an operator should know or decide before the migration."""

    kind: str
    object: str
    message: str

    def to_json(self) -> dict[str, str]:
        """For `--json`."""
        return {"kind": self.kind, "object": self.object, "message": self.message}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that is left to do, in order."""

    database: str
    schema: str
    column: str
    tables: tuple[str, ...]
    steps: tuple[Step, ...]
    notes: tuple[Note, ...] = ()
    proposed: bool = False
    contract: bool = False
    shared: tuple[str, ...] = ()
    """Tables that are proposed as nobody's, where `proposed`."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Table → (rows, bytes), rows as the statistics estimate them."""

    @property
    def expected_s(self) -> float:
        """Seconds in all, estimated."""
        return sum(step.expected_s for step in self.steps)

    @property
    def disk(self) -> int:
        """Bytes that the new indexes need, estimated."""
        return sum(step.disk for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema_version": "1",
            "database": self.database,
            "schema": self.schema,
            "proposed": self.proposed,
            "proposed_shared": list(self.shared),
            "contract": self.contract,
            "tables": [
                {"name": name, "rows": self.sizes.get(name, (0, 0))[0], "bytes": self.sizes.get(name, (0, 0))[1]}
                for name in self.tables
            ],
            "expected_s": round(self.expected_s, 3),
            "disk_bytes": self.disk,
            "steps": [step.to_json() for step in self.steps],
            "notes": [note.to_json() for note in self.notes],
        }
