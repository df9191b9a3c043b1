"""When each secret was last changed: kept beside the `.env`, without a value.

A file's modification time proves nothing (a comment was edited, a backup restored). So every value that maestro writes
is recorded by a keyed hash (HMAC-SHA-256 under a random key of the record's own) and the time. A value that no longer
matches was changed by somebody else, and its age is unknown again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

FILE_SUFFIX = ".meta.json"
_KEPT = 3
_FINGERPRINT = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """One value a secret had.

    Attributes:
        fingerprint: Keyed hash of the value.
        rotated_at: When maestro made it, UTC; None for a value it found.
        seen_at: When maestro first met it, UTC.
        valid_until: For the value before a rotation: the end of its grace period, UTC.
    """

    fingerprint: str
    rotated_at: datetime | None
    seen_at: datetime
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What is known about the secrets of one file."""

    key: bytes
    entries: Mapping[str, tuple[Entry, ...]]

    @classmethod
    def empty(cls) -> Record:
        """A record with a key of its own and nothing in it."""
        return cls(secrets.token_bytes(32), {})

    @classmethod
    def parse(cls, text: str) -> Record:
        """Read a record.

        Raises:
            ValueError: The text is not one.
        """
        try:
            data = json.loads(text)
            key = bytes.fromhex(data["key"])
            entries = {name: tuple(map(_entry, values)) for name, values in data["secrets"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a record of secrets") from error
        if data.get("version") != 1 or len(key) < 16:
            raise ValueError("not a record of secrets")
        return cls(key, entries)

    def text(self) -> str:
        """The record as JSON."""
        names = {name: [_as_json(entry) for entry in values] for name, values in sorted(self.entries.items())}
        return json.dumps({"version": 1, "key": self.key.hex(), "secrets": names}, indent=2) + "\n"

    def find(self, name: str, value: str) -> Entry | None:
        """What is known about this value of this secret."""
        wanted = self._fingerprint(value)
        return next(
            (entry for entry in self.entries.get(name, ()) if hmac.compare_digest(entry.fingerprint, wanted)), None
        )

    def written(self, name: str, value: str, now: datetime, *, valid_until: datetime | None = None) -> Record:
        """The record after maestro made this value."""
        return self._with(name, Entry(self._fingerprint(value), now, now, valid_until))

    def seen(self, name: str, value: str, now: datetime) -> Record:
        """The record after maestro met this value; nothing changes for one it knows."""
        if self.find(name, value) is not None:
            return self
        return self._with(name, Entry(self._fingerprint(value), None, now))

    def ending(self, name: str, value: str, origin: Entry | None, until: datetime, now: datetime) -> Record:
        """The record after a value became the previous one of its secret.

        Args:
            name: The `…_PREVIOUS` name it stands under.
            value: The value.
            origin: What was known about it under its own name.
            until: The end of its grace period.
            now: The time.
        """
        known = origin or Entry(self._fingerprint(value), None, now)
        return self._with(name, replace(known, fingerprint=self._fingerprint(value), valid_until=until))

    def without(self, names: set[str]) -> Record:
        """The record without these secrets."""
        return replace(self, entries={name: values for name, values in self.entries.items() if name not in names})

    def _with(self, name: str, entry: Entry) -> Record:
        # The entries before it stay: a run killed between two files leaves an old value that must still be known.
        others = tuple(old for old in self.entries.get(name, ()) if old.fingerprint != entry.fingerprint)
        return replace(self, entries={**self.entries, name: (entry, *others)[:_KEPT]})

    def _fingerprint(self, value: str) -> str:
        digest = hmac.new(self.key, value.encode("utf-8", "surrogateescape"), hashlib.sha256)
        return digest.hexdigest()[:_FINGERPRINT]


def _entry(data: Any) -> Entry:
    return Entry(
        str(data["fingerprint"]),
        _time(data.get("rotated_at")),
        _required_time(data["seen_at"]),
        _time(data.get("valid_until")),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else _required_time(text)


def _required_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time


def _as_json(entry: Entry) -> dict[str, str]:
    times = {"rotated_at": entry.rotated_at, "seen_at": entry.seen_at, "valid_until": entry.valid_until}
    shown = {name: time.isoformat(timespec="seconds") for name, time in times.items() if time is not None}
    return {"fingerprint": entry.fingerprint, **shown}
