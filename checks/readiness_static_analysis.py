"""What do the scanners of the code say?"""

from __future__ import annotations

from maestro_cli.api import Context, Finding, check, combine
from maestro_cli.evidence.findings import sarif_findings, scans


@check(
    "readiness.static-analysis",
    component="security",
    priority="medium",
    faults=(
        "sarif-finding",
        "sarif-missing",
        "sarif-stale",
        "sarif-empty",
        "sarif-truncated",
        "sarif-failed-run",
        "sarif-foreign-commit",
    ),
)
def static_analysis(ctx: Context) -> Finding:
    """Scanners of the code find nothing grave.

    Why: injection, weak cryptography and committed keys are found by machines, if somebody reads what the machines say.
    Fails when: a SARIF file of readiness.evidence.sarif (bandit, semgrep, CodeQL, gitleaks and others; those about
    dependencies are readiness.dependencies) holds an unsuppressed result of readiness.evidence.sarif_fail_on or graver; or
    when the file is missing, empty, cut short, stale, of another commit, or says that the scan did not take place, had an
    error or read not a line. A file that the scanner could not read warns.
    Fix: mend the code, or suppress the result in the scanner with its reason; then scan again.
    Source: OASIS SARIF 2.1.0; NIST SP 800-218 PW.7; OWASP ASVS 5.0 15.1
    """
    evidence = ctx.require(ctx.settings.readiness.evidence, "readiness.evidence")
    ctx.require(evidence.sarif, "readiness.evidence.sarif")
    found = [row for row in scans(ctx, evidence) if not row.about_dependencies]
    if not found:
        ctx.require(None, "readiness.evidence.sarif of a scanner of the code")
    return combine(sarif_findings(found, evidence, "result"))
