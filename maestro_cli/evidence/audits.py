"""pip-audit and npm audit JSON: which dependencies have known vulnerabilities.

Source: pip-audit README ("--format json"); npm documentation, npm-audit ("audit report version 2").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from maestro_cli.evidence.documents import UnbelievableError

SEVERITIES = ("info", "low", "moderate", "high", "critical")


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A vulnerable dependency; `severity` None where the tool does not tell it."""

    package: str
    version: str
    ids: tuple[str, ...]
    severity: str | None
    fixed_in: str

    @property
    def words(self) -> str:
        """`CVE-2024-1 (high), fixed in 2.0`."""
        what = ", ".join(self.ids[:4]) or "vulnerable"
        severity = f" ({self.severity})" if self.severity else ""
        return f"{what}{severity}" + (f", fixed in {self.fixed_in}" if self.fixed_in else ", no fixed version")


@dataclass
class Audit:
    """What an audit says.

    Attributes:
        dependencies: How many were looked at.
        skipped: Those that could not be.
        vulnerabilities: What was found.
    """

    dependencies: int = 0
    skipped: list[str] = field(default_factory=list)
    vulnerabilities: list[Vulnerability] = field(default_factory=list)


def parse_pip_audit(name: str, document: Any) -> Audit:
    """`pip-audit --format json`, of version 2 and of the first.

    Raises:
        UnbelievableError: When it is none, or nothing was audited.
    """
    rows = document.get("dependencies") if isinstance(document, Mapping) else document
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) and "name" in row for row in rows):
        raise UnbelievableError(name, "is no report of pip-audit")
    audit = Audit()
    for row in rows:
        if "skip_reason" in row:
            audit.skipped.append(str(row["name"]))
            continue
        if not isinstance(row.get("vulns"), list):
            raise UnbelievableError(name, "is no report of pip-audit")
        audit.dependencies += 1
        for found in row["vulns"]:
            if not isinstance(found, Mapping):
                raise UnbelievableError(name, "is no report of pip-audit")
            ids = [found.get("id"), *(found.get("aliases") or ())]
            fixed = found.get("fix_versions") or ()
            audit.vulnerabilities.append(
                Vulnerability(
                    str(row["name"]),
                    str(row.get("version", "")),
                    tuple(str(value) for value in ids if value),
                    None,
                    ", ".join(map(str, fixed)),
                )
            )
    if audit.dependencies == 0:
        reason = next((str(row.get("skip_reason"))[:200] for row in rows), "")
        raise UnbelievableError(name, "has audited no dependency" + (f" ({reason})" if reason else ""))
    return audit


def parse_npm_audit(name: str, document: Any) -> Audit:
    """`npm audit --json`, of npm 7 and later, and of npm 6.

    Raises:
        UnbelievableError: When it is none, says that the audit failed, or nothing was audited.
    """
    if isinstance(document, Mapping) and isinstance(document.get("error"), Mapping):
        error = document["error"]
        said = str(error.get("summary") or document.get("message") or error.get("code") or "no reason given")
        raise UnbelievableError(name, f"says that npm audit failed: {said[:200]}")
    metadata = document.get("metadata") if isinstance(document, Mapping) else None
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("vulnerabilities"), Mapping):
        raise UnbelievableError(name, "is no report of npm audit")
    audit = Audit()
    counted = metadata.get("dependencies", metadata.get("totalDependencies", 0))
    total = counted.get("total", 0) if isinstance(counted, Mapping) else counted
    audit.dependencies = total if isinstance(total, int) else 0
    if audit.dependencies == 0:
        raise UnbelievableError(name, "has audited no dependency")
    for package, found in _rows(document):
        severity = str(found.get("severity", "critical"))
        audit.vulnerabilities.append(
            Vulnerability(
                package,
                str(found.get("range") or found.get("vulnerable_versions") or ""),
                tuple(_npm_ids(found)),
                severity if severity in SEVERITIES else "critical",
                _npm_fix(found),
            )
        )
    stated = sum(
        value for key, value in metadata["vulnerabilities"].items() if key in SEVERITIES and isinstance(value, int)
    )
    if stated > 0 and not audit.vulnerabilities:
        raise UnbelievableError(name, f"counts {stated} vulnerabilities and lists none: it is cut short")
    return audit


def _rows(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    for key, package in (("vulnerabilities", "name"), ("advisories", "module_name")):
        rows = document.get(key)
        if isinstance(rows, Mapping):
            return [(str(row.get(package, name)), row) for name, row in rows.items() if isinstance(row, Mapping)]
    return []


def _npm_ids(found: Mapping[str, Any]) -> list[str]:
    ids = [str(value) for value in found.get("cves") or ()]
    for via in found.get("via") or ():
        if isinstance(via, Mapping):
            ids.append(str(via.get("url") or via.get("title") or "").rpartition("/")[2])
        else:
            ids.append(f"through {via}")
    return [value for value in dict.fromkeys(ids) if value]


def _npm_fix(found: Mapping[str, Any]) -> str:
    fix = found.get("fixAvailable", found.get("patched_versions"))
    if isinstance(fix, Mapping):
        return f"{fix.get('name')} {fix.get('version')}"
    return "npm audit fix" if fix is True else str(fix or "")
