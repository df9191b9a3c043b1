"""From the SARIF files of a project to findings of a check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.api import Evidence, Finding, failed, passed, warned
from maestro_cli.evidence.documents import UnbelievableError, believe, files, read_json
from maestro_cli.evidence.sarif import LEVELS, Scan, parse_sarif

if TYPE_CHECKING:
    from maestro_cli.api import Context
    from maestro_cli.config.readiness_settings import EvidenceFiles

MOST = 20
"""Results that are named."""


@dataclass(frozen=True, slots=True)
class ScanFile:
    """A SARIF file: what it says, or why it proves nothing."""

    name: str
    scan: Scan | None
    problem: UnbelievableError | None = None

    @property
    def about_dependencies(self) -> bool:
        """Whether it is for readiness.dependencies. What cannot be read at all is for readiness.static-analysis."""
        return self.scan is not None and self.scan.about_dependencies


def scans(ctx: Context, evidence: EvidenceFiles) -> list[ScanFile]:
    """Every configured SARIF file, read once a run."""

    def read() -> list[ScanFile]:
        found: list[ScanFile] = []
        for pattern in evidence.sarif:
            try:
                found += [_read(ctx, evidence, name, path) for name, path in files(ctx, (pattern,))]
            except UnbelievableError as error:
                found.append(ScanFile(pattern, None, error))
        return found

    return ctx.shared("sarif-scans", read)


def _read(ctx: Context, evidence: EvidenceFiles, name: str, path: Path) -> ScanFile:
    scan = None
    try:
        scan = parse_sarif(name, read_json(name, path))
        believe(ctx, name, path, evidence.max_age_hours, stated=scan.ended, commit=scan.commit)
    except UnbelievableError as error:
        return ScanFile(name, scan, error)
    return ScanFile(name, scan)


def unbelievable(error: UnbelievableError, expected: str) -> Finding:
    """The finding for a file that proves nothing."""
    return failed(error.message, Evidence(error.name, error.reason, expected))


def sarif_findings(found: Sequence[ScanFile], evidence: EvidenceFiles, noun: str) -> Iterator[Finding]:
    """One finding a file."""
    for row in found:
        if row.problem is not None or row.scan is None:
            if row.problem is not None:
                yield unbelievable(row.problem, "a whole and recent scan of this commit")
            continue
        yield _judge(row.name, row.scan, evidence, noun)


def _judge(name: str, scan: Scan, evidence: EvidenceFiles, noun: str) -> Finding:
    tools = ", ".join(dict.fromkeys(scan.tools))
    seen = Evidence(name, f"{tools}: {len(scan.results)} results, {scan.suppressed} suppressed", "none that is grave")
    least = LEVELS.index(evidence.sarif_fail_on)
    grave = [row for row in scan.results if LEVELS.index(row.level) >= least]
    rest = [row for row in scan.results if row not in grave and row.level != "none"]
    rows = [Evidence(f"{row.rule} ({row.level})", row.words, "nothing") for row in (*grave, *rest)[:MOST]]
    if grave:
        plural = noun if len(grave) == 1 else f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
        return failed(f"{tools} found {len(grave)} {plural}, first {grave[0].rule}: {grave[0].words}", *rows, seen)
    if scan.unseen:
        unseen = [Evidence("not scanned", row, "every file is scanned") for row in scan.unseen[:MOST]]
        plural = "file" if len(scan.unseen) == 1 else "files"
        return warned(
            f"{tools} could not scan {len(scan.unseen)} {plural}, first {scan.unseen[0]}.", *unseen, *rows, seen
        )
    if rest:
        return warned(f"{tools} found {len(rest)} lesser results.", *rows, seen)
    return passed(f"{tools} found nothing.", seen)
