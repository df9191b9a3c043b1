"""Cipher suites that the endpoint takes."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed, warned
from maestro_cli.observe.tls import scan


@check(
    "security.tls-suites",
    component="security",
    priority="high",
    faults=("tls-null-suite", "tls-anonymous-suite", "tls-static-rsa"),
)
def tls_suites(ctx: Context) -> Finding:
    """The endpoint takes no weak cipher suite.

    Why: a suite without encryption, without authentication or with a broken cipher is TLS in name only.
    Fails when: the endpoint chooses a suite with NULL, anonymous, export, RC4, DES or 3DES where only such are offered.
    It is a warning when it takes key transport by RSA, which has no forward secrecy.
    Fix: name the suites where TLS ends; ECDHE with AES-GCM or ChaCha20 is enough for every client of the last ten years.
    Source: RFC 9325 §4.1 to 4.2; OWASP ASVS 5.0 12.1.2
    """
    found = scan(ctx)
    weak = Evidence(f"weak suites at {found.target}", ", ".join(found.weak) or "none taken", "none taken")
    static = Evidence(f"RSA key transport at {found.target}", found.static_rsa or "refused", "refused")
    if found.weak:
        return failed(f"{found.target} takes {found.weak[0]}.", weak, static)
    if found.static_rsa is not None:
        return warned(f"{found.target} takes {found.static_rsa}, which has no forward secrecy.", weak, static)
    return passed(f"{found.target} takes no weak suite.", weak, static)
