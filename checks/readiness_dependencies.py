"""Do the dependencies have known vulnerabilities?"""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.api import Context, Evidence, Finding, check, combine, failed, passed, warned
from maestro_cli.config.readiness_settings import EvidenceFiles
from maestro_cli.evidence.audits import SEVERITIES, Audit, Vulnerability, parse_npm_audit, parse_pip_audit
from maestro_cli.evidence.documents import UnbelievableError, believe, files, read_json
from maestro_cli.evidence.findings import sarif_findings, scans, unbelievable

MOST = 20
"""Vulnerabilities that are named."""


@check(
    "readiness.dependencies",
    component="security",
    priority="medium",
    faults=(
        "dependency-vulnerable",
        "audit-missing",
        "audit-stale",
        "audit-empty",
        "audit-truncated",
        "audit-failed",
        "audit-foreign-commit",
    ),
)
def dependencies(ctx: Context) -> Finding:
    """No dependency has a known vulnerability.

    Why: most of what a service runs is other people's code, and their mistakes are published with instructions.
    Fails when: a report of readiness.evidence.pip_audit or npm_audit, or a SARIF file of a scanner of dependencies (trivy,
    grype, osv-scanner), names a vulnerability (of readiness.evidence.vulnerability_fail_on or graver, where the tool tells);
    or when such a report is missing, empty, cut short, stale, of another commit, or says that the audit failed.
    Fix: raise the dependency to the fixed version and audit again: `pip-audit --format json -o reports/pip-audit.json`
    Source: OWASP Top 10 A06:2021; OWASP ASVS 5.0 15.2.1; NIST SP 800-218 PW.4
    """
    evidence = ctx.require(ctx.settings.readiness.evidence, "readiness.evidence")
    sarif = [row for row in scans(ctx, evidence) if row.about_dependencies]
    if not (evidence.pip_audit or evidence.npm_audit or sarif):
        ctx.require(None, "readiness.evidence.pip_audit")
    return combine([*_audits(ctx, evidence), *sarif_findings(sarif, evidence, "vulnerability")])


def _audits(ctx: Context, evidence: EvidenceFiles) -> Iterator[Finding]:
    for patterns, parse in ((evidence.pip_audit, parse_pip_audit), (evidence.npm_audit, parse_npm_audit)):
        try:
            for name, path in files(ctx, patterns):
                audit = parse(name, read_json(name, path))
                made = believe(ctx, name, path, evidence.max_age_hours, stated=None, commit=None)
                yield _judge(name, audit, evidence, f"{made:%Y-%m-%d %H:%M} UTC")
        except UnbelievableError as error:
            yield unbelievable(error, "a whole and recent audit")


def _judge(name: str, audit: Audit, evidence: EvidenceFiles, made: str) -> Finding:
    seen = Evidence(name, f"{audit.dependencies} dependencies, {made}", "no vulnerability")
    rows = [Evidence(f"{row.package} {row.version}".strip(), row.words, "none known") for row in audit.vulnerabilities]
    grave = [row for row in audit.vulnerabilities if _is_grave(row, evidence)]
    if grave:
        packages = list(dict.fromkeys(row.package for row in grave))
        named = ", ".join(packages[:MOST]) + (f" and {len(packages) - MOST} more" if len(packages) > MOST else "")
        vulnerable = (
            "1 dependency is vulnerable" if len(packages) == 1 else f"{len(packages)} dependencies are vulnerable"
        )
        return failed(f"{vulnerable} by {name}: {named}.", *rows[:MOST], seen)
    if rows:
        return warned(f"{name} names {len(rows)} lesser vulnerabilities.", *rows[:MOST], seen)
    if audit.skipped:
        skipped = Evidence("not audited", ", ".join(audit.skipped[:MOST]))
        return passed(f"{name} knows of no vulnerability.", seen, skipped)
    return passed(f"{name} knows of no vulnerability.", seen)


def _is_grave(row: Vulnerability, evidence: EvidenceFiles) -> bool:
    # pip-audit tells no severity: what is not known to be harmless is not.
    if row.severity is None:
        return True
    return SEVERITIES.index(row.severity) >= SEVERITIES.index(evidence.vulnerability_fail_on)
