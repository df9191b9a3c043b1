"""What crosses between maestro and a plugin's process, as plain JSON values: a check's metadata, a finding, an exception.

Pickle would let a broken plugin raise inside maestro while its answer is being read; plain values are checked one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from maestro_cli.api import Check, Component, Documentation, Evidence, Finding, Priority, Remedy, Status, Suite
from maestro_cli.errors import MaestroError, NotConfigured
from maestro_cli.isolation.frames import GarbledError
from maestro_cli.observe.errors import Unreachable

MAXIMUM_TEXT = 10_000
"""Characters of one text that leave a worker; the runner cuts shorter still."""
MAXIMUM_EVIDENCE = 100


def describe_check(check: Check) -> dict[str, Any]:
    """A check without its code."""
    return {
        "id": check.id,
        "title": check.title,
        "component": str(check.component),
        "priority": str(check.priority),
        "documentation": [
            check.documentation.why,
            check.documentation.fails_when,
            check.documentation.fix,
            check.documentation.source,
        ],
        "writes": bool(check.writes),
        "bursts": bool(check.bursts),
        "requests": int(check.requests),
        "deadline_s": None if check.deadline_s is None else float(check.deadline_s),
        "faults": [str(name) for name in check.faults],
        "fix": None if check.fix is None else str(check.fix.summary),
    }


def rebuild_check(message: dict[str, Any], run: Any, make_fix: Callable[[str], Any]) -> Check:
    """The check that `describe_check` described, with another way to run it.

    Raises:
        GarbledError: When it is no description of a check.
    """
    try:
        identifier = str(message["id"])
        return Check(
            id=identifier,
            title=str(message["title"]),
            suite=Suite(identifier.partition(".")[0]),
            component=Component(message["component"]),
            priority=Priority(message["priority"]),
            run=run,
            documentation=Documentation(*(str(text) for text in message["documentation"])),
            writes=message["writes"],
            bursts=message["bursts"],
            requests=message["requests"],
            deadline_s=message["deadline_s"],
            faults=tuple(message["faults"]),
            fix=None if message["fix"] is None else make_fix(message["fix"]),
            trusted=False,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GarbledError(str(error)) from error


def describe_finding(finding: Finding, redact: Callable[[str], str]) -> dict[str, Any]:
    """A finding, redacted and cut to a bounded size."""

    def text(value: object) -> str:
        # Redacted before it is cut: half a secret would no longer be recognised.
        return redact(str(value))[:MAXIMUM_TEXT]

    remedy = finding.remedy
    return {
        "status": str(Status(finding.status)),
        "message": text(finding.message),
        "evidence": [
            [text(row.name), text(row.observed), text(row.expected)] for row in finding.evidence[:MAXIMUM_EVIDENCE]
        ],
        "remedy": None
        if remedy is None
        else [text(remedy.text), None if remedy.command is None else text(remedy.command)],
    }


def rebuild_finding(message: dict[str, Any]) -> Finding:
    """The finding that `describe_finding` described.

    Raises:
        GarbledError: When it is none.
    """
    try:
        remedy = message["remedy"]
        return Finding(
            Status(message["status"]),
            str(message["message"]),
            tuple(Evidence(str(name), str(seen), str(right)) for name, seen, right in message["evidence"]),
            None if remedy is None else Remedy(str(remedy[0]), None if remedy[1] is None else str(remedy[1])),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise GarbledError(str(error)) from error


def describe_error(error: BaseException, redact: Callable[[str], str]) -> dict[str, Any]:
    """An exception, by the kinds that the runner tells apart."""
    if isinstance(error, Unreachable):
        return {"raised": "Unreachable", "dependency": redact(error.dependency), "message": redact(error.reason)}
    kind = next(
        (cls.__name__ for cls in (NotConfigured, MaestroError, SystemExit, MemoryError) if isinstance(error, cls)), ""
    )
    words = error.message if isinstance(error, MaestroError) else f"{type(error).__name__}: {error}"
    return {"raised": kind, "message": redact(words)[:MAXIMUM_TEXT]}


def rebuild_error(message: dict[str, Any], *, memory_mb: int) -> BaseException:
    """The exception to raise in maestro for one that was described."""
    kind, words = message.get("raised"), str(message.get("message", ""))
    if kind == "Unreachable":
        return Unreachable(str(message.get("dependency", "")), words)
    if kind == "NotConfigured":
        return NotConfigured(words)
    if kind == "MaestroError":
        return MaestroError(words)
    if kind == "SystemExit":
        return SystemExit()
    if kind == "MemoryError":
        return MaestroError(f"the check ran out of memory: its process may use {memory_mb} MB (run.plugin_memory_mb)")
    return MaestroError(f"the check crashed: {words}")
