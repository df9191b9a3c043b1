"""Are the secrets there, and are they secrets?"""

from __future__ import annotations

from collections.abc import Iterator

from maestro_cli.api import Context, Evidence, Finding, MaestroError, check, combine, errored, failed, passed, warned
from maestro_cli.fixes.secrets import MISSING_SECRETS

_ABOUT_THE_FILE = frozenset({"mode", "owner", "symlink", "tracked", "not-ignored", "in-history", "history-unknown"})
"""Rules of security.env-file."""
_CERTAIN = frozenset({"placeholder", "published", "same-as-name", "guessable", "digest", "encoded-text", "time-based"})
"""What is wrong with a secret whatever its length; a variable that merely sounds like one may well be short."""


@check(
    "security.secrets",
    component="security",
    priority="critical",
    faults=(
        "secret-missing",
        "secret-placeholder",
        "secret-short",
        "secret-guessable",
        "secret-reused",
        "secret-too-old",
    ),
    fix=MISSING_SECRETS,
)
def secrets(ctx: Context) -> Finding:
    """The secrets are there, strong and no defaults.

    Why: a signing key from a tutorial signs tokens for everybody who has read it.
    Fails when: a secret of secrets.required is missing, weaker than the bits asked for, a placeholder, published,
    predictable, used twice or older than secrets.max_age_days; or when any other secret in env_file is a default.
    Fix: `maestro secrets generate` adds what is missing, `maestro secrets rotate NAME` replaces one.
    Source: OWASP ASVS 5.0 11.2.3 and 13.3.1; RFC 7518 §3.2; NIST SP 800-63B §3.1.1.2
    """
    settings = ctx.require(ctx.settings.secrets, "secrets")
    required = ctx.require(settings.required, "secrets.required")
    findings = [*_in_environment(ctx), *(_in_file(ctx) if ctx.settings.env_file is not None else _missing(ctx))]
    if all(finding.status == "pass" for finding in findings):
        names = Evidence("secrets", ", ".join(required), "there and strong")
        return passed(f"All {len(required)} required secrets are there and strong.", names)
    return combine(findings)


def _in_file(ctx: Context) -> Iterator[Finding]:
    from maestro_cli.secrets import audit_file

    settings = ctx.require(ctx.settings.secrets, "secrets")
    path = ctx.path(ctx.settings.env_file or "")
    words = [ctx.settings.service.name]
    try:
        audit = audit_file(path, settings.required, ctx.now, settings.max_age_days, git=False, words=words)
    except MaestroError as error:
        yield errored(f"env_file could not be read: {error.message}")
        return
    yield passed("The secrets are strong.", Evidence("secrets judged", str(len(audit.judged))))
    for found in audit.findings:
        # A variable of the process environment wins, and was judged there. Whoever has no record of changes is not blamed.
        if found.rule in _ABOUT_THE_FILE or found.rule == "age-unknown" or found.name in ctx.environ:
            continue
        listed = found.name is None or found.name in settings.required
        if not listed and found.rule not in _CERTAIN and found.severity == "fail":
            continue
        say = failed if found.severity == "fail" else warned
        seen = Evidence(found.name or path.name, found.rule, "there and strong")
        yield say(f"{found.message[0].upper()}{found.message[1:]}.", seen, command=found.hint)


def _in_environment(ctx: Context) -> Iterator[Finding]:
    from maestro_cli.secrets import judge

    settings = ctx.require(ctx.settings.secrets, "secrets")
    for name, bits in settings.required.items():
        if name in ctx.environ:
            problems = judge(name, ctx.environ[name], bits, words=[ctx.settings.service.name])
            for problem in problems:
                yield failed(f"{name} {problem.message}.", Evidence(name, problem.rule, "strong"))
            if not problems:
                yield passed("The secrets are strong.", Evidence(name, "no rule broken"))


def _missing(ctx: Context) -> Iterator[Finding]:
    settings = ctx.require(ctx.settings.secrets, "secrets")
    for name in settings.required:
        if name not in ctx.environ:
            yield failed(f"{name} is required and not set.", Evidence(name, "missing", "set"))
