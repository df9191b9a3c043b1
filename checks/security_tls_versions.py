"""TLS versions that the endpoint takes."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.observe.tls import scan
from maestro_cli.observe.tls_suites import name_of


@check(
    "security.tls-versions",
    component="security",
    priority="high",
    faults=("tls-10-taken", "tls-11-taken"),
)
def tls_versions(ctx: Context) -> Finding:
    """The endpoint takes TLS 1.2 or newer only.

    Why: TLS 1.0 and 1.1 rest on SHA-1 and MD5, and a client can be talked down to them.
    Fails when: a hello of SSL 3.0, TLS 1.0 or TLS 1.1 is answered with one, or neither TLS 1.2 nor 1.3 is taken.
    Fix: set the lowest version to TLS 1.2 where TLS ends (Python: `context.minimum_version = TLSVersion.TLSv1_2`; nginx:
    `ssl_protocols TLSv1.2 TLSv1.3;`).
    Source: RFC 8996; RFC 9325 §3.1.1; OWASP ASVS 5.0 12.1.1
    """
    found = scan(ctx)
    evidence = []
    for name, choice in found.versions.items():
        modern = name in ("TLS 1.2", "TLS 1.3")
        taken = choice.version is not None
        observed = f"taken ({name_of(choice.suite)})" if taken and choice.suite is not None else choice.refusal
        evidence.append(Evidence(f"{name} at {found.target}", observed, "taken" if modern else "refused"))
    old = [name for name in ("SSL 3.0", "TLS 1.0", "TLS 1.1") if found.versions[name].version is not None]
    new = [name for name in ("TLS 1.3", "TLS 1.2") if found.versions[name].version is not None]
    if old:
        return failed(f"{found.target} takes {' and '.join(old)}.", *evidence)
    return passed(f"{found.target} takes {' and '.join(new)} and nothing older.", *evidence)
