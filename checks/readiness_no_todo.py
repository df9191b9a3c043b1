"""Are there open ends in the files that must have none?"""

from __future__ import annotations

import re

from maestro_cli.api import Context, Evidence, Finding, check, failed, passed
from maestro_cli.observe.project_files import matches, read_limited, shown

MAXIMUM_BYTES = 5_000_000
_SHOWN = 10
# In capitals anywhere; in small letters only where a comment begins with it ("todo" is an ordinary name in code).
_MARK = re.compile(rb"\b(?:TODO|FIXME)\b|(?:#|//|--|/\*|<!--|;)[ \t]*(?i:todo|fixme)\b")


@check(
    "readiness.no-todo",
    component="testing",
    priority="low",
    faults=("todo-in-critical-file", "critical-file-missing"),
)
def no_todo(ctx: Context) -> Finding:
    """No TODO is left in the critical files.

    Why: a TODO in the code that checks tokens or moves money is a known gap that was shipped.
    Fails when: a file of readiness.project.critical_files holds TODO or FIXME, or a pattern there matches no file.
    Fix: do it, or move it into the issue tracker; correct the pattern.
    Source: CWE-546, Suspicious Comment (https://cwe.mitre.org/data/definitions/546.html)
    """
    project = ctx.require(ctx.settings.readiness.project, "readiness.project")
    patterns = ctx.require(project.critical_files, "readiness.project.critical_files")
    read = 0
    marks: list[Evidence] = []
    for pattern in patterns:
        files = matches(ctx, pattern)
        if not files:
            return failed(
                f"{pattern} in readiness.project.critical_files matches no file.",
                Evidence(pattern, "0 files", "at least 1"),
            )
        for path in files:
            marks += _marks(shown(ctx, path), read_limited(path, MAXIMUM_BYTES))
            read += 1
    if marks:
        places = "1 place" if len(marks) == 1 else f"{len(marks)} places"
        return failed(f"TODO or FIXME stands in {places} of the critical files.", *marks[:_SHOWN])
    return passed(f"{read} critical files hold no TODO or FIXME.", Evidence("files read", str(read), "at least 1"))


def _marks(name: str, content: bytes) -> list[Evidence]:
    """Where it stands, without the line itself: it may hold anything."""
    return [
        Evidence(f"{name}:{number}", found.group().decode("ascii", "replace").strip(" \t"), "none")
        for number, line in enumerate(content.splitlines(), 1)
        if (found := _MARK.search(line)) is not None
    ]
