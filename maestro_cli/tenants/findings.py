"""What a verification finds: typed, so that a check, a table and JSON can all render it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """The migration is not whole, or a tenant can reach another's rows."""
    WARNING = "warning"
    """Safe as it stands; something to know or decide."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: Stable, kebab-case: `missing-policy`.
        object: The table, index, view, function or role.
        message: One sentence.
        severity: How bad.
        fix: What to do, ideally a command or a statement.
    """

    kind: str
    object: str
    message: str
    severity: Severity = Severity.ERROR
    fix: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "kind": self.kind,
            "object": self.object,
            "message": self.message,
            "severity": str(self.severity),
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the isolation proof tried as the application's role.

    Attributes:
        role: Whose eyes it looked through.
        attempts: Tried cases: table by command by whose row.
        tables: Tables it covered.
        findings: Leaks, and what could not be proved.
    """

    role: str
    attempts: int = 0
    tables: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether isolation is proved: something was tried, and nothing leaked."""
        return self.attempts > 0 and not any(f.severity is Severity.ERROR for f in self.findings)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"role": self.role, "holds": self.holds, "attempts": self.attempts, "tables": list(self.tables)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The whole verification.

    Attributes:
        findings: Everything that was found, errors first.
        proof: The isolation proof; None where `tenancy.rls` is not configured.
        tables: The tables of the tenancy.
        multixact_age: Multixacts since the oldest that the tenants table may still hold (every insert share-locks a
            row of it); None where there is no such table.
        checked: What was looked at, one sentence each.
    """

    findings: tuple[Finding, ...]
    proof: Proof | None
    tables: tuple[str, ...]
    multixact_age: int | None = None
    checked: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema_version": "1",
            "holds": self.holds,
            "tables": list(self.tables),
            "findings": [finding.to_json() for finding in self.findings],
            "proof": None if self.proof is None else self.proof.to_json(),
            "multixact_age": self.multixact_age,
            "checked": list(self.checked),
        }
