"""`maestro certs renew`: what is due, the renewal, and the hook behind it."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maestro_cli.commands.base import Invocation
from maestro_cli.commands.certs_input import asker, folder_of, passphrase_of
from maestro_cli.errors import OutOfReach, UsageError


@dataclass(frozen=True)
class Asked:
    """The options of one call."""

    directory: Path | None
    everything: bool
    days_left: int | None
    reuse_key: bool
    days: int | None
    hook: str | None
    passphrase_file: Path | None
    dry_run: bool
    as_json: bool


def run(invocation: Invocation, asked: Asked) -> None:
    """Renew what is due."""
    from maestro_cli.certs.renewal import HOOK_PENDING, Terms, hook_done, renew
    from maestro_cli.commands.certs_view import date, renewal_json

    directory = folder_of(invocation, asked.directory)
    command = _words(asked.hook)
    terms = Terms(
        everything=asked.everything,
        days_left=asked.days_left,
        reuse_key=asked.reuse_key,
        days=asked.days,
        passphrase=passphrase_of(invocation, asked.passphrase_file),
        hook=bool(command),
    )
    if asked.dry_run:
        _preview(invocation, directory, terms, as_json=asked.as_json)
        return
    renewal = renew(directory, terms, now=invocation.now(), ask=asker(invocation))
    left_over = not renewal.renewed and (directory / HOOK_PENDING).exists()
    runs_hook = bool(command) and (bool(renewal.renewed) or left_over)
    if asked.as_json:
        invocation.out_json(renewal_json(renewal, asked.hook if runs_hook else None))
    for one in renewal.renewed:
        if one.new_end is not None and not asked.as_json:
            invocation.out(
                f"{directory / one.certificate}: renewed, until {date(one.new_end)} (was {date(one.old_end)})"
            )
    for warning in renewal.warnings:
        invocation.say(f"note: {warning}")
    if not renewal.renewed:
        soonest = min(one.old_end for one in renewal.certificates)
        invocation.say(f"Nothing is due in {directory}; the first certificate ends on {date(soonest)}.")
    if runs_hook:
        _hook(invocation, directory, command, [one.certificate for one in renewal.renewed])
        hook_done(directory)
    elif renewal.renewed:
        invocation.say("Next: restart or reload what serves it (--hook COMMAND does that with the renewal).")


def _preview(invocation: Invocation, directory: Path, terms: object, *, as_json: bool) -> None:
    from maestro_cli.certs.renewal import Terms, preview
    from maestro_cli.commands.certs_view import date
    from maestro_cli.commands.columns import columns

    if not isinstance(terms, Terms):
        raise TypeError(terms)
    found = preview(directory, terms, now=invocation.now())
    if as_json:
        rows = [{"certificate": name, "not_after": end.isoformat(), "due": due} for name, end, due in found]
        invocation.out_json({"directory": str(directory), "certificates": rows})
        return
    invocation.out(
        columns([(name, date(end), "due" if due else "not due") for name, end, due in found]) or "Nothing there."
    )


def _words(hook: str | None) -> list[str]:
    try:
        words = shlex.split(hook) if hook is not None else []
    except ValueError as error:
        raise UsageError(f"--hook cannot be read ({error}).", hint="Mind its quotes.") from error
    if hook is not None and not words:
        raise UsageError("--hook is empty.", hint='For example: --hook "systemctl reload nginx"')
    return words


def _hook(invocation: Invocation, directory: Path, command: Sequence[str], renewed: Sequence[str]) -> None:
    environment = {
        **os.environ,
        "MAESTRO_CERTS_DIRECTORY": str(directory.resolve()),
        "MAESTRO_RENEWED": " ".join(str((directory / name).resolve()) for name in renewed),
    }
    failed = "The certificates are renewed, but the hook {}."
    hint = "Run it by hand, or run this command again: the hook is tried until it succeeds."
    try:
        # the hook's words are not ours: they go to stderr, and stdout stays machine-readable
        result = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=invocation.stderr, check=False
        )
    except OSError as error:
        raise OutOfReach(failed.format(f"cannot be run ({error.strerror}: {command[0]})"), hint=hint) from error
    if result.returncode:
        raise OutOfReach(failed.format(f"ended with {result.returncode}"), hint=hint)
