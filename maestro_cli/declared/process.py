"""`process:` whether a program runs on this machine, how often and as whom."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maestro_cli.api import Context, Evidence, Finding, MaestroError
from maestro_cli.config.declared import ProcessSubject
from maestro_cli.config.matchers import pattern
from maestro_cli.declared import Stop
from maestro_cli.declared.judgement import Judgement

COMM_LENGTH = 15
"""The kernel keeps this many bytes of a program's name."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process: its id, program name, command line and user."""

    pid: int
    name: str
    command: str
    user: str


def observe(subject: ProcessSubject, _ctx: Context, _stop: Stop) -> Finding:
    """Look for it and compare."""
    if not Path("/proc/self/stat").exists():
        raise MaestroError("processes can be seen on Linux only: there is no /proc here")
    found = [row for row in processes() if row.pid != os.getpid() and _is(row, subject.name)]
    judgement = Judgement()
    seen = f"{len(found)} running" + (f" (pid {', '.join(str(row.pid) for row in found[:5])})" if found else "")
    judgement.evidence.append(Evidence(subject.name, seen, "running" if subject.running else "not running"))
    if subject.count is not None:
        judgement.expect("count", len(found), subject.count)
    elif bool(found) is not subject.running:
        judgement.wrong.append(f"{subject.name} {'runs' if found else 'does not run'}")
    if subject.user is not None:
        for row in found:
            judgement.holds(f"user of {row.pid}", row.user, expected=subject.user)
    return judgement.finding(f"{subject.name}: {seen}")


def processes() -> Iterator[Running]:
    """Every process of the machine; one that ends meanwhile is left out. Zombies do not run."""
    import pwd

    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text(errors="replace")
            name, state = status.partition("(")[2].rpartition(")")[0], status.rpartition(")")[2].split()[0]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            owner = folder.stat().st_uid
        except OSError:
            continue
        if state in ("Z", "X"):
            continue
        try:
            user = pwd.getpwuid(owner).pw_name
        except KeyError:
            user = str(owner)
        yield Running(int(folder.name), name, command, user)


def _is(row: Running, name: str) -> bool:
    if name.startswith("/") and name.endswith("/") and len(name) > 1:
        return pattern(name)(row.command)
    program = row.command.split(" ", 1)[0].rpartition("/")[2].rstrip(":")
    return name in (row.name, program) or (len(name) > COMM_LENGTH and row.name == name[:COMM_LENGTH] and not program)
