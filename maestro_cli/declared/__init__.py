"""Checks declared in maestro.yaml, without Python: one module per kind, imported when a check of that kind runs."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from maestro_cli.api import Check, Component, Context, Documentation, Finding, Priority, Status, Suite
from maestro_cli.config import Loaded
from maestro_cli.config.declared import DeclaredCheck

USUAL_S = 10.0
"""What one try may take where its kind names no timeout of its own."""


class Stop:
    """Tells a running observation to give up."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._actions: list[Callable[[], None]] = []

    def __call__(self) -> None:
        """Give up now."""
        self._event.set()
        for action in list(self._actions):
            action()

    @contextmanager
    def calling(self, action: Callable[[], None]) -> Iterator[None]:
        """While inside, giving up calls this; at once where that has happened already."""
        self._actions.append(action)
        if self._event.is_set():
            action()
        try:
            yield
        finally:
            self._actions.remove(action)

    def wait(self, seconds: float) -> bool:
        """Sleep; true when told to give up meanwhile."""
        return self._event.wait(seconds)


@dataclass
class DeclaredRun:
    """A declared check's `run`: observes, and tries again as often as declared."""

    declared: DeclaredCheck
    stop: Stop = field(default_factory=Stop, repr=False, compare=False)

    def __call__(self, ctx: Context) -> Finding:
        """Observe, at most 1 + retries times; the last finding speaks."""
        kind = self.declared.kind
        module: Any = importlib.import_module(f"maestro_cli.declared.{kind}")
        subject = getattr(self.declared, kind)
        for _ in range(self.declared.retries):
            try:
                finding: Finding = module.observe(subject, ctx, self.stop)
            except Exception:  # noqa: BLE001, S110 - the last try's exception is the one that counts
                pass
            else:
                if finding.status not in (Status.FAIL, Status.ERROR):
                    return finding
            if self.stop.wait(self.declared.retry_wait_s):
                break
        last: Finding = module.observe(subject, ctx, self.stop)
        return last

    def cancel(self) -> None:
        """End what was started for it."""
        self.stop()

    def __reduce__(self) -> tuple[type[DeclaredRun], tuple[DeclaredCheck]]:
        return (DeclaredRun, (self.declared,))


def declared_checks(loaded: Loaded) -> Iterator[Check]:
    """The checks of `checks:`."""
    for declared in loaded.settings.checks:
        subject = getattr(declared, declared.kind)
        tries = declared.retries + 1
        once = getattr(subject, "timeout_s", USUAL_S) + 1.0
        yield Check(
            id=declared.id,
            title=declared.title or f"{declared.kind} {_subject_words(subject)}",
            suite=Suite(declared.id.partition(".")[0]),
            component=Component(declared.component),
            priority=Priority(declared.priority),
            run=DeclaredRun(declared),
            documentation=Documentation(
                why=declared.why,
                fails_when=f"what is declared in {loaded.path or 'maestro.yaml'} is not what is observed.",
                fix=declared.fix,
            ),
            deadline_s=tries * once + declared.retries * declared.retry_wait_s,
            plugin=str(loaded.path.name if loaded.path is not None else "maestro.yaml"),
        )


def _subject_words(subject: Any) -> str:
    value = getattr(subject, subject.shorthand) or getattr(subject, "file", "")
    text = value if isinstance(value, str) else " ".join(map(str, value))
    return text if len(text) <= 60 else text[:59] + "…"
