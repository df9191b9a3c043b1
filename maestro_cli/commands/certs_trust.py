"""`maestro certs trust`: the commands, shown; and run, when that is what was asked for."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.commands.base import Invocation
from maestro_cli.commands.certs_input import folder_of
from maestro_cli.errors import OutOfReach, UsageError

if TYPE_CHECKING:
    from maestro_cli.certs.trust import Step


def run(
    invocation: Invocation,
    *,
    directory: Path | None,
    stores: Sequence[str],
    undo: bool,
    install: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what makes this machine trust the CA, and run it if asked to."""
    from maestro_cli.certs.trust import Machine, environment_hints, plan_trust
    from maestro_cli.commands.certs_view import trust_text

    ca = (folder_of(invocation, directory) / "ca.pem").resolve()
    machine = Machine(sys.platform, shutil.which, Path.home())
    steps = plan_trust(ca, machine, stores=stores)
    hints = environment_hints(ca)
    if as_json:
        invocation.out_json(
            {
                "ca": str(ca),
                "stores": [
                    {
                        "store": step.store,
                        "title": step.title,
                        "commands": [list(_prefixed(step, one)) for one in (step.remove if undo else step.add)],
                    }
                    for step in steps
                ],
                "environment": hints,
            }
        )
    else:
        invocation.out(
            trust_text(steps, hints, undo=undo, command=lambda step, words: shlex.join(_prefixed(step, words)))
        )
    if not install:
        invocation.say(
            "Nothing was changed. To run these commands: add --install" + ("" if undo else ". To take it back: --undo")
        )
        return
    if not steps:
        raise OutOfReach(
            "This machine has no trust store that maestro knows.", hint="Tell the programs one by one; see above."
        )
    _confirm(invocation, yes=yes)
    for step in steps:
        for arguments in step.remove if undo else step.add:
            _execute(invocation, _prefixed(step, arguments))
    invocation.say("Done. To take it back: maestro certs trust --undo --install" if not undo else "Done.")


def _prefixed(step: Step, arguments: Sequence[str]) -> tuple[str, ...]:
    needs_sudo = step.root and os.geteuid() != 0
    return ("sudo", *arguments) if needs_sudo else tuple(arguments)


def _confirm(invocation: Invocation, *, yes: bool) -> None:
    if yes:
        return
    if not (sys.stdin.isatty() and invocation.stderr.isatty()):
        raise UsageError(
            "--install asks before it changes this machine, and there is no terminal to ask on.", hint="Add --yes."
        )
    invocation.stderr.write("Run these commands? [y/N] ")
    invocation.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("Nothing was changed.", hint="Answer y to run them.")


def _execute(invocation: Invocation, command: Sequence[str]) -> None:
    invocation.say(f"+ {shlex.join(command)}")
    try:
        result = subprocess.run(command, stdin=None, stdout=invocation.stderr, check=False)
    except OSError as error:
        raise OutOfReach(
            f"{command[0]} cannot be run ({error.strerror}).",
            hint="maestro certs trust --undo --install takes back what was done.",
        ) from error
    if result.returncode:
        raise OutOfReach(
            f"{shlex.join(command)} ended with {result.returncode}.",
            hint="maestro certs trust --undo --install takes back what was done.",
        )
