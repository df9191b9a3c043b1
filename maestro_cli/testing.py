"""For authors of checks: try one against a folder, and show that its fault turns it red.

from maestro_cli.testing import check_in, turns_red

CHECK = check_in(Path(__file__).with_name("backup_age.py"))

def test_an_old_backup_turns_it_red(tmp_path):
    (tmp_path / "backup.tar").touch()
    turns_red(CHECK, tmp_path, lambda: os.utime(tmp_path / "backup.tar", (0, 0)), "days old")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from maestro_cli.api import Check, Context
from maestro_cli.config import load
from maestro_cli.isolation.loading import Source, load_part
from maestro_cli.model import CheckResult, Status
from maestro_cli.redaction import Redactor
from maestro_cli.runner import execute

__all__ = ["check_in", "checks_in", "expect", "run", "turns_red"]


def checks_in(path: Path) -> dict[str, Check]:
    """The checks that a module defines, by id. It is loaded into this process."""
    found = load_part(Source(str(path.parent), "folder", str(path.parent.absolute())), path.name)
    return {check.id: check for check in found}


def check_in(path: Path) -> Check:
    """The one check that a module defines.

    Raises:
        AssertionError: When it defines none, or more than one; `checks_in` is for those.
    """
    found = checks_in(path)
    assert len(found) == 1, f"{path.name} defines {', '.join(found) or 'no check'}"  # noqa: S101 - this module serves tests
    return next(iter(found.values()))


def run(
    check: Check,
    folder: Path,
    *,
    yaml: str = "version: 1\n",
    environ: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> CheckResult:
    """Run a check as maestro would, in a project of its own.

    Args:
        check: The check.
        folder: The project's folder; relative paths start here.
        yaml: What maestro.yaml says. It is written unless the folder has one.
        environ: The process environment that it sees; empty by default.
        now: The clock; the real one by default.
    """
    config = folder / "maestro.yaml"
    if not config.exists():
        config.write_text(yaml, encoding="utf-8")
    loaded = load(config, environ=environ or {})
    redact = Redactor(loaded.secrets)
    ctx = Context(loaded, now=now or datetime.now(UTC), redact=redact, environ=environ or {})
    try:
        return execute(check, ctx)
    finally:
        ctx.close()


def expect(result: CheckResult, status: Status | str, *words: str) -> CheckResult:
    """Assert a result's status, and that its message or evidence say these words.

    Raises:
        AssertionError: With what the check said instead.
    """
    rows = [f"{row.name}: {row.observed} (expected {row.expected})" for row in result.evidence]
    said = "\n  ".join([f"{result.id} is {result.status}: {result.message}", *rows])
    assert result.status == Status(status), said  # noqa: S101 - this module serves tests
    for word in words:
        assert word in said, f"{word!r} is not in:\n  {said}"  # noqa: S101 - this module serves tests
    return result


def turns_red(
    check: Check,
    folder: Path,
    fault: Callable[[], object],
    *words: str,
    yaml: str = "version: 1\n",
    environ: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> CheckResult:
    """Assert that a check passes, and that it fails once the fault is planted.

    Args:
        check: The check.
        folder: The project's folder, in a state that the check passes in.
        fault: Plants the fault.
        words: What the failing result must say.
        yaml: See `run`.
        environ: See `run`.
        now: See `run`.

    Raises:
        AssertionError: When it was not green before, or is not red after.
    """
    expect(run(check, folder, yaml=yaml, environ=environ, now=now), Status.PASS)
    fault()
    return expect(run(check, folder, yaml=yaml, environ=environ, now=now), Status.FAIL, *words)
