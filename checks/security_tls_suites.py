"""Cipher suites that the endpoint takes."""

from __future__ import annotations

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed, warned
from maestro_cli.observe.tls import scan
from maestro_cli.observe.tls_suites import CBC, name_of


@check(
    "security.tls-suites",
    component="security",
    priority="high",
    faults=("tls-null-suite", "tls-anonymous-suite", "tls-static-rsa", "tls-cbc-alone"),
)
def tls_suites(ctx: Context) -> Finding:
    """The endpoint takes no weak cipher suite.

    Why: a suite without encryption, without authentication or with a broken cipher is TLS in name only.
    Fails when: the endpoint chooses a suite with NULL, anonymous, export, RC4, DES or 3DES where only such are offered.
    It is a warning when it takes key transport by RSA, which has no forward secrecy, or when it chooses CBC although AES-GCM and
    ChaCha20 are offered first.
    Fix: name the suites where TLS ends; ECDHE with AES-GCM or ChaCha20 is enough for every client of the last ten years.
    Source: RFC 9325 §4.1 to 4.2; OWASP ASVS 5.0 12.1.2
    """
    found = scan(ctx)
    weak = Evidence(f"weak suites at {found.target}", ", ".join(found.weak) or "none taken", "none taken")
    static = Evidence(f"RSA key transport at {found.target}", found.static_rsa or "refused", "refused")
    chosen = found.versions["TLS 1.2"].suite
    words = "nothing" if chosen is None else name_of(chosen)
    evidence = (weak, static, Evidence(f"chosen for TLS 1.2 at {found.target}", words, "AES-GCM or ChaCha20"))
    if found.weak:
        return failed(f"{found.target} takes {found.weak[0]}.", *evidence)
    if found.static_rsa is not None:
        return warned(f"{found.target} takes {found.static_rsa}, which has no forward secrecy.", *evidence)
    if chosen in CBC:
        return warned(f"{found.target} chooses {words} where AES-GCM and ChaCha20 are offered.", *evidence)
    return passed(f"{found.target} takes no weak suite.", *evidence)
