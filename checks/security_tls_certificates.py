"""Are the certificate files sound, and does the service present what they hold?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from maestro_cli.api import (
    Context,
    Evidence,
    Finding,
    MaestroError,
    NotConfigured,
    Status,
    Unreachable,
    check,
    combine,
    errored,
    failed,
    passed,
    warned,
)
from maestro_cli.fixes.certificates import CERTIFICATES
from maestro_cli.observe.http_connection import API

if TYPE_CHECKING:
    from maestro_cli.certs.endpoint import Presented

DEFAULT_DAYS = 30
HANDSHAKE_S = 4.0


@check(
    "security.tls-certificates",
    component="security",
    priority="high",
    faults=(
        "certificate-expired",
        "certificate-of-another-host",
        "certificate-of-another-key",
        "key-readable",
        "key-too-short",
        "certificate-missing",
    ),
    fix=CERTIFICATES,
)
def tls_certificates(ctx: Context) -> Finding:
    """The certificates are sound and in date.

    Why: an expired certificate is an outage with a date, and a key that others can read is everybody's key.
    Fails when: a file in certs.directory breaks a rule (mode, key match, names, chain, weak or known key, validity), or the
    chain that api.url presents does; warns when fewer than certs.min_days_left days are left, or when the service presents
    another certificate than the file holds.
    Fix: `maestro certs verify` names each rule; `maestro certs renew` and a restart of the service mend most.
    Source: RFC 5280; RFC 9525; CA/Browser Forum Baseline Requirements; OWASP ASVS 5.0 12.1 and 12.3
    """
    served = ctx.settings.api is not None and (ctx.settings.api.url or "").startswith("https://")
    if ctx.settings.certs is None and not served:
        raise NotConfigured("certs is not configured, and api.url is not https")
    findings = list(_files(ctx)) if ctx.settings.certs is not None else []
    if served:
        try:
            findings += _served(ctx)
        except Unreachable:
            # What the files break stays broken, whether or not the service can be reached.
            if all(finding.status is not Status.FAIL for finding in findings):
                raise
    return combine(findings)


def _files(ctx: Context) -> Iterator[Finding]:
    from maestro_cli.certs.hosts import parse_hosts
    from maestro_cli.certs.inspection import expiries
    from maestro_cli.certs.verification import verify_folder

    certs = ctx.require(ctx.settings.certs, "certs")
    folder = ctx.path(certs.directory)
    if not folder.is_dir() or not any(folder.glob("*.pem")):
        seen = Evidence(certs.directory, "no certificate", "cert.pem and key.pem")
        yield failed(f"There is no certificate in {certs.directory}.", seen, command="maestro certs generate")
        return
    try:
        yield from map(_finding, verify_folder(folder, now=ctx.now, hosts=parse_hosts(certs.hosts)).findings)
        for end in expiries([folder / "cert.pem"], now=ctx.now):
            yield _days(f"{certs.directory}/cert.pem", end.days_left, certs.min_days_left)
    except MaestroError as error:
        yield errored(f"The files in {certs.directory} could not be verified: {error.message}")


def _served(ctx: Context) -> Iterator[Finding]:
    from maestro_cli.certs.endpoint import fetch_chain
    from maestro_cli.certs.hosts import parse_hosts
    from maestro_cli.certs.inspection import inspect_presented
    from maestro_cli.certs.verification import verify_presented
    from maestro_cli.errors import OutOfReach

    parts = urlsplit(ctx.http.base)
    host = parts.hostname or ""
    try:
        presented = fetch_chain(host, parts.port or 443, timeout_s=HANDSHAKE_S)
    except OutOfReach as error:
        raise Unreachable(API, error.message.rstrip(".")) from None
    api = ctx.settings.api
    leaf = inspect_presented(presented, now=ctx.now).certificates[0]
    if api is not None and api.ca_file is not None:
        try:
            found = verify_presented(presented, now=ctx.now, ca=ctx.path(api.ca_file), hosts=parse_hosts([host]))
        except OutOfReach as error:
            yield errored(f"The chain that is presented could not be verified: {error.message}")
            return
        yield from map(_finding, found.findings)
    else:
        where = f"{host}:{parts.port or 443}"
        yield from (_rule(where, each.rule, each.message, each.severity) for each in leaf.problems)
        yield passed("The service presents a certificate.", Evidence(where, f"{leaf.key}, {', '.join(leaf.names[:5])}"))
    certs = ctx.settings.certs
    yield _days("presented", leaf.days_left, certs.min_days_left if certs is not None else DEFAULT_DAYS)
    if certs is not None:
        yield from _same(ctx, presented, certs.directory)


def _same(ctx: Context, presented: Presented, directory: str) -> Iterator[Finding]:
    from maestro_cli.certs.store import read_certificates

    try:
        file = read_certificates(ctx.path(directory), "cert.pem")[0]
    except MaestroError:
        return  # said of the files already
    if file != presented.certificates[0]:
        seen = Evidence("certificate presented", "another one", f"that of {directory}/cert.pem")
        yield warned(f"The service presents another certificate than {directory}/cert.pem: restart it.", seen)


def _finding(found: Any) -> Finding:
    return _rule(found.subject, found.check, found.message, found.status)


def _rule(subject: str, rule: str, message: str, status: str) -> Finding:
    seen = Evidence(f"{subject}: {rule}", message)
    if status == "pass":
        return passed("The certificates break no rule.", seen)
    return (failed if status == "fail" else warned)(f"{subject}: {message}", seen, command="maestro certs verify")


def _days(what: str, left: int, least: int) -> Finding:
    seen = Evidence(f"{what}: days left", str(left), f"at least {least}")
    if left < least:
        return warned(f"The certificate ({what}) ends in {left} days.", seen, command="maestro certs renew")
    return passed("The certificates break no rule.", seen)
