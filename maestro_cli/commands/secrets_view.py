"""What the commands of `maestro secrets` print: names, rules and times, never a value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maestro_cli.secrets.audit import Audit, Finding
    from maestro_cli.secrets.generation import Generated
    from maestro_cli.secrets.rotation import Rotation


def generated_text(done: Generated, *, dry_run: bool) -> str:
    """One line a kind of change."""
    would = "would " if dry_run else ""
    verb = "create" if done.created else "update"
    lines = [f"{would}{verb} {done.path} (0600)" if dry_run else f"{done.path}: {verb}d, mode 0600"]
    lines += _row("new values", done.made)
    lines += _row("built from them", done.built)
    lines += _row("kept", done.kept)
    if done.backup is not None:
        lines += _row("the old file", (done.backup,))
    if done.example is not None:
        lines += _row("written", (f"{done.example} (no values)",))
    if done.ignored:
        lines += _row("added to .gitignore", done.ignored)
    return "\n".join(lines)


def generated_json(done: Generated, *, dry_run: bool) -> dict[str, Any]:
    """The same for programs."""
    return {
        "file": str(done.path),
        "dry_run": dry_run,
        "created": done.created,
        "made": list(done.made),
        "built": list(done.built),
        "kept": list(done.kept),
        "weak": {
            name: [{"rule": problem.rule, "message": problem.message} for problem in problems]
            for name, problems in done.weak.items()
        },
        "backup": done.backup,
        "example": None if done.example is None else str(done.example),
        "ignored": list(done.ignored),
    }


def audits_text(audits: Sequence[Audit]) -> str:
    """The findings of each file, failures first, and what was looked at."""
    lines: list[str] = []
    for audit in audits:
        failed = sum(finding.severity == "fail" for finding in audit.findings)
        warned = len(audit.findings) - failed
        for finding in audit.findings:
            lines.append(f"{finding.severity:<4}  {finding.rule:<16} {_place(finding)}: {finding.message}")
            if finding.hint:
                lines.append(f"{'':<23}→ {finding.hint}")
        counts = f"{len(audit.judged)} secrets judged, {failed} failures, {warned} warnings"
        if audit.history is not None:
            counts += f", {audit.history.objects} objects of git searched"
        lines.append(f"{audit.path}: {counts}")
    return "\n".join(lines)


def audits_json(audits: Sequence[Audit]) -> dict[str, Any]:
    """The same for programs."""
    findings = [finding for audit in audits for finding in audit.findings]
    return {
        "files": [_audit_json(audit) for audit in audits],
        "counts": {
            "fail": sum(finding.severity == "fail" for finding in findings),
            "warn": sum(finding.severity == "warn" for finding in findings),
        },
    }


def rotation_text(done: Rotation, *, dry_run: bool) -> str:
    """One line a kind of change."""
    if not done.rotated and not done.expired:
        return f"nothing is due: {_ages(done)}" if done.young else "nothing is due"
    lines = ["would rotate" if dry_run else "rotated"]
    lines += _row("new values", done.rotated)
    lines += _row("URLs that follow", done.urls)
    lines += _row("kept for now", (f"{name} until {_day(until)}" for name, until in done.previous.items()))
    lines += _row("removed, expired", done.expired)
    lines += _row("young enough", done.young)
    if done.backup is not None:
        lines += _row("the old file", (done.backup,))
    return "\n".join(lines)


def rotation_json(done: Rotation, *, dry_run: bool) -> dict[str, Any]:
    """The same for programs."""
    return {
        "dry_run": dry_run,
        "rotated": list(done.rotated),
        "urls": list(done.urls),
        "previous": {name: _time(until) for name, until in done.previous.items()},
        "expired": list(done.expired),
        "young": {name: round(age.total_seconds()) for name, age in done.young.items()},
        "backup": done.backup,
    }


def rotation_notes(done: Rotation) -> Iterable[str]:
    """What is left to do by hand."""
    if done.passwords:
        names = ", ".join(done.passwords)
        yield f"{names}: the server must be told too, or nobody gets in (PostgreSQL: \\password ROLE in psql)."
    if done.rotated:
        yield "Restart what reads the file. Then: maestro secrets audit"
    if done.backup is not None:
        yield f"When all is well, remove the old values: rm {done.backup}"


def _row(label: str, items: Iterable[str]) -> list[str]:
    text = ", ".join(items)
    return [f"  {label + ':':<22} {text}"] if text else []


def _place(finding: Finding) -> str:
    return str(finding.path) if finding.line is None else f"{finding.path}:{finding.line}"


def _audit_json(audit: Audit) -> dict[str, Any]:
    history = audit.history
    return {
        "file": str(audit.path),
        "judged": list(audit.judged),
        "findings": [
            {
                "rule": finding.rule,
                "severity": finding.severity,
                "name": finding.name,
                "line": finding.line,
                "message": finding.message,
                "hint": finding.hint,
            }
            for finding in audit.findings
        ],
        "history": None
        if history is None
        else {
            "objects": history.objects,
            "skipped": history.skipped,
            "found": [
                {
                    "name": found.name,
                    "commit": found.commit,
                    "date": found.date,
                    "path": found.path,
                    "object": found.object_id,
                }
                for found in history.found
            ],
        },
    }


def _ages(done: Rotation) -> str:
    oldest = max(done.young.items(), key=lambda item: item[1])
    return f"the oldest is {oldest[0]}, {oldest[1].days} days old"


def _day(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d}"


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
