"""Everything that can be observed about a file of secrets: who can read it, whether git has it, how strong and old
its secrets are, and whether one of them is used twice.

The value never leaves this module: findings name the rule, the variable and the line.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from maestro_cli.dotenv import EnvValues
from maestro_cli.errors import OutOfReach
from maestro_cli.secrets import git as git_module
from maestro_cli.secrets.git import GitUnavailable, History
from maestro_cli.secrets.names import is_secret_name, without_previous
from maestro_cli.secrets.store import read_document, read_record
from maestro_cli.secrets.strength import FLOOR_BITS, judge
from maestro_cli.secrets.strength import RULES as STRENGTH_RULES
from maestro_cli.secrets.urls import password_of, user_and_host

Severity = Literal["fail", "warn"]

RULES: Mapping[str, str] = {
    **STRENGTH_RULES,
    "missing": "A required secret is not in the file.",
    "mode": "Others than the owner may read or write the file.",
    "owner": "The file belongs to another user.",
    "symlink": "The path is a symbolic link.",
    "unreadable-line": "A line is neither an assignment nor a comment.",
    "assigned-twice": "A name is assigned more than once; readers differ in which one counts.",
    "tracked": "git tracks the file.",
    "not-ignored": "git does not ignore the file: `git add .` would commit it.",
    "in-history": "The value stands in an object of the git history.",
    "history-unknown": "The git history could not be searched, or not all of it.",
    "reused": "The same value stands under two names or in two environments.",
    "too-old": "The value is older than the policy allows.",
    "age-unknown": "Nobody knows when the value was last changed.",
    "previous-expired": "The value before a rotation is still there after its grace period.",
}
"""Rule id → what it means, for the reference page."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that is broken.

    Attributes:
        rule: Its id; see `RULES`.
        severity: `fail`, or `warn` for what is not known to be wrong.
        message: What is wrong, without a value.
        name: The variable; None for the file as a whole.
        line: Its line, from 1.
        path: The file.
        hint: The next command.
    """

    rule: str
    severity: Severity
    message: str
    path: Path
    name: str | None = None
    line: int | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in one file.

    Attributes:
        path: The file.
        judged: The secrets that were looked at.
        findings: The rules that are broken, failures first.
        history: What the search of git found; None where it was not asked for, or there is no repository.
    """

    path: Path
    judged: tuple[str, ...]
    findings: tuple[Finding, ...]
    history: History | None = None

    @property
    def failed(self) -> bool:
        """Whether a rule is broken for certain."""
        return any(finding.severity == "fail" for finding in self.findings)


def audit_file(
    path: Path,
    required: Mapping[str, int],
    now: datetime,
    max_age_days: int = 90,
    *,
    git: bool = True,
    others: Sequence[Path] = (),
    words: Collection[str] = (),
) -> Audit:
    """Audit a `.env` file.

    Args:
        path: The file.
        required: Name → bits. Other variables that look like secrets, and passwords in URLs, are judged at 128 bits.
        now: The time, UTC.
        max_age_days: Oldest acceptable secret, in days.
        git: Whether git is asked, its history included.
        others: Files of other environments: a value must not stand in two.
        words: Further words an attacker would try: the service's name, the project's.

    Raises:
        OutOfReach: The file does not exist or cannot be read.
    """
    document = read_document(path)
    values = document.values
    secrets = secrets_in(values, required)
    findings = _about_file(path, values, required)
    for name, value in secrets.items():
        bits = required.get(name, required.get(without_previous(name) or name, FLOOR_BITS))
        near = (*words, *user_and_host(values.get(name, "")))
        for problem in judge(name, value, bits, words=near):
            hint = f"maestro secrets rotate {name}" if name in required else None
            findings.append(
                Finding(problem.rule, "fail", f"{name} {problem.message}", path, name, values.lines.get(name), hint)
            )
    findings += _about_age(path, values, secrets, required, now, max_age_days)
    findings += _reused(path, values, secrets, others, required)
    history = None
    if git:
        about_git, history = _about_git(path, values, secrets)
        findings += about_git
    findings.sort(key=lambda finding: finding.severity != "fail")
    return Audit(path, tuple(secrets), tuple(findings), history)


def secrets_in(values: Mapping[str, str], required: Mapping[str, int]) -> dict[str, str]:
    """The variables that hold secrets, with the secret itself.

    A URL counts with the password in it, unless that is another variable's value, as it should be.
    """
    found = {name: value for name, value in values.items() if name in required or is_secret_name(name)}
    known = set(found.values())
    for name, value in values.items():
        if name not in found and (password := password_of(value)) is not None and password not in known:
            found[name] = password
    return found


def _about_file(path: Path, values: EnvValues, required: Mapping[str, int]) -> list[Finding]:
    findings = []
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            findings.append(Finding("symlink", "fail", "is a symbolic link; whoever owns its target decides", path))
            found = path.stat()
    except OSError as error:
        raise OutOfReach(f"{path} cannot be examined: {error.strerror}.") from error
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        message = f"has mode {mode:04o}: others than its owner may use it; it must be 0600"
        findings.append(Finding("mode", "fail", message, path, hint=f"chmod 600 {path}"))
    if found.st_uid not in {os.geteuid(), path.absolute().parent.stat().st_uid}:
        findings.append(
            Finding("owner", "fail", f"belongs to user {found.st_uid}, not to you", path, hint=f"ls -l {path}")
        )
    for name in required:
        if name not in values:
            message = f"{name} is required and not there"
            findings.append(Finding("missing", "fail", message, path, name, hint="maestro secrets generate"))
    for line in values.unreadable:
        message = "cannot be read: a quote that is never closed, or text behind one"
        findings.append(Finding("unreadable-line", "fail", message, path, line=line))
    for name in values.repeated:
        message = f"{name} is assigned more than once; some readers take the first, some the last"
        findings.append(Finding("assigned-twice", "warn", message, path, name, values.lines[name]))
    return findings


def _about_age(
    path: Path,
    values: EnvValues,
    secrets: Mapping[str, str],
    required: Mapping[str, int],
    now: datetime,
    max_age_days: int,
) -> list[Finding]:
    record = read_record(path)
    limit = timedelta(days=max_age_days)
    findings = []
    for name, value in secrets.items():
        line = values.lines.get(name)
        whole = values.get(name, value)
        known = record.find(name, whole)
        if without_previous(name):
            if known is not None and known.valid_until is not None and known.valid_until <= now:
                message = f"{name} was to be removed on {known.valid_until.astimezone(UTC):%Y-%m-%d}"
                hint = "maestro secrets rotate --older-than 90d"
                findings.append(Finding("previous-expired", "warn", message, path, name, line, hint))
            continue
        since = None if known is None else known.rotated_at or known.seen_at
        if since is not None and now - since > limit:
            message = f"{name} is {(now - since).days} days old; the policy allows {max_age_days}"
            findings.append(Finding("too-old", "fail", message, path, name, line, f"maestro secrets rotate {name}"))
        elif (known is None or known.rotated_at is None) and (name in required or not required):
            message = f"{name}: nobody knows when it was last changed"
            findings.append(Finding("age-unknown", "warn", message, path, name, line, f"maestro secrets rotate {name}"))
    return findings


def _reused(
    path: Path, values: EnvValues, secrets: Mapping[str, str], others: Sequence[Path], required: Mapping[str, int]
) -> list[Finding]:
    findings = []
    first: dict[str, str] = {}
    for name, value in secrets.items():
        if not value:
            continue
        if value in first:
            message = f"{name} has the same value as {first[value]}"
            findings.append(Finding("reused", "fail", message, path, name, values.lines.get(name)))
        else:
            first[value] = name
    for other in others:
        if other.exists() and path.exists() and other.samefile(path):
            continue
        for name, value in secrets_in(read_document(other).values, required).items():
            if value in first:
                message = f"{first[value]} has the same value as {name} in {other}"
                mine = first[value]
                findings.append(Finding("reused", "fail", message, path, mine, values.lines.get(mine)))
    return findings


def _about_git(path: Path, values: EnvValues, secrets: Mapping[str, str]) -> tuple[list[Finding], History | None]:
    findings = []
    try:
        repository = git_module.repository_of(path)
        if repository is None:
            return [], None
        if git_module.is_tracked(path):
            hint = f"git rm --cached {path.name} && git commit, then: maestro secrets rotate"
            findings.append(Finding("tracked", "fail", "is tracked by git", path, hint=hint))
        if not git_module.is_ignored(path):
            hint = f"echo {path.name} >> .gitignore"
            findings.append(Finding("not-ignored", "fail", "is not ignored by git", path, hint=hint))
        history = git_module.search_history(repository, secrets)
    except GitUnavailable as error:
        findings.append(Finding("history-unknown", "warn", f"git could not be asked: {error}", path))
        return findings, None
    for found in history.found:
        where = f"commit {found.commit} of {found.date}" if found.commit else f"object {found.object_id[:12]} of git"
        place = f", file {found.path}" if found.path else ""
        message = f"{found.name} stands in {where}{place}: whoever has a clone has it"
        hint = (
            f"remove its line from {path}" if without_previous(found.name) else f"maestro secrets rotate {found.name}"
        )
        findings.append(Finding("in-history", "fail", message, path, found.name, values.lines.get(found.name), hint))
    if history.skipped:
        message = (
            f"{history.skipped} objects of git are larger than {git_module.LARGEST >> 20} MiB and were not searched"
        )
        findings.append(Finding("history-unknown", "warn", message, path))
    return findings, history
