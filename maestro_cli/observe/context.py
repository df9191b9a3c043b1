"""What a check is given: settings, the clock, and observations that are made once per run and shared."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from maestro_cli.config import Loaded
from maestro_cli.config.settings import Settings
from maestro_cli.errors import NotConfigured
from maestro_cli.observe.cleanup import Cleanup
from maestro_cli.observe.patience import Patience
from maestro_cli.records import record
from maestro_cli.redaction import Redactor

if TYPE_CHECKING:
    from maestro_cli.observe.cache import Cache
    from maestro_cli.observe.database import Database
    from maestro_cli.observe.http import Http

T = TypeVar("T")


class _Slot:
    __slots__ = ("error", "lock", "made", "value")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made = False
        self.value: Any = None
        self.error: BaseException | None = None


class Observations:
    """Values made at most once, however many checks ask at the same time. A failure is shared as well."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[str, _Slot] = {}

    def get(self, key: str, make: Callable[[], T]) -> T:
        """The value of `key`, made by the first who asks."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
        with slot.lock:
            if not slot.made:
                try:
                    slot.value = make()
                except Exception as error:  # noqa: BLE001 - kept, and raised to everyone who asks
                    slot.error = error
                slot.made = True
        if slot.error is not None:
            # Without its first asker's traceback, which would grow with each further one.
            raise slot.error.with_traceback(None)
        value: T = slot.value
        return value

    def made(self) -> list[Any]:
        """What there is to close."""
        with self._lock:
            return [slot.value for slot in self._slots.values() if slot.made and slot.error is None]

    def close(self) -> None:
        """Close whatever has a `close`."""
        for value in self.made():
            closing = getattr(value, "close", None)
            if callable(closing):
                closing()


@dataclass
class Context:
    """One run, as a check sees it. Pickles; shared observations are made anew where it arrives.

    Attributes:
        loaded: Settings and their provenance.
        now: The run's clock, read once (UTC).
        redact: Hides every known secret; tell it of tokens issued during the run with `redact.add`.
        read_only: Leave out probes that write or burst.
        probe_production: Writing probes are allowed in an environment named production.
        max_wait_s: Longest wait for a rate-limit window, in seconds.
        nonce: Random per run; names what the probes create.
        commit: The project's commit, where it is a git checkout.
        down: Dependency → why it is unreachable, as seen in this run.
        cleanup: What the probes made and `close` takes away again.
    """

    loaded: Loaded
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    redact: Redactor = field(default_factory=Redactor)
    read_only: bool = False
    probe_production: bool = False
    max_wait_s: float = 60.0
    nonce: str = field(default_factory=lambda: os.urandom(6).hex())
    commit: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    down: dict[str, str] = field(default_factory=dict)
    observations: Observations = field(default_factory=Observations, repr=False, compare=False)
    cleanup: Cleanup = field(default_factory=Cleanup, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        del state["observations"], state["cleanup"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.observations = Observations()
        self.cleanup = Cleanup()

    @property
    def settings(self) -> Settings:
        """The typed settings."""
        return self.loaded.settings

    @property
    def environment(self) -> str:
        """development, staging or production."""
        return self.settings.service.environment

    def path(self, name: str) -> Path:
        """A configured path, relative to the folder of maestro.yaml."""
        return self.loaded.root / name

    def require(self, value: T | None, key: str) -> T:
        """A configured value; skips the check where it is not configured.

        Args:
            value: What the settings hold.
            key: Its key, for the reason: `api.cors`.
        """
        if value is None or (isinstance(value, tuple | dict) and not value):
            raise NotConfigured(f"{key} is not configured")
        return value

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """An observation made once per run: `ctx.shared("tls-handshake", lambda: …)`."""
        return self.observations.get(key, make)

    @property
    def patience(self) -> Patience:
        """How long this run may still wait for a rate limit's window; `on_wait` is told of each wait."""
        return self.shared("patience", lambda: Patience(self.max_wait_s))

    @property
    def http(self) -> Http:
        """The HTTP client, bound to api.url.

        Raises:
            NotConfigured: Without api.url.
        """
        from maestro_cli.observe.http import Http

        return self.shared("http", lambda: Http.from_context(self))

    @property
    def database(self) -> Database:
        """The application's own database connection pool.

        Raises:
            NotConfigured: Without database.url.
            Unreachable: When it cannot be connected to.
        """
        from maestro_cli.observe.database import Database

        return self.shared("database", lambda: Database.from_context(self))

    @property
    def redis(self) -> Cache:
        """Redis or Valkey.

        Raises:
            NotConfigured: Without redis.url.
            Unreachable: When it cannot be connected to.
        """
        from maestro_cli.observe.cache import Cache

        return self.shared("redis", lambda: Cache.from_context(self))

    def close(self) -> None:
        """Take away what the probes made, then close what the run opened.

        What was made may not stay because the rate limit's window is used up: that is worth one more wait.
        """
        if self.cleanup.pending:
            self.patience.budget_s = max(self.patience.budget_s, self.max_wait_s)
            self.cleanup.run(waited=self.patience.since)
        self.observations.close()


@record(frozen=True)
class FixContext:
    """What a safe remedy works with."""

    loaded: Loaded
    now: datetime
    environ: Mapping[str, str]

    def path(self, name: str) -> Path:
        """A configured path, relative to the folder of maestro.yaml."""
        return self.loaded.root / name
