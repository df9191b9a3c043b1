"""Who can read the file of secrets: other users, git, whoever has a clone?"""

from __future__ import annotations

import stat
from collections.abc import Iterator

from maestro_cli.api import Context, Evidence, Finding, check, combine, errored, failed, passed, warned
from maestro_cli.fixes.env_file import ENV_FILE

_EXPECTED = {
    "mode": "0600",
    "owner": "yours",
    "symlink": "a file of its own",
    "tracked": "not tracked",
    "not-ignored": "ignored",
    "in-history": "in no commit",
}


@check(
    "security.env-file",
    component="security",
    priority="critical",
    faults=("env-file-readable", "env-file-symlink", "env-file-tracked", "env-file-not-ignored", "env-file-in-history"),
    fix=ENV_FILE,
)
def env_file(ctx: Context) -> Finding:
    """Only its owner can read the file of secrets.

    Why: a file that others may read, or that was committed once, is no secret any more, and git forgets nothing.
    Fails when: env_file has a mode wider than 0600, another owner, is a symbolic link, is tracked or not ignored by git, or
    a secret in it stands in any commit.
    Fix: `chmod 600`, `git rm --cached`, add it to .gitignore; rotate what was committed: `maestro secrets rotate`.
    Source: OWASP ASVS 5.0 13.3.1; CWE-732; CWE-540
    """
    name = ctx.require(ctx.settings.env_file, "env_file")
    return combine(_findings(ctx, name))


def _findings(ctx: Context, name: str) -> Iterator[Finding]:
    from maestro_cli.errors import OutOfReach
    from maestro_cli.secrets import audit_file

    required = ctx.settings.secrets.required if ctx.settings.secrets is not None else {}
    path = ctx.path(name)
    try:
        audit = audit_file(path, required, ctx.now)
    except OutOfReach as error:
        yield errored(f"{name} could not be looked at: {error.message}")
        return
    broken = [found for found in audit.findings if found.rule in _EXPECTED]
    for found in broken:
        subject = name if found.name is None else found.name
        message = f"{name} {found.message}" if found.name is None else found.message
        observed = f"{stat.S_IMODE(path.stat().st_mode):04o}" if found.rule == "mode" else found.rule
        yield failed(f"{message}.", Evidence(subject, observed, _EXPECTED[found.rule]), command=found.hint)
    unknown = [found for found in audit.findings if found.rule == "history-unknown"]
    for found in unknown:
        seen = Evidence("git", found.message, "searched")
        yield (errored if audit.history is None else warned)(f"{found.message[0].upper()}{found.message[1:]}.", seen)
    if not broken:
        yield passed(
            f"{name} is its owner's alone.", Evidence(name, f"mode {stat.S_IMODE(path.stat().st_mode):04o}", "0600")
        )
    if audit.history is not None:
        yield passed("Git has none of it.", Evidence("git", f"{audit.history.objects} objects searched", "no secret"))
    elif not unknown:
        yield passed("There is no git repository.", Evidence("git", "no repository", "no secret"))
